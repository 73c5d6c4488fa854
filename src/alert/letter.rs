//! One alert, and one alert for one channel: what is sent, and what is written down of what is not
//! sent yet. Pure data with a version.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::wording::{RUN, Words};

/// Name and version of a line of the file of letters.
pub const FORMAT: &str = "catrain.letter/1";
/// The first wait after a failure for good, doubled with each.
const FIRST_WAIT: Duration = Duration::from_mins(1);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What became of what an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It happened.
    Happened,
    /// It began, and goes on.
    Raised,
    /// It is over.
    Recovered,
    /// Nothing is the matter: somebody tries out a channel.
    Test,
}

/// Of which run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its id; empty where there is none.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Where it runs.
    pub host: String,
    /// Whether it lives out another day.
    #[serde(default)]
    pub replay: bool,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Of its own, and the same however often it is tried.
    pub id: String,
    /// What it is about.
    pub rule: Rule,
    /// What became of it.
    pub state: State,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Of which run.
    pub run: About,
    /// What it says.
    #[serde(flatten)]
    pub words: Words,
    /// How many like it were not told since the last that was.
    #[serde(default)]
    pub similar: u32,
}

impl Alert {
    /// What happened, with the run's name in front: `finetune: the job failed`.
    pub fn title(&self) -> String {
        let replay = if self.run.replay { " (replay)" } else { "" };
        match self.run.name.as_str() {
            "" => self.words.what.clone(),
            name => format!("{name}{replay}: {}", self.words.what),
        }
    }

    /// What one can do, of this run; empty where there is nothing.
    pub fn advice(&self) -> String {
        let run = match self.run.id.as_str() {
            "" => "RUN",
            id => id,
        };
        self.words.advice.replace(RUN, run)
    }

    /// That more like it were not told, if so.
    pub fn more(&self) -> Option<String> {
        match self.similar {
            0 => None,
            1 => Some("1 more like it was not told before".to_owned()),
            many => Some(format!("{many} more like it were not told before")),
        }
    }
}

/// A process that does something for a run, so that others know whether it still does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its host.
    pub host: String,
    /// The host's boot id.
    pub boot_id: String,
    /// Its pid.
    pub pid: i32,
    /// Its start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// How far a letter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// It is to be sent.
    Waiting,
    /// Somebody is sending it.
    Sending {
        /// Who.
        by: Owner,
    },
    /// It could not be delivered, and is tried again later.
    Dead {
        /// Why not.
        why: String,
    },
    /// Whoever sent it was killed meanwhile: it may have arrived. It is not sent again.
    Unknown,
}

/// One alert for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// [`FORMAT`].
    pub format: String,
    /// The channel's name.
    pub channel: String,
    /// How far it is.
    pub standing: Standing,
    /// When it was written.
    pub since: Timestamp,
    /// When it may be sent at the earliest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_before: Option<Timestamp>,
    /// How often it was tried in vain.
    #[serde(default)]
    pub tries: u32,
    /// What it says.
    pub alert: Alert,
}

impl Letter {
    /// One that is to be sent, now or later.
    pub fn new(channel: &str, alert: Alert, now: Timestamp, not_before: Option<Timestamp>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            channel: channel.to_owned(),
            standing: Standing::Waiting,
            since: now,
            not_before,
            tries: 0,
            alert,
        }
    }

    /// Whether it may be sent now. A dead one is due out of turn where the channel is `well`: it has
    /// just delivered something, or nobody has tried it yet in this run.
    pub fn is_due(&self, now: Timestamp, well: bool) -> bool {
        let is_time = self.not_before.is_none_or(|at| at <= now);
        match self.standing {
            Standing::Waiting => is_time,
            Standing::Dead { .. } => is_time || well,
            Standing::Sending { .. } | Standing::Unknown => false,
        }
    }

    /// It could not be delivered.
    pub fn failed(&mut self, why: &str, now: Timestamp) {
        let doublings = self.tries.min(6);
        self.tries = self.tries.saturating_add(1);
        let wait = LONGEST_WAIT.min(FIRST_WAIT * (1 << doublings));
        self.not_before = now.checked_add(wait).ok();
        self.standing = Standing::Dead {
            why: why.to_owned(),
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::alert) fn alert(rule: Rule, state: State) -> Alert {
        Alert {
            id: "a1".to_owned(),
            rule,
            state,
            at: "2026-11-24T18:00:00Z".parse().unwrap(),
            run: About {
                id: "r7k2".to_owned(),
                name: "finetune".to_owned(),
                zone: "DE".to_owned(),
                host: "node7".to_owned(),
                replay: false,
            },
            words: Words {
                what: "the job failed".to_owned(),
                why: "it ended with 3".to_owned(),
                advice: format!("catrain report {RUN} shows what led to it"),
            },
            similar: 0,
        }
    }

    #[test]
    fn a_dead_letter_waits_longer_each_time_and_an_hour_at_most() {
        let now: Timestamp = "2026-11-24T18:00:00Z".parse().unwrap();
        let mut letter = Letter::new("ops", alert(Rule::JobFailed, State::Happened), now, None);
        let mut waits = Vec::new();
        for _ in 0..8 {
            letter.failed("nobody is there", now);
            let wait = letter.not_before.unwrap().duration_since(now);
            waits.push(wait.as_mins());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(!letter.is_due(now, false));
        assert!(letter.is_due(now, true));
    }

    #[test]
    fn what_may_have_arrived_is_not_sent_again() {
        let now: Timestamp = "2026-11-24T18:00:00Z".parse().unwrap();
        let mut letter = Letter::new("ops", alert(Rule::JobFailed, State::Happened), now, None);
        assert!(letter.is_due(now, false));
        letter.standing = Standing::Unknown;
        assert!(!letter.is_due(now, true));
    }

    #[test]
    fn a_letter_is_read_as_it_was_written_and_one_of_a_newer_version_too() {
        let now: Timestamp = "2026-11-24T18:00:00Z".parse().unwrap();
        let mut letter = Letter::new("ops", alert(Rule::JobFailed, State::Happened), now, None);
        letter.failed("nobody is there", now);
        let mut value = serde_json::to_value(&letter).unwrap();
        assert_eq!(
            serde_json::from_value::<Letter>(value.clone()).unwrap(),
            letter
        );
        value["later"] = true.into();
        assert_eq!(serde_json::from_value::<Letter>(value).unwrap(), letter);
    }
}
