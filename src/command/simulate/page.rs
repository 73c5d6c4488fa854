//! A simulation as a table for people, as JSON and as CSV.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::LeftOut;
use super::jobs::Cell;
use crate::cli::{Horizon, SimulateArgs};
use crate::simulate::rows::{Row, share};
use crate::simulate::{Costs, Idle, Policy, World};
use crate::words::{self, Look, Paint};

const SCHEMA: &str = "catrain.simulate/1";
/// Jobs that cannot be judged are named up to here, and counted beyond.
const NAMED: usize = 5;

/// One policy in one cell.
pub(super) struct Entry {
    /// The policy's name, or `recorded`.
    pub(super) policy: String,
    pub(super) zone: String,
    pub(super) duration: Option<Duration>,
    pub(super) slack: Option<Duration>,
    pub(super) start: Option<Timestamp>,
    pub(super) row: Row,
}

impl Entry {
    pub(super) fn new(policy: String, world: &World, cell: &Cell, row: Row) -> Self {
        Self {
            policy,
            zone: world.zone.clone(),
            duration: cell.duration,
            slack: cell.slack,
            start: cell.start,
            row,
        }
    }

    fn cell(&self) -> (&str, Option<Duration>, Option<Duration>, Option<Timestamp>) {
        (&self.zone, self.duration, self.slack, self.start)
    }
}

/// What is printed.
pub(super) struct Page<'a> {
    pub(super) args: &'a SimulateArgs,
    pub(super) costs: &'a Costs,
    /// Time between two decisions; none where it differs by the step of the data.
    pub(super) tick: Option<Duration>,
    /// With `--run`: what it is.
    pub(super) headline: Option<String>,
    pub(super) policies: &'a [Policy],
    pub(super) entries: &'a [Entry],
    pub(super) left_out: &'a [LeftOut],
    pub(super) notes: Vec<&'a String>,
    /// Whether all jobs were done before somebody had enough.
    pub(super) is_complete: bool,
    pub(super) look: Look,
}

/// A policy over all cells, each counted alike.
#[derive(Serialize)]
pub(super) struct Mean {
    policy: String,
    cells: usize,
    jobs: usize,
    saved_percent: Option<f64>,
    share_of_oracle: Option<f64>,
    delay_mean_s: f64,
    missed: usize,
    missed_max_s: f64,
    worse_percent: f64,
    /// Cells in which the policy emits no less than running at once.
    cells_without_saving: usize,
}

