//! What sources said, on disk: observations and issued forecasts, so that they can be scored against
//! what came, and learned from.
//!
//! One file for each source, place and basis, shared by all runs of a user and kept for 90 days:
//! `held` says what is worth keeping, `form` how it is written. What is new is appended; the file
//! is written anew, beside and renamed, where much of it no longer counts. A last line that was cut
//! off is passed over and cut off at the next append; a file with a damaged line is set aside, and
//! written anew without it.
//!
//! Nothing here waits: whoever finds another writing adds nothing this time. What was observed comes
//! again with the next answer.

mod form;
mod held;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dirs;
use crate::forecast::learned::Learned;
use crate::forecast::{Basis, Issue, Point, Series};
use crate::words;
use form::Found;
use held::Held;

/// No more than this is read of a file, and half of it written: 90 days take a tenth.
const LARGEST: u64 = 8 << 20;
/// Files of one directory; of more the longest unused go.
const MOST_FILES: usize = 256;
const MOST_DAMAGED: usize = 4;
/// A file is written anew where it has a quarter, and this, more values than it needs: a value has
/// about six bytes.
const SPARE: usize = 10_000;
/// Locks are shared by files whose names begin alike.
const LOCKS: u8 = 64;
/// What was left half-written is another process's work in progress for so long.
const ABANDONED: Duration = Duration::from_secs(3600);
const LESSONS: &str = "catrain.lessons/1";
const LONGEST_LESSONS: u64 = 32 << 10;

/// What an archive is of. Numbers of another basis are of another archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    /// The source by its name: `neso`.
    pub source: String,
    /// The place by the source's own name.
    pub place: String,
    /// What the numbers mean.
    pub basis: Basis,
}

impl Of {
    /// 64 bits of a digest; what a file is of stands in the file as well, so that two that meet are
    /// told apart.
    fn name(&self) -> String {
        let digest = Sha256::digest(form::line(self));
        words::hex(&digest[..8])
    }

    fn lock_name(&self) -> String {
        let first = u8::from_str_radix(&self.name()[..2], 16).unwrap_or_default();
        format!("{:02}.lock", first % LOCKS)
    }
}

/// What an archive tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// What was measured or estimated, 90 days back at most.
    pub observations: Series,
    /// What was issued, by the hour, oldest first: of the last two days one an hour, before it one
    /// every six hours.
    pub issues: Vec<Issue>,
    /// What could not be read, a sentence each.
    pub notes: Vec<String>,
}

/// What became of what was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// What was new in it is kept.
    Kept {
        /// New or corrected observations.
        observations: usize,
        /// Whether the issue was one of it.
        issue: bool,
    },
    /// Nothing is: another process is writing what it heard.
    Busy,
    /// Nothing is: the file is left to another version, or is of something else.
    Anothers,
}

/// A directory of archives.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

/// What was kept of an archive's lessons.
#[derive(Serialize, Deserialize)]
struct Kept {
    schema: String,
    #[serde(flatten)]
    of: Of,
    learned: Learned,
}

