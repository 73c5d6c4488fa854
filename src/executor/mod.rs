//! The job: started, found whole, paused, resumed, ended, and never left stopped.
//!
//! | file | one idea |
//! |---|---|
//! | [`spawn`] | the job starts as its user would have started it, in a session of its own |
//! | `process` | one process that cannot be mistaken for another |
//! | `tree` | all processes of the job, wherever they have gone |
//! | `pause` | everyone stopped and seen stopped, or nobody |
//! | [`freezer`] | all of it stands still at once, where the kernel lets us |
//! | `ranks`, `connections` | what in it waits for each other, or for other hosts |
//! | `attach` | a job that somebody else has started |
//! | `beside` | what a cluster has started of the same job |
//! | [`watchdog`], `guard` | who wakes the job when we cannot: our end, and its process |
//! | [`relay`] | the job's output on its way through us, copied by a process that outlives us |
//! | [`readiness`] | waiting for any of this without blocking |
//! | [`signals`] | what reaches us, and how we stop and die ourselves |
//! | [`facts`] | what of this works here, for `doctor` |
//!
//! Three lines of defence stand between a paused job and a dead supervisor. The watchdog continues
//! its list. The leader has SIGCONT as parent-death signal. And a supervisor that unwinds continues
//! the job when its [`Job`] is dropped. A frozen job has no second line, since no signal thaws it;
//! there the supervisor, which sees at once when its watchdog dies, is the watchdog's.
//!
//! Everything here is called from the one thread that decides, so nothing blocks: what takes longer
//! is done in steps.

mod attach;
mod beside;
mod connections;
mod detach;
pub mod facts;
pub mod freezer;
mod guard;
mod pause;
mod process;
mod ranks;
pub mod readiness;
pub mod relay;
pub mod signals;
pub mod spawn;
mod tree;
pub mod watchdog;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::libc;

pub use attach::AttachError;
pub use beside::{HELPER, look_beside};
pub use detach::in_own_session;
pub use pause::{PauseStep, Pausing, Reason, Refusal};
pub use process::{ProcId, Process};
pub use ranks::names_a_launcher;
pub use relay::{Relay, relay_main};
pub use signals::{die_of, end_with};
pub use spawn::Inherited;
pub use tree::is_of_job;
pub use watchdog::{Guard, GuardEvent, Lease, Lost, guard_main};

pub use crate::ledger::entry::Exit;

use crate::fault::{self, Point};
use attach::Attached;
use freezer::{Cell, Unavailable};
use process::Sent;
use spawn::{Command, Terminal};
use tree::Tree;

/// Whether this process was started to be a guard.
pub fn is_guard() -> bool {
    is_called(watchdog::NAME)
}

/// Whether this process was started to be a relay.
pub fn is_relay() -> bool {
    is_called(relay::NAME)
}

fn is_called(name: &str) -> bool {
    std::env::args_os().next().is_some_and(|own| own == name)
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The process that was started.
    Leader,
    /// Its process group, as a terminal would. Of a job that has the terminal: the leader, since the
    /// group is ours as well.
    Group,
    /// Every process of the job.
    Everyone,
    /// The main process of each rank, which a launcher does not pass signals on to. If there are none:
    /// what the leader has started where that is a launcher, else the leader.
    Ranks,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// So.
    As(Exit),
    /// Nobody told us: it was not our child.
    Unknown,
}

/// A started job. Dropped while we hold it stopped, it is continued.
#[derive(Debug)]
pub struct Job {
    leader: ProcId,
    pidfd: Option<OwnedFd>,
    has_own_session: bool,
    /// Whether its command line names a program that starts several ranks.
    is_launcher: bool,
    tree: Tree,
    /// Who was beside it when that was last looked at.
    beside: Vec<i32>,
    /// Stopped by us.
    held: BTreeSet<ProcId>,
    /// Stopped before by someone else.
    exempt: BTreeSet<ProcId>,
    ended: Option<Ended>,
    used: CpuTime,
    /// For one that we have not started.
    attached: Option<Attached>,
    /// Its own cgroup, which can be frozen.
    cell: Option<Cell>,
    /// How many of it are frozen by us.
    frozen: u32,
    /// Why it has no cgroup although one was made for it.
    outside: Option<Unavailable>,
}

