//! Jobs: when they arrive, how long they take, what they draw, and how far all that may be off from
//! what the policy is told.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;

use crate::forecast::Span;
use crate::supervise::machine::{Expected, delay_allowed};
use crate::units::Watts;

const HOUR: Duration = Duration::from_secs(3600);

/// One job of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name, for messages.
    pub id: String,
    /// When it could start.
    pub arrival: Timestamp,
    /// How long the policy is told that it takes; none: it is not told.
    pub told: Option<Duration>,
    /// The latest end that the policy is told.
    pub deadline: Option<Timestamp>,
    /// The most delay that the policy is told.
    pub max_delay: Option<Duration>,
    /// Whether it may be paused once it runs.
    pub can_pause: bool,
    /// What it draws.
    pub load: Load,
    /// How long it really runs, undisturbed.
    pub running_time: Duration,
}

impl Job {
    /// When it has to be done: the deadline, or the end of the delay that it may take in all.
    pub fn latest_end(&self) -> Timestamp {
        let allowed = delay_allowed(
            self.expected(0.0),
            self.max_delay,
            self.deadline,
            self.running_time,
        );
        let by_delay = allowed
            .map(|delay| Span::new(self.arrival, self.running_time.saturating_add(delay)).end);
        match (self.deadline, by_delay) {
            (Some(deadline), Some(delay)) => deadline.min(delay),
            (deadline, delay) => deadline.or(delay).unwrap_or(Timestamp::MAX),
        }
    }

    /// What the machine is told of its length.
    pub(super) fn expected(&self, margin: f64) -> Option<Expected> {
        self.told.map(|duration| Expected {
            duration,
            margin,
            given: true,
        })
    }
}

/// Power over running time.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Stretches of running time; the last goes on for ever.
    pieces: Vec<(Duration, Watts)>,
    mean: Watts,
}

impl Load {
    /// The same power all the time.
    pub fn constant(power: Watts) -> Self {
        Self::recorded(vec![(HOUR, power)])
    }

    /// Power stretch by stretch; none is none at all.
    pub fn recorded(mut pieces: Vec<(Duration, Watts)>) -> Self {
        pieces.retain(|(length, _)| !length.is_zero());
        let time: Duration = pieces.iter().map(|(length, _)| *length).sum();
        let energy: f64 = (pieces.iter())
            .map(|(length, power)| power.0 * length.as_secs_f64())
            .sum();
        let mean = match pieces.as_slice() {
            [] => Watts::ZERO,
            [(_, power)] => *power,
            _ => Watts(energy / time.as_secs_f64()),
        };
        Self { pieces, mean }
    }

    /// Its mean.
    pub fn mean(&self) -> Watts {
        self.mean
    }

    /// The stretches of equal power in `length` of running time after the first `from`.
    pub fn within(&self, from: Duration, length: Duration) -> Vec<(Duration, Watts)> {
        let mut begins = Duration::ZERO;
        let (mut at, end) = (from, from + length);
        let mut within = Vec::with_capacity(1);
        for (index, (length, power)) in self.pieces.iter().enumerate() {
            let ends = match index + 1 == self.pieces.len() {
                true => Duration::MAX,
                false => begins + *length,
            };
            let until = ends.min(end);
            if at < until {
                within.push((until - at, *power));
                at = until;
            }
            begins = ends;
        }
        within
    }
}

/// How long a job of stated `duration` really runs: longer or shorter by the fraction `error`, one or
/// the other by the seed, and at rates of progress with the standard deviation `noise` (a fraction)
/// from hour to hour. Both are below 1.
pub fn running_time(duration: Duration, error: f64, noise: f64, seed: u64) -> Duration {
    let mut draws = Rng::with_seed(seed);
    let sign = if draws.bool() { 1.0 } else { -1.0 };
    let work = duration.mul_f64((1.0 + sign * error).max(0.0));
    if noise == 0.0 {
        return work;
    }
    let mut left = work.as_secs_f64() / 3600.0;
    let mut hours = 0.0;
    loop {
        // The sum of twelve is near to normal, and never further off than six deviations.
        let normal = (0..12).map(|_| draws.f64()).sum::<f64>() - 6.0;
        let rate = (1.0 + noise * normal).max(0.05);
        if rate >= left {
            return HOUR.mul_f64(hours + left / rate);
        }
        left -= rate;
        hours += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_cut_where_its_power_changes_and_goes_on_after_its_end() {
        let load = Load::recorded(vec![
            (HOUR, Watts(100.0)),
            (2 * HOUR, Watts(400.0)),
            (HOUR, Watts(200.0)),
        ]);
        assert_eq!(load.mean(), Watts(275.0));
        assert_eq!(
            load.within(HOUR / 2, 5 * HOUR),
            [
                (HOUR / 2, Watts(100.0)),
                (2 * HOUR, Watts(400.0)),
                (HOUR + 3 * HOUR / 2, Watts(200.0))
            ]
        );
    }

    #[test]
    fn a_wrong_length_is_wrong_by_just_as_much_either_way() {
        let lengths: Vec<Duration> = (0..20)
            .map(|seed| running_time(10 * HOUR, 0.2, 0.0, seed))
            .collect();
        assert!(lengths.contains(&(8 * HOUR)) && lengths.contains(&(12 * HOUR)));
        let known = |length: &Duration| [8 * HOUR, 12 * HOUR].contains(length);
        assert!(lengths.iter().all(known));
    }

    #[test]
    fn a_rate_that_varies_changes_the_length_a_little_and_by_the_seed_alone() {
        let lengths: Vec<f64> = (0..200)
            .map(|seed| running_time(10 * HOUR, 0.0, 0.02, seed).as_secs_f64() / 3600.0)
            .collect();
        assert!(lengths.iter().all(|hours| (hours - 10.0).abs() < 0.5));
        let mean = lengths.iter().sum::<f64>() / 200.0;
        assert!((mean - 10.0).abs() < 0.02, "{mean}");
        let deviation = lengths
            .iter()
            .map(|hours| (hours - mean).powi(2))
            .sum::<f64>()
            / 200.0;
        // Ten hours of 2 % each.
        assert!((deviation.sqrt() - 0.063).abs() < 0.015, "{deviation}");
        assert_eq!(
            lengths[7],
            running_time(10 * HOUR, 0.0, 0.02, 7).as_secs_f64() / 3600.0
        );
    }
}
