//! The configuration read anew while a run goes on: when its file has changed, and when `catrain reload` asks for it.
//!
//! It is checked as a whole; a bad one changes nothing. Of a good one each key counts when the table of
//! keys says: at once, with the next plan, or only for new runs; then the run keeps what it has. The file of
//! the working directory is not read again: a stranger may have changed it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::background::Sources;
use super::prepare::{Asking, Prepared};
use super::settings;
use crate::cli::{Attach, RunArgs};
use crate::command::configured::Configured;
use crate::command::sources::Settled;
use crate::config::table::{self, Takes};
use crate::config::{self, Config, Layer, Read, history};
use crate::control::{Word, refusal};
use crate::dirs;
use crate::executor::Inherited;
use crate::ledger::entry::What;
use crate::meter::Figures;
use crate::patience::within;
use crate::supervise::{Arrival, Reload};

/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A run that is over sooner needs not be told of a change.
const PASSING: Duration = Duration::from_secs(1);
/// How often it is looked where no event tells of a change.
const LOOK: Duration = Duration::from_secs(30);

/// What a run goes by, and how it is told of something else.
pub(super) struct Reloading {
    pub(super) asking: Asking,
    pub(super) configured: Configured,
    /// Where sources go.
    pub(super) anew: mpsc::Sender<Sources>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) prepared: Arc<Prepared>,
    pub(super) figures: Figures,
    pub(super) inherited: Inherited,
    pub(super) command: Vec<std::ffi::OsString>,
    pub(super) attach: Option<Attach>,
}

/// What is in force.
struct InForce {
    config: Config,
    /// As it was read last, good or not.
    texts: Vec<(Layer, String)>,
    /// Of the file of the working directory.
    read: Read,
    /// A bad one was told of, and none has been taken since.
    is_refused: bool,
}

struct Shared {
    by: Reloading,
    in_force: Mutex<InForce>,
}

/// What came of reading it.
struct Taken {
    at_once: Vec<String>,
    next_plan: Vec<String>,
    new_runs: Vec<String>,
}

/// Keeps the version in force, looks after the files as long as the run goes on, and answers requests to read
/// them anew or to tell what is in force, each on a thread of its own.
pub(super) fn reload(by: Reloading) -> Reload {
    let in_force = InForce {
        config: by.configured.config.clone(),
        texts: own_texts(&by.configured.read),
        read: by.configured.read.clone(),
        is_refused: false,
    };
    let shared = Arc::new(Shared {
        by,
        in_force: Mutex::new(in_force),
    });
    let watched = shared.clone();
    let watching = move || {
        keep_version(&watched.lock().read);
        let files: Vec<PathBuf> = config::own_files()
            .into_iter()
            .filter_map(path_of)
            .collect();
        config::watch::watch(&files, PASSING, LOOK, || watched.look());
    };
    spawn("config", watching);
    Box::new(move |request| {
        let shared = shared.clone();
        spawn("reload", move || {
            let answer = match request.word {
                Word::Config => shared.tell(),
                _ => shared.answer(),
            };
            let _ = request.answer.send(answer);
        });
    })
}

/// Without a thread nobody looks or answers, which is told as a refusal.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    drop(
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body),
    );
}

fn path_of(layer: Layer) -> Option<PathBuf> {
    match layer {
        Layer::System(path) | Layer::User(path) | Layer::Project(path) => Some(path),
        Layer::Environment(_) => None,
    }
}

fn own_texts(read: &Read) -> Vec<(Layer, String)> {
    let is_own = |(layer, _): &&(Layer, String)| !matches!(layer, Layer::Project(_));
    read.texts().iter().filter(is_own).cloned().collect()
}

/// The files as they are now.
///
/// # Errors
/// One cannot be read at the moment, in words: a file that hangs is not one without settings.
fn read_own() -> Result<Read, String> {
    let read = within(PATIENCE, || Read::files(config::own_files()))
        .map_err(|error| format!("the configuration cannot be read: {error}"))?;
    match read.passed_by.is_empty() {
        true => Ok(read),
        false => Err(read.passed_by.join("; ")),
    }
}

