//! `catrain report`: what runs cost and what waiting changed, from their ledgers.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;

use super::settle::{Settling, tell};
use super::status::continued::continued_as;
use super::verify;
use crate::cli::{FunctionalUnit, ReportArgs, ReportFormat as Format};
use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::{Failure, Kind};
use crate::ledger::{self, Ledger, NotFound, RunRef};
use crate::report::groups::Grouping;
use crate::report::text::harmless;
use crate::report::{
    Ask, NotCompared, Record, Summary, Units, codecarbon, csv, html, json, markdown, prometheus,
    summarise, text,
};
use crate::words::{self, Look};
use output::write;

mod output;

/// Writes the report that `args` ask for to `out`, or to their file, of the runs in the state
/// directory `state`. Runs whose ledger cannot be read are left out and named in the failure.
///
/// # Errors
/// When no run is meant by `args`, a ledger cannot be read, or the report cannot be written. A
/// reader that went away is no error.
pub fn run(
    args: &ReportArgs,
    look: Look,
    out: &mut dyn Write,
    now: Timestamp,
    zone: &TimeZone,
    state: &Path,
    profile: Option<&str>,
) -> Result<(), Failure> {
    check(args)?;
    let time = |given: &Option<String>, flag| {
        let parsed = given.as_deref().map(|text| parse_time(text, flag, zone));
        parsed.transpose()
    };
    let (since, until) = (time(&args.since, "--since")?, time(&args.until, "--until")?);
    let as_of = time(&args.as_of, "--as-of")?;
    let runs = ledger::list_runs(state)
        .with_context(|| format!("cannot list the runs in {}", state.display()))?;
    if args.verify {
        let (times, look) = ((since, until), look_of(args, look));
        let verified = verify::verify(args, runs, times, look, now, state)?;
        write(&verified.document, args.output.as_deref(), out)?;
        return verified.failure.map_or(Ok(()), Err);
    }
    let chosen = ledger::select(&runs, &args.runs, since, until).map_err(not_found)?;

    let mut summaries = Vec::new();
    let mut unreadable = Vec::new();
    // What was known then is not made better by what is known now.
    let settling = as_of
        .is_none()
        .then(|| Settling::new(state, args.offline, profile));
    let mut asking = Asking {
        args,
        as_of,
        now,
        zone,
        settling: settling.as_ref(),
        outcomes: HashMap::new(),
    };
    for run in &chosen {
        match asking.settled(run, &runs) {
            Ok(summary) => summaries.push(summary),
            Err(why) => unreadable.push((run.id.as_str(), why)),
        }
    }
    for leader in &mut summaries {
        if leader
            .begin
            .slurm
            .as_ref()
            .is_none_or(|job| job.follows.is_some())
        {
            continue;
        }
        for follower in followers(&runs, &leader.begin.run) {
            match asking.settled(follower, &runs) {
                Ok(summary) => leader.followers.push(summary),
                Err(why) => unreadable.push((follower.id.as_str(), why)),
            }
        }
    }
    unreadable.sort_by_key(|(run, _)| *run);
    unreadable.dedup_by_key(|(run, _)| *run);
    for warning in summaries.iter().flat_map(|run| warnings(args.format, run)) {
        tell(&format!("warning: {warning}"));
    }
    if !summaries.is_empty() {
        let look = look_of(args, look);
        let report = written(args, &summaries, look, as_of.unwrap_or(now), now, zone);
        write(&report, args.output.as_deref(), out)?;
    }
    failure(unreadable, summaries.len()).map_or(Ok(()), Err)
}

/// A run's ledger, and all that it says by `now`.
pub(super) fn read(run: &RunRef, now: Timestamp) -> anyhow::Result<(Ledger, Summary)> {
    let is_written = ledger::is_being_written(&run.path);
    let ledger: Ledger = ledger::read(&run.path)?;
    let ask = latest(&ledger, now).into();
    let summary = summary(run, &ledger, is_written, ask, &TimeZone::UTC)?;
    Ok((ledger, summary))
}

/// A clock that was set back since must not hide the newest entries.
pub(super) fn latest(ledger: &Ledger, now: Timestamp) -> Timestamp {
    let newest = ledger.entries.iter().map(|entry| entry.at).max();
    newest.map_or(now, |newest| newest.max(now))
}

/// All that `ledger` says of what is asked; times in what is said of a failure are those of `zone`.
fn summary(
    run: &RunRef,
    ledger: &Ledger,
    is_written: Option<bool>,
    ask: Ask,
    zone: &TimeZone,
) -> anyhow::Result<Summary> {
    let as_of = ask.as_of;
    let mut summary = summarise(ledger, ask).with_context(|| match ledger.entries.first() {
        None => {
            let path = run.path.display();
            format!(
                "nothing is recorded of run {}: {path} has no whole line",
                run.id
            )
        }
        Some(first) => format!(
            "run {} began at {} ({}), after --as-of",
            run.id,
            words::time(first.at, as_of, zone),
            words::zone_name(zone, as_of)
        ),
    })?;
    summary.record = Some(Record::of(ledger, is_written));
    let state = run.path.ancestors().nth(3);
    summary.continued_as = state.and_then(|state| continued_as(state, &run.id));
    Ok(summary)
}

