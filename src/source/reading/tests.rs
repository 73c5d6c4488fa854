use proptest::prelude::*;

use super::*;

const HALF_HOUR: Duration = Duration::from_secs(1800);

fn answer(status: u16, body: &[u8]) -> Answer<'_> {
    Answer {
        status,
        content_type: None,
        retry_after: None,
        body,
        at: "2026-11-20T09:31:00Z".parse().unwrap(),
    }
}

#[derive(Debug, Deserialize)]
struct Listed {
    rows: Bounded<Told>,
}

#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default, deserialize_with = "time")]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "utc_time")]
    utc: Option<Timestamp>,
    #[serde(default)]
    value: Raw,
}

fn read(body: &str) -> Result<Listed, Refused> {
    json(&answer(200, body.as_bytes()))
}

fn why(body: &str) -> String {
    match read(body).unwrap_err() {
        Refused::NotAnAnswer(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_json_of_that_shape_is_no_answer_and_says_why() {
    assert_eq!(why(""), "an empty body");
    assert_eq!(why(" \r\n"), "an empty body");
    assert_eq!(why("<html><h1>hello"), "HTML or XML instead of JSON");
    assert_eq!(
        why(r#"{"rows": [{"value": 1}"#),
        "JSON that is cut off after 22 bytes"
    );
    assert_eq!(
        why("{}"),
        "JSON of another shape: missing field `rows` at line 1 column 2"
    );
    assert_eq!(
        why("try\tagain\u{1b}[2J later"),
        "no JSON: try again [2J later"
    );
}

#[test]
fn no_more_of_a_body_is_quoted_than_fits_in_a_line_and_nothing_that_moves_a_cursor() {
    let long = format!("\u{202e}\u{1b}[31m{}", "é".repeat(100_000));
    for body in [
        long.clone(),
        format!("{{\"rows\": \"{long}\"}}"),
        format!("{{\"error\": {{\"message\": \"{long}\"}}}}"),
    ] {
        let quoted = [why(&body), complaint(body.as_bytes())];
        for quoted in quoted {
            assert!(quoted.chars().count() < 130, "{quoted}");
            assert!(!quoted.contains(['\u{1b}', '\u{202e}']), "{quoted}");
        }
    }
}

#[test]
fn the_message_in_an_error_is_found_under_its_usual_names() {
    for (body, said) in [
        (r#"{"message": "a b"}"#, "a b"),
        (r#"{"error": "a b"}"#, "a b"),
        (r#"{"error": {"code": 4, "message": "a b"}}"#, "a b"),
        (r#"{"detail": "a b", "title": "no"}"#, "a b"),
        (r#"{"detail": [{"msg": "x"}], "title": "a b"}"#, "a b"),
        ("a\nb", "a b"),
        ("", "no reason given"),
        ("<html>", "a page of HTML or XML"),
    ] {
        assert_eq!(complaint(body.as_bytes()), said, "{body}");
    }
}

#[test]
fn a_value_never_makes_a_row_unreadable() {
    let values = |body: &str| -> Vec<Raw> {
        let rows = read(&format!("{{\"rows\": [{body}]}}")).unwrap().rows.0;
        rows.iter().map(|row| row.value).collect()
    };
    let read = values(
        r#"{}, {"value": null}, {"value": 0}, {"value": 1.5}, {"value": "2.5"}, {"value": "much"},
           {"value": true}, {"value": [1, [2]]}, {"value": {"a": {"b": 1}}}, {"value": "NaN"}"#,
    );
    assert_eq!(
        read[..9],
        [
            Raw::Missing,
            Raw::Missing,
            Raw::Number(0.0),
            Raw::Number(1.5),
            Raw::Quoted(2.5),
            Raw::Unreadable,
            Raw::Unreadable,
            Raw::Unreadable,
            Raw::Unreadable,
        ]
    );
    assert_eq!(read[9].intensity(), None);
}

#[test]
fn zero_is_an_intensity_and_what_cannot_be_one_is_none() {
    assert_eq!(Raw::Number(0.0).intensity(), Some(GramsPerKwh(0.0)));
    assert_eq!(Raw::Number(100_000.0).intensity(), Some(Series::GREATEST));
    assert_eq!(
        Raw::Number(1000.0).times(0.453_592_37).intensity(),
        Some(GramsPerKwh(453.592_37))
    );
    for number in [-0.1, 100_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Raw::Number(number).intensity(), None, "{number}");
    }
}

#[test]
fn times_are_read_in_the_forms_that_providers_send() {
    let times = |text: &str| {
        let body = format!("{{\"rows\": [{{\"from\": {text}, \"utc\": {text}}}]}}");
        let row = read(&body).unwrap().rows.0.remove(0);
        [row.from, row.utc].map(|time| time.map(|time| time.to_string()))
    };
    let half_past = Some("2026-11-20T09:30:00Z".to_owned());
    for text in [
        r#""2026-11-20T09:30Z""#,
        r#""2026-11-20T09:30:00Z""#,
        r#""2026-11-20T10:30:00+01:00""#,
        r#""2026-11-20T09:30:00.0000000+00:00""#,
    ] {
        assert_eq!(
            times(text),
            [half_past.clone(), half_past.clone()],
            "{text}"
        );
    }
    assert_eq!(times(r#""2026-11-20T09:30:00""#), [None, half_past]);
    for text in [
        "null",
        "17",
        "\"soon\"",
        "[]",
        "\"\"",
        "\"+999999-01-01T00:00Z\"",
    ] {
        assert_eq!(times(text), [None, None], "{text}");
    }
}

#[test]
fn a_list_without_an_end_is_refused_before_it_fills_the_memory() {
    let rows = |n: usize| format!("{{\"rows\": [{}{{}}]}}", "{},".repeat(n - 1));
    assert_eq!(read(&rows(MOST_ROWS)).unwrap().rows.0.len(), MOST_ROWS);
    assert!(why(&rows(MOST_ROWS + 1)).contains("more than 20000 rows"));
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 / 3600 * 3600 + minute * 60).unwrap()
}

/// From, to and intensity of each point in minutes, and the notes.
fn line(
    stated: Option<Duration>,
    rows: &[(i64, Option<i64>, f64)],
) -> (Vec<(i64, i64, f64)>, Vec<String>) {
    let mut timeline = Timeline::new(stated, HALF_HOUR);
    for (from, to, value) in rows {
        timeline.add(Some(at(*from)), to.map(at), Raw::Number(*value));
    }
    let mut notes = Vec::new();
    let series = timeline.finish(Kind::Live, &mut notes);
    let minutes = |time: Timestamp| time.duration_since(at(0)).as_mins();
    let points = (series.points().iter())
        .map(|point| {
            let Span { start, end } = point.span;
            (minutes(start), minutes(end), point.intensity.0)
        })
        .collect();
    (points, notes)
}

#[test]
fn a_missing_row_does_not_stretch_its_neighbour() {
    let rows = [
        (0, None, 1.0),
        (5, None, 2.0),
        (15, None, 3.0),
        (20, None, 4.0),
    ];
    let (points, notes) = line(None, &rows);
    assert_eq!(
        points,
        [(0, 5, 1.0), (5, 10, 2.0), (15, 20, 3.0), (20, 25, 4.0)]
    );
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn the_step_is_stated_or_told_by_the_ends_or_by_the_distances_or_the_usual_one() {
    let fifteen = Some(Duration::from_secs(900));
    assert_eq!(line(fifteen, &[(0, None, 1.0)]).0, [(0, 15, 1.0)]);
    assert_eq!(
        line(None, &[(0, Some(10), 1.0), (60, None, 1.0)]).0,
        [(0, 10, 1.0), (60, 70, 1.0)]
    );
    assert_eq!(
        line(None, &[(0, None, 1.0), (60, None, 1.0)]).0,
        [(0, 60, 1.0), (60, 120, 1.0)]
    );
    assert_eq!(line(None, &[(0, None, 1.0)]).0, [(0, 30, 1.0)]);
}

#[test]
fn an_end_that_cannot_be_one_is_not_believed() {
    let rows = [
        (0, Some(0), 1.0),
        (5, Some(-60), 2.0),
        (10, Some(999_999), 3.0),
    ];
    assert_eq!(
        line(None, &rows).0,
        [(0, 5, 1.0), (5, 10, 2.0), (10, 15, 3.0)]
    );
    let stated = Some(Duration::MAX);
    assert_eq!(line(stated, &[(0, None, 1.0)]).0, [(0, 30, 1.0)]);
}

#[test]
fn rows_are_sorted_and_the_later_of_two_for_one_time_counts() {
    let rows = [
        (30, Some(60), 2.0),
        (0, Some(30), 1.0),
        (30, Some(60), 2.0),
        (60, Some(90), 3.0),
        (60, Some(90), 4.0),
    ];
    let (points, notes) = line(None, &rows);
    assert_eq!(points, [(0, 30, 1.0), (30, 60, 2.0), (60, 90, 4.0)]);
    assert_eq!(
        notes,
        ["1 of 5 values were given twice; the later ones count"]
    );
}

#[test]
fn what_is_no_intensity_stays_a_hole_and_is_counted_once() {
    let mut timeline = Timeline::new(None, HALF_HOUR);
    let values = [
        Raw::Number(0.0),
        Raw::Missing,
        Raw::Number(-1.0),
        Raw::Quoted(7.0),
        Raw::Unreadable,
    ];
    for (value, minute) in values.into_iter().zip([0, 30, 60, 90, 120]) {
        timeline.add(Some(at(minute)), None, value);
    }
    timeline.add(None, None, Raw::Number(1.0));
    let mut notes = Vec::new();
    let series = timeline.finish(Kind::Estimated, &mut notes);
    let found: Vec<f64> = series.points().iter().map(|it| it.intensity.0).collect();
    assert_eq!(found, [0.0, 7.0]);
    assert!(series.points().iter().all(|it| it.kind == Kind::Estimated));
    assert_eq!(series.at(at(45)), None);
    assert_eq!(
        notes,
        [
            "1 of 6 values have no time that can be read",
            "3 of 6 values are no intensities and stay holes",
            "1 of 6 values came as text and were read as numbers",
        ]
    );
}

#[test]
fn a_status_says_whether_to_read_on_and_whether_to_ask_again() {
    use crate::caller::wire::Class;
    let minute = Some(Duration::from_secs(60));
    let class = |status| {
        let refused = success(&answer(status, b"{}"), minute).err();
        refused.map(|refused| refused.class())
    };
    assert_eq!(class(200), None);
    for status in [201, 206] {
        assert_eq!(class(status), Some(Class::RetryOnce), "{status}");
    }
    for status in [
        100, 204, 304, 400, 401, 403, 404, 410, 418, 422, 501, 505, 600,
    ] {
        assert_eq!(class(status), Some(Class::Never), "{status}");
    }
    for status in [500, 502, 503, 504, 522] {
        assert_eq!(class(status), Some(Class::Retry), "{status}");
    }
    assert_eq!(class(429), Some(Class::Wait(minute)));
    let told = Answer {
        retry_after: Some("7"),
        ..answer(429, b"")
    };
    assert_eq!(
        success(&told, minute).unwrap_err().class(),
        Class::Wait(Some(Duration::from_secs(7)))
    );
    let gone = success(&answer(410, b""), None).unwrap_err();
    assert!(gone.to_string().contains("choose another source"));
}

#[test]
fn an_answer_without_a_point_is_no_data_and_says_what_became_of_it() {
    let none = Series::default();
    let notes = vec!["3 of 3 values are no intensities and stay holes".to_owned()];
    let refused = said(&none, none.clone(), at(0), notes.clone());
    assert_eq!(refused, Err(Refused::NoData(notes[0].clone())));
    let refused = said(&none, none.clone(), at(0), Vec::new()).unwrap_err();
    assert_eq!(refused.to_string(), "nothing is known of that time");
}

fn any_raw() -> impl Strategy<Value = Raw> {
    prop_oneof![
        any::<f64>().prop_map(Raw::Number),
        (0.0..900.0).prop_map(Raw::Quoted),
        Just(Raw::Missing),
        Just(Raw::Unreadable),
    ]
}

/// Any time there is.
fn any_time() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of(prop_oneof![
        (0..600i64).prop_map(at),
        (Timestamp::MIN.as_second()..=Timestamp::MAX.as_second())
            .prop_map(|second| Timestamp::from_second(second).unwrap()),
    ])
}

proptest! {
    #[test]
    fn whatever_the_rows_points_are_sorted_disjoint_and_no_longer_than_a_day(
        rows in proptest::collection::vec((any_time(), any_time(), any_raw()), 0..40),
    ) {
        let mut timeline = Timeline::new(None, HALF_HOUR);
        for (start, end, value) in rows {
            timeline.add(start, end, value);
        }
        let series = timeline.finish(Kind::Live, &mut Vec::new());
        for pair in series.points().windows(2) {
            prop_assert!(pair[0].span.end <= pair[1].span.start);
        }
        for point in series.points() {
            prop_assert!((0.0..=Series::GREATEST.0).contains(&point.intensity.0));
            prop_assert!(point.span.length() <= LONGEST_STEP);
        }
    }
}
