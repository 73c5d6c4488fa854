//! How long 90 days of what a source said take to read, and an answer to add to them.

use std::time::Duration;

use catrain::archive::{Archive, Of};
use catrain::forecast::{Basis, Issue, Kind, Series};
use catrain::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

fn main() {
    divan::main();
}

const DAYS: i64 = 90;
const HOUR: Duration = Duration::from_secs(3600);

fn of() -> Of {
    Of {
        source: "bench".to_owned(),
        place: "DE".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
    }
}

fn at(hours: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(480_000 + hours)
}

fn series(from: i64, hours: i64, step: Duration) -> Series {
    let steps = hours * 3600 / step.as_secs() as i64;
    let value = |index: i64| GramsPerKwh(200.0 + ((from + index) * 7919 % 30_011) as f64 / 100.0);
    let values = (0..steps).map(|index| Some(value(index)));
    Series::regular(at(from), step, values, Kind::Live)
}

/// Observations of 90 days and three days ahead issued every six hours.
fn archive(minutes: u64) -> (TempDir, Archive) {
    let base = tempfile::tempdir().expect("there is room");
    let archive = Archive::new(base.path().join("archive"));
    let add = |observations: &Series, issue: Option<&Issue>, hour| {
        (archive.add(&of(), observations.points(), issue, at(hour))).expect("there is room");
    };
    let step = Duration::from_secs(60 * minutes);
    add(&series(0, 24 * DAYS, step), None, 24 * DAYS);
    for hour in (0..24 * DAYS).step_by(6) {
        let issue = Issue {
            issued_at: at(hour),
            series: series(hour, 72, HOUR),
        };
        add(&Series::default(), Some(&issue), 24 * DAYS);
    }
    (base, archive)
}

#[divan::bench(args = [30, 5], sample_count = 200)]
fn read(bencher: divan::Bencher<'_, '_>, minutes: u64) {
    let (_base, archive) = archive(minutes);
    bencher.bench_local(|| archive.read(&of()));
}

#[divan::bench(args = [30, 5], sample_count = 50)]
fn add_an_answer_that_is_known(bencher: divan::Bencher<'_, '_>, minutes: u64) {
    let (_base, archive) = archive(minutes);
    let step = Duration::from_secs(60 * minutes);
    let day = series(0, 24 * DAYS, step).points()[..24].to_vec();
    bencher.bench_local(|| archive.add(&of(), &day, None, at(24 * DAYS)));
}
