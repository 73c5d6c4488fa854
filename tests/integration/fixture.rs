//! The jobs that the other tests run do what they say: `tests/fixtures/train.py`, which behaves
//! well, and `tests/fixtures/job.py`, which does not.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::child::Running;
use crate::support::process::{self, Pid};
use crate::support::pty::Pty;
use crate::support::{SOON, Sandbox, fixture, python, wait_for, wait_until};

/// Two epochs, as fast as the machine can.
const QUICK: [&str; 4] = ["--epochs", "2", "--pace", "0"];

fn training(sandbox: &Sandbox, more: &[&str]) -> Command {
    let mut command = sandbox.script("train.py", QUICK);
    command.args(more);
    command
}

fn finish(mut running: Running) -> String {
    let ended = running.wait(SOON * 3);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, "");
    ended.stdout
}

fn run(mut command: Command) -> String {
    finish(Running::start(&mut command))
}

/// The hash of a run that nobody disturbed.
fn undisturbed() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(&run(training(&Sandbox::new(), &[]))).to_owned())
}

/// The hash on the last line.
fn hash(output: &str) -> &str {
    let last = output.lines().last().unwrap_or_default();
    last.strip_prefix("final weights sha256 ")
        .unwrap_or_else(|| panic!("no hash at the end of {output:?}"))
}

#[test]
fn training_learns_and_its_hash_depends_on_the_seed_alone() {
    let sandbox = Sandbox::new();
    let output = run(training(&sandbox, &["--epochs", "5"]));
    let epochs: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("epoch "))
        .collect();
    assert_eq!(epochs.len(), 5, "{output}");
    let accuracy: f64 = epochs[4].rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!((0.85..=1.0).contains(&accuracy), "{output}");

    let again = run(training(&sandbox, &["--checkpoint-dir", "c"]));
    assert_eq!(undisturbed(), hash(&again));
    let other = run(training(&sandbox, &["--seed", "2"]));
    assert_ne!(undisturbed(), hash(&other));
}

#[test]
fn workers_change_nothing_but_who_prepares_the_batches() {
    let sandbox = Sandbox::new();
    for workers in ["2", "4"] {
        let output = run(training(&sandbox, &["--workers", workers]));
        assert_eq!(undisturbed(), hash(&output), "{workers} workers");
    }
    let mut long = training(
        &sandbox,
        &["--pace", "0.03", "--workers", "4", "--sessions"],
    );
    let running = Running::start(&mut long);
    let pid = running.pid();
    wait_until("four workers lead a session each", SOON, || {
        let workers = process::children_of(pid);
        let leads = |&pid: &Pid| process::stat(pid).is_some_and(|stat| stat.session == pid);
        workers.len() == 4 && workers.iter().all(leads)
    });
    assert_eq!(undisturbed(), hash(&finish(running)));
    let left = sandbox.processes();
    assert!(left.is_empty(), "outlived the training: {left:?}");
}

#[test]
fn workers_end_when_the_trainer_is_killed() {
    let sandbox = Sandbox::new();
    let mut command = training(
        &sandbox,
        &["--pace", "0.05", "--workers", "3", "--sessions"],
    );
    let mut running = Running::start(&mut command);
    wait_until("the workers are there", SOON, || {
        process::children_of(running.pid()).len() == 3
    });
    process::kill(running.pid());
    running.wait(SOON);
    wait_until("the workers are gone", SOON, || {
        sandbox.processes().is_empty()
    });
}

#[test]
fn stopping_at_any_moment_changes_no_weight() {
    let sandbox = Sandbox::new();
    for more in [&[][..], &["--workers", "2", "--sessions"]] {
        let mut running = Running::start(&mut training(&sandbox, more));
        let pid = running.pid();
        let (mut stops, mut used) = (0, 0);
        wait_until("the training ends", SOON * 3, || {
            let tree: Vec<Pid> = std::iter::once(pid)
                .chain(process::descendants(pid))
                .collect();
            let now: u64 = tree
                .iter()
                .filter_map(|&pid| Some(process::stat(pid)?.cpu_ticks))
                .sum();
            // Another tick of processor time has been used by somebody: wherever they are, stop.
            if now > used {
                used = now;
                for &each in &tree {
                    process::send(each, Signal::SIGSTOP);
                }
                wait_until("the tree is stopped or gone", SOON, || {
                    tree.iter().all(|&each| !process::is_running(each))
                });
                stops += 1;
                for &each in &tree {
                    process::send(each, Signal::SIGCONT);
                }
            }
            running.has_ended().is_some()
        });
        assert!(stops >= 5, "stopped {stops} times only");
        assert_eq!(undisturbed(), hash(&finish(running)));
    }
}

