//! Jobs that say how far they are: shown, planned with, and no byte of it changed.

use std::fs;
use std::process::Command;

use catrain::control::Word;
use serde_json::Value;

use super::{Scene, Supervised, status_when, stop, to_file};
use crate::support::supervised::{LONG, run, script, trace};
use crate::support::{SOON, wait_until};

/// `saver.py steps` on a made-up day that passes 600 times faster: ten minutes are a second.
fn steps(scene: &Scene, options: &[&str], count: u32, grams: impl Fn(i64) -> f64) -> Command {
    let trace = trace(&scene.sandbox, grams);
    let day = [
        "--replay",
        trace.to_str().unwrap(),
        "--speed",
        "600",
        "--summary",
        "none",
    ];
    let (folder, count) = (scene.folder.to_str().unwrap(), count.to_string());
    let job = script("saver.py", ["steps", folder, &count, "0.05"]);
    run(&scene.sandbox, &[&day[..], options].concat(), job)
}

/// What is left of the whole: the job does twenty steps a second at most, 120 in a replayed hour.
#[track_caller]
fn shows_progress(run: &Supervised<'_>, total: f64) {
    let status = status_when(run, "a measured rate", |status| {
        status["rate_per_hour"].is_number()
    });
    assert_eq!(status["progress_source"], "steps", "{status}");
    assert_eq!(status["total"], total, "{status}");
    let (done, rate) = (status["done"].as_f64(), status["rate_per_hour"].as_f64());
    let percent = done.unwrap() / total * 100.0;
    let shown = status["progress_percent"].as_f64().unwrap();
    assert!(
        done.unwrap() > 0.0 && (shown - percent).abs() < 1e-6,
        "{status}"
    );
    assert!((1.0..=130.0).contains(&rate.unwrap()), "{status}");
    // It goes on.
    status_when(run, "more progress", |later| {
        later["progress_percent"].as_f64() > Some(shown)
    });
}

#[test]
fn steps_in_the_file_that_the_job_writes_to_are_shown_with_their_rate() {
    let scene = Scene::new();
    let plain = steps(&scene, &["--max-delay", "0"], 2000, |_| 100.0);
    let mut command = to_file(&plain, &scene.sandbox.path("output"));
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    shows_progress(&run, 2000.0);
    let id = run.id();
    let text = crate::support::supervised::said(&scene.sandbox, &["status", "--json", &id]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(
        document["runs"][0]["progress_percent"].is_number(),
        "{text}"
    );
    stop(&mut run);
}

#[test]
fn steps_that_pass_through_us_are_shown_and_no_byte_of_them_is_changed() {
    let scene = Scene::new();
    let options = ["--max-delay", "0", "--progress-from", "stdout"];
    let plain = steps(&scene, &options, 200, |_| 100.0);
    // A pipe, whose bytes need not be text.
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$@\" | cat >\"$0\""])
        .arg(scene.sandbox.path("output"));
    command
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(plain.get_current_dir().unwrap());
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    shows_progress(&run, 200.0);
    assert_eq!(run.end().code(), Some(0));
    let expected = (1..=200).flat_map(|step| {
        let mut line = format!("step {step}/200 ").into_bytes();
        line.extend_from_slice(b"\xff\r\n\x80\0\n");
        line
    });
    let expected: Vec<u8> = expected.collect();
    assert!(fs::read(scene.sandbox.path("output")).unwrap() == expected);
}

#[test]
fn a_deadline_alone_gets_a_plan_once_the_rate_is_measured() {
    let scene = Scene::new();
    // Two clean hours, then a dirty day, then clean ones: about eight hours of work in forty.
    let grams = |hour| match hour {
        2..14 => 800.0,
        _ => 50.0,
    };
    let options = [
        "--deadline",
        "+40h",
        "--progress-from",
        "stdout",
        "--power",
        "300",
    ];
    let mut command = steps(&scene, &options, 1000, grams);
    let mut run = Supervised::start(&scene.sandbox, &mut command);
    run.running.expect("step 1/1000", LONG);
    let before = run.word(Word::Status);
    assert_eq!(before["state"], "running");
    assert_eq!(before["rate_per_hour"], Value::Null, "{before}");
    assert_eq!(before["done_about"], Value::Null, "{before}");
    let planned = status_when(&run, "a plan", |status| status["done_about"].is_string());
    assert!(planned["rate_per_hour"].is_number(), "{planned}");
    let paused = run.wait_for_state("paused");
    assert_eq!(paused["holds"], serde_json::json!(["carbon"]), "{paused}");
    wait_until("it is told", SOON, || {
        run.running.stderr().contains("paused")
    });
    stop(&mut run);
}
