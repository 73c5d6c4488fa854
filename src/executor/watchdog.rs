//! The supervisor's end of the watchdog: a process that wakes the job if the supervisor cannot.
//!
//! Before anyone is stopped, the watchdog has the list. It continues that list when the supervisor's
//! end of the pipe closes without a farewell, however the supervisor died, or when the lease runs
//! out that only the deciding thread renews, which covers a supervisor that hangs or was itself
//! stopped. What the watchdog does is in [`guard_main`].
//!
//! Both pipes are ours alone, so being non-blocking on our ends harms nobody.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::time::TimeSpec;

pub use super::guard::{NAME, guard_main};
use super::guard::{Record, Tag};
use super::process::ProcId;
use super::tree;
use crate::fault::{self, Point};

/// The longest lease.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60);

/// The lease that is taken and renewed while a job is supervised: the longest, or in tests the one
/// that they ask for, so that they need not wait a minute.
pub fn usual_lease() -> Lease {
    #[cfg(feature = "fault-points")]
    if let Some(asked) = std::env::var("CATRAIN_TEST_LEASE_MS")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return Lease::For(Duration::from_millis(asked));
    }
    Lease::For(LONGEST_LEASE)
}

/// How long the watchdog waits for the supervisor's next sign of life while the job is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// So long from now; [`LONGEST_LEASE`] at most. To be renewed well before.
    For(Duration),
    /// As long as the supervisor exists: it is about to be stopped itself, by Ctrl-Z.
    UntilDeath,
}

/// What the watchdog tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardEvent {
    /// It lives and has read all that was written before.
    Answered,
    /// The lease ran out and it continued the job. The supervisor's idea of a pause is wrong: resume.
    Released,
    /// It got this signal. If we got it as well, it was sent to everyone, the job included.
    SawSignal(i32),
}

/// The watchdog is dead, or does not follow the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watchdog is gone")]
pub struct Lost;

/// A running watchdog. Dropped without [`Guard::farewell`] it continues the job if it is paused,
/// and ends.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    /// Ours to write; `None` after the end.
    orders: Option<io::PipeWriter>,
    events: io::PipeReader,
    /// Bytes that the pipe did not take yet.
    unsent: VecDeque<u8>,
    /// Bytes of a record that has not arrived whole.
    partial: Vec<u8>,
    backlog: Vec<GuardEvent>,
    asked: u64,
    answered: u64,
    /// The question after the last clearing of the list.
    cleared: u64,
    has_released: bool,
    is_lost: bool,
    /// Whom it looks after.
    leader: Option<ProcId>,
    /// The job's cgroup, as it was told.
    cell: Option<PathBuf>,
}

