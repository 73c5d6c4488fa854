//! A terminal for one child, as a login gives it: a session of its own whose controlling terminal
//! it is. `setsid --ctty` of util-linux does that part, so that no code runs between fork and exec.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::process::{self, Pid};
use super::{Sandbox, wait_for};

/// Keys that a terminal turns into signals or into the end of the input.
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const CTRL_Z: &str = "\x1a";
pub(crate) const CTRL_BACKSLASH: &str = "\x1c";

/// What a shell of [`Pty::shell`] says when it waits for a command.
pub(crate) const PROMPT: &str = "ready> ";

/// A terminal with a child in it. What the child writes is collected in the background.
pub(crate) struct Pty {
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
    /// Up to where [`Pty::expect`] has read.
    matched: usize,
    line: Option<Line>,
}

/// The test's end of the terminal.
struct Line {
    master: PtyMaster,
    /// Closed to tell the collector to let go of its copy of the master.
    alive: OwnedFd,
    collector: JoinHandle<()>,
}

impl Pty {
    /// Starts a program with arguments in a new terminal of 24 lines of 80 columns.
    #[track_caller]
    pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let close_on_exec = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(close_on_exec).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        set_size(&master, 24, 80);
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(ptsname_r(&master).unwrap())
            .unwrap();
        let child = sandbox
            .command("setsid")
            .arg("--ctty")
            .args(arguments)
            .env("PS1", PROMPT)
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .expect("the tests need setsid of util-linux");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let line = Line::collecting(master, Arc::clone(&seen));
        Self {
            child,
            seen,
            matched: 0,
            line: Some(line),
        }
    }

    /// Starts an interactive bash, which does job control, and waits for its first prompt.
    #[track_caller]
    pub(crate) fn shell(sandbox: &Sandbox) -> Self {
        let plain = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
        let mut pty = Self::start(sandbox, &plain);
        pty.expect(PROMPT, super::SOON);
        pty
    }

    /// The pid of the child, which leads the terminal's session.
    pub(crate) fn pid(&self) -> Pid {
        self.child.id().try_into().unwrap()
    }

    /// The process group in the foreground: the one that Ctrl-C reaches.
    pub(crate) fn foreground(&self) -> Pid {
        nix::unistd::tcgetpgrp(&self.line().master)
            .unwrap()
            .as_raw()
    }

    /// Types keys.
    pub(crate) fn send(&mut self, keys: &str) {
        let mut master = &self.line().master;
        (&mut master).write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line and Enter.
    pub(crate) fn send_line(&mut self, text: &str) {
        self.send(&format!("{text}\r"));
    }

    /// Waits until `text` appears after what was expected before, and gives all that came up to
    /// its end. What is typed is echoed, so expect words that were not typed.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str, limit: Duration) -> String {
        let (from, seen) = (self.matched, Arc::clone(&self.seen));
        let find = || {
            let seen = seen.lock().unwrap();
            let new = &seen[from..];
            let at = new
                .windows(text.len())
                .position(|part| part == text.as_bytes())?;
            let part = &new[..at + text.len()];
            Some((part.len(), String::from_utf8_lossy(part).into_owned()))
        };
        let what = format!("`{text}` in the terminal");
        let (length, part) = wait_for(&what, limit, || {
            let over = self.line.as_ref().is_none_or(|l| l.collector.is_finished());
            let found = find();
            assert!(
                found.is_some() || !over,
                "all closed it without {what}: {}",
                self.screen()
            );
            found
        });
        self.matched += length;
        part
    }

    /// All that the terminal was sent so far.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Changes the size of the window; the foreground group gets SIGWINCH.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        set_size(&self.line().master, rows, columns);
    }

    /// Closes the terminal as a lost connection does: the session leader gets SIGHUP, reads give
    /// the end of the file and writes fail.
    pub(crate) fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            drop(line.alive);
            line.collector.join().unwrap();
            drop(line.master);
        }
    }

    /// Waits for the child's end.
    #[track_caller]
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_for("the child in the terminal ends", limit, || {
            self.child.try_wait().unwrap()
        })
    }

    fn line(&self) -> &Line {
        self.line.as_ref().expect("the test has not hung up yet")
    }
}

