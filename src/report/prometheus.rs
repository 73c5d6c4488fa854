//! The report as Prometheus text, for a push or a textfile collector: figures of finished runs,
//! so gauges, in base units and with the labels `run`, `name` and `zone`.
//!
//! The amounts are those that the JSON shows. What is not known has no sample, a run that goes on
//! no end, and replays nothing at all, for a sum over runs must not hold what was not real.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::HashSet;
use std::fmt::Write;

use super::Summary;
use super::csv::{part_name, rounded};
use super::harmless;
use super::shown::{MICRO, MILLI, apportion, shown, steps};
use super::totals::Amounts;
use crate::emissions::PARTS;
use crate::units::{KilowattHours, Pue};

/// A metric: its name, what it means, and its samples.
struct Family {
    name: &'static str,
    help: &'static str,
    samples: Vec<(String, f64)>,
    seen: HashSet<String>,
}

impl Family {
    fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            samples: Vec::new(),
            seen: HashSet::new(),
        }
    }

    /// Adds a sample. Two of the same labels would have the whole page refused, so that the first
    /// stands: two ledgers that claim to be the same run are one too many.
    fn put(&mut self, labels: String, value: f64) {
        if self.seen.insert(labels.clone()) {
            self.samples.push((labels, value));
        }
    }
}

/// The text for `runs`; empty where all of them are replays.
pub fn document(runs: &[Summary]) -> String {
    let mut families = Families::new();
    for run in runs.iter().filter(|run| run.begin.replay.is_none()) {
        families.add(run);
    }
    families.text()
}

struct Families {
    energy: Family,
    uncovered: Family,
    emissions: Family,
    low: Family,
    high: Family,
    baseline: Family,
    avoided: Family,
    settled: Family,
    duration: Family,
    pauses: Family,
    attempts: Family,
    pue: Family,
    bound: Family,
    intact: Family,
    start: Family,
    end: Family,
}

impl Families {
    fn new() -> Self {
        Self {
            energy: Family::new(
                "catrain_run_energy_joules",
                "Energy of the IT equipment that the run used, by component and by how it is known.",
            ),
            uncovered: Family::new(
                "catrain_run_uncovered_energy_joules",
                "Energy of the facility at times of unknown intensity: in none of the grams.",
            ),
            emissions: Family::new(
                "catrain_run_emissions_grams",
                "CO2 equivalent by what the time was spent on; never add different signals or scopes.",
            ),
            low: Family::new(
                "catrain_run_emissions_low_grams",
                "Lower bound of the emissions of the whole run.",
            ),
            high: Family::new(
                "catrain_run_emissions_high_grams",
                "Upper bound of the emissions of the whole run.",
            ),
            baseline: Family::new(
                "catrain_run_baseline_emissions_grams",
                "What the same work would have emitted, started at once and never paused for carbon.",
            ),
            avoided: Family::new(
                "catrain_run_avoided_emissions_grams",
                "Emissions of the baseline less those of the run; may be negative.",
            ),
            settled: Family::new(
                "catrain_run_settled",
                "1 if the emissions rest on observed intensities and will not change.",
            ),
            duration: Family::new(
                "catrain_run_duration_seconds",
                "Time of the run by what it was spent on.",
            ),
            pauses: Family::new("catrain_run_pauses", "Pauses of any cause."),
            attempts: Family::new("catrain_run_attempts", "Starts of the job."),
            pue: Family::new(
                "catrain_run_pue_ratio",
                "Facility energy over IT energy in the emissions; no sample: IT equipment only.",
            ),
            bound: Family::new(
                "catrain_run_lower_bound",
                "1 if the record is not whole, so that all sums are lower bounds.",
            ),
            intact: Family::new(
                "catrain_run_record_intact",
                "1 if each line of the record follows from the one before, 0 if it was changed.",
            ),
            start: Family::new(
                "catrain_run_start_timestamp_seconds",
                "When the run began, in Unix time.",
            ),
            end: Family::new(
                "catrain_run_end_timestamp_seconds",
                "When the run ended, in Unix time.",
            ),
        }
    }

