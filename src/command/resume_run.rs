//! `catrain continue`: starts a run again that ended before its job did, held or waiting for a
//! restart, and nobody was there to go on.
//!
//! It becomes `catrain run` with what was recorded. That run claims the old one by a lock in its
//! directory, which is tried and not waited for, and writes its id there once it exists; a run that
//! fails before that leaves the old one to be continued another time.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cli::ContinueArgs;
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::ledger::entry::{Begin, CommandDigest};
use crate::ledger::redact::{REDACTED, command_digest, redact};
use crate::ledger::{self, Ledger, ReadError, ledger_path, standing};

use super::status::dead::{Fate, look};
use super::status::{continued, is_answering, recorded};

/// Runs of one job, each continued by the next: more are no accident.
const CHAIN: usize = 100;
/// Options whose values may be redacted without harm: they are shown, and steer nothing.
const SHOWN_ONLY: [&str; 2] = ["--name", "--label"];

/// `catrain continue RUN [-- COMMAND…]`.
///
/// # Errors
/// There is no such run, it is none to continue, or its command has to be given and was not.
pub fn resume<T>(args: &ContinueArgs) -> Result<T, Failure> {
    match become_run(args) {
        Ok(never) => match never {},
        Err(failure) => Err(failure),
    }
}

fn become_run(args: &ContinueArgs) -> Result<Infallible, Failure> {
    let state = dirs::state().ok_or_else(super::no_state)?;
    let hint = "`catrain status` and `catrain report` list runs";
    let run = &recorded(&state, &args.run, hint)?;
    let begin = to_continue(&state, run)?;
    let options = options(run, &begin)?;
    let command = command(run, &begin, &args.command)?;
    std::env::set_current_dir(&begin.directory).map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("cannot go to {}", begin.directory));
        Failure::new(Kind::BeforeStart, what).hint(format!("{run} was started there"))
    })?;
    let program = std::env::args_os()
        .next()
        .unwrap_or_else(|| "catrain".into());
    let error = Command::new("/proc/self/exe")
        .arg0(program)
        .arg("run")
        .args(options)
        .args(["--continues", run, "--"])
        .args(command)
        .exec();
    Err(Failure::new(Kind::BeforeStart, error))
}

/// The beginning of a run that may be continued.
fn to_continue(state: &Path, run: &str) -> Result<Begin, Failure> {
    if let Some(next) = continued::continued_as(state, run) {
        return Err(is_continued(run, &next));
    }
    if is_answering(run) {
        return Err(Failure::usage(format!("{run} is live"))
            .hint(format!("`catrain resume {run}` lets it go on now")));
    }
    let (read, fate) = look(state, run);
    if let Some(why) = why_not(run, &fate) {
        return Err(why);
    }
    match &read {
        Ok(ledger) => match ledger.begin() {
            Some((_, begin)) => Ok(begin.clone()),
            None => Err(Failure::usage(format!(
                "the record of {run} does not tell what it ran"
            ))),
        },
        Err(error) => Err(Failure::new(Kind::Failed, anyhow::anyhow!("{error}"))),
    }
}

/// Why a run with this fate is not continued.
fn why_not(run: &str, fate: &Fate) -> Option<Failure> {
    Some(match fate {
        Fate::Waiting { .. } => return None,
        Fate::Ended { .. } => Failure::usage(format!("{run} is over: nothing of it waits"))
            .hint("`catrain run` starts a new one"),
        Fate::JobRuns(pid) => Failure::usage(format!("the job of {run} runs on as pid {pid}"))
            .hint(format!("`catrain attach {run}` supervises it")),
        Fate::JobGone => Failure::usage(format!(
            "the job of {run} was started and is gone; how it ended is not known"
        ))
        .hint("`catrain run` starts a new one"),
        Fate::Silent { .. } => Failure::usage(format!(
            "the supervisor of {run} is there and does not answer"
        ))
        .hint(format!("`catrain status {run}` tells more")),
        Fate::Elsewhere(host) => {
            Failure::usage(format!("{run} was started on {host}")).hint("continue it there")
        }
        Fate::OnNode { node, job } => {
            Failure::usage(format!("{run} is in job {job} of Slurm's, on node {node}"))
                .hint("Slurm starts it again, or `catrain slurm submit` a new one")
        }
        Fate::Requeued { .. } => Failure::usage(format!(
            "{run} waits in Slurm's queue, which starts it again"
        ))
        .hint(format!(
            "`catrain status {run}` shows when; `scontrol update JobId=… StartTime=now` \
                     has it start as soon as there are nodes"
        )),
        Fate::Unknown(what) => Failure::usage(format!("{run} cannot be continued: {what}"))
            .hint("`catrain run` starts a new one"),
        Fate::Damaged => {
            Failure::usage(format!("{run} cannot be continued: its record is damaged"))
                .hint(format!("`catrain report {run} --verify` tells more"))
        }
    })
}

