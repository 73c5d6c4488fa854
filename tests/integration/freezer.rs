//! Jobs in cgroups of their own: frozen, thawed, and never left frozen. On a real cgroup v2 file system
//! that may be divided; where there is none, each test says so and passes by.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catrain::executor::freezer::{self, Freezer};
use nix::sys::signal::Signal;

use crate::supervisor::{Supervisor, eventually, is_stopped, runs, send, states, within};

/// The cgroup that tests may divide.
fn own() -> Option<PathBuf> {
    let usable = freezer::try_out(Path::new("/")).and_then(|()| Freezer::find(Path::new("/")));
    usable.map_or_else(pass_by, |freezer| Some(freezer.own().to_owned()))
}

#[expect(clippy::print_stderr, reason = "a test that is passed by says so")]
fn pass_by(why: freezer::Unavailable) -> Option<PathBuf> {
    eprintln!("passed by: {}", why.in_words());
    None
}

/// The one cell of this supervisor.
fn cell_of(own: &Path, supervisor: i32) -> PathBuf {
    own.join(format!("catrain-{supervisor}-0"))
}

fn is_frozen(cell: &Path) -> bool {
    fs::read_to_string(cell.join("cgroup.events"))
        .is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}

fn inside(cell: &Path) -> Vec<i32> {
    let text = fs::read_to_string(cell.join("cgroup.procs")).unwrap_or_default();
    text.lines().map(|pid| pid.parse().unwrap()).collect()
}

/// A job in a cell, with a watchdog.
fn job(supervisor: &mut Supervisor, shape: &str, count: u32) -> Vec<i32> {
    supervisor.ask("guard");
    let order = supervisor.order_for(shape, count);
    let answer = supervisor.ask(&order.replacen("spawn", "spawn-in-cell", 1));
    assert!(answer.starts_with("started"), "{answer}");
    supervisor.wait_until_ready();
    supervisor.pids()
}

fn all_run(pids: &[i32], cell: &Path) -> bool {
    !is_frozen(cell) && pids.iter().all(|&pid| runs(pid))
}

#[test]
fn a_job_is_frozen_as_a_whole_and_goes_on_as_a_whole() {
    let Some(own) = own() else { return };
    for (shape, count) in [("workers", 1), ("busy", 8), ("session", 2), ("daemon", 2)] {
        let mut supervisor = Supervisor::start();
        let cell = cell_of(&own, supervisor.pid());
        let pids = job(&mut supervisor, shape, count);
        let mut members = inside(&cell);
        members.sort_unstable();
        let mut expected = pids.clone();
        expected.sort_unstable();
        assert_eq!(members, expected, "{shape}");
        let answer = supervisor.ask("pause");
        assert!(
            answer.starts_with(&format!("stopped {} 0 ", pids.len())),
            "{answer}"
        );
        assert_eq!(supervisor.ask("fallback"), "None");
        assert!(is_frozen(&cell), "{shape}");
        assert!(
            !pids.iter().any(|&pid| is_stopped(pid)),
            "no signal was sent"
        );
        // SIGCONT does not thaw.
        send(pids[0], Signal::SIGCONT);
        assert!(is_frozen(&cell));
        assert_eq!(supervisor.ask("resume"), pids.len().to_string());
        assert!(all_run(&pids, &cell), "{shape}");
    }
}

#[test]
fn neither_supervisor_nor_watchdog_is_ever_inside() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    job(&mut supervisor, "workers", 2);
    let guard = supervisor.guard_pid_in_use();
    let members = inside(&cell);
    assert!(!members.contains(&guard) && !members.contains(&supervisor.pid()));
}

#[test]
fn who_is_outside_of_the_cgroup_is_stopped_by_signals() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    let pids = job(&mut supervisor, "workers", 4);
    let leader: i32 = (supervisor.ask("processes").split(' ').next().unwrap())
        .parse()
        .unwrap();
    let outside = *pids.iter().find(|&&pid| pid != leader).unwrap();
    fs::write(own.join("cgroup.procs"), outside.to_string()).unwrap();
    let answer = supervisor.ask("pause");
    assert!(answer.starts_with("stopped 4 0 "), "{answer}");
    assert!(is_frozen(&cell));
    for &pid in &pids {
        assert_eq!(is_stopped(pid), pid == outside);
    }
    assert_eq!(supervisor.ask("resume"), "4");
    assert!(all_run(&pids, &cell));
    supervisor.ask("pause");
    supervisor.kill();
    assert!(within(Duration::from_secs(1), || all_run(&pids, &cell)));
}

