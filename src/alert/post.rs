//! The thread in which alerts are made and sent, and the way from the deciding thread to it.
//!
//! The deciding thread replaces the latest facts and puts what happens into a bounded queue; neither
//! waits. Here they become changes, alerts once cool-downs allow, and letters once what comes together
//! has come. Each channel is served by itself, so that one that hangs keeps no other waiting.

use std::collections::BTreeSet;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::desk::{Desk, KEPT};
use super::letter::About;
use super::office::{Office, Outcome};
use super::settings::{Channel, Settings};
use super::watch::{Event, Facts};
use crate::caller::block_on;
use crate::clock::{Moment, monotonic};

/// What may wait to be looked at. More is dropped and counted.
const QUEUE: usize = 64;
/// How often it is looked whether a letter may be tried again.
const LOOK: Duration = Duration::from_secs(30);
/// What is left of the end's time for writing down what was not sent.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The least time that the end has for sending.
const LEAST_FLUSH: Duration = Duration::from_millis(200);

/// Where warnings go: gives back what nobody hears any more.
pub type Tell = Box<dyn Fn(Told) -> Result<(), Told> + Send>;

/// Where it is counted that so many more came to this over a kind of channel: `delivered`, `failed`.
pub type Count = Box<dyn Fn(&'static str, &'static str, u64) + Send>;

/// Something for the person at the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Alerts get lost or are late.
    Trouble(String),
    /// They are not any more.
    Note(String),
}

/// What the thread is given.
pub struct Setup {
    /// What is configured.
    pub settings: Settings,
    /// The run, but for its id.
    pub about: About,
    /// Gives the run's id; may take a moment.
    pub run: Box<dyn FnOnce() -> String + Send>,
    /// Makes what delivers, in the thread.
    pub office: Box<dyn FnOnce() -> Office + Send>,
    /// Where warnings go.
    pub tell: Tell,
    /// Where outcomes are counted.
    pub count: Count,
}

/// The way to the thread. None of its functions waits.
pub struct Post {
    facts: watch::Sender<Option<Facts>>,
    events: mpsc::Sender<(Moment, Event)>,
    dropped: Arc<AtomicU64>,
    flush: Duration,
    done: Receiver<Vec<String>>,
}

impl Post {
    /// Starts the thread; none where there is no thread to be had.
    pub fn start(setup: Setup) -> Option<Self> {
        let (facts, latest) = watch::channel(None);
        let (events, queue) = mpsc::channel(QUEUE);
        let (finished, done) = channel();
        let dropped = Arc::<AtomicU64>::default();
        let (flush, lost) = (setup.settings.flush, Arc::clone(&dropped));
        let body = move || {
            let unheard = block_on(live(setup, latest, queue, &lost));
            let _ = finished.send(unheard.unwrap_or_default());
        };
        let thread = std::thread::Builder::new().name("alerts".to_owned());
        thread.spawn(body).ok()?;
        Some(Self {
            facts,
            events,
            dropped,
            flush,
            done,
        })
    }

    /// How the run stands now.
    pub fn seen(&self, facts: Facts) {
        self.facts.send_replace(Some(facts));
    }

