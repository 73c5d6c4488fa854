//! Slurm, inside a job and outside: asked by its own commands, none of which is waited for for long.
//!
//! What its answers mean is in [`crate::doctor::slurm`]. Where there is no Slurm nothing is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::around::Around;
use crate::doctor::Finding;
use crate::doctor::slurm::{
    self, Facts, Inside, Json, Rights, clocks_unknown, file_system, judge, missing,
};
use crate::ledger::entry::{Entry, What};
use crate::ledger::{self, runs::list_runs};
use crate::parse;
use crate::patience::within;
use crate::slurm::place::Place;
use crate::slurm::settings::Settings;
use crate::slurm::tools::{ToolError, Tools, said};

/// How long each of its commands may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the nodes' clocks may take.
const CLOCKS: Duration = Duration::from_secs(3);
/// How long a disk may take.
const DISK: Duration = Duration::from_secs(1);
/// Of a job with more nodes so many are asked for their time: one that starts a process on each of a
/// thousand is a load.
const ASKED: u32 = 16;
/// Runs whose records are looked through for how long saving takes.
const RUNS: usize = 5;
/// The grace period unless another is configured.
const GRACE: Duration = Duration::from_secs(30);
/// Where Slurm's configuration may be, below the root; the last is where `slurmd` and `sackd` keep one
/// that they were sent.
const CONFIGURATIONS: [&str; 4] = [
    "etc/slurm/slurm.conf",
    "etc/slurm-llnl/slurm.conf",
    "usr/local/etc/slurm.conf",
    "run/slurm/conf/slurm.conf",
];

/// Slurm itself: versions, rights, settings.
pub(super) fn slurm(around: &Around) -> Vec<Finding> {
    if !is_here(around) {
        return Vec::new();
    }
    let job = around.text("SLURM_JOB_ID");
    let version = match ask(around, "squeue", &["--version"]) {
        Err(ToolError::Missing(_)) => return job.iter().map(|job| missing(job)).collect(),
        told => told.unwrap_or_default(),
    };
    let settings = ask(around, "scontrol", &["show", "config"]);
    let mut facts = Facts {
        name: slurm::name(&version),
        settings: match settings {
            Ok(text) => Ok(Settings::of_lines(&text)),
            Err(error) => Err(error.to_string()),
        },
        job: None,
        rights: Rights::Unasked,
        json: Json::None,
        grace: grace(around),
        save: None,
    };
    // A controller that is silent to one question is to the others.
    if let Ok(settings) = &facts.settings {
        facts.job = job.map(|job| {
            let told = ask(around, "scontrol", &["show", "job", "-o", &job]);
            let fields = told.map(|text| Settings::of_words(&text));
            let fields = fields.map_err(|error| error.to_string());
            Inside { job, fields }
        });
        if settings.has_accounting() {
            facts.rights = rights(around);
        }
        let json = ask(around, "squeue", &["--me", "--json"]);
        facts.json = json.map(|text| Json::of(&text)).unwrap_or_default();
        facts.save = longest_save(around);
    }
    judge(&facts)
}

/// The directory that the nodes share, where there are several.
pub(super) fn shared(around: &Around) -> Vec<Finding> {
    let config = around.config();
    let set = config.values.text("run.job-dir").map(PathBuf::from);
    let set = set.or_else(|| around.directories.state.clone());
    let Some(directory) = set.filter(|_| is_here(around)) else {
        return Vec::new();
    };
    let place = place(around);
    let has_several = match &place {
        Some(place) => place.nodes > 1,
        None => ask(around, "sinfo", &["-h", "-N", "-o", "%N"]).is_ok_and(|text| {
            let mut names = text.lines().map(str::trim);
            let first = names.next();
            names.any(|name| Some(name) != first)
        }),
    };
    if !has_several {
        return Vec::new();
    }
    // A disk that does not answer is told of with the directories.
    let looked_for = directory.clone();
    let real = within(DISK.min(around.left()), move || real(&looked_for)).ok();
    let mounts = around.read("proc/self/mountinfo").unwrap_or_default();
    let kind = real.and_then(|real| file_system(&mounts, &real).map(str::to_owned));
    let job = place.map(|place| place.id.to_string());
    vec![slurm::shared(&directory, kind.as_deref(), job.as_deref())]
}

