//! What is known of a run, for whoever asks: the deciding thread puts it here and goes on.
//!
//! It never waits for those who read: where one is just reading, what it had to tell is told a second
//! later. Pages are made by those who ask for them, and at most a few times a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::Bytes;

use super::facts::{About, Facts};
use super::family::{classic, openmetrics};
use super::health::{self, HANGS_S};
use super::host::{self, Host, Lookers};
use super::metrics::families;
use super::tally::Tally;
use crate::caller::{Lookout, Seen};
use crate::clock::{monotonic, utc_now};
use crate::ledger::entry::What;
use crate::supervise::snapshot::Snapshot;

/// A page of metrics is good for so long.
const GOOD_FOR: Duration = Duration::from_millis(200);

/// What is known of a run.
pub struct Board {
    about: About,
    /// The run's id, and who tells it.
    run: (OnceLock<String>, Box<dyn Fn() -> String + Send + Sync>),
    latest: Mutex<Option<Latest>>,
    tally: Mutex<Tally>,
    sources: Mutex<Sources>,
    alerts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    missed: AtomicU64,
    lookers: Lookers,
    pages: Mutex<BTreeMap<(Form, bool), (Duration, Bytes)>>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

/// What the deciding thread told last.
#[derive(Clone, Debug)]
pub struct Latest {
    /// How the run stood.
    pub snapshot: Snapshot,
    /// The answer to `/status`, where anybody may ask for it here.
    pub status: Option<Arc<str>>,
    /// What is wrong with the record.
    pub ledger_trouble: Option<String>,
    /// When, by the monotonic clock.
    pub at: Duration,
}

/// Forms of a page of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// OpenMetrics 1.0.
    Open,
    /// The text format 0.0.4 of Prometheus.
    Classic,
}

/// The ways to sources: those in use, and what came of those before a reload.
#[derive(Debug, Default)]
struct Sources {
    before: BTreeMap<String, Seen>,
    now: Option<Lookout>,
}

