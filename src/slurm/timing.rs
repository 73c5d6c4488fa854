//! When a job in a queue is to begin: what a plan for a job that has not started means for Slurm. Pure.
//!
//! A begin time alone holds the job, so nothing of ours has to live while it waits. Where the job keeps its
//! nodes while it is paused, the wait before the start is all that is planned ahead.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::job::{Job, TimeLimit};
use crate::forecast::Outlook;
use crate::plan::delay::FIRST_RUN;
use crate::plan::{Act, Allowance, Decision, Fit, Policy, Situation, State, Work, decide};
use crate::supervise::machine::{Expected, PauseWith, Settings, delay_allowed};

/// Time that a job is to be done before its time limit, beside the grace.
pub const BEFORE_LIMIT: Duration = Duration::from_mins(5);
/// The furthest that a begin time is moved so that not all jobs begin at once.
const MOST_SPREAD: Duration = Duration::from_mins(5);
/// A begin time is moved when it changes by this much …
const LEAST_MOVE: Duration = Duration::from_mins(2);
/// … and by this part of the time that is left until then.
const MOVE_SHARE: u32 = 20;
/// Jobs whose time in the queue has to be known before it counts as usual.
const LEAST_KNOWN: usize = 3;

/// Whether a job that is paused so keeps its nodes, and its time limit runs on.
pub fn keeps_nodes(with: PauseWith) -> bool {
    match with {
        PauseWith::Stop | PauseWith::Freeze | PauseWith::Checkpoint | PauseWith::Restart => true,
        PauseWith::Requeue | PauseWith::Suspend | PauseWith::Auto => false,
    }
}

/// What a begin time depends on, beside the settings of the run.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    /// Now.
    pub now: Timestamp,
    /// When it was submitted: delay counts from there.
    pub submitted: Timestamp,
    /// Not before this, by the user's word.
    pub not_before: Option<Timestamp>,
    /// The latest start that was promised before.
    pub latest: Option<Timestamp>,
    /// How long jobs of this user usually wait for nodes.
    pub usual_wait: Duration,
    /// The intensity ahead; none: nothing is known.
    pub outlook: Option<&'a Outlook>,
    /// A random number from 0 to 1, always the same for a job.
    pub draw: f64,
}

/// When a job is to begin, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The begin time for Slurm: never before `now`.
    pub begin: Timestamp,
    /// When it is planned to run: later by the usual wait.
    pub start: Timestamp,
    /// The latest begin time that keeps the deadline and the delay that was allowed; none: it may not wait.
    pub latest: Option<Timestamp>,
    /// What the plan says.
    pub decision: Decision,
}

/// The begin time by the plan.
pub fn timing(policy: &Policy, settings: &Settings, queued: &Queued<'_>) -> Timing {
    let &Queued {
        now, usual_wait, ..
    } = queued;
    // What the user has put off is no delay of ours.
    let from = queued.not_before.map_or(now, |at| at.max(now));
    let since = queued
        .not_before
        .map_or(queued.submitted, |at| at.max(queued.submitted));
    let waited = positive(from.duration_since(since));
    let allowance = allowance(settings, settings.may_hold, Duration::ZERO, waited);
    let decision = match queued.outlook {
        None => Decision::nothing_known(),
        Some(outlook) => decide(from, policy, &situation(settings, allowance, outlook)),
    };
    let by_deadline = match decision.deadline {
        Some(Fit::Planned { spare }) => Some(later(from, spare)),
        Some(Fit::Tight | Fit::CannotBeMet { .. }) => Some(from),
        None => None,
    };
    let by_delay = match allowance {
        Allowance::Given(left) => Some(later(from, left)),
        Allowance::Deadline | Allowance::Earned { .. } | Allowance::None => None,
    };
    let start = match (decision.act, decision.until) {
        (Act::Pause, Some(until)) => until.max(from),
        _ => from,
    };
    // In the queue it waits as well.
    let earlier = |at: Timestamp| sooner(at, usual_wait).max(from);
    let latest = [by_deadline, by_delay].into_iter().flatten().min();
    let latest = [latest.map(earlier), queued.latest]
        .into_iter()
        .flatten()
        .min();
    let planned = latest.map_or(earlier(start), |latest| {
        earlier(start).min(latest).max(from)
    });
    let begin = match planned > from {
        true => spread(
            planned,
            latest.unwrap_or(planned),
            step(queued.outlook, planned),
            queued.draw,
        ),
        false => from,
    };
    Timing {
        begin,
        start: start.max(begin),
        latest,
        decision,
    }
}

