//! Health and metrics of a run, composed: what the deciding thread tells, who serves it, and where.
//!
//! All of it happens on threads of its own. Without them, or where a port is taken, the job runs
//! just as well, and that is said.

mod hall;
mod pass;
mod telling;
mod writing;

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;

use tokio::sync::mpsc;

use super::paper::Trouble;
use super::prepare;
use crate::control;
use crate::dirs;
use crate::ledger::RunId;
use crate::serve::facts::About;
use crate::serve::host::Lookers;
use crate::serve::tally::Tally;
use crate::serve::tcp::{self, Door};
use crate::serve::token::Token;
use crate::serve::{Board, Settings};
use crate::supervise::{Arrival, Describe, Serve, Watcher};
use crate::units::Pue;
use hall::Hall;
use pass::Kept;
use telling::Telling;
use writing::Writing;

/// What is served of a run while it goes on.
pub(super) struct Serving {
    board: Arc<Board>,
    settings: Settings,
    /// Where peers are talked to; none: there was no thread to be had.
    hall: Option<Hall>,
    /// Where it is listened, once it is.
    address: Option<SocketAddr>,
    /// The token that was made, in its file.
    token: Option<(std_mpsc::Receiver<()>, Kept)>,
    writing: Option<Writing>,
}

impl Serving {
    /// Starts what was asked for; gives lines that the person should see.
    pub(super) fn start(
        settings: Settings,
        about: About,
        run: RunId,
        pue: Option<Pue>,
        arrivals: &mpsc::Sender<Arrival>,
    ) -> (Self, Vec<String>) {
        let directories = [("state", dirs::state()), ("cache", dirs::cache())];
        let directories = directories.into_iter();
        let lookers = directories.filter_map(|(name, path)| Some((name, path?)));
        let tally = Tally::new(pue.unwrap_or(Pue::NONE));
        let id = run.clone();
        // Asked too early it would have to be made up.
        let id = move || id.within(prepare::PATIENCE);
        let board = Arc::new(Board::new(
            about,
            id,
            tally,
            Lookers::new(lookers.collect()),
        ));
        let mut serving = Self {
            board,
            settings,
            hall: None,
            address: None,
            token: None,
            writing: None,
        };
        let mut lines = Vec::new();
        match Hall::open(serving.board.clone()) {
            Ok(hall) => serving.hall = Some(hall),
            Err(error) => lines.push(format!("warning: no health and metrics: {error}")),
        }
        lines.extend(serving.listen(&run, arrivals));
        if let Some(path) = serving.settings.metrics_file.clone() {
            let every = serving.settings.metrics_every;
            serving.writing = Writing::start(serving.board(), path, every, arrivals.clone());
        }
        (serving, lines)
    }

    /// What is put on it is told to all who ask.
    pub(super) fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// Where it is listened over TCP, where it is: there the answer to `/status` is asked for as well.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Tells the board what the deciding thread sees; `describe` makes the answer to `/status`.
    pub(super) fn watcher(
        &mut self,
        describe: Option<Describe>,
        trouble: Trouble,
    ) -> Box<dyn Watcher> {
        let hall = self.hall.as_mut();
        Box::new(Telling {
            board: self.board.clone(),
            entries: hall.and_then(|hall| hall.entries.take()),
            describe,
            trouble,
            told: None,
        })
    }

    /// Serves control sockets beside the pages of the board.
    pub(super) fn serve(&self) -> Serve {
        let board = self.board.clone();
        let handle = self.hall.as_ref().map(|hall| hall.handle.clone());
        let token = self.token.as_ref().map(|(_, kept)| kept.clone());
        let is_first = Cell::new(true);
        Box::new(move |listener, requests| {
            // Where the socket had to be made anew, the token beside it is gone as well.
            if !is_first.replace(false)
                && let Some(token) = &token
            {
                drop(token.write());
            }
            let serving = control::serve(listener, requests, Some(board.clone()));
            match &handle {
                Some(handle) => drop(handle.spawn(serving)),
                // Better on the deciding thread than not at all.
                None => drop(tokio::spawn(serving)),
            }
        })
    }

    /// Opens the door over TCP, where that is asked for; gives the line that tells.
    fn listen(&mut self, run: &RunId, arrivals: &mpsc::Sender<Arrival>) -> Option<String> {
        let address = self.settings.listen?;
        self.hall.as_ref()?;
        let listener = match tcp::listen(address.0) {
            Ok(listener) => listener,
            Err(error) => {
                return Some(format!(
                    "warning: no health and metrics over HTTP: cannot listen at {address}: {error}; \
                     --listen 0 takes a free port"
                ));
            }
        };
        let opened = listener.local_addr().unwrap_or(address.0);
        self.address = Some(opened);
        let (token, told) = self.token(run, arrivals);
        let door = Door {
            board: self.board.clone(),
            token,
            name: self.settings.name.clone(),
        };
        self.hall.as_ref()?.serve(listener, door);
        Some(format!("health and metrics at http://{opened}; {told}"))
    }

    /// The token, and what to say of it.
    fn token(&mut self, run: &RunId, arrivals: &mpsc::Sender<Arrival>) -> (Option<Token>, String) {
        let for_what = "/status and /health/detailed";
        let (token, path) = match &self.settings.token_file {
            Some(path) => (pass::read(path), path.clone()),
            None => {
                let Some(runtime) = dirs::runtime() else {
                    let told = "there is no runtime directory for a token".to_owned();
                    return (None, told);
                };
                let path = control::token(&runtime, &run.within(prepare::PATIENCE));
                let made = Kept::make(path.clone(), arrivals.clone()).map(|(token, kept)| {
                    self.token = Some((kept.write(), kept));
                    token
                });
                (made, path)
            }
        };
        match token {
            Ok(token) => {
                let told = format!("the token for {for_what} is in {}", path.display());
                (Some(token), told)
            }
            Err(why) => (
                None,
                format!("{for_what} are at the control socket only: {why}"),
            ),
        }
    }
}

impl Drop for Serving {
    /// Ends all of it: lets nobody else in, has the last look written, and takes the token away.
    fn drop(&mut self) {
        if let Some(hall) = self.hall.take() {
            hall.finish();
        }
        if let Some(writing) = self.writing.take() {
            writing.finish();
        }
        if let Some((written, kept)) = self.token.take() {
            kept.remove(&written);
        }
    }
}
