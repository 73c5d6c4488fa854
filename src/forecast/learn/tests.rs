//! What is learned, and that it comes from the past alone.

use std::time::Duration;

use super::super::ahead::ahead;
use super::super::{Basis, Issue, Kind, Point, Series};
use super::*;
use crate::units::GramsPerKwh;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Seconds after a Monday's midnight.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_782_691_200 + seconds).unwrap()
}

/// Between -1 and 1, and with no more pattern than a hash has.
fn noise(seed: i64) -> f64 {
    let mixed = (seed as u64 ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed >> 11) as f64 / (1_u64 << 52) as f64) - 1.0
}

/// A usual day whose level changes from day to day.
fn came(seconds: i64) -> f64 {
    let day = (seconds as f64 / DAY as f64 * std::f64::consts::TAU).sin();
    300.0 + 60.0 * day + 40.0 * noise(seconds.div_euclid(DAY)) + 5.0 * noise(seconds / 900)
}

fn every(step: i64, from: i64, to: i64, value: impl Fn(i64) -> f64) -> Series {
    let values = (from..to).step_by(step as usize);
    Series::regular(
        at(from),
        Duration::from_secs(step as u64),
        values.map(|seconds| Some(GramsPerKwh(value(seconds)))),
        Kind::Live,
    )
}

/// What came in `step`s over `days`, and four days ahead issued each morning.
fn archive(days: i64, step: i64, said: impl Fn(i64) -> f64) -> Knowledge {
    let issue = |day: i64| {
        let made = day * DAY + 5 * HOUR + 40 * MINUTE;
        Issue {
            issued_at: at(made),
            series: every(HOUR, made - 40 * MINUTE, made + 4 * DAY, &said),
        }
    };
    Knowledge {
        zone: "DE".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "test".to_owned(),
        kind: Kind::Live,
        observations: every(step, 0, days * DAY, came),
        issues: (0..days).map(issue).collect(),
        profile: None,
        profile_same_accounting: true,
        yearly_average: None,
        lessons: Some(Lessons::since(at(7 * DAY))),
        trust: None,
        leads: Vec::new(),
    }
}

/// The right level of the day, and a shape that means nothing.
fn shapeless(seconds: i64) -> f64 {
    300.0 + 40.0 * noise(seconds.div_euclid(DAY)) + 60.0 * noise(seconds + 1)
}

fn corrections(now: Timestamp, known: &Knowledge) -> Corrections {
    let x = hour_of(now);
    known.lessons.as_ref().unwrap().corrections(now, x, known)
}

/// Mean absolute error over the next 48 hours, from now on.
fn error(now: Timestamp, known: &Knowledge) -> f64 {
    let expected = ahead(now, known, 49).unwrap().expected;
    let off = expected.points()[1..].iter().map(|point| {
        let seconds = point.span.start.as_second() - at(0).as_second();
        (point.intensity.0 - came(seconds)).abs()
    });
    off.sum::<f64>() / 48.0
}

#[test]
fn a_shape_that_means_nothing_loses_its_weight() {
    let known = archive(60, HOUR, shapeless);
    let plain = Knowledge {
        lessons: None,
        ..known.clone()
    };
    let now = at(50 * DAY + 7 * HOUR);
    for lead in [1, 6, 12, 24] {
        let [_, _, _, shape] = Weights::fitted(lead).covered;
        let [_, _, _, learned] = corrections(now, &known).at(lead).covered;
        let left = (shape + learned) / shape;
        assert!(left.abs() < 0.5, "{left:.2} of the weight {lead} h ahead");
    }
    let sum = |known: &Knowledge| -> f64 {
        (40..55)
            .map(|day| error(at(day * DAY + 7 * HOUR), known))
            .sum()
    };
    let (learned, fitted) = (sum(&known), sum(&plain));
    assert!(learned < 0.9 * fitted, "{learned:.1} of {fitted:.1}");
}

#[test]
fn a_few_origins_change_next_to_nothing() {
    let mut known = archive(12, HOUR, shapeless);
    known.lessons = Some(Lessons::since(at(9 * DAY)));
    let now = at(10 * DAY + 7 * HOUR);
    let learned = corrections(now, &known);
    for weights in learned.0 {
        let all = weights.covered.iter().chain(&weights.uncovered);
        assert!(all.clone().all(|weight| weight.abs() < 0.15), "{weights:?}");
    }
    // Before the first origin there is nothing at all.
    let none = corrections(at(9 * DAY), &known);
    assert_eq!(none, Corrections::default());
}

#[test]
fn what_is_not_yet_known_teaches_nothing() {
    for step in [15 * MINUTE, HOUR, 3 * HOUR] {
        let all = archive(40, step, shapeless);
        for moment in [
            25 * DAY,
            30 * DAY + 70 * MINUTE,
            31 * DAY + 5 * HOUR + 55 * MINUTE,
        ] {
            let now = at(moment);
            let begun = |point: &&Point| point.span.start <= now;
            let otherwise = every(step, moment + 1, 50 * DAY, |seconds| 7.0 * came(seconds));
            let mut other = all.clone();
            let points = all.observations.points().iter().filter(begun).copied();
            let after = otherwise.points().iter().filter(|point| !begun(point));
            let last = points.clone().last().unwrap().span.end;
            let after = after.filter(|point| point.span.start >= last);
            other.observations = Series::new(points.chain(after.copied()).collect());
            other.issues.retain(|issue| issue.issued_at <= now);
            other.issues.push(Issue {
                issued_at: at(moment + 1),
                series: otherwise.clone(),
            });
            assert_ne!(all.observations, other.observations);
            // What was learned of later hours must not show either.
            ahead(at(39 * DAY), &all, 1);
            ahead(at(39 * DAY), &other, 1);
            assert_eq!(ahead(now, &all, 96), ahead(now, &other, 96), "{now}");
            assert_ne!(corrections(now, &all), Corrections::default());
        }
    }
}

