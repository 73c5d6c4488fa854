//! Directories of runs: made for one user alone, listed, and found by what people type.

use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::entry::{Begin, Entry, What};
use super::{FILE, read};
use crate::slurm::job::JobId;

/// Letters and digits of an id, without those that are taken for others (`i l o`, `0 1`).
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz";
const DIGITS: &[u8] = b"23456789";

/// How many ids of one length are tried before a longer one.
const TRIES: usize = 32;

/// The directory of a run that was just made.
#[derive(Debug)]
pub struct RunDir {
    /// Such as `r7k2`.
    pub id: String,
    /// The directory.
    pub path: PathBuf,
    /// Held open, so that what stands at `path` later makes no difference.
    directory: OwnedFd,
}

/// A run that has a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRef {
    /// Its id.
    pub id: String,
    /// Its ledger.
    pub path: PathBuf,
    /// When it was started in real time (a replay's records carry the replayed time). Where the
    /// beginning cannot be read, when it was at the latest.
    pub started: Timestamp,
    /// Its first entry; none when there is none or it cannot be understood.
    pub begin: Option<Box<Begin>>,
}

/// The ids to try for `seed`, without end: letter, digit, letter, digit, and longer after a while.
pub fn ids(seed: u64) -> impl Iterator<Item = String> {
    let mut state = seed;
    (0..).map(move |nth: usize| {
        let pairs = 2 + nth / TRIES;
        let mut id = String::with_capacity(2 * pairs);
        for _ in 0..pairs {
            let random = split_mix(&mut state);
            let pick = |from: &[u8], bits: u64| from[(bits % from.len() as u64) as usize] as char;
            id.push(pick(LETTERS, random & 0xffff_ffff));
            id.push(pick(DIGITS, random >> 32));
        }
        id
    })
}

/// SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Makes a directory for a new run in the state directory `state`, under an id that no other has.
/// Which ids are tried follows from `seed` alone.
///
/// # Errors
/// When a directory cannot be made, is a link, or belongs to another user. May block for as long
/// as the disk does: [`super::Writer::begin`] does this on a thread of its own.
pub fn new_run(state: &Path, seed: u64) -> io::Result<RunDir> {
    let runs = open_runs(state)?;
    for id in ids(seed).take(8 * TRIES) {
        match make_in(&runs, state, &id) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    let taken = format!("no free run id in {}", state.join("runs").display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, taken))
}

/// Where the ledger of the run `id` stands.
pub fn ledger_path(state: &Path, id: &str) -> PathBuf {
    state.join("runs").join(id).join(FILE)
}

/// Makes the directory of the run `id`, which must not be there.
pub(super) fn new_run_named(state: &Path, id: &str) -> io::Result<RunDir> {
    make_in(&open_runs(state)?, state, id)
}

fn open_runs(state: &Path) -> io::Result<OwnedFd> {
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(state);
    made.map_err(|error| match error.raw_os_error() {
        Some(code) => at(state, not_made(state, Errno::from_raw(code))),
        None => error,
    })?;
    let state_fd = open_directory(AT_FDCWD, state, state)?;
    let path = state.join("runs");
    match mkdirat(&state_fd, "runs", Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(at(&path, error)),
    }
    let runs = open_directory(&state_fd, Path::new("runs"), &path)?;
    make_private(&runs)?;
    Ok(runs)
}

fn make_in(runs: &OwnedFd, state: &Path, id: &str) -> io::Result<RunDir> {
    let path = state.join("runs").join(id);
    mkdirat(runs, id, Mode::S_IRWXU).map_err(|error| match error {
        Errno::EEXIST => at(&path, error),
        // The id is one that is tried, and not the one that the run goes by in the end.
        _ => at(&state.join("runs"), error),
    })?;
    let directory = open_directory(runs, Path::new(id), &path)?;
    // The name must be on the disk before anything in it can count as safe.
    File::from(runs.try_clone()?).sync_all()?;
    Ok(RunDir {
        id: id.to_owned(),
        path,
        directory,
    })
}