/// Keeps the user's own file among the versions that were in force.
fn keep_version(read: &Read) {
    if let (Some(state), Some(text)) = (dirs::state(), read.own()) {
        // A version that cannot be kept is missed by whoever wants to go back to it, not by the run.
        let _ = history::keep(&state, text, crate::clock::utc_now());
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes files that have changed. Whether the run goes on.
    fn look(&self) -> bool {
        if self.by.arrivals.is_closed() {
            return false;
        }
        let mut in_force = self.lock();
        let Ok(read) = read_own() else {
            return true;
        };
        if own_texts(&read) == in_force.texts {
            return true;
        }
        let Err(told) = self.take(&mut in_force, read) else {
            return true;
        };
        in_force.is_refused = true;
        let text =
            format!("the configuration is not taken, and the one before stays in force: {told}");
        self.by
            .arrivals
            .blocking_send(Arrival::Trouble(text))
            .is_ok()
    }

    /// The answer to `reload`.
    fn answer(&self) -> String {
        let mut in_force = self.lock();
        let read = match read_own() {
            Ok(read) => read,
            Err(why) => return refusal(&why),
        };
        match self.take(&mut in_force, read) {
            Ok(taken) => json!({
                "ok": true,
                "at_once": taken.at_once,
                "next_plan": taken.next_plan,
                "new_runs": taken.new_runs,
            })
            .to_string(),
            Err(Refused::Because(why)) => refusal(&why),
            Err(Refused::Wrong(problems)) => {
                let listed: Vec<Value> = (problems.0.iter())
                    .map(|problem| json!({ "place": problem.place, "what": problem.what }))
                    .collect();
                let error = format!("the configuration is wrong:\n  {problems}");
                json!({ "ok": false, "error": error, "problems": listed }).to_string()
            }
        }
    }

    /// What is in force, with who set it.
    fn tell(&self) -> String {
        let in_force = self.lock();
        let values: Vec<Value> = (in_force.config.values.iter())
            .map(|(path, set)| {
                json!({ "key": path, "value": set.value.to_toml(), "origin": set.place, "profile": set.profile })
            })
            .collect();
        json!({ "ok": true, "profile": in_force.config.profile, "values": values }).to_string()
    }

    /// Has the run go by what was read, as far as it may.
    fn take(&self, in_force: &mut InForce, read: Read) -> Result<Taken, Refused> {
        let by = &self.by;
        let texts = own_texts(&read);
        let was_refused = std::mem::take(&mut in_force.is_refused);
        // A bad one is told of once.
        in_force.texts = texts;
        let read = read.with_project_of(&in_force.read);
        let profile = in_force.config.profile.clone();
        let new = read
            .configuration(profile.as_deref(), |name| std::env::var_os(name))
            .map_err(Refused::Wrong)?;
        let changed = in_force.config.values.changed(&new.values);
        let asks = !by.anew.is_closed();
        let (mut at_once, mut next_plan, mut new_runs) = (Vec::new(), Vec::new(), Vec::new());
        for path in changed {
            let takes = table::key(path).map_or(Takes::NewRun, |key| key.takes);
            let list = match takes {
                // A replay asks nobody, and neither does a run that knows no zone.
                _ if is_of_sources(path) && !asks => &mut new_runs,
                Takes::AtOnce => &mut at_once,
                Takes::NextPlan => &mut next_plan,
                Takes::NewRun => &mut new_runs,
            };
            list.push(path);
        }
        let counts = [&at_once[..], &next_plan].concat();
        let effective = in_force.config.with(&counts, &new);
        let settings = match counts.iter().any(|path| is_of_the_machine(path)) {
            true => Some(self.settings(&effective)?),
            false => None,
        };
        if counts.iter().any(|path| is_of_sources(path)) {
            let settled = Settled::of(
                effective.clone(),
                dirs::cache(),
                dirs::state(),
                by.asking.offline,
            );
            let sources = by
                .asking
                .sources(settled)
                .map_err(|failure| Refused::Because(failure.to_string()))?;
            // Those before it may still be on their way. Where nobody asks they are not missed.
            let _ = by.anew.blocking_send(sources);
        }
        let names = |paths: &[&str]| -> Vec<String> {
            let names: BTreeSet<&str> = paths.iter().map(|path| shown(path)).collect();
            names.into_iter().map(str::to_owned).collect()
        };
        let taken = Taken {
            at_once: names(&at_once),
            next_plan: names(&next_plan),
            new_runs: names(&new_runs),
        };
        in_force.config = effective;
        keep_version(&read);
        if let Some(told) = taken
            .words()
            .or_else(|| was_refused.then(|| NOTHING.to_owned()))
        {
            let changed = [&taken.at_once[..], &taken.next_plan].concat();
            let _ = by.arrivals.blocking_send(Arrival::Configured {
                settings: settings.map(Box::new),
                what: What::Configuration {
                    digest: read.own().map(history::digest),
                    changed,
                    new_runs: taken.new_runs.clone(),
                },
                told: format!("configuration read anew: {told}"),
            });
        }
        Ok(taken)
    }

    /// What the machine goes by with this configuration.
    fn settings(&self, config: &Config) -> Result<crate::supervise::settings::Settings, Refused> {
        let by = &self.by;
        let because = |failure: crate::error::Failure| Refused::Because(failure.to_string());
        let options = by.configured.options(config).map_err(because)?;
        let args = RunArgs {
            options,
            command: by.command.clone(),
            attach: by.attach.clone(),
        };
        settings::check(&args).map_err(because)?;
        let planned = settings::plan(&args, &by.prepared, &by.figures, &by.inherited);
        Ok(planned.map_err(because)?.settings)
    }
}

const NOTHING: &str = "nothing is different";

impl Taken {
    /// What is different, if anything is.
    fn words(&self) -> Option<String> {
        let groups = [
            (&self.at_once, "at once"),
            (&self.next_plan, "with the next plan"),
            (&self.new_runs, "for new runs only"),
        ];
        let words: Vec<String> = (groups.into_iter())
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, when)| format!("{} {when}", names.join(", ")))
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// Why a configuration is not taken.
enum Refused {
    Wrong(config::Problems),
    Because(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(problems) => write!(f, "{problems}"),
            Self::Because(why) => f.write_str(why),
        }
    }
}

/// As it is told: a place in a list says nothing.
fn shown(path: &str) -> &str {
    path.split_once('[').map_or(path, |(list, _)| list)
}

fn is_of_sources(path: &str) -> bool {
    [
        "sources.",
        "resilience.",
        "cache.",
        "run.source",
        "run.account-with",
    ]
    .iter()
    .any(|start| path.starts_with(start))
}

fn is_of_the_machine(path: &str) -> bool {
    !is_of_sources(path) && (path.starts_with("run.") || path.starts_with("policy."))
}
