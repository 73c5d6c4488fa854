//! One of the user's own runs, as its ledger has it: what it drew and how long it ran, to be lived
//! out under other policies, in other zones, from other times on.

use std::time::Duration;

use anyhow::{Context, anyhow};
use jiff::{SignedDuration, Timestamp};

use super::jobs::Cell;
use super::worlds::{self, Told};
use crate::cli::SimulateArgs;
use crate::command::{self, report};
use crate::emissions::{Intensities, Prices, counted, length};
use crate::error::{Failure, Kind as FailureKind};
use crate::forecast::{Kind, Knowledge, Point, Series, Span, builtin};
use crate::ledger::entry::{Begin, IntensityKind, IntensityPoint, Part, Segment, What};
use crate::ledger::{self, Ledger};
use crate::report::Summary;
use crate::simulate::live::price;
use crate::simulate::{Idle, Job, Load, Outcome, World};
use crate::source;
use crate::units::{Joules, Watts};
use crate::words;

/// What the usual day of a zone stands for where its intensity was not recorded, in notes.
const STANDS_IN: &str = "the built-in usual day stands for what came";

/// A run and the worlds that it is lived out in.
pub(super) struct Own {
    pub(super) worlds: Vec<Told>,
    pub(super) cells: Vec<Cell>,
    /// What it emitted as it was, by the intensities of the cell that it was really in.
    pub(super) recorded: Option<(usize, Outcome)>,
    /// Idle power as recorded, where none was given.
    pub(super) idle: Idle,
}

/// What the ledger says of the run.
struct Recorded {
    ledger: Ledger,
    begin: Begin,
    summary: Summary,
    segments: Vec<Segment>,
    /// Running time.
    productive: Duration,
    load: Load,
    /// Whether its power is as it was recorded.
    has_energy: bool,
}

/// Reads the run that `args` name and sets it into its worlds.
pub(super) fn read(args: &SimulateArgs, name: &str, now: Timestamp) -> Result<Own, Failure> {
    if args.slack.len() > 1 {
        return Err(Failure::usage("with --run only one --slack makes sense"));
    }
    let run = recorded(name, now, args)?;
    let starts = starts(args, run.summary.started_at)?;
    let jobs: Vec<Job> = starts.iter().map(|start| job(args, &run, *start)).collect();
    let worlds = match args.trace.is_empty() && args.forecasts.is_empty() {
        true => by_ledger(args, &run, &jobs)?,
        false => worlds::read(args, Some(&run.begin.zone))?,
    };
    let mut cells = Vec::new();
    let mut recorded = None;
    for (world, told) in worlds.iter().enumerate() {
        for job in &jobs {
            let is_as_it_was =
                told.world.zone == run.begin.zone && job.arrival == run.summary.started_at;
            if is_as_it_was
                && run.has_energy
                && let Some(end) = run.summary.ended_at
            {
                let outcome = price(&run.segments, job, &told.world, end, run.summary.pauses);
                recorded = Some((cells.len(), outcome));
            }
            let due = job.latest_end().duration_since(job.arrival);
            let slack = Duration::try_from(due).unwrap_or_default();
            cells.push(Cell {
                world,
                duration: Some(run.productive),
                slack: Some(slack.saturating_sub(run.productive)),
                start: Some(job.arrival),
                jobs: vec![job.clone()],
            });
        }
    }
    let idle = args
        .idle_power
        .unwrap_or(Idle::Power(run.begin.power.idle_w));
    Ok(Own {
        worlds,
        cells,
        recorded,
        idle,
    })
}

fn recorded(name: &str, now: Timestamp, args: &SimulateArgs) -> Result<Recorded, Failure> {
    let state = crate::dirs::state().ok_or_else(command::no_state)?;
    let runs = ledger::list_runs(&state)
        .with_context(|| format!("cannot list the runs in {}", state.display()))?;
    let chosen =
        ledger::select(&runs, &[name.to_owned()], None, None).map_err(report::not_found)?;
    let chosen = chosen.first().context("no run is called so")?;
    let (ledger, summary) = report::read(chosen, now)?;
    let segments: Vec<Segment> = (ledger.entries.iter())
        .filter_map(|entry| entry.segment().cloned())
        .collect();
    let running = || {
        segments
            .iter()
            .filter(|segment| segment.part == Part::Running)
    };
    let pieces: Vec<(Duration, Watts)> = running()
        .filter(|segment| length(segment) > 0.0)
        .map(|segment| {
            let joules: Joules = segment.energy.iter().map(|r| counted(r.joules)).sum();
            let seconds = length(segment);
            (Duration::from_secs_f64(seconds), Watts(joules.0 / seconds))
        })
        .collect();
    let productive: Duration = pieces.iter().map(|(length, _)| *length).sum();
    if productive.is_zero() {
        let what = format!("run {} never ran: there is nothing to live out", chosen.id);
        return Err(Failure::new(FailureKind::Failed, anyhow!(what)));
    }
    let recorded = Load::recorded(pieces);
    // With another power it is no longer what was recorded.
    let has_energy = args.power.is_none();
    let load = args.power.map_or(recorded, Load::constant);
    if load.mean().0 <= 0.0 {
        let what = format!("no energy is recorded of run {}", chosen.id);
        return Err(Failure::new(FailureKind::Failed, anyhow!(what)).hint("say it: --power W"));
    }
    Ok(Recorded {
        begin: summary.begin.clone(),
        ledger,
        summary,
        segments,
        productive,
        load,
        has_energy,
    })
}

