//! The watchdog's own process: `carbon-guard PID`, where PID is the supervisor's.
//!
//! It lives in a session of its own in `/`, holds nothing but its two pipes, blocks every signal
//! that can be blocked, and is called otherwise than `catrain`, so that what ends the supervisor does
//! not end it. It reads orders from stdin and tells what it sees on stdout, in fixed records. It
//! decides nothing: it continues exactly the list that it was given, and thaws the one cgroup.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::freezer;
use super::process::{ProcId, Process, Sent, is_readable};
use super::tree;
use crate::clock::monotonic;

/// The watchdog's name and first argument.
pub const NAME: &str = "carbon-guard";

/// What the kernel sends the watchdog when the supervisor's main thread ends. Anybody may send it, so
/// it is a reason to look and no more.
pub(super) const DEATH: Signal = Signal::SIGURG;

/// How long a list without a lease is kept: a supervisor that forgot one hangs too.
const DEFAULT_LEASE: Duration = super::watchdog::LONGEST_LEASE;

/// After a lease ran out, how often it looks whether a supervisor that came back to life in the
/// middle of a pause has stopped somebody since.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One order or one piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    tag: u32,
    pub(super) pid: i32,
    pub(super) value: u64,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Tag {
    Leader = 1,
    Hold = 2,
    Exempt = 3,
    Clear = 4,
    Lease = 5,
    Ask = 6,
    Farewell = 7,
    Released = 8,
    Signal = 9,
    /// A path follows, of `value` bytes; the one before is forgotten.
    Cell = 10,
    /// The next `pid` bytes of it.
    CellPart = 11,
    /// It is about to be frozen.
    Freeze = 12,
}

/// The longest path that is listened to: the kernel's own limit.
const LONGEST_PATH: u64 = 4096;

impl Record {
    const SIZE: usize = 16;

    pub(super) fn new(tag: Tag, pid: i32, value: u64) -> Self {
        Self {
            tag: tag as u32,
            pid,
            value,
        }
    }

    pub(super) fn of(tag: Tag, id: ProcId) -> Self {
        Self::new(tag, id.pid, id.start_ticks)
    }

    pub(super) fn tag(self) -> Option<Tag> {
        use Tag::{
            Ask, Cell, CellPart, Clear, Exempt, Farewell, Freeze, Hold, Leader, Lease, Released,
            Signal,
        };
        [
            Leader, Hold, Exempt, Clear, Lease, Ask, Farewell, Released, Signal, Cell, CellPart,
            Freeze,
        ]
        .into_iter()
        .find(|&tag| tag as u32 == self.tag)
    }

    /// A path of any length as records, in order; an empty one takes back the last.
    pub(super) fn of_path(path: &Path) -> Vec<Self> {
        let bytes = path.as_os_str().as_bytes();
        let first = Self::new(Tag::Cell, 0, bytes.len() as u64);
        let parts = bytes.chunks(8).map(|chunk| {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            let length = i32::try_from(chunk.len()).expect("a chunk has 8 bytes at most");
            Self::new(Tag::CellPart, length, u64::from_ne_bytes(eight))
        });
        std::iter::once(first).chain(parts).collect()
    }

    fn id(self) -> ProcId {
        ProcId {
            pid: self.pid,
            start_ticks: self.value,
        }
    }

    pub(super) fn bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.tag.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.pid.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }

    /// Takes the whole records from the front of what has arrived.
    pub(super) fn take(arrived: &mut Vec<u8>) -> Vec<Self> {
        let whole = arrived.len() / Self::SIZE * Self::SIZE;
        let (records, _) = arrived.as_chunks::<{ Self::SIZE }>();
        let records = records
            .iter()
            .map(|bytes| {
                let (tag, rest) = bytes.split_first_chunk().expect("16 bytes hold 4");
                let (pid, rest) = rest.split_first_chunk().expect("12 bytes hold 4");
                let (value, _) = rest.split_first_chunk().expect("8 bytes hold 8");
                Self {
                    tag: u32::from_ne_bytes(*tag),
                    pid: i32::from_ne_bytes(*pid),
                    value: u64::from_ne_bytes(*value),
                }
            })
            .collect();
        arrived.drain(..whole);
        records
    }
}

/// What the program does when it is called [`NAME`]. Never returns.
pub fn guard_main() -> ! {
    let mut watch = Watch::default();
    let calm = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        if let Ok(signals) = settle() {
            watch.serve(&signals);
        }
    }));
    if calm.is_err() {
        watch.release();
    }
    // SAFETY: ends the process; there is nothing to flush.
    unsafe { libc::_exit(i32::from(calm.is_err())) }
}

