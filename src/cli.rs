//! What can be typed. The help texts are the documentation: `completions/` and `man/` come from them.

pub mod flags;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum, ValueHint};

use crate::error::EXIT_CODES;
use crate::ledger::entry::Share;
use crate::log::{self, Form, Levels};
use crate::parse;
use crate::plan::Limit;
use crate::presets::{PRESETS, Preset, preset};
use crate::report::embodied::Hardware;
use crate::report::groups::Grouping;
use crate::serve::Address;
use crate::simulate::{Idle, Policy};
use crate::source::Name;
use crate::units::{GramsCo2e, Pue, Watts};

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

    /// Settings of this name, `[profile.NAME]` in a configuration, over those outside of it
    #[arg(long, global = true, value_name = "NAME", env = "CATRAIN_PROFILE")]
    pub profile: Option<String>,

    /// What is logged
    #[command(flatten)]
    pub log: LogArgs,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What is logged, and where to.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug`
    /// [default: nothing, with --log-file info]
    #[arg(
        long,
        global = true,
        value_name = "LEVELS",
        env = "CATRAIN_LOG",
        hide_short_help = true,
        help_heading = "Log"
    )]
    pub log_level: Option<Levels>,

    /// Log to a file, readable by you alone and put aside as it grows [default: standard error]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "CATRAIN_LOG_FILE",
        hide_short_help = true,
        value_hint = ValueHint::FilePath,
        help_heading = "Log"
    )]
    pub log_file: Option<PathBuf>,

    /// How lines of the log look [default: text on a terminal, JSON elsewhere]
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        value_parser = log_form,
        env = "CATRAIN_LOG_FORMAT",
        hide_short_help = true,
        help_heading = "Log"
    )]
    pub log_format: Option<Form>,
}

impl LogArgs {
    /// What is typed, over what is configured.
    pub fn settings(&self, configured: log::Settings) -> log::Settings {
        log::Settings {
            levels: self.log_level.clone().or(configured.levels),
            file: self.log_file.clone().or(configured.file),
            form: self.log_format.or(configured.form),
            ..configured
        }
    }
}

fn log_form(text: &str) -> Result<Form, String> {
    match text {
        "text" => Ok(Form::Text),
        "json" => Ok(Form::Json),
        _ => Err("expected `text` or `json`".to_owned()),
    }
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
    /// What policies would have saved on past intensities
    Simulate(Box<SimulateArgs>),
    /// Show the runs of this user
    ///
    /// Each run also answers HTTP at a Unix socket of its own in the runtime directory, for this user
    /// alone: GET /status, POST /pause, POST /resume (or /resume?for=2h), POST /stop, POST /reload.
    /// Answers are JSON. GET /health, /ready, /health/detailed and /metrics are there as well.
    Status(StatusArgs),
    /// Hold a run until `catrain resume`; the plan does not lift it
    Pause(RunName),
    /// Let a held or paused run go on now
    Resume(ResumeArgs),
    /// End a run: stop signal, then the grace period, then KILL
    Stop(RunName),
    /// Have a run read its configuration anew; all live runs where none is named
    ///
    /// The configuration is checked as a whole: with anything wrong in it nothing is changed. Each key counts
    /// when catrain.toml(5) says: at once, with the next plan, or for new runs. A run takes a changed file by
    /// itself; this is for where no event tells of one, and to hear what came of it.
    Reload(RunName),
    /// Start a run again that ended before its job did: held, or waiting for a restart
    ///
    /// The directory, the options and the command are those that were recorded, the environment is
    /// that of the caller. Times such as +36h mean what they meant, and a duration counts less what
    /// has run already. Where the recorded command was redacted it is to be given again.
    Continue(ContinueArgs),
    /// Supervise a process that is already running; it offers less, and says so
    Attach(Box<AttachArgs>),
    /// Print what a detached run and its job wrote
    Logs(LogsArgs),
    /// List the grid zones that are known
    Zones(ZonesArgs),
    /// Keep the keys of sources, encrypted
    ///
    /// The first place that has a key counts: the variable CATRAIN_<SOURCE>_KEY, the file named by
    /// CATRAIN_<SOURCE>_KEY_FILE, systemd's credential catrain-<source>-key, key_command, key or
    /// key_file of the configuration, and last what is kept here. The job sees none of these
    /// variables of ours. What is kept is sealed with a file beside it, against backups and glances,
    /// or with a passphrase, against whoever can read your files.
    Key(KeyArgs),
    /// Show, check, write, take back the configuration
    ///
    /// Later wins: what is built in, /etc/catrain/config.toml, config.toml in the configuration directory,
    /// catrain.toml in the working directory (which may set little), the profile, variables, flags. The keys
    /// are in catrain.toml(5). A run takes a changed file by itself, within a second or so, or refuses it whole.
    Config(ConfigArgs),
    /// Try out the channels that alerts go to, and show what nobody took
    ///
    /// Alerts are configured: webhooks, Slack and email; see catrain.toml(5). What a channel does not take is
    /// kept in the state directory, and tried again when it takes something or a later run starts.
    Alerts(AlertsArgs),
    /// Check what works here, and say the exact fix for what does not
    ///
    /// Changes nothing, shows no secret, and ends within about five seconds whatever hangs. The watchdog
    /// is started for a moment, and the sources of the zone are asked once, unless --offline is given.
    Doctor(DoctorArgs),
    /// Give whole jobs on a Slurm cluster their begin time
    Slurm(SlurmArgs),
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
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Examples:
  catrain run -- python train.py
      starts at once; may later be paused for at most half the time it has run
  catrain run -z DE -d 6h --deadline 'tomorrow 09:00' -- python train.py
      starts when the grid is clean enough and ends in time
  catrain run -z PL -d 8h --max-delay 10h --power 700 -- torchrun train.py
      waits and pauses for ten hours at most
  catrain run -D -d 8h --max-delay 10h -- python train.py
      prints its id and goes on without the terminal; `catrain logs -f` shows its output
  catrain run --replay DE@2021-11-09T16:00 --speed 3600 -d 8h -- python train.py
      lives out another day, an hour a second: for trying settings")]
pub struct RunArgs {
    /// What is typed before the command.
    #[command(flatten)]
    pub options: RunOptions,

    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,

    /// The process that runs already, in place of a command to start.
    #[arg(skip)]
    pub attach: Option<Attach>,
}

impl std::ops::Deref for RunArgs {
    type Target = RunOptions;
    fn deref(&self) -> &RunOptions {
        &self.options
    }
}

/// A process that runs already.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Which one.
    pub pid: i32,
    /// Pause it even where others would notice.
    pub force: bool,
    /// Where it runs.
    pub directory: PathBuf,
}

/// The options of `catrain run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Grid zone, as `catrain zones` lists them [default: guessed from the system's time zone]
    #[arg(
        short,
        long,
        value_name = "ZONE",
        env = "CATRAIN_ZONE",
        help_heading = "Intensity"
    )]
    pub zone: Option<String>,

    /// Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`,
    /// `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts),
    /// `built-in` [default: the configured chain, else those without a key that serve the zone]
    #[arg(
        short,
        long,
        value_name = "NAME[,NAME…]",
        value_delimiter = ',',
        help_heading = "Intensity",
        conflicts_with = "replay"
    )]
    pub source: Vec<Name>,

    /// Keep a second, complete account by another signal, such as `watttime`
    #[arg(
        long,
        value_name = "SOURCE",
        help_heading = "Intensity",
        conflicts_with = "replay"
    )]
    pub account_with: Option<Name>,

    /// Ask nobody: cache, files and built-in data only
    #[arg(
        long,
        env = "CATRAIN_OFFLINE",
        value_parser = clap::builder::FalseyValueParser::new(),
        help_heading = "Intensity"
    )]
    pub offline: bool,

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
    #[arg(long, value_name = "N|pNN", help_heading = "Plan")]
    pub threshold: Option<Limit>,

    /// Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %
    #[arg(long, value_name = "MASS", value_parser = parse::mass, help_heading = "Plan")]
    pub carbon_budget: Option<GramsCo2e>,

    /// What follows when the carbon budget is used up
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value = "warn",
        help_heading = "Plan"
    )]
    pub on_budget: OnBudget,

    /// Least time from a start or resume to the next pause
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = parse::duration, help_heading = "Plan")]
    pub min_run: Duration,

    /// Least time paused
    #[arg(long, value_name = "DUR", default_value = "5m", value_parser = parse::duration, help_heading = "Plan")]
    pub min_pause: Duration,

    /// How the job is paused [default: stop, or the preset's]
    #[arg(long, value_name = "MODE", value_enum, help_heading = "Pause")]
    pub pause_with: Option<PauseMode>,

    /// What is known of a framework: signals, who gets them, waits
    #[arg(
        long,
        value_name = "NAME",
        value_parser = preset_parser(),
        long_help = crate::presets::long_help(),
        help_heading = "Pause"
    )]
    pub preset: Option<&'static Preset>,

    /// Longest stop of a job that has not saved its state [default: 7m for several ranks, else none]
    #[arg(long, value_name = "DUR", value_parser = parse::positive_duration, help_heading = "Pause")]
    pub max_stop: Option<Duration>,

    /// How the job is asked to save its state [default: USR1, or the preset's]
    #[arg(long, value_name = "SIG", value_parser = checkpoint_signal, help_heading = "Pause")]
    pub checkpoint_signal: Option<nix::sys::signal::Signal>,

    /// Who of the job is asked to [default: leader, or the preset's]
    #[arg(long, value_name = "WHOM", value_enum, help_heading = "Pause")]
    pub checkpoint_to: Option<RecipientName>,

    /// Proof of a save: a file that matches is new, or changed, and complete
    #[arg(long, value_name = "GLOB", help_heading = "Pause")]
    pub checkpoint_path: Option<String>,

    /// Proof of a save: a line that matches, where progress is read from
    #[arg(long, value_name = "RE", help_heading = "Pause")]
    pub checkpoint_line: Option<String>,

    /// How long a save may take
    #[arg(long, value_name = "DUR", default_value = "5m", value_parser = parse::positive_duration, help_heading = "Pause")]
    pub checkpoint_timeout: Duration,

    /// What follows when nothing proves a save in time
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value = "stop",
        help_heading = "Pause"
    )]
    pub unproved: UnprovedThen,

    /// Directory that all nodes of a Slurm job share, by which their supervisors stop and go on together
    /// [default: the state directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Pause")]
    pub job_dir: Option<PathBuf>,

    /// Arguments to add when a job that has left is started again, such as `--resume latest`
    #[arg(
        long,
        value_name = "ARGS",
        allow_hyphen_values = true,
        help_heading = "Pause"
    )]
    pub resume_args: Option<String>,

    /// Where the job says how far it is: a file, `stdout` or `stderr`
    /// [default: its stdout, else its stderr, where that goes to a file]
    #[arg(long, value_name = "FILE|stdout|stderr", value_hint = ValueHint::FilePath, help_heading = "Time")]
    pub progress_from: Option<ProgressFrom>,

    /// What progress looks like, with groups `done` and `total`, or `percent`
    /// [default: `step 120/9000`, tqdm, Lightning, Keras, Hugging Face]
    #[arg(long, value_name = "RE", help_heading = "Time")]
    pub progress_pattern: Option<String>,

    /// How the job is asked to end by `catrain stop` [default: TERM, or the preset's]
    #[arg(long, value_name = "SIG", value_parser = signal, help_heading = "Job")]
    pub stop_signal: Option<nix::sys::signal::Signal>,

    /// How long the job may take to end before it is killed [default: 30s, or the preset's]
    #[arg(long, value_name = "DUR", value_parser = parse::duration, help_heading = "Job")]
    pub grace: Option<Duration>,

    /// What becomes of processes that outlive the job's first one
    #[arg(
        long,
        value_name = "FATE",
        value_enum,
        default_value = "end",
        help_heading = "Job"
    )]
    pub leftovers: LeftoverFate,

    /// How often a job that fails is started again
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Job")]
    pub retries: u32,

    /// How long to wait before that; twice as long each time, with jitter
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = parse::duration, help_heading = "Job")]
    pub retry_delay: Duration,

    /// Run CMD by `sh -c` when the job is paused; CATRAIN_RUN, CATRAIN_EVENT and more tell it why
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString, help_heading = "Job")]
    pub on_pause: Option<String>,

    /// The same when it goes on
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString, help_heading = "Job")]
    pub on_resume: Option<String>,

    /// The same when the run is over
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString, help_heading = "Job")]
    pub on_end: Option<String>,

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

    /// GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = gpu,
        help_heading = "Account"
    )]
    pub gpus: Vec<String>,

    /// Whose energy is counted where others use the machine too [default: job]
    #[arg(long, value_name = "WHOSE", value_parser = share, help_heading = "Account")]
    pub share: Option<Share>,

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

    /// Serve health and metrics over HTTP: `9090`, `127.0.0.1:9090`, `[::1]:9090`; port 0 takes a free one
    #[arg(long, value_name = "ADDR", help_heading = "Output")]
    pub listen: Option<Address>,

    /// Let `--listen` take an address that other machines can reach; the token crosses the network
    #[arg(long, help_heading = "Output")]
    pub listen_anywhere: bool,

    /// Write metrics to a file now and then, by its ending: `.json`, `.prom` (the last look) or `.csv`
    /// (a row each time)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub metrics_file: Option<PathBuf>,

    /// How often
    #[arg(long, value_name = "DUR", default_value = "15s", value_parser = parse::positive_duration, help_heading = "Output")]
    pub metrics_every: Duration,

    /// Supervise from a session of its own, with the output in a file: prints the run's id and returns
    #[arg(short = 'D', long, conflicts_with = "tty", help_heading = "Job")]
    pub detach: bool,

    /// Started by `--detach`, with this file for the output.
    #[arg(long, hide = true, value_name = "PATH")]
    pub detached: Option<PathBuf>,

    /// Started by `continue`, in the place of this run.
    #[arg(long, hide = true, value_name = "RUN")]
    pub continues: Option<String>,

    /// Inside a job that `slurm submit` has submitted.
    #[arg(long, hide = true)]
    pub submitted: bool,

    /// Started by the supervisor of a batch script, on each other node of its job.
    #[arg(long, hide = true)]
    pub keeper: bool,
}

