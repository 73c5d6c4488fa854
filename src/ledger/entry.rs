//! What stands in a line of the ledger. Pure data with a version; the file is in the parent module.
//!
//! Old readers meet new fields (ignored) and new kinds of entry ([`What::Unknown`]); new readers
//! read old files. All times are UTC; `elapsed_s` counts from the start of the run, host suspend
//! included, and is what segments tile on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forecast::{Basis, Kind, Point};
use crate::plan::Act;
use crate::slurm::job::JobId;
use crate::units::{GramsCo2e, GramsPerKwh, Joules, Pue, Watts};

/// The format's name and version, in the first entry.
pub const FORMAT: &str = "catrain.ledger/2";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 0 without gaps.
    pub seq: u64,
    /// Wall-clock time; in a replay the replayed time.
    pub at: Timestamp,
    /// Seconds since the start of the run.
    pub elapsed_s: f64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl Entry {
    /// The stretch of the run that it tells of, if it does.
    pub fn segment(&self) -> Option<&Segment> {
        match &self.what {
            What::Segment(segment) => Some(segment),
            _ => None,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum What {
    /// The run begins. Always the first entry.
    Begin(Box<Begin>),
    /// What was decided and why; once per change of mind.
    Decision {
        /// What to do.
        act: Act,
        /// Until when.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<Timestamp>,
        /// In words.
        reason: String,
        /// Intensity at that time, as known then.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        intensity_g_per_kwh: Option<GramsPerKwh>,
        /// Expected saving against running on.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        saves_g: Option<GramsCo2e>,
    },
    /// About to act; written before the act.
    Intent {
        /// The act.
        action: Action,
    },
    /// The act was done and seen to be done.
    Confirmed {
        /// The act.
        action: Action,
        /// Processes it touched.
        processes: u32,
        /// From the decision to the proof.
        took_us: u64,
        /// The job's leader, after a start.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pid: Option<i32>,
    },
    /// The act failed and was undone; the job runs.
    Refused {
        /// The act.
        action: Action,
        /// Why, with pid, name and owner where one process was in the way.
        why: String,
    },
    /// The job was asked to save its state.
    Saved {
        /// What proves that it has; none: nothing did in time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        proof: Option<String>,
        /// From asking to the proof, or to giving up.
        took_us: u64,
    },
    /// The job ended and the run goes on: it left after saving, or is tried again.
    Left {
        /// Which start of it, from 1.
        attempt: u32,
        /// How it ended; none where the kernel does not tell.
        exit: Option<Exit>,
        /// In words, what follows.
        why: String,
    },
    /// A stretch of the run in one state with its energy. Segments tile the run without gap or overlap;
    /// a long stretch is written as several.
    Segment(Segment),
    /// Intensities that applied or were expected while the run went on. Later entries overrule
    /// earlier ones for the same time and basis.
    Intensity {
        /// What the numbers mean.
        basis: Basis,
        /// Who says so.
        source: String,
        /// The numbers.
        points: Vec<IntensityPoint>,
    },
    /// A signal reached the supervisor.
    Signal {
        /// Its name, `TERM`.
        name: String,
        /// `terminal`, or `pid 17`.
        from: String,
        /// Whether it was passed on to the job.
        relayed: bool,
    },
    /// An operator's word over the control socket or the terminal.
    Operator {
        /// `pause`, `resume`, `stop`, `reload`.
        word: String,
        /// Who.
        from: String,
    },
    /// The configuration was changed while the run went on, and is in force.
    Configuration {
        /// The first 12 hexadecimal digits of the SHA-256 of the user's own file; none: there is none.
        digest: Option<String>,
        /// Keys that count from now on.
        changed: Vec<String>,
        /// Keys that count for new runs only.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        new_runs: Vec<String>,
    },
    /// The job has left its nodes and waits in the cluster's queue; this run goes on with it.
    Requeued {
        /// When it may start again, as it was asked for; none: when the queue sees fit.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        begin: Option<Timestamp>,
        /// By whom, in words.
        why: String,
    },
    /// Another process supervises this run from here on: the job was started again by the cluster.
    TakenUp {
        /// Where it is.
        host: String,
        /// The kernel's boot id there.
        boot_id: String,
        /// Its process.
        pid: i32,
        /// The start of that in clock ticks since boot.
        start_ticks: u64,
        /// The node's name in the cluster.
        node: String,
        /// How often the job was requeued so far.
        restarts: u32,
    },
    /// Something is worse than promised.
    Warning {
        /// In words.
        text: String,
    },
    /// Which meters there are, once that is known and whenever it changes.
    Meters {
        /// Each of them.
        meters: Vec<MeterFact>,
    },
    /// The disk took nothing for a while before this entry.
    Gap {
        /// Entries that were lost.
        lost: u64,
        /// Segments that were added up to fewer and longer ones; none of their energy is lost.
        #[serde(skip_serializing_if = "is_zero", default)]
        summed: u64,
    },
    /// The run is over. Only settlements follow; a file without it was cut short.
    End {
        /// How the job ended; none when it never started.
        exit: Option<Exit>,
        /// In words, when the job did not simply end.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        why: Option<String>,
        /// What stands before it, by the count of who wrote it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sums: Option<Sums>,
    },
    /// Intensities of the run that became known after its end. They overrule what was known before
    /// as in [`What::Intensity`].
    Settlement {
        /// What the numbers mean.
        basis: Basis,
        /// Who says so.
        source: String,
        /// The numbers.
        points: Vec<IntensityPoint>,
    },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl What {
    /// Whether a person asks the job to end by it.
    pub fn asks_to_end(&self) -> bool {
        match self {
            Self::Signal { name, .. } => ["TERM", "INT", "HUP", "QUIT"].contains(&name.as_str()),
            Self::Operator { word, .. } => word == "stop",
            _ => false,
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What stands before the end, for whoever adds up again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Entries before this one.
    pub entries: u64,
    /// Seconds in their segments.
    pub seconds: f64,
    /// Energy in their segments.
    pub joules: Joules,
}

/// A meter, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterFact {
    /// Of which component: `gpu 0`, `cpu`, `memory`.
    pub component: String,
    /// What it is the meter of: `NVIDIA H100 80GB HBM3`, `AMD EPYC 7763`.
    pub name: String,
    /// How it comes to its figures.
    pub method: Method,
    /// Identity of the device, where it has one: a GPU's UUID.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// Why it is not better than it is, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
}

/// The first entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the program.
    pub version: String,
    /// The run's id.
    pub run: String,
    /// `--name`, else the program's name.
    pub name: String,
    /// `--label`.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// The program, without its arguments.
    pub program: String,
    /// The whole command, with secrets redacted.
    pub command: Vec<String>,
    /// Digest of the exact command, for whoever knows it and wants to show that this was it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command_digest: Option<CommandDigest>,
    /// Whether the command as it stands here is not the one that was started: something in it was
    /// redacted, or is no text.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_redacted: bool,
    /// What was typed between `run` and `--`, redacted likewise, with times that depend on the day as
    /// what they meant; none in records of versions that did not keep it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub options: Option<Vec<String>>,
    /// The run that ended before its job did, and whose job this is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub continues: Option<String>,
    /// The job of a cluster that it is, or is a part of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slurm: Option<SlurmJob>,
    /// Where it was started.
    pub directory: String,
    /// Host name.
    pub host: String,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The supervisor.
    pub pid: i32,
    /// Its start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Grid zone.
    pub zone: String,
    /// What its intensities mean.
    pub basis: Basis,
    /// Names of the sources that are asked, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sources: Vec<String>,
    /// Whether this is a replay of another day.
    #[serde(default)]
    pub replay: Option<ReplayOf>,
    /// `--policy`.
    pub policy: String,
    /// The latest end.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// `--duration` in seconds.
    #[serde(default)]
    pub duration_s: Option<f64>,
    /// Power that planning began with, and where that figure is from.
    pub power: AssumedPower,
    /// Facility overhead; none: IT equipment only.
    #[serde(default)]
    pub pue: Option<Pue>,
    /// Whose energy is counted.
    #[serde(default)]
    pub share: Share,
    /// Whether the hardware is reserved for the run, held or not.
    #[serde(default)]
    pub reserved: bool,
    /// `--carbon-budget`.
    #[serde(default)]
    pub budget_g: Option<GramsCo2e>,
}

impl Begin {
    /// Whether it is a run of this job, or of a task of this array.
    pub fn is_of(&self, job: JobId) -> bool {
        let mine = self.slurm.as_ref().map(|mine| mine.id);
        mine.is_some_and(|mine| {
            mine.job == job.job && (job.task.is_none() || mine.task == job.task)
        })
    }
}

impl Begin {
    /// Whether it is that of a node of a job that another run leads.
    pub fn follows(&self) -> bool {
        (self.slurm.as_ref()).is_some_and(|slurm| slurm.follows.is_some())
    }
}

/// The job of a cluster, on one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlurmJob {
    /// The cluster's name.
    pub cluster: String,
    /// The job, or the task of an array, as people name it.
    #[serde(flatten)]
    pub id: JobId,
    /// The node whose energy is counted here.
    pub node: String,
    /// How many nodes the job has.
    pub nodes: u32,
    /// The run of the node that leads, of one that follows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub follows: Option<String>,
}

/// SHA-256 over a salt and the words of a command, each ended by a zero byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandDigest {
    /// 16 random bytes in hexadecimal, hashed as these 32 characters.
    pub salt: String,
    /// In hexadecimal.
    pub sha256: String,
}

/// Whose energy a run counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// What the job's processes caused on devices that others may use as well.
    #[default]
    Job,
    /// All of the machine, whoever uses it.
    Machine,
}

/// Which day is lived out again, and how fast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayOf {
    /// The trace.
    pub trace: String,
    /// Times as fast as real.
    pub speed: f64,
}

