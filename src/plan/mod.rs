//! When to run: a [`Policy`] looks at a [`Situation`] and gives a [`Decision`].
//!
//! Pure: the same situation gives the same decision. The exact planner is in [`exact`], the
//! deadline guard and the rules for unknown work are in [`delay`], other policies have a file each;
//! `grid` cuts time into ticks for them, `reason` has the words. All of it follows the same
//! rules: least grams, deadlines kept, a job never worse off than without.

pub mod budget;
pub mod delay;
pub mod exact;
mod grid;
mod reason;
#[cfg(test)]
mod scenarios;
pub mod threshold;
pub mod window;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::exact::{Initial, Phase};
use self::grid::Grid;
pub use self::grid::problem;
use crate::forecast::{Outlook, Span};
use crate::units::{GramsCo2e, GramsPerKwh, KilowattHours, Watts};

/// How to choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// Least grams by the exact planner.
    Plan,
    /// Run while the intensity is at or below a limit.
    Threshold(Limit),
    /// One uninterrupted run, started when it is cleanest.
    Window,
    /// The earliest end whose expected emissions stay within the budget: what is left of it now.
    Budget(GramsCo2e),
    /// At once, never paused.
    Now,
}

impl Policy {
    /// Its name, as it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Threshold(_) => "threshold",
            Self::Window => "window",
            Self::Budget(_) => "budget",
            Self::Now => "now",
        }
    }
}

/// The limit of `--policy threshold`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// A fixed intensity.
    Absolute(GramsPerKwh),
    /// A percentile (0..=100) of the next 24 hours.
    Percentile(f64),
}

/// What the job and the hardware draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// While running, saving and restoring.
    pub run: Watts,
    /// While paused.
    pub idle: Watts,
    /// Before the first start, on hardware reserved for this job; else 0.
    pub wait: Watts,
}

/// How a pause is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The job keeps its memory and stands still.
    Hold,
    /// The job saves its state and leaves; later it is started again.
    Release,
}

/// What a pause costs and how often it may happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Switching {
    /// Time lost to save.
    pub pause: Duration,
    /// Time lost to restore and warm up.
    pub resume: Duration,
    /// Energy of one pause beyond that.
    pub pause_energy: KilowattHours,
    /// Energy of one resume beyond that.
    pub resume_energy: KilowattHours,
    /// Least time from a start to the next pause; waived when the job ends.
    pub min_run: Duration,
    /// Least time paused.
    pub min_pause: Duration,
    /// Pauses still allowed; none: no limit.
    pub max_pauses: Option<u32>,
    /// What a pause costs that is made by [`Way::Release`], where each pause may be made in either
    /// way: the numbers above are then those of [`Way::Hold`]. None: there is one way, whichever it
    /// is, and it has the numbers above.
    pub release: Option<Release>,
}

/// What a pause costs in which the job leaves and is started again later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Release {
    /// Time lost to save and leave.
    pub pause: Duration,
    /// Time lost to start again, restore and warm up.
    pub resume: Duration,
    /// Energy of one pause beyond that.
    pub pause_energy: KilowattHours,
    /// Energy of one resume beyond that.
    pub resume_energy: KilowattHours,
    /// What stays on meanwhile; usually 0 W.
    pub idle: Watts,
}

impl Switching {
    /// Time lost to save for a pause that is made in this way.
    pub fn pause_by(&self, way: Way) -> Duration {
        match (way, self.release) {
            (Way::Release, Some(release)) => release.pause,
            (Way::Release | Way::Hold, _) => self.pause,
        }
    }

    /// Time lost to restore and warm up after a pause that was made in this way.
    pub fn resume_after(&self, way: Way) -> Duration {
        match (way, self.release) {
            (Way::Release, Some(release)) => release.resume,
            (Way::Release | Way::Hold, _) => self.resume,
        }
    }
}

