//! Carbon intensity over time: what was observed, what was issued, and what to expect.
//!
//! A [`Series`] is a sorted list of half-open UTC intervals, each with its intensity and kind; holes
//! stay holes. [`Knowledge`] is everything a source chain knows of a zone. [`ahead`] turns it into
//! an [`Outlook`], the intensity ahead that the planner works with: by the hour (`hourly`), blended of
//! parts (`blend`), each trusted as far as [`learn`] found it right. [`trust`] says how far to trust
//! the whole, and [`score`] how good the issues were.

pub mod ahead;
mod blend;
pub mod builtin;
mod hourly;
pub mod learn;
pub mod learned;
pub mod rescale;
pub mod score;
pub mod trust;
pub mod windows;
pub mod zones;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::units::GramsPerKwh;
use learn::Lessons;
use trust::Trust;

/// What the intensity is the intensity of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The mean of the mix.
    Average,
    /// What one more kilowatt-hour causes.
    Marginal,
}

/// Which emissions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// From mine to scrap.
    Lifecycle,
    /// At the stack.
    Direct,
    /// At the stack and in the fuel's supply.
    Operational,
    /// The source does not say.
    Unknown,
}

/// What a number means. Numbers of different bases are never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Average or marginal.
    pub signal: Signal,
    /// What is counted.
    pub scope: Scope,
}

impl Signal {
    /// As it stands in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Marginal => "marginal",
        }
    }
}

impl Scope {
    /// As it stands in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Direct => "direct",
            Self::Operational => "operational",
            Self::Unknown => "unknown",
        }
    }
}

impl Basis {
    /// The basis of the built-in data: average, lifecycle.
    pub const AVERAGE_LIFECYCLE: Self = Self {
        signal: Signal::Average,
        scope: Scope::Lifecycle,
    };
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Unknown => "scope unknown",
            scope => scope.word(),
        };
        write!(f, "{}, {scope}", self.signal.word())
    }
}

/// How a forecast came about, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answered by a source, or read from a file that holds what one said.
    Live,
    /// What a source states of the past, and calls an estimate.
    Estimated,
    /// The last good answer.
    Cached,
    /// A gap bridged from its neighbours.
    Interpolated,
    /// Of another basis, rescaled: may steer, never enters a sum of grams.
    Rescaled,
    /// The usual day of the month.
    Profile,
    /// A zone's, continent's or the world's yearly average: never holds or pauses.
    RegionalAverage,
    /// A number that was given.
    Static,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Estimated => "estimated",
            Self::Cached => "cached",
            Self::Interpolated => "interpolated",
            Self::Rescaled => "rescaled",
            Self::Profile => "profile",
            Self::RegionalAverage => "regional average",
            Self::Static => "static",
        })
    }
}

/// A half-open interval `[start, end)` of UTC time; `start < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Included.
    pub start: Timestamp,
    /// Excluded.
    pub end: Timestamp,
}

impl Span {
    /// From `start` for `length`.
    pub fn new(start: Timestamp, length: Duration) -> Self {
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        Self {
            start,
            end: start
                .saturating_add(length)
                .expect("a signed duration is never an invalid span"),
        }
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        self.end.duration_since(self.start).unsigned_abs()
    }

    /// Whether `at` lies inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The part shared with `other`, if any.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }
}

/// The intensity of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// How much.
    #[serde(rename = "g_per_kwh")]
    pub intensity: GramsPerKwh,
    /// How it is known.
    pub kind: Kind,
}

/// Intensities over time: sorted, disjoint, with holes where nothing is known.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Shared: copies of a long series are many.
    points: Arc<Vec<Point>>,
    /// The means by the hour, made on first use: outlooks are made of the same series many times.
    hourly: OnceLock<hourly::Hourly<'static>>,
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.points == other.points
    }
}

impl Series {
    /// No plant emits more than a few thousand g/kWh; what is above this is no intensity.
    pub const GREATEST: GramsPerKwh = GramsPerKwh(100_000.0);

    /// Makes a series of points in any order.
    ///
    /// What cannot be used is left out, so that a series never holds it: empty spans, and
    /// intensities that are negative, not a number, or above [`Series::GREATEST`]. Where spans overlap, the earlier one
    /// ends where the later one starts; of two with the same start the one given last counts.
    pub fn new(mut points: Vec<Point>) -> Self {
        points.retain(|point| {
            point.span.start < point.span.end
                && (0.0..=Self::GREATEST.0).contains(&point.intensity.0)
        });
        if !points.is_sorted_by_key(|point| point.span.start) {
            points.sort_by_key(|point| point.span.start);
        }
        let mut kept = 0;
        for index in 0..points.len() {
            let point = points[index];
            if let Some(last) = points[..kept].last_mut() {
                last.span.end = last.span.end.min(point.span.start);
                kept -= usize::from(last.span.start == last.span.end);
            }
            points[kept] = point;
            kept += 1;
        }
        points.truncate(kept);
        Self {
            points: Arc::new(points),
            hourly: OnceLock::new(),
        }
    }

