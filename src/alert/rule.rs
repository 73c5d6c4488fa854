//! What there is to hear of. Pure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an alert is about, by the name that it has everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The work may not be done by its deadline.
    DeadlineAtRisk,
    /// The deadline has passed before the work was done.
    DeadlineMissed,
    /// 80 or 100 % of the carbon budget are used.
    Budget,
    /// The intensity has been above a limit for a while.
    IntensityAbove,
    /// The intensity has been below a limit for a while.
    IntensityBelow,
    /// Intensities are of a kind worse than a given one.
    SourceDegraded,
    /// A pause had no proof of a save, or was refused.
    PauseUnproved,
    /// The job has failed.
    JobFailed,
    /// The job has failed and is started again.
    JobRestarted,
    /// What was measured is not any more.
    MeterLost,
    /// The record cannot be written.
    LedgerGap,
    /// The guard that would continue a stopped job is gone.
    WatchdogLost,
    /// The run is over.
    RunEnded,
}

impl Rule {
    /// All of them, in the order in which a message has them.
    pub const ALL: [Self; 13] = [
        Self::DeadlineMissed,
        Self::DeadlineAtRisk,
        Self::JobFailed,
        Self::JobRestarted,
        Self::WatchdogLost,
        Self::PauseUnproved,
        Self::LedgerGap,
        Self::MeterLost,
        Self::Budget,
        Self::SourceDegraded,
        Self::IntensityAbove,
        Self::IntensityBelow,
        Self::RunEnded,
    ];

    /// Its name in the configuration and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeadlineAtRisk => "deadline-at-risk",
            Self::DeadlineMissed => "deadline-missed",
            Self::Budget => "budget",
            Self::IntensityAbove => "intensity-above",
            Self::IntensityBelow => "intensity-below",
            Self::SourceDegraded => "source-degraded",
            Self::PauseUnproved => "pause-unproved",
            Self::JobFailed => "job-failed",
            Self::JobRestarted => "job-restarted",
            Self::MeterLost => "meter-lost",
            Self::LedgerGap => "ledger-gap",
            Self::WatchdogLost => "watchdog-lost",
            Self::RunEnded => "run-ended",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// How long nothing more is told of it by itself: an hour, but of what happens once in a run
    /// each time.
    pub fn usual_cool_down(self) -> Duration {
        match self {
            Self::RunEnded | Self::JobFailed | Self::DeadlineMissed | Self::Budget => {
                Duration::ZERO
            }
            _ => Duration::from_hours(1),
        }
    }

    /// Whether it is told in quiet hours all the same, unless said otherwise.
    pub fn is_usually_urgent(self) -> bool {
        matches!(
            self,
            Self::DeadlineMissed | Self::JobFailed | Self::WatchdogLost
        )
    }

    /// Whether it is good news.
    pub fn is_good(self) -> bool {
        matches!(self, Self::IntensityBelow | Self::RunEnded)
    }
}

/// The names of all of them, in the same order.
pub const NAMES: [&str; Rule::ALL.len()] = {
    let mut names = [""; Rule::ALL.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = Rule::ALL[place].name();
        place += 1;
    }
    names
};

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_one_name_everywhere() {
        for rule in Rule::ALL {
            assert_eq!(Rule::of_name(rule.name()), Some(rule));
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(json, format!("\"{rule}\""));
        }
        assert_eq!(Rule::of_name("deadline"), None);
    }
}
