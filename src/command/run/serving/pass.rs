//! The token of a run: made for it and kept in a file as long as it lasts, or read from one of the user's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::patience::within;
use crate::serve::token::Token;
use crate::supervise::Arrival;

/// How long a token may take to be read before the start, and to be removed at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The user's own.
///
/// # Errors
/// It cannot be used, in words.
pub(super) fn read(path: &Path) -> Result<Token, String> {
    let from = path.to_owned();
    let read = within(PATIENCE, move || Token::read(&from)).and_then(|read| read);
    read.map_err(|error| format!("the token in {} cannot be used: {error}", path.display()))
}

/// The file of a token that was made.
#[derive(Clone)]
pub(super) struct Kept {
    token: Arc<Token>,
    path: PathBuf,
    arrivals: mpsc::Sender<Arrival>,
}

impl Kept {
    /// Makes one.
    ///
    /// # Errors
    /// There is no randomness to be had, in words.
    pub(super) fn make(
        path: PathBuf,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Result<(Token, Self), String> {
        let token = Token::make().map_err(|error| format!("no token can be made: {error}"))?;
        let kept = Self {
            token: Arc::new(token.copy()),
            path,
            arrivals,
        };
        Ok((token, kept))
    }

    /// Writes it, on a thread of its own, which lets go of what comes back when it has.
    pub(super) fn write(&self) -> std_mpsc::Receiver<()> {
        let (tell_done, done) = std_mpsc::channel::<()>();
        let kept = self.clone();
        let writing = move || {
            if let Err(error) = kept.token.write(&kept.path) {
                let path = kept.path.display();
                let text = format!("the token cannot be written to {path}: {error}");
                drop(kept.arrivals.blocking_send(Arrival::Trouble(text)));
            }
            drop(tell_done);
        };
        // Without it nobody has the token, and all else is served.
        drop(Builder::new().name("token".to_owned()).spawn(writing));
        done
    }

    /// Takes it away, once it is `written`.
    pub(super) fn remove(self, written: &std_mpsc::Receiver<()>) {
        let _ = written.recv_timeout(PATIENCE);
        let _ = within(PATIENCE, move || std::fs::remove_file(self.path));
    }
}
