//! The services that are asked for a zone, and their keys.
//!
//! Each is asked once, all at the same time, and nothing is kept of what they say. No key is shown,
//! none is dropped, and no `key_command` is run beside the one that asking needs.

use std::ffi::OsString;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

use super::around::Around;
use super::settings::zone_of;
use crate::caller::block_on;
use crate::caller::wire::Said;
use crate::clock::monotonic;
use crate::command::sources::Settled;
use crate::doctor::Finding;
use crate::keys::{self, Place, Store};
use crate::source::{self, Live, Name};
use crate::words::duration;

const SOURCES: &str = "sources";
const KEYS: &str = "keys";

/// Each source of the zone's chain, asked.
pub(super) fn sources(around: &Around) -> Vec<Finding> {
    // Without a zone there is nothing to ask for, which the check of the zone tells.
    let Ok((zone, ..)) = zone_of(around) else {
        return Vec::new();
    };
    let zone = zone.zone;
    let settled = Settled::to_look_at(around.config(), around.offline);
    let is_chosen = settled.config.chain.is_some();
    let names = settled.chain.in_force(&settled.names(&[]), zone);
    let listed: Vec<String> = names.iter().map(Name::to_string).collect();
    let listed = listed.join(", ");
    let live: Vec<Live> = (names.iter())
        .filter_map(|name| match name {
            Name::Live(live) => Some(*live),
            Name::File(_) | Name::BuiltIn => None,
        })
        .collect();
    let files = names.iter().filter_map(|name| match name {
        Name::File(path) => Some(match source::past(path, zone) {
            Ok(_) => Finding::ok(SOURCES, format!("{name} can be read")),
            Err(error) => Finding::broken(SOURCES, error.in_a_line(), error.hint()),
        }),
        _ => None,
    });
    let mut found: Vec<Finding> = files.collect();
    if around.offline {
        let why = "not asked, since offline";
        found.push(Finding::ok(SOURCES, format!("{listed} for {zone}; {why}")));
        return found;
    }
    if live.is_empty() {
        found.push(Finding::ok(
            SOURCES,
            format!("{listed} for {zone}; nobody is asked"),
        ));
        return found;
    }
    let limit = around.left();
    let asked = block_on(join_all(live.iter().map(|live| {
        let chain = &settled.chain;
        async move {
            let begun = monotonic();
            let answer = timeout(limit, chain.try_out(*live, zone, around.now)).await;
            let late = |_| Err((format!("{} gave no answer in time", live.name()), None));
            let answer = answer.unwrap_or_else(late);
            (*live, answer, monotonic().saturating_sub(begun))
        }
    })));
    match asked {
        Ok(answers) => {
            for (live, answer, took) in answers {
                found.push(match answer {
                    Ok(said) => answered(live, &said, took, around.now),
                    // A key that is missing is told of with the keys.
                    Err((_, Some(hint))) if hint.starts_with("catrain key set") => continue,
                    Err((why, hint)) => silent(live, &why, hint, is_chosen),
                });
            }
        }
        Err(error) => found.push(Finding::broken(
            SOURCES,
            format!("nothing can be asked: {error}"),
            "ulimit -n 1024, if descriptors are what is missing",
        )),
    }
    found
}

fn answered(live: Live, said: &Said, took: Duration, now: Timestamp) -> Finding {
    let name = live.name();
    let ahead = said.issue.as_ref().and_then(|issue| issue.series.span());
    let ahead = ahead.map_or(0, |span| span.end.duration_since(now).as_hours().max(0));
    let ahead = match ahead {
        0 => "no forecast".to_owned(),
        hours => format!("{hours} h ahead"),
    };
    let newest = said.observations.last().map(|point| point.span.end);
    let at = said.issue.as_ref().map(|issue| issue.issued_at).max(newest);
    let age = at.map_or_else(String::new, |at| {
        let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        format!(", {} old", duration(age))
    });
    let found = format!("{name} answers in {} ms, {ahead}{age}", took.as_millis());
    Finding::ok(SOURCES, found)
}

/// One that was chosen should answer; of the usual ones another stands in.
fn silent(live: Live, why: &str, hint: Option<String>, is_chosen: bool) -> Finding {
    let fix = hint.unwrap_or_else(|| {
        format!(
            "look whether this host reaches it; behind a proxy export HTTPS_PROXY, for a mirror {}_BASE_URL",
            live.variable()
        )
    });
    let is_about_key = fix.contains("catrain key");
    let name = if is_about_key { KEYS } else { SOURCES };
    match is_chosen || is_about_key {
        true => Finding::broken(name, why, fix),
        false => {
            let instead = "what was heard before, or built-in data, stands in";
            Finding::better(name, format!("{why}; {instead}"), fix)
        }
    }
}

/// The keys of those that are asked, and of those that have one.
pub(super) fn keys(around: &Around) -> Vec<Finding> {
    let config = around.config();
    let settled = Settled::to_look_at(config, true);
    let wanted = settled.names(&[]);
    let store = (around.directories.state.as_ref()).map(|state| Store::at(state.join("keys")));
    let environment = |name: &str| -> Option<OsString> { (around.variable)(name) };
    let mut found = Vec::new();
    for name in keys::keyed() {
        let configured = settled.configured_key(name);
        let places = keys::places(name, &configured, &environment, store.as_ref());
        let is_wanted = wanted.iter().any(|other| other.to_string() == name);
        let Some(first) = places.first() else {
            if is_wanted {
                found.push(Finding::broken(
                    KEYS,
                    format!("{name} is a source of yours and has no key"),
                    format!("catrain key set {name}"),
                ));
            }
            continue;
        };
        if *first == Place::Command {
            let found_there = format!("{name}: by {first}, which is run when it is asked");
            found.push(Finding::ok(KEYS, found_there));
            continue;
        }
        found.push(
            match keys::find(name, &configured, &environment, store.as_ref()) {
                Ok(Some(key)) => match key.warning {
                    Some(warning) => {
                        let what = warning.split("; ").next().unwrap_or_default();
                        Finding::better(KEYS, what, format!("chmod 600 {}", path_of(first)))
                    }
                    None => Finding::ok(KEYS, format!("{name}: from {first}")),
                },
                // It went while we looked.
                Ok(None) => continue,
                Err(error) => {
                    let fix = format!("{first}: {}", error.hint());
                    let why = format!("{:#}", anyhow::Error::new(error));
                    Finding::broken(KEYS, why, fix)
                }
            },
        );
    }
    found
}

fn path_of(place: &Place) -> String {
    match place {
        Place::VariableFile { path, .. }
        | Place::Credential(path)
        | Place::ConfiguredFile(path) => path.display().to_string(),
        other => other.to_string(),
    }
}
