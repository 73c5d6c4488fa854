//! The life of one run as a pure state machine: events in, effects out.
//!
//! The machine decides, the driver in the parent module does. It knows no process, file or clock:
//! each event comes with its [`Moment`], each effect is carried out elsewhere and its outcome is the
//! next event. It is total: every phase answers every event, if only by staying as it is; early, late
//! and double wake-ups change nothing.
//!
//! Whether the job runs is a set of [`Holds`]. Each is lifted only by who set it, and the job runs
//! when the set is empty. Plans and deadlines are kept on UTC, minima and progress on `elapsed`,
//! grace periods on `monotonic`.
//!
//! Here are the phases and what leads from one to the next. What people ask for (signals,
//! operators, the terminal's keys) is in `asked`, the ways to pause and to go on in `pausing`, how a
//! job ends, leaves or is tried again in `ending`, who else uses its devices in `devices`, what it has to
//! do with the other nodes of a cluster's job and with its queue in `cluster`, what the planner is told in `situation`, the accounting of time in `segments`.

mod asked;
mod cluster;
mod devices;
mod ending;
mod pausing;
mod planner;
mod situation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::devices::Devices;
pub use self::ending::Linger;
use self::ending::{After, Last};
use self::pausing::Learned;
pub use self::planner::{AsShipped, HORIZON_HOURS, Planner};
use self::situation::Measured;
pub use self::situation::delay_allowed;
pub use super::event::{
    Effect, Event, Meaning, News, Occasion, Signal, Stretch, Ties, Wakeup, Word,
};
use super::progress::{Mark, Pace};
use super::segments::{Segments, jump};
pub use super::settings::{
    Expected, Leftovers, OnBudget, PauseWith, Pausing, Retry, Settings, Unproved,
};
use crate::clock::Moment;
use crate::forecast::{Knowledge, Outlook};
use crate::ledger::entry::{Action, Cause, Exit, Part, What};
use crate::plan::{Act, Decision, Reason, Way};
pub use crate::plan::{Limit, Policy, Power, Switching};
use crate::units::GramsCo2e;

/// Longest time between two decisions of a run: a minute.
pub const POLL: Duration = Duration::from_mins(1);
/// By which part of it a job may take longer than was said.
pub const GIVEN_MARGIN: f64 = 0.25;
/// A refused pause is not tried again for so long.
const AFTER_REFUSAL: Duration = Duration::from_mins(30);
/// A pause that is neither confirmed nor refused by then is given up.
const PAUSE_GIVE_UP: Duration = Duration::from_secs(5);
/// A resume that is not confirmed by then is asked for again.
const RESUME_AGAIN: Duration = Duration::from_secs(5);
/// Without an intensity by then, the job starts.
const KNOWLEDGE_GIVE_UP: Duration = Duration::from_secs(5);
/// A segment is written at least so often (real time).
const SEGMENT_AT_MOST: Duration = Duration::from_mins(5);
/// A guard that ends soon after its start is not replaced more often than this.
const GUARD_AGAIN: Duration = Duration::from_secs(30);
/// No two decisions for nothing but the passing of time are closer than this.
const POLL_AT_LEAST: Duration = Duration::from_secs(1);
/// The wall clock was set by at least so much, or the host slept for so long: plan again.
const CLOCKS_DISAGREE: Duration = Duration::from_secs(1);

