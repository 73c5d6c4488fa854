//! A changed configuration under a live run: every key that counts for one is changed, and what follows is
//! seen.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use catrain::config::table::{Takes, keys};
use catrain::control::{self, Word};
use catrain::ledger::ledger_path;
use catrain::source::Live;
use serde_json::{Value, json};

use crate::support::services::Services;
use crate::support::supervised::{LONG, Supervised, run, said, trace};
use crate::support::{SOON, Sandbox, wait_for, wait_until};

/// What the run says of itself.
fn status(sandbox: &Sandbox, run: &str) -> Value {
    let socket = control::socket(&sandbox.runtime_dir(), run);
    wait_for("the run answers", SOON, || {
        let answer = control::ask(&socket, Word::Status).ok()?;
        serde_json::from_str(&answer).ok()
    })
}

/// Keys of the machine, each with another value and how the run then says so.
fn of_the_machine() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    vec![
        (
            "run.duration",
            "'3h'",
            "/settings/duration_s",
            json!(10_800.0),
        ),
        (
            "run.duration-exact",
            "true",
            "/settings/duration_margin",
            json!(0.0),
        ),
        (
            "run.deadline",
            "'2021-11-10T08:00:00Z'",
            "/deadline",
            json!("2021-11-10T08:00:00Z"),
        ),
        (
            "run.max-delay",
            "'20h'",
            "/settings/max_delay_s",
            json!(72_000.0),
        ),
        (
            "run.policy",
            "'window'",
            "/settings/policy",
            json!("window"),
        ),
        (
            "run.threshold",
            "90",
            "/settings/policy",
            json!("threshold 90"),
        ),
        (
            "run.carbon-budget",
            "'2kg'",
            "/settings/carbon_budget_g",
            json!(2000.0),
        ),
        (
            "run.on-budget",
            "'pause'",
            "/settings/on_budget",
            json!("pause"),
        ),
        ("run.min-run", "'11m'", "/settings/min_run_s", json!(660.0)),
        (
            "run.min-pause",
            "'7m'",
            "/settings/min_pause_s",
            json!(420.0),
        ),
        (
            "policy.name",
            "'window'",
            "/settings/policy",
            json!("window"),
        ),
        (
            "policy.threshold",
            "'p3'",
            "/settings/policy",
            json!("threshold p3"),
        ),
        (
            "policy.carbon-budget",
            "'3kg'",
            "/settings/carbon_budget_g",
            json!(3000.0),
        ),
        (
            "policy.min-run",
            "'12m'",
            "/settings/min_run_s",
            json!(720.0),
        ),
        (
            "policy.min-pause",
            "'8m'",
            "/settings/min_pause_s",
            json!(480.0),
        ),
        (
            "run.checkpoint-timeout",
            "'6m'",
            "/settings/checkpoint_timeout_s",
            json!(360.0),
        ),
        ("run.unproved", "'run'", "/settings/unproved", json!("run")),
        ("run.max-stop", "'9m'", "/settings/max_stop_s", json!(540.0)),
        (
            "run.stop-signal",
            "'INT'",
            "/settings/stop_signal",
            json!(2),
        ),
        ("run.grace", "'31s'", "/settings/grace_s", json!(31.0)),
        (
            "run.leftovers",
            "'leave'",
            "/settings/leftovers",
            json!("leave"),
        ),
        ("run.retries", "3", "/settings/retries", json!(3)),
        (
            "run.retry-delay",
            "'11s'",
            "/settings/retry_delay_s",
            json!(11.0),
        ),
    ]
}

/// A run that its configuration holds for half a day, and that configuration.
fn held(sandbox: &Sandbox) -> (String, Supervised<'_>) {
    let day = trace(sandbox, |hour| if hour < 12 { 500.0 } else { 100.0 });
    let base = format!(
        "run.replay = '{}@2021-11-09T00:00'\nrun.duration = '2h'\nrun.deadline = '+20h'\n",
        day.display()
    );
    sandbox.write("config/config.toml", &base);
    let job = Supervised::start(sandbox, &mut run(sandbox, &[], ["sleep", "600"]));
    job.wait_for_state("held");
    (base, job)
}

