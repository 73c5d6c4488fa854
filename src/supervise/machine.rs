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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Moment;
use crate::forecast::ahead::ahead;
use crate::forecast::{Knowledge, Outlook};
use crate::ledger::entry::{Action, Cause, Exit, Part, What};
use crate::plan::{
    Act, Allowance, Decision, Policy, Power, Reason, Situation, State, Switching, Work, decide,
};
use crate::units::{GramsCo2e, Joules, Watts};

/// How far the outlook looks: the horizon of the planning rules.
const HORIZON_HOURS: usize = 168;
/// The most delay that a known duration gives when nothing else was said.
const DEFAULT_MAX_DELAY: Duration = Duration::from_hours(12);
/// Earned delay begins after this much productive time.
const EARNED_AFTER: Duration = Duration::from_mins(30);
/// A refused pause is not tried again for so long.
const AFTER_REFUSAL: Duration = Duration::from_mins(30);
/// How long a job that was woken to hear a signal runs before its holds apply again.
const HEARING: Duration = Duration::from_secs(10);
/// Three interrupts within this time kill.
const THIRD_INTERRUPT: Duration = Duration::from_secs(2);
/// A pause that is neither confirmed nor refused by then is given up.
const PAUSE_GIVE_UP: Duration = Duration::from_secs(5);
/// Without an intensity by then, the job starts.
const KNOWLEDGE_GIVE_UP: Duration = Duration::from_secs(5);
/// A segment is written at least so often (real time).
const SEGMENT_AT_MOST: Duration = Duration::from_mins(5);
/// A difference between the boot-time and monotonic clocks that counts as host suspend.
const SUSPEND_AT_LEAST: Duration = Duration::from_secs(2);
/// Measured power replaces the figure that planning began with after so much running time.
const POWER_AFTER: Duration = Duration::from_mins(1);

/// What does not change during a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to choose.
    pub policy: Policy,
    /// Power figures to plan with until measured.
    pub power: Power,
    /// What a pause costs; its minima.
    pub switching: Switching,
    /// The latest end.
    pub deadline: Option<Timestamp>,
    /// Running time of the whole job, and the margin on it.
    pub duration: Option<Expected>,
    /// `--carbon-budget`, to warn by.
    pub budget: Option<GramsCo2e>,
    /// `--max-delay`.
    pub max_delay: Option<Duration>,
    /// Whether a wait was asked for by hand.
    pub asked_for: bool,
    /// Whether the start may be held.
    pub may_hold: bool,
    /// Whether the plan may pause.
    pub may_pause: bool,
    /// Whether anyone may pause (not with `--tty`).
    pub can_pause: bool,
    /// How the job is asked to end by `stop`.
    pub stop_signal: i32,
    /// From asking to killing.
    pub grace: Duration,
    /// Longest time between two decisions.
    pub poll: Duration,
}

/// How long the job is expected to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Productive time of the whole job.
    pub duration: Duration,
    /// The planner's safety margin on what is left: 0 exact, 0.25 given, 0.5 learned.
    pub margin: f64,
    /// Whether it was given by hand; a learned one gives no right to hold by itself.
    pub given: bool,
}

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
    /// The job was asked to go on.
    Resuming,
    /// The job was asked to end.
    Stopping {
        /// `monotonic` at which it is killed; none once that was done.
        kill_at: Option<Duration>,
    },
    /// The job has ended, or the run has without one.
    Ended(Option<Exit>),
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
}

impl Holds {
    /// Whether nobody does.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn causes(self) -> Vec<Cause> {
        let all = [
            (self.carbon, Cause::Carbon),
            (self.operator, Cause::Operator),
            (self.terminal, Cause::Terminal),
        ];
        all.iter()
            .filter(|(held, _)| *held)
            .map(|(_, cause)| *cause)
            .collect()
    }
}

