//! Files of the configuration while a run goes on. Their *directories* are watched: editors put another file in
//! the place of the old one, and mounted config maps swap a link, after which a file that was watched is gone.
//! Where no events come (NFS), a look now and then finds the same a little later.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::clock::monotonic;

/// A writer who pauses for so long is done.
const QUIET: Duration = Duration::from_millis(100);
/// Whoever writes all the time is looked at all the same.
const BUSY: Duration = Duration::from_secs(1);

/// Calls `look` once `patience` is over, soon after something has happened where one of the files is, and `every`
/// so often. It looks itself whether anything is different, and says whether to go on. Blocks, and is for a
/// thread of its own.
///
/// The patience is for a process that is over soon: at its end the kernel takes some twenty milliseconds to
/// forget what was watched.
pub fn watch(
    files: &[PathBuf],
    patience: Duration,
    every: Duration,
    mut look: impl FnMut() -> bool,
) {
    let until = monotonic() + patience;
    while monotonic() < until {
        std::thread::park_timeout(until.saturating_sub(monotonic()));
    }
    let mut watched = BTreeSet::new();
    let mut watching: Option<Watching> = None;
    loop {
        let directories = directories(files);
        if directories != watched || watching.is_none() {
            watching = Watching::begin(directories.iter().map(|(path, _)| path.as_path()));
            watched = directories;
        }
        // Also what happened before anybody watched.
        if !look() {
            return;
        }
        match &watching {
            Some(watching) => watching.wait(every),
            // No descriptor or no watch is left: looking now and then has to do.
            None => std::thread::park_timeout(every),
        }
    }
}

/// Where the files are, and where they are once links are followed, each with what tells it from another
/// directory of this name.
fn directories(files: &[PathBuf]) -> BTreeSet<(PathBuf, Option<(u64, u64)>)> {
    let mut found = BTreeSet::new();
    for file in files {
        let real = fs::canonicalize(file).ok();
        for path in [Some(file.clone()), real].into_iter().flatten() {
            // A directory that is not there yet is seen to be made. Further up too much else happens.
            let there = path.ancestors().skip(1).take(2).find(|path| path.is_dir());
            if let Some(directory) = there {
                let facts = fs::metadata(directory).ok();
                let identity = facts.map(|facts| (facts.dev(), facts.ino()));
                found.insert((directory.to_owned(), identity));
            }
        }
    }
    found
}

/// What may make a file here another one. That somebody opens or reads one is none of it, and would wake us for
/// each program that starts where `/etc` is watched.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

struct Watching(Inotify);

impl Watching {
    fn begin<'a>(directories: impl Iterator<Item = &'a Path>) -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
        let mut watches = 0;
        for directory in directories {
            watches += usize::from(inotify.add_watch(directory, CHANGES).is_ok());
        }
        (watches > 0).then_some(Self(inotify))
    }

    /// Until something has happened and it is quiet again, `every` at most.
    fn wait(&self, every: Duration) {
        if !self.has_happened(every) {
            return;
        }
        let until = monotonic() + BUSY;
        while monotonic() < until && self.has_happened(QUIET) {}
    }

    /// Whether something happens within this time.
    fn has_happened(&self, within: Duration) -> bool {
        let until = monotonic() + within;
        loop {
            let left = until.saturating_sub(monotonic());
            let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            let is_ready = poll(&mut fds, PollTimeout::from(millis)).is_ok_and(|ready| ready > 0);
            if is_ready {
                // Which one it was is looked at by whoever compares the files. Many may have come.
                while self.0.read_events().is_ok_and(|events| !events.is_empty()) {}
                return true;
            }
            if monotonic() >= until {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// What the file held at each look at which it was different.
    fn watched(file: &Path, every: Duration) -> Receiver<String> {
        let (sender, told) = channel();
        let file = file.to_owned();
        let read = move |file: &Path| fs::read_to_string(file).unwrap_or_default();
        let mut last = read(&file);
        sender.send(last.clone()).unwrap();
        let files = vec![file.clone()];
        std::thread::spawn(move || {
            watch(&files, Duration::ZERO, every, || {
                let now = read(&file);
                let differs = now != last;
                last.clone_from(&now);
                !differs || sender.send(now).is_ok()
            });
        });
        told
    }

    fn next(told: &Receiver<String>) -> Result<String, RecvTimeoutError> {
        told.recv_timeout(SOON)
    }

    /// Long enough that only an event can be the reason.
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_file_that_is_written_replaced_linked_or_made_is_seen() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("config.toml");
        let told = watched(&file, HOUR);
        assert_eq!(next(&told).unwrap(), "");
        // The watch may begin after this: then the first look finds it, so it is written until it was seen.
        let mut seen = false;
        while !seen {
            fs::write(&file, "made").unwrap();
            seen = told.recv_timeout(Duration::from_millis(50)).is_ok();
        }
        fs::write(&file, "written").unwrap();
        while next(&told).unwrap() != "written" {}
        fs::write(base.path().join(".new"), "replaced").unwrap();
        fs::rename(base.path().join(".new"), &file).unwrap();
        while next(&told).unwrap() != "replaced" {}
    }

    #[test]
    fn a_mounted_config_map_that_swaps_its_link_is_seen_each_time() {
        let base = tempfile::tempdir().unwrap();
        let version = |name: &str, text: &str| {
            let directory = base.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("config.toml"), text).unwrap();
            symlink(name, base.path().join("..data_tmp")).unwrap();
            fs::rename(base.path().join("..data_tmp"), base.path().join("..data")).unwrap();
        };
        version("..1", "one");
        let file = base.path().join("config.toml");
        symlink("..data/config.toml", &file).unwrap();
        let told = watched(&file, Duration::from_millis(500));
        assert_eq!(next(&told).unwrap(), "one");
        version("..2", "two");
        assert_eq!(next(&told).unwrap(), "two");
        fs::remove_dir_all(base.path().join("..1")).unwrap();
        version("..3", "three");
        assert_eq!(next(&told).unwrap(), "three");
    }

    #[test]
    fn without_events_a_look_now_and_then_finds_it() {
        let base = tempfile::tempdir().unwrap();
        // There is nothing that could be watched of a file in no directory.
        let file = base.path().join("later/on/config.toml");
        let told = watched(&file, Duration::from_millis(20));
        assert_eq!(next(&told).unwrap(), "");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "there").unwrap();
        assert_eq!(next(&told).unwrap(), "there");
    }

    #[test]
    fn reading_is_no_change() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("config.toml");
        fs::write(&file, "there").unwrap();
        let watching = Watching::begin(std::iter::once(base.path())).unwrap();
        for _ in 0..100 {
            fs::read(&file).unwrap();
        }
        assert!(!watching.has_happened(Duration::ZERO));
        fs::write(&file, "other").unwrap();
        assert!(watching.has_happened(SOON));
    }
}
