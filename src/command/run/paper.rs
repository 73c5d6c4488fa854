//! The ledger of a run: opened without waiting, begun with who and what, written for the driver.

use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};

use super::background::Sources;
use super::cluster::{self, Inside};
use super::existence::Existence;
use super::prepare::Prepared;
use super::{settings, typed};
use crate::cli::RunArgs;
use crate::clock::Moment;
use crate::config::Config;
use crate::executor::ProcId;
use crate::forecast::Basis;
use crate::ledger::entry::{Action, Begin, FORMAT, ReplayOf, What};
use crate::ledger::redact::{command_digest, redact, redact_label, redact_shapes};
use crate::ledger::{Ledger, Options, Sync, Ticket, Writer};
use crate::meter::Figures;
use crate::serve::facts::About;
use crate::supervise::Recorder;
use crate::surroundings::{boot_id, host};

/// A replay lives out hours a second on figures that were given: there is nothing to sample, and a
/// line every few seconds of it would only fill its file.
const REPLAY_SAMPLE: Duration = Duration::from_mins(5);

/// How the run is recorded, as it is configured.
pub(super) fn options(args: &RunArgs, config: &Config) -> Options {
    let (set, usual) = (&config.ledger, Options::default());
    let sample = set.sample.as_ref().map_or(usual.sample, |set| set.value);
    Options {
        sample: match args.replay {
            Some(_) => sample.max(REPLAY_SAMPLE),
            None => sample,
        },
        sync: set.sync.as_ref().map_or(usual.sync, |set| set.value),
        largest: set.largest.as_ref().map_or(usual.largest, |set| set.value),
        signing_key: set.signing_key.as_ref().map(|set| set.value.clone()),
    }
}

pub(super) fn open_ledger(state: Option<PathBuf>, options: Options) -> Writer {
    // Any number will do: the writer makes the id unique by making its directory.
    let seed = u64::from(std::process::id()) ^ crate::clock::monotonic().as_nanos() as u64;
    match state {
        Some(state) => Writer::begin(state, seed, options),
        None => {
            let why = "there is no state directory: neither HOME nor CATRAIN_STATE_DIR is set";
            Writer::nowhere(why, seed)
        }
    }
}

/// When and where a run begins.
pub(super) struct Start<'a> {
    /// In this process.
    pub(super) begun: Moment,
    /// As a whole, where that was before, and how many times faster its time passes.
    pub(super) began: Option<(Timestamp, f64)>,
    /// Where in a cluster's job it is.
    pub(super) inside: Option<&'a Inside>,
}

/// Writes down that a run goes on here, and the time that it was away.
pub(super) fn record_return(writer: &Writer, start: &Start<'_>, ledger: &Ledger) {
    let now = start.begun;
    // By the record's own time, which is a replay's in a replay.
    let began = ledger.entries.first().map(|first| first.at);
    let away = began.map(|began| cluster::time_away(ledger, began, now));
    let taken_up = start.inside.map(Inside::taken_up);
    for what in taken_up.into_iter().chain(away.into_iter().flatten()) {
        drop(writer.record(now.utc, now.elapsed, what, Sync::Now));
    }
}

pub(super) fn record_begin(
    writer: &Writer,
    start: &Start<'_>,
    args: &RunArgs,
    prepared: &Prepared,
    planned: &settings::Planned,
    figures: &Figures,
    sources: &Sources,
) {
    let (argv, is_whole) = typed::texts(&args.command);
    let command = redact(&argv);
    let deadline = settings::given_deadline(args, prepared).ok().flatten();
    let (options, _) = typed::texts(&typed::options(std::env::args_os().skip(1), deadline));
    let program = command.first().cloned().unwrap_or_default();
    let own = nix::unistd::getpid().as_raw();
    let begin = Begin {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The writer fills it in: it is known once its directory is made.
        run: String::new(),
        name: name_of(args),
        labels: labels_of(args),
        program,
        is_redacted: !is_whole || command != argv,
        command,
        options: Some(redact(&options)),
        continues: args.continues.clone(),
        slurm: start.inside.map(Inside::slurm),
        // Without randomness there is no salt, and without one the digest would tell short secrets.
        command_digest: salt()
            .map(|salt| command_digest(salt, args.command.iter().map(|word| word.as_bytes()))),
        directory: prepared.directory.to_string_lossy().into_owned(),
        host: host(),
        boot_id: boot_id(),
        pid: own,
        start_ticks: ProcId::of(own).map_or(0, |id| id.start_ticks),
        zone: prepared.zone.clone(),
        basis: basis_of(prepared, sources),
        sources: match prepared.replay {
            Some(_) => Vec::new(),
            None => names_of(prepared, sources),
        },
        replay: prepared.replay.as_ref().map(|day| ReplayOf {
            trace: day.trace_name.clone(),
            speed: args.speed,
        }),
        policy: settings::policy_name(args).to_owned(),
        deadline: planned.settings.deadline,
        duration_s: planned
            .settings
            .duration
            .map(|expected| expected.duration.as_secs_f64()),
        power: figures.assumed(),
        pue: args.pue,
        share: figures.share,
        reserved: figures.reserved,
        budget_g: args.carbon_budget,
    };
    let now = start.begun;
    let (at, elapsed) = match start.began {
        Some((began, _)) => (began, Duration::ZERO),
        None => (now.utc, now.elapsed),
    };
    drop(writer.record(at, elapsed, What::Begin(Box::new(begin)), Sync::Now));
    let waited = start.began.zip(start.inside);
    let waited = waited.map(|((began, speed), inside)| inside.waited(began, speed, now));
    for what in waited.into_iter().flatten() {
        drop(writer.record(now.utc, now.elapsed, what, Sync::Now));
    }
}

