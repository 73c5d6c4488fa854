//! The intensity ahead: the best that can be made of what is known, down a ladder.
//!
//! | rung | is |
//! |---|---|
//! | blend | observations, issues and the usual day, see `blend.rs`; with lessons, see [`super::learn`] |
//! | issue | the newest issue as it is, where nothing was observed |
//! | profile | the built-in usual day, where neither source has anything |
//! | average | flat: a yearly average, else the mean of what little was observed |
//!
//! Each hour comes out of the formulae in the head of `blend.rs`. Where less is known they hold with
//! parts that are 0.

use jiff::Timestamp;

use super::blend::{BIAS_DAYS, Blend, FURTHEST, Issued, OLDEST_DAYS, issued_by, observed};
use super::hourly::{Hourly, age_in_days, begin, hour_of};
use super::trust::{self, Trust};
use super::{Basis, Kind, Knowledge, Outlook, Point, Series, Span};
use crate::units::GramsPerKwh;

/// What is to be expected in the `hours` hours (at most 31 days) from the hour of `now` on.
///
/// Looks only at what was known by `now`: observations that had begun and issues that had been
/// issued. What is more than 60 days old is of another season and is left out; lessons look back
/// further. `None` where nothing is known at all, or at the ends of time.
pub fn ahead(now: Timestamp, known: &Knowledge, hours: usize) -> Option<Outlook> {
    ahead_as_of(now, now, known, hours)
}

/// The same, with nothing that came after `seen`, at or before `now`: as when sources have failed
/// since.
pub fn ahead_as_of(
    now: Timestamp,
    seen: Timestamp,
    known: &Knowledge,
    hours: usize,
) -> Option<Outlook> {
    let this = hour_of(now);
    // Everything used below lies between these two.
    begin(this - (BIAS_DAYS as i64 + 2 * OLDEST_DAYS) * 24)?;
    begin(this + 2 * FURTHEST)?;
    let hours = i64::try_from(hours).map_or(FURTHEST, |hours| hours.min(FURTHEST));

    let observed = observed_by(seen, this, known);
    let past = issued_by(known, seen);
    let issued = Issued::newest(past, this);
    let newest = issued.as_ref().map(|issued| issued.at);
    let worth = known.trust.as_ref().unwrap_or(&Trust::TESTED);

    let values: Vec<(f64, Kind)>;
    let (kind, confidence, mean);
    let mut is_builtin = false;
    let mut basis = known.basis;
    let mut source = known.source.clone();
    if let Some(x) = Blend::begins(&observed, issued.as_ref(), known) {
        let blend = Blend::new(x, observed, past, issued, known);
        let learned = (known.lessons.as_ref())
            .map(|lessons| lessons.corrections(seen, x, known))
            .unwrap_or_default();
        values = (this..this + hours)
            .map(|hour| blend.at(hour, &learned.at(hour - x)))
            .collect();
        let covered = blend.covers(this) || (x == this && blend.covers(this + 1));
        let age_days = match (&blend.issued, covered) {
            (Some(issued), true) => age_in_days(this, issued.at),
            _ => (this - x) / 24,
        };
        kind = if covered { known.kind } else { Kind::Profile };
        confidence = trust::at(
            if covered {
                &worth.blended
            } else {
                &worth.history
            },
            age_days,
        );
        mean = blend.profile.iter().sum::<f64>() / 24.0;
    } else if let Some(issued) = issued.filter(|issued| issued.reaches(this)) {
        values = issued.alone(known, this, hours);
        kind = known.kind;
        confidence = trust::at(&worth.issue_alone, age_in_days(this, issued.at));
        mean = issued.mean();
    } else if let Some(profile) = known.profile {
        let at = |hour| begin(hour).map_or(0.0, |at| profile.mean_at(at).0);
        values = (this..this + hours)
            .map(|hour| (at(hour), Kind::Profile))
            .collect();
        kind = Kind::Profile;
        confidence = worth.builtin;
        mean = (this..this + 24).map(at).sum::<f64>() / 24.0;
        // Nothing of the source is in it: its data is too old, or there is none.
        basis = Basis::AVERAGE_LIFECYCLE;
        "built-in".clone_into(&mut source);
        is_builtin = true;
    } else {
        let average = (known.yearly_average.map(|average| average.0))
            .filter(|average| average.is_finite() && *average >= 0.0);
        if average.is_some() {
            "built-in".clone_into(&mut source);
            is_builtin = true;
        }
        mean = average.or_else(|| observed.mean())?;
        values = vec![(mean, Kind::RegionalAverage); usize::try_from(hours).unwrap_or(0)];
        kind = Kind::RegionalAverage;
        confidence = 0.0;
    }

    Some(Outlook {
        zone: known.zone.clone(),
        basis,
        source,
        kind,
        confidence,
        issued_at: newest
            .max(newest_observation(seen, known).map(|point| point.span.start))
            .filter(|_| !is_builtin),
        expected: series(this, values, known.kind),
        mean: GramsPerKwh(mean.max(0.0)),
    })
}

/// Of hourly values; what an issue says is known as the issue is.
fn series(first: i64, values: Vec<(f64, Kind)>, issued: Kind) -> Series {
    let points = (first..).zip(values).filter_map(|(hour, (value, kind))| {
        let span = Span {
            start: begin(hour)?,
            end: begin(hour + 1)?,
        };
        Some(Point {
            span,
            intensity: GramsPerKwh(value.clamp(0.0, Series::GREATEST.0)),
            kind: if kind == Kind::Live { issued } else { kind },
        })
    });
    Series::new(points.collect())
}

/// The newest observation that had begun by `seen`.
pub(super) fn newest_observation(seen: Timestamp, known: &Knowledge) -> Option<Point> {
    let points = known.observations.points();
    let begun = points.partition_point(|point| point.span.start <= seen);
    points[..begun].last().copied()
}

/// The hours observed by `seen`, as far back from `this` as is looked. Of the hour of `seen` only
/// what has begun counts.
pub(super) fn observed_by(seen: Timestamp, this: i64, known: &Knowledge) -> Hourly<'_> {
    let last = hour_of(seen);
    let before = observed(known, this, last);
    let points = known.observations.points();
    let begun = points.partition_point(|point| point.span.start <= seen);
    let current = begin(last).map_or(begun, |start| {
        points.partition_point(|point| point.span.end <= start)
    });
    match Hourly::new(&points[current.min(begun)..begun], last, last + 1).at(last) {
        Some(value) => before.with(last, value),
        None => before,
    }
}

#[cfg(test)]
mod tests;