/// Where the run stands. A state's data lives in its variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// No job yet.
    Holding,
    /// The start was asked for.
    Starting,
    /// The job runs.
    Running {
        /// `elapsed` at the start or resume.
        since: Duration,
    },
    /// The job was asked to save its state.
    Checkpointing {
        /// `elapsed` at the start or resume before it.
        since: Duration,
        /// `elapsed` at which it was asked.
        asked: Duration,
        /// `monotonic` at which no proof is waited for any more.
        give_up: Duration,
    },
    /// The job ended while it was to save; whether it has may still show.
    Proving {
        /// `monotonic` at which it is taken for not saved.
        give_up: Duration,
    },
    /// The job has saved and is to leave.
    Leaving {
        /// `monotonic` at which it is asked to end; none once that was done.
        ask_at: Option<Duration>,
        /// `monotonic` at which it is killed; none before it was asked, and once that was done.
        kill_at: Option<Duration>,
    },
    /// The stop was asked for.
    Pausing {
        /// `elapsed` at the start or resume before it.
        since: Duration,
        /// `monotonic` at which it is given up.
        give_up: Duration,
    },
    /// Every process of the job is seen stopped.
    Paused {
        /// `elapsed` at the confirmation.
        since: Duration,
    },
    /// The job has left, and is to be started again.
    Released {
        /// `elapsed` at its end.
        since: Duration,
    },
    /// The job has failed, and is to be started again after a while.
    Backoff {
        /// `monotonic` at which it may be.
        until: Duration,
    },
    /// The job was asked to go on.
    Resuming {
        /// `monotonic` at which it is asked again.
        again: Duration,
    },
    /// The job was asked to end.
    Stopping {
        /// `elapsed` at the first request.
        since: Duration,
        /// `monotonic` at which it is killed; none once that was done.
        kill_at: Option<Duration>,
    },
    /// The leader has ended, others of the job have not.
    Lingering {
        /// What is waited for.
        step: Linger,
        /// `monotonic` at which the next step is due.
        at: Duration,
    },
    /// The job has ended, or the run has without one.
    Ended(Option<Exit>),
}

impl Phase {
    /// All words that [`Phase::word`] has.
    pub const WORDS: [&str; 9] = [
        "held", "starting", "running", "saving", "released", "retrying", "paused", "ending",
        "ended",
    ];

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holding => "held",
            Self::Starting => "starting",
            Self::Running { .. } | Self::Pausing { .. } | Self::Resuming { .. } => "running",
            Self::Checkpointing { .. } | Self::Proving { .. } | Self::Leaving { .. } => "saving",
            Self::Released { .. } => "released",
            Self::Backoff { .. } => "retrying",
            Self::Paused { .. } => "paused",
            Self::Stopping { .. } | Self::Lingering { .. } => "ending",
            Self::Ended(_) => "ended",
        }
    }

    /// Whether there is no process of the job, and not because the run is over.
    pub fn has_no_job(self) -> bool {
        matches!(
            self,
            Self::Holding | Self::Proving { .. } | Self::Released { .. } | Self::Backoff { .. }
        )
    }
}

/// Who wants the job not to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// The plan.
    pub carbon: bool,
    /// `catrain pause`.
    pub operator: bool,
    /// Ctrl-Z.
    pub terminal: bool,
    /// Others who use the devices that the job needs: a start waits for them.
    pub devices: bool,
    /// The node of the job that leads.
    pub leader: bool,
}

impl Holds {
    /// Whether nobody does.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whoever does, in a fixed order.
    pub fn causes(self) -> Vec<Cause> {
        let all = [
            (self.carbon, Cause::Carbon),
            (self.operator, Cause::Operator),
            (self.terminal, Cause::Terminal),
            (self.devices, Cause::Devices),
            (self.leader, Cause::Leader),
        ];
        all.iter()
            .filter(|(held, _)| *held)
            .map(|(_, cause)| *cause)
            .collect()
    }
}

/// What a run that goes on here has done elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Before {
    /// Running time.
    pub productive: Duration,
    /// How often the job was started.
    pub attempts: u32,
    /// Pauses by the plan.
    pub pauses: u32,
    /// Emissions.
    pub spent: GramsCo2e,
    /// `elapsed` at which the job left, the last time that it did.
    pub left_at: Duration,
}

/// A paused job runs for a moment to hear a signal; to the plan the pause goes on.
#[derive(Clone, Copy, Debug)]
struct Hearing {
    /// `monotonic` at which the holds apply again.
    until: Duration,
    /// `elapsed` at the beginning of the pause.
    paused_since: Duration,
}

