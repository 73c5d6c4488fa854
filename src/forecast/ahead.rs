//! The intensity ahead: what was observed, what a provider issued and the usual day, blended.
//!
//! Hourly, in UTC. `x` is the newest observed hour, `u = x + l` a target hour, `h` its hour of day:
//!
//! | part | is |
//! |---|---|
//! | profile `p(h)` | the last 14 days at that hour, shrunk towards a built-in or issued shape |
//! | class `w(u)` | how weekends or working days differ from all days, over 42 days |
//! | bias `b(h, D)` | how far issues `D` days old were off at that hour, over 60 days, newest most |
//! | provider `g(u)` | issued + bias − profile; split into its level `L` over a day and its shape `S` |
//! | error `e` | how far the issue is off at `x` |
//! | anchor `d`, `d'` | how far `x` is off the profile, and how that changed within the hour |
//!
//! ```text
//! covered by the issue   p + .6(1 − exp(−l/12))·w + L + (.1 + .9·exp(−l/18))·S + .9·exp(−l/36)·e
//! not covered            p + .6(1 − exp(−l/12))·w + (.15 + .85·exp(−l/24))·d + .3·exp(−l/12)·d'
//! ```
//!
//! A provider's daily level is taken whole, its shape only near at hand: beyond a day the profile
//! knows the shape better. The weights were fitted on 2020 and tried on half a year of back-tested
//! forecasts for six zones. Where less is known the same formulae hold with parts that are 0; the
//! rungs below them are the issue alone, the built-in profile alone, and a flat yearly average.

use jiff::Timestamp;

use super::{Basis, Issue, Kind, Knowledge, Outlook, Point, Series, Span};
use crate::units::GramsPerKwh;

/// Days looked back for the profile, the classes of days and the bias of the provider.
const PROFILE_DAYS: i64 = 14;
const CLASS_DAYS: i64 = 42;
const BIAS_DAYS: i64 = 60;
const BIAS_DECAY: f64 = 0.95;
/// Fewer values than this say nothing about a class of days.
const CLASS_LEAST: usize = 14;
/// How many days the prior of the profile counts for: a built-in profile, else a borrowed shape.
const BUILTIN_COUNTS: f64 = 10.0;
const SHAPE_COUNTS: f64 = 2.0;
/// Hours of observations needed where neither a provider nor a built-in profile is known.
const LEAST_ALONE: usize = 24;
/// The furthest hour that is looked at, from `now` and within an issue: 31 days.
const FURTHEST: i64 = 31 * 24;
/// Issues older than this at the hour they speak of are not scored.
const OLDEST_DAYS: i64 = 31;
/// Hours of a series whose means are kept: 40 years.
const LONGEST_KEPT: i64 = 40 * 8766;

/// What is to be expected in the `hours` hours (at most 31 days) from the hour of `now` on.
///
/// Looks only at what was known by `now`: observations that had begun and issues that had been
/// issued. What is more than 60 days old is of another season and is left out. `None` where
/// nothing is known at all, or at the ends of time.
pub fn ahead(now: Timestamp, known: &Knowledge, hours: usize) -> Option<Outlook> {
    let this = hour_of(now);
    // Everything used below lies between these two.
    begin(this - (BIAS_DAYS + 2 * OLDEST_DAYS) * 24)?;
    begin(this + 2 * FURTHEST)?;
    let hours = i64::try_from(hours).map_or(FURTHEST, |hours| hours.min(FURTHEST));

    let observed = observations(now, known);
    let newest = known
        .issues
        .iter()
        .filter(|issue| issue.issued_at <= now && !issue.series.is_empty())
        .filter(|issue| hour_of(issue.issued_at) >= this - BIAS_DAYS * 24)
        .max_by_key(|issue| issue.issued_at);
    let issued = newest.map(Issued::new);

    let values: Vec<(f64, Kind)>;
    let (kind, confidence, mean);
    let mut is_builtin = false;
    let mut basis = known.basis;
    let mut source = known.source.clone();
    let alone = issued.is_none() && known.profile.is_none();
    let enough = if alone { LEAST_ALONE } else { 1 };
    let covers = |issued: &Issued| issued.values.known().any(|(hour, _)| hour >= this);
    if let Some(x) = observed.newest().filter(|_| observed.count() >= enough) {
        let blend = Blend::new(x, now, observed, issued, known);
        values = (this..this + hours).map(|hour| blend.at(hour)).collect();
        let covered = blend.covers(this) || (x == this && blend.covers(this + 1));
        let age_days = match (&blend.issued, covered) {
            (Some(issued), true) => age_in_days(this, issued.at),
            _ => (this - x) / 24,
        };
        kind = if covered { Kind::Live } else { Kind::Profile };
        confidence = trust(if covered { &BLENDED } else { &HISTORY }, age_days);
        mean = blend.profile.iter().sum::<f64>() / 24.0;
    } else if let Some(issued) = issued.filter(covers) {
        values = issued.alone(known, this, hours);
        kind = Kind::Live;
        confidence = trust(&ISSUE_ALONE, age_in_days(this, issued.at));
        mean = issued.mean();
    } else if let Some(profile) = known.profile {
        let at = |hour| begin(hour).map_or(0.0, |at| profile.mean_at(at).0);
        values = (this..this + hours)
            .map(|hour| (at(hour), Kind::Profile))
            .collect();
        kind = Kind::Profile;
        confidence = BUILTIN;
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
        issued_at: (newest.map(|issue| issue.issued_at))
            .max(newest_observation(now, known).map(|point| point.span.start))
            .filter(|_| !is_builtin),
        expected: series(this, values),
        mean: GramsPerKwh(mean.max(0.0)),
    })
}