/// `catrain slurm`.
#[derive(Debug, Args)]
pub struct SlurmArgs {
    /// What to do
    #[command(subcommand)]
    pub action: SlurmAction,
}

/// What `catrain slurm` does.
#[derive(Debug, Subcommand)]
pub enum SlurmAction {
    /// Submit a job that begins when the grid is clean enough
    ///
    /// The job is planned as `catrain run` plans a start, and given to sbatch with that begin time, so that
    /// nothing of catrain has to live while it waits. Once it has started its script runs under `catrain run`
    /// with the options given here. The job's number goes to standard output, all else to standard error.
    Submit(Box<SubmitArgs>),
    /// Move the begin times of submitted jobs as forecasts change
    ///
    /// Jobs that wait for their begin time are planned anew: never later than the latest start that keeps what
    /// was promised. What you hold, or have given another begin time yourself, is left alone. One of these is
    /// enough, also from cron with --once; without any, jobs begin as they were planned when submitted.
    Watch(WatchArgs),
}

/// `catrain slurm submit`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Examples:
  catrain slurm submit -z DE -d 6h --deadline 'tomorrow 09:00' -- -p gpu train.sh
  catrain slurm submit -d 8h --max-delay 10h --pause-with requeue -- --array=0-9 train.sh --epochs 5
  catrain slurm submit -d 2h --dry-run -- --wrap 'python train.py'
      shows what would be submitted

