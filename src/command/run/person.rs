//! The person at the terminal: news as lines on standard error, at a time when they do no harm.

use std::time::Duration;

use tokio::task::AbortHandle;

use crate::clock::Moment;
use crate::supervise::machine::{News, Phase};
use crate::supervise::news::{self, Setting};
use crate::supervise::{Teller, View};
use crate::talk::Talk;

/// Tells what happens.
pub(super) struct Person {
    pub(super) talk: Talk,
    pub(super) setting: Setting,
    /// The job writes to the same terminal: lines wait for a pause or the end.
    pub(super) shares_terminal: bool,
    waiting: Vec<String>,
    /// The hold or pause that a countdown is shown for, and when it began.
    counting: Option<(Phase, Duration)>,
    /// Who listens for Enter.
    enter: Option<AbortHandle>,
}

impl Person {
    pub(super) fn new(talk: Talk, setting: Setting, shares_terminal: bool) -> Self {
        Self {
            talk,
            setting,
            shares_terminal,
            waiting: Vec::new(),
            counting: None,
            enter: None,
        }
    }

    /// The same, with a listener for Enter that ends when the job starts.
    pub(super) fn with_enter(mut self, enter: Option<AbortHandle>) -> Self {
        self.enter = enter;
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
        if self.counting.is_none_or(|(shown, _)| shown != phase) {
            self.counting = Some((phase, now.elapsed));
        }
        let since = self.counting.map_or(now.elapsed, |(_, since)| since);
        if let Some((text, share)) = news::countdown(now, run, &self.setting, since) {
            self.talk.countdown(text, share);
        }
    }

    fn make_way(&mut self) {
        if let Some(enter) = self.enter.take() {
            enter.abort();
        }
        self.counting = None;
        self.talk.clear();
    }
}