/// What happens to a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins.
    Begin,
    /// A time that was asked for, or any other.
    Wake,
    /// New intensities.
    Forecast(Arc<Knowledge>),
    /// How long this command took in the past.
    Typical(Duration),
    /// The job's leader exists.
    Started {
        /// Its pid.
        pid: i32,
        /// From the decision to the start.
        took: Duration,
    },
    /// The job could not be started.
    StartFailed {
        /// Why, in words.
        why: String,
    },
    /// Every process of the job is stopped.
    PauseConfirmed {
        /// How many.
        processes: u32,
        /// From the decision to the proof.
        took: Duration,
    },
    /// The job could not be stopped whole, and was continued.
    PauseRefused {
        /// Why, in words.
        why: String,
        /// Never try again.
        for_good: bool,
    },
    /// The job goes on.
    ResumeConfirmed {
        /// How many processes were continued.
        processes: u32,
    },
    /// The leader ended.
    ChildEnded(Exit),
    /// A signal for the job.
    Signal(Signal),
    /// An operator's word.
    Operator(Word),
    /// Ctrl-Z.
    TerminalStop,
    /// `fg`: the supervisor was continued after it had stopped itself.
    TerminalContinue,
    /// The guard answers.
    GuardReady,
    /// The guard is gone.
    GuardLost,
    /// The guard continued the job because the lease ran out.
    GuardReleased,
    /// Energy and emissions of a segment, as metered.
    Metered {
        /// What the segment was spent on.
        part: Part,
        /// Its length.
        length: Duration,
        /// Its energy.
        energy: Joules,
        /// Its emissions by the intensity known at the time.
        grams: GramsCo2e,
    },
}

/// A signal that reached the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Sent by the terminal (or the kernel), not by a process.
    pub from_terminal: bool,
    /// Sent to every process alike, so the job has it already.
    pub to_everyone: bool,
    /// What the number means to the run.
    pub meaning: Meaning,
    /// Whether a controlling terminal is left.
    pub has_terminal: bool,
}

/// What a signal means to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// INT: end, as the job sees fit.
    Interrupt,
    /// TERM: end within the grace period.
    Terminate,
    /// HUP: the terminal went.
    HangUp,
    /// QUIT: end with a core.
    Quit,
    /// USR1, USR2: between the user and the job.
    User,
    /// WINCH: the window's size changed; can wait until the job runs.
    Resize,
}

/// An operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Hold until `resume`.
    Pause,
    /// Lift the operator's hold; overrule the plan's.
    Resume,
    /// End the job.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Start the job.
    Start,
    /// Stop it whole.
    Pause,
    /// Let it go on.
    Resume,
    /// Pass a signal on.
    Relay(Signal),
    /// Send `--stop-signal`.
    AskToEnd,
    /// Kill it whole.
    Kill,
    /// End by the signal, as the held run had no job.
    DieBy(i32),
    /// Stop the supervisor itself, until `fg`.
    StopSelf,
    /// Start a new guard.
    StartGuard,
    /// Write it down.
    Record(What),
    /// A stretch of the run is over: meter it and write it down.
    Segment(Stretch),
    /// Tell the person.
    Tell(News),
    /// The run is over.
    Finish,
}

/// A stretch of the run in one state.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// What it was spent on.
    pub part: Part,
    /// Who caused it, for held and paused.
    pub causes: Vec<Cause>,
    /// Its start.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
}

/// What a person is told.
#[derive(Clone, Debug)]
pub enum News {
    /// The first decision.
    Opening(Decision),
    /// Nothing is known of the intensity; the job starts.
    NothingKnown,
    /// The job starts after a hold.
    StartsNow(Decision),
    /// The job starts because an operator, or Enter, said so.
    StartsByHand,
    /// The job is paused.
    Paused {
        /// By whom, and by the plan until when and why.
        decision: Option<Decision>,
        /// Processes stopped.
        processes: u32,
        /// From decision to proof.
        took: Duration,
        /// The holds.
        holds: Holds,
    },
    /// The job goes on.
    Resumed {
        /// Why, if the plan said so.
        decision: Option<Decision>,
    },
    /// A pause was refused.
    Refused(String),
    /// Something is worse than promised.
    Warning(String),
    /// Something worth knowing.
    Note(String),
}

