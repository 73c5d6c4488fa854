//! One file a subcommand: from flags to what is printed. Each is a function of its arguments, the
//! look of the terminal, a writer, the time and the time zone, so that it can be tested whole.

pub mod forecast;
pub mod zones;

use std::io;

use jiff::tz::TimeZone;

use crate::error::{Failure, Kind};
use crate::forecast::zones::Unresolved;
use crate::source::SourceError;

impl From<Unresolved> for Failure {
    fn from(unresolved: Unresolved) -> Self {
        let hint = unresolved.hint();
        Self::new(Kind::Usage, unresolved).hint(hint)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hint = error.hint();
        Self::new(Kind::Failed, error).hint(hint)
    }
}

/// The outcome of writing: that nobody reads on is no failure.
fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Failed, error).hint("is the disk full?"))
        }
        _ => Ok(()),
    }
}

/// A time zone in words: `Europe/Berlin`, `UTC`, `UTC+01`.
fn zone_name(tz: &TimeZone, now: jiff::Timestamp) -> String {
    match tz.iana_name() {
        Some(name) => name.to_owned(),
        None => format!("UTC{}", tz.to_offset(now)),
    }
}
