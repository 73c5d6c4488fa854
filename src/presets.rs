//! What is known of frameworks: how a job of theirs is asked to save, and how long it takes to end.
//! Pure data; `--help`, README and `doctor` say the same as they do.

use std::time::Duration;

use crate::supervise::settings::PauseWith;

/// Who of a job a signal is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recipient {
    /// The process that was started.
    #[default]
    Leader,
    /// Its process group.
    Group,
    /// Each of its ranks.
    Ranks,
}

impl Recipient {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Group => "group",
            Self::Ranks => "ranks",
        }
    }
}

/// What is known of a framework. What is given by hand stands above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// As it is typed.
    pub name: &'static str,
    /// How its jobs are paused.
    pub pause_with: PauseWith,
    /// How they are asked to save.
    pub checkpoint_signal: i32,
    /// Who of them is.
    pub recipient: Recipient,
    /// From asking to end to killing.
    pub grace: Duration,
    /// Longest stop of one that has not saved, if it has a limit even with one rank.
    pub max_stop: Option<Duration>,
    /// What it sends to whom, and what the job must do, in a line.
    pub does: &'static str,
    /// What it was tried with, or that it was not.
    pub tried: &'static str,
}

const USR1: i32 = 10;
const USR2: i32 = 12;

/// All of them, in the order of help.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "plain",
        pause_with: PauseWith::Stop,
        checkpoint_signal: USR1,
        recipient: Recipient::Leader,
        grace: Duration::from_secs(30),
        max_stop: None,
        does: "stops and continues every process; several ranks as well, for 8 min at most",
        tried: "tried with Python and shells",
    },
    Preset {
        name: "torchrun",
        pause_with: PauseWith::Checkpoint,
        checkpoint_signal: USR1,
        recipient: Recipient::Ranks,
        // The launcher gives its ranks 30 s.
        grace: Duration::from_secs(40),
        max_stop: Some(Duration::from_mins(8)),
        does: "USR1 to each rank, as the launcher passes none on; TERM to the launcher, which \
               gives its ranks 30 s; the script must save on USR1",
        tried: "untested",
    },
    Preset {
        name: "lightning",
        pause_with: PauseWith::Checkpoint,
        checkpoint_signal: USR1,
        recipient: Recipient::Ranks,
        grace: Duration::from_secs(40),
        max_stop: Some(Duration::from_mins(8)),
        does: "USR1 to each rank; a callback must save on it",
        tried: "untested",
    },
    Preset {
        name: "huggingface",
        pause_with: PauseWith::Checkpoint,
        checkpoint_signal: USR1,
        recipient: Recipient::Ranks,
        grace: Duration::from_secs(60),
        max_stop: Some(Duration::from_mins(8)),
        does: "USR1 to each rank; a callback must save on it",
        tried: "untested",
    },
    Preset {
        name: "submitit",
        pause_with: PauseWith::Restart,
        checkpoint_signal: USR2,
        recipient: Recipient::Leader,
        grace: Duration::from_secs(60),
        max_stop: None,
        does: "USR2 to the leader, on which submitit saves its function and ends",
        tried: "untested",
    },
];

/// The one of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_of_a_launcher_is_longer_than_what_it_gives_its_ranks() {
        assert!(preset("torchrun").unwrap().grace > Duration::from_secs(30));
    }

    #[test]
    fn no_preset_asks_a_job_to_save_by_what_ends_it() {
        assert!(PRESETS.iter().all(|preset| preset.checkpoint_signal != 15));
    }
}
