//! `catrain slurm`: whole jobs on a cluster, by the rights of whoever owns them.

mod submit;
mod suspend;
mod watch;
mod word;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;

use super::configured::Configured;
use crate::cli::{RunOptions, SlurmAction, SlurmArgs, SubmitArgs};
use crate::error::{Failure, Kind};
use crate::executor::Inherited;
use crate::report::text::harmless;
use crate::slurm::tools::{Installed, ToolError};
use crate::source::Name;
use crate::talk::{stderr_is_terminal, wrapped};
use crate::words::Look;
pub(super) use word::word;

/// `catrain slurm submit|watch`.
///
/// # Errors
/// What the subcommand could not do.
pub fn slurm(
    args: SlurmArgs,
    typed: Vec<OsString>,
    profile: Option<&str>,
    inherited: &Inherited,
    look: Look,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let talk = Talk { look };
    let tools = &Installed::default();
    match args.action {
        SlurmAction::Submit(args) => {
            let configured = Configured::load(typed, profile)?;
            let options = configured.options(&configured.config)?;
            let args = SubmitArgs { options, ..*args };
            let with = submit::With {
                configured: &configured,
                profile,
                inherited,
                tools,
            };
            submit::submit(args, &with, talk, out)
        }
        SlurmAction::Watch(args) => watch::watch(&args, inherited, tools, talk, out),
    }
}

/// What is said beside the data, to standard error.
#[derive(Clone, Copy, Debug)]
struct Talk {
    look: Look,
}

impl Talk {
    /// A line.
    fn say(self, line: &str) {
        let line = harmless(&self.look.text(&format!("catrain: {line}")));
        let line = match stderr_is_terminal() {
            true => wrapped(&line, self.look.width),
            false => line,
        };
        // Whoever does not listen has asked for nothing.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}

/// Slurm could not be asked.
fn not_asked(error: ToolError, hint: &str) -> Failure {
    let what = match error {
        ToolError::Missing(_) => "log in where Slurm's commands are",
        _ => "is slurmctld up? `scontrol ping` tells",
    };
    Failure::new(Kind::Failed, error).hint(format!("{what}; {hint}"))
}

/// Whole seconds, as Slurm counts.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Files of intensities mean what they will mean to the job, which runs in this directory.
fn anchored(options: &mut RunOptions, directory: &Path) {
    let named = options.source.iter_mut().chain(&mut options.account_with);
    for name in named {
        if let Name::File(path) = name {
            *path = directory.join(&*path);
        }
    }
}
