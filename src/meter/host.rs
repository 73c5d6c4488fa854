//! Processor and memory: RAPL where it can be read, else a model. Also what `catrain` itself uses.
//!
//! The job's share of a package is its processor time over the busy time of the machine, that of memory
//! its resident bytes over those in use. The model is processor time × watts of a busy core, and
//! resident bytes × watts of a gigabyte.

use std::path::PathBuf;
use std::time::Duration;

use super::At;
use super::desk::{Cut, Worker};
use super::processors::{PerCore, model_name, per_core};
use super::rapl::{Of, Rapl};
use crate::clock::own_processor_time;
use crate::ledger::entry::{CATRAIN, EnergyKind, MeterFact, Method, Part, Reading, Share};
use crate::units::{Joules, Watts};

/// Power of memory by gigabyte in use: Lannelongue, Grealey, Inouye, "Green Algorithms: Quantifying the
/// Carbon Footprint of Computation", Advanced Science 2021, 2100707, doi:10.1002/advs.202100707:
/// 0.3725 W per GB.
pub const WATTS_PER_GIGABYTE: Watts = Watts(0.3725);
/// Counters of RAPL wrap after minutes.
const EVERY: Duration = Duration::from_secs(30);

/// What is metered, and for whom.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whose energy counts.
    pub share: Share,
    /// Whether the machine is kept for the run.
    pub reserved: bool,
    /// `/proc`.
    pub proc: PathBuf,
}

/// Meters of processor and memory.
#[derive(Debug)]
pub struct Host {
    terms: Terms,
    rapl: Rapl,
    per_core: PerCore,
    last: Machine,
    /// Processor time of the job that is accounted for.
    worked: Duration,
    /// Memory of the job at the last cut, in bytes.
    resident: u64,
}

/// What the machine as a whole is at.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    /// Busy time of all processors.
    busy: Option<Duration>,
    /// Processor time of this process.
    own: Duration,
    /// Memory in use, in bytes.
    used: Option<u64>,
}

impl Host {
    /// Reads what does not change.
    pub fn new(rapl: Rapl, terms: Terms) -> Self {
        let cpuinfo = read_start(&terms.proc.join("cpuinfo"));
        let mut host = Self {
            per_core: per_core(model_name(&cpuinfo)),
            last: Machine::default(),
            worked: Duration::ZERO,
            resident: 0,
            rapl,
            terms,
        };
        host.last = host.look();
        host
    }

    fn takes_all(&self) -> bool {
        self.terms.reserved || self.terms.share == Share::Machine
    }

    fn look(&self) -> Machine {
        let text = |name| std::fs::read_to_string(self.terms.proc.join(name)).unwrap_or_default();
        Machine {
            busy: busy_time(&text("stat")),
            own: own_processor_time(),
            used: memory_in_use(&text("meminfo")),
        }
    }

    /// Reads the counters, with what the machine has worked by now.
    fn sample(&mut self, at: At, now: &Machine, job: Duration) {
        // Where that is not told, or told as none, our own and the job's is the least that it was.
        let worked = now.busy.unwrap_or_default().max(now.own + job);
        self.rapl.sample(at, worked);
    }

    fn processor(&self, spent: &Spent, rapl: Option<f64>) -> Vec<Reading> {
        let Spent { job, own, busy, .. } = *spent;
        let all = busy.max(job + own);
        let share = |time: Duration| match all.is_zero() {
            true => 0.0,
            false => time.as_secs_f64() / all.as_secs_f64(),
        };
        let Some(joules) = rapl else {
            let source = format!(
                "processor time × {:.1} W a core ({})",
                self.per_core.watts.0, self.per_core.source
            );
            let of = |component: &str, time: Duration| Reading {
                component: component.to_owned(),
                joules: self.per_core.watts * time,
                kind: EnergyKind::Estimated,
                method: Some(Method::CpuModel),
                source: source.clone(),
                whole: None,
            };
            let time = match self.terms.share {
                Share::Machine => all.saturating_sub(own),
                Share::Job => job,
            };
            return vec![of("cpu", time), of(CATRAIN, own)];
        };
        let what = match self.rapl.is_platform() {
            true => "RAPL of the platform, memory included",
            false => "RAPL of the packages",
        };
        let of = |component: &str, share: f64, source: String, whole: Option<String>| Reading {
            component: component.to_owned(),
            joules: Joules(joules * share),
            kind: EnergyKind::Measured,
            method: Some(Method::Rapl),
            source,
            whole,
        };
        let shared = format!("{what} × share of the busy processor time");
        let cpu = match self.takes_all() {
            true => of(
                "cpu",
                1.0 - share(own),
                what.to_owned(),
                Some("cpu".to_owned()),
            ),
            false => of("cpu", share(job), shared.clone(), None),
        };
        vec![cpu, of(CATRAIN, share(own), shared, None)]
    }

