//! Alerts from the job to the receiver: webhooks, Slack and mail on loopback, that fail, hang, heal and
//! are killed for. `CATRAIN_TEST_PYTHON` names an interpreter that has `aiosmtpd` and `trustme` (else
//! `python3` is asked); tests of mail are skipped where it has not, and say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use catrain::clock::monotonic;
use catrain::control::Word;
use serde_json::Value;

use crate::presets::python_with;
use crate::support::child::{Ended, Running};
use crate::support::process;
use crate::support::server::{Reply, Server};
use crate::support::supervised::{LONG, Supervised, both};
use crate::support::{SOON, Sandbox, fixture, python, wait_for, wait_until};

const SECRET: &str = "hush-hush-7f3a";
/// Starts at once, by what is known without asking anybody.
const RUN: [&str; 8] = [
    "run",
    "-z",
    "DE",
    "-s",
    "built-in",
    "--max-delay",
    "0",
    "--summary",
];

fn taken() -> Reply {
    Reply::of(200, "", "ok")
}

/// `catrain` in a sandbox from which somebody can be reached.
fn catrain(sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut command = sandbox.catrain(words);
    command.env_remove("CATRAIN_OFFLINE");
    command
}

/// `catrain run OPTIONS -- sh -c SCRIPT`.
fn run(sandbox: &Sandbox, options: &[&str], script: &str) -> Command {
    let mut command = catrain(sandbox, &RUN);
    command.arg("none").args(options);
    command.args(["--", "sh", "-c", script]);
    command
}

fn ended(command: &mut Command) -> Ended {
    Running::start(command).wait(LONG)
}

/// Has a run ended by a person.
fn stop(mut run_it: Supervised<'_>) {
    run_it.word(Word::Stop);
    run_it.end();
}

/// Quick to give up, and nothing is waited for that may come together.
fn configure(sandbox: &Sandbox, channels: &str) {
    let text = format!(
        "[resilience]\nattempts = 2\nretry_delay = \"100ms\"\n[alerts]\ngather = \"0s\"\n{channels}"
    );
    sandbox.write("config/config.toml", &text);
}

/// A webhook of that name at the server.
fn webhook(server: &Server) -> String {
    format!(
        "[[alerts.webhook]]\nname = \"ops\"\nurl = \"{}/hook/{SECRET}\"\nkey = \"{SECRET}\"\n",
        server.base_url
    )
}

/// `state rule` of each alert that a webhook was sent, message by message.
fn received(server: &Server) -> Vec<Vec<String>> {
    let bodies = server.bodies();
    let messages = bodies.iter().map(|body| {
        let value: Value = serde_json::from_str(body).unwrap();
        let alerts = value["alerts"].as_array().unwrap().iter();
        let text = |alert: &Value, name: &str| alert[name].as_str().unwrap().to_owned();
        alerts
            .map(|alert| format!("{} {}", text(alert, "state"), text(alert, "rule")))
            .collect()
    });
    messages.collect()
}

/// The letters that wait, as `catrain alerts list` has them.
fn letters(sandbox: &Sandbox) -> Vec<Value> {
    let output = catrain(sandbox, &["alerts", "list", "--json"]).output();
    let output = output.unwrap();
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no letters: {}", both(&output)));
    assert_eq!(document["schema"], "catrain.letters/1");
    document["letters"].as_array().unwrap().clone()
}

