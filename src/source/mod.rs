//! Where intensities come from: a [`chain::Chain`] asks the sources in order, [`replay`] opens a
//! recorded day. Both give a [`Knowledge`], from which `forecast::ahead` makes an outlook.
//!
//! A service is a file that says what to ask and how to read what comes, without a network; `reading`
//! is what they share. Built-in data is the last rung: it is joined to what a source knows, and stands
//! alone where none answers. A file that was named and cannot be used is an error, not a reason to fall
//! back in silence, unless another source was named after it.

mod asking;
pub mod builtin;
pub mod carbon_aware_sdk;
pub mod chain;
mod coverage;
pub mod electricity_maps;
pub mod energi_data_service;
pub mod energy_charts;
pub mod file;
#[cfg(test)]
mod hostile;
pub mod neso;
pub mod profiles;
mod reading;
#[cfg(test)]
mod samples;
pub mod telling;
pub mod watttime;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::archive::Of;
use crate::caller::wire::Provider;
use crate::forecast::learn::Lessons;
use crate::forecast::{Basis, Kind, Knowledge, Span, zones};
use crate::{parse, words};
use carbon_aware_sdk::CarbonAwareSdk;
use electricity_maps::ElectricityMaps;
use energi_data_service::EnergiDataService;
use energy_charts::EnergyCharts;
use file::{FileError, Recorded};
use neso::Neso;
use watttime::WattTime;

/// Observed time before lessons begin: of what is expected with less behind it, little is learned
/// that holds later. The learned corrections were tried on half a year with
/// origins from this hour on.
const LEARN_AFTER: SignedDuration = SignedDuration::from_hours(480);

/// A service that is asked over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Live {
    /// The Carbon Intensity API of Great Britain's system operator.
    Neso,
    /// Energy-Charts of Fraunhofer ISE: Europe.
    EnergyCharts,
    /// Energi Data Service of Energinet: Denmark.
    EnergiDataService,
    /// Electricity Maps: the world.
    ElectricityMaps,
    /// WattTime: marginal intensities.
    WattTime,
    /// A Carbon Aware SDK of one's own.
    CarbonAwareSdk,
}

impl Live {
    /// All of them; those that need no key first.
    pub const ALL: [Self; 6] = [
        Self::Neso,
        Self::EnergyCharts,
        Self::EnergiDataService,
        Self::ElectricityMaps,
        Self::WattTime,
        Self::CarbonAwareSdk,
    ];

    /// Its name in flags, files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Neso => "neso",
            Self::EnergyCharts => "energy-charts",
            Self::EnergiDataService => "energi-data-service",
            Self::ElectricityMaps => "electricity-maps",
            Self::WattTime => "watttime",
            Self::CarbonAwareSdk => "carbon-aware-sdk",
        }
    }

    /// Whether it answers everybody, at an address that is known.
    pub fn is_keyless(self) -> bool {
        matches!(
            self,
            Self::Neso | Self::EnergyCharts | Self::EnergiDataService
        )
    }

    /// What its variables begin with: `CATRAIN_ENERGY_CHARTS`.
    pub fn variable(self) -> String {
        format!("CATRAIN_{}", self.name().replace('-', "_").to_uppercase())
    }
}

/// How a service is asked and read; `maps` says how Electricity Maps is.
pub fn provider(live: Live, maps: ElectricityMaps) -> Box<dyn Provider> {
    match live {
        Live::Neso => Box::new(Neso),
        Live::EnergyCharts => Box::new(EnergyCharts),
        Live::EnergiDataService => Box::new(EnergiDataService),
        Live::ElectricityMaps => Box::new(maps),
        Live::WattTime => Box::new(WattTime),
        Live::CarbonAwareSdk => Box::new(CarbonAwareSdk),
    }
}

/// A source by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A service.
    Live(Live),
    /// `file:PATH`.
    File(PathBuf),
    /// `built-in`.
    BuiltIn,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "file:" => Err("`file:` lacks a path; expected `file:PATH`".to_owned()),
            text if text.starts_with("file:") => Ok(Self::File(PathBuf::from(&text[5..]))),
            "built-in" | "builtin" => Ok(Self::BuiltIn),
            other if other.ends_with(".csv") => Err(format!(
                "unknown source `{other}`; a file is named `file:{other}`"
            )),
            other => match Live::ALL.into_iter().find(|live| live.name() == other) {
                Some(live) => Ok(Self::Live(live)),
                None => {
                    let names = Live::ALL.map(Live::name).join("`, `");
                    Err(format!(
                        "unknown source `{other}`; expected `{names}`, `file:PATH` or `built-in`"
                    ))
                }
            },
        }
    }
}

