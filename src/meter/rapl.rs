//! RAPL's counters of processor and memory through powercap, each joule once.
//!
//! The kernel lists domains flat, as `intel-rapl:0` (a package), `intel-rapl:0:1` (a part of it), also
//! on AMD; some twice, as read by MSR (`intel-rapl`) and by MMIO (`intel-rapl-mmio`). What is counted:
//!
//! - packages, summed, as `cpu`; a package that does not count by its cores, if those do;
//! - `dram` as `memory`; it is not part of the package;
//! - `core` and `uncore` never beside their package, which holds them;
//! - `psys`, the whole platform, only where there is nothing else, as `cpu`; then there is no memory
//!   beside it, since it is in it;
//! - of twins the MSR one; of dies that show the same counter one, found by equal increments.
//!
//! A counter wraps at `max_energy_range_uj` (65 to 262 kJ: minutes to hours), so it is sampled each
//! half minute. What cannot be read, grows faster than it can, or stands still while processors work,
//! costs the stretch its reading, and the model takes over.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

use super::At;
use super::pile::Pile;

/// Where the kernel shows the domains.
pub const ROOT: &str = "/sys/class/powercap";
/// Above what one domain can draw: twice the largest package of November 2026 (500 W).
const HIGHEST_WATTS: f64 = 1000.0;
/// What a counter may lag behind.
const GRACE: Duration = Duration::from_secs(1);
/// Counters move each millisecond; one that stands for this long, and while processors worked for
/// so long, is stuck.
const STUCK_AFTER: Duration = Duration::from_millis(300);
const STUCK_AFTER_WORK: Duration = Duration::from_millis(100);
/// How often a counter may be stuck before it is not believed again.
const STUCK_AT_MOST: u32 = 3;
/// No file of powercap is longer, in bytes.
const LONGEST_FILE: u64 = 64;

/// Lists a folder and reads its files; tests have them fail.
pub trait Files: Send {
    /// Names in a folder.
    ///
    /// # Errors
    /// It cannot be listed.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A small file, whole.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, file: &Path) -> io::Result<String>;
}

/// The machine's files.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        let names: io::Result<Vec<_>> = names.collect();
        Ok((names?.into_iter())
            .filter_map(|name| name.into_string().ok())
            .collect())
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        // The folder can be set: what stands there may be a fifo, or have no end.
        let mut options = std::fs::OpenOptions::new();
        let file = (options.read(true).custom_flags(OFlag::O_NONBLOCK.bits())).open(file)?;
        let mut text = String::new();
        file.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LONGEST_FILE {
            let why = "it is too long for a file of powercap";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(text)
    }
}

/// What a domain is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Packages, cores, or the platform.
    Processor,
    /// Memory.
    Memory,
}

/// A domain as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// `intel-rapl:0:1`.
    pub id: String,
    /// `package-0`, `core`, `uncore`, `dram`, `psys`.
    pub name: String,
    /// Whether its counter can be read.
    pub is_readable: bool,
    /// Whether its counter is there.
    pub exists: bool,
}

impl Domain {
    /// `intel-rapl` or `intel-rapl-mmio`.
    fn control(&self) -> &str {
        self.id.split(':').next().unwrap_or_default()
    }

    /// The domain that it is part of.
    fn parent(&self) -> Option<&str> {
        let (parent, _) = self.id.rsplit_once(':')?;
        parent.contains(':').then_some(parent)
    }

    fn is_package(&self) -> bool {
        self.name.starts_with("package")
    }
}

