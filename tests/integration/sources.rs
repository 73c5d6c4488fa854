//! Sources: files good and bad, the built-in rung, replays.

use std::path::{Path, PathBuf};

use catrain::caller::block_on;
use catrain::command::sources::Settled;
use catrain::config::Config;
use catrain::forecast::ahead::ahead;
use catrain::forecast::learn::Lessons;
use catrain::forecast::{Basis, Kind};
use catrain::source::file::{self, LARGEST};
use catrain::source::{Gathered, Name, SourceError, builtin, replay};
use jiff::Timestamp;

const TRACE: &str = "datetime,carbon_intensity_gco2_per_kwh\n";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/DE_2021-11.csv")
}

/// What named sources know where nobody can be asked.
fn gather(names: &[Name], zone: &str, now: Timestamp) -> Result<Gathered, SourceError> {
    let settled = Settled::of(Config::default(), None, None, true);
    block_on(settled.chain.gather(names, zone, now)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Writes a file and reads it: values with their starts and lengths in minutes, and notes.
fn read(content: impl AsRef<[u8]>) -> Result<(Vec<String>, Vec<String>), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, content).unwrap();
    let shown = path.display().to_string();
    match file::read(&path) {
        Ok(recorded) => Ok((
            (recorded.observations.points().iter())
                .map(|point| {
                    let minutes = point.span.length().as_secs() / 60;
                    format!("{} {minutes} m {}", point.span.start, point.intensity.0)
                })
                .collect(),
            recorded.notes,
        )),
        Err(error) => Err(format!("{error}; {}", error.hint()).replace(&shown, "t.csv")),
    }
}

fn trace(rows: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
    read(format!("{TRACE}{}\n", rows.join("\n")))
}

#[test]
fn a_trace_is_read_with_its_step() {
    let (points, notes) = trace(&[
        "2026-11-24T00:00:00Z,400",
        "2026-11-24T00:30:00Z,300.5",
        "2026-11-24T01:00:00Z,0",
    ])
    .unwrap();
    assert_eq!(
        points,
        [
            "2026-11-24T00:00:00Z 30 m 400",
            "2026-11-24T00:30:00Z 30 m 300.5",
            "2026-11-24T01:00:00Z 30 m 0",
        ]
    );
    assert_eq!(notes, [""; 0]);
}

#[test]
fn windows_line_ends_byte_order_marks_comments_and_offsets_are_read() {
    let content = "\u{feff}# a comment\r\nDateTime, carbon_intensity_gco2_per_kwh ,note\r\n\
                   2026-11-24T01:00:00+01:00,400,x\r\n2026-11-24T01:00:00Z, 300 ,y\r\n";
    let (points, _) = read(content).unwrap();
    assert_eq!(
        points,
        [
            "2026-11-24T00:00:00Z 60 m 400",
            "2026-11-24T01:00:00Z 60 m 300"
        ]
    );
    let bom = "\u{feff}datetime,carbon_intensity_gco2_per_kwh\n2026-11-24T00:00:00Z,400\n";
    assert_eq!(read(bom).unwrap().0.len(), 1);
}

#[test]
fn holes_stay_holes_and_are_stated() {
    let (points, notes) = trace(&[
        "2026-11-24T00:00:00Z,400",
        "2026-11-24T01:00:00Z,",
        "2026-11-24T02:00:00Z,300",
        "2026-11-24T03:00:00Z,300",
        "2026-11-24T04:00:00Z,300",
        "2026-11-24T08:00:00Z,300",
    ])
    .unwrap();
    assert_eq!(points[0], "2026-11-24T00:00:00Z 60 m 400");
    assert_eq!(points[1], "2026-11-24T02:00:00Z 60 m 300");
    assert_eq!(points[3], "2026-11-24T04:00:00Z 60 m 300");
    assert_eq!(
        notes,
        [
            "1 row without a value: kept as holes",
            "2 stretches without rows, 4 h in all: kept as holes"
        ]
    );
}

#[test]
fn rows_out_of_order_are_sorted_and_repeated_ones_counted_once() {
    let (points, notes) = trace(&[
        "2026-11-24T01:00:00Z,300",
        "2026-11-24T00:00:00Z,400",
        "2026-11-24T01:00:00Z,300",
        "2026-11-24T02:00:00Z,200",
    ])
    .unwrap();
    assert_eq!(points.len(), 3);
    assert_eq!(
        notes,
        [
            "rows were not in order of time (first at line 3): sorted",
            "1 row stood twice: counted once"
        ]
    );
}