/// A directory of this user, opened without following a link in its last name.
fn open_directory(from: impl std::os::fd::AsFd, name: &Path, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = openat(from, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::ENOTDIR | Errno::ELOOP if path.is_symlink() => {
            let words = format!("{} is a link, and links are not followed", path.display());
            io::Error::new(io::Error::from(error).kind(), words)
        }
        _ => at(path, error),
    })?;
    let meta = File::from(fd.try_clone()?).metadata()?;
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        let whose = format!(
            "{} belongs to user {}, not to you",
            path.display(),
            meta.uid()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, whose));
    }
    if meta.mode() & 0o022 != 0 {
        let open = format!("{} may be written by others", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, open));
    }
    Ok(fd)
}

fn make_private(directory: &OwnedFd) -> io::Result<()> {
    let directory = File::from(directory.try_clone()?);
    if directory.metadata()?.mode() & 0o077 != 0 {
        directory.set_permissions(Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// `File exists` does not tell what is wrong with what stands in the place of a directory.
fn not_made(path: &Path, error: Errno) -> Errno {
    match error {
        Errno::EEXIST if !path.is_dir() => Errno::ENOTDIR,
        other => other,
    }
}

fn at(path: &Path, error: Errno) -> io::Error {
    let kind = io::Error::from(error).kind();
    io::Error::new(kind, format!("{}: {}", path.display(), error.desc()))
}

impl RunDir {
    /// The file of the ledger, which must not be there yet; new bytes go to its end.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_ledger(&self) -> io::Result<File> {
        let flags = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_EXCL
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&self.directory, FILE, flags, mode)
            .map_err(|error| at(&self.path.join(FILE), error))?;
        let synced = File::from(self.directory.try_clone()?).sync_all();
        if let Err(error) = synced {
            // Else the next try would find it made already.
            unlinkat(&self.directory, FILE, UnlinkatFlags::NoRemoveDir)?;
            return Err(error);
        }
        Ok(File::from(file))
    }
}

/// The ledger of the run `id`, to read and to add to its end: each name on the way opened without
/// following a link.
///
/// # Errors
/// It is not there, a link, no file, or somebody else owns it or may write it.
pub(super) fn open_to_append(state: &Path, id: &str) -> io::Result<File> {
    let path = ledger_path(state, id);
    if !is_id(id) {
        return Err(at(&path, Errno::ENOENT));
    }
    let state_fd = open_directory(AT_FDCWD, state, state)?;
    let runs = open_directory(&state_fd, Path::new("runs"), &state.join("runs"))?;
    let directory = open_directory(&runs, Path::new(id), &state.join("runs").join(id))?;
    let flags =
        OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(&directory, FILE, flags, Mode::empty()).map_err(|error| at(&path, error))?;
    let file = File::from(file);
    let meta = file.metadata()?;
    let refused = |why: &str| {
        let words = format!("{}: {why}", path.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
    };
    if !meta.is_file() {
        return refused("it is not a file");
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return refused("it belongs to somebody else");
    }
    if meta.mode() & 0o022 != 0 {
        return refused("others may write it");
    }
    Ok(file)
}

/// All runs in the state directory, oldest first. No state directory: no runs.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn list_runs(state: &Path) -> io::Result<Vec<RunRef>> {
    let directory = match std::fs::read_dir(state.join("runs")) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut runs = Vec::new();
    for found in directory {
        let found = found?;
        let path = found.path().join(FILE);
        let Some(id) = found.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        if !is_id(&id) || !found.file_type()?.is_dir() {
            continue;
        }
        let first = first_entry(&path);
        let begin = first.as_ref().and_then(|first| match &first.what {
            What::Begin(begin) => Some(begin.clone()),
            _ => None,
        });
        let made = || Timestamp::try_from(found.metadata().ok()?.modified().ok()?).ok();
        let started = match &begin {
            // Only the file system knows when a replay took place.
            Some(begin) if begin.replay.is_some() => made(),
            Some(_) => first.map(|first| first.at),
            // Whoever damaged the file may have touched its directory as well.
            None => earliest(&path).into_iter().chain(made()).min(),
        };
        runs.push(RunRef {
            id,
            path,
            started: started.unwrap_or(Timestamp::MIN),
            begin,
        });
    }
    runs.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    Ok(runs)
}

/// The first entry of a run's record; none when it cannot be read.
pub fn begin_of(state: &Path, id: &str) -> Option<Box<Begin>> {
    match first_entry(&ledger_path(state, id))?.what {
        What::Begin(begin) => Some(begin),
        _ => None,
    }
}

/// The ids of all runs, in order; of those whose records cannot be read as well. Reads none of them.
pub fn recorded_ids(state: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state.join("runs")).into_iter().flatten();
    let names = (entries.flatten()).filter_map(|entry| entry.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| is_id(name)).collect();
    ids.sort();
    ids
}

