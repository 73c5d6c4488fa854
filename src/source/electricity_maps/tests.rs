use proptest::prelude::*;

use super::*;
use crate::caller::wire::Class;
use crate::forecast::{Issue, Point};
use crate::source::hostile::assert_bounded;
use crate::source::samples::{Samples, assert_usable, assert_withstood};

const V4: ElectricityMaps = ElectricityMaps {
    version: Version::V4,
    factors: Factors::Lifecycle,
};
const V3: ElectricityMaps = ElectricityMaps {
    version: Version::V3,
    factors: Factors::Lifecycle,
};
const NOW: &str = "2026-11-20T09:31:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn samples() -> Samples {
    Samples::of("electricitymaps")
}

/// What the ask for `what` reads in a case.
fn read(what: &str, case: &str, place: &str) -> Result<Said, Refused> {
    let asks = V4.asks(place, at(NOW));
    let ask = asks.iter().find(|ask| ask.what == what).unwrap();
    let said = V4.read(ask, place, &samples().case(case).answer(NOW));
    said.as_ref().map(assert_usable).unwrap_or_default();
    said
}

fn observed(case: &str, place: &str) -> Vec<Point> {
    let said = read(HISTORY, case, place).unwrap();
    assert!(said.issue.is_none() && said.notes.is_empty(), "{said:?}");
    said.observations
}

fn issued(case: &str) -> Issue {
    let said = read(FORECAST, case, "DE").unwrap();
    assert!(said.observations.is_empty() && said.notes.is_empty());
    said.issue.unwrap()
}

fn refused(case: &str, place: &str) -> Refused {
    read(HISTORY, case, place).unwrap_err()
}

/// Start, value and kind.
fn told(point: &Point) -> (String, f64, Kind) {
    let hour = point.span.start + jiff::SignedDuration::from_hours(1);
    assert_eq!(point.span.end, hour, "an hour long");
    (point.span.start.to_string(), point.intensity.0, point.kind)
}

fn hour(start: &str, value: f64, kind: Kind) -> (String, f64, Kind) {
    (start.to_owned(), value, kind)
}

fn answer(status: u16, body: &str) -> Answer<'_> {
    Answer {
        status,
        content_type: None,
        retry_after: None,
        body: body.as_bytes(),
        at: at(NOW),
    }
}

/// What is said of a list of rows to the ask for `what`.
fn said_of(what: &str, body: &str) -> Result<Said, Refused> {
    let asks = V4.asks("DE", at(NOW));
    let ask = asks.iter().find(|ask| ask.what == what).unwrap();
    V4.read(ask, "DE", &answer(200, body))
}

#[test]
fn each_sample_has_a_test() {
    samples().assert_each_has_a_test_in(include_str!("tests.rs"));
}

#[test]
fn v4_latest() {
    let points = observed("v4-latest", "DK-DK2");
    let points: Vec<_> = points.iter().map(told).collect();
    assert_eq!(
        points,
        [hour("2026-08-22T17:00:00Z", 75.0, Kind::Estimated)]
    );
}

/// Its time is later than that of its last update: usual for an estimate.
#[test]
fn v3_latest() {
    let points = observed("v3-latest", "US-CAR-DUK");
    let points: Vec<_> = points.iter().map(told).collect();
    assert_eq!(
        points,
        [hour("2024-03-06T19:00:00Z", 216.0, Kind::Estimated)]
    );
}

#[test]
fn v3_history() {
    let points = observed("v3-history", "DE");
    assert_eq!(points.len(), 24);
    assert_eq!(
        told(&points[0]),
        hour("2024-03-05T20:00:00Z", 599.0, Kind::Live)
    );
    assert_eq!(
        told(&points[23]),
        hour("2024-03-06T19:00:00Z", 689.0, Kind::Estimated)
    );
}

/// Megawatts by source, and no intensity.
#[test]
fn v3_power_breakdown_latest() {
    assert_eq!(
        refused("v3-power-breakdown-latest", "DE"),
        Refused::NoData("1 of 1 values are no intensities and stay holes".to_owned())
    );
}

