//! `catrain report` as text: the end-of-run summary with where the time, energy and emissions
//! went and what was decided when and why.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Paint, figures, hang, harmless, headline, push};
use crate::emissions::PARTS;
use crate::ledger::entry::{Action, Entry, Exit, Part, Share, What};
use crate::plan::Act;
use crate::report::Summary;
use crate::report::job::Waits;
use crate::report::shown::{Scale, times};
use crate::words::{self, Look};

/// One run in full; with its whole command in a row of its own where `full_command`.
pub fn full(
    summary: &Summary,
    full_command: bool,
    look: Look,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let begin = &summary.begin;
    let start = words::time(summary.started_at, now, zone);
    let end = match summary.ended_at {
        Some(end) => words::time(end, now, zone),
        None if summary.is_running() => "now".to_owned(),
        None => "?".to_owned(),
    };
    let zone_name = zone.iana_name().unwrap_or("local time");
    let title = format!(
        "{}  {}  {}, policy {}, {start} – {end} {zone_name}",
        harmless(&begin.run),
        harmless(&begin.name),
        harmless(&begin.zone),
        harmless(&begin.policy),
    );
    let mut text = String::new();
    push(&mut text, look, Paint::Bold, &hang(&title, 2, look.width));
    let labels: Vec<String> = begin
        .labels
        .iter()
        .map(|(key, value)| format!("{}={}", harmless(key), harmless(value)))
        .collect();
    if !labels.is_empty() {
        text.push_str(&hang(
            &format!("  labels     {}", labels.join(", ")),
            13,
            look.width,
        ));
    }
    if let Some(job) = in_job(summary) {
        text.push_str(&hang(&format!("  job        {job}"), 13, look.width));
    }
    if full_command {
        let command = harmless(&begin.command.join(" "));
        text.push_str(&hang(&format!("  command    {command}"), 13, look.width));
    }
    text.push_str(&hang(&headline(summary), 2, look.width));
    text.push_str(&figures(summary, look, now, zone));
    text.push_str(&parts(summary, look));
    text.push_str(&components(summary, look));
    text.push_str(&super::totals::nodes(summary, look));
    text.push_str(&remarks(summary, look));
    text.push_str(&events(summary, look, zone));
    look.text(&text)
}

/// `17_3 on cluster, n1 of 2 nodes, 2 restarts; queued 12 m, held by the plan 4 h, paused 1 h`.
pub(in crate::report) fn in_job(summary: &Summary) -> Option<String> {
    let job = summary.begin.slurm.as_ref()?;
    let plural = |count: u32| if count == 1 { "" } else { "s" };
    let mut words = format!("{} on {}", job.id, harmless(&job.cluster));
    let node = harmless(super::super::job::node(summary));
    words.push_str(&match job.nodes {
        0 | 1 => format!(", node {node}"),
        nodes => format!(", node {node} of {nodes}"),
    });
    if let Some(leader) = &job.follows {
        words.push_str(&format!(", follows {}", harmless(leader)));
    }
    if summary.restarts > 0 {
        let count = summary.restarts;
        words.push_str(&format!(", {count} restart{}", plural(count)));
    }
    let waits = Waits::of(&summary.segments);
    let times = [
        ("queued", waits.queued_s),
        ("held by the plan", waits.held_by_plan_s),
        ("paused", waits.paused_s),
    ];
    let times = times.into_iter().filter(|(_, seconds)| *seconds >= 0.5);
    let times: Vec<String> = times
        .map(|(what, seconds)| format!("{what} {}", super::span(seconds)))
        .collect();
    if !times.is_empty() {
        words.push_str("; ");
        words.push_str(&times.join(", "));
    }
    Some(words)
}

