//! When to try again, from what a failure means.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::caller::wire::Class;

/// No delay is longer: whoever waits has something else to go on.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often, and after which delays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Again {
    /// Attempts in all. 4: one and three more.
    pub attempts: u32,
    /// Ceiling of the first delay, doubled for each further one. 1 s, thus 1, 2, 4 s.
    pub delay: Duration,
    /// The wait after "too many requests" without a time. 60 s: that of most providers' rules.
    pub throttled: Duration,
}

impl Default for Again {
    fn default() -> Self {
        Self {
            attempts: 4,
            delay: Duration::from_secs(1),
            throttled: Duration::from_secs(60),
        }
    }
}

impl Again {
    /// The longest delay after so many failures (at least one): exponential.
    fn ceiling(&self, failed: u32) -> Duration {
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.delay)
            .with_max_delay(LONGEST)
            .without_max_times();
        let nth = usize::try_from(failed.saturating_sub(1)).unwrap_or(0);
        delays.build().nth(nth).unwrap_or(LONGEST)
    }
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt after this time.
    After(Duration),
    /// A login, then another attempt at once.
    LogIn,
    /// No further attempt.
    GiveUp,
    /// No further attempt now: the provider wants more time than there is.
    TooLong(Duration),
}

/// The attempts of one ask.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    again: Again,
    failed: u32,
    logged_in: bool,
}

impl Tries {
    /// None so far. Without `again` there is only the first.
    pub fn new(again: Option<Again>) -> Self {
        Self {
            again: again.unwrap_or(Again {
                attempts: 1,
                ..Again::default()
            }),
            failed: 0,
            logged_in: false,
        }
    }

    /// What follows from a failed attempt of this class, with so much time `left` for waiting.
    ///
    /// `told` is what `Retry-After` says; it is never undercut. Where nothing is told the delay is
    /// drawn from nothing up to its ceiling ("full jitter"): those who failed together do not come
    /// back together.
    pub fn failed(
        &mut self,
        class: Class,
        told: Option<Duration>,
        left: Duration,
        draw: f64,
    ) -> Next {
        let draw = draw.clamp(0.0, 1.0);
        // A login once is not another attempt: a token that is over is usual, not a failure.
        if class == Class::LogIn && !self.logged_in {
            self.logged_in = true;
            return Next::LogIn;
        }
        self.failed += 1;
        let ceiling = self.again.ceiling(self.failed);
        let wait = match class {
            Class::Never | Class::LogIn => return Next::GiveUp,
            Class::RetryOnce if self.failed > 1 => return Next::GiveUp,
            Class::Retry | Class::RetryOnce => told
                .unwrap_or_default()
                .saturating_add(ceiling.mul_f64(draw)),
            Class::Wait(own) => told
                .or(own)
                .unwrap_or(self.again.throttled)
                .saturating_add(self.again.delay.mul_f64(draw)),
        };
        // That a provider wants much time is worth telling even after the last attempt.
        if wait > left {
            Next::TooLong(wait)
        } else if self.failed >= self.again.attempts {
            Next::GiveUp
        } else {
            Next::After(wait)
        }
    }

    /// How many attempts have failed so far.
    pub fn so_far(&self) -> u32 {
        self.failed
    }
}

/// The time in a `Retry-After` that arrived at `at`: whole seconds or an HTTP date (RFC 9110, 10.2.3),
/// nothing for a date that has passed; `None` where it is neither.
pub fn retry_after(text: &str, at: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit are as good as for ever.
        let seconds = text.parse().unwrap_or(u32::MAX);
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(at)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LEFT: Duration = Duration::from_secs(30);

    fn tries() -> Tries {
        Tries::new(Some(Again::default()))
    }

    /// The waits before each further attempt, all failing with `class`.
    fn waits(class: Class, draw: f64) -> Vec<f64> {
        let mut tries = tries();
        let mut waits = Vec::new();
        while let Next::After(wait) = tries.failed(class, None, LEFT, draw) {
            waits.push(wait.as_secs_f64());
        }
        waits
    }

    #[test]
    fn without_further_attempts_the_first_failure_is_the_last() {
        let mut none = Tries::new(None);
        assert_eq!(none.failed(Class::Retry, None, LEFT, 0.5), Next::GiveUp);
        assert!(matches!(
            tries().failed(Class::Retry, None, LEFT, 0.5),
            Next::After(_)
        ));
    }

    #[test]
    fn faults_are_retried_three_times_within_1_2_and_4_seconds() {
        assert_eq!(waits(Class::Retry, 1.0), [1.0, 2.0, 4.0]);
        assert_eq!(waits(Class::Retry, 0.5), [0.5, 1.0, 2.0]);
        assert_eq!(waits(Class::Retry, 0.0), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_no_answer_is_asked_for_once_more_and_a_refusal_never() {
        assert_eq!(waits(Class::RetryOnce, 1.0), [1.0]);
        assert_eq!(waits(Class::Never, 1.0), [0.0; 0]);
    }

    #[test]
    fn a_told_wait_is_never_undercut_and_given_up_at_once_when_too_long() {
        let told = Some(10 * SECOND);
        for class in [Class::Retry, Class::Wait(None), Class::Wait(Some(SECOND))] {
            let next = tries().failed(class, told, LEFT, 0.0);
            assert_eq!(next, Next::After(10 * SECOND), "{class:?}");
            let next = tries().failed(class, told, 9 * SECOND, 0.0);
            assert_eq!(next, Next::TooLong(10 * SECOND), "{class:?}");
        }
        let next = tries().failed(Class::Wait(None), None, LEFT, 0.0);
        assert_eq!(next, Next::TooLong(60 * SECOND));
    }

    #[test]
    fn a_login_is_had_once_and_costs_no_attempt() {
        let mut tries = tries();
        assert_eq!(tries.failed(Class::LogIn, None, LEFT, 0.0), Next::LogIn);
        assert_eq!(tries.so_far(), 0);
        assert_eq!(tries.failed(Class::LogIn, None, LEFT, 0.0), Next::GiveUp);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let at = "1994-11-06T08:49:07Z".parse().unwrap();
        let read = |text| retry_after(text, at);
        assert_eq!(read("120"), Some(120 * SECOND));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30 * SECOND));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert!(read("99999999999999999999999").unwrap() > 86_400 * SECOND);
        for neither in ["", "soon", "-5", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(read(neither), None, "{neither}");
        }
    }
}
