//! What is not delivered yet, and what was told: two files in the state directory, shared by all
//! runs of a user under one lock.
//!
//! | file | holds |
//! |---|---|
//! | `alerts/letters.jsonl` | a letter a line, those that nobody took included |
//! | `alerts/told.json` | what was told of each problem, for cool-downs and recoveries |
//!
//! The lock is tried, not waited for. Where the disk does not work, letters are kept in memory as
//! long as the run lasts. A letter of the file is sent only once it is written there that it is being
//! sent, so that no two runs send the same.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::cooling::Cooling;
use super::letter::{Letter, Owner, Standing};
use super::message::MOST as MOST_TOGETHER;
use crate::clock::monotonic;
use crate::dirs;

/// Most letters that are kept; the oldest go first.
const MOST: usize = 500;
/// Most bytes of them.
const MOST_BYTES: usize = 1 << 20;
/// Most bytes that are read of either file.
const READ: u64 = 8 << 20;
/// A letter that nobody took for so long is of no use any more.
const OLDEST: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How long others may have the lock.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const TRY: Duration = Duration::from_millis(20);

/// What stands beside the letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    #[serde(default)]
    cooling: Cooling,
    /// Letters that were dropped, since there were too many or they were too old.
    #[serde(default)]
    dropped: u64,
}

/// Letters and what was told.
#[derive(Debug)]
pub struct Letters {
    directory: Option<PathBuf>,
    /// Letters that no disk took.
    homeless: RefCell<Vec<Letter>>,
    /// What was told, as it was last known.
    told: RefCell<Told>,
    /// What was last wrong with the disk.
    trouble: RefCell<Option<String>>,
}

/// All that waits, for who wants to look at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pile {
    /// The letters, oldest first.
    pub letters: Vec<Letter>,
    /// How many were dropped so far.
    pub dropped: u64,
}

impl Letters {
    /// Those below this state directory; none: in memory alone.
    pub fn below(state: Option<&Path>) -> Self {
        Self {
            directory: state.map(|state| state.join("alerts")),
            homeless: RefCell::default(),
            told: RefCell::default(),
            trouble: RefCell::default(),
        }
    }

