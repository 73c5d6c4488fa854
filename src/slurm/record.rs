//! What `catrain slurm submit` has submitted: one small file a job or array in the state directory, replaced
//! whole, for whoever comes after it: `watch`, `status`, and the run inside the job.
//!
//! Beside it stands, once the job has started, which run is that job's: a job that is requeued is the
//! same run. Both are named by cluster and job, since clusters number their jobs each from one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::job::{JobId, TimeLimit};
use crate::dirs;
use crate::ledger::runs::is_id;

/// The format of [`Submitted`].
pub const FORMAT: &str = "catrain.slurm/1";
/// Bytes of a file, at most.
const LARGEST: u64 = 1 << 20;
/// Begin times that are kept, the last ones.
const MOVES: usize = 200;

/// A job or array that was submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// [`FORMAT`].
    pub format: String,
    /// The cluster's name.
    pub cluster: String,
    /// Its number; of an array that of the array.
    pub job: u64,
    /// The tasks of an array, as they were typed: `0-9%2`.
    #[serde(default)]
    pub array: Option<String>,
    /// `--name`, else the job's name, else the script's.
    pub name: String,
    /// The script, as it was typed.
    pub script: String,
    /// Where it was submitted.
    pub directory: PathBuf,
    /// When.
    pub submitted_at: Timestamp,
    /// The options of `catrain run` that the job has inside, times as what they meant: what it is planned
    /// by again.
    pub options: Vec<String>,
    /// Grid zone.
    pub zone: String,
    /// `--duration`, or what was learned.
    #[serde(default)]
    pub duration_s: Option<f64>,
    /// The latest end.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// The time limit, as far as it is known.
    #[serde(default)]
    pub limit: TimeLimit,
    /// When it is to start.
    pub begin: Timestamp,
    /// The latest start that keeps the deadline and the delay that was allowed; none: there is none.
    #[serde(default)]
    pub latest: Option<Timestamp>,
    /// Mean intensity expected from the planned start on, and from the submission on, g/kWh.
    #[serde(default)]
    pub planned_g_per_kwh: Option<f64>,
    /// See there.
    #[serde(default)]
    pub now_g_per_kwh: Option<f64>,
    /// How it is paused: `stop`, `requeue`, `suspend`, `auto`.
    pub pause_with: String,
    /// Whether another day is lived out in it: its begin time is not planned anew.
    #[serde(default)]
    pub replay: bool,
    /// How its begin time was changed since, oldest first.
    #[serde(default)]
    pub moves: Vec<Move>,
    /// What `catrain slurm watch` goes by, and has seen.
    #[serde(default)]
    pub watch: Watched,
}

/// What `catrain slurm watch` goes by, and has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The profile of the configuration that it was submitted with.
    #[serde(default)]
    pub profile: Option<String>,
    /// The user's own begin time: not before this.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// What it waits longer than others by, of what the plan does not mind: from 0 to 1.
    #[serde(default)]
    pub draw: f64,
    /// The arguments of the script, by which the length of the job was learned.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Its begin time is another's since then: it is left alone.
    #[serde(default)]
    pub left_alone_since: Option<Timestamp>,
    /// Suspended by `watch` since then, and not resumed.
    #[serde(default)]
    pub suspended_since: Option<Timestamp>,
    /// How long it was suspended before, in all.
    #[serde(default)]
    pub suspended_s: f64,
}

impl Watched {
    /// It is suspended no more, since then.
    pub fn resumed(&mut self, now: Timestamp) {
        if let Some(since) = self.suspended_since.take() {
            self.suspended_s += now.duration_since(since).as_secs_f64().max(0.0);
        }
    }

    /// How long it was suspended in all.
    pub fn suspended(&self, now: Timestamp) -> Duration {
        let mut so_far = self.clone();
        so_far.resumed(now);
        Duration::try_from_secs_f64(so_far.suspended_s).unwrap_or_default()
    }
}

/// A begin time that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// When.
    pub at: Timestamp,
    /// From when.
    pub from: Timestamp,
    /// To when.
    pub to: Timestamp,
    /// Why, in words.
    pub why: String,
}

impl Submitted {
    /// `--duration` as one.
    pub fn duration(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.duration_s?).ok()
    }

    /// It starts at another time.
    pub fn moved(&mut self, now: Timestamp, to: Timestamp, why: &str) {
        let from = std::mem::replace(&mut self.begin, to);
        self.moves.push(Move {
            at: now,
            from,
            to,
            why: why.to_owned(),
        });
        let surplus = self.moves.len().saturating_sub(MOVES);
        self.moves.drain(..surplus);
    }

    /// Writes it down.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let id = JobId::from(self.job);
        dirs::write(&path(state, &self.cluster, id, "json"), &text)
    }
}

/// What was submitted as this job, or as the array that it is a task of; none: nothing by `catrain`, or
/// not by what stands here.
pub fn read(state: &Path, cluster: &str, id: JobId) -> Option<Submitted> {
    let id = JobId::from(id.job);
    of(&path(state, cluster, id, "json"))
}

/// All that were submitted, oldest first; files that cannot be read are left out.
pub fn all(state: &Path) -> Vec<Submitted> {
    let entries = std::fs::read_dir(state.join("slurm")).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let mut all: Vec<Submitted> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .filter_map(|path| of(&path))
        .collect();
    all.sort_by_key(|one| (one.submitted_at, one.job));
    all
}

