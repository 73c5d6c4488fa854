//! What was published, found again: the bars of the planning rules on half a year of forecasts for six
//! zones, and an experiment of others. The data are not part of this repository (of some the licence
//! is not known): where they are not beside it, these tests say so and pass by.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use catrain::forecast::trust::Trust;
use catrain::source;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::Value;

use super::support::Sandbox;

/// A file or folder of the data, where it is there.
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !path.exists() {
        eprintln!("passed by: {name} is not beside the repository");
        return None;
    }
    Some(path)
}

#[track_caller]
fn simulate(sandbox: &Sandbox, line: &str) -> Value {
    let words = line.split_whitespace();
    let mut command = sandbox.catrain(["simulate", "--format", "json"]);
    let output = command.args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Four shapes of work, started every 53 hours over five months, in six zones.
fn bars(
    sandbox: &Sandbox,
    forecasts: &Path,
    profiles: &Path,
    more: &str,
) -> BTreeMap<String, Value> {
    let line = format!(
        "--forecasts {} --profiles {} -d 6h,12h,24h,48h --slack 24h,12h,24h,48h --paired \
         --every 53h --from 2021-07-29 --tick 1h {more}",
        forecasts.display(),
        profiles.display()
    );
    let document = simulate(sandbox, &line);
    let means = document["means"].as_array().unwrap();
    let by_policy = |mean: &Value| (mean["policy"].as_str().unwrap().to_owned(), mean.clone());
    means.iter().map(by_policy).collect()
}

#[test]
fn the_planner_keeps_its_bars_on_half_a_year_of_forecasts_for_six_zones() {
    let (Some(forecasts), Some(profiles)) = (shared("forecasts"), shared("profiles.csv")) else {
        return;
    };
    let sandbox = Sandbox::new();
    let share = |means: &BTreeMap<String, Value>, policy: &str| {
        let mean = &means[policy];
        assert_eq!(
            (&mean["cells"], &mean["missed"]),
            (&24.into(), &0.into()),
            "{mean:#}"
        );
        assert_eq!(mean["cells_without_saving"], 0, "{mean:#}");
        mean["share_of_oracle"].as_f64().unwrap()
    };
    let share_under = |more: &str, policy: &str| {
        let line = format!("--duration-exact --policy {policy} {more}");
        share(&bars(&sandbox, &forecasts, &profiles, &line), policy)
    };
    for (more, policy, least) in [
        ("", "plan", 0.89),
        ("--no-learning", "plan", 0.885),
        ("--no-learning", "plan:history", 0.78),
        ("--idle-power 10%", "plan", 0.87),
        ("--idle-power 10% --no-learning", "plan", 0.86),
        ("--idle-power 10% --no-learning", "plan:history", 0.745),
        ("--resume-cost 0", "plan:perfect", 0.995),
    ] {
        let found = share_under(more, policy);
        assert!(found >= least, "{policy} {more}: {found}");
    }
    let wrong = "--duration-error 20% --rate-noise 2% --policy plan";
    share(&bars(&sandbox, &forecasts, &profiles, wrong), "plan");
}

#[test]
fn the_rungs_of_the_intensity_ahead_are_trusted_as_half_a_year_of_forecasts_earned() {
    let Some(forecasts) = shared("forecasts") else {
        return;
    };
    let measured: Vec<Trust> = (std::fs::read_dir(forecasts).unwrap())
        .filter_map(|file| {
            let path = file.unwrap().path();
            let (known, _) = source::past(&path, &source::zone_of(&path)?).unwrap();
            let span = known.observations.span().unwrap();
            let warm = span.start + SignedDuration::from_hours(5 * 7 * 24);
            Trust::measured(&known, warm, span.end)
        })
        .collect();
    assert_eq!(measured.len(), 6);
    let (is, tested) = (Trust::mean(&measured).unwrap(), Trust::TESTED);
    let tables = |trust: &Trust| [trust.blended, trust.history, trust.issue_alone];
    for (is, tested) in tables(&is)
        .as_flattened()
        .iter()
        .zip(tables(&tested).as_flattened())
    {
        assert!((is - tested).abs() < 0.01, "{tested}, measured {is}");
    }
    assert!((is.builtin - tested.builtin).abs() < 0.01, "{}", is.builtin);
}

/// "Let's Wait Awhile" (2021), scenario II: training jobs that are due at nine on the next working
/// day, where they would end outside of working hours. As its program has it: what ends on a
/// Saturday is due on Monday, what ends on a Sunday or after 17:00 on the next day, Saturdays among
/// them, what ends before 09:00 at that, and all else when it ends.
fn due(end: Timestamp) -> Timestamp {
    let end = end.to_zoned(TimeZone::UTC);
    let minutes = i64::from(end.hour()) * 60 + i64::from(end.minute());
    let nine = |days: i64| {
        let day = end.date().checked_add(days.days()).unwrap();
        day.at(9, 0, 0, 0)
            .to_zoned(TimeZone::UTC)
            .unwrap()
            .timestamp()
    };
    match end.weekday() {
        Weekday::Saturday => nine(2),
        Weekday::Sunday => nine(1),
        _ if minutes > 17 * 60 => nine(1),
        _ if minutes < 9 * 60 => nine(0),
        _ => end.timestamp(),
    }
}

#[test]
fn lets_wait_awhile_comes_out_as_it_was_published() {
    let Some(jobs) = shared("workloads/lwa_ml_jobs.csv") else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut with_deadlines = "job_id,arrival,duration_minutes,deadline,power_w\n".to_owned();
    for line in std::fs::read_to_string(jobs).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let arrival: Timestamp = fields[1].parse().unwrap();
        let end = arrival + SignedDuration::from_mins(fields[2].parse().unwrap());
        writeln!(with_deadlines, "{line},{},2036.6", due(end)).unwrap();
    }
    let jobs = sandbox.write("jobs.csv", &with_deadlines);
    for (zone, interrupted, whole) in [("DE", 8.2, 5.9), ("GB", 9.2, 6.6), ("FR", 6.2, 4.8)] {
        let Some(trace) = shared(&format!("traces/{zone}_2020_30min.csv")) else {
            return;
        };
        let line = format!(
            "--trace {} --jobs {} --resume-cost 0 --min-run 0 --min-pause 0 --duration-exact \
             --policy oracle,window:perfect",
            trace.display(),
            jobs.display()
        );
        let document = simulate(&sandbox, &line);
        for (row, published) in [(0, interrupted), (1, whole)] {
            let row = &document["rows"][row];
            let saved = row["saved_percent"].as_f64().unwrap();
            assert!(
                (saved - published).abs() <= 0.3,
                "{zone}: {published} %, {row:#}"
            );
            assert_eq!(
                (&row["jobs"], &row["missed"]),
                (&3387.into(), &0.into()),
                "{row:#}"
            );
        }
        assert_eq!(document["unjudged"].as_array().unwrap().len(), 0);
    }
}
