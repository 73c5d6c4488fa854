//! Runs, end to end: no service can harm one, and what they say is shared and accounted for.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{WATTTIME_KEY, document, good, sandbox_with};
use crate::keys::files_with;
use crate::support::child::Running;
use crate::support::services::{Reply, Services, body, path_of};
use crate::support::supervised::{outcome, run};
use crate::support::{SOON, Sandbox, wait_until};

/// What a job waits with for [`go`].
pub(super) const UNTIL_GO: &str = "until [ -e go ]; do sleep 0.02; done";

/// Lets a job go on that waits.
pub(super) fn go(sandbox: &Sandbox) {
    fs::write(sandbox.home().join("go"), "").unwrap();
}

/// Asks every second, and fails soon.
const IMPATIENT: &str = "[cache]
valid_least = \"1s\"
valid_most = \"1s\"
[resilience]
attempts = 1
interval = \"10ms\"
timeout_floor = \"100ms\"
timeout_ceiling = \"300ms\"
largest_answer_bytes = 65536
breaker_least = 20
";

/// A run of Germany that waits for [`go`] and then ends with 7.
fn waiting(services: &Services, sandbox: &Sandbox) -> Running {
    let script = format!("touch started; {UNTIL_GO}; exit 7");
    let mut command = run(sandbox, &["-z", "DE"], ["sh", "-c", &script]);
    services.serve(&mut command);
    Running::start(&mut command)
}

/// In how many runs intensities of this source are written down.
pub(super) fn recorded_of(sandbox: &Sandbox, source: &str) -> usize {
    let said = format!("\"source\":\"{source}\"");
    files_with(&sandbox.state_dir().join("runs"), &said).len()
}

/// The lines about the service.
fn lines(stderr: &str) -> Vec<&str> {
    stderr
        .lines()
        .filter(|line| line.contains("energy-charts"))
        .collect()
}

#[test]
fn a_service_that_fails_in_any_way_costs_one_line_and_never_the_job() {
    let ask_later = |head: &str| Reply::of(429, head, "Too Many Requests");
    let faults = [
        ("hanging", Reply::Never),
        ("reset", Reply::Reset),
        ("truncated", Reply::Truncated),
        ("endless", Reply::Endless),
        ("429", ask_later("")),
        ("429 for an hour", ask_later("Retry-After: 3600\r\n")),
        (
            "HTML with 200",
            body(200, "energycharts/error-503-html.html"),
        ),
        ("503", body(503, "energycharts/error-503-html.html")),
    ];
    let runs: Vec<_> = (faults.into_iter())
        .map(|(name, fault)| {
            let (services, sandbox) = (Services::saying(fault), sandbox_with(IMPATIENT));
            let running = waiting(&services, &sandbox);
            (name, services, sandbox, running)
        })
        .collect();
    for (name, _, sandbox, _) in &runs {
        wait_until(name, SOON, || sandbox.home().join("started").exists());
    }
    // Whoever keeps away for an hour has none: its time is that of the others.
    for (name, services, ..) in runs.iter().filter(|(name, ..)| !name.starts_with("429")) {
        wait_until(name, SOON, || services.calls("/co2eq") >= 3);
    }
    for (name, _, sandbox, mut running) in runs {
        go(&sandbox);
        let ended = running.wait(SOON);
        assert_eq!(ended.status.code(), Some(7), "{name}: {ended:?}");
        let told = lines(&ended.stderr);
        assert_eq!(told.len(), 1, "{name}: {ended:?}");
        assert!(told[0].starts_with("catrain: warning: "), "{told:?}");
        assert!(
            told[0].ends_with("; built-in data: usual days of 2020 instead"),
            "{told:?}"
        );
    }
}

#[test]
fn no_job_waits_for_a_service_that_hangs() {
    let may_wait = ["-d", "1m", "--max-delay", "2s"];
    for options in [&[][..], &may_wait] {
        let (services, sandbox) = (Services::saying(Reply::Never), Sandbox::new());
        let mut command = run(
            &sandbox,
            &[&["-z", "DE"], options].concat(),
            ["sh", "-c", "exit 7"],
        );
        services.serve(&mut command);
        let ended = outcome(&mut command);
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        // It was over before the service was given up.
        assert!(!ended.stderr.contains("energy-charts"), "{ended:?}");
    }
}

#[test]
fn a_slow_service_is_waited_for_while_the_job_runs() {
    let (services, sandbox) = (Services::good(), Sandbox::new());
    services.say(|_| {
        thread::park_timeout(Duration::from_millis(500));
        None
    });
    let mut running = waiting(&services, &sandbox);
    wait_until("a start", SOON, || sandbox.home().join("started").exists());
    wait_until("its answer", SOON, || {
        recorded_of(&sandbox, "energy-charts") == 1
    });
    go(&sandbox);
    let ended = running.wait(SOON);
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert!(!ended.stderr.contains("warning"), "{ended:?}");
}

