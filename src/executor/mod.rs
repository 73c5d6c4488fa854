//! The job: started, found whole, paused, resumed, ended, and never left stopped.
//!
//! | file | one idea |
//! |---|---|
//! | [`spawn`] | the job starts as its user would have started it, in a session of its own |
//! | `process` | one process that cannot be mistaken for another |
//! | `tree` | all processes of the job, wherever they have gone |
//! | `pause` | everyone stopped and seen stopped, or nobody |
//! | [`freezer`] | all of it stands still at once, where the kernel lets us |
//! | [`watchdog`], `guard` | who wakes the job when we cannot: our end, and its process |
//! | [`relay`] | the job's output on its way through us, copied by a process that outlives us |
//! | [`readiness`] | waiting for any of this without blocking |
//! | [`signals`] | what reaches us, and how we stop and die ourselves |
//!
//! Three lines of defence stand between a paused job and a dead supervisor. The watchdog continues
//! its list. The leader has SIGCONT as parent-death signal. And a supervisor that unwinds continues
//! the job when its [`Job`] is dropped. A frozen job has no second line, since no signal thaws it;
//! there the supervisor, which sees at once when its watchdog dies, is the watchdog's.
//!
//! Everything here is called from the one thread that decides, so nothing blocks: what takes longer
//! is done in steps.

pub mod freezer;
mod guard;
mod pause;
mod process;
pub mod readiness;
pub mod relay;
pub mod signals;
pub mod spawn;
mod tree;
pub mod watchdog;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::libc;

pub use pause::{PauseStep, Pausing, Reason, Refusal};
pub use process::{ProcId, Process};
pub use relay::{Relay, relay_main};
pub use signals::{die_of, end_with};
pub use spawn::Inherited;
pub use tree::is_of_job;
pub use watchdog::{Guard, GuardEvent, Lease, Lost, guard_main};

pub use crate::ledger::entry::Exit;

use crate::fault::{self, Point};
use freezer::{Cell, Unavailable};
use process::Sent;
use spawn::{Command, Terminal};
use tree::Tree;

/// Whether this process was started to be a guard.
pub fn is_guard() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name == watchdog::NAME)
}

/// Whether this process was started to be a relay.
pub fn is_relay() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name == relay::NAME)
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
    /// Stopped by us.
    held: BTreeSet<ProcId>,
    /// Stopped before by someone else.
    exempt: BTreeSet<ProcId>,
    exit: Option<Exit>,
    used: CpuTime,
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
        Self {
            leader,
            pidfd: process::pidfd(leader.pid),
            has_own_session: command.terminal == Terminal::Lent,
            is_launcher: names_a_launcher(command.argv),
            tree: Tree::of(leader),
            held: BTreeSet::new(),
            exempt: BTreeSet::new(),
            exit: None,
            used: CpuTime::default(),
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

    /// How the job ended, once it has. Waits for the leader and nobody else. Workers that it leaves
    /// behind stopped by us are continued.
    pub fn try_wait(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            if self
                .pidfd()
                .is_some_and(|handle| !process::is_readable(handle))
            {
                return None;
            }
            let (status, used) = wait_for(self.leader.pid)?;
            self.used.reaped += used;
            self.exit = Some(if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Code(libc::WEXITSTATUS(status))
            });
            self.continue_held();
        }
        self.exit
    }

    /// Whether the leader was stopped since the last call, by whomever.
    pub fn was_stopped(&mut self) -> bool {
        if self.exit.is_some() {
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
        for pid in self.tree.ended_orphans() {
            if let Some((_, used)) = wait_for(pid) {
                self.used.reaped += used;
            }
            tree::forget(pid);
        }
    }

    /// Sends a signal. One that stops, continues or ends is sent as any other: what follows from it
    /// is the caller's affair.
    pub fn relay(&mut self, signal: i32, to: To) {
        if to == To::Everyone {
            for process in self.tree.scan() {
                process.id.signal(signal);
            }
        } else if to == To::Group && self.has_own_session && self.exit.is_none() {
            // SAFETY: takes plain integers. The leader has not been waited for, so the number is
            // its group's.
            unsafe { libc::kill(-self.leader.pid, signal) };
        } else if self.exit.is_none() {
            self.leader.signal(signal);
        }
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
        (processor, process::resident(self.tree.known()))
    }

    fn measure(&mut self) -> Duration {
        let ticks = |process: &Process| process.own_ticks + process.waited_ticks;
        process::from_ticks(self.tree.scan().iter().map(ticks).sum())
    }

    /// Whether it is one of several ranks that wait for each other: started by a launcher, two
    /// processes with different ranks, or one that is told that there are others. Reads the
    /// environment of each process, so not for every second.
    pub fn ranks(&mut self) -> bool {
        if self.is_launcher {
            return true;
        }
        let mut ranks = BTreeSet::new();
        for process in self.tree.scan() {
            // Of another user: not ours to read, then the others must tell.
            let Ok(environment) = std::fs::read(format!("/proc/{}/environ", process.id.pid)) else {
                continue;
            };
            if says_several(&environment) {
                return true;
            }
            ranks.extend(rank_in(&environment));
        }
        ranks.len() > 1
    }
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

/// Programs that start several ranks, as they stand in a command line.
const LAUNCHERS: [&str; 10] = [
    "torchrun",
    "accelerate",
    "deepspeed",
    "mpirun",
    "mpiexec",
    "orterun",
    "horovodrun",
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
];

/// Whether a command line names a program that starts several ranks.
pub fn names_a_launcher(argv: &[OsString]) -> bool {
    argv.iter().any(|argument| {
        let name = Path::new(argument).file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| LAUNCHERS.contains(&name))
    })
}

