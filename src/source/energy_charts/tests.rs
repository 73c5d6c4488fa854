use proptest::prelude::*;

use super::*;
use crate::caller::wire::Class;
use crate::forecast::Point;
use crate::source::hostile::assert_bounded;
use crate::source::samples::{Samples, assert_withstood};

const AT: &str = "2026-11-20T09:31:00Z";

fn read(case: &str) -> Result<Said, Refused> {
    let samples = Samples::of("energycharts");
    let answer = samples.case(case).answer(AT);
    EnergyCharts.read(&ask(), "de", &answer)
}

fn read_body(body: &str) -> Result<Said, Refused> {
    let answer = Answer {
        status: 200,
        content_type: None,
        retry_after: None,
        body: body.as_bytes(),
        at: AT.parse().unwrap(),
    };
    EnergyCharts.read(&ask(), "de", &answer)
}

fn ask() -> Ask {
    EnergyCharts.asks("de", AT.parse().unwrap()).remove(0)
}

fn issued(said: &Said) -> &[Point] {
    said.issue.as_ref().unwrap().series.points()
}

/// Whether each point begins where the one before ends.
fn is_contiguous<'a>(points: impl Iterator<Item = &'a Point>) -> bool {
    let points: Vec<&Point> = points.collect();
    (points.windows(2)).all(|pair| pair[0].span.end == pair[1].span.start)
}

#[test]
fn each_recorded_answer_has_a_test() {
    Samples::of("energycharts").assert_each_has_a_test_in(include_str!("tests.rs"));
}

#[test]
fn co2eq_de_day() {
    let said = read("co2eq-de-day").unwrap();
    assert_eq!(said.observations.len(), 38);
    assert_eq!(issued(&said).len(), 55);
    assert!(is_contiguous(said.observations.iter().chain(issued(&said))));
    assert_eq!(
        said.observations[0].span.start.to_string(),
        "2026-11-19T23:00:00Z"
    );
    assert_eq!(said.observations[0].intensity.0, 320.0);
    assert_eq!(said.observations[0].span.length(), QUARTER);
    assert_eq!(said.issue.unwrap().issued_at.to_string(), AT);
    // The three at the end that are neither are no fault to tell.
    assert!(said.notes.is_empty(), "{:?}", said.notes);
}

#[test]
fn co2eq_de_short() {
    let said = read("co2eq-de-short").unwrap();
    let [.., latest] = said.observations[..] else {
        panic!("{said:?}")
    };
    assert_eq!(said.observations.len(), 3);
    assert_eq!(latest.intensity.0, 502.6);
    assert_eq!(latest.span.start.to_string(), "2026-07-12T22:30:00Z");
    let found: Vec<f64> = issued(&said).iter().map(|it| it.intensity.0).collect();
    assert_eq!(found, [505.0, 508.0]);
}

#[test]
fn co2eq_fr_day() {
    let said = read("co2eq-fr-day").unwrap();
    assert_eq!(said.observations.len(), 24);
    assert_eq!(said.observations[0].intensity.0, 64.8);
    assert_eq!(issued(&said).len(), 75);
    assert!(is_contiguous(said.observations.iter().chain(issued(&said))));
}

/// A share in percent is never read as g/kWh.
#[test]
fn signal_de() {
    assert_no_answer("signal-de");
}

#[test]
fn ren_share_forecast_de() {
    assert_no_answer("ren-share-forecast-de");
}

/// Nor are megawatts.
#[test]
fn public_power_forecast_de_solar() {
    assert_no_answer("public-power-forecast-de-solar");
}

#[test]
fn public_power_de() {
    assert_no_answer("public-power-de");
}

fn assert_no_answer(case: &str) {
    let refused = read(case).unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("missing field `co2eq`"), "{told}");
    assert_eq!(refused.class(), Class::RetryOnce);
}

#[test]
fn co2eq_no_data() {
    let refused = read("co2eq-no-data").unwrap_err();
    assert!(matches!(refused, Refused::NoData(_)), "{refused}");
}

