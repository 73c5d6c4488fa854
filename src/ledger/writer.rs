//! Writes a ledger from a thread of its own.
//!
//! The driver hands over entries and goes on; how the disk is doing shows only in how soon a
//! [`Ticket`] is answered. What cannot be written is kept and tried again; what cannot be kept is
//! counted, and the count is written as a `gap` when there is room.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::Ledger;
use super::entry::{Entry, What};
use super::runs::{RunDir, ids, new_run, new_run_named};
use super::sink::{FileSink, Sink};

/// Entries on their way to the thread. A run makes a few a minute: this is hours of a hanging disk.
const QUEUE: usize = 1024;
/// Entries kept while the disk takes none.
const KEPT: usize = 4096;
/// Entries held in memory for the summary of the run that is going on.
const REMEMBERED: usize = 50_000;
/// How long a failed write waits for the next try, if no entry comes before.
const RETRY: Duration = Duration::from_secs(5);
/// How long written entries wait to be synced if nobody asked for it.
const LAZY_SYNC: Duration = Duration::from_secs(5);

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
    done: Receiver<bool>,
    shared: Arc<Shared>,
    /// Locked by callers alone, never by the thread that writes.
    memory: Mutex<Memory>,
}

/// What the driver and the thread tell each other beside the queue. Locked for moments only.
#[derive(Debug, Default)]
struct Shared {
    trouble: Mutex<Option<String>>,
    /// What ids are drawn from.
    seed: u64,
    id: Mutex<Option<String>>,
    /// Whether the directory was made, or cannot be.
    has_tried: Mutex<bool>,
    tried: Condvar,
    /// A loss that no entry came after, for the thread to write at the end.
    last_loss: Mutex<Option<Loss>>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: Vec<Entry>,
    forgotten: u64,
    loss: Option<Loss>,
}

/// Entries that were given up, and when the last of them was.
#[derive(Clone, Copy, Debug)]
struct Loss {
    count: u64,
    at: Timestamp,
    elapsed_s: f64,
}

impl Loss {
    fn entry(self) -> Entry {
        Entry {
            seq: 0,
            at: self.at,
            elapsed_s: self.elapsed_s,
            what: What::Gap {
                lost: self.count,
                summed: 0,
            },
        }
    }
}

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
    pub fn begin(state: PathBuf, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            seed,
            ..Shared::default()
        });
        let theirs = Arc::clone(&shared);
        let mut made: Option<RunDir> = None;
        let open: Opener = Box::new(move || {
            let _awake = Wake(&theirs);
            if made.is_none() {
                made = Some(make(&state, seed, &theirs)?);
            }
            let directory = made.as_ref().expect("made above");
            Ok(Box::new(FileSink::new(directory.create_ledger()?)))
        });
        Self::start(open, shared)
    }

    /// The run's id, for whoever needs it and on any thread.
    pub fn id(&self) -> RunId {
        RunId(Arc::clone(&self.shared))
    }

    /// Entries go to a sink that `open` gives; `open` is called on the thread, and again when it
    /// failed.
    pub fn to(open: impl FnMut() -> io::Result<Box<dyn Sink>> + Send + 'static) -> Self {
        Self::start(Box::new(open), Arc::default())
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
        Self::start(Box::new(open), Arc::new(shared))
    }

    fn start(open: Opener, shared: Arc<Shared>) -> Self {
        let (queue, items) = mpsc::sync_channel(QUEUE);
        let (finished, done) = mpsc::sync_channel(1);
        let theirs = Arc::clone(&shared);
        let spawned = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || Thread::new(open, theirs).run(&items, &finished));
        if let Err(error) = spawned {
            *locked(&shared.trouble) = Some(format!("cannot write a ledger: no thread: {error}"));
        }
        Self {
            queue,
            done,
            shared,
            memory: Mutex::default(),
        }
    }

    /// Records that `what` happened. Never waits: what the queue has no room for is counted, and
    /// its ticket says `false`.
    pub fn record(&self, at: Timestamp, elapsed: Duration, what: What, sync: Sync) -> Ticket {
        let (ticket, answer) = oneshot::channel();
        let mut memory = locked(&self.memory);
        let entry = Entry {
            seq: memory.entries.len() as u64,
            at,
            elapsed_s: elapsed.as_secs_f64(),
            what,
        };
        memory.remember(entry.clone());
        // Losses are told in their place: before what comes after them.
        if let Some(loss) = memory.loss {
            let gap = Item {
                entry: loss.entry(),
                sync: Sync::Later,
                ticket: None,
            };
            if self.queue.try_send(gap).is_ok() {
                memory.loss = None;
            }
        }
        let item = Item {
            entry,
            sync,
            ticket: Some(ticket),
        };
        let is_lost = memory.loss.is_some() || self.queue.try_send(item).is_err();
        if is_lost {
            if memory.loss.is_none() {
                let words = "the ledger's disk does not answer; what happens now is not recorded";
                locked(&self.shared.trouble).get_or_insert_with(|| words.to_owned());
            }
            let count = memory.loss.map_or(0, |loss| loss.count) + 1;
            let elapsed_s = elapsed.as_secs_f64();
            memory.loss = Some(Loss {
                count,
                at,
                elapsed_s,
            });
        }
        Ticket(answer)
    }

    /// How long a segment may be, so that the file stays within its bound.
    pub fn segment_at_most(&self) -> Duration {
        Duration::from_mins(5)
    }

    /// A new trouble with writing, told once.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.shared.trouble).take()
    }

    /// What was recorded so far, from memory: for the summary of the run that is going on or has
    /// just ended, whatever the disk does.
    pub fn so_far(&self) -> Ledger {
        let memory = locked(&self.memory);
        let mut entries = memory.entries.clone();
        if let Some(first) = entries.first_mut() {
            name(first, &self.id().within(Duration::ZERO));
        }
        let mut ledger = Ledger::from_entries(entries);
        ledger.lost += memory.forgotten;
        ledger
    }

    /// Waits at most `limit` for all entries to be written and synced; says whether they are. A
    /// disk that hangs is left behind.
    pub fn finish(self, limit: Duration) -> bool {
        let Self {
            queue,
            done,
            shared,
            memory,
        } = self;
        let memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        *locked(&shared.last_loss) = memory.loss;
        drop(queue);
        done.recv_timeout(limit).unwrap_or(false)
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
}

