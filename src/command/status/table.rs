//! The table of `catrain status`, a line a run.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::report::text::harmless;
use crate::units::GramsCo2e;
use crate::words::{duration, mass, time};

const HEADINGS: [&str; 9] = [
    "RUN",
    "NAME",
    "STATE",
    "SINCE",
    "PROGRESS",
    "DONE ABOUT",
    "DUE",
    "NOW",
    "SAVED",
];

/// All runs, or that there are none.
pub(super) fn table(runs: &[Value], now: Timestamp, zone: &TimeZone) -> String {
    if runs.is_empty() {
        return "no run is live; `catrain report` tells of those that have ended\n".to_owned();
    }
    let mut rows = vec![Vec::from(HEADINGS.map(str::to_owned))];
    let shown: Vec<&Value> = runs.iter().filter(|run| !is_folded(run, runs)).collect();
    rows.extend(shown.iter().map(|run| Vec::from(row(run, now, zone))));
    // Only those who use a cluster have a column for it.
    if shown.iter().any(|run| !run["slurm"].is_null()) {
        rows[0].insert(2, "JOB".to_owned());
        for (row, run) in rows[1..].iter_mut().zip(&shown) {
            row.insert(2, job(run).unwrap_or_else(|| "-".to_owned()));
        }
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width - cell.chars().count() + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Whether a run stands in the row of the node of its job that leads: it has nothing to tell by itself.
fn is_folded(run: &Value, runs: &[Value]) -> bool {
    let leader = run["slurm"]["follows"].as_str();
    let leads = |other: &&Value| leader.is_some() && other["id"].as_str() == leader;
    let Some(leader) = runs.iter().find(leads) else {
        return false;
    };
    run["ok"] == true || run["may_be_elsewhere"] == true || run["state"] == leader["state"]
}

/// `17_3, 2 nodes`, `17, 40 tasks`.
pub(super) fn job(run: &Value) -> Option<String> {
    let slurm = &run["slurm"];
    let mut words = slurm["job"].as_u64()?.to_string();
    if let Some(task) = slurm["task"].as_u64() {
        words.push_str(&format!("_{task}"));
    }
    let tasks = slurm["tasks"].as_array().map_or(0, Vec::len);
    if tasks > 1 {
        words.push_str(&format!(", {tasks} tasks"));
    }
    match slurm["nodes"].as_u64() {
        Some(nodes) if nodes > 1 => words.push_str(&format!(", {nodes} nodes")),
        _ => {}
    }
    Some(words)
}

fn row(run: &Value, now: Timestamp, zone: &TimeZone) -> [String; 9] {
    let none = || "-".to_owned();
    let at = |key: &str| {
        let now = instant(&run["now"]).unwrap_or(now);
        instant(&run[key]).map_or_else(none, |at| time(at, now, zone))
    };
    let number =
        |key: &str, words: &dyn Fn(f64) -> String| run[key].as_f64().map_or_else(none, words);
    [
        harmless(run["id"].as_str().unwrap_or("-")),
        harmless(run["name"].as_str().unwrap_or("-")),
        state_words(run, now, zone),
        number("state_for_s", &span),
        progress(run).unwrap_or_else(none),
        at("done_about"),
        at("deadline"),
        number("now_g_per_kwh", &|grams| format!("{grams:.0}")),
        number("saves_g", &|grams| mass(GramsCo2e(grams))),
    ]
}

/// How a run stands, with the command that goes on where there is one.
pub(super) fn state_words(run: &Value, now: Timestamp, zone: &TimeZone) -> String {
    let state = run["state"].as_str().unwrap_or("unknown");
    let now = instant(&run["now"]).unwrap_or(now);
    let until = instant(&run["until"]).map(|at| time(at, now, zone));
    match (state, until) {
        ("held" | "paused", _) if is_held_by_hand(run) => format!("{state} by hand"),
        ("held" | "paused", Some(until)) => format!("{state} until {until} (plan)"),
        ("held" | "paused", None) => format!("{state} ({})", holds_of(run).join(", ")),
        ("queued" | "requeued" | "waits in Slurm's queue", until) => {
            let by = match run["slurm"]["is_planned"] == true {
                true => " (plan)",
                false => "",
            };
            let reason = run["slurm"]["reason"].as_str();
            match (until, reason) {
                (Some(until), _) => format!("{state} until {until}{by}"),
                (None, Some(reason)) => format!("{state}: {}", harmless(reason)),
                (None, None) => state.to_owned(),
            }
        }
        ("submitted", Some(until)) => format!("submitted, to start at {until}"),
        ("saving", _) => "saving before a pause".to_owned(),
        ("released", _) if is_held_by_hand(run) => "left, held by hand".to_owned(),
        ("released", Some(until)) => format!("left, starts again at {until}"),
        ("released", None) => "left, is started again".to_owned(),
        ("retrying", until) => {
            let when = until.map_or(String::new(), |until| format!(" at {until}"));
            format!("failed{}, tries again{when}", how(&run["exit"]))
        }
        _ => match run["next"].as_str() {
            Some(next) => format!("{}: {}", harmless(state), harmless(next)),
            None => harmless(state),
        },
    }
}

/// ` with 1`, ` by signal 9`.
fn how(exit: &Value) -> String {
    match (exit["code"].as_i64(), exit["signal"].as_i64()) {
        (Some(code), _) => format!(" with {code}"),
        (None, Some(signal)) => format!(" by signal {signal}"),
        (None, None) => String::new(),
    }
}

/// `61 % 3.1k/h`; without a rate how far it is, and by what where that is the time alone.
pub(super) fn progress(run: &Value) -> Option<String> {
    let percent = run["progress_percent"].as_f64()?;
    let rate = run["rate_per_hour"].as_f64();
    Some(match (rate, run["progress_source"].as_str()) {
        (Some(rate), _) => format!("{percent:.0} % {}/h", count(rate)),
        (None, Some("time")) => format!("{percent:.0} % of time"),
        (None, _) => format!("{percent:.0} %"),
    })
}

/// `950`, `3.1k`, `24k`, `1.5M`.
fn count(number: f64) -> String {
    match number {
        small if small < 9.95 => format!("{small:.1}"),
        small if small < 999.5 => format!("{small:.0}"),
        small if small < 9_950.0 => format!("{:.1}k", small / 1e3),
        middling if middling < 999_500.0 => format!("{:.0}k", middling / 1e3),
        large => format!("{:.1}M", large / 1e6),
    }
}

pub(super) fn holds_of(run: &Value) -> Vec<&str> {
    let holds = run["holds"].as_array().into_iter().flatten();
    holds.filter_map(Value::as_str).collect()
}

pub(super) fn is_held_by_hand(run: &Value) -> bool {
    holds_of(run).contains(&"operator")
}

pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Seconds that another process told of, in words.
pub(super) fn span(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(run: &Value) -> String {
        state_words(run, "2026-11-24T17:00:00Z".parse().unwrap(), &TimeZone::UTC)
    }

    #[test]
    fn each_state_reads_as_what_happens_next() {
        let until = "2026-11-24T18:30:00Z";
        for (run, expected) in [
            (
                json!({ "state": "held", "until": until, "holds": ["carbon"] }),
                "held until 18:30 (plan)",
            ),
            (
                json!({ "state": "paused", "until": until, "holds": ["operator"] }),
                "paused by hand",
            ),
            (
                json!({ "state": "paused", "holds": ["terminal"] }),
                "paused (terminal)",
            ),
            (json!({ "state": "saving" }), "saving before a pause"),
            (
                json!({ "state": "released", "until": until }),
                "left, starts again at 18:30",
            ),
            (
                json!({ "state": "retrying", "until": until, "exit": { "code": 1 } }),
                "failed with 1, tries again at 18:30",
            ),
            (
                json!({ "state": "retrying", "exit": { "signal": 9 } }),
                "failed by signal 9, tries again",
            ),
            (json!({ "state": "running", "until": until }), "running"),
            (
                json!({ "state": "queued", "until": until, "slurm": { "is_planned": true } }),
                "queued until 18:30 (plan)",
            ),
            (
                json!({ "state": "queued", "slurm": { "reason": "Resources" } }),
                "queued: Resources",
            ),
            (
                json!({ "state": "requeued", "until": until, "slurm": { "is_planned": false } }),
                "requeued until 18:30",
            ),
            (json!({ "state": "held by you" }), "held by you"),
            (
                json!({ "state": "submitted", "until": until }),
                "submitted, to start at 18:30",
            ),
            (
                json!({ "state": "gone", "next": "catrain continue r7k2" }),
                "gone: catrain continue r7k2",
            ),
            (json!({ "state": "\u{1b}[2J" }), "\\u{1b}[2J"),
        ] {
            assert_eq!(words(&run), expected);
        }
    }

    #[test]
    fn a_table_has_a_line_a_run_and_a_dash_for_what_is_not_known() {
        let runs = [
            json!({
                "id": "r7k2", "name": "finetune", "state": "paused", "until": "2026-11-24T18:00:00Z",
                "holds": ["carbon"], "now": "2026-11-24T17:00:00Z", "state_for_s": 720.0,
                "progress_percent": 61.2, "rate_per_hour": 3120.0, "progress_source": "file",
                "done_about": "2026-11-24T20:10:00Z", "deadline": "2026-11-25T09:00:00Z",
                "now_g_per_kwh": 431.2, "saves_g": 264.0,
            }),
            json!({ "id": "m3q9", "name": "eval", "state": "running", "state_for_s": 7500.0 }),
        ];
        let now = "2026-11-24T17:00:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&runs, now, &TimeZone::UTC), @r"
        RUN   NAME      STATE                      SINCE    PROGRESS     DONE ABOUT  DUE        NOW  SAVED
        r7k2  finetune  paused until 18:00 (plan)  12 m     61 % 3.1k/h  20:10       Wed 09:00  431  264 g
        m3q9  eval      running                    2 h 5 m  -            -           -          -    -
        ");
    }

    #[test]
    fn a_job_has_a_column_and_its_nodes_one_row() {
        let slurm = |node: &str, follows: Option<&str>| json!({ "job": 17, "task": 3, "node": node, "nodes": 2, "follows": follows });
        let run = |id: &str, slurm: Value| json!({ "id": id, "name": "a", "state": "running", "ok": true, "slurm": slurm });
        let mut runs = vec![
            run("r7k2", slurm("n1", None)),
            run("m3q9", slurm("n2", Some("r7k2"))),
            json!({
                "id": "slurm:18", "name": "b", "state": "queued", "ok": false,
                "slurm": { "job": 18, "tasks": [0, 1, 2], "nodes": 1, "reason": "Resources" },
            }),
            json!({ "id": "q2w3", "name": "c", "state": "running" }),
        ];
        let now = "2026-11-24T17:00:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&runs, now, &TimeZone::UTC), @r"
        RUN       NAME  JOB            STATE              SINCE  PROGRESS  DONE ABOUT  DUE  NOW  SAVED
        r7k2      a     17_3, 2 nodes  running            -      -         -           -    -    -
        slurm:18  b     18, 3 tasks    queued: Resources  -      -         -           -    -    -
        q2w3      c     -              running            -      -         -           -    -    -
        ");
        // A node of it with a trouble of its own is not folded away.
        runs[1]["ok"] = false.into();
        runs[1]["state"] = "supervisor was killed".into();
        assert!(table(&runs, now, &TimeZone::UTC).contains("m3q9"));
    }

    #[test]
    fn numbers_that_no_run_can_have_are_no_panic() {
        let run = json!({ "id": "r7k2", "state": "held", "state_for_s": -1e300, "saves_g": 1e300 });
        let now = "2026-11-24T17:00:00Z".parse().unwrap();
        assert!(table(&[run], now, &TimeZone::UTC).contains("0 s"));
        let counts = [0.4, 950.0, 3_120.0, 24_000.0, 1.5e6].map(count);
        assert_eq!(counts, ["0.4", "950", "3.1k", "24k", "1.5M"]);
    }
}
