//! What is measured, and what is left as it was tested.

use std::time::Duration;

use super::*;
use crate::forecast::ahead::ahead;
use crate::forecast::{Basis, Issue};
use crate::units::GramsPerKwh;

fn hours_after(hours: i64) -> Timestamp {
    Timestamp::from_second(1_782_691_200 + hours * 3600).unwrap()
}

fn hours(from: i64, to: i64, value: impl Fn(i64) -> f64) -> Series {
    let values = (from..to).map(|hour| Some(GramsPerKwh(value(hour))));
    Series::regular(
        hours_after(from),
        Duration::from_secs(3600),
        values,
        Kind::Live,
    )
}

fn came(hour: i64) -> f64 {
    300.0 + (hour * hour * 7919 % 211) as f64
}

const DAYS: i64 = 60;

fn known(said: impl Fn(i64) -> f64) -> Knowledge {
    let issue = |day: i64| Issue {
        issued_at: hours_after(24 * day),
        series: hours(24 * day, 24 * day + 144, &said),
    };
    Knowledge {
        zone: "DE".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "test".to_owned(),
        kind: Kind::Live,
        observations: hours(0, 24 * DAYS, came),
        issues: (0..DAYS).map(issue).collect(),
        profile: None,
        profile_same_accounting: true,
        yearly_average: None,
        lessons: None,
        trust: None,
        leads: Vec::new(),
    }
}

fn measured(known: &Knowledge) -> Option<Trust> {
    Trust::measured(known, hours_after(24 * 7), hours_after(24 * DAYS))
}

#[test]
fn issues_that_come_true_are_trusted_and_history_without_pattern_is_not() {
    let trust = measured(&known(came)).unwrap();
    assert!(
        trust.issue_alone.iter().all(|trust| *trust > 0.99),
        "{trust:?}"
    );
    assert!(trust.history.iter().all(|trust| *trust < 0.1), "{trust:?}");
    // The blend does not take the shape of an issue whole.
    assert!(trust.blended[0] > 0.3, "{trust:?}");
}

#[test]
fn what_cannot_be_measured_stays_as_it_was_tested() {
    let mut known = known(came);
    known.issues.clear();
    let trust = measured(&known).unwrap();
    assert_ne!(trust.history, Trust::TESTED.history);
    assert_eq!(trust.blended, Trust::TESTED.blended);
    assert_eq!(trust.issue_alone, Trust::TESTED.issue_alone);
    assert_eq!(trust.builtin, Trust::TESTED.builtin);
}

#[test]
fn too_few_origins_and_an_intensity_that_never_changes_measure_nothing() {
    let known = known(came);
    // Twenty origins 29 hours apart, and two days after the last.
    let least = 19 * 29 + 48;
    let from = hours_after(24 * 7);
    let until = |hours: i64| hours_after(24 * 7 + hours);
    assert_eq!(Trust::measured(&known, from, until(least)), None);
    assert!(Trust::measured(&known, from, until(least + 1)).is_some());
    let flat = Knowledge {
        observations: hours(0, 24 * DAYS, |_| 300.0),
        ..known
    };
    assert_eq!(measured(&flat), None);
}

#[test]
fn an_outlook_is_trusted_as_it_was_measured() {
    let mut known = known(came);
    let trust = Trust {
        blended: [0.9, 0.8, 0.7, 0.6],
        ..Trust::TESTED
    };
    known.trust = Some(trust);
    let now = hours_after(24 * 50);
    assert_eq!(ahead(now, &known, 48).unwrap().confidence, 0.9);
    let seen = hours_after(24 * 48);
    let outlook = ahead_as_of(now, seen, &known, 48).unwrap();
    assert_eq!(outlook.confidence, 0.7);
}

#[test]
fn the_mean_of_several_is_taken_entry_by_entry() {
    let other = Trust {
        builtin: 0.25,
        blended: [0.65, 0.44, 0.35, 0.25],
        ..Trust::TESTED
    };
    let mean = Trust::mean(&[Trust::TESTED, other]).unwrap();
    assert!((mean.builtin - 0.195).abs() < 1e-12 && (mean.blended[0] - 0.6).abs() < 1e-12);
    assert!((mean.history[2] - 0.21).abs() < 1e-12);
    assert_eq!(Trust::mean(&[]), None);
}
