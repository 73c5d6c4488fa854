//! How the job is started: exactly as its user would have started it, in a session of its own.
//!
//! The job gets the signal mask and dispositions that `catrain` was started with. Rust's runtime
//! changes SIGPIPE before `main` and `std::process` resets mask and SIGPIPE in the child, so what
//! was inherited is read before the runtime starts and put back last thing before exec.
//!
//! In a session of its own the job is not hit by the kernel's SIGHUP to orphaned groups when the
//! supervisor dies while it is paused, and a job that reads the terminal is not stopped by SIGTTIN.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use super::Job;
use super::beside;
use super::freezer::{Cell, Unavailable};
use super::process::{self, ProcId};
use super::tree;
use crate::fault::{self, Point};

/// The highest signal number on Linux.
const LAST_SIGNAL: i32 = 64;

/// What `catrain` was started with and the job is to have as well.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    mask: SigSet,
    /// Bit N − 1: signal N came ignored.
    ignored: u64,
    /// What stdin is.
    pub stdin: Stdin,
    /// Whether there is a controlling terminal.
    pub has_terminal: bool,
}

/// What stdin is, for the question whether the job may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// A file, a pipe, nothing, or a terminal that does not control us.
    Other,
    /// The terminal that we are in the foreground of.
    Foreground,
    /// The terminal, and somebody else has it: the job would take the shell's keystrokes.
    Background,
}

#[derive(Clone, Copy)]
struct Dispositions {
    mask: SigSet,
    ignored: u64,
}

static AT_START: OnceLock<Dispositions> = OnceLock::new();

/// Runs before Rust's runtime, which would otherwise have set SIGPIPE to ignored already.
#[used]
// SAFETY: the section holds functions that the C runtime calls before `main`; this one has their
// signature (arguments that it does not name are allowed by the calling convention), does not
// unwind, and uses nothing that `main` would have to set up.
#[unsafe(link_section = ".init_array")]
static READ_DISPOSITIONS: extern "C" fn() = {
    extern "C" fn read_dispositions() {
        AT_START.get_or_init(dispositions);
    }
    read_dispositions
};

fn dispositions() -> Dispositions {
    let mut ignored = 0;
    for signal in 1..=LAST_SIGNAL {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a null new action only reads; the old one has room. A number that the C library
        // keeps for itself is refused and leaves the zeroes, which say "default".
        let action = unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
            action.assume_init()
        };
        if action.sa_sigaction == libc::SIG_IGN {
            ignored |= 1 << (signal - 1);
        }
    }
    let mut mask = SigSet::empty();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, None, Some(&mut mask));
    Dispositions { mask, ignored }
}

impl Inherited {
    /// To be called first thing in `main`, before anything changes a signal.
    pub fn capture() -> Self {
        let Dispositions { mask, ignored } = *AT_START.get_or_init(dispositions);
        let stdin = io::stdin();
        let stdin = if stdin.is_terminal() {
            match nix::unistd::tcgetpgrp(&stdin) {
                Ok(foreground) if foreground == nix::unistd::getpgrp() => Stdin::Foreground,
                Ok(_) => Stdin::Background,
                Err(_) => Stdin::Other,
            }
        } else {
            Stdin::Other
        };
        let terminal = nix::fcntl::open(
            Path::new("/dev/tty"),
            nix::fcntl::OFlag::O_RDONLY
                | nix::fcntl::OFlag::O_NOCTTY
                | nix::fcntl::OFlag::O_CLOEXEC,
            nix::sys::stat::Mode::empty(),
        );
        Self {
            mask,
            ignored,
            stdin,
            has_terminal: terminal.is_ok(),
        }
    }

    /// Whether this signal came ignored.
    pub fn ignores(&self, signal: i32) -> bool {
        (1..=LAST_SIGNAL).contains(&signal) && self.ignored & (1 << (signal - 1)) != 0
    }

    /// Puts mask and dispositions back. Runs between fork and exec: system calls only.
    pub(super) fn restore(&self) -> io::Result<()> {
        for signal in 1..=LAST_SIGNAL {
            let to = if self.ignores(signal) {
                libc::SIG_IGN
            } else {
                libc::SIG_DFL
            };
            // SAFETY: neither runs code of ours; KILL, STOP and the C library's own are refused,
            // which is right.
            unsafe { libc::signal(signal, to) };
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None)?;
        Ok(())
    }
}

/// Who has the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The job leads its own session, and writes to and reads from ours while we are in the foreground.
    Lent,
    /// The job stays in our session and process group, for programs that need a controlling terminal.
    /// Keys reach it without us. Such a job is not paused.
    Given,
}

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Program and arguments; at least the program.
    pub argv: &'a [OsString],
    /// Who has the terminal.
    pub terminal: Terminal,
    /// Variables that the job is not to see: our secrets.
    pub env_remove: &'a [OsString],
    /// Variables that the job is given on top.
    pub env: &'a [(OsString, OsString)],
    /// What it has as its standard output; none: ours.
    pub stdout: Option<BorrowedFd<'a>>,
    /// The same of standard error.
    pub stderr: Option<BorrowedFd<'a>>,
}

