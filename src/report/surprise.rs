//! Where a forecast was too low: the usual reason why waiting did not help.

use jiff::Timestamp;

use crate::emissions::{Intensities, Prices, priced_span};
use crate::ledger::entry::{IntensityKind, IntensityPoint, Part, Segment};
use crate::units::GramsPerKwh;

/// What was said and what came, by time-weighted means over the running time from `from` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surprise {
    /// The first running time at which the grid was dirtier than said.
    pub from: Timestamp,
    /// What the first forecast for that time said.
    pub said: GramsPerKwh,
    /// What was observed.
    pub came: GramsPerKwh,
}

/// By how much an observation exceeds its forecast before it counts as one that was wrong.
const WRONG: f64 = 1.05;

/// Compares the first forecast of each time with what was observed, while the job ran.
pub(super) fn find(points: &[&IntensityPoint], segments: &[Segment]) -> Option<Surprise> {
    let is_said = |point: &&IntensityPoint| point.kind >= IntensityKind::Forecast;
    // Later words overrule earlier ones, so the first word wins when they come in reverse.
    let said = Intensities::from_points(points.iter().copied().filter(is_said).rev());
    let came = Intensities::from_points(points.iter().copied().filter(|point| !is_said(point)));
    let mut slices = Vec::new();
    for segment in segments.iter().filter(|s| s.part == Part::Running) {
        for came in came.within(priced_span(segment)) {
            let Some(span) = came.span.overlap(priced_span(segment)) else {
                continue;
            };
            for said in said.within(span) {
                if let Some(span) = said.span.overlap(span) {
                    let hours = span.length().as_secs_f64();
                    slices.push((span.start, hours, said.intensity, came.intensity));
                }
            }
        }
    }
    let first = slices
        .iter()
        .position(|(_, _, said, came)| came.0 > said.0 * WRONG)?;
    let wrong = &slices[first..];
    let hours: f64 = wrong.iter().map(|(_, hours, ..)| hours).sum();
    let mean = |of: fn(&(Timestamp, f64, GramsPerKwh, GramsPerKwh)) -> GramsPerKwh| {
        wrong
            .iter()
            .map(|slice| of(slice) * slice.1)
            .sum::<GramsPerKwh>()
            / hours
    };
    let (said, came) = (mean(|slice| slice.2), mean(|slice| slice.3));
    (came.0 > said.0 * WRONG).then_some(Surprise {
        from: wrong[0].0,
        said,
        came,
    })
}
