//! The heads of finished runs, in a file of their own: what shows that a record was cut at a line's
//! end, which its own chain cannot show.
//!
//! ```text
//! <state>/heads.jsonl        a line a run that ended, and one for each settlement; 0600, chained
//! ```
//!
//! Several processes append to it, each for a moment under a lock that is tried for a while and then
//! done without: whoever ends must not wait.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{self, Chain, Digest};
use super::lock;
use crate::dirs;

/// The file's name in the state directory.
pub const FILE: &str = "heads.jsonl";
/// The format of its lines.
const FORMAT: &str = "catrain.heads/1";
/// No line is longer: ids, names of hosts and digests are short.
const LINE: u64 = 16 << 10;
/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When it was noted, in real time.
    pub at: Timestamp,
    /// Of which run.
    pub run: String,
    /// Where that ran.
    pub host: String,
    /// Lines of its record by then.
    pub lines: u64,
    /// The digest at the end of the last of them.
    pub head: Digest,
    /// The public key that signed it, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Its Ed25519 signature of [`Head::message`], in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<String>,
}

impl Head {
    /// What a signature is of.
    pub fn message(&self) -> String {
        format!(
            "catrain.head/1\n{}\n{}\n{}\n",
            self.run, self.lines, self.head
        )
    }
}

#[derive(Serialize)]
struct Line<'a> {
    format: &'static str,
    #[serde(flatten)]
    head: &'a Head,
}

/// All that the file tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heads {
    /// In the order in which they were noted.
    pub heads: Vec<Head>,
    /// The first line that does not follow from the one before: the file was damaged or changed.
    pub broken: Option<usize>,
}

impl Heads {
    /// The newest head of a run.
    pub fn of(&self, run: &str) -> Option<&Head> {
        self.heads.iter().rev().find(|head| head.run == run)
    }
}

/// Where the heads of the state directory `state` are.
pub fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Reads the heads in the state directory `state`. No file: no heads. A last line that was cut off is
/// left out.
///
/// # Errors
/// It cannot be read, is a link, or is somebody else's.
pub fn read(state: &Path) -> io::Result<Heads> {
    let file = match dirs::open_own(&path(state), OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Heads::default()),
        opened => opened?,
    };
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    let (mut links, mut heads) = (Chain::default(), Vec::new());
    loop {
        line.clear();
        reader.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        // One that is longer than any is read as several, none of which is in the chain.
        match line.strip_suffix(b"\n") {
            Some(line) => {
                links.line(line);
                heads.extend(serde_json::from_slice(line).ok());
            }
            None if line.len() as u64 == LINE => drop(links.line(&line)),
            None => break,
        }
    }
    Ok(Heads {
        heads,
        broken: links.broken(),
    })
}

/// Adds a head to those in the state directory `state`, and returns when it is safe. What was cut off
/// at the end of the file, by a process that was killed, is taken away first.
///
/// # Errors
/// The file cannot be opened, locked within `limit`, or written; then it is as it was.
pub fn append(state: &Path, head: &Head, limit: Duration) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true).mode(0o600);
    let mut file = dirs::open_own(&path(state), options)?;
    lock::within(&file, limit)?;
    let End {
        whole,
        last,
        is_open,
    } = end_of(&mut file)?;
    file.set_len(whole)?;
    let object = serde_json::to_vec(&Line {
        format: FORMAT,
        head,
    })?;
    let (mut line, _) = chain::seal(object, &last);
    if is_open {
        line.insert(0, b'\n');
    }
    let written = file.write_all(&line).and_then(|()| file.sync_data());
    if written.is_err() {
        file.set_len(whole)?;
    }
    if whole == 0 {
        File::open(state)?.sync_all()?;
    }
    written
}

/// Where the next line goes.
struct End {
    /// The bytes that stay.
    whole: u64,
    /// The digest of the last line.
    last: Digest,
    /// Whether they end within what is too long to be a line that was cut off. It is somebody's: it
    /// stays, for reading to tell of, and keeps no later head from being noted.
    is_open: bool,
}

