//! When to leave a failing provider alone: a circuit breaker over a sliding window of calls.

use std::collections::VecDeque;
use std::time::Duration;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trip {
    /// The last calls that count, at most. 20.
    pub window: usize,
    /// How long a call counts. 10 min.
    pub memory: Duration,
    /// Calls before anything is concluded. 5: one ask with its retries, and one more.
    pub least: usize,
    /// Share of failures from which on it opens. 0.5.
    pub failing: f64,
    /// First time for which nobody asks. 30 s; doubled by each failed probe.
    pub cool_down: Duration,
    /// Longest time for which nobody asks. 15 min: half of the shortest usual cadence.
    pub cool_down_most: Duration,
    /// A probe that has told nothing for so long has been given up. 60 s: twice what an exchange
    /// may take.
    pub probe: Duration,
}

impl Default for Trip {
    fn default() -> Self {
        Self {
            window: 20,
            memory: Duration::from_secs(600),
            least: 5,
            failing: 0.5,
            cool_down: Duration::from_secs(30),
            cool_down_most: Duration::from_secs(900),
            probe: Duration::from_secs(60),
        }
    }
}

/// The state of one provider's breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    trip: Trip,
    state: State,
    /// When a call ended and whether it failed.
    calls: VecDeque<(Duration, bool)>,
    /// For how long it opens next.
    cool_down: Duration,
}

/// What a breaker does with a call, as is shown of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// It lets every one through.
    Closed,
    /// It waits for what comes of one.
    HalfOpen,
    /// It lets none through, or has not since its cool-down.
    Open,
}

impl Gate {
    /// All of them, with their words.
    pub const ALL: [(Self, &str); 3] = [
        (Self::Closed, "closed"),
        (Self::HalfOpen, "half_open"),
        (Self::Open, "open"),
    ];

    /// In a word.
    pub fn word(self) -> &'static str {
        let [(_, closed), (_, half_open), (_, open)] = Self::ALL;
        match self {
            Self::Closed => closed,
            Self::HalfOpen => half_open,
            Self::Open => open,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open {
        until: Duration,
    },
    /// One probe is under way.
    HalfOpen {
        since: Duration,
    },
}

impl Breaker {
    /// Closed, with nothing known.
    pub fn new(trip: Trip) -> Self {
        Self {
            state: State::Closed,
            calls: VecDeque::new(),
            cool_down: trip.cool_down,
            trip,
        }
    }

    /// Whether the provider was given up and has not been heard again since.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// What it does with calls.
    pub fn gate(&self) -> Gate {
        match self.state {
            State::Closed => Gate::Closed,
            State::Open { .. } => Gate::Open,
            State::HalfOpen { .. } => Gate::HalfOpen,
        }
    }

    /// How long nobody is let through, if so; changes nothing.
    pub fn refuses(&self, now: Duration) -> Option<Duration> {
        let until = match self.state {
            State::Closed => return None,
            State::Open { until } => until,
            State::HalfOpen { since } => since + self.trip.probe,
        };
        (now < until).then(|| until - now)
    }

    /// Lets a call through: every one while closed, one as a probe after a cool-down.
    ///
    /// # Errors
    /// How long nobody is let through.
    pub fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        if let Some(wait) = self.refuses(now) {
            return Err(wait);
        }
        if self.state != State::Closed {
            self.state = State::HalfOpen { since: now };
        }
        Ok(())
    }

    /// A call that was let through has ended. Whether it `failed` is about the provider's health:
    /// an answer that refuses a key is a healthy one.
    pub fn ended(&mut self, now: Duration, failed: bool) {
        match self.state {
            State::Closed => self.count(now, failed),
            State::HalfOpen { .. } if failed => self.open(now),
            State::HalfOpen { .. } => {
                self.state = State::Closed;
                self.calls.clear();
                self.cool_down = self.trip.cool_down;
            }
            // It began before the breaker opened, and is no probe.
            State::Open { .. } => {}
        }
    }