The options of sbatch, its variables (SBATCH_TIMELIMIT, …) and the #SBATCH lines of the script count as for
sbatch. A begin time given there is kept: the job begins then or later.")]
pub struct SubmitArgs {
    /// Those of `catrain run`, which the job has inside
    #[command(flatten)]
    pub options: RunOptions,

    /// One JSON document, `catrain.slurm_submit/1`, in place of the job's number
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Submit nothing: print the command and the script
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// Options of sbatch, the script and its arguments; without a script it is read from standard input
    #[arg(last = true, value_name = "SBATCH", value_hint = ValueHint::CommandWithArguments)]
    pub sbatch: Vec<OsString>,
}

/// `catrain slurm watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// Look once, and end
    #[arg(long)]
    pub once: bool,

    /// How often to look
    #[arg(long, value_name = "DUR", default_value = "15m", value_parser = parse::positive_duration, conflicts_with = "once")]
    pub every: Duration,

    /// One JSON document a look, `catrain.slurm_watch/1`
    #[arg(long)]
    pub json: bool,
}

/// `catrain attach`.
#[derive(Args, Debug)]
#[command(
    after_long_help = "What cannot be had of a process that catrain did not start:
  its exit code, where the kernel does not tell (catrain ends with 0 then);
  holding its start, trying it again, releasing it and starting it again;
  pausing it while it shares its session with others or is what a terminal's keys go to,
  unless --pause-with freeze works or --force is given.
