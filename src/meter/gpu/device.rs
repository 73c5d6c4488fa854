//! One device that is metered: its gauge, who is on it, and what of it waits for a stretch to end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::gauge::{Gauge, Interval, Look, MEANS, Means, State};
use super::share::{Claim, Drawn, Occupancy, Split, Whose, split};
use crate::ledger::entry::{EnergyKind, MeterFact, Method, Reading};
use crate::meter::At;
use crate::meter::pile::Pile;
use crate::units::{Joules, Watts};

/// Whose energy: whole, active, idle, unknown; each by three means.
const PORTIONS: usize = 4;
const HEAPS: usize = PORTIONS * MEANS.len();
/// How long the utilisation of processes stands for the present where the driver tells nothing new.
const BUSY_FOR: Duration = Duration::from_secs(3);

/// What a sample says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Energy since the driver was loaded, in millijoules.
    pub energy_mj: Option<u64>,
    /// Power now.
    pub power: Option<Watts>,
    /// The limit that is enforced.
    pub limit: Option<Watts>,
    /// Utilisation of the device in percent.
    pub utilisation: Option<u32>,
    /// Processes on it; none where the driver does not list them.
    pub processes: Option<BTreeMap<u32, Whose>>,
    /// Utilisation by process since the last sample, where it was asked for and told.
    pub busy: Option<BTreeMap<u32, f64>>,
}

/// A device, or a share of one.
#[derive(Debug)]
pub struct Device {
    /// `gpu 0`, `gpu 0 mig 1`.
    component: String,
    name: String,
    uuid: String,
    claim: Claim,
    /// Compute slices that it has of the GPU's.
    slices: Option<(u32, u32)>,
    gauge: Gauge,
    on: Occupancy,
    /// When utilisation was last told, awake time.
    busy_at: Duration,
    /// Lowest power seen while nobody used it.
    idle: Option<Watts>,
    is_unlisted: bool,
    has_unseen: bool,
    pile: Pile<HEAPS>,
}

impl Device {
    /// A device that nothing is known of yet.
    pub fn new(
        component: String,
        name: String,
        uuid: String,
        claim: Claim,
        slices: Option<(u32, u32)>,
    ) -> Self {
        Self {
            component,
            name,
            uuid,
            claim,
            slices,
            gauge: Gauge::default(),
            on: Occupancy::default(),
            busy_at: Duration::ZERO,
            idle: None,
            is_unlisted: false,
            has_unseen: false,
            pile: Pile::default(),
        }
    }

    /// Whether utilisation by process is needed: the job shares the device with others.
    pub fn is_shared(&self, processes: &BTreeMap<u32, Whose>) -> bool {
        let one = |whose| processes.values().any(|other| *other == whose);
        self.claim != Claim::Whole && one(Whose::Other) && (one(Whose::Job) || one(Whose::Unseen))
    }

    /// It does not answer.
    pub fn lost(&mut self, why: &str) {
        self.gauge.lost(why);
    }

    /// What went wrong since this was last called.
    pub fn troubles(&mut self) -> Vec<String> {
        let troubles = self.gauge.troubles();
        (troubles.iter())
            .map(|what| format!("{} ({}): {what}", self.component, self.name))
            .collect()
    }

    /// Takes a sample. `has_started`: the job was there all the time since the last one.
    pub fn take(&mut self, at: At, seen: Seen, has_started: bool) {
        self.learn_idle(&seen);
        let before = std::mem::take(&mut self.on);
        let is_told = seen.busy.as_ref().is_some_and(|busy| !busy.is_empty());
        let is_fresh = at.awake.saturating_sub(self.busy_at) <= BUSY_FOR;
        let busy = match (seen.busy, &before.busy) {
            (Some(_), Some(old)) if !is_told && is_fresh => Some(old.clone()),
            (busy, _) => busy,
        };
        if is_told {
            self.busy_at = at.awake;
        }
        self.on = Occupancy {
            processes: seen.processes,
            busy,
        };
        self.is_unlisted = self.on.processes.is_none();
        self.has_unseen = (self.on.processes.iter().flatten()).any(|(_, w)| *w == Whose::Unseen);
        let look = Look {
            at,
            energy_mj: seen.energy_mj,
            power: seen.power,
            limit: seen.limit,
        };
        if let Some(interval) = self.gauge.take(look) {
            self.add(&interval, has_started, &before);
        }
    }

