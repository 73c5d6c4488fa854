//! `catrain slurm watch`.
use std::io::Write;
use std::process::ExitCode;

use super::Talk;
use crate::cli::WatchArgs;
use crate::error::Failure;
use crate::executor::Inherited;
use crate::slurm::tools::Tools;

pub(super) fn watch(
    _args: &WatchArgs,
    _inherited: &Inherited,
    _tools: &dyn Tools,
    _talk: Talk,
    _out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
