//! Several runs added up, as a table whose rows add up to its total digit by digit.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Paint, harmless, push};
use crate::forecast::Basis;
use crate::report::Summary;
use crate::report::groups::Grouping;
use crate::report::job;
use crate::report::shown::{Scale, times};
use crate::report::totals::{Amounts, Sums};
use crate::words::{self, Look};

/// Columns that the name of a group gets.
const NAME: usize = 24;

/// What stands in one line.
struct Line<'a> {
    name: String,
    amounts: &'a Amounts,
    /// −1 for what is taken away.
    sign: f64,
}

/// The table of `runs`: a row a group where they are to be grouped, and the total. `now` and `zone` are for
/// days.
pub fn totals(
    runs: &[Summary],
    by: Option<&Grouping>,
    look: Look,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let sums = Sums::of(runs, by, zone);
    let (net, once) = (&sums.total.net, &sums.total.once);
    let mut gross = net.clone();
    gross.add(once);
    let is_doubled = once.energy.steps.total() > 0;
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, sum) in &sums.groups {
        lines.push(Line {
            name: name.as_deref().map_or(nameless(by).to_owned(), harmless),
            amounts: &sum.net,
            sign: 1.0,
        });
    }
    if by.is_none() && is_doubled {
        let line = |name: &str, amounts, sign| Line {
            name: name.to_owned(),
            amounts,
            sign,
        };
        lines.push(line("runs", &gross, 1.0));
        lines.push(line("counted once", once, -1.0));
    }
    let head = match by {
        None => format!("{} runs", net.runs),
        Some(Grouping::Run) => "run".to_owned(),
        Some(Grouping::Day) => format!("day, {}", words::zone_name(zone, now)),
        Some(Grouping::Zone) => "zone".to_owned(),
        Some(Grouping::Job) => "job".to_owned(),
        Some(Grouping::Label(key)) => harmless(key),
    };
    let mut text = table(&head, "total", &lines, net, look);
    if by.is_some() && is_doubled {
        let energy = words::energy(shown_kwh(once));
        text.push_str(&super::hang(
            &format!("  counted once: {energy} that two runs had of one device at the same time stand in the row of the first of them only"),
            4,
            look.width,
        ));
    }
    if sums.replays_left_out > 0 {
        let left_out = sums.replays_left_out;
        text.push_str(&format!(
            "  left out: {left_out} replays, in which nothing was really saved\n"
        ));
    }
    look.text(&text)
}

/// Runs that are of no group.
fn nameless(by: Option<&Grouping>) -> &'static str {
    match by {
        Some(Grouping::Job) => "(no job)",
        _ => "(none)",
    }
}

/// The table of the nodes of the job that a run leads; nothing where it has no followers.
pub(super) fn nodes(run: &Summary, look: Look) -> String {
    let Some(nodes) = job::nodes(run) else {
        return String::new();
    };
    let once = &nodes.together.once;
    let lines: Vec<Line<'_>> = (nodes.each.iter())
        .map(|(run, sum)| Line {
            name: format!("{} {}", harmless(job::node(run)), harmless(&run.begin.run)),
            amounts: &sum.net,
            sign: 1.0,
        })
        .collect();
    let mut text = String::from("\n");
    text.push_str(&table(
        "node",
        "together",
        &lines,
        &nodes.together.net,
        look,
    ));
    if once.energy.steps.total() > 0 {
        let energy = words::energy(shown_kwh(once));
        let line = format!("  counted once: {energy} that two nodes had of one device");
        text.push_str(&super::hang(&line, 4, look.width));
    }
    text
}

fn shown_kwh(amounts: &Amounts) -> crate::units::KilowattHours {
    crate::units::KilowattHours(amounts.kwh())
}

