//! "A job is never stranded": the supervisor dies or hangs, the watchdog does its work.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::supervisor::{Supervisor, eventually, is_stopped, runs, send, states, within};

/// "`catrain` killed, at any moment and in any way: within one second no process of the job is left
/// stopped by us."
const ONE_SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn run_within_a_second(pids: &[i32], when: &str) {
    let done = within(ONE_SECOND, || pids.iter().all(|&pid| runs(pid)));
    let now: Vec<_> = pids.iter().map(|&pid| states(pid)).collect();
    assert!(done, "{when}: {now:?}");
}

#[test]
fn a_paused_job_runs_again_within_a_second_of_kill_9() {
    for (shape, count) in [
        ("workers", 1),
        ("workers", 64),
        ("session", 2),
        ("daemon", 2),
        ("ended-main", 1),
    ] {
        let mut supervisor = Supervisor::start();
        let pids = supervisor.paused_job(shape, count);
        assert!(pids.iter().all(|&pid| is_stopped(pid)));
        supervisor.kill();
        run_within_a_second(&pids, shape);
    }
}

#[test]
fn a_killed_supervisor_wakes_nobody_that_the_job_had_stopped() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("self-stopped", 2);
    let stopped = std::fs::read_to_string(supervisor.folder().join("stopped")).unwrap();
    let stopped: i32 = stopped.parse().unwrap();
    let guard = supervisor.guard_pid_in_use();
    supervisor.kill();
    let others: Vec<_> = pids.into_iter().filter(|&pid| pid != stopped).collect();
    run_within_a_second(&others, "kill -9");
    eventually("the watchdog leaves", || states(guard).is_empty());
    assert!(is_stopped(stopped));
}

#[test]
fn a_running_job_is_not_touched_when_the_supervisor_dies() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 3);
    supervisor.ask("resume");
    let guard = supervisor.guard_pid_in_use();
    // As a debugger or the job itself might. Not the leader: its parent-death signal is SIGCONT.
    let processes = supervisor.ask("processes");
    let leader: i32 = processes.split(' ').next().unwrap().parse().unwrap();
    let worker = *pids.iter().find(|&&pid| pid != leader).unwrap();
    send(worker, Signal::SIGSTOP);
    eventually("it is stopped", || is_stopped(worker));
    supervisor.kill();
    eventually("the watchdog leaves", || states(guard).is_empty());
    assert!(is_stopped(worker));
}

#[test]
fn what_the_supervisor_wrote_before_it_died_counts_however_late_the_watchdog_reads_it() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 3);
    let processes = supervisor.ask("processes");
    let leader: i32 = processes.split(' ').next().unwrap().parse().unwrap();
    let worker = *pids.iter().find(|&&pid| pid != leader).unwrap();
    let guard = supervisor.guard_pid_in_use();
    // On a busy machine it may have had no turn since the resume.
    send(guard, Signal::SIGSTOP);
    eventually("the watchdog is stopped", || is_stopped(guard));
    supervisor.ask("resume");
    send(worker, Signal::SIGSTOP);
    eventually("it is stopped", || is_stopped(worker));
    supervisor.kill();
    send(guard, Signal::SIGCONT);
    eventually("the watchdog leaves", || states(guard).is_empty());
    assert!(is_stopped(worker));
}

#[test]
fn no_signal_that_can_be_blocked_ends_the_watchdog() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 2);
    let guard = supervisor.guard_pid_in_use();
    // The one that it keeps to itself: telling of a broken pipe would break it again.
    send(guard, Signal::SIGPIPE);
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGTERM,
        Signal::SIGTSTP,
    ] {
        send(guard, signal);
        // It tells, so that one that was sent to everyone is not passed on a second time.
        let told = supervisor.ask("news");
        assert_eq!(told, format!("signal {}", signal as i32));
    }
    supervisor.kill();
    run_within_a_second(&pids, "after all these signals");
}

