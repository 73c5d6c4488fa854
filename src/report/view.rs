//! What the page and the appendix show of runs, as words and numbers in the order of reading.
//!
//! Pure data for the templates: strings are as they were recorded, and each template's own sink
//! makes them harmless ([`harmless`](super::harmless)). Each number also says which field of the
//! JSON it is, with that field's value, so that a test can compare them all.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::csv::labels;
use super::shown::{MILLI, apportion, between, shown, told};
use super::totals::{Amount, Amounts, Sum};
use super::{Component, Deadline, Emissions, Summary, job, text};
use crate::forecast::Signal;
use crate::ledger::entry::{EnergyKind, Method, Part, Share};
use crate::units::{GramsCo2e, KilowattHours};
use crate::words;

mod method;
mod overview;
mod tables;

use method::{METHOD, MarginRow, margins};
use overview::{Overview, overview};
use tables::{BasisRow, ComponentRow, PhaseRow, bases, components, phases};

/// Runs from which on each is folded away.
const MANY: usize = 6;
/// Events of a run that are shown: the first half and the last.
const EVENTS: usize = 60;

/// All of it.
#[derive(Serialize)]
pub(super) struct View {
    pub(super) title: String,
    pub(super) generated: String,
    pub(super) version: &'static str,
    pub(super) time_zone: String,
    /// Where there are several runs.
    pub(super) overview: Option<Overview>,
    pub(super) runs: Vec<Run>,
    pub(super) method: Vec<[&'static str; 3]>,
    pub(super) margins: Vec<MarginRow>,
}

/// A number with the field of the JSON that it is.
#[derive(Serialize)]
pub(super) struct Figure {
    pub(super) of: String,
    pub(super) value: String,
    pub(super) words: String,
}

fn figure(of: String, value: f64, words: String) -> Figure {
    Figure {
        of,
        value: value.to_string(),
        words,
    }
}

#[derive(Serialize)]
pub(super) struct Run {
    anchor: usize,
    id: String,
    name: String,
    is_open: bool,
    verdict: String,
    outcome: String,
    headlines: Vec<Headline>,
    facts: Vec<Fact>,
    hardware: Vec<String>,
    components: Vec<ComponentRow>,
    unattributed: Vec<Fact>,
    energy: Figure,
    phases: Vec<PhaseRow>,
    total: PhaseRow,
    bases: Vec<BasisRow>,
    events: Vec<Event>,
    events_left_out: usize,
    quality: Vec<Fact>,
    head: Option<String>,
    record: String,
}

/// One of the four figures.
#[derive(Serialize)]
struct Headline {
    label: &'static str,
    figure: Option<Figure>,
    words: String,
    bounds: Option<[Figure; 2]>,
    note: String,
}

#[derive(Serialize)]
struct Fact {
    label: String,
    text: String,
}

fn fact(label: &str, text: impl Into<String>) -> Fact {
    Fact {
        label: label.to_owned(),
        text: text.into(),
    }
}

#[derive(Serialize)]
struct Event {
    time: String,
    text: String,
}

/// `runs` in words: times in `zone`, whole commands where `full_command`.
pub(super) fn view(runs: &[Summary], full_command: bool, now: Timestamp, zone: &TimeZone) -> View {
    let title = match runs {
        [run] => format!("{} ({})", run.begin.name, run.begin.run),
        runs => format!("{} runs", runs.len()),
    };
    let each = runs.iter().enumerate();
    let is_open = runs.len() < MANY;
    View {
        title,
        generated: now
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        version: env!("CARGO_PKG_VERSION"),
        time_zone: words::zone_name(zone, now),
        overview: (runs.len() > 1).then(|| overview(runs, zone)),
        runs: each
            .map(|(at, run)| view_of(at, run, is_open, full_command, now, zone))
            .collect(),
        method: METHOD.to_vec(),
        margins: margins(),
    }
}

fn view_of(
    at: usize,
    run: &Summary,
    is_open: bool,
    full_command: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> Run {
    let here = format!("/runs/{at}");
    let kwh = Amounts::of(run).energy;
    let energy_words = text::energy(run).0;
    let energy = || {
        figure(
            format!("{here}/energy_kwh/total"),
            kwh.total(),
            energy_words.clone(),
        )
    };
    let (phases, total) = phases(run, &here);
    let (events, events_left_out) = events(run, zone);
    Run {
        anchor: at + 1,
        id: run.begin.run.clone(),
        name: run.begin.name.clone(),
        is_open,
        verdict: verdict(run, now, zone),
        outcome: outcome(run),
        headlines: headlines(run, &here, energy(), now, zone),
        facts: facts(run, full_command, zone),
        hardware: hardware(run),
        components: components(run, &here),
        unattributed: unattributed(run),
        energy: energy(),
        phases,
        total,
        bases: bases(run, &here),
        events,
        events_left_out,
        quality: quality(run),
        head: run.record.as_ref().and_then(|record| record.head.clone()),
        record: record(run),
    }
}

/// The sentence that a reader in a hurry takes with them.
fn verdict(run: &Summary, now: Timestamp, zone: &TimeZone) -> String {
    let mut words = String::new();
    let mut emitted_word = "Emitted";
    if let Some(replay) = &run.begin.replay {
        words.push_str(&format!(
            "A replay of {} at {} times speed, so that nothing was really saved. ",
            replay.trace, replay.speed
        ));
        emitted_word = "In earnest it would have emitted";
    }
    let Some(own) = run.emissions.first() else {
        return words + "Nothing is known of its emissions.";
    };
    let is_estimate = text::is_estimate(run, own);
    let grams = |grams: GramsCo2e| text::mass(grams, is_estimate);
    let emitted = grams(own.account.g.total());
    let about = if is_estimate { "about " } else { "" };
    let emitted = match own.account.mean() {
        None if run.energy.total().0 > 0.0 => {
            return words + "Its emissions are unknown: there is no intensity for the time it ran.";
        }
        _ => format!("{about}{emitted} of CO2e"),
    };
    let percent = own.avoided_fraction().map(|fraction| {
        let percent = (100.0 * fraction.abs()).round();
        format!("({percent:.0}\u{a0}%) ")
    });
    let percent = percent.unwrap_or_default();
    words.push_str(&match own.avoided {
        Err(why) => format!("{emitted_word} {emitted}; not compared with starting at once, because {}.", run.not_compared(why)),
        Ok(avoided) if avoided.0 == 0.0 && !text::has_waited(run) => {
            format!("{emitted_word} {emitted}; it ran at once, so that nothing was avoided.")
        }
        Ok(avoided) if avoided.0 >= 0.0 => format!(
            "{emitted_word} {emitted}, {about}{} {percent}less than the same work started at once would have ({}).",
            grams(avoided),
            meaning(own)
        ),
        Ok(avoided) => format!(
            "Waiting did not help. {emitted_word} {emitted}, {about}{} {percent}more than the same work started at once would have; {}.",
            grams(-avoided),
            text::why_worse(run, own, avoided, now, zone)
        ),
    });
    if run.is_running() {
        words.push_str(" The run goes on: all sums are of what is recorded so far.");
    } else if run.is_unfinished() || !run.is_whole {
        words.push_str(" The record is not whole: all sums are lower bounds.");
    }
    words
}

fn meaning(emissions: &Emissions) -> &'static str {
    match emissions.basis.signal {
        Signal::Average => {
            "a difference on the average mix, not a claim of what the grid did otherwise"
        }
        Signal::Marginal => "a difference by the marginal signal",
    }
}

/// Without the command: `python ended with 0 after 13 h 27 m: held 6 h 40 m, …`.
fn outcome(run: &Summary) -> String {
    format!("{} {}", run.begin.program, text::outcome(run))
}

fn headlines(
    run: &Summary,
    here: &str,
    energy: Figure,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Headline> {
    let mut all = vec![Headline {
        label: "Energy",
        words: energy.words.clone(),
        figure: (!run.components.is_empty()).then_some(energy),
        bounds: None,
        note: text::energy(run).1,
    }];
    if let Some(own) = run.emissions.first() {
        let amount = Amount::of(own);
        let (words, _) = text::emitted(run, own, false);
        let at = |field: &str| format!("{here}/emissions/0/{field}");
        let is_known = own.account.mean().is_some();
        all.push(Headline {
            label: "Emissions",
            figure: is_known.then(|| figure(at("g/total"), amount.g.total(), words.clone())),
            words,
            bounds: is_known.then(|| bounds(here, 0, own)),
            note: format!("{}, {}", own.basis, run.boundary()),
        });
        let is_estimate = text::is_estimate(run, own);
        all.push(match (own.avoided, amount.avoided) {
            (Ok(avoided), Some(steps)) => {
                let words = text::grams(avoided, is_estimate);
                let percent = own.avoided_fraction().map(words::change);
                let percent = percent.map_or(String::new(), |percent| {
                    format!("{} of run-now; ", percent.trim_start_matches('+'))
                });
                Headline {
                    label: "Avoided",
                    figure: Some(figure(at("avoided_g"), shown(steps, MILLI), words.clone())),
                    words,
                    bounds: None,
                    note: format!("{percent}{}", meaning(own)),
                }
            }
            (avoided, _) => Headline {
                label: "Avoided",
                figure: None,
                words: "not compared".to_owned(),
                bounds: None,
                note: (avoided.err()).map_or(String::new(), |why| run.not_compared(why)),
            },
        });
    }
    let waits = [Part::Held, Part::Saving, Part::Paused, Part::Restoring];
    let waited: f64 = waits.iter().map(|part| run.duration_s[*part]).sum();
    let kept = run.deadline.map(|(deadline, how)| {
        let (head, rest) = text::kept(deadline, how, now, zone);
        let due = match how {
            Deadline::Open | Deadline::Unknown => "due",
            _ => "deadline",
        };
        match rest.is_empty() {
            true => format!("; {due} {head}"),
            false => format!("; {due} {head}, {rest}"),
        }
    });
    all.push(Headline {
        label: "Delay",
        figure: None,
        words: text::span(waited),
        bounds: None,
        note: format!("held, paused or switching{}", kept.unwrap_or_default()),
    });
    all
}

fn bounds(here: &str, nth: usize, emissions: &Emissions) -> [Figure; 2] {
    let (amount, account) = (Amount::of(emissions), &emissions.account);
    let (low, high) = (
        told(account.low.0, amount.low, MILLI),
        told(account.high.0, amount.high, MILLI),
    );
    let [low, high] = between(low, high);
    let bound = |field: &str, steps, words| {
        let of = format!("{here}/emissions/{nth}/{field}");
        figure(of, shown(steps, MILLI), words)
    };
    [
        bound("low_g", amount.low, low),
        bound("high_g", amount.high, high),
    ]
}

fn facts(run: &Summary, full_command: bool, zone: &TimeZone) -> Vec<Fact> {
    let begin = &run.begin;
    let local = |at: Timestamp| {
        at.to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M")
            .to_string()
    };
    let mut facts = vec![match full_command {
        true => fact("command", begin.command.join(" ")),
        false => fact("program", begin.program.as_str()),
    }];
    if !begin.labels.is_empty() {
        facts.push(fact("labels", labels(run)));
    }
    if let Some(job) = text::in_job(run) {
        facts.push(fact("job", job));
    }
    if let Some(nodes) = job::nodes(run) {
        let of = |sum: &Sum| {
            let emitted = sum.net.emissions.first().and_then(Amount::known_words);
            let grams = emitted.map_or(String::new(), |grams| {
                format!(", {}", words::mass(GramsCo2e(grams)))
            });
            let energy = words::energy(KilowattHours(sum.net.kwh()));
            format!("{energy}{grams}")
        };
        let each = nodes.each.iter();
        let mut all: Vec<String> = each
            .map(|(run, sum)| format!("{} ({}) {}", job::node(run), run.begin.run, of(sum)))
            .collect();
        all.push(format!("together {}", of(&nodes.together)));
        facts.push(fact("nodes", all.join("; ")));
    }
    facts.push(fact("zone", begin.zone.as_str()));
    facts.push(fact("policy", begin.policy.as_str()));
    facts.push(fact("from", local(run.started_at)));
    facts.push(match run.ended_at {
        Some(end) => fact("to", local(end)),
        None if run.is_running() => fact(
            "to",
            format!("the run goes on; last entry {}", local(run.last_at)),
        ),
        None => fact(
            "to",
            format!("no end is recorded; last entry {}", local(run.last_at)),
        ),
    });
    facts.push(fact("counted", counted(run)));
    facts.push(fact("boundary", run.boundary()));
    if let Some((grams, rest)) = text::embodied(run) {
        let grams = if run.embodied.is_ok() {
            grams
        } else {
            format!("{grams}:")
        };
        facts.push(fact("embodied", format!("{grams} {rest}")));
    }
    if let Some((score, rest)) = text::score(run) {
        facts.push(fact("SCI", format!("{score}: {rest}")));
    }
    facts
}

/// Whose energy it is. A figure that was given is of what the giver had in mind.
fn counted(run: &Summary) -> &'static str {
    let is_given = |component: &Component| component.kind == EnergyKind::Assumed;
    if !run.components.is_empty() && run.components.iter().all(is_given) {
        return "what was given, whoever caused it: nothing was metered";
    }
    match run.begin.share {
        Share::Job => "what the job's processes caused, of devices that others may use as well",
        Share::Machine => "all of the machine, whoever used it",
    }
}

fn hardware(run: &Summary) -> Vec<String> {
    let mut names: Vec<(&str, usize)> = Vec::new();
    // A figure that was given is the name of no hardware.
    let meters = run.meters.iter();
    for meter in meters.filter(|meter| meter.method != Method::Given) {
        match names.iter_mut().find(|(name, _)| *name == meter.name) {
            Some((_, count)) => *count += 1,
            None => names.push((&meter.name, 1)),
        }
    }
    let words = |(name, count): (&str, usize)| match count {
        1 => name.to_owned(),
        count => format!("{count} × {name}"),
    };
    names.into_iter().map(words).collect()
}

fn unattributed(run: &Summary) -> Vec<Fact> {
    let each = run.unattributed.iter();
    each.map(|component| {
        let energy = words::energy(component.energy);
        fact(
            &component.component,
            format!("{energy}, {}, {}", component.kind.word(), component.source),
        )
    })
    .collect()
}

/// What was decided, done and warned of, and how much of it is left out.
fn events(run: &Summary, zone: &TimeZone) -> (Vec<Event>, usize) {
    let told = run
        .events
        .iter()
        .filter(|entry| text::event(entry, zone).is_some());
    let count = told.clone().count();
    let left_out = count.saturating_sub(EVENTS);
    let half = EVENTS / 2;
    let shown = told
        .enumerate()
        .filter(|(at, _)| left_out == 0 || *at < half || *at >= half + left_out);
    let events = shown.filter_map(|(_, entry)| {
        Some(Event {
            time: entry
                .at
                .to_zoned(zone.clone())
                .strftime("%a %d %b %H:%M")
                .to_string(),
            text: text::event(entry, zone)?,
        })
    });
    (events.collect(), left_out)
}

/// What was measured, estimated and assumed, and what is missing.
fn quality(run: &Summary) -> Vec<Fact> {
    let mut facts = Vec::new();
    let shares = [
        EnergyKind::Measured,
        EnergyKind::Estimated,
        EnergyKind::Assumed,
    ];
    let percents = shares.map(|kind| 100.0 * run.energy_share(kind));
    let all = percents.iter().sum::<f64>().round() as i64;
    let percents = apportion(&percents, 1.0, all);
    let words: Vec<String> = (shares.iter().zip(percents))
        .filter(|(_, percent)| *percent > 0)
        .map(|(share, percent)| format!("{percent} % {}", share.word()))
        .collect();
    facts.push(match words.is_empty() {
        true => fact("energy", "none is known"),
        false => fact("energy", words.join(", ")),
    });
    for emissions in &run.emissions {
        let kinds = text::kinds(&emissions.account);
        let kinds = if kinds.is_empty() {
            "none known".to_owned()
        } else {
            kinds
        };
        let label = format!("intensity ({})", emissions.basis);
        facts.push(fact(&label, kinds));
    }
    for meter in &run.meters {
        let mut words = format!("{}, {}", meter.name, method(meter.method));
        if let Some(trouble) = &meter.trouble {
            words.push_str("; ");
            words.push_str(trouble);
        }
        facts.push(fact(&meter.component, words));
    }
    if run.meters.is_empty() {
        facts.push(fact("meters", "none are recorded"));
    }
    for caution in text::cautions(run) {
        facts.push(fact("gap", caution));
    }
    facts
}

pub(super) fn method(method: Method) -> &'static str {
    match method {
        Method::GpuCounter => "the GPU's counter of energy",
        Method::GpuPower => "the GPU's power, integrated",
        Method::Rapl => "RAPL counters",
        Method::RaplDram => "RAPL's counter of memory",
        Method::CpuModel => "a model: processor time times a figure a core",
        Method::MemoryModel => "a model: resident memory times a figure a gigabyte",
        Method::Given => "a figure that was given",
    }
}

fn record(run: &Summary) -> String {
    match run.record.as_ref().map(|record| record.is_chained) {
        Some(Some(true)) => "Each line of the record follows from the one before.",
        Some(Some(false)) => {
            "The record's lines do not follow from each other: it was changed or damaged."
        }
        Some(None) => "The record is of a format without a chain.",
        None => "Nothing is known of the record as a file.",
    }
    .to_owned()
}
