//! Where a report goes: to a file, all of it or nothing, or to whoever reads.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Writes a report to `file`, else to `out`. A reader that went away is no error.
///
/// # Errors
/// It cannot be written; what stood in the file before then stands there still.
pub(super) fn write(report: &str, file: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<()> {
    match file {
        Some(path) => to_file(path, report.as_bytes())
            .with_context(|| format!("cannot write the report to {}", path.display())),
        None => match out.write_all(report.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write the report"),
        },
    }
}

fn to_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let there = match fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // A terminal, a pipe or a device cannot be replaced.
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return fs::write(path, bytes);
    }
    // Where a link leads to a file, that file is meant.
    let path = match there {
        Some(_) => fs::canonicalize(path)?,
        None => path.to_owned(),
    };
    let mode = there.map(|there| there.permissions());
    match replaced(&path, bytes, mode.as_ref()) {
        // A file of ours in a folder that we may not write to.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && mode.is_some() => {
            fs::write(path, bytes)
        }
        written => written,
    }
}

/// Puts a new file beside `path` and then in its place: with the mode that the old one had, or that
/// any new file would have.
fn replaced(path: &Path, bytes: &[u8], mode: Option<&Permissions>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut beside = tempfile::Builder::new()
        .prefix(".catrain-")
        // Less what the user's mask takes away.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    beside.write_all(bytes)?;
    if let Some(mode) = mode {
        beside.as_file().set_permissions(mode.clone())?;
    }
    // Not before it is whole on the disk: a full one may say so only now.
    beside.as_file().sync_all()?;
    beside.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_mode() {
        let folder = folder();
        let path = folder.path().join("report.html");
        fs::write(&path, "old and longer").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // Whoever has it open goes on reading the old one.
        let before = fs::File::open(&path).unwrap();
        to_file(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(io::read_to_string(before).unwrap(), "old and longer");
        assert_eq!(names(&folder), ["report.html"]);
    }

    #[test]
    fn a_new_file_has_the_mode_of_any_new_file() {
        let folder = folder();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        to_file(&path, b"new").unwrap();
        fs::write(&other, "new").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
        let folder = folder();
        let missing = folder.path().join("none").join("report.html");
        assert!(to_file(&missing, b"new").is_err());
        // A folder in the place of the file.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(to_file(&taken, b"new").is_err());
        assert_eq!(names(&folder), ["taken"]);
    }

    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        let folder = folder();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink("file", &link).unwrap();
        to_file(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");

        let null = folder.path().join("null");
        symlink("/dev/null", &null).unwrap();
        to_file(&null, b"new").unwrap();
        assert!(!fs::metadata(&null).unwrap().is_file());
    }
}
