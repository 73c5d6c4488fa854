//! Reads what is secret: from a terminal without showing it, or from standard input.
//!
//! While the echo is off, a signal that would end or stop us is held back: first the terminal gets its
//! echo again, then the signal does what it does. Who comes back from a stop is asked again.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Stdin, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::SignalFd;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::keys::LONGEST;

/// Signals that would leave the terminal without its echo.
const HELD_BACK: [Signal; 5] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
];
/// What the kernel keeps of a line, its end included; it drops the rest without a word.
const LINE: usize = 4096;

/// Whether somebody can be asked.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// What is typed after a prompt on a terminal, else all of standard input.
///
/// # Errors
/// It cannot be read, or the line is longer than a terminal can take.
pub(super) fn read(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    match can_ask() {
        true => ask(prompt),
        false => all(),
    }
}

fn all() -> io::Result<Zeroizing<Vec<u8>>> {
    // Not through the buffer of `Stdin`, which keeps what passed through it.
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let most = LONGEST + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    stdin.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The line that is typed after a prompt.
///
/// # Errors
/// It cannot be read, or is longer than a terminal can take.
pub(super) fn ask(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let stdin = io::stdin();
    loop {
        let quiet = Quiet::begin(&stdin)?;
        write!(io::stderr(), "{prompt} (not shown): ")?;
        let line = quiet.line()?;
        drop(quiet);
        match line {
            Some(line) if line.len() == LINE => {
                let why =
                    "it is longer than a line on a terminal may be; give it on standard input";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Some(line) => return Ok(line),
            None => {}
        }
    }
}

/// A terminal without echo, and signals that wait, until it is dropped.
struct Quiet<'a> {
    stdin: &'a Stdin,
    loud: Termios,
    signals: SignalFd,
    mask: SigSet,
}

impl<'a> Quiet<'a> {
    fn begin(stdin: &'a Stdin) -> io::Result<Self> {
        let loud = tcgetattr(stdin)?;
        let held_back = SigSet::from_iter(HELD_BACK);
        let signals = SignalFd::new(&held_back)?;
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held_back), Some(&mut mask))?;
        let quiet = Self {
            stdin,
            loud,
            signals,
            mask,
        };
        let mut termios = quiet.loud.clone();
        termios.local_flags.remove(LocalFlags::ECHO);
        termios.local_flags.insert(LocalFlags::ECHONL);
        // What was typed before could be seen: it is dropped.
        tcsetattr(stdin, SetArg::TCSAFLUSH, &termios)?;
        Ok(quiet)
    }

    /// The next line; none where a signal waits.
    fn line(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut both = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN),
        ];
        while let Err(errno) = poll(&mut both, PollTimeout::NONE) {
            if errno != Errno::EINTR {
                return Err(errno.into());
            }
        }
        if both[0].any() == Some(true) {
            writeln!(io::stderr())?;
            return Ok(None);
        }
        let mut line = Zeroizing::new(vec![0; LINE]);
        let length = nix::unistd::read(self.stdin, &mut line)?;
        line.truncate(length);
        Ok(Some(line))
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // In this order: what waits may be our end.
        let _ = tcsetattr(self.stdin, SetArg::TCSADRAIN, &self.loud);
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}
