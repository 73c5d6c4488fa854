//! The operating system's side of a run, for the driver: the job, its guard and the signals as one
//! stream of happenings.

pub(super) mod nodes;
mod output;
mod requeue;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal as Number;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use self::nodes::{Nodes, Then};
use self::output::Output;
use super::{hidden, settings};
use crate::cli::{Attach, RunArgs};
use crate::error::{Failure, Kind};
use crate::executor::freezer::{Cell, Freezer};
use crate::executor::readiness::Readiness;
use crate::executor::signals::{Caught, Sender, Signals, stop_self};
use crate::executor::spawn::{Command, Inherited, Terminal, spawn, spawn_in};
use crate::executor::watchdog::usual_lease;
use crate::executor::{Ended, Guard, GuardEvent, Job, Lease, PauseStep, Pausing, To};
use crate::listen::Heard;
use crate::presets::Recipient;
use crate::slurm::lease::Order;
use crate::supervise::machine::{Meaning, PauseWith, Signal};
use crate::supervise::{Arrival, Executor, Happening, StartError, Usage};

/// How long a signal from a process waits for the guard to say that it got it as well: then it was
/// sent to everyone, and the job has it already.
const WITNESS: Duration = Duration::from_millis(50);
/// After that the guard is asked, since on a busy machine it may not have had a turn yet; it has so
/// long to answer.
const WITNESS_ANSWERS: Duration = Duration::from_millis(450);
/// What the guard got first belongs to what we get within this time: whoever sends to everyone takes
/// a while to reach us, and nobody sends to the guard alone.
const WITNESSED: Duration = Duration::from_secs(1);
/// A hang-up is told by the shell and by the kernel; within this time both mean the same one.
const HANG_UP: Duration = Duration::from_secs(5);
/// A job that is over sooner needs no guard, and does not wait for one to start. In a job of Slurm's it has
/// one at once: there all are signalled at any time, and only the guard tells that they were.
const BEFORE_FIRST_GUARD: Duration = Duration::from_millis(20);
/// How often it is looked whether somebody outlives the leader.
const LINGER_LOOK: Duration = Duration::from_millis(200);
/// A process that would die of being asked to save may still be starting: it has so long to set its
/// handler, and is looked at so often.
const PREPARES: Duration = Duration::from_secs(10);
const PREPARES_LOOK: Duration = Duration::from_millis(100);
/// A guard that could not be started is tried again after this long.
const GUARD_AGAIN: Duration = Duration::from_secs(30);

/// The job, its guard and the signals.
pub(super) struct Hands {
    argv: Vec<OsString>,
    /// What runs already, in place of a command to start.
    attach: Option<Attach>,
    /// What is added to it when the job is started again.
    resume_args: Vec<OsString>,
    /// How the job is asked to save, and who of it.
    checkpoint: (i32, To),
    /// It is asked once it is known what was there before.
    is_to_save: bool,
    /// Somebody would die of being asked: when to look again, and when for the last time.
    unprepared: Option<(Instant, Instant)>,
    /// Whether it is to be frozen rather than stopped.
    freezes: bool,
    /// When to look again whether somebody outlives the leader, once it has ended.
    lingers: Option<Instant>,
    /// What earlier starts of it have used.
    used_before: Duration,
    /// What is heard of it.
    output: Output,
    /// Who looks at the devices, and where the answer comes.
    look: Arc<Look>,
    devices: (mpsc::Sender<Option<String>>, mpsc::Receiver<Option<String>>),
    /// Whether a cluster may stop and continue all of it.
    is_in_cluster: bool,
    /// Whether a pause that is over by somebody else's word is being made again.
    is_again: bool,
    /// The other nodes of the job.
    nodes: Nodes,
    /// The number of the cluster's job, where it may be put back into the queue.
    requeues: Option<u64>,
    given_back: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    /// Variables of ours that the job is not to see.
    hidden: Vec<OsString>,
    /// Those that it is to see on top.
    shown: Vec<(OsString, OsString)>,
    terminal: Terminal,
    inherited: Inherited,
    signals: Signals,
    signals_arrive: Readiness,
    job: Option<Job>,
    guard: Option<Guarding>,
    guard_again: Option<Instant>,
    has_asked_for_guard: bool,
    pausing: Option<(Pausing, Instant)>,
    /// Signals that wait for the guard's word.
    waiting: Vec<Waiting>,
    /// What the guard got lately, and until when ours is taken for the same.
    witnessed: Vec<(i32, Instant)>,
    /// The last hang-up that left no terminal, and who told of it.
    hang_up: Option<(bool, Instant)>,
    happened: VecDeque<Happening>,
}

