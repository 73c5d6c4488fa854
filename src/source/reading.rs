//! What all providers need to read answers that may be anything: the status first, then JSON of a
//! known shape, and rows of times and numbers that become points or holes.
//!
//! Nothing here fails because of a single value: what cannot be an intensity is a hole and is
//! counted. Nothing here grows beyond [`MOST_ROWS`], and no more of a body is ever quoted than fits
//! in a line.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::caller::limits::retry_after;
use crate::caller::wire::{Answer, Refused, Said};
use crate::forecast::{Issue, Kind, Point, Series, Span};
use crate::parse;
use crate::units::GramsPerKwh;

/// Longer lists are refused: two months of 5-minute steps fit, ten times what is ever asked for.
pub(super) const MOST_ROWS: usize = 20_000;

/// Steps longer than this say nothing about when to run.
const LONGEST_STEP: Duration = Duration::from_secs(86_400);

/// Characters of a body that are quoted.
const LONGEST_QUOTE: usize = 80;

/// Characters of a text that are looked at, whatever its length.
const LONGEST_TEXT: usize = 320;

/// What the status says, for all providers alike; `Ok` where the body is to be read. A provider that
/// means something else by a status looks at it before. `wait` is for a 429 that names no time.
pub(super) fn success(answer: &Answer<'_>, wait: Option<Duration>) -> Result<(), Refused> {
    let said = || format!("{}: {}", answer.status, complaint(answer.body));
    Err(match answer.status {
        200 => return Ok(()),
        204 => Refused::NoData("no content".to_owned()),
        201..=299 => Refused::NotAnAnswer(format!("status {}", answer.status)),
        410 => Refused::Ours("this is gone for good; choose another source".to_owned()),
        429 => Refused::Throttled {
            after: told_wait(answer).or(wait),
        },
        // What it cannot do today it cannot do in a second.
        501 | 505 => Refused::Ours(said()),
        500..=599 => Refused::Faulty(said()),
        _ => Refused::Ours(said()),
    })
}

/// The time to wait that came with an answer.
pub(super) fn told_wait(answer: &Answer<'_>) -> Option<Duration> {
    retry_after(answer.retry_after?, answer.at)
}

/// A body as JSON of a known shape.
///
/// # Errors
/// It is empty, no JSON, cut off, or has another shape.
pub(super) fn json<T: DeserializeOwned>(answer: &Answer<'_>) -> Result<T, Refused> {
    let body = answer.body.trim_ascii();
    let why = match body.first() {
        None => "an empty body".to_owned(),
        Some(b'<') => "HTML or XML instead of JSON".to_owned(),
        Some(_) => match serde_json::from_slice(body) {
            Ok(read) => return Ok(read),
            Err(error) if error.is_eof() => {
                format!("JSON that is cut off after {} bytes", answer.body.len())
            }
            Err(error) if error.is_data() => {
                format!("JSON of another shape: {}", quote(&error.to_string()))
            }
            Err(_) => format!("no JSON: {}", complaint(body)),
        },
    };
    Err(Refused::NotAnAnswer(why))
}

/// What a body that is no answer says to a person, in a line: the message in it where there is one.
pub(super) fn complaint(body: &[u8]) -> String {
    let body = body.trim_ascii();
    if body.starts_with(b"<") {
        return "a page of HTML or XML".to_owned();
    }
    let message = (serde_json::from_slice(body).ok())
        .and_then(Complaint::message)
        .or_else(|| serde_json::from_slice::<Nested>(body).ok()?.error.message());
    let start = &body[..body.len().min(LONGEST_TEXT)];
    match quote(&message.unwrap_or_else(|| String::from_utf8_lossy(start).into_owned())) {
        said if said.is_empty() => "no reason given".to_owned(),
        said => said,
    }
}

/// Letters, digits and plain signs of a text, as far as they fit in a line: what a stranger sends
/// moves no cursor and turns no writing round.
pub(super) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic();
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    let blank = text.replace(|c| !plain(c), " ");
    let words: Vec<&str> = blank.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST_QUOTE).collect()
}

/// The names under which providers say why not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    message: Scalar,
    detail: Scalar,
    error: Scalar,
    title: Scalar,
}

/// The same, one level down.
#[derive(Deserialize)]
struct Nested {
    error: Complaint,
}

impl Complaint {
    fn message(self) -> Option<String> {
        [self.message, self.detail, self.error, self.title]
            .into_iter()
            .find_map(|field| match field {
                Scalar::Text(text) => Some(text),
                _ => None,
            })
    }
}

