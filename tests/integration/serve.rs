//! Health and metrics of real runs: over TCP and the control socket, in files, read by Prometheus' own
//! programs, and under load.

mod files;
mod load;
mod prometheus;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use catrain::control::{self, Word};
use serde_json::Value;

use crate::support::child::Running;
use crate::support::services::Services;
use crate::support::supervised::{LONG, Supervised, both, outcome, run, said, script, trace};
use crate::support::{SOON, Sandbox, wait_for, wait_until};

/// At once, never held, and seen on any free port.
const SERVED: [&str; 6] = ["-z", "DE", "--max-delay", "0", "--listen", "0"];

/// An answer.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

/// What comes back on a request that is sent as it stands; none where there is no connection.
fn sent(address: &str, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        code: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

fn asked(address: &str, path: &str, more: &str) -> Option<Answer> {
    sent(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n"),
    )
}

/// Where a run that was started with `--listen` is found.
struct Found {
    address: String,
    token: PathBuf,
}

impl Found {
    /// As it is told at the start.
    #[track_caller]
    fn of(running: &Running) -> Self {
        wait_for("the address is told", SOON, || {
            let said = running.stderr();
            let line = said.lines().find(|line| line.contains("http://"))?;
            let (_, rest) = line.split_once("http://")?;
            let (address, _) = rest.split_once(';')?;
            let (_, token) = rest.rsplit_once(" in ")?;
            Some(Self {
                address: address.to_owned(),
                token: PathBuf::from(token.trim()),
            })
        })
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        let what = format!("an answer of {path}");
        wait_for(&what, SOON, || asked(&self.address, path, ""))
    }

    #[track_caller]
    fn get_with_token(&self, path: &str) -> Answer {
        let what = format!("an answer of {path}");
        wait_for(&what, SOON, || {
            let token = fs::read_to_string(&self.token).ok()?;
            let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
            asked(&self.address, path, &bearer)
        })
    }

    /// The value of the first series that begins so, once it is there.
    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        wait_for(series, SOON, || {
            value_in(&self.get("/metrics").body, series)
        })
    }
}

