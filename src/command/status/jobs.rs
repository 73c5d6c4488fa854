//! Jobs of Slurm's in `catrain status`: what was submitted and has no run yet, and what Slurm says of runs
//! that are in jobs. Slurm is asked once for all of them, and not at all where nothing was submitted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::table::instant;
use crate::clock::monotonic;
use crate::ledger::entry::{SlurmJob, What};
use crate::ledger::runs::{JOB, begin_of};
use crate::ledger::{self, Ledger, RunRef, ledger_path, list_runs};
use crate::patience::within;
use crate::report::job::Waits;
use crate::slurm::job::{Job, JobId};
use crate::slurm::record::{self, Submitted};
use crate::slurm::standing::Standing;
use crate::slurm::tools::{self, Installed, ToolError};

/// Longest wait for what was submitted: its directory may be on a slow disk.
const LOOKING: Duration = Duration::from_millis(500);
/// Longest wait for Slurm.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of Slurm's counts, where it is looked at again and again.
const FRESH: Duration = Duration::from_secs(30);
/// A job that Slurm no longer knows and that never had a run is shown for so long after its planned start.
const SHOWN_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Slurm's clock and ours may be this far apart.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// What Slurm says of this user's jobs, asked when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Queue {
    asked: Option<(Duration, Result<Vec<Job>, ToolError>)>,
}

impl Queue {
    fn look(&mut self) -> Result<&[Job], &ToolError> {
        let now = monotonic();
        let is_stale = |asked: &Duration| now.saturating_sub(*asked) >= FRESH;
        if self.asked.as_ref().is_none_or(|(asked, _)| is_stale(asked)) {
            let slurm = Installed { patience: PATIENCE };
            self.asked = Some((now, tools::queue(&slurm)));
        }
        match &self.asked {
            Some((_, Ok(jobs))) => Ok(jobs),
            Some((_, Err(error))) => Err(error),
            None => Ok(&[]),
        }
    }

    /// Why nothing is known of what Slurm says, if it was asked.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.asked {
            Some((_, Err(error))) => Some(format!(
                "{error}: how jobs stand in Slurm is not shown, only what was planned"
            )),
            _ => None,
        }
    }
}

/// The runs with what Slurm says of their jobs, and jobs that have no run yet.
pub(super) fn with_jobs(
    mut runs: Vec<Value>,
    state: &Path,
    queue: &mut Queue,
    now: Timestamp,
) -> Vec<Value> {
    let records = submitted(state);
    if state.join("slurm").is_dir() {
        runs.iter_mut().for_each(|run| place(run, state));
    }
    if records.is_empty() && runs.iter().all(|run| run["slurm"].is_null()) {
        return runs;
    }
    let jobs = queue.look().map(<[Job]>::to_vec).map_err(Clone::clone);
    for run in &mut runs {
        tell(run, &records, jobs.as_deref().ok(), now);
    }
    let mut waiting = Vec::new();
    for record in &records {
        waiting.extend(without_run(record, &runs, state, jobs.as_deref().ok(), now));
    }
    runs.extend(waiting);
    runs
}

/// All that is known of one job, or of all tasks of an array: those without a run, and each of its runs,
/// the node that leads before those that follow.
pub(super) fn of_job(
    wanted: JobId,
    state: &Path,
    queue: &mut Queue,
    now: Timestamp,
    run_of: impl Fn(&str) -> Value,
) -> Vec<Value> {
    let mut refs: Vec<RunRef> = list_runs(state).unwrap_or_default();
    refs.retain(|run| run.begin.as_ref().is_some_and(|begin| begin.is_of(wanted)));
    refs.sort_by_key(|run| {
        let job = run.begin.as_ref().and_then(|begin| begin.slurm.clone());
        job.map(|job| (job.cluster, job.id, job.follows.is_some(), job.node))
    });
    let mut records = submitted(state);
    records.retain(|record| record.job == wanted.job);
    if refs.is_empty() && records.is_empty() {
        return Vec::new();
    }
    let jobs = queue.look().map(<[Job]>::to_vec).map_err(Clone::clone);
    let mut runs = Vec::new();
    for run in &refs {
        let mut told = run_of(&run.id);
        place(&mut told, state);
        tell(&mut told, &records, jobs.as_deref().ok(), now);
        add_waits(&mut told, state, now);
        runs.push(told);
    }
    let mut waiting = Vec::new();
    for record in &records {
        let all = without_run(record, &runs, state, jobs.as_deref().ok(), now);
        waiting.extend(all.into_iter().filter(|row| {
            let tasks = row["slurm"]["tasks"].as_array();
            let is_it = |task: &Value| task.as_u64() == wanted.task.map(u64::from);
            wanted.task.is_none() || tasks.is_none_or(|tasks| tasks.iter().any(is_it))
        }));
    }
    waiting.extend(runs);
    waiting
}

