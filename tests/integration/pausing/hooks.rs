//! The user's own commands on a pause, a resume and the end: told the facts, and never in the way.

use std::collections::BTreeMap;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;

use super::{Scene, Supervised, stop};
use crate::support::process;
use crate::support::supervised::LONG;
use crate::support::{SOON, wait_until};

/// What a hook found in its environment.
#[track_caller]
fn facts(scene: &Scene, name: &str) -> BTreeMap<String, String> {
    let file = format!("home/{name}.env");
    wait_until(&format!("the hook of {name}"), SOON, || {
        !scene.sandbox.read(&file).is_empty()
    });
    let text = scene.sandbox.read(&file);
    let facts = text.lines().filter_map(|line| line.split_once('='));
    facts
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn hooks_are_told_the_facts_in_their_environment() {
    let scene = Scene::new();
    let write = |name: &str| format!("env >{name}.tmp; mv {name}.tmp {name}.env");
    let (pause, resume, end) = (write("pause"), write("resume"), write("end"));
    let options = [
        "--name",
        "mine",
        "--on-pause",
        &pause,
        "--on-resume",
        &resume,
    ];
    let options = [&options[..], &["--on-end", &end]].concat();
    let mut command = scene.saver(&options, "ends-badly", &[]);
    command.env("CATRAIN_WATTTIME_KEY", "user:secret");
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    let (id, leader) = (run.id(), run.leader().to_string());
    run.pause();
    let told = facts(&scene, "pause");
    assert_eq!(told["CATRAIN_EVENT"], "pause");
    assert_eq!(told["CATRAIN_HOLDS"], "operator");
    assert_eq!(told["CATRAIN_RUN"], id);
    assert_eq!(told["CATRAIN_NAME"], "mine");
    assert_eq!(told["CATRAIN_PID"], leader);
    assert_eq!(told["CATRAIN_ATTEMPT"], "1");
    assert!(told["CATRAIN_TIME"].ends_with('Z'), "{told:?}");
    assert!(told["CATRAIN_INTENSITY_G_PER_KWH"].parse::<f64>().unwrap() > 0.0);
    assert!(!told.contains_key("CATRAIN_EXIT"), "{told:?}");
    assert!(!told.contains_key("CATRAIN_WATTTIME_KEY"), "{told:?}");
    run.resume();
    let told = facts(&scene, "resume");
    assert_eq!(
        (&*told["CATRAIN_EVENT"], &*told["CATRAIN_HOLDS"]),
        ("resume", "")
    );
    assert_eq!(stop(&mut run).code(), Some(1));
    let told = facts(&scene, "end");
    assert_eq!(
        (&*told["CATRAIN_EVENT"], &*told["CATRAIN_EXIT"]),
        ("end", "1")
    );
    assert_eq!(told["CATRAIN_RUN"], id);
}

#[test]
fn a_hook_that_hangs_delays_neither_a_pause_nor_more_than_its_time_the_end() {
    let limit = Duration::from_secs(8);
    let scene = Scene::new();
    let hang = "echo $$ >>hanging; sleep 600; echo never >>hanging";
    let options = ["--on-pause", hang, "--on-resume", hang, "--on-end", hang];
    let mut command = scene.saver(&options, "ends-badly", &[]);
    command.env("CATRAIN_TEST_HOOK_MS", limit.as_millis().to_string());
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    let asked = monotonic();
    run.pause();
    run.resume();
    assert!(monotonic() - asked < limit, "nothing waited for a hook");
    let hanging = || scene.sandbox.read("home/hanging");
    wait_until("two of them hang", SOON, || hanging().lines().count() == 2);
    run.word(Word::Stop);
    assert_eq!(run.end().code(), Some(1));
    wait_until("it is told", SOON, || {
        let told = run.running.stderr();
        ["--on-pause", "--on-resume", "--on-end"]
            .iter()
            .all(|flag| told.contains(&format!("{flag} took longer than 8 s and was killed")))
    });
    // The shell and what it had started.
    let pids = hanging();
    assert_eq!(pids.lines().count(), 3, "{pids}");
    assert!(
        pids.lines()
            .all(|pid| !process::is_alive(pid.parse().unwrap()))
    );
    assert_eq!(scene.job(run.pid()), [0; 0]);
}

#[test]
fn a_hook_that_fails_is_told_of() {
    let scene = Scene::new();
    let options = [
        "--on-pause",
        "exit 3",
        "--on-resume",
        "kill -9 $$",
        "--on-end",
        "exit 4",
    ];
    let mut command = scene.saver(&options, "ends-badly", &[]);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("ready", LONG);
    let told = |run: &Supervised<'_>, text: &str| run.running.stderr().contains(text);
    run.pause();
    wait_until("the first is told of", SOON, || {
        told(&run, "--on-pause failed (exit status: 3): exit 3")
    });
    run.resume();
    wait_until("the second is told of", SOON, || {
        told(&run, "--on-resume failed (signal: 9 (SIGKILL)): kill -9 $$")
    });
    assert_eq!(
        stop(&mut run).code(),
        Some(1),
        "it is the job's exit that counts"
    );
    wait_until("the last is told of", SOON, || {
        told(&run, "--on-end failed (exit status: 4): exit 4")
    });
}
