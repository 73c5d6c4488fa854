//! The ways to pause and to go on: stopped where it is, saved and stopped, or saved and gone.
//!
//! A save that has begun is never cut short by the plan: it ends by its proof, by the job's end, or
//! because nothing proved it in time. What the plan says is looked at again after it.

use std::time::Duration;

use jiff::SignedDuration;

use super::ending::After;
use super::{
    AFTER_REFUSAL, Effect, Holds, Machine, News, Occasion, PAUSE_GIVE_UP, PauseWith, Phase,
    RESUME_AGAIN, Ties, Unproved, confirmed, intent, micros, warn,
};
use crate::clock::Moment;
use crate::ledger::entry::{Action, What};
use crate::plan::{Act, Decision, Switching, Way};
use crate::supervise::progress::Reading;
use crate::supervise::settings::RANKS_STOP;
use crate::words::duration;

/// A job that has saved may end by itself for so long before it is asked to.
const LEAVES_BY_ITSELF: Duration = Duration::from_secs(3);
/// What the first stop of a job with connections to other hosts may last.
const TRIAL_STOP: Duration = Duration::from_mins(2);
/// How long a job must have run after that to show that it survived.
const TRIAL_RUN: Duration = Duration::from_mins(5);

/// What saving and restoring took in this run, as a mean that favours the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    /// From asking the job to save to its proof.
    save: Option<Duration>,
    /// From asking the job to save to its end.
    leave: Option<Duration>,
    /// From its start to its first progress.
    restore: Option<Duration>,
}

fn learn(known: &mut Option<Duration>, new: Duration) {
    *known = Some(known.map_or(new, |known| (known + new) / 2));
}

impl Learned {
    /// The costs of a pause with what is known of them put in.
    pub(super) fn put_in(self, switching: &mut Switching, with: PauseWith) {
        let put = |into: &mut Duration, known: Option<Duration>| *into = known.unwrap_or(*into);
        match with {
            PauseWith::Stop | PauseWith::Freeze | PauseWith::Suspend => {}
            PauseWith::Checkpoint => put(&mut switching.pause, self.save),
            PauseWith::Restart | PauseWith::Requeue => {
                put(&mut switching.pause, self.leave);
                put(&mut switching.resume, self.restore);
            }
            PauseWith::Auto => {
                if let Some(release) = &mut switching.release {
                    put(&mut release.pause, self.leave);
                    put(&mut release.resume, self.restore);
                }
            }
        }
    }
}

impl Machine {
    pub(super) fn start(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.attempt += 1;
        self.attempt_began = now.elapsed;
        self.asked_by_signal = None;
        self.enter(now, Phase::Starting, effects);
        effects.push(intent(Action::Start));
        effects.push(Effect::Start {
            attempt: self.attempt,
        });
    }

    pub(super) fn started(
        &mut self,
        now: Moment,
        pid: i32,
        took: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if self.phase != Phase::Starting {
            return;
        }
        effects.push(confirmed(Action::Start, 1, took, Some(pid)));
        self.attempt_began = now.elapsed;
        if self.attempt > 1 {
            self.pace.restarted();
            self.restarted_at = Some((now.elapsed, self.pace.mark()));
            self.resumed_at = Some(now.elapsed);
            // What restoring is taken to last after a start.
            self.restored_at = now.elapsed + self.switching().resume_after(Way::Release);
            effects.push(Effect::Hook(Occasion::Resume));
        }
        self.enter(now, Phase::Running { since: now.elapsed }, effects);
        for event in std::mem::take(&mut self.put_off) {
            self.answer(now, event, effects);
        }
        self.steer(now, effects);
    }

    /// The job says how far it is.
    pub(super) fn progressed(&mut self, now: Moment, reading: Reading) {
        let productive = self.productive(now);
        self.pace.take(productive, reading);
        let Some((since, mark)) = self.restarted_at else {
            return;
        };
        if !self.pace.moved(mark) {
            return;
        }
        if let Phase::Running { .. } = self.phase {
            self.restarted_at = None;
            learn(&mut self.learned.restore, now.elapsed.saturating_sub(since));
            self.restored_at = self.restored_at.min(now.elapsed);
        }
    }

    /// How this pause is to be made. Only the plan knows how long one will be; what a person asked
    /// for keeps the job at hand.
    fn way_of(&self, planned: Way) -> Way {
        match self.settings.pausing.with {
            PauseWith::Restart | PauseWith::Requeue => Way::Release,
            PauseWith::Auto if self.holds.carbon => planned,
            _ => Way::Hold,
        }
    }

