use proptest::prelude::*;

use super::*;
use crate::plan::Way::{Hold, Release};

/// Every legal sequence of phases, by trying each phase at each tick.
struct Exhaustive<'a> {
    problem: &'a Problem,
    best: Option<Best>,
}

/// Grams, end, pauses, and how many of them release.
type Best = (f64, usize, u32, u32);

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
    releases: u32,
    grams: f64,
}

impl Exhaustive<'_> {
    fn least(problem: &Problem) -> Option<Best> {
        let (phase, age) = match (problem.initial, problem.release) {
            (Initial::Fresh, _) => (Phase::Wait, 0),
            (Initial::Running(age), _) => (Phase::Run, age),
            (Initial::Released(age), Some(_)) => (Phase::Paused(Release), age),
            (Initial::Paused(age) | Initial::Released(age), _) => (Phase::Paused(Hold), age),
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
            releases: 0,
            grams: 0.0,
        };
        search.visit(0, from);
        search.best
    }

    fn visit(&mut self, tick: usize, at: Branch) {
        let p = self.problem;
        if at.done == p.work_ticks {
            let found = (at.grams, tick, at.pauses, at.releases);
            let better = self.best.is_none_or(|best| {
                let near = (found.0 - best.0).abs() < 1e-9;
                let second = |of: Best| (of.1, of.2, of.3);
                (!near && found.0 < best.0) || (near && second(found) < second(best))
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
        let numbers = |way: Way| match way {
            Hold => p.hold,
            Release => p.release.expect("the way is known"),
        };
        let mut go = |phase: Phase, lump_kwh: f64, since_start: u32, begins: Option<Way>| {
            let kw = match phase {
                Phase::Wait => p.wait_kw,
                Phase::Paused(way) => numbers(way).idle_kw,
                _ => p.run_kw,
            };
            let next = Branch {
                phase,
                age: if phase == at.phase { at.age + 1 } else { 1 },
                since_start,
                done: at.done + u32::from(phase == Phase::Run),
                pauses: at.pauses + u32::from(begins.is_some()),
                releases: at.releases + u32::from(begins == Some(Release)),
                grams: at.grams + (lump_kwh + kw * p.tick_min / 60.0) * ci,
            };
            self.visit(tick + 1, next);
        };
        match at.phase {
            Phase::Wait => {
                if p.latest_start_tick.is_none_or(|last| (tick as u32) < last) {
                    go(Phase::Wait, 0.0, 0, None);
                }
                go(Phase::Run, 0.0, 1, None);
            }
            Phase::Run => {
                go(Phase::Run, 0.0, at.since_start + 1, None);
                let may = at.since_start >= p.min_run_ticks.max(1)
                    && p.max_pauses.is_none_or(|most| at.pauses < most);
                let ways = [(Hold, Some(p.hold)), (Release, p.release)];
                for (way, off) in ways {
                    let Some(off) = off.filter(|off| may && off.may_begin) else {
                        continue;
                    };
                    let next = match off.pause_ticks {
                        0 => Phase::Paused(way),
                        _ => Phase::Save(way),
                    };
                    go(next, off.pause_kwh, 0, Some(way));
                }
            }
            Phase::Save(way) if at.age < numbers(way).pause_ticks => {
                go(at.phase, 0.0, 0, None);
            }
            Phase::Save(way) => go(Phase::Paused(way), 0.0, 0, None),
            Phase::Paused(way) => {
                go(at.phase, 0.0, 0, None);
                if at.age >= p.min_pause_ticks.max(1) {
                    let next = match numbers(way).resume_ticks {
                        0 => Phase::Run,
                        _ => Phase::Restore(way),
                    };
                    go(next, numbers(way).resume_kwh, 1, None);
                }
            }
            Phase::Restore(way) if at.age < numbers(way).resume_ticks => {
                go(at.phase, 0.0, at.since_start + 1, None);
            }
            Phase::Restore(_) => go(Phase::Run, 0.0, at.since_start + 1, None),
        }
    }
}

fn initial() -> impl Strategy<Value = Initial> {
    prop_oneof![
        Just(Initial::Fresh),
        (0..4_u32).prop_map(Initial::Running),
        (0..4_u32).prop_map(Initial::Paused),
        (0..4_u32).prop_map(Initial::Released),
    ]
}

prop_compose! {
    /// Few different numbers, so that ties are common, also between the ways.
    fn off()(
        (pause_ticks, resume_ticks) in (0..3_u32, 0..3_u32),
        (pause_tenths, resume_tenths) in (0..3_u32, 0..3_u32),
        idle_tenths in 0..5_u32,
        may_begin in prop::bool::weighted(0.9),
    ) -> Off {
        Off {
            pause_ticks,
            resume_ticks,
            pause_kwh: f64::from(pause_tenths) / 10.0,
            resume_kwh: f64::from(resume_tenths) / 10.0,
            idle_kw: f64::from(idle_tenths) / 10.0,
            may_begin,
        }
    }
}

prop_compose! {
    fn problem()(
        hold in off(),
        release in prop_oneof![1 => Just(None), 3 => off().prop_map(Some)],
        (min_run_ticks, min_pause_ticks) in (0..4_u32, 0..4_u32),
        max_pauses in prop_oneof![2 => Just(None), 1 => (0..3_u32).prop_map(Some)],
        latest_start_tick in prop_oneof![3 => Just(None), 1 => (0..6_u32).prop_map(Some)],
        wait_tenths in 0..5_u32,
        tick_min in prop_oneof![Just(5.0), Just(15.0), Just(60.0)],
        initial in initial(),
        ci in prop::collection::vec((0..6_u32).prop_map(|n| f64::from(n * 50)), 1..12),
        beyond in 0..3_u32,
        work_ticks in 0..7_u32,
    ) -> Problem {
        Problem {
            tick_min,
            run_kw: 0.7,
            wait_kw: f64::from(wait_tenths) / 10.0,
            hold,
            release,
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

/// How many pauses of a plan are made by release.
fn releases(problem: &Problem, phases: &[(Phase, u32)]) -> u32 {
    let before = std::iter::once(problem.phase_before()).chain(phases.iter().map(|(on, _)| *on));
    let begins = |(before, (on, _)): &(Phase, &(Phase, u32))| {
        *before == Phase::Run && matches!(on, Phase::Save(Release) | Phase::Paused(Release))
    };
    before.zip(phases).filter(begins).count() as u32
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_is_the_best_of_all_legal_plans(problem in problem()) {
        let expected = Exhaustive::least(&problem);
        let found = solve(&problem);
        prop_assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some((grams, end, pauses, released))) = (found, expected) {
            prop_assert_eq!(check(&problem, &found.phases), Ok(()));
            prop_assert!((found.grams - grams).abs() < 1e-9, "{} against {grams}", found.grams);
            prop_assert!((cost_of(&problem, &found.phases) - grams).abs() < 1e-9);
            let second = (found.end_tick as usize, found.pauses, releases(&problem, &found.phases));
            prop_assert_eq!(second, (end, pauses, released));
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
            (Some((Phase::Paused(_), _)), Initial::Paused(age)) => Initial::Paused(age + 1),
            (Some((Phase::Paused(_), _)), Initial::Released(age)) => Initial::Released(age + 1),
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

    #[test]
    fn a_release_that_costs_what_holding_does_changes_nothing(problem in problem()) {
        let one = Problem { release: None, ..problem.clone() };
        let two = Problem { release: Some(problem.hold), ..problem };
        let (one_plan, two_plan) = (solve(&one), solve(&two));
        prop_assert_eq!(one_plan.is_some(), two_plan.is_some());
        if let (Some(one_plan), Some(two_plan)) = (one_plan, two_plan) {
            prop_assert!((one_plan.grams - two_plan.grams).abs() < 1e-9);
            prop_assert_eq!((one_plan.end_tick, one_plan.pauses), (two_plan.end_tick, two_plan.pauses));
            prop_assert_eq!(releases(&two, &two_plan.phases), 0);
        }
    }

    #[test]
    fn a_dear_release_is_never_chosen(problem in problem(), more in 1..5_u32, by in 0..5_u32) {
        let mut dear = problem.hold;
        dear.may_begin = true;
        match by {
            0 => dear.pause_ticks += more,
            1 => dear.resume_ticks += more,
            2 => dear.pause_kwh += f64::from(more) / 10.0,
            3 => dear.resume_kwh += f64::from(more) / 10.0,
            _ => dear.idle_kw += f64::from(more) / 10.0,
        }
        let mut problem = problem;
        problem.hold.may_begin = true;
        // Unless the job is released already, it is as if there were no such way.
        if let Initial::Released(age) = problem.initial {
            problem.initial = Initial::Paused(age);
        }
        let one = solve(&Problem { release: None, ..problem.clone() });
        let two = Problem { release: Some(dear), ..problem };
        let chosen = solve(&two);
        prop_assert_eq!(one.is_some(), chosen.is_some());
        if let (Some(one), Some(chosen)) = (one, chosen) {
            prop_assert!((one.grams - chosen.grams).abs() < 1e-9);
            prop_assert_eq!(releases(&two, &chosen.phases), 0);
        }
    }

    #[test]
    fn a_second_way_never_costs_more(problem in problem()) {
        let two = Problem { initial: match problem.initial {
            Initial::Released(age) => Initial::Paused(age),
            other => other,
        }, ..problem };
        let one = Problem { release: None, ..two.clone() };
        if let Some(one) = solve(&one) {
            let two = solve(&two).expect("a plan with one way is a plan with two");
            prop_assert!(two.grams <= one.grams + 1e-9);
        }
    }

    #[test]
    fn the_ways_are_told_apart_by_their_numbers_alone(problem in problem()) {
        if let Some(release) = problem.release {
            let swapped = Problem {
                hold: release,
                release: Some(problem.hold),
                initial: match problem.initial {
                    Initial::Paused(age) => Initial::Released(age),
                    Initial::Released(age) => Initial::Paused(age),
                    other => other,
                },
                ..problem.clone()
            };
            let (a, b) = (solve(&problem), solve(&swapped));
            prop_assert_eq!(a.is_some(), b.is_some());
            if let (Some(a), Some(b)) = (a, b) {
                prop_assert!((a.grams - b.grams).abs() < 1e-9);
                prop_assert_eq!((a.end_tick, a.pauses), (b.end_tick, b.pauses));
            }
        }
    }
}

const FREE: Off = Off {
    pause_ticks: 0,
    resume_ticks: 0,
    pause_kwh: 0.0,
    resume_kwh: 0.0,
    idle_kw: 0.0,
    may_begin: true,
};

fn plain(ci: &[f64], work_ticks: u32) -> Problem {
    Problem {
        tick_min: 60.0,
        run_kw: 0.5,
        wait_kw: 0.0,
        hold: FREE,
        release: None,
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
        hold: Off {
            idle_kw: 0.5,
            ..FREE
        },
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
        hold: Off {
            pause_ticks: 1,
            ..FREE
        },
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
        (&[(Run, 2), (Paused(Hold), 2), (Run, 2)], "follow"),
        (
            &[(Run, 1), (Save(Hold), 1), (Paused(Hold), 2), (Run, 3)],
            "least running",
        ),
        (
            &[(Run, 2), (Save(Hold), 1), (Paused(Hold), 1), (Run, 2)],
            "least pause",
        ),
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

/// A short dirty dip, then a long dirty night. Holding draws 300 W, releasing nothing; to start
/// again takes an hour.
fn dip_and_night() -> Problem {
    Problem {
        run_kw: 1.0,
        hold: Off {
            idle_kw: 0.3,
            ..FREE
        },
        release: Some(Off {
            resume_ticks: 1,
            resume_kwh: 0.1,
            ..FREE
        }),
        initial: Initial::Running(1),
        ..plain(
            &[
                100.0, 100.0, 500.0, 100.0, 500.0, 500.0, 500.0, 500.0, 500.0, 500.0, 100.0, 100.0,
                100.0, 100.0,
            ],
            6,
        )
    }
}

#[test]
fn a_short_dip_is_held_through_and_a_long_night_released() {
    use Phase::{Paused, Restore, Run};
    let problem = dip_and_night();
    let plan = solve(&problem).unwrap();
    assert_eq!(
        plan.phases,
        [
            (Run, 2),
            (Paused(Hold), 1),
            (Run, 1),
            (Paused(Release), 6),
            (Restore(Release), 1),
            (Run, 3)
        ]
    );
    // Six hours of work and one of restoring at 100 g/kWh, 0.1 kWh on top, and 0.3 kW through the dip.
    assert!((plan.grams - (700.0 + 10.0 + 150.0)).abs() < 1e-9);
    let (grams, ..) = Exhaustive::least(&problem).unwrap();
    assert!((plan.grams - grams).abs() < 1e-9, "{} {grams}", plan.grams);
    // Either way alone is dearer.
    let without = |hold: bool, release: bool| {
        let mut problem = problem.clone();
        problem.hold.may_begin = hold;
        if let Some(off) = &mut problem.release {
            off.may_begin = release;
        }
        solve(&problem).unwrap().grams
    };
    assert!(without(true, false) > grams + 1.0 && without(false, true) > grams + 1.0);
}

#[test]
fn the_rule_of_thumb_is_the_energy_of_switching_over_the_power_saved() {
    let mut problem = dip_and_night();
    // 1.1 kWh at 0.3 kW: 3 h 40 min.
    assert!(!problem.release_pays(3) && problem.release_pays(4));
    problem.release = Some(problem.hold);
    assert!(!problem.release_pays(1000), "a tie is held");
    problem.release = None;
    assert!(!problem.release_pays(1000));
}

#[test]
fn a_checked_plan_keeps_to_one_way_for_each_pause() {
    use Phase::{Paused, Restore, Run};
    let mut problem = dip_and_night();
    let released = [
        (Run, 2),
        (Paused(Release), 1),
        (Restore(Release), 1),
        (Run, 4),
    ];
    assert_eq!(check(&problem, &released), Ok(()));
    let changes = [
        (Run, 2),
        (Paused(Hold), 1),
        (Paused(Release), 1),
        (Restore(Release), 1),
        (Run, 4),
    ];
    let follow = Err("phases do not follow each other so");
    assert_eq!(check(&problem, &changes), follow);
    let other_end = [(Run, 2), (Paused(Hold), 1), (Restore(Release), 1), (Run, 4)];
    assert_eq!(check(&problem, &other_end), follow);
    problem.release.as_mut().unwrap().may_begin = false;
    let not_allowed = Err("pauses in a way that is not allowed");
    assert_eq!(check(&problem, &released), not_allowed);
    problem.release = None;
    let released = [(Run, 2), (Paused(Release), 1), (Run, 4)];
    assert_eq!(check(&problem, &released), not_allowed);
}

prop_compose! {
    /// Many short pauses in both ways that cost the same.
    fn tied()(
        (hold, release) in (tied_off(), tied_off()),
        initial in initial(),
        max_pauses in prop_oneof![4 => Just(None), 1 => (1..5_u32).prop_map(Some)],
        ci in prop::collection::vec(prop::sample::select(vec![0.0, 70.0, 210.0]), 8..13),
        beyond in 3..8_u32,
    ) -> Problem {
        Problem {
            hold,
            release: Some(release),
            initial,
            max_pauses,
            run_kw: 0.3,
            work_ticks: (ci.len() as u32).saturating_sub(beyond),
            ..plain(&ci, 0)
        }
    }
}

prop_compose! {
    fn tied_off()(
        (pause_tenths, resume_tenths, idle_tenths) in (0..3_u32, 0..3_u32, 0..3_u32),
    ) -> Off {
        Off {
            pause_kwh: f64::from(pause_tenths) / 10.0,
            resume_kwh: f64::from(resume_tenths) / 10.0,
            idle_kw: f64::from(idle_tenths) / 10.0,
            ..FREE
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_equal_plans_the_first_to_end_then_fewest_pauses_then_fewest_releases(problem in tied()) {
        let found = solve(&problem).map(|plan| {
            (plan.end_tick as usize, plan.pauses, releases(&problem, &plan.phases))
        });
        let expected = Exhaustive::least(&problem).map(|(_, end, pauses, released)| {
            (end, pauses, released)
        });
        prop_assert_eq!(found, expected);
    }
}