/// One run, as [`with_jobs`] tells of it and with how long it waited.
pub(super) fn whole(mut run: Value, state: &Path, queue: &mut Queue, now: Timestamp) -> Value {
    place(&mut run, state);
    if run["slurm"].is_null() {
        return run;
    }
    let records = submitted(state);
    let jobs = queue.look().map(<[Job]>::to_vec).map_err(Clone::clone);
    tell(&mut run, &records, jobs.as_deref().ok(), now);
    add_waits(&mut run, state, now);
    run
}

fn submitted(state: &Path) -> Vec<Submitted> {
    let state = state.to_owned();
    within(LOOKING, move || record::all(&state)).unwrap_or_default()
}

/// Says of a run that answers itself which job it is in: its record does.
fn place(run: &mut Value, state: &Path) {
    if !run["slurm"].is_null() {
        return;
    }
    let begin = run["id"].as_str().and_then(|id| begin_of(state, id));
    if let Some(job) = begin.and_then(|begin| begin.slurm) {
        run["slurm"] = facts(&job);
    }
}

/// The job of a run, as a member of it in `catrain.status/1`.
pub(super) fn facts(job: &SlurmJob) -> Value {
    json!({
        "cluster": job.cluster, "job": job.id.job, "task": job.id.task, "node": job.node,
        "nodes": job.nodes, "follows": job.follows,
    })
}

/// Adds what Slurm says of a run's job and what was submitted, and says how the run stands by that where
/// it cannot say so itself.
fn tell(run: &mut Value, records: &[Submitted], jobs: Option<&[Job]>, now: Timestamp) {
    let Some(id) = id_of(run) else { return };
    let cluster = run["slurm"]["cluster"].as_str().unwrap_or("").to_owned();
    let is_its = |record: &&Submitted| record.job == id.job && record.cluster == cluster;
    let record = records.iter().find(is_its);
    let is_that = |job: &&Job| job.id == id && record.is_none_or(|record| is_that(job, record));
    let job = jobs.and_then(|jobs| jobs.iter().find(is_that));
    let planned = instant(&run["until"]).or(record.map(|record| record.begin));
    let stands = job.map(|job| Standing::of(job, planned, true, now));
    if let Some(object) = run["slurm"].as_object_mut() {
        if let Some(record) = record {
            object.extend(plan_of(record));
        }
        if let Some(job) = job {
            object.extend(said(job));
        }
    }
    if run["ok"] == true || !run["ended_at"].is_null() {
        return;
    }
    let is_elsewhere = run["may_be_elsewhere"] == true;
    let is_requeued = run["is_requeued"] == true;
    match stands {
        Some(Standing::Suspended) => run["state"] = "suspended".into(),
        Some(Standing::Runs) if is_elsewhere || is_requeued => {
            let node = match is_requeued {
                // Its supervisor has not taken it up yet.
                true => job.map_or("", |job| job.nodes.as_str()).to_owned(),
                false => run["slurm"]["node"].as_str().unwrap_or("").to_owned(),
            };
            run["state"] = match is_requeued {
                true => format!("starting on {node}"),
                false => format!("running on {node}"),
            }
            .into();
            run["until"] = Value::Null;
        }
        Some(Standing::Runs) => {}
        Some(Standing::Ended(how)) if is_requeued => {
            run["state"] = format!("{how} while it waited in the queue").into();
            run["until"] = Value::Null;
        }
        Some(Standing::Ended(how)) if is_elsewhere => {
            run["state"] = match how.split_once(' ') {
                None if how == "ended" => "ended in Slurm; its record has no end".to_owned(),
                _ => format!("{how}; its record has no end"),
            }
            .into();
        }
        Some(Standing::Ended(_)) => {}
        Some(waits) => {
            wait(run, &waits);
            run["next"] = Value::Null;
        }
        None if jobs.is_some() && (is_elsewhere || is_requeued) => {
            run["state"] = "ended: Slurm no longer knows its job, and its record has no end".into();
            run["until"] = Value::Null;
        }
        None => {}
    }
}