/// The domains to count, each once.
pub fn select(domains: &[Domain]) -> Vec<(String, Of)> {
    let mut sorted: Vec<&Domain> = domains.iter().collect();
    // MSR before MMIO, and in the order of their numbers.
    sorted.sort_by_key(|domain| (domain.control().len(), domain.id.len(), domain.id.clone()));
    let mut chosen: BTreeMap<(String, Kind), &Domain> = BTreeMap::new();
    for domain in &sorted {
        let package = match domain.parent() {
            Some(parent) => sorted.iter().find(|other| other.id == parent),
            None => Some(domain),
        };
        let package = package.map_or("", |package| package.name.as_str());
        let what = match domain.name.as_str() {
            _ if domain.is_package() => Kind::Package,
            "core" => Kind::Core,
            "dram" => Kind::Memory,
            "psys" => Kind::Platform,
            _ => continue,
        };
        let place = (package.to_owned(), what);
        match chosen.get(&place) {
            Some(twin) if twin.is_readable || !domain.is_readable => {}
            _ => drop(chosen.insert(place, domain)),
        }
    }
    let has = |package: &str, what| {
        let found = chosen.get(&(package.to_owned(), what));
        found.is_some_and(|domain| domain.exists)
    };
    let mut selected: Vec<(String, Of)> = Vec::new();
    let mut platform = None;
    for ((package, what), domain) in &chosen {
        match what {
            Kind::Package if domain.exists => selected.push((domain.id.clone(), Of::Processor)),
            Kind::Core if !has(package, Kind::Package) && domain.exists => {
                selected.push((domain.id.clone(), Of::Processor));
            }
            Kind::Memory if domain.exists => selected.push((domain.id.clone(), Of::Memory)),
            Kind::Platform => platform = Some(domain.id.clone()),
            _ => {}
        }
    }
    if selected.is_empty() {
        selected.extend(platform.map(|id| (id, Of::Processor)));
    }
    selected.sort();
    selected
}

/// What a domain tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Package,
    Core,
    Memory,
    Platform,
}

/// RAPL's counters, followed.
pub struct Rapl {
    files: Box<dyn Files>,
    root: PathBuf,
    counters: Vec<Counter>,
    /// Increments of two counters: how often they were equal, and how often they were looked at.
    equal: BTreeMap<(usize, usize), (u32, u32)>,
    sides: [Side; 2],
    sampled: Option<Sampled>,
    troubles: Vec<String>,
    notes: Vec<String>,
    /// Why there are no domains.
    absent: Option<String>,
}

/// One of the two things that are counted.
#[derive(Debug, Default)]
struct Side {
    pile: Pile<1>,
    /// Since when all its counters have been read without a break.
    since: Option<Duration>,
    /// Why it is not read now.
    fault: Option<String>,
}

struct Counter {
    id: String,
    name: String,
    of: Of,
    range: Option<u64>,
    last: Option<u64>,
    /// How long it has stood still, and how long processors worked meanwhile.
    still: (Duration, Duration),
    /// How often it was stuck.
    stuck: u32,
}

impl Counter {
    /// Takes note of how much it has grown in a time, of which processors worked so much.
    fn follow(&mut self, grown: u64, awake: Duration, worked: Duration) {
        let was_stuck = self.is_stuck();
        if grown > 0 {
            if self.stuck < STUCK_AT_MOST {
                self.still = Default::default();
            }
        } else {
            self.still.0 += awake;
            self.still.1 += worked;
            self.stuck += u32::from(!was_stuck && self.is_stuck());
        }
    }

    fn is_stuck(&self) -> bool {
        self.still.0 >= STUCK_AFTER && self.still.1 >= STUCK_AFTER_WORK
    }
}

/// When counters were read, and the processor time of the machine by then.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    at: At,
    worked: Duration,
}

impl std::fmt::Debug for Rapl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rapl")
            .field("sides", &self.sides)
            .finish_non_exhaustive()
    }
}

impl Rapl {
    /// Finds the domains under `root`.
    pub fn open(root: &Path, files: Box<dyn Files>) -> Self {
        let mut rapl = Self {
            root: root.to_owned(),
            counters: Vec::new(),
            equal: BTreeMap::new(),
            sides: [Side::default(), Side::default()],
            sampled: None,
            troubles: Vec::new(),
            notes: Vec::new(),
            absent: None,
            files,
        };
        let names = match rapl.files.list(root) {
            Ok(names) => names,
            Err(error) => {
                rapl.absent = Some(format!("no RAPL: {}: {error}", root.display()));
                return rapl;
            }
        };
        let domains: Vec<Domain> = (names.into_iter())
            .filter(|name| name.starts_with("intel-rapl") && name.contains(':'))
            .filter_map(|id| rapl.domain(id))
            .collect();
        rapl.counters = select(&domains)
            .into_iter()
            .map(|(id, of)| {
                let range = rapl.text(&id, "max_energy_range_uj");
                let domain = domains.iter().find(|domain| domain.id == id);
                Counter {
                    range: range.ok().and_then(|text| text.trim().parse().ok()),
                    name: domain.map_or_else(String::new, |domain| domain.name.clone()),
                    last: None,
                    still: Default::default(),
                    stuck: 0,
                    of,
                    id,
                }
            })
            .collect();
        if rapl.counters.is_empty() {
            rapl.absent = Some(format!("no RAPL: {} shows no domain", root.display()));
        }
        rapl
    }

