//! What `catrain run` costs, whole processes as users have them: `cargo bench --bench run`.
//!
//! Prints medians of many; nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and waits"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAIRS: usize = 200;
const ROUNDS: usize = 20;
const WATCHED: Duration = Duration::from_secs(20);

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let state = tempfile::tempdir().expect("a temporary directory");
    start_up(state.path());
    while_running(state.path());
    for processes in [1, 64] {
        pausing(state.path(), processes);
        dying(state.path(), processes);
    }
}

fn catrain(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catrain"));
    command
        .args(arguments)
        .env("CATRAIN_STATE_DIR", state.join("state"))
        .env("CATRAIN_RUNTIME_DIR", state.join("run"))
        .env("CATRAIN_CACHE_DIR", state.join("cache"))
        .env("CATRAIN_CONFIG_DIR", state.join("config"))
        // It is asked as any service is, and nobody answers.
        .env("CATRAIN_ENERGY_CHARTS_BASE_URL", "http://127.0.0.1:9")
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

/// A job of so many processes under a supervisor of its own state directory.
struct Job {
    state: PathBuf,
    supervisor: Child,
}

impl Job {
    fn start(state: &Path, processes: usize) -> Self {
        let state = state.join(format!("{processes}-{}", monotonic_nanos()));
        let script = match processes {
            1 => "exec sleep 600".to_owned(),
            many => format!("for i in $(seq {}); do sleep 600 & done; wait", many - 1),
        };
        let arguments = ["run", "--max-delay", "0", "--", "sh", "-c", &script];
        let supervisor = catrain(&state, &arguments).spawn().expect("it starts");
        let job = Self { state, supervisor };
        until(|| job.pids().len() >= processes);
        job
    }

    /// Says a word, again while the run does not listen yet.
    fn say(&self, word: &str) {
        until(|| {
            catrain(&self.state, &[word])
                .status()
                .is_ok_and(|status| status.success())
        });
    }

    /// The leader, which is the supervisor's child with a session of its own, and its session.
    fn pids(&self) -> Vec<(i32, char)> {
        let own = i32::try_from(self.supervisor.id()).expect("pids are small");
        let all: Vec<(i32, char, i32, i32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| stat(entry.ok()?.file_name().to_str()?))
            .collect();
        let leader = all.iter().find(|(pid, _, parent, session)| {
            *parent == own && pid == session && ["sh", "sleep"].contains(&&*name(*pid))
        });
        let Some((leader, ..)) = leader else {
            return Vec::new();
        };
        let members = all.iter().filter(|(.., session)| session == leader);
        members.map(|(pid, state, ..)| (*pid, *state)).collect()
    }

    fn pause(&self) {
        self.say("pause");
        until(|| self.pids().iter().all(|(_, state)| *state == 'T'));
    }

    /// Microseconds from decision to proof, as the ledger has them.
    fn pauses_took(&self) -> Vec<f64> {
        let runs = fs::read_dir(self.state.join("state/runs"))
            .into_iter()
            .flatten();
        let ledgers =
            runs.filter_map(|run| fs::read_to_string(run.ok()?.path().join("ledger.jsonl")).ok());
        let text: String = ledgers.collect();
        let entries = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        entries
            .filter(|entry| entry["entry"] == "confirmed" && entry["action"] == "pause")
            .filter_map(|entry| entry["took_us"].as_f64())
            .collect()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let pids = self.pids();
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        for (pid, _) in pids {
            let _ = Command::new("kill")
                .args(["-9", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn stat(pid: &str) -> Option<(i32, char, i32, i32)> {
    let number = pid.parse().ok()?;
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 2..].split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some((number, state, parent, session))
}

fn name(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim().to_owned()
}

fn monotonic_nanos() -> u128 {
    catrain::clock::monotonic().as_nanos()
}

fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "waited for too long"
        );
        sleep(Duration::from_micros(200));
    }
}

/// From the decision to a tree that is seen stopped whole.
fn pausing(state: &Path, processes: usize) {
    let job = Job::start(state, processes);
    for _ in 0..ROUNDS {
        job.pause();
        job.say("resume");
        until(|| job.pids().iter().all(|(_, state)| *state != 'T'));
    }
    let took: Vec<f64> = job.pauses_took().iter().map(|took| took / 1e3).collect();
    println!(
        "pause of {processes:2} processes, seen     {:.1} ms (median of {})",
        median(took.clone()),
        took.len()
    );
}

/// From `kill -9` of the supervisor to a tree that runs again whole.
fn dying(state: &Path, processes: usize) {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let mut job = Job::start(state, processes);
        job.pause();
        let pids = job.pids();
        let start = Instant::now();
        job.supervisor.kill().expect("it lives");
        let stopped = |pid: &i32| stat(&pid.to_string()).is_some_and(|(_, state, ..)| state == 'T');
        until(|| !pids.iter().any(|(pid, _)| stopped(pid)));
        took.push(start.elapsed().as_secs_f64() * 1e3);
        for (pid, _) in pids {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
    println!(
        "kill -9 to {processes:2} running again     {:.1} ms (median of {ROUNDS}, polling included)",
        median(took)
    );
}
