//! The sentences of alerts: what happened, why, and what one can do. Pure.
//!
//! Times are UTC and say so: whoever reads a message may be anywhere.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::forecast::Kind;
use crate::ledger::entry::{Exit, MeterFact};
use crate::plan::Fit;
use crate::units::{GramsCo2e, GramsPerKwh};
use crate::words::{self, duration};

/// What an alert says. Each is a sentence without a full stop, and the last two may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// What happened.
    pub what: String,
    /// Why, or how it is known.
    #[serde(default)]
    pub why: String,
    /// What one can do.
    #[serde(default)]
    pub advice: String,
}

/// `RUN` in advice stands for the run's id, which may not be known yet.
pub const RUN: &str = "{run}";

fn words(what: impl Into<String>, why: impl Into<String>, advice: impl Into<String>) -> Words {
    Words {
        what: what.into(),
        why: why.into(),
        advice: advice.into(),
    }
}

fn utc(at: Timestamp) -> String {
    format!(
        "{} UTC",
        at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M")
    )
}

pub(super) fn at_risk(fit: Fit, deadline: Timestamp, is: bool) -> Words {
    let due = utc(deadline);
    match fit {
        Fit::CannotBeMet { late } => words(
            "the deadline cannot be met",
            format!(
                "it is due {due} and will be about {} late; it runs without pausing",
                duration(late)
            ),
            "only less work or more speed helps",
        ),
        Fit::Tight => words(
            "the deadline is at risk",
            format!("it is due {due} and only just fits; it runs without pausing"),
            format!("catrain status {RUN} shows when it may be done"),
        ),
        Fit::Planned { spare } if is => words(
            "the deadline is at risk",
            format!("it is due {due}, with only {} to spare", duration(spare)),
            format!("catrain resume {RUN} lets it run without pauses"),
        ),
        Fit::Planned { spare } => words(
            "the deadline is not at risk any more",
            format!("it is due {due}, with {} to spare", duration(spare)),
            "",
        ),
    }
}

pub(super) fn missed(now: Timestamp, deadline: Timestamp, is_done: bool) -> Words {
    let late = duration(now.duration_since(deadline).unsigned_abs());
    let due = utc(deadline);
    match is_done {
        true => words(
            "the deadline was missed",
            format!("it was due {due} and is over {late} later"),
            format!("catrain report {RUN} shows where the time went"),
        ),
        false => words(
            "the deadline is missed",
            format!("it was due {due} and runs on"),
            format!("catrain status {RUN} shows when it may be done"),
        ),
    }
}

pub(super) fn kept(now: Timestamp, deadline: Timestamp) -> Words {
    let early = duration(deadline.duration_since(now).unsigned_abs());
    words("the deadline was kept", format!("{early} early"), "")
}

pub(super) fn budget(percent: u32, spent: GramsCo2e, budget: GramsCo2e) -> Words {
    words(
        format!("{percent} % of the carbon budget are used"),
        format!("{} of {}", words::mass(spent), words::mass(budget)),
        format!("catrain pause {RUN} holds it, catrain stop {RUN} ends it"),
    )
}

/// On which side of a limit the intensity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    Below,
}

pub(super) fn crossed(
    side: Side,
    zone: &str,
    now: GramsPerKwh,
    limit: GramsPerKwh,
    least: Duration,
    is: bool,
) -> Words {
    let (limit, now) = (words::intensity(limit), words::intensity(now));
    let (side, advice) = match side {
        Side::Above => (
            "above",
            format!("catrain pause {RUN} holds the job by hand"),
        ),
        Side::Below => ("below", "a good time to start what waits".to_owned()),
    };
    let title = match is {
        true => format!(
            "the intensity in {zone} has been {side} {limit} for {}",
            duration(least)
        ),
        false => format!("the intensity in {zone} is not {side} {limit} any more"),
    };
    let advice = if is { advice } else { String::new() };
    words(title, format!("it is {now} now"), advice)
}

