//! A run under `catrain`, as tests look at it: its leader, its guard, its id, and words to it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use catrain::control::{self, Word};
use serde_json::Value;

use super::child::Running;
use super::process::{self, Pid, Stat};
use super::{SOON, Sandbox, fixture, python, wait_for, wait_until};

/// Long enough for what takes seconds on an idle machine.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// The words of a job: a script of the fixtures with its arguments.
pub(crate) fn script<A: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![python().into(), fixture(name).into()];
    words.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
    words
}

/// `catrain run OPTIONS -- JOB`.
pub(crate) fn run<A: AsRef<OsStr>>(
    sandbox: &Sandbox,
    options: &[&str],
    job: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = sandbox.catrain(["run"]);
    command.args(options).arg("--").args(job);
    command
}

/// Which processes a `trees.py` job told of.
pub(crate) fn pids_in(folder: &std::path::Path) -> Vec<Pid> {
    fs::read_dir(folder.join("pids"))
        .into_iter()
        .flatten()
        .filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// A trace of issued forecasts that came true: hour by hour from 2021-11-09 on, for four days.
pub(crate) fn trace(sandbox: &Sandbox, grams: impl Fn(i64) -> f64) -> PathBuf {
    let start: jiff::Timestamp = "2021-11-09T00:00:00Z".parse().unwrap();
    let mut text = "issued_at,target_time,forecast,actual\n".to_owned();
    for hour in 0..96 {
        let at = start + jiff::SignedDuration::from_hours(hour);
        let grams = grams(hour);
        text.push_str(&format!("{start},{at},{grams},{grams}\n"));
    }
    sandbox.write("DE_made.csv", &text)
}

/// A run in progress.
pub(crate) struct Supervised<'a> {
    sandbox: &'a Sandbox,
    pub(crate) running: Running,
}

impl<'a> Supervised<'a> {
    /// Starts it with nothing on its stdin.
    #[track_caller]
    pub(crate) fn start(sandbox: &'a Sandbox, command: &mut Command) -> Self {
        Self::of(sandbox, Running::start(command))
    }

    /// One that was started otherwise.
    pub(crate) fn of(sandbox: &'a Sandbox, running: Running) -> Self {
        Self { sandbox, running }
    }

    /// The supervisor.
    pub(crate) fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// The children of the supervisor that are what they are to become.
    fn children(&self) -> Vec<(Pid, Stat, String)> {
        let own = process::arguments_of(self.pid());
        process::children_of(self.pid())
            .into_iter()
            .filter_map(|pid| {
                let stat = process::stat(pid)?;
                let arguments = process::arguments_of(pid);
                let first = arguments.first()?.clone();
                (arguments != own).then_some((pid, stat, first))
            })
            .collect()
    }

    /// The job's first process, if it runs.
    pub(crate) fn leader_now(&self) -> Option<Pid> {
        self.children()
            .into_iter()
            .find(|(pid, stat, first)| stat.session == *pid && !first.starts_with("carbon-"))
            .map(|(pid, ..)| pid)
    }

    /// The job's first process.
    #[track_caller]
    pub(crate) fn leader(&self) -> Pid {
        wait_for("the job's leader", SOON, || self.leader_now())
    }

    /// The guard, once it has settled.
    #[track_caller]
    pub(crate) fn guard(&self) -> Pid {
        wait_for("the guard", SOON, || {
            self.children()
                .into_iter()
                .find(|(pid, stat, first)| {
                    first == "carbon-guard"
                        && stat.name == "carbon-guard"
                        && process::is_alive(*pid)
                })
                .map(|(pid, ..)| pid)
        })
    }

    /// The run's id, once its socket is there.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        wait_for("the control socket", SOON, || self.id_if_there())
    }

    /// The same; `None` before its socket is there, and when it has ended.
    fn id_if_there(&self) -> Option<String> {
        let entries = fs::read_dir(self.sandbox.runtime_dir()).ok()?;
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .filter_map(|name| name.into_string().ok())
            .find_map(|name| Some(name.strip_suffix(".sock")?.to_owned()))
    }

    /// Sends a word to it; `None` if it gives no answer.
    pub(crate) fn try_word(&self, word: Word) -> Option<Value> {
        let path = control::socket(&self.sandbox.runtime_dir(), &self.id_if_there()?);
        serde_json::from_str(&control::ask(&path, word).ok()?).ok()
    }

    /// Sends a word to it and gives what it says of itself.
    #[track_caller]
    pub(crate) fn word(&self, word: Word) -> Value {
        wait_for("an answer", SOON, || self.try_word(word))
    }

    /// Waits until it says that it is in this state.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, state: &str) -> Value {
        let mut last = Value::Null;
        wait_for(&format!("state `{state}`"), LONG, || {
            last = self.try_word(Word::Status)?;
            (last["state"] == state).then(|| last.clone())
        })
    }

    /// `catrain pause`, until it is.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.word(Word::Pause);
        self.wait_for_state("paused");
    }

    /// `catrain resume`, until it runs.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.word(Word::Resume { time: None });
        self.wait_for_state("running");
    }

    /// How it ended; [`Running::wait`] for the output as well.
    #[track_caller]
    pub(crate) fn end(&mut self) -> std::process::ExitStatus {
        wait_for("the supervisor ends", LONG, || self.running.has_ended())
    }
}

/// The ids in the state directory.
pub(crate) fn recorded(sandbox: &Sandbox) -> Vec<String> {
    let mut ids: Vec<String> = fs::read_dir(sandbox.state_dir().join("runs"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    ids.sort();
    ids
}

/// What a `catrain` command says.
#[track_caller]
pub(crate) fn said(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.catrain(arguments).output().unwrap();
    let text = both(&output);
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

/// Standard output and error, one after the other.
pub(crate) fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs to its end what is quick.
#[track_caller]
pub(crate) fn outcome(command: &mut Command) -> super::child::Ended {
    Running::start(command).wait(LONG)
}

/// Whether a process lives, is not stopped and is not about to be.
pub(crate) fn runs(pid: Pid) -> bool {
    let states = process::states_of(pid);
    let alive = states.iter().any(|state| !"ZX".contains(*state));
    alive && !states.iter().any(|state| "Tt".contains(*state)) && !has_pending_stop(pid)
}

fn has_pending_stop(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .filter_map(|line| line.strip_prefix("ShdPnd:"))
        .any(|mask| u64::from_str_radix(mask.trim(), 16).unwrap_or(0) >> 18 & 1 == 1)
}

/// Waits until all of them are stopped.
#[track_caller]
pub(crate) fn wait_until_stopped(pids: &[Pid]) {
    wait_until("all are stopped", SOON, || {
        pids.iter().all(|&pid| process::is_stopped(pid))
    });
}

/// Waits until all of them run.
#[track_caller]
pub(crate) fn wait_until_running(pids: &[Pid]) {
    wait_until("all run", SOON, || pids.iter().all(|&pid| runs(pid)));
}

/// How often `job.py signals` got each signal.
pub(crate) fn counted(log: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *counts
            .entry(line["signal"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}