/// Time, energy and emissions (of the run's own basis) by what they were spent on.
fn parts(summary: &Summary, look: Look) -> String {
    let Some(own) = summary.emissions.first() else {
        return String::new();
    };
    let mut text = String::from("\n");
    let head = format!(
        "  {:<11}{:>11}{:>13}{:>13}\n",
        "", "time", "energy", "emissions"
    );
    push(&mut text, look, Paint::Dim, &head);
    // In one unit a column, so that the rows add up to the total as they are shown.
    let is_seen =
        |(part, _): &(Part, &str)| summary.duration_s[*part] > 0.0 || summary.energy[*part].0 > 0.0;
    let parts: Vec<(Part, &str)> = PARTS.into_iter().filter(is_seen).collect();
    let of = |value: &dyn Fn(Part) -> f64| -> Vec<f64> {
        parts.iter().map(|(part, _)| value(*part)).collect()
    };
    let seconds = of(&|part| summary.duration_s[part]);
    let (times, all_time) = times(&seconds, summary.duration_s.total());
    let total = summary.energy.total().0;
    let (energy, all_energy) =
        Scale::energy(total).column(&of(&|part| summary.energy[part].0), total);
    let total = own.account.g.total().0;
    let (grams, all_grams) = Scale::mass(total).column(&of(&|part| own.account.g[part].0), total);
    // Emissions at times of unknown intensity are not nothing.
    let is_known = own.account.mean().is_some() || summary.energy.total().0 == 0.0;
    let mut line = |name: &str, time: &str, energy: &str, grams: &str| {
        let grams = if is_known { grams } else { "–" };
        text.push_str(&format!("  {name:<11}{time:>11}{energy:>13}{grams:>13}\n"));
    };
    for (nth, (_, name)) in parts.iter().enumerate() {
        line(name, &times[nth], &energy[nth], &grams[nth]);
    }
    line("total", &all_time, &all_energy, &all_grams);
    text
}

/// What was metered or assumed, one line each.
fn components(summary: &Summary, look: Look) -> String {
    if summary.components.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n");
    push(
        &mut text,
        look,
        Paint::Dim,
        "  component       energy  known by",
    );
    let kwh: Vec<f64> = summary.components.iter().map(|c| c.energy.0).collect();
    let largest = kwh.iter().copied().fold(0.0, f64::max);
    let (column, _) = Scale::energy(largest).column(&kwh, summary.energy.total().0);
    for (component, energy) in summary.components.iter().zip(column) {
        let how = component.kind.word();
        let name = harmless(&component.component);
        let source = harmless(&component.source);
        let line = format!("  {name:<11}{energy:>11}  {how}, {source}");
        text.push_str(&hang(&line, 26, look.width));
    }
    text
}

/// What stands beside the sums, and why a meter is not better than it is.
fn remarks(summary: &Summary, look: Look) -> String {
    let whose = match summary.begin.share {
        Share::Job => "",
        Share::Machine => "; all of the machine, whoever used it",
    };
    let mut lines = vec![format!("  counted: {}{whose}", summary.boundary())];
    for component in &summary.unattributed {
        lines.push(format!(
            "  in no sum: {} {}, {}, of which nobody can say whose it was",
            harmless(&component.component),
            words::energy(component.energy),
            harmless(&component.source)
        ));
    }
    for meter in &summary.meters {
        if let Some(trouble) = &meter.trouble {
            let (component, name) = (harmless(&meter.component), harmless(&meter.name));
            lines.push(format!("  {component} ({name}): {}", harmless(trouble)));
        }
    }
    let mut text = String::from("\n");
    for line in lines {
        text.push_str(&hang(&line, 4, look.width));
    }
    text
}

/// Decisions with their reasons, acts, warnings, in order.
fn events(summary: &Summary, look: Look, zone: &TimeZone) -> String {
    let mut text = String::new();
    let mut day = None;
    for entry in &summary.events {
        let Some(words) = event(entry, zone) else {
            continue;
        };
        let local = entry.at.to_zoned(zone.clone());
        if day.replace(local.date()) != Some(local.date()) {
            let date = local.strftime("\n  %a %Y-%m-%d").to_string();
            push(&mut text, look, Paint::Dim, &date);
        }
        let line = format!("  {}  {words}", local.strftime("%H:%M"));
        text.push_str(&hang(&line, 9, look.width));
    }
    text
}

