//! Which zone is meant: look-up by id, alias or name, nearest spellings, and a guess from the time zone.
//!
//! Pure: what was typed and the name of the system's time zone are arguments.

use std::cmp::Reverse;
use std::fmt;

use super::builtin::{Average, average, averages};

const TIME_ZONES: &str = include_str!("tables/time_zones.csv");

/// Names under which people know a zone, besides its id and the name in the table.
const ALIASES: [(&str, &str); 35] = [
    ("UK", "GB"),
    ("GREAT BRITAIN", "GB"),
    ("EL", "GR"),
    ("USA", "US"),
    ("HOLLAND", "NL"),
    ("CZECH REPUBLIC", "CZ"),
    ("TÜRKIYE", "TR"),
    ("CISO", "US-CAL-CISO"),
    ("CAISO", "US-CAL-CISO"),
    ("ERCO", "US-TEX-ERCO"),
    ("ERCOT", "US-TEX-ERCO"),
    ("PJM", "US-MIDA-PJM"),
    ("ISNE", "US-NE-ISNE"),
    ("ISONE", "US-NE-ISNE"),
    ("ISO-NE", "US-NE-ISNE"),
    ("NYIS", "US-NY-NYIS"),
    ("NYISO", "US-NY-NYIS"),
    ("FPL", "US-FLA-FPL"),
    ("BPA", "US-NW-BPAT"),
    ("BPAT", "US-NW-BPAT"),
    ("QUÉBEC", "CA-QC"),
    ("DK1", "DK-DK1"),
    ("DK2", "DK-DK2"),
    ("NO1", "NO-NO1"),
    ("NO2", "NO-NO2"),
    ("NO3", "NO-NO3"),
    ("NO4", "NO-NO4"),
    ("NO5", "NO-NO5"),
    ("SE1", "SE-SE1"),
    ("SE2", "SE-SE2"),
    ("SE3", "SE-SE3"),
    ("SE4", "SE-SE4"),
    ("MISO", "US-MIDW-MISO"),
    ("SWPP", "US-CENT-SWPP"),
    ("SPP", "US-CENT-SWPP"),
];

/// Finds a zone by its id, an alias or its name, in any case; `_` and `-` are the same.
///
/// # Errors
/// Nothing is called so; the error knows the nearest spellings.
pub fn find(text: &str) -> Result<&'static Average, Unknown> {
    let typed = text.trim();
    let wanted = typed.replace('_', "-").to_uppercase();
    let id = ALIASES
        .iter()
        .find(|(alias, _)| *alias == wanted)
        .map_or(wanted.as_str(), |(_, id)| id);
    average(id)
        .or_else(|| (averages().iter()).find(|zone| zone.name.to_uppercase() == wanted))
        .or_else(|| postcode(id))
        .ok_or_else(|| Unknown {
            typed: typed.to_owned(),
            nearest: nearest(&wanted),
        })
}

/// Part of Great Britain by the outward part of a postcode, `GB-RG10`; kept until the process ends.
fn postcode(id: &str) -> Option<&'static Average> {
    let outward = id.strip_prefix("GB-")?;
    let letters = outward.chars().take_while(char::is_ascii_uppercase).count();
    let rest = &outward[letters..];
    let is_outward = matches!(letters, 1 | 2)
        && matches!(rest.len(), 1 | 2)
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let whole = average("GB").filter(|_| is_outward)?;
    Some(Box::leak(Box::new(Average {
        zone: String::leak(id.to_owned()),
        name: String::leak(format!("postcode {outward}")),
        of: Some(whole.zone),
        ..*whole
    })))
}