/// Where the job stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Not started.
    Fresh,
    /// Running (or held running) for so long.
    Running(Duration),
    /// Paused for so long; it has kept its memory.
    Paused(Duration),
    /// Paused for so long; it has left and must be started again. Like [`State::Paused`] where
    /// [`Switching::release`] is none.
    Released(Duration),
}

impl State {
    /// Whether it has been started and does not run.
    fn is_off(self) -> bool {
        matches!(self, Self::Paused(_) | Self::Released(_))
    }

    /// The way in which it is paused; [`Way::Hold`] while it is not.
    fn way(self) -> Way {
        match self {
            Self::Released(_) => Way::Release,
            Self::Fresh | Self::Running(_) | Self::Paused(_) => Way::Hold,
        }
    }
}

/// What is known about the work left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// `remaining` running time is left by the best estimate; `margin` is the safety on top of it.
    Known {
        /// Best estimate of the productive time left.
        remaining: Duration,
        /// By how much more it may be. Where progress is measured, the `m` of the rules times
        /// `remaining`; where only the length of the whole was said, that much of the whole: what
        /// was said too low shows only at the end.
        margin: Duration,
    },
    /// Nobody knows.
    Unknown {
        /// Productive time so far.
        productive: Duration,
    },
}

/// How much delay (time without progress, of any cause) the run may still take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allowance {
    /// No limit but the deadline.
    Deadline,
    /// So much is left of what the user gave; 0 never holds and never pauses.
    Given(Duration),
    /// Earned by running: `left` now, and `may_pause` once the first half hour has run.
    Earned {
        /// Left at this moment.
        left: Duration,
        /// Whether the first 30 minutes are over.
        may_pause: bool,
    },
    /// No right to wait: run, never pause (a limit that cannot be read, a speed not yet measured).
    None,
}

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The intensity ahead.
    pub outlook: &'a Outlook,
    /// What the hardware draws.
    pub power: Power,
    /// What a pause costs.
    pub switching: Switching,
    /// Where the job stands.
    pub state: State,
    /// What is left to do.
    pub work: Work,
    /// The latest end, if one was given or the surroundings have one.
    pub deadline: Option<Timestamp>,
    /// How much delay is allowed.
    pub allowance: Allowance,
    /// Longest time between two decisions.
    pub poll: Duration,
    /// Whether the user asked for a delay by hand (`--deadline`, `--max-delay`): then a hold on a
    /// profile may last longer than 6 h. If not, [`Allowance::Given`] is what is left of
    /// [`delay::MOST_DELAY`], which tells how long a hold has lasted.
    pub asked_for: bool,
}

/// To run or not to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start, resume or keep running.
    Run,
    /// Hold, pause or stay paused.
    Pause,
}

/// What to do now, until when, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do now.
    pub act: Act,
    /// How to pause, if `act` is [`Act::Pause`] and the job runs. How it is paused, if it is
    /// released; else [`Way::Hold`].
    pub way: Way,
    /// When the plan changes next, if it does. While waiting or paused never later than the time at
    /// which the guard would end it, so it is always right to wake then and decide again.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
    /// What is expected to come; also when the job runs at once. None when nothing is left to do.
    /// For unknown work the length is a guess: its end and grams are no promise.
    pub plan: Option<Outline>,
    /// How the deadline stands, where there is one.
    pub deadline: Option<Fit>,
}

impl Decision {
    /// Where no intensity is known the job runs.
    pub fn nothing_known() -> Self {
        Self {
            act: Act::Run,
            way: Way::Hold,
            until: None,
            reason: Reason::NothingKnown,
            plan: None,
            deadline: None,
        }
    }
}

/// What is expected of a plan if the work takes its best estimate. The plan itself is made for the
/// upper estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Its phases from now on, as what to do and until when.
    pub phases: Vec<(Act, Timestamp)>,
    /// Pauses still to come (a hold before the start is none).
    pub pauses: u32,
    /// How these pauses are made, in their order.
    pub ways: Vec<Way>,
    /// When the work is expected to be done.
    pub end: Timestamp,
    /// Expected emissions from now on.
    pub grams: GramsCo2e,
    /// Expected emissions of running at once without a pause, on the same forecast.
    pub run_now_grams: GramsCo2e,
    /// Mean intensity over the planned running time.
    pub mean: GramsPerKwh,
    /// The same for running at once.
    pub run_now_mean: GramsPerKwh,
}

