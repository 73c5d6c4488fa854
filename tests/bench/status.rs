//! What `catrain status` of a hundred live runs takes: `cargo bench --bench status`.
//!
//! Their sockets are served by one process, this one; asking is a process of its own, as people start
//! it. Prints; nothing is asserted, since a busy machine is no failure.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catrain::control::{self, Listener};
use catrain::ledger::runs::ids;
use serde_json::json;
use tokio::sync::mpsc;

const RUNS: usize = 100;
const ROUNDS: usize = 21;

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let base = tempfile::tempdir().expect("a temporary directory");
    let runtime = base.path().join("runtime");
    let listeners: Vec<(String, Listener)> = ids(7)
        .take(RUNS)
        .map(|id| {
            let listener = control::listen(&runtime, &id).expect("a socket");
            (id, listener)
        })
        .collect();
    std::thread::spawn(move || serve(listeners));
    let mut shown = 0;
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            shown = status(base.path());
            began.elapsed()
        })
        .collect();
    took.sort();
    assert_eq!(shown, RUNS, "not all were shown");
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "status of {RUNS} live runs: median {:.1} ms, best {:.1} ms, worst {:.1} ms of {ROUNDS}",
        milliseconds(took[ROUNDS / 2]),
        milliseconds(took[0]),
        milliseconds(took[ROUNDS - 1]),
    );
}

/// The lines that `catrain status` prints, without the heading.
fn status(base: &Path) -> usize {
    let output = Command::new(env!("CARGO_BIN_EXE_catrain"))
        .arg("status")
        .env("CATRAIN_RUNTIME_DIR", base.join("runtime"))
        .env("CATRAIN_STATE_DIR", base.join("state"))
        .stderr(Stdio::inherit())
        .output()
        .expect("catrain runs");
    String::from_utf8_lossy(&output.stdout).lines().count() - 1
}

fn serve(listeners: Vec<(String, Listener)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut serving = Vec::new();
        for (id, listener) in listeners {
            let (sender, mut requests) = mpsc::channel(4);
            tokio::spawn(control::serve(listener, sender, None));
            serving.push(tokio::spawn(async move {
                while let Some(request) = requests.recv().await {
                    let _ = request.answer.send(answer(&id));
                }
            }));
        }
        for one in serving {
            let _ = one.await;
        }
    });
}

/// As long as a real one.
fn answer(id: &str) -> String {
    let phases: Vec<_> = (0..12)
        .map(|hour| json!({ "act": "run", "until": format!("2026-11-24T{hour:02}:00:00Z") }))
        .collect();
    json!({
        "ok": true, "id": id, "name": "finetune", "state": "paused", "holds": ["carbon"],
        "state_for_s": 720.0, "now": "2026-11-24T05:00:00Z", "until": "2026-11-24T06:00:00Z",
        "reason": "431 g/kWh until 06:00, then 240; saves about 90 g; 1 h 35 m to spare",
        "elapsed_s": 7200.0, "productive_s": 6480.0, "progress_percent": 61.0,
        "progress_source": "time", "rate_per_hour": null, "done_about": "2026-11-24T08:10:00Z",
        "deadline": "2026-11-25T09:00:00Z", "spare_s": 5700.0, "now_g_per_kwh": 431.0,
        "can_pause": true, "pauses": 1, "saves_g": 264.0, "plan": phases, "pid": 1,
        "supervisor_pid": 2, "zone": "DE", "replay": false,
    })
    .to_string()
}
