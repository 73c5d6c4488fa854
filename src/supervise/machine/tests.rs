//! The machine on a clock that moves when told, with a job that does as it is told.

mod accounts;
mod cluster;
mod ending;
mod pausing;
mod phases;
mod plans;
mod walk;
mod wishes;

use jiff::SignedDuration;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::forecast::{Basis, Issue, Kind, Series};
use crate::plan::{Situation, Way};
use crate::units::{GramsPerKwh, KilowattHours};
use crate::units::{Joules, Watts};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A planner that is a rule of the test.
type Rule = fn(Timestamp, &Policy, &Situation<'_>) -> Decision;

impl Planner for Rule {
    fn decide(&self, now: Timestamp, policy: &Policy, situation: &Situation<'_>) -> Decision {
        self(now, policy, situation)
    }
}

fn begin() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn at(hours: f64) -> Timestamp {
    begin() + SignedDuration::from_secs_f64(hours * 3600.0)
}

/// A forecast of these hours, over and over, issued at the beginning.
fn knowledge(hours: &[f64]) -> Arc<Knowledge> {
    let values = hours.iter().cycle().take(14 * 24);
    let series = Series::regular(
        begin(),
        HOUR,
        values.map(|value| Some(GramsPerKwh(*value))),
        Kind::Live,
    );
    Arc::new(Knowledge {
        zone: "DE".into(),
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "test".into(),
        kind: Kind::Live,
        observations: Series::default(),
        issues: vec![Issue {
            issued_at: begin(),
            series,
        }],
        profile: None,
        profile_same_accounting: true,
        yearly_average: None,
        lessons: None,
        trust: None,
        leads: Vec::new(),
    })
}

/// Dirty for `n` hours, then clean for the rest of the day.
fn dirty_first(n: usize) -> Arc<Knowledge> {
    let day: Vec<f64> = (0..24)
        .map(|hour| if hour < n { 600.0 } else { 100.0 })
        .collect();
    knowledge(&day)
}

/// Nothing given.
fn plain() -> Settings {
    let mut plain = Settings::plain();
    plain.switching.resume_energy = KilowattHours(0.01);
    plain
}

/// `-d` exact, and `--deadline` in so many hours.
fn due(duration: Duration, deadline: f64) -> Settings {
    Settings {
        deadline: Some(at(deadline)),
        duration: Some(Expected {
            duration,
            margin: 0.0,
            given: true,
        }),
        asked_for: true,
        ..plain()
    }
}

/// Waits an hour wherever it is allowed to.
fn waits(now: Timestamp, _: &Policy, s: &Situation<'_>) -> Decision {
    let allowed = s.allowance != crate::plan::Allowance::None;
    Decision {
        act: if allowed { Act::Pause } else { Act::Run },
        way: Way::Hold,
        until: allowed.then(|| now + SignedDuration::from_hours(1)),
        reason: Reason::NoDelayLeft,
        plan: None,
        deadline: None,
    }
}

fn runs(_: Timestamp, _: &Policy, _: &Situation<'_>) -> Decision {
    Decision {
        act: Act::Run,
        way: Way::Hold,
        until: None,
        reason: Reason::PolicyNow,
        plan: None,
        deadline: None,
    }
}

fn signal(meaning: Meaning, number: i32) -> Event {
    Event::Signal(Signal {
        number,
        from_terminal: false,
        to_everyone: false,
        meaning,
        has_terminal: true,
    })
}

fn terminate() -> Event {
    signal(Meaning::Terminate, 15)
}

fn interrupt() -> Event {
    signal(Meaning::Interrupt, 2)
}

fn ends(code: i32) -> Event {
    Event::ChildEnded {
        exit: Some(Exit::Code(code)),
        left: 0,
    }
}

const RESUME: Word = Word::Resume { time: None };
const READY: Event = Event::GuardReady;
const CONFIRMED: Event = Event::PauseConfirmed {
    processes: 3,
    took: Duration::from_millis(2),
    ties: Ties {
        ranks: false,
        hosts: false,
    },
};
const RESUMED: Event = Event::ResumeConfirmed {
    processes: 3,
    took: Duration::from_millis(2),
};
const STARTED: Event = Event::Started {
    pid: 17,
    took: Duration::from_millis(2),
};

/// One run with its job. Whatever the machine asks for is done at once, if not told otherwise.
struct Run {
    clock: ManualClock,
    machine: Machine,
    effects: Vec<(Moment, Effect)>,
    /// Whether a pause succeeds.
    stops: bool,
    /// Productive time after which the job ends by itself.
    work: Duration,
    watts: f64,
    ties: Ties,
    /// Others use its devices.
    taken: bool,
}

impl Run {
    fn new(settings: Settings) -> Self {
        let clock = ManualClock::at(begin());
        Self {
            machine: Machine::new(settings, clock.now()),
            clock,
            effects: Vec::new(),
            stops: true,
            work: Duration::MAX,
            watts: 300.0,
            ties: Ties::default(),
            taken: false,
        }
    }

    /// A run in which `rule` decides, and everything is known.
    fn by(rule: Rule, settings: Settings) -> Self {
        let mut run = Self::new(settings);
        run.decide_by(rule);
        run
    }

    fn decide_by(&mut self, rule: Rule) {
        self.machine.planner = Arc::new(rule);
    }

    fn working(mut self, work: Duration) -> Self {
        self.work = work;
        self
    }

    fn begin(mut self, knowledge: Arc<Knowledge>) -> Self {
        self.on(Event::Forecast(knowledge));
        self.on(Event::Begin);
        self.on(READY);
        self
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn on(&mut self, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            for effect in self.machine.on(now, event) {
                match &effect {
                    Effect::Start { .. } => events.push_back(STARTED),
                    Effect::Pause if self.stops => {
                        let (processes, took) = (3, Duration::from_millis(2));
                        events.push_back(Event::PauseConfirmed {
                            processes,
                            took,
                            ties: self.ties,
                        });
                    }
                    Effect::LookAtDevices if self.taken => {
                        let who = "GPU 0 is used by pid 7".to_owned();
                        events.push_back(Event::Devices(Some(who)));
                    }
                    Effect::Pause => events.push_back(Event::PauseRefused {
                        why: "it is another user's".into(),
                        for_good: false,
                    }),
                    Effect::Resume => events.push_back(RESUMED),
                    Effect::Segment(stretch) => {
                        let length = stretch.to.elapsed - stretch.from.elapsed;
                        let runs = stretch.part == Part::Running;
                        let energy = if runs { Watts(self.watts) } else { Watts::ZERO } * length;
                        events.push_back(Event::Metered {
                            part: stretch.part,
                            length,
                            energy,
                            grams: KilowattHours::from(energy) * GramsPerKwh(400.0),
                        });
                    }
                    _ => {}
                }
                self.effects.push((now, effect));
            }
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.machine.phase(), Phase::Ended(_))
    }

    /// Lets time pass as the driver does: from wake-up to wake-up.
    fn pass(&mut self, time: Duration) {
        let end = self.now().elapsed + time;
        while self.now().elapsed < end && !self.has_ended() {
            let (now, next) = (self.now(), self.machine.next_wakeup());
            let mut step = end - now.elapsed;
            if let Some(utc) = next.utc {
                let left = utc.duration_since(now.utc).max(SignedDuration::ZERO);
                step = step.min(left.unsigned_abs());
            }
            if let Some(elapsed) = next.elapsed {
                step = step.min(elapsed.saturating_sub(now.elapsed));
            }
            if let Some(monotonic) = next.monotonic {
                step = step.min(monotonic.saturating_sub(now.monotonic));
            }
            let done = self.machine.productive(now);
            if let Phase::Running { .. } = self.machine.phase() {
                step = step.min(self.work.saturating_sub(done));
            }
            assert!(
                step > Duration::ZERO || done >= self.work,
                "time stands still in {:?} at {now:?}: {next:?}",
                self.machine.phase()
            );
            self.clock.advance(step);
            if self.machine.productive(self.now()) >= self.work {
                self.on(ends(0));
            } else {
                self.on(Event::Wake);
            }
        }
    }

    fn count(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.effects
            .iter()
            .filter(|(_, effect)| wanted(effect))
            .count()
    }

    fn first(&self, wanted: impl Fn(&Effect) -> bool) -> Option<Moment> {
        let found = self.effects.iter().find(|(_, effect)| wanted(effect));
        found.map(|(moment, _)| *moment)
    }

    fn started(&self) -> Option<Timestamp> {
        self.first(|effect| matches!(effect, Effect::Start { .. }))
            .map(|moment| moment.utc)
    }

    fn pauses(&self) -> usize {
        self.count(|effect| matches!(effect, Effect::Pause))
    }

    fn warnings(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for (_, effect) in &self.effects {
            if let Effect::Record(What::Warning { text }) = effect {
                texts.push(text.clone());
            }
        }
        texts
    }

    fn stretches(&self) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for (_, effect) in &self.effects {
            if let Effect::Segment(stretch) = effect {
                stretches.push(stretch.clone());
            }
        }
        stretches
    }

    fn is_running(&self) -> bool {
        matches!(self.machine.phase(), Phase::Running { .. })
    }

    fn is_paused(&self) -> bool {
        matches!(self.machine.phase(), Phase::Paused { .. })
    }
}
