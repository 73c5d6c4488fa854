//! Numbers that no run can have: a line with one of them was not written by us. Pure.
//!
//! JSON has numbers like `1e308`, and sums with them come to nothing that can be shown or drawn. The
//! bounds are far beyond what any machine does.

use super::entry::{Begin, Entry, IntensityPoint, Reading, Segment, Sums, What};

/// Three hundred years.
const SECONDS: f64 = 1e10;
/// Of one reading: a gigawatt for a day.
const JOULES: f64 = 1e14;
/// Of a whole run.
const ALL_JOULES: f64 = 1e18;
/// Burning coal in the worst of plants gives some 1500.
const GRAMS_PER_KWH: f64 = 1e6;
/// A million tonnes.
const GRAMS: f64 = 1e12;
/// Of all power plants there are it is some 10¹³.
const WATTS: f64 = 1e13;
/// Times as fast as real.
const SPEED: f64 = 1e9;
/// Clocks are rounded: so little before the start of a run is its start.
const EARLY: f64 = -1.0;

/// The first number of an entry that cannot be true, in words.
pub(super) fn impossible(entry: &Entry) -> Option<String> {
    let time = || passed("elapsed_s", entry.elapsed_s);
    let rest = || match &entry.what {
        What::Begin(begin) => of_begin(begin),
        What::Segment(segment) => of_segment(segment),
        What::Intensity { points, .. } | What::Settlement { points, .. } => {
            points.iter().find_map(of_point)
        }
        What::Decision {
            intensity_g_per_kwh,
            saves_g,
            ..
        } => {
            let intensity = intensity_g_per_kwh.map(|it| it.0);
            let saves = saves_g.map(|grams| grams.0);
            given("intensity_g_per_kwh", intensity, GRAMS_PER_KWH)
                .or_else(|| given("saves_g", saves, GRAMS))
        }
        What::End {
            sums: Some(sums), ..
        } => of_sums(sums),
        _ => None,
    };
    time().or_else(rest)
}

fn of_begin(begin: &Begin) -> Option<String> {
    let power = &begin.power;
    let figures = [
        ("run_w", power.run_w),
        ("idle_w", power.idle_w),
        ("wait_w", power.wait_w),
    ];
    let speed = begin.replay.as_ref().map(|replay| replay.speed);
    figures
        .into_iter()
        .find_map(|(name, watts)| within(name, watts.0, WATTS))
        .or_else(|| given("duration_s", begin.duration_s, SECONDS))
        .or_else(|| given("budget_g", begin.budget_g.map(|grams| grams.0), GRAMS))
        .or_else(|| given("speed", speed, SPEED))
}

fn of_segment(segment: &Segment) -> Option<String> {
    let readings = segment.energy.iter().chain(&segment.unattributed);
    let joules = |reading: &Reading| within("joules", reading.joules.0, JOULES);
    passed("from_s", segment.from_s)
        .or_else(|| passed("to_s", segment.to_s))
        .or_else(|| readings.into_iter().find_map(joules))
}

fn of_point(point: &IntensityPoint) -> Option<String> {
    let bound = |name, bound: Option<crate::units::GramsPerKwh>| {
        given(name, bound.map(|it| it.0), GRAMS_PER_KWH)
    };
    within("g_per_kwh", point.g_per_kwh.0, GRAMS_PER_KWH)
        .or_else(|| bound("low_g_per_kwh", point.low_g_per_kwh))
        .or_else(|| bound("high_g_per_kwh", point.high_g_per_kwh))
}

fn of_sums(sums: &Sums) -> Option<String> {
    within("seconds", sums.seconds, SECONDS).or_else(|| within("joules", sums.joules.0, ALL_JOULES))
}

/// Seconds since the start of a run.
fn passed(name: &str, seconds: f64) -> Option<String> {
    match (EARLY..=SECONDS).contains(&seconds) {
        true => None,
        false => Some(words(name, seconds)),
    }
}

fn given(name: &str, value: Option<f64>, most: f64) -> Option<String> {
    value.and_then(|value| within(name, value, most))
}

fn within(name: &str, value: f64, most: f64) -> Option<String> {
    match value.abs() <= most {
        true => None,
        false => Some(words(name, value)),
    }
}

fn words(name: &str, value: f64) -> String {
    format!("`{name}` cannot be {value:e}")
}

#[cfg(test)]
mod tests {
    use crate::ledger::line;

    const V2: &str = include_str!("../../tests/fixtures/ledger_v2.jsonl");

    /// The error of reading the first line of the fixture that has the number `name`, with that
    /// number instead.
    fn with(name: &str, number: &str) -> String {
        let name = format!("\"{name}\":");
        let text = V2.lines().find(|line| line.contains(&name)).unwrap();
        let (before, after) = text.split_once(&name).unwrap();
        let rest = after.trim_start_matches(|c: char| !matches!(c, ',' | '}'));
        let forged = format!("{before}{name}{number}{rest}");
        match line::read(forged.as_bytes()) {
            Ok(entry) => panic!("{entry:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_was_recorded_is_possible() {
        for text in [V2, include_str!("../../tests/fixtures/ledger_v1.jsonl")] {
            for text in text.lines() {
                assert!(line::read(text.as_bytes()).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn a_number_that_no_run_can_have_makes_its_line_a_bad_one() {
        for (name, number) in [
            ("elapsed_s", "1e300"),
            ("from_s", "-1e308"),
            ("to_s", "1e308"),
            ("joules", "1e308"),
            ("g_per_kwh", "-1e308"),
            ("run_w", "1e308"),
        ] {
            let error = with(name, number);
            let expected = format!("`{name}` cannot be");
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.len() < 60, "{error}");
        }
    }
}
