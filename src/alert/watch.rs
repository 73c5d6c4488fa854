//! Facts of a run in, what begins, ends or happens out. Pure.
//!
//! A condition is told when it begins and when it is over. What is fine from the first is told as
//! over as well: an earlier run may have left it otherwise, and who keeps count of that is in
//! [`super::cooling`]. What is not known changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::rule::Rule;
use super::settings::Rules;
use super::wording::{self, Side, Words};
use crate::clock::Moment;
use crate::forecast::Kind;
use crate::ledger::entry::{Exit, MeterFact, Method};
use crate::plan::Fit;
use crate::units::{GramsCo2e, GramsPerKwh};

/// How much more than the margin there has to be before a deadline is no longer at risk: a plan
/// that wavers about the margin is one alert.
const AGAIN_TO_SPARE: Duration = Duration::from_mins(5);
/// Shares of the carbon budget that are worth an alert.
const BUDGET_STEPS: [u32; 2] = [80, 100];

/// How a run stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// When.
    pub at: Moment,
    /// The latest end.
    pub deadline: Option<Timestamp>,
    /// How it is planned to be met.
    pub fit: Option<Fit>,
    /// Intensity now, where it is known.
    pub intensity: Option<GramsPerKwh>,
    /// By whom and how intensities are known.
    pub source: Option<(String, Kind)>,
    /// Emissions so far.
    pub spent: GramsCo2e,
    /// Those that it may use.
    pub budget: Option<GramsCo2e>,
    /// What is wrong with the record.
    pub ledger_trouble: Option<String>,
}

/// What happened to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing proved that the job had saved its state.
    Unproved {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The job could not be paused, and why.
    PauseRefused(String),
    /// The job failed, and is started again.
    Restarted {
        /// Which start of it failed.
        attempt: u32,
        /// How.
        exit: Option<Exit>,
    },
    /// The meters, as they are now.
    Meters(Vec<MeterFact>),
    /// Whether there is a guard.
    Guard(bool),
    /// The run is over.
    Ended {
        /// How the job ended; none where it never started, or nobody knows.
        exit: Option<Exit>,
        /// In words, where it did not simply end.
        why: Option<String>,
        /// Whether a person asked it to.
        was_asked: bool,
        /// Whether it has failed, by itself.
        has_failed: bool,
    },
}

/// What there is to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of what.
    pub rule: Rule,
    /// Of which part of it: a meter.
    pub part: Option<String>,
    /// What of it.
    pub news: News,
}

/// What became of something.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It happened, and that is all.
    Happens(Words),
    /// It begins, and goes on.
    Begins(Words),
    /// It is over, or never was.
    Over(Words),
    /// Nobody need hear of it any more.
    Moot,
}

/// A condition, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    /// Whether it is in force.
    is: Option<bool>,
    /// `elapsed` since when it has been so without a break.
    since: Option<Duration>,
}

impl Condition {
    /// What became of it, if anything: it is in force once it has been so for `least`.
    fn step(&mut self, elapsed: Duration, is_so: bool, least: Duration) -> Option<bool> {
        let is = match is_so {
            true => {
                let since = *self.since.get_or_insert(elapsed);
                if elapsed.saturating_sub(since) < least {
                    return None;
                }
                true
            }
            false => {
                self.since = None;
                false
            }
        };
        (self.is.replace(is) != Some(is)).then_some(is)
    }
}

/// What is known of one run.
#[derive(Debug)]
pub struct Watch {
    rules: Rules,
    zone: String,
    at_risk: Condition,
    missed: bool,
    above: Condition,
    below: Condition,
    degraded: Condition,
    ledger: Condition,
    guard: Condition,
    meters: BTreeMap<String, Condition>,
    /// Percent of the budget that were told.
    budget_told: u32,
    last: Option<Facts>,
}

impl Watch {
    /// A run of which nothing is known, in this zone.
    pub fn new(rules: Rules, zone: String) -> Self {
        Self {
            rules,
            zone,
            at_risk: Condition::default(),
            missed: false,
            above: Condition::default(),
            below: Condition::default(),
            degraded: Condition::default(),
            ledger: Condition::default(),
            guard: Condition::default(),
            meters: BTreeMap::new(),
            budget_told: 0,
            last: None,
        }
    }

