//! The text of a configuration, checked whole by the table of keys: what it sets, and everything that is
//! wrong with it, each with its place.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::table::{Key, Kind, keys};
use super::values::{Set, Value, Values};
use super::{Layer, Problem};
use crate::alert::quiet::Quiet;
use crate::caller::is_base_url;
use crate::cli::flags;
use crate::forecast::zones;
use crate::keys::known;
use crate::log::Levels;
use crate::parse;
use crate::serve::address::host_name;
use crate::source::Name;

/// More names than this are not listed where one is misspelt.
const LISTED: usize = 12;

/// What one file sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    /// Outside of profiles.
    pub(super) base: Values,
    /// `[profile.NAME]`.
    pub(super) profiles: BTreeMap<String, Values>,
}

/// Reads what a file sets; gives back with it everything that is wrong.
pub(super) fn check(text: &str, layer: &Layer) -> (Checked, Vec<Problem>) {
    let mut check = Check {
        text,
        layer,
        profile: None,
        set: Checked::default(),
        problems: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // What is left of a table whose form is wrong would be misread.
    if errors.is_empty() {
        check.table("", "", table.get_ref());
    }
    for error in errors {
        check.problem(error.span().unwrap_or_default(), error.message());
    }
    // By their places: tables give their keys in another order.
    check.problems.sort_by_key(|(start, _)| *start);
    let problems = check.problems.into_iter().map(|(_, problem)| problem);
    (check.set, problems.collect())
}

/// Reads a text, such as a variable has, as the value of a key.
///
/// # Errors
/// What is wrong with it, and what was expected.
pub(super) fn from_text(key: &Key, text: &str) -> Result<Value, String> {
    match &key.kind {
        Kind::Switch => match text {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Value::Switch(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(Value::Switch(false)),
            _ => Err(format!("`{text}` is neither `true` nor `false`")),
        },
        Kind::Count(least, most) => {
            let number = text.parse().ok();
            let number = number.filter(|number| (least..=most).contains(&number));
            number
                .map(Value::Count)
                .ok_or_else(|| format!("is `{text}`; expected {}", expected_count(*least, *most)))
        }
        Kind::Share => share(text)
            .map(Value::Number)
            .ok_or_else(|| format!("is `{text}`; expected {SHARE}")),
        Kind::Number(least, most) => number(text, *least, *most)
            .map(Value::Number)
            .ok_or_else(|| format!("is `{text}`; expected {}", expected_number(*least, *most))),
        Kind::Sources | Kind::Texts | Kind::AnyOf(_) => {
            let words = text.split(',').map(|word| word.trim().to_owned());
            let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
            for word in &words {
                word_of(&key.kind, word)?;
            }
            Ok(Value::Texts(words))
        }
        Kind::Flag(flag) if flag.is_list => {
            let words: Vec<String> = text.split(',').map(str::to_owned).collect();
            for word in &words {
                flags::check(&flag.name, word)?;
            }
            Ok(Value::Texts(words))
        }
        kind => word_of(kind, text),
    }
}

/// One word, path, time or address.
fn word_of(kind: &Kind, text: &str) -> Result<Value, String> {
    let is = |text: &str| Ok(Value::Text(text.to_owned()));
    match kind {
        Kind::Zone => match zones::find(text) {
            Ok(zone) => is(zone.zone),
            Err(unknown) => Err(format!("{unknown}; {}", unknown.hint())),
        },
        Kind::Source | Kind::Sources => {
            let name: Name = text.parse()?;
            is(&name.to_string())
        }
        Kind::BaseUrl => match is_base_url(text) {
            Ok(()) => is(text),
            // Not quoted: there may be a password in it.
            Err(why) => Err(format!(
                "it {why}; expected `https://HOST[/PATH]`, without user, query or fragment"
            )),
        },
        Kind::Host => is(&host_name(text)?),
        // Not quoted: some will put a key there.
        Kind::Path => match Path::new(text).is_absolute() {
            true => is(text),
            false => Err("expected a path that begins with `/`".to_owned()),
        },
        Kind::Secret => {
            let secret = text.into();
            known::remember(&secret);
            Ok(Value::Secret(secret))
        }
        Kind::OneOf(known) | Kind::AnyOf(known) => match known.contains(&text) {
            true => is(text),
            false => Err(format!("`{text}` is not known; {}", nearest(text, known))),
        },
        Kind::Levels => text.parse::<Levels>().and_then(|_| is(text)),
        Kind::Time(least, most) => time(text, *least, *most).map(Value::Time),
        Kind::Name => name(text).and_then(is),
        // Whose clock is not looked at here.
        Kind::Hours => Quiet::parse(text, TimeZone::UTC).and_then(|_| is(text)),
        Kind::Flag(flag) => flags::check(&flag.name, text).and_then(|()| is(text)),
        _ => is(text),
    }
}

fn time(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    match parse::duration(text) {
        Ok(time) if !(least..=most).contains(&time) => Err(format!(
            "`{text}` is not between {} s and {} s",
            least.as_secs_f64(),
            most.as_secs_f64()
        )),
        read => read,
    }
}

const SHARE: &str = "a share such as 0.5, above 0 and up to 1";

fn share(text: &str) -> Option<f64> {
    number(text, 0.0, 1.0).filter(|share| *share > 0.0)
}

fn number(text: &str, least: f64, most: f64) -> Option<f64> {
    let number = text.replace('_', "").parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

fn expected_count(least: u32, most: u32) -> String {
    format!("a whole number from {least} to {most}")
}

fn expected_number(least: f64, most: f64) -> String {
    format!("a number from {least} to {most}")
}

/// A name that becomes a part of others.
fn name(text: &str) -> Result<&str, String> {
    let is_sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match (1..=40).contains(&text.len()) && text.chars().all(is_sign) {
        true => Ok(text),
        false => Err(format!(
            "`{}` is no name: small letters, digits and `-`, at most 40",
            text.escape_debug()
        )),
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

type Written<'a> = Spanned<DeString<'a>>;
type Found<'a> = Spanned<DeValue<'a>>;

/// A file while it is checked.
struct Check<'a> {
    text: &'a str,
    layer: &'a Layer,
    /// The profile that is looked at.
    profile: Option<String>,
    set: Checked,
    /// With where they begin.
    problems: Vec<(usize, Problem)>,
}

impl Check<'_> {
    fn place(&self, span: &Range<usize>) -> String {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}:{line}:{column}", self.layer)
    }

    fn problem(&mut self, span: Range<usize>, what: impl Display) {
        let problem = Problem {
            place: self.place(&span),
            what: what.to_string(),
        };
        self.problems.push((span.start, problem));
    }

    /// One table. `above` is its path in the table of keys and `at` the same with the places in
    /// lists, each with a dot at the end, both empty for the whole file.
    fn table(&mut self, above: &str, at: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let (path, at) = (
                format!("{above}{}", name.get_ref()),
                format!("{at}{}", name.get_ref()),
            );
            if above.is_empty() && path == "profile" && self.profile.is_none() {
                self.profiles(value);
            } else if let Some(key) = keys().iter().find(|key| key.path == path) {
                if self.is_allowed(key.is_anyones, name, &at) {
                    self.key(key, &at, value);
                }
            } else if let Some(is_list) = is_table(&path) {
                let start = format!("{path}{}.", if is_list { "[]" } else { "" });
                let is_anyones = |key: &&Key| key.path.starts_with(&start) && key.is_anyones;
                if self.is_allowed(keys().iter().any(|key| is_anyones(&key)), name, &at) {
                    match is_list {
                        true => self.list(&path, &at, value),
                        false => self.below(&path, &at, value),
                    }
                }
            } else {
                self.unknown(above, name);
            }
        }
    }

    fn profiles(&mut self, value: &Found<'_>) {
        for (name, value) in self.as_table("profile", value).into_iter().flatten() {
            let name = name.get_ref().to_string();
            self.profile = Some(name.clone());
            self.set.profiles.entry(name.clone()).or_default();
            if let Some(table) = self.as_table(&format!("profile.{name}"), value) {
                self.table("", "", table);
            }
            self.profile = None;
        }
    }

    fn below(&mut self, path: &str, at: &str, value: &Found<'_>) {
        if let Some(table) = self.as_table(at, value) {
            self.table(&format!("{path}."), &format!("{at}."), table);
        }
    }

    fn list(&mut self, path: &str, at: &str, value: &Found<'_>) {
        let Some(tables) = value.get_ref().as_array() else {
            let what = wrong_type(at, value, &format!("a list of tables: `[[{at}]]`"));
            return self.problem(value.span(), what);
        };
        for (place, value) in tables.iter().enumerate() {
            self.below(&format!("{path}[]"), &format!("{at}[{place}]"), value);
        }
    }

    /// Whether this may be set here; if not, that is told.
    fn is_allowed(&mut self, is_anyones: bool, name: &Written<'_>, at: &str) -> bool {
        let is_allowed = is_anyones || !matches!(self.layer, Layer::Project(_));
        if !is_allowed {
            let what = format!("`{at}` is only allowed in your own configuration");
            self.problem(name.span(), what);
        }
        is_allowed
    }

    fn key(&mut self, key: &Key, at: &str, value: &Found<'_>) {
        if let Kind::Places = key.kind {
            return self.places(at, value);
        }
        if let Some(read) = self.value(key, at, value) {
            self.keep(at.to_owned(), value.span(), read);
        }
    }

    fn keep(&mut self, path: String, span: Range<usize>, value: Value) {
        let set = Set {
            value,
            by: self.layer.clone(),
            place: self.place(&span),
            profile: self.profile.clone(),
        };
        match &self.profile {
            None => self.set.base.insert(path, set),
            Some(name) => {
                let values = self.set.profiles.entry(name.clone()).or_default();
                values.insert(path, set);
            }
        }
    }

    /// A value as its key has it; what is wrong with it is told.
    fn value(&mut self, key: &Key, at: &str, value: &Found<'_>) -> Option<Value> {
        let read = match (&key.kind, value.get_ref()) {
            (Kind::Switch, DeValue::Boolean(is_on)) => Ok(Value::Switch(*is_on)),
            (Kind::Switch, _) => Err(wrong_type(at, value, "`true` or `false`")),
            (Kind::Count(least, most), found) => {
                let number = found
                    .as_integer()
                    .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
                let number = number.filter(|number| (least..=most).contains(&number));
                let expected = expected_count(*least, *most);
                number
                    .map(Value::Count)
                    .ok_or_else(|| wrong(at, value, &expected))
            }
            (Kind::Share, found) => (number_in(found).and_then(|text| share(&text)))
                .map(Value::Number)
                .ok_or_else(|| wrong(at, value, SHARE)),
            (Kind::Number(least, most), found) => (number_in(found))
                .and_then(|text| number(&text, *least, *most))
                .map(Value::Number)
                .ok_or_else(|| wrong(at, value, &expected_number(*least, *most))),
            (Kind::Sources | Kind::Texts | Kind::AnyOf(_), _) => {
                return self.words(key, at, value);
            }
            (Kind::Flag(flag), _) if flag.is_list => return self.words(key, at, value),
            // A number without a unit is a number; what it lacks is said.
            (Kind::Flag(_), DeValue::Integer(_) | DeValue::Float(_)) => {
                let text = number_in(value.get_ref()).unwrap_or_default();
                word_of(&key.kind, &text).map_err(|why| format!("`{at}`: {why}"))
            }
            (kind, DeValue::String(text)) => {
                word_of(kind, text).map_err(|why| format!("`{at}`: {why}"))
            }
            _ => Err(wrong_type(at, value, "text")),
        };
        read.map_err(|what| self.problem(value.span(), what)).ok()
    }

    /// One word or a list of them; of labels also a table.
    fn words(&mut self, key: &Key, at: &str, value: &Found<'_>) -> Option<Value> {
        if let (Some(table), Kind::Flag(_)) = (value.get_ref().as_table(), &key.kind) {
            let pairs = table.iter().map(|(name, value)| {
                let value = value.get_ref().as_str()?;
                Some(format!("{}={value}", name.get_ref()))
            });
            let pairs: Option<Vec<String>> = pairs.collect();
            let read = match &pairs {
                Some(pairs) => pairs
                    .iter()
                    .try_for_each(|pair| word_of(&key.kind, pair).map(drop)),
                None => Err("expected a table of texts".to_owned()),
            };
            return match read {
                Ok(()) => pairs.map(Value::Texts),
                Err(why) => {
                    self.problem(value.span(), format!("`{at}`: {why}"));
                    None
                }
            };
        }
        let one = std::slice::from_ref(value);
        let list = (value.get_ref().as_array()).map_or(one, |list| &list[..]);
        let mut words = Some(Vec::new());
        for value in list {
            let text = match (&key.kind, value.get_ref()) {
                (Kind::Flag(_), found) if number_in(found).is_some() => number_in(found),
                (_, found) => found.as_str().map(str::to_owned),
            };
            let read = match text {
                None => Err(wrong_type(at, value, "text")),
                Some(text) => word_of(&key.kind, &text).map_err(|why| format!("`{at}`: {why}")),
            };
            match (read, &mut words) {
                (Ok(Value::Text(word)), Some(words)) => words.push(word),
                (Ok(_), _) => {}
                (Err(what), _) => {
                    self.problem(value.span(), what);
                    words = None;
                }
            }
        }
        words.map(Value::Texts)
    }

    fn places(&mut self, at: &str, value: &Found<'_>) {
        for (key, value) in self.as_table(at, value).into_iter().flatten() {
            let zone = match zones::find(key.get_ref()) {
                Ok(zone) => zone.zone,
                Err(unknown) => {
                    let what = format!("`{at}`: {unknown}; {}", unknown.hint());
                    self.problem(key.span(), what);
                    continue;
                }
            };
            let at = format!("{at}.{zone}");
            let read = match value.get_ref().as_str() {
                Some(text) => place(text).map_err(|why| format!("`{at}`: {why}")),
                None => Err(wrong_type(&at, value, "text")),
            };
            match read {
                Ok(place) => self.keep(at, value.span(), Value::Text(place)),
                Err(what) => self.problem(value.span(), what),
            }
        }
    }

    fn as_table<'v, 'i>(&mut self, at: &str, value: &'v Found<'i>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let what = wrong_type(at, value, &format!("a table: `[{at}]`"));
            self.problem(value.span(), what);
        }
        table
    }

    fn unknown(&mut self, above: &str, name: &Written<'_>) {
        let text = name.get_ref().as_ref();
        let known = names_in(above);
        let elsewhere = keys()
            .iter()
            .find(|key| key.name() == text && !key.path.contains("[]"));
        let near = parse::nearest(text, known.iter().copied());
        let hint = match (near, elsewhere) {
            (None, Some(key)) => format!("did you mean `{}`?", key.path),
            _ => nearest(text, &known),
        };
        let above = above.replace("[]", "");
        let what = format!("`{above}{}` is not a key; {hint}", text.escape_debug());
        self.problem(name.span(), what);
    }
}

