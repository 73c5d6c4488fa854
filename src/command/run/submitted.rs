//! A run that is to be inside a job of Slurm's: planned here by the same rules, settings and sources as it
//! is there, before there is anything to supervise.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::background::{Sources, learned};
use super::prepare::{self, Asking, UNKNOWN_ZONE};
use super::{settings, typed};
use crate::caller::block_on;
use crate::cli::RunArgs;
use crate::command::configured::Configured;
use crate::command::sources::Settled;
use crate::error::{Failure, Kind};
use crate::executor::Inherited;
use crate::forecast::ahead::ahead;
use crate::forecast::{Knowledge, Outlook};
use crate::source::telling::{Telling, Word};
use crate::supervise::machine::{HORIZON_HOURS, PauseWith, Settings};

/// What is planned of such a run.
pub(in crate::command) struct Outset {
    /// What it is asked for.
    pub(in crate::command) settings: Settings,
    /// The policy's name.
    pub(in crate::command) policy: &'static str,
    /// The grid zone; none: nobody knows where the job is.
    pub(in crate::command) zone: Option<String>,
    /// What to say about all that.
    pub(in crate::command) notices: Vec<String>,
    /// Whether nothing was given that lets it wait.
    pub(in crate::command) is_earned: bool,
    sources: Sources,
    is_offline: bool,
    /// A day to live out again: what is known of it, its beginning, and how many times faster it passes.
    replay: Option<(Knowledge, Timestamp, f64)>,
}

/// The time that is planned in, and the real one: the same but in a replay.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Times {
    /// Now, really.
    pub(in crate::command) real: Timestamp,
    /// Now, for the plan.
    pub(in crate::command) planned: Timestamp,
    speed: f64,
}

impl Times {
    /// A planned time as a real one.
    pub(in crate::command) fn really(self, at: Timestamp) -> Timestamp {
        moved(self.real, at.duration_since(self.planned), 1.0 / self.speed)
    }

    /// A real time as the plan has it.
    pub(in crate::command) fn for_plan(self, at: Timestamp) -> Timestamp {
        moved(self.planned, at.duration_since(self.real), self.speed)
    }
}

fn moved(from: Timestamp, by: SignedDuration, factor: f64) -> Timestamp {
    if factor == 1.0 {
        return from.saturating_add(by).unwrap_or(from);
    }
    let by = SignedDuration::try_from_secs_f64(by.as_secs_f64() * factor);
    from.saturating_add(by.unwrap_or_default()).unwrap_or(from)
}

/// What the run inside the job is asked for, and whom it asks. `args` has what was typed and is set.
///
/// # Errors
/// Flags that contradict each other, a deadline that is past, a zone that is not known.
pub(in crate::command) fn outset(
    args: &RunArgs,
    configured: &Configured,
    directory: PathBuf,
    inherited: &Inherited,
) -> Result<Outset, Failure> {
    settings::check(args)?;
    let settled = Settled::by(configured.config.clone(), &configured.read, args.offline);
    let prepared = prepare::prepare_for(args, &settled.config, directory)?;
    let mut notices = settled.passed_by.clone();
    let figures = settings::figures(args, &settled.config);
    let sources = Asking::of(args, &prepared).sources(settled)?;
    let planned = settings::plan(args, &prepared, &figures, inherited)?;
    notices.extend(planned.notices);
    let replay = prepared.replay.as_ref();
    let replay = replay.map(|day| (day.knowledge.clone(), day.from, args.speed));
    if replay.is_some() {
        notices.push("a replay: what is planned of that day is not really saved".to_owned());
    }
    Ok(Outset {
        replay,
        settings: planned.settings,
        policy: settings::policy_name(args),
        zone: Some(prepared.zone).filter(|zone| zone != UNKNOWN_ZONE),
        notices,
        is_earned: planned.earned,
        sources,
        is_offline: args.offline,
    })
}

/// What is known once the sources were asked.
#[derive(Debug, Default)]
pub(in crate::command) struct Asked {
    /// The intensity ahead; none: nothing is known.
    pub(in crate::command) outlook: Option<Outlook>,
    /// What to say of it.
    pub(in crate::command) lines: Vec<String>,
    /// Which sources failed, and why.
    pub(in crate::command) trouble: Option<String>,
}

impl Outset {
    /// The time that it is planned in, when it is really `now`.
    pub(in crate::command) fn times(&self, now: Timestamp) -> Times {
        let replay = self.replay.as_ref();
        let (planned, speed) = replay.map_or((now, 1.0), |(_, from, speed)| (*from, *speed));
        Times {
            real: now,
            planned,
            speed,
        }
    }

    /// Whether another day is lived out.
    pub(in crate::command) fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// How it is paused.
    pub(in crate::command) fn pause_with(&self) -> PauseWith {
        self.settings.pausing.with
    }

    /// The intensity ahead, and what to say of it. Each source is asked once; what was known before, and what
    /// is built in, stands in for those that give nothing.
    ///
    /// # Errors
    /// There is no runtime to ask by.
    pub(in crate::command) fn ask(&self, now: Timestamp) -> Result<Asked, Failure> {
        if let Some((knowledge, ..)) = &self.replay {
            let knowledge = learned(knowledge.clone(), now);
            return Ok(Asked {
                outlook: ahead(now, &knowledge, HORIZON_HOURS),
                ..Asked::default()
            });
        }
        let Some(zone) = &self.zone else {
            return Ok(Asked::default());
        };
        let Sources { chain, names, .. } = &self.sources;
        let asked = block_on(chain.gather(names, zone, now));
        let mut gathered = asked.map_err(|error| Failure::new(Kind::Failed, error))??;
        let trouble = gathered.trouble.as_ref().map(ToString::to_string);
        let mut lines = Vec::new();
        for word in Telling::default().words(&gathered, chain.caller().changes()) {
            lines.push(match word {
                Word::Trouble(text) => format!("warning: {text}"),
                Word::Note(text) => text,
            });
        }
        if let Some(of) = gathered.of.take() {
            chain.learn(&of, &mut gathered.knowledge, now);
        }
        let knowledge: Arc<Knowledge> = learned(gathered.knowledge, now);
        Ok(Asked {
            outlook: ahead(now, &knowledge, HORIZON_HOURS),
            lines,
            trouble,
        })
    }

    /// Whom it asks and for what, as a key: whoever asks the same need not ask again.
    pub(in crate::command) fn asks(&self) -> String {
        let Sources { chain, names, .. } = &self.sources;
        let zone = self.zone.as_deref().unwrap_or(UNKNOWN_ZONE);
        let names = chain.in_force(names, zone);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        format!("{zone} {} {}", self.is_offline, names.join(","))
    }
}

/// The options of the run inside the job, as they were typed; a deadline as the time that it meant.
pub(in crate::command) fn options(
    arguments: impl IntoIterator<Item = OsString>,
    deadline: Option<Timestamp>,
) -> (Vec<String>, bool) {
    typed::texts(&typed::options_of_submit(arguments, deadline))
}

/// From asking the job to end to killing it.
pub(in crate::command) fn grace(args: &RunArgs) -> Duration {
    settings::grace(args)
}
