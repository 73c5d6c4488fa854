//! Jobs that leave memory and come back, jobs of many processes, and what outlives its leader.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;
use catrain::ledger::entry::{Action, Exit, What};
use nix::sys::signal::Signal;

use super::{AT_ONCE, Scene, Supervised, passed_by, status_when, stop};
use crate::support::process::{self, Pid};
use crate::support::supervised::{LONG, run, script, wait_until_running, wait_until_stopped};
use crate::support::{SOON, fixture, python, wait_for, wait_until};

/// Where `saver.py` says that it is back after a restart: a pause waits for that.
const COMES_BACK: [&str; 4] = [
    "--progress-from",
    "stdout",
    "--progress-pattern",
    "ready, (?<done>[0-9]+) of (?<total>[0-9]+)",
];

/// `catrain pause` of a job that leaves.
#[track_caller]
fn release(run: &Supervised<'_>) {
    run.word(Word::Pause);
    run.wait_for_state("released");
}

#[test]
fn a_job_that_leaves_by_itself_is_not_asked_to_end() {
    for behaviour in ["leaves", "fails-after"] {
        let scene = Scene::new();
        let mut run = scene.paused_with("restart", &[], behaviour);
        release(&run);
        assert_eq!(scene.job(run.pid()), [0; 0]);
        assert!(scene.proof_on_record().is_some(), "{behaviour}");
        run.resume();
        scene.wait_for_starts(2);
        assert_eq!(scene.sandbox.read("job/asked"), "", "{behaviour}");
        assert_eq!(scene.starts()[1]["attempt"], 2);
        stop(&mut run);
        let report = scene.report();
        assert_eq!(report["attempts"], 2, "{report}");
    }
}

#[test]
fn a_job_that_goes_on_after_its_save_is_asked_to_end() {
    let scene = Scene::new();
    let mut run = scene.paused_with("restart", &[], "renames");
    let first = run.leader();
    release(&run);
    assert_eq!(
        scene.sandbox.read("job/asked"),
        format!("{first} SIGTERM\n")
    );
    run.resume();
    scene.wait_for_starts(2);
    assert_ne!(run.leader(), first);
    stop(&mut run);
}

#[test]
fn a_job_that_ends_although_it_was_to_go_on_has_ended_and_is_not_started_again() {
    for (behaviour, code) in [("leaves", 0), ("fails-after", 75)] {
        let scene = Scene::new();
        let mut run = scene.paused_with("checkpoint", &[], behaviour);
        run.word(Word::Pause);
        assert_eq!(run.end().code(), Some(code), "{behaviour}");
        assert_eq!(scene.starts().len(), 1, "{behaviour}");
        let (exit, why) = scene.end_on_record();
        assert_eq!(exit, Some(Exit::Code(code)), "{behaviour}");
        assert_eq!(why.contains("while it saved"), code != 0, "{why}");
    }
}

#[test]
fn workers_that_end_by_themselves_after_a_job_that_left_are_not_waited_for() {
    let scene = Scene::new();
    // Nobody is killed before that.
    let mut run = scene.paused_with("restart", &["--grace", "10m"], "trails");
    release(&run);
    run.resume();
    scene.wait_for_starts(2);
    stop(&mut run);
}

