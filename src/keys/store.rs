//! The encrypted store: a file a source in the state directory, and the file that seals them.
//!
//! ```text
//! keys/electricity-maps.key     what it is, and the sealed key, with the one before it until retired
//! keys/sealing-key              32 random bytes, made at first use
//! keys/lock                     held while something is changed
//! ```
//!
//! The key file keeps keys out of backups of single files, of listings and of a look over the
//! shoulder; whoever can read all of the directory can read the keys. Against that there is the
//! passphrase. Somebody who may write the directory can put back an old file as a whole: that is a
//! key which was good once, and its version shows it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::seal::{self, About, Broken, Closed, LENGTH, NoRandomness, Sealed, SealingKey};
use crate::dirs;

/// The most that a file may have: two of the longest keys and a header.
const LARGEST: u64 = 3 * super::LONGEST as u64;

/// The store of a user. Making one touches no disk.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// A key as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The key.
    pub key: SecretString,
    /// The one before it, until it is retired.
    pub previous: Option<SecretString>,
}

/// What is known of a key without opening it.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Counts the keys of this source, from 1.
    pub version: u64,
    /// When it was set.
    pub set_at: Timestamp,
    /// Whether the key before it is kept.
    pub has_previous: bool,
    /// Whether it takes a passphrase to open it.
    pub needs_passphrase: bool,
}

impl From<&About> for Facts {
    fn from(about: &About) -> Self {
        Self {
            version: about.version,
            set_at: about.set_at,
            has_previous: about.has_previous,
            needs_passphrase: matches!(about.sealed, Sealed::Passphrase { .. }),
        }
    }
}

/// Why the store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or the directory cannot be used.
    #[error("cannot {what} `{}`", path.display())]
    Disk {
        /// Done to it.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system or our own check of it says.
        source: io::Error,
    },
    /// A file is there and gives no key.
    #[error("the key in `{}` cannot be used: {why}", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: Broken,
    },
    /// It takes a passphrase, and there is none.
    #[error("the key of {0} is sealed with a passphrase")]
    PassphraseNeeded(String),
    /// The file that seals the others is gone.
    #[error("the file that the key was sealed with is gone: `{}`", .0.display())]
    NoKeyFile(PathBuf),
    /// There is no key that could be replaced.
    #[error("there is no key of {0} in the store")]
    NotStored(String),
    /// Somebody else is at it.
    #[error("another catrain is changing keys")]
    Busy,
    /// No key can be sealed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Disk { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                "look who put it there; remove it and set the key again"
            }
            Self::Disk { .. } => "check the path, its permissions and whether the disk is full",
            Self::Broken { why, .. } => match why {
                Broken::WrongPassphrase => "try again, or set the key again: catrain key set NAME",
                Broken::OtherForm(_) => "it may be from a newer catrain: use that one",
                _ => "set the key again: catrain key set NAME",
            },
            Self::PassphraseNeeded(_) => "set CATRAIN_PASSPHRASE",
            Self::NoKeyFile(_) => "put it back, or set the key again: catrain key set NAME",
            Self::NotStored(_) => "catrain key set NAME",
            Self::Busy => "try again",
            Self::NoRandomness(_) => "is this a very old or a very bare system?",
        }
    }
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Disk { what, path, source }
}

