//! Live sources, end to end: the program against services on loopback that answer as recorded, badly
//! or not at all. What is asked for here; `keys`, `runs`, what is asked for
//! when they are over (`settle`) and what is set up `wrong` in files of their
//! own.

mod keys;
mod runs;
mod settle;
mod wrong;

use std::fs;
use std::process::Command;

use catrain::clock::utc_now;
use jiff::SignedDuration;
use serde_json::Value;

use crate::support::Sandbox;
use crate::support::child::Ended;
use crate::support::services::{Reply, Services, body, path_of, recorded};
use crate::support::supervised::outcome;

const MAPS_KEY: &str = "CATRAIN_ELECTRICITY_MAPS_KEY";
const WATTTIME_KEY: &str = "CATRAIN_WATTTIME_KEY";
const SECRET: &str = "hush-hush-hush";

const BUILT_IN: &str = "built-in data: usual days of 2020 instead";

/// One attempt without long waits, so that failing takes no time.
const QUICK: &str = "[resilience]\nattempts = 1\ninterval = \"10ms\"\nburst = 100\n";

/// What of a page of text speaks of trouble.
fn notes(ended: &Ended) -> Vec<&str> {
    ended
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("note: "))
        .collect()
}

/// `catrain forecast` for a program.
#[track_caller]
fn forecast(services: &Services, sandbox: &Sandbox, arguments: &[&str]) -> Value {
    document(&mut services.catrain(
        sandbox,
        &[&["forecast", "--format", "json"], arguments].concat(),
    ))
}

#[track_caller]
fn document(command: &mut Command) -> Value {
    let ended = good(outcome(command));
    serde_json::from_str(&ended.stdout).unwrap()
}

#[track_caller]
fn good(ended: Ended) -> Ended {
    assert!(ended.status.success(), "{ended:?}");
    ended
}

/// `catrain forecast` for a person.
#[track_caller]
fn page(services: &Services, sandbox: &Sandbox, arguments: &[&str]) -> Ended {
    good(outcome(
        &mut services.catrain(sandbox, &[&["forecast"], arguments].concat()),
    ))
}