/// One run.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    planner: Arc<dyn Planner>,
    phase: Phase,
    holds: Holds,
    segments: Segments,
    /// Whether the run has begun; before that only knowledge starts the job.
    begun: bool,
    knowledge: Option<Arc<Knowledge>>,
    outlook: Option<Arc<Outlook>>,
    /// The decision in force, and when it was made.
    decision: Option<(Decision, Moment)>,
    guard_ready: bool,
    /// `monotonic` at which the guard was last replaced, and at which it is to be again.
    guard_replaced: Option<Duration>,
    guard_again: Option<Duration>,
    pauses: u32,
    /// How often the job was started.
    attempt: u32,
    /// `elapsed` at the last start.
    attempt_began: Duration,
    /// Failures in a row.
    failures: u32,
    /// The last signal by which a person asked the job to end, and its `monotonic`.
    asked_by_signal: Option<(i32, Duration)>,
    /// What follows once nobody of the job is left.
    after: After,
    /// How the job ended, the last time that it did.
    last: Last,
    /// How the job is paused, or was last.
    way: Way,
    /// Whether it has saved its state for the pause that begins.
    has_saved: bool,
    /// `elapsed` at which a job that leaves was asked to save.
    asked_to_save: Duration,
    /// Whether it was told that others use the devices.
    told_of_devices: bool,
    /// What saving and restoring took so far in this run.
    learned: Learned,
    /// `elapsed` at which the job was started again and has not yet made progress since.
    restarted_at: Option<(Duration, Mark)>,
    /// `elapsed` at the last resume or restart.
    resumed_at: Option<Duration>,
    died_after_resume: bool,
    /// It turned out that the plan may not pause this job, whatever it is asked for.
    is_never_paused: bool,
    was_left: bool,
    /// The job is being given back to the cluster, to start again then; and the `monotonic` at which no answer is
    /// waited for any more.
    giving_back: Option<(Timestamp, Duration)>,
    was_given_back: bool,
    /// `elapsed` before which it is not tried again.
    no_giving_before: Duration,
    /// `elapsed` at which a stop has lasted long enough, whatever the plan says.
    stop_until: Option<Duration>,
    /// Whether it was stopped although it has connections to other hosts.
    has_tried_stop: bool,
    devices: Devices,
    /// The rate at which the job gets on, as far as it says.
    pace: Pace,
    /// `elapsed` at which the operator's hold applies again.
    operator_again: Option<Duration>,
    /// `elapsed` before which no pause is tried: after a refusal.
    no_pause_before: Duration,
    /// The plan may not hold or pause before this: an operator said run.
    overruled_until: Option<Timestamp>,
    hearing: Option<Hearing>,
    /// `elapsed` at which the job has restored its state and makes progress again.
    restored_at: Duration,
    /// Ctrl-Z came while stopping was not done yet: stop the supervisor after the pause.
    stop_self_next: bool,
    /// What is for the job and came while it was being started.
    put_off: Vec<Event>,
    /// `monotonic` of the last interrupts.
    interrupts: Vec<Duration>,
    measured: Measured,
    spent: GramsCo2e,
    budget_warned: f64,
    warned_of_bug: bool,
    segment_at_most: Duration,
}

impl Machine {
    /// A run that begins at `now`.
    pub fn new(settings: Settings, now: Moment) -> Self {
        Self::with_planner(settings, now, Arc::new(AsShipped))
    }

    /// A run that has begun elsewhere and goes on at `now`. Of one whose job was started there, it has left
    /// and is to be started again.
    pub fn going_on(settings: Settings, now: Moment, before: &Before) -> Self {
        let new = Self::new(settings, now);
        let phase = match before.attempts {
            0 => Phase::Holding,
            _ => Phase::Released {
                since: before.left_at.min(now.elapsed),
            },
        };
        let holds = Holds {
            carbon: before.attempts > 0,
            ..new.holds
        };
        Self {
            phase,
            holds,
            segments: new.segments.going_on(before.productive),
            pauses: before.pauses,
            attempt: before.attempts,
            spent: before.spent,
            way: Way::Release,
            ..new
        }
    }