impl Archive {
    /// The archives in a directory, which is made with the first of them.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// All that is known; what cannot be read is noted, and the rest stays usable.
    pub fn read(&self, of: &Of) -> Read {
        let path = self.path(of, "archive");
        let bytes = match read_file(&path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Read {
                    notes: vec![format!("cannot read the archive: {}", named(&path)(error))],
                    ..Read::default()
                };
            }
        };
        let (mut held, damaged) = match form::read(&bytes, of) {
            Found::Ours { held, damaged, .. } => (held, damaged),
            Found::Anothers => {
                let path = path.display();
                let note = format!("{path} is of another version or of something else");
                return Read {
                    notes: vec![note],
                    ..Read::default()
                };
            }
        };
        held.tidy(i64::MAX);
        told(&held, damaged, &path)
    }

    /// Adds what a source said by `now`, and gives all that is known then.
    ///
    /// # Errors
    /// It cannot be written; the error names the file, and what was there before still is.
    pub fn add(
        &self,
        of: &Of,
        observations: &[Point],
        issue: Option<&Issue>,
        now: Timestamp,
    ) -> io::Result<(Added, Read)> {
        dirs::secure(&self.directory).map_err(named(&self.directory))?;
        let lock = self.directory.join(of.lock_name());
        let Some(_lock) = dirs::try_lock(&lock).map_err(named(&lock))? else {
            return Ok((Added::Busy, self.read(of)));
        };
        let path = self.path(of, "archive");
        let bytes = read_file(&path, LARGEST).map_err(named(&path))?;
        let Found::Ours {
            mut held,
            whole,
            damaged,
            values,
        } = form::read(&bytes, of)
        else {
            return Ok((Added::Anothers, self.read(of)));
        };
        let is_overdue = held.is_overdue(now);
        let news = held.hear(observations, issue, now);
        let added = Added::Kept {
            observations: news.values().len(),
            issue: !news.issues().is_empty(),
        };
        let dead = (values + news.len()).saturating_sub(held.len());
        let is_new = whole == 0 && !news.is_empty();
        let is_full = whole as u64 > LARGEST / 2;
        if is_new || damaged > 0 || is_overdue || is_full || dead > held.len() / 4 + SPARE {
            let anew = anew(&mut held, of);
            self.replace(of, &anew, damaged > 0).map_err(named(&path))?;
        } else if !news.is_empty() {
            append(&path, whole, &form::lines(&news)).map_err(named(&path))?;
        }
        if is_new || damaged > 0 {
            self.make_room(now).map_err(named(&self.directory))?;
        }
        Ok((added, told(&held, damaged, &path)))
    }

    /// Keeps what an archive taught.
    ///
    /// # Errors
    /// It cannot be written; the error names the file.
    pub fn write_lessons(&self, of: &Of, learned: &Learned) -> io::Result<()> {
        let path = self.path(of, "lessons");
        let kept = Kept {
            schema: LESSONS.to_owned(),
            of: of.clone(),
            learned: learned.clone(),
        };
        dirs::secure(&self.directory).map_err(named(&self.directory))?;
        let written = self.beside(&form::line(&kept));
        written
            .and_then(|file| Ok(file.persist(&path)?))
            .map_err(named(&path))?;
        Ok(())
    }

    /// What an archive taught when it was last worked out, however long ago; `None` where it was
    /// not, or what was kept cannot be used.
    pub fn read_lessons(&self, of: &Of) -> Option<Learned> {
        let bytes = read_file(&self.path(of, "lessons"), LONGEST_LESSONS).ok()?;
        let kept: Kept = serde_json::from_slice(form::verified(&bytes)?).ok()?;
        let is_it = kept.schema == LESSONS && kept.of == *of;
        (is_it && kept.learned.is_sensible()).then_some(kept.learned)
    }

    fn path(&self, of: &Of, extension: &str) -> PathBuf {
        self.directory.join(of.name()).with_extension(extension)
    }

    /// A file that is on the disk and has no name yet that anyone reads.
    fn beside(&self, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        // Mode 0600 is what tempfile gives.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        Ok(file)
    }

    /// Puts a new file in the place of what is there, which is set aside where it is damaged so
    /// that whoever wants to can look at it.
    fn replace(&self, of: &Of, bytes: &[u8], is_damaged: bool) -> io::Result<()> {
        let path = self.path(of, "archive");
        let new = self.beside(bytes)?;
        if is_damaged {
            fs::rename(&path, self.path(of, "damaged"))?;
        }
        new.persist(&path)?;
        Ok(())
    }

    /// Removes the longest unused until there are no more than there may be, and what was left
    /// half-written.
    fn make_room(&self, now: Timestamp) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // Another process may have been faster.
            if let Ok(changed) = entry.metadata().and_then(|facts| facts.modified()) {
                files.push((changed, entry.path()));
            }
        }
        files.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
        let (mut archives, mut damaged) = (0, 0);
        for (changed, path) in &files {
            let extension = path.extension().unwrap_or_default();
            let is_over = if extension == "archive" {
                archives += 1;
                archives > MOST_FILES
            } else if extension == "damaged" {
                damaged += 1;
                damaged > MOST_DAMAGED
            } else {
                let age = SystemTime::from(now).duration_since(*changed);
                let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                name.starts_with(b".new-") && age.is_ok_and(|age| age > ABANDONED)
            };
            if is_over {
                let _ = fs::remove_file(path);
                if extension == "archive" {
                    let _ = fs::remove_file(path.with_extension("lessons"));
                }
            }
        }
        Ok(())
    }
}

/// What is held, for a forecast.
fn told(held: &Held, damaged: usize, path: &Path) -> Read {
    let path = path.display();
    let note = match damaged {
        0 => None,
        1 => Some(format!("a line of {path} is damaged and left out")),
        lines => Some(format!("{lines} lines of {path} are damaged and left out")),
    };
    Read {
        observations: held.series(),
        issues: held.issued(),
        notes: note.into_iter().collect(),
    }
}

/// A file that is written anew, of no more than fits.
fn anew(held: &mut Held, of: &Of) -> Vec<u8> {
    loop {
        let bytes = form::whole(held, of);
        if bytes.len() as u64 <= LARGEST / 2 || held.is_empty() {
            return bytes;
        }
        held.halve();
    }
}

/// Cuts off what was written by half, and appends lines.
fn append(path: &Path, whole: usize, lines: &[u8]) -> io::Result<()> {
    let mut file = dirs::open_own(path, OpenOptions::new().write(true))?;
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(lines)?;
    file.sync_data()
}

/// A file of ours up to a size; nothing where there is none.
fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file: File = match dirs::open_own(path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let length = file.metadata()?.len().min(most);
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error that names its file.
fn named(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
