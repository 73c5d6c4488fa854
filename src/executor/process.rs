//! One process, named so that a reused pid is never mistaken for it, and what `/proc` says of it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

/// A process: its pid and when it started, in clock ticks since boot. Pids come back, pairs do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcId {
    /// Process id.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`. Zero for a process that `/proc` hides from us.
    pub start_ticks: u64,
}

/// A process of the job, as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Which one.
    pub id: ProcId,
    /// The process that started or adopted it.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// Its name as the kernel keeps it: 15 bytes at most.
    pub name: String,
    /// State of its main thread as in `/proc/PID/stat`: `R`, `S`, `D`, `T`, `t`, `Z`, `X`; `?` if
    /// `/proc` hides it.
    pub state: char,
    /// How many threads are left.
    pub threads: u32,
    /// Processor time of its own, user and system, in clock ticks.
    pub(crate) own_ticks: u64,
    /// Processor time of the children that it waited for, in clock ticks.
    pub(crate) waited_ticks: u64,
}

/// What a thread is doing, as far as a pause cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every thread is stopped.
    Stopped,
    /// Nothing runs, but a thread waits in the kernel, cannot be interrupted and will stop before it
    /// gets back: a vfork parent, a read from a dead file server. With its processor time, to see that it
    /// stands still.
    Stopping { ticks: u64 },
    /// At least one thread runs, or may.
    Running,
    /// It has ended.
    Gone,
}

/// How sending a signal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Done,
    /// There is no such process any more.
    Gone,
    /// It belongs to someone else.
    Denied,
}

impl Process {
    /// Reads `/proc/PID/stat`. `None` if there is no such process.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        let mut buffer = [0; 2048];
        parse(read_into(&format!("/proc/{pid}/stat"), &mut buffer)?)
    }

    /// One that exists and that `/proc` (mounted with `hidepid`) does not show us.
    pub(crate) fn hidden(pid: i32) -> Option<Self> {
        // SAFETY: kill takes plain integers; signal 0 only asks.
        let answer = unsafe { libc::kill(pid, 0) };
        (answer == -1 && Errno::last() == Errno::EPERM).then(|| Self {
            id: ProcId {
                pid,
                start_ticks: 0,
            },
            parent: 0,
            session: 0,
            name: "?".to_owned(),
            state: '?',
            threads: 1,
            own_ticks: 0,
            waited_ticks: 0,
        })
    }

    /// Whether no thread is left. A zombie whose other threads live is alive.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    /// Whether its main thread is stopped, or has ended before the others.
    pub(crate) fn is_stopped(&self) -> bool {
        match self.state {
            'T' => true,
            'Z' if self.threads > 1 => self.standing() == Standing::Stopped,
            _ => false,
        }
    }

    /// User and system time it has used itself.
    pub fn cpu_time(&self) -> Duration {
        from_ticks(self.own_ticks)
    }

    /// The user it belongs to, where that can be read. Names are not looked up: that may hang.
    pub fn owner_uid(&self) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        Some(
            std::fs::metadata(format!("/proc/{}", self.id.pid))
                .ok()?
                .uid(),
        )
    }

    /// Looks at each thread.
    pub(crate) fn standing(&self) -> Standing {
        if self.state == '?' {
            return Standing::Running;
        }
        if self.threads <= 1 {
            return stand(
                self.state,
                self.own_ticks,
                || stop_pending(&format!("/proc/{}/status", self.id.pid)),
                self.has_ended(),
            );
        }
        let (mut stopped, mut waiting, mut ticks) = (0, Vec::new(), 0);
        let mut buffer = [0; 2048];
        for tid in threads(self.id.pid) {
            let path = format!("/proc/{}/task/{tid}/stat", self.id.pid);
            let Some(thread) = read_into(&path, &mut buffer).and_then(parse) else {
                continue; // It ended while we looked.
            };
            ticks += thread.own_ticks;
            match thread.state {
                'T' | 't' => stopped += 1,
                'Z' | 'X' | 'x' => {}
                'D' => waiting.push(tid),
                _ => return Standing::Running,
            }
        }
        match (stopped, waiting.as_slice()) {
            (0, []) => Standing::Gone,
            (_, []) => Standing::Stopped,
            // A stop that one thread has taken is no longer pending for the others, so a stopped
            // sibling is proof enough.
            (1.., _) => Standing::Stopping { ticks },
            (_, waiting) => {
                let pid = self.id.pid;
                let all_pending = waiting
                    .iter()
                    .all(|tid| stop_pending(&format!("/proc/{pid}/task/{tid}/status")));
                if all_pending {
                    Standing::Stopping { ticks }
                } else {
                    Standing::Running
                }
            }
        }
    }
}