/// The value of the first series of a page that begins so.
fn value_in(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_run_is_seen_on_loopback_as_long_as_it_lasts() {
    let sandbox = Sandbox::new();
    let options = [
        &SERVED[..],
        &["--name", "fine-tune", "--label", "team=vision"],
    ]
    .concat();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sleep", "600"]));
    let found = Found::of(&job.running);
    assert!(found.address.starts_with("127.0.0.1:"), "{}", found.address);
    job.wait_for_state("running");
    let id = job.id();
    assert_eq!(found.token, control::token(&sandbox.runtime_dir(), &id));
    wait_until("the token is there", SOON, || found.token.exists());
    let mode = fs::metadata(&found.token).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert_eq!(found.get("/health").code, 200);
    wait_until("it is ready", LONG, || found.get("/ready").code == 200);
    wait_until("its phase is told", SOON, || {
        found.value("catrain_phase{phase=\"running\"}") == 1.0
    });
    // Its user's words are for those who have the token.
    let open = found.get("/metrics");
    for word in [id.as_str(), "fine-tune", "vision"] {
        assert!(!open.body.contains(word), "{word}: {}", open.body);
    }
    let all = found.get_with_token("/metrics").body;
    assert!(all.contains(&format!(
        "catrain_run_info{{run=\"{id}\",name=\"fine-tune\""
    )));
    assert!(all.contains("label_team=\"vision\""), "{all}");
    for path in ["/status", "/health/detailed"] {
        let refused = found.get(path);
        assert_eq!(refused.code, 401, "{path}");
        assert!(
            refused.head.contains("www-authenticate: Bearer"),
            "{}",
            refused.head
        );
    }
    let status: Value = serde_json::from_str(&found.get_with_token("/status").body).unwrap();
    assert_eq!(
        (&status["id"], &status["state"]),
        (&id.clone().into(), &"running".into())
    );
    let health: Value =
        serde_json::from_str(&found.get_with_token("/health/detailed").body).unwrap();
    assert_eq!(health["schema"], "catrain.health/1");
    let shown = said(&sandbox, &["status", &id]);
    assert!(
        shown.contains(&format!("http://{}/health", found.address)),
        "{shown}"
    );
    let checks = health["checks"].as_array().unwrap();
    for name in [
        "supervisor",
        "watchdog",
        "ledger",
        "sources",
        "network",
        "gpu",
        "cpu",
        "memory",
        "state",
        "cache",
    ] {
        assert!(
            checks.iter().any(|check| check["name"] == name),
            "{name}: {health}"
        );
    }

    // It is steered elsewhere.
    let host = &found.address;
    let pause = sent(
        host,
        &format!("POST /pause HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    )
    .unwrap();
    assert_eq!(pause.code, 405);
    job.pause();
    wait_until("the pause is told", SOON, || {
        found.value("catrain_phase{phase=\"paused\"}") == 1.0
            && found.value("catrain_hold{cause=\"operator\"}") == 1.0
    });
    job.word(Word::Stop);
    job.end();
    assert!(
        asked(host, "/health", "").is_none(),
        "nobody listens any more"
    );
    assert!(!found.token.exists());
}

#[test]
fn nothing_listens_unless_it_is_asked_for() {
    let sandbox = Sandbox::new();
    let at_once = &SERVED[..4];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, at_once, ["sleep", "600"]));
    job.wait_for_state("running");
    let sockets = |pid: i32| -> Vec<String> {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|link| link.to_string_lossy().into_owned())
            .filter(|link| link.starts_with("socket:"))
            .collect()
    };
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|table| {
        fs::read_to_string(format!("/proc/{}/net/{table}", job.pid())).unwrap_or_default()
    });
    for socket in sockets(job.pid()) {
        let inode = socket.trim_start_matches("socket:[").trim_end_matches(']');
        for table in &tables {
            let has = |line: &str| line.split_whitespace().nth(9) == Some(inode);
            assert!(!table.lines().any(has), "{socket}");
        }
    }
    assert!(!job.running.stderr().contains("http://"));
    assert!(!control::token(&sandbox.runtime_dir(), &job.id()).exists());
    job.word(Word::Stop);
    job.end();
}

/// Of the long help of `catrain status`:
/// > GET /health, /ready, /health/detailed and /metrics are there as well.
#[test]
fn the_control_socket_has_the_pages_too_and_trusts_its_user() {
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &SERVED[..4], ["sleep", "600"]));
    job.wait_for_state("running");
    let id = job.id();
    let path = control::socket(&sandbox.runtime_dir(), &id);
    let get = |page: &str| {
        wait_for(page, SOON, || {
            let mut stream = std::os::unix::net::UnixStream::connect(&path).ok()?;
            let request = format!("GET {page} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).ok()?;
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            text.starts_with("HTTP/1.1 200").then_some(text)
        })
    };
    get("/health");
    get("/ready");
    let metrics = get("/metrics");
    assert!(metrics.contains(&format!("run=\"{id}\"")), "{metrics}");
    assert!(get("/health/detailed").contains("catrain.health/1"));
    job.word(Word::Stop);
    job.end();
}

#[test]
fn a_port_that_is_taken_costs_a_warning_and_not_the_job() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let options = ["-z", "DE", "--max-delay", "0", "--listen", &port];
    let ended = outcome(&mut run(&sandbox, &options, script("job.py", ["exit7"])));
    assert_eq!(ended.status.code(), Some(7));
    let why =
        format!("warning: no health and metrics over HTTP: cannot listen at 127.0.0.1:{port}");
    assert!(ended.stderr.contains(&why), "{}", ended.stderr);
    assert!(ended.stderr.contains("--listen 0"), "{}", ended.stderr);
}