/// What a rung of the ladder is worth, by the whole days that its newest piece is old.
///
/// 1 − (mean absolute error over the next 48 hours) / (that of the period's mean), averaged over
/// DE, PL, SE, US-CAL-CISO, US-MIDA-PJM and US-TEX-ERCO: CarbonCast's back-tested daily forecasts of
/// July to December 2021, an origin every 29 hours after the first five weeks, the built-in profiles
/// of 2020. Ages were made by withholding what is newer. Older than the table: its last value.
const BLENDED: [f64; 4] = [0.55, 0.49, 0.43, 0.37];
/// The same without any issue, by the age of the newest observation.
const HISTORY: [f64; 4] = [0.38, 0.25, 0.22, 0.21];
/// The same for an issue alone, without any observation.
const ISSUE_ALONE: [f64; 4] = [0.39, 0.23, 0.14, 0.08];
/// The same for the built-in profile alone.
const BUILTIN: f64 = 0.15;

fn trust(table: &[f64; 4], days: i64) -> f64 {
    table[usize::try_from(days).unwrap_or(0).min(3)]
}

/// Hours since 1970-01-01T00:00Z.
fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

fn begin(hour: i64) -> Option<Timestamp> {
    Timestamp::from_second(hour.checked_mul(3600)?).ok()
}

fn hour_of_day(hour: i64) -> usize {
    hour.rem_euclid(24) as usize
}

/// Whether an hour's day (UTC) is a Saturday or a Sunday; 1970-01-01 was a Thursday.
fn is_weekend(hour: i64) -> bool {
    (hour.div_euclid(24) + 3).rem_euclid(7) >= 5
}

/// How many whole days after `issued` an hour begins; 0 for the hour it was issued in.
fn age_in_days(hour: i64, issued: Timestamp) -> i64 {
    whole_days(hour * 3600 - issued.as_second())
}

fn whole_days(seconds: i64) -> i64 {
    seconds.div_euclid(86_400).max(0)
}

fn series(first: i64, values: Vec<(f64, Kind)>) -> Series {
    let points = (first..).zip(values).filter_map(|(hour, (value, kind))| {
        let span = Span {
            start: begin(hour)?,
            end: begin(hour + 1)?,
        };
        Some(Point {
            span,
            intensity: GramsPerKwh(value.clamp(0.0, Series::GREATEST.0)),
            kind,
        })
    });
    Series::new(points.collect())
}

/// Values of consecutive hours; `None` where nothing is known.
#[derive(Clone, Debug)]
pub(super) struct Hourly {
    first: i64,
    values: Vec<Option<f64>>,
}

impl Hourly {
    /// The means of what is known of each hour from `first` to before `end`.
    fn new(points: impl Iterator<Item = Point>, first: i64, end: i64) -> Self {
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
        let mean = |(sum, time): (f64, f64)| (time > 0.0).then(|| sum / time);
        Self {
            first,
            values: sums.into_iter().map(mean).collect(),
        }
    }

