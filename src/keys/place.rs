//! The places that a key may come from, in order, and reading a file that is no file of ours.

use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use zeroize::Zeroizing;

use super::{Configured, LONGEST, Store};

/// Where a key is. Says so in words; holds nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The variable of this name.
    Variable(String),
    /// A file that a variable names.
    VariableFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A file in the directory that systemd gives a service for its credentials.
    Credential(PathBuf),
    /// The output of the configured command.
    Command,
    /// The configuration itself.
    Configuration,
    /// A file that the configuration names.
    ConfiguredFile(PathBuf),
    /// The encrypted store.
    Store,
}

impl Place {
    /// One word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Variable(_) => "variable",
            Self::VariableFile { .. } => "variable_file",
            Self::Credential(_) => "credential",
            Self::Command => "key_command",
            Self::Configuration => "key",
            Self::ConfiguredFile(_) => "key_file",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the variable `{name}`"),
            Self::VariableFile { variable, path } => {
                write!(f, "`{}`, named by `{variable}`", path.display())
            }
            Self::Credential(path) => write!(f, "systemd's credential `{}`", path.display()),
            Self::Command => f.write_str("`key_command` of the configuration"),
            Self::Configuration => f.write_str("`key` of the configuration"),
            Self::ConfiguredFile(path) => {
                write!(
                    f,
                    "`{}`, the `key_file` of the configuration",
                    path.display()
                )
            }
            Self::Store => f.write_str("the encrypted store"),
        }
    }
}

/// Every place that has something for a source, in the order in which they count. Nothing is read
/// and no command run.
pub fn places(
    source: &str,
    configured: &Configured,
    env: &dyn Fn(&str) -> Option<OsString>,
    store: Option<&Store>,
) -> Vec<Place> {
    let capitals = source.to_ascii_uppercase().replace('-', "_");
    let (variable, file) = (
        format!("CATRAIN_{capitals}_KEY"),
        format!("CATRAIN_{capitals}_KEY_FILE"),
    );
    let path = env(&file).map(PathBuf::from);
    let credential = env("CREDENTIALS_DIRECTORY").and_then(|directory| {
        let names = [format!("catrain-{source}-key"), source.to_owned()];
        let mut paths = names
            .map(|name| Path::new(&directory).join(name))
            .into_iter();
        paths.find(|path| path.symlink_metadata().is_ok())
    });
    [
        env(&variable).map(|_| Place::Variable(variable)),
        path.map(|path| Place::VariableFile {
            variable: file,
            path,
        }),
        credential.map(Place::Credential),
        (configured.key_command.is_some()).then_some(Place::Command),
        (configured.key.is_some()).then_some(Place::Configuration),
        configured.key_file.clone().map(Place::ConfiguredFile),
        (store.is_some_and(|store| store.holds(source))).then_some(Place::Store),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a file that somebody named holds.
pub(super) struct Content {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Whether others than its owner can read it.
    pub(super) is_exposed: bool,
}

/// Reads a file that the user named or systemd or a container put there. Links are followed, since
/// mounted secrets are made of them; who owns the file in the end counts. Root may own it, who can
/// do everything anyway.
pub(super) fn read(path: &Path) -> io::Result<Content> {
    let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    // Without NONBLOCK a pipe in its place would be waited for.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(refused("it is no file"));
    }
    let owner = Uid::from_raw(facts.uid());
    if owner != Uid::effective() && !owner.is_root() {
        return Err(refused("it belongs to somebody else"));
    }
    // One more than a key may have, so that a longer one is known as such and not cut.
    let most = LONGEST + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(Content {
        bytes,
        is_exposed: facts.mode() & 0o044 != 0,
    })
}
