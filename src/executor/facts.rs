//! What the executor can do here, for `doctor`: each fact is tried, not guessed from versions, and says
//! what to do where it fails. The freezer is tried by [`super::freezer::try_out`].

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;

use super::process::{self, Process};

/// Whether processes can be named so that a reused pid is never hit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pidfds {
    /// They can.
    #[error("pidfds work")]
    Work,
    /// The kernel is older than 5.3.
    #[error("this kernel has no `{call}`; pid and start time take its place")]
    Missing {
        /// The system call.
        call: &'static str,
    },
    /// A sandbox says no.
    #[error("`{call}` is not allowed here ({cause}); pid and start time take its place")]
    Forbidden {
        /// The system call.
        call: &'static str,
        /// What the kernel said.
        cause: String,
    },
}

impl Pidfds {
    /// What to do about it.
    pub fn fix(&self) -> Option<&'static str> {
        match self {
            Self::Work => None,
            Self::Missing { .. } => Some("Linux 5.3 or later has it"),
            Self::Forbidden { .. } => {
                Some("allow it in the seccomp profile of the container or service")
            }
        }
    }
}

/// Tries both calls on this very process.
pub fn pidfds() -> Pidfds {
    let failed = |call, error: rustix::io::Errno| match error {
        rustix::io::Errno::NOSYS => Pidfds::Missing { call },
        other => Pidfds::Forbidden {
            call,
            cause: io::Error::from(other).to_string(),
        },
    };
    if process::pidfds_are_forbidden() {
        return Pidfds::Forbidden {
            call: "pidfd_open",
            cause: "by a test".to_owned(),
        };
    }
    let flags = rustix::process::PidfdFlags::empty();
    let handle = match rustix::process::pidfd_open(rustix::process::getpid(), flags) {
        Ok(handle) => handle,
        Err(error) => return failed("pidfd_open", error),
    };
    // Signal 0 only asks. It is none, so that rustix has no name for it.
    // SAFETY: takes the descriptor, which lives through the call, integers, and no pointer but null.
    let asked = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            handle.as_raw_fd(),
            0,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match asked {
        0 => Pidfds::Work,
        _ => {
            let errno = rustix::io::Errno::from_raw_os_error(Errno::last_raw());
            failed("pidfd_send_signal", errno)
        }
    }
}

/// How far `/proc` hides processes: `hidepid` of proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hiding {
    /// Everybody sees everybody.
    Nothing,
    /// `hidepid=1`: what others do cannot be read.
    Contents,
    /// `hidepid=2` or `4`: others are not there.
    Processes,
}

/// What may be done to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Why it may not be sent signals; needed for every pause.
    pub signal: Result<(), String>,
    /// Why its environment may not be read; needed to find ranks.
    pub environment: Result<(), String>,
    /// Why its state may not be read; needed to see that it is paused.
    pub state: Result<(), String>,
    /// How `/proc` is mounted.
    pub hiding: Hiding,
    /// `ptrace_scope` of the Yama module: 0 to 3; none without it. From 1 on nobody attaches a debugger to
    /// a process that is not its child. Nothing here needs that, but `py-spy` does.
    pub ptrace_scope: Option<u8>,
}

impl Reach {
    /// What to do about it, as far as something fails.
    pub fn fix(&self) -> Option<&'static str> {
        let hides = self.hiding != Hiding::Nothing;
        match (&self.signal, &self.state, &self.environment) {
            (Ok(()), Ok(()), Ok(())) => None,
            (Err(_), _, _) => {
                Some("run catrain as the user that the job runs as, without sudo within")
            }
            _ if hides => {
                Some("mount /proc with `hidepid=0`, or with `gid=` of a group that you are in")
            }
            _ => {
                Some("run catrain as the user that the job runs as, without setuid programs within")
            }
        }
    }
}

