//! The record of a run: one append-only JSON Lines file, readable after any kind of end.
//!
//! ```text
//! <state>/runs/<id>/ledger.jsonl        directories 0700, files 0600
//! <state>/heads.jsonl                   a line a run that ended
//! ```
//!
//! [`entry`] is the format and pure. [`runs`] makes, lists and finds the directories of runs.
//! [`standing`] is how far a run came. [`Writer`] appends from a thread of its own, so that no decision ever waits for a disk.
//! [`read()`] gives back everything up to the last whole line. [`redact`] keeps secrets out.
//!
//! Each line ends with a digest of all before it ([`chain`]); the last one of a finished run, its
//! head, is printed, noted in a second file ([`heads`]), and signed where there is a key ([`sign`]).
//! [`verify()`] compares. What becomes known after the end is added by [`append_settlements`].

pub mod chain;
pub mod entry;
pub mod heads;
pub mod redact;
pub mod runs;
pub mod sign;
pub mod standing;

mod adding;
mod line;
mod lock;
mod notary;
mod pace;
mod possible;
mod read;
mod settle;
mod sink;
mod verify;
mod writer;

pub use read::{Ledger, ReadError, is_being_written, read};
pub use runs::{NotFound, RunDir, RunRef, ledger_path, list_runs, new_run, select, select_any};
pub use settle::{CannotSettle, Settled, Settlement, append_settlements};
pub use sink::Sink;
pub use verify::{Asked, Cut, Finding, Given, Signature, Verification, verify};
pub use writer::{CannotGoOn, Closed, Options, RunId, Sync, Ticket, Writer};

/// The file's name in the directory of a run.
pub const FILE: &str = "ledger.jsonl";