/// The clocks of a job's nodes, where there are several.
pub(super) fn clocks(around: &Around) -> Vec<Finding> {
    let Some(place) = place(around).filter(|place| place.nodes > 1) else {
        return Vec::new();
    };
    let count = place.nodes.min(ASKED).to_string();
    let arguments = [
        "--overlap",
        "--immediate=2",
        "-N",
        &count,
        "-n",
        &count,
        "--ntasks-per-node=1",
        "sh",
        "-c",
        "echo $SLURMD_NODENAME $(date +%s.%N)",
    ];
    let tools = around.trials.slurm(CLOCKS.min(around.left()));
    match said(&*tools, "srun", &arguments) {
        Ok(text) => vec![
            slurm::clocks(&text).unwrap_or_else(|| clocks_unknown("srun gave no times of theirs")),
        ],
        Err(ToolError::Missing(_)) => Vec::new(),
        Err(error) => vec![clocks_unknown(&error.to_string())],
    }
}

/// Whether there is a Slurm to ask. Its commands may be installed without a cluster: asked then, they
/// would look for one by name.
fn is_here(around: &Around) -> bool {
    const TOLD: [&str; 3] = ["SLURM_JOB_ID", "SLURM_CONF", "SLURM_CONF_SERVER"];
    if TOLD.iter().any(|name| around.text(name).is_some()) {
        return true;
    }
    let path = around.text("PATH").unwrap_or_default();
    // One that was built for `/opt/slurm` is configured there.
    let own = std::env::split_paths(&path).filter_map(|folder| {
        let squeue = around.root.join(inside(&folder)?).join("squeue");
        let prefix = squeue.exists().then(|| folder.parent())??;
        Some(inside(prefix)?.to_owned())
    });
    let own = own.flat_map(|prefix| {
        ["etc/slurm.conf", "etc/slurm/slurm.conf"].map(|name| prefix.join(name))
    });
    let mut all = CONFIGURATIONS.iter().map(PathBuf::from).chain(own);
    all.any(|file| around.root.join(file).exists())
}

/// An absolute path as one below the root.
fn inside(path: &Path) -> Option<&Path> {
    path.strip_prefix("/").ok()
}

fn place(around: &Around) -> Option<Place> {
    Place::of(|name| around.text(name))
}

fn ask(around: &Around, program: &str, arguments: &[&str]) -> Result<String, ToolError> {
    let tools: Box<dyn Tools> = around.trials.slurm(PATIENCE.min(around.left()));
    said(&*tools, program, arguments)
}

fn rights(around: &Around) -> Rights {
    let Some(user) = around.text("USER").or_else(|| around.text("LOGNAME")) else {
        return Rights::Unknown("USER is not set".to_owned());
    };
    let arguments = ["-nP", "show", "user", &user, "format=adminlevel"];
    match ask(around, "sacctmgr", &arguments) {
        Ok(text) => Rights::of(&text),
        Err(error) => Rights::Unknown(error.to_string()),
    }
}

/// How long a job gets between asking and killing, as far as that is configured.
fn grace(around: &Around) -> Duration {
    let config = around.config();
    let set = config.values.text("run.grace").map(parse::duration);
    set.and_then(Result::ok).unwrap_or(GRACE)
}

/// The longest save of the last runs that was proved.
fn longest_save(around: &Around) -> Option<Duration> {
    let state = around.directories.state.clone()?;
    let look = move || {
        let runs = list_runs(&state).unwrap_or_default();
        let last = runs.iter().rev().take(RUNS);
        let entries = last.filter_map(|run| Some(ledger::read(&run.path).ok()?.entries));
        entries.flatten().filter_map(|entry| save(&entry)).max()
    };
    within(DISK.min(around.left()), look).ok().flatten()
}

fn save(entry: &Entry) -> Option<Duration> {
    match &entry.what {
        What::Saved {
            proof: Some(_),
            took_us,
        } => Some(Duration::from_micros(*took_us)),
        _ => None,
    }
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let mut above = path.ancestors();
    let found = above.find_map(|folder| {
        let rest = path.strip_prefix(folder).ok()?;
        Some(folder.canonicalize().ok()?.join(rest))
    });
    found.unwrap_or_else(|| path.to_owned())
}
