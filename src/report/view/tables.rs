//! The tables of one run: by component, by phase, by basis. Each column is in one unit and adds up.

use serde::Serialize;

use super::{Figure, bounds, figure, meaning};
use crate::emissions::PARTS;
use crate::ledger::entry::Part;
use crate::report::shown::{MICRO, MILLI, Scale, apportion, round, shown, steps, times, told};
use crate::report::totals::{Amount, Amounts};
use crate::report::{Emissions, Summary, text};
use crate::units::{GramsCo2e, KilowattHours};
use crate::words;

#[derive(Serialize)]
pub(super) struct ComponentRow {
    name: String,
    kind: &'static str,
    source: String,
    energy: Figure,
    percent: String,
}

#[derive(Serialize)]
pub(super) struct PhaseRow {
    name: &'static str,
    time: Figure,
    energy: Figure,
    /// A basis each.
    masses: Vec<Option<Figure>>,
}

#[derive(Serialize)]
pub(super) struct BasisRow {
    name: String,
    sources: Vec<String>,
    g: Option<Figure>,
    bounds: Option<[Figure; 2]>,
    mean: Option<Figure>,
    kinds: String,
    uncovered: Option<Figure>,
    run_now: Option<Figure>,
    avoided: Option<Figure>,
    not_compared: Option<String>,
    meaning: &'static str,
    state: &'static str,
}

pub(super) fn components(run: &Summary, here: &str) -> Vec<ComponentRow> {
    let all = Amounts::of(run).energy.steps.total();
    let kwh: Vec<f64> = run
        .components
        .iter()
        .map(|component| component.energy.0)
        .collect();
    let exact = apportion(&kwh, MICRO, all);
    let largest = kwh.iter().copied().fold(0.0, f64::max);
    let in_words = told(run.energy.total().0, all, MICRO);
    let (column, _) = Scale::energy(largest).column(&kwh, in_words);
    // Of what there is, not of what is shown: that of a moment is rounded to nothing.
    let sum: f64 = kwh.iter().sum();
    let percents: Vec<f64> = (kwh.iter())
        .map(|kwh| if sum > 0.0 { 100.0 * kwh / sum } else { 0.0 })
        .collect();
    let percents = apportion(&percents, 1.0, if sum > 0.0 { 100 } else { 0 });
    let each = run
        .components
        .iter()
        .zip(exact)
        .zip(column)
        .zip(percents)
        .enumerate();
    each.map(
        |(at, (((component, steps), words), percent))| ComponentRow {
            name: component.component.clone(),
            kind: component.kind.word(),
            source: component.source.clone(),
            energy: figure(
                format!("{here}/by_component/{at}/kwh"),
                shown(steps, MICRO),
                words,
            ),
            percent: format!("{percent} %"),
        },
    )
    .collect()
}

/// Grams of the phases by one basis, in words that add up.
struct Column {
    grams: Vec<f64>,
    words: Vec<String>,
    all: String,
}

