//! What a run says of itself: the members of `runs` in `catrain.status/1`.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::forecast::Span;
use crate::plan::Fit;
use crate::plan::Policy;
use crate::supervise::View;
use crate::supervise::machine::{Leftovers, OnBudget, Phase, Settings, Unproved};

/// Of a run in progress. What is not known is null.
pub(in crate::command) fn describe(view: &View<'_>, now: Moment, run: &str, name: &str) -> Value {
    let machine = view.machine;
    let decision = machine.decision();
    let until = match machine.phase() {
        Phase::Backoff { until } => {
            let left = until.saturating_sub(now.monotonic);
            Some(Span::new(now.utc, left).end)
        }
        _ => decision.and_then(|decision| decision.until),
    };
    let plan = decision.and_then(|decision| decision.plan.as_ref());
    let settings = machine.settings();
    let expected = settings.duration.map(|expected| expected.duration);
    let productive = machine.productive(now);
    let pace = machine.pace();
    let progress = machine.progress(now).map(|share| share * 100.0);
    let source = pace.fraction().map_or("time", |_| "steps");
    let is_known = expected.is_some() || pace.work(productive).is_some();
    let spare = decision.and_then(|decision| decision.deadline.map(Fit::spare_s));
    json!({
        "id": run,
        "name": name,
        "state": machine.phase().word(),
        "holds": machine.holds().causes(),
        "state_for_s": machine.since(now).as_secs_f64(),
        "now": now.utc.to_string(),
        "until": until.map(|at| at.to_string()),
        "reason": decision.map(|decision| {
            decision.reason.words(decision.until, now.utc, &TimeZone::system())
        }),
        "elapsed_s": now.elapsed.as_secs_f64(),
        "productive_s": productive.as_secs_f64(),
        "progress_percent": progress,
        "progress_source": progress.map(|_| source),
        "done": pace.last().map(|reading| reading.done),
        "total": pace.last().map(|reading| reading.total),
        "rate_per_hour": pace.rate(),
        "attempt": machine.attempt(),
        "pause_with": settings.pausing.with.as_str(),
        // Of the last start that is over.
        "exit": machine.last_exit(),
        // The end of a plan for work of unknown length is a guess of the planner's, not of the work.
        "done_about": plan.filter(|_| is_known).map(|plan| plan.end.to_string()),
        "deadline": settings.deadline.map(|at| at.to_string()),
        "spare_s": spare,
        "now_g_per_kwh": machine.outlook()
            .and_then(|outlook| outlook.expected.at(now.utc))
            .map(|intensity| intensity.0),
        "can_pause": settings.can_pause,
        "pauses": machine.pauses(),
        "saves_g": plan.map(|plan| (plan.run_now_grams - plan.grams).0),
        "ways": plan.map(|plan| plan.ways.clone()),
        "plan": plan.map(|plan| plan.phases.iter().map(|(act, until)| {
            json!({ "act": act, "until": until.to_string() })
        }).collect::<Vec<_>>()),
        "settings": asked(settings),
        "pid": view.pid,
        "supervisor_pid": nix::unistd::getpid().as_raw(),
    })
}

/// What the run is asked for, as far as that may change while it goes on.
fn asked(settings: &Settings) -> Value {
    let seconds = |time: Duration| time.as_secs_f64();
    let pausing = &settings.pausing;
    json!({
        "policy": match settings.policy {
            Policy::Threshold(limit) => format!("threshold {limit}"),
            policy => policy.word().to_owned(),
        },
        "duration_s": settings.duration.map(|expected| seconds(expected.duration)),
        "duration_margin": settings.duration.map(|expected| expected.margin),
        "max_delay_s": settings.max_delay.map(seconds),
        "carbon_budget_g": settings.budget.map(|budget| budget.0),
        "on_budget": match settings.on_budget {
            OnBudget::Warn => "warn",
            OnBudget::Pause => "pause",
            OnBudget::Stop => "stop",
        },
        "min_run_s": seconds(settings.switching.min_run),
        "min_pause_s": seconds(settings.switching.min_pause),
        "checkpoint_timeout_s": seconds(pausing.patience),
        "unproved": match pausing.unproved {
            Unproved::Stop => "stop",
            Unproved::Run => "run",
        },
        "max_stop_s": pausing.max_stop.map(seconds),
        "stop_signal": settings.stop_signal,
        "grace_s": seconds(settings.grace),
        "leftovers": match settings.leftovers {
            Leftovers::End => "end",
            Leftovers::Leave => "leave",
        },
        "retries": settings.retry.most,
        "retry_delay_s": seconds(settings.retry.delay),
    })
}
