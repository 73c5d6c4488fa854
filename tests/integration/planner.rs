//! The exact planner against instances whose optimum is known.
//!
//! `CATRAIN_PLANNER_INSTANCES` names another file of the same form.

use std::path::PathBuf;

use catrain::plan::Way;
use catrain::plan::exact::{Initial, Off, Phase, Problem, check, cost_of, run_now_grams, solve};
use serde::Deserialize;

#[derive(Deserialize)]
struct Instances {
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    id: String,
    tick_min: f64,
    p_run_kw: f64,
    p_idle_kw: f64,
    p_wait_kw: f64,
    pause_ticks: u32,
    resume_ticks: u32,
    pause_kwh: f64,
    resume_kwh: f64,
    min_run_ticks: u32,
    min_pause_ticks: u32,
    max_pauses: Option<u32>,
    initial: (String, u32),
    ci: Vec<f64>,
    deadline_ticks: u32,
    work_ticks: u32,
    optimal_g: Option<f64>,
    run_now_g: Option<f64>,
    example_plan: Option<Vec<(String, u32)>>,
}

impl Instance {
    fn problem(&self) -> Problem {
        Problem {
            tick_min: self.tick_min,
            run_kw: self.p_run_kw,
            wait_kw: self.p_wait_kw,
            hold: Off {
                pause_ticks: self.pause_ticks,
                resume_ticks: self.resume_ticks,
                pause_kwh: self.pause_kwh,
                resume_kwh: self.resume_kwh,
                idle_kw: self.p_idle_kw,
                may_begin: true,
            },
            release: None,
            min_run_ticks: self.min_run_ticks,
            min_pause_ticks: self.min_pause_ticks,
            max_pauses: self.max_pauses,
            latest_start_tick: None,
            initial: match (self.initial.0.as_str(), self.initial.1) {
                ("fresh", _) => Initial::Fresh,
                ("running", age) => Initial::Running(age),
                ("paused", age) => Initial::Paused(age),
                (other, _) => panic!("{}: unknown initial state {other}", self.id),
            },
            ci_g_per_kwh: self.ci.clone(),
            deadline_ticks: self.deadline_ticks,
            work_ticks: self.work_ticks,
        }
    }
}

fn phase(name: &str) -> Phase {
    match name {
        "wait" => Phase::Wait,
        "run" => Phase::Run,
        "save" => Phase::Save(Way::Hold),
        "paused" => Phase::Paused(Way::Hold),
        "restore" => Phase::Restore(Way::Hold),
        other => panic!("unknown phase {other}"),
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6
}

#[test]
fn planner_instances() {
    let path = std::env::var_os("CATRAIN_PLANNER_INSTANCES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/planner_instances.json"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).unwrap();
    let all: Instances = serde_json::from_str(&text).unwrap();
    assert!(!all.instances.is_empty());
    for instance in &all.instances {
        let (id, problem) = (&instance.id, instance.problem());
        match (run_now_grams(&problem), instance.run_now_g) {
            (Some(found), Some(known)) => assert!(same(found, known), "{id}: {found} {known}"),
            (found, known) => assert_eq!(found, known, "{id}: run now"),
        }
        let Some(optimum) = instance.optimal_g else {
            assert_eq!(solve(&problem), None, "{id} has no legal plan");
            continue;
        };
        let plan = solve(&problem).unwrap_or_else(|| panic!("{id} has a legal plan"));
        assert_eq!(
            check(&problem, &plan.phases),
            Ok(()),
            "{id}: {:?}",
            plan.phases
        );
        assert!(same(plan.grams, optimum), "{id}: {} {optimum}", plan.grams);
        let again = cost_of(&problem, &plan.phases);
        assert!(
            same(again, optimum),
            "{id}: recomputed {again}, not {optimum}"
        );
        if let Some(example) = &instance.example_plan {
            let example: Vec<_> = example.iter().map(|(name, n)| (phase(name), *n)).collect();
            assert_eq!(check(&problem, &example), Ok(()), "{id}: the example");
            assert!(
                same(cost_of(&problem, &example), optimum),
                "{id}: the example"
            );
        }
    }
}
