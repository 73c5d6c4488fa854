//! The driver of one run: feeds the machine with events and carries out its effects.
//!
//! One thread decides. The loop waits for whatever comes first (the job, a signal, the guard, an
//! operator, new intensities, the next time the machine asked for), turns it into one
//! [`Event`], and does what the machine answers, in order: record, act, tell. What an act
//! leads to is the next event. Nothing in here may block: the ledger, the terminal and reads that
//! may hang have threads of their own and reach the loop by channels.

pub mod event;
mod intensities;
pub mod lateness;
pub mod machine;
pub mod news;
pub mod progress;
mod segments;
pub mod settings;
pub mod snapshot;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::clock::{Clock, Moment};
use crate::control::{self, Request};
use crate::fault::{self, Point};
use crate::forecast::{Knowledge, Outlook, Span};
use crate::ledger::Ticket;
use crate::ledger::entry::{Action, Exit, MeterFact, Reading, Segment, What};
use crate::units::{GramsPerKwh, Joules, KilowattHours};
use event::{Effect, Event, News, Occasion, Signal, Stretch, Ties, Word};
use intensities::{Noted, intensity_at};
use lateness::Lateness;
use machine::{Machine, Phase};

/// Longest time between two wake-ups: how late a jump of the wall clock or a host suspend is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Shortest time between two: one that rounds to nothing would spin, and a millisecond late
/// changes nothing.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// How long the record of a pause may take before the pause is done all the same.
const RECORD_BEFORE_PAUSE: Duration = Duration::from_millis(500);

/// A wake-up that is so late was not late by itself.
const STOPPED_AT_LEAST: Duration = Duration::from_secs(5);

/// How long the end of a run waits for its last readings.
const LAST_READING: Duration = Duration::from_millis(300);
/// How long a run that ends by an operator's word waits for the answer to be taken.
const LAST_ANSWER: Duration = Duration::from_millis(200);

/// The operating system's side of a run: the job, its guard, and the signals.
pub trait Executor {
    /// Starts the job; gives the leader's pid. From the second attempt on it goes on from what it
    /// saved.
    ///
    /// # Errors
    /// It cannot be started; the error says why and decides the exit code.
    fn start(&mut self, attempt: u32) -> Result<i32, StartError>;
    /// Asks the job to save its state, and looks for the proof: a [`Happening`].
    fn checkpoint(&mut self);
    /// Looks for no proof any more.
    fn forget_checkpoint(&mut self);
    /// Begins to stop the job whole; the outcome is a [`Happening`].
    fn pause(&mut self);
    /// Continues what was stopped; gives the number of processes.
    fn resume(&mut self) -> u32;
    /// Passes a signal on.
    fn relay(&mut self, signal: &Signal);
    /// Sends the stop signal.
    fn ask_to_end(&mut self, signal: i32);
    /// Sends a signal to everyone who outlived the leader; that nobody is left is a [`Happening`].
    fn ask_leftovers(&mut self, signal: i32);
    /// Kills the job whole.
    fn kill(&mut self);
    /// Looks who else uses the devices that the job may see: a [`Happening`].
    fn look_at_devices(&mut self);
    /// Puts the job back into the cluster's queue, to start again after this time: a [`Happening`].
    fn give_back(&mut self, after: Duration);
    /// Starts a guard, or a new one.
    fn start_guard(&mut self);
    /// Tells the guard that the deciding thread is alive.
    fn renew_lease(&mut self);
    /// Stops the supervisor itself; returns when it was continued.
    fn stop_self(&mut self);
    /// Whether the job turned out to be several ranks. Looks at every process: not for every second.
    fn has_several_ranks(&mut self) -> bool;
    /// Whether the job has connections to other hosts. As costly.
    fn has_connections(&mut self) -> bool;
    /// What the job has used of the machine.
    fn usage(&mut self) -> Usage;
    /// The next thing that happens. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Happening>;
}

/// What a job has used of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time so far, ended processes included.
    pub processor: Duration,
    /// Memory that is resident now, in bytes; what several processes share counts once.
    pub resident: u64,
}