/// When the machine wants to be woken: the earliest of the three, each on its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wakeup {
    /// On the wall clock.
    pub utc: Option<Timestamp>,
    /// Time since the start of the run.
    pub elapsed: Option<Duration>,
    /// Real time since the start of the run.
    pub monotonic: Option<Duration>,
}

/// One run.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    phase: Phase,
    holds: Holds,
    knowledge: Option<Arc<Knowledge>>,
    outlook: Option<Outlook>,
    decision: Option<Decision>,
    decided_at: Duration,
    opened: bool,
    guard_ready: bool,
    /// Where the current segment began, and its part and causes.
    segment: (Moment, Part, Vec<Cause>),
    last: Moment,
    productive: Duration,
    pauses: u32,
    /// `elapsed` before which no pause is tried: after a refusal.
    no_pause_before: Duration,
    /// The plan may not hold or pause before this: an operator said run.
    overruled_until: Option<Timestamp>,
    /// `monotonic` until which a woken job may hear its signal.
    hearing_until: Option<Duration>,
    /// Ctrl-Z came while stopping was not done yet: stop the supervisor after the pause.
    stop_self_next: bool,
    interrupts: Vec<Duration>,
    running_energy: Joules,
    running_metered: Duration,
    spent: GramsCo2e,
    warned_of_budget: u8,
    warned_of_bug: bool,
}