#[test]
fn sigterm_saves_marks_and_a_restart_goes_on_in_mid_epoch() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("saved");
    let (checkpoint, marker) = (dir.join("digits.json"), dir.join("digits.json.interrupted"));
    let keeping = |more: &[&str]| {
        let mut command = training(&sandbox, more);
        command.arg("--checkpoint-dir").arg(&dir);
        command
    };

    let interrupt = |more: &[&str]| -> u32 {
        let mut running = Running::start(&mut keeping(more));
        running.expect("training:", SOON);
        process::send(running.pid(), Signal::SIGTERM);
        let output = finish(running);
        assert!(checkpoint.is_file() && marker.is_file());
        let last = output.lines().last().unwrap();
        let step = last.strip_prefix("interrupted by SIGTERM at step ");
        step.unwrap_or_else(|| panic!("{output}")).parse().unwrap()
    };

    let first = interrupt(&["--pace", "0.05"]);
    assert!((1..40).contains(&first), "{first}");
    let output = run(keeping(&["--steps", "50"]));
    let resumed = format!("resumed at step {first} from");
    assert!(output.starts_with(&resumed), "{output}");
    let second = interrupt(&["--pace", "0.05", "--workers", "2"]);
    assert!((51..80).contains(&second), "{second}");

    let output = run(keeping(&[]));
    let resumed = format!("resumed at step {second} from");
    assert!(output.starts_with(&resumed), "{output}");
    assert_eq!(undisturbed(), hash(&output));
    assert!(!marker.exists());

    // What has been trained already is not trained again.
    let output = run(keeping(&[]));
    assert!(output.starts_with("resumed at step 80 from"), "{output}");
    assert_eq!(undisturbed(), hash(&output));
}

#[test]
fn sigusr1_saves_and_what_was_saved_survives_a_kill() {
    let sandbox = Sandbox::new();
    let keep = ["--checkpoint-dir", "saved", "--checkpoint-every", "0"];
    let slow = [&keep[..], &["--pace", "0.05"]].concat();
    let mut running = Running::start(&mut training(&sandbox, &slow));
    running.expect("training:", SOON);
    process::send(running.pid(), Signal::SIGUSR1);
    running.expect("checkpoint step ", SOON);
    process::kill(running.pid());
    assert_eq!(
        running.wait(SOON).status.signal(),
        Some(Signal::SIGKILL as i32)
    );
    let output = run(training(&sandbox, &keep));
    assert!(output.starts_with("resumed at step "), "{output}");
    assert_eq!(undisturbed(), hash(&output));
}

#[test]
fn with_nowhere_to_save_sigterm_ends_it_and_sigusr1_does_not() {
    let sandbox = Sandbox::new();
    let mut running = Running::start(&mut training(&sandbox, &["--pace", "0.05"]));
    running.expect("training:", SOON);
    process::send(running.pid(), Signal::SIGUSR1);
    process::send(running.pid(), Signal::SIGTERM);
    let ended = running.wait(SOON);
    assert_eq!(ended.status.signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(ended.stderr, "");
}

fn job(sandbox: &Sandbox, arguments: &[&str]) -> Running {
    Running::start(&mut sandbox.script("job.py", arguments))
}

#[test]
fn jobs_end_as_they_say() {
    let sandbox = Sandbox::new();
    assert_eq!(job(&sandbox, &["exit7"]).wait(SOON).status.code(), Some(7));
    assert_eq!(
        job(&sandbox, &["segv"]).wait(SOON).status.signal(),
        Some(libc::SIGSEGV)
    );
    let mut deaf = job(&sandbox, &["close-outputs", "file"]);
    assert_eq!(deaf.wait(SOON).status.code(), Some(3));
    assert_eq!(
        std::fs::read_to_string(sandbox.home().join("file")).unwrap(),
        "done\n"
    );
    let ended = job(&sandbox, &["dance"]).wait(SOON);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("job.py flood BYTES"));
}

