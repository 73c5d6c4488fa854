//! What goes into the machine and what comes out of it: [`Event`]s, and the [`Effect`]s that answer
//! them. Pure data; the rules are in [`super::machine`], the doing is in the driver.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::machine::Holds;
use super::progress::Reading;
use super::settings::Settings;
use crate::clock::Moment;
use crate::forecast::Knowledge;
use crate::ledger::entry::{Cause, Exit, Part, What};
use crate::plan::Decision;
use crate::units::{GramsCo2e, Joules};

/// What happens to a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins.
    Begin,
    /// A time that was asked for, or any other.
    Wake,
    /// New intensities.
    Forecast(Arc<Knowledge>),
    /// How long this command took in the past.
    Typical(Duration),
    /// What the run is asked for from now on.
    Asked(Box<Settings>),
    /// How far the job is, by what it says.
    Progress(Reading),
    /// The job's leader exists.
    Started {
        /// Its pid.
        pid: i32,
        /// From the decision to the start.
        took: Duration,
    },
    /// The job could not be started.
    StartFailed {
        /// Why, in words.
        why: String,
    },
    /// Every process of the job is stopped.
    PauseConfirmed {
        /// How many.
        processes: u32,
        /// From the decision to the proof.
        took: Duration,
        /// What a long stop may break.
        ties: Ties,
    },
    /// The job has saved its state, and this is the proof, in words.
    Saved(String),
    /// It could not be asked to, in words why not.
    NotAsked(String),
    /// The job could not be stopped whole, and was continued.
    PauseRefused {
        /// Why, in words.
        why: String,
        /// Never try again.
        for_good: bool,
    },
    /// The job goes on.
    ResumeConfirmed {
        /// How many processes were continued.
        processes: u32,
        /// From the decision to the last continue.
        took: Duration,
    },
    /// The leader ended.
    ChildEnded {
        /// How; none where the kernel does not tell.
        exit: Option<Exit>,
        /// How many processes of the job outlive it.
        left: u32,
    },
    /// Nobody of the job is left.
    AllGone,
    /// Who uses the devices that the job may see, in words; none: nobody does.
    Devices(Option<String>),
    /// A signal for the job.
    Signal(Signal),
    /// An operator's word.
    Operator(Word),
    /// The node that leads holds the job, or lets it run.
    Led {
        /// Whether it holds it.
        held: bool,
    },
    /// The nodes of the job do not stand still together any more, in words why not.
    Apart(String),
    /// The cluster was asked to take the job back; why it did not, in words.
    GivenBack(Result<(), String>),
    /// Ctrl-Z.
    TerminalStop,
    /// `fg`: the supervisor was continued after it had stopped itself.
    TerminalContinue,
    /// The guard answers.
    GuardReady,
    /// The guard is gone.
    GuardLost,
    /// The guard continued the job because the lease ran out.
    GuardReleased,
    /// Energy and emissions of a segment, as metered.
    Metered {
        /// What the segment was spent on.
        part: Part,
        /// Its length.
        length: Duration,
        /// Its energy.
        energy: Joules,
        /// Its emissions by the intensity known at the time.
        grams: GramsCo2e,
    },
}

/// A signal that reached the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Sent by the terminal (or the kernel), not by a process.
    pub from_terminal: bool,
    /// Sent to every process alike, so the job has it already.
    pub to_everyone: bool,
    /// What the number means to the run.
    pub meaning: Meaning,
    /// Whether a controlling terminal is left.
    pub has_terminal: bool,
}

/// What a signal means to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// INT: end, as the job sees fit.
    Interrupt,
    /// TERM: end within the grace period.
    Terminate,
    /// HUP: the terminal went.
    HangUp,
    /// QUIT: end with a core.
    Quit,
    /// USR1, USR2: between the user and the job.
    User,
    /// WINCH: the window's size changed; can wait until the job runs.
    Resize,
}