#[test]
fn what_the_job_had_stopped_itself_stays_stopped_after_the_thaw() {
    let Some(own) = own() else { return };
    for by_death in [false, true] {
        let mut supervisor = Supervisor::start();
        let cell = cell_of(&own, supervisor.pid());
        let pids = job(&mut supervisor, "self-stopped", 2);
        let stopped = fs::read_to_string(supervisor.folder().join("stopped")).unwrap();
        let stopped: i32 = stopped.parse().unwrap();
        let answer = supervisor.ask("pause");
        assert!(answer.starts_with("stopped 1 0 "), "{answer}");
        if by_death {
            let guard = supervisor.guard_pid_in_use();
            supervisor.kill();
            eventually("the watchdog leaves", || states(guard).is_empty());
        } else {
            assert_eq!(supervisor.ask("resume"), "1");
        }
        assert!(!is_frozen(&cell));
        for &pid in &pids {
            assert_eq!(is_stopped(pid), pid == stopped);
        }
    }
}

#[test]
fn a_frozen_job_hears_a_kill_at_once_and_other_signals_after_the_thaw() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    let pids = job(&mut supervisor, "workers", 3);
    supervisor.ask("pause");
    // Not TERM: of a process that does not handle it the kernel makes a kill of that at once.
    send(pids[0], Signal::SIGCONT);
    eventually("it waits for the thaw", || {
        is_frozen(&cell) && runs(pids[0])
    });
    supervisor.ask("wake-with 15");
    assert_eq!(supervisor.ask("wait"), "signal 15");

    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    let pids = job(&mut supervisor, "workers", 3);
    supervisor.ask("pause");
    supervisor.ask("kill");
    assert_eq!(supervisor.ask("wait"), "signal 9");
    eventually("all have ended", || {
        pids.iter().all(|&pid| states(pid).is_empty())
    });
    assert!(!is_frozen(&cell));
}

/// "`catrain` killed, at any moment and in any way: within one second no process of the job is left
/// stopped by us."
#[test]
fn a_frozen_job_runs_again_within_a_second_of_kill_9_and_keeps_its_cgroup() {
    let Some(own) = own() else { return };
    for count in [1, 64] {
        let mut supervisor = Supervisor::start();
        let cell = cell_of(&own, supervisor.pid());
        let pids = job(&mut supervisor, "workers", count);
        supervisor.ask("pause");
        supervisor.kill();
        assert!(
            within(Duration::from_secs(1), || all_run(&pids, &cell)),
            "{count} processes"
        );
        assert_eq!(inside(&cell).len(), pids.len());
    }
}

#[test]
fn the_cgroup_goes_with_the_job_or_with_whoever_comes_next() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    job(&mut supervisor, "report", 1);
    assert_eq!(supervisor.ask("wait"), "code 0");
    assert!(cell.exists());
    // The orders end, and with them the supervisor, whose job is dropped.
    supervisor.hang_up();
    eventually("the cgroup is removed", || !cell.exists());

    let mut killed = Supervisor::start();
    let cell = cell_of(&own, killed.pid());
    let pids = job(&mut killed, "workers", 2);
    // As if both had died at the same moment: nobody is left who could thaw it.
    let guard = killed.guard_pid_in_use();
    killed.ask("pause");
    send(guard, Signal::SIGSTOP);
    eventually("the watchdog is stopped", || is_stopped(guard));
    killed.kill();
    send(guard, Signal::SIGKILL);
    eventually("the watchdog is gone", || states(guard).is_empty());
    assert!(is_frozen(&cell), "nobody could thaw it");
    let mut next = Supervisor::start();
    job(&mut next, "workers", 1);
    eventually("it is thawed by the next", || all_run(&pids, &cell));
    for pid in pids {
        send(pid, Signal::SIGKILL);
        eventually("it has ended", || states(pid).is_empty());
    }
    let mut last = Supervisor::start();
    job(&mut last, "workers", 1);
    eventually("it is removed by the next", || !cell.exists());
}

#[test]
fn a_cgroup_of_a_living_supervisor_is_left_alone_by_the_next() {
    let Some(own) = own() else { return };
    let mut first = Supervisor::start();
    let cell = cell_of(&own, first.pid());
    job(&mut first, "workers", 2);
    first.ask("pause");
    let mut second = Supervisor::start();
    job(&mut second, "workers", 1);
    assert!(is_frozen(&cell));
}

