//! Processes of the same job that a cluster has started, not we: the other ranks of our step, or, for who
//! looks after a whole node, all that runs there in steps of the job.
//!
//! They are nobody's children that we know of, but what they were started with says whose they are. They
//! are paused and metered with the job; they are never ended by us, since the cluster ends them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use super::attach::is_ancestor;
use super::process::{Process, all_pids};
use super::tree::{Links, is_guard};

/// What is set for whatever we start for ourselves: a command of the cluster's, a user's hook.
pub const HELPER: (&str, &str) = ("CATRAIN_HELPER", "1");

static BESIDE: OnceLock<Beside> = OnceLock::new();

/// How they are told.
#[derive(Debug)]
struct Beside {
    /// What each of them has in its environment.
    marks: Vec<Vec<u8>>,
    /// A variable that each of them has, whatever its value.
    any: Option<Vec<u8>>,
    helper: Vec<u8>,
    /// Our own program: no supervisor, watchdog or relay is part of a job.
    own: Option<(u64, u64)>,
    user: u32,
}

/// From now on whoever of this user was started with all of these variables, and with `any` of whatever
/// value, is beside the job. Once a process: a second call changes nothing.
pub fn look_beside(variables: &[(&str, &str)], any: Option<&str>) {
    let entry = |(name, value): &(&str, &str)| format!("{name}={value}").into_bytes();
    let own = fs::metadata("/proc/self/exe").ok();
    drop(BESIDE.set(Beside {
        marks: variables.iter().map(entry).collect(),
        any: any.map(|name| format!("{name}=").into_bytes()),
        helper: entry(&HELPER),
        own: own.map(|facts| (facts.dev(), facts.ino())),
        user: nix::unistd::geteuid().as_raw(),
    }));
}

impl Beside {
    fn has(&self, pid: i32) -> bool {
        let is_users = fs::metadata(format!("/proc/{pid}")).is_ok_and(|it| it.uid() == self.user);
        if !is_users {
            return false;
        }
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        let entries = || environment.split(|&byte| byte == 0);
        let has = |mark: &[u8]| entries().any(|one| one == mark);
        let is_any =
            (self.any.as_ref()).is_none_or(|any| entries().any(|one| one.starts_with(any)));
        is_any
            && !self.marks.is_empty()
            && self.marks.iter().all(|mark| has(mark))
            && !has(&self.helper)
            && !self.is_spared(pid)
            // Who has started us could not be told, stopped, that we have ended.
            && !is_ancestor(pid)
    }

    /// Ourselves, our watchdogs, and supervisors like us: they are not stopped, nor is what they look after.
    fn is_spared(&self, pid: i32) -> bool {
        let program = || fs::metadata(format!("/proc/{pid}/exe")).ok();
        pid == std::process::id().cast_signed()
            || is_guard(pid)
            || program().is_some_and(|facts| Some((facts.dev(), facts.ino())) == self.own)
    }
}

/// Those who are beside a job that consists of `own`, and their descendants, parents first.
pub(super) fn scan(own: &[Process]) -> Vec<Process> {
    let Some(beside) = BESIDE.get() else {
        return Vec::new();
    };
    let mut found: BTreeSet<i32> = own.iter().map(|process| process.id.pid).collect();
    let mut all: Vec<Process> = Vec::new();
    let links = Links::open(std::process::id().cast_signed());
    for pid in all_pids() {
        if found.contains(&pid) || !beside.has(pid) {
            continue;
        }
        let Some(process) = Process::read(pid) else {
            continue;
        };
        found.insert(pid);
        let mut next = all.len();
        all.push(process);
        while let Some(parent) = all.get(next) {
            next += 1;
            for child in links.children(parent.id.pid, parent.threads) {
                if !beside.is_spared(child)
                    && found.insert(child)
                    && let Some(process) = Process::read(child)
                {
                    all.push(process);
                }
            }
        }
    }
    all
}

/// Whether a process is beside the job.
pub(super) fn has(pid: i32) -> bool {
    BESIDE.get().is_some_and(|beside| beside.has(pid))
}
