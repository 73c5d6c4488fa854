//! The report as text: [`end_of_run`] when a run is over, [`full()`] for `catrain report`.
//!
//! A figure of which more than a fifth is estimated or assumed has two digits and `estimate:`
//! before it. Where waiting did not help, that is said as plainly as where it did.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::job::queued_in;
use super::shown::{Scale, apportion, between};
use super::{Deadline, Embodied, Emissions, Summary, Unknown};
use crate::emissions::{Account, INTENSITY_KINDS};
use crate::forecast::Signal;
use crate::ledger::entry::{EnergyKind, Exit, IntensityKind, Part};
use crate::units::{GramsCo2e, Joules, KilowattHours};
use crate::words::{self, Look, Paint};

mod full;
mod totals;

pub use super::harmless::terminal as harmless;
pub use full::full;
pub(super) use full::{event, in_job};
pub use totals::totals;

/// From which share of estimated or assumed numbers on a headline is an estimate.
const MUCH: f64 = 0.2;
/// Column of what stands behind a headline.
const REST: usize = 25;
/// A run that is over sooner (in seconds) and never waited is told in one line.
const SHORT: f64 = 60.0;
/// In fewer columns nothing has room beside its headline.
const NARROW: usize = 2 * REST;
/// Characters of a command that are shown.
const COMMAND: usize = 40;

/// What is said when the run is over: what happened, energy, emissions, the comparison, the
/// deadline. `now` and `zone` are for the words of times.
pub fn end_of_run(summary: &Summary, look: Look, now: Timestamp, zone: &TimeZone) -> String {
    if summary.elapsed_s() < SHORT && !has_waited(summary) && summary.begin.replay.is_none() {
        let run = harmless(&summary.begin.run);
        let later = match summary.is_unrecorded {
            true => String::new(),
            false => format!(" (catrain report {run})"),
        };
        let line = format!("catrain: {}{later}", headline(summary));
        let mut text = hang(&line, 2, look.width);
        text.push_str(&digest(summary, look));
        return look.text(&text);
    }
    let mut text = hang(&format!("catrain: {}", headline(summary)), 2, look.width);
    text.push_str(&figures(summary, look, now, zone));
    let report = format!("catrain report {}", harmless(&summary.begin.run));
    if !summary.is_unrecorded {
        text.push_str(&row("report", &report, "", look));
    }
    look.text(&text)
}

/// Whether the run made no progress for a while, so that there is something to compare.
pub(super) fn has_waited(summary: &Summary) -> bool {
    let seconds = summary.duration_s;
    let waits = [Part::Held, Part::Saving, Part::Paused, Part::Restoring];
    waits.iter().any(|part| seconds[*part] > 0.0)
}

/// The rows below the headline.
fn figures(summary: &Summary, look: Look, now: Timestamp, zone: &TimeZone) -> String {
    let mut text = String::new();
    let (head, rest) = energy(summary);
    text.push_str(&row("energy", &head, &rest, look));
    for (nth, emissions) in summary.emissions.iter().enumerate() {
        let (head, rest) = emitted(summary, emissions, nth > 0);
        text.push_str(&row("emissions", &head, &rest, look));
        let (head, rest) = compared(summary, emissions, now, zone);
        text.push_str(&row("run-now", &head, &rest, look));
    }
    if let Some((head, rest)) = embodied(summary) {
        text.push_str(&row("embodied", &head, &rest, look));
    }
    if let Some((head, rest)) = score(summary) {
        text.push_str(&row("sci", &head, &rest, look));
    }
    if let Some((deadline, how)) = summary.deadline {
        let (head, rest) = kept(deadline, how, now, zone);
        text.push_str(&row("deadline", &head, &rest, look));
    }
    if let Some(replay) = &summary.begin.replay {
        let of = format!(
            "of {} at {} times speed: nothing was really saved",
            harmless(&replay.trace),
            replay.speed
        );
        text.push_str(&row("replay", "", &of, look));
    }
    for caution in cautions(summary) {
        text.push_str(&row("note", "", &caution, look));
    }
    text.push_str(&digest(summary, look));
    text
}

