//! What can be typed. The help texts are the documentation: `completions/` and `man/` come from them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum, ValueHint};

use crate::error::EXIT_CODES;
use crate::parse;
use crate::plan::Limit;
use crate::source::Name;
use crate::units::{GramsCo2e, GramsPerKwh, Pue, Watts};

/// Prefix a training command: it is held, paused and resumed by the grid's carbon intensity, and
/// accounted for.
#[derive(Debug, Parser)]
#[command(
    name = "catrain",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_long_help = format!("Examples:
  catrain run -- python train.py
  catrain run --zone DE --duration 6h --deadline 'tomorrow 09:00' -- python train.py
  catrain forecast --zone DE --duration 6h
  catrain report latest

Exit codes:
{}", indent(EXIT_CODES))
)]
pub struct Cli {
    /// Colours in what catrain says
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command under carbon-aware supervision
    Run(Box<RunArgs>),
    /// Show the intensity ahead and the cleanest windows
    Forecast(ForecastArgs),
    /// Account for past runs: energy, emissions, what waiting avoided
    Report(ReportArgs),
    /// Show the runs of this user
    Status(StatusArgs),
    /// Hold a run until `catrain resume`; the plan does not lift it
    Pause(RunName),
    /// Let a held or paused run go on now
    Resume(RunName),
    /// End a run: stop signal, then the grace period, then KILL
    Stop(RunName),
    /// List the grid zones that are known
    Zones(ZonesArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// Directory to write to, one page a subcommand; without it the main page goes to stdout
        #[arg(value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
}

/// `catrain run`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  catrain run -- python train.py
      starts at once; may later be paused for at most half the time it has run
  catrain run -z DE -d 6h --deadline 'tomorrow 09:00' -- python train.py
      starts when the grid is clean enough and ends in time
  catrain run -z PL -d 8h --max-delay 10h --power 700 -- torchrun train.py
      waits and pauses for ten hours at most
  catrain run --replay DE@2021-11-09T16:00 --speed 3600 -d 8h -- python train.py
      lives out another day, an hour a second: for trying settings")]
pub struct RunArgs {
    /// Grid zone, as `catrain zones` lists them [default: guessed from the system's time zone]
    #[arg(
        short,
        long,
        value_name = "ZONE",
        env = "CATRAIN_ZONE",
        help_heading = "Intensity"
    )]
    pub zone: Option<String>,

    /// Sources in order of preference: `file:PATH` (a trace or issued forecasts), `built-in`
    #[arg(
        short,
        long,
        value_name = "NAME[,NAME…]",
        value_delimiter = ',',
        help_heading = "Intensity",
        conflicts_with = "replay"
    )]
    pub source: Vec<Name>,

    /// Live out a recorded day: a trace file or a built-in zone, from TIME on
    #[arg(long, value_name = "TRACE[@TIME]", help_heading = "Intensity")]
    pub replay: Option<String>,

    /// How many times faster the replayed day passes
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1.0,
        value_parser = speed,
        requires = "replay",
        help_heading = "Intensity"
    )]
    pub speed: f64,

    /// Uninterrupted running time of the whole job, such as `6h` or `2d 4h`
    /// [default: the median of the last five good runs of the same command here, else unknown]
    #[arg(short, long, value_name = "DUR", value_parser = parse::positive_duration, help_heading = "Time")]
    pub duration: Option<Duration>,

    /// The duration is sure: plan without a safety margin
    #[arg(long, requires = "duration", help_heading = "Time")]
    pub duration_exact: bool,

    /// Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub deadline: Option<String>,

    /// Most time spent not progressing, in all; `0` never holds and never pauses
    /// [default: 12h with a duration, else half the time run so far]
    #[arg(long, value_name = "DUR", value_parser = parse::duration, help_heading = "Time")]
    pub max_delay: Option<Duration>,

    /// How to choose when to run
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Plan")]
    pub policy: Option<PolicyName>,

    /// For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]
    #[arg(long, value_name = "N|pNN", value_parser = threshold, help_heading = "Plan")]
    pub threshold: Option<Limit>,

    /// Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %
    #[arg(long, value_name = "MASS", value_parser = parse::mass, help_heading = "Plan")]
    pub carbon_budget: Option<GramsCo2e>,

    /// Least time from a start or resume to the next pause
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = parse::duration, help_heading = "Plan")]
    pub min_run: Duration,

    /// Least time paused
    #[arg(long, value_name = "DUR", default_value = "5m", value_parser = parse::duration, help_heading = "Plan")]
    pub min_pause: Duration,

    /// How the job is asked to end by `catrain stop`
    #[arg(long, value_name = "SIG", default_value = "TERM", value_parser = signal, help_heading = "Job")]
    pub stop_signal: nix::sys::signal::Signal,

    /// How long the job may take to end before it is killed
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse::duration, help_heading = "Job")]
    pub grace: Duration,

    /// Give the job the controlling terminal (password prompts, shells); it may be held, never paused
    #[arg(long, help_heading = "Job")]
    pub tty: bool,

    /// Power of the job while running, in watts, where nothing is measured
    #[arg(long, value_name = "W", value_parser = watts, help_heading = "Account")]
    pub power: Option<Watts>,

    /// Power that stays on while paused, in watts
    #[arg(long, value_name = "W", value_parser = watts, help_heading = "Account")]
    pub idle_power: Option<Watts>,

    /// The hardware is reserved for this run: its idle power counts while held
    #[arg(long, help_heading = "Account")]
    pub reserved: bool,

    /// Facility energy divided by IT energy [default: IT equipment only]
    #[arg(long, value_name = "N", value_parser = pue, help_heading = "Account")]
    pub pue: Option<Pue>,

    /// Name for status and reports [default: the program's name]
    #[arg(long, value_name = "TEXT", help_heading = "Account")]
    pub name: Option<String>,

    /// Label for reports; may be repeated
    #[arg(long, value_name = "K=V", value_parser = label, help_heading = "Account")]
    pub label: Vec<(String, String)>,

    /// What is printed at the end, to stderr
    #[arg(
        long,
        value_name = "FORM",
        value_enum,
        default_value = "text",
        help_heading = "Output"
    )]
    pub summary: SummaryForm,

    /// Write the summary to a file as well
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub summary_file: Option<PathBuf>,

    /// A countdown while held or paused
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        help_heading = "Output"
    )]
    pub progress: ProgressWhen,

    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `--policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyName {
    /// Least emissions within deadline and delay
    Plan,
    /// Run while the intensity is at or below a limit
    Threshold,
    /// One uninterrupted run at the cleanest time
    Window,
    /// The earliest end within `--carbon-budget`
    Budget,
    /// At once, never paused
    Now,
}

/// `--summary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryForm {
    /// A few lines
    Text,
    /// One JSON document
    Json,
    /// Nothing
    None,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    /// On a terminal
    Auto,
    /// Also elsewhere
    Always,
    /// Never
    Never,
}

