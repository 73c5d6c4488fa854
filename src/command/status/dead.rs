//! Runs that do not answer: what became of them, as far as their records and the kernel tell, and
//! the command that goes on from there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::{SysconfVar, Uid, sysconf};
use serde_json::{Value, json};

use super::continued::continued_as;
use super::jobs;
use crate::clock::utc_now;
use crate::executor::Process;
use crate::executor::freezer::Freezer;
use crate::ledger::entry::{Begin, Exit};
use crate::ledger::runs::recorded_ids;
use crate::ledger::standing::{self, Standing, Supervisor};
use crate::ledger::{self, Ledger, ReadError, ledger_path};
use crate::patience::within;
use crate::surroundings::{boot_id, host};

/// A run that did not end well is shown for so long.
const SHOWN_FOR: Duration = Duration::from_hours(7 * 24);
/// How long it is looked for runs without a socket: their directory may be on a slow disk.
const LOOKING: Duration = Duration::from_millis(500);
/// The job's start, by the record and by the kernel, may be this far apart: its record is made after
/// it, and clocks of two kinds are compared.
const TOLERANCE_S: f64 = 30.0;
/// Bytes at the end of a record in which its last entry stands, if it has one.
const TAIL: u64 = 16 << 10;

/// What became of a run that does not answer.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command) enum Fate {
    /// It is over, as it should be.
    Ended {
        /// How the job ended; none when it never started.
        exit: Option<Exit>,
        /// In words, when it did not simply end.
        why: Option<String>,
    },
    /// Its supervisor is there and silent.
    Silent {
        /// Ctrl-Z, say.
        is_stopped: bool,
    },
    /// Its supervisor was killed while there was no job: `catrain continue` starts it.
    Waiting {
        /// The job had left, or failed, and was to be started again.
        has_run: bool,
    },
    /// Its supervisor was killed, and the job runs on.
    JobRuns(i32),
    /// Its supervisor was killed, and the job is gone.
    JobGone,
    /// Only that host can tell.
    Elsewhere(String),
    /// Only that node of the cluster can tell; its job, the cluster.
    OnNode {
        /// The node's name.
        node: String,
        /// The job as people name it.
        job: String,
    },
    /// Its job waits in the cluster's queue, and is the same run when it starts again.
    Requeued {
        /// Not before; none: when the queue sees fit.
        begin: Option<Timestamp>,
    },
    /// What can be said of it, in words.
    Unknown(&'static str),
    /// Its record was changed.
    Damaged,
}

/// The record of a run, which is read as far as it goes, and what became of the run by it.
pub(in crate::command) fn look(state: &Path, run: &str) -> (Result<Ledger, ReadError>, Fate) {
    let path = ledger_path(state, run);
    // Before it is read: what ends in between has its end in what is read.
    let is_being_written = ledger::is_being_written(&path) == Some(true);
    let read = ledger::read(&path);
    let fate = fate(&read, is_being_written);
    (read, fate)
}

