//! What the manual promises, kept by the program as users have it. Each test stands under the promise
//! that it is for, in the words of `src/command/man.rs`.

#![expect(
    clippy::print_stdout,
    reason = "a test that cannot run here says so, and others say what they measured"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::command::man::PROMISES;
use catrain::control::Word;
use catrain::ledger::{self, entry::What, ledger_path};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::child::Running;
use crate::support::process::{self, Pid};
use crate::support::supervised::{
    LONG, Supervised, counted, outcome, pids_in, run, said, script, trace, wait_until_running,
    wait_until_stopped,
};
use crate::support::{SOON, Sandbox, wait_for, wait_until};

/// At once and never held: what happens is what the test does.
const AT_ONCE: [&str; 4] = ["-z", "DE", "--max-delay", "0"];

fn job_folder(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.path("job");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A job of `trees.py` that stands, and its processes.
fn tree<'a>(sandbox: &'a Sandbox, shape: &str, count: usize) -> (Supervised<'a>, Vec<Pid>) {
    let folder = job_folder(sandbox);
    let words = [shape, folder.to_str().unwrap(), &count.to_string()].map(str::to_owned);
    let mut command = run(sandbox, &AT_ONCE, script("trees.py", words));
    command.env("CATRAIN_TEST_LEASE_MS", "10000");
    let run = Supervised::start(sandbox, &mut command);
    wait_until("the job is ready", LONG, || folder.join("ready").exists());
    let pids = pids_in(&folder);
    (run, pids)
}

#[test]
fn each_promise_of_the_manual_is_quoted_above_a_test() {
    let text = include_str!("promises.rs").to_owned() + include_str!("run.rs");
    let quoted = text.lines().filter_map(|line| line.strip_prefix("// > "));
    let plain = quoted.collect::<Vec<_>>().join(" ").replace("**", "");
    for (promise, detail) in PROMISES {
        assert!(plain.contains(promise), "no test quotes `{promise}`");
        assert!(plain.contains(detail), "no test quotes `{detail}`");
    }
}

// Promise 1 ----------------------------------------------------------------------------------
//
// > **The job outranks the planner.** No data, a broken ledger, a full or hanging disk, a terminal
// > that takes no output, or a bug in planning leads to a running job, a warning and a record, never
// > to a job left stopped.

/// Runs a job that exits with 7 and checks that it did, and that catrain said these words.
#[track_caller]
fn job_runs_and_it_says(command: &mut Command, words: &[&str]) -> String {
    let ended = outcome(command);
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "no `{word}`: {}", ended.stderr);
    }
    ended.stderr
}

#[test]
fn a_state_directory_that_cannot_be_made_costs_the_record_not_the_job() {
    for state in ["below a file", "/proc/catrain", "/dev/null"] {
        let sandbox = Sandbox::new();
        let path = match state {
            "below a file" => sandbox.write("file", "").join("state"),
            path => PathBuf::from(path),
        };
        let mut command = run(&sandbox, &["-z", "DE"], script("job.py", ["exit7"]));
        command.env("CATRAIN_STATE_DIR", &path);
        job_runs_and_it_says(&mut command, &["warning", "record", "incomplete"]);
    }
}

#[test]
fn without_any_directory_the_job_runs_all_the_same() {
    let sandbox = Sandbox::new();
    let mut command = run(&sandbox, &["-z", "DE"], script("job.py", ["exit7"]));
    for name in ["CATRAIN_STATE_DIR", "CATRAIN_RUNTIME_DIR", "HOME"] {
        command.env_remove(name);
    }
    job_runs_and_it_says(&mut command, &["warning", "no state directory"]);
}

#[test]
fn a_state_directory_of_somebody_else_costs_the_record_not_the_job() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: needs root");
        return;
    }
    let sandbox = Sandbox::new();
    let theirs = sandbox.path("theirs");
    fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
    let mut command = run(&sandbox, &["-z", "DE"], script("job.py", ["exit7"]));
    command.env("CATRAIN_STATE_DIR", &theirs);
    job_runs_and_it_says(&mut command, &["warning", "incomplete"]);
}