pub(super) fn source(zone: &str, source: &str, kind: Kind, is: bool) -> Words {
    match is {
        true => words(
            format!("intensities of {zone} are worse than usual: {kind}"),
            format!("no better source answers than {source}"),
            "catrain doctor shows which sources answer",
        ),
        false => words(
            format!("intensities of {zone} are as they should be: {kind}"),
            format!("{source} answers"),
            "",
        ),
    }
}

pub(super) fn unproved(waited: Duration) -> Words {
    words(
        "a pause had no proof of a checkpoint",
        format!(
            "nothing proved within {} that the job had saved its state",
            duration(waited)
        ),
        format!(
            "look at --checkpoint-path and --checkpoint-timeout; catrain status {RUN} shows how it stands"
        ),
    )
}

pub(super) fn refused(why: &str) -> Words {
    words(
        "the job could not be paused",
        format!("{why}; it runs on"),
        "catrain doctor shows what keeps jobs from being paused",
    )
}

/// How a job ended, as what follows `the job`.
pub(super) fn exit_words(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Code(code)) => format!("ended with {code}"),
        Some(Exit::Signal(signal)) => format!("was ended by {}", words::signal(signal)),
        None => "ended, and nobody knows how".to_owned(),
    }
}

pub(super) fn restarted(attempt: u32, exit: Option<Exit>) -> Words {
    words(
        "the job failed and is started again",
        format!("start {attempt} {}", exit_words(exit)),
        format!("catrain logs {RUN} shows what a detached job wrote"),
    )
}

pub(super) fn failed(exit: Option<Exit>, why: Option<&str>) -> Words {
    let why = match (exit, why) {
        (None, Some(why)) => why.to_owned(),
        (exit, Some(why)) => format!("it {}: {why}", exit_words(exit)),
        (exit, None) => format!("it {}", exit_words(exit)),
    };
    words(
        "the job failed",
        why,
        format!(
            "catrain report {RUN} shows what led to it, catrain logs {RUN} what a detached job wrote"
        ),
    )
}

pub(super) fn ended(
    exit: Option<Exit>,
    why: Option<&str>,
    was_asked: bool,
    after: Duration,
) -> Words {
    let what = match (exit, was_asked) {
        (Some(Exit::Code(0)), _) => "the job is done".to_owned(),
        (Some(exit), true) => format!("the job was stopped: it {}", exit_words(Some(exit))),
        (None, true) => "the run was stopped".to_owned(),
        (Some(exit), false) => format!("the run is over: the job {}", exit_words(Some(exit))),
        (None, false) => "the run is over".to_owned(),
    };
    let after = format!("after {}", duration(after));
    let why = match why {
        Some(why) => format!("{after}; {why}"),
        None => after,
    };
    words(what, why, format!("catrain report {RUN} accounts for it"))
}

pub(super) fn meter_lost(component: &str, trouble: Option<&str>) -> Words {
    words(
        format!("the meter of {component} is lost"),
        match trouble {
            Some(trouble) => trouble.to_owned(),
            None => "it is not there any more".to_owned(),
        },
        "catrain doctor shows which meters work; what it would measure is missing until then",
    )
}

pub(super) fn meter_back(meter: &MeterFact) -> Words {
    words(
        format!("the meter of {} measures again", meter.component),
        meter.name.clone(),
        "",
    )
}

pub(super) fn ledger(trouble: Option<&str>) -> Words {
    match trouble {
        Some(trouble) => words(
            "the record of the run cannot be written",
            trouble,
            "make room, or mend the disk: what is kept in memory is written then",
        ),
        None => words("the record of the run is written again", "", ""),
    }
}

pub(super) fn guard(is_lost: bool) -> Words {
    match is_lost {
        true => words(
            "the guard ended",
            "carbon-guard would continue a stopped job if catrain died; the job runs until a new one answers",
            "look who ended it: a memory limit, or somebody's kill",
        ),
        false => words("the guard is back", "pauses are possible again", ""),
    }
}
