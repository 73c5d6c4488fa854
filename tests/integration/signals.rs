//! What happens to a signal that reaches `catrain`: passed to the job once, and what follows.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use catrain::clock::monotonic;
use nix::sys::signal::Signal;

use crate::support::child::Running;
use crate::support::process::{
    Pid, SignalSets, arguments_of, children_of, fds_of, is_alive, is_running, is_stopped, send,
    signals_of, stat,
};
use crate::support::pty::{CTRL_BACKSLASH, CTRL_C, Pty};
use crate::support::{SOON, Sandbox, fixture, python, wait_for, wait_until};
use crate::terminal::{
    CATRAIN, NOW, hold_for_hours, job, ledger, order, state, status, supervisor, wait_for_state,
};

/// The end of a job that is killed after its grace period, on a busy machine.
const LATER: std::time::Duration = std::time::Duration::from_secs(60);

/// `catrain run`, started at once, of `job.py signals`, which writes to `heard`.
fn listening(sandbox: &Sandbox, flags: &[&str]) -> Vec<String> {
    let script = fixture("job.py").display().to_string();
    let file = sandbox.path("heard").display().to_string();
    let mut line = vec![CATRAIN.to_owned()];
    line.extend(NOW.map(str::to_owned));
    line.extend(flags.iter().map(|&flag| flag.to_owned()));
    line.push("--".to_owned());
    line.push(python().display().to_string());
    line.extend([script, "signals".to_owned(), file]);
    line
}

fn started(sandbox: &Sandbox, flags: &[&str]) -> Running {
    let line = listening(sandbox, flags);
    let mut running = Running::start(sandbox.command(&line[0]).args(&line[1..]));
    running.expect("ready", SOON);
    wait_for_state(sandbox, "running");
    running
}

fn in_terminal(sandbox: &Sandbox, flags: &[&str]) -> Pty {
    let line = listening(sandbox, flags);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut pty = Pty::start(sandbox, &line);
    pty.expect("ready", SOON);
    wait_for_state(sandbox, "running");
    pty
}

/// How often a job that writes to `file` has heard a signal.
fn count_in(sandbox: &Sandbox, file: &str, signal: Signal) -> usize {
    let name = format!("\"{signal}\"");
    let text = sandbox.read(file);
    text.lines().filter(|line| line.contains(&name)).count()
}

fn count(sandbox: &Sandbox, signal: Signal) -> usize {
    count_in(sandbox, "heard", signal)
}

#[track_caller]
fn wait_until_heard(sandbox: &Sandbox, signal: Signal) {
    wait_until(&format!("the job hears {signal}"), SOON, || {
        count(sandbox, signal) > 0
    });
}

/// Whatever was on its way when this began has arrived when it returns: signals are passed on in
/// turn, and the job hears this one last.
#[track_caller]
fn settle(sandbox: &Sandbox) {
    let before = count(sandbox, Signal::SIGUSR2);
    send(supervisor(sandbox), Signal::SIGUSR2);
    wait_until("the last signal is heard", SOON, || {
        count(sandbox, Signal::SIGUSR2) > before
    });
}

#[test]
fn ctrl_c_and_ctrl_backslash_reach_the_job_once_and_start_no_timer() {
    let sandbox = Sandbox::new();
    let mut pty = in_terminal(&sandbox, &["--grace", "100ms"]);
    for (key, signal) in [(CTRL_C, Signal::SIGINT), (CTRL_BACKSLASH, Signal::SIGQUIT)] {
        pty.send(key);
        wait_until_heard(&sandbox, signal);
        settle(&sandbox);
        assert_eq!(count(&sandbox, signal), 1);
        // With a grace period it would be `ending`.
        assert_eq!(state(&sandbox).as_deref(), Some("running"));
    }
}

#[test]
fn ctrl_c_reaches_the_whole_group_of_the_job() {
    let sandbox = Sandbox::new();
    // A parent with handlers, which exec resets in its children.
    let parent = sandbox.write(
        "parent.py",
        "import signal, subprocess, sys\n\
         for each in (signal.SIGINT, signal.SIGUSR2):\n    \
             signal.signal(each, lambda *_: None)\n\
         line = [sys.executable, sys.argv[1], 'signals']\n\
         children = [subprocess.Popen([*line, file]) for file in sys.argv[2:]]\n\
         for child in children:\n    child.wait()\n",
    );
    let (one, two) = (sandbox.path("one"), sandbox.path("two"));
    let job = [&fixture("job.py"), &one, &two].map(|path| path.display().to_string());
    let mut line = vec![CATRAIN];
    line.extend(NOW);
    line.extend(["--", "python3", parent.to_str().unwrap()]);
    line.extend(job.iter().map(String::as_str));
    let mut pty = Pty::start(&sandbox, &line);
    pty.expect("ready", SOON);
    pty.expect("ready", SOON);
    pty.send(CTRL_C);
    for file in ["one", "two"] {
        wait_until("both hear it", SOON, || {
            count_in(&sandbox, file, Signal::SIGINT) == 1
        });
    }
}

