//! The control of a live run: HTTP over a Unix socket of its own.
//!
//! | request | does |
//! |---|---|
//! | `GET /status` | tells how it stands |
//! | `GET /health`, `/ready`, `/health/detailed`, `/metrics` | tell as `serve::pages` says, without asking the run |
//! | `POST /pause` | holds it until `/resume`; the plan does not lift it |
//! | `POST /resume`, `POST /resume?for=2h` | lets it go on, for good or for a while |
//! | `POST /stop` | ends the job: stop signal, grace period, KILL |
//! | `POST /reload` | has the configuration read anew |
//! | `GET /config` | tells the configuration in force, with who set each value; no secrets |
//!
//! ```text
//! curl --unix-socket $XDG_RUNTIME_DIR/catrain/r7k2.sock http://catrain/status
//! ```
//!
//! Each answer is one JSON document. 200 has `"ok": true` and what `/status` tells; all else has
//! `"ok": false` and `"error"`: 400 (a request that cannot be understood), 403 (another user), 404,
//! 405, 408 (too slow), 409 (the run refuses), 413, 431 (too large), 503 (the run is ending, or does
//! not answer).
//!
//! The socket lies in the runtime directory, 0600, and the peer's uid is checked on both sides before
//! a byte is read. There are 16 connections at a time, with one request each: 2 s and 8 KiB for its
//! head, 4 KiB for a body that nobody looks at. Neither slow nor silent peers delay the run.

mod ask;
mod door;
mod serve;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

pub use crate::serve::http::refusal;
pub use ask::{ask, ask_all};
pub use door::{Listener, keep, listen};
pub use serve::serve;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// How does it stand?
    Status,
    /// Hold until `resume`.
    Pause,
    /// Lift the operator's hold, overrule the plan's.
    Resume {
        /// For how long; none: for good.
        time: Option<Duration>,
    },
    /// End the job.
    Stop,
    /// Read the configuration anew.
    Reload,
    /// Which configuration is in force?
    Config,
}

impl Word {
    /// As it is typed and written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Pause => "pause",
            Self::Resume { .. } => "resume",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Config => "config",
        }
    }

    /// Method, path and query of its request.
    fn request(self) -> (&'static str, String) {
        match self {
            Self::Status | Self::Config => ("GET", format!("/{}", self.as_str())),
            Self::Resume { time: Some(time) } => {
                ("POST", format!("/resume?for={}ms", time.as_millis().max(1)))
            }
            word => ("POST", format!("/{}", word.as_str())),
        }
    }
}

/// A word that came in, with where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// The word.
    pub word: Word,
    /// The peer, for the record: `pid 17`.
    pub from: String,
    /// One JSON document: with `"ok": true`, or a refusal as [`refusal`] makes it.
    pub answer: oneshot::Sender<String>,
    /// Resolves, with an error, once the answer was written or the peer is gone: a run that ends by
    /// this word waits a moment for it.
    pub written: oneshot::Receiver<()>,
}

/// The path of a run's socket.
pub fn socket(runtime: &Path, run: &str) -> PathBuf {
    runtime.join(format!("{run}.sock"))
}

/// The path of the token of a run that is served over TCP as well.
pub fn token(runtime: &Path, run: &str) -> PathBuf {
    runtime.join(format!("{run}.token"))
}
