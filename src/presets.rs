//! What is known of frameworks: how a job of theirs is asked to save, and how long it takes to end.
//! Pure data; `--help`, README and `doctor` say the same as they do.

use std::time::Duration;

use crate::supervise::settings::{PauseWith, RANKS_STOP};

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
    /// What it is for and does, in half a line.
    pub summary: &'static str,
    /// How its jobs are paused.
    pub pause_with: PauseWith,
    /// How they are asked to save.
    pub checkpoint_signal: i32,
    /// Who of them is.
    pub recipient: Recipient,
    /// The exit code of one that leaves because it has saved, beside 0.
    pub leaves_with: i32,
    /// How they are asked to end.
    pub stop_signal: i32,
    /// From asking to end to killing.
    pub grace: Duration,
    /// Longest stop of one that has not saved, if it has a limit even with one rank.
    pub max_stop: Option<Duration>,
    /// What it sends to whom, and what the job must do, in a line.
    pub does: &'static str,
    /// What it was tried with, or that it was not.
    pub tried: &'static str,
}

const INT: i32 = 2;
const USR1: i32 = 10;
const USR2: i32 = 12;
const TERM: i32 = 15;

/// All of them, in the order of help.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "plain",
        summary: "Any job: STOP and CONT to every process; TERM to the first one ends it",
        pause_with: PauseWith::Stop,
        checkpoint_signal: USR1,
        recipient: Recipient::Leader,
        leaves_with: 0,
        stop_signal: TERM,
        grace: Duration::from_secs(30),
        max_stop: None,
        does: "stops and continues every process; several ranks as well, for 7 min at most",
        tried: "tried with Python and shells",
    },
    Preset {
        name: "torchrun",
        summary: "torchrun: USR1 to each rank, which saves and is then stopped; TERM to the launcher ends it",
        pause_with: PauseWith::Checkpoint,
        checkpoint_signal: USR1,
        // The launcher dies of USR1 and leaves its ranks alone.
        recipient: Recipient::Ranks,
        leaves_with: 0,
        // It passes TERM on, waits 30 s for its ranks, and ends with 1.
        stop_signal: TERM,
        grace: Duration::from_secs(40),
        max_stop: Some(RANKS_STOP),
        does: "USR1 to each rank, never to the launcher; the ranks must agree on the step after which \
               they save; TERM to the launcher, which gives its ranks 30 s",
        tried: "tried with torch 2.15 on CPUs, two ranks over gloo",
    },
    Preset {
        name: "lightning",
        summary: "PyTorch Lightning: USR1 to each rank, whose callback saves; INT to the first process ends it",
        pause_with: PauseWith::Checkpoint,
        checkpoint_signal: USR1,
        recipient: Recipient::Ranks,
        leaves_with: 0,
        // On TERM its ranks broadcast from within the handler, each at another place in its program:
        // of 18 jobs with two ranks 4 hung. Of 9 that were sent INT none did.
        stop_signal: INT,
        grace: Duration::from_secs(60),
        max_stop: None,
        does: "USR1 to each rank, the first one included; a callback must save on it, in Slurm too, \
               where Lightning would requeue the job on USR1; INT ends it, since several ranks may hang \
               on TERM",
        tried: "tried with Lightning 2.6 on CPUs, one process and two ranks",
    },
    Preset {
        name: "huggingface",
        summary: "Hugging Face Trainer, alone, by accelerate or torchrun: USR1 to each rank, whose callback saves",
        pause_with: PauseWith::Checkpoint,
        checkpoint_signal: USR1,
        // `accelerate launch` dies of USR1, and of TERM with one process, and leaves the Trainer alone.
        recipient: Recipient::Ranks,
        leaves_with: 0,
        stop_signal: TERM,
        grace: Duration::from_secs(60),
        max_stop: None,
        does: "USR1 to each rank, never to accelerate; a callback must save on it; a new folder \
               proves it, 5 s after its last change; TERM ends the job at once",
        tried: "tried with transformers 5.24 and accelerate 1.15 on CPUs, one process",
    },
    Preset {
        name: "submitit",
        summary: "submitit: USR2 to each task, which saves and leaves; INT to it ends it",
        pause_with: PauseWith::Restart,
        checkpoint_signal: USR2,
        // Of a script that submits, USR2 would end all but the tasks.
        recipient: Recipient::Ranks,
        // What its local controller takes for "start me again", as we do.
        leaves_with: 144,
        // A task ignores TERM.
        stop_signal: INT,
        grace: Duration::from_secs(60),
        max_stop: None,
        does: "USR2 to each task, on which submitit saves its function and leaves; to be put around a \
               task, as the executor's `python`, not around the script that submits; in Slurm \
               submitit then requeues the whole job, which is no pause",
        tried: "tried with submitit 1.5 and its LocalExecutor, not in Slurm",
    },
];

/// The one of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// All of them, as `--help` tells.
pub fn long_help() -> String {
    let mut text = "What is known of a framework: signals, who gets them, waits. What is given by \
                    hand stands above it. A script that saves when it is asked to must handle the \
                    signal (a process that would die of it is not asked, only stopped), and must go on from what it saved when it is started again.\n"
        .to_owned();
    for preset in &PRESETS {
        let Preset {
            name, does, tried, ..
        } = preset;
        let with = preset.pause_with.as_str();
        text.push_str(&format!("\n{name}: pauses with {with}; {does} ({tried})\n"));
    }
    text
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
        assert!(
            PRESETS
                .iter()
                .all(|preset| preset.checkpoint_signal != preset.stop_signal)
        );
    }

    #[test]
    fn help_tells_of_each_what_it_does_and_what_it_was_tried_with() {
        let text = long_help();
        for preset in &PRESETS {
            assert!(text.contains(preset.does), "{}", preset.name);
            assert!(text.contains(preset.tried), "{}", preset.name);
        }
    }
}
