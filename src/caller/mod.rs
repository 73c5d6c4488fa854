//! The one way to a provider: cache → bulkhead → rate → breaker → time-out → retry.
//!
//! [`Caller::ask`] carries out what [`wire`] says is to be asked, and gives back what the
//! provider makes of the answer. When and how long is decided by [`limits`], which does nothing
//! itself; what was heard is shared on disk, so that ten processes that want the same make one call.
//! One caller serves all providers of a process; each has limits of its own, and one that hangs or
//! fails slows no other.
//!
//! Whoever asks gives the future a runtime with I/O and timers; a thread without one uses
//! [`block_on`]. Dropping the future ends the call. Disk and certificates are read in threads that
//! are left behind when they hang.

mod cache;
mod error;
pub mod limits;
mod transport;
pub mod wire;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::words;
use cache::{Cache, Kept, Key, Turn};
pub use error::CallError;
use limits::{Breaker, Bucket, Counters, Next, Resilience, Timeouts, Tries, retry_after};
use transport::{Arrived, Broken, Carried, Network, World, is_loopback, off_thread};
use wire::{Answer, Ask, Class, Credential, Provider, Refused, Said};

/// How often to look whether another process has heard what we want to know.
const LOOK: Duration = Duration::from_millis(20);

/// Whom to ask, where and as whom.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// The provider.
    pub provider: &'a dyn Provider,
    /// Where it is asked: `https://HOST[/PATH]`.
    pub base_url: &'a str,
    /// The place, by the provider's own name.
    pub place: &'a str,
    /// The key; for [`Credential::Basic`] and [`Credential::Token`] `USER:PASSWORD`.
    pub key: Option<&'a SecretString>,
}

/// What a provider said, and how we know.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// What it said; what is worth knowing about the way is among the notes.
    pub said: Said,
    /// When the answer arrived, here or at the process that asked.
    pub at: Timestamp,
    /// Until when it saves a call.
    pub valid_until: Timestamp,
    /// How we know.
    pub by: By,
}

/// How an answer came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// We asked.
    Call,
    /// It had been asked for before.
    Cache,
    /// Another process asked at the same time.
    Sharing,
}

/// The way to all providers. Cheap to make: nothing is opened before the first ask.
#[derive(Debug)]
pub struct Caller {
    resilience: Resilience,
    cache: Option<Cache>,
    /// Set once it cannot be written there; what is there is still read.
    is_read_only: AtomicBool,
    /// Set once the disk hung; nothing is tried there again.
    is_hung: AtomicBool,
    world: Arc<dyn World>,
    is_offline: bool,
    lines: Mutex<BTreeMap<(String, String), Arc<Line>>>,
    notes: Mutex<Vec<String>>,
    /// Providers that were given up and those that came back, a sentence each.
    changes: Mutex<Vec<String>>,
}

/// The way to one provider at one base URL.
#[derive(Debug)]
struct Line {
    state: Mutex<State>,
    at_once: Option<Semaphore>,
    present: AtomicUsize,
    token: tokio::sync::Mutex<Option<Pass>>,
}

#[derive(Debug)]
struct State {
    /// The key was good at least once.
    key_worked: bool,
    bucket: Option<Bucket>,
    breaker: Option<Breaker>,
    timeouts: Option<Timeouts>,
    counters: Counters,
}

/// A token in use.
#[derive(Debug)]
struct Pass {
    secret: SecretString,
    /// Whose it is: another key needs another token.
    key: SecretString,
    until: Duration,
}

/// Somebody who is there as long as this lives.
struct Presence<'a>(&'a AtomicUsize);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Caller {
    /// A caller that keeps answers in `directory` (none: it keeps nothing). An `offline` one never
    /// opens a socket or looks up a name: it knows what is kept.
    pub fn new(resilience: Resilience, directory: Option<PathBuf>, offline: bool) -> Self {
        let network = Network::new(resilience.bounds);
        Self {
            is_offline: offline,
            ..Self::within(Arc::new(network), resilience, directory)
        }
    }