/// A job that has started and that Slurm suspends and resumes by somebody's word.
#[derive(Clone, Copy, Debug)]
pub struct Going<'a> {
    /// Now.
    pub now: Timestamp,
    /// Since when delay counts.
    pub submitted: Timestamp,
    /// How long it has run, without what it was suspended.
    pub productive: Duration,
    /// How long it has been suspended now; none: it runs.
    pub suspended: Option<Duration>,
    /// The intensity ahead.
    pub outlook: &'a Outlook,
    /// When it is looked at again, at the latest.
    pub poll: Duration,
}

/// Whether it is to run, and until when.
pub fn going(policy: &Policy, settings: &Settings, going: &Going<'_>) -> Decision {
    let &Going {
        now, productive, ..
    } = going;
    let waited = positive(now.duration_since(going.submitted)).saturating_sub(productive);
    let may_wait = settings.may_pause && settings.can_pause;
    let allowance = allowance(settings, may_wait, productive, waited);
    let left = |expected: Expected| {
        let remaining = expected.duration.saturating_sub(productive);
        (!remaining.is_zero()).then(|| Work::Known {
            remaining,
            margin: expected.duration.mul_f64(expected.margin),
        })
    };
    let situation = Situation {
        state: match going.suspended {
            Some(time) => State::Paused(time),
            None => State::Running(productive),
        },
        work: (settings.duration)
            .and_then(left)
            .unwrap_or(Work::Unknown { productive }),
        poll: going.poll,
        ..situation(settings, allowance, going.outlook)
    };
    decide(now, policy, &situation)
}

/// The begin time, later by a part of what the plan does not mind: a quarter of the forecast's interval, five
/// minutes at most, and never past the latest. So ten thousand jobs that heard the same do not all begin
/// in the same second.
pub fn spread(begin: Timestamp, latest: Timestamp, step: Duration, draw: f64) -> Timestamp {
    let room = positive(latest.duration_since(begin));
    let most = (step / 4).min(MOST_SPREAD).min(room);
    let share = if draw.is_finite() {
        draw.clamp(0.0, 1.0)
    } else {
        0.0
    };
    later(begin, Duration::from_secs(most.mul_f64(share).as_secs()))
}

/// Whether a begin time that would now be another is worth being moved.
pub fn is_worth_moving(now: Timestamp, from: Timestamp, to: Timestamp) -> bool {
    let change = from.duration_since(to).unsigned_abs();
    let left = positive(from.duration_since(now));
    change > LEAST_MOVE.max(left / MOVE_SHARE)
}

/// How long jobs of this user usually wait for nodes once they may start: the median, of those that never
/// were requeued; none: too few are known.
pub fn usual_wait(jobs: &[Job]) -> Option<Duration> {
    let has_started = |job: &&Job| {
        !job.is_pending() && job.restarts == 0 && !job.nodes.is_empty() && job.nodes != "(null)"
    };
    let mut waits: Vec<Duration> = (jobs.iter().filter(has_started))
        .filter_map(|job| Some(positive(job.started?.duration_since(job.eligible?))))
        .collect();
    waits.sort_unstable();
    match waits.len() {
        few if few < LEAST_KNOWN => None,
        enough => Some(waits[(enough - 1) / 2]),
    }
}

/// How the length of a job stands to its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fits {
    /// It is done in time, whatever its margin.
    Well,
    /// It is, unless it takes longer than was said by so much of its margin.
    Barely {
        /// How much longer it may take than was said.
        spare: Duration,
    },
    /// It takes longer than its limit.
    Not,
}

