//! What people ask for: signals, an operator's words, and the terminal's Ctrl-Z.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ending::After;
use super::{
    Effect, Event, Hearing, Holds, Machine, Meaning, Phase, Settings, Signal, Word, intent,
};
use crate::clock::Moment;
use crate::ledger::entry::Action;

/// How long a job that was woken to hear a signal runs before its holds apply again.
const HEARING: Duration = Duration::from_secs(10);
/// Three interrupts within this time kill.
const THIRD_INTERRUPT: Duration = Duration::from_secs(2);

impl Machine {
    /// The run is asked for something else from now on. What was learned meanwhile stays.
    pub(super) fn asked_anew(&mut self, now: Moment, asked: Settings, effects: &mut Vec<Effect>) {
        let learned = std::mem::replace(&mut self.settings, asked);
        self.settings.may_pause &= !self.is_never_paused;
        self.settings.retry.seed = learned.retry.seed;
        if self.settings.budget != learned.budget {
            self.budget_warned = 0.0;
        }
        let is_given = self.settings.duration.is_some_and(|known| known.given);
        if !is_given && let Some(known) = learned.duration.filter(|known| !known.given) {
            self.settings.duration = Some(known);
        }
        self.steer(now, effects);
    }

    pub(super) fn signal(&mut self, now: Moment, signal: Signal, effects: &mut Vec<Effect>) {
        let is_deadly = !matches!(signal.meaning, Meaning::User | Meaning::Resize);
        match self.phase {
            Phase::Ended(_) => {}
            // What is attached runs on: nothing of ours is its affair.
            _ if self.settings.is_attached => {
                if is_deadly {
                    self.was_left = true;
                    let why = "left by a signal; the job runs on".to_owned();
                    self.ended(now, None, Some(why), effects);
                }
            }
            // The cluster ends all that there is of a job that it takes back.
            _ if self.giving_back.is_some() && is_deadly => {
                self.put_off.push(Event::Signal(signal));
            }
            // A job that is being started cannot be taken back: it gets the signal once it is there.
            Phase::Starting => self.put_off.push(Event::Signal(signal)),
            phase if phase.has_no_job() => {
                if is_deadly {
                    effects.push(Effect::DieBy(signal.number));
                    let why = match phase {
                        Phase::Holding => "ended by a signal before the start",
                        _ => "ended by a signal while it waited to be started again",
                    };
                    self.ended(now, None, Some(why.to_owned()), effects);
                }
            }
            Phase::Lingering { .. } => {
                if is_deadly {
                    self.hurry_leftovers(now, effects);
                }
            }
            _ => {
                if !signal.to_everyone {
                    effects.push(Effect::Relay(signal));
                }
                if is_deadly {
                    self.asked_by_signal = Some((signal.number, now.monotonic));
                }
                let starts_grace = match signal.meaning {
                    Meaning::Terminate => true,
                    Meaning::Interrupt | Meaning::HangUp => !signal.has_terminal,
                    _ => false,
                };
                if signal.meaning == Meaning::Interrupt && self.is_third_interrupt(now) {
                    self.stopping(now, None, effects);
                    effects.push(intent(Action::Kill));
                    effects.push(Effect::Kill);
                } else if starts_grace {
                    self.stopping(now, Some(now.monotonic + self.settings.grace), effects);
                } else if signal.meaning != Meaning::Resize {
                    self.let_hear(now, effects);
                }
            }
        }
    }

    fn is_third_interrupt(&mut self, now: Moment) -> bool {
        self.interrupts
            .retain(|at| now.monotonic.saturating_sub(*at) <= THIRD_INTERRUPT);
        self.interrupts.push(now.monotonic);
        self.interrupts.len() >= 3
    }

