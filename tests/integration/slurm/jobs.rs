//! Whole jobs: submitted for a clean hour, stopped and continued on all nodes together, put back into the queue
//! and taken up again, and what befalls them meanwhile. An hour of the day passes in seven and a half seconds.

use std::collections::BTreeSet;
use std::time::Duration;

use catrain::ledger::entry::{Action, Cause, Entry, Part, What};
use catrain::ledger::{Ledger, ledger_path};
use serde_json::Value;

use super::cluster::{Account, Cluster, PATIENCE, watchdog_of};
use crate::support::process::{self, Pid};
use crate::support::{wait_for, wait_until};

/// Seconds of the day that pass in one of ours.
const SPEED: &str = "480";
/// What of a day a job needs to be through, and a queue that is slow to start it again.
const LONG: Duration = Duration::from_secs(150);
/// Epochs of a job that lasts for some hours of the day.
const EPOCHS: &str = "24";

/// Hours of a day, each clean (`.`) or dirty (`#`); those after are clean.
fn day(account: &Account<'_>, hours: &str) -> String {
    let start: jiff::Timestamp = "2021-11-09T00:00:00Z".parse().unwrap();
    let mut text = "issued_at,target_time,forecast,actual\n".to_owned();
    for (hour, sign) in hours
        .chars()
        .chain(std::iter::repeat('.'))
        .take(96)
        .enumerate()
    {
        let at = start + jiff::SignedDuration::from_hours(hour as i64);
        let grams = if sign == '#' { 500 } else { 100 };
        text.push_str(&format!("{start},{at},{grams},{grams}\n"));
    }
    let path = account.sandbox.write("day.csv", &text);
    format!("{}@{start}", path.display())
}

/// The options of a run that waits and pauses by that day.
fn options(day: &str, pause_with: &str) -> Vec<String> {
    let words =
        "--policy threshold --threshold 200 --min-run 1m --min-pause 5m -d 6h --max-delay 90h";
    let mut options: Vec<String> = words.split(' ').map(str::to_owned).collect();
    options.extend(
        [
            "--replay",
            day,
            "--speed",
            SPEED,
            "--pause-with",
            pause_with,
        ]
        .map(str::to_owned),
    );
    options
}

/// The training job; `where_to` is a directory for its checkpoints.
fn training(cluster: &Cluster, where_to: Option<&str>) -> String {
    let saves = where_to.map_or(String::new(), |to| format!(" --checkpoint-dir {to}"));
    let program = cluster.fixture("train.py");
    format!("python3 {program} --epochs {EPOCHS}{saves}")
}

/// The hash of its weights, undisturbed.
fn undisturbed(account: &Account<'_>, cluster: &Cluster) -> String {
    let program = cluster.fixture("train.py");
    let told = account.said("python3", &[&program, "--epochs", EPOCHS, "--pace", "0"]);
    hashes(&told).pop_first().expect("it tells its hash")
}

fn hashes(output: &str) -> BTreeSet<String> {
    let lines = output.lines();
    lines
        .filter_map(|line| line.split_once("final weights sha256 "))
        .map(|(_, hash)| hash.trim().to_owned())
        .collect()
}

/// The processes of the training, on all nodes.
fn trainers(account: &Account<'_>, job: u64) -> Vec<Pid> {
    let mut all = account.processes(job);
    all.retain(|&pid| {
        let words = process::arguments_of(pid);
        let is_python = words.first().is_some_and(|word| word.ends_with("python3"));
        is_python && words.get(1).is_some_and(|word| word.ends_with("train.py"))
    });
    all
}

fn await_trainers(account: &Account<'_>, job: u64, many: usize) -> Vec<Pid> {
    wait_for("the training runs on each node", LONG, || {
        let all = trainers(account, job);
        (all.len() == many).then_some(all)
    })
}

fn await_stop(pids: &[Pid]) {
    wait_until("all nodes stand still", LONG, || {
        pids.iter().all(|&pid| process::is_stopped(pid))
    });
}

fn await_going_on(pids: &[Pid]) {
    wait_until("all nodes go on", LONG, || {
        pids.iter().all(|&pid| !process::is_stopped(pid))
    });
}

