//! `catrain run`: from what was typed to a supervised job, and its end.

mod alerts;
mod background;
mod cluster;
mod detach;
mod ending;
mod existence;
mod hands;
mod hidden;
mod hooks;
mod journal;
pub(in crate::command) mod memory;
mod metering;
mod paper;
mod person;
mod prepare;
mod reload;
mod service;
mod serving;
mod settings;
pub(in crate::command) mod submitted;
pub(in crate::command) mod tasks;
mod typed;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::configured::Configured;
use super::resume_run::claim;
use super::sources::Settled;
use crate::alert::post::Closing;
use crate::cli::{LogArgs, ProgressWhen, RunArgs};
use crate::clock::{Clock, Moment, Replay, SystemClock};
use crate::config::Config;
use crate::error::{Failure, Kind};
use crate::executor::Inherited;
use crate::executor::signals::Signals;
use crate::executor::spawn::look_up;
use crate::ledger::entry::What;
use crate::ledger::{Ledger, RunId, Sync, Writer};
use crate::log::{self, Log};
use crate::supervise::machine::{Before, Machine};
use crate::supervise::news::Setting;
use crate::supervise::{Arrival, Describe, Driver, Watcher};
use crate::talk::{Talk, stderr_is_terminal};
use crate::words::Look;
use alerts::Alerts;
use cluster::{Comes, GoesOn, Inside};
use detach::Launched;
pub(super) use detach::output;
use existence::{Existence, Waiting};
use hands::Hands;
use hooks::Hooks;
use journal::Journal;
use paper::{Paper, Trouble};
use person::Person;
use prepare::Prepared;
use reload::Reloading;
use service::Service;
use serving::Serving;
use tasks::Task;

