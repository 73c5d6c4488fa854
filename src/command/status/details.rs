//! `catrain status RUN`: some lines of one run.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::table::{instant, is_held_by_hand, job, progress, span, state_words};
use crate::ledger::runs::JOB;
use crate::plan::Act;
use crate::report::text::harmless;
use crate::units::GramsCo2e;
use crate::words::{mass, time};

/// Changes of a begin time that are shown, the last ones.
const MOVES: usize = 5;

/// Some lines of one run.
pub(super) fn details(run: &Value, now: Timestamp, zone: &TimeZone) -> String {
    let mut lines = vec![format!(
        "{}  {}: {}",
        run["id"].as_str().unwrap_or("-"),
        harmless(run["name"].as_str().unwrap_or("-")),
        state_words(run, now, zone)
    )];
    let here = instant(&run["now"]).unwrap_or(now);
    let mut add = |label: &str, text: Option<String>| {
        if let Some(text) = text {
            lines.push(format!("  {label:<10} {text}"));
        }
    };
    let id = harmless(run["id"].as_str().unwrap_or("-"));
    let why = if is_held_by_hand(run) {
        Some(format!("by hand, until `catrain resume {id}`"))
    } else {
        run["reason"].as_str().map(harmless)
    };
    add("why", why);
    add("plan", plan_words(run, here, zone));
    add(
        "due",
        instant(&run["deadline"]).map(|at| time(at, here, zone)),
    );
    add(
        "done about",
        instant(&run["done_about"]).map(|at| time(at, here, zone)),
    );
    let seconds = |key: &str| run[key].as_f64().map(span);
    match run["spare_s"].as_f64() {
        Some(spare) if spare < 0.0 => {
            let late = span(-spare);
            add("spare", Some(format!("none: about {late} late")));
        }
        _ => add("spare", seconds("spare_s")),
    }
    add("ran", seconds("productive_s"));
    add("progress", progress(run));
    add(
        "intensity",
        run["now_g_per_kwh"]
            .as_f64()
            .map(|grams| format!("{grams:.0} g/kWh now")),
    );
    add(
        "pauses",
        run["pauses"].as_u64().map(|count| count.to_string()),
    );
    let saves = run["saves_g"].as_f64();
    add("saved", saves.map(|grams| mass(GramsCo2e(grams))));
    let slurm = in_job(run, here, zone);
    for (label, text) in slurm {
        add(label, Some(text));
    }
    add("job", run["pid"].as_i64().map(|pid| format!("pid {pid}")));
    let ended = instant(&run["ended_at"]).map(|at| time(at, now, zone));
    add("ended", ended);
    let served = run["listen"].as_str();
    add(
        "health",
        served.map(|address| format!("http://{}/health", harmless(address))),
    );
    add("continues", run["continues"].as_str().map(harmless));
    add("warning", run["ledger_trouble"].as_str().map(harmless));
    let is_run = !run["id"].as_str().unwrap_or("").starts_with(JOB);
    if run["ok"] != json!(true) && is_run {
        add(
            "more",
            run["id"].as_str().map(|id| format!("catrain report {id}")),
        );
    }
    lines.join("\n") + "\n"
}

/// What there is to tell of a run's job, or of a job without a run.
fn in_job(run: &Value, now: Timestamp, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let slurm = &run["slurm"];
    let Some(id) = job(run) else {
        return Vec::new();
    };
    let text = |key: &str| slurm[key].as_str().map(harmless);
    let at = |key: &str| instant(&slurm[key]).map(|at| time(at, now, zone));
    let mut lines = Vec::new();
    let mut words = id;
    words.push_str(&text("cluster").map_or(String::new(), |cluster| format!(" on {cluster}")));
    if let Some(node) = text("node").filter(|node| !node.is_empty()) {
        words.push_str(&format!(", node {node}"));
    }
    if let Some(leader) = text("follows") {
        words.push_str(&format!(", follows {leader}"));
    }
    match slurm["restarts"].as_u64() {
        Some(1) => words.push_str(", 1 restart"),
        Some(count) if count > 1 => words.push_str(&format!(", {count} restarts")),
        _ => {}
    }
    if let Some(state) = text("state") {
        let reason = text("reason").map_or(String::new(), |reason| format!(" ({reason})"));
        let nodes = text("node_list").filter(|nodes| !nodes.is_empty());
        let nodes = nodes.map_or(String::new(), |nodes| format!(" on {nodes}"));
        words.push_str(&format!("; {state}{reason}{nodes}"));
    }
    lines.push(("slurm", words));
    if let Some(submitted) = at("submitted_at") {
        lines.push(("submitted", submitted));
    }
    if let Some(begin) = at("begin") {
        let mut words = format!("start {begin}");
        if let Some(latest) = at("latest") {
            words.push_str(&format!(", at the latest {latest}"));
        }
        let intensity = |key: &str| slurm[key].as_f64();
        let both = (intensity("planned_g_per_kwh")).zip(intensity("now_g_per_kwh"));
        if let Some((planned, at_once)) = both {
            words.push_str(&format!("; {planned:.0} g/kWh instead of {at_once:.0}"));
        }
        if let Some(pausing) = text("pause_with") {
            words.push_str(&format!("; paused with {pausing}"));
        }
        lines.push(("planned", words));
    }
    let moves = slurm["moves"].as_array().map_or(&[][..], Vec::as_slice);
    for one in &moves[moves.len().saturating_sub(MOVES)..] {
        let at = |key: &str| instant(&one[key]).map_or("?".to_owned(), |at| time(at, now, zone));
        let why = harmless(one["why"].as_str().unwrap_or(""));
        let words = format!("{}: {} → {}: {why}", at("at"), at("from"), at("to"));
        lines.push(("moved", words));
    }
    let waits = [
        ("queued_s", "queued"),
        ("held_by_plan_s", "held by the plan"),
        ("paused_s", "paused"),
    ];
    let waits: Vec<String> = (waits.iter())
        .filter_map(|(key, what)| Some((slurm[*key].as_f64()?, what)))
        .filter(|(seconds, _)| *seconds >= 0.5)
        .map(|(seconds, what)| format!("{what} {}", span(seconds)))
        .collect();
    if !waits.is_empty() {
        lines.push(("waited", waits.join(", ")));
    }
    lines
}

fn plan_words(run: &Value, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let started = run["pid"].as_i64().is_some();
    let phases = run["plan"].as_array()?;
    let words: Vec<String> = phases
        .iter()
        .enumerate()
        .filter_map(|(index, phase)| {
            let act: Act = serde_json::from_value(phase["act"].clone()).ok()?;
            let verb = match act {
                Act::Run => "run",
                Act::Pause if index == 0 && !started => "hold",
                Act::Pause => "pause",
            };
            Some(format!(
                "{verb} until {}",
                time(instant(&phase["until"])?, now, zone)
            ))
        })
        .collect();
    Some(words.join(", "))
}
