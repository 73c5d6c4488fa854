//! `catrain key`: sets, lists, rotates and removes the keys of sources, and of channels for alerts, in
//! the encrypted store.
//!
//! A key is typed or comes on standard input. What stands behind the name of a source, or in its
//! place, may be a key as well: it is refused without being repeated.

mod prompt;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::sys::prctl;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::cli::{KeyAction, KeyArgs, NewKeyArgs};
use crate::error::{Failure, Kind};
use crate::keys::{self, Configured, Facts, Form, Place, Store, StoreError};
use crate::log::audit;
use crate::report::text::harmless;
use crate::words::{Look, Paint, time};

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        Self::new(Kind::Failed, error).hint(hint)
    }
}

/// Does what was asked of the keys. `configured` tells what the configuration says of a source's;
/// `others` are the names of keys that are no source's: `alert-ops`.
///
/// # Errors
/// Wrong usage, a store that cannot be used, or nothing typed that could be a key.
pub fn run(
    args: &KeyArgs,
    others: &[String],
    configured: &dyn Fn(&str) -> Configured,
    look: Look,
    out: &mut dyn Write,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(), Failure> {
    // Neither a core dump nor another process of this user is to find a key in our memory. Where
    // the kernel does not let us, it stays as it was.
    let _ = prctl::set_dumpable(false);
    let store = Store::of_user().ok_or_else(super::no_state)?;
    let places = |source: &str| keys::places(source, &configured(source), &variable, Some(&store));
    let told = match &args.action {
        KeyAction::Set { new, passphrase } => audited(
            "key set",
            &new.name,
            others,
            source_of(new, others)
                .and_then(|source| set(&store, &source, *passphrase, &places, now)),
        )?,
        KeyAction::Rotate(new) => audited(
            "key rotate",
            &new.name,
            others,
            source_of(new, others).and_then(|source| rotate(&store, &source, &places, now)),
        )?,
        KeyAction::Remove { name } => audited(
            "key remove",
            name,
            others,
            known(name, others).and_then(|source| remove(&store, &source, &places)),
        )?,
        KeyAction::List { json } => {
            let rows = rows(&store, others, &places);
            return super::written(match json {
                true => document(rows, out),
                false => table(&rows, look, out, |at| time(at, now, zone)),
            });
        }
    };
    super::print(out, &format!("{}\n", look.text(&harmless(&told))))
}

/// Has it noted who changed a key, or has tried to. A name that is none of ours may be a key.
fn audited(
    what: &str,
    name: &str,
    others: &[String],
    act: Result<String, Failure>,
) -> Result<String, Failure> {
    let of = all(others).find(|known| *known == name);
    audit::own(what, of, act)
}

/// Every place that has something for a source.
type Places<'a> = &'a dyn Fn(&str) -> Vec<Place>;

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

fn set(
    store: &Store,
    source: &str,
    with_passphrase: bool,
    places: Places<'_>,
    now: Timestamp,
) -> Result<String, Failure> {
    let from_environment = keys::passphrase(&variable);
    let must_ask = with_passphrase && from_environment.is_none();
    if must_ask && !prompt::can_ask() {
        let what = "a passphrase is asked for on a terminal only";
        return Err(Failure::usage(what).hint(format!("or set {}", keys::PASSPHRASE)));
    }
    let key = new_key(source)?;
    let passphrase = match must_ask {
        true => Some(new_passphrase()?),
        false => from_environment,
    };
    let version = store.set(source, &key, passphrase.as_ref(), now)?;
    let sealed = match passphrase {
        Some(_) => "the passphrase",
        None => "the key file beside it",
    };
    Ok(format!(
        "the key of {source} is kept as version {version}, sealed with {sealed}{}",
        outranked(&places(source))
    ))
}

fn rotate(
    store: &Store,
    source: &str,
    places: Places<'_>,
    now: Timestamp,
) -> Result<String, Failure> {
    let not_stored = || StoreError::NotStored(source.to_owned());
    let facts = store.facts(source)?.ok_or_else(not_stored)?;
    let passphrase = match keys::passphrase(&variable) {
        None if facts.needs_passphrase && prompt::can_ask() => {
            Some(typed_passphrase("passphrase")?)
        }
        passphrase => passphrase,
    };
    // Before anybody types a new key in vain.
    store.get(source, passphrase.as_ref())?;
    let key = new_key(source)?;
    let version = store.rotate(source, &key, passphrase.as_ref(), now)?;
    Ok(format!(
        "the key of {source} is version {version} now; the one before it is kept, to be tried once \
         should this one be refused{}",
        outranked(&places(source))
    ))
}

fn remove(store: &Store, source: &str, places: Places<'_>) -> Result<String, Failure> {
    let was_there = store.remove(source)?;
    let left: Vec<String> = places(source).iter().map(Place::to_string).collect();
    let still = match left.as_slice() {
        [] => format!("{source} has no key now"),
        left => format!("there still is one in {}", left.join(" and in ")),
    };
    if !was_there {
        let none = StoreError::NotStored(source.to_owned());
        return Err(Failure::new(Kind::Failed, none).hint(still));
    }
    Ok(format!("the key of {source} is forgotten; {still}"))
}

/// What comes before the store, as the end of a sentence.
fn outranked(places: &[Place]) -> String {
    match places.first() {
        None | Some(Place::Store) => String::new(),
        Some(first) => format!("; it is not used as long as there is one in {first}"),
    }
}

/// The source whose key is to be read, unless the key stands there itself.
fn source_of(new: &NewKeyArgs, others: &[String]) -> Result<String, Failure> {
    if !new.surplus.is_empty() {
        let what = "a key is not given as an argument: every user of this machine could see it";
        let hint =
            "type it when asked, or give it on standard input; if that was a key, replace it";
        return Err(Failure::usage(what).hint(hint));
    }
    known(&new.name, others)
}

/// All that there are keys of.
fn all(others: &[String]) -> impl Iterator<Item = &str> {
    let sources = keys::keyed().map(|source| -> &str { source });
    sources.chain(others.iter().map(String::as_str))
}

/// The source of that name, if it takes a key. A name that is like none of ours is not repeated: it
/// may be a key.
fn known(name: &str, others: &[String]) -> Result<String, Failure> {
    if let Some(source) = all(others).find(|source| *source == name) {
        return Ok(source.to_owned());
    }
    if keys::form(name).is_some() {
        return Err(Failure::usage(format!("{name} needs no key")));
    }
    let keyed = all(others).collect::<Vec<_>>().join(" and ");
    let takes = format!("keys are kept for {keyed}");
    Err(match keys::nearest(name) {
        Some(near) => Failure::usage(format!("unknown source `{name}`"))
            .hint(format!("did you mean `{near}`?"))
            .hint(takes),
        None => Failure::usage("there is no source of that name").hint(takes),
    })
}

fn new_key(source: &str) -> Result<SecretString, Failure> {
    let form = match keys::form(source) {
        Some(Form::UserAndPassword) => "USER:PASSWORD",
        _ => "key",
    };
    let bytes = prompt::read(&format!("{form} for {source}")).map_err(unread)?;
    keys::key_of(source, &bytes).map_err(|why| {
        let what = anyhow::anyhow!("this is no key of {source}: {why}");
        Failure::new(Kind::Failed, what).hint("nothing was changed")
    })
}

/// A passphrase, typed twice: a slip of the finger would lock the key in.
fn new_passphrase() -> Result<SecretString, Failure> {
    let once = typed_passphrase("new passphrase")?;
    let again = typed_passphrase("the same again")?;
    match once.expose_secret() == again.expose_secret() {
        true => Ok(once),
        false => Err(
            Failure::new(Kind::Failed, anyhow::anyhow!("the two passphrases differ"))
                .hint("nothing was changed"),
        ),
    }
}

fn typed_passphrase(what: &str) -> Result<SecretString, Failure> {
    let line = prompt::ask(what).map_err(unread)?;
    let text = String::from_utf8_lossy(&line);
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(Failure::new(
            Kind::Failed,
            anyhow::anyhow!("an empty passphrase seals nothing"),
        )
        .hint("nothing was changed")),
        passphrase => Ok(passphrase.into()),
    }
}

