//! The log and the audit stream of real runs: what is in them, for whom, and that nobody waits for them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use catrain::control::{self, Word};
use serde_json::Value;

use crate::keys::key;
use crate::support::child::Running;
use crate::support::process::is_alive;
use crate::support::pty::Pty;
use crate::support::server::{Reply, Server};
use crate::support::services::Services;
use crate::support::supervised::{LONG, Supervised, both, outcome, recorded, run, said};
use crate::support::{SOON, Sandbox, wait_for, wait_until};
use crate::terminal::{CATRAIN, NOW};

const STILL: [&str; 4] = ["-z", "DE", "--max-delay", "0"];

/// What stands in a file of JSON lines in the sandbox.
pub(crate) fn lines(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    let text = sandbox.read(name);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Those lines of a log that say this.
fn saying<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let says = |line: &&Value| line["message"] == message;
    lines.iter().filter(says).collect()
}

/// A run with a log in this file, which is nothing special otherwise.
fn logged(sandbox: &Sandbox, file: &str, levels: &str, job: &[&str]) -> Command {
    let mut command = run(sandbox, &STILL, job);
    command
        .env("CATRAIN_LOG_FILE", sandbox.path(file))
        .env("CATRAIN_LOG", levels);
    command
}

#[test]
fn nothing_is_logged_and_no_act_noted_unless_there_is_something_to() {
    let sandbox = Sandbox::new();
    let ended = outcome(&mut run(&sandbox, &STILL, ["true"]));
    assert!(ended.status.success(), "{ended:?}");
    assert!(!ended.stderr.contains("{\""), "{}", ended.stderr);
    assert!(!sandbox.state_dir().join("audit.jsonl").exists());
    said(&sandbox, &["status"]);
    assert!(!sandbox.state_dir().join("audit.jsonl").exists());
}

#[test]
fn each_decision_and_act_is_logged_once_with_the_runs_id_in_a_file_for_its_owner_alone() {
    let sandbox = Sandbox::new();
    let mut command = logged(
        &sandbox,
        "logs/catrain.log",
        "info",
        &["sh", "-c", "exit 3"],
    );
    assert_eq!(outcome(&mut command).status.code(), Some(3));
    let lines = lines(&sandbox, "logs/catrain.log");
    let id = &recorded(&sandbox)[0];
    for line in &lines {
        assert_eq!(line["run"], **id, "{line}");
        assert_ne!(line["level"], "debug", "{line}");
    }
    assert_eq!(saying(&lines, "the run begins").len(), 1);
    assert_eq!(saying(&lines, "decided").len(), 1, "{lines:?}");
    let acted = saying(&lines, "acted");
    assert_eq!(acted.len(), 1);
    assert_eq!(acted[0]["action"], "start");
    let failed = saying(&lines, "the job has failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["level"], "error");
    assert_eq!(failed[0]["category"], "job");
    assert_eq!(failed[0]["code"], 3);
    let mode = |name: &str| sandbox.path(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("logs/catrain.log") & 0o777, 0o600);
    assert_eq!(mode("logs") & 0o777, 0o700);
}

#[test]
fn a_level_of_one_module_leaves_out_all_others_and_a_wrong_one_starts_nothing() {
    let sandbox = Sandbox::new();
    let mut command = logged(
        &sandbox,
        "log",
        "error,command::run::tasks=debug",
        &["true"],
    );
    assert!(outcome(&mut command).status.success());
    let lines = lines(&sandbox, "log");
    assert!(!lines.is_empty());
    for line in &lines {
        assert_eq!(line["target"], "catrain::command::run::tasks", "{line}");
    }
    let ended = outcome(&mut logged(&sandbox, "log", "inof", &["touch", "started"]));
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.stderr.contains("did you mean `info`?"),
        "{}",
        ended.stderr
    );
    assert!(!sandbox.home().join("started").exists());
}

