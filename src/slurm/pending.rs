//! What may be done to a submitted job that waits for its begin time. Pure.
//!
//! A job is moved only while it has never started, nobody holds it, and its begin time is the one that it was
//! given by us: whatever its owner has done by hand is the owner's.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::job::Job;
use super::record::Submitted;

/// Begin times this far apart are another's.
const SAME: SignedDuration = SignedDuration::from_secs(60);
/// A record is kept so long after the job was last to begin.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How a submitted job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for its begin time, and this may be moved.
    Waits,
    /// It is left alone.
    Left(Why),
    /// Slurm knows it no more.
    Gone {
        /// Whether that is so for long.
        is_old: bool,
    },
}

/// Why a job is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its owner, or an administrator, holds it.
    Held,
    /// Its begin time is not the one that was planned.
    ByHand,
    /// Its begin time has come: only nodes, or what it depends on, are missing.
    Eligible,
    /// It has started, or a task of it has.
    Started,
    /// It is over.
    Ended,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Held => "it is held, and begins when it is released",
            Self::ByHand => "its begin time was set by hand",
            Self::Eligible => "its begin time has come",
            Self::Started => "it has started",
            Self::Ended => "it is over",
        })
    }
}

/// How a job stands, by all jobs that Slurm knows of its owner.
pub fn standing(submitted: &Submitted, jobs: &[Job], now: Timestamp) -> Standing {
    let of: Vec<&Job> = (jobs.iter())
        .filter(|job| job.id.job == submitted.job)
        .collect();
    if of.is_empty() {
        let last = submitted.begin.max(submitted.submitted_at);
        return Standing::Gone {
            is_old: now.duration_since(last) > KEPT,
        };
    }
    let pending: Vec<&Job> = of.iter().copied().filter(|job| job.is_pending()).collect();
    let has_started = |job: &&Job| match job.is_pending() {
        true => job.restarts > 0,
        // Cancelled before it began, it has no nodes.
        false => job.state != "CANCELLED" || !job.nodes.is_empty(),
    };
    if of.iter().any(has_started) {
        return Standing::Left(match of.iter().all(|job| job.has_ended()) {
            true => Why::Ended,
            false => Why::Started,
        });
    }
    let Some(first) = pending.first() else {
        return Standing::Left(Why::Ended);
    };
    let is_held = |job: &&Job| {
        job.reason
            .as_ref()
            .is_some_and(|why| why.starts_with("JobHeld"))
    };
    if pending.iter().any(is_held) {
        return Standing::Left(Why::Held);
    }
    let Some(eligible) = first.eligible else {
        return Standing::Left(Why::Eligible);
    };
    // By the clock of here: the controller's may differ, and tells when it took the job.
    let offset = (first.submitted).map_or(SignedDuration::ZERO, |at| {
        at.duration_since(submitted.submitted_at)
    });
    let eligible = eligible.saturating_sub(offset).unwrap_or(eligible);
    if pending.iter().any(|job| job.eligible != first.eligible)
        || eligible.duration_since(submitted.begin).abs() > SAME
    {
        return Standing::Left(Why::ByHand);
    }
    match eligible <= now {
        true => Standing::Left(Why::Eligible),
        false => Standing::Waits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::job::{JobId, TimeLimit};
    use crate::slurm::record::tests::submitted;

    fn at(minutes: i64) -> Timestamp {
        submitted(1).submitted_at + SignedDuration::from_mins(minutes)
    }

    fn job(task: Option<u32>, state: &str, reason: &str, eligible: Option<i64>) -> Job {
        Job {
            id: JobId { job: 17, task },
            number: 17 + u64::from(task.unwrap_or(0)),
            state: state.to_owned(),
            reason: Some(reason.to_owned()),
            submitted: Some(at(0)),
            eligible: eligible.map(at),
            started: None,
            ends: None,
            limit: TimeLimit::Unlimited,
            restarts: 0,
            node_count: 1,
            nodes: if state == "RUNNING" { "n1" } else { "" }.to_owned(),
            partition: "main".to_owned(),
        }
    }

    #[test]
    fn only_what_waits_as_it_was_planned_is_moved() {
        let mut planned = submitted(17);
        planned.begin = at(90);
        let waits = || job(None, "PENDING", "BeginTime", Some(90));
        let requeued = Job {
            restarts: 1,
            ..waits()
        };
        let left = Standing::Left;
        for (jobs, expected) in [
            (vec![waits()], Standing::Waits),
            (
                vec![job(None, "PENDING", "Dependency", Some(90))],
                Standing::Waits,
            ),
            (
                vec![job(None, "PENDING", "JobHeldUser", Some(90))],
                left(Why::Held),
            ),
            (
                vec![job(None, "PENDING", "BeginTime", Some(95))],
                left(Why::ByHand),
            ),
            (
                vec![job(None, "PENDING", "BeginTime", Some(85))],
                left(Why::ByHand),
            ),
            (
                vec![job(None, "PENDING", "JobArrayTaskLimit", None)],
                left(Why::Eligible),
            ),
            (
                vec![job(None, "RUNNING", "None", Some(90))],
                left(Why::Started),
            ),
            (
                vec![job(None, "COMPLETED", "None", Some(90))],
                left(Why::Ended),
            ),
            (
                vec![job(None, "CANCELLED", "None", Some(90))],
                left(Why::Ended),
            ),
            (vec![requeued], left(Why::Started)),
            (vec![], Standing::Gone { is_old: false }),
        ] {
            assert_eq!(standing(&planned, &jobs, at(1)), expected, "{jobs:?}");
        }
        assert_eq!(standing(&planned, &[waits()], at(91)), left(Why::Eligible));
        let later = at(31 * 24 * 60);
        assert_eq!(
            standing(&planned, &[], later),
            Standing::Gone { is_old: true }
        );
    }

    #[test]
    fn an_array_is_moved_as_a_whole_or_not_at_all() {
        let mut planned = submitted(17);
        planned.begin = at(90);
        let task =
            |task, state: &str, eligible| job(Some(task), state, "BeginTime", Some(eligible));
        let of = |jobs: &[Job]| standing(&planned, jobs, at(1));
        assert_eq!(
            of(&[task(0, "PENDING", 90), task(1, "PENDING", 90)]),
            Standing::Waits
        );
        assert_eq!(
            of(&[task(0, "PENDING", 90), task(1, "CANCELLED", 90)]),
            Standing::Waits
        );
        assert_eq!(
            of(&[task(0, "PENDING", 90), task(1, "PENDING", 70)]),
            Standing::Left(Why::ByHand)
        );
        assert_eq!(
            of(&[task(0, "PENDING", 90), task(1, "RUNNING", 90)]),
            Standing::Left(Why::Started)
        );
    }

    #[test]
    fn a_controller_whose_clock_differs_has_set_no_other_time() {
        let mut planned = submitted(17);
        planned.begin = at(90);
        let mut ahead = job(None, "PENDING", "BeginTime", Some(95));
        ahead.submitted = Some(at(5));
        assert_eq!(standing(&planned, &[ahead], at(1)), Standing::Waits);
    }
}