/// Whether the cluster took the job back; why not, in words.
type Answer = Result<(), String>;

/// Tells who else uses the devices.
struct Look(Box<dyn Fn() -> Option<String> + Send + Sync>);

/// A signal from a process, which may have been sent to everyone.
struct Waiting {
    caught: Caught,
    until: Instant,
    /// What the guard was asked, once it was.
    question: Option<u64>,
}

struct Guarding {
    guard: Guard,
    events: Readiness,
    is_announced: bool,
    is_lost: bool,
}

impl Hands {
    /// Reads the signals from now on. To be called within the runtime.
    pub(super) fn new(
        signals: Signals,
        args: &RunArgs,
        inherited: &Inherited,
        look: Box<dyn Fn() -> Option<String> + Send + Sync>,
    ) -> Result<Self, Failure> {
        let output = Output::new(args)?;
        let signals_arrive =
            Readiness::of(&signals).map_err(|error| Failure::new(Kind::BeforeStart, error))?;
        let mut hands = Self {
            argv: args.command.clone(),
            attach: args.attach.clone(),
            resume_args: resume_args(args),
            checkpoint: (
                settings::checkpoint_signal(args),
                to(settings::recipient(args)),
            ),
            hidden: hidden::variables(),
            is_to_save: false,
            unprepared: None,
            freezes: settings::pause_with(args) == PauseWith::Freeze,
            lingers: None,
            used_before: Duration::ZERO,
            output,
            look: Arc::new(Look(look)),
            devices: mpsc::channel(1),
            is_in_cluster: false,
            is_again: false,
            nodes: Nodes::Alone,
            requeues: None,
            given_back: mpsc::channel(1),
            shown: Vec::new(),
            terminal: if args.tty {
                Terminal::Given
            } else {
                Terminal::Lent
            },
            inherited: *inherited,
            signals,
            signals_arrive,
            job: None,
            guard: None,
            guard_again: None,
            has_asked_for_guard: false,
            pausing: None,
            waiting: Vec::new(),
            witnessed: Vec::new(),
            hang_up: None,
            happened: VecDeque::new(),
        };
        // Those that came while the run was set up come before everything else.
        hands.signals_arrived();
        Ok(hands)
    }

    /// The job is one of a cluster's: with other nodes, perhaps, a number to put it back into the queue by,
    /// and variables for it.
    pub(super) fn in_cluster(
        self,
        nodes: Nodes,
        requeues: Option<u64>,
        shown: Vec<(OsString, OsString)>,
    ) -> Self {
        Self {
            is_in_cluster: true,
            nodes,
            requeues,
            shown,
            ..self
        }
    }

    /// Lets the guard go: the job has ended, or will not start. What it wrote last is waited for, for a
    /// moment. Gives the signals back.
    pub(super) async fn finish(mut self) -> Signals {
        self.nodes.over();
        self.output.drain().await;
        if let Some(guarding) = self.guard {
            guarding.guard.farewell();
        }
        self.nodes.close();
        self.signals
    }