/// Why the job could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StartError {
    /// 125, 126 or 127.
    pub kind: crate::error::Kind,
    /// In words.
    pub what: String,
}

/// What the operating system reports.
#[derive(Clone, Debug)]
pub enum Happening {
    /// The leader ended.
    Ended {
        /// How; none where the kernel does not tell.
        exit: Option<Exit>,
        /// How many processes of the job outlive it.
        left: u32,
    },
    /// Nobody of the job is left.
    AllGone,
    /// The job has saved its state, by this proof.
    Saved(String),
    /// The job was not asked to save its state, in words why not.
    NotAsked(String),
    /// The job says how far it is.
    Progress(progress::Reading),
    /// Who else uses the devices, in words; none: nobody.
    Devices(Option<String>),
    /// The node that leads says whether the job is to run.
    Led {
        /// Whether it holds it.
        held: bool,
    },
    /// The nodes of the job do not stand still together any more, in words why not.
    Apart(String),
    /// Whether the cluster took the job back; why not, in words.
    GivenBack(Result<(), String>),
    /// Something is worse than promised, in words.
    Trouble(String),
    /// Every process is stopped.
    Paused {
        /// How many.
        processes: u32,
        /// Since the order.
        took: Duration,
        /// What is not as it was asked for, in words.
        notes: Vec<String>,
    },
    /// The job could not be stopped whole.
    PauseRefused(String),
    /// A signal to pass on, with its name and sender for the record.
    Signal {
        /// The signal.
        signal: Signal,
        /// `TERM`.
        name: String,
        /// `terminal`, or `pid 17`.
        from: String,
    },
    /// Ctrl-Z.
    TerminalStop,
    /// The guard answers.
    GuardReady,
    /// The guard is gone.
    GuardLost,
    /// The guard continued the job.
    GuardReleased,
}

/// Writes down what happens.
pub trait Recorder {
    /// Takes an entry; never blocks. Gives a receipt that resolves when it is on the disk.
    fn record(&mut self, now: Moment, what: What) -> Ticket;
    /// What is wrong with the record, once an episode.
    fn trouble(&mut self) -> Option<String>;
    /// That the trouble is over, once an episode.
    fn relief(&mut self) -> Option<String> {
        None
    }
    /// How long a segment may be, in real time: each becomes a line.
    fn segment_at_most(&self) -> Duration;
}