fn fate(read: &Result<Ledger, ReadError>, is_being_written: bool) -> Fate {
    let ledger = match read {
        Ok(ledger) => ledger,
        Err(ReadError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            return Fate::Unknown("there is no record of it");
        }
        Err(error) if error.is_damage() => return Fate::Damaged,
        Err(_) => return Fate::Unknown("its record cannot be read"),
    };
    let standing = standing::of(ledger);
    if let Standing::Ended { exit, why } = standing {
        return Fate::Ended { exit, why };
    }
    if let Standing::Requeued { begin } = standing {
        return Fate::Requeued { begin };
    }
    let begun = ledger.begin().zip(standing::supervisor(ledger));
    let Some(((_, begin), last)) = begun else {
        return Fate::Unknown("its record is empty and does not tell how far it came");
    };
    if last.host != host() {
        return match &begin.slurm {
            Some(job) => Fate::OnNode {
                node: last.node.unwrap_or(last.host).to_owned(),
                job: job.id.to_string(),
            },
            None => Fate::Elsewhere(last.host.to_owned()),
        };
    }
    let is_this_boot = last.boot_id == boot_id();
    let supervisor = Process::read(last.pid)
        .filter(|process| is_this_boot && process.id.start_ticks == last.start_ticks)
        .filter(|process| process.state != 'Z');
    if supervisor.is_some() || is_being_written {
        let is_stopped = supervisor.is_some_and(|process| process.is_stopped());
        return Fate::Silent { is_stopped };
    }
    let is_in_job = begin.slurm.is_some();
    let fate = match standing {
        // A start waits for no disk: it may be missing in the record.
        Standing::NotStarted => {
            let last_s = ledger.entries.last().map_or(0.0, |last| last.elapsed_s);
            match started(begin, last, last_s) {
                Some(pid) if is_this_boot => Fate::JobRuns(pid),
                _ => Fate::Waiting { has_run: false },
            }
        }
        Standing::Left { .. } => Fate::Waiting { has_run: true },
        Standing::Starting { at_s, has_run } => match started(begin, last, at_s) {
            Some(pid) if is_this_boot => Fate::JobRuns(pid),
            _ => Fate::Waiting { has_run },
        },
        Standing::Started {
            pid: Some(pid),
            at_s,
        } if is_this_boot && is_job(pid, begin, last, at_s) => Fate::JobRuns(pid),
        Standing::Started { .. } => Fate::JobGone,
        Standing::Unknown | Standing::Ended { .. } | Standing::Requeued { .. } => {
            Fate::Unknown("its record does not tell how far it came")
        }
    };
    match fate {
        // Nobody starts it again in a place that the cluster gives to others.
        Fate::Waiting { .. } if is_in_job => {
            Fate::Unknown("it waited in a job of Slurm's, which ended with it")
        }
        fate => fate,
    }
}

/// The job's leader, where the supervisor was killed between its start and the record of it: a
/// process that leads a session, and was started then and there.
fn started(begin: &Begin, last: Supervisor<'_>, at_s: f64) -> Option<i32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut leaders = pids.filter(|pid| {
        let is_there = fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|cwd| cwd == Path::new(&begin.directory));
        is_there
            && Process::read(*pid).is_some_and(|process| process.session == *pid)
            && is_job(*pid, begin, last, at_s)
            && is_of_program(*pid, &begin.program)
    });
    leaders.next()
}

/// Whether a process was started as this program, or by it: a shell in the same place is not.
fn is_of_program(pid: i32, program: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words = line.split(|&byte| byte == 0);
    words.any(|word| name(&String::from_utf8_lossy(word)) == name(program))
}

/// Whether the process of this number is the job's leader: numbers are given anew.
fn is_job(pid: i32, begin: &Begin, last: Supervisor<'_>, at_s: f64) -> bool {
    let Some(process) = Process::read(pid).filter(|process| process.state != 'Z') else {
        return false;
    };
    let owner = fs::metadata(format!("/proc/{pid}")).map(|facts| {
        use std::os::unix::fs::MetadataExt;
        facts.uid()
    });
    let is_ours = owner.is_ok_and(|uid| uid == Uid::effective().as_raw());
    let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    let after = (process.id.start_ticks as f64 - last.start_ticks as f64) / hertz;
    let is_then = match last.since_s {
        // A replay's seconds are not the kernel's.
        _ if begin.replay.is_some() => true,
        Some(since_s) => (after - (at_s - since_s)).abs() < TOLERANCE_S,
        // Its seconds count from its submission: what it runs tells instead.
        None => is_of_program(pid, &begin.program),
    };
    is_ours && after >= 0.0 && is_then
}