#[test]
fn every_key_that_steers_the_run_does_so_at_once() {
    let sandbox = Sandbox::new();
    let (base, mut job) = held(&sandbox);
    let id = job.id();
    for (key, value, place, expected) in of_the_machine() {
        let line = format!("{key} = {value}\n");
        let name = format!("{key} = ");
        // In the place of the line that sets it, where one does.
        let others: String = base
            .split_inclusive('\n')
            .filter(|line| !line.starts_with(&name))
            .collect();
        let before = status(&sandbox, &id);
        assert_ne!(
            before.pointer(place),
            Some(&expected),
            "{key} would change nothing"
        );
        sandbox.write("config/config.toml", &format!("{others}{line}"));
        wait_until(&format!("{line} counts"), LONG, || {
            status(&sandbox, &id).pointer(place) == Some(&expected)
        });
        let shown = said(&sandbox, &["config", "show", "--run", &id, "--origin"]);
        assert!(shown.lines().any(|line| line.starts_with(&name)), "{shown}");
        sandbox.write("config/config.toml", &base);
        wait_until(&format!("{key} is taken back"), LONG, || {
            status(&sandbox, &id).pointer(place) == before.pointer(place)
        });
    }
    job.word(Word::Stop);
    job.end();
    let ledger = fs::read_to_string(ledger_path(&sandbox.state_dir(), &id)).unwrap();
    assert!(ledger.contains("\"entry\":\"configuration\""), "{ledger}");
}

#[test]
fn a_held_run_starts_once_it_is_asked_for_no_wait() {
    let sandbox = Sandbox::new();
    let (base, mut job) = held(&sandbox);
    sandbox.write(
        "config/config.toml",
        &format!("{base}run.max-delay = '0'\n"),
    );
    job.wait_for_state("running");
    job.word(Word::Stop);
    job.end();
}

#[test]
fn what_counts_when_the_job_ends_is_what_was_set_last() {
    let sandbox = Sandbox::new();
    sandbox.write("config/config.toml", "zone = 'DE'\nrun.grace = '10m'\n");
    let deaf = "trap '' TERM; trap 'exit 7' INT; while :; do sleep 0.05; done";
    let options = ["--policy", "now"];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sh", "-c", deaf]));
    job.wait_for_state("running");
    let id = job.id();
    sandbox.write(
        "config/config.toml",
        "zone = 'DE'\nrun.grace = '10m'\nrun.stop-signal = 'INT'\n",
    );
    wait_until("the signal counts", LONG, || {
        status(&sandbox, &id)["settings"]["stop_signal"] == 2
    });
    job.word(Word::Stop);
    assert_eq!(job.end().code(), Some(7));
}

/// The zone that each source is asked for, and how a request to it begins.
fn zone_of(live: Live) -> (&'static str, &'static str) {
    match live {
        Live::Neso => ("GB", "/intensity"),
        Live::EnergyCharts => ("DE", "/co2eq"),
        Live::EnergiDataService => ("DK-DK1", "/dataset"),
        Live::ElectricityMaps => ("DE", "/v4/carbon-intensity"),
        Live::WattTime => ("DE", "/login"),
        Live::CarbonAwareSdk => ("DE", "/emissions"),
    }
}

/// A run whose only source is this one, at these services.
struct Asking<'a> {
    sandbox: &'a Sandbox,
    live: Live,
}

impl Asking<'_> {
    /// Sets these lines besides, and waits until a request has this in its head.
    fn sees(&self, services: &Services, lines: &str, head: &str) {
        // What was answered before would save the call.
        let _ = fs::remove_dir_all(self.sandbox.cache_dir());
        let name = self.live.name();
        let already = services.heads().len();
        let table = format!(
            "zone = '{}'\nrun.source = '{name}'\n[sources.{name}]\nbase_url = '{}'\n{lines}",
            zone_of(self.live).0,
            services.base_url()
        );
        self.sandbox.write("config/config.toml", &table);
        let what = format!("{name} is asked with `{head}` after {lines:?}");
        wait_until(&what, LONG, || {
            let heads = services.heads();
            heads
                .iter()
                .skip(already)
                .any(|seen| seen.to_lowercase().contains(&head.to_lowercase()))
        });
    }
}

