use proptest::prelude::*;

use super::*;
use crate::caller::wire::Class;
use crate::forecast::{Issue, Point};
use crate::source::hostile::assert_bounded;
use crate::source::samples::{Samples, assert_usable, assert_withstood};

const NOW: &str = "2026-11-20T09:31:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn samples() -> Samples {
    Samples::of("casdk")
}

/// What the ask for `what` reads in an answer.
fn read_of(what: &str, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
    let asks = CarbonAwareSdk.asks(place, at(NOW));
    let ask = asks.iter().find(|ask| ask.what == what).unwrap();
    let said = CarbonAwareSdk.read(ask, place, answer);
    said.as_ref().map(assert_usable).unwrap_or_default();
    said
}

fn read(what: &str, case: &str, place: &str) -> Result<Said, Refused> {
    read_of(what, place, &samples().case(case).answer(NOW))
}

/// What is said with success in a body.
fn said_of(what: &str, body: &str) -> Result<Said, Refused> {
    let answer = Answer {
        status: 200,
        content_type: None,
        retry_after: None,
        body: body.as_bytes(),
        at: at(NOW),
    };
    read_of(what, "eastus", &answer)
}

fn observed(case: &str) -> Vec<Told> {
    let said = read(EMISSIONS, case, "eastus").unwrap();
    assert!(said.issue.is_none() && said.notes.is_empty(), "{said:?}");
    said.observations.iter().map(told).collect()
}

fn issued(case: &str) -> Issue {
    let said = read(FORECAST, case, "northeurope").unwrap();
    assert!(said.observations.is_empty() && said.notes.is_empty());
    said.issue.unwrap()
}

fn refused(case: &str) -> Refused {
    read(FORECAST, case, "eastus").unwrap_err()
}

/// Start, seconds and value.
type Told = (String, u64, f64);

fn told(point: &Point) -> Told {
    let seconds = point.span.length().as_secs();
    (point.span.start.to_string(), seconds, point.intensity.0)
}

#[test]
fn each_sample_has_a_test() {
    samples().assert_each_has_a_test_in(include_str!("tests.rs"));
}

/// Seven digits of a second and no duration.
#[test]
fn bylocations_best() {
    let start = "2022-05-17T20:45:11.5092741Z".to_owned();
    assert_eq!(observed("bylocations-best"), [(start, 300, 70.0)]);
}

#[test]
fn bylocation() {
    assert_eq!(
        observed("bylocation"),
        [
            ("2026-11-20T08:00:00Z".to_owned(), 3600, 391.2),
            ("2026-11-20T09:00:00Z".to_owned(), 3600, 377.9),
        ]
    );
}

#[test]
fn forecasts_current() {
    let issue = issued("forecasts-current");
    assert_eq!(issue.issued_at, at("2026-11-20T08:55:00Z"));
    let points: Vec<_> = issue.series.points().iter().map(told).collect();
    assert_eq!(points.len(), 24);
    assert_eq!(points[0], ("2026-11-20T09:00:00Z".to_owned(), 300, 420.0));
}

/// What is best by the host's reckoning has another name and another shape there.
#[test]
fn forecasts_current_as_in_docs() {
    let issue = issued("forecasts-current-as-in-docs");
    assert_eq!(issue.issued_at, at("2022-07-19T13:35:00Z"));
    let points: Vec<_> = issue.series.points().iter().map(told).collect();
    assert_eq!(
        points,
        [
            ("2022-07-19T14:00:00Z".to_owned(), 600, 532.022_931_46),
            (
                "2022-07-20T04:25:00Z".to_owned(),
                600,
                535.731_874_100_166_7
            ),
        ]
    );
}

/// A mean over a time is never asked for and is no list of rows.
#[test]
fn average_carbon_intensity() {
    assert!(matches!(
        read(EMISSIONS, "average-carbon-intensity", "eastus"),
        Err(Refused::NotAnAnswer(_))
    ));
}

/// Places are named by the user and not asked for.
#[test]
fn locations() {
    assert!(matches!(refused("locations"), Refused::NotAnAnswer(_)));
}

#[test]
fn empty_204() {
    assert!(matches!(refused("empty-204"), Refused::NoData(_)));
}

#[test]
fn error_400_problem_details() {
    assert_eq!(
        refused("error-400-problem-details"),
        Refused::Ours("400: The location field is required.".to_owned())
    );
}

#[test]
fn error_400_argument() {
    assert_eq!(
        refused("error-400-argument"),
        Refused::OtherPlace("Unknown Location: 'mars'".to_owned())
    );
}

