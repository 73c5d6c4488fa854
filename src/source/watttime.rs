//! `watttime`: marginal rates of the regions of the world, with a user and a password.
//!
//! A login gives a token that is good for half an hour. Numbers are pounds of CO2 per megawatt-hour,
//! and only those are converted: the index from 0 to 100 that it has as well says nothing of grams. The
//! documentation does not say which emissions along the fuel's way are counted.
//!
//! Its regions are no grid zones: many zones consist of several, and those have none here. A user who
//! knows which of them is meant names it.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::asking::{in_pieces, last_day};
use super::coverage;
use super::reading::{Bounded, Raw, Timeline, complaint, issued, json, quote, said, success, time};
use crate::caller::wire::{Answer, Ask, Credential, Login, Offers, Provider, Refused, Said, Token};
use crate::forecast::{Basis, Kind, Scope, Series, Signal, Span};

const HISTORICAL: &str = "historical";
const FORECAST: &str = "forecast";

/// The marginal operating emissions rate of CO2.
const SIGNAL: &str = "co2_moer";
const UNITS: &str = "lbs_co2_per_mwh";
/// The international pound is 453.59237 g, and a MWh is 1000 kWh.
const GRAMS_PER_KWH: f64 = 453.592_37 / 1000.0;

const STEP: Duration = Duration::from_secs(300);
/// The wait after a 429 that names none: a tenth of the window of five minutes that it counts in.
const THROTTLED: Duration = Duration::from_secs(30);
/// Tokens are good for 30 minutes.
const TOKEN_LASTS: Duration = Duration::from_secs(25 * 60);

/// Warnings of an answer that are passed on.
const MOST_WARNINGS: usize = 5;

/// Zones that are a region, by its name there. Where a zone consists of several regions there is
/// none, but for California's: the north of it is free for all users.
const REGIONS: [(&str, &str); 7] = [
    ("CA-AB", "AESO"),
    ("CA-BC", "BCHYDRO"),
    ("CA-QC", "HQ"),
    ("GB", "UK"),
    ("US-CAL-CISO", PART),
    ("US-FLA-FPL", "FPL"),
    ("US-NW-BPAT", "BPA"),
];
const PART: &str = "CAISO_NORTH";

/// Countries of Europe that are one region, under the same name.
const COUNTRIES: [&str; 29] = [
    "AT", "BA", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LV", "NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK",
];

/// The provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WattTime;

impl Provider for WattTime {
    fn name(&self) -> &'static str {
        "watttime"
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "https://api.watttime.org",
            zones: "regions of the world; the north of California without a plan",
            basis: Basis {
                signal: Signal::Marginal,
                scope: Scope::Unknown,
            },
            horizon: Some(Duration::from_secs(72 * 3600)),
            step: STEP,
            has_observations: true,
            cadence: STEP,
            credential: Credential::Token,
            attribution: "WattTime",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        let special = REGIONS.iter().find(|(ours, _)| *ours == zone);
        let country = || COUNTRIES.iter().find(|country| **country == zone);
        let region = special.map(|(_, region)| region).or_else(country)?;
        Some((*region).to_owned())
    }

    fn asks(&self, place: &str, now: Timestamp) -> Vec<Ask> {
        vec![
            historical(place, last_day(now, STEP)),
            ask(FORECAST, place, vec![("horizon_hours", "72".to_owned())]),
        ]
    }

    fn asks_past(&self, place: &str, span: Span) -> Vec<Ask> {
        let pieces = in_pieces(span, 7).into_iter();
        pieces.map(|piece| historical(place, piece)).collect()
    }

    fn read(&self, ask: &Ask, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        accepted(answer, ask.what, place)?;
        let Body { data, meta } = json(answer)?;
        meta.check(place)?;
        let period = meta.data_point_period_seconds.map(Duration::from_secs);
        let mut timeline = Timeline::new(period, STEP);
        for row in data.0 {
            let value = row.value.times(GRAMS_PER_KWH);
            match row.imputed_data_used {
                Some(true) => timeline.add_estimated(row.point_time, None, value),
                _ => timeline.add(row.point_time, None, value),
            }
        }
        let mut notes = Vec::new();
        let series = timeline.finish(Kind::Live, &mut notes);
        let mut said = match ask.what {
            FORECAST => {
                let issued_at = issued(meta.generated_at, answer);
                said(&Series::default(), series, issued_at, notes)
            }
            _ => said(&series, Series::default(), answer.at, notes),
        }?;
        said.notes.extend(meta.notes());
        Ok(said)
    }

    fn login(&self) -> Option<&dyn Login> {
        Some(self)
    }

    fn plan(&self) -> Option<Ask> {
        Some(Ask {
            what: "access",
            path: "/v3/my-access".to_owned(),
            query: Vec::new(),
            credential: Credential::Token,
        })
    }

    fn read_plan(&self, place: &str, answer: &Answer<'_>) -> Result<String, Refused> {
        accepted(answer, "the list of regions", place)?;
        let access: Access = json(answer)?;
        let signals = access.signal_types.0.iter();
        let regions: Vec<&Region> = signals
            .filter(|it| it.signal_type == SIGNAL)
            .flat_map(|it| &it.regions.0)
            .collect();
        let of_place = (regions.iter().find(|it| it.region == place)).map(|region| {
            let endpoints = region.endpoints.0.iter();
            let names: Vec<&str> = endpoints.map(|it| it.endpoint.as_str()).collect();
            coverage::list(&names)
        });
        let others: Vec<&str> = regions.iter().map(|it| it.region.as_str()).collect();
        Ok(coverage::told(place, of_place, &others))
    }
}