    fn add(&mut self, run: &Summary) {
        let begin = &run.begin;
        let whole = Amounts::of(run);
        let own = labels(&[
            ("run", &begin.run),
            ("name", &begin.name),
            ("zone", &begin.zone),
        ]);
        let with = |more: &[(&str, &str)]| format!("{own},{}", labels(more));

        // By what the labels come to, since sources differ that labels do not show.
        let mut energy: Vec<(String, f64)> = Vec::new();
        for component in &run.components {
            let kind = component.kind.word();
            let labels = with(&[("component", &component.component), ("kind", kind)]);
            match energy.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, sum)) => *sum += component.energy.0,
                None => energy.push((labels, component.energy.0)),
            }
        }
        let kwh: Vec<f64> = energy.iter().map(|(_, kwh)| *kwh).collect();
        let shared = apportion(&kwh, MICRO, whole.energy.steps.total());
        for ((labels, _), steps) in energy.into_iter().zip(shared) {
            self.energy.put(labels, joules(steps));
        }

        for (emissions, amount) in run.emissions.iter().zip(&whole.emissions) {
            let basis = [
                ("signal", amount.basis.signal.word()),
                ("scope", amount.basis.scope.word()),
            ];
            let of_basis = with(&basis);
            let account = &emissions.account;
            self.uncovered
                .put(of_basis.clone(), joules(amount.uncovered));
            if account.mean().is_some() || account.energy() == KilowattHours::ZERO {
                for (part, name) in PARTS {
                    if run.duration_s[part] > 0.0 || amount.g.steps[part] != 0 {
                        let labels = format!("{of_basis},{}", labels(&[("part", name)]));
                        self.emissions
                            .put(labels, shown(amount.g.steps[part], MILLI));
                    }
                }
                self.low.put(of_basis.clone(), shown(amount.low, MILLI));
                self.high.put(of_basis.clone(), shown(amount.high, MILLI));
            }
            if emissions.run_now.is_complete() {
                let labels = format!("{of_basis},{}", labels(&[("baseline", "run-now")]));
                let base = shown(steps(emissions.run_now.g.total().0, MILLI), MILLI);
                self.baseline.put(labels, base);
            }
            if let Some(avoided) = amount.avoided {
                self.avoided.put(of_basis.clone(), shown(avoided, MILLI));
            }
            self.settled
                .put(of_basis, f64::from(u8::from(emissions.is_settled)));
        }
        for (part, _) in PARTS {
            if run.duration_s[part] > 0.0 {
                let labels = with(&[("part", part_name(part))]);
                self.duration
                    .put(labels, shown(whole.duration.steps[part], MILLI));
            }
        }
        self.pauses.put(own.clone(), f64::from(run.pauses));
        self.attempts.put(own.clone(), f64::from(run.attempts));
        if let Some(pue) = begin.pue {
            self.pue.put(own.clone(), Pue::ratio(pue));
        }
        let is_bound = run.is_unfinished() || !run.is_whole;
        self.bound.put(own.clone(), f64::from(u8::from(is_bound)));
        if let Some(is_intact) = run.is_intact() {
            let labels = labels(&[("run", &begin.run)]);
            self.intact.put(labels, f64::from(u8::from(is_intact)));
        }
        self.start.put(own.clone(), unix(run.started_at));
        if let Some(end) = run.ended_at {
            self.end.put(own, unix(end));
        }
    }

    fn text(self) -> String {
        let mut text = String::new();
        let all = [
            self.energy,
            self.uncovered,
            self.emissions,
            self.low,
            self.high,
            self.baseline,
            self.avoided,
            self.settled,
            self.duration,
            self.pauses,
            self.attempts,
            self.pue,
            self.bound,
            self.intact,
            self.start,
            self.end,
        ];
        for family in all.iter().filter(|family| !family.samples.is_empty()) {
            let (name, help) = (family.name, family.help);
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in &family.samples {
                let _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
        }
        text
    }
}

/// `run="r7k2",name="finetune"`.
fn labels(labels: &[(&str, &str)]) -> String {
    let each = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", harmless::prometheus(value)));
    each.collect::<Vec<_>>().join(",")
}

/// Steps of a milliwatt-hour are 3.6 J each.
fn joules(steps: i64) -> f64 {
    rounded(steps as f64 * 3.6, 0.1)
}

fn unix(at: jiff::Timestamp) -> f64 {
    rounded(at.as_microsecond() as f64 / 1e6, MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests as ledgers;

    #[test]
    fn the_page_of_a_run() {
        insta::assert_snapshot!(document(&[ledgers::summary(&ledgers::example())]));
    }

    #[test]
    fn a_run_that_is_there_twice_has_no_series_twice() {
        let run = ledgers::summary(&ledgers::example());
        assert_eq!(document(&[run.clone(), run.clone()]), document(&[run]));
    }

    #[test]
    fn whether_a_record_was_changed_is_a_metric_where_that_is_known() {
        let intact = |is_chained| {
            let mut run = ledgers::summary(&ledgers::example());
            run.record = Some(crate::report::Record {
                is_chained,
                head: None,
                is_written: Some(false),
            });
            let text = document(&[run]);
            let line = text
                .lines()
                .find(|line| line.starts_with("catrain_run_record_intact{"));
            line.map(str::to_owned)
        };
        let told = |value| Some(format!("catrain_run_record_intact{{run=\"r7k2\"}} {value}"));
        assert_eq!(intact(Some(true)), told(1));
        assert_eq!(intact(Some(false)), told(0));
        assert_eq!(intact(None), None);
    }

    #[test]
    fn a_run_that_goes_on_has_no_end_and_one_of_unknown_intensity_no_grams() {
        assert!(!document(&[ledgers::summary(&ledgers::unfinished())]).contains("end_timestamp"));
        let dark = ledgers::with(|what| {
            if let crate::ledger::entry::What::Intensity { points, .. } = what {
                points.clear();
            }
        });
        assert!(!document(&[ledgers::summary(&dark)]).contains("_grams"));
        assert_eq!(document(&[ledgers::summary(&ledgers::replay())]), "");
    }
}