#[test]
fn a_run_logs_as_it_is_configured_and_what_is_typed_counts() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("logs/of-config");
    let config = format!(
        "[log]\nlevel = \"trace\"\nfile = \"{}\"\nlargest = 4096\nkeep = 1\n",
        file.display()
    );
    sandbox.write("config/config.toml", &config);
    for _ in 0..3 {
        let ended = outcome(&mut run(&sandbox, &STILL, ["true"]));
        assert!(ended.status.success(), "{ended:?}");
    }
    let kept = |name: &str| fs::metadata(sandbox.path(name)).map_or(0, |facts| facts.len());
    assert!(kept("logs/of-config.1") > 2048 && kept("logs/of-config.1") <= 4096);
    assert!(kept("logs/of-config") > 0 && kept("logs/of-config.2") == 0);

    let typed = ["--log-level", "warn", "--log-file", "typed"];
    let mut command = run(&sandbox, &[&STILL[..], &typed].concat(), ["false"]);
    assert_eq!(outcome(&mut command).status.code(), Some(1));
    let lines = lines(&sandbox, "home/typed");
    assert_eq!(saying(&lines, "the job has failed").len(), 1, "{lines:?}");
    assert!(
        lines.iter().all(|line| line["level"] != "info"),
        "{lines:?}"
    );

    sandbox.write("config/config.toml", "[log]\nlevel = \"inof\"\nkeep = -1\n");
    let ended = outcome(&mut run(&sandbox, &STILL, ["touch", "started"]));
    assert_eq!(ended.status.code(), Some(2));
    for told in ["did you mean `info`?", "log.keep"] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
    assert!(!sandbox.home().join("started").exists());
}

#[test]
fn other_configurations_are_noted_and_nothing_is_where_that_is_switched_off() {
    let sandbox = Sandbox::new();
    let resilience = |attempts: u32| format!("[resilience]\nattempts = {attempts}\n");
    sandbox.write("config/config.toml", &resilience(3));
    let mut command = run(&sandbox, &STILL, ["sleep", "100"]);
    let supervised = Supervised::start(&sandbox, &mut command);
    supervised.wait_for_state("running");
    sandbox.write("config/config.toml", &resilience(5));
    said(&sandbox, &["reload"]);
    let acts = wait_for("both are noted", SOON, || {
        let acts = lines(&sandbox, "state/audit.jsonl");
        let is_there = |name: &str| acts.iter().any(|act| act["act"] == name);
        (is_there("reload") && is_there("configuration")).then_some(acts)
    });
    let taken = acts
        .iter()
        .find(|act| act["act"] == "configuration")
        .unwrap();
    assert_eq!(taken["run"], supervised.id());
    assert!(taken["of"].is_string(), "{taken}");
    drop(supervised);

    let sandbox = Sandbox::new();
    sandbox.write("config/config.toml", "[log]\naudit = false\n");
    let mut command = run(&sandbox, &STILL, ["sleep", "100"]);
    let mut run = Supervised::start(&sandbox, &mut command);
    run.wait_for_state("running");
    run.word(Word::Stop);
    run.end();
    assert!(!sandbox.state_dir().join("audit.jsonl").exists());
}

#[test]
fn each_call_is_logged_with_how_long_it_took_and_whether_it_was_one() {
    let sandbox = Sandbox::new();
    let services = Services::good();
    for file in ["first", "second"] {
        let mut command = run(
            &sandbox,
            &[
                "-z",
                "DE",
                "--source",
                "energy-charts",
                "--max-delay",
                "1m",
                "-d",
                "1h",
            ],
            ["true"],
        );
        services.serve(&mut command);
        command
            .env("CATRAIN_LOG_FILE", sandbox.path(file))
            .env("CATRAIN_LOG", "off,caller=debug");
        assert!(outcome(&mut command).status.success());
    }
    let first = lines(&sandbox, "first");
    let called = saying(&first, "called");
    assert!(!called.is_empty(), "{first:?}");
    for call in called {
        assert_eq!(call["source"], "energy-charts");
        assert_eq!(call["outcome"], "good");
        assert_eq!(call["attempt"], 1);
        assert_eq!(call["status"], 200);
        assert!(call["duration_ms"].is_u64(), "{call}");
    }
    let second = lines(&sandbox, "second");
    let asked = saying(&second, "asked");
    assert!(!asked.is_empty(), "{second:?}");
    assert!(
        asked.iter().all(|line| line["cache_hit"] == true),
        "{asked:?}"
    );
    assert!(saying(&second, "called").is_empty());
}