/// What cannot be looked at is not missing.
fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl Store {
    /// The store in a directory.
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The store of this user, where there is a state directory.
    pub fn of_user() -> Option<Self> {
        Some(Self::at(dirs::state()?.join("keys")))
    }

    /// Whether there is something under a source's name, good or not.
    pub fn holds(&self, source: &str) -> bool {
        !is_missing(&self.path(source))
    }

    /// What is known of a source's key without opening it; none where there is no key.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn facts(&self, source: &str) -> Result<Option<Facts>, StoreError> {
        let Some(bytes) = self.read(source)? else {
            return Ok(None);
        };
        let closed = Closed::read(&bytes, source).map_err(|why| self.broken(source, why))?;
        Ok(Some(closed.about().into()))
    }

    /// A source's key; none where there is none.
    ///
    /// # Errors
    /// It cannot be read or opened.
    pub fn get(
        &self,
        source: &str,
        passphrase: Option<&SecretString>,
    ) -> Result<Option<Kept>, StoreError> {
        Ok(self.open(source, passphrase)?.map(|(_, kept)| kept))
    }

    /// Keeps a key in place of what was there, sealed with the passphrase where there is one; gives
    /// its version.
    ///
    /// # Errors
    /// It cannot be written, or somebody else is at it. What was there before still is.
    pub fn set(
        &self,
        source: &str,
        key: &SecretString,
        passphrase: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let _lock = self.lock()?;
        // This is also the way out of a damaged file: what cannot be read has no version.
        let before = self.facts(source).ok().flatten();
        let sealed = match passphrase {
            Some(_) => Sealed::by_passphrase()?,
            None => Sealed::KeyFile,
        };
        let about = About {
            source: source.to_owned(),
            version: before.map_or(0, |facts| facts.version).saturating_add(1),
            set_at: now,
            has_previous: false,
            sealed,
        };
        let kept = Kept {
            key: key.clone(),
            previous: None,
        };
        self.put(&about, &kept, passphrase)?;
        Ok(about.version)
    }

    /// Makes a new key the current one and keeps the one that was; gives its version. It is sealed as
    /// the old one was.
    ///
    /// # Errors
    /// There is no old key or it cannot be opened, the new one cannot be written, or somebody else is
    /// at it. What was there before still is.
    pub fn rotate(
        &self,
        source: &str,
        key: &SecretString,
        passphrase: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let _lock = self.lock()?;
        let (before, old) = self
            .open(source, passphrase)?
            .ok_or_else(|| StoreError::NotStored(source.to_owned()))?;
        let about = About {
            version: before.version.saturating_add(1),
            set_at: now,
            has_previous: true,
            ..before
        };
        let kept = Kept {
            key: key.clone(),
            previous: Some(old.key),
        };
        self.put(&about, &kept, passphrase)?;
        Ok(about.version)
    }

    /// Forgets the key before the current one, if there is one.
    ///
    /// # Errors
    /// The file cannot be opened or written, or somebody else is at it.
    pub fn retire(
        &self,
        source: &str,
        passphrase: Option<&SecretString>,
    ) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let Some((about, kept)) = self.open(source, passphrase)? else {
            return Ok(());
        };
        if kept.previous.is_none() {
            return Ok(());
        }
        let about = About {
            has_previous: false,
            ..about
        };
        let kept = Kept {
            previous: None,
            ..kept
        };
        self.put(&about, &kept, passphrase)
    }

    /// Forgets a source's key, and the one before it; tells whether there was one.
    ///
    /// # Errors
    /// It cannot be removed, or somebody else is at it.
    pub fn remove(&self, source: &str) -> Result<bool, StoreError> {
        if !self.holds(source) {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let path = self.path(source);
        match fs::remove_file(&path).and_then(|()| self.sync()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(disk("remove", &path)(error)),
        }
    }

    fn path(&self, source: &str) -> PathBuf {
        self.directory.join(format!("{source}.key"))
    }

    fn key_file(&self) -> PathBuf {
        self.directory.join("sealing-key")
    }

    fn broken(&self, source: &str, why: Broken) -> StoreError {
        let path = self.path(source);
        StoreError::Broken { path, why }
    }

    fn read(&self, source: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_file(&self.path(source), LARGEST)
    }

    /// A file of the store, in a directory that is ours; none where it is not there.
    fn read_file(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if is_missing(path) {
            return Ok(None);
        }
        dirs::secure(&self.directory).map_err(disk("use", &self.directory))?;
        dirs::read(path, most).map(Some).map_err(disk("read", path))
    }

    fn open(
        &self,
        source: &str,
        passphrase: Option<&SecretString>,
    ) -> Result<Option<(About, Kept)>, StoreError> {
        let Some(bytes) = self.read(source)? else {
            return Ok(None);
        };
        let broken = |why| self.broken(source, why);
        let closed = Closed::read(&bytes, source).map_err(broken)?;
        let about = closed.about();
        let key = self.sealing_key(about, passphrase)?;
        let text = closed.open(&key).map_err(broken)?;
        // It was sealed by us, so it is text.
        let text = std::str::from_utf8(&text).map_err(|_| broken(Broken::Changed))?;
        let kept = match text.split_once('\n') {
            Some((key, previous)) => Kept {
                key: key.into(),
                previous: Some(previous.into()),
            },
            None => Kept {
                key: text.into(),
                previous: None,
            },
        };
        Ok(Some((about.clone(), kept)))
    }

    fn put(
        &self,
        about: &About,
        kept: &Kept,
        passphrase: Option<&SecretString>,
    ) -> Result<(), StoreError> {
        if about.sealed == Sealed::KeyFile {
            self.make_key_file()?;
        }
        let sealing_key = self.sealing_key(about, passphrase)?;
        let (key, previous) = (&kept.key, kept.previous.as_ref());
        let previous = previous.map_or("", |previous| previous.expose_secret());
        // Of the right size from the start: a text that grows leaves copies of itself behind.
        let size = key.expose_secret().len() + 1 + previous.len();
        let mut text = Zeroizing::new(String::with_capacity(size));
        text.push_str(key.expose_secret());
        if about.has_previous {
            text.push('\n');
            text.push_str(previous);
        }
        let bytes = seal::seal(about, &sealing_key, text.as_bytes())?;
        self.write(&self.path(&about.source), &bytes)
    }

    fn sealing_key(
        &self,
        about: &About,
        passphrase: Option<&SecretString>,
    ) -> Result<SealingKey, StoreError> {
        match &about.sealed {
            Sealed::KeyFile => self.read_key_file(),
            Sealed::Passphrase { costs, salt } => {
                let needed = || StoreError::PassphraseNeeded(about.source.clone());
                let passphrase = passphrase.ok_or_else(needed)?;
                seal::derive(passphrase, *costs, salt)
                    .map_err(|why| self.broken(&about.source, why))
            }
        }
    }

    fn read_key_file(&self) -> Result<SealingKey, StoreError> {
        let path = self.key_file();
        let bytes = self.read_file(&path, LENGTH as u64)?;
        let bytes = Zeroizing::new(bytes.ok_or_else(|| StoreError::NoKeyFile(path.clone()))?);
        let mut key = SealingKey::default();
        if bytes.len() != LENGTH {
            let short = io::Error::new(io::ErrorKind::InvalidData, "it is cut off");
            return Err(disk("use", &path)(short));
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }

    /// Makes the key file where there is none; one that is there is never replaced.
    fn make_key_file(&self) -> Result<(), StoreError> {
        let path = self.key_file();
        if !is_missing(&path) {
            return Ok(());
        }
        let key = Zeroizing::new(seal::random::<LENGTH>()?);
        self.write(&path, &*key)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        dirs::write(path, bytes)
            .and_then(|()| self.sync())
            .map_err(disk("write", path))
    }

    /// A key that was told to be kept, or forgotten, is so after a power loss.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn lock(&self) -> Result<File, StoreError> {
        dirs::secure(&self.directory).map_err(disk("use", &self.directory))?;
        let path = self.directory.join("lock");
        (dirs::try_lock(&path).map_err(disk("lock", &path))?).ok_or(StoreError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use tempfile::TempDir;

    use super::*;

    fn store() -> (TempDir, Store) {
        let base = tempfile::tempdir().unwrap();
        let store = Store::at(base.path().join("keys"));
        (base, store)
    }

    fn now() -> Timestamp {
        "2026-11-25T10:00:00Z".parse().unwrap()
    }

    fn set(store: &Store, source: &str, key: &str) -> u64 {
        store.set(source, &key.into(), None, now()).unwrap()
    }

    fn kept(store: &Store, source: &str) -> Option<(String, Option<String>)> {
        let text = |secret: SecretString| secret.expose_secret().to_owned();
        let kept = store.get(source, None).unwrap()?;
        Some((text(kept.key), kept.previous.map(text)))
    }

    fn why(store: &Store, source: &str) -> String {
        store.get(source, None).unwrap_err().to_string()
    }

    #[test]
    fn a_key_comes_back_until_it_is_removed() {
        let (_base, store) = store();
        assert_eq!(kept(&store, "watttime"), None);
        assert_eq!(set(&store, "watttime", "u:one"), 1);
        assert_eq!(set(&store, "watttime", "u:two"), 2);
        set(&store, "electricity-maps", "other");
        assert_eq!(kept(&store, "watttime"), Some(("u:two".to_owned(), None)));
        assert!(store.remove("watttime").unwrap());
        assert!(!store.remove("watttime").unwrap());
        assert_eq!(kept(&store, "watttime"), None);
        assert!(kept(&store, "electricity-maps").is_some());
    }

    #[test]
    fn a_rotated_key_keeps_the_one_before_it_until_that_is_retired() {
        let (_base, store) = store();
        let rotate = |key: &str| store.rotate("watttime", &key.into(), None, now());
        assert!(matches!(rotate("b").unwrap_err(), StoreError::NotStored(_)));
        set(&store, "watttime", "a");
        rotate("b").unwrap();
        assert_eq!(rotate("c").unwrap(), 3);
        let two = Some(("c".to_owned(), Some("b".to_owned())));
        assert_eq!(kept(&store, "watttime"), two);
        assert!(store.facts("watttime").unwrap().unwrap().has_previous);
        store.retire("watttime", None).unwrap();
        store.retire("watttime", None).unwrap();
        assert_eq!(kept(&store, "watttime"), Some(("c".to_owned(), None)));
        let facts = store.facts("watttime").unwrap().unwrap();
        assert!(!facts.has_previous && facts.version == 3);
        store.retire("electricity-maps", None).unwrap();
    }

    #[test]
    fn files_are_for_their_owner_alone_and_hold_no_key_in_the_clear() {
        let (_base, store) = store();
        set(&store, "watttime", "user:hush");
        store
            .rotate("watttime", &"user:hush".into(), None, now())
            .unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode(&store.directory), 0o700);
        let mut names = Vec::new();
        for entry in fs::read_dir(&store.directory).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(4).any(|part| part == b"hush"));
            names.push(path.file_name().unwrap().to_owned());
        }
        names.sort();
        assert_eq!(names, ["lock", "sealing-key", "watttime.key"]);
    }

    #[test]
    fn a_passphrase_is_asked_for_and_must_be_the_right_one() {
        let (_base, store) = store();
        let (right, wrong) = ("right".into(), "wrong".into());
        store
            .set("watttime", &"a:b".into(), Some(&right), now())
            .unwrap();
        assert!(store.facts("watttime").unwrap().unwrap().needs_passphrase);
        assert!(!store.key_file().exists());
        let get = |passphrase| store.get("watttime", passphrase);
        assert!(matches!(
            get(None).unwrap_err(),
            StoreError::PassphraseNeeded(_)
        ));
        let error = get(Some(&wrong)).unwrap_err().to_string();
        assert!(error.ends_with("the passphrase is wrong"), "{error}");
        assert!(get(Some(&right)).unwrap().is_some());
        let rotate = |by| store.rotate("watttime", &"a:c".into(), by, now());
        assert!(rotate(Some(&wrong)).is_err());
        rotate(Some(&right)).unwrap();
        assert_eq!(
            get(Some(&right)).unwrap().unwrap().key.expose_secret(),
            "a:c"
        );
    }

    #[test]
    fn one_key_put_in_place_of_another_is_refused() {
        let (_base, store) = store();
        set(&store, "watttime", "a:b");
        fs::copy(store.path("watttime"), store.path("electricity-maps")).unwrap();
        let error = why(&store, "electricity-maps");
        assert!(error.ends_with("it is that of `watttime`"), "{error}");
        // Setting it again is the way out.
        assert_eq!(set(&store, "electricity-maps", "c"), 1);
        assert!(kept(&store, "electricity-maps").is_some());
    }

    #[test]
    fn a_file_cut_at_any_byte_is_an_error_with_a_next_step() {
        let (_base, store) = store();
        set(&store, "watttime", "a:b");
        let path = store.path("watttime");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            dirs::write(&path, &whole[..cut]).unwrap();
            let error = store.get("watttime", None).unwrap_err();
            assert!(matches!(error, StoreError::Broken { .. }), "cut at {cut}");
            assert!(error.hint().contains("catrain key set"));
        }
    }

    #[test]
    fn links_are_refused_wherever_they_are() {
        let (base, store) = store();
        set(&store, "watttime", "a:b");
        let elsewhere = base.path().join("elsewhere");
        for path in [
            store.path("watttime"),
            store.key_file(),
            store.directory.clone(),
        ] {
            fs::rename(&path, &elsewhere).unwrap();
            symlink(&elsewhere, &path).unwrap();
            assert!(store.get("watttime", None).is_err(), "{}", path.display());
            fs::remove_file(&path).unwrap();
            fs::rename(&elsewhere, &path).unwrap();
            assert!(store.get("watttime", None).unwrap().is_some());
        }
    }

    #[test]
    fn a_key_file_that_is_gone_or_another_is_told_and_never_replaced() {
        let (_base, store) = store();
        set(&store, "watttime", "a:b");
        let file = store.key_file();
        dirs::write(&file, &[7; LENGTH]).unwrap();
        let error = why(&store, "watttime");
        assert!(error.contains("another key file"), "{error}");
        dirs::write(&file, &[7; LENGTH - 1]).unwrap();
        assert!(matches!(
            store.get("watttime", None),
            Err(StoreError::Disk { .. })
        ));
        assert!(store.set("watttime", &"a:b".into(), None, now()).is_err());
        assert_eq!(fs::read(&file).unwrap().len(), LENGTH - 1);
        fs::remove_file(&file).unwrap();
        assert!(matches!(
            store.get("watttime", None),
            Err(StoreError::NoKeyFile(_))
        ));
        set(&store, "watttime", "a:b");
    }

    #[test]
    fn a_change_does_not_wait_for_another_and_readers_are_not_in_its_way() {
        let (_base, store) = store();
        set(&store, "watttime", "a:b");
        let lock = store.lock().unwrap();
        let error = store.remove("watttime").unwrap_err();
        assert_eq!(error.to_string(), "another catrain is changing keys");
        assert!(kept(&store, "watttime").is_some());
        drop(lock);
        store.remove("watttime").unwrap();
    }
}