    /// Values in equal steps from `start`; `None` and what [`Series::new`] refuses become holes.
    pub fn regular(
        start: Timestamp,
        step: Duration,
        values: impl IntoIterator<Item = Option<GramsPerKwh>>,
        kind: Kind,
    ) -> Self {
        let values = values.into_iter();
        let mut from = start;
        let mut points = Vec::with_capacity(values.size_hint().0);
        for value in values {
            let span = Span::new(from, step);
            from = span.end;
            points.extend(value.map(|intensity| Point {
                span,
                intensity,
                kind,
            }));
        }
        Self::new(points)
    }

    /// The points, sorted and disjoint.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// From the start of the first point to the end of the last, holes included.
    pub fn span(&self) -> Option<Span> {
        Some(Span {
            start: self.points.first()?.span.start,
            end: self.points.last()?.span.end,
        })
    }

    /// The point that `at` lies in; `None` in a hole and outside.
    pub fn point_at(&self, at: Timestamp) -> Option<Point> {
        let index = self.points.partition_point(|point| point.span.end <= at);
        let point = *self.points.get(index)?;
        point.span.contains(at).then_some(point)
    }

    /// The intensity at a moment; `None` in a hole and outside.
    pub fn at(&self, at: Timestamp) -> Option<GramsPerKwh> {
        self.point_at(at).map(|point| point.intensity)
    }

    /// The parts of the points that lie in `span`.
    pub fn within(&self, span: Span) -> impl Iterator<Item = Point> {
        let first = self
            .points
            .partition_point(|point| point.span.end <= span.start);
        self.points[first..].iter().map_while(move |point| {
            let part = point.span.overlap(span)?;
            Some(Point {
                span: part,
                ..*point
            })
        })
    }

    /// The parts of `span` that no interval covers.
    pub fn holes(&self, span: Span) -> Vec<Span> {
        let mut holes = Vec::new();
        let mut reached = span.start;
        for point in self.within(span) {
            if reached < point.span.start {
                holes.push(Span {
                    start: reached,
                    end: point.span.start,
                });
            }
            reached = reached.max(point.span.end);
        }
        if reached < span.end {
            holes.push(Span {
                start: reached,
                end: span.end,
            });
        }
        holes
    }

    /// The time-weighted mean over `span`; `None` if any part of it is a hole, or it is empty.
    pub fn mean(&self, span: Span) -> Option<GramsPerKwh> {
        let mut reached = span.start;
        let mut sum = 0.0;
        for point in self.within(span) {
            if point.span.start != reached {
                return None;
            }
            reached = point.span.end;
            sum += point.intensity.0 * point.span.length().as_secs_f64();
        }
        (reached == span.end && span.start < span.end)
            .then(|| GramsPerKwh(sum / span.length().as_secs_f64()))
    }

    /// The means over `n` ticks from `start`; `None` for a tick that any hole reaches into.
    pub fn resample(&self, start: Timestamp, tick: Duration, n: usize) -> Vec<Option<GramsPerKwh>> {
        let mut from = start;
        (0..n)
            .map(|_| {
                let span = Span::new(from, tick);
                from = span.end;
                self.mean(span)
            })
            .collect()
    }
}

/// What a source knows of a zone. `ahead` looks only at what was known by its `now`:
/// observations that had begun and issues that had been issued; so one value serves a whole replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Knowledge {
    /// The zone's name.
    pub zone: String,
    /// What all numbers in here mean.
    pub basis: Basis,
    /// Who says so, for messages: `built-in`, `file trace.csv`.
    pub source: String,
    /// How its newest issue is known: live, cached, or rescaled from another basis.
    pub kind: Kind,
    /// Measured intensities.
    pub observations: Series,
    /// Stored forecasts, oldest first.
    pub issues: Vec<Issue>,
    /// The zone's usual day by month, of the same basis unless `profile_same_accounting` is false.
    pub profile: Option<&'static builtin::Profile>,
    /// Whether the profile's level means the same as the observations'; else only its shape is used.
    pub profile_same_accounting: bool,
    /// A flat fallback where nothing else is known: never holds or pauses.
    pub yearly_average: Option<GramsPerKwh>,
    /// What is learned from how well all this foretold what came; `None`: nothing is learned.
    pub lessons: Option<Lessons>,
    /// How far each way to foretell is trusted, where that was measured for this zone and source;
    /// `None`: as it was tested once for all.
    pub trust: Option<Trust>,
    /// How good its issues were by how far ahead they looked, where that was worked out: what a
    /// forecast may be wrong by.
    pub leads: Vec<score::Lead>,
}

/// A forecast as it was issued.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// When it was made.
    pub issued_at: Timestamp,
    /// What it said.
    pub series: Series,
}

impl Issue {
    /// The same in whole hours, and no more of it than anyone looks at: from a day before it was
    /// made to 31 days after.
    pub fn by_hour(&self) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        let hourly = self.hourly();
        let values = hourly.values.iter();
        let values = values.map(|value| Some(GramsPerKwh(*value)));
        let series = hourly::begin(hourly.first)
            .map(|start| Series::regular(start, HOUR, values, Kind::Live));
        Self {
            issued_at: self.issued_at,
            series: series.unwrap_or_default(),
        }
    }

    fn hourly(&self) -> hourly::Hourly<'_> {
        let made = hourly::hour_of(self.issued_at);
        hourly::Hourly::of(&self.series, made - 24, made + blend::FURTHEST)
    }
}