    /// The same where something else decides.
    pub fn with_planner(settings: Settings, now: Moment, planner: Arc<dyn Planner>) -> Self {
        let holds = Holds {
            leader: settings.follows,
            ..Holds::default()
        };
        Self {
            settings,
            planner,
            phase: Phase::Holding,
            holds,
            segments: Segments::new(now, Part::Overhead),
            begun: false,
            knowledge: None,
            outlook: None,
            decision: None,
            guard_ready: false,
            guard_replaced: None,
            guard_again: None,
            pauses: 0,
            attempt: 0,
            attempt_began: Duration::ZERO,
            failures: 0,
            asked_by_signal: None,
            after: After::default(),
            last: Last::default(),
            way: Way::Hold,
            has_saved: false,
            asked_to_save: Duration::ZERO,
            told_of_devices: false,
            learned: Learned::default(),
            restarted_at: None,
            resumed_at: None,
            died_after_resume: false,
            is_never_paused: false,
            was_left: false,
            giving_back: None,
            was_given_back: false,
            no_giving_before: Duration::ZERO,
            stop_until: None,
            has_tried_stop: false,
            devices: Devices::default(),
            pace: Pace::default(),
            operator_again: None,
            no_pause_before: Duration::ZERO,
            overruled_until: None,
            hearing: None,
            restored_at: Duration::ZERO,
            stop_self_next: false,
            put_off: Vec::new(),
            interrupts: Vec::new(),
            measured: Measured::default(),
            spent: GramsCo2e::ZERO,
            budget_warned: 0.0,
            warned_of_bug: false,
            segment_at_most: SEGMENT_AT_MOST,
        }
    }

    /// Where the run stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Who holds it.
    pub fn holds(&self) -> Holds {
        self.holds
    }

    /// What the sources know, once they have told.
    pub fn knowledge(&self) -> Option<&Arc<Knowledge>> {
        self.knowledge.as_ref()
    }