impl Memory {
    fn remember(&mut self, entry: Entry) {
        let is_last = matches!(entry.what, What::End { .. });
        if self.entries.len() < REMEMBERED || is_last {
            self.entries.push(entry);
        } else {
            self.forgotten += 1;
        }
    }
}

/// The side that may wait for the disk.
struct Thread {
    open: Opener,
    sink: Option<Box<dyn Sink>>,
    shared: Arc<Shared>,
    /// Not written yet, in order.
    pending: VecDeque<Item>,
    /// The number of the next line.
    seq: u64,
    /// Tickets of written entries that wait for a sync.
    unsynced: Vec<oneshot::Sender<bool>>,
    is_dirty: bool,
    is_in_trouble: bool,
    /// After a failed sync Linux may drop what it could not write and call the next one good.
    has_failed_to_sync: bool,
}

impl Thread {
    fn new(open: Opener, shared: Arc<Shared>) -> Self {
        Self {
            open,
            sink: None,
            shared,
            pending: VecDeque::new(),
            seq: 0,
            unsynced: Vec::new(),
            is_dirty: false,
            is_in_trouble: false,
            has_failed_to_sync: false,
        }
    }

    fn run(mut self, items: &Receiver<Item>, finished: &SyncSender<bool>) {
        self.write();
        loop {
            let next = if !self.pending.is_empty() {
                items.recv_timeout(RETRY)
            } else if self.is_dirty {
                items.recv_timeout(LAZY_SYNC)
            } else {
                items.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let is_over = match next {
                Ok(item) => {
                    self.keep(item);
                    // All that waits goes out together, with one sync for all.
                    loop {
                        match items.try_recv() {
                            Ok(item) => self.keep(item),
                            Err(TryRecvError::Empty) => break false,
                            Err(TryRecvError::Disconnected) => break true,
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.pending.is_empty() {
                        self.sync();
                    }
                    false
                }
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if is_over {
                break;
            }
            self.write();
        }
        if let Some(loss) = locked(&self.shared.last_loss).take() {
            self.pending.push_back(Item {
                entry: loss.entry(),
                sync: Sync::Later,
                ticket: None,
            });
        }
        self.write();
        self.sync();
        let is_safe = self.pending.is_empty() && !self.is_dirty && !self.has_failed_to_sync;
        let _ = finished.try_send(is_safe);
    }

    /// Takes an item, or counts it when too many are kept already. The last entry always fits.
    fn keep(&mut self, item: Item) {
        let is_end = matches!(item.entry.what, What::End { .. });
        if self.pending.len() < KEPT || is_end {
            self.pending.push_back(item);
            return;
        }
        let more = match item.entry.what {
            What::Gap { lost, .. } => lost,
            _ => 1,
        };
        let (at, elapsed_s) = (item.entry.at, item.entry.elapsed_s);
        let lost = match self.pending.back_mut() {
            Some(Item { entry, .. }) => match &mut entry.what {
                What::Gap { lost, .. } => {
                    *lost += more;
                    (entry.at, entry.elapsed_s) = (at, elapsed_s);
                    return;
                }
                _ => more,
            },
            None => more,
        };
        let loss = Loss {
            count: lost,
            at,
            elapsed_s,
        };
        self.pending.push_back(Item {
            entry: loss.entry(),
            sync: Sync::Later,
            ticket: None,
        });
    }

    /// Writes what is kept, as far as the sink takes it.
    fn write(&mut self) {
        if let Err(error) = self.try_write() {
            self.complain(&error);
            // Whoever waits for these should act now: a full disk does not become roomy in time.
            for item in &mut self.pending {
                if let Some(ticket) = item.ticket.take() {
                    let _ = ticket.send(false);
                }
            }
        }
    }

    fn try_write(&mut self) -> io::Result<()> {
        let sink = match &mut self.sink {
            Some(sink) => sink,
            empty => empty.insert((self.open)()?),
        };
        let mut is_asked = false;
        while let Some(item) = self.pending.front_mut() {
            item.entry.seq = self.seq;
            if let Some(id) = &*locked(&self.shared.id) {
                name(&mut item.entry, id);
            }
            sink.append(&line(&item.entry))?;
            self.seq += 1;
            self.is_dirty = true;
            let item = self.pending.pop_front().expect("it was looked at above");
            match (item.sync, item.ticket) {
                (Sync::Now, Some(ticket)) => self.unsynced.push(ticket),
                (Sync::Later, Some(ticket)) => {
                    let _ = ticket.send(true);
                }
                (_, None) => {}
            }
            is_asked |= item.sync == Sync::Now;
        }
        if is_asked {
            self.sync();
        } else {
            self.is_in_trouble = false;
        }
        Ok(())
    }

    fn sync(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        if !self.is_dirty {
            return;
        }
        let synced = sink.sync();
        let is_safe = synced.is_ok();
        match synced {
            Ok(()) => (self.is_dirty, self.is_in_trouble) = (false, false),
            Err(error) => {
                self.has_failed_to_sync = true;
                self.complain(&error);
            }
        }
        // After the complaint: whoever hears `false` may ask why at once.
        for ticket in mem::take(&mut self.unsynced) {
            let _ = ticket.send(is_safe);
        }
    }

    /// Tells the driver, once until things are well again.
    fn complain(&mut self, error: &io::Error) {
        if !mem::replace(&mut self.is_in_trouble, true) {
            let words = format!("cannot write the ledger: {error}; kept in memory and tried again");
            *locked(&self.shared.trouble) = Some(words);
        }
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

/// The line of an entry. One that would not read back (a number that is none becomes `null`) is
/// replaced by a warning: it must not make all others unreadable.
fn line(entry: &Entry) -> Vec<u8> {
    let written = serde_json::to_vec(entry);
    let why = match written {
        Ok(mut line) => match serde_json::from_slice::<Entry>(&line) {
            Ok(_) => {
                line.push(b'\n');
                return line;
            }
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let instead = Entry {
        seq: entry.seq,
        at: entry.at,
        elapsed_s: if entry.elapsed_s.is_finite() {
            entry.elapsed_s
        } else {
            0.0
        },
        what: What::Warning {
            text: format!("an entry could not be recorded: {why}"),
        },
    };
    let mut line = serde_json::to_vec(&instead).expect("a warning is text and finite numbers");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
