//! What is added to a file that the job writes, or arrives in a pipe.

use std::fs::{File, Metadata, metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

use super::lines::Lines;

/// What is read at one look. A job that writes more between two is skipped through.
const AT_ONCE: u64 = 1 << 20;
/// What is kept of it then: its end.
const KEPT: u64 = 64 << 10;

/// Why something cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum NotAFile {
    /// It is something else than a regular file.
    #[error("it is {0}, not a regular file")]
    Is(&'static str),
    /// It could not be opened or read.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// Where the job says how far it is.
#[derive(Debug)]
pub enum Ear {
    /// A file that it writes, now or later.
    File(PathBuf),
    /// Our own stdout (1) or stderr (2), which it has inherited and which is a regular file.
    Stream(i32),
    /// A pipe of our own with a copy of what it writes. Its reading end must not block.
    Copy(OwnedFd),
}

/// Follows one of them.
#[derive(Debug)]
pub(super) struct Tail {
    ear: Ear,
    open: Option<Open>,
    /// Whether there was a look before: what a file held then was not written by this job.
    has_looked: bool,
    lines: Lines,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    at: u64,
}

impl Tail {
    pub(super) fn new(ear: Ear) -> Self {
        Self {
            ear,
            open: None,
            has_looked: false,
            lines: Lines::default(),
        }
    }

    /// Gives the lines that were added since the last look.
    pub(super) fn look(&mut self, take: &mut dyn FnMut(&str)) -> Result<(), NotAFile> {
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        match &self.ear {
            Ear::Copy(pipe) => {
                drain(pipe, &mut self.lines, take)?;
            }
            Ear::Stream(number) => {
                if self.open.is_none() {
                    // An open file of our own: the offset and the flags of the job's stay as they are.
                    let path = PathBuf::from(format!("/proc/self/fd/{number}"));
                    self.open = Some(Open::at_end(&path)?);
                }
            }
            Ear::File(path) => {
                let now = match metadata(path) {
                    Ok(now) => Some(now),
                    Err(error) if is_absent(&error) => None,
                    Err(error) => return Err(error.into()),
                };
                let id = now.as_ref().map(id_of);
                if let (Some(now), Some(id)) = (now, id)
                    && self.open.as_ref().is_none_or(|open| open.id != id)
                {
                    must_be_regular(&now)?;
                    if let Some(old) = &mut self.open {
                        // What was added before it was replaced, where that can be read yet.
                        let _ = old.read(&mut self.lines, take);
                    }
                    self.lines = Lines::default();
                    let mut open = Open::at_end(path)?;
                    if !is_first {
                        open.at = 0;
                    }
                    self.open = Some(open);
                }
            }
        }
        if let Some(open) = &mut self.open
            && let Err(error) = open.read(&mut self.lines, take)
        {
            // A file server that forgot it may know it when it is opened again.
            self.open = None;
            return Err(error.into());
        }
        self.lines.peek(take);
        Ok(())
    }
}

impl Open {
    fn at_end(path: &Path) -> Result<Self, NotAFile> {
        // Opened so that a device or a pipe that takes its place meanwhile is not waited for.
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let now = file.metadata()?;
        must_be_regular(&now)?;
        Ok(Self {
            file,
            id: id_of(&now),
            at: now.len(),
        })
    }

    fn read(&mut self, lines: &mut Lines, take: &mut dyn FnMut(&str)) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        if end < self.at {
            // Begun anew.
            self.at = 0;
            *lines = Lines::default();
        }
        if end - self.at > AT_ONCE {
            self.at = end - KEPT;
            lines.tear();
        }
        let mut buffer = [0; 16 << 10];
        while self.at < end {
            let length = match self.file.read_at(&mut buffer, self.at) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.at += length as u64;
            lines.feed(&buffer[..length], take);
        }
        Ok(())
    }
}

fn drain(pipe: &OwnedFd, lines: &mut Lines, take: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    let mut taken = 0;
    while taken < AT_ONCE {
        match nix::unistd::read(pipe.as_fd(), &mut buffer) {
            Ok(0) | Err(Errno::EAGAIN) => break,
            Ok(length) => {
                taken += length as u64;
                lines.feed(&buffer[..length], take);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether one of our own streams, 1 or 2, is a regular file, which can be followed without anything
/// in between.
///
/// # Errors
/// It is something else, or does not answer.
pub fn is_regular(stream: i32) -> Result<(), NotAFile> {
    // A file on a server that is gone may hang.
    let path = format!("/proc/self/fd/{stream}");
    let now = crate::patience::within(super::SNAPSHOT, move || metadata(path))??;
    must_be_regular(&now)
}

fn must_be_regular(now: &Metadata) -> Result<(), NotAFile> {
    let kind = now.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(NotAFile::Is(match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() => "a terminal or another device",
        () => "a block device",
    }))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn id_of(now: &Metadata) -> (u64, u64) {
    (now.dev(), now.ino())
}
