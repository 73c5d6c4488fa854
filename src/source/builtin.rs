//! The source that is always there: the compiled-in profiles and yearly averages.

use crate::forecast::builtin::{PROFILE_YEAR, average, profile};
use crate::forecast::{Basis, Kind, Knowledge, Series};

/// The name of this source, in flags and messages.
pub const NAME: &str = "built-in";

/// What is compiled in about a zone; with neither profile nor average where it is not known.
pub fn knowledge(zone: &str) -> Knowledge {
    let profile = profile(zone);
    let average = average(zone);
    let basis = match (profile, average) {
        (None, Some(average)) => average.basis,
        _ => Basis::AVERAGE_LIFECYCLE,
    };
    Knowledge {
        zone: zone.to_owned(),
        basis,
        source: NAME.to_owned(),
        kind: Kind::Live,
        observations: Series::default(),
        issues: Vec::new(),
        profile,
        profile_same_accounting: true,
        yearly_average: average
            .filter(|average| average.basis == basis)
            .map(|average| average.intensity),
        lessons: None,
        trust: None,
        leads: Vec::new(),
    }
}

/// What there is, for the list of sources that were tried: `usual days of 2020`.
pub fn describe(zone: &str) -> String {
    match (profile(zone), average(zone)) {
        (Some(_), _) => format!("usual days of {PROFILE_YEAR}"),
        (None, Some(average)) => format!(
            "yearly average of {} only ({})",
            average.year,
            average.source.name()
        ),
        (None, None) => "nothing for this zone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Scope;

    #[test]
    fn a_state_of_the_us_says_that_its_average_is_direct() {
        let known = knowledge("US-TX");
        assert_eq!(known.basis.scope, Scope::Direct);
        assert!(known.yearly_average.is_some() && known.profile.is_none());
        assert_eq!(describe("US-TX"), "yearly average of 2016 only (EPA eGRID)");
    }

    #[test]
    fn a_zone_with_a_profile_has_both() {
        let known = knowledge("DE");
        assert_eq!(known.basis, Basis::AVERAGE_LIFECYCLE);
        assert!(known.yearly_average.is_some() && known.profile.is_some());
        assert_eq!(describe("DE"), "usual days of 2020");
    }
}