/// Processor time that only grows.
#[derive(Debug, Default)]
struct CpuTime {
    /// Of the leader and the adopted ones, after they were waited for.
    reaped: Duration,
    /// Of those whose parents did not wait for them.
    lost: Duration,
    highest: Duration,
}

impl Job {
    fn new(leader: ProcId, command: &Command<'_>) -> Self {
        let mut job = Self::of(leader);
        job.pidfd = process::pidfd(leader.pid);
        job.has_own_session = command.terminal == Terminal::Lent;
        job.is_launcher = names_a_launcher(command.argv);
        job
    }

    fn of(leader: ProcId) -> Self {
        Self {
            leader,
            pidfd: None,
            has_own_session: false,
            is_launcher: false,
            tree: Tree::of(leader),
            beside: Vec::new(),
            held: BTreeSet::new(),
            exempt: BTreeSet::new(),
            ended: None,
            used: CpuTime::default(),
            attached: None,
            cell: None,
            frozen: 0,
            outside: None,
        }
    }

    /// Whether it is paused by the freezer: it has a cgroup of its own.
    pub fn has_freezer(&self) -> bool {
        self.cell.is_some()
    }

    /// Why it has no cgroup of its own although one was made for it.
    pub fn outside(&self) -> Option<&Unavailable> {
        self.outside.as_ref()
    }

    /// Tells a guard whom to look after, its cgroup included. A pause does so as well.
    ///
    /// # Errors
    /// When the guard is gone.
    pub fn introduce(&self, guard: &mut Guard) -> Result<(), Lost> {
        guard.watch(self.leader)?;
        match &self.cell {
            Some(cell) => guard.enclose(cell.path()),
            None => guard.disclose(),
        }
    }

    /// The process that was started. Its pid is also the job's session and process group, unless the
    /// job has the terminal.
    pub fn leader(&self) -> ProcId {
        self.leader
    }

    /// Readable when the leader has ended; `None` where the kernel has no such handles, then SIGCHLD
    /// must do.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// How a job that we have started ended, once it has: as [`Job::try_end`], which an attached one
    /// needs.
    pub fn try_wait(&mut self) -> Option<Exit> {
        match self.try_end()? {
            Ended::As(exit) => Some(exit),
            Ended::Unknown => None,
        }
    }

    /// How the job ended, once it has. Waits for the leader and nobody else. Workers that it leaves
    /// behind stopped by us are continued; see [`Job::leftovers`].
    pub fn try_end(&mut self) -> Option<Ended> {
        if self.ended.is_none() {
            if self
                .pidfd()
                .is_some_and(|handle| !process::is_readable(handle))
            {
                return None;
            }
            let ended = if self.attached.is_none() {
                let (status, used) = wait_for(self.leader.pid)?;
                self.used.reaped += used;
                Ended::As(if libc::WIFSIGNALED(status) {
                    Exit::Signal(libc::WTERMSIG(status))
                } else {
                    Exit::Code(libc::WEXITSTATUS(status))
                })
            } else {
                // Where there is no pidfd, a zombie that its parent does not wait for has ended as well.
                let now = Process::read(self.leader.pid);
                if now.is_some_and(|now| now.id == self.leader && !now.has_ended()) {
                    return None;
                }
                Ended::Unknown
            };
            self.ended = Some(ended);
            self.continue_held();
        }
        self.ended
    }

    /// Processes of the job that are alive although its leader has ended, adopted ones included. None
    /// while the leader lives. To be ended before another job is started: what they fork later could be
    /// taken for the new one's.
    pub fn leftovers(&mut self) -> Vec<Process> {
        if self.ended.is_none() {
            return Vec::new();
        }
        self.processes()
    }

    /// Sends all [leftovers](Self::leftovers) a signal; gives how many got it.
    pub fn end_leftovers(&mut self, signal: i32) -> u32 {
        count_sent(self.leftovers().iter().map(|process| process.id), signal)
    }

    /// Whether any process of the job has a TCP connection to another host. Bounded work: of a very
    /// large job, or where it cannot be seen, the answer is yes.
    pub fn remote_connections(&mut self) -> bool {
        connections::are_remote(&self.alive())
    }

