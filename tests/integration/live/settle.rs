//! Reports of runs that are over: what was observed since is asked for, added to their records and
//! shown, and an earlier report comes again.

use std::fs;

use catrain::ledger::chain::Digest;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{QUICK, document, good, sandbox_with};
use crate::support::Sandbox;
use crate::support::services::{Reply, Services, path_of};
use crate::support::supervised::outcome;

const V2: &str = include_str!("../../fixtures/ledger_v2.jsonl");
/// What is observed, whatever was forecast.
const OBSERVED: f64 = 100.0;
/// Before anything was settled.
const EARLIER: &str = "2026-11-25T12:00:00Z";

/// The record of the example up to its end, kept by Energy-Charts, as a run of the past.
fn record(sandbox: &Sandbox) {
    let mut digest = Digest::NONE;
    let mut text = String::new();
    for line in V2.lines() {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        if entry["entry"] == "settlement" {
            break;
        }
        entry.as_object_mut().unwrap().remove("chain");
        if entry.get("basis").is_some() {
            entry["basis"]["scope"] = "unknown".into();
        }
        if entry["entry"] == "begin" {
            entry["sources"] = json!(["energy-charts", "built-in"]);
        }
        let body = entry.to_string();
        let body = body.strip_suffix('}').unwrap();
        digest = digest.then(body.as_bytes());
        text.push_str(&format!("{body},\"chain\":\"{digest}\"}}\n"));
    }
    let directory = sandbox.state_dir().join("runs/r7k2");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("ledger.jsonl"), text).unwrap();
}

/// What Energy-Charts observed in the days that are asked for.
fn observed(head: &str) -> Option<Reply> {
    let query = path_of(head).strip_prefix("/co2eq?")?;
    let day = |name: &str| -> i64 {
        let value = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let day: Date = value.unwrap().parse().unwrap();
        day.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second()
    };
    let seconds: Vec<i64> = (day("start")..day("end")).step_by(900).collect();
    let values = vec![OBSERVED; seconds.len()];
    let nothing: Vec<Option<f64>> = vec![None; seconds.len()];
    let body = json!({
        "unix_seconds": seconds, "co2eq": values, "co2eq_forecast": nothing, "deprecated": false
    });
    let json = "Content-Type: application/json\r\n";
    Some(Reply::of(200, json, &body.to_string()))
}

fn report(services: &Services, sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let arguments = [&["report", "--format", "json"], arguments].concat();
    document(&mut services.catrain(sandbox, &arguments))["runs"][0].clone()
}

#[test]
fn a_run_is_settled_by_what_was_observed_since_and_an_earlier_report_comes_again() {
    let (services, sandbox) = (Services::good(), sandbox_with(QUICK));
    services.say(observed);
    record(&sandbox);
    let before = report(&services, &sandbox, &["--as-of", EARLIER]);
    assert_eq!(before["emissions"][0]["settled"], false);
    assert_eq!(
        services.calls("/co2eq"),
        0,
        "what was known then is asked of nobody"
    );

    let after = report(&services, &sandbox, &[]);
    let own = &after["emissions"][0];
    assert_eq!(own["settled"], true, "{own:#}");
    assert_eq!(own["intensity_kinds"]["observed"], 1.0);
    assert_ne!(after["ledger"]["head"], before["ledger"]["head"]);
    let calls = services.calls("/co2eq");
    assert!(calls > 0);

    let again = report(&services, &sandbox, &[]);
    assert_eq!(again["emissions"], after["emissions"]);
    assert_eq!(
        services.calls("/co2eq"),
        calls,
        "what is settled is asked no more"
    );
    let then = report(&services, &sandbox, &["--as-of", EARLIER]);
    assert_eq!(then["emissions"], before["emissions"]);

    let verified = good(outcome(&mut sandbox.catrain(["report", "--verify"])));
    assert!(verified.stdout.contains("complete"), "{}", verified.stdout);
}

#[test]
fn a_report_asks_nobody_offline_and_is_made_where_nobody_answers() {
    let (services, sandbox) = (
        Services::saying(Reply::of(503, "", "")),
        sandbox_with(QUICK),
    );
    record(&sandbox);
    let ledger = sandbox.state_dir().join("runs/r7k2/ledger.jsonl");
    let text = fs::read_to_string(&ledger).unwrap();
    let offline = report(&services, &sandbox, &["--offline"]);
    assert_eq!(services.connections(), 0);
    let ended = good(outcome(
        &mut services.catrain(&sandbox, &["report", "--format", "json"]),
    ));
    assert!(services.connections() > 0);
    assert!(
        ended.stderr.contains("r7k2 is not settled"),
        "{}",
        ended.stderr
    );
    let online: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(online["runs"][0]["emissions"], offline["emissions"]);
    assert_eq!(
        fs::read_to_string(&ledger).unwrap(),
        text,
        "nothing is added"
    );
}

#[test]
fn what_cannot_be_recorded_is_shown_and_that_is_said() {
    let (services, sandbox) = (Services::good(), sandbox_with(QUICK));
    services.say(observed);
    record(&sandbox);
    let ledger = sandbox.state_dir().join("runs/r7k2/ledger.jsonl");
    let text = fs::read_to_string(&ledger).unwrap();
    // A digit of an energy.
    let changed = text.replacen("\"joules\":", "\"joules\":1", 1);
    fs::write(&ledger, &changed).unwrap();
    let ended = good(outcome(&mut services.catrain(&sandbox, &["report"])));
    assert!(ended.stderr.contains("is not recorded"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&ledger).unwrap(), changed);
}