/// An operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Hold until `resume`.
    Pause,
    /// Lift the operator's hold; overrule the plan's. After this time, where one is given, things
    /// are as before again.
    Resume {
        /// How long.
        time: Option<Duration>,
    },
    /// End the job.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Start the job.
    Start {
        /// Counts from 1; from 2 on it goes on from what it saved.
        attempt: u32,
    },
    /// Ask it to save its state, and look for the proof.
    Checkpoint,
    /// No proof is waited for any more.
    ForgetCheckpoint,
    /// Stop it whole.
    Pause,
    /// Let it go on.
    Resume,
    /// Pass a signal on.
    Relay(Signal),
    /// Send `--stop-signal`.
    AskToEnd,
    /// Send `--stop-signal` to everyone who outlived the leader.
    AskLeftovers,
    /// Kill it whole.
    Kill,
    /// Look whether others use the devices that the job may see.
    LookAtDevices,
    /// Put the job back into the cluster's queue, to start again at this time.
    GiveBack(Timestamp),
    /// Run what was asked for on such an occasion.
    Hook(Occasion),
    /// End by the signal, as the held run had no job.
    DieBy(i32),
    /// Stop the supervisor itself, until `fg`.
    StopSelf,
    /// Start a new guard.
    StartGuard,
    /// Write it down.
    Record(What),
    /// A stretch of the run is over: meter it and write it down.
    Segment(Stretch),
    /// Tell the person.
    Tell(News),
    /// The run is over.
    Finish,
}

/// What a long stop of a job may break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// It has several ranks, which wait for each other.
    pub ranks: bool,
    /// It has connections to other hosts.
    pub hosts: bool,
}

/// When a command of the user's is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The job was paused, or has left.
    Pause,
    /// It goes on.
    Resume,
    /// The run is over.
    End,
}

/// A stretch of the run in one state.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// What it was spent on.
    pub part: Part,
    /// Who caused it, for held and paused.
    pub causes: Vec<Cause>,
    /// Its start.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
}

/// What a person is told.
#[derive(Clone, Debug)]
pub enum News {
    /// The first decision.
    Opening(Decision),
    /// Nothing is known of the intensity; the job starts.
    NothingKnown,
    /// The job starts after a hold.
    StartsNow(Decision),
    /// The job starts because an operator, or Enter, said so.
    StartsByHand,
    /// The job is paused.
    Paused {
        /// By whom, and by the plan until when and why.
        decision: Option<Decision>,
        /// Processes stopped.
        processes: u32,
        /// From decision to proof.
        took: Duration,
        /// The holds.
        holds: Holds,
    },
    /// The job goes on.
    Resumed {
        /// Why, if the plan said so.
        decision: Option<Decision>,
    },
    /// The job has saved its state and left; it is started again later.
    Released {
        /// By whom, and by the plan until when and why.
        decision: Option<Decision>,
        /// From asking it to save to its end.
        took: Duration,
        /// The holds.
        holds: Holds,
    },
    /// The job was started again after it had left, or failed.
    StartsAgain {
        /// Why, if the plan said so.
        decision: Option<Decision>,
    },
    /// The job failed and is started again after a while.
    TriesAgain {
        /// How it failed, in words.
        how: String,
        /// When, from now.
        after: Duration,
        /// Which of the retries.
        nth: u32,
        /// How many there are.
        of: u32,
    },
    /// The job waits in the cluster's queue until then.
    GivenBack(Timestamp),
    /// A pause was refused.
    Refused(String),
    /// Something is worse than promised.
    Warning(String),
    /// Something worth knowing.
    Note(String),
}

/// When the machine wants to be woken: the earliest of the three, each on its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wakeup {
    /// On the wall clock.
    pub utc: Option<Timestamp>,
    /// Time since the start of the run.
    pub elapsed: Option<Duration>,
    /// Real time since the start of the run.
    pub monotonic: Option<Duration>,
}
