//! `catrain simulate`: what policies would have saved, in a table, JSON, CSV or a picture.

mod jobs;
mod own;
mod page;
mod plot;
mod spread;
mod worlds;

use std::io::Write;
use std::num::NonZero;
use std::thread::available_parallelism;

use anyhow::{Context, anyhow};
use jiff::Timestamp;

use self::jobs::Cell;
use self::page::{Entry, Page};
use crate::cli::{SimulateArgs, TableFormat};
use crate::error::{Failure, Kind};
use crate::parse;
use crate::simulate::live::live;
use crate::simulate::rows::{Compared, Row};
use crate::simulate::{Costs, Idle, Outcome, Policy, World, judge};
use crate::supervise::machine::GIVEN_MARGIN;
use crate::units::Watts;
use crate::words::Look;

/// A job that cannot be judged, and why.
pub(crate) struct LeftOut {
    zone: String,
    job: String,
    why: String,
}

/// Simulates and prints.
///
/// # Errors
/// Contradictory flags, files that cannot be used, nothing that can be judged, or an interruption,
/// after what was done by then is printed.
pub fn run(
    args: &SimulateArgs,
    look: Look,
    out: &mut dyn Write,
    now: Timestamp,
) -> Result<(), Failure> {
    let Setting {
        told,
        cells,
        recorded,
        idle,
    } = setting(args, now)?;
    let worlds: Vec<&World> = told.iter().map(|told| &told.world).collect();
    if args.plot.is_some() && args.slack.is_empty() {
        return Err(
            Failure::usage("--plot draws against the slack, and there is none")
                .hint("add --slack 6h,12h,24h"),
        );
    }
    let policies = policies(&args.policy);

    let (order, left_out) = in_order(&cells, &worlds);
    if order.is_empty() {
        let first = left_out.first().map_or(String::new(), |job| {
            format!(": `{}` in {} {}", job.job, job.zone, job.why)
        });
        let what = format!("none of {} jobs can be judged{first}", left_out.len());
        return Err(Failure::new(Kind::Failed, anyhow!(what))
            .hint("a job needs intensities from its arrival to its latest end"));
    }
    let costs: Vec<Costs> = worlds
        .iter()
        .map(|world| costs(args, idle, world))
        .collect();
    let threads = args.threads.map_or_else(
        || available_parallelism().map_or(1, NonZero::get),
        usize::from,
    );
    let done = spread::spread(order.len(), threads, look, |at| {
        let (cell, number) = order[at];
        let cell = &cells[cell];
        let (job, world) = (&cell.jobs[number], worlds[cell.world]);
        compare(&policies, |policy| {
            live(job, world, policy, &costs[cell.world])
        })
    });

    let entries = entries(&policies, &worlds, &cells, &order, &done.results, recorded);
    let finished = done.results.iter().flatten().count();
    let page = Page {
        args,
        costs: &costs[0],
        tick: (costs.iter().map(|costs| costs.tick))
            .all(|tick| tick == costs[0].tick)
            .then_some(costs[0].tick),
        headline: args
            .run
            .as_ref()
            .and_then(|_| cells[0].jobs.first())
            .map(own::headline),
        policies: &policies,
        entries: &entries,
        left_out: &left_out,
        notes: told.iter().flat_map(|told| &told.notes).collect(),
        is_complete: !done.is_interrupted,
        look,
    };
    super::written(match args.format {
        TableFormat::Table => page.table(out),
        TableFormat::Json => page.json(out),
        TableFormat::Csv => page.csv(out),
    })?;
    if let Some(path) = &args.plot {
        let picture = plot::draw(&policies, &entries);
        std::fs::write(path, picture)
            .with_context(|| format!("cannot write the picture to {}", path.display()))?;
    }
    match done.is_interrupted {
        false => Ok(()),
        true => {
            let what = format!("interrupted: {finished} of {} jobs are done", order.len());
            Err(Failure::new(Kind::Failed, anyhow!(what)))
        }
    }
}

/// A moment of the past that was typed for `flag`.
fn time(text: &str, flag: &str) -> Result<Timestamp, Failure> {
    parse::utc_time(text).ok_or_else(|| {
        Failure::usage(format!("{flag}: `{text}` is not a time"))
            .hint("expected `2021-07-29`, `2021-07-29T18:00` (UTC) or RFC 3339")
    })
}