/// Rank variables: two processes that agree in all of them are the same rank, such as a rank and
/// its data loaders, which inherit them.
const RANKS: [&[u8]; 3] = [b"RANK", b"LOCAL_RANK", b"OMPI_COMM_WORLD_RANK"];
const SIZES: [&[u8]; 2] = [b"WORLD_SIZE", b"OMPI_COMM_WORLD_SIZE"];

fn variables(environment: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    environment.split(|&byte| byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|&byte| byte == b'=')?;
        Some((&entry[..equals], &entry[equals + 1..]))
    })
}

fn rank_in(environment: &[u8]) -> Option<Vec<OsString>> {
    let mut rank: Vec<OsString> = variables(environment)
        .filter(|(name, _)| RANKS.contains(name))
        .map(|(name, value)| {
            let mut both = OsStr::from_bytes(name).to_owned();
            both.push("=");
            both.push(OsStr::from_bytes(value));
            both
        })
        .collect();
    rank.sort();
    (!rank.is_empty()).then_some(rank)
}

fn says_several(environment: &[u8]) -> bool {
    variables(environment)
        .filter(|(name, _)| SIZES.contains(name))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u32>().ok())
        .any(|size| size > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &str) -> Vec<OsString> {
        words.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn launchers_are_known_by_name_and_path_and_module() {
        for several in [
            "torchrun --nproc-per-node 4 train.py",
            "/opt/venv/bin/accelerate launch train.py",
            "nice -n 5 mpirun -n 4 ./train",
            "python -m torch.distributed.run train.py",
        ] {
            assert!(names_a_launcher(&argv(several)), "{several}");
        }
        for one in ["python train.py", "python train.py --deepspeed ds.json"] {
            assert!(!names_a_launcher(&argv(one)), "{one}");
        }
    }

    #[test]
    fn data_loaders_of_one_rank_are_not_several_ranks() {
        let loader = b"HOME=/\0RANK=0\0LOCAL_RANK=0\0WORLD_SIZE=1\0";
        let rank = b"LOCAL_RANK=0\0RANK=0\0WORLD_SIZE=1\0";
        assert_eq!(rank_in(loader), rank_in(rank));
        assert!(!says_several(rank));
        assert_ne!(rank_in(rank), rank_in(b"RANK=1\0LOCAL_RANK=1\0"));
        assert!(says_several(b"RANK=0\0WORLD_SIZE=8\0"));
        assert_eq!(rank_in(b"HOME=/\0"), None);
    }
}