#[test]
fn catrain_ends_as_a_job_does_that_is_interrupted() {
    let sandbox = Sandbox::new();
    for (key, signal) in [(CTRL_C, Signal::SIGINT), (CTRL_BACKSLASH, Signal::SIGQUIT)] {
        let mut line = vec![CATRAIN];
        line.extend(NOW);
        line.extend(["--", "sh", "-c", "ulimit -c 0; echo up; exec sleep 100"]);
        let mut pty = Pty::start(&sandbox, &line);
        pty.expect("up", SOON);
        pty.send(key);
        assert_eq!(pty.wait(SOON).signal(), Some(signal as i32));
    }
}

#[test]
fn a_job_goes_on_after_one_interrupt_and_the_third_in_a_row_kills_it() {
    let sandbox = Sandbox::new();
    let mut pty = in_terminal(&sandbox, &[]);
    let pid = job(&sandbox);
    pty.send(CTRL_C);
    wait_until_heard(&sandbox, Signal::SIGINT);
    settle(&sandbox);
    assert!(is_running(pid));
    // Each key is waited for, so on a busy machine three may take longer than they may; a person
    // goes on pressing as well.
    for _ in 0..40 {
        if !is_alive(pid) {
            break;
        }
        let before = count(&sandbox, Signal::SIGINT);
        pty.send(CTRL_C);
        wait_until("it hears it or is gone", SOON, || {
            count(&sandbox, Signal::SIGINT) > before || !is_alive(pid)
        });
    }
    assert_eq!(pty.wait(SOON).signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn a_terminated_job_gets_its_grace_and_is_killed_after_it() {
    let sandbox = Sandbox::new();
    let mut running = started(&sandbox, &["--grace", "1s"]);
    send(running.pid(), Signal::SIGTERM);
    wait_until_heard(&sandbox, Signal::SIGTERM);
    let ended = running.wait(LATER);
    assert_eq!(ended.status.signal(), Some(Signal::SIGKILL as i32));
    assert_eq!(count(&sandbox, Signal::SIGTERM), 1);
}

#[test]
fn a_lost_terminal_is_told_once_and_starts_the_grace() {
    let sandbox = Sandbox::new();
    let mut pty = in_terminal(&sandbox, &["--grace", "1s"]);
    pty.hang_up();
    wait_until_heard(&sandbox, Signal::SIGHUP);
    assert_eq!(pty.wait(LATER).signal(), Some(Signal::SIGKILL as i32));
    assert_eq!(count(&sandbox, Signal::SIGHUP), 1);
}

#[test]
fn a_hang_up_that_both_the_shell_and_the_kernel_tell_of_is_one() {
    let sandbox = Sandbox::new();
    let mut pty = Pty::shell(&sandbox);
    let line = listening(&sandbox, &["--grace", "2s"]);
    pty.send_line(&line.join(" "));
    pty.expect("ready", SOON);
    wait_for_state(&sandbox, "running");
    let supervisor = supervisor(&sandbox);
    pty.hang_up();
    wait_until_heard(&sandbox, Signal::SIGHUP);
    wait_until("the grace is over", LATER, || !is_alive(supervisor));
    assert_eq!(count(&sandbox, Signal::SIGHUP), 1);
}

#[test]
fn a_hang_up_that_somebody_passes_on_is_the_one_that_was_heard() {
    let sandbox = Sandbox::new();
    let mut pty = in_terminal(&sandbox, &["--grace", "100s"]);
    let own = supervisor(&sandbox);
    pty.hang_up();
    wait_until_heard(&sandbox, Signal::SIGHUP);
    send(own, Signal::SIGHUP);
    settle(&sandbox);
    assert_eq!(count(&sandbox, Signal::SIGHUP), 1);
}

#[test]
fn user_signals_and_a_changed_window_reach_the_job_once_each() {
    let sandbox = Sandbox::new();
    let pty = in_terminal(&sandbox, &[]);
    send(supervisor(&sandbox), Signal::SIGUSR1);
    wait_until_heard(&sandbox, Signal::SIGUSR1);
    pty.resize(40, 100);
    wait_until_heard(&sandbox, Signal::SIGWINCH);
    settle(&sandbox);
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH] {
        assert_eq!(count(&sandbox, signal), 1, "{signal}");
    }
}

#[test]
fn a_paused_job_is_woken_to_hear_what_it_is_sent() {
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        let sandbox = Sandbox::new();
        let running = started(&sandbox, &[]);
        let pid = job(&sandbox);
        order(&sandbox, "pause");
        wait_until("it is paused", SOON, || is_stopped(pid));
        send(running.pid(), signal);
        wait_until_heard(&sandbox, signal);
        assert_eq!(count(&sandbox, signal), 1, "{signal}");
    }
}