/// Whether the job is done before its time limit, with the grace and five minutes to spare.
pub fn fits(limit: TimeLimit, expected: Option<Expected>, grace: Duration) -> Fits {
    let (TimeLimit::Of(limit), Some(expected)) = (limit, expected) else {
        return Fits::Well;
    };
    let Expected {
        duration, margin, ..
    } = expected;
    let usable = limit.saturating_sub(grace + BEFORE_LIMIT);
    if duration > limit {
        Fits::Not
    } else if duration.saturating_add(duration.mul_f64(margin)) <= usable {
        Fits::Well
    } else {
        Fits::Barely {
            spare: usable.saturating_sub(duration),
        }
    }
}

fn situation<'a>(settings: &Settings, allowance: Allowance, outlook: &'a Outlook) -> Situation<'a> {
    let mut switching = settings.switching;
    if keeps_nodes(settings.pausing.with) || !settings.may_pause {
        switching.max_pauses = Some(0);
    }
    let mut power = settings.power;
    if settings.pausing.with == PauseWith::Requeue {
        power.idle = power.wait;
    }
    // Nothing of the job draws anything while it is in the queue.
    power.wait = crate::units::Watts::ZERO;
    Situation {
        outlook,
        power,
        switching,
        state: State::Fresh,
        work: match settings.duration {
            Some(Expected {
                duration, margin, ..
            }) => Work::Known {
                remaining: duration,
                margin: duration.mul_f64(margin),
            },
            None => Work::Unknown {
                productive: Duration::ZERO,
            },
        },
        deadline: settings.deadline,
        allowance,
        // Slurm starts it at the time that it was given: nobody has to look in time.
        poll: Duration::ZERO,
        asked_for: settings.asked_for,
    }
}

/// How much longer it may wait, if it may at all: as `catrain run` has it.
fn allowance(
    settings: &Settings,
    may_wait: bool,
    productive: Duration,
    waited: Duration,
) -> Allowance {
    let &Settings {
        duration,
        max_delay,
        deadline,
        ..
    } = settings;
    if !may_wait {
        return Allowance::None;
    }
    let allowed = delay_allowed(duration, max_delay, deadline, productive);
    let left = allowed.map(|allowed| allowed.saturating_sub(waited));
    match (duration, max_delay, deadline, left) {
        (None, _, Some(_), _) => Allowance::None,
        (_, _, _, None) => Allowance::Deadline,
        (Some(Expected { given: true, .. }), _, _, Some(left)) | (_, Some(_), _, Some(left)) => {
            Allowance::Given(left)
        }
        (_, None, _, Some(left)) => Allowance::Earned {
            left,
            may_pause: productive >= FIRST_RUN,
        },
    }
}

/// How long the forecast's interval is at this time.
fn step(outlook: Option<&Outlook>, at: Timestamp) -> Duration {
    let point = outlook.and_then(|outlook| outlook.expected.point_at(at));
    point.map_or(Duration::from_hours(1), |point| point.span.length())
}