/// Whether a run may be called so.
pub fn is_id(name: &str) -> bool {
    let is = |(at, byte): (usize, u8)| [LETTERS, DIGITS][at % 2].contains(&byte);
    name.len() >= 4 && name.len().is_multiple_of(2) && name.bytes().enumerate().all(is)
}

/// A first line holds a command; a megabyte is more than a command may have.
const BEGINNING: u64 = 1 << 20;

/// The time on the first line that has one, of a record that does not begin as it should.
fn earliest(path: &Path) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Timed {
        at: Timestamp,
    }
    let file = BufReader::new(read::open(path).ok()?.take(BEGINNING));
    let mut lines = file.split(b'\n').map_while(Result::ok);
    lines.find_map(|line| Some(serde_json::from_slice::<Timed>(&line).ok()?.at))
}

fn first_entry(path: &Path) -> Option<Entry> {
    let mut line = String::new();
    let file = read::open(path).ok()?.take(BEGINNING);
    BufReader::new(file).read_line(&mut line).ok()?;
    line.ends_with('\n').then_some(())?;
    serde_json::from_str(&line).ok()
}

/// Why nothing was selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// There are no runs at all.
    #[error("no runs yet")]
    NoRuns,
    /// None in the time asked for.
    #[error("no runs in that time")]
    NoneThen,
    /// No run has such an id.
    #[error("no run `{wanted}`")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The ids most like it.
        near: Vec<String>,
    },
    /// No job is called so.
    #[error("{0}")]
    NoJob(String),
    /// No run is known of that job.
    #[error("no run of the job {job} of Slurm's is recorded")]
    NotStarted {
        /// The job.
        job: JobId,
    },
    /// Several ids begin so.
    #[error("`{wanted}` may be any of {}", .these.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The ids.
        these: Vec<String>,
    },
}

/// What stands before a job of Slurm's where a run may be named.
pub const JOB: &str = "slurm:";

/// The runs that are meant by `wanted` (ids, beginnings of ids that only one has, `latest`, and all of a
/// job as `slurm:17` or `slurm:17_3`) and
/// were started in `since..until`; of no words and no time, the latest. In the order of `runs`,
/// each once. The latest is one with a readable beginning, where there is any; a time takes in all,
/// since a sum over it must not leave one out in silence.
///
/// # Errors
/// When a word names no run, or none is left.
pub fn select<'a>(
    runs: &'a [RunRef],
    wanted: &[String],
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<&'a RunRef>, NotFound> {
    choose(runs, wanted, since, until, |run| run.begin.is_some())
}

/// As [`select`], but runs without a readable beginning count as well: to look at what is wrong with
/// them.
///
/// # Errors
/// When a word names no run, or none is left.
pub fn select_any<'a>(
    runs: &'a [RunRef],
    wanted: &[String],
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<&'a RunRef>, NotFound> {
    choose(runs, wanted, since, until, |_| true)
}

