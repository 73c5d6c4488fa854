//! The ladder, the worked cases of the rules, and what must hold whatever comes in.

use std::time::Duration;

use super::super::Issue;
use super::super::blend::Weights;
use super::super::builtin::Profile;
use super::super::learn::Lessons;
use super::*;

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
        kind: Kind::Live,
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
        lessons: (case.get("learn_from")).map(|from| Lessons::since(time(from))),
        trust: None,
        leads: Vec::new(),
    };
    (time(&case["now"]), known)
}

#[test]
fn the_worked_cases_come_out_to_a_millionth() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/forecast_cases.json")).unwrap();
    let mut tried = Vec::new();
    for worked in cases["cases"].as_array().unwrap() {
        let name = worked["name"].as_str().unwrap();
        let (now, known) = case(worked);
        let close = |what: &str, is: f64, wanted: &serde_json::Value| {
            let wanted = wanted.as_f64().unwrap();
            assert!(
                (is - wanted).abs() < 1e-6,
                "{name}: {what} is {is}, not {wanted}"
            );
        };
        let observed = observed_by(now, hour_of(now), &known);
        let past = issued_by(&known, now);
        let issued = Issued::newest(past, hour_of(now));
        let x = observed.newest().unwrap();
        let blend = Blend::new(x, observed, past, issued, &known);
        let parts = &worked["expected_parts"];
        assert_eq!(begin(x).unwrap().to_string(), parts["x"].as_str().unwrap());
        for (h, wanted) in parts["profile"].as_array().unwrap().iter().enumerate() {
            close(&format!("profile {h}"), blend.profile[h], wanted);
        }
        close("d", blend.anchor, &parts["d"]);
        close("d'", blend.anchor_change, &parts["d_prime"]);
        close("e", blend.error, &parts["e"]);
        for (knot, wanted) in worked["corrections"].as_object().into_iter().flatten() {
            let lessons = known.lessons.as_ref().unwrap();
            let learned = lessons.corrections(now, x, &known);
            let Weights { covered, .. } = learned.at(knot.parse().unwrap());
            let wanted = wanted.as_array().unwrap();
            for ((part, is), wanted) in ["w", "e", "L", "S"].iter().zip(covered).zip(wanted) {
                close(&format!("correction of {part} at {knot} h"), is, wanted);
            }
        }
        let outlook = ahead(now, &known, 48).unwrap();
        let wanted = worked["expected"].as_array().unwrap();
        assert_eq!(outlook.expected.points().len(), wanted.len());
        for (hour, (point, wanted)) in outlook.expected.points().iter().zip(wanted).enumerate() {
            close(&format!("hour {hour}"), point.intensity.0, wanted);
        }
        tried.push(name);
    }
    assert_eq!(tried.len(), 10, "{tried:?}");
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn knowing(observations: Series, issues: Vec<Issue>) -> Knowledge {
    Knowledge {
        zone: "DE".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "test".to_owned(),
        kind: Kind::Live,
        observations,
        issues,
        profile: None,
        profile_same_accounting: true,
        yearly_average: None,
        lessons: None,
        trust: None,
        leads: Vec::new(),
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