#[test]
fn a_stretch_of_other_steps_counts_until_its_next_row_and_is_stated() {
    let (points, notes) = trace(&[
        "2026-11-24T00:00:00Z,1",
        "2026-11-24T01:00:00Z,2",
        "2026-11-24T02:00:00Z,3",
        "2026-11-24T02:15:00Z,4",
        "2026-11-24T02:30:00Z,5",
        "2026-11-24T02:45:00Z,6",
        "2026-11-24T03:00:00Z,7",
    ])
    .unwrap();
    assert_eq!(points[1], "2026-11-24T01:00:00Z 60 m 2");
    assert_eq!(points[3], "2026-11-24T02:15:00Z 15 m 4");
    assert_eq!(
        notes,
        ["steps differ (first at line 2): each value counts until the next row"]
    );
}

#[test]
fn bad_files_say_which_line_and_what_to_do() {
    let row = |row: &str| trace(&["2026-11-24T00:00:00Z,400", row]).unwrap_err();
    let value = "intensities are g/kWh from 0 up; leave the field empty where one is missing";
    let cases = [
        (row("2026-11-24T01:00:00Z,abc"), format!("t.csv`, line 3: `abc` is not a number; {value}")),
        (row("2026-11-24T01:00:00Z,-3"), format!("t.csv`, line 3: `-3` is negative; {value}")),
        (row("2026-11-24T01:00:00Z,NaN"), format!("t.csv`, line 3: `NaN` is not a finite number; {value}")),
        (row("2026-11-24T01:00:00Z,inf"), format!("t.csv`, line 3: `inf` is not a finite number; {value}")),
        (row("2026-11-24T01:00:00Z,1e9"), format!("t.csv`, line 3: `1e9` is more than any plant emits; {value}")),
        (
            row("2026-11-24T01:00:00,300"),
            "t.csv`, line 3: the time `2026-11-24T01:00:00` has no zone; add `Z` for UTC, or an offset such as `+01:00`".to_owned(),
        ),
        (
            row("yesterday,300"),
            "t.csv`, line 3: `yesterday` is not a time; times are RFC 3339: 2026-11-25T09:00:00Z".to_owned(),
        ),
        (
            row("2026-11-24T01:00:00Z"),
            "t.csv`, line 3: 1 fields where the header has 2; is the file cut off, or a comma too many?".to_owned(),
        ),
        (
            row("2026-11-24T00:00:00Z,401"),
            "t.csv`, line 3: 2026-11-24T00:00:00Z was given at line 2 with another value (400, now 401); remove one of the two".to_owned(),
        ),
        (
            row("2026-12-24T00:00:00Z,401"),
            "t.csv`, line 2: rows are 30 d apart; a step may be a day at most".to_owned(),
        ),
        (
            read([TRACE.as_bytes(), b"2026-11-24T00:00:00Z,\xff\xfe\n"].concat()).unwrap_err(),
            "t.csv`, line 2: this is not UTF-8 text; save it as UTF-8".to_owned(),
        ),
    ];
    for (told, wanted) in cases {
        assert_eq!(told, format!("`{wanted}"));
    }
}

#[test]
fn files_without_data_name_the_forms() {
    let forms = "expected `datetime,carbon_intensity_gco2_per_kwh` or `issued_at,target_time,forecast,actual`";
    let cases = [
        ("", "`t.csv` is empty: not even a header"),
        ("\n\n", "`t.csv` is empty: not even a header"),
        (TRACE, "`t.csv` is empty: a header and no row"),
        (
            "datetime,carbon_intensity_gco2_per_kwh\n2026-11-24T00:00:00Z,\n",
            "`t.csv` is empty: no row has a value",
        ),
        (
            "a,b\n1,2\n",
            "`t.csv`, line 1: the header is neither that of a trace nor of issued forecasts: `a,b`",
        ),
    ];
    for (content, wanted) in cases {
        assert_eq!(read(content).unwrap_err(), format!("{wanted}; {forms}"));
    }
}

