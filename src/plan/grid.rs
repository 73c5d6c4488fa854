//! A situation cut into ticks: the [`Problem`] that planners solve, and plans read back as times.

use std::time::Duration;

use jiff::Timestamp;

use super::delay::{self, Room};
use super::exact::{self, Initial, Off, Phase, Problem};
use super::{Act, Outline, Release, Situation, State, Way};
use crate::forecast::Span;
use crate::units::{GramsCo2e, GramsPerKwh, KilowattHours};

/// Most ticks in a plan.
const MOST_TICKS: u64 = 600;
/// Beyond this, work is priced at the mean: no forecast knows better.
const HORIZON: Duration = Duration::from_secs(168 * 3600);
/// Lengths of a tick in minutes.
const TICKS_MIN: [u64; 5] = [5, 10, 15, 30, 60];

/// The shortest tick that gives at most 600 ticks over `span`; an hour where none does.
fn tick_length(span: Duration) -> Duration {
    let minutes = TICKS_MIN
        .into_iter()
        .find(|minutes| span.as_secs_f64() <= (minutes * 60 * MOST_TICKS) as f64)
        .unwrap_or(60);
    Duration::from_secs(minutes * 60)
}

fn ticks_down(time: Duration, tick: Duration) -> u64 {
    (time.as_nanos() / tick.as_nanos()).min(u128::from(u32::MAX)) as u64
}

fn ticks_up(time: Duration, tick: Duration) -> u64 {
    time.as_nanos()
        .div_ceil(tick.as_nanos())
        .min(u128::from(u32::MAX)) as u64
}

/// Whole ticks to the nearest, and what of it is under half a tick and counts as energy alone.
fn overhead(time: Duration, tick: Duration) -> (u32, Duration) {
    match ticks_down(time + tick / 2, tick) {
        0 => (0, time),
        ticks => (ticks as u32, Duration::ZERO),
    }
}

/// The planner's problem: `work_ticks` of work in the situation `s`, by `deadline_ticks`, with these
/// intensities (g/kWh) from now on, a tick each.
pub fn problem(
    s: &Situation<'_>,
    tick: Duration,
    ci_g_per_kwh: Vec<f64>,
    deadline_ticks: u32,
    work_ticks: u32,
) -> Problem {
    let switching = &s.switching;
    let min_run_ticks = ticks_up(switching.min_run, tick).max(1) as u32;
    let min_pause_ticks = ticks_up(switching.min_pause, tick).max(1) as u32;
    // Counted from what is left of the minimum, so that rounding never shortens it.
    let age = |least: Duration, least_ticks: u32, age: Duration| {
        let left = ticks_up(least.saturating_sub(age), tick) as u32;
        least_ticks.saturating_sub(left)
    };
    let kwh = |rest: Duration| KilowattHours::from(s.power.run * rest).0;
    let off = |numbers: Release| {
        let (pause_ticks, pause_rest) = overhead(numbers.pause, tick);
        let (resume_ticks, resume_rest) = overhead(numbers.resume, tick);
        Off {
            pause_ticks,
            resume_ticks,
            pause_kwh: numbers.pause_energy.0 + kwh(pause_rest),
            resume_kwh: numbers.resume_energy.0 + kwh(resume_rest),
            idle_kw: numbers.idle.0 / 1e3,
            may_begin: true,
        }
    };
    let since_pause = |since| age(switching.min_pause, min_pause_ticks, since);
    Problem {
        tick_min: tick.as_secs_f64() / 60.0,
        run_kw: s.power.run.0 / 1e3,
        wait_kw: s.power.wait.0 / 1e3,
        hold: off(Release {
            pause: switching.pause,
            resume: switching.resume,
            pause_energy: switching.pause_energy,
            resume_energy: switching.resume_energy,
            idle: s.power.idle,
        }),
        release: switching.release.map(off),
        min_run_ticks,
        min_pause_ticks,
        max_pauses: switching.max_pauses,
        latest_start_tick: None,
        initial: match s.state {
            State::Fresh => Initial::Fresh,
            State::Running(since) => Initial::Running(age(switching.min_run, min_run_ticks, since)),
            State::Paused(since) => Initial::Paused(since_pause(since)),
            State::Released(since) => Initial::Released(since_pause(since)),
        },
        ci_g_per_kwh,
        deadline_ticks,
        work_ticks,
    }
}

/// A situation in ticks.
pub(super) struct Grid {
    now: Timestamp,
    tick: Duration,
    /// In ticks; as the planner counts them.
    pub(super) problem: Problem,
    /// What every tick beyond those of the problem costs, in g/kWh.
    mean: f64,
    /// The best estimate of the work, in ticks. The problem has the upper one.
    estimate: f64,
}

