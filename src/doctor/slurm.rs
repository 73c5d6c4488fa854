//! What Slurm says of itself and of a job, and what that means for holds, pauses and requeues.
//!
//! Nothing here is needed for a run: whatever does not work, or cannot be told, leaves the job running.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use crate::slurm::settings::Settings;
use crate::words;

/// The check of Slurm itself.
pub const SLURM: &str = "slurm";
/// The check of the directory that nodes share.
pub const SHARED: &str = "shared directory";
/// The check of the nodes' clocks.
pub const CLOCKS: &str = "node clocks";

/// Clocks that are closer than this are told as equal: that long it may take until the last node was
/// asked.
const APART: Duration = Duration::from_secs(2);
/// File systems that several hosts see, by the names that the kernel gives them (Linux, and the
/// documentation of those that come from elsewhere).
const OF_NETWORKS: [&str; 21] = [
    "nfs",
    "nfs4",
    "lustre",
    "gpfs",
    "beegfs",
    "beegfs_nodev",
    "ceph",
    "glusterfs",
    "cifs",
    "smb3",
    "pvfs2",
    "panfs",
    "wekafs",
    "afs",
    "ocfs2",
    "gfs2",
    "9p",
    "virtiofs",
    "dvs",
    "daos",
    "vastnfs",
];
/// Of those that a program serves, these are of one host.
const FUSE_OF_HOST: [&str; 4] = [
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.gvfsd-fuse",
    "fuse.overlayfs",
];

/// What is known of a Slurm.
#[derive(Clone, Debug)]
pub struct Facts {
    /// With its version: `Slurm 22.05.8`.
    pub name: String,
    /// What `scontrol show config` says, or why it says nothing.
    pub settings: Result<Settings, String>,
    /// The job that this is in.
    pub job: Option<Inside>,
    /// Whether this user may suspend jobs.
    pub rights: Rights,
    /// What `squeue --json` speaks.
    pub json: Json,
    /// `--grace` as it is configured.
    pub grace: Duration,
    /// The longest of the saves on record that were proved.
    pub save: Option<Duration>,
}

/// The job that this is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its number.
    pub job: String,
    /// What `scontrol show job -o` says of it, or why it says nothing.
    pub fields: Result<Settings, String>,
}

/// Whether a user may suspend jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rights {
    /// Slurm's word for it: `None`, `Operator`, `Administrator`.
    Level(String),
    /// Nobody can tell, and why.
    #[default]
    Unasked,
    /// It was asked and gave no answer, for this reason.
    Unknown(String),
}

/// What `squeue --json` speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Json {
    /// None.
    #[default]
    None,
    /// This version, in which `job_state` is written so; empty where there is no job to see it by.
    Speaks {
        /// `openapi/v0.0.38`, `data_parser/v0.0.40`; empty where it is not told.
        parser: String,
        /// `text` or `a list`.
        state: &'static str,
    },
}

impl Json {
    /// Of what `squeue --me --json` writes.
    pub fn of(text: &str) -> Self {
        let Ok(document) = serde_json::from_str::<serde_json::Value>(text) else {
            return Self::None;
        };
        let plugin = &document["meta"]["plugin"];
        let parser = plugin["data_parser"].as_str().or(plugin["type"].as_str());
        Self::Speaks {
            parser: parser.unwrap_or_default().to_owned(),
            state: match &document["jobs"][0]["job_state"] {
                serde_json::Value::String(_) => "text",
                serde_json::Value::Array(_) => "a list",
                _ => "",
            },
        }
    }

    fn told(&self) -> String {
        match self {
            Self::None => "squeue speaks no JSON (none is needed)".to_owned(),
            Self::Speaks { parser, state } => {
                let state = match *state {
                    "" => String::new(),
                    state => format!(", with job_state as {state}"),
                };
                let parser = match parser.as_str() {
                    "" => String::new(),
                    parser => format!(" {parser}"),
                };
                format!("squeue speaks JSON{parser}{state} (none is needed)")
            }
        }
    }
}

