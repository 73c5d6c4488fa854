//! What a ledger says about a run: [`summarise`] is pure, [`text`] and [`json`] are how it looks.
//!
//! Every number keeps how it is known. Measured, estimated and assumed energy stay apart, emissions
//! of different bases are never added, and a run that did not do its work has avoided nothing.

pub mod codecarbon;
pub mod csv;
pub mod embodied;
pub mod groups;
pub mod harmless;
pub mod html;
pub mod job;
pub mod json;
pub mod markdown;
pub mod prometheus;
pub mod settlement;
pub mod text;

mod once;
mod shown;
mod surprise;
mod totals;
mod view;

use jiff::Timestamp;

use crate::emissions::{self, Account, Intensities, Parts, RunNow, counted, run_now};
use crate::forecast::{Basis, Signal};
use crate::ledger::Ledger;
use crate::ledger::chain::Chain;
use crate::ledger::entry::{
    Action, Begin, EnergyKind, Entry, Exit, IntensityKind, IntensityPoint, MeterFact, Part,
    Reading, Segment, What,
};
use crate::ledger::standing;
use crate::units::{GramsCo2e, KilowattHours, Pue};

pub use embodied::{Embodied, Hardware, Sci, Units, Unknown};
pub use surprise::Surprise;

/// What avoided emissions claim. On an average signal they are a difference of two attributions, not
/// what the grid did otherwise; that only a marginal signal speaks of.
pub fn claim(basis: Basis) -> &'static str {
    match basis.signal {
        Signal::Average => "difference",
        Signal::Marginal => "consequential",
    }
}

/// Everything that reports show of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// What was asked for.
    pub begin: Begin,
    /// When the run began.
    pub started_at: Timestamp,
    /// When it ended; none: it goes on, or its supervisor was killed, and all sums are lower bounds.
    pub ended_at: Option<Timestamp>,
    /// When the last entry was made.
    pub last_at: Timestamp,
    /// Up to when it was asked about.
    pub as_of: Timestamp,
    /// How the job ended; none when it never started or has not ended.
    pub exit: Option<Exit>,
    /// Why the run ended, when the job did not simply end.
    pub why: Option<String>,
    /// Seconds by what they were spent on.
    pub duration_s: Parts<f64>,
    /// Seconds of the run that no record tells of.
    pub unrecorded_s: f64,
    /// Whether the records tell of the whole run up to its last entry, but for a second.
    pub is_whole: bool,
    /// Seconds that the wall clock was set back by while it ran, in all.
    pub set_back_s: f64,
    /// Pauses, of any cause.
    pub pauses: u32,
    /// Starts of the job.
    pub attempts: u32,
    /// How often a cluster has started the job again.
    pub restarts: u32,
    /// Whether the work was done, so that it may be compared; of a node that follows, by the one that leads.
    pub outcome: Result<(), NotCompared>,
    /// The runs of the other nodes of its job, where it leads: whoever asks for the report has looked for
    /// them. Their numbers are in none of this run's own.
    pub followers: Vec<Self>,
    /// Energy of the IT equipment.
    pub energy: Parts<KilowattHours>,
    /// The same by component, kind and source, in order of appearance.
    pub components: Vec<Component>,
    /// One account a basis; that of the run's own basis first.
    pub emissions: Vec<Emissions>,
    /// How the deadline was kept, where there was one.
    pub deadline: Option<(Timestamp, Deadline)>,
    /// Decisions, acts and warnings in order.
    pub events: Vec<Entry>,
    /// The run cut into stretches of one part, in order.
    pub segments: Vec<Segment>,
    /// Energy of shared devices of which nobody can say whose it was: in no sum.
    pub unattributed: Vec<Component>,
    /// The meters that there were, each as it was told of last.
    pub meters: Vec<MeterFact>,
    /// The share of the run in the emissions of making its hardware: in no other sum.
    pub embodied: Result<Embodied, Unknown>,
    /// The software carbon intensity, or why it is not told.
    pub sci: Result<Sci, String>,
    /// Whether a functional unit was given, so that its absence is worth a word.
    pub asked_for_sci: bool,
    /// What is known of the record as a file; none for one in memory.
    pub record: Option<Record>,
    /// Whether not one line of it could be written: there is nothing to report of later.
    pub is_unrecorded: bool,
    /// The run that went on with its job, where it ended before that did.
    pub continued_as: Option<String>,
    /// Entries that the writer gave up.
    pub lost: u64,
    /// Bytes of a line that was cut off.
    pub torn: Option<usize>,
}

