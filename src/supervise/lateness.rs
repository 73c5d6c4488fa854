//! How late the deciding loop wakes up: planned against actual, as counts by length. Pure.
//!
//! It is what a busy machine, a helper that takes the processor, or a blocking call in the loop
//! would show first.

use std::time::Duration;

/// Upper bounds, in seconds.
const BOUNDS: [f64; 13] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Counts of wake-ups by how late they were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lateness {
    /// Of each bound those at most as late, and later than the bound before; the last are later
    /// than all bounds.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Lateness {
    /// One wake-up more, so late.
    pub fn add(&mut self, late: Duration) {
        let seconds = late.as_secs_f64();
        let place = BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(late);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of it.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Bounds in seconds with the counts up to each, not those below the bound before; the last bound
    /// is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts)
    }

    /// The least bound that this share of all wake-ups (0 to 1) kept; none before the first.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut so_far = 0;
        let found = self.buckets().find(|(_, count)| {
            so_far += count;
            so_far >= wanted
        });
        found.filter(|_| self.count() > 0).map(|(bound, _)| bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_bound_that_so_many_kept() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.percentile(0.99), None);
        for _ in 0..99 {
            lateness.add(Duration::from_micros(1000));
        }
        lateness.add(Duration::from_secs(60));
        assert_eq!(lateness.percentile(0.99), Some(0.001));
        assert_eq!(lateness.percentile(1.0), Some(f64::INFINITY));
        assert_eq!(lateness.count(), 100);
        assert_eq!(lateness.sum(), Duration::from_millis(60_099));
    }
}
