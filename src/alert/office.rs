//! Delivers what is due: one message at a time over each channel, by the resilient caller.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::letter::{Alert, Letter, Owner};
use super::letters::Letters;
use super::message::Message;
use super::settings::{By, Channel};
use super::{email, slack, webhook};
use crate::caller::{Caller, Parcel, Poster, Undelivered, host_of};
use crate::clock::utc_now;

/// Gives the keys of channels. May block.
pub trait Keys {
    /// That of a channel; none where nobody has set one.
    ///
    /// # Errors
    /// There is one that cannot be used, in words.
    fn key(&self, channel: &Channel) -> Result<Option<SecretString>, String>;
}

/// Why something was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unsent {
    /// In words, without a secret.
    pub why: String,
    /// What to do about it, where there is something.
    pub hint: Option<String>,
}

/// Says whether somebody who once claimed a letter still lives.
pub type IsAlive = Box<dyn Fn(&Owner) -> bool + Send>;

/// Everything that delivering takes.
pub struct Office {
    caller: Caller,
    poster: Poster,
    keys: Box<dyn Keys + Send>,
    /// What is not delivered yet.
    pub letters: Letters,
    /// Who we are.
    pub owner: Owner,
    /// Whether others still live.
    pub is_alive: IsAlive,
    /// Those that are being sent, by channel.
    claimed: RefCell<BTreeMap<String, Vec<Letter>>>,
    /// Set once no more is to be begun.
    closes: Cell<bool>,
}

/// What came of delivering over one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many letters got there.
    pub delivered: usize,
    /// Why the next did not.
    pub failure: Option<Unsent>,
}

impl Office {
    /// One that has sent nothing yet.
    pub fn new(
        caller: Caller,
        poster: Poster,
        keys: Box<dyn Keys + Send>,
        letters: Letters,
        owner: Owner,
        is_alive: IsAlive,
    ) -> Self {
        Self {
            caller,
            poster,
            keys,
            letters,
            owner,
            is_alive,
            claimed: RefCell::default(),
            closes: Cell::new(false),
        }
    }

    /// Sends what is due over a channel until nothing is, or something fails. Where the channel
    /// `is_well`, or turns out to be, dead letters are due as well.
    pub async fn deliver(&self, channel: &Channel, mut is_well: bool) -> Outcome {
        let mut outcome = Outcome::default();
        while !self.closes.get() {
            let letters = self.claim(channel, is_well).await;
            let Some(message) = Message::of(letters.iter().map(|letter| &letter.alert)) else {
                break;
            };
            let sent = self.send(channel, &message).await;
            let why = sent.as_ref().err().map(|unsent| unsent.why.clone());
            let count = letters.len();
            // What has arrived is given up by nobody, what has not may be until that is written.
            if sent.is_ok() {
                self.claimed.borrow_mut().remove(&channel.name);
            }
            let settled = self.letters.settle(letters, why.as_deref(), utc_now());
            settled.await;
            self.claimed.borrow_mut().remove(&channel.name);
            match sent {
                Ok(()) => {
                    is_well = true;
                    outcome.delivered += count;
                }
                Err(unsent) => {
                    outcome.failure = Some(unsent);
                    break;
                }
            }
        }
        outcome
    }

    async fn claim(&self, channel: &Channel, is_well: bool) -> Vec<Letter> {
        let (name, now) = (&channel.name, utc_now());
        let claimed = (self.letters).claim(name, now, is_well, &self.owner, &self.is_alive);
        let letters = claimed.await;
        (self.claimed.borrow_mut()).insert(name.clone(), letters.clone());
        letters
    }

    /// Begins nothing more. What is under way is given up: whoever was sent it has not said that it
    /// has arrived.
    pub async fn close(&self, why: &str) {
        self.closes.set(true);
        let claimed = std::mem::take(&mut *self.claimed.borrow_mut());
        for letters in claimed.into_values().filter(|letters| !letters.is_empty()) {
            self.letters.settle(letters, Some(why), utc_now()).await;
        }
    }

    /// Sends one message over a channel.
    ///
    /// # Errors
    /// It is not delivered, as far as anybody can tell.
    pub async fn send(&self, channel: &Channel, message: &Message<'_>) -> Result<(), Unsent> {
        let name = channel.called();
        let key = self.keys.key(channel).map_err(|why| Unsent {
            why: format!("{name}: {why}"),
            hint: None,
        })?;
        let delivered = match &channel.by {
            By::Webhook { url } => {
                let url = url.expose_secret();
                let body = webhook::body(message);
                let attempt = async || {
                    let mut headers = vec![(webhook::DELIVERY, message.id.to_owned())];
                    if let Some(key) = &key {
                        let signed = webhook::signature(key, utc_now(), &body);
                        headers.push((webhook::SIGNATURE, signed));
                    }
                    self.post(&name, url, headers, &body, false).await
                };
                self.caller.deliver(&name, &host_of(url), attempt).await
            }
            By::Slack { url } => {
                let Some(url) = url.as_ref().or(key.as_ref()) else {
                    return Err(Unsent {
                        why: format!("{name} has no URL"),
                        hint: Some(format!(
                            "set `url`, or its key: {}",
                            variable(&channel.key_name())
                        )),
                    });
                };
                let url = url.expose_secret();
                let body = slack::body(message);
                let attempt = async || self.post(&name, url, Vec::new(), &body, true).await;
                self.caller.deliver(&name, &host_of(url), attempt).await
            }
            By::Email(set) => {
                let attempt =
                    async || email::send(&name, set, key.as_ref(), message, utc_now()).await;
                self.caller.deliver(&name, &set.host, attempt).await
            }
        };
        delivered.map_err(|error| Unsent {
            hint: hint(channel, &error),
            why: error.to_string(),
        })
    }

    async fn post(
        &self,
        name: &str,
        url: &str,
        headers: Vec<(&'static str, String)>,
        body: &str,
        says_why: bool,
    ) -> Result<(), Undelivered> {
        let parcel = Parcel {
            name,
            url,
            headers,
            body,
            says_why,
        };
        self.poster.post(&parcel).await
    }
}

/// What to do about it, in the words of alerts.
fn hint(channel: &Channel, error: &crate::caller::CallError) -> Option<String> {
    use crate::caller::CallError;
    use crate::caller::wire::Refused;
    Some(match error {
        CallError::Offline { .. } => "leave out --offline".to_owned(),
        CallError::KeyMissing { .. } => {
            format!("set its password: {}", variable(&channel.key_name()))
        }
        CallError::BaseUrl { .. } => "expected `https://HOST/PATH`".to_owned(),
        CallError::Refused {
            why: Refused::KeyWrong(_),
            ..
        } => "look at its user and its password".to_owned(),
        CallError::Elsewhere { .. } => "set `url` to where it points, if you trust that".to_owned(),
        CallError::NoClient { .. } => {
            "install ca-certificates, or set SSL_CERT_FILE or `ca_file`".to_owned()
        }
        _ => return None,
    })
}

/// The variable that holds a key.
fn variable(key_name: &str) -> String {
    let capitals = key_name.to_ascii_uppercase().replace('-', "_");
    format!("CATRAIN_{capitals}_KEY, or `key_file`")
}

/// Whether a channel takes an alert.
pub fn takes(channel: &Channel, alert: &Alert) -> bool {
    let is_over = alert.state == super::letter::State::Recovered;
    let by_rule = (channel.takes.as_ref()).is_none_or(|rules| rules.contains(&alert.rule));
    by_rule && (channel.recovery || !is_over)
}