fn stand(state: char, ticks: u64, pending: impl Fn() -> bool, ended: bool) -> Standing {
    match state {
        _ if ended => Standing::Gone,
        'T' | 't' => Standing::Stopped,
        'D' if pending() => Standing::Stopping { ticks },
        _ => Standing::Running,
    }
}

/// Whether a signal that is sent now would end the process: that is what it does by default, and no
/// thread handles, blocks, ignores or waits for it. Of one that cannot be read: no.
pub(crate) fn would_end(pid: i32, signal: i32) -> bool {
    const HARMLESS: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    if HARMLESS.contains(&signal) {
        return false;
    }
    let mut is_read = false;
    for tid in threads(pid) {
        let of_thread =
            |file: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/{file}"));
        let Ok(text) = of_thread("status") else {
            continue;
        };
        is_read = true;
        // A thread that waits for signals has them unblocked just then.
        let waits = of_thread("wchan").is_ok_and(|name| name.contains("sigtimedwait"));
        if waits || is_in_one_of(&text, &["SigBlk", "SigIgn", "SigCgt"], signal) {
            return false;
        }
    }
    is_read
}

/// Whether SIGSTOP waits to be taken, by the process or by this thread.
fn stop_pending(status: &str) -> bool {
    std::fs::read_to_string(status)
        .is_ok_and(|text| is_in_one_of(&text, &["SigPnd", "ShdPnd"], libc::SIGSTOP))
}

/// proc_pid_status(5): whether a signal is in one of these masks.
fn is_in_one_of(status: &str, masks: &[&str], signal: i32) -> bool {
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| masks.contains(name))
        .filter_map(|(_, mask)| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & (1 << (signal - 1)) != 0)
}

/// The threads of a process; none if it is gone.
pub(crate) fn threads(pid: i32) -> impl Iterator<Item = i32> {
    numbers_in(&format!("/proc/{pid}/task"))
}

/// Every process that `/proc` shows.
pub(crate) fn all_pids() -> impl Iterator<Item = i32> {
    numbers_in("/proc")
}

fn numbers_in(folder: &str) -> impl Iterator<Item = i32> + use<> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn read_into<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    // One read gives the whole of such a file; a second one would cost as much again.
    let length = File::open(path).ok()?.read(buffer).ok()?;
    Some(&buffer[..length])
}

/// proc(5), `/proc/PID/stat`: the name stands in parentheses and may itself contain any byte.
fn parse(stat: &[u8]) -> Option<Process> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let pid = std::str::from_utf8(&stat[..open]).ok()?.trim();
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    // Field 3, the state, is the first after the name.
    let mut fields = [""; 20];
    let mut words = rest.split_ascii_whitespace();
    for field in &mut fields {
        *field = words.next()?;
    }
    let number = |field: usize| fields[field - 3].parse::<u64>().ok();
    let signed = |field: usize| fields[field - 3].parse::<i32>().ok();
    let waited = |field: usize| fields[field - 3].parse::<i64>().ok();
    Some(Process {
        id: ProcId {
            pid: pid.parse().ok()?,
            start_ticks: number(22)?,
        },
        parent: signed(4)?,
        session: signed(6)?,
        name: String::from_utf8_lossy(&stat[open + 1..close]).into_owned(),
        state: fields[0].chars().next()?,
        threads: u32::try_from(number(20)?).ok()?,
        own_ticks: number(14)? + number(15)?,
        waited_ticks: u64::try_from(waited(16)? + waited(17)?).unwrap_or(0),
    })
}

/// Bytes of memory that these processes have resident. What they share (pages of files, and of parents
/// that forked) counts once, as large as it is in the one that shares most.
pub(crate) fn resident(pids: impl Iterator<Item = i32>) -> u64 {
    let mut buffer = [0; 128];
    let (mut own, mut shared) = (0, 0);
    for pid in pids {
        let text = read_into(&format!("/proc/{pid}/statm"), &mut buffer);
        // `size resident shared …`, in pages: proc_pid_statm(5).
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        let pages = |nth| text.and_then(|text| text.split(' ').nth(nth)?.parse::<u64>().ok());
        let (all, others) = (pages(1).unwrap_or(0), pages(2).unwrap_or(0));
        own += all.saturating_sub(others);
        shared = shared.max(others);
    }
    // SAFETY: sysconf takes a plain integer and only reads.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    (own + shared) * u64::try_from(page).unwrap_or(4096)
}