fn salt() -> Option<[u8; 16]> {
    let mut salt = [0; 16];
    let filled = SystemRandom::new().fill(&mut salt);
    filled.is_ok().then_some(salt)
}

pub(super) fn name_of(args: &RunArgs) -> String {
    let program = args.command.first().map(PathBuf::from).unwrap_or_default();
    let stem = program
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    // Both are shown in reports that are made to be shared.
    redact_shapes(args.name.as_deref().unwrap_or(&stem))
}

/// What of the run does not change, for metrics.
pub(super) fn about(args: &RunArgs, prepared: &Prepared, planned: &settings::Planned) -> About {
    About {
        name: name_of(args),
        labels: labels_of(args),
        zone: prepared.zone.clone(),
        policy: settings::policy_name(args).to_owned(),
        pause_with: planned.settings.pausing.with.as_str().to_owned(),
        is_replay: args.replay.is_some(),
    }
}

fn labels_of(args: &RunArgs) -> Vec<(String, String)> {
    let labels = args.label.iter();
    labels
        .map(|(name, value)| (redact_shapes(name), redact_label(name, value)))
        .collect()
}

fn names_of(prepared: &Prepared, sources: &Sources) -> Vec<String> {
    let names = sources.chain.in_force(&sources.names, &prepared.zone);
    names.iter().map(ToString::to_string).collect()
}

fn basis_of(prepared: &Prepared, sources: &Sources) -> Basis {
    match &prepared.replay {
        Some(day) => day.knowledge.basis,
        None => sources.chain.basis(&sources.names, &prepared.zone),
    }
}

/// The ledger as the driver sees it.
pub(super) struct Paper {
    pub(super) writer: Rc<Writer>,
    /// The last trouble, for `status` and the end.
    pub(super) trouble: Trouble,
    /// Told once the job is started.
    pub(super) existence: Existence,
}

/// What was last wrong with the record; told more than once, unlike [`Writer::trouble`].
pub(super) type Trouble = Rc<RefCell<Option<String>>>;

impl Recorder for Paper {
    fn record(&mut self, now: Moment, what: What) -> Ticket {
        if let What::Confirmed {
            action: Action::Start,
            ..
        } = what
        {
            self.existence.begins();
        }
        let sync = match what {
            What::Segment(_) | What::Intensity { .. } | What::Meters { .. } => Sync::Later,
            _ => Sync::Now,
        };
        self.writer.record(now.utc, now.elapsed, what, sync)
    }

    fn trouble(&mut self) -> Option<String> {
        let trouble = self.writer.trouble()?;
        *self.trouble.borrow_mut() = Some(trouble.clone());
        Some(trouble)
    }

    fn relief(&mut self) -> Option<String> {
        let relief = self.writer.relief()?;
        *self.trouble.borrow_mut() = None;
        Some(relief)
    }

    fn segment_at_most(&self) -> Duration {
        self.writer.segment_at_most()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn neither_the_name_nor_a_label_of_a_run_has_a_secret_in_it() {
        let token = format!("ghp_{}", "a1B2".repeat(12));
        let name = format!("for {token}");
        let label = format!("at=https://me:{token}@host/x");
        let words = ["catrain", "run", "--name", &name, "--label", &label];
        let cli = Cli::try_parse_from(words.into_iter().chain(["--", "true"])).unwrap();
        let Command::Run(args) = cli.command else {
            panic!("it is a run");
        };
        assert_eq!(name_of(&args), "for [redacted]");
        let at = ("at".to_owned(), "https://[redacted]@host/x".to_owned());
        assert_eq!(labels_of(&args), [at]);
    }
}