#[track_caller]
fn await_end(account: &Account<'_>, job: u64, state: &str) {
    let ended = wait_for("the job ends", 2 * LONG, || {
        let job = account.jobs(job).into_iter().next()?;
        job.has_ended().then_some(job)
    });
    assert_eq!(ended.state, state, "{}", account.output(job));
}

/// The records of a job's runs, that of the node that leads first.
fn records(account: &Account<'_>, job: u64) -> Vec<(String, Ledger)> {
    let state = account.sandbox.state_dir();
    let ids = std::fs::read_dir(state.join("runs")).into_iter().flatten();
    let ids = ids.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut all: Vec<(String, Ledger)> = ids
        .filter_map(|id| {
            // It is another user's: read as text.
            let text = std::fs::read_to_string(ledger_path(&state, &id)).ok()?;
            let entries = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let ledger = Ledger::from_entries(entries.collect());
            let (_, begin) = ledger.begin()?;
            let is_of = begin
                .slurm
                .as_ref()
                .is_some_and(|slurm| slurm.id.job == job);
            is_of.then_some((id, ledger))
        })
        .collect();
    all.sort_by_key(|(id, ledger)| {
        (
            ledger.begin().is_some_and(|(_, it)| it.follows()),
            id.clone(),
        )
    });
    all
}

fn leader(account: &Account<'_>, job: u64) -> (String, Ledger) {
    let all = records(account, job);
    let first = all.into_iter().next();
    first.unwrap_or_else(|| panic!("job {job} has a record: {}", account.output(job)))
}

fn has(ledger: &Ledger, is: impl Fn(&What) -> bool) -> bool {
    ledger.entries.iter().any(|entry| is(&entry.what))
}

fn warned(ledger: &Ledger, words: &str) -> bool {
    has(
        ledger,
        |what| matches!(what, What::Warning { text } if text.contains(words)),
    )
}

fn ended(ledger: &Ledger) -> Option<&Entry> {
    let mut entries = ledger.entries.iter();
    entries.find(|entry| matches!(entry.what, What::End { .. }))
}

fn seconds(ledger: &Ledger, part: Part, cause: Cause) -> f64 {
    let segments = ledger.entries.iter().filter_map(Entry::segment);
    segments
        .filter(|one| one.part == part && one.causes.contains(&cause))
        .map(|one| one.to_s - one.from_s)
        .sum()
}

/// Submits by `catrain slurm submit`; gives what it says of the job.
fn submit(account: &Account<'_>, options: &[String], sbatch: &[&str], script: &str) -> Value {
    let script = account.sandbox.write("submitted.sh", script);
    let mut command = account.command("catrain");
    command.args(["slurm", "submit", "--json"]).args(options);
    command.arg("--").args(sbatch).arg(script);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    account.remember(told["job"].as_u64().unwrap());
    told
}

