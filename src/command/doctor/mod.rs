//! `catrain doctor`: what works here, and the exact fix for what does not.
//!
//! | file | looks at |
//! |---|---|
//! | `around` | what all checks are given |
//! | `settings` | configuration, zone, clocks |
//! | `directories` | where catrain keeps its things |
//! | `sources` | the services that are asked, and their keys |
//! | `energy` | the meters |
//! | `rights` | what the executor needs of the kernel |
//! | `surroundings` | container and batch system |
//! | `slurm` | Slurm: what it lets a job do, the nodes' directory and clocks |
//! | `pausing` | what of this user's jobs a stop may harm |
//! | `runs` | runs that nobody supervises any more |
//! | `processes` | `/proc`, for some of these |
//!
//! Each check is a function of what it is given and has a thread of its own. One that hangs is left
//! behind when the time is over, and that is what is told of it. Nothing is changed: no directory is
//! made, no answer kept, no key dropped.

mod around;
mod directories;
mod energy;
mod pausing;
mod processes;
mod rights;
mod runs;
mod settings;
mod slurm;
mod sources;
mod surroundings;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

use crate::cli::DoctorArgs;
use crate::clock::monotonic;
use crate::doctor::page::page;
use crate::doctor::{Document, Finding, is_broken};
use crate::error::Failure;
use crate::words::Look;
use around::Around;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much earlier than that those checks give up that can say why.
const EARLIER: Duration = Duration::from_millis(500);

/// A check.
struct Check {
    /// As it is told.
    name: &'static str,
    /// What is found, nothing where it does not apply.
    look: fn(&Around) -> Vec<Finding>,
    /// What to do where it never comes back.
    hung: &'static str,
}

/// All of them, in the order in which they are told.
const CHECKS: [Check; 21] = [
    Check {
        name: "configuration",
        look: settings::configuration,
        hung: "look whether the disk of these files answers: ls /etc/catrain ~/.config/catrain",
    },
    Check {
        name: "zone",
        look: settings::zone,
        hung: "give it by hand: -z DE, or CATRAIN_ZONE",
    },
    Check {
        name: "directories",
        look: directories::directories,
        hung: "export CATRAIN_STATE_DIR and CATRAIN_CACHE_DIR on a disk that answers",
    },
    Check {
        name: "sources",
        look: sources::sources,
        hung: "run with --offline until it does",
    },
    Check {
        name: "keys",
        look: sources::keys,
        hung: "look whether the disk of the key files answers",
    },
    Check {
        name: "clock",
        look: settings::clock,
        hung: "export TZ=Europe/Berlin, or where you are",
    },
    Check {
        name: "gpu energy",
        look: energy::gpu,
        hung: "if nvidia-smi hangs as well, reset the GPU or reboot; --gpus none leaves GPUs out",
    },
    Check {
        name: "cpu energy",
        look: energy::cpu,
        hung: "export CATRAIN_POWERCAP=/nonexistent: the processor is estimated then",
    },
    Check {
        name: "freezer",
        look: rights::freezer,
        hung: "look whether the cgroup file system answers: ls /sys/fs/cgroup",
    },
    Check {
        name: "pidfds",
        look: rights::pidfds,
        hung: "look what hangs: sudo dmesg | tail",
    },
    Check {
        name: "processes",
        look: rights::processes,
        hung: "look whether new processes start: sh -c true",
    },
    Check {
        name: "watchdog",
        look: rights::watchdog,
        hung: "look whether new processes start: sh -c true",
    },
    Check {
        name: "orphans",
        look: rights::orphans,
        hung: "look what hangs: sudo dmesg | tail",
    },
    Check {
        name: "locked memory",
        look: rights::locked_memory,
        hung: "look what hangs: sudo dmesg | tail",
    },
    Check {
        name: "container",
        look: surroundings::container,
        hung: "look whether /proc answers: ls /proc",
    },
    Check {
        name: "surroundings",
        look: surroundings::batch,
        hung: "look whether squeue, or systemctl, answers",
    },
    Check {
        name: crate::doctor::slurm::SLURM,
        look: slurm::slurm,
        hung: "look whether squeue and scontrol answer: scontrol ping",
    },
    Check {
        name: crate::doctor::slurm::SHARED,
        look: slurm::shared,
        hung: "export CATRAIN_STATE_DIR on a disk that answers",
    },
    Check {
        name: crate::doctor::slurm::CLOCKS,
        look: slurm::clocks,
        hung: "look whether the nodes answer: srun --overlap date",
    },
    Check {
        name: "pausing",
        look: pausing::pausing,
        hung: "export CATRAIN_STATE_DIR on a disk that answers",
    },
    Check {
        name: "runs",
        look: runs::runs,
        hung: "export CATRAIN_STATE_DIR on a disk that answers",
    },
];

/// Looks at everything and tells of it; 1 where something is broken.
///
/// # Errors
/// It cannot be written.
pub fn doctor(
    args: &DoctorArgs,
    profile: Option<&str>,
    look: Look,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let until = monotonic() + PATIENCE;
    let around = Arc::new(Around::here(args, profile, until - EARLIER));
    let findings = look_at_all(&CHECKS, &around, until);
    let text = if args.json {
        let document = serde_json::to_string_pretty(&Document::of(&findings));
        let document = document.map_err(|error| Failure::from(anyhow::Error::new(error)))?;
        format!("{document}\n")
    } else {
        // Lines of a pipe are for who searches them.
        let width = io::stdout().is_terminal().then_some(look.width);
        page(&findings, look, width)
    };
    super::print(out, &text)?;
    Ok(ExitCode::from(u8::from(is_broken(&findings))))
}

/// What all checks find by then, in their order.
fn look_at_all(checks: &'static [Check], around: &Arc<Around>, until: Duration) -> Vec<Finding> {
    let (sender, done) = channel();
    for (index, check) in checks.iter().enumerate() {
        let (around, sender) = (Arc::clone(around), sender.clone());
        // One that gets no thread is told of as one that gave no answer.
        let _ = Builder::new().spawn(move || drop(sender.send((index, (check.look)(&around)))));
    }
    drop(sender);
    let mut found: Vec<Option<Vec<Finding>>> = checks.iter().map(|_| None).collect();
    while let Ok((index, findings)) = done.recv_timeout(until.saturating_sub(monotonic())) {
        found[index] = Some(findings);
    }
    let told = checks.iter().zip(found).map(|(check, found)| {
        found.unwrap_or_else(|| {
            let silent = "this check gave no answer in time";
            vec![Finding::broken(check.name, silent, check.hung)]
        })
    });
    told.flatten().collect()
}