#[test]
fn a_job_that_ignores_sigterm_needs_sigkill() {
    let sandbox = Sandbox::new();
    let mut stubborn = job(&sandbox, &["ignore-term"]);
    stubborn.expect("ready", SOON);
    let sets = process::signals_of(stubborn.pid()).unwrap();
    assert!(process::SignalSets::has(sets.ignored, Signal::SIGTERM));
    process::send(stubborn.pid(), Signal::SIGTERM);
    assert!(process::is_running(stubborn.pid()));
    process::kill(stubborn.pid());
    assert_eq!(
        stubborn.wait(SOON).status.signal(),
        Some(Signal::SIGKILL as i32)
    );
}

#[test]
fn a_child_that_leaves_the_group_works_on_after_its_parent() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("left");
    let mut command = sandbox.script("job.py", ["leave-group"]);
    // The parent's end is seen by its status: the child holds the output open for longer.
    let mut running = Running::start(command.arg(&file).arg("1"));
    let child: Pid = wait_for("the child's pid", SOON, || {
        running.stdout().strip_suffix('\n')?.parse().ok()
    });
    process::send(child, Signal::SIGSTOP);
    let stat = process::stat(child).unwrap();
    assert_eq!((stat.session, stat.pgid), (child, child));
    wait_until("the parent ends", SOON, || running.has_ended().is_some());
    assert!(!file.exists(), "the child outlives its parent");
    process::send(child, Signal::SIGCONT);
    wait_until("the child has written", SOON, || {
        sandbox.read("left") == format!("{child}\n")
    });
}

#[test]
fn a_flood_arrives_whole_at_a_job_that_reads_it() {
    let sandbox = Sandbox::new();
    let python = python().display();
    let script = fixture("job.py");
    let line = format!(
        "'{python}' '{0}' flood 1000001 | '{python}' '{0}' read-stdin",
        script.display()
    );
    let mut both = Running::start(sandbox.command("sh").args(["-c", &line]));
    let ended = both.wait(SOON);
    assert_eq!(ended.stdout, format!("1000001 {}", ended.stderr));

    let mut fed = Running::start_with(&mut sandbox.script("job.py", ["read-stdin"]), b"abc\n");
    let of_abc = "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb";
    assert_eq!(fed.wait(SOON).stdout, format!("4 {of_abc}\n"));
}

#[test]
fn a_job_tells_what_it_was_born_with() {
    let sandbox = Sandbox::new();
    let script = fixture("job.py");
    let born = |setup: &str| {
        let mut command = sandbox.command("sh");
        command.args(["-c", &format!("{setup} exec \"$@\""), "sh"]);
        let mut running = Running::start(command.arg(python()).arg(&script).arg("mask"));
        let (pid, ended) = (running.pid(), running.wait(SOON));
        let born: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(born["pid"], pid);
        born
    };
    // The surroundings of the tests may leave descriptors open.
    let (plain, changed) = (born(""), born("trap '' USR1; exec 7</dev/null;"));
    let ignored = |born: &Value| born["ignored"].as_array().unwrap().clone();
    assert!(!ignored(&plain).contains(&"SIGUSR1".into()), "{plain}");
    assert!(ignored(&changed).contains(&"SIGUSR1".into()), "{changed}");
    assert_eq!(ignored(&changed).len(), ignored(&plain).len() + 1);
    assert!(plain["fds"].get("7").is_none(), "{plain}");
    assert_eq!(changed["fds"]["7"], "/dev/null");
    assert_eq!(changed["blocked"], serde_json::json!([]));
    assert_eq!(changed["cwd"], sandbox.home().to_str().unwrap());
    assert_eq!(
        changed["stdio_is_tty"],
        serde_json::json!([false, false, false])
    );

    let line = [python().to_str().unwrap(), script.to_str().unwrap(), "mask"];
    let mut terminal = Pty::start(&sandbox, &line);
    let text = terminal.expect("}}", SOON);
    let born: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(born["opens_dev_tty"], true);
    assert_eq!(born["session"], terminal.pid());
    assert_eq!(born["foreground_pgid"], terminal.pid());
    assert_eq!(born["stdio_is_tty"], serde_json::json!([true, true, true]));
}