    /// Begins a pause of a job that runs since `since`.
    pub(super) fn begin_pause(
        &mut self,
        now: Moment,
        since: Duration,
        planned: Way,
        effects: &mut Vec<Effect>,
    ) {
        self.way = self.way_of(planned);
        let saves = self.settings.pausing.with == PauseWith::Checkpoint || self.way == Way::Release;
        // Ctrl-Z is for now, not for when it has saved.
        if !saves || self.holds.terminal {
            return self.stop(now, since, effects);
        }
        let checkpointing = Phase::Checkpointing {
            since,
            asked: now.elapsed,
            give_up: now.monotonic + self.settings.pausing.patience,
        };
        self.enter(now, checkpointing, effects);
        effects.push(intent(Action::Checkpoint));
        effects.push(Effect::Checkpoint);
    }

    /// Stops it where it is.
    pub(super) fn stop(&mut self, now: Moment, since: Duration, effects: &mut Vec<Effect>) {
        self.way = Way::Hold;
        let give_up = now.monotonic + self.settings.switching.pause + PAUSE_GIVE_UP;
        self.enter(now, Phase::Pausing { since, give_up }, effects);
        effects.push(intent(Action::Pause));
        effects.push(Effect::Pause);
    }

    /// The job has saved, by this proof.
    pub(super) fn saved(&mut self, now: Moment, proof: String, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Checkpointing { since, asked, .. } => {
                let took = now.elapsed.saturating_sub(asked);
                learn(&mut self.learned.save, took);
                effects.push(saved_entry(Some(proof), took));
                self.has_saved = true;
                if self.holds.is_empty() {
                    // Somebody said go while it saved.
                    self.enter(now, Phase::Running { since }, effects);
                    self.steer(now, effects);
                } else if self.way == Way::Release {
                    let leaving = Phase::Leaving {
                        ask_at: Some(now.monotonic + LEAVES_BY_ITSELF),
                        kill_at: None,
                    };
                    self.asked_to_save = asked;
                    self.enter(now, leaving, effects);
                    effects.push(intent(Action::Release));
                } else {
                    self.stop(now, since, effects);
                }
            }
            Phase::Proving { .. } => {
                let took = now.elapsed.saturating_sub(self.asked_to_save);
                learn(&mut self.learned.save, took);
                effects.push(saved_entry(Some(proof), took));
                self.has_saved = true;
                self.leave(now, After::Release, effects);
            }
            _ => {}
        }
    }

    /// Nothing has proved in time that the job has saved.
    pub(super) fn unproved_in_time(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let waited = duration(self.settings.pausing.patience);
        let what = format!("nothing proved within {waited} that the job has saved its state");
        self.unproved(now, what, effects);
    }

    /// Nothing proves that the job has saved, in words why not.
    pub(super) fn unproved(&mut self, now: Moment, what: String, effects: &mut Vec<Effect>) {
        let Phase::Checkpointing { since, asked, .. } = self.phase else {
            return;
        };
        let took = now.elapsed.saturating_sub(asked);
        effects.push(Effect::ForgetCheckpoint);
        effects.push(saved_entry(None, took));
        if self.holds.is_empty() {
            self.enter(now, Phase::Running { since }, effects);
        } else if self.settings.pausing.unproved == Unproved::Stop {
            warn(
                &format!("{what}; it is only stopped, and keeps its memory"),
                effects,
            );
            return self.stop(now, since, effects);
        } else {
            warn(&format!("{what}; it runs on"), effects);
            self.no_pause_before = now.elapsed + AFTER_REFUSAL;
            self.enter(now, Phase::Running { since }, effects);
        }
        self.steer(now, effects);
    }

    /// What was to be saved is not waited for: the job is to end, or to stop at once.
    pub(super) fn forget_save(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Phase::Checkpointing { asked, .. } = self.phase {
            effects.push(Effect::ForgetCheckpoint);
            effects.push(saved_entry(None, now.elapsed.saturating_sub(asked)));
        }
    }

    pub(super) fn paused(
        &mut self,
        now: Moment,
        processes: u32,
        took: Duration,
        ties: Ties,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Pausing { .. } = self.phase else {
            return;
        };
        self.pauses += u32::from(self.holds.carbon);
        self.limit_stop(now, ties, effects);
        self.enter(now, Phase::Paused { since: now.elapsed }, effects);
        effects.push(confirmed(Action::Pause, processes, took, None));
        if !self.holds.is_empty() {
            effects.push(Effect::Tell(News::Paused {
                decision: self.decision_within_stop(now),
                processes,
                took,
                holds: self.holds,
            }));
            effects.push(Effect::Hook(Occasion::Pause));
        }
        self.stop_self_if_asked(effects);
        self.steer(now, effects);
    }

    /// Which ties of the job the length of this stop depends on: whether it has the others need not
    /// be found out.
    pub fn ties_that_matter(&self) -> Ties {
        Ties {
            ranks: self.settings.pausing.max_stop.is_none() && !self.has_saved,
            hosts: !self.has_tried_stop && self.holds.carbon,
        }
    }

    /// How long this stop may last, whatever the plan says. A person who holds the job knows what
    /// it can stand.
    fn limit_stop(&mut self, now: Moment, ties: Ties, effects: &mut Vec<Effect>) {
        let matter = self.ties_that_matter();
        let has_saved = std::mem::take(&mut self.has_saved);
        let ranks = (ties.ranks && matter.ranks).then_some(RANKS_STOP);
        let most = (self.settings.pausing.max_stop.filter(|_| !has_saved)).or(ranks);
        let is_trial = ties.hosts && matter.hosts;
        let trial = is_trial.then_some(TRIAL_STOP);
        self.stop_until = [most, trial]
            .into_iter()
            .flatten()
            .min()
            .map(|most| now.elapsed + most);
        if is_trial {
            self.has_tried_stop = true;
            let text = format!(
                "the job has connections to other hosts: this first pause lasts {} at most, to \
                 see that they survive it",
                duration(TRIAL_STOP)
            );
            effects.push(Effect::Tell(News::Note(text)));
        }
        if self.holds.operator
            && let Some(most) = most
        {
            let text = format!(
                "its ranks may give each other up when they are stopped for longer than {}",
                duration(most)
            );
            warn(&text, effects);
        }
    }

    /// When the present stop has lasted long enough: only those of the plan end by it.
    pub(super) fn stop_ends(&self) -> Option<Duration> {
        let only_plan = Holds {
            carbon: false,
            ..self.holds
        };
        let is_paused = matches!(self.phase, Phase::Paused { .. });
        (self.stop_until).filter(|_| is_paused && only_plan.is_empty())
    }

    pub(super) fn has_stopped_long_enough(&self, now: Moment) -> bool {
        self.stop_ends().is_some_and(|at| now.elapsed >= at)
    }

    /// The decision in force, as far as this stop goes along with it.
    fn decision_within_stop(&self, now: Moment) -> Option<Decision> {
        let mut decision = self.decision().cloned()?;
        if let Some(at) = self.stop_ends()
            && decision.act == Act::Pause
        {
            let left = SignedDuration::try_from(at.saturating_sub(now.elapsed)).ok();
            let ends = left.and_then(|left| now.utc.saturating_add(left).ok());
            decision.until = [decision.until, ends].into_iter().flatten().min();
        }
        Some(decision)
    }

    pub(super) fn refused(
        &mut self,
        now: Moment,
        why: String,
        for_good: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Pausing { since, .. } = self.phase else {
            return;
        };
        self.phase = Phase::Running { since };
        self.no_pause_before = now.elapsed + AFTER_REFUSAL;
        self.is_never_paused |= for_good;
        self.settings.may_pause &= !for_good;
        self.refuse(why, effects);
        self.stop_self_if_asked(effects);
        self.steer(now, effects);
    }

    pub(super) fn refuse(&self, why: String, effects: &mut Vec<Effect>) {
        effects.push(Effect::Record(What::Refused {
            action: Action::Pause,
            why: why.clone(),
        }));
        effects.push(Effect::Tell(News::Refused(why)));
    }

    pub(super) fn resume(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.has_stopped_long_enough(now) {
            // Long enough to see whether it has survived, or to get on.
            let run = self.settings.switching.min_run.max(TRIAL_RUN);
            self.no_pause_before = now.elapsed + run;
        }
        let again = now.monotonic + RESUME_AGAIN;
        self.enter(now, Phase::Resuming { again }, effects);
        effects.push(intent(Action::Resume));
        effects.push(Effect::Resume);
    }

    pub(super) fn resumed(
        &mut self,
        now: Moment,
        processes: u32,
        took: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Resuming { .. } = self.phase else {
            return;
        };
        effects.push(confirmed(Action::Resume, processes, took, None));
        effects.push(Effect::Hook(Occasion::Resume));
        self.resumed_at = Some(now.elapsed);
        // What was only stopped restores nothing, though it was to leave.
        self.restored_at = match self.settings.pausing.with {
            PauseWith::Restart | PauseWith::Requeue => now.elapsed,
            _ => now.elapsed + self.settings.switching.resume,
        };
        self.enter(now, Phase::Running { since: now.elapsed }, effects);
        self.steer(now, effects);
    }

    /// The job has left, and waits to be started again.
    pub(super) fn released(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let took = now.elapsed.saturating_sub(self.asked_to_save);
        learn(&mut self.learned.leave, took);
        self.way = Way::Release;
        self.pauses += u32::from(self.holds.carbon);
        self.has_saved = false;
        self.enter(now, Phase::Released { since: now.elapsed }, effects);
        effects.push(confirmed(Action::Release, 0, took, None));
        if !self.holds.is_empty() {
            effects.push(Effect::Tell(News::Released {
                decision: self.decision().cloned(),
                took,
                holds: self.holds,
            }));
            effects.push(Effect::Hook(Occasion::Pause));
        }
        self.steer(now, effects);
    }
}

fn saved_entry(proof: Option<String>, took: Duration) -> Effect {
    Effect::Record(What::Saved {
        proof,
        took_us: micros(took),
    })
}
