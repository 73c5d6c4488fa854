//! Starting, pausing, resuming and ending real processes.

use std::os::unix::process::ExitStatusExt;

use catrain::clock::monotonic;
use nix::sys::signal::Signal;
use std::time::Duration;

use crate::supervisor::{
    Supervisor, eventually, fixture, has_pending_stop, is_stopped, pids_in, runs, send, states,
    within,
};

fn all_stopped(pids: &[i32]) {
    for &pid in pids {
        assert!(is_stopped(pid), "{pid} is {:?}", states(pid));
    }
}

fn all_run(pids: &[i32]) {
    for &pid in pids {
        assert!(runs(pid), "{pid} is {:?}", states(pid));
    }
}

/// Pauses a job of this shape, looks at every process, resumes it and looks again.
fn is_paused_and_resumed(shape: &str, count: u32, processes: usize) {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job(shape, count);
    assert_eq!(pids.len(), processes);
    all_stopped(&pids);
    assert_eq!(supervisor.ask("resume"), processes.to_string());
    all_run(&pids);
}

#[test]
fn one_process_is_paused_and_resumed() {
    is_paused_and_resumed("workers", 1, 1);
}

#[test]
fn sixty_four_processes_are_paused_and_resumed() {
    is_paused_and_resumed("workers", 64, 64);
}

#[test]
fn processes_that_never_sleep_are_paused() {
    is_paused_and_resumed("busy", 8, 8);
}

#[test]
fn a_process_of_many_threads_is_paused() {
    is_paused_and_resumed("threads", 40, 1);
}

#[test]
fn a_worker_in_a_session_of_its_own_is_paused() {
    is_paused_and_resumed("session", 2, 2);
}

#[test]
fn a_worker_that_became_a_daemon_is_paused() {
    is_paused_and_resumed("daemon", 2, 2);
}

#[test]
fn a_process_whose_main_thread_has_ended_is_paused() {
    is_paused_and_resumed("ended-main", 1, 1);
}

#[test]
fn a_job_that_forks_all_the_time_is_paused() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("forker", 1);
    all_stopped(&pids);
    let children = supervisor.ask("processes");
    let children: Vec<i32> = children
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    all_stopped(&children);
    supervisor.ask("resume");
    all_run(&pids);
    supervisor.ask("kill");
}

/// vfork(2): the parent is suspended until the child is gone, and cannot be stopped meanwhile.
#[test]
fn a_vfork_parent_counts_as_stopping_and_its_child_is_stopped() {
    for shape in ["vfork", "vfork-thread"] {
        let mut supervisor = Supervisor::start();
        supervisor.job(shape, 1);
        supervisor.ask("guard");
        let answer = supervisor.ask("pause");
        assert!(answer.starts_with("stopped 2 1 "), "{shape}: {answer}");
        let pids = supervisor.pids();
        let waiting: Vec<_> = pids
            .iter()
            .filter(|&&pid| states(pid).contains('D'))
            .collect();
        assert_eq!((pids.len(), waiting.len()), (2, 1), "{shape}");
        assert_eq!(supervisor.ask("resume"), "2", "{shape}");
        for &pid in &pids {
            assert!(
                !states(pid).contains('T') && !has_pending_stop(pid),
                "{shape}"
            );
        }
    }
}

#[test]
fn what_the_job_had_stopped_itself_is_left_alone() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("self-stopped", 2);
    let stopped = std::fs::read_to_string(supervisor.folder().join("stopped")).unwrap();
    let stopped: i32 = stopped.parse().unwrap();
    all_stopped(&pids);
    assert_eq!(supervisor.ask("resume"), "1");
    for &pid in &pids {
        assert_eq!(is_stopped(pid), pid == stopped);
    }
}

#[test]
fn one_that_may_not_be_signalled_leaves_everybody_running() {
    if !nix::unistd::geteuid().is_root() {
        return; // Needs root to have processes of two users.
    }
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("two-users", 4);
    supervisor.ask("guard");
    supervisor.ask("become 65534");
    let refused = supervisor.ask("pause");
    assert!(
        refused.starts_with("refused NotPermitted process "),
        "{refused}"
    );
    assert!(
        refused.ends_with("`python3` of user 0 may not be signalled"),
        "{refused}"
    );
    all_run(&pids);
}