    /// A caller in a world of its own.
    fn within(world: Arc<dyn World>, resilience: Resilience, directory: Option<PathBuf>) -> Self {
        let cache = (resilience.cache.zip(directory))
            .map(|(keep, directory)| Cache::new(directory, keep, resilience.bounds.body));
        Self {
            cache,
            is_read_only: AtomicBool::new(false),
            is_hung: AtomicBool::new(false),
            world,
            is_offline: false,
            lines: Mutex::default(),
            notes: Mutex::default(),
            changes: Mutex::default(),
            resilience,
        }
    }

    /// Asks, or knows already.
    ///
    /// # Errors
    /// There is no answer that can be used.
    pub async fn ask(&self, to: &To<'_>, ask: &Ask) -> Result<Heard, CallError> {
        let url = url_of(to, ask)?;
        let line = self.line(to);
        line.count(|counters| counters.asks += 1);
        let key = Key::new(to.provider.name(), to.base_url, to.place, ask);
        let kept = self.read_disk(&key, Cache::get).await;
        if let Some(heard) = self.valid(to, ask, kept, By::Cache) {
            line.count(|counters| counters.cache_hits += 1);
            return Ok(heard);
        }
        if self.is_offline {
            let provider = to.name();
            return Err(CallError::Offline { provider });
        }
        self.heed(to, &line, &key).await?;
        let turn = match self.wait_for_turn(to, ask, &key).await {
            Turned::Heard(heard) => {
                line.count(|counters| {
                    counters.cache_hits += 1;
                    counters.shared += 1;
                });
                return Ok(heard);
            }
            Turned::Ours(turn) => turn,
        };
        let way = Way {
            caller: self,
            to,
            line: &line,
        };
        let (arrived, mut said) = match way.ask(ask, &url).await {
            Ok(good) => good,
            Err(error) => {
                if let CallError::Throttled { wait, .. } = error {
                    let until = self.world.utc() + signed(wait);
                    self.write_disk(&key, move |cache, key| cache.keep_away(key, until))
                        .await;
                }
                return Err(error);
            }
        };
        let at = arrived.at;
        let valid_until = at + signed(self.validity(to, &said, at));
        self.store(key, arrived, valid_until, turn).await;
        said.notes.append(&mut lock(&self.notes));
        Ok(Heard {
            said,
            at,
            valid_until,
            by: By::Call,
        })
    }

