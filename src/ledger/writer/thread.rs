//! The side of the writer that may wait for the disk.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Closed, Item, KEPT, Opener, RETRY, Shared, Sync, locked, name};
use crate::clock;
use crate::ledger::adding::Few;
use crate::ledger::chain::{self, Digest};
use crate::ledger::entry::{Entry, Sums, What};
use crate::ledger::heads::Head;
use crate::ledger::line;
use crate::ledger::notary::Notary;
use crate::ledger::sink::Sink;
use crate::units::Joules;

/// Segments that wait for the disk, before they are added up.
const MANY: usize = 512;
/// What was written so far.
#[derive(Debug)]
pub(super) struct Written {
    /// The number of the next line.
    seq: u64,
    head: Digest,
    seconds: f64,
    joules: Joules,
    /// Who and where, from the first line.
    run: String,
    host: String,
    has_ended: bool,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            seq: 0,
            head: Digest::NONE,
            seconds: 0.0,
            joules: Joules::ZERO,
            run: String::new(),
            host: String::new(),
            has_ended: false,
        }
    }
}

impl Written {
    /// By another process, of a run that goes on.
    pub(super) fn so_far(head: Digest, run: String, host: String, sums: &Sums) -> Self {
        Self {
            seq: sums.entries,
            head,
            seconds: sums.seconds,
            joules: sums.joules,
            run,
            host,
            has_ended: false,
        }
    }

    fn add(&mut self, entry: &Entry, head: Digest) {
        self.seq += 1;
        self.head = head;
        match &entry.what {
            What::Begin(begin) => {
                (self.run, self.host) = (begin.run.clone(), begin.host.clone());
            }
            What::Segment(segment) => {
                self.seconds += segment.to_s - segment.from_s;
                self.joules += segment.energy.iter().map(|reading| reading.joules).sum();
            }
            What::End { .. } => self.has_ended = true,
            _ => {}
        }
    }

    fn sums(&self) -> Sums {
        Sums {
            entries: self.seq,
            seconds: self.seconds,
            joules: self.joules,
        }
    }
}

/// The thread.
pub(super) struct Thread {
    open: Opener,
    sink: Option<Box<dyn Sink>>,
    shared: Arc<Shared>,
    notary: Notary,
    /// How long written entries wait to be synced if nobody asked for it.
    lazy_sync: Duration,
    /// Not written yet, in order.
    pending: VecDeque<Item>,
    few: Few,
    /// Pending segments that went into others, which nothing tells of yet.
    summed: u64,
    written: Written,
    /// Tickets of written entries that wait for a sync.
    unsynced: Vec<oneshot::Sender<bool>>,
    /// Since when something is written and not synced.
    dirty_since: Option<Duration>,
    is_in_trouble: bool,
    /// What last went wrong.
    why: Option<String>,
    /// After a failed sync Linux may drop what it could not write and call the next one good.
    has_failed_to_sync: bool,
}

impl Thread {
    pub(super) fn new(
        open: Opener,
        shared: Arc<Shared>,
        notary: Notary,
        lazy_sync: Duration,
        written: Written,
    ) -> Self {
        Self {
            open,
            sink: None,
            shared,
            notary,
            lazy_sync,
            pending: VecDeque::new(),
            few: Few::than(MANY),
            summed: 0,
            written,
            unsynced: Vec::new(),
            dirty_since: None,
            is_in_trouble: false,
            why: None,
            has_failed_to_sync: false,
        }
    }

    pub(super) fn run(
        mut self,
        items: &Receiver<Item>,
        closed: &SyncSender<Closed>,
        noted: &SyncSender<Option<String>>,
    ) {
        self.write();
        // Told at the start, when it can still be mended; it is read again when it is needed.
        if let Err(why) = self.notary.signer() {
            let words = format!("the head of this run will not be signed: {why}");
            locked(&self.shared.trouble).get_or_insert(words);
        }
        while self.serve(items) {
            self.write();
            if self.sync_due_in().is_some_and(|left| left.is_zero()) {
                self.sync();
            }
        }
        let left = mem::take(&mut *locked(&self.shared.left_over));
        left.into_iter().for_each(|item| self.keep(item));
        self.write();
        self.sync();
        self.look();
        let is_complete =
            self.pending.is_empty() && self.dirty_since.is_none() && !self.has_failed_to_sync;
        let head = (is_complete && self.written.has_ended).then_some(self.written.head);
        let _ = closed.try_send(Closed {
            is_complete,
            is_empty: self.written.seq == 0,
            head,
            trouble: self.why.filter(|_| !is_complete),
        });
        // The file stays locked until its head is noted: whoever settles the run comes after that.
        let trouble = head.and_then(|head| {
            self.notary.note(Head {
                at: clock::utc_now(),
                run: self.written.run.clone(),
                host: self.written.host.clone(),
                lines: self.written.seq,
                head,
                key: None,
                signature: None,
            })
        });
        let _ = noted.try_send(trouble);
    }

