//! Supervising what somebody else has started: less is offered, and nobody is left stopped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use catrain::executor::freezer::{self, Freezer};
use nix::sys::signal::Signal;

use crate::supervisor::{
    Supervisor, eventually, fixture, is_stopped, pids_in, runs, send, states, within,
};

/// A job that this test has started, in a session of its own or in the test's.
struct Foreign {
    child: Child,
    folder: tempfile::TempDir,
}

impl Foreign {
    fn start(shape: &str, count: u32, leads_session: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let python = ["setsid", "python3"];
        let mut command = Command::new(python[usize::from(!leads_session)]);
        if leads_session {
            command.arg(python[1]);
        }
        let child = command
            .arg(fixture("trees.py"))
            .args([shape, folder.path().to_str().unwrap(), &count.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the foreign job is ready", || {
            folder.path().join("ready").exists()
        });
        Self { child, folder }
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn pids(&self) -> Vec<i32> {
        pids_in(self.folder.path())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A supervisor with a watchdog that has attached itself to a job.
fn attached(foreign: &Foreign, force: &str) -> Supervisor {
    let mut supervisor = Supervisor::start();
    supervisor.ask("guard");
    let answer = supervisor.ask(&format!("attach {}{force}", foreign.pid()));
    assert_eq!(answer, "attached");
    supervisor
}

#[test]
fn a_job_that_leads_its_session_is_paused_resumed_and_seen_to_end() {
    let mut foreign = Foreign::start("workers", 3, true);
    let mut supervisor = attached(&foreign, "");
    let pids = foreign.pids();
    assert!(supervisor.ask("pause").starts_with("stopped 3 0 "));
    assert!(pids.iter().all(|&pid| is_stopped(pid)));
    assert_eq!(supervisor.ask("resume"), "3");
    assert!(pids.iter().all(|&pid| runs(pid)));
    foreign.child.kill().unwrap();
    // A zombie until its parent, this test, waits for it.
    assert_eq!(supervisor.ask("ended"), "Unknown");
    assert_eq!(supervisor.ask("leftovers").split(' ').count(), 2);
}

#[test]
fn who_lost_its_parents_is_found_in_the_session() {
    let foreign = Foreign::start("leaver-in-session", 2, true);
    let mut supervisor = attached(&foreign, "");
    let pids = foreign.pids();
    assert_eq!(pids.len(), 2);
    assert!(supervisor.ask("pause").starts_with("stopped 2 0 "));
    assert!(pids.iter().all(|&pid| is_stopped(pid)));
}

#[test]
fn letting_go_continues_everyone_however_it_happens() {
    for how in ["end", "kill -9"] {
        let foreign = Foreign::start("workers", 3, true);
        let mut supervisor = attached(&foreign, "");
        let pids = foreign.pids();
        supervisor.ask("pause");
        match how {
            "end" => supervisor.hang_up(),
            _ => supervisor.kill(),
        }
        let run = within(Duration::from_secs(1), || pids.iter().all(|&pid| runs(pid)));
        assert!(run, "{how}");
    }
}

#[test]
fn a_job_that_shares_its_session_is_paused_by_force_only() {
    let foreign = Foreign::start("workers", 2, false);
    let pids = foreign.pids();
    let mut supervisor = attached(&foreign, "");
    let answer = supervisor.ask("pause");
    assert!(
        answer.starts_with("refused SharesSession the job shares its session"),
        "{answer}"
    );
    assert!(answer.contains("--force"), "{answer}");
    assert!(pids.iter().all(|&pid| runs(pid)));
    supervisor.ask(&format!("attach {} force", foreign.pid()));
    assert!(supervisor.ask("pause").starts_with("stopped 2 0 "));
    assert!(pids.iter().all(|&pid| is_stopped(pid)));
}

#[test]
fn a_job_in_the_foreground_of_a_terminal_is_not_paused() {
    let foreign = Foreign::start("foreground", 1, true);
    let mut supervisor = attached(&foreign, "");
    let answer = supervisor.ask("pause");
    assert!(
        answer.starts_with("refused Foreground the job is in the foreground"),
        "{answer}"
    );
    assert!(runs(foreign.pid()));
}

#[test]
fn a_job_that_shares_its_session_may_be_frozen_and_goes_back_to_its_cgroup() {
    let usable = freezer::try_out(Path::new("/")).and_then(|()| Freezer::find(Path::new("/")));
    let own = match usable {
        Ok(freezer) => freezer.own().to_owned(),
        Err(why) => {
            #[expect(clippy::print_stderr, reason = "a test that is passed by says so")]
            {
                eprintln!("passed by: {}", why.in_words());
            }
            return;
        }
    };
    let foreign = Foreign::start("workers", 3, false);
    let mut supervisor = attached(&foreign, "");
    let pids = foreign.pids();
    assert_eq!(supervisor.ask("enclose"), "3");
    let cell = own.join(format!("catrain-{}-0", supervisor.pid()));
    let is_frozen = || {
        std::fs::read_to_string(cell.join("cgroup.events"))
            .is_ok_and(|text| text.contains("frozen 1"))
    };
    assert!(supervisor.ask("pause").starts_with("stopped 3 0 "));
    assert!(is_frozen() && !pids.iter().any(|&pid| is_stopped(pid)));
    assert_eq!(supervisor.ask("resume"), "3");
    assert!(!is_frozen());
    supervisor.ask("pause");
    supervisor.hang_up();
    eventually("the cgroup is gone", || !cell.exists());
    let inside = std::fs::read_to_string(own.join("cgroup.procs")).unwrap();
    let inside: Vec<i32> = inside.lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|&pid| runs(pid) && inside.contains(&pid)));
}

/// It would otherwise be stopped after all, by signals.
#[cfg(feature = "fault-points")]
#[test]
fn a_job_that_may_only_be_frozen_runs_on_where_that_fails() {
    if freezer::try_out(Path::new("/")).is_err() {
        return; // As above.
    }
    let foreign = Foreign::start("workers", 2, false);
    let never = [("CATRAIN_TEST_NEVER_FREEZES", "1")];
    let mut supervisor = Supervisor::start_through(&[], &never);
    supervisor.ask("guard");
    supervisor.ask(&format!("attach {}", foreign.pid()));
    assert_eq!(supervisor.ask("enclose"), "2");
    let answer = supervisor.ask("pause");
    assert!(answer.starts_with("refused SharesSession"), "{answer}");
    let cell = format!("catrain-{}-0", supervisor.pid());
    let own = Freezer::find(Path::new("/")).unwrap().own().join(cell);
    let events = std::fs::read_to_string(own.join("cgroup.events")).unwrap();
    assert!(events.contains("frozen 0"), "{events}");
    assert!(foreign.pids().iter().all(|&pid| runs(pid)));
}

#[test]
fn what_may_not_be_supervised_says_why_and_what_to_do() {
    let mut supervisor = Supervisor::start();
    let guard = supervisor.guard_pid();
    let (me, own) = (std::process::id(), supervisor.pid());
    let mut ended = Command::new("true").spawn().unwrap();
    let zombie = ended.id().cast_signed();
    eventually("it is a zombie", || states(zombie).is_empty());
    let mut refused = |pid: i64, kind: &str| {
        let answer = supervisor.ask(&format!("attach {pid}"));
        assert!(answer.starts_with(kind), "{answer}");
    };
    refused(1, "Init process 1 starts everything else");
    refused(0, "NoSuchProcess(0) there is no process 0");
    refused(-5, "NoSuchProcess(-5) there is no process -5");
    refused(i64::from(i32::MAX), "NoSuchProcess");
    refused(own.into(), "Ourselves");
    refused(guard.into(), "Ourselves");
    refused(me.into(), "Ancestor");
    refused(zombie.into(), "Ended");
    let name = std::fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if name.trim() == "kthreadd" {
        refused(2, "KernelThread");
    }
    ended.wait().unwrap();
    // A thread is not a process, though `/proc` has a folder for it.
    let threads = Foreign::start("threads", 2, true);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", threads.pid())).unwrap();
    let tasks = tasks
        .flatten()
        .filter_map(|task| task.file_name().to_str()?.parse().ok());
    let thread: i32 = tasks.max().unwrap();
    assert_ne!(thread, threads.pid());
    let answer = supervisor.ask(&format!("attach {thread}"));
    assert!(answer.starts_with("NoSuchProcess"), "{answer}");
    if nix::unistd::geteuid().is_root() {
        supervisor.ask("become 65534");
        let answer = supervisor.ask(&format!("attach {}", threads.pid()));
        let expected = "runs as user 0; start catrain as that user";
        assert!(
            answer.starts_with("OtherUser") && answer.ends_with(expected),
            "{answer}"
        );
    }
    // It was none of their business.
    send(threads.pid(), Signal::SIGCONT);
    assert!(runs(threads.pid()));
}