    /// Which providers were given up, or came back, since this was last asked: a sentence each.
    pub fn changes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.changes))
    }

    /// What happened so far, by provider and base URL.
    pub fn counters(&self) -> Vec<(String, String, Counters)> {
        (lock(&self.lines).iter())
            .map(|((name, base), line)| (name.clone(), base.clone(), line.state().counters))
            .collect()
    }

    /// The bounds of the time for which an answer saves a call.
    pub fn shortest_and_longest_validity(&self) -> (Duration, Duration) {
        self.resilience.cache.unwrap_or_default().validity
    }

    fn line(&self, to: &To<'_>) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        let key = (to.name(), to.base_url.to_owned());
        let line = lines
            .entry(key)
            .or_insert_with(|| Arc::new(Line::new(&self.resilience, self.world.monotonic())));
        Arc::clone(line)
    }

    /// What was kept and saves a call, if it does.
    fn valid(&self, to: &To<'_>, ask: &Ask, kept: Option<Kept>, by: By) -> Option<Heard> {
        let kept = kept.filter(|kept| kept.is_valid(self.world.utc()))?;
        self.read(to, ask, &kept, by)
    }

    fn read(&self, to: &To<'_>, ask: &Ask, kept: &Kept, by: By) -> Option<Heard> {
        // A newer version of us may understand less: then it is asked for again.
        let mut said = to.understand(ask, &kept.answer()).ok()?;
        said.notes.append(&mut lock(&self.notes));
        let (at, valid_until) = (kept.at, kept.valid_until);
        Some(Heard {
            said,
            at,
            valid_until,
            by,
        })
    }

    /// What another process was told: not to ask for a while.
    async fn heed(&self, to: &To<'_>, line: &Line, key: &Key) -> Result<(), CallError> {
        let now = self.world.utc();
        let wait = self.read_disk(key, move |cache, key| cache.away_for(key, now));
        let Some(wait) = wait.await else {
            return Ok(());
        };
        let mut state = line.state();
        if wait > self.resilience.bounds.waits {
            state.counters.refused_by_limits += 1;
            let provider = to.name();
            return Err(CallError::Throttled { provider, wait });
        }
        if let Some(bucket) = &mut state.bucket {
            bucket.keep_away(self.world.monotonic(), wait);
        }
        Ok(())
    }

    /// Waits while another process asks the same: for its answer, or for too long.
    async fn wait_for_turn(&self, to: &To<'_>, ask: &Ask, key: &Key) -> Turned {
        let Some(cache) = &self.cache else {
            return Turned::Ours(None);
        };
        let give_up = self.world.monotonic() + cache.keep().share;
        let mut by = By::Cache;
        loop {
            let turn = self.write_disk(key, |cache, key| {
                let turn = cache.turn(key)?;
                // It may have been kept between our look and our turn.
                let kept = turn.is_some().then(|| cache.get(key)).flatten();
                Ok((turn, kept))
            });
            match turn.await {
                None => return Turned::Ours(None),
                Some((Some(turn), kept)) => {
                    return match self.valid(to, ask, kept, by) {
                        Some(heard) => Turned::Heard(heard),
                        None => Turned::Ours(Some(turn)),
                    };
                }
                Some((None, _)) if self.world.monotonic() >= give_up => return Turned::Ours(None),
                Some((None, _)) => {
                    by = By::Sharing;
                    sleep(LOOK + LOOK.mul_f64(fastrand::f64())).await;
                }
            }
        }
    }

    /// For how long an answer saves a call, kept or not.
    fn validity(&self, to: &To<'_>, said: &Said, at: Timestamp) -> Duration {
        let age = said.issue.as_ref().and_then(|issue| {
            let age = at.duration_since(issue.issued_at);
            Duration::try_from(age).ok()
        });
        let keep = self.resilience.cache.unwrap_or_default();
        keep.validity(to.provider.offers().cadence, age, fastrand::f64())
    }

    async fn store(&self, key: Key, arrived: Timed, valid_until: Timestamp, turn: Option<Turn>) {
        if self.cache.is_none() {
            return;
        }
        let Timed { at, arrived } = arrived;
        let kept = Kept {
            status: arrived.status,
            content_type: arrived.content_type,
            body: arrived.body,
            at,
            valid_until,
        };
        self.write_disk(&key, move |cache, key| {
            let put = cache.put(key, &kept, at);
            // Only now may others look.
            drop(turn);
            put
        })
        .await;
    }

    /// Reads from the cache, if there is one that answers.
    async fn read_disk<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl FnOnce(&Cache, &Key) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let (cache, key) = (self.cache.clone()?, key.clone());
        if self.is_hung.load(Ordering::Relaxed) {
            return None;
        }
        let limit = cache.keep().disk;
        let done = off_thread(limit, move || work(&cache, &key)).await;
        if done.is_none() {
            let why = format!("nothing came of it within {} s", limit.as_secs_f64());
            self.tell_once(&self.is_hung, &why);
        }
        done.flatten()
    }

    /// Writes to the cache, if there is one that takes it.
    async fn write_disk<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl FnOnce(&Cache, &Key) -> io::Result<T> + Send + 'static,
    ) -> Option<T> {
        if self.is_read_only.load(Ordering::Relaxed) {
            return None;
        }
        let work = |cache: &Cache, key: &Key| Some(work(cache, key));
        match self.read_disk(key, work).await? {
            Ok(done) => Some(done),
            Err(error) => {
                self.tell_once(&self.is_read_only, &error.to_string());
                None
            }
        }
    }

    fn tell_once(&self, told: &AtomicBool, why: &str) {
        if let Some(cache) = &self.cache
            && !told.swap(true, Ordering::Relaxed)
        {
            let directory = cache.directory().display();
            lock(&self.notes).push(format!(
                "answers cannot be kept in {directory}: {why}; each start asks again"
            ));
        }
    }
}

