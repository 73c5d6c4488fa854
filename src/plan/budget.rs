//! `--policy budget`: the earliest end whose expected emissions stay within a mass of CO2e.
//!
//! The least cost never rises with the deadline, so the earliest deadline that is cheap enough is
//! found by bisection.

use super::exact::{self, Problem, Solution};
use crate::units::GramsCo2e;

/// A plan, and how it stands to the budget.
pub(super) struct Planned {
    pub(super) solution: Solution,
    /// Expected emissions above the budget, if it cannot be kept.
    pub(super) over: Option<GramsCo2e>,
}

/// The plan that ends earliest within `budget`, else the one of least emissions. `expected_share`
/// is the share of the planned work that is expected to be needed.
pub(super) fn plan(problem: &Problem, budget: GramsCo2e, expected_share: f64) -> Option<Planned> {
    let expected = |solution: &Solution| GramsCo2e(solution.grams * expected_share);
    let by = |deadline_ticks: u32| {
        exact::solve(&Problem {
            deadline_ticks,
            ..problem.clone()
        })
        .filter(|solution| expected(solution) <= budget)
    };
    let least = exact::solve(problem)?;
    if expected(&least) > budget {
        return Some(Planned {
            over: Some(expected(&least) - budget),
            solution: least,
        });
    }
    let (mut too_early, mut enough) = (problem.work_ticks.saturating_sub(1), least.end_tick);
    let mut solution = least;
    while enough - too_early > 1 {
        let middle = too_early + (enough - too_early) / 2;
        match by(middle) {
            Some(found) => (enough, solution) = (found.end_tick, found),
            None => too_early = middle,
        }
    }
    Some(Planned {
        solution,
        over: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::exact::{Initial, Off, Phase};

    const FREE: Off = Off {
        pause_ticks: 0,
        resume_ticks: 0,
        pause_kwh: 0.0,
        resume_kwh: 0.0,
        idle_kw: 0.0,
        may_begin: true,
    };

    fn problem() -> Problem {
        Problem {
            tick_min: 60.0,
            run_kw: 1.0,
            wait_kw: 0.0,
            hold: FREE,
            release: None,
            min_run_ticks: 0,
            min_pause_ticks: 0,
            max_pauses: None,
            latest_start_tick: None,
            initial: Initial::Fresh,
            ci_g_per_kwh: vec![400.0, 300.0, 200.0, 250.0, 100.0, 150.0],
            deadline_ticks: 6,
            work_ticks: 2,
        }
    }

    #[test]
    fn it_ends_as_early_as_the_budget_allows() {
        for (grams, end) in [
            (1000.0, 2),
            (700.0, 2),
            (500.0, 3),
            (499.0, 4),
            (449.0, 5),
            (250.0, 6),
        ] {
            let planned = plan(&problem(), GramsCo2e(grams), 1.0).unwrap();
            assert_eq!(planned.solution.end_tick, end, "{grams} g");
            assert!(planned.solution.grams <= grams && planned.over.is_none());
        }
    }

    #[test]
    fn a_budget_that_cannot_be_kept_gets_the_least_and_the_excess() {
        let planned = plan(&problem(), GramsCo2e(200.0), 1.0).unwrap();
        assert_eq!(planned.over, Some(GramsCo2e(50.0)));
        assert_eq!(planned.solution.phases, [(Phase::Wait, 4), (Phase::Run, 2)]);
    }

    #[test]
    fn the_budget_is_for_what_is_expected_not_for_the_margin() {
        let planned = plan(&problem(), GramsCo2e(200.0), 0.8).unwrap();
        assert_eq!((planned.over, planned.solution.end_tick), (None, 6));
    }
}