/// Energy of one component known in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// `cpu`, `gpu 0`, `all`.
    pub component: String,
    /// How much.
    pub energy: KilowattHours,
    /// How it is known.
    pub kind: EnergyKind,
    /// By whom.
    pub source: String,
}

/// Emissions by one basis.
#[derive(Clone, Debug, PartialEq)]
pub struct Emissions {
    /// What the intensities mean.
    pub basis: Basis,
    /// Of the run as it was.
    pub account: Account,
    /// Of the same work from the moment of `run` on, without the stops for carbon.
    pub run_now: Account,
    /// Run-now less actual, which may be negative; or why that is not said.
    pub avoided: Result<GramsCo2e, NotCompared>,
    /// Whether both rest on observed intensities (99 % of the energy), so that they will not change.
    pub is_settled: bool,
    /// Where the forecast was too low while the job ran.
    pub surprise: Option<Surprise>,
    /// What it was priced with.
    pub intensities: Intensities,
    /// Who said so, in order of appearance.
    pub sources: Vec<String>,
}

/// A record as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether every line follows from the one before; none where the format has no chain.
    pub is_chained: Option<bool>,
    /// The digest of its last line; none where the chain is broken, or there is none.
    pub head: Option<String>,
    /// Whether it was being written when it was read; none where that cannot be said.
    pub is_written: Option<bool>,
}

impl Record {
    /// What reading `ledger` from its file told of it, and whether that was being written just before.
    pub fn of(ledger: &Ledger, is_written: Option<bool>) -> Self {
        let intact = |chain: &&Chain| chain.broken().is_none() && chain.lines() > 0;
        let chain = ledger.chain.as_ref();
        Self {
            is_chained: chain.map(|chain| chain.broken().is_none()),
            head: chain.filter(intact).map(|chain| chain.head().to_string()),
            is_written,
        }
    }
}

/// Why a run is not compared with running at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCompared {
    /// It has not ended, or its end is not known.
    Unfinished,
    /// The job never started.
    NeverStarted,
    /// The job failed.
    Failed,
    /// It was stopped before its own end.
    Stopped,
    /// For some of the time no intensity is known.
    Uncovered,
    /// Part of the run is not recorded.
    Unrecorded,
    /// The two amounts mean different things.
    OtherBasis,
}

impl std::fmt::Display for NotCompared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "the run has no recorded end",
            Self::NeverStarted => "the job never started",
            Self::Failed => "the job failed",
            Self::Stopped => "the job was stopped before its own end",
            Self::Uncovered => "no intensity is known for part of the time",
            Self::Unrecorded => "part of the run is not recorded",
            Self::OtherBasis => "the two amounts mean different things",
        })
    }
}

/// How a deadline was kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deadline {
    /// The work was done so many seconds before it.
    Kept(f64),
    /// The work was done so many seconds after it.
    Missed(f64),
    /// The work was not done.
    NotDone,
    /// The run has no recorded end, and the deadline is still ahead.
    Open,
    /// The run has no recorded end, and the deadline has passed.
    Unknown,
}

/// What is asked of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// What was recorded later is left out.
    pub as_of: Timestamp,
    /// Compare with starting at once even where the job failed or was stopped.
    pub compares_failed: bool,
    /// Whose making is counted.
    pub hardware: Option<Hardware>,
    /// What the software carbon intensity is told by.
    pub units: Units,
    /// How the run ended that this one follows, where it follows one.
    pub leader: Option<Result<(), NotCompared>>,
}

impl From<Timestamp> for Ask {
    fn from(as_of: Timestamp) -> Self {
        Self {
            as_of,
            compares_failed: false,
            hardware: None,
            units: Units::default(),
            leader: None,
        }
    }
}

