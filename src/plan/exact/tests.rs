use proptest::prelude::*;

use super::*;

/// Every legal sequence of phases, by trying each phase at each tick.
struct Exhaustive<'a> {
    problem: &'a Problem,
    best: Option<(f64, usize, u32)>,
}

/// Where one branch of the search stands.
#[derive(Clone, Copy)]
struct Branch {
    phase: Phase,
    /// Ticks in this phase so far (with what the initial state brought along).
    age: u32,
    /// Ticks since the start or the start of restoring.
    since_start: u32,
    done: u32,
    pauses: u32,
    grams: f64,
}

impl Exhaustive<'_> {
    fn least(problem: &Problem) -> Option<(f64, usize, u32)> {
        let (phase, age) = match problem.initial {
            Initial::Fresh => (Phase::Wait, 0),
            Initial::Running(age) => (Phase::Run, age),
            Initial::Paused(age) => (Phase::Paused, age),
        };
        let mut search = Exhaustive {
            problem,
            best: None,
        };
        let from = Branch {
            phase,
            age,
            since_start: age,
            done: 0,
            pauses: 0,
            grams: 0.0,
        };
        search.visit(0, from);
        search.best
    }

    fn visit(&mut self, tick: usize, at: Branch) {
        let p = self.problem;
        if at.done == p.work_ticks {
            let found = (at.grams, tick, at.pauses);
            let better = self.best.is_none_or(|best| {
                let near = (found.0 - best.0).abs() < 1e-9;
                (!near && found.0 < best.0) || (near && (found.1, found.2) < (best.1, best.2))
            });
            if better {
                self.best = Some(found);
            }
            return;
        }
        if tick == p.horizon() {
            return;
        }
        let ci = p.ci_g_per_kwh[tick];
        let mut go = |phase: Phase, lump_kwh: f64, since_start: u32, pauses: u32| {
            let kw = match phase {
                Phase::Wait => p.wait_kw,
                Phase::Paused => p.idle_kw,
                _ => p.run_kw,
            };
            let next = Branch {
                phase,
                age: if phase == at.phase { at.age + 1 } else { 1 },
                since_start,
                done: at.done + u32::from(phase == Phase::Run),
                pauses,
                grams: at.grams + (lump_kwh + kw * p.tick_min / 60.0) * ci,
            };
            self.visit(tick + 1, next);
        };
        match at.phase {
            Phase::Wait => {
                if p.latest_start_tick.is_none_or(|last| (tick as u32) < last) {
                    go(Phase::Wait, 0.0, 0, 0);
                }
                go(Phase::Run, 0.0, 1, 0);
            }
            Phase::Run => {
                go(Phase::Run, 0.0, at.since_start + 1, at.pauses);
                let may = at.since_start >= p.min_run_ticks.max(1)
                    && p.max_pauses.is_none_or(|most| at.pauses < most);
                if may && p.pause_ticks > 0 {
                    go(Phase::Save, p.pause_kwh, 0, at.pauses + 1);
                } else if may {
                    go(Phase::Paused, p.pause_kwh, 0, at.pauses + 1);
                }
            }
            Phase::Save if at.age < p.pause_ticks => go(Phase::Save, 0.0, 0, at.pauses),
            Phase::Save => go(Phase::Paused, 0.0, 0, at.pauses),
            Phase::Paused => {
                go(Phase::Paused, 0.0, 0, at.pauses);
                if at.age >= p.min_pause_ticks.max(1) {
                    let next = if p.resume_ticks > 0 {
                        Phase::Restore
                    } else {
                        Phase::Run
                    };
                    go(next, p.resume_kwh, 1, at.pauses);
                }
            }
            Phase::Restore if at.age < p.resume_ticks => {
                go(Phase::Restore, 0.0, at.since_start + 1, at.pauses);
            }
            Phase::Restore => go(Phase::Run, 0.0, at.since_start + 1, at.pauses),
        }
    }
}

fn initial() -> impl Strategy<Value = Initial> {
    prop_oneof![
        Just(Initial::Fresh),
        (0..4_u32).prop_map(Initial::Running),
        (0..4_u32).prop_map(Initial::Paused),
    ]
}

