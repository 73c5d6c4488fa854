//! Peers that want too much: many at once, slow ones, large ones. None of it reaches the deciding thread.

#![expect(
    clippy::print_stdout,
    reason = "what a load costs is told to those who ask with --nocapture"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;
use catrain::ledger::entry::{Action, What};
use catrain::ledger::{self, ledger_path};

use super::{Found, SERVED, asked, value_in};
use crate::support::process::Pid;
use crate::support::supervised::{Supervised, run, trace};
use crate::support::{SOON, Sandbox, wait_until};

/// Memory that peers may cost, in kB: 64 connections with a page each, and what the allocator keeps.
const MEMORY_KB: u64 = 32 << 10;

fn resident_kb(pid: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches("kB").trim();
    number.parse().unwrap()
}

/// The least bound in seconds that this share of wake-ups kept.
fn lateness(page: &str, share: f64) -> String {
    let count = value_in(page, "catrain_decision_lateness_seconds_count").unwrap();
    let buckets = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("catrain_decision_lateness_seconds_bucket{le=\"")?;
        let (bound, count) = rest.split_once("\"} ")?;
        Some((bound.to_owned(), count.parse::<f64>().ok()?))
    });
    let mut kept = buckets.filter(|(_, so_far)| *so_far >= count * share);
    kept.next().unwrap().0
}

/// Peers on threads of their own, until it is over.
struct Peers {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Peers {
    fn new() -> Self {
        Self {
            over: Arc::default(),
            answers: Arc::default(),
            threads: Vec::new(),
        }
    }

    /// So many more that do the same again and again; what they do gives whether it was answered.
    fn add(&mut self, count: usize, does: impl Fn(&AtomicBool) -> bool + Clone + Send + 'static) {
        for _ in 0..count {
            let (over, answers, does) = (self.over.clone(), self.answers.clone(), does.clone());
            self.threads.push(thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    answers.fetch_add(usize::from(does(&over)), Ordering::Relaxed);
                }
            }));
        }
    }

    fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.answers.load(Ordering::Relaxed)
    }
}

/// Sends a head byte by byte and never ends it, as long as it is listened to.
fn slowly(address: &str, over: &AtomicBool) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ");
    let mut rest = [0; 64];
    while !over.load(Ordering::Relaxed) {
        if stream.write_all(b"x").is_err() {
            return false;
        }
        // What comes is that it is enough, or nothing for a while.
        if stream.read(&mut rest).is_ok() {
            return false;
        }
    }
    false
}

/// Sends far more than anybody reads.
fn too_much(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let head = "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
    let _ = stream.write_all(head.as_bytes());
    let block = [b'x'; 16 << 10];
    for _ in 0..64 {
        if stream.write_all(&block).is_err() {
            break;
        }
    }
    let mut rest = [0; 1024];
    let _ = stream.read(&mut rest);
    false
}

#[test]
fn peers_without_manners_delay_no_word_and_cost_little_memory() {
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &SERVED, ["sleep", "600"]));
    let found = Found::of(&job.running);
    job.wait_for_state("running");
    assert_eq!(found.get("/metrics").code, 200);
    let before = resident_kb(job.pid());

    let mut peers = Peers::new();
    let address = || found.address.clone();
    let at = address();
    peers.add(20, move |over| slowly(&at, over));
    let at = address();
    peers.add(4, move |_| too_much(&at));
    let at = address();
    peers.add(26, move |_| {
        asked(&at, "/metrics", "").is_some_and(|answer| answer.code == 200)
    });
    wait_until("they are at it", SOON, || {
        peers.answers.load(Ordering::Relaxed) > 100
    });
    for _ in 0..5 {
        job.pause();
        job.resume();
    }
    let after = resident_kb(job.pid());
    let answers = peers.end();
    let page = found.get("/metrics").body;
    println!(
        "{answers} answers; {before} kB before, {after} kB under load; late by at most {} s in 99 of 100",
        lateness(&page, 0.99)
    );
    assert!(after < before + MEMORY_KB, "{before} kB, then {after} kB");
    // As fit as before.
    assert_eq!(found.get("/health").code, 200);
    let missed = value_in(&page, "catrain_missed_entries_total");
    assert_eq!(missed, Some(0.0));
    job.word(Word::Stop);
    job.end();
}

/// Prints what a minute of load costs: `cargo test --all-features --test integration -- --ignored
/// --nocapture a_minute_of_load`.
#[test]
#[ignore = "needs wrk and a minute"]
fn decisions_are_on_time_in_a_minute_of_load() {
    if Command::new("wrk").arg("--version").output().is_err() {
        println!("skipped: there is no wrk (Debian package wrk)");
        return;
    }
    let sandbox = Sandbox::new();
    // Two dirty hours, two clean ones, an hour a second: the plan pauses again and again.
    let trace = trace(&sandbox, |hour| if hour % 4 < 2 { 600.0 } else { 50.0 });
    let day = format!("{}@2021-11-09T00:00", trace.display());
    let options = [
        "--replay",
        &day,
        "--speed",
        "3600",
        "-d",
        "36h",
        "--deadline",
        "+94h",
        "--max-delay",
        "60h",
        "--min-run",
        "0",
        "--min-pause",
        "0",
        "--power",
        "300",
        "--listen",
        "0",
    ];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sleep", "600"]));
    let found = Found::of(&job.running);
    job.wait_for_state("running");
    assert_eq!(found.get("/metrics").code, 200);
    let before = resident_kb(job.pid());
    let quiet = found.get("/metrics").body;

    let mut peers = Peers::new();
    let at = found.address.clone();
    peers.add(20, move |over| slowly(&at, over));
    let at = found.address.clone();
    peers.add(2, move |_| too_much(&at));
    let mut wrk = Command::new("wrk");
    wrk.args(["-c", "50", "-t", "1", "-d", "60s", "--latency"]);
    wrk.arg(format!("http://{}/metrics", found.address));
    let began = monotonic();
    let load = wrk.output().unwrap();
    let took = monotonic() - began;
    let after = resident_kb(job.pid());
    peers.end();
    println!("{}", String::from_utf8_lossy(&load.stdout));
    let page = found.get("/metrics").body;
    let count = |page: &str| value_in(page, "catrain_decision_lateness_seconds_count").unwrap();
    let id = job.id();
    job.word(Word::Stop);
    job.end();

    // From the decision, recorded, to the job seen stopped.
    let record = ledger::read(&ledger_path(&sandbox.state_dir(), &id)).unwrap();
    let mut stops: Vec<f64> = (record.entries.iter())
        .filter_map(|entry| match entry.what {
            What::Confirmed {
                action: Action::Pause,
                took_us,
                ..
            } => Some(took_us as f64 / 1e3),
            _ => None,
        })
        .collect();
    stops.sort_by(f64::total_cmp);
    println!(
        "{:.0} s; {} pauses by the plan",
        took.as_secs_f64(),
        stops.len()
    );
    println!(
        "wake-ups: {} before, {} by the end; 99 of 100 late by at most {} s (before: {} s)",
        count(&quiet),
        count(&page),
        lateness(&page, 0.99),
        lateness(&quiet, 0.99),
    );
    println!(
        "a job seen stopped after {:.1} ms at most",
        stops.last().unwrap()
    );
    println!("memory: {before} kB before, {after} kB after");
    assert!(stops.len() >= 5, "{} pauses", stops.len());
    assert!(after < before + MEMORY_KB);
}