    fn memory(&self, spent: &Spent, rapl: Option<f64>) -> Option<Reading> {
        if self.rapl.is_platform() && self.rapl.measures(Of::Processor) {
            return None;
        }
        let (resident, used) = (spent.resident, spent.used);
        if let Some(joules) = rapl {
            let share = match (self.takes_all(), used) {
                (true, _) => 1.0,
                (false, Some(used)) if used > 0.0 => (resident / used).min(1.0),
                (false, _) => return None,
            };
            let whole = self.takes_all();
            return Some(Reading {
                component: "memory".to_owned(),
                joules: Joules(joules * share),
                kind: EnergyKind::Measured,
                method: Some(Method::RaplDram),
                source: match whole {
                    true => "RAPL of memory".to_owned(),
                    false => "RAPL of memory × share of the memory in use".to_owned(),
                },
                whole: whole.then(|| "memory".to_owned()),
            });
        }
        let bytes = match self.terms.share {
            Share::Machine => used?,
            Share::Job => resident,
        };
        let watts = WATTS_PER_GIGABYTE * (bytes / 1e9);
        Some(Reading {
            component: "memory".to_owned(),
            joules: watts * spent.time,
            kind: EnergyKind::Estimated,
            method: Some(Method::MemoryModel),
            source: format!(
                "resident memory × {} W a GB (Green Algorithms, 2021)",
                WATTS_PER_GIGABYTE.0
            ),
            whole: None,
        })
    }
}

/// What was spent in a stretch.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// Its length without host suspend.
    time: Duration,
    job: Duration,
    own: Duration,
    busy: Duration,
    /// Mean memory of the job, in bytes.
    resident: f64,
    /// Mean memory in use, in bytes.
    used: Option<f64>,
}

impl Worker for Host {
    fn begin(&mut self, at: At) {
        self.tick(at);
    }

    fn started(&mut self, _: At, _: i32) {}

    fn tick(&mut self, at: At) {
        let now = self.look();
        self.sample(at, &now, self.worked);
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn cut(&mut self, at: At, cut: &Cut) -> (Vec<Reading>, Vec<Reading>) {
        let now = self.look();
        self.sample(at, &now, self.worked.max(cut.usage.processor));
        let before = std::mem::replace(&mut self.last, now);
        let resident = [self.resident, cut.usage.resident];
        let busy = now.busy.zip(before.busy);
        let used = now.used.zip(before.used).map(|(a, b)| (a + b) as f64 / 2.0);
        let spent = Spent {
            time: cut.to.awake.saturating_sub(cut.from.awake),
            job: cut.usage.processor.saturating_sub(self.worked),
            own: now.own.saturating_sub(before.own),
            busy: busy.map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before)),
            resident: mean_resident(resident),
            used,
        };
        self.worked = self.worked.max(cut.usage.processor);
        self.resident = cut.usage.resident;
        let (from, to) = (cut.from.elapsed, cut.to.elapsed);
        let processor = self.rapl.cut(Of::Processor, from, to);
        let memory = self.rapl.cut(Of::Memory, from, to);
        let mut readings = self.processor(&spent, processor);
        readings.extend(self.memory(&spent, memory));
        // Without a job and without a claim to the machine only our own is ours.
        let has_job = !matches!(cut.part, Part::Held | Part::Overhead) || self.takes_all();
        readings.retain(|reading| {
            let is_own = reading.component == CATRAIN;
            is_own || (has_job && (reading.joules.0 > 0.0 || cut.part == Part::Running))
        });
        (readings, Vec::new())
    }

    fn facts(&self) -> Vec<MeterFact> {
        let is_measured = |of| self.rapl.measures(of);
        let processor = MeterFact {
            component: "cpu".to_owned(),
            name: self.per_core.name.clone(),
            method: match is_measured(Of::Processor) {
                true => Method::Rapl,
                false => Method::CpuModel,
            },
            device: None,
            trouble: self.rapl.fault(Of::Processor),
        };
        let platform = self.rapl.is_platform() && is_measured(Of::Processor);
        let memory = (!platform).then(|| MeterFact {
            component: "memory".to_owned(),
            name: "memory".to_owned(),
            method: match is_measured(Of::Memory) {
                true => Method::RaplDram,
                false => Method::MemoryModel,
            },
            device: None,
            trouble: self.rapl.fault(Of::Memory),
        });
        std::iter::once(processor).chain(memory).collect()
    }

    fn troubles(&mut self) -> Vec<String> {
        self.rapl.troubles()
    }

    fn notes(&mut self) -> Vec<String> {
        self.rapl.notes()
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// The mean of both ends; an end without a job (not there yet, or ended) takes the other's.
fn mean_resident([before, now]: [u64; 2]) -> f64 {
    match (before, now) {
        (0, other) | (other, 0) => other as f64,
        (before, now) => (before as f64 + now as f64) / 2.0,
    }
}

/// The first page of a file: of `/proc/cpuinfo` that is a processor or more, and the rest can take
/// long on a large machine.
fn read_start(path: &std::path::Path) -> String {
    use std::io::Read;
    let mut start = [0; 4096];
    let length = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    String::from_utf8_lossy(&start[..length.unwrap_or(0)]).into_owned()
}

/// proc(5), `/proc/stat`: `cpu user nice system idle iowait irq softirq steal …` in ticks. Guests are
/// in `user`; what a hypervisor took (`steal`) was not used here.
fn busy_time(stat: &str) -> Option<Duration> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<u64> = (line.split_ascii_whitespace().skip(1))
        .map(|word| word.parse().ok())
        .collect::<Option<_>>()?;
    let busy: u64 = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|nth| ticks.get(*nth))
        .sum();
    Some(Duration::from_millis(busy * 10))
}

/// proc(5), `/proc/meminfo`: what is neither free nor given back on demand, in bytes.
fn memory_in_use(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let used = kib("MemTotal:")?.saturating_sub(kib("MemAvailable:")?);
    Some(used * 1024)
}

#[cfg(test)]
mod tests;
