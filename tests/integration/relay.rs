//! The job's output passes through a process that outlives the supervisor, and no byte is changed.
//!
//! The supervisor is this test binary, started again, with a job on the far side of a relay. It takes
//! orders on stdin and answers on stderr, since its stdout is what is tested.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use catrain::executor::Relay;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::process::{self, Pid};
use crate::support::{SOON, Sandbox, python, wait_until};

const MARK: &str = "CATRAIN_TEST_RELAY";

/// What our stdout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pipe,
    Terminal,
}

/// A supervisor with a job, seen from where its output goes.
struct Stage {
    supervisor: Child,
    answers: BufReader<ChildStderr>,
    output: Option<File>,
    job: Pid,
    relay: Pid,
}

impl Stage {
    fn start(sandbox: &Sandbox, kind: Kind, job: &[&str]) -> Self {
        let (output, stdout) = match kind {
            Kind::Pipe => {
                let (output, stdout) = std::io::pipe().unwrap();
                (OwnedFd::from(output), OwnedFd::from(stdout))
            }
            Kind::Terminal => terminal(),
        };
        let mut supervisor = sandbox
            .command(std::env::current_exe().unwrap())
            .env(MARK, "1")
            .env("CATRAIN_TEST_JOB", job.join("\x1f"))
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(supervisor.stderr.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let pids: Vec<Pid> = (line.split_whitespace())
            .map(|pid| pid.parse().unwrap())
            .collect();
        Self {
            supervisor,
            answers,
            output: Some(output.into()),
            job: pids[0],
            relay: pids[1],
        }
    }

    #[track_caller]
    fn ask(&mut self, order: &str) -> String {
        let orders = self.supervisor.stdin.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    #[track_caller]
    fn ask_until(&mut self, order: &str, wanted: &str) {
        let what = format!("`{order}` gives `{wanted}`");
        wait_until(&what, SOON, || self.ask(order) == wanted);
    }

    /// What comes out until it has this many bytes, at least.
    fn read_some(&mut self, least: usize) -> Vec<u8> {
        let mut got = Vec::new();
        let mut block = [0; 4099];
        while got.len() < least {
            let output = self.output.as_ref().unwrap();
            let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            let limit = PollTimeout::try_from(SOON).unwrap();
            assert_ne!(
                poll(&mut ready, limit),
                Ok(0),
                "nothing more after {} bytes",
                got.len()
            );
            match self.output.as_mut().unwrap().read(&mut block) {
                Ok(length @ 1..) => got.extend_from_slice(&block[..length]),
                _ => break,
            }
        }
        got
    }

    /// All of it. A terminal that nobody has open any more gives an error.
    fn read_all(&mut self) -> Vec<u8> {
        self.read_some(usize::MAX)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = self.supervisor.kill();
        let _reaped = self.supervisor.wait();
        for pid in [self.job, self.relay] {
            let name = process::arguments_of(pid).concat();
            if name.contains("carbon-relay") || process::env_of(pid).contains_key(MARK) {
                process::kill(pid);
            }
        }
    }
}

/// One that changes no byte, of 24 lines of 80 columns.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname_r(&master).unwrap();
    let mode = nix::sys::stat::Mode::empty();
    let end = nix::fcntl::open(Path::new(&name), flags, mode).unwrap();
    let mut settings = tcgetattr(&end).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&end, SetArg::TCSANOW, &settings).unwrap();
    set_size(&master, 24, 80);
    (master.as_fd().try_clone_to_owned().unwrap(), end)
}

fn set_size(of: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(of.as_fd(), size).unwrap();
}

/// Turns this process into a supervisor if a test started it as one; see `supervisor.rs`.
#[used]
// SAFETY: as there.
#[unsafe(link_section = ".init_array")]
static BECOME_SUPERVISOR: extern "C" fn() = {
    #[expect(clippy::exit, reason = "there is no main to return to")]
    extern "C" fn become_supervisor() {
        if let Some(job) = std::env::var_os(MARK).and_then(|_| std::env::var_os("CATRAIN_TEST_JOB"))
        {
            let done = std::panic::catch_unwind(|| supervise(&job));
            std::process::exit(if done.is_ok() { 0 } else { 101 });
        }
    }
    become_supervisor
};

