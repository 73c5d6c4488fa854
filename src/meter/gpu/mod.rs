//! GPUs: opened, chosen, sampled, and lost and found again.
//!
//! | file | one idea |
//! |---|---|
//! | [`visible`] | which devices |
//! | [`gauge`] | the energy of one between two samples |
//! | [`share`] | whose it is |
//! | [`device`] | one device, and what waits for a stretch to end |
//! | [`others`] | who else is on them, before a start |
//! | [`nvml`] | the driver's library |
//!
//! [`Gpus`] is told the time, so that a test can let an hour pass; its thread is the desk's affair.

pub mod device;
pub mod gauge;
pub mod nvml;
pub mod others;
pub mod share;
pub mod visible;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::ledger::entry::{MeterFact, Part, Reading, Share};
use crate::meter::At;
use crate::meter::desk::{Cut, Worker};
use crate::units::Watts;
use device::{Device, Seen};
use share::{Claim, Whose};
use visible::{Choice, Chosen, Found, choose};

/// How often devices are sampled.
pub const EVERY: Duration = Duration::from_secs(1);
/// The same where nothing is billed yet: only the idle power is learned.
const EVERY_WHILE_HELD: Duration = Duration::from_secs(10);
/// Where there is nothing to sample.
const NEVER: Duration = Duration::from_hours(24);
/// First wait before a lost library is opened again; it doubles.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest such wait.
const AGAIN_LAST: Duration = Duration::from_mins(1);
/// Opening that takes longer than this leaves a hole that is worth a word.
const LATE: Duration = Duration::from_secs(5);
/// How often the limit is read again: somebody may set it.
const LIMIT_EVERY: Duration = Duration::from_mins(1);

/// Why the library or a device gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no library.
    Absent(String),
    /// The library, or the driver behind it, does not work.
    Library(String),
    /// One device does not answer.
    Device(String),
    /// The device has no such thing.
    Missing,
}

/// Where a device is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// NVML's number of the GPU.
    pub index: u32,
    /// UUID of the GPU.
    pub uuid: String,
    /// The number of the instance on it.
    pub instance: Option<u32>,
}

/// What the library says of a device at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// Energy since the driver was loaded, in millijoules.
    pub energy_mj: Option<u64>,
    /// Power now.
    pub power: Option<Watts>,
    /// Utilisation in percent.
    pub utilisation: Option<u32>,
    /// Processes on it, each once.
    pub processes: Option<Vec<u32>>,
}

/// An open library.
pub trait Library {
    /// The GPUs that it shows.
    ///
    /// # Errors
    /// The library does not work.
    fn list(&mut self) -> Result<Vec<Found>, Fault>;
    /// Samples a device.
    ///
    /// # Errors
    /// It, or the library, does not answer.
    fn look(&mut self, place: &Place) -> Result<Raw, Fault>;
    /// Processes that compute on it; none where the driver does not tell.
    fn computing(&mut self, place: &Place) -> Option<Vec<u32>>;
    /// The power limit that is enforced.
    fn limit(&mut self, place: &Place) -> Option<Watts>;
    /// Whether the device of this number is still the same.
    fn is_same(&mut self, place: &Place) -> bool;
    /// Utilisation by process since a time of the driver's, in percent, and the time of the newest;
    /// none where the driver does not tell.
    fn busy(&mut self, place: &Place, since_us: u64) -> Option<(BTreeMap<u32, f64>, u64)>;
    /// Lets it go; may take as long as the driver takes.
    fn close(self: Box<Self>);
}

/// Opens the library.
pub trait Opener {
    /// Opens it; may take seconds.
    ///
    /// # Errors
    /// There is none, or it does not work.
    fn open(&mut self) -> Result<Box<dyn Library>, Fault>;
    /// Whether the machine has GPUs, or somebody said where their library is, so that one that does not
    /// open is a loss.
    fn devices_are_there(&self) -> bool;
}

/// Whether a process (the second) is of the job with this leader; none where `/proc` does not show it.
pub type Belongs = Arc<dyn Fn(i32, i32) -> Option<bool> + Send + Sync>;

/// What is metered, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Which devices.
    pub choice: Choice,
    /// Whose energy counts.
    pub share: Share,
    /// Whether the devices are kept for the run.
    pub reserved: bool,
}

impl Terms {
    fn takes_all(&self) -> bool {
        self.reserved || self.share == Share::Machine
    }
}

/// All GPUs of a run.
pub struct Gpus {
    opener: Box<dyn Opener>,
    library: Option<Box<dyn Library>>,
    terms: Terms,
    belongs: Belongs,
    units: Vec<Unit>,
    /// The job's leader, once it was started.
    leader: Option<i32>,
    /// When opening began, and when it had come to a first sample.
    begun: Duration,
    first: Option<Duration>,
    /// When to open the library again, awake time.
    again: Option<Duration>,
    wait: Duration,
    was_open: bool,
    troubles: Vec<String>,
    notes: Vec<String>,
    /// Why there is nothing to meter though the machine has devices.
    closed: Option<String>,
}