impl Grid {
    /// The situation with room to wait.
    pub(super) fn new(now: Timestamp, s: &Situation<'_>, room: &Room) -> Self {
        let by_delay = room
            .delay_left
            .map(|left| room.planned.saturating_add(left));
        let span = match (room.to_deadline, by_delay) {
            (Some(deadline), Some(delay)) => deadline.min(delay),
            (deadline, delay) => deadline.or(delay).unwrap_or(room.planned),
        };
        let tick = tick_length(span);
        let work = ticks_up(room.planned, tick);
        let by_deadline = room.to_deadline.map(|left| ticks_down(left, tick));
        // Delay rounds by itself: work that is rounded up must not eat it.
        let by_delay = room.delay_left.map(|left| work + ticks_down(left, tick));
        let last = [by_deadline, by_delay].into_iter().flatten().min();
        let mut grid = Self::cut(now, s, room.estimate, tick, work, last.unwrap_or(work));
        grid.problem.latest_start_tick =
            room.hold_at_most.map(|hold| ticks_down(hold, tick) as u32);
        grid.problem.hold.may_begin = room.hold_fits;
        if let Some(release) = &mut grid.problem.release {
            release.may_begin = room.release_fits;
        }
        grid
    }

    /// The situation without any.
    pub(super) fn without_room(now: Timestamp, s: &Situation<'_>, estimate: Duration) -> Self {
        let tick = tick_length(estimate);
        let work = ticks_up(estimate, tick);
        let lost = ticks_up(delay::to_be_running(s), tick);
        Self::cut(now, s, estimate, tick, work, work + lost)
    }

    fn cut(
        now: Timestamp,
        s: &Situation<'_>,
        estimate: Duration,
        tick: Duration,
        mut work: u64,
        mut last: u64,
    ) -> Self {
        if last > MOST_TICKS {
            // Everything past the first 600 h has one price: only what must be done before counts.
            let slack = last.saturating_sub(work).min(MOST_TICKS / 2);
            work = work.min(MOST_TICKS - slack);
            last = MOST_TICKS;
        }
        let mean = if s.outlook.mean.0.is_finite() {
            s.outlook.mean.0
        } else {
            0.0
        };
        let known = last.min(ticks_down(HORIZON, tick)) as usize;
        let mut ci: Vec<f64> = s
            .outlook
            .expected
            .resample(now, tick, known)
            .into_iter()
            .map(|intensity| intensity.map_or(mean, |known| known.0))
            .collect();
        ci.resize(last as usize, mean);

        let problem = problem(s, tick, ci, last as u32, work as u32);
        Self {
            now,
            tick,
            problem,
            mean,
            estimate: estimate.as_secs_f64() / tick.as_secs_f64(),
        }
    }

    /// Share of the upper estimate that is expected to be needed.
    pub(super) fn expected_share(&self) -> f64 {
        (self.estimate / f64::from(self.problem.work_ticks.max(1))).min(1.0)
    }

    /// The intensity of the tick that has begun.
    pub(super) fn intensity_now(&self) -> GramsPerKwh {
        GramsPerKwh(self.ci(0))
    }

    /// The mean intensity until the first running stretch.
    pub(super) fn intensity_meanwhile(&self, phases: &[(Phase, u32)]) -> GramsPerKwh {
        let waits = phases.iter().take_while(|(phase, _)| *phase != Phase::Run);
        match waits.map(|(_, ticks)| *ticks).sum::<u32>() {
            0 => self.intensity_now(),
            ticks => GramsPerKwh(self.sum(0.0, f64::from(ticks)) / f64::from(ticks)),
        }
    }

    /// The mean intensity of the first running stretch that comes after not running.
    pub(super) fn intensity_then(&self, phases: &[(Phase, u32)]) -> GramsPerKwh {
        let mut tick = 0;
        for (index, &(phase, ticks)) in phases.iter().enumerate() {
            if phase == Phase::Run && index > 0 {
                let (from, to) = (f64::from(tick), f64::from(tick + ticks));
                return GramsPerKwh(self.sum(from, to) / f64::from(ticks));
            }
            tick += ticks;
        }
        GramsPerKwh(self.mean)
    }

    /// Ticks for which the state's minimum still holds.
    pub(super) fn minimum_left(&self) -> u32 {
        let p = &self.problem;
        match p.initial {
            Initial::Fresh => 0,
            Initial::Running(age) => p.min_run_ticks.saturating_sub(age),
            Initial::Paused(age) | Initial::Released(age) => p.min_pause_ticks.saturating_sub(age),
        }
    }

    fn ci(&self, tick: usize) -> f64 {
        let known = self.problem.ci_g_per_kwh.get(tick);
        known.copied().unwrap_or(self.mean)
    }

