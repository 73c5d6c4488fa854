//! Supervising a process that runs already and that somebody else has started.
//!
//! It is not our child, so less can be offered: how it ends nobody tells us, who loses its parent is not
//! adopted by us, and the kernel sends it nothing when we die. It is named by pid and start time and
//! held by a pidfd, so that a reused pid is never taken for it. When it is let go, everybody goes
//! on, and whoever was moved into a cgroup of ours goes back.

use super::freezer::{self, Cell, Freezer, Unavailable};
use super::pause::Reason;
use super::process::{self, ProcId, Process};
use super::tree::{self, Tree};
use super::watchdog::Guard;
use super::{Job, ranks};

/// `PF_KTHREAD` of the kernel's `sched.h`: field 9 of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// How often the job is looked through for those to be moved: it may fork meanwhile.
const ROUNDS: u32 = 8;

/// Why a process cannot be supervised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Nobody, or nobody whom `/proc` shows us, or a thread.
    #[error("there is no process {0}; see `ps -e` for those that there are")]
    NoSuchProcess(i32),
    /// It ended while we looked, or before and nobody waited for it.
    #[error("process {0} has ended")]
    Ended(i32),
    /// The first process of the host or container.
    #[error("process 1 starts everything else; give the process that trains")]
    Init,
    /// Part of the kernel.
    #[error("process {pid} `{name}` is a part of the kernel; give the process that trains")]
    KernelThread {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// This process, or its watchdog.
    #[error("process {0} is catrain itself; give the process that trains")]
    Ourselves(i32),
    /// What we were started by: stopped, it could not be asked to go on.
    #[error(
        "process {pid} `{name}` has started this catrain; give the process that trains, or start \
         catrain elsewhere"
    )]
    Ancestor {
        /// Its pid.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// It runs as somebody else, or partly.
    #[error("process {pid} runs as user {uid}; start catrain as that user")]
    OtherUser {
        /// Its pid.
        pid: i32,
        /// The first of its real, effective and saved user that is not ours.
        uid: u32,
    },
}

/// How far an attached job may be paused by signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    /// Whether it leads a session that we are not in.
    leads_session: bool,
    /// Whether to do it all the same.
    force: bool,
}