/// What `ledger` says, of what is asked; a time alone asks for what was recorded by then. None when
/// not even its first entry was written.
pub fn summarise(ledger: &Ledger, ask: impl Into<Ask>) -> Option<Summary> {
    let ask = ask.into();
    let as_of = ask.as_of;
    let (first, begin) = ledger.begin()?;
    if as_of < first.at {
        return None;
    }
    let known = |entry: &&Entry| entry.at <= as_of || entry.seq == first.seq;
    let entries: Vec<&Entry> = ledger.entries.iter().filter(known).collect();
    let segments: Vec<Segment> = entries
        .iter()
        .filter_map(|e| e.segment().cloned())
        .collect();
    let last = entries.last()?;
    let end = entries.iter().find_map(|entry| match &entry.what {
        What::End { exit, why, .. } => Some((entry.at, *exit, why.clone())),
        _ => None,
    });
    let did = |wanted: Action| {
        let is = |entry: &&&Entry| matches!(entry.what, What::Confirmed { action, .. } if action == wanted);
        entries.iter().filter(is).count() as u32
    };
    let attempts = did(Action::Start);
    let (ended_at, exit, why) = match end {
        Some((at, exit, why)) => (Some(at), exit, why),
        None => (None, None, None),
    };
    let was_stopped = why.is_some() || did(Action::Stop) + did(Action::Kill) > 0;

    let (mut duration_s, mut energy) = (Parts::default(), Parts::default());
    for segment in &segments {
        duration_s[segment.part] += emissions::length(segment);
        energy.add(&used(segment));
    }
    let reached = segments
        .iter()
        .map(|segment| segment.to_s)
        .fold(0.0, f64::max);
    let (missing, _) = emissions::untiled(&segments);
    let tail = last.elapsed_s - reached;
    let unrecorded_s = missing + if tail > 1e-3 { tail } else { 0.0 };

    let outcome = match exit {
        _ if ended_at.is_none() => Err(NotCompared::Unfinished),
        None if attempts > 0 => Err(NotCompared::Stopped),
        None => Err(NotCompared::NeverStarted),
        // Being stopped explains a failure, not the other way round.
        Some(_) if was_stopped => Err(NotCompared::Stopped),
        Some(Exit::Code(0)) => Ok(()),
        Some(_) => Err(NotCompared::Failed),
    };
    let outcome = match ask.leader {
        Some(leader) => job::outcome(outcome, leader),
        None => outcome,
    };
    let compared = match outcome {
        Err(NotCompared::Failed | NotCompared::Stopped) if ask.compares_failed => Ok(()),
        other => other,
    };
    // A second of real time is what may pass between the last segment and the last entry.
    let speed = begin.replay.as_ref().map_or(1.0, |replay| replay.speed);
    let is_whole = unrecorded_s <= speed.max(1.0);
    let comparable = match compared {
        Ok(()) if !is_whole => Err(NotCompared::Unrecorded),
        other => other,
    };
    let pue = begin.pue.unwrap_or(Pue::NONE);
    let now = run_now(&segments);
    let meters = meters(&entries);
    let emissions: Vec<Emissions> = bases(begin.basis, &entries)
        .into_iter()
        .map(|basis| Emissions::of(basis, &entries, &segments, &now, pue, comparable))
        .collect();
    let deadline = begin.deadline.map(|deadline| {
        let late = |end: Timestamp| end.duration_since(deadline).as_secs_f64();
        let how = match (ended_at, outcome) {
            (Some(end), Ok(())) if end <= deadline => Deadline::Kept(-late(end)),
            (Some(end), Ok(())) => Deadline::Missed(late(end)),
            (Some(_), Err(_)) => Deadline::NotDone,
            (None, _) if as_of < deadline => Deadline::Open,
            (None, _) => Deadline::Unknown,
        };
        (deadline, how)
    });
    let held_s = match begin.reserved {
        true => 0.0,
        false => duration_s[Part::Held],
    };
    let reserved_s = duration_s.total() + unrecorded_s - held_s;
    let embodied = embodied::embodied(ask.hardware, &meters, reserved_s);
    let operational = match emissions.first() {
        Some(own) if own.account.is_complete() => Ok(own.account.g.total()),
        _ => Err(NotCompared::Uncovered.to_string()),
    };
    let sci = embodied::sci(ask.units, operational, &embodied);
    Some(Summary {
        begin: begin.clone(),
        started_at: first.at,
        ended_at,
        last_at: last.at,
        as_of,
        exit,
        why,
        duration_s,
        unrecorded_s,
        is_whole,
        set_back_s: set_back(&entries),
        pauses: pauses(&segments),
        attempts,
        restarts: standing::restarts(ledger),
        outcome,
        followers: Vec::new(),
        energy,
        components: components(&segments),
        emissions,
        deadline,
        events: entries
            .iter()
            .filter(|e| is_event(e))
            .map(|e| (*e).clone())
            .collect(),
        unattributed: unattributed(&segments),
        segments,
        meters,
        embodied,
        sci,
        asked_for_sci: ask.units.unit.is_some(),
        record: None,
        is_unrecorded: false,
        continued_as: None,
        lost: ledger.lost,
        torn: ledger.torn,
    })
}