/// Whether a job of this number is the one that was submitted: other clusters, and the same one anew, give
/// the same numbers. Only a requeue changes when a job was submitted.
fn is_that(job: &Job, record: &Submitted) -> bool {
    let Some(submitted) = job.submitted else {
        return true;
    };
    let since = submitted.duration_since(record.submitted_at);
    since >= -TOLERANCE && (job.restarts > 0 || since <= TOLERANCE)
}

/// How a job stands that waits, in the words of the table.
fn wait(row: &mut Value, stands: &Standing) {
    row["state"] = stands.word().into();
    let (until, planned, reason) = match stands {
        Standing::Waits {
            until,
            is_planned,
            reason,
            ..
        } => (*until, *is_planned, reason.clone()),
        _ => (None, false, None),
    };
    row["until"] = until.map(|at| at.to_string()).into();
    row["slurm"]["is_planned"] = planned.into();
    row["slurm"]["reason"] = reason.into();
}

/// What was planned, of what was submitted.
fn plan_of(record: &Submitted) -> Map<String, Value> {
    let facts = json!({
        "submitted_at": record.submitted_at.to_string(),
        "begin": record.begin.to_string(),
        "latest": record.latest.map(|at| at.to_string()),
        "planned_g_per_kwh": record.planned_g_per_kwh,
        "now_g_per_kwh": record.now_g_per_kwh,
        "pause_with": record.pause_with,
        "array": record.array,
        "moves": record.moves,
    });
    object(facts)
}

