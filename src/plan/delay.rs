//! How much time there is to wait: the deadline guard, and the rules for delay given and earned.
//!
//! Every policy asks here first. The answer is room to plan in, or the [`Reason`] for which
//! the job must run now. The guard works in real time, not in ticks, so that rounding in the
//! planner can never cost a deadline.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Allowance, Fit, Reason, Situation, State, Way, Work};
use crate::forecast::{Kind, Outlook};
use crate::units::GramsCo2e;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The delay allowed with a duration and without `--deadline` or `--max-delay`, and the most that
/// can be earned: 12 h.
pub const MOST_DELAY: Duration = Duration::from_secs(12 * 3600);
/// No delay is earned before this much has run: 30 min.
pub const FIRST_RUN: Duration = Duration::from_secs(30 * 60);
/// The longest hold on a usual day alone, unless a deadline or delay was asked for: 6 h.
pub const LONGEST_PROFILE_HOLD: Duration = Duration::from_secs(6 * 3600);
/// A hold or pause is worth it from this share of the emissions that remain …
pub const WORTH_SHARE: f64 = 0.03;
/// … and from this many grams.
pub const WORTH_GRAMS: GramsCo2e = GramsCo2e(20.0);

/// Longer spans are cut to this (10 years): sums of two still are times.
const EVER: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The earned delay that is left: half the productive time, at most 12 h, less the delay so far.
///
/// ```
/// # use std::time::Duration;
/// let hours = |n: u64| Duration::from_secs(n * 3600);
/// assert_eq!(catrain::plan::delay::earned(hours(6), hours(1)), hours(2));
/// ```
pub fn earned(productive: Duration, delay_so_far: Duration) -> Duration {
    (productive / 2)
        .min(MOST_DELAY)
        .saturating_sub(delay_so_far)
}

/// Time to plan in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Best estimate of the work.
    pub(super) estimate: Duration,
    /// The work that is planned: the best estimate and its margin.
    pub(super) planned: Duration,
    /// Time until it has to be done: to the deadline, less the reserve.
    pub(super) to_deadline: Option<Duration>,
    /// Delay left.
    pub(super) delay_left: Option<Duration>,
    /// Whether there is time for a pause by [`Way::Hold`] if the job runs.
    pub(super) hold_fits: bool,
    /// The same by [`Way::Release`].
    pub(super) release_fits: bool,
    /// Longest that a start may still be held, where that is limited further.
    pub(super) hold_at_most: Option<Duration>,
    /// Time that can be waited before the guard says run.
    pub(super) until_guard: Duration,
    /// What the guard says then.
    pub(super) guard: Reason,
}

/// Best estimate of the work left. For unknown work as long again as it has run, 6 h to 96 h.
pub fn estimate(work: Work) -> Duration {
    match work {
        Work::Known { remaining, .. } => remaining.min(EVER),
        Work::Unknown { productive } => productive.clamp(6 * HOUR, 96 * HOUR),
    }
}

/// The work that is planned: the best estimate and its margin.
fn planned(work: Work) -> Duration {
    let margin = match work {
        Work::Known { margin, .. } => margin.min(EVER),
        Work::Unknown { .. } => Duration::ZERO,
    };
    estimate(work) + margin
}

/// Time before the deadline that no plan uses: 10 % of the slack, at most 15 min.
fn reserve(work: Work, to_deadline: Option<SignedDuration>) -> Duration {
    let Work::Known { .. } = work else {
        return Duration::ZERO;
    };
    let slack = to_deadline.map_or(Duration::ZERO, |left| {
        Duration::try_from(left)
            .unwrap_or_default()
            .saturating_sub(estimate(work))
    });
    (slack / 10).min(15 * MINUTE)
}

/// The upper estimate: what is planned, and the reserve.
fn upper(work: Work, to_deadline: Option<SignedDuration>) -> Duration {
    planned(work) + reserve(work, to_deadline)
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time.min(EVER)).expect("ten years fit")
}

/// Time lost before the job runs again.
pub(super) fn to_be_running(s: &Situation<'_>) -> Duration {
    match s.state.is_off() {
        true => s.switching.resume_after(s.state.way()).min(EVER),
        false => Duration::ZERO,
    }
}

/// How the deadline stands; none without a deadline or when the work is unknown.
pub(super) fn fit(now: Timestamp, s: &Situation<'_>) -> Option<Fit> {
    let left = s.deadline?.duration_since(now);
    let Work::Known { .. } = s.work else {
        return None;
    };
    let overhead = to_be_running(s);
    let late = signed(estimate(s.work)) + signed(overhead) - left;
    let spare = left - signed(upper(s.work, Some(left))) - signed(overhead);
    Some(
        match (Duration::try_from(late), Duration::try_from(spare)) {
            (Ok(late), _) if !late.is_zero() => Fit::CannotBeMet { late },
            (_, Ok(spare)) => Fit::Planned { spare },
            _ => Fit::Tight,
        },
    )
}

/// Whether nothing better than one number for all hours is known.
fn flat(outlook: &Outlook) -> bool {
    match outlook.kind {
        Kind::RegionalAverage => true,
        Kind::Static => outlook
            .expected
            .points()
            .windows(2)
            .all(|pair| pair[0].intensity == pair[1].intensity),
        _ => false,
    }
}

