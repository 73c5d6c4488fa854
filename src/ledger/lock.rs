//! Locks on files, tried for a while and never waited for: whoever ends must not hang.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use crate::clock;

/// Between two tries.
const TRY: Duration = Duration::from_millis(5);

/// Locks the file for this process alone, until it is closed.
///
/// # Errors
/// Another has it locked until `limit` has passed ([`io::ErrorKind::WouldBlock`]), or its file system
/// has no locks.
pub(super) fn within(file: &File, limit: Duration) -> io::Result<()> {
    let until = clock::monotonic() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if clock::monotonic() >= until => {
                let why = "another process has it locked";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
            }
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(TRY),
        }
    }
}

/// Whether another process has the file locked at this moment; none where its file system has no
/// locks.
pub(super) fn is_held(file: &File) -> Option<bool> {
    match file.try_lock_shared() {
        // For a moment only, so that nobody else finds it locked.
        Ok(()) => file.unlock().ok().map(|()| false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}
