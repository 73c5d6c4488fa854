//! How far the job is, by what it says itself, and how long the rest will take.
//!
//! [`Patterns`] reads what the job writes, [`Pace`] learns from it. A bar is known by its total, since
//! jobs draw several: steps, epochs, a validation between. Each total is a series of its own:
//!
//! - It is *measured* once it was watched for ten minutes of running time, moved three times and has
//!   1 % done.
//! - Falling from its last tenth to its first half, it begins a *lap*. It tells of a part that comes
//!   again and not of the whole, and is never asked again.
//! - It is *over* at its end, and *left* when it was silent for an hour (or for three times its longest
//!   silence before) while another moved.
//! - What remains is the longest remainder of all others, and unknown while one of these is not
//!   measured. So a short bar beside a long one never looks like the end of the job.
//!
//! A bar of epochs that names no number of epochs looks like the whole job until it begins its
//! second lap; nothing in what it says tells otherwise.

mod patterns;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use patterns::{BadPattern, LONGEST_EXPRESSION, LONGEST_LINE, Patterns, bounded};

/// A rate counts once so much running time was measured (POLICY §5).
const MEASURED_AFTER: Duration = Duration::from_secs(600);
/// Until then the margin falls (POLICY §5).
const SETTLED_AFTER: Duration = Duration::from_secs(3600);
/// The margin of a rate that was just measured, as a share of what remains (POLICY §5).
const FIRST_MARGIN: f64 = 0.25;
/// The smallest margin, as a share of what remains (POLICY §5).
const LEAST_MARGIN: f64 = 0.05;
/// The share that must be done before a rate counts (POLICY §5).
const LEAST_DONE: f64 = 0.01;
/// Fewer moves are no rate: the first may be a warm-up.
const LEAST_MOVES: u64 = 3;
/// A stretch is measured from one move to another, so far apart or more: bursts even out.
const STRETCH: Duration = Duration::from_secs(60);
/// Speed is what it was within this time: long enough to hold an evaluation, short enough to follow
/// a change.
const MEMORY: Duration = Duration::from_secs(8 * 3600);
/// A stretch so many times faster than the median is a leap, such as skipping to a checkpoint.
const LEAP: f64 = 10.0;
/// A series that was silent for so long while another moved is left.
const LEFT_AFTER: Duration = Duration::from_secs(3600);
/// More bars than this are not followed; the longest silent one is forgotten.
const MOST_SERIES: usize = 8;
/// What comes late from another rank is behind by so little, as a share of the total.
const LATE: f64 = 0.01;

/// How far the job says it is, in whatever it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// What is done, from 0 to `total`.
    pub done: f64,
    /// What there is to do, above 0.
    pub total: f64,
}

impl Reading {
    /// None unless `0 <= done <= total`, both are finite, and there is something to do.
    pub fn new(done: f64, total: f64) -> Option<Self> {
        let is_sound = total.is_finite() && total > 0.0 && (0.0..=total).contains(&done);
        is_sound.then_some(Self { done, total })
    }

    /// The share that is done, from 0 to 1.
    pub fn fraction(self) -> f64 {
        self.done / self.total
    }
}

/// What is learned from the readings of a run. Times are productive running time since its start, in
/// which nothing was held, paused or restored.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    series: Vec<Series>,
    heard: Duration,
    moves: u64,
}

