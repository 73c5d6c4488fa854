//! One file of the configuration: read with care for who could have written it, and checked whole.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Layer, Problem, Source, Told};
use crate::caller::is_base_url;
use crate::forecast::zones;
use crate::parse;
use crate::source::electricity_maps::{Factors, Version};
use crate::source::{Live, Name};

/// Larger files are none of ours.
const LARGEST: u64 = 1 << 20;

/// What is in a file.
pub(super) enum Text {
    /// There is none.
    None,
    /// All of it.
    Whole(String),
    /// Others could have written it.
    NotTrusted(String),
}

/// Reads a file. That of the working directory must be of the user or of root, in a directory of
/// theirs, and nobody else may write either: `git clone` into `/tmp/shared` makes a stranger's file
/// as easily as a friend's.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn text_of(layer: &Layer) -> io::Result<Text> {
    let path = match layer {
        Layer::System(path) | Layer::User(path) | Layer::Project(path) => path,
        Layer::Environment(_) => return Ok(Text::None),
    };
    // A pipe in its place must not be waited for. The working directory's may not be a link.
    let flags = match layer {
        Layer::Project(_) => OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW,
        _ => OFlag::O_NONBLOCK,
    };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Text::None);
        }
        Err(error) => return Err(error),
    };
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    if matches!(layer, Layer::Project(_)) {
        let around = path.parent().map(std::fs::metadata).transpose()?;
        for (what, facts) in [("it", Some(&facts)), ("its directory", around.as_ref())] {
            let Some(facts) = facts else { continue };
            let is_trusted = facts.uid() == Uid::effective().as_raw() || facts.uid() == 0;
            if !is_trusted {
                let why = format!("{what} belongs to uid {}, not to you", facts.uid());
                return Ok(Text::NotTrusted(why));
            }
            if facts.mode() & 0o022 != 0 {
                let why = format!("others may write {what} (chmod go-w)");
                return Ok(Text::NotTrusted(why));
            }
        }
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it has more than 1 MiB",
        ));
    }
    Ok(Text::Whole(text))
}

/// Sets what a file sets; gives back everything that is wrong with it.
pub(super) fn apply(text: &str, layer: &Layer, config: &mut Config) -> Vec<Problem> {
    let mut file = File {
        text,
        layer,
        problems: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => file.root(table.get_ref(), config),
        Err(error) => {
            let span = error.span().unwrap_or_default();
            file.problem(span, error.message());
        }
    }
    file.problems
}

/// Whether this can be the start of a URL to ask at.
///
/// # Errors
/// What is wrong with it.
pub(super) fn base_url(text: String) -> Result<String, String> {
    match is_base_url(&text) {
        Ok(()) => Ok(text),
        Err(why) => {
            // Before an `@` may stand a password.
            let it = match text.contains('@') {
                true => "it".to_owned(),
                false => format!("`{text}`"),
            };
            Err(format!(
                "{it} {why}; expected `https://HOST[/PATH]`, without user, query or fragment"
            ))
        }
    }
}

const ROOT: &[&str] = &["zone", "run", "sources", "resilience", "cache"];
const RUN: &[&str] = &["source", "account-with"];
const SOURCE: &[&str] = &[
    "base_url",
    "key",
    "key_file",
    "key_command",
    "version",
    "emission_factors",
    "places",
];
const RESILIENCE: &[&str] = &[
    "attempts",
    "retry_delay",
    "timeout_floor",
    "timeout_ceiling",
    "at_once",
    "burst",
    "interval",
    "slowest_interval",
    "breaker_failures",
    "breaker_least",
    "breaker_cool_down",
    "breaker_cool_down_most",
    "largest_answer_bytes",
];
const CACHE: &[&str] = &["entries", "bytes", "valid_least", "valid_most"];

type Value<'a> = Spanned<DeValue<'a>>;

/// A file while it is checked.
struct File<'a> {
    text: &'a str,
    layer: &'a Layer,
    problems: Vec<Problem>,
}

