use std::path::Path;

use super::*;
use crate::ledger::entry::ReplayOf;
use crate::units::{GramsPerKwh, Joules};

const V1: &str = include_str!("../../tests/fixtures/ledger_v1.jsonl");

/// The run of the examples: DE, six hours of work, a hold and one pause.
pub(crate) fn example() -> Ledger {
    let line = |line: &str| serde_json::from_str::<Entry>(line).unwrap();
    Ledger::from_entries(V1.lines().map(line).collect())
}

/// The example with some entries changed.
pub(crate) fn with(mut change: impl FnMut(&mut What)) -> Ledger {
    let mut ledger = example();
    ledger
        .entries
        .iter_mut()
        .for_each(|entry| change(&mut entry.what));
    Ledger::from_entries(ledger.entries)
}

/// The grid turned out dirty where it was said to be clean.
pub(crate) fn wrong_forecast() -> Ledger {
    with(|what| {
        if let What::Intensity { points, .. } = what {
            for point in points {
                if point.kind == IntensityKind::Observed {
                    point.g_per_kwh = GramsPerKwh(if point.start < at("2026-11-24T23:00:00Z") {
                        210.0
                    } else {
                        290.0
                    });
                }
            }
        }
    })
}

pub(crate) fn ended(exit: Option<Exit>, why: Option<&str>) -> Ledger {
    with(|what| {
        if let What::End {
            exit: e, why: w, ..
        } = what
        {
            (*e, *w) = (exit, why.map(str::to_owned));
        }
    })
}

pub(crate) fn unfinished() -> Ledger {
    let mut entries = example().entries;
    entries.retain(|entry| !matches!(entry.what, What::End { .. }));
    Ledger::from_entries(entries)
}

pub(crate) fn replay() -> Ledger {
    with(|what| {
        if let What::Begin(begin) = what {
            begin.replay = Some(ReplayOf {
                trace: "DE_2020.csv".to_owned(),
                speed: 600.0,
            });
        }
    })
}

