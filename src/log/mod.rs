//! The log: what the program does, call by call, for whoever looks for the cause of something.
//!
//! Off unless asked for. It is not the voice of [`crate::talk`], which speaks to the person, nor the
//! record of [`crate::ledger`], which a reviewer checks. Modules say what happens by the macros of `tracing`,
//! under their own names as targets:
//!
//! | level | means |
//! |---|---|
//! | `error` | the run is harmed; each has a `category` of [`crate::error::Category`] |
//! | `warn` | the result is worse than promised |
//! | `info` | each decision, once |
//! | `debug` | each call, with how long it took |
//!
//! An event is copied out where it happens and goes into a bounded queue (`desk`); a thread of its
//! own makes a line of it (`line`) and writes that to standard error or to a file that is put aside as
//! it grows (`rotate`). A disk that hangs or a terminal that takes nothing costs lines, which are
//! counted and told of. Every text in a line has gone through `line::Clean`, so that none can pass
//! with a secret in it.
//!
//! Acts that somebody answers for (who paused, who changed a key) are in a file of their own, on
//! unless it is switched off: [`audit`].

pub mod audit;
mod desk;
mod levels;
mod line;
mod rotate;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use crate::error::Category;
use crate::ledger::RunId;
use desk::{Desk, Writing};
pub use levels::Levels;
pub use line::Form;
pub use rotate::Rotation;

/// What is logged, and where to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// What is logged; none: nothing, or with a file what [`Levels::usual`] says.
    pub levels: Option<Levels>,
    /// The file; none: standard error.
    pub file: Option<PathBuf>,
    /// How a line looks; none: for people on a terminal, JSON elsewhere.
    pub form: Option<Form>,
    /// When a new file is begun, and how many of the old are kept.
    pub rotation: Rotation,
}

impl Settings {
    fn in_force(&self) -> Option<Levels> {
        let of_file = || self.file.as_ref().map(|_| Levels::usual());
        self.levels.clone().or_else(of_file)
    }
}

/// Longest wait for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The log of this process.
#[derive(Clone, Debug)]
pub struct Log {
    desk: Arc<Desk>,
    job_writes: Arc<AtomicBool>,
}

/// Begins to log, for the whole process; `acts` is the file for [`audit`], if there is to be one. Opens
/// nothing yet and starts no thread: the first event does. To be called once; a second log hears
/// nothing.
pub fn start(settings: &Settings, acts: Option<PathBuf>) -> Log {
    let levels = settings.in_force();
    let job_writes = Arc::<AtomicBool>::default();
    let writing = Writing {
        file: settings.file.clone(),
        form: settings.form,
        rotation: settings.rotation,
        acts: acts.clone(),
        job_writes: job_writes.clone(),
    };
    let desk = Arc::new(Desk::new(writing));
    if levels.is_some() {
        hear_panics();
    }
    if levels.is_some() || acts.is_some() {
        let collector = desk.collector(levels, acts.is_some());
        // Somebody else's is no harm: it was asked for before.
        drop(tracing::subscriber::set_global_default(
            tracing_subscriber::registry().with(collector),
        ));
    }
    Log { desk, job_writes }
}

impl Log {
    /// There will be a run: lines wait a moment for its id, so that each has it.
    pub fn expect_run(&self) {
        self.desk.tell(desk::Message::ExpectRun);
    }

    /// From now on each line has the id of this run, as soon as there is one.
    pub fn of_run(&self, run: RunId) {
        self.desk.tell(desk::Message::Run(run));
    }

    /// Lines for the terminal, and what is wrong with the log itself, are said by this from now on;
    /// `false` where it cannot any more.
    pub fn speak_by(&self, voice: impl Fn(&str) -> bool + Send + 'static) {
        self.desk.tell(desk::Message::Voice(Box::new(voice)));
    }

    /// Whether the job may be writing to the terminal: then lines wait, but for what is urgent.
    pub fn job_writes(&self, writes: bool) {
        self.job_writes.store(writes, Ordering::Relaxed);
    }

    /// Writes what is left, as far as that takes no longer than a moment. Later events go nowhere.
    pub fn finish(&self) {
        self.job_writes(false);
        self.desk.finish(LAST_LINES);
    }
}

/// Has a mistake of ours logged, and told as it always is.
fn hear_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let category = Category::Internal.as_str();
        let place = panic.location().map(ToString::to_string);
        let why = panic.payload_as_str().unwrap_or("no reason given");
        tracing::error!(category, place, why, "a bug: something has panicked");
        usual(panic);
    }));
}