impl File<'_> {
    fn problem(&mut self, span: Range<usize>, what: impl Display) {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        self.problems.push(Problem {
            place: format!("{}:{line}:{column}", self.layer),
            what: what.to_string(),
        });
    }

    fn root(&mut self, table: &DeTable<'_>, config: &mut Config) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let is_strangers = matches!(self.layer, Layer::Project(_));
            if is_strangers && matches!(name, "sources" | "resilience" | "cache") {
                let what = format!("`{name}` is only allowed in your own configuration");
                self.problem(key.span(), what);
                continue;
            }
            match name {
                "zone" => {
                    if let Some(zone) = self.parsed("zone", value, |text| {
                        let found = zones::find(text);
                        found
                            .map(|zone| zone.zone.to_owned())
                            .map_err(|unknown| format!("{unknown}; {}", unknown.hint()))
                    }) {
                        self.set(&mut config.zone, zone);
                    }
                }
                "run" => self.run(value, config),
                "sources" => self.sources(value, config),
                "resilience" => self.resilience(value, config),
                "cache" => self.cache(value, config),
                _ => self.unknown("", key, ROOT),
            }
        }
    }

    fn run(&mut self, value: &Value<'_>, config: &mut Config) {
        let Some(table) = self.table("run", value) else {
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if matches!(self.layer, Layer::Project(_)) && RUN.contains(&name) {
                let what = format!("`run.{name}` is only allowed in your own configuration");
                self.problem(key.span(), what);
                continue;
            }
            match name {
                "source" => {
                    if let Some(chain) = self.names(value) {
                        self.set(&mut config.chain, chain);
                    }
                }
                "account-with" => {
                    if let Some(name) = self.parsed("run.account-with", value, str::parse) {
                        self.set(&mut config.account_with, name);
                    }
                }
                _ => self.unknown("run.", key, RUN),
            }
        }
    }

    /// One name or a list of them.
    fn names(&mut self, value: &Value<'_>) -> Option<Vec<Name>> {
        let Some(list) = value.get_ref().as_array() else {
            return Some(vec![self.parsed("run.source", value, str::parse)?]);
        };
        let all: Vec<Option<Name>> = (list.iter())
            .map(|value| self.parsed("run.source", value, str::parse))
            .collect();
        all.into_iter().collect()
    }

    fn sources(&mut self, value: &Value<'_>, config: &mut Config) {
        let Some(table) = self.table("sources", value) else {
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(source) = Live::ALL.into_iter().find(|known| known.name() == name) else {
                self.unknown("sources.", key, &Live::ALL.map(Live::name));
                continue;
            };
            let at = format!("sources.{name}");
            if let Some(table) = self.table(&at, value) {
                self.source(&at, table, config.sources.entry(source).or_default());
            }
        }
    }

    fn source(&mut self, at: &str, table: &DeTable<'_>, source: &mut Source) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = format!("{at}.{name}");
            match name {
                "base_url" => {
                    let url = self.parsed(&at, value, |text| base_url(text.to_owned()));
                    url.map(|url| self.set(&mut source.base_url, url));
                }
                // What is wrong with a key is never said with the key.
                "key" => match value.get_ref().as_str() {
                    Some(key) => self.set(&mut source.key, SecretString::from(key)),
                    None => self.problem(value.span(), format!("`{at}`: expected text")),
                },
                "key_file" => {
                    let path = self.parsed(&at, value, |text| match text.starts_with('/') {
                        true => Ok(PathBuf::from(text)),
                        false => Err(format!("`{text}` does not begin with `/`")),
                    });
                    path.map(|path| self.set(&mut source.key_file, path));
                }
                "key_command" => {
                    let command = self.parsed(&at, value, |text| Ok::<_, String>(text.to_owned()));
                    command.map(|command| self.set(&mut source.key_command, command));
                }
                "version" => {
                    let version = self.parsed(&at, value, |text| match text {
                        "v3" => Ok(Version::V3),
                        "v4" => Ok(Version::V4),
                        other => Err(format!("`{other}` is neither v3 nor v4")),
                    });
                    version.map(|version| self.set(&mut source.version, version));
                }
                "emission_factors" => {
                    let factors = self.parsed(&at, value, |text| match text {
                        "lifecycle" => Ok(Factors::Lifecycle),
                        "direct" => Ok(Factors::Direct),
                        other => Err(format!("`{other}` is neither lifecycle nor direct")),
                    });
                    factors.map(|factors| self.set(&mut source.emission_factors, factors));
                }
                "places" => self.places(&at, value, source),
                _ => self.unknown(&at[..at.len() - name.len()], key, SOURCE),
            }
        }
    }

    fn places(&mut self, at: &str, value: &Value<'_>, source: &mut Source) {
        let Some(table) = self.table(at, value) else {
            return;
        };
        for (key, value) in table {
            let zone = match zones::find(key.get_ref()) {
                Ok(zone) => zone.zone.to_owned(),
                Err(unknown) => {
                    self.problem(key.span(), format!("{unknown}; {}", unknown.hint()));
                    continue;
                }
            };
            let place = self.parsed(&format!("{at}.{zone}"), value, |text| {
                let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                match !text.is_empty() && text.len() <= 100 && text.chars().all(is_name) {
                    true => Ok(text.to_owned()),
                    false => Err(format!("`{text}` is no name of a place")),
                }
            });
            place.map(|place| source.places.insert(zone, place));
        }
    }

    fn resilience(&mut self, value: &Value<'_>, config: &mut Config) {
        let Some(table) = self.table("resilience", value) else {
            return;
        };
        let numbers = &mut config.resilience;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = format!("resilience.{name}");
            let second = Duration::from_secs(1);
            let day = second * 86_400;
            match name {
                "attempts" => self.number(&at, value, 1..=10, |n| {
                    numbers.retry.get_or_insert_default().attempts = n;
                }),
                "retry_delay" => self.time(&at, value, second / 10, day, |time| {
                    numbers.retry.get_or_insert_default().delay = time;
                }),
                "timeout_floor" => self.time(&at, value, second / 10, second * 600, |time| {
                    numbers.timeout.get_or_insert_default().floor = time;
                }),
                "timeout_ceiling" => self.time(&at, value, second / 10, second * 600, |time| {
                    numbers.timeout.get_or_insert_default().ceiling = time;
                    numbers.bounds.exchange = time;
                }),
                "at_once" => self.number(&at, value, 1..=64, |n| {
                    numbers.bulkhead.get_or_insert_default().at_once = n as usize;
                }),
                "burst" => self.number(&at, value, 1..=1000, |n| {
                    numbers.bucket.get_or_insert_default().burst = n.into();
                }),
                "interval" => self.time(&at, value, second / 100, day, |time| {
                    numbers.bucket.get_or_insert_default().ceiling = 1.0 / time.as_secs_f64();
                }),
                "slowest_interval" => self.time(&at, value, second / 100, day, |time| {
                    numbers.bucket.get_or_insert_default().floor = 1.0 / time.as_secs_f64();
                }),
                "breaker_failures" => self.share(&at, value, |share| {
                    numbers.breaker.get_or_insert_default().failing = share;
                }),
                "breaker_least" => self.number(&at, value, 1..=1000, |n| {
                    numbers.breaker.get_or_insert_default().least = n as usize;
                }),
                "breaker_cool_down" => self.time(&at, value, second / 10, day, |time| {
                    numbers.breaker.get_or_insert_default().cool_down = time;
                }),
                "breaker_cool_down_most" => self.time(&at, value, second / 10, day, |time| {
                    numbers.breaker.get_or_insert_default().cool_down_most = time;
                }),
                "largest_answer_bytes" => self.number(&at, value, 1024..=1 << 28, |n| {
                    numbers.bounds.body = n as usize;
                }),
                _ => self.unknown("resilience.", key, RESILIENCE),
            }
        }
    }

    fn cache(&mut self, value: &Value<'_>, config: &mut Config) {
        let Some(table) = self.table("cache", value) else {
            return;
        };
        let keep = config.resilience.cache.get_or_insert_default();
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = format!("cache.{name}");
            match name {
                "entries" => self.number(&at, value, 1..=100_000, |n| keep.entries = n as usize),
                "bytes" => self.number(&at, value, 1 << 16..=1 << 31, |n| keep.bytes = n.into()),
                "valid_least" => {
                    self.time(&at, value, second, day, |time| keep.validity.0 = time);
                }
                "valid_most" => {
                    self.time(&at, value, second, day, |time| keep.validity.1 = time);
                }
                _ => self.unknown("cache.", key, CACHE),
            }
        }
    }

    fn set<T>(&self, slot: &mut Option<Told<T>>, value: T) {
        let by = self.layer.clone();
        *slot = Some(Told { value, by });
    }

    /// A text, as `parse` reads it.
    fn parsed<T, E: Display>(
        &mut self,
        at: &str,
        value: &Value<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = match value.get_ref().as_str() {
            Some(text) => text,
            None => {
                let found = value.get_ref().type_str();
                self.problem(
                    value.span(),
                    format!("`{at}` is of type {found}; expected text"),
                );
                return None;
            }
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(value.span(), format!("`{at}`: {why}"));
                None
            }
        }
    }

    fn time(
        &mut self,
        at: &str,
        value: &Value<'_>,
        least: Duration,
        most: Duration,
        set: impl FnOnce(Duration),
    ) {
        let time = self.parsed(at, value, |text| {
            let time = parse::duration(text)?;
            match (least..=most).contains(&time) {
                true => Ok(time),
                false => Err(format!(
                    "`{text}` is not between {} s and {} s",
                    least.as_secs_f64(),
                    most.as_secs_f64()
                )),
            }
        });
        time.map(set);
    }

    fn number(
        &mut self,
        at: &str,
        value: &Value<'_>,
        range: std::ops::RangeInclusive<u32>,
        set: impl FnOnce(u32),
    ) {
        let number = value.get_ref().as_integer().and_then(|number| {
            u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        });
        match number.filter(|number| range.contains(number)) {
            Some(number) => set(number),
            None => {
                let what = format!(
                    "`{at}`: expected a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                self.problem(value.span(), what);
            }
        }
    }

    fn share(&mut self, at: &str, value: &Value<'_>, set: impl FnOnce(f64)) {
        let share = value.get_ref().as_float();
        let share = share.and_then(|share| share.as_str().replace('_', "").parse().ok());
        match share.filter(|share: &f64| *share > 0.0 && *share <= 1.0) {
            Some(share) => set(share),
            None => self.problem(
                value.span(),
                format!("`{at}`: expected a share such as 0.5, above 0.0 and up to 1.0"),
            ),
        }
    }

    fn table<'v, 'i>(&mut self, at: &str, value: &'v Value<'i>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            let what = format!("`{at}` is of type {found}; expected a table: `[{at}]`");
            self.problem(value.span(), what);
        }
        table
    }

    fn unknown(&mut self, above: &str, key: &Spanned<toml::de::DeString<'_>>, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let nearest = (known.iter())
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .filter(|(distance, known)| *distance * 3 <= known.len())
            .min();
        let hint = match nearest {
            Some((_, near)) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        let what = format!("`{above}{}` is not a key; {hint}", name.escape_debug());
        self.problem(key.span(), what);
    }
}