/// Whether a usual day, or less, is all that is known: no forecast, and no observation of the last
/// day that would tell how today differs from it.
fn usual_day(now: Timestamp, outlook: &Outlook) -> bool {
    let is_recent = |at: Timestamp| now.duration_since(at) < SignedDuration::from_hours(24);
    outlook.kind >= Kind::Profile && !outlook.issued_at.is_some_and(is_recent)
}

/// Whether beginning a hold or pause must first be worth it: where delay is earned, or a usual
/// day is all that is known.
pub(super) fn must_be_worth_it(now: Timestamp, s: &Situation<'_>) -> bool {
    matches!(s.allowance, Allowance::Earned { .. }) || usual_day(now, s.outlook)
}

/// Whether saving this much of what remains is worth it.
pub(super) fn worth_it(saves: GramsCo2e, remains: GramsCo2e) -> bool {
    saves >= WORTH_GRAMS && saves >= remains * WORTH_SHARE
}

/// The room to wait in.
///
/// # Errors
///
/// Why the job must run now instead.
pub(super) fn room(now: Timestamp, s: &Situation<'_>) -> Result<Room, Reason> {
    match (s.work, s.deadline) {
        (Work::Known { remaining, .. }, _) if remaining.is_zero() => {
            return Err(match s.state {
                State::Fresh => Reason::NothingLeft,
                State::Running(_) | State::Paused(_) | State::Released(_) => Reason::Overrun,
            });
        }
        // A deadline alone gives no right to wait.
        (Work::Unknown { .. }, Some(_)) => return Err(Reason::UnknownWork),
        _ => {}
    }
    match (fit(now, s), s.state) {
        (Some(Fit::CannotBeMet { .. }), _) => return Err(Reason::DeadlineMissed),
        (Some(Fit::Tight), state) if state.is_off() => return Err(Reason::DeadlineGuard),
        (Some(Fit::Tight), _) => return Err(Reason::Tight),
        _ => {}
    }
    let delay_left = match s.allowance {
        Allowance::None => return Err(Reason::NoDelayLeft),
        Allowance::Deadline if s.deadline.is_none() => return Err(Reason::NoDelayLeft),
        Allowance::Deadline => None,
        Allowance::Given(left) => Some(left),
        Allowance::Earned { may_pause, .. } if !may_pause || s.state == State::Fresh => {
            return Err(Reason::NotYetEarned);
        }
        Allowance::Earned { left, .. } => Some(left),
    };
    if flat(s.outlook) {
        return Err(Reason::FlatForecast);
    }

    let to_deadline = s.deadline.map(|deadline| deadline.duration_since(now));
    let upper = upper(s.work, to_deadline);
    let overhead = signed(to_be_running(s));
    let by_deadline = to_deadline.map(|left| left - signed(upper) - overhead);
    let by_delay = delay_left.map(|left| signed(left) - overhead);
    let (spare, is_deadline) = match (by_deadline, by_delay) {
        (Some(deadline), Some(delay)) => (deadline.min(delay), deadline <= delay),
        (Some(deadline), None) => (deadline, true),
        (None, Some(delay)) => (delay, false),
        (None, None) => return Err(Reason::NoDelayLeft),
    };
    // Until the next decision everything must stay as possible as it is now.
    let poll = signed(s.poll);
    let guard = match is_deadline {
        true => Reason::DeadlineGuard,
        false => Reason::NoDelayLeft,
    };
    let is_running = matches!(s.state, State::Running(_));
    let fits = |way| {
        let switching = &s.switching;
        let pause = [
            switching.pause_by(way),
            switching.min_pause,
            switching.resume_after(way),
        ];
        let pause: SignedDuration = pause.into_iter().map(signed).sum();
        // Not at equality: there the guard would end the pause as soon as it has begun.
        // What a job may do later that does not run yet is for the planner, which counts in ticks.
        !is_running || spare > pause + poll
    };
    let (hold_fits, release_fits) = (fits(Way::Hold), fits(Way::Release));
    if !hold_fits && !release_fits {
        return Err(match is_deadline {
            true => Reason::Tight,
            false => Reason::NoDelayLeft,
        });
    }
    if !is_running && spare <= poll {
        return Err(guard);
    }
    Ok(Room {
        estimate: estimate(s.work),
        planned: planned(s.work),
        to_deadline: to_deadline.map(|left| {
            (Duration::try_from(left).unwrap_or_default())
                .saturating_sub(reserve(s.work, to_deadline))
        }),
        delay_left,
        hold_fits,
        release_fits,
        hold_at_most: longest_hold(now, s, delay_left),
        until_guard: Duration::try_from(spare - poll).unwrap_or_default(),
        guard,
    })
}

/// On a usual day alone a start that nobody asked to delay is held for 6 h at most. Nothing but
/// the hold has used delay before the start, so its age is what is gone of the usual 12 h.
fn longest_hold(
    now: Timestamp,
    s: &Situation<'_>,
    delay_left: Option<Duration>,
) -> Option<Duration> {
    if s.asked_for || !usual_day(now, s.outlook) {
        return None;
    }
    let held = MOST_DELAY.saturating_sub(delay_left?);
    Some(LONGEST_PROFILE_HOLD.saturating_sub(held))
}