/// How `catrain run` ends: as the job did.
#[derive(Debug)]
pub enum Ending {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// Runs the command. `logged` is what was typed of the log.
///
/// # Errors
/// Wrong usage, and failures before the job starts. Once it runs, its end is the answer.
pub fn run(
    args: &RunArgs,
    logged: &LogArgs,
    configured: Configured,
    inherited: &Inherited,
    look: Look,
    out: &mut dyn Write,
) -> Result<Ending, Failure> {
    settings::check(args)?;
    if let Some(program) = args.command.first()
        && args.attach.is_none()
    {
        look_up(program)
            .map_err(|error| Failure::new(error.kind(), error).hint("nothing was started"))?;
    }
    let launched = match &args.detached {
        None if args.detach => return detach::launch(inherited, out),
        None => None,
        Some(output) => {
            let launched = Launched::arrive(output.clone());
            Some(launched.map_err(|error| Failure::new(Kind::BeforeStart, error))?)
        }
    };
    let inside = match cluster::look(args, inherited)? {
        Comes::Supervises(inside) => inside,
        Comes::Ends => return Ok(Ending::Code(0)),
    };
    let own = inside.as_ref().map(|inside| inside.own(args));
    let args = own.as_ref().unwrap_or(args);
    // Before there is any thread that could take a signal.
    let signals =
        Signals::open(inherited).map_err(|error| Failure::new(Kind::BeforeStart, error))?;
    let settings = logged.settings(configured.config.log.clone());
    let log = log::start(&settings, acts_of(&configured.config));
    log.expect_run();
    let coming = Coming { launched, inside };
    let ended = supervise(args, &log, coming, signals, configured, inherited, look);
    log_failure(&ended);
    log.finish();
    match ended {
        // What it waits by is ended in the end, and nobody's job.
        Ok(_) if args.keeper => Ok(Ending::Code(0)),
        ended => ended,
    }
}

/// How this run came to be.
struct Coming {
    launched: Option<Launched>,
    /// Where in a cluster's job it is.
    inside: Option<Box<Inside>>,
}

/// From the configuration to the end of the job.
fn supervise(
    args: &RunArgs,
    log: &Log,
    Coming { launched, inside }: Coming,
    signals: Signals,
    configured: Configured,
    inherited: &Inherited,
    look: Look,
) -> Result<Ending, Failure> {
    let settled = Settled::by(configured.config.clone(), &configured.read, args.offline);
    let mut prepared = Task::Prepare.run(|| prepare::prepare(args, &settled.config))?;
    let recording = paper::options(args, &settled.config);
    let went_on = inside
        .as_ref()
        .and_then(|inside| inside.go_on(prepared.state.as_deref(), &recording));
    let mut args = args.clone();
    if let Some(GoesOn::After(run)) = &went_on {
        args.options.continues = Some(run.clone());
    }
    let args = &args;
    let claim = match (&args.continues, &prepared.state) {
        (Some(before), Some(state)) => Some(claim(state, before)?),
        _ => None,
    };
    prepared.ran_before = claim.as_ref().map_or(Duration::ZERO, |claim| claim.ran);
    let prepared = Arc::new(prepared);
    let passed_by = settled.passed_by.clone();
    let figures = settings::figures(args, &settled.config);
    let energy = settled.config.energy.clone();
    let to_serve = settings::serving(args, &settled.config.serve);
    let asking = prepare::Asking::of(args, &prepared);
    let sources = asking.sources(settled)?;
    let mut planned = settings::plan(args, &prepared, &figures, inherited)?;
    if let Some(why) = cluster::is_outside(args).filter(|_| planned.settings.may_pause) {
        planned.settings.may_pause = false;
        planned.notices.push(why);
    }
    if let Some(inside) = &inside {
        inside.put_in(&mut planned, settings::given_deadline(args, &prepared)?);
        planned.notices.extend(cluster::no_room(inside));
    }
    let speed = args.speed;
    let replay = prepared.replay.as_ref().map(|day| Replay {
        from: day.from,
        speed,
    });
    let clock = SystemClock::start(replay);
    let past = Past::of(inside.as_deref(), went_on);
    let clock = clock.going_on(past.began.map_or(Duration::ZERO, cluster::since));
    let begun = clock.now();
    planned.notices.extend(past.trouble.clone());

    let (arrivals_sender, arrivals) = mpsc::channel(64);
    let before = past.before();
    let noted_until = past.noted_until(replay.map(|day| day.from));
    let writer = Task::Record.run(|| {
        let start = paper::Start {
            begun,
            began: past.began.map(|began| match replay {
                Some(day) => (day.from, day.speed),
                None => (began, 1.0),
            }),
            inside: inside.as_deref(),
        };
        match past.record {
            Some((writer, ledger)) => {
                paper::record_return(&writer, &start, &ledger);
                Rc::new(writer)
            }
            None => {
                let writer = Rc::new(paper::open_ledger(prepared.state.clone(), recording));
                paper::record_begin(
                    &writer, &start, args, &prepared, &planned, &figures, &sources,
                );
                writer
            }
        }
    });
    if let Some(inside) = &inside {
        let began = past.began.unwrap_or_else(crate::clock::utc_now);
        inside.tell_run(prepared.state.as_deref(), writer.id(), began);
    }
    log.of_run(writer.id());
    info!(
        version = env!("CARGO_PKG_VERSION"),
        name = paper::name_of(args),
        zone = prepared.zone,
        policy = settings::policy_name(args),
        "the run begins"
    );
    let talk = Talk::start(look, shows_countdown(args));
    log.speak_by(talk.voice());
    let service = Service::of_environment(&talk);
    for line in passed_by.iter().chain(&planned.notices) {
        talk.say(line);
        info!("{line}");
        let text = line.clone();
        drop(writer.record(
            begun.utc,
            begun.elapsed,
            What::Warning { text },
            Sync::Later,
        ));
    }
    let setting = news_setting(args, &planned, writer.id());
    let about = paper::about(args, &prepared, &planned);
    let (mut serving, lines) =
        Serving::start(to_serve, about, writer.id(), args.pue, &arrivals_sender);
    for line in &lines {
        talk.say(line);
        if let Some(text) = line.strip_prefix("warning: ") {
            let text = text.to_owned();
            let what = What::Warning { text };
            drop(writer.record(begun.utc, begun.elapsed, what, Sync::Later));
        }
    }
    let existence = Existence::new(Waiting {
        launched,
        claim,
        state: prepared.state.clone(),
        run: writer.id(),
    });
    let person = Person::new(talk, setting, stderr_is_terminal(), existence.clone());
    let set = super::alerts::Set::of(&configured.config);
    let resilience = configured.config.resilience.clone();
    let anew = Task::Gather.run(|| {
        background::listen(writer.id(), arrivals_sender.clone());
        background::gather(sources, &prepared, arrivals_sender.clone(), serving.board())
    });
    let reload = reload::reload(Reloading {
        asking,
        configured,
        anew,
        arrivals: arrivals_sender.clone(),
        prepared: prepared.clone(),
        figures: figures.clone(),
        inherited: *inherited,
        command: args.command.clone(),
        attach: args.attach.clone(),
    });

    let machine = match before {
        Some(before) => Machine::going_on(planned.settings.clone(), begun, &before),
        None => Machine::new(planned.settings.clone(), begun),
    };
    let trouble = Trouble::default();
    let address = serving.address();
    let describe = || describer(args, &prepared, &writer, trouble.clone(), begun, address);
    let told = address.map(|_| describe());
    let watcher = serving.watcher(told, trouble.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::BeforeStart, error))?;
    let name = paper::name_of(args);
    let id = writer.id();
    let (alerts, lookout) = Alerts::start(alerts::Parts {
        settings: set.settings,
        keys: set.keys,
        resilience,
        is_offline: args.offline,
        name: name.clone(),
        zone: prepared.zone.clone(),
        replay: args.replay.is_some(),
        run: writer.id(),
        trouble: trouble.clone(),
        arrivals: arrivals_sender.clone(),
        board: serving.board(),
    });
    let keepers = (inside.as_ref())
        .and_then(|inside| inside.keepers(args, &name, clock.now().utc, inherited));
    if let Some(text) = keepers.as_ref().and_then(cluster::Keepers::trouble) {
        drop(arrivals_sender.try_send(Arrival::Trouble(text)));
    }
    let (hooks, still_running) = Hooks::new(args, name, id, inherited, arrivals_sender.clone());
    let (over, person, signals) = runtime.block_on(async {
        let look = Box::new(metering::look_for_others(args, &energy));
        let hands = Task::Drive.run(|| Hands::new(signals, args, inherited, look))?;
        let hands = match &inside {
            Some(inside) => {
                let nodes = inside.nodes(&writer.id());
                hands.in_cluster(nodes, inside.requeues(), inside.shown())
            }
            None => hands,
        };
        let mut person = person.telling(arrivals_sender);
        person.is_quiet = inside.as_ref().is_some_and(|inside| inside.is_follower());
        let mut driver = Driver {
            clock: &clock,
            executor: hands,
            recorder: Paper {
                writer: writer.clone(),
                trouble: trouble.clone(),
                existence: existence.clone(),
            },
            teller: person,
            meter: metering::meters(args, &energy, figures, clock),
            watchers: watchers(log, service, watcher, lookout),
            arrivals,
            describe: describe(),
            serve: serving.serve(),
            hook: hooks.into_hook(),
            reload,
            noted_until: noted_until.unwrap_or(begun.utc),
            patience: planned.patience,
        };
        let over = driver.run(machine).await;
        let Driver {
            executor, teller, ..
        } = driver;
        let signals = executor.finish().await;
        Ok::<_, Failure>((over, teller, signals))
    })?;
    runtime.shutdown_background();
    if let Some(keepers) = keepers {
        keepers.wait();
    }
    drop(serving);
    let closing = alerts.close();
    let mut failed_late = Task::AwaitHooks.run(|| still_running.wait(|| signals.ask_to_end()));
    failed_late.extend(closing.map(Closing::wait).unwrap_or_default());
    Task::TellLauncher.run(|| existence.settle(Task::TellLauncher.limit()));
    let talk = person.finish();
    for text in failed_late {
        warn!("{text}");
        talk.say(&format!("warning: {text}"));
    }
    let trouble = trouble.take();
    let now = clock.now();
    let ending = ending::finish(args, &prepared, over, now, writer, trouble, &talk);
    log_failure(&ending);
    Task::FallSilent.run(|| {
        // It may speak by the other.
        log.finish();
        talk.finish(Task::FallSilent.limit());
    });
    ending
}

