//! How long simulations take. With the data that is not part of the repository beside it the two that
//! README names; else a fortnight that is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    divan::main();
}

fn shared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name)
}

fn simulate(line: &str) {
    let status = Command::new(env!("CARGO_BIN_EXE_catrain"))
        .arg("simulate")
        .args(line.split_whitespace())
        .stdout(Stdio::null())
        .status()
        .expect("the binary is there");
    assert!(status.success());
}

#[divan::bench(sample_count = 10)]
fn twelve_days_every_hour_under_plan() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/DE_2021-11.csv");
    simulate(&format!(
        "--forecasts {} -d 6h --slack 24h --every 1h --policy plan",
        path.display()
    ));
}

/// 3387 jobs of a year, due a day later than necessary, uninterrupted and interruptible.
#[divan::bench(sample_count = 5)]
fn a_year_of_3387_jobs_under_oracle_and_window() {
    let (trace, jobs) = (
        shared("traces/DE_2020_30min.csv"),
        shared("workloads/lwa_ml_jobs.csv"),
    );
    if trace.exists() {
        simulate(&format!(
            "--trace {} --jobs {} --slack 24h --resume-cost 0 --policy oracle,window:perfect",
            trace.display(),
            jobs.display()
        ));
    }
}

#[divan::bench(sample_count = 3)]
fn six_zones_in_four_shapes_under_plan() {
    let forecasts = shared("forecasts");
    if forecasts.exists() {
        simulate(&format!(
            "--forecasts {} --profiles {} -d 6h,12h,24h,48h --slack 24h,12h,24h,48h --paired \
             --every 53h --from 2021-07-29 --tick 1h --duration-exact --policy plan",
            forecasts.display(),
            shared("profiles.csv").display()
        ));
    }
}
