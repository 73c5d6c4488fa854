//! The keys of sources: where they come from, and the encrypted store that `catrain key` keeps them in.
//!
//! [`find`] takes the first place that has one, in the order of [`places`], and a place that has one
//! which cannot be used is an error, not a reason to look further: the key meant is that one. A key
//! lives in a [`SecretString`] from the moment that it is read; no message holds a part of it.
//!
//! All of this blocks: it reads files, and a `key_command` may take ten seconds.

mod key_command;
pub mod known;
mod place;
mod seal;
mod store;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::parse;

pub use key_command::CommandError;
pub use place::{Place, places};
pub use seal::{Broken, NoRandomness};
pub use store::{Facts, Kept, Store, StoreError};

/// The most bytes that a key may have.
pub const LONGEST: usize = 64 << 10;
/// What opens keys that are sealed with a passphrase.
pub const PASSPHRASE: &str = "CATRAIN_PASSPHRASE";

/// What the key of a source looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The source takes none.
    None,
    /// A line of text.
    Line,
    /// `USER:PASSWORD`.
    UserAndPassword,
}

const SOURCES: [(&str, Form); 8] = [
    ("electricity-maps", Form::Line),
    ("watttime", Form::UserAndPassword),
    ("carbon-aware-sdk", Form::None),
    ("energi-data-service", Form::None),
    ("energy-charts", Form::None),
    ("neso", Form::None),
    ("built-in", Form::None),
    ("file", Form::None),
];

/// The sources that take a key.
pub fn keyed() -> impl Iterator<Item = &'static str> {
    let keyed = (SOURCES.iter()).filter(|(_, form)| *form != Form::None);
    keyed.map(|(name, _)| *name)
}

/// What a source's key looks like; none where there is no such source.
pub fn form(source: &str) -> Option<Form> {
    let found = SOURCES.iter().find(|(name, _)| *name == source);
    found.map(|(_, form)| *form)
}

/// The source that a misspelt name most likely means; none where it is like none of them.
pub fn nearest(name: &str) -> Option<&'static str> {
    parse::nearest(
        &name.to_lowercase(),
        SOURCES.iter().map(|(known, _)| *known),
    )
}

/// What the configuration says of a source's key.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// `key`: the key itself.
    pub key: Option<SecretString>,
    /// `key_file`: a file with nothing else in it.
    pub key_file: Option<PathBuf>,
    /// `key_command`: a line for the shell whose first line of output is the key.
    pub key_command: Option<String>,
}

/// A key, and where it was.
#[derive(Clone, Debug)]
pub struct Found {
    /// The key.
    pub key: SecretString,
    /// The one before it: to be tried once when the source refuses the key, then [`retire`]d.
    pub previous: Option<SecretString>,
    /// Where it was.
    pub from: Place,
    /// What is not as it should be there, in words.
    pub warning: Option<String>,
}

/// Why there is no key although there should be one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// What is there cannot be a key.
    #[error("the key of {source_name} from {from} cannot be used: {why}")]
    Unusable {
        /// Whose.
        source_name: String,
        /// Where it was.
        from: Place,
        /// What is wrong with it.
        why: Unusable,
    },
    /// A file cannot be used.
    #[error("cannot read the key of {source_name} from {from}")]
    File {
        /// Whose.
        source_name: String,
        /// Where it was.
        from: Place,
        /// What the system or our own check of it says.
        source: std::io::Error,
    },
    /// The command gives none.
    #[error("the key command of {source_name} gives no key: {why}")]
    Command {
        /// Whose.
        source_name: String,
        /// What came of it.
        why: CommandError,
    },
    /// The store does not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unusable { why, .. } => why.hint(),
            Self::File { .. } => "it must be a file of yours or of root's with the key and no more",
            Self::Command { .. } => "try it in a shell: its first line of output is the key",
            Self::Store(error) => error.hint(),
        }
    }
}

/// Why something cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// It has more bytes than [`LONGEST`].
    #[error("it is longer than {} KiB", LONGEST >> 10)]
    TooLong,
    /// It is not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// It has a line end or another character that no request can hold.
    #[error("it has a line end or another control character in it")]
    Control,
    /// There is no user or no password in it.
    #[error("it is not of the form USER:PASSWORD")]
    NotUserAndPassword,
}

impl Unusable {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty => "unset it there, or put the key there",
            Self::TooLong | Self::NotText | Self::Control => "the key alone, on one line",
            Self::NotUserAndPassword => "the user, a colon, the password",
        }
    }
}

