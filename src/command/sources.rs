//! The sources as they are configured: the one place where services, their keys, the cache and the
//! archive come together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::archive::Archive;
use crate::caller::Caller;
use crate::config::{self, Config, Layer};
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::keys::{self, Store};
use crate::source::chain::{Chain, Held, Keys, Service};
use crate::source::electricity_maps::{ElectricityMaps, Factors, Version};
use crate::source::{self, Live, Name};

/// The configuration, and the sources by it.
#[derive(Debug)]
pub struct Settled {
    /// What is set.
    pub config: Config,
    /// Files that were passed by, a sentence each.
    pub passed_by: Vec<String>,
    /// The sources.
    pub chain: Chain,
}

impl Settled {
    /// As files and environment say.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(offline: bool) -> Result<Self, Failure> {
        let directory = std::env::current_dir().unwrap_or_default();
        let loaded = config::load(&directory, |name| std::env::var_os(name));
        let (config, passed_by) = loaded.map_err(|problems| {
            let what = match problems.0.len() {
                1 => "one problem".to_owned(),
                many => format!("{many} problems"),
            };
            Failure::new(Kind::Usage, problems).hint(format!("{what}; nothing was started"))
        })?;
        let (cache, state) = (dirs::cache(), dirs::state());
        Ok(Self {
            passed_by,
            ..Self::of(config, cache, state, offline)
        })
    }

    /// By this configuration, with these directories for what is kept.
    pub fn of(
        config: Config,
        cache: Option<PathBuf>,
        state: Option<PathBuf>,
        offline: bool,
    ) -> Self {
        Self {
            chain: chain(&config, cache, state, offline),
            config,
            passed_by: Vec::new(),
        }
    }

    /// What the configuration says of a source's key, as far as it may be sent.
    pub(super) fn configured_key(&self, name: &str) -> keys::Configured {
        let live = Live::ALL.into_iter().find(|live| live.name() == name);
        let set = live.and_then(|live| self.config.sources.get(&live));
        set.map(configured_key).unwrap_or_default()
    }

    /// The sources to ask: those named, else the configured ones, else none, which stands for the
    /// usual ones.
    pub(super) fn names(&self, named: &[Name]) -> Vec<Name> {
        match (named, &self.config.chain) {
            ([], Some(chain)) => chain.value.clone(),
            (named, _) => named.to_vec(),
        }
    }
}

fn chain(config: &Config, cache: Option<PathBuf>, state: Option<PathBuf>, offline: bool) -> Chain {
    let services = Live::ALL.into_iter().map(|live| {
        let set = config.sources.get(&live).cloned().unwrap_or_default();
        let maps = ElectricityMaps {
            version: set.version.map_or_else(Version::default, |told| told.value),
            factors: set
                .emission_factors
                .map_or_else(Factors::default, |told| told.value),
        };
        let service = Service {
            provider: source::provider(live, maps),
            base_url: set.base_url.map(|told| told.value),
            places: set.places,
        };
        (live, service)
    });
    let answers = cache.map(|cache| cache.join("answers"));
    let caller = Caller::new(config.resilience.clone(), answers, offline);
    let archive = state.map(|state| Archive::new(state.join("archive")));
    let keys = KeyRing {
        sources: config.sources.clone(),
        found: Mutex::default(),
    };
    Chain::new(caller, archive, services.collect(), Box::new(keys))
}

/// What of a configured key may go to the base URL in force.
fn configured_key(set: &config::Source) -> keys::Configured {
    let may_go = |by: &Layer| set.may_have_key_of(Some(by));
    keys::Configured {
        key: (set.key.clone().filter(|told| may_go(&told.by))).map(|told| told.value),
        key_file: (set.key_file.clone().filter(|told| may_go(&told.by))).map(|told| told.value),
        key_command: (set.key_command.clone().filter(|told| may_go(&told.by)))
            .map(|told| told.value),
    }
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
        let configured = configured_key(&set);
        let (environment, store) = (|name: &str| std::env::var_os(name), Store::of_user());
        let is_own = set.may_have_key_of(None);
        let found = match is_own {
            true => keys::find(name, &configured, &environment, store.as_ref()),
            false => keys::find(name, &configured, &|_| None, None),
        };
        let found = found.map_err(|error| format!("{error}: {}", error.hint()))?;
        let withheld = keys::places(
            name,
            &keys::Configured::default(),
            &environment,
            store.as_ref(),
        );
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
