//! `catrain simulate`, whole: from files and flags to tables, documents and pictures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Output;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::child::Running;
use super::support::pty::Pty;
use super::support::{SOON, Sandbox, fixture, process, wait_until};

/// The daily forecasts of twelve days, with what came.
fn germany() -> String {
    fixture("DE_2021-11.csv").display().to_string()
}

fn simulate(sandbox: &Sandbox, line: &str) -> Output {
    let words = line.split_whitespace();
    let mut command = sandbox.catrain(["simulate"]);
    command.args(words).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn document(sandbox: &Sandbox, line: &str) -> Value {
    let output = simulate(sandbox, &format!("{line} --format json"));
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(document["schema"], "catrain.simulate/1");
    document
}

/// The rows of a document by policy; of one cell.
fn rows(document: &Value) -> BTreeMap<String, Value> {
    let rows = document["rows"].as_array().unwrap();
    let by_policy = |row: &Value| (row["policy"].as_str().unwrap().to_owned(), row.clone());
    let map: BTreeMap<String, Value> = rows.iter().map(by_policy).collect();
    assert_eq!(map.len(), rows.len(), "one cell: {document:#}");
    map
}

#[track_caller]
fn number(row: &Value, name: &str) -> f64 {
    row[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name} is no number in {row:#}"))
}

/// An hourly trace of these intensities from the first of June 2021 on.
fn trace(sandbox: &Sandbox, values: &[f64]) -> PathBuf {
    let mut text = "datetime,carbon_intensity_gco2_per_kwh\n".to_owned();
    for (hour, value) in values.iter().enumerate() {
        let (day, hour) = (hour / 24 + 1, hour % 24);
        writeln!(text, "2021-06-{day:02}T{hour:02}:00:00Z,{value}").unwrap();
    }
    sandbox.write("trace.csv", &text)
}

/// What went wrong, as it is said.
#[track_caller]
fn refused(sandbox: &Sandbox, line: &str, code: i32) -> String {
    let output = simulate(sandbox, line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(
        output.stdout.is_empty() && !said.contains("panicked"),
        "{said}"
    );
    said
}

#[test]
fn a_table_has_a_row_a_policy_and_cell_and_what_they_mean_together() {
    let sandbox = Sandbox::new();
    let line = format!("--forecasts {} -d 6h --slack 6h,12h --every 12h", germany());
    insta::assert_snapshot!(stdout(&simulate(&sandbox, &line)), @r"
    DE · 6 h of work, 6 h of slack · 29 jobs, 174 running hours covered
    policy               emitted   saved  share     delay       p99 pauses  missed
    now                  21.9 kg   0.0 %   0.00       0 s       0 s    0.0    none
    k-lowest             21.2 kg   3.0 %   0.78  5 h 37 m   6 h 4 m    0.9      24
    window               21.5 kg   1.7 %   0.45  1 h 37 m  4 h 15 m    0.0    none
    plan                 21.5 kg   1.9 %   0.48   3 h 3 m  4 h 17 m    0.5    none
    oracle               21.1 kg   3.9 %   1.00  3 h 33 m       6 h    0.3    none
      k-lowest: late by up to 4 m

    DE · 6 h of work, 12 h of slack · 29 jobs, 174 running hours covered
    policy               emitted   saved  share     delay       p99 pauses  missed
    now                  21.9 kg   0.0 %   0.00       0 s       0 s    0.0    none
    k-lowest             20.7 kg   5.5 %   0.80  8 h 28 m  12 h 2 m    0.8       3
    window               20.8 kg   5.0 %   0.72  5 h 12 m 10 h 15 m    0.0    none
    plan                 20.7 kg   5.3 %   0.77   7 h 8 m 10 h 17 m    0.6    none
    oracle               20.4 kg   6.9 %   1.00  6 h 46 m      12 h    0.2    none
      k-lowest: late by up to 2 m

    all 2 cells, each counted alike
    policy                 saved   share     delay    worse than now  missed
    now                   0.00 %   0.000       0 s       0 % of jobs    none
    k-lowest              4.26 %   0.793   7 h 3 m      34 % of jobs      27
    window                3.36 %   0.625  3 h 24 m      10 % of jobs    none
    plan                  3.59 %   0.667   5 h 6 m      26 % of jobs    none
    oracle                5.38 %   1.000   5 h 9 m       0 % of jobs    none

    idle power 0 W; a resume costs 2 m; decisions every 1 h; saved: against now;
    share: of what the oracle saves
    ");
}

#[test]
fn emissions_are_those_of_the_trace_at_the_times_that_were_chosen() {
    let sandbox = Sandbox::new();
    // A kilowatt, so that an hour emits the hour's number.
    let path = trace(
        &sandbox,
        &[500.0, 400.0, 310.0, 100.0, 300.0, 200.0, 600.0, 600.0],
    );
    let line = format!(
        "--trace {} -d 2h --slack 4h --every 24h --power 1000 --resume-cost 0 --min-run 0 \
         --min-pause 0 --duration-exact --policy now,window:perfect,k-lowest:perfect,plan:perfect,oracle",
        path.display()
    );
    let rows = rows(&document(&sandbox, &line));
    let grams = |policy: &str| number(&rows[policy], "grams").round();
    assert_eq!(grams("now"), 900.0);
    // 03:00 to 05:00 is cheaper than any other two hours in a row.
    assert_eq!(grams("window:perfect"), 400.0);
    assert_eq!(grams("k-lowest:perfect"), 300.0);
    assert_eq!(grams("oracle"), 300.0);
    assert!((grams("plan:perfect") - 300.0).abs() < 30.0);
    assert_eq!(number(&rows["oracle"], "pauses_mean"), 1.0);
    assert_eq!(number(&rows["oracle"], "delay_mean_s"), 4.0 * 3600.0);
    assert_eq!(
        number(&rows["window:perfect"], "delay_mean_s"),
        3.0 * 3600.0
    );
    assert_eq!(number(&rows["oracle"], "regret_g"), 0.0);
    assert_eq!(number(&rows["now"], "regret_g").round(), 600.0);
}

#[test]
fn stops_cost_what_they_are_said_to_cost() {
    let sandbox = Sandbox::new();
    let path = trace(
        &sandbox,
        &[100.0, 900.0, 900.0, 100.0, 100.0, 100.0, 100.0, 100.0],
    );
    let line = format!(
        "--trace {} -d 2h --slack 4h --every 24h --power 1000 --idle-power 10% --pause-cost 6m \
         --resume-cost 12m --min-run 0 --min-pause 0 --duration-exact --policy k-lowest:perfect",
        path.display()
    );
    let rows = rows(&document(&sandbox, &line));
    // An hour, six minutes of saving at 900, idle until 03:00, then twelve minutes and an hour.
    let saving = 900.0 * 0.1;
    let idle = 0.1 * (900.0 * 1.9);
    let wanted = 100.0 + saving + idle + 100.0 * 1.2;
    let grams = number(&rows["k-lowest:perfect"], "grams");
    assert!((grams - wanted).abs() < 1e-6, "{grams} is not {wanted}");
    assert_eq!(number(&rows["k-lowest:perfect"], "delay_mean_s"), 7920.0);
}

#[test]
fn the_oracle_is_beaten_by_none_and_a_plan_with_the_future_known_comes_near() {
    let sandbox = Sandbox::new();
    let line = format!(
        "--forecasts {} -d 6h,12h --slack 12h,24h --every 29h --resume-cost 0 --min-run 0 --min-pause 0 \
         --duration-exact --idle-power 5% \
         --policy now,k-lowest,k-lowest:perfect,window,window:perfect,threshold:p30,plan,plan:history,plan:perfect,oracle",
        germany()
    );
    for row in document(&sandbox, &line)["rows"].as_array().unwrap() {
        assert!(number(row, "regret_g") > -1e-6, "{row:#}");
        if row["policy"] == "plan:perfect" {
            assert!(number(row, "share_of_oracle") > 0.97, "{row:#}");
        }
        assert_eq!(number(row, "missed"), 0.0, "{row:#}");
        assert_eq!(number(row, "uncovered_h"), 0.0);
    }
}

#[test]
fn a_policy_sees_nothing_that_comes_after_its_present() {
    let sandbox = Sandbox::new();
    let original = std::fs::read_to_string(germany()).unwrap();
    let mut changed = String::new();
    for line in original.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let is_row = line.starts_with("2021");
        if is_row && fields[0] >= "2021-11-16" {
            writeln!(changed, "{},{},7,{}", fields[0], fields[1], fields[3]).unwrap();
        } else if is_row && fields[1] >= "2021-11-16" {
            writeln!(changed, "{},{},{},9000", fields[0], fields[1], fields[2]).unwrap();
        } else {
            writeln!(changed, "{line}").unwrap();
        }
    }
    let changed = sandbox.write("DE_changed.csv", &changed.replace(",9000", ",11"));
    // All of these have to be done before the sixteenth.
    let line = |path: &str| {
        format!(
            "--forecasts {path} -d 8h --slack 16h --every 7h --until 2021-11-15 \
             --policy plan,window,threshold:p30,k-lowest"
        )
    };
    let (before, after) = (
        document(&sandbox, &line(&germany())),
        document(&sandbox, &line(&changed.display().to_string())),
    );
    assert_eq!(before["rows"], after["rows"]);
}

#[test]
fn history_looks_at_no_forecast_and_a_trace_alone_has_none() {
    let sandbox = Sandbox::new();
    let shape = "-d 8h --slack 16h --every 11h --policy";
    let of = |files: &str, policy: &str| {
        let document = document(&sandbox, &format!("{files} {shape} {policy}"));
        let row = &document["rows"][0];
        (number(row, "grams"), number(row, "delay_mean_s"))
    };
    let forecasts = format!("--forecasts {}", germany());
    let trace = format!("--trace {}", germany());
    let history = of(&forecasts, "plan:history");
    assert_eq!(history, of(&trace, "plan"));
    assert_eq!(history, of(&trace, "plan:history"));
    assert_ne!(history, of(&forecasts, "plan"));
}

#[test]
fn any_number_of_threads_gives_the_same_figures() {
    let sandbox = Sandbox::new();
    let of = |threads: usize| {
        let line = format!(
            "--forecasts {} -d 6h --slack 12h,24h --every 23h --duration-error 20% --rate-noise 2% \
             --outage 5h@2d --threads {threads}",
            germany()
        );
        document(&sandbox, &line)
    };
    let one = of(1);
    assert_eq!(one, of(3));
    assert_eq!(one, of(64));
}

#[test]
fn what_is_random_follows_the_seed() {
    let sandbox = Sandbox::new();
    let of = |seed: u64| {
        let line = format!(
            "--forecasts {} -d 12h --slack 12h --every 9h --duration-error 20% --rate-noise 2% \
             --seed {seed} --policy now",
            germany()
        );
        number(&document(&sandbox, &line)["rows"][0], "grams")
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn deadlines_hold_where_jobs_take_a_fifth_longer_and_news_fails() {
    let sandbox = Sandbox::new();
    let line = format!(
        "--forecasts {} -d 12h --slack 12h,24h --every 13h --duration-error 20% --rate-noise 2% \
         --outage 12h@2d --policy plan,plan:history,window,threshold:p30",
        germany()
    );
    for row in document(&sandbox, &line)["rows"].as_array().unwrap() {
        assert_eq!(number(row, "missed"), 0.0, "{row:#}");
    }
}

#[test]
fn a_job_of_unknown_length_never_exceeds_the_delay_it_may_take() {
    let sandbox = Sandbox::new();
    for slack in ["", "--slack 10h", "--slack 0"] {
        let line = format!(
            "--forecasts {} -d 1h,30h --every 17h --unknown-duration {slack} --policy plan,plan:profile",
            germany()
        );
        for row in document(&sandbox, &line)["rows"].as_array().unwrap() {
            assert_eq!(number(row, "missed"), 0.0, "{slack}: {row:#}");
            if slack == "--slack 0" {
                assert_eq!(number(row, "delay_mean_s"), 0.0, "{row:#}");
            }
        }
    }
}

#[test]
fn a_jobs_file_gives_one_row_a_policy_over_all_of_them() {
    let sandbox = Sandbox::new();
    let path = trace(
        &sandbox,
        &[500.0, 400.0, 300.0, 100.0, 300.0, 100.0, 600.0, 600.0],
    );
    let jobs = sandbox.write(
        "jobs.csv",
        "job_id,arrival,duration_minutes,deadline,power_w,interruptible\n\
         a,2021-06-01T00:00:00Z,120,2021-06-01T06:00:00Z,1000,yes\n\
         b,2021-06-01T00:00:00Z,120,2021-06-01T06:00:00Z,2000,no\n",
    );
    let line = format!(
        "--trace {} --jobs {} --resume-cost 0 --min-run 0 --min-pause 0 --policy now,oracle",
        path.display(),
        jobs.display()
    );
    let document = document(&sandbox, &line);
    let rows = rows(&document);
    assert_eq!(number(&rows["now"], "grams"), 3.0 * 900.0);
    assert_eq!(number(&rows["oracle"], "grams"), 200.0 + 2.0 * 400.0);
    assert_eq!(number(&rows["oracle"], "jobs"), 2.0);
    assert_eq!(number(&rows["oracle"], "pauses_mean"), 0.5);
    assert_eq!(rows["oracle"]["duration_h"], Value::Null);
}

#[test]
fn jobs_that_cannot_be_judged_are_counted_and_named() {
    let sandbox = Sandbox::new();
    let mut values = vec![300.0; 48];
    values[0] = 500.0;
    let path = trace(&sandbox, &values);
    let text = std::fs::read_to_string(&path).unwrap();
    // A hole at noon of the first day.
    let holed: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("01T12:"))
        .collect();
    let path = sandbox.write("holed.csv", &holed.join("\n"));
    let jobs = sandbox.write(
        "jobs.csv",
        "job_id,arrival,duration_minutes,deadline\n\
         fine,2021-06-02T00:00:00Z,60,2021-06-02T06:00:00Z\n\
         early,2021-05-31T00:00:00Z,60,2021-06-01T06:00:00Z\n\
         long,2021-06-02T20:00:00Z,60,2021-06-03T06:00:00Z\n\
         tight,2021-06-02T00:00:00Z,60,2021-06-02T00:30:00Z\n\
         holed,2021-06-01T10:00:00Z,60,2021-06-01T16:00:00Z\n",
    );
    let line = format!(
        "--trace {} --jobs {} --policy now",
        path.display(),
        jobs.display()
    );
    let document = document(&sandbox, &line);
    assert_eq!(document["rows"][0]["jobs"], 1);
    let why = |id: &str| {
        let unjudged = document["unjudged"].as_array().unwrap();
        let job = unjudged.iter().find(|job| job["job_id"] == id).unwrap();
        job["why"].as_str().unwrap().to_owned()
    };
    assert_eq!(document["unjudged"].as_array().unwrap().len(), 4);
    assert_eq!(why("early"), "arrives before the data begins");
    assert_eq!(why("long"), "may end after the data does");
    assert_eq!(
        why("tight"),
        "takes longer than from its arrival to its deadline"
    );
    assert_eq!(
        why("holed"),
        "no intensity is known at 2021-06-01T12:00:00Z"
    );
    let table = stdout(&simulate(&sandbox, &line));
    assert!(
        table.contains("4 jobs cannot be judged and are in no row:"),
        "{table}"
    );
    assert!(
        table.contains("`holed` in holed: no intensity is known at"),
        "{table}"
    );
}

#[test]
fn bad_input_is_named_with_its_place_and_what_to_do() {
    let sandbox = Sandbox::new();
    let germany = germany();
    let said = |line: &str, code: i32| refused(&sandbox, line, code);

    let text = said("-d 6h", 2);
    assert!(
        text.contains("nothing to simulate on") && text.contains("--trace FILE"),
        "{text}"
    );
    let text = said(&format!("--forecasts {germany}"), 2);
    assert!(
        text.contains("no workload") && text.contains("-d 6h,24h"),
        "{text}"
    );
    let text = said(
        &format!("--forecasts {germany} -d 6h --policy plan,cheapest"),
        2,
    );
    assert!(
        text.contains("unknown policy `cheapest`; known: now, plan"),
        "{text}"
    );
    let text = said(
        &format!("--forecasts {germany} -d 6h --policy threshold:p300"),
        2,
    );
    assert!(text.contains("between p0 and p100"), "{text}");
    let text = said(
        &format!("--forecasts {germany} -d 6h --policy now:history"),
        2,
    );
    assert!(text.contains("unknown policy `now:history`"), "{text}");
    let text = said(&format!("--forecasts {germany} -d 60d"), 2);
    assert!(
        text.contains("no job of 60 d fits into the data of DE"),
        "{text}"
    );
    let text = said(&format!("--forecasts {germany},{germany} -d 6h -z FR"), 2);
    assert!(
        text.contains("no file is of zone FR; they are of DE"),
        "{text}"
    );
    let text = said(&format!("--forecasts {germany} -d 6h -z DEE"), 2);
    assert!(
        text.contains("unknown zone `DEE`") && text.contains("did you mean"),
        "{text}"
    );
    let text = said(
        &format!("--forecasts {germany} -d 6h,12h --slack 6h --paired"),
        2,
    );
    assert!(
        text.contains("--paired: 2 durations and 1 slacks"),
        "{text}"
    );
    let text = said(&format!("--forecasts {germany} -d 6h --outage 3d@6h"), 2);
    assert!(text.contains("would never end"), "{text}");
    let text = said(&format!("--forecasts {germany} -d 6h --from tomorrow"), 2);
    assert!(text.contains("--from: `tomorrow` is not a time"), "{text}");
    let text = said(&format!("--forecasts {germany} -d 6h --plot x.svg"), 2);
    assert!(text.contains("--plot draws against the slack"), "{text}");
    let text = said(&format!("--trace {germany} -d 6h --horizon 24h"), 2);
    assert!(text.contains("--horizon cuts issued forecasts"), "{text}");
    let text = said("--run zzzz", 1);
    assert!(text.contains("no run"), "{text}");

    let path = trace(&sandbox, &[1.0, 2.0, 3.0]);
    let text = said(&format!("--forecasts {} -d 1h", path.display()), 1);
    assert!(
        text.contains("holds no forecasts") && text.contains("--trace"),
        "{text}"
    );
    let text = said(
        &format!("--trace {} -d 1h --profiles {germany}", path.display()),
        1,
    );
    assert!(
        text.contains("line 5: expected zone,month,hour_utc,mean"),
        "{text}"
    );
    let empty = sandbox.write("empty/.keep", "");
    let text = said(
        &format!("--forecasts {} -d 1h", empty.parent().unwrap().display()),
        2,
    );
    assert!(text.contains("has no .csv file in it"), "{text}");

    let unsaid = sandbox.write(
        "DE_unsaid.csv",
        "issued_at,target_time,forecast\n2021-06-01T00:00:00Z,2021-06-01T00:00:00Z,300\n",
    );
    let text = said(&format!("--forecasts {} -d 1h", unsaid.display()), 1);
    assert!(text.contains("does not say what came"), "{text}");

    for (rows, wanted) in [
        (
            "job_id,arrival\na,2021-06-01T00:00:00Z\n",
            "has no column `duration_minutes`",
        ),
        ("job_id,arrival,duration_minutes\n", "has no job in it"),
        (
            "job_id,arrival,duration_minutes\na,2021-06-01T00:00:00Z,0\n",
            "line 2: `0` is no number of minutes above 0",
        ),
        (
            "job_id,arrival,duration_minutes\nb,2021-06-01,60\n",
            "line 2: `2021-06-01` is no time such as",
        ),
        (
            "job_id,arrival,duration_minutes,interruptible\na,2021-06-01T00:00:00Z,60,maybe\n",
            "line 2: interruptible is `maybe`, not yes or no",
        ),
        (
            "job_id,arrival,duration_minutes,power_w\na,2021-06-01T00:00:00Z,60,-3\n",
            "line 2: `-3` is no power in watts above 0",
        ),
        (
            "job_id,arrival,duration_minutes\na,2021-06-01T00:00:00Z,60,7\n",
            "line 2: ",
        ),
        (
            "job_id,arrival,duration_minutes\na,2031-06-01T00:00:00Z,60\n",
            "none of 1 jobs can be judged",
        ),
    ] {
        let jobs = sandbox.write("bad.csv", rows);
        let text = said(
            &format!("--trace {} --jobs {}", path.display(), jobs.display()),
            1,
        );
        assert!(text.contains(wanted), "{rows}{text}");
    }
}

#[test]
fn the_picture_has_a_line_a_policy_and_no_scripts() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("saved.svg");
    let line = format!(
        "--forecasts {} -d 6h --slack 6h,12h,24h --every 19h --policy now,plan,oracle --plot {}",
        germany(),
        path.display()
    );
    stdout(&simulate(&sandbox, &line));
    let picture = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        picture.matches("<path class=\"line\"").count(),
        3,
        "{picture}"
    );
    assert_eq!(picture.matches("<circle").count(), 9);
    assert!(picture.contains(">24 h</text>") && picture.contains(">oracle</text>"));
    assert!(picture.contains("plan, 12 h of slack: "));
    assert!(!picture.contains("script") && !picture.contains("NaN"));
}

#[test]
fn worlds_of_different_steps_have_no_tick_in_common() {
    let sandbox = Sandbox::new();
    let mut text = "datetime,carbon_intensity_gco2_per_kwh\n".to_owned();
    for half in 0..96 {
        let (day, hour, minute) = (half / 48 + 1, half / 2 % 24, half % 2 * 30);
        writeln!(
            text,
            "2021-06-{day:02}T{hour:02}:{minute:02}:00Z,{}",
            100 + half
        )
        .unwrap();
    }
    let halves = sandbox.write("halves.csv", &text);
    let line = format!(
        "--trace {},{} -d 6h --policy now",
        germany(),
        halves.display()
    );
    assert_eq!(document(&sandbox, &line)["settings"]["tick_s"], Value::Null);
    let table = stdout(&simulate(&sandbox, &line));
    assert!(
        table.contains("decisions every step of the data"),
        "{table}"
    );
    let alone = document(
        &sandbox,
        &format!("--trace {} -d 6h --policy now", halves.display()),
    );
    assert_eq!(alone["settings"]["tick_s"], 1800.0);
}

#[test]
fn csv_has_the_names_of_the_document() {
    let sandbox = Sandbox::new();
    let line = format!("--forecasts {} -d 6h --slack 6h --policy now", germany());
    let rows = document(&sandbox, &line)["rows"][0].clone();
    let csv = stdout(&simulate(&sandbox, &format!("{line} --format csv")));
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let mut names: Vec<&str> = rows
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut sorted = header.clone();
    sorted.sort_unstable();
    names.sort_unstable();
    assert_eq!(sorted, names);
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

#[test]
fn ctrl_c_prints_what_is_done_so_far() {
    let sandbox = Sandbox::new();
    let line = format!(
        "simulate --forecasts {} -d 6h --slack 24h --every 1m --tick 5m --threads 2 --policy plan",
        germany()
    );
    let mut running = Running::start(&mut sandbox.catrain(line.split_whitespace()));
    let pid = running.pid();
    wait_until("jobs are lived out", SOON, || {
        std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() == 3)
    });
    process::send(pid, Signal::SIGINT);
    let ended = running.wait(SOON);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("interrupted: "), "{ended:?}");
    assert!(ended.stderr.contains(" jobs are done"), "{ended:?}");
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let sandbox = Sandbox::new();
    let catrain = env!("CARGO_BIN_EXE_catrain");
    let germany = germany();
    let line = format!(
        "{catrain} simulate --forecasts {germany} -d 6h --slack 24h --every 1m --tick 5m --policy plan"
    );
    let words: Vec<&str> = line.split(' ').collect();
    let mut terminal = Pty::start(&sandbox, &words);
    terminal.expect(" jobs", SOON);
    terminal.expect(" left", SOON);
    terminal.send(super::support::pty::CTRL_C);
    terminal.expect("interrupted: ", SOON);
    assert_eq!(terminal.wait(SOON).code(), Some(1));
}

/// A recorded run lived out again under the policy that it had goes as it went.
#[test]
fn a_run_of_ones_own_is_lived_out_under_other_policies() {
    let sandbox = Sandbox::new();
    let replay = format!("{}@2021-11-16T16:00", germany());
    let run = sandbox
        .catrain([
            "run",
            "--replay",
            &replay,
            "--speed",
            "36000",
            "-d",
            "5h",
            "--deadline",
            "+20h",
            "--power",
            "300",
            "--",
            "sleep",
            "0.5",
        ])
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let line = format!(
        "--run latest --forecasts {} --policy now,plan,oracle",
        germany()
    );
    let lived = document(&sandbox, &line);
    let lived = rows(&lived);
    let (recorded, plan) = (&lived["recorded"], &lived["plan"]);
    let (real, simulated) = (
        number(recorded, "saved_percent"),
        number(plan, "saved_percent"),
    );
    assert!(
        (real - simulated).abs() < 3.0,
        "{real} % was, {simulated} % is simulated: {lived:#?}"
    );
    assert!(number(&lived["now"], "regret_g") > number(plan, "regret_g"));
    // What the ledger knows, and usual days around it.
    let text = stdout(&simulate(&sandbox, "--run latest --policy now,plan,oracle"));
    assert!(
        text.contains("300 W on average, due 20 h after its start"),
        "{text}"
    );
    assert!(
        text.contains("the built-in usual day stands for what came"),
        "{text}"
    );
    for (line, wanted) in [
        (
            "--outage 6h@3d",
            "--outage says how files are seen, and there is none",
        ),
        ("--no-learning", "--no-learning says how files are seen"),
        ("--slack 6h,12h", "with --run only one --slack makes sense"),
        ("--every 3h", "cannot be used with"),
    ] {
        let text = refused(&sandbox, &format!("--run latest {line}"), 2);
        assert!(text.contains(wanted), "{text}");
    }
    let twice = document(&sandbox, &format!("{line} --power 600"));
    let twice = rows(&twice);
    assert!(!twice.contains_key("recorded"), "it drew less");
    let double = number(&twice["now"], "grams") / number(&lived["now"], "grams");
    assert!((double - 2.0).abs() < 1e-6, "{double}");
    let moved = document(&sandbox, "--run latest -z SE,PL --policy now");
    let grams = |at: usize| number(&moved["rows"][at], "grams");
    assert!(
        grams(0) * 5.0 < grams(1),
        "Sweden is cleaner than Poland: {moved:#}"
    );
    let starts = "--start 2021-11-12T06:00 --start 2021-11-13";
    let moved = document(&sandbox, &format!("{line} {starts}"));
    assert_eq!(moved["rows"].as_array().unwrap().len(), 6, "{moved:#}");
    assert_eq!(moved["rows"][3]["start"], "2021-11-13T00:00:00Z");
}