/// Why the job did not start. The kinds differ in exit code.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// 127: there is no such program.
    #[error("`{program}` was not found{}", place(program))]
    NotFound {
        /// As it was given.
        program: String,
    },
    /// 127: the program is there, what its first line or header asks for is not.
    #[error("`{program}` asks for an interpreter or a loader that is not there")]
    NoInterpreter {
        /// As it was given.
        program: String,
    },
    /// 126: it is there and cannot be executed.
    #[error("`{program}` cannot be executed: {cause}")]
    NotExecutable {
        /// As it was given.
        program: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// 125: the system could not make a process.
    #[error("cannot start `{program}`: {cause}")]
    Failed {
        /// As it was given.
        program: String,
        /// What the kernel said.
        cause: io::Error,
    },
}

impl SpawnError {
    /// The kind that decides the exit code.
    pub fn kind(&self) -> crate::error::Kind {
        match self {
            Self::NotFound { .. } | Self::NoInterpreter { .. } => crate::error::Kind::NotFound,
            Self::NotExecutable { .. } => crate::error::Kind::NotExecutable,
            Self::Failed { .. } => crate::error::Kind::BeforeStart,
        }
    }
}

fn place(program: &str) -> &'static str {
    if program.contains('/') {
        ""
    } else {
        " on the PATH"
    }
}

/// Looks for the program as [`spawn`] will, so that a run that is to be held does not find out
/// hours later that there is none.
///
/// # Errors
/// There is no such program, or it is no executable file.
pub fn look_up(program: &OsStr) -> Result<(), SpawnError> {
    let shown = || program.to_string_lossy().into_owned();
    let mut refused = None;
    let mut is_there = |path: &Path| match check(path) {
        Ok(()) => true,
        Err(cause) => {
            if cause.kind() != io::ErrorKind::NotFound && refused.is_none() {
                refused = Some(cause);
            }
            false
        }
    };
    let found = if program.as_bytes().contains(&b'/') {
        is_there(Path::new(program))
    } else if program.is_empty() {
        // As a shell has it: no folder of the PATH is meant.
        false
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        std::env::split_paths(&path).any(|folder| is_there(&folder.join(program)))
    };
    match (found, refused) {
        (true, _) => Ok(()),
        (false, Some(cause)) => Err(SpawnError::NotExecutable {
            program: shown(),
            cause,
        }),
        (false, None) => Err(SpawnError::NotFound { program: shown() }),
    }
}

fn check(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    Ok(nix::unistd::access(path, nix::unistd::AccessFlags::X_OK)?)
}

/// Starts the job. To be called on the main thread: the signal that the kernel sends the job when its
/// parent dies follows the thread that forked.
///
/// A script without `#!` is run by `/bin/sh`, as `env` and `nohup` do.
///
/// # Errors
/// As [`SpawnError`] tells; nothing runs then.
pub fn spawn(command: &Command<'_>, inherited: &Inherited) -> Result<Job, SpawnError> {
    start(command, inherited, None)
}

/// As [`spawn`], and the job lives in this cgroup. If it could not enter it runs outside, and
/// [`Job::outside`] says why.
///
/// # Errors
/// As [`SpawnError`] tells; nothing runs then.
pub fn spawn_in(
    cell: Cell,
    command: &Command<'_>,
    inherited: &Inherited,
) -> Result<Job, SpawnError> {
    start(command, inherited, Some(cell))
}

