//! What a chart draws, thinned to what an eye can tell apart: a run of a month has some ten thousand
//! segments, a screen some hundred columns. Of what falls into one column the smallest and the
//! largest are kept.

use jiff::Timestamp;

use super::axis::Axis;
use crate::emissions::{self, Intensities, PARTS, Prices, counted, length, priced_span};
use crate::ledger::entry::{Cause, IntensityKind, Part, Segment};
use crate::units::{Joules, KilowattHours, Pue};

/// A value over a stretch of the axis, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) low: f64,
    pub(super) mean: f64,
    pub(super) high: f64,
    /// How well it is known.
    pub(super) mark: &'static str,
}

impl Step {
    fn flat(from: f64, to: f64, value: f64, mark: &'static str) -> Self {
        Self {
            from,
            to,
            low: value,
            mean: value,
            high: value,
            mark,
        }
    }
}

/// Intensity over time.
pub(super) fn intensity(intensities: &Intensities, axis: &Axis, columns: usize) -> Vec<Step> {
    let pieces = intensities.within(axis.span);
    let steps = pieces.map(|piece| {
        let mark = match piece.kind {
            IntensityKind::Observed => "observed",
            IntensityKind::Preliminary => "preliminary",
            IntensityKind::Forecast => "forecast",
            IntensityKind::Profile => "by the usual day",
            IntensityKind::Average => "by a yearly average",
        };
        let (from, to) = (axis.at(piece.span.start), axis.at(piece.span.end));
        Step::flat(from, to, piece.intensity.0, mark)
    });
    thin(steps.filter(|step| step.to > step.from).collect(), columns)
}

/// Power of the IT equipment over time, in watts.
pub(super) fn power(segments: &[Segment], axis: &Axis, columns: usize) -> Vec<Step> {
    let steps = segments
        .iter()
        .filter(|segment| length(segment) > 0.0)
        .map(|segment| {
            let span = priced_span(segment);
            let joules: Joules = segment.energy.iter().map(|r| counted(r.joules)).sum();
            let watts = joules.0 / length(segment);
            Step::flat(axis.at(span.start), axis.at(span.end), watts, "")
        });
    thin(steps.filter(|step| step.to > step.from).collect(), columns)
}

fn thin(steps: Vec<Step>, columns: usize) -> Vec<Step> {
    if steps.len() <= columns {
        return steps;
    }
    let width = 1.0 / columns as f64;
    let mut thinned: Vec<Option<(Step, f64)>> = vec![None; columns];
    for step in steps {
        let first = ((step.from / width) as usize).min(columns - 1);
        for (nth, column) in thinned.iter_mut().enumerate().skip(first) {
            let (from, to) = (nth as f64 * width, (nth + 1) as f64 * width);
            if from >= step.to {
                break;
            }
            let inside = step.to.min(to) - step.from.max(from);
            if inside <= 0.0 {
                continue;
            }
            match column {
                None => *column = Some((Step { from, to, ..step }, inside)),
                Some((known, weight)) => {
                    known.low = known.low.min(step.low);
                    known.high = known.high.max(step.high);
                    known.mean = (known.mean * *weight + step.mean * inside) / (*weight + inside);
                    *weight += inside;
                }
            }
        }
    }
    thinned
        .into_iter()
        .flatten()
        .map(|(step, _)| step)
        .collect()
}

/// Grams emitted by the time of each point, in order of time, beginning with nothing.
pub(super) fn cumulative(
    segments: &[Segment],
    intensities: &Intensities,
    pue: Pue,
    axis: &Axis,
    columns: usize,
) -> Vec<(f64, f64)> {
    let mut points = vec![(0.0, 0.0)];
    let mut grams = 0.0;
    let mut put = |at: f64, grams: f64| {
        // Within a column the last one tells all: it never falls.
        let is_close =
            |last: f64| (at * columns as f64) as usize == (last * columns as f64) as usize;
        match points.as_mut_slice() {
            [.., before, last] if is_close(last.0) && is_close(before.0) => {
                *last = (at.max(last.0), grams)
            }
            _ => points.push((at, grams)),
        }
    };
    for segment in segments {
        let joules: Joules = segment.energy.iter().map(|r| counted(r.joules)).sum();
        let energy = KilowattHours::from(joules * pue.ratio());
        let span = priced_span(segment);
        let seconds = span.length().as_secs_f64();
        if seconds == 0.0 {
            continue;
        }
        put(axis.at(span.start), grams);
        for piece in intensities.within(span) {
            let Some(inside) = piece.span.overlap(span) else {
                continue;
            };
            grams += (energy * (inside.length().as_secs_f64() / seconds) * piece.intensity).0;
            put(axis.at(inside.end), grams);
        }
        put(axis.at(span.end), grams);
    }
    points
}

