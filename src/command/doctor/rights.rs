//! What the executor needs of the kernel: to freeze, to name processes for good, to see and signal them,
//! to be guarded, to adopt orphans.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::around::Around;
use crate::doctor::Finding;
use crate::executor::facts::Hiding;
use crate::executor::freezer::{Freezer, Unavailable};

/// How long a watchdog may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Linux that has `cgroup.freeze`.
const FREEZES: (u32, u32) = (5, 2);
/// Locked memory that libraries for InfiniBand get along with, in bytes.
const ENOUGH: u64 = 1 << 30;

/// `--pause-with freeze`. It is looked at and not tried: making a cgroup would thaw what dead supervisors
/// have left in one.
pub(super) fn freezer(around: &Around) -> Vec<Finding> {
    const NAME: &str = "freezer";
    let found = Freezer::find(&around.root).and_then(|freezer| {
        let is_old = around
            .read("proc/sys/kernel/osrelease")
            .is_some_and(|release| version(&release).is_some_and(|version| version < FREEZES));
        match is_old {
            true => Err(Unavailable::NoFreezer),
            false => Ok(freezer),
        }
    });
    let left = found
        .iter()
        .flat_map(|freezer| left_frozen(around, freezer));
    let left: Vec<Finding> = left
        .map(|cell| {
            let found = "a job whose supervisor and watchdog were killed is frozen";
            let fix = format!("echo 0 > {}", cell.join("cgroup.freeze").display());
            Finding::broken(NAME, found, fix)
        })
        .collect();
    if !left.is_empty() {
        return left;
    }
    vec![match found {
        Ok(freezer) => {
            let own = freezer.own().display().to_string();
            let own = own.trim_end_matches('/');
            Finding::ok(NAME, format!("--pause-with freeze works, below {own}"))
        }
        Err(why) => Finding::better(
            NAME,
            format!("--pause-with freeze falls back to stop: {why}"),
            why.fix(),
        ),
    }]
}

/// Cgroups of jobs that are frozen, and whose supervisors are not there: `catrain-PID-N`.
fn left_frozen(around: &Around, freezer: &Freezer) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(freezer.own()).into_iter().flatten();
    let cells = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix("catrain-"));
        let pid = name.and_then(|name| name.split_once('-')?.0.parse::<u32>().ok());
        pid.is_some_and(|pid| !around.root.join(format!("proc/{pid}")).exists())
    });
    let cells = cells.map(|cell| cell.path());
    let mut frozen: Vec<PathBuf> = cells
        .filter(|cell| {
            let asked = std::fs::read(cell.join("cgroup.freeze"));
            asked.is_ok_and(|asked| asked.starts_with(b"1"))
        })
        .collect();
    frozen.sort();
    frozen
}

/// `6.8.0-45-generic`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(['.', '-'])
        .map(|number| number.trim().parse());
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether a reused pid can be hit.
pub(super) fn pidfds(around: &Around) -> Vec<Finding> {
    const NAME: &str = "pidfds";
    let pidfds = around.trials.pidfds();
    vec![match pidfds.fix() {
        None => Finding::ok(
            NAME,
            "processes are named for good, however often pids are reused",
        ),
        Some(fix) => Finding::better(NAME, pidfds.to_string(), fix),
    }]
}

/// What may be done to a job of ours: signals, its environment, its state.
pub(super) fn processes(around: &Around) -> Vec<Finding> {
    const NAME: &str = "processes";
    let reach = match around.trials.reach(&around.root) {
        Ok(reach) => reach,
        Err(error) => {
            let found = format!("no process can be started: {error}");
            return vec![Finding::broken(NAME, found, more_processes(&error))];
        }
    };
    let fix = reach.fix().unwrap_or_default();
    if let Err(why) = &reach.signal {
        let found = format!("a job of ours cannot be sent signals ({why}): no pause works");
        return vec![Finding::broken(NAME, found, fix)];
    }
    if let Err(why) = &reach.state {
        let found =
            format!("whether a job of ours stands still cannot be seen ({why}): no pause works");
        return vec![Finding::broken(NAME, found, fix)];
    }
    if let Err(why) = &reach.environment {
        let found = format!("ranks of a job are not found: its environment cannot be read ({why})");
        return vec![Finding::better(NAME, found, fix)];
    }
    let hiding = match reach.hiding {
        Hiding::Nothing => "",
        Hiding::Contents | Hiding::Processes => {
            "; /proc hides those of others, so that who else is on a GPU has no name"
        }
    };
    let scope = match reach.ptrace_scope {
        None | Some(0) => String::new(),
        Some(scope) => format!(
            "; ptrace_scope is {scope}: no matter here, but a debugger or py-spy needs to be its parent"
        ),
    };
    let found = format!("jobs can be signalled, seen and read{hiding}{scope}");
    vec![Finding::ok(NAME, found)]
}

