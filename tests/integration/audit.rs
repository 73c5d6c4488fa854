//! The record as an audit: what `catrain report --verify` says of whole state directories, of runs that
//! go on or were killed, and of files that were changed or cut anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catrain::cli::{ReportArgs, ReportFormat};
use catrain::command::report::run;
use catrain::error::{Failure, Kind};
use catrain::ledger::entry::{EnergyKind, Entry, Exit, Method, Part, Reading, Segment, What};
use catrain::ledger::{self, Asked, Finding, Options, Sync, Writer, heads, ledger_path, read};
use catrain::report::{json, summarise};
use catrain::units::Joules;
use catrain::words::Look;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::support::process::{self, send};
use super::support::supervised::{LONG, Supervised, both, outcome, recorded, said, trace};
use super::support::{SOON, Sandbox, supervised, wait_for, wait_until};

const V1: &str = include_str!("../fixtures/ledger_v1.jsonl");
const V2: &str = include_str!("../fixtures/ledger_v2.jsonl");
/// The digests at the fixture's end and at its settlement.
const AT_END: &str = "b1c427ddaa6a423a8a7a627cb6d8a6d0639b1a11a073f242d6f7b4d0bf76474a";
const AT_ALL: &str = "32355ec4b5ee0ad21a23ac87c3ce8afa573e0909012cb42cd6d70233a58152af";

fn state(runs: &[(&str, &str)]) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    for (id, text) in runs {
        let directory = state.path().join("runs").join(id);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("ledger.jsonl"), text).unwrap();
    }
    state
}

fn note_head(state: &Path, run: &str, lines: u64, head: &str) {
    let head = heads::Head {
        at: "2026-11-25T06:27:00Z".parse().unwrap(),
        run: run.to_owned(),
        host: "node1".to_owned(),
        lines,
        head: head.parse().unwrap(),
        key: None,
        signature: None,
    };
    heads::append(state, &head, SOON).unwrap();
}

