//! A file of the configuration: read with care for who could have written it.

use std::fs::{File, Metadata, OpenOptions, metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::Uid;

use super::Layer;

/// Larger files are none of ours.
const LARGEST: u64 = 1 << 20;

/// What is in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// There is none.
    None,
    /// All of it.
    Whole(String),
    /// Others could have written it, or put it there.
    NotTrusted(String),
}

/// Reads the file of a layer. That of the working directory must be of the user or of root, in a
/// directory of theirs, and nobody else may write either: `git clone` into `/tmp/shared` makes a
/// stranger's file as easily as a friend's.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn text_of(layer: &Layer) -> io::Result<Text> {
    let (path, is_strangers) = match layer {
        Layer::System(path) | Layer::User(path) => (path, false),
        Layer::Project(path) => (path, true),
        Layer::Environment(_) => return Ok(Text::None),
    };
    let file = match open(path, is_strangers) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(Text::None),
        Err(error) if is_strangers && error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Ok(Text::NotTrusted("it is a link".to_owned()));
        }
        Err(error) => return Err(error),
    };
    let facts = file.metadata()?;
    if is_strangers && let Some(why) = why_not_trusted(path, &facts)? {
        return Ok(Text::NotTrusted(why));
    }
    if !facts.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        let why = "it has more than 1 MiB";
        return Err(io::Error::new(ErrorKind::InvalidData, why));
    }
    Ok(Text::Whole(text))
}

/// Opens a file, or a pipe in its place without waiting for it. A stranger's may not be a link: it
/// would have what the user may read, and the stranger may not, quoted in a log.
fn open(path: &Path, is_strangers: bool) -> io::Result<File> {
    let mut flags = OFlag::O_NONBLOCK;
    flags.set(OFlag::O_NOFOLLOW, is_strangers);
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Who else could have made what is at `path`, and where it is.
fn why_not_trusted(path: &Path, facts: &Metadata) -> io::Result<Option<String>> {
    if !facts.is_file() {
        return Ok(Some("it is no file".to_owned()));
    }
    let around = path.parent().map(metadata).transpose()?;
    let own = [0, Uid::effective().as_raw()];
    for (what, facts) in [("it", Some(facts)), ("its directory", around.as_ref())] {
        let Some(facts) = facts else { continue };
        if !own.contains(&facts.uid()) {
            let uid = facts.uid();
            return Ok(Some(format!("{what} belongs to uid {uid}, not to you")));
        }
        if facts.mode() & 0o022 != 0 {
            return Ok(Some(format!("others may write {what} (chmod go-w)")));
        }
    }
    Ok(None)
}
