use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::caller::wire::Class;
use crate::forecast::{Issue, Point};
use crate::source::hostile::assert_bounded;
use crate::source::samples::{Samples, assert_usable, assert_withstood};

const NOW: &str = "2026-11-20T09:31:00Z";
const PART_NOTE: &str = "CAISO_NORTH is a part of US-CAL-CISO";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn samples() -> Samples {
    Samples::of("watttime")
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

/// What the ask for `what` reads in an answer.
fn read_of(what: &str, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
    let asks = WattTime.asks(place, at(NOW));
    let ask = asks.iter().find(|ask| ask.what == what).unwrap();
    let said = WattTime.read(ask, place, answer);
    said.as_ref().map(assert_usable).unwrap_or_default();
    said
}

fn read(what: &str, case: &str, place: &str) -> Result<Said, Refused> {
    read_of(what, place, &samples().case(case).answer(NOW))
}

fn issued(case: &str, place: &str) -> Issue {
    let said = read(FORECAST, case, place).unwrap();
    assert_eq!(said.observations, []);
    said.issue.unwrap()
}

fn refused(case: &str) -> Refused {
    read(FORECAST, case, PART).unwrap_err()
}

/// Start, seconds, value to two digits and kind.
fn told(point: &Point) -> (String, u64, f64, Kind) {
    (
        point.span.start.to_string(),
        point.span.length().as_secs(),
        (point.intensity.0 * 100.0).round() / 100.0,
        point.kind,
    )
}

/// An answer of one row of 5 minutes, with more of a row and of `meta`.
fn one(row: &str, meta: &str) -> String {
    format!(
        r#"{{"data": [{{"point_time": "2026-11-20T09:00:00Z", {row}}}],
            "meta": {{"region": "BPA", "data_point_period_seconds": 300, {meta}}}}}"#
    )
}

const META: &str = r#""signal_type": "co2_moer", "units": "lbs_co2_per_mwh""#;

#[test]
fn each_sample_has_a_test() {
    samples().assert_each_has_a_test_in(include_str!("tests.rs"));
}

#[test]
fn login_200() {
    let token = WattTime
        .token(&samples().case("login-200").answer(NOW))
        .unwrap();
    assert_eq!(token.secret.expose_secret(), "abcdef0123456789fedcabc");
    assert_eq!(token.lasts, Duration::from_secs(1500));
}

#[test]
fn login_401() {
    let refused = WattTime
        .token(&samples().case("login-401").answer(NOW))
        .unwrap_err();
    assert_eq!(
        refused,
        Refused::KeyWrong("Incorrect username or password".to_owned())
    );
    assert_eq!(refused.class(), Class::Never);
}

/// Coordinates are never asked for, and a region is no intensity.
#[test]
fn region_from_loc_200() {
    assert!(matches!(
        refused("region-from-loc-200"),
        Refused::NotAnAnswer(_)
    ));
}

#[test]
fn region_from_loc_404() {
    assert_eq!(
        refused("region-from-loc-404"),
        Refused::OtherPlace("Coordinates not found".to_owned())
    );
}

#[test]
fn my_access_200() {
    let samples = samples();
    let answer = samples.case("my-access-200").answer(NOW);
    assert_eq!(
        WattTime.read_plan("PJM_NJ", &answer).unwrap(),
        "it covers v3/forecast and v3/historical of PJM_NJ"
    );
    assert_eq!(
        WattTime.read_plan("BPA", &answer).unwrap(),
        "it covers PJM_NJ only"
    );
}

#[test]
fn forecast_24h() {
    let said = read(FORECAST, "forecast-24h", PART).unwrap();
    assert_eq!(said.notes, [PART_NOTE]);
    let issue = said.issue.unwrap();
    assert_eq!(issue.issued_at, at("2026-11-20T09:00:00Z"));
    let points = issue.series.points();
    assert_eq!(points.len(), 288);
    let first = ("2026-11-20T09:00:00Z".to_owned(), 300, 399.16, Kind::Live);
    assert_eq!(told(&points[0]), first);
}

