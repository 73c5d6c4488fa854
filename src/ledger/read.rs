//! Reading a ledger back, whatever ended its writer.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::chain::{self, Chain};
use super::entry::{Begin, Entry, FORMAT, What};
use super::{line, lock};

/// What a ledger tells, up to its last whole line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// In the order in which they were written.
    pub entries: Vec<Entry>,
    /// Bytes of a last line that was cut off, if any.
    pub torn: Option<usize>,
    /// Entries that its writer had to give up, by its own count.
    pub lost: u64,
    /// Whether there is no last entry: the run goes on, or its supervisor was killed.
    pub unfinished: bool,
    /// How its lines follow from each other; none in memory and in format 1, which has no chain.
    pub chain: Option<Chain>,
}

/// Why a file cannot be read as a ledger.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read at all.
    #[error("cannot read the ledger {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It belongs to someone else.
    #[error("the ledger {path} belongs to user {owner}, not to you")]
    Owner {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others could have written it.
    #[error("others may write the ledger {path}: chmod 600 it once it is sure that nobody did")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// It does not begin as a ledger does.
    #[error("{path} is not a ledger: {why}")]
    NotALedger {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A newer version wrote it.
    #[error("the ledger {path} has the format `{found}`; this version reads up to `{FORMAT}`")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// A whole line cannot be understood.
    #[error("{path}:{line}: {why}")]
    BadLine {
        /// Which file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl Ledger {
    /// From entries in memory.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        let lost = |entry: &Entry| match entry.what {
            What::Gap { lost, .. } => lost,
            _ => 0,
        };
        Self {
            torn: None,
            chain: None,
            lost: entries.iter().map(lost).sum(),
            unfinished: !entries.iter().any(|e| matches!(e.what, What::End { .. })),
            entries,
        }
    }

    /// The first entry; none when not even that was written whole.
    pub fn begin(&self) -> Option<(&Entry, &Begin)> {
        let first = self.entries.first()?;
        match &first.what {
            What::Begin(begin) => Some((first, begin)),
            _ => None,
        }
    }
}

/// Reads the ledger at `path`.
///
/// # Errors
/// When the file cannot be read, belongs to someone else, may be written by others, is no ledger, is
/// of a newer format, or has a whole line that cannot be understood. A last line that was cut off is no error, and neither
/// is a line that does not follow from the one before: [`Ledger::chain`] tells.
pub fn read(path: &Path) -> Result<Ledger, ReadError> {
    parse(path, BufReader::with_capacity(1 << 16, open(path)?))
}

impl ReadError {
    /// Whether the file was read and is not what a ledger is: something happened to it.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::NotALedger { .. } | Self::BadLine { .. })
    }
}

/// Whether another process is writing the ledger at `path` at this moment; none where that cannot be
/// said. To be asked before reading: what ends in between has its end in what is read.
pub fn is_being_written(path: &Path) -> Option<bool> {
    lock::is_held(&open(path).ok()?)
}

/// Opens without following a link, and only what belongs to this user and no other may write.
pub(super) fn open(path: &Path) -> Result<File, ReadError> {
    let io = |cause| ReadError::Io {
        path: path.to_owned(),
        cause,
    };
    let file = OpenOptions::new()
        .read(true)
        // A fifo in the place of the file must not make us wait for its writer.
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(ReadError::Owner {
            path: path.to_owned(),
            owner: meta.uid(),
        });
    }
    if !meta.is_file() {
        return Err(ReadError::NotALedger {
            path: path.to_owned(),
            why: "it is not a file".to_owned(),
        });
    }
    if meta.mode() & 0o022 != 0 {
        return Err(ReadError::Exposed {
            path: path.to_owned(),
        });
    }
    Ok(file)
}

/// Understands what is in the file at `path`.
pub(super) fn parse(path: &Path, file: impl BufRead) -> Result<Ledger, ReadError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut lines = Lines::new(path);
    let torn = each(path, file, |line| {
        entries.push(lines.next(line)?);
        Ok(true)
    })?;
    Ok(Ledger {
        torn,
        chain: lines.chain,
        ..Ledger::from_entries(entries)
    })
}

/// Gives each whole line to `take`, without its line break, until that has enough; the bytes of a last
/// line that was cut off.
pub(super) fn each(
    path: &Path,
    mut file: impl BufRead,
    mut take: impl FnMut(&[u8]) -> Result<bool, ReadError>,
) -> Result<Option<usize>, ReadError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = file.read_until(b'\n', &mut line);
        read.map_err(|cause| ReadError::Io {
            path: path.to_owned(),
            cause,
        })?;
        match line.strip_suffix(b"\n") {
            Some(line) => match take(line)? {
                true => {}
                false => return Ok(None),
            },
            None => return Ok((!line.is_empty()).then_some(line.len())),
        }
    }
}

/// The lines of a ledger, understood one after the other.
pub(super) struct Lines<'a> {
    path: &'a Path,
    count: usize,
    /// None: its format has none.
    pub(super) chain: Option<Chain>,
}

impl<'a> Lines<'a> {
    /// Those of the file at `path`, none of which was read yet.
    pub(super) fn new(path: &'a Path) -> Self {
        Self {
            path,
            count: 0,
            chain: None,
        }
    }