#[test]
fn without_a_file_to_look_for_a_good_end_is_the_proof() {
    let scene = Scene::new();
    let mut command = scene.saver(&["--pause-with", "restart"], "leaves", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    release(&run);
    run.resume();
    scene.wait_for_starts(2);
    stop(&mut run);
}

#[test]
fn a_released_job_is_resumed_only_by_who_holds_it_and_stopped_without_a_start() {
    let scene = Scene::new();
    let mut run = scene.paused_with("restart", &[], "leaves");
    release(&run);
    let status = stop(&mut run);
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(scene.starts().len(), 1);
    let (exit, why) = scene.end_on_record();
    assert_eq!(exit, None);
    assert_eq!(why, "stopped before it was started again");
}

#[test]
fn no_former_process_lives_beside_the_new_start() {
    let scene = Scene::new();
    let options = [&["--grace", "1s"][..], &COMES_BACK].concat();
    let mut run = scene.paused_with("restart", &options, "workers");
    let mut former: Vec<Pid> = Vec::new();
    for start in 2..5 {
        let now = scene.job(run.pid());
        assert_eq!(now.len(), 5, "a leader and four workers");
        assert!(former.iter().all(|pid| !now.contains(pid)));
        former = now;
        release(&run);
        let left: Vec<Pid> = (former.iter().copied())
            .filter(|&pid| process::is_alive(pid))
            .collect();
        assert_eq!(
            left, [0; 0],
            "they ignore TERM and have sessions of their own"
        );
        run.resume();
        wait_until("it is ready again", LONG, || {
            run.running.stdout().matches("ready").count() == start
        });
    }
    stop(&mut run);
}

#[test]
fn workers_in_sessions_of_their_own_are_paused_with_the_job() {
    for mode in ["stop", "checkpoint", "freeze"] {
        if mode == "freeze" && !super::moments::may_freeze() {
            continue;
        }
        let scene = Scene::new();
        let mut run = scene.paused_with(mode, &["--grace", "1s"], "workers");
        let all = scene.job(run.pid());
        assert_eq!(all.len(), 5);
        run.pause();
        match mode {
            "freeze" => assert_eq!(super::moments::frozen_with(run.leader()), all),
            _ => assert!(all.iter().all(|&pid| process::is_stopped(pid)), "{mode}"),
        }
        run.resume();
        wait_until_running(&all);
        stop(&mut run);
    }
}

// Pipelines and programs that become others ------------------------------------------------------

fn hash_in(text: &str) -> Option<&str> {
    let lines = text.lines();
    lines
        .filter_map(|line| line.strip_prefix("final weights sha256 "))
        .next()
}

/// `python train.py … | tee log`, for a shell.
fn pipeline(scene: &Scene, before: &str) -> [String; 3] {
    let text = format!(
        "{before}{} {} --steps 400 --pace 0.05 --checkpoint-dir {} | tee -a {}",
        python().display(),
        fixture("train.py").display(),
        scene.folder.display(),
        scene.folder.join("log").display(),
    );
    ["sh".to_owned(), "-c".to_owned(), text]
}

#[test]
fn a_shell_pipeline_is_stopped_whole_and_goes_on() {
    let scene = Scene::new();
    let mut run = Supervised::start(
        &scene.sandbox,
        &mut run(&scene.sandbox, &AT_ONCE, pipeline(&scene, "")),
    );
    wait_until("it trains", LONG, || {
        scene.sandbox.read("job/log").contains("training")
    });
    let leader = run.leader();
    for _ in 0..3 {
        run.pause();
        let session = process::session(leader);
        assert_eq!(session.len(), 3, "the shell, python and tee");
        assert!(session.iter().all(|&pid| process::is_stopped(pid)));
        run.resume();
    }
    assert_eq!(run.end().code(), Some(0));
    let log = scene.sandbox.read("job/log");
    assert_eq!(
        hash_in(&log),
        Some(super::moments::undisturbed(400)),
        "{log}"
    );
}

#[test]
fn a_shell_pipeline_saves_leaves_and_is_started_again() {
    let scene = Scene::new();
    let path = scene.folder.join("*.json").display().to_string();
    let restart = ["--pause-with", "restart", "--checkpoint-path", &path];
    let to = ["--checkpoint-to", "group"];
    let options = [&AT_ONCE[..], &restart, &to, &super::moments::COMES_BACK].concat();
    // A shell and tee die by what makes python save, unless they ignore it; python does not.
    let job = pipeline(&scene, "trap '' USR1; ");
    let mut run = Supervised::start(&scene.sandbox, &mut run(&scene.sandbox, &options, job));
    for start in 1..3 {
        wait_until("it trains", LONG, || {
            scene.sandbox.read("job/log").matches("training").count() == start
        });
        release(&run);
        assert_eq!(scene.job(run.pid()), [0; 0]);
        run.resume();
    }
    assert_eq!(run.end().code(), Some(0));
    let log = scene.sandbox.read("job/log");
    assert_eq!(
        hash_in(&log),
        Some(super::moments::undisturbed(400)),
        "{log}"
    );
}

#[test]
fn a_job_that_becomes_another_program_all_the_time_is_paused_at_any_moment() {
    let count = |scene: &Scene| scene.sandbox.read("job/count").parse::<u32>().unwrap_or(0);
    for mode in ["stop", "freeze"] {
        if mode == "freeze" && !super::moments::may_freeze() {
            continue;
        }
        let scene = Scene::new();
        let mut command = scene.saver(&["--pause-with", mode], "execs", &[]);
        let mut run = Supervised::start(&scene.sandbox, &mut command);
        wait_until("it has become itself", LONG, || count(&scene) > 0);
        let leader = run.leader();
        for _ in 0..20 {
            run.pause();
            match mode {
                "freeze" => assert_eq!(super::moments::frozen_with(leader), [leader]),
                _ => assert!(process::is_stopped(leader)),
            }
            let before = count(&scene);
            run.resume();
            wait_until("it becomes itself again", SOON, || count(&scene) > before);
        }
        assert_eq!(run.leader(), leader);
        assert_eq!(scene.confirmed(Action::Pause), 20);
        stop(&mut run);
    }
}

// Left behind ------------------------------------------------------------------------------------

/// The pids that `saver.py leaves-workers` said.
#[track_caller]
fn left_behind(run: &Supervised<'_>) -> Vec<Pid> {
    wait_for("the pids of the workers", LONG, || {
        let text = run.running.stdout();
        let line = text.strip_suffix('\n')?;
        line.split(' ').map(|pid| pid.parse().ok()).collect()
    })
}

#[test]
fn who_outlives_the_job_has_the_grace_period_and_is_ended() {
    let scene = Scene::new();
    let mut command = scene.saver(&["--grace", "2s"], "leaves-workers", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    let workers = left_behind(&run);
    let (seen, grace) = (monotonic(), Duration::from_secs(2));
    wait_until("it is told", SOON, || {
        run.running
            .stderr()
            .contains("outlive it and have 2 s to end")
    });
    assert_eq!(run.end().code(), Some(6));
    assert!(monotonic() - seen >= grace, "they had the grace period");
    assert!(workers.iter().all(|&pid| !process::is_alive(pid)));
    let was_killed = |what: &What| {
        matches!(
            what,
            What::Intent {
                action: Action::Kill
            }
        )
    };
    assert!(scene.record().iter().any(|entry| was_killed(&entry.what)));
    assert_eq!(scene.end_on_record().0, Some(Exit::Code(6)));
}

#[test]
fn who_outlives_the_job_is_ended_sooner_when_a_person_says_so() {
    let scene = Scene::new();
    let mut command = scene.saver(&["--grace", "10m"], "leaves-workers", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    let workers = left_behind(&run);
    status_when(&run, "the leader has ended", |status| {
        status["state"] == "ending"
    });
    assert_eq!(stop(&mut run).code(), Some(6));
    assert!(workers.iter().all(|&pid| !process::is_alive(pid)));
}

#[test]
fn who_outlives_the_job_is_left_alone_where_that_was_asked_for() {
    let scene = Scene::new();
    let mut command = scene.saver(&["--leftovers", "leave"], "leaves-workers", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    let workers = left_behind(&run);
    assert_eq!(run.end().code(), Some(6));
    assert!(workers.iter().all(|&pid| process::is_running(pid)));
}

#[test]
fn a_job_that_ends_while_it_is_held_by_hand_is_not_mistaken_for_one_that_left() {
    let scene = Scene::new();
    let mut command = run(&scene.sandbox, &AT_ONCE, script("job.py", ["ignore-term"]));
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    run.pause();
    let leader = run.leader();
    wait_until_stopped(&[leader]);
    process::kill(leader);
    assert_eq!(run.end().signal(), Some(Signal::SIGKILL as i32));
    assert_eq!(scene.end_on_record().0, Some(Exit::Signal(9)));
}

#[test]
fn a_freezer_that_is_not_there_is_told_of_and_the_job_is_stopped() {
    if super::moments::may_freeze() {
        return passed_by("there is a freezer");
    }
    let scene = Scene::new();
    let mut run = scene.paused_with("freeze", &[], "deaf");
    wait_until("it is told", SOON, || {
        run.running.stderr().contains("stopped, not frozen")
    });
    run.pause();
    assert!(process::is_stopped(run.leader()));
    stop(&mut run);
}