/// What the run was before this process.
struct Past {
    /// When it began, where that was before.
    began: Option<Timestamp>,
    /// Its record, where that goes on.
    record: Option<(Writer, Ledger)>,
    /// Why it does not, in words.
    trouble: Option<String>,
}

impl Past {
    fn of(inside: Option<&Inside>, went_on: Option<GoesOn>) -> Self {
        let submitted_at = inside.and_then(Inside::submitted_at);
        let mut past = Self {
            began: submitted_at,
            record: None,
            trouble: None,
        };
        match went_on {
            Some(GoesOn::Here { record, began }) => {
                past.began = Some(began);
                past.record = Some(*record);
            }
            Some(GoesOn::Not(why)) => past.trouble = Some(format!("warning: {why}")),
            // What has waited before is in the record of the one before.
            Some(GoesOn::After(_)) => past.began = None,
            None => {}
        }
        past
    }

    /// Up to when the intensities of the run are recorded: those of the time away are noted as well.
    fn noted_until(&self, replayed: Option<Timestamp>) -> Option<Timestamp> {
        match &self.record {
            Some((_, ledger)) => ledger.entries.last().map(|entry| entry.at),
            None => self.began.map(|began| replayed.unwrap_or(began)),
        }
    }

    fn before(&self) -> Option<Before> {
        let (_, ledger) = self.record.as_ref()?;
        Some(cluster::before(ledger))
    }
}

