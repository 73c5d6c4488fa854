//! `catrain run --detach`: this program once more in a session of its own, before there is any
//! thread, with its output in a file. Whoever typed it waits until the run exists.
//!
//! The two are joined by a socket, the other one's stdin at first: it brings the run's id, or ends
//! without one. The output goes to a file in the state directory that is moved to the run's own
//! directory once there is one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Ending;
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::executor::{Inherited, in_own_session};
use crate::ledger::ledger_path;

/// Longest wait for the run: it may ask sources for some seconds before it is held or started.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is shown of the output of a run that failed before its start: its end.
const SHOWN: u64 = 64 << 10;

/// The output of a detached run.
pub(in crate::command) fn output(state: &Path, run: &str) -> PathBuf {
    ledger_path(state, run).with_file_name("output.log")
}

/// Starts the other one, waits until its run exists, and prints the id.
///
/// # Errors
/// It cannot be started, or tells nothing for a minute. Where its run failed before the start that is
/// said, and how it ended is the answer.
pub(super) fn launch(inherited: &Inherited, out: &mut dyn Write) -> Result<Ending, Failure> {
    let state = dirs::state().ok_or_else(|| {
        let what = "there is no state directory for the output of a detached run";
        before(anyhow::Error::msg(what)).hint("set HOME or CATRAIN_STATE_DIR")
    })?;
    let made = dirs::secure(&state).and_then(|()| {
        let mut builder = tempfile::Builder::new();
        // Mode 0600 is what tempfile gives. Appended to by job and supervisor alike.
        let builder = builder.prefix(".output-").suffix(".log").append(true);
        builder.tempfile_in(&state)
    });
    let (mut file, path) = made.map_err(before)?.into_parts();
    let (mut child, mut ears) = start(inherited, &file, &path).map_err(before)?;
    let mut id = String::new();
    let heard = ears.read_to_string(&mut id);
    match (heard, id.trim()) {
        (Ok(_), "") => {}
        (Ok(_), id) => {
            // It was moved, and is not ours to remove.
            let _ = path.keep();
            crate::command::print(out, &format!("{id}\n"))?;
            return Ok(Ending::Code(0));
        }
        (Err(error), _) => {
            let path = path.keep().map_err(before)?;
            let what = anyhow::anyhow!("the run has not told its id for a minute: {error}");
            let pid = child.id();
            return Err(before(what).hint(format!(
                "its supervisor is pid {pid}, its output is {}",
                path.display()
            )));
        }
    }
    let status = child.wait().map_err(before)?;
    show_end_of(&mut file);
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(Ending::Code(code as u8)),
        (None, Some(signal)) => Ok(Ending::Signal(signal)),
        (None, None) => Ok(Ending::Code(Kind::BeforeStart.exit_code())),
    }
}

fn before(cause: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Kind::BeforeStart, cause)
}

fn start(inherited: &Inherited, file: &File, path: &Path) -> io::Result<(Child, UnixStream)> {
    let (ears, mouth) = UnixStream::pair()?;
    ears.set_read_timeout(Some(PATIENCE))?;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "catrain".into());
    // What is installed by now may be another version.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(program)
        .args(arguments(words.collect(), path))
        .stdin(Stdio::from(OwnedFd::from(mouth)))
        .stdout(Stdio::from(file.try_clone()?))
        .stderr(Stdio::from(file.try_clone()?));
    in_own_session(&mut command, inherited);
    let child = command.spawn()?;
    // With `command` our copy of the other end goes: else its end would never be seen.
    Ok((child, ears))
}

/// What was typed, for the other one.
fn arguments(mut typed: Vec<OsString>, output: &Path) -> Vec<OsString> {
    let end = typed.iter().position(|word| word == "--");
    let own = [OsStr::new("--detached"), output.as_os_str()].map(OsStr::to_owned);
    let at = end.unwrap_or(typed.len());
    typed.splice(at..at, own);
    typed
}

/// The reasons are in it.
fn show_end_of(file: &mut File) {
    let mut shown = Vec::new();
    let length = file.metadata().map_or(0, |facts| facts.len());
    let from = SeekFrom::Start(length.saturating_sub(SHOWN));
    if file.seek(from).is_ok() && file.take(SHOWN).read_to_end(&mut shown).is_ok() {
        let _ = io::stderr().lock().write_all(&shown);
    }
}

/// The detached one's end of it.
#[derive(Debug)]
pub(super) struct Launched {
    mouth: UnixStream,
    output: PathBuf,
}

impl Launched {
    /// Takes the socket from stdin, which is `/dev/null` from now on.
    ///
    /// # Errors
    /// There is no such socket, or no `/dev/null`.
    pub(super) fn arrive(output: PathBuf) -> io::Result<Self> {
        let mouth = io::stdin().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self {
            mouth: UnixStream::from(mouth),
            output,
        })
    }

    /// The run exists.
    pub(super) fn tell(mut self, state: Option<&Path>, run: &str) {
        if let Some(state) = state {
            // Without a directory there is no record either, and that is told.
            let _ = fs::rename(&self.output, output(state, run));
        }
        let _ = writeln!(self.mouth, "{run}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_one_is_told_of_its_output_before_the_command() {
        let typed = ["run", "-D", "--", "sh", "--", "x"].map(OsString::from);
        let words = arguments(typed.into(), Path::new("/s/o"));
        let expected = ["run", "-D", "--detached", "/s/o", "--", "sh", "--", "x"];
        assert_eq!(words, expected.map(OsString::from));
    }
}
