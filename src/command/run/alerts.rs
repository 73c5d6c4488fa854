//! Alerts of a run: what of it is looked at, and the thread that does all else.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::paper::Trouble;
use crate::alert::letter::About;
use crate::alert::post::{Closing, Post, Setup, Told};
use crate::alert::settings::Settings;
use crate::alert::watch::{Event, Facts};
use crate::caller::limits::Resilience;
use crate::clock::Moment;
use crate::command::alerts::{ChannelKeys, office};
use crate::ledger::RunId;
use crate::ledger::entry::{Action, Exit, What};
use crate::serve::Board;
use crate::supervise::machine::Phase;
use crate::supervise::{Arrival, View, Watcher};

/// How long the thread waits for the run's id.
const ID_PATIENCE: Duration = Duration::from_secs(1);
/// Facts are looked at no more often than this: the loop may turn faster.
const LOOK: Duration = Duration::from_millis(900);
/// They are given away at least so often, though nothing of them has changed but the time: each time
/// wakes a thread.
const FACTS_AT_LEAST: Duration = Duration::from_secs(10);
/// A job that ends so soon after a person asked it to, beyond its grace, does so for that.
const AFTER_ASKING: Duration = Duration::from_mins(1);

/// What a run's alerts are made of.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) keys: ChannelKeys,
    pub(super) resilience: Resilience,
    pub(super) is_offline: bool,
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) replay: bool,
    pub(super) run: RunId,
    pub(super) trouble: Trouble,
    pub(super) arrivals: Sender<Arrival>,
    pub(super) board: Arc<Board>,
}

/// The alerts of a run, if it has any.
pub(super) struct Alerts(Option<Rc<Post>>);

impl Alerts {
    /// Starts the thread, where there is a channel; and who looks on for it.
    pub(super) fn start(parts: Parts) -> (Self, Option<Box<dyn Watcher>>) {
        let Parts {
            settings,
            keys,
            resilience,
            is_offline,
            name,
            zone,
            replay,
            run,
            trouble,
            arrivals,
            board,
        } = parts;
        if settings.channels.is_empty() {
            return (Self(None), None);
        }
        if is_offline {
            let text = "no alerts are sent: offline".to_owned();
            drop(arrivals.try_send(Arrival::Note(text)));
            return (Self(None), None);
        }
        let about = About {
            id: String::new(),
            name,
            zone,
            host: crate::surroundings::host(),
            replay,
        };
        let warnings = arrivals.clone();
        let tell = move |told: Told| {
            let arrival = match told.clone() {
                Told::Trouble(text) => Arrival::Trouble(text),
                Told::Note(text) => Arrival::Note(text),
            };
            warnings.try_send(arrival).map_err(|_| told)
        };
        let setup = Setup {
            settings,
            about,
            run: Box::new(move || run.within(ID_PATIENCE)),
            office: Box::new(move || office(keys, resilience, false)),
            tell: Box::new(tell),
            count: Box::new(move |channel, outcome, more| board.alerted(channel, outcome, more)),
        };
        let Some(post) = Post::start(setup).map(Rc::new) else {
            let text = "no alerts are sent: there is no thread for them".to_owned();
            drop(arrivals.try_send(Arrival::Trouble(text)));
            return (Self(None), None);
        };
        let lookout = Lookout {
            post: Rc::clone(&post),
            trouble,
            had_guard: false,
            replaced: None,
            asked: None,
            looked: None,
            given: None,
        };
        (Self(Some(post)), Some(Box::new(lookout)))
    }

    /// The run is over; nobody looks on any more.
    pub(super) fn close(self) -> Option<Closing> {
        self.0.and_then(Rc::into_inner).map(Post::close)
    }
}

/// Gives away what is seen on the deciding thread.
struct Lookout {
    post: Rc<Post>,
    trouble: Trouble,
    had_guard: bool,
    /// `monotonic` at which it was last seen to be replaced.
    replaced: Option<Duration>,
    /// `monotonic` at which a person last asked the job to end.
    asked: Option<Duration>,
    /// `monotonic` at which facts were last looked at.
    looked: Option<Duration>,
    /// Those that were last given away.
    given: Option<Facts>,
}