/// Tells the person.
pub trait Teller {
    /// One piece of news.
    fn tell(&mut self, now: Moment, news: &News, run: &View<'_>);
    /// Shows how long a hold or pause still lasts.
    fn countdown(&mut self, now: Moment, run: &View<'_>);
    /// The job is about to write.
    fn make_way(&mut self);
    /// The job is about to start: what is typed from now on is for it.
    fn lend_input(&mut self);
}

/// Sees what happens, for those who look on from elsewhere. Never blocks.
pub trait Watcher {
    /// An entry that is about to be written down.
    fn recorded(&mut self, now: Moment, what: &What, run: &View<'_>);
    /// How the run stands, about once a second.
    fn seen(&mut self, now: Moment, run: &View<'_>);
}

/// Measures or estimates energy. Nothing here waits for a device: what they say comes by
/// [`Meter::next`].
pub trait Meter {
    /// The job was started, with this leader.
    fn started(&mut self, leader: i32);
    /// A stretch has just ended; `usage` is that of the job so far. Each is answered by one
    /// [`Metering::Stretch`], in the order of asking.
    fn cut(&mut self, stretch: Stretch, usage: Usage);
    /// What the meters tell next; never ends where they have nothing to tell. Dropping the future
    /// loses nothing.
    fn next(&mut self) -> impl Future<Output = Metering>;
    /// The answers that are still due, as well as they can be given at once.
    fn give_up(&mut self) -> Vec<Metered>;
    /// What was asked for and never came, in words; asked when the job has ended.
    fn missing(&mut self) -> Option<String>;
}

/// What meters tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Metering {
    /// The energy of a stretch.
    Stretch(Metered),
    /// Which meters there are, all of them, whenever that changes.
    Meters(Vec<MeterFact>),
    /// Something is worse than promised, in words.
    Trouble(String),
    /// Something worth knowing, in words.
    Note(String),
}

/// A stretch with its energy.
#[derive(Clone, Debug, PartialEq)]
pub struct Metered {
    /// The stretch.
    pub stretch: Stretch,
    /// What it used, by component.
    pub energy: Vec<Reading>,
    /// What shared devices used and nobody can say for whom.
    pub unattributed: Vec<Reading>,
}

/// What can be seen of a run from outside the loop.
#[derive(Debug)]
pub struct View<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The job's leader, once there is one.
    pub pid: Option<i32>,
    /// How late the loop woke up so far.
    pub lateness: &'a Lateness,
}

/// Runs what the user asked for on an occasion; returns at once.
pub type Hook = Box<dyn FnMut(Moment, Occasion, &View<'_>)>;

/// Reads the configuration anew, or tells the one in force, and answers the request; returns at once.
pub type Reload = Box<dyn Fn(Request)>;

/// Serves the control socket, somewhere else than on the deciding thread, and sends what is asked
/// there; returns at once.
pub type Serve = Box<dyn Fn(control::Listener, mpsc::Sender<Request>)>;

/// Makes the answer to `status` of what can be seen.
pub type Describe = Box<dyn Fn(&View<'_>, Moment) -> serde_json::Value>;

/// What reaches the loop from helpers.
#[derive(Debug)]
pub enum Arrival {
    /// Intensities.
    Knowledge(Arc<Knowledge>),
    /// Intensities of a second account, and what is expected by them: they are accounted by, not
    /// planned with.
    Account(Arc<Knowledge>, Option<Arc<Outlook>>),
    /// How long this command took before.
    Typical(Duration),
    /// The configuration was read anew and is in force: what is asked for now, where that is something else.
    Configured {
        /// What the machine goes by.
        settings: Option<Box<settings::Settings>>,
        /// For the record.
        what: What,
        /// For the person.
        told: String,
    },
    /// Something is worse than promised, in words.
    Trouble(String),
    /// Something worth knowing, in words.
    Note(String),
    /// The run's id and socket are there.
    Socket(control::Listener),
    /// Enter was pressed while held.
    Enter,
    /// All that was asked for before the start has come, or will not.
    Ready,
}

/// What a run comes to.
#[derive(Debug)]
pub enum Outcome {
    /// The job ended.
    Job(Exit),
    /// A held run ended by this signal.
    DiedBy(i32),
    /// A run without a job at that time was stopped.
    StoppedBeforeStart,
    /// The job waits in the cluster's queue, and the run goes on with it.
    GivenBack,
    /// The job has ended, and nobody can tell how.
    Unknown,
    /// The job runs on, as it did before.
    Left,
    /// The job could not be started.
    NotStarted(StartError),
}

/// How a run went.
#[derive(Debug)]
pub struct Over {
    /// What it came to.
    pub outcome: Outcome,
    /// Whether the job survived being paused; none: it was not.
    pub survived: Option<bool>,
}

/// A run in progress.
pub struct Driver<'a, C, E, R, T, M> {
    /// The time.
    pub clock: &'a C,
    /// The job.
    pub executor: E,
    /// The ledger.
    pub recorder: R,
    /// The person.
    pub teller: T,
    /// The energy.
    pub meter: M,
    /// Those who look on.
    pub watchers: Vec<Box<dyn Watcher>>,
    /// What helpers send.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// Answers `status`: one line of JSON.
    pub describe: Describe,
    /// Serves the control socket.
    pub serve: Serve,
    /// Runs the user's commands.
    pub hook: Hook,
    /// Where requests go to read the configuration anew.
    pub reload: Reload,
    /// Intensities before this are recorded, or need not be.
    pub noted_until: Timestamp,
    /// How long to wait for [`Arrival::Ready`] before the run begins.
    pub patience: Duration,
}

/// What the loop keeps beside the machine.
struct Loop {
    machine: Machine,
    pid: Option<i32>,
    /// The intensities that were last written down.
    noted: Noted,
    /// Those of the second account.
    second_noted: Noted,
    /// What the second account is kept by.
    second: Option<(Arc<Knowledge>, Option<Arc<Outlook>>)>,
    outcome: Option<Outcome>,
    finished: bool,
    /// Stretches whose energy is not known yet.
    unmetered: usize,
    renewed: Duration,
    woken: Instant,
    lateness: Lateness,
}

impl Loop {
    fn view(&self) -> View<'_> {
        View {
            machine: &self.machine,
            pid: self.pid,
            lateness: &self.lateness,
        }
    }
}

impl<C, E, R, T, M> Driver<'_, C, E, R, T, M>
where
    C: Clock,
    E: Executor,
    R: Recorder,
    T: Teller,
    M: Meter,
{
    /// Runs until the job has ended, or will not start.
    pub async fn run(&mut self, machine: Machine) -> Over {
        let begun = self.noted_until;
        let mut state = Loop {
            machine,
            pid: None,
            noted: Noted::since(begun),
            second_noted: Noted::since(begun),
            second: None,
            outcome: None,
            finished: false,
            unmetered: 0,
            renewed: Duration::ZERO,
            woken: Instant::now(),
            lateness: Lateness::default(),
        };
        let (requests_sender, mut requests) = mpsc::channel::<Request>(16);
        self.await_ready(&mut state, &requests_sender).await;
        self.feed(&mut state, Event::Begin).await;
        while !state.finished {
            self.keep_alive(&mut state);
            let wake_at = self.wake_at(&state);
            tokio::select! {
                () = sleep_until(wake_at) => {
                    state.woken = Instant::now();
                    let late = state.woken.saturating_duration_since(wake_at);
                    state.lateness.add(late);
                    self.was_stopped_for(&state, late);
                    self.feed(&mut state, Event::Wake).await;
                }
                happening = self.executor.next() => self.happened(&mut state, happening).await,
                Some(arrival) = self.arrivals.recv() => {
                    self.arrived(&mut state, arrival, &requests_sender).await;
                }
                Some(request) = requests.recv() => self.requested(&mut state, request).await,
                metering = self.meter.next() => {
                    if let Some(event) = self.metered(&mut state, metering) {
                        self.feed(&mut state, event).await;
                    }
                }
            }
        }
        let machine = &state.machine;
        let survived = (machine.was_continued()).then(|| !machine.died_after_resume());
        let outcome = state.outcome.unwrap_or_else(|| outcome_of(machine));
        Over { outcome, survived }
    }

    /// Takes what helpers bring before the start, but not for long.
    async fn await_ready(&mut self, state: &mut Loop, requests: &mpsc::Sender<Request>) {
        let limit = Instant::now() + self.patience;
        loop {
            tokio::select! {
                // A signal that came while all was set up is heard before the job is started.
                biased;
                happening = self.executor.next() => self.happened(state, happening).await,
                arrival = self.arrivals.recv() => match arrival {
                    None | Some(Arrival::Ready) => return,
                    Some(arrival) => self.arrived(state, arrival, requests).await,
                },
                () = sleep_until(limit) => return,
            }
            if state.finished || state.machine.phase() != Phase::Holding {
                return;
            }
        }
    }

    async fn arrived(
        &mut self,
        state: &mut Loop,
        arrival: Arrival,
        requests: &mpsc::Sender<Request>,
    ) {
        match arrival {
            Arrival::Knowledge(knowledge) => {
                self.feed(state, Event::Forecast(knowledge)).await;
            }
            Arrival::Account(knowledge, outlook) => state.second = Some((knowledge, outlook)),
            Arrival::Typical(duration) => self.feed(state, Event::Typical(duration)).await,
            Arrival::Configured {
                settings,
                what,
                told,
            } => {
                self.record(state, self.clock.now(), what);
                self.note(state, told);
                if let Some(settings) = settings {
                    self.feed(state, Event::Asked(settings)).await;
                }
            }
            Arrival::Trouble(text) => self.warn(state, text),
            Arrival::Note(text) => self.note(state, text),
            Arrival::Socket(listener) => {
                (self.serve)(listener, requests.clone());
            }
            Arrival::Enter => {
                if state.machine.phase() == Phase::Holding {
                    let word = Word::Resume { time: None };
                    self.operator(state, word, "terminal").await;
                }
            }
            Arrival::Ready => {}
        }
    }

    async fn happened(&mut self, state: &mut Loop, happening: Happening) {
        let event = match happening {
            Happening::Ended { exit, left } => Event::ChildEnded { exit, left },
            Happening::AllGone => Event::AllGone,
            Happening::Saved(proof) => Event::Saved(proof),
            Happening::NotAsked(why) => Event::NotAsked(why),
            Happening::Progress(reading) => Event::Progress(reading),
            Happening::Devices(taken) => Event::Devices(taken),
            Happening::Led { held } => Event::Led { held },
            Happening::Apart(why) => Event::Apart(why),
            Happening::GivenBack(outcome) => Event::GivenBack(outcome),
            Happening::Trouble(text) => return self.warn(state, text),
            Happening::Paused {
                processes,
                took,
                notes,
            } => {
                fault::at(Point::PauseSeen);
                for note in notes {
                    self.warn(state, note);
                }
                let matter = state.machine.ties_that_matter();
                let ties = Ties {
                    ranks: matter.ranks && self.executor.has_several_ranks(),
                    hosts: matter.hosts && self.executor.has_connections(),
                };
                Event::PauseConfirmed {
                    processes,
                    took,
                    ties,
                }
            }
            Happening::PauseRefused(why) => Event::PauseRefused {
                why,
                for_good: false,
            },
            Happening::Signal { signal, name, from } => {
                let relayed = !signal.to_everyone && state.pid.is_some();
                let what = What::Signal {
                    name,
                    from,
                    relayed,
                };
                self.record(state, self.clock.now(), what);
                Event::Signal(signal)
            }
            Happening::TerminalStop => Event::TerminalStop,
            Happening::GuardReady => Event::GuardReady,
            Happening::GuardLost => Event::GuardLost,
            Happening::GuardReleased => Event::GuardReleased,
        };
        self.feed(state, event).await;
    }

    async fn requested(&mut self, state: &mut Loop, request: Request) {
        let word = match request.word {
            control::Word::Status => None,
            control::Word::Pause => Some(Word::Pause),
            control::Word::Resume { time } => Some(Word::Resume { time }),
            control::Word::Stop => Some(Word::Stop),
            control::Word::Reload => return self.reload(state, request),
            control::Word::Config => return (self.reload)(request),
        };
        let has_job = !state.machine.phase().has_no_job();
        if word == Some(Word::Pause) && has_job && !state.machine.settings().can_pause {
            let why = "the job has the terminal (--tty) and cannot be paused; Ctrl-Z stops it";
            let _ = request.answer.send(control::refusal(why));
            return;
        }
        if let Some(word) = word {
            self.operator(state, word, &request.from).await;
        }
        let view = state.view();
        let mut answer = (self.describe)(&view, self.clock.now());
        answer["ok"] = true.into();
        let _ = request.answer.send(answer.to_string());
        if state.finished {
            // The connection is served on this runtime, which is about to end.
            let _ = tokio::time::timeout(LAST_ANSWER, request.written).await;
        }
    }

    /// Files are read elsewhere: whoever reads them answers.
    fn reload(&mut self, state: &Loop, request: Request) {
        let what = What::Operator {
            word: request.word.as_str().to_owned(),
            from: request.from.clone(),
        };
        self.record(state, self.clock.now(), what);
        (self.reload)(request);
    }

    async fn operator(&mut self, state: &mut Loop, word: Word, from: &str) {
        let text = match word {
            Word::Pause => "pause",
            Word::Resume { .. } => "resume",
            Word::Stop => "stop",
        };
        let what = What::Operator {
            word: text.to_owned(),
            from: from.to_owned(),
        };
        self.record(state, self.clock.now(), what);
        self.feed(state, Event::Operator(word)).await;
    }

    /// Gives the machine one event, and then each event that its effects lead to.
    async fn feed(&mut self, state: &mut Loop, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = self.clock.now();
            self.note_intensity(state, now);
            let effects = state.machine.on(now, event);
            let mut receipt = None;
            for effect in effects {
                if let Some(next) = self.carry_out(state, effect, &mut receipt).await {
                    events.insert(0, next);
                }
            }
        }
    }

    async fn carry_out(
        &mut self,
        state: &mut Loop,
        effect: Effect,
        receipt: &mut Option<Ticket>,
    ) -> Option<Event> {
        let now = self.clock.now();
        match effect {
            Effect::Record(what) => {
                if what
                    == (What::Intent {
                        action: Action::Pause,
                    })
                {
                    fault::at(Point::PauseDecided);
                }
                if let What::End { .. } | What::Requeued { .. } = what {
                    self.last_readings(state).await;
                    if let Some(text) = self.meter.missing() {
                        self.warn(state, text);
                    }
                }
                *receipt = Some(self.record(state, now, what));
                None
            }
            Effect::Segment(stretch) => {
                let usage = self.executor.usage();
                self.meter.cut(stretch, usage);
                state.unmetered += 1;
                None
            }
            Effect::Tell(news) => {
                let view = state.view();
                self.teller.tell(now, &news, &view);
                None
            }
            Effect::Start { attempt } => Some(self.start(state, now, attempt)),
            Effect::Checkpoint => {
                // As for a stop: the record comes first, but not at any price.
                if let Some(receipt) = receipt.take() {
                    let _ = receipt.within(RECORD_BEFORE_PAUSE).await;
                }
                fault::at(Point::CheckpointIntended);
                self.executor.checkpoint();
                None
            }
            Effect::ForgetCheckpoint => {
                self.executor.forget_checkpoint();
                None
            }
            Effect::Pause => {
                // A person at the terminal decides for herself.
                let risks = !state.machine.settings().pausing.stops_ranks
                    && !state.machine.holds().terminal;
                if risks && self.executor.has_several_ranks() {
                    let why = "the job has several ranks, which may not survive a stop \
                               (--preset or --pause-with says how they do)"
                        .to_owned();
                    return Some(Event::PauseRefused {
                        why,
                        for_good: true,
                    });
                }
                // The record comes first, but a disk that hangs must not keep a dirty hour running.
                if let Some(receipt) = receipt.take() {
                    let _ = receipt.within(RECORD_BEFORE_PAUSE).await;
                }
                fault::at(Point::PauseIntended);
                self.executor.pause();
                None
            }
            Effect::Resume => {
                self.teller.make_way();
                fault::at(Point::ResumeDecided);
                let processes = self.executor.resume();
                fault::at(Point::ResumeDone);
                let took = self.clock.now().monotonic.saturating_sub(now.monotonic);
                Some(Event::ResumeConfirmed { processes, took })
            }
            Effect::Relay(signal) => {
                self.executor.relay(&signal);
                None
            }
            Effect::AskToEnd => {
                self.executor
                    .ask_to_end(state.machine.settings().stop_signal);
                None
            }
            Effect::AskLeftovers => {
                let signal = state.machine.settings().stop_signal;
                self.executor.ask_leftovers(signal);
                None
            }
            Effect::Kill => {
                self.executor.kill();
                None
            }
            Effect::LookAtDevices => {
                self.executor.look_at_devices();
                None
            }
            Effect::GiveBack(begin) => {
                // The cluster's clock is real in a replay, too.
                let after = begin.duration_since(now.utc).max(SignedDuration::ZERO);
                let after = after.unsigned_abs().div_f64(self.clock.speed());
                self.executor.give_back(after);
                None
            }
            Effect::Hook(occasion) => {
                let view = state.view();
                (self.hook)(now, occasion, &view);
                None
            }
            Effect::DieBy(signal) => {
                state.outcome = Some(Outcome::DiedBy(signal));
                None
            }
            Effect::StopSelf => {
                self.teller.make_way();
                self.executor.stop_self();
                Some(Event::TerminalContinue)
            }
            Effect::StartGuard => {
                self.executor.start_guard();
                None
            }
            Effect::Finish => {
                state.finished = true;
                None
            }
        }
    }

    fn start(&mut self, state: &mut Loop, asked: Moment, attempt: u32) -> Event {
        self.teller.make_way();
        self.teller.lend_input();
        fault::at(Point::StartDecided);
        match self.executor.start(attempt) {
            Ok(pid) => {
                fault::at(Point::StartDone);
                state.pid = Some(pid);
                let took = self.clock.now().monotonic.saturating_sub(asked.monotonic);
                self.executor.start_guard();
                self.meter.started(pid);
                Event::Started { pid, took }
            }
            Err(error) => {
                let why = error.to_string();
                state.outcome = Some(Outcome::NotStarted(error));
                Event::StartFailed { why }
            }
        }
    }

    /// Waits a moment for the energy of the last stretches: the end of the record comes after them.
    async fn last_readings(&mut self, state: &mut Loop) {
        let limit = Instant::now() + LAST_READING;
        while state.unmetered > 0 {
            let late = tokio::select! {
                metering = self.meter.next() => {
                    // Nobody plans with it any more.
                    let _ = self.metered(state, metering);
                    Vec::new()
                }
                () = sleep_until(limit) => self.meter.give_up(),
            };
            if !late.is_empty() {
                let text = "the last readings of the meters did not come in time; what they \
                            would have added is in no sum";
                self.warn(state, text.to_owned());
            }
            for metered in late {
                let _ = self.segment(state, metered);
            }
            if Instant::now() >= limit {
                return;
            }
        }
    }

    /// Writes down what meters tell.
    fn metered(&mut self, state: &mut Loop, metering: Metering) -> Option<Event> {
        match metering {
            Metering::Stretch(metered) => Some(self.segment(state, metered)),
            Metering::Meters(meters) => {
                let now = self.clock.now();
                self.record(state, now, What::Meters { meters });
                None
            }
            Metering::Trouble(text) => {
                self.warn(state, text);
                None
            }
            Metering::Note(text) => {
                self.note(state, text);
                None
            }
        }
    }

    /// Writes a stretch with its energy down.
    fn segment(&mut self, state: &mut Loop, metered: Metered) -> Event {
        let Metered {
            stretch,
            energy,
            unattributed,
        } = metered;
        state.unmetered = state.unmetered.saturating_sub(1);
        let now = self.clock.now();
        let joules: Joules = energy.iter().map(|reading| reading.joules).sum();
        let length = stretch.to.elapsed.saturating_sub(stretch.from.elapsed);
        let part = stretch.part;
        // That of the stretch, which may have been over before the present one began.
        let intensity = (state.machine.knowledge())
            .and_then(|known| intensity_at(stretch.from.utc, known, state.machine.outlook()))
            .or_else(|| state.noted.last().cloned())
            .map_or(GramsPerKwh::ZERO, |point| point.g_per_kwh);
        let grams = KilowattHours::from(joules) * intensity;
        let what = What::Segment(Segment {
            part,
            causes: stretch.causes,
            from_s: stretch.from.elapsed.as_secs_f64(),
            to_s: stretch.to.elapsed.as_secs_f64(),
            start: stretch.from.utc,
            // A wall clock that is slewed may pass a short stretch backwards.
            end: match stretch.from.utc < stretch.to.utc {
                true => stretch.to.utc,
                false => Span::new(stretch.from.utc, length).end,
            },
            energy,
            unattributed,
        });
        self.record(state, now, what);
        Event::Metered {
            part,
            length,
            energy: joules,
            grams,
        }
    }

    /// Writes the intensities of the present down, for each account.
    fn note_intensity(&mut self, state: &mut Loop, now: Moment) {
        let mut due = Vec::new();
        if let Some(knowledge) = state.machine.knowledge() {
            due.extend((state.noted).due(now.utc, knowledge, state.machine.outlook()));
        }
        if let Some((knowledge, outlook)) = &state.second {
            due.extend(
                state
                    .second_noted
                    .due(now.utc, knowledge, outlook.as_deref()),
            );
        }
        for what in due {
            self.record(state, now, what);
        }
    }

    fn keep_alive(&mut self, state: &mut Loop) {
        let now = self.clock.now();
        if now.monotonic >= state.renewed + Duration::from_secs(5) || state.renewed.is_zero() {
            state.renewed = now.monotonic;
            self.executor.renew_lease();
        }
        let view = state.view();
        for watcher in &mut self.watchers {
            watcher.seen(now, &view);
        }
        state.machine.cut_segments(self.recorder.segment_at_most());
        if let Some(trouble) = self.recorder.trouble() {
            self.warn(state, trouble);
        }
        if let Some(words) = self.recorder.relief() {
            let view = state.view();
            self.teller.tell(now, &News::Note(words), &view);
        }
        let waits = matches!(
            state.machine.phase(),
            Phase::Holding | Phase::Paused { .. } | Phase::Released { .. }
        );
        if waits {
            let view = state.view();
            self.teller.countdown(now, &view);
        }
    }

    /// Has an entry written down, and those who watch see it.
    fn record(&mut self, state: &Loop, now: Moment, what: What) -> Ticket {
        let view = state.view();
        for watcher in &mut self.watchers {
            watcher.recorded(now, &what, &view);
        }
        self.recorder.record(now, what)
    }

    /// Somebody stopped us: a cluster that suspends its jobs stops the job as well, and tells nobody.
    fn was_stopped_for(&mut self, state: &Loop, late: Duration) {
        if late >= STOPPED_AT_LEAST {
            let late = crate::words::duration(late);
            let text = format!(
                "catrain stood still for {late}: it was stopped, or the machine had no time for it; so may \
                 have been the job, whose time counts as before"
            );
            self.warn(state, text);
        }
    }

    fn note(&mut self, state: &Loop, text: String) {
        let view = state.view();
        self.teller.tell(self.clock.now(), &News::Note(text), &view);
    }

    fn warn(&mut self, state: &Loop, text: String) {
        let now = self.clock.now();
        self.record(state, now, What::Warning { text: text.clone() });
        let view = state.view();
        self.teller.tell(now, &News::Warning(text), &view);
    }

    /// The machine's next time on the runtime's clock, at most a second after the last.
    fn wake_at(&self, state: &Loop) -> Instant {
        let (now, speed) = (self.clock.now(), self.clock.speed());
        let next = state.machine.next_wakeup();
        let until = |at: Timestamp| at.duration_since(now.utc).max(SignedDuration::ZERO);
        let delays = [
            next.utc.map(|at| until(at).unsigned_abs().div_f64(speed)),
            next.elapsed
                .map(|at| at.saturating_sub(now.elapsed).div_f64(speed)),
            next.monotonic.map(|at| at.saturating_sub(now.monotonic)),
        ];
        let soonest = delays.into_iter().flatten().min().unwrap_or(LONGEST_SLEEP);
        let (earliest, latest) = (state.woken + SHORTEST_SLEEP, state.woken + LONGEST_SLEEP);
        (Instant::now() + soonest.min(LONGEST_SLEEP)).clamp(earliest, latest)
    }
}

/// What a run whose machine has come to its end comes to.
fn outcome_of(machine: &Machine) -> Outcome {
    match machine.phase() {
        Phase::Ended(Some(exit)) => Outcome::Job(exit),
        _ if machine.was_given_back() => Outcome::GivenBack,
        _ if machine.settings().is_attached && machine.was_left() => Outcome::Left,
        _ if machine.settings().is_attached => Outcome::Unknown,
        _ => Outcome::StoppedBeforeStart,
    }
}
