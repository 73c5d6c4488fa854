//! Makes letters of what is seen of a run: what is told of it, to whom, and when.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::time::Instant;

use super::cooling::{Cooling, Teller};
use super::letter::{About, Alert, Letter};
use super::office::{Office, Outcome, takes};
use super::post::{Count, Tell, Told};
use super::rule::Rule;
use super::settings::{Channel, Settings};
use super::watch::{Change, Event, Facts, Watch};
use crate::clock::{Moment, utc_now};

/// What becomes of what is not delivered.
pub(super) const KEPT: &str = "it is kept, and tried again (catrain alerts list)";

/// Makes letters of what is seen.
pub(super) struct Desk<'a> {
    watch: Watch,
    /// What a replay told: another day's alerts are nobody's cool-down.
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
    count: Count,
    unheard: Vec<String>,
    /// Channels of which it was told that they fail.
    failing: BTreeSet<String>,
}

impl<'a> Desk<'a> {
    /// Nothing seen, of this run.
    pub(super) fn new(
        settings: &'a Settings,
        about: About,
        office: &'a Office,
        tell: Tell,
        count: Count,
    ) -> Self {
        Self {
            watch: Watch::new(settings.rules.clone(), about.zone.clone()),
            own: about.replay.then(Cooling::default),
            about,
            settings,
            office,
            gathered: Vec::new(),
            send_at: None,
            told_due: None,
            tell,
            count,
            unheard: Vec::new(),
            failing: BTreeSet::new(),
        }
    }

    /// Until when what has gathered waits, if anything has.
    pub(super) fn send_at(&self) -> Option<Instant> {
        self.send_at
    }

    /// What nobody has heard of what went wrong.
    pub(super) fn unheard(self) -> Vec<String> {
        self.unheard
    }

    /// Looks at the facts, and at what happened.
    pub(super) async fn look(&mut self, facts: Option<Facts>, event: Option<(Moment, Event)>) {
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
            id: &super::new_id,
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
    pub(super) async fn send(&mut self) {
        self.send_at = None;
        let alerts = std::mem::take(&mut self.gathered);
        let letters = letters_of(self.settings, &alerts, utc_now());
        self.office.letters.add(letters).await;
    }

    pub(super) fn delivered(&mut self, channel: &Channel, outcome: &Outcome) {
        let kind = channel.by.name();
        if outcome.delivered > 0 {
            (self.count)(kind, "delivered", outcome.delivered as u64);
        }
        if outcome.failure.is_some() {
            (self.count)(kind, "failed", 1);
        }
        match &outcome.failure {
            // Once, until it is well again.
            Some(unsent) if self.failing.insert(channel.name.clone()) => {
                let text = format!("an alert is not delivered: {unsent}; {KEPT}");
                self.say(Told::Trouble(text));
            }
            Some(_) => {}
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
    pub(super) fn count(&mut self, lost: u64) {
        if lost > 0 {
            self.say(Told::Trouble(format!(
                "{lost} things that happened were not looked at for alerts: too many at once"
            )));
        }
    }

    pub(super) fn complain(&mut self) {
        if let Some(trouble) = self.office.letters.trouble()
            && self.failing.insert("/disk".to_owned())
        {
            self.say(Told::Trouble(trouble));
        }
    }

    pub(super) fn say(&mut self, told: Told) {
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
