//! What kills more than the supervisor: the guard as well, or the job's first process alone.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use catrain::clock::monotonic;
use nix::sys::signal::Signal;

use crate::support::process::{self, Pid};
use crate::support::supervised::{
    LONG, Supervised, pids_in, run, runs, script, wait_until_running, wait_until_stopped,
};
use crate::support::{SOON, Sandbox, wait_until};

/// A job of `trees.py` that is paused, and its processes.
fn paused<'a>(sandbox: &'a Sandbox, options: &[&str], count: usize) -> (Supervised<'a>, Vec<Pid>) {
    let folder = sandbox.path("job");
    fs::create_dir_all(&folder).unwrap();
    let words = ["workers", folder.to_str().unwrap(), &count.to_string()].map(str::to_owned);
    let mut all = vec!["-z", "DE", "--max-delay", "0", "--summary", "none"];
    all.extend(options);
    let run = Supervised::start(sandbox, &mut run(sandbox, &all, script("trees.py", words)));
    wait_until("the job is ready", LONG, || folder.join("ready").exists());
    let pids = pids_in(&folder);
    run.pause();
    (run, pids)
}

/// Kills supervisor and guard, one so long after the other.
fn kills_both(guard_first: bool, gap: Duration, count: usize) {
    let sandbox = Sandbox::new();
    let (run, pids) = paused(&sandbox, &[], count);
    wait_until_stopped(&pids);
    let (first, second) = match guard_first {
        true => (run.guard(), run.pid()),
        false => (run.pid(), run.guard()),
    };
    process::kill(first);
    let until = monotonic() + gap;
    wait_until("the gap is over", SOON, || monotonic() >= until);
    process::kill(second);
    wait_until(
        &format!("{count} run after both were killed within {gap:?}"),
        Duration::from_secs(2),
        || pids.iter().all(|&pid| runs(pid)),
    );
    for pid in pids {
        process::kill(pid);
    }
}

#[test]
fn supervisor_and_guard_killed_within_fifty_milliseconds_strand_nobody() {
    for count in [1, 8] {
        for gap in [20, 50].map(Duration::from_millis) {
            kills_both(true, gap, count);
            kills_both(false, gap, count);
        }
    }
}

#[test]
fn killed_in_the_same_instant_a_job_of_one_process_runs_on() {
    kills_both(true, Duration::ZERO, 1);
    kills_both(false, Duration::ZERO, 1);
}

#[test]
fn a_leader_that_the_kernel_picks_when_memory_runs_short_leaves_no_worker_stopped() {
    let sandbox = Sandbox::new();
    let (mut run, pids) = paused(&sandbox, &["--leftovers", "leave"], 4);
    wait_until_stopped(&pids);
    let leader = run.leader();
    process::kill(leader);
    assert_eq!(run.end().signal(), Some(Signal::SIGKILL as i32));
    let workers: Vec<Pid> = pids.into_iter().filter(|&pid| pid != leader).collect();
    wait_until_running(&workers);
    for pid in workers {
        process::kill(pid);
    }
}

#[test]
fn workers_that_outlive_a_leader_that_was_killed_are_ended_after_the_grace() {
    let sandbox = Sandbox::new();
    let (mut run, pids) = paused(&sandbox, &["--grace", "1s"], 4);
    process::kill(run.leader());
    assert_eq!(run.end().signal(), Some(Signal::SIGKILL as i32));
    wait_until("nobody is left", SOON, || {
        pids.iter().all(|&pid| !process::is_alive(pid))
    });
}
