//! The energy of a stretch of a run from figures that were given, or, in a replay, from the processor
//! time of the job.
//!
//! Nothing here is measured, and nothing is called so: given figures are `assumed`, processor time
//! times a figure a core is `estimated`.

use std::time::Duration;

use crate::ledger::entry::{AssumedPower, EnergyKind, MeterFact, Method, Part, Reading, Share};
use crate::plan::Power;
use crate::supervise::event::Stretch;
use crate::units::{Joules, Watts};

/// Power of one busy core, in watts: thermal design power divided by cores lies between 4.4 (AMD
/// EPYC 7763: 280 W, 64 cores) and 10.5 (Intel Core i9-13900K: 253 W, 24 cores); by the makers' data
/// sheets, read in November 2026. The interval of an estimate (−50 to +100 %) covers both.
pub const WATTS_PER_BUSY_CORE: Watts = Watts(7.0);

/// The figures of a run where nothing is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// While running, if given.
    pub run: Option<Watts>,
    /// While paused, if given.
    pub idle: Option<Watts>,
    /// Whether idle power counts while held.
    pub reserved: bool,
    /// Cores that the job may use.
    pub cores: usize,
    /// Whose energy is counted.
    pub share: Share,
}

impl Figures {
    /// What planning begins with.
    pub fn power(&self) -> Power {
        let idle = self.idle.unwrap_or(Watts::ZERO);
        let wait = if self.reserved { idle } else { Watts::ZERO };
        let run = self.run.unwrap_or(WATTS_PER_BUSY_CORE * self.cores as f64);
        Power { run, idle, wait }
    }

    /// The same for the ledger, with where it is from.
    pub fn assumed(&self) -> AssumedPower {
        let Power { run, idle, wait } = self.power();
        AssumedPower {
            run_w: run,
            idle_w: idle,
            wait_w: wait,
            source: match self.run {
                Some(_) => self.source(),
                None => format!(
                    "{} cores × {} W, until power is measured",
                    self.cores, WATTS_PER_BUSY_CORE.0
                ),
            },
        }
    }

    fn source(&self) -> String {
        match self.run {
            Some(watts) => format!("--power {}", watts.0),
            None => format!(
                "processor time × {} W a core; GPUs are not counted (give --power)",
                WATTS_PER_BUSY_CORE.0
            ),
        }
    }
}

/// Turns stretches of a run into energy.
#[derive(Debug)]
pub struct Model {
    figures: Figures,
    /// Processor time that is accounted for already.
    accounted: Duration,
    /// In a replay time passes faster than the job works: its power is kept, not its energy.
    speed: f64,
}

impl Model {
    /// A model that has seen nothing yet.
    pub fn new(figures: Figures, speed: f64) -> Self {
        Self {
            figures,
            accounted: Duration::ZERO,
            speed,
        }
    }

    fn given(watts: Watts, time: Duration, source: String) -> Reading {
        Reading {
            component: "all".to_owned(),
            joules: watts * time,
            kind: EnergyKind::Assumed,
            method: Some(Method::Given),
            source,
            whole: None,
        }
    }
}

impl Model {
    /// Whether given figures tell what a stretch of this part used.
    pub fn gives(&self, part: Part) -> bool {
        let Figures { run, idle, .. } = &self.figures;
        match part {
            Part::Held | Part::Paused => run.is_some() || idle.is_some(),
            _ => run.is_some(),
        }
    }

    /// The meter that a given figure is, where one was given.
    pub fn fact(&self) -> Option<MeterFact> {
        self.figures.run.map(|_| MeterFact {
            component: "all".to_owned(),
            name: self.figures.source(),
            method: Method::Given,
            device: None,
            trouble: None,
        })
    }

    /// The energy of the stretch that ended when the job had used `processor` time; in the order of
    /// stretches.
    pub fn read(&mut self, stretch: &Stretch, processor: Duration) -> Vec<Reading> {
        let time = stretch.to.elapsed.saturating_sub(stretch.from.elapsed);
        let worked = processor.saturating_sub(self.accounted);
        self.accounted = self.accounted.max(processor);
        let idle = self
            .figures
            .idle
            .map(|watts| Self::given(watts, time, format!("--idle-power {}", watts.0)));
        match stretch.part {
            Part::Held => idle.filter(|_| self.figures.reserved).into_iter().collect(),
            Part::Paused if idle.is_some() => idle.into_iter().collect(),
            Part::Suspended | Part::Overhead => Vec::new(),
            Part::Paused if self.figures.run.is_some() => Vec::new(),
            _ => match self.figures.run {
                Some(watts) => vec![Self::given(watts, time, self.figures.source())],
                None => vec![Reading {
                    component: "cpu".to_owned(),
                    joules: Joules(WATTS_PER_BUSY_CORE.0 * worked.as_secs_f64() * self.speed),
                    kind: EnergyKind::Estimated,
                    method: Some(Method::CpuModel),
                    source: self.figures.source(),
                    whole: None,
                }],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn stretch(part: Part, seconds: u64) -> Stretch {
        let mut clock = ManualClock::at("2021-09-14T10:00:00Z".parse().unwrap());
        let from = clock.now();
        clock.advance(Duration::from_secs(seconds));
        Stretch {
            part,
            causes: Vec::new(),
            from,
            to: clock.now(),
        }
    }

    fn figures(run: Option<f64>, idle: Option<f64>, reserved: bool) -> Figures {
        Figures {
            run: run.map(Watts),
            idle: idle.map(Watts),
            reserved,
            cores: 8,
            share: Share::Job,
        }
    }

    #[test]
    fn a_given_power_is_assumed_and_counts_while_running() {
        let mut meter = Model::new(figures(Some(300.0), Some(30.0), false), 1.0);
        let running = meter.read(&stretch(Part::Running, 3600), Duration::from_secs(1));
        assert_eq!(running[0].joules, Joules(1.08e6));
        assert_eq!(running[0].kind, EnergyKind::Assumed);
        let paused = meter.read(&stretch(Part::Paused, 3600), Duration::from_secs(1));
        assert_eq!(paused[0].joules, Joules(1.08e5));
        assert!(
            meter
                .read(&stretch(Part::Held, 3600), Duration::from_secs(1))
                .is_empty()
        );
    }

    #[test]
    fn without_figures_processor_time_is_the_estimate() {
        let mut meter = Model::new(figures(None, None, false), 1.0);
        let first = meter.read(&stretch(Part::Running, 100), Duration::from_secs(50));
        assert_eq!(first[0].joules, Joules(350.0));
        assert_eq!(first[0].kind, EnergyKind::Estimated);
        let second = meter.read(&stretch(Part::Running, 100), Duration::from_secs(60));
        assert_eq!(
            second[0].joules,
            Joules(70.0),
            "only what is new is counted"
        );
    }

    #[test]
    fn reserved_hardware_draws_its_idle_power_while_held() {
        let mut meter = Model::new(figures(Some(300.0), Some(30.0), true), 1.0);
        let held = meter.read(&stretch(Part::Held, 3600), Duration::ZERO);
        assert_eq!(held[0].joules, Joules(1.08e5));
    }
}
