//! `catrain alerts`: tries the channels out, and shows or sends what nobody took.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use serde_json::json;

use crate::alert::letter::{About, Alert, Owner, Standing, State};
use crate::alert::letters::{Letters, Pile};
use crate::alert::message::Message;
use crate::alert::new_id;
use crate::alert::office::{Keys, Office};
use crate::alert::rule::Rule;
use crate::alert::settings::{Channel, Settings};
use crate::alert::wording::Words;
use crate::caller::limits::Resilience;
use crate::caller::{Caller, Poster, block_on};
use crate::cli::{AlertsAction, AlertsArgs};
use crate::clock::{monotonic, utc_now};
use crate::config::Config;
use crate::config::alerts::settings;
use crate::error::{Failure, Kind};
use crate::executor::ProcId;
use crate::keys::{self, Configured, Store};
use crate::report::text::harmless;
use crate::surroundings::{boot_id, host};
use crate::words::{Look, Paint, time};

/// Does what was asked of alerts.
///
/// # Errors
/// There is no such channel, or something is not delivered.
pub fn run(
    args: &AlertsArgs,
    config: &Config,
    look: Look,
    out: &mut dyn Write,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let set = Set::of(config);
    match &args.action {
        AlertsAction::Test { channel, offline } => {
            let channels = chosen(&set.settings, channel.as_deref())?;
            let office = office(set.keys, config.resilience.clone(), *offline);
            test(&office, &channels, look, out)
        }
        AlertsAction::Retry { channel, offline } => {
            let channels = chosen(&set.settings, channel.as_deref())?;
            let office = office(set.keys, config.resilience.clone(), *offline);
            retry(&office, &channels, look, out)
        }
        AlertsAction::List { json } => {
            let letters = Letters::below(crate::dirs::state().as_deref());
            let pile = letters
                .pile()
                .map_err(|error| Failure::new(Kind::Failed, error))?;
            match json {
                true => super::print(out, &document(&pile)),
                false => super::print(out, &table(&pile, look, utc_now(), zone)),
            }
        }
    }
}

/// What is configured, and the keys of it.
pub(in crate::command) struct Set {
    pub(in crate::command) settings: Settings,
    pub(in crate::command) keys: ChannelKeys,
}

impl Set {
    /// As the configuration says.
    pub(in crate::command) fn of(config: &Config) -> Self {
        let (settings, configured) = settings(&config.values);
        Self {
            settings,
            keys: ChannelKeys {
                configured: configured.into_iter().collect(),
                found: RefCell::default(),
            },
        }
    }
}

impl Set {
    /// The names of the channels' keys.
    pub(in crate::command) fn key_names(&self) -> Vec<String> {
        (self.settings.channels.iter())
            .map(Channel::key_name)
            .collect()
    }

    /// What the configuration says of the key of this name, where it is a channel's.
    pub(in crate::command) fn configured_key(&self, name: &str) -> Option<Configured> {
        let mut channels = self.settings.channels.iter();
        let channel = channels.find(|channel| channel.key_name() == name)?;
        let set = self.keys.configured.get(&channel.name);
        Some(set.cloned().unwrap_or_default())
    }
}

/// The keys of channels: in the environment, by a command, in a file, or in the configuration itself.
#[derive(Debug, Default)]
pub(in crate::command) struct ChannelKeys {
    pub(in crate::command) configured: BTreeMap<String, Configured>,
    /// A command is not run for each message.
    found: RefCell<BTreeMap<String, SecretString>>,
}

impl Keys for ChannelKeys {
    fn key(&self, channel: &Channel) -> Result<Option<SecretString>, String> {
        if let Some(found) = self.found.borrow().get(&channel.name) {
            return Ok(Some(found.clone()));
        }
        let none = Configured::default();
        let configured = self.configured.get(&channel.name).unwrap_or(&none);
        let env = |name: &str| std::env::var_os(name);
        let store = Store::of_user();
        let found = keys::find(&channel.key_name(), configured, &env, store.as_ref());
        let found = found.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let key = found.map(|found| found.key);
        if let Some(key) = &key {
            (self.found.borrow_mut()).insert(channel.name.clone(), key.clone());
        }
        Ok(key)
    }
}

/// What delivers alerts of this process.
pub(in crate::command) fn office(
    keys: ChannelKeys,
    resilience: Resilience,
    offline: bool,
) -> Office {
    let bounds = resilience.bounds;
    let own = nix::unistd::getpid().as_raw();
    let me = Owner {
        host: host(),
        boot_id: boot_id(),
        pid: own,
        start_ticks: ProcId::of(own).map_or(0, |id| id.start_ticks),
    };
    let (host, boot_id) = (me.host.clone(), me.boot_id.clone());
    let is_alive = move |owner: &Owner| {
        // Of another host nobody here knows.
        let is_elsewhere = owner.host != host;
        let (pid, start_ticks) = (owner.pid, owner.start_ticks);
        let is_there = || ProcId { pid, start_ticks }.exists();
        is_elsewhere || (owner.boot_id == boot_id && is_there())
    };
    Office::new(
        Caller::new(resilience, None, offline),
        Poster::new(bounds),
        Box::new(keys),
        Letters::below(crate::dirs::state().as_deref()),
        me,
        Box::new(is_alive),
    )
}