    /// The decision in force.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref().map(|(decision, _)| decision)
    }

    /// The intensity ahead, as of the last decision.
    pub fn outlook(&self) -> Option<&Outlook> {
        self.outlook.as_deref()
    }

    /// What was asked for, and learned since.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Time in the present phase, of those that last.
    pub fn since(&self, now: Moment) -> Duration {
        match self.phase {
            Phase::Running { since }
            | Phase::Checkpointing { since, .. }
            | Phase::Pausing { since, .. }
            | Phase::Paused { since }
            | Phase::Released { since }
            | Phase::Stopping { since, .. } => now.elapsed.saturating_sub(since),
            Phase::Holding => now.elapsed,
            Phase::Starting
            | Phase::Proving { .. }
            | Phase::Leaving { .. }
            | Phase::Backoff { .. }
            | Phase::Resuming { .. }
            | Phase::Lingering { .. }
            | Phase::Ended(_) => Duration::ZERO,
        }
    }

    /// From now on segments are at most so long in real time, each of them a line of the ledger.
    pub fn cut_segments(&mut self, at_most: Duration) {
        self.segment_at_most = at_most;
    }

    /// Whether the guard answers.
    pub fn has_guard(&self) -> bool {
        self.guard_ready
    }

    /// Pauses by the plan so far.
    pub fn pauses(&self) -> u32 {
        self.pauses
    }

    /// How often the job was started so far.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How the job ended, the last time that it did.
    pub fn last_exit(&self) -> Option<Exit> {
        self.last.exit
    }

    /// How the present pause is made, or the last was.
    pub fn way(&self) -> Way {
        self.way
    }

    /// How far the job is and how fast it gets on, by what it says itself.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Whether the run is over and the job is not.
    pub fn was_left(&self) -> bool {
        self.was_left
    }

    /// Whether the job waits in the cluster's queue, and the run goes on with it.
    pub fn was_given_back(&self) -> bool {
        self.was_given_back
    }

    /// Whether the job was ever paused and continued.
    pub fn was_continued(&self) -> bool {
        self.resumed_at.is_some()
    }

    /// Whether the job failed soon after it was continued: it may not be one that can be paused.
    pub fn died_after_resume(&self) -> bool {
        self.died_after_resume
    }

    /// Emissions so far.
    pub fn spent(&self) -> GramsCo2e {
        self.spent
    }

    /// `monotonic` at which the guard was last replaced, having ended.
    pub fn guard_replaced(&self) -> Option<Duration> {
        self.guard_replaced
    }

    /// Time in which the job made progress.
    pub fn productive(&self, now: Moment) -> Duration {
        self.segments.productive(now)
    }

    /// Which part of the work is done, 0 to 1, where the job says it or its length is known.
    pub fn progress(&self, now: Moment) -> Option<f64> {
        self.pace.fraction().or_else(|| {
            let whole = self.settings.duration?.duration.as_secs_f64().max(1e-9);
            Some((self.productive(now).as_secs_f64() / whole).min(1.0))
        })
    }

    /// When to send the next [`Event::Wake`] at the latest.
    pub fn next_wakeup(&self) -> Wakeup {
        if let Phase::Ended(_) = self.phase {
            return Wakeup::default();
        }
        let mut next = Wakeup::default();
        let mut soonest = self.segments.began() + self.segment_at_most;
        match (self.phase, &self.decision) {
            (
                Phase::Holding
                | Phase::Running { .. }
                | Phase::Paused { .. }
                | Phase::Released { .. },
                Some((decision, decided)),
            ) => {
                // A plan that changes in the past would never let time move on.
                next.utc = decision.until.filter(|until| *until > decided.utc);
                let replan = decided.elapsed.saturating_add(self.replan());
                next.elapsed = Some(match self.segments.open().0 {
                    Part::Restoring => replan.min(self.restored_at),
                    _ => replan,
                });
                let others = [self.operator_again, self.stop_ends()];
                for at in others.into_iter().flatten() {
                    next.elapsed = next.elapsed.map(|next| next.min(at));
                }
                if let Some(hearing) = self.hearing {
                    soonest = soonest.min(hearing.until);
                }
                if let Some(at) = self.devices.look_at() {
                    soonest = soonest.min(at);
                }
            }
            (Phase::Holding | Phase::Released { .. }, None) => {
                soonest = soonest.min(KNOWLEDGE_GIVE_UP)
            }
            (
                Phase::Pausing { give_up, .. }
                | Phase::Checkpointing { give_up, .. }
                | Phase::Proving { give_up },
                _,
            ) => soonest = soonest.min(give_up),
            (Phase::Resuming { again }, _) => soonest = soonest.min(again),
            (Phase::Backoff { until }, _) => soonest = soonest.min(until),
            (Phase::Lingering { at, .. }, _) => soonest = soonest.min(at),
            (Phase::Leaving { ask_at, kill_at }, _) => {
                soonest = soonest.min(ask_at.or(kill_at).unwrap_or(soonest));
            }
            (Phase::Stopping { kill_at, .. }, _) => {
                soonest = soonest.min(kill_at.unwrap_or(soonest));
            }
            _ => {}
        }
        if let Some((_, give_up)) = self.giving_back {
            soonest = soonest.min(give_up);
        }
        next.monotonic = Some(soonest.min(self.guard_again.unwrap_or(soonest)));
        next
    }

    /// Answers an event.
    pub fn on(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !matches!(self.phase, Phase::Ended(_)) {
            self.segments.advance(now);
            self.give_segments(&mut effects);
        }
        self.answer(now, event, &mut effects);
        effects
    }

    fn answer(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Begin => {
                self.begun = true;
                self.steer(now, effects);
            }
            Event::Wake => self.wake(now, effects),
            Event::Forecast(knowledge) => {
                self.knowledge = Some(knowledge);
                self.steer(now, effects);
            }
            Event::Typical(duration) => {
                if self.settings.duration.is_none() {
                    let learned = Expected {
                        duration,
                        margin: 0.5,
                        given: false,
                    };
                    self.settings.duration = Some(learned);
                    self.steer(now, effects);
                }
            }
            Event::Asked(settings) => self.asked_anew(now, *settings, effects),
            Event::Progress(reading) => self.progressed(now, reading),
            Event::Started { pid, took } => self.started(now, pid, took, effects),
            Event::StartFailed { why } => {
                if self.phase == Phase::Starting {
                    self.ended(now, None, Some(why), effects);
                }
            }
            Event::PauseConfirmed {
                processes,
                took,
                ties,
            } => self.paused(now, processes, took, ties, effects),
            Event::Saved(proof) => self.saved(now, proof, effects),
            Event::NotAsked(why) => self.unproved(now, why, effects),
            Event::PauseRefused { why, for_good } => self.refused(now, why, for_good, effects),
            Event::ResumeConfirmed { processes, took } => {
                self.resumed(now, processes, took, effects);
            }
            Event::ChildEnded { exit, left } => self.child_ended(now, exit, left, effects),
            Event::AllGone => self.all_gone(now, effects),
            Event::Devices(taken) => self.devices_are(now, taken, effects),
            Event::Signal(signal) => self.signal(now, signal, effects),
            Event::Operator(word) => self.operator(now, word, effects),
            Event::Led { held } => self.led(now, held, effects),
            Event::Apart(why) => self.apart(now, &why, effects),
            Event::GivenBack(outcome) => self.given_back(now, outcome, effects),
            Event::TerminalStop => self.terminal_stop(now, effects),
            Event::TerminalContinue => {
                self.holds.terminal = false;
                self.stop_self_next = false;
                self.steer(now, effects);
            }
            Event::GuardReady => {
                self.guard_ready = true;
                self.guard_again = None;
                self.steer(now, effects);
            }
            Event::GuardLost => self.guard_lost(now, effects),
            Event::GuardReleased => self.guard_released(now, effects),
            Event::Metered {
                part,
                length,
                energy,
                grams,
            } => self.metered(now, part, length, energy, grams, effects),
        }
    }

    fn wake(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Ended(_) => return,
            Phase::Holding
            | Phase::Running { .. }
            | Phase::Paused { .. }
            | Phase::Released { .. }
                if self.is_due(now) =>
            {
                self.steer(now, effects);
            }
            Phase::Pausing { give_up, .. } if now.monotonic >= give_up => {
                effects.push(Effect::Resume);
                let why = "the stop could not be confirmed in time".to_owned();
                self.refused(now, why, false, effects);
            }
            Phase::Checkpointing { give_up, .. } if now.monotonic >= give_up => {
                self.unproved_in_time(now, effects);
            }
            Phase::Proving { give_up } if now.monotonic >= give_up => {
                self.ended_unsaved(now, effects);
            }
            Phase::Leaving { ask_at, kill_at } => self.still_there(now, ask_at, kill_at, effects),
            Phase::Backoff { until } if now.monotonic >= until => {
                self.enter(now, Phase::Released { since: now.elapsed }, effects);
                self.steer(now, effects);
            }
            Phase::Lingering { step, at } if now.monotonic >= at => {
                self.still_lingers(now, step, effects);
            }
            Phase::Resuming { again } if now.monotonic >= again => {
                let again = now.monotonic + RESUME_AGAIN;
                self.phase = Phase::Resuming { again };
                effects.push(Effect::Resume);
            }
            Phase::Stopping {
                since,
                kill_at: Some(at),
            } if now.monotonic >= at => {
                let kill_at = None;
                self.phase = Phase::Stopping { since, kill_at };
                effects.push(intent(Action::Kill));
                effects.push(Effect::Kill);
            }
            _ => {}
        }
        if self.giving_back.is_some_and(|(_, at)| now.monotonic >= at) {
            let why = "the cluster did not answer".to_owned();
            self.given_back(now, Err(why), effects);
        }
        if self.guard_again.is_some_and(|at| now.monotonic >= at) {
            self.replace_guard(now, effects);
        }
        if now.monotonic.saturating_sub(self.segments.began()) >= self.segment_at_most {
            self.segments.split(now);
            self.give_segments(effects);
        }
    }

    /// Whether the passing of time asks for a new decision.
    fn is_due(&self, now: Moment) -> bool {
        let Some((decision, decided)) = &self.decision else {
            return true;
        };
        let slept = now.suspended.saturating_sub(decided.suspended);
        decision.until.is_some_and(|until| now.utc >= until)
            || now.elapsed >= decided.elapsed.saturating_add(self.replan())
            || jump(*decided, now).unsigned_abs() >= CLOCKS_DISAGREE
            || slept >= CLOCKS_DISAGREE
            || self.hearing_is_over(now)
            || self.operator_again.is_some_and(|at| now.elapsed >= at)
            || self.has_stopped_long_enough(now)
            || (self.devices.look_at()).is_some_and(|at| now.monotonic >= at)
            || (self.segments.open().0 == Part::Restoring && !self.is_restoring(now))
    }

    /// Whether the job goes on again but makes no progress yet.
    fn is_restoring(&self, now: Moment) -> bool {
        now.elapsed < self.restored_at
    }

    fn poll(&self) -> Duration {
        self.settings.poll.max(POLL_AT_LEAST)
    }

    fn replan(&self) -> Duration {
        self.settings.replan.max(POLL_AT_LEAST)
    }

    fn hearing_is_over(&self, now: Moment) -> bool {
        self.hearing
            .is_some_and(|hearing| now.monotonic >= hearing.until)
    }

    /// Whether the first decision is to be made. A start that may be held is worth a short wait for
    /// intensities; any other is not.
    fn may_open(&self, now: Moment) -> bool {
        let given = self.settings.duration.is_some_and(|known| known.given);
        let could_hold = match self.phase {
            Phase::Released { .. } => self.settings.may_pause,
            _ => self.settings.may_hold && (self.settings.asked_for || given),
        };
        let could_hold = could_hold && self.settings.policy != Policy::Now;
        self.decision.is_some()
            || self.knowledge.is_some()
            || self.overruled_until.is_some()
            || (self.begun && !could_hold)
            || now.monotonic >= KNOWLEDGE_GIVE_UP
    }

    /// Decides and acts on it.
    fn steer(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Holding if !self.may_open(now) => return,
            // It goes on here, after having left elsewhere.
            Phase::Released { .. } if self.decision.is_none() && !self.may_open(now) => return,
            Phase::Holding
            | Phase::Running { .. }
            | Phase::Paused { .. }
            | Phase::Released { .. } => {}
            _ => return,
        }
        if self
            .operator_again
            .take_if(|at| now.elapsed >= *at)
            .is_some()
        {
            self.holds.operator = true;
        }
        let before = self.decision().map(|decision| decision.act);
        let decision = self.consider(now, effects);
        if self.hearing_is_over(now) {
            self.hearing = None;
        }
        let carbon_before = self.holds.carbon;
        self.holds.carbon = decision.act == Act::Pause;
        if before.is_none() {
            effects.push(Effect::Tell(match self.outlook {
                Some(_) => News::Opening(decision.clone()),
                None => News::NothingKnown,
            }));
        }
        if before != Some(decision.act) {
            effects.push(self.decision_entry(now, &decision));
        }
        self.decision = Some((decision.clone(), now));
        // What an operator overruled is no reason of the plan's.
        let by_plan = carbon_before && !self.is_overruled(now);
        // Who waited may find that others have come meanwhile.
        let has_waited = before.is_some() || self.attempt > 0;
        match self.phase {
            Phase::Holding | Phase::Released { .. } => {
                if !self.may_start(now, has_waited, &decision, effects) {
                    self.give_back(now, &decision, effects);
                    return self.turn_segment(now, effects);
                }
                if self.phase != Phase::Holding {
                    let decision = by_plan.then_some(decision);
                    effects.push(Effect::Tell(News::StartsAgain { decision }));
                } else if before.is_some() {
                    effects.push(Effect::Tell(match by_plan {
                        true => News::StartsNow(decision),
                        false => News::StartsByHand,
                    }));
                }
                self.start(now, effects);
            }
            Phase::Running { since } if !self.holds.is_empty() && self.may_stop_now(now) => {
                self.begin_pause(now, since, decision.way, effects);
            }
            Phase::Paused { .. } if self.holds.is_empty() => {
                let decision = by_plan.then_some(decision);
                effects.push(Effect::Tell(News::Resumed { decision }));
                self.resume(now, effects);
            }
            _ => self.turn_segment(now, effects),
        }
    }

    /// Whether a stop can be begun at all at this moment, whoever wants it.
    fn may_stop_now(&self, now: Moment) -> bool {
        self.settings.can_pause
            && self.guard_ready
            && self.hearing.is_none()
            && !self.is_restoring(now)
            && now.elapsed >= self.no_pause_before
    }

    fn guard_lost(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.guard_ready = false;
        match self.phase {
            Phase::Ended(_) => return,
            Phase::Paused { .. } | Phase::Pausing { .. } => self.resume(now, effects),
            _ => {}
        }
        let due = self
            .guard_replaced
            .map_or(now.monotonic, |at| at + GUARD_AGAIN);
        if now.monotonic < due {
            self.guard_again = Some(due);
            return;
        }
        warn(
            "the guard ended; the job runs until a new one answers",
            effects,
        );
        self.replace_guard(now, effects);
    }

    fn replace_guard(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.guard_again = None;
        self.guard_replaced = Some(now.monotonic);
        effects.push(Effect::StartGuard);
    }

    fn guard_released(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Paused { .. } | Phase::Pausing { .. }) {
            let why = "catrain did not respond in time, so the guard continued the job";
            warn(why, effects);
            // The guard has continued it already; asking again is harmless and puts the lists right.
            self.resume(now, effects);
        }
    }

    /// Changes the phase; a change of part or cause ends the segment.
    fn enter(&mut self, now: Moment, phase: Phase, effects: &mut Vec<Effect>) {
        self.phase = phase;
        self.turn_segment(now, effects);
    }

    fn turn_segment(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let (part, causes) = match self.phase {
            Phase::Holding if self.decision.is_some() => (Part::Held, self.holds.causes()),
            // By whom it was paused, by that it restores.
            Phase::Starting if self.attempt > 1 => {
                (Part::Restoring, self.segments.open().1.to_vec())
            }
            Phase::Holding | Phase::Starting | Phase::Ended(_) => (Part::Overhead, Vec::new()),
            Phase::Running { .. } if self.is_restoring(now) => {
                (Part::Restoring, self.segments.open().1.to_vec())
            }
            // A job that saves first makes no progress; one that is only stopped does until it is.
            Phase::Pausing { .. } if !self.settings.switching.pause.is_zero() => {
                (Part::Saving, self.holds.causes())
            }
            Phase::Checkpointing { .. } | Phase::Proving { .. } | Phase::Leaving { .. } => {
                (Part::Saving, self.holds.causes())
            }
            Phase::Lingering { .. } if self.after == After::Release => {
                (Part::Saving, self.holds.causes())
            }
            Phase::Running { .. }
            | Phase::Pausing { .. }
            | Phase::Stopping { .. }
            | Phase::Lingering { .. } => (Part::Running, Vec::new()),
            Phase::Paused { .. } => (Part::Paused, self.holds.causes()),
            Phase::Released { .. } if self.holds.is_empty() => {
                // Between the end of one start and the next.
                (Part::Paused, vec![Cause::Retry])
            }
            Phase::Released { .. } => (Part::Paused, self.holds.causes()),
            Phase::Backoff { .. } => (Part::Paused, vec![Cause::Retry]),
            // It goes on as it was until the job is seen to go on: the holds are lifted already.
            Phase::Resuming { .. } => {
                let (part, causes) = self.segments.open();
                (part, causes.to_vec())
            }
        };
        if let Phase::Ended(_) = self.phase {
            // The last one ends here, whatever it was.
            self.segments.split(now);
        }
        self.segments.turn(now, part, causes);
        self.give_segments(effects);
    }

    fn give_segments(&mut self, effects: &mut Vec<Effect>) {
        effects.extend(self.segments.take().into_iter().map(Effect::Segment));
    }

    fn decision_entry(&self, now: Moment, decision: &Decision) -> Effect {
        let intensity = self
            .outlook
            .as_ref()
            .and_then(|outlook| outlook.expected.at(now.utc));
        let saves_g = match decision.reason {
            Reason::Cheaper { saves, .. } => Some(saves),
            _ => None,
        };
        Effect::Record(What::Decision {
            act: decision.act,
            until: decision.until,
            reason: decision
                .reason
                .words(decision.until, now.utc, &jiff::tz::TimeZone::UTC),
            intensity_g_per_kwh: intensity,
            saves_g,
        })
    }
}

fn intent(action: Action) -> Effect {
    Effect::Record(What::Intent { action })
}

fn confirmed(action: Action, processes: u32, took: Duration, pid: Option<i32>) -> Effect {
    Effect::Record(What::Confirmed {
        action,
        processes,
        took_us: micros(took),
        pid,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn warn(text: &str, effects: &mut Vec<Effect>) {
    effects.push(Effect::Record(What::Warning {
        text: text.to_owned(),
    }));
    effects.push(Effect::Tell(News::Warning(text.to_owned())));
}
