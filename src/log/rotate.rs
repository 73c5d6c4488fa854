//! A file of lines that is put aside when it is large or old, 0600, written by any number of
//! processes at once.
//!
//! Each line is one write to a file that is open for appending, so that lines of two processes do not
//! tear each other. Before it, it is looked whether the path still leads to the open file: another
//! process may have put it aside, and somebody may have removed it, or its directory. Whoever
//! finds it large or old takes the lock that lies on the file itself; who does not get it goes on
//! writing and finds the new file by the next line. `log`, `log.1`, `log.2`, …: the highest is the
//! oldest, and what is beyond the number that is kept is removed.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::dirs;

/// When a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that a file may have.
    pub largest: u64,
    /// How long a file is written to.
    pub oldest: Duration,
    /// How many of those put aside are kept.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            largest: 10 << 20,
            oldest: Duration::from_hours(7 * 24),
            keep: 5,
        }
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
    /// A line was cut short by a full disk: the next one begins on a line of its own.
    is_torn: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    began: Timestamp,
}

impl Rotating {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf, rotation: Rotation) -> Self {
        Self {
            path,
            rotation,
            open: None,
            is_torn: false,
        }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, which has its line end.
    ///
    /// # Errors
    /// The file cannot be opened or written, or it is not ours alone. The next line tries again.
    pub(super) fn write(&mut self, now: Timestamp, line: &str) -> io::Result<()> {
        let mut open = self.current(now)?;
        if self.is_due(&open, now, line)? {
            open = self.put_aside(open, now)?;
        }
        let line = match self.is_torn {
            true => format!("\n{line}"),
            false => line.to_owned(),
        };
        let written = loop {
            match open.file.write(line.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => break written,
            }
        };
        self.open = Some(open);
        match written? {
            length if length == line.len() => self.is_torn = false,
            // Not the rest: a line of another process may stand there by now.
            length => {
                self.is_torn |= length > 0;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    /// The file that the path leads to, opened anew where it is another by now.
    fn current(&mut self, now: Timestamp) -> io::Result<Open> {
        if let Some(open) = self.open.take() {
            let there = fs::symlink_metadata(&self.path);
            if there.is_ok_and(|facts| identity(&facts) == open.identity) {
                return Ok(open);
            }
            self.is_torn = false;
        }
        self.open_anew(now)
    }

    fn open_anew(&self, now: Timestamp) -> io::Result<Open> {
        if let Some(directory) = self.path.parent().filter(|it| !it.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let file = dirs::open_own(&self.path, &mut options)?;
        let facts = file.metadata()?;
        if facts.nlink() > 1 {
            let why = "it has another name as well";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if facts.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        // Where the file system does not keep it, a file counts as old as our knowledge of it.
        let created = facts
            .created()
            .ok()
            .and_then(|at| Timestamp::try_from(at).ok());
        Ok(Open {
            identity: identity(&facts),
            began: created.unwrap_or(now),
            file,
        })
    }

    fn is_due(&self, open: &Open, now: Timestamp, line: &str) -> io::Result<bool> {
        let length = open.file.metadata()?.len();
        let oldest = SignedDuration::try_from(self.rotation.oldest).unwrap_or(SignedDuration::MAX);
        let is_old = now.duration_since(open.began) >= oldest;
        let is_large = length + line.len() as u64 > self.rotation.largest;
        // A line that is larger than a file may be has one for itself.
        Ok(length > 0 && (is_large || is_old))
    }

    /// Gives the file that follows; the same one while another process is about it.
    fn put_aside(&self, open: Open, now: Timestamp) -> io::Result<Open> {
        match open.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(open),
            // Where there are no locks, two may put aside at once; a large file is worse.
            Err(TryLockError::Error(_)) => {}
        }
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|facts| identity(&facts) == open.identity) {
            self.shift()?;
        }
        // The lock goes with the old file, once the new one is there.
        self.open_anew(now)
    }

    /// Moves each file one further, the oldest away.
    fn shift(&self) -> io::Result<()> {
        let keep = self.rotation.keep;
        // What was kept of an earlier, larger number goes as well, as far as it is without a gap.
        let mut surplus = keep + 1;
        while fs::remove_file(self.aside(surplus)).is_ok() {
            surplus += 1;
        }
        if keep == 0 {
            return fs::remove_file(&self.path);
        }
        let is_free = |number: &u32| !self.aside(*number).exists();
        let last = (1..keep).find(is_free).unwrap_or(keep);
        for number in (1..last).rev() {
            fs::rename(self.aside(number), self.aside(number + 1))?;
        }
        fs::rename(&self.path, self.aside(1))
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn identity(facts: &fs::Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const SMALL: Rotation = Rotation {
        largest: 100,
        oldest: Duration::from_hours(24),
        keep: 2,
    };

    fn at(hour: i64) -> Timestamp {
        // The file system has the real time of a file's birth.
        crate::clock::utc_now() + SignedDuration::from_hours(hour)
    }

    fn line(number: usize) -> String {
        format!("{number:09}\n")
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_large_file_is_put_aside_and_so_many_are_kept() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/log");
        let mut file = Rotating::new(path.clone(), SMALL);
        for number in 0..45 {
            file.write(at(0), &line(number)).unwrap();
        }
        assert_eq!(read(&path).lines().count(), 5);
        let numbers = |name: &str| -> Vec<usize> {
            let text = read(&base.path().join("a").join(name));
            text.lines().map(|line| line.parse().unwrap()).collect()
        };
        assert_eq!(numbers("log.1"), (30..40).collect::<Vec<_>>());
        assert_eq!(numbers("log.2"), (20..30).collect::<Vec<_>>());
        assert!(!base.path().join("a/log.3").exists());
        for name in ["log", "log.1"] {
            let facts = base.path().join("a").join(name).metadata().unwrap();
            assert_eq!(facts.mode() & 0o777, 0o600);
        }
        assert_eq!(
            base.path().join("a").metadata().unwrap().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn an_old_file_is_put_aside_and_none_is_kept_where_none_is_to_be() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("log");
        let keep = |keep| Rotation { keep, ..SMALL };
        let mut file = Rotating::new(path.clone(), keep(1));
        file.write(at(0), "one\n").unwrap();
        file.write(at(23), "two\n").unwrap();
        file.write(at(25), "three\n").unwrap();
        assert_eq!(read(&path), "three\n");
        assert_eq!(read(&base.path().join("log.1")), "one\ntwo\n");

        let mut file = Rotating::new(path.clone(), keep(0));
        file.write(at(25), "four\n").unwrap();
        assert_eq!(read(&path), "four\n");
        assert!(!base.path().join("log.1").exists());
    }

    #[test]
    fn two_that_write_the_same_file_lose_no_line_and_tear_none() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("log");
        // Enough are kept that none is removed.
        let rotation = Rotation {
            largest: 1000,
            keep: 1000,
            ..SMALL
        };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = path.clone();
                scope.spawn(move || {
                    let mut file = Rotating::new(path, rotation);
                    for number in 0..500 {
                        let number = writer * 1000 + number;
                        file.write(at(0), &line(number)).unwrap();
                    }
                });
            }
        });
        let mut all = Vec::new();
        let mut longest = 0;
        for file in fs::read_dir(base.path()).unwrap() {
            let text = read(&file.unwrap().path());
            longest = longest.max(text.len());
            all.extend(text.lines().map(|line| line.parse::<usize>().unwrap()));
        }
        all.sort_unstable();
        let wanted: Vec<usize> = (0..4)
            .flat_map(|writer| (0..500).map(move |number| writer * 1000 + number))
            .collect();
        assert_eq!(all, wanted);
        // Whoever does not get the lock writes on for a while.
        assert!(longest < 10_000, "{longest}");
    }

    #[test]
    fn a_file_or_a_directory_that_was_removed_is_made_again() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/log");
        let mut file = Rotating::new(path.clone(), SMALL);
        file.write(at(0), "one\n").unwrap();
        fs::remove_file(&path).unwrap();
        file.write(at(0), "two\n").unwrap();
        assert_eq!(read(&path), "two\n");
        fs::remove_dir_all(base.path().join("a")).unwrap();
        file.write(at(0), "three\n").unwrap();
        assert_eq!(read(&path), "three\n");
    }

    #[test]
    fn what_others_could_have_put_there_is_not_written() {
        let base = tempfile::tempdir().unwrap();
        let real = base.path().join("real");
        fs::write(&real, "theirs\n").unwrap();
        let refused = |path: &Path| {
            let mut file = Rotating::new(path.to_owned(), SMALL);
            file.write(at(0), "ours\n").unwrap_err().to_string()
        };
        let link = base.path().join("link");
        symlink(&real, &link).unwrap();
        assert_eq!(refused(&link), "it is a link");
        let name = base.path().join("name");
        fs::hard_link(&real, &name).unwrap();
        assert_eq!(refused(&name), "it has another name as well");
        let pipe = base.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Without a reader it cannot even be opened for writing.
        assert!(!refused(&pipe).is_empty());
        assert_eq!(read(&real), "theirs\n");
    }

    #[test]
    fn a_full_disk_costs_lines_and_the_next_one_stands_by_itself() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("log");
        let mut file = Rotating::new(path.clone(), SMALL);
        file.write(at(0), "one\n").unwrap();
        // As a full disk leaves it.
        fs::write(&path, "one\ntw").unwrap();
        file.is_torn = true;
        file.write(at(0), "three\n").unwrap();
        assert_eq!(read(&path), "one\ntw\nthree\n");
        let full = Path::new("/dev/full");
        if full.exists() {
            let mut file = Rotating::new(full.to_owned(), SMALL);
            assert_eq!(
                file.write(at(0), "x\n").unwrap_err().to_string(),
                "it is no file"
            );
        }
    }
}