/// A device, and where to ask for it.
struct Unit {
    place: Place,
    device: Device,
    limit: Option<Watts>,
    limit_at: Option<Duration>,
    busy_since_us: u64,
}

impl std::fmt::Debug for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpus")
            .field("units", &self.units.len())
            .finish_non_exhaustive()
    }
}

impl Gpus {
    /// Nothing is opened yet.
    pub fn new(opener: Box<dyn Opener>, terms: Terms, belongs: Belongs) -> Self {
        Self {
            opener,
            library: None,
            terms,
            belongs,
            units: Vec::new(),
            leader: None,
            begun: Duration::ZERO,
            first: None,
            again: None,
            wait: AGAIN_FIRST,
            was_open: false,
            troubles: Vec::new(),
            notes: Vec::new(),
            closed: None,
        }
    }

    /// Opens the library; where that fails, says when to try again.
    fn open(&mut self, at: At) {
        self.again = None;
        if self.terms.choice.is_none() {
            return;
        }
        let opened = (self.opener.open()).and_then(|mut library| match library.list() {
            Ok(found) => Ok((library, found)),
            Err(fault) => {
                library.close();
                Err(fault)
            }
        });
        match opened {
            Ok((library, found)) => {
                self.library = Some(library);
                self.wait = AGAIN_FIRST;
                self.closed = None;
                if std::mem::replace(&mut self.was_open, true) {
                    self.notes.push("GPUs can be read again".to_owned());
                    self.find_again(&found);
                } else {
                    self.choose(&found);
                }
            }
            Err(fault) => self.could_not_open(at, fault),
        }
    }

    fn could_not_open(&mut self, at: At, fault: Fault) {
        let (why, for_good) = match fault {
            Fault::Absent(why) => (why, !self.was_open),
            Fault::Library(why) | Fault::Device(why) => (why, false),
            Fault::Missing => ("it lacks what is needed".to_owned(), true),
        };
        let is_named = !self.terms.choice.named.is_empty();
        let is_missed = self.opener.devices_are_there() || is_named;
        if is_missed && !self.was_open && self.closed.is_none() {
            self.troubles.push(format!(
                "GPUs are not metered: NVML cannot be opened: {why} (--power W counts them by a given \
                 figure, --gpus none leaves them out)"
            ));
        }
        if is_missed || self.was_open {
            self.closed = Some(why);
        }
        // Without devices and without a library nothing is to be expected.
        if !for_good && (is_missed || self.was_open) {
            self.again = Some(at.awake + self.wait);
            self.wait = (self.wait * 2).min(AGAIN_LAST);
        }
    }

    fn choose(&mut self, found: &[Found]) {
        let whole = |gpu| Chosen {
            gpu,
            instance: None,
            claim: Claim::Whole,
        };
        let (chosen, troubles) = match self.terms.choice.named.is_empty() {
            true if self.terms.share == Share::Machine => {
                ((0..found.len()).map(whole).collect(), Vec::new())
            }
            _ => choose(found, &self.terms.choice),
        };
        self.troubles.extend(troubles);
        let takes_all = self.terms.takes_all();
        self.units = (chosen.iter())
            .map(|chosen| Unit::new(&found[chosen.gpu], chosen, takes_all))
            .collect();
    }

    /// After the library was opened again numbers may have changed.
    fn find_again(&mut self, found: &[Found]) {
        for unit in &mut self.units {
            match found.iter().find(|gpu| gpu.uuid == unit.place.uuid) {
                Some(gpu) => unit.place.index = gpu.index,
                None => unit.device.lost("it is not there any more"),
            }
            unit.busy_since_us = 0;
            unit.limit_at = None;
        }
    }

    /// Samples every device.
    pub fn sample(&mut self, at: At) {
        if self.library.is_none() && self.again.is_some_and(|again| again <= at.awake) {
            self.open(at);
            // That may have taken seconds: it is later than `at` now.
            return;
        }
        let Some(library) = &mut self.library else {
            return;
        };
        self.first.get_or_insert(at.elapsed);
        let mut broken = None;
        for unit in &mut self.units {
            match unit.look(library.as_mut(), at, self.leader, &self.belongs) {
                Ok(seen) => unit.device.take(at, seen, self.leader.is_some()),
                Err(Fault::Library(why)) => broken = Some(why),
                Err(Fault::Absent(why) | Fault::Device(why)) => unit.device.lost(&why),
                Err(Fault::Missing) => unit.device.lost("it cannot be found"),
            }
            self.troubles.extend(unit.device.troubles());
        }
        if let Some(why) = broken {
            self.lose(at, &why);
        }
    }

