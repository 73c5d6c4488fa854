//! The thread that writes metrics to a file now and then: a disk that hangs costs the file alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::serve::Board;
use crate::serve::file::{self, Form};
use crate::supervise::Arrival;
use crate::words;

/// How long the end of a run waits for the last look to be written.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The thread that writes metrics to a file.
pub(super) struct Writing {
    over: std_mpsc::Sender<()>,
    done: std_mpsc::Receiver<()>,
}

impl Writing {
    /// Writes what is on the board to `path`; none where there is no thread to be had, or where the
    /// name of the file says nothing, which was looked at before.
    pub(super) fn start(
        board: Arc<Board>,
        path: PathBuf,
        every: Duration,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Option<Self> {
        let form = Form::of(&path).ok()?;
        let (over, is_over) = std_mpsc::channel();
        let (tell_done, done) = std_mpsc::channel();
        let writing = move || {
            write_now_and_then(&board, &path, form, every, &is_over, &arrivals);
            drop::<std_mpsc::Sender<()>>(tell_done);
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        thread.spawn(writing).ok()?;
        Some(Self { over, done })
    }

    /// Has the last look written.
    pub(super) fn finish(self) {
        drop(self.over);
        let _ = self.done.recv_timeout(LAST_LOOK);
    }
}

/// Until it is over, and then once more. Trouble is told once an episode.
fn write_now_and_then(
    board: &Board,
    path: &Path,
    form: Form,
    every: Duration,
    is_over: &std_mpsc::Receiver<()>,
    arrivals: &mpsc::Sender<Arrival>,
) {
    let mut has_failed = false;
    loop {
        let waited = is_over.recv_timeout(every);
        let written = file::write(path, form, &board.facts());
        if written.is_err() != has_failed {
            has_failed = written.is_err();
            let path = path.display();
            let arrival = match written {
                Ok(()) => Arrival::Note(format!("metrics are written to {path} again")),
                Err(error) => Arrival::Trouble(format!(
                    "metrics cannot be written to {path}: {error}; tried again every {}",
                    words::duration(every)
                )),
            };
            drop(arrivals.blocking_send(arrival));
        }
        if waited != Err(std_mpsc::RecvTimeoutError::Timeout) {
            return;
        }
    }
}