/// The jobs that can be judged, by cell and number, and the others. In order of time, so that jobs
/// side by side look at the same intensities.
fn in_order(cells: &[Cell], worlds: &[&World]) -> (Vec<(usize, usize)>, Vec<LeftOut>) {
    let mut order: Vec<(usize, usize)> = Vec::new();
    let mut left_out = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        let world = worlds[cell.world];
        for (number, job) in cell.jobs.iter().enumerate() {
            match judge(job, world) {
                Ok(()) => order.push((at, number)),
                Err(why) => left_out.push(LeftOut {
                    zone: world.zone.clone(),
                    job: job.id.clone(),
                    why: why.to_string(),
                }),
            }
        }
    }
    order.sort_by_key(|(cell, number)| {
        let cell = &cells[*cell];
        (cell.world, cell.jobs[*number].arrival)
    });
    (order, left_out)
}

/// A row for each cell and policy, those of a run as it was before them.
fn entries(
    policies: &[Policy],
    worlds: &[&World],
    cells: &[Cell],
    order: &[(usize, usize)],
    results: &[Option<Vec<Compared>>],
    recorded: Option<(usize, Outcome)>,
) -> Vec<Entry> {
    let mut by_cell: Vec<Vec<Vec<Compared>>> = vec![vec![Vec::new(); policies.len()]; cells.len()];
    for ((cell, _), outcomes) in order.iter().zip(results) {
        for (row, compared) in by_cell[*cell].iter_mut().zip(outcomes.iter().flatten()) {
            row.push(*compared);
        }
    }
    let mut entries = Vec::new();
    for (at, (cell, rows)) in cells.iter().zip(&by_cell).enumerate() {
        let mut put = |name: String, jobs: &[Compared]| {
            let row = Row::of(jobs).map(|row| Entry::new(name, worlds[cell.world], cell, row));
            entries.extend(row);
        };
        let as_it_was = recorded.filter(|(recorded_in, _)| *recorded_in == at);
        if let (Some((_, policy)), Some([job])) = (as_it_was, rows.first().map(Vec::as_slice)) {
            put("recorded".to_owned(), &[Compared { policy, ..*job }]);
        }
        for (policy, jobs) in policies.iter().zip(rows) {
            put(policy.to_string(), jobs);
        }
    }
    entries
}

/// The policies without repetition, in the order in which they were typed.
fn policies(typed: &[Policy]) -> Vec<Policy> {
    let mut policies: Vec<Policy> = Vec::new();
    for policy in typed {
        if !policies.contains(policy) {
            policies.push(*policy);
        }
    }
    policies
}

/// How one job fares under each policy, and at once and at best, which each is compared with.
fn compare(policies: &[Policy], live: impl Fn(Policy) -> Outcome) -> Vec<Compared> {
    let (now, oracle) = (live(Policy::NOW), live(Policy::ORACLE));
    (policies.iter())
        .map(|policy| Compared {
            now,
            oracle,
            policy: match *policy {
                Policy::NOW => now,
                Policy::ORACLE => oracle,
                other => live(other),
            },
        })
        .collect()
}

/// What is lived out, and where.
struct Setting {
    told: Vec<worlds::Told>,
    cells: Vec<Cell>,
    /// The cell of a run as it was, and how that went.
    recorded: Option<(usize, Outcome)>,
    idle: Idle,
}

fn setting(args: &SimulateArgs, now: Timestamp) -> Result<Setting, Failure> {
    if let Some(run) = &args.run {
        let own = own::read(args, run, now)?;
        return Ok(Setting {
            told: own.worlds,
            cells: own.cells,
            recorded: own.recorded,
            idle: own.idle,
        });
    }
    let told = worlds::read(args, None)?;
    let cells = jobs::cells(
        args,
        &told.iter().map(|told| &told.world).collect::<Vec<_>>(),
    )?;
    Ok(Setting {
        told,
        cells,
        recorded: None,
        idle: args.idle_power.unwrap_or(Idle::Power(Watts::ZERO)),
    })
}

fn costs(args: &SimulateArgs, idle: Idle, world: &World) -> Costs {
    Costs {
        idle,
        pause: args.pause_cost,
        resume: args.resume_cost,
        min_run: args.min_run,
        min_pause: args.min_pause,
        max_pauses: args.max_pauses,
        tick: args.tick.unwrap_or_else(|| worlds::step(world)),
        margin: if args.duration_exact {
            0.0
        } else {
            GIVEN_MARGIN
        },
    }
}
