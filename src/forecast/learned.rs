//! What a long archive taught, worked out once and kept.
//!
//! To learn from months of issues takes up to a second: too long for a command that only shows the
//! hours ahead, and for a run to do again and again. So what came of it is kept and
//! [applied](Learned::apply) for a day.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Knowledge;
use super::ahead::observed_by;
use super::hourly::hour_of;
use super::learn::{Corrections, Lessons};
use super::trust::Trust;

/// The outcomes of a day are one or two hundredths of what an archive teaches.
const LASTS: SignedDuration = SignedDuration::from_hours(24);
/// What is trusted is measured after so long: before it, bias and profile are still cold.
const COLD: SignedDuration = SignedDuration::from_hours(5 * 7 * 24);

/// Corrections of the weights, and how far to trust what comes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Out of what was known by then.
    pub computed_at: Timestamp,
    corrections: Corrections,
    trust: Option<Trust>,
}

impl Learned {
    /// What `known` teaches by `now`: takes up to a second. What comes of it and cannot be believed is
    /// left out, and then that is what was learned: to try again before tomorrow would cost as much
    /// and teach as little. `None` where nothing was observed.
    pub fn of(known: &Knowledge, now: Timestamp) -> Option<Self> {
        let x = observed_by(now, hour_of(now), known).newest()?;
        let first = known.observations.span()?.start;
        let corrections = (known.lessons.as_ref())
            .map(|lessons| lessons.corrections(now, x, known))
            .filter(Corrections::is_sensible);
        let trust = Trust::measured(known, first.checked_add(COLD).ok()?, now);
        Some(Self {
            computed_at: now,
            corrections: corrections.unwrap_or_default(),
            trust: trust.filter(Trust::is_sensible),
        })
    }

    /// Whether it need not be worked out again at `now`.
    pub fn is_current(&self, now: Timestamp) -> bool {
        (SignedDuration::ZERO..LASTS).contains(&now.duration_since(self.computed_at))
    }

    /// Whether its numbers can be what they are said to be, wherever they were read.
    pub fn is_sensible(&self) -> bool {
        self.corrections.is_sensible() && self.trust.as_ref().is_none_or(Trust::is_sensible)
    }

    /// Lets `known` be seen with it, in place of what it would have to work out.
    pub fn apply(&self, known: &mut Knowledge) {
        known.lessons = Some(Lessons::fixed(self.corrections));
        known.trust = self.trust;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::forecast::ahead::ahead;
    use crate::forecast::{Basis, Issue, Kind, Series};
    use crate::units::GramsPerKwh;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_782_691_200 + hours * 3600).unwrap()
    }

    fn hours(from: i64, to: i64, value: impl Fn(i64) -> f64) -> Series {
        let values = (from..to).map(|hour| Some(GramsPerKwh(value(hour))));
        Series::regular(at(from), Duration::from_secs(3600), values, Kind::Live)
    }

    fn came(hour: i64) -> f64 {
        300.0 + 60.0 * (hour as f64 / 3.8).sin() + (hour.div_euclid(24) * 7919 % 101) as f64
    }

    /// Issues that know the day's level, and of its shape nothing.
    fn known(days: i64) -> Knowledge {
        let said = |hour: i64| (hour.div_euclid(24) * 7919 % 101 + hour * 31 % 67) as f64 + 280.0;
        Knowledge {
            zone: "DE".to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
            source: "test".to_owned(),
            kind: Kind::Live,
            observations: hours(0, 24 * days, came),
            issues: (0..days)
                .map(|day| Issue {
                    issued_at: at(24 * day),
                    series: hours(24 * day, 24 * day + 96, said),
                })
                .collect(),
            profile: None,
            profile_same_accounting: true,
            yearly_average: None,
            lessons: Some(Lessons::since(at(480))),
            trust: None,
            leads: Vec::new(),
        }
    }

    #[test]
    fn what_was_kept_foretells_as_what_was_worked_out() {
        let (mut kept, now) = (known(75), at(24 * 74 + 7));
        let learned = Learned::of(&kept, now).unwrap();
        assert!(learned.trust.is_some());
        let text = serde_json::to_string(&learned).unwrap();
        let read: Learned = serde_json::from_str(&text).unwrap();
        assert_eq!(read, learned);
        read.apply(&mut kept);
        let (one, other) = (ahead(now, &kept, 48), ahead(now, &known(75), 48));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.expected, other.expected);
        assert_ne!(one.confidence, other.confidence, "trust as it was measured");
    }

    #[test]
    fn it_holds_for_a_day_and_not_for_one_before_it_was_learned() {
        let learned = Learned::of(&known(30), at(24 * 29)).unwrap();
        assert!(learned.is_current(at(24 * 29)) && learned.is_current(at(24 * 30 - 1)));
        assert!(!learned.is_current(at(24 * 30)) && !learned.is_current(at(24 * 29 - 1)));
    }

    #[test]
    fn what_cannot_be_believed_is_left_out_and_not_worked_out_again_at_once() {
        // Every day is like the one before, and is foretold without a fault: nothing tells the
        // parts of a forecast apart.
        let same = |hour: i64| 300.0 + 60.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let mut known = known(75);
        known.observations = hours(0, 24 * 75, same);
        for issue in &mut known.issues {
            let from = hour_of(issue.issued_at) - hour_of(at(0));
            issue.series = hours(from, from + 96, |hour| 1e6 * same(hour));
        }
        let learned = Learned::of(&known, at(24 * 74)).unwrap();
        assert!(learned.is_sensible() && learned.is_current(at(24 * 74 + 1)));
    }

    #[test]
    fn numbers_that_nothing_teaches_are_not_sensible() {
        let learned = Learned::of(&known(75), at(24 * 74)).unwrap();
        let mut value = serde_json::to_value(&learned).unwrap();
        value["corrections"][2]["covered"][1] = 1e9.into();
        let read: Learned = serde_json::from_value(value).unwrap();
        assert!(!read.is_sensible());
        let mut value = serde_json::to_value(&learned).unwrap();
        value["trust"]["builtin"] = 1.1.into();
        let read: Learned = serde_json::from_value(value).unwrap();
        assert!(!read.is_sensible());
    }
}
