//! `catrain reload`: the configuration read anew while a run goes on.
//!
//! It is checked as a whole; a bad one changes nothing. A good one gives the run other sources, with
//! their limits and their cache, at once; what else is set counts for new runs. The file of the
//! working directory is not read again: a stranger may have changed it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use tokio::sync::mpsc;

use super::background::Sources;
use super::prepare::Asking;
use crate::command::sources::Settled;
use crate::config::{self, Config, Layer, Told};
use crate::control::refusal;
use crate::dirs;
use crate::patience::within;
use crate::supervise::Reload;

/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers requests to read the configuration anew, each on a thread of its own. `config` is the one
/// in force.
pub(super) fn reload(asking: Asking, config: Config, anew: mpsc::Sender<Sources>) -> Reload {
    let shared = Arc::new((asking, Mutex::new(config), anew));
    Box::new(move |request| {
        let shared = shared.clone();
        let answering = move || {
            let (asking, in_force, anew) = &*shared;
            let answer = match in_force.try_lock() {
                Ok(mut in_force) => match take(asking, &in_force, anew) {
                    Ok((new, answer)) => {
                        *in_force = new;
                        answer
                    }
                    Err(refused) => refused,
                },
                Err(_) => refusal("it is being read already"),
            };
            let _ = request.answer.send(answer);
        };
        // Without a thread nobody answers, which is told as a refusal.
        let thread = std::thread::Builder::new().name("reload".to_owned());
        drop(thread.spawn(answering));
    })
}

/// The new configuration with the answer; or the answer that refuses it.
fn take(
    asking: &Asking,
    in_force: &Config,
    anew: &mpsc::Sender<Sources>,
) -> Result<(Config, String), String> {
    let read = within(PATIENCE, || config::load_own(|name| std::env::var_os(name)));
    let read =
        read.map_err(|error| refusal(&format!("the configuration cannot be read: {error}")))?;
    let (new, passed_by) = read.map_err(|problems| {
        let listed: Vec<_> = (problems.0.iter())
            .map(|problem| json!({ "place": problem.place, "what": problem.what }))
            .collect();
        let error = format!("the configuration is wrong:\n  {problems}");
        json!({ "ok": false, "error": error, "problems": listed }).to_string()
    })?;
    // A file that hangs is not one without settings.
    if !passed_by.is_empty() {
        return Err(refusal(&passed_by.join("; ")));
    }
    let changed = changed(in_force, &new);
    let settled = Settled::of(new.clone(), dirs::cache(), dirs::state(), asking.offline);
    let sources = asking
        .sources(settled)
        .map_err(|failure| refusal(&failure.to_string()))?;
    // A replay asks nobody, and neither does a run that knows no zone.
    let asks = match anew.try_send(sources) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Closed(_)) => false,
        Err(mpsc::error::TrySendError::Full(_)) => {
            return Err(refusal("the one read before is being taken"));
        }
    };
    let (at_once, new_runs): (Vec<_>, Vec<_>) = changed
        .into_iter()
        .partition(|(_, is_at_once)| *is_at_once && asks);
    let names = |groups: Vec<(&'static str, bool)>| -> Vec<&'static str> {
        groups.into_iter().map(|(name, _)| name).collect()
    };
    let answer = json!({ "ok": true, "at_once": names(at_once), "new_runs": names(new_runs) });
    Ok((new, answer.to_string()))
}

/// What differs, and whether that may count at once.
fn changed(old: &Config, new: &Config) -> Vec<(&'static str, bool)> {
    fn value<T>(told: &Option<Told<T>>) -> Option<&T> {
        told.as_ref().map(|told| &told.value)
    }
    let energy = |config: &Config| {
        let energy = &config.energy;
        let share = value(&energy.share).copied();
        (
            share,
            value(&energy.nvml).cloned(),
            value(&energy.powercap).cloned(),
        )
    };
    let ledger = |config: &Config| {
        let ledger = &config.ledger;
        let numbers = (value(&ledger.sample).copied(), value(&ledger.sync).copied());
        (
            numbers,
            value(&ledger.largest).copied(),
            value(&ledger.signing_key).cloned(),
        )
    };
    // That of the working directory is not read again.
    let is_projects = |zone: &Told<String>| matches!(zone.by, Layer::Project(_));
    let zone_differs =
        value(&old.zone) != value(&new.zone) && !old.zone.as_ref().is_some_and(is_projects);
    let resilience = |config: &Config| {
        let mut resilience = config.resilience.clone();
        resilience.cache = None;
        resilience
    };
    [
        ("run.source", value(&old.chain) != value(&new.chain), true),
        (
            "run.account-with",
            value(&old.account_with) != value(&new.account_with),
            true,
        ),
        ("[sources]", sources(old) != sources(new), true),
        ("[resilience]", resilience(old) != resilience(new), true),
        (
            "[cache]",
            old.resilience.cache != new.resilience.cache,
            true,
        ),
        ("zone", zone_differs, false),
        ("[energy]", energy(old) != energy(new), false),
        ("[ledger]", ledger(old) != ledger(new), false),
    ]
    .into_iter()
    .filter(|(_, differs, _)| *differs)
    .map(|(name, _, is_at_once)| (name, is_at_once))
    .collect()
}

/// What is set of the sources, to compare; it is shown to nobody.
fn sources(config: &Config) -> Vec<String> {
    let of = |(live, set): (&crate::source::Live, &config::Source)| {
        let key = set
            .key
            .as_ref()
            .map(|key| key.value.expose_secret().to_owned());
        let open = config::Source {
            key: None,
            ..set.clone()
        };
        format!("{} {key:?} {open:?}", live.name())
    };
    config.sources.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::Live;

    fn told<T>(value: T) -> Option<Told<T>> {
        let by = Layer::User(PathBuf::from("config.toml"));
        Some(Told { value, by })
    }

    fn names(old: &Config, new: &Config) -> Vec<&'static str> {
        changed(old, new)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn what_differs_is_told_by_its_group() {
        let old = Config::default();
        assert_eq!(names(&old, &old), [""; 0]);
        let mut new = old.clone();
        new.zone = told("DE".to_owned());
        new.ledger.sample = told(Duration::from_secs(30));
        new.energy.nvml = told(PathBuf::from("/x"));
        assert_eq!(names(&old, &new), ["zone", "[energy]", "[ledger]"]);
        let mut new = old.clone();
        new.resilience.cache = None;
        assert_eq!(names(&old, &new), ["[cache]"]);
        let source = config::Source {
            key: told("K3y".to_owned().into()),
            ..Default::default()
        };
        new = old.clone();
        new.sources.insert(Live::WattTime, source.clone());
        assert_eq!(names(&old, &new), ["[sources]"]);
        let mut other = new.clone();
        let another = config::Source {
            key: told("another".to_owned().into()),
            ..source
        };
        other.sources.insert(Live::WattTime, another);
        assert_eq!(names(&new, &other), ["[sources]"]);
    }

    #[test]
    fn the_zone_of_the_working_directory_does_not_count_as_taken_back() {
        let by = Layer::Project(PathBuf::from("catrain.toml"));
        let zone = Some(Told {
            value: "DE".to_owned(),
            by,
        });
        let old = Config {
            zone,
            ..Config::default()
        };
        assert_eq!(names(&old, &Config::default()), [""; 0]);
    }
}