/// The channels that are meant: one, or all.
fn chosen(settings: &Settings, name: Option<&str>) -> Result<Vec<Channel>, Failure> {
    let all = &settings.channels;
    let Some(name) = name else {
        return match all.is_empty() {
            true => Err(Failure::usage("no channel for alerts is configured")
                .hint("add [[alerts.webhook]], [[alerts.slack]] or [[alerts.email]] to your configuration")),
            false => Ok(all.clone()),
        };
    };
    let found = all.iter().find(|channel| channel.name == name);
    let names = || {
        let names: Vec<&str> = all.iter().map(|channel| channel.name.as_str()).collect();
        format!("there are: {}", names.join(", "))
    };
    match found {
        Some(channel) => Ok(vec![channel.clone()]),
        None => Err(Failure::usage(format!(
            "there is no channel `{}` for alerts",
            harmless(name)
        ))
        .hint(names())),
    }
}

fn test(
    office: &Office,
    channels: &[Channel],
    look: Look,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let alert = Alert {
        id: new_id(),
        // The least alarming; its state says that it is a test.
        rule: Rule::RunEnded,
        state: State::Test,
        at: utc_now(),
        run: About {
            host: host(),
            ..About::default()
        },
        words: Words {
            what: "this is a test of catrain's alerts".to_owned(),
            why: "somebody typed `catrain alerts test`; nothing is the matter".to_owned(),
            advice: String::new(),
        },
        similar: 0,
    };
    let message = Message::of([&alert]).expect("one alert makes a message");
    let mut failed = 0;
    for channel in channels {
        let began = monotonic();
        let sent = within_runtime(office.send(channel, &message))?;
        let took = monotonic().saturating_sub(began);
        let line = match sent {
            Ok(()) => good(channel, &format!("took it in {}", milliseconds(took)), look),
            Err(unsent) => {
                failed += 1;
                bad(&unsent.why, unsent.hint.as_deref(), look)
            }
        };
        super::print(out, &line)?;
    }
    outcome(failed, "did not take it")
}

fn retry(
    office: &Office,
    channels: &[Channel],
    look: Look,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut failed = 0;
    for channel in channels {
        // Whoever asks by hand does not want to wait for its time.
        let outcome = within_runtime(office.deliver(channel, true))?;
        let line = match (outcome.failure, outcome.delivered) {
            (Some(unsent), _) => {
                failed += 1;
                bad(&unsent.why, unsent.hint.as_deref(), look)
            }
            (None, 0) => good(channel, "has nothing waiting", look),
            (None, 1) => good(channel, "took 1 alert", look),
            (None, many) => good(channel, &format!("took {many} alerts"), look),
        };
        super::print(out, &line)?;
    }
    outcome(failed, "did not take what waits")
}

fn within_runtime<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    block_on(work).map_err(|error| Failure::new(Kind::Failed, error))
}

fn outcome(failed: usize, what: &'static str) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new(
            Kind::Failed,
            anyhow::anyhow!("1 channel {what}"),
        )),
        many => Err(Failure::new(
            Kind::Failed,
            anyhow::anyhow!("{many} channels {what}"),
        )),
    }
}

fn good(channel: &Channel, what: &str, look: Look) -> String {
    let sign = look.paint(Paint::Clean, "✓");
    look.text(&format!("{sign} {} {what}\n", channel.called()))
}

fn bad(why: &str, hint: Option<&str>, look: Look) -> String {
    let sign = look.paint(Paint::Dirty, "✗");
    let hint = hint.map_or(String::new(), |hint| format!("  hint: {hint}\n"));
    look.text(&format!("{sign} {}\n{hint}", harmless(why)))
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// A word on how far a letter is, and why.
fn standing(standing: &Standing) -> (&'static str, String) {
    match standing {
        Standing::Waiting => ("waiting", String::new()),
        Standing::Sending { .. } => ("sending", String::new()),
        Standing::Dead { why } => ("dead", why.clone()),
        Standing::Unknown => (
            "unknown",
            "its run was killed while it was sent: it may have arrived".to_owned(),
        ),
    }
}

fn document(pile: &Pile) -> String {
    let letters: Vec<_> = pile
        .letters
        .iter()
        .map(|letter| {
            let (state, why) = standing(&letter.standing);
            json!({
                "channel": letter.channel,
                "state": state,
                "why": (!why.is_empty()).then_some(why),
                "since": letter.since.to_string(),
                "not_before": letter.not_before.map(|at| at.to_string()),
                "tries": letter.tries,
                "alert": letter.alert.id,
                "rule": letter.alert.rule,
                "run": letter.alert.run.id,
                "title": letter.alert.title(),
            })
        })
        .collect();
    let document = json!({
        "schema": "catrain.letters/1",
        "letters": letters,
        "dropped": pile.dropped,
    });
    format!("{document:#}\n")
}

fn table(pile: &Pile, look: Look, now: Timestamp, zone: &TimeZone) -> String {
    let mut text = String::new();
    for letter in &pile.letters {
        let (state, why) = standing(&letter.standing);
        let at = time(letter.since, now, zone);
        let title = harmless(&letter.alert.title());
        let channel = harmless(&letter.channel);
        text.push_str(&format!("{at}  {channel:<12} {state:<8} {title}\n"));
        if !why.is_empty() {
            let tries = match letter.tries {
                0 => String::new(),
                1 => "tried once: ".to_owned(),
                many => format!("tried {many} times: "),
            };
            text.push_str(&format!("    {tries}{}\n", harmless(&why)));
        }
    }
    if pile.letters.is_empty() {
        text.push_str("nothing waits to be delivered\n");
    }
    if pile.dropped > 0 {
        let dropped = pile.dropped;
        text.push_str(&format!(
            "{dropped} were dropped: too old, or too many at once\n"
        ));
    }
    look.text(&text)
}
