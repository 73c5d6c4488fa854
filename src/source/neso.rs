//! `neso`: the Carbon Intensity API of Great Britain's system operator, without a key.
//!
//! The whole of Great Britain comes with what was measured, its regions with forecasts alone: what
//! they say of the past is an estimate. Wind, sun and nuclear power count as zero.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::Deserialize;

use super::asking::in_pieces;
use super::reading::{
    Bounded, OneOrMany, Raw, Timeline, complaint, json, quote, said, success, time,
};
use crate::caller::wire::{Answer, Ask, Credential, Offers, Provider, Refused, Said};
use crate::forecast::{Basis, Kind, Scope, Signal, Span};

/// The provider.
#[derive(Clone, Copy, Debug)]
pub struct Neso;

const HALF_HOUR: Duration = Duration::from_secs(1800);
const AHEAD: SignedDuration = SignedDuration::from_hours(48);
const BACK: SignedDuration = SignedDuration::from_hours(24);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The place that is no region.
const NATION: &str = "GB";

/// Names of the regions 1 to 17. Names and not ids say which region an answer is of: the ids in
/// answers for a postcode have been seen to be off by one.
const REGIONS: [&str; 17] = [
    "North Scotland",
    "South Scotland",
    "North West England",
    "North East England",
    "Yorkshire",
    "North Wales",
    "South Wales",
    "West Midlands",
    "East Midlands",
    "East England",
    "South West England",
    "South England",
    "London",
    "South East England",
    "England",
    "Scotland",
    "Wales",
];

/// Names of what is asked, in two parts where a year ends in between; of a forecast the first and of the
/// past the second is the name of the whole.
const FORECAST: [&str; 2] = ["forecast", "forecast of next year"];
const PAST: [&str; 2] = ["past of last year", "past"];

impl Provider for Neso {
    fn name(&self) -> &'static str {
        "neso"
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "https://api.carbonintensity.org.uk",
            zones: "Great Britain (GB), its regions (GB-1 to GB-17, GB-ENG, GB-SCT, GB-WLS) and \
                    postcode districts (such as GB-RG10)",
            basis: Basis {
                signal: Signal::Average,
                scope: Scope::Operational,
            },
            horizon: Some(AHEAD.unsigned_abs()),
            step: HALF_HOUR,
            has_observations: true,
            cadence: HALF_HOUR,
            credential: Credential::None,
            attribution: "NESO Carbon Intensity API, CC BY 4.0",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        let zone = zone.to_uppercase();
        let part = match zone.as_str() {
            "GB" | "UK" => return Some(NATION.to_owned()),
            other => other.strip_prefix("GB-")?,
        };
        let region = match part {
            "ENG" => "15",
            "SCT" => "16",
            "WLS" => "17",
            other => other,
        };
        (region_of(region).is_some() || is_district(region)).then(|| region.to_owned())
    }

    /// A range comes with the half hour that ends where it begins, so each begins one minute into a
    /// half hour; and it stops at the end of the year, so it is asked for in two parts there.
    fn asks(&self, place: &str, now: Timestamp) -> Vec<Ask> {
        let half_hours = TimestampRound::new()
            .smallest(Unit::Minute)
            .increment(30)
            .mode(RoundMode::Floor);
        let at = now.round(half_hours).unwrap_or(now) + MINUTE;
        let whole = |what, range| vec![ask(what, place, &format!("{}/{range}", minute(at)))];
        let ahead = in_two_parts(FORECAST, place, at, at + AHEAD);
        let back = in_two_parts(PAST, place, at - BACK, at);
        let mut asks = ahead.unwrap_or_else(|| whole(FORECAST[0], "fw48h"));
        asks.extend(back.unwrap_or_else(|| whole(PAST[1], "pt24h")));
        asks
    }

    fn asks_past(&self, place: &str, span: Span) -> Vec<Ask> {
        let pieces = in_pieces(span, 7).into_iter();
        let asks = pieces.flat_map(|Span { start, end }| {
            let (start, end) = (start + MINUTE, end + MINUTE);
            in_two_parts(PAST, place, start, end).unwrap_or_else(|| {
                let range = format!("{}/{}", minute(start), minute(end));
                vec![ask(PAST[1], place, &range)]
            })
        });
        asks.collect()
    }

    fn read(&self, ask: &Ask, place: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        if answer.status == 400 && complaint(answer.body).contains("postcode") {
            return Err(Refused::OtherPlace(complaint(answer.body)));
        }
        success(answer, Some(Duration::from_secs(60)))?;
        let mut notes = Vec::new();
        let rows = match place {
            NATION => json::<Body<Bounded<HalfHour>>>(answer)?.data,
            _ => region(place, answer, &mut notes)?,
        };
        let is_estimate = place != NATION;
        let begins = begin(ask);
        let mut observed = Timeline::new(None, HALF_HOUR);
        let mut expected = Timeline::new(None, HALF_HOUR);
        for HalfHour {
            from,
            to,
            intensity,
        } in rows.0
        {
            let is_early = (to.zip(begins)).is_some_and(|(to, begins)| to <= begins);
            if is_early {
                continue;
            }
            let Intensity { forecast, actual } = intensity.unwrap_or_default();
            if actual != Raw::Missing {
                observed.add(from, to, actual);
            } else if is_estimate && to.is_some_and(|to| to <= answer.at) {
                observed.add(from, to, forecast);
            } else {
                // Of the whole country what is over and not measured yet is a forecast still.
                expected.add(from, to, forecast);
            }
        }
        let kind = match is_estimate {
            true => Kind::Estimated,
            false => Kind::Live,
        };
        let observed = observed.finish(kind, &mut notes);
        let expected = expected.finish(Kind::Live, &mut notes);
        said(&observed, expected, answer.at, notes)
    }
}