#[test]
fn ticks_show_whether_a_job_runs() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("ticks");
    let running = Running::start(sandbox.script("job.py", ["tick"]).arg(&file));
    let ticks = || sandbox.read("ticks").lines().count();
    wait_until("it ticks", SOON, || ticks() > 3);
    process::send(running.pid(), Signal::SIGSTOP);
    wait_until("it stops", SOON, || process::is_stopped(running.pid()));
    let (before, stopped_at) = (ticks(), catrain::clock::monotonic());
    wait_until("ten ticks' time passes", SOON, || {
        catrain::clock::monotonic() > stopped_at + Duration::from_millis(100)
    });
    assert_eq!(ticks(), before);
    process::send(running.pid(), Signal::SIGCONT);
    wait_until("it ticks again", SOON, || ticks() > before);
    let times: Vec<f64> = sandbox
        .read("ticks")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(
        times[before] - times[before - 1] >= 0.1,
        "its own clock shows the gap"
    );

    let mut brief = job(&sandbox, &["tick", "brief", "0.03"]);
    assert_eq!(brief.wait(SOON).status.code(), Some(0));
}

#[test]
fn signals_are_recorded_one_by_one_with_their_sender() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.script("job.py", ["signals"]);
    let mut running = Running::start(command.arg(sandbox.path("got")).arg("TERM"));
    running.expect("ready", SOON);
    let me = std::process::id();
    let lines = || sandbox.read("got").lines().count();
    for (sent, signal) in [
        Signal::SIGUSR1,
        Signal::SIGUSR1,
        Signal::SIGWINCH,
        Signal::SIGHUP,
    ]
    .into_iter()
    .enumerate()
    {
        process::send(running.pid(), signal);
        wait_until("it is recorded", SOON, || lines() == sent + 1);
    }
    process::send(running.pid(), Signal::SIGSTOP);
    wait_until("it stops", SOON, || process::is_stopped(running.pid()));
    process::send(running.pid(), Signal::SIGCONT);
    wait_until("being continued is recorded", SOON, || lines() == 5);
    process::send(running.pid(), Signal::SIGTERM);
    assert_eq!(running.wait(SOON).status.code(), Some(0));
    let expected = [
        ("SIGUSR1", 1),
        ("SIGUSR1", 2),
        ("SIGWINCH", 1),
        ("SIGHUP", 1),
        ("SIGCONT", 1),
        ("SIGTERM", 1),
    ];
    let got = sandbox.read("got");
    let got: Vec<serde_json::Value> = got
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = (got.iter())
        .map(|one| {
            (
                one["signal"].as_str().unwrap(),
                one["count"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, expected);
    assert!(got.iter().all(|one| one["from"] == me));
    let times: Vec<f64> = got.iter().map(|one| one["at"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn workers_tick_each_to_a_file_and_every_second_one_in_its_own_session() {
    let sandbox = Sandbox::new();
    let running = job(&sandbox, &["workers", "3", "../a", "../b"]);
    let workers: Vec<Pid> = wait_for("three workers", SOON, || {
        let pids: Vec<Pid> = running
            .stdout()
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        (pids.len() == 3).then_some(pids)
    });
    assert_eq!(process::children_of(running.pid()), workers);
    wait_until("both files grow", SOON, || {
        !sandbox.read("a").is_empty() && !sandbox.read("b").is_empty()
    });
    let leads = |pid: Pid| process::stat(pid).is_some_and(|stat| stat.session == pid);
    assert_eq!(
        workers.iter().map(|&pid| leads(pid)).collect::<Vec<_>>(),
        [false, true, false]
    );
}
