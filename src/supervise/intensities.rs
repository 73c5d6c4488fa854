//! What is written down about intensities: that of the present whenever it changes, and what was
//! observed as soon as it is known. Pure.
//!
//! Of what lies behind, an observation overrules what was expected of it: see
//! `emissions::Intensities`.

use jiff::Timestamp;

use crate::forecast::{Kind, Knowledge, Outlook, Point, Span, score};
use crate::ledger::entry::{IntensityKind, IntensityPoint, What};
use crate::units::GramsPerKwh;

/// What one account has been told so far.
#[derive(Debug)]
pub(super) struct Noted {
    last: Option<IntensityPoint>,
    /// All that was observed before is written down.
    observed_until: Timestamp,
}

impl Noted {
    /// Nothing, of a run that begins at `begun`.
    pub(super) fn since(begun: Timestamp) -> Self {
        Self {
            last: None,
            observed_until: begun,
        }
    }

    /// The intensity that was last written down.
    pub(super) fn last(&self) -> Option<&IntensityPoint> {
        self.last.as_ref()
    }

    /// What is to be written down now.
    pub(super) fn due(
        &mut self,
        now: Timestamp,
        knowledge: &Knowledge,
        outlook: Option<&Outlook>,
    ) -> Vec<What> {
        let mut due = Vec::new();
        due.extend(self.observed(now, knowledge));
        due.extend(self.present(now, knowledge, outlook));
        due
    }

    /// What has become known of the time behind.
    fn observed(&mut self, now: Timestamp, knowledge: &Knowledge) -> Option<What> {
        let all = knowledge.observations.points();
        let from = all.partition_point(|point| point.span.end <= self.observed_until);
        // The one that `now` lies in is the present's.
        let to = all.partition_point(|point| point.span.end <= now);
        let new = all.get(from..to).unwrap_or_default();
        let points: Vec<IntensityPoint> = (new.iter())
            .map(|point| {
                let start = point.span.start.max(self.observed_until);
                let end = point.span.end;
                IntensityPoint::observed(Point {
                    span: Span { start, end },
                    ..*point
                })
            })
            .collect();
        self.observed_until = points.last()?.end;
        Some(What::Intensity {
            basis: knowledge.basis,
            source: knowledge.source.clone(),
            points,
        })
    }

    /// The intensity of the present, where it has changed; what was slept over is bridged.
    fn present(
        &mut self,
        now: Timestamp,
        knowledge: &Knowledge,
        outlook: Option<&Outlook>,
    ) -> Option<What> {
        let point = intensity_at(now, knowledge, outlook)?;
        if self.last.as_ref() == Some(&point) {
            return None;
        }
        let mut points = Vec::new();
        if let (Some(last), Some(outlook)) = (&self.last, outlook)
            && last.end < point.start
        {
            let gap = Span {
                start: last.end,
                end: point.start,
            };
            points.extend(expected_in(gap, knowledge, outlook));
        }
        points.push(point.clone());
        // What was expected may come from elsewhere than what was observed, and mean another thing.
        let (source, basis) = match (point.forecast, outlook) {
            (Some(_), Some(outlook)) => (outlook.source.clone(), outlook.basis),
            (None, _) | (_, None) => (knowledge.source.clone(), knowledge.basis),
        };
        if point.forecast.is_none() {
            self.observed_until = self.observed_until.max(point.end);
        }
        self.last = Some(point);
        Some(What::Intensity {
            basis,
            source,
            points,
        })
    }
}

/// The intensity of the present as it is known now: observed, else expected.
pub(super) fn intensity_at(
    at: Timestamp,
    knowledge: &Knowledge,
    outlook: Option<&Outlook>,
) -> Option<IntensityPoint> {
    if let Some(seen) = knowledge.observations.point_at(at) {
        return Some(IntensityPoint::observed(seen));
    }
    let outlook = outlook?;
    let point = outlook.expected.point_at(at)?;
    expected_in(point.span, knowledge, outlook).next()
}

fn expected_in(
    span: Span,
    knowledge: &Knowledge,
    outlook: &Outlook,
) -> impl Iterator<Item = IntensityPoint> {
    let kind = match outlook.kind {
        Kind::Live | Kind::Estimated | Kind::Cached | Kind::Interpolated => IntensityKind::Forecast,
        Kind::Profile | Kind::Rescaled => IntensityKind::Profile,
        Kind::RegionalAverage | Kind::Static => IntensityKind::Average,
    };
    outlook.expected.points().iter().filter_map(move |point| {
        let part = point.span.overlap(span)?;
        let (low, high) = bounds(kind, point, knowledge, outlook).unzip();
        Some(IntensityPoint {
            start: part.start,
            end: part.end,
            g_per_kwh: point.intensity,
            low_g_per_kwh: low,
            high_g_per_kwh: high,
            kind,
            forecast: Some(outlook.kind),
        })
    })
}