    /// Waits for what comes next and takes it; `false` once nothing comes any more.
    fn serve(&mut self, items: &Receiver<Item>) -> bool {
        let next = match (self.pending.is_empty(), self.sync_due_in()) {
            (false, due) => items.recv_timeout(due.map_or(RETRY, |due| due.min(RETRY))),
            (true, Some(due)) => items.recv_timeout(due),
            (true, None) => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(item) => self.keep(item),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        // All that waits goes out together, with one sync for all.
        loop {
            match items.try_recv() {
                Ok(item) => self.keep(item),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// How long what is written may still wait to be safe: counted from the first of it, so that what
    /// comes meanwhile does not put it off.
    fn sync_due_in(&self) -> Option<Duration> {
        let waited = clock::monotonic().saturating_sub(self.dirty_since?);
        Some(self.lazy_sync.saturating_sub(waited))
    }

    /// Takes an item, or counts it when too many are kept already. The last entry always fits, and
    /// segments are added up before any is lost.
    pub(super) fn keep(&mut self, item: Item) {
        let is_segment = item.entry.segment().is_some();
        let is_end = matches!(item.entry.what, What::End { .. });
        if self.pending.len() < KEPT || is_end {
            self.pending.push_back(item);
            if is_segment && self.pending.len() >= MANY {
                self.squeeze();
            }
            return;
        }
        let more = match item.entry.what {
            What::Gap { lost, .. } => lost,
            _ => 1,
        };
        let (at, elapsed_s) = (item.entry.at, item.entry.elapsed_s);
        if let Some(Item { entry, .. }) = self.pending.back_mut()
            && let What::Gap { lost, .. } = &mut entry.what
        {
            *lost += more;
            (entry.at, entry.elapsed_s) = (at, elapsed_s);
            return;
        }
        self.pending.push_back(gap(at, elapsed_s, more, 0));
    }

    fn squeeze(&mut self) {
        let mut pending = Vec::from(mem::take(&mut self.pending));
        let is_segment = |item: &&Item| item.entry.segment().is_some();
        let segments = pending.iter().filter(is_segment).count();
        self.summed += (self.few).keep(&mut pending, segments, |item| &mut item.entry);
        self.pending = pending.into();
    }

    /// Puts what happened to pending segments before them, but not before the first entry of all.
    fn tell_summed(&mut self) {
        let Some(front) = self.pending.front().filter(|_| self.summed > 0) else {
            return;
        };
        let place = usize::from(matches!(front.entry.what, What::Begin(_)));
        let told = mem::take(&mut self.summed);
        let next = self.pending.get_mut(place).map(|item| &mut item.entry);
        match next {
            Some(entry) if matches!(entry.what, What::Gap { .. }) => {
                if let What::Gap { summed, .. } = &mut entry.what {
                    *summed += told;
                }
            }
            Some(entry) => {
                let gap = gap(entry.at, entry.elapsed_s, 0, told);
                self.pending.insert(place, gap);
            }
            None => self.summed = told,
        }
    }

    /// Writes what is kept, as far as the sink takes it.
    pub(super) fn write(&mut self) {
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
        if self.sink.is_none() {
            self.sink = Some((self.open)()?);
        }
        self.tell_summed();
        let mut is_asked = false;
        while let Some(item) = self.pending.front_mut() {
            if self.written.has_ended {
                // Nothing but settlements follows the end, and those are not written here.
                self.pending.clear();
                break;
            }
            item.entry.seq = self.written.seq;
            if let Some(id) = &*locked(&self.shared.id) {
                name(&mut item.entry, id);
            }
            if let What::End { sums, .. } = &mut item.entry.what {
                *sums = Some(self.written.sums());
            }
            let (object, entry) = line::write(&item.entry);
            let (line, head) = chain::seal(object, &self.written.head);
            let sink = self.sink.as_mut().expect("it was opened above");
            sink.append(&line)?;
            self.written.add(&entry, head);
            (self.shared.written).fetch_add(line.len() as u64, Ordering::Relaxed);
            self.dirty_since.get_or_insert_with(clock::monotonic);
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
        self.few = Few::than(MANY);
        if is_asked {
            self.sync();
        } else if !self.has_failed_to_sync {
            self.is_well_again();
        }
        Ok(())
    }

    fn sync(&mut self) {
        let Some(sink) = self.sink.as_mut().filter(|_| self.dirty_since.is_some()) else {
            return;
        };
        let synced = sink.sync();
        let is_safe = synced.is_ok();
        match synced {
            Ok(()) => {
                self.dirty_since = None;
                // What was written before the disk was full is no end of that.
                if self.pending.is_empty() && !self.has_failed_to_sync {
                    self.is_well_again();
                }
            }
            Err(error) => {
                self.has_failed_to_sync = true;
                // Tried again after another while, not at once and for ever.
                self.dirty_since = Some(clock::monotonic());
                self.complain(&error);
            }
        }
        // After the complaint: whoever hears `false` may ask why at once.
        for ticket in mem::take(&mut self.unsynced) {
            let _ = ticket.send(is_safe);
        }
    }

    /// Whether what was synced before is there until the end: no head is noted of what is gone.
    fn look(&mut self) {
        let looked = self.sink.as_ref().map(|sink| sink.look());
        if let Some(Err(error)) = looked {
            self.has_failed_to_sync = true;
            self.complain(&error);
        }
    }

    /// Tells the driver, once until things are well again.
    fn complain(&mut self, error: &io::Error) {
        let what = format!("cannot write the ledger: {error}");
        if !mem::replace(&mut self.is_in_trouble, true) {
            let then = match self.has_failed_to_sync {
                true => "what is recorded may be lost",
                false => "kept in memory and tried again",
            };
            locked(&self.shared.relief).take();
            *locked(&self.shared.trouble) = Some(format!("{what}; {then}"));
        }
        self.why = Some(what);
    }

    /// Tells the driver, where it was told of trouble.
    fn is_well_again(&mut self) {
        if mem::take(&mut self.is_in_trouble) {
            let words = "the ledger is written again, with all that was kept in memory";
            *locked(&self.shared.relief) = Some(words.to_owned());
        }
    }
}

fn gap(at: jiff::Timestamp, elapsed_s: f64, lost: u64, summed: u64) -> Item {
    Item {
        entry: Entry {
            seq: 0,
            at,
            elapsed_s,
            what: What::Gap { lost, summed },
        },
        sync: Sync::Later,
        ticket: None,
    }
}
