//! `catrain config`: what is set, whether it can be, and how it was before.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::sources;
use super::tell;
use crate::cli::ConfigAction;
use crate::config::table::keys;
use crate::config::{self, Layer, Problem, Problems, Read, history, schema, template};
use crate::control::{self, Word};
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::log::audit;
use crate::report::text::harmless;
use crate::words;

/// Does what was asked for.
///
/// # Errors
/// The configuration is wrong, or what was asked for is not there or cannot be written.
pub fn run(
    action: &ConfigAction,
    profile: Option<&str>,
    out: &mut dyn Write,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<ExitCode, Failure> {
    match action {
        ConfigAction::Check { file } => return check(file.as_deref(), profile, out),
        ConfigAction::Show { origin, run, json } => {
            let (profile, lines) = match run {
                Some(run) => of_run(run)?,
                None => in_force(profile)?,
            };
            let text = match json {
                true => document(profile.as_deref(), &lines),
                false => shown(profile.as_deref(), &lines, *origin),
            };
            super::print(out, &text)?;
        }
        ConfigAction::Init { print: true } => super::print(out, &template::template())?,
        ConfigAction::Init { print: false } => audit::own("config init", None, init(out))?,
        ConfigAction::Schema => super::print(out, &format!("{:#}\n", schema::schema()))?,
        ConfigAction::History {
            version: Some(version),
            ..
        } => {
            let found = version_of(version)?;
            let text = found.text().map_err(|error| unreadable(&error))?;
            super::print(out, &text)?;
        }
        ConfigAction::History { json, .. } => list(*json, out, now, zone)?,
        ConfigAction::Rollback { version } => {
            audit::own("config rollback", Some(version), rollback(version, out))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One value that is in force.
struct Line {
    path: String,
    /// As it would be written.
    value: String,
    origin: String,
    profile: Option<String>,
}

/// What a command that is started here goes by.
fn in_force(profile: Option<&str>) -> Result<(Option<String>, Vec<Line>), Failure> {
    let (config, read) = sources::load(profile)?;
    for passed_by in &read.passed_by {
        super::settle::tell(passed_by);
    }
    let mut lines = Vec::new();
    for key in keys() {
        let set = (config.values.iter()).filter(|(path, _)| {
            config::table::key(path).is_some_and(|found| found.path == key.path)
        });
        let before = lines.len();
        lines.extend(set.map(|(path, set)| Line {
            path: path.to_owned(),
            value: set.value.to_toml(),
            origin: set.place.clone(),
            profile: set.profile.clone(),
        }));
        // A table of a list that is not there has no values.
        let is_listed = key.path.contains("[]");
        if let (true, false, Some(value)) =
            (lines.len() == before, is_listed, template::default_of(key))
        {
            lines.push(Line {
                path: key.path.clone(),
                value,
                origin: "built-in".to_owned(),
                profile: None,
            });
        }
    }
    Ok((config.profile, lines))
}

/// What a live run goes by, as far as it is set.
fn of_run(wanted: &str) -> Result<(Option<String>, Vec<Line>), Failure> {
    let live = tell::live();
    let ids: Vec<String> = live.keys().cloned().collect();
    let run = super::status::one_of(wanted, &ids)?;
    let answer = control::ask(&live[&run], Word::Config)
        .map_err(|error| anyhow::anyhow!("{run} did not answer: {error}"))?;
    let answer: Value = serde_json::from_str(&answer).map_err(anyhow::Error::from)?;
    if answer["ok"] != true {
        let why = answer["error"].as_str().unwrap_or("no reason given");
        return Err(anyhow::anyhow!("{run} refused: {}", harmless(why)).into());
    }
    let text = |value: &Value| value.as_str().map(harmless);
    let values = answer["values"].as_array().into_iter().flatten();
    let lines = values.filter_map(|value| {
        Some(Line {
            path: text(&value["key"])?,
            value: text(&value["value"])?,
            origin: text(&value["origin"])?,
            profile: text(&value["profile"]),
        })
    });
    Ok((text(&answer["profile"]), lines.collect()))
}

/// The list of tables that a value stands in, and in which of them.
fn row_of(path: &str) -> Option<(&str, usize)> {
    let (list, rest) = path.split_once('[')?;
    let (row, _) = rest.split_once(']')?;
    Some((list, row.parse().ok()?))
}

/// Values as one JSON document.
fn document(profile: Option<&str>, lines: &[Line]) -> String {
    let values: Vec<Value> = (lines.iter())
        .map(|line| {
            json!({
                "key": line.path,
                "value": line.value,
                "origin": line.origin,
                "profile": line.profile,
            })
        })
        .collect();
    let document = json!({ "schema": "catrain.config/1", "profile": profile, "values": values });
    format!("{document:#}\n")
}

/// Values as a file would say them.
fn shown(profile: Option<&str>, lines: &[Line], with_origin: bool) -> String {
    let mut text = profile.map_or_else(String::new, |name| format!("# profile {name}\n"));
    let is_in_list = |line: &&Line| row_of(&line.path).is_some();
    let said = |line: &Line| {
        let key = (line.path.rsplit_once("].")).map_or(&*line.path, |(_, key)| key);
        format!("{key} = {}", line.value)
    };
    let widths = lines.iter().map(|line| said(line).chars().count());
    let width = widths.filter(|width| *width <= 48).max().unwrap_or(0);
    let mut above = None;
    // Tables follow what stands outside of them.
    let (mut inside, outside): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(is_in_list);
    // Each table whole.
    inside.sort_by_key(|line| row_of(&line.path));
    for line in outside.into_iter().chain(inside) {
        let row = row_of(&line.path);
        if let Some((list, _)) = row.filter(|_| row != above) {
            text.push_str(&format!("\n[[{list}]]\n"));
        }
        above = row;
        let said = said(line);
        match (with_origin, &line.profile) {
            (false, _) => text.push_str(&said),
            (true, None) => text.push_str(&format!("{said:<width$}  # {}", line.origin)),
            (true, Some(name)) => {
                text.push_str(&format!(
                    "{said:<width$}  # {} (profile {name})",
                    line.origin
                ));
            }
        }
        text.push('\n');
    }
    text
}

fn check(
    file: Option<&Path>,
    profile: Option<&str>,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let variable = |name: &str| std::env::var_os(name);
    let (read, what) = match file {
        Some(path) => {
            let layer = Layer::User(path.to_owned());
            if !path.exists() {
                return Err(Failure::usage(format!("there is no {}", path.display())));
            }
            (Read::files([layer]), path.display().to_string())
        }
        None => {
            let directory = std::env::current_dir().unwrap_or_default();
            (
                Read::files(config::files(&directory)),
                "the configuration".to_owned(),
            )
        }
    };
    for passed_by in &read.passed_by {
        super::settle::tell(passed_by);
    }
    let checked = match file {
        Some(_) => read.configuration(profile, |_| None),
        None => read.configuration(profile, variable),
    };
    match checked {
        Ok(config) => {
            let set = config.values.iter().count();
            let values = if set == 1 {
                "1 value is set"
            } else {
                &format!("{set} values are set")
            };
            super::print(out, &format!("{what} is right: {values}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Problems(problems)) => {
            let mut told = std::io::stderr().lock();
            for problem in &problems {
                let Problem { place, what } = problem;
                let _ = writeln!(told, "{}", harmless(&format!("{place}: error: {what}")));
            }
            let count = match problems.len() {
                1 => "1 problem".to_owned(),
                many => format!("{many} problems"),
            };
            let _ = writeln!(told, "{count}; the configuration in force was not changed");
            Ok(ExitCode::from(Kind::Usage.exit_code()))
        }
    }
}

fn init(out: &mut dyn Write) -> Result<(), Failure> {
    let path = config::own_file().ok_or_else(no_directory)?;
    let failed = |error: std::io::Error| {
        let what = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
        Failure::new(Kind::Failed, what)
    };
    if fs::symlink_metadata(&path).is_ok() {
        return Err(
            Failure::usage(format!("{} is there already", path.display()))
                .hint("`catrain config init --print` prints what would be written"),
        );
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    dirs::secure(directory).map_err(failed)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(template::template().as_bytes()))
        .map_err(failed)?;
    super::print(
        out,
        &format!(
            "wrote {}: every key stands in it, in a comment\n",
            path.display()
        ),
    )
}

fn list(
    as_json: bool,
    out: &mut dyn Write,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let versions = versions()?;
    let text = fs::read_to_string(config::own_file().unwrap_or_default()).ok();
    let present = text.as_deref().map(history::digest);
    let is_present = |digest: &str| present.as_deref() == Some(digest);
    if as_json {
        let versions: Vec<Value> = (versions.iter())
            .map(|version| {
                json!({
                    "at": version.at.to_string(),
                    "digest": version.digest,
                    "is_present": is_present(&version.digest),
                })
            })
            .collect();
        let document = json!({ "schema": "catrain.config-history/1", "versions": versions });
        return super::print(out, &format!("{document:#}\n"));
    }
    if versions.is_empty() {
        return super::print(
            out,
            "no version is kept yet: a run, or `catrain config rollback`, keeps the one in force\n",
        );
    }
    let mut text = String::from("BACK  TAKEN             DIGEST\n");
    for (back, version) in versions.iter().rev().enumerate() {
        let at = words::time(version.at, now, zone);
        let mark = if is_present(&version.digest) {
            "  as your file is now"
        } else {
            ""
        };
        text.push_str(&format!("{back:>4}  {at:<16}  {}{mark}\n", version.digest));
    }
    super::print(out, &text)
}

fn rollback(wanted: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let path = config::own_file().ok_or_else(no_directory)?;
    let version = version_of(wanted)?;
    let text = version.text().map_err(|error| unreadable(&error))?;
    let read = Read::text(Layer::User(path.clone()), text.clone());
    if let Err(problems) = read.configuration(None, |_| None) {
        return Err(Failure::new(Kind::Failed, problems)
            .hint("the version was right for another catrain; nothing was changed"));
    }
    if fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_symlink()) {
        return Err(Failure::usage(format!("{} is a link", path.display())).hint(format!(
            "`catrain config history {wanted} > FILE` has the version where the link leads to; nothing was changed"
        )));
    }
    let state = dirs::state().ok_or_else(super::no_state)?;
    let failed = |error: std::io::Error| {
        let what = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
        Failure::new(Kind::Failed, what).hint("nothing was changed")
    };
    let mut told = String::new();
    if let Ok(before) = fs::read_to_string(&path) {
        if before == text {
            return super::print(out, &format!("{} is so already\n", path.display()));
        }
        // What was never in force is in no version.
        let aside = path.with_extension("toml.before");
        dirs::write(&aside, before.as_bytes()).map_err(failed)?;
        told = format!("; what was there is in {}", aside.display());
    }
    dirs::write(&path, text.as_bytes()).map_err(failed)?;
    let _ = history::keep(&state, &text, crate::clock::utc_now());
    super::print(
        out,
        &format!(
            "{} is again as {}{told}; live runs take it\n",
            path.display(),
            version.digest
        ),
    )
}

fn versions() -> Result<Vec<history::Version>, Failure> {
    let state = dirs::state().ok_or_else(super::no_state)?;
    history::versions(&state).map_err(|error| unreadable(&error))
}

fn version_of(wanted: &str) -> Result<history::Version, Failure> {
    history::find(&versions()?, wanted)
        .map_err(|why| Failure::usage(why).hint("`catrain config history` lists all that are kept"))
}

fn unreadable(error: &std::io::Error) -> Failure {
    let what = anyhow::anyhow!("the versions that were in force cannot be read: {error}");
    Failure::new(Kind::Failed, what)
}

fn no_directory() -> Failure {
    Failure::usage(
        "there is no configuration directory: neither HOME nor CATRAIN_CONFIG_DIR is set",
    )
}