#[test]
fn a_changed_window_does_not_wake_a_paused_job_but_is_heard_later() {
    let sandbox = Sandbox::new();
    let pty = in_terminal(&sandbox, &[]);
    let pid = job(&sandbox);
    order(&sandbox, "pause");
    wait_until("it is paused", SOON, || is_stopped(pid));
    pty.resize(40, 100);
    wait_until("the ledger tells of it", SOON, || {
        ledger(&sandbox).contains("WINCH")
    });
    assert_eq!(state(&sandbox).as_deref(), Some("paused"));
    assert!(is_stopped(pid));
    assert_eq!(count(&sandbox, Signal::SIGWINCH), 0);
    order(&sandbox, "resume");
    wait_until_heard(&sandbox, Signal::SIGWINCH);
    assert_eq!(count(&sandbox, Signal::SIGWINCH), 1);
}

#[test]
fn an_operators_hold_applies_again_after_a_signal_that_the_job_survived() {
    let sandbox = Sandbox::new();
    let running = started(&sandbox, &[]);
    let pid = job(&sandbox);
    order(&sandbox, "pause");
    wait_until("it is paused", SOON, || is_stopped(pid));
    send(running.pid(), Signal::SIGUSR1);
    wait_until_heard(&sandbox, Signal::SIGUSR1);
    wait_until("it is paused again", LATER, || is_stopped(pid));
    wait_for_state(&sandbox, "paused");
    assert_eq!(count(&sandbox, Signal::SIGUSR1), 1);
}

#[track_caller]
fn ignores(pid: Pid, signal: Signal) -> bool {
    SignalSets::has(signals_of(pid).unwrap().ignored, signal)
}

#[test]
fn a_hang_up_that_came_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let line = listening(&sandbox, &[]);
    let mut running = Running::start(sandbox.command("nohup").args(&line));
    running.expect("ready", SOON);
    wait_for_state(&sandbox, "running");
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    assert!(ignores(own, Signal::SIGHUP) && ignores(pid, Signal::SIGHUP));
    send(own, Signal::SIGHUP);
    settle(&sandbox);
    assert_eq!(count(&sandbox, Signal::SIGHUP), 0);
    assert!(is_running(pid) && is_running(own));
}

#[test]
fn a_script_that_starts_it_in_the_background_shields_it_from_interrupts() {
    let sandbox = Sandbox::new();
    let line = listening(&sandbox, &[]).join(" ");
    let script = format!("{line} & wait");
    let mut running = Running::start(sandbox.command("sh").args(["-c", &script]));
    running.expect("ready", SOON);
    wait_for_state(&sandbox, "running");
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        assert!(ignores(own, signal) && ignores(pid, signal), "{signal}");
    }
    assert_eq!(fds_of(pid)[&0].to_str(), Some("/dev/null"));
    send(own, Signal::SIGINT);
    settle(&sandbox);
    assert_eq!(count(&sandbox, Signal::SIGINT), 0);
}

#[track_caller]
fn guard_of(supervisor: Pid) -> Pid {
    wait_for("the guard runs", SOON, || {
        let is_guard = |pid: &Pid| {
            arguments_of(*pid)
                .first()
                .is_some_and(|name| name == "carbon-guard")
        };
        children_of(supervisor).into_iter().find(is_guard)
    })
}

#[test]
fn a_signal_that_is_sent_to_everyone_is_not_delivered_twice() {
    let sandbox = Sandbox::new();
    let _running = started(&sandbox, &[]);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    let guard = guard_of(own);
    for (signal, everyone) in [
        (Signal::SIGUSR1, [own, guard, pid]),
        (Signal::SIGHUP, [guard, pid, own]),
        (Signal::SIGTERM, [pid, own, guard]),
    ] {
        for each in everyone {
            send(each, signal);
        }
        wait_until_heard(&sandbox, signal);
        settle(&sandbox);
        assert_eq!(count(&sandbox, signal), 1, "{signal}");
    }
}