    fn signals_arrived(&mut self) {
        for caught in self.signals.read() {
            match Number::try_from(caught.signal) {
                Ok(Number::SIGCHLD) => self.child_changed(),
                // A job that has the terminal got the key as well and stops, or not: see below.
                Ok(Number::SIGTSTP) if self.has_given_terminal() => {}
                // A cluster that suspends a job says this first and STOP right after, to all of it, and CONT
                // in the end: who stops of his own accord might do so after that.
                Ok(Number::SIGTSTP) if self.is_in_cluster => {}
                Ok(Number::SIGTSTP) => self.happened.push_back(Happening::TerminalStop),
                Ok(Number::SIGCONT) => self.was_continued(),
                Err(_) => {}
                Ok(_) => self.take(caught),
            }
        }
    }

    /// A cluster that lets a job go on after it was suspended continues whom we hold as well.
    fn was_continued(&mut self) {
        let (Some(job), Some(guarding)) = (&mut self.job, &mut self.guard) else {
            return;
        };
        if self.is_in_cluster && self.pausing.is_none() && job.is_held() {
            self.is_again = true;
            let pausing = job.begin_pause(&mut guarding.guard);
            self.pausing = Some((pausing, Instant::now()));
            self.step();
        }
    }

    fn child_changed(&mut self) {
        let Some(job) = &mut self.job else {
            return;
        };
        job.reap_adopted();
        if self.lingers.is_some() {
            self.look_whether_all_are_gone();
        } else if let Some(ended) = job.try_end() {
            let left = u32::try_from(job.leftovers().len()).unwrap_or(u32::MAX);
            self.lingers = Some(Instant::now() + LINGER_LOOK);
            let exit = match ended {
                Ended::As(exit) => Some(exit),
                Ended::Unknown => None,
            };
            self.happened.push_back(Happening::Ended { exit, left });
        } else if self.terminal == Terminal::Given && job.was_stopped() {
            // The shell looks at us alone: it gets its terminal back when we stop as well.
            self.happened.push_back(Happening::TerminalStop);
        }
    }

    fn has_given_terminal(&self) -> bool {
        self.terminal == Terminal::Given && self.job.is_some()
    }

    /// Passes a signal on, at once or when it is known whether the guard got it as well. A terminal's
    /// goes to its foreground group, which the guard is never in.
    fn take(&mut self, caught: Caught) {
        let now = Instant::now();
        self.witnessed.retain(|(_, until)| *until > now);
        let from_process = matches!(caught.sender, Sender::Process { .. });
        if !from_process || self.job.is_none() || self.guard.is_none() {
            return self.pass_on(caught, false);
        }
        let mut witnessed = self.witnessed.iter_mut();
        match witnessed.find(|(signal, _)| *signal == caught.signal) {
            Some((_, until)) => {
                *until = (*until).min(now + WITNESS);
                self.pass_on(caught, true);
            }
            None => self.waiting.push(Waiting {
                caught,
                until: now + WITNESS,
                question: None,
            }),
        }
    }

    fn pass_on(&mut self, caught: Caught, to_everyone: bool) {
        let Ok(number) = Number::try_from(caught.signal) else {
            return;
        };
        let meaning = match number {
            Number::SIGINT => Meaning::Interrupt,
            Number::SIGTERM => Meaning::Terminate,
            Number::SIGHUP => Meaning::HangUp,
            Number::SIGQUIT => Meaning::Quit,
            Number::SIGWINCH => Meaning::Resize,
            _ => Meaning::User,
        };
        let from_terminal = caught.sender == Sender::Kernel;
        if number == Number::SIGHUP && self.is_same_hang_up(from_terminal) {
            return;
        }
        let from = match caught.sender {
            Sender::Kernel => "terminal".to_owned(),
            Sender::Process { pid, .. } => format!("pid {pid}"),
        };
        let signal = Signal {
            number: caught.signal,
            from_terminal,
            // A job that has the terminal is in our group and got the key as well.
            to_everyone: to_everyone
                || (self.terminal == Terminal::Given && reached_group(number, caught.sender)),
            meaning,
            has_terminal: terminal_is_left(),
        };
        let name = number.as_str().trim_start_matches("SIG").to_owned();
        self.happened
            .push_back(Happening::Signal { signal, name, from });
    }

