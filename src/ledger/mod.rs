//! The record of a run: one append-only JSON Lines file, readable after any kind of end.
//!
//! ```text
//! <state>/runs/<id>/ledger.jsonl        directories 0700, files 0600
//! ```
//!
//! [`entry`] is the format and pure. [`runs`] makes, lists and finds the directories of runs.
//! [`Writer`] appends from a thread of its own, so that no decision ever waits for a disk.
//! [`read()`] gives back everything up to the last whole line. [`redact`] keeps secrets out.

pub mod chain;
pub mod entry;
pub mod heads;
pub mod redact;
pub mod runs;
pub mod sign;

mod adding;
mod line;
mod pace;
mod read;
mod sink;
mod writer;

pub use read::{Ledger, ReadError, read};
pub use runs::{NotFound, RunDir, RunRef, ledger_path, list_runs, new_run, select};
pub use sink::Sink;
pub use writer::{Closed, Options, RunId, Sync, Ticket, Writer};

/// The file's name in the directory of a run.
pub const FILE: &str = "ledger.jsonl";
