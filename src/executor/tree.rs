//! The job as a whole: every process that belongs to it, wherever it has gone.
//!
//! A worker may start a session of its own, lose its parent, or turn into a daemon. Since the
//! supervisor is a child subreaper, whoever loses its parent becomes the supervisor's child; so the
//! job is the leader's descendants, the adopted ones and their descendants, and what was seen to be
//! part of it before. The watchdog and the supervisor's own helpers are not.
//!
//! Descendants are followed through `/proc/PID/task/TID/children`, which costs time by the size of
//! the job and not of the host. Where the kernel lacks these files, all of `/proc` is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::beside;
use super::freezer;
use super::process::{ProcId, Process, all_pids, threads};

/// Watchdogs of this process, dead ones that nobody has waited for included: never part of a job.
static GUARDS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// When the first job of this supervisor started. What that one left behind is still adopted while the
/// next one runs.
static FIRST_START: OnceLock<u64> = OnceLock::new();

pub(crate) fn exclude(guard: i32) {
    GUARDS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(guard);
}

pub(super) fn job_started(leader: ProcId) {
    FIRST_START.get_or_init(|| leader.start_ticks);
}

pub(crate) fn forget(guard: i32) {
    GUARDS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&guard);
}

pub(super) fn is_guard(pid: i32) -> bool {
    GUARDS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&pid)
}

/// Finds the job's processes.
#[derive(Debug)]
pub(crate) struct Tree {
    supervisor: i32,
    /// Whether it is a child of ours, so that who loses its parent becomes one, too.
    is_ours: bool,
    /// Of a job that we have not started: the session that it leads.
    session: Option<i32>,
    /// The session that the supervisor's own helpers are in.
    own_session: i32,
    leader: ProcId,
    /// Part of the job when last looked at, and still there.
    known: BTreeSet<ProcId>,
    /// The job's cgroup: whoever is inside is the job's.
    pub(super) cell: Option<PathBuf>,
}

impl Tree {
    pub(crate) fn of(leader: ProcId) -> Self {
        Self {
            supervisor: std::process::id().cast_signed(),
            is_ours: true,
            session: None,
            own_session: nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw),
            leader,
            known: BTreeSet::from([leader]),
            cell: None,
        }
    }

    /// That of a job that somebody else has started.
    pub(super) fn attached(leader: ProcId, session: Option<i32>) -> Self {
        Self {
            is_ours: false,
            session,
            ..Self::of(leader)
        }
    }

    /// Everyone, zombies included, parents before their children.
    pub(crate) fn scan(&mut self) -> Vec<Process> {
        let links = Links::open(self.supervisor);
        let mut found: BTreeSet<i32> = BTreeSet::new();
        let mut all: Vec<Process> = Vec::new();
        let adopted = links.children(self.supervisor, 2);
        let inside = self.cell.as_deref().map(freezer::members);
        let inside = inside.unwrap_or_default();
        let roots = std::iter::once(self.leader.pid)
            .chain(adopted)
            .chain(self.known.iter().map(|id| id.pid))
            .chain(inside.iter().copied())
            .chain(self.of_session());
        for root in roots.collect::<Vec<_>>() {
            if found.contains(&root) {
                continue;
            }
            let Some(process) = see(root) else { continue };
            let is_inside = inside.contains(&root) && !self.is_spared(root);
            if !is_inside && !self.is_root(&process) {
                continue;
            }
            found.insert(root);
            let mut next = all.len();
            all.push(process);
            while let Some(parent) = all.get(next) {
                next += 1;
                let children = links.children(parent.id.pid, parent.threads);
                for child in children {
                    if !self.is_spared(child)
                        && found.insert(child)
                        && let Some(process) = see(child)
                    {
                        all.push(process);
                    }
                }
            }
        }
        self.known = all
            .iter()
            .filter(|process| !process.has_ended() && process.id.start_ticks != 0)
            .map(|process| process.id)
            .collect();
        self.known.insert(self.leader);
        all
    }

    /// Who is in the session that the job leads, wherever the links of its parents lead to. Reads the
    /// whole host.
    fn of_session(&self) -> Vec<i32> {
        let Some(session) = self.session else {
            return Vec::new();
        };
        all_pids()
            .filter_map(Process::read)
            .filter(|process| process.session == session)
            .map(|process| process.id.pid)
            .collect()
    }

    /// Those that were there when last looked at.
    pub(crate) fn known(&self) -> impl Iterator<Item = i32> {
        self.known.iter().map(|id| id.pid)
    }

    /// Children of ours that ended after we adopted them, of this job or of one before it, and watchdogs
    /// that ended; with whether they were this job's.
    pub(crate) fn ended_orphans(&self) -> Vec<(i32, bool)> {
        let links = Links::open(self.supervisor);
        links
            .children(self.supervisor, 2)
            .into_iter()
            .filter(|&pid| pid != self.leader.pid)
            .filter_map(Process::read)
            .filter(|process| process.has_ended())
            .map(|process| (process.id.pid, self.is_root(&process), process))
            .filter(|(pid, is_of_job, process)| {
                *is_of_job || is_guard(*pid) || self.is_of_former(process)
            })
            .map(|(pid, is_of_job, _)| (pid, is_of_job))
            .collect()
    }

    fn is_spared(&self, pid: i32) -> bool {
        pid == self.supervisor || pid <= 1 || is_guard(pid)
    }

    /// Whether a child of ours, or one known from before, is the job's. Helpers that the supervisor
    /// started share its session; what an earlier helper left behind is older than the job.
    fn is_root(&self, process: &Process) -> bool {
        if self.is_spared(process.id.pid) {
            return false;
        }
        self.known.contains(&process.id)
            || self
                .session
                .is_some_and(|session| process.session == session)
            || (self.is_ours && self.was_adopted_since(process, self.leader.start_ticks))
    }

    fn was_adopted_since(&self, process: &Process, start_ticks: u64) -> bool {
        process.parent == self.supervisor
            && process.session != self.own_session
            && process.id.start_ticks >= start_ticks
    }

    /// Whether a child of ours was left behind by a job that we started before.
    fn is_of_former(&self, process: &Process) -> bool {
        FIRST_START
            .get()
            .is_some_and(|&first| self.was_adopted_since(process, first))
    }
}