impl Line {
    fn collecting(master: PtyMaster, into: Arc<Mutex<Vec<u8>>>) -> Self {
        let (ended, alive) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut source = std::fs::File::from(master.as_fd().try_clone_to_owned().unwrap());
        let collector = thread::spawn(move || {
            let mut block = [0; 4096];
            loop {
                let mut both = [
                    PollFd::new(source.as_fd(), PollFlags::POLLIN),
                    PollFd::new(ended.as_fd(), PollFlags::POLLIN),
                ];
                let woken = poll(&mut both, PollTimeout::NONE);
                if woken.is_ok() && both[1].revents().is_some_and(|events| !events.is_empty()) {
                    return;
                }
                // EIO: nobody has the terminal open any more.
                match source.read(&mut block) {
                    Ok(count @ 1..) => into.lock().unwrap().extend_from_slice(&block[..count]),
                    _ => return,
                }
            }
        });
        Self {
            master,
            alive,
            collector,
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let session = self.pid();
        self.hang_up();
        // The leader is not reaped before, so that its session's number is not taken by another.
        for pid in process::session(session) {
            process::kill(pid);
        }
        let _reaped = self.child.wait();
    }
}

fn set_size(master: &PtyMaster, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master.as_fd(), size).unwrap();
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::super::process::{children_of, is_running, is_stopped, stat};
    use super::super::{SOON, wait_until};
    use super::*;

    #[test]
    fn a_terminal_echoes_and_carries_the_end_of_input() {
        let sandbox = Sandbox::new();
        let mut pty = Pty::start(&sandbox, &["cat"]);
        pty.send_line("hello");
        // Once from the terminal, once from cat.
        pty.expect("hello\r\n", SOON);
        assert_eq!(pty.expect("hello\r\n", SOON), "hello\r\n");
        pty.send(CTRL_D);
        assert_eq!(pty.wait(SOON).code(), Some(0));
    }

    #[test]
    fn keys_become_signals_to_the_foreground_group() {
        let sandbox = Sandbox::new();
        for (key, signal) in [(CTRL_C, libc::SIGINT), (CTRL_BACKSLASH, libc::SIGQUIT)] {
            let mut pty = Pty::start(&sandbox, &["sh", "-c", "ulimit -c 0; echo up; exec cat"]);
            pty.expect("up", SOON);
            wait_until("cat is there", SOON, || {
                stat(pty.pid()).is_some_and(|stat| stat.name == "cat")
            });
            assert_eq!(pty.foreground(), pty.pid());
            pty.send(key);
            assert_eq!(pty.wait(SOON).signal(), Some(signal));
        }
    }

    #[test]
    fn a_shell_stops_and_continues_its_jobs() {
        let sandbox = Sandbox::new();
        let mut pty = Pty::shell(&sandbox);
        pty.send_line("sleep 100");
        let sleep = wait_for("sleep is in the foreground", SOON, || {
            let child = *children_of(pty.pid()).first()?;
            (stat(child)?.name == "sleep" && pty.foreground() == child).then_some(child)
        });
        pty.send(CTRL_Z);
        pty.expect("Stopped", SOON);
        pty.expect(PROMPT, SOON);
        assert!(is_stopped(sleep));
        pty.send_line("fg");
        wait_until("sleep runs in the foreground", SOON, || {
            is_running(sleep) && pty.foreground() == sleep
        });
        pty.send(CTRL_C);
        pty.expect(PROMPT, SOON);
        pty.send_line("echo code=$?");
        pty.expect("code=130", SOON);
        pty.send_line("exit 5");
        assert_eq!(pty.wait(SOON).code(), Some(5));
    }

    #[test]
    fn a_window_has_a_size_that_changes() {
        let sandbox = Sandbox::new();
        let mut pty = Pty::shell(&sandbox);
        pty.send_line("stty size");
        pty.expect("24 80", SOON);
        pty.resize(50, 132);
        pty.send_line("stty size");
        pty.expect("50 132", SOON);
    }

    #[test]
    fn hanging_up_reaches_the_session_leader() {
        let sandbox = Sandbox::new();
        let mut pty = Pty::start(&sandbox, &["sh", "-c", "echo up; exec cat"]);
        pty.expect("up", SOON);
        pty.hang_up();
        assert_eq!(pty.wait(SOON).signal(), Some(libc::SIGHUP));
        assert!(pty.screen().contains("up"));
    }

    #[test]
    #[should_panic(expected = "all closed it without")]
    fn a_child_that_ends_without_the_words_is_not_waited_for() {
        let sandbox = Sandbox::new();
        Pty::start(&sandbox, &["true"]).expect("never", SOON);
    }
}