/// Up to three zones that may have been meant, most likely first.
fn nearest(wanted: &str) -> Vec<&'static Average> {
    let mut near: Vec<_> = (averages().iter())
        .filter_map(|zone| {
            let by_id = strsim::damerau_levenshtein(wanted, zone.zone);
            let by_name = strsim::damerau_levenshtein(wanted, &zone.name.to_uppercase());
            let letters = wanted.chars().count();
            let distance = match (by_id, by_name) {
                (id, _) if id <= 1 || (letters >= 6 && id <= 2) => id,
                (_, name) if name * 3 <= letters => name,
                _ if letters >= 3 && zone.name.to_uppercase().starts_with(wanted) => 2,
                _ if letters >= 3 && zone.zone.ends_with(&format!("-{wanted}")) => 1,
                _ => return None,
            };
            let same_start = zone.zone.chars().next() == wanted.chars().next();
            Some((distance, Reverse(same_start), zone))
        })
        .collect();
    near.sort_by_key(|(distance, same_start, _)| (*distance, *same_start));
    near.into_iter().map(|(.., zone)| zone).take(3).collect()
}

/// No zone is called so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("unknown zone `{typed}`")]
pub struct Unknown {
    /// What was typed.
    pub typed: String,
    /// What may have been meant, most likely first.
    pub nearest: Vec<&'static Average>,
}

impl Unknown {
    /// What to do: ``did you mean `DE` (Germany)? `catrain zones` lists all``.
    pub fn hint(&self) -> String {
        let names: Vec<String> = (self.nearest.iter())
            .map(|zone| format!("`{}` ({})", zone.zone, zone.name))
            .collect();
        let all = "`catrain zones` lists all";
        match names.split_last() {
            None => all.to_owned(),
            Some((one, [])) => format!("did you mean {one}? {all}"),
            Some((last, others)) => {
                format!("did you mean {} or {last}? {all}", others.join(", "))
            }
        }
    }
}

/// The zone that fits a time zone given by its IANA name, where exactly one does.
pub fn guess(time_zone: &str) -> Option<&'static Average> {
    let mut rows = TIME_ZONES.lines().filter_map(|line| line.split_once(','));
    let (_, zone) = rows.find(|(name, _)| name.eq_ignore_ascii_case(time_zone))?;
    average(zone)
}

/// Time zones of grid operators in the US, where the state's tells no zone.
const OPERATORS: [(&str, &str); 7] = [
    ("US-CAL-CISO", "America/Los_Angeles"),
    ("US-NW-BPAT", "America/Los_Angeles"),
    ("US-TEX-ERCO", "America/Chicago"),
    ("US-MIDA-PJM", "America/New_York"),
    ("US-NE-ISNE", "America/New_York"),
    ("US-NY-NYIS", "America/New_York"),
    ("US-FLA-FPL", "America/New_York"),
];

/// The IANA name of a time zone that a zone keeps, where it is known.
pub fn time_zone(zone: &str) -> Option<&'static str> {
    let operator = OPERATORS.into_iter().find(|(name, _)| *name == zone);
    let mut rows = TIME_ZONES.lines().filter_map(|line| line.split_once(','));
    (operator.map(|(_, time_zone)| time_zone)).or_else(|| {
        rows.find(|(_, name)| *name == zone)
            .map(|(time_zone, _)| time_zone)
    })
}

/// The zone to work with, and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Its id.
    pub zone: &'static Average,
    /// The time zone it was guessed from, if it was not given: to be announced.
    pub guessed_from: Option<String>,
}

impl Resolved {
    /// What to tell the user about a guess.
    pub fn announcement(&self) -> Option<String> {
        self.guessed_from.as_ref().map(|time_zone| {
            format!(
                "zone {} guessed from the time zone {time_zone} (set it: -z, CATRAIN_ZONE, or zone = in the config)",
                self.zone.zone
            )
        })
    }
}

/// Why there is no zone.
#[derive(Clone, Debug, PartialEq)]
pub enum Unresolved {
    /// The given one is not known.
    Unknown(Unknown),
    /// None was given and the time zone fits none or several.
    NotGiven {
        /// The system's time zone, if it has a name.
        time_zone: Option<String>,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::NotGiven {
                time_zone: Some(name),
            } => write!(
                f,
                "no zone given, and the time zone `{name}` does not fit exactly one"
            ),
            Self::NotGiven { time_zone: None } => {
                f.write_str("no zone given, and the system's time zone has no name to guess from")
            }
        }
    }
}

impl std::error::Error for Unresolved {}