impl Emissions {
    fn of(
        basis: Basis,
        entries: &[&Entry],
        segments: &[Segment],
        now: &RunNow,
        pue: Pue,
        comparable: Result<(), NotCompared>,
    ) -> Self {
        let points: Vec<&IntensityPoint> = points(basis, entries).collect();
        let intensities = Intensities::from_points(points.iter().copied());
        let account = emissions::account(segments, &intensities, basis, pue);
        let run_now = emissions::account(&now.segments, &intensities, basis, pue);
        let is_complete = account.is_complete() && run_now.is_complete();
        let avoided = match comparable {
            Ok(()) if !is_complete => Err(NotCompared::Uncovered),
            Ok(()) => (account.less_than(&run_now)).map_err(|_| NotCompared::OtherBasis),
            Err(why) => Err(why),
        };
        let observed = |account: &Account| {
            account.energy().0 == 0.0 || account.share(IntensityKind::Observed) >= 0.99
        };
        let is_over = comparable != Err(NotCompared::Unfinished);
        Self {
            basis,
            is_settled: is_over && is_complete && observed(&account) && observed(&run_now),
            surprise: surprise::find(&points, segments),
            sources: sources(basis, entries),
            intensities,
            account,
            run_now,
            avoided,
        }
    }

    /// The worse kind of intensity of the two that are compared: the difference is known no better.
    pub fn worst_kind(&self) -> Option<IntensityKind> {
        self.account.worst_kind().max(self.run_now.worst_kind())
    }

    /// Avoided emissions as a fraction of run-now's, where both are known and the latter not zero.
    pub fn avoided_fraction(&self) -> Option<f64> {
        let base = self.run_now.g.total();
        let avoided = self.avoided.ok()?;
        (base.0 > 0.0).then(|| avoided / base)
    }
}

impl Summary {
    /// How much of the energy is known in this way, 0 to 1; 0 where there is no energy.
    pub fn energy_share(&self, kind: EnergyKind) -> f64 {
        let sum = |is: &dyn Fn(&&Component) -> bool| -> KilowattHours {
            self.components.iter().filter(is).map(|c| c.energy).sum()
        };
        let all = sum(&|_| true);
        match all.0 > 0.0 {
            true => sum(&|component| component.kind == kind) / all,
            false => 0.0,
        }
    }

    /// What the energy is the energy of.
    pub fn boundary(&self) -> String {
        match self.begin.pue {
            None => "IT equipment only; cooling and power supply not included".to_owned(),
            Some(pue) => format!("IT equipment times a PUE of {}", pue.ratio()),
        }
    }

    /// Whether no end is recorded, so that all sums are lower bounds.
    pub fn is_unfinished(&self) -> bool {
        self.ended_at.is_none()
    }

    /// Whether the run goes on: it has no end, and its record is being written.
    pub fn is_running(&self) -> bool {
        let is_written = self.record.as_ref().and_then(|record| record.is_written);
        self.is_unfinished() && is_written == Some(true)
    }

    /// Seconds that a run that goes on has lasted: records come some seconds late. Of a replay, which
    /// has a clock of its own, they are all that is known.
    pub fn so_far_s(&self) -> f64 {
        let recorded = self.elapsed_s();
        match self.begin.replay {
            Some(_) => recorded,
            None => {
                let since = self.as_of.duration_since(self.started_at).as_secs_f64();
                since.max(recorded)
            }
        }
    }

    /// `ended`, `running`, or `unfinished` where its supervisor was killed or nobody can tell.
    pub fn state(&self) -> &'static str {
        match (self.is_unfinished(), self.is_running()) {
            (false, _) => "ended",
            (true, true) => "running",
            (true, false) => "unfinished",
        }
    }

    /// Whether each line of the record follows from the one before; none where it is not known.
    pub fn is_intact(&self) -> Option<bool> {
        self.record.as_ref().and_then(|record| record.is_chained)
    }

    /// Why it is not compared with starting at once, in words.
    pub fn not_compared(&self, why: NotCompared) -> String {
        match why {
            NotCompared::Unfinished if self.is_running() => "the run goes on".to_owned(),
            why => why.to_string(),
        }
    }

    /// Seconds from the start to the end or the last record.
    pub fn elapsed_s(&self) -> f64 {
        self.duration_s.total() + self.unrecorded_s
    }
}

