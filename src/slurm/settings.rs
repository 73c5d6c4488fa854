//! What `scontrol show` tells, name by name: of the cluster, a job, a partition. Pure.

use std::collections::BTreeMap;

/// Values by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Of `scontrol show config`: a line each, `Name = value`.
    pub fn of_lines(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Self(lines.map(|(name, value)| pair(name, value)).collect())
    }

    /// Of a line of `scontrol show job -o` or `partition -o`: words, `Name=value`.
    pub fn of_words(text: &str) -> Self {
        let words = text.split_whitespace();
        let words = words.filter_map(|word| word.split_once('='));
        Self(words.map(|(name, value)| pair(name, value)).collect())
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether it is this value.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// Whole seconds: `30 sec`.
    pub fn seconds(&self, name: &str) -> Option<u64> {
        self.get(name)?.split(' ').next()?.parse().ok()
    }

    /// Whether there is a database of who may do what.
    pub fn has_accounting(&self) -> bool {
        self.get("AccountingStorageType")
            .is_some_and(|kind| kind.ends_with("slurmdbd"))
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.trim().to_owned(), value.trim().to_owned())
}
