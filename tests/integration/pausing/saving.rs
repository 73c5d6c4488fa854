//! What counts as saved, and what follows when nothing does.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use catrain::control::Word;
use catrain::ledger::entry::{Action, Exit};
use nix::sys::signal::Signal;

use super::{LENGTH, Scene, Supervised, status_when, stop, to_file};
use crate::support::process;
use crate::support::supervised::{LONG, wait_until_running};
use crate::support::{SOON, wait_until};

#[test]
fn a_job_that_ignores_the_signal_is_only_stopped_and_recorded_as_unproved() {
    for mode in ["checkpoint", "restart"] {
        let scene = Scene::new();
        let mut run = scene.paused_with(mode, &["--checkpoint-timeout", "1s"], "deaf");
        let leader = run.leader();
        run.pause();
        assert!(process::is_stopped(leader), "{mode}");
        assert_eq!(scene.proof_on_record(), None, "{mode}");
        assert!(run.running.stderr().contains("only stopped"), "{mode}");
        run.resume();
        assert_eq!(run.leader(), leader, "{mode}: it kept its memory");
        stop(&mut run);
        assert_eq!(scene.starts().len(), 1, "{mode}");
    }
}

#[test]
fn a_job_that_ignores_the_signal_runs_on_where_that_was_asked_for() {
    let scene = Scene::new();
    let options = ["--checkpoint-timeout", "1s", "--unproved", "run"];
    let mut run = scene.paused_with("checkpoint", &options, "deaf");
    let leader = run.leader();
    run.word(Word::Pause);
    assert_eq!(scene.proof_on_record(), None);
    run.wait_for_state("running");
    wait_until("it is told", SOON, || {
        run.running.stderr().contains("it runs on")
    });
    wait_until_running(&[leader]);
    assert_eq!(scene.confirmed(Action::Pause), 0);
    stop(&mut run);
}

#[test]
fn a_slow_save_is_waited_for_until_it_is_whole() {
    for mode in ["checkpoint", "restart"] {
        let scene = Scene::new();
        let mut run = scene.paused_with(mode, &[], "slow");
        run.word(Word::Pause);
        run.wait_for_state("saving");
        let paused = match mode {
            "restart" => "released",
            _ => "paused",
        };
        run.wait_for_state(paused);
        let length = fs::metadata(scene.folder.join("state.pt")).unwrap().len();
        assert_eq!(length, LENGTH, "{mode}");
        let proof = scene.proof_on_record().unwrap();
        assert_eq!(proof, "state.pt, 30 kB, new", "{mode}");
        stop(&mut run);
    }
}

#[test]
fn half_a_file_that_is_still_open_is_never_a_proof() {
    let scene = Scene::new();
    let limit = ["--checkpoint-timeout", "4s"];
    let mut run = scene.paused_with("restart", &limit, "half");
    let leader = run.leader();
    run.pause();
    assert_eq!(scene.proof_on_record(), None);
    assert!(process::is_stopped(leader));
    let length = fs::metadata(scene.folder.join("state.pt")).unwrap().len();
    assert_eq!(length, LENGTH / 2);
    stop(&mut run);
}

#[test]
fn a_file_renamed_into_place_is_a_proof_each_time() {
    let scene = Scene::new();
    let mut run = scene.paused_with("checkpoint", &[], "renames");
    for _ in 0..3 {
        run.pause();
        run.resume();
    }
    stop(&mut run);
    let record = scene.record();
    let proofs: Vec<String> = (record.iter())
        .filter_map(|entry| match &entry.what {
            catrain::ledger::entry::What::Saved { proof, .. } => proof.clone(),
            _ => None,
        })
        .collect();
    let expected = ["new", "replaced", "replaced"].map(|how| format!("state.pt, 30 kB, {how}"));
    assert_eq!(proofs, expected);
}

#[test]
fn a_job_that_fails_while_it_saves_ends_the_run_with_its_exit_and_that_reason() {
    for (behaviour, exit) in [
        ("dies", Exit::Code(3)),
        ("is-killed", Exit::Signal(Signal::SIGKILL as i32)),
    ] {
        for mode in ["checkpoint", "restart"] {
            let scene = Scene::new();
            let mut run = scene.paused_with(mode, &[], behaviour);
            run.word(Word::Pause);
            let status = run.end();
            let ended = match exit {
                Exit::Code(code) => status.code() == Some(code),
                Exit::Signal(signal) => status.signal() == Some(signal),
            };
            assert!(ended, "{behaviour} in {mode}: {status:?}");
            let (recorded, why) = scene.end_on_record();
            assert_eq!(recorded, Some(exit), "{behaviour} in {mode}");
            assert!(
                why.contains("while it saved"),
                "{behaviour} in {mode}: {why}"
            );
            assert!(
                run.running.stderr().contains(&why),
                "{}",
                run.running.stderr()
            );
        }
    }
}

#[test]
fn a_job_that_fails_while_it_saves_is_tried_again_and_still_to_be_paused() {
    for behaviour in ["dies", "is-killed"] {
        let scene = Scene::new();
        let retry = ["--retries", "1", "--retry-delay", "100ms"];
        let mut run = scene.paused_with("checkpoint", &retry, behaviour);
        run.word(Word::Pause);
        // A person holds it: it waits with that, not with its state in the memory.
        status_when(&run, "it is held or tried again", |status| {
            status["state"] == "released" || status["attempt"] == 2
        });
        run.word(Word::Resume { time: None });
        scene.wait_for_starts(2);
        run.wait_for_state("running");
        wait_until("it is ready again", LONG, || {
            run.running.stdout().matches("ready").count() == 2
        });
        run.pause();
        stop(&mut run);
        assert_eq!(scene.report()["attempts"], 2, "{behaviour}");
    }
}

// By a line --------------------------------------------------------------------------------------

const LINE: [&str; 4] = [
    "--pause-with",
    "checkpoint",
    "--checkpoint-line",
    "^saved the state",
];

#[track_caller]
fn paused_by_a_line(scene: &Scene, run: &Supervised<'_>) {
    run.pause();
    let proof = scene.proof_on_record().unwrap();
    assert_eq!(proof, "the line `saved the state`");
    assert!(process::is_stopped(run.leader()));
}

#[test]
fn a_line_in_the_file_that_the_job_writes_to_is_a_proof() {
    let scene = Scene::new();
    let output = scene.sandbox.path("output");
    let mut command = to_file(&scene.saver(&LINE, "says", &[]), &output);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    wait_until("it is ready", LONG, || {
        scene.sandbox.read("output").contains("ready")
    });
    paused_by_a_line(&scene, &run);
    run.resume();
    run.pause();
    stop(&mut run);
    assert_eq!(
        scene.sandbox.read("output"),
        "ready, 1 of 99\nsaved the state\nsaved the state\n"
    );
}

#[test]
fn a_line_that_passes_through_us_is_a_proof() {
    let scene = Scene::new();
    let options = [&LINE[..], &["--progress-from", "stdout"]].concat();
    let mut command = scene.saver(&options, "says", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    paused_by_a_line(&scene, &run);
    run.resume();
    stop(&mut run);
    assert_eq!(
        run.running.wait(SOON).stdout,
        "ready, 1 of 99\nsaved the state\n"
    );
}

#[test]
fn what_a_job_said_before_it_was_asked_proves_nothing() {
    let scene = Scene::new();
    let limit = ["--progress-from", "stdout", "--checkpoint-timeout", "2s"];
    let options = [&LINE[..], &limit].concat();
    let mut command = scene.saver(&options, "has-said", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    run.pause();
    assert_eq!(scene.proof_on_record(), None);
    stop(&mut run);
}