#[test]
fn a_submitted_job_begins_on_plan_stops_on_all_nodes_together_and_ends_as_undisturbed() {
    let Some(cluster) = Cluster::start(3) else {
        return;
    };
    let account = cluster.account();
    let expected = undisturbed(&account, &cluster);
    let day = day(&account, "#.##.");
    let home = account.sandbox.home().display().to_string();
    let script = format!(
        "#!/bin/sh\n#SBATCH -N3\n#SBATCH --output={home}/job.out\n\
         srun sh -c 'exec {}'\n",
        training(&cluster, Some(&format!("{home}/saved-$SLURM_PROCID")))
    );
    let told = submit(&account, &options(&day, "stop"), &[], &script);
    let job = told["job"].as_u64().unwrap();
    let waiting = account.wait_for_state(job, "PENDING");
    assert_eq!(waiting.reason.as_deref(), Some("BeginTime"), "{waiting:?}");
    assert!(
        account.processes(job).is_empty(),
        "it waits without a process"
    );
    let status = account.said("catrain", &["status"]);
    assert!(status.contains("queued until"), "{status}");

    let pids = await_trainers(&account, job, 3);
    await_stop(&pids);
    // Whatever a pause says, it says of all nodes.
    let (run, _) = leader(&account, job);
    wait_until("the pause is recorded", PATIENCE, || {
        let (_, ledger) = leader(&account, job);
        has(
            &ledger,
            |what| matches!(what, What::Confirmed { action: Action::Pause, processes, .. } if *processes >= 3),
        )
    });
    await_going_on(&pids);
    await_end(&account, job, "COMPLETED");
    let output = account.sandbox.read("home/job.out");
    assert_eq!(hashes(&output), BTreeSet::from([expected]), "{output}");

    let records = records(&account, job);
    assert_eq!(
        records[0].0, run,
        "one run leads, from the beginning to the end"
    );
    let nodes: BTreeSet<String> = (records.iter())
        .map(|(_, ledger)| ledger.begin().unwrap().1.slurm.clone().unwrap().node)
        .collect();
    assert_eq!(nodes, ["n1", "n2", "n3"].map(str::to_owned).into());
    let (_, ledger) = &records[0];
    let held = seconds(ledger, Part::Held, Cause::Carbon);
    // Slurm counts in whole seconds, each of which is eight minutes of this day.
    assert!((2600.0..7200.0).contains(&held), "{held}");
    assert!(ended(ledger).is_some());
    for (id, ledger) in &records[1..] {
        let (_, begin) = ledger.begin().unwrap();
        assert_eq!(
            begin.slurm.as_ref().unwrap().follows.as_deref(),
            Some(run.as_str())
        );
        assert!(seconds(ledger, Part::Paused, Cause::Leader) > 0.0, "{id}");
    }
    let report = account.said("catrain", &["report", &format!("slurm:{job}")]);
    for node in ["n1", "n2", "n3"] {
        assert!(report.contains(node), "{report}");
    }
    let left = account.sandbox.state_dir().join("slurm/nodes");
    let left: Vec<_> = std::fs::read_dir(left)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(left.is_empty(), "the nodes leave nothing behind: {left:?}");
}

#[test]
fn a_job_that_is_requeued_twice_is_one_run_and_ends_as_undisturbed() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    let account = cluster.account();
    let expected = undisturbed(&account, &cluster);
    let day = day(&account, ".##.##.");
    let home = account.sandbox.home().display().to_string();
    let mut options = options(&day, "requeue");
    options.extend([
        "--checkpoint-path".to_owned(),
        format!("{home}/saved/*.json"),
    ]);
    let script = format!(
        "#!/bin/sh\n#SBATCH --output={home}/job.out --open-mode=append\nexec {}\n",
        training(&cluster, Some(&format!("{home}/saved")))
    );
    let told = submit(&account, &options, &[], &script);
    assert_eq!(told["pause_with"], "requeue");
    let job = told["job"].as_u64().unwrap();
    for restarts in 1..=2 {
        let what = format!("requeue {restarts}");
        wait_for(&what, LONG, || {
            let job = account.jobs(job).into_iter().next()?;
            (job.restarts >= restarts).then_some(())
        });
        let (run, _) = leader(&account, job);
        wait_until("nobody of it is left while it waits", PATIENCE, || {
            let is_pending = account
                .jobs(job)
                .iter()
                .all(catrain::slurm::job::Job::is_pending);
            !is_pending || account.processes(job).is_empty()
        });
        let status = account.said("catrain", &["status"]);
        assert!(status.contains(&run), "{status}");
    }
    await_end(&account, job, "COMPLETED");
    let output = account.sandbox.read("home/job.out");
    assert_eq!(hashes(&output), BTreeSet::from([expected]), "{output}");
    assert!(output.contains("resumed at step"), "{output}");

    let records = records(&account, job);
    assert_eq!(records.len(), 1, "one run: {output}");
    let (run, ledger) = &records[0];
    let count = |is: &dyn Fn(&What) -> bool| {
        let entries = ledger.entries.iter();
        entries.filter(|entry| is(&entry.what)).count()
    };
    assert_eq!(
        count(&|what| matches!(what, What::Requeued { .. })),
        2,
        "{output}"
    );
    assert_eq!(count(&|what| matches!(what, What::TakenUp { .. })), 2);
    assert_eq!(count(&|what| matches!(what, What::Begin(_))), 1);
    assert!(seconds(ledger, Part::Paused, Cause::Carbon) > 3600.0);
    assert!(seconds(ledger, Part::Paused, Cause::Queue) > 0.0);
    // The segments tile all of it, requeued or not.
    let segments: Vec<_> = ledger.entries.iter().filter_map(Entry::segment).collect();
    for pair in segments.windows(2) {
        let gap = pair[1].from_s - pair[0].to_s;
        assert!(
            gap.abs() < 1.0,
            "{gap} s between {:?} and {:?}",
            pair[0],
            pair[1]
        );
    }
    let verified = account.said("catrain", &["report", run, "--verify"]);
    assert!(verified.contains("matches its recorded head"), "{verified}");
}

