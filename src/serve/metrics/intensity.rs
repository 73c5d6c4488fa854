//! The intensity now and ahead, and how far to trust it.

use super::making::{basis, gauge, labels, states, unix};
use crate::forecast::Kind;
use crate::serve::family::{Family, Samples};
use crate::supervise::snapshot::Forecast;

pub(super) fn forecast(expected: &Forecast, all: &mut Vec<Family>) {
    let of_basis = || labels(basis(expected.basis));
    let [signal, scope] = basis(expected.basis);
    let source = labels([("source", source_name(&expected.source)), signal, scope]);
    let kind = kind_name(expected.kind);
    all.extend([
        gauge("catrain_intensity_grams_per_kwh", None, "Carbon intensity now, in grams of CO2 equivalent per kilowatt-hour, as the field has it.")
            .of(expected.now.map(|now| (of_basis(), now.0))),
        Family {
            name: "catrain_forecast",
            unit: None,
            help: "Who says what intensity lies ahead, and what its numbers mean.",
            samples: Samples::Info(vec![source]),
        },
        gauge("catrain_forecast_kind", None, "1 for how the forecast came about.")
            .of(states("kind", KINDS.map(kind_name), |word| word == kind)),
        gauge("catrain_forecast_confidence", Some("ratio"), "How far the forecast is to be trusted, 0 to 1.")
            .one(expected.confidence),
        gauge("catrain_forecast_age", Some("seconds"), "Age of the newest that the forecast knows.")
            .one(expected.age_s),
        gauge("catrain_forecast_end_timestamp", Some("seconds"), "Until when it looks, in Unix time.")
            .one(expected.ends.map(unix)),
    ]);
}

const KINDS: [Kind; 8] = [
    Kind::Live,
    Kind::Estimated,
    Kind::Cached,
    Kind::Interpolated,
    Kind::Rescaled,
    Kind::Profile,
    Kind::RegionalAverage,
    Kind::Static,
];

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Live => "live",
        Kind::Estimated => "estimated",
        Kind::Cached => "cached",
        Kind::Interpolated => "interpolated",
        Kind::Rescaled => "rescaled",
        Kind::Profile => "profile",
        Kind::RegionalAverage => "regional_average",
        Kind::Static => "static",
    }
}

/// A source without what a user named it by: of a file that it is one.
pub fn source_name(source: &str) -> &str {
    let is_ours = source.len() <= 32
        && (source.bytes()).all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match is_ours {
        true => source,
        false if source.starts_with("file") => "file",
        false => "other",
    }
}
