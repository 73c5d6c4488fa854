//! What is set, and where: built-in values, `/etc/catrain/config.toml`, the user's own file,
//! `./catrain.toml`, the profile, the environment. Later wins; flags come last and are not read here.
//! All keys there are stand in [`table`].
//!
//! All files are checked whole, and all problems are told at once, each with its place. The file in
//! the working directory is data from a stranger: what it may not set is refused, and then nothing
//! starts. A file that others may write is passed by and that is said; so is a disk that hangs, since
//! the job comes first.

pub mod alerts;
pub(crate) mod check;
mod file;
mod flags;
pub mod history;
mod order;
pub mod schema;
mod settled;
pub mod table;
pub mod template;
pub mod values;
pub mod watch;

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
use crate::log;
use crate::patience::within;
use crate::source::electricity_maps::{Factors, Version};
use crate::source::{Live, Name};
pub use values::{Set, Value, Values};

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

impl Layer {
    /// Its place in the order: later ones overrule.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::System(_) => 0,
            Self::User(_) => 1,
            Self::Project(_) => 2,
            Self::Environment(_) => 3,
        }
    }
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
    /// Each value, with who set it and where.
    pub values: Values,
    /// The profile in force.
    pub profile: Option<String>,
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
    /// `[serve]`.
    pub serve: Serve,
    /// `[log]`.
    pub log: log::Settings,
    /// `log.audit`: whether acts are noted. As nobody sets it, they are.
    pub notes_acts: bool,
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

/// `[serve]`: who may ask for health and metrics, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Serve {
    /// `name`: a name that is this machine's, beside those of loopback.
    pub name: Option<Told<String>>,
    /// `token_file`: holds the token, in place of one made for each run.
    pub token_file: Option<Told<PathBuf>>,
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

/// Which profile is asked for: by `--profile` or `CATRAIN_PROFILE`.
pub const PROFILE: &str = "CATRAIN_PROFILE";

/// Files as they were read, for a configuration to be made of.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// Checked, in the order of the layers.
    files: Vec<(Layer, check::Checked)>,
    /// The texts of those that are there.
    texts: Vec<(Layer, String)>,
    /// Files that were passed by, a sentence each.
    pub passed_by: Vec<String>,
    problems: Vec<Problem>,
}

impl Read {
    /// Reads these files, and checks each as a whole.
    pub fn files(layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut read = Self::default();
        for layer in layers {
            let asked = layer.clone();
            match within(PATIENCE, move || file::text_of(&asked)) {
                Ok(Ok(file::Text::None)) => {}
                Ok(Ok(file::Text::NotTrusted(why))) => {
                    read.passed_by.push(format!("{layer} is passed by: {why}"));
                }
                Ok(Ok(file::Text::Whole(text))) => read.take(layer, text),
                // What is wrong with the file has to be mended; what is wrong with the machine has not.
                Ok(Err(error)) if is_about_the_file(&error) => read.problems.push(Problem {
                    place: layer.to_string(),
                    what: format!("cannot be read: {error}"),
                }),
                Ok(Err(error)) => read
                    .passed_by
                    .push(format!("{layer} is passed by: {error}")),
                Err(error) => read
                    .passed_by
                    .push(format!("{layer} is passed by: {error}")),
            }
        }
        read
    }

    /// One text as the file of a layer.
    pub fn text(layer: Layer, text: String) -> Self {
        let mut read = Self::default();
        read.take(layer, text);
        read
    }

    fn take(&mut self, layer: Layer, text: String) {
        let (checked, problems) = check::check(&text, &layer);
        self.problems.extend(problems);
        self.files.push((layer.clone(), checked));
        self.texts.push((layer, text));
    }

    /// The same with the file of the working directory as it was read before: while a run goes on it is not
    /// read again, since whoever made it may have changed it.
    #[must_use]
    pub fn with_project_of(mut self, before: &Self) -> Self {
        let is_projects = |(layer, _): &&(Layer, _)| matches!(layer, Layer::Project(_));
        self.files
            .extend(before.files.iter().filter(is_projects).cloned());
        self
    }

    /// What the user's own file says, if it is there.
    pub fn own(&self) -> Option<&str> {
        let is_own = |(layer, _): &&(Layer, String)| matches!(layer, Layer::User(_));
        let (_, text) = self.texts.iter().find(is_own)?;
        Some(text)
    }

