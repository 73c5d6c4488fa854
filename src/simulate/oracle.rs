//! The best possible in hindsight: the exact plan with the future known, under the same costs.

use std::time::Duration;

use super::{Costs, Job, Outcome, World};
use crate::forecast::Span;
use crate::plan::exact::{self, Phase};
use crate::plan::{Allowance, Situation, State, Work, problem};
use crate::units::GramsCo2e;

/// Lengths of a tick in minutes, as planners have them and in between.
const TICKS_MIN: [u64; 13] = [60, 45, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1];
/// Finer grids take seconds a job.
const MOST_TICKS: u64 = 2000;

/// How `job` would best have fared in `world`.
///
/// On the longest grid up to [`Costs::tick`] that the job's length and latest end fit on; where none
/// with at most 2000 ticks does, on the finest of those, with the last tick cut to the job's length.
pub(super) fn outcome(job: &Job, world: &World, costs: &Costs) -> Outcome {
    let latest = job.latest_end();
    let span = Duration::try_from(latest.duration_since(job.arrival)).unwrap_or_default();
    let tick = tick(costs.tick, job.running_time, span);
    let work = job.running_time.as_nanos().div_ceil(tick.as_nanos()) as u32;
    let ticks = ((span.as_nanos() / tick.as_nanos()) as u32).max(work);
    let outlook = &*world.foresight;
    let situation = Situation {
        outlook,
        power: costs.power(job.load.mean()),
        switching: costs.switching(job.can_pause),
        state: State::Fresh,
        work: Work::Known {
            remaining: job.running_time,
            margin: Duration::ZERO,
        },
        deadline: Some(latest),
        allowance: Allowance::Deadline,
        poll: Duration::ZERO,
        asked_for: true,
    };
    let intensities = (outlook.expected)
        .resample(job.arrival, tick, ticks as usize)
        .into_iter()
        .map(|known| known.unwrap_or(outlook.mean).0)
        .collect();
    let problem = problem(&situation, tick, intensities, ticks, work);
    // A job that fits has a plan: it may always start at once.
    let solution = exact::solve(&problem).unwrap_or_else(|| {
        let phases = vec![(Phase::Run, work)];
        exact::Solution {
            grams: exact::cost_of(&problem, &phases),
            phases,
            end_tick: work,
            pauses: 0,
        }
    });
    let surplus = (tick * work).saturating_sub(job.running_time);
    let last = problem.ci_g_per_kwh.get(solution.end_tick as usize - 1);
    let surplus_g = last.copied().unwrap_or(0.0) * problem.run_kw * surplus.as_secs_f64() / 3600.0;
    let end = Span::new(job.arrival, tick * solution.end_tick - surplus).end;
    let grams = GramsCo2e(solution.grams - surplus_g);
    Outcome::ended(job, end, grams, solution.pauses, job.running_time)
}

fn tick(most: Duration, work: Duration, span: Duration) -> Duration {
    let fits = |tick: &Duration| {
        span.as_nanos() / tick.as_nanos() <= u128::from(MOST_TICKS) && *tick <= most
    };
    let lengths = || {
        (TICKS_MIN.into_iter())
            .map(|minutes| Duration::from_secs(minutes * 60))
            .filter(fits)
    };
    let divides =
        |whole: Duration, tick: &Duration| whole.as_nanos().is_multiple_of(tick.as_nanos());
    lengths()
        .find(|tick| divides(work, tick) && divides(span, tick))
        .or_else(|| lengths().find(|tick| divides(work, tick)))
        .or_else(|| lengths().next_back())
        .unwrap_or(most)
}
