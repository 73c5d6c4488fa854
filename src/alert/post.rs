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
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::cooling::{Cooling, Teller};
use super::letter::{About, Alert, Letter};
use super::office::{Office, Outcome, takes};
use super::rule::Rule;
use super::settings::{Channel, Settings};
use super::watch::{Change, Event, Facts, Watch};
use crate::caller::block_on;
use crate::clock::{Moment, monotonic, utc_now};

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

/// What one channel's deliveries come to.
type Delivering<'a> = Pin<Box<dyn Future<Output = (usize, Outcome)> + 'a>>;

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
    } = setup;
    about.id = run();
    let office = office();
    let mut desk = Desk {
        watch: Watch::new(settings.rules.clone(), about.zone.clone()),
        // Another day's alerts are nobody's cool-down.
        own: about.replay.then(Cooling::default),
        about,
        settings: &settings,
        office: &office,
        gathered: Vec::new(),
        send_at: None,
        told_due: None,
        tell,
        unheard: Vec::new(),
        failing: BTreeSet::new(),
    };
    let mut deliveries: FuturesUnordered<Delivering<'_>> = FuturesUnordered::new();
    let mut busy = BTreeSet::new();
    let mut look_at = Instant::now() + LOOK;
    // What earlier runs left is tried at once.
    let mut kick = match office.letters.is_empty() {
        true => None,
        false => Some(true),
    };
    let mut facts_end = false;
    loop {
        if let Some(is_well) = kick.take() {
            for (index, channel) in settings.channels.iter().enumerate() {
                if busy.insert(index) {
                    deliveries.push(delivering(&office, index, channel, is_well));
                }
            }
        }
        let send_at = desk.send_at;
        tokio::select! {
            biased;
            event = queue.recv() => match event {
                Some((now, event)) => {
                    let facts = latest.borrow_and_update().clone();
                    desk.look(facts, Some((now, event))).await;
                }
                None => break,
            },
            Some((index, outcome)) = deliveries.next() => {
                busy.remove(&index);
                desk.delivered(&settings.channels[index], &outcome);
                if outcome.failure.is_none() && outcome.delivered > 0 {
                    // Others may have come meanwhile.
                    kick = Some(false);
                }
            }
            changed = latest.changed(), if !facts_end => {
                facts_end = changed.is_err();
                let facts = latest.borrow_and_update().clone();
                desk.look(facts, None).await;
            }
            () = at(send_at) => {
                desk.send().await;
                kick = Some(false);
            }
            () = sleep_until(look_at) => {
                look_at = Instant::now() + LOOK;
                kick = (!office.letters.is_empty()).then_some(false);
            }
        }
        desk.count(lost.swap(0, Ordering::Relaxed));
    }
    // The run is over.
    let until = Instant::now() + settings.flush.saturating_sub(LAST_WORDS).max(LEAST_FLUSH);
    desk.count(lost.swap(0, Ordering::Relaxed));
    desk.send().await;
    let mut last_kick = true;
    loop {
        if std::mem::take(&mut last_kick) {
            for (index, channel) in settings.channels.iter().enumerate() {
                if busy.insert(index) {
                    deliveries.push(delivering(&office, index, channel, false));
                }
            }
        }
        match timeout_at(until, deliveries.next()).await {
            Ok(Some((index, outcome))) => {
                busy.remove(&index);
                desk.delivered(&settings.channels[index], &outcome);
                last_kick = outcome.failure.is_none() && outcome.delivered > 0;
            }
            Ok(None) => break,
            Err(_) => {
                drop(deliveries);
                let why = "the run ended before it was delivered";
                office.close(why).await;
                let text = "alerts were not all sent before the run ended";
                desk.say(Told::Trouble(format!("{text}; {KEPT}")));
                break;
            }
        }
    }
    desk.complain();
    desk.unheard
}

/// What becomes of what was not delivered.
const KEPT: &str = "it is kept, and tried again (catrain alerts list)";

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

fn delivering<'a>(
    office: &'a Office,
    index: usize,
    channel: &'a Channel,
    is_well: bool,
) -> Delivering<'a> {
    Box::pin(async move { (index, office.deliver(channel, is_well).await) })
}

/// Makes letters of what is seen.
struct Desk<'a> {
    watch: Watch,
    /// What a replay told.
    own: Option<Cooling>,
    about: About,
    settings: &'a Settings,
    office: &'a Office,
    /// What waits for what comes together with it.
    gathered: Vec<Alert>,
    /// Until when.
    send_at: Option<Instant>,
    /// When something may be told that could not be for its cool-down.
    told_due: Option<Timestamp>,
    tell: Tell,
    unheard: Vec<String>,
    /// Channels of which it was told that they fail.
    failing: BTreeSet<String>,
}