#[test]
fn other_machines_are_let_in_only_where_that_is_said() {
    let sandbox = Sandbox::new();
    let options = ["-z", "DE", "--max-delay", "0", "--listen", "0.0.0.0:0"];
    let marker = sandbox.path("started");
    let touch = ["touch", marker.to_str().unwrap()];
    let refused = run(&sandbox, &options, touch).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = both(&refused);
    assert!(
        said.contains("`--listen 0.0.0.0:0` can be reached from other machines"),
        "{said}"
    );
    assert!(said.contains("--listen-anywhere"), "{said}");
    assert!(!marker.exists());

    let options = [&options[..], &["--listen-anywhere"]].concat();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["sleep", "600"]));
    let found = Found::of(&job.running);
    let (_, port) = found.address.rsplit_once(':').unwrap();
    let here = format!("127.0.0.1:{port}");
    let as_host = |host: &str| {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n");
        wait_for("an answer", SOON, || sent(&here, &request)).code
    };
    assert_eq!(as_host(&here), 200);
    assert_eq!(as_host("evil.example"), 421);
    job.word(Word::Stop);
    job.end();
}

#[test]
fn two_runs_are_seen_side_by_side() {
    let sandboxes = [Sandbox::new(), Sandbox::new()];
    let mut jobs: Vec<Supervised<'_>> = sandboxes
        .iter()
        .map(|sandbox| Supervised::start(sandbox, &mut run(sandbox, &SERVED, ["sleep", "600"])))
        .collect();
    let found: Vec<Found> = jobs.iter().map(|job| Found::of(&job.running)).collect();
    assert_ne!(found[0].address, found[1].address);
    for (job, found) in jobs.iter().zip(&found) {
        job.wait_for_state("running");
        let status: Value = serde_json::from_str(&found.get_with_token("/status").body).unwrap();
        assert_eq!(status["id"], job.id());
    }
    // The token of one is none of the other.
    let token = fs::read_to_string(&found[0].token).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
    let other = wait_for("an answer", SOON, || {
        asked(&found[1].address, "/status", &bearer)
    });
    assert_eq!(other.code, 401);
    for job in &mut jobs {
        job.word(Word::Stop);
        job.end();
    }
}

#[test]
fn what_a_source_answers_is_counted_and_no_secret_is_told() {
    const KEY: &str = "K3y-that-nobody-may-see";
    let sandbox = Sandbox::new();
    let services = Services::good();
    let options = [&SERVED[..], &["-s", "electricity-maps,energy-charts"]].concat();
    let shown = sandbox.path("environment");
    let job = format!("env > {}; exec sleep 600", shown.display());
    let mut command = run(&sandbox, &options, ["sh", "-c", &job]);
    services.serve(&mut command);
    command.env("CATRAIN_ELECTRICITY_MAPS_KEY", KEY);
    let mut job = Supervised::start(&sandbox, &mut command);
    let found = Found::of(&job.running);
    job.wait_for_state("running");
    wait_until("a good answer is counted", LONG, || {
        let page = found.get("/metrics").body;
        let good = "catrain_source_calls_total{source=\"electricity-maps\",outcome=\"good\"}";
        value_in(&page, good).is_some_and(|count| count >= 1.0)
    });
    let closed = "catrain_source_breaker{source=\"electricity-maps\",state=\"closed\"}";
    assert_eq!(found.value(closed), 1.0);
    assert!(found.value("catrain_intensity_grams_per_kwh{") > 0.0);
    wait_until("the job has shown its environment", SOON, || shown.exists());
    let token = fs::read_to_string(&found.token).unwrap();
    let pages = ["/metrics", "/status", "/health/detailed"];
    let mut told: String = pages.map(|page| found.get_with_token(page).body).concat();
    told.push_str(&sandbox.read("environment"));
    told.push_str(&job.running.stderr());
    for secret in [KEY, token.trim()] {
        assert!(!told.contains(secret), "{told}");
    }
    job.word(Word::Stop);
    job.end();
    let id = &crate::support::supervised::recorded(&sandbox)[0];
    let ledger = fs::read_to_string(catrain::ledger::ledger_path(&sandbox.state_dir(), id));
    assert!(!ledger.unwrap().contains(token.trim()));
}

