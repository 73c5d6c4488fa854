//! `energi-data-service`: Energinet's open data, the two halves of Denmark without a key.
//!
//! Two data sets with rows of the same form: what is expected, mostly to Danish midnight, and
//! what was measured. Which emissions are counted is not stated.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::asking::in_pieces;
use super::reading::{Bounded, Raw, Timeline, json, said, success, utc_time};
use crate::caller::wire::{Answer, Ask, Credential, Offers, Provider, Refused, Said};
use crate::forecast::{Basis, Kind, Scope, Series, Signal, Span};

/// The provider.
#[derive(Clone, Copy, Debug)]
pub struct EnergiDataService;

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);

const FORECAST: &str = "forecast";
const PAST: &str = "past";
/// What Danish summer time is ahead of UTC.
const DANISH: Duration = Duration::from_secs(7200);

fn ask(what: &'static str, data_set: &str, place: &str, start: &str) -> Ask {
    Ask {
        what,
        path: format!("/dataset/{data_set}"),
        query: vec![
            ("start", start.to_owned()),
            ("filter", format!("{{\"PriceArea\":[\"{place}\"]}}")),
            ("sort", "Minutes5UTC ASC".to_owned()),
            ("limit", "0".to_owned()),
        ],
        credential: Credential::None,
    }
}

impl Provider for EnergiDataService {
    fn name(&self) -> &'static str {
        "energi-data-service"
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "https://api.energidataservice.dk",
            zones: "Denmark west and east of the Great Belt (DK-DK1, DK-DK2)",
            basis: Basis {
                signal: Signal::Average,
                scope: Scope::Unknown,
            },
            horizon: Some(9 * HOUR),
            step: FIVE_MINUTES,
            has_observations: true,
            cadence: 3 * FIVE_MINUTES,
            credential: Credential::None,
            attribution: "Energi Data Service, Energinet",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        let zone = zone.to_uppercase();
        let area = zone.strip_prefix("DK-").unwrap_or(&zone);
        matches!(area, "DK1" | "DK2").then(|| area.to_owned())
    }

    /// Without a start, or with the limit that holds unless it is lifted, only the hundred rows that
    /// are farthest away would come. The start is in Danish time, so it is not a time but an age.
    fn asks(&self, place: &str, _: Timestamp) -> Vec<Ask> {
        vec![
            ask(FORECAST, "CO2EmisProg", place, "now-PT5M"),
            ask(PAST, "CO2Emis", place, "now-P1D"),
        ]
    }

    /// Times are Danish, one or two hours ahead of UTC: the digits of UTC begin early, and two hours
    /// more end late enough.
    fn asks_past(&self, place: &str, span: Span) -> Vec<Ask> {
        let digits = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M").to_string();
        let pieces = in_pieces(span, 7).into_iter();
        let asks = pieces.map(|Span { start, end }| {
            let mut ask = ask(PAST, "CO2Emis", place, &digits(start));
            ask.query.insert(1, ("end", digits(end + DANISH)));
            ask
        });
        asks.collect()
    }

    fn read(&self, ask: &Ask, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        // Whoever hammers is locked out for a while.
        if answer.status == 403 {
            let after = Some(HOUR);
            return Err(Refused::Throttled { after });
        }
        success(answer, Some(Duration::from_secs(60)))?;
        let Body {
            total,
            records: Bounded(records),
        } = json(answer)?;
        if total.is_some_and(|total| total > records.len() as u64) {
            return Err(Refused::NotAnAnswer(format!(
                "{} of {} records",
                records.len(),
                total.unwrap_or_default()
            )));
        }
        let mut rows = Timeline::new(Some(FIVE_MINUTES), FIVE_MINUTES);
        for record in records {
            if record.area.as_deref() == Some(place) {
                rows.add(record.start, None, record.emission);
            }
        }
        let mut notes = Vec::new();
        let rows = rows.finish(Kind::Live, &mut notes);
        let (observed, expected) = match ask.what {
            PAST => (rows, Series::default()),
            _ => (Series::default(), rows),
        };
        said(&observed, expected, answer.at, notes)
    }
}

#[derive(Deserialize)]
struct Body {
    total: Option<u64>,
    records: Bounded<Record>,
}

/// `Minutes5DK` is passed over: in autumn an hour of it comes twice.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "Minutes5UTC", deserialize_with = "utc_time")]
    start: Option<Timestamp>,
    #[serde(rename = "PriceArea")]
    area: Option<String>,
    #[serde(rename = "CO2Emission", default)]
    emission: Raw,
}

#[cfg(test)]
mod tests;