pub(crate) fn assumed() -> Ledger {
    with(|what| {
        if let What::Segment(segment) = what {
            for reading in &mut segment.energy {
                reading.component = "all".to_owned();
                reading.kind = EnergyKind::Assumed;
                reading.source = "--power 390 W".to_owned();
            }
        }
    })
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(crate) fn summary(ledger: &Ledger) -> Summary {
    summarise(ledger, at("2026-11-25T07:00:00Z")).unwrap()
}

#[test]
fn time_and_energy_add_up_to_the_run() {
    let run = summary(&example());
    assert_eq!(run.elapsed_s(), 48_420.0);
    assert_eq!(run.duration_s[Part::Held], 24_000.0);
    assert_eq!(run.duration_s[Part::Running], 21_720.0);
    assert_eq!((run.pauses, run.attempts), (1, 1));
    let parts: KilowattHours = run.components.iter().map(|c| c.energy).sum();
    assert!((parts.0 - run.energy.total().0).abs() < 1e-12);
}

#[test]
fn a_saving_is_the_difference_of_run_now_and_the_run() {
    let run = summary(&example());
    let own = &run.emissions[0];
    let avoided = own.avoided.unwrap();
    assert_eq!(avoided, own.run_now.g.total() - own.account.g.total());
    assert!(avoided.0 > 0.0);
}

#[test]
fn a_wrong_forecast_makes_avoided_negative_and_is_named() {
    let run = summary(&wrong_forecast());
    let own = &run.emissions[0];
    assert!(own.avoided.unwrap().0 < 0.0);
    assert_eq!(own.surprise.unwrap().from, at("2026-11-24T23:40:00Z"));
}

#[test]
fn a_job_that_did_not_do_its_work_has_avoided_nothing() {
    let cases = [
        (ended(Some(Exit::Code(1)), None), NotCompared::Failed),
        (ended(Some(Exit::Signal(9)), None), NotCompared::Failed),
        (
            ended(Some(Exit::Code(0)), Some("stopped by an operator")),
            NotCompared::Stopped,
        ),
        // It was started, and the run was over before the job was.
        (ended(None, Some("INT")), NotCompared::Stopped),
        (unfinished(), NotCompared::Unfinished),
    ];
    for (ledger, why) in cases {
        assert_eq!(summary(&ledger).emissions[0].avoided, Err(why));
    }
}

#[test]
fn a_run_without_all_its_records_is_not_compared() {
    let mut entries = example().entries;
    let is_pause = |entry: &Entry| matches!(&entry.what, What::Segment(segment) if segment.part == Part::Paused);
    entries.retain(|entry| !is_pause(entry));
    let run = summary(&Ledger::from_entries(entries));
    assert_eq!(run.unrecorded_s, 2700.0);
    assert_eq!(run.emissions[0].avoided, Err(NotCompared::Unrecorded));
}

#[test]
fn emissions_at_times_of_unknown_intensity_are_not_compared_and_not_zero() {
    let ledger = with(|what| {
        if let What::Intensity { points, .. } = what {
            points.retain(|point| point.start < at("2026-11-25T05:00:00Z"));
        }
    });
    let own = summary(&ledger).emissions.remove(0);
    assert!(own.account.uncovered.0 > 0.2);
    assert_eq!(own.avoided, Err(NotCompared::Uncovered));
}

#[test]
fn a_deadline_is_kept_only_by_work_that_is_done() {
    let deadline = |ledger: &Ledger| summary(ledger).deadline.unwrap().1;
    assert_eq!(deadline(&example()), Deadline::Kept(5580.0));
    assert_eq!(
        deadline(&ended(Some(Exit::Code(1)), None)),
        Deadline::NotDone
    );
    assert_eq!(deadline(&unfinished()), Deadline::Open);
    let late = with(|what| {
        if let What::Begin(begin) = what {
            begin.deadline = Some(at("2026-11-25T06:00:00Z"));
        }
    });
    assert_eq!(deadline(&late), Deadline::Missed(1620.0));
}

#[test]
fn what_became_known_later_is_left_out_of_an_earlier_look() {
    let early = summarise(&example(), at("2026-11-25T05:00:00Z")).unwrap();
    assert!(early.is_unfinished());
    let run = early.emissions.first().unwrap();
    assert_eq!(run.account.share(IntensityKind::Observed), 0.0);
}

#[test]
fn observations_alone_settle_a_report() {
    let settled = with(|what| {
        if let What::Intensity { points, .. } = what {
            points
                .iter_mut()
                .for_each(|p| p.kind = IntensityKind::Observed);
        }
    });
    assert!(summary(&settled).emissions[0].is_settled);
    assert!(!summary(&example()).emissions[0].is_settled);
}

#[test]
fn another_basis_has_an_account_of_its_own() {
    let mut entries = example().entries;
    let marginal = Basis {
        signal: crate::forecast::Signal::Marginal,
        scope: crate::forecast::Scope::Direct,
    };
    let mut other = entries[1].clone();
    if let What::Intensity { basis, points, .. } = &mut other.what {
        *basis = marginal;
        points
            .iter_mut()
            .for_each(|point| point.g_per_kwh = GramsPerKwh(700.0));
    }
    entries.insert(2, other);
    let run = summary(&Ledger::from_entries(entries));
    let bases: Vec<Basis> = run.emissions.iter().map(|e| e.basis).collect();
    assert_eq!(bases, [Basis::AVERAGE_LIFECYCLE, marginal]);
    let mean = run.emissions[1].account.mean().unwrap();
    assert!((mean.0 - 700.0).abs() < 1e-9);
    assert_eq!(run.emissions[0], summary(&example()).emissions[0]);
}

#[test]
fn an_empty_ledger_says_nothing() {
    assert_eq!(
        summarise(&Ledger::default(), at("2026-11-25T07:00:00Z")),
        None
    );
}

#[test]
fn a_ledger_cut_anywhere_is_summarised_with_a_lower_bound() {
    let here = tempfile::tempdir().unwrap();
    let path: &Path = &here.path().join("ledger.jsonl");
    let whole = summary(&example()).energy.total();
    let mut least = KilowattHours::ZERO;
    for (lines, _) in V1.match_indices('\n') {
        std::fs::write(path, &V1[..lines + 5.min(V1.len() - lines)]).unwrap();
        let run = summary(&crate::ledger::read(path).unwrap());
        let energy = run.energy.total();
        assert!(least <= energy && energy <= whole);
        least = energy;
    }
    assert_eq!(least, whole);
}

#[test]
fn a_counter_that_ran_backwards_takes_no_energy_away() {
    let ledger = with(|what| {
        if let What::Segment(segment) = what
            && let Some(reading) = segment.energy.first_mut()
        {
            reading.joules = Joules(-1.0);
        }
    });
    let run = summary(&ledger);
    assert!(run.energy.total().0 > 0.0);
    assert!(
        run.components
            .iter()
            .all(|component| component.energy.0 >= 0.0)
    );
}