fn is_continued(run: &str, next: &str) -> Failure {
    Failure::usage(format!("{run} was continued as {next}"))
        .hint(format!("`catrain status {next}` shows how that stands"))
}

/// The options as they were typed.
fn options(run: &str, begin: &Begin) -> Result<Vec<String>, Failure> {
    let anew = |why: &str| {
        let what = format!("{run} cannot be continued: {why}");
        Failure::usage(what).hint("`catrain run` starts a new one")
    };
    let Some(options) = &begin.options else {
        return Err(anew("an older version recorded it, without its options"));
    };
    let mut before = "";
    for word in options {
        let name = word.split('=').next().unwrap_or(word);
        let is_shown_only = SHOWN_ONLY.contains(&before) || SHOWN_ONLY.contains(&name);
        if !is_shown_only && (word.contains(REDACTED) || word.contains('\u{fffd}')) {
            return Err(anew("something in its options was redacted"));
        }
        before = word;
    }
    Ok(options.clone())
}

/// The command: the recorded one, or the one given, where that is the same.
fn command(run: &str, begin: &Begin, given: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let shown = || begin.command.join(" ");
    if given.is_empty() {
        return match begin.is_redacted {
            false => Ok(begin.command.iter().map(OsString::from).collect()),
            true => Err(Failure::usage(format!(
                "something in the command of {run} was redacted, and has to be given again"
            ))
            .hint(format!("catrain continue {run} -- {}", shown()))),
        };
    }
    let is_same = match &begin.command_digest {
        Some(digest) => is_of(digest, given),
        None => {
            let given: Vec<String> = given
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            redact(&given) == begin.command
        }
    };
    match is_same {
        true => Ok(given.to_vec()),
        false => Err(Failure::usage(format!("this is not the command of {run}"))
            .hint(format!("it was: {}", shown()))),
    }
}

/// Whether this command has this digest.
fn is_of(digest: &CommandDigest, command: &[OsString]) -> bool {
    let mut salt = [0; 16];
    let digits = digest.salt.as_bytes();
    let is_salt = digits.len() == 2 * salt.len()
        && salt.iter_mut().zip(digits.chunks(2)).all(|(byte, pair)| {
            let pair = std::str::from_utf8(pair).ok();
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .map(|read| *byte = read)
                .is_some()
        });
    is_salt && command_digest(salt, command.iter().map(|word| OsStr::as_bytes(word))) == *digest
}

/// The right to continue a run, held by a lock for as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    /// How long the job has run already, in all runs of it.
    pub(super) ran: Duration,
}

impl Claim {
    /// The run that continues it exists.
    pub(super) fn settle(mut self, run: &str) {
        let written = writeln!(self.file, "{run}").and_then(|()| self.file.sync_data());
        // It is live: a second one would find it by its lock until it ends.
        drop(written);
        // Until this process ends.
        std::mem::forget(self.file);
    }
}

/// Claims a run for the one that continues it.
///
/// # Errors
/// Another has it, it was continued, or nothing can be written beside its record.
pub(super) fn claim(state: &Path, run: &str) -> Result<Claim, Failure> {
    let path = continued::path(state, run);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = dirs::open_own(&path, options.mode(0o600)).map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("cannot open {}", path.display()));
        Failure::new(Kind::BeforeStart, what)
    })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Failure::usage(format!("{run} is being continued already"))
                .hint("`catrain status` shows by which run"));
        }
        Err(TryLockError::Error(error)) => return Err(Failure::new(Kind::BeforeStart, error)),
    }
    let mut next = String::new();
    let read = (&mut file).take(64).read_to_string(&mut next);
    match (read, next.trim()) {
        (Ok(_), "") => {}
        (Ok(_), next) => return Err(is_continued(run, next)),
        (Err(error), _) => return Err(Failure::new(Kind::BeforeStart, error)),
    }
    // Between looking and claiming another may have come and gone, but a run that is over stays so.
    let ran = ran(run, |run| ledger::read(&ledger_path(state, run)));
    Ok(Claim { file, ran })
}

