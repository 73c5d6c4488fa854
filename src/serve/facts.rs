//! Everything that is known of a run, to be told. Pure data.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::tally::Tally;
use crate::caller::Seen;
use crate::supervise::snapshot::Snapshot;

/// Everything that is known of a run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What does not change.
    pub about: About,
    /// The run's id.
    pub run: String,
    /// How it stood when it was last seen, once it was.
    pub snapshot: Option<Snapshot>,
    /// Seconds since then, by the monotonic clock.
    pub seen_ago_s: Option<f64>,
    /// What its entries add up to.
    pub tally: Tally,
    /// The ways to sources that were asked, by name.
    pub sources: BTreeMap<String, Seen>,
    /// Whether nobody is asked.
    pub is_offline: bool,
    /// What is wrong with the record.
    pub ledger_trouble: Option<String>,
    /// Alerts by channel and what came of them.
    pub alerts: BTreeMap<(&'static str, &'static str), u64>,
    /// Entries that are in no sum here: there was no room for them on the way.
    pub missed: u64,
    /// The supervisor itself.
    pub own: Own,
    /// The wall clock.
    pub now: Timestamp,
}

/// What does not change while a run goes on.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// `--name`, else the program's.
    pub name: String,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// Grid zone.
    pub zone: String,
    /// `--policy`.
    pub policy: String,
    /// `--pause-with`.
    pub pause_with: String,
    /// Whether another day is lived out.
    pub is_replay: bool,
}

/// The supervisor's own needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Own {
    /// Processor time so far, in seconds.
    pub processor_s: f64,
    /// Resident memory in bytes.
    pub resident: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
}

/// A run with something of everything, for tests.
#[cfg(test)]
pub(super) fn sample() -> Facts {
    use crate::caller::limits::{Counters, Gate};
    use crate::units::Pue;
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger_v2.jsonl"
    );
    let mut tally = Tally::new(Pue::NONE);
    for entry in crate::ledger::read(path.as_ref()).unwrap().entries {
        tally.take(entry.what);
    }
    let seen = Seen {
        counters: Counters {
            asks: 9,
            calls: 5,
            good: 4,
            timed_out: 1,
            retries: 1,
            ..Counters::default()
        },
        gate: Some(Gate::Closed),
        last_good: Some("2026-11-24T16:56:00Z".parse().unwrap()),
        unanswered: 0,
    };
    Facts {
        about: About {
            name: "fine\"tune".to_owned(),
            labels: vec![("team name".to_owned(), "vision".to_owned())],
            zone: "DE".to_owned(),
            policy: "plan".to_owned(),
            pause_with: "stop".to_owned(),
            is_replay: false,
        },
        run: "r7k2".to_owned(),
        snapshot: Some(crate::supervise::snapshot::paused()),
        seen_ago_s: Some(0.5),
        tally,
        sources: BTreeMap::from([("energy-charts".to_owned(), seen)]),
        is_offline: false,
        ledger_trouble: None,
        alerts: BTreeMap::from([(("webhook", "delivered"), 3)]),
        missed: 0,
        own: Own {
            processor_s: 0.25,
            resident: Some(12_000_000),
            descriptors: Some(20),
        },
        now: "2026-11-24T17:00:00Z".parse().unwrap(),
    }
}
