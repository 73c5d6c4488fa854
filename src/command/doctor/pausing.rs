//! What of this user's jobs a stop may harm: launchers of several ranks without a preset, commands that
//! did not survive a pause, and variables of NCCL that do not go with stops.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

use super::around::Around;
use super::processes;
use crate::command::run::memory::{Memory, fingerprint};
use crate::doctor::Finding;
use crate::doctor::collectives;
use crate::executor::names_a_launcher;
use crate::ledger::entry::Begin;
use crate::ledger::runs::{RunRef, list_runs};
use crate::presets::{PRESETS, preset};
use crate::supervise::settings::RANKS_STOP;
use crate::words;

const NAME: &str = "pausing";
/// Runs that are older tell nothing of what is done now.
const RECENT: jiff::SignedDuration = jiff::SignedDuration::from_hours(90 * 24);
/// Longest wait for the memory's disk.
const PATIENCE: Duration = Duration::from_secs(1);
/// Processes of live jobs whose environment is read, and bytes of each.
const JOBS: usize = 512;
const ENVIRONMENT: u64 = 1 << 20;

/// All of it.
pub(super) fn pausing(around: &Around) -> Vec<Finding> {
    let state = around.directories.state.as_deref();
    let runs = match state.map(list_runs) {
        None => Vec::new(),
        Some(Ok(runs)) => runs,
        Some(Err(error)) => {
            let found = format!("past runs cannot be read: {error}");
            let fix = "chmod u+rwx the state directory and `runs` in it";
            return vec![Finding::better(NAME, found, fix)];
        }
    };
    let runs: Vec<(&RunRef, &Begin)> = (runs.iter())
        .filter(|run| around.now.duration_since(run.started) < RECENT)
        .filter_map(|run| Some((run, run.begin.as_deref()?)))
        .collect();
    let memory = state.map(|state| Memory::read(state, PATIENCE));
    let mut found = launchers(&runs);
    found.extend(deaths(&runs, &memory.unwrap_or_default()));
    found.extend(collective_hazards(around, &runs));
    if found.is_empty() {
        found.push(Finding::ok(
            NAME,
            format!(
                "nothing seen that a stop harms; several ranks are stopped for {} at most; {}",
                words::duration(RANKS_STOP),
                presets()
            ),
        ));
    }
    found
}

/// What each preset was tried with.
fn presets() -> String {
    let untested = PRESETS.iter().filter(|preset| preset.tried == "untested");
    let untested: Vec<&str> = untested.map(|preset| preset.name).collect();
    let tried = PRESETS.iter().filter(|preset| preset.tried != "untested");
    let mut told: Vec<String> = tried
        .map(|preset| format!("{} {}", preset.name, preset.tried))
        .collect();
    if !untested.is_empty() {
        told.push(format!("{} untested", untested.join(", ")));
    }
    format!("presets: {}", told.join("; "))
}

/// Launchers that were last used without saying how their ranks survive a stop.
fn launchers(runs: &[(&RunRef, &Begin)]) -> Vec<Finding> {
    // Of each launcher in each directory only the last run counts.
    let mut last: BTreeMap<(String, &str), (&RunRef, &Begin)> = BTreeMap::new();
    for (run, begin) in runs {
        if let Some(launcher) = launcher_of(&begin.command) {
            last.insert((launcher, &begin.directory), (run, begin));
        }
    }
    let mut hazards: BTreeMap<String, Vec<&RunRef>> = BTreeMap::new();
    for ((launcher, _), (run, begin)) in last {
        if !says_how(begin.options.as_deref().unwrap_or_default()) {
            hazards.entry(launcher).or_default().push(run);
        }
    }
    let told = hazards.into_iter().map(|(launcher, mut runs)| {
        runs.sort_by_key(|run| run.started);
        let (count, id) = (runs.len(), runs.last().map_or("", |run| &run.id));
        let seen = match count {
            1 => format!("seen in {id}"),
            count => format!("seen in {count} places, last in {id}"),
        };
        Finding::better(
            NAME,
            format!("{launcher} {seen}: its ranks may not survive a stop, so that it is held and never paused"),
            how(&launcher),
        )
    });
    told.collect()
}

/// The launcher that a command names.
fn launcher_of(command: &[String]) -> Option<String> {
    let named = |word: &&String| names_a_launcher(&[OsString::from(word)]);
    let word = command.iter().find(named)?;
    let name = word.rsplit('/').next().unwrap_or(word);
    Some(name.to_owned())
}