    /// Understands the next one. Where it does not follow from the line before, the chain knows.
    pub(super) fn next(&mut self, line: &[u8]) -> Result<Entry, ReadError> {
        let at = self.count;
        self.count += 1;
        let bad = |why: String| ReadError::BadLine {
            path: self.path.to_owned(),
            line: at + 1,
            why,
        };
        if at == 0 {
            // A format that was made to look older has its chain all the same.
            let version = check_format(self.path, line);
            let is_chained = !matches!(version, Ok(1)) || chain::split(line).is_some();
            self.chain = is_chained.then(Chain::default);
            if let Some(chain) = &mut self.chain {
                chain.line(line);
            }
            version?;
        } else if let Some(chain) = &mut self.chain {
            chain.line(line);
        }
        if line.ends_with(b"\r") {
            return Err(bad("the line ends in CR LF, as no ledger's does".to_owned()));
        }
        // What a parser says of it tells a person nothing.
        let entry = line::read(line).map_err(|_| bad("it is not a line of a record".to_owned()))?;
        if entry.seq != at as u64 {
            return Err(bad(format!(
                "entry {at} expected, found {}: lines are missing or were moved",
                entry.seq
            )));
        }
        Ok(entry)
    }
}

/// The version of the format. Looks at the first line before the rest is understood: a newer one may
/// differ in everything else.
fn check_format(path: &Path, line: &[u8]) -> Result<u32, ReadError> {
    let not = |why: &str| ReadError::NotALedger {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let first: serde_json::Value =
        serde_json::from_slice(line).map_err(|_| not("its first line is not JSON"))?;
    let format = first["format"].as_str().unwrap_or_default();
    let (name, ours) = FORMAT
        .split_once('/')
        .expect("our own format has a version");
    let ours: u32 = ours.parse().expect("our own version is a number");
    let version = format
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('/'));
    match version.and_then(|version| version.parse::<u32>().ok()) {
        None => Err(not("its first line names no format")),
        Some(found) if found <= ours => Ok(found),
        Some(_) => Err(ReadError::Newer {
            path: path.to_owned(),
            found: format.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = include_str!("../../tests/fixtures/ledger_v1.jsonl");

    fn of(text: &str) -> Result<Ledger, ReadError> {
        parse("x".as_ref(), text.as_bytes())
    }

    #[test]
    fn a_ledger_of_version_1_is_read_with_fields_and_entries_that_are_not_known() {
        let ledger = of(V1).unwrap();
        assert!(ledger.begin().is_some());
        let unknown = ledger.entries.iter().filter(|e| e.what == What::Unknown);
        assert_eq!(unknown.count(), 1);
        assert!(V1.contains("\"a_later_field\""));
        assert_eq!(
            (ledger.torn, ledger.lost, ledger.unfinished),
            (None, 0, false)
        );
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        for entry in of(V1).unwrap().entries {
            let line = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
        }
    }

    #[test]
    fn a_whole_line_that_is_no_entry_is_an_error_with_its_number() {
        let mut lines: Vec<&str> = V1.lines().collect();
        lines[3] = "{\"seq\":3,";
        let error = of(&format!("{}\n", lines.join("\n"))).unwrap_err();
        assert_eq!(error.to_string(), "x:4: it is not a line of a record");
        assert!(error.is_damage());
    }

    #[test]
    fn a_missing_line_is_an_error_with_its_number() {
        let mut lines: Vec<&str> = V1.lines().collect();
        lines.remove(5);
        let error = of(&format!("{}\n", lines.join("\n"))).unwrap_err();
        assert!(
            error.to_string().contains("x:6: entry 5 expected, found 6"),
            "{error}"
        );
    }

    #[test]
    fn a_newer_format_is_named_even_if_nothing_else_in_it_is_understood() {
        let error = of("{\"format\":\"catrain.ledger/3\",\"all\":\"new\"}\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the ledger x has the format `catrain.ledger/3`; this version reads up to `catrain.ledger/2`"
        );
    }

    #[test]
    fn what_is_no_ledger_is_called_none() {
        for text in ["hello\n", "{}\n", "{\"format\":\"other/1\"}\n"] {
            let error = of(text).unwrap_err();
            assert!(
                matches!(error, ReadError::NotALedger { .. }),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn lines_of_another_system_are_refused() {
        let error = of(&V1.replace('\n', "\r\n")).unwrap_err();
        assert!(
            error.to_string().contains("x:1: the line ends in CR LF"),
            "{error}"
        );
    }

    #[test]
    fn a_link_is_not_followed() {
        let here = tempfile::tempdir().unwrap();
        let link = here.path().join("link");
        std::fs::write(here.path().join("file"), V1).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(matches!(read(&link), Err(ReadError::Io { .. })));
        assert!(read(&here.path().join("file")).is_ok());
    }

    #[test]
    fn a_ledger_that_others_may_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("file");
        std::fs::write(&path, V1).unwrap();
        for (mode, is_believed) in [(0o600, true), (0o644, true), (0o620, false), (0o666, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(_) => assert!(is_believed, "{mode:o}"),
                Err(error) => {
                    assert!(!is_believed && error.to_string().contains("others may write"));
                }
            }
        }
    }

    #[test]
    fn a_ledger_cut_at_every_byte_is_read_to_its_last_whole_line() {
        // Without the long lists of intensities: each cut is read from the start.
        let mut entries = of(V1).unwrap().entries;
        entries.retain(|entry| !matches!(entry.what, What::Intensity { .. }));
        let mut whole = Vec::new();
        for (seq, entry) in entries.iter_mut().enumerate() {
            entry.seq = seq as u64;
            serde_json::to_writer(&mut whole, entry).unwrap();
            whole.push(b'\n');
        }
        let all = parse("x".as_ref(), &whole[..]).unwrap();
        assert_eq!(all.entries, entries);
        for cut in 0..=whole.len() {
            let part = parse("x".as_ref(), &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(part.entries, all.entries[..lines], "cut at {cut}");
            let rest = cut
                - whole[..cut]
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(0, |at| at + 1);
            assert_eq!(part.torn, (rest > 0).then_some(rest), "cut at {cut}");
            assert_eq!(part.unfinished, lines < all.entries.len(), "cut at {cut}");
        }
    }
}
