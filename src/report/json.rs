//! The report as one JSON document, `catrain.report/1`: stable names, UTC, units in field names.
//!
//! Grams are rounded to a milligram, energy to a milliwatt-hour, time to a millisecond. Totals are
//! sums of what is shown, so that whoever adds up the parts gets the total.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::groups::Grouping;
use super::job::{self, Waits};
use super::shown::{MICRO, MILLI, Shown, apportion, round, shown, steps};
use super::totals::{Amount, Sum, Sums};
use super::{Deadline, Embodied, Emissions, Sci, Summary, Unknown, claim};
use crate::emissions::INTENSITY_KINDS;
use crate::forecast::Basis;
use crate::ledger::entry::{EnergyKind, Exit, IntensityKind, MeterFact, ReplayOf, Share};
use crate::words;

/// The document's name and version.
pub const SCHEMA: &str = "catrain.report/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    generated_at: Timestamp,
    as_of: Timestamp,
    runs: Vec<Run<'a>>,
    totals: Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped: Option<Groups>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continued_as: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slurm: Option<InJob<'a>>,
    /// Of the job that it leads, where others follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Nodes<'a>>,
    duration_s: Shown,
    pauses: u32,
    attempts: u32,
    deadline: Option<Kept>,
    energy_kwh: Shown,
    by_component: Vec<Component<'a>>,
    pue: Option<f64>,
    boundary: String,
    share: Share,
    emissions: Vec<Account>,
    embodied: Option<Made<'a>>,
    /// Why there are none though they were asked for.
    embodied_missing: Option<String>,
    sci: Option<Score>,
    sci_missing: Option<&'a str>,
    meters: &'a [MeterFact],
    unattributed: Vec<Component<'a>>,
    data_quality: Quality,
    ledger: Verified,
}

/// What it is in the cluster.
#[derive(Serialize)]
struct InJob<'a> {
    cluster: &'a str,
    job: u64,
    task: Option<u32>,
    node: &'a str,
    nodes: u32,
    follows: Option<&'a str>,
    restarts: u32,
    queued_s: f64,
    held_by_plan_s: f64,
    paused_s: f64,
}

impl<'a> InJob<'a> {
    fn of(summary: &'a Summary) -> Option<Self> {
        let job = summary.begin.slurm.as_ref()?;
        let waits = Waits::of(&summary.segments);
        Some(Self {
            cluster: &job.cluster,
            job: job.id.job,
            task: job.id.task,
            node: &job.node,
            nodes: job.nodes,
            follows: job.follows.as_deref(),
            restarts: summary.restarts,
            queued_s: round(waits.queued_s, MILLI),
            held_by_plan_s: round(waits.held_by_plan_s, MILLI),
            paused_s: round(waits.paused_s, MILLI),
        })
    }
}

/// The nodes of a job: each with its run, and what they come to.
#[derive(Serialize)]
struct Nodes<'a> {
    each: Vec<Node<'a>>,
    energy_kwh: Shown,
    emissions: Vec<Amount>,
    counted_once: Once,
}

#[derive(Serialize)]
struct Node<'a> {
    node: &'a str,
    run: &'a str,
    energy_kwh: Shown,
    emissions: Vec<Amount>,
}

impl<'a> Nodes<'a> {
    fn of(summary: &'a Summary) -> Option<Self> {
        let nodes = job::nodes(summary)?;
        let each = nodes.each.into_iter().map(|(run, sum)| Node {
            node: job::node(run),
            run: &run.begin.run,
            energy_kwh: sum.net.energy,
            emissions: sum.net.emissions,
        });
        Some(Self {
            each: each.collect(),
            counted_once: Once::of(&nodes.together),
            energy_kwh: nodes.together.net.energy,
            emissions: nodes.together.net.emissions,
        })
    }
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
struct Made<'a> {
    g: f64,
    reserved_s: f64,
    of: Vec<Device<'a>>,
}

#[derive(Serialize)]
struct Device<'a> {
    name: &'a str,
    total_kg: f64,
    years: f64,
    source: &'a str,
}