impl Sources {
    fn seen(&self) -> BTreeMap<String, Seen> {
        let mut all = self.before.clone();
        for (name, seen) in self.now.iter().flat_map(Lookout::seen) {
            let both = match all.remove(&name) {
                // Counters go on; the breaker of before is nobody's any more.
                Some(before) => Seen {
                    gate: seen.gate,
                    unanswered: seen.unanswered,
                    ..seen.and(&before)
                },
                None => seen,
            };
            all.insert(name, both);
        }
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// An empty one, of the run whose id `run` tells; it is asked once.
    pub fn new(
        about: About,
        run: impl Fn() -> String + Send + Sync + 'static,
        tally: Tally,
        lookers: Lookers,
    ) -> Self {
        Self {
            about,
            run: (OnceLock::new(), Box::new(run)),
            latest: Mutex::default(),
            tally: Mutex::new(tally),
            sources: Mutex::default(),
            alerts: Mutex::default(),
            missed: AtomicU64::new(0),
            lookers,
            pages: Mutex::default(),
        }
    }

    /// The deciding thread tells how the run stands. Waits for nobody: `false` where someone is just
    /// reading what was told before.
    pub fn tell(&self, latest: Latest) -> bool {
        match self.latest.try_lock() {
            Ok(mut place) => {
                *place = Some(latest);
                true
            }
            Err(_) => false,
        }
    }

    /// Adds an entry to the sums.
    pub fn add(&self, what: What) {
        lock(&self.tally).take(what);
    }

    /// An entry had no room on its way to the sums.
    pub fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// The ways to sources are these from now on.
    pub fn look_at(&self, lookout: Lookout) {
        let mut sources = lock(&self.sources);
        let before = sources.seen();
        *sources = Sources {
            before,
            now: Some(lookout),
        };
    }

    /// So many more alerts over a kind of channel (`webhook`) came to this (`delivered`, `failed`).
    pub fn alerted(&self, channel: &'static str, outcome: &'static str, more: u64) {
        *lock(&self.alerts).entry((channel, outcome)).or_default() += more;
    }

    /// The answer to `/status`, as of a second ago.
    pub fn status(&self) -> Option<Arc<str>> {
        lock(&self.latest).as_ref()?.status.clone()
    }

    /// Why the deciding thread is taken for dead, if it is.
    pub fn not_alive(&self) -> Option<String> {
        let at = lock(&self.latest).as_ref()?.at;
        let ago = monotonic().saturating_sub(at).as_secs_f64();
        (ago >= HANGS_S).then(|| format!("the deciding thread was last seen {ago:.0} s ago"))
    }

    /// Why the run is not under control with a plan, if it is not.
    pub fn not_ready(&self) -> Option<String> {
        let latest = lock(&self.latest);
        let why = match &*latest {
            Some(latest) => latest.snapshot.not_ready(),
            None => Some("the run has not begun yet"),
        };
        why.map(str::to_owned)
    }

    /// Everything that is known.
    pub fn facts(&self) -> Facts {
        let latest = lock(&self.latest).clone();
        let sources = lock(&self.sources);
        Facts {
            about: self.about.clone(),
            run: self.run.0.get_or_init(&self.run.1).clone(),
            seen_ago_s: latest
                .as_ref()
                .map(|latest| monotonic().saturating_sub(latest.at).as_secs_f64()),
            ledger_trouble: latest
                .as_ref()
                .and_then(|latest| latest.ledger_trouble.clone()),
            snapshot: latest.map(|latest| latest.snapshot),
            tally: lock(&self.tally).clone(),
            sources: sources.seen(),
            is_offline: (sources.now.as_ref()).is_some_and(Lookout::is_offline),
            alerts: lock(&self.alerts).clone(),
            missed: self.missed.load(Ordering::Relaxed),
            own: host::own(),
            now: utc_now(),
        }
    }

    /// A page of metrics, made now or a moment ago.
    pub fn page(&self, form: Form, trusted: bool) -> Bytes {
        let mut pages = lock(&self.pages);
        let now = monotonic();
        if let Some((at, page)) = pages.get(&(form, trusted))
            && now.saturating_sub(*at) < GOOD_FOR
        {
            return page.clone();
        }
        let families = families(&self.facts(), trusted);
        let page = Bytes::from(match form {
            Form::Open => openmetrics(&families),
            Form::Classic => classic(&families),
        });
        pages.insert((form, trusted), (now, page.clone()));
        page
    }

    /// What is well and what is not.
    pub async fn health(&self) -> Vec<health::Check> {
        let host: Host = self.lookers.look().await;
        health::checks(&self.facts(), &host)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;
    use crate::caller::Caller;
    use crate::caller::limits::Resilience;
    use crate::supervise::snapshot::paused;
    use crate::units::Pue;

    fn board() -> Board {
        let lookers = Lookers::new(Vec::new());
        Board::new(
            About::default(),
            || "r7k2".to_owned(),
            Tally::new(Pue::NONE),
            lookers,
        )
    }

    fn latest(at: Duration) -> Latest {
        Latest {
            snapshot: paused(),
            status: None,
            ledger_trouble: None,
            at,
        }
    }

    #[test]
    fn whoever_tells_does_not_wait_for_whoever_reads() {
        let board = board();
        let reading = lock(&board.latest);
        assert!(!board.tell(latest(monotonic())));
        drop(reading);
        assert!(board.tell(latest(monotonic())));
        assert_eq!(board.not_ready(), None);
    }

    #[test]
    fn a_deciding_thread_that_was_not_seen_for_half_a_minute_is_not_alive() {
        let board = board();
        assert_eq!(board.not_alive(), None, "it may just be starting");
        assert!(board.not_ready().is_some());
        board.tell(latest(monotonic()));
        assert_eq!(board.not_alive(), None);
        board.tell(latest(monotonic().saturating_sub(Duration::from_secs(31))));
        assert!(
            board
                .not_alive()
                .is_some_and(|why| why.contains("31 s ago"))
        );
    }

    #[test]
    fn alerts_are_counted_by_channel_and_outcome() {
        let board = board();
        board.alerted("webhook", "delivered", 2);
        board.alerted("webhook", "delivered", 1);
        board.alerted("email", "failed", 1);
        let page = String::from_utf8(board.page(Form::Classic, false).to_vec()).unwrap();
        let line = "catrain_alerts_total{channel=\"webhook\",outcome=\"delivered\"} 3.0";
        assert!(page.contains(line), "{page}");
    }

    #[test]
    fn sources_that_are_replaced_keep_their_counts() {
        let board = board();
        let lookout = || Caller::new(Resilience::default(), None, true).lookout();
        board.look_at(lookout());
        assert!(board.facts().is_offline);
        lock(&board.sources).before.insert(
            "neso".to_owned(),
            Seen {
                counters: crate::caller::limits::Counters {
                    calls: 7,
                    ..Default::default()
                },
                gate: None,
                last_good: None,
                unanswered: 0,
            },
        );
        board.look_at(lookout());
        assert_eq!(board.facts().sources["neso"].counters.calls, 7);
    }
}
