//! Where catrain keeps its things: whose, how open, writable, with room, and with locks.
//!
//! A file without a name is made to see what a disk takes; nothing of it stays.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, access};

use super::around::Around;
use crate::doctor::Finding;
use crate::patience::within;

const NAME: &str = "directories";
/// How long a disk may take, so that all four are told of in time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes with which a disk is full.
const FULL: u64 = 1 << 20;
/// Bytes that a month of runs may take.
const LOW: u64 = 100 << 20;
/// `sun_path` of unix(7), with the zero byte at its end.
const LONGEST_SOCKET: usize = 108;
/// The longest name of a socket that is to be expected: `/r7k2m3.sock`.
const SOCKET_NAME: usize = 12;

/// One of them.
#[derive(Clone, Debug)]
struct Directory {
    what: &'static str,
    variable: &'static str,
    path: Option<PathBuf>,
}

/// What is known of one that is there, or is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    /// Bytes that the user may still write.
    free: u64,
    /// Why there are no locks.
    no_locks: Option<String>,
}

/// All four.
pub(super) fn directories(around: &Around) -> Vec<Finding> {
    let own = &around.directories;
    let all = [
        ("state", "CATRAIN_STATE_DIR", own.state.clone()),
        ("cache", "CATRAIN_CACHE_DIR", own.cache.clone()),
        (
            "runtime",
            "CATRAIN_RUNTIME_DIR",
            own.runtimes.first().cloned(),
        ),
        ("config", "CATRAIN_CONFIG_DIR", own.config.clone()),
    ];
    let all = all.map(|(what, variable, path)| Directory {
        what,
        variable,
        path,
    });
    let mut found = Vec::new();
    let mut free = u64::MAX;
    for directory in &all {
        let asked = directory.clone();
        match within(PATIENCE.min(around.left()), move || look(&asked)) {
            Ok(Ok(facts)) => {
                free = free.min(facts.free);
                found.extend(judge(directory, &facts));
            }
            Ok(Err(finding)) => found.push(finding),
            Err(_) => {
                let silent = format!("{} does not answer", directory.place());
                let fix = "is it a network disk? export {} on a disk of this host";
                found.push(directory.broken(silent, fix));
            }
        }
    }
    if found.is_empty() {
        let words = format!(
            "state, cache, runtime and config are yours alone; {} free at least",
            size(free)
        );
        found.push(Finding::ok(NAME, words));
    }
    found
}

impl Directory {
    fn place(&self) -> String {
        match &self.path {
            Some(path) => format!("{} ({})", self.what, path.display()),
            None => self.what.to_owned(),
        }
    }

    /// In a fix, `{}` stands for the variable that moves it.
    fn broken(&self, found: impl Into<String>, fix: &str) -> Finding {
        Finding::broken(NAME, found, fix.replace("{}", self.variable))
    }

    fn better(&self, found: impl Into<String>, fix: &str) -> Finding {
        Finding::better(NAME, found, fix.replace("{}", self.variable))
    }

    /// Whether it is only read.
    fn is_config(&self) -> bool {
        self.what == "config"
    }
}

fn look(directory: &Directory) -> Result<Facts, Finding> {
    let place = directory.place();
    let Some(path) = &directory.path else {
        return Err(directory.broken(
            format!(
                "there is no {place} directory: neither HOME nor {} is set",
                directory.variable
            ),
            "export {} to a directory of yours",
        ));
    };
    if directory.what == "runtime" && path.as_os_str().len() + SOCKET_NAME >= LONGEST_SOCKET {
        return Err(directory.broken(
            format!("{place}: the path is too long for a socket in it, so that runs cannot be controlled"),
            "export {}=/tmp/catrain-$(id -u), or another short path",
        ));
    }
    let shown = path.display();
    let facts = match std::fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return not_there(directory, path),
        Err(error) => {
            return Err(directory.broken(
                format!("{place}: {error}"),
                "export {} to a directory of yours",
            ));
        }
    };
    if facts.is_symlink() && !directory.is_config() {
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let fix = format!("export {{}}={}, where it leads", target.display());
        return Err(directory.broken(format!("{place} is a link, which is not followed"), &fix));
    }
    let facts = std::fs::metadata(path).unwrap_or(facts);
    if !facts.is_dir() {
        let fix = format!("move {shown} away, or export {{}} elsewhere");
        return Err(directory.broken(format!("{place} is no directory"), &fix));
    }
    let me = Uid::effective().as_raw();
    if facts.uid() != me && !(directory.is_config() && facts.uid() == 0) {
        let fix = format!("sudo chown -R $(id -u) {shown}, or export {{}} elsewhere");
        let found = format!("{place} belongs to uid {}, not to you", facts.uid());
        return Err(directory.broken(found, &fix));
    }
    let open = if directory.is_config() { 0o022 } else { 0o077 };
    if facts.mode() & open != 0 {
        let can = match facts.mode() & 0o022 {
            0 => "look into",
            _ => "write",
        };
        let fix = format!("chmod 700 {shown}");
        return Err(directory.better(format!("others can {can} {place}"), &fix));
    }
    if directory.is_config() {
        return Ok(Facts {
            free: u64::MAX,
            no_locks: None,
        });
    }
    may_write(directory, path)?;
    let no_locks = locks(path).map_err(|error| {
        let fix = format!("touch {shown}/x shows it; make room there, or export {{}} elsewhere");
        directory.broken(format!("nothing can be written in {place}: {error}"), &fix)
    })?;
    Ok(Facts {
        free: free(path),
        no_locks,
    })
}