/// Who wakes a paused job when we cannot: started, and heard.
pub(super) fn watchdog(around: &Around) -> Vec<Finding> {
    const NAME: &str = "watchdog";
    vec![match around.trials.watchdog(PATIENCE.min(around.left())) {
        Ok(took) => {
            let ms = took.as_secs_f64() * 1e3;
            Finding::ok(NAME, format!("starts, and answers after {ms:.0} ms"))
        }
        Err(error) => {
            let fix = match error.kind() {
                io::ErrorKind::PermissionDenied => format!(
                    "chmod +x {}; if that does not help, its file system is mounted noexec: copy it to another",
                    around.program.display()
                ),
                io::ErrorKind::NotFound => {
                    "mount /proc: mount -t proc proc /proc; it is started from /proc/self/exe"
                        .to_owned()
                }
                io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof => {
                    "look what ends or delays new processes: sudo dmesg | tail".to_owned()
                }
                _ => more_processes(&error),
            };
            let found = format!("cannot be started: {error}; without it nothing is paused");
            Finding::broken(NAME, found, fix)
        }
    }]
}

fn more_processes(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => "ulimit -u raises how many processes you may have (or pids.max of the cgroup); or end some".to_owned(),
        io::ErrorKind::OutOfMemory => "free some memory".to_owned(),
        _ => "allow fork and exec in the seccomp profile of the container or service".to_owned(),
    }
}

/// Whether workers that lose their parent stay within reach.
pub(super) fn orphans(around: &Around) -> Vec<Finding> {
    const NAME: &str = "orphans";
    vec![match around.trials.adopts_orphans() {
        Ok(()) => Finding::ok(
            NAME,
            "workers that lose their parent are adopted and paused as well",
        ),
        Err(error) => Finding::better(
            NAME,
            format!("workers that lose their parent and leave the session are not paused: {error}"),
            "allow prctl(PR_SET_CHILD_SUBREAPER) in the seccomp profile of the container or service",
        ),
    }]
}

/// Memory that may be locked, where InfiniBand needs it: NCCL registers its buffers anew after each
/// restart, and fails late where it may not.
pub(super) fn locked_memory(around: &Around) -> Vec<Finding> {
    const NAME: &str = "locked memory";
    let devices = std::fs::read_dir(around.root.join("sys/class/infiniband"));
    if devices.into_iter().flatten().next().is_none() {
        return Vec::new();
    }
    let limits = around.read("proc/self/limits").unwrap_or_default();
    let Some((soft, hard)) = limits.lines().find_map(locked) else {
        return Vec::new();
    };
    vec![match soft {
        Some(bytes) if bytes < ENOUGH => Finding::better(
            NAME,
            format!(
                "{} KiB may be locked and there is InfiniBand: ranks may fail to register their buffers",
                bytes >> 10
            ),
            match hard {
                None => "ulimit -l unlimited".to_owned(),
                Some(_) => "LimitMEMLOCK=infinity in the unit of the batch system's daemon, or `* hard memlock unlimited` in /etc/security/limits.d".to_owned(),
            },
        ),
        _ => Finding::ok(NAME, "enough may be locked for InfiniBand"),
    }]
}

/// Soft and hard limit of `Max locked memory`, in bytes; none: unlimited.
fn locked(line: &str) -> Option<(Option<u64>, Option<u64>)> {
    let rest = line.strip_prefix("Max locked memory")?;
    let mut numbers = rest.split_ascii_whitespace().map(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_linux_are_read_whatever_distributions_append() {
        assert_eq!(version("6.8.0-45-generic\n"), Some((6, 8)));
        assert_eq!(version("4.18.0-553.el8"), Some((4, 18)));
        assert_eq!(version("5.2-rc1"), Some((5, 2)));
        assert_eq!(version("unknown"), None);
        assert!((4, 18) < FREEZES && FREEZES <= (5, 2));
    }

    #[test]
    fn limits_are_read_as_proc_writes_them() {
        let line = |soft: &str| {
            format!("Max locked memory         {soft}        unlimited            bytes     ")
        };
        assert_eq!(locked(&line("65536")), Some((Some(65536), None)));
        assert_eq!(locked(&line("unlimited")), Some((None, None)));
        assert_eq!(locked("Max processes 1 2 processes"), None);
    }
}