#[test]
fn error_400_unknown_country() {
    let refused = read("error-400-unknown-country").unwrap_err();
    let Refused::OtherPlace(told) = &refused else {
        panic!("{refused}")
    };
    assert!(told.starts_with("'xx' is not the code for an available country."));
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_422_validation() {
    let refused = read("error-422-validation").unwrap_err();
    assert!(matches!(refused, Refused::Ours(_)), "{refused}");
}

#[test]
fn error_404_price_no_data() {
    let refused = read("error-404-price-no-data").unwrap_err();
    assert!(matches!(refused, Refused::NoData(_)), "{refused}");
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_429() {
    let seven = Duration::from_secs(7);
    let class = read("error-429").unwrap_err().class();
    assert_eq!(class, Class::Wait(Some(seven)));
}

#[test]
fn error_503_html() {
    assert_eq!(read("error-503-html").unwrap_err().class(), Class::Retry);
}

#[test]
fn a_wrapped_refusal_of_the_country_is_understood_as_well() {
    let answer = Answer {
        status: 400,
        content_type: None,
        retry_after: None,
        body: br#"{"detail": "'xx' is not the code for an available country."}"#,
        at: AT.parse().unwrap(),
    };
    let refused = EnergyCharts.read(&ask(), "xx", &answer).unwrap_err();
    assert!(matches!(refused, Refused::OtherPlace(_)), "{refused}");
}

#[test]
fn what_is_measured_wins_and_a_deprecation_is_told() {
    let said = read_body(
        r#"{"unix_seconds": [900, 1800], "co2eq": [1, 0], "co2eq_forecast": [2, null],
            "deprecated": true}"#,
    )
    .unwrap();
    let found: Vec<f64> = (said.observations.iter())
        .map(|it| it.intensity.0)
        .collect();
    assert_eq!(found, [1.0, 0.0]);
    assert_eq!(said.issue, None);
    assert!(said.notes[0].contains("newer catrain"));
}

#[test]
fn one_value_alone_lasts_as_long_as_the_steps_of_all() {
    let said = read_body(
        r#"{"unix_seconds": [0, 3600, 7200], "co2eq": [1, null, null],
            "co2eq_forecast": [null, null, 5]}"#,
    )
    .unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(said.observations[0].span.length(), hour);
    assert_eq!(issued(&said)[0].span.length(), hour);
}

#[test]
fn lists_of_different_lengths_are_not_laid_side_by_side() {
    let body = r#"{"unix_seconds": [0, 900], "co2eq": [1], "co2eq_forecast": [null, null]}"#;
    let refused = read_body(body).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "2 times with 1 measured and 2 expected values"
    );
    let without = r#"{"unix_seconds": [0, 900], "co2eq": [1, 2]}"#;
    assert_eq!(read_body(without).unwrap().observations.len(), 2);
}

#[test]
fn zones_are_countries_of_europe() {
    for (zone, place) in [
        ("DE", Some("de")),
        ("fr", Some("fr")),
        ("GB", Some("uk")),
        ("UK", Some("uk")),
        ("GB-NIR", Some("nie")),
        ("EU", Some("eu")),
        ("XK", Some("xk")),
        ("DK-DK1", None),
        ("US", None),
        ("", None),
    ] {
        assert_eq!(EnergyCharts.place(zone).as_deref(), place, "{zone}");
    }
}

#[test]
fn start_and_end_are_days_and_the_same_all_day() {
    let query = |now: &str| {
        EnergyCharts
            .asks("de", now.parse().unwrap())
            .remove(0)
            .query
    };
    let asked = [
        ("country", "de"),
        ("start", "2026-11-19"),
        ("end", "2026-11-22"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    assert_eq!(query("2026-11-20T00:00:00Z"), asked);
    assert_eq!(query("2026-11-20T23:59:59Z"), asked);
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let frames = ["{\"unix_seconds\":…}", "{\"unix_seconds\":[],\"co2eq\":…}"];
    assert_bounded(&EnergyCharts, "de", AT.parse().unwrap(), &frames);
}

proptest! {
    #[test]
    fn damaged_answers_are_refused_or_can_be_used(body in Samples::of("energycharts").damaged()) {
        assert_withstood(&EnergyCharts, "de", AT.parse().unwrap(), &body);
    }
}
