use std::os::unix::fs::symlink;

use super::*;
use crate::forecast::{Scope, Signal};
use crate::ledger::verify::{Asked, Cut, Finding, verify};
use crate::ledger::{Options, Sync, Writer, read};
use crate::units::GramsPerKwh;

const V1: &str = include_str!("../../../tests/fixtures/ledger_v1.jsonl");
const V2: &str = include_str!("../../../tests/fixtures/ledger_v2.jsonl");

fn now() -> Timestamp {
    "2026-11-27T08:00:00Z".parse().unwrap()
}

fn settlement(g_per_kwh: f64) -> Settlement {
    Settlement {
        basis: Basis {
            signal: Signal::Average,
            scope: Scope::Lifecycle,
        },
        source: "energy-charts".to_owned(),
        points: vec![IntensityPoint {
            start: "2026-11-24T17:00:00Z".parse().unwrap(),
            end: "2026-11-24T18:00:00Z".parse().unwrap(),
            g_per_kwh: GramsPerKwh(g_per_kwh),
            low_g_per_kwh: None,
            high_g_per_kwh: None,
            kind: crate::ledger::entry::IntensityKind::Observed,
            forecast: None,
        }],
    }
}

fn state_with(text: &str) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    let path = ledger_path(state.path(), "r7k2");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    state
}

fn settle(state: &Path) -> Result<Settled, CannotSettle> {
    let two = vec![settlement(400.0), settlement(401.0)];
    append_settlements(state, "r7k2", now(), two, None)
}

fn finding(state: &Path) -> Finding {
    let heads = heads::read(state).unwrap();
    let asked = Asked {
        recorded: heads.of("r7k2"),
        ..Asked::default()
    };
    verify(&ledger_path(state, "r7k2"), asked).unwrap().finding
}

#[test]
fn settlements_go_on_from_what_is_there_and_the_new_head_is_noted() {
    let state = state_with(V2);
    let settled = settle(state.path()).unwrap();
    assert_eq!((settled.torn, settled.trouble), (None, None));
    let text = std::fs::read_to_string(ledger_path(state.path(), "r7k2")).unwrap();
    assert!(text.starts_with(V2), "written lines are never changed");
    let ledger = read(&ledger_path(state.path(), "r7k2")).unwrap();
    assert_eq!(ledger.entries.len(), 25);
    assert_eq!(ledger.chain.unwrap().head(), settled.head.unwrap());
    let last = ledger.entries.last().unwrap();
    assert_eq!((last.seq, last.at, last.elapsed_s), (24, now(), 48_420.0));
    assert_eq!(finding(state.path()), Finding::Complete);
    // And once more, from the head that was noted.
    settle(state.path()).unwrap();
    assert_eq!(finding(state.path()), Finding::Complete);
    assert_eq!(heads::read(state.path()).unwrap().heads.len(), 2);
}

#[test]
fn a_line_that_was_cut_off_is_taken_away_first_and_told() {
    let state = state_with(&format!("{V2}{{\"seq\":23,"));
    assert_eq!(finding(state.path()), Finding::Cut(Cut::Torn(10)));
    assert_eq!(settle(state.path()).unwrap().torn, Some(10));
    assert_eq!(finding(state.path()), Finding::Complete);
}

#[test]
fn a_record_of_format_1_is_settled_without_a_chain() {
    let state = state_with(V1);
    assert_eq!(settle(state.path()).unwrap().head, None);
    let ledger = read(&ledger_path(state.path(), "r7k2")).unwrap();
    assert_eq!((ledger.entries.len(), ledger.chain), (22, None));
    assert_eq!(finding(state.path()), Finding::FormOnly);
}

#[test]
fn what_is_unfinished_changed_or_not_as_its_head_says_is_left_alone() {
    let cut: String = V2.split_inclusive('\n').take(12).collect();
    let state = state_with(&cut);
    assert!(matches!(
        settle(state.path()),
        Err(CannotSettle::Unfinished { .. })
    ));

    let state = state_with(&V2.replacen("412 g/kWh", "112 g/kWh", 1));
    let error = settle(state.path()).unwrap_err().to_string();
    assert!(
        error.contains("ledger.jsonl:4: it does not follow"),
        "{error}"
    );

    let state = state_with(V2);
    settle(state.path()).unwrap();
    let path = ledger_path(state.path(), "r7k2");
    // Cut at the end of a line: only the noted head tells.
    std::fs::write(&path, V2).unwrap();
    assert!(matches!(
        settle(state.path()),
        Err(CannotSettle::Rewritten { .. })
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), V2);
}

#[test]
fn a_run_that_is_being_written_is_not_settled() {
    let state = tempfile::tempdir().unwrap();
    let writer = Writer::begin(state.path().to_owned(), 7, Options::default());
    let run = writer.id().within(Duration::from_secs(20));
    let first: Entry = serde_json::from_str(V2.lines().next().unwrap()).unwrap();
    let ticket = writer.record(first.at, Duration::ZERO, first.what, Sync::Now);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    assert!(runtime.block_on(ticket.within(Duration::from_secs(20))));
    let refused = append_settlements(state.path(), &run, now(), vec![settlement(1.0)], None);
    assert!(
        matches!(refused, Err(CannotSettle::Busy { .. })),
        "{refused:?}"
    );
    assert!(writer.finish(Duration::from_secs(20)).is_complete);
}

#[test]
fn a_number_that_is_none_is_refused_and_nothing_is_written() {
    let state = state_with(V2);
    let wrong = vec![settlement(1.0), settlement(f64::NAN)];
    let refused = append_settlements(state.path(), "r7k2", now(), wrong, None);
    assert!(matches!(refused, Err(CannotSettle::NoNumber { .. })));
    let text = std::fs::read_to_string(ledger_path(state.path(), "r7k2")).unwrap();
    assert_eq!(text, V2);
}

#[test]
fn no_link_on_the_way_is_followed_and_no_name_leads_elsewhere() {
    let real = state_with(V2);
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("runs")).unwrap();
    let run = state.path().join("runs/r7k2");
    symlink(real.path().join("runs/r7k2"), &run).unwrap();
    assert!(matches!(settle(state.path()), Err(CannotSettle::Io { .. })));
    std::fs::remove_file(&run).unwrap();
    std::fs::create_dir(&run).unwrap();
    symlink(ledger_path(real.path(), "r7k2"), run.join("ledger.jsonl")).unwrap();
    assert!(matches!(settle(state.path()), Err(CannotSettle::Io { .. })));
    let elsewhere = append_settlements(state.path(), "../r7k2", now(), Vec::new(), None);
    assert!(matches!(elsewhere, Err(CannotSettle::Io { .. })));
    assert_eq!(
        std::fs::read_to_string(ledger_path(real.path(), "r7k2")).unwrap(),
        V2
    );
}