    /// Whether the leader was stopped since the last call, by whomever.
    pub fn was_stopped(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        // SAFETY: all zeroes is a valid siginfo, and it lives through the call. Without WEXITED
        // nobody is waited for.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WSTOPPED | libc::WNOHANG;
            let pid = self.leader.pid.cast_unsigned();
            libc::waitid(libc::P_PID, pid, &raw mut info, flags) == 0 && info.si_pid() != 0
        }
    }

    /// Waits for adopted processes that have ended, one by one and never for "any child": that would
    /// take away the exit of the job or of a helper. To be called on SIGCHLD.
    pub fn reap_adopted(&mut self) {
        for (pid, is_of_job) in self.tree.ended_orphans() {
            if let Some((_, used)) = wait_for(pid)
                && is_of_job
            {
                self.used.reaped += used;
            }
            tree::forget(pid);
        }
    }

    /// Sends a signal; gives how many processes were sent it, a group counted as one. One that stops,
    /// continues or ends is sent as any other: what follows from it is the caller's affair.
    pub fn relay(&mut self, signal: i32, to: To) -> u32 {
        if to == To::Group && self.has_own_session && self.ended.is_none() {
            // SAFETY: takes plain integers. The leader has not been waited for, so the number is
            // its group's.
            let sent = unsafe { libc::kill(-self.leader.pid, signal) };
            return u32::from(sent == 0);
        }
        count_sent(self.recipients(to).into_iter(), signal)
    }

    /// Whom of them a signal would end, since they neither handle, block nor ignore it.
    pub fn unprepared_for(&mut self, signal: i32, to: To) -> Vec<Process> {
        let recipients = self.recipients(to).into_iter();
        recipients
            .filter(|id| process::would_end(id.pid, signal))
            .filter_map(|id| Process::read(id.pid).filter(|process| process.id == id))
            .filter(|process| !process.has_ended())
            .collect()
    }

    fn recipients(&mut self, to: To) -> Vec<ProcId> {
        let ids = |all: Vec<Process>| all.into_iter().map(|process| process.id).collect();
        if to == To::Everyone {
            return ids(self.processes());
        }
        if self.ended.is_some() {
            return Vec::new();
        }
        let leader = self.leader.pid;
        if to == To::Ranks {
            let ranks = self.main_of_ranks();
            if !ranks.is_empty() {
                return ranks;
            }
            if self.is_launcher {
                // It dies of what it does not pass on. What it starts for a single rank may have no
                // variables; and it may not have started anything yet.
                let mut started = self.processes();
                started.retain(|process| process.parent == leader);
                return ids(started);
            }
        }
        if to == To::Group && self.has_own_session {
            let group = |pid| nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)));
            let mut members = self.processes();
            members.retain(|process| group(process.id.pid).is_ok_and(|it| it.as_raw() == leader));
            return ids(members);
        }
        vec![self.leader]
    }

    fn main_of_ranks(&mut self) -> Vec<ProcId> {
        let inherited = ranks::of_ourselves();
        let all = self.alive();
        let tree: Vec<_> = all
            .iter()
            .map(|process| {
                let environment = ranks::environment_of(process);
                (
                    process,
                    environment.and_then(|all| ranks::rank_in(&all, &inherited)),
                )
            })
            .collect();
        ranks::main_ones(&tree)
    }

    /// Kills every process of the job, also those that are started meanwhile.
    pub fn kill(&mut self) {
        // A program that forks faster than this is left to the next call.
        for _ in 0..8 {
            let alive = self.tree.scan();
            let alive: Vec<_> = alive
                .iter()
                .filter(|process| !process.has_ended())
                .collect();
            if alive.is_empty() {
                break;
            }
            for process in alive {
                process.id.signal(libc::SIGKILL);
            }
        }
        // What is frozen dies all the same; who enters now is not to be caught.
        self.thaw();
        self.held.clear();
        self.exempt.clear();
    }

    /// Whether anyone is stopped or frozen by us, or about to be.
    pub fn is_held(&self) -> bool {
        !self.held.is_empty() || self.is_frozen_by_us()
    }

    fn is_frozen_by_us(&self) -> bool {
        self.cell.as_ref().is_some_and(Cell::is_held)
    }

    /// Continues everyone that we stopped and nobody else, children before their parents, so that no
    /// parent sees its children stopped. Gives how many. Works without a watchdog, too, and may be
    /// called at any time: when the watchdog is lost or has released the job, it sets things right.
    pub fn resume(&mut self, guard: &mut Guard) -> u32 {
        fault::at(Point::ResumeBegins);
        let continued = self.continue_held();
        fault::at(Point::AllContinued);
        // One that could not be thawed stays with the watchdog, which tries again.
        if !self.is_frozen_by_us() {
            // A watchdog that is gone has no list.
            let _ = guard.clear();
        }
        fault::at(Point::ListCleared);
        continued
    }

    /// Gives how many go on.
    fn thaw(&mut self) -> u32 {
        let Some(cell) = self.cell.as_mut().filter(|cell| cell.is_held()) else {
            return 0;
        };
        if cell.thaw().is_err() {
            return 0;
        }
        fault::at(Point::Thawed);
        std::mem::take(&mut self.frozen)
    }

    fn continue_held(&mut self) -> u32 {
        let half = self.held.len() / 2;
        let mut continued = self.thaw();
        // Later processes are mostly the children.
        for (index, id) in self.held.iter().rev().enumerate() {
            continued += u32::from(id.signal(libc::SIGCONT) == Sent::Done);
            if index == 0 {
                fault::at(Point::FirstContinued);
            }
            if index == half {
                fault::at(Point::HalfContinued);
            }
        }
        self.held.clear();
        self.exempt.clear();
        continued
    }

    /// Everyone who is alive, parents before their children.
    pub fn processes(&mut self) -> Vec<Process> {
        let mut all = self.tree.scan();
        all.retain(|process| !process.has_ended());
        all
    }

    /// Everyone, and who is beside them: who is to stand still, and whose energy this is.
    fn scan(&mut self) -> Vec<Process> {
        let mut all = self.tree.scan();
        all.extend(beside::scan(&all));
        all
    }

    fn alive(&mut self) -> Vec<Process> {
        let mut all = self.scan();
        all.retain(|process| !process.has_ended());
        all
    }

    /// Processor time that the job has used, ended processes included. Never goes back.
    pub fn cpu_time(&mut self) -> Duration {
        let mut now = self.used.reaped + self.measure();
        if now + self.used.lost < self.used.highest {
            // A process that ended between two readings is in neither its own nor its parent's time.
            now = self.used.reaped + self.measure();
        }
        // What is still missing went with processes that nobody waited for.
        let missing = self.used.highest.saturating_sub(now + self.used.lost);
        self.used.lost += missing;
        self.used.highest = now + self.used.lost;
        self.used.highest
    }

    /// Its [processor time](Self::cpu_time), and the bytes of memory that are resident now.
    pub fn usage(&mut self) -> (Duration, u64) {
        let processor = self.cpu_time();
        let known = self.tree.known().chain(self.beside.iter().copied());
        (processor, process::resident(known))
    }

    fn measure(&mut self) -> Duration {
        let ticks = |process: &Process| process.own_ticks + process.waited_ticks;
        let own = self.tree.scan();
        let beside = beside::scan(&own);
        self.beside = beside.iter().map(|process| process.id.pid).collect();
        process::from_ticks(own.iter().chain(&beside).map(ticks).sum())
    }

    /// Whether it is one of several ranks that wait for each other: started by a launcher, two
    /// processes with different ranks, or one that is told that there are others. Reads the
    /// environment of each process, so not for every second.
    pub fn ranks(&mut self) -> bool {
        if self.is_launcher {
            return true;
        }
        let inherited = ranks::of_ourselves();
        let mut found = Vec::new();
        for process in self.scan() {
            // Where that cannot be read, the others must tell.
            let Some(environment) = ranks::environment_of(&process) else {
                continue;
            };
            if ranks::says_several(&environment) {
                return true;
            }
            found.extend(ranks::rank_in(&environment, &inherited));
        }
        ranks::are_several(found.into_iter())
    }
}

/// Sends each of these a signal; gives how many took it.
fn count_sent(processes: impl Iterator<Item = ProcId>, signal: i32) -> u32 {
    processes
        .map(|id| u32::from(id.signal(signal) == Sent::Done))
        .sum()
}

impl Drop for Job {
    fn drop(&mut self) {
        self.continue_held();
    }
}

/// Status and processor time of a child of ours that has ended.
fn wait_for(pid: i32) -> Option<(i32, Duration)> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live through the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    (waited == pid).then(|| (status, time(usage.ru_utime) + time(usage.ru_stime)))
}
