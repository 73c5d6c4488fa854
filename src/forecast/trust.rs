//! How far to trust each rung of the ladder that [`super::ahead`] climbs down: once for all, and as
//! measured on what is known of a zone.
//!
//! ```text
//! trust = 1 − (mean absolute error over the next 48 hours) / (that of the period's mean)
//! ```
//!
//! Every 29 hours is an origin, so that all hours of day have their turn. What is newer than an age
//! is withheld, history goes without issues and an issue alone without observations, so that each
//! rung is tried in the same hours.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ahead::{ahead_as_of, newest_observation};
use super::blend::issued_by;
use super::hourly::{Hourly, age_in_days, begin, hour_of};
use super::{Kind, Knowledge, Series};

/// Whole days of age that are told apart: from the last on all count alike.
const AGES: usize = 4;
/// Hours between origins.
const EVERY: usize = 29;
/// Hours after an origin that are looked at.
const NEXT: i64 = 48;
/// Fewer origins than this measure nothing.
const LEAST_ORIGINS: usize = 20;

/// What each rung of the ladder is worth, from 0 to 1, by the whole days that its newest piece is
/// old. Older than the table: its last value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// Observations, issues and the usual day together, by the age of the newest issue.
    pub blended: [f64; AGES],
    /// The same without any issue, by the age of the newest observation.
    pub history: [f64; AGES],
    /// An issue without any observation.
    pub issue_alone: [f64; AGES],
    /// The built-in profile alone.
    pub builtin: f64,
}

impl Trust {
    /// The mean of DE, PL, SE, US-CAL-CISO, US-MIDA-PJM and US-TEX-ERCO: CarbonCast's back-tested
    /// daily forecasts of July to December 2021 after the first five weeks, the built-in profiles of
    /// 2020. `cargo bench --bench confidence -- DIR` measures it again.
    pub const TESTED: Self = Self {
        blended: [0.55, 0.44, 0.35, 0.25],
        history: [0.38, 0.25, 0.21, 0.20],
        issue_alone: [0.38, 0.22, 0.16, 0.14],
        builtin: 0.14,
    };

    /// As measured on what came from `from` to `until`. What cannot be measured there stays as it
    /// was tested; `None` where nothing can: there were too few origins, or nothing to foretell.
    ///
    /// It is measured without lessons: to have them as they were at each origin takes far longer.
    pub fn measured(known: &Knowledge, from: Timestamp, until: Timestamp) -> Option<Self> {
        let came = Hourly::of(&known.observations, hour_of(from), hour_of(until));
        let mean = came.mean()?;
        let by_age = |known: &Knowledge, kind: Kind| {
            let measure = |age| confidence(known, kind, Some(age), &came, mean);
            [0, 1, 2, 3].map(measure)
        };
        let blended = Knowledge {
            lessons: None,
            ..known.clone()
        };
        let history = Knowledge {
            issues: Vec::new(),
            ..blended.clone()
        };
        let issue_alone = Knowledge {
            observations: Series::default(),
            ..blended.clone()
        };
        let builtin = Knowledge {
            issues: Vec::new(),
            ..issue_alone.clone()
        };
        let history = by_age(&history, Kind::Profile);
        let issue_alone = by_age(&issue_alone, Kind::Live);
        let blended = by_age(&blended, Kind::Live);
        let builtin = confidence(&builtin, Kind::Profile, None, &came, mean);
        let all = (blended.iter().chain(&history)).chain(&issue_alone);
        all.chain([&builtin]).any(Option::is_some).then(|| Self {
            blended: or(blended, Self::TESTED.blended),
            history: or(history, Self::TESTED.history),
            issue_alone: or(issue_alone, Self::TESTED.issue_alone),
            builtin: builtin.unwrap_or(Self::TESTED.builtin),
        })
    }

    /// The mean of several; `None` of none.
    pub fn mean(of: &[Self]) -> Option<Self> {
        let over = |value: &dyn Fn(&Self) -> f64| super::hourly::mean(of.iter().map(value));
        let by_age = |table: fn(&Self) -> &[f64; AGES]| {
            let values = [0, 1, 2, 3].map(|age| over(&|trust| table(trust)[age]));
            values.map(Option::unwrap_or_default)
        };
        Some(Self {
            builtin: over(&|trust| trust.builtin)?,
            blended: by_age(|trust| &trust.blended),
            history: by_age(|trust| &trust.history),
            issue_alone: by_age(|trust| &trust.issue_alone),
        })
    }

    /// Whether all of it lies between 0 and 1.
    pub(super) fn is_sensible(&self) -> bool {
        let tables = [self.blended, self.history, self.issue_alone];
        let all = tables.as_flattened().iter().chain([&self.builtin]);
        all.into_iter().all(|value| (0.0..=1.0).contains(value))
    }
}

/// The value of a table at an age.
pub(super) fn at(table: &[f64; AGES], days: i64) -> f64 {
    table[usize::try_from(days).unwrap_or(0).min(AGES - 1)]
}

fn or(measured: [Option<f64>; AGES], tested: [f64; AGES]) -> [f64; AGES] {
    std::array::from_fn(|age| measured[age].unwrap_or(tested[age]))
}

/// How much better than the mean `known` foretells, where its newest piece is `age` days old and
/// what comes of it is of a `kind`; with no age, out of what is always known.
fn confidence(
    known: &Knowledge,
    kind: Kind,
    age: Option<i64>,
    came: &Hourly<'_>,
    mean: f64,
) -> Option<f64> {
    let withheld = SignedDuration::from_hours(24 * age.unwrap_or(0));
    let (mut origins, mut off, mut off_mean) = (0, 0.0, 0.0);
    let last = came.newest()? - NEXT;
    for origin in (came.first..=last).step_by(EVERY) {
        let now = begin(origin)?;
        let seen = now.checked_sub(withheld).ok()?;
        if age_of(known, seen, now) != age {
            continue;
        }
        let Some(outlook) = ahead_as_of(now, seen, known, NEXT as usize + 1) else {
            continue;
        };
        // Another kind is another rung.
        if outlook.kind != kind {
            continue;
        }
        origins += 1;
        for (hour, point) in (origin..).zip(outlook.expected.points()).skip(1) {
            if let Some(came) = came.at(hour) {
                off += (point.intensity.0 - came).abs();
                off_mean += (mean - came).abs();
            }
        }
    }
    (origins >= LEAST_ORIGINS && off_mean > 0.0).then(|| (1.0 - off / off_mean).clamp(0.0, 1.0))
}

/// How many whole days the newest issue, else the newest observation, that was known by `seen` is
/// old at `now`.
fn age_of(known: &Knowledge, seen: Timestamp, now: Timestamp) -> Option<i64> {
    let newest = match known.issues.is_empty() {
        false => issued_by(known, seen).last().map(|issue| issue.issued_at),
        true => newest_observation(seen, known).map(|point| point.span.start),
    };
    newest.map(|newest| age_in_days(hour_of(now), newest))
}

#[cfg(test)]
mod tests;
