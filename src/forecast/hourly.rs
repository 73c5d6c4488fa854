//! Means by the hour, in UTC: what the intensity ahead is reckoned from.
//!
//! An hour is its number since 1970-01-01T00:00Z. A series keeps its means once they were asked
//! for, and what is asked for is lent, not copied.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{Point, Series};

/// Hours of a series whose means are kept: 40 years.
const LONGEST_KEPT: i64 = 40 * 8766;

/// The hour that `at` lies in.
pub(super) fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

/// The first moment of an hour; `None` outside of the calendar.
pub(super) fn begin(hour: i64) -> Option<Timestamp> {
    Timestamp::from_second(hour.checked_mul(3600)?).ok()
}

pub(super) fn hour_of_day(hour: i64) -> usize {
    hour.rem_euclid(24) as usize
}

/// Whether an hour's day (UTC) is a Saturday or a Sunday; 1970-01-01 was a Thursday.
pub(super) fn is_weekend(hour: i64) -> bool {
    (hour.div_euclid(24) + 3).rem_euclid(7) >= 5
}

/// How many whole days after `issued` an hour begins; 0 for the hour it was issued in.
pub(super) fn age_in_days(hour: i64, issued: Timestamp) -> i64 {
    (hour * 3600 - issued.as_second()).div_euclid(86_400).max(0)
}

/// The mean; `None` of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Values of consecutive hours, in g/kWh; not a number where nothing is known.
#[derive(Clone, Debug)]
pub(super) struct Hourly<'a> {
    /// The hour of the first value.
    pub(super) first: i64,
    pub(super) values: Cow<'a, [f64]>,
}

impl Hourly<'static> {
    /// The means of what is known of each hour from `first` to before `end`.
    pub(super) fn new(points: &[Point], first: i64, end: i64) -> Self {
        const HOUR_MS: i64 = 3_600_000;
        let mut sums = vec![(0.0, 0.0); usize::try_from(end - first).unwrap_or(0)];
        for point in points {
            let from = point.span.start.as_millisecond();
            let to = point.span.end.as_millisecond();
            let (a, b) = (from.div_euclid(HOUR_MS), (to - 1).div_euclid(HOUR_MS));
            for hour in a.max(first)..=b.min(end - 1) {
                let length = (to.min((hour + 1) * HOUR_MS) - from.max(hour * HOUR_MS)) as f64;
                let (sum, time) = &mut sums[(hour - first) as usize];
                *sum += point.intensity.0 * length;
                *time += length;
            }
        }
        Self {
            first,
            // Without any time this is 0 / 0: not a number.
            values: sums.into_iter().map(|(sum, time)| sum / time).collect(),
        }
    }
}

impl<'a> Hourly<'a> {
    /// The means of a series, for the hours from `first` to before `end` that it reaches into.
    pub(super) fn of(series: &'a Series, first: i64, end: i64) -> Self {
        let Some(span) = series.span() else {
            return Self {
                first,
                values: Cow::Borrowed(&[]),
            };
        };
        let (begins, ends) = (hour_of(span.start), hour_of(span.end) + 1);
        let first = first.max(begins);
        let end = end.min(ends).max(first);
        if ends - begins > LONGEST_KEPT {
            let reaches = |hour: i64, before: fn(&Point, Timestamp) -> bool, none: usize| {
                let points = &series.points;
                begin(hour).map_or(none, |at| points.partition_point(|point| before(point, at)))
            };
            let from = reaches(first, |point, at| point.span.end <= at, 0);
            let to = reaches(end, |point, at| point.span.start < at, series.points.len());
            return Hourly::new(&series.points[from..to.max(from)], first, end);
        }
        let all = (series.hourly).get_or_init(|| Hourly::new(&series.points, begins, ends));
        let index = |hour: i64| (hour - begins).clamp(0, ends - begins) as usize;
        Self {
            first,
            values: Cow::Borrowed(&all.values[index(first)..index(end)]),
        }
    }

    /// The same with the value of an hour after all others.
    pub(super) fn with(mut self, hour: i64, value: f64) -> Self {
        if self.values.is_empty() {
            self.first = hour;
        }
        let between = (hour - self.first).max(0) as usize;
        let values = self.values.to_mut();
        values.resize(between, f64::NAN);
        values.push(value);
        self
    }

    pub(super) fn at(&self, hour: i64) -> Option<f64> {
        let index = usize::try_from(hour - self.first).ok()?;
        (self.values.get(index).copied()).filter(|value| !value.is_nan())
    }

    /// The `N` hours up to and with `last`, not a number where nothing is known.
    pub(super) fn last<const N: usize>(&self, last: i64) -> [f64; N] {
        let mut taken = [f64::NAN; N];
        let first = last + 1 - N as i64;
        let from = self.first.clamp(first, last + 1);
        let here = usize::try_from(from - self.first).unwrap_or(0);
        let values = self.values.get(here..).unwrap_or_default();
        let target = taken[(from - first) as usize..].iter_mut();
        target.zip(values).for_each(|(to, value)| *to = *value);
        taken
    }

    /// The hours of which something is known, with their values.
    pub(super) fn known(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> {
        (self.values.iter().enumerate())
            .map(|(index, value)| (self.first + index as i64, *value))
            .filter(|(_, value)| !value.is_nan())
    }

    pub(super) fn newest(&self) -> Option<i64> {
        self.known().next_back().map(|(hour, _)| hour)
    }

    pub(super) fn mean(&self) -> Option<f64> {
        mean(self.known().map(|(_, value)| value))
    }
}
