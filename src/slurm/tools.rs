//! Slurm's own commands, each waited for no longer than a limit. What they answer is data: it is read by
//! [`super::job`].

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use super::job::{FIELDS, Job, read_queue};
use super::settings::Settings;
use crate::patience::{self, Output};

/// Longest wait for one of them: `slurmctld` that is down answers after some ten seconds of trying.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Runs them.
pub trait Tools {
    /// Runs `program` with these arguments, and `input` as its standard input.
    ///
    /// # Errors
    /// It is not there, or does not end within the limit; what it answers itself is no error here.
    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Output, ToolError>;

    /// The same for as long as it takes, each line told as it is printed; what it complains about goes to
    /// where ours goes.
    ///
    /// # Errors
    /// As [`Tools::run`].
    fn follow(
        &self,
        program: &str,
        arguments: &[&str],
        input: &[u8],
        told: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus, ToolError> {
        let output = self.run(program, arguments, input)?;
        output.stdout.lines().for_each(told);
        Ok(output.status)
    }
}

/// Why Slurm was not asked, or did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The program is not there.
    #[error("there is no `{0}` here")]
    Missing(String),
    /// It did not end in time.
    #[error("`{0}` gave no answer within {1} s")]
    Silent(String, u64),
    /// It could not be run.
    #[error("cannot run `{0}`: {1}")]
    NotRun(String, String),
    /// It said no, in its own words.
    #[error("`{0}` refused: {1}")]
    Refused(String, String),
}

/// Those that are installed.
#[derive(Clone, Copy, Debug)]
pub struct Installed {
    /// Longest wait for each.
    pub patience: Duration,
}

impl Default for Installed {
    fn default() -> Self {
        Self { patience: PATIENCE }
    }
}

impl Tools for Installed {
    fn follow(
        &self,
        program: &str,
        arguments: &[&str],
        input: &[u8],
        told: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus, ToolError> {
        let not_run = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ToolError::Missing(program.to_owned()),
            _ => ToolError::NotRun(program.to_owned(), error.to_string()),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(not_run)?;
        let (stdin, input) = (child.stdin.take(), input.to_vec());
        // It may print before it has read all.
        let feeding = std::thread::spawn(move || {
            drop(stdin.map(|mut stdin| stdin.write_all(&input)));
        });
        for line in child
            .stdout
            .take()
            .into_iter()
            .flat_map(|it| BufReader::new(it).lines())
        {
            told(&line.map_err(not_run)?);
        }
        drop(feeding.join());
        child.wait().map_err(not_run)
    }

    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Output, ToolError> {
        let mut command = Command::new(program);
        command.args(arguments);
        // What sbatch is given the job has as well.
        if program != "sbatch" {
            command.env("SLURM_TIME_FORMAT", "%s");
        }
        let name = || program.to_owned();
        patience::output(command, input.to_vec(), self.patience).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => ToolError::Missing(name()),
                io::ErrorKind::TimedOut => ToolError::Silent(name(), self.patience.as_secs()),
                _ => ToolError::NotRun(name(), error.to_string()),
            }
        })
    }
}

/// What a command printed, if it ended well.
///
/// # Errors
/// As [`Tools::run`]; or it said no.
pub fn said(tools: &dyn Tools, program: &str, arguments: &[&str]) -> Result<String, ToolError> {
    let output = tools.run(program, arguments, &[])?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(refused(program, &output)),
    }
}

/// The first line of what it complained about.
pub fn refused(program: &str, output: &Output) -> ToolError {
    let words = output.stderr.lines().chain(output.stdout.lines());
    let mut words = words.map(str::trim).filter(|line| !line.is_empty());
    let told = words.next().map(|line| {
        let line = line.strip_prefix(program).unwrap_or(line);
        line.trim_start_matches([':', ' '])
            .escape_debug()
            .to_string()
    });
    let told = told.unwrap_or_else(|| output.status.to_string());
    ToolError::Refused(program.to_owned(), told)
}

