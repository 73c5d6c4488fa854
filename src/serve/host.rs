//! The machine around a run, looked at for its health.
//!
//! A disk may hang: whoever looks is a thread of its own that is left behind then, and no second one
//! is sent after it. What was seen is good for a few seconds, so that no peer can have us look all
//! the time.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::facts::Own;
use crate::clock::{monotonic, own_processor_time};

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what was seen is good for.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// What was seen of the machine.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Processes that want to run, over the last minute.
    pub load: Option<f64>,
    /// Processors that we may use.
    pub processors: usize,
    /// Memory: what is available, and all of it.
    pub memory: Option<Space>,
    /// The disks of our directories, by name; or why one could not be looked at.
    pub disks: Vec<(&'static str, Result<Space, String>)>,
}

/// Bytes that are free, of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// For us.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Looks at the machine.
#[derive(Debug)]
pub struct Lookers {
    /// Our directories, by name.
    directories: Vec<(&'static str, PathBuf)>,
    /// What was last seen, and when. Held over a look: whoever comes meanwhile sees what it sees.
    last: Mutex<Option<(Duration, Host)>>,
    is_looking: Arc<AtomicBool>,
}

impl Lookers {
    /// At these directories, by name.
    pub fn new(directories: Vec<(&'static str, PathBuf)>) -> Self {
        Self {
            directories,
            last: Mutex::new(None),
            is_looking: Arc::default(),
        }
    }

    /// What is seen now, or was a few seconds ago. Takes two seconds at most.
    pub async fn look(&self) -> Host {
        let mut last = self.last.lock().await;
        if let Some((at, host)) = &*last
            && monotonic().saturating_sub(*at) < GOOD_FOR
        {
            return host.clone();
        }
        let host = Host {
            disks: self.disks().await,
            ..around()
        };
        *last = Some((monotonic(), host.clone()));
        host
    }

    async fn disks(&self) -> Vec<(&'static str, Result<Space, String>)> {
        let hangs = || {
            let why = format!("it does not answer within {} s", PATIENCE.as_secs());
            let all = self.directories.iter();
            all.map(|(name, _)| (*name, Err(why.clone()))).collect()
        };
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return hangs();
        }
        let (sender, seen) = oneshot::channel();
        let (directories, is_looking) = (self.directories.clone(), self.is_looking.clone());
        let looking = move || {
            let all = directories.into_iter();
            let seen: Vec<_> = all.map(|(name, path)| (name, space(path))).collect();
            is_looking.store(false, Ordering::Release);
            drop(sender.send(seen));
        };
        let thread = std::thread::Builder::new().name("health".to_owned());
        if let Err(error) = thread.spawn(looking) {
            self.is_looking.store(false, Ordering::Release);
            let all = self.directories.iter();
            return all
                .map(|(name, _)| (*name, Err(error.to_string())))
                .collect();
        }
        match timeout(PATIENCE, seen).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(_)) | Err(_) => hangs(),
        }
    }
}

/// Of the disk that a directory is on, or will be once it is made.
fn space(path: PathBuf) -> Result<Space, String> {
    let there = path.ancestors().find(|path| path.is_dir());
    let there = there.ok_or_else(|| format!("there is no {}", path.display()))?;
    let facts = statvfs(there).map_err(|error| format!("{}: {error}", there.display()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.fragment_size());
    Ok(Space {
        free: bytes(facts.blocks_available()),
        total: bytes(facts.blocks()),
    })
}

/// What the kernel tells at once.
fn around() -> Host {
    Host {
        load: load(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory: memory(),
        disks: Vec::new(),
    }
}

fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn memory() -> Option<Space> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    Some(Space {
        free: kilobytes(&text, "MemAvailable:")?,
        total: kilobytes(&text, "MemTotal:")?,
    })
}

/// The bytes in a line such as `MemTotal:  16318480 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number << 10)
}

/// What this process needs.
pub fn own() -> Own {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let open: io::Result<fs::ReadDir> = fs::read_dir("/proc/self/fd");
    Own {
        processor_s: own_processor_time().as_secs_f64(),
        resident: kilobytes(&status, "VmRSS:"),
        // The one that lists them is none of them.
        descriptors: open
            .ok()
            .map(|open| (open.count() as u64).saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_seen_a_moment_ago_is_good_and_a_directory_may_still_have_to_be_made() {
        let here = tempfile::tempdir().unwrap();
        let lookers = Lookers::new(vec![("state", here.path().join("not/yet"))]);
        let seen = lookers.look().await;
        let [("state", Ok(space))] = seen.disks.as_slice() else {
            panic!("{seen:?}");
        };
        assert!(space.total > 0 && space.free <= space.total);
        drop(here);
        assert!(lookers.look().await.disks[0].1.is_ok());
    }

    #[tokio::test]
    async fn who_comes_during_a_look_sees_what_it_sees() {
        let lookers = Lookers::new(vec![("state", PathBuf::from("/"))]);
        let (one, other) = tokio::join!(lookers.look(), lookers.look());
        assert!(one.disks[0].1.is_ok() && one.disks == other.disks);
    }

    #[tokio::test]
    async fn while_a_look_hangs_no_second_one_is_tried() {
        let lookers = Lookers::new(vec![("state", PathBuf::from("/"))]);
        lookers.is_looking.store(true, Ordering::Release);
        let seen = lookers.look().await;
        let why = seen.disks[0].1.as_ref().unwrap_err();
        assert!(why.contains("does not answer"), "{why}");
    }

    #[test]
    fn the_supervisor_knows_what_it_needs_itself() {
        let own = own();
        assert!(own.resident.is_some_and(|bytes| bytes > 1 << 20), "{own:?}");
        assert!(own.descriptors.is_some_and(|count| count > 2), "{own:?}");
    }
}
