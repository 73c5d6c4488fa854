//! `catrain status RUN`: some lines of one run.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::table::{instant, is_held_by_hand, progress, span, state_words};
use crate::plan::Act;
use crate::report::text::harmless;
use crate::units::GramsCo2e;
use crate::words::{mass, time};

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
    if run["ok"] != json!(true) {
        add(
            "more",
            run["id"].as_str().map(|id| format!("catrain report {id}")),
        );
    }
    lines.join("\n") + "\n"
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