/// The digest that stands for the whole record, to be kept elsewhere; of one that is still written it
/// is that of no end.
fn digest(summary: &Summary, look: Look) -> String {
    let head = summary.record.as_ref().and_then(|r| r.head.as_deref());
    head.filter(|_| !summary.is_running())
        .map_or(String::new(), |head| row("head", head, "", look))
}

/// `python train.py ended with 0 after 13 h 27 m: held 6 h 40 m, …`.
fn headline(summary: &Summary) -> String {
    format!("{} {}", command(summary), outcome(summary))
}

/// The same without the command.
pub(super) fn outcome(summary: &Summary) -> String {
    let happened = match (summary.ended_at, summary.exit) {
        (None, _) if summary.is_running() && summary.attempts == 0 => {
            "waits to be started".to_owned()
        }
        (None, _) if summary.is_running() => "is running".to_owned(),
        (None, _) if summary.attempts == 0 => "has no recorded start or end".to_owned(),
        (None, _) => "has no recorded end".to_owned(),
        (Some(_), None) if summary.attempts > 0 => "is over".to_owned(),
        (Some(_), None) => "never started".to_owned(),
        (Some(_), Some(Exit::Code(code))) => format!("ended with {code}"),
        (Some(_), Some(Exit::Signal(signal))) => {
            format!("ended by signal {}", words::signal(signal))
        }
    };
    let why = summary.why.as_deref().map(harmless);
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    let elapsed = span(summary.elapsed_s());
    let after = match summary.state() {
        "running" => format!(", {} so far", span(summary.so_far_s())),
        "unfinished" => format!(", at least {elapsed}"),
        _ => format!(" after {elapsed}"),
    };
    format!("{happened}{why}{after}{}", spent(summary))
}

/// The command as it was typed, secrets redacted, cut where it gets long.
fn command(summary: &Summary) -> String {
    let whole = harmless(&summary.begin.command.join(" "));
    if whole.chars().count() <= COMMAND {
        return whole;
    }
    let cut: String = whole.chars().take(COMMAND - 1).collect();
    format!("{}…", cut.trim_end())
}

fn spent(summary: &Summary) -> String {
    let seconds = summary.duration_s;
    let words = [
        (Part::Held, "held"),
        (Part::Running, "ran"),
        (Part::Saving, "saved"),
        (Part::Paused, "paused"),
        (Part::Restoring, "restored"),
        (Part::Suspended, "host asleep"),
    ];
    let mut spent = Vec::new();
    let waits = [Part::Held, Part::Paused].map(|part| queued_in(&summary.segments, part));
    let queued = waits[0] + waits[1];
    if queued >= 0.5 {
        spent.push(format!("queued {}", span(queued)));
    }
    for (part, word) in words {
        // Time in the queue is no wait for clean power, and is told by itself.
        let others = match part {
            Part::Held => seconds[part] - waits[0],
            Part::Paused => seconds[part] - waits[1],
            _ => seconds[part],
        };
        if others < 0.5 {
            continue;
        }
        let mut one = format!("{word} {}", span(others));
        if part == Part::Paused {
            let plural = if summary.pauses == 1 { "" } else { "s" };
            one.push_str(&format!(" in {} pause{plural}", summary.pauses));
        }
        spent.push(one);
    }
    match spent.is_empty() {
        true => String::new(),
        false => format!(": {}", spent.join(", ")),
    }
}

