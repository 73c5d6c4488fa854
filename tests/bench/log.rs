//! What an event costs whoever says it: where nobody wants it, and where it goes into a log.
//!
//! `cargo bench --bench log`. The file is written by another thread; what it cannot take in time is
//! dropped, which costs the speaker no less.

use std::path::PathBuf;

use catrain::log::{self, Settings};
use tracing::{debug, info};

fn main() {
    let directory = tempfile::tempdir().expect("a directory for the log");
    let settings = Settings {
        levels: Some("info".parse().expect("a level")),
        file: Some(PathBuf::from(directory.path()).join("log")),
        ..Settings::default()
    };
    let log = log::start(&settings, None);
    divan::main();
    log.finish();
}

#[divan::bench]
fn nobody_wants_it() {
    debug!(
        target: "catrain::caller",
        source = divan::black_box("energy-charts"),
        duration_ms = divan::black_box(12),
        "called"
    );
}

#[divan::bench]
fn it_is_logged() {
    info!(
        target: "catrain::command",
        act = divan::black_box("pause"),
        until = divan::black_box("2026-11-28T06:00:00Z"),
        reason = divan::black_box("431 g/kWh until 06:00, then 240"),
        g_per_kwh = divan::black_box(431.0),
        "decided"
    );
}