/// Logs why the run has failed, if it has. Once the log has ended nobody hears it a second time.
fn log_failure(ended: &Result<Ending, Failure>) {
    if let Err(failure) = ended {
        error!(category = failure.category().as_str(), why = %failure, "the run has failed");
    }
}

/// The file for acts, unless nobody wants it.
fn acts_of(config: &Config) -> Option<PathBuf> {
    let state = crate::dirs::state().filter(|_| config.notes_acts)?;
    Some(log::audit::path(&state))
}

/// Those who look on.
fn watchers(
    log: &Log,
    service: Option<Service>,
    serving: Box<dyn Watcher>,
    alerts: Option<Box<dyn Watcher>>,
) -> Vec<Box<dyn Watcher>> {
    let mut watchers: Vec<Box<dyn Watcher>> = vec![Box::new(Journal::new(log.clone())), serving];
    if let Some(service) = service {
        watchers.push(Box::new(service));
    }
    watchers.extend(alerts);
    watchers
}

fn shows_countdown(args: &RunArgs) -> bool {
    match args.progress {
        ProgressWhen::Auto => stderr_is_terminal(),
        ProgressWhen::Always => true,
        ProgressWhen::Never => false,
    }
}

fn news_setting(args: &RunArgs, planned: &settings::Planned, run: RunId) -> Setting {
    let inside = |name: &str| std::env::var_os(name).is_some();
    let on_terminal = stderr_is_terminal() && !inside("TMUX") && !inside("STY");
    Setting {
        run: Box::new(move || run.within(prepare::PATIENCE)),
        zone: TimeZone::system,
        enter_starts: std::io::stdin().is_terminal() && stderr_is_terminal(),
        on_terminal: on_terminal && args.replay.is_none(),
        duration: planned.settings.duration.map(|expected| expected.duration),
        deadline: planned.settings.deadline,
        earned: planned.earned,
        now_policy: planned.settings.policy == crate::plan::Policy::Now,
    }
}

fn describer(
    args: &RunArgs,
    prepared: &Prepared,
    writer: &Writer,
    trouble: Trouble,
    begun: Moment,
    address: Option<SocketAddr>,
) -> Describe {
    let (run, name) = (writer.id(), paper::name_of(args));
    let zone = prepared.zone.clone();
    let replay = args.replay.is_some();
    Box::new(move |view, now| {
        let mut value = super::status::describe(view, now, &run.within(Duration::ZERO), &name);
        value["zone"] = zone.clone().into();
        value["replay"] = replay.into();
        value["started_at"] = begun.utc.to_string().into();
        value["listen"] = address.map(|address| address.to_string()).into();
        value["ledger_trouble"] = trouble.borrow().clone().into();
        value
    })
}
