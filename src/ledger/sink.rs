//! Where the lines of a ledger go.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

/// Takes lines in order. The file is one; tests have others that are full, broken or hang.
pub trait Sink: Send {
    /// Adds one or more whole lines at the end, or nothing at all.
    ///
    /// # Errors
    /// When they could not be added; the sink is then as it was before.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Returns when all that was added survives a loss of power.
    ///
    /// # Errors
    /// When that cannot be said.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether all that was added is still there, where that can be seen.
    ///
    /// # Errors
    /// Somebody took it away or changed it; says what happened.
    fn look(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that only this writer writes.
#[derive(Debug)]
pub(super) struct FileSink {
    file: File,
    /// Bytes of whole lines.
    good: u64,
    /// Whether a failed write may have left part of a line behind them.
    is_torn: bool,
}

impl FileSink {
    /// An empty file, opened to append.
    pub(super) fn new(file: File) -> Self {
        Self::after(file, 0)
    }

    /// A file with so many bytes of whole lines, opened to append.
    pub(super) fn after(file: File, good: u64) -> Self {
        Self {
            file,
            good,
            is_torn: false,
        }
    }

    /// As after a write that failed half way.
    #[cfg(test)]
    pub(super) fn tear(&mut self) {
        self.is_torn = true;
    }
}

impl Sink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.good)?;
            self.is_torn = false;
        }
        // A disk that fills up takes the first part of a line; the rest of the file must not
        // follow it.
        self.is_torn = true;
        self.file.write_all(lines)?;
        self.is_torn = false;
        self.good += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.look()
    }

    /// Writing to a file that was deleted or cut goes well, and nobody will ever read it.
    fn look(&self) -> io::Result<()> {
        let facts = self.file.metadata()?;
        let what = match facts.len() {
            _ if facts.nlink() == 0 => "it was deleted while the run goes on",
            length if length < self.good => "it was cut while the run goes on",
            length if length > self.good && !self.is_torn => "something else writes to it",
            _ => return Ok(()),
        };
        Err(io::Error::other(what))
    }
}