pub(super) fn span(seconds: f64) -> String {
    words::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

pub(super) fn energy(summary: &Summary) -> (String, String) {
    let total = summary.energy.total();
    if summary.components.is_empty() {
        return (
            "none known".to_owned(),
            "nothing was metered or assumed".to_owned(),
        );
    }
    let is_estimate = 1.0 - summary.energy_share(EnergyKind::Measured) > MUCH;
    let total_words = match is_estimate {
        true => words::energy(in_two_digits(total)),
        false => words::energy(total),
    };
    let total_words = if is_estimate {
        trimmed(&total_words)
    } else {
        total_words
    };
    let scale = Scale::of(&total_words);
    let mut groups = groups(summary);
    groups.sort_by(|a, b| b.2.total_cmp(&a.2));
    let all: Vec<f64> = groups.iter().map(|(_, _, kwh)| *kwh).collect();
    let steps = apportion(&all, scale.step, (total.0 / scale.step).round() as i64);
    let mut rest = match groups.as_slice() {
        [(name, how, _)] if name == "all" => format!("all of it {how}"),
        groups => {
            // What shows as nothing beside the rest is not worth a word.
            let is_all_nothing = steps.iter().all(|steps| *steps == 0);
            let seen = groups.iter().zip(steps);
            let seen = seen.filter(|(_, steps)| is_all_nothing || *steps != 0);
            let each = seen.map(|((name, how, _), steps)| {
                let number = scale.number(steps);
                // A figure that was given is of no component.
                match name.as_str() {
                    "all" => format!("{number} {how}"),
                    name => format!("{name} {number} {how}"),
                }
            });
            each.collect::<Vec<_>>().join(", ")
        }
    };
    for (part, word) in [(Part::Held, "held"), (Part::Paused, "paused")] {
        let steps = (summary.energy[part].0 / scale.step).round() as i64;
        if steps > 0 {
            rest.push_str(&format!("; {} of it while {word}", scale.number(steps)));
        }
    }
    (estimate(total_words, is_estimate), rest)
}

/// Energy by device and how it is known: `GPU` for all `gpu 0`, `gpu 1`.
fn groups(summary: &Summary) -> Vec<(String, String, f64)> {
    let mut groups: Vec<(String, String, f64)> = Vec::new();
    for component in &summary.components {
        let name = component
            .component
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let name = match name {
            "gpu" => "GPU".to_owned(),
            "cpu" => "CPU".to_owned(),
            other => harmless(other),
        };
        let how = match component.kind {
            EnergyKind::Measured => "measured".to_owned(),
            EnergyKind::Estimated => "estimated".to_owned(),
            EnergyKind::Assumed => format!("assumed from {}", harmless(&component.source)),
        };
        match groups
            .iter_mut()
            .find(|known| known.0 == name && known.1 == how)
        {
            Some(known) => known.2 += component.energy.0,
            None => groups.push((name, how, component.energy.0)),
        }
    }
    groups
}

pub(super) fn emitted(
    summary: &Summary,
    emissions: &Emissions,
    is_other: bool,
) -> (String, String) {
    let account = &emissions.account;
    let total = account.g.total();
    let boundary = match summary.begin.pue {
        Some(pue) => format!("with PUE {}", pue.ratio()),
        None => "IT equipment only".to_owned(),
    };
    let mut rest = Vec::new();
    let is_known = account.mean().is_some();
    if is_known {
        rest.push(range(account.low, account.high));
        rest.push(format!("intensity {}", kinds(account)));
    }
    if !account.is_complete() {
        let missing = words::energy(account.uncovered);
        rest.push(format!("{missing} at times of unknown intensity not in it"));
    }
    rest.push(boundary);
    if is_other {
        rest.push(emissions.basis.to_string());
    }
    let head = match is_known {
        true => grams(total, is_estimate(summary, emissions)),
        false if account.energy().0 > 0.0 => "unknown".to_owned(),
        false => words::mass(total),
    };
    (head, rest.join("; "))
}

/// The share in making the hardware, or why there is none though it was asked for; that a score lacks
/// it is said there.
pub(super) fn embodied(summary: &Summary) -> Option<(String, String)> {
    match &summary.embodied {
        Ok(embodied) => Some(made(embodied)),
        Err(Unknown::NotAsked) => None,
        Err(why) => {
            let why = harmless(&why.to_string());
            let is_said = summary.asked_for_sci && summary.sci.as_ref().err() == Some(&why);
            (!is_said).then(|| ("not told".to_owned(), why))
        }
    }
}

fn made(embodied: &Embodied) -> (String, String) {
    let of = embodied.of.iter().map(|device| {
        let (name, total) = (harmless(&device.name), words::mass(device.total));
        format!("{name}, {total} over {} years", device.years)
    });
    let rest = format!(
        "of {}; reserved for {}; in no other sum",
        of.collect::<Vec<_>>().join("; "),
        span(embodied.reserved_s)
    );
    (words::mass(embodied.g), rest)
}

/// The software carbon intensity where it was asked for, or what it lacks.
pub(super) fn score(summary: &Summary) -> Option<(String, String)> {
    match &summary.sci {
        Ok(sci) => {
            let head = format!("{} a {}", words::mass(GramsCo2e(sci.g_per_unit)), sci.unit);
            let rest = format!(
                "({} of use + {} of making) / {} {}s; ISO/IEC 21031",
                words::mass(sci.operational),
                words::mass(sci.embodied),
                sci.count,
                sci.unit
            );
            Some((head, rest))
        }
        Err(why) if summary.asked_for_sci => Some(("not told".to_owned(), why.clone())),
        Err(_) => None,
    }
}

/// `480 to 548 g`: the unit once where both have the same.
fn range(low: GramsCo2e, high: GramsCo2e) -> String {
    let [low, high] = between(low.0, high.0);
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, a)), Some((_, b))) if a == b => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

