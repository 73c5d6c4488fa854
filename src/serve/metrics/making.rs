//! How families are made.

use jiff::Timestamp;

use crate::forecast::Basis;
use crate::serve::family::{Family, Labels, Samples};

pub(super) fn counter(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
) -> Unfilled {
    Unfilled(name, unit, help, Samples::Counter)
}

pub(super) fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
) -> Unfilled {
    Unfilled(name, unit, help, Samples::Gauge)
}

/// A family that waits for its samples.
pub(super) struct Unfilled(
    &'static str,
    Option<&'static str>,
    &'static str,
    fn(Vec<(Labels, f64)>) -> Samples,
);

impl Unfilled {
    pub(super) fn of(self, samples: impl IntoIterator<Item = (Labels, f64)>) -> Family {
        let Self(name, unit, help, kind) = self;
        Family {
            name,
            unit,
            help,
            samples: kind(samples.into_iter().collect()),
        }
    }

    /// One sample, or none where it is not known.
    pub(super) fn one(self, value: impl Into<Option<f64>>) -> Family {
        self.of(value.into().map(|value| (Vec::new(), value)))
    }
}

pub(super) fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs
        .map(|(name, value)| (name.into(), value.to_owned()))
        .into()
}

pub(super) fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// 1 for the word that holds, 0 for all others.
pub(super) fn states<'a>(
    label: &'static str,
    words: impl IntoIterator<Item = &'a str>,
    holds: impl Fn(&str) -> bool,
) -> Vec<(Labels, f64)> {
    words
        .into_iter()
        .map(|word| (labels([(label, word)]), flag(holds(word))))
        .collect()
}

pub(super) fn unix(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

pub(super) fn basis(basis: Basis) -> [(&'static str, &'static str); 2] {
    [
        ("signal", basis.signal.word()),
        ("scope", basis.scope.word()),
    ]
}