#[test]
fn every_key_of_a_source_counts_for_its_next_call_which_is_at_once() {
    for live in Live::ALL {
        let (zone, start) = zone_of(live);
        let name = live.name();
        let sandbox = Sandbox::new();
        let (first, second) = (Services::good(), Services::good());
        let place = if live == Live::CarbonAwareSdk {
            "places = { DE = 'germany' }\n"
        } else {
            ""
        };
        let key = match live {
            Live::ElectricityMaps => "key = 'K-one'\n",
            Live::WattTime => "key = 'me:K-one'\n",
            _ => "",
        };
        let usual = format!("{place}{key}");
        let table = format!(
            "zone = '{zone}'\nrun.source = '{name}'\n[sources.{name}]\nbase_url = '{}'\n{usual}",
            first.base_url()
        );
        sandbox.write("config/config.toml", &table);
        let mut command = run(&sandbox, &[], ["sleep", "600"]);
        command.env_remove("CATRAIN_OFFLINE");
        let mut job = Supervised::start(&sandbox, &mut command);
        job.wait_for_state("running");
        let asking = Asking {
            sandbox: &sandbox,
            live,
        };
        wait_until("it is asked", LONG, || !first.heads().is_empty());
        asking.sees(&second, &usual, start);
        match live {
            Live::ElectricityMaps => {
                asking.sees(&first, "key = 'K-two'\n", "auth-token: K-two");
                let file = sandbox.write("key", "K-three");
                let file = format!("key_file = '{}'\n", file.display());
                asking.sees(&second, &file, "auth-token: K-three");
                asking.sees(
                    &first,
                    "key_command = 'echo K-four'\n",
                    "auth-token: K-four",
                );
                asking.sees(
                    &second,
                    &format!("{usual}version = 'v3'\n"),
                    "/v3/carbon-intensity",
                );
                let direct = format!("{usual}emission_factors = 'direct'\n");
                asking.sees(&first, &direct, "emissionFactorType=direct");
            }
            Live::WattTime => {
                // The request has it in base 64.
                asking.sees(&first, "key = 'me:K-two'\n", "bWU6Sy10d28=");
                let file = sandbox.write("key", "me:K-three");
                let file = format!("key_file = '{}'\n", file.display());
                asking.sees(&second, &file, "bWU6Sy10aHJlZQ==");
                asking.sees(&first, "key_command = 'echo me:K-four'\n", "bWU6Sy1mb3Vy");
            }
            _ => {}
        }
        if !matches!(live, Live::Neso) {
            let places = format!("{key}places = {{ {zone} = 'elsewhere' }}\n");
            asking.sees(&second, &places, "elsewhere");
        }
        job.word(Word::Stop);
        job.end();
    }
}

#[test]
fn every_number_of_the_way_to_a_source_is_in_force_at_once() {
    let sandbox = Sandbox::new();
    let services = Services::good();
    let base = format!(
        "zone = 'DE'\nrun.source = 'energy-charts'\nsources.energy-charts.base_url = '{}'\n",
        services.base_url()
    );
    sandbox.write("config/config.toml", &base);
    let mut command = run(&sandbox, &[], ["sleep", "600"]);
    command.env_remove("CATRAIN_OFFLINE");
    let mut job = Supervised::start(&sandbox, &mut command);
    job.wait_for_state("running");
    let id = job.id();
    for (key, value) in NUMBERS {
        let line = format!("{key} = {value}");
        sandbox.write("config/config.toml", &format!("{base}{line}\n"));
        wait_until(&format!("{line} is in force"), LONG, || {
            let shown = said(&sandbox, &["config", "show", "--run", &id]);
            shown.lines().any(|shown| shown == line.replace('\'', "\""))
        });
    }
    // One of them by what it does: of three tries one is left.
    services.say(|_| Some(crate::support::services::Reply::of(500, "", "")));
    let _ = fs::remove_dir_all(sandbox.cache_dir());
    let already = services.heads().len();
    let lines = "resilience.attempts = 2\nresilience.retry_delay = '100ms'\n";
    sandbox.write("config/config.toml", &format!("{base}{lines}"));
    wait_until("it is tried twice", LONG, || {
        services.heads().len() >= already + 2
    });
    // The second account is asked as soon as it is named.
    services.say(|_| None);
    let second = "run.account-with = 'watttime'\nsources.watttime.key = 'me:secret'\n";
    let second = format!(
        "{base}{second}sources.watttime.base_url = '{}'\n",
        services.base_url()
    );
    sandbox.write("config/config.toml", &second);
    wait_until("the second account is asked", LONG, || {
        services.heads().iter().any(|head| head.contains("/login"))
    });
    job.word(Word::Stop);
    job.end();
}