    /// The shell passes a hang-up on to its jobs, and once it is gone the kernel tells them too.
    fn is_same_hang_up(&mut self, from_terminal: bool) -> bool {
        let now = Instant::now();
        self.waiting
            .retain(|waiting| waiting.caught.signal != Number::SIGHUP as i32);
        if terminal_is_left() {
            return false;
        }
        let before = self.hang_up.replace((from_terminal, now));
        before.is_some_and(|(by_terminal, at)| by_terminal != from_terminal && now < at + HANG_UP)
    }

    fn guard_told(&mut self) {
        let Some(guarding) = &mut self.guard else {
            return;
        };
        let events = match guarding.guard.read() {
            Ok(events) => events,
            Err(_) if guarding.is_lost => return,
            Err(_) => {
                guarding.is_lost = true;
                self.happened.push_back(Happening::GuardLost);
                return;
            }
        };
        for event in events {
            match event {
                GuardEvent::Answered => {}
                GuardEvent::Released => self.happened.push_back(Happening::GuardReleased),
                GuardEvent::SawSignal(signal) => {
                    let all: Vec<Waiting> = (self.waiting)
                        .extract_if(.., |waiting| waiting.caught.signal == signal)
                        .collect();
                    // Two that come close together are one to whom has not had a turn between them: what it
                    // got once we may have got twice, and more of it may be on its way to us.
                    let lasts = match all.is_empty() {
                        true => WITNESSED,
                        false => WITNESS,
                    };
                    self.witnessed.push((signal, Instant::now() + lasts));
                    for waiting in all {
                        self.pass_on(waiting.caught, true);
                    }
                }
            }
        }
        if let Some(guarding) = &self.guard {
            // It tells what it got before it answers.
            let answered: Vec<Waiting> = (self.waiting)
                .extract_if(.., |waiting| {
                    let question = waiting.question;
                    question.is_some_and(|question| guarding.guard.has_answered(question))
                })
                .collect();
            for waiting in answered {
                self.pass_on(waiting.caught, false);
            }
        }
        if let Some(guarding) = &mut self.guard
            && !guarding.is_announced
            && guarding.guard.is_ready()
            && self.nodes.may_stop()
        {
            guarding.is_announced = true;
            self.happened.push_back(Happening::GuardReady);
        }
    }

    fn step(&mut self) {
        let (Some(job), Some(guarding)) = (&mut self.job, &mut self.guard) else {
            return;
        };
        let Some((mut pausing, _)) = self.pausing.take() else {
            return;
        };
        match job.step(&mut pausing, &mut guarding.guard) {
            PauseStep::Again(after) => self.pausing = Some((pausing, Instant::now() + after)),
            PauseStep::Stopped {
                processes,
                stopping,
                took,
                fallback,
            } => {
                let fallback = fallback.map(|why| format!("not frozen but stopped: {why}"));
                let notes = stopping.iter().map(|process| {
                    format!(
                        "process {} `{}` waits in the kernel; it stops before it runs again",
                        process.id.pid,
                        process.name.escape_debug()
                    )
                });
                let notes = notes.chain(fallback).collect();
                self.output.sleep();
                if std::mem::take(&mut self.is_again) {
                    return self.guard_told();
                }
                let paused = Happening::Paused {
                    processes,
                    took,
                    notes,
                };
                self.happened.extend(self.nodes.stopped(paused));
            }
            PauseStep::Refused(_) if std::mem::take(&mut self.is_again) => {
                self.happened.push_back(Happening::GuardReleased);
            }
            PauseStep::Refused(refusal) => {
                let why = refusal.to_string();
                self.nodes.refused(&why);
                self.happened.push_back(Happening::PauseRefused(why));
            }
        }
        self.guard_told();
    }

    /// Tells once that nobody is left of a job whose leader has ended.
    fn look_whether_all_are_gone(&mut self) {
        let Some(job) = &mut self.job else {
            self.lingers = None;
            return;
        };
        if job.leftovers().is_empty() {
            self.lingers = None;
            self.happened.push_back(Happening::AllGone);
        } else {
            self.lingers = Some(Instant::now() + LINGER_LOOK);
        }
    }