/// Makes itself hard to kill and keeps nothing open that belongs to others.
fn settle() -> io::Result<SignalFd> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    let _ = prctl::set_name(c"carbon-guard");
    close_above(2);
    // Not SIGPIPE: telling of it once the supervisor is gone would cause the next one, for ever.
    let mut told = SigSet::all();
    told.remove(Signal::SIGPIPE);
    let signals = SignalFd::with_flags(&told, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    be_no_victim();
    // What has been touched stays in memory: when the file system with the program on it hangs is
    // just when it is needed. Needs room under RLIMIT_MEMLOCK; without it nothing changes.
    // SAFETY: takes plain integers.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    // The pipe to the supervisor is not to be waited for either. It is the watchdog's own.
    fcntl(io::stdout(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(signals)
}

/// Where memory runs short, this is the wrong victim.
pub(super) fn be_no_victim() {
    // Without the capability for it, what a session manager has put on top may at least be taken off
    // again.
    let adjustment = "/proc/self/oom_score_adj";
    if std::fs::write(adjustment, "-1000").is_err()
        && std::fs::read_to_string(adjustment).is_ok_and(|now| !now.starts_with(['-', '0']))
    {
        let _ = std::fs::write(adjustment, "0");
    }
}

pub(super) fn close_above(last: u32) {
    // SAFETY: takes plain integers; nothing in this process uses a descriptor above 2 yet.
    let done = unsafe { libc::syscall(libc::SYS_close_range, last + 1, u32::MAX, 0) };
    if done == 0 {
        return;
    }
    // Before Linux 5.9.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&descriptor| descriptor > last.cast_signed())
        .collect();
    for descriptor in open {
        // SAFETY: nothing owns these: they were inherited, or closed with the folder just read.
        unsafe { libc::close(descriptor) };
    }
}

/// When to act without being told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Patience {
    #[default]
    Unset,
    Until(Duration),
    UntilDeath,
    /// The lease ran out; who is still stopped is looked for now and then.
    Over {
        look: Duration,
    },
}

#[derive(Debug, Default)]
struct Watch {
    leader: Option<ProcId>,
    /// In the order in which they were stopped.
    held: Vec<ProcId>,
    exempt: BTreeSet<ProcId>,
    patience: Patience,
    cell: Announced,
    /// Whether the cell was frozen by the supervisor, or is about to be.
    is_freezing: bool,
}

/// A path that arrives in parts. It counts once it is whole: nothing is frozen before that was answered.
#[derive(Debug, Default)]
struct Announced {
    bytes: Vec<u8>,
    length: usize,
}

impl Announced {
    fn begin(&mut self, length: u64) {
        self.bytes.clear();
        // One that is too long never becomes whole.
        self.length = usize::try_from(length.min(LONGEST_PATH + 1)).unwrap_or(0);
    }

    fn add(&mut self, record: Record) {
        let count = usize::try_from(record.pid).unwrap_or(0).min(8);
        if self.bytes.len() + count <= self.length && self.length as u64 <= LONGEST_PATH {
            self.bytes
                .extend_from_slice(&record.value.to_ne_bytes()[..count]);
        }
    }

    fn path(&self) -> Option<&Path> {
        let is_whole = self.length > 0 && self.bytes.len() == self.length;
        is_whole.then(|| Path::new(OsStr::from_bytes(&self.bytes)))
    }
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Serve,
    Leave,
}

impl Watch {
    fn serve(&mut self, signals: &SignalFd) {
        // Once for nothing, so that every page that the real one needs is in memory.
        tree::stopped_around(None, &BTreeSet::new());
        let stdin = io::stdin();
        let mut arrived = Vec::new();
        loop {
            let timeout = self.next_look().map_or(PollTimeout::NONE, |at| {
                // Rounded up, or the last millisecond would be spent asking.
                let left = at.saturating_sub(monotonic()) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            let mut handles = [
                PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            let _ = poll(&mut handles, timeout);
            let mut has_orders = handles[0].any().unwrap_or(false);
            let mut is_orphan = false;
            while let Ok(Some(info)) = signals.read_signal() {
                let number = info.ssi_signo.cast_signed();
                if number == DEATH as i32 && self.has_no_supervisor() {
                    // What it wrote before counts: it may have continued everyone itself.
                    is_orphan = true;
                    has_orders = is_readable(stdin.as_fd());
                } else {
                    tell(Record::new(Tag::Signal, number, 0));
                }
            }
            while has_orders {
                let mut buffer = [0; 4096];
                // Not through the buffer of `Stdin`: what it keeps back, poll does not see.
                match nix::unistd::read(&stdin, &mut buffer) {
                    Ok(length @ 1..) => arrived.extend_from_slice(&buffer[..length]),
                    Err(Errno::EINTR | Errno::EAGAIN) => {}
                    // The supervisor is gone, or nobody can tell us anything any more.
                    Ok(0) | Err(_) => {
                        self.leave_alone();
                        return;
                    }
                }
                for record in Record::take(&mut arrived) {
                    if self.obey(record) == Next::Leave {
                        return;
                    }
                }
                has_orders = is_orphan && is_readable(stdin.as_fd());
            }
            if is_orphan {
                self.leave_alone();
                return;
            }
            if self.next_look().is_some_and(|at| at <= monotonic()) {
                let first = !matches!(self.patience, Patience::Over { .. });
                if self.release() > 0 || first {
                    tell(Record::new(Tag::Released, 0, 0));
                }
                self.patience = Patience::Over {
                    look: monotonic() + LOOK_AGAIN,
                };
            }
        }
    }

    /// Whether the supervisor's main thread has ended, whatever its other threads still wait for.
    fn has_no_supervisor(&self) -> bool {
        let supervisor = std::env::args().nth(1).and_then(|pid| pid.parse().ok());
        supervisor.is_some_and(|pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            !state.starts_with(|letter: char| !matches!(letter, 'Z' | 'X'))
        })
    }

    fn obey(&mut self, record: Record) -> Next {
        match record.tag() {
            Some(Tag::Leader) => self.look_after(record.id()),
            Some(Tag::Hold) => {
                self.exempt.remove(&record.id());
                self.need_a_lease();
                self.held.push(record.id());
            }
            Some(Tag::Cell) => self.cell.begin(record.value),
            Some(Tag::CellPart) => self.cell.add(record),
            Some(Tag::Freeze) => {
                self.need_a_lease();
                self.is_freezing = true;
            }
            Some(Tag::Exempt) => {
                self.exempt.insert(record.id());
            }
            Some(Tag::Clear) => {
                self.held.clear();
                self.exempt.clear();
                self.is_freezing = false;
                self.patience = Patience::Unset;
            }
            Some(Tag::Lease) => {
                self.patience = match record.value {
                    u64::MAX => Patience::UntilDeath,
                    milliseconds => {
                        let lease = Duration::from_millis(milliseconds).min(DEFAULT_LEASE);
                        Patience::Until(monotonic() + lease)
                    }
                };
            }
            Some(Tag::Ask) => tell(record),
            Some(Tag::Farewell) => return Next::Leave,
            Some(Tag::Released | Tag::Signal) | None => {}
        }
        Next::Serve
    }

    /// Another leader is another job: of the one before nothing is kept, and nobody left stopped.
    fn look_after(&mut self, leader: ProcId) {
        if self
            .leader
            .replace(leader)
            .is_some_and(|before| before != leader)
        {
            self.release();
            self.held.clear();
            self.exempt.clear();
            self.is_freezing = false;
            self.patience = Patience::Unset;
        }
    }

    fn need_a_lease(&mut self) {
        if !self.holds() && !self.is_leased() {
            self.patience = Patience::Until(monotonic() + DEFAULT_LEASE);
        }
    }

    fn holds(&self) -> bool {
        !self.held.is_empty() || self.is_freezing
    }

    fn is_leased(&self) -> bool {
        match self.patience {
            Patience::UntilDeath => true,
            Patience::Until(at) => at > monotonic(),
            Patience::Unset | Patience::Over { .. } => false,
        }
    }

    fn next_look(&self) -> Option<Duration> {
        if !self.holds() {
            return None;
        }
        match self.patience {
            Patience::Unset | Patience::UntilDeath => None,
            Patience::Until(at) | Patience::Over { look: at } => Some(at),
        }
    }

    /// The supervisor is gone. A job that runs on keeps its cell; an empty one goes.
    fn leave_alone(&self) {
        self.release();
        if let Some(cell) = self.cell.path() {
            let _ = std::fs::remove_dir(cell);
        }
    }

    /// Thaws the cell; gives whether it was frozen.
    fn thaw(&self) -> bool {
        let Some(cell) = self.cell.path().filter(|_| self.is_freezing) else {
            return false;
        };
        let was_frozen = freezer::is_closed(cell);
        freezer::thaw(cell).is_ok() && was_frozen
    }

    /// Thaws the cell and continues the list, last stopped first, so that no parent sees its children
    /// stopped; then whoever of the job is still stopped and was not before. Gives how many were stopped.
    fn release(&self) -> usize {
        let thawed = usize::from(self.thaw());
        if self.held.is_empty() {
            return thawed;
        }
        let mut stopped: BTreeMap<ProcId, ()> = BTreeMap::new();
        for id in self.held.iter().rev() {
            let was_stopped = Process::read(id.pid).is_some_and(|process| process.is_stopped());
            if id.signal(libc::SIGCONT) == Sent::Done && was_stopped {
                stopped.insert(*id, ());
            }
        }
        let roots: BTreeSet<ProcId> = self.held.iter().copied().collect();
        for process in tree::stopped_around(self.leader, &roots) {
            if !self.exempt.contains(&process.id) && process.id.signal(libc::SIGCONT) == Sent::Done
            {
                stopped.insert(process.id, ());
            }
        }
        stopped.len() + thawed
    }
}

/// News nobody takes are news nobody waits for.
fn tell(record: Record) {
    // So few bytes are written whole or not at all.
    let _ = nix::unistd::write(io::stdout(), &record.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_being_cut_anywhere() {
        let sent = [
            Record::new(Tag::Hold, 42, 987_654_321_012),
            Record::new(Tag::Lease, 0, u64::MAX),
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(|record| record.bytes()).collect();
        for cut in 0..=bytes.len() {
            let mut arrived = bytes[..cut].to_vec();
            let mut got = Record::take(&mut arrived);
            arrived.extend_from_slice(&bytes[cut..]);
            got.extend(Record::take(&mut arrived));
            assert_eq!(got, sent, "cut at {cut}");
            assert!(arrived.is_empty());
        }
    }

    #[test]
    fn a_path_that_was_cut_off_is_none_and_a_whole_one_replaces_the_last() {
        let paths = ["/sys/fs/cgroup/catrain-7-0", "/a", "/exactly", "/äöü €/x y"];
        let mut watch = Watch::default();
        for path in paths {
            let records = Record::of_path(Path::new(path));
            for cut in 0..records.len() {
                let mut half = Watch::default();
                for &record in &records[..cut] {
                    half.obey(record);
                }
                assert_eq!(half.cell.path(), None, "{path} cut at {cut}");
            }
            for &record in &records {
                watch.obey(record);
            }
            assert_eq!(watch.cell.path(), Some(Path::new(path)));
        }
        for record in Record::of_path(Path::new("")) {
            watch.obey(record);
        }
        assert_eq!(watch.cell.path(), None);
    }

    #[test]
    fn a_path_of_nonsense_is_none() {
        let mut watch = Watch::default();
        watch.obey(Record::new(Tag::CellPart, 8, 1));
        watch.obey(Record::new(Tag::Cell, 0, u64::MAX));
        for _ in 0..10_000 {
            watch.obey(Record::new(Tag::CellPart, i32::MAX, 1));
            watch.obey(Record::new(Tag::CellPart, -1, 1));
        }
        assert_eq!(watch.cell.path(), None);
        assert!(watch.cell.bytes.len() as u64 <= LONGEST_PATH);
    }

    #[test]
    fn a_cell_that_is_to_be_frozen_has_a_lease_and_loses_it_with_the_list() {
        let mut watch = Watch::default();
        watch.obey(Record::new(Tag::Freeze, 0, 0));
        assert!(watch.next_look().is_some());
        watch.obey(Record::new(Tag::Clear, 0, 0));
        watch.obey(Record::new(Tag::Lease, 0, 10));
        assert_eq!(watch.next_look(), None);
    }

    #[test]
    fn another_leader_is_another_job_and_the_same_one_is_not() {
        let mut watch = Watch::default();
        watch.obey(Record::new(Tag::Leader, 1 << 30, 1));
        watch.obey(Record::new(Tag::Exempt, 1 << 30, 2));
        watch.obey(Record::new(Tag::Hold, 1 << 30, 3));
        watch.obey(Record::new(Tag::Leader, 1 << 30, 1));
        assert_eq!((watch.held.len(), watch.exempt.len()), (1, 1));
        watch.obey(Record::new(Tag::Leader, 1 << 30, 9));
        assert_eq!((watch.held.len(), watch.exempt.len()), (0, 0));
        assert!(!watch.holds());
    }

    #[test]
    fn a_list_without_a_lease_has_one_all_the_same() {
        let mut watch = Watch::default();
        watch.obey(Record::new(Tag::Hold, 1 << 30, 1));
        assert!(watch.next_look().is_some());
        watch.obey(Record::new(Tag::Lease, 0, u64::MAX));
        assert_eq!(watch.next_look(), None);
        watch.obey(Record::new(Tag::Lease, 0, 10));
        watch.obey(Record::new(Tag::Clear, 0, 0));
        assert_eq!(watch.next_look(), None);
    }
}
