//! What is kept whatever happens: to the disk, to the process, and beside other processes.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::forecast::{Kind, Span};
use crate::units::GramsPerKwh;

const HOUR: i64 = 3600;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_782_691_200 + HOUR * hours).unwrap()
}

fn of() -> Of {
    Of {
        source: "neso".to_owned(),
        place: "GB".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
    }
}

fn archive() -> (TempDir, Archive) {
    let base = tempfile::tempdir().unwrap();
    let archive = Archive::new(base.path().join("archive"));
    (base, archive)
}

fn points(hours: std::ops::Range<i64>) -> Vec<Point> {
    hours
        .map(|hour| Point {
            span: Span {
                start: at(hour),
                end: at(hour + 1),
            },
            intensity: GramsPerKwh(100.0 + hour as f64),
            kind: Kind::Live,
        })
        .collect()
}

fn issue(made: i64) -> Issue {
    Issue {
        issued_at: at(made),
        series: Series::new(points(made..made + 48)),
    }
}

/// What an answer at an hour says: a day back and two days ahead.
#[track_caller]
fn hear(archive: &Archive, hour: i64) -> Added {
    let observations = points(hour - 24..hour + 1);
    archive
        .add(&of(), &observations, Some(&issue(hour)), at(hour))
        .unwrap()
        .0
}

fn kept(observations: usize, issue: bool) -> Added {
    Added::Kept {
        observations,
        issue,
    }
}

fn names(archive: &Archive, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(&archive.directory).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|is| is == extension))
        .collect()
}

#[test]
fn what_was_heard_is_read_and_only_what_is_new_is_added() {
    let (_base, archive) = archive();
    assert_eq!(archive.read(&of()), Read::default());
    assert_eq!(hear(&archive, 100), kept(25, true));
    let length = || fs::metadata(archive.path(&of(), "archive")).unwrap().len();
    let before = length();
    assert_eq!(hear(&archive, 100), kept(0, false));
    assert_eq!(length(), before);
    assert_eq!(hear(&archive, 102), kept(2, true));
    let read = archive.read(&of());
    assert_eq!(read.observations.points(), points(76..103));
    assert_eq!(read.issues, [issue(100), issue(102)]);
    assert_eq!(read.notes, [""; 0]);
    let elsewhere = Of {
        place: "FR".to_owned(),
        ..of()
    };
    assert_eq!(archive.read(&elsewhere), Read::default());
}

#[test]
fn files_are_for_their_owner_alone_and_links_are_not_followed() {
    let (base, archive) = archive();
    hear(&archive, 100);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&archive.directory), 0o700);
    let path = archive.path(&of(), "archive");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&names(&archive, "lock")[0]), 0o600);

    let real = base.path().join("real");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    let read = archive.read(&of());
    assert!(read.observations.is_empty());
    assert!(
        read.notes[0].contains(path.to_str().unwrap()),
        "{:?}",
        read.notes
    );
    assert!(archive.add(&of(), &points(0..1), None, at(9)).is_err());
}

#[test]
fn cut_off_at_any_byte_it_goes_on_after_the_last_whole_line() {
    let (_base, archive) = archive();
    hear(&archive, 30);
    hear(&archive, 31);
    let path = archive.path(&of(), "archive");
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let before = archive.read(&of());
        assert_eq!(before.notes, [""; 0], "cut at {cut}");
        hear(&archive, 31);
        let read = archive.read(&of());
        assert_eq!(read.notes, [""; 0], "cut at {cut}");
        assert_eq!(read.observations.points().last(), points(31..32).last());
        assert!(read.issues.contains(&issue(31)), "cut at {cut}");
        assert!(read.observations.points().len() >= before.observations.points().len());
    }
    assert_eq!(names(&archive, "damaged").len(), 0);
}

#[test]
fn a_damaged_file_is_set_aside_and_written_anew_without_the_damage() {
    let (_base, archive) = archive();
    for hour in 100..110 {
        hear(&archive, hour);
    }
    let path = archive.path(&of(), "archive");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let read = archive.read(&of());
    assert!(read.notes[0].contains("a line of"), "{:?}", read.notes);
    let lost = 34 + 10 - read.observations.points().len() - read.issues.len();
    assert_eq!(lost, 1);

    hear(&archive, 110);
    assert_eq!(fs::read(archive.path(&of(), "damaged")).unwrap(), bytes);
    let read = archive.read(&of());
    assert_eq!(read.notes, [""; 0]);
    assert_eq!(read.observations.points(), points(76..111));
}

#[test]
fn another_versions_file_is_left_alone_and_that_is_told() {
    let (_base, archive) = archive();
    hear(&archive, 100);
    let path = archive.path(&of(), "archive");
    let newer = form::line(&serde_json::json!({"schema": "catrain.archive/2"}));
    fs::write(&path, &newer).unwrap();
    assert_eq!(hear(&archive, 100), Added::Anothers);
    assert_eq!(fs::read(&path).unwrap(), newer);
    let read = archive.read(&of());
    assert!(read.observations.is_empty() && read.notes[0].contains("another version"));
}