    /// A place for the job that can be frozen, where that was asked for and is possible.
    fn cell(&mut self) -> Option<Cell> {
        if !self.freezes {
            return None;
        }
        let guard = self.guard.as_mut().map(|guarding| &mut guarding.guard);
        let made = Freezer::find(Path::new("/")).and_then(|freezer| Cell::make(&freezer, guard));
        made.map_err(|why| {
            let text = not_frozen(&why.in_words());
            self.happened.push_back(Happening::Trouble(text));
        })
        .ok()
    }

    /// Takes a process that runs already as the job; says what that means for pauses.
    fn attach_to(&mut self, attach: &Attach) -> Result<i32, StartError> {
        let mut job = Job::attach(attach.pid, attach.force).map_err(|error| StartError {
            kind: Kind::Failed,
            what: error.to_string(),
        })?;
        // Nothing of its output goes through us: there is nothing to prepare for it.
        let (_, trouble) = self.output.prepare();
        self.happened.extend(trouble.map(Happening::Trouble));
        let mut is_frozen = false;
        if self.freezes {
            let enclosed = self.enclose(&mut job);
            is_frozen = enclosed.is_ok();
            self.happened.extend(enclosed.err().map(Happening::Trouble));
        }
        if let Some(why) = job.objection_in_words().filter(|_| !is_frozen) {
            let text = format!("it will not be paused: {why}");
            self.happened.push_back(Happening::Trouble(text));
        }
        let pid = job.leader().pid;
        self.job = Some(job);
        Ok(pid)
    }

    /// Moves a job that runs already to where it can be frozen; why not, in words.
    fn enclose(&mut self, job: &mut Job) -> Result<(), String> {
        let guarding = match &mut self.guard {
            Some(guarding) => guarding,
            None => {
                let started = self.try_start_guard();
                let started = started.map_err(|error| not_frozen(&error.to_string()))?;
                self.has_asked_for_guard = true;
                self.guard.insert(started)
            }
        };
        let enclosed = Freezer::find(Path::new("/"))
            .and_then(|freezer| job.enclose(&freezer, &mut guarding.guard));
        enclosed
            .map(drop)
            .map_err(|why| not_frozen(&why.in_words()))
    }

    /// Sends the signal on which the job saves.
    fn ask_to_save(&mut self) {
        let (signal, to) = self.checkpoint;
        let Some(job) = self.job.as_mut() else { return };
        if !std::mem::take(&mut self.is_to_save) {
            return;
        }
        // A program that has not set its handler yet, or never does, is not to die of being asked.
        let Some(unprepared) = job.unprepared_for(signal, to).into_iter().next() else {
            self.unprepared = None;
            job.relay(signal, to);
            return;
        };
        let now = Instant::now();
        let (_, last) = self.unprepared.unwrap_or((now, now + PREPARES));
        if now < last {
            self.is_to_save = true;
            self.unprepared = Some((now + PREPARES_LOOK, last));
            return;
        }
        self.unprepared = None;
        self.output.forget_proof();
        let why = format!(
            "process {} `{}` does not handle {} and would end by it, so the job was not asked to save",
            unprepared.id.pid,
            unprepared.name.escape_debug(),
            crate::words::signal(signal)
        );
        self.happened.push_back(Happening::NotAsked(why));
    }

    fn heard(&mut self, heard: Heard) {
        self.happened.push_back(match heard {
            Heard::SnapshotTaken => return self.ask_to_save(),
            Heard::Progress(reading) => Happening::Progress(reading),
            Heard::Proved { how } => Happening::Saved(how),
            Heard::Trouble(text) => Happening::Trouble(text),
        });
    }

    /// Something was heard of the other nodes, or is due.
    fn of_nodes(&mut self, then: Vec<Then>) {
        for then in then {
            match then {
                Then::Happened(happening) => self.happened.push_back(happening),
                Then::NotAll(why) => {
                    self.resume();
                    self.happened.push_back(Happening::PauseRefused(why));
                }
                Then::Save => {
                    self.is_to_save = true;
                    self.unprepared = None;
                    self.ask_to_save();
                }
                Then::Over => self.ask_to_end(libc::SIGTERM),
            }
        }
    }

