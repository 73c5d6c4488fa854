//! `carbon-aware-sdk`: a host of the user's own that runs the web API of the Carbon Aware SDK.
//!
//! The host decides whom it asks in turn, for which places and with which key; its answers do not say
//! whether their numbers are average or marginal, nor what they count. They are taken for averages.
//! A host that asks WattTime gives marginal ones.
//!
//! Places are named as the host is set up (`eastus`). A row of intensities names the grid behind it
//! instead (`IE`), so that only a forecast's own location can be compared.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::asking::{in_pieces, last_day};
use super::reading::{
    Bounded, BoundedMap, Raw, Scalar, Timeline, complaint, issued, json, quote, said, success, time,
};
use crate::caller::wire::{Answer, Ask, Credential, Offers, Provider, Refused, Said};
use crate::forecast::{Basis, Kind, Scope, Series, Signal, Span};

const EMISSIONS: &str = "emissions";
const FORECAST: &str = "forecast";

/// The shortest step of the sources behind it.
const STEP: Duration = Duration::from_secs(300);

/// The provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarbonAwareSdk;

impl Provider for CarbonAwareSdk {
    fn name(&self) -> &'static str {
        "carbon-aware-sdk"
    }

    /// Basis, horizon and step are those of the source that a host is set up with; no answer tells, and
    /// what stands here is assumed.
    fn offers(&self) -> Offers {
        Offers {
            base_url: "",
            zones: "the locations that its host is set up for",
            basis: Basis {
                signal: Signal::Average,
                scope: Scope::Unknown,
            },
            horizon: Some(Duration::from_secs(24 * 3600)),
            step: STEP,
            has_observations: true,
            cadence: STEP,
            credential: Credential::None,
            attribution: "",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        Some(zone.to_owned())
    }

    fn asks(&self, place: &str, now: Timestamp) -> Vec<Ask> {
        vec![
            emissions(place, last_day(now, STEP)),
            Ask {
                what: FORECAST,
                path: "/emissions/forecasts/current".to_owned(),
                query: vec![location(place)],
                credential: Credential::None,
            },
        ]
    }

    fn asks_past(&self, place: &str, span: Span) -> Vec<Ask> {
        let pieces = in_pieces(span, 7).into_iter();
        pieces.map(|piece| emissions(place, piece)).collect()
    }

    fn read(&self, ask: &Ask, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        accepted(answer)?;
        let mut notes = Vec::new();
        if ask.what != FORECAST {
            let rows: Bounded<Row> = json(answer)?;
            let observed = series_of(&rows.0, &mut notes);
            return said(&observed, Series::default(), answer.at, notes);
        }
        let forecasts: Bounded<Forecast> = json(answer)?;
        let forecast = forecast_of(forecasts.0, place)?;
        let expected = series_of(&forecast.forecast_data.0, &mut notes);
        let issued_at = issued(forecast.generated_at, answer);
        said(&Series::default(), expected, issued_at, notes)
    }
}

/// Its documentation calls the parameter `locations`; its code reads `location`.
fn location(place: &str) -> (&'static str, String) {
    ("location", place.to_owned())
}

fn emissions(place: &str, span: Span) -> Ask {
    Ask {
        what: EMISSIONS,
        path: "/emissions/bylocation".to_owned(),
        query: vec![
            location(place),
            ("time", span.start.to_string()),
            ("toTime", span.end.to_string()),
        ],
        credential: Credential::None,
    }
}

/// `Ok` where the body is to be read.
fn accepted(answer: &Answer<'_>) -> Result<(), Refused> {
    match answer.status {
        400 => Err(objection(answer)),
        // It hands on what its source says, and it takes no key of ours.
        401 | 403 => {
            let said = complaint(answer.body);
            let why = format!("its own key for its source is refused, no key of ours: {said}");
            Err(Refused::Ours(why))
        }
        501 => Err(Refused::NoData("its source has no forecast".to_owned())),
        _ => success(answer, None),
    }
}

/// What it has against a request (RFC 9457, with what ASP.NET adds to it).
fn objection(answer: &Answer<'_>) -> Refused {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        detail: Option<String>,
        errors: BoundedMap<Bounded<String>>,
    }
    let problem: Problem = json(answer).unwrap_or_default();
    if let Some(detail) = problem.detail.filter(|it| it.contains("Unknown Location")) {
        return Refused::OtherPlace(quote(&detail));
    }
    let errors = problem.errors.0.into_values().flat_map(|errors| errors.0);
    let said = errors.map(|error| quote(&error)).next();
    let said = said.unwrap_or_else(|| complaint(answer.body));
    Refused::Ours(format!("400: {said}"))
}

/// The forecast of that place, whose name is the same in any case.
fn forecast_of(forecasts: Vec<Forecast>, place: &str) -> Result<Forecast, Refused> {
    let mut other = None;
    for forecast in forecasts {
        match &forecast.location {
            Some(location) if !location.eq_ignore_ascii_case(place) => {
                other = Some(quote(location));
            }
            _ => return Ok(forecast),
        }
    }
    Err(match other {
        Some(other) => Refused::OtherPlace(format!("it answered for {other}")),
        None => Refused::NoData("an empty list".to_owned()),
    })
}

/// What is best in it by the host's own reckoning is left out: planning is done here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Forecast {
    location: Option<String>,
    #[serde(default, deserialize_with = "time")]
    generated_at: Option<Timestamp>,
    forecast_data: Bounded<Row>,
}

/// A row of a forecast, or of emissions with other names for the same.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Row {
    #[serde(alias = "time", deserialize_with = "time")]
    timestamp: Option<Timestamp>,
    /// −1 where the source behind it has none.
    #[serde(alias = "rating")]
    value: Raw,
    #[serde(deserialize_with = "length")]
    duration: Option<Duration>,
}

/// Minutes in a forecast; `[DAYS.]HH:MM:SS` for emissions. None where it is anything else.
fn length<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    Ok(match Scalar::deserialize(from)? {
        Scalar::Number(minutes) => Duration::try_from_secs_f64(minutes * 60.0).ok(),
        Scalar::Text(text) => time_span(&text),
        Scalar::Null | Scalar::Other => None,
    })
}

fn time_span(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('.').unwrap_or(("0", text));
    let whole = |part: &str| part.parse::<u32>().ok().map(u64::from);
    let parts: Option<Vec<u64>> = clock.split(':').map(whole).collect();
    let [hours, minutes, seconds] = parts?[..] else {
        return None;
    };
    let minutes = (whole(days)? * 24 + hours) * 60 + minutes;
    Some(Duration::from_secs(minutes * 60 + seconds))
}

impl Row {
    fn span(&self) -> Option<Span> {
        Some(Span::new(self.timestamp?, self.duration?))
    }
}

fn series_of(rows: &[Row], notes: &mut Vec<String>) -> Series {
    let mut timeline = Timeline::new(None, STEP);
    for row in rows {
        let end = row.span().map(|span| span.end);
        timeline.add(row.timestamp, end, row.value);
    }
    let mut spans: Vec<Span> = rows.iter().filter_map(Row::span).collect();
    spans.sort_by_key(|span| span.start);
    let overlap = |pair: &[Span]| pair[0].start < pair[1].start && pair[1].start < pair[0].end;
    if spans.windows(2).any(overlap) {
        // The host was set up to answer with rolling means.
        notes.push(
            "values are means over windows that overlap; each counts until the next".to_owned(),
        );
    }
    timeline.finish(Kind::Live, notes)
}

#[cfg(test)]
mod tests;
