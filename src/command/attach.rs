//! `catrain attach`: the run of a process that runs already.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::configured::Configured;
use super::run::{self, Ending};
use super::status::dead::{self, Fate};
use super::status::{is_answering, recorded, supervisor_of};
use crate::cli::{Attach, AttachArgs, LeftoverFate, LogArgs, PauseMode, ProgressFrom, RunArgs};
use crate::error::{Failure, Kind};
use crate::executor::{Inherited, Job};
use crate::words::Look;

/// Supervises it until it ends or we leave.
///
/// # Errors
/// There is no such process, it is not this user's, or the options are not for what runs already.
pub fn attach(
    args: AttachArgs,
    logged: &LogArgs,
    configured: Configured,
    inherited: &Inherited,
    look: Look,
    out: &mut dyn Write,
) -> Result<Ending, Failure> {
    check(&args)?;
    let pid = match args.target.parse::<i32>() {
        Ok(pid) => pid,
        Err(_) => job_of(&args.target)?,
    };
    if let Some(run) = supervisor_of(pid) {
        return Err(
            Failure::usage(format!("process {pid} is supervised already, by {run}")).hint(format!(
                "`catrain status {run}` shows how it stands; nothing was done"
            )),
        );
    }
    // Looked at before anything is begun; nobody is touched by that.
    drop(Job::attach(pid, args.force).map_err(|error| {
        Failure::new(Kind::Failed, error).hint("nothing was done; it runs on as before")
    })?);
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let mut command: Vec<OsString> = (read("cmdline").split(|&byte| byte == 0))
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    if command.is_empty() {
        command.push(OsString::from_vec(read("comm").trim_ascii().to_vec()));
    }
    let directory = std::fs::read_link(format!("/proc/{pid}/cwd"));
    let args = RunArgs {
        options: args.options,
        command,
        attach: Some(Attach {
            pid,
            force: args.force,
            directory: directory.unwrap_or_else(|_| PathBuf::from("/")),
        }),
    };
    run::run(&args, logged, configured, inherited, look, out)
}

/// Refuses what is only for a job that is started.
fn check(args: &AttachArgs) -> Result<(), Failure> {
    let options = &args.options;
    let starts_again = matches!(
        options.pause_with,
        Some(PauseMode::Restart | PauseMode::Requeue | PauseMode::Suspend | PauseMode::Auto)
    );
    let is_between = matches!(
        options.progress_from,
        Some(ProgressFrom::Stdout | ProgressFrom::Stderr)
    );
    let refused = [
        (options.tty, "--tty"),
        (starts_again, "--pause-with restart|auto"),
        (options.retries > 0, "--retries"),
        (options.resume_args.is_some(), "--resume-args"),
        (is_between, "--progress-from stdout|stderr"),
        (options.leftovers == LeftoverFate::Leave, "--leftovers"),
        (options.replay.is_some(), "--replay"),
    ];
    match refused.into_iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, flag)) => Err(Failure::usage(format!(
            "`{flag}` is for a job that catrain starts, not for one that runs already"
        ))
        .hint("leave it out; nothing was done")),
    }
}

/// The job of a run whose supervisor was killed.
fn job_of(wanted: &str) -> Result<i32, Failure> {
    let state = crate::dirs::state().ok_or_else(super::no_state)?;
    let hint = "give the pid of a process, or a run that `catrain status` lists";
    let run = &recorded(&state, wanted, hint)?;
    if is_answering(run) {
        return Err(Failure::usage(format!("{run} has its supervisor"))
            .hint(format!("`catrain status {run}` shows how it stands")));
    }
    match dead::look(&state, run).1 {
        Fate::JobRuns(pid) => Ok(pid),
        Fate::Waiting { .. } => Err(Failure::usage(format!("{run} has no process to attach to"))
            .hint(format!("`catrain continue {run}` starts its job"))),
        Fate::Silent { .. } => Err(Failure::usage(format!(
            "the supervisor of {run} is there and does not answer"
        ))
        .hint(format!("`catrain status {run}` tells more"))),
        Fate::Elsewhere(host) => Err(Failure::usage(format!("{run} was started on {host}"))
            .hint("only there can its job be supervised")),
        Fate::OnNode { node, job } => Err(Failure::usage(format!(
            "{run} is in job {job} of Slurm's, on node {node}"
        ))
        .hint("only there can its job be supervised")),
        Fate::Requeued { .. } => Err(Failure::usage(format!(
            "{run} waits in Slurm's queue: it has no process"
        ))
        .hint(format!("`catrain status {run}` shows when it starts"))),
        Fate::Ended { .. } | Fate::JobGone | Fate::Unknown(_) | Fate::Damaged => {
            Err(Failure::usage(format!("nothing of {run} is known to run"))
                .hint(format!("`catrain status {run}` tells more")))
        }
    }
}
