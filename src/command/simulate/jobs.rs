//! The jobs of a simulation: the cells of a grid, or the lines of a file.

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;

use crate::cli::SimulateArgs;
use crate::error::{Failure, Kind};
use crate::forecast::Span;
use crate::simulate::workload::running_time;
use crate::simulate::{Job, Load, World};
use crate::source::file;
use crate::units::Watts;

/// Jobs that belong into one row for each policy.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Index of its world.
    pub(super) world: usize,
    pub(super) duration: Option<Duration>,
    pub(super) slack: Option<Duration>,
    /// Of a run of one's own: when it is started.
    pub(super) start: Option<Timestamp>,
    pub(super) jobs: Vec<Job>,
}

/// What a job draws that does not say so.
const POWER: Watts = Watts(300.0);
/// What is known after a job's latest end, so that one that is a little late can be priced.
const ROOM: Duration = Duration::from_hours(1);
/// More jobs than anybody waits for.
const MOST_JOBS: usize = 1_000_000;

/// The cells that `args` ask for in these worlds.
pub(super) fn cells(args: &SimulateArgs, worlds: &[&World]) -> Result<Vec<Cell>, Failure> {
    let given = |text: &Option<String>, flag, otherwise: Timestamp| {
        (text.as_deref()).map_or(Ok(otherwise), |text| super::time(text, flag))
    };
    let from = given(&args.from, "--from", Timestamp::MIN)?;
    let until = given(&args.until, "--until", Timestamp::MAX)?;
    if until <= from {
        return Err(Failure::usage("--until is not after --from"));
    }
    if let Some(path) = &args.jobs {
        let all = read(path, args)?;
        let jobs: Vec<Job> = (all.into_iter())
            .filter(|job| from <= job.arrival && job.arrival < until)
            .collect();
        if jobs.is_empty() {
            return Err(Failure::usage(format!(
                "`{}` has no job in that time",
                path.display()
            )));
        }
        let cell = |world| Cell {
            world,
            duration: None,
            slack: None,
            start: None,
            jobs: jobs.clone(),
        };
        return Ok((0..worlds.len()).map(cell).collect());
    }
    let shapes = shapes(args)?;
    let mut cells = Vec::new();
    for (index, world) in worlds.iter().enumerate() {
        for &(duration, slack) in &shapes {
            let data = world.known.observations.span();
            let data = data.expect("a world without observations is refused");
            let cell = Cell {
                world: index,
                duration: Some(duration),
                slack,
                start: None,
                jobs: arrivals(args, duration, slack, from.max(data.start), until, data.end),
            };
            if cell.jobs.is_empty() {
                let what = format!(
                    "no job of {} fits into the data of {}",
                    crate::words::duration(duration),
                    world.zone
                );
                return Err(
                    Failure::usage(what).hint("shorter jobs, less slack, or an earlier --from")
                );
            }
            cells.push(cell);
        }
    }
    if cells.iter().map(|cell| cell.jobs.len()).sum::<usize>() > MOST_JOBS {
        return Err(Failure::usage("more than a million jobs").hint("a longer --every"));
    }
    Ok(cells)
}

fn shapes(args: &SimulateArgs) -> Result<Vec<(Duration, Option<Duration>)>, Failure> {
    if args.duration.is_empty() {
        return Err(Failure::usage("no workload")
            .hint("-d 6h,24h --slack 12h for a grid of cells, or --jobs FILE.csv"));
    }
    if args.paired && args.duration.len() != args.slack.len() {
        return Err(Failure::usage(format!(
            "--paired: {} durations and {} slacks",
            args.duration.len(),
            args.slack.len()
        )));
    }
    let slacks: Vec<Option<Duration>> = match args.slack.as_slice() {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    };
    let durations = args.duration.iter().copied();
    Ok(match args.paired {
        true => durations.zip(slacks).collect(),
        false => durations
            .flat_map(|duration| slacks.iter().map(move |slack| (duration, *slack)))
            .collect(),
    })
}

/// A job every so often, for as long as its latest end lies within the data, with some room after it
/// for a policy that is late.
fn arrivals(
    args: &SimulateArgs,
    duration: Duration,
    slack: Option<Duration>,
    from: Timestamp,
    until: Timestamp,
    end: Timestamp,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut arrival = from;
    while arrival < until && jobs.len() < MOST_JOBS {
        let given = Given {
            id: arrival.to_string(),
            arrival,
            duration,
            deadline: slack.map(|slack| Span::new(arrival, duration + slack).end),
            slack,
            power: args.power.unwrap_or(POWER),
            can_pause: true,
        };
        let job = given.job(args, jobs.len());
        if Span::new(job.latest_end(), ROOM).end > end {
            break;
        }
        jobs.push(job);
        arrival = Span::new(arrival, args.every).end;
    }
    jobs
}

