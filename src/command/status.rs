//! `catrain status`, `pause`, `resume`, `stop`: the runs of this user, live.
//!
//! A live run answers over its socket. A socket that nobody answers belongs to a run whose
//! supervisor was killed: its ledger tells how far it came.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::control::{self, Word};
use crate::error::{Failure, Kind};
use crate::executor::Process;
use crate::ledger::entry::{Action, Entry, What};
use crate::ledger::{self, Ledger, ReadError, ledger_path};
use crate::plan::{Act, Fit};
use crate::report::text::harmless;
use crate::supervise::View;
use crate::supervise::machine::Phase;
use crate::words::{Look, duration, time};

/// A dead run's socket is forgotten after this long.
const FORGET_AFTER: Duration = Duration::from_hours(7 * 24);

/// What a run says of itself: the members of `runs` in `catrain.status/1`.
pub(super) fn describe(view: &View<'_>, now: Moment, run: &str, name: &str) -> Value {
    let machine = view.machine;
    let state = match machine.phase() {
        Phase::Holding => "held",
        Phase::Starting => "starting",
        Phase::Running { .. } | Phase::Pausing { .. } | Phase::Resuming { .. } => "running",
        Phase::Checkpointing { .. } | Phase::Proving { .. } | Phase::Leaving { .. } => "saving",
        Phase::Released { .. } => "released",
        Phase::Backoff { .. } => "waiting to retry",
        Phase::Paused { .. } => "paused",
        Phase::Stopping { .. } | Phase::Lingering { .. } => "ending",
        Phase::Ended(_) => "ended",
    };
    let decision = machine.decision();
    let plan = decision.and_then(|decision| decision.plan.as_ref());
    let settings = machine.settings();
    let expected = settings.duration.map(|expected| expected.duration);
    let productive = machine.productive(now);
    let progress = expected.map(|expected| {
        (productive.as_secs_f64() / expected.as_secs_f64().max(1e-9) * 100.0).min(100.0)
    });
    let spare = decision.and_then(|decision| match decision.deadline? {
        Fit::Planned { spare } => Some(spare.as_secs_f64()),
        Fit::Tight => Some(0.0),
        Fit::CannotBeMet { late } => Some(-late.as_secs_f64()),
    });
    json!({
        "id": run,
        "name": name,
        "state": state,
        "holds": machine.holds().causes(),
        "state_for_s": machine.since(now).as_secs_f64(),
        "now": now.utc.to_string(),
        "until": decision.and_then(|decision| decision.until).map(|at| at.to_string()),
        "reason": decision.map(|decision| {
            decision.reason.words(decision.until, now.utc, &TimeZone::system())
        }),
        "elapsed_s": now.elapsed.as_secs_f64(),
        "productive_s": productive.as_secs_f64(),
        "progress_percent": progress,
        // The end of a plan for work of unknown length is a guess of the planner's, not of the work.
        "done_about": expected.and(plan).map(|plan| plan.end.to_string()),
        "deadline": settings.deadline.map(|at| at.to_string()),
        "spare_s": spare,
        "now_g_per_kwh": machine.outlook()
            .and_then(|outlook| outlook.expected.at(now.utc))
            .map(|intensity| intensity.0),
        "can_pause": settings.can_pause,
        "pauses": machine.pauses(),
        "saves_g": plan.map(|plan| (plan.run_now_grams - plan.grams).0),
        "plan": plan.map(|plan| plan.phases.iter().map(|(act, until)| {
            json!({ "act": act, "until": until.to_string() })
        }).collect::<Vec<_>>()),
        "pid": view.pid,
        "supervisor_pid": nix::unistd::getpid().as_raw(),
    })
}

/// `catrain status [RUN] [--json]`.
///
/// # Errors
/// There is no such run.
pub fn status(
    args: &crate::cli::StatusArgs,
    look: Look,
    out: &mut dyn Write,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let runs = match &args.run {
        Some(wanted) => vec![find(wanted)?],
        None => known().into_iter().map(|run| seen(&run)).collect(),
    };
    let text = if args.json {
        let document = json!({ "schema": "catrain.status/1", "runs": runs });
        format!("{document:#}\n")
    } else if args.run.is_some() {
        runs.iter().map(|run| details(run, now, zone)).collect()
    } else {
        table(&runs, now, zone)
    };
    super::print(out, &look.text(&text))
}