#[test]
fn the_watchdog_is_not_found_under_the_name_of_catrain() {
    let mut supervisor = Supervisor::start();
    supervisor.job("workers", 1);
    let guard = supervisor.guard_pid();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{guard}/{file}")).unwrap();
    assert_eq!(read("comm"), "carbon-guard\n");
    assert_eq!(
        read("cmdline"),
        format!("carbon-guard\0{}\0", supervisor.pid())
    );
    assert!(!read("environ").contains("CATRAIN_TEST"));
    let cwd = std::fs::read_link(format!("/proc/{guard}/cwd")).unwrap();
    assert_eq!(cwd.to_str(), Some("/"));
}

/// A held stdout would keep `catrain run … | tee` from ending.
#[test]
fn the_watchdog_holds_only_its_two_pipes() {
    let script = crate::supervisor::fixture("started_with.py");
    let prefix = ["python3", script.to_str().unwrap(), "descriptor-7"];
    let mut supervisor = Supervisor::start_through(&prefix, &[]);
    supervisor.job("workers", 1);
    let guard = supervisor.guard_pid();
    let folder = std::fs::read_dir(format!("/proc/{guard}/fd")).unwrap();
    let mut open: Vec<(String, String)> = folder
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let target = std::fs::read_link(&path).unwrap();
            let number = path.file_name().unwrap().to_str().unwrap().to_owned();
            (number, target.to_str().unwrap().to_owned())
        })
        .collect();
    open.sort();
    let kinds: Vec<_> = open
        .iter()
        .map(|(number, target)| (number.as_str(), target.split(":[").next().unwrap()))
        .collect();
    let expected = [
        ("0", "pipe"),
        ("1", "pipe"),
        ("2", "/dev/null"),
        ("3", "anon_inode:[signalfd]"),
    ];
    let expected = expected.map(|(number, target)| (number, target.split(":[").next().unwrap()));
    assert_eq!(kinds, expected);
}

#[test]
fn the_watchdog_is_small() {
    let mut supervisor = Supervisor::start();
    supervisor.job("workers", 1);
    let guard = supervisor.guard_pid();
    let status = std::fs::read_to_string(format!("/proc/{guard}/status")).unwrap();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    let kilobytes: u32 = anonymous.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 2048, "{status}");
}

#[test]
fn a_watchdog_that_died_is_noticed_and_replaced() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 3);
    let first = supervisor.guard_pid_in_use();
    send(first, Signal::SIGKILL);
    assert_eq!(supervisor.ask("news"), "the watchdog is gone");
    let refused = supervisor.ask("pause");
    assert!(refused.starts_with("refused NoGuard"), "{refused}");
    assert!(
        pids.iter().all(|&pid| runs(pid)),
        "without a watchdog nobody stays stopped"
    );
    let second = supervisor.guard_pid();
    assert_ne!(first, second);
    assert!(supervisor.ask("pause").starts_with("stopped 3 0"));
    supervisor.ask("reap");
    assert!(
        !std::fs::exists(format!("/proc/{first}")).unwrap(),
        "it is waited for"
    );
    supervisor.kill();
    run_within_a_second(&pids, "under the second watchdog");
}

#[test]
fn a_watchdog_that_does_not_answer_means_no_pause() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("workers", 2);
    let guard = supervisor.guard_pid();
    send(guard, Signal::SIGSTOP);
    let refused = supervisor.ask("pause");
    assert!(refused.starts_with("refused NoGuard"), "{refused}");
    assert!(pids.iter().all(|&pid| runs(pid)));
    send(guard, Signal::SIGKILL);
}

#[test]
fn a_lease_that_runs_out_wakes_the_job_and_is_told() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 3);
    supervisor.ask("lease 50");
    assert_eq!(supervisor.ask("news"), "released");
    assert!(pids.iter().all(|&pid| runs(pid)));
    // It goes on serving.
    supervisor.ask("resume");
    assert!(supervisor.ask("pause").starts_with("stopped 3 0"));
    supervisor.kill();
    run_within_a_second(&pids, "after a release");
}

