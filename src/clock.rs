//! Time as an argument: [`Moment`] is what decisions are given, [`Clock`] is who reads it.
//!
//! This is the only file that reads a clock. Four readings are kept apart because they disagree
//! when the wall clock is set, when the host sleeps, and in a replay:
//!
//! | reading | from | for |
//! |---|---|---|
//! | `utc` | `CLOCK_REALTIME` | forecasts, plans, deadlines, records |
//! | `elapsed` | `CLOCK_BOOTTIME` | segments, minima, progress: they tile and never jump |
//! | `monotonic` | `CLOCK_MONOTONIC` | grace periods, leases, give-up times: always real |
//! | `suspended` | difference of the two | time that the host slept |
//!
//! A replay moves `utc` and `elapsed` faster; `monotonic` stays real, so that a job in a replay has
//! the same thirty seconds to end as any other.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// One instant, as every clock that matters sees it. Durations count from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Wall-clock time; in a replay the replayed time.
    pub utc: Timestamp,
    /// Time since the start of the run, host suspend included; in a replay times its speed.
    pub elapsed: Duration,
    /// Real time since the start of the run, host suspend excluded.
    pub monotonic: Duration,
    /// How much of `elapsed` the host slept through, so far.
    pub suspended: Duration,
}

/// Reads the time.
pub trait Clock {
    /// The present.
    fn now(&self) -> Moment;

    /// How much faster than real `utc` and `elapsed` pass (1 outside a replay).
    fn speed(&self) -> f64;
}

/// The machine's clocks, or a replay of another day driven by them.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    boottime_at_start: Duration,
    monotonic_at_start: Duration,
    /// How long the run had gone on already at the start, in real time.
    before: Duration,
    replay: Option<Replay>,
}

/// A day lived out again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replay {
    /// The replayed time at the start of the run.
    pub from: Timestamp,
    /// Replayed seconds per real second, above 0.
    pub speed: f64,
}

impl SystemClock {
    /// Starts counting now.
    pub fn start(replay: Option<Replay>) -> Self {
        Self {
            boottime_at_start: boottime(),
            monotonic_at_start: monotonic(),
            before: Duration::ZERO,
            replay,
        }
    }

    /// The same of a run that began so long ago, elsewhere: `elapsed` goes on from there.
    pub fn going_on(self, before: Duration) -> Self {
        Self { before, ..self }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let monotonic = monotonic().saturating_sub(self.monotonic_at_start);
        let awake_and_asleep = boottime().saturating_sub(self.boottime_at_start);
        let suspended = awake_and_asleep.saturating_sub(monotonic);
        match self.replay {
            None => Moment {
                utc: utc_now(),
                elapsed: self.before + awake_and_asleep,
                monotonic,
                suspended,
            },
            Some(Replay { from, speed }) => {
                let elapsed = (self.before + awake_and_asleep).mul_f64(speed);
                Moment {
                    utc: from + SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX),
                    elapsed,
                    monotonic,
                    suspended: suspended.mul_f64(speed),
                }
            }
        }
    }

    fn speed(&self) -> f64 {
        self.replay.map_or(1.0, |replay| replay.speed)
    }
}

/// A clock that moves only when told: for tests and for simulation.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Moment,
}

impl ManualClock {
    /// Starts a run at `utc`.
    pub fn at(utc: Timestamp) -> Self {
        let zero = Duration::ZERO;
        Self {
            now: Moment {
                utc,
                elapsed: zero,
                monotonic: zero,
                suspended: zero,
            },
        }
    }

    /// Lets time pass on every clock.
    pub fn advance(&mut self, by: Duration) {
        self.now.utc += SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.now.elapsed += by;
        self.now.monotonic += by;
    }

    /// Sets the wall clock, as an administrator or a time server would.
    pub fn set_utc(&mut self, utc: Timestamp) {
        self.now.utc = utc;
    }

    /// Puts the host to sleep for a while.
    pub fn suspend(&mut self, by: Duration) {
        self.now.utc += SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.now.elapsed += by;
        self.now.suspended += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.now
    }

    fn speed(&self) -> f64 {
        1.0
    }
}

/// The wall clock, for commands that have no run.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn utc_now() -> Timestamp {
    Timestamp::now()
}

/// `CLOCK_BOOTTIME`: time since boot, host suspend included.
pub fn boottime() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

/// `CLOCK_MONOTONIC` since boot, host suspend excluded: for give-up times outside a run.
pub fn monotonic() -> Duration {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Processor time that this process has used, its threads included.
pub fn own_processor_time() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock)
        .expect("Linux has this clock since 2.6.39")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_moves_the_wall_clock_and_leaves_the_monotonic_one() {
        let from: Timestamp = "2021-09-14T10:00:00Z".parse().unwrap();
        let clock = SystemClock::start(Some(Replay { from, speed: 1e6 }));
        let now = loop {
            let now = clock.now();
            if now.monotonic > Duration::ZERO {
                break now;
            }
        };
        assert!(now.utc.duration_since(from) > SignedDuration::try_from(now.monotonic).unwrap());
        assert!(now.elapsed > now.monotonic);
    }

    #[test]
    fn setting_the_wall_clock_leaves_elapsed_alone() {
        let mut clock = ManualClock::at("2021-09-14T10:00:00Z".parse().unwrap());
        clock.advance(Duration::from_secs(60));
        clock.set_utc("2021-09-14T08:00:00Z".parse().unwrap());
        assert_eq!(clock.now().elapsed, Duration::from_secs(60));
        clock.suspend(Duration::from_secs(30));
        assert_eq!(
            clock.now().elapsed - clock.now().suspended,
            clock.now().monotonic
        );
    }
}
