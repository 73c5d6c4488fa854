use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::ledger::Ledger;
use crate::ledger::entry::{Exit, What};
use crate::report::groups::Grouping;
use crate::report::tests as ledgers;
use crate::report::{Ask, json, summarise, text};
use crate::slurm::job::JobId;
use crate::words::Look;

/// The run of the examples as a task of an array on two nodes: 4000 s of its hold and 1200 s of its
/// pause, for which it gave its nodes back, were spent in the queue.
pub(crate) fn job(run: &str, node: &str, task: u32, follows: Option<&str>) -> Ledger {
    let mut entries = Vec::new();
    for mut entry in ledgers::example().entries {
        let at = match &mut entry.what {
            What::Begin(begin) => {
                begin.run = run.to_owned();
                begin.host = node.to_owned();
                begin.slurm = Some(SlurmJob {
                    cluster: "c1".to_owned(),
                    id: JobId {
                        job: 17,
                        task: Some(task),
                    },
                    node: node.to_owned(),
                    nodes: 2,
                    follows: follows.map(str::to_owned),
                });
                None
            }
            What::Segment(segment) if segment.part == Part::Held => Some(20_000.0),
            What::Segment(segment) if segment.part == Part::Paused => {
                segment.energy.clear();
                Some(42_000.0)
            }
            _ => None,
        };
        let Some(at) = at else {
            entries.push(entry);
            continue;
        };
        let mut queued = entry.clone();
        if let (What::Segment(one), What::Segment(two)) = (&mut entry.what, &mut queued.what) {
            let cut = one.end - jiff::SignedDuration::from_millis(((one.to_s - at) * 1e3) as i64);
            (one.to_s, one.end) = (at, cut);
            (two.from_s, two.start) = (at, cut);
            two.causes = vec![Cause::Queue];
        }
        let is_pause = at > 40_000.0;
        if is_pause {
            let mut requeued = entry.clone();
            requeued.what = What::Requeued {
                begin: None,
                why: "431 g/kWh".to_owned(),
            };
            entries.push(requeued);
            let mut taken_up = queued.clone();
            taken_up.what = What::TakenUp {
                host: node.to_owned(),
                boot_id: "b".to_owned(),
                pid: 9,
                start_ticks: 9,
                node: node.to_owned(),
                restarts: 1,
            };
            entries.push(taken_up);
        }
        entries.extend([entry, queued]);
    }
    Ledger::from_entries(entries)
}

fn pair() -> Summary {
    let mut leader = ledgers::summary(&job("r7k2", "n1", 3, None));
    let follower = job("m3q9", "n2", 3, Some("r7k2"));
    leader.followers.push(ledgers::summary(&follower));
    leader
}

#[test]
fn time_in_the_queue_is_told_apart_from_what_the_plan_held() {
    let run = ledgers::summary(&job("r7k2", "n1", 3, None));
    let waits = Waits::of(&run.segments);
    let expected = Waits {
        queued_s: 4_000.0 + 1_200.0,
        held_by_plan_s: 20_000.0,
        paused_s: 1_500.0,
    };
    assert_eq!(waits, expected);
    assert_eq!(run.restarts, 1);
    let told = text::end_of_run(
        &run,
        Look::PLAIN,
        ledgers::at("2026-11-25T06:30:00Z"),
        &TimeZone::UTC,
    );
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("queued 1 h 27 m, held 5 h 33 m, ran 6 h 2 m, paused 25 m in 1 pause"),
        "{told}"
    );
}

#[test]
fn who_starts_at_once_queues_as_well_but_not_again_for_a_pause_of_the_plan() {
    let run = ledgers::summary(&job("r7k2", "n1", 3, None));
    let now = crate::emissions::run_now(&run.segments);
    assert_eq!(now.removed_s, 20_000.0 + 2_700.0);
    let parts: Vec<Part> = now.segments.iter().map(|one| one.part).collect();
    assert_eq!(
        parts,
        [Part::Held, Part::Running, Part::Running, Part::Running]
    );
    assert_eq!(now.segments[0].start, run.started_at);
    // Whom the cluster took the nodes from, queues whatever was planned.
    let mut preempted = run.segments.clone();
    preempted.retain(|one| one.part != Part::Paused || one.causes == [Cause::Queue]);
    let now = crate::emissions::run_now(&preempted);
    assert!(now.segments.iter().any(|one| one.part == Part::Paused));
}

#[test]
fn a_job_that_was_only_queued_ran_as_soon_as_it_could() {
    let mut ledger = job("r7k2", "n1", 3, None);
    for entry in &mut ledger.entries {
        if let What::Segment(segment) = &mut entry.what
            && segment.part != Part::Running
        {
            segment.causes = vec![Cause::Queue];
        }
    }
    let run = ledgers::summary(&Ledger::from_entries(ledger.entries));
    let told = text::end_of_run(
        &run,
        Look::PLAIN,
        ledgers::at("2026-11-25T06:30:00Z"),
        &TimeZone::UTC,
    );
    assert!(
        told.contains("the same: it ran as soon as it had nodes"),
        "{told}"
    );
    assert!(!told.contains("held") && !told.contains("paused"), "{told}");
}

