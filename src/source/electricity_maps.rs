//! `electricity-maps`: about 350 zones of the world, with a key.
//!
//! Three traps. When it does not find the zone it answers for the caller's own: each ask turns that
//! off, and the zone in an answer is compared. A 401 has three meanings, told apart by the text.
//! Answers come in several envelopes, of which only a time and a value are sure to be in a row.
//!
//! The documentation does not say whether a time is the start of a step; its clients take it for that.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::asking::in_pieces;
use super::coverage;
use super::reading::{
    BoundedMap, OneOrMany, Raw, Timeline, complaint, issued, json, quote, said, success, time,
};
use crate::caller::wire::{Answer, Ask, Credential, Offers, Provider, Refused, Said};
use crate::forecast::{Basis, Kind, Scope, Series, Signal, Span};

const HISTORY: &str = "history";
const PAST: &str = "the past";
const FORECAST: &str = "forecast";
const HOUR: Duration = Duration::from_secs(3600);

/// The wait after a 429 that names none: third parties' advice, the provider publishes no limits.
const THROTTLED: Duration = Duration::from_secs(60);

/// The provider, by the version of its API and what it is asked to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElectricityMaps {
    /// Which API.
    pub version: Version,
    /// Which emissions.
    pub factors: Factors,
}

/// A version of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Forecasts of 72 hours.
    #[default]
    V4,
    /// The one before, which still answers: forecasts of 24 hours.
    V3,
}

/// Which emissions are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Factors {
    /// From mine to scrap.
    #[default]
    Lifecycle,
    /// At the stack.
    Direct,
}

impl Factors {
    fn name(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Direct => "direct",
        }
    }
}

impl ElectricityMaps {
    fn ask(self, path: &str, what: &'static str, query: Vec<(&'static str, String)>) -> Ask {
        let version = match self.version {
            Version::V4 => "v4",
            Version::V3 => "v3",
        };
        Ask {
            what,
            path: format!("/{version}/{path}"),
            query,
            credential: self.offers().credential,
        }
    }

    /// What every ask for intensities holds.
    fn query(self, place: &str) -> Vec<(&'static str, String)> {
        let no_guess = match self.version {
            Version::V4 => ("disableCallerLookup", "true"),
            Version::V3 => ("shouldUseFallbackCallerLookup", "false"),
        };
        vec![
            ("zone", place.to_owned()),
            (no_guess.0, no_guess.1.to_owned()),
            ("emissionFactorType", self.factors.name().to_owned()),
        ]
    }

    /// That the rows are of the place and the factors that were asked for.
    fn check(self, body: &Body, rows: &[Row], place: &str) -> Result<(), Refused> {
        let zones = body
            .zone
            .iter()
            .chain(rows.iter().filter_map(|row| row.zone.as_ref()));
        if let Some(zone) = zones.into_iter().find(|zone| *zone != place) {
            let zone = quote(zone);
            return Err(Refused::OtherPlace(format!("it answered for {zone}")));
        }
        let factors = self.factors.name();
        let mut told = rows
            .iter()
            .filter_map(|row| row.emission_factor_type.as_deref());
        if let Some(other) = told.find(|told| *told != factors) {
            let other = quote(other);
            let why = format!("it answered with {other} intensities instead of {factors} ones");
            return Err(Refused::NoData(why));
        }
        Ok(())
    }
}

