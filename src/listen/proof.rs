//! Whether a checkpoint is there that was not there before, and whole.
//!
//! Files are compared with what they were before the job was asked, and never with our clock: that
//! of a file server may be another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::Pattern;

/// Files and folders that are looked at, those within matching folders included.
const MOST_ENTRIES: usize = 10_000;
/// A file that is as it was so long ago is no longer written.
const QUIET: Duration = Duration::from_secs(1);
/// A folder is filled file by file, with time between for what is copied from a device.
const FOLDER_QUIET: Duration = Duration::from_secs(5);

/// What a match looks like: another look means another state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    id: (u64, u64),
    /// In bytes, of all files of a folder.
    size: u64,
    modified: (i64, i64),
    /// Of a folder: how many entries it has, and all of their names and looks in one number.
    within: Option<(usize, u64)>,
}

pub(super) type Seen = BTreeMap<PathBuf, Look>;

/// All that matches, as it is now.
///
/// # Errors
/// There is too much of it, in words.
pub(super) fn look(pattern: &str) -> Result<Seen, String> {
    let paths = glob::glob(pattern)
        .map_err(|error| format!("`{pattern}` is no pattern of paths: {error}"))?;
    let mut left = MOST_ENTRIES;
    let mut seen = Seen::new();
    // What may not be read, or is gone again, is no proof.
    let counts = |path: &PathBuf| !is_temporary(path) && !is_hidden(path, pattern);
    for path in paths.flatten().filter(counts) {
        let look = spend(&mut left).and_then(|()| {
            let now = fs::metadata(&path)?;
            of(&path, &now, &mut left)
        });
        match look {
            Ok(look) => drop(seen.insert(path, look)),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(format!(
                    "`{pattern}` matches more than {MOST_ENTRIES} files and folders"
                ));
            }
            Err(_) => {}
        }
    }
    Ok(seen)
}

fn of(path: &Path, now: &Metadata, left: &mut usize) -> io::Result<Look> {
    let mut look = Look {
        id: (now.dev(), now.ino()),
        size: now.len(),
        modified: (now.mtime(), now.mtime_nsec()),
        within: None,
    };
    if now.is_dir() {
        let mut all = BTreeMap::new();
        for_each_within(path, left, &mut |path, now| {
            let modified = (now.mtime(), now.mtime_nsec());
            all.insert(
                path,
                (now.dev(), now.ino(), now.len(), modified, now.is_file()),
            );
        })?;
        let mut hasher = DefaultHasher::new();
        all.hash(&mut hasher);
        let files = all.values().filter(|(.., is_file)| *is_file);
        look.size = files.map(|(_, _, size, _, _)| size).sum();
        look.within = Some((all.len(), hasher.finish()));
    }
    Ok(look)
}

/// Links within are not followed: they may lead in circles.
fn for_each_within(
    folder: &Path,
    left: &mut usize,
    see: &mut dyn FnMut(PathBuf, &Metadata),
) -> io::Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            spend(left)?;
            let path = entry?.path();
            match fs::symlink_metadata(&path) {
                Ok(now) => {
                    see(path.clone(), &now);
                    if now.is_dir() {
                        open.push(path);
                    }
                }
                // Gone since; the next look sees another state.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn spend(left: &mut usize) -> io::Result<()> {
    *left = left.checked_sub(1).ok_or(io::ErrorKind::FileTooLarge)?;
    Ok(())
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".tmp", ".part", "~"].iter().any(|end| name.ends_with(end))
}

/// Whether some part of it has a name with a dot in front that the pattern does not name with one. Not
/// left to the walk, whose option for it drops those that are named as well, and panics at a name that
/// is no UTF-8.
fn is_hidden(path: &Path, pattern: &str) -> bool {
    let is_dotted = |name: &str| name.starts_with('.') && name != "." && name != "..";
    let named: Vec<Pattern> = (pattern.split('/').filter(|part| is_dotted(part)))
        .filter_map(|part| Pattern::new(part).ok())
        .collect();
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        is_dotted(&part) && !named.iter().any(|pattern| pattern.matches(&part))
    })
}

