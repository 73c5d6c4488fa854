//! A job in Slurm's words. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What `squeue --array -O` is asked for, in the order of [`read_queue`]. With `SLURM_TIME_FORMAT=%s` its
/// times are Unix seconds; a suffix instead of a width keeps long values whole (Slurm 20.02 and later).
pub const FIELDS: &str = "JobID:;,ArrayJobID:;,ArrayTaskID:;,State:;,Reason:;,SubmitTime:;,\
                          EligibleTime:;,StartTime:;,EndTime:;,TimeLimit:;,RestartCnt:;,NumNodes:;,\
                          NodeList:;,Partition:;";

/// A job as people name it: `17`, or `17_3` for a task of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The job's number; of a task that of its array.
    pub job: u64,
    /// The task, of an array.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<u32>,
}

impl From<u64> for JobId {
    /// A whole job or array.
    fn from(job: u64) -> Self {
        Self { job, task: None }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(out, "{}_{task}", self.job),
            None => write!(out, "{}", self.job),
        }
    }
}

impl FromStr for JobId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (job, task) = match text.split_once('_') {
            Some((job, task)) => (job, Some(task)),
            None => (text, None),
        };
        let wrong = || format!("`{text}` is no job of Slurm's; expected `17` or `17_3`");
        let task = task.map(str::parse).transpose().map_err(|_| wrong())?;
        let job = job.parse().map_err(|_| wrong())?;
        Ok(Self { job, task })
    }
}

/// One job, or one task of an array, in the queue or ended lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// As people name it.
    pub id: JobId,
    /// Its own number, which a task of an array has beside that of the array.
    pub number: u64,
    /// Slurm's word: `PENDING`, `RUNNING`, `SUSPENDED`, `COMPLETED`, …
    pub state: String,
    /// Why it is in it: `BeginTime`, `Resources`, …; none: no reason.
    pub reason: Option<String>,
    /// When it was submitted, or requeued last.
    pub submitted: Option<Timestamp>,
    /// When it may start, or might: its begin time, or when what it depends on ended.
    pub eligible: Option<Timestamp>,
    /// When it started, or is expected to.
    pub started: Option<Timestamp>,
    /// When it ended, or is to end.
    pub ends: Option<Timestamp>,
    /// Its time limit.
    pub limit: TimeLimit,
    /// How often it was requeued.
    pub restarts: u32,
    /// How many nodes it has, or wants.
    pub node_count: u32,
    /// Their names as Slurm writes them: `n[1-3]`; empty before it starts.
    pub nodes: String,
    /// Its partition.
    pub partition: String,
}

impl Job {
    /// Whether it waits for its (next) start.
    pub fn is_pending(&self) -> bool {
        matches!(self.state.as_str(), "PENDING" | "REQUEUED")
    }

    /// Whether it is over and will not start again.
    pub fn has_ended(&self) -> bool {
        !self.is_pending()
            && !matches!(
                self.state.as_str(),
                "RUNNING"
                    | "SUSPENDED"
                    | "COMPLETING"
                    | "CONFIGURING"
                    | "RESIZING"
                    | "STOPPED"
                    | "SIGNALING"
                    | "STAGE_OUT"
            )
    }
}

/// A time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    /// None was set, or it cannot be read: the partition's counts, whatever it is.
    #[default]
    Unknown,
    /// As long as it takes.
    Unlimited,
    /// So long.
    Of(Duration),
}

impl TimeLimit {
    /// As Slurm's commands take and write it: `minutes`, `minutes:seconds`, `hours:minutes:seconds`,
    /// `days-hours`, `days-hours:minutes`, `days-hours:minutes:seconds`, `UNLIMITED`, `INFINITE`, `-1`;
    /// 0 is no limit as well (sbatch(1), `--time`). A limit that is not understood is unknown.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let word = text.to_ascii_uppercase();
        if matches!(word.as_str(), "UNLIMITED" | "INFINITE" | "-1") {
            return Self::Unlimited;
        }
        let (days, rest) = match text.split_once('-') {
            Some((days, rest)) => (Some(days), rest),
            None => (None, text),
        };
        let parts: Option<Vec<u64>> = rest.split(':').map(|part| part.parse().ok()).collect();
        let seconds = match (days.map(str::parse::<u64>), parts.as_deref()) {
            (None, Some([minutes])) => minutes.checked_mul(60),
            (None, Some([minutes, seconds])) => minutes
                .checked_mul(60)
                .and_then(|it| it.checked_add(*seconds)),
            (None, Some([hours, minutes, seconds])) => sum(0, *hours, *minutes, *seconds),
            (Some(Ok(days)), Some([hours])) => sum(days, *hours, 0, 0),
            (Some(Ok(days)), Some([hours, minutes])) => sum(days, *hours, *minutes, 0),
            (Some(Ok(days)), Some([hours, minutes, seconds])) => {
                sum(days, *hours, *minutes, *seconds)
            }
            _ => return Self::Unknown,
        };
        match seconds {
            None => Self::Unknown,
            Some(0) => Self::Unlimited,
            Some(seconds) => Self::Of(Duration::from_secs(seconds)),
        }
    }
}

