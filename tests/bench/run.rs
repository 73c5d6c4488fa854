//! What `catrain run` costs, whole processes as users have them: `cargo bench --bench run`.
//!
//! Prints medians of many; nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and waits"
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAIRS: usize = 200;
const WATCHED: Duration = Duration::from_secs(20);

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let state = tempfile::tempdir().expect("a temporary directory");
    start_up(state.path());
    while_running(state.path());
}

fn catrain(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catrain"));
    command
        .args(arguments)
        .env("CATRAIN_STATE_DIR", state.join("state"))
        .env("CATRAIN_RUNTIME_DIR", state.join("run"))
        .env("CATRAIN_ZONE", "DE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    command.status().expect("it starts");
    start.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `catrain run --policy now -- true` against bare `true`, in turn.
fn start_up(state: &Path) {
    let mut bare = Vec::new();
    let mut supervised = Vec::new();
    for _ in 0..PAIRS {
        bare.push(timed(&mut Command::new("true")).as_secs_f64() * 1e3);
        let mut run = catrain(
            state,
            &["run", "--policy", "now", "--summary", "none", "--", "true"],
        );
        supervised.push(timed(&mut run).as_secs_f64() * 1e3);
    }
    let over: Vec<f64> = supervised
        .iter()
        .zip(&bare)
        .map(|(with, without)| with - without)
        .collect();
    println!(
        "true                            {:.2} ms (median of {PAIRS})",
        median(bare)
    );
    println!(
        "catrain run --policy now true   {:.2} ms",
        median(supervised)
    );
    println!(
        "over bare true                  {:.2} ms (median of the differences)",
        median(over)
    );
}

/// Memory and processor use of the supervisor while a job runs.
fn while_running(state: &Path) {
    let arguments = [
        "run",
        "-d",
        "6h",
        "--max-delay",
        "1h",
        "--policy",
        "plan",
        "--",
        "sleep",
        "60",
    ];
    let mut child = catrain(state, &arguments).spawn().expect("it starts");
    // A hold would hide the cost of running.
    sleep(Duration::from_secs(1));
    let mut resume = catrain(state, &["resume"]);
    let _ = resume.status();
    sleep(Duration::from_secs(2));
    let before = processor_time(&child);
    sleep(WATCHED);
    let used = processor_time(&child) - before;
    println!(
        "processor while a job runs      {:.3} % of a core over {} s",
        used / WATCHED.as_secs_f64() * 100.0,
        WATCHED.as_secs()
    );
    println!(
        "memory of the supervisor        {:.1} MB resident, {:.1} MB at most",
        memory(&child, "VmRSS:"),
        memory(&child, "VmHWM:")
    );
    let _ = catrain(state, &["stop"]).status();
    let _ = child.wait();
}

/// Seconds of all its threads, by the scheduler's own count: clock ticks are too coarse.
fn processor_time(child: &Child) -> f64 {
    let threads = fs::read_dir(format!("/proc/{}/task", child.id()))
        .into_iter()
        .flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

fn memory(child: &Child, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes: f64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0.0);
    kilobytes * 1024.0 / 1e6
}
