//! `catrain run`: from what was typed to a supervised job, and its end.

mod hands;
mod memory;
mod person;
mod settings;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::id as process_id;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::cli::{ProgressWhen, RunArgs, SummaryForm};
use crate::clock::{Clock, Moment, Replay, SystemClock, utc_now};
use crate::error::{Failure, Kind};
use crate::executor::signals::Signals;
use crate::executor::{Inherited, ProcId};
use crate::forecast::zones::{self, Unresolved};
use crate::forecast::{Basis, Knowledge};
use crate::ledger::entry::{Begin, Exit, FORMAT, Part, ReplayOf, What};
use crate::ledger::{Sync, Ticket, Writer, redact::redact};
use crate::meter::{Figures, Model};
use crate::report;
use crate::source::{self, ReplayDay, SourceError};
use crate::supervise::machine::Machine;
use crate::supervise::news::Setting;
use crate::supervise::{Arrival, Driver, Outcome, Recorder};
use crate::surroundings;
use crate::talk::{Talk, stderr_is_terminal};
use crate::words::Look;
use hands::Hands;
use memory::{Lesson, Memory};
use person::Person;

/// Longest wait for the disk where something small is read before the start.
const MEMORY_PATIENCE: Duration = Duration::from_millis(100);
/// Longest wait for intensities before a start that need not wait for them.
const START_PATIENCE: Duration = Duration::from_millis(50);
/// Longest wait for the last record, the summary and the memory once the job has ended.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// Stands in the records where no zone is known.
const UNKNOWN_ZONE: &str = "unknown";

/// How `catrain run` ends: as the job did.
#[derive(Debug)]
pub enum Ending {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// What a run needs to know before it begins.
struct Prepared {
    /// The grid zone, or why there is none.
    zone: String,
    zone_notice: Option<String>,
    zone_given: bool,
    replay: Option<ReplayDay>,
    /// The present, in a replay the replayed one.
    now: Timestamp,
    time_zone: TimeZone,
    state: Option<PathBuf>,
    /// The command in this directory, as the memory knows it.
    fingerprint: String,
    usual: Option<Duration>,
    surroundings: surroundings::Surroundings,
    directory: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, and failures before the job starts. Once it runs, its end is the answer.
pub fn run(args: &RunArgs, inherited: &Inherited, look: Look) -> Result<Ending, Failure> {
    settings::check(args)?;
    // Before there is any thread that could take a signal.
    let signals =
        Signals::open(inherited).map_err(|error| Failure::new(Kind::BeforeStart, error))?;
    let prepared = prepare(args)?;
    let figures = settings::figures(args);
    let planned = settings::plan(args, &prepared, &figures, inherited)?;
    let speed = args.speed;
    let replay = prepared.replay.as_ref().map(|day| Replay {
        from: day.from,
        speed,
    });
    let clock = SystemClock::start(replay);
    let begun = clock.now();

    let (arrivals_sender, arrivals) = mpsc::channel(64);
    let (run, writer) = open_ledger(prepared.state.clone());
    let writer = Arc::new(writer);
    record_begin(&writer, begun, &run, args, &prepared, &planned, &figures);
    let talk = Talk::start(look, shows_countdown(args));
    for line in &planned.notices {
        talk.say(line);
        let text = line.clone();
        drop(writer.record(
            begun.utc,
            begun.elapsed,
            What::Warning { text },
            Sync::Later,
        ));
    }
    let setting = news_setting(args, &prepared, &planned, &run);
    let person = Person::new(talk, setting, stderr_is_terminal());
    gather_in_background(args, &prepared, &run, arrivals_sender.clone());

    let machine = Machine::new(planned.settings.clone(), begun);
    let describer = describer(&run, args, &prepared, &writer, begun);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::BeforeStart, error))?;
    let (outcome, person) = runtime.block_on(async {
        let hands = Hands::new(signals, &args.command, args.tty, inherited)?;
        let person = person.telling(arrivals_sender);
        let mut driver = Driver {
            clock: &clock,
            executor: hands,
            recorder: Paper(writer.clone()),
            teller: person,
            meter: Model::new(figures, speed),
            arrivals,
            describe: describer,
            patience: if planned.waits_for_knowledge {
                settings::PATIENCE
            } else {
                START_PATIENCE
            },
        };
        let outcome = driver.run(machine).await;
        let Driver {
            executor, teller, ..
        } = driver;
        executor.finish();
        Ok::<_, Failure>((outcome, teller))
    })?;
    runtime.shutdown_background();
    let talk = person.finish();
    finish(args, &prepared, outcome, &clock, &run, writer, talk, look)
}

