//! The text of a configuration, checked whole: what it sets is set, and everything that is wrong with
//! it is told with its place.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Config, Energy, Layer, Ledger, Problem, Source, Told};
use crate::caller::is_base_url;
use crate::caller::limits::Resilience;
use crate::forecast::zones;
use crate::ledger::entry::Share;
use crate::parse;
use crate::source::electricity_maps::{Factors, Version};
use crate::source::{Live, Name};

const ROOT: &[&str] = &[
    "zone",
    "run",
    "sources",
    "resilience",
    "cache",
    "energy",
    "ledger",
];
const RUN: &[&str] = &["source", "account-with"];
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
const ENERGY: &[&str] = &["share", "nvml", "powercap"];
const LEDGER: &[&str] = &["sample", "sync", "largest", "signing_key"];
const CACHE: &[&str] = &["entries", "bytes", "valid_least", "valid_most"];

/// What can be set of a source: a key only where one is asked for.
fn keys_of(source: Live) -> &'static [&'static str] {
    match source {
        Live::ElectricityMaps => &[
            "base_url",
            "places",
            "key",
            "key_file",
            "key_command",
            "version",
            "emission_factors",
        ],
        Live::WattTime => &["base_url", "places", "key", "key_file", "key_command"],
        Live::Neso | Live::EnergyCharts | Live::EnergiDataService | Live::CarbonAwareSdk => {
            &["base_url", "places"]
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Sets what a file sets; gives back everything that is wrong with it.
pub(super) fn apply(text: &str, layer: &Layer, config: &mut Config) -> Vec<Problem> {
    let mut check = Check {
        text,
        layer,
        problems: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // What is left of a table whose form is wrong would be misread.
    if errors.is_empty() {
        check.root(table.get_ref(), config);
    }
    for error in errors {
        check.problem(error.span().unwrap_or_default(), error.message());
    }
    // By their places: tables give their keys in another order.
    check.problems.sort_by_key(|(start, _)| *start);
    check
        .problems
        .into_iter()
        .map(|(_, problem)| problem)
        .collect()
}

/// Whether this can be the start of a URL to ask at.
///
/// # Errors
/// What is wrong with it. It is not quoted: there may be a password in it.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    match is_base_url(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(why) => Err(format!(
            "it {why}; expected `https://HOST[/PATH]`, without user, query or fragment"
        )),
    }
}

fn zone(text: &str) -> Result<String, String> {
    match zones::find(text) {
        Ok(zone) => Ok(zone.zone.to_owned()),
        Err(unknown) => Err(format!("{unknown}; {}", unknown.hint())),
    }
}

fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    match text.starts_with('/') {
        true => Ok(PathBuf::from(text)),
        false => Err("expected a path that begins with `/`"),
    }
}

/// A provider's own name of a place. It becomes a part of a URL.
fn place(text: &str) -> Result<String, String> {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.len() <= 100 && text.chars().all(is_sign) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no name of a place")),
    }
}

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// A file while it is checked.
struct Check<'a> {
    text: &'a str,
    layer: &'a Layer,
    /// With where they begin.
    problems: Vec<(usize, Problem)>,
}