prop_compose! {
    fn problem()(
        (pause_ticks, resume_ticks) in (0..3_u32, 0..3_u32),
        (pause_tenths, resume_tenths) in (0..3_u32, 0..3_u32),
        (min_run_ticks, min_pause_ticks) in (0..4_u32, 0..4_u32),
        max_pauses in prop_oneof![2 => Just(None), 1 => (0..3_u32).prop_map(Some)],
        latest_start_tick in prop_oneof![3 => Just(None), 1 => (0..6_u32).prop_map(Some)],
        (idle_tenths, wait_tenths) in (0..5_u32, 0..5_u32),
        tick_min in prop_oneof![Just(5.0), Just(15.0), Just(60.0)],
        initial in initial(),
        // Few different values, so that ties are common.
        ci in prop::collection::vec((0..6_u32).prop_map(|n| f64::from(n * 50)), 1..12),
        beyond in 0..3_u32,
        work_ticks in 0..7_u32,
    ) -> Problem {
        Problem {
            tick_min,
            run_kw: 0.7,
            idle_kw: f64::from(idle_tenths) / 10.0,
            wait_kw: f64::from(wait_tenths) / 10.0,
            pause_ticks,
            resume_ticks,
            pause_kwh: f64::from(pause_tenths) / 10.0,
            resume_kwh: f64::from(resume_tenths) / 10.0,
            min_run_ticks,
            min_pause_ticks,
            max_pauses,
            latest_start_tick,
            initial,
            deadline_ticks: (ci.len() as u32).saturating_sub(beyond),
            ci_g_per_kwh: ci,
            work_ticks,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_is_the_best_of_all_legal_plans(problem in problem()) {
        let expected = Exhaustive::least(&problem);
        let found = solve(&problem);
        prop_assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some((grams, end, pauses))) = (found, expected) {
            prop_assert_eq!(check(&problem, &found.phases), Ok(()));
            prop_assert!((found.grams - grams).abs() < 1e-9, "{} against {grams}", found.grams);
            prop_assert!((cost_of(&problem, &found.phases) - grams).abs() < 1e-9);
            prop_assert_eq!((found.end_tick as usize, found.pauses), (end, pauses));
        }
    }

    #[test]
    fn a_longer_deadline_never_costs_more(problem in problem()) {
        let shorter = Problem {
            deadline_ticks: problem.deadline_ticks.saturating_sub(1),
            ..problem.clone()
        };
        if let Some(short) = solve(&shorter) {
            let long = solve(&problem).expect("what fits a deadline fits a later one");
            prop_assert!(long.grams <= short.grams + 1e-9);
        }
    }

    #[test]
    fn running_at_once_is_never_better_than_the_plan(problem in problem()) {
        if let Some(now) = run_now_grams(&problem) {
            let plan = solve(&problem).expect("running at once is a plan");
            prop_assert!(plan.grams <= now + 1e-9);
        }
    }

    #[test]
    fn what_is_left_of_a_plan_is_still_the_best_plan(problem in problem()) {
        // After one tick of the plan in a phase that `Initial` can express.
        let plan = solve(&problem);
        let first = plan.as_ref().and_then(|plan| plan.phases.first().copied());
        let initial = match (first, problem.initial) {
            (Some((Phase::Wait, _)), _) => Initial::Fresh,
            (Some((Phase::Run, _)), Initial::Fresh) => Initial::Running(1),
            (Some((Phase::Run, _)), Initial::Running(age)) => Initial::Running(age + 1),
            (Some((Phase::Paused, _)), Initial::Paused(age)) => Initial::Paused(age + 1),
            _ => return Ok(()),
        };
        let plan = plan.expect("it has a first phase");
        let rest = Problem {
            initial,
            ci_g_per_kwh: problem.ci_g_per_kwh[1..].to_vec(),
            deadline_ticks: problem.deadline_ticks.min(problem.ci_g_per_kwh.len() as u32) - 1,
            work_ticks: problem.work_ticks - u32::from(first.is_some_and(|(p, _)| p == Phase::Run)),
            latest_start_tick: problem.latest_start_tick.map(|tick| tick.saturating_sub(1)),
            ..problem.clone()
        };
        let rest_plan = solve(&rest).expect("the rest of a plan is a plan");
        let mut tail = plan.phases.clone();
        tail[0].1 -= 1;
        if tail[0].1 == 0 {
            tail.remove(0);
        }
        prop_assert_eq!(check(&rest, &tail), Ok(()));
        prop_assert!((rest_plan.grams - cost_of(&rest, &tail)).abs() < 1e-9);
    }
}

fn plain(ci: &[f64], work_ticks: u32) -> Problem {
    Problem {
        tick_min: 60.0,
        run_kw: 0.5,
        idle_kw: 0.0,
        wait_kw: 0.0,
        pause_ticks: 0,
        resume_ticks: 0,
        pause_kwh: 0.0,
        resume_kwh: 0.0,
        min_run_ticks: 0,
        min_pause_ticks: 0,
        max_pauses: None,
        latest_start_tick: None,
        initial: Initial::Fresh,
        deadline_ticks: ci.len() as u32,
        ci_g_per_kwh: ci.to_vec(),
        work_ticks,
    }
}

#[test]
fn flat_or_free_power_is_used_at_once() {
    for level in [0.0, 250.0, 333.33] {
        let plan = solve(&plain(&[level; 9], 4)).unwrap();
        assert_eq!(plan.phases, [(Phase::Run, 4)], "{level} g/kWh");
    }
}

#[test]
fn no_work_is_nothing_to_do() {
    let plan = solve(&plain(&[300.0; 4], 0)).unwrap();
    assert_eq!((plan.grams, plan.phases.len(), plan.end_tick), (0.0, 0, 0));
}

#[test]
fn without_slack_it_runs_at_once() {
    let plan = solve(&plain(&[300.0, 100.0, 900.0], 3)).unwrap();
    assert_eq!(plan.phases, [(Phase::Run, 3)]);
    assert_eq!(solve(&plain(&[300.0, 100.0, 900.0], 4)), None);
}

#[test]
fn work_shorter_than_the_least_run_just_ends() {
    let problem = Problem {
        min_run_ticks: 10,
        ..plain(&[300.0, 100.0, 50.0, 900.0], 2)
    };
    assert_eq!(
        solve(&problem).unwrap().phases,
        [(Phase::Wait, 1), (Phase::Run, 2)]
    );
}

#[test]
fn with_dear_idle_power_it_holds_the_start_and_never_pauses() {
    let ci = [400.0, 100.0, 400.0, 90.0, 400.0, 80.0, 300.0];
    let problem = Problem {
        idle_kw: 0.5,
        ..plain(&ci, 3)
    };
    let plan = solve(&problem).unwrap();
    assert_eq!(plan.pauses, 0);
    assert_eq!(plan.phases[0].0, Phase::Wait);
}

#[test]
fn without_pauses_left_a_running_job_runs_to_the_end() {
    let problem = Problem {
        initial: Initial::Running(5),
        max_pauses: Some(0),
        ..plain(&[900.0, 100.0, 100.0, 100.0], 2)
    };
    assert_eq!(solve(&problem).unwrap().phases, [(Phase::Run, 2)]);
}

#[test]
fn a_checked_plan_must_follow_every_rule() {
    let problem = Problem {
        pause_ticks: 1,
        min_run_ticks: 2,
        min_pause_ticks: 2,
        max_pauses: Some(1),
        ..plain(&[300.0; 12], 4)
    };
    use Phase::{Paused, Run, Save, Wait};
    let cases: [(&[(Phase, u32)], &str); 7] = [
        (&[(Run, 3)], "another amount"),
        (&[(Wait, 9), (Run, 4)], "deadline"),
        (&[(Run, 4), (Wait, 1)], "goes on"),
        (&[(Run, 2), (Paused, 2), (Run, 2)], "follow"),
        (
            &[(Run, 1), (Save, 1), (Paused, 2), (Run, 3)],
            "least running",
        ),
        (&[(Run, 2), (Save, 1), (Paused, 1), (Run, 2)], "least pause"),
        (&[(Run, 4)], ""),
    ];
    for (phases, words) in cases {
        match check(&problem, phases) {
            Ok(()) => assert_eq!(words, "", "{phases:?}"),
            Err(why) => assert!(
                !words.is_empty() && why.contains(words),
                "{phases:?}: {why}"
            ),
        }
    }
}
