//! What was observed, what a provider issued and the usual day, blended: the parts, and how far
//! each is trusted.
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
//! forecasts for six zones; [`super::learn`] moves them for the zone and the provider at hand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hourly::{Hourly, age_in_days, begin, hour_of, hour_of_day, is_weekend, mean};
use super::{Issue, Kind, Knowledge};

/// Days looked back for the profile, the classes of days and the bias of the provider.
const PROFILE_DAYS: usize = 14;
const CLASS_DAYS: usize = 42;
pub(super) const BIAS_DAYS: usize = 60;
const BIAS_DECAY: f64 = 0.95;
/// Fewer values than this say nothing about a class of days.
const CLASS_LEAST: f64 = 14.0;
/// How many days the prior of the profile counts for: a built-in profile, else a borrowed shape.
const BUILTIN_COUNTS: f64 = 10.0;
const SHAPE_COUNTS: f64 = 2.0;
/// Hours of observations needed where neither a provider nor a built-in profile is known.
const LEAST_ALONE: usize = 24;
/// The longest hole of an issue that is bridged from its neighbours, in hours.
const BRIDGED: i64 = 3;
/// The furthest hour that is looked at, from `now` and within an issue: 31 days.
pub(super) const FURTHEST: i64 = 31 * 24;
/// Issues older than this at the hour they speak of are not scored.
pub(super) const OLDEST_DAYS: i64 = 31;

/// The hours observed before `end`, as far back from `this` as is looked.
pub(super) fn observed(known: &Knowledge, this: i64, end: i64) -> Hourly<'_> {
    Hourly::of(&known.observations, this - BIAS_DAYS as i64 * 24, end)
}

/// The issues made by `now`, oldest first.
pub(super) fn issued_by(known: &Knowledge, now: Timestamp) -> &[Issue] {
    &known.issues[..(known.issues).partition_point(|issue| issue.issued_at <= now)]
}

/// An issue, by the hour.
#[derive(Debug)]
pub(super) struct Issued<'a> {
    pub(super) at: Timestamp,
    values: Hourly<'a>,
}

impl<'a> Issued<'a> {
    /// The newest that says anything and is not of another season.
    pub(super) fn newest(past: &'a [Issue], this: i64) -> Option<Self> {
        let issue = past.iter().rfind(|issue| !issue.series.is_empty())?;
        let made = hour_of(issue.issued_at);
        (made >= this - BIAS_DAYS as i64 * 24).then(|| Self {
            at: issue.issued_at,
            values: issue.hourly(),
        })
    }

    /// Whether it says anything of an hour or of a later one.
    pub(super) fn reaches(&self, hour: i64) -> bool {
        self.values.newest().is_some_and(|newest| newest >= hour)
    }

    /// Its mean at each hour of day.
    fn shape(&self) -> [Option<f64>; 24] {
        let mut sums = [(0.0, 0.0); 24];
        for (hour, value) in self.values.known() {
            let (sum, count) = &mut sums[hour_of_day(hour)];
            *sum += value;
            *count += 1.0;
        }
        sums.map(|(sum, count)| (count > 0.0).then(|| sum / count))
    }

    pub(super) fn mean(&self) -> f64 {
        self.values.mean().unwrap_or(0.0)
    }

    /// The issue as it is, its short holes bridged from their neighbours; past its end and in its
    /// longer holes a built-in profile, moved to the issue's level where it means another thing, else
    /// the issue's own mean at that hour of day.
    pub(super) fn alone(&self, known: &Knowledge, this: i64, hours: i64) -> Vec<(f64, Kind)> {
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
            .map(|hour| {
                if let Some(value) = self.values.at(hour) {
                    return (value, Kind::Live);
                }
                if let Some(value) = self.bridged(hour) {
                    return (value, Kind::Interpolated);
                }
                let value = usual(hour).map_or_else(
                    || shape[hour_of_day(hour)].unwrap_or_else(|| self.mean()),
                    |usual| usual + shift,
                );
                (value, Kind::Profile)
            })
            .collect()
    }