    fn add(&mut self, interval: &Interval, has_started: bool, before: &Occupancy) {
        let fraction = (self.slices).map_or(1.0, |(own, all)| f64::from(own) / f64::from(all));
        let drawn = Drawn {
            joules: interval.joules * fraction,
            time: interval.to.awake.saturating_sub(interval.from.awake),
            idle: self.idle.map(|idle| idle * fraction),
        };
        let Split {
            whole,
            active,
            idle,
            unknown,
        } = split(self.claim, has_started, drawn, before, &self.on);
        let mut heaps = [0.0; HEAPS];
        let means = interval.means as usize;
        for (portion, joules) in [whole, active, idle, unknown].into_iter().enumerate() {
            heaps[portion * MEANS.len() + means] = joules;
        }
        let (from, to) = (interval.from.elapsed, interval.to.elapsed);
        self.pile.add(from, to, heaps);
    }

    fn learn_idle(&mut self, seen: &Seen) {
        let is_empty = (seen.processes.as_ref()).is_some_and(BTreeMap::is_empty);
        let is_unused = seen.utilisation.map_or(is_empty, |percent| percent == 0);
        if let Some(power) = seen.power.filter(|power| is_unused && power.0 > 0.0) {
            let lowest = self.idle.map_or(power.0, |idle| idle.0.min(power.0));
            self.idle = Some(Watts(lowest));
        }
    }

    /// The energy of the stretch that ended at `to`: the job's, and what is nobody's.
    pub fn cut(&mut self, to: Duration) -> (Vec<Reading>, Vec<Reading>) {
        let heaps = self.pile.cut(to);
        let (mut job, mut nobody) = (Vec::new(), Vec::new());
        for (heap, joules) in heaps.into_iter().enumerate() {
            if joules > 0.0 {
                let (portion, means) = (heap / MEANS.len(), MEANS[heap % MEANS.len()]);
                let reading = self.reading(portion, means, joules);
                if portion == 3 { &mut nobody } else { &mut job }.push(reading);
            }
        }
        (job, nobody)
    }

    fn reading(&self, portion: usize, means: Means, joules: f64) -> Reading {
        let (method, kind, mut source) = match means {
            Means::Counter => (
                Method::GpuCounter,
                EnergyKind::Measured,
                "NVML energy counter".to_owned(),
            ),
            Means::Power => (
                Method::GpuPower,
                EnergyKind::Measured,
                "NVML power, integrated each second".to_owned(),
            ),
            Means::Gap => (
                Method::GpuPower,
                EnergyKind::Estimated,
                "NVML power before and after a gap".to_owned(),
            ),
        };
        let kind = match self.slices {
            Some((own, all)) => {
                source.push_str(&format!(" of the GPU × {own} of {all} slices"));
                EnergyKind::Estimated
            }
            None => kind,
        };
        source.push_str(match portion {
            0 if self.is_unlisted && self.claim != Claim::Whole => {
                "; the driver lists no processes, so all of it is the job's"
            }
            0 if self.has_unseen && self.claim == Claim::Assigned => {
                "; its processes are not visible from here and taken for the job's"
            }
            1 => "; shared by utilisation × time",
            2 => "; idle power, shared by time held",
            3 if self.has_unseen => "; shared with processes that are not visible from here",
            3 => "; shared, and the driver tells no utilisation by process",
            _ => "",
        });
        Reading {
            component: match portion {
                2 => format!("{} idle", self.component),
                _ => self.component.clone(),
            },
            joules: Joules(joules),
            kind,
            method: Some(method),
            source,
            whole: (portion == 0).then(|| self.uuid.clone()),
        }
    }

    /// What it is, and how its meter is doing.
    pub fn fact(&self) -> MeterFact {
        let (method, why) = match self.gauge.state() {
            State::Counting => (Method::GpuCounter, None),
            State::Integrating { why } => (
                Method::GpuPower,
                why.as_ref()
                    .map(|why| format!("{why}; its power is integrated")),
            ),
            State::Lost { why } => (Method::GpuPower, Some(format!("not metered: {why}"))),
        };
        MeterFact {
            component: self.component.clone(),
            name: self.name.clone(),
            method,
            device: Some(self.uuid.clone()),
            trouble: why,
        }
    }
}