/// One value of JSON, whatever it is; of lists and objects only that they are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Scalar {
    /// Null.
    #[default]
    Null,
    /// A number.
    Number(f64),
    /// The beginning of a text.
    Text(String),
    /// Something else.
    Other,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
                Ok(Scalar::Other)
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.chars().take(LONGEST_TEXT).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar, A::Error> {
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A number as it came, before anybody asked whether it can be an intensity. Every value of JSON can
/// be read as one; a field that may be absent is `#[serde(default)]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Scalar")]
pub(super) enum Raw {
    /// Absent or null.
    #[default]
    Missing,
    /// A number.
    Number(f64),
    /// A number in quotes.
    Quoted(f64),
    /// Something else.
    Unreadable,
}

impl From<Scalar> for Raw {
    fn from(value: Scalar) -> Self {
        match value {
            Scalar::Null => Self::Missing,
            Scalar::Number(number) => Self::Number(number),
            Scalar::Text(text) => text.trim().parse().map_or(Self::Unreadable, Self::Quoted),
            Scalar::Other => Self::Unreadable,
        }
    }
}

impl Raw {
    /// The same in another unit.
    pub(super) fn times(self, factor: f64) -> Self {
        match self {
            Self::Number(number) => Self::Number(number * factor),
            Self::Quoted(number) => Self::Quoted(number * factor),
            other => other,
        }
    }

    /// The intensity, if it can be one. Exactly 0 can.
    pub(super) fn intensity(self) -> Option<GramsPerKwh> {
        match self {
            Self::Number(number) | Self::Quoted(number) => {
                Some(GramsPerKwh(number)).filter(|_| (0.0..=Series::GREATEST.0).contains(&number))
            }
            Self::Missing | Self::Unreadable => None,
        }
    }
}

/// A time with its offset: RFC 3339, also without seconds or with more digits than needed. None where
/// it is anything else. For `#[serde(default, deserialize_with = "…")]`.
pub(super) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(match Scalar::deserialize(from)? {
        Scalar::Text(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// As [`time`], for providers whose times are UTC without saying so.
pub(super) fn utc_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(match Scalar::deserialize(from)? {
        Scalar::Text(text) => parse::utc_time(&text),
        _ => None,
    })
}

/// A list of at most [`MOST_ROWS`]; a longer one is an error, found before it is in memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bounded<T>(pub(super) Vec<T>);

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<T>, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = list.next_element()? {
                    if rows.len() == MOST_ROWS {
                        return Err(too_many());
                    }
                    rows.push(row);
                }
                Ok(Bounded(rows))
            }
        }
        deserializer.deserialize_seq(Rows(PhantomData))
    }
}

/// A list, or one thing in the place of a list of one. It is read as it comes: what serde would keep
/// of it to try both has no bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or one of its kind")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(StrDeserializer::new(text)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<OneOrMany<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(object)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMany<T>, A::Error> {
                let Bounded(many) = Bounded::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(OneOrMany(many))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// An object with names of somebody's choice, of which at most [`MOST_ROWS`] are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoundedMap<T>(pub(super) BTreeMap<String, T>);