pub(super) fn is_estimate(summary: &Summary, emissions: &Emissions) -> bool {
    1.0 - summary.energy_share(EnergyKind::Measured) > MUCH || is_unobserved(&emissions.account)
}

pub(super) fn is_unobserved(account: &Account) -> bool {
    let known = [IntensityKind::Observed, IntensityKind::Preliminary];
    let known: f64 = known.iter().map(|kind| account.share(*kind)).sum();
    1.0 - known > MUCH
}

pub(super) fn kinds(account: &crate::emissions::Account) -> String {
    let shares = INTENSITY_KINDS.map(|kind| 100.0 * account.share(kind));
    let total = shares.iter().sum::<f64>().round() as i64;
    let percents = apportion(&shares, 1.0, total);
    let names = [
        "observed",
        "preliminary",
        "forecast",
        "by the usual day",
        "by a yearly average",
    ];
    let seen = names
        .iter()
        .zip(percents)
        .filter(|(_, percent)| *percent > 0);
    let seen: Vec<String> = seen
        .map(|(name, percent)| format!("{name} {percent} %"))
        .collect();
    seen.join(", ")
}

fn compared(
    summary: &Summary,
    emissions: &Emissions,
    now: Timestamp,
    zone: &TimeZone,
) -> (String, String) {
    let avoided = match emissions.avoided {
        Ok(avoided) => avoided,
        Err(why) => return ("not compared".to_owned(), summary.not_compared(why)),
    };
    let is_estimate = is_estimate(summary, emissions) || is_unobserved(&emissions.run_now);
    let head = grams(emissions.run_now.g.total(), is_estimate);
    let seconds = summary.duration_s;
    let queued = [Part::Held, Part::Paused].map(|part| queued_in(&summary.segments, part));
    let queued = queued[0] + queued[1];
    let waited = seconds[Part::Held] + seconds[Part::Paused] - queued;
    // Times are sums of fractions of a second.
    if avoided == GramsCo2e::ZERO && waited < 1e-6 {
        let same = match queued > 0.0 {
            true => "the same: it ran as soon as it had nodes",
            false => "the same: it ran at once",
        };
        return (head, same.to_owned());
    }
    let size = mass(avoided, is_estimate);
    let mut basis = match emissions.basis.signal {
        Signal::Average => "difference on the average mix",
        Signal::Marginal => "difference by the marginal signal",
    }
    .to_owned();
    // It is known no better than the worse of the two.
    basis.push_str(match emissions.worst_kind() {
        Some(IntensityKind::Forecast) => ", partly by forecast",
        Some(IntensityKind::Profile) => ", partly by the usual day",
        Some(IntensityKind::Average) => ", partly by a yearly average",
        Some(IntensityKind::Observed | IntensityKind::Preliminary) | None => "",
    });
    let percent = emissions.avoided_fraction().map(|fraction| {
        let change = words::change(fraction);
        change.trim_start_matches('+').to_owned()
    });
    let in_brackets = match percent {
        Some(percent) if avoided.0 < 0.0 => percent,
        Some(percent) => format!("{percent}; {basis}"),
        None => basis,
    };
    let mut rest = format!("avoided {size} ({in_brackets})");
    if avoided.0 < 0.0 {
        rest.push_str(": ");
        rest.push_str(&why_worse(summary, emissions, avoided, now, zone));
    }
    (head, rest)
}

