//! The configuration as its users meet it: what is in force and who said so, what is wrong with it, how it
//! was before, and that a run takes a changed one.

mod anew;
mod load;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::supervised::{both, said};

fn catrain(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.catrain(arguments).output().unwrap()
}

/// What is printed, with the sandbox's own path left out.
fn without_path(sandbox: &Sandbox, text: &str) -> String {
    text.replace(&sandbox.path("").display().to_string(), "")
}

#[test]
fn each_value_comes_from_the_last_layer_that_sets_it_and_says_which() {
    let sandbox = Sandbox::new();
    let own = "zone = 'FR'\nrun.grace = '1m'\nrun.retries = 1\nrun.summary = 'json'\n\
               [profile.prod.run]\nretries = 2\nsummary = 'none'\n";
    sandbox.write("config/config.toml", own);
    sandbox.write("home/catrain.toml", "run.grace = '2m'\nzone = 'GB'\n");
    let mut command = sandbox.catrain(["--profile", "prod", "config", "show", "--origin"]);
    command
        .env("CATRAIN_RUN_SUMMARY", "text")
        .env("CATRAIN_ZONE", "");
    let shown = command.output().unwrap();
    let text = without_path(&sandbox, &both(&shown));
    for (value, origin) in [
        ("zone = \"GB\"", "home/catrain.toml:2:8"),
        ("run.grace = \"2m\"", "home/catrain.toml:1:13"),
        (
            "run.retries = \"2\"",
            "config/config.toml:6:11 (profile prod)",
        ),
        ("run.summary = \"text\"", "CATRAIN_RUN_SUMMARY"),
        ("run.min-run = \"10m\"", "built-in"),
    ] {
        let line = text.lines().find(|line| line.starts_with(value));
        let line = line.unwrap_or_else(|| panic!("no `{value}` in {text}"));
        assert!(line.ends_with(&format!("# {origin}")), "{line}");
    }
    // It can be read again, and says the same.
    let file = sandbox.write("again.toml", &text.replace("\"GB\"", "\"DE\""));
    let checked = catrain(&sandbox, &["config", "check", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", both(&checked));
}

/// Of the long help of `catrain config`:
/// > flags
#[test]
fn what_is_set_steers_a_run_and_a_flag_overrules_it() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "config/config.toml",
        "zone = 'DE'\nrun.summary = 'none'\nrun.name = 'set'\n",
    );
    let silent = catrain(&sandbox, &["run", "--policy", "now", "--", "true"]);
    assert_eq!(both(&silent), "");
    let told = catrain(
        &sandbox,
        &["run", "--policy", "now", "--summary", "json", "--", "true"],
    );
    let text = both(&told);
    assert!(
        text.contains("\"name\": \"set\"") || text.contains("\"name\":\"set\""),
        "{text}"
    );
    let mut command = sandbox.catrain(["run", "--summary", "json", "--", "true"]);
    let told = command
        .env("CATRAIN_RUN_NAME", "variable")
        .output()
        .unwrap();
    assert!(both(&told).contains("variable"), "{}", both(&told));
}