/// What may be done to this process. `root` is `/`, or what a test has made of mounts and settings.
pub fn reach(root: &Path, pid: i32) -> Reach {
    // SAFETY: kill takes plain integers; signal 0 only asks.
    let signal = Errno::result(unsafe { libc::kill(pid, 0) });
    let environment = std::fs::read(format!("/proc/{pid}/environ"));
    let mounts = std::fs::read_to_string(root.join("proc/self/mounts")).unwrap_or_default();
    let scope = std::fs::read_to_string(root.join("proc/sys/kernel/yama/ptrace_scope"));
    Reach {
        signal: signal.map(|_| ()).map_err(|errno| errno.desc().to_owned()),
        environment: environment.map(|_| ()).map_err(|error| error.to_string()),
        state: match Process::read(pid) {
            Some(_) => Ok(()),
            None => Err("`/proc` does not show it".to_owned()),
        },
        hiding: hiding(&mounts),
        ptrace_scope: scope.ok().and_then(|text| text.trim().parse().ok()),
    }
}

/// What may be done to a child of ours: starts one, looks, and ends it.
///
/// # Errors
/// No process can be started.
pub fn reach_of_child(root: &Path) -> io::Result<Reach> {
    // It waits for its stdin and ends with it.
    let mut child = Command::new("sh")
        .args(["-c", "read _"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let reach = reach(root, child.id().cast_signed());
    drop(child.stdin.take());
    child.wait()?;
    Ok(reach)
}

/// The last mount on `/proc` counts.
fn hiding(mounts: &str) -> Hiding {
    let options = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
        (point == "/proc" && kind == "proc").then_some(options)
    });
    let mut options = options.unwrap_or_default().split(',');
    match options.find_map(|option| option.strip_prefix("hidepid=")) {
        None | Some("0" | "off") => Hiding::Nothing,
        Some("1" | "noaccess") => Hiding::Contents,
        Some(_) => Hiding::Processes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_child_is_within_reach() {
        let reach = reach_of_child(Path::new("/")).unwrap();
        assert_eq!((&reach.signal, &reach.environment), (&Ok(()), &Ok(())));
        assert_eq!((&reach.state, reach.fix()), (&Ok(()), None));
    }

    #[test]
    fn pidfds_are_tried_without_harm() {
        // A kernel or a sandbox may be without them, and that is told.
        let pidfds = pidfds();
        assert_eq!(pidfds == Pidfds::Work, pidfds.fix().is_none(), "{pidfds}");
    }

    #[test]
    fn who_is_gone_is_out_of_reach_and_the_fix_is_named() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let reach = reach(Path::new("/"), child.id().cast_signed());
        assert!(reach.signal.is_err() && reach.environment.is_err() && reach.state.is_err());
        assert!(reach.fix().is_some());
    }

    #[test]
    fn what_proc_hides_is_read_from_its_mount() {
        for (options, hides) in [
            ("rw,nosuid", Hiding::Nothing),
            ("rw,hidepid=0", Hiding::Nothing),
            ("rw,gid=5,hidepid=1", Hiding::Contents),
            ("rw,hidepid=noaccess", Hiding::Contents),
            ("rw,hidepid=2", Hiding::Processes),
            ("rw,hidepid=invisible", Hiding::Processes),
            ("rw,hidepid=ptraceable", Hiding::Processes),
        ] {
            let mounts = format!(
                "proc /proc proc rw,hidepid=1 0 0\nproc /proc proc {options} 0 0\n\
                 proc /elsewhere/proc proc rw,hidepid=2 0 0\n"
            );
            assert_eq!(hiding(&mounts), hides, "{options}");
        }
    }

    #[test]
    fn settings_are_read_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/kernel/yama");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ptrace_scope"), "2\n").unwrap();
        let me = std::process::id().cast_signed();
        assert_eq!(reach(root.path(), me).ptrace_scope, Some(2));
        assert_eq!(reach(&root.path().join("none"), me).ptrace_scope, None);
    }

    #[test]
    fn what_fails_says_what_to_do() {
        let call = "pidfd_open";
        let missing = Pidfds::Missing { call };
        let cause = "Operation not permitted (os error 1)".to_owned();
        let forbidden = Pidfds::Forbidden { call, cause };
        for pidfds in [missing, forbidden] {
            assert!(pidfds.fix().is_some() && pidfds.to_string().contains(call));
        }
        assert_eq!(Pidfds::Work.fix(), None);
    }
}