/// The name of the region with this id.
fn region_of(id: &str) -> Option<&'static str> {
    let mut regions = (1..).zip(REGIONS);
    let (_, name) = regions.find(|(number, _): &(usize, _)| number.to_string() == id)?;
    Some(name)
}

/// Whether this can be the first part of a postcode, as in `RG10 9NY`. Northern Ireland (`BT`) is
/// another grid.
fn is_district(text: &str) -> bool {
    let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
    let (area, rest) = text.split_at(letters);
    let rest = rest.as_bytes();
    let has_form = matches!(rest, [first] | [first, _] if first.is_ascii_digit());
    (1..=2).contains(&letters)
        && area != "BT"
        && has_form
        && rest.iter().all(u8::is_ascii_alphanumeric)
}

/// Asks for the time between `from` and `to` where a year ends between them.
fn in_two_parts(
    [before, after]: [&'static str; 2],
    place: &str,
    from: Timestamp,
    to: Timestamp,
) -> Option<Vec<Ask>> {
    let new_year = new_year_between(from, to)?;
    let between = |from, to| format!("{}/{}", minute(from), minute(to));
    let mut asks = vec![ask(before, place, &between(from, new_year - MINUTE))];
    if new_year + MINUTE < to {
        asks.push(ask(after, place, &between(new_year + MINUTE, to)));
    }
    Some(asks)
}

fn ask(what: &'static str, place: &str, range: &str) -> Ask {
    let path = match place {
        NATION => format!("/intensity/{range}"),
        id if region_of(id).is_some() => format!("/regional/intensity/{range}/regionid/{id}"),
        district => format!("/regional/intensity/{range}/postcode/{district}"),
    };
    Ask {
        what,
        path,
        query: Vec::new(),
        credential: Credential::None,
    }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

fn new_year_between(from: Timestamp, to: Timestamp) -> Option<Timestamp> {
    let next = from.to_zoned(TimeZone::UTC).year().checked_add(1)?;
    let new_year = (Date::new(next, 1, 1).ok()?.to_zoned(TimeZone::UTC).ok()?).timestamp();
    (new_year < to).then_some(new_year)
}

/// Where the range of a forecast begins: what ends there was not asked for.
fn begin(ask: &Ask) -> Option<Timestamp> {
    let times = || ask.path.split('/').find_map(|part| part.parse().ok());
    FORECAST.contains(&ask.what).then(times).flatten()
}

/// The half hours of a region.
fn region(
    place: &str,
    answer: &Answer<'_>,
    notes: &mut Vec<String>,
) -> Result<Bounded<HalfHour>, Refused> {
    let asked = region_of(place);
    if asked.is_none() && answer.body.trim_ascii().is_empty() {
        let why = format!("an empty body: `{place}` is unknown, or there is no data");
        return Err(Refused::NotAnAnswer(why));
    }
    // Which of both comes depends on the call, and not as documented.
    let OneOrMany(regions) = json::<Body<OneOrMany<Region>>>(answer)?.data;
    let [Region { shortname, data }] = <[Region; 1]>::try_from(regions).map_err(|regions| {
        Refused::NotAnAnswer(format!("{} regions instead of one", regions.len()))
    })?;
    let name = quote(&shortname.unwrap_or_default());
    match asked {
        // A name may be longer than in our list, but it must not be that of another region.
        Some(asked) if asked != name && REGIONS.contains(&name.as_str()) => {
            return Err(Refused::OtherPlace(format!(
                "asked for {asked}, it answered for {name}"
            )));
        }
        None if !name.is_empty() => notes.push(format!("`{place}` lies in {name}")),
        _ => {}
    }
    Ok(data)
}

#[derive(Deserialize)]
struct Body<T> {
    data: T,
}

#[derive(Deserialize)]
struct Region {
    shortname: Option<String>,
    data: Bounded<HalfHour>,
}

#[derive(Deserialize)]
struct HalfHour {
    #[serde(deserialize_with = "time")]
    from: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    to: Option<Timestamp>,
    intensity: Option<Intensity>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Intensity {
    forecast: Raw,
    actual: Raw,
}

#[cfg(test)]
mod tests;