    /// The texts of all files, with who wrote them.
    pub fn texts(&self) -> &[(Layer, String)] {
        &self.texts
    }

    /// The names of the profiles that there are.
    pub fn profiles(&self) -> Vec<&str> {
        let names = self.files.iter().flat_map(|(_, file)| file.profiles.keys());
        let names: std::collections::BTreeSet<&str> = names.map(String::as_str).collect();
        names.into_iter().collect()
    }

    /// The configuration: files in their order, the profile over them, variables over both.
    ///
    /// # Errors
    /// Everything that is wrong with the files and the variables.
    pub fn configuration(
        &self,
        profile: Option<&str>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Config, Problems> {
        let mut problems = self.problems.clone();
        let mut values = Values::default();
        for (_, file) in &self.files {
            values.lay_over(&file.base);
        }
        let base = values.clone();
        let of_profile = |name: &str| {
            let mut values = base.clone();
            for file in self
                .files
                .iter()
                .filter_map(|(_, file)| file.profiles.get(name))
            {
                values.lay_over(file);
            }
            values
        };
        problems.extend(together(&base));
        for name in self.profiles() {
            problems.extend(together(&of_profile(name)));
        }
        if let Some(name) = profile {
            match self.profiles() {
                known if known.contains(&name) => values = of_profile(name),
                known => problems.push(no_profile(name, &known)),
            }
        }
        let (set, wrong) = environment(variable);
        values.lay_over(&set);
        problems.extend(wrong);
        if !set.is_empty() {
            problems.extend(together(&values));
        }
        let mut told = Vec::new();
        for problem in problems {
            if !told.contains(&problem) {
                told.push(problem);
            }
        }
        match told.is_empty() {
            true => Ok(Config::of(values, profile)),
            false => Err(Problems(told)),
        }
    }
}

/// What does not go together in these values.
fn together(values: &Values) -> Vec<Problem> {
    let mut problems = order::problems(values);
    problems.extend(alerts::problems(values));
    problems
}

fn no_profile(name: &str, known: &[&str]) -> Problem {
    Problem {
        place: format!("profile `{name}`"),
        what: match known {
            [] => "there is none; `[profile.NAME]` in your configuration makes one".to_owned(),
            known => format!(
                "there is none of this name; {}",
                check::nearest(name, known)
            ),
        },
    }
}

/// The configuration in force, and what had to be passed by, a sentence each.
///
/// # Errors
/// Everything that is wrong with the files and the variables.
pub fn load(
    directory: &Path,
    profile: Option<&str>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, Read), Problems> {
    let read = Read::files(files(directory));
    let config = read.configuration(profile, variable)?;
    Ok((config, read))
}

/// The files that are read when one works in `directory`, whether they are there or not. Later ones
/// overrule.
pub fn files(directory: &Path) -> Vec<Layer> {
    let mut files = own_files();
    files.push(Layer::Project(directory.join(PROJECT)));
    files
}

/// The same without that of the working directory.
pub fn own_files() -> Vec<Layer> {
    let files = [
        Some(Layer::System(PathBuf::from(SYSTEM))),
        own_file().map(Layer::User),
    ];
    files.into_iter().flatten().collect()
}

/// The user's own file, whether it is there or not.
pub fn own_file() -> Option<PathBuf> {
    dirs::config().map(|own| own.join("config.toml"))
}

fn is_about_the_file(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, IsADirectory, PermissionDenied};
    let about = [InvalidData, InvalidInput, IsADirectory, PermissionDenied];
    about.contains(&error.kind())
}

/// What variables set, and what is wrong with them. An empty one sets nothing. Those that are flags as well are
/// read as flags.
fn environment(variable: impl Fn(&str) -> Option<OsString>) -> (Values, Vec<Problem>) {
    let (mut values, mut problems) = (Values::default(), Vec::new());
    for key in table::keys() {
        let Some(name) = &key.variable else { continue };
        let Some(text) = variable(name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let text = text.to_str().ok_or("is not UTF-8 text".to_owned());
        match text.and_then(|text| check::from_text(key, text)) {
            Ok(value) => {
                let set = Set {
                    value,
                    by: Layer::Environment(name.clone()),
                    place: name.clone(),
                    profile: None,
                };
                values.insert(key.path.clone(), set);
            }
            Err(what) => problems.push(Problem {
                place: name.clone(),
                what,
            }),
        }
    }
    (values, problems)
}

#[cfg(test)]
mod tests;