/// Everything that is written in a sandbox, but for its configuration and the versions of that.
fn written(sandbox: &Sandbox) -> String {
    fn files(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.path().is_dir() {
                true if entry.file_name() == "config" => {}
                true => files(&entry.path(), text),
                false => {
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
    }
    let mut text = String::new();
    for directory in [sandbox.state_dir(), sandbox.cache_dir(), sandbox.home()] {
        files(&directory, &mut text);
    }
    text
}

// Webhooks ---------------------------------------------------------------------------------------

#[test]
fn a_receiver_verifies_an_alert_as_the_readme_says() {
    let (sandbox, server) = (Sandbox::new(), Server::saying(vec![taken()]));
    configure(&sandbox, &webhook(&server));
    let ended = ended(&mut run(&sandbox, &["--name", "finetune"], "exit 3"));
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert_eq!(received(&server), [["happened job-failed"]]);
    let body = &server.bodies()[0];
    let value: Value = serde_json::from_str(body).unwrap();
    assert_eq!(value["schema"], "catrain.alert/1");
    assert_eq!(value["title"], "finetune: the job failed");
    assert_eq!(value["alerts"][0]["run"]["zone"], "DE");

    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let from = readme.find("    import hashlib, hmac, time\n").unwrap();
    let code = readme[from..]
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let code: Vec<&str> = code.map(|line| line.get(4..).unwrap_or("")).collect();
    let head = &server.heads()[0];
    let signature = crate::support::services::header(head, "x-catrain-signature").unwrap();
    let verify = |secret: &str, body: &str| -> String {
        let check =
            "import sys\nprint(verify(sys.argv[1].encode(), sys.argv[2], sys.argv[3].encode()))";
        let mut command = Command::new(python());
        command
            .arg("-c")
            .arg(format!("{}\n{check}", code.join("\n")));
        let output = command.args([secret, signature, body]).output().unwrap();
        both(&output).trim().to_owned()
    };
    assert_eq!(verify(SECRET, body), "True");
    assert_eq!(verify("another", body), "False");
    assert_eq!(verify(SECRET, &body.replace("failed", "is done")), "False");
}

#[test]
fn a_receiver_that_fails_and_heals_has_each_alert_once_across_restarts() {
    let sandbox = Sandbox::new();
    let ill = Server::saying(vec![Reply::of(503, "", "")]);
    configure(&sandbox, &webhook(&ill));
    let first = ended(&mut run(&sandbox, &["--name", "one"], "exit 3"));
    assert_eq!(first.status.code(), Some(3), "{}", first.stderr);
    assert!(
        first
            .stderr
            .contains("warning: an alert is not delivered: webhook `ops` answered 503"),
        "{}",
        first.stderr
    );
    assert_eq!(ill.calls(), 2, "tried again");
    let dead = letters(&sandbox);
    assert_eq!((dead.len(), &dead[0]["state"]), (1, &"dead".into()));

    // It heals: a later run brings what was kept, and its own.
    let well = Server::saying(vec![taken()]);
    configure(&sandbox, &webhook(&well));
    let second = ended(&mut run(&sandbox, &["--name", "two"], "exit 0"));
    assert_eq!(second.status.code(), Some(0), "{}", second.stderr);
    let mut all = received(&well).concat();
    all.sort();
    assert_eq!(all, ["happened job-failed", "happened run-ended"]);
    assert!(letters(&sandbox).is_empty());

    // And nothing twice.
    ended(&mut run(&sandbox, &["--name", "three"], "exit 0"));
    let all = received(&well).concat();
    let failed = all.iter().filter(|it| it.ends_with("job-failed"));
    assert_eq!(failed.count(), 1, "{all:?}");
}

#[test]
fn what_waits_can_be_sent_by_hand() {
    let sandbox = Sandbox::new();
    let ill = Server::saying(vec![Reply::of(404, "", "")]);
    configure(&sandbox, &webhook(&ill));
    ended(&mut run(&sandbox, &[], "exit 3"));
    let well = Server::saying(vec![taken()]);
    configure(&sandbox, &webhook(&well));
    let output = catrain(&sandbox, &["alerts", "retry"]).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    assert_eq!(both(&output).trim(), "✓ webhook `ops` took 1 alert");
    assert_eq!(received(&well), [["happened job-failed"]]);
    let output = catrain(&sandbox, &["alerts", "list"]).output().unwrap();
    assert_eq!(both(&output).trim(), "nothing waits to be delivered");
}

#[test]
fn what_was_being_sent_when_catrain_was_killed_is_not_sent_twice() {
    let sandbox = Sandbox::new();
    let hung = Server::saying(vec![Reply::Never]);
    configure(&sandbox, &webhook(&hung));
    // It fails once, and then runs until it is told to end.
    let script = "if [ -e again ]; then exec sleep 300; fi; touch again; exit 3";
    let options = ["--retries", "1", "--retry-delay", "0s"];
    let run_it = Supervised::start(&sandbox, &mut run(&sandbox, &options, script));
    wait_until("it is being sent", SOON, || hung.calls() == 1);
    process::kill(run_it.pid());
    drop(run_it);

    let well = Server::saying(vec![taken()]);
    configure(&sandbox, &webhook(&well));
    ended(&mut run(&sandbox, &["--name", "next"], "exit 0"));
    assert_eq!(received(&well), [["happened run-ended"]]);
    let left = letters(&sandbox);
    assert_eq!((left.len(), &left[0]["state"]), (1, &"unknown".into()));
    assert_eq!(left[0]["rule"], "job-restarted");
}

#[test]
fn a_cool_down_and_a_recovery_are_kept_across_a_killed_run() {
    let (sandbox, server) = (Sandbox::new(), Server::saying(vec![taken()]));
    configure(&sandbox, &webhook(&server));
    let late = ["--name", "finetune", "-d", "5h", "--deadline", "+1h"];
    for _ in 0..2 {
        let calls = server.calls();
        let run_it = Supervised::start(&sandbox, &mut run(&sandbox, &late, "exec sleep 300"));
        match calls {
            0 => wait_until("it is told", SOON, || server.calls() == 1),
            // Told lately: the second goes on with what the first had.
            _ => wait_until("it is seen", SOON, || {
                let told = sandbox.read("state/alerts/told.json");
                told.contains(&format!("\"pid\":{}", run_it.pid()))
            }),
        }
        process::kill(run_it.pid());
    }
    assert_eq!(received(&server), [["raised deadline-at-risk"]]);

    let early = ["--name", "finetune", "-d", "1h", "--deadline", "+30h"];
    let run_it = Supervised::start(&sandbox, &mut run(&sandbox, &early, "exec sleep 300"));
    wait_until("it is over", SOON, || server.calls() == 2);
    assert_eq!(received(&server)[1], ["recovered deadline-at-risk"]);
    drop(run_it);
}

#[test]
fn a_receiver_that_hangs_keeps_no_job_waiting() {
    let (sandbox, hung) = (Sandbox::new(), Server::saying(vec![Reply::Never]));
    configure(&sandbox, &format!("flush = \"1s\"\n{}", webhook(&hung)));
    let began = monotonic();
    let ended = ended(&mut run(&sandbox, &[], "exit 3"));
    assert!(monotonic() - began < SOON);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("alerts were not all sent before the run ended"),
        "{}",
        ended.stderr
    );
    assert_eq!(letters(&sandbox)[0]["state"], "dead");
}

#[test]
fn the_guard_that_is_killed_is_told_and_that_it_is_back() {
    let (sandbox, server) = (Sandbox::new(), Server::saying(vec![taken()]));
    configure(&sandbox, &webhook(&server));
    let run_it = Supervised::start(&sandbox, &mut run(&sandbox, &[], "exec sleep 300"));
    process::kill(run_it.guard());
    wait_until("both are told", SOON, || {
        received(&server).concat().len() >= 2
    });
    assert_eq!(
        received(&server).concat(),
        ["raised watchdog-lost", "recovered watchdog-lost"]
    );
    stop(run_it);
    // Who was asked to end has not failed.
    let last = received(&server).concat().pop().unwrap();
    assert_eq!(last, "happened run-ended");
}

#[test]
fn no_secret_is_written_shown_or_given_to_the_job() {
    let (sandbox, ill) = (
        Sandbox::new(),
        Server::saying(vec![Reply::of(400, "", SECRET)]),
    );
    let slack = format!(
        "[[alerts.slack]]\nname = \"chat\"\nurl = \"{}/services/{SECRET}\"\n",
        ill.base_url
    );
    configure(&sandbox, &format!("{}{slack}", webhook(&ill)));
    let mut command = run(&sandbox, &[], "env > env; exit 3");
    command.env("CATRAIN_ALERT_OPS_KEY", SECRET);
    let ended = ended(&mut command);
    let told: Vec<String> = [
        &["alerts", "test"][..],
        &["alerts", "list"],
        &["alerts", "list", "--json"],
        &["report", "latest", "--format", "json"],
        &["doctor"],
        &["key", "list"],
    ]
    .iter()
    .map(|words| both(&sandbox.catrain(*words).output().unwrap()))
    .collect();
    let all = format!("{}{}{}", ended.stderr, told.concat(), written(&sandbox));
    assert!(all.contains("answered 400"), "{all}");
    assert!(!all.contains(SECRET), "{all}");
    // What is told of a request is its host alone.
    assert!(
        !all.contains("/hook/") && !all.contains("/services/"),
        "{all}"
    );
}

// Off and quiet ----------------------------------------------------------------------------------

#[test]
fn without_a_channel_there_is_no_thread_and_no_file() {
    let sandbox = Sandbox::new();
    let run_it = Supervised::start(&sandbox, &mut run(&sandbox, &[], "exec sleep 300"));
    run_it.leader();
    let tasks = fs::read_dir(format!("/proc/{}/task", run_it.pid())).unwrap();
    let names = tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    let names: Vec<String> = names.collect();
    assert!(
        !names.iter().any(|name| name.trim() == "alerts"),
        "{names:?}"
    );
    stop(run_it);
    assert!(!sandbox.state_dir().join("alerts").exists());
}

#[test]
fn offline_nobody_is_told() {
    let (sandbox, server) = (Sandbox::new(), Server::saying(vec![taken()]));
    configure(&sandbox, &webhook(&server));
    let ended = ended(&mut run(&sandbox, &["--offline"], "exit 3"));
    assert_eq!(ended.status.code(), Some(3));
    assert!(
        ended.stderr.contains("no alerts are sent: offline"),
        "{}",
        ended.stderr
    );
    let test = catrain(&sandbox, &["alerts", "test", "--offline"])
        .output()
        .unwrap();
    assert_eq!(test.status.code(), Some(1), "{}", both(&test));
    assert!(both(&test).contains("offline"));
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_stranger_s_file_sends_nothing_anywhere() {
    let (sandbox, server) = (Sandbox::new(), Server::saying(vec![taken()]));
    sandbox.write("home/catrain.toml", &webhook(&server));
    let ended = ended(&mut run(&sandbox, &[], "touch started"));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("only allowed in your own configuration")
    );
    assert!(!sandbox.home().join("started").exists());
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_channel_that_cannot_work_is_told_before_anything_starts() {
    let sandbox = Sandbox::new();
    let bad = "[[alerts.webhook]]\nname = \"Ops!\"\nurl = \"http://example.org/x\"\n\
               [[alerts.webhook]]\nurl = \"ftp://example.org\"\n\
               [[alerts.email]]\nname = \"me\"\nhost = \"mail.example.org\"\n\
               encryption = \"none\"\nfrom = \"me\"\nto = [\"me@example.org\"]\n";
    configure(&sandbox, &format!("quiet = \"22-7\"\n{bad}"));
    let ended = ended(&mut run(&sandbox, &[], "touch started"));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    for part in [
        "`22-7` is no span such as 22:00-07:00",
        "`alerts.webhook[0].name`: `Ops!` is no name",
        "`alerts.webhook[0].url` is plain http",
        "`alerts.webhook[1]` lacks `name`",
        "`alerts.webhook[1].url` is neither http nor https",
        "mail without encryption is for loopback only",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("example.org/x"), "{}", ended.stderr);
    assert!(!sandbox.home().join("started").exists());
}

#[test]
fn the_configuration_shows_each_channel_whole_and_none_of_its_secrets() {
    let sandbox = Sandbox::new();
    let two = format!(
        "[[alerts.webhook]]\nname = \"one\"\nurl = \"https://example.org/{SECRET}\"\n\
         rules = [\"job-failed\"]\n[[alerts.webhook]]\nname = \"two\"\n\
         url = \"https://example.com/{SECRET}\"\n"
    );
    configure(&sandbox, &two);
    let shown = catrain(&sandbox, &["config", "show"]).output().unwrap();
    let said = both(&shown);
    let tables = said.split_once("[[alerts.webhook]]").unwrap().1;
    assert_eq!(
        tables.trim(),
        "name = \"one\"\nurl = \"[redacted]\"\nrules = [\"job-failed\"]\n\n\
         [[alerts.webhook]]\nname = \"two\"\nurl = \"[redacted]\""
    );
    assert!(!said.contains(SECRET), "{said}");
}

// Trying out -------------------------------------------------------------------------------------

#[test]
fn a_test_says_of_each_channel_what_came_of_it() {
    let sandbox = Sandbox::new();
    let none = catrain(&sandbox, &["alerts", "test"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(both(&none).contains("no channel for alerts is configured"));

    let (well, ill) = (
        Server::saying(vec![taken()]),
        Server::saying(vec![Reply::of(404, "", "no_service")]),
    );
    let slack = format!(
        "[[alerts.slack]]\nname = \"chat\"\nurl = \"{}\"\n",
        ill.base_url
    );
    configure(&sandbox, &format!("{}{slack}", webhook(&well)));
    let both_of_them = catrain(&sandbox, &["alerts", "test"]).output().unwrap();
    assert_eq!(both_of_them.status.code(), Some(1));
    let said = both(&both_of_them);
    assert!(said.contains("✓ webhook `ops` took it in "), "{said}");
    let why = "✗ slack `chat` answered 404: there is no such address (no_service)";
    assert!(said.contains(why), "{said}");
    assert_eq!(received(&well), [["test run-ended"]]);
    let blocks: Value = serde_json::from_str(&ill.bodies()[0]).unwrap();
    assert_eq!(blocks["blocks"][0]["type"], "header");

    let one = catrain(&sandbox, &["alerts", "test", "ops"])
        .output()
        .unwrap();
    assert!(one.status.success(), "{}", both(&one));
    let unknown = catrain(&sandbox, &["alerts", "test", "opps"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        both(&unknown).contains("there are: ops, chat"),
        "{}",
        both(&unknown)
    );
}

#[test]
fn a_channel_s_key_can_be_kept_encrypted() {
    let (sandbox, server) = (Sandbox::new(), Server::saying(vec![taken()]));
    let channel = format!(
        "[[alerts.webhook]]\nname = \"ops\"\nurl = \"{}\"\n",
        server.base_url
    );
    configure(&sandbox, &channel);
    let set = Running::start_with(
        &mut catrain(&sandbox, &["key", "set", "alert-ops"]),
        SECRET.as_bytes(),
    )
    .wait(SOON);
    assert!(set.status.success(), "{}", set.stderr);
    let test = catrain(&sandbox, &["alerts", "test"]).output().unwrap();
    assert!(test.status.success(), "{}", both(&test));
    assert!(
        server.heads()[0]
            .to_lowercase()
            .contains("x-catrain-signature: t=")
    );
    assert!(!written(&sandbox).contains(SECRET));
}

// Mail -------------------------------------------------------------------------------------------

/// A mail server, and the folder that it keeps its mail in.
struct Mail {
    _server: Running,
    folder: PathBuf,
    port: u16,
}

impl Mail {
    /// One that listens; none where there is no library for it.
    fn start(sandbox: &Sandbox, mode: &str) -> Option<Self> {
        let python = python_with(&["aiosmtpd.smtp", "trustme"])?;
        let folder = sandbox.path("mail");
        fs::create_dir_all(&folder).unwrap();
        let mut command = sandbox.command(python);
        command
            .arg(fixture("alerts/mail.py"))
            .arg(&folder)
            .arg(mode);
        let server = Running::start(&mut command);
        let port = wait_for("the port of the mail server", LONG, || {
            server.stdout().lines().next()?.parse().ok()
        });
        Some(Self {
            _server: server,
            folder,
            port,
        })
    }

    fn channel(&self, encryption: &str, password: &str) -> String {
        format!(
            "[[alerts.email]]\nname = \"me\"\nhost = \"localhost\"\nport = {}\n\
             encryption = \"{encryption}\"\nuser = \"me\"\nkey = \"{password}\"\n\
             from = \"catrain <catrain@example.org>\"\n\
             to = [\"me@example.org\", \"you@example.org\"]\nca_file = \"{}\"\n",
            self.port,
            self.folder.join("ca.pem").display()
        )
    }

    fn mails(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("mails.jsonl")).unwrap_or_default();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn a_mail_arrives_over_starttls_from_who_logged_in() {
    let sandbox = Sandbox::new();
    let Some(mail) = Mail::start(&sandbox, "starttls") else {
        return;
    };
    configure(&sandbox, &mail.channel("starttls", "hush-hush"));
    let name = "fine\r\nBcc: all@example.org";
    let ended = ended(&mut run(&sandbox, &["--name", name], "exit 3"));
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let mails = mail.mails();
    assert_eq!(mails.len(), 1, "{}", ended.stderr);
    let told = &mails[0];
    assert_eq!(told["tls"], true);
    assert_eq!(told["user"], "me");
    assert_eq!(told["from"], "catrain@example.org");
    assert_eq!(
        told["to"],
        serde_json::json!(["me@example.org", "you@example.org"])
    );
    let subject = told["headers"]["Subject"].as_str().unwrap();
    assert!(subject.starts_with("[catrain] fine"), "{subject}");
    assert!(subject.ends_with(": the job failed"), "{subject}");
    assert!(told["headers"].get("Bcc").is_none());
    assert_eq!(told["headers"]["Auto-Submitted"], "auto-generated");
    assert!(told["text"].as_str().unwrap().contains("it ended with 3"));
}

#[test]
fn a_mail_arrives_over_tls_from_the_beginning() {
    let sandbox = Sandbox::new();
    let Some(mail) = Mail::start(&sandbox, "tls") else {
        return;
    };
    configure(&sandbox, &mail.channel("tls", "hush-hush"));
    let output = catrain(&sandbox, &["alerts", "test"]).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    assert_eq!(mail.mails()[0]["tls"], true);
}

#[test]
fn a_mail_server_that_is_not_trusted_or_does_not_let_us_in_has_no_mail() {
    let sandbox = Sandbox::new();
    let Some(mail) = Mail::start(&sandbox, "starttls") else {
        return;
    };
    let test = |channel: &str| -> Output {
        configure(&sandbox, channel);
        catrain(&sandbox, &["alerts", "test"]).output().unwrap()
    };
    let wrong = test(&mail.channel("starttls", "not-it"));
    assert_eq!(wrong.status.code(), Some(1));
    let said = both(&wrong);
    assert!(said.contains("email `me` answered 535"), "{said}");
    assert!(said.contains("look at its user and its password"), "{said}");
    assert!(!said.contains("not-it"), "{said}");

    let channel = mail.channel("starttls", "hush-hush");
    let untrusted: String = channel
        .lines()
        .filter(|line| !line.starts_with("ca_file"))
        .fold(String::new(), |text, line| text + line + "\n");
    let output = test(&untrusted);
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    assert!(mail.mails().is_empty());
}

#[test]
fn a_mail_server_without_starttls_is_told_nothing() {
    let sandbox = Sandbox::new();
    let Some(mail) = Mail::start(&sandbox, "plain") else {
        return;
    };
    configure(&sandbox, &mail.channel("starttls", "hush-hush"));
    let refused = catrain(&sandbox, &["alerts", "test"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", both(&refused));
    assert!(mail.mails().is_empty());
    // To loopback one may ask for it.
    let open: String = mail
        .channel("none", "")
        .lines()
        .filter(|line| {
            !["user", "key", "ca_file"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .fold(String::new(), |text, line| text + line + "\n");
    configure(&sandbox, &open);
    let taken = catrain(&sandbox, &["alerts", "test"]).output().unwrap();
    assert!(taken.status.success(), "{}", both(&taken));
    assert_eq!(mail.mails()[0]["tls"], false);
}

#[test]
fn a_mail_that_was_refused_for_now_arrives_with_a_later_run() {
    let sandbox = Sandbox::new();
    let Some(mail) = Mail::start(&sandbox, "starttls") else {
        return;
    };
    configure(&sandbox, &mail.channel("starttls", "hush-hush"));
    sandbox.write("mail/ill", "");
    let first = ended(&mut run(&sandbox, &["--name", "one"], "exit 3"));
    assert_eq!(first.status.code(), Some(3), "{}", first.stderr);
    assert!(mail.mails().is_empty());
    assert_eq!(letters(&sandbox)[0]["state"], "dead", "{}", first.stderr);
    fs::remove_file(mail.folder.join("ill")).unwrap();
    ended(&mut run(&sandbox, &["--name", "two"], "exit 0"));
    let texts: Vec<String> = mail
        .mails()
        .iter()
        .map(|it| it["text"].to_string())
        .collect();
    let texts = texts.concat();
    assert_eq!(texts.matches("one: the job failed").count(), 1, "{texts}");
    assert_eq!(texts.matches("two: the job is done").count(), 1, "{texts}");
    assert!(letters(&sandbox).is_empty());
}