impl Page<'_> {
    /// Savings are averaged over the cells, then divided by those of the oracle.
    fn means(&self) -> Vec<Mean> {
        // Every row knows the oracle's, asked for or not.
        let best = (self.policies.first())
            .and_then(|policy| mean(self.of(*policy).map(|entry| entry.row.oracle_saved_percent)));
        (self.policies.iter())
            .map(|policy| {
                let of = || self.of(*policy).map(|entry| entry.row);
                let saved = mean(of().map(|row| row.saved_percent));
                let jobs: usize = of().map(|row| row.jobs).sum();
                let weighted = |value: fn(&Row) -> f64| {
                    of().map(|row| value(&row) * row.jobs as f64).sum::<f64>() / jobs.max(1) as f64
                };
                Mean {
                    policy: policy.to_string(),
                    cells: of().count(),
                    jobs,
                    saved_percent: saved,
                    share_of_oracle: share(saved, best),
                    delay_mean_s: weighted(|row| row.delay_mean_s),
                    missed: of().map(|row| row.missed).sum(),
                    missed_max_s: of().map(|row| row.missed_max_s).fold(0.0, f64::max),
                    worse_percent: weighted(|row| row.worse_percent),
                    cells_without_saving: of()
                        .filter(|row| row.saved_percent.is_none_or(|saved| saved <= 0.0))
                        .count(),
                }
            })
            .collect()
    }

    fn of(&self, policy: Policy) -> impl Iterator<Item = &Entry> {
        let name = policy.to_string();
        self.entries
            .iter()
            .filter(move |entry| entry.policy == name)
    }

    fn say(&self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        writeln!(out, "{}", self.look.text(text).trim_end())
    }

    pub(super) fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let cells = self.entries.chunk_by(|a, b| a.cell() == b.cell());
        let many = cells.clone().count() > 1;
        if let Some(headline) = &self.headline {
            self.say(out, &self.look.paint(Paint::Bold, headline))?;
        }
        for cell in cells {
            self.say(out, &self.look.paint(Paint::Bold, &heading(&cell[0])))?;
            // Of a single run the spread of delays says nothing, and the regret much.
            let of_one = self.headline.is_some();
            let head = format!(
                "{:<19}{:>9}{:>8}{:>7}{:>10}{:>10}{:>7}{:>8}",
                "policy",
                "emitted",
                "saved",
                "share",
                "delay",
                if of_one { "regret" } else { "p99" },
                "pauses",
                "missed"
            );
            self.say(out, &self.look.paint(Paint::Dim, &head))?;
            for entry in cell {
                let row = &entry.row;
                let pauses = match of_one {
                    true => format!("{:.0}", row.pauses_mean),
                    false => format!("{:.1}", row.pauses_mean),
                };
                let line = format!(
                    "{:<19}{:>9}{:>8}{:>7}{:>10}{:>10}{pauses:>7}{:>8}",
                    entry.policy,
                    words::mass(row.grams),
                    percent(row.saved_percent),
                    fraction(row.share_of_oracle),
                    seconds(row.delay_mean_s),
                    match of_one {
                        true => words::mass(row.regret),
                        false => seconds(row.delay_p99_s),
                    },
                    missed(row.missed),
                );
                self.say(out, &line)?;
            }
            for entry in cell {
                self.remarks(entry, out)?;
            }
            self.say(out, "")?;
        }
        if many && self.headline.is_none() {
            self.summary(out)?;
        }
        self.footer(out)
    }

    /// What is wrong with a row, where anything is.
    fn remarks(&self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        let row = &entry.row;
        if row.missed > 0 {
            let by = seconds(row.missed_max_s);
            self.say(out, &format!("  {}: late by up to {by}", entry.policy))?;
        }
        if row.uncovered_h > 0.0 {
            let line = format!(
                "  {}: {:.1} of {:.0} running hours have no known intensity and are in no sum",
                entry.policy,
                row.uncovered_h,
                row.uncovered_h + row.covered_h
            );
            self.say(out, &line)?;
        }
        Ok(())
    }

    fn summary(&self, out: &mut dyn Write) -> io::Result<()> {
        let means = self.means();
        let cells = means.first().map_or(0, |mean| mean.cells);
        let head = format!("all {cells} cells, each counted alike");
        self.say(out, &self.look.paint(Paint::Bold, &head))?;
        let head = format!(
            "{:<19}{:>9}{:>8}{:>10}{:>18}{:>8}",
            "policy", "saved", "share", "delay", "worse than now", "missed"
        );
        self.say(out, &self.look.paint(Paint::Dim, &head))?;
        for mean in means {
            let line = format!(
                "{:<19}{:>9}{:>8}{:>10}{:>18}{:>8}",
                mean.policy,
                mean.saved_percent
                    .map_or("?".to_owned(), |saved| signed(saved, 2)),
                mean.share_of_oracle
                    .map_or("–".to_owned(), |share| format!("{share:.3}")),
                seconds(mean.delay_mean_s),
                format!("{:.0} % of jobs", mean.worse_percent),
                missed(mean.missed),
            );
            self.say(out, &line)?;
        }
        self.say(out, "")
    }

    fn footer(&self, out: &mut dyn Write) -> io::Result<()> {
        let dim = |text: &str| self.look.paint(Paint::Dim, text);
        let idle = match self.costs.idle {
            Idle::Power(watts) => format!("{} W", watts.0),
            Idle::Share(share) => format!("{} %", share * 100.0),
        };
        let settings = format!(
            "idle power {idle}; a resume costs {}; decisions every {}; saved: against now; \
             share: of what the oracle saves",
            words::duration(self.costs.resume),
            (self.tick).map_or("step of the data".to_owned(), words::duration),
        );
        let notes = self
            .told_once()
            .into_iter()
            .map(|note| format!("note: {note}"));
        for text in std::iter::once(settings).chain(notes) {
            for line in wrapped(&text, self.look.width.min(100)) {
                self.say(out, &dim(&line))?;
            }
        }
        let more = self.left_out.len().saturating_sub(NAMED);
        if !self.left_out.is_empty() {
            let count = self.left_out.len();
            self.say(
                out,
                &format!("{count} jobs cannot be judged and are in no row:"),
            )?;
        }
        for job in self.left_out.iter().take(NAMED) {
            self.say(
                out,
                &format!("  `{}` in {}: {}", job.job, job.zone, job.why),
            )?;
        }
        if more > 0 {
            self.say(out, &format!("  and {more} more; --format json names all"))?;
        }
        Ok(())
    }

    fn told_once(&self) -> Vec<&str> {
        let mut told: Vec<&str> = Vec::new();
        for note in &self.notes {
            if !told.contains(&note.as_str()) {
                told.push(note);
            }
        }
        told
    }

    pub(super) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let document = Document {
            schema: SCHEMA,
            settings: Settings::of(self.args, self.costs, self.tick),
            complete: self.is_complete,
            rows: self.entries.iter().map(Flat::of).collect(),
            means: self.means(),
            unjudged: (self.left_out.iter())
                .map(|job| UnjudgedJob {
                    zone: &job.zone,
                    job_id: &job.job,
                    why: &job.why,
                })
                .collect(),
            notes: self.told_once(),
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }

    pub(super) fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        for entry in self.entries {
            writer
                .serialize(Flat::of(entry))
                .map_err(crate::command::csv_error)?;
        }
        writer.flush()
    }
}

fn seconds(seconds: f64) -> String {
    words::duration(Duration::from_secs_f64(seconds))
}

fn missed(jobs: usize) -> String {
    match jobs {
        0 => "none".to_owned(),
        jobs => jobs.to_string(),
    }
}