    /// The same of a series, for the hours from `first` to before `end` that it reaches into.
    fn of(series: &Series, first: i64, end: i64) -> Self {
        let Some(span) = series.span() else {
            return Self::new(std::iter::empty(), first, first);
        };
        let (begins, ends) = (hour_of(span.start), hour_of(span.end) + 1);
        let first = first.max(begins);
        let end = end.min(ends).max(first);
        if ends - begins > LONGEST_KEPT {
            let points = series.points.iter().copied();
            return Self::new(points, first, end);
        }
        let all = (series.hourly).get_or_init(|| {
            let points = series.points.iter().copied();
            Self::new(points, begins, ends)
        });
        let index = |hour: i64| (hour - begins).clamp(0, ends - begins) as usize;
        Self {
            first,
            values: all.values[index(first)..index(end)].to_vec(),
        }
    }

    fn at(&self, hour: i64) -> Option<f64> {
        let index = usize::try_from(hour - self.first).ok()?;
        *self.values.get(index)?
    }

    fn known(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> {
        (self.values.iter().enumerate())
            .filter_map(|(index, value)| Some((self.first + index as i64, (*value)?)))
    }

    fn newest(&self) -> Option<i64> {
        self.known().next_back().map(|(hour, _)| hour)
    }

    fn count(&self) -> usize {
        self.known().count()
    }

    fn mean(&self) -> Option<f64> {
        mean(self.known().map(|(_, value)| value))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The newest observation that had begun by `now`.
fn newest_observation(now: Timestamp, known: &Knowledge) -> Option<Point> {
    let points = known.observations.points();
    let begun = points.partition_point(|point| point.span.start <= now);
    points[..begun].last().copied()
}

/// The hours observed by `now`, as far back as is looked.
fn observations(now: Timestamp, known: &Knowledge) -> Hourly {
    let this = hour_of(now);
    let first = this - BIAS_DAYS * 24;
    // Of the hour of now only what has begun counts; what has not lies in no hour before.
    let mut observed = Hourly::of(&known.observations, first, this);
    let points = known.observations.points();
    let begun = points.partition_point(|point| point.span.start <= now);
    let current = begin(this).map_or(begun, |start| {
        points.partition_point(|point| point.span.end <= start)
    });
    let current = points[current.min(begun)..begun].iter().copied();
    if let Some(value) = Hourly::new(current, this, this + 1).at(this) {
        let missing = this - observed.first - observed.values.len() as i64;
        if observed.values.is_empty() {
            observed.first = this;
        } else {
            observed
                .values
                .resize(observed.values.len() + missing.max(0) as usize, None);
        }
        observed.values.push(Some(value));
    }
    observed
}

/// The newest issue, by the hour.
#[derive(Debug)]
struct Issued {
    at: Timestamp,
    values: Hourly,
}

impl Issued {
    fn new(issue: &Issue) -> Self {
        let made = hour_of(issue.issued_at);
        Self {
            at: issue.issued_at,
            values: Hourly::of(&issue.series, made - 24, made + FURTHEST),
        }
    }

    /// Its mean at each hour of day.
    fn shape(&self) -> [Option<f64>; 24] {
        std::array::from_fn(|h| {
            let same = self
                .values
                .known()
                .filter(|(hour, _)| hour_of_day(*hour) == h);
            mean(same.map(|(_, value)| value))
        })
    }

    fn mean(&self) -> f64 {
        self.values.mean().unwrap_or(0.0)
    }

    /// The issue as it is; past its end and in its holes a built-in profile, moved to the issue's
    /// level where it means another thing, else the issue's own mean at that hour of day.
    fn alone(&self, known: &Knowledge, this: i64, hours: i64) -> Vec<(f64, Kind)> {
        let shape = self.shape();
        let usual = |hour: i64| Some(known.profile?.mean_at(begin(hour)?).0);
        let shift = match known.profile_same_accounting {
            true => 0.0,
            false => {
                mean((self.values.known()).filter_map(|(hour, value)| Some(value - usual(hour)?)))
                    .unwrap_or(0.0)
            }
        };
        (this..this + hours)
            .map(|hour| match self.values.at(hour) {
                Some(value) => (value, Kind::Live),
                None => {
                    let value = usual(hour).map_or_else(
                        || shape[hour_of_day(hour)].unwrap_or_else(|| self.mean()),
                        |usual| usual + shift,
                    );
                    (value, Kind::Profile)
                }
            })
            .collect()
    }
}

/// The parts of the formulae in the module's head, ready to be evaluated.
#[derive(Debug)]
struct Blend {
    x: i64,
    observed: Hourly,
    issued: Option<Issued>,
    profile: [f64; 24],
    /// By hour of day: working days, weekends.
    class: [[f64; 2]; 24],
    /// Level and shape for each hour of the issue.
    provider: Vec<Option<(f64, f64)>>,
    error: f64,
    anchor: f64,
    anchor_change: f64,
}

impl Blend {
    fn new(
        x: i64,
        now: Timestamp,
        observed: Hourly,
        issued: Option<Issued>,
        known: &Knowledge,
    ) -> Self {
        let (prior, counts) = prior(x, &observed, issued.as_ref(), known);
        let profile = std::array::from_fn(|h| {
            let last = last_days(&observed, x, h, PROFILE_DAYS);
            let (sum, days) = last.fold((0.0, 0.0), |(sum, n), (_, _, v)| (sum + v, n + 1.0));
            (sum + counts * prior[h]) / (days + counts)
        });
        let past = known.issues.iter().filter(|issue| issue.issued_at <= now);
        let at_x = (past.clone())
            .filter_map(|issue| Some((issue, Hourly::of(&issue.series, x, x + 1).at(x)?)))
            .max_by_key(|(issue, _)| issue.issued_at);
        let oldest = (at_x.map(|(issue, _)| age_in_days(x, issue.issued_at)))
            .max(
                issued
                    .as_ref()
                    .and_then(|issued| Some(age_in_days(issued.values.newest()?, issued.at))),
            )
            .unwrap_or(0)
            .min(OLDEST_DAYS);
        let bias = biases(x, &observed, past, oldest);
        let bias_at = |hour: i64, made: Timestamp| {
            let age = usize::try_from(age_in_days(hour, made)).unwrap_or(0);
            bias.get(age).map_or(0.0, |hours| hours[hour_of_day(hour)])
        };
        let off = |hour: i64| Some(observed.at(hour)? - profile[hour_of_day(hour)]);
        let anchor = off(x).unwrap_or(0.0);
        Self {
            class: std::array::from_fn(|h| class_offsets(&observed, x, h)),
            provider: issued
                .as_ref()
                .map(|issued| level_and_shape(issued, &profile, bias_at))
                .unwrap_or_default(),
            error: (at_x.zip(observed.at(x))).map_or(0.0, |((issue, said), came)| {
                came - said - bias_at(x, issue.issued_at)
            }),
            anchor,
            anchor_change: off(x - 1).map_or(0.0, |before| anchor - before),
            x,
            observed,
            issued,
            profile,
        }
    }

    fn provider_at(&self, hour: i64) -> Option<(f64, f64)> {
        let index = usize::try_from(hour - self.issued.as_ref()?.values.first).ok()?;
        *self.provider.get(index)?
    }

    fn covers(&self, hour: i64) -> bool {
        self.provider_at(hour).is_some()
    }

    /// The intensity expected in an hour, at `x` or after it.
    fn at(&self, hour: i64) -> (f64, Kind) {
        if let Some(value) = self.observed.at(hour).filter(|_| hour == self.x) {
            return (value, Kind::Live);
        }
        let lead = (hour - self.x) as f64;
        let fading = |hours: f64| (-lead / hours).exp();
        let h = hour_of_day(hour);
        let class = self.class[h][usize::from(is_weekend(hour))];
        let usual = self.profile[h] + 0.6 * (1.0 - fading(12.0)) * class;
        let (value, kind) = match self.provider_at(hour) {
            Some((level, shape)) => (
                usual
                    + level
                    + (0.1 + 0.9 * fading(18.0)) * shape
                    + 0.9 * fading(36.0) * self.error,
                Kind::Live,
            ),
            None => (
                usual
                    + (0.15 + 0.85 * fading(24.0)) * self.anchor
                    + 0.3 * fading(12.0) * self.anchor_change,
                Kind::Profile,
            ),
        };
        (value, kind)
    }
}

/// The hours of day `h` on the newest `days` days, not after `x`: days back, hour, value.
fn last_days(
    observed: &Hourly,
    x: i64,
    h: usize,
    days: i64,
) -> impl Iterator<Item = (i64, i64, f64)> {
    let newest = x - (x - h as i64).rem_euclid(24);
    (0..days).filter_map(move |back| {
        let hour = newest - 24 * back;
        Some((back, hour, observed.at(hour)?))
    })
}

/// What the profile is shrunk towards, by hour of day, and how many days it counts for.
fn prior(
    x: i64,
    observed: &Hourly,
    issued: Option<&Issued>,
    known: &Knowledge,
) -> ([f64; 24], f64) {
    let builtin = known.profile.map(|profile| {
        let mut usual = [0.0; 24];
        for hour in x + 1..=x + 24 {
            usual[hour_of_day(hour)] = begin(hour).map_or(0.0, |at| profile.mean_at(at).0);
        }
        usual
    });
    if let Some(usual) = builtin.filter(|_| known.profile_same_accounting) {
        return (usual, BUILTIN_COUNTS);
    }
    let day = || (x - 23..=x).filter_map(|hour| Some((hour_of_day(hour), observed.at(hour)?)));
    let level = mean(day().map(|(_, value)| value)).unwrap_or(0.0);
    let shape: [f64; 24] = match (builtin, issued) {
        (Some(usual), _) => usual,
        (None, Some(issued)) => issued.shape().map(|value| value.unwrap_or(level)),
        (None, None) => [level; 24],
    };
    let shift = level - mean(day().map(|(h, _)| shape[h])).unwrap_or(level);
    (shape.map(|value| value + shift), SHAPE_COUNTS)
}

/// How far working days and weekends are off all days at an hour of day.
fn class_offsets(observed: &Hourly, x: i64, h: usize) -> [f64; 2] {
    let all = || last_days(observed, x, h, CLASS_DAYS);
    let of = |weekend: bool| {
        mean(
            all()
                .filter(|(_, hour, _)| is_weekend(*hour) == weekend)
                .map(|(_, _, v)| v),
        )
    };
    match (mean(all().map(|(_, _, v)| v)), of(false), of(true)) {
        (Some(every), Some(working), Some(weekend)) if all().count() >= CLASS_LEAST => {
            [working - every, weekend - every]
        }
        _ => [0.0; 2],
    }
}

/// How far the provider was off, by the age of its issue in days (up to `oldest`) and hour of day.
fn biases<'a>(
    x: i64,
    observed: &Hourly,
    issues: impl Iterator<Item = &'a Issue>,
    oldest: i64,
) -> Vec<[f64; 24]> {
    let past = BIAS_DAYS as usize * 24;
    let ages = oldest as usize + 1;
    // Sum and number of errors by age and by hours before x.
    let mut errors = vec![(0.0, 0.0); ages * past];
    for issue in issues {
        let said = Hourly::of(&issue.series, x - past as i64 + 1, x + 1);
        let made = issue.issued_at.as_second();
        for (hour, said) in said.known() {
            let age = whole_days(hour * 3600 - made) as usize;
            if age >= ages {
                break;
            }
            if let Some(came) = observed.at(hour) {
                let (sum, count) = &mut errors[age * past + (x - hour) as usize];
                *sum += came - said;
                *count += 1.0;
            }
        }
    }
    errors
        .chunks(past)
        .map(|errors| {
            std::array::from_fn(|h| {
                let newest = (x - h as i64).rem_euclid(24) as usize;
                let (mut sum, mut weights, mut weight) = (0.0, 1.0, 1.0);
                for (error, count) in errors[newest..].iter().step_by(24) {
                    if *count > 0.0 {
                        sum += weight * error / count;
                        weights += weight;
                    }
                    weight *= BIAS_DECAY;
                }
                sum / weights
            })
        })
        .collect()
}

/// What the provider adds to the profile, split into its mean over a day and the rest.
fn level_and_shape(
    issued: &Issued,
    profile: &[f64; 24],
    bias_at: impl Fn(i64, Timestamp) -> f64,
) -> Vec<Option<(f64, f64)>> {
    let added: Vec<Option<f64>> = (issued.values.first..)
        .zip(&issued.values.values)
        .map(|(hour, said)| Some((*said)? + bias_at(hour, issued.at) - profile[hour_of_day(hour)]))
        .collect();
    let first = added.iter().position(Option::is_some).unwrap_or(0);
    let end = added
        .iter()
        .rposition(Option::is_some)
        .map_or(0, |last| last + 1);
    added
        .iter()
        .enumerate()
        .map(|(index, added_here)| {
            let start = index
                .saturating_sub(11)
                .min(end.saturating_sub(24))
                .max(first);
            let day = &added[start..(start + 24).min(end)];
            let level = mean(day.iter().copied().flatten())?;
            Some((level, (*added_here)? - level))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::builtin::Profile;
    use super::*;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn series(start: Timestamp, values: &serde_json::Value) -> Series {
        let values = values.as_array().unwrap();
        Series::regular(
            start,
            HOUR,
            values.iter().map(|value| value.as_f64().map(GramsPerKwh)),
            Kind::Live,
        )
    }

    fn case(case: &serde_json::Value) -> (Timestamp, Knowledge) {
        let time = |value: &serde_json::Value| value.as_str().unwrap().parse().unwrap();
        let profile = case["builtin"].as_object().map(|months| {
            let mut hours = [[[f64::NAN; 3]; 24]; 12];
            for (month, means) in months {
                let month: usize = month.parse().unwrap();
                for (h, value) in means.as_array().unwrap().iter().enumerate() {
                    hours[month - 1][h][0] = value.as_f64().unwrap();
                }
            }
            &*Box::leak(Box::new(Profile {
                zone: "case",
                hours,
            }))
        });
        let known = Knowledge {
            zone: case["zone"].as_str().unwrap().to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
            source: "case".to_owned(),
            observations: series(time(&case["observations_start"]), &case["observations"]),
            issues: (case["issues"].as_array().unwrap().iter())
                .map(|issue| Issue {
                    issued_at: time(&issue["issued_at"]),
                    series: series(time(&issue["issued_at"]), &issue["values"]),
                })
                .collect(),
            profile,
            profile_same_accounting: case["builtin_same_accounting"].as_bool().unwrap(),
            yearly_average: None,
        };
        (time(&case["now"]), known)
    }

    #[test]
    fn the_worked_cases_come_out_to_a_millionth() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/forecast_cases.json")).unwrap();
        let mut tried = Vec::new();
        for worked in cases["cases"].as_array().unwrap() {
            let name = worked["name"].as_str().unwrap();
            if worked.get("learn_from").is_some() {
                assert_eq!(name, "learned corrections", "only this one needs learning");
                continue;
            }
            let (now, known) = case(worked);
            let close = |what: &str, is: f64, wanted: &serde_json::Value| {
                let wanted = wanted.as_f64().unwrap();
                assert!(
                    (is - wanted).abs() < 1e-6,
                    "{name}: {what} is {is}, not {wanted}"
                );
            };
            let observed = observations(now, &known);
            let newest = known.issues.iter().max_by_key(|issue| issue.issued_at);
            let x = observed.newest().unwrap();
            let blend = Blend::new(x, now, observed, newest.map(Issued::new), &known);
            let parts = &worked["expected_parts"];
            assert_eq!(begin(x).unwrap().to_string(), parts["x"].as_str().unwrap());
            for (h, wanted) in parts["profile"].as_array().unwrap().iter().enumerate() {
                close(&format!("profile {h}"), blend.profile[h], wanted);
            }
            close("d", blend.anchor, &parts["d"]);
            close("d'", blend.anchor_change, &parts["d_prime"]);
            close("e", blend.error, &parts["e"]);
            let outlook = ahead(now, &known, 48).unwrap();
            let wanted = worked["expected"].as_array().unwrap();
            assert_eq!(outlook.expected.points().len(), wanted.len());
            for (hour, (point, wanted)) in outlook.expected.points().iter().zip(wanted).enumerate()
            {
                close(&format!("hour {hour}"), point.intensity.0, wanted);
            }
            tried.push(name);
        }
        assert_eq!(tried.len(), 9, "{tried:?}");
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn knowing(observations: Series, issues: Vec<Issue>) -> Knowledge {
        Knowledge {
            zone: "DE".to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
            source: "test".to_owned(),
            observations,
            issues,
            profile: None,
            profile_same_accounting: true,
            yearly_average: None,
        }
    }

    fn hours(start: &str, values: impl IntoIterator<Item = f64>) -> Series {
        let values = values.into_iter().map(|value| Some(GramsPerKwh(value)));
        Series::regular(at(start), HOUR, values, Kind::Live)
    }

    fn values(outlook: &Outlook) -> Vec<f64> {
        (outlook
            .expected
            .points()
            .iter()
            .map(|point| point.intensity.0))
        .collect()
    }

    const NOW: &str = "2021-11-17T18:20:00Z";

    #[test]
    fn with_nothing_known_there_is_no_outlook() {
        assert_eq!(
            ahead(at(NOW), &knowing(Series::default(), vec![]), 48),
            None
        );
    }

    #[test]
    fn a_yearly_average_alone_is_flat_and_earns_no_trust() {
        let mut known = knowing(Series::default(), vec![]);
        known.yearly_average = Some(GramsPerKwh(330.0));
        let outlook = ahead(at(NOW), &known, 3).unwrap();
        assert_eq!(values(&outlook), [330.0; 3]);
        assert_eq!(
            (outlook.kind, outlook.confidence),
            (Kind::RegionalAverage, 0.0)
        );
        known.yearly_average = Some(GramsPerKwh(f64::NAN));
        assert_eq!(ahead(at(NOW), &known, 3), None);
    }

    #[test]
    fn the_builtin_profile_alone_is_the_usual_day_from_the_hour_of_now() {
        let mut known = knowing(Series::default(), vec![]);
        known.profile = super::super::builtin::profile("DE");
        let outlook = ahead(at(NOW), &known, 48).unwrap();
        let first = outlook.expected.points()[0];
        assert_eq!(first.span.start, at("2021-11-17T18:00:00Z"));
        assert_eq!(first.intensity, known.profile.unwrap().mean_at(at(NOW)));
        assert_eq!((outlook.kind, outlook.issued_at), (Kind::Profile, None));
    }

    #[test]
    fn a_source_that_is_too_old_to_count_is_not_named_for_the_usual_day() {
        let mut known = knowing(Series::default(), vec![]);
        known.source = "file old.csv".to_owned();
        let span = Span {
            start: at("2016-01-01T00:00:00Z"),
            end: at("2016-01-01T01:00:00Z"),
        };
        known.observations = Series::new(vec![Point {
            span,
            intensity: GramsPerKwh(7.0),
            kind: Kind::Live,
        }]);
        known.profile = super::super::builtin::profile("DE");
        let outlook = ahead(at(NOW), &known, 48).unwrap();
        assert_eq!(outlook.source, "built-in");
        assert_eq!((outlook.kind, outlook.issued_at), (Kind::Profile, None));

        known.profile = None;
        known.yearly_average = Some(GramsPerKwh(330.0));
        let outlook = ahead(at(NOW), &known, 48).unwrap();
        assert_eq!(outlook.source, "built-in");
        assert_eq!(outlook.issued_at, None);
    }

    #[test]
    fn a_profile_of_another_basis_never_passes_for_the_basis_of_the_source() {
        let mut known = knowing(Series::default(), vec![]);
        known.basis.signal = super::super::Signal::Marginal;
        known.profile = super::super::builtin::profile("DE");
        known.profile_same_accounting = false;
        let outlook = ahead(at(NOW), &known, 48).unwrap();
        assert_eq!(outlook.basis, Basis::AVERAGE_LIFECYCLE);
        assert_eq!(outlook.source, "built-in");
    }

    #[test]
    fn an_issue_alone_is_taken_as_it_is_and_carried_on_by_its_own_day() {
        let said: Vec<f64> = (0..24).map(|hour| 100.0 + f64::from(hour)).collect();
        let issue = Issue {
            issued_at: at("2021-11-17T00:00:00Z"),
            series: hours("2021-11-17T00:00:00Z", said),
        };
        let outlook = ahead(at(NOW), &knowing(Series::default(), vec![issue]), 10).unwrap();
        assert_eq!(
            values(&outlook),
            [
                118.0, 119.0, 120.0, 121.0, 122.0, 123.0, 100.0, 101.0, 102.0, 103.0
            ]
        );
        assert_eq!(outlook.kind, Kind::Live);
        assert_eq!(outlook.expected.points()[9].kind, Kind::Profile);
    }

    #[test]
    fn what_is_not_yet_known_changes_nothing() {
        let day = |from: &str| hours(from, (0..96).map(|hour| f64::from(hour * 7 % 300)));
        let issue = |from: &str| Issue {
            issued_at: at(from),
            series: day(from),
        };
        let all = knowing(
            day("2021-11-15T00:00:00Z"),
            vec![issue("2021-11-17T00:00:00Z"), issue("2021-11-17T19:00:00Z")],
        );
        let begun = Series::new(
            (all.observations.points().iter().copied())
                .filter(|point| point.span.start <= at(NOW))
                .collect(),
        );
        let known = knowing(begun, all.issues[..1].to_vec());
        assert_eq!(ahead(at(NOW), &all, 48), ahead(at(NOW), &known, 48));
    }

    #[test]
    fn quarters_of_an_hour_are_averaged_and_only_those_that_have_begun() {
        let quarters = Series::regular(
            at("2021-11-16T18:00:00Z"),
            HOUR / 4,
            (0..200).map(|quarter| Some(GramsPerKwh(f64::from(quarter % 4 * 100)))),
            Kind::Live,
        );
        let outlook = ahead(at(NOW), &knowing(quarters, vec![]), 2).unwrap();
        // 18:00 and 18:15 have begun by 18:20.
        assert_eq!(values(&outlook)[0], 50.0);
    }

    #[test]
    fn fewer_than_a_day_of_observations_alone_steer_nothing() {
        let few = knowing(hours("2021-11-17T00:00:00Z", [200.0; 19]), vec![]);
        let outlook = ahead(at(NOW), &few, 48).unwrap();
        assert_eq!(outlook.kind, Kind::RegionalAverage);
        let enough = knowing(hours("2021-11-16T18:00:00Z", [200.0; 25]), vec![]);
        assert_eq!(ahead(at(NOW), &enough, 48).unwrap().kind, Kind::Profile);
    }

    #[test]
    fn years_old_data_is_not_used() {
        let old = knowing(hours("2016-11-17T00:00:00Z", [200.0; 500]), vec![]);
        assert_eq!(ahead(at(NOW), &old, 48), None);
    }

    #[test]
    fn the_ends_of_time_and_endless_horizons_are_survived() {
        let mut known = knowing(hours("2021-11-15T00:00:00Z", [200.0; 60]), vec![]);
        known.profile = super::super::builtin::profile("DE");
        assert_eq!(ahead(Timestamp::MAX, &known, 48), None);
        assert_eq!(ahead(Timestamp::MIN, &known, 48), None);
        let outlook = ahead(at(NOW), &known, usize::MAX).unwrap();
        assert_eq!(outlook.expected.points().len(), 31 * 24);
        let forever = Series::new(vec![Point {
            span: Span {
                start: Timestamp::MIN,
                end: Timestamp::MAX,
            },
            intensity: GramsPerKwh(5.0),
            kind: Kind::Live,
        }]);
        let issue = Issue {
            issued_at: at("2021-11-17T00:00:00Z"),
            series: forever.clone(),
        };
        let outlook = ahead(at(NOW), &knowing(forever, vec![issue]), 48).unwrap();
        assert!(
            values(&outlook)
                .iter()
                .all(|value| (value - 5.0).abs() < 1e-9)
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_in_numbers_come_out_finite_hole_free_and_not_below_zero(
            observed in proptest::collection::vec((0..4000i64, 1..200i64, proptest::num::f64::ANY), 0..80),
            issues in proptest::collection::vec(
                (0..4000i64, proptest::collection::vec((-100..4000i64, 1..200i64, 0.0..1e5f64), 0..40)), 0..6),
            profiled: bool, same: bool, now in 0..5000i64,
        ) {
            let minute = |minutes: i64| at("2021-11-15T00:00:00Z") + jiff::SignedDuration::from_mins(minutes);
            let points = |list: Vec<(i64, i64, f64)>| {
                Series::new(list.into_iter().map(|(from, length, value)| Point {
                    span: Span { start: minute(from), end: minute(from + length) },
                    intensity: GramsPerKwh(value),
                    kind: Kind::Live,
                }).collect())
            };
            let mut known = knowing(points(observed), issues.into_iter().map(|(from, list)| Issue {
                issued_at: minute(from),
                series: points(list),
            }).collect());
            known.profile = super::super::builtin::profile("PL").filter(|_| profiled);
            known.profile_same_accounting = same;
            if let Some(outlook) = ahead(minute(now), &known, 48) {
                proptest::prop_assert_eq!(outlook.expected.points().len(), 48);
                proptest::prop_assert!(outlook.mean.0.is_finite() && outlook.mean.0 >= 0.0);
                proptest::prop_assert!((0.0..=1.0).contains(&outlook.confidence));
                let whole = outlook.expected.span().unwrap();
                proptest::prop_assert!(outlook.expected.mean(whole).unwrap().0 >= 0.0);
                proptest::prop_assert!(whole.contains(minute(now)));
            } else {
                proptest::prop_assert!(!profiled);
            }
        }
    }
}
