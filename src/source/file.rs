//! `file:PATH`: a recorded trace, or forecasts as they were issued, read from CSV.
//!
//! Two forms, told apart by their header:
//!
//! ```text
//! datetime,carbon_intensity_gco2_per_kwh                 a trace: each value from its time on
//! issued_at,target_time,forecast[,actual]                issued forecasts, with what came
//! ```
//!
//! Times are RFC 3339 with a zone and mark the start of a step; the step is inferred. Other columns
//! are passed over, and so are lines that begin with `#`. What can be repaired without guessing is
//! repaired and stated in the notes; everything else is an error with its line. A value that is
//! missing stays a hole and is never a zero.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::{Issue, Kind, Point, Series, Span};
use crate::units::GramsPerKwh;
use crate::words;

/// Larger files are refused: six million rows fill this, 170 years of 15-minute steps.
pub const LARGEST: u64 = 256 * 1024 * 1024;

/// Characters of a header that are quoted.
const LONGEST_QUOTE: usize = 120;

/// Steps longer than this say nothing about when to run.
const LONGEST_STEP: SignedDuration = SignedDuration::from_hours(24);

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Measured intensities: the trace, or the `actual` column.
    pub observations: Series,
    /// Forecasts, oldest first.
    pub issues: Vec<Issue>,
    /// What was repaired or left open, a sentence each.
    pub notes: Vec<String>,
}

impl Recorded {
    /// From the first time that anything was known to the end of the last value.
    pub fn span(&self) -> Option<Span> {
        let issues = self.issues.iter().filter_map(|issue| {
            let end = issue.series.span()?.end;
            Some(Span {
                start: issue.issued_at,
                end,
            })
        });
        (self.observations.span().into_iter().chain(issues)).reduce(|a, b| Span {
            start: a.start.min(b.start),
            end: a.end.max(b.end),
        })
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("`{}` is {what}, not a file", path.display())]
    NotAFile {
        /// Which path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is above [`LARGEST`].
    #[error("`{}` is too large: {} MB, at most {} MB are read", path.display(), size / 1_048_576, LARGEST / 1_048_576)]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Bytes.
        size: u64,
    },
    /// There is no header, or no row under it.
    #[error("`{}` is empty: {what}", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A line cannot be used.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The header is of neither form.
    #[error("the header is neither that of a trace nor of issued forecasts: `{0}`")]
    Header(String),
    /// Not UTF-8.
    #[error("this is not UTF-8 text")]
    NotText,
    /// More or fewer fields than the header.
    #[error("{found} fields where the header has {wanted}")]
    Fields {
        /// In this line.
        found: u64,
        /// In the header.
        wanted: u64,
    },
    /// Not a time.
    #[error("`{0}` is not a time")]
    Time(String),
    /// A time without a zone.
    #[error("the time `{0}` has no zone")]
    NoZone(String),
    /// Not a usable intensity.
    #[error("`{value}` is {why}")]
    Value {
        /// What stands there.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same time again with another value.
    #[error("{at} was given at line {first} with another value ({one}, now {other})")]
    Conflict {
        /// The time.
        at: Timestamp,
        /// Where it stood first.
        first: u64,
        /// Its value there.
        one: f64,
        /// Its value here.
        other: f64,
    },
    /// The rows are too far apart.
    #[error("rows are {} apart", words::duration(.0.unsigned_abs()))]
    Coarse(SignedDuration),
}

impl FileError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
            Self::NotAFile { .. } => "name a CSV file: file:PATH".to_owned(),
            Self::TooLarge { .. } => "cut out the years that matter".to_owned(),
            Self::Empty { .. } => forms(),
            Self::Line { problem, .. } => match problem {
                Problem::Header(_) => forms(),
                Problem::NotText => "save it as UTF-8".to_owned(),
                Problem::Fields { .. } => "is the file cut off, or a comma too many?".to_owned(),
                Problem::Time(_) => "times are RFC 3339: 2026-11-25T09:00:00Z".to_owned(),
                Problem::NoZone(_) => "add `Z` for UTC, or an offset such as `+01:00`".to_owned(),
                Problem::Value { .. } => {
                    "intensities are g/kWh from 0 up; leave the field empty where one is missing"
                        .to_owned()
                }
                Problem::Conflict { .. } => "remove one of the two".to_owned(),
                Problem::Coarse(_) => "a step may be a day at most".to_owned(),
            },
        }
    }
}

fn forms() -> String {
    "expected `datetime,carbon_intensity_gco2_per_kwh` or `issued_at,target_time,forecast,actual`"
        .to_owned()
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, is too large, or a line cannot be used; see [`FileError`].
pub fn read(path: &Path) -> Result<Recorded, FileError> {
    parse(path, open(path)?)
}

/// Opens a file to be read whole: nothing that hangs, and no more of it than [`LARGEST`].
///
/// # Errors
/// It cannot be opened, is no file, or is too large.
pub fn open(path: &Path) -> Result<impl Read + use<>, FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Looked at before it is opened: to open a pipe that nobody writes to would hang.
    check(path, &std::fs::metadata(path).map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    check(path, &file.metadata().map_err(unreadable)?)?;
    // It may grow while it is read.
    Ok(file.take(LARGEST))
}

fn check(path: &Path, metadata: &std::fs::Metadata) -> Result<(), FileError> {
    let path = path.to_owned();
    if metadata.is_dir() {
        let what = "a directory";
        return Err(FileError::NotAFile { path, what });
    }
    if !metadata.is_file() {
        let what = "a pipe or a device";
        return Err(FileError::NotAFile { path, what });
    }
    match metadata.len() {
        size if size > LARGEST => Err(FileError::TooLarge { path, size }),
        _ => Ok(()),
    }
}

/// A value with the line it stands in.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    at: Timestamp,
    value: f64,
    line: u64,
}

