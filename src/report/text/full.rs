//! `catrain report` as text: the end-of-run summary with where the time, energy and emissions
//! went and what was decided when and why.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{figures, hang, harmless, headline, span};
use crate::ledger::entry::{Action, EnergyKind, Entry, What};
use crate::plan::Act;
use crate::report::{Summary, named};
use crate::words::{self, Look, Paint};

/// One run in full.
pub fn full(summary: &Summary, look: Look, now: Timestamp, zone: &TimeZone) -> String {
    let begin = &summary.begin;
    let start = words::time(summary.started_at, now, zone);
    let end = match summary.ended_at {
        Some(end) => words::time(end, now, zone),
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
    text.push_str(&hang(&headline(summary), 2, look.width));
    text.push_str(&figures(summary, look, now, zone));
    text.push_str(&parts(summary, look));
    text.push_str(&components(summary, look));
    text.push_str(&events(summary, look, zone));
    look.text(&text)
}

fn push(text: &mut String, look: Look, paint: Paint, lines: &str) {
    for line in lines.lines() {
        text.push_str(&look.paint(paint, line));
        text.push('\n');
    }
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
    let line = |name: &str, seconds: f64, energy, grams| {
        let (energy, grams) = (words::energy(energy), words::mass(grams));
        format!("  {name:<11}{:>11}{energy:>13}{grams:>13}\n", span(seconds))
    };
    for (part, name, seconds) in named(&summary.duration_s) {
        text.push_str(&line(
            name,
            seconds,
            summary.energy[part],
            own.account.g[part],
        ));
    }
    let (energy, grams) = (summary.energy.total(), own.account.g.total());
    text.push_str(&line("total", summary.duration_s.total(), energy, grams));
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
    for component in &summary.components {
        let how = match component.kind {
            EnergyKind::Measured => "measured",
            EnergyKind::Estimated => "estimated",
            EnergyKind::Assumed => "assumed",
        };
        let name = harmless(&component.component);
        let energy = words::energy(component.energy);
        let source = harmless(&component.source);
        let line = format!("  {name:<11}{energy:>11}  {how}, {source}");
        text.push_str(&hang(&line, 26, look.width));
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

fn event(entry: &Entry, zone: &TimeZone) -> Option<String> {
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
        What::Warning { text } => format!("warning: {}", harmless(text)),
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
        Action::Stop => "asked to end",
        Action::Kill => "killed",
    }
}

fn wanted(action: Action) -> &'static str {
    match action {
        Action::Start => "a start",
        Action::Pause => "a pause",
        Action::Resume => "a resume",
        Action::Stop => "asking to end",
        Action::Kill => "a kill",
    }
}
