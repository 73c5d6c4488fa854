//! The classic to compare with: on arrival the cheapest slots before the latest end are chosen by the
//! forecast of that time, and kept to whatever comes. A job that cannot pause gets the cheapest
//! window.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::forecast::{Knowledge, Outlook, Span};
use crate::plan::{Act, Allowance, Decision, Policy, Reason, Situation, Way, delay};
use crate::supervise::machine::Planner;
use crate::units::GramsPerKwh;

/// Decides for one job.
#[derive(Debug)]
pub(super) struct Planned {
    /// Who knows what lies ahead.
    sight: Arc<dyn Planner>,
    tick: Duration,
    /// When the job runs, and the dearest of it; made at the first decision.
    slots: OnceLock<(Vec<Span>, GramsPerKwh)>,
}

impl Planned {
    pub(super) fn new(sight: Arc<dyn Planner>, tick: Duration) -> Self {
        Self {
            sight,
            tick,
            slots: OnceLock::new(),
        }
    }

    fn choose(&self, now: Timestamp, s: &Situation<'_>) -> (Vec<Span>, GramsPerKwh) {
        let work = delay::estimate(s.work);
        let room = match (s.deadline, s.allowance) {
            (Some(deadline), _) => {
                Duration::try_from(deadline.duration_since(now)).unwrap_or_default()
            }
            (None, Allowance::Given(left)) => work + left,
            (None, _) => work,
        };
        let needed = work.as_nanos().div_ceil(self.tick.as_nanos()) as usize;
        let ticks = ((room.as_nanos() / self.tick.as_nanos()) as usize).max(needed);
        let ci: Vec<f64> = (s.outlook.expected)
            .resample(now, self.tick, ticks)
            .into_iter()
            .map(|known| known.unwrap_or(s.outlook.mean).0)
            .collect();
        let chosen = match s.switching.max_pauses {
            Some(0) => window(&ci, needed),
            _ => cheapest(&ci, needed),
        };
        let dearest = chosen.iter().map(|tick| ci[*tick]).fold(0.0, f64::max);
        let mut slots: Vec<Span> = Vec::new();
        for tick in chosen {
            let span = Span::new(Span::new(now, self.tick * tick as u32).end, self.tick);
            match slots.last_mut() {
                Some(last) if last.end == span.start => last.end = span.end,
                _ => slots.push(span),
            }
        }
        (slots, GramsPerKwh(dearest))
    }
}

/// The cheapest ticks, earlier ones where equal, in order of time.
fn cheapest(ci: &[f64], needed: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ci.len()).collect();
    order.sort_by(|a, b| ci[*a].total_cmp(&ci[*b]).then(a.cmp(b)));
    order.truncate(needed);
    order.sort_unstable();
    order
}

/// The cheapest ticks in a row, the earliest where equal.
fn window(ci: &[f64], needed: usize) -> Vec<usize> {
    let cost = |start: usize| ci[start..start + needed].iter().sum::<f64>();
    let starts = 0..=ci.len() - needed;
    let best = starts
        .min_by(|a, b| cost(*a).total_cmp(&cost(*b)))
        .unwrap_or(0);
    (best..best + needed).collect()
}

impl Planner for Planned {
    fn outlook(&self, now: Timestamp, known: &Knowledge) -> Option<Arc<Outlook>> {
        self.sight.outlook(now, known)
    }

    fn decide(&self, now: Timestamp, _: &Policy, s: &Situation<'_>) -> Decision {
        let (slots, limit) = self.slots.get_or_init(|| self.choose(now, s));
        let next = slots.iter().find(|slot| slot.end > now);
        let intensity = s.outlook.expected.at(now).unwrap_or(s.outlook.mean);
        let (act, until) = match next {
            Some(slot) if slot.contains(now) => (Act::Run, Some(slot.end)),
            Some(slot) => (Act::Pause, Some(slot.start)),
            // What overheads and wrong lengths have left over.
            None => (Act::Run, None),
        };
        let (now, limit) = (intensity, *limit);
        Decision {
            act,
            way: Way::Hold,
            until: until.filter(|_| next.is_some()),
            reason: match act {
                Act::Run => Reason::BelowThreshold { now, limit },
                Act::Pause => Reason::AboveThreshold { now, limit },
            },
            plan: None,
            deadline: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_slots_are_taken_in_order_of_time_and_the_earlier_of_equal_ones() {
        let ci = [3.0, 1.0, 2.0, 1.0, 2.0];
        assert_eq!(cheapest(&ci, 3), [1, 2, 3]);
        assert_eq!(window(&ci, 2), [1, 2]);
        assert_eq!(window(&ci, 5), [0, 1, 2, 3, 4]);
    }
}
