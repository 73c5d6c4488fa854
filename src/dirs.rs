//! Where `catrain` keeps its things, and that nobody else can have put them there.
//!
//! XDG directories, each overruled by `CATRAIN_CACHE_DIR`, `CATRAIN_STATE_DIR`,
//! `CATRAIN_RUNTIME_DIR`. Made with mode 0700, opened without following links, owner and mode checked
//! on the descriptor. Files are written beside, synced and renamed.

use std::env;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Uid, gethostname};

/// What outlives a run: ledgers and what was learned.
pub fn state() -> Option<PathBuf> {
    own("CATRAIN_STATE_DIR", "XDG_STATE_HOME", ".local/state")
}

/// What can be had again: answers of providers.
pub fn cache() -> Option<PathBuf> {
    own("CATRAIN_CACHE_DIR", "XDG_CACHE_HOME", ".cache")
}

/// What the user sets.
pub fn config() -> Option<PathBuf> {
    own("CATRAIN_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")
}

/// What lives as long as a run: its control socket. Without a runtime directory of the user's,
/// one per host in the state directory, since state directories may be shared between hosts.
pub fn runtime() -> Option<PathBuf> {
    runtimes().into_iter().next()
}

/// Where there may be sockets, best first: a runtime directory may come with a login and go with a
/// logout while a run goes on.
pub fn runtimes() -> Vec<PathBuf> {
    if let Some(given) = given("CATRAIN_RUNTIME_DIR") {
        return vec![given];
    }
    let xdg = absolute("XDG_RUNTIME_DIR").filter(|path| path.is_dir());
    let host = gethostname().map(|host| host.to_string_lossy().into_owned());
    let in_state = state().zip(host.ok());
    let in_state = in_state.map(|(state, host)| state.join(format!("run-{host}")));
    let xdg = xdg.map(|xdg| xdg.join("catrain"));
    xdg.into_iter().chain(in_state).collect()
}

fn own(variable: &str, xdg: &str, below_home: &str) -> Option<PathBuf> {
    if let Some(given) = given(variable) {
        return Some(given);
    }
    let base = absolute(xdg).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(base.join("catrain"))
}

/// Our own variables say what the user means: a relative path starts from where the user is.
fn given(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).filter(|path| !path.is_empty())?;
    std::path::absolute(path).ok()
}

/// A relative path in a variable of the XDG's is to be ignored (XDG Base Directory Specification 0.8).
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Makes the directory with its parents, 0700, and checks that it is ours alone.
///
/// # Errors
/// It cannot be made, is a link, belongs to someone else, or others may write it.
pub fn secure(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let directory = open_directory(path)?;
    let facts = directory.metadata()?;
    if facts.uid() != Uid::effective().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} belongs to uid {}, not to you",
                path.display(),
                facts.uid()
            ),
        ));
    }
    if facts.mode() & 0o077 != 0 {
        directory.set_permissions(Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

/// Opens a regular file of ours that nobody else may write; follows no link and waits for no pipe.
///
/// # Errors
/// It cannot be opened; or, as [`io::ErrorKind::InvalidData`], it is a link or no file, or somebody
/// else owns it or may write it.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without NONBLOCK a pipe in its place would be waited for.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = options.custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::ELOOP as i32 => refused("it is a link"),
        _ => error,
    })?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(refused("it is no file"));
    }
    if facts.uid() != Uid::effective().as_raw() {
        return Err(refused("it is not yours"));
    }
    if facts.mode() & 0o022 != 0 {
        return Err(refused("others may write it"));
    }
    Ok(file)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// What a file of ours holds.
///
/// # Errors
/// As [`open_own`], or it is larger than `most`.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_own(path, OpenOptions::new().read(true))?;
    let length = file.metadata()?.len();
    if length > most {
        return Err(refused("it is too large"));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file, 0600, in the place of what was there, in a directory that is made where there is
/// none. Whoever reads finds the old one or the new one, whole.
///
/// # Errors
/// It cannot be written; what was there before still is.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    secure(directory)?;
    // Mode 0600 is what tempfile gives.
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The lock in a file, which is made where it is missing, until it is dropped; `None` while another
/// has it.
///
/// # Errors
/// There can be no lock: nothing can be written there.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_for_its_owner_alone() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        secure(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        secure(&path).unwrap();
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let (real, link) = (base.path().join("real"), base.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(secure(&link).is_err());
    }

    #[test]
    fn a_file_is_for_its_owner_alone_and_what_others_could_have_put_there_is_not_read() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 3).unwrap(), b"two");

        let refused = |path: &Path| {
            let error = read(path, 3).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            error.to_string()
        };
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(refused(&link), "it is a link");
        let pipe = base.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(refused(&pipe), "it is no file");
        std::fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        assert_eq!(refused(&path), "others may write it");
        write(&path, b"four").unwrap();
        assert_eq!(refused(&path), "it is too large");
    }
}
