//! Every way to pause, with real processes: well-behaved training that is paused at any moment, and
//! jobs that save, leave, fail or tell of themselves in all the ways that jobs do.

#[cfg(feature = "fault-points")]
mod hooks;
mod leaving;
mod moments;
mod plans;
mod progress;
mod retries;
mod saving;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use catrain::control::Word;
use catrain::ledger::entry::{Action, Entry, Exit, What};
use catrain::ledger::{self, ledger_path};
use serde_json::Value;

use crate::support::Sandbox;
use crate::support::process::{self, Pid};
use crate::support::supervised::{LONG, Supervised, recorded, run, said, script};
use crate::support::{SOON, wait_for, wait_until};

/// At once, never held by the plan, and nothing said at the end.
const AT_ONCE: [&str; 6] = ["-z", "DE", "--max-delay", "0", "--summary", "none"];
/// Bytes of what `saver.py` saves.
const LENGTH: u64 = 30_000;

/// A sandbox with a folder for the job.
struct Scene {
    sandbox: Sandbox,
    folder: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("job");
        fs::create_dir(&folder).unwrap();
        Self { sandbox, folder }
    }

    /// `--checkpoint-path` of what `saver.py` saves.
    fn proof(&self) -> [String; 2] {
        let path = self.folder.join("*.pt");
        ["--checkpoint-path".to_owned(), path.display().to_string()]
    }

    /// A job of `saver.py` under `catrain run`.
    fn saver(&self, options: &[&str], behaviour: &str, words: &[&str]) -> Command {
        let folder = self.folder.to_str().unwrap();
        let job = script("saver.py", [&[behaviour, folder], words].concat());
        run(&self.sandbox, &[&AT_ONCE[..], options].concat(), job)
    }

    /// The same, paused by this mode with its file as the proof; ready to be asked to save.
    #[track_caller]
    fn paused_with(&self, mode: &str, more: &[&str], behaviour: &str) -> Supervised<'_> {
        let proof = self.proof();
        let mut options = vec!["--pause-with", mode];
        options.extend(proof.iter().map(String::as_str));
        options.extend(more);
        let mut command = self.saver(&options, behaviour, &[]);
        let mut run = Supervised::start(&self.sandbox, &mut command);
        run.running.expect("ready", LONG);
        run
    }

    /// The starts that the job has noted.
    fn starts(&self) -> Vec<Value> {
        let text = self.sandbox.read("job/starts");
        let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        lines.map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// Waits until the job was started so often, and is ready.
    #[track_caller]
    fn wait_for_starts(&self, count: usize) {
        wait_until(&format!("{count} starts"), LONG, || {
            self.starts().len() == count
        });
    }

    /// Who of the job lives.
    fn job(&self, supervisor: Pid) -> Vec<Pid> {
        let mut all = self.sandbox.processes();
        all.retain(|&pid| {
            let first = process::arguments_of(pid).into_iter().next();
            pid != supervisor && !first.unwrap_or_default().starts_with("carbon-")
        });
        all
    }

    /// What the record of the only run says so far.
    #[track_caller]
    fn record(&self) -> Vec<Entry> {
        let ids = recorded(&self.sandbox);
        assert_eq!(ids.len(), 1, "one run is recorded: {ids:?}");
        let path = ledger_path(&self.sandbox.state_dir(), &ids[0]);
        ledger::read(&path).map_or_else(|_| Vec::new(), |ledger| ledger.entries)
    }

    /// Waits until the record holds what `find` looks for.
    #[track_caller]
    fn wait_for_record<T>(&self, what: &str, find: impl Fn(&What) -> Option<T>) -> T {
        wait_for(what, SOON, || {
            self.record().iter().find_map(|entry| find(&entry.what))
        })
    }

    /// Waits for the record of a save, and gives its proof.
    #[track_caller]
    fn proof_on_record(&self) -> Option<String> {
        self.wait_for_record("the record of a save", |what| match what {
            What::Saved { proof, .. } => Some(proof.clone()),
            _ => None,
        })
    }

    /// How the record says that the run ended, and why.
    #[track_caller]
    fn end_on_record(&self) -> (Option<Exit>, String) {
        self.wait_for_record("the record of the end", |what| match what {
            What::End { exit, why, .. } => Some((*exit, why.clone().unwrap_or_default())),
            _ => None,
        })
    }

    /// How often something was confirmed.
    fn confirmed(&self, wanted: Action) -> usize {
        let record = self.record();
        let confirmed = record.iter().filter(
            |entry| matches!(entry.what, What::Confirmed { action, .. } if action == wanted),
        );
        confirmed.count()
    }

    /// The newest run in the document of `catrain report`.
    #[track_caller]
    fn report(&self) -> Value {
        let text = said(&self.sandbox, &["report", "latest", "--format", "json"]);
        let document: Value = serde_json::from_str(&text).unwrap();
        document["runs"][0].clone()
    }
}

/// What the run says of itself, once this holds.
#[track_caller]
fn status_when(run: &Supervised<'_>, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    wait_for(what, LONG, || {
        if let Some(status) = run.try_word(Word::Status) {
            last = status;
        }
        holds(&last).then(|| last.clone())
    })
}

/// `catrain stop`, to the end.
#[track_caller]
fn stop(run: &mut Supervised<'_>) -> std::process::ExitStatus {
    run.word(Word::Stop);
    run.end()
}

/// A file as the standard output of a command.
fn to_file(command: &Command, path: &std::path::Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" >>\"$0\""]).arg(path);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    File::create(path).unwrap();
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    shell
}

#[expect(clippy::print_stderr, reason = "a test that is passed by says so")]
fn passed_by(why: &str) {
    eprintln!("passed by: {why}");
}