/// The power figures in force where nothing is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssumedPower {
    /// While running.
    pub run_w: Watts,
    /// While paused.
    pub idle_w: Watts,
    /// While held.
    pub wait_w: Watts,
    /// Where they are from: `--power`, or the stated default.
    pub source: String,
}

/// What a stretch of a run was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Before the first start.
    Held,
    /// Making progress.
    Running,
    /// Saving state before a pause.
    Saving,
    /// Stopped.
    Paused,
    /// Warming up after a pause.
    Restoring,
    /// The host slept.
    Suspended,
    /// `catrain` itself: starting and ending.
    Overhead,
}

/// Who caused a stretch without progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The carbon plan.
    Carbon,
    /// `catrain pause`.
    Operator,
    /// Ctrl-Z.
    Terminal,
    /// Others use the devices that it needs.
    Devices,
    /// It failed and is tried again after a while.
    Retry,
    /// The cluster's queue: it might have started, and had no nodes.
    Queue,
    /// The node of the job that leads, for reasons of its own.
    Leader,
}

impl Cause {
    /// Every one there is.
    pub const ALL: [Self; 7] = [
        Self::Carbon,
        Self::Operator,
        Self::Terminal,
        Self::Devices,
        Self::Retry,
        Self::Queue,
        Self::Leader,
    ];

