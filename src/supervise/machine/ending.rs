//! How a job ends, leaves to be started again, or fails and is tried again.

use std::time::Duration;

use super::Holds;
use super::{
    Action, Effect, Exit, Leftovers, Machine, News, Occasion, Phase, Way, What, intent, warn,
};
use crate::clock::Moment;
use crate::words::duration;

/// After its end a job's save may still show for so long.
const PROOF_AFTER_END: Duration = Duration::from_secs(10);
/// Processes that outlive the leader have so long from being asked to end to being killed …
const LAST_WORD: Duration = Duration::from_secs(5);
/// … and those that cannot even be killed are waited for no longer than this.
const BEYOND_KILLING: Duration = Duration::from_secs(10);
/// A job that fails so soon after it was continued did not survive the pause.
const SOON_AFTER_RESUME: Duration = Duration::from_mins(5);
/// A job that ran for so long has not failed in a row.
const GOOD_WHILE: Duration = Duration::from_hours(1);
/// What ends a process in the middle of whatever it does: ILL, ABRT, BUS, FPE, KILL, SEGV, XCPU, XFSZ,
/// SYS. What it was writing then is not whole, however still it lies there.
const CRASHES: [i32; 9] = [4, 6, 7, 8, 9, 11, 24, 25, 31];
/// A job that ends so soon after a person's signal ends by it.
const BY_SIGNAL: Duration = Duration::from_secs(60);

/// What follows once nobody of the job is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum After {
    /// The run is over.
    #[default]
    End,
    /// The job has left, and is started again when nobody holds it.
    Release,
    /// The job has failed, and is started again after a while.
    Retry,
}

/// What is waited for when others of the job outlive the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// That they end by themselves.
    Wait,
    /// That they end as they were asked to.
    Asked,
    /// That the kernel ends them.
    Killed,
}

/// How the job ended, once it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Last {
    pub(super) exit: Option<Exit>,
    pub(super) why: Option<String>,
    /// Processes that outlived the leader.
    left: u32,
}

impl Machine {
    /// The leader has ended.
    pub(super) fn child_ended(
        &mut self,
        now: Moment,
        exit: Option<Exit>,
        left: u32,
        effects: &mut Vec<Effect>,
    ) {
        let why = exit
            .is_none()
            .then(|| "how it ended is not known: it was not started by catrain".to_owned());
        self.last = Last { exit, why, left };
        let leaves_with = [0, self.settings.pausing.leaves_with];
        let is_good = leaves_with
            .iter()
            .any(|&code| exit == Some(Exit::Code(code)));
        match self.phase {
            Phase::Ended(_)
            | Phase::Proving { .. }
            | Phase::Released { .. }
            | Phase::Backoff { .. }
            | Phase::Lingering { .. } => {}
            Phase::Leaving { .. } => self.leave(now, After::Release, effects),
            Phase::Checkpointing { asked, give_up, .. } => {
                self.asked_to_save = asked;
                let crashed = matches!(exit, Some(Exit::Signal(by)) if CRASHES.contains(&by));
                if self.way == Way::Hold {
                    // It was to go on after its save. Nobody has said that it can be started again.
                    self.ended_unsaved(now, effects);
                } else if self.settings.pausing.has_proof && !crashed {
                    let give_up = give_up.min(now.monotonic + PROOF_AFTER_END);
                    self.enter(now, Phase::Proving { give_up }, effects);
                } else if is_good {
                    self.leave(now, After::Release, effects);
                } else {
                    self.ended_unsaved(now, effects);
                }
            }
            Phase::Stopping { .. } => {
                self.last.why = Some("it was asked to end".to_owned());
                self.leave(now, After::End, effects);
            }
            Phase::Holding
            | Phase::Starting
            | Phase::Running { .. }
            | Phase::Pausing { .. }
            | Phase::Paused { .. }
            | Phase::Resuming { .. } => self.end_or_retry(now, effects),
        }
    }