/// The intensity ahead, from `now` on, and how far to trust it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The zone's name.
    pub zone: String,
    /// What the numbers mean.
    pub basis: Basis,
    /// Who says so.
    pub source: String,
    /// The kind that steers: that of the best data in it.
    pub kind: Kind,
    /// 0 to 1: how much better than the yearly mean.
    pub confidence: f64,
    /// When the newest forecast or observation in it was made.
    pub issued_at: Option<Timestamp>,
    /// Expected intensities, hole-free from the hour of `now` to the horizon.
    pub expected: Series,
    /// The mean of the usual day: prices work beyond the horizon.
    pub mean: GramsPerKwh,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 / 3600 * 3600 + minutes * 60).unwrap()
    }

    fn point(from: i64, to: i64, value: f64) -> Point {
        Point {
            span: Span {
                start: at(from),
                end: at(to),
            },
            intensity: GramsPerKwh(value),
            kind: Kind::Live,
        }
    }

    #[test]
    fn a_mean_is_weighted_by_time() {
        let series = Series::new(vec![point(0, 60, 100.0), point(60, 75, 400.0)]);
        let over = |from, to| {
            series.mean(Span {
                start: at(from),
                end: at(to),
            })
        };
        assert_eq!(over(0, 75), Some(GramsPerKwh(160.0)));
        assert_eq!(over(45, 75), Some(GramsPerKwh(250.0)));
        assert_eq!(over(30, 30), None);
    }

    #[test]
    fn a_hole_gives_no_mean_and_stays_a_hole_when_resampled() {
        let series = Series::new(vec![point(0, 60, 100.0), point(120, 180, 300.0)]);
        assert_eq!(series.mean(Span::new(at(30), HOUR)), None);
        assert_eq!(series.at(at(60)), None);
        assert_eq!(series.at(at(120)), Some(GramsPerKwh(300.0)));
        assert_eq!(
            series.resample(at(0), HOUR / 2, 7),
            [
                Some(GramsPerKwh(100.0)),
                Some(GramsPerKwh(100.0)),
                None,
                None,
                Some(GramsPerKwh(300.0)),
                Some(GramsPerKwh(300.0)),
                None
            ]
        );
    }

    #[test]
    fn unusable_numbers_become_holes() {
        let series = Series::regular(
            at(0),
            HOUR,
            [f64::NAN, -1.0, f64::INFINITY, 0.0].map(|v| Some(GramsPerKwh(v))),
            Kind::Live,
        );
        assert_eq!(series.points(), [point(180, 240, 0.0)]);
    }

    #[test]
    fn of_two_values_for_one_time_the_later_one_counts() {
        let series = Series::new(vec![
            point(60, 120, 3.0),
            point(0, 90, 1.0),
            point(60, 120, 2.0),
        ]);
        assert_eq!(series.points(), [point(0, 60, 1.0), point(60, 120, 2.0)]);
    }

    fn any_series() -> impl Strategy<Value = Series> {
        proptest::collection::vec((0..600i64, 1..120i64, 0.0..900.0), 0..40).prop_map(|points| {
            Series::new(
                points
                    .into_iter()
                    .map(|(from, length, value)| point(from, from + length, value))
                    .collect(),
            )
        })
    }

    proptest! {
        #[test]
        fn points_are_sorted_and_disjoint(series in any_series()) {
            for pair in series.points().windows(2) {
                prop_assert!(pair[0].span.end <= pair[1].span.start);
            }
            prop_assert!(series.points().iter().all(|p| p.span.start < p.span.end));
            prop_assert_eq!(Series::new(series.points().to_vec()), series);
        }

        #[test]
        fn splitting_intervals_changes_no_mean(
            series in any_series(), cut in 0..720i64, from in 0..700i64, length in 1..700i64,
        ) {
            let split = Series::new(
                series
                    .points()
                    .iter()
                    .flat_map(|p| {
                        let whole = p.span;
                        let cut = at(cut).clamp(whole.start, whole.end);
                        [Span { end: cut, ..whole }, Span { start: cut, ..whole }]
                            .map(|span| Point { span, ..*p })
                    })
                    .collect(),
            );
            let span = Span { start: at(from), end: at(from + length) };
            match (series.mean(span), split.mean(span)) {
                (None, None) => {}
                (Some(a), Some(b)) => prop_assert!((a.0 - b.0).abs() < 1e-9),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_mean_lies_between_the_extremes(series in any_series(), from in 0..700i64, length in 1..300i64) {
            let span = Span { start: at(from), end: at(from + length) };
            if let Some(mean) = series.mean(span) {
                let values: Vec<f64> = series.within(span).map(|p| p.intensity.0).collect();
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(0.0, f64::max);
                prop_assert!(low - 1e-9 <= mean.0 && mean.0 <= high + 1e-9);
            }
        }
    }
}