#[test]
fn a_lease_that_runs_out_thaws_the_job_and_is_told() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    let pids = job(&mut supervisor, "workers", 3);
    supervisor.ask("pause");
    supervisor.ask("lease 50");
    assert_eq!(supervisor.ask("news"), "released");
    assert!(all_run(&pids, &cell));
    supervisor.ask("resume");
    assert!(supervisor.ask("pause").starts_with("stopped 3 0"));
    assert!(is_frozen(&cell));
    supervisor.ask("lease 300");
    send(supervisor.pid(), Signal::SIGSTOP);
    eventually("a hung supervisor keeps nobody frozen", || {
        all_run(&pids, &cell)
    });
}

#[test]
fn a_job_whose_watchdog_died_is_thawed_by_the_supervisor() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    let pids = job(&mut supervisor, "workers", 3);
    supervisor.ask("pause");
    let guard = supervisor.guard_pid_in_use();
    send(guard, Signal::SIGKILL);
    assert_eq!(supervisor.ask("news"), "the watchdog is gone");
    let refused = supervisor.ask("pause");
    assert!(refused.starts_with("refused NoGuard"), "{refused}");
    assert!(all_run(&pids, &cell));
    // One that hears of the cgroup only with the pause.
    supervisor.ask("guard");
    assert!(supervisor.ask("pause").starts_with("stopped 3 0"));
    assert!(is_frozen(&cell));
    supervisor.kill();
    assert!(within(Duration::from_secs(1), || all_run(&pids, &cell)));
}

#[test]
fn a_panic_leaves_nobody_frozen() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let cell = cell_of(&own, supervisor.pid());
    let pids = job(&mut supervisor, "workers", 4);
    supervisor.ask("pause");
    // Only the destructor is to be seen at work.
    let guard = supervisor.guard_pid_in_use();
    send(guard, Signal::SIGSTOP);
    assert_eq!(supervisor.try_ask("panic"), None);
    eventually("everyone runs", || all_run(&pids, &cell));
    send(guard, Signal::SIGKILL);
}

#[test]
fn a_job_that_cannot_enter_runs_outside_and_is_stopped_by_signals() {
    let Some(own) = own() else { return };
    let mut supervisor = Supervisor::start();
    let pids = {
        supervisor.ask("guard");
        let order = supervisor.order_for("workers", 2);
        supervisor.ask(&order.replacen("spawn", "spawn-in-lost-cell", 1));
        supervisor.wait_until_ready();
        supervisor.pids()
    };
    let why = supervisor.ask("outside");
    assert!(
        why.contains("could not enter") && why.contains("; "),
        "{why}"
    );
    assert!(
        !cell_of(&own, supervisor.pid()).exists(),
        "it is not left behind"
    );
    assert!(supervisor.ask("pause").starts_with("stopped 2 0"));
    assert!(pids.iter().all(|&pid| is_stopped(pid)));
}

#[test]
fn a_cgroup_of_somebody_else_is_not_delegated_and_works_once_it_is() {
    let Some(own) = own() else { return };
    if !nix::unistd::geteuid().is_root() {
        return; // Needs root to become another user.
    }
    let delegated = own.join(format!("test-{}", std::process::id()));
    fs::create_dir(&delegated).unwrap();
    let give = |places: &[&str]| {
        for place in places {
            std::os::unix::fs::chown(delegated.join(place), Some(65534), None).unwrap();
        }
    };
    let words = {
        let mut supervisor = Supervisor::start();
        fs::write(delegated.join("cgroup.procs"), supervisor.pid().to_string()).unwrap();
        let as_root = supervisor.ask("freezer");
        supervisor.ask("become 65534");
        let refused = supervisor.ask("freezer");
        // As systemd does for `Delegate=yes`.
        give(&["", "cgroup.procs"]);
        [as_root, refused, supervisor.ask("freezer")]
    };
    eventually("the cgroup is removed", || {
        fs::remove_dir(&delegated).is_ok()
    });
    assert_eq!((words[0].as_str(), words[2].as_str()), ("works", "works"));
    assert!(
        words[1].contains("not delegated") && words[1].contains("Delegate=yes"),
        "{words:?}"
    );
}