    /// When something is due that no descriptor tells.
    fn due(&self) -> Option<Instant> {
        let step = self.pausing.as_ref().map(|(_, at)| *at);
        let witness = self.waiting.iter().map(|waiting| waiting.until).min();
        let prepares = self.unprepared.map(|(at, _)| at);
        let nodes = self.nodes.due();
        [
            step,
            witness,
            self.guard_again,
            self.lingers,
            prepares,
            nodes,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.pausing.as_ref().is_some_and(|(_, at)| *at <= now) {
            self.step();
        }
        let over: Vec<Waiting> =
            (self.waiting.extract_if(.., |waiting| waiting.until <= now)).collect();
        for waiting in over {
            match &mut self.guard {
                Some(guarding) if waiting.question.is_none() && !guarding.is_lost => {
                    self.waiting.push(Waiting {
                        until: now + WITNESS_ANSWERS,
                        question: Some(guarding.guard.ask()),
                        ..waiting
                    });
                }
                _ => self.pass_on(waiting.caught, false),
            }
        }
        if self.guard_again.is_some_and(|at| at <= now) {
            self.start_guard();
        }
        if self.lingers.is_some_and(|at| at <= now) {
            self.look_whether_all_are_gone();
        }
        if self.unprepared.is_some_and(|(at, _)| at <= now) {
            self.ask_to_save();
        }
        if self.nodes.due().is_some_and(|at| at <= now) {
            let then = self.nodes.do_what_is_due(now);
            self.of_nodes(then);
        }
    }

    fn try_start_guard(&mut self) -> io::Result<Guarding> {
        let mut guard = Guard::start()?;
        if let Some(job) = &self.job {
            // A guard that is lost already shows in its events.
            let _ = job.introduce(&mut guard);
        }
        let _ = guard.lease(usual_lease());
        let events = Readiness::of(&guard.events_fd()?)?;
        Ok(Guarding {
            guard,
            events,
            is_announced: false,
            is_lost: false,
        })
    }
}

impl Executor for Hands {
    fn start(&mut self, attempt: u32) -> Result<i32, StartError> {
        if let Some(attach) = self.attach.clone() {
            return self.attach_to(&attach);
        }
        let mut argv = self.argv.clone();
        if attempt > 1 {
            argv.extend(self.resume_args.iter().cloned());
        }
        // Before anything went wrong it is given what it would have had without us.
        let mut shown = self.shown.clone();
        shown.extend((attempt > 1).then(|| {
            let number = attempt.to_string().into();
            (OsString::from("CATRAIN_ATTEMPT"), number)
        }));
        let cell = self.cell();
        let (given, trouble) = self.output.prepare();
        self.happened.extend(trouble.map(Happening::Trouble));
        let command = Command {
            argv: &argv,
            terminal: self.terminal,
            env_remove: &self.hidden,
            env: &shown,
            stdout: given.stdout(),
            stderr: given.stderr(),
        };
        let started = match cell {
            Some(cell) => spawn_in(cell, &command, &self.inherited),
            None => spawn(&command, &self.inherited),
        };
        drop(given);
        self.output.started();
        self.nodes.runs();
        match started {
            Ok(job) => {
                if let Some(why) = job.outside() {
                    let text = not_frozen(&why.in_words());
                    self.happened.push_back(Happening::Trouble(text));
                }
                let pid = job.leader().pid;
                self.lingers = None;
                if let Some(mut before) = self.job.take() {
                    self.used_before += before.cpu_time();
                }
                self.job = Some(job);
                Ok(pid)
            }
            Err(error) => Err(StartError {
                kind: error.kind(),
                what: error.to_string(),
            }),
        }
    }