/// The key of a source, from the first place that has one; none where none has.
///
/// `env` reads a variable; `store` is none where there is no state directory. May run the
/// configured command and wait ten seconds for it.
///
/// # Errors
/// The first place that has one has none that can be used; see [`KeyError`].
pub fn find(
    source: &str,
    configured: &Configured,
    env: &dyn Fn(&str) -> Option<OsString>,
    store: Option<&Store>,
) -> Result<Option<Found>, KeyError> {
    let Some(from) = places(source, configured, env, store).into_iter().next() else {
        return Ok(None);
    };
    let mut warning = None;
    let bytes = match &from {
        Place::Store => {
            let kept = store.map(|store| store.get(source, passphrase(env).as_ref()));
            let kept = kept.transpose()?.flatten();
            for key in kept
                .iter()
                .flat_map(|kept| kept.previous.iter().chain([&kept.key]))
            {
                known::remember(key);
            }
            return Ok(kept.map(|kept| Found {
                key: kept.key,
                previous: kept.previous,
                from,
                warning,
            }));
        }
        Place::Variable(name) => Zeroizing::new(env(name).unwrap_or_default().into_vec()),
        Place::VariableFile { path, .. }
        | Place::Credential(path)
        | Place::ConfiguredFile(path) => {
            let file = place::read(path).map_err(|error| KeyError::File {
                source_name: source.to_owned(),
                from: from.clone(),
                source: error,
            })?;
            warning = (file.is_exposed).then(|| {
                let path = path.display();
                format!("others can read the key in `{path}`; chmod 600 it")
            });
            file.bytes
        }
        Place::Command => {
            let command = configured.key_command.as_deref().unwrap_or_default();
            key_command::run(command).map_err(|why| KeyError::Command {
                source_name: source.to_owned(),
                why,
            })?
        }
        Place::Configuration => {
            let key = configured.key.as_ref();
            let key = key.map_or("", |key| key.expose_secret());
            Zeroizing::new(key.as_bytes().to_vec())
        }
    };
    match key_of(source, &bytes) {
        Ok(key) => Ok(Some(Found {
            key,
            previous: None,
            from,
            warning,
        })),
        Err(why) => Err(KeyError::Unusable {
            source_name: source.to_owned(),
            from,
            why,
        }),
    }
}

/// Forgets the key before the current one: it was tried, or the current one was taken. Nothing
/// happens where the key is not from the store.
///
/// # Errors
/// The store cannot be changed; the old key is still there then, and does no harm.
pub fn retire(
    source: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
    store: &Store,
) -> Result<(), StoreError> {
    store.retire(source, passphrase(env).as_ref())
}

/// The passphrase in the environment, if there is one.
pub fn passphrase(env: &dyn Fn(&str) -> Option<OsString>) -> Option<SecretString> {
    let passphrase = env(PASSPHRASE).filter(|passphrase| !passphrase.is_empty())?;
    // One that is not UTF-8 could not be typed: its bytes count as they would be shown.
    let passphrase = passphrase.to_string_lossy().as_ref().into();
    known::remember(&passphrase);
    Some(passphrase)
}

/// A source's key out of what was read, without the line end.
///
/// # Errors
/// It cannot be one.
pub fn key_of(source: &str, bytes: &[u8]) -> Result<SecretString, Unusable> {
    if bytes.len() > LONGEST {
        return Err(Unusable::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unusable::NotText)?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err(Unusable::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(Unusable::Control);
    }
    let is_pair = (text.split_once(':'))
        .is_some_and(|(user, password)| !user.is_empty() && !password.is_empty());
    if form(source) == Some(Form::UserAndPassword) && !is_pair {
        return Err(Unusable::NotUserAndPassword);
    }
    let key = text.into();
    known::remember(&key);
    Ok(key)
}

/// Those of the names of variables that the job is not to see, because they hold or lead to a key.
pub fn secret_variables(names: impl Iterator<Item = OsString>) -> Vec<OsString> {
    names.filter(|name| is_secret(name)).collect()
}

/// Whether all that is in systemd's directory of credentials is ours, so that the job has no use for
/// it. Reads the directory, which lies in memory.
pub fn credentials_are_ours(directory: &Path) -> bool {
    let is_ours = |name: &OsStr| {
        let name = name.to_string_lossy();
        let bare = name.strip_prefix("catrain-").unwrap_or(&name);
        keyed().any(|source| bare == source || bare.strip_suffix("-key") == Some(source))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.flatten().all(|entry| is_ours(&entry.file_name()))
}

fn is_secret(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_key = name.ends_with(b"_KEY") || name.ends_with(b"_KEY_FILE");
    name == PASSPHRASE.as_bytes() || (name.starts_with(b"CATRAIN_") && is_key)
}

#[cfg(test)]
mod tests;