/// Source and outcome of everything that was tried.
fn tried(document: &Value) -> Vec<(&str, &str)> {
    let tried = document["tried"].as_array().unwrap().iter();
    tried
        .map(|row| {
            (
                row["source"].as_str().unwrap(),
                row["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

/// What was kept of answers is over; what was learned of them stays.
fn forget_answers(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.cache_dir()).unwrap();
}

fn sandbox_with(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("config/config.toml", config);
    sandbox
}

/// A live forecast by name and nothing else, that reaches as far as the recording.
#[track_caller]
fn is_live(
    sandbox: &Sandbox,
    source: &str,
    zone: &str,
    basis: [&str; 2],
    hours: i64,
    key: (&str, &str),
) {
    let services = Services::good();
    let arguments = ["forecast", "--format", "json", "-s", source, "-z", zone];
    let known = document(services.catrain(sandbox, &arguments).env(key.0, key.1));
    let basis = serde_json::json!({"signal": basis[0], "scope": basis[1]});
    assert_eq!(
        [&known["source"], &known["basis"], &known["kind"]],
        [&Value::from(source), &basis, &Value::from("live")],
        "{known:#}"
    );
    let points = known["points"].as_array().unwrap();
    assert!(
        !points.is_empty() && known["now_g_per_kwh"].as_f64().unwrap() > 0.0,
        "{known:#}"
    );
    assert_eq!(tried(&known).len(), 1, "{known:#}");
    assert_eq!(tried(&known)[0].0, source);
    let ahead = tried(&known)[0].1;
    assert!(
        ahead.starts_with("answered, ") && ahead.ends_with(" ahead"),
        "{ahead}"
    );
    let ahead = ahead
        .trim_start_matches("answered, ")
        .trim_end_matches(" ahead");
    let ahead = catrain::parse::duration(ahead)
        .unwrap()
        .as_secs()
        .cast_signed();
    assert!(
        (ahead - hours * 3600).abs() <= 3600,
        "{ahead} s instead of {hours} h"
    );
}

const NO_KEY: (&str, &str) = ("CATRAIN_NO_KEY", "");

#[test]
fn neso_gives_a_live_forecast_of_great_britain() {
    is_live(
        &Sandbox::new(),
        "neso",
        "GB",
        ["average", "operational"],
        48,
        NO_KEY,
    );
}

#[test]
fn energy_charts_gives_a_live_forecast_of_germany() {
    is_live(
        &Sandbox::new(),
        "energy-charts",
        "DE",
        ["average", "unknown"],
        13,
        NO_KEY,
    );
}

#[test]
fn energi_data_service_gives_a_live_forecast_of_western_denmark() {
    is_live(
        &Sandbox::new(),
        "energi-data-service",
        "DK-DK1",
        ["average", "unknown"],
        14,
        NO_KEY,
    );
}

#[test]
fn electricity_maps_gives_a_live_forecast_with_a_key() {
    let key = (MAPS_KEY, SECRET);
    is_live(
        &Sandbox::new(),
        "electricity-maps",
        "DE",
        ["average", "lifecycle"],
        72,
        key,
    );
}

#[test]
fn watttime_gives_a_live_forecast_with_user_and_password() {
    let key = (WATTTIME_KEY, "user:hush-hush-hush");
    is_live(
        &Sandbox::new(),
        "watttime",
        "DE",
        ["marginal", "unknown"],
        24,
        key,
    );
}

#[test]
fn a_carbon_aware_sdk_gives_a_live_forecast_of_a_place_named_in_the_configuration() {
    let places = "[sources.carbon-aware-sdk.places]\nIE = \"northeurope\"\n";
    is_live(
        &sandbox_with(places),
        "carbon-aware-sdk",
        "IE",
        ["average", "unknown"],
        2,
        NO_KEY,
    );
}

#[test]
fn unasked_the_service_of_the_zones_own_grid_is_asked_and_nobody_else() {
    let only = |zone: &str, source: &str, start: &str| {
        let services = Services::good();
        let known = forecast(&services, &Sandbox::new(), &["-z", zone]);
        assert_eq!(tried(&known)[0].0, source, "{zone}");
        let heads = services.heads();
        assert_eq!(heads.is_empty(), start.is_empty(), "{zone}");
        for head in &heads {
            assert!(path_of(head).starts_with(start), "{zone}: {head}");
        }
    };
    only("DE", "energy-charts", "/co2eq?");
    only("GB", "neso", "/intensity/");
    only("DK-DK1", "energi-data-service", "/dataset/");
    only("US-CAL-CISO", "built-in", "");
}

#[test]
fn when_the_service_is_down_its_last_forecast_stands_in_and_that_is_said() {
    let sandbox = sandbox_with(QUICK);
    let services = Services::good();
    let before = forecast(&services, &sandbox, &["-z", "DE"]);
    forget_answers(&sandbox);
    services.say(|_| Some(body(503, "energycharts/error-503-html.html")));
    let after = forecast(&services, &sandbox, &["-z", "DE"]);
    assert_eq!(after["kind"], "cached");
    assert_eq!(after["source"], "energy-charts");
    assert_eq!(
        after["points"][3]["g_per_kwh"],
        before["points"][3]["g_per_kwh"]
    );
    let why = "energy-charts answered 503: 503: a page of HTML or XML";
    assert_eq!(tried(&after), [("energy-charts", why)]);
    let said = page(&services, &sandbox, &["-z", "DE"]);
    assert!(said.stdout.contains("energy-charts · cached, "), "{said:?}");
    assert_eq!(
        notes(&said),
        [format!("{why}; what energy-charts said before instead")]
    );
}

#[test]
fn a_service_whose_clock_is_ahead_is_live_all_the_same() {
    let services = Services::good();
    services.say(|head| {
        let Reply::Whole(200, headers, body) = recorded(head) else {
            return None;
        };
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        let ahead = utc_now() + SignedDuration::from_hours(1);
        body["updatedAt"] = ahead.to_string().into();
        Some(Reply::Whole(200, headers, body.to_string().into_bytes()))
    });
    let arguments = [
        "forecast",
        "--format",
        "json",
        "-z",
        "DE",
        "-s",
        "electricity-maps",
    ];
    let known = document(
        services
            .catrain(&Sandbox::new(), &arguments)
            .env(MAPS_KEY, SECRET),
    );
    assert_eq!(known["kind"], "live", "{known:#}");
    assert!(known["age_s"].as_u64().unwrap() < 60, "{known:#}");
}

/// What energy-charts would say of so many hours back and ahead.
fn intensities(back: i64, ahead: i64) -> Reply {
    let now = utc_now().as_second();
    let hour = now - now.rem_euclid(3600);
    let times = (hour - back * 3600..hour + ahead * 3600).step_by(900);
    let times: Vec<i64> = times.collect();
    let where_it = |is: fn(&i64, &i64) -> bool| -> Vec<Option<f64>> {
        times
            .iter()
            .map(|time| is(time, &hour).then_some(300.0))
            .collect()
    };
    let document = serde_json::json!({
        "unix_seconds": times, "co2eq": where_it(i64::lt), "co2eq_forecast": where_it(i64::ge),
        "deprecated": false,
    });
    Reply::of(200, "", &document.to_string())
}

const TWO: [&str; 4] = ["-z", "DE", "-s", "energy-charts,electricity-maps"];

#[test]
fn a_second_service_is_rescaled_to_the_first_where_a_day_of_that_is_known() {
    let sandbox = sandbox_with(QUICK);
    let services = Services::good();
    services.say(|head| {
        path_of(head)
            .starts_with("/co2eq")
            .then(|| intensities(30, 3))
    });
    forecast(&services, &sandbox, &TWO);
    assert_eq!(services.calls("/v4/"), 0);
    forget_answers(&sandbox);
    services.say(|head| path_of(head).starts_with("/co2eq").then_some(Reply::Reset));
    let arguments = [&["forecast", "--format", "json"], &TWO[..]].concat();
    let known = document(services.catrain(&sandbox, &arguments).env(MAPS_KEY, SECRET));
    assert_eq!(
        known["source"],
        "electricity-maps rescaled to energy-charts"
    );
    assert_eq!(known["kind"], "rescaled");
    assert_eq!(known["basis"]["scope"], "unknown");
    let tried = tried(&known);
    assert!(
        tried[0]
            .1
            .starts_with("cannot reach energy-charts at 127.0.0.1: "),
        "{tried:?}"
    );
    assert!(tried[1].1.starts_with("answered, "), "{tried:?}");
    let arguments = [&["forecast"], &TWO[..]].concat();
    let said = good(outcome(
        services.catrain(&sandbox, &arguments).env(MAPS_KEY, SECRET),
    ));
    let notes = notes(&said);
    assert!(
        notes[0].ends_with("; electricity-maps instead"),
        "{notes:?}"
    );
    assert!(
        notes[1].ends_with("it may steer, and no grams are counted by it"),
        "{notes:?}"
    );
}

#[test]
fn a_second_service_stands_for_itself_where_nothing_of_the_first_is_known() {
    let sandbox = sandbox_with(QUICK);
    let services = Services::good();
    services.say(|head| {
        path_of(head)
            .starts_with("/co2eq")
            .then_some(Reply::Truncated)
    });
    let arguments = [&["forecast", "--format", "json"], &TWO[..]].concat();
    let known = document(services.catrain(&sandbox, &arguments).env(MAPS_KEY, SECRET));
    assert_eq!(
        [&known["source"], &known["kind"]],
        ["electricity-maps", "live"]
    );
    assert_eq!(known["basis"]["scope"], "lifecycle");
    let arguments = [&["forecast"], &TWO[..]].concat();
    let said = good(outcome(
        services.catrain(&sandbox, &arguments).env(MAPS_KEY, SECRET),
    ));
    let wanted = "electricity-maps stands for itself (average, lifecycle): too little is known of \
                  energy-charts to rescale to";
    assert_eq!(notes(&said)[1], wanted);
}
