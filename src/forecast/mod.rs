//! Carbon intensity over time: what was observed, what was issued, and what to expect.
//!
//! A [`Series`] is a sorted list of half-open UTC intervals, each with its intensity and kind; holes
//! stay holes. [`Knowledge`] is everything a source chain knows of a zone. [`ahead`] turns it into
//! an [`Outlook`], the intensity ahead that the planner works with.

pub mod ahead;
pub mod builtin;
pub mod windows;
pub mod zones;

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::units::GramsPerKwh;

/// What the intensity is the intensity of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The mean of the mix.
    Average,
    /// What one more kilowatt-hour causes.
    Marginal,
}

/// Which emissions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// From mine to scrap.
    Lifecycle,
    /// At the stack.
    Direct,
    /// At the stack and in the fuel's supply.
    Operational,
    /// The source does not say.
    Unknown,
}

/// What a number means. Numbers of different bases are never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Average or marginal.
    pub signal: Signal,
    /// What is counted.
    pub scope: Scope,
}

impl Basis {
    /// The basis of the built-in data: average, lifecycle.
    pub const AVERAGE_LIFECYCLE: Self = Self {
        signal: Signal::Average,
        scope: Scope::Lifecycle,
    };
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = match self.signal {
            Signal::Average => "average",
            Signal::Marginal => "marginal",
        };
        let scope = match self.scope {
            Scope::Lifecycle => "lifecycle",
            Scope::Direct => "direct",
            Scope::Operational => "operational",
            Scope::Unknown => "scope unknown",
        };
        write!(f, "{signal}, {scope}")
    }
}

/// How a forecast came about, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answered by a source, or read from a file that holds what one said.
    Live,
    /// The last good answer.
    Cached,
    /// A gap bridged from its neighbours.
    Interpolated,
    /// Of another basis, rescaled: may steer, never enters a sum of grams.
    Rescaled,
    /// The usual day of the month.
    Profile,
    /// A zone's, continent's or the world's yearly average: never holds or pauses.
    RegionalAverage,
    /// A number that was given.
    Static,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Cached => "cached",
            Self::Interpolated => "interpolated",
            Self::Rescaled => "rescaled",
            Self::Profile => "profile",
            Self::RegionalAverage => "regional average",
            Self::Static => "static",
        })
    }
}

/// A half-open interval `[start, end)` of UTC time; `start < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Included.
    pub start: Timestamp,
    /// Excluded.
    pub end: Timestamp,
}

impl Span {
    /// From `start` for `length`.
    pub fn new(start: Timestamp, length: Duration) -> Self {
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        Self {
            start,
            end: start
                .saturating_add(length)
                .expect("a signed duration is never an invalid span"),
        }
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        self.end.duration_since(self.start).unsigned_abs()
    }

    /// Whether `at` lies inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The part shared with `other`, if any.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }
}

/// The intensity of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// How much.
    #[serde(rename = "g_per_kwh")]
    pub intensity: GramsPerKwh,
    /// How it is known.
    pub kind: Kind,
}

/// Intensities over time: sorted, disjoint, with holes where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    points: Vec<Point>,
}

/// What a source knows of a zone. `ahead` looks only at what was known by its `now`:
/// observations that had begun and issues that had been issued; so one value serves a whole replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Knowledge {
    /// The zone's name.
    pub zone: String,
    /// What all numbers in here mean.
    pub basis: Basis,
    /// Who says so, for messages: `built-in`, `file trace.csv`.
    pub source: String,
    /// Measured intensities.
    pub observations: Series,
    /// Stored forecasts, oldest first.
    pub issues: Vec<Issue>,
    /// The zone's usual day by month, of the same basis unless `profile_same_accounting` is false.
    pub profile: Option<&'static builtin::Profile>,
    /// Whether the profile's level means the same as the observations'; else only its shape is used.
    pub profile_same_accounting: bool,
    /// A flat fallback where nothing else is known: never holds or pauses.
    pub yearly_average: Option<GramsPerKwh>,
}

/// A forecast as it was issued.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// When it was made.
    pub issued_at: Timestamp,
    /// What it said.
    pub series: Series,
}

/// The intensity ahead, from `now` on, and how far to trust it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The zone's name.
    pub zone: String,
    /// What the numbers mean.
    pub basis: Basis,
    /// Who says so.
    pub source: String,
    /// The kind that steers: that of the best data in it.
    pub kind: Kind,
    /// 0 to 1: how much better than the yearly mean.
    pub confidence: f64,
    /// When the newest forecast or observation in it was made.
    pub issued_at: Option<Timestamp>,
    /// Expected intensities, hole-free from the hour of `now` to the horizon.
    pub expected: Series,
    /// The mean of the usual day: prices work beyond the horizon.
    pub mean: GramsPerKwh,
}
