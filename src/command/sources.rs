//! The sources as they are configured: the one place where services, their keys, the cache and the
//! archive come together.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::archive::Archive;
use crate::caller::Caller;
use crate::config::{self, Config, Layer};
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::keys::{self, Store};
use crate::source::chain::{Chain, Held, Keys, Service};
use crate::source::{self, Live};

/// The configuration in force, and what was passed by, a sentence each.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn configuration() -> Result<(Config, Vec<String>), Failure> {
    let directory = std::env::current_dir().unwrap_or_default();
    config::load(&directory, |name| std::env::var_os(name)).map_err(|problems| {
        let what = match problems.0.len() {
            1 => "one problem".to_owned(),
            many => format!("{many} problems"),
        };
        Failure::new(Kind::Usage, problems).hint(format!("{what}; nothing was started"))
    })
}

/// The chain of sources by a configuration.
pub(super) fn chain(config: &Config, offline: bool) -> Chain {
    let services = Live::ALL.into_iter().map(|live| {
        let set = config.sources.get(&live).cloned().unwrap_or_default();
        let options = source::Options {
            version: set.version.map(|told| told.value),
            emission_factors: set.emission_factors.map(|told| told.value),
        };
        let service = Service {
            provider: source::provider(live, &options),
            base_url: set.base_url.map(|told| told.value),
            places: set.places,
        };
        (live, service)
    });
    let answers = dirs::cache().map(|cache| cache.join("answers"));
    let caller = Caller::new(config.resilience.clone(), answers, offline);
    let archive = dirs::state().map(|state| Archive::open(state.join("archive")));
    let keys = KeyRing {
        sources: config.sources.clone(),
        found: Mutex::default(),
    };
    Chain::new(caller, archive, services.collect(), Box::new(keys))
}

/// Keys as they are found, each looked for once.
#[derive(Debug)]
struct KeyRing {
    sources: BTreeMap<Live, config::Source>,
    found: Mutex<BTreeMap<Live, Option<Held>>>,
}

impl KeyRing {
    fn look(&self, live: Live) -> Result<Option<Held>, String> {
        let set = self.sources.get(&live).cloned().unwrap_or_default();
        let name = live.name();
        let may_go = |by: &Layer| set.may_have_key_of(Some(by));
        let configured = keys::Configured {
            key: (set.key.clone().filter(|told| may_go(&told.by))).map(|told| told.value),
            key_file: (set.key_file.clone().filter(|told| may_go(&told.by))).map(|told| told.value),
            key_command: (set.key_command.clone().filter(|told| may_go(&told.by)))
                .map(|told| told.value),
        };
        let (environment, store) = (|name: &str| std::env::var_os(name), Store::of_user());
        let is_own = set.may_have_key_of(None);
        let found = match is_own {
            true => keys::find(name, &configured, &environment, store.as_ref()),
            false => keys::find(name, &configured, &|_| None, None),
        };
        let found = found.map_err(|error| format!("{error}: {}", error.hint()))?;
        let withheld = keys::places(name, &keys::Configured::default(), &environment, store.as_ref());
        match (found, withheld.first(), set.base_url) {
            (Some(found), ..) => Ok(Some(Held {
                current: found.key,
                previous: found.previous,
            })),
            (None, Some(place), Some(base_url)) if !is_own => Err(format!(
                "the key of {name} from {place} is not sent: base_url is set by {}, and the key is \
                 not; set both in your own configuration",
                base_url.by
            )),
            _ => Ok(None),
        }
    }
}

impl Keys for KeyRing {
    fn of(&self, live: Live) -> Result<Option<Held>, String> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = found.get(&live) {
            return Ok(held.clone());
        }
        let held = self.look(live)?;
        // A key that is missing may be set while we run.
        if held.is_some() {
            found.insert(live, held.clone());
        }
        Ok(held)
    }

    fn retire(&self, live: Live) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.remove(&live);
        let environment = |name: &str| std::env::var_os(name);
        if let Some(store) = Store::of_user() {
            // What cannot be dropped now is tried, and dropped, another time.
            drop(keys::retire(live.name(), &environment, &store));
        }
    }
}