#[test]
fn error_501() {
    let refused = refused("error-501");
    assert_eq!(
        refused,
        Refused::NoData("its source has no forecast".to_owned())
    );
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn error_500() {
    assert_eq!(refused("error-500").class(), Class::Retry);
}

#[test]
fn error_401_forwarded() {
    let refused = refused("error-401-forwarded");
    assert!(
        matches!(&refused, Refused::Ours(why) if why.contains("no key of ours")),
        "{refused:?}"
    );
    assert_eq!(refused.class(), Class::Never);
}

#[test]
fn minus_one_is_a_hole() {
    let said = said_of(
        EMISSIONS,
        r#"[{"time": "2026-11-20T08:00:00Z", "rating": -1, "duration": "01:00:00"},
            {"time": "2026-11-20T09:00:00Z", "rating": 0, "duration": "01:00:00"}]"#,
    )
    .unwrap();
    let points: Vec<_> = said.observations.iter().map(told).collect();
    assert_eq!(points, [("2026-11-20T09:00:00Z".to_owned(), 3600, 0.0)]);
    assert_eq!(
        said.notes,
        ["1 of 2 values are no intensities and stay holes"]
    );
}

#[test]
fn rolling_means_are_cut_where_the_next_begins_and_that_is_said() {
    let rows: Vec<String> = (["00", "05", "10"].iter())
        .map(|minute| {
            format!(r#"{{"timestamp": "2026-11-20T09:{minute}:00Z", "duration": 10, "value": 7}}"#)
        })
        .collect();
    let body = format!(r#"[{{"forecastData": [{}]}}]"#, rows.join(","));
    let said = said_of(FORECAST, &body).unwrap();
    let issue = said.issue.unwrap();
    let lengths = issue.series.points().iter().map(|point| told(point).1);
    assert_eq!(lengths.collect::<Vec<_>>(), [300, 300, 600]);
    assert!(said.notes[0].contains("overlap"), "{:?}", said.notes);
}

#[test]
fn of_several_forecasts_that_of_the_place_is_taken() {
    let row = |value| {
        format!(r#"[{{"timestamp": "2026-11-20T09:00:00Z", "duration": 5, "value": {value}}}]"#)
    };
    let of = |place: &str, value| {
        format!(
            r#"{{"location": "{place}", "forecastData": {}}}"#,
            row(value)
        )
    };
    let body = format!("[{}, {}]", of("westus", 1), of("EastUS", 2));
    let issue = said_of(FORECAST, &body).unwrap().issue.unwrap();
    assert_eq!(issue.series.points()[0].intensity.0, 2.0);
    assert_eq!(
        said_of(FORECAST, &format!("[{}]", of("westus", 1))),
        Err(Refused::OtherPlace("it answered for westus".to_owned()))
    );
    assert_eq!(
        said_of(FORECAST, "[]"),
        Err(Refused::NoData("an empty list".to_owned()))
    );
}

#[test]
fn durations_are_minutes_or_a_span_of_days_and_a_clock() {
    let json = |json: &str| length(&mut serde_json::Deserializer::from_str(json)).unwrap();
    let text = |text: &str| json(&format!("\"{text}\""));
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(json("5"), seconds(300));
    for none in ["-5", "1e300", "null", "[5]", "{}"] {
        assert_eq!(json(none), None, "{none}");
    }
    assert_eq!(text("01:00:00"), seconds(3600));
    assert_eq!(text("00:05:01"), seconds(301));
    assert_eq!(text("1.02:00:00"), seconds(26 * 3600));
    for none in ["", "1:00", "-01:00:00", "PT1H", "a.01:00:00"] {
        assert_eq!(text(none), None, "{none}");
    }
    assert!(text("4294967295.4294967295:0:0").is_some());
}

#[test]
fn the_parameter_is_named_as_the_code_has_it_and_no_window_is_asked_for() {
    let asks = CarbonAwareSdk.asks("eastus", at(NOW));
    assert_eq!(
        asks[0].query,
        [
            ("location", "eastus".to_owned()),
            ("time", "2026-11-19T09:30:00Z".to_owned()),
            ("toTime", "2026-11-20T09:30:00Z".to_owned()),
        ]
    );
    assert_eq!(asks[1].query, [("location", "eastus".to_owned())]);
}

#[test]
fn what_is_made_to_cost_much_costs_little() {
    let frames = [
        "[{\"forecastData\":…}]",
        "[{\"duration\":…}]",
        "{\"errors\":{\"a\":…}}",
        "{\"errors\":…}",
    ];
    assert_bounded(&CarbonAwareSdk, "eastus", at(NOW), &frames);
}

proptest! {
    #[test]
    fn whatever_comes_is_usable_or_refused(body in samples().damaged()) {
        for place in ["eastus", "northeurope"] {
            assert_withstood(&CarbonAwareSdk, place, at(NOW), &body);
        }
    }
}
