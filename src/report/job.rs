//! A run that is a job of a cluster's, or one node's part of it: how long it waited and for what, and what
//! all its nodes come to together.

use super::totals::Sum;
use super::{NotCompared, Summary, once};
use crate::emissions::{is_carbon_alone, length};
use crate::ledger::entry::{Cause, Part, Segment, SlurmJob};

/// Seconds that a job did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waits {
    /// It might have run, and had no nodes.
    pub queued_s: f64,
    /// Before its first start, by the plan alone.
    pub held_by_plan_s: f64,
    /// Between two stretches of running, without those in the queue.
    pub paused_s: f64,
}

impl Waits {
    /// Of a run with these segments.
    pub fn of(segments: &[Segment]) -> Self {
        let mut waits = Self::default();
        for segment in segments {
            let seconds = match segment.part {
                Part::Held | Part::Paused if is_queued(segment) => &mut waits.queued_s,
                Part::Held if is_carbon_alone(segment) => &mut waits.held_by_plan_s,
                Part::Paused => &mut waits.paused_s,
                _ => continue,
            };
            *seconds += length(segment);
        }
        waits
    }
}

/// Whether a stretch was spent in the cluster's queue for want of nodes.
fn is_queued(segment: &Segment) -> bool {
    segment.causes.contains(&Cause::Queue)
}

/// Seconds of `part` that were spent in the cluster's queue.
pub(super) fn queued_in(segments: &[Segment], part: Part) -> f64 {
    let queued = segments
        .iter()
        .filter(|one| one.part == part && is_queued(one));
    // A sum of no floats is −0.
    queued.map(length).fold(0.0, |all, one| all + one)
}

/// The name of a job among others in a report: `slurm:17`, of an array that of all its tasks.
pub fn name(job: &SlurmJob) -> String {
    format!("slurm:{}", job.id.job)
}

/// Whether what one node of a job saved may count, given how the node that leads ended: the work is the
/// job's, and it is done when the one that leads says so.
pub(super) fn outcome(
    own: Result<(), NotCompared>,
    leader: Result<(), NotCompared>,
) -> Result<(), NotCompared> {
    match (leader, own) {
        (Err(why), _) => Err(why),
        // On that node nothing was started by its own supervisor; its energy is the job's all the same.
        (Ok(()), Err(NotCompared::NeverStarted)) => Ok(()),
        (Ok(()), own) => own,
    }
}

/// What the nodes of a job come to, each and together.
pub(super) struct Nodes<'a> {
    /// The node that leads first.
    pub(super) each: Vec<(&'a Summary, Sum)>,
    /// All of it, energy of one device once.
    pub(super) together: Sum,
}

/// The nodes of the job that this run leads; none where it has no followers.
pub(super) fn nodes(run: &Summary) -> Option<Nodes<'_>> {
    if run.followers.is_empty() {
        return None;
    }
    let runs: Vec<&Summary> = std::iter::once(run).chain(&run.followers).collect();
    let mut together = Sum::none();
    let mut each = Vec::with_capacity(runs.len());
    for (run, doubled) in runs.iter().zip(once::doubled(&runs)) {
        let sum = Sum::of_run(run, &doubled);
        together.add(&sum);
        each.push((*run, sum));
    }
    Some(Nodes { each, together })
}

/// The node whose energy a run counts.
pub(super) fn node(run: &Summary) -> &str {
    match &run.begin.slurm {
        Some(job) if !job.node.is_empty() => &job.node,
        _ => &run.begin.host,
    }
}

#[cfg(test)]
pub(crate) mod tests;