/// A job of three nodes that `srun catrain run` supervises, stopped by the plan for most of a day.
fn stopped<'a>(cluster: &'a Cluster, account: &Account<'a>, dirty: usize) -> (u64, Vec<Pid>) {
    let day = day(account, &format!(".{}", "#".repeat(dirty)));
    let options = options(&day, "stop").join(" ");
    let lines = format!("srun catrain run {options} -- {}", training(cluster, None));
    let job = account.submit(&["-N3"], &lines);
    let pids = await_trainers(account, job, 3);
    await_stop(&pids);
    wait_until("the pause is recorded", PATIENCE, || {
        let (_, ledger) = leader(account, job);
        has(&ledger, |what| {
            matches!(
                what,
                What::Confirmed {
                    action: Action::Pause,
                    ..
                }
            )
        })
    });
    (job, pids)
}

/// The supervisor on a node.
fn supervisor_on(account: &Account<'_>, job: u64, node: &str) -> Pid {
    let all = account.supervisors(job);
    let on = |pid: &Pid| {
        process::env_of(*pid)
            .get("SLURMD_NODENAME")
            .is_some_and(|it| it == node)
    };
    let its = |pid: &Pid| process::env_of(*pid).contains_key("SLURM_STEP_ID");
    let found = all.into_iter().find(|pid| on(pid) && its(pid));
    found.unwrap_or_else(|| panic!("{node} has a supervisor"))
}

#[test]
fn who_loses_a_node_or_its_leader_runs_on() {
    let Some(cluster) = Cluster::start(3) else {
        return;
    };
    // A follower.
    let account = cluster.account();
    let (job, pids) = stopped(&cluster, &account, 40);
    let killed = supervisor_on(&account, job, "n2");
    assert!(watchdog_of(killed).is_some());
    process::kill(killed);
    await_going_on(
        &pids
            .iter()
            .copied()
            .filter(|&pid| process::is_alive(pid))
            .collect::<Vec<_>>(),
    );
    wait_until(
        "it stands in the record of the node that leads",
        PATIENCE,
        || warned(&leader(&account, job).1, "runs on"),
    );
    account.said("scancel", &[&job.to_string()]);
    await_end(&account, job, "CANCELLED");
    // The node that leads.
    let account = cluster.account();
    let (job, pids) = stopped(&cluster, &account, 40);
    process::kill(supervisor_on(&account, job, "n1"));
    await_going_on(
        &pids
            .iter()
            .copied()
            .filter(|&pid| process::is_alive(pid))
            .collect::<Vec<_>>(),
    );
    wait_until("each node that follows says so", PATIENCE, || {
        let all = records(&account, job);
        let mut followers = all
            .iter()
            .filter(|(_, it)| it.begin().is_some_and(|(_, it)| it.follows()));
        followers
            .all(|(_, ledger)| warned(ledger, "has not been heard of") || ended(ledger).is_some())
    });
    account.said("scancel", &[&job.to_string()]);
    await_end(&account, job, "CANCELLED");
    assert!(trainers(&account, job).is_empty());
}

#[test]
fn without_the_directory_that_they_share_all_nodes_run_on() {
    let Some(cluster) = Cluster::start(3) else {
        return;
    };
    let account = cluster.account();
    let (job, pids) = stopped(&cluster, &account, 40);
    // Gone, and something else stands in its place.
    let shared = account.sandbox.state_dir().join("slurm/nodes");
    std::fs::rename(&shared, shared.with_file_name("gone")).unwrap();
    std::fs::write(&shared, "").unwrap();
    await_going_on(&pids);
    wait_until("the node that leads says why", PATIENCE, || {
        warned(&leader(&account, job).1, "runs on")
    });
    account.said("scancel", &[&job.to_string()]);
    await_end(&account, job, "CANCELLED");
}