/// What Slurm says.
fn said(job: &Job) -> Map<String, Value> {
    let facts = json!({
        "number": job.number,
        "state": job.state,
        "reason": job.reason,
        "restarts": job.restarts,
        "node_list": job.nodes,
        "partition": job.partition,
    });
    object(facts)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// A row for the job, and of an array one for all tasks that stand alike, where no run tells of them.
fn without_run(
    record: &Submitted,
    runs: &[Value],
    state: &Path,
    jobs: Option<&[Job]>,
    now: Timestamp,
) -> Vec<Value> {
    let is_its = |id: JobId| id.job == record.job;
    let shown: BTreeSet<JobId> = (runs.iter())
        .filter(|run| run["slurm"]["cluster"] == record.cluster.as_str())
        .filter_map(id_of)
        .collect();
    let Some(jobs) = jobs else {
        // What was planned is all that is known.
        let is_known = shown.iter().any(|id| is_its(*id)) || record::has_run(state, record);
        let is_old = now.duration_since(record.begin) > SHOWN_FOR;
        return match is_known || is_old {
            true => Vec::new(),
            false => vec![row(record, None, "submitted", &[], now)],
        };
    };
    let is_same = |job: &&Job| is_its(job.id) && is_that(job, record);
    let mut alike: BTreeMap<Standing, Vec<&Job>> = BTreeMap::new();
    let mut is_known = false;
    for job in jobs.iter().filter(is_same) {
        is_known = true;
        if shown.contains(&job.id) {
            continue;
        }
        let has_run = record::run_of(state, &record.cluster, job.id).is_some();
        let stands = Standing::of(job, Some(record.begin), has_run, now);
        // Its run has ended as it should, and is no longer shown.
        if has_run && !job.is_pending() {
            continue;
        }
        alike.entry(stands).or_default().push(job);
    }
    if !is_known {
        let is_told = shown.iter().any(|id| is_its(*id)) || record::has_run(state, record);
        let is_old = now.duration_since(record.begin) > SHOWN_FOR;
        return match is_told || is_old {
            true => Vec::new(),
            false => vec![row(
                record,
                None,
                "gone: not in Slurm's queue here, and it never had a run",
                &[],
                now,
            )],
        };
    }
    let rows = alike.into_iter().map(|(stands, jobs)| {
        let mut row = row(record, jobs.first().copied(), stands.word(), &jobs, now);
        if matches!(stands, Standing::Waits { .. }) {
            wait(&mut row, &stands);
        }
        row
    });
    rows.collect()
}

/// A job without a run, as a member of `runs` in `catrain.status/1`.
fn row(
    record: &Submitted,
    job: Option<&Job>,
    state: &str,
    tasks: &[&Job],
    now: Timestamp,
) -> Value {
    let ids: Vec<u32> = tasks.iter().filter_map(|job| job.id.task).collect();
    let id = match (ids.as_slice(), job) {
        ([_], Some(job)) => job.id,
        _ => record.job.into(),
    };
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64().max(0.0);
    let planned = job.and_then(|job| job.eligible).unwrap_or(record.begin);
    let is_waiting = job.is_some_and(Job::is_pending);
    let done =
        (record.duration()).map(|length| crate::forecast::Span::new(planned.max(now), length));
    let mut slurm = Map::from_iter([
        ("cluster".to_owned(), record.cluster.as_str().into()),
        ("job".to_owned(), record.job.into()),
        ("task".to_owned(), id.task.into()),
        ("tasks".to_owned(), ids.into()),
        ("nodes".to_owned(), job.map(|job| job.node_count).into()),
    ]);
    slurm.extend(plan_of(record));
    if let Some(job) = job {
        slurm.extend(said(job));
    }
    if is_waiting {
        let held = seconds(record.submitted_at, now.min(planned));
        slurm.insert("held_by_plan_s".to_owned(), held.into());
        slurm.insert("queued_s".to_owned(), seconds(planned, now).into());
        slurm.insert("paused_s".to_owned(), 0.0.into());
    }
    json!({
        "id": format!("{JOB}{id}"),
        "name": record.name,
        "state": state,
        "until": (state == "submitted").then(|| record.begin.to_string()),
        "state_for_s": seconds(record.submitted_at, now),
        "done_about": done.filter(|_| is_waiting).map(|span| span.end.to_string()),
        "deadline": record.deadline.map(|at| at.to_string()),
        "zone": record.zone,
        "directory": record.directory,
        "script": record.script,
        "slurm": slurm,
        "ended_at": null,
        "ok": false,
    })
}

/// Adds how long a run was queued, held and paused, what it waits now included.
fn add_waits(run: &mut Value, state: &Path, now: Timestamp) {
    let id = run["id"].as_str().unwrap_or_default().to_owned();
    let Ok(ledger) = ledger::read(&ledger_path(state, &id)) else {
        return;
    };
    let segments: Vec<_> = (ledger.entries.iter())
        .filter_map(|entry| entry.segment().cloned())
        .collect();
    let mut waits = Waits::of(&segments);
    if let Some((since, begin)) = waits_since(&ledger) {
        let planned = begin.unwrap_or(since).max(since);
        let seconds =
            |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64().max(0.0);
        waits.paused_s += seconds(since, planned.min(now));
        waits.queued_s += seconds(planned, now);
    }
    if let Some(slurm) = run["slurm"].as_object_mut() {
        slurm.insert("queued_s".to_owned(), waits.queued_s.into());
        slurm.insert("held_by_plan_s".to_owned(), waits.held_by_plan_s.into());
        slurm.insert("paused_s".to_owned(), waits.paused_s.into());
    }
}

/// Since when a run waits in the queue for its next start, and until when by its own wish.
fn waits_since(ledger: &Ledger) -> Option<(Timestamp, Option<Timestamp>)> {
    let mut last = ledger.entries.iter().rev();
    last.find_map(|entry| match &entry.what {
        What::Requeued { begin, .. } => Some(Some((entry.at, *begin))),
        What::TakenUp { .. } | What::End { .. } => Some(None),
        _ => None,
    })?
}

/// The job of a run as people name it.
fn id_of(run: &Value) -> Option<JobId> {
    let job = run["slurm"]["job"].as_u64()?;
    let task = run["slurm"]["task"].as_u64();
    Some(JobId {
        job,
        task: task.and_then(|task| u32::try_from(task).ok()),
    })
}