impl Watcher for Lookout {
    fn recorded(&mut self, now: Moment, what: &What, run: &View<'_>) {
        self.look_at_guard(now, run);
        if let Some(event) = self.event_of(now, what, run) {
            // What led to it is seen before it.
            self.post.seen(self.facts(now, run));
            self.post.happened(now, event);
        }
    }

    fn seen(&mut self, now: Moment, run: &View<'_>) {
        self.look_at_guard(now, run);
        let is_within = |at: Option<Duration>, time| {
            at.is_some_and(|at| now.monotonic.saturating_sub(at) < time)
        };
        if is_within(self.looked, LOOK) {
            return;
        }
        self.looked = Some(now.monotonic);
        let facts = self.facts(now, run);
        let is_same = (self.given.as_ref()).is_some_and(|given| {
            let at = given.at;
            *given
                == Facts {
                    at,
                    ..facts.clone()
                }
        });
        let given = self.given.as_ref().map(|given| given.at.monotonic);
        if !is_same || !is_within(given, FACTS_AT_LEAST) {
            self.given = Some(facts.clone());
            self.post.seen(facts);
        }
    }
}

impl Lookout {
    fn look_at_guard(&mut self, now: Moment, run: &View<'_>) {
        let replaced = run.machine.guard_replaced();
        // One that ended before it ever answered, or is back already, was lost all the same.
        if replaced != self.replaced {
            self.replaced = replaced;
            self.had_guard = false;
            self.post.happened(now, Event::Guard(false));
        }
        let has_guard = run.machine.has_guard();
        if std::mem::replace(&mut self.had_guard, has_guard) != has_guard {
            self.post.happened(now, Event::Guard(has_guard));
        }
    }

    fn facts(&self, now: Moment, run: &View<'_>) -> Facts {
        let machine = run.machine;
        let outlook = machine.outlook();
        Facts {
            at: now,
            deadline: machine.settings().deadline,
            fit: machine.decision().and_then(|decision| decision.deadline),
            intensity: outlook.and_then(|outlook| outlook.expected.at(now.utc)),
            source: outlook.map(|outlook| (outlook.source.clone(), outlook.kind)),
            spent: machine.spent(),
            budget: machine.settings().budget,
            ledger_trouble: self.trouble.borrow().clone(),
        }
    }

    /// What an entry means to those who want to hear of it.
    fn event_of(&mut self, now: Moment, what: &What, run: &View<'_>) -> Option<Event> {
        let phase = run.machine.phase();
        match what {
            What::Confirmed {
                action: Action::Start,
                ..
            } => {
                self.asked = None;
                None
            }
            what if what.asks_to_end() => {
                self.asked = Some(now.monotonic);
                None
            }
            // A save that is not waited for, since the job is to end, is no failure.
            What::Saved {
                proof: None,
                took_us,
            } if !matches!(phase, Phase::Stopping { .. } | Phase::Ended(_)) => {
                let waited = Duration::from_micros(*took_us);
                Some(Event::Unproved { waited })
            }
            What::Refused {
                action: Action::Pause,
                why,
            } => Some(Event::PauseRefused(why.clone())),
            What::Left { attempt, exit, .. } if matches!(phase, Phase::Backoff { .. }) => {
                let (attempt, exit) = (*attempt, *exit);
                Some(Event::Restarted { attempt, exit })
            }
            What::Meters { meters } => Some(Event::Meters(meters.clone())),
            What::End { exit, why, .. } => {
                let grace = run.machine.settings().grace;
                let was_asked = self
                    .asked
                    .is_some_and(|at| now.monotonic.saturating_sub(at) <= grace + AFTER_ASKING);
                let is_bad = match exit {
                    Some(exit) => *exit != Exit::Code(0),
                    // Of what we did not start ourselves nobody knows how it ended.
                    None => !run.machine.settings().is_attached,
                };
                Some(Event::Ended {
                    exit: *exit,
                    why: why.clone(),
                    was_asked,
                    has_failed: is_bad && !was_asked,
                })
            }
            _ => None,
        }
    }
}