impl Unresolved {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown(unknown) => unknown.hint(),
            Self::NotGiven { .. } => {
                "say which: -z DE, or CATRAIN_ZONE; `catrain zones` lists all".to_owned()
            }
        }
    }
}

/// The given zone, else a guess from the IANA name of the system's time zone.
///
/// # Errors
/// The given zone is unknown, or none was given and no guess is safe.
pub fn resolve(given: Option<&str>, iana: Option<&str>) -> Result<Resolved, Unresolved> {
    match given {
        Some(text) => Ok(Resolved {
            zone: find(text).map_err(Unresolved::Unknown)?,
            guessed_from: None,
        }),
        None => match iana.and_then(guess) {
            Some(zone) => Ok(Resolved {
                zone,
                guessed_from: iana.map(str::to_owned),
            }),
            None => Err(Unresolved::NotGiven {
                time_zone: iana.map(str::to_owned),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_id_alias_and_name_in_any_case() {
        let cases = [
            ("DE", "DE"),
            ("de", "DE"),
            (" Germany ", "DE"),
            ("uk", "GB"),
            ("caiso", "US-CAL-CISO"),
            ("us_cal_ciso", "US-CAL-CISO"),
            ("na", "NA"),
        ];
        for (typed, zone) in cases {
            assert_eq!(find(typed).map(|found| found.zone), Ok(zone), "{typed}");
        }
        assert!(ALIASES.iter().all(|(_, id)| average(id).is_some()));
    }

    #[test]
    fn an_unknown_zone_names_what_may_have_been_meant() {
        let hint = |typed| find(typed).unwrap_err().hint();
        assert_eq!(
            hint("DEE"),
            "did you mean `DE` (Germany) or `EE` (Estonia)? `catrain zones` lists all"
        );
        assert_eq!(
            hint("Germny"),
            "did you mean `DE` (Germany)? `catrain zones` lists all"
        );
        assert_eq!(
            hint("US-CAL-CISP"),
            "did you mean `US-CAL-CISO` (California ISO)? `catrain zones` lists all"
        );
        assert_eq!(hint("qqqqqqqqqqqq"), "`catrain zones` lists all");
        assert_eq!(hint(""), "`catrain zones` lists all");
    }

    #[test]
    fn a_zone_is_guessed_only_where_one_fits() {
        let zone = |name| guess(name).map(|zone| zone.zone);
        assert_eq!(zone("Europe/Berlin"), Some("DE"));
        assert_eq!(zone("Europe/Paris"), Some("FR"));
        assert_eq!(zone("Europe/London"), Some("GB"));
        assert_eq!(zone("Africa/Windhoek"), Some("NA"));
        let several = [
            "America/New_York",
            "America/Los_Angeles",
            "America/Chicago",
            "America/Toronto",
            "Australia/Sydney",
            "Atlantic/Canary",
            "UTC",
            "Etc/UTC",
            "time_zone",
            "",
        ];
        for name in several {
            assert_eq!(zone(name), None, "{name}");
        }
    }

    #[test]
    fn every_time_zone_leads_to_a_known_zone() {
        let rows: Vec<_> = (TIME_ZONES.lines())
            .filter(|line| !line.starts_with('#'))
            .skip(1)
            .map(|line| line.split_once(',').unwrap())
            .collect();
        assert!(rows.len() > 150);
        for (name, zone) in rows {
            assert!(average(zone).is_some(), "{name} {zone}");
        }
    }

    #[test]
    fn a_guess_is_announced_and_a_given_zone_is_not() {
        let guessed = resolve(None, Some("Europe/Berlin")).unwrap();
        assert_eq!(
            guessed.announcement().unwrap(),
            "zone DE guessed from the time zone Europe/Berlin (set it: -z, CATRAIN_ZONE, or zone = in the config)"
        );
        let given = resolve(Some("se"), Some("Europe/Berlin")).unwrap();
        assert_eq!((given.zone.zone, given.announcement()), ("SE", None));
        let none = resolve(None, Some("America/Chicago")).unwrap_err();
        assert_eq!(
            none.to_string(),
            "no zone given, and the time zone `America/Chicago` does not fit exactly one"
        );
    }
}