/// A place in what was heard; see [`Pace::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Pace {
    /// Takes what was heard at this much productive time. Late and double readings change nothing.
    pub fn take(&mut self, productive: Duration, reading: Reading) {
        let Some(Reading { done, total }) = Reading::new(reading.done, reading.total) else {
            return;
        };
        self.heard = self.heard.max(productive);
        let at = self.heard;
        #[expect(clippy::float_cmp, reason = "the same total is printed the same")]
        let known = self.series.iter().position(|one| one.total == total);
        let has_moved = match known {
            Some(index) => self.series[index].take(at, done),
            None => {
                if self.series.len() == MOST_SERIES {
                    let silent = self.series.iter().enumerate();
                    let longest = silent.min_by_key(|(_, one)| one.heard_at);
                    let index = longest.map_or(0, |(index, _)| index);
                    self.series.remove(index);
                }
                self.series.push(Series::new(at, done, total));
                false
            }
        };
        if has_moved {
            self.moves += 1;
            for one in &mut self.series {
                one.may_leave(at);
            }
        }
    }

    /// The job was started again: what it says next follows from no reading before, and the time
    /// until then is not measured. The rate is kept.
    pub fn restarted(&mut self) {
        for one in &mut self.series {
            one.is_restarted = true;
        }
    }

    /// The present, to ask [`Pace::moved`] about.
    pub fn mark(&self) -> Mark {
        Mark(self.moves)
    }

    /// Whether the job has made progress since: the first after a restart tells how long restoring
    /// took. Starting anew at nothing is none; starting at what a checkpoint holds is.
    pub fn moved(&self, since: Mark) -> bool {
        self.moves > since.0
    }

    /// The last reading of the series that leads: the one with the longest remainder, or the first
    /// that was heard where none is measured.
    pub fn last(&self) -> Option<Reading> {
        let one = self.leading()?;
        Reading::new(one.last.done, one.total)
    }

    /// The share of the job that is done, from 0 to 1.
    pub fn fraction(&self) -> Option<f64> {
        self.last().map(Reading::fraction)
    }

    /// Speed in the job's own unit per running hour, above 0; none until it is measured.
    pub fn rate(&self) -> Option<f64> {
        self.leading()?.rate().map(|per_second| per_second * 3600.0)
    }

    /// Running time that remains after this much productive time, and the margin on top of it
    /// (POLICY §5). None until it is measured, and once the job says that it is done.
    pub fn work(&self, productive: Duration) -> Option<(Duration, Duration)> {
        let mut longest = None;
        for one in self.series.iter().filter(|one| one.counts()) {
            let work = one.work(productive)?;
            longest = longest.max(Some(work));
        }
        longest
    }

    fn leading(&self) -> Option<&Series> {
        let counting = || self.series.iter().filter(|one| one.counts());
        counting()
            .filter(|one| one.rate().is_some())
            .max_by_key(|one| one.work(self.heard))
            .or_else(|| counting().next())
            .or_else(|| self.series.iter().find(|one| one.is_over()))
    }
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Duration,
    done: f64,
}

/// From one move to another.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    length: Duration,
    gain: f64,
}

impl Stretch {
    fn speed(self) -> f64 {
        self.gain / self.length.as_secs_f64()
    }
}

/// Readings of one total.
#[derive(Clone, Debug)]
struct Series {
    total: f64,
    /// Where the open stretch began.
    anchor: Point,
    /// The last move.
    last: Point,
    heard_at: Duration,
    moves: u64,
    /// The longest time between two moves.
    longest_gap: Duration,
    stretches: VecDeque<Stretch>,
    /// All stretches, forgotten ones included.
    measured: Duration,
    has_laps: bool,
    is_left: bool,
    is_restarted: bool,
}

impl Series {
    fn new(at: Duration, done: f64, total: f64) -> Self {
        let here = Point { at, done };
        Self {
            total,
            anchor: here,
            last: here,
            heard_at: at,
            moves: 0,
            longest_gap: Duration::ZERO,
            stretches: VecDeque::new(),
            measured: Duration::ZERO,
            has_laps: false,
            is_left: false,
            is_restarted: false,
        }
    }

    /// Gives whether this was progress.
    fn take(&mut self, at: Duration, done: f64) -> bool {
        self.heard_at = at;
        let here = Point { at, done };
        let before = self.last.done;
        if std::mem::take(&mut self.is_restarted) {
            self.begin_at(here);
            return done > 0.0 && (done - before).abs() > 0.0;
        }
        if done > before {
            self.longest_gap = self.longest_gap.max(at.saturating_sub(self.last.at));
            self.last = here;
            self.moves += 1;
            self.is_left = false;
            if at.saturating_sub(self.anchor.at) >= STRETCH {
                self.close();
            }
            return true;
        }
        if done == before || self.is_late(here) {
            return false;
        }
        if before >= 0.9 * self.total && done < 0.5 * self.total {
            self.has_laps = true;
        }
        self.begin_at(here);
        done > 0.0
    }

    /// Whether this is the word of another rank or a slower line, and not a step back. Taken for one,
    /// it would count what follows twice.
    fn is_late(&self, here: Point) -> bool {
        let behind = self.last.done - here.done;
        let is_recent = here.at.saturating_sub(self.last.at) < STRETCH;
        behind <= LATE * self.total || (behind <= 1.0 && is_recent && self.total > 2.0)
    }

    /// Goes on from here without forgetting the speed.
    fn begin_at(&mut self, here: Point) {
        self.close();
        self.anchor = here;
        self.last = here;
        self.is_left = false;
    }

