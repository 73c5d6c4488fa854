//! What people ask for: signals, an operator's words, and the terminal's Ctrl-Z.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Effect, Event, Hearing, Holds, Machine, Meaning, Phase, Signal, Word, intent};
use crate::clock::Moment;
use crate::ledger::entry::Action;

/// How long a job that was woken to hear a signal runs before its holds apply again.
const HEARING: Duration = Duration::from_secs(10);
/// Three interrupts within this time kill.
const THIRD_INTERRUPT: Duration = Duration::from_secs(2);

impl Machine {
    pub(super) fn signal(&mut self, now: Moment, signal: Signal, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Ended(_) => {}
            // A job that is being started cannot be taken back: it gets the signal once it is there.
            Phase::Starting => self.put_off.push(Event::Signal(signal)),
            Phase::Holding => {
                if !matches!(signal.meaning, Meaning::User | Meaning::Resize) {
                    effects.push(Effect::DieBy(signal.number));
                    let why = "ended by a signal before the start".to_owned();
                    self.ended(now, None, Some(why), effects);
                }
            }
            _ => {
                if !signal.to_everyone {
                    effects.push(Effect::Relay(signal));
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
        self.holds = Holds::default();
        self.hearing = None;
        self.stop_self_next = false;
        self.enter(now, Phase::Stopping { since, kill_at }, effects);
    }

    pub(super) fn operator(&mut self, now: Moment, word: Word, effects: &mut Vec<Effect>) {
        match (word, self.phase) {
            (_, Phase::Ended(_)) => {}
            (Word::Stop, Phase::Holding) => {
                let why = "stopped before the start".to_owned();
                self.ended(now, None, Some(why), effects);
            }
            (Word::Stop, Phase::Starting) => self.put_off.push(Event::Operator(word)),
            (Word::Stop, _) => {
                effects.push(intent(Action::Stop));
                effects.push(Effect::AskToEnd);
                self.stopping(now, Some(now.monotonic + self.settings.grace), effects);
            }
            (Word::Pause, Phase::Stopping { .. }) => {
                self.refuse("it was asked to end".to_owned(), effects);
            }
            // Not even tried: a hold that never comes about would only be shown as one.
            (Word::Pause, phase) if phase != Phase::Holding && !self.settings.can_pause => {
                self.refuse("the job has the terminal (--tty)".to_owned(), effects);
            }
            (Word::Pause, _) => {
                self.holds.operator = true;
                self.hearing = None;
                // A person who asks again after a refusal means now, not in half an hour.
                self.no_pause_before = now.elapsed;
                self.steer(now, effects);
            }
            (Word::Resume, phase) => {
                self.holds.operator = false;
                let waits = matches!(
                    phase,
                    Phase::Holding | Phase::Pausing { .. } | Phase::Paused { .. }
                );
                if waits || self.holds.carbon {
                    self.overrule(now);
                }
                self.steer(now, effects);
            }
        }
    }

    /// The plan neither holds nor pauses until it would have gone on by itself, and for the least
    /// running time.
    fn overrule(&mut self, now: Moment) {
        let planned = self.decision().and_then(|decision| decision.until);
        let planned = planned.filter(|_| self.holds.carbon).unwrap_or(now.utc);
        let least = self.settings.switching.min_run.max(self.poll());
        let least = SignedDuration::try_from(least).unwrap_or(SignedDuration::MAX);
        let least = now.utc.saturating_add(least).unwrap_or(now.utc);
        self.overruled_until = Some(planned.max(least));
    }

    pub(super) fn terminal_stop(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Ended(_) => {}
            Phase::Running { .. } => {
                self.hearing = None;
                if self.may_stop_now(now) {
                    self.holds.terminal = true;
                    self.stop_self_next = true;
                    self.steer(now, effects);
                } else {
                    // It cannot be stopped whole now (a refusal is fresh, say): stop alone, the
                    // shell waits for it.
                    effects.push(Effect::StopSelf);
                }
            }
            Phase::Pausing { .. } => {
                self.holds.terminal = true;
                self.stop_self_next = true;
            }
            Phase::Holding | Phase::Paused { .. } => {
                self.holds.terminal = true;
                self.turn_segment(now, effects);
                effects.push(Effect::StopSelf);
            }
            Phase::Starting | Phase::Resuming { .. } | Phase::Stopping { .. } => {
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