impl Desk<'_> {
    /// Looks at the facts, and at what happened.
    async fn look(&mut self, facts: Option<Facts>, event: Option<(Moment, Event)>) {
        let mut changes = facts.map_or_else(Vec::new, |facts| self.watch.seen(facts));
        if let Some((now, event)) = event {
            changes.extend(self.watch.happened(now, event));
        }
        let now = utc_now();
        let is_due = self.told_due.is_some_and(|due| due <= now);
        if changes.is_empty() && !is_due {
            return;
        }
        let alerts = match self.own.take() {
            Some(mut own) => {
                let alerts = self.hear(&mut own, now, changes);
                self.own = Some(own);
                alerts
            }
            None => {
                let work = |cooling: &mut Cooling| self.hear(cooling, now, changes);
                self.office.letters.with_told(work).await
            }
        };
        let (alerts, due) = alerts;
        self.told_due = due;
        if !alerts.is_empty() && self.send_at.is_none() {
            self.send_at = Some(Instant::now() + self.settings.gather);
        }
        self.gathered.extend(alerts);
        self.complain();
    }

    /// What is to be told of changes, and when to look again.
    fn hear(
        &self,
        cooling: &mut Cooling,
        now: Timestamp,
        changes: Vec<Change>,
    ) -> (Vec<Alert>, Option<Timestamp>) {
        let rules = &self.settings.rules;
        let teller = Teller {
            about: &self.about,
            owner: &self.office.owner,
            is_alive: &self.office.is_alive,
            id: &new_id,
        };
        let mut alerts = Vec::new();
        for change in changes {
            let cool_down = rules.cool_down(change.rule);
            alerts.extend(cooling.heard(now, change, cool_down, &teller));
        }
        let cool_down = |rule| rules.cool_down(rule);
        alerts.extend(cooling.due(now, cool_down, &self.office.owner));
        (alerts, cooling.next_due(cool_down, &self.office.owner))
    }

    /// Makes letters of what has gathered.
    async fn send(&mut self) {
        self.send_at = None;
        let alerts = std::mem::take(&mut self.gathered);
        let letters = letters_of(self.settings, &alerts, utc_now());
        self.office.letters.add(letters).await;
    }

    fn delivered(&mut self, channel: &Channel, outcome: &Outcome) {
        match &outcome.failure {
            Some(unsent) => {
                if self.failing.insert(channel.name.clone()) {
                    self.say(Told::Trouble(format!(
                        "an alert is not delivered: {unsent}; {KEPT}"
                    )));
                }
            }
            None if outcome.delivered > 0 && self.failing.remove(&channel.name) => {
                self.say(Told::Note(format!(
                    "{} takes alerts again",
                    channel.called()
                )));
            }
            None => {}
        }
    }

    /// Tells that so many things were not looked at.
    fn count(&mut self, lost: u64) {
        if lost > 0 {
            self.say(Told::Trouble(format!(
                "{lost} things that happened were not looked at for alerts: too many at once"
            )));
        }
    }

    fn complain(&mut self) {
        if let Some(trouble) = self.office.letters.trouble()
            && self.failing.insert("/disk".to_owned())
        {
            self.say(Told::Trouble(trouble));
        }
    }

    fn say(&mut self, told: Told) {
        if let Err(Told::Trouble(unheard)) = (self.tell)(told) {
            self.unheard.push(unheard);
        }
    }
}

/// A letter for each channel that takes an alert; one that can wait waits for the end of quiet
/// hours.
fn letters_of(settings: &Settings, alerts: &[Alert], now: Timestamp) -> Vec<Letter> {
    let quiet = settings.quiet.as_ref().and_then(|quiet| quiet.ends(now));
    let mut letters = Vec::new();
    for channel in &settings.channels {
        let taken = alerts.iter().filter(|alert| takes(channel, alert));
        let taken: Vec<&Alert> = taken.collect();
        let has_failed = taken.iter().any(|alert| alert.rule == Rule::JobFailed);
        // That a failed run is over need not be said again.
        let told = |alert: &&&Alert| !(has_failed && alert.rule == Rule::RunEnded);
        for alert in taken.iter().filter(told).copied() {
            let not_before = quiet.filter(|_| !settings.urgent.contains(&alert.rule));
            letters.push(Letter::new(&channel.name, alert.clone(), now, not_before));
        }
    }
    letters
}

/// An id that no other alert has.
pub fn new_id() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