impl Provider for ElectricityMaps {
    fn name(&self) -> &'static str {
        "electricity-maps"
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "https://api.electricitymaps.com",
            zones: "about 350 zones of the world",
            basis: Basis {
                signal: Signal::Average,
                scope: match self.factors {
                    Factors::Lifecycle => Scope::Lifecycle,
                    Factors::Direct => Scope::Direct,
                },
            },
            horizon: Some(match self.version {
                Version::V4 => 72 * HOUR,
                Version::V3 => 24 * HOUR,
            }),
            step: HOUR,
            has_observations: true,
            cadence: HOUR,
            credential: Credential::Header("auth-token"),
            attribution: "Electricity Maps",
        }
    }

    /// Our ids are its own, but for the states of the US, which it does not know.
    fn place(&self, zone: &str) -> Option<String> {
        let parts: Vec<&str> = zone.split('-').collect();
        let is_id = parts.iter().all(|part| {
            !part.is_empty()
                && part.len() <= 8
                && (part.bytes()).all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        });
        let is_state = matches!(parts[..], ["US", state] if state.len() == 2);
        (is_id && parts[0].len() == 2 && !is_state).then(|| zone.to_owned())
    }

    fn asks(&self, place: &str, _now: Timestamp) -> Vec<Ask> {
        let mut ahead = self.query(place);
        if self.version == Version::V4 {
            ahead.push(("horizonHours", "72".to_owned()));
        }
        vec![
            self.ask("carbon-intensity/history", HISTORY, self.query(place)),
            self.ask("carbon-intensity/forecast", FORECAST, ahead),
        ]
    }

    /// By the hour, of which ten days are given at once.
    fn asks_past(&self, place: &str, span: Span) -> Vec<Ask> {
        let pieces = in_pieces(span, 7).into_iter();
        let asks = pieces.map(|Span { start, end }| {
            let mut query = self.query(place);
            query.push(("start", start.to_string()));
            query.push(("end", end.to_string()));
            self.ask("carbon-intensity/past-range", PAST, query)
        });
        asks.collect()
    }

    fn read(&self, ask: &Ask, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        accepted(answer, ask.what, place)?;
        let mut body: Body = json(answer)?;
        let own = match ask.what {
            FORECAST => body.forecast.take(),
            _ => body.history.take(),
        };
        let rows = match own.or_else(|| body.data.take()) {
            Some(OneOrMany(rows)) => rows,
            None => vec![bare(answer)?],
        };
        self.check(&body, &rows, place)?;
        let mut notes = Vec::new();
        let series = series_of(&rows, &mut notes);
        if ask.what == FORECAST {
            let issued_at = issued(body.updated_at, answer);
            return said(&Series::default(), series, issued_at, notes);
        }
        said(&series, Series::default(), answer.at, notes)
    }

    fn plan(&self) -> Option<Ask> {
        Some(self.ask("zones", "zones", Vec::new()))
    }

    fn read_plan(&self, place: &str, answer: &Answer<'_>) -> Result<String, Refused> {
        accepted(answer, "the list of zones", place)?;
        let BoundedMap(zones): BoundedMap<Zone> = json(answer)?;
        if zones.values().all(|zone| zone.access.is_none()) {
            return Err(Refused::KeyMissing);
        }
        let of_place = zones.get(place).and_then(Zone::of_intensity);
        let others: Vec<&str> = (zones.iter())
            .filter(|(_, zone)| zone.of_intensity().is_some())
            .map(|(name, _)| name.as_str())
            .collect();
        Ok(coverage::told(place, of_place, &others))
    }
}

/// `Ok` where the body is to be read.
fn accepted(answer: &Answer<'_>, what: &str, place: &str) -> Result<(), Refused> {
    match answer.status {
        401 => {
            let body = String::from_utf8_lossy(answer.body);
            let says = |text: &str| body.contains(text);
            Err(if says("Please provide a valid authentication header") {
                Refused::KeyMissing
            } else if NOT_COVERED.iter().any(|text| says(text)) {
                Refused::NotCovered(format!("{what} of {place}"))
            } else {
                Refused::KeyWrong(complaint(answer.body))
            })
        }
        404 => Err(Refused::OtherPlace(format!(
            "{}; `catrain zones` lists zones",
            complaint(answer.body).trim_end_matches('.')
        ))),
        _ => success(answer, Some(THROTTLED)),
    }
}

/// What a 401 says of a good key: today, and in the years before.
const NOT_COVERED: [&str; 4] = [
    "You do not have access to this specific endpoint",
    "Request unauthorized for zoneKey",
    "Token unauthorized for zoneKey",
    "Endpoint not available",
];

/// The envelopes of rows. An answer of one row has none.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    zone: Option<String>,
    history: Option<OneOrMany<Row>>,
    forecast: Option<OneOrMany<Row>>,
    data: Option<OneOrMany<Row>>,
    #[serde(default, deserialize_with = "time")]
    updated_at: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    zone: Option<String>,
    #[serde(deserialize_with = "time")]
    datetime: Option<Timestamp>,
    carbon_intensity: Raw,
    is_estimated: Option<bool>,
    emission_factor_type: Option<String>,
}

/// An answer that is a row itself.
fn bare(answer: &Answer<'_>) -> Result<Row, Refused> {
    let row: Row = json(answer)?;
    if row.datetime.is_none() && row.carbon_intensity == Raw::Missing {
        let said = complaint(answer.body);
        return Err(Refused::NotAnAnswer(format!("no intensities: {said}")));
    }
    Ok(row)
}

fn series_of(rows: &[Row], notes: &mut Vec<String>) -> Series {
    let mut timeline = Timeline::new(None, HOUR);
    for row in rows {
        match row.is_estimated {
            Some(true) => timeline.add_estimated(row.datetime, None, row.carbon_intensity),
            _ => timeline.add(row.datetime, None, row.carbon_intensity),
        }
    }
    timeline.finish(Kind::Live, notes)
}

/// A zone in the list of zones.
#[derive(Deserialize)]
struct Zone {
    /// What the key may ask for: `carbon-intensity/latest`, or `*`. Without a key there is none.
    access: Option<OneOrMany<String>>,
}

impl Zone {
    /// What of it is about intensities, in words.
    fn of_intensity(&self) -> Option<String> {
        const SIGNAL: &str = "carbon-intensity/";
        let OneOrMany(access) = self.access.as_ref()?;
        if access.iter().any(|what| what == "*") {
            return Some("everything".to_owned());
        }
        let kinds = access.iter().filter_map(|what| what.strip_prefix(SIGNAL));
        let kinds: Vec<&str> = kinds.collect();
        (!kinds.is_empty()).then(|| format!("{SIGNAL}{}", coverage::list(&kinds)))
    }
}

#[cfg(test)]
mod tests;
