//! The report as one JSON document, `catrain.report/1`: stable names, UTC, units in field names.
//!
//! Grams are rounded to a milligram, energy to a milliwatt-hour, time to a millisecond. Totals are
//! sums of what is shown, so that whoever adds up the parts gets the total.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{CLAIM, Deadline, Emissions, Summary, apportion};
use crate::emissions::{INTENSITY_KINDS, PARTS, Parts};
use crate::forecast::Basis;
use crate::ledger::entry::{EnergyKind, Exit, IntensityKind, ReplayOf};

/// The document's name and version.
pub const SCHEMA: &str = "catrain.report/1";

/// Steps to a gram, a kilowatt-hour and a second.
const MILLI: f64 = 1e-3;
const MICRO: f64 = 1e-6;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    generated_at: Timestamp,
    as_of: Timestamp,
    runs: Vec<Run<'a>>,
    totals: Totals,
}

#[derive(Serialize)]
struct Run<'a> {
    id: &'a str,
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    program: &'a str,
    zone: &'a str,
    replay: &'a Option<ReplayOf>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    exit: Option<Exit>,
    why: &'a Option<String>,
    duration_s: Shown,
    pauses: u32,
    attempts: u32,
    deadline: Option<Kept>,
    energy_kwh: Shown,
    by_component: Vec<Component<'a>>,
    pue: Option<f64>,
    emissions: Vec<Account>,
    sci: Option<f64>,
    data_quality: Quality,
    ledger: Verified,
}

#[derive(Serialize)]
struct Kept {
    at: Timestamp,
    outcome: &'static str,
    spare_s: Option<f64>,
}

#[derive(Serialize)]
struct Component<'a> {
    component: &'a str,
    kwh: f64,
    kind: EnergyKind,
    source: &'a str,
}

#[derive(Serialize)]
struct Account {
    basis: Basis,
    g: Shown,
    low_g: f64,
    high_g: f64,
    mean_g_per_kwh: Option<f64>,
    settled: bool,
    intensity_kinds: BTreeMap<&'static str, f64>,
    uncovered_kwh: f64,
    baseline: Baseline,
    avoided_g: Option<f64>,
    avoided_percent: Option<f64>,
    not_compared: Option<String>,
    claim: &'static str,
}

#[derive(Serialize)]
struct Baseline {
    name: &'static str,
    g: Option<f64>,
    kind: Option<IntensityKind>,
    uncovered_kwh: f64,
}

#[derive(Serialize)]
struct Quality {
    is_lower_bound: bool,
    energy_measured: f64,
    energy_estimated: f64,
    energy_assumed: f64,
    unrecorded_s: f64,
    lost_entries: u64,
    torn_bytes: usize,
}

/// Not yet available; the names are there so that readers need not change.
#[derive(Serialize)]
struct Verified {
    verified: Option<bool>,
    head: Option<String>,
}

#[derive(Serialize)]
struct Totals {
    runs: usize,
    replays_left_out: usize,
    duration_s: Shown,
    energy_kwh: Shown,
    emissions: Vec<Total>,
}

#[derive(Serialize)]
struct Total {
    basis: Basis,
    runs: usize,
    g: Shown,
    low_g: f64,
    high_g: f64,
    uncovered_kwh: f64,
    runs_compared: usize,
    avoided_g: Option<f64>,
}

/// Parts as they are shown: whole steps, and the step.
#[derive(Clone, Copy)]
struct Shown {
    steps: Parts<i64>,
    step: f64,
}

impl Shown {
    fn of(parts: Parts<f64>, step: f64) -> Self {
        Self {
            steps: parts.map(|value| (value / step).round() as i64),
            step,
        }
    }

    fn none(step: f64) -> Self {
        Self::of(Parts::default(), step)
    }

    fn total(&self) -> f64 {
        shown(self.steps.total(), self.step)
    }
}

/// A number of steps as the decimal number it is, without the noise of a multiplication.
fn shown(steps: i64, step: f64) -> f64 {
    steps as f64 / (1.0 / step).round()
}

fn round(value: f64, step: f64) -> f64 {
    shown((value / step).round() as i64, step)
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1 + PARTS.len()))?;
        map.serialize_entry("total", &self.total())?;
        for (part, name) in PARTS {
            map.serialize_entry(name, &shown(self.steps[part], self.step))?;
        }
        map.end()
    }
}

/// The document for `runs`, with a line end.
pub fn document(runs: &[Summary], generated_at: Timestamp, as_of: Timestamp) -> String {
    let shown: Vec<Run<'_>> = runs.iter().map(Run::of).collect();
    let document = Document {
        schema: SCHEMA,
        generated_at,
        as_of,
        totals: Totals::of(runs, &shown),
        runs: shown,
    };
    let mut text = serde_json::to_string_pretty(&document).expect("only text, numbers and names");
    text.push('\n');
    text
}