#[test]
fn a_wrong_file_is_told_of_whole_and_nothing_starts() {
    let sandbox = Sandbox::new();
    let wrong = "zone = 'DEE'\n[run]\ngrace = 'half a minute'\nretries = 'x'\n\
                 [sources.energy-charts]\nbase_ulr = 'x'\n[profile.dev.run]\npolcy = 'now'\n";
    sandbox.write("config/config.toml", wrong);
    let checked = catrain(&sandbox, &["config", "check"]);
    assert_eq!(checked.status.code(), Some(2));
    let text = without_path(&sandbox, &both(&checked));
    let expected = [
        "config/config.toml:1:8: error: `zone`: unknown zone `DEE`",
        "config/config.toml:3:9: error: `run.grace`: `half a minute` is not a duration",
        "config/config.toml:4:11: error: `run.retries`: `x`: invalid digit",
        "config/config.toml:6:1: error: `sources.energy-charts.base_ulr` is not a key; did you mean `base_url`?",
        "config/config.toml:8:1: error: `run.polcy` is not a key; did you mean `policy`?",
        "5 problems; the configuration in force was not changed",
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    let started = sandbox.path("started");
    let run = catrain(&sandbox, &["run", "--", "touch", started.to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(2));
    assert!(both(&run).contains("nothing was started"));
    assert!(!started.exists());
}

/// Of the specification:
/// > it may set only `zone`, `[policy]`, and of `[run]` duration, deadline, max-delay, name, label,
/// > preset, pause-with, min-run, min-pause, checkpoint-*, stop-signal, grace. Anything else in it is
/// > refused with "only allowed in your own configuration", and nothing starts.
#[test]
fn a_strangers_file_sets_what_it_may_and_a_profile_in_it_no_more() {
    let sandbox = Sandbox::new();
    let all = catrain(&sandbox, &["config", "schema"]);
    let schema: Value = serde_json::from_slice(&all.stdout).unwrap();
    let allowed = [
        "duration",
        "deadline",
        "max-delay",
        "name",
        "label",
        "preset",
        "pause-with",
        "min-run",
        "min-pause",
        "stop-signal",
        "grace",
    ];
    let keys = schema["properties"]["run"]["properties"]
        .as_object()
        .unwrap();
    assert!(keys.len() > 40, "{}", keys.len());
    for key in keys.keys() {
        for head in ["[run]", "[profile.x.run]"] {
            sandbox.write("home/catrain.toml", &format!("{head}\n{key} = []\n"));
            let told = both(&catrain(&sandbox, &["config", "check"]));
            let is_refused = told.contains("only allowed in your own configuration");
            let is_allowed = allowed.contains(&key.as_str()) || key.starts_with("checkpoint-");
            assert_eq!(is_refused, !is_allowed, "{head} {key}: {told}");
        }
    }
    for table in ["sources", "resilience", "cache", "energy", "ledger"] {
        sandbox.write("home/catrain.toml", &format!("[{table}]\n"));
        let told = catrain(&sandbox, &["run", "--", "true"]);
        assert_eq!(told.status.code(), Some(2));
        let text = both(&told);
        assert!(
            text.contains("only allowed in your own configuration"),
            "{text}"
        );
    }
    sandbox.write(
        "home/catrain.toml",
        "[policy]\nname = 'now'\nthreshold = 'p20'\n",
    );
    assert!(catrain(&sandbox, &["config", "check"]).status.success());
}

#[test]
fn a_file_is_written_once_private_and_sets_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("config/config.toml");
    let before = said(&sandbox, &["config", "check"]);
    assert!(said(&sandbox, &["config", "init"]).contains("wrote"));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, said(&sandbox, &["config", "init", "--print"]));
    let again = catrain(&sandbox, &["config", "init"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(both(&again).contains("is there already"));
    assert_eq!(said(&sandbox, &["config", "check"]), before);
    for profile in ["dev", "staging", "prod"] {
        let shown = said(
            &sandbox,
            &["--profile", profile, "config", "show", "--origin"],
        );
        assert!(shown.contains(&format!("(profile {profile})")), "{shown}");
    }
    let none = catrain(&sandbox, &["--profile", "pord", "config", "show"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(
        both(&none).contains("did you mean `prod`?"),
        "{}",
        both(&none)
    );
}

#[test]
fn versions_that_were_in_force_are_listed_printed_and_taken_back() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("config/config.toml");
    let none = said(&sandbox, &["config", "history"]);
    assert!(none.starts_with("no version is kept yet"), "{none}");
    let texts = ["zone = 'DE'\n", "zone = 'FR'\n", "zone = 'GB'\n"];
    for text in texts {
        sandbox.write("config/config.toml", text);
        let run = catrain(&sandbox, &["run", "--policy", "now", "--", "true"]);
        assert!(run.status.success(), "{}", both(&run));
        // It is kept beside the run, which may be over first.
        crate::support::wait_until("it is kept", crate::support::SOON, || {
            let run = catrain(&sandbox, &["run", "--policy", "now", "--", "sleep", "0.05"]);
            run.status.success() && said(&sandbox, &["config", "history", "0"]) == text
        });
    }
    let listed = said(&sandbox, &["config", "history"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(
        listed
            .lines()
            .nth(1)
            .unwrap()
            .contains("as your file is now"),
        "{listed}"
    );
    assert_eq!(said(&sandbox, &["config", "history", "2"]), texts[0]);
    let document = said(&sandbox, &["config", "history", "--json"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["schema"], "catrain.config-history/1");
    let digest = document["versions"][0]["digest"].as_str().unwrap();

    // What was never in force is not lost.
    sandbox.write("config/config.toml", "zone = 'nowhere'\n");
    let told = said(&sandbox, &["config", "rollback", &digest[..6]]);
    assert!(told.contains("live runs take it"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), texts[0]);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        sandbox.read("config/config.toml.before"),
        "zone = 'nowhere'\n"
    );
    assert_eq!(said(&sandbox, &["config", "history", "0"]), texts[0]);
    let wrong = catrain(&sandbox, &["config", "rollback", "77"]);
    assert_eq!(wrong.status.code(), Some(2));
}
