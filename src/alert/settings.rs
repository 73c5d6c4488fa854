//! What is configured of alerts. Pure data; without a channel there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::quiet::Quiet;
use super::rule::Rule;
use crate::forecast::Kind;
use crate::units::GramsPerKwh;

/// Everything that is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where alerts go.
    pub channels: Vec<Channel>,
    /// When there is one.
    pub rules: Rules,
    /// How long what comes together is waited for.
    pub gather: Duration,
    /// When what can wait waits.
    pub quiet: Option<Quiet>,
    /// What does not wait even then.
    pub urgent: BTreeSet<Rule>,
    /// How long the end of a run waits for what is still under way.
    pub flush: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let urgent = Rule::ALL
            .into_iter()
            .filter(|rule| rule.is_usually_urgent());
        Self {
            channels: Vec::new(),
            rules: Rules::default(),
            gather: Duration::from_secs(5),
            quiet: None,
            urgent: urgent.collect(),
            flush: Duration::from_secs(3),
        }
    }
}

/// When there is something to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Those that are looked at.
    pub on: BTreeSet<Rule>,
    /// How long nothing more is told of a rule, where it is not the usual time.
    pub cool_down: BTreeMap<Rule, Duration>,
    /// A deadline is at risk with less than this to spare.
    pub deadline_margin: Duration,
    /// An intensity that is too high, if any.
    pub above: Option<GramsPerKwh>,
    /// An intensity that is worth knowing of, if any.
    pub below: Option<GramsPerKwh>,
    /// For how long it has to be above or below.
    pub intensity_for: Duration,
    /// The best kind of intensities that is bad enough.
    pub degraded_to: Kind,
    /// For how long they have to be so bad.
    pub degraded_for: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            on: Rule::ALL.into_iter().collect(),
            cool_down: BTreeMap::new(),
            deadline_margin: Duration::from_mins(10),
            above: None,
            below: None,
            intensity_for: Duration::from_mins(30),
            degraded_to: Kind::Profile,
            degraded_for: Duration::from_mins(5),
        }
    }
}

impl Rules {
    /// How long nothing more is told of a rule.
    pub fn cool_down(&self, rule: Rule) -> Duration {
        let set = self.cool_down.get(&rule).copied();
        set.unwrap_or_else(|| rule.usual_cool_down())
    }
}

/// Somewhere alerts go.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name, of small letters, digits and `-`: part of the names of variables.
    pub name: String,
    /// What it takes; none: everything.
    pub takes: Option<BTreeSet<Rule>>,
    /// Whether it is told that something is over.
    pub recovery: bool,
    /// How it gets there.
    pub by: By,
}

impl Channel {
    /// What its key is kept and found by: `alert-ops`, thus `CATRAIN_ALERT_OPS_KEY`.
    pub fn key_name(&self) -> String {
        format!("alert-{}", self.name)
    }

    /// What it is called in messages: `webhook ops`.
    pub fn called(&self) -> String {
        format!("{} `{}`", self.by.name(), self.name)
    }
}

/// How an alert gets there.
#[derive(Clone, Debug)]
pub enum By {
    /// JSON by POST. The channel's key, where it has one, signs it.
    Webhook {
        /// Where to. It may be a secret.
        url: SecretString,
    },
    /// An incoming webhook of Slack's.
    Slack {
        /// Where to: a secret. None: it is the channel's key.
        url: Option<SecretString>,
    },
    /// A mail. The channel's key is the password.
    Email(Email),
}

impl By {
    /// In one word: `webhook`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Email(_) => "email",
        }
    }
}

/// A mail server, and whom to write to.
#[derive(Clone, Debug)]
pub struct Email {
    /// The server.
    pub host: String,
    /// Its port; none: that of its encryption.
    pub port: Option<u16>,
    /// How the connection is kept private.
    pub encryption: Encryption,
    /// As whom we log in; none: we do not.
    pub user: Option<String>,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// The certificates to trust, in PEM, in place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// From its beginning: port 465.
    Tls,
    /// By STARTTLS, without which nothing is sent: port 587.
    #[default]
    StartTls,
    /// Not at all, which is for loopback only: port 25.
    None,
}

impl Encryption {
    /// The usual port.
    pub fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}