#[test]
fn what_is_no_file_is_refused_without_hanging() {
    let dir = tempfile::tempdir().unwrap();
    let told = |path: &Path| {
        let error = file::read(path).unwrap_err();
        error
            .to_string()
            .replace(&dir.path().display().to_string(), "DIR")
    };
    assert_eq!(told(dir.path()), "`DIR` is a directory, not a file");
    assert_eq!(told(&dir.path().join("no")), "cannot read `DIR/no`");
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(told(&pipe), "`DIR/pipe` is a pipe or a device, not a file");
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.csv");
    // Sparse: takes no room.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(LARGEST * 4)
        .unwrap();
    let told = file::read(&path).unwrap_err().to_string();
    assert!(
        told.ends_with("is too large: 1024 MB, at most 256 MB are read"),
        "{told}"
    );
}

#[test]
fn issued_forecasts_are_read_with_what_came() {
    let recorded = file::read(&fixture()).unwrap();
    assert_eq!(recorded.issues.len(), 12);
    assert_eq!(recorded.issues[0].issued_at, at("2021-11-09T00:00:00Z"));
    assert!(
        recorded
            .issues
            .iter()
            .all(|issue| issue.series.points().len() == 96)
    );
    assert_eq!(recorded.observations.points().len(), 15 * 24);
    assert_eq!(recorded.notes, [""; 0]);
    let span = recorded.span().unwrap();
    assert_eq!(span.start, at("2021-11-09T00:00:00Z"));
    assert_eq!(span.end, at("2021-11-24T00:00:00Z"));
}

#[test]
fn an_actual_that_has_not_come_is_not_missing_and_a_revised_one_is_stated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let rows = [
        "issued_at,target_time,forecast,actual",
        "2026-11-24T00:00:00Z,2026-11-24T00:00:00Z,300,310",
        "2026-11-24T00:00:00Z,2026-11-24T01:00:00Z,300,",
        "2026-11-23T00:00:00Z,2026-11-23T23:00:00Z,280,290",
        "2026-11-23T00:00:00Z,2026-11-24T00:00:00Z,280,320",
    ];
    std::fs::write(&path, rows.join("\n")).unwrap();
    let recorded = file::read(&path).unwrap();
    assert_eq!(recorded.issues[0].issued_at, at("2026-11-23T00:00:00Z"));
    let values: Vec<f64> = (recorded.observations.points().iter())
        .map(|point| point.intensity.0)
        .collect();
    assert_eq!(values, [290.0, 320.0]);
    assert_eq!(
        recorded.notes,
        ["1 row gave another `actual` for the same time: the last counts"]
    );
}

#[test]
fn a_file_is_joined_with_the_usual_day_of_its_zone() {
    let now = at("2021-11-16T17:00:00Z");
    let gathered = gather(&[Name::File(fixture())], "DE", now).unwrap();
    assert_eq!(gathered.knowledge.source, "file DE_2021-11.csv");
    assert_eq!(gathered.knowledge.basis, Basis::AVERAGE_LIFECYCLE);
    assert!(gathered.knowledge.profile.is_some());
    assert!(gathered.knowledge.profile_same_accounting);
    // Twenty days after its first value.
    let lessons = Some(Lessons::since(at("2021-11-29T00:00:00Z")));
    assert_eq!(gathered.knowledge.lessons, lessons);
    assert_eq!(
        gathered.notes,
        ["file DE_2021-11.csv is taken to be average, lifecycle"]
    );
    assert_eq!(gathered.tried[0].outcome, "12 forecasts, 360 values");
    assert_eq!(
        ahead(now, &gathered.knowledge, 48).unwrap().kind,
        Kind::Live
    );
}

#[test]
fn an_average_of_another_basis_is_not_joined_to_a_file() {
    let now = at("2021-11-16T17:00:00Z");
    let gathered = gather(&[Name::File(fixture())], "US-TX", now).unwrap();
    assert_eq!(gathered.knowledge.yearly_average, None);
    let note = &gathered.notes[0];
    assert!(
        note.ends_with("is named after DE and used for US-TX"),
        "{note}"
    );
}

#[test]
fn a_file_that_ended_long_ago_says_so_and_leaves_the_usual_day() {
    let now = at("2026-11-24T17:00:00Z");
    let gathered = gather(&[Name::File(fixture())], "DE", now).unwrap();
    let old = &gathered.notes[0];
    assert!(
        old.contains("ends 1826 d 17 h before now; `--replay "),
        "{old}"
    );
    let outlook = ahead(now, &gathered.knowledge, 48).unwrap();
    assert_eq!(outlook.kind, Kind::Profile);
}