fn unread(error: io::Error) -> Failure {
    Failure::from(anyhow::Error::new(error).context("cannot read what is secret"))
}

/// One key in one place.
#[derive(Serialize)]
struct Row {
    source: String,
    place: &'static str,
    r#where: String,
    /// Whether it is the one that counts.
    is_used: bool,
    version: Option<u64>,
    set_at: Option<Timestamp>,
    has_previous: bool,
    needs_passphrase: bool,
    problem: Option<String>,
}

fn rows(store: &Store, others: &[String], places: Places<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for source in all(others) {
        for (index, place) in places(source).into_iter().enumerate() {
            let facts = match place {
                Place::Store => store.facts(source),
                _ => Ok(None),
            };
            let (facts, problem) = match facts {
                Ok(facts) => (facts, None),
                Err(error) => (None, Some(format!("{:#}", anyhow::Error::new(error)))),
            };
            let is = |fact: fn(&Facts) -> bool| facts.as_ref().is_some_and(fact);
            rows.push(Row {
                source: source.to_owned(),
                place: place.word(),
                r#where: place.to_string(),
                is_used: index == 0,
                has_previous: is(|facts| facts.has_previous),
                needs_passphrase: is(|facts| facts.needs_passphrase),
                version: facts.as_ref().map(|facts| facts.version),
                set_at: facts.map(|facts| facts.set_at),
                problem,
            });
        }
    }
    rows
}

fn table(
    rows: &[Row],
    look: Look,
    out: &mut dyn Write,
    time: impl Fn(Timestamp) -> String,
) -> io::Result<()> {
    if rows.is_empty() {
        let names = keys::keyed().collect::<Vec<_>>().join(", ");
        return writeln!(
            out,
            "no key is set; `catrain key set NAME` keeps one: {names}"
        );
    }
    let head = format!("{:16}  {:7}  {:16}  FROM", "SOURCE", "VERSION", "SET");
    writeln!(out, "{}", look.paint(Paint::Bold, &head))?;
    for row in rows {
        let version = row
            .version
            .map_or_else(String::new, |version| version.to_string());
        let set = row.set_at.map_or_else(String::new, &time);
        let more = [
            (row.needs_passphrase, "sealed with a passphrase"),
            (row.has_previous, "the key before it is kept"),
            (!row.is_used, "not used: the first one counts"),
        ];
        let mut from = row.r#where.clone();
        for (_, words) in more.iter().filter(|(applies, _)| *applies) {
            from.push_str("; ");
            from.push_str(words);
        }
        if let Some(problem) = &row.problem {
            from.push_str("; ");
            from.push_str(problem);
        }
        let from = look.text(&harmless(&from));
        writeln!(out, "{:16}  {version:7}  {set:16}  {from}", row.source)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    keys: Vec<Row>,
}

fn document(keys: Vec<Row>, out: &mut dyn Write) -> io::Result<()> {
    let schema = "catrain.keys/1";
    serde_json::to_writer_pretty(&mut *out, &Document { schema, keys })?;
    writeln!(out)
}
