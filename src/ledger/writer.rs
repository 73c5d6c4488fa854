//! Writes a ledger from a thread of its own.
//!
//! The driver hands over entries and goes on; how the disk is doing shows only in how soon a
//! [`Ticket`] is answered. What cannot be written is kept and tried again. When that becomes much,
//! segments are added up, so that no energy is lost, and other entries are counted; a `gap` says so
//! when there is room.

mod again;
mod memory;
mod thread;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::chain::Digest;
use super::entry::{Entry, What};
use super::notary::Notary;
use super::runs::{RunDir, ids, new_run, new_run_named};
use super::sink::{FileSink, Sink};
use super::{Ledger, lock, pace};
use crate::clock;
pub use again::CannotGoOn;
use memory::Memory;
use thread::{Thread, Written};

/// Entries on their way to the thread. A run makes a few a minute: this is hours of a hanging disk.
const QUEUE: usize = 1024;
/// Entries kept while the disk takes none.
const KEPT: usize = 4096;
/// How long a failed write waits for the next try, if no entry comes before.
const RETRY: Duration = Duration::from_secs(5);

/// How a run is recorded: `[ledger]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The length of a segment in real time, at first; longer ones as the file grows.
    pub sample: Duration,
    /// How long what was only measured may wait to be safe.
    pub sync: Duration,
    /// Bytes of a file, near which its segments get longer.
    pub largest: u64,
    /// An Ed25519 key in PEM that heads are signed with.
    pub signing_key: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sample: Duration::from_secs(10),
            sync: Duration::from_secs(10),
            largest: 16 << 20,
            signing_key: None,
        }
    }
}

/// How the record of a run was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Whether all entries are written and synced.
    pub is_complete: bool,
    /// Whether it is known that there is nothing: not one line could be written.
    pub is_empty: bool,
    /// The digest of its last line, where the end of the run is among them.
    pub head: Option<Digest>,
    /// Why it is not complete; of one that is, why its head is not noted, or not signed, as it should
    /// be.
    pub trouble: Option<String>,
}

/// A reader holds the lock of a file for less than a moment.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// How safe an entry should be before its ticket says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It survives a loss of power.
    Now,
    /// It survives the end of this process; it is synced within seconds.
    Later,
}

/// Says whether an entry is where it should be.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<bool>);

impl Future for Ticket {
    type Output = bool;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(false))
    }
}

impl Ticket {
    /// Waits no longer than `limit`; `false` when the entry is not known to be safe by then.
    pub async fn within(self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self).await.unwrap_or(false)
    }
}

/// The writer's end that the driver holds. Nothing here waits, but for the two with a limit.
#[derive(Debug)]
pub struct Writer {
    queue: SyncSender<Item>,
    closed: Receiver<Closed>,
    noted: Receiver<Option<String>>,
    shared: Arc<Shared>,
    options: Options,
    /// Locked by callers alone, never by the thread that writes.
    memory: Mutex<Memory>,
}

/// What the driver and the thread tell each other beside the queue. Locked for moments only.
#[derive(Debug, Default)]
struct Shared {
    trouble: Mutex<Option<String>>,
    /// That a trouble is over.
    relief: Mutex<Option<String>>,
    /// What ids are drawn from.
    seed: u64,
    id: Mutex<Option<String>>,
    /// Whether the directory was made, or cannot be.
    has_tried: Mutex<bool>,
    tried: Condvar,
    /// What had no room in the queue until the end, for the thread to write.
    left_over: Mutex<Vec<Item>>,
    /// Bytes of the file.
    written: AtomicU64,
}