fn start(
    command: &Command<'_>,
    inherited: &Inherited,
    cell: Option<Cell>,
) -> Result<Job, SpawnError> {
    fault::at(Point::BeforeStart);
    let program = command.argv.first().cloned().unwrap_or_default();
    let shown = program.to_string_lossy().into_owned();
    let failed = |cause| SpawnError::Failed {
        program: shown.clone(),
        cause,
    };
    // Only now: a daemon that a helper left behind earlier is not to become ours.
    prctl::set_child_subreaper(true).map_err(|errno| failed(errno.into()))?;
    fault::at(Point::Adopting);

    let mut starting = std::process::Command::new(&program);
    starting.args(command.argv.iter().skip(1));
    for name in command.env_remove {
        starting.env_remove(name);
    }
    starting.envs(command.env.iter().map(|(name, value)| (name, value)));
    if inherited.stdin == Stdin::Background {
        starting.stdin(Stdio::null());
    }
    let own = |end: BorrowedFd<'_>| end.try_clone_to_owned().map(Stdio::from);
    if let Some(end) = command.stdout {
        starting.stdout(own(end).map_err(failed)?);
    }
    if let Some(end) = command.stderr {
        starting.stderr(own(end).map_err(failed)?);
    }
    let inherited = *inherited;
    let own_session = command.terminal == Terminal::Lent;
    let on_main_thread = nix::unistd::gettid() == nix::unistd::getpid();
    // Both ends close at exec: whatever is in it then is the reason why the job is outside.
    let complaints = match cell {
        Some(_) => Some(io::pipe().map_err(failed)?),
        None => None,
    };
    let way_in = (cell.as_ref().zip(complaints.as_ref()))
        .map(|(cell, (_, write))| (cell.door().as_raw_fd(), write.as_raw_fd()));
    // SAFETY: between fork and exec only system calls are made, on values that live on the stack, and
    // on descriptors that are open until `spawn` has returned; nothing allocates, locks or unwinds.
    unsafe {
        starting.pre_exec(move || {
            if let Some((door, complain_to)) = way_in {
                enter(door, complain_to);
            }
            if own_session {
                nix::unistd::setsid()?;
            }
            if on_main_thread {
                prctl::set_pdeathsig(Signal::SIGCONT)?;
            }
            inherited.restore()
        });
    }
    let child = starting
        .spawn()
        .map_err(|cause| explain(&program, shown.clone(), cause))?;
    fault::at(Point::Started);
    let pid = child.id().cast_signed();
    // It cannot be gone: even if it has ended, nobody but us can wait for it.
    let leader = ProcId::of(pid).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    tree::job_started(leader);
    let mut job = Job::new(leader, command);
    if let (Some(cell), Some((mut complaint, complain))) = (cell, complaints) {
        drop(complain);
        let mut errno = [0; 4];
        // A child that another thread is starting may hold the other end: that is not waited for.
        let has_complained =
            process::is_readable(&complaint) && complaint.read_exact(&mut errno).is_ok();
        if has_complained {
            job.outside = Some(Unavailable::NotEntered {
                path: cell.path().to_owned(),
                cause: io::Error::from_raw_os_error(i32::from_ne_bytes(errno)).to_string(),
            });
        } else {
            fault::at(Point::CellEntered);
            job.tree.cell = Some(cell.path().to_owned());
            job.cell = Some(cell);
        }
    }
    Ok(job)
}

/// Enters a cgroup through its open `cgroup.procs`, where `0` is whoever writes. A job outside is better
/// than none. Runs between fork and exec: system calls only.
fn enter(door: RawFd, complain_to: RawFd) {
    // SAFETY: both descriptors were open at the fork, and the buffers live through the calls.
    unsafe {
        if libc::write(door, b"0".as_ptr().cast(), 1) != 1 {
            let errno = Errno::last_raw().to_ne_bytes();
            libc::write(complain_to, errno.as_ptr().cast(), errno.len());
        }
    }
}

/// Makes a helper of ours ready to be started: signals as catrain was started with, and a process
/// group of its own, so that it can be ended whole and keys of the terminal do not reach it. It stays
/// in our session, by which it is told from the job; and its environment tells it from who is beside
/// the job.
pub fn as_helper(command: &mut std::process::Command, inherited: &Inherited) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    command.env(beside::HELPER.0, beside::HELPER.1);
    let inherited = *inherited;
    // SAFETY: between fork and exec only system calls are made, on values that live on the stack.
    unsafe {
        command.pre_exec(move || inherited.restore());
    }
}

/// Becomes the command, with the signals that catrain was started with.
///
/// # Errors
/// As [`SpawnError`] tells: nothing has become anything then.
pub fn become_command(
    argv: &[OsString],
    env_remove: &[OsString],
    inherited: &Inherited,
) -> SpawnError {
    let program = argv.first().cloned().unwrap_or_default();
    let shown = program.to_string_lossy().into_owned();
    let mut command = std::process::Command::new(&program);
    command.args(argv.iter().skip(1));
    for name in env_remove {
        command.env_remove(name);
    }
    let inherited = *inherited;
    // SAFETY: this runs right before exec in this very process, and makes only system calls.
    unsafe {
        command.pre_exec(move || inherited.restore());
    }
    let cause = command.exec();
    explain(&program, shown, cause)
}

fn explain(program: &OsString, shown: String, cause: io::Error) -> SpawnError {
    match cause.raw_os_error() {
        // With a slash in its name it was not searched for: it is there, and something else is not.
        Some(libc::ENOENT) if shown.contains('/') && Path::new(program).exists() => {
            SpawnError::NoInterpreter { program: shown }
        }
        Some(libc::ENOENT) => SpawnError::NotFound { program: shown },
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => SpawnError::Failed {
            program: shown,
            cause,
        },
        _ => SpawnError::NotExecutable {
            program: shown,
            cause,
        },
    }
}
