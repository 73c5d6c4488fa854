//! Processes as `/proc` shows them, and signals to them.
//!
//! Everything answers for processes that are gone too (with nothing), since a process may end
//! between two looks.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

/// A process id.
pub(crate) type Pid = i32;

/// What `/proc/PID/stat` says of a process, as far as tests have asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) name: String,
    pub(crate) state: char,
    pub(crate) ppid: Pid,
    pub(crate) pgid: Pid,
    pub(crate) session: Pid,
    /// Processor time used, in clock ticks (10 ms).
    pub(crate) cpu_ticks: u64,
    /// Start time in clock ticks since boot: with the pid it names one process for ever.
    pub(crate) start: u64,
}

/// The signal sets of a process; bit `n - 1` stands for signal `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignalSets {
    pub(crate) blocked: u64,
    pub(crate) ignored: u64,
    pub(crate) caught: u64,
}

/// The process, unless it is gone. A zombie is still there.
pub(crate) fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name is in brackets and may hold brackets and spaces itself: the last one ends it.
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // proc(5) counts from 1 and `tail` begins with field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let id = |field: usize| fields.get(field - 3)?.parse::<Pid>().ok();
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        ppid: id(4)?,
        pgid: id(5)?,
        session: id(6)?,
        cpu_ticks: number(14)? + number(15)?,
        start: number(22)?,
    })
}

/// The state letters of all threads; empty if the process is gone.
pub(crate) fn states_of(pid: Pid) -> Vec<char> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok())
        .filter_map(|text| parse_stat(&text))
        .map(|stat| stat.state)
        .collect()
}

/// Whether every thread that lives is stopped, and at least one lives.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    let states = states_of(pid);
    states.iter().all(|state| "TtZX".contains(*state))
        && states.iter().any(|state| "Tt".contains(*state))
}

/// Whether it lives and is not stopped as a whole.
pub(crate) fn is_running(pid: Pid) -> bool {
    is_alive(pid) && !is_stopped(pid)
}

/// Whether any thread of it lives, stopped or not; a zombie does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    states_of(pid).iter().any(|state| !"ZX".contains(*state))
}

/// Every process that this one may see.
pub(crate) fn all() -> Vec<Pid> {
    let mut pids: Vec<Pid> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The children of a process, in order of pid, zombies included.
pub(crate) fn children_of(pid: Pid) -> Vec<Pid> {
    all()
        .into_iter()
        .filter(|&child| stat(child).is_some_and(|stat| stat.ppid == pid))
        .collect()
}

/// Children, their children and so on, without the process itself.
pub(crate) fn descendants(pid: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> = all()
        .into_iter()
        .filter_map(|child| Some((child, stat(child)?.ppid)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let of_parent = parents.iter().filter(|(_, ppid)| *ppid == parent);
        found.extend(of_parent.map(|(child, _)| *child));
        next += 1;
    }
    found.split_off(1)
}

/// Every process of a session.
pub(crate) fn session(leader: Pid) -> Vec<Pid> {
    all()
        .into_iter()
        .filter(|&pid| stat(pid).is_some_and(|stat| stat.session == leader))
        .collect()
}

/// The environment that a process was started with; empty if it is gone or another user's.
pub(crate) fn env_of(pid: Pid) -> BTreeMap<String, String> {
    strings(&format!("/proc/{pid}/environ"))
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The arguments of a process, its program's name first.
pub(crate) fn arguments_of(pid: Pid) -> Vec<String> {
    strings(&format!("/proc/{pid}/cmdline"))
}

fn strings(path: &str) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    bytes
        .split_inclusive(|&byte| byte == 0)
        .map(|text| String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text)).into_owned())
        .collect()
}

/// The open descriptors of a process and what each leads to.
pub(crate) fn fds_of(pid: Pid) -> BTreeMap<i32, PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let fd = entry.file_name().to_str()?.parse().ok()?;
            Some((fd, fs::read_link(entry.path()).ok()?))
        })
        .collect()
}

/// The signals that a process blocks, ignores and catches.
pub(crate) fn signals_of(pid: Pid) -> Option<SignalSets> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let set = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    Some(SignalSets {
        blocked: set("SigBlk:")?,
        ignored: set("SigIgn:")?,
        caught: set("SigCgt:")?,
    })
}

impl SignalSets {
    /// Whether a set such as `blocked` has a signal.
    pub(crate) fn has(set: u64, signal: Signal) -> bool {
        set >> (signal as i32 - 1) & 1 == 1
    }
}

/// Sends a signal; that the process is gone already is fine.
pub(crate) fn send(pid: Pid, signal: Signal) {
    assert!(pid > 1, "{pid} would mean a group, everybody, or init");
    let _gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Kills it for good.
pub(crate) fn kill(pid: Pid) {
    send(pid, Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use super::super::{SOON, Sandbox, child::Running, wait_until};
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "7 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.name.as_str(), stat.state), ("a) b) (c", 'S'));
        assert_eq!((stat.ppid, stat.pgid, stat.session), (1, 2, 3));
        assert_eq!((stat.cpu_ticks, stat.start), (11 + 12, 19));
    }

    #[test]
    fn stopped_running_and_gone_are_told_apart() {
        let sandbox = Sandbox::new();
        let mut sleeper = Running::start(sandbox.command("sleep").arg("100"));
        let pid = sleeper.pid();
        wait_until("sleep runs", SOON, || {
            stat(pid).is_some_and(|stat| stat.name == "sleep")
        });
        assert!(is_running(pid) && !is_stopped(pid));
        assert_eq!(states_of(pid).len(), 1);
        send(pid, Signal::SIGSTOP);
        wait_until("it stops", SOON, || is_stopped(pid));
        assert!(is_alive(pid) && !is_running(pid));
        send(pid, Signal::SIGCONT);
        wait_until("it runs again", SOON, || is_running(pid));
        kill(pid);
        sleeper.wait(SOON);
        assert!(!is_alive(pid) && !is_stopped(pid) && !is_running(pid));
        assert_eq!(stat(pid), None);
    }

    #[test]
    fn a_tree_is_seen_with_its_environment_descriptors_and_signals() {
        let sandbox = Sandbox::new();
        let script = "trap '' USR1; sleep 100 & sh -c 'sleep 100; true' & exec 9>&1; wait";
        let tree = Running::start(
            sandbox
                .command("sh")
                .args(["-c", script])
                .env("MARK", "a=b\nc"),
        );
        let pid = tree.pid();
        wait_until("the tree is whole", SOON, || {
            children_of(pid).len() == 2
                && descendants(pid).len() == 3
                && fds_of(pid).contains_key(&9)
        });
        assert_eq!(env_of(pid)["MARK"], "a=b\nc");
        assert_eq!(arguments_of(pid), ["sh", "-c", script]);
        assert_eq!(fds_of(pid)[&9], fds_of(pid)[&1]);
        let sets = signals_of(pid).unwrap();
        assert!(SignalSets::has(sets.ignored, Signal::SIGUSR1));
        assert!(!SignalSets::has(sets.ignored, Signal::SIGUSR2));
        assert!(!SignalSets::has(
            sets.blocked | sets.caught,
            Signal::SIGUSR1
        ));
        assert!(session(stat(pid).unwrap().session).contains(&pid));
    }
}