    /// The file of letters, for messages.
    pub fn path(&self) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join("letters.jsonl"))
    }

    /// What is wrong with the disk since this was last asked.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow_mut().take()
    }

    /// Puts letters in.
    pub async fn add(&self, new: Vec<Letter>) {
        if new.is_empty() {
            return;
        }
        let added = |pile: &mut Vec<Letter>, _: &mut Told| pile.extend(new.iter().cloned());
        if !self.on_disk(added).await {
            self.homeless.borrow_mut().extend(new);
        }
    }

    /// Takes the letters to send to a channel now, at most as many as make one message, oldest
    /// first. They are this run's until they are settled.
    pub async fn claim(
        &self,
        channel: &str,
        now: Timestamp,
        is_well: bool,
        owner: &Owner,
        is_alive: &dyn Fn(&Owner) -> bool,
    ) -> Vec<Letter> {
        let is_ours = |letter: &Letter| letter.channel == channel && letter.is_due(now, is_well);
        let mut claimed: Vec<Letter> = {
            let mut homeless = self.homeless.borrow_mut();
            let ours = homeless.extract_if(.., |letter| is_ours(letter));
            ours.take(MOST_TOGETHER).collect()
        };
        let room = MOST_TOGETHER - claimed.len();
        let mut taken = Vec::new();
        let done = self.on_disk(|pile, _| {
            for letter in &mut *pile {
                if let Standing::Sending { by } = &letter.standing
                    && !is_alive(by)
                {
                    letter.standing = Standing::Unknown;
                }
            }
            for letter in pile.iter_mut().filter(|letter| is_ours(letter)).take(room) {
                letter.standing = Standing::Sending { by: owner.clone() };
                taken.push(letter.clone());
            }
        });
        // What cannot be written is not ours.
        if done.await {
            claimed.append(&mut taken);
        }
        claimed
    }

    /// Says what became of letters that were claimed; none: they are delivered.
    pub async fn settle(&self, claimed: Vec<Letter>, failure: Option<&str>, now: Timestamp) {
        let mut failed = claimed.clone();
        if let Some(why) = failure {
            for letter in &mut failed {
                letter.failed(why, now);
            }
        }
        let is_of = |letter: &Letter, other: &Letter| {
            letter.alert.id == other.alert.id && letter.channel == other.channel
        };
        let done = self.on_disk(|pile, _| match failure {
            None => pile.retain(|letter| !claimed.iter().any(|done| is_of(letter, done))),
            Some(_) => {
                for letter in &failed {
                    match pile.iter_mut().find(|there| is_of(there, letter)) {
                        Some(there) => *there = letter.clone(),
                        None => pile.push(letter.clone()),
                    }
                }
            }
        });
        if !done.await && failure.is_some() {
            self.homeless.borrow_mut().extend(failed);
        }
    }

    /// Does something with what was told.
    pub async fn with_told<T>(&self, work: impl FnOnce(&mut Cooling) -> T) -> T {
        let mut work = Some(work);
        let mut result = None;
        let on_disk = |_: &mut Vec<Letter>, told: &mut Told| {
            result = work.take().map(|work| work(&mut told.cooling));
        };
        // Whether or not it can be written: this run knows.
        let _ = self.on_disk(on_disk).await;
        match (result, work) {
            (Some(result), _) => result,
            (None, Some(work)) => work(&mut self.told.borrow_mut().cooling),
            (None, None) => unreachable!("whoever took the work has left its result"),
        }
    }

    /// All that waits. Takes no lock: a file that is being replaced is whole all the same.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn pile(&self) -> io::Result<Pile> {
        let Some(directory) = &self.directory else {
            return Ok(Pile {
                letters: self.homeless.borrow().clone(),
                dropped: 0,
            });
        };
        Ok(Pile {
            letters: read_letters(directory)?,
            dropped: read_told(directory)?.dropped,
        })
    }

    /// Whether there is anything to look for.
    pub fn is_empty(&self) -> bool {
        let is_there = |path: PathBuf| path.metadata().is_ok_and(|facts| facts.len() > 0);
        self.homeless.borrow().is_empty() && !self.path().is_some_and(is_there)
    }

    /// Does something with what is on the disk; whether the disk took it. Where it cannot even be
    /// read, nothing is done.
    async fn on_disk(&self, work: impl FnOnce(&mut Vec<Letter>, &mut Told)) -> bool {
        let Some(directory) = &self.directory else {
            return false;
        };
        let changed = async {
            let _lock = locked(directory).await?;
            let (pile, told) = (read_letters(directory)?, read_told(directory)?);
            let (mut new_pile, mut new_told) = (pile.clone(), told.clone());
            work(&mut new_pile, &mut new_told);
            let now = crate::clock::utc_now();
            new_told.dropped += shorten(&mut new_pile, now);
            new_told.cooling.tidy(now);
            *self.told.borrow_mut() = new_told.clone();
            if new_told != told {
                write_told(directory, &new_told)?;
            }
            // Last: what is in the file of letters is what others go by.
            match new_pile == pile {
                true => Ok(()),
                false => write_letters(directory, &new_pile),
            }
        };
        let changed = changed.await;
        if let Err(error) = &changed {
            self.complain(error);
        }
        changed.is_ok()
    }

    fn complain(&self, error: &io::Error) {
        let path = self.path().unwrap_or_default();
        *self.trouble.borrow_mut() = Some(format!(
            "alerts cannot be kept in {}: {error}; what is not delivered before the run ends is lost",
            path.display()
        ));
    }
}

/// The lock, tried for a while.
async fn locked(directory: &Path) -> io::Result<std::fs::File> {
    dirs::secure(directory)?;
    let path = directory.join("lock");
    let until = monotonic() + PATIENCE;
    loop {
        if let Some(lock) = dirs::try_lock(&path)? {
            return Ok(lock);
        }
        if monotonic() >= until {
            let why = "another process has it locked";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
        }
        tokio::time::sleep(TRY).await;
    }
}

/// Lines that cannot be read are passed by: they are of a newer version, or damaged.
fn read_letters(directory: &Path) -> io::Result<Vec<Letter>> {
    let bytes = read(&directory.join("letters.jsonl"))?;
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

fn read_told(directory: &Path) -> io::Result<Told> {
    let bytes = read(&directory.join("told.json"))?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Nothing where there is no file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match dirs::read(path, READ) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn write_letters(directory: &Path, letters: &[Letter]) -> io::Result<()> {
    let mut text = Vec::new();
    for letter in letters {
        serde_json::to_writer(&mut text, letter).map_err(io::Error::other)?;
        text.push(b'\n');
    }
    dirs::write(&directory.join("letters.jsonl"), &text)
}

fn write_told(directory: &Path, told: &Told) -> io::Result<()> {
    let text = serde_json::to_vec(told).map_err(io::Error::other)?;
    dirs::write(&directory.join("told.json"), &text)
}

/// Drops what is too old and, oldest first, what is too much; how many.
fn shorten(letters: &mut Vec<Letter>, now: Timestamp) -> u64 {
    let before = letters.len();
    letters.retain(|letter| now.duration_since(letter.since) < OLDEST);
    let size = |letter: &Letter| serde_json::to_vec(letter).map_or(0, |line| line.len() + 1);
    let mut left = MOST_BYTES;
    let fit = letters
        .iter()
        .rev()
        .take(MOST)
        .take_while(|letter| match left.checked_sub(size(letter)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .count();
    letters.drain(..letters.len() - fit);
    (before - letters.len()) as u64
}

#[cfg(test)]
mod tests;