fn verify(args: ReportArgs, state: &Path) -> (String, Result<(), Failure>) {
    let args = ReportArgs {
        verify: true,
        ..args
    };
    let mut out = Vec::new();
    let now: Timestamp = "2026-11-28T07:00:00Z".parse().unwrap();
    let ended = run(
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

fn of(runs: &[&str]) -> ReportArgs {
    ReportArgs {
        runs: runs.iter().map(|run| (*run).to_owned()).collect(),
        offline: true,
        ..ReportArgs::default()
    }
}

#[test]
fn each_record_is_told_of_in_a_line_and_what_is_wrong_fails() {
    let unfinished: String = V2.split_inclusive('\n').take(9).collect();
    let changed = V2.replacen("412 g/kWh", "112 g/kWh", 1);
    let state = state(&[
        ("a2b3", V2),
        ("c4d5", V2),
        ("e6f7", &unfinished),
        ("g8h9", &unfinished),
        ("j2k3", &changed),
        ("m4n5", V1),
    ]);
    note_head(state.path(), "a2b3", 23, AT_ALL);
    note_head(state.path(), "g8h9", 23, AT_ALL);
    let (text, ended) = verify(
        of(&["a2b3", "c4d5", "e6f7", "g8h9", "j2k3", "m4n5"]),
        state.path(),
    );
    let without_heads: String = text
        .lines()
        .filter(|line| !line.starts_with("      head"))
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(without_heads, @r"
    a2b3  complete, and matches its recorded head (23 lines)
    c4d5  complete (23 lines); no head is recorded of it
    e6f7  unfinished, a lower bound (9 lines): it was cut short by a kill, a crash or a full disk
    g8h9  cut: 9 lines of the 23 by its recorded head
    j2k3  changed at line 4: it does not follow from the line before
    m4n5  complete in its form (20 lines); format 1 has no chain to verify
    ");
    assert!(text.contains(&format!("      head  {AT_ALL}\n")), "{text}");
    let failure = ended.unwrap_err();
    assert_eq!(failure.kind, Kind::Failed);
    let told = "2 of 6 records are not what was written, or cannot be verified";
    assert_eq!(failure.to_string(), told);
}

#[test]
fn an_unfinished_record_is_a_lower_bound_and_no_failure() {
    let unfinished: String = V2.split_inclusive('\n').take(9).collect();
    let (text, ended) = verify(of(&[]), state(&[("e6f7", &unfinished)]).path());
    ended.unwrap();
    assert!(
        text.starts_with("e6f7  unfinished, a lower bound (9 lines)"),
        "{text}"
    );
}

#[test]
fn a_record_whose_first_line_is_damaged_is_looked_at_too() {
    let damaged = V2.replacen("\"seq\":0", "\"seq\":", 1);
    let state = state(&[("a2b3", &damaged)]);
    for args in [
        of(&[]),
        of(&["latest"]),
        ReportArgs {
            since: Some("2020-01-01".to_owned()),
            ..of(&[])
        },
    ] {
        let (text, ended) = verify(args, state.path());
        assert!(text.starts_with("a2b3  changed at line 1"), "{text}");
        ended.unwrap_err();
    }
}

#[test]
fn a_digest_kept_elsewhere_matches_at_an_end_or_at_a_settlement_or_fails() {
    let state = state(&[("a2b3", V2), ("c4d5", V2)]);
    let with = |head: &str, runs: &[&str]| {
        let args = ReportArgs {
            head: Some(head.to_owned()),
            ..of(runs)
        };
        verify(args, state.path())
    };
    let (text, ended) = with(&format!(" {} ", AT_END.to_uppercase()), &["a2b3"]);
    ended.unwrap();
    assert!(
        text.contains("that of line 22; 1 settlement after it"),
        "{text}"
    );
    let (text, ended) = with(&"ab".repeat(32), &["a2b3"]);
    assert!(text.contains("that of no line"), "{text}");
    assert_eq!(ended.unwrap_err().kind, Kind::Failed);
    let usage = |ended: Result<(), Failure>| {
        let failure = ended.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        failure.to_string()
    };
    let told = usage(with("3f2a", &["a2b3"]).1);
    assert!(told.contains("64 hexadecimal digits"), "{told}");
    let told = usage(with(AT_END, &["a2b3", "c4d5"]).1);
    assert!(
        told.contains("digest of one run, and 2 are meant"),
        "{told}"
    );
}

#[test]
fn recorded_heads_that_were_changed_are_told_and_fail() {
    let state = state(&[("a2b3", V2)]);
    note_head(state.path(), "a2b3", 23, AT_ALL);
    let path = heads::path(state.path());
    let changed = fs::read_to_string(&path).unwrap().replace("node1", "node2");
    fs::write(&path, changed).unwrap();
    let (text, ended) = verify(of(&[]), state.path());
    assert!(text.contains("heads.jsonl  changed at line 1"), "{text}");
    let told = ended.unwrap_err().to_string();
    let what = "the file of recorded heads was changed\n  hint: ";
    assert!(told.starts_with(what), "{told}");
}

#[test]
fn the_json_of_a_verification_has_a_schema_and_each_run() {
    let state = state(&[("a2b3", V2), ("c4d5", &V2[..V2.len() - 1])]);
    note_head(state.path(), "a2b3", 23, AT_ALL);
    let args = ReportArgs {
        format: ReportFormat::Json,
        ..of(&["a2b3", "c4d5"])
    };
    let (text, ended) = verify(args, state.path());
    ended.unwrap_err();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "catrain.verification/1");
    assert_eq!(document["good"], false);
    assert_eq!(document["runs"][0]["result"], "complete");
    assert_eq!(document["runs"][0]["head"], AT_ALL);
    assert_eq!(document["runs"][1]["result"], "cut");
    assert_eq!(document["heads"]["count"], 1);
    let args = ReportArgs {
        format: ReportFormat::Csv,
        ..of(&["a2b3"])
    };
    assert_eq!(verify(args, state.path()).1.unwrap_err().kind, Kind::Usage);
}

#[test]
fn reports_carry_the_head_and_say_whether_the_chain_holds() {
    let changed = V2.replacen("412 g/kWh", "112 g/kWh", 1);
    let state = state(&[("a2b3", V2), ("c4d5", &changed), ("e6f7", V1)]);
    let report = |run_id: &str, format| {
        let args = ReportArgs {
            format,
            ..of(&[run_id])
        };
        let mut out = Vec::new();
        let now: Timestamp = "2026-11-28T07:00:00Z".parse().unwrap();
        run(
            &args,
            Look::PLAIN,
            &mut out,
            now,
            &TimeZone::UTC,
            state.path(),
            None,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    };
    let ledger_of = |run_id: &str| -> Value {
        let text = report(run_id, ReportFormat::Json);
        let document: Value = serde_json::from_str(&text).unwrap();
        document["runs"][0]["ledger"].clone()
    };
    assert_eq!(
        ledger_of("a2b3"),
        serde_json::json!({"verified": true, "head": AT_ALL, "running": false})
    );
    assert_eq!(
        ledger_of("c4d5"),
        serde_json::json!({"verified": false, "head": null, "running": false})
    );
    assert_eq!(
        ledger_of("e6f7"),
        serde_json::json!({"verified": null, "head": null, "running": false})
    );
    assert!(report("a2b3", ReportFormat::Text).contains(&format!("head       {AT_ALL}")));
    assert!(report("c4d5", ReportFormat::Text).contains("record was changed"));
}

/// A run of `segments` samples with two meters, as the writer writes it.
fn written(state: &Path, segments: u64, options: Options) -> PathBuf {
    let first: Entry = serde_json::from_str(V2.lines().next().unwrap()).unwrap();
    let (begun, What::Begin(mut begin)) = (first.at, first.what) else {
        panic!("the fixture begins with a beginning");
    };
    begin.run = String::new();
    let writer = Writer::begin(state.to_owned(), 7, options);
    let at = |nth: u64| begun + SignedDuration::from_secs(10 * nth as i64);
    let elapsed = |nth: u64| Duration::from_secs(10 * nth);
    let record = |nth, what, sync| writer.record(at(nth), elapsed(nth), what, sync);
    drop(record(0, What::Begin(begin), Sync::Now));
    for nth in 0..segments {
        let reading = |component: &str, joules| Reading {
            component: component.to_owned(),
            joules: Joules(joules),
            kind: EnergyKind::Measured,
            method: Some(Method::GpuCounter),
            source: "nvml".to_owned(),
            whole: Some("GPU-8f2a".to_owned()),
        };
        let segment = Segment {
            part: [Part::Running, Part::Paused][(nth / 40) as usize % 2],
            causes: Vec::new(),
            from_s: 10.0 * nth as f64,
            to_s: 10.0 * (nth + 1) as f64,
            start: at(nth),
            end: at(nth + 1),
            energy: vec![
                reading("gpu 0", 4068.3 + nth as f64 / 7.0),
                reading("gpu 1", 3068.1),
            ],
            unattributed: Vec::new(),
        };
        let ticket = record(nth + 1, What::Segment(segment), Sync::Later);
        if nth % 500 == 0 {
            // The queue holds a thousand.
            assert!(wait(ticket));
        }
    }
    let end = What::End {
        exit: Some(Exit::Code(0)),
        why: None,
        sums: None,
    };
    drop(record(segments, end, Sync::Now));
    let id = writer.id().within(SOON);
    assert!(writer.finish(LONG).is_complete);
    ledger_path(state, &id)
}

fn wait(ticket: ledger::Ticket) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(ticket.within(SOON))
}

fn found(path: &Path, state: &Path) -> Finding {
    let heads = heads::read(state).unwrap();
    let asked = Asked {
        recorded: heads.heads.first(),
        ..Asked::default()
    };
    ledger::verify(path, asked).unwrap().finding
}

#[test]
fn any_flipped_byte_and_any_cut_of_a_long_record_is_found() {
    let state = tempfile::tempdir().unwrap();
    let path = written(state.path(), 300, Options::default());
    let whole = fs::read(&path).unwrap();
    let all = read(&path).unwrap().entries;
    assert_eq!(found(&path, state.path()), Finding::Complete);
    let line_of = |at: usize| whole[..at].iter().filter(|byte| **byte == b'\n').count();
    let mut runner = TestRunner::new(Config::with_cases(64));
    let places = (0..whole.len(), 1_u8..=255);
    runner
        .run(&places, |(at, mask)| {
            let mut flipped = whole.clone();
            flipped[at] ^= mask;
            fs::write(&path, &flipped).unwrap();
            let finding = found(&path, state.path());
            let line = line_of(at) + 1;
            let is_found = matches!(&finding, Finding::Changed { line: at, .. } if *at == line)
                || (at == whole.len() - 1 && matches!(finding, Finding::Cut(_)));
            prop_assert!(is_found, "byte {at} ^ {mask}: {finding:?}");

            fs::write(&path, &whole[..at]).unwrap();
            let finding = found(&path, state.path());
            prop_assert!(
                matches!(finding, Finding::Cut(_)),
                "cut at {at}: {finding:?}"
            );
            let left = read(&path).unwrap();
            prop_assert_eq!(&left.entries[..], &all[..line_of(at)]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn replaying_a_record_gives_the_same_report_to_the_byte() {
    let now: Timestamp = "2026-11-28T07:00:00Z".parse().unwrap();
    let report = |entries: &ledger::Ledger| {
        let summary = summarise(entries, now).unwrap();
        json::document(&[summary], now, now)
    };
    let state = tempfile::tempdir().unwrap();
    let path = written(state.path(), 500, Options::default());
    let first = read(&path).unwrap();
    assert_eq!(report(&first), report(&read(&path).unwrap()));
    // Written once more, entry by entry, from what was read.
    let again = tempfile::tempdir().unwrap();
    let writer = Writer::begin(again.path().to_owned(), 7, Options::default());
    for entry in &first.entries {
        let elapsed = Duration::from_secs_f64(entry.elapsed_s);
        let ticket = writer.record(entry.at, elapsed, entry.what.clone(), Sync::Later);
        assert!(wait(ticket));
    }
    let id = writer.id().within(SOON);
    assert!(writer.finish(LONG).is_complete);
    let second = read(&ledger_path(again.path(), &id)).unwrap();
    assert_eq!(second.entries, first.entries);
    assert_eq!(report(&second), report(&first));
    assert_eq!(
        fs::read(&path).unwrap(),
        fs::read(ledger_path(again.path(), &id)).unwrap()
    );
}

/// A run that sleeps until it is killed, begun and recorded.
fn sleeping(sandbox: &Sandbox) -> (Supervised<'_>, PathBuf) {
    let mut command = supervised::run(sandbox, &["--power", "300"], ["sleep", "1000"]);
    let run = Supervised::start(sandbox, &mut command);
    run.wait_for_state("running");
    let path = ledger_path(&sandbox.state_dir(), &run.id());
    (run, path)
}

#[test]
fn a_run_is_told_to_go_on_while_it_is_written_and_to_have_been_cut_short_once_it_was_killed() {
    let sandbox = Sandbox::new();
    let (mut run, path) = sleeping(&sandbox);
    let job = run.leader();
    let told = said(&sandbox, &["report", "--verify"]);
    assert!(told.contains("unfinished, a lower bound"), "{told}");
    assert!(told.contains("it is being written"), "{told}");
    send(run.pid(), Signal::SIGKILL);
    run.end();
    // The job goes on: neither it nor the guard may keep the file locked.
    assert!(process::is_alive(job));
    let is_running = |finding| matches!(finding, Finding::Unfinished { is_running, .. } if is_running != Some(false));
    wait_until("it is not written any more", SOON, || {
        let verified = ledger::verify(&path, Asked::default()).unwrap();
        !is_running(verified.finding)
    });
    let told = said(&sandbox, &["report", "--verify"]);
    assert!(told.contains("cut short by a kill"), "{told}");
}

#[test]
fn a_run_that_ended_is_verified_against_its_head_and_its_signature() {
    let sandbox = Sandbox::new();
    let key = sandbox.write(
        "key.pem",
        "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
         -----END PRIVATE KEY-----\n",
    );
    let public = sandbox.write(
        "public.pem",
        "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PUBLIC KEY-----\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, mode).unwrap();
    let config = format!("[ledger]\nsigning_key = \"{}\"\n", key.display());
    sandbox.write("config/config.toml", &config);
    let ended = outcome(&mut supervised::run(
        &sandbox,
        &["--power", "300"],
        ["true"],
    ));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let public = public.to_str().unwrap();
    let told = said(&sandbox, &["report", "--verify", "--signed-by", public]);
    assert!(
        told.contains("complete, and matches its recorded head"),
        "{told}"
    );
    assert!(told.contains("its head is signed by that key"), "{told}");

    // Another digit in the record, and it is found.
    let id = recorded(&sandbox).remove(0);
    let path = ledger_path(&sandbox.state_dir(), &id);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("300", "200", 1)).unwrap();
    let output = sandbox.catrain(["report", "--verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        both(&output).contains("changed at line"),
        "{}",
        both(&output)
    );
}

#[test]
fn the_head_printed_at_the_end_is_that_of_the_record() {
    let sandbox = Sandbox::new();
    let trace = trace(&sandbox, |_| 300.0);
    let replay = format!("{}@2021-11-09T16:00", trace.display());
    let options = [
        "--replay",
        replay.as_str(),
        "--speed",
        "3600",
        "--policy",
        "now",
    ];
    let ended = outcome(&mut supervised::run(&sandbox, &options, ["true"]));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let printed = wait_for("the head", SOON, || {
        let rest = ended
            .stderr
            .lines()
            .find_map(|line| line.trim().strip_prefix("head "))?;
        Some(rest.trim().to_owned())
    });
    let told = said(&sandbox, &["report", "--verify", "--head", &printed]);
    assert!(told.contains("the digest given is that of line"), "{told}");
}