#[test]
fn v3_forecast_24h() {
    let issue = issued("v3-forecast-24h");
    assert_eq!(issue.issued_at, at("2026-11-20T08:51:30.112Z"));
    let points = issue.series.points();
    assert_eq!(points.len(), 25);
    assert_eq!(
        told(&points[0]),
        hour("2026-11-20T09:00:00Z", 466.0, Kind::Live)
    );
}

#[test]
fn v4_forecast_72h() {
    let issue = issued("v4-forecast-72h");
    assert_eq!(issue.issued_at, at("2026-11-20T08:51:30.112Z"));
    let points = issue.series.points();
    assert_eq!(points.len(), 73);
    assert_eq!(
        told(&points[72]),
        hour("2026-11-23T09:00:00Z", 469.0, Kind::Live)
    );
}

#[test]
fn v4_history_data_envelope() {
    let points = observed("v4-history-data-envelope", "FR");
    assert_eq!(points.len(), 24);
    assert_eq!(
        told(&points[0]),
        hour("2026-11-19T09:00:00Z", 30.0, Kind::Live)
    );
    let estimated = points.iter().filter(|it| it.kind == Kind::Estimated);
    assert_eq!(estimated.count(), 3);
}

#[test]
fn v3_past_range() {
    let points = observed("v3-past-range", "DE");
    let points: Vec<_> = points.iter().map(told).collect();
    assert_eq!(
        points,
        [
            hour("2019-05-21T00:00:00Z", 322.0, Kind::Live),
            hour("2019-05-21T01:00:00Z", 318.0, Kind::Live),
        ]
    );
}

#[test]
fn v4_zones_with_token() {
    let samples = samples();
    let answer = samples.case("v4-zones-with-token").answer(NOW);
    assert_eq!(
        V4.read_plan("DK-DK2", &answer).unwrap(),
        "it covers carbon-intensity/latest, history and forecast of DK-DK2"
    );
    assert_eq!(
        V4.read_plan("DE", &answer).unwrap(),
        "it covers DK-DK2 only"
    );
    assert!(matches!(
        read(HISTORY, "v4-zones-with-token", "DE"),
        Err(Refused::NotAnAnswer(_))
    ));
}

/// Without a key there is no `access`, so that nothing can be said of a plan.
#[test]
fn v3_zones_public() {
    let samples = samples();
    let answer = samples.case("v3-zones-public").answer(NOW);
    assert_eq!(V3.read_plan("DE", &answer), Err(Refused::KeyMissing));
}

#[test]
fn v3_home_assistant_ok() {
    let points = observed("v3-home-assistant-ok", "DE");
    let points: Vec<_> = points.iter().map(told).collect();
    assert_eq!(points, [hour("2023-10-02T08:00:00Z", 474.0, Kind::Live)]);
}

#[test]
fn v3_home_assistant_no_data() {
    assert_eq!(
        refused("v3-home-assistant-no-data", "DE"),
        Refused::NoData("1 of 1 values have no time that can be read".to_owned())
    );
}

#[test]
fn error_401_missing_header() {
    assert_eq!(
        refused("error-401-missing-header", "DE"),
        Refused::KeyMissing
    );
}