    /// What there is to tell now that it stands like this.
    pub fn seen(&mut self, facts: Facts) -> Vec<Change> {
        let mut changes = Vec::new();
        self.deadline(&facts, &mut changes);
        self.budget(&facts, &mut changes);
        self.intensity(&facts, &mut changes);
        self.source(&facts, &mut changes);
        let elapsed = facts.at.elapsed;
        let trouble = facts.ledger_trouble.as_deref();
        let step = self.ledger.step(elapsed, trouble.is_some(), Duration::ZERO);
        tell(&mut changes, Rule::LedgerGap, step, |_| {
            wording::ledger(trouble)
        });
        self.last = Some(facts);
        self.heeded(changes)
    }

    /// What there is to tell of something that happened.
    pub fn happened(&mut self, now: Moment, event: Event) -> Vec<Change> {
        let mut changes = Vec::new();
        let once = |rule, words| Change {
            rule,
            part: None,
            news: News::Happens(words),
        };
        match event {
            Event::Unproved { waited } => {
                changes.push(once(Rule::PauseUnproved, wording::unproved(waited)));
            }
            Event::PauseRefused(why) => {
                changes.push(once(Rule::PauseUnproved, wording::refused(&why)));
            }
            Event::Restarted { attempt, exit } => {
                changes.push(once(Rule::JobRestarted, wording::restarted(attempt, exit)));
            }
            Event::Meters(meters) => self.metered(now.elapsed, &meters, &mut changes),
            Event::Guard(is_there) => {
                let step = self.guard.step(now.elapsed, !is_there, Duration::ZERO);
                tell(&mut changes, Rule::WatchdogLost, step, wording::guard);
            }
            Event::Ended {
                exit,
                why,
                was_asked,
                has_failed,
            } => {
                self.close(now, exit == Some(Exit::Code(0)), &mut changes);
                if has_failed {
                    changes.push(once(Rule::JobFailed, wording::failed(exit, why.as_deref())));
                }
                let words = wording::ended(exit, why.as_deref(), was_asked, now.elapsed);
                changes.push(once(Rule::RunEnded, words));
            }
        }
        self.heeded(changes)
    }

    fn heeded(&self, mut changes: Vec<Change>) -> Vec<Change> {
        changes.retain(|change| self.rules.on.contains(&change.rule));
        changes
    }

    fn deadline(&mut self, facts: &Facts, changes: &mut Vec<Change>) {
        let Some(deadline) = facts.deadline else {
            return;
        };
        if self.missed {
            return;
        }
        if facts.at.utc > deadline {
            self.miss(facts.at.utc, deadline, false, changes);
            return;
        }
        let Some(fit) = facts.fit else {
            return;
        };
        let margin = self.rules.deadline_margin;
        let is_at_risk = match (fit, self.at_risk.is) {
            (Fit::Planned { spare }, Some(true)) => spare < margin + AGAIN_TO_SPARE,
            (Fit::Planned { spare }, _) => spare < margin,
            (Fit::Tight | Fit::CannotBeMet { .. }, _) => true,
        };
        let step = (self.at_risk).step(facts.at.elapsed, is_at_risk, Duration::ZERO);
        tell(changes, Rule::DeadlineAtRisk, step, |is| {
            wording::at_risk(fit, deadline, is)
        });
    }

    fn miss(
        &mut self,
        now: Timestamp,
        deadline: Timestamp,
        is_done: bool,
        changes: &mut Vec<Change>,
    ) {
        self.missed = true;
        changes.push(Change {
            rule: Rule::DeadlineAtRisk,
            part: None,
            news: News::Moot,
        });
        changes.push(Change {
            rule: Rule::DeadlineMissed,
            part: None,
            news: News::Happens(wording::missed(now, deadline, is_done)),
        });
    }

    fn budget(&mut self, facts: &Facts, changes: &mut Vec<Change>) {
        let Some(budget) = facts.budget.filter(|budget| budget.0 > 0.0) else {
            return;
        };
        let percent = facts.spent / budget * 100.0;
        let reached = BUDGET_STEPS
            .into_iter()
            .rev()
            .find(|step| percent >= f64::from(*step));
        if let Some(step) = reached.filter(|step| *step > self.budget_told) {
            self.budget_told = step;
            changes.push(Change {
                rule: Rule::Budget,
                part: Some(step.to_string()),
                news: News::Happens(wording::budget(step, facts.spent, budget)),
            });
        }
    }

