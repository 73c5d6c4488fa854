//! The flags of `catrain run` as plain data, for whoever sets them otherwise than by typing: read off the
//! definition of the command line, and checked by it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args, Command};

use super::RunOptions;
use crate::parse;

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it is typed, without the dashes.
    pub name: String,
    /// What it means.
    pub help: String,
    /// What holds without it.
    pub default: Option<String>,
    /// The variable that sets it as well.
    pub variable: Option<String>,
    /// Whether it takes no value.
    pub is_switch: bool,
    /// Whether it takes several values.
    pub is_list: bool,
    /// The words that it takes, where it takes no others.
    pub known: Vec<String>,
    /// What its value is called: `DUR`.
    pub takes: String,
}

fn command() -> Command {
    RunOptions::augment_args(Command::new("run")).no_binary_name(true)
}

/// All that are shown, in the order of the help.
pub fn flags() -> Vec<Flag> {
    let command = command();
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(of).collect()
}

fn of(arg: &Arg) -> Option<Flag> {
    let name = arg.get_long()?.to_owned();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    let defaults: Vec<String> = (arg.get_default_values().iter())
        .map(|value| text(value))
        .collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let takes = arg.get_value_names().and_then(|names| names.first());
    Some(Flag {
        help: help.split_whitespace().collect::<Vec<_>>().join(" "),
        default: Some(defaults.join(",")).filter(|text| !text.is_empty() && !is_switch),
        variable: arg.get_env().map(text),
        is_switch,
        is_list: matches!(arg.get_action(), ArgAction::Append),
        known: match is_switch {
            true => Vec::new(),
            false => (arg.get_possible_values().iter())
                .map(|value| value.get_name().to_owned())
                .collect(),
        },
        takes: takes.map(ToString::to_string).unwrap_or_default(),
        name,
    })
}

/// Whether a flag takes this value.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub fn check(name: &str, text: &str) -> Result<(), String> {
    let typed = format!("--{name}={text}");
    let Err(error) = command().try_get_matches_from([OsString::from(typed)]) else {
        return Ok(());
    };
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8 => {}
        // What it goes with may be set elsewhere.
        _ => return Ok(()),
    }
    if let Some(source) = std::error::Error::source(&error) {
        let why = source.to_string();
        return Err(match why.contains(text) {
            true => why,
            false => format!("`{text}`: {why}"),
        });
    }
    let known = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    };
    let near = parse::nearest(text, known.iter().map(String::as_str));
    Err(match near {
        Some(near) => format!("`{text}` is not known; did you mean `{near}`?"),
        None => format!("`{text}` is not known; known are {}", known.join(", ")),
    })
}
