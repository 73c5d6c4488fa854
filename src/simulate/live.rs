//! One job lived out by the machine of a run, from event to event on a virtual clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::policy::{Policy, Rule, Sight};
use super::{Costs, Job, Outcome, World, k_lowest, oracle};
use crate::clock::Moment;
use crate::emissions::{account, priced_span};
use crate::forecast::Span;
use crate::ledger::entry::{EnergyKind, Exit, Part, Reading, Segment};
use crate::supervise::machine::{
    self, Effect, Event, Leftovers, Machine, POLL, Pausing, Phase, Planner, Retry, Settings,
    Stretch, Ties, Wakeup,
};
use crate::units::Pue;

/// A machine that is asked more often than this about one job would never let it end.
const MOST_STEPS: u32 = 1_000_000;

/// How `job` fares in `world` under `policy`.
pub fn live(job: &Job, world: &World, policy: Policy, costs: &Costs) -> Outcome {
    let view = world.view(policy.sight);
    let (rule, planner): (_, Arc<dyn Planner>) = match policy.rule {
        Rule::Oracle => return oracle::outcome(job, world, costs),
        Rule::KLowest => {
            let planner = k_lowest::Planned::new(view.planner.clone(), costs.tick);
            (machine::Policy::Plan, Arc::new(planner))
        }
        Rule::Shipped(rule) => (rule, view.planner.clone()),
    };
    // Where neither the intensities nor the work left hold news, a plan needs no second look before
    // it changes by itself.
    let has_news = policy.sight != Sight::Perfect || job.told.is_none();
    let replan = match rule {
        machine::Policy::Now => Duration::MAX,
        _ if policy.rule == Rule::KLowest || !has_news => Duration::MAX,
        _ => costs.tick,
    };
    let settings = settings(job, rule, costs, replan);
    let begin = moment(job.arrival, Duration::ZERO);
    let mut machine = Machine::with_planner(settings, begin, planner);
    let mut events = VecDeque::from([
        Event::Forecast(view.known.clone()),
        Event::Begin,
        Event::GuardReady,
    ]);
    let mut stretches = Vec::new();
    let mut now = begin;
    // When the job has saved what it was asked to.
    let mut saved_at = None;
    for _ in 0..MOST_STEPS {
        while let Some(event) = events.pop_front() {
            for effect in machine.on(now, event) {
                let took = Duration::ZERO;
                match effect {
                    Effect::Start { .. } => events.push_back(Event::Started { pid: 1, took }),
                    Effect::Pause => saved_at = Some(now.elapsed + costs.pause),
                    Effect::Resume => {
                        events.push_back(Event::ResumeConfirmed { processes: 1, took });
                    }
                    Effect::Segment(stretch) => stretches.push(stretch),
                    _ => {}
                }
            }
        }
        if let Phase::Ended(_) = machine.phase() {
            break;
        }
        let left = job.running_time.saturating_sub(machine.productive(now));
        let ends_at = progresses(&machine, now).then(|| now.elapsed + left);
        let wake = wakes_at(machine.next_wakeup(), now);
        let next = [wake, saved_at, ends_at].into_iter().flatten().min();
        let Some(next) = next else { break };
        now = moment(job.arrival, next.max(now.elapsed));
        let processes = 1;
        events.push_back(if ends_at.is_some_and(|at| at <= now.elapsed) {
            Event::ChildEnded {
                exit: Some(Exit::Code(0)),
                left: 0,
            }
        } else if saved_at.take_if(|at| *at <= now.elapsed).is_some() {
            let took = costs.pause;
            Event::PauseConfirmed {
                processes,
                took,
                ties: Ties::default(),
            }
        } else {
            Event::Wake
        });
    }
    let segments = segments(&stretches, job, costs);
    let end = segments.last().map_or(job.arrival, |segment| segment.end);
    price(&segments, job, world, end, machine.pauses())
}