/// Whether keys stand below this path, and whether in a list of tables.
fn is_table(path: &str) -> Option<bool> {
    let below = |start: String| keys().iter().any(|key| key.path.starts_with(&start));
    match (below(format!("{path}.")), below(format!("{path}[]."))) {
        (true, _) => Some(false),
        (_, true) => Some(true),
        _ => None,
    }
}

/// The names that stand in a table, each once, in their order.
fn names_in(above: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for key in keys() {
        let Some(rest) = key.path.strip_prefix(above) else {
            continue;
        };
        let name = rest.split(['.', '[']).next().unwrap_or(rest);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if above.is_empty() {
        names.push("profile");
    }
    names
}

/// A number as it is written, without what only helps to read it.
fn number_in(found: &DeValue<'_>) -> Option<String> {
    match found {
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        _ => None,
    }
}

/// A value is told by its type alone: it may be a key.
fn wrong_type(at: &str, value: &Found<'_>, expected: &str) -> String {
    let found = value.get_ref().type_str();
    format!("`{at}` is of type {found}; expected {expected}")
}

/// A number that cannot be, quoted; or something that is none.
fn wrong(at: &str, value: &Found<'_>, expected: &str) -> String {
    let number = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return wrong_type(at, value, expected),
    };
    format!("`{at}` is {number}; expected {expected}")
}

/// What was meant, or all that there is.
pub(super) fn nearest(name: &str, known: &[&str]) -> String {
    match parse::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.len() > LISTED => "`catrain config init --print` lists all".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}
