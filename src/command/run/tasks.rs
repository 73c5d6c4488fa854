//! What a run does before its loop and after it: one thing after the other, each with the longest
//! time that it may take.
//!
//! A limit is kept by who does the task: what may block has a thread of its own, and is left behind
//! in the end. TERM or INT in the middle of any of them ends the run cleanly. Until the signals are taken,
//! right after the configuration is read, they end it as they end any program; then they wait, no
//! longer than these limits, and the loop ends by them before it starts a job. After the loop the
//! exit is the job's, whatever comes; only the user's own commands are not waited for any longer.

use std::time::Duration;

use tracing::{debug, warn};

use crate::clock::monotonic;
use crate::fault::{self, Point};

/// A thing to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Task {
    /// Read files and variables, all that is wrong told at once.
    Configure,
    /// Look at the surroundings, and at what was learned of this command.
    Prepare,
    /// Open the record, and begin it.
    Record,
    /// Ask sources and open the control socket: both go on beside everything else.
    Gather,
    /// Set up who hears of the job and of signals, and begin the loop.
    Drive,
    /// Wait for the user's commands.
    AwaitHooks,
    /// Wait until whoever launched the run knows of it.
    TellLauncher,
    /// Close the record.
    CloseRecord,
    /// Make the summary and print it.
    Summarise,
    /// Keep what was learned of this command.
    Remember,
    /// Remove the control socket.
    CloseSocket,
    /// Write the last lines.
    FallSilent,
}

impl Task {
    /// As it stands in the log, the most time it may take, and where tests step in.
    fn facts(self) -> (&'static str, Duration, Point) {
        let (seconds, moment) = (Duration::from_secs, Duration::from_millis);
        match self {
            // Three files at a second each.
            Self::Configure => ("configure", seconds(4), Point::Configuring),
            Self::Prepare => ("prepare", moment(500), Point::Preparing),
            Self::Record => ("record", moment(500), Point::Recording),
            Self::Gather => ("gather", moment(500), Point::Gathering),
            Self::Drive => ("drive", moment(500), Point::Driving),
            // Half a minute for each command, and five seconds to kill it.
            Self::AwaitHooks => ("await hooks", seconds(36), Point::AwaitingHooks),
            Self::TellLauncher => ("tell launcher", seconds(3), Point::TellingLauncher),
            Self::CloseRecord => ("close record", seconds(3), Point::ClosingRecord),
            Self::Summarise => ("summarise", seconds(3), Point::Summarising),
            Self::Remember => ("remember", seconds(3), Point::Remembering),
            Self::CloseSocket => ("close socket", seconds(1), Point::ClosingSocket),
            Self::FallSilent => ("fall silent", seconds(3), Point::FallingSilent),
        }
    }

    /// The longest time that it may take.
    pub(in crate::command) fn limit(self) -> Duration {
        self.facts().1
    }

    /// Does it. How long it took is logged, and that it took too long.
    pub(in crate::command) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let (task, limit, point) = self.facts();
        fault::at(point);
        let began = monotonic();
        let done = work();
        let took = monotonic().saturating_sub(began);
        let duration_ms = took.as_secs_f64() * 1e3;
        match took > limit + limit / 10 {
            true => warn!(
                task,
                duration_ms,
                limit_s = limit.as_secs_f64(),
                "took too long"
            ),
            false => debug!(task, duration_ms, "done"),
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_for_systemd_gives_a_run_the_time_that_its_end_may_take() {
        let place = "tests/fixtures/systemd/catrain@.service";
        let unit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
        let unit = std::fs::read_to_string(unit).unwrap();
        let set = |name: &str| {
            let found = unit.lines().find_map(|line| line.strip_prefix(name));
            crate::parse::duration(&found.unwrap().replace("min", "m")).unwrap()
        };
        let after = [
            Task::AwaitHooks,
            Task::TellLauncher,
            Task::CloseRecord,
            Task::Summarise,
            Task::Remember,
            Task::CloseSocket,
            Task::FallSilent,
        ];
        let end: Duration = after.into_iter().map(Task::limit).sum();
        let grace = Duration::from_secs(30);
        assert!(grace + end < set("TimeoutStopSec="), "{end:?}");
        // Nothing tells that we live while a run ends.
        assert!(end < set("WatchdogSec="), "{end:?}");
    }
}
