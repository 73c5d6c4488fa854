//! `key_command`: asks a password manager, say, for a key.
//!
//! The line is run by `sh -c` in a process group of its own, without input. Its first line of output
//! is the key and is shown to nobody, whatever happens; what it complains of is shown when it fails.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::LONGEST;
use crate::patience::within;

/// How long it may take: long enough for a key to be touched, short enough to wait for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of its complaints so much is shown.
const COMPLAINTS: u64 = 1000;

/// Why a command gives no key.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It cannot be run or listened to.
    #[error("it cannot be run: {0}")]
    NotRun(io::Error),
    /// It was ended, since it took too long.
    #[error("it was not done within {} s and was ended", PATIENCE.as_secs())]
    TooSlow,
    /// It says more than any key has.
    #[error("it printed more than {} KiB", LONGEST >> 10)]
    TooMuch,
    /// It failed by its own account.
    #[error("{status}{}", told(complaints))]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        complaints: String,
    },
}

fn told(complaints: &str) -> String {
    match complaints.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// What it wrote.
struct Heard {
    output: Zeroizing<Vec<u8>>,
    complaints: String,
}

/// Runs a line and gives the first line of its output, trimmed.
pub(super) fn run(line: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    run_within(PATIENCE, line)
}

fn run_within(limit: Duration, line: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut child = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(CommandError::NotRun)?;
    let heard = listen(&mut child, limit);
    let is_done = matches!(&heard, Ok(heard) if heard.output.len() <= LONGEST);
    if !is_done {
        // It was not reaped yet, so that the group's number is nobody else's.
        let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    }
    let status = child.wait().map_err(CommandError::NotRun)?;
    let heard = heard.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => CommandError::TooSlow,
        _ => CommandError::NotRun(error),
    })?;
    if !is_done {
        return Err(CommandError::TooMuch);
    }
    if !status.success() {
        let complaints = heard.complaints;
        return Err(CommandError::Failed { status, complaints });
    }
    let first = heard.output.split(|byte| *byte == b'\n').next();
    let first = first.unwrap_or_default().trim_ascii();
    Ok(Zeroizing::new(first.to_vec()))
}

/// Hears both of its outputs and waits for its end, which is left to be reaped. More output than
/// a key may have is an end as well.
fn listen(child: &mut Child, limit: Duration) -> io::Result<Heard> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = (stdout.expect("it is piped"), stderr.expect("it is piped"));
    let pid = Pid::from_raw(child.id().cast_signed());
    within(limit, move || {
        let complaints = thread::Builder::new().spawn(move || complaints(stderr))?;
        let most = LONGEST + 1;
        let mut output = Zeroizing::new(Vec::with_capacity(most));
        stdout.take(most as u64).read_to_end(&mut output)?;
        if output.len() > LONGEST {
            let complaints = String::new();
            return Ok(Heard { output, complaints });
        }
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let complaints = complaints.join().unwrap_or_default();
        Ok(Heard { output, complaints })
    })?
}

fn complaints(mut stderr: impl Read) -> String {
    let mut text = Vec::new();
    let _ = stderr.by_ref().take(COMPLAINTS).read_to_end(&mut text);
    // The rest is heard and dropped, so that it does not wait for a reader.
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str) -> String {
        String::from_utf8(run(line).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_key_is_the_first_line_of_output_trimmed() {
        assert_eq!(key("printf ' hush \\r\\nmore\\n'; echo no >&2"), "hush");
        assert_eq!(key("true"), "");
    }

    #[test]
    fn a_failure_shows_what_it_complains_of_and_nothing_of_its_output() {
        let error = run("echo hush; echo 'the agent is locked' >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "exit status: 3: the agent is locked");
        assert!(!format!("{error:?}").contains("hush"));
    }

    #[test]
    fn what_it_started_ends_with_it_when_it_takes_too_long() {
        let started = tempfile::NamedTempFile::new().unwrap();
        let path = started.path().display();
        let line = format!("sleep 1000 & echo $! > {path}; wait");
        let error = run_within(Duration::from_secs(1), &line).unwrap_err();
        assert!(matches!(error, CommandError::TooSlow));
        let pid: i32 = std::fs::read_to_string(started.path())
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // It was killed; the kernel takes its time to end it.
        let give_up = crate::clock::monotonic() + Duration::from_secs(20);
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            assert!(crate::clock::monotonic() < give_up, "{stat}");
            thread::yield_now();
        }
    }

    #[test]
    fn what_never_ends_is_cut() {
        assert!(matches!(run("yes").unwrap_err(), CommandError::TooMuch));
        let noisy = "head -c 1000000 /dev/zero >&2; echo hush";
        assert_eq!(key(noisy), "hush");
    }
}