/// Whether a process belongs to the job of this leader, by who started or adopted it; none where
/// `/proc` does not show it. From any thread, and for any process of the host.
pub fn is_of_job(leader: i32, pid: i32) -> Option<bool> {
    if beside::has(pid) {
        return Some(true);
    }
    let supervisor = std::process::id().cast_signed();
    let mut at = Process::read(pid)?;
    // Links are read one after the other; a reused pid could close a circle.
    for _ in 0..64 {
        if at.id.pid == leader || at.session == leader {
            return Some(true);
        }
        if at.id.pid == supervisor || at.id.pid <= 1 || is_guard(at.id.pid) {
            return Some(false);
        }
        if at.parent == supervisor {
            // Who lost its parents was adopted; our helpers share our session.
            let own_session = Process::read(supervisor).map(|own| own.session);
            return Some(Some(at.session) != own_session);
        }
        match Process::read(at.parent) {
            Some(parent) => at = parent,
            None => return Some(false),
        }
    }
    Some(false)
}

fn see(pid: i32) -> Option<Process> {
    Process::read(pid).or_else(|| Process::hidden(pid))
}

/// Who is whose child.
pub(super) enum Links {
    /// Asked one process at a time.
    Files,
    /// Read for the whole host.
    Host(BTreeMap<i32, Vec<i32>>),
}

impl Links {
    pub(super) fn open(supervisor: i32) -> Self {
        if std::fs::exists(children_file(supervisor, supervisor)).unwrap_or(false) {
            return Self::Files;
        }
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for process in all_pids().filter_map(Process::read) {
            children
                .entry(process.parent)
                .or_default()
                .push(process.id.pid);
        }
        Self::Host(children)
    }

    /// `threads_left` saves listing the threads of a process that has one.
    pub(super) fn children(&self, pid: i32, threads_left: u32) -> Vec<i32> {
        match self {
            Self::Host(children) => children.get(&pid).cloned().unwrap_or_default(),
            Self::Files if threads_left <= 1 => children_of(pid, pid),
            // Each thread has the children that it forked itself.
            Self::Files => threads(pid).flat_map(|tid| children_of(pid, tid)).collect(),
        }
    }
}

fn children_of(pid: i32, tid: i32) -> Vec<i32> {
    std::fs::read_to_string(children_file(pid, tid))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

fn children_file(pid: i32, tid: i32) -> String {
    format!("/proc/{pid}/task/{tid}/children")
}

/// Stopped processes of the leader's session and descendants of `roots`, found by reading the whole
/// host: what the watchdog does once the supervisor, and with it the links of adoption, is gone.
pub(crate) fn stopped_around(leader: Option<ProcId>, roots: &BTreeSet<ProcId>) -> Vec<Process> {
    let everyone: BTreeMap<i32, Process> = all_pids()
        .filter_map(Process::read)
        .map(|process| (process.id.pid, process))
        .collect();
    let belongs = |process: &Process| {
        let mut at = Some(process);
        // Links were read one after the other; a reused pid could close a circle.
        for _ in 0..64 {
            let Some(here) = at else { return false };
            if roots.contains(&here.id) || leader.is_some_and(|l| here.session == l.pid) {
                return true;
            }
            at = everyone.get(&here.parent);
        }
        false
    };
    everyone
        .values()
        .filter(|process| process.is_stopped() && belongs(process))
        .cloned()
        .collect()
}
