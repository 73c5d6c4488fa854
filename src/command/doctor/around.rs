//! What the checks are given: where they look, and what is tried rather than read.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::sys::prctl;

use crate::cli::DoctorArgs;
use crate::clock::{boottime, monotonic, utc_now};
use crate::config::{self, Config, Layer, Problems};
use crate::dirs;
use crate::executor::facts::{self, Pidfds, Reach};
use crate::executor::watchdog::Guard;
use crate::meter::gpu::Opener;
use crate::meter::gpu::nvml::NvmlOpener;
use crate::meter::rapl::{Disk, Files};
use crate::slurm::tools::{Installed, Tools};

/// Reads a variable of the environment.
pub(super) type Variable = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Everything that checks look at.
pub(super) struct Around {
    /// `/`, or what a test has made of `/proc`, `/sys` and `/dev`.
    pub(super) root: PathBuf,
    /// The environment.
    pub(super) variable: Variable,
    /// This program.
    pub(super) program: PathBuf,
    /// The present.
    pub(super) now: Timestamp,
    /// The system's time zone.
    pub(super) time_zone: TimeZone,
    /// On the monotonic clock: by then there should be an answer.
    pub(super) until: Duration,
    /// `--zone`, or `CATRAIN_ZONE`.
    pub(super) zone: Option<String>,
    /// Nobody is to be asked.
    pub(super) offline: bool,
    /// Where catrain keeps its things.
    pub(super) directories: Directories,
    /// Files of the configuration.
    pub(super) files: Vec<Layer>,
    /// What is in them.
    pub(super) configuration: Result<(Config, Vec<String>), Problems>,
    /// What is tried.
    pub(super) trials: Box<dyn Trials>,
}

/// Where catrain keeps its things, where there is such a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Directories {
    pub(super) state: Option<PathBuf>,
    pub(super) cache: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
    /// Best first.
    pub(super) runtimes: Vec<PathBuf>,
}

/// What is tried rather than read, on this very machine or on one that a test has thought of.
pub(super) trait Trials: Send + Sync {
    /// Whether processes can be named for good.
    fn pidfds(&self) -> Pidfds;
    /// What may be done to a child of ours.
    fn reach(&self, root: &Path) -> io::Result<Reach>;
    /// Starts a watchdog, and gives how long its answer took.
    fn watchdog(&self, patience: Duration) -> io::Result<Duration>;
    /// Becomes the parent of orphans, and ceases to be.
    fn adopts_orphans(&self) -> io::Result<()>;
    /// `CLOCK_BOOTTIME` and `CLOCK_MONOTONIC`.
    fn clocks(&self) -> (Duration, Duration);
    /// The way to the GPUs' library.
    fn gpus(&self, library: Option<PathBuf>, root: &Path) -> Box<dyn Opener>;
    /// The way to the files of powercap.
    fn powercap(&self) -> Box<dyn Files>;
    /// Slurm's commands, each of which may take so long.
    fn slurm(&self, patience: Duration) -> Box<dyn Tools>;
}

/// What these files and variables set, and which files were passed by.
pub(super) fn configuration(
    files: &[Layer],
    profile: Option<&str>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, Vec<String>), Problems> {
    let read = config::Read::files(files.iter().cloned());
    Ok((read.configuration(profile, variable)?, read.passed_by))
}

impl Around {
    /// This machine, this user, this shell.
    pub(super) fn here(args: &DoctorArgs, profile: Option<&str>, until: Duration) -> Self {
        let directory = std::env::current_dir().unwrap_or_default();
        let files = config::files(&directory);
        Self {
            root: PathBuf::from("/"),
            variable: Arc::new(|name| std::env::var_os(name)),
            program: std::env::current_exe().unwrap_or_default(),
            now: utc_now(),
            time_zone: TimeZone::system(),
            until,
            zone: args.zone.clone(),
            offline: args.offline,
            directories: Directories {
                state: dirs::state(),
                cache: dirs::cache(),
                config: dirs::config(),
                runtimes: dirs::runtimes(),
            },
            configuration: configuration(&files, profile, |name| std::env::var_os(name)),
            files,
            trials: Box::new(Here),
        }
    }

    /// The configuration in force, or what is built in where there is something wrong with it.
    pub(super) fn config(&self) -> Config {
        match &self.configuration {
            Ok((config, _)) => config.clone(),
            Err(_) => Config::default(),
        }
    }

    /// A variable as text, if it is set and not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?.to_string_lossy().into_owned();
        (!value.is_empty()).then_some(value)
    }

    /// A file below the root, as far as it can be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Time that is left.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_sub(monotonic())
    }
}

/// This machine.
struct Here;

impl Trials for Here {
    fn pidfds(&self) -> Pidfds {
        facts::pidfds()
    }

    fn reach(&self, root: &Path) -> io::Result<Reach> {
        facts::reach_of_child(root)
    }

    fn watchdog(&self, patience: Duration) -> io::Result<Duration> {
        try_watchdog(Path::new("/proc/self/exe"), patience)
    }

    fn adopts_orphans(&self) -> io::Result<()> {
        prctl::set_child_subreaper(true)?;
        prctl::set_child_subreaper(false)?;
        Ok(())
    }

    fn clocks(&self) -> (Duration, Duration) {
        // In this order the first is never behind for having been read first.
        let monotonic = monotonic();
        (boottime(), monotonic)
    }

    fn gpus(&self, library: Option<PathBuf>, root: &Path) -> Box<dyn Opener> {
        let root = root.to_owned();
        Box::new(NvmlOpener { library, root })
    }

    fn powercap(&self) -> Box<dyn Files> {
        Box::new(Disk)
    }

    fn slurm(&self, patience: Duration) -> Box<dyn Tools> {
        Box::new(Installed { patience })
    }
}

/// Starts a watchdog from this file and lets it answer; then it leaves.
pub(super) fn try_watchdog(program: &Path, patience: Duration) -> io::Result<Duration> {
    let begun = monotonic();
    let mut guard = Guard::start_with(program)?;
    loop {
        if guard.is_ready() {
            guard.farewell();
            return Ok(monotonic().saturating_sub(begun));
        }
        if guard.is_lost() {
            let why = "it ended before it had answered";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        let left = patience.saturating_sub(monotonic().saturating_sub(begun));
        if left.is_zero() {
            let why = format!("it gave no answer within {:.1} s", patience.as_secs_f64());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        guard.wait(left);
    }
}