/// The runs of the other nodes of the job that this run leads, by node.
fn followers<'a>(runs: &'a [RunRef], leader: &str) -> Vec<&'a RunRef> {
    let job = |run: &'a RunRef| run.begin.as_ref()?.slurm.as_ref();
    let follows =
        |run: &&'a RunRef| job(run).and_then(|job| job.follows.as_deref()) == Some(leader);
    let mut followers: Vec<&RunRef> = runs.iter().filter(follows).collect();
    followers.sort_by_key(|run| (job(run).map(|job| job.node.as_str()), run.id.as_str()));
    followers
}

/// What is asked of each run.
struct Asking<'a> {
    args: &'a ReportArgs,
    as_of: Option<Timestamp>,
    now: Timestamp,
    zone: &'a TimeZone,
    settling: Option<&'a Settling<'a>>,
    /// How runs ended that others follow, by id; none where they cannot be read.
    outcomes: HashMap<String, Option<Result<(), NotCompared>>>,
}

impl Asking<'_> {
    /// What is said of a run: with what became known since it ended, which is then recorded.
    fn settled(&mut self, run: &RunRef, runs: &[RunRef]) -> anyhow::Result<Summary> {
        let job = (run.begin.as_ref()).and_then(|begin| begin.slurm.as_ref());
        let leader = job.and_then(|job| job.follows.as_deref());
        let leader = leader.and_then(|leader| self.outcome(leader, runs));
        let is_written = ledger::is_being_written(&run.path);
        let ledger = ledger::read(&run.path)?;
        let before = summary(
            run,
            &ledger,
            is_written,
            self.ask(&ledger, leader),
            self.zone,
        )?;
        let settling = self.settling;
        let after = settling.and_then(|it| it.settle(run, ledger, &before, self.now));
        match after {
            Some(ledger) => summary(
                run,
                &ledger,
                is_written,
                self.ask(&ledger, leader),
                self.zone,
            ),
            None => Ok(before),
        }
    }

    fn ask(&self, ledger: &Ledger, leader: Option<Result<(), NotCompared>>) -> Ask {
        Ask {
            as_of: self.as_of.unwrap_or_else(|| latest(ledger, self.now)),
            compares_failed: self.args.compare_failed,
            hardware: self.args.embodied,
            units: Units {
                unit: self.args.per.map(FunctionalUnit::name),
                count: self.args.count,
            },
            leader,
        }
    }

    /// How the run ended that others follow.
    fn outcome(&mut self, leader: &str, runs: &[RunRef]) -> Option<Result<(), NotCompared>> {
        if let Some(known) = self.outcomes.get(leader) {
            return *known;
        }
        let run = runs.iter().find(|run| run.id == leader);
        let ledger = run.and_then(|run| ledger::read(&run.path).ok());
        let summary = ledger.and_then(|ledger| summarise(&ledger, self.ask(&ledger, None)));
        let outcome = summary.map(|summary| summary.outcome);
        self.outcomes.insert(leader.to_owned(), outcome);
        outcome
    }
}

/// What is said of a run beside its report, whatever the format: numbers of a record that was changed
/// look like any others, and not every format can say that they are not all.
fn warnings(format: Format, run: &Summary) -> Vec<String> {
    let id = harmless(&run.begin.run);
    let mut warnings = Vec::new();
    if run.is_intact() == Some(false) {
        warnings.push(format!(
            "the record of {id} was changed after it was written: catrain report {id} --verify"
        ));
    }
    let says_it = !matches!(format, Format::Csv | Format::Codecarbon);
    match run.state() {
        _ if says_it => {}
        "running" => warnings.push(format!(
            "{id} is running: its numbers are of what is recorded so far"
        )),
        "unfinished" => warnings.push(format!(
            "{id} has no recorded end: its numbers are lower bounds"
        )),
        _ => {}
    }
    warnings
}

/// A file can show what a terminal cannot, and shows no colours.
fn look_of(args: &ReportArgs, look: Look) -> Look {
    match args.output {
        Some(_) => Look::PLAIN,
        None => look,
    }
}

/// What not every format has a place for.
fn check(args: &ReportArgs) -> Result<(), Failure> {
    let in_words = matches!(args.format, Format::Text);
    if args.by.is_some() && !in_words && !matches!(args.format, Format::Json) {
        return Err(
            Failure::usage("--by: only the formats text and json have groups")
                .hint("csv has a row a segment, to be added up in any way"),
        );
    }
    let shows_command = matches!(args.format, Format::Html | Format::Md | Format::Csv);
    if args.full_command && !in_words && !shows_command {
        return Err(
            Failure::usage("--full-command: this format shows no command")
                .hint("text, html, md and csv do"),
        );
    }
    Ok(())
}