#[test]
fn a_source_that_is_given_up_is_degraded_and_says_so() {
    use crate::support::services::Reply;
    let sandbox = Sandbox::new();
    let services = Services::saying(Reply::of(500, "", ""));
    let options = [&SERVED[..], &["-s", "energy-charts"]].concat();
    let mut command = run(&sandbox, &options, ["sleep", "600"]);
    services.serve(&mut command);
    let config =
        "[resilience]\nattempts = 6\nretry_delay = \"100ms\"\ninterval = \"10ms\"\nburst = 20\n";
    sandbox.write("config/config.toml", config);
    fs::set_permissions(
        sandbox.path("config/config.toml"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let mut job = Supervised::start(&sandbox, &mut command);
    let found = Found::of(&job.running);
    job.wait_for_state("running");
    let open = "catrain_source_breaker{source=\"energy-charts\",state=\"open\"}";
    wait_until("the breaker is open", LONG, || {
        value_in(&found.get("/metrics").body, open) == Some(1.0)
    });
    let faulty = "catrain_source_calls_total{source=\"energy-charts\",outcome=\"faulty\"}";
    assert!(found.value(faulty) >= 5.0);
    assert!(found.value("catrain_source_retries_total{source=\"energy-charts\"}") >= 4.0);
    let health: Value =
        serde_json::from_str(&found.get_with_token("/health/detailed").body).unwrap();
    let checks = health["checks"].as_array().unwrap();
    let sources = checks
        .iter()
        .find(|check| check["name"] == "sources")
        .unwrap();
    assert_eq!(sources["status"], "degraded", "{health}");
    assert!(
        sources["reason"]
            .as_str()
            .unwrap()
            .contains("energy-charts"),
        "{sources}"
    );
    // That it is well, as far as it can be, is another question.
    wait_until("it is ready", LONG, || found.get("/ready").code == 200);
    job.word(Word::Stop);
    job.end();
}

/// Of the manual of the file:
/// > serve.token_file … A file of yours with the token that more than health and metrics needs
#[test]
fn one_token_and_one_name_may_be_configured_for_all_runs() {
    let sandbox = Sandbox::new();
    let token = sandbox.write("token", "0123456789abcdef-of-mine\n");
    let config = format!(
        "[run]\nlisten = 0\n[serve]\nname = \"gpu7.example.org\"\ntoken_file = \"{}\"\n",
        token.display()
    );
    let config = sandbox.write("config/config.toml", &config);
    for path in [&token, &config] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &SERVED[..4], ["sleep", "600"]));
    let found = Found::of(&job.running);
    assert_eq!(found.token, token);
    job.wait_for_state("running");
    assert_eq!(found.get_with_token("/status").code, 200);
    let named = |host: &str| {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n");
        wait_for("an answer", SOON, || sent(&found.address, &request)).code
    };
    assert_eq!(named("gpu7.example.org:9090"), 200);
    assert_eq!(named("gpu8.example.org:9090"), 421);
    job.word(Word::Stop);
    job.end();
    assert!(token.exists(), "it is the user's");
}

#[test]
fn a_stranger_s_file_opens_no_door() {
    let sandbox = Sandbox::new();
    for key in [
        "listen = 0",
        "listen-anywhere = true",
        "metrics-file = \"/tmp/m.json\"",
    ] {
        sandbox.write("home/catrain.toml", &format!("[run]\n{key}\n"));
        let refused = outcome(&mut run(&sandbox, &SERVED[..4], ["true"]));
        assert_eq!(refused.status.code(), Some(2), "{key}: {refused:?}");
        let said = &refused.stderr;
        assert!(
            said.contains("only allowed in your own configuration"),
            "{said}"
        );
    }
}

/// A day that is lived out, an hour a second, whose first hours are dirty: the run is held, runs and is
/// over within some seconds.
fn day(sandbox: &Sandbox) -> Vec<String> {
    let trace = trace(sandbox, |hour| if hour < 3 { 500.0 } else { 100.0 });
    let day = format!("{}@2021-11-09T00:00", trace.display());
    let options = [
        "--replay",
        &day,
        "--speed",
        "3600",
        "-d",
        "2h",
        "--deadline",
        "+20h",
        "--power",
        "300",
        "--min-run",
        "0",
    ];
    options.map(str::to_owned).into()
}