fn of(path: &Path) -> Option<Submitted> {
    let bytes = dirs::read(path, LARGEST).ok()?;
    let submitted: Submitted = serde_json::from_slice(&bytes).ok()?;
    (submitted.format == FORMAT).then_some(submitted)
}

/// Forgets a job that is long over.
pub fn forget(state: &Path, submitted: &Submitted) {
    let id = JobId::from(submitted.job);
    let _ = std::fs::remove_file(path(state, &submitted.cluster, id, "json"));
}

/// The run of a job, or of a task, once it has started.
pub fn run_of(state: &Path, cluster: &str, id: JobId) -> Option<String> {
    started(state, cluster, id).map(|(run, _)| run)
}

/// The run of a job, and when it began, in real time: that of its record may be a replay's.
pub fn started(state: &Path, cluster: &str, id: JobId) -> Option<(String, Timestamp)> {
    let bytes = dirs::read(&path(state, cluster, id, "run"), 128).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (run, began) = text.trim().split_once(' ')?;
    let began = began.parse().ok()?;
    is_id(run).then(|| (run.to_owned(), began))
}

/// Whether a run is known of this job, or of any task of this array.
pub fn has_run(state: &Path, submitted: &Submitted) -> bool {
    let id = JobId::from(submitted.job);
    if run_of(state, &submitted.cluster, id).is_some() {
        return true;
    }
    // The names of its tasks begin with its own, and a sign that no number has.
    let own = path(state, &submitted.cluster, id, "run");
    let own = own.file_stem().unwrap_or_default().to_string_lossy();
    let tasks = format!("{own}_");
    let entries = std::fs::read_dir(state.join("slurm")).into_iter().flatten();
    let names = (entries.flatten()).filter_map(|entry| entry.file_name().into_string().ok());
    let mut runs = names.filter(|name| name.starts_with(&tasks) && name.ends_with(".run"));
    runs.next().is_some()
}

/// Says which run is a job's.
///
/// # Errors
/// It cannot be written.
pub fn write_run(
    state: &Path,
    cluster: &str,
    id: JobId,
    run: &str,
    began: Timestamp,
) -> io::Result<()> {
    let text = format!("{run} {began}");
    dirs::write(&path(state, cluster, id, "run"), text.as_bytes())
}

fn path(state: &Path, cluster: &str, id: JobId, what: &str) -> PathBuf {
    let cluster = plain(cluster);
    state.join("slurm").join(format!("{cluster}-{id}.{what}"))
}

/// A name of the cluster's as a part of a file's: letters, digits and a few signs. Nobody's name leads elsewhere.
pub(super) fn plain(name: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_');
    name.chars()
        .map(|one| if is_plain(one) { one } else { '_' })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn submitted(job: u64) -> Submitted {
        let at: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        Submitted {
            format: FORMAT.to_owned(),
            cluster: "c/../x".to_owned(),
            job,
            array: None,
            name: "train".to_owned(),
            script: "train.sh".to_owned(),
            directory: "/home/a".into(),
            submitted_at: at,
            options: Vec::new(),
            zone: "DE".to_owned(),
            duration_s: Some(3600.0),
            deadline: None,
            limit: TimeLimit::Of(Duration::from_secs(7200)),
            begin: at,
            latest: None,
            planned_g_per_kwh: None,
            now_g_per_kwh: None,
            pause_with: "stop".to_owned(),
            replay: false,
            moves: Vec::new(),
            watch: Watched::default(),
        }
    }

    #[test]
    fn what_was_submitted_is_found_again_by_job_and_by_task() {
        let here = tempfile::tempdir().unwrap();
        let mut first = submitted(17);
        first.write(here.path()).unwrap();
        submitted(9).write(here.path()).unwrap();
        let task = JobId {
            job: 17,
            task: Some(3),
        };
        assert_eq!(read(here.path(), "c/../x", task), Some(first.clone()));
        assert_eq!(read(here.path(), "other", task), None);
        let all: Vec<u64> = all(here.path()).iter().map(|it| it.job).collect();
        assert_eq!(all, [9, 17]);
        let at = first.begin;
        for minute in 0..300 {
            let to = at + jiff::SignedDuration::from_mins(minute);
            first.moved(at, to, "the forecast changed");
        }
        assert_eq!(first.moves.len(), MOVES);
        assert_eq!(first.moves.last().unwrap().to, first.begin);
        forget(here.path(), &first);
        assert_eq!(read(here.path(), "c/../x", task), None);
    }

    #[test]
    fn a_job_has_a_run_once_it_has_started() {
        let here = tempfile::tempdir().unwrap();
        let id = JobId {
            job: 17,
            task: Some(3),
        };
        assert_eq!(run_of(here.path(), "c", id), None);
        let began = "2026-11-28T10:00:00Z".parse().unwrap();
        let mut array = submitted(17);
        array.cluster = "c".to_owned();
        assert!(!has_run(here.path(), &array));
        write_run(here.path(), "c", id, "r7k2", began).unwrap();
        assert!(has_run(here.path(), &array));
        array.job = 1;
        assert!(!has_run(here.path(), &array));
        let started = started(here.path(), "c", id);
        assert_eq!(started, Some(("r7k2".to_owned(), began)));
        assert_eq!(run_of(here.path(), "c", id).as_deref(), Some("r7k2"));
        write_run(here.path(), "c", id, "../../x", began).unwrap();
        assert_eq!(run_of(here.path(), "c", id), None);
    }
}