/// What made waiting worse, as far as the records tell.
pub(super) fn why_worse(
    summary: &Summary,
    emissions: &Emissions,
    avoided: GramsCo2e,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    if let Some(surprise) = emissions.surprise {
        return format!(
            "the forecast was wrong after {} (said {:.0}, came {})",
            words::time(surprise.from, summary.ended_at.unwrap_or(now), zone),
            surprise.said.0,
            words::intensity(surprise.came)
        );
    }
    let stops = [Part::Held, Part::Saving, Part::Paused, Part::Restoring];
    let cost: GramsCo2e = stops.iter().map(|part| emissions.account.g[*part]).sum();
    // All of it, but for rounding: else the running itself was dirtier too.
    if cost.0 >= -avoided.0 * (1.0 - 1e-6) {
        return format!("the stops themselves emitted {}", words::mass(cost));
    }
    "it ran at dirtier times than at once".to_owned()
}

pub(super) fn kept(
    deadline: Timestamp,
    how: Deadline,
    now: Timestamp,
    zone: &TimeZone,
) -> (String, String) {
    let due = words::time(deadline, now, zone);
    let (head, rest) = match how {
        Deadline::Kept(early) if early < 30.0 => ("kept".to_owned(), "just in time".to_owned()),
        Deadline::Kept(early) => (format!("kept, {} early", span(early)), String::new()),
        Deadline::Missed(late) => (format!("missed by {}", span(late)), String::new()),
        Deadline::NotDone => ("not met".to_owned(), "the work was not done".to_owned()),
        Deadline::Open => (due, "still ahead".to_owned()),
        Deadline::Unknown => (due, "has passed; no end is recorded".to_owned()),
    };
    (head, rest)
}

/// What makes the numbers worth less than they look.
pub(super) fn cautions(summary: &Summary) -> Vec<String> {
    let mut cautions = Vec::new();
    if let Some(before) = &summary.begin.continues {
        let before = harmless(before);
        cautions.push(format!(
            "continues {before}: what that used is not in these sums"
        ));
    }
    if let Some(next) = &summary.continued_as {
        cautions.push(format!("continued as {}", harmless(next)));
    }
    if summary.is_unfinished() {
        let is_written = summary.record.as_ref().and_then(|record| record.is_written);
        cautions.push(
            match is_written {
                Some(true) => "the run goes on: all sums are of what is recorded so far",
                Some(false) => "no end is recorded: the run was cut short; all sums are lower bounds",
                None => {
                    "no end is recorded: the run goes on or was cut short; all sums are lower bounds"
                }
            }
            .to_owned(),
        );
    }
    if !summary.is_whole && !summary.is_unfinished() {
        let missing = span(summary.unrecorded_s);
        cautions.push(format!(
            "{missing} of the run are not recorded; all sums are lower bounds"
        ));
    }
    if summary.set_back_s > 0.0 {
        let back = span(summary.set_back_s);
        cautions.push(format!(
            "the wall clock was set back by {back} while it ran: times are as they were read, and \
             intensities may be those of other hours"
        ));
    }
    if summary.is_intact() == Some(false) {
        let run = harmless(&summary.begin.run);
        cautions.push(format!(
            "the record was changed after it was written: catrain report {run} --verify"
        ));
    }
    if summary.lost > 0 {
        let lost = summary.lost;
        cautions.push(format!(
            "{lost} entries were lost because the disk took none"
        ));
    }
    if let Some(bytes) = summary.torn {
        cautions.push(format!(
            "a last line was cut off and left out ({bytes} bytes)"
        ));
    }
    cautions
}

fn push(text: &mut String, look: Look, paint: Paint, lines: &str) {
    for line in lines.lines() {
        if !line.is_empty() {
            text.push_str(&look.paint(paint, line));
        }
        text.push('\n');
    }
}