/// In words, and the command that goes on from there.
pub(super) fn words(run: &str, fate: &Fate) -> (String, Option<String>) {
    let goes_on = |verb: &str| Some(format!("catrain {verb} {run}"));
    match fate {
        Fate::Ended { exit, why } => (ended(*exit, why.as_deref()), None),
        Fate::Silent { is_stopped: true } => {
            let what = "stopped at its terminal; `fg` there continues it";
            (what.to_owned(), None)
        }
        Fate::Silent { is_stopped: false } => ("does not answer".to_owned(), None),
        Fate::Waiting { has_run: false } => {
            let what = "ended before its start: its supervisor was killed";
            (what.to_owned(), goes_on("continue"))
        }
        Fate::Waiting { has_run: true } => {
            let what = "ended waiting for its restart: its supervisor was killed";
            (what.to_owned(), goes_on("continue"))
        }
        Fate::JobRuns(pid) => {
            let what = format!("supervisor was killed; the job runs on as pid {pid}");
            (what, goes_on("attach"))
        }
        Fate::JobGone => {
            let what = "ended: its supervisor was killed, and how the job ended is not known";
            (what.to_owned(), None)
        }
        Fate::Elsewhere(host) => (format!("does not answer; it was started on {host}"), None),
        Fate::OnNode { node, job } => (
            format!("supervised on node {node}, in job {job} of Slurm's"),
            None,
        ),
        Fate::Requeued { .. } => ("waits in Slurm's queue".to_owned(), None),
        Fate::Unknown(what) => (format!("supervisor was killed; {what}"), None),
        Fate::Damaged => (
            "does not answer, and its record is damaged".to_owned(),
            Some(format!("catrain report {run} --verify")),
        ),
    }
}

fn ended(exit: Option<Exit>, why: Option<&str>) -> String {
    match (exit, why) {
        (Some(Exit::Code(code)), _) => format!("ended with {code}"),
        (Some(Exit::Signal(signal)), _) => format!("ended by signal {signal}"),
        (None, Some(why)) => why.to_owned(),
        (None, None) => "ended".to_owned(),
    }
}

/// A run that does not answer, as a member of `runs` in `catrain.status/1`; `is_refused`: there is a
/// socket and nobody behind it.
pub(super) fn dead(state: Option<&Path>, run: &str) -> Value {
    let (ledger, fate) = match state.map(|state| look(state, run)) {
        Some((read, fate)) => (read.ok(), fate),
        None => (None, Fate::Unknown("there is no record of it")),
    };
    let begin = (ledger.as_ref()).and_then(|ledger| Some(ledger.begin()?.1));
    let ended_at = match (&ledger, &fate) {
        (Some(ledger), Fate::Ended { .. }) => ledger.entries.last().map(|last| last.at.to_string()),
        _ => None,
    };
    let next = state.and_then(|state| continued_as(state, run));
    let (mut words, mut goes_on) = words(run, &fate);
    if let Some(next) = &next {
        words = format!("continued as {next}");
        goes_on = None;
    }
    let exit = match fate {
        Fate::Ended { exit, .. } => exit,
        _ => None,
    };
    let job = match fate {
        Fate::JobRuns(pid) => Some(pid),
        _ => None,
    };
    if job.is_some() {
        // Supervisor and guard may have been killed at once, and no signal thaws what they froze.
        if let Ok(freezer) = Freezer::find(Path::new("/")) {
            freezer.sweep();
        }
    }
    let until = match fate {
        Fate::Requeued { begin } => begin.map(|begin| begin.to_string()),
        _ => None,
    };
    let in_job = begin.and_then(|begin| begin.slurm.as_ref()).map(|job| {
        let last = ledger.as_ref().and_then(standing::supervisor);
        let mut facts = jobs::facts(job);
        if let Some(node) = last.and_then(|last| last.node) {
            facts["node"] = node.into();
        }
        facts["restarts"] = ledger.as_ref().map(standing::restarts).into();
        // Of what it waits for it knows no more than what was asked for.
        facts["is_planned"] = until.is_some().into();
        facts
    });
    json!({
        "id": run,
        "pid": job,
        "until": until,
        "slurm": in_job,
        "may_be_elsewhere": matches!(fate, Fate::OnNode { .. }),
        "is_requeued": matches!(fate, Fate::Requeued { .. }),
        "name": begin.map(|begin| begin.name.clone()),
        "state": words,
        "exit": exit,
        "ended_at": ended_at,
        "continued_as": next,
        "continues": begin.and_then(|begin| begin.continues.clone()),
        "next": goes_on,
        "ok": false,
    })
}