/// What came of waiting for the turn.
enum Turned {
    Heard(Heard),
    Ours(Option<Turn>),
}

/// An answer and when it arrived.
struct Timed {
    at: Timestamp,
    arrived: Arrived,
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
struct Way<'a> {
    caller: &'a Caller,
    to: &'a To<'a>,
    line: &'a Line,
}

impl Way<'_> {
    /// Asks until there is an answer or it is given up.
    async fn ask(&self, ask: &Ask, url: &Url) -> Result<(Timed, Said), CallError> {
        let resilience = &self.caller.resilience;
        let mut left = resilience.bounds.waits;
        let mut tries = Tries::new(resilience.retry);
        let mut before = None;
        loop {
            if tries.so_far() > 0 {
                self.line.count(|counters| counters.retries += 1);
            }
            let mut used = None;
            let read = |answer: &Answer<'_>| self.to.understand(ask, answer);
            let outcome = match self.carried(ask, &mut left).await {
                Ok(carried) => {
                    let carried = used.insert(carried);
                    self.once(url, carried, &mut left, read).await
                }
                Err(failed) => Err(failed),
            };
            let (error, told) = match outcome {
                Ok(good) => {
                    self.line.state().key_worked |= ask.credential != Credential::None;
                    return Ok(good);
                }
                Err(failed) => failed,
            };
            match tries.failed(self.class(&error), told, left, fastrand::f64()) {
                Next::After(wait) => {
                    before = Some(error);
                    left = left.saturating_sub(wait);
                    sleep(wait).await;
                }
                Next::LogIn => match (self.to.provider.login(), used) {
                    (Some(_), Some(used)) => self.forget(&used).await,
                    _ => return Err(error),
                },
                Next::GiveUp => {
                    // That our own limits forbid another attempt is not why there is no answer.
                    let is_ours = matches!(
                        error,
                        CallError::LeftAlone { .. } | CallError::Crowded { .. }
                    );
                    return Err(before.filter(|_| is_ours).unwrap_or(error));
                }
                Next::TooLong(wait) if matches!(error.class(), Class::Wait(_)) => {
                    let provider = self.to.name();
                    return Err(CallError::Throttled { provider, wait });
                }
                Next::TooLong(_) => return Err(error),
            }
        }
    }

    /// What follows from an error. A key that worked a while ago and is refused is tried once more:
    /// one interface refuses good keys that come too often.
    fn class(&self, error: &CallError) -> Class {
        let is_refused_key =
            matches!(error, CallError::Refused { why, .. } if matches!(why, Refused::KeyWrong(_)));
        match is_refused_key && self.line.state().key_worked {
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
        let now = self.caller.world.monotonic();
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
        let mut state = self.line.state();
        let counter = match &outcome {
            Ok(_) => &mut state.counters.good,
            Err(CallError::Refused { why, .. }) => match why {
                Refused::Faulty(_) => &mut state.counters.faulty,
                Refused::NotAnAnswer(_) => &mut state.counters.not_answers,
                Refused::Throttled { .. } => &mut state.counters.throttled,
                _ => &mut state.counters.refused,
            },
            Err(CallError::Unreachable { .. }) => &mut state.counters.unreachable,
            Err(CallError::TimedOut { .. }) => &mut state.counters.timed_out,
            Err(CallError::TooLarge { .. } | CallError::Elsewhere { .. }) => {
                &mut state.counters.out_of_bounds
            }
            // Never sent, and counted as that.
            Err(_) => return outcome.map_err(|error| (error, told)),
        };
        *counter += 1;
        if let Some(breaker) = &mut state.breaker {
            let was_open = breaker.is_open();
            breaker.ended(now, outcome.as_ref().is_err_and(CallError::is_illness));
            self.tell_of(was_open, breaker, now, outcome.as_ref().err());
        }
        if let Err(error) = &outcome
            && let Class::Wait(own) = error.class()
            && let Some(bucket) = &mut state.bucket
        {
            bucket.throttled(now, told.or(own));
        }
        outcome.map_err(|error| (error, told))
    }

    /// One sentence when a provider is given up, and one when it is back.
    fn tell_of(&self, was_open: bool, breaker: &Breaker, now: Duration, error: Option<&CallError>) {
        let provider = self.to.name();
        let change = match (was_open, breaker.is_open(), error) {
            (false, true, Some(error)) => {
                let wait = words::duration(breaker.refuses(now).unwrap_or_default());
                format!(
                    "{error}; {provider} failed too often and is left alone for {wait} or longer"
                )
            }
            // Even with a refusal.
            (true, false, _) => format!("{provider} answers again"),
            _ => return,
        };
        lock(&self.caller.changes).push(change);
    }

    /// One request through all limits.
    async fn exchange(
        &self,
        url: &Url,
        carried: &Carried,
        left: &mut Duration,
    ) -> Result<Timed, CallError> {
        let world = &self.caller.world;
        let began = world.monotonic();
        let _place = self.place(*left).await?;
        *left = left.saturating_sub(world.monotonic() - began);
        self.token_of_the_bucket(left).await?;
        let limit = {
            let mut state = self.line.state();
            if let Some(breaker) = &mut state.breaker
                && let Err(wait) = breaker.admit(world.monotonic())
            {
                state.counters.refused_by_breaker += 1;
                let provider = self.to.name();
                return Err(CallError::LeftAlone { provider, wait });
            }
            state.counters.calls += 1;
            let whole = self.caller.resilience.bounds.exchange;
            let learned = state.timeouts.as_ref().map(Timeouts::limit);
            learned.map_or(whole, |learned| learned.min(whole))
        };
        let began = world.monotonic();
        let arrived = timeout(limit, world.get(url, carried)).await;
        let took = world.monotonic() - began;
        let mut state = self.line.state();
        state.counters.exchanging += took;
        match arrived {
            Ok(Ok(mut arrived)) => {
                carried.blot(&mut arrived.body);
                state.counters.bytes += arrived.body.len() as u64;
                if let Some(timeouts) = &mut state.timeouts {
                    timeouts.answered(took);
                }
                let at = world.utc();
                Ok(Timed { at, arrived })
            }
            Ok(Err(broken)) => Err(self.error_of(broken, url)),
            Err(_) => {
                if let Some(timeouts) = &mut state.timeouts {
                    timeouts.timed_out();
                }
                Err(CallError::TimedOut {
                    provider: self.to.name(),
                    after: limit,
                })
            }
        }
    }

    /// A place among those who ask at once, for as long as it is held.
    async fn place(&self, left: Duration) -> Result<Option<Place<'_>>, CallError> {
        let (Some(at_once), Some(bulkhead)) = (&self.line.at_once, self.caller.resilience.bulkhead)
        else {
            return Ok(None);
        };
        let before = self.line.present.fetch_add(1, Ordering::Relaxed);
        let presence = Presence(&self.line.present);
        if before < bulkhead.present
            && let Ok(Ok(permit)) = timeout(left, at_once.acquire()).await
        {
            return Ok(Some(Place {
                _permit: permit,
                _presence: presence,
            }));
        }
        self.line.count(|counters| counters.refused_by_limits += 1);
        let provider = self.to.name();
        Err(CallError::Crowded { provider })
    }

    async fn token_of_the_bucket(&self, left: &mut Duration) -> Result<(), CallError> {
        loop {
            let wait = {
                let mut state = self.line.state();
                let now = self.caller.world.monotonic();
                // Whoever would be refused afterwards need not wait for a token.
                if let Some(wait) = state.breaker.as_ref().and_then(|it| it.refuses(now)) {
                    state.counters.refused_by_breaker += 1;
                    let provider = self.to.name();
                    return Err(CallError::LeftAlone { provider, wait });
                }
                match state.bucket.as_mut().map_or(Ok(()), |it| it.take(now)) {
                    Ok(()) => return Ok(()),
                    Err(wait) if wait > *left => {
                        state.counters.refused_by_limits += 1;
                        let provider = self.to.name();
                        return Err(CallError::Crowded { provider });
                    }
                    Err(wait) => wait,
                }
            };
            *left = left.saturating_sub(wait);
            sleep(wait).await;
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

    fn error_of(&self, broken: Broken, url: &Url) -> CallError {
        let provider = self.to.name();
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
}

/// A place in the bulkhead.
struct Place<'a> {
    _permit: tokio::sync::SemaphorePermit<'a>,
    _presence: Presence<'a>,
}

impl To<'_> {
    /// What an answer says; of a plan, its words as a note.
    fn understand(&self, ask: &Ask, answer: &Answer<'_>) -> Result<Said, Refused> {
        if self.provider.plan().is_some_and(|plan| plan == *ask) {
            let told = self.provider.read_plan(self.place, answer)?;
            return Ok(Said {
                notes: vec![told],
                ..Said::default()
            });
        }
        self.provider.read(ask, self.place, answer)
    }

    fn name(&self) -> String {
        self.provider.name().to_owned()
    }
}

