//! One ask on its way to a provider: through the limits of `gate`, again where that may help, with
//! what has to come with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tracing::debug;

use super::gate::{Efforts, Gate};
use super::limits::{Breaker, Bucket, Counters, Resilience, Timeouts, retry_after};
use super::transport::{Arrived, Broken, Carried};
use super::url::url_of;
use super::wire::{Answer, Ask, Class, Credential, Refused, Said};
use super::{CallError, Caller, To, lock};
use crate::keys::known;

/// The way to one provider at one base URL.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<State>,
    pub(super) at_once: Option<Semaphore>,
    pub(super) present: AtomicUsize,
    token: tokio::sync::Mutex<Option<Pass>>,
}

#[derive(Debug)]
pub(super) struct State {
    /// The key was good at least once.
    key_worked: bool,
    pub(super) bucket: Option<Bucket>,
    pub(super) breaker: Option<Breaker>,
    /// When an answer was last understood.
    pub(super) last_good: Option<Timestamp>,
    /// Requests without any answer since the last one.
    pub(super) unanswered: u64,
    pub(super) timeouts: Option<Timeouts>,
    pub(super) counters: Counters,
}

/// A token in use.
#[derive(Debug)]
struct Pass {
    secret: SecretString,
    /// Whose it is: another key needs another token.
    key: SecretString,
    until: Duration,
}

impl Line {
    pub(super) fn new(resilience: &Resilience, now: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                key_worked: false,
                bucket: resilience.bucket.map(|pace| Bucket::new(pace, now)),
                breaker: resilience.breaker.map(Breaker::new),
                last_good: None,
                unanswered: 0,
                timeouts: resilience.timeout.map(Timeouts::new),
                counters: Counters::default(),
            }),
            at_once: resilience.bulkhead.map(|it| Semaphore::new(it.at_once)),
            present: AtomicUsize::new(0),
            token: tokio::sync::Mutex::new(None),
        }
    }

    /// Never held while something is waited for.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn count(&self, what: impl FnOnce(&mut Counters)) {
        what(&mut self.state().counters);
    }
}

/// Somebody who is there as long as this lives.
pub(super) struct Presence<'a>(pub(super) &'a AtomicUsize);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer and when it arrived.
pub(super) struct Timed {
    pub(super) at: Timestamp,
    pub(super) arrived: Arrived,
}

impl Timed {
    fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.arrived.status,
            content_type: self.arrived.content_type.as_deref(),
            retry_after: self.arrived.retry_after.as_deref(),
            body: &self.arrived.body,
            at: self.at,
        }
    }
}

/// An error, and the wait that came with it as `Retry-After`.
type Failed = (CallError, Option<Duration>);

/// Everything one ask needs on its way out.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) caller: &'a Caller,
    pub(super) to: &'a To<'a>,
    pub(super) line: &'a Line,
}