impl Job {
    /// Supervises a process that runs already: with its descendants, and with its session if it leads
    /// one. With `force` it may be stopped by signals even where others could notice.
    ///
    /// # Errors
    /// As [`AttachError`] tells; nothing was done then.
    pub fn attach(pid: i32, force: bool) -> Result<Self, AttachError> {
        if pid == 1 {
            return Err(AttachError::Init);
        }
        if pid <= 0 {
            return Err(AttachError::NoSuchProcess(pid));
        }
        if pid == std::process::id().cast_signed() || tree::is_guard(pid) {
            return Err(AttachError::Ourselves(pid));
        }
        // First, so that all that is read is of this very process, or seen not to be.
        let handle = process::pidfd(pid);
        let process = Process::read(pid).ok_or(AttachError::NoSuchProcess(pid))?;
        let facts = Facts::of(pid).ok_or(AttachError::NoSuchProcess(pid))?;
        if facts.process != pid {
            return Err(AttachError::NoSuchProcess(pid));
        }
        if process.has_ended() {
            return Err(AttachError::Ended(pid));
        }
        let name = process.name.escape_debug().to_string();
        if facts.flags & KERNEL_THREAD != 0 {
            return Err(AttachError::KernelThread { pid, name });
        }
        if is_ancestor(pid) {
            return Err(AttachError::Ancestor { pid, name });
        }
        let me = nix::unistd::geteuid().as_raw();
        if me != 0
            && let Some(&uid) = facts.users.iter().find(|&&uid| uid != me)
        {
            return Err(AttachError::OtherUser { pid, uid });
        }
        // As long as the handle's process lives nobody else has its pid: what was read is of it.
        if !process.id.exists() || handle.as_ref().is_some_and(process::is_readable) {
            return Err(AttachError::Ended(pid));
        }
        let own_session = nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw);
        let leads_session = process.session == pid && process.session != own_session;
        let argv = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let attached = Attached {
            leads_session,
            force,
        };
        let mut job = Self::of(process.id);
        job.pidfd = handle;
        job.attached = Some(attached);
        job.is_launcher = ranks::names_a_launcher(&arguments(&argv));
        job.tree = Tree::attached(process.id, leads_session.then_some(pid));
        Ok(job)
    }

    /// Moves a job that runs already into a cgroup that can be frozen, as far as we may; gives how many
    /// are inside. At the end whoever is still there goes back to where the leader came from.
    ///
    /// # Errors
    /// As [`Unavailable`] tells; everybody is where he was then.
    pub fn enclose(&mut self, freezer: &Freezer, guard: &mut Guard) -> Result<usize, Unavailable> {
        if self.cell.is_some() {
            return Ok(self.inside().len());
        }
        let leader = self.leader.pid;
        let origin = freezer::folder_of(leader, freezer).ok_or(Unavailable::NotVisible)?;
        let mut cell = Cell::make(freezer, Some(guard))?;
        cell.came_from(origin);
        for _ in 0..ROUNDS {
            let inside = freezer::members(cell.path());
            let everyone = self.tree.scan();
            let mut outside = everyone
                .iter()
                .filter(|process| !process.has_ended() && !inside.contains(&process.id.pid))
                .peekable();
            if outside.peek().is_none() {
                break;
            }
            for process in outside {
                // One of another user stays outside and is stopped by signals.
                if let Err(cause) = cell.take(process.id.pid)
                    && process.id == self.leader
                {
                    return Err(Unavailable::NotEntered {
                        path: cell.path().to_owned(),
                        cause: cause.to_string(),
                    });
                }
            }
        }
        let count = freezer::members(cell.path()).len();
        self.tree.cell = Some(cell.path().to_owned());
        self.cell = Some(cell);
        Ok(count)
    }

    /// Why the job may not be stopped by signals, in words.
    pub fn objection_in_words(&self) -> Option<String> {
        self.objection().map(|reason| reason.to_string())
    }

    /// Whether its keys reach it without us: it is in our own session and process group.
    pub(super) fn is_given_terminal(&self) -> bool {
        self.attached.is_none() && !self.has_own_session
    }

    /// Why the job may not be stopped by signals.
    pub(super) fn objection(&self) -> Option<Reason> {
        let Some(attached) = self.attached else {
            return self.is_given_terminal().then_some(Reason::HasTerminal);
        };
        if attached.force {
            None
        } else if !attached.leads_session {
            Some(Reason::SharesSession)
        } else if is_in_foreground(self.leader) {
            Some(Reason::Foreground)
        } else {
            None
        }
    }
}

/// What `/proc` says of a process beside what [`Process`] has.
struct Facts {
    /// The process that this is a thread of.
    process: i32,
    flags: u64,
    /// Real, effective, saved.
    users: [u32; 3],
}

impl Facts {
    fn of(pid: i32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let mut users = field("Uid:")?.split_ascii_whitespace();
        let mut user = || users.next()?.parse().ok();
        Some(Self {
            process: field("Tgid:")?.trim().parse().ok()?,
            flags: stat_fields(pid)?.get(9 - 3)?.parse().ok()?,
            users: [user()?, user()?, user()?],
        })
    }
}

/// Whether it is what a terminal's keys go to.
fn is_in_foreground(leader: ProcId) -> bool {
    // Fields 5, 7 and 8: process group, terminal, and the terminal's foreground group.
    stat_fields(leader.pid).is_some_and(|fields| {
        let field = |number: usize| fields.get(number - 3).map_or("0", String::as_str);
        field(7) != "0" && field(8) == field(5)
    })
}

/// `/proc/PID/stat` from field 3 on.
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Whether a process has started us, or whoever has.
pub(super) fn is_ancestor(pid: i32) -> bool {
    let mut at = nix::unistd::getppid().as_raw();
    // Links are read one after the other; a reused pid could close a circle.
    for _ in 0..64 {
        if at == pid {
            return true;
        }
        match Process::read(at) {
            Some(process) => at = process.parent,
            None => return false,
        }
    }
    false
}

fn arguments(line: &[u8]) -> Vec<std::ffi::OsString> {
    use std::os::unix::ffi::OsStrExt;
    line.split(|&byte| byte == 0)
        .map(|word| std::ffi::OsStr::from_bytes(word).to_owned())
        .collect()
}