    /// What lies on the line between the neighbours of a hole of [`BRIDGED`] hours at most.
    fn bridged(&self, hour: i64) -> Option<f64> {
        let near = |step: i64| {
            let mut beside = (1..=BRIDGED).map(|distance| hour + step * distance);
            beside.find_map(|beside| Some((beside, self.values.at(beside)?)))
        };
        let ((before, from), (after, to)) = (near(-1)?, near(1)?);
        let share = (hour - before) as f64 / (after - before) as f64;
        (after - before <= BRIDGED + 1).then_some(from + share * (to - from))
    }
}

/// How far the parts are trusted at a lead: what each is multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Weights {
    /// Of class, error, level and shape where an issue covers the hour.
    pub(super) covered: [f64; 4],
    /// Of anchor, its change and class elsewhere.
    pub(super) uncovered: [f64; 3],
}

impl Weights {
    /// As they were fitted; see the module's head.
    pub(super) fn fitted(lead: i64) -> Self {
        let fading = |hours: f64| (-(lead as f64) / hours).exp();
        let (half_a_day, day) = (fading(12.0), fading(24.0));
        let class = 0.6 * (1.0 - half_a_day);
        Self {
            covered: [class, 0.9 * fading(36.0), 1.0, 0.1 + 0.9 * fading(18.0)],
            uncovered: [0.15 + 0.85 * day, 0.3 * half_a_day, class],
        }
    }
}

/// Parts times their weights.
pub(super) fn weighted<const N: usize>(parts: &[f64; N], weights: &[f64; N]) -> f64 {
    parts
        .iter()
        .zip(weights)
        .map(|(part, weight)| part * weight)
        .sum()
}

/// The parts of the formulae in the module's head, ready to be weighted.
#[derive(Debug)]
pub(super) struct Blend<'a> {
    pub(super) x: i64,
    observed: Hourly<'a>,
    pub(super) issued: Option<Issued<'a>>,
    pub(super) profile: [f64; 24],
    /// By hour of day: working days, weekends.
    class: [[f64; 2]; 24],
    /// Level and shape for each hour of the issue.
    provider: Vec<Option<(f64, f64)>>,
    pub(super) error: f64,
    pub(super) anchor: f64,
    pub(super) anchor_change: f64,
    /// No issue says anything of an hour after `x`.
    is_history: bool,
}

impl<'a> Blend<'a> {
    /// The hour that the blend begins with, the newest observed; `None` where too little was
    /// observed.
    pub(super) fn begins(
        observed: &Hourly<'_>,
        issued: Option<&Issued<'_>>,
        known: &Knowledge,
    ) -> Option<i64> {
        let alone = issued.is_none() && known.profile.is_none();
        let enough = if alone { LEAST_ALONE } else { 1 };
        observed.known().nth(enough - 1)?;
        observed.newest()
    }