impl Way<'_> {
    /// Asks until there is an answer or it is given up.
    pub(super) async fn ask(&self, ask: &Ask, url: &Url) -> Result<(Timed, Said), CallError> {
        let mut efforts = Efforts::new(&self.caller.resilience);
        loop {
            let began = self.caller.world.monotonic();
            if efforts.so_far() > 0 {
                self.line.count(|counters| counters.retries += 1);
            }
            let mut used = None;
            let read = |answer: &Answer<'_>| self.to.understand(ask, answer);
            let outcome = match self.carried(ask, &mut efforts.left).await {
                Ok(carried) => {
                    let carried = used.insert(carried);
                    self.once(url, carried, &mut efforts.left, read).await
                }
                Err(failed) => Err(failed),
            };
            self.log(ask, efforts.so_far(), began, &outcome);
            let (error, told) = match outcome {
                Ok(good) => {
                    self.line.state().key_worked |= ask.credential != Credential::None;
                    return Ok(good);
                }
                Err(failed) => failed,
            };
            let class = self.class(&error);
            let name = self.to.provider.name();
            let Some(error) = efforts.failed(name, class, error, told).await? else {
                continue;
            };
            match (self.to.provider.login(), used) {
                (Some(_), Some(used)) => self.forget(&used).await,
                _ => return Err(error),
            }
        }
    }

    /// One attempt, with the waits for our own limits.
    fn log(
        &self,
        ask: &Ask,
        before: u32,
        began: Duration,
        outcome: &Result<(Timed, Said), Failed>,
    ) {
        let took = self.caller.world.monotonic().saturating_sub(began);
        let (duration_ms, attempt) = (took.as_millis() as u64, before + 1);
        let (source, what) = (self.to.provider.name(), ask.what);
        match outcome {
            Ok((timed, _)) => debug!(
                source,
                what,
                attempt,
                outcome = "good",
                status = timed.arrived.status,
                bytes = timed.arrived.body.len() as u64,
                duration_ms,
                "called"
            ),
            Err((error, _)) => debug!(
                source,
                what,
                attempt,
                outcome = error.outcome(),
                category = error.category().as_str(),
                duration_ms,
                why = %error,
                "called in vain"
            ),
        }
    }

    /// What follows from an error. A key that worked a while ago and is refused is tried once more:
    /// one interface refuses good keys that come too often.
    fn class(&self, error: &CallError) -> Class {
        match error.is_refused_key() && self.line.state().key_worked {
            true => Class::RetryOnce,
            false => error.class(),
        }
    }

    /// Asks once, and tells the limits what came of it. With an error comes what `Retry-After` said.
    async fn once<T>(
        &self,
        url: &Url,
        carried: &Carried,
        left: &mut Duration,
        read: impl FnOnce(&Answer<'_>) -> Result<T, Refused>,
    ) -> Result<(Timed, T), Failed> {
        let timed = self.exchange(url, carried, left).await;
        let mut told = None;
        let outcome = timed.and_then(|timed| match read(&timed.answer()) {
            Ok(read) => Ok((timed, read)),
            Err(why) => {
                let text = timed.arrived.retry_after.as_deref();
                told = text.and_then(|text| retry_after(text, timed.at));
                Err(CallError::Refused {
                    provider: self.to.name(),
                    status: timed.arrived.status,
                    content_type: timed.arrived.content_type,
                    why,
                })
            }
        });
        self.gate().ended(outcome.as_ref().err(), told);
        outcome.map_err(|error| (error, told))
    }

    /// One request through all limits.
    async fn exchange(
        &self,
        url: &Url,
        carried: &Carried,
        left: &mut Duration,
    ) -> Result<Timed, CallError> {
        let world = &self.caller.world;
        let exchange = async {
            let mut arrived = (world.get(url, carried).await)
                .map_err(|broken| error_of(broken, self.to.provider.name(), url))?;
            carried.blot(&mut arrived.body);
            Ok(arrived)
        };
        let arrived = self.gate().pass(left, exchange).await?;
        self.line
            .count(|counters| counters.bytes += arrived.body.len() as u64);
        let at = world.utc();
        Ok(Timed { at, arrived })
    }

    fn gate(&self) -> Gate<'_> {
        Gate {
            caller: self.caller,
            name: self.to.provider.name(),
            line: self.line,
        }
    }

    /// What has to come with an ask: the key, or a token that is had for it first.
    async fn carried(&self, ask: &Ask, left: &mut Duration) -> Result<Carried, Failed> {
        if ask.credential == Credential::None {
            return Ok(Carried::Nothing);
        }
        let missing = || {
            let provider = self.to.name();
            (CallError::KeyMissing { provider }, None)
        };
        let key = self.to.key.ok_or_else(missing)?;
        let login = match ask.credential {
            Credential::Header(name) => return Ok(Carried::Header(name, key.clone())),
            Credential::Basic => return Ok(Carried::Basic(key.clone())),
            Credential::Token | Credential::None => self.to.provider.login().ok_or_else(missing)?,
        };
        // Held over the login: those who come meanwhile use its token.
        let mut pass = self.line.token.lock().await;
        if let Some(pass) = &*pass
            && self.caller.world.monotonic() < pass.until
            && pass.key.expose_secret() == key.expose_secret()
        {
            return Ok(Carried::Bearer(pass.secret.clone()));
        }
        let login_ask = login.ask();
        let url = url_of(self.to, &login_ask).map_err(|error| (error, None))?;
        self.line.count(|counters| counters.logins += 1);
        let basic = Carried::Basic(key.clone());
        let read = |answer: &Answer<'_>| login.token(answer);
        let (_, token) = self.once(&url, &basic, left, read).await?;
        *pass = Some(Pass {
            secret: token.secret.clone(),
            key: key.clone(),
            until: self.caller.world.monotonic() + token.lasts,
        });
        known::remember(&token.secret);
        Ok(Carried::Bearer(token.secret))
    }

    /// The token that was just used is over; one that another has fetched meanwhile is not.
    async fn forget(&self, used: &Carried) {
        let mut pass = self.line.token.lock().await;
        if let (Some(held), Carried::Bearer(used)) = (&*pass, used)
            && held.secret.expose_secret() == used.expose_secret()
        {
            *pass = None;
        }
    }
}

/// Why there is no answer from the service of this name at a URL.
pub(super) fn error_of(broken: Broken, name: &str, url: &Url) -> CallError {
    let provider = name.to_owned();
    match broken {
        Broken::NoClient(why) => CallError::NoClient { provider, why },
        Broken::Unreachable(why) => CallError::Unreachable {
            provider,
            host: url.host_str().unwrap_or_default().to_owned(),
            why,
        },
        Broken::TooLarge(limit) => CallError::TooLarge { provider, limit },
        Broken::Elsewhere(target) => CallError::Elsewhere { provider, target },
        Broken::KeyUnusable => CallError::KeyUnusable { provider },
    }
}
