//! A machine that is made up, by its files.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::meter::rapl::Disk;
use crate::supervise::Usage;

struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        machine.write(
            "proc/cpuinfo",
            "model name : AMD EPYC 7742 64-Core Processor\n",
        );
        machine.busy(0);
        machine.write(
            "proc/meminfo",
            "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
        );
        machine
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn busy(&self, seconds: u64) {
        // Half of it in user time, half in that of the system; idle time does not count.
        let half = seconds * 50;
        let line = format!("cpu  {half} 0 {half} 99999 7 0 0 3 0 0\ncpu0 1 1 1 1\n");
        self.write("proc/stat", &line);
    }

    fn rapl(&self, package: u64, memory: u64) {
        for (id, name, energy) in [("0", "package-0", package), ("0:0", "dram", memory)] {
            self.write(&format!("rapl/intel-rapl:{id}/name"), name);
            self.write(
                &format!("rapl/intel-rapl:{id}/max_energy_range_uj"),
                "262143328850",
            );
            let energy = (energy * 1_000_000).to_string();
            self.write(&format!("rapl/intel-rapl:{id}/energy_uj"), &energy);
        }
    }

    fn host(&self, share: Share) -> Host {
        let rapl = Rapl::open(&self.dir.path().join("rapl"), Box::new(Disk));
        let terms = Terms {
            share,
            reserved: false,
            proc: self.dir.path().join("proc"),
        };
        let mut host = Host::new(rapl, terms);
        host.begin(At::default());
        host
    }
}

fn at(seconds: u64) -> At {
    At {
        elapsed: Duration::from_secs(seconds),
        awake: Duration::from_secs(seconds),
    }
}

/// The readings of the first ten seconds, in which the job worked for so many.
fn ten_seconds(host: &mut Host, part: Part, worked: u64, resident: u64) -> Vec<Reading> {
    let cut = Cut {
        part,
        from: at(0),
        to: at(10),
        usage: Usage {
            processor: Duration::from_secs(worked),
            resident,
        },
    };
    host.cut(at(10), &cut).0
}

fn of<'a>(readings: &'a [Reading], component: &str) -> &'a Reading {
    let found = readings
        .iter()
        .find(|reading| reading.component == component);
    found.unwrap_or_else(|| panic!("{component} in {readings:?}"))
}

fn is_about(joules: Joules, expected: f64) -> bool {
    // Our own processor time is real, and little.
    (joules.0 - expected).abs() <= 0.02 * expected
}

#[test]
fn without_rapl_processor_time_and_memory_are_modelled() {
    let machine = Machine::new();
    let mut host = machine.host(Share::Job);
    let readings = ten_seconds(&mut host, Part::Running, 20, 2_000_000_000);
    let cpu = of(&readings, "cpu");
    assert!(is_about(cpu.joules, 20.0 * 225.0 / 64.0), "{cpu:?}");
    assert_eq!(
        (cpu.kind, cpu.method),
        (EnergyKind::Estimated, Some(Method::CpuModel))
    );
    let memory = of(&readings, "memory");
    assert!(is_about(memory.joules, 2.0 * 0.3725 * 10.0), "{memory:?}");
    assert_eq!(memory.method, Some(Method::MemoryModel));
    assert_eq!(of(&readings, CATRAIN).kind, EnergyKind::Estimated);
    let fact = &host.facts()[0];
    assert_eq!(fact.name, "AMD EPYC 7742 64-Core Processor");
    assert!(fact.trouble.as_ref().unwrap().starts_with("no RAPL"));
}

#[test]
fn of_a_package_the_job_has_its_share_of_the_busy_time() {
    let machine = Machine::new();
    machine.rapl(100, 10);
    let mut host = machine.host(Share::Job);
    machine.rapl(1100, 50);
    machine.busy(40);
    let readings = ten_seconds(&mut host, Part::Running, 20, 1_024_000_000);
    let cpu = of(&readings, "cpu");
    assert!(is_about(cpu.joules, 500.0), "{cpu:?}");
    assert_eq!((cpu.method, cpu.whole.as_ref()), (Some(Method::Rapl), None));
    let memory = of(&readings, "memory");
    assert!(
        is_about(memory.joules, 10.0),
        "a quarter of 40 J: {memory:?}"
    );
}

