//! How long the record of a month takes to read and to verify: 16 MB, 40 000 segments.

use std::path::PathBuf;

use catrain::ledger::chain::{Digest, seal};
use catrain::ledger::entry::{EnergyKind, Entry, Exit, Method, Part, Reading, Segment, Sums, What};
use catrain::ledger::{self, Asked};
use catrain::units::Joules;
use jiff::SignedDuration;
use tempfile::TempDir;

fn main() {
    divan::main();
}

const SEGMENTS: u64 = 40_000;

/// A run of one GPU, by a processor's counter and a model of its memory.
fn month() -> (TempDir, PathBuf) {
    let base = tempfile::tempdir().expect("there is room");
    let path = base.path().join("ledger.jsonl");
    let fixture = include_str!("../fixtures/ledger_v2.jsonl");
    let first = fixture.lines().next().expect("it has lines");
    let first: Entry = serde_json::from_str(first).expect("it is an entry");
    let begun = first.at;
    let (mut text, mut head, mut seq) = (Vec::new(), Digest::NONE, 0);
    let mut add = |elapsed_s: f64, what: What| {
        let at = begun + SignedDuration::from_secs_f64(elapsed_s);
        let entry = Entry {
            seq,
            at,
            elapsed_s,
            what,
        };
        let object = serde_json::to_vec(&entry).expect("it is finite");
        let (line, next) = seal(object, &head);
        text.extend(line);
        head = next;
        seq += 1;
    };
    add(0.0, first.what);
    let mut sums = Sums {
        entries: SEGMENTS + 1,
        seconds: 0.0,
        joules: Joules::ZERO,
    };
    for nth in 0..SEGMENTS {
        let (from_s, to_s) = (65.0 * nth as f64, 65.0 * (nth + 1) as f64);
        let reading = |component: &str, joules: f64, method, whole: Option<&str>| Reading {
            component: component.to_owned(),
            joules: Joules(joules * (1.0 + (nth * 7919 % 30_011) as f64 / 1e5)),
            kind: EnergyKind::Measured,
            method: Some(method),
            source: "nvml".to_owned(),
            whole: whole.map(str::to_owned),
        };
        let energy = vec![
            reading("gpu 0", 19_500.0, Method::GpuCounter, Some("GPU-8f2a")),
            reading("cpu", 6_500.0, Method::Rapl, None),
        ];
        sums.seconds += to_s - from_s;
        sums.joules += energy.iter().map(|reading| reading.joules).sum();
        let at = |seconds| begun + SignedDuration::from_secs_f64(seconds);
        add(
            to_s,
            What::Segment(Segment {
                part: Part::Running,
                causes: Vec::new(),
                from_s,
                to_s,
                start: at(from_s),
                end: at(to_s),
                energy,
                unattributed: Vec::new(),
            }),
        );
    }
    let end = What::End {
        exit: Some(Exit::Code(0)),
        why: None,
        sums: Some(sums),
    };
    add(65.0 * SEGMENTS as f64, end);
    std::fs::write(&path, text).expect("there is room");
    if let Some(state) = std::env::var_os("BENCH_LEDGER_STATE") {
        // For a look at the whole command: how much memory `catrain report` takes for it.
        let run = PathBuf::from(state).join("runs/r7k2");
        std::fs::create_dir_all(&run).expect("there is room");
        std::fs::copy(&path, run.join("ledger.jsonl")).expect("there is room");
    }
    (base, path)
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn read_a_month(bencher: divan::Bencher<'_, '_>) {
    let (_base, path) = month();
    bencher.bench_local(|| ledger::read(&path).expect("it is whole"));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn verify_a_month(bencher: divan::Bencher<'_, '_>) {
    let (_base, path) = month();
    bencher.bench_local(|| {
        let verified = ledger::verify(&path, Asked::default()).expect("it is whole");
        assert!(verified.is_good() && verified.lines as u64 == SEGMENTS + 2);
    });
}
