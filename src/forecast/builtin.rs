//! Built-in data: the usual day of twelve zones, and the yearly average of all that are known.
//!
//! The numbers stand as CSV in `tables/`, with their sources in the first lines of each file, and
//! are compiled in. They are parsed on first use only, and of the profiles only the zone asked for,
//! so that a start costs microseconds and commands that need no zone pay nothing.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::{Basis, Scope, Signal};
use crate::units::GramsPerKwh;

/// The year that the built-in profiles were computed from.
pub const PROFILE_YEAR: u16 = 2020;

const PROFILES: &str = include_str!("tables/profiles.csv");
const ZONES: &str = include_str!("tables/zones.csv");
const REGIONS: &str = include_str!("tables/regions.csv");

/// Zones with a built-in profile, in the order of the table.
pub const PROFILED: [&str; 12] = [
    "US-CAL-CISO",
    "US-TEX-ERCO",
    "US-MIDA-PJM",
    "US-NE-ISNE",
    "US-NY-NYIS",
    "US-FLA-FPL",
    "US-NW-BPAT",
    "DE",
    "ES",
    "NL",
    "PL",
    "SE",
];

/// A zone's usual day by month. All are [`Basis::AVERAGE_LIFECYCLE`], of domestic production.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// The zone.
    pub zone: &'static str,
    /// Mean, 10th and 90th percentile in g/kWh by month (0 = January) and hour of day (UTC).
    pub hours: [[[f64; 3]; 24]; 12],
}

impl Profile {
    /// The mean at the hour of day and in the month of `at`, in UTC.
    pub fn mean_at(&self, at: Timestamp) -> GramsPerKwh {
        let [mean, ..] = self.at(at);
        mean
    }

    /// Mean, 10th and 90th percentile at the hour of day and in the month of `at`, in UTC.
    pub fn at(&self, at: Timestamp) -> [GramsPerKwh; 3] {
        let utc = Offset::UTC.to_datetime(at);
        let (month, hour) = (utc.month() as usize - 1, utc.hour() as usize);
        self.hours[month][hour].map(GramsPerKwh)
    }
}

/// The built-in profile of a zone, by its exact id.
pub fn profile(zone: &str) -> Option<&'static Profile> {
    static PARSED: [OnceLock<Profile>; PROFILED.len()] = [const { OnceLock::new() }; 12];
    let index = PROFILED.iter().position(|known| *known == zone)?;
    Some(PARSED[index].get_or_init(|| parse_profile(PROFILED[index])))
}

/// Reads the 36 rows of one zone.
fn parse_profile(zone: &'static str) -> Profile {
    let rows = PROFILES
        .lines()
        .skip_while(|line| !is_of(line, zone))
        .take_while(|line| is_of(line, zone));
    let mut hours = [[[0.0; 3]; 24]; 12];
    for (row, line) in rows.enumerate() {
        for (hour, value) in line.split(',').skip(3).enumerate() {
            hours[row / 3][hour][row % 3] = value
                .parse()
                .expect("the compiled-in table holds numbers: a test reads all of it");
        }
    }
    Profile { zone, hours }
}

fn is_of(line: &str, zone: &str) -> bool {
    line.strip_prefix(zone)
        .is_some_and(|rest| rest.starts_with(','))
}

/// A zone with its yearly average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// The zone's id: ISO 3166-1 or -2, or the name of a grid operator.
    pub zone: &'static str,
    /// Its name in English.
    pub name: &'static str,
    /// The yearly average.
    pub intensity: GramsPerKwh,
    /// Of which year.
    pub year: u16,
    /// Who computed it.
    pub source: Origin,
    /// What it means: lifecycle, but direct for the states of the US.
    pub basis: Basis,
    /// The zone that it is a part of and whose average stands here, where it has none of its own.
    pub of: Option<&'static str>,
}

/// Where a yearly average is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Ember and the Energy Institute, processed by Our World in Data.
    Ember,
    /// The US Environmental Protection Agency's eGRID.
    Egrid,
    /// The mix of a Canadian province times the medians of IPCC AR5.
    Ipcc,
    /// The yearly mean of CarbonCast's hourly series.
    CarbonCast,
}

impl Origin {
    /// For a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ember => "Ember, OWID",
            Self::Egrid => "EPA eGRID",
            Self::Ipcc => "mix × IPCC AR5",
            Self::CarbonCast => "CarbonCast, EIA",
        }
    }
}

/// All known zones, sorted by id.
pub fn averages() -> &'static [Average] {
    static PARSED: OnceLock<Vec<Average>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let rows =
            |table: &'static str| table.lines().filter(|line| !line.starts_with('#')).skip(1);
        let read = "a test reads all of the compiled-in tables";
        let mut all: Vec<Average> = rows(ZONES)
            .map(|line| parse_average(line).expect(read))
            .collect();
        let parts: Vec<Average> = rows(REGIONS)
            .map(|line| parse_region(line, &all).expect(read))
            .collect();
        all.extend(parts);
        all.sort_unstable_by_key(|zone| zone.zone);
        all
    })
}

