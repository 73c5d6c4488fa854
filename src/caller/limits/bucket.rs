//! Most calls over time: a token bucket whose rate is halved by "too many requests" and comes back
//! slowly.

use std::time::Duration;

/// How often a provider may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Calls in a row before the rate counts. 4: a place's asks and a retry.
    pub burst: f64,
    /// Highest rate, calls a second. 1: the rate that free interfaces are said to bear.
    pub ceiling: f64,
    /// Lowest rate, calls a second. 1/60: once a minute is the strictest published limit.
    pub floor: f64,
    /// From the floor back to the ceiling, with no complaint in between. 10 min.
    pub recovery: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            burst: 4.0,
            ceiling: 1.0,
            floor: 1.0 / 60.0,
            recovery: Duration::from_secs(600),
        }
    }
}

/// The state of one provider's pace.
#[derive(Clone, Debug)]
pub struct Bucket {
    pace: Pace,
    tokens: f64,
    rate: f64,
    at: Duration,
    closed_until: Duration,
}

impl Bucket {
    /// Full, at the highest rate.
    pub fn new(pace: Pace, now: Duration) -> Self {
        Self {
            tokens: pace.burst,
            rate: pace.ceiling,
            at: now,
            closed_until: now,
            pace,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is none: how long until there is one, if nobody else takes it.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.refill(now);
        let told = self.closed_until.saturating_sub(now);
        // Tokens are sums of many small parts; what lacks less than a millionth is whole.
        if self.tokens < 1.0 - 1e-6 {
            let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.rate);
            return Err(wait.max(told));
        }
        if !told.is_zero() {
            return Err(told);
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// "Too many requests": half as fast from now on, nothing saved up, and nothing at all until
    /// `after` has passed, where the provider says so.
    pub fn throttled(&mut self, now: Duration, after: Option<Duration>) {
        self.refill(now);
        self.rate = (self.rate / 2.0).max(self.pace.floor);
        self.tokens = 0.0;
        if let Some(after) = after {
            self.keep_away(now, after);
        }
    }

    /// The provider wants no call before `after` has passed; one is in order then. One that asks for
    /// no wait at all is not asked faster for it than at the highest rate.
    pub fn keep_away(&mut self, now: Duration, after: Duration) {
        self.closed_until = self.closed_until.max(now.saturating_add(after));
        self.tokens = (after.as_secs_f64() * self.pace.ceiling).min(1.0);
    }

    /// Calls a second, at present.
    pub fn rate(&mut self, now: Duration) -> f64 {
        self.refill(now);
        self.rate
    }

    /// The rate grows in a line up to the ceiling; tokens are its integral.
    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let Pace {
            ceiling,
            floor,
            burst,
            recovery,
        } = self.pace;
        let growth = ((ceiling - floor) / recovery.as_secs_f64()).max(0.0);
        let growing = if growth > 0.0 {
            passed.min((ceiling - self.rate) / growth)
        } else {
            0.0
        };
        let gained = growing * (self.rate + growth * growing / 2.0);
        self.rate = (self.rate + growth * growing).min(ceiling);
        self.tokens = (self.tokens + gained + self.rate * (passed - growing)).min(burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bucket() -> Bucket {
        Bucket::new(Pace::default(), Duration::ZERO)
    }

    /// How many calls get through within `span`, asking every quarter of a second.
    fn calls(bucket: &mut Bucket, from: Duration, span: Duration) -> usize {
        let mut now = from;
        let mut through = 0;
        while now < from + span {
            through += usize::from(bucket.take(now).is_ok());
            now += SECOND / 4;
        }
        through
    }

    #[test]
    fn a_loop_gets_no_more_than_a_burst_and_the_rate() {
        let minute = 60 * SECOND;
        let asked = 240;
        let through = calls(&mut bucket(), Duration::ZERO, minute);
        assert!((60..=64).contains(&through), "{through} of {asked}");
    }

    #[test]
    fn too_many_requests_halve_the_rate_down_to_the_floor() {
        let mut bucket = bucket();
        let mut seen = Vec::new();
        for _ in 0..8 {
            bucket.throttled(SECOND, None);
            seen.push(bucket.rate(SECOND));
        }
        assert_eq!(&seen[..3], [0.5, 0.25, 0.125]);
        assert_eq!(seen[7], 1.0 / 60.0);
    }

    #[test]
    fn the_rate_comes_back_slowly_and_no_higher_than_its_ceiling() {
        let mut bucket = bucket();
        for _ in 0..8 {
            bucket.throttled(SECOND, None);
        }
        let half = bucket.rate(301 * SECOND);
        assert!((half - 0.508).abs() < 0.01, "{half}");
        assert_eq!(bucket.rate(700 * SECOND), 1.0);
        assert_eq!(bucket.rate(7000 * SECOND), 1.0);
    }

    #[test]
    fn what_the_provider_says_is_waited_for_even_with_tokens_left() {
        let mut bucket = bucket();
        bucket.throttled(SECOND, Some(90 * SECOND));
        assert_eq!(bucket.take(31 * SECOND), Err(60 * SECOND));
        assert_eq!(bucket.take(91 * SECOND), Ok(()));
    }

    #[test]
    fn no_wait_that_is_told_gives_more_than_the_rate() {
        let mut bucket = bucket();
        let mut through = 0;
        for second in 0..60 {
            while bucket.take(second * SECOND).is_ok() {
                through += 1;
                bucket.throttled(second * SECOND, Some(Duration::ZERO));
            }
        }
        assert!(through < 10, "{through}");
    }

    #[test]
    fn the_wait_that_is_told_is_enough() {
        let mut bucket = bucket();
        let mut now = Duration::ZERO;
        for round in 0..50 {
            if round % 9 == 0 {
                bucket.throttled(now, None);
            }
            if let Err(wait) = bucket.take(now) {
                now += wait;
                assert_eq!(bucket.take(now), Ok(()), "round {round}");
            }
        }
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_gives_no_tokens() {
        let mut bucket = bucket();
        let now = 100 * SECOND;
        while bucket.take(now).is_ok() {}
        assert!(bucket.take(SECOND).is_err());
        assert!(bucket.take(now).is_err());
    }
}