    /// Intensity times ticks over a stretch that need not begin or end with a tick.
    fn sum(&self, from: f64, to: f64) -> f64 {
        let (mut sum, mut at) = (0.0, from);
        while at < to {
            let tick = at.floor();
            if tick as usize >= self.problem.ci_g_per_kwh.len() {
                return sum + self.mean * (to - at);
            }
            let next = (tick + 1.0).min(to);
            sum += self.ci(tick as usize) * (next - at);
            at = next;
        }
        sum
    }

    fn time(&self, ticks: f64) -> Timestamp {
        Span::new(self.now, self.tick.mul_f64(ticks)).end
    }

    /// What following `phases` is expected to give, if the work takes its best estimate: the plan
    /// is for the upper one, so its tail is usually not needed.
    pub(super) fn outline(&self, phases: &[(Phase, u32)]) -> Outline {
        let plan = self.price(phases);
        let now = self.price(&self.back_to_running());
        Outline {
            end: plan.acts.last().map_or(self.now, |(_, end)| *end),
            phases: plan.acts,
            pauses: plan.ways.len() as u32,
            ways: plan.ways,
            grams: plan.grams,
            run_now_grams: now.grams,
            mean: plan.mean,
            run_now_mean: now.mean,
        }
    }

    /// What must come before a job that does not run can.
    pub(super) fn back_to_running(&self) -> Vec<(Phase, u32)> {
        let restore = |(way, _)| (Phase::Restore(way), self.problem.off(way).resume_ticks);
        self.problem.begins_off().map(restore).into_iter().collect()
    }

    fn price(&self, phases: &[(Phase, u32)]) -> Priced {
        let p = &self.problem;
        let mut before = p.phase_before();
        let (mut at, mut left) = (0.0, self.estimate);
        let (mut grams, mut run_sum) = (0.0, 0.0);
        let (mut ways, mut acts) = (Vec::new(), Vec::<(Act, Timestamp)>::new());
        // What the phases leave undone runs on after them.
        let rest = (Phase::Run, f64::INFINITY);
        let phases = phases
            .iter()
            .map(|&(phase, ticks)| (phase, f64::from(ticks)));
        for (phase, ticks) in phases.chain([rest]) {
            if left <= 0.0 {
                break;
            }
            let ticks = if phase == Phase::Run {
                ticks.min(left)
            } else {
                ticks
            };
            if ticks == 0.0 {
                continue;
            }
            let sum = self.sum(at, at + ticks);
            grams += exact::lump_kwh(p, before, phase) * self.ci(at as usize);
            grams += p.kw(phase) * sum * p.tick_min / 60.0;
            at += ticks;
            if phase == Phase::Run {
                left -= ticks;
                run_sum += sum;
            }
            if before == Phase::Run {
                ways.extend(phase.way());
            }
            let end = self.time(at);
            match acts.last_mut() {
                Some((act, until)) if *act == phase.act() => *until = end,
                _ => acts.push((phase.act(), end)),
            }
            before = phase;
        }
        let mean = match self.estimate > 0.0 {
            true => run_sum / self.estimate,
            false => self.ci(0),
        };
        Priced {
            acts,
            ways,
            grams: GramsCo2e(grams),
            mean: GramsPerKwh(mean),
        }
    }
}

struct Priced {
    acts: Vec<(Act, Timestamp)>,
    ways: Vec<Way>,
    grams: GramsCo2e,
    mean: GramsPerKwh,
}

impl Phase {
    /// What the supervisor does in this phase.
    pub fn act(self) -> Act {
        match self {
            Self::Run | Self::Restore(_) => Act::Run,
            Self::Wait | Self::Save(_) | Self::Paused(_) => Act::Pause,
        }
    }

    /// The way in which the pause is made that this phase is part of.
    pub fn way(self) -> Option<Way> {
        match self {
            Self::Save(way) | Self::Paused(way) | Self::Restore(way) => Some(way),
            Self::Wait | Self::Run => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_as_short_as_six_hundred_allow() {
        for (hours, minutes) in [(1, 5), (50, 5), (51, 10), (100, 10), (150, 15), (300, 30)] {
            let tick = tick_length(Duration::from_secs(hours * 3600));
            assert_eq!(tick, Duration::from_secs(minutes * 60), "{hours} h");
        }
        assert_eq!(tick_length(Duration::MAX), Duration::from_secs(3600));
    }

    #[test]
    fn short_overheads_cost_energy_and_no_tick() {
        let minute = |n: u64| Duration::from_secs(n * 60);
        assert_eq!(overhead(minute(2), minute(5)), (0, minute(2)));
        assert_eq!(overhead(minute(3), minute(5)), (1, Duration::ZERO));
        assert_eq!(overhead(minute(12), minute(5)), (2, Duration::ZERO));
    }
}