/// What is at least and at most to be expected: by the errors of this source's forecasts of that
/// age, or the 10th and 90th percentile of the usual day; `None` where neither is known.
fn bounds(
    kind: IntensityKind,
    point: &Point,
    knowledge: &Knowledge,
    outlook: &Outlook,
) -> Option<(GramsPerKwh, GramsPerKwh)> {
    let value = point.intensity;
    match kind {
        IntensityKind::Forecast => {
            let age = point.span.start.duration_since(outlook.issued_at?);
            let error = score::relative_error(&knowledge.leads, age)?;
            Some((value * (1.0 - error).max(0.0), value * (1.0 + error)))
        }
        // Percentiles mean what the built-in day means.
        IntensityKind::Profile if outlook.source == "built-in" => {
            let [_, low, high] = knowledge.profile?.at(point.span.start);
            Some((low, high))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::emissions::{Intensities, Prices};
    use crate::forecast::ahead::ahead;
    use crate::forecast::{Basis, Issue, Scope, Series, Signal};

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(minutes: i64) -> Timestamp {
        let start: Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_mins(minutes)
    }

    fn hours(first: i64, values: &[f64]) -> Series {
        let values = values.iter().map(|value| Some(GramsPerKwh(*value)));
        Series::regular(at(60 * first), HOUR, values, Kind::Live)
    }

    /// A service that says 200 ahead, and has observed these hours from 17:00 on.
    fn knowing(observed: &[f64]) -> (Knowledge, Outlook) {
        let knowledge = Knowledge {
            zone: "DE".to_owned(),
            basis: Basis {
                signal: Signal::Average,
                scope: Scope::Unknown,
            },
            source: "service".to_owned(),
            kind: Kind::Live,
            observations: hours(0, observed),
            issues: vec![Issue {
                issued_at: at(0),
                series: hours(0, &[200.0; 48]),
            }],
            profile: None,
            profile_same_accounting: false,
            yearly_average: None,
            lessons: None,
            trust: None,
            leads: Vec::new(),
        };
        let outlook = ahead(at(0), &knowledge, 48).unwrap();
        (knowledge, outlook)
    }

    fn points(due: Vec<What>) -> Vec<IntensityPoint> {
        let points = due.into_iter().map(|what| match what {
            What::Intensity { points, .. } => points,
            other => panic!("{other:?}"),
        });
        points.flatten().collect()
    }

    #[test]
    fn what_is_observed_later_overrules_what_was_expected() {
        let mut noted = Noted::since(at(30));
        let mut written = Vec::new();
        for hour in 0..3 {
            let (knowledge, outlook) = knowing(&[]);
            written.extend(noted.due(at(60 * hour + 30), &knowledge, Some(&outlook)));
        }
        let (knowledge, outlook) = knowing(&[500.0, 510.0, 520.0]);
        written.extend(noted.due(at(181), &knowledge, Some(&outlook)));
        let again = noted.due(at(182), &knowledge, Some(&outlook));
        assert_eq!(again, [], "each observation is written once");

        let intensities = Intensities::from_points(&points(written));
        for (minute, value) in [(45, 500.0), (90, 510.0), (150, 520.0)] {
            let piece = intensities.at(at(minute)).unwrap();
            assert_eq!(piece.intensity, GramsPerKwh(value), "{minute}");
            assert_eq!(piece.kind, IntensityKind::Observed);
        }
        assert_eq!(
            intensities.at(at(185)).unwrap().kind,
            IntensityKind::Forecast
        );
    }

    #[test]
    fn nothing_is_written_of_the_time_before_the_run() {
        let mut noted = Noted::since(at(90));
        let (knowledge, outlook) = knowing(&[500.0, 510.0]);
        let points = points(noted.due(at(125), &knowledge, Some(&outlook)));
        assert_eq!(points[0].start, at(90));
        assert_eq!(points[0].end, at(120));
    }

    #[test]
    fn an_estimate_of_the_past_is_preliminary() {
        let (mut knowledge, _) = knowing(&[500.0]);
        let estimated = knowledge.observations.points().iter().map(|point| Point {
            kind: Kind::Estimated,
            ..*point
        });
        knowledge.observations = Series::new(estimated.collect());
        let present = intensity_at(at(5), &knowledge, None).unwrap();
        assert_eq!(present.kind, IntensityKind::Preliminary);
    }

    #[test]
    fn what_stands_in_is_written_with_its_own_basis() {
        let mut noted = Noted::since(at(0));
        let (mut knowledge, mut outlook) = knowing(&[]);
        knowledge.issues.clear();
        outlook.basis = Basis::AVERAGE_LIFECYCLE;
        outlook.kind = Kind::Profile;
        let due = noted.due(at(5), &knowledge, Some(&outlook));
        let [What::Intensity { basis, points, .. }] = due.as_slice() else {
            panic!("{due:?}");
        };
        assert_eq!(*basis, Basis::AVERAGE_LIFECYCLE);
        assert_eq!(points[0].kind, IntensityKind::Profile);
    }
}