TERM, INT or HUP to catrain leave it: whatever is stopped goes on, and it runs on.

Examples:
  catrain attach 4711
  catrain attach r7k2
      the job of a run whose supervisor was killed
  catrain attach -z DE -d 6h --deadline 'tomorrow 09:00' --pause-with freeze 4711"
)]
pub struct AttachArgs {
    /// As for `run`
    #[command(flatten)]
    pub options: RunOptions,

    /// Pause it even if it shares its session with others, or has a terminal
    #[arg(long)]
    pub force: bool,

    /// The process, or the run whose job it is
    #[arg(value_name = "PID|RUN")]
    pub target: String,
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

/// `--pause-with`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PauseMode {
    /// Stop every process, and continue them later
    Stop,
    /// Freeze the job's control group; falls back to `stop` where that is not possible
    Freeze,
    /// Have the job save its state, see the proof, then stop it
    Checkpoint,
    /// Have the job save its state and leave; start the command again later
    Restart,
    /// Have the job save its state, then put it back into Slurm's queue until it is to go on: its nodes are
    /// free meanwhile
    Requeue,
    /// Have Slurm suspend the job, where you are an operator; `catrain slurm watch` does it
    Suspend,
    /// `stop` or `restart`, in a Slurm job `stop` or `requeue`, as the plan finds cheaper for each pause
    Auto,
}

/// `--preset`: one of those that there are.
fn preset_parser() -> impl TypedValueParser<Value = &'static Preset> {
    let names = PRESETS.map(|preset| PossibleValue::new(preset.name).help(preset.summary));
    PossibleValuesParser::new(names).try_map(|name| preset(&name).ok_or("no such preset"))
}

/// `--checkpoint-to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecipientName {
    /// The process that was started
    Leader,
    /// Its process group
    Group,
    /// Each rank, not the launcher
    Ranks,
}

/// `--on-budget`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnBudget {
    /// Say so
    Warn,
    /// Hold the job, as `catrain pause` does, until `catrain resume`
    Pause,
    /// End the job, as `catrain stop` does
    Stop,
}

/// `--unproved`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UnprovedThen {
    /// Stop it all the same; it keeps its memory
    Stop,
    /// Let it run on
    Run,
}

/// `--leftovers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LeftoverFate {
    /// They have the grace period to end by themselves, then are ended
    End,
    /// They run on
    Leave,
}

/// `--progress-from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressFrom {
    /// What the job writes to its standard output.
    Stdout,
    /// What it writes to its standard error.
    Stderr,
    /// A file that it writes.
    File(PathBuf),
}

impl std::str::FromStr for ProgressFrom {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        })
    }
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

    /// Where intensities come from, in order of preference: a service's name, file:PATH, built-in.
    #[arg(short, long, value_name = "NAME[,NAME…]", value_delimiter = ',')]
    pub source: Vec<Name>,

    /// Ask nobody: cache, files and built-in data only.
    #[arg(
        long,
        env = "CATRAIN_OFFLINE",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub offline: bool,

    /// How far ahead to look, up to 168.
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=168))]
    pub hours: u16,

    /// How long the work takes: the cleanest windows of that length are listed.
    #[arg(short, long, value_name = "DUR", default_value = "6h", value_parser = parse::positive_duration)]
    pub duration: Duration,

    /// Only windows that end by then: 'tomorrow 09:00', '2026-11-25 09:00', +36h, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<String>,

    /// Go on and print it anew whenever there is something new, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,

    /// Instead: how good past forecasts of each source were, by what was kept of them.
    #[arg(long, conflicts_with_all = ["watch", "duration", "deadline", "hours"])]
    pub score: bool,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// How a forecast or a simulation is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated values, with a header.
    Csv,
}

/// The grid zones known, which sources serve them, and what is built in.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  catrain zones
  catrain zones germany
  catrain zones US- --json
  catrain zones --sources")]
pub struct ZonesArgs {
    /// Only zones whose id or name holds this.
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,

    /// Instead: what each source can do.
    #[arg(long, conflicts_with = "text")]
    pub sources: bool,

    /// Print one JSON document, `catrain.zones/1` or `catrain.sources/1`.
    #[arg(long)]
    pub json: bool,
}

/// `catrain alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// What to do
    #[command(subcommand)]
    pub action: AlertsAction,
}

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsAction {
    /// Send a test message over each channel, and say what came of it
    Test {
        /// Only over this one
        channel: Option<String>,

        /// Ask nobody: shows what is configured, sends nothing
        #[arg(long, env = "CATRAIN_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
        offline: bool,
    },
    /// Show what is not delivered yet, and why
    List {
        /// One JSON document, catrain.letters/1
        #[arg(long)]
        json: bool,
    },
    /// Try now to deliver what waits
    Retry {
        /// Only what is for this channel
        channel: Option<String>,

        /// Ask nobody
        #[arg(long, env = "CATRAIN_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
        offline: bool,
    },
}

