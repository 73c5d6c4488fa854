//! Values as those who use them want them. They were checked against the table, so nothing is left that
//! could not be read.

use std::path::PathBuf;

use super::{Config, Energy, Ledger, Serve, Source, Told, Values};
use crate::caller::limits::Resilience;
use crate::ledger::entry::Share;
use crate::log::{self, Form};
use crate::source::Live;
use crate::source::electricity_maps::{Factors, Version};

impl Config {
    /// The same with these keys as another has them.
    #[must_use]
    pub fn with(&self, paths: &[&str], other: &Self) -> Self {
        Self::of(
            self.values.with(paths, &other.values),
            self.profile.as_deref(),
        )
    }

    /// By these values.
    pub(super) fn of(values: Values, profile: Option<&str>) -> Self {
        Self {
            zone: text(&values, "zone"),
            chain: told(&values, "run.source", |values, path| {
                let names = values.texts(path)?;
                Some(names.iter().filter_map(|name| name.parse().ok()).collect())
            }),
            account_with: word(&values, "run.account-with", |name| name.parse().ok()),
            sources: Live::ALL
                .into_iter()
                .filter_map(|live| Some((live, source(&values, live)?)))
                .collect(),
            resilience: resilience(&values),
            energy: Energy {
                share: word(&values, "energy.share", |share| match share {
                    "job" => Some(Share::Job),
                    "machine" => Some(Share::Machine),
                    _ => None,
                }),
                nvml: path(&values, "energy.nvml"),
                powercap: path(&values, "energy.powercap"),
            },
            ledger: Ledger {
                sample: told(&values, "ledger.sample", Values::time),
                sync: told(&values, "ledger.sync", Values::time),
                largest: told(&values, "ledger.largest", |values, path| {
                    values.count(path).map(u64::from)
                }),
                signing_key: path(&values, "ledger.signing_key"),
            },
            serve: Serve {
                name: text(&values, "serve.name"),
                token_file: path(&values, "serve.token_file"),
            },
            log: logged(&values),
            notes_acts: values.switch("log.audit").unwrap_or(true),
            profile: profile.map(str::to_owned),
            values,
        }
    }
}

/// What is set at a path, with who set it.
fn told<T>(
    values: &Values,
    path: &str,
    read: impl Fn(&Values, &str) -> Option<T>,
) -> Option<Told<T>> {
    let by = values.get(path)?.by.clone();
    let value = read(values, path)?;
    Some(Told { value, by })
}

/// The same of one of these words.
fn word<T>(values: &Values, path: &str, read: impl Fn(&str) -> Option<T>) -> Option<Told<T>> {
    told(values, path, |values, path| read(values.text(path)?))
}

fn text(values: &Values, path: &str) -> Option<Told<String>> {
    word(values, path, |text| Some(text.to_owned()))
}

fn path(values: &Values, path: &str) -> Option<Told<PathBuf>> {
    word(values, path, |text| Some(PathBuf::from(text)))
}

/// What is set of a source, if anything is.
fn source(values: &Values, live: Live) -> Option<Source> {
    let table = format!("sources.{}", live.name());
    values.below(&table).next()?;
    let at = |name: &str| format!("{table}.{name}");
    Some(Source {
        base_url: text(values, &at("base_url")),
        key: told(values, &at("key"), |values, path| {
            values.secret(path).cloned()
        }),
        key_file: path(values, &at("key_file")),
        key_command: text(values, &at("key_command")),
        version: word(values, &at("version"), |version| match version {
            "v3" => Some(Version::V3),
            "v4" => Some(Version::V4),
            _ => None,
        }),
        emission_factors: word(values, &at("emission_factors"), |factors| match factors {
            "lifecycle" => Some(Factors::Lifecycle),
            "direct" => Some(Factors::Direct),
            _ => None,
        }),
        places: (values.below(&at("places")))
            .filter_map(|(zone, _)| {
                let place = values.text(&format!("{table}.places.{zone}"))?;
                Some((zone.to_owned(), place.to_owned()))
            })
            .collect(),
    })
}

/// What is logged.
fn logged(values: &Values) -> log::Settings {
    let mut settings = log::Settings {
        levels: values.text("log.level").and_then(|text| text.parse().ok()),
        file: values.text("log.file").map(PathBuf::from),
        form: values.text("log.format").map(|form| match form {
            "text" => Form::Text,
            _ => Form::Json,
        }),
        ..log::Settings::default()
    };
    let rotation = &mut settings.rotation;
    put(
        &mut rotation.largest,
        values.count("log.largest").map(u64::from),
    );
    put(&mut rotation.oldest, values.time("log.oldest"));
    put(&mut rotation.keep, values.count("log.keep"));
    settings
}

/// The numbers of the way to a provider.
pub(super) fn resilience(values: &Values) -> Resilience {
    let mut numbers = Resilience::default();
    let retry = numbers.retry.get_or_insert_default();
    let timeout = numbers.timeout.get_or_insert_default();
    let bulkhead = numbers.bulkhead.get_or_insert_default();
    let bucket = numbers.bucket.get_or_insert_default();
    let breaker = numbers.breaker.get_or_insert_default();
    let keep = numbers.cache.get_or_insert_default();
    let time = |name: &str| values.time(&format!("resilience.{name}"));
    let count = |name: &str| values.count(&format!("resilience.{name}"));
    let rate = |name: &str| time(name).map(|interval| 1.0 / interval.as_secs_f64());
    put(&mut retry.attempts, count("attempts"));
    put(&mut retry.delay, time("retry_delay"));
    put(&mut timeout.floor, time("timeout_floor"));
    put(&mut timeout.ceiling, time("timeout_ceiling"));
    put(&mut numbers.bounds.exchange, time("timeout_ceiling"));
    put(
        &mut bulkhead.at_once,
        count("at_once").map(|count| count as usize),
    );
    put(&mut bucket.burst, count("burst").map(f64::from));
    put(&mut bucket.ceiling, rate("interval"));
    put(&mut bucket.floor, rate("slowest_interval"));
    put(
        &mut breaker.failing,
        values.number("resilience.breaker_failures"),
    );
    put(
        &mut breaker.least,
        count("breaker_least").map(|count| count as usize),
    );
    put(&mut breaker.cool_down, time("breaker_cool_down"));
    put(&mut breaker.cool_down_most, time("breaker_cool_down_most"));
    let largest = count("largest_answer_bytes").map(|count| count as usize);
    put(&mut numbers.bounds.body, largest);
    put(
        &mut keep.entries,
        values.count("cache.entries").map(|count| count as usize),
    );
    put(&mut keep.bytes, values.count("cache.bytes").map(u64::from));
    put(&mut keep.validity.0, values.time("cache.valid_least"));
    put(&mut keep.validity.1, values.time("cache.valid_most"));
    numbers
}

/// Keeps what was there where nothing was set.
fn put<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}
