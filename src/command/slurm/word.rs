//! `catrain pause`, `resume` and `stop` of a job: `slurm:17`. One with a supervisor inside hears it by that, on its
//! own node; one without is stopped and continued by Slurm's signals, all of it.

use std::io::Write;

use crate::command::{print, tell};
use crate::control::Word;
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::slurm::job::{Job, JobId};
use crate::slurm::record;
use crate::slurm::tools::{Installed, ToolError, Tools, cluster_name, job, said};

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
    let cluster = cluster_name(&tools).ok();
    for job in std::iter::once(first).chain(running) {
        let run = dirs::state().zip(cluster.as_deref());
        let run = run.and_then(|(state, cluster)| record::run_of(&state, cluster, job.id));
        let done = match run {
            Some(run) => by_supervisor(word, job, &run, &tools, out),
            None if matches!(word, Word::Resume { time: Some(_) }) => {
                let why = format!("job {} has no supervisor that would hold it again", job.id);
                return Err(Failure::usage(why).hint("leave out --for; nothing was changed"));
            }
            None => by_signals(word, job, &tools).map(Some),
        };
        let done = done.map_err(not_asked)?;
        if let Some(done) = done {
            print(out, &format!("job {} {done}\n", job.id))?;
        }
    }
    Ok(())
}

/// What its supervisor did with the word, by what it says; none: it has said so itself.
fn by_supervisor(
    word: Word,
    job: &Job,
    run: &str,
    tools: &dyn Tools,
    out: &mut dyn Write,
) -> Result<Option<String>, ToolError> {
    if tell::tell(word, Some(run), out).is_ok() {
        return Ok(None);
    }
    // It is on another host: a step of the job's own speaks to it there.
    let jobid = format!("--jobid={}", job.number);
    let program = std::env::current_exe().unwrap_or_else(|_| "catrain".into());
    let program = program.to_string_lossy();
    let mut arguments = vec![
        jobid.as_str(),
        "--overlap",
        "--quiet",
        "--mpi=none",
        "--nodes=1",
        "--ntasks=1",
        "--relative=0",
        "--",
        &program,
        word.as_str(),
        run,
    ];
    let time = match word {
        Word::Resume { time: Some(time) } => Some(format!("{}s", time.as_secs())),
        _ => None,
    };
    if let Some(time) = &time {
        arguments.extend(["--for", time]);
    }
    said(tools, "srun", &arguments).map(|told| Some(told.trim().to_owned()))
}

/// What was done to a job that has no supervisor of ours.
fn by_signals(word: Word, job: &Job, tools: &dyn Tools) -> Result<String, ToolError> {
    let id = job.id.to_string();
    // With nothing it reaches the steps alone, with `--full` the script and its children alone (22.05).
    let signalled = |signal: &str| {
        said(tools, "scancel", &[signal, &id])?;
        said(tools, "scancel", &[signal, "--full", &id])
    };
    Ok(match word {
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
    })
}
