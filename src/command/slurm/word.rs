//! `catrain pause`, `resume` and `stop` of a job: `slurm:17`. One with a supervisor inside hears it by that, on its
//! own node; one without is stopped and continued by Slurm's signals, all of it.

use std::io::Write;

use super::configured_value;
use crate::command::{print, tell};
use crate::control::Word;
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::slurm::job::{Job, JobId};
use crate::slurm::record;
use crate::slurm::tools::{Installed, ToolError, Tools, job, said};

/// Passes a word on to a job, or to all tasks of an array.
///
/// # Errors
/// There is no such job of this user's, it does not run, or Slurm says no.
pub(in crate::command) fn word(word: Word, id: JobId, out: &mut dyn Write) -> Result<(), Failure> {
    let tools = Installed::default();
    let not_asked = |error: ToolError| {
        Failure::new(Kind::Failed, error)
            .hint(format!("`catrain status slurm:{id}` tells how it stands"))
    };
    let jobs = job(&tools, id.job).map_err(not_asked)?;
    let mut running = jobs.iter().filter(|job| {
        let is_it = job.id == id || (id.task.is_none() && job.id.job == id.job);
        is_it && matches!(job.state.as_str(), "RUNNING" | "SUSPENDED" | "STOPPED")
    });
    let Some(first) = running.next() else {
        return Err(Failure::usage(format!("job {id} does not run")).hint(match word {
            Word::Stop => format!("`scancel {id}` takes it out of the queue"),
            _ => format!("`scontrol hold {id}` and `scontrol release {id}` keep it in the queue, and let it go"),
        }));
    };
    for job in std::iter::once(first).chain(running) {
        let done = one(word, job, &tools, out).map_err(not_asked)?;
        if let Some(done) = done {
            print(out, &format!("job {} {done}\n", job.id))?;
        }
    }
    Ok(())
}

/// What was done to one that runs; none: its supervisor has said so itself.
fn one(
    word: Word,
    job: &Job,
    tools: &dyn Tools,
    out: &mut dyn Write,
) -> Result<Option<String>, ToolError> {
    if let Some(run) = run_of(job, tools) {
        let verb = match word {
            Word::Pause => "pause",
            Word::Resume { .. } => "resume",
            _ => "stop",
        };
        if tell::live().contains_key(&run) && tell::tell(word, Some(&run), out).is_ok() {
            return Ok(None);
        }
        let number = job.number.to_string();
        let jobid = format!("--jobid={number}");
        let program = std::env::current_exe().unwrap_or_else(|_| "catrain".into());
        let program = program.to_string_lossy();
        let arguments = [
            &jobid,
            "--overlap",
            "--quiet",
            "--mpi=none",
            "--nodes=1",
            "--ntasks=1",
            "--relative=0",
            "--",
            &program,
            verb,
            &run,
        ];
        return said(tools, "srun", &arguments).map(|told| Some(told.trim().to_owned()));
    }
    let id = job.id.to_string();
    // With nothing it reaches the steps alone, with `--full` the script and its children alone (22.05).
    let signalled = |signal: &str| {
        said(tools, "scancel", &[signal, &id])?;
        said(tools, "scancel", &[signal, "--full", &id])
    };
    Ok(Some(match word {
        Word::Pause => {
            signalled("--signal=STOP")?;
            format!(
                "was stopped whole: it has no supervisor of ours; `catrain resume slurm:{id}` continues it, \
                 and its time limit runs on"
            )
        }
        Word::Resume { .. } => {
            signalled("--signal=CONT")?;
            "was continued whole".to_owned()
        }
        _ => {
            said(tools, "scancel", &[&id])?;
            "was cancelled".to_owned()
        }
    }))
}

/// The run that supervises a job.
fn run_of(job: &Job, tools: &dyn Tools) -> Option<String> {
    let state = dirs::state()?;
    let config = said(tools, "scontrol", &["show", "config"]).ok()?;
    let cluster = configured_value(&config, "ClusterName")?;
    record::run_of(&state, cluster, job.id)
}
