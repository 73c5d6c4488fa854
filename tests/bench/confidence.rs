//! How far each rung of the intensity ahead is to be trusted, measured: the table behind
//! `Trust::TESTED`.
//!
//! `cargo bench --bench confidence -- DIR` reads each `ZONE_….csv` of issued forecasts in `DIR`; with no
//! `DIR` the data that is not part of the repository, where it is beside it.

use std::path::{Path, PathBuf};

use catrain::forecast::trust::Trust;
use catrain::source;
use jiff::SignedDuration;

#[expect(clippy::print_stdout, reason = "a table is what this is for")]
fn main() {
    let given = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with("--"));
    let directory = given.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/forecasts"),
        PathBuf::from,
    );
    let Ok(files) = std::fs::read_dir(&directory) else {
        println!("passed by: {} is not there", directory.display());
        return;
    };
    let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    paths.sort();
    let mut all = Vec::new();
    println!(
        "{:12} {:6} {:>5} {:>5} {:>5} {:>5}",
        "days old", "", 0, 1, 2, 3
    );
    for path in &paths {
        let Some(zone) = source::zone_of(path) else {
            continue;
        };
        let (known, _) = source::past(path, &zone).expect("a file of issued forecasts");
        let span = known.observations.span().expect("what came is in it");
        let warm = span.start + SignedDuration::from_hours(5 * 7 * 24);
        let Some(trust) = Trust::measured(&known, warm, span.end) else {
            continue;
        };
        print(&zone, &trust);
        all.push(trust);
    }
    if let Some(mean) = Trust::mean(&all) {
        print("mean", &mean);
        print("tested", &Trust::TESTED);
    }
}

#[expect(clippy::print_stdout, reason = "a table is what this is for")]
fn print(name: &str, trust: &Trust) {
    for (rung, by_age) in [
        ("blended", trust.blended),
        ("history", trust.history),
        ("issue", trust.issue_alone),
    ] {
        let [a, b, c, d] = by_age;
        println!("{name:12} {rung:8} {a:.3} {b:.3} {c:.3} {d:.3}");
    }
    println!("{name:12} {:8} {:.3}", "built-in", trust.builtin);
}