/// A job as it is said to be.
struct Given {
    id: String,
    arrival: Timestamp,
    duration: Duration,
    deadline: Option<Timestamp>,
    slack: Option<Duration>,
    power: Watts,
    can_pause: bool,
}

impl Given {
    /// As it will be: what is random comes from the seed and the job's number alone.
    fn job(self, args: &SimulateArgs, number: usize) -> Job {
        let seed = (args.seed.wrapping_add(1))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(number as u64);
        let told = (!args.unknown_duration).then_some(self.duration);
        Job {
            id: self.id,
            arrival: self.arrival,
            told,
            deadline: self.deadline.filter(|_| told.is_some()),
            max_delay: self.slack.filter(|_| told.is_none()),
            can_pause: self.can_pause,
            load: Load::constant(self.power),
            running_time: running_time(self.duration, args.duration_error, args.rate_noise, seed),
        }
    }
}

/// The jobs of a file.
fn read(path: &Path, args: &SimulateArgs) -> Result<Vec<Job>, Failure> {
    let slack = match args.slack.as_slice() {
        [] => None,
        [slack] => Some(*slack),
        _ => return Err(Failure::usage("with --jobs only one --slack makes sense")),
    };
    let failure = |what: String| {
        Failure::new(Kind::Failed, anyhow!(what)).hint(
            "expected job_id,arrival,duration_minutes[,deadline][,power_w][,interruptible]; \
             times are RFC 3339",
        )
    };
    let input = file::open(path).map_err(|error| {
        let hint = error.hint();
        Failure::new(Kind::Failed, error).hint(hint)
    })?;
    let name = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(input);
    let header = reader.headers().cloned();
    let header = header.map_err(|error| failure(format!("`{name}`: {error}")))?;
    let column = |wanted: &str| {
        header
            .iter()
            .position(|field| field.eq_ignore_ascii_case(wanted))
    };
    let needed = |wanted: &str| {
        column(wanted).ok_or_else(|| failure(format!("`{name}` has no column `{wanted}`")))
    };
    let (id, arrival) = (needed("job_id")?, needed("arrival")?);
    let minutes = needed("duration_minutes")?;
    let (deadline, power) = (column("deadline"), column("power_w"));
    let interruptible = column("interruptible");
    let mut jobs = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        let line = record.position().map_or(1, csv::Position::line);
        let wrong = |what: String| failure(format!("`{name}`, line {line}: {what}"));
        if !more.map_err(|error| wrong(error.to_string()))? {
            break;
        }
        let field = |column: usize| record.get(column).unwrap_or_default();
        let optional = |column: Option<usize>| column.map(field).filter(|text| !text.is_empty());
        let time = |text: &str| {
            (text.parse::<Timestamp>())
                .map_err(|_| wrong(format!("`{text}` is no time such as 2020-01-01T09:30:00Z")))
        };
        let number = |text: &str, what: &str, most: f64| match text.parse::<f64>() {
            Ok(number) if number > 0.0 && number <= most => Ok(number),
            _ => Err(wrong(format!("`{text}` is no {what}"))),
        };
        let minutes = number(field(minutes), "number of minutes above 0", 5_259_600.0)?;
        let duration = Duration::from_secs_f64(minutes * 60.0);
        let arrival = time(field(arrival))?;
        let stated = optional(deadline).map(time).transpose()?;
        let power = optional(power)
            .map(|text| number(text, "power in watts above 0", 1e7))
            .transpose()?;
        let given = Given {
            id: field(id).to_owned(),
            arrival,
            duration,
            deadline: stated.or(slack.map(|slack| Span::new(arrival, duration + slack).end)),
            slack,
            power: power.map_or(args.power.unwrap_or(POWER), Watts),
            can_pause: match optional(interruptible)
                .map(str::to_ascii_lowercase)
                .as_deref()
            {
                None | Some("true" | "yes" | "1") => true,
                Some("false" | "no" | "0") => false,
                Some(other) => {
                    return Err(wrong(format!("interruptible is `{other}`, not yes or no")));
                }
            },
        };
        jobs.push(given.job(args, jobs.len()));
        if jobs.len() > MOST_JOBS {
            return Err(failure(format!("`{name}` has more than a million jobs")));
        }
    }
    if jobs.is_empty() {
        return Err(failure(format!("`{name}` has no job in it")));
    }
    Ok(jobs)
}
