//! One short composition function a subcommand; the only place that names concrete adapters.

pub mod alerts;
pub mod attach;
pub mod config;
pub mod configured;
pub mod doctor;
pub mod forecast;
pub mod key;
pub mod logs;
pub mod man;
pub mod report;
pub mod resume_run;
pub mod run;
mod settle;
pub mod simulate;
pub mod slurm;
pub mod sources;
pub mod status;
pub mod tell;
pub mod zones;

mod verify;

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{ColorChoice, Parser};
use jiff::tz::TimeZone;
use tracing::error;

use crate::cli::{Cli, Command};
use crate::clock::utc_now;
use crate::control::Word;
use crate::error::{Failure, Kind};
use crate::executor::{Inherited, die_of, end_with};
use crate::forecast::zones::Unresolved;
use crate::ledger::runs::JOB;
use crate::log;
use crate::source::SourceError;
use crate::words::Look;
use configured::Configured;
use run::tasks::Task;
use sources::Settled;

/// Does what was typed.
///
/// # Errors
/// What the command could not do, with its exit code.
pub fn dispatch(typed: Vec<OsString>, inherited: &Inherited) -> Result<ExitCode, Failure> {
    let cli = Cli::parse_from(&typed);
    // A run begins its own log, once it knows what is configured.
    if matches!(cli.command, Command::Run(_) | Command::Attach(_)) {
        return carry_out(cli, typed, inherited);
    }
    let acts = crate::dirs::state().map(|state| log::audit::path(&state));
    let log = log::start(&cli.log.settings(log::Settings::default()), acts);
    let done = carry_out(cli, typed, inherited);
    if let Err(failure) = &done {
        error!(category = failure.category().as_str(), why = %failure, "the command has failed");
    }
    log.finish();
    done
}

fn carry_out(cli: Cli, typed: Vec<OsString>, inherited: &Inherited) -> Result<ExitCode, Failure> {
    let profile = cli.profile.clone();
    let profile = profile.as_deref();
    let out = &mut io::stdout().lock();
    let look = look_of(cli.color, &io::stdout());
    let (now, zone) = (utc_now(), TimeZone::system);
    match cli.command {
        Command::Run(_) | Command::Attach(_) => {
            let look = look_of(cli.color, &io::stderr());
            let configured = Task::Configure.run(|| Configured::load(typed, profile))?;
            let cli = configured.cli(cli)?;
            let logged = &cli.log;
            let ending = match cli.command {
                Command::Run(args) => run::run(&args, logged, configured, inherited, look, out)?,
                Command::Attach(args) => {
                    attach::attach(*args, logged, configured, inherited, look, out)?
                }
                _ => unreachable!("what is set changes no subcommand"),
            };
            match ending {
                run::Ending::Code(code) => end_with(code),
                run::Ending::Signal(signal) => die_of(signal),
            }
        }
        Command::Forecast(args) => {
            let settled = Settled::load(args.offline, profile)?;
            forecast::run(&args, &settled, look, out, &utc_now, &zone())?;
        }
        Command::Report(args) => {
            let state = crate::dirs::state().ok_or_else(no_state)?;
            report::run(&args, look, out, now, &zone(), &state, profile)?;
        }
        Command::Simulate(args) => simulate::run(&args, look, out, now)?,
        Command::Status(args) => status::status(&args, look, out, &utc_now, &zone())?,
        Command::Pause(name) => word(Word::Pause, name.run.as_deref(), out)?,
        Command::Resume(args) => {
            let told = Word::Resume { time: args.time };
            word(told, args.run.run.as_deref(), out)?;
        }
        Command::Stop(name) => word(Word::Stop, name.run.as_deref(), out)?,
        Command::Reload(name) => tell::reload(name.run.as_deref(), out)?,
        Command::Continue(args) => return resume_run::resume(&args),
        Command::Logs(args) => logs::logs(&args, out)?,
        Command::Zones(args) => zones::run(&args, look, out)?,
        Command::Key(args) => {
            let settled = Settled::load(true, profile)?;
            let alerts = alerts::Set::of(&settled.config);
            let configured = |name: &str| match alerts.configured_key(name) {
                Some(configured) => configured,
                None => settled.configured_key(name),
            };
            key::run(
                &args,
                &alerts.key_names(),
                &configured,
                look,
                out,
                now,
                &zone(),
            )?;
        }
        Command::Config(args) => {
            return config::run(&args.action, profile, out, now, &zone());
        }
        Command::Alerts(args) => {
            let settled = Settled::load(true, profile)?;
            alerts::run(&args, &settled.config, look, out, &zone())?;
        }
        Command::Doctor(args) => return doctor::doctor(&args, profile, look, out),
        Command::Slurm(args) => {
            let look = look_of(cli.color, &io::stderr());
            return slurm::slurm(args, typed, profile, inherited, look, out);
        }
        Command::Completions { shell } => {
            print(out, &String::from_utf8_lossy(&man::completions(shell)))?;
        }
        Command::Man { directory } => man::man(directory.as_deref(), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A word to a run, or to a job of Slurm's.
fn word(word: Word, to: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    match to.and_then(|to| to.strip_prefix(JOB)) {
        Some(job) => {
            let job = job.parse().map_err(Failure::usage)?;
            slurm::word(word, job, out)
        }
        None => tell::tell(word, to, out),
    }
}

fn no_state() -> Failure {
    Failure::new(
        Kind::Failed,
        anyhow::anyhow!("there is no state directory to read from"),
    )
    .hint("set HOME or CATRAIN_STATE_DIR")
}

/// What `stream` can show.
fn look_of(color: ColorChoice, stream: &(impl IsTerminal + rustix::fd::AsFd)) -> Look {
    let is_terminal = stream.is_terminal();
    let colour = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org: set and not empty.
        ColorChoice::Auto => {
            is_terminal
                && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    };
    let width = if is_terminal {
        rustix::termios::tcgetwinsize(stream).map_or(80, |size| usize::from(size.ws_col))
    } else {
        80
    };
    Look {
        colour,
        unicode: locale_is_unicode(),
        width: if width == 0 { 80 } else { width },
    }
}

/// POSIX: the first of these that is set and not empty decides.
fn locale_is_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_ascii_uppercase();
    locale.contains("UTF-8") || locale.contains("UTF8")
}

impl From<Unresolved> for Failure {
    fn from(unresolved: Unresolved) -> Self {
        let hint = unresolved.hint();
        Self::new(Kind::Usage, unresolved).hint(hint)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hint = error.hint();
        Self::new(Kind::Failed, error).hint(hint)
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// The outcome of writing: that nobody reads on is no failure.
fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Failed, error).hint("is the disk full?"))
        }
        _ => Ok(()),
    }
}

/// What went wrong in writing CSV, as an error of writing.
fn csv_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
