//! The small file beside a record that says which run has continued it: a line in the record itself
//! would follow from nothing.

use std::path::{Path, PathBuf};

use crate::dirs;
use crate::ledger::ledger_path;
use crate::ledger::runs::is_id;

/// Bytes of an id, at most.
const LARGEST: u64 = 64;

/// Where it stands.
pub(in crate::command) fn path(state: &Path, run: &str) -> PathBuf {
    ledger_path(state, run).with_file_name("continued")
}

/// The run that continued this one, if there is one.
pub(in crate::command) fn continued_as(state: &Path, run: &str) -> Option<String> {
    let bytes = dirs::read(&path(state, run), LARGEST).ok()?;
    let id = String::from_utf8(bytes).ok()?.trim().to_owned();
    is_id(&id).then_some(id)
}
