//! The person at the terminal: news as lines on standard error, at a time when they do no harm.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::clock::Moment;
use crate::supervise::machine::{News, Phase};
use crate::supervise::news::{self, Setting};
use crate::supervise::{Arrival, Teller, View};
use crate::talk::Talk;

use super::existence::Existence;
use super::hands;

/// Tells what happens.
pub(super) struct Person {
    pub(super) talk: Talk,
    pub(super) setting: Setting,
    /// Another node speaks for the job: only what is urgent is said here.
    pub(super) is_quiet: bool,
    /// The job writes to the same terminal: lines wait for a pause or the end.
    pub(super) shares_terminal: bool,
    waiting: Vec<String>,
    /// Told once the run is held.
    existence: Existence,
    /// The hold or pause that a countdown is shown for, and when it began.
    counting: Option<(Phase, Duration)>,
    /// Where Enter is told, until the job starts.
    arrivals: Option<mpsc::Sender<Arrival>>,
    /// Who listens for it.
    enter: Option<AbortHandle>,
}

impl Person {
    pub(super) fn new(
        talk: Talk,
        setting: Setting,
        shares_terminal: bool,
        existence: Existence,
    ) -> Self {
        Self {
            talk,
            setting,
            is_quiet: false,
            shares_terminal,
            waiting: Vec::new(),
            existence,
            counting: None,
            arrivals: None,
            enter: None,
        }
    }

    /// The same, telling of Enter while a hold lasts that comes before the start.
    pub(super) fn telling(mut self, arrivals: mpsc::Sender<Arrival>) -> Self {
        self.arrivals = self.setting.enter_starts.then_some(arrivals);
        self
    }

    /// Says what had to wait, and gives the voice back.
    pub(super) fn finish(mut self) -> Talk {
        self.say_waiting();
        self.talk.clear();
        self.talk
    }

    fn say_waiting(&mut self) {
        for line in self.waiting.drain(..) {
            self.talk.say(&line);
        }
    }
}

impl Teller for Person {
    fn tell(&mut self, now: Moment, news: &News, run: &View<'_>) {
        if self.is_quiet && !news::is_urgent(news) {
            return;
        }
        let lines = news::lines(news, now, run, &self.setting);
        let job_writes = matches!(
            run.machine.phase(),
            Phase::Running { .. } | Phase::Stopping { .. }
        );
        if self.shares_terminal && job_writes && !news::is_urgent(news) {
            self.waiting.extend(lines);
            return;
        }
        self.say_waiting();
        for line in lines {
            self.talk.say(&line);
        }
    }

    fn countdown(&mut self, now: Moment, run: &View<'_>) {
        let phase = run.machine.phase();
        self.existence.begins();
        if self.counting.is_none_or(|(shown, _)| shown != phase) {
            self.counting = Some((phase, now.elapsed));
        }
        // Only now: what was typed ahead is for a job that starts at once.
        if phase == Phase::Holding
            && !run.machine.holds().is_empty()
            && self.enter.is_none()
            && let Some(arrivals) = self.arrivals.take()
        {
            self.enter = hands::watch_enter(arrivals, self.talk.on_line_typed());
        }
        let since = self.counting.map_or(now.elapsed, |(_, since)| since);
        if let Some((text, share)) = news::countdown(now, run, &self.setting, since) {
            self.talk.countdown(text, share);
        }
    }

    fn lend_input(&mut self) {
        self.arrivals = None;
        if let Some(enter) = self.enter.take() {
            enter.abort();
        }
    }

    fn make_way(&mut self) {
        self.counting = None;
        self.talk.clear();
    }
}