#[test]
fn a_broken_file_is_an_error_unless_another_source_was_named() {
    let now = at("2026-11-24T17:00:00Z");
    let broken = Name::File("/no/such.csv".into());
    assert!(gather(std::slice::from_ref(&broken), "DE", now).is_err());
    let gathered = gather(&[broken, Name::BuiltIn], "DE", now).unwrap();
    assert_eq!(gathered.knowledge, builtin::knowledge("DE"));
    assert_eq!(
        gathered.tried[0].outcome,
        "cannot read `/no/such.csv`: No such file or directory (os error 2)"
    );
    assert_eq!(gathered.tried[1].outcome, "usual days of 2020");
}

#[test]
fn without_a_source_the_builtin_data_answers() {
    let now = at("2026-11-24T17:00:00Z");
    let kind = |zone| {
        let gathered = gather(&[], zone, now).unwrap();
        ahead(now, &gathered.knowledge, 48).map(|outlook| outlook.kind)
    };
    assert_eq!(kind("DE"), Some(Kind::Profile));
    assert_eq!(kind("FR"), Some(Kind::RegionalAverage));
    assert_eq!(kind("XX"), None);
}

#[test]
fn names_of_sources_are_read_and_wrong_ones_explained() {
    assert_eq!("built-in".parse(), Ok(Name::BuiltIn));
    assert_eq!("file:a b.csv".parse(), Ok(Name::File("a b.csv".into())));
    let wrong = |text: &str| text.parse::<Name>().unwrap_err();
    assert_eq!(wrong("file:"), "`file:` lacks a path; expected `file:PATH`");
    assert_eq!(
        wrong("a.csv"),
        "unknown source `a.csv`; a file is named `file:a.csv`"
    );
}

#[test]
fn a_replay_begins_where_it_is_told_and_finds_its_zone_in_the_name() {
    let now = at("2026-11-24T17:00:00Z");
    let trace = fixture();
    let day = |time: &str| replay(&format!("{}{time}", trace.display()), None, now).unwrap();
    let first = day("");
    assert_eq!(first.from, at("2021-11-09T00:00:00Z"));
    assert_eq!(
        (first.zone.as_str(), first.trace_name.as_str()),
        ("DE", "DE_2021-11.csv")
    );
    assert!(first.knowledge.profile.is_some());
    assert_eq!(day("@2021-11-16").from, at("2021-11-16T00:00:00Z"));
    assert_eq!(day("@2021-11-16T17:00").from, at("2021-11-16T17:00:00Z"));
    assert_eq!(
        day("@2021-11-16T18:00:00+01:00").from,
        at("2021-11-16T17:00:00Z")
    );
    let other = replay(&trace.display().to_string(), Some("pl"), now).unwrap();
    assert_eq!(other.zone, "PL");
}

#[test]
fn a_replay_of_a_zone_lives_out_its_usual_day() {
    let now = at("2026-11-24T17:00:00Z");
    let day = replay("de@2025-06-01", None, now).unwrap();
    assert_eq!(
        (day.zone.as_str(), day.from),
        ("DE", at("2025-06-01T00:00:00Z"))
    );
    assert_eq!(replay("SE", None, now).unwrap().from, now);
}

#[test]
fn a_replay_that_cannot_be_says_why() {
    let now = at("2026-11-24T17:00:00Z");
    let trace = fixture().display().to_string();
    let told = |spec: &str| replay(spec, None, now).unwrap_err().to_string();
    assert_eq!(
        told(&format!("{trace}@2022-01-01")),
        "`DE_2021-11.csv` has nothing at 2022-01-01T00:00:00Z: it runs from 2021-11-09T00:00:00Z to 2021-11-24T00:00:00Z"
    );
    assert_eq!(
        told(&format!("{trace}@noon")),
        "`noon` is not a time to replay from"
    );
    assert_eq!(
        told("DEE"),
        "`DEE` is neither a file nor a zone with built-in data"
    );
    assert_eq!(told("no/such.csv"), "cannot read `no/such.csv`");
}

#[test]
fn a_trace_named_after_no_zone_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my@trace.csv");
    std::fs::write(&path, format!("{TRACE}2026-11-24T00:00:00Z,400\n")).unwrap();
    let day = replay(
        &path.display().to_string(),
        None,
        at("2026-11-24T17:00:00Z"),
    )
    .unwrap();
    assert_eq!(day.zone, "file");
    assert_eq!(day.from, at("2026-11-24T00:00:00Z"));
}