impl Check<'_> {
    fn problem(&mut self, span: Range<usize>, what: impl Display) {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let problem = Problem {
            place: format!("{}:{line}:{column}", self.layer),
            what: what.to_string(),
        };
        self.problems.push((span.start, problem));
    }

    /// Whether a stranger sets what is not theirs to set, which is told.
    fn is_not_theirs(&mut self, above: &str, key: &Key<'_>) -> bool {
        let is_strangers = matches!(self.layer, Layer::Project(_));
        if is_strangers {
            let name = key.get_ref();
            let what = format!("`{above}{name}` is only allowed in your own configuration");
            self.problem(key.span(), what);
        }
        is_strangers
    }

    fn root(&mut self, table: &DeTable<'_>, config: &mut Config) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "zone" => {
                    let zone = self.parsed("zone", value, zone);
                    self.set(&mut config.zone, zone);
                }
                "run" => self.run(value, config),
                "sources" | "resilience" | "cache" | "energy" | "ledger"
                    if self.is_not_theirs("", key) => {}
                "sources" => self.sources(value, config),
                "resilience" => self.resilience(value, &mut config.resilience),
                "cache" => self.cache(value, &mut config.resilience),
                "energy" => self.energy(value, &mut config.energy),
                "ledger" => self.ledger(value, &mut config.ledger),
                _ => self.unknown("", key, ROOT),
            }
        }
    }

    fn run(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table("run", value).into_iter().flatten() {
            match key.get_ref().as_ref() {
                "source" | "account-with" if self.is_not_theirs("run.", key) => {}
                "source" => {
                    let chain = self.names("run.source", value);
                    self.set(&mut config.chain, chain);
                }
                "account-with" => {
                    let name = self.parsed("run.account-with", value, str::parse);
                    self.set(&mut config.account_with, name);
                }
                _ => self.unknown("run.", key, RUN),
            }
        }
    }

    /// One name or a list of them.
    fn names(&mut self, at: &str, value: &Value<'_>) -> Option<Vec<Name>> {
        let one = std::slice::from_ref(value);
        let list = (value.get_ref().as_array()).map_or(one, |list| &list[..]);
        let names: Vec<Option<Name>> = (list.iter())
            .map(|value| self.parsed(at, value, str::parse))
            .collect();
        names.into_iter().collect()
    }

    fn sources(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table("sources", value).into_iter().flatten() {
            let name = key.get_ref().as_ref();
            match Live::ALL.into_iter().find(|live| live.name() == name) {
                Some(live) => {
                    let source = config.sources.entry(live).or_default();
                    self.source(live, value, source);
                }
                None => self.unknown("sources.", key, &Live::ALL.map(Live::name)),
            }
        }
    }

    fn source(&mut self, live: Live, value: &Value<'_>, source: &mut Source) {
        let above = format!("sources.{}", live.name());
        for (key, value) in self.table(&above, value).into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let at = format!("{above}.{name}");
            match name {
                name if !keys_of(live).contains(&name) => {
                    self.unknown(&format!("{above}."), key, keys_of(live));
                }
                "base_url" => {
                    let url = self.parsed(&at, value, base_url);
                    self.set(&mut source.base_url, url);
                }
                "key" => {
                    let secret = self.parsed(&at, value, |text| Ok::<_, &str>(text.into()));
                    self.set::<SecretString>(&mut source.key, secret);
                }
                "key_file" => {
                    // Not quoted: some will put the key there.
                    let path = self.parsed(&at, value, absolute);
                    self.set(&mut source.key_file, path);
                }
                "key_command" => {
                    let command = self.parsed(&at, value, |text| Ok::<_, &str>(text.to_owned()));
                    self.set(&mut source.key_command, command);
                }
                "version" => {
                    let known = [("v4", Version::V4), ("v3", Version::V3)];
                    let version = self.one_of(&at, value, known);
                    self.set(&mut source.version, version);
                }
                "emission_factors" => {
                    let known = [
                        ("lifecycle", Factors::Lifecycle),
                        ("direct", Factors::Direct),
                    ];
                    let factors = self.one_of(&at, value, known);
                    self.set(&mut source.emission_factors, factors);
                }
                _ => self.places(&at, value, source),
            }
        }
    }

    fn places(&mut self, at: &str, value: &Value<'_>, source: &mut Source) {
        for (key, value) in self.table(at, value).into_iter().flatten() {
            let zone = match zone(key.get_ref()) {
                Ok(zone) => zone,
                Err(why) => {
                    self.problem(key.span(), format!("`{at}`: {why}"));
                    continue;
                }
            };
            let place = self.parsed(&format!("{at}.{zone}"), value, place);
            source.places.extend(place.map(|place| (zone, place)));
        }
    }

    fn resilience(&mut self, value: &Value<'_>, numbers: &mut Resilience) {
        let retry = numbers.retry.get_or_insert_default();
        let timeout = numbers.timeout.get_or_insert_default();
        let bulkhead = numbers.bulkhead.get_or_insert_default();
        let bucket = numbers.bucket.get_or_insert_default();
        let breaker = numbers.breaker.get_or_insert_default();
        let rate = |interval: Duration| 1.0 / interval.as_secs_f64();
        let Some(table) = self.table("resilience", value) else {
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = format!("resilience.{name}");
            match name {
                "attempts" => put(&mut retry.attempts, self.number(&at, value, 1..=10)),
                "retry_delay" => put(&mut retry.delay, self.time(&at, value, SECOND / 10..=DAY)),
                "timeout_floor" => {
                    let floor = self.time(&at, value, SECOND / 10..=SECOND * 600);
                    put(&mut timeout.floor, floor);
                }
                "timeout_ceiling" => {
                    let ceiling = self.time(&at, value, SECOND / 10..=SECOND * 600);
                    put(&mut timeout.ceiling, ceiling);
                    put(&mut numbers.bounds.exchange, ceiling);
                }
                "at_once" => {
                    let most = u32::try_from(bulkhead.present).unwrap_or(u32::MAX);
                    put(&mut bulkhead.at_once, self.number(&at, value, 1..=most));
                }
                "burst" => put(&mut bucket.burst, self.number(&at, value, 1..=1000)),
                "interval" => {
                    let interval = self.time(&at, value, SECOND / 100..=DAY);
                    put(&mut bucket.ceiling, interval.map(rate));
                }
                "slowest_interval" => {
                    let interval = self.time(&at, value, SECOND / 100..=DAY);
                    put(&mut bucket.floor, interval.map(rate));
                }
                "breaker_failures" => put(&mut breaker.failing, self.share(&at, value)),
                "breaker_least" => {
                    let most = u32::try_from(breaker.window).unwrap_or(u32::MAX);
                    put(&mut breaker.least, self.number(&at, value, 1..=most));
                }
                "breaker_cool_down" => {
                    put(
                        &mut breaker.cool_down,
                        self.time(&at, value, SECOND / 10..=DAY),
                    );
                }
                "breaker_cool_down_most" => {
                    let most = self.time(&at, value, SECOND / 10..=DAY);
                    put(&mut breaker.cool_down_most, most);
                }
                "largest_answer_bytes" => {
                    put(
                        &mut numbers.bounds.body,
                        self.number(&at, value, 1024..=1 << 28),
                    );
                }
                _ => self.unknown("resilience.", key, RESILIENCE),
            }
        }
        let interval = |rate: f64| Duration::from_secs_f64(1.0 / rate);
        let ordered = [
            ["timeout_floor", "timeout_ceiling"],
            ["breaker_cool_down", "breaker_cool_down_most"],
            ["interval", "slowest_interval"],
        ];
        let times = [
            [timeout.floor, timeout.ceiling],
            [breaker.cool_down, breaker.cool_down_most],
            [interval(bucket.ceiling), interval(bucket.floor)],
        ];
        for (names, times) in ordered.into_iter().zip(times) {
            self.in_order("resilience", table, names, times);
        }
    }

    fn cache(&mut self, value: &Value<'_>, numbers: &mut Resilience) {
        let Some(table) = self.table("cache", value) else {
            return;
        };
        let keep = numbers.cache.get_or_insert_default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = format!("cache.{name}");
            match name {
                "entries" => put(&mut keep.entries, self.number(&at, value, 1..=100_000)),
                "bytes" => put(&mut keep.bytes, self.number(&at, value, 1 << 16..=1 << 31)),
                "valid_least" => put(&mut keep.validity.0, self.time(&at, value, SECOND..=DAY)),
                "valid_most" => put(&mut keep.validity.1, self.time(&at, value, SECOND..=DAY)),
                _ => self.unknown("cache.", key, CACHE),
            }
        }
        let (least, most) = keep.validity;
        let names = ["valid_least", "valid_most"];
        self.in_order("cache", table, names, [least, most]);
    }

    fn energy(&mut self, value: &Value<'_>, energy: &mut Energy) {
        for (key, value) in self.table("energy", value).into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let at = format!("energy.{name}");
            match name {
                "share" => {
                    let known = [("job", Share::Job), ("machine", Share::Machine)];
                    let share = self.one_of(&at, value, known);
                    self.set(&mut energy.share, share);
                }
                "nvml" => {
                    let path = self.parsed(&at, value, absolute);
                    self.set(&mut energy.nvml, path);
                }
                "powercap" => {
                    let path = self.parsed(&at, value, absolute);
                    self.set(&mut energy.powercap, path);
                }
                _ => self.unknown("energy.", key, ENERGY),
            }
        }
    }

    fn ledger(&mut self, value: &Value<'_>, ledger: &mut Ledger) {
        for (key, value) in self.table("ledger", value).into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let at = format!("ledger.{name}");
            match name {
                "sample" => {
                    let time = self.time(&at, value, SECOND..=SECOND * 600);
                    self.set(&mut ledger.sample, time);
                }
                "sync" => {
                    let time = self.time(&at, value, SECOND..=SECOND * 600);
                    self.set(&mut ledger.sync, time);
                }
                "largest" => {
                    let bytes = self.number(&at, value, 1 << 16..=1 << 31);
                    self.set(&mut ledger.largest, bytes);
                }
                "signing_key" => {
                    let path = self.parsed(&at, value, absolute);
                    self.set(&mut ledger.signing_key, path);
                }
                _ => self.unknown("ledger.", key, LEDGER),
            }
        }
    }

    /// That of two times in force the first is not the longer one. Told of the table that set one of
    /// them; the other may be of another file, or as it is where nobody sets it.
    fn in_order(
        &mut self,
        at: &str,
        table: &DeTable<'_>,
        [least, most]: [&str; 2],
        times: [Duration; 2],
    ) {
        let is_set = |(key, _): &(&Key<'_>, _)| [least, most].contains(&key.get_ref().as_ref());
        let Some((_, value)) = table.iter().find(is_set).filter(|_| times[0] > times[1]) else {
            return;
        };
        let [first, second] = times.map(|time| (time.as_secs_f64() * 1e3).round() / 1e3);
        let what = format!("`{at}.{least}` is {first} s, longer than `{at}.{most}`, {second} s");
        self.problem(value.span(), what);
    }

    fn set<T>(&self, slot: &mut Option<Told<T>>, value: Option<T>) {
        if let Some(value) = value {
            let by = self.layer.clone();
            *slot = Some(Told { value, by });
        }
    }

    /// A text, as `parse` reads it.
    fn parsed<T, E: Display>(
        &mut self,
        at: &str,
        value: &Value<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let why = match value.get_ref().as_str().map(parse) {
            Some(Ok(value)) => return Some(value),
            Some(Err(why)) => format!("`{at}`: {why}"),
            None => wrong_type(at, value, "text"),
        };
        self.problem(value.span(), why);
        None
    }

    fn one_of<T: Copy, const N: usize>(
        &mut self,
        at: &str,
        value: &Value<'_>,
        known: [(&str, T); N],
    ) -> Option<T> {
        self.parsed(at, value, |text| {
            let found = known.iter().find(|(name, _)| *name == text);
            let names = known.map(|(name, _)| name);
            (found.map(|(_, value)| *value))
                .ok_or_else(|| format!("`{text}` is not known; {}", nearest(text, &names)))
        })
    }

    fn time(
        &mut self,
        at: &str,
        value: &Value<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.parsed(at, value, |text| match parse::duration(text) {
            Ok(time) if !range.contains(&time) => Err(format!(
                "`{text}` is not between {} s and {} s",
                range.start().as_secs_f64(),
                range.end().as_secs_f64()
            )),
            read => read,
        })
    }

    fn number<T: TryFrom<u32>>(
        &mut self,
        at: &str,
        value: &Value<'_>,
        range: RangeInclusive<u32>,
    ) -> Option<T> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            let expected = format!("a whole number from {least} to {most}");
            self.problem(value.span(), wrong(at, value, &expected));
        }
        number.and_then(|number| number.try_into().ok())
    }

    fn share(&mut self, at: &str, value: &Value<'_>) -> Option<f64> {
        let text = match value.get_ref() {
            DeValue::Float(share) => Some(share.as_str()),
            DeValue::Integer(share) => Some(share.as_str()),
            _ => None,
        };
        let share = text.and_then(|text| text.parse().ok());
        let share = share.filter(|share| (0.0..=1.0).contains(share) && *share > 0.0);
        if share.is_none() {
            let expected = "a share such as 0.5, above 0 and up to 1";
            self.problem(value.span(), wrong(at, value, expected));
        }
        share
    }

    fn table<'v, 'i>(&mut self, at: &str, value: &'v Value<'i>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let what = wrong_type(at, value, &format!("a table: `[{at}]`"));
            self.problem(value.span(), what);
        }
        table
    }

    fn unknown(&mut self, above: &str, key: &Key<'_>, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let hint = nearest(name, known);
        let what = format!("`{above}{}` is not a key; {hint}", name.escape_debug());
        self.problem(key.span(), what);
    }
}

/// Keeps what was there where nothing was read.
fn put<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

/// A value is told by its type alone: it may be a key.
fn wrong_type(at: &str, value: &Value<'_>, expected: &str) -> String {
    let found = value.get_ref().type_str();
    format!("`{at}` is of type {found}; expected {expected}")
}

/// A number that cannot be, quoted; or something that is none.
fn wrong(at: &str, value: &Value<'_>, expected: &str) -> String {
    let number = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return wrong_type(at, value, expected),
    };
    format!("`{at}` is {number}; expected {expected}")
}

fn nearest(name: &str, known: &[&str]) -> String {
    match parse::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}
