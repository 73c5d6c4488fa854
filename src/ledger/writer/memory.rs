//! What the driver's side of the writer keeps: the run so far, for its summary, and what found no
//! room on the way to the disk.
//!
//! Both are bounded however long a run is or a disk hangs: segments are added up to fewer and longer
//! ones, and of the rest, what is too much is counted.

use std::time::Duration;

use jiff::Timestamp;

use super::{Item, KEPT, Sync};
use crate::ledger::Ledger;
use crate::ledger::adding::Few;
use crate::ledger::entry::{Entry, What};

/// Entries held in memory for the summary of the run that is going on.
const REMEMBERED: usize = 20_000;
/// Segments among them, before they are added up.
const MANY: usize = 1000;

/// The run so far.
#[derive(Debug)]
pub(super) struct Memory {
    entries: Vec<Entry>,
    few: Few,
    segments: usize,
    /// Entries so far.
    count: u64,
    forgotten: u64,
    pub(super) overflow: Overflow,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            few: Few::than(MANY),
            segments: 0,
            count: 0,
            forgotten: 0,
            overflow: Overflow::default(),
        }
    }
}

impl Memory {
    /// What another process has recorded of the run.
    pub(super) fn remember(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let at = Duration::try_from_secs_f64(entry.elapsed_s).unwrap_or_default();
            self.next(entry.at, at, entry.what);
        }
    }

    /// Makes the next entry and remembers it.
    pub(super) fn next(&mut self, at: Timestamp, elapsed: Duration, what: What) -> Entry {
        let entry = Entry {
            seq: self.count,
            at,
            elapsed_s: elapsed.as_secs_f64(),
            what,
        };
        self.count += 1;
        let is_last = matches!(entry.what, What::End { .. });
        if self.entries.len() >= REMEMBERED && !is_last {
            self.forgotten += 1;
            return entry;
        }
        self.segments += usize::from(entry.segment().is_some());
        self.entries.push(entry.clone());
        let joined = self.few.keep(&mut self.entries, self.segments, |e| e);
        self.segments -= joined as usize;
        entry
    }

    /// As a ledger; the run's id stands in its first entry once it is known.
    pub(super) fn ledger(&self, id: &str) -> Ledger {
        let mut entries = self.entries.clone();
        if let Some(first) = entries.first_mut() {
            super::name(first, id);
        }
        let mut ledger = Ledger::from_entries(entries);
        ledger.lost += self.forgotten;
        ledger
    }
}

/// Entries that found no room in the queue, since the disk does not answer.
#[derive(Debug)]
pub(super) struct Overflow {
    /// Segments, and the end.
    kept: Vec<Item>,
    few: Few,
    lost: u64,
    summed: u64,
    /// When the last of them was recorded.
    last: (Timestamp, f64),
}

impl Default for Overflow {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            few: Few::than(MANY),
            lost: 0,
            summed: 0,
            last: (Timestamp::UNIX_EPOCH, 0.0),
        }
    }
}

impl Overflow {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.lost == 0
    }

    /// Takes what found no room. Its ticket says that it is not safe.
    pub(super) fn take(&mut self, mut item: Item) {
        item.ticket = None;
        self.last = (item.entry.at, item.entry.elapsed_s);
        match item.entry.what {
            What::End { .. } => self.kept.push(item),
            What::Segment(_) if self.kept.len() < KEPT => {
                self.kept.push(item);
                let segments = self.kept.len();
                self.summed += self
                    .few
                    .keep(&mut self.kept, segments, |item| &mut item.entry);
            }
            _ => self.lost += 1,
        }
    }

    /// Hands on what there is room for again: what happened to it, then itself. `offer` gives back
    /// what it has no room for.
    pub(super) fn give(&mut self, mut offer: impl FnMut(Item) -> Option<Item>) {
        if self.lost + self.summed > 0 {
            if offer(self.gap()).is_some() {
                return;
            }
            (self.lost, self.summed) = (0, 0);
        }
        let mut kept = std::mem::take(&mut self.kept).into_iter();
        while let Some(item) = kept.next() {
            if let Some(item) = offer(item) {
                self.kept = std::iter::once(item).chain(kept).collect();
                return;
            }
        }
        self.few = Few::than(MANY);
    }

    /// All that is left, in order.
    pub(super) fn into_items(self) -> Vec<Item> {
        let gap = (self.lost + self.summed > 0).then(|| self.gap());
        gap.into_iter().chain(self.kept).collect()
    }

    fn gap(&self) -> Item {
        let (at, elapsed_s) = match self.kept.first() {
            Some(first) => (first.entry.at, first.entry.elapsed_s),
            None => self.last,
        };
        Item {
            entry: Entry {
                seq: 0,
                at,
                elapsed_s,
                what: What::Gap {
                    lost: self.lost,
                    summed: self.summed,
                },
            },
            sync: Sync::Later,
            ticket: None,
        }
    }
}
