//! The supervisor itself, and who was told.

use super::making::{counter, flag, gauge, labels};
use crate::serve::facts::Facts;
use crate::serve::family::Family;

pub(super) fn own(facts: &Facts, all: &mut Vec<Family>) {
    let own = facts.own;
    let alerts = facts.alerts.iter().map(|((channel, outcome), count)| {
        (
            labels([("channel", channel), ("outcome", outcome)]),
            *count as f64,
        )
    });
    all.extend([
        gauge(
            "catrain_seen_age",
            Some("seconds"),
            "Time since the deciding thread last told how the run stands.",
        )
        .one(facts.seen_ago_s),
        gauge(
            "catrain_ledger_up",
            None,
            "1 if what happens is on the disk, 0 if it waits in memory.",
        )
        .one(flag(facts.ledger_trouble.is_none())),
        counter(
            "catrain_missed_entries",
            None,
            "Entries of the record that are in no sum here.",
        )
        .one(facts.missed as f64),
        counter(
            "catrain_alerts",
            None,
            "Alerts by channel and by what came of them.",
        )
        .of(alerts),
        counter(
            "process_cpu",
            Some("seconds"),
            "Processor time of the supervisor.",
        )
        .one(own.processor_s),
        gauge(
            "process_resident_memory",
            Some("bytes"),
            "Resident memory of the supervisor.",
        )
        .one(own.resident.map(|bytes| bytes as f64)),
        gauge(
            "process_open_fds",
            None,
            "Open file descriptors of the supervisor.",
        )
        .one(own.descriptors.map(|count| count as f64)),
    ]);
}