impl Login for WattTime {
    fn ask(&self) -> Ask {
        Ask {
            what: "login",
            path: "/login".to_owned(),
            query: Vec::new(),
            credential: Credential::Basic,
        }
    }

    fn token(&self, answer: &Answer<'_>) -> Result<Token, Refused> {
        #[derive(Deserialize)]
        struct Body {
            token: String,
        }
        if answer.status == 401 {
            return Err(Refused::KeyWrong(complaint(answer.body)));
        }
        accepted(answer, "a login", "any region")?;
        // What is quoted of a body to explain it could be the token.
        match json(answer) {
            Ok(Body { token }) if !token.is_empty() => Ok(Token {
                secret: SecretString::from(token),
                lasts: TOKEN_LASTS,
            }),
            _ => Err(Refused::NotAnAnswer("a login without a token".to_owned())),
        }
    }
}

fn historical(place: &str, span: Span) -> Ask {
    ask(
        HISTORICAL,
        place,
        vec![
            ("start", span.start.to_string()),
            ("end", span.end.to_string()),
            ("include_imputed_marker", "true".to_owned()),
        ],
    )
}

fn ask(what: &'static str, place: &str, more: Vec<(&'static str, String)>) -> Ask {
    let mut query = vec![
        ("region", place.to_owned()),
        ("signal_type", SIGNAL.to_owned()),
    ];
    query.extend(more);
    Ask {
        what,
        path: format!("/v3/{what}"),
        query,
        credential: Credential::Token,
    }
}

/// `Ok` where the body is to be read.
fn accepted(answer: &Answer<'_>, what: &str, place: &str) -> Result<(), Refused> {
    match answer.status {
        400 | 422 => Err(Refused::Ours(objection(answer))),
        401 => Err(Refused::TokenOver),
        403 if answer.body.trim_ascii_start().starts_with(b"<") => Err(Refused::Ours(
            "the edge before api.watttime.org (a CDN) turns us away, whatever the account"
                .to_owned(),
        )),
        403 if String::from_utf8_lossy(answer.body).contains("Invalid scope") => {
            Err(Refused::NotCovered(format!("{what} of {place}")))
        }
        404 => Err(Refused::OtherPlace(complaint(answer.body))),
        _ => success(answer, Some(THROTTLED)),
    }
}

/// What it has against a request: `message`, which its example calls `msg`, or a list of details.
fn objection(answer: &Answer<'_>) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Objection {
        message: Option<String>,
        msg: Option<String>,
        detail: Bounded<Detail>,
    }
    #[derive(Deserialize)]
    struct Detail {
        msg: String,
    }
    let read: Objection = json(answer).unwrap_or_default();
    let detail = read.detail.0.into_iter().next().map(|it| it.msg);
    match read.message.or(read.msg).or(detail) {
        Some(said) => format!("{}: {}", answer.status, quote(&said)),
        None => format!("{}: {}", answer.status, complaint(answer.body)),
    }
}

#[derive(Deserialize)]
struct Body {
    data: Bounded<Row>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default, deserialize_with = "time")]
    point_time: Option<Timestamp>,
    #[serde(default)]
    value: Raw,
    imputed_data_used: Option<bool>,
}

#[derive(Deserialize)]
struct Meta {
    region: String,
    signal_type: String,
    units: String,
    data_point_period_seconds: Option<u64>,
    #[serde(default, deserialize_with = "time")]
    generated_at: Option<Timestamp>,
    #[serde(default)]
    warnings: Bounded<Warning>,
}

#[derive(Deserialize)]
struct Warning {
    message: String,
}

impl Meta {
    /// That it is about what was asked for, in units that are known.
    fn check(&self, place: &str) -> Result<(), Refused> {
        if self.region != place {
            let region = quote(&self.region);
            return Err(Refused::OtherPlace(format!("it answered for {region}")));
        }
        if self.signal_type != SIGNAL {
            let signal = quote(&self.signal_type);
            return Err(Refused::NoData(format!(
                "it answered with `{signal}` instead of `{SIGNAL}`"
            )));
        }
        if self.units != UNITS {
            let units = quote(&self.units);
            return Err(Refused::NoData(format!("the unit `{units}` is not known")));
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let part = (self.region == PART).then(|| format!("{PART} is a part of US-CAL-CISO"));
        let warnings = self.warnings.0.iter().take(MOST_WARNINGS);
        (part.into_iter())
            .chain(warnings.map(|it| format!("WattTime warns: {}", quote(&it.message))))
            .collect()
    }
}

#[derive(Deserialize)]
struct Access {
    signal_types: Bounded<Accessible>,
}

/// What of a signal the account may ask for.
#[derive(Deserialize)]
struct Accessible {
    signal_type: String,
    regions: Bounded<Region>,
}

#[derive(Deserialize)]
struct Region {
    region: String,
    endpoints: Bounded<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    endpoint: String,
}

#[cfg(test)]
mod tests;
