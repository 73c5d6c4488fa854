//! How the ways to providers stand, seen from another thread: for metrics and health.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::limits::{Counters, Gate};
use super::{Lines, lock};

/// Sees how the ways of a caller stand. It shows no key and delays nobody.
#[derive(Clone, Debug)]
pub struct Lookout {
    lines: Arc<Lines>,
    is_offline: bool,
}

/// How the way to one provider stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What happened so far.
    pub counters: Counters,
    /// What its breaker does; of several addresses the one that lets the fewest through. None: it
    /// has none.
    pub gate: Option<Gate>,
    /// When an answer was last understood.
    pub last_good: Option<Timestamp>,
    /// Requests without any answer since the last one.
    pub unanswered: u64,
}

impl Seen {
    /// What is seen of both.
    pub fn and(self, other: &Self) -> Self {
        Self {
            counters: self.counters.and(other.counters),
            gate: self.gate.max(other.gate),
            last_good: self.last_good.max(other.last_good),
            // One address that answers is enough.
            unanswered: self.unanswered.min(other.unanswered),
        }
    }
}

impl Lookout {
    pub(super) fn new(lines: Arc<Lines>, is_offline: bool) -> Self {
        Self { lines, is_offline }
    }

    /// Whether nobody is asked.
    pub fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// How each provider stands that was asked so far, by name.
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        let mut all: BTreeMap<String, Seen> = BTreeMap::new();
        for ((name, _), line) in lock(&self.lines).iter() {
            let state = line.state();
            let seen = Seen {
                counters: state.counters,
                gate: state.breaker.as_ref().map(super::limits::Breaker::gate),
                last_good: state.last_good,
                unanswered: state.unanswered,
            };
            let both = match all.remove(name) {
                Some(before) => before.and(&seen),
                None => seen,
            };
            all.insert(name.clone(), both);
        }
        all
    }
}
