//! Putting the job back into Slurm's queue, by its owner's rights.
//!
//! `scontrol requeue` ends all of the job, this supervisor and whatever it has started included, and holds it
//! back for two minutes; its begin time is set right after that, by one process that outlives the signal
//! which comes in between. The nodes are free once all have ended.

use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::executor::HELPER;
use crate::patience;
use crate::slurm::tools::begin_after;

/// How long it may take in all: the controller may be away for a moment.
const PATIENCE: Duration = Duration::from_secs(25);

/// It does not start again sooner: a node refuses a job that it has ended in the same second (seen with 22.05:
/// "Job credential revoked").
const LEAST: Duration = Duration::from_secs(5);

/// What is done: `$1` is the job, `$2` its begin time. TERM is for the job.
const SCRIPT: &str = r#"trap '' TERM INT HUP
scontrol requeue "$1" || exit 3
scontrol update JobId="$1" StartTime="$2" ||
    { sleep 1; scontrol update JobId="$1" StartTime="$2"; } || exit 4
"#;

/// Asks for it in a thread of its own, and tells what came of it.
pub(super) fn give_back(job: Option<u64>, after: Duration, tell: Sender<super::Answer>) {
    let Some(job) = job else {
        let why = "it is in no job of Slurm's that may be requeued".to_owned();
        drop(tell.try_send(Err(why)));
        return;
    };
    let told = tell.clone();
    let asking = move || {
        let mut command = Command::new("sh");
        let begin = begin_after(after.max(LEAST));
        command.args(["-c", SCRIPT, "catrain-requeue", &job.to_string(), &begin]);
        command.env(HELPER.0, HELPER.1);
        let outcome = match patience::output(command, Vec::new(), PATIENCE) {
            // The begin time was not taken: it is started again when the queue sees fit.
            Ok(said) if said.status.success() || said.status.code() == Some(4) => Ok(()),
            Ok(said) => Err(said
                .stderr
                .lines()
                .last()
                .unwrap_or("it was refused")
                .to_owned()),
            Err(error) => Err(error.to_string()),
        };
        drop(told.blocking_send(outcome));
    };
    let thread = std::thread::Builder::new().name("requeue".to_owned());
    if let Err(error) = thread.spawn(asking) {
        drop(tell.try_send(Err(error.to_string())));
    }
}
