//! What policies would have saved: the machine of a run, on a virtual clock over past intensities.
//!
//! A [`World`] is a zone's past, a [`Job`] what arrives in it, [`Costs`] what a pause takes there. A
//! [`Policy`] says what decides and how much of the world it may see: [`live`] builds the machine
//! that supervises real jobs, feeds it the events of such a job, and prices what came of it as a
//! report would. Only [`oracle`], the best possible in hindsight, and [`k_lowest`], the classic to
//! compare with, plan by themselves. [`rows`] sums up.
//!
//! Pure: the same job, world and costs give the same outcome on any number of threads.

pub mod k_lowest;
pub mod live;
pub mod oracle;
pub mod policy;
pub mod rows;
pub mod sight;
pub mod workload;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::forecast::{Knowledge, Outlook, Span};
use crate::supervise::machine::{Power, Switching};
use crate::units::{GramsCo2e, KilowattHours, Watts};

pub use self::policy::Policy;
pub use self::workload::{Job, Load};

/// A zone's past: all that its sources knew, the outcome included. A policy sees only what was
/// known by its present, unless it is told the future.
#[derive(Clone, Debug)]
pub struct World {
    /// The zone's name.
    pub zone: String,
    /// All of it; its observations are what grams are counted by.
    pub known: Arc<Knowledge>,
    as_known: sight::View,
    history: sight::View,
    profile: sight::View,
    perfect: sight::View,
    /// The future as it came.
    foresight: Arc<Outlook>,
}

/// Times without news, the same over and over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outages {
    /// The beginning of the first one.
    pub from: Timestamp,
    /// How long each is, below `every`.
    pub length: Duration,
    /// From one beginning to the next.
    pub every: Duration,
}

impl Outages {
    /// When the last news came, at `now`.
    pub fn last_news(&self, now: Timestamp) -> Timestamp {
        let Ok(since) = Duration::try_from(now.duration_since(self.from)) else {
            return now;
        };
        let into = Duration::from_nanos_u128(since.as_nanos() % self.every.as_nanos().max(1));
        match into < self.length {
            true => Span::new(self.from, since - into).end,
            false => now,
        }
    }
}

/// What a job's stops cost, and how often is decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// What stays on while paused.
    pub idle: Idle,
    /// Time at full power that a pause takes, without progress.
    pub pause: Duration,
    /// Time at full power from a resume until progress.
    pub resume: Duration,
    /// Least time from a start or resume to the next pause.
    pub min_run: Duration,
    /// Least time paused.
    pub min_pause: Duration,
    /// Most pauses of a job; none: no limit.
    pub max_pauses: Option<u32>,
    /// Time between two decisions, and the grid of the oracle and of k-lowest.
    pub tick: Duration,
    /// Planner's safety on a job's stated length: 0 where it is exact.
    pub margin: f64,
}

/// Power while paused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Idle {
    /// The same for all jobs.
    Power(Watts),
    /// A share of each job's own, 0 to 1.
    Share(f64),
}

impl Costs {
    /// The power of a job that draws `run` on average.
    pub fn power(&self, run: Watts) -> Power {
        let idle = match self.idle {
            Idle::Power(watts) => watts,
            Idle::Share(share) => run * share,
        };
        Power {
            run,
            idle,
            wait: Watts::ZERO,
        }
    }

    fn switching(&self, can_pause: bool) -> Switching {
        Switching {
            pause: self.pause,
            resume: self.resume,
            pause_energy: KilowattHours::ZERO,
            resume_energy: KilowattHours::ZERO,
            min_run: self.min_run,
            min_pause: self.min_pause,
            max_pauses: if can_pause { self.max_pauses } else { Some(0) },
            release: None,
        }
    }
}

/// How one job fared under one policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Emissions, of the time whose intensity is known.
    pub grams: GramsCo2e,
    /// Time from arrival to end beyond that of running at once.
    pub delay: Duration,
    /// Pauses, a held start not among them.
    pub pauses: u32,
    /// How long after its latest end it ended.
    pub late: Duration,
    /// Running time whose intensity is known.
    pub covered: Duration,
    /// Running time whose intensity is not known: in no sum of grams.
    pub uncovered: Duration,
}

impl Outcome {
    /// Of a job that ended at `end`, and of whose running time so much is `covered`.
    pub(super) fn ended(
        job: &Job,
        end: Timestamp,
        grams: GramsCo2e,
        pauses: u32,
        covered: Duration,
    ) -> Self {
        let since =
            |from: Timestamp| Duration::try_from(end.duration_since(from)).unwrap_or_default();
        Self {
            grams,
            delay: since(job.arrival).saturating_sub(job.running_time),
            pauses,
            late: since(job.latest_end()),
            covered,
            uncovered: job.running_time.saturating_sub(covered),
        }
    }
}

/// Why a job cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// It begins before the first observation.
    BeforeTheData,
    /// Its latest end is after the last observation.
    AfterTheData,
    /// No observation at this time, between its arrival and its latest end.
    Hole(Timestamp),
    /// It cannot be done by its deadline, whatever is decided.
    TooLong,
}

impl std::fmt::Display for Unjudged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BeforeTheData => f.write_str("arrives before the data begins"),
            Self::AfterTheData => f.write_str("may end after the data does"),
            Self::Hole(at) => write!(f, "no intensity is known at {at}"),
            Self::TooLong => f.write_str("takes longer than from its arrival to its deadline"),
        }
    }
}

/// Whether a job can be judged in a world: only where all that it could live through is known.
///
/// # Errors
/// Why it cannot.
pub fn judge(job: &Job, world: &World) -> Result<(), Unjudged> {
    let truth = &world.known.observations;
    let latest = job.latest_end();
    let span = truth.span().ok_or(Unjudged::Hole(job.arrival))?;
    if job.arrival < span.start {
        return Err(Unjudged::BeforeTheData);
    }
    if Span::new(job.arrival, job.running_time).end > latest {
        return Err(Unjudged::TooLong);
    }
    if latest > span.end {
        return Err(Unjudged::AfterTheData);
    }
    let mut reached = job.arrival;
    for point in truth.within(Span {
        start: job.arrival,
        end: latest,
    }) {
        if point.span.start > reached {
            break;
        }
        reached = point.span.end;
    }
    match reached < latest {
        true => Err(Unjudged::Hole(reached)),
        false => Ok(()),
    }
}