    /// As it stands in the record.
    pub fn word(self) -> &'static str {
        match self {
            Self::Carbon => "carbon",
            Self::Operator => "operator",
            Self::Terminal => "terminal",
            Self::Devices => "devices",
            Self::Retry => "retry",
            Self::Queue => "queue",
            Self::Leader => "leader",
        }
    }
}

/// A stretch of the run in one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// What it was spent on.
    pub part: Part,
    /// Who caused it, for held and paused.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub causes: Vec<Cause>,
    /// Seconds since the start of the run.
    pub from_s: f64,
    /// Seconds since the start of the run, > `from_s`.
    pub to_s: f64,
    /// UTC at `from_s`.
    pub start: Timestamp,
    /// UTC at `to_s`.
    pub end: Timestamp,
    /// Energy of the IT equipment in it, by component. That of [`CATRAIN`] counts as overhead,
    /// whatever the segment was spent on.
    pub energy: Vec<Reading>,
    /// Energy of shared devices of which nobody can say whose it was: in no sum.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unattributed: Vec<Reading>,
}

/// The component that is `catrain` itself.
pub const CATRAIN: &str = "catrain";

/// How an amount of energy is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergyKind {
    /// Read from a counter.
    Measured,
    /// From a model and something that was measured.
    Estimated,
    /// From a figure that was given or is a default.
    Assumed,
}

impl EnergyKind {
    /// As it stands in the record.
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimated => "estimated",
            Self::Assumed => "assumed",
        }
    }
}

/// By what means an amount of energy is known: what its margins depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The GPU's own counter of energy.
    GpuCounter,
    /// The GPU's power, integrated.
    GpuPower,
    /// RAPL's counters of packages and cores.
    Rapl,
    /// RAPL's counter of memory.
    RaplDram,
    /// Processor time times a figure a core.
    CpuModel,
    /// Resident memory times a figure a gigabyte.
    MemoryModel,
    /// A figure that was given, or is a default.
    Given,
}

/// Energy of one component over a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// `cpu`, `gpu 0`, `gpu 0 idle`, `memory`, `all`, [`CATRAIN`].
    pub component: String,
    /// How much.
    pub joules: Joules,
    /// How it is known.
    pub kind: EnergyKind,
    /// By what means; none in records of format 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<Method>,
    /// By whom: `--power 300 W`.
    pub source: String,
    /// The device whose energy this is as a whole, so that two runs on it at once are not counted
    /// twice; none where it is a share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub whole: Option<String>,
}

/// Intensity over one interval, with how it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntensityPoint {
    /// Included.
    pub start: Timestamp,
    /// Excluded.
    pub end: Timestamp,
    /// How much.
    pub g_per_kwh: GramsPerKwh,
    /// What it is at least, where that is known better than by its kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub low_g_per_kwh: Option<GramsPerKwh>,
    /// What it is at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub high_g_per_kwh: Option<GramsPerKwh>,
    /// How it is known, for the accounts.
    pub kind: IntensityKind,
    /// How the forecast it came with was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forecast: Option<Kind>,
}

impl IntensityPoint {
    /// What a source measured of the past, or estimated.
    pub fn observed(point: Point) -> Self {
        Self {
            start: point.span.start,
            end: point.span.end,
            g_per_kwh: point.intensity,
            low_g_per_kwh: None,
            high_g_per_kwh: None,
            kind: match point.kind {
                Kind::Estimated => IntensityKind::Preliminary,
                _ => IntensityKind::Observed,
            },
            forecast: None,
        }
    }
}

/// How an intensity is known, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntensityKind {
    /// Measured by the source.
    Observed,
    /// Measured, not yet final.
    Preliminary,
    /// Forecast by the source.
    Forecast,
    /// The usual day of the month.
    Profile,
    /// A yearly average.
    Average,
}

/// An act upon the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Start it.
    Start,
    /// Stop it for a while.
    Pause,
    /// Let it go on.
    Resume,
    /// Have it save its state.
    Checkpoint,
    /// Let it leave, to be started again.
    Release,
    /// Ask it to end.
    Stop,
    /// End it.
    Kill,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It died by this signal.
    Signal(i32),
}