/// `catrain key`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  catrain key set electricity-maps
      asks for the key and does not show it
  pass show watttime | catrain key set watttime
      USER:PASSWORD, from standard input
  catrain key set electricity-maps --passphrase
      sealed with a passphrase, to be had from CATRAIN_PASSPHRASE later
  catrain key rotate electricity-maps
      the key before it is tried once more should the new one be refused")]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Keep a key: typed without being shown, or from standard input
    Set {
        /// Whose
        #[command(flatten)]
        new: NewKeyArgs,

        /// Seal it with a passphrase that is asked for, unless CATRAIN_PASSPHRASE is set
        #[arg(long)]
        passphrase: bool,
    },
    /// Show which sources have a key, where and since when; no keys
    List {
        /// One JSON document, catrain.keys/1
        #[arg(long)]
        json: bool,
    },
    /// Replace a kept key; the one before it is tried once more should the new one be refused
    Rotate(NewKeyArgs),
    /// Forget a kept key, and say where there still is one
    Remove {
        /// The source
        name: String,
    },
}

/// `catrain config`.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  catrain config init
      writes a file in which every key stands, in a comment
  catrain config check
  catrain config show --origin
      what is in force, and which line of which file says so
  catrain config show --run r7k2
      what a live run goes by
  catrain config history
  catrain config rollback 1
      the version before the one in force")]
pub struct ConfigArgs {
    /// What to do
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Print what is in force, as a file would say it; no secrets
    Show {
        /// Say of each value who set it, and where
        #[arg(long)]
        origin: bool,

        /// What this live run goes by
        #[arg(long, value_name = "RUN")]
        run: Option<String>,

        /// One JSON document, catrain.config/1
        #[arg(long)]
        json: bool,
    },
    /// Tell everything that is wrong with the files and variables, or with one file
    Check {
        /// As if it were your own config.toml
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Write your own config.toml: every key in a comment, with what it means
    Init {
        /// Print it instead
        #[arg(long)]
        print: bool,
    },
    /// Print a JSON Schema of the file, for editors
    Schema,
    /// List the versions of your own file that were in force, or print one
    History {
        /// Its digest, as far as is needed, or how many back
        version: Option<String>,

        /// One JSON document, catrain.config-history/1
        #[arg(long, conflicts_with = "version")]
        json: bool,
    },
    /// Put a version that was in force before in the place of your own file
    Rollback {
        /// Its digest, as far as is needed, or how many back
        #[arg(default_value = "1")]
        version: String,
    },
}

/// A key that is to be read.
#[derive(Args, Debug)]
pub struct NewKeyArgs {
    /// The source: electricity-maps or watttime (its key is USER:PASSWORD)
    pub name: String,

    /// Nothing: a key is never an argument. Taken so as to be refused without being repeated.
    #[arg(hide = true, allow_hyphen_values = true)]
    pub surplus: Vec<OsString>,
}

/// Energy and emissions of runs, and what waiting changed
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = "How records are verified:
  Each line of a record ends with a digest of itself and of the line before. The last one,
  the head, stands at the end of a run, in its reports, and in heads.jsonl of the state
  directory. --verify says complete (and whether the record matches its recorded head),
  unfinished (a lower bound), cut, or changed at line N. It fails for what is cut or
  changed, does not have the digest of --head, or is not signed by the key of --signed-by.

  Without a digest or a signature kept elsewhere the chain shows damage, not forgery:
  whoever can write both files can write both anew. Keep the head elsewhere (in the paper,
  in the repository, in a message), or sign: signing_key in [ledger] names a key that
  `openssl genpkey -algorithm ed25519` makes, readable by you alone; `openssl pkey -in KEY
  -pubout` makes the file for --signed-by. Signed are four lines: `catrain.head/1`, the run,
  the number of lines, and the head.

  The arguments of a command are recorded redacted. To show that an exact command was the
  one, hash the salt in the record's first line (command_digest) and each word with a zero
  byte after it:
  (printf %s SALT; printf '%s\\0' python train.py …) | sha256sum

Examples:
  catrain report latest
  catrain report --since 2026-11-01 --verify
  catrain report r7k2 --verify --head 3f2a…
  catrain report r7k2 --verify --signed-by public.pem")]
pub struct ReportArgs {
    /// Ids of runs, beginnings of ids, `latest`, or jobs of Slurm's: `slurm:17` (an array with all its
    /// tasks), `slurm:17_3` [default: latest]
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
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Add up by run, day, zone, job of Slurm's (an array is one), or the value of a label: run, day,
    /// zone, job, label:K
    #[arg(long, value_name = "GROUP", value_parser = grouping)]
    pub by: Option<Grouping>,
    /// As it was known at this time: intensities that became known later are left out
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// Do not fetch intensities that became known since, and ask nobody
    #[arg(long, env = "CATRAIN_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub offline: bool,
    /// Compare with starting at once even where the job failed or was stopped
    #[arg(long)]
    pub compare_failed: bool,
    /// Show whole commands, secrets redacted, also in formats that are made to be shared
    #[arg(long)]
    pub full_command: bool,
    /// Functional unit of the software carbon intensity (ISO/IEC 21031); needs --embodied as well,
    /// and --count unless it is `run`
    #[arg(
        long,
        value_name = "UNIT",
        value_enum,
        help_heading = "Software carbon intensity"
    )]
    pub per: Option<FunctionalUnit>,
    /// How many of these units a run did
    #[arg(long, value_name = "N", value_parser = count, requires = "per", help_heading = "Software carbon intensity")]
    pub count: Option<f64>,
    /// Embodied emissions of the hardware, and over how many years they are spread: `1500kg/4`, or
    /// `table` for those of its GPUs that are known
    #[arg(long, value_name = "MASS/YEARS", value_parser = embodied, help_heading = "Software carbon intensity")]
    pub embodied: Option<Hardware>,
    /// Instead: check that records are complete and unchanged
    #[arg(long, help_heading = "Verification", conflicts_with_all = ["by", "as_of", "per", "compare_failed", "full_command"])]
    pub verify: bool,
    /// With --verify: the digest that was kept elsewhere
    #[arg(
        long,
        value_name = "DIGEST",
        requires = "verify",
        help_heading = "Verification"
    )]
    pub head: Option<String>,
    /// With --verify: the public key, in PEM, whose signature the head must have
    #[arg(long, value_name = "FILE", requires = "verify", value_hint = ValueHint::FilePath, help_heading = "Verification")]
    pub signed_by: Option<PathBuf>,
}