fn starts(args: &SimulateArgs, as_it_was: Timestamp) -> Result<Vec<Timestamp>, Failure> {
    if args.start.is_empty() {
        return Ok(vec![as_it_was]);
    }
    (args.start.iter())
        .map(|text| super::time(text, "--start"))
        .collect()
}

/// The run as a job that arrives at `start`, with the time to spare that it had.
fn job(args: &SimulateArgs, run: &Recorded, start: Timestamp) -> Job {
    let given = run
        .begin
        .duration_s
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let told = match args.unknown_duration {
        true => None,
        false if args.duration_exact => Some(run.productive),
        false => Some(given.unwrap_or(run.productive)),
    };
    let to_spare = (run.begin.deadline)
        .map(|deadline| deadline.duration_since(run.summary.started_at))
        .map(|due| start.saturating_add(due).unwrap_or(Timestamp::MAX));
    let by_slack = (args.slack.first())
        .map(|slack| Span::new(start, run.productive.saturating_add(*slack)).end);
    Job {
        id: run.begin.run.clone(),
        arrival: start,
        told,
        deadline: by_slack.or(to_spare).filter(|_| told.is_some()),
        max_delay: args.slack.first().copied().filter(|_| told.is_none()),
        can_pause: true,
        load: run.load.clone(),
        running_time: run.productive,
    }
}

/// Worlds without files: what the ledger knows of the run's own time, and usual days around it and
/// in other zones.
fn by_ledger(args: &SimulateArgs, run: &Recorded, jobs: &[Job]) -> Result<Vec<Told>, Failure> {
    let of_files = [
        ("--horizon", args.horizon.is_some()),
        ("--outage", args.outage.is_some()),
        ("--profiles", args.profiles.is_some()),
        ("--no-learning", args.no_learning),
    ];
    if let Some((flag, _)) = of_files.iter().find(|(_, is_given)| *is_given) {
        let what = format!("{flag} says how files are seen, and there is none");
        return Err(Failure::usage(what).hint("add --trace FILE or --forecasts FILE"));
    }
    let wanted: Vec<String> = match args.zone.is_empty() {
        true => vec![run.begin.zone.clone()],
        false => worlds::wanted(&args.zone)?,
    };
    let from = jobs
        .iter()
        .map(|job| job.arrival)
        .min()
        .unwrap_or(Timestamp::UNIX_EPOCH);
    // Whoever is late runs on after the latest end.
    let late = |job: &Job| Span::new(job.latest_end(), job.running_time).end;
    let to = jobs.iter().map(late).max().unwrap_or(from);
    let span = Span {
        start: from,
        end: to,
    };
    (wanted.iter())
        .map(|zone| by_ledger_in(run, zone, span))
        .collect()
}

fn by_ledger_in(run: &Recorded, zone: &str, span: Span) -> Result<Told, Failure> {
    let mut intensities = Intensities::default();
    if let Some(profile) = builtin::profile(zone) {
        usual_days(profile, span).for_each(|point| intensities.learn(&point));
    }
    let mut notes = Vec::new();
    let is_own = zone == run.begin.zone;
    if is_own {
        for entry in &run.ledger.entries {
            if let What::Intensity { basis, points, .. } = &entry.what
                && *basis == run.begin.basis
            {
                points.iter().for_each(|point| intensities.learn(point));
            }
        }
        let (since, until) = (run.summary.started_at, run.summary.last_at);
        if builtin::profile(zone).is_some() && (span.start < since || until < span.end) {
            notes.push(format!(
                "outside of the run's own time {STANDS_IN}; --trace or --forecasts knows better"
            ));
        }
    } else {
        notes.push(format!(
            "in {zone} {STANDS_IN}; --trace or --forecasts knows better"
        ));
    }
    let pieces = intensities.within(span).map(|piece| Point {
        span: piece.span,
        intensity: piece.intensity,
        kind: match piece.kind {
            IntensityKind::Observed | IntensityKind::Preliminary => Kind::Live,
            _ => Kind::Profile,
        },
    });
    let observations = Series::new(pieces.collect());
    if observations.is_empty() {
        let what = format!("no intensity of {zone} is known for that time");
        return Err(Failure::new(FailureKind::Failed, anyhow!(what))
            .hint("name past intensities: --trace FILE or --forecasts FILE"));
    }
    let known = Knowledge {
        observations,
        ..source::builtin::knowledge(zone)
    };
    Ok(Told {
        world: World::new(known, None),
        notes,
    })
}

/// The usual days of a zone over a span, by the hour.
fn usual_days(
    profile: &'static builtin::Profile,
    span: Span,
) -> impl Iterator<Item = IntensityPoint> {
    let hour = Duration::from_hours(1);
    let into = span.start.as_second().rem_euclid(3600);
    let first = span.start - SignedDuration::from_secs(into);
    std::iter::successors(Some(first), move |at| Some(Span::new(*at, hour).end))
        .take_while(move |at| *at < span.end)
        .map(move |start| IntensityPoint {
            start,
            end: Span::new(start, hour).end,
            g_per_kwh: profile.mean_at(start),
            low_g_per_kwh: None,
            high_g_per_kwh: None,
            kind: IntensityKind::Profile,
            forecast: None,
        })
}

/// What is simulated, in a line: `r7k2: 16 h 32 m of work, 300 W on average, due …`.
pub(super) fn headline(job: &Job) -> String {
    format!(
        "{}: {} of work, {:.0} W on average, due {} after its start",
        job.id,
        words::duration(job.running_time),
        job.load.mean().0,
        words::duration(
            Duration::try_from(job.latest_end().duration_since(job.arrival)).unwrap_or_default()
        )
    )
}
