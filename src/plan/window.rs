//! `--policy window`: one uninterrupted run, started when it is cleanest.
//!
//! The best choice for jobs that cannot pause, and close to the best where idle power is high.

use super::exact::{self, Problem, Solution};

/// The exact plan without pauses.
pub(super) fn plan(problem: &Problem) -> Option<Solution> {
    exact::solve(&Problem {
        max_pauses: Some(0),
        ..problem.clone()
    })
}
