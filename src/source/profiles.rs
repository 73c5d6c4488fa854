//! A table of usual days, to be used in place of the built-in one.
//!
//! ```text
//! zone,month,hour_utc,mean[,p10,p90]
//! ```
//!
//! A row an hour of each month, in g/kWh; hours are UTC and mark the start.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::{self, FileError};
use crate::forecast::builtin::Profile;

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A row is no row of such a table.
    #[error("`{path}`, line {line}: {why}")]
    Row {
        /// The file.
        path: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// A zone lacks hours.
    #[error("`{path}` has {found} of the 288 hours of {zone}")]
    Incomplete {
        /// The file.
        path: String,
        /// The zone.
        zone: String,
        /// Hours there are.
        found: usize,
    },
}

#[derive(serde::Deserialize)]
struct Row {
    zone: String,
    month: usize,
    hour_utc: usize,
    mean: f64,
    p10: Option<f64>,
    p90: Option<f64>,
}

/// The profiles by zone. They are kept until the process ends.
///
/// # Errors
/// The file cannot be read, a row cannot be used, or a zone is not whole.
pub fn read(path: &Path) -> Result<BTreeMap<String, &'static Profile>, ProfilesError> {
    let name = || path.display().to_string();
    let wrong = |line, why| ProfilesError::Row {
        path: name(),
        line,
        why,
    };
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(file::open(path)?);
    let mut hours: BTreeMap<String, Vec<[[f64; 3]; 24]>> = BTreeMap::new();
    let header = reader.headers().cloned();
    let header = header.map_err(|error| wrong(1, error.to_string()))?;
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        let line = record.position().map_or(1, csv::Position::line);
        if !more.map_err(|error| wrong(line, error.to_string()))? {
            break;
        }
        let row: Row = (record.deserialize(Some(&header)))
            .map_err(|error| wrong(line, format!("expected zone,month,hour_utc,mean: {error}")))?;
        let values = [
            row.mean,
            row.p10.unwrap_or(row.mean),
            row.p90.unwrap_or(row.mean),
        ];
        if !(1..=12).contains(&row.month) || row.hour_utc > 23 {
            let why = format!("there is no hour {} of month {}", row.hour_utc, row.month);
            return Err(wrong(line, why));
        }
        if !values.iter().all(|value| (0.0..1e5).contains(value)) {
            return Err(wrong(line, "intensities are g/kWh from 0 up".to_owned()));
        }
        let months = hours
            .entry(row.zone)
            .or_insert_with(|| vec![[[f64::NAN; 3]; 24]; 12]);
        months[row.month - 1][row.hour_utc] = values;
    }
    let whole = hours.into_iter().map(|(zone, months)| {
        let found = months.iter().flatten().filter(|hour| hour[0].is_finite());
        match found.count() {
            288 => {
                let profile: &'static Profile = Box::leak(Box::new(Profile {
                    zone: String::leak(zone.clone()),
                    hours: std::array::from_fn(|month| months[month]),
                }));
                Ok((zone, profile))
            }
            found => Err(ProfilesError::Incomplete {
                path: name(),
                zone,
                found,
            }),
        }
    });
    whole.collect()
}
