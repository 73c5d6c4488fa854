use proptest::prelude::*;

use super::*;
use crate::caller::wire::Class;
use crate::source::hostile::assert_bounded;
use crate::source::samples::{Samples, assert_withstood};

const AT: &str = "2026-11-20T09:02:00Z";

fn ask(what: &str) -> Ask {
    let asks = EnergiDataService.asks("DK1", AT.parse().unwrap());
    asks.into_iter().find(|ask| ask.what == what).unwrap()
}

fn read(case: &str, what: &str, place: &str) -> Result<Said, Refused> {
    let samples = Samples::of("energidataservice");
    let answer = samples.case(case).answer(AT);
    EnergiDataService.read(&ask(what), place, &answer)
}

#[test]
fn each_recorded_answer_has_a_test() {
    Samples::of("energidataservice").assert_each_has_a_test_in(include_str!("tests.rs"));
}

#[test]
fn co2emisprog_dk1() {
    let said = read("co2emisprog-dk1", FORECAST, "DK1").unwrap();
    let issue = said.issue.unwrap();
    assert_eq!(issue.issued_at.to_string(), AT);
    assert_eq!(issue.series.points().len(), 168);
    let span = issue.series.span().unwrap();
    assert_eq!(span.start.to_string(), "2026-11-20T09:00:00Z");
    // Danish midnight.
    assert_eq!(span.end.to_string(), "2026-11-20T23:00:00Z");
    assert!(said.observations.is_empty());
    assert!(said.notes.is_empty());
}

#[test]
fn co2emisprog_default_limit() {
    let refused = read("co2emisprog-default-limit", FORECAST, "DK1").unwrap_err();
    assert_eq!(refused.to_string(), "100 of 180 records");
    assert_eq!(refused.class(), Class::RetryOnce);
}

#[test]
fn co2emis_latest() {
    for place in ["DK1", "DK2"] {
        let said = read("co2emis-latest", PAST, place).unwrap();
        let [point] = said.observations[..] else {
            panic!("{said:?}")
        };
        assert_eq!(point.intensity.0, 88.0);
        assert_eq!(point.span.start.to_string(), "2026-11-20T08:55:00Z");
        assert_eq!(point.span.length(), FIVE_MINUTES);
        assert_eq!(said.issue, None);
    }
    // Rows of other areas alone are nothing about this one.
    let refused = read("co2emis-latest", PAST, "DK3").unwrap_err();
    assert!(matches!(refused, Refused::NoData(_)), "{refused}");
}

#[test]
fn co2emisprog_empty() {
    let refused = read("co2emisprog-empty", FORECAST, "DK3").unwrap_err();
    assert!(matches!(refused, Refused::NoData(_)), "{refused}");
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_429() {
    let class = read("error-429", FORECAST, "DK1").unwrap_err().class();
    assert_eq!(class, Class::Wait(Some(Duration::from_secs(41))));
}

#[test]
fn error_403() {
    let class = read("error-403", FORECAST, "DK1").unwrap_err().class();
    assert_eq!(class, Class::Wait(Some(HOUR)));
}

#[test]
fn error_404_dataset() {
    let refused = read("error-404-dataset", FORECAST, "DK1").unwrap_err();
    assert_eq!(
        refused,
        Refused::Ours("404: Dataset CO2EmisProgg not found".to_owned())
    );
}

#[test]
fn zones_are_the_two_areas_and_not_the_country() {
    for (zone, place) in [
        ("DK-DK1", Some("DK1")),
        ("DK-DK2", Some("DK2")),
        ("dk1", Some("DK1")),
        ("DK2", Some("DK2")),
        ("DK", None),
        ("DK-DK3", None),
        ("DE", None),
    ] {
        assert_eq!(EnergiDataService.place(zone).as_deref(), place, "{zone}");
    }
}

#[test]
fn all_rows_are_asked_for_from_the_running_step_on() {
    let Ask { path, query, .. } = ask(FORECAST);
    assert_eq!(path, "/dataset/CO2EmisProg");
    let query: Vec<String> = (query.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        query,
        [
            "start=now-PT5M",
            "filter={\"PriceArea\":[\"DK1\"]}",
            "sort=Minutes5UTC ASC",
            "limit=0",
        ]
    );
    assert_eq!(ask(PAST).path, "/dataset/CO2Emis");
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let frames = ["{\"records\":…}", "{\"records\":[{\"CO2Emission\":…}]}"];
    assert_bounded(&EnergiDataService, "DK1", AT.parse().unwrap(), &frames);
}

proptest! {
    #[test]
    fn damaged_answers_are_refused_or_can_be_used(body in Samples::of("energidataservice").damaged()) {
        assert_withstood(&EnergiDataService, "DK1", AT.parse().unwrap(), &body);
    }
}