impl Machine {
    /// A run that begins at `now`.
    pub fn new(settings: Settings, now: Moment) -> Self {
        Self {
            settings,
            phase: Phase::Holding,
            holds: Holds::default(),
            knowledge: None,
            outlook: None,
            decision: None,
            decided_at: now.elapsed,
            opened: false,
            guard_ready: false,
            segment: (now, Part::Overhead, Vec::new()),
            last: now,
            productive: Duration::ZERO,
            pauses: 0,
            no_pause_before: Duration::ZERO,
            overruled_until: None,
            hearing_until: None,
            stop_self_next: false,
            interrupts: Vec::new(),
            running_energy: Joules::ZERO,
            running_metered: Duration::ZERO,
            spent: GramsCo2e::ZERO,
            warned_of_budget: 0,
            warned_of_bug: false,
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

    /// The decision in force.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// The intensity ahead, as of the last decision.
    pub fn outlook(&self) -> Option<&Outlook> {
        self.outlook.as_ref()
    }

    /// What does not change during the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Time in the present phase, of those that last.
    pub fn since(&self, now: Moment) -> Duration {
        match self.phase {
            Phase::Running { since } | Phase::Pausing { since, .. } | Phase::Paused { since } => {
                now.elapsed.saturating_sub(since)
            }
            _ => now.elapsed,
        }
    }

    /// Pauses so far.
    pub fn pauses(&self) -> u32 {
        self.pauses
    }

    /// Time in which the job made progress.
    pub fn productive(&self, now: Moment) -> Duration {
        let open = if self.segment.1 == Part::Running {
            now.elapsed.saturating_sub(self.segment.0.elapsed)
        } else {
            Duration::ZERO
        };
        self.productive + open
    }

    /// When to send the next [`Event::Wake`] at the latest.
    pub fn next_wakeup(&self) -> Wakeup {
        let mut next = Wakeup::default();
        let segment_ends = self.segment.0.monotonic + SEGMENT_AT_MOST;
        match self.phase {
            Phase::Holding | Phase::Running { .. } | Phase::Paused { .. } => {
                next.utc = self.decision.as_ref().and_then(|decision| decision.until);
                next.elapsed = Some(self.decided_at + self.settings.poll);
                next.monotonic = Some(segment_ends);
                if let Some(hearing) = self.hearing_until {
                    next.monotonic = Some(segment_ends.min(hearing));
                }
                if self.phase == Phase::Holding && self.knowledge.is_none() {
                    next.monotonic = Some(segment_ends.min(KNOWLEDGE_GIVE_UP));
                }
            }
            Phase::Pausing { give_up, .. } => next.monotonic = Some(give_up),
            Phase::Stopping { kill_at } => next.monotonic = kill_at.or(Some(segment_ends)),
            Phase::Starting | Phase::Resuming | Phase::Ended(_) => {}
        }
        next
    }

    /// Answers an event.
    pub fn on(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.notice_suspend(now, &mut effects);
        match event {
            Event::Begin => self.begin(now, &mut effects),
            Event::Wake => self.wake(now, &mut effects),
            Event::Forecast(knowledge) => {
                self.knowledge = Some(knowledge);
                self.steer(now, &mut effects);
            }
            Event::Typical(duration) => {
                if self.settings.duration.is_none() {
                    let learned = Expected {
                        duration,
                        margin: 0.5,
                        given: false,
                    };
                    self.settings.duration = Some(learned);
                    self.steer(now, &mut effects);
                }
            }
            Event::StartFailed { why } => self.ended(now, None, Some(why), &mut effects),
            Event::Started { pid, took } => {
                if self.phase == Phase::Starting {
                    effects.push(confirmed(Action::Start, 1, took, Some(pid)));
                    self.enter(now, Phase::Running { since: now.elapsed }, &mut effects);
                    self.steer(now, &mut effects);
                }
            }
            Event::PauseConfirmed { processes, took } => {
                self.paused(now, processes, took, &mut effects);
            }
            Event::PauseRefused { why, for_good } => {
                self.refused(now, why, for_good, &mut effects);
            }
            Event::ResumeConfirmed { processes } => {
                if self.phase == Phase::Resuming {
                    effects.push(confirmed(Action::Resume, processes, Duration::ZERO, None));
                    self.enter(now, Phase::Running { since: now.elapsed }, &mut effects);
                    self.steer(now, &mut effects);
                }
            }
            Event::ChildEnded(exit) => {
                let was_asked = matches!(self.phase, Phase::Stopping { .. });
                let why = was_asked.then(|| "it was asked to end".to_owned());
                self.ended(now, Some(exit), why, &mut effects);
            }
            Event::Signal(signal) => self.signal(now, signal, &mut effects),
            Event::Operator(word) => self.operator(now, word, &mut effects),
            Event::TerminalStop => self.terminal_stop(now, &mut effects),
            Event::TerminalContinue => {
                self.holds.terminal = false;
                self.stop_self_next = false;
                self.steer(now, &mut effects);
            }
            Event::GuardReady => {
                self.guard_ready = true;
                self.steer(now, &mut effects);
            }
            Event::GuardLost => self.guard_lost(now, &mut effects),
            Event::GuardReleased => self.guard_released(now, &mut effects),
            Event::Metered {
                part,
                length,
                energy,
                grams,
            } => {
                self.metered(part, length, energy, grams, &mut effects);
            }
        }
        self.last = now;
        effects
    }

    fn begin(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let earns_only = !self.settings.asked_for
            && !self
                .settings
                .duration
                .is_some_and(|expected| expected.given);
        if self.knowledge.is_some() || !self.settings.may_hold || earns_only {
            self.steer(now, effects);
        }
    }

    fn wake(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Holding if self.knowledge.is_none() => {
                if now.monotonic >= KNOWLEDGE_GIVE_UP {
                    self.steer(now, effects);
                }
            }
            Phase::Holding | Phase::Running { .. } | Phase::Paused { .. } => {
                if self
                    .hearing_until
                    .is_some_and(|until| now.monotonic >= until)
                {
                    self.hearing_until = None;
                }
                self.steer(now, effects);
            }
            Phase::Pausing { give_up, .. } if now.monotonic >= give_up => {
                effects.push(Effect::Resume);
                let why = "the stop could not be confirmed in time".to_owned();
                self.refused(now, why, false, effects);
            }
            Phase::Stopping { kill_at: Some(at) } if now.monotonic >= at => {
                self.phase = Phase::Stopping { kill_at: None };
                effects.push(intent(Action::Kill));
                effects.push(Effect::Kill);
            }
            _ => {}
        }
        let running_long = now.monotonic.saturating_sub(self.segment.0.monotonic);
        if running_long >= SEGMENT_AT_MOST && !matches!(self.phase, Phase::Ended(_)) {
            self.close_segment(now, effects);
        }
    }

    /// Decides and acts on it.
    fn steer(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if !matches!(
            self.phase,
            Phase::Holding | Phase::Running { .. } | Phase::Paused { .. }
        ) {
            return;
        }
        let before = self.decision.as_ref().map(|decision| decision.act);
        let decision = self.consider(now, effects);
        self.decided_at = now.elapsed;
        let carbon_before = self.holds.carbon;
        self.holds.carbon = decision.act == Act::Pause;
        let overruled = self.overruled_until.is_some_and(|until| now.utc < until);
        let first = !self.opened;
        if first {
            self.opened = true;
            effects.push(Effect::Tell(match self.outlook {
                Some(_) => News::Opening(decision.clone()),
                None => News::NothingKnown,
            }));
        }
        if before != Some(decision.act) {
            effects.push(self.decision_entry(now, &decision));
        }
        self.decision = Some(decision.clone());
        match self.phase {
            Phase::Holding if self.holds.is_empty() => {
                if overruled {
                    effects.push(Effect::Tell(News::StartsByHand));
                } else if !first && carbon_before {
                    effects.push(Effect::Tell(News::StartsNow(decision)));
                }
                self.enter(now, Phase::Starting, effects);
                effects.push(intent(Action::Start));
                effects.push(Effect::Start);
            }
            Phase::Running { since } if !self.holds.is_empty() && self.may_stop_now(now) => {
                let give_up = now.monotonic + PAUSE_GIVE_UP;
                self.phase = Phase::Pausing { since, give_up };
                effects.push(intent(Action::Pause));
                effects.push(Effect::Pause);
            }
            Phase::Paused { .. } if self.holds.is_empty() => {
                let decision = (carbon_before && !overruled).then_some(decision);
                effects.push(Effect::Tell(News::Resumed { decision }));
                self.resume(now, effects);
            }
            _ => self.recut(now, effects),
        }
    }

    /// Whether a stop can be begun at all at this moment, whoever wants it.
    fn may_stop_now(&self, now: Moment) -> bool {
        self.settings.can_pause
            && self.guard_ready
            && self.hearing_until.is_none()
            && now.elapsed >= self.no_pause_before
    }

    fn consider(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Decision {
        let Some(knowledge) = self.knowledge.clone() else {
            return run_because(Reason::NothingKnown);
        };
        // A bug in planning must lead to a running job, not to a dead supervisor.
        let planned = catch_unwind(AssertUnwindSafe(|| {
            let outlook = ahead(now.utc, &knowledge, HORIZON_HOURS)?;
            let decision = decide(now.utc, &self.policy(), &self.situation(now, &outlook));
            Some((outlook, decision))
        }));
        match planned {
            Ok(Some((outlook, decision))) => {
                self.outlook = Some(outlook);
                decision
            }
            Ok(None) => run_because(Reason::NothingKnown),
            Err(_) => {
                if !self.warned_of_bug {
                    self.warned_of_bug = true;
                    warn(
                        "planning failed by a bug in catrain; the job runs on",
                        effects,
                    );
                }
                run_because(Reason::NothingKnown)
            }
        }
    }

    fn policy(&self) -> Policy {
        match self.settings.policy {
            Policy::Budget(budget) => Policy::Budget(budget - self.spent),
            other => other,
        }
    }

    fn situation<'a>(&self, now: Moment, outlook: &'a Outlook) -> Situation<'a> {
        let productive = self.productive(now);
        let state = match self.phase {
            Phase::Running { since } => State::Running(now.elapsed.saturating_sub(since)),
            Phase::Paused { since } => State::Paused(now.elapsed.saturating_sub(since)),
            _ => State::Fresh,
        };
        Situation {
            outlook,
            power: self.settings.power,
            switching: self.switching(),
            state,
            work: self.work(productive),
            deadline: self.settings.deadline,
            allowance: self.allowance(now, productive),
            poll: self.settings.poll,
            asked_for: self.settings.asked_for,
        }
    }