#[test]
fn all_of_the_machine_is_all_of_the_package_and_catrain_is_in_it_once() {
    let machine = Machine::new();
    machine.rapl(100, 10);
    let mut host = machine.host(Share::Machine);
    machine.rapl(1100, 50);
    machine.busy(40);
    let readings = ten_seconds(&mut host, Part::Held, 0, 0);
    let total = of(&readings, "cpu").joules + of(&readings, CATRAIN).joules;
    assert!((total.0 - 1000.0).abs() < 1e-6, "{total:?}");
    assert_eq!(of(&readings, "cpu").whole.as_deref(), Some("cpu"));
    assert_eq!(of(&readings, "memory").joules, Joules(40.0));
}

#[test]
fn while_held_only_catrain_itself_is_billed() {
    let machine = Machine::new();
    machine.rapl(100, 10);
    let mut host = machine.host(Share::Job);
    machine.rapl(1100, 50);
    machine.busy(40);
    let readings = ten_seconds(&mut host, Part::Held, 0, 0);
    assert!(readings.iter().all(|reading| reading.component == CATRAIN));
}

#[test]
fn the_job_never_has_more_than_the_package() {
    let machine = Machine::new();
    machine.rapl(0, 0);
    let mut host = machine.host(Share::Job);
    machine.rapl(100, 1);
    // Its clock ticks came earlier than those of the machine.
    machine.busy(1);
    let readings = ten_seconds(&mut host, Part::Running, 5, 0);
    let total = of(&readings, "cpu").joules + of(&readings, CATRAIN).joules;
    assert!(total.0 <= 100.0 + 1e-9);
}

#[test]
fn when_rapl_goes_the_model_takes_the_whole_stretch() {
    let machine = Machine::new();
    machine.rapl(0, 0);
    let mut host = machine.host(Share::Job);
    machine.rapl(500, 1);
    host.tick(at(5));
    fs::remove_file(machine.dir.path().join("rapl/intel-rapl:0/energy_uj")).unwrap();
    machine.write("rapl/intel-rapl:0:0/energy_uj", "2000000");
    let readings = ten_seconds(&mut host, Part::Running, 10, 0);
    let cpu = of(&readings, "cpu");
    assert_eq!(cpu.method, Some(Method::CpuModel), "never both");
    assert_eq!(host.troubles().len(), 1);
    assert_eq!(host.facts()[0].method, Method::CpuModel);
}

#[test]
fn a_counter_that_stands_still_leaves_the_stretch_to_the_model() {
    let machine = Machine::new();
    machine.rapl(7, 1);
    let mut host = machine.host(Share::Job);
    machine.busy(10);
    let readings = ten_seconds(&mut host, Part::Running, 10, 1_000_000_000);
    let cpu = of(&readings, "cpu");
    assert_eq!(cpu.method, Some(Method::CpuModel));
    assert!(cpu.joules.0 > 0.0);
    assert_eq!(of(&readings, "memory").method, Some(Method::MemoryModel));
    let trouble = host.facts()[0].trouble.clone().unwrap();
    assert!(trouble.contains("stands still"), "{trouble}");
    assert_eq!(host.troubles().len(), 2, "processor and memory, once each");
}

#[test]
fn what_is_not_there_is_not_read_as_zero() {
    assert_eq!(busy_time("intr 5\n"), None);
    assert_eq!(busy_time("cpu  1 x 3\n"), None);
    assert_eq!(memory_in_use("MemTotal: 5 kB\n"), None);
    assert_eq!(read_start(Path::new("/nonexistent")), "");
    assert_eq!(mean_resident([0, 8]), 8.0, "it was not there at the start");
    assert_eq!(mean_resident([4, 8]), 6.0);
}