#[test]
fn nodes_come_to_the_sum_of_their_runs_and_of_no_run_twice() {
    let leader = pair();
    let runs = [leader.clone(), leader.followers[0].clone()];
    let now = ledgers::at("2026-11-25T07:00:00Z");
    let all: Value = serde_json::from_str(&json::document(&runs, now, now)).unwrap();
    let nodes = &all["runs"][0]["nodes"];
    assert_eq!(nodes["energy_kwh"], all["totals"]["energy_kwh"]);
    assert_eq!(nodes["emissions"], all["totals"]["emissions"]);
    assert_eq!(nodes["each"][1]["node"], "n2");
    assert_eq!(nodes["each"][1]["run"], "m3q9");
    let own = &all["runs"][0]["energy_kwh"]["total"];
    assert_eq!(nodes["each"][0]["energy_kwh"]["total"], *own);
    assert!(all["runs"][1].get("nodes").is_none());
    assert_eq!(
        all["runs"][1]["slurm"],
        json!({
            "cluster": "c1", "job": 17, "task": 3, "node": "n2", "nodes": 2, "follows": "r7k2",
            "restarts": 1, "queued_s": 5200.0, "held_by_plan_s": 20000.0, "paused_s": 1500.0,
        })
    );
}

#[test]
fn the_report_of_the_node_that_leads_shows_all_nodes() {
    let now = ledgers::at("2026-11-25T06:30:00Z");
    let shown = text::full(&pair(), false, Look::PLAIN, now, &TimeZone::UTC);
    let job = shown.lines().find(|line| line.starts_with("  job "));
    assert_eq!(
        job.unwrap(),
        "  job        17_3 on c1, node n1 of 2, 1 restart; queued 1 h 27 m,"
    );
    let table = shown
        .lines()
        .skip_while(|line| !line.starts_with("  node "));
    let table: Vec<&str> = table.take(4).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    node                           time      energy   emissions     avoided
    n1 r7k2                   13 h 27 m    2.35 kWh       525 g       167 g
    n2 m3q9                   13 h 27 m    2.35 kWh       525 g       167 g
    together                  26 h 54 m    4.70 kWh      1050 g       334 g
    ");
}

#[test]
fn an_array_is_one_group_and_what_is_no_job_another() {
    let runs = [
        job("r7k2", "n1", 3, None),
        job("m3q9", "n2", 3, Some("r7k2")),
        job("q2w3", "n1", 4, None),
        ledgers::example(),
    ];
    let runs: Vec<Summary> = runs.iter().map(ledgers::summary).collect();
    let now = ledgers::at("2026-11-25T07:00:00Z");
    let by = Grouping::Job;
    let all = json::grouped(&runs, now, now, &by, &TimeZone::UTC);
    let all: Value = serde_json::from_str(&all).unwrap();
    let groups = all["grouped"]["groups"].as_array().unwrap();
    let names: Vec<_> = groups
        .iter()
        .map(|group| (group["name"].as_str(), group["runs"].as_u64()))
        .collect();
    assert_eq!(names, [(Some("slurm:17"), Some(3)), (None, Some(1))]);
    let table = text::totals(&runs, Some(&by), Look::PLAIN, now, &TimeZone::UTC);
    assert!(table.contains("\n  (no job) "), "{table}");
}

#[test]
fn what_a_node_saved_counts_when_the_job_is_done_and_only_then() {
    let never = |exit: Option<Exit>| {
        let mut ledger = job("m3q9", "n2", 3, Some("r7k2"));
        ledger
            .entries
            .retain(|entry| !matches!(entry.what, What::Confirmed { .. } | What::Intent { .. }));
        for entry in &mut ledger.entries {
            if let What::End { exit: own, .. } = &mut entry.what {
                *own = exit;
            }
        }
        Ledger::from_entries(ledger.entries)
    };
    let of = |ledger: &Ledger, leader| {
        let ask = Ask {
            leader,
            ..ledgers::at("2026-11-25T07:00:00Z").into()
        };
        summarise(ledger, ask).unwrap().emissions[0].avoided
    };
    let alone = never(None);
    assert_eq!(of(&alone, None), Err(NotCompared::NeverStarted));
    assert!(of(&alone, Some(Ok(()))).unwrap().0 > 0.0);
    let failed = Some(Err(NotCompared::Failed));
    let good = job("m3q9", "n2", 3, Some("r7k2"));
    assert!(of(&good, Some(Ok(()))).is_ok());
    assert_eq!(of(&good, failed), Err(NotCompared::Failed));
}
