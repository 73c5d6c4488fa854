//! Intensities of one basis moved to the level of another: good enough to say when it is cleaner,
//! never to count by.

use jiff::Timestamp;

use super::hourly::{Hourly, hour_of};
use super::{Issue, Kind, Point, Series};
use crate::units::GramsPerKwh;

/// Both must be known for so many hours of the last seven days.
const LEAST_HOURS: usize = 24;
const DAYS: i64 = 7;

/// What `from` has to be multiplied by to have the mean of `to`, over the hours of the seven days
/// before `now` that both know. `None` where these are fewer than a day, or a mean is zero.
pub fn factor(from: &Series, to: &Series, now: Timestamp) -> Option<f64> {
    let end = hour_of(now);
    let (from, to) = (
        Hourly::of(from, end - DAYS * 24, end),
        Hourly::of(to, end - DAYS * 24, end),
    );
    let both: Vec<(f64, f64)> = (from.known())
        .filter_map(|(hour, value)| Some((value, to.at(hour)?)))
        .collect();
    let (a, b) = both
        .iter()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    (both.len() >= LEAST_HOURS && a > 0.0 && b > 0.0).then(|| b / a)
}

/// An issue times a factor, marked as rescaled.
pub fn scaled(issue: &Issue, factor: f64) -> Issue {
    let points = issue.series.points().iter().map(|point| Point {
        intensity: GramsPerKwh(point.intensity.0 * factor),
        kind: Kind::Rescaled,
        ..*point
    });
    Issue {
        issued_at: issue.issued_at,
        series: Series::new(points.collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn hours(before: i64, values: impl IntoIterator<Item = f64>) -> Series {
        let start = now() - SignedDuration::from_hours(before);
        let values = values.into_iter().map(|value| Some(GramsPerKwh(value)));
        Series::regular(start, HOUR, values, Kind::Live)
    }

    fn now() -> Timestamp {
        "2026-11-25T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_level_is_moved_and_the_shape_stays() {
        let direct = hours(48, (0..48).map(|hour| 100.0 + f64::from(hour)));
        let lifecycle = hours(48, (0..48).map(|hour| 150.0 + 1.5 * f64::from(hour)));
        assert_eq!(factor(&direct, &lifecycle, now()), Some(1.5));
        let issue = Issue {
            issued_at: now(),
            series: hours(0, [10.0, 20.0]),
        };
        let scaled = scaled(&issue, 1.5);
        let values: Vec<f64> = scaled
            .series
            .points()
            .iter()
            .map(|p| p.intensity.0)
            .collect();
        assert_eq!(values, [15.0, 30.0]);
        assert!(
            scaled
                .series
                .points()
                .iter()
                .all(|p| p.kind == Kind::Rescaled)
        );
    }

    #[test]
    fn hours_that_only_one_knows_and_older_ones_do_not_count() {
        let mine = hours(200, (0..200).map(|_| 100.0));
        let theirs = hours(200, (0..30).map(|_| 300.0));
        assert_eq!(factor(&mine, &theirs, now()), None);
        let theirs = hours(30, (0..30).map(|_| 300.0));
        assert_eq!(factor(&mine, &theirs, now()), Some(3.0));
        let few = hours(23, (0..23).map(|_| 300.0));
        assert_eq!(factor(&mine, &few, now()), None);
        let none = hours(48, (0..48).map(|_| 0.0));
        assert_eq!(factor(&none, &mine, now()), None);
    }
}
