//! What providers have in common when they are asked.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::Span;

/// The last 24 hours before `now` in whole steps: all who ask within one step ask for the same, and
/// need one answer.
pub(super) fn last_day(now: Timestamp, step: Duration) -> Span {
    let step = step.as_secs().cast_signed();
    let second = now.as_second().div_euclid(step) * step;
    let end = Timestamp::from_second(second).unwrap_or(Timestamp::MIN);
    let start = end.checked_sub(SignedDuration::from_hours(24));
    Span {
        start: start.unwrap_or(Timestamp::MIN),
        end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_within_a_step_ask_for_the_same_day() {
        let of = |now: &str| last_day(now.parse().unwrap(), Duration::from_secs(300));
        let day = of("2026-11-20T09:35:00Z");
        assert_eq!(day.start.to_string(), "2026-11-19T09:35:00Z");
        assert_eq!(day.end.to_string(), "2026-11-20T09:35:00Z");
        assert_eq!(of("2026-11-20T09:39:59.9Z"), day);
        assert_ne!(of("2026-11-20T09:40:00Z"), day);
        assert_eq!(
            last_day(Timestamp::MIN, Duration::from_secs(7)).end,
            Timestamp::MIN
        );
    }
}