fn written(
    args: &ReportArgs,
    runs: &[Summary],
    look: Look,
    as_of: Timestamp,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let by = args.by.as_ref();
    match args.format {
        Format::Text => in_words(runs, by, args.full_command, look, now, zone),
        Format::Json => match by {
            Some(by) => json::grouped(runs, now, as_of, by, zone),
            None => json::document(runs, now, as_of),
        },
        Format::Csv => csv::document(runs, args.full_command),
        Format::Html => html::document(runs, args.full_command, now, zone),
        Format::Md => markdown::document(runs, args.full_command, now, zone),
        Format::Codecarbon => codecarbon::document(runs, zone),
        Format::Prometheus => prometheus::document(runs),
    }
}

/// Groups where they are asked for, else each run and, of several, the total.
fn in_words(
    runs: &[Summary],
    by: Option<&Grouping>,
    full_command: bool,
    look: Look,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let mut parts = Vec::new();
    if by.is_none() {
        // Nodes that follow stand in the table of the one that leads.
        let ids: HashSet<&str> = runs.iter().map(|run| run.begin.run.as_str()).collect();
        let leader = |run: &'_ Summary| run.begin.slurm.as_ref()?.follows.clone();
        let is_shown = |run: &&Summary| {
            let leader = leader(run);
            leader.is_none_or(|leader| !ids.contains(leader.as_str()))
        };
        let each = runs.iter().filter(is_shown);
        parts.extend(each.map(|run| text::full(run, full_command, look, now, zone)));
    }
    if by.is_some() || runs.len() > 1 {
        parts.push(text::totals(runs, by, look, now, zone));
    }
    parts.join("\n")
}

/// Names the runs of which nothing is said, beside `told` others of which something is.
fn failure(unreadable: Vec<(&str, anyhow::Error)>, told: usize) -> Option<Failure> {
    let is_damage = |why: &anyhow::Error| {
        let why = why.downcast_ref::<ledger::ReadError>();
        why.is_some_and(ledger::ReadError::is_damage)
    };
    let damaged = unreadable.iter().find(|(_, why)| is_damage(why));
    let damaged = damaged.map(|(run, _)| (*run).to_owned());
    let mut all = unreadable.into_iter().map(|(run, why)| match told {
        0 => why,
        _ => why.context(format!("run {run} is left out")),
    });
    let first = Failure::from(all.next()?);
    let failure = all.fold(first, |failure, other| {
        failure.hint(format!("also: {other:#}"))
    });
    Some(match damaged {
        Some(run) => failure.hint(format!(
            "`catrain report {run} --verify` tells where it was changed"
        )),
        None => failure,
    })
}

/// No run is called so: what happened and what to do.
pub(super) fn not_found(why: NotFound) -> Failure {
    // What was typed may hold anything.
    let failure = Failure::new(Kind::Usage, anyhow::Error::msg(harmless(&why.to_string())));
    match why {
        NotFound::NoRuns => {
            let how = "make one: catrain run --zone DE -- python train.py";
            Failure {
                kind: Kind::Failed,
                ..failure
            }
            .hint(how)
        }
        NotFound::NoneThen => Failure {
            kind: Kind::Failed,
            ..failure
        }
        .hint("`catrain report latest` shows the newest"),
        // A path or a pattern is like no id.
        NotFound::Unknown { wanted, .. } if !wanted.chars().all(char::is_alphanumeric) => {
            failure.hint("a run is named by its id or how that begins, or is the `latest`")
        }
        NotFound::Unknown { near, .. } if near.is_empty() => failure,
        NotFound::Unknown { near, .. } => {
            failure.hint(format!("the nearest are {}", near.join(", ")))
        }
        NotFound::NoJob(_) => failure,
        NotFound::NotStarted { job } => failure.hint(format!(
            "`catrain status slurm:{job}` tells how it stands in the queue"
        )),
        NotFound::Ambiguous { .. } => failure.hint("give more of the id"),
    }
}

/// RFC 3339, or a date (its midnight) or a date with a time in the local zone.
fn parse_time(given: &str, flag: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let local = |time: DateTime| zone.to_timestamp(time).ok();
    given
        .parse::<Timestamp>()
        .ok()
        .or_else(|| given.parse::<DateTime>().ok().and_then(local))
        .ok_or_else(|| {
            let given = harmless(given);
            Failure::usage(format!("{flag}: `{given}` is not a time"))
                .hint("such as 2026-11-24, '2026-11-24 09:00' or 2026-11-24T09:00:00Z")
        })
}

#[cfg(test)]
mod tests;
