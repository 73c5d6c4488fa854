//! The run that started at once: the same work and the same power, without the stops for carbon.

use super::{earlier, is_carbon_alone, length};
use crate::ledger::entry::{Cause, Part, Segment};

/// A run without its carbon stops.
#[derive(Clone, Debug, PartialEq)]
pub struct RunNow {
    /// What is left of the run, each segment as much earlier as was taken out before it.
    pub segments: Vec<Segment>,
    /// Seconds that were taken out.
    pub removed_s: f64,
}

/// Takes out of `segments` what the carbon plan alone caused: holds and pauses, with the saving
/// and restoring around a pause that goes as a whole. Everything later moves earlier by as much.
///
/// What an operator or the terminal held as well would have been held anyway and stays, and so
/// does the time the host slept. Saving and restoring stay too if any of their pause does.
/// A wait in a cluster's queue before the first start stays: whoever starts at once waits for nodes as
/// well, as long as they were waited for then. One within a pause that gave the nodes back goes with that
/// pause: who never left them does not queue for them again.
/// Without a carbon stop the result is the very same segments.
pub fn run_now(segments: &[Segment]) -> RunNow {
    let removed = removed(segments);
    let mut removed_s = 0.0;
    let mut kept = Vec::with_capacity(segments.len());
    for (segment, is_removed) in segments.iter().zip(removed) {
        if is_removed {
            removed_s += length(segment);
            continue;
        }
        let mut segment = segment.clone();
        if removed_s > 0.0 {
            segment.from_s -= removed_s;
            segment.to_s -= removed_s;
            segment.start = earlier(segment.start, removed_s);
            segment.end = earlier(segment.end, removed_s);
        }
        kept.push(segment);
    }
    RunNow {
        segments: kept,
        removed_s,
    }
}

/// Whether a segment is none of a run that started at once, by itself: what surrounds a save or a restore
/// may say otherwise.
pub fn is_left_out(segment: &Segment) -> bool {
    match segment.part {
        Part::Held | Part::Paused | Part::Saving | Part::Restoring => is_carbon_alone(segment),
        Part::Running | Part::Suspended | Part::Overhead => false,
    }
}

/// Whether each segment is taken out.
fn removed(segments: &[Segment]) -> Vec<bool> {
    let mut removed: Vec<bool> = segments.iter().map(is_left_out).collect();
    for stop in stops(segments) {
        let pause = |at: &usize| segments[*at].part == Part::Paused;
        let gave_nodes_back = stop.clone().filter(pause).any(|at| removed[at]);
        for at in stop.clone().filter(pause) {
            let is_queue = segments[at].causes == [Cause::Queue];
            removed[at] |= is_queue && gave_nodes_back;
        }
        let mut pauses = stop.clone().filter(pause).peekable();
        let is_pause = pauses.peek().is_some();
        let goes_whole = is_pause && pauses.all(|at| removed[at]);
        for at in stop {
            let is_switch = matches!(segments[at].part, Part::Saving | Part::Restoring);
            // Without a pause beside it only its own cause speaks for a switch.
            if is_switch && is_pause {
                removed[at] = goes_whole
                    && segments[at]
                        .causes
                        .iter()
                        .all(|cause| *cause == Cause::Carbon);
            }
        }
    }
    removed
}

/// Stretches between two of running, as index ranges: each is at most one pause with its switches.
fn stops(segments: &[Segment]) -> Vec<std::ops::Range<usize>> {
    let mut stops = Vec::new();
    let mut from = None;
    for (at, segment) in segments.iter().enumerate() {
        match (segment.part, from) {
            (Part::Running | Part::Held, Some(start)) => {
                stops.push(start..at);
                from = None;
            }
            (Part::Running | Part::Held, None) => {}
            (_, None) => from = Some(at),
            (_, Some(_)) => {}
        }
    }
    stops.extend(from.map(|start| start..segments.len()));
    stops
}
