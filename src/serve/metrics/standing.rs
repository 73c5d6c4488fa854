//! Which run it is, how it stands and what is planned.

use std::borrow::Cow;

use super::making::{counter, flag, gauge, labels, states, unix};
use crate::ledger::entry::Cause;
use crate::plan::Act;
use crate::serve::facts::Facts;
use crate::serve::family::{Family, Samples};
use crate::supervise::machine::Phase;
use crate::supervise::snapshot::{Decided, Snapshot};

pub(super) fn run(facts: &Facts, trusted: bool, all: &mut Vec<Family>) {
    let version = labels([("version", env!("CARGO_PKG_VERSION"))]);
    all.push(Family {
        name: "catrain_build",
        unit: None,
        help: "The program.",
        samples: Samples::Info(vec![version]),
    });
    let about = &facts.about;
    all.push(
        gauge(
            "catrain_replay",
            None,
            "1 if another day is lived out: nothing of it happens today.",
        )
        .one(flag(about.is_replay)),
    );
    if !trusted {
        return;
    }
    let mut own = labels([
        ("run", &facts.run),
        ("name", &about.name),
        ("zone", &about.zone),
        ("policy", &about.policy),
        ("pause_with", &about.pause_with),
    ]);
    for (key, value) in &about.labels {
        let name: Cow<'static, str> = format!("label_{}", label_name(key)).into();
        if own.iter().all(|(known, _)| *known != name) {
            own.push((name, value.clone()));
        }
    }
    all.push(Family {
        name: "catrain_run",
        unit: None,
        help: "The run, by the names that its user gave.",
        samples: Samples::Info(vec![own]),
    });
}

/// What may stand in the name of a label.
fn label_name(key: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    key.chars().map(sign).collect()
}

pub(super) fn standing(seen: &Snapshot, all: &mut Vec<Family>) {
    let holds = Cause::ALL.map(|cause| {
        let is_held = flag(seen.holds.contains(&cause));
        (labels([("cause", cause.word())]), is_held)
    });
    let buckets = seen.lateness.buckets().collect();
    all.extend([
        gauge("catrain_phase", None, "1 for the phase that the run is in.").of(states(
            "phase",
            Phase::WORDS,
            |word| word == seen.phase,
        )),
        gauge(
            "catrain_phase_age",
            Some("seconds"),
            "Time in the present phase.",
        )
        .one(seen.phase_for.as_secs_f64()),
        gauge("catrain_hold", None, "1 for each who holds the job.").of(holds),
        counter("catrain_pauses", None, "Pauses by the plan.").one(f64::from(seen.pauses)),
        counter("catrain_starts", None, "Starts of the job.").one(f64::from(seen.starts)),
        gauge(
            "catrain_progress",
            Some("ratio"),
            "What of the work is done, 0 to 1.",
        )
        .one(seen.progress),
        gauge(
            "catrain_productive",
            Some("seconds"),
            "Time in which the job made progress.",
        )
        .one(seen.productive.as_secs_f64()),
        gauge(
            "catrain_deadline_timestamp",
            Some("seconds"),
            "The latest end, in Unix time.",
        )
        .one(seen.deadline.map(unix)),
        gauge(
            "catrain_budget",
            Some("grams"),
            "Emissions that the run may use.",
        )
        .one(seen.budget.map(|budget| budget.0)),
        gauge(
            "catrain_time_timestamp",
            Some("seconds"),
            "The run's own time; in a replay that of the day that is lived out.",
        )
        .one(unix(seen.at.utc)),
        gauge(
            "catrain_guard_ready",
            None,
            "1 if the process that would continue the job answers.",
        )
        .one(flag(seen.has_guard)),
        gauge(
            "catrain_ready",
            None,
            "1 if there is a plan and the job is under control.",
        )
        .one(flag(seen.not_ready().is_none())),
        Family {
            name: "catrain_decision_lateness",
            unit: Some("seconds"),
            help: "How late the deciding loop woke up.",
            samples: Samples::Histogram {
                sum: seen.lateness.sum().as_secs_f64(),
                buckets,
            },
        },
    ]);
}

pub(super) fn plan(decided: &Decided, all: &mut Vec<Family>) {
    let acts = states("act", ["run", "pause"], |word| {
        (word == "pause") == (decided.act == Act::Pause)
    });
    let plan = decided.plan;
    all.extend([
        gauge(
            "catrain_plan",
            None,
            "1 for what the plan has the job do now.",
        )
        .of(acts),
        gauge(
            "catrain_plan_next_change_timestamp",
            Some("seconds"),
            "When the plan changes next, in Unix time.",
        )
        .one(decided.until.map(unix)),
        gauge(
            "catrain_plan_end_timestamp",
            Some("seconds"),
            "When the work is expected to be done, in Unix time.",
        )
        .one(plan.map(|plan| unix(plan.end))),
        gauge(
            "catrain_plan_spare",
            Some("seconds"),
            "Time to spare before the deadline; negative: late.",
        )
        .one(decided.spare_s),
        gauge(
            "catrain_plan_pauses",
            None,
            "Pauses that are still to come.",
        )
        .one(plan.map(|plan| f64::from(plan.pauses))),
        gauge(
            "catrain_plan_emissions",
            Some("grams"),
            "Emissions that are still expected.",
        )
        .one(plan.map(|plan| plan.grams.0)),
        gauge(
            "catrain_plan_run_now_emissions",
            Some("grams"),
            "The same if the job ran on without a pause.",
        )
        .one(plan.map(|plan| plan.run_now_grams.0)),
    ]);
}
