use std::fs;

use super::*;
use crate::report::tests as ledgers;

/// The summary of a record that is as told.
fn run(ledger: &Ledger, is_chained: bool, is_written: bool) -> Summary {
    let mut summary = ledgers::summary(ledger);
    summary.record = Some(Record {
        is_chained: Some(is_chained),
        head: None,
        is_written: Some(is_written),
    });
    summary
}

#[test]
fn a_record_that_was_changed_is_warned_of_in_every_format() {
    let formats = [
        Format::Text,
        Format::Json,
        Format::Csv,
        Format::Html,
        Format::Md,
        Format::Codecarbon,
        Format::Prometheus,
    ];
    for format in formats {
        let changed = run(&ledgers::example(), false, false);
        assert_eq!(
            warnings(format, &changed),
            ["the record of r7k2 was changed after it was written: catrain report r7k2 --verify"]
        );
        assert!(warnings(format, &run(&ledgers::example(), true, false)).is_empty());
    }
}

#[test]
fn tables_that_cannot_say_that_a_run_has_no_end_are_said_to_be_lower_bounds() {
    let goes_on = run(&ledgers::unfinished(), true, true);
    let killed = run(&ledgers::unfinished(), true, false);
    for format in [Format::Csv, Format::Codecarbon] {
        assert_eq!(
            warnings(format, &goes_on),
            ["r7k2 is running: its numbers are of what is recorded so far"]
        );
        assert_eq!(
            warnings(format, &killed),
            ["r7k2 has no recorded end: its numbers are lower bounds"]
        );
    }
    assert!(warnings(Format::Text, &goes_on).is_empty());
}

#[test]
fn a_run_that_began_later_is_told_by_the_minute_in_local_time() {
    let here = RunRef {
        id: "r7k2".to_owned(),
        path: "x".into(),
        started: Timestamp::UNIX_EPOCH,
        begin: None,
    };
    let ask = ledgers::at("2026-11-24T16:00:00Z").into();
    let zone = TimeZone::posix("CET-1").unwrap();
    let error = summary(&here, &ledgers::example(), None, ask, &zone).unwrap_err();
    assert_eq!(
        error.to_string(),
        "run r7k2 began at 18:00 (UTC+01), after --as-of"
    );
}

fn report(args: ReportArgs, state: &Path) -> (String, Result<(), Failure>) {
    let args = ReportArgs {
        offline: true,
        ..args
    };
    let (mut out, now) = (Vec::new(), "2026-11-28T07:00:00Z".parse().unwrap());
    let ended = super::run(
        &args,
        Look::PLAIN,
        &mut out,
        now,
        &TimeZone::UTC,
        state,
        None,
    );
    (String::from_utf8(out).unwrap(), ended)
}

fn state(runs: &[(&str, &str)]) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    for (id, text) in runs {
        let path = ledger::ledger_path(state.path(), id);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    state
}

const WHOLE: &str = include_str!("../../../tests/fixtures/ledger_v2.jsonl");

#[test]
fn a_record_without_a_readable_beginning_is_named_as_left_out_of_a_sum_and_fails() {
    let (_, headless) = WHOLE.split_once('\n').unwrap();
    let bom = format!("\u{feff}{WHOLE}");
    for damaged in [headless, "", &bom] {
        let state = state(&[("a2b3", WHOLE), ("c4d5", damaged)]);
        let since = ReportArgs {
            since: Some("2026-11-01".to_owned()),
            ..ReportArgs::default()
        };
        let (text, ended) = report(since, state.path());
        assert!(text.contains("python"), "{text}");
        let failure = ended.unwrap_err();
        assert_eq!(failure.kind, Kind::Failed);
        let told = failure.to_string();
        assert!(told.starts_with("run c4d5 is left out: "), "{told}");
        assert!(!told.contains("EOF"), "{told}");
        let has_hint = told.contains("`catrain report c4d5 --verify`");
        assert_eq!(has_hint, !damaged.is_empty(), "{told}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_no_absence_of_runs() {
    let state = state(&[("c4d5", "x\n")]);
    let (text, ended) = report(ReportArgs::default(), state.path());
    let told = ended.unwrap_err().to_string();
    assert_eq!(text, "");
    assert!(told.contains("its first line is not JSON"), "{told}");
    assert!(!told.contains("no runs yet"), "{told}");
}

#[test]
fn a_path_is_like_no_run() {
    let hint = |wanted: &str| {
        let near = vec!["r7k2".to_owned()];
        let wanted = wanted.to_owned();
        not_found(NotFound::Unknown { wanted, near }).hints
    };
    assert_eq!(hint("r7k3"), ["the nearest are r7k2"]);
    assert_eq!(
        hint("../.."),
        ["a run is named by its id or how that begins, or is the `latest`"]
    );
}