    /// Wakes a paused job so that it hears its signal; the holds apply again soon after.
    fn let_hear(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let until = now.monotonic + HEARING;
        let paused_since = match self.phase {
            Phase::Paused { since } => since,
            Phase::Pausing { .. } => now.elapsed,
            _ => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.until = until;
                }
                return;
            }
        };
        self.hearing = Some(Hearing {
            until,
            paused_since,
        });
        self.resume(now, effects);
    }

    /// The job is to end: no hold counts any more.
    fn stopping(&mut self, now: Moment, kill_at: Option<Duration>, effects: &mut Vec<Effect>) {
        let (since, kill_at) = match self.phase {
            // A second request never lengthens the grace period, and killed is killed.
            Phase::Stopping {
                since,
                kill_at: earlier,
            } => (since, earlier.and_then(|at| kill_at.map(|new| new.min(at)))),
            _ => (now.elapsed, kill_at),
        };
        self.continue_what_is_stopped(effects);
        self.forget_save(now, effects);
        self.holds = Holds::default();
        self.hearing = None;
        self.stop_self_next = false;
        self.enter(now, Phase::Stopping { since, kill_at }, effects);
    }

    pub(super) fn operator(&mut self, now: Moment, word: Word, effects: &mut Vec<Effect>) {
        match (word, self.phase) {
            (_, Phase::Ended(_)) => {}
            (Word::Stop, Phase::Starting) => self.put_off.push(Event::Operator(word)),
            (Word::Stop, Phase::Lingering { .. }) => self.hurry_leftovers(now, effects),
            (Word::Stop, phase) if phase.has_no_job() => {
                let (exit, why) = match phase {
                    Phase::Backoff { .. } => (self.last.exit, "stopped before it was tried again"),
                    Phase::Holding => (None, "stopped before the start"),
                    _ => (None, "stopped before it was started again"),
                };
                self.ended(now, exit, Some(why.to_owned()), effects);
            }
            (Word::Stop, _) => {
                effects.push(intent(Action::Stop));
                effects.push(Effect::AskToEnd);
                self.stopping(now, Some(now.monotonic + self.settings.grace), effects);
            }
            (Word::Pause, Phase::Stopping { .. }) => {
                self.refuse("it was asked to end".to_owned(), effects);
            }
            (Word::Pause, Phase::Lingering { .. }) if self.after == After::End => {
                self.refuse(
                    "it has ended, but for processes it left".to_owned(),
                    effects,
                );
            }
            // Not even tried: a hold that never comes about would only be shown as one.
            (Word::Pause, phase) if !phase.has_no_job() && !self.settings.can_pause => {
                self.refuse("the job has the terminal (--tty)".to_owned(), effects);
            }
            (Word::Pause, _) => {
                self.holds.operator = true;
                self.operator_again = None;
                self.hearing = None;
                // A person who asks again after a refusal means now, not in half an hour.
                self.no_pause_before = now.elapsed;
                self.steer(now, effects);
            }
            (Word::Resume { time }, phase) => {
                let was_held = std::mem::take(&mut self.holds.operator);
                self.operator_again = (time.filter(|_| was_held)).map(|time| now.elapsed + time);
                let goes_on = matches!(phase, Phase::Running { .. } | Phase::Resuming { .. });
                if !goes_on || self.holds.carbon || time.is_some() {
                    self.overrule(now, time);
                }
                if let Phase::Backoff { .. } = phase {
                    self.enter(now, Phase::Released { since: now.elapsed }, effects);
                }
                // What saves goes on to save; what leaves is started again at once.
                if let Phase::Checkpointing { .. } | Phase::Leaving { .. } = phase {
                    self.holds.carbon = false;
                    self.turn_segment(now, effects);
                }
                self.steer(now, effects);
            }
        }
    }

    /// The plan neither holds nor pauses for as long as was said, else until it would have gone on
    /// by itself, and for the least running time.
    fn overrule(&mut self, now: Moment, time: Option<Duration>) {
        let planned = self.decision().and_then(|decision| decision.until);
        let planned = planned.filter(|_| self.holds.carbon).unwrap_or(now.utc);
        let least = self.settings.switching.min_run.max(self.poll());
        let least = SignedDuration::try_from(time.unwrap_or(least)).unwrap_or(SignedDuration::MAX);
        let least = now.utc.saturating_add(least).unwrap_or(Timestamp::MAX);
        self.overruled_until = Some(match time {
            Some(_) => least,
            None => planned.max(least),
        });
    }

    pub(super) fn terminal_stop(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Ended(_) => {}
            // Pressed twice, and there is no guard yet to stop the job under: stop alone.
            Phase::Running { .. } if self.stop_self_next => {
                self.stop_self_next = false;
                self.holds.terminal = false;
                effects.push(Effect::StopSelf);
            }
            Phase::Running { .. } if self.settings.can_pause => {
                self.holds.terminal = true;
                self.stop_self_next = true;
                // What keeps the plan from pausing does not keep a person from it.
                self.hearing = None;
                self.no_pause_before = now.elapsed;
                self.steer(now, effects);
            }
            Phase::Running { .. } => effects.push(Effect::StopSelf),
            Phase::Pausing { .. } => {
                self.holds.terminal = true;
                self.stop_self_next = true;
            }
            // It saves on when it is continued.
            Phase::Checkpointing { since, .. } => {
                self.holds.terminal = true;
                self.stop_self_next = true;
                self.forget_save(now, effects);
                self.stop(now, since, effects);
            }
            Phase::Holding | Phase::Paused { .. } | Phase::Released { .. } => {
                self.holds.terminal = true;
                self.turn_segment(now, effects);
                effects.push(Effect::StopSelf);
            }
            Phase::Starting
            | Phase::Resuming { .. }
            | Phase::Stopping { .. }
            | Phase::Proving { .. }
            | Phase::Leaving { .. }
            | Phase::Backoff { .. }
            | Phase::Lingering { .. } => {
                effects.push(Effect::StopSelf);
            }
        }
    }

    pub(super) fn stop_self_if_asked(&mut self, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.stop_self_next) {
            effects.push(Effect::StopSelf);
        }
    }
}
