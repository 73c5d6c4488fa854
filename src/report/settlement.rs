//! What a run still lacks when it is over: intensities that were observed since. Pure.

use std::collections::BTreeSet;

use super::{Emissions, Summary};
use crate::emissions::Prices;
use crate::forecast::{Basis, Kind, Point, Scope, Span};
use crate::ledger::entry::{Entry, IntensityKind, IntensityPoint, What};

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

/// The accounts of a run that is over and are not settled; none of a replay, in which nothing was
/// emitted.
pub fn open(summary: &Summary, entries: &[Entry]) -> Vec<Open> {
    let Some(end) = summary.ended_at else {
        return Vec::new();
    };
    if summary.begin.replay.is_some() {
        return Vec::new();
    }
    let start = summary.started_at;
    let last = summary.segments.iter().map(|segment| segment.end).max();
    let end = last.map_or(end, |last| last.max(end));
    let unsettled = summary.emissions.iter().filter(|own| !own.is_settled);
    let named = |wanted: Basis| {
        let sources = entries.iter().filter_map(move |entry| match &entry.what {
            What::Intensity { basis, source, .. } | What::Settlement { basis, source, .. }
                if *basis == wanted =>
            {
                Some(source.clone())
            }
            _ => None,
        });
        sources.collect()
    };
    unsettled
        .map(|own| Open {
            basis: own.basis,
            span: Span { start, end },
            named: named(own.basis),
        })
        .collect()
}

/// Of what was observed, what is better than what an account has, as an entry for its record; `None`
/// where nothing is.
pub fn settlement(
    own: &Emissions,
    source: &str,
    observed: impl IntoIterator<Item = Point>,
) -> Option<What> {
    let points = observed.into_iter().map(|point| IntensityPoint {
        start: point.span.start,
        end: point.span.end,
        g_per_kwh: point.intensity,
        low_g_per_kwh: None,
        high_g_per_kwh: None,
        kind: match point.kind {
            Kind::Estimated => IntensityKind::Preliminary,
            _ => IntensityKind::Observed,
        },
        forecast: None,
    });
    let points: Vec<IntensityPoint> = points.filter(|point| improves(own, point)).collect();
    (!points.is_empty()).then(|| What::Settlement {
        basis: own.basis,
        source: source.to_owned(),
        points,
    })
}

/// Whether any of its time is known worse, or not at all.
fn improves(own: &Emissions, point: &IntensityPoint) -> bool {
    let span = Span {
        start: point.start,
        end: point.end,
    };
    let mut reached = span.start;
    for piece in own.intensities.within(span) {
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
    use crate::forecast::Signal;
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
        let settled = settlement(own, "energy-charts", [known, new]);
        let Some(What::Settlement { points, .. }) = settled else {
            panic!("one hour is new");
        };
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].start, new.span.start);
        assert_eq!(points[0].kind, IntensityKind::Observed);
        assert_eq!(settlement(own, "energy-charts", [known]), None);
        let estimate = hour("2026-11-25T07:00:00Z", Kind::Estimated);
        assert!(settlement(own, "energy-charts", [estimate]).is_some());
    }
}