/// Prints what a freeze costs. Not part of the normal run: it measures the machine.
#[test]
#[ignore = "measures: run with --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "a measurement is for reading")]
fn measure_a_freeze() {
    if own().is_none() {
        return;
    }
    for in_cell in [true, false] {
        for count in [1, 64, 512] {
            let mut supervisor = Supervisor::start();
            if in_cell {
                job(&mut supervisor, "workers", count);
            } else {
                supervisor.job("workers", count);
                supervisor.ask("guard");
            }
            let mut took: Vec<u64> = (0..100)
                .map(|_| {
                    let answer = supervisor.ask("pause");
                    supervisor.ask("resume");
                    answer.rsplit_once(' ').unwrap().1.parse().unwrap()
                })
                .collect();
            took.sort_unstable();
            let how = if in_cell { "frozen" } else { "stopped" };
            println!(
                "{count} {how}: median {} µs, 99th percentile {} µs",
                took[50], took[98]
            );
        }
    }
}

#[cfg(feature = "fault-points")]
pub(crate) use faults::OF_CELLS;

#[cfg(feature = "fault-points")]
mod faults {
    use catrain::fault::Point;

    use super::*;

    /// What only a job with a cgroup of its own comes by.
    pub(crate) const OF_CELLS: [Point; 7] = [
        Point::CellAnnounced,
        Point::CellMade,
        Point::CellEntered,
        Point::FreezeConfirmed,
        Point::FreezeAsked,
        Point::FreezeSeen,
        Point::Thawed,
    ];

    /// Kills a supervisor at this point of a life with a frozen job.
    fn dies_at(own: &Path, point: Point, count: u32) {
        let number = (point as u16).to_string();
        let mut supervisor = Supervisor::start_through(&[], &[("CATRAIN_FAULT", &number)]);
        let cell = cell_of(own, supervisor.pid());
        let mut alive = supervisor.try_ask("guard").is_some();
        let order = supervisor.order_for("workers", count);
        let order = order.replacen("spawn", "spawn-in-cell", 1);
        alive = alive && supervisor.try_ask(&order).is_some();
        if matches!(point, Point::CellAnnounced | Point::CellMade) {
            assert!(!alive, "{point:?} was not reached");
            eventually("an empty cgroup is removed by the watchdog", || {
                !cell.exists()
            });
            assert!(supervisor.pids().is_empty(), "nothing was started");
            return;
        }
        supervisor.wait_until_ready();
        for order in ["lease 60000", "pause", "resume", "farewell"] {
            alive = alive && supervisor.try_ask(order).is_some();
        }
        assert!(!alive, "{point:?} was not reached");
        let pids = supervisor.pids();
        assert_eq!(pids.len(), usize::try_from(count).unwrap());
        let run = within(Duration::from_secs(1), || all_run(&pids, &cell));
        let now: Vec<_> = pids.iter().map(|&pid| states(pid)).collect();
        assert!(
            run,
            "{point:?} with {count}: {now:?}, frozen: {}",
            is_frozen(&cell)
        );
    }

    #[test]
    fn wherever_the_supervisor_dies_nobody_is_left_frozen() {
        let Some(own) = own() else { return };
        let others = [
            Point::PauseBegins,
            Point::ListSent,
            Point::ListConfirmed,
            Point::AllStopped,
            Point::Scanned,
            Point::Verified,
            Point::ResumeBegins,
            Point::AllContinued,
            Point::ListCleared,
            Point::Farewell,
        ];
        for point in OF_CELLS.into_iter().chain(others) {
            for count in [1, 64] {
                dies_at(&own, point, count);
            }
        }
    }

    #[test]
    fn one_that_does_not_freeze_is_thawed_and_stopped_by_signals() {
        let Some(own) = own() else { return };
        let never = [("CATRAIN_TEST_NEVER_FREEZES", "1")];
        let mut supervisor = Supervisor::start_through(&[], &never);
        let cell = cell_of(&own, supervisor.pid());
        let pids = job(&mut supervisor, "workers", 8);
        let answer = supervisor.ask("pause");
        assert!(answer.starts_with("stopped 8 0 "), "{answer}");
        let why = supervisor.ask("fallback");
        assert!(why.contains("was not frozen within 500 ms"), "{why}");
        assert!(pids.iter().all(|&pid| is_stopped(pid)) && !is_frozen(&cell));
        assert_eq!(supervisor.ask("resume"), "8");
        assert!(all_run(&pids, &cell));
        supervisor.ask("pause");
        supervisor.kill();
        assert!(within(Duration::from_secs(1), || all_run(&pids, &cell)));
    }
}