    fn domain(&self, id: String) -> Option<Domain> {
        let name = self.text(&id, "name").ok()?.trim().to_owned();
        let energy = self.text(&id, "energy_uj");
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        Some(Domain {
            is_readable: energy.is_ok(),
            exists: !energy.as_ref().is_err_and(is_missing),
            name,
            id,
        })
    }

    fn text(&self, id: &str, file: &str) -> io::Result<String> {
        self.files.read(&self.root.join(id).join(file))
    }

    /// Whether there are counters of this, readable or not.
    pub fn has(&self, of: Of) -> bool {
        self.counters.iter().any(|counter| counter.of == of)
    }

    /// Whether the platform as a whole is what is counted, memory included.
    pub fn is_platform(&self) -> bool {
        self.counters.iter().any(|counter| counter.name == "psys")
    }

    /// Whether this is being measured.
    pub fn measures(&self, of: Of) -> bool {
        self.has(of) && self.side(of).since.is_some()
    }

    /// Why this is not measured, and what to do about it.
    pub fn fault(&self, of: Of) -> Option<String> {
        match self.has(of) {
            true => self.side(of).fault.clone(),
            false => self.absent.clone().filter(|_| of == Of::Processor),
        }
    }

    /// What went wrong since this was last called.
    pub fn troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.troubles)
    }

    /// What became better since this was last called.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn side(&self, of: Of) -> &Side {
        &self.sides[of as usize]
    }

    /// Reads all counters. `worked` is the processor time of the machine so far: a counter that stands
    /// still meanwhile is none.
    pub fn sample(&mut self, at: At, worked: Duration) {
        let now = Sampled { at, worked };
        let before = self.sampled.replace(now);
        let mut grown = Vec::new();
        for index in 0..self.counters.len() {
            grown.push(self.read(index, before, now));
        }
        let before = before.map(|before| before.at);
        if before.is_some() {
            self.compare(&grown);
        }
        for of in [Of::Processor, Of::Memory] {
            self.add(of, before, at, &grown);
        }
    }

    fn add(&mut self, of: Of, before: Option<At>, at: At, grown: &[Result<Option<u64>, String>]) {
        let mut sum = 0;
        let mut fault = None;
        let mut is_first = false;
        for (index, counter) in self.counters.iter().enumerate() {
            if counter.of != of {
                continue;
            }
            match &grown[index] {
                Ok(Some(_)) if self.is_mirror(index) => {}
                Ok(Some(uj)) => sum += uj,
                Ok(None) => is_first = true,
                Err(why) => fault = fault.or_else(|| Some(why.clone())),
            }
        }
        let had = self.sides[of as usize].since.is_some();
        let side = &mut self.sides[of as usize];
        if let Some(why) = fault {
            if had {
                self.troubles
                    .push(format!("{why}; a model takes over until it counts"));
            }
            (side.since, side.fault) = (None, Some(why));
        } else if is_first {
            // The very first reading misses a moment; one after a break, who knows what.
            let since = before.map_or(Duration::ZERO, |_| at.elapsed);
            if side.fault.take().is_some() && before.is_some() {
                let what = if of == Of::Processor {
                    "processor"
                } else {
                    "memory"
                };
                self.notes
                    .push(format!("RAPL energy of the {what} can be read"));
            }
            side.since = Some(since);
        } else if let Some(before) = before {
            side.since.get_or_insert(at.elapsed);
            side.fault = None;
            side.pile
                .add(before.elapsed, at.elapsed, [sum as f64 / 1e6]);
        }
    }

    /// By how much a counter has grown, in microjoules; none where there is nothing to compare with.
    fn read(
        &mut self,
        index: usize,
        before: Option<Sampled>,
        Sampled { at, worked }: Sampled,
    ) -> Result<Option<u64>, String> {
        let id = &self.counters[index].id;
        let path = self.root.join(id).join("energy_uj");
        let read = self.files.read(&path).and_then(|text| {
            let number = text.trim().parse::<u64>();
            number.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no number"))
        });
        let root = self.root.display();
        let counter = &mut self.counters[index];
        let now = match read {
            Ok(now) => now,
            Err(error) => {
                counter.last = None;
                let path = path.display();
                return Err(match error.kind() {
                    io::ErrorKind::PermissionDenied => format!(
                        "cannot read RAPL energy: permission denied on {path}; until the next boot: \
                         sudo chmod a+r {root}/intel-rapl:*/energy_uj; for good: a file \
                         /etc/udev/rules.d/70-powercap.rules with SUBSYSTEM==\"powercap\", \
                         ACTION==\"add\", RUN+=\"/bin/chmod a+r /sys%p/energy_uj\""
                    ),
                    _ => format!("cannot read RAPL energy: {path}: {error}"),
                });
            }
        };
        let (Some(last), Some(before)) = (counter.last.replace(now), before) else {
            return Ok(None);
        };
        // It may have run on while the host slept, but one that wrapped then may as well be a new one.
        let worked = worked.saturating_sub(before.worked);
        let before = before.at;
        let (grown, time) = match (now.checked_sub(last), counter.range) {
            (Some(grown), _) => (grown, at.elapsed.saturating_sub(before.elapsed)),
            (None, Some(range)) if last <= range => {
                (range - last + now, at.awake.saturating_sub(before.awake))
            }
            (None, _) => (u64::MAX, Duration::ZERO),
        };
        if grown as f64 / 1e6 > HIGHEST_WATTS * (time + GRACE).as_secs_f64() {
            let what = match grown {
                u64::MAX => "went back".to_owned(),
                grown => format!(
                    "grew by {} J in {:.1} s",
                    grown / 1_000_000,
                    time.as_secs_f64()
                ),
            };
            return Err(format!(
                "RAPL's counter {} {what}, which cannot be",
                path.display()
            ));
        }
        let was_stuck = counter.is_stuck();
        counter.follow(grown, at.awake.saturating_sub(before.awake), worked);
        if counter.is_stuck() {
            return Err(format!(
                "RAPL's counter {} stands still at {} J while the processor works",
                path.display(),
                last / 1_000_000
            ));
        }
        // When it began to move is not known.
        Ok((!was_stuck).then_some(grown))
    }

    /// Counts how often two counters of the same thing grow by the very same amount.
    fn compare(&mut self, grown: &[Result<Option<u64>, String>]) {
        for one in 0..grown.len() {
            for other in 0..one {
                let (Ok(Some(a)), Ok(Some(b))) = (&grown[one], &grown[other]) else {
                    continue;
                };
                if self.counters[one].of != self.counters[other].of || (*a == 0 && *b == 0) {
                    continue;
                }
                let entry = self.equal.entry((other, one)).or_default();
                entry.0 += u32::from(a == b);
                entry.1 += 1;
            }
        }
    }

    /// Whether this counter shows what one before it shows already. Two packages are equal to the
    /// microjoule by chance once in a million samples; a mirror is unequal only where an update falls
    /// between the two reads.
    fn is_mirror(&self, index: usize) -> bool {
        (0..index).any(|other| {
            let seen = self.equal.get(&(other, index));
            seen.is_some_and(|(equal, seen)| *equal > 0 && equal * 4 >= *seen)
        })
    }

    /// Joules between two times, all of which it was read; none where it was not.
    pub fn cut(&mut self, of: Of, from: Duration, to: Duration) -> Option<f64> {
        let is_counted = self.has(of);
        let side = &mut self.sides[of as usize];
        let [joules] = side.pile.cut(to);
        let is_whole = side.since.is_some_and(|since| since <= from);
        (is_counted && is_whole).then_some(joules)
    }
}

#[cfg(test)]
mod tests;