/// Whether the options of a run say how it is to be paused.
fn says_how(options: &[String]) -> bool {
    options.iter().any(|option| {
        let name = option.split('=').next().unwrap_or_default();
        matches!(name, "--preset" | "--pause-with")
    })
}

fn how(launcher: &str) -> String {
    let name = match launcher {
        "torchrun" | "torch.distributed.run" | "torch.distributed.launch" => Some("torchrun"),
        "accelerate" | "accelerate.commands.launch" => Some("huggingface"),
        _ => None,
    };
    match name.and_then(preset) {
        Some(preset) => format!(
            "--preset {} --checkpoint-path 'ckpt/*.pt', with where it saves (the preset is {})",
            preset.name, preset.tried
        ),
        None => "--pause-with checkpoint --checkpoint-to ranks --checkpoint-path 'ckpt/*.pt', with where \
                 it saves; the script must save on USR1"
            .to_owned(),
    }
}

/// Commands that failed soon after they were last continued.
fn deaths(runs: &[(&RunRef, &Begin)], memory: &Memory) -> Vec<Finding> {
    let mut died: BTreeMap<String, (&RunRef, &Begin)> = BTreeMap::new();
    for (run, begin) in runs.iter().filter(|(_, begin)| !begin.is_redacted) {
        let command: Vec<OsString> = begin.command.iter().map(OsString::from).collect();
        let key = fingerprint(begin.directory.as_ref(), &command);
        if memory.died_after_resume(&key) {
            died.insert(key, (run, begin));
        }
    }
    let told = died.into_values().map(|(run, begin)| {
        Finding::better(
            NAME,
            format!(
                "{} ({}) failed soon after it was last continued: it is held and no longer paused",
                begin.name, run.id
            ),
            "--pause-with checkpoint or restart, if it saves its state; else --pause-with stop: one pause \
             that it survives, and this is forgotten",
        )
    });
    told.collect()
}

/// Variables of NCCL in this shell, in live jobs and in past commands.
fn collective_hazards(around: &Around, runs: &[(&RunRef, &Begin)]) -> Vec<Finding> {
    let here = collectives::VARIABLES
        .iter()
        .filter_map(|name| Some((*name, around.text(name)?)));
    let mut places = vec![("this shell".to_owned(), here.collect::<Vec<_>>())];
    let (live, past): (Vec<_>, Vec<_>) =
        (runs.iter()).partition(|(_, begin)| is_live(around, begin));
    let all = processes::list(&around.root);
    for (run, begin) in live {
        let job = processes::below(&all, &[begin.pid]);
        let set = job.iter().take(JOBS).find_map(|pid| {
            let path = around.root.join(format!("proc/{pid}/environ"));
            let mut bytes = Vec::new();
            let read =
                File::open(path).and_then(|file| file.take(ENVIRONMENT).read_to_end(&mut bytes));
            read.ok()?;
            let set = collectives::in_environment(&bytes);
            (!set.is_empty()).then_some(set)
        });
        let words = begin.command.iter().map(String::as_str);
        let set = set.unwrap_or_else(|| collectives::in_words(words));
        places.push((run.id.clone(), set));
    }
    // What was done there last is what will be done again.
    let mut last: BTreeMap<&str, (String, Vec<_>)> = BTreeMap::new();
    for (run, begin) in past {
        let words = begin.command.iter().map(String::as_str);
        last.insert(
            &begin.directory,
            (run.id.clone(), collectives::in_words(words)),
        );
    }
    places.extend(last.into_values());
    let mut told: BTreeMap<String, (Vec<String>, String)> = BTreeMap::new();
    for (place, set) in places {
        let value = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name)?;
            Some(found.1.clone())
        };
        for hazard in collectives::hazards(value) {
            let entry = told.entry(hazard.means).or_insert((Vec::new(), hazard.fix));
            entry.0.push(place.clone());
        }
    }
    (told.into_iter())
        .map(|(means, (places, fix))| {
            let found = format!("{means} (in {})", places.join(", "));
            Finding::better(NAME, found, fix)
        })
        .collect()
}

/// Whether the supervisor of a run is there, under the root.
fn is_live(around: &Around, begin: &Begin) -> bool {
    let boot = around.read("proc/sys/kernel/random/boot_id");
    let is_this_boot = boot.is_some_and(|boot| boot.trim() == begin.boot_id);
    is_this_boot
        && processes::one(&around.root, begin.pid)
            .is_some_and(|seen| seen.start_ticks == begin.start_ticks && seen.state != 'Z')
}
