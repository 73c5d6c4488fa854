//! How long the intensity ahead takes, with and without lessons: decisions and simulations ask often.

use std::time::Duration;

use catrain::forecast::ahead::ahead;
use catrain::forecast::learn::Lessons;
use catrain::forecast::{Basis, Issue, Kind, Knowledge, Series};
use catrain::units::GramsPerKwh;
use jiff::{SignedDuration, Timestamp};

fn main() {
    divan::main();
}

const DAYS: i64 = 180;

fn midnight(day: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + day))
}

/// Half a year of hours and of issues of 96 hours, one a day.
fn knowledge(lessons: bool) -> Knowledge {
    let came = |hour: i64| 300.0 + 80.0 * (hour as f64 / 3.8).sin() + (hour * 7919 % 101) as f64;
    let series = |day: i64, hours: i64, off: f64| {
        let values = (24 * day..24 * day + hours).map(|hour| Some(GramsPerKwh(came(hour) * off)));
        Series::regular(midnight(day), Duration::from_secs(3600), values, Kind::Live)
    };
    Knowledge {
        zone: "DE".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "bench".to_owned(),
        kind: Kind::Live,
        observations: series(0, 24 * DAYS, 1.0),
        issues: (0..DAYS)
            .map(|day| Issue {
                issued_at: midnight(day),
                series: series(day, 96, 1.1),
            })
            .collect(),
        profile: None,
        profile_same_accounting: true,
        yearly_average: None,
        lessons: lessons.then(|| Lessons::since(midnight(20))),
        trust: None,
        leads: Vec::new(),
    }
}

#[divan::bench(args = [false, true])]
fn outlook(bencher: divan::Bencher<'_, '_>, lessons: bool) {
    let (now, known) = (midnight(DAYS - 1), knowledge(lessons));
    bencher.bench_local(|| ahead(now, divan::black_box(&known), 48));
}

#[divan::bench]
fn first_outlook_with_lessons(bencher: divan::Bencher<'_, '_>) {
    let (now, known) = (midnight(DAYS - 1), knowledge(true));
    // A clone has everything to learn.
    (bencher.with_inputs(|| known.clone())).bench_local_refs(|known| ahead(now, known, 48));
}
