//! What a run needs to know before it begins: the zone, the day to replay, the past and the
//! surroundings.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::background::Sources;
use super::memory::{self, Memory};
use super::settings;
use crate::cli::RunArgs;
use crate::clock::utc_now;
use crate::command::sources::Settled;
use crate::config::Config;
use crate::error::{Failure, Kind};
use crate::forecast::zones::{self, Unresolved};
use crate::plan::Policy;
use crate::source::{self, Name, ReplayDay, SourceError};
use crate::surroundings;

/// Stands in the records where no zone is known.
pub(super) const UNKNOWN_ZONE: &str = "unknown";
/// Longest wait for the disk where something small is read before the start.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// What a run needs to know before it begins.
pub(super) struct Prepared {
    /// The grid zone, or why there is none.
    pub(super) zone: String,
    pub(super) zone_notice: Option<String>,
    /// The zone that the memory knows, or would learn again.
    pub(super) last_zone: Option<String>,
    pub(super) replay: Option<ReplayDay>,
    /// The present, in a replay the replayed one.
    pub(super) now: Timestamp,
    pub(super) state: Option<PathBuf>,
    /// The command in this directory, as the memory knows it.
    pub(super) fingerprint: String,
    pub(super) usual: Option<Duration>,
    /// It failed soon after it was continued, when it was last paused.
    pub(super) died_after_resume: bool,
    pub(super) surroundings: surroundings::Surroundings,
    pub(super) directory: PathBuf,
    /// How long the job has run already, where this run continues another.
    pub(super) ran_before: Duration,
}

pub(super) fn prepare(args: &RunArgs, config: &Config) -> Result<Prepared, Failure> {
    let directory = match &args.attach {
        Some(attach) => attach.directory.clone(),
        None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
    };
    let mut prepared = prepare_for(args, config, directory)?;
    prepared.surroundings = surroundings::look(|name| std::env::var(name).ok());
    Ok(prepared)
}

/// The same for a run that is to be somewhere else, in this directory: nothing is known of what
/// surrounds it there.
pub(super) fn prepare_for(
    args: &RunArgs,
    config: &Config,
    directory: PathBuf,
) -> Result<Prepared, Failure> {
    let wall = utc_now();
    let state = crate::dirs::state();
    // The job waits for this disk only where what it holds is of use.
    let is_of_use =
        (args.zone.is_none() && config.zone.is_none()) || settings::policy(args) != Policy::Now;
    let memory = match &state {
        Some(state) if is_of_use => Memory::read(state, PATIENCE),
        _ => Memory::default(),
    };
    let fingerprint = memory::fingerprint(&directory, &remembered_as(args));
    let replay = match &args.replay {
        Some(spec) => {
            Some(source::replay(spec, args.zone.as_deref(), wall).map_err(source_failure)?)
        }
        None => None,
    };
    let (zone, zone_notice) = match &replay {
        Some(day) => (day.zone.clone(), None),
        None => {
            let told = args.source.iter().find_map(Name::zone);
            let set = config.zone.as_ref().map(|set| set.value.as_str());
            zone_of(args.zone.as_deref().or(told.as_deref()).or(set), &memory)?
        }
    };
    Ok(Prepared {
        zone,
        zone_notice,
        last_zone: if is_of_use {
            memory.zone.clone()
        } else {
            args.zone.clone()
        },
        now: replay.as_ref().map_or(wall, |day| day.from),
        replay,
        usual: memory.usual(&fingerprint),
        died_after_resume: memory.died_after_resume(&fingerprint),
        state,
        fingerprint,
        surroundings: surroundings::Surroundings::default(),
        directory,
        ran_before: Duration::ZERO,
    })
}

/// The command by which the length of a run is remembered. Slurm gives each job's script a file of its own,
/// so the name of what was submitted stands for it.
fn remembered_as(args: &RunArgs) -> Vec<OsString> {
    match (&args.name, args.command.split_first()) {
        (Some(name), Some((_, arguments))) if args.submitted => {
            let name = OsString::from(format!("slurm:{name}"));
            std::iter::once(name)
                .chain(arguments.iter().cloned())
                .collect()
        }
        _ => args.command.clone(),
    }
}

/// What a run asks for, whatever the configuration says.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    names: Vec<Name>,
    account_with: Option<Name>,
    pub(super) offline: bool,
    zone: String,
    /// Then no source is asked.
    is_replay: bool,
}

impl Asking {
    pub(super) fn of(args: &RunArgs, prepared: &Prepared) -> Self {
        Self {
            names: args.source.clone(),
            account_with: args.account_with.clone(),
            offline: args.offline,
            zone: prepared.zone.clone(),
            is_replay: prepared.replay.is_some(),
        }
    }

    /// The sources of the run, as they were named or are configured.
    ///
    /// # Errors
    /// The second account would be of the same numbers as the first.
    pub(super) fn sources(&self, settled: Settled) -> Result<Sources, Failure> {
        let names = settled.names(&self.names);
        let Settled { config, chain, .. } = settled;
        let set = config.account_with.map(|set| set.value);
        let account_with = self.account_with.clone().or(set);
        let account_with = account_with.filter(|_| !self.is_replay);
        if let Some(name) = &account_with {
            let second = chain.basis(std::slice::from_ref(name), &self.zone);
            if second == chain.basis(&names, &self.zone) {
                return Err(Failure::usage(format!(
                    "`--account-with {name}` accounts by the same signal as the plan: {second}"
                ))
                .hint("name a source of another signal, such as watttime beside an average"));
            }
        }
        Ok(Sources {
            chain,
            names,
            account_with,
        })
    }
}

fn source_failure(error: SourceError) -> Failure {
    let hint = format!("{}; nothing was started", error.hint());
    Failure::new(Kind::Usage, error).hint(hint)
}

/// The zone given, else this user's last, else a guess. Without any the job still runs: neither
/// held nor paused, and without grams.
fn zone_of(given: Option<&str>, memory: &Memory) -> Result<(String, Option<String>), Failure> {
    let last = memory.zone.as_deref();
    // Finding the time zone's name may mean to look through all that there are.
    let time_zone = given.or(last).is_none().then(TimeZone::system);
    let iana = time_zone.as_ref().and_then(TimeZone::iana_name);
    match zones::resolve(given.or(last), iana) {
        Ok(resolved) => {
            let notice = match (given, last) {
                (None, Some(last)) => Some(format!("zone {last}, as last time (-z to change it)")),
                _ => resolved.announcement(),
            };
            Ok((resolved.zone.zone.to_owned(), notice))
        }
        Err(Unresolved::Unknown(unknown)) if given.is_some() => {
            let hint = format!("{}; nothing was started", unknown.hint());
            Err(Failure::usage(unknown.to_string()).hint(hint))
        }
        Err(why) => {
            let notice =
                format!("{why}: the job runs, and is neither held nor paused (-z ZONE lets it)");
            Ok((UNKNOWN_ZONE.to_owned(), Some(notice)))
        }
    }
}