#[test]
fn a_stopped_job_lives_through_what_befalls_the_cluster_and_ends_when_its_owner_says_so() {
    let Some(cluster) = Cluster::start(3) else {
        return;
    };
    let account = cluster.account();
    let (job, pids) = stopped(&cluster, &account, 5);
    // The pause goes on, and ends, without a controller.
    cluster.stop_controller();
    await_going_on(&pids);
    cluster.start_controller();
    cluster.restart_node("n2");
    assert!(
        pids.iter().all(|&pid| process::is_alive(pid)),
        "nobody was ended"
    );
    // Somebody else suspends it.
    cluster.suspend(job);
    await_stop(&pids);
    let since = catrain::clock::monotonic();
    wait_until("it stays so for a while", PATIENCE, || {
        catrain::clock::monotonic() - since > Duration::from_secs(7)
    });
    cluster.resume(job);
    await_going_on(&pids);
    await_end(&account, job, "COMPLETED");
    // Slurm says TSTP first, as a terminal does, and STOP to who does not stop by it.
    for (run, ledger) in records(&account, job) {
        let stood = seconds(&ledger, Part::Paused, Cause::Terminal);
        assert!(stood > 0.0 || warned(&ledger, "stood still"), "{run}");
    }
    let output = account.output(job);
    assert_eq!(hashes(&output).len(), 1, "{output}");

    // `scancel` ends one that stands still.
    let account = cluster.account();
    let (job, pids) = stopped(&cluster, &account, 40);
    account.said("scancel", &[&job.to_string()]);
    account.wait_for_state(job, "CANCELLED");
    wait_until("nobody is left", PATIENCE, || {
        pids.iter().all(|&pid| !process::is_alive(pid))
    });
    let (_, ledger) = leader(&account, job);
    assert!(ended(&ledger).is_some(), "its end is recorded");
    assert!(has(
        &ledger,
        |what| matches!(what, What::Signal { name, .. } if name == "TERM")
    ));

    // So does its time limit.
    let account = cluster.account();
    let (job, pids) = stopped(&cluster, &account, 40);
    account.reach_time_limit(job);
    account.wait_for_job(job, "its time is up", |job| job.has_ended());
    wait_until("nobody is left", PATIENCE, || {
        pids.iter().all(|&pid| !process::is_alive(pid))
    });
    assert!(
        ended(&leader(&account, job).1).is_some(),
        "its end is recorded"
    );
}

#[test]
fn a_job_that_somebody_else_requeues_goes_on_and_its_record_says_so() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    let account = cluster.account();
    let expected = undisturbed(&account, &cluster);
    let home = account.sandbox.home().display().to_string();
    let day = day(&account, ".");
    let options = options(&day, "stop").join(" ");
    let lines = format!(
        "exec catrain run {options} -- {}",
        training(&cluster, Some(&format!("{home}/saved")))
    );
    let job = account.submit(&["--requeue", "--open-mode=append"], &lines);
    await_trainers(&account, job, 1);
    wait_until("it has trained for a while", PATIENCE, || {
        account.output(job).contains("epoch 3 ")
    });
    account.said("scontrol", &["requeue", &job.to_string()]);
    account.wait_for_job(job, "it is back in the queue", |job| {
        job.restarts == 1 && job.is_pending()
    });
    wait_for("it may start at once", PATIENCE, || {
        let id = format!("JobId={job}");
        let mut command = account.command("scontrol");
        let done = command
            // Not in the second in which it was ended: its node would refuse it.
            .args(["update", &id, "StartTime=now+5"])
            .output()
            .unwrap();
        done.status.success().then_some(())
    });
    await_end(&account, job, "COMPLETED");
    let output = account.output(job);
    assert_eq!(hashes(&output), BTreeSet::from([expected]), "{output}");
    let records = records(&account, job);
    let continued = records.iter().any(|(_, ledger)| {
        ledger
            .begin()
            .is_some_and(|(_, begin)| begin.continues.is_some())
            || has(ledger, |what| matches!(what, What::TakenUp { .. }))
    });
    assert!(continued, "{output}");
}