/// Runs of the last days whose records have no end, those in `known` left out: after a reboot, or
/// where the runtime directory was removed, no socket tells of them. Gives up after a moment.
pub(super) fn unfinished(known: &BTreeSet<String>) -> Vec<String> {
    let Some(state) = crate::dirs::state() else {
        return Vec::new();
    };
    let known = known.clone();
    let found = within(LOOKING, move || {
        unfinished_of(&state, |id| known.contains(id))
    });
    found.unwrap_or_default()
}

/// As [`unfinished`] tells, of the runs in this state directory.
pub(in crate::command) fn unfinished_of(
    state: &Path,
    is_known: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut ids = recorded_ids(state);
    ids.retain(|id| {
        !is_known(id) && has_no_end(&ledger_path(state, id)) && continued_as(state, id).is_none()
    });
    ids
}

/// Whether a record of the last days has no end, by its last bytes.
fn has_no_end(path: &Path) -> bool {
    let tail = || -> io::Result<Option<Vec<u8>>> {
        let facts = fs::symlink_metadata(path)?;
        let now = utc_now();
        let written = jiff::Timestamp::try_from(facts.modified()?).unwrap_or(now);
        let age = now.duration_since(written).unsigned_abs();
        if !facts.is_file() || age > SHOWN_FOR {
            return Ok(None);
        }
        let mut file: File = crate::dirs::open_own(path, fs::OpenOptions::new().read(true))?;
        file.seek(SeekFrom::Start(facts.len().saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(Some(tail))
    };
    let ends = [&br#""entry":"end""#[..], &br#""entry":"settlement""#[..]];
    let has = |tail: &[u8]| {
        ends.iter()
            .any(|end| tail.windows(end.len()).any(|it| it == *end))
    };
    matches!(tail(), Ok(Some(tail)) if !tail.is_empty() && !has(&tail))
}

/// Takes a socket away that nobody serves: at once where the run has its end, else after a while, in
/// which the run is shown.
pub(super) fn forget(socket: &Path, is_over: bool) {
    let modified = fs::symlink_metadata(socket).and_then(|facts| facts.modified());
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    if is_over || age.is_some_and(|age| age > SHOWN_FOR) {
        let _ = fs::remove_file(socket);
        let _ = fs::remove_file(socket.with_extension("token"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = include_str!("../../../tests/fixtures/ledger_v2.jsonl");

    /// What is told of a run with this record on this host, where a process of its supervisor's
    /// number never was.
    fn told_of(text: Option<&str>) -> String {
        let here = tempfile::tempdir().unwrap();
        let path = ledger_path(here.path(), "r7k2");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let run = dead(Some(here.path()), "r7k2");
        let next = run["next"]
            .as_str()
            .map_or(String::new(), |next| format!(" → {next}"));
        format!("{}{next}", run["state"].as_str().unwrap())
    }

    /// The first lines of a record, made on this host before it was started anew.
    fn lines(count: usize) -> String {
        let own = format!("\"host\":\"{}\"", host());
        let text: String = V2.split_inclusive('\n').take(count).collect();
        let begin: Value = serde_json::from_str(V2.lines().next().unwrap()).unwrap();
        text.replace(&format!("\"host\":{}", begin["host"]), &own)
    }

    #[test]
    fn what_a_killed_run_left_is_not_guessed_from_a_record_that_does_not_tell() {
        let killed = |what: &str| format!("supervisor was killed; {what}");
        let empty = killed("its record is empty and does not tell how far it came");
        assert_eq!(told_of(None), killed("there is no record of it"));
        assert_eq!(told_of(Some("")), empty);
        assert_eq!(told_of(Some("{\"seq\":0,")), empty);
        let damaged = lines(20).replacen("\"seq\":3,", "\"seq\":", 1);
        assert_eq!(
            told_of(Some(&damaged)),
            "does not answer, and its record is damaged → catrain report r7k2 --verify"
        );
        let lost = format!(
            "{}{{\"seq\":1,\"at\":\"2026-11-24T17:00:00Z\",\"elapsed_s\":1.0,\"entry\":\"gap\",\"lost\":3}}\n",
            lines(1)
        );
        assert_eq!(
            told_of(Some(&lost)),
            killed("its record does not tell how far it came")
        );
    }

    #[test]
    fn a_run_without_a_supervisor_is_told_with_the_command_that_goes_on() {
        assert_eq!(
            told_of(Some(&lines(1))),
            "ended before its start: its supervisor was killed → catrain continue r7k2"
        );
        assert_eq!(
            told_of(Some(&lines(20))),
            "ended: its supervisor was killed, and how the job ended is not known"
        );
        let left = format!(
            "{}{{\"seq\":1,\"at\":\"2026-11-24T17:00:00Z\",\"elapsed_s\":1.0,\"entry\":\"left\",\"attempt\":1,\
             \"exit\":{{\"code\":0}},\"why\":\"released\"}}\n",
            lines(1)
        );
        assert_eq!(
            told_of(Some(&left)),
            "ended waiting for its restart: its supervisor was killed → catrain continue r7k2"
        );
        let elsewhere = V2.lines().next().unwrap().to_owned() + "\n";
        assert!(told_of(Some(&elsewhere)).starts_with("does not answer; it was started on "));
        assert_eq!(told_of(Some(&lines(usize::MAX))), "ended with 0");
    }

    /// The same in a job of Slurm's, with more lines behind.
    fn in_job(count: usize, host: &str, more: &[&str]) -> String {
        let text = lines(count);
        let (first, rest) = text.split_once('\n').unwrap();
        let mut begin: Value = serde_json::from_str(first).unwrap();
        begin["slurm"] = json!({ "cluster": "c", "job": 17, "task": 3, "node": "n1", "nodes": 2 });
        begin["host"] = host.into();
        let mut text = format!("{begin}\n{rest}");
        for (nth, what) in more.iter().enumerate() {
            let seq = count + nth;
            text.push_str(&format!(
                "{{\"seq\":{seq},\"at\":\"2026-11-25T09:00:00Z\",\"elapsed_s\":60000.0,{what}}}\n"
            ));
        }
        text
    }

    const REQUEUED: &str = r#""entry":"requeued","begin":"2026-11-25T05:00:00Z","why":"the plan""#;

    fn taken_up(host: &str) -> String {
        format!(
            r#""entry":"taken_up","host":"{host}","boot_id":"gone","pid":1,"start_ticks":1,"node":"n2","restarts":1"#
        )
    }

    #[test]
    fn a_run_that_waits_in_the_queue_was_not_killed_and_another_host_may_have_it_since() {
        let requeued = in_job(20, &host(), &[REQUEUED]);
        assert_eq!(told_of(Some(&requeued)), "waits in Slurm's queue");
        let elsewhere = in_job(20, &host(), &[REQUEUED, &taken_up("far")]);
        assert_eq!(
            told_of(Some(&elsewhere)),
            "supervised on node n2, in job 17_3 of Slurm's"
        );
        // Who began it is of no account once another has taken it up.
        let here = in_job(20, "far", &[REQUEUED, &taken_up(&host())]);
        assert_eq!(
            told_of(Some(&here)),
            "supervisor was killed; it waited in a job of Slurm's, which ended with it"
        );
    }

    #[test]
    fn a_record_with_an_end_is_not_read_whole_to_know_that() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("ledger.jsonl");
        for (text, expected) in [
            (lines(20), true),
            (lines(usize::MAX), false),
            (String::new(), false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(has_no_end(&path), expected);
        }
        assert!(!has_no_end(&here.path().join("none")));
    }
}
