//! The ways to sources.

use std::collections::BTreeMap;

use super::making::{counter, flag, gauge, labels, unix};
use crate::caller::Seen;
use crate::caller::limits::Gate;
use crate::serve::family::Family;

pub(super) fn sources(sources: &BTreeMap<String, Seen>, all: &mut Vec<Family>) {
    let each = |of: fn(&Seen) -> f64| {
        (sources.iter()).map(move |(name, seen)| (labels([("source", name)]), of(seen)))
    };
    let by_outcome = sources.iter().flat_map(|(name, seen)| {
        let outcomes = seen.counters.outcomes();
        outcomes.map(|(outcome, count)| {
            (
                labels([("source", name), ("outcome", outcome)]),
                count as f64,
            )
        })
    });
    let withheld = sources.iter().flat_map(|(name, seen)| {
        let counters = seen.counters;
        let by = [
            ("breaker", counters.refused_by_breaker),
            ("limits", counters.refused_by_limits),
        ];
        by.map(|(by, count)| (labels([("source", name), ("by", by)]), count as f64))
    });
    let gates = sources.iter().flat_map(|(name, seen)| {
        Gate::ALL.into_iter().filter_map(|(gate, word)| {
            let own = labels([("source", name), ("state", word)]);
            Some((own, flag(seen.gate? == gate)))
        })
    });
    let last = sources
        .iter()
        .filter_map(|(name, seen)| Some((labels([("source", name)]), unix(seen.last_good?))));
    all.extend([
        counter(
            "catrain_source_calls",
            None,
            "Requests to a source, by what came of them.",
        )
        .of(by_outcome),
        counter(
            "catrain_source_retries",
            None,
            "Second and further attempts of one question.",
        )
        .of(each(|seen| seen.counters.retries as f64)),
        counter(
            "catrain_source_asks",
            None,
            "Questions to a source, whoever answered.",
        )
        .of(each(|seen| seen.counters.asks as f64)),
        counter(
            "catrain_source_cache_hits",
            None,
            "Of these, answered by what was heard before.",
        )
        .of(each(|seen| seen.counters.cache_hits as f64)),
        counter(
            "catrain_source_withheld",
            None,
            "Requests that were not sent, by what forbade it.",
        )
        .of(withheld),
        counter(
            "catrain_source_received",
            Some("bytes"),
            "Bytes of answers.",
        )
        .of(each(|seen| seen.counters.bytes as f64)),
        counter(
            "catrain_source_exchange",
            Some("seconds"),
            "Time that requests took, in all.",
        )
        .of(each(|seen| seen.counters.exchanging.as_secs_f64())),
        gauge(
            "catrain_source_breaker",
            None,
            "1 for the state of a source's circuit breaker.",
        )
        .of(gates),
        gauge(
            "catrain_source_last_good_timestamp",
            Some("seconds"),
            "When a source last gave an answer that was understood, in Unix time.",
        )
        .of(last),
    ]);
}
