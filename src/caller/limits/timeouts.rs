//! How long an answer may take, from how long answers took.

use std::collections::VecDeque;
use std::time::Duration;

/// How latencies become a time-out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// Times the 95th percentile of the latencies. 3.
    pub factor: f64,
    /// Shortest time-out. 2 s: a connection over a mobile line with TLS.
    pub floor: Duration,
    /// Longest time-out. 30 s.
    pub ceiling: Duration,
    /// The time-out while fewer than `least` latencies are known. 10 s.
    pub first: Duration,
    /// Latencies before they count. 3.
    pub least: usize,
    /// Latencies remembered. 64.
    pub memory: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            factor: 3.0,
            floor: Duration::from_secs(2),
            ceiling: Duration::from_secs(30),
            first: Duration::from_secs(10),
            least: 3,
            memory: 64,
        }
    }
}

/// The latencies of one provider.
#[derive(Clone, Debug)]
pub struct Timeouts {
    patience: Patience,
    seen: VecDeque<Duration>,
    /// Time-outs in a row.
    late: u32,
}

impl Timeouts {
    /// Nothing seen.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            seen: VecDeque::new(),
            late: 0,
        }
    }

    /// How long the next answer may take.
    pub fn limit(&self) -> Duration {
        let Patience {
            factor,
            floor,
            ceiling,
            first,
            least,
            ..
        } = self.patience;
        let usual = match self.percentile_95() {
            Some(latency) if self.seen.len() >= least => {
                latency.mul_f64(factor).max(floor).min(ceiling)
            }
            _ => first.max(floor),
        };
        // A provider that became slower would otherwise never again be in time.
        usual.saturating_mul(1 << self.late.min(16)).min(ceiling)
    }

    /// An answer took so long, from asking to the last byte.
    pub fn answered(&mut self, latency: Duration) {
        self.late = 0;
        self.seen.push_back(latency);
        if self.seen.len() > self.patience.memory {
            self.seen.pop_front();
        }
    }

    /// There was none in time: the next one may take twice as long.
    pub fn timed_out(&mut self) {
        self.late = self.late.saturating_add(1);
    }

    fn percentile_95(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.seen.iter().copied().collect();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that 95 % do not exceed.
        let rank = (sorted.len() * 95).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(timeouts: &Timeouts) -> f64 {
        timeouts.limit().as_secs_f64()
    }

    fn after(latencies_ms: &[u64]) -> Timeouts {
        let mut timeouts = Timeouts::new(Patience::default());
        for &latency in latencies_ms {
            timeouts.answered(Duration::from_millis(latency));
        }
        timeouts
    }

    #[test]
    fn the_limit_follows_the_slow_answers_within_floor_and_ceiling() {
        assert_eq!(seconds(&after(&[])), 10.0);
        assert_eq!(seconds(&after(&[1; 30])), 2.0);
        let mut latencies = vec![500; 58];
        latencies.extend([4000; 6]);
        assert_eq!(seconds(&after(&latencies)), 12.0);
        assert_eq!(seconds(&after(&[60_000; 10])), 30.0);
    }

    #[test]
    fn a_provider_that_became_slower_is_in_time_again_after_a_while() {
        let mut timeouts = after(&[200; 20]);
        let mut tries = Vec::new();
        while timeouts.limit() < Duration::from_secs(12) {
            tries.push(seconds(&timeouts));
            timeouts.timed_out();
        }
        assert_eq!(tries, [2.0, 4.0, 8.0]);
        timeouts.answered(Duration::from_millis(200));
        assert_eq!(seconds(&timeouts), 2.0);
    }
}