    fn pause(&mut self) {
        let (Some(job), Some(guarding)) = (&mut self.job, &mut self.guard) else {
            let why = "there is no guard".to_owned();
            self.nodes.refused(&why);
            self.happened.push_back(Happening::PauseRefused(why));
            return;
        };
        if let Some(why) = self.nodes.objection() {
            self.happened.push_back(Happening::PauseRefused(why));
            return;
        }
        self.nodes.order(Order::Stop);
        let pausing = job.begin_pause(&mut guarding.guard);
        self.pausing = Some((pausing, Instant::now()));
        self.step();
    }

    fn resume(&mut self) -> u32 {
        self.pausing = None;
        self.is_again = false;
        self.nodes.runs();
        self.output.wake();
        match (&mut self.job, &mut self.guard) {
            (Some(job), Some(guarding)) => job.resume(&mut guarding.guard),
            _ => 0,
        }
    }

    fn relay(&mut self, signal: &Signal) {
        if signal.meaning == Meaning::Resize {
            self.output.resize();
        }
        let to = if signal.from_terminal {
            To::Group
        } else {
            To::Leader
        };
        if let Some(job) = &mut self.job {
            job.relay(signal.number, to);
        }
    }

    fn ask_to_end(&mut self, signal: i32) {
        if let Some(job) = &mut self.job {
            job.relay(signal, To::Leader);
        }
    }

    fn give_back(&mut self, after: Duration) {
        requeue::give_back(self.requeues, after, self.given_back.0.clone());
    }

    fn checkpoint(&mut self) {
        self.nodes.save();
        self.is_to_save = true;
        self.unprepared = None;
        if self.output.can_prove() {
            let job = self.job.as_mut().map(Job::processes);
            let pids = job.unwrap_or_default().into_iter();
            let pids: Vec<i32> = pids.map(|process| process.id.pid).collect();
            self.output.want_proof(&pids);
        } else {
            self.ask_to_save();
        }
    }

    fn forget_checkpoint(&mut self) {
        self.is_to_save = false;
        self.unprepared = None;
        self.output.forget_proof();
    }

    fn ask_leftovers(&mut self, signal: i32) {
        if let Some(job) = &mut self.job {
            job.end_leftovers(signal);
        }
    }

    fn look_at_devices(&mut self) {
        let (look, tell) = (self.look.clone(), self.devices.0.clone());
        // The driver may take as long as it likes: without an answer the devices count as free.
        let thread = std::thread::Builder::new().name("devices".to_owned());
        let asked = thread.spawn(move || drop(tell.blocking_send((look.0)())));
        if asked.is_err() {
            self.happened.push_back(Happening::Devices(None));
        }
    }

    fn kill(&mut self) {
        if let Some(job) = &mut self.job {
            job.kill();
        }
    }

    fn start_guard(&mut self) {
        let is_in_slurm = std::env::var_os("SLURM_JOB_ID").is_some();
        if !std::mem::replace(&mut self.has_asked_for_guard, true) && !is_in_slurm {
            self.guard_again = Some(Instant::now() + BEFORE_FIRST_GUARD);
            return;
        }
        match self.try_start_guard() {
            Ok(guarding) => {
                self.guard = Some(guarding);
                self.guard_again = None;
            }
            Err(_) => self.guard_again = Some(Instant::now() + GUARD_AGAIN),
        }
    }

    fn renew_lease(&mut self) {
        if let Some(guarding) = &mut self.guard {
            // A lost guard shows in its events.
            let _ = guarding.guard.lease(usual_lease());
        }
    }

    fn stop_self(&mut self) {
        if let Some(guarding) = &mut self.guard {
            let _ = guarding.guard.lease(Lease::UntilDeath);
        }
        let was_continued = stop_self();
        self.renew_lease();
        if let Some(job) = &mut self.job
            && was_continued
            && self.terminal == Terminal::Given
        {
            // The shell continues our group; the job may have moved to one of its own.
            job.relay(Number::SIGCONT as i32, To::Leader);
        }
    }

    fn has_several_ranks(&mut self) -> bool {
        self.job.as_mut().is_some_and(Job::ranks)
    }