/// Other values than those that hold where nobody sets any.
const NUMBERS: [(&str, &str); 17] = [
    ("resilience.attempts", "2"),
    ("resilience.retry_delay", "'2s'"),
    ("resilience.timeout_floor", "'3s'"),
    ("resilience.timeout_ceiling", "'20s'"),
    ("resilience.at_once", "3"),
    ("resilience.burst", "5"),
    ("resilience.interval", "'2s'"),
    ("resilience.slowest_interval", "'2m'"),
    ("resilience.breaker_failures", "0.25"),
    ("resilience.breaker_least", "6"),
    ("resilience.breaker_cool_down", "'40s'"),
    ("resilience.breaker_cool_down_most", "'20m'"),
    ("resilience.largest_answer_bytes", "4194304"),
    ("cache.entries", "100"),
    ("cache.bytes", "1048576"),
    ("cache.valid_least", "'2m'"),
    ("cache.valid_most", "'2h'"),
];

/// Whoever adds a key that counts for a live run shows here that it does.
#[test]
fn no_key_that_counts_for_a_live_run_is_left_out_of_these_tests() {
    let seen: BTreeSet<&str> = (of_the_machine().iter())
        .map(|(key, ..)| *key)
        .chain(NUMBERS.iter().map(|(key, _)| *key))
        .chain(["run.source", "run.account-with"])
        .collect();
    let others = keys()
        .iter()
        .filter(|key| key.takes != Takes::NewRun)
        .filter(|key| !seen.contains(&*key.path) && !key.path.starts_with("sources."));
    let others: Vec<&str> = others.map(|key| &*key.path).collect();
    assert_eq!(others, [""; 0]);
}

#[test]
fn a_bad_file_is_told_of_once_and_the_one_before_stays_in_force() {
    let sandbox = Sandbox::new();
    let good = "zone = 'DE'\nrun.grace = '1m'\n";
    sandbox.write("config/config.toml", good);
    let options = ["--policy", "now"];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sleep", "600"]));
    job.wait_for_state("running");
    let id = job.id();
    let bad = "zone = 'DE'\nrun.grace = '2m'\nrun.gracee = '2m'\n";
    sandbox.write("config/config.toml", bad);
    wait_until("it is told", LONG, || {
        job.running.stderr().contains("run.gracee")
    });
    assert_eq!(status(&sandbox, &id)["settings"]["grace_s"], 60.0);
    // The same text again is nothing new.
    sandbox.write("config/config.toml", bad);
    sandbox.write("config/config.toml", "zone = 'DE'\nrun.grace = '3m'\n");
    wait_until("the good one counts", LONG, || {
        status(&sandbox, &id)["settings"]["grace_s"] == 180.0
    });
    assert_eq!(job.running.stderr().matches("run.gracee").count(), 1);
    job.word(Word::Stop);
    job.end();
}

#[test]
fn a_mounted_config_map_that_swaps_its_link_counts_each_time() {
    let sandbox = Sandbox::new();
    let config = sandbox.config_dir();
    let version = |name: &str, text: &str| {
        sandbox.write(&format!("config/{name}/config.toml"), text);
        let _ = fs::remove_file(config.join("..data_tmp"));
        symlink(name, config.join("..data_tmp")).unwrap();
        fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    };
    version("..1", "zone = 'DE'\nrun.grace = '1m'\n");
    symlink("..data/config.toml", config.join("config.toml")).unwrap();
    let options = ["--policy", "now"];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sleep", "600"]));
    job.wait_for_state("running");
    let id = job.id();
    for minute in 2..5 {
        version(
            &format!("..{minute}"),
            &format!("zone = 'DE'\nrun.grace = '{minute}m'\n"),
        );
        fs::remove_dir_all(config.join(format!("..{}", minute - 1))).unwrap();
        wait_until("the next one counts", LONG, || {
            status(&sandbox, &id)["settings"]["grace_s"] == f64::from(minute) * 60.0
        });
    }
    // Taking a version back would cut the link.
    let refused = sandbox
        .catrain(["config", "rollback", "1"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    job.word(Word::Stop);
    job.end();
}

#[test]
fn the_file_of_the_working_directory_is_never_read_again() {
    let sandbox = Sandbox::new();
    sandbox.write("home/catrain.toml", "zone = 'DE'\nrun.grace = '1m'\n");
    let options = ["--policy", "now"];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sleep", "600"]));
    job.wait_for_state("running");
    let id = job.id();
    sandbox.write("home/catrain.toml", "zone = 'DE'\nrun.grace = '5m'\n");
    sandbox.write("config/config.toml", "run.retries = 2\n");
    wait_until("the user's own counts", LONG, || {
        status(&sandbox, &id)["settings"]["retries"] == 2
    });
    assert_eq!(status(&sandbox, &id)["settings"]["grace_s"], 60.0);
    job.word(Word::Stop);
    job.end();
}