fn prepare(args: &RunArgs) -> Result<Prepared, Failure> {
    let wall = utc_now();
    let time_zone = TimeZone::system();
    let state = crate::dirs::state();
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let memory = state
        .as_ref()
        .map(|state| Memory::read(state, MEMORY_PATIENCE))
        .unwrap_or_default();
    let fingerprint = memory::fingerprint(&directory, &args.command);
    let replay = match &args.replay {
        Some(spec) => {
            Some(source::replay(spec, args.zone.as_deref(), wall).map_err(source_failure)?)
        }
        None => None,
    };
    let (zone, zone_notice) = match &replay {
        Some(day) => (day.zone.clone(), None),
        None => zone_of(args.zone.as_deref(), &memory, &time_zone)?,
    };
    let environment: HashMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Prepared {
        zone,
        zone_notice,
        zone_given: args.zone.is_some(),
        now: replay.as_ref().map_or(wall, |day| day.from),
        replay,
        time_zone,
        usual: memory.usual(&fingerprint),
        state,
        fingerprint,
        surroundings: surroundings::look(&environment),
        directory,
    })
}

fn source_failure(error: SourceError) -> Failure {
    let hint = format!("{}; nothing was started", error.hint());
    Failure::new(Kind::Usage, error).hint(hint)
}

/// The zone given, else this user's last, else a guess. Without any the job still runs: neither
/// held nor paused, and without grams.
fn zone_of(
    given: Option<&str>,
    memory: &Memory,
    time_zone: &TimeZone,
) -> Result<(String, Option<String>), Failure> {
    let last = memory.zone.as_deref();
    match zones::resolve(given.or(last), time_zone.iana_name()) {
        Ok(resolved) => {
            let notice = match (given, last) {
                (None, Some(last)) => Some(format!("zone {last}, as last time (-z to change it)")),
                _ => resolved.announcement(),
            };
            Ok((resolved.zone.zone.to_owned(), notice))
        }
        Err(Unresolved::Unknown(unknown)) if given.is_some() => {
            let hint = format!("{}; nothing was started", unknown.hint());
            Err(Failure::usage(unknown.to_string()).hint(hint))
        }
        Err(why) => {
            let notice =
                format!("{why}: the job runs, and is neither held nor paused (-z ZONE lets it)");
            Ok((UNKNOWN_ZONE.to_owned(), Some(notice)))
        }
    }
}

fn open_ledger(state: Option<PathBuf>) -> (String, Writer) {
    // Any number will do: the writer makes the id unique by making its directory.
    let seed = u64::from(process_id()) ^ crate::clock::monotonic().as_nanos() as u64;
    match state {
        Some(state) => Writer::begin(state, seed, MEMORY_PATIENCE),
        None => {
            let writer = Writer::nowhere(
                "there is no state directory: neither HOME nor CATRAIN_STATE_DIR is set",
            );
            (
                crate::ledger::runs::ids(seed)
                    .next()
                    .expect("ids never end"),
                writer,
            )
        }
    }
}

fn record_begin(
    writer: &Writer,
    now: Moment,
    run: &str,
    args: &RunArgs,
    prepared: &Prepared,
    planned: &settings::Planned,
    figures: &Figures,
) {
    let argv: Vec<String> = args
        .command
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let program = argv.first().cloned().unwrap_or_default();
    let own = nix::unistd::getpid().as_raw();
    let begin = Begin {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.to_owned(),
        name: name_of(args),
        labels: args.label.clone(),
        program,
        command: redact(&argv),
        directory: prepared.directory.to_string_lossy().into_owned(),
        host: nix::unistd::gethostname().map_or_else(
            |_| "unknown".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        ),
        boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        pid: own,
        start_ticks: ProcId::of(own).map_or(0, |id| id.start_ticks),
        zone: prepared.zone.clone(),
        basis: basis_of(prepared),
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
        budget_g: args.carbon_budget,
    };
    drop(writer.record(
        now.utc,
        now.elapsed,
        What::Begin(Box::new(begin)),
        Sync::Now,
    ));
}

