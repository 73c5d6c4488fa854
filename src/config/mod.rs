//! What is set, and where: built-in values, `/etc/catrain/config.toml`, the user's own file,
//! `./catrain.toml`, the environment. Later wins; flags come last and are not read here.
//!
//! All files are checked whole, and all problems are told at once, each with its place. The file in
//! the working directory is data from a stranger: what it may not set is refused, and then nothing
//! starts. A file that others may write is passed by and that is said; so is a disk that hangs, since
//! the job comes first.

mod check;
mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::caller::limits::Resilience;
use crate::dirs;
use crate::ledger::entry::Share;
use crate::patience::within;
use crate::source::electricity_maps::{Factors, Version};
use crate::source::{Live, Name};

/// Longest wait for the disk that a file is on.
const PATIENCE: Duration = Duration::from_secs(1);
/// The file that the administrator sets.
const SYSTEM: &str = "/etc/catrain/config.toml";
/// The file of the working directory.
const PROJECT: &str = "catrain.toml";

/// Who set a value. Later ones overrule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The administrator, in this file.
    System(PathBuf),
    /// The user, in this file.
    User(PathBuf),
    /// Whoever made the working directory, in this file.
    Project(PathBuf),
    /// This variable.
    Environment(String),
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(path) | Self::User(path) | Self::Project(path) => {
                write!(f, "{}", path.display())
            }
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// A value, and who set it.
#[derive(Clone, Debug)]
pub struct Told<T> {
    /// The value.
    pub value: T,
    /// Who set it.
    pub by: Layer,
}

/// Everything that is set.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `zone`.
    pub zone: Option<Told<String>>,
    /// `run.source`: the chain.
    pub chain: Option<Told<Vec<Name>>>,
    /// `run.account-with`.
    pub account_with: Option<Told<Name>>,
    /// `[sources.NAME]`.
    pub sources: BTreeMap<Live, Source>,
    /// `[resilience]` and `[cache]`.
    pub resilience: Resilience,
    /// `[energy]`.
    pub energy: Energy,
    /// `[ledger]`.
    pub ledger: Ledger,
}

/// `[energy]`: what is metered, and where meters are found.
#[derive(Clone, Debug, Default)]
pub struct Energy {
    /// `share`: whose energy is counted.
    pub share: Option<Told<Share>>,
    /// `nvml`: the library to ask for GPUs, in place of the driver's.
    pub nvml: Option<Told<PathBuf>>,
    /// `powercap`: the directory of RAPL's domains, in place of the kernel's.
    pub powercap: Option<Told<PathBuf>>,
}

/// `[ledger]`: how a run is recorded.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// `sample`: the length of a segment at first; longer ones as the file grows.
    pub sample: Option<Told<Duration>>,
    /// `sync`: how long what was only measured may wait to be safe.
    pub sync: Option<Told<Duration>>,
    /// `largest`: bytes that a file may have before its segments are as long as they get.
    pub largest: Option<Told<u64>>,
    /// `signing_key`: an Ed25519 key in PEM that heads are signed with.
    pub signing_key: Option<Told<PathBuf>>,
}

/// `[sources.NAME]`.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `base_url`: where it is asked.
    pub base_url: Option<Told<String>>,
    /// `key`.
    pub key: Option<Told<SecretString>>,
    /// `key_file`.
    pub key_file: Option<Told<PathBuf>>,
    /// `key_command`.
    pub key_command: Option<Told<String>>,
    /// `version`, of Electricity Maps.
    pub version: Option<Told<Version>>,
    /// `emission_factors`, of Electricity Maps.
    pub emission_factors: Option<Told<Factors>>,
    /// `[sources.NAME.places]`: its own names of zones, where ours do not tell.
    pub places: BTreeMap<String, String>,
}