/// Whether the work fits before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Upper estimate fits; so much time is to spare beyond it.
    Planned {
        /// Spare time.
        spare: Duration,
    },
    /// The best estimate fits, the upper one does not: runs without pausing.
    Tight,
    /// It will be late by so much.
    CannotBeMet {
        /// How late.
        late: Duration,
    },
}

impl Fit {
    /// Seconds to spare; negative: late by so many.
    pub fn spare_s(self) -> f64 {
        match self {
            Self::Planned { spare } => spare.as_secs_f64(),
            Self::Tight => 0.0,
            Self::CannotBeMet { late } => -late.as_secs_f64(),
        }
    }
}

/// Why, as data; words are made in [`Reason::words`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The plan is cheaper this way.
    Cheaper {
        /// Mean intensity until then, while it waits.
        meanwhile: GramsPerKwh,
        /// Mean intensity when running resumes (`until` onwards, over the next stretch).
        then: GramsPerKwh,
        /// Expected saving against running on.
        saves: GramsCo2e,
    },
    /// Now is a clean time.
    Clean {
        /// Intensity now.
        now: GramsPerKwh,
    },
    /// Waiting longer would endanger the deadline.
    DeadlineGuard,
    /// The deadline cannot be met; running is the best that can be done.
    DeadlineMissed,
    /// Too little time to spare to pause.
    Tight,
    /// No delay is left, or none is allowed.
    NoDelayLeft,
    /// There is a deadline and nobody knows how much work is left.
    UnknownWork,
    /// Delay is earned only after the first half hour.
    NotYetEarned,
    /// Waiting would save too little.
    NotWorthIt {
        /// What it would save.
        saves: GramsCo2e,
    },
    /// A minimum running time is not over.
    MinRun,
    /// A minimum pause is not over.
    MinPause,
    /// Only a yearly average is known.
    FlatForecast,
    /// No intensity is known at all, or planning failed.
    NothingKnown,
    /// The policy is to run now.
    PolicyNow,
    /// At or below the threshold.
    BelowThreshold {
        /// Intensity now.
        now: GramsPerKwh,
        /// The limit.
        limit: GramsPerKwh,
    },
    /// Above the threshold.
    AboveThreshold {
        /// Intensity now.
        now: GramsPerKwh,
        /// The limit.
        limit: GramsPerKwh,
    },
    /// As early as the budget allows.
    WithinBudget {
        /// Expected emissions from now on.
        grams: GramsCo2e,
    },
    /// The budget cannot be kept; the least-emission plan is followed and exceeds it by so much.
    OverBudget {
        /// Expected excess.
        by: GramsCo2e,
    },
    /// The given duration has passed and the job still runs.
    Overrun,
    /// The work is done as far as is known.
    NothingLeft,
}

/// What stands behind the phases of a plan.
enum Because {
    /// They are the cheapest.
    Cheapest,
    /// The intensity against this limit.
    Limit(GramsPerKwh),
    /// They end as early as the budget allows.
    Budget,
    /// They exceed the budget by the least.
    OverBudget(GramsCo2e),
}