/// How long the job of a run has run, with the runs that it continues.
fn ran(run: &str, read: impl Fn(&str) -> Result<Ledger, ReadError>) -> Duration {
    let mut ran = Duration::ZERO;
    let mut next = Some(run.to_owned());
    for _ in 0..CHAIN {
        let Some(run) = next.take() else { break };
        let Ok(ledger) = read(&run) else { break };
        ran += standing::ran(&ledger);
        next = ledger
            .begin()
            .and_then(|(_, begin)| begin.continues.clone());
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::{Exit, What};

    const V2: &str = include_str!("../../tests/fixtures/ledger_v2.jsonl");

    fn begin() -> Begin {
        let entries = V2.lines().map(|line| serde_json::from_str(line).unwrap());
        let ledger = Ledger::from_entries(entries.collect());
        let (_, begin) = ledger.begin().unwrap();
        Begin {
            options: Some(vec!["-z".to_owned(), "DE".to_owned()]),
            ..begin.clone()
        }
    }

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_command_that_was_redacted_is_asked_for_and_must_be_the_same() {
        let given = words(&["python", "train.py", "--api-key", "K3y"]);
        let bytes = || given.iter().map(|word| word.as_bytes());
        let begin = Begin {
            command: ["python", "train.py", "--api-key", REDACTED]
                .map(str::to_owned)
                .into(),
            is_redacted: true,
            command_digest: Some(command_digest([7; 16], bytes())),
            ..begin()
        };
        let asked = command("r7k2", &begin, &[]).unwrap_err().to_string();
        assert!(asked.contains("-- python train.py --api-key"), "{asked}");
        assert_eq!(command("r7k2", &begin, &given).unwrap(), given);
        let other = words(&["python", "train.py", "--api-key", "another"]);
        let refused = command("r7k2", &begin, &other).unwrap_err().to_string();
        assert!(refused.contains("not the command"), "{refused}");
        let without = Begin {
            command_digest: None,
            ..begin
        };
        command("r7k2", &without, &given).unwrap();
        command("r7k2", &without, &words(&["rm"])).unwrap_err();
    }

    #[test]
    fn a_whole_command_is_not_asked_for() {
        let begin = begin();
        let expected: Vec<OsString> = begin.command.iter().map(OsString::from).collect();
        assert_eq!(command("r7k2", &begin, &[]).unwrap(), expected);
    }

    #[test]
    fn options_with_something_redacted_are_not_guessed_but_for_a_name() {
        let with = |words: &[&str]| Begin {
            options: Some(words.iter().map(|word| (*word).to_owned()).collect()),
            ..begin()
        };
        let hidden = format!("for {REDACTED}");
        options("r7k2", &with(&["--name", &hidden, "-z", "DE"])).unwrap();
        options("r7k2", &with(&["--label=token=[redacted]"])).unwrap();
        options("r7k2", &with(&["--source", &hidden])).unwrap_err();
        let old = Begin {
            options: None,
            ..begin()
        };
        options("r7k2", &old).unwrap_err();
    }

    #[test]
    fn only_what_waits_is_continued() {
        let waits = Fate::Waiting { has_run: true };
        assert!(why_not("r7k2", &waits).is_none());
        let why = |fate| why_not("r7k2", &fate).unwrap().to_string();
        assert!(why(Fate::JobRuns(7)).contains("catrain attach r7k2"));
        let exit = Some(Exit::Code(0));
        assert!(why(Fate::Ended { exit, why: None }).contains("is over"));
        assert!(why(Fate::JobGone).contains("is gone"));
        assert!(why(Fate::Elsewhere("h".to_owned())).contains("started on h"));
        assert!(why(Fate::Requeued { begin: None }).contains("waits in Slurm's queue"));
        let (node, job) = ("n2".to_owned(), "17_3".to_owned());
        assert!(why(Fate::OnNode { node, job }).contains("job 17_3 of Slurm's, on node n2"));
    }

    #[test]
    fn one_claims_a_run_and_nobody_after_it_was_continued() {
        let here = tempfile::tempdir().unwrap();
        let path = ledger_path(here.path(), "r7k2");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, V2).unwrap();
        let first = claim(here.path(), "r7k2").unwrap();
        assert!(first.ran > Duration::ZERO);
        let second = claim(here.path(), "r7k2").unwrap_err().to_string();
        assert!(second.contains("being continued already"), "{second}");
        drop(first);
        assert_eq!(continued::continued_as(here.path(), "r7k2"), None);
        let third = claim(here.path(), "r7k2").unwrap();
        third.settle("m3q9");
        let next = continued::continued_as(here.path(), "r7k2");
        assert_eq!(next.as_deref(), Some("m3q9"));
    }

    #[test]
    fn what_all_runs_of_a_job_have_run_counts_and_a_ring_of_them_ends() {
        let entries: Vec<_> = V2
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut ledger = Ledger::from_entries(entries);
        let once = ran("r7k2", |_| Ok(ledger.clone()));
        let set = |ledger: &mut Ledger, next: Option<&str>| {
            let What::Begin(begin) = &mut ledger.entries[0].what else {
                panic!("it begins so");
            };
            begin.continues = next.map(str::to_owned);
        };
        set(&mut ledger, Some("m3q9"));
        let mut last = ledger.clone();
        set(&mut last, None);
        let both = ran("r7k2", |run| {
            Ok(if run == "r7k2" {
                ledger.clone()
            } else {
                last.clone()
            })
        });
        assert_eq!(both, once * 2);
        assert_eq!(ran("r7k2", |_| Ok(ledger.clone())), once * CHAIN as u32);
    }
}