#[test]
fn while_another_writes_nothing_is_added_and_nobody_waits() {
    let (_base, archive) = archive();
    hear(&archive, 100);
    let lock = archive.directory.join(of().lock_name());
    let held = dirs::try_lock(&lock).unwrap();
    assert_eq!(hear(&archive, 101), Added::Busy);
    assert_eq!(archive.read(&of()).issues, [issue(100)]);
    drop(held);
    assert_eq!(hear(&archive, 101), kept(1, true));
}

#[test]
fn two_that_write_at_once_lose_nothing_that_they_were_told_is_kept() {
    let (_base, archive) = archive();
    std::thread::scope(|scope| {
        for one in 0..2 {
            let archive = &archive;
            scope.spawn(move || {
                for hour in (0..60).map(|index| 2 * index + one) {
                    let observed = points(hour..hour + 1);
                    while archive.add(&of(), &observed, None, at(200)).unwrap().0 == Added::Busy {
                        std::thread::yield_now();
                    }
                    let read = archive.read(&of());
                    assert_eq!(read.notes, [""; 0]);
                    assert!(read.observations.points().contains(&observed[0]));
                }
            });
        }
    });
    assert_eq!(archive.read(&of()).observations.points(), points(0..120));
}

#[test]
fn what_is_too_old_goes_and_the_file_stays_small() {
    let (_base, archive) = archive();
    let path = archive.path(&of(), "archive");
    let mut most = 0;
    for hour in (0..24 * 110).step_by(12) {
        hear(&archive, hour);
        most = most.max(fs::metadata(&path).unwrap().len());
    }
    let read = archive.read(&of());
    let last = 24 * 110 - 12;
    assert_eq!(read.observations.points(), points(last - 24 * 90..last + 1));
    // 180 of 48 hours each, and what may be dead.
    assert!(most < 200_000, "{most}");
    let Found::Ours { held, .. } = form::read(&fs::read(&path).unwrap(), &of()) else {
        panic!("it is ours");
    };
    // What became too old since the last answer may wait for the next.
    assert!(!held.is_overdue(at(last - 12)));
}

#[test]
fn an_answer_too_large_to_keep_is_kept_in_part_the_newest_of_it() {
    let (_base, archive) = archive();
    let minute = |minute: i64| Point {
        span: Span::new(
            at(0) + jiff::SignedDuration::from_mins(minute),
            Duration::from_secs(60),
        ),
        intensity: GramsPerKwh(12_345.678),
        // Each in a line of its own.
        kind: [Kind::Live, Kind::Estimated][minute as usize % 2],
    };
    let much: Vec<Point> = (0..90 * 24 * 60).map(minute).collect();
    archive.add(&of(), &much, None, at(90 * 24)).unwrap();
    let path = archive.path(&of(), "archive");
    assert!(fs::metadata(&path).unwrap().len() <= LARGEST / 2);
    let read = archive.read(&of());
    assert_eq!(read.notes, [""; 0]);
    assert_eq!(read.observations.points().last(), much.last());
    assert!(read.observations.points().len() > 10_000);
}

#[test]
fn of_too_many_files_the_longest_unused_go_with_their_lessons() {
    let (_base, archive) = archive();
    hear(&archive, 100);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let name = |number: usize, extension: &str| {
        let path = archive
            .directory
            .join(format!("{number:04}"))
            .with_extension(extension);
        fs::write(&path, "x").unwrap();
        let changed = old + Duration::from_secs(number as u64);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(changed)
            .unwrap();
    };
    for number in 0..MOST_FILES + 10 {
        for extension in ["archive", "lessons", "damaged"] {
            name(number, extension);
        }
    }
    let half = archive.directory.join(".new-1");
    fs::write(&half, "x").unwrap();
    let changed = Timestamp::try_from(fs::metadata(&half).unwrap().modified().unwrap()).unwrap();
    let later = changed + jiff::SignedDuration::from_hours(2);
    archive.make_room(later).unwrap();
    assert_eq!(names(&archive, "archive").len(), MOST_FILES);
    assert!(archive.path(&of(), "archive").exists());
    assert!(!archive.directory.join("0010.archive").exists());
    assert!(!archive.directory.join("0010.lessons").exists());
    assert!(archive.directory.join("0011.archive").exists());
    assert!(archive.directory.join("0011.lessons").exists());
    assert_eq!(names(&archive, "damaged").len(), MOST_DAMAGED);
    assert!(!half.exists());
}

#[test]
fn where_nothing_can_be_written_the_error_names_the_place() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "x").unwrap();
    let archive = Archive::new(file.join("archive"));
    let error = archive.add(&of(), &points(0..1), None, at(9)).unwrap_err();
    assert!(error.to_string().contains("file/archive"), "{error}");
}

#[test]
fn lessons_are_kept_beside_and_damaged_ones_are_none() {
    let (_base, archive) = archive();
    assert_eq!(archive.read_lessons(&of()), None);
    let known = crate::forecast::Knowledge {
        observations: Series::new(points(0..24 * 30)),
        ..crate::source::builtin::knowledge("DE")
    };
    let learned = Learned::of(&known, at(24 * 30)).unwrap();
    archive.write_lessons(&of(), &learned).unwrap();
    assert_eq!(archive.read_lessons(&of()), Some(learned));
    let path = archive.path(&of(), "lessons");
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(archive.read_lessons(&of()), None);
}
