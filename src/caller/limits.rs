//! When a provider may be asked, for how long, and when again: decisions, without doing any of it.
//!
//! Time is an argument (`now`, monotonic, from any fixed start) and so is chance (`draw`, 0 up to 1).
//! [`Resilience`] holds every number; each of its parts may be `None`, which switches that mechanism
//! off, for tests that show what it is for.

mod breaker;
mod bucket;
mod counters;
mod retry;
mod timeouts;

use std::time::Duration;

pub use breaker::{Breaker, Gate, Trip};
pub use bucket::{Bucket, Pace};
pub use counters::Counters;
pub use retry::{Again, Next, Tries, retry_after};
pub use timeouts::{Patience, Timeouts};

/// Every number of the way to a provider; later set by `[resilience]` and `[cache]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Resilience {
    /// Answers on disk, shared by the processes of a user.
    pub cache: Option<Keep>,
    /// Most calls at once.
    pub bulkhead: Option<Bulkhead>,
    /// Most calls over time.
    pub bucket: Option<Pace>,
    /// When to leave a failing provider alone.
    pub breaker: Option<Trip>,
    /// How long an answer may take, learned; without it every answer may take [`Bounds::exchange`].
    pub timeout: Option<Patience>,
    /// When to try again.
    pub retry: Option<Again>,
    /// What no answer may exceed.
    pub bounds: Bounds,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            cache: Some(Keep::default()),
            bulkhead: Some(Bulkhead::default()),
            bucket: Some(Pace::default()),
            breaker: Some(Trip::default()),
            timeout: Some(Patience::default()),
            retry: Some(Again::default()),
            bounds: Bounds::default(),
        }
    }
}

/// Which answers are kept, and for how long they save a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// Most answers kept; the oldest go first. 512: a hundred zones, a few asks each.
    pub entries: usize,
    /// Most bytes kept in all. 64 MiB: an answer has 5 to 100 kB.
    pub bytes: u64,
    /// Most files that cannot be read, set aside for whoever looks for the reason. 8.
    pub damaged: usize,
    /// How long to wait for another process that is asking the same. 10 s: longer than an answer
    /// takes, shorter than somebody at a terminal waits twice.
    pub share: Duration,
    /// How long the disk may take for one answer before it is left alone for good. 2 s.
    pub disk: Duration,
    /// Shortest and longest time for which an answer saves a call, whatever the provider's cadence
    /// says: 1 min, so that a start in a loop asks once; 1 h, so that an hourly forecast is not
    /// missed by much.
    pub validity: (Duration, Duration),
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            entries: 512,
            bytes: 64 << 20,
            damaged: 8,
            share: Duration::from_secs(10),
            disk: Duration::from_secs(2),
            validity: (Duration::from_secs(60), Duration::from_secs(3600)),
        }
    }
}

impl Keep {
    /// For how long after its arrival an answer saves a call. A provider has something new every
    /// `cadence`, counted from when it made what it said (`age` before the arrival, where known).
    /// What is late may come at any time and is asked for again after a quarter of the cadence. Up
    /// to a tenth is added by `draw`, so that hosts that heard the same do not all ask again in the
    /// same second.
    pub fn validity(&self, cadence: Duration, age: Option<Duration>, draw: f64) -> Duration {
        let left = cadence.saturating_sub(age.unwrap_or_default());
        let (least, most) = self.validity;
        let base = left.max(cadence / 4).max(least).min(most);
        base + base.mul_f64(0.1 * draw.clamp(0.0, 1.0))
    }
}

/// Most calls at once to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulkhead {
    /// Under way at once. 2: a run asks for one or two things; interfaces have been seen to refuse a
    /// good key when asked for more at once.
    pub at_once: usize,
    /// Under way or waiting for their turn; whoever comes then is refused at once. 16.
    pub present: usize,
}

impl Default for Bulkhead {
    fn default() -> Self {
        Self {
            at_once: 2,
            present: 16,
        }
    }
}

/// What no answer may exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a body, after decompression. 8 MiB: the largest honest answer has 100 kB.
    pub body: usize,
    /// Headers. 100.
    pub headers: usize,
    /// Until the connection stands, TLS included. 10 s.
    pub connect: Duration,
    /// From the first byte sent to the last one read. 30 s.
    pub exchange: Duration,
    /// All waiting within one ask: for a turn, for a token, between attempts. 30 s: whoever needs
    /// the answer has something else to go on.
    pub waits: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            headers: 100,
            connect: Duration::from_secs(10),
            exchange: Duration::from_secs(30),
            waits: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_HOUR: Duration = Duration::from_secs(1800);

    #[test]
    fn an_answer_is_valid_until_the_next_one_is_due() {
        let keep = Keep::default();
        let minutes = |age: u64| {
            let age = Duration::from_secs(60 * age);
            keep.validity(HALF_HOUR, Some(age), 0.0).as_secs_f64() / 60.0
        };
        assert_eq!(minutes(0), 30.0);
        assert_eq!(minutes(20), 10.0);
        // Late: asked for again before long, and not all the time.
        assert_eq!(minutes(29), 7.5);
        assert_eq!(minutes(600), 7.5);
    }

    #[test]
    fn validity_stays_within_its_bounds_and_hosts_spread() {
        let keep = Keep::default();
        let second = Duration::from_secs(1);
        assert_eq!(keep.validity(second, None, 0.0), Duration::from_secs(60));
        assert_eq!(
            keep.validity(Duration::MAX, None, 0.0),
            Duration::from_secs(3600)
        );
        assert_eq!(
            keep.validity(HALF_HOUR, None, 1.0),
            Duration::from_secs(1980)
        );
    }
}
