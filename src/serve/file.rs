//! Metrics in a file, now and then.
//!
//! By the name's ending: `.json` and `.prom` (for a collector of text files) hold the last look and are
//! replaced whole, so that nobody reads half a file; `.csv` gets a row each time, in one write, and
//! begins anew beside its predecessor (`.1`) before it grows too large.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde_json::json;

use super::facts::Facts;
use super::family::{self, classic};
use super::metrics::families;
use crate::ledger::entry::Part;

/// Bytes that a file of rows may have.
const LARGEST: u64 = 8 << 20;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The last look, as JSON.
    Json,
    /// A row each time.
    Csv,
    /// The last look, in the text format of Prometheus.
    Prom,
}

impl Form {
    /// That of a file of this name.
    ///
    /// # Errors
    /// Its ending says nothing.
    pub fn of(path: &Path) -> Result<Self, String> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("prom") => Ok(Self::Prom),
            _ => Err(format!(
                "`{}` does not say how to write metrics; expected a name that ends in `.json`, `.csv` or \
                 `.prom`",
                path.display()
            )),
        }
    }
}

/// Writes what is known. May block.
///
/// # Errors
/// It cannot be written; what was there before still is.
pub fn write(path: &Path, form: Form, facts: &Facts) -> io::Result<()> {
    match form {
        Form::Json => {
            let document = json!({
                "schema": "catrain.metrics/1",
                "at": facts.now.to_string(),
                "run": facts.run,
                "metrics": family::json(&families(facts, true)),
            });
            replace(path, format!("{document:#}\n").as_bytes())
        }
        Form::Prom => replace(path, classic(&families(facts, true)).as_bytes()),
        Form::Csv => append(path, facts),
    }
}

/// A link in its place is replaced, not followed.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Collectors are other users; what the umask forbids stays forbidden.
    let mut file = tempfile::Builder::new()
        .prefix(".catrain-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn append(path: &Path, facts: &Facts) -> io::Result<()> {
    let mut file = open(path)?;
    if file.metadata()?.len() >= LARGEST {
        fs::rename(path, beside(path))?;
        file = open(path)?;
    }
    let is_new = file.metadata()?.len() == 0;
    let mut rows = csv::WriterBuilder::new().from_writer(Vec::new());
    if is_new {
        rows.write_record(COLUMNS)?;
    }
    rows.write_record(row(facts))?;
    let bytes = rows.into_inner().map_err(io::Error::other)?;
    // In one write: rows of two runs do not mix.
    file.write_all(&bytes)
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(flags.bits())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

const COLUMNS: [&str; 16] = [
    "at",
    "run",
    "run_time",
    "phase",
    "intensity_g_per_kwh",
    "forecast_kind",
    "forecast_confidence",
    "forecast_age_s",
    "energy_j",
    "emissions_g",
    "avoided_g",
    "running_s",
    "paused_s",
    "pauses",
    "plan_next_change",
    "seen_ago_s",
];

/// Emissions are those of the plan's own basis; others stand in the other forms.
fn row(facts: &Facts) -> [String; COLUMNS.len()] {
    let seen = facts.snapshot.as_ref();
    let forecast = seen.and_then(|seen| seen.forecast.as_ref());
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let basis = forecast.map(|forecast| forecast.basis);
    let emissions = (facts.tally.emissions.iter()).find(|it| Some(it.basis) == basis);
    let energy: f64 = facts.tally.energy.values().map(|joules| joules.0).sum();
    let until = seen.and_then(|seen| seen.decision?.until);
    [
        facts.now.to_string(),
        facts.run.clone(),
        seen.map(|seen| seen.at.utc.to_string()).unwrap_or_default(),
        seen.map(|seen| seen.phase.to_owned()).unwrap_or_default(),
        number(forecast.and_then(|forecast| forecast.now).map(|now| now.0)),
        forecast
            .map(|forecast| forecast.kind.to_string())
            .unwrap_or_default(),
        number(forecast.map(|forecast| forecast.confidence)),
        number(forecast.and_then(|forecast| forecast.age_s)),
        energy.to_string(),
        number(emissions.map(|it| it.grams.total().0)),
        number(emissions.and_then(|it| it.avoided()).map(|grams| grams.0)),
        facts.tally.seconds[Part::Running].to_string(),
        facts.tally.seconds[Part::Paused].to_string(),
        seen.map(|seen| seen.pauses.to_string()).unwrap_or_default(),
        until.map(|at| at.to_string()).unwrap_or_default(),
        number(facts.seen_ago_s),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample;
    use super::*;

    #[test]
    fn the_ending_of_a_name_says_how_it_is_written() {
        assert_eq!(Form::of(Path::new("a/b.json")), Ok(Form::Json));
        assert_eq!(Form::of(Path::new("b.csv")), Ok(Form::Csv));
        assert_eq!(Form::of(Path::new("b.prom")), Ok(Form::Prom));
        for other in ["b", "b.txt", ".csv"] {
            assert!(Form::of(Path::new(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn json_and_prom_hold_the_last_look_and_a_link_is_not_followed() {
        let here = tempfile::tempdir().unwrap();
        let (path, other) = (here.path().join("m.json"), here.path().join("other"));
        fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        write(&path, Form::Json, &sample()).unwrap();
        write(&path, Form::Json, &sample()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(value["schema"], "catrain.metrics/1");
        assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
        let prom = here.path().join("m.prom");
        write(&prom, Form::Prom, &sample()).unwrap();
        assert!(
            fs::read_to_string(&prom)
                .unwrap()
                .contains("catrain_run_info{run=\"r7k2\"")
        );
        let left = fs::read_dir(here.path()).unwrap().count();
        assert_eq!(left, 3, "nothing half-written is left");
    }

    #[test]
    fn rows_are_added_below_one_heading_and_the_file_does_not_grow_for_ever() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("m.csv");
        for _ in 0..3 {
            write(&path, Form::Csv, &sample()).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(rows.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(&rows[2][3], "paused");
        assert_eq!(&rows[2][4], "431");

        fs::write(&path, vec![b'x'; LARGEST as usize]).unwrap();
        write(&path, Form::Csv, &sample()).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("at,run,"));
        assert_eq!(fs::metadata(beside(&path)).unwrap().len(), LARGEST);
    }

    #[test]
    fn a_pipe_or_a_link_in_the_place_of_rows_is_refused() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("m.csv");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(write(&path, Form::Csv, &sample()).is_err());
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(here.path().join("x"), &path).unwrap();
        assert!(write(&path, Form::Csv, &sample()).is_err());
    }
}
