//! `catrain pause`, `resume`, `stop`, `reload`: a word to a live run.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::status::{ask_all, one_of, sockets};
use crate::control::{self, Word};
use crate::error::{Failure, Kind};
use crate::report::text::harmless;
use crate::words::duration;

/// `catrain pause|resume|stop [RUN]`.
///
/// # Errors
/// There is no such run, it did not answer, or it refused.
pub fn tell(word: Word, run: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let live = live();
    let ids: Vec<String> = live.keys().cloned().collect();
    let run = match (run, ids.as_slice()) {
        (Some(wanted), ids) => one_of(wanted, ids)?,
        (None, [only]) => only.clone(),
        (None, []) => return Err(no_runs()),
        (None, several) => {
            return Err(Failure::usage("several runs are live; say which")
                .hint(format!("one of: {}", several.join(", "))));
        }
    };
    let answer = control::ask(&live[&run], word)
        .map_err(anyhow::Error::from)
        .and_then(|text| Ok(serde_json::from_str::<Value>(&text)?));
    let answer = answer.map_err(|error| {
        Failure::new(Kind::Failed, error)
            .hint(format!("`catrain status {run}` shows how it stands"))
    })?;
    if answer["ok"] != json!(true) {
        return Err(refused(&run, &answer));
    }
    let done = match word {
        Word::Pause if answer["can_pause"] == json!(false) => {
            "will not pause: it was started so that it cannot be".to_owned()
        }
        Word::Pause => "held by hand until `catrain resume`".to_owned(),
        Word::Resume { time: None } => "goes on".to_owned(),
        Word::Resume { time: Some(time) } => format!("goes on for {}", duration(time)),
        Word::Stop => "was asked to end".to_owned(),
        Word::Status | Word::Reload | Word::Config => "answers".to_owned(),
    };
    super::print(out, &format!("{run} {done}\n"))
}

/// `catrain reload [RUN]`: of all live runs where none is named.
///
/// # Errors
/// There is no such run, or one of them did not answer or takes nothing new.
pub fn reload(run: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let mut live = live();
    if let Some(wanted) = run {
        let ids: Vec<String> = live.keys().cloned().collect();
        let one = one_of(wanted, &ids)?;
        live.retain(|id, _| *id == one);
    }
    if live.is_empty() {
        return Err(no_runs());
    }
    let mut failures = Vec::new();
    for (run, answer) in ask_all(&live, Word::Reload) {
        match answer {
            Ok(answer) if answer["ok"] == json!(true) => {
                super::print(out, &format!("{run} {}\n", taken(&answer)))?;
            }
            Ok(answer) => failures.push(refused(&run, &answer)),
            Err(error) => {
                let what = anyhow::anyhow!("{run} did not answer: {error}");
                failures.push(Failure::new(Kind::Failed, what));
            }
        }
    }
    let Some(mut failure) = failures.pop() else {
        return Ok(());
    };
    if !failures.is_empty() {
        let all: Vec<String> = (failures.iter().chain([&failure]))
            .map(ToString::to_string)
            .collect();
        failure.cause = anyhow::Error::msg(all.join("\n"));
    }
    Err(failure.hint("the configuration in force was not changed"))
}

/// What a reload changed, in words.
fn taken(answer: &Value) -> String {
    let list = |key: &str| {
        let names = answer[key].as_array().into_iter().flatten();
        let names: Vec<String> = names.filter_map(Value::as_str).map(harmless).collect();
        names.join(", ")
    };
    let (now, next, later) = (list("at_once"), list("next_plan"), list("new_runs"));
    let parts = [
        (!now.is_empty()).then(|| format!("goes by the new {now} at once")),
        (!next.is_empty()).then(|| format!("plans anew by {next}")),
        (!later.is_empty()).then(|| format!("keeps its {later}: new runs have the new ones")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "read its configuration anew: nothing is different".to_owned(),
        false => parts.join("; "),
    }
}

/// Live runs with their sockets.
pub(super) fn live() -> BTreeMap<String, PathBuf> {
    let mut sockets = sockets();
    for (run, answer) in ask_all(&sockets.clone(), Word::Status) {
        if answer.is_err() {
            sockets.remove(&run);
        }
    }
    sockets
}

fn refused(run: &str, answer: &Value) -> Failure {
    let why = answer["error"].as_str().unwrap_or("no reason given");
    let what = anyhow::anyhow!(
        "{run} refused: {}",
        why.lines().map(harmless).collect::<Vec<_>>().join("\n")
    );
    Failure::new(Kind::Failed, what)
}

pub(super) fn no_runs() -> Failure {
    Failure::usage("no run is live").hint("`catrain report` lists those that have ended")
}
