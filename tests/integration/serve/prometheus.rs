//! What is served, read by Prometheus' own programs: `promtool` and a server that scrapes a run. Where
//! they are not installed the tests are skipped, and say so.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use super::{Found, SERVED, asked};
use crate::support::child::Running;
use crate::support::services::Services;
use crate::support::supervised::{LONG, Supervised, run};
use crate::support::{SOON, Sandbox, fixture, wait_for, wait_until};

/// Whether a program is there.
#[expect(
    clippy::print_stderr,
    reason = "a test that is skipped says why, to those who ask with --nocapture"
)]
fn is_there(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        eprintln!("skipped: there is no {program} (Debian package prometheus)");
    }
    is_there
}

/// What `promtool check metrics` says of a page; nothing where it has nothing to say.
fn checked(sandbox: &Sandbox, page: &str) -> String {
    let mut command = sandbox.command("promtool");
    command.args(["check", "metrics"]);
    let mut tool = Running::start_with(&mut command, page.as_bytes());
    let ended = tool.wait(SOON);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.status.success() || !said.is_empty(), "{ended:?}");
    said
}

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    if !is_there("promtool") {
        return;
    }
    let sandbox = Sandbox::new();
    let services = Services::good();
    let options = [
        "-z",
        "DE",
        "--max-delay",
        "0",
        "--listen",
        "0",
        "-s",
        "energy-charts",
    ];
    let mut command = run(&sandbox, &options, ["sleep", "600"]);
    services.serve(&mut command);
    let mut job = Supervised::start(&sandbox, &mut command);
    let found = Found::of(&job.running);
    wait_until("sources have answered", LONG, || {
        found
            .get("/metrics")
            .body
            .contains("catrain_source_calls_total{")
    });
    wait_until("the job is ready", LONG, || found.get("/ready").code == 200);
    for page in [
        found.get("/metrics").body,
        found.get_with_token("/metrics").body,
    ] {
        assert_eq!(checked(&sandbox, &page), "", "{page}");
    }
    job.word(catrain::control::Word::Stop);
    job.end();
}

/// A server of Prometheus on loopback that scrapes one run, as long as this lives.
struct Server {
    address: String,
    _running: Running,
}

impl Server {
    fn of(sandbox: &Sandbox, found: &Found) -> Self {
        // Free now, and a moment later.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n\
             - job_name: catrain\n  authorization:\n    credentials_file: {}\n  \
             static_configs:\n  - targets: ['{}']\n",
            found.token.display(),
            found.address
        );
        let config = sandbox.write("prometheus.yml", &config);
        let mut command = sandbox.command("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                sandbox.path("tsdb").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        Self {
            address,
            _running: Running::start(&mut command),
        }
    }

    /// What its API says to a query; none while it gives no answer.
    fn ask(&self, query: &str) -> Option<Value> {
        let escaped: String = (query.bytes())
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        let answer = asked(
            &self.address,
            &format!("/api/v1/query?query={escaped}"),
            "Connection: close\r\n",
        )?;
        let text = &answer.body;
        // It may come in pieces, each below its length.
        let from = text.find('{')?;
        let to = text.rfind('}')?;
        let whole: String = text[from..=to]
            .split("\r\n")
            .filter(|part| part.len() > 8 || part.contains(['{', '}', '"']))
            .collect();
        serde_json::from_str(&whole).ok()
    }

    fn value(&self, query: &str) -> Option<f64> {
        let answer = self.ask(query)?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        value.parse().ok()
    }
}

#[test]
fn a_server_of_prometheus_scrapes_a_run_and_answers_all_that_the_dashboard_asks() {
    if !is_there("prometheus") {
        return;
    }
    let sandbox = Sandbox::new();
    // A stretch of the record ends every second, so that sums grow while one looks.
    sandbox.write("config/config.toml", "[ledger]\nsample = \"1s\"\n");
    let services = Services::good();
    let options = ["--power", "300", "-s", "energy-charts"];
    let mut command = run(
        &sandbox,
        &[&SERVED[..], &options].concat(),
        ["sleep", "600"],
    );
    services.serve(&mut command);
    let mut job = Supervised::start(&sandbox, &mut command);
    let found = Found::of(&job.running);
    wait_until("the token is there", SOON, || found.token.exists());
    let server = Server::of(&sandbox, &found);
    wait_until("the run is scraped", LONG, || {
        server.value("up") == Some(1.0)
    });
    job.pause();
    wait_until("its energy grows", LONG, || {
        let rate = server.value("sum(rate(catrain_energy_joules_total[10s]))");
        rate.is_some_and(|watts| watts > 0.0)
    });
    let id = job.id();
    let named = wait_for("its name is known", SOON, || server.ask("catrain_run_info"));
    assert_eq!(named["data"]["result"][0]["metric"]["run"], id, "{named}");
    wait_until("its pause is known", LONG, || {
        server.value("catrain_phase{phase=\"paused\"}") == Some(1.0)
    });
    job.resume();
    wait_until("it runs", LONG, || {
        server.value("catrain_phase{phase=\"running\"}") == Some(1.0)
    });

    let board = std::fs::read(fixture("grafana/catrain.json")).unwrap();
    let board: Value = serde_json::from_slice(&board).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut answered = 0;
    for target in targets {
        let query = target["expr"].as_str().unwrap();
        let query = query
            .replace("$instance", ".*")
            .replace("$__rate_interval", "10s");
        let answer = wait_for(&query, SOON, || server.ask(&query));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answered += usize::from(answer["data"]["result"][0].is_object());
    }
    // What only a source, a second try or an alert would fill stays empty.
    assert!(answered > 35, "{answered} queries have an answer");
    job.word(catrain::control::Word::Stop);
    job.end();
}