fn answer(text: &str) {
    let line = format!("{text}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn supervise(job: &OsString) {
    let program = Path::new(env!("CARGO_BIN_EXE_catrain"));
    let mut relay = Relay::prepare_with(program, std::io::stdout()).unwrap();
    let mut copy = File::from(relay.copy().unwrap());
    let job = job.to_str().unwrap();
    let words: Vec<&str> = job.split('\x1f').collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env_remove("CATRAIN_TEST_JOB")
        .stdin(Stdio::null())
        .stdout(relay.job_end().unwrap())
        .stderr(Stdio::null());
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    drop(command);
    relay.started();
    answer(&format!("{} {}", child.id(), relay.pid()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for order in BufReader::new(std::io::stdin()).lines() {
        match order.unwrap().split(' ').collect::<Vec<_>>().as_slice() {
            ["fate"] => answer(&format!("{:?}", relay.fate())),
            ["restart"] => {
                relay.restart().unwrap();
                answer(&relay.pid().to_string());
            }
            ["resize"] => {
                relay.resize();
                answer("resized");
            }
            ["copy"] => {
                let mut text = vec![0; 4096];
                let length = copy.read(&mut text).unwrap_or(0);
                answer(&format!("{:?}", String::from_utf8_lossy(&text[..length])));
            }
            ["drain", milliseconds] => {
                let limit = Duration::from_millis(milliseconds.parse().unwrap());
                let drained = runtime.block_on(relay.drained(limit));
                answer(&drained.to_string());
            }
            ["wait"] => {
                let status = child.wait().unwrap();
                answer(&format!("{:?} {:?}", status.code(), status.signal()));
            }
            unknown => panic!("unknown order {unknown:?}"),
        }
    }
}

/// Writes ten megabytes of lines of any length and any bytes, and the same to a file.
const LINES: &str = r"
import os, random, sys
random.seed(7)
kept = open(sys.argv[1], 'wb')
left = 10_000_000
while left > 0:
    line = random.randbytes(random.choice([0, 1, 7, 80, 500, 4096, 70_000])) + b'\n'
    line = line[:left]
    kept.write(line)
    at = 0
    while at < len(line):
        at += os.write(1, line[at:])
    left -= len(line)
kept.close()
os.rename(sys.argv[1], sys.argv[2])
";

fn lines_job(sandbox: &Sandbox) -> [String; 5] {
    let python = python().to_str().unwrap().to_owned();
    let path = |name| sandbox.path(name).to_str().unwrap().to_owned();
    [
        python,
        "-c".to_owned(),
        LINES.to_owned(),
        path("partial"),
        path("sent"),
    ]
}

fn all_is_the_same(kind: Kind, is_killed: bool) {
    let sandbox = Sandbox::new();
    let job = lines_job(&sandbox);
    let words: Vec<&str> = job.iter().map(String::as_str).collect();
    let mut stage = Stage::start(&sandbox, kind, &words);
    let mut got = stage.read_some(1_000_000);
    if is_killed {
        // In the middle of a line.
        while got.last() == Some(&b'\n') {
            got.extend(stage.read_some(1));
        }
        stage.supervisor.kill().unwrap();
        stage.supervisor.wait().unwrap();
    }
    got.extend(stage.read_some(10_000_000 - got.len()));
    if !is_killed {
        assert_eq!(stage.ask("wait"), "Some(0) None");
        assert_eq!(stage.ask("drain 2000"), "true");
        assert_eq!(stage.ask("fate"), "Some(Copied)");
        drop(stage.supervisor.stdin.take());
    }
    // Nothing comes after it.
    got.extend(stage.read_all());
    wait_until("the job ends", SOON, || sandbox.path("sent").exists());
    let sent = std::fs::read(sandbox.path("sent")).unwrap();
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "{kind:?}: bytes differ");
    wait_until("the relay ends", SOON, || !process::is_alive(stage.relay));
}

#[test]
fn every_byte_passes_a_pipe() {
    all_is_the_same(Kind::Pipe, false);
}

#[test]
fn every_byte_passes_a_terminal() {
    all_is_the_same(Kind::Terminal, false);
}

#[test]
fn every_byte_passes_a_pipe_though_the_supervisor_is_killed_in_mid_line() {
    all_is_the_same(Kind::Pipe, true);
}

#[test]
fn every_byte_passes_a_terminal_though_the_supervisor_is_killed_in_mid_line() {
    all_is_the_same(Kind::Terminal, true);
}

#[test]
fn a_killed_relay_costs_no_sigpipe_and_a_new_one_goes_on() {
    let sandbox = Sandbox::new();
    let go = sandbox.path("go");
    let script = format!(
        "echo one; until [ -e {0} ]; do sleep 0.01; done; echo two; echo three",
        go.display()
    );
    let mut stage = Stage::start(&sandbox, Kind::Pipe, &["sh", "-c", &script]);
    assert_eq!(stage.read_some(4), b"one\n");
    stage.ask_until("copy", r#""one\n""#);
    process::kill(stage.relay);
    stage.ask_until("fate", "Some(Lost)");
    std::fs::write(go, "").unwrap();
    assert_eq!(stage.ask("wait"), "Some(0) None");
    stage.relay = stage.ask("restart").parse().unwrap();
    assert_eq!(stage.read_some(10), b"two\nthree\n");
    assert_eq!(stage.ask("drain 20000"), "true");
    assert_eq!(stage.ask("copy"), r#""\0\nthree\n""#);
}

#[test]
fn a_relay_that_died_is_replaced_while_draining() {
    let sandbox = Sandbox::new();
    let go = sandbox.path("go");
    let script = format!(
        "until [ -e {} ]; do sleep 0.01; done; echo one",
        go.display()
    );
    let mut stage = Stage::start(&sandbox, Kind::Pipe, &["sh", "-c", &script]);
    process::kill(stage.relay);
    stage.ask_until("fate", "Some(Lost)");
    std::fs::write(go, "").unwrap();
    assert_eq!(stage.ask("wait"), "Some(0) None");
    assert_eq!(stage.ask("drain 20000"), "true");
    assert_eq!(stage.read_some(4), b"one\n");
}

#[test]
fn a_job_whose_reader_is_gone_is_told_as_without_us() {
    let sandbox = Sandbox::new();
    let mut stage = Stage::start(&sandbox, Kind::Pipe, &["yes"]);
    assert_eq!(stage.read_some(2)[..2], *b"y\n");
    drop(stage.output.take());
    stage.ask_until("fate", "Some(ReaderGone)");
    let killed = format!("None Some({})", libc::SIGPIPE);
    assert_eq!(stage.ask("wait"), killed);
}

#[test]
fn and_so_it_is_when_there_is_no_supervisor_any_more() {
    let sandbox = Sandbox::new();
    let mut stage = Stage::start(&sandbox, Kind::Pipe, &["yes"]);
    stage.read_some(2);
    stage.supervisor.kill().unwrap();
    stage.supervisor.wait().unwrap();
    stage.read_some(100_000);
    drop(stage.output.take());
    let (job, relay) = (stage.job, stage.relay);
    wait_until("both end", SOON, || {
        !process::is_alive(job) && !process::is_alive(relay)
    });
}

#[test]
fn a_worker_that_keeps_the_output_open_holds_nobody_up_and_is_heard_to_the_end() {
    let sandbox = Sandbox::new();
    let go = sandbox.path("go");
    let script = format!(
        "(until [ -e {0} ]; do sleep 0.01; done; echo late) & echo early",
        go.display()
    );
    let mut stage = Stage::start(&sandbox, Kind::Pipe, &["sh", "-c", &script]);
    assert_eq!(stage.ask("wait"), "Some(0) None");
    assert_eq!(stage.ask("drain 200"), "false");
    drop(stage.supervisor.stdin.take());
    assert!(stage.supervisor.wait().unwrap().success());
    std::fs::write(go, "").unwrap();
    assert_eq!(stage.read_all(), b"early\nlate\n");
}

#[test]
fn draining_lasts_while_bytes_flow() {
    let sandbox = Sandbox::new();
    let job = ["head", "-c", "20000", "/dev/zero"];
    let mut stage = Stage::start(&sandbox, Kind::Terminal, &job);
    // A terminal holds less than this; what is left when the job ends is taken bit by bit, for longer
    // than the limit in all.
    let mut output = stage.output.take().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut got, mut block) = (0, [0; 50]);
        while got < 20_000 {
            got += output.read(&mut block).unwrap();
            std::thread::park_timeout(Duration::from_millis(10));
        }
        got
    });
    assert_eq!(stage.ask("wait"), "Some(0) None");
    assert_eq!(stage.ask("drain 2000"), "true");
    assert_eq!(reader.join().unwrap(), 20_000);
}

#[test]
fn the_jobs_terminal_has_the_size_of_ours_and_follows_it() {
    let sandbox = Sandbox::new();
    let script = "
import os, sys, time
seen = None
while seen != (33, 99):
    now = os.get_terminal_size(1)
    now = (now.lines, now.columns)
    if now != seen:
        os.write(1, f'{sys.stdout.isatty()} {now}\\n'.encode())
        seen = now
    time.sleep(0.01)
";
    let python = python().to_str().unwrap();
    let mut stage = Stage::start(&sandbox, Kind::Terminal, &[python, "-c", script]);
    let first = b"True (24, 80)\n";
    assert_eq!(stage.read_some(first.len()), first);
    set_size(stage.output.as_ref().unwrap(), 33, 99);
    assert_eq!(stage.ask("resize"), "resized");
    let second = b"True (33, 99)\n";
    assert_eq!(stage.read_some(second.len()), second);
}

#[test]
fn nothing_but_the_end_of_the_output_ends_a_relay() {
    let sandbox = Sandbox::new();
    let mut stage = Stage::start(&sandbox, Kind::Pipe, &["sleep", "100"]);
    let relay = stage.relay;
    wait_until("it is itself", SOON, || {
        process::stat(relay).is_some_and(|stat| stat.name == "carbon-relay")
    });
    let stat = process::stat(relay).unwrap();
    assert_eq!(stat.session, relay);
    assert_eq!(process::arguments_of(relay)[0], "carbon-relay");
    assert!(process::env_of(relay).is_empty());
    assert_eq!(
        std::fs::read_link(format!("/proc/{relay}/cwd")).unwrap(),
        Path::new("/")
    );
    wait_until("it holds four descriptors", SOON, || {
        process::fds_of(relay).len() == 4
    });
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            process::send(relay, signal);
        }
    }
    assert_eq!(stage.ask("fate"), "None");
    process::kill(stage.job);
    stage.ask_until("fate", "Some(Copied)");
}