fn table(head: &str, all: &str, lines: &[Line<'_>], total: &Amounts, look: Look) -> String {
    let seconds: Vec<f64> = lines
        .iter()
        .map(|line| line.amounts.duration.total())
        .collect();
    let is_timed: Vec<bool> = lines.iter().map(|line| line.sign > 0.0).collect();
    let (times, all_time) = times(&seconds, total.duration.total());
    let kwh: Vec<f64> = (lines.iter())
        .map(|line| line.sign * line.amounts.kwh())
        .collect();
    let (energy, all_energy) = Scale::energy(largest(&kwh, total.kwh())).sum(&kwh);
    let masses: Vec<(Basis, Masses)> = (total.emissions.iter())
        .map(|amount| (amount.basis, Masses::of(amount.basis, lines, total)))
        .collect();
    let several = masses.len() > 1;
    let mut text = String::new();
    let mut row = |name: &str, time: &str, energy: &str, nth: usize, paint: Option<Paint>| {
        let name = shortened(name);
        let mut begin = format!("  {name:<NAME$}{time:>11}{energy:>12}");
        let mut rows = String::new();
        for (basis, masses) in &masses {
            let (g, avoided) = masses.row(nth);
            let basis = if several {
                format!("  {basis}")
            } else {
                String::new()
            };
            rows.push_str(&format!("{begin}{g:>12}{avoided:>12}{basis}\n"));
            begin = " ".repeat(2 + NAME + 11 + 12);
        }
        if masses.is_empty() {
            rows = format!("{begin}\n");
        }
        match paint {
            Some(paint) => push(&mut text, look, paint, &rows),
            None => text.push_str(&rows),
        }
    };
    for (nth, line) in lines.iter().enumerate() {
        let time = if is_timed[nth] {
            times[nth].as_str()
        } else {
            ""
        };
        row(&line.name, time, &energy[nth], nth, None);
    }
    row(all, &all_time, &all_energy, lines.len(), Some(Paint::Bold));
    let head = format!(
        "  {:<NAME$}{:>11}{:>12}{:>12}{:>12}\n",
        shortened(head),
        "time",
        "energy",
        "emissions",
        "avoided"
    );
    let mut whole = String::new();
    push(&mut whole, look, Paint::Dim, &head);
    whole + &text
}

/// Emissions and avoided emissions of the lines by one basis, the total last; a dash where a line
/// has none of it.
struct Masses {
    g: Vec<String>,
    avoided: Vec<String>,
}

impl Masses {
    fn of(basis: Basis, lines: &[Line<'_>], total: &Amounts) -> Self {
        let find = |amounts: &Amounts| amounts.emissions.iter().find(|a| a.basis == basis).copied();
        let column = |of: &dyn Fn(&Amounts) -> Option<f64>| {
            let values: Vec<Option<f64>> = (lines.iter())
                .map(|line| of(line.amounts).map(|value| line.sign * value))
                .collect();
            let known: Vec<f64> = values.iter().copied().flatten().collect();
            let all = of(total).unwrap_or(0.0);
            let (known, all_words) = Scale::mass(largest(&known, all)).sum(&known);
            let mut known = known.into_iter();
            let dash = || "–".to_owned();
            let mut words: Vec<String> = (values.iter())
                .map(|value| value.and_then(|_| known.next()).unwrap_or_else(dash))
                .collect();
            words.push(of(total).map_or_else(dash, |_| all_words));
            words
        };
        Self {
            g: column(&|amounts| find(amounts).and_then(|amount| amount.known_words())),
            avoided: column(&|amounts| find(amounts).and_then(|amount| amount.avoided_words())),
        }
    }

    fn row(&self, nth: usize) -> (&str, &str) {
        (&self.g[nth], &self.avoided[nth])
    }
}

/// The largest of the rows, whose digits count; the total where there are none.
fn largest(rows: &[f64], total: f64) -> f64 {
    let size = rows.iter().map(|row| row.abs()).fold(0.0, f64::max);
    if size > 0.0 { size } else { total }
}

fn shortened(name: &str) -> String {
    if name.chars().count() < NAME {
        return name.to_owned();
    }
    let cut: String = name.chars().take(NAME - 2).collect();
    format!("{cut}…")
}