pub(in crate::report) fn event(entry: &Entry, zone: &TimeZone) -> Option<String> {
    let words = match &entry.what {
        What::Decision {
            act,
            until,
            reason,
            saves_g,
            ..
        } => {
            let act = match act {
                Act::Run => "run",
                Act::Pause => "wait",
            };
            let until = until.map_or(String::new(), |until| {
                format!(" until {}", words::time(until, entry.at, zone))
            });
            // Most reasons say it themselves.
            let is_told = reason.contains("saves about");
            let saves = saves_g.filter(|grams| grams.0 > 0.0 && !is_told);
            let saves = saves.map_or(String::new(), |grams| {
                format!("; saves about {}", words::mass(grams))
            });
            format!("{act}{until}: {}{saves}", harmless(reason))
        }
        What::Confirmed {
            action,
            processes,
            took_us,
            ..
        } => {
            let milliseconds = *took_us as f64 / 1e3;
            let plural = if *processes == 1 { "" } else { "es" };
            let done = done(*action);
            format!("{done}, {processes} process{plural} in {milliseconds:.1} ms")
        }
        What::Refused { action, why } => {
            format!("{} was not possible: {}", wanted(*action), harmless(why))
        }
        What::Signal {
            name,
            from,
            relayed,
        } => {
            let then = if *relayed { "passed on" } else { "kept" };
            format!("signal {} from {}, {then}", harmless(name), harmless(from))
        }
        What::Operator { word, from } => format!("{} by {}", harmless(word), harmless(from)),
        What::Configuration {
            changed, new_runs, ..
        } => configured(changed, new_runs),
        What::Warning { text } => format!("warning: {}", harmless(text)),
        What::Saved { proof, took_us } => {
            let took = words::duration(Duration::from_micros(*took_us));
            match proof {
                Some(proof) => format!("saved its state in {took}: {}", harmless(proof)),
                None => format!("nothing proved in {took} that it saved its state"),
            }
        }
        What::Left { attempt, exit, why } => {
            let how = match exit {
                Some(Exit::Code(code)) => format!("ended with {code}"),
                Some(Exit::Signal(signal)) => format!("ended by {}", words::signal(*signal)),
                None => "ended".to_owned(),
            };
            format!("start {attempt} {how}: {}", harmless(why))
        }
        What::Requeued { begin, why } => {
            let begin = begin.map_or(String::new(), |begin| {
                format!(", to start at {}", words::time(begin, entry.at, zone))
            });
            format!("back in the queue{begin}: {}", harmless(why))
        }
        What::TakenUp {
            node,
            host,
            restarts,
            ..
        } => {
            let node = if node.is_empty() { host } else { node };
            let plural = if *restarts == 1 { "" } else { "s" };
            let node = harmless(node);
            format!("started again by the cluster on {node}, after {restarts} requeue{plural}")
        }
        What::Gap { lost, summed } => gap(*lost, *summed),
        What::Begin(_)
        | What::Intent { .. }
        | What::Segment(_)
        | What::Intensity { .. }
        | What::Meters { .. }
        | What::Settlement { .. }
        | What::End { .. }
        | What::Unknown => return None,
    };
    Some(words)
}

fn gap(lost: u64, summed: u64) -> String {
    let lost = (lost > 0).then(|| format!("{lost} entries before this were lost"));
    let summed = (summed > 0).then(|| format!("{summed} segments before this were added up"));
    let both: Vec<String> = lost.into_iter().chain(summed).collect();
    format!("the disk took nothing for a while: {}", both.join(", "))
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Start => "started",
        Action::Pause => "paused",
        Action::Resume => "resumed",
        Action::Checkpoint => "asked to save",
        Action::Release => "left",
        Action::Stop => "asked to end",
        Action::Kill => "killed",
    }
}

fn wanted(action: Action) -> &'static str {
    match action {
        Action::Start => "a start",
        Action::Pause => "a pause",
        Action::Resume => "a resume",
        Action::Checkpoint => "a checkpoint",
        Action::Release => "leaving",
        Action::Stop => "asking to end",
        Action::Kill => "a kill",
    }
}

/// A configuration that was taken, in words.
fn configured(changed: &[String], new_runs: &[String]) -> String {
    let names = |names: &[String]| harmless(&names.join(", "));
    match (changed, new_runs) {
        ([], []) => "configuration read anew".to_owned(),
        (changed, []) => format!("configuration read anew: {}", names(changed)),
        ([], new_runs) => format!("configuration read anew, for new runs: {}", names(new_runs)),
        (changed, new_runs) => format!(
            "configuration read anew: {}; for new runs: {}",
            names(changed),
            names(new_runs)
        ),
    }
}