    /// The job ended while it was to save, and nothing shows that it has, or it was not to end.
    pub(super) fn ended_unsaved(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        effects.push(Effect::ForgetCheckpoint);
        if self.last.exit != Some(Exit::Code(0)) {
            let how = self.how_it_ended();
            let text = match self.way {
                Way::Hold => format!("the job {how} while it saved its state"),
                Way::Release => {
                    format!("the job {how} while it saved its state, and nothing proves a save")
                }
            };
            self.last.why = Some(text.clone());
            warn(&text, effects);
        }
        self.end_or_retry(now, effects);
    }

    fn how_it_ended(&self) -> String {
        match self.last.exit {
            Some(Exit::Code(code)) => format!("ended with {code}"),
            Some(Exit::Signal(signal)) => format!("was ended by {}", crate::words::signal(signal)),
            None => "ended".to_owned(),
        }
    }

    fn end_or_retry(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let ran = now.elapsed.saturating_sub(self.attempt_began);
        let has_failed = matches!(self.last.exit, Some(exit) if exit != Exit::Code(0));
        if !has_failed || self.ends_by_person(now) {
            return self.leave(now, After::End, effects);
        }
        let after_resume = self.resumed_at.map(|at| now.elapsed.saturating_sub(at));
        if let Some(soon) = after_resume.filter(|&after| after <= SOON_AFTER_RESUME) {
            self.died_after_resume = true;
            let how = self.how_it_ended();
            let text = format!(
                "the job {how} {} after it was continued: it may not survive a pause",
                duration(soon)
            );
            warn(&text, effects);
        }
        if ran >= GOOD_WHILE {
            self.failures = 0;
        }
        let again = self.failures < self.settings.retry.most && !self.settings.is_attached;
        let after = if again { After::Retry } else { After::End };
        self.leave(now, after, effects);
    }

    /// Whether the job ends because a person asked it to by a signal.
    fn ends_by_person(&self, now: Moment) -> bool {
        self.asked_by_signal.is_some_and(|(number, at)| {
            let by_itself = self.last.exit == Some(Exit::Signal(number));
            by_itself || now.monotonic.saturating_sub(at) <= BY_SIGNAL
        })
    }

    /// Goes on to what follows, once nobody of the job is left. A job that is started again must
    /// not find its former self.
    pub(super) fn leave(&mut self, now: Moment, after: After, effects: &mut Vec<Effect>) {
        self.continue_what_is_stopped(effects);
        let waits = after != After::End || self.settings.leftovers == Leftovers::End;
        if self.last.left == 0 || !waits || self.settings.is_attached {
            return self.go_on_to(now, after, effects);
        }
        let is_asked = matches!(self.phase, Phase::Stopping { .. } | Phase::Leaving { .. });
        let is_end = after == After::End;
        self.after = after;
        if is_end {
            self.holds = Holds::default();
        }
        let (step, grace) = match is_end && !is_asked {
            true => (Linger::Wait, self.settings.grace),
            false => (Linger::Asked, LAST_WORD.max(self.settings.grace)),
        };
        if step == Linger::Asked {
            effects.push(Effect::AskLeftovers);
        } else {
            let many = match self.last.left {
                1 => "1 process of the job outlives it and has".to_owned(),
                many => format!("{many} processes of the job outlive it and have"),
            };
            let text = format!(
                "{many} {} to end (--leftovers leave lets them run on)",
                duration(grace)
            );
            effects.push(Effect::Tell(News::Note(text)));
        }
        let at = now.monotonic + grace;
        self.enter(now, Phase::Lingering { step, at }, effects);
    }

