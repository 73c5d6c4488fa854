//! The table on top of several runs.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Figure, figure};
use crate::forecast::Basis;
use crate::report::Summary;
use crate::report::shown::{Scale, steps};
use crate::report::totals::{Amount, Amounts, Sums};

/// Whole runs, and their total.
#[derive(Serialize)]
pub(in crate::report) struct Overview {
    bases: Vec<String>,
    rows: Vec<OverviewRow>,
    total: OverviewRow,
    counted_once: Option<String>,
    replays_left_out: usize,
}

#[derive(Serialize)]
struct OverviewRow {
    anchor: usize,
    name: String,
    id: String,
    zone: String,
    note: String,
    time: Figure,
    energy: Figure,
    /// A basis each: emissions and avoided, none where not known.
    masses: Vec<[Option<Figure>; 2]>,
}

/// A number of an amount, where it is known.
type Of = fn(&Amount) -> Option<f64>;

/// A table of whole runs. Its columns add up to the total in the words shown; replays stand in it
/// but in no total.
pub(super) fn overview(runs: &[Summary], zone: &TimeZone) -> Overview {
    let sums = Sums::of(runs, None, zone);
    let (total, once) = (&sums.total.net, &sums.total.once);
    let amounts: Vec<Amounts> = runs.iter().map(Amounts::of).collect();
    let is_real: Vec<bool> = runs.iter().map(|run| run.begin.replay.is_none()).collect();
    let mut bases: Vec<Basis> = total.emissions.iter().map(|amount| amount.basis).collect();
    for amount in amounts.iter().flat_map(|amounts| &amounts.emissions) {
        if !bases.contains(&amount.basis) {
            bases.push(amount.basis);
        }
    }
    // The words of each run, and of the total: the sum of what is shown of real runs, less what
    // they had twice.
    let column = |scale: Scale, values: &[Option<f64>], once: f64| {
        let shown = |value: f64| steps(value, scale.step);
        let words: Vec<Option<String>> = (values.iter())
            .map(|value| value.map(|value| scale.words(shown(value))))
            .collect();
        let real = values.iter().zip(&is_real).filter(|(_, is_real)| **is_real);
        let gross: i64 = real.filter_map(|(value, _)| value.map(shown)).sum();
        (words, scale.words(gross - shown(once)))
    };
    let kwh: Vec<Option<f64>> = amounts.iter().map(|a| Some(a.kwh())).collect();
    let scale = Scale::energy(total.kwh());
    let (energy, all_energy) = column(scale, &kwh, once.kwh());
    let mut rows: Vec<OverviewRow> = (runs.iter().zip(&amounts).enumerate())
        .map(|(at, (run, amounts))| OverviewRow {
            anchor: at + 1,
            name: run.begin.name.clone(),
            id: run.begin.run.clone(),
            zone: run.begin.zone.clone(),
            note: match &run.begin.replay {
                Some(_) => "replay, in no total".to_owned(),
                None if run.is_running() => "running".to_owned(),
                None if run.is_unfinished() => "no end recorded".to_owned(),
                None => String::new(),
            },
            time: time(&format!("/runs/{at}"), amounts),
            energy: figure(
                format!("/runs/{at}/energy_kwh/total"),
                amounts.energy.total(),
                energy[at].clone().unwrap_or_default(),
            ),
            masses: Vec::new(),
        })
        .collect();
    let mut total_row = OverviewRow {
        anchor: 0,
        name: "total".to_owned(),
        id: String::new(),
        zone: String::new(),
        note: String::new(),
        time: time("/totals", total),
        energy: figure(
            "/totals/energy_kwh/total".to_owned(),
            total.energy.total(),
            all_energy,
        ),
        masses: Vec::new(),
    };
    for basis in &bases {
        let find = |amounts: &Amounts| {
            let at = amounts.emissions.iter().position(|a| a.basis == *basis)?;
            Some((at, amounts.emissions[at]))
        };
        // What it is, and what words tell of it.
        let fields: [(&str, Of, Of); 2] = [
            ("g/total", Amount::known, Amount::known_words),
            ("avoided_g", Amount::avoided_g, Amount::avoided_words),
        ];
        let mut cells = fields.map(|(field, of, words_of)| {
            let value = |amounts: &Amounts| find(amounts).and_then(|(_, amount)| of(&amount));
            let told = |amounts: &Amounts| find(amounts).and_then(|(_, a)| words_of(&a));
            let values: Vec<Option<f64>> = amounts.iter().map(value).collect();
            let in_words: Vec<Option<f64>> = amounts.iter().map(told).collect();
            let net = value(total);
            let scale = Scale::mass(told(total).unwrap_or(0.0));
            let (words, all) = column(scale, &in_words, told(once).unwrap_or(0.0));
            let cell = |of: String, amounts: &Amounts, value: Option<f64>, words: String| {
                let (nth, _) = find(amounts)?;
                Some(figure(
                    format!("{of}/emissions/{nth}/{field}"),
                    value?,
                    words,
                ))
            };
            let mut column: Vec<Option<Figure>> = (words.into_iter().enumerate())
                .map(|(at, words)| cell(format!("/runs/{at}"), &amounts[at], values[at], words?))
                .collect();
            column.push(cell("/totals".to_owned(), total, net, all));
            column.into_iter()
        });
        for row in rows.iter_mut().chain([&mut total_row]) {
            row.masses
                .push(cells.each_mut().map(|cells| cells.next().flatten()));
        }
    }
    let is_doubled = once.energy.steps.total() > 0;
    Overview {
        bases: bases.iter().map(ToString::to_string).collect(),
        rows,
        total: total_row,
        counted_once: is_doubled.then(|| {
            let mut words = vec![scale.words(steps(once.energy.total(), scale.step))];
            words.extend(once.emissions.iter().map(|amount| {
                let all = total
                    .emissions
                    .iter()
                    .find(|total| total.basis == amount.basis);
                let scale = Scale::mass(all.map_or(0.0, |all| all.g.total()));
                let grams = scale.words(steps(amount.g.total(), scale.step));
                format!("{grams} ({})", amount.basis)
            }));
            words.join(", ")
        }),
        replays_left_out: sums.replays_left_out,
    }
}

fn time(of: &str, amounts: &Amounts) -> Figure {
    let seconds = amounts.duration.total();
    // Hours, since days and hours of several runs would not add up.
    let words = format!("{:.1} h", seconds / 3600.0);
    figure(format!("{of}/duration_s/total"), seconds, words)
}