/// `--per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FunctionalUnit {
    /// A step of training
    Step,
    /// An epoch
    Epoch,
    /// A token that was trained on
    Token,
    /// The whole run
    Run,
}

impl FunctionalUnit {
    /// Its name in a report: `step`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Token => "token",
            Self::Run => "run",
        }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    #[default]
    Text,
    /// One JSON document, catrain.report/1
    Json,
    /// A row a segment
    Csv,
    /// One page to open in a browser
    Html,
    /// For a paper's appendix
    Md,
    /// The columns of codecarbon's emissions.csv
    Codecarbon,
    /// For a textfile collector or a push
    Prometheus,
}

/// What policies would have saved on past intensities, with the best possible for comparison
///
/// The machine that supervises runs lives out each job on a virtual clock. A policy sees only what
/// was known by then; grams are counted by what came.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "Examples:
  catrain simulate --forecasts DE_2021.csv -d 6h,24h --slack 12h,24h --every 53h
      six hours and a day of work, due 12 or 24 hours later than necessary, started every 53 hours
  catrain simulate --trace DE_2020.csv --jobs jobs.csv --policy oracle,window:perfect
      a workload of your own: job_id,arrival,duration_minutes[,deadline][,power_w][,interruptible]
  catrain simulate --run r7k2 --policy now,plan,oracle
      one of your own runs under other policies

Policies:
  now             at once, never paused: what the others are compared with
  plan            what `catrain run` does; sees forecasts as they were issued
  window          one uninterrupted run at the cleanest time
  k-lowest        the cheapest slots by the forecast on arrival, kept to whatever comes
  threshold:p30   at or below a percentile of the next 24 hours; also threshold:250 (g/kWh)
  oracle          the best possible in hindsight
  plan, window and k-lowest also as :history (no forecast, past observations only), :profile (the
  built-in usual days only) and :perfect (the future known). With --trace alone there are no
  forecasts, so that plan means plan:history.")]