fn choose<'a>(
    runs: &'a [RunRef],
    wanted: &[String],
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    counts: impl Fn(&RunRef) -> bool,
) -> Result<Vec<&'a RunRef>, NotFound> {
    if runs.is_empty() {
        return Err(NotFound::NoRuns);
    }
    let is_timed = since.is_some() || until.is_some();
    let in_time = |run: &&RunRef| {
        since.is_none_or(|since| since <= run.started)
            && until.is_none_or(|until| run.started < until)
    };
    let named: Vec<&RunRef> = match wanted {
        [] if is_timed => runs.iter().collect(),
        [] => latest(runs, &counts).into_iter().collect(),
        words => {
            let mut named = Vec::new();
            for word in words {
                match word.strip_prefix(JOB) {
                    Some(job) => named.extend(of_job(runs, job)?),
                    None => named.push(find(runs, word, &counts)?),
                }
            }
            named
        }
    };
    let chosen: Vec<&RunRef> = runs
        .iter()
        .filter(|run| named.iter().any(|one| one.id == run.id))
        .filter(in_time)
        .collect();
    match chosen.is_empty() {
        true if is_timed => Err(NotFound::NoneThen),
        true => Err(NotFound::NoRuns),
        false => Ok(chosen),
    }
}

/// The runs of a job, of all nodes; of an array those of all tasks.
fn of_job<'a>(runs: &'a [RunRef], wanted: &str) -> Result<Vec<&'a RunRef>, NotFound> {
    let job: JobId = wanted.parse().map_err(NotFound::NoJob)?;
    let is_of = |run: &&RunRef| (run.begin.as_ref()).is_some_and(|begin| begin.is_of(job));
    let these: Vec<&RunRef> = runs.iter().filter(is_of).collect();
    match these.is_empty() {
        true => Err(NotFound::NotStarted { job }),
        false => Ok(these),
    }
}

fn find<'a>(
    runs: &'a [RunRef],
    word: &str,
    counts: impl Fn(&RunRef) -> bool,
) -> Result<&'a RunRef, NotFound> {
    if word == "latest" {
        return latest(runs, counts).ok_or(NotFound::NoRuns);
    }
    if let Some(exact) = runs.iter().find(|run| run.id == word) {
        return Ok(exact);
    }
    let begins = |run: &&RunRef| !word.is_empty() && run.id.starts_with(word);
    let these: Vec<&RunRef> = runs.iter().filter(begins).collect();
    match these.as_slice() {
        [one] => Ok(one),
        [] => Err(NotFound::Unknown {
            wanted: word.to_owned(),
            near: near(runs, word),
        }),
        several => Err(NotFound::Ambiguous {
            wanted: word.to_owned(),
            these: several.iter().map(|run| run.id.clone()).collect(),
        }),
    }
}

/// The newest run that counts; where none does, the newest of all: that it cannot be read is to be
/// told.
fn latest(runs: &[RunRef], counts: impl Fn(&RunRef) -> bool) -> Option<&RunRef> {
    // A node that follows is a part of another run.
    let follows = |run: &RunRef| run.begin.as_ref().is_some_and(|begin| begin.follows());
    let counts = |run: &RunRef| counts(run) && !follows(run);
    let last = (runs.iter().rev().find(|run| counts(run))).or_else(|| runs.last())?;
    // A clock that was set back makes newer runs look older. Ticks since boot it does not touch.
    let ticks_of = |run: &RunRef| {
        let begin = run.begin.as_ref()?;
        Some((begin.boot_id.clone(), begin.start_ticks))
    };
    let Some((boot, _)) = ticks_of(last).filter(|(boot, _)| !boot.is_empty()) else {
        return Some(last);
    };
    let of_that_boot = runs.iter().filter_map(|run| match ticks_of(run) {
        Some((its, ticks)) if its == boot && counts(run) => Some((ticks, run)),
        _ => None,
    });
    // Of several with the same ticks the last.
    let newest = of_that_boot.max_by_key(|(ticks, _)| *ticks);
    Some(newest.map_or(last, |(_, run)| run))
}