/// Clock ticks as time. There are 100 a second on every Linux that we build for.
pub(crate) fn from_ticks(ticks: u64) -> Duration {
    // SAFETY: sysconf takes a plain integer and only reads.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second))
}

impl ProcId {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        Process::read(pid).map(|process| process.id)
    }

    /// Whether this very process is still there, be it as a zombie.
    pub(crate) fn exists(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal to this very process: through a pidfd, checked after it was opened, so that
    /// nobody else can get it. Where the kernel has none (before 5.3) or a sandbox forbids it, pid
    /// and start time must do.
    pub(crate) fn signal(self, signal: i32) -> Sent {
        let handle = pidfd(self.pid);
        if self.start_ticks == 0 {
            return Sent::Denied;
        }
        if !self.exists() {
            return Sent::Gone;
        }
        if let Some(handle) = handle
            // SAFETY: the number comes from the kernel or from our own constants and is only passed on.
            && let signal = unsafe { rustix::process::Signal::from_raw_unchecked(signal) }
            && rustix::process::pidfd_send_signal(&handle, signal).is_ok()
        {
            return Sent::Done;
        }
        // SAFETY: kill takes plain integers.
        match Errno::result(unsafe { libc::kill(self.pid, signal) }) {
            Ok(_) => Sent::Done,
            Err(Errno::EPERM) => Sent::Denied,
            Err(_) => Sent::Gone,
        }
    }
}

/// A handle that stays with the process even when its pid is used again.
pub(crate) fn pidfd(pid: i32) -> Option<OwnedFd> {
    if pidfds_are_forbidden() {
        return None;
    }
    let pid = rustix::process::Pid::from_raw(pid)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

/// Whether there is something to read, or an end of file; of a pidfd: whether its process has ended.
pub(crate) fn is_readable(handle: impl AsFd) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut handles = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut handles, PollTimeout::ZERO), Ok(1..))
}

#[cfg(not(feature = "fault-points"))]
pub(super) fn pidfds_are_forbidden() -> bool {
    false
}

/// The variable that makes tests take the path of kernels without pidfds.
#[cfg(feature = "fault-points")]
pub(crate) const NO_PIDFD: &str = "CATRAIN_NO_PIDFD";

#[cfg(feature = "fault-points")]
pub(super) fn pidfds_are_forbidden() -> bool {
    static FORBIDDEN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *FORBIDDEN.get_or_init(|| std::env::var_os(NO_PIDFD).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) b (c) T 7 42 40 0 -1 4194304 1 2 3 4 500 25 10 5 20 0 3 0 987654 1 2 3";
        let process = parse(line).unwrap();
        assert_eq!(process.name, "a) b (c");
        assert_eq!((process.parent, process.session), (7, 40));
        assert_eq!((process.state, process.threads), ('T', 3));
        assert_eq!(process.id.start_ticks, 987_654);
        assert_eq!((process.own_ticks, process.waited_ticks), (525, 15));
    }

    #[test]
    fn a_torn_line_is_nobody() {
        assert_eq!(parse(b"42 (cat) S 1 2"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn what_a_signal_would_do_to_a_process_is_known_before_it_is_sent() {
        let mut sleeps = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let mut ignores = std::process::Command::new("sh")
            .args(["-c", "trap '' USR1; exec sleep 60"])
            .spawn()
            .unwrap();
        let pid = |child: &std::process::Child| child.id().cast_signed();
        let limit = crate::clock::monotonic() + Duration::from_secs(60);
        while would_end(pid(&ignores), libc::SIGUSR1) && crate::clock::monotonic() < limit {
            std::thread::yield_now();
        }
        assert!(!would_end(pid(&ignores), libc::SIGUSR1));
        assert!(would_end(pid(&ignores), libc::SIGUSR2));
        assert!(would_end(pid(&sleeps), libc::SIGUSR1));
        assert!(!would_end(pid(&sleeps), libc::SIGCONT));
        for child in [&mut sleeps, &mut ignores] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_reused_pid_is_not_signalled() {
        let me = ProcId::of(std::process::id().cast_signed()).unwrap();
        let former = ProcId {
            start_ticks: me.start_ticks - 1,
            ..me
        };
        assert_eq!(former.signal(libc::SIGKILL), Sent::Gone);
    }
}