/// All jobs of this user, those that ended lately included: one question, however many they are.
///
/// # Errors
/// As [`said`].
pub fn queue(tools: &dyn Tools) -> Result<Vec<Job>, ToolError> {
    let arguments = ["--me", "-h", "-t", "all", "--array", "-O", FIELDS];
    Ok(read_queue(&said(tools, "squeue", &arguments)?))
}

/// One job, or all tasks of an array.
///
/// # Errors
/// As [`said`]; a job that is long over is refused.
pub fn job(tools: &dyn Tools, number: u64) -> Result<Vec<Job>, ToolError> {
    let number = number.to_string();
    let arguments = ["-h", "-t", "all", "--array", "-j", &number, "-O", FIELDS];
    Ok(read_queue(&said(tools, "squeue", &arguments)?))
}

/// How the cluster is configured.
///
/// # Errors
/// As [`said`].
pub fn configuration(tools: &dyn Tools) -> Result<Settings, ToolError> {
    let told = said(tools, "scontrol", &["show", "config"])?;
    Ok(Settings::of_lines(&told))
}

/// The cluster's name; empty where it has none.
///
/// # Errors
/// As [`said`].
pub fn cluster_name(tools: &dyn Tools) -> Result<String, ToolError> {
    let told = configuration(tools)?;
    Ok(told.get("ClusterName").unwrap_or_default().to_owned())
}

/// Has a pending job begin at this time, or at once where that is past.
///
/// # Errors
/// As [`said`].
pub fn set_begin(
    tools: &dyn Tools,
    job: &str,
    begin: Timestamp,
    now: Timestamp,
) -> Result<(), ToolError> {
    let begin = format!("StartTime={}", begin_in(begin, now));
    let job = format!("JobId={job}");
    said(tools, "scontrol", &["update", &job, &begin]).map(drop)
}

/// Has Slurm stop a running job where it stands, or go on; an operator's right.
///
/// # Errors
/// As [`said`].
pub fn set_suspended(tools: &dyn Tools, job: u64, is_suspended: bool) -> Result<(), ToolError> {
    let word = if is_suspended { "suspend" } else { "resume" };
    said(tools, "scontrol", &[word, &job.to_string()]).map(drop)
}

/// A begin time as `sbatch --begin` and `scontrol` take it, whatever the time zones of this host and the
/// controller: `now+90`, in seconds.
pub fn begin_in(begin: Timestamp, now: Timestamp) -> String {
    let seconds = begin.as_second() - now.as_second();
    begin_after(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The same, so long from now.
pub fn begin_after(after: Duration) -> String {
    // Rather a moment late than to find that it is still too early.
    match after.as_millis().div_ceil(1000) {
        0 => "now".to_owned(),
        seconds => format!("now+{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begin_time_needs_no_time_zone() {
        let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        let at = |text: &str| begin_in(text.parse().unwrap(), now);
        assert_eq!(at("2026-11-28T10:01:30Z"), "now+90");
        assert_eq!(at("2026-11-28T10:00:00Z"), "now");
        assert_eq!(at("2026-11-28T09:00:00Z"), "now");
    }

    #[test]
    fn what_is_not_there_is_told_as_that_and_a_refusal_in_its_own_words() {
        let tools = Installed::default();
        let missing = tools.run("catrain-no-such-tool", &[], &[]);
        assert!(matches!(missing, Err(ToolError::Missing(_))));
        let refused = said(
            &tools,
            "sh",
            &["-c", "echo 'sh: Access denied' >&2; exit 1"],
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "`sh` refused: Access denied"
        );
        let hasty = Installed {
            patience: Duration::from_millis(20),
        };
        let silent = hasty.run("sleep", &["60"], &[]);
        assert!(matches!(silent, Err(ToolError::Silent(..))));
        let echoed = tools.run("cat", &[], b"a script").unwrap();
        assert_eq!(echoed.stdout, "a script");
        let mut lines = Vec::new();
        let script = ["-c", "cat; exit 3"];
        let ended = tools.follow("sh", &script, b"a\nb", &mut |line| {
            lines.push(line.to_owned())
        });
        assert_eq!(
            (ended.unwrap().code(), lines),
            (Some(3), vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
