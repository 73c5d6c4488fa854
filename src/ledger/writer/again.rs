//! A run that another process has begun, and that goes on here: its lines are added to.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::thread::Written;
use super::{LOCK_PATIENCE, Opener, Options, Shared, Writer, locked};
use crate::ledger::notary::Notary;
use crate::ledger::read::ReadError;
use crate::ledger::sink::FileSink;
use crate::ledger::verify::Facts;
use crate::ledger::{Ledger, ledger_path, lock, read, runs};

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum CannotGoOn {
    /// The file cannot be opened or written.
    #[error("cannot add to the ledger {path}: {cause}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It cannot be understood.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another process writes it.
    #[error("the ledger {0} is being written by another process")]
    Busy(PathBuf),
    /// The run is over.
    #[error("the run of the ledger {0} is over")]
    Over(PathBuf),
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
}

impl Writer {
    /// Goes on with the run `run` in the state directory `state`: gives what it has recorded so far. A line
    /// that was cut off at the end, by a supervisor that was killed, is taken away first. Waits for the
    /// disk.
    ///
    /// # Errors
    /// Nothing was changed, as [`CannotGoOn`] tells.
    pub fn go_on(state: &Path, run: &str, options: Options) -> Result<(Self, Ledger), CannotGoOn> {
        let path = ledger_path(state, run);
        let io = |cause| CannotGoOn::Io {
            path: path.clone(),
            cause,
        };
        let file = runs::open_to_append(state, run).map_err(io)?;
        match lock::within(&file, LOCK_PATIENCE) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(CannotGoOn::Busy(path));
            }
            // Where a file system has no locks nothing but that is lost.
            Ok(()) | Err(_) => {}
        }
        let facts = Facts::of(&path, BufReader::with_capacity(1 << 16, &file), None)?;
        if let Some((line, why)) = facts.changed {
            return Err(CannotGoOn::Changed { path, line, why });
        }
        let (Some(head), None) = (facts.head, facts.ended_s) else {
            return Err(CannotGoOn::Over(path));
        };
        let before = read(&path)?;
        file.set_len(facts.bytes).map_err(io)?;
        let written = Written::so_far(head, facts.run, facts.host, &facts.sums);
        let shared = Arc::new(Shared {
            id: Mutex::new(Some(run.to_owned())),
            has_tried: Mutex::new(true),
            written: facts.bytes.into(),
            ..Shared::default()
        });
        let notary = Notary {
            state: Some(state.to_owned()),
            key: options.signing_key.clone(),
        };
        let mut file: Option<File> = Some(file);
        let open: Opener = Box::new(move || {
            let file = file
                .take()
                .ok_or_else(|| io::Error::other("it was closed"))?;
            Ok(Box::new(FileSink::after(file, facts.bytes)))
        });
        let writer = Self::start(open, shared, notary, options, written);
        locked(&writer.memory).remember(before.entries.clone());
        Ok((writer, before))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::ledger::Sync;
    use crate::ledger::entry::{Begin, What};

    fn begin() -> What {
        let text = include_str!("../../../tests/fixtures/ledger_v2.jsonl");
        let first: crate::ledger::entry::Entry =
            serde_json::from_str(text.lines().next().unwrap()).unwrap();
        match first.what {
            What::Begin(begin) => What::Begin(Box::new(Begin {
                run: String::new(),
                ..*begin
            })),
            _ => panic!("it begins so"),
        }
    }

    fn note(text: &str) -> What {
        What::Warning {
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_run_goes_on_in_its_own_record_and_the_chain_holds() {
        let here = tempfile::tempdir().unwrap();
        let state = here.path();
        let at: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        let limit = Duration::from_secs(20);
        let first = Writer::begin(state.to_owned(), 7, Options::default());
        drop(first.record(at, Duration::ZERO, begin(), Sync::Now));
        drop(first.record(at, Duration::from_secs(1), note("one"), Sync::Now));
        let run = first.id().within(limit);
        let busy = Writer::go_on(state, &run, Options::default());
        assert!(
            matches!(busy, Err(CannotGoOn::Busy(_))),
            "it is being written"
        );
        drop(first.finish(limit));

        // As a supervisor that was killed in the middle of a line leaves it.
        let path = ledger_path(state, &run);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"{\"seq\":2,\"at\""].concat()).unwrap();
        let (second, before) = Writer::go_on(state, &run, Options::default()).unwrap();
        assert_eq!(before.entries.len(), 2);
        assert_eq!(second.id().within(limit), run);
        drop(second.record(at, Duration::from_secs(9), note("two"), Sync::Now));
        let end = What::End {
            exit: None,
            why: None,
            sums: None,
        };
        drop(second.record(at, Duration::from_secs(10), end, Sync::Now));
        assert_eq!(second.so_far().entries.len(), 4);
        let closed = second.finish(limit);
        assert!(closed.is_complete && closed.head.is_some(), "{closed:?}");

        let ledger = read(&path).unwrap();
        assert_eq!(ledger.entries.len(), 4);
        let seqs: Vec<u64> = ledger.entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [0, 1, 2, 3]);
        let over = Writer::go_on(state, &run, Options::default());
        assert!(matches!(over, Err(CannotGoOn::Over(_))));
        std::fs::write(&path, [&whole[..20], b"X", &whole[21..]].concat()).unwrap();
        let changed = Writer::go_on(state, &run, Options::default());
        assert!(matches!(
            changed,
            Err(CannotGoOn::Changed { .. } | CannotGoOn::Read(_))
        ));
    }
}
