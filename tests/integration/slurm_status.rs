//! `catrain status` and `catrain report` of jobs of Slurm's: what a `squeue` that stands in for it says,
//! what was submitted and what is recorded come together.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use catrain::clock::{monotonic, utc_now};
use catrain::slurm::job::{JobId, TimeLimit};
use catrain::slurm::record::{FORMAT, Submitted, write_run};
use catrain::words::time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::supervised::both;

const V1: &str = include_str!("../fixtures/ledger_v1.jsonl");

/// A sandbox with a `squeue` in its path that answers with the lines given to it and counts how often it
/// was asked.
struct Cluster {
    sandbox: Sandbox,
}

impl Cluster {
    fn new() -> Self {
        let cluster = Self {
            sandbox: Sandbox::new(),
        };
        let asked = cluster.sandbox.path("asked");
        let answer = cluster.sandbox.path("answer");
        cluster.says("");
        cluster.squeue(&format!(
            "echo \"$@\" >> {}\ncat {}",
            asked.display(),
            answer.display()
        ));
        cluster
    }

    fn squeue(&self, script: &str) {
        let path = self
            .sandbox
            .write("tools/squeue", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn says(&self, lines: &str) {
        self.sandbox.write("answer", lines);
    }

    fn asked(&self) -> usize {
        self.sandbox.read("asked").lines().count()
    }

    fn state(&self) -> PathBuf {
        self.sandbox.state_dir()
    }

    fn catrain(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.catrain(arguments);
        let tools = self.sandbox.path("tools");
        let old = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(tools).chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.catrain(arguments).output().unwrap();
        assert!(output.status.success(), "{}", both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.said(arguments)).unwrap()
    }

    /// Something was submitted an hour ago, to start at this time.
    fn submitted(&self, job: u64, begin: Timestamp) -> Submitted {
        let record = Submitted {
            format: FORMAT.to_owned(),
            cluster: "c1".to_owned(),
            job,
            array: None,
            name: "train".to_owned(),
            script: "train.sh".to_owned(),
            directory: "/home/a".into(),
            submitted_at: utc_now() - SignedDuration::from_hours(1),
            options: Vec::new(),
            zone: "DE".to_owned(),
            duration_s: Some(3600.0),
            deadline: None,
            limit: TimeLimit::Of(Duration::from_secs(7200)),
            begin,
            latest: Some(begin + SignedDuration::from_hours(3)),
            planned_g_per_kwh: Some(212.0),
            now_g_per_kwh: Some(322.0),
            pause_with: "requeue".to_owned(),
            moves: Vec::new(),
            replay: false,
            watch: Default::default(),
        };
        record.write(&self.state()).unwrap();
        record
    }

    /// The record of a run, its first `lines` and these entries behind.
    fn recorded(&self, run: &str, lines: usize, slurm: &Value, host: &str, more: &[Value]) {
        let mut text = String::new();
        let mut last = json!(null);
        for line in V1.lines().take(lines) {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            if entry["entry"] == "begin" {
                entry["run"] = run.into();
                entry["host"] = host.into();
                entry["slurm"] = slurm.clone();
            }
            text.push_str(&format!("{entry}\n"));
            last = entry;
        }
        for (nth, what) in more.iter().enumerate() {
            let mut entry = what.clone();
            entry["seq"] = (lines + nth).into();
            entry["at"] = utc_now().to_string().into();
            entry["elapsed_s"] = last["elapsed_s"].clone();
            text.push_str(&format!("{entry}\n"));
        }
        self.sandbox
            .write(&format!("state/runs/{run}/ledger.jsonl"), &text);
    }
}

fn soon() -> Timestamp {
    let now = utc_now();
    Timestamp::from_second(now.as_second() + 40 * 60).unwrap()
}

/// A line of the queue: job, array, task, state, reason, when it may start, restarts, nodes.
#[expect(clippy::too_many_arguments, reason = "a line has so many fields")]
fn line(
    number: u64,
    job: u64,
    task: &str,
    state: &str,
    reason: &str,
    eligible: Timestamp,
    restarts: u32,
    nodes: &str,
) -> String {
    let submitted = utc_now().as_second() - 3600;
    let eligible = eligible.as_second();
    format!(
        "{number};{job};{task};{state};{reason};{submitted};{eligible};{eligible};NONE;2:00:00;{restarts};2;{nodes};main;\n"
    )
}

fn slurm(job: u64, task: Option<u32>, node: &str, follows: Option<&str>) -> Value {
    json!({
        "cluster": "c1", "job": job, "task": task, "node": node, "nodes": 2, "follows": follows,
    })
}

fn word(at: Timestamp) -> String {
    time(at, utc_now(), &TimeZone::UTC)
}

#[test]
fn nobody_is_asked_where_nothing_was_submitted() {
    let cluster = Cluster::new();
    cluster.recorded("r7k2", 8, &Value::Null, "elsewhere", &[]);
    let shown = cluster.said(&["status"]);
    assert!(shown.contains("r7k2"), "{shown}");
    assert!(!shown.contains("JOB"), "{shown}");
    assert_eq!(cluster.asked(), 0);
}

#[test]
fn one_question_tells_of_all_jobs_that_wait_run_or_are_gone() {
    let cluster = Cluster::new();
    let begin = soon();
    for job in [17, 18, 19, 20, 21, 22, 23] {
        cluster.submitted(job, begin);
    }
    let mut queue = String::new();
    queue += &line(17, 17, "N/A", "PENDING", "BeginTime", begin, 0, "");
    for task in ["0", "1", "2"] {
        queue += &line(18, 18, task, "PENDING", "Resources", utc_now(), 0, "");
    }
    queue += &line(30, 18, "3", "PENDING", "JobHeldUser", utc_now(), 0, "");
    queue += &line(19, 19, "N/A", "CANCELLED", "None", utc_now(), 0, "");
    // 20 has started and has its run; 21 has come to its end; 22 is known no more.
    queue += &line(20, 20, "N/A", "RUNNING", "None", utc_now(), 1, "n[1-2]");
    queue += &line(21, 21, "N/A", "COMPLETED", "None", utc_now(), 0, "n1");
    // Another job of that number, submitted a day before what was submitted here.
    let before = (utc_now().as_second() - 25 * 3600).to_string();
    let other = line(23, 23, "N/A", "RUNNING", "None", utc_now(), 0, "n1");
    let fields: Vec<&str> = other.split(';').collect();
    queue += &other.replacen(fields[5], &before, 1);
    cluster.says(&queue);
    cluster.recorded("r7k2", 8, &slurm(20, None, "n1", None), "elsewhere", &[]);
    let follows = slurm(20, None, "n2", Some("r7k2"));
    cluster.recorded("m3q9", 8, &follows, "another", &[]);
    cluster.recorded(
        "q2w3",
        usize::MAX,
        &slurm(21, None, "n1", None),
        "elsewhere",
        &[],
    );
    let id = JobId {
        job: 21,
        task: None,
    };
    let began = "2026-11-28T10:00:00Z".parse().unwrap();
    write_run(&cluster.state(), "c1", id, "q2w3", began).unwrap();
    let shown = cluster.said(&["status"]);
    let row = |id: &str| {
        let starts = |line: &&str| line.split_whitespace().next() == Some(id);
        shown
            .lines()
            .find(starts)
            .unwrap_or_else(|| panic!("{id} in {shown}"))
    };
    assert!(
        row("slurm:17").contains(&format!("queued until {} (plan)", word(begin))),
        "{shown}"
    );
    assert!(
        row("slurm:18").contains("18, 3 tasks, 2 nodes  queued: Resources"),
        "{shown}"
    );
    assert!(row("slurm:18_3").contains("held by you"), "{shown}");
    assert!(row("slurm:19").contains("cancelled"), "{shown}");
    assert!(row("r7k2").contains("20, 2 nodes"), "{shown}");
    assert!(row("r7k2").contains("running on n1"), "{shown}");
    assert!(
        row("slurm:22").contains("gone: not in Slurm's queue here"),
        "{shown}"
    );
    assert!(row("slurm:23").contains("gone: not in"), "{shown}");
    for id in ["slurm:20", "slurm:21", "q2w3", "m3q9"] {
        assert!(!shown.contains(id), "{id} in {shown}");
    }
    assert_eq!(cluster.asked(), 1);
}

#[test]
fn a_run_that_was_requeued_waits_and_is_not_dead() {
    let cluster = Cluster::new();
    let begin = soon();
    cluster.submitted(17, begin);
    let requeued = json!({ "entry": "requeued", "begin": begin.to_string(), "why": "the plan" });
    // It was on this host, and nothing of it is left here.
    let host = nix::unistd::gethostname().unwrap();
    let host = host.to_str().unwrap();
    cluster.recorded("r7k2", 12, &slurm(17, None, "n1", None), host, &[requeued]);
    cluster.says(&line(17, 17, "N/A", "PENDING", "BeginTime", begin, 1, ""));
    let shown = cluster.said(&["status", "r7k2"]);
    let expected = format!("r7k2  finetune: requeued until {} (plan)", word(begin));
    assert!(shown.starts_with(&expected), "{shown}");
    assert!(
        shown.contains("17, 2 nodes on c1, node n1, 1 restart"),
        "{shown}"
    );
    assert!(shown.contains("held by the plan 6 h 40 m"), "{shown}");
    let json = &cluster.json(&["status", "r7k2", "--json"])["runs"][0];
    assert_eq!(json["state"], "requeued");
    assert_eq!(json["slurm"]["restarts"], 1);
    assert_eq!(json["slurm"]["pause_with"], "requeue");
    assert_eq!(json["slurm"]["state"], "PENDING");
    // Slurm has given it nodes, and its supervisor is not up yet.
    cluster.says(&line(17, 17, "N/A", "RUNNING", "None", begin, 1, "n2"));
    let shown = cluster.said(&["status", "r7k2"]);
    assert!(
        shown.starts_with("r7k2  finetune: starting on n2\n"),
        "{shown}"
    );
    cluster.says(&line(17, 17, "N/A", "CANCELLED", "None", begin, 1, ""));
    let shown = cluster.said(&["status", "r7k2"]);
    assert!(
        shown.contains("cancelled while it waited in the queue"),
        "{shown}"
    );
    for command in ["continue", "attach"] {
        let refused = cluster.catrain(&[command, "r7k2"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", both(&refused));
        let words = String::from_utf8_lossy(&refused.stderr);
        assert!(words.contains("r7k2 waits in Slurm's queue"), "{words}");
    }
}

#[test]
fn a_job_is_told_whole_by_its_number() {
    let cluster = Cluster::new();
    let begin = soon();
    let mut record = cluster.submitted(17, begin - SignedDuration::from_hours(1));
    record.array = Some("3-4".to_owned());
    record.moved(utc_now(), begin, "the forecast changed");
    record.write(&cluster.state()).unwrap();
    let queue = line(40, 17, "3", "RUNNING", "None", utc_now(), 0, "n[1-2]")
        + &line(17, 17, "4", "PENDING", "BeginTime", begin, 0, "");
    cluster.says(&queue);
    cluster.recorded("r7k2", 8, &slurm(17, Some(3), "n1", None), "elsewhere", &[]);
    let follows = slurm(17, Some(3), "n2", Some("r7k2"));
    cluster.recorded("m3q9", 8, &follows, "another", &[]);
    let shown = cluster.said(&["status", "slurm:17"]);
    let until = word(begin);
    assert!(
        shown.contains(&format!("slurm:17_4  train: queued until {until} (plan)")),
        "{shown}"
    );
    assert!(
        shown.contains("212 g/kWh instead of 322; paused with requeue"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("→ {until}: the forecast changed")),
        "{shown}"
    );
    assert!(shown.contains("r7k2  finetune: running on n1"), "{shown}");
    assert!(shown.contains("m3q9  finetune: running on n2"), "{shown}");
    assert!(shown.contains("node n2, follows r7k2"), "{shown}");
    let one = cluster.json(&["status", "slurm:17_3", "--json"]);
    let ids: Vec<&Value> = one["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["id"])
        .collect();
    assert_eq!(ids, ["r7k2", "m3q9"]);
    assert_eq!(one["runs"][0]["slurm"]["held_by_plan_s"], 24000.0);
    let unknown = cluster.catrain(&["status", "slurm:99"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    let wrong = cluster.catrain(&["status", "slurm:x"]).output().unwrap();
    assert!(
        both(&wrong).contains("`x` is no job of Slurm's"),
        "{}",
        both(&wrong)
    );
}

#[test]
fn slurm_that_is_missing_or_silent_costs_a_line_and_two_seconds() {
    let cluster = Cluster::new();
    let begin = soon();
    cluster.submitted(17, begin);
    let planned = format!("submitted, to start at {}", word(begin));
    let warned = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", both(&output));
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains(&planned), "{shown}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(words.lines().count(), 1, "{words}");
        words
    };
    cluster.squeue("exec sleep 600");
    let began = monotonic();
    let words = warned(&mut cluster.catrain(&["status"]));
    assert!(monotonic() - began < Duration::from_secs(10));
    assert!(
        words.contains("`squeue` gave no answer within 2 s"),
        "{words}"
    );
    cluster.squeue("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1");
    let words = warned(&mut cluster.catrain(&["status"]));
    assert!(
        words.contains("Unable to contact slurm controller"),
        "{words}"
    );
    let json = cluster.json(&["status", "--json"]);
    assert_eq!(json["runs"][0]["state"], "submitted");
    assert!(
        json["slurm_trouble"]
            .as_str()
            .unwrap()
            .contains("Unable to contact")
    );
    // A place where there is no Slurm at all.
    let bare = cluster.sandbox.path("bare");
    fs::create_dir(&bare).unwrap();
    symlink("/usr/bin/env", bare.join("env")).unwrap();
    let words = warned(cluster.catrain(&["status"]).env("PATH", &bare));
    assert!(words.contains("there is no `squeue` here"), "{words}");
}

#[test]
fn a_report_takes_a_job_an_array_and_a_task() {
    let cluster = Cluster::new();
    let all = usize::MAX;
    cluster.recorded("r7k2", all, &slurm(17, Some(3), "n1", None), "n1", &[]);
    let follows = slurm(17, Some(3), "n2", Some("r7k2"));
    cluster.recorded("m3q9", all, &follows, "n2", &[]);
    cluster.recorded("q2w3", all, &slurm(17, Some(4), "n1", None), "n3", &[]);
    cluster.recorded("z9z9", all, &Value::Null, "n4", &[]);
    let totals = |what: &str| {
        let report = cluster.json(&["report", what, "--format", "json"]);
        (
            report["runs"].as_array().unwrap().len(),
            report["totals"].clone(),
        )
    };
    let (array, of_array) = totals("slurm:17");
    let (task, of_task) = totals("slurm:17_3");
    assert_eq!((array, task), (3, 2));
    // Asked for the run that leads alone, what all nodes come to stands beside its own.
    let (one, own) = totals("r7k2");
    assert_eq!(one, 1);
    let leader = cluster.json(&["report", "r7k2", "--format", "json"]);
    let nodes = &leader["runs"][0]["nodes"];
    assert_eq!(nodes["energy_kwh"], of_task["energy_kwh"]);
    assert_eq!(nodes["emissions"], of_task["emissions"]);
    let avoided = |totals: &Value| totals["emissions"][0]["avoided_g"].as_f64().unwrap();
    assert!((avoided(&of_task) - 2.0 * avoided(&own)).abs() < 1e-6);
    assert!((avoided(&of_array) - 3.0 * avoided(&own)).abs() < 1e-6);
    let text = cluster.said(&["report", "slurm:17_3"]);
    assert_eq!(text.matches("  finetune  DE").count(), 1, "{text}");
    assert!(text.contains("  n2 m3q9  "), "{text}");
    let since = ["report", "--since", "2026-11-01", "--by", "job"];
    let month = cluster.said(&since);
    assert!(month.contains("\n  slurm:17 "), "{month}");
    assert!(month.contains("\n  (no job) "), "{month}");
    let none = cluster.catrain(&["report", "slurm:99"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(
        both(&none).contains("no run of the job 99 of Slurm's"),
        "{}",
        both(&none)
    );
    assert_eq!(cluster.asked(), 0);
}