    fn intensity(&mut self, facts: &Facts, changes: &mut Vec<Change>) {
        let Some(now) = facts.intensity else {
            return;
        };
        let (elapsed, least) = (facts.at.elapsed, self.rules.intensity_for);
        if let Some(limit) = self.rules.above {
            let step = self.above.step(elapsed, now.0 > limit.0, least);
            tell(changes, Rule::IntensityAbove, step, |is| {
                wording::crossed(Side::Above, &self.zone, now, limit, least, is)
            });
        }
        if let Some(limit) = self.rules.below {
            let step = self.below.step(elapsed, now.0 < limit.0, least);
            tell(changes, Rule::IntensityBelow, step, |is| {
                wording::crossed(Side::Below, &self.zone, now, limit, least, is)
            });
        }
    }

    fn source(&mut self, facts: &Facts, changes: &mut Vec<Change>) {
        let Some((source, kind)) = &facts.source else {
            return;
        };
        // A number that was given is no worse than it was meant to be.
        let is_bad = *kind >= self.rules.degraded_to && *kind != Kind::Static;
        let least = self.rules.degraded_for;
        let step = self.degraded.step(facts.at.elapsed, is_bad, least);
        tell(changes, Rule::SourceDegraded, step, |is| {
            wording::source(&self.zone, source, *kind, is)
        });
    }

    /// A meter is lost once it has measured and does not any more.
    fn metered(&mut self, elapsed: Duration, meters: &[MeterFact], changes: &mut Vec<Change>) {
        let measures = |meter: &MeterFact| {
            let by_reading = matches!(
                meter.method,
                Method::GpuCounter | Method::GpuPower | Method::Rapl | Method::RaplDram
            );
            by_reading && meter.trouble.is_none()
        };
        for meter in meters.iter().filter(|meter| measures(meter)) {
            let known = self.meters.entry(meter.component.clone()).or_default();
            if let Some(false) = known.step(elapsed, false, Duration::ZERO) {
                changes.push(Change {
                    rule: Rule::MeterLost,
                    part: Some(meter.component.clone()),
                    news: News::Over(wording::meter_back(meter)),
                });
            }
        }
        for (component, known) in &mut self.meters {
            let meter = meters.iter().find(|meter| meter.component == *component);
            if meter.is_some_and(measures) {
                continue;
            }
            if let Some(true) = known.step(elapsed, true, Duration::ZERO) {
                let trouble = meter.and_then(|meter| meter.trouble.as_deref());
                changes.push(Change {
                    rule: Rule::MeterLost,
                    part: Some(component.clone()),
                    news: News::Begins(wording::meter_lost(component, trouble)),
                });
            }
        }
    }

    /// Nothing is looked at any more: what becomes of what was.
    fn close(&mut self, now: Moment, is_good: bool, changes: &mut Vec<Change>) {
        let deadline = self.last.as_ref().and_then(|facts| facts.deadline);
        match deadline.filter(|_| !self.missed) {
            Some(deadline) if now.utc > deadline => self.miss(now.utc, deadline, true, changes),
            Some(deadline) if is_good => changes.push(Change {
                rule: Rule::DeadlineAtRisk,
                part: None,
                news: News::Over(wording::kept(now.utc, deadline)),
            }),
            _ => {}
        }
        for rule in [Rule::DeadlineAtRisk, Rule::LedgerGap, Rule::WatchdogLost] {
            changes.push(Change {
                rule,
                part: None,
                news: News::Moot,
            });
        }
    }
}

fn tell(
    changes: &mut Vec<Change>,
    rule: Rule,
    step: Option<bool>,
    words: impl FnOnce(bool) -> Words,
) {
    let Some(is) = step else { return };
    let words = words(is);
    changes.push(Change {
        rule,
        part: None,
        news: match is {
            true => News::Begins(words),
            false => News::Over(words),
        },
    });
}

#[cfg(test)]
mod tests;