fn heading(entry: &Entry) -> String {
    if let Some(start) = entry.start {
        let at = start
            .to_zoned(TimeZone::UTC)
            .strftime("%a %Y-%m-%d %H:%M UTC");
        return format!("{} · started {at}", entry.zone);
    }
    let jobs = match entry.row.jobs {
        1 => "1 job".to_owned(),
        jobs => format!("{jobs} jobs"),
    };
    let hours = format!("{:.0} running hours covered", entry.row.covered_h);
    match (entry.duration, entry.slack) {
        (Some(duration), Some(slack)) => format!(
            "{} · {} of work, {} of slack · {jobs}, {hours}",
            entry.zone,
            words::duration(duration),
            words::duration(slack)
        ),
        (Some(duration), None) => {
            let work = words::duration(duration);
            format!("{} · {work} of work · {jobs}, {hours}", entry.zone)
        }
        _ => format!("{} · {jobs}, {hours}", entry.zone),
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or("?".to_owned(), |percent| signed(percent, 1))
}

/// With a true minus and never `-0`.
fn signed(percent: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", percent.abs());
    let is_zero = text.chars().all(|c| c == '0' || c == '.');
    let sign = if percent < 0.0 && !is_zero { "−" } else { "" };
    format!("{sign}{text} %")
}

fn fraction(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |share| format!("{share:.2}"))
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is always one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    settings: Settings,
    complete: bool,
    rows: Vec<Flat>,
    means: Vec<Mean>,
    unjudged: Vec<UnjudgedJob<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct UnjudgedJob<'a> {
    zone: &'a str,
    job_id: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Settings {
    power_w: Option<f64>,
    idle_power_w: Option<f64>,
    idle_power_share: Option<f64>,
    pause_cost_s: f64,
    resume_cost_s: f64,
    min_run_s: f64,
    min_pause_s: f64,
    max_pauses: Option<u32>,
    tick_s: Option<f64>,
    duration_margin: f64,
    duration_error: f64,
    rate_noise: f64,
    unknown_duration: bool,
    outage_s: Option<f64>,
    outage_every_s: Option<f64>,
    horizon: Option<String>,
    learning: bool,
    seed: u64,
}

impl Settings {
    fn of(args: &SimulateArgs, costs: &Costs, tick: Option<Duration>) -> Self {
        let (watts, of_run) = match costs.idle {
            Idle::Power(watts) => (Some(watts.0), None),
            Idle::Share(share) => (None, Some(share)),
        };
        Self {
            power_w: args.power.map(|watts| watts.0),
            idle_power_w: watts,
            idle_power_share: of_run,
            pause_cost_s: costs.pause.as_secs_f64(),
            resume_cost_s: costs.resume.as_secs_f64(),
            min_run_s: costs.min_run.as_secs_f64(),
            min_pause_s: costs.min_pause.as_secs_f64(),
            max_pauses: costs.max_pauses,
            tick_s: tick.map(|tick| tick.as_secs_f64()),
            duration_margin: costs.margin,
            duration_error: args.duration_error,
            rate_noise: args.rate_noise,
            unknown_duration: args.unknown_duration,
            outage_s: args.outage.map(|(length, _)| length.as_secs_f64()),
            outage_every_s: args.outage.map(|(_, every)| every.as_secs_f64()),
            horizon: args.horizon.map(|horizon| match horizon {
                Horizon::LocalDay => "day".to_owned(),
                Horizon::Lead(lead) => format!("{} h", lead.as_secs_f64() / 3600.0),
            }),
            learning: !args.no_learning,
            seed: args.seed,
        }
    }
}

/// A row by its stable names.
#[derive(Serialize)]
struct Flat {
    policy: String,
    zone: String,
    start: Option<Timestamp>,
    duration_h: Option<f64>,
    slack_h: Option<f64>,
    jobs: usize,
    grams: f64,
    saved_percent: Option<f64>,
    share_of_oracle: Option<f64>,
    regret_g: f64,
    delay_mean_s: f64,
    delay_p99_s: f64,
    pauses_mean: f64,
    missed: usize,
    missed_max_s: f64,
    worse_percent: f64,
    covered_h: f64,
    uncovered_h: f64,
}

impl Flat {
    fn of(entry: &Entry) -> Self {
        let hours = |time: Duration| time.as_secs_f64() / 3600.0;
        let row = &entry.row;
        Self {
            policy: entry.policy.clone(),
            zone: entry.zone.clone(),
            start: entry.start,
            duration_h: entry.duration.map(hours),
            slack_h: entry.slack.map(hours),
            jobs: row.jobs,
            grams: row.grams.0,
            saved_percent: row.saved_percent,
            share_of_oracle: row.share_of_oracle,
            regret_g: row.regret.0,
            delay_mean_s: row.delay_mean_s,
            delay_p99_s: row.delay_p99_s,
            pauses_mean: row.pauses_mean,
            missed: row.missed,
            missed_max_s: row.missed_max_s,
            worse_percent: row.worse_percent,
            covered_h: row.covered_h,
            uncovered_h: row.uncovered_h,
        }
    }
}