pub struct SimulateArgs {
    /// Past intensities: `datetime,carbon_intensity_gco2_per_kwh`; may be repeated
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::FilePath, help_heading = "World")]
    pub trace: Vec<PathBuf>,

    /// Forecasts as they were issued, with what came: `issued_at,target_time,forecast,actual`; a
    /// directory means all files in it
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::AnyPath, help_heading = "World")]
    pub forecasts: Vec<PathBuf>,

    /// One of your own runs, as it was recorded
    #[arg(long, value_name = "RUN", help_heading = "World", conflicts_with_all = ["jobs", "duration", "every", "paired", "from", "until", "duration_error", "rate_noise", "seed", "plot"])]
    pub run: Option<String>,

    /// Only this zone of the files; for one file, the zone that it is of; with --run, the zone to
    /// move the run to [default: by the files' names]
    #[arg(
        short,
        long,
        value_name = "ZONE",
        value_delimiter = ',',
        help_heading = "World"
    )]
    pub zone: Vec<String>,

    /// Usual days in place of the built-in ones: `zone,month,hour_utc,mean`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "World")]
    pub profiles: Option<PathBuf>,

    /// How far issued forecasts reach: `24h`, or `day`: to the end of the zone's local day
    #[arg(long, value_name = "DUR|day", value_parser = horizon, help_heading = "World")]
    pub horizon: Option<Horizon>,

    /// Times without news from the sources, such as `6h@3d`: six hours in every three days
    #[arg(long, value_name = "DUR@EVERY", value_parser = outage, help_heading = "World")]
    pub outage: Option<(Duration, Duration)>,

    /// Do not learn from past forecasts how far to trust them
    #[arg(long, help_heading = "World")]
    pub no_learning: bool,

    /// Jobs, a line each: `job_id,arrival,duration_minutes[,deadline][,power_w][,interruptible]`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["duration", "every", "paired", "plot"], help_heading = "Workload")]
    pub jobs: Option<PathBuf>,

    /// Running time of the jobs; several make several cells
    #[arg(short, long, value_name = "DUR[,DUR…]", value_delimiter = ',', value_parser = parse::positive_duration, help_heading = "Workload")]
    pub duration: Vec<Duration>,

    /// How much later than necessary each job is due; several make several cells
    /// [default: what a run without a deadline may take]
    #[arg(long, value_name = "DUR[,DUR…]", value_delimiter = ',', value_parser = parse::duration, help_heading = "Workload")]
    pub slack: Vec<Duration>,

    /// Pair the durations with the slacks one by one, instead of each with each
    #[arg(long, requires = "slack", help_heading = "Workload")]
    pub paired: bool,

    /// A job arrives so often
    #[arg(long, value_name = "DUR", default_value = "24h", value_parser = parse::positive_duration, help_heading = "Workload")]
    pub every: Duration,

    /// Jobs arrive from here on (UTC) [default: where the data begins]
    #[arg(long, value_name = "TIME", help_heading = "Workload")]
    pub from: Option<String>,

    /// Jobs arrive before this (UTC) [default: where the data ends]
    #[arg(long, value_name = "TIME", help_heading = "Workload")]
    pub until: Option<String>,

    /// Policies do not know how long jobs take; the slack is the most delay they are given
    #[arg(long, conflicts_with = "duration_exact", help_heading = "Workload")]
    pub unknown_duration: bool,

    /// Policies know the durations for sure and keep no margin
    #[arg(long, help_heading = "Workload")]
    pub duration_exact: bool,

    /// Jobs take so much longer or shorter than was said, one or the other: `20%`
    #[arg(long, value_name = "P%", default_value = "0%", value_parser = percent, help_heading = "Workload")]
    pub duration_error: f64,

    /// Speed of a job from hour to hour, as a standard deviation: `2%`
    #[arg(long, value_name = "P%", default_value = "0%", value_parser = percent, help_heading = "Workload")]
    pub rate_noise: f64,

    /// Another draw of what is random
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Workload")]
    pub seed: u64,

    /// What is compared
    #[arg(
        long,
        value_name = "NAME[,NAME…]",
        value_delimiter = ',',
        default_value = "now,k-lowest,window,plan,oracle",
        help_heading = "Policy"
    )]
    pub policy: Vec<Policy>,

    /// Power of a job while it runs, in watts [default: 300; with --run as recorded]
    #[arg(long, value_name = "W", value_parser = watts, help_heading = "Policy")]
    pub power: Option<Watts>,

    /// Power that stays on while paused: watts, or a share of the job's: `30`, `10%`
    /// [default: 0; with --run as recorded]
    #[arg(long, value_name = "W|P%", value_parser = idle, help_heading = "Policy")]
    pub idle_power: Option<Idle>,

    /// Running time that a pause costs before the job stands
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = parse::duration, help_heading = "Policy")]
    pub pause_cost: Duration,

    /// Running time that a resume costs before there is progress
    #[arg(long, value_name = "DUR", default_value = "2m", value_parser = parse::duration, help_heading = "Policy")]
    pub resume_cost: Duration,

    /// Least time from a start or resume to the next pause
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = parse::duration, help_heading = "Policy")]
    pub min_run: Duration,

    /// Least time paused
    #[arg(long, value_name = "DUR", default_value = "5m", value_parser = parse::duration, help_heading = "Policy")]
    pub min_pause: Duration,

    /// Most pauses of a job [default: no limit]
    #[arg(long, value_name = "N", help_heading = "Policy")]
    pub max_pauses: Option<u32>,

    /// Time between two decisions, and the grid of oracle and k-lowest
    /// [default: the step of the data, 5m to 1h]
    #[arg(long, value_name = "DUR", value_parser = tick, help_heading = "Policy")]
    pub tick: Option<Duration>,

    /// With --run: when it is started instead; may be repeated
    #[arg(long, value_name = "TIME", requires = "run", help_heading = "Workload")]
    pub start: Vec<String>,

    /// How it is printed
    #[arg(long, value_enum, default_value_t = TableFormat::Table, help_heading = "Output")]
    pub format: TableFormat,

    /// Draw saved percent against slack, a line a policy
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub plot: Option<PathBuf>,

    /// Threads to use; the results are the same for any number [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Output")]
    pub threads: Option<u16>,
}

/// How far issued forecasts reach in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// So long after they were issued.
    Lead(Duration),
    /// To the end of the zone's local day.
    LocalDay,
}

/// `catrain status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run's id, or the beginning of it; or a job of Slurm's: `slurm:17`, `slurm:17_3`
    pub run: Option<String>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    /// Go on and show it again whenever there is something new, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// `catrain continue`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  catrain continue r7k2
  catrain continue r7k2 -- python train.py --api-key KEY")]
pub struct ContinueArgs {
    /// The run's id, or the beginning of it
    pub run: String,

    /// The command, where something in it was redacted; it must be the same
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `catrain logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The run's id, or the beginning of it; may be left out for the only one that is live, else the
    /// latest
    pub run: Option<String>,

    /// Go on until the run is over
    #[arg(short, long)]
    pub follow: bool,
}

/// `catrain resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Which
    #[command(flatten)]
    pub run: RunName,

    /// Only for this long, such as `2h`; then things are as before again
    #[arg(long = "for", value_name = "DUR", value_parser = parse::positive_duration)]
    pub time: Option<Duration>,
}

/// `catrain doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "How it is told:
  ✓  works
  !  could be better, with what to do
  ✗  is broken, with what to do; then catrain ends with 1

Examples:
  catrain doctor
  catrain doctor --offline --json
  srun --jobid 17 catrain doctor
      in the very surroundings that a run will have")]
pub struct DoctorArgs {
    /// The zone that runs will have [default: as for `run`]
    #[arg(short, long, value_name = "ZONE", env = "CATRAIN_ZONE")]
    pub zone: Option<String>,

    /// Ask nobody
    #[arg(
        long,
        env = "CATRAIN_OFFLINE",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub offline: bool,

    /// One JSON document, `catrain.doctor/1`
    #[arg(long)]
    pub json: bool,
}