impl Rights {
    /// Of what `sacctmgr -nP show user NAME format=adminlevel` writes.
    pub fn of(text: &str) -> Self {
        match text.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(level) => Self::Level(level.to_owned()),
            None => Self::Unknown("sacctmgr does not know this user".to_owned()),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Level(level) if level == "None" => {
                "you are no operator, so `suspend` is not for you".to_owned()
            }
            Self::Level(level) => format!("you are {level}: `suspend` may be used"),
            Self::Unasked => {
                "whether you are an operator, who may `suspend`, cannot be told: no accounting"
                    .to_owned()
            }
            Self::Unknown(why) => {
                format!("whether you are an operator, who may `suspend`, cannot be told: {why}")
            }
        }
    }
}

/// A Slurm with its version, of what `squeue --version` says, which some distributions call otherwise:
/// `slurm-wlm 22.05.8`.
pub fn name(told: &str) -> String {
    let version = told.split_whitespace().last().unwrap_or_default();
    match version.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("Slurm {version}"),
        false => "Slurm".to_owned(),
    }
}

/// What is to be told of a Slurm.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let settings = match &facts.settings {
        Ok(settings) => settings,
        Err(why) => {
            let found = format!(
                "{} is here, but its controller cannot be asked: {why}; what runs goes on",
                facts.name
            );
            let fix = "scontrol ping, until it says UP: before that nothing can be submitted, moved or requeued";
            return vec![Finding::better(SLURM, found, fix)];
        }
    };
    let mut wrong = Vec::new();
    wrong.extend(requeue(settings, facts.job.as_ref()));
    wrong.extend(kill_wait(settings, facts));
    wrong.extend(inactive(settings));
    if !wrong.is_empty() {
        return wrong;
    }
    let mut told = vec![facts.name.clone()];
    told.push(match &facts.job {
        Some(Inside { job, .. }) => format!("job {job} may be requeued"),
        None => "jobs may be requeued".to_owned(),
    });
    told.push(facts.rights.told());
    if !settings.has_accounting() {
        told.push("sacct is empty, catrain keeps records of its own".to_owned());
    }
    if let Some(seconds) = settings.seconds("KillWait") {
        let limit = words::duration(Duration::from_secs(seconds));
        told.push(format!("a job that is to end gets {limit} until KILL"));
    }
    if let Some(kind) = settings.get("ProctrackType") {
        let kind = kind.rsplit('/').next().unwrap_or(kind);
        told.push(match kind {
            "cgroup" => "all of a step ends with its supervisor (proctrack/cgroup)".to_owned(),
            kind => format!("processes are found by proctrack/{kind}"),
        });
    }
    told.push(facts.json.told());
    vec![Finding::ok(SLURM, told.join("; "))]
}

/// Why a job is not requeued.
fn requeue(settings: &Settings, job: Option<&Inside>) -> Option<Finding> {
    match job {
        None if settings.get("JobRequeue") == Some("0") => Some(Finding::better(
            SLURM,
            "jobs are not requeued unless they ask for it (JobRequeue=0): pauses keep their nodes",
            "sbatch --requeue, or a line `#SBATCH --requeue` in the script",
        )),
        None => None,
        Some(Inside { job, fields }) => {
            let fields = match fields {
                Ok(fields) => fields,
                Err(why) => {
                    let found = format!("whether job {job} may be requeued cannot be told: {why}");
                    let fix = format!("scontrol show job {job}, and see what it complains about");
                    return Some(Finding::better(SLURM, found, fix));
                }
            };
            if fields.get("BatchFlag") == Some("0") {
                return Some(Finding::better(
                    SLURM,
                    format!(
                        "job {job} has no batch script (salloc, or srun by itself), so it cannot be requeued"
                    ),
                    "submit it with sbatch, or catrain slurm submit",
                ));
            }
            (fields.get("Requeue") == Some("0")).then(|| {
                Finding::better(
                    SLURM,
                    format!("job {job} may not be requeued: pauses keep its nodes"),
                    format!("scontrol update JobId={job} Requeue=1"),
                )
            })
        }
    }
}