    /// Those who outlive the leader have had their time.
    pub(super) fn still_lingers(&mut self, now: Moment, step: Linger, effects: &mut Vec<Effect>) {
        let (step, wait) = match step {
            Linger::Wait => {
                effects.push(Effect::AskLeftovers);
                (Linger::Asked, LAST_WORD)
            }
            Linger::Asked => {
                effects.push(intent(Action::Kill));
                effects.push(Effect::Kill);
                (Linger::Killed, BEYOND_KILLING)
            }
            Linger::Killed => {
                let text = "processes of the job cannot be ended, not even by KILL; they are left";
                warn(text, effects);
                let after = self.after.clone();
                return self.go_on_to(now, after, effects);
            }
        };
        let at = now.monotonic + wait;
        self.phase = Phase::Lingering { step, at };
    }

    /// A person wants the run to end while others of the job outlive the leader.
    pub(super) fn hurry_leftovers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Phase::Lingering { step, .. } = self.phase {
            self.after = After::End;
            self.holds = Holds::default();
            if step == Linger::Wait {
                self.still_lingers(now, step, effects);
            }
            self.turn_segment(now, effects);
        }
    }

    /// Nobody of the job is left. That may be told while its save is still looked for.
    pub(super) fn all_gone(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.last.left = 0;
        if let Phase::Lingering { .. } = self.phase {
            let after = self.after.clone();
            self.go_on_to(now, after, effects);
        }
    }

    fn go_on_to(&mut self, now: Moment, after: After, effects: &mut Vec<Effect>) {
        let Last { exit, why, .. } = self.last.clone();
        match after {
            After::End => self.ended(now, exit, why, effects),
            After::Release => {
                self.left(
                    exit,
                    "it has saved its state and is started again later",
                    effects,
                );
                self.failures = 0;
                self.released(now, effects);
            }
            After::Retry => {
                self.failures += 1;
                let wait = self.settings.retry.wait(self.failures);
                let news = News::TriesAgain {
                    how: self.how_it_ended(),
                    after: wait,
                    nth: self.failures,
                    of: self.settings.retry.most,
                };
                let why = format!("it failed and is tried again in {}", duration(wait));
                self.left(exit, &why, effects);
                effects.push(Effect::Tell(news));
                self.way = Way::Release;
                let until = now.monotonic + wait;
                self.enter(now, Phase::Backoff { until }, effects);
            }
        }
    }

    fn left(&self, exit: Option<Exit>, why: &str, effects: &mut Vec<Effect>) {
        effects.push(Effect::Record(What::Left {
            attempt: self.attempt,
            exit,
            why: why.to_owned(),
        }));
    }

    /// The job that has saved is still there.
    pub(super) fn still_there(
        &mut self,
        now: Moment,
        ask_at: Option<Duration>,
        kill_at: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) {
        let due = |at: Option<Duration>| at.is_some_and(|at| now.monotonic >= at);
        if due(ask_at) {
            effects.push(Effect::AskToEnd);
            self.phase = Phase::Leaving {
                ask_at: None,
                kill_at: Some(now.monotonic + self.settings.grace),
            };
        } else if due(kill_at) {
            effects.push(intent(Action::Kill));
            effects.push(Effect::Kill);
            self.phase = Phase::Leaving {
                ask_at: None,
                kill_at: None,
            };
        }
    }

    pub(super) fn ended(
        &mut self,
        now: Moment,
        exit: Option<Exit>,
        why: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Ended(_) = self.phase {
            return;
        }
        self.continue_what_is_stopped(effects);
        if matches!(
            self.phase,
            Phase::Checkpointing { .. } | Phase::Proving { .. }
        ) {
            effects.push(Effect::ForgetCheckpoint);
        }
        self.holds = Holds::default();
        self.enter(now, Phase::Ended(exit), effects);
        effects.push(Effect::Record(What::End {
            exit,
            why,
            sums: None,
        }));
        effects.push(Effect::Hook(Occasion::End));
        effects.push(Effect::Finish);
    }

    /// On the way to the end: the job must hear that it is to end, and workers that outlive the
    /// leader must not stay stopped.
    pub(super) fn continue_what_is_stopped(&self, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Paused { .. } | Phase::Pausing { .. }) {
            effects.push(Effect::Resume);
        }
    }
}