#[test]
fn our_own_helpers_are_not_part_of_the_job() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("workers", 2);
    supervisor.ask("guard");
    let helper: i32 = supervisor.ask("helper").parse().unwrap();
    supervisor.ask("pause");
    all_stopped(&pids);
    all_run(&[helper]);
    // Ended by a signal, so no code; and still there for whoever started it to wait for.
    assert_eq!(supervisor.ask("end-helper"), "None");
}

#[test]
fn adopted_processes_are_waited_for_and_their_time_counts() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("daemon", 2);
    let before: u64 = supervisor.ask("cpu").parse().unwrap();
    let leader: i32 = supervisor
        .ask("processes")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let daemon = *pids.iter().find(|&&pid| pid != leader).unwrap();
    send(daemon, Signal::SIGKILL);
    eventually("the daemon is reaped", || {
        supervisor.ask("reap");
        !std::fs::exists(format!("/proc/{daemon}")).unwrap()
    });
    let after: u64 = supervisor.ask("cpu").parse().unwrap();
    assert!(after >= before);
    all_run(&[leader]);
}

#[test]
fn processor_time_grows_with_the_work_of_workers() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("busy", 2);
    let mut used = |least: u64| {
        eventually("time is used", || {
            supervisor.ask("cpu").parse::<u64>().unwrap() > least
        });
        supervisor.ask("cpu").parse::<u64>().unwrap()
    };
    let before = used(50);
    send(pids[1], Signal::SIGKILL);
    let after = used(before);
    assert!(after > before);
}

#[test]
fn ranks_are_seen_in_the_environment() {
    for (count, several) in [(1, "false"), (2, "true")] {
        let mut supervisor = Supervisor::start();
        supervisor.job("ranks", count);
        assert_eq!(supervisor.ask("ranks"), several, "{count} ranks");
        supervisor.ask("kill");
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn first_of(supervisor: &mut Supervisor) -> i32 {
    let processes = supervisor.ask("processes");
    processes.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_signal_to_the_ranks_reaches_each_once_and_neither_launcher_nor_loaders() {
    let mut supervisor = Supervisor::start();
    supervisor.job("ranks", 3);
    let launcher = first_of(&mut supervisor);
    let folders = [0, 1, 2].map(|rank| supervisor.folder().join(rank.to_string()));
    let all: Vec<i32> = folders.iter().flat_map(|folder| pids_in(folder)).collect();
    let (ranks, loaders): (Vec<i32>, Vec<i32>) = all
        .iter()
        .partition(|&&pid| parent_of(pid) == Some(launcher));
    assert_eq!((ranks.len(), loaders.len()), (3, 3));
    assert_eq!(supervisor.ask("relay 10 ranks"), "3");
    eventually("the ranks have it", || {
        ranks.iter().all(|&pid| states(pid).is_empty())
    });
    all_run(&loaders);
    all_run(&[launcher]);
    supervisor.ask("kill");
    eventually("all have ended", || {
        supervisor.ask("kill");
        loaders.iter().all(|&pid| states(pid).is_empty())
    });
}

#[test]
fn without_ranks_their_signal_is_for_the_leader() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("workers", 3);
    let leader = first_of(&mut supervisor);
    assert_eq!(supervisor.ask("relay 10 ranks"), "1");
    assert_eq!(supervisor.ask("wait"), "signal 10");
    let workers: Vec<i32> = pids.into_iter().filter(|&pid| pid != leader).collect();
    all_run(&workers);
}

#[test]
fn who_outlives_the_leader_is_found_and_ended() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("leaver", 3);
    assert_eq!(supervisor.ask("wait"), "code 0");
    let mut left: Vec<i32> = supervisor
        .ask("leftovers")
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    left.sort_unstable();
    let mut alive: Vec<i32> = pids.into_iter().filter(|&pid| runs(pid)).collect();
    alive.sort_unstable();
    assert_eq!(
        (left.len(), &left),
        (2, &alive),
        "one of them in its own session"
    );
    assert_eq!(supervisor.ask("end-leftovers 15"), "2");
    eventually("they have ended and are waited for", || {
        supervisor.ask("reap");
        left.iter()
            .all(|pid| !std::fs::exists(format!("/proc/{pid}")).unwrap())
    });
    assert_eq!(supervisor.ask("leftovers"), "");
}

#[test]
fn a_job_that_runs_has_no_leftovers() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("workers", 3);
    assert_eq!(supervisor.ask("leftovers"), "");
    assert_eq!(supervisor.ask("end-leftovers 9"), "0");
    all_run(&pids);
}