#[derive(Serialize)]
struct Score {
    g_per_unit: f64,
    unit: &'static str,
    count: f64,
    operational_g: f64,
    embodied_g: f64,
}

#[derive(Serialize)]
struct Account {
    basis: Basis,
    g: Shown,
    low_g: f64,
    high_g: f64,
    mean_g_per_kwh: Option<f64>,
    settled: bool,
    intensity_kinds: Kinds,
    uncovered_kwh: f64,
    baseline: Baseline,
    avoided_g: Option<f64>,
    avoided_percent: Option<f64>,
    avoided_kind: Option<IntensityKind>,
    not_compared: Option<String>,
    claim: &'static str,
}

/// Shares of the energy by the kind of its intensity, best first.
struct Kinds([(&'static str, f64); INTENSITY_KINDS.len()]);

impl Serialize for Kinds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
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

/// The record as a file: whether each of its lines follows from the one before, and the digest of the
/// last one. `report --verify` also compares that with what was noted when the run ended.
#[derive(Serialize)]
struct Verified {
    verified: Option<bool>,
    head: Option<String>,
    /// Whether it is being written, of a run without an end; none where that cannot be said.
    running: Option<bool>,
}

#[derive(Serialize)]
struct Totals {
    runs: usize,
    replays_left_out: usize,
    duration_s: Shown,
    energy_kwh: Shown,
    emissions: Vec<Amount>,
    counted_once: Once,
}

/// What two runs had of one device at once and sums have once: runs less this are the total.
#[derive(Serialize)]
struct Once {
    energy_kwh: Shown,
    emissions: Vec<Amount>,
}

#[derive(Serialize)]
struct Groups {
    by: String,
    /// That of days.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: Option<String>,
    runs: usize,
    duration_s: Shown,
    energy_kwh: Shown,
    emissions: Vec<Amount>,
    counted_once: Once,
}

/// The document for `runs`, with a line end.
pub fn document(runs: &[Summary], generated_at: Timestamp, as_of: Timestamp) -> String {
    written(runs, generated_at, as_of, None)
}

/// The same with `groups`; days are those of `zone`.
pub fn grouped(
    runs: &[Summary],
    generated_at: Timestamp,
    as_of: Timestamp,
    by: &Grouping,
    zone: &TimeZone,
) -> String {
    written(runs, generated_at, as_of, Some((by, zone)))
}

fn written(
    runs: &[Summary],
    generated_at: Timestamp,
    as_of: Timestamp,
    by: Option<(&Grouping, &TimeZone)>,
) -> String {
    let sums = Sums::of(
        runs,
        by.map(|(by, _)| by),
        by.map_or(&TimeZone::UTC, |(_, zone)| zone),
    );
    let document = Document {
        schema: SCHEMA,
        generated_at,
        as_of,
        runs: runs.iter().map(Run::of).collect(),
        totals: Totals::of(&sums),
        grouped: by.map(|(by, zone)| Groups::of(&sums, by, zone, generated_at)),
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
            continues: begin.continues.as_deref(),
            continued_as: summary.continued_as.as_deref(),
            slurm: InJob::of(summary),
            nodes: Nodes::of(summary),
            duration_s: Shown::of(summary.duration_s, MILLI),
            pauses: summary.pauses,
            attempts: summary.attempts,
            deadline: summary.deadline.map(|(at, how)| Kept::of(at, how)),
            energy_kwh,
            by_component: by_component.collect(),
            pue: begin.pue.map(f64::from),
            boundary: summary.boundary(),
            share: begin.share,
            emissions: (summary.emissions.iter())
                .map(|own| Account::of(summary, own))
                .collect(),
            embodied: summary.embodied.as_ref().ok().map(Made::of),
            embodied_missing: (summary.embodied.as_ref().err())
                .filter(|why| **why != Unknown::NotAsked)
                .map(ToString::to_string),
            sci: summary.sci.as_ref().ok().map(Score::of),
            sci_missing: summary.sci.as_ref().err().map(String::as_str),
            meters: &summary.meters,
            unattributed: summary.unattributed.iter().map(Component::of).collect(),
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
                verified: summary.record.as_ref().and_then(|record| record.is_chained),
                head: summary
                    .record
                    .as_ref()
                    .and_then(|record| record.head.clone()),
                running: (summary.record.as_ref())
                    .and_then(|record| record.is_written)
                    .map(|is_written| is_written && summary.is_unfinished()),
            },
        }
    }
}

impl<'a> Component<'a> {
    fn of(component: &'a super::Component) -> Self {
        Self {
            component: &component.component,
            kwh: round(component.energy.0, MICRO),
            kind: component.kind,
            source: &component.source,
        }
    }
}

impl<'a> Made<'a> {
    fn of(embodied: &'a Embodied) -> Self {
        let of = embodied.of.iter().map(|device| Device {
            name: &device.name,
            total_kg: round(device.total.0 / 1e3, MILLI),
            years: device.years,
            source: &device.source,
        });
        Self {
            g: round(embodied.g.0, MILLI),
            reserved_s: round(embodied.reserved_s, MILLI),
            of: of.collect(),
        }
    }
}

impl Score {
    fn of(sci: &Sci) -> Self {
        Self {
            g_per_unit: sci.g_per_unit,
            unit: sci.unit,
            count: sci.count,
            operational_g: round(sci.operational.0, MILLI),
            embodied_g: round(sci.embodied.0, MILLI),
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
    fn of(summary: &Summary, emissions: &Emissions) -> Self {
        let account = &emissions.account;
        let Amount {
            g,
            low,
            high,
            uncovered,
            avoided,
            ..
        } = Amount::of(emissions);
        let run_now = &emissions.run_now;
        let base = steps(run_now.g.total().0, MILLI);
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
            low_g: shown(low, MILLI),
            high_g: shown(high, MILLI),
            mean_g_per_kwh: account.mean().map(|mean| round(mean.0, MILLI)),
            settled: emissions.is_settled,
            intensity_kinds: Kinds(INTENSITY_KINDS.map(kind)),
            uncovered_kwh: shown(uncovered, MICRO),
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
            avoided_kind: emissions.avoided.ok().and_then(|_| emissions.worst_kind()),
            not_compared: (emissions.avoided.err()).map(|why| summary.not_compared(why)),
            claim: claim(emissions.basis),
        }
    }
}

impl Totals {
    fn of(sums: &Sums) -> Self {
        let net = &sums.total.net;
        Self {
            runs: net.runs,
            replays_left_out: sums.replays_left_out,
            duration_s: net.duration,
            energy_kwh: net.energy,
            emissions: net.emissions.clone(),
            counted_once: Once::of(&sums.total),
        }
    }
}

impl Once {
    fn of(sum: &Sum) -> Self {
        Self {
            energy_kwh: sum.once.energy,
            emissions: sum.once.emissions.clone(),
        }
    }
}

impl Groups {
    fn of(sums: &Sums, by: &Grouping, zone: &TimeZone, now: Timestamp) -> Self {
        let group = |(name, sum): &(Option<String>, Sum)| Group {
            name: name.clone(),
            runs: sum.net.runs,
            duration_s: sum.net.duration,
            energy_kwh: sum.net.energy,
            emissions: sum.net.emissions.clone(),
            counted_once: Once::of(sum),
        };
        Self {
            by: match by {
                Grouping::Run => "run".to_owned(),
                Grouping::Day => "day".to_owned(),
                Grouping::Zone => "zone".to_owned(),
                Grouping::Job => "job".to_owned(),
                Grouping::Label(key) => format!("label:{key}"),
            },
            time_zone: (by == &Grouping::Day).then(|| words::zone_name(zone, now)),
            groups: sums.groups.iter().map(group).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::emissions::PARTS;
    use crate::report::tests as ledgers;

    fn of(ledgers: &[crate::ledger::Ledger]) -> Value {
        let runs: Vec<Summary> = ledgers.iter().map(ledgers::summary).collect();
        let now = ledgers::at("2026-11-25T07:00:00Z");
        serde_json::from_str(&document(&runs, now, now)).unwrap()
    }

    #[test]
    fn the_document_of_a_run() {
        let run = ledgers::summary(&ledgers::example());
        let now = ledgers::at("2026-11-25T07:00:00Z");
        insta::assert_snapshot!(document(&[run], now, now));
    }

    /// Adds decimal numbers as they are written, in thousandths of the smallest step.
    fn exact(value: &Value) -> i64 {
        (value.as_f64().unwrap() * 1e6).round() as i64
    }

    fn adds_up(parts: &Value) {
        let sum: i64 = PARTS.iter().map(|(_, name)| exact(&parts[*name])).sum();
        assert_eq!(sum, exact(&parts["total"]), "{parts}");
    }

    #[test]
    fn parts_add_up_to_totals_exactly_as_displayed() {
        let third = ledgers::with(|what| {
            if let crate::ledger::entry::What::Segment(segment) = what {
                segment
                    .energy
                    .iter_mut()
                    .for_each(|reading| reading.joules.0 /= 3.0);
            }
        });
        let all = of(&[ledgers::example(), third, ledgers::assumed()]);
        let runs = all["runs"].as_array().unwrap();
        for part in ["duration_s", "energy_kwh"] {
            runs.iter().for_each(|run| adds_up(&run[part]));
            adds_up(&all["totals"][part]);
            let sum: i64 = runs.iter().map(|run| exact(&run[part]["total"])).sum();
            assert_eq!(sum, exact(&all["totals"][part]["total"]));
        }
        for run in runs {
            adds_up(&run["emissions"][0]["g"]);
            let parts = run["by_component"].as_array().unwrap();
            let sum: i64 = parts.iter().map(|part| exact(&part["kwh"])).sum();
            assert_eq!(sum, exact(&run["energy_kwh"]["total"]));
            let own = &run["emissions"][0];
            let avoided = exact(&own["baseline"]["g"]) - exact(&own["g"]["total"]);
            assert_eq!(avoided, exact(&own["avoided_g"]));
        }
        let total = &all["totals"]["emissions"][0];
        adds_up(&total["g"]);
        let avoided: i64 = runs
            .iter()
            .map(|run| exact(&run["emissions"][0]["avoided_g"]))
            .sum();
        assert_eq!(avoided, exact(&total["avoided_g"]));
    }

    #[test]
    fn an_unfinished_run_has_no_end_and_is_a_lower_bound() {
        let run = &of(&[ledgers::unfinished()])["runs"][0];
        assert_eq!(run["ended_at"], Value::Null);
        assert_eq!(run["exit"], Value::Null);
        assert_eq!(run["data_quality"]["is_lower_bound"], true);
        assert_eq!(run["emissions"][0]["avoided_g"], Value::Null);
    }

    #[test]
    fn a_replay_is_marked_and_enters_no_total() {
        let all = of(&[ledgers::replay()]);
        assert_eq!(all["runs"][0]["replay"]["speed"], 600.0);
        assert_eq!(all["totals"]["runs"], 0);
        assert_eq!(all["totals"]["replays_left_out"], 1);
        assert_eq!(all["totals"]["emissions"], serde_json::json!([]));
    }

    #[test]
    fn an_exit_by_signal_is_told_as_one() {
        let killed = ledgers::ended(Some(Exit::Signal(9)), None);
        assert_eq!(
            of(&[killed])["runs"][0]["exit"],
            serde_json::json!({"signal": 9})
        );
    }

    #[test]
    fn an_unknown_intensity_is_stated_and_the_baseline_left_open() {
        let dark = ledgers::with(|what| {
            if let crate::ledger::entry::What::Intensity { points, .. } = what {
                points.clear();
            }
        });
        let own = &of(&[dark])["runs"][0]["emissions"][0];
        assert_eq!(own["uncovered_kwh"], 2.41);
        assert_eq!(own["mean_g_per_kwh"], Value::Null);
        assert_eq!(own["baseline"]["g"], Value::Null);
        assert_eq!(own["avoided_g"], Value::Null);
    }
}