    fn lose(&mut self, at: At, why: &str) {
        self.troubles.push(format!(
            "GPUs are not metered for now: {why}; NVML is opened again"
        ));
        for unit in &mut self.units {
            unit.device.lost(why);
            // Said once for all of them.
            unit.device.troubles();
        }
        if let Some(library) = self.library.take() {
            library.close();
        }
        self.again = Some(at.awake + self.wait);
    }
}

impl Worker for Gpus {
    fn begin(&mut self, at: At) {
        self.begun = at.elapsed;
        self.open(at);
    }

    fn started(&mut self, at: At, leader: i32) {
        // What was before the start is not the job's.
        self.sample(at);
        self.leader = Some(leader);
    }

    fn tick(&mut self, at: At) {
        self.sample(at);
    }

    fn every(&self) -> Duration {
        let has_devices = self.library.is_some() && !self.units.is_empty();
        match (has_devices, self.again) {
            // Nothing to wake up for.
            (false, None) => NEVER,
            (false, Some(_)) => EVERY,
            (true, _) if self.leader.is_some() || self.terms.takes_all() => EVERY,
            (true, _) => EVERY_WHILE_HELD,
        }
    }

    fn cut(&mut self, at: At, cut: &Cut) -> (Vec<Reading>, Vec<Reading>) {
        self.sample(at);
        let (mut job, mut nobody) = (Vec::new(), Vec::new());
        for unit in &mut self.units {
            let (own, unknown) = unit.device.cut(cut.to.elapsed);
            if cut.part != Part::Held || self.terms.takes_all() {
                job.extend(own);
                nobody.extend(unknown);
            }
        }
        (job, nobody)
    }

    fn facts(&self) -> Vec<MeterFact> {
        let late = (self.first).map_or(Duration::ZERO, |first| first.saturating_sub(self.begun));
        let late = (late >= LATE).then(|| {
            let seconds = late.as_secs();
            format!("not metered in the first {seconds} s, in which NVML was opened")
        });
        let facts = self.units.iter().map(|unit| unit.device.fact());
        facts
            .map(|fact| MeterFact {
                trouble: fact.trouble.or_else(|| late.clone()),
                ..fact
            })
            .collect()
    }

    fn troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.troubles)
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn is_open(&self) -> bool {
        self.was_open && !self.units.is_empty()
    }
}

impl Unit {
    fn new(gpu: &Found, chosen: &Chosen, takes_all: bool) -> Self {
        let instance = (chosen.instance).and_then(|place| gpu.instances.as_ref()?.get(place));
        let component = match instance {
            Some(instance) => format!("gpu {} mig {}", gpu.index, instance.index),
            None => format!("gpu {}", gpu.index),
        };
        let claim = if takes_all {
            Claim::Whole
        } else {
            chosen.claim
        };
        let uuid = instance.map_or(&gpu.uuid, |instance| &instance.uuid);
        Self {
            place: Place {
                index: gpu.index,
                uuid: gpu.uuid.clone(),
                instance: instance.map(|instance| instance.index),
            },
            device: Device::new(
                component,
                gpu.name.clone(),
                uuid.clone(),
                claim,
                instance.map(|instance| instance.slices),
            ),
            limit: None,
            limit_at: None,
            busy_since_us: 0,
        }
    }

    fn look(
        &mut self,
        library: &mut dyn Library,
        at: At,
        leader: Option<i32>,
        belongs: &Belongs,
    ) -> Result<Seen, Fault> {
        let raw = library.look(&self.place)?;
        if (self.limit_at).is_none_or(|read| at.awake.saturating_sub(read) >= LIMIT_EVERY) {
            if !library.is_same(&self.place) {
                return Err(Fault::Library("the GPUs have other numbers now".to_owned()));
            }
            self.limit = library.limit(&self.place).or(self.limit);
            self.limit_at = Some(at.awake);
        }
        let whose = |pid: u32| match i32::try_from(pid).ok().filter(|pid| *pid > 0) {
            None => Whose::Unseen,
            Some(pid) => match belongs(leader.unwrap_or(-1), pid) {
                Some(true) => Whose::Job,
                Some(false) => Whose::Other,
                None => Whose::Unseen,
            },
        };
        let processes: Option<BTreeMap<u32, Whose>> =
            (raw.processes).map(|pids| pids.into_iter().map(|pid| (pid, whose(pid))).collect());
        let is_shared = (processes.as_ref()).is_some_and(|all| self.device.is_shared(all));
        let busy = match is_shared {
            true => library.busy(&self.place, self.busy_since_us),
            false => None,
        };
        let busy = busy.map(|(busy, latest)| {
            self.busy_since_us = latest;
            busy
        });
        Ok(Seen {
            energy_mj: raw.energy_mj,
            power: raw.power,
            limit: self.limit,
            utilisation: raw.utilisation,
            processes,
            busy,
        })
    }
}