pub(super) fn phases(run: &Summary, here: &str) -> (Vec<PhaseRow>, PhaseRow) {
    let whole = Amounts::of(run);
    let seen: Vec<(Part, &'static str)> = PARTS
        .into_iter()
        .filter(|(part, _)| run.duration_s[*part] > 0.0 || whole.energy.steps[*part] > 0)
        .collect();
    let of = |steps: i64, step: f64| shown(steps, step);
    let seconds: Vec<f64> = seen
        .iter()
        .map(|(p, _)| of(whole.duration.steps[*p], MILLI))
        .collect();
    let (time, all_time) = times(&seconds, whole.duration.total());
    let kwh: Vec<f64> = seen
        .iter()
        .map(|(p, _)| of(whole.energy.steps[*p], MICRO))
        .collect();
    let exact: Vec<f64> = seen
        .iter()
        .map(|(p, _)| told(run.energy[*p].0, whole.energy.steps[*p], MICRO))
        .collect();
    let (energy, all_energy) = Scale::energy(whole.kwh()).column(&exact, whole.kwh());
    let masses: Vec<Option<Column>> = (run.emissions.iter())
        .zip(&whole.emissions)
        .map(|(emissions, amount)| {
            let grams: Vec<f64> = seen
                .iter()
                .map(|(p, _)| of(amount.g.steps[*p], MILLI))
                .collect();
            let exact: Vec<f64> = seen
                .iter()
                .map(|(p, _)| told(emissions.account.g[*p].0, amount.g.steps[*p], MILLI))
                .collect();
            let total = told(amount.exact_g, amount.g.steps.total(), MILLI);
            let (words, all) = Scale::mass(total).column(&exact, total);
            emissions
                .account
                .mean()
                .map(|_| Column { grams, words, all })
        })
        .collect();
    let rows = seen.iter().enumerate().map(|(at, (_, name))| PhaseRow {
        name,
        time: figure(
            format!("{here}/duration_s/{name}"),
            seconds[at],
            time[at].clone(),
        ),
        energy: figure(
            format!("{here}/energy_kwh/{name}"),
            kwh[at],
            energy[at].clone(),
        ),
        masses: (masses.iter().enumerate())
            .map(|(nth, of_basis)| {
                let Column { grams, words, .. } = of_basis.as_ref()?;
                let of = format!("{here}/emissions/{nth}/g/{name}");
                Some(figure(of, grams[at], words[at].clone()))
            })
            .collect(),
    });
    let total = PhaseRow {
        name: "total",
        time: figure(
            format!("{here}/duration_s/total"),
            whole.duration.total(),
            all_time,
        ),
        energy: figure(
            format!("{here}/energy_kwh/total"),
            whole.energy.total(),
            all_energy,
        ),
        masses: (masses.iter().zip(&whole.emissions).enumerate())
            .map(|(nth, (of_basis, amount))| {
                let words = &of_basis.as_ref()?.all;
                let of = format!("{here}/emissions/{nth}/g/total");
                Some(figure(of, amount.g.total(), words.clone()))
            })
            .collect(),
    };
    (rows.collect(), total)
}

pub(super) fn bases(run: &Summary, here: &str) -> Vec<BasisRow> {
    let row = |(nth, emissions): (usize, &Emissions)| {
        let amount = Amount::of(emissions);
        let account = &emissions.account;
        let at = |field: &str| format!("{here}/emissions/{nth}/{field}");
        let grams = |field: &str, steps: i64, exact: f64| {
            let words = words::mass(GramsCo2e(told(exact, steps, MILLI)));
            figure(at(field), shown(steps, MILLI), words)
        };
        let is_known = account.mean().is_some();
        let base = steps(emissions.run_now.g.total().0, MILLI);
        let uncovered = shown(amount.uncovered, MICRO);
        let uncovered_words = told(account.uncovered.0, amount.uncovered, MICRO);
        BasisRow {
            name: emissions.basis.to_string(),
            sources: emissions.sources.clone(),
            g: is_known.then(|| grams("g/total", amount.g.steps.total(), amount.exact_g)),
            bounds: is_known.then(|| bounds(here, nth, emissions)),
            mean: account.mean().map(|mean| {
                figure(
                    at("mean_g_per_kwh"),
                    round(mean.0, MILLI),
                    words::intensity(mean),
                )
            }),
            kinds: text::kinds(account),
            uncovered: (!account.is_complete()).then(|| {
                let words = words::energy(KilowattHours(uncovered_words));
                figure(at("uncovered_kwh"), uncovered, words)
            }),
            run_now: (emissions.run_now.is_complete())
                .then(|| grams("baseline/g", base, emissions.run_now.g.total().0)),
            avoided: (amount.avoided)
                .map(|steps| grams("avoided_g", steps, amount.exact_avoided_g)),
            not_compared: emissions.avoided.err().map(|why| run.not_compared(why)),
            meaning: meaning(emissions),
            state: match emissions.is_settled {
                true => "settled: at least 99 % of the energy at observed intensities",
                false => "preliminary: not all intensities are observed yet",
            },
        }
    };
    run.emissions.iter().enumerate().map(row).collect()
}
