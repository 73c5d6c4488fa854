//! The one way to a provider: cache → bulkhead → rate → breaker → time-out → retry.
//!
//! [`Caller::ask`] carries out what [`wire`] says is to be asked, and gives back what the
//! provider makes of the answer. When and how long is decided by [`limits`], which does nothing
//! itself; what was heard is shared on disk, so that ten processes that want the same make one call.
//! One caller serves all providers of a process; each has limits of its own, and one that hangs or
//! fails slows no other.
//!
//! [`Caller::deliver`] is the same way for what is brought to a service: alerts.
//!
//! Whoever asks gives the future a runtime with I/O and timers; a thread without one uses
//! [`block_on`]. Dropping the future ends the call. Disk and certificates are read in threads that
//! are left behind when they hang.

mod cache;
mod deliver;
mod error;
mod gate;
pub mod limits;
mod lookout;
mod transport;
mod url;
mod way;
pub mod wire;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::time::sleep;
use tracing::debug;

use cache::{Cache, Kept, Key, Turn};
pub use deliver::{Parcel, Poster, Undelivered, host_of};
pub use error::CallError;
use limits::{Counters, Keep, Resilience};
pub use lookout::{Lookout, Seen};
pub use transport::is_loopback_host;
use transport::{Network, World, off_thread};
use url::url_of;
pub use url::{is_base_url, is_post_url};
use way::{Line, Timed, Way};
use wire::{Answer, Ask, Provider, Refused, Said};

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
    /// The key; for [`wire::Credential::Basic`] and [`wire::Credential::Token`] `USER:PASSWORD`.
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

/// The ways by provider and base URL.
type Lines = Mutex<BTreeMap<(String, String), Arc<Line>>>;

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Call => "called",
            Self::Cache => "cached",
            Self::Sharing => "shared",
        }
    }
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
    lines: Arc<Lines>,
    notes: Mutex<Vec<String>>,
    /// Providers that were given up and those that came back, a sentence each.
    changes: Mutex<Vec<String>>,
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
            lines: Arc::default(),
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
        let began = self.world.monotonic();
        let outcome = self.find_out(to, ask).await;
        let duration_ms = self.world.monotonic().saturating_sub(began).as_millis() as u64;
        let (source, what) = (to.provider.name(), ask.what);
        match &outcome {
            Ok(heard) => {
                let is_hit = heard.by != By::Call;
                debug!(
                    source,
                    what,
                    outcome = heard.by.as_str(),
                    cache_hit = is_hit,
                    duration_ms,
                    "asked"
                );
            }
            Err(error) => {
                let (outcome, category) = (error.outcome(), error.category().as_str());
                debug!(
                    source,
                    what,
                    outcome,
                    category,
                    cache_hit = false,
                    duration_ms,
                    "asked in vain"
                );
            }
        }
        outcome
    }

    async fn find_out(&self, to: &To<'_>, ask: &Ask) -> Result<Heard, CallError> {
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

    /// What shows to another thread how the ways to providers stand, for as long as it is kept.
    pub fn lookout(&self) -> Lookout {
        Lookout::new(Arc::clone(&self.lines), self.is_offline)
    }

    /// The bounds of the time for which an answer saves a call.
    pub fn shortest_and_longest_validity(&self) -> (Duration, Duration) {
        self.keep().validity
    }

    fn keep(&self) -> Keep {
        self.resilience.cache.unwrap_or_default()
    }

    fn line(&self, to: &To<'_>) -> Arc<Line> {
        self.line_of(to.provider.name(), to.base_url)
    }

    /// The way to the service of this name at this place.
    fn line_of(&self, name: &str, place: &str) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        let key = (name.to_owned(), place.to_owned());
        let line = lines
            .entry(key)
            .or_insert_with(|| Arc::new(Line::new(&self.resilience, self.world.monotonic())));
        Arc::clone(line)
    }

    /// What was kept and saves a call, if it does.
    fn valid(&self, to: &To<'_>, ask: &Ask, kept: Option<Kept>, by: By) -> Option<Heard> {
        let kept = kept.filter(|kept| kept.is_valid(self.world.utc()))?;
        // A newer version of us may understand less: then it is asked for again.
        let mut said = to.understand(ask, &kept.answer()).ok()?;
        said.notes.append(&mut lock(&self.notes));
        Some(Heard {
            said,
            at: kept.at,
            valid_until: kept.valid_until,
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
        self.keep()
            .validity(to.provider.offers().cadence, age, fastrand::f64())
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

/// Counters and limits are as good after a panic elsewhere as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(duration: Duration) -> SignedDuration {
    // A century is for ever, and a time that far ahead can still be written.
    let most = SignedDuration::from_hours(24 * 365 * 100);
    SignedDuration::try_from(duration).map_or(most, |duration| duration.min(most))
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
