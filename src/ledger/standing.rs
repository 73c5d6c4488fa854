//! How far a run came, as its record tells. Pure.

use std::time::Duration;

use super::Ledger;
use super::entry::{Action, Exit, Part, What};

/// How far a run came.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// The record does not tell: it is empty, or lost what could have told.
    Unknown,
    /// The job was never started.
    NotStarted,
    /// The job was about to be started, and nothing tells whether it was.
    Starting {
        /// Seconds from the start of the run.
        at_s: f64,
        /// Whether it was started before, and left or failed.
        has_run: bool,
    },
    /// The job was started, and nothing tells of its end.
    Started {
        /// Its leader.
        pid: Option<i32>,
        /// Seconds from the start of the run.
        at_s: f64,
    },
    /// The job has left, or failed, and was to be started again.
    Left {
        /// How it ended; none where the kernel did not tell.
        exit: Option<Exit>,
    },
    /// The run is over.
    Ended {
        /// How the job ended; none when it never started.
        exit: Option<Exit>,
        /// In words, when it did not simply end.
        why: Option<String>,
    },
}

/// How far the run of this record came.
pub fn of(ledger: &Ledger) -> Standing {
    if ledger.begin().is_none() {
        return Standing::Unknown;
    }
    let told = ledger
        .entries
        .iter()
        .rev()
        .find_map(|entry| match &entry.what {
            What::End { exit, why, .. } => Some(Standing::Ended {
                exit: *exit,
                why: why.clone(),
            }),
            What::Left { exit, .. } => Some(Standing::Left { exit: *exit }),
            What::Confirmed {
                action: Action::Start,
                pid,
                ..
            } => Some(Standing::Started {
                pid: *pid,
                at_s: entry.elapsed_s,
            }),
            What::Intent {
                action: Action::Start,
            } => Some(Standing::Starting {
                at_s: entry.elapsed_s,
                has_run: (ledger.entries.iter())
                    .any(|entry| matches!(entry.what, What::Left { .. })),
            }),
            _ => None,
        });
    match told {
        Some(standing) => standing,
        // What was lost may have been the start.
        None if ledger.lost > 0 => Standing::Unknown,
        None => Standing::NotStarted,
    }
}

/// How long its job ran.
pub fn ran(ledger: &Ledger) -> Duration {
    let segments = ledger.entries.iter().filter_map(|entry| entry.segment());
    let seconds: f64 = segments
        .filter(|segment| segment.part == Part::Running)
        .map(|segment| segment.to_s - segment.from_s)
        .sum();
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;

    const V2: &str = include_str!("../../tests/fixtures/ledger_v2.jsonl");

    fn entries() -> Vec<Entry> {
        let lines = V2.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn standing(entries: &[Entry]) -> Standing {
        of(&Ledger::from_entries(entries.to_vec()))
    }

    fn with(entries: &[Entry], what: What) -> Vec<Entry> {
        let mut entries = entries.to_vec();
        let last = entries.last().unwrap().clone();
        entries.push(Entry { what, ..last });
        entries
    }

    #[test]
    fn the_last_start_end_or_leave_tells_how_far_a_run_came() {
        let all = entries();
        let start = all.iter().position(
            |entry| matches!(entry.what, What::Confirmed { action, .. } if action == Action::Start),
        );
        let start = start.unwrap();
        assert_eq!(standing(&[]), Standing::Unknown);
        assert_eq!(standing(&all[..1]), Standing::NotStarted);
        let action = Action::Start;
        let intended = with(&all[..1], What::Intent { action });
        let (at_s, has_run) = (all[0].elapsed_s, false);
        assert_eq!(standing(&intended), Standing::Starting { at_s, has_run });
        let started = standing(&all[..=start + 3]);
        assert!(matches!(started, Standing::Started { pid: Some(_), at_s } if at_s > 0.0));
        let exit = Some(Exit::Code(1));
        let left = What::Left {
            attempt: 1,
            exit,
            why: "tried again".to_owned(),
        };
        let left = with(&all[..=start], left);
        assert_eq!(standing(&left), Standing::Left { exit });
        let again = with(&left, all[start].what.clone());
        assert!(matches!(standing(&again), Standing::Started { .. }));
        assert!(matches!(standing(&all), Standing::Ended { .. }));
    }

    #[test]
    fn what_was_lost_may_have_been_the_start() {
        let all = entries();
        let gap = |lost| What::Gap { lost, summed: 3 };
        assert_eq!(standing(&with(&all[..1], gap(2))), Standing::Unknown);
        assert_eq!(standing(&with(&all[..1], gap(0))), Standing::NotStarted);
    }

    #[test]
    fn only_what_made_progress_counts_as_run() {
        let ledger = Ledger::from_entries(entries());
        let all: f64 = (ledger.entries.iter())
            .filter_map(|entry| entry.segment())
            .map(|segment| segment.to_s - segment.from_s)
            .sum();
        let ran = ran(&ledger).as_secs_f64();
        assert!(ran > 0.0 && ran < all, "{ran} {all}");
    }
}