fn estimate(words: String, is_estimate: bool) -> String {
    match is_estimate {
        true => format!("estimate: {words}"),
        false => words,
    }
}

pub(super) fn grams(grams: GramsCo2e, is_estimate: bool) -> String {
    estimate(mass(grams, is_estimate), is_estimate)
}

/// Two digits of an estimate, without calling it one.
pub(super) fn mass(grams: GramsCo2e, is_estimate: bool) -> String {
    match is_estimate {
        true => trimmed(&words::mass(GramsCo2e(two_digits(grams.0)))),
        false => words::mass(grams),
    }
}

/// Rounded to two digits of what is shown: a joule is no power of ten of a kilowatt-hour.
fn in_two_digits(energy: KilowattHours) -> KilowattHours {
    match words::energy(energy).ends_with(" J") {
        true => Joules(two_digits(Joules::from(energy).0)).into(),
        false => KilowattHours(two_digits(energy.0)),
    }
}

/// Rounded to two significant digits.
fn two_digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let step = 10_f64.powi(value.abs().log10().floor() as i32 - 1);
    (value / step).round() * step
}

/// `2.40 kWh` as `2.4 kWh`: no digit behind the second significant one.
fn trimmed(words: &str) -> String {
    let Some((number, unit)) = words.split_once(' ') else {
        return words.to_owned();
    };
    let mut number = number.to_owned();
    let digits = |text: &str| {
        let digits = text
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>();
        digits.trim_start_matches('0').len()
    };
    while number.contains('.') && number.ends_with('0') && digits(&number) > 2 {
        number.pop();
    }
    format!("{} {unit}", number.trim_end_matches('.'))
}

/// One line of figures, wrapped behind its headline.
fn row(label: &str, head: &str, rest: &str, look: Look) -> String {
    let start = match (head, rest) {
        ("", _) => format!("  {label:<10} {rest}"),
        (_, "") => format!("  {label:<10} {head}"),
        _ => {
            let begin = format!("  {label:<10} {head} ");
            let rest_at = if look.width < NARROW { 0 } else { REST };
            let pad = rest_at.saturating_sub(begin.chars().count()).max(1);
            format!("{begin}{}{rest}", " ".repeat(pad))
        }
    };
    let indent = if head.is_empty() { 13 } else { REST };
    hang(&start, indent, look.width)
}

/// Lines of at most `width` columns, all but the first indented: broken after a comma, semicolon
/// or colon where there is one, else at a space, never between a number and its unit. An indent that
/// would take more than half of the width is a short one.
fn hang(text: &str, indent: usize, width: usize) -> String {
    let indent = if 2 * indent > width { 4 } else { indent };
    let mut lines = String::new();
    let mut rest: Vec<char> = text.chars().collect();
    let mut from = 0;
    while rest.len() > width {
        let at = break_at(&rest[..=width], from.max(indent));
        let Some(at) = at else { break };
        let line: String = rest[..at].iter().collect();
        lines.push_str(line.trim_end());
        lines.push('\n');
        let mut next = vec![' '; indent];
        next.extend(rest[at..].iter().skip_while(|c| **c == ' '));
        rest = next;
        from = indent;
    }
    lines.extend(rest);
    lines.push('\n');
    lines
}

/// Where to break a line that is full: behind the last clause that fills at least half the room
/// beyond `from`, else at the last space that does not part a number from its unit.
fn break_at(line: &[char], from: usize) -> Option<usize> {
    let spaces = (from + 1..line.len()).rev().filter(|at| line[*at] == ' ');
    let is_clause = |at: &usize| [',', ';', ':'].contains(&line[at - 1]);
    let is_far = |at: &usize| *at > from + (line.len() - from) / 2;
    let parts_unit = |at: &usize| line[at - 1].is_ascii_digit();
    let clause = spaces.clone().filter(is_far).find(is_clause);
    clause
        .or_else(|| spaces.clone().find(|at| !parts_unit(at)))
        .or_else(|| spaces.clone().next())
}

#[cfg(test)]
mod tests;
