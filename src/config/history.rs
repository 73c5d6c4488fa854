//! The versions of the user's own file that were in force: the last twenty, each with the time when it was
//! first taken and its digest. They lie in the state directory, as private as the file itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use sha2::{Digest, Sha256};

use crate::dirs;
use crate::words::hex;

/// Versions that are kept.
pub const KEPT: usize = 20;
/// How often the lock is tried, and how long between.
const TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(10);
/// No file of ours is larger.
const LARGEST: u64 = 1 << 20;

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// When it was first in force.
    pub at: Timestamp,
    /// The first 12 signs of its SHA-256, in hexadecimal.
    pub digest: String,
    path: PathBuf,
}

impl Version {
    /// Its text.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn text(&self) -> io::Result<String> {
        let bytes = dirs::read(&self.path, LARGEST)?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// The digest of a text, as versions have it.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text)[..6])
}

fn directory(state: &Path) -> PathBuf {
    state.join("config")
}

/// The versions there are, the latest last.
///
/// # Errors
/// They cannot be listed.
pub fn versions(state: &Path) -> io::Result<Vec<Version>> {
    let listed = match fs::read_dir(directory(state)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut versions: Vec<Version> = listed
        .flatten()
        .filter_map(|entry| of(&entry.path()))
        .collect();
    versions.sort_by(|a, b| (a.at, &a.digest).cmp(&(b.at, &b.digest)));
    Ok(versions)
}

/// The version that a file is, by its name: `20261128T083000.123Z-0123456789ab.toml`.
fn of(path: &Path) -> Option<Version> {
    let name = path.file_name()?.to_str()?.strip_suffix(".toml")?;
    let (at, digest) = name.split_once('-')?;
    let is_digest = digest.len() == 12 && digest.bytes().all(|sign| sign.is_ascii_hexdigit());
    Some(Version {
        at: at.parse().ok().filter(|_| is_digest)?,
        digest: digest.to_owned(),
        path: path.to_owned(),
    })
}

/// Keeps a text that is in force now, where the latest version is another. Whether it was kept; it is not where
/// somebody else is keeping one at the moment, who has read the same file.
///
/// # Errors
/// It cannot be written.
pub fn keep(state: &Path, text: &str, now: Timestamp) -> io::Result<bool> {
    let directory = directory(state);
    dirs::secure(&directory)?;
    let Some(_lock) = lock(&directory.join("lock"))? else {
        return Ok(false);
    };
    let versions = versions(state)?;
    let digest = digest(text);
    if versions.last().is_some_and(|last| last.digest == digest) {
        return Ok(false);
    }
    // A wall clock that was set back must not make the latest version an old one.
    let at = versions.last().map_or(now, |last| {
        now.max(last.at + jiff::SignedDuration::from_millis(1))
    });
    let stamp = at.strftime("%Y%m%dT%H%M%S%.3fZ");
    dirs::write(
        &directory.join(format!("{stamp}-{digest}.toml")),
        text.as_bytes(),
    )?;
    let surplus = (versions.len() + 1).saturating_sub(KEPT);
    for old in &versions[..surplus] {
        let _ = fs::remove_file(&old.path);
    }
    Ok(true)
}

/// The lock, tried for a moment: a process that is just being started has all that its parent has open, also
/// the lock of one who has kept a version and is done.
fn lock(path: &Path) -> io::Result<Option<fs::File>> {
    for _ in 0..TRIES {
        if let Some(lock) = dirs::try_lock(path)? {
            return Ok(Some(lock));
        }
        std::thread::park_timeout(AGAIN);
    }
    Ok(None)
}

/// The version that is meant: by its digest's beginning, or counted back from the one in force, which is 0.
///
/// # Errors
/// There is none, or several begin so; in words.
pub fn find(versions: &[Version], wanted: &str) -> Result<Version, String> {
    let back = wanted.parse::<usize>().ok().filter(|_| wanted.len() < 3);
    if let Some(version) = back.and_then(|back| versions.iter().rev().nth(back)) {
        return Ok(version.clone());
    }
    let mut fitting: Vec<&Version> = (versions.iter())
        .filter(|version| version.digest.starts_with(wanted))
        .collect();
    // The same text may have been in force several times.
    fitting.dedup_by(|a, b| a.digest == b.digest);
    let is_one = fitting
        .iter()
        .all(|version| version.digest == fitting[0].digest);
    match fitting.last() {
        None => Err(format!("there is no version `{wanted}`")),
        Some(_) if !is_one => Err(format!("several versions begin with `{wanted}`")),
        Some(version) => Ok((*version).clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn each_version_that_differs_from_the_last_is_kept_and_twenty_of_them() {
        let state = tempfile::tempdir().unwrap();
        assert!(versions(state.path()).unwrap().is_empty());
        for second in 0..30 {
            let text = format!("# {second}\n");
            assert!(keep(state.path(), &text, at(second)).unwrap());
            assert!(!keep(state.path(), &text, at(second)).unwrap());
        }
        let kept = versions(state.path()).unwrap();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].text().unwrap(), "# 10\n");
        assert_eq!(kept[19].text().unwrap(), "# 29\n");
        assert_eq!(kept[19].at, at(29));
    }

    #[test]
    fn one_that_comes_again_is_a_version_anew_also_when_the_clock_was_set_back() {
        let state = tempfile::tempdir().unwrap();
        for (text, second) in [("a", 100), ("b", 50), ("a", 10)] {
            assert!(keep(state.path(), text, at(second)).unwrap());
        }
        let texts: Vec<String> = (versions(state.path()).unwrap().iter())
            .map(|version| version.text().unwrap())
            .collect();
        assert_eq!(texts, ["a", "b", "a"]);
    }

    #[test]
    fn a_version_is_found_by_its_digest_or_counted_back() {
        let state = tempfile::tempdir().unwrap();
        for (second, text) in ["a", "b", "a", "c"].iter().enumerate() {
            keep(state.path(), text, at(second as i64)).unwrap();
        }
        let kept = versions(state.path()).unwrap();
        let text = |wanted: &str| find(&kept, wanted).map(|found| found.text().unwrap());
        assert_eq!(text("0").unwrap(), "c");
        assert_eq!(text("1").unwrap(), "a");
        assert_eq!(text(&digest("b")[..6]).unwrap(), "b");
        assert_eq!(text(&digest("a")).unwrap(), "a");
        assert_eq!(text("99").unwrap_err(), "there is no version `99`");
        assert!(text("").unwrap_err().contains("several"));
    }

    #[test]
    fn whoever_keeps_one_at_the_same_time_is_not_waited_for_long() {
        let state = tempfile::tempdir().unwrap();
        keep(state.path(), "a", at(0)).unwrap();
        let _held = dirs::try_lock(&directory(state.path()).join("lock"))
            .unwrap()
            .unwrap();
        assert!(!keep(state.path(), "b", at(1)).unwrap());
    }
}