    /// What a pause costs; none may be planned where none may be made.
    fn switching(&self) -> Switching {
        let Settings {
            switching,
            may_pause,
            can_pause,
            ..
        } = self.settings;
        if may_pause && can_pause {
            switching
        } else {
            Switching {
                max_pauses: Some(0),
                ..switching
            }
        }
    }

    fn work(&self, productive: Duration) -> Work {
        match self.settings.duration {
            Some(Expected {
                duration, margin, ..
            }) if duration > productive || self.settings.deadline.is_some() => Work::Known {
                remaining: duration.saturating_sub(productive),
                margin,
            },
            // A duration that is passed: from there as unknown work with what is left of the delay.
            _ => Work::Unknown { productive },
        }
    }

    /// How much delay is left, of all the time that made no progress.
    fn allowance(&self, now: Moment, productive: Duration) -> Allowance {
        let allowed = match self.phase {
            Phase::Holding => self.settings.may_hold,
            // A paused job may stay paused: what forbids a pause forbids its beginning.
            Phase::Paused { .. } => true,
            _ => self.settings.may_pause && self.may_stop_now(now),
        };
        if !allowed || self.overruled_until.is_some_and(|until| now.utc < until) {
            return Allowance::None;
        }
        let delay = now.elapsed.saturating_sub(productive);
        match (
            self.settings.duration,
            self.settings.max_delay,
            self.settings.deadline,
        ) {
            // A deadline without a known length gives no right to wait.
            (None, _, Some(_)) => Allowance::None,
            (_, Some(most), _) => Allowance::Given(most.saturating_sub(delay)),
            (Some(_), None, Some(_)) => Allowance::Deadline,
            (Some(expected), None, None) if expected.given => {
                Allowance::Given(DEFAULT_MAX_DELAY.saturating_sub(delay))
            }
            (_, None, None) => Allowance::Earned {
                left: DEFAULT_MAX_DELAY.min(productive / 2).saturating_sub(delay),
                may_pause: productive >= EARNED_AFTER,
            },
        }
    }

