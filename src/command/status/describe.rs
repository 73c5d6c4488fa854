//! What a run says of itself: the members of `runs` in `catrain.status/1`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::forecast::Span;
use crate::plan::Fit;
use crate::supervise::View;
use crate::supervise::machine::Phase;

/// Of a run in progress. What is not known is null.
pub(in crate::command) fn describe(view: &View<'_>, now: Moment, run: &str, name: &str) -> Value {
    let machine = view.machine;
    let state = match machine.phase() {
        Phase::Holding => "held",
        Phase::Starting => "starting",
        Phase::Running { .. } | Phase::Pausing { .. } | Phase::Resuming { .. } => "running",
        Phase::Checkpointing { .. } | Phase::Proving { .. } | Phase::Leaving { .. } => "saving",
        Phase::Released { .. } => "released",
        Phase::Backoff { .. } => "retrying",
        Phase::Paused { .. } => "paused",
        Phase::Stopping { .. } | Phase::Lingering { .. } => "ending",
        Phase::Ended(_) => "ended",
    };
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
    let by_steps = pace.fraction().map(|share| share * 100.0);
    let by_time = expected.map(|expected| {
        (productive.as_secs_f64() / expected.as_secs_f64().max(1e-9) * 100.0).min(100.0)
    });
    let progress = by_steps.or(by_time);
    let source = by_steps.map_or("time", |_| "steps");
    let is_known = expected.is_some() || pace.work(productive).is_some();
    let spare = decision.and_then(|decision| match decision.deadline? {
        Fit::Planned { spare } => Some(spare.as_secs_f64()),
        Fit::Tight => Some(0.0),
        Fit::CannotBeMet { late } => Some(-late.as_secs_f64()),
    });
    json!({
        "id": run,
        "name": name,
        "state": state,
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
        "pid": view.pid,
        "supervisor_pid": nix::unistd::getpid().as_raw(),
    })
}