#[test]
fn the_next_job_of_a_supervisor_knows_nothing_of_the_one_before() {
    let mut supervisor = Supervisor::start();
    supervisor.ask("guard");
    let old = supervisor.job("leaver", 3);
    assert_eq!(supervisor.ask("wait"), "code 0");
    let left: Vec<i32> = old.into_iter().filter(|&pid| runs(pid)).collect();
    // The watchdog hears of them, and that nobody is to be left alone or held.
    assert!(supervisor.ask("pause").starts_with("stopped 2 0"));
    let (order, folder) = supervisor.next_order_for("workers", 3);
    assert!(supervisor.ask(&order).starts_with("started"));
    eventually("the next job is ready", || folder.join("ready").exists());
    // The first was dropped, and so continued.
    all_run(&left);
    let next = pids_in(&folder);
    let mut seen: Vec<i32> = supervisor
        .ask("processes")
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect();
    seen.sort_unstable();
    let mut expected = next.clone();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let answer = supervisor.ask("pause");
    assert!(answer.starts_with("stopped 3 0"), "{answer}");
    all_run(&left);
    // Who is left of the first is waited for all the same.
    for &pid in &left {
        send(pid, Signal::SIGKILL);
    }
    eventually("they are waited for", || {
        supervisor.ask("reap");
        left.iter()
            .all(|pid| !std::fs::exists(format!("/proc/{pid}")).unwrap())
    });
    all_stopped(&next);
    supervisor.kill();
    let run = within(Duration::from_secs(1), || next.iter().all(|&pid| runs(pid)));
    assert!(run, "the watchdog looks after the next job");
}

#[test]
fn a_connection_within_the_host_is_not_remote() {
    for shape in ["workers", "loopback", "own-address"] {
        let mut supervisor = Supervisor::start();
        supervisor.job(shape, 1);
        assert_eq!(supervisor.ask("connections"), "false", "{shape}");
    }
}

#[test]
fn a_job_too_large_to_look_through_counts_as_connected() {
    let mut supervisor = Supervisor::start();
    supervisor.job("workers", 65);
    assert_eq!(supervisor.ask("connections"), "true");
}

/// "The exit is the job's exit: same code, or the same signal."
#[test]
fn codes_and_signals_are_passed_on_exactly() {
    let scripts = [
        ("exit:0", "code 0"),
        ("exit:1", "code 1"),
        ("exit:255", "code 255"),
        ("kill:-9:$$", "signal 9"),
        ("kill:-TERM:$$", "signal 15"),
    ];
    for (script, exit) in scripts {
        let mut supervisor = Supervisor::start();
        let file = supervisor.folder().join("script");
        std::fs::write(&file, script.replace(':', " ")).unwrap();
        supervisor.ask(&format!("spawn sh {}", file.display()));
        assert_eq!(supervisor.ask("wait"), exit, "{script}");
    }
}

#[test]
fn commands_that_cannot_start_say_why() {
    let mut supervisor = Supervisor::start();
    let folder = supervisor.folder().to_owned();
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&path, mode).unwrap();
        path.display().to_string()
    };
    let answer = supervisor.ask("spawn no-such-program-anywhere");
    assert_eq!(
        answer,
        "127 `no-such-program-anywhere` was not found on the PATH"
    );
    let answer = supervisor.ask("spawn /no/such/program");
    assert_eq!(answer, "127 `/no/such/program` was not found");
    let plain = write("plain", "exit 0", 0o644);
    let answer = supervisor.ask(&format!("spawn {plain}"));
    assert!(
        answer.starts_with("126 ") && answer.contains("ermission denied"),
        "{answer}"
    );
    let orphan = write("orphan", "#!/no/such/interpreter\n", 0o755);
    let answer = supervisor.ask(&format!("spawn {orphan}"));
    assert!(
        answer.starts_with("127 ") && answer.contains("interpreter"),
        "{answer}"
    );
    let answer = supervisor.ask("spawn /");
    assert!(answer.starts_with("126 "), "{answer}");
    // As env and nohup do it.
    let script = write("script", "exit 3", 0o755);
    assert!(
        supervisor
            .ask(&format!("spawn {script}"))
            .starts_with("started")
    );
    assert_eq!(supervisor.ask("wait"), "code 3");
}