#[test]
fn neither_order_nor_threads_nor_what_is_kept_change_a_digit() {
    let known = archive(30, 30 * MINUTE, shapeless);
    let moments: Vec<Timestamp> = (10 * 24..29 * 24)
        .step_by(41)
        .map(|hour| at(hour * HOUR + 17 * MINUTE))
        .collect();
    let wanted: Vec<Corrections> = (moments.iter())
        .map(|now| corrections(*now, &known.clone()))
        .collect();
    let ask = |now: &Timestamp| corrections(*now, &known);
    let mut backwards: Vec<Corrections> = moments.iter().rev().map(ask).collect();
    backwards.reverse();
    assert_eq!(backwards, wanted);
    let known = known.clone();
    let ask = |now: &Timestamp| corrections(*now, &known);
    let (forwards, backwards) = std::thread::scope(|scope| {
        let one = scope.spawn(|| moments.iter().map(ask).collect::<Vec<_>>());
        let other = scope.spawn(|| moments.iter().rev().map(ask).collect::<Vec<_>>());
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(forwards, wanted);
    assert!(backwards.iter().rev().eq(&wanted));
}

#[test]
fn what_is_kept_stays_within_its_bounds() {
    let known = archive(80, HOUR, shapeless);
    for hour in 0..80 * 24 {
        corrections(at(hour * HOUR), &known);
    }
    let Way::Since { kept, .. } = &known.lessons.as_ref().unwrap().0 else {
        panic!("they are worked out");
    };
    let kept = kept.lock().unwrap();
    assert!(kept.origins.len() <= ORIGINS_KEPT && kept.hours.len() <= HOURS_KEPT);
    assert!(kept.solutions.len() <= SOLUTIONS_KEPT);
    assert_eq!(kept.days.len(), 80 - 7);
    // Beside the day's sums: in bytes.
    let origin = size_of::<Origin>() + LEADS * size_of::<Lead>();
    let most = ORIGINS_KEPT * origin
        + HOURS_KEPT * size_of::<Sums>()
        + SOLUTIONS_KEPT * size_of::<(i64, i64, Corrections)>();
    assert!(
        most < 8_000_000 && 366 * size_of::<Sums>() < 600_000,
        "{most}"
    );
}

#[test]
fn a_clone_of_changed_knowledge_learns_anew() {
    let known = archive(40, HOUR, shapeless);
    let now = at(35 * DAY);
    let learned = corrections(now, &known);
    let changed = Knowledge {
        issues: archive(40, HOUR, came).issues,
        ..known.clone()
    };
    assert_ne!(corrections(now, &changed), learned);
    assert_eq!(known, known.clone());
}

#[test]
fn what_lies_half_a_year_back_is_forgotten() {
    let mut known = archive(30, HOUR, shapeless);
    let now = at((30 + MEMORY_DAYS) * DAY);
    assert_eq!(corrections(now, &known), Corrections::default());
    known.observations = every(HOUR, 0, (31 + MEMORY_DAYS) * DAY, came);
    assert_ne!(corrections(now, &known), Corrections::default());
}

#[test]
fn corrections_are_linear_between_the_knots_and_level_beyond_them() {
    let ramp = |knot: i64| Weights {
        covered: [knot as f64; 4],
        uncovered: [-knot as f64; 3],
    };
    let corrections = Corrections(KNOTS.map(ramp));
    for lead in [1, 2, 6, 7, 24, 40, 48, 95, 96] {
        let weights = corrections.at(lead);
        assert!((weights.covered[0] - lead as f64).abs() < 1e-9, "{lead}");
        assert!((weights.uncovered[2] + lead as f64).abs() < 1e-9, "{lead}");
    }
    assert_eq!(corrections.at(0), ramp(1));
    assert_eq!(corrections.at(500), ramp(96));
    for (knot, width) in KNOTS.into_iter().zip(WIDTHS) {
        let own = |lead| hats(lead).into_iter().filter(|(at, _)| KNOTS[*at] == knot);
        let sum: f64 = (1..=96).flat_map(own).map(|(_, weight)| weight).sum();
        // The outer hats are cut in the middle of their own hour.
        let half = if knot == 1 || knot == 96 { 0.5 } else { 0.0 };
        assert!((sum - half - width).abs() < 1e-9, "{knot}: {sum}");
    }
}

#[test]
fn equations_are_solved_with_a_ridge_and_useless_parts_stay_out() {
    let mut normal = Normal::<3>::default();
    assert_eq!(normal.solve(1.0), [0.0; 3]);
    for row in 0..2000 {
        let parts = [noise(3 * row), noise(3 * row) + noise(3 * row + 1), 0.0];
        normal.learn(1.0, &parts, 2.0 * parts[0] - parts[1]);
    }
    let [a, b, c] = normal.solve(0.001);
    assert!(
        (a - 2.0).abs() < 0.01 && (b + 1.0).abs() < 0.01 && c == 0.0,
        "{a} {b} {c}"
    );
    // As many origins as the shrinkage halve a part that stands alone.
    let mut alone = Normal::<1>::default();
    (0..100).for_each(|_| alone.learn(1.0, &[3.0], 6.0));
    assert!((alone.solve(1.0)[0] - 1.0).abs() < 1e-9);
}
