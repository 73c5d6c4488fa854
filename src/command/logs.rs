//! `catrain logs`: what a detached run and its job wrote.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::run::output;
use super::status::sockets;
use crate::cli::LogsArgs;
use crate::control::{self, Word};
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::ledger::runs::recorded_ids;
use crate::ledger::{is_being_written, ledger_path};

/// Between two looks at a file that is followed.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes that are copied at a time.
const BLOCK: usize = 64 << 10;

/// `catrain logs [-f] [RUN]`.
///
/// # Errors
/// There is no such run, it was not detached, or its output cannot be read.
pub fn logs(args: &LogsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let state = dirs::state().ok_or_else(super::no_state)?;
    let run = chosen(&state, args.run.as_deref())?;
    let path = output(&state, &run);
    let mut file = dirs::open_own(&path, OpenOptions::new().read(true)).map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
        Failure::new(Kind::Failed, what)
    })?;
    let copied = match args.follow {
        true => follow(&mut file, out, || is_live(&state, &run)),
        false => copy(&mut file, out).map(drop),
    };
    match copied {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        copied => super::written(copied),
    }
}

/// Copies what comes until it is over.
fn follow(file: &mut File, out: &mut dyn Write, goes_on: impl Fn() -> bool) -> io::Result<()> {
    loop {
        // Asked first: what is written before the end is copied after it.
        let is_last = !goes_on();
        copy(file, out)?;
        if is_last {
            return Ok(());
        }
        std::thread::park_timeout(LOOK);
        let (at, length) = (file.stream_position()?, file.metadata()?.len());
        if length < at {
            // Somebody made room.
            file.seek(SeekFrom::Start(0))?;
        }
    }
}

fn copy(file: &mut File, out: &mut dyn Write) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut copied = 0;
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(count) => {
                out.write_all(&block[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out.flush()?;
    Ok(copied)
}

/// Whether its supervisor is there. Whoever has no socket may still be writing.
fn is_live(state: &Path, run: &str) -> bool {
    let answers = (sockets().get(run)).is_some_and(|socket| {
        let asked = control::ask(socket, Word::Status);
        !asked.is_err_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::NotFound
            )
        })
    });
    answers || is_being_written(&ledger_path(state, run)) == Some(true)
}

/// The run that is meant: of none, the only live one that was detached, else the latest.
fn chosen(state: &Path, wanted: Option<&str>) -> Result<String, Failure> {
    let all = recorded_ids(state);
    let logged: BTreeMap<String, SystemTime> = all
        .iter()
        .filter_map(|id| {
            let facts = output(state, id).symlink_metadata().ok()?;
            Some((id.clone(), facts.modified().ok()?))
        })
        .collect();
    let Some(wanted) = wanted else {
        let live = sockets();
        let live: Vec<&String> = logged.keys().filter(|id| live.contains_key(*id)).collect();
        return match live.as_slice() {
            [only] => Ok((*only).clone()),
            [] => match logged.iter().max_by_key(|(_, at)| **at) {
                Some((latest, _)) => Ok(latest.clone()),
                None => Err(Failure::usage("no run was detached")
                    .hint("`catrain run --detach` keeps its output")),
            },
            several => {
                let names: Vec<&str> = several.iter().map(|id| id.as_str()).collect();
                Err(Failure::usage("several detached runs are live; say which")
                    .hint(format!("one of: {}", names.join(", "))))
            }
        };
    };
    let begins = |id: &&String| !wanted.is_empty() && id.starts_with(wanted);
    let fitting: Vec<&String> = all.iter().filter(begins).collect();
    let run = match fitting.as_slice() {
        [only] => *only,
        several => match several.iter().find(|id| id.as_str() == wanted) {
            Some(exact) => *exact,
            None if several.is_empty() => {
                return Err(Failure::usage(format!("no run `{wanted}`")));
            }
            None => {
                return Err(Failure::usage(format!(
                    "several runs begin with `{wanted}`"
                )));
            }
        },
    };
    match logged.contains_key(run) {
        true => Ok(run.clone()),
        false => Err(Failure::new(
            Kind::Failed,
            anyhow::anyhow!("{run} was not detached: its output went where it was started"),
        )
        .hint("`catrain run --detach` keeps the output of a run")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::PathBuf;

    use super::*;

    fn keeping(state: &Path, run: &str, text: &str) -> PathBuf {
        let path = output(state, run);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn what_is_written_until_the_end_is_followed_and_a_file_cut_short_begins_anew() {
        let here = tempfile::tempdir().unwrap();
        let path = keeping(here.path(), "r7k2", "one\n");
        let step = Cell::new(0);
        let goes_on = || {
            step.set(step.get() + 1);
            match step.get() {
                1 => true,
                2 => std::fs::write(&path, "two\n").map(|()| true).unwrap(),
                3 => {
                    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                    file.write_all(b"three\n").map(|()| true).unwrap()
                }
                4 => std::fs::write(&path, "4\n").map(|()| true).unwrap(),
                _ => false,
            }
        };
        let mut file = File::open(&path).unwrap();
        let mut out = Vec::new();
        follow(&mut file, &mut out, goes_on).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("one\n") && text.ends_with("three\n4\n"),
            "{text}"
        );
    }

    #[test]
    fn a_run_that_was_not_detached_is_told_from_one_that_is_not_there() {
        let here = tempfile::tempdir().unwrap();
        let state = here.path();
        assert!(
            chosen(state, None)
                .unwrap_err()
                .to_string()
                .contains("no run was detached")
        );
        keeping(state, "m3q9", "x");
        std::fs::create_dir_all(state.join("runs/r7k2")).unwrap();
        assert_eq!(chosen(state, Some("m")).unwrap(), "m3q9");
        let why = |wanted| chosen(state, Some(wanted)).unwrap_err().to_string();
        assert!(why("r7k2").contains("went where it was started"));
        assert!(why("z9").contains("no run `z9`"));
        assert!(why("").contains("no run"));
    }
}
