use proptest::prelude::*;

use super::*;
use crate::caller::wire::Class;
use crate::forecast::{Point, Series};
use crate::source::hostile::assert_bounded;
use crate::source::samples::{Samples, assert_withstood};

/// When the recorded answers arrived.
const AT: &str = "2026-11-20T09:31:00Z";

fn read(case: &str, place: &str, what: &'static str, range: &str) -> Result<Said, Refused> {
    let samples = Samples::of("uk");
    let answer = samples.case(case).answer(AT);
    Neso.read(&ask(what, place, range), place, &answer)
}

/// Read as the answer to what is asked for what lies ahead.
fn ahead(case: &str, place: &str) -> Result<Said, Refused> {
    read(case, place, FORECAST[0], "2026-11-20T09:31Z/fw48h")
}

fn issued(said: &Said) -> &[Point] {
    said.issue.as_ref().unwrap().series.points()
}

fn span(points: &[Point]) -> String {
    let span = Series::new(points.to_vec()).span().unwrap();
    format!("{} to {}", span.start, span.end)
}

#[test]
fn each_recorded_answer_has_a_test() {
    Samples::of("uk").assert_each_has_a_test_in(include_str!("tests.rs"));
}

#[test]
fn intensity_latest() {
    let said = ahead("intensity-latest", NATION);
    // It is eight years old and no forecast from now on.
    assert!(matches!(said, Err(Refused::NoData(_))));
    let said = read("intensity-latest", NATION, "latest", "").unwrap();
    let [point] = said.observations[..] else {
        panic!("{said:?}")
    };
    assert_eq!(point.intensity.0, 263.0);
    assert_eq!(point.kind, Kind::Live);
    assert_eq!(point.span.length(), HALF_HOUR);
    assert_eq!(said.issue, None);
}

#[test]
fn intensity_fw48h() {
    let said = ahead("intensity-fw48h", NATION).unwrap();
    assert_eq!(issued(&said).len(), 96);
    assert_eq!(
        span(issued(&said)),
        "2026-11-20T09:30:00Z to 2026-11-22T09:30:00Z"
    );
    assert_eq!(said.issue.unwrap().issued_at.to_string(), AT);
    assert!(said.observations.is_empty());
    assert!(said.notes.is_empty());
}

#[test]
fn intensity_fw24h_aligned_49_rows() {
    let case = "intensity-fw24h-aligned-49-rows";
    let said = read(case, NATION, FORECAST[0], "2026-11-20T12:00Z/fw24h").unwrap();
    assert_eq!(issued(&said).len(), 48);
    assert_eq!(
        span(issued(&said)),
        "2026-11-20T12:00:00Z to 2026-11-21T12:00:00Z"
    );
}

#[test]
fn intensity_pt24h() {
    let range = "2026-11-20T09:31Z/pt24h";
    let said = read("intensity-pt24h", NATION, PAST[1], range).unwrap();
    assert_eq!(said.observations.len(), 47);
    assert_eq!(said.observations[46].intensity.0, 173.0);
    assert!(said.observations.iter().all(|it| it.kind == Kind::Live));
    // The newest is not measured yet: it is told as a forecast.
    assert_eq!(
        span(issued(&said)),
        "2026-11-20T09:00:00Z to 2026-11-20T09:30:00Z"
    );
    assert_eq!(issued(&said)[0].intensity.0, 180.0);
}

#[test]
fn regional_current_postcode() {
    let said = read("regional-current-postcode", "RG10", "latest", "").unwrap();
    let [point] = said.observations[..] else {
        panic!("{said:?}")
    };
    assert_eq!(point.intensity.0, 266.0);
    assert_eq!(point.kind, Kind::Estimated);
    assert_eq!(said.notes, ["`RG10` lies in North West England"]);
}

#[test]
fn regional_fw48h_regionid() {
    let said = ahead("regional-fw48h-regionid", "13").unwrap();
    assert_eq!(issued(&said).len(), 96);
    assert_eq!(issued(&said)[0].intensity.0, 187.0);
    assert!(said.notes.is_empty());
}

#[test]
fn regional_fw48h_postcode() {
    let said = ahead("regional-fw48h-postcode", "BS7").unwrap();
    assert_eq!(issued(&said).len(), 4);
    assert_eq!(said.notes, ["`BS7` lies in South West England"]);
}

/// All regions at once are never asked for; one of them is not guessed.
#[test]
fn regional_all_fw24h() {
    for place in [NATION, "13"] {
        let refused = ahead("regional-all-fw24h", place).unwrap_err();
        assert!(
            matches!(refused, Refused::NoData(_) | Refused::NotAnAnswer(_)),
            "{refused}"
        );
    }
}

#[test]
fn regional_postcode_id_mismatch() {
    let case = "regional-postcode-id-mismatch";
    let said = read(case, "BN3", PAST[1], "2020-04-27T12:12Z/pt24h").unwrap();
    assert_eq!(said.notes, ["`BN3` lies in South East England"]);
    let found: Vec<f64> = (said.observations.iter())
        .map(|point| point.intensity.0)
        .collect();
    assert_eq!(found, [120.0, 134.0]);
    // The same id as London's, and not taken for it.
    let refused = read(case, "13", PAST[1], "2020-04-27T12:12Z/pt24h").unwrap_err();
    assert_eq!(
        refused,
        Refused::OtherPlace("asked for London, it answered for South East England".to_owned())
    );
}

