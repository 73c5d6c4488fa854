//! What the entries of a run add up to.

use super::making::{basis, counter, flag, gauge, labels};
use crate::emissions::PARTS;
use crate::serve::family::Family;
use crate::serve::tally::{Emissions, Tally};

pub(super) fn sums(tally: &Tally, all: &mut Vec<Family>) {
    let energy = tally.energy.iter().map(|((component, kind), joules)| {
        (
            labels([("component", component), ("kind", kind.word())]),
            joules.0,
        )
    });
    let emissions = tally.emissions.iter().flat_map(|it| {
        let [signal, scope] = basis(it.basis);
        PARTS.map(|(part, word)| (labels([signal, scope, ("part", word)]), it.grams[part].0))
    });
    let of_basis = |of: fn(&Emissions) -> Option<f64>| {
        let each = tally.emissions.iter();
        each.filter_map(move |it| Some((labels(basis(it.basis)), of(it)?)))
    };
    let seconds = PARTS.map(|(part, word)| (labels([("part", word)]), tally.seconds[part]));
    let acts = ["run", "pause"].into_iter().zip(tally.decisions);
    let saves = ["proved", "unproved"].into_iter().zip(tally.saves);
    let meters = tally.meters.iter().map(|meter| {
        let own = labels([("component", meter.component.as_str())]);
        (own, flag(meter.trouble.is_none()))
    });
    all.extend([
        counter("catrain_energy", Some("joules"), "Energy of the IT equipment, by component and by how it is known.")
            .of(energy),
        counter("catrain_unattributed_energy", Some("joules"), "Energy of shared devices of which nobody can say whose it was: in no sum.")
            .one(tally.unattributed.0),
        counter("catrain_emissions", Some("grams"), "CO2 equivalent by what the time was spent on, as intensities were known then; never add different signals or scopes.")
            .of(emissions),
        counter("catrain_uncovered_energy", Some("joules"), "Energy of the facility at times of unknown intensity: in none of the grams.")
            .of(of_basis(|it| Some(it.uncovered.0 * 3.6e6))),
        gauge("catrain_run_now_emissions", Some("grams"), "What the same work would have emitted so far, started at once and never paused for carbon.")
            .of(of_basis(|it| it.run_now().map(|grams| grams.0))),
        gauge("catrain_avoided_emissions", Some("grams"), "That less what was emitted; may be negative.")
            .of(of_basis(|it| it.avoided().map(|grams| grams.0))),
        counter("catrain_time", Some("seconds"), "Time of the run by what it was spent on.")
            .of(seconds),
        counter("catrain_decisions", None, "Changes of mind, by what is to be done.")
            .of(acts.map(|(act, count)| (labels([("act", act)]), count as f64))),
        counter("catrain_refused_acts", None, "Pauses and saves that failed and were undone.")
            .one(tally.refusals as f64),
        counter("catrain_saves", None, "Saves that the job was asked for, by whether they were proved.")
            .of(saves.map(|(word, count)| (labels([("outcome", word)]), count as f64))),
        counter("catrain_failures", None, "Starts of the job that ended in failure and were followed by another.")
            .one(tally.failures as f64),
        counter("catrain_warnings", None, "Times that something was worse than promised.")
            .one(tally.warnings as f64),
        gauge("catrain_meter_up", None, "1 if the meter of a component works as well as it can.")
            .of(meters),
    ]);
}