fn end_of(file: &mut File) -> io::Result<End> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(2 * LINE).read_to_end(&mut tail)?;
    let Some(whole) = tail.iter().rposition(|byte| *byte == b'\n') else {
        let is_open = from > 0;
        return Ok(End {
            whole: if is_open { length } else { 0 },
            last: Digest::NONE,
            is_open,
        });
    };
    let line = &tail[..whole];
    let start = line
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    // After a line that was damaged a new chain begins; reading finds the place.
    let last = chain::split(&line[start..]).map_or(Digest::NONE, |(_, digest)| digest);
    Ok(End {
        whole: from + whole as u64 + 1,
        last,
        is_open: false,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn head(run: &str, lines: u64) -> Head {
        Head {
            at: "2026-11-25T06:27:00Z".parse().unwrap(),
            run: run.to_owned(),
            host: "node1".to_owned(),
            lines,
            head: Digest::NONE.then(run.as_bytes()),
            key: None,
            signature: None,
        }
    }

    fn with(runs: &[&str]) -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        for run in runs {
            append(state.path(), &head(run, 3), LIMIT).unwrap();
        }
        state
    }

    #[test]
    fn heads_are_read_back_and_the_newest_of_a_run_counts() {
        let state = with(&["r7k2", "m3q9"]);
        append(state.path(), &head("r7k2", 5), LIMIT).unwrap();
        let heads = read(state.path()).unwrap();
        assert_eq!(heads.broken, None);
        assert_eq!(
            heads.heads,
            [head("r7k2", 3), head("m3q9", 3), head("r7k2", 5)]
        );
        assert_eq!(heads.of("r7k2"), Some(&head("r7k2", 5)));
        assert_eq!(heads.of("none"), None);
        assert_eq!(path(state.path()).metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_file_is_no_heads() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(read(state.path()).unwrap(), Heads::default());
    }

    #[test]
    fn a_line_cut_at_any_byte_is_taken_away_before_the_next_is_added() {
        let state = with(&["a2b3", "c4d5"]);
        let whole = std::fs::read(path(state.path())).unwrap();
        let first = 1 + whole.iter().position(|byte| *byte == b'\n').unwrap();
        for cut in 0..whole.len() {
            std::fs::write(path(state.path()), &whole[..cut]).unwrap();
            append(state.path(), &head("e6f7", 1), LIMIT).unwrap();
            let heads = read(state.path()).unwrap();
            let kept = usize::from(cut >= first);
            assert_eq!(heads.heads.len(), kept + 1, "cut at {cut}");
            assert_eq!(heads.broken, None, "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_byte_is_found_and_hides_no_later_head() {
        let state = with(&["a2b3", "c4d5", "e6f7"]);
        let mut bytes = std::fs::read(path(state.path())).unwrap();
        let second = 10 + bytes.iter().position(|byte| *byte == b'\n').unwrap();
        bytes[second] ^= 1;
        std::fs::write(path(state.path()), &bytes).unwrap();
        append(state.path(), &head("g8h9", 1), LIMIT).unwrap();
        let heads = read(state.path()).unwrap();
        assert_eq!(heads.broken, Some(2));
        assert!(heads.of("g8h9").is_some());
    }

    #[test]
    fn a_long_end_without_a_line_is_told_and_keeps_no_later_head_from_being_noted() {
        let state = with(&["a2b3"]);
        let mut bytes = std::fs::read(path(state.path())).unwrap();
        bytes.extend([b'x'; 40_000]);
        std::fs::write(path(state.path()), &bytes).unwrap();
        append(state.path(), &head("c4d5", 1), LIMIT).unwrap();
        append(state.path(), &head("e6f7", 1), LIMIT).unwrap();
        let heads = read(state.path()).unwrap();
        assert_eq!(heads.broken, Some(2));
        let runs: Vec<&str> = heads.heads.iter().map(|head| head.run.as_str()).collect();
        assert_eq!(runs, ["a2b3", "c4d5", "e6f7"]);
        assert!(
            std::fs::read(path(state.path()))
                .unwrap()
                .starts_with(&bytes)
        );
    }

    #[test]
    fn a_lock_that_another_holds_is_not_waited_for_for_ever() {
        let state = with(&["a2b3"]);
        let held = File::open(path(state.path())).unwrap();
        held.lock().unwrap();
        let error = append(state.path(), &head("c4d5", 1), Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        held.unlock().unwrap();
        append(state.path(), &head("c4d5", 1), LIMIT).unwrap();
        assert_eq!(read(state.path()).unwrap().heads.len(), 2);
    }

    #[test]
    fn many_who_append_at_once_lose_no_line() {
        let state = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8_u64 {
                let state = state.path();
                scope.spawn(move || {
                    for nth in 0..5 {
                        append(state, &head("a2b3", 10 * writer + nth), LIMIT).unwrap();
                    }
                });
            }
        });
        let heads = read(state.path()).unwrap();
        assert_eq!((heads.heads.len(), heads.broken), (40, None));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        symlink(elsewhere.path(), path(state.path())).unwrap();
        assert!(append(state.path(), &head("a2b3", 1), LIMIT).is_err());
        assert!(read(state.path()).is_err());
        assert_eq!(elsewhere.as_file().metadata().unwrap().len(), 0);
    }
}
