//! `catrain run`: from what was typed to a supervised job, and its end.

mod background;
mod detach;
mod ending;
mod existence;
mod hands;
mod hooks;
pub(in crate::command) mod memory;
mod metering;
mod paper;
mod person;
mod prepare;
mod reload;
mod serving;
mod settings;
mod typed;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::configured::Configured;
use super::resume_run::claim;
use super::sources::Settled;
use crate::cli::{ProgressWhen, RunArgs};
use crate::clock::{Clock, Moment, Replay, SystemClock};
use crate::error::{Failure, Kind};
use crate::executor::Inherited;
use crate::executor::signals::Signals;
use crate::executor::spawn::look_up;
use crate::ledger::entry::What;
use crate::ledger::{RunId, Sync, Writer};
use crate::supervise::machine::Machine;
use crate::supervise::news::Setting;
use crate::supervise::{Describe, Driver};
use crate::talk::{Talk, stderr_is_terminal};
use crate::words::Look;
use detach::Launched;
pub(super) use detach::output;
use existence::{Existence, Waiting};
use hands::Hands;
use hooks::Hooks;
use paper::{Paper, Trouble};
use person::Person;
use prepare::Prepared;
use reload::Reloading;
use serving::Serving;

/// How `catrain run` ends: as the job did.
#[derive(Debug)]
pub enum Ending {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, and failures before the job starts. Once it runs, its end is the answer.
pub fn run(
    args: &RunArgs,
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
    // Before there is any thread that could take a signal.
    let signals =
        Signals::open(inherited).map_err(|error| Failure::new(Kind::BeforeStart, error))?;
    let settled = Settled::by(configured.config.clone(), &configured.read, args.offline);
    let mut prepared = prepare::prepare(args, &settled.config)?;
    let claim = match (&args.continues, &prepared.state) {
        (Some(before), Some(state)) => Some(claim(state, before)?),
        _ => None,
    };
    prepared.ran_before = claim.as_ref().map_or(Duration::ZERO, |claim| claim.ran);
    let prepared = Arc::new(prepared);
    let passed_by = settled.passed_by.clone();
    let figures = settings::figures(args, &settled.config);
    let recording = paper::options(args, &settled.config);
    let energy = settled.config.energy.clone();
    let to_serve = settings::serving(args, &settled.config.serve);
    let asking = prepare::Asking::of(args, &prepared);
    let sources = asking.sources(settled)?;
    let planned = settings::plan(args, &prepared, &figures, inherited)?;
    let speed = args.speed;
    let replay = prepared.replay.as_ref().map(|day| Replay {
        from: day.from,
        speed,
    });
    let clock = SystemClock::start(replay);
    let begun = clock.now();

    let (arrivals_sender, arrivals) = mpsc::channel(64);
    let writer = Rc::new(paper::open_ledger(prepared.state.clone(), recording));
    paper::record_begin(
        &writer, begun, args, &prepared, &planned, &figures, &sources,
    );
    let talk = Talk::start(look, shows_countdown(args));
    for line in passed_by.iter().chain(&planned.notices) {
        talk.say(line);
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
    let anew = background::gather(sources, &prepared, arrivals_sender.clone(), serving.board());
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
        listeners: Vec::new(),
    });
    background::listen(writer.id(), arrivals_sender.clone());

    let machine = Machine::new(planned.settings.clone(), begun);
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
    let (hooks, still_running) = Hooks::new(args, name, id, inherited, arrivals_sender.clone());
    let (over, person) = runtime.block_on(async {
        let look = Box::new(metering::look_for_others(args, &energy));
        let hands = Hands::new(signals, args, inherited, look)?;
        let person = person.telling(arrivals_sender);
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
            watchers: vec![watcher],
            arrivals,
            describe: describe(),
            serve: serving.serve(),
            hook: hooks.into_hook(),
            reload,
            patience: planned.patience,
        };
        let over = driver.run(machine).await;
        let Driver {
            executor, teller, ..
        } = driver;
        executor.finish().await;
        Ok::<_, Failure>((over, teller))
    })?;
    runtime.shutdown_background();
    drop(serving);
    let failed_late = still_running.wait();
    existence.settle(ending::END_PATIENCE);
    let talk = person.finish();
    for text in failed_late {
        talk.say(&format!("warning: {text}"));
    }
    let trouble = trouble.take();
    ending::finish(args, &prepared, over, clock.now(), writer, trouble, talk)
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