fn sum(days: u64, hours: u64, minutes: u64, seconds: u64) -> Option<u64> {
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    minutes.checked_mul(60)?.checked_add(seconds)
}

/// Reads what `squeue -h --array -O` writes for [`FIELDS`]; lines that are not understood are left out.
pub fn read_queue(text: &str) -> Vec<Job> {
    text.lines().filter_map(job).collect()
}

fn job(line: &str) -> Option<Job> {
    let fields: Vec<&str> = line.split(';').map(str::trim).collect();
    let [
        number,
        array,
        task,
        state,
        reason,
        submitted,
        eligible,
        started,
        ends,
        limit,
        restarts,
        node_count,
        nodes,
        partition,
        ..,
    ] = fields.as_slice()
    else {
        return None;
    };
    let number: u64 = number.parse().ok()?;
    let task: Option<u32> = task.parse().ok();
    let id = JobId {
        job: match task {
            Some(_) => array.parse().unwrap_or(number),
            None => number,
        },
        task,
    };
    Some(Job {
        id,
        number,
        state: (*state).to_owned(),
        reason: Some(*reason)
            .filter(|text| !matches!(*text, "" | "None"))
            .map(str::to_owned),
        submitted: time(submitted),
        eligible: time(eligible),
        started: time(started),
        ends: time(ends),
        limit: TimeLimit::parse(limit),
        restarts: restarts.parse().unwrap_or(0),
        node_count: node_count.split('-').next()?.parse().unwrap_or(0),
        nodes: (*nodes).to_owned(),
        partition: (*partition).to_owned(),
    })
}

/// Unix seconds; anything else is no time.
fn time(text: &str) -> Option<Timestamp> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_queue_is_a_job() {
        let text = "1;1;N/A;PENDING;BeginTime;1795866054;1795866063;1795866063;NONE;UNLIMITED;1;3;;main;\n\
                    12;11;4;RUNNING;None;1795866054;1795866063;1795866070;1795869670;1:00:00;0;2;n[1-2];gpu;\n\
                    nonsense\n";
        let jobs = read_queue(text);
        assert_eq!(jobs.len(), 2);
        assert!(jobs[0].is_pending() && jobs[0].restarts == 1 && jobs[0].node_count == 3);
        assert_eq!(jobs[0].ends, None);
        assert_eq!(jobs[0].limit, TimeLimit::Unlimited);
        assert_eq!(jobs[1].id.to_string(), "11_4");
        assert_eq!((jobs[1].number, jobs[1].nodes.as_str()), (12, "n[1-2]"));
        assert_eq!(jobs[1].limit, TimeLimit::Of(Duration::from_hours(1)));
        assert!(!jobs[1].has_ended());
    }

    #[test]
    fn a_time_limit_is_read_in_every_form_that_slurm_takes() {
        let of = |seconds| TimeLimit::Of(Duration::from_secs(seconds));
        for (text, limit) in [
            ("90", of(90 * 60)),
            ("90:30", of(90 * 60 + 30)),
            ("2:00:05", of(7205)),
            ("1-2", of(26 * 3600)),
            ("1-02:30", of(26 * 3600 + 1800)),
            ("1-02:30:01", of(26 * 3600 + 1801)),
            ("UNLIMITED", TimeLimit::Unlimited),
            ("infinite", TimeLimit::Unlimited),
            ("0", TimeLimit::Unlimited),
            ("NOT_SET", TimeLimit::Unknown),
            ("", TimeLimit::Unknown),
            ("1:2:3:4", TimeLimit::Unknown),
            ("99999999999999999999", TimeLimit::Unknown),
        ] {
            assert_eq!(TimeLimit::parse(text), limit, "{text}");
        }
    }

    #[test]
    fn a_job_is_named_as_people_name_it() {
        let id: JobId = "17_3".parse().unwrap();
        assert_eq!((id.job, id.task), (17, Some(3)));
        assert_eq!("17".parse::<JobId>().unwrap().to_string(), "17");
        for wrong in ["", "x", "17_", "17_x", "-1", "1.2"] {
            wrong.parse::<JobId>().unwrap_err();
        }
    }
}
