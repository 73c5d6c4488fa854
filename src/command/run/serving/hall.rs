//! The thread on which peers are talked to and entries are added up: nothing in it reaches the
//! deciding thread.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::ledger::entry::What;
use crate::serve::Board;
use crate::serve::tcp::{self, Door};

/// Entries on their way to the sums; more are missed, and counted.
const ENTRIES: usize = 1024;
/// How long the end of a run waits for those who are being answered.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// The thread on which peers are talked to.
pub(super) struct Hall {
    /// Of its runtime.
    pub(super) handle: Handle,
    /// Where entries are added up, until somebody takes it.
    pub(super) entries: Option<mpsc::Sender<What>>,
    /// Dropped when it is over.
    over: watch::Sender<()>,
    /// Held by all who are to end by themselves then.
    busy: mpsc::Sender<()>,
    done: std_mpsc::Receiver<()>,
}

impl Hall {
    /// Opens it.
    ///
    /// # Errors
    /// There is no thread or no runtime to be had.
    pub(super) fn open(board: Arc<Board>) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (entries, arriving) = mpsc::channel(ENTRIES);
        let (over, is_over) = watch::channel(());
        let (busy, idle) = mpsc::channel(1);
        let (tell_done, done) = std_mpsc::channel();
        let adding = busy.clone();
        let hall = move || {
            receive(&runtime, board, arriving, adding, is_over, idle);
            drop(tell_done);
            runtime.shutdown_background();
        };
        std::thread::Builder::new()
            .name("serve".to_owned())
            .spawn(hall)?;
        Ok(Self {
            handle,
            entries: Some(entries),
            over,
            busy,
            done,
        })
    }

    /// Lets nobody else in, and gives those who are being answered a moment.
    pub(super) fn finish(self) {
        drop((self.over, self.busy, self.entries));
        let _ = self.done.recv_timeout(LAST_ANSWERS);
    }

    /// Serves a door until it is over.
    pub(super) fn serve(&self, listener: std::net::TcpListener, door: Door) {
        let (busy, mut over) = (self.busy.clone(), self.over.subscribe());
        self.handle.spawn(async move {
            let over = async { drop(over.changed().await) };
            // A listener that cannot be used serves nobody; the job runs.
            let _ = tcp::serve(listener, door, over).await;
            drop(busy);
        });
    }
}

/// Adds up what arrives, beside all that is served on this runtime, until it is over.
fn receive(
    runtime: &Runtime,
    board: Arc<Board>,
    mut arriving: mpsc::Receiver<What>,
    adding: mpsc::Sender<()>,
    mut is_over: watch::Receiver<()>,
    mut idle: mpsc::Receiver<()>,
) {
    runtime.block_on(async {
        // Whoever tells is gone at the end, so it ends with the last entry.
        tokio::spawn(async move {
            while let Some(what) = arriving.recv().await {
                board.add(what);
            }
            drop(adding);
        });
        let _ = is_over.changed().await;
        let _ = timeout(LAST_ANSWERS, idle.recv()).await;
    });
}
