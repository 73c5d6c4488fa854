//! Many changes, half of them bad, while a job is paused and resumed.

use std::fs;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::{self, Word};
use catrain::ledger::entry::{Action, What};
use catrain::ledger::{self, ledger_path};
use serde_json::Value;

use crate::support::supervised::{LONG, Supervised, run, script};
use crate::support::{SOON, Sandbox, wait_until};

/// What a process holds: descriptors, threads, resident bytes.
fn held_by(pid: i32) -> [u64; 3] {
    let count = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}")).unwrap().count() as u64;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap();
    [count("fd"), count("task"), kilobytes << 10]
}

/// What came of a storm of changes.
#[derive(Debug)]
struct Storm {
    /// From the operator's word to the process seen stopped or going on, each.
    took: Vec<Duration>,
    /// Before and after.
    held: [[u64; 3]; 2],
}

/// `changes` of the file, at least `apart`, every second one bad, with a pause or a resume at every fourth.
fn storm(changes: u32, apart: Duration) -> Storm {
    let sandbox = Sandbox::new();
    let good = |nth: u32| format!("zone = 'DE'\nrun.grace = '{}s'\n", 60 + nth);
    sandbox.write("config/config.toml", &good(0));
    let ticks = sandbox.path("ticks");
    let job = script("job.py", ["tick", ticks.to_str().unwrap()]);
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &["--policy", "now"], job));
    job.wait_for_state("running");
    let id = job.id();
    let socket = control::socket(&sandbox.runtime_dir(), &id);
    let ask = |word: Word| -> Value {
        let answer = control::ask(&socket, word).expect("the run answers");
        serde_json::from_str(&answer).unwrap()
    };
    // Whoever watches the file has begun to, and threads that come and go have come.
    ask(Word::Reload);
    sandbox.write("config/config.toml", &good(1000));
    wait_until("a change is taken", LONG, || {
        ask(Word::Status)["settings"]["grace_s"] == 1060.0
    });
    let before = held_by(job.pid());
    let mut took = Vec::new();
    let mut is_paused = false;
    let mut last = 0;
    let begun = monotonic();
    for nth in 1..=changes {
        let text = match nth % 2 {
            1 => {
                last = nth;
                good(nth)
            }
            _ => format!("{}run.gracee = 'x'\n", good(nth)),
        };
        sandbox.write("config/config.toml", &text);
        if nth % 4 == 0 {
            let (word, state) = match is_paused {
                false => (Word::Pause, "paused"),
                true => (Word::Resume { time: None }, "running"),
            };
            let asked = monotonic();
            ask(word);
            wait_until(&format!("it is {state}"), SOON, || {
                ask(Word::Status)["state"] == state
            });
            took.push(monotonic() - asked);
            is_paused = !is_paused;
        }
        wait_until("the time for the next has come", SOON, || {
            monotonic() >= begun + apart * nth
        });
    }
    // The last one is bad: what is in force is the last good one.
    let expected = f64::from(60 + last);
    sandbox.write("config/config.toml", &good(last));
    wait_until("the last good one is in force", LONG, || {
        ask(Word::Status)["settings"]["grace_s"] == expected
    });
    let after = held_by(job.pid());
    if is_paused {
        ask(Word::Resume { time: None });
    }
    job.word(Word::Stop);
    job.end();
    let ledger = ledger::read(&ledger_path(&sandbox.state_dir(), &id)).unwrap();
    let count = |wanted: Action| {
        let is_it =
            |what: &What| matches!(what, What::Confirmed { action, .. } if *action == wanted);
        ledger
            .entries
            .iter()
            .filter(|entry| is_it(&entry.what))
            .count()
    };
    let words = changes as usize / 4;
    assert_eq!(
        count(Action::Pause),
        words.div_ceil(2),
        "each pause was made"
    );
    assert!(count(Action::Resume) >= words / 2, "each resume was made");
    Storm {
        took,
        held: [before, after],
    }
}

/// Descriptors and threads are as many as before, within the few of an answer that is being given.
fn leaks_nothing(storm: &Storm) {
    let [before, after] = storm.held;
    assert!(after[0] <= before[0] + 4, "descriptors: {storm:?}");
    assert!(after[1] <= before[1] + 3, "threads: {storm:?}");
    assert!(after[2] <= before[2] + (16 << 20), "memory: {storm:?}");
}

#[test]
fn changes_half_of_them_bad_harm_neither_pauses_nor_what_is_in_force() {
    leaks_nothing(&storm(24, Duration::from_millis(50)));
}

#[test]
#[ignore = "takes a minute"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn two_hundred_changes_in_a_minute() {
    let mut storm = storm(200, Duration::from_millis(300));
    leaks_nothing(&storm);
    storm.took.sort();
    let nth = |share: f64| storm.took[((storm.took.len() - 1) as f64 * share) as usize];
    println!(
        "{} words: median {:?}, 99th {:?}; descriptors, threads, bytes: {:?}",
        storm.took.len(),
        nth(0.5),
        nth(0.99),
        storm.held
    );
}
