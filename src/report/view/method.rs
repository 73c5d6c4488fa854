//! How the numbers come about: formulae, and how far each kind may be off.

use serde::Serialize;

use crate::emissions::{MARGINS, Margin};

/// One kind of number.
#[derive(Serialize)]
pub(in crate::report) struct MarginRow {
    what: &'static str,
    below: String,
    above: String,
    source: &'static str,
}

/// The margins in force, each with its source.
pub(super) fn margins() -> Vec<MarginRow> {
    let row = |(what, margin): &(&'static str, Margin)| MarginRow {
        what,
        below: format!("{:.0} %", 100.0 * margin.below),
        above: format!("{:.0} %", 100.0 * margin.above),
        source: margin.source,
    };
    MARGINS.iter().map(row).collect()
}

/// What is computed, how, and why so.
pub(super) const METHOD: [[&str; 3]; 6] = [
    [
        "Energy",
        "E = Σ readings",
        "The run is cut into segments that tile it. Each has readings by component; measured, estimated and assumed ones stay apart.",
    ],
    [
        "Emissions",
        "G = Σ segments Σ intervals E(segment) × PUE × overlap ÷ length × I(interval)",
        "Energy of a segment is spread evenly over its time and cut where the intensity I changes. Energy at times of unknown intensity is stated apart and in no sum. Location-based; one account a basis, and different bases are never added or compared.",
    ],
    [
        "Run-now",
        "G₀ = G of the same segments without the stops for carbon, each as much earlier as was taken out before it",
        "Holds and pauses that the carbon plan alone caused are taken out with their saving and restoring; stops by an operator or the terminal stay. On a cluster this is a start at the submission, which would have been queued for as long as the run was after its planned begin; a wait in the queue for which the plan itself gave the nodes back is taken out with that pause. Same basis, boundary and kinds.",
    ],
    [
        "Avoided",
        "A = G₀ − G",
        "On an average signal this is a difference of two attributions, not what the grid did otherwise. It may be negative. A run that failed, was stopped or is not recorded whole has none.",
    ],
    [
        "Range",
        "low = Σ E × (1 − e₋) × I₋,  high = Σ E × (1 + e₊) × I₊;  I₋ = I × (1 − i₋), I₊ = I × (1 + i₊)",
        "Bounds by the margins below: all at their lowest, all at their highest. A forecast whose source has an archive is bounded by its errors at that lead, a built-in usual day by its 10th and 90th percentile.",
    ],
    [
        "Figures",
        "total = Σ of what is shown",
        "Energy is rounded to a milliwatt-hour, grams to a milligram, time to a millisecond; parts add up to their totals. A headline of which more than a fifth is estimated has two digits and says so.",
    ],
];