/// What to do now.
///
/// The order of the rules: the policy `now`; the reasons to run at once (see [`delay`]); the plan;
/// then whether beginning to wait is worth it.
pub fn decide(now: Timestamp, policy: &Policy, s: &Situation<'_>) -> Decision {
    let deadline = delay::fit(now, s);
    let run = |reason| Decision {
        act: Act::Run,
        way: s.state.way(),
        until: None,
        reason,
        plan: at_once(now, s),
        deadline,
    };
    if *policy == Policy::Now {
        return run(Reason::PolicyNow);
    }
    let room = match delay::room(now, s) {
        Ok(room) => room,
        Err(reason) => return run(reason),
    };
    let grid = Grid::new(now, s, &room);
    let planned = match *policy {
        Policy::Now => None,
        Policy::Plan => exact::solve(&grid.problem).map(|plan| (plan.phases, Because::Cheapest)),
        Policy::Window => window::plan(&grid.problem).map(|plan| (plan.phases, Because::Cheapest)),
        Policy::Threshold(limit) => {
            let limit = threshold::limit(limit, now, s.outlook);
            threshold::plan(&grid.problem, limit).map(|phases| (phases, Because::Limit(limit)))
        }
        Policy::Budget(left) => {
            budget::plan(&grid.problem, left, grid.expected_share()).map(|planned| {
                let because = planned.over.map_or(Because::Budget, Because::OverBudget);
                (planned.solution.phases, because)
            })
        }
    };
    // Too late by less than the rounding to ticks: as good as too late.
    let Some((phases, because)) = planned else {
        return run(room.guard);
    };
    let Some(&(first, first_ticks)) = phases.first() else {
        return run(Reason::NothingLeft);
    };

    let outline = grid.outline(&phases);
    let saves = outline.run_now_grams - outline.grams;
    let act = first.act();
    let begins = !s.state.is_off();
    let way = match (s.state, act) {
        (State::Running(_), Act::Pause) => first.way().unwrap_or(Way::Hold),
        _ => s.state.way(),
    };
    // A threshold is a rule that was asked for as it stands.
    if act == Act::Pause
        && begins
        && !matches!(policy, Policy::Threshold(_))
        && delay::must_be_worth_it(now, s)
        && !delay::worth_it(saves, outline.run_now_grams)
    {
        return run(Reason::NotWorthIt { saves });
    }

    let changes = outline.phases.first().map(|(_, until)| *until);
    let until = match act {
        Act::Run if outline.phases.len() < 2 => None,
        Act::Run => changes,
        Act::Pause => changes.map(|at| at.min(Span::new(now, room.until_guard).end)),
    };
    let intensity = grid.intensity_now();
    let no_longer = grid.minimum_left() == first_ticks && phases.len() > 1;
    let held_to_the_end =
        grid.problem.initial == Initial::Fresh && grid.problem.latest_start_tick == Some(0);
    let reason = match (act, because) {
        (_, Because::OverBudget(by)) => Reason::OverBudget { by },
        (Act::Pause, _) if matches!(first, Phase::Paused(_)) && no_longer => Reason::MinPause,
        (Act::Pause, Because::Limit(limit)) => Reason::AboveThreshold {
            now: intensity,
            limit,
        },
        (Act::Pause, _) => Reason::Cheaper {
            meanwhile: grid.intensity_meanwhile(&phases),
            then: grid.intensity_then(&phases),
            saves,
        },
        (Act::Run, Because::Limit(limit)) if intensity <= limit => Reason::BelowThreshold {
            now: intensity,
            limit,
        },
        (Act::Run, _) if first == Phase::Run && no_longer => Reason::MinRun,
        (Act::Run, Because::Limit(_)) => room.guard,
        (Act::Run, _) if held_to_the_end => Reason::NoDelayLeft,
        (Act::Run, Because::Budget) => Reason::WithinBudget {
            grams: outline.grams,
        },
        (Act::Run, Because::Cheapest) => Reason::Clean { now: intensity },
    };
    Decision {
        act,
        way,
        until,
        reason,
        plan: Some(outline),
        deadline,
    }
}

/// What running at once, without a pause, is expected to give.
fn at_once(now: Timestamp, s: &Situation<'_>) -> Option<Outline> {
    let estimate = delay::estimate(s.work);
    if estimate.is_zero() {
        return None;
    }
    let grid = Grid::without_room(now, s, estimate);
    Some(grid.outline(&grid.back_to_running()))
}

#[cfg(test)]
mod tests;