#[test]
fn a_directory_that_may_not_be_written_costs_the_record_not_the_job() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: needs root, to become another user");
        return;
    }
    let sandbox = Sandbox::new();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(sandbox.path("."), open).unwrap();
    // The interpreter may lie where another user cannot reach it: the shell does as well.
    let plain = run(&sandbox, &["-z", "DE"], ["sh", "-c", "exit 7"]);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear();
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.current_dir("/");
    let reachable = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["test", "-x", env!("CARGO_BIN_EXE_catrain")])
        .status();
    if !reachable.is_ok_and(|status| status.success()) {
        println!("skipped: another user cannot reach the program");
        return;
    }
    job_runs_and_it_says(&mut command, &["warning", "incomplete"]);
}

/// Something mounted for one test; gone with it, frozen or not.
struct Mounted {
    at: PathBuf,
    frozen: bool,
}

impl Mounted {
    /// `None` where the test may not mount.
    fn new(arguments: &[&str], at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let status = Command::new("mount").args(arguments).arg(&at).output();
        let done = status.is_ok_and(|output| output.status.success());
        done.then_some(Self { at, frozen: false })
    }

    fn freeze(&mut self) -> bool {
        let status = Command::new("fsfreeze").arg("-f").arg(&self.at).status();
        self.frozen = status.is_ok_and(|status| status.success());
        // A supervisor with a thread in there cannot be waited for: if the test fails, this goes on.
        let at = self.at.clone();
        std::thread::spawn(move || {
            std::thread::park_timeout(LONG);
            let _ = Command::new("fsfreeze").arg("-u").arg(at).output();
        });
        self.frozen
    }

    fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen) {
            let _ = Command::new("fsfreeze").arg("-u").arg(&self.at).status();
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.thaw();
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[test]
fn a_full_disk_costs_the_record_not_the_job() {
    let sandbox = Sandbox::new();
    let options = ["-t", "tmpfs", "-o", "size=64k,mode=0700", "none"];
    let Some(_disk) = Mounted::new(&options, sandbox.state_dir()) else {
        println!("skipped: may not mount");
        return;
    };
    let mut filler = fs::File::create(sandbox.state_dir().join("filler")).unwrap();
    while filler.write(&[0; 4096]).is_ok() {}
    let mut command = run(&sandbox, &["-z", "DE"], script("job.py", ["exit7"]));
    job_runs_and_it_says(&mut command, &["warning", "incomplete"]);
}

#[test]
fn a_hanging_disk_delays_neither_start_nor_pause_nor_resume() {
    let sandbox = Sandbox::new();
    let image = sandbox.path("image");
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status();
    let options = ["-o", "loop", image.to_str().unwrap()];
    let disk = made
        .is_ok_and(|status| status.success())
        .then(|| Mounted::new(&options, sandbox.state_dir()))
        .flatten();
    let Some(mut disk) = disk else {
        println!("skipped: may not mount a loop device");
        return;
    };
    if !disk.freeze() {
        println!("skipped: may not freeze a file system");
        return;
    }
    let (mut run, pids) = tree(&sandbox, "workers", 4);
    run.pause();
    assert!(pids.iter().all(|&pid| process::is_stopped(pid)));
    run.resume();
    wait_until_running(&pids);
    run.pause();

    // Killed as well, with a thread that waits for the disk and cannot die before it answers.
    process::kill(run.pid());
    let killed = monotonic();
    wait_until_running(&pids);
    let took = monotonic() - killed;
    disk.thaw();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(run.end().signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn a_standard_error_that_nobody_reads_delays_neither_start_nor_pause_nor_end() {
    let sandbox = Sandbox::new();
    let log = sandbox.path("log");
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    while (&writer).write(b"x").is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let words = ["signals", log.to_str().unwrap(), "USR2"];
    let mut command = run(&sandbox, &AT_ONCE, script("job.py", words));
    let running = Running::start_complaining_to(&mut command, writer.into());
    let mut run = Supervised::of(&sandbox, running);
    run.running.expect("ready", LONG);
    let leader = run.leader();
    run.pause();
    assert!(process::is_stopped(leader));
    run.resume();
    wait_until_running(&[leader]);
    process::send(leader, Signal::SIGUSR2);
    assert_eq!(run.end().code(), Some(0));
    drop(reader);
}

#[test]
fn a_source_that_cannot_be_used_is_told_with_file_and_line_and_the_job_runs() {
    let header = "datetime,carbon_intensity_gco2_per_kwh\n";
    let cases = [
        (None, "cannot read"),
        (Some("garbage\n".to_owned()), "line 1"),
        (
            Some(format!("{header}2021-11-09T00:00:00Z,nonsense\n")),
            "line 2",
        ),
        (Some(format!("{header}2021-11-09T00:00:00Z,-5\n")), "line 2"),
        (Some(String::new()), "empty"),
    ];
    for (text, words) in cases {
        let sandbox = Sandbox::new();
        if let Some(text) = &text {
            sandbox.write("home/trace.csv", text);
        }
        let options = ["-z", "DE", "-s", "file:trace.csv", "-d", "6h"];
        let mut command = run(&sandbox, &options, script("job.py", ["exit7"]));
        job_runs_and_it_says(&mut command, &["warning", "trace.csv", words]);
    }
}

#[test]
fn a_trace_with_holes_is_used_and_the_holes_are_told() {
    let sandbox = Sandbox::new();
    let mut text = "datetime,carbon_intensity_gco2_per_kwh\n".to_owned();
    for hour in (0..24).filter(|hour| *hour != 7) {
        text += &format!("2021-11-09T{hour:02}:00:00Z,300\n");
    }
    sandbox.write("home/trace.csv", &text);
    let options = ["-z", "DE", "-s", "file:trace.csv"];
    let mut command = run(&sandbox, &options, script("job.py", ["exit7"]));
    job_runs_and_it_says(&mut command, &["trace.csv"]);
}

// Promise 2 ----------------------------------------------------------------------------------
//
// > **A job is never stranded.** catrain killed, at any moment and in any way: within one second no
// > process of the job is left stopped by us. catrain hung (disk, terminal, stopped itself): within
// > 70 s.
//
// The places of a kill one by one are in `faults.rs`.

#[test]
fn killed_by_name_while_paused_the_job_runs_on() {
    let sandbox = Sandbox::new();
    let (mut run, pids) = tree(&sandbox, "session", 2);
    run.pause();
    let tree = process::descendants(run.pid());
    for pid in [vec![run.pid()], tree].concat() {
        if process::stat(pid).is_some_and(|stat| stat.name == "catrain") {
            process::kill(pid);
        }
    }
    assert_eq!(run.end().signal(), Some(Signal::SIGKILL as i32));
    wait_until_running(&pids);
}

#[test]
fn a_signal_to_every_process_reaches_the_job_once_and_the_guard_survives() {
    let sandbox = Sandbox::new();
    let log = sandbox.path("log");
    let job = sandbox.write("job.py", EVERY_SIGNAL);
    let words = [
        crate::support::python().as_os_str(),
        job.as_os_str(),
        log.as_os_str(),
    ];
    let mut run = Supervised::start(&sandbox, &mut run(&sandbox, &AT_ONCE, words));
    run.running.expect("ready", LONG);
    let (guard, leader) = (run.guard(), run.leader());
    run.pause();
    run.resume();
    let signals = [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGQUIT,
        Signal::SIGTERM,
    ];
    for signal in signals {
        for pid in [guard, run.pid(), leader] {
            process::send(pid, signal);
        }
        wait_until("the job has it", SOON, || {
            counted(&sandbox.read("log")).contains_key(signal.as_str())
        });
    }
    assert!(process::is_alive(guard));
    assert!(run.running.has_ended().is_none());
    // A word that is answered later than all of them were dealt with; then the job ends by itself.
    process::send(leader, Signal::SIGHUP);
    assert_eq!(run.end().code(), Some(0), "{}", run.running.stderr());
    let mut wanted: BTreeMap<String, u64> = signals
        .iter()
        .map(|one| (one.as_str().to_owned(), 1))
        .collect();
    wanted.insert("SIGHUP".to_owned(), 1);
    assert_eq!(counted(&sandbox.read("log")), wanted);
    wait_until("the guard leaves", SOON, || !process::is_alive(guard));
}

/// As `job.py signals`, with ALRM, and after HUP it listens on for as long as a second delivery could take.
const EVERY_SIGNAL: &str = r#"
import json, os, signal, sys
wanted = [getattr(signal, "SIG" + name) for name in "HUP INT QUIT TERM USR1 USR2 ALRM".split()]
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
print("ready", flush=True)
patience = 100
while info := signal.sigtimedwait(wanted, patience):
    name = signal.Signals(info.si_signo).name
    os.write(out, (json.dumps({"signal": name}) + "\n").encode())
    if name == "SIGHUP":
        patience = 1
"#;

#[test]
fn a_guard_that_is_killed_is_replaced_and_the_job_runs_and_can_be_paused_again() {
    let sandbox = Sandbox::new();
    let (mut run, pids) = tree(&sandbox, "session", 2);
    let first = run.guard();
    run.pause();
    process::kill(first);
    // It runs, or is held by the new guard's list already; never without one.
    let second = wait_for("another guard", SOON, || {
        Some(run.guard()).filter(|&pid| pid != first)
    });
    run.resume();
    wait_until_running(&pids);
    run.pause();
    wait_until_stopped(&pids);
    process::kill(run.pid());
    wait_until_running(&pids);
    run.end();
    wait_until("the guard leaves", SOON, || !process::is_alive(second));
}

#[cfg(feature = "fault-points")]
#[test]
fn a_supervisor_that_is_stopped_while_the_job_is_paused_strands_nobody() {
    let sandbox = Sandbox::new();
    let (mut run, pids) = tree(&sandbox, "session", 2);
    run.pause();
    process::send(run.pid(), Signal::SIGSTOP);
    let stopped = monotonic();
    use crate::support::supervised;
    wait_until("the lease frees the job", LONG, || {
        pids.iter().all(|&pid| supervised::runs(pid))
    });
    // With the lease of ten seconds that `tree` asks for.
    assert!(monotonic() - stopped < Duration::from_secs(20));
    process::send(run.pid(), Signal::SIGCONT);
    wait_until("it says what happened", SOON, || {
        run.running.stderr().contains("did not respond in time")
    });
    run.resume();
    run.word(Word::Stop);
    assert_eq!(run.end().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn killed_while_held_nothing_starts_and_status_says_so() {
    let sandbox = Sandbox::new();
    let trace = trace(&sandbox, |hour| if hour < 12 { 800.0 } else { 50.0 });
    let options = [
        "--replay",
        trace.to_str().unwrap(),
        "-d",
        "2h",
        "--max-delay",
        "20h",
    ];
    let touched = sandbox.path("touched");
    let job = ["touch".as_ref(), touched.as_os_str()];
    let mut run = Supervised::start(&sandbox, &mut run(&sandbox, &options, job));
    run.wait_for_state("held");
    let id = run.id();
    process::kill(run.pid());
    run.end();
    wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
    assert!(!touched.exists());
    for arguments in [vec!["status"], vec!["status", &id]] {
        let text = said(&sandbox, &arguments);
        assert!(text.contains("ended before its start"), "{text}");
    }
}

#[test]
fn after_kill_9_the_ledger_is_whole_and_report_and_status_say_what_happened() {
    let sandbox = Sandbox::new();
    let (mut run, pids) = tree(&sandbox, "workers", 2);
    run.pause();
    let id = run.id();
    process::kill(run.pid());
    run.end();
    wait_until_running(&pids);
    let ledger = ledger::read(&ledger_path(&sandbox.state_dir(), &id)).unwrap();
    assert!(ledger.unfinished);
    assert!(ledger.begin().is_some());
    let paused = ledger.entries.iter().any(|entry| {
        matches!(
            entry.what,
            What::Intent {
                action: ledger::entry::Action::Pause
            }
        )
    });
    assert!(paused, "{:?}", ledger.entries);
    let report = said(&sandbox, &["report", &id]);
    assert!(
        report.contains("unfinished") || report.contains("cut short"),
        "{report}"
    );
    let status = said(&sandbox, &["status"]);
    assert!(status.contains("supervisor was killed"), "{status}");
    assert!(status.contains(&id), "{status}");
}

// Promise 3 ----------------------------------------------------------------------------------
//
// > **Paused means paused.** A pause is reported only when every process and thread of the job,
// > workers in sessions of their own included, is seen stopped. What the job itself had stopped is
// > left alone.

#[test]
fn every_shape_of_tree_is_stopped_whole_when_status_says_paused_and_runs_after_resume() {
    for shape in [
        "session",
        "daemon",
        "ended-main",
        "vfork",
        "threads",
        "busy",
    ] {
        let sandbox = Sandbox::new();
        let (mut run, pids) = tree(&sandbox, shape, 2);
        run.pause();
        for &pid in &pids {
            let states = process::states_of(pid);
            // A vfork parent waits in the kernel and stops before it runs again.
            let still = states.iter().all(|state| "TZXD".contains(*state));
            assert!(still, "{shape}: {states:?}");
        }
        run.resume();
        wait_until(&format!("{shape} runs"), SOON, || {
            pids.iter()
                .all(|&pid| !process::states_of(pid).contains(&'T'))
        });
        assert!(run.running.has_ended().is_none());
    }
}

#[test]
fn what_the_job_had_stopped_is_left_alone() {
    let sandbox = Sandbox::new();
    let (run, pids) = tree(&sandbox, "self-stopped", 2);
    let own: Pid = sandbox.read("job/stopped").trim().parse().unwrap();
    run.pause();
    wait_until_stopped(&pids);
    run.resume();
    let others: Vec<Pid> = pids.iter().copied().filter(|&pid| pid != own).collect();
    wait_until_running(&others);
    assert!(process::is_stopped(own));
}

fn hash_of(output: &str) -> String {
    let line = output
        .lines()
        .find(|line| line.starts_with("final weights"));
    line.unwrap_or_else(|| panic!("no hash: {output}"))
        .to_owned()
}

#[test]
fn a_training_run_that_is_paused_many_times_gives_the_same_weights() {
    let length = ["--steps", "160", "--pace", "0.02"];
    let undisturbed = {
        let sandbox = Sandbox::new();
        let mut plain = sandbox.script("train.py", length);
        hash_of(&outcome(&mut plain).stdout)
    };
    for workers in [&["--workers", "0"][..], &["--workers", "2", "--sessions"]] {
        let sandbox = Sandbox::new();
        let trace = trace(&sandbox, |hour| if hour % 2 == 0 { 60.0 } else { 900.0 });
        // An hour a second: every other second is dirty, and the plan may wait as long as it likes.
        let options = [
            "--replay",
            trace.to_str().unwrap(),
            "--speed",
            "3600",
            "-d",
            "4h",
            "--max-delay",
            "60h",
            "--power",
            "500",
        ];
        let job = script("train.py", length.iter().chain(workers));
        let mut run = Supervised::start(&sandbox, &mut run(&sandbox, &options, job));
        run.running.expect("training", LONG);
        let id = run.id();
        // Beside the plan, a person: at moments that follow no rhythm of the plan's.
        let mut words = 0_u64;
        while run.running.has_ended().is_none() {
            let word = if words.is_multiple_of(2) {
                Word::Pause
            } else {
                Word::Resume { time: None }
            };
            let _the_run_may_be_over = run.try_word(word);
            words += 1;
            let until = monotonic() + Duration::from_millis(40 + words * 7919 % 160);
            wait_until("a moment", SOON, || monotonic() >= until);
        }
        let ended = run.running.wait(LONG);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(hash_of(&ended.stdout), undisturbed, "{workers:?}");
        let ledger = ledger::read(&ledger_path(&sandbox.state_dir(), &id)).unwrap();
        let pauses = ledger.entries.iter().filter(|entry| {
            matches!(
                entry.what,
                What::Confirmed {
                    action: ledger::entry::Action::Pause,
                    ..
                }
            )
        });
        let pauses = pauses.count();
        assert!(pauses >= 5, "only {pauses} pauses: {}", ended.stderr);
        println!("{workers:?}: {pauses} pauses");
    }
}

// Promise 5 ----------------------------------------------------------------------------------
//
// > **Deadlines hold** whenever the job's true remainder is within what was promised to the planner; if
// > a deadline cannot be met, or is too tight to wait, catrain says which at once and runs without
// > pausing.

#[test]
fn a_deadline_that_cannot_be_met_or_is_tight_is_said_and_the_job_starts_at_once() {
    for (deadline, words) in [("+1h", "cannot be met"), ("+2h10m", "tight")] {
        let sandbox = Sandbox::new();
        let trace = trace(&sandbox, |hour| if hour < 12 { 800.0 } else { 50.0 });
        let replay = trace.to_str().unwrap();
        let options = ["--replay", replay, "-d", "2h", "--deadline", deadline];
        let mut command = run(&sandbox, &options, script("job.py", ["exit7"]));
        job_runs_and_it_says(&mut command, &[words]);
    }
}

#[test]
fn a_deadline_is_kept_by_a_job_that_takes_as_long_as_it_said() {
    let sandbox = Sandbox::new();
    let trace = trace(&sandbox, |hour| if hour % 6 < 4 { 900.0 } else { 50.0 });
    // An hour a second; the job takes three of them.
    let options = [
        "--replay",
        trace.to_str().unwrap(),
        "--speed",
        "3600",
        "-d",
        "4h",
        "--deadline",
        "+16h",
        "--power",
        "500",
    ];
    let ticks = sandbox.path("ticks");
    let job = script("job.py", ["tick", ticks.to_str().unwrap(), "3"]);
    let ended = outcome(&mut run(&sandbox, &options, job));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("deadline   kept"), "{}", ended.stderr);
}

// Promise 6 ----------------------------------------------------------------------------------
//
// > **No number without a source.** Each intensity, joule and gram carries its kind (measured,
// > estimated, assumed), source and age. Missing is never zero.

#[test]
fn no_energy_is_called_measured_and_every_figure_has_a_kind_and_a_source() {
    for power in [&[][..], &["--power", "300"]] {
        let sandbox = Sandbox::new();
        let ticks = sandbox.path("ticks");
        let job = script("job.py", ["tick", ticks.to_str().unwrap(), "0.5"]);
        let ended = outcome(&mut run(&sandbox, &[&AT_ONCE, power].concat(), job));
        assert!(ended.status.success(), "{}", ended.stderr);
        let output = sandbox
            .catrain(["report", "latest", "--format", "json"])
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let run = &report["runs"][0];
        let components = run["by_component"].as_array().unwrap();
        assert!(!components.is_empty(), "{run:#}");
        for component in components {
            let kind = if power.is_empty() {
                "estimated"
            } else {
                "assumed"
            };
            assert_eq!(component["kind"], kind, "{component:#}");
            let source = component["source"].as_str().unwrap();
            assert!(!source.is_empty());
        }
        assert_eq!(run["data_quality"]["energy_measured"], 0.0, "{run:#}");
        assert!(!run["emissions"].as_array().unwrap().is_empty());
        for account in run["emissions"].as_array().unwrap() {
            assert!(account["basis"]["signal"].is_string(), "{account:#}");
            assert!(account["intensity_kinds"].is_object(), "{account:#}");
            assert_eq!(
                account["intensity_kinds"]["observed"]
                    .as_f64()
                    .unwrap_or(0.0),
                0.0
            );
        }
        let words = ended.stderr;
        assert!(!words.contains("measured"), "{words}");
    }
}

#[test]
fn without_a_zone_there_are_no_grams_rather_than_none() {
    let sandbox = Sandbox::new();
    let ended = outcome(&mut run(
        &sandbox,
        &["--power", "300"],
        script("job.py", ["exit7"]),
    ));
    assert_eq!(ended.status.code(), Some(7));
    assert!(
        ended.stderr.contains("neither held nor paused"),
        "{}",
        ended.stderr
    );
    let output = sandbox
        .catrain(["report", "latest", "--format", "json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for account in report["runs"][0]["emissions"].as_array().unwrap() {
        assert!(account["uncovered_kwh"].as_f64().unwrap() >= 0.0);
        assert!(account["mean_g_per_kwh"].is_null(), "{account:#}");
    }
}

// Promise 9 ----------------------------------------------------------------------------------
//
// > **Out of the way.** No visible slow-down of the job: start-up in milliseconds, one thread that
// > decides and helpers only for what may block, about one wake-up a second, none of the job's output
// > touched.

fn switches(pid: Pid) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .filter_map(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        })
        .sum()
}

#[test]
fn the_supervisor_wakes_about_once_a_second_and_has_few_threads() {
    for paused in [false, true] {
        let sandbox = Sandbox::new();
        let (run, _) = tree(&sandbox, "workers", 2);
        run.id();
        if paused {
            run.pause();
        }
        let over = |seconds| {
            let until = monotonic() + Duration::from_secs(seconds);
            wait_until("the time is over", LONG, || monotonic() >= until);
        };
        // What comes after a start is over by then.
        over(2);
        let supervisor = run.pid();
        let before = switches(supervisor);
        over(5);
        let count = switches(supervisor) - before;
        assert!(count < 20, "{count} wake-ups in 5 s, paused: {paused}");
        let threads = process::states_of(supervisor).len();
        // The one that decides; ledger, terminal, sources, two meters, the socket and who answers there,
        // the configuration, the job's output.
        assert!(threads <= 10, "{threads} threads");
        println!("paused: {paused}: {count} wake-ups in 5 s, {threads} threads");
    }
}

#[test]
fn what_the_job_is_given_is_what_it_would_have_had_without_catrain() {
    let seen = |with: bool| -> Value {
        let sandbox = Sandbox::new();
        let inner = if with {
            run(
                &sandbox,
                &["-z", "DE", "--summary", "none"],
                script("job.py", ["mask"]),
            )
        } else {
            sandbox.script("job.py", ["mask"])
        };
        // Under unusual settings, each of which would show.
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "umask 027; ulimit -c 7; ulimit -n 517; exec 9</dev/zero; exec \"$@\"",
                "sh",
            ])
            .args(["nice", "-n", "3"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .current_dir(sandbox.home())
            .stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            command.env(name, value.unwrap());
        }
        let ended = outcome(&mut command);
        let folder = sandbox
            .path("")
            .to_string_lossy()
            .trim_end_matches('/')
            .to_owned();
        // The sandboxes differ in name, the pipes in number.
        let text = ended.stdout.replace(&folder, "SANDBOX");
        let mut value: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {}", ended.stderr));
        for own in ["pid", "ppid", "pgid", "session"] {
            value.as_object_mut().unwrap().remove(own);
        }
        for (_, target) in value["fds"].as_object_mut().unwrap() {
            let text = target.as_str().unwrap();
            *target = text.split(':').next().unwrap().into();
        }
        value
    };
    let (plain, under) = (seen(false), seen(true));
    assert_eq!(plain, under);
    assert_eq!(plain["umask"], "0027");
    assert_eq!(plain["open_files"][0], 517);
}