/// What the job sees when it is started under `how`: blocked and ignored signals, open descriptors.
fn seen_by_job(how: &str) -> (u64, u64, Vec<String>) {
    let script = fixture("started_with.py");
    let prefix = ["python3", script.to_str().unwrap(), how];
    let mut supervisor = Supervisor::start_through(&prefix, &[]);
    // Shells and Python change signals themselves; these do not.
    for job in ["grep ^Sig /proc/self/status", "ls /proc/self/fd"] {
        assert!(
            supervisor
                .ask(&format!("spawn {job}"))
                .starts_with("started")
        );
        assert_eq!(supervisor.ask("wait"), "code 0");
    }
    let output = supervisor.output();
    let mask = |name: &str| {
        let value = output.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(value.unwrap().trim(), 16).unwrap()
    };
    let numbers = output.lines().filter(|line| line.parse::<u32>().is_ok());
    (
        mask("SigBlk:"),
        mask("SigIgn:"),
        numbers.map(str::to_owned).collect(),
    )
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

#[test]
fn the_job_gets_the_signals_that_catrain_was_started_with() {
    let seen = |how| {
        let (blocked, ignored, _) = seen_by_job(how);
        // The C library's own, 32 and 33, are ignored in whatever it has started by posix_spawn.
        (blocked, ignored & !(0b11 << 31))
    };
    assert_eq!(seen("plain"), (0, 0));
    assert_eq!(seen("hup-ignored"), (0, bit(Signal::SIGHUP)));
    assert_eq!(seen("pipe-ignored"), (0, bit(Signal::SIGPIPE)));
    assert_eq!(seen("usr2-blocked"), (bit(Signal::SIGUSR2), 0));
    // The supervisor needs SIGCHLD itself, and still passes on the job's exit.
    assert_eq!(seen("chld-ignored"), (0, bit(Signal::SIGCHLD)));
}

#[test]
fn the_job_gets_the_descriptors_that_catrain_was_started_with() {
    let script = fixture("started_with.py");
    for how in ["plain", "descriptor-7"] {
        // As they are without us: the surroundings may have some open, too.
        let direct = std::process::Command::new("python3")
            .arg(&script)
            .args([how, "/bin/ls", "/proc/self/fd"])
            .output();
        let direct = String::from_utf8(direct.unwrap().stdout).unwrap();
        let (_, _, seen) = seen_by_job(how);
        assert_eq!(seen.contains(&"7".to_owned()), how == "descriptor-7");
        assert_eq!(seen, direct.lines().collect::<Vec<_>>());
    }
}

#[test]
fn the_job_leads_a_session_and_does_not_see_what_is_kept_from_it() {
    let mut supervisor = Supervisor::start();
    supervisor.job("report", 1);
    assert_eq!(supervisor.ask("wait"), "code 0");
    let report = std::fs::read_to_string(supervisor.folder().join("report")).unwrap();
    let variables: Vec<_> = report.trim_end().split(' ').collect();
    assert_eq!(variables[0], "True", "it leads its session");
    assert!(variables.contains(&"CATRAIN_RUN"));
    assert!(!variables.contains(&"CATRAIN_TEST_SOCKET"));
}

#[test]
fn a_job_that_has_the_terminal_is_not_paused() {
    let mut supervisor = Supervisor::start();
    let order = supervisor
        .order_for("workers", 2)
        .replacen("spawn", "spawn-tty", 1);
    supervisor.ask(&order);
    supervisor.wait_until_ready();
    supervisor.ask("guard");
    let answer = supervisor.ask("pause");
    assert!(answer.starts_with("refused HasTerminal"), "{answer}");
    all_run(&supervisor.pids());
}

#[test]
fn a_signal_reaches_a_paused_job_and_wakes_it() {
    let mut supervisor = Supervisor::start();
    supervisor.paused_job("workers", 3);
    supervisor.ask("wake-with 15");
    assert_eq!(supervisor.ask("wait"), "signal 15");
}

#[test]
fn workers_of_a_leader_that_was_killed_while_paused_run_on() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.job("workers", 3);
    supervisor.ask("guard");
    let leader: i32 = supervisor
        .ask("processes")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    supervisor.ask("pause");
    all_stopped(&pids);
    send(leader, Signal::SIGKILL);
    assert_eq!(supervisor.ask("wait"), "signal 9");
    let workers: Vec<_> = pids.into_iter().filter(|&pid| pid != leader).collect();
    all_run(&workers);
}