/// A stretch of one part, as it is drawn and listed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    pub(super) part: Part,
    pub(super) name: &'static str,
    pub(super) causes: Vec<Cause>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) seconds: f64,
    pub(super) kwh: f64,
    /// None where no intensity is known.
    pub(super) grams: Option<f64>,
}

/// Segments of one part and cause that follow each other as one.
pub(super) fn bands(
    segments: &[Segment],
    priced: Option<(&Intensities, crate::forecast::Basis)>,
    pue: Pue,
) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for segment in segments {
        let span = priced_span(segment);
        let joules: Joules = segment.energy.iter().map(|r| counted(r.joules)).sum();
        let kwh = KilowattHours::from(joules).0;
        let grams = priced.and_then(|(intensities, basis)| {
            let segment = std::slice::from_ref(segment);
            let account = emissions::account(segment, intensities, basis, pue);
            account.is_complete().then(|| account.g.total().0)
        });
        match bands.last_mut() {
            Some(last) if last.part == segment.part && last.causes == segment.causes => {
                last.end = last.end.max(span.end);
                last.seconds += length(segment);
                last.kwh += kwh;
                last.grams = last.grams.zip(grams).map(|(all, more)| all + more);
            }
            _ => bands.push(Band {
                part: segment.part,
                name: (PARTS.into_iter())
                    .find_map(|(part, name)| (part == segment.part).then_some(name))
                    .expect("all parts have names"),
                causes: segment.causes.clone(),
                start: span.start,
                end: span.end,
                seconds: length(segment),
                kwh,
                grams,
            }),
        }
    }
    bands
}

/// Where the bands of one part stand: those that would touch are one.
pub(super) fn places<'a>(
    bands: impl Iterator<Item = &'a Band>,
    axis: &Axis,
    columns: usize,
) -> Vec<(f64, f64, Vec<&'a Band>)> {
    let gap = 0.5 / columns as f64;
    let mut places: Vec<(f64, f64, Vec<&Band>)> = Vec::new();
    for band in bands {
        let (from, to) = (axis.at(band.start), axis.at(band.end));
        match places.last_mut() {
            Some((_, end, of)) if from - *end < gap => {
                *end = end.max(to);
                of.push(band);
            }
            _ => places.push((from, to, vec![band])),
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(from: f64, to: f64, value: f64) -> Step {
        Step::flat(from, to, value, "observed")
    }

    #[test]
    fn few_steps_are_drawn_as_they_are() {
        let steps = vec![step(0.0, 0.4, 1.0), step(0.4, 1.0, 2.0)];
        assert_eq!(thin(steps.clone(), 2), steps);
    }

    #[test]
    fn many_steps_keep_their_smallest_and_largest() {
        let each = |nth: u32| {
            let value = match nth {
                777 => 1000.0,
                333 => -5.0,
                _ => 10.0,
            };
            step(f64::from(nth) / 1000.0, f64::from(nth + 1) / 1000.0, value)
        };
        let thinned = thin((0..1000).map(each).collect(), 50);
        assert_eq!(thinned.len(), 50);
        assert_eq!(thinned.iter().map(|s| s.high).fold(0.0, f64::max), 1000.0);
        assert_eq!(thinned.iter().map(|s| s.low).fold(0.0, f64::min), -5.0);
        let mean = thinned.iter().map(|s| s.mean).sum::<f64>() / 50.0;
        assert!(
            (mean - (998.0 * 10.0 + 995.0) / 1000.0).abs() < 1e-9,
            "{mean}"
        );
    }
}
