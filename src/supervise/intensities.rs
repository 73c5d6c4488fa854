//! What is written down about intensities: that of the present whenever it changes, and what was
//! observed as soon as it is known. Pure.
//!
//! Of what lies behind, an observation overrules what was expected of it: see
//! `emissions::Intensities`.

use jiff::Timestamp;

use crate::forecast::{Kind, Knowledge, Outlook, Point, Span};
use crate::ledger::entry::{IntensityKind, IntensityPoint, What};

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
                observed(Point {
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
            points.extend(expected_in(gap, outlook));
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

fn observed(point: Point) -> IntensityPoint {
    IntensityPoint {
        start: point.span.start,
        end: point.span.end,
        g_per_kwh: point.intensity,
        kind: match point.kind {
            Kind::Estimated => IntensityKind::Preliminary,
            _ => IntensityKind::Observed,
        },
        forecast: None,
    }
}

/// The intensity of the present as it is known now: observed, else expected.
pub(super) fn intensity_at(
    at: Timestamp,
    knowledge: &Knowledge,
    outlook: Option<&Outlook>,
) -> Option<IntensityPoint> {
    if let Some(seen) = knowledge.observations.point_at(at) {
        return Some(observed(seen));
    }
    let outlook = outlook?;
    let point = outlook.expected.point_at(at)?;
    expected_in(point.span, outlook).next()
}

fn expected_in(span: Span, outlook: &Outlook) -> impl Iterator<Item = IntensityPoint> {
    let kind = match outlook.kind {
        Kind::Live | Kind::Estimated | Kind::Cached | Kind::Interpolated => IntensityKind::Forecast,
        Kind::Profile | Kind::Rescaled => IntensityKind::Profile,
        Kind::RegionalAverage | Kind::Static => IntensityKind::Average,
    };
    outlook.expected.points().iter().filter_map(move |point| {
        let part = point.span.overlap(span)?;
        Some(IntensityPoint {
            start: part.start,
            end: part.end,
            g_per_kwh: point.intensity,
            kind,
            forecast: Some(outlook.kind),
        })
    })
}