/// Slurm sends TERM twice within milliseconds to a step that is over its time limit.
#[test]
fn two_signals_to_everyone_are_two_though_the_guard_had_a_turn_for_one() {
    let sandbox = Sandbox::new();
    let _running = started(&sandbox, &[]);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    let guard = guard_of(own);
    let waits_in = |pid: Pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let set = text.lines().find_map(|line| line.strip_prefix("ShdPnd:\t"));
        let set = u64::from_str_radix(set.unwrap(), 16).unwrap();
        SignalSets::has(set, Signal::SIGUSR1)
    };
    for _ in 0..40 {
        let (begun, before) = (monotonic(), count(&sandbox, Signal::SIGUSR1));
        send(guard, Signal::SIGSTOP);
        wait_until("the guard has no turn", SOON, || is_stopped(guard));
        for times in 1..=2 {
            for each in [own, guard, pid] {
                send(each, Signal::SIGUSR1);
            }
            wait_until("supervisor and job have it", SOON, || {
                !waits_in(own) && count(&sandbox, Signal::SIGUSR1) >= before + times
            });
        }
        send(guard, Signal::SIGCONT);
        let took = monotonic() - begun;
        settle(&sandbox);
        // Where it takes long to answer nobody can know, and the job is given what may be its own.
        if took < std::time::Duration::from_millis(200) {
            assert_eq!(count(&sandbox, Signal::SIGUSR1), before + 2);
            return;
        }
    }
    panic!("this machine is too busy");
}

#[test]
fn a_held_run_ends_by_the_signal_and_starts_nothing() {
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(CATRAIN);
        command.args(hold_for_hours()).args(["--", "touch"]);
        let mut running = Running::start(command.arg(sandbox.path("started")));
        wait_for_state(&sandbox, "held");
        send(running.pid(), signal);
        let ended = running.wait(SOON);
        assert_eq!(ended.status.signal(), Some(signal as i32));
        assert!(!ended.status.core_dumped());
        assert!(!sandbox.path("started").exists());
        let ledger = ledger(&sandbox);
        assert!(ledger.contains("before the start"), "{ledger}");
    }
}

#[test]
fn the_exit_is_the_jobs_as_a_shell_sees_it() {
    let sandbox = Sandbox::new();
    let now = NOW.join(" ");
    for (script, code) in [
        ("kill -SEGV $$", "139"),
        ("exit 7", "7"),
        ("kill -TERM $$", "143"),
    ] {
        let line = format!("ulimit -c 0; {CATRAIN} {now} -- sh -c '{script}'; echo code=$?");
        let output = sandbox
            .command("bash")
            .args(["-c", &line])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("code={code}\n"), "{script}");
    }
}

/// A command as the first process of a pid namespace of its own; nothing where that is not allowed.
fn as_first_process(sandbox: &Sandbox, script: &str) -> Option<Command> {
    let flags = ["--pid", "--fork", "--mount-proc"];
    let tried = sandbox.command("unshare").args(flags).arg("true").output();
    if !tried.unwrap().status.success() {
        return None;
    }
    let mut command = sandbox.command("unshare");
    command.args(flags).arg(CATRAIN).args(NOW);
    command.args(["--", "sh", "-c", script]);
    Some(command)
}

#[test]
fn as_the_first_process_it_passes_exit_codes_on() {
    let sandbox = Sandbox::new();
    for (script, code) in [("exit 7", 7), ("ulimit -c 0; kill -SEGV $$", 139)] {
        let Some(mut command) = as_first_process(&sandbox, script) else {
            return; // Not root.
        };
        assert_eq!(command.output().unwrap().status.code(), Some(code));
    }
}

#[test]
fn as_the_first_process_it_reaps_orphans_and_passes_signals_on() {
    let sandbox = Sandbox::new();
    let script = "sh -c 'setsid sleep 2 & echo left'; exec sleep 100";
    let Some(mut command) = as_first_process(&sandbox, script) else {
        return; // Not root.
    };
    let mut running = Running::start(&mut command);
    running.expect("left", SOON);
    let own = wait_for("catrain runs", SOON, || {
        let mut children = children_of(running.pid()).into_iter();
        children.find(|&pid| stat(pid).is_some_and(|stat| stat.name == "catrain"))
    });
    let sleeps = || -> Vec<Pid> {
        let is_sleep = |pid: &Pid| stat(*pid).is_some_and(|stat| stat.name == "sleep");
        children_of(own).into_iter().filter(is_sleep).collect()
    };
    wait_until("the orphan is adopted", SOON, || sleeps().len() == 2);
    wait_until("the orphan is reaped", SOON, || sleeps().len() == 1);
    send(own, Signal::SIGTERM);
    assert_eq!(running.wait(SOON).status.code(), Some(143));
}

/// The pid of the state that `status` tells is that of the job.
#[test]
fn the_job_leads_a_session_of_its_own() {
    let sandbox = Sandbox::new();
    let running = started(&sandbox, &[]);
    let pid = job(&sandbox);
    let facts = stat(pid).unwrap();
    assert_eq!((facts.session, facts.pgid), (pid, pid));
    assert_eq!(facts.ppid, running.pid());
    assert_eq!(status(&sandbox).unwrap()["supervisor_pid"], running.pid());
}