/// `catrain pause|resume|stop [RUN]`.
///
/// # Errors
/// There is no such run, or it did not answer.
pub fn send(word: Word, run: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let live: Vec<String> = known()
        .into_iter()
        .filter(|run| asked(run, Word::Status).is_ok())
        .collect();
    let run = match run {
        Some(wanted) => one_of(wanted, &live)?,
        None => match live.as_slice() {
            [only] => only.clone(),
            [] => return Err(no_runs()),
            several => {
                return Err(Failure::usage("several runs are live; say which")
                    .hint(format!("one of: {}", several.join(", "))));
            }
        },
    };
    let answer = asked(&run, word).map_err(|error| {
        Failure::new(Kind::Failed, error)
            .hint(format!("`catrain status {run}` shows how it stands"))
    })?;
    if answer["ok"] != json!(true) {
        let why = answer["error"]
            .as_str()
            .unwrap_or("no reason given")
            .to_owned();
        return Err(Failure::new(
            Kind::Failed,
            anyhow::anyhow!("{run} refused: {why}"),
        ));
    }
    let done = match word {
        Word::Pause if answer["can_pause"] == json!(false) => {
            "will not pause: it was started so that it cannot be"
        }
        Word::Pause => "held by hand until `catrain resume`",
        Word::Resume { .. } => "goes on",
        Word::Stop => "was asked to end",
        Word::Status | Word::Reload => "answers",
    };
    super::print(out, &format!("{run} {done}\n"))
}

fn no_runs() -> Failure {
    Failure::usage("no run is live").hint("`catrain report` lists those that have ended")
}

fn one_of(wanted: &str, live: &[String]) -> Result<String, Failure> {
    let mut fitting = live.iter().filter(|run| run.starts_with(wanted));
    match (fitting.next(), fitting.next()) {
        (Some(run), None) => Ok(run.clone()),
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

/// Ids of the runs that have a socket, in order.
fn known() -> Vec<String> {
    let Some(entries) = crate::dirs::runtime().and_then(|path| fs::read_dir(path).ok()) else {
        return Vec::new();
    };
    let mut runs: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".sock")?
                    .to_owned(),
            )
        })
        .collect();
    runs.sort();
    runs
}

