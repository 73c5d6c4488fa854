//! Metrics in files.

use std::fs;

use serde_json::Value;

use super::day;
use crate::support::supervised::{outcome, recorded, run, said};
use crate::support::{Sandbox, wait_for};

/// A run of a day with this file, to its end; what the file says, with what the run said.
#[track_caller]
fn written(sandbox: &Sandbox, name: &str, every: &str) -> (String, String) {
    let path = sandbox.path(name);
    let mut options = day(sandbox);
    options.extend(["--metrics-file".to_owned(), path.display().to_string()]);
    options.extend(["--metrics-every".to_owned(), every.to_owned()]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let ended = outcome(&mut run(sandbox, &options, ["sleep", "2"]));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    (sandbox.read(name), ended.stderr)
}

#[test]
fn the_last_look_has_the_sums_of_the_record() {
    let sandbox = Sandbox::new();
    let (text, _) = written(&sandbox, "metrics.json", "1h");
    let look: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(look["schema"], "catrain.metrics/1");
    let families = look["metrics"].as_array().unwrap();
    let samples = |name: &str| -> Vec<Value> {
        let family = families.iter().find(|family| family["name"] == name);
        let family = family.unwrap_or_else(|| panic!("no {name} in {text}"));
        family["samples"].as_array().unwrap().clone()
    };
    let sum = |name: &str| -> f64 {
        let all = samples(name);
        all.iter()
            .map(|sample| sample["value"].as_f64().unwrap())
            .sum()
    };
    let [id] = recorded(&sandbox).try_into().unwrap();
    let report = said(&sandbox, &["report", &id, "--format", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let account = &report["runs"][0];
    let close = |a: f64, b: f64, what: &str| {
        assert!(
            (a - b).abs() <= 0.02 * b.abs() + 0.01,
            "{what}: {a} and {b}\n{text}"
        );
    };
    let kwh = account["energy_kwh"]["total"].as_f64().unwrap();
    close(sum("catrain_energy_joules_total") / 3.6e6, kwh, "energy");
    let emissions = &account["emissions"][0];
    let grams = emissions["g"]["total"].as_f64().unwrap();
    close(sum("catrain_emissions_grams_total"), grams, "emissions");
    let avoided = emissions["avoided_g"].as_f64().unwrap();
    assert!(avoided > 0.0, "{emissions}");
    close(sum("catrain_avoided_emissions_grams"), avoided, "avoided");
    let phase = samples("catrain_phase");
    let ended = phase.iter().find(|sample| sample["value"] == 1.0).unwrap();
    assert_eq!(ended["labels"]["phase"], "ended");
    assert_eq!(sum("catrain_replay"), 1.0);
}

#[test]
fn rows_follow_the_run_as_it_goes() {
    let sandbox = Sandbox::new();
    let (text, _) = written(&sandbox, "metrics.csv", "100ms");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let heading = rows.headers().unwrap().clone();
    let place = |name: &str| heading.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert!(rows.len() > 5, "{text}");
    let phases: Vec<&str> = rows.iter().map(|row| &row[place("phase")]).collect();
    assert!(
        phases.contains(&"held") && phases.contains(&"running"),
        "{phases:?}"
    );
    assert_eq!(phases.last(), Some(&"ended"));
    let energy: Vec<f64> = (rows.iter())
        .map(|row| row[place("energy_j")].parse().unwrap())
        .collect();
    assert!(energy.is_sorted(), "{energy:?}");
    assert!(energy.last().is_some_and(|joules| *joules > 0.0));
}

#[test]
fn a_place_that_takes_no_file_costs_a_warning_and_not_the_job() {
    let sandbox = Sandbox::new();
    let (text, said) = written(&sandbox, "none/metrics.prom", "100ms");
    assert_eq!(text, "");
    let warned = said.matches("metrics cannot be written to").count();
    assert_eq!(warned, 1, "once an episode: {said}");
}

#[test]
fn a_name_that_does_not_say_how_to_write_is_refused_before_the_start() {
    let sandbox = Sandbox::new();
    let options = ["-z", "DE", "--metrics-file", "metrics.txt"];
    let refused = outcome(&mut run(&sandbox, &options, ["touch", "started"]));
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        refused.stderr.contains("`.json`, `.csv` or `.prom`"),
        "{refused:?}"
    );
    assert!(!sandbox.home().join("started").exists());
}

#[test]
fn a_file_for_a_collector_is_whole_whenever_it_is_read() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("metrics.prom");
    let mut options = day(&sandbox);
    options.extend(["--metrics-file".to_owned(), path.display().to_string()]);
    options.extend(["--metrics-every".to_owned(), "1ms".to_owned()]);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut running =
        crate::support::child::Running::start(&mut run(&sandbox, &options, ["sleep", "2"]));
    let mut looks = 0;
    wait_for(
        "the end of the run",
        crate::support::supervised::LONG,
        || {
            if let Ok(text) = fs::read_to_string(&path) {
                looks += 1;
                let last = text.lines().last().unwrap_or_default();
                assert!(last.starts_with("process_open_fds "), "cut off at {last}");
            }
            running.has_ended()
        },
    );
    assert!(looks > 10, "{looks} looks");
}
