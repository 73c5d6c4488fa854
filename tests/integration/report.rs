//! `catrain report` over a state directory.

use std::fs;
use std::io;
use std::path::Path;

use catrain::cli::{ReportArgs, ReportFormat as Format};
use catrain::command::report::run;
use catrain::error::{Failure, Kind};
use catrain::words::Look;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const V1: &str = include_str!("../fixtures/ledger_v1.jsonl");

fn state(runs: &[(&str, &str)]) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    for (id, text) in runs {
        let directory = state.path().join("runs").join(id);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("ledger.jsonl"), text.replace("r7k2", id)).unwrap();
    }
    state
}

fn report(args: &ReportArgs, state: &Path) -> (String, Result<(), Failure>) {
    let mut out = Vec::new();
    // Nobody is asked.
    let args = &ReportArgs {
        offline: true,
        ..args.clone()
    };
    let now: Timestamp = "2026-11-25T07:00:00Z".parse().unwrap();
    let ended = run(
        args,
        Look::PLAIN,
        &mut out,
        now,
        &TimeZone::UTC,
        state,
        None,
    );
    (String::from_utf8(out).unwrap(), ended)
}

fn of(runs: &[&str]) -> ReportArgs {
    ReportArgs {
        runs: runs.iter().map(|run| (*run).to_owned()).collect(),
        ..ReportArgs::default()
    }
}

fn failure(args: &ReportArgs, state: &Path) -> Failure {
    report(args, state).1.unwrap_err()
}

#[test]
fn the_latest_run_is_reported_when_none_is_named() {
    let later = V1.replace("2026-11-2", "2026-11-1");
    let state = state(&[("r7k2", V1), ("m3q9", &later)]);
    let (text, ended) = report(&of(&[]), state.path());
    ended.unwrap();
    assert!(text.starts_with("r7k2  finetune  DE"), "{text}");
}

#[test]
fn json_has_each_run_once_and_totals() {
    let state = state(&[("r7k2", V1), ("m3q9", V1)]);
    let args = ReportArgs {
        format: Format::Json,
        ..of(&["r7", "m3q9", "latest"])
    };
    let (text, ended) = report(&args, state.path());
    ended.unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "catrain.report/1");
    assert_eq!(document["runs"].as_array().unwrap().len(), 2);
    assert_eq!(document["totals"]["runs"], 2);
    assert_eq!(document["totals"]["energy_kwh"]["total"], 4.82);
}

#[test]
fn without_runs_it_says_how_to_make_one() {
    let state = tempfile::tempdir().unwrap();
    let failure = failure(&of(&[]), state.path());
    assert_eq!(failure.kind, Kind::Failed);
    assert_eq!(
        failure.to_string(),
        "no runs yet\n  hint: make one: catrain run --zone DE -- python train.py"
    );
}

#[test]
fn an_unknown_run_names_the_nearest() {
    let state = state(&[("r7k2", V1)]);
    let failure = failure(&of(&["r7k3"]), state.path());
    assert_eq!(failure.kind, Kind::Usage);
    assert_eq!(
        failure.to_string(),
        "no run `r7k3`\n  hint: the nearest are r7k2"
    );
}

#[test]
fn a_run_that_was_cut_off_is_reported_as_unfinished() {
    let cut = &V1[..V1.len() - 10];
    let (text, ended) = report(&of(&[]), state(&[("r7k2", cut)]).path());
    ended.unwrap();
    assert!(text.contains("has no recorded end"), "{text}");
    assert!(text.contains("a last line was cut off"), "{text}");
}

#[test]
fn a_broken_ledger_is_named_and_does_not_hide_the_others() {
    let mut lines: Vec<&str> = V1.lines().collect();
    lines[4] = "nonsense";
    let broken = format!("{}\n", lines.join("\n"));
    let state = state(&[("r7k2", V1), ("m3q9", &broken)]);
    let (text, ended) = report(&of(&["r7k2", "m3q9"]), state.path());
    assert!(text.contains("r7k2  finetune"), "{text}");
    let failure = ended.unwrap_err();
    assert_eq!(failure.kind, Kind::Failed);
    assert!(
        failure.to_string().contains("m3q9/ledger.jsonl:5: "),
        "{failure}"
    );
}

#[test]
fn times_select_runs_and_wrong_ones_are_told() {
    let state = state(&[("r7k2", V1)]);
    let since = |time: &str| ReportArgs {
        since: Some(time.to_owned()),
        ..of(&[])
    };
    for time in ["2026-11-24", "2026-11-24 16:00", "2026-11-24T17:00:00Z"] {
        report(&since(time), state.path()).1.unwrap();
    }
    let failure_of = |time: &str| failure(&since(time), state.path()).to_string();
    assert!(failure_of("2026-11-25").starts_with("no runs in that time"));
    assert!(failure_of("yesteryear").starts_with("--since: `yesteryear` is not a time"));
}

#[test]
fn a_report_goes_to_a_file_when_asked() {
    let state = state(&[("r7k2", V1)]);
    let file = state.path().join("report.txt");
    let args = ReportArgs {
        output: Some(file.clone()),
        ..of(&[])
    };
    let (text, ended) = report(&args, state.path());
    ended.unwrap();
    assert_eq!(text, "");
    assert!(fs::read_to_string(file).unwrap().starts_with("r7k2"));
}

/// A reader that went away.
struct Gone;

impl io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let state = state(&[("r7k2", V1)]);
    let now: Timestamp = "2026-11-25T07:00:00Z".parse().unwrap();
    run(
        &of(&[]),
        Look::PLAIN,
        &mut Gone,
        now,
        &TimeZone::UTC,
        state.path(),
        None,
    )
    .unwrap();
}