fn name_of(args: &RunArgs) -> String {
    let program = args.command.first().map(PathBuf::from).unwrap_or_default();
    let stem = program
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    args.name.clone().unwrap_or(stem)
}

fn basis_of(prepared: &Prepared) -> Basis {
    match &prepared.replay {
        Some(day) => day.knowledge.basis,
        None => source::builtin::knowledge(&prepared.zone).basis,
    }
}

fn shows_countdown(args: &RunArgs) -> bool {
    match args.progress {
        ProgressWhen::Auto => stderr_is_terminal(),
        ProgressWhen::Always => true,
        ProgressWhen::Never => false,
    }
}

fn news_setting(
    args: &RunArgs,
    prepared: &Prepared,
    planned: &settings::Planned,
    run: &str,
) -> Setting {
    let inside = |name: &str| std::env::var_os(name).is_some();
    let on_terminal = stderr_is_terminal() && !inside("TMUX") && !inside("STY");
    Setting {
        run: run.to_owned(),
        zone: prepared.time_zone.clone(),
        enter_starts: std::io::stdin().is_terminal() && stderr_is_terminal(),
        on_terminal: on_terminal && args.replay.is_none(),
        duration: planned.settings.duration.map(|expected| expected.duration),
        deadline: planned.settings.deadline,
        earned: planned.earned,
        now_policy: planned.settings.policy == crate::plan::Policy::Now,
    }
}

/// Reads sources and opens the control socket where neither can delay the run.
fn gather_in_background(
    args: &RunArgs,
    prepared: &Prepared,
    run: &str,
    arrivals: mpsc::Sender<Arrival>,
) {
    let names = args.source.clone();
    let zone = prepared.zone.clone();
    let now = prepared.now;
    let replayed: Option<Knowledge> = prepared.replay.as_ref().map(|day| day.knowledge.clone());
    let run = run.to_owned();
    let spawned = std::thread::Builder::new()
        .name("gather".to_owned())
        .spawn(move || {
            let send = |arrival| arrivals.blocking_send(arrival).is_ok();
            match replayed {
                Some(knowledge) => {
                    send(Arrival::Knowledge(Arc::new(knowledge)));
                }
                None if zone == UNKNOWN_ZONE => {}
                None => match source::gather(&names, &zone, now) {
                    Ok(gathered) => {
                        let failed = gathered.tried.len().saturating_sub(1);
                        for tried in gathered.tried.iter().take(failed) {
                            send(Arrival::Trouble(format!(
                                "{}: {}",
                                tried.source, tried.outcome
                            )));
                        }
                        for note in gathered.notes {
                            send(Arrival::Note(note));
                        }
                        send(Arrival::Knowledge(Arc::new(gathered.knowledge)));
                    }
                    Err(error) => {
                        let hint = error.hint();
                        let text = format!("{:#}; {hint}", anyhow::Error::new(error));
                        send(Arrival::Trouble(text));
                    }
                },
            }
            send(Arrival::Ready);
            let Some(runtime) = crate::dirs::runtime() else {
                return;
            };
            match crate::control::listen(&runtime, &run) {
                Ok(listener) => {
                    send(Arrival::Socket(listener));
                }
                Err(error) => {
                    let text = format!(
                        "no control socket, so `catrain status` cannot ask this run: {error}"
                    );
                    send(Arrival::Trouble(text));
                }
            }
        });
    // Without a thread nothing is known: the driver starts the job after its patience.
    drop(spawned);
}

/// The ledger as the driver sees it.
struct Paper(Arc<Writer>);

impl Recorder for Paper {
    fn record(&mut self, now: Moment, what: What) -> Ticket {
        let sync = match what {
            What::Segment(_) | What::Intensity { .. } => Sync::Later,
            _ => Sync::Now,
        };
        self.0.record(now.utc, now.elapsed, what, sync)
    }
}

