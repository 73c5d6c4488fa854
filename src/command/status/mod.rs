//! `catrain status`: the runs of this user, live.
//!
//! A live run answers over its socket, all of them at the same time. A socket that nobody answers, and
//! a record without an end, belong to a run whose supervisor was killed: `dead` tells what became
//! of it and how to go on.

pub(super) mod continued;
pub(super) mod dead;
mod describe;
mod details;
mod jobs;
mod table;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::StatusArgs;
use crate::control::{self, Word};
use crate::error::{Failure, Kind};
use crate::ledger::runs::{JOB, is_id};
use crate::ledger::{ledger_path, list_runs, select_any};
use crate::report::text::harmless;
use crate::slurm::job::JobId;
use crate::words::Look;
pub(super) use describe::describe;
use jobs::Queue;

/// `catrain status [RUN] [--json] [--watch]`.
///
/// # Errors
/// There is no such run, or the answer cannot be written.
pub fn status(
    args: &StatusArgs,
    look: Look,
    out: &mut dyn Write,
    now: &dyn Fn() -> Timestamp,
    zone: &TimeZone,
) -> Result<(), Failure> {
    if args.watch {
        return watch::watch(args, look, out, now, zone);
    }
    let seen = seen(args, &mut Queue::default(), now())?;
    if !args.json
        && let Some(trouble) = &seen.trouble
    {
        super::settle::tell(&format!("warning: {trouble}"));
    }
    super::print(out, &look.text(&page(args, &seen, now(), zone)))
}

/// What there is to show.
struct Seen {
    runs: Vec<Value>,
    /// Why nothing is known of what Slurm says, where it was asked.
    trouble: Option<String>,
}

impl Seen {
    fn document(&self) -> Value {
        let mut document = json!({ "schema": "catrain.status/1", "runs": self.runs });
        if let Some(trouble) = &self.trouble {
            document["slurm_trouble"] = trouble.as_str().into();
        }
        document
    }
}

/// The runs that were asked for.
fn seen(args: &StatusArgs, queue: &mut Queue, now: Timestamp) -> Result<Seen, Failure> {
    let state = crate::dirs::state();
    let runs = match (&args.run, &state) {
        (Some(wanted), Some(state)) => match wanted.strip_prefix(JOB) {
            Some(job) => of_job(job, state, queue, now)?,
            None => vec![jobs::whole(find(wanted)?, state, queue, now)],
        },
        (Some(wanted), None) => vec![find(wanted)?],
        (None, Some(state)) => jobs::with_jobs(all(), state, queue, now),
        (None, None) => all(),
    };
    let trouble = queue.trouble();
    Ok(Seen { runs, trouble })
}

/// All of a job, or of the tasks of an array.
fn of_job(
    wanted: &str,
    state: &Path,
    queue: &mut Queue,
    now: Timestamp,
) -> Result<Vec<Value>, Failure> {
    let job: JobId = wanted
        .parse()
        .map_err(|why: String| Failure::usage(harmless(&why)))?;
    let run = |id: &str| find(id).unwrap_or_else(|_| dead::dead(Some(state), id));
    let runs = jobs::of_job(job, state, queue, now, run);
    match runs.is_empty() {
        true => Err(Failure::usage(format!(
            "no job {job} of Slurm's was submitted by `catrain` from here"
        ))
        .hint("`catrain status` lists those that were; `squeue --me` lists all")),
        false => Ok(runs),
    }
}

fn page(args: &StatusArgs, seen: &Seen, now: Timestamp, zone: &TimeZone) -> String {
    let runs = seen.runs.as_slice();
    if args.json {
        format!("{:#}\n", seen.document())
    } else if args.run.is_some() {
        (runs.iter())
            .map(|run| details::details(run, now, zone))
            .collect()
    } else {
        table::table(runs, now, zone)
    }
}

/// Runs that have a socket, by id.
pub(super) fn sockets() -> BTreeMap<String, PathBuf> {
    sockets_in(&crate::dirs::runtimes())
}

/// Runs that have a socket in one of these directories; of one run, the first.
pub(super) fn sockets_in(directories: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for directory in directories {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".sock"));
            if let Some(id) = id.filter(|id| is_id(id)) {
                found.entry(id.to_owned()).or_insert_with(|| entry.path());
            }
        }
    }
    found
}

/// What each run says to a word, in the order of the ids. None of those that gave no answer is
/// left out.
pub(super) fn ask_all(
    sockets: &BTreeMap<String, PathBuf>,
    word: Word,
) -> Vec<(String, io::Result<Value>)> {
    let paths: Vec<PathBuf> = sockets.values().cloned().collect();
    let answers = control::ask_all(&paths, word).unwrap_or_else(|error| {
        let why = || io::Error::new(error.kind(), error.to_string());
        paths.iter().map(|_| Err(why())).collect()
    });
    let read = |answer: io::Result<String>| {
        let value: Value = serde_json::from_str(&answer?).map_err(io::Error::other)?;
        Ok(value)
    };
    sockets
        .keys()
        .cloned()
        .zip(answers.into_iter().map(read))
        .collect()
}