#[test]
fn error_401_invalid_token() {
    let refused = refused("error-401-invalid-token", "DE");
    assert!(
        matches!(&refused, Refused::KeyWrong(why) if why.starts_with("The provided token is invalid"))
    );
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_401_not_entitled() {
    let refused = refused("error-401-not-entitled", "PT");
    assert_eq!(refused, Refused::NotCovered("history of PT".to_owned()));
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_400_horizon() {
    assert_eq!(
        refused("error-400-horizon", "DE"),
        Refused::Ours("400: Valid horizonHours are: 24".to_owned())
    );
}

#[test]
fn error_400_breakdown_type() {
    assert_eq!(
        refused("error-400-breakdown-type", "DE"),
        Refused::Ours("400: Valid breakdown types are: normal, flow-traced".to_owned())
    );
}

#[test]
fn error_403_access_denied() {
    let refused = refused("error-403-access-denied", "PT");
    assert_eq!(refused, Refused::Ours("403: Access denied".to_owned()));
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_404_unknown_zone() {
    assert_eq!(
        refused("error-404-unknown-zone", "ZZ-ZZZ"),
        Refused::OtherPlace("Zone ZZ-ZZZ does not exist; `catrain zones` lists zones".to_owned())
    );
}

#[test]
fn error_429() {
    let after = Some(Duration::from_secs(30));
    assert_eq!(refused("error-429", "DE"), Refused::Throttled { after });
}

#[test]
fn error_503() {
    assert_eq!(refused("error-503", "DE").class(), Class::Retry);
}

#[test]
fn without_a_time_to_wait_a_throttled_key_rests_for_a_minute() {
    let after = Some(Duration::from_secs(60));
    let ask = &V4.asks("DE", at(NOW))[0];
    assert_eq!(
        V4.read(ask, "DE", &answer(429, "")),
        Err(Refused::Throttled { after })
    );
}

#[test]
fn older_words_for_a_plan_that_does_not_cover_it_are_known() {
    for body in [
        "Token unauthorized for zoneKey=DE",
        "Endpoint not available",
    ] {
        let ask = &V4.asks("DE", at(NOW))[1];
        assert_eq!(
            V4.read(ask, "DE", &answer(401, body)),
            Err(Refused::NotCovered("forecast of DE".to_owned()))
        );
    }
}

#[test]
fn an_answer_for_the_callers_own_zone_is_refused() {
    let other = Refused::OtherPlace("it answered for DE".to_owned());
    assert_eq!(refused("v3-history", "FR"), other);
    let row = r#"{"zone": "FR", "carbonIntensity": 1, "datetime": "2026-11-20T09:00Z"}"#;
    let body = format!(r#"{{"zone": "DE", "history": [{row}]}}"#);
    assert_eq!(
        said_of(HISTORY, &body),
        Err(Refused::OtherPlace("it answered for FR".to_owned()))
    );
}

#[test]
fn intensities_of_other_factors_than_asked_for_are_refused() {
    let direct = ElectricityMaps {
        factors: Factors::Direct,
        ..V4
    };
    let ask = &direct.asks("DE", at(NOW))[0];
    let answer = samples();
    let answer = answer.case("v3-history").answer(NOW);
    let why = "it answered with lifecycle intensities instead of direct ones";
    assert_eq!(
        direct.read(ask, "DE", &answer),
        Err(Refused::NoData(why.to_owned()))
    );
    assert_eq!(direct.offers().basis.scope, Scope::Direct);
}

#[test]
fn a_null_is_a_hole_and_stretches_no_neighbour() {
    let rows: Vec<String> = (["7", "null", "9", "0"].iter().enumerate())
        .map(|(hour, value)| {
            format!(
                r#"{{"carbonIntensity": {value}, "datetime": "2026-11-20T0{hour}:00:00.000Z"}}"#
            )
        })
        .collect();
    let said = said_of(HISTORY, &format!(r#"{{"history": [{}]}}"#, rows.join(","))).unwrap();
    let points: Vec<_> = said.observations.iter().map(told).collect();
    assert_eq!(
        points,
        [
            hour("2026-11-20T00:00:00Z", 7.0, Kind::Live),
            hour("2026-11-20T02:00:00Z", 9.0, Kind::Live),
            hour("2026-11-20T03:00:00Z", 0.0, Kind::Live),
        ]
    );
    assert_eq!(
        said.notes,
        ["1 of 4 values are no intensities and stay holes"]
    );
}

#[test]
fn what_is_expected_is_never_taken_for_what_was_observed() {
    let of = |list: &str| {
        let row = r#"{"carbonIntensity": 1, "datetime": "2026-11-20T09:00Z"}"#;
        format!(r#"{{"zone": "DE", "{list}": [{row}]}}"#)
    };
    for (what, list) in [(HISTORY, "forecast"), (FORECAST, "history")] {
        assert!(matches!(
            said_of(what, &of(list)),
            Err(Refused::NotAnAnswer(_))
        ));
    }
}

#[test]
fn success_without_intensities_is_no_answer_and_without_rows_no_data() {
    for body in ["{}", r#"{"error": "later"}"#, "<html>", "", "[1, 2]"] {
        let refused = said_of(FORECAST, body).unwrap_err();
        assert_eq!(refused.class(), Class::RetryOnce, "{body}: {refused}");
    }
    assert_eq!(
        said_of(FORECAST, r#"{"zone": "DE", "forecast": []}"#),
        Err(Refused::NoData("nothing is known of that time".to_owned()))
    );
}

#[test]
fn a_forecast_from_a_clock_that_is_ahead_is_issued_when_it_arrives() {
    let row = r#"{"carbonIntensity": 1, "datetime": "2026-11-20T09:00Z"}"#;
    for updated in ["\"2026-11-20T10:00:00Z\"", "null"] {
        let body = format!(r#"{{"forecast": [{row}], "updatedAt": {updated}}}"#);
        let issue = said_of(FORECAST, &body).unwrap().issue.unwrap();
        assert_eq!(issue.issued_at, at(NOW));
    }
}

#[test]
fn each_ask_turns_the_look_up_of_the_callers_address_off_and_names_its_factors() {
    for (provider, off) in [
        (V4, ("disableCallerLookup", "true".to_owned())),
        (V3, ("shouldUseFallbackCallerLookup", "false".to_owned())),
    ] {
        for ask in provider.asks("DE", at(NOW)) {
            assert!(ask.query.contains(&off), "{ask:?}");
            let factors = ("emissionFactorType", "lifecycle".to_owned());
            assert!(ask.query.contains(&factors), "{ask:?}");
            assert_eq!(ask.credential, Credential::Header("auth-token"));
        }
    }
}

#[test]
fn only_the_newer_version_is_asked_for_three_days() {
    let forecast = |provider: ElectricityMaps| provider.asks("DE", at(NOW)).remove(1);
    let horizon = ("horizonHours", "72".to_owned());
    assert_eq!(forecast(V4).path, "/v4/carbon-intensity/forecast");
    assert!(forecast(V4).query.contains(&horizon));
    assert_eq!(forecast(V3).path, "/v3/carbon-intensity/forecast");
    assert!(!forecast(V3).query.contains(&horizon));
}

#[test]
fn zones_are_its_own_but_for_states_of_the_us() {
    for zone in ["DE", "GB", "DK-DK1", "CA-QC", "US-CAL-CISO", "US"] {
        assert_eq!(V4.place(zone).as_deref(), Some(zone));
    }
    for zone in ["US-TX", "world", "", "-", "DE-", "DE&x=1", "../zones"] {
        assert_eq!(V4.place(zone), None, "{zone}");
    }
}

#[test]
fn a_plan_for_everything_is_told_as_that() {
    let zones = r#"{"DE": {"access": ["*"]}, "FR": {"access": []}, "ES": {"access": "*"}}"#;
    let answer = answer(200, zones);
    let plan = |place| V4.read_plan(place, &answer).unwrap();
    assert_eq!(plan("DE"), "it covers everything of DE");
    assert_eq!(plan("FR"), "it covers DE and ES only");
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let frames = [
        "{\"forecast\":…}",
        "{\"data\":[{\"carbonIntensity\":…}]}",
        "{\"DE\":{\"access\":…}}",
    ];
    assert_bounded(&V4, "DE", at(NOW), &frames);
}

proptest! {
    #[test]
    fn whatever_comes_is_usable_or_refused(body in samples().damaged()) {
        for place in ["DE", "DK-DK2"] {
            assert_withstood(&V4, place, at(NOW), &body);
        }
        let answer = Answer { body: &body, ..answer(200, "") };
        let _ = V4.read_plan("DE", &answer);
    }
}