impl Guard {
    /// Starts a watchdog from this very program and asks for its first answer.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start() -> io::Result<Self> {
        Self::start_with(Path::new("/proc/self/exe"))
    }

    /// Starts a watchdog from another file of this program: one whose `main` calls [`guard_main`]
    /// when its first argument is [`NAME`].
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start_with(program: &Path) -> io::Result<Self> {
        let (their_orders, orders) = io::pipe()?;
        let (events, their_events) = io::pipe()?;
        nonblocking(&orders)?;
        nonblocking(&events)?;
        let mut command = Command::new(program);
        command
            .arg0(NAME)
            .arg(std::process::id().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(their_orders))
            .stdout(Stdio::from(their_events))
            .stderr(Stdio::null());
        #[cfg(feature = "fault-points")]
        if let Some(value) = std::env::var_os(super::process::NO_PIDFD) {
            command.env(super::process::NO_PIDFD, value);
        }
        let on_main_thread = nix::unistd::gettid() == nix::unistd::getpid();
        // SAFETY: between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                // A supervisor that is killed while a thread of it waits for a dead disk keeps its end
                // of the pipe open until the disk answers. This tells of its main thread's end.
                if on_main_thread {
                    prctl::set_pdeathsig(super::guard::DEATH)?;
                }
                // Before exec, so that there is no moment at which a signal to everyone kills it.
                sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
                Ok(())
            });
        }
        let child = command.spawn()?;
        tree::exclude(child.id().cast_signed());
        // Its ends must live in the watchdog alone, or its death would not be seen.
        drop(command);
        let mut guard = Self {
            child,
            orders: Some(orders),
            events,
            unsent: VecDeque::new(),
            partial: Vec::new(),
            backlog: Vec::new(),
            asked: 0,
            answered: 0,
            cleared: 0,
            has_released: false,
            is_lost: false,
            leader: None,
            cell: None,
        };
        guard.ask();
        fault::at(Point::GuardStarted);
        Ok(guard)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether it has answered the last question, so that a pause may begin.
    pub fn is_ready(&mut self) -> bool {
        self.pump();
        !self.is_lost && self.answered == self.asked
    }

    /// Tells whose session to look through after the supervisor's death. Another leader is another
    /// job: what was said of the one before is forgotten, and whoever of it is still held released.
    ///
    /// # Errors
    /// When the watchdog is gone.
    pub fn watch(&mut self, leader: ProcId) -> Result<(), Lost> {
        let before = self.leader.replace(leader);
        self.send(&[Record::of(Tag::Leader, leader)])?;
        fault::at(Point::GuardTold);
        if before.is_some_and(|before| before != leader) {
            self.clear()?;
        }
        Ok(())
    }

    /// Tells of the job's cgroup: it is thawed when the job is released, and after our death removed
    /// if it is empty.
    ///
    /// # Errors
    /// When the watchdog is gone.
    pub(crate) fn enclose(&mut self, cell: &Path) -> Result<(), Lost> {
        if self.cell.as_deref() != Some(cell) {
            self.send(&Record::of_path(cell))?;
            self.cell = Some(cell.to_owned());
        }
        Ok(())
    }

    /// There is no cgroup, or none any more.
    pub(crate) fn disclose(&mut self) -> Result<(), Lost> {
        if self.cell.take().is_some() {
            self.send(&Record::of_path(Path::new("")))?;
        }
        Ok(())
    }

    /// The cgroup is about to be frozen.
    pub(crate) fn freeze(&mut self) -> Result<(), Lost> {
        self.send(&[Record::new(Tag::Freeze, 0, 0)])
    }

    /// Sets the lease anew.
    ///
    /// # Errors
    /// When the watchdog is gone.
    pub fn lease(&mut self, lease: Lease) -> Result<(), Lost> {
        let milliseconds = match lease {
            Lease::UntilDeath => u64::MAX,
            Lease::For(time) => {
                u64::try_from(time.min(LONGEST_LEASE).as_millis()).unwrap_or(u64::MAX)
            }
        };
        self.send(&[Record::new(Tag::Lease, 0, milliseconds)])?;
        fault::at(Point::LeaseWritten);
        Ok(())
    }

    /// A descriptor that is readable when [`Guard::read`] has something new, for an event loop.
    /// Pausing reads answers too: call [`Guard::read`] after each step of a pause as well.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn events_fd(&self) -> io::Result<OwnedFd> {
        self.events.as_fd().try_clone_to_owned()
    }

    /// What it has told since the last call.
    ///
    /// # Errors
    /// When it is gone: resume the job, start another, and do not pause before that one has answered.
    pub fn read(&mut self) -> Result<Vec<GuardEvent>, Lost> {
        self.pump();
        if self.is_lost && self.backlog.is_empty() {
            return Err(Lost);
        }
        Ok(std::mem::take(&mut self.backlog))
    }

    /// The job has ended or needs no watching: the watchdog leaves without touching anything, by
    /// itself and in its own time, since whoever waits for the job should not wait for it.
    pub fn farewell(mut self) {
        let _ = self.send(&[Record::new(Tag::Farewell, 0, 0)]);
        fault::at(Point::Farewell);
    }

    /// Puts these on the list of those to be continued.
    pub(crate) fn hold(&mut self, processes: &[ProcId]) -> Result<(), Lost> {
        let records: Vec<_> = processes
            .iter()
            .map(|&id| Record::of(Tag::Hold, id))
            .collect();
        self.send(&records)
    }

    /// These were stopped before by someone else and are to be left alone.
    pub(crate) fn exempt(&mut self, processes: &[ProcId]) -> Result<(), Lost> {
        let records: Vec<_> = processes
            .iter()
            .map(|&id| Record::of(Tag::Exempt, id))
            .collect();
        self.send(&records)
    }

    /// Everybody was continued.
    pub(crate) fn clear(&mut self) -> Result<(), Lost> {
        self.has_released = false;
        self.send(&[Record::new(Tag::Clear, 0, 0)])?;
        // What it released before it read this is over.
        self.cleared = self.ask();
        Ok(())
    }

    /// Asks for an answer; gives the number to look for in [`Guard::has_answered`].
    pub(crate) fn ask(&mut self) -> u64 {
        self.asked += 1;
        let _ = self.send(&[Record::new(Tag::Ask, 0, self.asked)]);
        self.asked
    }

    pub(crate) fn has_answered(&self, question: u64) -> bool {
        self.answered >= question
    }

    /// Whether it has continued the list since the list was last cleared.
    pub(crate) fn has_released(&self) -> bool {
        self.has_released
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether the pipe has taken all that was said: then even our death does not undo it.
    pub(crate) fn is_told(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Waits until it says something, at most `time`.
    pub(crate) fn wait(&self, time: Duration) {
        let mut events = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        let _ = ppoll(&mut events, Some(TimeSpec::from(time)), None);
    }

    /// Reads and writes what can be without waiting.
    pub(crate) fn pump(&mut self) {
        let _ = self.flush();
        let mut buffer = [0; 1024];
        loop {
            match self.events.read(&mut buffer) {
                Ok(0) => {
                    self.is_lost = true;
                    break;
                }
                Ok(length) => self.partial.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        for record in Record::take(&mut self.partial) {
            match record.tag() {
                Some(Tag::Ask) => {
                    self.answered = record.value;
                    self.backlog.push(GuardEvent::Answered);
                }
                Some(Tag::Released) => {
                    self.has_released = self.answered >= self.cleared;
                    self.backlog.push(GuardEvent::Released);
                }
                Some(Tag::Signal) => self.backlog.push(GuardEvent::SawSignal(record.pid)),
                _ => self.is_lost = true,
            }
        }
    }

    fn send(&mut self, records: &[Record]) -> Result<(), Lost> {
        for record in records {
            self.unsent.extend(record.bytes());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Lost> {
        while !self.unsent.is_empty() && !self.is_lost {
            let Some(pipe) = &mut self.orders else {
                return Err(Lost);
            };
            match pipe.write(self.unsent.as_slices().0) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    _ => self.is_lost = true,
                },
            }
        }
        if self.is_lost { Err(Lost) } else { Ok(()) }
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn nonblocking(pipe: &impl AsFd) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}