#[test]
fn off_a_terminal_a_log_without_a_file_is_json_on_standard_error() {
    let sandbox = Sandbox::new();
    let mut command = run(&sandbox, &["--log-level", "info"], ["true"]);
    let ended = outcome(&mut command);
    let logged: Vec<Value> = (ended.stderr.lines())
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(saying(&logged, "acted").len(), 1, "{}", ended.stderr);
    let mut command = run(
        &sandbox,
        &["--log-level", "info", "--log-format", "text"],
        ["true"],
    );
    let ended = outcome(&mut command);
    assert!(
        ended.stderr.contains(" acted action=start "),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

#[test]
fn on_a_terminal_lines_wait_until_the_job_has_left_it_alone() {
    let sandbox = Sandbox::new();
    let job = "echo first; while ! test -e go; do sleep 0.01; done; echo last";
    let mut arguments = vec![CATRAIN, "--log-level", "info"];
    arguments.extend(NOW);
    arguments.extend(["--", "sh", "-c", job]);
    let mut pty = Pty::start(&sandbox, &arguments);
    pty.expect("first", SOON);
    wait_until("the start is recorded", SOON, || {
        crate::terminal::ledger(&sandbox).contains("\"confirmed\"")
    });
    fs::write(sandbox.home().join("go"), "").unwrap();
    assert!(pty.wait(SOON).success());
    let screen = pty.screen();
    let at = |text: &str| {
        screen
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {screen}"))
    };
    assert!(at("last") < at("the run is over"), "{screen}");
    // What was said before the start may come late; what is said of it waits.
    let between = &screen[at("first")..at("last")];
    assert!(!between.contains(" acted "), "{screen}");
}

#[test]
fn two_runs_that_write_one_log_tear_no_line() {
    let sandbox = Sandbox::new();
    let job = ["sh", "-c", "exit 0"];
    let mut running: Vec<Running> = (0..4)
        .map(|_| Running::start(&mut logged(&sandbox, "log", "trace", &job)))
        .collect();
    for run in &mut running {
        assert!(run.wait(LONG).status.success());
    }
    let lines = lines(&sandbox, "log");
    for id in recorded(&sandbox) {
        let own: Vec<&Value> = lines.iter().filter(|line| line["run"] == *id).collect();
        let over = |line: &&&Value| line["message"] == "the run is over";
        assert_eq!(own.iter().filter(over).count(), 1, "{id}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_once_and_costs_the_job_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("no", "a file, no directory");
    let job = ["sh", "-c", "exit 7"];
    for file in ["no/log", "pipe"] {
        if file == "pipe" {
            let pipe = sandbox.path("pipe");
            nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let ended = outcome(&mut logged(&sandbox, file, "debug", &job));
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        let told = ended.stderr.matches("nothing is logged to").count();
        assert_eq!(told, 1, "{}", ended.stderr);
    }
}

#[test]
fn a_disk_that_takes_nothing_costs_lines_and_not_the_job() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("sh");
    command
        .args(["-c", "ulimit -f 0; exec \"$@\"", "sh", CATRAIN])
        .args(NOW)
        .args(["--", "sh", "-c", "exit 7"])
        .env("CATRAIN_LOG_FILE", sandbox.path("log"))
        .env("CATRAIN_LOG", "trace");
    let ended = outcome(&mut command);
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    let told = ended.stderr.matches("nothing is logged to").count();
    assert_eq!(told, 1, "{}", ended.stderr);
    assert_eq!(sandbox.read("log"), "");
}

#[test]
fn who_paused_resumed_reloaded_or_stopped_which_run_is_noted_and_who_looked_is_not() {
    let sandbox = Sandbox::new();
    let mut command = run(&sandbox, &STILL, ["sleep", "100"]);
    let mut run = Supervised::start(&sandbox, &mut command);
    run.wait_for_state("running");
    let id = run.id();
    let mut pids = Vec::new();
    for word in ["status", "pause", "reload", "resume", "stop"] {
        let mut told = Running::start(&mut sandbox.catrain([word, &id]));
        let pid = told.pid();
        assert!(told.wait(SOON).status.success(), "{word}");
        pids.push((word, pid));
    }
    run.end();
    let acts = wait_for("all four are noted", SOON, || {
        let acts = lines(&sandbox, "state/audit.jsonl");
        (acts.len() >= 4).then_some(acts)
    });
    assert_eq!(acts.len(), 4, "{acts:?}");
    for (act, (word, pid)) in acts.iter().zip(&pids[1..]) {
        assert_eq!(act["schema"], "catrain.audit/1");
        assert_eq!(act["act"], **word, "{act}");
        assert_eq!(act["run"], *id, "{act}");
        assert_eq!(act["uid"], nix::unistd::getuid().as_raw());
        assert_eq!(act["pid"], *pid, "{act}");
        assert_eq!(act["program"], "catrain");
        assert_eq!(act["outcome"], "done");
    }
    let file = sandbox.state_dir().join("audit.jsonl");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_peer_that_leaves_before_the_answer_is_noted_all_the_same() {
    let sandbox = Sandbox::new();
    let mut command = run(&sandbox, &STILL, ["sleep", "100"]);
    let run = Supervised::start(&sandbox, &mut command);
    run.wait_for_state("running");
    let path = control::socket(&sandbox.runtime_dir(), &run.id());
    let mut peer = UnixStream::connect(path).unwrap();
    peer.write_all(b"POST /pause HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    drop(peer);
    let acts = wait_for("it is noted", SOON, || {
        Some(lines(&sandbox, "state/audit.jsonl")).filter(|acts| !acts.is_empty())
    });
    assert_eq!(acts[0]["act"], "pause");
    assert_eq!(acts[0]["pid"], std::process::id());
}

#[test]
fn who_changed_a_key_is_noted_and_the_key_is_not() {
    let sandbox = Sandbox::new();
    assert!(
        key(&sandbox, "set electricity-maps", "hush-hush-1")
            .status
            .success()
    );
    assert!(
        key(&sandbox, "rotate electricity-maps", "hush-hush-2")
            .status
            .success()
    );
    assert!(
        key(&sandbox, "remove electricity-maps", "")
            .status
            .success()
    );
    assert!(
        !key(&sandbox, "remove electricity-maps", "")
            .status
            .success()
    );
    assert!(!key(&sandbox, "set hush-hush-3", "").status.success());
    let acts = lines(&sandbox, "state/audit.jsonl");
    let told: Vec<String> = (acts.iter())
        .map(|act| {
            let word = |name: &str| act[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", word("act"), word("of"), word("outcome"))
        })
        .collect();
    let wanted = [
        "key set electricity-maps done",
        "key rotate electricity-maps done",
        "key remove electricity-maps done",
        "key remove electricity-maps refused",
        "key set - refused",
    ];
    assert_eq!(told, wanted);
    assert!(!sandbox.read("state/audit.jsonl").contains("hush"));
    // The process that started it, which tells more than its own name.
    assert!(
        acts.iter().all(|act| act["pid"] == std::process::id()),
        "{acts:?}"
    );
}

/// Every file below a directory, with what is in it.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                found.push((path.display().to_string(), bytes));
            }
            false => {}
        }
    }
}

/// SPEC: "Secrets stay secret: never in logs, errors, ledger, reports, process arguments, metrics or
/// the environment of the job. The job's own arguments are stored redacted."
#[test]
fn secrets_that_are_planted_everywhere_are_in_no_sink_of_a_whole_run() {
    let sandbox = Sandbox::new();
    let services = Services::good();
    // Services that say back what they refuse.
    services.say(|head| {
        let sent: Vec<&str> = (head.lines())
            .filter(|line| {
                let line = line.to_ascii_lowercase();
                line.starts_with("auth-token") || line.starts_with("authorization")
            })
            .collect();
        (!sent.is_empty()).then(|| {
            let body = format!("{{\"error\": \"no entry with {}\"}}", sent.join(" "));
            Reply::of(401, "Content-Type: application/json\r\n", &body)
        })
    });
    let token = format!("ghp_{}", "pLant".repeat(8));
    let ours = [
        "plant-env-1",
        "plant-user-2",
        "plant-word-3",
        "plant-pass-4",
        "plant-webhook-11",
        "plant-signing-12",
    ];
    let jobs = [
        "plant-arg-5",
        "plant-url-6",
        "plant-bearer-7",
        "plant-query-8",
        "plant-label-9",
        "plant-hook-10",
        &token,
    ];
    let receiver = Server::answering(|_, _| Reply::of(200, "", "ok"));
    let webhook = format!("{}/hook/{}", receiver.base_url, ours[4]);
    let config = format!(
        "[sources.watttime]\nkey = \"{}:{}\"\n[[alerts.webhook]]\nname = \"ops\"\nurl = \"{webhook}\"\nkey = \"{}\"\n",
        ours[1], ours[2], ours[5]
    );
    sandbox.write("config/config.toml", &config);
    let label = format!("token={}", jobs[4]);
    let hook = format!("env; exit 3 # --api-key {}", jobs[5]);
    let name = format!("for {token}");
    let summary = sandbox.path("summary.json");
    let metrics = sandbox.path("metrics.prom");
    let options = [
        "-z",
        "DE",
        "--source",
        "electricity-maps,watttime",
        "--max-delay",
        "1m",
        "-d",
        "2h",
        "--label",
        &label,
        "--name",
        &name,
        "--on-end",
        &hook,
        "--on-pause",
        "env",
        "--summary-file",
        summary.to_str().unwrap(),
        "--metrics-file",
        metrics.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "trace",
    ];
    let url = format!(
        "https://me:{}@example.org/x?zone=DE&token={}",
        jobs[1], jobs[3]
    );
    let header = format!("Authorization: Bearer {}", jobs[2]);
    let script = "env; while ! test -e go; do sleep 0.01; done; exit 5";
    let job = [
        "sh",
        "-c",
        script,
        "sh",
        "--api-key",
        jobs[0],
        &url,
        "--header",
        &header,
        &token,
    ];

    let mut outputs = Vec::new();
    for log in ["file", "standard error"] {
        let _ = fs::remove_file(sandbox.home().join("go"));
        let mut command = run(&sandbox, &options, job);
        services.serve(&mut command);
        command
            .env("CATRAIN_ELECTRICITY_MAPS_KEY", ours[0])
            .env("CATRAIN_PASSPHRASE", ours[3])
            .env(
                "CATRAIN_LOG_FORMAT",
                if log == "file" { "json" } else { "text" },
            );
        if log == "file" {
            command.env("CATRAIN_LOG_FILE", sandbox.path("log"));
        }
        let mut run = Supervised::start(&sandbox, &mut command);
        run.wait_for_state("running");
        wait_until("the sources were asked", SOON, || {
            services.calls("/v4") > 0 && services.calls("/login") > 0
        });
        run.pause();
        run.word(Word::Reload);
        for words in [
            &["status"][..],
            &["status", "--json"],
            &["doctor", "--json"],
        ] {
            let mut command = services.catrain(&sandbox, words);
            command.env("CATRAIN_ELECTRICITY_MAPS_KEY", ours[0]);
            outputs.push((words.join(" "), both(&command.output().unwrap())));
        }
        for page in ["/metrics", "/health/detailed", "/config"] {
            let path = control::socket(&sandbox.runtime_dir(), &run.id());
            let mut peer = UnixStream::connect(path).unwrap();
            let request = format!("GET {page} HTTP/1.1\r\nhost: x\r\n\r\n");
            peer.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            peer.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{page}: {answer}");
            outputs.push((page.to_owned(), answer));
        }
        run.resume();
        fs::write(sandbox.home().join("go"), "").unwrap();
        let ended = run.running.wait(LONG);
        assert_eq!(ended.status.code(), Some(5), "{ended:?}");
        assert!(ended.stdout.contains("CATRAIN_STATE_DIR="), "{ended:?}");
        outputs.push((format!("stdout with {log}"), ended.stdout));
        outputs.push((format!("stderr with {log}"), ended.stderr));
    }
    for format in [
        "text",
        "json",
        "csv",
        "html",
        "md",
        "codecarbon",
        "prometheus",
    ] {
        let mut command = services.catrain(
            &sandbox,
            &[
                "report",
                "latest",
                "--format",
                format,
                "--full-command",
                "--offline",
            ],
        );
        outputs.push((format.to_owned(), both(&command.output().unwrap())));
    }
    assert!(!receiver.bodies().is_empty(), "that the job failed is told");
    outputs.push(("alerts".to_owned(), receiver.bodies().concat()));
    outputs.push(("keys".to_owned(), said(&sandbox, &["key", "list"])));

    // The test would prove little if there were nothing in them.
    let log = sandbox.read("log");
    for there in ["called in vain", "key refused", "acted", "pause"] {
        assert!(log.contains(there), "{there}: {log}");
    }
    assert_eq!(lines(&sandbox, "state/audit.jsonl").len(), 6);
    assert!(
        outputs.iter().any(|(_, text)| text.contains("--on-end")),
        "{outputs:?}"
    );

    let mut sinks: Vec<(String, Vec<u8>)> = (outputs.into_iter())
        .map(|(name, text)| (name, text.into_bytes()))
        .collect();
    for directory in ["state", "cache", "runtime", "home"] {
        files(&sandbox.path(directory), &mut sinks);
    }
    for file in ["log", "summary.json", "metrics.prom"] {
        sinks.push((
            file.to_owned(),
            fs::read(sandbox.path(file)).unwrap_or_default(),
        ));
    }
    for (name, bytes) in &sinks {
        // A version of the configuration is the user's own file as it was, for that user alone.
        if name.contains("/state/config/") {
            let mode = fs::metadata(name).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            continue;
        }
        let text = String::from_utf8_lossy(bytes);
        for secret in ours.iter().chain(&jobs) {
            let at = text.find(secret);
            let around = at.map(|at| text[..at].chars().rev().take(300).collect::<String>());
            let around = around.map(|text| text.chars().rev().collect::<String>());
            assert!(
                at.is_none(),
                "{secret} is in {name} after: {}",
                around.unwrap()
            );
        }
    }
    assert!(sandbox.processes().iter().all(|&pid| !is_alive(pid)));
}