fn positive(span: SignedDuration) -> Duration {
    Duration::try_from(span).unwrap_or_default()
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn sooner(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Basis, Kind, Series};
    use crate::plan::Reason;
    use crate::slurm::job::JobId;
    use crate::supervise::machine::Pausing;
    use crate::units::GramsPerKwh;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    fn at(hours: f64) -> Timestamp {
        let seconds = 1_795_860_000 + (hours * 3600.0).round() as i64;
        Timestamp::from_second(seconds).unwrap()
    }

    /// Dirty for so many hours, then clean for 48.
    fn dirty_first(hours: usize) -> Outlook {
        let values = (0..hours + 48).map(|hour| if hour < hours { 600.0 } else { 100.0 });
        Outlook {
            zone: "DE".to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
            source: "test".to_owned(),
            kind: Kind::Live,
            confidence: 1.0,
            issued_at: Some(at(0.0)),
            expected: Series::regular(
                at(0.0),
                HOUR,
                values.map(|value| Some(GramsPerKwh(value))),
                Kind::Live,
            ),
            mean: GramsPerKwh(300.0),
        }
    }

    fn settings(with: PauseWith) -> Settings {
        Settings {
            pausing: Pausing {
                with,
                ..Pausing::STOP
            },
            duration: Some(Expected {
                duration: 2 * HOUR,
                margin: 0.25,
                given: true,
            }),
            asked_for: true,
            ..Settings::plain()
        }
    }

    fn queued(outlook: &Outlook) -> Queued<'_> {
        Queued {
            now: at(0.0),
            submitted: at(0.0),
            not_before: None,
            latest: None,
            usual_wait: Duration::ZERO,
            outlook: Some(outlook),
            draw: 0.0,
        }
    }

    fn of(settings: &Settings, queued: &Queued<'_>) -> Timing {
        timing(&Policy::Plan, settings, queued)
    }

    #[test]
    fn a_dirty_evening_is_waited_out_in_the_queue() {
        let outlook = dirty_first(5);
        let timing = of(&settings(PauseWith::Stop), &queued(&outlook));
        assert_eq!((timing.begin, timing.start), (at(5.0), at(5.0)));
        assert_eq!(
            timing.latest,
            Some(at(12.0)),
            "twelve hours where only the length is given"
        );
    }

    #[test]
    fn nothing_given_or_nothing_known_begins_now() {
        let outlook = dirty_first(5);
        let nothing = Settings {
            duration: None,
            asked_for: false,
            ..settings(PauseWith::Stop)
        };
        let timing = of(&nothing, &queued(&outlook));
        assert_eq!((timing.begin, timing.decision.act), (at(0.0), Act::Run));
        // A deadline without a known length gives no right to wait.
        let due = Settings {
            duration: None,
            deadline: Some(at(40.0)),
            ..settings(PauseWith::Stop)
        };
        let timing = of(&due, &queued(&outlook));
        assert_eq!(
            (timing.begin, timing.decision.reason),
            (at(0.0), Reason::UnknownWork)
        );
        let blind = Queued {
            outlook: None,
            ..queued(&outlook)
        };
        let timing = of(&settings(PauseWith::Stop), &blind);
        assert_eq!(
            (timing.begin, timing.decision.reason),
            (at(0.0), Reason::NothingKnown)
        );
    }

    #[test]
    fn the_latest_begin_keeps_the_deadline_and_the_delay() {
        let outlook = dirty_first(20);
        let due = Settings {
            deadline: Some(at(10.0)),
            ..settings(PauseWith::Stop)
        };
        let timing = of(&due, &queued(&outlook));
        // 10 h less 2 h and their margin of half an hour, less a reserve of a quarter of an hour.
        assert_eq!(timing.latest, Some(at(7.25)));
        assert!(timing.begin <= at(7.25), "{timing:?}");
        let both = Settings {
            max_delay: Some(3 * HOUR),
            ..due
        };
        let timing = of(&both, &queued(&outlook));
        assert_eq!(timing.latest, Some(at(3.0)));
        assert!(timing.begin <= at(3.0));
        // Half of the delay is over.
        let later = Queued {
            now: at(1.5),
            ..queued(&outlook)
        };
        assert_eq!(of(&both, &later).latest, Some(at(3.0)));
        let tight = Settings {
            deadline: Some(at(2.25)),
            ..settings(PauseWith::Stop)
        };
        let timing = of(&tight, &queued(&outlook));
        assert_eq!((timing.begin, timing.latest), (at(0.0), Some(at(0.0))));
    }

    #[test]
    fn what_was_promised_before_never_moves_later() {
        let outlook = dirty_first(8);
        let promised = Queued {
            latest: Some(at(4.0)),
            ..queued(&outlook)
        };
        let timing = of(&settings(PauseWith::Stop), &promised);
        assert_eq!((timing.begin, timing.latest), (at(4.0), Some(at(4.0))));
        // Even if that has passed it begins now, and not in the past.
        let over = Queued {
            now: at(5.0),
            ..promised
        };
        assert_eq!(of(&settings(PauseWith::Stop), &over).begin, at(5.0));
    }

    #[test]
    fn the_queues_usual_wait_is_part_of_the_wait() {
        let outlook = dirty_first(5);
        let busy = Queued {
            usual_wait: HOUR,
            ..queued(&outlook)
        };
        let timing = of(&settings(PauseWith::Stop), &busy);
        assert_eq!((timing.begin, timing.start), (at(4.0), at(5.0)));
        assert_eq!(timing.latest, Some(at(11.0)));
        let busier = Queued {
            usual_wait: 30 * HOUR,
            ..busy
        };
        assert_eq!(
            of(&settings(PauseWith::Stop), &busier).begin,
            at(0.0),
            "never in the past"
        );
    }

    #[test]
    fn the_users_own_begin_time_is_kept_and_is_no_delay_of_the_plan() {
        let outlook = dirty_first(5);
        let put_off = |hours| Queued {
            not_before: Some(at(hours)),
            ..queued(&outlook)
        };
        assert_eq!(of(&settings(PauseWith::Stop), &put_off(2.0)).begin, at(5.0));
        let timing = of(&settings(PauseWith::Stop), &put_off(20.0));
        assert_eq!((timing.begin, timing.latest), (at(20.0), Some(at(32.0))));
        let past = of(&settings(PauseWith::Stop), &put_off(-3.0));
        assert_eq!(past.begin, at(5.0));
    }

    #[test]
    fn pauses_are_planned_only_where_they_free_the_nodes() {
        // Clean for an hour, dirty for four, clean again: a pause is worth it.
        let mut values = vec![100.0];
        values.extend([600.0; 4]);
        values.extend([100.0; 43]);
        let mut outlook = dirty_first(5);
        outlook.expected = Series::regular(
            at(0.0),
            HOUR,
            values.into_iter().map(|value| Some(GramsPerKwh(value))),
            Kind::Live,
        );
        let limited = |with| Settings {
            max_delay: Some(5 * HOUR),
            ..settings(with)
        };
        let timing = of(&limited(PauseWith::Requeue), &queued(&outlook));
        assert_eq!(timing.begin, at(0.0));
        assert_eq!(timing.decision.plan.unwrap().pauses, 1);
        let timing = of(&limited(PauseWith::Stop), &queued(&outlook));
        assert_eq!(timing.begin, at(5.0));
        assert_eq!(timing.decision.plan.unwrap().pauses, 0);
    }

    #[test]
    fn begin_times_spread_over_what_the_plan_does_not_mind() {
        let far = at(9.0);
        for (begin, latest, step, draw, expected) in [
            (at(5.0), far, HOUR, 0.0, at(5.0)),
            (at(5.0), far, HOUR, 0.5, at(5.0 + 2.5 / 60.0)),
            (at(5.0), far, 8 * MINUTE, 0.5, at(5.0 + 1.0 / 60.0)),
            (at(5.0), at(5.0), HOUR, 0.9, at(5.0)),
            (at(5.0), at(4.0), HOUR, 0.9, at(5.0)),
            (
                at(5.0),
                at(5.0 + 1.0 / 60.0),
                HOUR,
                0.5,
                at(5.0 + 0.5 / 60.0),
            ),
            (at(5.0), far, HOUR, f64::NAN, at(5.0)),
        ] {
            assert_eq!(
                spread(begin, latest, step, draw),
                expected,
                "{draw} {step:?}"
            );
        }
        let outlook = dirty_first(5);
        let begins = |draw| {
            let queued = Queued {
                draw,
                ..queued(&outlook)
            };
            of(&settings(PauseWith::Stop), &queued).begin
        };
        assert!(begins(0.2) < begins(0.8) && begins(0.999) < at(5.0 + 5.0 / 60.0));
    }

    #[test]
    fn a_suspended_job_is_resumed_in_time_for_its_deadline_and_a_running_one_suspended_if_that_fits()
     {
        let outlook = dirty_first(5);
        let due = |deadline| Settings {
            deadline: Some(at(deadline)),
            ..settings(PauseWith::Suspend)
        };
        let job = |suspended| Going {
            now: at(1.0),
            submitted: at(0.0),
            productive: HOUR / 2,
            suspended,
            outlook: &outlook,
            poll: HOUR / 4,
        };
        let suspended = Some(HOUR / 2);
        for (deadline, suspended, act) in [
            (20.0, None, Act::Pause),
            (20.0, suspended, Act::Pause),
            // An hour and a half is left, and half an hour of margin.
            (3.25, None, Act::Run),
            (3.25, suspended, Act::Run),
        ] {
            let decision = going(&Policy::Plan, &due(deadline), &job(suspended));
            assert_eq!(decision.act, act, "{deadline} {suspended:?}: {decision:?}");
        }
        let free = Going {
            now: at(6.0),
            ..job(suspended)
        };
        assert_eq!(going(&Policy::Plan, &due(20.0), &free).act, Act::Run);
        let overrun = Going {
            productive: 3 * HOUR,
            ..job(suspended)
        };
        assert_eq!(going(&Policy::Plan, &due(20.0), &overrun).act, Act::Run);
    }

    #[test]
    fn a_begin_time_is_moved_only_by_much() {
        for (left, change, moves) in [
            (10.0, 1.0 / 60.0, false),
            (10.0, 0.4, false),
            (10.0, 0.6, true),
            (10.0, -0.6, true),
            (0.1, 2.0 / 60.0, false),
            (0.1, 3.0 / 60.0, true),
        ] {
            let worth = is_worth_moving(at(0.0), at(left), at(left + change));
            assert_eq!(worth, moves, "{left} {change}");
        }
    }

    #[test]
    fn the_usual_wait_is_the_median_of_jobs_that_have_started() {
        let job = |number: u64, wait: f64, state: &str, restarts| Job {
            id: JobId {
                job: number,
                task: None,
            },
            number,
            state: state.to_owned(),
            reason: None,
            submitted: Some(at(0.0)),
            eligible: Some(at(1.0)),
            started: Some(at(1.0 + wait)),
            ends: None,
            limit: TimeLimit::Unlimited,
            restarts,
            node_count: 1,
            nodes: if state == "PENDING" { "" } else { "n1" }.to_owned(),
            partition: "main".to_owned(),
        };
        let mut jobs = vec![
            job(1, 0.5, "COMPLETED", 0),
            job(2, 9.0, "PENDING", 0),
            job(3, 9.0, "RUNNING", 2),
            job(4, 0.1, "RUNNING", 0),
        ];
        assert_eq!(usual_wait(&jobs), None);
        jobs.push(job(5, 3.0, "FAILED", 0));
        assert_eq!(usual_wait(&jobs), Some(HOUR / 2));
    }

    #[test]
    fn a_job_fits_its_time_limit_or_it_is_told() {
        let expected = |hours: f64, margin| {
            Some(Expected {
                duration: HOUR.mul_f64(hours),
                margin,
                given: true,
            })
        };
        let grace = Duration::from_secs(30);
        let six = TimeLimit::Of(6 * HOUR);
        for (limit, expected, fit) in [
            (six, expected(4.0, 0.25), Fits::Well),
            (six, expected(6.5, 0.0), Fits::Not),
            (TimeLimit::Unlimited, expected(600.0, 0.25), Fits::Well),
            (TimeLimit::Unknown, expected(600.0, 0.25), Fits::Well),
            (six, None, Fits::Well),
            (
                six,
                expected(5.0, 0.25),
                Fits::Barely {
                    spare: HOUR - 5 * MINUTE - grace,
                },
            ),
            (
                six,
                expected(6.0, 0.0),
                Fits::Barely {
                    spare: Duration::ZERO,
                },
            ),
        ] {
            assert_eq!(fits(limit, expected, grace), fit, "{expected:?}");
        }
    }
}