impl Name {
    /// The zone that the source is of by its name, where that tells.
    pub fn zone(&self) -> Option<String> {
        match self {
            Self::File(path) => zone_of(path),
            Self::Live(_) | Self::BuiltIn => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Live(live) => f.write_str(live.name()),
            Self::BuiltIn => f.write_str(builtin::NAME),
        }
    }
}

/// How one source fared.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Tried {
    /// Its name.
    pub source: String,
    /// What came of it, in words.
    pub outcome: String,
}

/// That sources failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Each with the reason, and what to do about it.
    pub failed: Vec<String>,
    /// What is used instead.
    pub instead: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} instead", self.failed.join("; "), self.instead)
    }
}

/// What the sources know of a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered {
    /// All of it.
    pub knowledge: Knowledge,
    /// Whose archive it adds to, where a service answered that means what it says.
    pub of: Option<Of>,
    /// Which sources were asked, in order.
    pub tried: Vec<Tried>,
    /// Which of them failed and why, and what is used instead.
    pub trouble: Option<Trouble>,
    /// When there will be something new.
    pub next: Duration,
    /// What was repaired, assumed or is worth knowing, a sentence each.
    pub notes: Vec<String>,
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The trace of a replay is neither a file nor a zone.
    #[error("`{0}` is neither a file nor a zone with built-in data")]
    NoTrace(String),
    /// The time of a replay cannot be read.
    #[error("`{0}` is not a time to replay from")]
    ReplayTime(String),
    /// The time of a replay lies outside of the trace.
    #[error("`{trace}` has nothing at {at}: it runs from {} to {}", span.start, span.end)]
    OutsideTrace {
        /// The trace.
        trace: String,
        /// The time.
        at: Timestamp,
        /// What the trace covers.
        span: Span,
    },
}

impl SourceError {
    /// What happened, with its cause, in one line.
    pub fn in_a_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::NoTrace(_) => "name a CSV file or a zone: trace.csv, DE@2026-11-25".to_owned(),
            Self::ReplayTime(_) => {
                "expected `2021-11-17`, `2021-11-17T18:00` (UTC) or RFC 3339".to_owned()
            }
            Self::OutsideTrace { .. } => "choose a time in between".to_owned(),
        }
    }
}

/// What a file knows of `zone`, at `now`, and how it fared.
fn gather_file(
    path: &Path,
    zone: &str,
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Result<(Knowledge, String), SourceError> {
    let recorded = file::read(path)?;
    let outcome = outcome(&recorded);
    notes.extend(age(&recorded, path, now));
    if let Some(other) = zone_of(path).filter(|other| other != zone) {
        let path = path.display();
        notes.push(format!(
            "`{path}` is named after {other} and used for {zone}"
        ));
    }
    Ok((join(recorded, zone, &file_name(path), notes), outcome))
}

fn outcome(recorded: &Recorded) -> String {
    let values = recorded.observations.points().len();
    match (values, recorded.issues.len()) {
        (values, 0) => format!("{values} values"),
        (0, issues) => format!("{issues} forecasts"),
        (values, issues) => format!("{issues} forecasts, {values} values"),
    }
}

/// What to say about a file whose data does not reach the present.
fn age(recorded: &Recorded, path: &Path, now: Timestamp) -> Option<String> {
    let end = recorded.span()?.end;
    let old = now.duration_since(end);
    (old >= SignedDuration::from_hours(1)).then(|| {
        format!(
            "`{}` ends {} before now; `--replay {}` lives out a recorded day",
            path.display(),
            words::duration(old.unsigned_abs()),
            path.display(),
        )
    })
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    format!("file {}", name.to_string_lossy())
}

/// A file's data with the built-in data of its zone. A file cannot say what its numbers mean: they
/// are taken for average, lifecycle, and that is said.
fn join(recorded: Recorded, zone: &str, source: &str, notes: &mut Vec<String>) -> Knowledge {
    let basis = Basis::AVERAGE_LIFECYCLE;
    let usual = builtin::knowledge(zone);
    notes.extend(recorded.notes);
    notes.push(format!("{source} is taken to be {basis}"));
    let same = usual.basis == basis;
    let lessons = (recorded.observations.span())
        .and_then(|span| span.start.checked_add(LEARN_AFTER).ok())
        .map(Lessons::since);
    Knowledge {
        zone: zone.to_owned(),
        basis,
        source: source.to_owned(),
        kind: Kind::Live,
        observations: recorded.observations,
        issues: recorded.issues,
        profile: usual.profile,
        profile_same_accounting: same,
        yearly_average: usual.yearly_average.filter(|_| same),
        lessons,
        trust: None,
        leads: Vec::new(),
    }
}

/// A day to live out again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayDay {
    /// All that the trace knows, the future of the replay included: `ahead` does not look there.
    pub knowledge: Knowledge,
    /// Where it begins.
    pub from: Timestamp,
    /// The zone: as given, or told by the file's name, else `file`.
    pub zone: String,
    /// The trace, for records: the file's name or the zone.
    pub trace_name: String,
    /// What was repaired, assumed or is worth knowing, a sentence each.
    pub notes: Vec<String>,
}

