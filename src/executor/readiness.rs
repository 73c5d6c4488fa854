//! Waiting until a descriptor can be read, within the event loop.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when a descriptor has something to read. It watches a duplicate, so whoever owns the
/// original goes on using it; nothing about the open file is changed.
#[derive(Debug)]
pub struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    /// Watches from now on. To be called within the runtime.
    ///
    /// # Errors
    /// There are no descriptors left, or it is a regular file, which is always ready.
    pub fn of(descriptor: &impl AsFd) -> io::Result<Self> {
        let own = descriptor.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` is open for as long as it exists, always gives the same number, and
        // nothing replaces it within the `AsyncFd`.
        let watched = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        Ok(Self(watched.map_err(io::Error::other)?))
    }

    /// Returns when something has arrived since the last time: read until there is no more.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn arrived(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