    fn count(&mut self, now: Duration, failed: bool) {
        self.calls.push_back((now, failed));
        while let Some(&(at, _)) = self.calls.front()
            && (self.calls.len() > self.trip.window || now.saturating_sub(at) > self.trip.memory)
        {
            self.calls.pop_front();
        }
        let failures = self.calls.iter().filter(|(_, failed)| *failed).count();
        let share = failures as f64 / self.calls.len().max(1) as f64;
        // A good answer is no reason, whatever came before it.
        if failed && self.calls.len() >= self.trip.least && share >= self.trip.failing {
            self.open(now);
        }
    }

    fn open(&mut self, now: Duration) {
        self.state = State::Open {
            until: now + self.cool_down,
        };
        self.cool_down = (self.cool_down * 2).min(self.trip.cool_down_most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(Trip::default())
    }

    fn fail(breaker: &mut Breaker, times: usize, now: Duration) {
        for _ in 0..times {
            breaker.admit(now).unwrap();
            breaker.ended(now, true);
        }
    }

    #[test]
    fn a_dead_provider_is_probed_now_and_then() {
        let day = 86_400;
        let mut breaker = breaker();
        let mut through = 0;
        for second in (0..day).step_by(10) {
            let now = second as u32 * SECOND;
            if breaker.admit(now).is_ok() {
                through += 1;
                breaker.ended(now, true);
            }
        }
        let asked = day / 10;
        assert!(through < 120, "{through} of {asked}");
    }

    #[test]
    fn it_opens_by_the_share_of_failures_and_not_by_a_few_calls() {
        let mut breaker = breaker();
        fail(&mut breaker, 4, SECOND);
        assert_eq!(breaker.refuses(SECOND), None);
        fail(&mut breaker, 1, SECOND);
        assert_eq!(breaker.refuses(SECOND), Some(30 * SECOND));

        let mut mostly_good = self::breaker();
        for call in 0..100 {
            mostly_good.admit(SECOND).unwrap();
            mostly_good.ended(SECOND, call % 3 == 0);
        }
        assert_eq!(mostly_good.refuses(SECOND), None);
    }

    #[test]
    fn a_good_answer_never_opens_it() {
        let mut breaker = breaker();
        fail(&mut breaker, 4, SECOND);
        breaker.ended(SECOND, false);
        assert_eq!(breaker.refuses(SECOND), None);
        fail(&mut breaker, 1, SECOND);
        assert_eq!(breaker.refuses(SECOND), Some(30 * SECOND));
    }

    #[test]
    fn after_the_cool_down_one_probe_goes_through_and_closes_it_or_doubles_the_time() {
        let mut breaker = breaker();
        fail(&mut breaker, 5, Duration::ZERO);
        assert_eq!(breaker.gate(), Gate::Open);
        assert_eq!(breaker.admit(30 * SECOND), Ok(()));
        assert_eq!(breaker.gate(), Gate::HalfOpen);
        assert!(breaker.admit(30 * SECOND).is_err(), "a second probe");
        breaker.ended(31 * SECOND, true);
        assert_eq!(breaker.admit(31 * SECOND), Err(60 * SECOND));
        assert_eq!(breaker.admit(91 * SECOND), Ok(()));
        breaker.ended(92 * SECOND, false);
        assert_eq!(breaker.refuses(92 * SECOND), None);
        fail(&mut breaker, 5, 93 * SECOND);
        assert_eq!(breaker.refuses(93 * SECOND), Some(30 * SECOND));
    }

    #[test]
    fn the_cool_down_has_a_cap() {
        let mut breaker = breaker();
        fail(&mut breaker, 5, Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..40 {
            now += breaker.refuses(now).unwrap();
            breaker.admit(now).unwrap();
            breaker.ended(now, true);
        }
        assert_eq!(breaker.refuses(now), Some(900 * SECOND));
    }

    #[test]
    fn a_probe_that_was_given_up_does_not_close_the_way_for_good() {
        let mut breaker = breaker();
        fail(&mut breaker, 5, Duration::ZERO);
        breaker.admit(30 * SECOND).unwrap();
        assert_eq!(breaker.admit(40 * SECOND), Err(50 * SECOND));
        assert_eq!(breaker.admit(90 * SECOND), Ok(()));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = breaker();
        fail(&mut breaker, 4, Duration::ZERO);
        fail(&mut breaker, 1, 601 * SECOND);
        assert_eq!(breaker.refuses(601 * SECOND), None);
    }
}