/// Opens `TRACE[@TIME]`: a file or a zone with built-in data; an RFC 3339 time, `2021-11-17` or
/// `2021-11-17T18:00` (UTC). Without a time a file begins with its first value or forecast, and a
/// zone at `now`.
///
/// # Errors
/// No such trace, an unusable file, or a time that cannot be read or lies outside of the file.
pub fn replay(spec: &str, zone: Option<&str>, now: Timestamp) -> Result<ReplayDay, SourceError> {
    let (trace, time) = match spec.rsplit_once('@') {
        // A file may have an `@` in its name.
        Some((trace, time)) if !Path::new(path_of(spec)).exists() => (trace, Some(time)),
        _ => (spec, None),
    };
    let time = time.map(replay_time).transpose()?;
    let known = |name: &str| zones::find(name).map(|zone| zone.zone.to_owned());
    let path = Path::new(path_of(trace));
    let is_file = trace.starts_with("file:") || path.exists();
    if !is_file && let Ok(zone) = known(trace) {
        return Ok(ReplayDay {
            knowledge: builtin::knowledge(&zone),
            from: time.unwrap_or(now),
            trace_name: zone.clone(),
            zone,
            notes: Vec::new(),
        });
    }
    if !is_file && !trace.contains(['/', '.']) {
        return Err(SourceError::NoTrace(trace.to_owned()));
    }
    let recorded = file::read(path)?;
    let zone = match zone {
        Some(given) => known(given).unwrap_or_else(|_| given.to_owned()),
        None => zone_of(path).unwrap_or_else(|| "file".to_owned()),
    };
    let trace_name = path.file_name().unwrap_or(path.as_os_str());
    let trace_name = trace_name.to_string_lossy().into_owned();
    let from = match (time, recorded.span()) {
        (Some(at), Some(span)) if !span.contains(at) => {
            return Err(SourceError::OutsideTrace {
                trace: trace_name,
                at,
                span,
            });
        }
        (Some(at), _) => at,
        (None, span) => match recorded.issues.first() {
            Some(issue) => issue.issued_at,
            None => span.map_or(now, |span| span.start),
        },
    };
    let mut notes = Vec::new();
    let knowledge = join(recorded, &zone, &file_name(path), &mut notes);
    Ok(ReplayDay {
        knowledge,
        from,
        zone,
        trace_name,
        notes,
    })
}

/// All that a file knows of a zone, the outcome included, and what is worth knowing about it.
///
/// # Errors
/// The file cannot be used.
pub fn past(path: &Path, zone: &str) -> Result<(Knowledge, Vec<String>), SourceError> {
    let mut notes = Vec::new();
    let knowledge = join(file::read(path)?, zone, &file_name(path), &mut notes);
    Ok((knowledge, notes))
}

fn replay_time(text: &str) -> Result<Timestamp, SourceError> {
    parse::utc_time(text).ok_or_else(|| SourceError::ReplayTime(text.trim().to_owned()))
}

fn path_of(trace: &str) -> &str {
    trace.strip_prefix("file:").unwrap_or(trace)
}

/// The zone that a file is named after: `DE` for `DE_2021-11.csv`; `None` where it is no known zone.
pub fn zone_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let start = name.split(['_', '.']).next()?;
    zones::find(start).ok().map(|zone| zone.zone.to_owned())
}