/// Every run that is live, or did not end well in the last days.
fn all() -> Vec<Value> {
    let sockets = sockets();
    let state = crate::dirs::state();
    let known: BTreeSet<String> = sockets.keys().cloned().collect();
    let mut runs: Vec<(String, Value)> = ask_all(&sockets, Word::Status)
        .into_iter()
        .filter_map(|(id, answer)| {
            let value = answered(&id, answer, &sockets[&id], state.as_deref());
            // Shown as the run that it has become.
            value["continued_as"].is_null().then_some((id, value))
        })
        .collect();
    let others = dead::unfinished(&known).into_iter();
    // Whose end stands before a long last line has ended all the same.
    runs.extend(others.filter_map(|id| {
        let value = dead::dead(state.as_deref(), &id);
        value["ended_at"].is_null().then_some((id, value))
    }));
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    let supervised: BTreeSet<i64> = (runs.iter())
        .filter(|(_, run)| run["ok"] == true)
        .filter_map(|(_, run)| run["pid"].as_i64())
        .collect();
    // The job of a run whose supervisor was killed may be another's by now.
    let is_anothers = |run: &Value| {
        let pid = run["pid"].as_i64();
        run["ok"] != true && pid.is_some_and(|pid| supervised.contains(&pid))
    };
    let runs = runs.into_iter().map(|(_, run)| run);
    runs.filter(|run| !is_anothers(run)).collect()
}

/// The live run that supervises a process, if one does.
pub(super) fn supervisor_of(pid: i32) -> Option<String> {
    let answers = ask_all(&sockets(), Word::Status).into_iter();
    let mut found = answers.filter_map(|(id, answer)| Some((id, answer.ok()?)));
    let is_it = |(_, run): &(String, Value)| run["pid"].as_i64() == Some(i64::from(pid));
    found.find(is_it).map(|(id, _)| id)
}

/// A run as it answers, or as its record tells.
fn answered(id: &str, answer: io::Result<Value>, socket: &Path, state: Option<&Path>) -> Value {
    match answer {
        Ok(answer) if answer["ok"] == true => answer,
        Ok(_) => dead::dead(state, id),
        Err(error) => {
            let run = dead::dead(state, id);
            if error.kind() == io::ErrorKind::ConnectionRefused {
                dead::forget(socket, !run["ended_at"].is_null());
            }
            run
        }
    }
}

fn find(wanted: &str) -> Result<Value, Failure> {
    let sockets = sockets();
    let live: Vec<String> = sockets.keys().cloned().collect();
    let state = crate::dirs::state();
    let not_there = match one_of(wanted, &live) {
        Ok(id) => {
            let socket = &sockets[&id];
            let answer = control::ask(socket, Word::Status)
                .and_then(|text| serde_json::from_str(&text).map_err(io::Error::other));
            return Ok(answered(&id, answer, socket, state.as_deref()));
        }
        Err(failure) => failure,
    };
    match state {
        Some(state) if is_id(wanted) && ledger_path(&state, wanted).exists() => {
            Ok(dead::dead(Some(&state), wanted))
        }
        _ => Err(not_there),
    }
}

/// Whether the supervisor of a run is there and answers.
pub(super) fn is_answering(run: &str) -> bool {
    let sockets = sockets();
    (sockets.get(run)).is_some_and(|socket| control::ask(socket, Word::Status).is_ok())
}

/// Which of all runs that were recorded is meant; `hint` is for whoever named none.
///
/// # Errors
/// There is no such run, or they cannot be listed.
pub(super) fn recorded(state: &Path, wanted: &str, hint: &str) -> Result<String, Failure> {
    let runs = list_runs(state).map_err(|error| Failure::new(Kind::Failed, error))?;
    let found = select_any(&runs, &[wanted.to_owned()], None, None)
        .map_err(|error| Failure::usage(error).hint(hint))?;
    let run = found.first().ok_or_else(|| Failure::usage("no such run"))?;
    Ok(run.id.clone())
}

/// Which of these runs is meant.
///
/// # Errors
/// None begins so, or several do.
pub(super) fn one_of(wanted: &str, live: &[String]) -> Result<String, Failure> {
    let mut fitting = live.iter().filter(|run| run.starts_with(wanted));
    match (fitting.next(), fitting.next()) {
        (Some(run), None) => Ok(run.clone()),
        (Some(_), Some(_)) if live.iter().any(|run| run == wanted) => Ok(wanted.to_owned()),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "several live runs begin with `{wanted}`"
        ))),
        (None, _) => {
            let failure = Failure::usage(format!("no live run `{wanted}`"));
            Err(match live {
                [] => failure.hint("no run is live"),
                live => failure.hint(format!("live: {}", live.join(", "))),
            })
        }
    }
}
