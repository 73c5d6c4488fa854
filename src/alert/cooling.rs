//! What is told, and what was told too lately: a cool-down a rule, and recoveries of what was told.
//! Pure; what it remembers is kept across runs, since a job that is started again fails again.
//!
//! A problem is remembered by its rule and by what it is about: the name of the run, or the zone.
//! Several runs may share one; it is over once none of those that live has it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::letter::{About, Alert, Owner, State};
use super::rule::Rule;
use super::watch::{Change, News};
use super::wording::Words;

/// A problem of which nothing was heard for so long is forgotten.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Most problems that are remembered; the oldest go first.
const MOST: usize = 500;

/// What was told of each problem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cooling {
    #[serde(default)]
    problems: BTreeMap<String, Problem>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Problem {
    /// When it was last told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    told: Option<Timestamp>,
    /// When anything was heard of it.
    heard: Timestamp,
    /// What was not told since.
    #[serde(default)]
    similar: u32,
    /// While it goes on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    open: Option<Open>,
}

/// A problem that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    /// Who has it.
    owners: Vec<Owner>,
    /// Whether it was told; else what is to be, once the cool-down is over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    untold: Option<Alert>,
}

/// What is needed to tell something.
pub struct Teller<'a> {
    /// Of which run.
    pub about: &'a About,
    /// Who tells it.
    pub owner: &'a Owner,
    /// Whether somebody who once told something still lives.
    pub is_alive: &'a dyn Fn(&Owner) -> bool,
    /// Makes an id.
    pub id: &'a dyn Fn() -> String,
}

impl Cooling {
    /// What is to be told of a change, if anything.
    pub fn heard(
        &mut self,
        now: Timestamp,
        change: Change,
        cool_down: Duration,
        teller: &Teller<'_>,
    ) -> Option<Alert> {
        let Change { rule, part, news } = change;
        let key = key(rule, part.as_deref(), teller.about);
        let alert = |state: State, words: Words, similar: u32| Alert {
            id: (teller.id)(),
            rule,
            state,
            at: now,
            run: teller.about.clone(),
            words,
            similar,
        };
        match news {
            News::Happens(words) => {
                let problem = self.problem(&key, now);
                if problem.is_cooling(now, cool_down) {
                    problem.similar += 1;
                    return None;
                }
                let similar = problem.tell(now);
                Some(alert(State::Happened, words, similar))
            }
            News::Begins(words) => {
                let problem = self.problem(&key, now);
                let cools = problem.is_cooling(now, cool_down);
                if let Some(open) = &mut problem.open {
                    open.owners.retain(|owner| (teller.is_alive)(owner));
                    let is_known = !open.owners.is_empty();
                    if !open.owners.contains(teller.owner) {
                        open.owners.push(teller.owner.clone());
                    }
                    // A run goes on with the problem that a killed one had.
                    if is_known || cools {
                        return None;
                    }
                }
                let untold = match cools {
                    true => {
                        problem.similar += 1;
                        Some(alert(State::Raised, words.clone(), 0))
                    }
                    false => None,
                };
                let is_told = untold.is_none();
                problem.open = Some(Open {
                    owners: vec![teller.owner.clone()],
                    untold,
                });
                is_told.then(|| {
                    let similar = problem.tell(now);
                    alert(State::Raised, words, similar)
                })
            }
            News::Over(words) => {
                let problem = self.problems.get_mut(&key)?;
                let is_told = problem.close(now, teller)?;
                is_told.then(|| alert(State::Recovered, words, 0))
            }
            News::Moot => {
                self.problems.get_mut(&key)?.close(now, teller);
                None
            }
        }
    }

    /// What was not told because of a cool-down, goes on, and may be told now.
    pub fn due(
        &mut self,
        now: Timestamp,
        cool_down: impl Fn(Rule) -> Duration,
        owner: &Owner,
    ) -> Vec<Alert> {
        let mut due = Vec::new();
        for problem in self.problems.values_mut() {
            let Some(open) = &problem.open else { continue };
            let Some(alert) = &open.untold else { continue };
            if !open.owners.contains(owner) || problem.is_cooling(now, cool_down(alert.rule)) {
                continue;
            }
            let mut alert = alert.clone();
            if let Some(open) = &mut problem.open {
                open.untold = None;
            }
            // It is itself the last of those that were not told.
            alert.similar = problem.tell(now).saturating_sub(1);
            due.push(alert);
        }
        due
    }

    /// When [`Self::due`] has something, at the earliest.
    pub fn next_due(
        &self,
        cool_down: impl Fn(Rule) -> Duration,
        owner: &Owner,
    ) -> Option<Timestamp> {
        let times = self.problems.values().filter_map(|problem| {
            let open = problem.open.as_ref()?;
            let alert = open.untold.as_ref()?;
            let told = problem.told.filter(|_| open.owners.contains(owner))?;
            told.checked_add(cool_down(alert.rule)).ok()
        });
        times.min()
    }

    /// Forgets what is long over.
    pub fn tidy(&mut self, now: Timestamp) {
        (self.problems).retain(|_, problem| now.duration_since(problem.heard) < FORGOTTEN);
        while self.problems.len() > MOST {
            let oldest = self
                .problems
                .iter()
                .min_by_key(|(_, problem)| problem.heard);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.problems.remove(&key);
        }
    }

    fn problem(&mut self, key: &str, now: Timestamp) -> &mut Problem {
        let problem = self.problems.entry(key.to_owned()).or_insert(Problem {
            told: None,
            heard: now,
            similar: 0,
            open: None,
        });
        problem.heard = now;
        problem
    }
}

impl Problem {
    /// Whether it was told lately. A clock that was set back does not keep it silent for ever.
    fn is_cooling(&self, now: Timestamp, cool_down: Duration) -> bool {
        self.told.is_some_and(|told| {
            let since = now.duration_since(told);
            !since.is_negative() && since.unsigned_abs() < cool_down
        })
    }

    /// It is told; gives what was not, since the last time.
    fn tell(&mut self, now: Timestamp) -> u32 {
        self.told = Some(now);
        std::mem::take(&mut self.similar)
    }

    /// It is over for one; whether it had been told, where it is over for all.
    fn close(&mut self, now: Timestamp, teller: &Teller<'_>) -> Option<bool> {
        self.heard = now;
        let open = self.open.as_mut()?;
        open.owners
            .retain(|owner| owner != teller.owner && (teller.is_alive)(owner));
        if !open.owners.is_empty() {
            return None;
        }
        self.open.take().map(|open| open.untold.is_none())
    }
}

/// What a problem is remembered by.
fn key(rule: Rule, part: Option<&str>, about: &About) -> String {
    let of = match rule {
        Rule::IntensityAbove | Rule::IntensityBelow | Rule::SourceDegraded => &about.zone,
        Rule::MeterLost => &about.host,
        _ => &about.name,
    };
    format!("{rule} {} {of}", part.unwrap_or("-"))
}

#[cfg(test)]
mod tests;