/// What a match is to the state before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    New,
    /// Another file under the same name: renamed into place.
    Replaced,
    Changed,
}

/// Compares looks with the state before.
#[derive(Debug)]
pub(super) struct Watch {
    before: Seen,
    /// What differs, and since when it is as it is.
    different: BTreeMap<PathBuf, (Look, Duration)>,
}

impl Watch {
    pub(super) fn since(before: Seen) -> Self {
        Self {
            before,
            different: BTreeMap::new(),
        }
    }

    /// Takes a look at `now` and gives what is new and no longer written, as far as one can see
    /// from outside.
    pub(super) fn settled(&mut self, now: Duration, seen: Seen) -> Vec<(PathBuf, Look, Manner)> {
        let mut settled = Vec::new();
        let mut different = BTreeMap::new();
        for (path, look) in seen {
            let manner = match self.before.get(&path) {
                Some(before) if *before == look => continue,
                Some(before) if before.id != look.id => Manner::Replaced,
                Some(_) => Manner::Changed,
                None => Manner::New,
            };
            let same = (self.different.get(&path)).filter(|(last, _)| *last == look);
            let since = same.map_or(now, |(_, since)| *since);
            let quiet = match (look.within, manner) {
                (Some(_), _) => FOLDER_QUIET,
                (None, Manner::Replaced) => Duration::ZERO,
                (None, _) => QUIET,
            };
            if same.is_some() && now.saturating_sub(since) >= quiet && look.size > 0 {
                settled.push((path.clone(), look, manner));
            }
            different.insert(path, (look, since));
        }
        self.different = different;
        settled
    }
}

/// Whether one of these processes has it, or a file within it, open for writing. What may not be
/// looked into (another user's) is taken not to.
pub(super) fn is_being_written(path: &Path, look: &Look, pids: &[i32]) -> bool {
    let mut files = BTreeSet::from([look.id]);
    if look.within.is_some() {
        let all = for_each_within(path, &mut { MOST_ENTRIES }, &mut |_, now| {
            files.insert((now.dev(), now.ino()));
        });
        if all.is_err() {
            return true;
        }
    }
    pids.iter().any(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        open.flatten().any(|entry| {
            let number = entry.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
            writes(&fs::read_to_string(info).unwrap_or_default())
                && fs::metadata(entry.path())
                    .is_ok_and(|file| files.contains(&(file.dev(), file.ino())))
        })
    })
}

/// By the flags that a descriptor was opened with, in octal.
fn writes(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 3 != 0)
}

/// `checkpoint-500.pt, 1.2 GB, new`.
pub(super) fn in_words(path: &Path, look: &Look, manner: Manner) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let manner = match manner {
        Manner::New => "new",
        Manner::Replaced => "replaced",
        Manner::Changed => "changed",
    };
    // The name is the job's own: it may hold anything.
    let (name, size) = (name.escape_debug(), size(look.size));
    match look.within {
        None => format!("{name}, {size}, {manner}"),
        Some((count, _)) => format!("{name}/, {size} in {count} entries, {manner}"),
    }
}

fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return match unit {
                "B" => format!("{bytes} B"),
                _ if value < 9.95 => format!("{value:.1} {unit}"),
                _ => format!("{value:.0} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn file(inode: u64, size: u64, modified: i64) -> Look {
        Look {
            id: (1, inode),
            size,
            modified: (modified, 0),
            within: None,
        }
    }

    fn seen(name: &str, look: Look) -> Seen {
        Seen::from([(PathBuf::from(name), look)])
    }

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_new_file_counts_once_it_was_still_for_a_second() {
        let mut watch = Watch::since(Seen::new());
        for (time, size, counts) in [
            (0, 10, false),
            (250, 20, false),
            (500, 20, false),
            (1000, 20, false),
            (1250, 20, true),
        ] {
            let settled = watch.settled(at(time), seen("a.pt", file(7, size, 1)));
            assert_eq!(!settled.is_empty(), counts, "at {time} ms");
        }
    }

    #[test]
    fn what_was_there_before_counts_only_changed() {
        let before = file(7, 10, 1);
        let mut watch = Watch::since(seen("a.pt", before));
        for time in [0, 1000, 2000] {
            assert!(watch.settled(at(time), seen("a.pt", before)).is_empty());
        }
        watch.settled(at(3000), seen("a.pt", file(7, 10, 2)));
        let settled = watch.settled(at(4000), seen("a.pt", file(7, 10, 2)));
        assert_eq!(settled[0].2, Manner::Changed);
    }

    #[test]
    fn one_renamed_into_place_counts_at_the_next_look() {
        let mut watch = Watch::since(seen("a.pt", file(7, 10, 1)));
        assert!(watch.settled(at(0), seen("a.pt", file(8, 9, 1))).is_empty());
        let settled = watch.settled(at(250), seen("a.pt", file(8, 9, 1)));
        assert_eq!(settled[0].2, Manner::Replaced);
    }

    #[test]
    fn an_empty_file_and_a_folder_that_still_fills_do_not_count() {
        let mut watch = Watch::since(Seen::new());
        for time in [0, 2000, 4000] {
            assert!(
                watch
                    .settled(at(time), seen("a.pt", file(7, 0, 1)))
                    .is_empty()
            );
        }
        let mut folder = file(8, 10, 1);
        folder.within = Some((1, 1));
        for (time, counts) in [(0, false), (2000, false), (4900, false), (5000, true)] {
            let settled = watch.settled(at(time), seen("b", folder));
            assert_eq!(!settled.is_empty(), counts, "at {time} ms");
        }
    }

    #[test]
    fn files_that_are_not_finished_by_their_names_are_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.pt", "b.pt.tmp", "c.pt.part", "d.pt~", ".e.pt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let odd = OsStr::from_bytes(b"\xff.pt");
        fs::write(folder.path().join(odd), "x").unwrap();
        let pattern = |end| folder.path().join(end).to_string_lossy().into_owned();
        let names = |seen: Seen| -> Vec<String> {
            let names = seen.keys().map(|path| path.file_name().unwrap());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names(look(&pattern("*")).unwrap()), ["a.pt"]);
        assert_eq!(names(look(&pattern(".*.pt")).unwrap()), [".e.pt"]);
        assert!(look(&pattern("nothing/*")).unwrap().is_empty());
    }

    #[test]
    fn a_folder_looks_different_when_anything_in_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("checkpoint-1/rng");
        fs::create_dir_all(&inner).unwrap();
        let pattern = folder.path().join("checkpoint-*");
        let pattern = pattern.to_str().unwrap();
        let first = look(pattern).unwrap();
        assert_eq!(look(pattern).unwrap(), first);
        fs::write(inner.join("state"), "abc").unwrap();
        let second = look(pattern).unwrap();
        assert_ne!(second, first);
        let (path, look) = second.first_key_value().unwrap();
        assert_eq!(
            in_words(path, look, Manner::New),
            "checkpoint-1/, 3 B in 2 entries, new"
        );
    }

    #[test]
    fn too_much_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MOST_ENTRIES {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        let refused = look(folder.path().to_str().unwrap()).unwrap_err();
        assert!(refused.ends_with("matches more than 10000 files and folders"));
    }

    #[test]
    fn sizes_read_well() {
        let all = [0, 999, 1000, 9_960, 1_234_567, 999_600_000, 1_200_000_000];
        let words: Vec<String> = all.into_iter().map(size).collect();
        assert_eq!(
            words,
            [
                "0 B", "999 B", "1.0 kB", "10 kB", "1.2 MB", "1.0 GB", "1.2 GB"
            ]
        );
        assert_eq!(size(3_400_000_000_000), "3.4 TB");
    }

    #[test]
    fn the_flags_of_a_descriptor_tell_who_writes() {
        for (flags, is_writing) in [("0100000", false), ("0100001", true), ("02", true)] {
            let info = format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t29\n");
            assert_eq!(writes(&info), is_writing, "{flags}");
        }
        assert!(!writes(""));
    }
}
