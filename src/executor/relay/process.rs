//! The relay's own process: `carbon-relay PID FD`, where PID is the supervisor's and FD tells it of
//! the end.
//!
//! It reads stdin, where the job writes, and writes every byte to stdout, which is our real one; on
//! stderr it offers a copy. It waits for stdout as long as the job would have.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{read, write};

use super::super::guard::{be_no_victim, close_above};

/// The relay's name and first argument.
pub const NAME: &str = "carbon-relay";
/// Its last word when it has seen the end of the job's output.
pub(super) const COPIED: u8 = b'c';
/// Its last word when nobody takes the output any more.
const READER_GONE: u8 = b'g';
/// Its third argument: the copy may end in the middle of a line.
pub(super) const TORN: &str = "torn";

/// Where it tells of its end.
const LIFE: i32 = 3;
/// What it holds in its hands at most. A pipe holds as much.
const BLOCK: usize = 64 << 10;
/// What it writes at once: the kernel's account of it, by which the supervisor sees bytes flow, grows
/// when a write is done, and a slow reader may take long over a large one.
const PIECE: usize = 1 << 10;

/// What the program does when it is called [`NAME`]. Never returns.
pub fn relay_main() -> ! {
    let done = std::panic::catch_unwind(|| {
        let Some(is_torn) = settle() else { return };
        let word = relay(
            io::stdin().as_fd(),
            io::stdout().as_fd(),
            &mut Offer {
                to: io::stderr().as_fd(),
                is_torn,
                is_taken: true,
            },
        );
        // SAFETY: `settle` put it there, and nothing closes it.
        let life = unsafe { BorrowedFd::borrow_raw(LIFE) };
        let _ = write(life, &[word]);
    });
    // SAFETY: ends the process; there is nothing to flush.
    unsafe { libc::_exit(i32::from(done.is_err())) }
}

/// Makes itself hard to kill and keeps nothing open that belongs to others. Gives whether the copy
/// may be torn.
fn settle() -> Option<bool> {
    // Also SIGPIPE: a write that fails says so.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).ok()?;
    let _ = prctl::set_name(c"carbon-relay");
    let mut arguments = std::env::args().skip(2);
    let life: i32 = arguments.next()?.parse().ok()?;
    if life != LIFE {
        // SAFETY: takes plain integers; nothing in this process uses a descriptor above 2 yet.
        unsafe { libc::dup2(life, LIFE) };
    }
    close_above(LIFE.cast_unsigned());
    be_no_victim();
    Some(arguments.next().is_some_and(|word| word == TORN))
}

/// Copies until one side ends; gives the last word.
fn relay(from: BorrowedFd<'_>, to: BorrowedFd<'_>, copy: &mut Offer<'_>) -> u8 {
    let mut block = vec![0; BLOCK];
    loop {
        let length = match read(from, &mut block) {
            Ok(0) => return COPIED,
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => {
                wait_for(from, PollFlags::POLLIN);
                continue;
            }
            // Of a terminal that nobody has open any more: EIO.
            Err(_) => return COPIED,
        };
        let mut rest = &block[..length];
        while !rest.is_empty() {
            match write(to, &rest[..rest.len().min(PIECE)]) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::EINTR) => {}
                // Somebody else who has the same open file wants it so.
                Err(Errno::EAGAIN) => wait_for(to, PollFlags::POLLOUT),
                Err(_) => return READER_GONE,
            }
        }
        copy.give(&block[..length]);
    }
}

fn wait_for(descriptor: BorrowedFd<'_>, flags: PollFlags) {
    let _ = poll(&mut [PollFd::new(descriptor, flags)], PollTimeout::NONE);
}

/// The copy for the supervisor, which never delays the first.
struct Offer<'a> {
    /// Does not block.
    to: BorrowedFd<'a>,
    /// Something was left out since the last line that was whole.
    is_torn: bool,
    is_taken: bool,
}

impl Offer<'_> {
    fn give(&mut self, bytes: &[u8]) {
        if !self.is_taken {
            return;
        }
        let bytes = match self.is_torn {
            false => Cow::Borrowed(bytes),
            true => {
                // `step 120/90` and the rest of another line must not be read as one.
                let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                let Some(end) = end else { return };
                Cow::Owned([b"\0", &bytes[end..]].concat())
            }
        };
        loop {
            match write(self.to, &bytes) {
                Ok(written) => self.is_torn = written < bytes.len(),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => self.is_torn = true,
                // There is no supervisor any more.
                Err(_) => self.is_taken = false,
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    #[test]
    fn what_is_left_out_of_the_copy_never_joins_two_lines() {
        let (mut taken, offered) = io::pipe().unwrap();
        fcntl(&offered, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut offer = Offer {
            to: offered.as_fd(),
            is_torn: false,
            is_taken: true,
        };
        let mut sent = 0_u32;
        for _ in 0..4000 {
            // Cut anywhere.
            let text = format!("step {sent}/9000\nstep {}/90", sent + 1);
            offer.give(text.as_bytes());
            offer.give(b"00\n");
            sent += 2;
        }
        let mut got = vec![0; 1 << 20];
        let length = taken.read(&mut got).unwrap();
        offer.give(b"ends another\nstep 1/2\n");
        assert!(!offer.is_torn, "there is room again");
        got.truncate(length);
        let more = &mut [0; 1024];
        let length = taken.read(more).unwrap();
        got.extend_from_slice(&more[..length]);
        assert!(got.contains(&0), "the pipe was full");
        let lines: Vec<&[u8]> = got.split(|&byte| byte == b'\n').collect();
        let whole = lines.iter().filter(|line| !line.contains(&0));
        let odd = whole.filter(|line| !line.is_empty() && !line.ends_with(b"/9000"));
        let odd: Vec<_> = odd.map(|line| String::from_utf8_lossy(line)).collect();
        assert!(
            odd == ["step 1/2"] || odd == ["ends another", "step 1/2"],
            "{odd:?}"
        );
    }

    #[test]
    fn a_copy_that_nobody_takes_is_forgotten() {
        let (taken, offered) = io::pipe().unwrap();
        drop(taken);
        let mut offer = Offer {
            to: offered.as_fd(),
            is_torn: false,
            is_taken: true,
        };
        offer.give(b"x");
        assert!(!offer.is_taken);
    }
}
