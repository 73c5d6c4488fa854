//! A child whose output is kept as it comes, and which never outlives its test.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::process::Pid;
use super::wait_for;

/// A running child: its output so far can be read at any time; it is killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Kept,
    stderr: Kept,
}

/// How a child ended and what it had said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Kept {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut block = [0; 65536];
            while let Ok(count @ 1..) = pipe.read(&mut block) {
                into.lock().unwrap().extend_from_slice(&block[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

impl Running {
    /// Starts a command with its output kept and nothing on its stdin.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts a command and gives it `input`, then the end of the file.
    #[track_caller]
    pub(crate) fn start_with(command: &mut Command, input: &[u8]) -> Self {
        let mut running = Self::spawn(command.stdin(Stdio::piped()));
        let (mut pipe, input) = (running.child.stdin.take().unwrap(), input.to_owned());
        // A child that does not read must not block the test.
        thread::spawn(move || pipe.write_all(&input));
        running
    }

    /// Starts a command whose standard error goes elsewhere, and is not kept.
    #[track_caller]
    pub(crate) fn start_complaining_to(command: &mut Command, stderr: Stdio) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // The command keeps a copy open otherwise.
        command.stderr(Stdio::null());
        let stdout = Kept::from(child.stdout.take().unwrap());
        let stderr = Kept::from(std::io::empty());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    #[track_caller]
    fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = Kept::from(child.stdout.take().unwrap());
        let stderr = Kept::from(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Pid {
        self.child.id().try_into().unwrap()
    }

    /// What it has written to stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stdout holds `text`.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str, limit: Duration) {
        let what = format!("`{text}` on stdout");
        wait_for(&what, limit, || {
            let ended = self.has_ended().is_some();
            let found = self.stdout().contains(text);
            assert!(
                found || !ended || !self.stdout.reader.is_finished(),
                "it ended without {what}: {:?} {:?}",
                self.stdout(),
                self.stderr()
            );
            found.then_some(())
        });
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end. The output is complete unless a descendant still holds a pipe of it after
    /// the limit, which panics as well.
    #[track_caller]
    pub(crate) fn wait(&mut self, limit: Duration) -> Ended {
        let what = "the child ends and nobody holds its output any more";
        let status = wait_for(what, limit, || {
            let done = self.stdout.reader.is_finished() && self.stderr.reader.is_finished();
            self.has_ended().filter(|_| done)
        });
        Ended {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The readers end when the last holder of the pipes does; they are not waited for.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SOON, Sandbox};
    use super::*;

    #[test]
    fn output_is_seen_while_the_child_runs_and_whole_at_the_end() {
        let sandbox = Sandbox::new();
        let script = "read line; echo got $line; echo oops >&2; exit 4";
        let mut child = Running::start_with(sandbox.command("sh").args(["-c", script]), b"it\n");
        child.expect("got it", SOON);
        let ended = child.wait(SOON);
        assert_eq!(ended.status.code(), Some(4));
        assert_eq!(
            (ended.stdout.as_str(), ended.stderr.as_str()),
            ("got it\n", "oops\n")
        );
    }

    #[test]
    #[should_panic(expected = "ended without `never`")]
    fn a_child_that_ends_without_the_words_is_not_waited_for() {
        let sandbox = Sandbox::new();
        Running::start(&mut sandbox.command("true")).expect("never", SOON);
    }
}