fn asked(run: &str, word: Word) -> io::Result<Value> {
    let runtime = crate::dirs::runtime()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no runtime directory"))?;
    let line = control::ask(&control::socket(&runtime, run), word)?;
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// A run as it answers, or as its ledger tells.
fn seen(run: &str) -> Value {
    match asked(run, Word::Status) {
        Ok(answer) => answer,
        Err(error) => {
            let refused = error.kind() == io::ErrorKind::ConnectionRefused;
            if refused {
                forget_if_old(run);
            }
            dead(run, refused)
        }
    }
}

fn forget_if_old(run: &str) {
    let Some(path) = crate::dirs::runtime().map(|runtime| control::socket(&runtime, run)) else {
        return;
    };
    let modified = fs::metadata(&path).and_then(|facts| facts.modified()).ok();
    if modified
        .and_then(|at| at.elapsed().ok())
        .is_some_and(|age| age > FORGET_AFTER)
    {
        let _ = fs::remove_file(path);
    }
}

/// What the ledger tells of a run that does not answer.
fn dead(run: &str, killed: bool) -> Value {
    let path = crate::dirs::state().map(|state| ledger_path(&state, run));
    let read = path.map(|path| ledger::read(&path));
    let begin = match &read {
        Some(Ok(ledger)) => ledger.begin().map(|(_, begin)| begin),
        _ => None,
    };
    let is_stopped = begin.is_some_and(|begin| {
        Process::read(begin.pid).is_some_and(|process| {
            process.id.start_ticks == begin.start_ticks && process.is_stopped()
        })
    });
    let state = match (killed, &read) {
        (_, Some(Ok(ledger))) if !ledger.unfinished => "ended".to_owned(),
        (false, _) if is_stopped => "stopped at its terminal; `fg` there continues it".to_owned(),
        (false, _) => "does not answer".to_owned(),
        (true, read) => left(run, read.as_ref()),
    };
    let name = begin.map(|begin| begin.name.clone());
    json!({ "id": run, "name": name, "state": state, "ok": false })
}

/// What a run that was killed left behind, as far as its ledger tells.
fn left(run: &str, read: Option<&Result<Ledger, ReadError>>) -> String {
    let is_start = |entry: &Entry| {
        let action = Action::Start;
        matches!(&entry.what, What::Confirmed { action: done, .. } if *done == action)
    };
    let what = match read {
        Some(Ok(ledger)) if ledger.begin().is_none() => {
            "its record is empty and does not tell how far it came"
        }
        Some(Ok(ledger)) if ledger.entries.iter().any(is_start) => "the job was left running",
        // What was lost may have been the start.
        Some(Ok(ledger)) if ledger.lost > 0 => "its record does not tell how far it came",
        Some(Ok(_)) => return "ended before its start: its supervisor was killed".to_owned(),
        Some(Err(ReadError::Io { cause, .. })) if cause.kind() == io::ErrorKind::NotFound => {
            "there is no record of it"
        }
        Some(Err(error)) if error.is_damage() => {
            return format!(
                "does not answer, and its record is damaged: catrain report {run} --verify"
            );
        }
        Some(Err(_)) => "its record cannot be read",
        None => "there is no record of it",
    };
    format!("supervisor was killed; {what}")
}

fn find(wanted: &str) -> Result<Value, Failure> {
    let live = known();
    if let Ok(run) = one_of(wanted, &live) {
        return Ok(seen(&run));
    }
    let state = crate::dirs::state().ok_or_else(no_runs)?;
    if wanted.chars().all(|c| c.is_ascii_alphanumeric()) && ledger_path(&state, wanted).exists() {
        return Ok(dead(wanted, true));
    }
    Err(one_of(wanted, &live).expect_err("it was looked for above"))
}

fn state_words(run: &Value, now: Timestamp, zone: &TimeZone) -> String {
    let state = run["state"].as_str().unwrap_or("unknown");
    let holds = holds_of(run);
    let now = instant(&run["now"]).unwrap_or(now);
    match state {
        "held" | "paused" => match (is_held_by_hand(run), instant(&run["until"])) {
            (true, _) => format!("{state} by hand"),
            (false, Some(until)) => format!("{state} until {} (plan)", time(until, now, zone)),
            (false, None) => format!("{state} ({})", holds.join(", ")),
        },
        other => other.to_owned(),
    }
}

fn holds_of(run: &Value) -> Vec<&str> {
    let holds = run["holds"].as_array().into_iter().flatten();
    holds.filter_map(Value::as_str).collect()
}

fn is_held_by_hand(run: &Value) -> bool {
    holds_of(run).contains(&"operator")
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn table(runs: &[Value], now: Timestamp, zone: &TimeZone) -> String {
    if runs.is_empty() {
        return "no run is live; `catrain report` tells of those that have ended\n".to_owned();
    }
    let mut rows = vec![
        [
            "RUN",
            "NAME",
            "STATE",
            "SINCE",
            "PROGRESS",
            "DONE ABOUT",
            "DUE",
            "NOW",
        ]
        .map(str::to_owned),
    ];
    for run in runs {
        let at = |key: &str| {
            let now = instant(&run["now"]).unwrap_or(now);
            instant(&run[key]).map_or_else(|| "-".to_owned(), |at| time(at, now, zone))
        };
        let number = |key: &str, words: &dyn Fn(f64) -> String| {
            run[key].as_f64().map_or_else(|| "-".to_owned(), words)
        };
        rows.push([
            run["id"].as_str().unwrap_or("-").to_owned(),
            harmless(run["name"].as_str().unwrap_or("-")),
            state_words(run, now, zone),
            number("state_for_s", &|seconds| {
                duration(Duration::from_secs_f64(seconds.max(0.0)))
            }),
            number("progress_percent", &|percent| format!("{percent:.0} %")),
            at("done_about"),
            at("deadline"),
            number("now_g_per_kwh", &|grams| format!("{grams:.0}")),
        ]);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width - cell.chars().count() + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn details(run: &Value, now: Timestamp, zone: &TimeZone) -> String {
    let mut lines = vec![format!(
        "{}  {}: {}",
        run["id"].as_str().unwrap_or("-"),
        harmless(run["name"].as_str().unwrap_or("-")),
        state_words(run, now, zone)
    )];
    let here = instant(&run["now"]).unwrap_or(now);
    let mut add = |label: &str, text: Option<String>| {
        if let Some(text) = text {
            lines.push(format!("  {label:<10} {text}"));
        }
    };
    let id = harmless(run["id"].as_str().unwrap_or("-"));
    let why = if is_held_by_hand(run) {
        Some(format!("by hand, until `catrain resume {id}`"))
    } else {
        run["reason"].as_str().map(harmless)
    };
    add("why", why);
    add("plan", plan_words(run, here, zone));
    add(
        "due",
        instant(&run["deadline"]).map(|at| time(at, here, zone)),
    );
    add(
        "done about",
        instant(&run["done_about"]).map(|at| time(at, here, zone)),
    );
    let seconds = |key: &str| {
        run[key]
            .as_f64()
            .map(|s| duration(Duration::from_secs_f64(s.max(0.0))))
    };
    match run["spare_s"].as_f64() {
        Some(spare) if spare < 0.0 => {
            let late = duration(Duration::from_secs_f64(-spare));
            add("spare", Some(format!("none: about {late} late")));
        }
        _ => add("spare", seconds("spare_s")),
    }
    add("ran", seconds("productive_s"));
    add(
        "intensity",
        run["now_g_per_kwh"]
            .as_f64()
            .map(|grams| format!("{grams:.0} g/kWh now")),
    );
    add(
        "pauses",
        run["pauses"].as_u64().map(|count| count.to_string()),
    );
    add("job", run["pid"].as_i64().map(|pid| format!("pid {pid}")));
    add("warning", run["ledger_trouble"].as_str().map(harmless));
    if run["ok"] != json!(true) {
        add(
            "more",
            run["id"].as_str().map(|id| format!("catrain report {id}")),
        );
    }
    lines.join("\n") + "\n"
}

fn plan_words(run: &Value, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let started = run["pid"].as_i64().is_some();
    let phases = run["plan"].as_array()?;
    let words: Vec<String> = phases
        .iter()
        .enumerate()
        .filter_map(|(index, phase)| {
            let act: Act = serde_json::from_value(phase["act"].clone()).ok()?;
            let verb = match act {
                Act::Run => "run",
                Act::Pause if index == 0 && !started => "hold",
                Act::Pause => "pause",
            };
            Some(format!(
                "{verb} until {}",
                time(instant(&phase["until"])?, now, zone)
            ))
        })
        .collect();
    Some(words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = include_str!("../../tests/fixtures/ledger_v2.jsonl");

    fn left_of(text: Option<&str>) -> String {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("ledger.jsonl");
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        left("r7k2", Some(&ledger::read(&path)))
    }

    #[test]
    fn what_a_killed_run_left_is_not_guessed_from_a_record_that_does_not_tell() {
        let lines = |count: usize| V2.split_inclusive('\n').take(count).collect::<String>();
        let killed = |what: &str| format!("supervisor was killed; {what}");
        let empty = killed("its record is empty and does not tell how far it came");
        assert_eq!(left_of(None), killed("there is no record of it"));
        assert_eq!(left_of(Some("")), empty);
        assert_eq!(left_of(Some("{\"seq\":0,")), empty);
        assert_eq!(
            left_of(Some(&lines(1))),
            "ended before its start: its supervisor was killed"
        );
        assert_eq!(
            left_of(Some(&lines(20))),
            killed("the job was left running")
        );
        let damaged = lines(20).replacen("\"seq\":3,", "\"seq\":", 1);
        assert_eq!(
            left_of(Some(&damaged)),
            "does not answer, and its record is damaged: catrain report r7k2 --verify"
        );
        let lost = format!(
            "{}{{\"seq\":1,\"at\":\"2026-11-24T17:00:00Z\",\"elapsed_s\":1.0,\"entry\":\"gap\",\"lost\":3}}\n",
            lines(1)
        );
        assert_eq!(
            left_of(Some(&lost)),
            killed("its record does not tell how far it came")
        );
    }
}
