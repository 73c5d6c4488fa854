//! The user's commands on pause, resume and end: run beside the job, never in its way.
//!
//! Each runs by `sh -c` in a process group and a thread of its own, with the facts in its
//! environment and half a minute to end; then its group is killed. What it writes goes to standard
//! error, since standard output is the job's.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::mpsc::Sender;

use super::hidden;
use crate::cli::RunArgs;
use crate::clock::{Moment, monotonic};
use crate::executor::{Inherited, spawn};
use crate::ledger::RunId;
use crate::ledger::entry::Exit;
use crate::ledger::redact::redact_text;
use crate::patience::within;
use crate::report::text::harmless;
use crate::supervise::machine::{Occasion, Phase};
use crate::supervise::{Arrival, Hook, View};
use crate::words;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one that was killed may take to be gone.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// How often it is looked whether the end of the run is in haste.
const LOOK: Duration = Duration::from_millis(100);
/// The run's id is waited for no longer than this, by the command's own thread.
const ID_PATIENCE: Duration = Duration::from_secs(1);

/// The commands of a run.
pub(super) struct Hooks {
    pause: Option<String>,
    resume: Option<String>,
    end: Option<String>,
    name: String,
    run: RunId,
    inherited: Inherited,
    /// Where it is told that one failed.
    arrivals: Sender<Arrival>,
    /// Whether nobody listens there any more.
    is_over: Arc<AtomicBool>,
    /// Told by each that has ended what nobody has heard of it, and closed by the last.
    done: mpsc::Sender<Option<String>>,
}

/// Those that may still run.
pub(super) struct StillRunning(mpsc::Receiver<Option<String>>);

impl StillRunning {
    /// Waits until all have ended, each within its own limit, or until there is no time for it any
    /// more; what went wrong with them after the run was over, in words.
    pub(super) fn wait(self, is_in_haste: impl Fn() -> bool) -> Vec<String> {
        let give_up = monotonic() + patience() + LAST_BREATH;
        let mut told = Vec::new();
        loop {
            match self.0.recv_timeout(LOOK) {
                Ok(unheard) => told.extend(unheard),
                Err(RecvTimeoutError::Disconnected) => return told,
                Err(RecvTimeoutError::Timeout) if is_in_haste() => {
                    told.push("a command of yours still runs, and is not waited for".to_owned());
                    return told;
                }
                Err(RecvTimeoutError::Timeout) if monotonic() >= give_up => return told,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// How long a command may take; in tests what they ask for, so that they need not wait for long.
fn patience() -> Duration {
    #[cfg(feature = "fault-points")]
    if let Some(asked) = std::env::var("CATRAIN_TEST_HOOK_MS")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return Duration::from_millis(asked);
    }
    PATIENCE
}

impl Hooks {
    pub(super) fn new(
        args: &RunArgs,
        name: String,
        run: RunId,
        inherited: &Inherited,
        arrivals: Sender<Arrival>,
    ) -> (Self, StillRunning) {
        let (done, still_running) = mpsc::channel();
        let hooks = Self {
            pause: args.on_pause.clone(),
            resume: args.on_resume.clone(),
            end: args.on_end.clone(),
            name,
            run,
            inherited: *inherited,
            arrivals,
            is_over: Arc::default(),
            done,
        };
        (hooks, StillRunning(still_running))
    }

    /// As the driver calls it.
    pub(super) fn into_hook(self) -> Hook {
        Box::new(move |now, occasion, view| self.run(now, occasion, view))
    }

    fn run(&self, now: Moment, occasion: Occasion, view: &View<'_>) {
        if occasion == Occasion::End {
            self.is_over.store(true, Ordering::Relaxed);
        }
        let (flag, command) = match occasion {
            Occasion::Pause => ("--on-pause", &self.pause),
            Occasion::Resume => ("--on-resume", &self.resume),
            Occasion::End => ("--on-end", &self.end),
        };
        let Some(command) = command.clone() else {
            return;
        };
        let facts = facts(now, occasion, view, &self.name);
        let (run, inherited) = (self.run.clone(), self.inherited);
        let (arrivals, done) = (self.arrivals.clone(), self.done.clone());
        let is_over = self.is_over.clone();
        let body = move || {
            let id = run.within(ID_PATIENCE);
            let failed = carry_out(&command, &facts, &id, &inherited)
                .map(|what| format!("{flag} {what}: {}", harmless(&redact_text(&command))));
            // The run is not waited for; once it is over, it is who waits.
            let unheard = failed.filter(|text| {
                let trouble = Arrival::Trouble(text.clone());
                is_over.load(Ordering::Relaxed) || arrivals.try_send(trouble).is_err()
            });
            let _ = done.send(unheard);
        };
        let thread = std::thread::Builder::new().name("hook".to_owned());
        if thread.spawn(body).is_err() {
            let text = format!("{flag} was not run: there is no thread for it");
            drop(self.arrivals.try_send(Arrival::Trouble(text)));
        }
    }
}

/// Runs it; what went wrong, in words.
fn carry_out(
    command: &str,
    facts: &[(&str, String)],
    run: &str,
    inherited: &Inherited,
) -> Option<String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null());
    for name in hidden::variables() {
        shell.env_remove(name);
    }
    shell.env("CATRAIN_RUN", run);
    shell.envs(facts.iter().map(|(name, value)| (name, value)));
    // Closed in whatever it starts, or that would hold the pipe open for whoever reads it.
    match std::io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => shell.stdout(Stdio::from(stderr)),
        Err(_) => shell.stdout(Stdio::null()),
    };
    spawn::as_helper(&mut shell, inherited);
    let mut child = match shell.spawn() {
        Ok(child) => child,
        Err(error) => return Some(format!("could not be run ({error})")),
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    let limit = patience();
    let ended = within(limit, move || {
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    });
    let is_late = ended.is_err();
    if is_late {
        // It was not reaped yet, so that the group's number is nobody else's.
        let _ = killpg(pid, Signal::SIGKILL);
    }
    match child.wait() {
        _ if is_late => {
            let limit = words::duration(limit);
            Some(format!("took longer than {limit} and was killed"))
        }
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("failed ({status})")),
        Err(error) => Some(format!("could not be waited for ({error})")),
    }
}