    fn has_connections(&mut self) -> bool {
        self.job.as_mut().is_some_and(Job::remote_connections)
    }

    fn usage(&mut self) -> Usage {
        let (processor, resident) = self.job.as_mut().map(Job::usage).unwrap_or_default();
        Usage {
            processor: self.used_before + processor,
            resident,
        }
    }

    async fn next(&mut self) -> Happening {
        loop {
            if let Some(happening) = self.happened.pop_front() {
                return happening;
            }
            let due = self.due();
            let guard = self.guard.as_ref().filter(|guarding| !guarding.is_lost);
            tokio::select! {
                _ = self.signals_arrive.arrived() => self.signals_arrived(),
                Some(()) = readable(guard) => self.guard_told(),
                Some(taken) = self.devices.1.recv() => {
                    self.happened.push_back(Happening::Devices(taken));
                }
                Some(outcome) = self.given_back.1.recv() => {
                    self.happened.push_back(Happening::GivenBack(outcome));
                }
                Some(heard) = self.nodes.heard() => {
                    let then = self.nodes.take(heard, self.job.is_some());
                    self.of_nodes(then);
                    self.guard_told();
                }
                Some(heard) = self.output.next() => self.heard(heard),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.do_what_is_due(),
            }
        }
    }
}

fn resume_args(args: &RunArgs) -> Vec<OsString> {
    let text = args.resume_args.as_deref().unwrap_or_default();
    let words = shlex::split(text).unwrap_or_default();
    words.into_iter().map(OsString::from).collect()
}

/// That a job cannot be frozen, and why.
fn not_frozen(why: &str) -> String {
    format!("it will be stopped, not frozen: {why}")
}

fn to(recipient: Recipient) -> To {
    match recipient {
        Recipient::Leader => To::Leader,
        Recipient::Group => To::Group,
        Recipient::Ranks => To::Ranks,
    }
}

/// Resolves when the guard has told something; `None` at once where there is no guard.
async fn readable(guarding: Option<&Guarding>) -> Option<()> {
    guarding?.events.arrived().await.ok()
}

/// Whether there still is a controlling terminal.
fn terminal_is_left() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether a signal to us reached the whole process group: from the terminal, or the hang-up that a
/// shell passes on to its jobs.
fn reached_group(number: Number, sender: Sender) -> bool {
    match sender {
        Sender::Kernel => true,
        Sender::Process { pid, .. } => {
            let shell = nix::unistd::getsid(None).map(nix::unistd::Pid::as_raw);
            number == Number::SIGHUP && shell == Ok(pid)
        }
    }
}

/// Tells of Enter on the terminal, until aborted: once the job runs, what is typed is the job's.
/// To be called when a hold has begun: before, what is typed is the job's as well.
pub(super) fn watch_enter(
    arrivals: mpsc::Sender<Arrival>,
    on_line: impl Fn() + Send + 'static,
) -> Option<AbortHandle> {
    // Only of the terminal that controls us can it be told whether we are in the foreground.
    nix::unistd::tcgetpgrp(io::stdin()).ok()?;
    // An open file of our own: whoever else reads the terminal, this read never blocks, and the
    // job's descriptors stay as they are.
    let terminal = std::fs::File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open("/dev/tty")
        .ok()?;
    let input = Readiness::of(&terminal).ok()?;
    let task = tokio::spawn(async move {
        while input.arrived().await.is_ok() {
            if nix::unistd::tcgetpgrp(&terminal) != Ok(nix::unistd::getpgrp()) {
                continue;
            }
            // The terminal hands out a line at a time. One with words in it was typed for something
            // else.
            let mut line = [0_u8; 256];
            let mut enter = false;
            while let Ok(length @ 1..) = nix::unistd::read(&terminal, &mut line) {
                on_line();
                enter |= line[..length].trim_ascii().is_empty() && line[..length].contains(&b'\n');
            }
            if enter && arrivals.send(Arrival::Enter).await.is_err() {
                return;
            }
        }
    });
    Some(task.abort_handle())
}