/// One run.
#[derive(Debug, Args)]
pub struct RunName {
    /// The run's id, or the beginning of it; may be left out where only one runs. A job of Slurm's as
    /// `slurm:17`, where it runs: by its own supervisor, else by Slurm's signals
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

/// A GPU's number, its UUID or the beginning of one, `all` or `none`.
fn gpu(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_index = name.bytes().all(|byte| byte.is_ascii_digit()) && name.parse::<u32>().is_ok();
    let is_of_uuid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/');
    let is_uuid = name.split_at_checked(4).is_some_and(|(kind, rest)| {
        let kind = kind.to_ascii_uppercase();
        matches!(kind.as_str(), "GPU-" | "MIG-") && !rest.is_empty() && rest.bytes().all(is_of_uuid)
    });
    match is_index || is_uuid || matches!(name, "all" | "none") {
        true => Ok(name.to_owned()),
        false => {
            Err("expected all, none, or GPUs by number or UUID, such as 0,1 or GPU-5c2a".into())
        }
    }
}

fn share(text: &str) -> Result<Share, String> {
    match text {
        "job" => Ok(Share::Job),
        "machine" => Ok(Share::Machine),
        _ => Err("expected `job` or `machine`".to_owned()),
    }
}

fn pue(text: &str) -> Result<Pue, String> {
    let ratio: f64 = text
        .parse()
        .map_err(|_| "expected a number such as 1.2".to_owned())?;
    Pue::try_from(ratio)
}

fn grouping(text: &str) -> Result<Grouping, String> {
    match (text, text.split_once(':')) {
        ("run", _) => Ok(Grouping::Run),
        ("day", _) => Ok(Grouping::Day),
        ("zone", _) => Ok(Grouping::Zone),
        ("job", _) => Ok(Grouping::Job),
        (_, Some(("label", key))) if !key.is_empty() => Ok(Grouping::Label(key.to_owned())),
        _ => Err("expected run, day, zone, job or label:KEY".to_owned()),
    }
}

fn count(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(count) if count > 0.0 && count.is_finite() => Ok(count),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn embodied(text: &str) -> Result<Hardware, String> {
    if text == "table" {
        return Ok(Hardware::Table);
    }
    let expected = || "expected MASS/YEARS such as 1500kg/4, or `table`".to_owned();
    let (mass, years) = text.split_once('/').ok_or_else(expected)?;
    let years: f64 = years.trim().parse().map_err(|_| expected())?;
    match years > 0.0 && years.is_finite() {
        true => Ok(Hardware::Given {
            total: parse::mass(mass.trim())?,
            years,
        }),
        false => Err(expected()),
    }
}

fn horizon(text: &str) -> Result<Horizon, String> {
    match text {
        "day" => Ok(Horizon::LocalDay),
        _ => parse::positive_duration(text).map(Horizon::Lead),
    }
}

fn outage(text: &str) -> Result<(Duration, Duration), String> {
    let (length, every) =
        (text.split_once('@')).ok_or_else(|| "expected DUR@EVERY, such as 6h@3d".to_owned())?;
    let (length, every) = (
        parse::positive_duration(length)?,
        parse::positive_duration(every)?,
    );
    match length < every {
        true => Ok((length, every)),
        false => Err(format!("an outage of {text} would never end")),
    }
}

/// A fraction from `20%`, below 1.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a percentage from 0% to below 100%, such as 20%".to_owned()),
    }
}

fn idle(text: &str) -> Result<Idle, String> {
    match text.trim().ends_with('%') {
        true => percent(text).map(Idle::Share),
        false => watts(text).map(Idle::Power),
    }
}

fn tick(text: &str) -> Result<Duration, String> {
    match parse::positive_duration(text)? {
        tick if tick < Duration::from_mins(1) => Err("a tick is a minute at least".to_owned()),
        tick if tick > Duration::from_hours(24) => Err("a tick is a day at most".to_owned()),
        tick => Ok(tick),
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
    match signal_named(text)? {
        Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGCONT => {
            Err(format!("{text} does not end a job"))
        }
        signal => Ok(signal),
    }
}

fn checkpoint_signal(text: &str) -> Result<nix::sys::signal::Signal, String> {
    use nix::sys::signal::Signal;
    match signal_named(text)? {
        Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGKILL => {
            Err(format!("{text} is not heard by a job"))
        }
        signal => Ok(signal),
    }
}

fn signal_named(text: &str) -> Result<nix::sys::signal::Signal, String> {
    use nix::sys::signal::Signal;
    let name = text.trim().to_ascii_uppercase();
    let name = if name.starts_with("SIG") {
        name
    } else {
        format!("SIG{name}")
    };
    let signal = name.parse::<Signal>();
    signal.map_err(|_| "expected the name of a signal such as TERM, INT or USR1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_named_by_number_or_uuid_and_anything_else_is_refused() {
        let named = [
            "0",
            "17",
            "all",
            "none",
            "GPU-5c2a",
            "gpu-0",
            "MIG-GPU-5c/1/0",
        ];
        for name in named {
            assert_eq!(gpu(name), Ok(name.to_owned()));
        }
        assert_eq!(gpu(" 1"), Ok("1".to_owned()));
        for name in [
            "",
            " ",
            "-1",
            "+1",
            "x",
            "GPU-",
            "0-3",
            "99999999999",
            "GPU-\u{e9}",
            "äöü",
        ] {
            assert!(gpu(name).is_err(), "{name:?}");
        }
        for (list, is_good) in [
            ("--gpus=0,GPU-1", true),
            ("--gpus=", false),
            ("--gpus=0,,1", false),
            ("--gpus=-1", false),
        ] {
            let words = ["catrain", "run", list, "--", "true"];
            assert_eq!(Cli::try_parse_from(words).is_ok(), is_good, "{list}");
        }
    }
}