/// The carbon intensity now and ahead, and the cleanest times to run.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  catrain forecast -z DE -d 6h
  catrain forecast -z DE -z SE -z PL --deadline 'tomorrow 09:00'
  catrain forecast -s file:DE_2021.csv --format json")]
pub struct ForecastArgs {
    /// Grid zone, such as DE or US-CAL-CISO; give it again to compare several.
    #[arg(short, long, value_name = "ZONE", env = "CATRAIN_ZONE")]
    pub zone: Vec<String>,

    /// Where intensities come from, in order of preference: file:PATH, built-in.
    #[arg(short, long, value_name = "NAME[,NAME…]", value_delimiter = ',')]
    pub source: Vec<Name>,

    /// How far ahead to look, up to 168.
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=168))]
    pub hours: u16,

    /// How long the work takes: the cleanest windows of that length are listed.
    #[arg(short, long, value_name = "DUR", default_value = "6h", value_parser = parse::positive_duration)]
    pub duration: Duration,

    /// Only windows that end by then: 'tomorrow 09:00', '2026-11-25 09:00', +36h, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<String>,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = ForecastFormat::Table)]
    pub format: ForecastFormat,
}

/// How a forecast is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForecastFormat {
    /// A chart and a table for people.
    Table,
    /// One document, `catrain.forecast/1`.
    Json,
    /// One line an hour and zone.
    Csv,
}

/// The grid zones known, which sources serve them, and what is built in.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  catrain zones
  catrain zones germany
  catrain zones US- --json")]
pub struct ZonesArgs {
    /// Only zones whose id or name holds this.
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,

    /// Print one JSON document, `catrain.zones/1`.
    #[arg(long)]
    pub json: bool,
}

/// Energy and emissions of runs, and what waiting changed
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArgs {
    /// Ids of runs, beginnings of ids, or `latest` [default: latest]
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// Only runs started at or after this time: 2026-11-24, '2026-11-24 09:00', or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only runs started before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    #[default]
    Text,
    /// One JSON document, catrain.report/1
    Json,
}

/// `catrain status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run's id, or the beginning of it
    pub run: Option<String>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

/// One run.
#[derive(Debug, Args)]
pub struct RunName {
    /// The run's id, or the beginning of it; may be left out where only one runs
    pub run: Option<String>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (1.0..=1e6).contains(&speed) => Ok(speed),
        _ => Err("expected a number from 1 to 1000000".to_owned()),
    }
}

fn watts(text: &str) -> Result<Watts, String> {
    let number = text.trim_end_matches(['W', 'w']).trim();
    match number.parse::<f64>() {
        Ok(watts) if (0.0..=1e7).contains(&watts) => Ok(Watts(watts)),
        _ => Err("expected a power in watts such as 700".to_owned()),
    }
}

fn pue(text: &str) -> Result<Pue, String> {
    let ratio: f64 = text
        .parse()
        .map_err(|_| "expected a number such as 1.2".to_owned())?;
    Pue::try_from(ratio)
}

fn threshold(text: &str) -> Result<Limit, String> {
    let hint = || "expected g/kWh such as 250, or a percentile such as p30".to_owned();
    if let Some(percent) = text.strip_prefix(['p', 'P']) {
        let percent: f64 = percent.parse().map_err(|_| hint())?;
        return match percent {
            0.0..=100.0 => Ok(Limit::Percentile(percent)),
            _ => Err("a percentile is between p0 and p100".to_owned()),
        };
    }
    match text.parse::<f64>() {
        Ok(limit) if (0.0..1e5).contains(&limit) => Ok(Limit::Absolute(GramsPerKwh(limit))),
        _ => Err(hint()),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

fn signal(text: &str) -> Result<nix::sys::signal::Signal, String> {
    use nix::sys::signal::Signal;
    let name = text.trim().to_ascii_uppercase();
    let name = if name.starts_with("SIG") {
        name
    } else {
        format!("SIG{name}")
    };
    match name.parse::<Signal>() {
        Ok(Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGCONT) => {
            Err(format!("{name} does not end a job"))
        }
        Ok(signal) => Ok(signal),
        Err(_) => Err("expected the name of a signal such as TERM, INT or USR1".to_owned()),
    }
}