/// What was noticed on the way, told once for the whole file.
#[derive(Debug, Default)]
struct Noticed {
    missing: usize,
    repeated: usize,
    unsorted: Option<u64>,
    holes: usize,
    hole_time: Duration,
    mixed: Option<u64>,
    revised: usize,
    single: bool,
}

fn parse(path: &Path, input: impl Read) -> Result<Recorded, FileError> {
    let wrong = |line, problem| FileError::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let empty = |what| FileError::Empty {
        path: path.to_owned(),
        what,
    };
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(input);
    let header = reader
        .headers()
        .map_err(|error| broken(path, error))?
        .clone();
    if header.iter().all(str::is_empty) {
        return Err(empty("not even a header"));
    }
    let header_line = header.position().map_or(1, csv::Position::line);
    let column = |name: &str| {
        header
            .iter()
            .position(|field| field.eq_ignore_ascii_case(name))
    };
    let form = match (
        (column("datetime"), column("carbon_intensity_gco2_per_kwh")),
        (
            column("issued_at"),
            column("target_time"),
            column("forecast"),
        ),
    ) {
        ((Some(at), Some(value)), _) => (None, at, None, Some(value)),
        (_, (Some(issued), Some(at), Some(said))) => {
            (Some(issued), at, Some(said), column("actual"))
        }
        _ => {
            // Enough to know it again; a file that is no text may be one line of megabytes.
            let found = header.iter().collect::<Vec<&str>>().join(",");
            let found = found.chars().take(LONGEST_QUOTE).collect();
            return Err(wrong(header_line, Problem::Header(found)));
        }
    };
    let (issued_column, at_column, said_column, came_column) = form;

    let mut noticed = Noticed::default();
    let mut came: Vec<Row> = Vec::new();
    let mut said: BTreeMap<Timestamp, Vec<Row>> = BTreeMap::new();
    let mut rows = 0_u64;
    let mut record = csv::StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| broken(path, error))?
    {
        rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |column: usize| record.get(column).unwrap_or_default();
        let at = time(field(at_column)).map_err(|problem| wrong(line, problem))?;
        let row = |column: usize| {
            value(field(column))
                .map(|value| value.map(|value| Row { at, value, line }))
                .map_err(|problem| wrong(line, problem))
        };
        if let (Some(issued), Some(said_column)) = (issued_column, said_column) {
            let issued = time(field(issued)).map_err(|problem| wrong(line, problem))?;
            let issue = said.entry(issued).or_default();
            match row(said_column)? {
                Some(row) => issue.push(row),
                None => noticed.missing += 1,
            }
        }
        if let Some(column) = came_column {
            match row(column)? {
                Some(row) => came.push(row),
                // The actual of a future hour is not missing, it has not come.
                None => noticed.missing += usize::from(issued_column.is_none()),
            }
        }
    }
    if rows == 0 {
        return Err(empty("a header and no row"));
    }

    let conflict = |problem: (u64, Problem)| wrong(problem.0, problem.1);
    // Each issue repeats what came; a later row may revise it.
    let observations = match issued_column {
        Some(_) => {
            latest(&mut came, &mut noticed);
            series(came, &mut noticed)
        }
        None => series(
            distinct(came, &mut noticed).map_err(conflict)?,
            &mut noticed,
        ),
    }
    .map_err(conflict)?;
    let mut issues = Vec::new();
    for (issued_at, rows) in said {
        let rows = distinct(rows, &mut noticed).map_err(conflict)?;
        let series = series(rows, &mut noticed).map_err(conflict)?;
        issues.push(Issue { issued_at, series });
    }
    issues.retain(|issue| !issue.series.is_empty());
    if observations.is_empty() && issues.is_empty() {
        return Err(empty("no row has a value"));
    }
    Ok(Recorded {
        observations,
        issues,
        notes: noticed.notes(),
    })
}

fn broken(path: &Path, error: csv::Error) -> FileError {
    let line = error.position().map_or(1, csv::Position::line);
    let path = path.to_owned();
    let problem = match error.into_kind() {
        csv::ErrorKind::Io(source) => return FileError::Unreadable { path, source },
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Problem::Fields {
            found: len,
            wanted: expected_len,
        },
        _ => Problem::NotText,
    };
    FileError::Line {
        path,
        line,
        problem,
    }
}