    fn paused(&mut self, now: Moment, processes: u32, took: Duration, effects: &mut Vec<Effect>) {
        let Phase::Pausing { .. } = self.phase else {
            return;
        };
        self.pauses += u32::from(self.holds.carbon);
        self.enter(now, Phase::Paused { since: now.elapsed }, effects);
        effects.push(confirmed(Action::Pause, processes, took, None));
        effects.push(Effect::Tell(News::Paused {
            decision: self.decision.clone(),
            processes,
            took,
            holds: self.holds,
        }));
        if self.stop_self_next {
            self.stop_self_next = false;
            effects.push(Effect::StopSelf);
        }
        self.steer(now, effects);
    }

    fn refused(&mut self, now: Moment, why: String, for_good: bool, effects: &mut Vec<Effect>) {
        let Phase::Pausing { since, .. } = self.phase else {
            return;
        };
        self.phase = Phase::Running { since };
        self.no_pause_before = now.elapsed + AFTER_REFUSAL;
        self.settings.may_pause &= !for_good;
        effects.push(Effect::Record(What::Refused {
            action: Action::Pause,
            why: why.clone(),
        }));
        effects.push(Effect::Tell(News::Refused(why)));
        if self.stop_self_next {
            self.stop_self_next = false;
            effects.push(Effect::StopSelf);
        }
        self.steer(now, effects);
    }

    fn resume(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.enter(now, Phase::Resuming, effects);
        effects.push(intent(Action::Resume));
        effects.push(Effect::Resume);
    }

    fn ended(
        &mut self,
        now: Moment,
        exit: Option<Exit>,
        why: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Ended(_) = self.phase {
            return;
        }
        // Workers that outlive the leader must not stay stopped.
        if matches!(self.phase, Phase::Paused { .. } | Phase::Pausing { .. }) {
            effects.push(Effect::Resume);
        }
        self.enter(now, Phase::Ended(exit), effects);
        effects.push(Effect::Record(What::End { exit, why }));
        effects.push(Effect::Finish);
    }

