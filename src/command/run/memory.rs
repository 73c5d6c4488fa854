//! What is remembered from run to run: the zone last given, and how long commands took.
//!
//! One small file in the state directory, replaced whole. It is a convenience: a file that cannot
//! be read or written costs a guess, never a run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::patience::within;

/// Runs of a command that count towards its usual length.
const RECENT: usize = 5;
/// Commands that are remembered; the ones longest unused go first.
const COMMANDS: usize = 500;

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::command) struct Memory {
    /// The zone that was last given by hand.
    #[serde(default)]
    pub(in crate::command) zone: Option<String>,
    /// Productive seconds of the last good runs, by command.
    #[serde(default)]
    commands: BTreeMap<String, Usual>,
    /// Counts up, to know what is longest unused.
    #[serde(default)]
    clock: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Usual {
    #[serde(default)]
    seconds: Vec<f64>,
    used: u64,
    /// It failed soon after it was continued, and has not survived a pause since.
    #[serde(default)]
    died_after_resume: bool,
}

impl Memory {
    /// Reads the file, but waits no longer than `limit` for the disk.
    pub(in crate::command) fn read(state: &Path, limit: Duration) -> Self {
        let path = path(state);
        let content = within(limit, move || std::fs::read(path)).and_then(|content| content);
        content
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// The median length of the last good runs.
    pub(super) fn usual(&self, command: &str) -> Option<Duration> {
        let mut seconds = self.commands.get(command)?.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let middle = *seconds.get(seconds.len().checked_sub(1)? / 2)?;
        Duration::try_from_secs_f64(middle).ok()
    }

    /// Whether it failed the last time that it was continued.
    pub(in crate::command) fn died_after_resume(&self, command: &str) -> bool {
        let known = self.commands.get(command);
        known.is_some_and(|usual| usual.died_after_resume)
    }

    fn learn(&mut self, about: About) {
        let is_known = self.commands.contains_key(&about.command);
        if about.length.is_none() && about.died_after_resume != Some(true) && !is_known {
            return;
        }
        self.clock += 1;
        let usual = self.commands.entry(about.command).or_default();
        usual.used = self.clock;
        usual
            .seconds
            .extend(about.length.map(|it| it.as_secs_f64()));
        let surplus = usual.seconds.len().saturating_sub(RECENT);
        usual.seconds.drain(..surplus);
        usual.died_after_resume = about.died_after_resume.unwrap_or(usual.died_after_resume);
        while self.commands.len() > COMMANDS {
            let oldest = self.commands.iter().min_by_key(|(_, usual)| usual.used);
            let Some(oldest) = oldest.map(|(command, _)| command.clone()) else {
                return;
            };
            self.commands.remove(&oldest);
        }
    }
}

/// What a run adds to the memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Lesson {
    /// The zone, if given by hand.
    pub(super) zone: Option<String>,
    /// What is new of the command.
    pub(super) command: Option<About>,
}

/// What is new of a command.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// Its fingerprint.
    pub(super) command: String,
    /// Its productive time, if it ended well.
    pub(super) length: Option<Duration>,
    /// Whether it failed soon after it was continued; none: it was never paused.
    pub(super) died_after_resume: Option<bool>,
}

/// Adds a lesson to the file, in a thread, waiting for it no longer than `limit`.
pub(super) fn remember(state: PathBuf, lesson: Lesson, limit: Duration) {
    // Not learned, it is guessed another time: the job's exit comes first.
    let _ = within(limit, move || write(&state, lesson));
}

fn write(state: &Path, lesson: Lesson) -> std::io::Result<()> {
    let mut memory = std::fs::read(path(state))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Memory>(&bytes).ok())
        .unwrap_or_default();
    let before = memory.clone();
    if lesson.zone.is_some() {
        memory.zone = lesson.zone;
    }
    if let Some(about) = lesson.command {
        memory.learn(about);
    }
    if memory == before {
        return Ok(());
    }
    crate::dirs::secure(state)?;
    // Two runs that end at once lose one lesson, not the file.
    let mut beside = tempfile::NamedTempFile::new_in(state)?;
    beside.write_all(&serde_json::to_vec(&memory)?)?;
    beside.persist(path(state))?;
    Ok(())
}

fn path(state: &Path) -> PathBuf {
    state.join("memory.json")
}

/// A name for a command in a directory that tells nothing about either: FNV-1a, 64 bits
/// (Fowler, Noll, Vo; RFC 9923).
pub(in crate::command) fn fingerprint(directory: &Path, command: &[OsString]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(directory.as_os_str().as_bytes());
    for argument in command {
        take(argument.as_bytes());
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_length_is_the_median_of_the_last_five() {
        let state = tempfile::tempdir().unwrap();
        for seconds in [1, 9, 9, 100, 7, 8] {
            let command = Some(About {
                command: "train".to_owned(),
                length: Some(Duration::from_secs(seconds)),
                died_after_resume: None,
            });
            write(
                state.path(),
                Lesson {
                    zone: None,
                    command,
                },
            )
            .unwrap();
        }
        let memory = Memory::read(state.path(), Duration::from_secs(5));
        assert_eq!(memory.usual("train"), Some(Duration::from_secs(9)));
        assert_eq!(memory.usual("other"), None);
    }

    #[test]
    fn a_command_that_did_not_survive_a_pause_is_remembered_until_it_does() {
        let state = tempfile::tempdir().unwrap();
        let died = |died_after_resume| {
            let command = Some(About {
                command: "train".to_owned(),
                length: None,
                died_after_resume,
            });
            let lesson = Lesson {
                zone: None,
                command,
            };
            write(state.path(), lesson).unwrap();
            Memory::read(state.path(), Duration::from_secs(5)).died_after_resume("train")
        };
        assert!(!died(None));
        assert!(died(Some(true)));
        assert!(died(None), "it was not paused since");
        assert!(!died(Some(false)));
    }

    #[test]
    fn a_damaged_file_is_no_memory() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(path(state.path()), "{").unwrap();
        assert_eq!(
            Memory::read(state.path(), Duration::from_secs(5)),
            Memory::default()
        );
    }

    #[test]
    fn other_directories_and_arguments_are_other_commands() {
        let command = |parts: &[&str]| parts.iter().map(OsString::from).collect::<Vec<_>>();
        let one = fingerprint(Path::new("/a"), &command(&["x", "yz"]));
        assert_ne!(one, fingerprint(Path::new("/a"), &command(&["xy", "z"])));
        assert_ne!(one, fingerprint(Path::new("/b"), &command(&["x", "yz"])));
    }
}