#[test]
fn an_outage_and_its_end_are_a_line_each() {
    let (services, sandbox) = (Services::good(), sandbox_with(IMPATIENT));
    services.say(|_| Some(Reply::of(500, "", "")));
    let mut running = waiting(&services, &sandbox);
    wait_until("two failures", SOON, || services.calls("/co2eq") >= 2);
    services.say(|_| None);
    wait_until("an answer", SOON, || {
        running.stderr().contains("answers again")
    });
    go(&sandbox);
    let ended = running.wait(SOON);
    let told = lines(&ended.stderr);
    assert!(told[0].contains("energy-charts answered 500"), "{told:?}");
    assert!(told[1].ends_with("energy-charts answers again"), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn ten_runs_at_once_make_one_call_of_each_kind() {
    let (services, sandbox) = (Services::good(), Sandbox::new());
    let mut runs: Vec<Running> = (0..10)
        .map(|_| {
            let mut command = run(&sandbox, &["-z", "GB"], ["sh", "-c", UNTIL_GO]);
            services.serve(&mut command);
            Running::start(&mut command)
        })
        .collect();
    wait_until("each knows", SOON, || recorded_of(&sandbox, "neso") == 10);
    go(&sandbox);
    runs.iter_mut()
        .for_each(|running| drop(good(running.wait(SOON))));
    let heads = services.heads();
    let asked: BTreeSet<&str> = heads.iter().map(|head| path_of(head)).collect();
    assert_eq!(heads.len(), asked.len(), "{asked:?}");
    assert!(asked.len() >= 2, "{asked:?}");
}

/// What a run of Germany with a second account by watttime has to say of its emissions.
fn accounts(services: &Services) -> (Vec<Value>, String) {
    let sandbox = Sandbox::new();
    let options = [
        "-z",
        "DE",
        "--power",
        "1000000",
        "--account-with",
        "watttime",
    ];
    let mut command = run(&sandbox, &options, ["sh", "-c", UNTIL_GO]);
    services.serve(&mut command);
    let mut running = Running::start(command.env(WATTTIME_KEY, "user:hush"));
    wait_until("watttime is known", SOON, || {
        let recorded_of =
            !files_with(&sandbox.state_dir().join("runs"), "\"source\":\"watttime\"").is_empty();
        recorded_of || running.stderr().contains("watttime")
    });
    go(&sandbox);
    let ended = good(running.wait(SOON));
    let report = document(&mut sandbox.catrain(["report", "latest", "--format", "json"]));
    assert_eq!(
        report["totals"]["emissions"].as_array().map(Vec::len),
        report["runs"][0]["emissions"].as_array().map(Vec::len)
    );
    (
        report["runs"][0]["emissions"].as_array().unwrap().clone(),
        ended.stderr,
    )
}

#[test]
fn a_second_account_is_complete_and_of_its_own_basis() {
    let (accounts, said) = accounts(&Services::good());
    let signals: Vec<&Value> = accounts
        .iter()
        .map(|account| &account["basis"]["signal"])
        .collect();
    assert_eq!(signals, ["average", "marginal"], "{accounts:#?}");
    for account in &accounts {
        assert!(account["g"]["total"].as_f64().unwrap() > 0.0, "{account:#}");
        assert_eq!(account["uncovered_kwh"], 0.0, "{account:#}");
    }
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn nobody_stands_in_for_the_source_of_a_second_account() {
    let services = Services::good();
    services.say(|head| {
        head.contains("/login")
            .then(|| body(401, "watttime/login-401.json"))
    });
    let (accounts, said) = accounts(&services);
    assert_eq!(accounts.len(), 1, "{accounts:#?}");
    assert!(
        said.contains("until it answers nothing is accounted by watttime"),
        "{said}"
    );
}

#[test]
fn a_second_account_of_the_same_numbers_is_refused_before_anything_starts() {
    let (services, sandbox) = (Services::good(), Sandbox::new());
    let arguments = [
        "run",
        "-z",
        "DE",
        "--account-with",
        "energy-charts",
        "--",
        "touch",
        "started",
    ];
    let ended = outcome(&mut services.catrain(&sandbox, &arguments));
    assert_eq!(ended.status.code(), Some(2));
    insta::assert_snapshot!(ended.stderr, @"
    catrain: error: `--account-with energy-charts` accounts by the same signal as the plan: average, scope unknown
      hint: name a source of another signal, such as watttime beside an average
    ");
    assert!(!sandbox.home().join("started").exists());
    assert_eq!(services.connections(), 0);
}

#[test]
fn offline_nobody_is_asked() {
    let (services, sandbox) = (Services::good(), Sandbox::new());
    let forecast = good(outcome(
        &mut services.catrain(&sandbox, &["forecast", "--offline", "-z", "DE"]),
    ));
    assert!(forecast.stdout.contains("built-in · "), "{forecast:?}");
    let arguments = ["run", "--offline", "-z", "DE", "--", "sh", "-c", "exit 7"];
    let ended = outcome(&mut services.catrain(&sandbox, &arguments));
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert_eq!(services.connections(), 0);
}

#[test]
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
fn offline_no_socket_of_the_network_is_opened() {
    let services = Services::good();
    // Nothing where it cannot be looked at.
    let opens_one = |words: &[&str]| {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command("strace");
        let trace = sandbox.path("trace");
        command.args(["-f", "-e", "trace=socket", "-o"]).arg(&trace);
        command.arg(env!("CARGO_BIN_EXE_catrain")).args(words);
        services.serve(&mut command);
        outcome(&mut command)
            .status
            .success()
            .then(|| sandbox.read("trace").contains("AF_INET"))
    };
    if opens_one(&["forecast", "-z", "DE"]) != Some(true) {
        eprintln!("passed by: no system call can be watched here (strace)");
        return;
    }
    let run = ["run", "--offline", "-z", "DE", "--", "true"];
    for words in [&["forecast", "--offline", "-z", "DE"][..], &run] {
        assert_eq!(opens_one(words), Some(false), "{words:?}");
    }
}