    /// Something happened.
    pub fn happened(&self, now: Moment, event: Event) {
        if self.events.try_send((now, event)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The run is over: what is under way has so much time and no more.
    pub fn close(self) -> Closing {
        drop((self.facts, self.events));
        // The thread keeps its time by itself, unless a disk hangs.
        Closing {
            until: monotonic() + self.flush.max(LEAST_FLUSH) + LAST_WORDS,
            done: self.done,
        }
    }
}

/// A thread that comes to its end.
pub struct Closing {
    until: Duration,
    done: Receiver<Vec<String>>,
}

impl Closing {
    /// Waits for it, for as long as it has; what nobody has heard of what went wrong.
    pub fn wait(self) -> Vec<String> {
        let left = self.until.saturating_sub(monotonic());
        self.done.recv_timeout(left).unwrap_or_else(|_| {
            vec!["alerts were not all sent before the run ended: they took too long".to_owned()]
        })
    }
}

async fn live(
    setup: Setup,
    mut latest: watch::Receiver<Option<Facts>>,
    mut queue: mpsc::Receiver<(Moment, Event)>,
    lost: &AtomicU64,
) -> Vec<String> {
    let Setup {
        settings,
        mut about,
        run,
        office,
        tell,
        count,
    } = setup;
    about.id = run();
    let office = office();
    let mut desk = Desk::new(&settings, about, &office, tell, count);
    let mut rounds = Rounds::new(&office, &settings.channels);
    if !office.letters.is_empty() {
        // What earlier runs left is tried at once.
        rounds.begin(true);
    }
    let mut look_at = Instant::now() + LOOK;
    let mut has_facts = true;
    loop {
        let send_at = desk.send_at();
        tokio::select! {
            biased;
            event = queue.recv() => {
                let Some((now, event)) = event else { break };
                let facts = latest.borrow_and_update().clone();
                desk.look(facts, Some((now, event))).await;
            }
            Some((channel, outcome)) = rounds.next() => {
                desk.delivered(channel, &outcome);
                if outcome.failure.is_none() && outcome.delivered > 0 {
                    // Others may have come meanwhile.
                    rounds.begin(false);
                }
            }
            changed = latest.changed(), if has_facts => {
                has_facts = changed.is_ok();
                let facts = latest.borrow_and_update().clone();
                desk.look(facts, None).await;
            }
            () = at(send_at) => {
                desk.send().await;
                rounds.begin(false);
            }
            () = sleep_until(look_at) => {
                look_at = Instant::now() + LOOK;
                if !office.letters.is_empty() {
                    rounds.begin(false);
                }
            }
        }
        desk.count(lost.swap(0, Ordering::Relaxed));
    }
    desk.count(lost.swap(0, Ordering::Relaxed));
    desk.send().await;
    let until = Instant::now() + settings.flush.saturating_sub(LAST_WORDS).max(LEAST_FLUSH);
    if timeout_at(until, last_round(&mut rounds, &mut desk))
        .await
        .is_err()
    {
        drop(rounds);
        office.close("the run ended before it was delivered").await;
        let text = "alerts were not all sent before the run ended";
        desk.say(Told::Trouble(format!("{text}; {KEPT}")));
    }
    desk.complain();
    desk.unheard()
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Sends what is due until nothing is.
async fn last_round(rounds: &mut Rounds<'_>, desk: &mut Desk<'_>) {
    rounds.begin(false);
    while let Some((channel, outcome)) = rounds.next().await {
        desk.delivered(channel, &outcome);
        if outcome.failure.is_none() && outcome.delivered > 0 {
            rounds.begin(false);
        }
    }
}

/// What one channel's deliveries come to.
type Delivering<'a> = Pin<Box<dyn Future<Output = (usize, Outcome)> + 'a>>;

/// The channels that are being served, each by itself.
struct Rounds<'a> {
    office: &'a Office,
    channels: &'a [Channel],
    busy: BTreeSet<usize>,
    under_way: FuturesUnordered<Delivering<'a>>,
}

impl<'a> Rounds<'a> {
    fn new(office: &'a Office, channels: &'a [Channel]) -> Self {
        Self {
            office,
            channels,
            busy: BTreeSet::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    /// Serves each channel that is not being served; as one that `is_well` also with what failed.
    fn begin(&mut self, is_well: bool) {
        for (index, channel) in self.channels.iter().enumerate() {
            if self.busy.insert(index) {
                let office = self.office;
                self.under_way.push(Box::pin(async move {
                    (index, office.deliver(channel, is_well).await)
                }));
            }
        }
    }

    /// The next that is through; none while none is served.
    async fn next(&mut self) -> Option<(&'a Channel, Outcome)> {
        let (index, outcome) = self.under_way.next().await?;
        self.busy.remove(&index);
        Some((&self.channels[index], outcome))
    }
}

#[cfg(test)]
mod tests;