/// Whether a save is done before KILL.
fn kill_wait(settings: &Settings, facts: &Facts) -> Option<Finding> {
    let wait = Duration::from_secs(settings.seconds("KillWait")?);
    let (needed, what) = match facts.save {
        Some(save) if save >= wait => (
            save * 2,
            format!("saving has taken {}", words::duration(save)),
        ),
        Some(_) => return None,
        None if wait < facts.grace => (
            facts.grace,
            format!("the grace period of {}", words::duration(facts.grace)),
        ),
        None => return None,
    };
    let found = match facts.save {
        Some(_) => format!(
            "Slurm sends KILL {} after TERM, and {what}: what it ends or requeues by itself loses its last work",
            words::duration(wait)
        ),
        None => format!(
            "Slurm sends KILL {} after TERM, sooner than {what}: a save at the end must be done by then",
            words::duration(wait)
        ),
    };
    let seconds = needed.as_secs().max(1);
    let fix = format!(
        "KillWait={seconds} in slurm.conf, by who runs the cluster; before its time limit a job gets more by \
         `#SBATCH --signal=B:TERM@{seconds}`"
    );
    Some(Finding::better(SLURM, found, fix))
}

/// Whether an `srun` that stands still is given up.
fn inactive(settings: &Settings) -> Option<Finding> {
    let seconds = settings.seconds("InactiveLimit").filter(|it| *it > 0)?;
    let found = format!(
        "InactiveLimit={seconds}: an srun that is stopped with its job is given up after {}",
        words::duration(Duration::from_secs(seconds))
    );
    let fix = "have srun start catrain (srun catrain run …), not catrain srun; or InactiveLimit=0 in slurm.conf";
    Some(Finding::better(SLURM, found, fix))
}

/// Slurm's commands are not where a job is.
pub fn missing(job: &str) -> Finding {
    let found = format!(
        "this is job {job}, but there is no squeue here: it can be neither requeued nor looked up"
    );
    let fix =
        "put Slurm's commands on PATH; in a container bind them, slurm.conf, and munge's socket";
    Finding::better(SLURM, found, fix)
}

/// The kind of the file system that a path is on, by `/proc/self/mountinfo` (proc_pid_mountinfo(5)); none
/// where that cannot be told. The path has no links in it.
pub fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = unescaped(before.split(' ').nth(4)?);
        Some((point, after.split(' ').next()?))
    });
    mounts
        .filter(|(point, _)| path.starts_with(point))
        // What is mounted last on the same point hides what is below.
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind)
}

/// Blanks and the like are written as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                whole.push(char::from(code));
                whole.push_str(&part[3..]);
            }
            None => {
                whole.push('\\');
                whole.push_str(part);
            }
        }
    }
    whole.into()
}

/// Whether several hosts see a file system of this kind.
pub fn is_of_network(kind: &str) -> bool {
    let served = kind.starts_with("fuse.") && !FUSE_OF_HOST.contains(&kind);
    OF_NETWORKS.contains(&kind) || served
}

/// What is to be told of the directory in which the nodes of a job, or of a cluster, find each other.
pub fn shared(path: &Path, kind: Option<&str>, job: Option<&str>) -> Finding {
    let path = path.display();
    match kind {
        Some(kind) if is_of_network(kind) => Finding::ok(
            SHARED,
            format!("{path} is on {kind}, which all nodes can see"),
        ),
        Some(kind) => {
            let found = match job {
                Some(job) => format!(
                    "{path} is on {kind}, a disk of this node: the nodes of job {job} do not find each other \
                     there, so each runs on by itself"
                ),
                None => format!(
                    "{path} is on {kind}, a disk of this host: what jobs on other nodes write there is not \
                     seen here"
                ),
            };
            Finding::better(
                SHARED,
                found,
                "export CATRAIN_STATE_DIR on a file system that all nodes see, or --job-dir there",
            )
        }
        None => Finding::ok(
            SHARED,
            format!("on which file system {path} is cannot be told; all nodes should see it"),
        ),
    }
}

/// What the nodes' clocks say: lines of `node seconds`.
pub fn clocks(text: &str) -> Option<Finding> {
    let lines = text.lines().filter_map(|line| {
        let (node, seconds) = line.trim().split_once(' ')?;
        let seconds: f64 = seconds.trim().parse().ok()?;
        seconds.is_finite().then(|| (node.to_owned(), seconds))
    });
    let mut all: Vec<(String, f64)> = lines.collect();
    all.sort_by(|one, other| one.1.total_cmp(&other.1));
    let [(first, early), .., (last, late)] = all.as_slice() else {
        return None;
    };
    let apart = Duration::try_from_secs_f64(late - early).ok()?;
    let count = all.len();
    Some(match apart > APART {
        true => Finding::better(
            CLOCKS,
            format!(
                "those of {first} and {last} are {} apart: times in logs and of checkpoints do not compare \
                 (catrain itself does not depend on it)",
                words::duration(apart)
            ),
            format!("sudo timedatectl set-ntp true, on {first} and {last}"),
        ),
        false => Finding::ok(CLOCKS, format!("those of {count} nodes agree")),
    })
}