/// What a command is told.
fn facts(
    now: Moment,
    occasion: Occasion,
    view: &View<'_>,
    name: &str,
) -> Vec<(&'static str, String)> {
    let machine = view.machine;
    let decision = machine.decision();
    let event = match occasion {
        Occasion::Pause => "pause",
        Occasion::Resume => "resume",
        Occasion::End => "end",
    };
    let causes = machine.holds().causes();
    let causes: Vec<&str> = causes.iter().map(|cause| cause.word()).collect();
    let mut facts = vec![
        ("CATRAIN_EVENT", event.to_owned()),
        ("CATRAIN_NAME", name.to_owned()),
        ("CATRAIN_TIME", now.utc.to_string()),
        ("CATRAIN_HOLDS", causes.join(",")),
        ("CATRAIN_ATTEMPT", machine.attempt().to_string()),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("CATRAIN_PID", view.pid.map(|pid| pid.to_string()));
    if occasion != Occasion::End && machine.holds().operator {
        add("CATRAIN_REASON", Some("by hand".to_owned()));
    } else if occasion != Occasion::End {
        let reason = decision.map(|decision| {
            let zone = jiff::tz::TimeZone::UTC;
            decision.reason.words(decision.until, now.utc, &zone)
        });
        add("CATRAIN_REASON", reason);
        let until = decision.and_then(|decision| decision.until);
        add("CATRAIN_UNTIL", until.map(|until| until.to_string()));
    }
    let outlook = machine.outlook();
    let intensity = outlook.and_then(|outlook| outlook.expected.at(now.utc));
    add(
        "CATRAIN_INTENSITY_G_PER_KWH",
        intensity.map(|it| format!("{:.1}", it.0)),
    );
    if let Phase::Ended(Some(exit)) = machine.phase() {
        add(
            "CATRAIN_EXIT",
            Some(match exit {
                Exit::Code(code) => code.to_string(),
                Exit::Signal(signal) => format!("SIG{}", words::signal(signal)),
            }),
        );
    }
    facts
}