/// Factors are no intensities of a time; zeros for wind, sun and nuclear make the basis operational.
#[test]
fn factors() {
    let refused = ahead("factors", NATION).unwrap_err();
    assert_eq!(refused.class(), Class::RetryOnce);
    assert_eq!(Neso.offers().basis.to_string(), "average, operational");
}

#[test]
fn error_400_unknown_postcode() {
    let refused = ahead("error-400-unknown-postcode", "W7").unwrap_err();
    assert_eq!(
        refused,
        Refused::OtherPlace("No postcode match can be found.".to_owned())
    );
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_500_resource_not_found() {
    let refused = ahead("error-500-resource-not-found", NATION).unwrap_err();
    assert_eq!(refused.to_string(), "500: Requested resource not found.");
    assert_eq!(refused.class(), Class::Retry);
}

#[test]
fn empty_object_200() {
    let refused = ahead("empty-object-200", "1").unwrap_err();
    assert_eq!(refused.class(), Class::RetryOnce);
}

#[test]
fn empty_body_200() {
    let refused = ahead("empty-body-200", "OXFDG").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "an empty body: `OXFDG` is unknown, or there is no data"
    );
    assert_eq!(refused.class(), Class::RetryOnce);
}

#[test]
fn error_429() {
    let refused = ahead("error-429", NATION).unwrap_err();
    let minute = Duration::from_secs(60);
    assert_eq!(refused.class(), Class::Wait(Some(minute)));
}

#[test]
fn error_503_html() {
    let refused = ahead("error-503-html", NATION).unwrap_err();
    assert_eq!(refused.to_string(), "503: a page of HTML or XML");
    assert_eq!(refused.class(), Class::Retry);
}

#[test]
fn zones_are_the_nation_its_regions_and_districts() {
    for (zone, place) in [
        ("GB", Some("GB")),
        ("uk", Some("GB")),
        ("GB-1", Some("1")),
        ("GB-17", Some("17")),
        ("GB-ENG", Some("15")),
        ("GB-SCT", Some("16")),
        ("gb-wls", Some("17")),
        ("GB-RG10", Some("RG10")),
        ("GB-W1A", Some("W1A")),
        ("GB-0", None),
        ("GB-+1", None),
        ("GB-01", None),
        ("GB-18", None),
        ("GB-NIR", None),
        ("GB-BT1", None),
        ("GB-RG10 9NY", None),
        ("GB-É1", None),
        ("GB-", None),
        ("DE", None),
    ] {
        assert_eq!(Neso.place(zone).as_deref(), place, "{zone}");
    }
}

fn paths(place: &str, now: &str) -> Vec<(&'static str, String)> {
    let asks = Neso.asks(place, now.parse().unwrap());
    (asks.into_iter().map(|ask| (ask.what, ask.path))).collect()
}

#[test]
fn a_range_begins_one_minute_into_a_half_hour() {
    let national = |time: &str| {
        vec![
            ("forecast", format!("/intensity/2026-11-20T{time}Z/fw48h")),
            ("past", format!("/intensity/2026-11-20T{time}Z/pt24h")),
        ]
    };
    for (now, asked) in [
        ("09:00:00", "09:01"),
        ("09:29:59", "09:01"),
        ("09:30:00", "09:31"),
    ] {
        let now = format!("2026-11-20T{now}Z");
        assert_eq!(paths(NATION, &now), national(asked), "{now}");
    }
    assert_eq!(
        paths("13", AT)[0].1,
        "/regional/intensity/2026-11-20T09:31Z/fw48h/regionid/13"
    );
    assert_eq!(
        paths("RG10", AT)[1].1,
        "/regional/intensity/2026-11-20T09:31Z/pt24h/postcode/RG10"
    );
}

#[test]
fn a_range_across_the_end_of_the_year_is_asked_for_in_two_parts() {
    let path = |path: &str| format!("/intensity/{path}");
    assert_eq!(
        paths(NATION, "2026-12-30T09:40:00Z"),
        [
            ("forecast", path("2026-12-30T09:31Z/2026-12-31T23:59Z")),
            (
                "forecast of next year",
                path("2027-01-01T00:01Z/2027-01-01T09:31Z")
            ),
            ("past", path("2026-12-30T09:31Z/pt24h")),
        ]
    );
    assert_eq!(
        paths(NATION, "2027-01-01T09:40:00Z"),
        [
            ("forecast", path("2027-01-01T09:31Z/fw48h")),
            (
                "past of last year",
                path("2026-12-31T09:31Z/2026-12-31T23:59Z")
            ),
            ("past", path("2027-01-01T00:01Z/2027-01-01T09:31Z")),
        ]
    );
    assert_eq!(
        paths(NATION, "2027-01-01T00:00:00Z")[1..],
        [(
            "past of last year",
            path("2026-12-31T00:01Z/2026-12-31T23:59Z")
        )]
    );
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let at = AT.parse().unwrap();
    assert_bounded(
        &Neso,
        NATION,
        at,
        &["{\"data\":…}", "{\"data\":[{\"intensity\":…}]}"],
    );
    assert_bounded(&Neso, "13", at, &["{\"data\":[{\"data\":…}]}"]);
}

proptest! {
    #[test]
    fn damaged_answers_are_refused_or_can_be_used(
        body in Samples::of("uk").damaged(), place in proptest::sample::select(vec![NATION, "13", "RG10"]),
    ) {
        assert_withstood(&Neso, place, AT.parse().unwrap(), &body);
    }
}
