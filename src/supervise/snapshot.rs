//! How a run stands at a moment, as plain data: for whoever looks on from another thread. Pure.
//!
//! It is made on the deciding thread about once a second and holds nothing of the machine, so that
//! it may be read anywhere and for as long as it takes.

use std::time::Duration;

use jiff::Timestamp;

use super::lateness::Lateness;
use super::machine::{Machine, Phase};
use crate::clock::Moment;
use crate::forecast::{Basis, Kind, Outlook};
use crate::ledger::entry::Cause;
use crate::plan::{Act, Decision, Fit};
use crate::units::{GramsCo2e, GramsPerKwh};

/// How a run stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Moment,
    /// [`Phase::word`].
    pub phase: &'static str,
    /// Time in it, of those that last.
    pub phase_for: Duration,
    /// Who holds it.
    pub holds: Vec<Cause>,
    /// Whether there is no process of the job, and not because the run is over.
    pub has_no_job: bool,
    /// Whether the run is over.
    pub is_over: bool,
    /// Whether the guard answers.
    pub has_guard: bool,
    /// How often the job was started.
    pub starts: u32,
    /// Pauses by the plan.
    pub pauses: u32,
    /// Time in which the job made progress.
    pub productive: Duration,
    /// What of the work is done, 0 to 1, where the job says it or its duration is known.
    pub progress: Option<f64>,
    /// The latest end.
    pub deadline: Option<Timestamp>,
    /// `--carbon-budget`.
    pub budget: Option<GramsCo2e>,
    /// The decision in force.
    pub decision: Option<Decided>,
    /// The intensity ahead, as of that decision.
    pub forecast: Option<Forecast>,
    /// How late the deciding loop woke up so far.
    pub lateness: Lateness,
}

/// A decision in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decided {
    /// What to do.
    pub act: Act,
    /// When the plan changes next.
    pub until: Option<Timestamp>,
    /// Seconds to spare before the deadline; negative: late by so many.
    pub spare_s: Option<f64>,
    /// What is expected to come.
    pub plan: Option<Expected>,
}

/// A plan in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// When the work is expected to be done.
    pub end: Timestamp,
    /// Pauses still to come.
    pub pauses: u32,
    /// Emissions from now on.
    pub grams: GramsCo2e,
    /// The same of running at once without a pause.
    pub run_now_grams: GramsCo2e,
}

/// An intensity ahead in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Who says so.
    pub source: String,
    /// What its numbers mean.
    pub basis: Basis,
    /// How it came about.
    pub kind: Kind,
    /// How far it is to be trusted, 0 to 1.
    pub confidence: f64,
    /// Age of the newest of it, in seconds.
    pub age_s: Option<f64>,
    /// The intensity now.
    pub now: Option<GramsPerKwh>,
    /// The end of what it tells.
    pub ends: Option<Timestamp>,
}

impl Snapshot {
    /// Of a machine as it is `at` that moment.
    pub fn of(machine: &Machine, lateness: Lateness, at: Moment) -> Self {
        let settings = machine.settings();
        Self {
            at,
            phase: machine.phase().word(),
            phase_for: machine.since(at),
            holds: machine.holds().causes(),
            has_no_job: machine.phase().has_no_job(),
            is_over: matches!(machine.phase(), Phase::Ended(_)),
            has_guard: machine.has_guard(),
            starts: machine.attempt(),
            pauses: machine.pauses(),
            productive: machine.productive(at),
            progress: machine.progress(at),
            deadline: settings.deadline,
            budget: settings.budget,
            decision: machine.decision().map(Decided::of),
            forecast: machine.outlook().map(|outlook| Forecast::of(outlook, at)),
            lateness,
        }
    }

    /// Why the run is not under control with a plan, if it is not.
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.is_over {
            Some("the run is over")
        } else if self.decision.is_none() {
            Some("there is no plan yet")
        } else if self.phase == "starting" {
            Some("the job is being started")
        } else if !self.has_no_job && !self.has_guard {
            Some("the guard does not answer, so the job runs and is not paused")
        } else {
            None
        }
    }
}

impl Decided {
    fn of(decision: &Decision) -> Self {
        Self {
            act: decision.act,
            until: decision.until,
            spare_s: decision.deadline.map(Fit::spare_s),
            plan: decision.plan.as_ref().map(|plan| Expected {
                end: plan.end,
                pauses: plan.pauses,
                grams: plan.grams,
                run_now_grams: plan.run_now_grams,
            }),
        }
    }
}

impl Forecast {
    fn of(outlook: &Outlook, at: Moment) -> Self {
        Self {
            source: outlook.source.clone(),
            basis: outlook.basis,
            kind: outlook.kind,
            confidence: outlook.confidence,
            age_s: (outlook.issued_at).map(|issued| at.utc.duration_since(issued).as_secs_f64()),
            now: outlook.expected.at(at.utc),
            ends: outlook.expected.span().map(|span| span.end),
        }
    }
}

/// A run that is paused until the evening, for tests of what is made of it.
#[cfg(test)]
pub(crate) fn paused() -> Snapshot {
    use crate::clock::{Clock, ManualClock};
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let mut clock = ManualClock::at(at("2026-11-24T15:00:00Z"));
    clock.advance(Duration::from_secs(7200));
    let mut lateness = Lateness::default();
    lateness.add(Duration::from_micros(300));
    Snapshot {
        at: clock.now(),
        phase: "paused",
        phase_for: Duration::from_secs(720),
        holds: vec![Cause::Carbon],
        has_no_job: false,
        is_over: false,
        has_guard: true,
        starts: 1,
        pauses: 2,
        productive: Duration::from_secs(5400),
        progress: Some(0.25),
        deadline: Some(at("2026-11-25T09:00:00Z")),
        budget: None,
        decision: Some(Decided {
            act: Act::Pause,
            until: Some(at("2026-11-24T21:00:00Z")),
            spare_s: Some(5700.0),
            plan: Some(Expected {
                end: at("2026-11-25T02:00:00Z"),
                pauses: 0,
                grams: GramsCo2e(410.0),
                run_now_grams: GramsCo2e(500.0),
            }),
        }),
        forecast: Some(Forecast {
            source: "energy-charts".to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
            kind: Kind::Live,
            confidence: 0.55,
            age_s: Some(240.0),
            now: Some(GramsPerKwh(431.0)),
            ends: Some(at("2026-11-26T00:00:00Z")),
        }),
        lateness,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_ready_once_it_has_a_plan_and_its_job_a_guard() {
        let seen = paused();
        assert_eq!(seen.not_ready(), None);
        let not_ready = |change: fn(&mut Snapshot)| {
            let mut seen = paused();
            change(&mut seen);
            seen.not_ready()
        };
        assert!(not_ready(|seen| seen.decision = None).is_some());
        assert!(not_ready(|seen| seen.has_guard = false).is_some());
        assert!(not_ready(|seen| seen.is_over = true).is_some());
        // What is not there needs no guard.
        let held = not_ready(|seen| (seen.has_no_job, seen.has_guard) = (true, false));
        assert_eq!(held, None);
    }
}
