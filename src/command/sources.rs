//! The sources as they are configured: the one place where services, their keys, the cache and the
//! archive come together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::Archive;
use crate::caller::Caller;
use crate::config::{self, Config, Layer, Told};
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

/// The configuration as files and environment say.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn load(profile: Option<&str>) -> Result<(Config, config::Read), Failure> {
    load_in(&std::env::current_dir().unwrap_or_default(), profile)
}

/// The same for what is started in another directory.
///
/// # Errors
/// As [`load`].
pub(super) fn load_in(
    directory: &Path,
    profile: Option<&str>,
) -> Result<(Config, config::Read), Failure> {
    let loaded = config::load(directory, profile, |name| std::env::var_os(name));
    loaded.map_err(|problems| {
        let what = match problems.0.len() {
            1 => "one problem".to_owned(),
            many => format!("{many} problems"),
        };
        Failure::new(Kind::Usage, problems).hint(format!("{what}; nothing was started"))
    })
}

impl Settled {
    /// As files and environment say.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(offline: bool, profile: Option<&str>) -> Result<Self, Failure> {
        let (config, read) = load(profile)?;
        Ok(Self::by(config, &read, offline))
    }

    /// By this configuration, as it was read.
    pub(super) fn by(config: Config, read: &config::Read, offline: bool) -> Self {
        Self {
            passed_by: read.passed_by.clone(),
            ..Self::of(config, dirs::cache(), dirs::state(), offline)
        }
    }

    /// By this configuration, with these directories for what is kept.
    pub fn of(
        config: Config,
        cache: Option<PathBuf>,
        state: Option<PathBuf>,
        offline: bool,
    ) -> Self {
        Self {
            chain: chain(&config, cache, state, offline, true),
            config,
            passed_by: Vec::new(),
        }
    }

    /// The sources by this configuration, for a look at them: nothing is kept of what they say, and no
    /// key is dropped that is refused.
    pub(super) fn to_look_at(config: Config, offline: bool) -> Self {
        Self {
            chain: chain(&config, None, None, offline, false),
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

fn chain(
    config: &Config,
    cache: Option<PathBuf>,
    state: Option<PathBuf>,
    offline: bool,
    drops_keys: bool,
) -> Chain {
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
        drops_keys,
    };
    Chain::new(caller, archive, services.collect(), Arc::new(keys))
}

/// What of a configured key may go to the base URL in force.
fn configured_key(set: &config::Source) -> keys::Configured {
    configured(set, |by| set.may_have_key_of(Some(by)))
}

/// What is set of a key by those who count.
fn configured(set: &config::Source, counts: impl Fn(&Layer) -> bool) -> keys::Configured {
    fn of<T: Clone>(told: &Option<Told<T>>, counts: impl Fn(&Layer) -> bool) -> Option<T> {
        let told = told.as_ref().filter(|told| counts(&told.by))?;
        Some(told.value.clone())
    }
    keys::Configured {
        key: of(&set.key, &counts),
        key_file: of(&set.key_file, &counts),
        key_command: of(&set.key_command, &counts),
    }
}

/// The key of a source that may go to the base URL in force.
///
/// # Errors
/// There is one that cannot be used, or only such as must not be sent there.
fn key_of(
    name: &str,
    set: &config::Source,
    environment: &dyn Fn(&str) -> Option<OsString>,
    store: Option<&Store>,
) -> Result<Option<Held>, String> {
    let own = configured_key(set);
    let found = match set.may_have_key_of(None) {
        true => keys::find(name, &own, environment, store),
        false => keys::find(name, &own, &|_| None, None),
    };
    let found = found.map_err(|error| format!("{error}: {}", error.hint()))?;
    if let Some(found) = found {
        return Ok(Some(Held {
            current: found.key,
            previous: found.previous,
        }));
    }
    let withheld = keys::places(name, &configured(set, |_| true), environment, store);
    match (withheld.first(), &set.base_url) {
        (Some(place), Some(base_url)) => Err(format!(
            "the key of {name} from {place} is not sent: base_url is set by {}, and the key is \
             not; set both in your own configuration",
            base_url.by
        )),
        _ => Ok(None),
    }
}

/// Keys as they are found, each looked for once.
#[derive(Debug)]
struct KeyRing {
    sources: BTreeMap<Live, config::Source>,
    found: Mutex<BTreeMap<Live, Option<Held>>>,
    /// Whether one that was refused goes from the store.
    drops_keys: bool,
}

impl KeyRing {
    fn look(&self, live: Live) -> Result<Option<Held>, String> {
        let none = config::Source::default();
        let set = self.sources.get(&live).unwrap_or(&none);
        let environment = |name: &str| std::env::var_os(name);
        key_of(live.name(), set, &environment, Store::of_user().as_ref())
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
        if !self.drops_keys {
            return;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.remove(&live);
        let environment = |name: &str| std::env::var_os(name);
        if let Some(store) = Store::of_user() {
            // What cannot be dropped now is tried, and dropped, another time.
            drop(keys::retire(live.name(), &environment, &store));
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret, SecretString};

    use super::*;
    use crate::caller::wire::Credential;

    /// The store knows no services, and its list of names must be theirs.
    #[test]
    fn keys_are_kept_for_the_services_that_want_one_and_no_others() {
        for live in Live::ALL {
            let offers = source::provider(live, ElectricityMaps::default()).offers();
            let form = match offers.credential {
                Credential::None => keys::Form::None,
                Credential::Header(_) => keys::Form::Line,
                Credential::Token | Credential::Basic => keys::Form::UserAndPassword,
            };
            assert_eq!(keys::form(live.name()), Some(form), "{}", live.name());
        }
    }

    fn told<T>(value: T, by: &Layer) -> Option<Told<T>> {
        let by = by.clone();
        Some(Told { value, by })
    }

    fn layers() -> [Layer; 3] {
        [
            Layer::System(PathBuf::from("/etc/catrain/config.toml")),
            Layer::User(PathBuf::from("own.toml")),
            Layer::Environment("CATRAIN_WATTTIME_BASE_URL".to_owned()),
        ]
    }

    /// Which key is sent where a key is in the configuration, in the environment or in both.
    fn sent(base_url: Option<&Layer>, key: Option<&Layer>, is_in_environment: bool) -> String {
        let set = config::Source {
            base_url: base_url.and_then(|by| told("https://example.org".to_owned(), by)),
            key: key.and_then(|by| told(SecretString::from("set:x"), by)),
            ..config::Source::default()
        };
        let environment = |name: &str| {
            (is_in_environment && name == "CATRAIN_WATTTIME_KEY").then(|| "env:x".into())
        };
        match key_of("watttime", &set, &environment, None) {
            Ok(Some(held)) => held.current.expose_secret().to_owned(),
            Ok(None) => "none".to_owned(),
            Err(why) => why,
        }
    }

    /// Of the manual:
    /// > A key is sent only to the host of the layer that set both.
    #[test]
    fn a_key_is_sent_to_the_base_url_of_whoever_set_both_or_it_is_said_why_not() {
        let [system, user, environment] = &layers();
        let own = [None, Some(user), Some(environment)];
        for base_url in own {
            assert_eq!(sent(base_url, None, true), "env:x");
            assert_eq!(sent(base_url, Some(user), false), "set:x");
            assert_eq!(sent(base_url, Some(user), true), "env:x");
            assert_eq!(sent(base_url, None, false), "none");
        }
        assert_eq!(sent(None, Some(system), false), "set:x");
        assert_eq!(sent(Some(system), Some(system), false), "set:x");
        assert_eq!(sent(Some(system), Some(system), true), "set:x");
        assert_eq!(sent(Some(system), None, false), "none");
        for (base_url, key, is_in_environment) in [
            (system, None, true),
            (system, Some(user), false),
            (user, Some(system), false),
            (environment, Some(system), false),
        ] {
            let why = sent(Some(base_url), key, is_in_environment);
            let told = format!("is not sent: base_url is set by {base_url}, and the key is not");
            assert!(why.contains(&told), "{why}");
        }
    }

    #[test]
    fn what_a_key_command_or_a_key_file_gives_goes_no_further_than_a_key() {
        let [system, user, _] = &layers();
        for (base_url, key, goes) in [(user, user, true), (user, system, false)] {
            let set = config::Source {
                base_url: told("https://example.org".to_owned(), base_url),
                key_file: told(PathBuf::from("/key"), key),
                key_command: told("pass".to_owned(), key),
                ..config::Source::default()
            };
            let found = configured_key(&set);
            let found = [found.key_file.is_some(), found.key_command.is_some()];
            assert_eq!(found, [goes; 2], "{base_url} {key}");
        }
    }
}