#[test]
fn forecast_horizon_0() {
    let issue = issued("forecast-horizon-0", PART);
    let points: Vec<_> = issue.series.points().iter().map(told).collect();
    let now = ("2026-11-20T09:00:00Z".to_owned(), 300, 394.63, Kind::Live);
    assert_eq!(points, [now]);
}

#[test]
fn forecast_hourly_region() {
    let issue = issued("forecast-hourly-region", "IND_NORTH");
    let points = issue.series.points();
    assert_eq!(points.len(), 24);
    assert!(points.iter().all(|point| told(point).1 == 3600));
}

#[test]
fn historical_200() {
    let said = read(HISTORICAL, "historical-200", PART).unwrap();
    assert_eq!(said.issue, None);
    let points: Vec<_> = said.observations.iter().map(told).collect();
    let imputed = |start: &str, value| (start.to_owned(), 300, value, Kind::Estimated);
    assert_eq!(
        points,
        [
            imputed("2022-07-15T00:00:00Z", 394.63),
            imputed("2022-07-15T00:05:00Z", 390.09),
        ]
    );
    assert_eq!(
        said.notes,
        [PART_NOTE, "WattTime warns: This is just an example"]
    );
}

/// Old forecasts are never asked for; the rows of one are a level deeper and not taken for points.
#[test]
fn forecast_historical_200() {
    assert_eq!(
        read(HISTORICAL, "forecast-historical-200", PART),
        Err(Refused::NoData(
            "1 of 1 values have no time that can be read".to_owned()
        ))
    );
}

#[test]
fn signal_index_200() {
    assert_eq!(
        refused("signal-index-200"),
        Refused::NoData("the unit `percentile` is not known".to_owned())
    );
}

#[test]
fn error_400_invalid_params() {
    assert_eq!(
        refused("error-400-invalid-params"),
        Refused::Ours("400: You've provided invalid parameters in your query".to_owned())
    );
}

#[test]
fn error_401_token_expired() {
    let refused = refused("error-401-token-expired");
    assert_eq!(refused, Refused::TokenOver);
    assert_eq!(refused.class(), Class::LogIn);
}

