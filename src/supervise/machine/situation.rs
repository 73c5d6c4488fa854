//! What the planner is told: the work left, the delay left, the power as it is measured; and the
//! decision that comes of it, whatever happens in planning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use jiff::Timestamp;

use super::{Effect, Expected, Machine, OnBudget, PauseWith, Phase, Settings, Word, warn};
use crate::clock::Moment;
use crate::forecast::Outlook;
use crate::ledger::entry::Part;
use crate::plan::delay::{FIRST_RUN, MOST_DELAY, earned};
use crate::plan::{Allowance, Decision, Policy, Power, Situation, State, Switching, Work};
use crate::units::{GramsCo2e, Joules, Watts};

/// Measured power replaces the figure that planning began with after so much running time.
const POWER_AFTER: Duration = Duration::from_mins(1);
/// Shares of the carbon budget that are worth a warning, once each.
const BUDGET_STEPS: [f64; 2] = [0.8, 1.0];

impl Machine {
    /// The plan's decision. Where nothing is known, or planning fails, the job runs.
    pub(super) fn consider(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Decision {
        let Some(knowledge) = self.knowledge.clone() else {
            return Decision::nothing_known();
        };
        // A bug in planning must lead to a running job, not to a dead supervisor.
        let planned = catch_unwind(AssertUnwindSafe(|| {
            let outlook = self.planner.outlook(now.utc, &knowledge)?;
            let situation = self.situation(now, &outlook);
            let decision = self.planner.decide(now.utc, &self.policy(), &situation);
            Some((outlook, decision))
        }));
        match planned {
            Ok(Some((outlook, decision))) => {
                self.outlook = Some(outlook);
                decision
            }
            Ok(None) => Decision::nothing_known(),
            Err(_) => {
                if !self.warned_of_bug {
                    self.warned_of_bug = true;
                    warn(
                        "planning failed by a bug in catrain; the job runs on",
                        effects,
                    );
                }
                Decision::nothing_known()
            }
        }
    }

    fn policy(&self) -> Policy {
        match self.settings.policy {
            Policy::Budget(budget) => Policy::Budget(budget - self.spent),
            other => other,
        }
    }

    pub(super) fn situation<'a>(&self, now: Moment, outlook: &'a Outlook) -> Situation<'a> {
        let productive = self.productive(now);
        Situation {
            outlook,
            power: self.power(),
            switching: self.switching(),
            state: self.state(now),
            work: self.work(productive),
            deadline: self.settings.deadline,
            allowance: self.allowance(now, productive),
            poll: self.poll(),
            asked_for: self.settings.asked_for,
        }
    }

    fn state(&self, now: Moment) -> State {
        let age = |since| now.elapsed.saturating_sub(since);
        match (self.phase, self.hearing) {
            (Phase::Running { .. }, Some(hearing)) => State::Paused(age(hearing.paused_since)),
            (Phase::Running { since }, None) => State::Running(age(since)),
            (Phase::Paused { since }, _) => State::Paused(age(since)),
            (Phase::Released { since }, _) => match self.settings.pausing.with {
                PauseWith::Auto => State::Released(age(since)),
                _ => State::Paused(age(since)),
            },
            _ => State::Fresh,
        }
    }

    fn power(&self) -> Power {
        let given = self.settings.power;
        let run = self.measured.running().unwrap_or(given.run);
        let idle = match self.settings.pausing.with {
            // Nothing of the job is left then, and only what is reserved for it stays on.
            PauseWith::Restart | PauseWith::Requeue => given.wait,
            _ => self.measured.paused().unwrap_or(given.idle),
        };
        Power {
            run,
            // A pause that draws more than running would is a reading of a moment.
            idle: Watts(idle.0.min(run.0)),
            ..given
        }
    }

    /// What a pause costs; none may be planned where none may be made.
    pub(super) fn switching(&self) -> Switching {
        let Settings {
            mut switching,
            power,
            pausing,
            ..
        } = self.settings;
        self.learned.put_in(&mut switching, pausing.with);
        // Whoever gives its nodes back waits for others.
        if let Some(wait) = pausing.gives_back {
            match &mut switching.release {
                Some(release) => release.resume += wait,
                None => switching.resume += wait,
            }
        }
        switching.max_pauses = match switching.max_pauses {
            _ if !self.settings.may_pause || !self.settings.can_pause => Some(0),
            most => most.map(|most| most.saturating_sub(self.pauses)),
        };
        // The lumps are so many seconds at the power of a running job, so they scale with it.
        if let Some(measured) = self.measured.running()
            && power.run > Watts::ZERO
        {
            let scale = measured / power.run;
            switching.pause_energy = switching.pause_energy * scale;
            switching.resume_energy = switching.resume_energy * scale;
            if let Some(release) = &mut switching.release {
                release.pause_energy = release.pause_energy * scale;
                release.resume_energy = release.resume_energy * scale;
            }
        }
        switching
    }

    fn work(&self, productive: Duration) -> Work {
        if let Some((remaining, margin)) = self.pace.work(productive) {
            return Work::Known { remaining, margin };
        }
        match self.settings.duration {
            Some(Expected {
                duration, margin, ..
            }) if duration > productive || self.settings.deadline.is_some() => {
                let remaining = duration.saturating_sub(productive);
                // Running time tells nothing of how far the job is: all of the margin is needed to
                // the end.
                let at_most = duration.saturating_add(duration.mul_f64(margin));
                Work::Known {
                    remaining,
                    margin: at_most.saturating_sub(productive).saturating_sub(remaining),
                }
            }
            // A duration that is passed: from there as unknown work with what is left of the delay.
            _ => Work::Unknown { productive },
        }
    }

    /// Whether an operator's `resume` holds against the plan.
    pub(super) fn is_overruled(&self, now: Moment) -> bool {
        self.overruled_until.is_some_and(|until| now.utc < until)
    }

    /// How much delay is left, of all the time that made no progress.
    fn allowance(&self, now: Moment, productive: Duration) -> Allowance {
        let allowed = match self.phase {
            Phase::Holding => self.settings.may_hold,
            Phase::Paused { .. } if self.has_stopped_long_enough(now) => false,
            // What forbids a pause for a while forbids its beginning, not its going on.
            Phase::Paused { .. } | Phase::Released { .. } => self.settings.may_pause,
            _ if self.hearing.is_some() => self.settings.may_pause,
            _ => self.settings.may_pause && self.may_stop_now(now),
        };
        if !allowed || self.is_overruled(now) {
            return Allowance::None;
        }
        let delay = now.elapsed.saturating_sub(productive);
        let Settings {
            mut duration,
            max_delay,
            deadline,
            ..
        } = self.settings;
        // A measured speed is as good as a length that was said, for a deadline.
        if let Some((remaining, _)) = self.pace.work(productive)
            && duration.is_none()
            && deadline.is_some()
        {
            duration = Some(Expected {
                duration: productive + remaining,
                margin: 0.0,
                given: false,
            });
        }
        let allowed = delay_allowed(duration, max_delay, deadline, productive);
        let left = allowed.map(|allowed| allowed.saturating_sub(delay));
        match (duration, max_delay, deadline, left) {
            (None, _, Some(_), _) => Allowance::None,
            (_, _, _, None) => Allowance::Deadline,
            (Some(Expected { given: true, .. }), _, _, Some(left))
            | (_, Some(_), _, Some(left)) => Allowance::Given(left),
            (_, None, _, Some(left)) => Allowance::Earned {
                left,
                may_pause: productive >= FIRST_RUN,
            },
        }
    }

    /// Takes in what a segment used: the power that is planned with, and what is left of a budget.
    pub(super) fn metered(
        &mut self,
        now: Moment,
        part: Part,
        length: Duration,
        energy: Joules,
        grams: GramsCo2e,
        effects: &mut Vec<Effect>,
    ) {
        self.spent += grams;
        self.measured.take(part, length, energy);
        // Nothing is written down after the end.
        let Some(budget) = self
            .settings
            .budget
            .filter(|_| !matches!(self.phase, Phase::Ended(_)))
        else {
            return;
        };
        let used = self.spent / budget;
        let reached = BUDGET_STEPS.into_iter().rfind(|step| used >= *step);
        if let Some(step) = reached.filter(|step| *step > self.budget_warned) {
            self.budget_warned = step;
            let text = format!(
                "{:.0} % of the carbon budget of {} is used",
                used * 100.0,
                crate::words::mass(budget)
            );
            warn(&text, effects);
            // Whoever ends already, or is held by hand, needs no other word.
            let word = match self.settings.on_budget {
                OnBudget::Pause if step >= 1.0 && !self.holds.operator => Some(Word::Pause),
                OnBudget::Stop if step >= 1.0 => Some(Word::Stop),
                _ => None,
            };
            if let Some(word) = word.filter(|_| !matches!(self.phase, Phase::Stopping { .. })) {
                self.operator(now, word, effects);
            }
        }
    }
}