type Describer = Box<dyn Fn(&crate::supervise::View<'_>, Moment) -> serde_json::Value>;

fn describer(
    run: &str,
    args: &RunArgs,
    prepared: &Prepared,
    writer: &Arc<Writer>,
    begun: Moment,
) -> Describer {
    let (run, name) = (run.to_owned(), name_of(args));
    let zone = prepared.zone.clone();
    let (writer, replay) = (writer.clone(), args.replay.is_some());
    Box::new(move |view, now| {
        let mut value = super::status::describe(view, now, &run, &name);
        value["zone"] = zone.clone().into();
        value["replay"] = replay.into();
        value["started_at"] = begun.utc.to_string().into();
        value["ledger_trouble"] = writer.trouble().into();
        value
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "the last things of a run, each used once"
)]
fn finish(
    args: &RunArgs,
    prepared: &Prepared,
    outcome: Outcome,
    clock: &SystemClock,
    run: &str,
    writer: Arc<Writer>,
    talk: Talk,
    look: Look,
) -> Result<Ending, Failure> {
    let now = clock.now();
    let ledger = writer.so_far();
    let trouble = writer.trouble();
    let complete = Arc::into_inner(writer).is_some_and(|writer| writer.finish(END_PATIENCE));
    let summary = report::summarise(&ledger, now.utc);
    let good = matches!(outcome, Outcome::Job(Exit::Code(0)));
    if let (Outcome::Job(_), Some(summary)) = (&outcome, &summary) {
        print_summary(args, summary, &talk, look, now, &prepared.time_zone);
    }
    if !complete || trouble.is_some() {
        let why = trouble.unwrap_or_else(|| "the disk did not take it in time".to_owned());
        talk.say(&format!(
            "warning: the record of {run} is incomplete: {why}"
        ));
    }
    if talk.dropped() > 0 {
        talk.say(&format!(
            "{} messages were lost: nobody took them",
            talk.dropped()
        ));
    }
    if let Some(state) = &prepared.state
        && args.replay.is_none()
    {
        let zone = prepared.zone_given.then(|| prepared.zone.clone());
        let productive = summary.and_then(|summary| {
            Duration::try_from_secs_f64(summary.duration_s[Part::Running]).ok()
        });
        let command = productive
            .filter(|_| good)
            .map(|length| (prepared.fingerprint.clone(), length));
        memory::remember(state.clone(), Lesson { zone, command }, END_PATIENCE);
    }
    talk.finish(END_PATIENCE);
    if let Some(runtime) = crate::dirs::runtime() {
        let _ = std::fs::remove_file(crate::control::socket(&runtime, run));
    }
    match outcome {
        Outcome::Job(Exit::Code(code)) => Ok(Ending::Code(code as u8)),
        Outcome::Job(Exit::Signal(signal)) | Outcome::DiedBy(signal) => Ok(Ending::Signal(signal)),
        Outcome::StoppedBeforeStart => Ok(Ending::Signal(args.stop_signal as i32)),
        Outcome::NotStarted(error) => Err(Failure::new(error.kind, anyhow::Error::msg(error.what))),
    }
}

fn print_summary(
    args: &RunArgs,
    summary: &report::Summary,
    talk: &Talk,
    look: Look,
    now: Moment,
    zone: &TimeZone,
) {
    let form = |form: SummaryForm| match form {
        SummaryForm::Text => report::text::end_of_run(summary, look, now.utc, zone),
        SummaryForm::Json => {
            report::json::document(std::slice::from_ref(summary), now.utc, now.utc)
        }
        SummaryForm::None => String::new(),
    };
    if args.summary != SummaryForm::None {
        talk.print(&form(args.summary));
    }
    if let Some(path) = &args.summary_file {
        let as_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let wanted = match args.summary {
            SummaryForm::None if as_json => SummaryForm::Json,
            SummaryForm::None => SummaryForm::Text,
            other => other,
        };
        if let Err(error) = std::fs::write(path, form(wanted)) {
            talk.say(&format!(
                "warning: cannot write the summary to {}: {error}",
                path.display()
            ));
        }
    }
}