/// Energy of a segment by what it counts as.
pub(crate) fn used(segment: &Segment) -> Parts<KilowattHours> {
    let mut used = Parts::default();
    for reading in &segment.energy {
        let part = emissions::part_of(segment, reading);
        used[part] += KilowattHours::from(counted(reading.joules));
    }
    used
}

fn points<'a>(wanted: Basis, entries: &'a [&'a Entry]) -> impl Iterator<Item = &'a IntensityPoint> {
    entries.iter().flat_map(move |entry| match &entry.what {
        What::Intensity { basis, points, .. } | What::Settlement { basis, points, .. }
            if *basis == wanted =>
        {
            points.as_slice()
        }
        _ => &[],
    })
}

fn sources(wanted: Basis, entries: &[&Entry]) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    for entry in entries {
        if let What::Intensity { basis, source, .. } | What::Settlement { basis, source, .. } =
            &entry.what
            && *basis == wanted
            && !sources.contains(source)
        {
            sources.push(source.clone());
        }
    }
    sources
}

/// The run's own basis first, then others in order of appearance. Where nothing was ever known by
/// its own, since its source never answered, what stood in comes first.
fn bases(own: Basis, entries: &[&Entry]) -> Vec<Basis> {
    let mut bases = Vec::new();
    if points(own, entries).next().is_some() {
        bases.push(own);
    }
    for entry in entries {
        if let What::Intensity { basis, .. } | What::Settlement { basis, .. } = &entry.what
            && !bases.contains(basis)
        {
            bases.push(*basis);
        }
    }
    if bases.is_empty() {
        bases.push(own);
    }
    bases
}

/// Seconds by which the wall clock of a run fell behind its own count of time, less what is the
/// steering of a clock. A replay's times are nobody's clock.
fn set_back(entries: &[&Entry]) -> f64 {
    if matches!(&entries, [first, ..] if matches!(&first.what, What::Begin(begin) if begin.replay.is_some()))
    {
        return 0.0;
    }
    let behind = entries.windows(2).map(|two| {
        let passed = two[1].elapsed_s - two[0].elapsed_s;
        let wall = two[1].at.duration_since(two[0].at).as_secs_f64();
        let behind = passed - wall;
        let steered = 1.0 + 0.001 * passed.abs();
        if behind > steered { behind } else { 0.0 }
    });
    behind.fold(0.0, |all, one| all + one)
}

/// Stretches with a pause in them, between running and running.
fn pauses(segments: &[Segment]) -> u32 {
    let mut is_in_pause = false;
    let mut pauses = 0;
    for segment in segments {
        match segment.part {
            Part::Paused if !is_in_pause => {
                pauses += 1;
                is_in_pause = true;
            }
            Part::Running | Part::Held => is_in_pause = false,
            _ => {}
        }
    }
    pauses
}

fn meters(entries: &[&Entry]) -> Vec<MeterFact> {
    let mut known: Vec<MeterFact> = Vec::new();
    for entry in entries {
        let What::Meters { meters } = &entry.what else {
            continue;
        };
        for fact in meters {
            let same = |known: &&mut MeterFact| {
                (&known.component, &known.device) == (&fact.component, &fact.device)
            };
            match known.iter_mut().find(same) {
                Some(known) => *known = fact.clone(),
                None => known.push(fact.clone()),
            }
        }
    }
    known
}

fn components(segments: &[Segment]) -> Vec<Component> {
    by_component(segments.iter().flat_map(|segment| &segment.energy))
}

fn unattributed(segments: &[Segment]) -> Vec<Component> {
    by_component(segments.iter().flat_map(|segment| &segment.unattributed))
}

fn by_component<'a>(readings: impl Iterator<Item = &'a Reading>) -> Vec<Component> {
    let mut components: Vec<Component> = Vec::new();
    for reading in readings {
        let same = |known: &&mut Component| {
            known.component == reading.component
                && known.kind == reading.kind
                && known.source == reading.source
        };
        let energy = counted(reading.joules).into();
        match components.iter_mut().find(same) {
            Some(known) => known.energy += energy,
            None => components.push(Component {
                component: reading.component.clone(),
                energy,
                kind: reading.kind,
                source: reading.source.clone(),
            }),
        }
    }
    components
}

fn is_event(entry: &Entry) -> bool {
    !matches!(
        entry.what,
        What::Begin(_)
            | What::Segment(_)
            | What::Intensity { .. }
            | What::Intent { .. }
            | What::Meters { .. }
            | What::Settlement { .. }
            | What::End { .. }
            | What::Unknown
    )
}

#[cfg(test)]
pub(crate) mod tests;