    /// Of what was observed up to `x`, and of the issues made by then, of which `issued` is the
    /// newest.
    pub(super) fn new(
        x: i64,
        observed: Hourly<'a>,
        past: &'a [Issue],
        issued: Option<Issued<'a>>,
        known: &Knowledge,
    ) -> Self {
        let profile = profile(x, &observed, issued.as_ref(), known);
        let said_at = |issue: &Issue| {
            // Most issues end before or begin after, and need not be read.
            let span = issue.series.span()?;
            (hour_of(span.start) <= x && x <= hour_of(span.end)).then_some(())?;
            Hourly::of(&issue.series, x, x + 1).at(x)
        };
        let at_x = (past.iter().rev()).find_map(|issue| Some((issue.issued_at, said_at(issue)?)));
        let newest_hour =
            |issued: &Issued<'_>| Some(age_in_days(issued.values.newest()?, issued.at));
        let oldest = (at_x.map(|(made, _)| age_in_days(x, made)))
            .max(issued.as_ref().and_then(newest_hour))
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
            class: classes(x, &observed),
            provider: issued
                .as_ref()
                .map(|issued| level_and_shape(issued, &profile, bias_at))
                .unwrap_or_default(),
            error: (at_x.zip(observed.at(x)))
                .map_or(0.0, |((made, said), came)| came - said - bias_at(x, made)),
            anchor,
            anchor_change: off(x - 1).map_or(0.0, |before| anchor - before),
            is_history: !issued.as_ref().is_some_and(|issued| issued.reaches(x + 1)),
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

    pub(super) fn covers(&self, hour: i64) -> bool {
        self.provider_at(hour).is_some()
    }

    fn class_at(&self, hour: i64) -> f64 {
        self.class[hour_of_day(hour)][usize::from(is_weekend(hour))]
    }

    /// What is expected before any part is added.
    pub(super) fn usual(&self, hour: i64) -> f64 {
        self.profile[hour_of_day(hour)]
    }

    /// Class, error, level and shape; `None` where the issue does not cover the hour.
    pub(super) fn covered(&self, hour: i64) -> Option<[f64; 4]> {
        let (level, shape) = self.provider_at(hour)?;
        Some([self.class_at(hour), self.error, level, shape])
    }

    /// Anchor, its change and class.
    pub(super) fn uncovered(&self, hour: i64) -> [f64; 3] {
        [self.anchor, self.anchor_change, self.class_at(hour)]
    }

    /// The intensity expected in an hour, at `x` or after it, with weights that are `learned` away
    /// from the fitted ones. In the holes and past the end of an issue the fitted ones hold: what is
    /// learned of history was tried on history alone.
    pub(super) fn at(&self, hour: i64, learned: &Weights) -> (f64, Kind) {
        if let Some(value) = self.observed.at(hour).filter(|_| hour == self.x) {
            return (value, Kind::Live);
        }
        let fitted = Weights::fitted(hour - self.x);
        let (added, kind) = match self.covered(hour) {
            Some(parts) => {
                let learned = weighted(&parts, &learned.covered);
                (weighted(&parts, &fitted.covered) + learned, Kind::Live)
            }
            None => {
                let parts = self.uncovered(hour);
                let learned = weighted(&parts, &learned.uncovered);
                let learned = if self.is_history { learned } else { 0.0 };
                (weighted(&parts, &fitted.uncovered) + learned, Kind::Profile)
            }
        };
        (self.usual(hour) + added, kind)
    }
}

/// Where an hour of day stands in each of the whole days that end with `x`: "the newest n days at
/// that hour" are, of all hours together, n such days.
fn column(x: i64, h: usize) -> usize {
    hour_of_day(h as i64 - (x + 1))
}

/// The usual day: the last days at each hour, shrunk towards what else is known.
fn profile(
    x: i64,
    observed: &Hourly<'_>,
    issued: Option<&Issued<'_>>,
    known: &Knowledge,
) -> [f64; 24] {
    let (prior, counts) = prior(x, observed, issued, known);
    let mut sums = [(0.0, 0.0); 24];
    for day in observed.last::<{ PROFILE_DAYS * 24 }>(x).chunks(24) {
        for ((sum, days), value) in sums
            .iter_mut()
            .zip(day)
            .filter(|(_, value)| !value.is_nan())
        {
            *sum += value;
            *days += 1.0;
        }
    }
    std::array::from_fn(|h| {
        let (sum, days) = sums[column(x, h)];
        (sum + counts * prior[h]) / (days + counts)
    })
}

/// What the profile is shrunk towards, by hour of day, and how many days it counts for.
fn prior(
    x: i64,
    observed: &Hourly<'_>,
    issued: Option<&Issued<'_>>,
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

/// How far working days and weekends are off all days, by hour of day.
fn classes(x: i64, observed: &Hourly<'_>) -> [[f64; 2]; 24] {
    let mut sums = [[(0.0, 0.0); 2]; 24];
    let first = x + 1 - (CLASS_DAYS * 24) as i64;
    for (hour, value) in (first..).zip(observed.last::<{ CLASS_DAYS * 24 }>(x)) {
        if !value.is_nan() {
            let (sum, days) = &mut sums[hour_of_day(hour)][usize::from(is_weekend(hour))];
            *sum += value;
            *days += 1.0;
        }
    }
    sums.map(|of| {
        let [working, weekend] = of;
        let days = working.1 + weekend.1;
        if days < CLASS_LEAST || working.1 == 0.0 || weekend.1 == 0.0 {
            return [0.0; 2];
        }
        let every = (working.0 + weekend.0) / days;
        of.map(|(sum, days)| sum / days - every)
    })
}

/// How far the provider was off, by the age of its issue in days (up to `oldest`) and hour of day.
fn biases(x: i64, observed: &Hourly<'_>, past: &[Issue], oldest: i64) -> Vec<[f64; 24]> {
    const HOURS: usize = BIAS_DAYS * 24;
    let first = x + 1 - HOURS as i64;
    let came = observed.last::<HOURS>(x);
    // What was made earlier is older than `oldest` at all of these hours.
    let earliest = first * 3600 - (oldest + 1) * 86_400;
    let past = &past[past.partition_point(|issue| issue.issued_at.as_second() <= earliest)..];
    let said: Vec<(i64, Hourly<'_>)> = (past.iter())
        .map(|issue| {
            (
                issue.issued_at.as_second(),
                Hourly::of(&issue.series, first, x + 1),
            )
        })
        .filter(|(_, said)| !said.values.is_empty())
        .collect();
    let mut errors = vec![0.0; HOURS];
    let mut counts = vec![0.0; HOURS];
    let at_age = |age: i64| {
        errors.fill(0.0);
        counts.fill(0.0);
        for (made, said) in &said {
            let turns = |age: i64| (made + age * 86_400 + 3599).div_euclid(3600);
            // What an issue says of hours before it counts as new.
            let from = if age == 0 { first } else { turns(age) }.max(said.first);
            let end = turns(age + 1).min(said.first + said.values.len() as i64);
            if from >= end {
                continue;
            }
            let values = &said.values[(from - said.first) as usize..(end - said.first) as usize];
            let here = (from - first) as usize..(end - first) as usize;
            let sums = errors[here.clone()]
                .iter_mut()
                .zip(&mut counts[here.clone()]);
            for ((said, came), (sum, count)) in values.iter().zip(&came[here]).zip(sums) {
                let error = came - said;
                // Without a branch this goes several hours at a time.
                let is_known = !error.is_nan();
                *sum += if is_known { error } else { 0.0 };
                *count += if is_known { 1.0 } else { 0.0 };
            }
        }
        let mut sums = [(0.0, 1.0); 24];
        let mut weight = 1.0;
        for (errors, counts) in errors.rchunks(24).zip(counts.rchunks(24)) {
            for ((sum, weights), (error, count)) in sums.iter_mut().zip(errors.iter().zip(counts)) {
                if *count > 0.0 {
                    *sum += weight * error / count;
                    *weights += weight;
                }
            }
            weight *= BIAS_DECAY;
        }
        std::array::from_fn(|h| {
            let (sum, weights) = sums[column(x, h)];
            sum / weights
        })
    };
    (0..=oldest).map(at_age).collect()
}

/// What the provider adds to the profile, split into its mean over a day and the rest.
fn level_and_shape(
    issued: &Issued<'_>,
    profile: &[f64; 24],
    bias_at: impl Fn(i64, Timestamp) -> f64,
) -> Vec<Option<(f64, f64)>> {
    let added: Vec<f64> = (issued.values.first..)
        .zip(&*issued.values.values)
        .map(|(hour, said)| said + bias_at(hour, issued.at) - profile[hour_of_day(hour)])
        .collect();
    let is_known = |value: &f64| !value.is_nan();
    let first = added.iter().position(is_known).unwrap_or(0);
    let end = added.iter().rposition(is_known).map_or(0, |last| last + 1);
    let at = |index: usize| {
        let here = Some(added[index]).filter(is_known)?;
        let start = index
            .saturating_sub(11)
            .min(end.saturating_sub(24))
            .max(first);
        let day = &added[start..(start + 24).min(end)];
        let level = mean(day.iter().copied().filter(is_known))?;
        Some((level, here - level))
    };
    (0..added.len()).map(at).collect()
}
