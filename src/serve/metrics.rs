//! Which metrics a run has. Pure: facts in, families out.
//!
//! Names and units follow Prometheus' rules. What is chosen by others (the run's id, its name, its
//! labels, its zone) stands in `catrain_run_info` alone, which only those see who may; every other
//! label has few values, of ours. A quantity that is not known has no sample: missing is never zero.

mod intensity;
mod making;
mod own;
mod sources;
mod standing;
mod sums;
#[cfg(test)]
mod tests;

use super::facts::Facts;
use super::family::Family;
pub use intensity::source_name;

/// All families; those of others' words only for who is `trusted` with them.
pub fn families(facts: &Facts, trusted: bool) -> Vec<Family> {
    let mut all = Vec::with_capacity(64);
    standing::run(facts, trusted, &mut all);
    if let Some(seen) = &facts.snapshot {
        standing::standing(seen, &mut all);
        if let Some(decided) = &seen.decision {
            standing::plan(decided, &mut all);
        }
        if let Some(expected) = &seen.forecast {
            intensity::forecast(expected, &mut all);
        }
    }
    sums::sums(&facts.tally, &mut all);
    sources::sources(&facts.sources, &mut all);
    own::own(facts, &mut all);
    all
}
