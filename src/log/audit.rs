//! Acts that somebody answers for, a line each: who paused or stopped which run, who changed a key
//! or the configuration.
//!
//! They go into `audit.jsonl` in the state directory, 0600, beside the log and whatever is logged; a
//! run that nobody touches leaves nothing there. By the same queue and thread as the log: an act is
//! never held up by its line. Old files are put aside, `audit.jsonl.1` being the newest of them.
//!
//! ```text
//! {"schema":"catrain.audit/1","at":"…","host":"node7","run":"r7k2","act":"pause",
//!  "uid":1000,"pid":4711,"program":"catrain","outcome":"done"}
//! ```
//!
//! `uid` and `pid` are what the kernel says of the peer of a control socket; of an own command, what
//! it says of this process. `program` is the name that the process gives itself, and proves nothing.
//! `login_uid` is who logged in, where the kernel keeps that: it outlives `su` and `sudo`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Pid, Uid, getpid, getppid};

use super::Rotation;

/// Under which name acts are said.
pub(super) const TARGET: &str = "catrain::audit";
/// Some ten thousand acts a file, and years of them.
pub(super) const ROTATION: Rotation = Rotation {
    largest: 4 << 20,
    oldest: Duration::from_hours(3653 * 24),
    keep: 9,
};

/// The file in this state directory.
pub fn path(state: &Path) -> PathBuf {
    state.join("audit.jsonl")
}

/// Who has done it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user.
    pub uid: u32,
    /// The process; none where it is outside of our namespace.
    pub pid: Option<i32>,
    /// What it calls itself.
    pub program: Option<String>,
    /// Who logged in.
    pub login_uid: Option<u32>,
}

impl Who {
    /// The peer of a socket, as the kernel knows it. Reads two small files of `/proc`, which never
    /// wait for a disk.
    pub fn peer(uid: u32, pid: Option<i32>) -> Self {
        // 0: it is outside of our namespace.
        let pid = pid.filter(|pid| *pid > 0);
        let of = |name: &str| {
            let text = fs::read_to_string(format!("/proc/{}/{name}", pid?)).ok()?;
            Some(text.trim().to_owned())
        };
        let login = of("loginuid").and_then(|text| text.parse().ok());
        Self {
            uid,
            pid,
            program: of("comm"),
            // Of nobody who logged in: all ones.
            login_uid: login.filter(|uid| *uid != u32::MAX),
        }
    }

    /// The owner of what was changed, where nobody knows the process that did it.
    pub fn owner() -> Self {
        Self::peer(Uid::current().as_raw(), None)
    }

    /// Whoever started this process. Its user, and the process that it was started by, since
    /// its own name says nothing.
    pub fn starter() -> Self {
        let starter = match getppid() {
            parent if parent > Pid::from_raw(1) => parent,
            _ => getpid(),
        };
        Self::peer(Uid::current().as_raw(), Some(starter.as_raw()))
    }
}

/// What came of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused, and nothing was changed.
    Refused,
    /// Whoever asked left before the answer: it may have been done.
    Unheard,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unheard => "unheard",
        }
    }
}

/// Notes an act. `what` says it in a word or two (`pause`, `key set`), `of` whose or which, where that
/// does not go without saying.
pub fn note(what: &str, of: Option<&str>, who: &Who, outcome: Outcome) {
    tracing::info!(
        target: TARGET,
        of,
        uid = who.uid,
        pid = who.pid,
        program = who.program,
        login_uid = who.login_uid,
        outcome = outcome.as_str(),
        "{what}"
    );
}

/// Notes that whoever started this process has done something, or has tried to.
///
/// # Errors
/// Those of the act.
pub fn own<T, E>(what: &str, of: Option<&str>, act: Result<T, E>) -> Result<T, E> {
    let outcome = match act {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Refused,
    };
    note(what, of, &Who::starter(), outcome);
    act
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_what_the_kernel_says_of_it() {
        let own = Who::peer(7, Some(getpid().as_raw()));
        assert_eq!((own.uid, own.pid), (7, Some(getpid().as_raw())));
        assert!(own.program.is_some());
        let outside = Who::peer(7, Some(0));
        assert_eq!((outside.pid, outside.program), (None, None));
        assert!(Who::starter().pid.is_some());
    }
}