    /// Ends the open stretch at the last move.
    fn close(&mut self) {
        let length = self.last.at.saturating_sub(self.anchor.at);
        let gain = self.last.done - self.anchor.done;
        if !length.is_zero() && gain > 0.0 {
            self.stretches.push_back(Stretch { length, gain });
            self.measured += length;
        }
        self.anchor = self.last;
        let mut kept: Duration = self.stretches.iter().map(|stretch| stretch.length).sum();
        while let Some(first) = self.stretches.front()
            && kept - first.length >= MEMORY
        {
            kept -= first.length;
            self.stretches.pop_front();
        }
    }

    fn may_leave(&mut self, at: Duration) {
        let patience = LEFT_AFTER.max(self.longest_gap * 3);
        self.is_left |= at.saturating_sub(self.heard_at) > patience;
    }

    fn is_over(&self) -> bool {
        self.last.done >= self.total && !self.is_restarted
    }

    /// Whether it tells of the whole job, and is not at its end.
    fn counts(&self) -> bool {
        !self.has_laps && !self.is_left && !self.is_over()
    }

    /// Without leaps.
    fn steady(&self) -> impl Iterator<Item = Stretch> {
        let mut speeds: Vec<f64> = self.stretches.iter().map(|one| one.speed()).collect();
        speeds.sort_by(f64::total_cmp);
        let limit = match speeds.len() {
            0..3 => f64::INFINITY,
            count => LEAP * speeds[count / 2],
        };
        let stretches = self.stretches.iter().copied();
        stretches.filter(move |stretch| stretch.speed() <= limit)
    }

    /// Per second of running time.
    fn rate(&self) -> Option<f64> {
        let is_measured = self.measured >= MEASURED_AFTER
            && self.moves >= LEAST_MOVES
            && self.last.done >= LEAST_DONE * self.total;
        let rate = self.mean().filter(|_| is_measured)?;
        (rate.is_finite() && rate > 0.0).then_some(rate)
    }

    fn mean(&self) -> Option<f64> {
        let (mut length, mut gain) = (Duration::ZERO, 0.0);
        for stretch in self.steady() {
            length += stretch.length;
            gain += stretch.gain;
        }
        (!length.is_zero()).then(|| gain / length.as_secs_f64())
    }

    /// What remains, and the margin.
    fn work(&self, productive: Duration) -> Option<(Duration, Duration)> {
        let rate = self.rate()?;
        let from_last = (self.total - self.last.done) / rate;
        // While it is silent it goes on as before, but not for longer than it ever did: it may be
        // evaluating.
        let since = productive.saturating_sub(self.last.at);
        let remaining = (from_last - since.min(self.longest_gap).as_secs_f64()).max(0.0);
        let margin = remaining * self.margin();
        let duration = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Some((duration(remaining), duration(margin)))
    }

    /// As a share of what remains.
    fn margin(&self) -> f64 {
        let settled = LEAST_MARGIN.max(2.0 * self.hourly_variation());
        let span = (SETTLED_AFTER - MEASURED_AFTER).as_secs_f64();
        let beyond = self.measured.saturating_sub(MEASURED_AFTER).as_secs_f64();
        FIRST_MARGIN + (settled - FIRST_MARGIN) * (beyond / span).min(1.0)
    }

    /// Standard deviation of the rate from hour to hour, as a share of it. Before there are two hours,
    /// that of ten minutes divided by √6, as it is where each is independent of the last.
    fn hourly_variation(&self) -> f64 {
        let kept: Duration = self.steady().map(|stretch| stretch.length).sum();
        let (block, divisor) = match kept >= 2 * SETTLED_AFTER {
            true => (SETTLED_AFTER, 1.0),
            false => (SETTLED_AFTER / 6, 6_f64.sqrt()),
        };
        let mut speeds = Vec::new();
        let (mut length, mut gain) = (Duration::ZERO, 0.0);
        for stretch in self.steady() {
            length += stretch.length;
            gain += stretch.gain;
            if length >= block {
                speeds.push(gain / length.as_secs_f64());
                (length, gain) = (Duration::ZERO, 0.0);
            }
        }
        if speeds.len() < 2 {
            return 0.0;
        }
        let count = speeds.len() as f64;
        let mean = speeds.iter().sum::<f64>() / count;
        let squares: f64 = speeds.iter().map(|speed| (speed - mean).powi(2)).sum();
        (squares / (count - 1.0)).sqrt() / mean / divisor
    }
}
