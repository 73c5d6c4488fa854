//! How a job stands: Slurm's state with what it means to whoever submitted it. Pure.

use jiff::{SignedDuration, Timestamp};

use super::job::Job;

/// A begin time that we asked for and the one that Slurm has may be this far apart: it keeps whole
/// seconds, and `now+N` is counted from when it reads it.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(90);

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It waits for its start.
    Waits {
        /// It was started before.
        is_again: bool,
        /// Not before; none: as soon as the queue lets it.
        until: Option<Timestamp>,
        /// Whether that time is the plan's, not one of Slurm's own.
        is_planned: bool,
        /// What it waits for otherwise, in Slurm's word.
        reason: Option<String>,
    },
    /// It waits until its owner lets it go.
    HeldByOwner,
    /// It waits until an administrator lets it go.
    HeldByAdministrator,
    /// It has its nodes.
    Runs,
    /// It has its nodes, and Slurm has stopped it there.
    Suspended,
    /// It is over.
    Ended(String),
}

impl Standing {
    /// How this job stands at `now`; `planned`: when it is to start by the plan.
    pub fn of(job: &Job, planned: Option<Timestamp>, is_again: bool, now: Timestamp) -> Self {
        if job.is_pending() {
            return match job.reason.as_deref() {
                Some("JobHeldUser") => Self::HeldByOwner,
                Some("JobHeldAdmin") => Self::HeldByAdministrator,
                reason => {
                    let until = job
                        .eligible
                        .filter(|at| reason == Some("BeginTime") && *at > now);
                    let is_near = |at: Timestamp| {
                        planned.is_some_and(|it| at.duration_since(it).abs() <= TOLERANCE)
                    };
                    Self::Waits {
                        is_again: is_again || job.restarts > 0,
                        until,
                        is_planned: until.is_some_and(is_near),
                        reason: reason.filter(|_| until.is_none()).map(str::to_owned),
                    }
                }
            };
        }
        match job.state.as_str() {
            "SUSPENDED" | "STOPPED" => Self::Suspended,
            _ if !job.has_ended() => Self::Runs,
            state => Self::Ended(ended(state).to_owned()),
        }
    }

    /// Its name in `catrain.status/1`.
    pub fn word(&self) -> &str {
        match self {
            Self::Waits { is_again: true, .. } => "requeued",
            Self::Waits { .. } => "queued",
            Self::HeldByOwner => "held by you",
            Self::HeldByAdministrator => "held by an administrator",
            Self::Runs => "running",
            Self::Suspended => "suspended",
            Self::Ended(how) => how,
        }
    }
}

/// How a job ended, by Slurm's state (squeue(1), "Job state codes").
fn ended(state: &str) -> &str {
    match state {
        "COMPLETED" => "ended",
        "CANCELLED" => "cancelled",
        "FAILED" => "failed",
        "TIMEOUT" => "ended by its time limit",
        "DEADLINE" => "ended by Slurm's deadline",
        "NODE_FAIL" => "ended: a node of it failed",
        "BOOT_FAIL" => "ended: a node of it did not boot",
        "OUT_OF_MEMORY" => "ended: out of memory",
        "PREEMPTED" => "ended: another job took its nodes",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::job::read_queue;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A job with this state and reason, that may start at 02:00, `restarts` times started again.
    fn stands(state: &str, reason: &str, restarts: u32) -> Standing {
        let eligible = at("2026-11-28T02:00:03Z").as_second();
        let line = format!(
            "17;17;N/A;{state};{reason};1795866054;{eligible};{eligible};NONE;1:00:00;{restarts};3;;main;"
        );
        let job = read_queue(&line).pop().unwrap();
        let planned = Some(at("2026-11-28T02:00:00Z"));
        Standing::of(&job, planned, false, at("2026-11-28T00:00:00Z"))
    }

    #[test]
    fn a_begin_time_of_the_plan_is_told_from_one_of_slurms_own() {
        let Standing::Waits {
            is_again,
            until,
            is_planned,
            reason,
        } = stands("PENDING", "BeginTime", 0)
        else {
            panic!("it waits");
        };
        assert_eq!((is_again, is_planned, reason), (false, true, None));
        assert_eq!(until, Some(at("2026-11-28T02:00:03Z")));
        let line = "17;17;N/A;PENDING;BeginTime;1;1795831320;1795831320;NONE;1:00:00;1;3;;main;";
        let job = read_queue(line).pop().unwrap();
        let now = at("2026-11-28T01:00:00Z");
        assert!(job.eligible > Some(now));
        let own = Standing::of(&job, Some(at("2026-11-28T06:00:00Z")), false, now);
        assert!(matches!(
            own,
            Standing::Waits {
                is_planned: false,
                is_again: true,
                ..
            }
        ));
    }

    #[test]
    fn each_state_of_slurms_is_one_of_ours() {
        for (state, reason, restarts, word) in [
            ("PENDING", "Resources", 0, "queued"),
            ("PENDING", "Priority", 2, "requeued"),
            ("PENDING", "JobHeldUser", 0, "held by you"),
            ("PENDING", "JobHeldAdmin", 0, "held by an administrator"),
            ("RUNNING", "None", 0, "running"),
            ("COMPLETING", "None", 0, "running"),
            ("SUSPENDED", "None", 0, "suspended"),
            ("CANCELLED", "None", 0, "cancelled"),
            ("TIMEOUT", "TimeLimit", 0, "ended by its time limit"),
            ("COMPLETED", "None", 0, "ended"),
            ("REVOKED", "None", 0, "REVOKED"),
        ] {
            assert_eq!(stands(state, reason, restarts).word(), word, "{state}");
        }
        let waits = stands("PENDING", "Resources", 0);
        assert!(matches!(
            waits,
            Standing::Waits { until: None, reason: Some(why), .. } if why == "Resources"
        ));
    }
}