impl<T> Default for BoundedMap<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for BoundedMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = BoundedMap<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BoundedMap<T>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((name, entry)) = map.next_entry()? {
                    entries.insert(name, entry);
                    if entries.len() > MOST_ROWS {
                        return Err(too_many());
                    }
                }
                Ok(BoundedMap(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

fn too_many<E: Error>() -> E {
    E::custom(format!("more than {MOST_ROWS} rows"))
}

/// Rows in any order on their way to points.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    stated: Option<Duration>,
    usual: Duration,
    rows: Vec<Row>,
    without_time: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Row {
    start: Timestamp,
    end: Option<Timestamp>,
    value: Raw,
    is_estimated: bool,
}

impl Row {
    /// How long it says that it lasts.
    fn length(self) -> Option<Duration> {
        sensible(self.end?.duration_since(self.start).try_into().ok()?)
    }
}

impl Timeline {
    /// With the step that the answer states for all rows, if it does, and the provider's usual one, for
    /// when nothing tells.
    pub(super) fn new(stated: Option<Duration>, usual: Duration) -> Self {
        Self {
            stated: stated.and_then(sensible),
            usual,
            rows: Vec::new(),
            without_time: 0,
        }
    }

    /// Adds what was said of the time from `start` on. A row whose time could not be read is counted.
    pub(super) fn add(&mut self, start: Option<Timestamp>, end: Option<Timestamp>, value: Raw) {
        self.push(start, end, value, false);
    }

    /// As [`Self::add`], of what the answer itself calls an estimate.
    pub(super) fn add_estimated(
        &mut self,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        value: Raw,
    ) {
        self.push(start, end, value, true);
    }

    fn push(
        &mut self,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        value: Raw,
        is_estimated: bool,
    ) {
        match start {
            Some(start) => self.rows.push(Row {
                start,
                end,
                value,
                is_estimated,
            }),
            None => self.without_time += 1,
        }
    }

    /// The points, and in `notes` what was repaired or dropped.
    ///
    /// No point lasts longer than the step: one row that is missing leaves a hole instead of a longer
    /// neighbour. The step is what the answer states, else the most common length of its rows, else
    /// the most common distance between them, else the usual one.
    pub(super) fn finish(mut self, kind: Kind, notes: &mut Vec<String>) -> Series {
        self.rows.sort_by_key(|row| row.start);
        let step = (self.stated)
            .or_else(|| most_common(self.rows.iter().filter_map(|row| row.length())))
            .or_else(|| step_between(self.rows.iter().map(|row| row.start)))
            .unwrap_or(self.usual);
        let (mut unusable, mut quoted, mut revised) = (0, 0, 0);
        let mut points: Vec<Point> = Vec::new();
        for row in &self.rows {
            let Some(intensity) = row.value.intensity() else {
                unusable += 1;
                continue;
            };
            quoted += usize::from(matches!(row.value, Raw::Quoted(_)));
            let length = row.length().map_or(step, |length| length.min(step));
            let span = Span::new(row.start, length);
            let point = Point {
                span,
                intensity,
                kind: if row.is_estimated {
                    Kind::Estimated
                } else {
                    kind
                },
            };
            match points.last_mut() {
                Some(last) if last.span.start == span.start => {
                    revised += usize::from(last.intensity != intensity);
                    *last = point;
                }
                _ => points.push(point),
            }
        }
        let of = self.rows.len() + self.without_time;
        for (count, what) in [
            (self.without_time, "have no time that can be read"),
            (unusable, "are no intensities and stay holes"),
            (quoted, "came as text and were read as numbers"),
            (revised, "were given twice; the later ones count"),
        ] {
            if count > 0 {
                notes.push(format!("{count} of {of} values {what}"));
            }
        }
        Series::new(points)
    }
}

/// What was observed and what is expected, put together; what the answer does not date was issued when
/// it arrived.
///
/// # Errors
/// There is not one point in it.
pub(super) fn said(
    observed: &Series,
    expected: Series,
    issued_at: Timestamp,
    notes: Vec<String>,
) -> Result<Said, Refused> {
    if observed.is_empty() && expected.is_empty() {
        let why = match notes.is_empty() {
            true => "nothing is known of that time".to_owned(),
            false => notes.join("; "),
        };
        return Err(Refused::NoData(why));
    }
    let issue = (!expected.is_empty()).then_some(Issue {
        issued_at,
        series: expected,
    });
    Ok(Said {
        observations: observed.points().to_vec(),
        issue,
        notes,
    })
}

/// When a forecast was issued: when it says, else when it arrived. Never later than that, though a clock
/// over there may be ahead of ours: what is issued in the future is not looked at.
pub(super) fn issued(told: Option<Timestamp>, answer: &Answer<'_>) -> Timestamp {
    told.map_or(answer.at, |at| at.min(answer.at))
}

/// The most common distance between times.
pub(super) fn step_between(times: impl IntoIterator<Item = Timestamp>) -> Option<Duration> {
    let mut times: Vec<Timestamp> = times.into_iter().collect();
    times.sort();
    most_common(
        (times.windows(2))
            .filter_map(|pair| sensible(pair[1].duration_since(pair[0]).try_into().ok()?)),
    )
}

fn sensible(step: Duration) -> Option<Duration> {
    (Duration::ZERO < step && step <= LONGEST_STEP).then_some(step)
}

/// Of those that are equally common the shortest.
fn most_common(lengths: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut counts: BTreeMap<Duration, usize> = BTreeMap::new();
    for length in lengths {
        *counts.entry(length).or_default() += 1;
    }
    // The last of equals is found first when going backwards.
    let (length, _) = (counts.into_iter().rev()).max_by_key(|(_, count)| *count)?;
    Some(length)
}

#[cfg(test)]
mod tests;
