//! Adds to the record of a finished run what became known after its end. Lines that are there stay as
//! they are: the chain goes on from them, and the new head is noted beside the old one.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::chain::{self, Digest};
use super::entry::{Entry, IntensityPoint, What};
use super::heads::{self, Head};
use super::notary::Notary;
use super::read::ReadError;
use super::verify::Facts;
use super::{ledger_path, line, lock, runs};
use crate::clock;
use crate::forecast::Basis;

/// Whoever looks at the file holds its lock for less than a moment; a run holds it to its end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Intensities of a run that became known after its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// What the numbers mean.
    pub basis: Basis,
    /// Who says so.
    pub source: String,
    /// The numbers.
    pub points: Vec<IntensityPoint>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The new head; none in format 1, which has no chain.
    pub head: Option<Digest>,
    /// Bytes of a line that was cut off and were taken away.
    pub torn: Option<usize>,
    /// Why the new head is not noted, or not signed, as it should be.
    pub trouble: Option<String>,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum CannotSettle {
    /// The file cannot be opened or written.
    #[error("cannot add to the ledger {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It cannot be understood.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The run goes on, or somebody else settles it.
    #[error("the ledger {path} is being written by another process")]
    Busy {
        /// Which file.
        path: PathBuf,
    },
    /// The run has no recorded end.
    #[error("the ledger {path} has no end: only a run that is over can be settled")]
    Unfinished {
        /// Which file.
        path: PathBuf,
    },
    /// It was changed; what would be added would hide that.
    #[error("{path}:{line}: {why}; `catrain report --verify` tells more")]
    Changed {
        /// Which file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It is not what its recorded head says.
    #[error(
        "the ledger {path} is not what its recorded head says; `catrain report --verify` tells more"
    )]
    Rewritten {
        /// Which file.
        path: PathBuf,
    },
    /// A number in it is none.
    #[error("a settlement by {source_name} cannot be written: it has numbers that are none")]
    NoNumber {
        /// Whose it is.
        source_name: String,
    },
}

/// Adds `settlements`, known since `at`, to the ledger of the run `run` in the state directory
/// `state`, and notes the new head, signed by the key in the file `key`. Returns when all is safe. A
/// line that was cut off at the end, by a settlement that was killed, is taken away first.
///
/// # Errors
/// Nothing was added: the run has not ended, another process writes it, it was changed or is not what
/// its recorded head says, or it cannot be read or written. May block for as long as the disk does.
pub fn append_settlements(
    state: &Path,
    run: &str,
    at: Timestamp,
    settlements: Vec<Settlement>,
    key: Option<&Path>,
) -> Result<Settled, CannotSettle> {
    let path = ledger_path(state, run);
    let io = |cause| CannotSettle::Io {
        path: path.clone(),
        cause,
    };
    let file = runs::open_to_append(state, run).map_err(io)?;
    lock::within(&file, PATIENCE).map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock => CannotSettle::Busy { path: path.clone() },
        _ => io(cause),
    })?;
    let facts = Facts::of(&path, BufReader::with_capacity(1 << 16, &file), None)?;
    let ended_s = check(&facts, state, run, &path)?;

    let mut lines = Vec::new();
    let (mut seq, mut head) = (facts.lines as u64, facts.head);
    for settlement in settlements {
        let Settlement {
            basis,
            source,
            points,
        } = settlement;
        let source_name = source.clone();
        let entry = Entry {
            seq,
            at,
            elapsed_s: ended_s,
            what: What::Settlement {
                basis,
                source,
                points,
            },
        };
        let (mut object, back) = line::write(&entry);
        if !matches!(back.what, What::Settlement { .. }) {
            return Err(CannotSettle::NoNumber { source_name });
        }
        seq += 1;
        match head {
            Some(before) => {
                let (line, next) = chain::seal(object, &before);
                lines.extend(line);
                head = Some(next);
            }
            None => {
                object.push(b'\n');
                lines.extend(object);
            }
        }
    }
    add(&file, facts.bytes, &lines).map_err(io)?;

    let notary = Notary {
        state: Some(state.to_owned()),
        key: key.map(Path::to_owned),
    };
    let is_new = |_: &Digest| !lines.is_empty();
    let trouble = head.filter(is_new).and_then(|head| {
        notary.note(Head {
            at: clock::utc_now(),
            run: facts.run.clone(),
            host: facts.host.clone(),
            lines: seq,
            head,
            key: None,
            signature: None,
        })
    });
    Ok(Settled {
        head,
        torn: facts.torn,
        trouble,
    })
}

/// Whether what is there may be added to; the time of its end.
fn check(facts: &Facts, state: &Path, run: &str, path: &Path) -> Result<f64, CannotSettle> {
    let path = path.to_owned();
    if let Some((line, why)) = facts.changed.clone() {
        return Err(CannotSettle::Changed { path, line, why });
    }
    let heads = heads::read(state).map_err(|cause| CannotSettle::Io {
        path: heads::path(state),
        cause,
    })?;
    if heads.of(run).is_some_and(|head| !facts.is_as(head)) {
        return Err(CannotSettle::Rewritten { path });
    }
    facts.ended_s.ok_or(CannotSettle::Unfinished { path })
}

/// All of it or nothing: what a full disk took of it is taken away again.
fn add(mut file: &File, whole: u64, lines: &[u8]) -> io::Result<()> {
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    let added = file.write_all(lines).and_then(|()| file.sync_data());
    if added.is_err() {
        file.set_len(whole)?;
    }
    added
}

#[cfg(test)]
mod tests;