/// Up to three ids that differ least from `word`, the newer first.
fn near(runs: &[RunRef], word: &str) -> Vec<String> {
    let mut by_distance: Vec<(usize, &RunRef)> = runs
        .iter()
        .rev()
        .map(|run| (strsim::osa_distance(&run.id, word), run))
        .collect();
    by_distance.sort_by_key(|(distance, _)| *distance);
    let best = by_distance.into_iter().take(3);
    best.map(|(_, run)| run.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, started: &str) -> RunRef {
        let begin = include_str!("../../tests/fixtures/ledger_v1.jsonl");
        let first: Entry = serde_json::from_str(begin.lines().next().unwrap()).unwrap();
        let What::Begin(begin) = first.what else {
            panic!("the fixture begins with a beginning");
        };
        RunRef {
            id: id.to_owned(),
            path: PathBuf::from(id),
            started: started.parse().unwrap(),
            begin: Some(begin),
        }
    }

    fn three() -> Vec<RunRef> {
        vec![
            run("m3q9", "2026-11-20T10:00:00Z"),
            run("m4q9", "2026-11-21T10:00:00Z"),
            run("r7k2", "2026-11-22T10:00:00Z"),
        ]
    }

    fn selected(words: &[&str], since: Option<&str>) -> Result<Vec<String>, NotFound> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let since = since.map(|since| since.parse().unwrap());
        let runs = three();
        let chosen = select(&runs, &words, since, None)?;
        Ok(chosen.into_iter().map(|run| run.id.clone()).collect())
    }

    #[test]
    fn a_run_is_found_by_id_by_a_unique_beginning_and_as_the_latest() {
        assert_eq!(selected(&[], None).unwrap(), ["r7k2"]);
        assert_eq!(selected(&["latest"], None).unwrap(), ["r7k2"]);
        assert_eq!(selected(&["m4"], None).unwrap(), ["m4q9"]);
        assert_eq!(
            selected(&["r7k2", "m3q9", "r"], None).unwrap(),
            ["m3q9", "r7k2"]
        );
    }

    #[test]
    fn a_time_selects_all_runs_started_in_it() {
        let since = Some("2026-11-21T00:00:00Z");
        assert_eq!(selected(&[], since).unwrap(), ["m4q9", "r7k2"]);
        assert_eq!(selected(&["m3"], since), Err(NotFound::NoneThen));
    }

    #[test]
    fn a_run_whose_beginning_is_damaged_is_selected_where_that_is_looked_for() {
        let mut runs = three();
        runs[2].begin = None;
        let ids = |chosen: Vec<&RunRef>| chosen.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(select(&runs, &[], None, None).unwrap()), ["m4q9"]);
        assert_eq!(ids(select_any(&runs, &[], None, None).unwrap()), ["r7k2"]);
        let latest = ["latest".to_owned()];
        assert_eq!(
            ids(select_any(&runs, &latest, None, None).unwrap()),
            ["r7k2"]
        );
        let since = Some(runs[1].started);
        for select in [select, select_any] {
            assert_eq!(
                ids(select(&runs, &[], since, None).unwrap()),
                ["m4q9", "r7k2"]
            );
        }
        // Where no run can be read there are runs all the same.
        for run in &mut runs {
            run.begin = None;
        }
        assert_eq!(ids(select(&runs, &[], None, None).unwrap()), ["r7k2"]);
        assert_eq!(ids(select(&runs, &latest, None, None).unwrap()), ["r7k2"]);
    }

    #[test]
    fn the_latest_run_is_the_newest_one_though_the_clock_was_set_back() {
        let mut runs = three();
        for (run, ticks) in runs.iter_mut().zip([100, 300, 200]) {
            let begin = run.begin.as_mut().unwrap();
            (begin.boot_id, begin.start_ticks) = ("b".to_owned(), ticks);
        }
        let latest = |runs: &[RunRef]| select(runs, &[], None, None).unwrap()[0].id.clone();
        assert_eq!(latest(&runs), "m4q9");
        // Ticks of another boot tell nothing.
        runs[1].begin.as_mut().unwrap().boot_id = "a".to_owned();
        assert_eq!(latest(&runs), "r7k2");
    }

    #[test]
    fn a_run_whose_beginning_is_damaged_was_started_when_its_other_lines_say() {
        let state = tempfile::tempdir().unwrap();
        let whole = include_str!("../../tests/fixtures/ledger_v2.jsonl");
        let (first, rest) = whole.split_once('\n').unwrap();
        let began = serde_json::from_str::<Entry>(first).unwrap().at;
        for (id, text) in [
            ("a2b3", rest.to_owned()),
            ("c4d5", format!("\u{feff}{whole}")),
            ("e6f7", String::new()),
        ] {
            let directory = state.path().join("runs").join(id);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(FILE), text).unwrap();
        }
        let mut runs = list_runs(state.path()).unwrap();
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        assert!(runs.iter().all(|run| run.begin.is_none()));
        let hour = jiff::SignedDuration::from_hours(1);
        for run in &runs[..2] {
            let late = run.started.duration_since(began).abs();
            assert!(late < hour, "{}: {}", run.id, run.started);
        }
        assert!(runs[2].started > began);
    }

    #[test]
    fn an_unknown_id_names_the_nearest() {
        let Err(NotFound::Unknown { near, .. }) = selected(&["r7k3"], None) else {
            panic!("there is no such run");
        };
        assert_eq!(near[0], "r7k2");
    }

    #[test]
    fn a_beginning_that_several_have_names_them() {
        let Err(NotFound::Ambiguous { these, .. }) = selected(&["m"], None) else {
            panic!("two ids begin so");
        };
        assert_eq!(these, ["m3q9", "m4q9"]);
    }

    #[test]
    fn ids_have_four_characters_without_look_alikes_and_follow_from_the_seed() {
        let some: Vec<String> = ids(7).take(TRIES).collect();
        assert!(some.iter().all(|id| id.len() == 4 && is_id(id)), "{some:?}");
        assert_eq!(some, ids(7).take(TRIES).collect::<Vec<_>>());
        assert_ne!(some[0], ids(8).next().unwrap());
        assert_eq!(ids(7).nth(TRIES).unwrap().len(), 6);
    }

    #[test]
    fn two_runs_with_one_seed_get_two_directories_for_this_user_alone() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path().join("state");
        let (one, two) = (new_run(&state, 1).unwrap(), new_run(&state, 1).unwrap());
        assert_ne!(one.id, two.id);
        one.create_ledger().unwrap();
        for (path, mode) in [
            (state.join("runs"), 0o700),
            (one.path.clone(), 0o700),
            (one.path.join(FILE), 0o600),
        ] {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            assert_eq!(meta.mode() & 0o777, mode, "{}", path.display());
        }
    }

    #[test]
    fn when_all_short_ids_are_taken_a_longer_one_is_used() {
        let state = tempfile::tempdir().unwrap();
        for id in ids(5).take(TRIES) {
            std::fs::create_dir_all(state.path().join("runs").join(id)).unwrap();
        }
        assert_eq!(new_run(state.path(), 5).unwrap().id.len(), 6);
    }

    #[test]
    fn a_link_in_the_place_of_the_runs_is_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), state.path().join("runs")).unwrap();
        let told = new_run(state.path(), 1).unwrap_err().to_string();
        assert!(
            told.ends_with("/runs is a link, and links are not followed"),
            "{told}"
        );
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        let linked = state.path().join("linked");
        std::os::unix::fs::symlink(elsewhere.path(), &linked).unwrap();
        let told = new_run(&linked, 1).unwrap_err().to_string();
        assert!(told.contains("linked is a link"), "{told}");
    }

    #[test]
    fn a_file_in_the_place_of_the_state_directory_is_named() {
        let state = tempfile::NamedTempFile::new().unwrap();
        let told = new_run(state.path(), 1).unwrap_err().to_string();
        assert_eq!(told, format!("{}: Not a directory", state.path().display()));
    }

    #[test]
    fn a_state_directory_that_others_may_write_is_refused() {
        let state = tempfile::tempdir().unwrap();
        std::fs::set_permissions(state.path(), Permissions::from_mode(0o777)).unwrap();
        let error = new_run(state.path(), 1).unwrap_err();
        assert!(
            error.to_string().contains("may be written by others"),
            "{error}"
        );
    }
}