/// What a run is told that is started for this job.
fn settings(job: &Job, policy: machine::Policy, costs: &Costs, replan: Duration) -> Settings {
    Settings {
        policy,
        power: costs.power(job.load.mean()),
        switching: costs.switching(job.can_pause),
        pausing: Pausing::STOP,
        deadline: job.deadline,
        duration: job.expected(costs.margin),
        budget: None,
        on_budget: crate::supervise::settings::OnBudget::Warn,
        max_delay: job.max_delay,
        asked_for: job.deadline.is_some() || job.max_delay.is_some(),
        may_hold: true,
        may_pause: job.can_pause,
        can_pause: true,
        stop_signal: 15,
        grace: Duration::from_secs(30),
        leftovers: Leftovers::Leave,
        retry: Retry::default(),
        looks_at_devices: false,
        is_attached: false,
        follows: false,
        poll: POLL,
        replan,
    }
}

/// Time as in a replay of infinite speed: what is real in a run takes no time here.
fn moment(arrival: Timestamp, elapsed: Duration) -> Moment {
    Moment {
        utc: Span::new(arrival, elapsed).end,
        elapsed,
        monotonic: Duration::ZERO,
        suspended: Duration::ZERO,
    }
}

/// Whether the job gets on.
fn progresses(machine: &Machine, now: Moment) -> bool {
    let soon = Moment {
        elapsed: now.elapsed + Duration::from_nanos(1),
        ..now
    };
    machine.productive(soon) > machine.productive(now)
}

/// The time since arrival at which the machine wants to be woken, by the clocks that move.
fn wakes_at(wakeup: Wakeup, now: Moment) -> Option<Duration> {
    let by_utc = wakeup.utc.map(|at| {
        let left = Duration::try_from(at.duration_since(now.utc)).unwrap_or_default();
        now.elapsed + left
    });
    [by_utc, wakeup.elapsed].into_iter().flatten().min()
}

/// The stretches of a run as its ledger would have them.
fn segments(stretches: &[Stretch], job: &Job, costs: &Costs) -> Vec<Segment> {
    let idle = costs.power(job.load.mean()).idle;
    let mut ran = Duration::ZERO;
    let mut segments = Vec::with_capacity(stretches.len());
    for stretch in stretches {
        let length = stretch.to.elapsed.saturating_sub(stretch.from.elapsed);
        let pieces = match stretch.part {
            Part::Running | Part::Saving | Part::Restoring => job.load.within(ran, length),
            Part::Paused => vec![(length, idle)],
            Part::Held | Part::Suspended | Part::Overhead => Vec::new(),
        };
        if stretch.part == Part::Running {
            ran += length;
        }
        let mut from = stretch.from;
        for (length, power) in pieces {
            let to = moment(job.arrival, from.elapsed + length);
            segments.push(Segment {
                part: stretch.part,
                causes: stretch.causes.clone(),
                from_s: from.elapsed.as_secs_f64(),
                to_s: to.elapsed.as_secs_f64(),
                start: from.utc,
                end: to.utc,
                energy: vec![Reading {
                    component: String::new(),
                    joules: power * length,
                    kind: EnergyKind::Assumed,
                    method: None,
                    source: String::new(),
                    whole: None,
                }],
                unattributed: Vec::new(),
            });
            from = to;
        }
    }
    segments
}

/// What a run of `job` with these segments, that ended at `end`, comes to in `world`.
pub fn price(
    segments: &[Segment],
    job: &Job,
    world: &World,
    end: Timestamp,
    pauses: u32,
) -> Outcome {
    let truth = &world.known.observations;
    let account = account(segments, truth, world.known.basis, Pue::NONE);
    let running = segments
        .iter()
        .filter(|segment| segment.part == Part::Running);
    let covered: Duration = (running)
        .flat_map(|segment| truth.within(priced_span(segment)))
        .map(|point| point.span.length())
        .sum();
    Outcome::ended(job, end, account.g.total(), pauses, covered)
}