/// It will be made, if that can be done.
fn not_there(directory: &Directory, path: &Path) -> Result<Facts, Finding> {
    let above = path.ancestors().skip(1).find(|above| above.exists());
    let above = above.unwrap_or(Path::new("/"));
    if !directory.is_config() {
        may_write(directory, above)?;
    }
    Ok(Facts {
        free: if directory.is_config() {
            u64::MAX
        } else {
            free(above)
        },
        no_locks: None,
    })
}

fn may_write(directory: &Directory, path: &Path) -> Result<(), Finding> {
    let place = directory.place();
    let shown = path.display();
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    let is_file = !path.is_dir();
    match access(path, wanted) {
        Ok(()) if is_file => {
            let fix = format!("move {shown} away, or export {{}} elsewhere");
            Err(directory.broken(format!("{place} cannot be made: {shown} is a file"), &fix))
        }
        Ok(()) => Ok(()),
        Err(Errno::EROFS) => Err(directory.broken(
            format!("{place} is on a file system that is read-only"),
            "export {} to a directory that can be written",
        )),
        Err(error) => {
            let fix = format!("chmod u+rwx {shown}, or export {{}} to a directory of yours");
            let found = format!("{place} cannot be written: {shown}: {}", error.desc());
            Err(directory.broken(found, &fix))
        }
    }
}

/// Why there are no locks, if there are none.
///
/// # Errors
/// No file can be made there.
fn locks(path: &Path) -> io::Result<Option<String>> {
    let file: File = tempfile::tempfile_in(path)?;
    Ok(match file.try_lock() {
        Err(TryLockError::Error(error)) => Some(error.to_string()),
        Ok(()) | Err(TryLockError::WouldBlock) => None,
    })
}

/// Bytes that the user may still write there; where nobody tells, as many as one likes.
fn free(path: &Path) -> u64 {
    let Ok(told) = statvfs(path) else {
        return u64::MAX;
    };
    // Some file systems do not count files.
    if told.files() > 0 && told.files_available() == 0 {
        return 0;
    }
    told.blocks_available().saturating_mul(told.fragment_size())
}

/// What of one that can be used is not as it should be.
fn judge(directory: &Directory, facts: &Facts) -> Vec<Finding> {
    let place = directory.place();
    let mut found = Vec::new();
    let room = "df -h shows it; make room there, or export {} elsewhere";
    if facts.free < FULL {
        let full = format!("{place}: the disk is full, and nothing can be recorded");
        found.push(directory.broken(full, room));
    } else if facts.free < LOW {
        let low = format!("{place}: {} are left", size(facts.free));
        found.push(directory.better(low, room));
    }
    if let Some(why) = &facts.no_locks {
        found.push(directory.better(
            format!("{place} is on a file system without locks ({why}): two runs may be in each other's way"),
            "export {} on a disk of this host, or mount it with -o flock",
        ));
    }
    found
}

/// `12 GB`.
fn size(bytes: u64) -> String {
    match bytes {
        u64::MAX => "enough".to_owned(),
        bytes if bytes < 1_000_000 => format!("{} kB", bytes / 1000),
        bytes if bytes < 1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        bytes => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    fn state() -> Directory {
        Directory {
            what: "state",
            variable: "CATRAIN_STATE_DIR",
            path: Some("/s".into()),
        }
    }

    #[test]
    fn room_and_locks_are_judged_and_the_fix_names_the_variable() {
        let judged = |free, no_locks: Option<&str>| {
            let no_locks = no_locks.map(str::to_owned);
            judge(&state(), &Facts { free, no_locks })
        };
        let outcome = |free| judged(free, None).first().map(|found| found.outcome);
        assert_eq!(outcome(0), Some(Outcome::Broken));
        assert_eq!(outcome(FULL), Some(Outcome::CouldBeBetter));
        assert_eq!(outcome(LOW), None);
        let [found] = &judged(LOW, Some("not supported"))[..] else {
            panic!("one thing is wrong");
        };
        assert!(found.found.contains("without locks (not supported)"));
        assert!(found.fix.as_ref().unwrap().contains("CATRAIN_STATE_DIR"));
    }

    #[test]
    fn a_disk_of_this_host_has_locks_and_nothing_stays_of_the_trial() {
        let here = tempfile::tempdir().unwrap();
        assert_eq!(locks(here.path()).unwrap(), None);
        assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!(
            [size(2_000), size(37_000_000), size(12_345_678_901)],
            ["2 kB", "37 MB", "12 GB"]
        );
    }
}
