//! What `catrain doctor` says of a real Slurm, to a user outside of a job and in jobs of all kinds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster::{Account, Cluster, PATIENCE};
use crate::support::{SOON, wait_until};

/// Checks that are Slurm's.
const CHECKS: [&str; 3] = ["slurm", "shared directory", "node clocks"];
const DOCTOR: &str = "catrain doctor --json -z DE";

/// What is said of Slurm: outcome, words and fix, by check.
fn told(text: &str) -> BTreeMap<String, [String; 3]> {
    let document: Value = serde_json::from_str(text).unwrap_or_else(|it| panic!("{it}: {text}"));
    let checks = document["checks"].as_array().unwrap().iter();
    let word = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    checks
        .filter(|check| CHECKS.contains(&check["name"].as_str().unwrap()))
        .map(|check| {
            let told = ["outcome", "found", "fix"].map(|name| word(check, name));
            (word(check, "name"), told)
        })
        .collect()
}

/// The same, of a job that ends with it.
#[track_caller]
fn told_in(account: &Account<'_>, options: &[&str], lines: &str) -> BTreeMap<String, [String; 3]> {
    let job = account.submit(options, &format!("{lines} 2>/dev/null || true"));
    account.wait_for_state(job, "COMPLETED");
    told(&account.output(job))
}

#[test]
fn a_user_outside_of_a_job_is_told_of_the_cluster() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    let mut doctor = account.command("sh");
    let output = doctor.args(["-c", DOCTOR]).output().unwrap();
    let mut told = told(&String::from_utf8(output.stdout).unwrap());
    // The cluster of the tests kills sooner than usual.
    let [outcome, found, fix] = told.remove("slurm").unwrap();
    assert_eq!(outcome, "could_be_better");
    assert!(
        found.starts_with("Slurm sends KILL 5 s after TERM"),
        "{found}"
    );
    assert!(fix.starts_with("KillWait=30 in slurm.conf"), "{fix}");
    // All of its nodes are this host, but nobody can know.
    assert!(told.contains_key("shared directory"));
    assert!(!told.contains_key("node clocks"));

    let mut modest = account.command("sh");
    modest.args(["-c", DOCTOR]);
    let config = "[run]\ngrace = \"5s\"\n";
    account.sandbox.write("config/config.toml", config);
    let output = modest.output().unwrap();
    let [outcome, found, _] = told_of(&output.stdout, "slurm");
    assert_eq!(outcome, "ok", "{found}");
    for part in [
        "Slurm ",
        "jobs may be requeued",
        "no accounting",
        "5 s until KILL",
        "proctrack/linuxproc",
        "squeue speaks JSON",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
}

fn told_of(text: &[u8], check: &str) -> [String; 3] {
    told(std::str::from_utf8(text).unwrap())
        .remove(check)
        .unwrap()
}

#[test]
fn a_job_is_told_whether_it_may_be_requeued_and_what_makes_it_so() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    let config = "[run]\ngrace = \"5s\"\n";
    account.sandbox.write("config/config.toml", config);
    let mut may = told_in(&account, &[], DOCTOR);
    let [outcome, found, _] = may.remove("slurm").unwrap();
    assert!(
        outcome == "ok" && found.contains(" may be requeued"),
        "{found}"
    );

    // The fix, as it stands, by the owner, makes it so.
    let go = account.sandbox.path("home/go");
    let lines = format!(
        "{DOCTOR} >first 2>/dev/null; touch asked; until [ -e {} ]; do sleep 0.1; done; {DOCTOR}",
        go.display()
    );
    let job = account.submit(&["--no-requeue"], &lines);
    let asked = account.sandbox.path("home/asked");
    wait_until("the first answer", PATIENCE, || asked.exists());
    let first = account.sandbox.read("home/first");
    let [outcome, found, fix] = told(&first).remove("slurm").unwrap();
    assert_eq!(outcome, "could_be_better", "{found}");
    assert_eq!(fix, format!("scontrol update JobId={job} Requeue=1"));
    account.said("sh", &["-c", &fix]);
    std::fs::write(go, "").unwrap();
    account.wait_for_job(job, "it ends", |job| job.has_ended());
    let [outcome, found, _] = told(&account.output(job)).remove("slurm").unwrap();
    assert_eq!(outcome, "ok", "{found}");
}

#[test]
fn a_job_without_a_script_is_told_that_it_cannot_be_requeued() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    let config = "[run]\ngrace = \"5s\"\n";
    account.sandbox.write("config/config.toml", config);
    let mut alone = account.command("srun");
    let output = alone.args(["sh", "-c", DOCTOR]).output().unwrap();
    let [outcome, found, fix] = told_of(&output.stdout, "slurm");
    assert_eq!(outcome, "could_be_better", "{found}");
    assert!(fix.starts_with("submit it with sbatch"), "{fix}");
}

#[test]
fn the_clocks_of_a_jobs_nodes_are_compared_from_its_script_and_from_its_steps() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    let step = format!("srun -N1 -n1 {DOCTOR}");
    for lines in [DOCTOR, &step] {
        let mut told = told_in(&account, &["-N3"], lines);
        let [outcome, found, _] = told.remove("node clocks").unwrap();
        assert_eq!(
            (outcome.as_str(), found.as_str()),
            ("ok", "those of 3 nodes agree"),
            "{lines}"
        );
        assert!(told.contains_key("shared directory"));
    }
}

/// Of the long help:
/// > ends within about five seconds whatever hangs
#[test]
fn a_controller_that_is_down_is_told_and_not_waited_for() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    let account = cluster.account();
    cluster.stop_controller();
    let begun = catrain::clock::monotonic();
    let mut doctor = account.command("sh");
    let output = doctor.args(["-c", DOCTOR]).output().unwrap();
    let took = catrain::clock::monotonic() - begun;
    let [outcome, found, fix] = told_of(&output.stdout, "slurm");
    assert_eq!(outcome, "could_be_better", "{found}");
    assert!(found.contains("its controller cannot be asked"), "{found}");
    assert!(fix.starts_with("scontrol ping"), "{fix}");
    // A busy machine takes longer to start and to end a process, not to wait.
    assert!(took < SOON, "{took:?}");
    cluster.start_controller();
    let output = doctor.output().unwrap();
    let [_, found, _] = told_of(&output.stdout, "slurm");
    assert!(!found.contains("cannot be asked"), "{found}");
}
