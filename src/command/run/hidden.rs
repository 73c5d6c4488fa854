//! The variables of ours that neither the job nor a hook is to see.

use std::ffi::OsString;
use std::path::Path;

use crate::keys;
use crate::systemd;

/// Those that hold or lead to a key, those by which a service manager speaks to its service alone, and
/// the directory of credentials where there is nothing in it but our own.
pub(super) fn variables() -> Vec<OsString> {
    let mut hidden = keys::secret_variables(std::env::vars_os().map(|(name, _)| name));
    hidden.extend(systemd::VARIABLES.map(OsString::from));
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if credentials.is_some_and(|directory| keys::credentials_are_ours(Path::new(&directory))) {
        hidden.push("CREDENTIALS_DIRECTORY".into());
    }
    hidden
}