/// An entry on its way.
#[derive(Debug)]
struct Item {
    entry: Entry,
    sync: Sync,
    ticket: Option<oneshot::Sender<bool>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the place for the lines; called again, later, when it failed.
type Opener = Box<dyn FnMut() -> io::Result<Box<dyn Sink>> + Send>;

impl Writer {
    /// A new run in the state directory `state`. Nothing waits for the disk here: the run's id is
    /// known once its directory is made, see [`Writer::id`].
    pub fn begin(state: PathBuf, seed: u64, options: Options) -> Self {
        let shared = Arc::new(Shared {
            seed,
            ..Shared::default()
        });
        let notary = Notary {
            state: Some(state.clone()),
            key: options.signing_key.clone(),
        };
        let theirs = Arc::clone(&shared);
        let mut made: Option<RunDir> = None;
        let open: Opener = Box::new(move || {
            let _awake = Wake(&theirs);
            if made.is_none() {
                made = Some(make(&state, seed, &theirs)?);
            }
            let directory = made.as_ref().expect("made above");
            let file = directory.create_ledger()?;
            // So that whoever reads it can tell that it is being written. It is ours by its making:
            // where a file system has no locks, nothing but that is lost.
            let _ = lock::within(&file, LOCK_PATIENCE);
            Ok(Box::new(FileSink::new(file)))
        });
        Self::start(open, shared, notary, options, Written::default())
    }

    /// The run's id, for whoever needs it and on any thread.
    pub fn id(&self) -> RunId {
        RunId(Arc::clone(&self.shared))
    }

    /// Entries go to a sink that `open` gives; `open` is called on the thread, and again when it
    /// failed.
    pub fn to(open: impl FnMut() -> io::Result<Box<dyn Sink>> + Send + 'static) -> Self {
        Self::start(
            Box::new(open),
            Arc::default(),
            Notary::default(),
            Options::default(),
            Written::default(),
        )
    }

    /// A ledger in memory alone, because of `reason`, which is the trouble that it tells.
    pub fn nowhere(reason: impl Into<String>, seed: u64) -> Self {
        let reason = reason.into();
        let shared = Shared {
            seed,
            has_tried: Mutex::new(true),
            ..Shared::default()
        };
        let open = move || Err(io::Error::other(reason.clone()));
        let (shared, notary) = (Arc::new(shared), Notary::default());
        Self::start(
            Box::new(open),
            shared,
            notary,
            Options::default(),
            Written::default(),
        )
    }

    fn start(
        open: Opener,
        shared: Arc<Shared>,
        notary: Notary,
        options: Options,
        written: Written,
    ) -> Self {
        let (queue, items) = mpsc::sync_channel(QUEUE);
        let (close, closed) = mpsc::sync_channel(1);
        let (note, noted) = mpsc::sync_channel(1);
        let thread = Thread::new(open, Arc::clone(&shared), notary, options.sync, written);
        let spawned = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || thread.run(&items, &close, &note));
        if let Err(error) = spawned {
            *locked(&shared.trouble) = Some(format!("cannot write a ledger: no thread: {error}"));
        }
        Self {
            queue,
            closed,
            noted,
            shared,
            options,
            memory: Mutex::default(),
        }
    }

    /// Records that `what` happened. Never waits: of what the queue has no room for, segments are
    /// added up until it has, other entries are counted, and the ticket says `false`.
    pub fn record(&self, at: Timestamp, elapsed: Duration, what: What, sync: Sync) -> Ticket {
        let (ticket, answer) = oneshot::channel();
        let mut memory = locked(&self.memory);
        let entry = memory.next(at, elapsed, what);
        let overflow = &mut memory.overflow;
        // In its place: before what comes after it.
        overflow.give(|item| self.offer(item));
        let item = Item {
            entry,
            sync,
            ticket: Some(ticket),
        };
        let is_first = overflow.is_empty();
        let left = match is_first {
            true => self.offer(item),
            false => Some(item),
        };
        if let Some(item) = left {
            if is_first {
                let words = "the ledger's disk does not answer; energy is added up until it does, other entries are lost";
                locked(&self.shared.trouble).get_or_insert_with(|| words.to_owned());
            }
            overflow.take(item);
        }
        Ticket(answer)
    }

    /// Puts an item into the queue; gives it back when there is no room.
    fn offer(&self, item: Item) -> Option<Item> {
        match self.queue.try_send(item) {
            Ok(()) => None,
            Err(TrySendError::Full(item) | TrySendError::Disconnected(item)) => Some(item),
        }
    }

