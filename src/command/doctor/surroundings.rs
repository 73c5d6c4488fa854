//! What runs are started in: a container, a batch system, a service.

use std::time::Duration;

use jiff::Timestamp;

use super::around::Around;
use super::processes;
use crate::doctor::Finding;
use crate::surroundings::{Limit, Surroundings, look_for};
use crate::words;

/// How long a batch system may take to tell the limit.
const PATIENCE: Duration = Duration::from_secs(4);
/// The pid namespace of the host: `PROC_PID_INIT_INO` of Linux, include/linux/proc_ns.h.
const HOST: &str = "pid:[4026531836]";
/// First processes that wait for orphans, by what they call themselves.
const INITS: [&str; 18] = [
    "systemd",
    "init",
    "tini",
    "tini-static",
    "dumb-init",
    "docker-init",
    "podman-init",
    "catatonit",
    "s6-svscan",
    "runit",
    "runsv",
    "supervisord",
    "pause",
    "slurmstepd",
    "bash",
    "sh",
    "dash",
    "busybox",
];

/// A pid namespace of our own, and who is first in it.
pub(super) fn container(around: &Around) -> Vec<Finding> {
    const NAME: &str = "container";
    let namespace = std::fs::read_link(around.root.join("proc/self/ns/pid"));
    let is_own = namespace.is_ok_and(|namespace| namespace.as_os_str() != HOST);
    let marks = ["run/.containerenv", ".dockerenv"];
    let is_marked = marks.iter().any(|mark| around.root.join(mark).exists());
    let is_contained = is_own || is_marked || around.text("container").is_some();
    if !is_contained {
        return Vec::new();
    }
    let first = around.read("proc/1/comm").unwrap_or_default();
    let first = first.trim();
    const INIT: &str = "start the container with an init: docker run --init, podman run --init, \
                        shareProcessNamespace in Kubernetes, or `tini --` before the command";
    let all = processes::list(&around.root);
    let ended = (all.iter())
        .filter(|process| process.parent == 1 && process.state == 'Z')
        .count();
    if ended > 0 && is_own {
        let found = format!(
            "process 1 (`{first}`) does not wait for orphans, {ended} of which have ended and are still there"
        );
        return vec![Finding::better(NAME, found, INIT)];
    }
    let is_init = INITS.contains(&first) || first.is_empty();
    if is_own && !is_init {
        let found = format!(
            "process 1 is `{first}`, not an init: what outlives its parent may never go away, and TERM \
             to the container may not reach the job"
        );
        return vec![Finding::better(NAME, found, INIT)];
    }
    let whose = match is_own {
        true => format!("with process ids of its own, and `{first}` as its init"),
        false => "with the process ids of its host".to_owned(),
    };
    let found = format!("a container {whose}: when it ends, so do catrain and the job");
    vec![Finding::ok(NAME, found)]
}

/// The batch system or service, and whether its time limit can be read.
pub(super) fn batch(around: &Around) -> Vec<Finding> {
    let patience = PATIENCE.min(around.left());
    let told = look_for(patience, |name| around.text(name));
    judge(&told, around.now, &|at| {
        words::time(at, around.now, &around.time_zone)
    })
}

fn judge(told: &Surroundings, now: Timestamp, time: &dyn Fn(Timestamp) -> String) -> Vec<Finding> {
    const NAME: &str = "surroundings";
    let Some(name) = &told.name else {
        return Vec::new();
    };
    // In an allocation nodes are billed while they wait.
    let waits = match told.is_allocation {
        true => {
            "; held and paused only with --deadline, --max-delay or --pause-with, since it is billed meanwhile"
        }
        false => "",
    };
    vec![match &told.limit {
        Limit::None => Finding::ok(
            NAME,
            format!("{name}, without a time limit that is known{waits}"),
        ),
        Limit::Until(end) if *end < now => Finding::better(
            NAME,
            format!("{name} was to end at {}, which is over", time(*end)),
            "unset SLURM_JOB_END_TIME, if it was set by hand",
        ),
        Limit::Until(end) => {
            let end = time(*end);
            Finding::ok(
                NAME,
                format!("{name} ends at {end}, which is the latest deadline{waits}"),
            )
        }
        Limit::Unreadable { why } => Finding::better(
            NAME,
            format!("the time limit of {name} cannot be read ({why}): neither held nor paused"),
            readable(name),
        ),
    }]
}

/// What makes a limit readable, or another one known.
fn readable(name: &str) -> &'static str {
    if name.starts_with("Slurm") {
        "export SLURM_JOB_END_TIME=$(date -d \"$(squeue -h -j $SLURM_JOB_ID -o %e)\" +%s), where squeue works"
    } else if name.starts_with("PBS") {
        "env -u PBS_JOBID catrain run --deadline TIME …, with the time at which it ends"
    } else if name.starts_with("LSF") {
        "env -u LSB_JOBID catrain run --deadline TIME …, with the time at which it ends"
    } else {
        "env -u INVOCATION_ID catrain run --deadline TIME …, with the time at which the service ends"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn an_allocation_says_when_it_waits_and_a_service_does_not() {
        let now: Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
        let end: Timestamp = "2026-11-24T20:00:00Z".parse().unwrap();
        let judged = |is_allocation, limit| {
            let name = Some("Slurm job 17".to_owned());
            let told = Surroundings {
                name,
                is_allocation,
                limit,
            };
            judge(&told, now, &|at| at.to_string()).remove(0)
        };
        let billed = judged(true, Limit::Until(end));
        assert!(
            billed
                .found
                .contains("held and paused only with --deadline")
        );
        assert_eq!(billed.outcome, Outcome::Ok);
        let service = judged(false, Limit::Until(end));
        assert!(!service.found.contains("billed"), "{service:?}");
        let over = judged(true, Limit::Until("2026-11-24T16:00:00Z".parse().unwrap()));
        assert_eq!(over.outcome, Outcome::CouldBeBetter);
        assert!(judge(&Surroundings::default(), now, &|at| at.to_string()).is_empty());
    }
}
