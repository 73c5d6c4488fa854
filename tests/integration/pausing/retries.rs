//! Jobs that fail and are tried again, and those that are not.

use std::os::unix::process::ExitStatusExt;

use catrain::control::Word;
use catrain::ledger::entry::{Exit, What};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Scene, Supervised, stop};
use crate::support::process;
use crate::support::supervised::{LONG, outcome};

#[test]
fn a_job_that_fails_is_started_again_until_it_succeeds() {
    let scene = Scene::new();
    let options = ["--retries", "3", "--retry-delay", "100ms"];
    let ended = outcome(&mut scene.saver(&options, "fails", &["3"]));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let starts = scene.starts();
    let attempts: Vec<&Value> = starts.iter().map(|start| &start["attempt"]).collect();
    assert_eq!(attempts, [1, 2, 3]);
    // Twice as long each time.
    let clock: Vec<f64> = starts
        .iter()
        .map(|s| s["clock"].as_f64().unwrap())
        .collect();
    assert!(clock[1] - clock[0] >= 0.1, "{clock:?}");
    assert!(clock[2] - clock[1] >= 0.2, "{clock:?}");
    let report = scene.report();
    assert_eq!(report["attempts"], 3, "{report}");
    assert_eq!(report["exit"]["code"], 0);
    for told in [
        "the job ended with 5; tried again in",
        "(1 of 3)",
        "(2 of 3)",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    let left: Vec<(u32, Option<Exit>)> = (scene.record().iter())
        .filter_map(|entry| match entry.what {
            What::Left { attempt, exit, .. } => Some((attempt, exit)),
            _ => None,
        })
        .collect();
    assert_eq!(left, [(1, Some(Exit::Code(5))), (2, Some(Exit::Code(5)))]);
}

#[test]
fn a_job_that_fails_too_often_ends_the_run_as_it_ended_last() {
    let scene = Scene::new();
    let options = ["--retries", "2", "--retry-delay", "10ms"];
    let ended = outcome(&mut scene.saver(&options, "fails", &["9"]));
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    assert_eq!(scene.starts().len(), 3);
    assert_eq!(scene.report()["attempts"], 3);
    assert_eq!(scene.end_on_record().0, Some(Exit::Code(5)));
}

#[test]
fn a_job_that_fails_is_not_started_again_unless_that_was_asked_for() {
    let scene = Scene::new();
    let ended = outcome(&mut scene.saver(&[], "fails", &["2"]));
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    assert_eq!(scene.starts().len(), 1);
}

#[test]
fn a_job_that_a_person_ends_is_not_started_again() {
    for by in ["stop", "TERM", "INT"] {
        let scene = Scene::new();
        let options = ["--retries", "3", "--retry-delay", "10ms"];
        let mut command = scene.saver(&options, "ends-badly", &[]);
        let mut run = Supervised::start(&scene.sandbox, &mut command);
        run.running.expect("ready", LONG);
        match by {
            "stop" => drop(run.word(Word::Stop)),
            "TERM" => process::send(run.pid(), Signal::SIGTERM),
            _ => process::send(run.pid(), Signal::SIGINT),
        }
        assert_eq!(run.end().code(), Some(1), "{by}");
        assert_eq!(scene.starts().len(), 1, "{by}");
    }
}

#[test]
fn a_run_that_waits_to_try_again_ends_at_once_by_a_person_s_word_and_signal() {
    for by in ["stop", "TERM"] {
        let scene = Scene::new();
        let options = ["--retries", "3", "--retry-delay", "10m"];
        let mut command = scene.saver(&options, "fails", &["9"]);
        let mut run = Supervised::start(&scene.sandbox, &mut command);
        run.wait_for_state("retrying");
        match by {
            "stop" => assert_eq!(stop(&mut run).code(), Some(5)),
            _ => {
                process::send(run.pid(), Signal::SIGTERM);
                assert_eq!(run.end().signal(), Some(Signal::SIGTERM as i32));
            }
        }
        assert_eq!(scene.starts().len(), 1, "{by}");
    }
}

#[test]
fn resume_tries_again_at_once() {
    let scene = Scene::new();
    let options = ["--retries", "3", "--retry-delay", "10m"];
    let mut command = scene.saver(&options, "fails", &["2"]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.wait_for_state("retrying");
    run.word(Word::Resume { time: None });
    assert_eq!(run.end().code(), Some(0));
    assert_eq!(scene.starts().len(), 2);
}

#[test]
fn what_is_added_for_a_resume_reaches_the_second_start_and_not_the_first() {
    let scene = Scene::new();
    let more = "--resume 'the latest'";
    let options = [
        "--retries",
        "1",
        "--retry-delay",
        "10ms",
        "--resume-args",
        more,
    ];
    let ended = outcome(&mut scene.saver(&options, "fails", &["2"]));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let starts = scene.starts();
    assert_eq!(starts[0]["words"], serde_json::json!(["2"]));
    let with = serde_json::json!(["2", "--resume", "the latest"]);
    assert_eq!(starts[1]["words"], with);
}