    /// How long a segment may be in real time, so that the file stays near its bound.
    pub fn segment_at_most(&self) -> Duration {
        let written = self.shared.written.load(Ordering::Relaxed);
        pace::interval(self.options.sample, written, self.options.largest)
    }

    /// A new trouble with writing, told once.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.shared.trouble).take()
    }

    /// That the last trouble is over, told once.
    pub fn relief(&self) -> Option<String> {
        locked(&self.shared.relief).take()
    }

    /// What was recorded so far, from memory: for the summary of the run that is going on or has
    /// just ended, whatever the disk does.
    pub fn so_far(&self) -> Ledger {
        let id = self.id().within(Duration::ZERO);
        locked(&self.memory).ledger(&id)
    }

    /// Waits at most `limit` for all entries to be written and synced and for the head to be noted.
    /// A disk that hangs is left behind.
    pub fn finish(self, limit: Duration) -> Closed {
        let until = clock::monotonic() + limit;
        let Self {
            queue,
            closed,
            noted,
            shared,
            memory,
            options: _,
        } = self;
        let memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        *locked(&shared.left_over) = memory.overflow.into_items();
        drop(queue);
        let mut closed = closed.recv_timeout(limit).unwrap_or_default();
        if let Some(head) = closed.head {
            let left = until.saturating_sub(clock::monotonic());
            let late = || {
                Some(format!(
                    "its head is not noted: the disk did not take it in time; keep it elsewhere: {head}"
                ))
            };
            closed.trouble = noted.recv_timeout(left).unwrap_or_else(|_| late());
        }
        closed
    }
}

/// An id this far in the sequence is of eight characters: of a thousand million, so free.
const UNLIKELY: usize = 2 * 32;

/// Makes the directory of the run under the id that it has been told by, or gives it one.
fn make(state: &std::path::Path, seed: u64, shared: &Shared) -> io::Result<RunDir> {
    let told = locked(&shared.id).clone();
    if let Some(id) = told {
        return new_run_named(state, &id);
    }
    let made = new_run(state, seed)?;
    let mut id = locked(&shared.id);
    match &*id {
        None => {
            *id = Some(made.id.clone());
            Ok(made)
        }
        Some(told) => {
            // Too late: the run goes by another id. An empty directory would look like a run.
            let told = told.clone();
            drop(id);
            let _ = std::fs::remove_dir(&made.path);
            new_run_named(state, &told)
        }
    }
}

/// Wakes who waits for the first try, however that ends.
struct Wake<'a>(&'a Shared);

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        *locked(&self.0.has_tried) = true;
        self.0.tried.notify_all();
    }
}

/// The id of a run, which its directory's name decides.
#[derive(Clone, Debug)]
pub struct RunId(Arc<Shared>);

impl RunId {
    /// Waits at most `limit` for the disk; then, or when the directory cannot be used, the run gets an
    /// id that is very likely free, and its entries are kept in memory until that directory can be
    /// made. Once told, it does not change.
    pub fn within(&self, limit: Duration) -> String {
        let shared = &self.0;
        let waiting = locked(&shared.has_tried);
        let waited = shared
            .tried
            .wait_timeout_while(waiting, limit, |tried| !*tried);
        drop(waited);
        locked(&shared.id)
            .get_or_insert_with(|| ids(shared.seed).nth(UNLIKELY).expect("ids have no end"))
            .clone()
    }

    /// The same for who can do without: decides nothing where the disk does not.
    pub fn known_within(&self, limit: Duration) -> Option<String> {
        let shared = &self.0;
        let waiting = locked(&shared.has_tried);
        let waited = shared
            .tried
            .wait_timeout_while(waiting, limit, |tried| !*tried);
        drop(waited);
        locked(&shared.id).clone()
    }
}

/// Puts the run's id into its first entry: it is known only once the directory is made.
fn name(entry: &mut Entry, id: &str) {
    if let What::Begin(begin) = &mut entry.what
        && begin.run.is_empty()
    {
        id.clone_into(&mut begin.run);
    }
}

#[cfg(test)]
mod tests;