/// "`catrain` hung (disk, terminal, stopped itself)".
#[test]
fn a_stopped_supervisor_does_not_keep_the_job_stopped() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 3);
    supervisor.ask("lease 300");
    send(supervisor.pid(), Signal::SIGSTOP);
    eventually("everyone runs", || pids.iter().all(|&pid| runs(pid)));
    assert!(is_stopped(supervisor.pid()));
}

#[test]
fn a_lease_until_death_outlasts_a_stopped_supervisor_and_not_a_killed_one() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 2);
    supervisor.ask("lease 100");
    supervisor.ask("lease death");
    send(supervisor.pid(), Signal::SIGSTOP);
    let woken = within(Duration::from_millis(400), || {
        pids.iter().any(|&pid| runs(pid))
    });
    assert!(!woken, "Ctrl-Z stops both until fg");
    supervisor.kill();
    run_within_a_second(&pids, "killed while stopped");
}

#[test]
fn a_farewell_ends_the_watchdog_and_touches_nobody() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 2);
    let guard = supervisor.guard_pid_in_use();
    supervisor.ask("farewell");
    eventually("the watchdog leaves", || states(guard).is_empty());
    assert!(pids.iter().all(|&pid| is_stopped(pid)));
}

#[test]
fn a_supervisor_that_ends_without_a_farewell_leaves_nobody_stopped() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 2);
    supervisor.ask("forget-guard");
    run_within_a_second(&pids, "the pipe was closed");
}

#[cfg(feature = "fault-points")]
mod faults {
    use catrain::fault::Point;

    use super::*;

    /// Kills a supervisor at this point of its life, and gives whether it came there.
    fn dies_at(point: Point, shape: &str, count: u32, more: &[(&str, &str)]) -> bool {
        let number = (point as u16).to_string();
        let mut variables = vec![("CATRAIN_FAULT", number.as_str())];
        variables.extend_from_slice(more);
        let mut supervisor = Supervisor::start_through(&[], &variables);
        let start = supervisor.order_for(shape, count);
        let mut alive = supervisor.try_ask(&start).is_some();
        if !alive && (point as u16) < (Point::Started as u16) {
            assert!(supervisor.pids().is_empty(), "nothing was started");
            return true;
        }
        supervisor.wait_until_ready();
        if shape == "two-users" {
            alive = alive && supervisor.try_ask("guard").is_some();
            alive = alive && supervisor.try_ask("become 65534").is_some();
            alive = alive && supervisor.try_ask("pause").is_some();
        } else {
            for order in ["guard", "lease 60000", "pause", "resume", "farewell"] {
                alive = alive && supervisor.try_ask(order).is_some();
            }
        }
        let pids = supervisor.pids();
        assert!(!pids.is_empty());
        run_within_a_second(&pids, &format!("{point:?} with {count}"));
        !alive
    }

    fn dies_everywhere(count: u32, more: &[(&str, &str)]) {
        for &point in Point::ALL {
            let count = if point == Point::Refusing {
                count.max(2)
            } else {
                count
            };
            let shape = match point {
                Point::LateFindTold => "forker",
                Point::Refusing if nix::unistd::geteuid().is_root() => "two-users",
                Point::Refusing => continue, // Needs root to have processes of two users.
                point if point as u16 >= 100 => continue, // The driver's, tested with it.
                point if crate::freezer::OF_CELLS.contains(&point) => continue, // Tested there.
                _ => "workers",
            };
            // A late find is a matter of luck; the others are not.
            let tries = if point == Point::LateFindTold { 20 } else { 1 };
            let died = (0..tries).any(|_| dies_at(point, shape, count, more));
            assert!(died, "{point:?} was not reached");
        }
    }

    #[test]
    fn wherever_the_supervisor_dies_one_process_runs_on() {
        dies_everywhere(1, &[]);
    }

    #[test]
    fn wherever_the_supervisor_dies_sixty_four_processes_run_on() {
        dies_everywhere(64, &[]);
    }

    /// As on kernels before 5.3.
    #[test]
    fn without_pidfds_everything_holds_as_well() {
        dies_everywhere(3, &[("CATRAIN_NO_PIDFD", "1")]);
    }
}