fn time(text: &str) -> Result<Timestamp, Problem> {
    text.parse::<Timestamp>()
        .map_err(|_| match text.parse::<jiff::civil::DateTime>() {
            Ok(_) => Problem::NoZone(text.to_owned()),
            Err(_) => Problem::Time(text.to_owned()),
        })
}

/// An intensity; `None` where the field is empty.
fn value(text: &str) -> Result<Option<f64>, Problem> {
    let wrong = |why| Problem::Value {
        value: text.to_owned(),
        why,
    };
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Err(_) => Err(wrong("not a number")),
        Ok(value) if !value.is_finite() => Err(wrong("not a finite number")),
        Ok(value) if value < 0.0 => Err(wrong("negative")),
        Ok(value) if value > Series::GREATEST.0 => Err(wrong("more than any plant emits")),
        Ok(value) => Ok(Some(value)),
    }
}

/// Sorts rows and drops what is there twice.
fn distinct(mut rows: Vec<Row>, noticed: &mut Noticed) -> Result<Vec<Row>, (u64, Problem)> {
    let unsorted = rows.windows(2).find(|pair| pair[1].at < pair[0].at);
    if let Some(pair) = unsorted {
        noticed.unsorted.get_or_insert(pair[1].line);
        rows.sort_by_key(|row| row.at);
    }
    let differs =
        (rows.windows(2)).find(|two| two[0].at == two[1].at && two[0].value != two[1].value);
    if let Some([one, other]) = differs {
        let problem = Problem::Conflict {
            at: one.at,
            first: one.line,
            one: one.value,
            other: other.value,
        };
        return Err((other.line, problem));
    }
    let before = rows.len();
    rows.dedup_by_key(|row| row.at);
    noticed.repeated += before - rows.len();
    Ok(rows)
}

/// Sorts rows and keeps the last one of each time.
fn latest(rows: &mut Vec<Row>, noticed: &mut Noticed) {
    rows.sort_by_key(|row| row.at);
    rows.dedup_by(|later, kept| {
        let same = later.at == kept.at;
        if same {
            noticed.revised += usize::from(later.value != kept.value);
            *kept = *later;
        }
        same
    });
}

/// Turns sorted rows into intervals. Each value counts until the next row where that is one step
/// away, or where the rows around it are just as far apart (a stretch of coarser steps); else for
/// one step, and what follows is a hole. The step is the most frequent distance.
fn series(rows: Vec<Row>, noticed: &mut Noticed) -> Result<Series, (u64, Problem)> {
    let distances: Vec<SignedDuration> = (rows.windows(2))
        .map(|pair| pair[1].at.duration_since(pair[0].at))
        .collect();
    let mut counts: HashMap<SignedDuration, usize> = HashMap::new();
    for distance in &distances {
        *counts.entry(*distance).or_default() += 1;
    }
    let most_frequent =
        (counts.into_iter()).max_by_key(|(distance, count)| (*count, std::cmp::Reverse(*distance)));
    let step = match (most_frequent, rows.first()) {
        (Some((step, _)), Some(first)) if step > LONGEST_STEP => {
            return Err((first.line, Problem::Coarse(step)));
        }
        (Some((step, _)), _) => step,
        (None, first) => {
            noticed.single |= first.is_some();
            SignedDuration::from_hours(1)
        }
    };
    let mut points = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let next = distances.get(index).copied();
        let before = index.checked_sub(1).map(|index| distances[index]);
        let after = distances.get(index + 1).copied();
        let length = match next {
            Some(next) if next <= step => next,
            Some(next) if next <= LONGEST_STEP && (Some(next) == before || Some(next) == after) => {
                next
            }
            _ => step,
        };
        if length != step {
            noticed.mixed.get_or_insert(row.line);
        }
        if let Some(next) = next.filter(|next| *next > length) {
            noticed.holes += 1;
            noticed.hole_time += (next - length).unsigned_abs();
        }
        points.push(Point {
            span: Span::new(row.at, length.unsigned_abs()),
            intensity: GramsPerKwh(row.value),
            kind: Kind::Live,
        });
    }
    Ok(Series::new(points))
}

impl Noticed {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(line) = self.unsorted {
            notes.push(format!(
                "rows were not in order of time (first at line {line}): sorted"
            ));
        }
        if self.repeated > 0 {
            notes.push(format!("{} stood twice: counted once", rows(self.repeated)));
        }
        if self.revised > 0 {
            let many = rows(self.revised);
            notes.push(format!(
                "{many} gave another `actual` for the same time: the last counts"
            ));
        }
        if self.missing > 0 {
            notes.push(format!(
                "{} without a value: kept as holes",
                rows(self.missing)
            ));
        }
        if self.holes > 0 {
            notes.push(format!(
                "{} without rows, {} in all: kept as {}",
                count(self.holes, "stretch", "stretches"),
                words::duration(self.hole_time),
                if self.holes == 1 { "a hole" } else { "holes" },
            ));
        }
        if let Some(line) = self.mixed {
            notes.push(format!(
                "steps differ (first at line {line}): each value counts until the next row"
            ));
        }
        if self.single {
            notes.push("a row that stands alone counts for one hour".to_owned());
        }
        notes
    }
}

fn rows(count: usize) -> String {
    self::count(count, "row", "rows")
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
