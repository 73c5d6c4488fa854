//! `energy-charts`: Fraunhofer ISE's Energy-Charts, countries of Europe without a key.
//!
//! One answer holds what was measured and, from there on, what is expected, mostly to the end of the
//! local day. Whether its numbers count lifecycles is not stated anywhere.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::asking::in_pieces;
use super::reading::{Bounded, Raw, Timeline, complaint, json, said, step_between, success};
use crate::caller::wire::{Answer, Ask, Credential, Offers, Provider, Refused, Said};
use crate::forecast::{Basis, Kind, Scope, Signal, Span};

/// The provider.
#[derive(Clone, Copy, Debug)]
pub struct EnergyCharts;

const QUARTER: Duration = Duration::from_secs(900);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Zones whose code is their own name in lower case.
const COUNTRIES: [&str; 45] = [
    "AL", "ALL", "AM", "AT", "AZ", "BA", "BE", "BG", "BY", "CH", "CY", "CZ", "DE", "DK", "EE",
    "ES", "EU", "FI", "FR", "GE", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MD", "ME", "MK",
    "MT", "NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "TR", "UA", "UK", "XK",
];

/// Asks for whole days.
fn ask(what: &'static str, place: &str, from: Timestamp, to: Timestamp) -> Ask {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date().to_string();
    Ask {
        what,
        path: "/co2eq".to_owned(),
        query: vec![
            ("country", place.to_owned()),
            ("start", day(from)),
            ("end", day(to)),
        ],
        credential: Credential::None,
    }
}

impl Provider for EnergyCharts {
    fn name(&self) -> &'static str {
        "energy-charts"
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "https://api.energy-charts.info",
            zones: "43 countries of Europe, Northern Ireland (GB-NIR), the EU (EU) and all of Europe (ALL)",
            basis: Basis {
                signal: Signal::Average,
                scope: Scope::Unknown,
            },
            horizon: Some(DAY.unsigned_abs()),
            step: QUARTER,
            has_observations: true,
            cadence: QUARTER,
            credential: Credential::None,
            attribution: "Energy-Charts.info, CC BY 4.0",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        let zone = zone.to_uppercase();
        match zone.as_str() {
            "GB" => Some("uk".to_owned()),
            "GB-NIR" => Some("nie".to_owned()),
            other => (COUNTRIES.contains(&other)).then(|| other.to_lowercase()),
        }
    }

    /// From yesterday to the day after tomorrow, which is more than there ever is: a day by its date is
    /// the local one, and the same all day long, so that the answer can be shared.
    fn asks(&self, place: &str, now: Timestamp) -> Vec<Ask> {
        vec![ask("intensity", place, now - DAY, now + DAY * 2)]
    }

    /// A day is the local one, which may begin and end a few hours off ours.
    fn asks_past(&self, place: &str, span: Span) -> Vec<Ask> {
        let pieces = in_pieces(span, 7).into_iter();
        pieces
            .map(|piece| ask("past", place, piece.start - DAY, piece.end + DAY))
            .collect()
    }

    fn read(&self, _: &Ask, _: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        match answer.status {
            400 if complaint(answer.body).contains("not the code for") => {
                return Err(Refused::OtherPlace(complaint(answer.body)));
            }
            404 => return Err(Refused::NoData("nothing for that time".to_owned())),
            _ => success(answer, Some(Duration::from_secs(2)))?,
        }
        let Body {
            unix_seconds: Bounded(times),
            co2eq: Bounded(measured),
            co2eq_forecast,
            deprecated,
        } = json(answer)?;
        // Where nothing is expected every place of that list is empty.
        let missing = || vec![Raw::Missing; times.len()];
        let forecast = co2eq_forecast.map_or_else(missing, |Bounded(list)| list);
        if [measured.len(), forecast.len()] != [times.len(); 2] {
            return Err(Refused::NotAnAnswer(format!(
                "{} times with {} measured and {} expected values",
                times.len(),
                measured.len(),
                forecast.len()
            )));
        }
        let times = times.into_iter().map(|it| Timestamp::from_second(it).ok());
        // Found out of both lists: one of them may have a single value.
        let step = step_between(times.clone().flatten());
        let mut observed = Timeline::new(step, QUARTER);
        let mut expected = Timeline::new(step, QUARTER);
        for ((at, measured), forecast) in times.zip(measured).zip(forecast) {
            match (measured, forecast) {
                // The day is listed to its end, known or not.
                (Raw::Missing, Raw::Missing) => {}
                (Raw::Missing, forecast) => expected.add(at, None, forecast),
                (measured, _) => observed.add(at, None, measured),
            }
        }
        let mut notes = Vec::new();
        if deprecated {
            notes.push(
                "energy-charts is about to withdraw what is asked of it; look for a newer catrain"
                    .to_owned(),
            );
        }
        let observed = observed.finish(Kind::Live, &mut notes);
        let expected = expected.finish(Kind::Live, &mut notes);
        said(&observed, expected, answer.at, notes)
    }
}

/// Three lists, an index for each time.
#[derive(Deserialize)]
struct Body {
    unix_seconds: Bounded<i64>,
    co2eq: Bounded<Raw>,
    co2eq_forecast: Option<Bounded<Raw>>,
    #[serde(default)]
    deprecated: bool,
}

#[cfg(test)]
mod tests;