#[test]
fn a_job_that_slurm_does_not_take_back_keeps_its_nodes_and_goes_on() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    let account = cluster.account();
    let expected = undisturbed(&account, &cluster);
    let home = account.sandbox.home().display().to_string();
    let day = day(&account, ".#######.");
    let options = options(&day, "requeue").join(" ");
    let lines = format!(
        "exec catrain run {options} --checkpoint-path '{home}/saved/*.json' -- {}",
        training(&cluster, Some(&format!("{home}/saved")))
    );
    let job = account.submit(&["--requeue"], &lines);
    await_trainers(&account, job, 1);
    cluster.stop_controller();
    wait_until("the job was not taken back", LONG, || {
        account.output(job).contains("keeps its nodes")
    });
    cluster.start_controller();
    account.wait_for_state(job, "RUNNING");
    await_end(&account, job, "COMPLETED");
    let output = account.output(job);
    assert_eq!(hashes(&output), BTreeSet::from([expected]), "{output}");
    let (_, ledger) = leader(&account, job);
    assert!(warned(&ledger, "keeps its nodes"));
    assert!(ended(&ledger).is_some());
}

#[test]
fn a_job_is_paused_by_its_number_by_its_supervisor_or_without_one() {
    let Some(cluster) = Cluster::start(2) else {
        return;
    };
    let account = cluster.account();
    let program = training(&cluster, None);
    let supervised = account.submit(
        &[],
        // What else the script has started is not the run's.
        &format!(
            "sleep 600 & echo other $!\n\
             exec catrain run --pause-with stop -d 6h --max-delay 0 -- {program}"
        ),
    );
    let bare = account.submit(&["-N2"], &format!("srun {program}"));
    for (job, many) in [(supervised, 1), (bare, 2)] {
        let pids = await_trainers(&account, job, many);
        let name = format!("slurm:{job}");
        account.said("catrain", &["pause", &name]);
        await_stop(&pids);
        if job == supervised {
            let output = account.output(job);
            let other = output.lines().find_map(|line| line.strip_prefix("other "));
            assert!(process::is_running(other.unwrap().parse().unwrap()));
        }
        account.said("catrain", &["resume", &name]);
        await_going_on(&pids);
        account.said("catrain", &["stop", &name]);
        wait_until("nobody is left", PATIENCE, || {
            pids.iter().all(|&pid| !process::is_alive(pid))
        });
    }
    account.said("scancel", &[&supervised.to_string()]);
    let (_, ledger) = leader(&account, supervised);
    let words = |wanted: &str| {
        has(
            &ledger,
            |what| matches!(what, What::Operator { word, .. } if word == wanted),
        )
    };
    assert!(words("pause") && words("resume") && words("stop"));
    let mut again = account.command("catrain");
    let refused = again
        .args(["pause", &format!("slurm:{bare}")])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

#[test]
fn several_ranks_on_a_node_have_one_supervisor_and_stop_with_it() {
    let Some(cluster) = Cluster::start(2) else {
        return;
    };
    let account = cluster.account();
    let options = options(&day(&account, ".#."), "stop").join(" ");
    // A shell between the task and its supervisor is none of those that stop.
    let training = training(&cluster, None);
    let lines = format!("srun sh -c 'catrain run {options} -- {training}; exit $?'");
    let job = account.submit(&["-N2", "--ntasks-per-node=2"], &lines);
    let pids = await_trainers(&account, job, 4);
    let in_step = |pid: &Pid| process::env_of(*pid).contains_key("SLURM_STEP_ID");
    let supervisors = account.supervisors(job).into_iter().filter(in_step);
    assert_eq!(supervisors.count(), 2);
    await_stop(&pids);
    await_going_on(&pids);
    await_end(&account, job, "COMPLETED");
    assert_eq!(hashes(&account.output(job)).len(), 1);
    // Each node was metered once.
    assert_eq!(records(&account, job).len(), 2);
}
