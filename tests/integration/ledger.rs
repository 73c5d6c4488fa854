//! A ledger survives the death of its writer.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use catrain::ledger::entry::What;
use catrain::ledger::{Options, Sync, Writer, ledger_path, read};
use jiff::Timestamp;

const STATE: &str = "CATRAIN_TEST_LEDGER_STATE";

fn note(number: u64) -> What {
    What::Warning {
        text: number.to_string(),
    }
}

/// Writes entries for ever and says which are confirmed.
#[test]
#[ignore = "needs a parent: it is the process that the next test kills"]
fn writes_until_it_is_killed() {
    let state = PathBuf::from(std::env::var_os(STATE).expect("set by the parent"));
    let writer = Writer::begin(state, 3, Options::default());
    let id = writer.id().within(Duration::from_secs(20));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "\nid {id}").unwrap();
    for number in 0.. {
        let at = Timestamp::UNIX_EPOCH;
        let what = first()
            .filter(|_| number == 0)
            .unwrap_or_else(|| note(number));
        let ticket = writer.record(at, Duration::from_secs(number), what, Sync::Now);
        if runtime.block_on(ticket.within(Duration::from_secs(20))) {
            // The parent may be gone already; then there is nobody to tell.
            let _ = writeln!(out, "confirmed {number}");
        }
    }
}

fn first() -> Option<What> {
    let fixture = include_str!("../fixtures/ledger_v1.jsonl");
    let entry: catrain::ledger::entry::Entry =
        serde_json::from_str(fixture.lines().next()?).ok()?;
    Some(entry.what)
}

#[test]
fn every_confirmed_entry_is_there_after_kill_9() {
    let state = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "ledger::writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(STATE, state.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut id, mut confirmed) = (String::new(), None);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(told) = line.strip_prefix("id ") {
            id = told.to_owned();
        }
        if let Some(number) = line.strip_prefix("confirmed ") {
            let number: usize = number.parse().unwrap();
            confirmed = Some(number);
            if number == 50 {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    let ledger = read(&ledger_path(state.path(), &id)).unwrap();
    let confirmed = confirmed.expect("it got as far as fifty");
    assert!(confirmed >= 50);
    assert!(
        ledger.entries.len() > confirmed,
        "{} <= {confirmed}",
        ledger.entries.len()
    );
    assert!(ledger.unfinished);
    for (at, entry) in ledger.entries.iter().enumerate().skip(1) {
        assert_eq!(entry.what, note(at as u64));
    }
}
