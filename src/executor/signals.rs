//! The signals that reach `catrain`, as things to read, and how `catrain` itself stops and dies.
//!
//! Signals are blocked and read from a signalfd, so that none is lost, none interrupts anything, and
//! who sent it is known: what the terminal sent is treated otherwise than what a person or a
//! cluster sent. What came ignored (`nohup`, `&` in a script) stays ignored.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, raise, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::spawn::Inherited;

/// What is read from the descriptor: what is passed on to the job, and what would otherwise end
/// or stop the supervisor.
const WATCHED: [Signal; 13] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
    Signal::SIGXCPU,
    Signal::SIGPWR,
];

/// Who sent a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The kernel: a key or a hang-up of the terminal, a changed window, a child that ended.
    Kernel,
    /// A process.
    Process {
        /// Its pid; 0 if it is outside our pid namespace.
        pid: i32,
        /// Its real user.
        uid: u32,
    },
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Its number.
    pub signal: i32,
    /// Where it came from.
    pub sender: Sender,
}

/// The open descriptor. Non-blocking; readable when a signal waits.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks the watched signals in this thread and the threads that it will start. To be called
    /// on the main thread before there is another.
    ///
    /// # Errors
    /// When the kernel gives no descriptor.
    pub fn open(inherited: &Inherited) -> io::Result<Self> {
        let mut watched = SigSet::empty();
        for signal in WATCHED {
            // An ignored SIGCHLD would lose the job's exit, whoever asked for it.
            if signal == Signal::SIGCHLD || !inherited.ignores(signal as i32) {
                watched.add(signal);
            }
        }
        // SAFETY: neither default nor ignore runs code of ours.
        unsafe {
            signal(Signal::SIGCHLD, SigHandler::SigDfl)?;
            // A line to the terminal from the background must not stop the supervisor.
            signal(Signal::SIGTTOU, SigHandler::SigIgn)?;
            signal(Signal::SIGTTIN, SigHandler::SigIgn)?;
            // A reader that is gone is an error to handle, not the end of the supervision.
            signal(Signal::SIGPIPE, SigHandler::SigIgn)?;
            // So is a record that grows above `ulimit -f`.
            signal(Signal::SIGXFSZ, SigHandler::SigIgn)?;
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&watched), None)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor = SignalFd::with_flags(&watched, flags)?;
        Ok(Self { descriptor })
    }

    /// Whether somebody wants an end since the last time, by TERM, INT or HUP. Whatever else has arrived is
    /// lost: for the time after the job.
    pub fn ask_to_end(&self) -> bool {
        let ends = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].map(|signal| signal as i32);
        let caught = self.read();
        caught.iter().any(|caught| ends.contains(&caught.signal))
    }

    /// What has arrived since the last time. Equal signals that came close together are one.
    pub fn read(&self) -> Vec<Caught> {
        let mut all = Vec::new();
        while let Ok(Some(info)) = self.descriptor.read_signal() {
            let from_process = matches!(
                info.ssi_code,
                libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL
            );
            all.push(Caught {
                signal: info.ssi_signo.cast_signed(),
                sender: if from_process {
                    Sender::Process {
                        pid: info.ssi_pid.cast_signed(),
                        uid: info.ssi_uid,
                    }
                } else {
                    Sender::Kernel
                },
            });
        }
        all
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_fd().as_raw_fd()
    }
}

/// Dies of a signal as the job did, without leaving a core dump beside the job's. As PID 1, which
/// the kernel does not let die so, and for a signal that does not kill, ends with 128 + N.
pub fn die_of(number: i32) -> ! {
    if let Ok(deadly) = Signal::try_from(number) {
        let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
        // SAFETY: the default disposition runs no code of ours.
        let _ = unsafe { signal(deadly, SigHandler::SigDfl) };
        let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from(deadly)), None);
        let _ = raise(deadly);
    }
    end_at_once(128 + number)
}

/// Ends with the job's code. What is written is written; nothing else is waited for, since a thread
/// that loads a driver which hangs would hold up what runs at a usual exit, and with it the job's.
pub fn end_with(code: u8) -> ! {
    end_at_once(i32::from(code))
}

fn end_at_once(code: i32) -> ! {
    // SAFETY: ends the process without running anything more.
    unsafe { libc::_exit(code) }
}

/// Ctrl-Z: stops this process as the terminal would have, and returns when it is continued. Does
/// nothing in an orphaned process group, where nobody could continue it, and says so with `false`.
/// The others of a pipeline have had the same signal from the terminal.
pub fn stop_self() -> bool {
    let stop = SigSet::from(Signal::SIGTSTP);
    if sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&stop), None).is_err() {
        return false;
    }
    let _ = raise(Signal::SIGTSTP);
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&stop), None);
    // A stop discards what SIGCONT was pending before it: this one came after. It is watched, so
    // blocked, and stays pending until it is read.
    let mut pending = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set has room, and is only looked at when it was filled; zeroes are an empty set.
    unsafe {
        libc::sigpending(pending.as_mut_ptr()) == 0
            && libc::sigismember(pending.as_ptr(), libc::SIGCONT) == 1
    }
}
