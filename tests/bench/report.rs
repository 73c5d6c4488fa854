//! What a report of a long run costs: thirty days at one reading a second, eight GPUs, as its writer
//! leaves it: `cargo bench --bench report`.
//!
//! Whole processes, medians of several; nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catrain::forecast::Basis;
use catrain::ledger::entry::{
    Begin, EnergyKind, Entry, Exit, IntensityKind, IntensityPoint, Method, Part, Reading, Segment,
    What,
};
use catrain::ledger::{Options, Sync, Writer};
use catrain::units::{GramsPerKwh, Joules};
use jiff::{SignedDuration, Timestamp};
use nix::sys::resource::{UsageWho, getrusage};

const DAYS: u64 = 30;
const ROUNDS: usize = 7;
const HOUR: u64 = 3600;

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let state = tempfile::tempdir().expect("a temporary directory");
    let (segments, bytes) = record(state.path());
    let megabytes = bytes as f64 / 1e6;
    println!("{DAYS} days, eight GPUs: {segments} segments, {megabytes:.1} MB");
    for format in [
        "text",
        "json",
        "csv",
        "md",
        "codecarbon",
        "prometheus",
        "html",
    ] {
        show(
            state.path(),
            format,
            &["report", "--offline", "--format", format],
        );
    }
    show(state.path(), "--verify", &["report", "--verify"]);
    println!("at most {:.1} MB resident", most_memory());
}

/// Writes the record of a run through the writer of runs.
fn record(state: &Path) -> (usize, u64) {
    let begin: Timestamp = "2026-10-01T00:00:00Z".parse().expect("a time");
    let at = |second: u64| begin + SignedDuration::from_secs(second.cast_signed());
    let writer = Writer::begin(state.to_owned(), 7, Options::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let put = |second: u64, what: What| {
        let ticket = writer.record(at(second), Duration::from_secs(second), what, Sync::Later);
        assert!(runtime.block_on(ticket.within(Duration::from_secs(60))));
    };
    put(0, What::Begin(Box::new(beginning())));
    let (mut now, mut segments, mut priced) = (0, 0, 0);
    while now < DAYS * 24 * HOUR {
        if now >= priced {
            put(now, intensity(at(now), now));
            priced += HOUR / 4;
        }
        let to = now + writer.segment_at_most().as_secs();
        put(to, What::Segment(segment(now, to, at)));
        now = to;
        segments += 1;
    }
    let exit = Some(Exit::Code(0));
    put(
        now,
        What::End {
            exit,
            why: None,
            sums: None,
        },
    );
    let id = writer.id().within(Duration::ZERO);
    writer.finish(Duration::from_secs(60));
    let ledger = catrain::ledger::ledger_path(state, &id);
    let file = File::open(ledger).and_then(|file| file.metadata());
    (segments, file.map_or(0, |file| file.len()))
}

fn beginning() -> Begin {
    let fixture = include_str!("../fixtures/ledger_v2.jsonl");
    let first = fixture.lines().next().expect("it has lines");
    let entry: Entry = serde_json::from_str(first).expect("an entry");
    let What::Begin(begin) = entry.what else {
        unreachable!("a ledger begins with its beginning");
    };
    Begin {
        run: String::new(),
        deadline: None,
        ..*begin
    }
}

fn intensity(start: Timestamp, second: u64) -> What {
    let day = second as f64 / 86_400.0 * std::f64::consts::TAU;
    What::Intensity {
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "energy-charts".to_owned(),
        points: vec![IntensityPoint {
            start,
            end: start + SignedDuration::from_mins(15),
            g_per_kwh: GramsPerKwh(300.0 + 100.0 * day.sin()),
            low_g_per_kwh: None,
            high_g_per_kwh: None,
            kind: IntensityKind::Observed,
            forecast: None,
        }],
    }
}

fn segment(from: u64, to: u64, at: impl Fn(u64) -> Timestamp) -> Segment {
    let seconds = (to - from) as f64;
    let reading = |component: String, watts: f64, method, source: &str| Reading {
        component,
        joules: Joules(watts * seconds * 1.000_123),
        kind: EnergyKind::Measured,
        method: Some(method),
        source: source.to_owned(),
        whole: None,
    };
    let gpu = |nth| {
        reading(
            format!("gpu {nth}"),
            312.4,
            Method::GpuCounter,
            "NVML, energy counter",
        )
    };
    let mut energy: Vec<Reading> = (0..8).map(gpu).collect();
    energy.push(reading("cpu".to_owned(), 85.1, Method::Rapl, "RAPL"));
    energy.push(reading("memory".to_owned(), 12.7, Method::RaplDram, "RAPL"));
    energy.push(reading(
        "catrain".to_owned(),
        0.02,
        Method::CpuModel,
        "processor time",
    ));
    Segment {
        // A pause of four hours every night.
        part: if from / HOUR % 24 >= 20 {
            Part::Paused
        } else {
            Part::Running
        },
        causes: Vec::new(),
        from_s: from as f64,
        to_s: to as f64,
        start: at(from),
        end: at(to),
        energy,
        unattributed: Vec::new(),
    }
}

/// Median of the time.
fn show(state: &Path, name: &str, arguments: &[&str]) {
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| timed(state, arguments)).collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<12} {:>7.0} ms", times[ROUNDS / 2]);
}

fn timed(state: &Path, arguments: &[&str]) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catrain"));
    command
        .args(arguments)
        .env("CATRAIN_STATE_DIR", state)
        .env("CATRAIN_CONFIG_DIR", state.join("config"))
        .env("CATRAIN_CACHE_DIR", state.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("it starts");
    assert!(status.success(), "{arguments:?}: {status}");
    start.elapsed().as_secs_f64() * 1e3
}

/// The most memory that any of them had resident, in megabytes.
fn most_memory() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells");
    usage.max_rss() as f64 * 1024.0 / 1e6
}