impl Line {
    fn new(resilience: &Resilience, now: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                key_worked: false,
                bucket: resilience.bucket.map(|pace| Bucket::new(pace, now)),
                breaker: resilience.breaker.map(Breaker::new),
                timeouts: resilience.timeout.map(Timeouts::new),
                counters: Counters::default(),
            }),
            at_once: resilience.bulkhead.map(|it| Semaphore::new(it.at_once)),
            present: AtomicUsize::new(0),
            token: tokio::sync::Mutex::new(None),
        }
    }

    /// Never held while something is waited for.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn count(&self, what: impl FnOnce(&mut Counters)) {
        what(&mut self.state().counters);
    }
}

/// Counters and limits are as good after a panic elsewhere as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(duration: Duration) -> SignedDuration {
    // A century is for ever, and a time that far ahead can still be written.
    let most = SignedDuration::from_hours(24 * 365 * 100);
    SignedDuration::try_from(duration).map_or(most, |duration| duration.min(most))
}

/// Whether providers can be asked below this URL.
///
/// # Errors
/// What is wrong with it, to be put after its name.
pub fn is_base_url(text: &str) -> Result<(), &'static str> {
    base_of(text).map(drop)
}

fn base_of(text: &str) -> Result<Url, &'static str> {
    let base = Url::parse(text).map_err(|_| "is no URL")?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err("has a user or a password in it");
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    Ok(base)
}

/// The URL of an ask, if it may be asked there.
fn url_of(to: &To<'_>, ask: &Ask) -> Result<Url, CallError> {
    let bad = |why| CallError::BaseUrl {
        provider: to.name(),
        why,
    };
    let base = base_of(to.base_url).map_err(bad)?;
    let host = base.host_str().unwrap_or_default();
    if ask.credential != Credential::None && base.scheme() == "http" && !is_loopback(&base) {
        return Err(CallError::PlainHttp {
            provider: to.name(),
            host: host.to_owned(),
        });
    }
    let whole = format!("{}{}", to.base_url.trim_end_matches('/'), ask.path);
    let mut url = Url::parse(&whole).map_err(|_| bad("makes no URL with what is asked"))?;
    // A path that does not begin with a slash would lengthen the host's name or port.
    if url.origin() != base.origin() || !ask.path.starts_with('/') {
        return Err(bad("makes another host with what is asked"));
    }
    if !ask.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&ask.query);
    }
    Ok(url)
}

/// Runs `work`, one ask or several, on a runtime of its own: for threads that have none.
///
/// # Errors
/// There is no runtime to be had.
pub fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(work);
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    Ok(done)
}