    fn signal(&mut self, now: Moment, signal: Signal, effects: &mut Vec<Effect>) {
        let ends = !matches!(signal.meaning, Meaning::User | Meaning::Resize);
        match self.phase {
            Phase::Ended(_) => {}
            Phase::Holding | Phase::Starting => {
                if ends {
                    let why = "ended by a signal before the start".to_owned();
                    self.ended(now, None, Some(why), effects);
                    effects.push(Effect::DieBy(signal.number));
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
                if signal.meaning == Meaning::Interrupt && self.third_interrupt(now) {
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

    fn third_interrupt(&mut self, now: Moment) -> bool {
        self.interrupts
            .retain(|at| now.monotonic.saturating_sub(*at) <= THIRD_INTERRUPT);
        self.interrupts.push(now.monotonic);
        self.interrupts.len() >= 3
    }

    /// Wakes a paused job so that it hears its signal; the holds apply again soon after.
    fn let_hear(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Paused { .. } | Phase::Pausing { .. }) {
            self.hearing_until = Some(now.monotonic + HEARING);
            self.resume(now, effects);
        }
    }

    /// The job is to end: no hold counts any more.
    fn stopping(&mut self, now: Moment, kill_at: Option<Duration>, effects: &mut Vec<Effect>) {
        let kill_at = match self.phase {
            // A second request never lengthens the grace period.
            Phase::Stopping {
                kill_at: Some(earlier),
            } => kill_at.map(|at| at.min(earlier)),
            Phase::Stopping { kill_at: None } => None,
            _ => kill_at,
        };
        if matches!(self.phase, Phase::Paused { .. } | Phase::Pausing { .. }) {
            effects.push(Effect::Resume);
        }
        self.holds = Holds::default();
        self.enter(now, Phase::Stopping { kill_at }, effects);
    }

    fn operator(&mut self, now: Moment, word: Word, effects: &mut Vec<Effect>) {
        match (word, self.phase) {
            (_, Phase::Ended(_)) => {}
            (Word::Stop, Phase::Holding | Phase::Starting) => {
                self.ended(
                    now,
                    None,
                    Some("stopped before the start".to_owned()),
                    effects,
                );
            }
            (Word::Stop, _) => {
                effects.push(intent(Action::Stop));
                effects.push(Effect::AskToEnd);
                self.stopping(now, Some(now.monotonic + self.settings.grace), effects);
            }
            (Word::Pause, _) => {
                self.holds.operator = true;
                // A person who asks again after a refusal means now, not in half an hour.
                self.no_pause_before = now.elapsed;
                self.steer(now, effects);
            }
            (Word::Resume, _) => {
                self.holds.operator = false;
                if self.holds.carbon {
                    let until = self.decision.as_ref().and_then(|decision| decision.until);
                    let least = SignedDuration::try_from(self.settings.switching.min_run)
                        .unwrap_or(SignedDuration::ZERO);
                    let least = now.utc.saturating_add(least).unwrap_or(now.utc);
                    self.overruled_until = Some(until.unwrap_or(least).max(least));
                }
                self.steer(now, effects);
            }
        }
    }

    fn terminal_stop(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
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
                self.hearing_until = None;
                self.no_pause_before = Duration::ZERO;
                self.steer(now, effects);
            }
            Phase::Pausing { .. } => {
                self.holds.terminal = true;
                self.stop_self_next = true;
            }
            Phase::Holding | Phase::Paused { .. } => {
                self.holds.terminal = true;
                self.recut(now, effects);
                effects.push(Effect::StopSelf);
            }
            Phase::Ended(_) => {}
            _ => effects.push(Effect::StopSelf),
        }
    }

    fn guard_lost(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.guard_ready = false;
        match self.phase {
            Phase::Ended(_) => return,
            Phase::Paused { .. } | Phase::Pausing { .. } => self.resume(now, effects),
            _ => {}
        }
        warn(
            "the guard ended; the job runs until a new one answers",
            effects,
        );
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

    fn metered(
        &mut self,
        part: Part,
        length: Duration,
        energy: Joules,
        grams: GramsCo2e,
        effects: &mut Vec<Effect>,
    ) {
        self.spent += grams;
        if part == Part::Running {
            self.running_energy += energy;
            self.running_metered += length;
            if self.running_metered >= POWER_AFTER && self.running_energy > Joules::ZERO {
                let mean = self.running_energy.0 / self.running_metered.as_secs_f64();
                self.settings.power.run = Watts(mean);
            }
        }
        if let Some(budget) = self.settings.budget {
            let used = self.spent / budget;
            for (step, share) in [(1_u8, 0.8), (2, 1.0)] {
                if used >= share && self.warned_of_budget < step {
                    self.warned_of_budget = step;
                    let text = format!(
                        "{:.0} % of the carbon budget of {} is used",
                        used * 100.0,
                        crate::words::mass(budget)
                    );
                    warn(&text, effects);
                }
            }
        }
    }

    /// Changes the phase; a change of part or cause ends the segment.
    fn enter(&mut self, now: Moment, phase: Phase, effects: &mut Vec<Effect>) {
        self.phase = phase;
        self.recut(now, effects);
    }

    fn recut(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let (part, causes) = self.part();
        if part != self.segment.1 || causes != self.segment.2 {
            self.close_segment(now, effects);
        }
    }

    fn part(&self) -> (Part, Vec<Cause>) {
        match self.phase {
            Phase::Holding if self.opened => (Part::Held, self.holds.causes()),
            Phase::Holding | Phase::Starting | Phase::Ended(_) => (Part::Overhead, Vec::new()),
            Phase::Running { .. } | Phase::Pausing { .. } | Phase::Stopping { .. } => {
                (Part::Running, Vec::new())
            }
            // While resuming the segment goes on as it was: the holds are lifted already.
            Phase::Resuming => (self.segment.1, self.segment.2.clone()),
            Phase::Paused { .. } => (Part::Paused, self.holds.causes()),
        }
    }

    fn close_segment(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let (part, causes) = self.part();
        let (from, was, because) = std::mem::replace(&mut self.segment, (now, part, causes));
        if now.elapsed <= from.elapsed {
            self.segment.0 = from;
            return;
        }
        if was == Part::Running {
            self.productive += now.elapsed - from.elapsed;
        }
        effects.push(Effect::Segment(Stretch {
            part: was,
            causes: because,
            from,
            to: now,
        }));
    }

    /// The host slept between the last event and this one: a segment of its own.
    fn notice_suspend(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let slept = now.suspended.saturating_sub(self.last.suspended);
        if slept < SUSPEND_AT_LEAST || matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        let before = self.last;
        let woke = Moment {
            utc: before.utc + SignedDuration::try_from(slept).unwrap_or(SignedDuration::ZERO),
            elapsed: before.elapsed + slept,
            monotonic: before.monotonic,
            suspended: now.suspended,
        };
        self.close_segment(before, effects);
        let slept = Stretch {
            part: Part::Suspended,
            causes: Vec::new(),
            from: before,
            to: woke,
        };
        effects.push(Effect::Segment(slept));
        self.segment.0 = woke;
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

fn run_because(reason: Reason) -> Decision {
    Decision {
        act: Act::Run,
        until: None,
        reason,
        plan: None,
        deadline: None,
    }
}

fn intent(action: Action) -> Effect {
    Effect::Record(What::Intent { action })
}

fn confirmed(action: Action, processes: u32, took: Duration, pid: Option<i32>) -> Effect {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    Effect::Record(What::Confirmed {
        action,
        processes,
        took_us,
        pid,
    })
}

fn warn(text: &str, effects: &mut Vec<Effect>) {
    effects.push(Effect::Record(What::Warning {
        text: text.to_owned(),
    }));
    effects.push(Effect::Tell(News::Warning(text.to_owned())));
}
