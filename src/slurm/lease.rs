//! What the node that leads a job tells the others, what they answer, and who of them is still there. Pure.
//!
//! Each has one small file in a directory that they share, and renews it. Whether somebody is there is judged by
//! the reader's own monotonic clock since the content last changed: clocks of hosts differ, and so do
//! the times of files. Nobody waits for somebody who is not there: without a lease every node runs on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The format of both.
pub const FORMAT: &str = "catrain.lease/1";
/// A file is renewed so often at least.
pub const BEAT: Duration = Duration::from_secs(2);
/// And looked at so often: how far apart nodes stop and go on.
pub const LOOK: Duration = Duration::from_millis(250);
/// Whose file has not changed for so long is not there. Caches of network file systems show a change some
/// seconds late.
pub const LOST_AFTER: Duration = Duration::from_secs(12);
/// One that was never seen is waited for so long: tasks of a step do not start in the same second.
pub const FIRST: Duration = Duration::from_secs(30);

/// What all nodes are to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Not to start yet.
    #[default]
    Hold,
    /// To run.
    Run,
    /// To stand still.
    Stop,
    /// The job of the node that leads is over.
    Over,
}

/// What the node that leads tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// [`FORMAT`].
    pub format: String,
    /// Its run.
    pub run: String,
    /// Its node.
    pub node: String,
    /// Counts up: that it is there.
    pub beat: u64,
    /// What is to be done.
    pub order: Order,
    /// Which order this is, from 1.
    pub nth: u64,
    /// How often the job was asked to save its state.
    pub saves: u64,
}

/// What a node that follows answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// [`FORMAT`].
    pub format: String,
    /// Its run.
    pub run: String,
    /// Its node.
    pub node: String,
    /// Counts up: that it is there.
    pub beat: u64,
    /// The last order that it has carried out.
    pub nth: u64,
    /// Processes that it holds stopped.
    pub stopped: u32,
    /// The order that it could not carry out, and why.
    #[serde(default)]
    pub refused: Option<(u64, String)>,
    /// Whether its job is over.
    #[serde(default)]
    pub is_over: bool,
}

/// Judges by what is read again and again whether who writes it is there.
#[derive(Clone, Debug)]
pub struct Judge<T> {
    /// Since when it is looked for.
    since: Duration,
    /// What was read last, and when it was new.
    seen: Option<(T, Duration)>,
}

/// Whether somebody is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Presence<T> {
    /// Not seen yet, and may still come.
    Awaited,
    /// There, and this is its last word.
    There(T),
    /// Not there any more, or never was.
    Lost,
}

impl<T: PartialEq> Judge<T> {
    /// One that is looked for from `now` on. Times are the reader's monotonic clock.
    pub fn since(now: Duration) -> Self {
        Self {
            since: now,
            seen: None,
        }
    }

    /// What is read at `now`; none: nothing that can be read.
    pub fn see(&mut self, content: Option<T>, now: Duration) {
        let Some(content) = content else { return };
        if self.seen.as_ref().is_none_or(|(last, _)| *last != content) {
            self.seen = Some((content, now));
        }
    }

    /// Whether it is there.
    pub fn presence(&self, now: Duration) -> Presence<&T> {
        match &self.seen {
            Some((content, at)) if now.saturating_sub(*at) < LOST_AFTER => Presence::There(content),
            Some(_) => Presence::Lost,
            None if now.saturating_sub(self.since) < FIRST => Presence::Awaited,
            None => Presence::Lost,
        }
    }

    /// What was read last, however long ago.
    pub fn last(&self) -> Option<&T> {
        self.seen.as_ref().map(|(content, _)| content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_renews_is_there_and_who_does_not_is_lost_and_may_come_back() {
        let mut judge = Judge::since(at(100));
        assert_eq!(judge.presence(at(110)), Presence::Awaited);
        judge.see(None, at(111));
        judge.see(Some(1), at(112));
        assert_eq!(judge.presence(at(112)), Presence::There(&1));
        // The same content again is no sign of life.
        judge.see(Some(1), at(120));
        assert_eq!(judge.presence(at(123)), Presence::There(&1));
        assert_eq!(judge.presence(at(124)), Presence::Lost);
        judge.see(None, at(125));
        assert_eq!(judge.presence(at(125)), Presence::Lost);
        judge.see(Some(2), at(300));
        assert_eq!(judge.presence(at(301)), Presence::There(&2));
        assert_eq!(judge.last(), Some(&2));
    }

    #[test]
    fn who_never_comes_is_waited_for_and_then_not() {
        let judge: Judge<u8> = Judge::since(at(100));
        assert_eq!(judge.presence(at(129)), Presence::Awaited);
        assert_eq!(judge.presence(at(130)), Presence::Lost);
    }

    #[test]
    fn a_clock_of_another_host_makes_no_difference() {
        // Nothing in what is written is a time; the reader's clock may start anywhere.
        for start in [0, 1_000_000] {
            let mut judge = Judge::since(at(start));
            for beat in 0..50 {
                let now = at(start + 2 * beat);
                judge.see(Some(beat), now);
                assert!(matches!(judge.presence(now), Presence::There(_)));
            }
        }
        let told = serde_json::to_value(Leader::default()).unwrap();
        let names: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            ["beat", "format", "node", "nth", "order", "run", "saves"]
        );
    }
}