/// A part of one of the zones so far.
fn parse_region(line: &'static str, zones: &[Average]) -> Option<Average> {
    let (zone, name) = line.split_once(',')?;
    let (whole, _) = zone.split_once('-')?;
    let index = zones.binary_search_by(|known| known.zone.cmp(whole)).ok()?;
    Some(Average {
        zone,
        name,
        of: Some(zones[index].zone),
        ..zones[index]
    })
}

fn parse_average(line: &'static str) -> Option<Average> {
    let mut fields = line.split(',');
    Some(Average {
        zone: fields.next()?,
        name: fields.next()?,
        intensity: GramsPerKwh(fields.next()?.parse().ok()?),
        year: fields.next()?.parse().ok()?,
        source: match fields.next()? {
            "ember" => Origin::Ember,
            "egrid" => Origin::Egrid,
            "ipcc" => Origin::Ipcc,
            "carboncast" => Origin::CarbonCast,
            _ => return None,
        },
        basis: Basis {
            signal: Signal::Average,
            scope: match fields.next()? {
                "lifecycle" => Scope::Lifecycle,
                "direct" => Scope::Direct,
                _ => return None,
            },
        },
        of: None,
    })
}

/// The yearly average of a zone, by its exact id.
pub fn average(zone: &str) -> Option<&'static Average> {
    let all = averages();
    let index = all.binary_search_by(|known| known.zone.cmp(zone)).ok()?;
    Some(&all[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_whole_and_in_order() {
        for zone in PROFILED {
            let rows: Vec<&str> = PROFILES.lines().filter(|line| is_of(line, zone)).collect();
            assert_eq!(rows.len(), 36, "{zone}");
            for (row, line) in rows.iter().enumerate() {
                let statistic = ["mean", "p10", "p90"][row % 3];
                let start = format!("{zone},{},{statistic},", row / 3 + 1);
                assert!(line.starts_with(&start), "{line}");
                assert_eq!(line.split(',').count(), 27, "{line}");
            }
            let profile = profile(zone).unwrap();
            for [mean, low, high] in profile.hours.iter().flatten() {
                assert!(0.0 < *low && low <= high && *high < 1200.0, "{zone}");
                assert!(0.0 < *mean && *mean < 1200.0, "{zone}");
            }
        }
        let zones = PROFILES.lines().filter(|line| line.contains(",1,mean,"));
        assert_eq!(zones.count(), PROFILED.len());
    }

    #[test]
    fn averages_are_sorted_known_and_plausible() {
        let all = averages();
        assert_eq!(all.len(), 424);
        assert!(all.windows(2).all(|pair| pair[0].zone < pair[1].zone));
        assert!(
            all.iter()
                .all(|zone| (0.0..1400.0).contains(&zone.intensity.0))
        );
        assert_eq!(average("NA").map(|zone| zone.name), Some("Namibia"));
        assert!(PROFILED.iter().all(|zone| average(zone).is_some()));
    }

    #[test]
    fn averages_of_us_states_say_that_they_are_direct() {
        assert_eq!(average("US-TX").unwrap().basis.scope, Scope::Direct);
        assert_eq!(average("US").unwrap().basis, Basis::AVERAGE_LIFECYCLE);
        assert_eq!(
            average("US-TEX-ERCO").unwrap().basis,
            Basis::AVERAGE_LIFECYCLE
        );
    }

    /// A profile whose hours stand in local time, or labels moved the wrong way, fails here.
    #[test]
    fn the_sun_pushes_profiles_down_around_solar_noon() {
        // Zones where solar power digs a visible hole into a summer's day of 2020, with the
        // longitude of its middle. Elsewhere load, wind or water shapes the day.
        let zones = [
            ("US-CAL-CISO", -119.0),
            ("DE", 10.5),
            ("ES", -4.0),
            ("PL", 19.0),
        ];
        for (zone, longitude) in zones {
            let profile = profile(zone).unwrap();
            let solar_noon = 12.0 - longitude / 15.0;
            let midnight = solar_noon as usize + 12;
            let day: Vec<f64> = (midnight..midnight + 24)
                .map(|hour| (4..7).map(|month| profile.hours[month][hour % 24][0]).sum())
                .collect();
            let peak = |hours: std::ops::Range<usize>| {
                hours.max_by(|a, b| day[*a].total_cmp(&day[*b])).unwrap()
            };
            let (morning, evening) = (peak(0..10), peak(14..24));
            // The centre of what is missing below the line from the morning's to the evening's peak.
            let slope = (day[evening] - day[morning]) / (evening - morning) as f64;
            let depth =
                |hour: usize| (day[morning] + slope * (hour - morning) as f64 - day[hour]).max(0.0);
            let whole: f64 = (morning..=evening).map(depth).sum();
            let weighted: f64 = (morning..=evening)
                .map(|hour| depth(hour) * (midnight + hour - 24) as f64)
                .sum();
            let centre = weighted / whole + 0.5;
            assert!(
                (centre - solar_noon).abs() <= 1.5,
                "{zone}: cleanest around {centre:.1} UTC, solar noon at {solar_noon:.1} UTC"
            );
        }
    }
}
