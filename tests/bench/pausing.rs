//! From the decision to pause to a job that is seen paused whole: `cargo bench --bench pausing`.
//!
//! Whole runs as users have them, paused and resumed over their sockets. Both times are those of the
//! records: from the intent, which is written and waited for before anybody is stopped, and from the
//! first stop. Nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and waits"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use catrain::control::{self, Word};
use catrain::executor::freezer;
use catrain::ledger::entry::{Action, Entry, What};
use catrain::ledger::{self, ledger_path};

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut modes = vec!["stop"];
    match freezer::try_out(Path::new("/")) {
        Ok(()) => modes.push("freeze"),
        Err(why) => println!("freeze is left out: {}", why.in_words()),
    }
    println!("                            decision to seen paused    stopping alone");
    println!("mode    processes  pauses     median    99th percent.    median     99th");
    for (processes, pauses) in [(1, 50), (64, 50), (512, 20)] {
        for mode in &modes {
            let (all, stopping) = measure(mode, processes, pauses);
            println!(
                "{mode:7} {processes:9} {pauses:7} {:7.1} ms {:13.1} ms {:6.1} ms {:5.1} ms",
                percentile(&all, 0.5),
                percentile(&all, 0.99),
                percentile(&stopping, 0.5),
                percentile(&stopping, 0.99),
            );
        }
    }
}

/// Milliseconds of each pause: from the decision, and from the first stop.
fn measure(mode: &str, processes: usize, pauses: usize) -> (Vec<f64>, Vec<f64>) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let run = Run::start(folder.path(), mode, processes);
    for _ in 0..pauses {
        run.say_until(Word::Pause, "paused");
        run.say_until(Word::Resume { time: None }, "running");
    }
    let path = ledger_path(&run.state, &run.id);
    drop(run);
    let record = ledger::read(&path).expect("the record can be read").entries;
    let (mut all, mut stopping) = (Vec::new(), Vec::new());
    let mut decided = 0.0;
    for Entry {
        elapsed_s, what, ..
    } in record
    {
        match what {
            What::Intent {
                action: Action::Pause,
            } => decided = elapsed_s,
            What::Confirmed {
                action: Action::Pause,
                processes: seen,
                took_us,
                ..
            } => {
                assert!(
                    seen as usize >= processes,
                    "{seen} of {processes} were paused"
                );
                all.push((elapsed_s - decided) * 1e3);
                stopping.push(took_us as f64 / 1e3);
            }
            _ => {}
        }
    }
    assert_eq!(all.len(), pauses, "each pause is on record");
    (all, stopping)
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// A run of so many sleeping processes.
struct Run {
    state: PathBuf,
    runtime: PathBuf,
    id: String,
    supervisor: Child,
}

impl Run {
    fn start(folder: &Path, mode: &str, processes: usize) -> Self {
        let ready = folder.join("ready");
        let others = processes - 1;
        // The last thing that is started tells, then the leader sleeps as well.
        let script = format!(
            "i=0; while [ $i -lt {others} ]; do sleep 3600 & i=$((i+1)); done; : >'{}'; exec sleep 3600",
            ready.display()
        );
        let (state, runtime) = (folder.join("state"), folder.join("run"));
        let supervisor = Command::new(env!("CARGO_BIN_EXE_catrain"))
            .args(["run", "-z", "DE", "--max-delay", "0", "--summary", "none"])
            .args([
                "--pause-with",
                mode,
                "--grace",
                "1s",
                "--",
                "sh",
                "-c",
                &script,
            ])
            .env("CATRAIN_STATE_DIR", &state)
            .env("CATRAIN_RUNTIME_DIR", &runtime)
            .env("CATRAIN_CACHE_DIR", folder.join("cache"))
            .env("CATRAIN_CONFIG_DIR", folder.join("config"))
            .env("CATRAIN_OFFLINE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        until("the job is ready", || ready.exists().then_some(()));
        let id = until("its socket", || {
            let entries = std::fs::read_dir(&runtime).ok()?.flatten();
            let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.find_map(|name| Some(name.strip_suffix(".sock")?.to_owned()))
        });
        Self {
            state,
            runtime,
            id,
            supervisor,
        }
    }

    fn state_after(&self, word: Word) -> Option<String> {
        let answer = control::ask(&control::socket(&self.runtime, &self.id), word).ok()?;
        let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
        Some(answer["state"].as_str()?.to_owned())
    }

    fn say_until(&self, word: Word, state: &str) {
        let mut next = word;
        until(state, || {
            let now = self.state_after(next)?;
            next = Word::Status;
            (now == state).then_some(())
        });
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // What outlives the leader is ended with it, and then the record is whole.
        let _ = self.state_after(Word::Stop);
        let _ = self.supervisor.wait();
    }
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited in vain: {what}"
        );
        sleep(Duration::from_millis(1));
    }
}
