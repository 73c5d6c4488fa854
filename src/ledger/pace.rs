//! How long a segment is, so that the file of a long run stays near its bound. Pure.

use std::time::Duration;

/// The longest that a segment gets. A run that never ends still writes a line that often.
pub(super) const LONGEST: Duration = Duration::from_mins(10);

/// The length of the next segment once `written` bytes of the `largest` are used: `sample` in the
/// first half of the room, twice that in the next quarter, four times in the next eighth, and so on up
/// to [`LONGEST`] (or to `sample`, where that is longer). Each of these stretches of the file takes
/// the same time, so that a file fills slower the fuller it is.
pub(super) fn interval(sample: Duration, written: u64, largest: u64) -> Duration {
    let longest = LONGEST.max(sample);
    let mut left = largest.saturating_sub(written);
    let mut interval = sample;
    while left.saturating_mul(2) <= largest && interval < longest {
        interval = interval.saturating_mul(2).min(longest);
        left = left.saturating_mul(2).max(1);
    }
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn seconds(written: u64) -> u64 {
        interval(Duration::from_secs(10), written, 16 * MIB).as_secs()
    }

    #[test]
    fn segments_double_each_time_half_of_what_is_left_is_used() {
        let cases = [
            (0, 10),
            (8 * MIB - 1, 10),
            (8 * MIB, 20),
            (12 * MIB, 40),
            (14 * MIB, 80),
            (15 * MIB, 160),
            (15 * MIB + MIB / 2, 320),
            (15 * MIB + 3 * MIB / 4, 600),
            (16 * MIB - 1, 600),
            (16 * MIB, 600),
            (u64::MAX, 600),
        ];
        for (written, expected) in cases {
            assert_eq!(seconds(written), expected, "{written}");
        }
    }

    #[test]
    fn a_sample_that_is_longer_than_the_longest_is_taken_as_it_is() {
        let sample = Duration::from_secs(3600);
        assert_eq!(interval(sample, 0, MIB), sample);
        assert_eq!(interval(sample, 2 * MIB, MIB), sample);
        assert_eq!(interval(sample, 0, 0), sample);
    }

    /// Eight GPUs with their idle lines, processor, memory and `catrain` are about 1.9 kB a line.
    #[test]
    fn a_month_of_eight_gpus_stays_near_the_bound() {
        let (largest, line, month) = (16 * MIB, 1900, 30 * 24 * 3600);
        let (mut written, mut at, mut lines) = (0, 0, 0_u64);
        while at < month {
            at += interval(Duration::from_secs(10), written, largest).as_secs();
            written += line;
            lines += 1;
        }
        assert!(written < 3 * largest / 2, "{written} bytes");
        assert!(lines < 15_000, "{lines} lines");
        // At one pace it would have been thirty times as much.
        assert!(month / 10 * line > 20 * written);
    }
}
