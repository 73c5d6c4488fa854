//! Many outcomes as a row: what a policy saved, what it cost in delay, how near to the best it came.

use std::time::Duration;

use super::Outcome;
use crate::units::GramsCo2e;

/// How a policy fared over the jobs of one cell or of a whole workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Jobs judged.
    pub jobs: usize,
    /// Their emissions.
    pub grams: GramsCo2e,
    /// Saved against running at once, in percent; none where that emits nothing, or where some
    /// intensity is not known.
    pub saved_percent: Option<f64>,
    /// What the oracle saves, in percent.
    pub oracle_saved_percent: Option<f64>,
    /// Saved as a share of what the oracle saves; none where it saves nothing.
    pub share_of_oracle: Option<f64>,
    /// Emissions beyond those of the oracle.
    pub regret: GramsCo2e,
    /// Mean delay in seconds.
    pub delay_mean_s: f64,
    /// 99th percentile of the delay in seconds, by nearest rank.
    pub delay_p99_s: f64,
    /// Pauses a job.
    pub pauses_mean: f64,
    /// Jobs that ended after their latest end.
    pub missed: usize,
    /// By how many seconds at most.
    pub missed_max_s: f64,
    /// Jobs that emitted more than running at once, in percent.
    pub worse_percent: f64,
    /// Running hours whose intensity is known.
    pub covered_h: f64,
    /// Running hours whose intensity is not known, and so in no sum of grams.
    pub uncovered_h: f64,
}

/// What each job did at once, at best, and under the policy.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Run at once.
    pub now: Outcome,
    /// The best possible.
    pub oracle: Outcome,
    /// Under the policy.
    pub policy: Outcome,
}

/// Grams below this part of run-now's are the rounding of sums.
const NOTHING: f64 = 1e-9;

impl Row {
    /// Of at least one job.
    pub fn of(jobs: &[Compared]) -> Option<Self> {
        let count = jobs.len();
        let sum = |of: fn(&Compared) -> Outcome| -> GramsCo2e {
            jobs.iter().map(|job| of(job).grams).sum()
        };
        let (now, best, grams) = (
            sum(|job| job.now),
            sum(|job| job.oracle),
            sum(|job| job.policy),
        );
        // What has no intensity emits as well: without it a sum only says how much at least.
        let is_covered =
            |of: fn(&Compared) -> Outcome| jobs.iter().all(|job| of(job).uncovered.is_zero());
        let is_comparable = now.0 > 0.0 && is_covered(|job| job.now);
        let saved = |grams: GramsCo2e| is_comparable.then(|| (now - grams) / now * 100.0);
        let best_saved = saved(best);
        let saved = saved(grams).filter(|_| is_covered(|job| job.policy));
        let mut delays: Vec<Duration> = jobs.iter().map(|job| job.policy.delay).collect();
        delays.sort_unstable();
        let rank = (count * 99).div_ceil(100).max(1) - 1;
        let worse = (jobs.iter())
            .filter(|job| (job.policy.grams - job.now.grams) / job.now.grams > NOTHING)
            .count();
        let late = || jobs.iter().map(|job| job.policy.late);
        let hours = |of: fn(&Outcome) -> Duration| -> f64 {
            let all: Duration = jobs.iter().map(|job| of(&job.policy)).sum();
            all.as_secs_f64() / 3600.0
        };
        let total: Duration = delays.iter().sum();
        Some(Self {
            jobs: count,
            grams,
            saved_percent: saved,
            oracle_saved_percent: best_saved,
            share_of_oracle: share(saved, best_saved),
            regret: grams - best,
            delay_mean_s: total.as_secs_f64() / count as f64,
            delay_p99_s: delays.get(rank)?.as_secs_f64(),
            pauses_mean: jobs
                .iter()
                .map(|job| f64::from(job.policy.pauses))
                .sum::<f64>()
                / count as f64,
            missed: late().filter(|late| !late.is_zero()).count(),
            missed_max_s: late().max()?.as_secs_f64(),
            worse_percent: worse as f64 / count as f64 * 100.0,
            covered_h: hours(|outcome| outcome.covered),
            uncovered_h: hours(|outcome| outcome.uncovered),
        })
    }
}

/// What is saved as a share of the best; none where the best is nothing.
pub fn share(saved: Option<f64>, best: Option<f64>) -> Option<f64> {
    let (saved, best) = (saved?, best?);
    (best > NOTHING).then(|| saved / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(grams: f64, delay_s: u64, late_s: u64) -> Outcome {
        Outcome {
            grams: GramsCo2e(grams),
            delay: Duration::from_secs(delay_s),
            pauses: 1,
            late: Duration::from_secs(late_s),
            covered: Duration::from_secs(3600),
            uncovered: Duration::ZERO,
        }
    }

    #[test]
    fn a_row_sums_grams_before_it_compares_them() {
        let job = |now, best, grams| Compared {
            now: outcome(now, 0, 0),
            oracle: outcome(best, 0, 0),
            policy: outcome(grams, 60, 0),
        };
        let row = Row::of(&[job(100.0, 50.0, 75.0), job(300.0, 250.0, 325.0)]).unwrap();
        assert_eq!(row.saved_percent, Some(0.0));
        assert_eq!(row.share_of_oracle, Some(0.0));
        assert_eq!((row.worse_percent, row.jobs, row.covered_h), (50.0, 2, 2.0));
        assert_eq!(Row::of(&[]), None);
    }

    #[test]
    fn what_is_not_known_saves_nothing() {
        let mut job = Compared {
            now: outcome(100.0, 0, 0),
            oracle: outcome(50.0, 0, 0),
            policy: outcome(60.0, 0, 0),
        };
        job.policy.uncovered = Duration::from_secs(1);
        let row = Row::of(&[job]).unwrap();
        assert_eq!((row.saved_percent, row.share_of_oracle), (None, None));
        assert_eq!(row.oracle_saved_percent, Some(50.0));
        assert!(row.uncovered_h > 0.0);
    }

    #[test]
    fn the_99th_percentile_is_that_of_the_nearest_rank() {
        let jobs: Vec<Compared> = (1..=200)
            .map(|delay| Compared {
                now: outcome(1.0, 0, 0),
                oracle: outcome(1.0, 0, 0),
                policy: outcome(1.0, delay, u64::from(delay == 200)),
            })
            .collect();
        let row = Row::of(&jobs).unwrap();
        assert_eq!((row.delay_p99_s, row.delay_mean_s), (198.0, 100.5));
        assert_eq!((row.missed, row.missed_max_s), (1, 1.0));
        assert_eq!(row.share_of_oracle, None, "the best saves nothing here");
    }
}