#[test]
fn killing_spares_no_worker_wherever_it_is() {
    for shape in ["session", "daemon", "forker"] {
        let mut supervisor = Supervisor::start();
        let pids = supervisor.job(shape, 1);
        supervisor.ask("kill");
        eventually("all have ended", || {
            supervisor.ask("kill");
            pids.iter().all(|&pid| states(pid).is_empty())
        });
    }
}

#[test]
fn a_panic_leaves_nobody_stopped() {
    let mut supervisor = Supervisor::start();
    let pids = supervisor.paused_job("workers", 4);
    // Only the destructor is to be seen at work.
    let guard = supervisor.guard_pid_in_use();
    send(guard, Signal::SIGSTOP);
    assert_eq!(supervisor.try_ask("panic"), None);
    eventually("everyone runs", || pids.iter().all(|&pid| runs(pid)));
    send(guard, Signal::SIGKILL);
}

#[test]
fn signals_are_read_with_their_sender() {
    let mut supervisor = Supervisor::start();
    supervisor.ask("helper");
    send(supervisor.pid(), Signal::SIGUSR1);
    let me = std::process::id();
    assert_eq!(supervisor.ask("caught"), format!("10 {me}"));
    send(supervisor.pid(), Signal::SIGTSTP);
    assert_eq!(supervisor.ask("caught"), format!("20 {me}"));
    supervisor.ask("end-helper");
    assert_eq!(supervisor.ask("caught"), "17 kernel");
}

#[test]
fn dying_of_a_signal_is_seen_by_the_parent() {
    for number in [2, 3, 15, 9] {
        let mut supervisor = Supervisor::start();
        assert_eq!(supervisor.try_ask(&format!("die {number}")), None);
        let status = supervisor.exit();
        assert_eq!(
            (status.signal(), status.core_dumped()),
            (Some(number), false)
        );
    }
}

/// Prints what a pause costs. Not part of the normal run: it measures the machine.
#[test]
#[ignore = "measures: run with --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "a measurement is for reading")]
fn measure_a_pause_and_a_death() {
    for (shape, count) in [("workers", 1), ("workers", 64), ("busy", 64)] {
        let mut pauses = Vec::new();
        let mut deaths = Vec::new();
        for _ in 0..5 {
            let mut supervisor = Supervisor::start();
            let pids = supervisor.job(shape, count);
            supervisor.ask("guard");
            for _ in 0..5 {
                let answer = supervisor.ask("pause");
                pauses.push(answer.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
                supervisor.ask("resume");
            }
            supervisor.ask("pause");
            let killed = monotonic();
            send(supervisor.pid(), Signal::SIGKILL);
            while !pids.iter().all(|&pid| runs(pid)) {
                assert!(monotonic() - killed < Duration::from_secs(5));
            }
            deaths.push(u64::try_from((monotonic() - killed).as_micros()).unwrap());
        }
        let median = |mut all: Vec<u64>| {
            all.sort_unstable();
            all[all.len() / 2]
        };
        println!(
            "{count} {shape}: paused in {} µs, running again {} µs after kill -9 (medians)",
            median(pauses),
            median(deaths)
        );
    }
}