/// That the nodes' clocks were not told.
pub fn clocks_unknown(why: &str) -> Finding {
    let found = format!("whether they agree cannot be told ({why}); nothing depends on it");
    Finding::ok(CLOCKS, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    const CONFIG: &str = "Configuration data as of 2026-11-28T12:00:00\n\
        AccountingStorageType   = accounting_storage/none\n\
        InactiveLimit           = 0 sec\n\
        JobRequeue              = 1\n\
        KillWait                = 30 sec\n\
        ProctrackType           = proctrack/cgroup\n";

    fn facts(config: &str) -> Facts {
        Facts {
            name: name("slurm-wlm 22.05.8\n"),
            settings: Ok(Settings::of_lines(config)),
            job: None,
            rights: Rights::default(),
            json: Json::default(),
            grace: Duration::from_secs(30),
            save: None,
        }
    }

    fn only(found: Vec<Finding>) -> (Outcome, String, String) {
        let [one] = found.try_into().unwrap_or_else(|all| panic!("{all:#?}"));
        (one.outcome, one.found, one.fix.unwrap_or_default())
    }

    #[test]
    fn a_sound_cluster_is_told_in_one_line() {
        let (outcome, found, _) = only(judge(&facts(CONFIG)));
        assert_eq!(outcome, Outcome::Ok);
        assert_eq!(
            found,
            "Slurm 22.05.8; jobs may be requeued; whether you are an operator, who may `suspend`, cannot be \
             told: no accounting; sacct is empty, catrain keeps records of its own; a job that is to end \
             gets 30 s until KILL; all of a step ends with its supervisor (proctrack/cgroup); squeue speaks \
             no JSON (none is needed)"
        );
        let mut with = facts(&CONFIG.replace("/none", "/slurmdbd"));
        with.rights = Rights::of("\nOperator\n");
        let (_, found, _) = only(judge(&with));
        assert!(found.contains("you are Operator: `suspend` may be used"));
        assert!(!found.contains("sacct"), "{found}");
        with.rights = Rights::of("None\n");
        assert!(only(judge(&with)).1.contains("you are no operator"));
        with.rights = Rights::of("");
        assert!(only(judge(&with)).1.contains("does not know this user"));
    }

    #[test]
    fn json_is_told_with_how_it_writes_a_state() {
        let old = r#"{"meta": {"plugin": {"type": "openapi/v0.0.38"}}, "jobs": [{"job_state": "RUNNING"}]}"#;
        let new = r#"{"meta": {"plugin": {"type": "openapi/slurmctld", "data_parser": "data_parser/v0.0.40"}},
            "jobs": [{"job_state": ["RUNNING"]}]}"#;
        for (text, told) in [
            (
                old,
                "squeue speaks JSON openapi/v0.0.38, with job_state as text",
            ),
            (
                new,
                "squeue speaks JSON data_parser/v0.0.40, with job_state as a list",
            ),
            (r#"{"jobs": []}"#, "squeue speaks JSON (none is needed)"),
            ("squeue: unrecognized option", "squeue speaks no JSON"),
        ] {
            assert!(
                Json::of(text).told().starts_with(told),
                "{}",
                Json::of(text).told()
            );
        }
    }

    #[test]
    fn a_job_that_cannot_be_requeued_is_told_with_what_makes_it_so() {
        let judged = |words: &str| {
            let mut facts = facts(CONFIG);
            facts.job = Some(Inside {
                job: "17".to_owned(),
                fields: Ok(Settings::of_words(words)),
            });
            only(judge(&facts))
        };
        let (outcome, found, _) = judged("JobId=17 Requeue=1 BatchFlag=1");
        assert!(outcome == Outcome::Ok && found.contains("job 17 may be requeued"));
        let (outcome, _, fix) = judged("JobId=17 Requeue=0 BatchFlag=1");
        assert_eq!(outcome, Outcome::CouldBeBetter);
        assert_eq!(fix, "scontrol update JobId=17 Requeue=1");
        let (outcome, _, fix) = judged("JobId=17 Requeue=1 BatchFlag=0");
        assert!(outcome == Outcome::CouldBeBetter && fix.starts_with("submit it with sbatch"));
        // What the cluster does for others is not this job's.
        let mut facts = facts(&CONFIG.replace("JobRequeue              = 1", "JobRequeue = 0"));
        assert!(only(judge(&facts)).2.starts_with("sbatch --requeue"));
        facts.job = Some(Inside {
            job: "17".to_owned(),
            fields: Ok(Settings::of_words("Requeue=1 BatchFlag=1")),
        });
        assert_eq!(only(judge(&facts)).0, Outcome::Ok);
        facts.job.as_mut().unwrap().fields = Err("it is silent".to_owned());
        assert!(only(judge(&facts)).1.contains("it is silent"));
    }

    #[test]
    fn what_is_shorter_than_a_save_is_told_by_what_was_measured_and_else_by_the_grace_period() {
        let judged = |wait: &str, save: Option<u64>| {
            let mut facts = facts(&CONFIG.replace("= 30 sec", wait));
            facts.save = save.map(Duration::from_secs);
            only(judge(&facts))
        };
        assert_eq!(judged("= 30 sec", None).0, Outcome::Ok);
        let (outcome, found, fix) = judged("= 5 sec", None);
        assert!(outcome == Outcome::CouldBeBetter && found.contains("grace period of 30 s"));
        assert!(fix.starts_with("KillWait=30 in slurm.conf"), "{fix}");
        assert_eq!(judged("= 5 sec", Some(2)).0, Outcome::Ok);
        let (outcome, found, fix) = judged("= 30 sec", Some(40));
        assert!(outcome == Outcome::CouldBeBetter && found.contains("saving has taken 40 s"));
        assert!(fix.contains("--signal=B:TERM@80"), "{fix}");
    }

    #[test]
    fn an_srun_that_may_be_given_up_and_a_controller_that_is_silent_are_told() {
        let limit = facts(&CONFIG.replace("= 0 sec", "= 120 sec"));
        assert!(only(judge(&limit)).2.contains("srun catrain run"));
        let mut silent = facts(CONFIG);
        silent.settings = Err("`scontrol` gave no answer within 2 s".to_owned());
        let (outcome, found, fix) = only(judge(&silent));
        assert!(outcome == Outcome::CouldBeBetter && fix.starts_with("scontrol ping"));
        assert!(found.contains("gave no answer"), "{found}");
    }

    #[test]
    fn the_innermost_and_last_mount_of_a_path_counts() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            30 22 0:44 / /home rw - nfs4 server:/home rw\n\
            31 30 0:45 / /home/a\\040b rw - tmpfs tmpfs rw\n\
            32 22 0:46 / /scratch rw - xfs /dev/sdb rw\n\
            33 32 0:47 / /scratch rw - lustre mgs:/scratch rw\n";
        for (path, kind) in [
            ("/var/x", "ext4"),
            ("/home/ada/.local", "nfs4"),
            ("/homes", "ext4"),
            ("/home/a b/c", "tmpfs"),
            ("/scratch/x", "lustre"),
        ] {
            assert_eq!(file_system(mounts, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(file_system("nonsense", Path::new("/x")), None);
        for kind in [
            "nfs",
            "nfs4",
            "lustre",
            "gpfs",
            "beegfs",
            "ceph",
            "fuse.sshfs",
        ] {
            assert!(is_of_network(kind), "{kind}");
        }
        for kind in ["ext4", "xfs", "tmpfs", "overlay", "fuseblk", "fuse.lxcfs"] {
            assert!(!is_of_network(kind), "{kind}");
        }
    }

    #[test]
    fn clocks_that_are_a_minute_apart_are_told_with_whose_they_are() {
        let text = "n1 1795866000.25\nn3 1795866061.5\nn2 1795866000.75\n";
        let (outcome, found, fix) = only(clocks(text).into_iter().collect());
        assert_eq!(outcome, Outcome::CouldBeBetter);
        assert!(found.starts_with("those of n1 and n3 are "), "{found}");
        assert_eq!(fix, "sudo timedatectl set-ntp true, on n1 and n3");
        let close = clocks("n1 1795866000.25\nn2 1795866001.75\n").unwrap();
        assert_eq!(
            (close.outcome, close.found.as_str()),
            (Outcome::Ok, "those of 2 nodes agree")
        );
        assert_eq!(clocks("srun: error\n"), None);
    }
}