impl<'a> Run<'a> {
    fn of(summary: &'a Summary) -> Self {
        let begin = &summary.begin;
        let energy_kwh = Shown::of(summary.energy.map(|energy| energy.0), MICRO);
        let kwh: Vec<f64> = summary.components.iter().map(|c| c.energy.0).collect();
        let steps = apportion(&kwh, MICRO, energy_kwh.steps.total());
        let by_component = summary
            .components
            .iter()
            .zip(steps)
            .map(|(c, steps)| Component {
                component: &c.component,
                kwh: shown(steps, MICRO),
                kind: c.kind,
                source: &c.source,
            });
        Self {
            id: &begin.run,
            name: &begin.name,
            labels: begin
                .labels
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect(),
            program: &begin.program,
            zone: &begin.zone,
            replay: &begin.replay,
            started_at: summary.started_at,
            ended_at: summary.ended_at,
            exit: summary.exit,
            why: &summary.why,
            duration_s: Shown::of(summary.duration_s, MILLI),
            pauses: summary.pauses,
            attempts: summary.attempts,
            deadline: summary.deadline.map(|(at, how)| Kept::of(at, how)),
            energy_kwh,
            by_component: by_component.collect(),
            pue: begin.pue.map(f64::from),
            emissions: summary.emissions.iter().map(Account::of).collect(),
            sci: None,
            data_quality: Quality {
                is_lower_bound: summary.is_unfinished() || !summary.is_whole,
                energy_measured: round(summary.energy_share(EnergyKind::Measured), 1e-4),
                energy_estimated: round(summary.energy_share(EnergyKind::Estimated), 1e-4),
                energy_assumed: round(summary.energy_share(EnergyKind::Assumed), 1e-4),
                unrecorded_s: round(summary.unrecorded_s, MILLI),
                lost_entries: summary.lost,
                torn_bytes: summary.torn.unwrap_or(0),
            },
            ledger: Verified {
                verified: None,
                head: None,
            },
        }
    }
}

impl Kept {
    fn of(at: Timestamp, how: Deadline) -> Self {
        let (outcome, spare_s) = match how {
            Deadline::Kept(early) => ("kept", Some(early)),
            Deadline::Missed(late) => ("missed", Some(-late)),
            Deadline::NotDone => ("not_done", None),
            Deadline::Open => ("open", None),
            Deadline::Unknown => ("unknown", None),
        };
        Self {
            at,
            outcome,
            spare_s: spare_s.map(|spare| round(spare, MILLI)),
        }
    }
}

impl Account {
    fn of(emissions: &Emissions) -> Self {
        let account = &emissions.account;
        let g = Shown::of(account.g.map(|grams| grams.0), MILLI);
        let run_now = &emissions.run_now;
        let base = (run_now.g.total().0 / MILLI).round() as i64;
        // From what is shown, so that it is the difference of the two numbers beside it.
        let avoided = emissions.avoided.ok().map(|_| base - g.steps.total());
        let percent = |avoided: i64| 100.0 * avoided as f64 / base as f64;
        let kind = |kind: IntensityKind| {
            let name = match kind {
                IntensityKind::Observed => "observed",
                IntensityKind::Preliminary => "preliminary",
                IntensityKind::Forecast => "forecast",
                IntensityKind::Profile => "profile",
                IntensityKind::Average => "average",
            };
            (name, round(account.share(kind), 1e-4))
        };
        Self {
            basis: emissions.basis,
            g,
            low_g: round(account.low.0, MILLI),
            high_g: round(account.high.0, MILLI),
            mean_g_per_kwh: account.mean().map(|mean| round(mean.0, MILLI)),
            settled: emissions.is_settled,
            intensity_kinds: INTENSITY_KINDS.into_iter().map(kind).collect(),
            uncovered_kwh: round(account.uncovered.0, MICRO),
            baseline: Baseline {
                name: "run-now",
                g: run_now.is_complete().then(|| shown(base, MILLI)),
                kind: run_now.worst_kind(),
                uncovered_kwh: round(run_now.uncovered.0, MICRO),
            },
            avoided_g: avoided.map(|avoided| shown(avoided, MILLI)),
            avoided_percent: avoided
                .filter(|_| base > 0)
                .map(|avoided| round(percent(avoided), 1e-2)),
            not_compared: emissions.avoided.err().map(|why| why.to_string()),
            claim: CLAIM,
        }
    }
}

impl Totals {
    /// Sums of what is shown. Replays are left out: nothing was really emitted or saved in them.
    fn of(runs: &[Summary], shown_runs: &[Run<'_>]) -> Self {
        let (mut duration, mut energy) = (Shown::none(MILLI), Shown::none(MICRO));
        let mut emissions: Vec<Total> = Vec::new();
        let is_real = |run: &&Run<'_>| run.replay.is_none();
        let real: Vec<&Run<'_>> = shown_runs.iter().filter(is_real).collect();
        for run in &real {
            duration.steps.add(&run.duration_s.steps);
            energy.steps.add(&run.energy_kwh.steps);
            for account in &run.emissions {
                let at = emissions
                    .iter()
                    .position(|total| total.basis == account.basis);
                let at = at.unwrap_or_else(|| {
                    emissions.push(Total::none(account.basis));
                    emissions.len() - 1
                });
                emissions[at].add(account);
            }
        }
        Self {
            runs: real.len(),
            replays_left_out: runs.len() - real.len(),
            duration_s: duration,
            energy_kwh: energy,
            emissions,
        }
    }
}

impl Total {
    fn none(basis: Basis) -> Self {
        Self {
            basis,
            runs: 0,
            g: Shown::none(MILLI),
            low_g: 0.0,
            high_g: 0.0,
            uncovered_kwh: 0.0,
            runs_compared: 0,
            avoided_g: None,
        }
    }

    fn add(&mut self, account: &Account) {
        self.runs += 1;
        self.g.steps.add(&account.g.steps);
        self.low_g = round(self.low_g + account.low_g, MILLI);
        self.high_g = round(self.high_g + account.high_g, MILLI);
        self.uncovered_kwh = round(self.uncovered_kwh + account.uncovered_kwh, MICRO);
        if let Some(avoided) = account.avoided_g {
            self.runs_compared += 1;
            self.avoided_g = Some(round(self.avoided_g.unwrap_or(0.0) + avoided, MILLI));
        }
    }
}