#[test]
fn error_403_invalid_scope() {
    let refused = read(FORECAST, "error-403-invalid-scope", "PJM_NJ").unwrap_err();
    assert_eq!(
        refused,
        Refused::NotCovered("forecast of PJM_NJ".to_owned())
    );
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_403_cdn() {
    let refused = refused("error-403-cdn");
    assert!(matches!(refused, Refused::Ours(_)), "{refused:?}");
    assert!(
        refused
            .to_string()
            .contains("the edge before api.watttime.org")
    );
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_422_validation() {
    assert_eq!(
        refused("error-422-validation"),
        Refused::Ours("422: field required".to_owned())
    );
}

#[test]
fn error_429() {
    let after = Some(Duration::from_secs(30));
    assert_eq!(refused("error-429"), Refused::Throttled { after });
}

#[test]
fn error_500() {
    assert_eq!(refused("error-500").class(), Class::Retry);
}

#[test]
fn only_known_units_of_the_signal_asked_for_are_converted() {
    for meta in [
        r#""signal_type": "co2_moer", "units": "lbs_co2_per_kwh""#,
        r#""signal_type": "co2_aoer", "units": "lbs_co2_per_mwh""#,
        r#""signal_type": "health_damage", "units": "usd_per_mwh""#,
    ] {
        let body = one(r#""value": 870"#, meta);
        assert!(matches!(
            read_of(FORECAST, "BPA", &answer(200, &body)),
            Err(Refused::NoData(_))
        ));
    }
    let body = one(r#""value": 1000"#, META);
    let issue = read_of(FORECAST, "BPA", &answer(200, &body)).unwrap().issue;
    let point = issue.unwrap().series.points()[0];
    assert!((point.intensity.0 - 453.592_37).abs() < 1e-9);
}

#[test]
fn a_negative_rate_is_a_hole() {
    let body = one(r#""value": -3"#, META);
    assert_eq!(
        read_of(HISTORICAL, "BPA", &answer(200, &body)),
        Err(Refused::NoData(
            "1 of 1 values are no intensities and stay holes".to_owned()
        ))
    );
}

#[test]
fn an_answer_for_another_region_is_refused() {
    let body = one(r#""value": 870"#, META);
    assert_eq!(
        read_of(FORECAST, "HQ", &answer(200, &body)),
        Err(Refused::OtherPlace("it answered for BPA".to_owned()))
    );
}

#[test]
fn what_is_wrong_with_a_request_is_read_under_either_name() {
    for body in [r#"{"message": "bad region"}"#, r#"{"msg": "bad region"}"#] {
        assert_eq!(
            read_of(FORECAST, "BPA", &answer(400, body)),
            Err(Refused::Ours("400: bad region".to_owned()))
        );
    }
}

#[test]
fn a_login_without_a_token_is_no_answer_and_nothing_of_it_is_quoted() {
    for body in [
        "{}",
        r#"{"token": ""}"#,
        "<html>",
        "",
        r#""secret""#,
        r#"{"token": "secret""#,
    ] {
        assert_eq!(
            WattTime.token(&answer(200, body)).unwrap_err(),
            Refused::NotAnAnswer("a login without a token".to_owned())
        );
    }
    assert!(matches!(
        WattTime.token(&answer(403, "<html>")),
        Err(Refused::Ours(_))
    ));
}

#[test]
fn a_day_back_and_three_days_ahead_are_asked_for_in_whole_steps() {
    let query = |ask: &Ask| {
        let pairs: Vec<String> = (ask.query.iter())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{}?{}", ask.path, pairs.join("&"))
    };
    let asks = WattTime.asks("BPA", at(NOW));
    assert_eq!(
        query(&asks[0]),
        "/v3/historical?region=BPA&signal_type=co2_moer&start=2026-11-19T09:30:00Z\
         &end=2026-11-20T09:30:00Z&include_imputed_marker=true"
    );
    assert_eq!(
        query(&asks[1]),
        "/v3/forecast?region=BPA&signal_type=co2_moer&horizon_hours=72"
    );
    assert!(asks.iter().all(|ask| ask.credential == Credential::Token));
    assert_eq!(Login::ask(&WattTime).credential, Credential::Basic);
}

#[test]
fn zones_of_several_regions_are_none() {
    for (zone, region) in [
        ("US-CAL-CISO", "CAISO_NORTH"),
        ("US-NW-BPAT", "BPA"),
        ("CA-QC", "HQ"),
        ("GB", "UK"),
        ("DE", "DE"),
    ] {
        assert_eq!(WattTime.place(zone).as_deref(), Some(region));
    }
    for zone in ["US-TEX-ERCO", "US-MIDA-PJM", "US-NY-NYIS", "US-CA", "CA-ON"] {
        assert_eq!(WattTime.place(zone), None, "{zone}");
    }
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let frames = [
        "{\"data\":…}",
        "{\"meta\":{\"warnings\":…}}",
        "{\"signal_types\":[{\"regions\":…}]}",
        "{\"detail\":…}",
    ];
    assert_bounded(&WattTime, PART, at(NOW), &frames);
}

proptest! {
    #[test]
    fn whatever_comes_is_usable_or_refused(body in samples().damaged()) {
        for place in [PART, "IND_NORTH"] {
            assert_withstood(&WattTime, place, at(NOW), &body);
        }
        let answer = Answer { body: &body, ..answer(200, "") };
        let _ = WattTime.read_plan("PJM_NJ", &answer);
        let _ = WattTime.token(&answer);
    }
}