impl Source {
    /// Whether a key that `by` set may go to the base URL in force: only where the same person set
    /// both. What stands in the environment, the user's file and the user's key store is one
    /// person's; nobody has set the built-in address.
    pub fn may_have_key_of(&self, by: Option<&Layer>) -> bool {
        let is_the_user = |layer: Option<&Layer>| !matches!(layer, Some(Layer::System(_)));
        match &self.base_url {
            None => true,
            Some(base_url) => is_the_user(Some(&base_url.by)) == is_the_user(by),
        }
    }
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, with line and column where they are known; or the variable.
    pub place: String,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Everything that is wrong, in the order of the layers.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n  ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The configuration in force, and what had to be passed by, a sentence each.
///
/// # Errors
/// Everything that is wrong with the files and the variables.
pub fn load(
    directory: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, Vec<String>), Problems> {
    load_from(files(directory), variable)
}

/// The files that are read when one works in `directory`, whether they are there or not. Later ones
/// overrule.
pub fn files(directory: &Path) -> Vec<Layer> {
    let files = [
        Some(Layer::System(PathBuf::from(SYSTEM))),
        dirs::config().map(|own| Layer::User(own.join("config.toml"))),
        Some(Layer::Project(directory.join(PROJECT))),
    ];
    files.into_iter().flatten().collect()
}

/// The same while a run goes on: the file of the working directory is left out, since whoever made it
/// may have changed it since.
///
/// # Errors
/// As [`load`].
pub fn load_own(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, Vec<String>), Problems> {
    let files = [
        Some(Layer::System(PathBuf::from(SYSTEM))),
        dirs::config().map(|own| Layer::User(own.join("config.toml"))),
    ];
    load_from(files.into_iter().flatten(), variable)
}

/// The same of these files.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_from(
    files: impl IntoIterator<Item = Layer>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, Vec<String>), Problems> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    let mut passed_by = Vec::new();
    for layer in files {
        let asked = layer.clone();
        match within(PATIENCE, move || file::text_of(&asked)) {
            Ok(Ok(file::Text::None)) => {}
            Ok(Ok(file::Text::NotTrusted(why))) => {
                passed_by.push(format!("{layer} is passed by: {why}"))
            }
            Ok(Ok(file::Text::Whole(text))) => {
                problems.extend(check::apply(&text, &layer, &mut config));
            }
            // What is wrong with the file has to be mended; what is wrong with the machine has not.
            Ok(Err(error)) if is_about_the_file(&error) => problems.push(Problem {
                place: layer.to_string(),
                what: format!("cannot be read: {error}"),
            }),
            Ok(Err(error)) => passed_by.push(format!("{layer} is passed by: {error}")),
            Err(error) => passed_by.push(format!("{layer} is passed by: {error}")),
        }
    }
    problems.extend(environment(variable, &mut config));
    match problems.is_empty() {
        true => Ok((config, passed_by)),
        false => Err(Problems(problems)),
    }
}

fn is_about_the_file(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, IsADirectory, PermissionDenied};
    let about = [InvalidData, InvalidInput, IsADirectory, PermissionDenied];
    about.contains(&error.kind())
}

/// `CATRAIN_<SOURCE>_BASE_URL`, `CATRAIN_NVML`, `CATRAIN_POWERCAP`. What else stands in the environment is read where it is used.
fn environment(variable: impl Fn(&str) -> Option<OsString>, config: &mut Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let paths = [
        ("CATRAIN_NVML", &mut config.energy.nvml),
        ("CATRAIN_POWERCAP", &mut config.energy.powercap),
    ];
    for (name, slot) in paths {
        if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
            *slot = Some(Told {
                value: PathBuf::from(value),
                by: Layer::Environment(name.to_owned()),
            });
        }
    }
    for source in Live::ALL {
        let name = format!("{}_BASE_URL", source.variable());
        let Some(value) = variable(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let text = value.to_str().ok_or("is not UTF-8 text".to_owned());
        match text.and_then(check::base_url) {
            Ok(value) => {
                config.sources.entry(source).or_default().base_url = Some(Told {
                    value,
                    by: Layer::Environment(name),
                });
            }
            Err(what) => problems.push(Problem { place: name, what }),
        }
    }
    problems
}

#[cfg(test)]
mod tests;