/// The power of a run so far, as it was metered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    running: (Joules, Duration),
    paused: (Joules, Duration),
}

impl Measured {
    fn take(&mut self, part: Part, length: Duration, energy: Joules) {
        let (joules, time) = match part {
            Part::Running => &mut self.running,
            Part::Paused => &mut self.paused,
            _ => return,
        };
        *joules += energy;
        *time += length;
    }

    fn running(&self) -> Option<Watts> {
        mean(self.running)
    }

    /// What stays on while the job is stopped.
    fn paused(&self) -> Option<Watts> {
        mean(self.paused)
    }
}

/// `None` of too little to plan with.
fn mean((joules, time): (Joules, Duration)) -> Option<Watts> {
    let is_enough = time >= POWER_AFTER && joules > Joules::ZERO;
    is_enough.then(|| Watts(joules.0 / time.as_secs_f64()))
}

/// The delay that a run may take in all, once it has made `productive` progress: as it was asked
/// for, else 12 h where its length was given, else half of `productive` up to that. None: only the
/// deadline limits it.
pub fn delay_allowed(
    duration: Option<Expected>,
    max_delay: Option<Duration>,
    deadline: Option<Timestamp>,
    productive: Duration,
) -> Option<Duration> {
    match (duration, max_delay, deadline) {
        // A deadline without a known length gives no right to wait.
        (None, _, Some(_)) => Some(Duration::ZERO),
        (_, Some(most), _) => Some(most),
        (Some(_), None, Some(_)) => None,
        (Some(expected), None, None) if expected.given => Some(MOST_DELAY),
        (_, None, None) => Some(earned(productive, Duration::ZERO)),
    }
}
