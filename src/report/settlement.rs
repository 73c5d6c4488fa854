//! What a run still lacks when it is over: intensities that were observed since. Pure.

use std::collections::BTreeSet;

use super::Summary;
use crate::emissions::{Intensities, Prices};
use crate::forecast::{Basis, Point, Scope, Span};
use crate::ledger::entry::{Entry, IntensityPoint, What};

/// An account that later observations would make better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its basis.
    pub basis: Basis,
    /// From the start of the run to its end: where it was held its baseline ran.
    pub span: Span,
    /// Sources that told of this account while the run went on.
    pub named: BTreeSet<String>,
}

impl Open {
    /// Whether numbers of `source`, of that basis, may enter the account. What two sources do not say
    /// of their scope need not be the same.
    pub fn takes(&self, source: &str, basis: Basis) -> bool {
        self.basis == basis && (basis.scope != Scope::Unknown || self.named.contains(source))
    }
}

/// The accounts of a run that is over and are not settled, the run's own among them even where
/// nothing was known by it; none of a replay, in which nothing was emitted.
pub fn open(summary: &Summary, entries: &[Entry]) -> Vec<Open> {
    let Some(end) = summary.ended_at else {
        return Vec::new();
    };
    let begin = &summary.begin;
    if begin.replay.is_some() {
        return Vec::new();
    }
    let start = summary.started_at;
    let last = summary.segments.iter().map(|segment| segment.end).max();
    let end = last.map_or(end, |last| last.max(end));
    // A clock that was set back: nobody can be asked about such a time.
    if end <= start {
        return Vec::new();
    }
    let named = |wanted: Basis| {
        let told = entries.iter().filter_map(move |entry| match &entry.what {
            What::Intensity { basis, source, .. } | What::Settlement { basis, source, .. }
                if *basis == wanted =>
            {
                Some(source.clone())
            }
            _ => None,
        });
        let asked = begin.sources.iter().filter(|_| wanted == begin.basis);
        told.chain(asked.cloned()).collect()
    };
    let accounts = summary.emissions.iter();
    let has_own = accounts.clone().any(|own| own.basis == begin.basis);
    let unsettled = accounts.filter(|own| !own.is_settled).map(|own| own.basis);
    let own = (!has_own).then_some(begin.basis);
    own.into_iter()
        .chain(unsettled)
        .map(|basis| Open {
            basis,
            span: Span { start, end },
            named: named(basis),
        })
        .collect()
}

/// Of what was observed, what is better than what an account was priced with.
pub fn better(
    priced_with: &Intensities,
    observed: impl IntoIterator<Item = Point>,
) -> Vec<IntensityPoint> {
    let points = observed.into_iter().map(IntensityPoint::observed);
    points
        .filter(|point| improves(priced_with, point))
        .collect()
}

/// Whether any of its time is known worse, or not at all.
fn improves(priced_with: &Intensities, point: &IntensityPoint) -> bool {
    let span = Span {
        start: point.start,
        end: point.end,
    };
    let mut reached = span.start;
    for piece in priced_with.within(span) {
        if piece.span.start > reached || piece.kind > point.kind {
            return true;
        }
        reached = piece.span.end;
    }
    reached < span.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Kind;
    use crate::forecast::Signal;
    use crate::ledger::entry::IntensityKind;
    use crate::report::tests as ledgers;
    use crate::units::GramsPerKwh;

    fn hour(start: &str, kind: Kind) -> Point {
        let start = ledgers::at(start);
        Point {
            span: Span::new(start, std::time::Duration::from_hours(1)),
            intensity: GramsPerKwh(100.0),
            kind,
        }
    }

    #[test]
    fn a_run_that_is_over_is_open_from_its_start_to_its_end() {
        let example = ledgers::example();
        let run = ledgers::summary(&example);
        let [open] = &open(&run, &example.entries)[..] else {
            panic!("one account is not settled");
        };
        assert_eq!(open.span.start, run.started_at);
        assert!(Some(open.span.end) >= run.ended_at);
        assert_eq!(open.named, BTreeSet::from(["energy-charts".to_owned()]));
        assert!(open.takes("electricity-maps", Basis::AVERAGE_LIFECYCLE));
    }

    #[test]
    fn an_account_that_nothing_was_known_by_is_open_to_the_sources_that_were_asked() {
        let mut example = ledgers::example();
        let own = Basis {
            signal: Signal::Average,
            scope: Scope::Unknown,
        };
        if let What::Begin(begin) = &mut example.entries[0].what {
            begin.basis = own;
            begin.sources = vec!["energy-charts".to_owned(), "built-in".to_owned()];
        }
        let open = open(&ledgers::summary(&example), &example.entries);
        assert_eq!(open[0].basis, own);
        assert!(open[0].takes("energy-charts", own));
        assert!(!open[0].takes("neso", own));
        assert!(!open[1].named.contains("built-in"));
    }

    #[test]
    fn a_run_that_goes_on_and_a_replay_are_not_settled() {
        for ledger in [ledgers::unfinished(), ledgers::replay()] {
            let run = ledgers::summary(&ledger);
            assert_eq!(open(&run, &ledger.entries), []);
        }
    }

    #[test]
    fn numbers_whose_scope_nobody_states_are_taken_from_the_same_source_alone() {
        let basis = Basis {
            signal: Signal::Average,
            scope: Scope::Unknown,
        };
        let open = Open {
            basis,
            span: Span {
                start: ledgers::at("2026-11-24T00:00:00Z"),
                end: ledgers::at("2026-11-25T00:00:00Z"),
            },
            named: BTreeSet::from(["energy-charts".to_owned()]),
        };
        assert!(open.takes("energy-charts", basis));
        assert!(!open.takes("energi-data-service", basis));
        assert!(!open.takes("energy-charts", Basis::AVERAGE_LIFECYCLE));
    }

    #[test]
    fn only_what_is_known_worse_is_settled() {
        let run = ledgers::summary(&ledgers::example());
        let own = &run.emissions[0];
        // Observed already in the example.
        let known = hour("2026-11-24T17:00:00Z", Kind::Live);
        // A forecast still.
        let new = hour("2026-11-25T07:00:00Z", Kind::Live);
        let points = better(&own.intensities, [known, new]);
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].start, new.span.start);
        assert_eq!(points[0].kind, IntensityKind::Observed);
        assert_eq!(better(&own.intensities, [known]), []);
        let estimate = hour("2026-11-25T07:00:00Z", Kind::Estimated);
        assert_eq!(better(&own.intensities, [estimate]).len(), 1);
    }
}
