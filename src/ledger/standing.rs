//! How far a run came, as its record tells. Pure.

use std::time::Duration;

use jiff::Timestamp;

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
    /// The job has left its nodes and waits in the cluster's queue for its next start.
    Requeued {
        /// When it may start again, as it was asked for; none: when the queue sees fit.
        begin: Option<Timestamp>,
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
            What::Requeued { begin, .. } => Some(Standing::Requeued { begin: *begin }),
            // The cluster has started it again, and the job is not yet.
            What::TakenUp { .. } => Some(Standing::Left { exit: None }),
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
                    .any(|entry| matches!(entry.what, What::Left { .. } | What::Requeued { .. })),
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

/// The process that supervises a run, or did last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supervisor<'a> {
    /// Where it is.
    pub host: &'a str,
    /// The kernel's boot id there.
    pub boot_id: &'a str,
    /// Its process.
    pub pid: i32,
    /// The start of that in clock ticks since boot.
    pub start_ticks: u64,
    /// The node's name in a cluster, where it is in a job of one.
    pub node: Option<&'a str>,
    /// Seconds from the start of the run to its own; none where the record does not tell: a job that was
    /// submitted has waited before it.
    pub since_s: Option<f64>,
}

/// Who supervises the run of this record: whoever took it up last, else who began it.
pub fn supervisor(ledger: &Ledger) -> Option<Supervisor<'_>> {
    let (_, begin) = ledger.begin()?;
    let taken_up = ledger
        .entries
        .iter()
        .rev()
        .find_map(|entry| match &entry.what {
            What::TakenUp {
                host,
                boot_id,
                pid,
                start_ticks,
                node,
                ..
            } => Some(Supervisor {
                host,
                boot_id,
                pid: *pid,
                start_ticks: *start_ticks,
                node: Some(node),
                // The wait in the queue is recorded after it, and before the next start.
                since_s: None,
            }),
            _ => None,
        });
    Some(taken_up.unwrap_or(Supervisor {
        host: &begin.host,
        boot_id: &begin.boot_id,
        pid: begin.pid,
        start_ticks: begin.start_ticks,
        node: begin.slurm.as_ref().map(|job| job.node.as_str()),
        since_s: begin.slurm.is_none().then_some(0.0),
    }))
}

/// How often the cluster has started the job again, as the record tells.
pub fn restarts(ledger: &Ledger) -> u32 {
    let told = ledger.entries.iter().filter_map(|entry| match entry.what {
        What::TakenUp { restarts, .. } => Some(restarts),
        _ => None,
    });
    told.max().unwrap_or(0)
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
    fn a_run_that_was_requeued_waits_until_another_takes_it_up() {
        let all = entries();
        let is_start = |entry: &Entry| matches!(entry.what, What::Confirmed { action, .. } if action == Action::Start);
        let start = all.iter().position(is_start).unwrap();
        let begin: Option<Timestamp> = "2026-11-25T05:00:00Z".parse().ok();
        let requeued = What::Requeued {
            begin,
            why: "the plan".to_owned(),
        };
        let requeued = with(&all[..=start], requeued);
        assert_eq!(standing(&requeued), Standing::Requeued { begin });
        let ledger = Ledger::from_entries(requeued.clone());
        let first = supervisor(&ledger).unwrap();
        assert_eq!((first.since_s, first.node), (Some(0.0), None));
        let taken_up = What::TakenUp {
            host: "other".to_owned(),
            boot_id: "b".to_owned(),
            pid: 7,
            start_ticks: 9,
            node: "n2".to_owned(),
            restarts: 1,
        };
        let taken_up = with(&requeued, taken_up);
        assert_eq!(standing(&taken_up), Standing::Left { exit: None });
        let ledger = Ledger::from_entries(taken_up.clone());
        let second = supervisor(&ledger).unwrap();
        assert_eq!(
            (second.host, second.pid, second.node),
            ("other", 7, Some("n2"))
        );
        assert_eq!(restarts(&ledger), 1);
        let action = Action::Start;
        let intended = standing(&with(&taken_up, What::Intent { action }));
        assert!(matches!(intended, Standing::Starting { has_run: true, .. }));
        let again = with(&taken_up, all[start].what.clone());
        assert!(matches!(standing(&again), Standing::Started { .. }));
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
