//! Values that were set, each with who set it and where, and how layers are laid over one another.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Layer;

/// A value, as it was checked against its key.
#[derive(Clone, Debug)]
pub enum Value {
    /// Words, names, paths, addresses.
    Text(String),
    /// What is told to nobody.
    Secret(SecretString),
    /// Several words.
    Texts(Vec<String>),
    /// A time.
    Time(Duration),
    /// A whole number.
    Count(u32),
    /// Any number.
    Number(f64),
    /// Yes or no.
    Switch(bool),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Secret(a), Self::Secret(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Texts(a), Self::Texts(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Count(a), Self::Count(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b).is_eq(),
            (Self::Switch(a), Self::Switch(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// As it would be written in a file; a secret is not.
    pub fn to_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self {
            Self::Text(text) => quoted(text),
            Self::Secret(_) => quoted("[redacted]"),
            Self::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Self::Time(time) => quoted(&written(*time)),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => toml::Value::Float(*number).to_string(),
            Self::Switch(is_on) => is_on.to_string(),
        }
    }
}

/// A time as people write it in a file: `90s` as `1m 30s`.
fn written(time: Duration) -> String {
    let millis = time.as_millis();
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let mut left = millis;
    let mut parts = Vec::new();
    for (name, unit) in units {
        if left >= unit {
            parts.push(format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    match parts.is_empty() {
        true => "0".to_owned(),
        false => parts.join(" "),
    }
}

/// A value with where it is from.
#[derive(Clone, Debug)]
pub struct Set {
    /// The value.
    pub value: Value,
    /// Who set it.
    pub by: Layer,
    /// File, line and column; or the variable.
    pub place: String,
    /// The profile that it stands in.
    pub profile: Option<String>,
}

/// Values by their paths, list places written out: `alerts.webhook[0].url`.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, Set>);

impl Values {
    pub(super) fn insert(&mut self, path: String, set: Set) {
        self.0.insert(path, set);
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lays others over these: later wins, value by value; a list of tables replaces one before it as a whole.
    pub(super) fn lay_over(&mut self, later: &Self) {
        let list = |path: &str| -> Option<String> { Some(path.split_once('[')?.0.to_owned()) };
        let replaced: Vec<String> = later.0.keys().filter_map(|path| list(path)).collect();
        self.0
            .retain(|path, _| !list(path).is_some_and(|list| replaced.contains(&list)));
        for (path, set) in &later.0 {
            self.0.insert(path.clone(), set.clone());
        }
    }

    /// What is set at a path, with where it is from.
    pub fn get(&self, path: &str) -> Option<&Set> {
        self.0.get(path)
    }

    /// All of them, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Set)> {
        self.0.iter().map(|(path, set)| (path.as_str(), set))
    }

    /// What stands below a table, by the rest of the path.
    pub fn below<'a>(&'a self, table: &str) -> impl Iterator<Item = (&'a str, &'a Set)> {
        let start = format!("{table}.");
        (self.0.iter()).filter_map(move |(path, set)| Some((path.strip_prefix(&start)?, set)))
    }

    /// How many tables are in a list.
    pub fn rows(&self, list: &str) -> usize {
        let start = format!("{list}[");
        let place = |path: &String| -> Option<usize> {
            let (place, _) = path.strip_prefix(&start)?.split_once(']')?;
            place.parse().ok()
        };
        (self.0.keys().filter_map(place).max()).map_or(0, |last| last + 1)
    }

    /// A text, or nothing.
    pub fn text(&self, path: &str) -> Option<&str> {
        match &self.get(path)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A secret, or nothing.
    pub fn secret(&self, path: &str) -> Option<&SecretString> {
        match &self.get(path)?.value {
            Value::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// Texts; of one text that.
    pub fn texts(&self, path: &str) -> Option<Vec<String>> {
        match &self.get(path)?.value {
            Value::Texts(texts) => Some(texts.clone()),
            Value::Text(text) => Some(vec![text.clone()]),
            _ => None,
        }
    }

    /// A time, or nothing.
    pub fn time(&self, path: &str) -> Option<Duration> {
        match self.get(path)?.value {
            Value::Time(time) => Some(time),
            _ => None,
        }
    }

    /// A whole number, or nothing.
    pub fn count(&self, path: &str) -> Option<u32> {
        match self.get(path)?.value {
            Value::Count(count) => Some(count),
            _ => None,
        }
    }

    /// A number, or nothing.
    pub fn number(&self, path: &str) -> Option<f64> {
        match self.get(path)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Yes or no, or nothing.
    pub fn switch(&self, path: &str) -> Option<bool> {
        match self.get(path)?.value {
            Value::Switch(is_on) => Some(is_on),
            _ => None,
        }
    }

    /// The same with these paths as others have them.
    #[must_use]
    pub(super) fn with(&self, paths: &[&str], other: &Self) -> Self {
        let mut values = self.clone();
        for path in paths {
            match other.0.get(*path) {
                Some(set) => values.0.insert((*path).to_owned(), set.clone()),
                None => values.0.remove(*path),
            };
        }
        values
    }

    /// Paths whose values differ between these and others, in order.
    pub fn changed<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let value = |values: &'a Self, path: &str| values.get(path).map(|set| &set.value);
        let mut paths: Vec<&str> = (self.0.keys().chain(other.0.keys()))
            .map(String::as_str)
            .filter(|path| value(self, path) != value(other, path))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}
