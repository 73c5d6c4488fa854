//! Configuration, zone and clocks.

use std::time::Duration;

use jiff::Timestamp;

use super::around::Around;
use crate::command::run::memory::Memory;
use crate::config::Layer;
use crate::doctor::Finding;
use crate::forecast::builtin::Average;
use crate::forecast::zones::{self, Unresolved};
use crate::words::duration;

/// Longest wait for the memory's disk.
const PATIENCE: Duration = Duration::from_secs(1);
/// Problems of the configuration that are told one by one.
const TOLD: usize = 5;
/// Nobody runs this program before it was written: 2026-01-01.
const FIRST: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// BOOTTIME and MONOTONIC may differ by so much for being read one after the other.
const APART: Duration = Duration::from_secs(1);

/// The files: right, passed by, or wrong.
pub(super) fn configuration(around: &Around) -> Vec<Finding> {
    const NAME: &str = "configuration";
    let (_, passed_by) = match &around.configuration {
        Ok(loaded) => loaded,
        Err(problems) => {
            let told = problems.0.iter().take(TOLD).map(|problem| {
                let fix = "correct it there; until then no run starts";
                Finding::broken(NAME, problem.to_string(), fix)
            });
            let mut told: Vec<Finding> = told.collect();
            let more = problems.0.len().saturating_sub(TOLD);
            if more > 0 {
                let found = format!("{more} more problems");
                told.push(Finding::broken(NAME, found, "correct these first"));
            }
            return told;
        }
    };
    if !passed_by.is_empty() {
        let told = passed_by.iter().map(|why| {
            let mut paths = around.files.iter().filter_map(path_of);
            let path = paths.find(|path| why.starts_with(&path.display().to_string()));
            let fix = match path.and_then(|path| Some((path, path.parent()?))) {
                Some((path, around)) if why.contains("others may write") => {
                    format!("chmod go-w {} {}", path.display(), around.display())
                }
                _ => format!("put what you want of it in {}", own_file(around)),
            };
            Finding::better(NAME, why, fix)
        });
        return told.collect();
    }
    let read: Vec<String> = (around.files.iter())
        .filter_map(path_of)
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    let found = match read.as_slice() {
        [] => "no file; what is built in is in force".to_owned(),
        files => format!("{} is right", files.join(", ")),
    };
    vec![Finding::ok(NAME, found)]
}

fn path_of(layer: &Layer) -> Option<&std::path::Path> {
    match layer {
        Layer::System(path) | Layer::User(path) | Layer::Project(path) => Some(path),
        Layer::Environment(_) => None,
    }
}

/// The zone that a run would have now, and where that is from.
pub(super) fn zone_of(around: &Around) -> Result<(&'static Average, String, bool), Unresolved> {
    let config = around.config();
    if let Some(given) = &around.zone {
        let from = match around.text("CATRAIN_ZONE").as_ref() == Some(given) {
            true => "from CATRAIN_ZONE",
            false => "as given",
        };
        let zone = zones::find(given).map_err(Unresolved::Unknown)?;
        return Ok((zone, from.to_owned(), true));
    }
    if let Some(set) = &config.zone {
        let zone = zones::find(&set.value).map_err(Unresolved::Unknown)?;
        return Ok((zone, format!("from {}", set.by), true));
    }
    let memory = (around.directories.state.as_ref()).map(|state| Memory::read(state, PATIENCE));
    if let Some(last) = memory.and_then(|memory| memory.zone) {
        let zone = zones::find(&last).map_err(Unresolved::Unknown)?;
        return Ok((zone, "as in your last run".to_owned(), true));
    }
    let resolved = zones::resolve(None, around.time_zone.iana_name())?;
    let from = resolved.guessed_from.unwrap_or_default();
    let from = format!("guessed from the time zone {from}");
    Ok((resolved.zone, from, false))
}

/// Which zone, and how we know.
pub(super) fn zone(around: &Around) -> Vec<Finding> {
    const NAME: &str = "zone";
    let file = own_file(around);
    vec![match zone_of(around) {
        Ok((zone, from, true)) => {
            Finding::ok(NAME, format!("{} ({}), {from}", zone.zone, zone.name))
        }
        Ok((zone, from, false)) => Finding::better(
            NAME,
            format!("{} ({}), {from}", zone.zone, zone.name),
            format!("zone = \"{}\" in {file}, if that is right", zone.zone),
        ),
        Err(Unresolved::Unknown(unknown)) => {
            Finding::broken(NAME, unknown.to_string(), unknown.hint())
        }
        Err(why) => Finding::broken(
            NAME,
            format!("{why}: runs are neither held nor paused, and have no grams"),
            format!(
                "export CATRAIN_ZONE=DE, or zone = \"DE\" in {file}; `catrain zones` lists all"
            ),
        ),
    }]
}

/// The file that the user sets things in.
pub(super) fn own_file(around: &Around) -> String {
    let own = around.directories.config.as_ref();
    own.map_or_else(
        || "config.toml".to_owned(),
        |own| own.join("config.toml").display().to_string(),
    )
}

/// The time zone, the wall clock and the two that count.
pub(super) fn clock(around: &Around) -> Vec<Finding> {
    const NAME: &str = "clock";
    let mut found = Vec::new();
    if around.now < FIRST {
        let what = format!("the clock says {}, which is over", around.now);
        found.push(Finding::broken(
            NAME,
            what,
            "sudo timedatectl set-ntp true, or sudo date -s '2026-11-25 09:00'",
        ));
    }
    if around.time_zone.is_unknown() {
        found.push(Finding::better(
            NAME,
            "the time zone is not known: times are told in UTC, and deadlines without a zone mean UTC",
            "export TZ=Europe/Berlin, or where you are; where that has no effect, install tzdata",
        ));
    }
    let (boottime, monotonic) = around.trials.clocks();
    if boottime + APART < monotonic {
        found.push(Finding::broken(
            NAME,
            format!(
                "BOOTTIME is {} behind MONOTONIC: this time namespace sets them apart, and how long a run \
                 takes is counted wrong",
                duration(monotonic - boottime)
            ),
            "start the container, or unshare --time, with equal offsets (/proc/self/timens_offsets)",
        ));
    }
    if found.is_empty() {
        let zone = crate::words::zone_name(&around.time_zone, around.now);
        let slept = boottime.saturating_sub(monotonic);
        let slept = match slept > APART {
            true => format!(
                "; this host has slept {} since it was started, which is counted apart",
                duration(slept)
            ),
            false => String::new(),
        };
        found.push(Finding::ok(NAME, format!("times are in {zone}{slept}")));
    }
    found
}
