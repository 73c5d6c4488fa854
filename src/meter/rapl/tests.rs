//! A tree of domains that is made up, and what can go wrong with it.

use std::sync::{Arc, Mutex};

use super::*;

/// Files by path, and those that may not be read.
#[derive(Clone, Default)]
struct Tree(Arc<Mutex<BTreeMap<PathBuf, Option<String>>>>);

impl Tree {
    /// Domains by id, name and counter, under `/p`.
    fn of(domains: &[(&str, &str, u64)]) -> Self {
        let tree = Self::default();
        for (id, name, energy) in domains {
            tree.put(id, "name", &format!("{name}\n"));
            tree.put(id, "max_energy_range_uj", "262143328850\n");
            tree.set(id, *energy);
        }
        tree
    }

    fn put(&self, id: &str, file: &str, text: &str) {
        let path = Path::new("/p").join(id).join(file);
        self.0.lock().unwrap().insert(path, Some(text.to_owned()));
    }

    fn set(&self, id: &str, energy: u64) {
        self.put(id, "energy_uj", &format!("{energy}\n"));
    }

    fn forbid(&self, id: &str) {
        let path = Path::new("/p").join(id).join("energy_uj");
        self.0.lock().unwrap().insert(path, None);
    }

    fn remove(&self, id: &str) {
        let path = Path::new("/p").join(id).join("energy_uj");
        self.0.lock().unwrap().remove(&path);
    }

    fn open(&self) -> Rapl {
        let mut rapl = Rapl::open(Path::new("/p"), Box::new(self.clone()));
        rapl.sample(at(0), Duration::ZERO);
        rapl
    }
}

impl Files for Tree {
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        let files = self.0.lock().unwrap();
        let ids = files.keys().filter_map(|path| path.parent()?.file_name());
        let mut ids: Vec<String> = ids.map(|id| id.to_string_lossy().into_owned()).collect();
        ids.dedup();
        Ok(ids)
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        match self.0.lock().unwrap().get(file) {
            Some(Some(text)) => Ok(text.clone()),
            Some(None) => Err(io::ErrorKind::PermissionDenied.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn at(seconds: u64) -> At {
    At {
        elapsed: Duration::from_secs(seconds),
        awake: Duration::from_secs(seconds),
    }
}

fn selected(domains: &[(&str, &str)]) -> Vec<String> {
    let domains: Vec<Domain> = domains
        .iter()
        .map(|(id, name)| Domain {
            id: (*id).to_owned(),
            name: name.trim_end_matches('!').to_owned(),
            // An exclamation mark: it does not count.
            is_readable: !name.ends_with('!'),
            exists: !name.ends_with('!'),
        })
        .collect();
    select(&domains).into_iter().map(|(id, _)| id).collect()
}

/// Joules of the processor over a second in which one worked, having set the counters.
fn second(rapl: &mut Rapl, second: u64) -> Option<f64> {
    rapl.sample(at(second), Duration::from_secs(second));
    let (from, to) = (at(second - 1).elapsed, at(second).elapsed);
    rapl.cut(Of::Processor, from, to)
}

#[test]
fn parts_of_a_package_and_the_platform_are_not_counted_beside_it() {
    let all = [
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "uncore"),
        ("intel-rapl:0:2", "dram"),
        ("intel-rapl:1", "psys"),
    ];
    assert_eq!(selected(&all), ["intel-rapl:0", "intel-rapl:0:2"]);
}

#[test]
fn msr_and_mmio_twins_are_counted_once_and_each_package_is() {
    let all = [
        ("intel-rapl-mmio:0", "package-0"),
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:1:0", "dram"),
        ("intel-rapl:0:0", "dram"),
    ];
    let expected = [
        "intel-rapl:0",
        "intel-rapl:0:0",
        "intel-rapl:1",
        "intel-rapl:1:0",
    ];
    assert_eq!(selected(&all), expected);
    let broken = [
        ("intel-rapl:0", "package-0!"),
        ("intel-rapl-mmio:0", "package-0"),
    ];
    assert_eq!(selected(&broken), ["intel-rapl-mmio:0"]);
}

#[test]
fn cores_stand_in_for_a_package_that_does_not_count() {
    let all = [("intel-rapl:0", "package-0!"), ("intel-rapl:0:0", "core")];
    assert_eq!(selected(&all), ["intel-rapl:0:0"]);
}

#[test]
fn the_platform_counts_where_there_is_nothing_else() {
    assert_eq!(selected(&[("intel-rapl:1", "psys")]), ["intel-rapl:1"]);
}

#[test]
fn packages_are_summed_and_memory_is_apart() {
    let tree = Tree::of(&[
        ("intel-rapl:0", "package-0", 5),
        ("intel-rapl:1", "package-1", 7),
        ("intel-rapl:0:0", "dram", 0),
    ]);
    let mut rapl = tree.open();
    tree.set("intel-rapl:0", 50_000_005);
    tree.set("intel-rapl:1", 30_000_007);
    tree.set("intel-rapl:0:0", 4_000_000);
    assert_eq!(second(&mut rapl, 1), Some(80.0));
    let memory = rapl.cut(Of::Memory, Duration::ZERO, at(1).elapsed);
    assert_eq!(memory, Some(4.0));
}

#[test]
fn a_counter_wraps_at_its_range() {
    let tree = Tree::of(&[("intel-rapl:0", "package-0", 262_143_328_850 - 20_000_000)]);
    let mut rapl = tree.open();
    tree.set("intel-rapl:0", 30_000_000);
    assert_eq!(second(&mut rapl, 1), Some(50.0));
}

#[test]
fn a_counter_that_was_reset_is_not_taken_for_one_that_wrapped() {
    let tree = Tree::of(&[("intel-rapl:0", "package-0", 90_000_000_000)]);
    let mut rapl = tree.open();
    tree.set("intel-rapl:0", 1_000_000);
    assert_eq!(second(&mut rapl, 1), None, "172 kJ in a second cannot be");
    assert_eq!(rapl.troubles().len(), 1);
    tree.set("intel-rapl:0", 61_000_000);
    second(&mut rapl, 2);
    tree.set("intel-rapl:0", 91_000_000);
    assert_eq!(second(&mut rapl, 3), Some(30.0), "it counts again");
}

#[test]
fn mirrored_dies_are_counted_once() {
    let tree = Tree::of(&[
        ("intel-rapl:0", "package-0-die-0", 1_000),
        ("intel-rapl:1", "package-0-die-1", 1_000),
    ]);
    let mut rapl = tree.open();
    for (now, energy) in [(1, 100_001_000), (2, 180_001_000)] {
        tree.set("intel-rapl:0", energy);
        tree.set("intel-rapl:1", energy);
        let expected = if now == 1 { 100.0 } else { 80.0 };
        assert_eq!(second(&mut rapl, now), Some(expected));
    }
}

#[test]
fn two_packages_that_are_equal_once_by_chance_stay_two() {
    let tree = Tree::of(&[
        ("intel-rapl:0", "package-0", 0),
        ("intel-rapl:1", "package-1", 0),
    ]);
    let mut rapl = tree.open();
    let (mut one, mut other) = (0, 0);
    for now in 1..=10 {
        one += 10_000_000;
        other += if now == 6 { 10_000_000 } else { 20_000_000 };
        tree.set("intel-rapl:0", one);
        tree.set("intel-rapl:1", other);
        let expected = if now == 6 { 20.0 } else { 30.0 };
        assert_eq!(second(&mut rapl, now), Some(expected), "second {now}");
    }
}

#[test]
fn permission_lost_in_mid_run_is_told_with_the_fix_and_the_model_takes_over() {
    let tree = Tree::of(&[("intel-rapl:0", "package-0", 0)]);
    let mut rapl = tree.open();
    assert!(rapl.measures(Of::Processor));
    tree.forbid("intel-rapl:0");
    assert_eq!(second(&mut rapl, 1), None);
    assert!(!rapl.measures(Of::Processor));
    let told = rapl.troubles().remove(0);
    for part in [
        "permission denied on /p/intel-rapl:0/energy_uj",
        "sudo chmod a+r /p/intel-rapl:*/energy_uj",
        "/etc/udev/rules.d/70-powercap.rules",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(second(&mut rapl, 2), None);
    assert_eq!(rapl.troubles(), [""; 0], "said once");
    tree.set("intel-rapl:0", 900_000_000);
    assert_eq!(
        second(&mut rapl, 3),
        None,
        "what was meanwhile is not known"
    );
    tree.set("intel-rapl:0", 925_000_000);
    assert_eq!(second(&mut rapl, 4), Some(25.0));
    assert_eq!(rapl.troubles(), [""; 0]);
    let notes = rapl.notes();
    assert_eq!(notes, ["RAPL energy of the processor can be read"]);
}

#[test]
fn a_domain_that_vanishes_costs_the_sum_its_reading() {
    let tree = Tree::of(&[
        ("intel-rapl:0", "package-0", 0),
        ("intel-rapl:1", "package-1", 0),
    ]);
    let mut rapl = tree.open();
    tree.set("intel-rapl:0", 50_000_000);
    tree.remove("intel-rapl:1");
    assert_eq!(second(&mut rapl, 1), None, "half of it is no reading");
}

#[test]
fn without_rapl_it_says_so() {
    struct Nothing;
    impl Files for Nothing {
        fn list(&self, _: &Path) -> io::Result<Vec<String>> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn read(&self, _: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    let mut rapl = Rapl::open(Path::new("/p"), Box::new(Nothing));
    rapl.sample(at(0), Duration::ZERO);
    assert!(!rapl.measures(Of::Processor));
    assert!(rapl.fault(Of::Processor).unwrap().starts_with("no RAPL"));
    assert_eq!(second(&mut rapl, 1), None);
}

#[test]
fn a_number_that_is_none_is_no_reading() {
    let tree = Tree::of(&[("intel-rapl:0", "package-0", 0)]);
    let mut rapl = tree.open();
    for garbage in ["", "-5", "1e9", "18446744073709551616"] {
        tree.put("intel-rapl:0", "energy_uj", garbage);
        assert_eq!(second(&mut rapl, 1), None, "{garbage:?}");
    }
}

#[test]
fn a_counter_that_stands_still_while_processors_work_is_told_once_and_is_no_zero() {
    let tree = Tree::of(&[
        ("intel-rapl:0", "package-0", 7_000_000),
        ("intel-rapl:1", "package-1", 0),
    ]);
    let mut rapl = tree.open();
    for now in 1..=3 {
        tree.set("intel-rapl:1", now * 50_000_000);
        let joules = second(&mut rapl, now);
        assert_eq!(joules, None, "half of it is no reading");
    }
    assert!(!rapl.measures(Of::Processor));
    let told = rapl.troubles();
    assert_eq!(told.len(), 1, "{told:?}");
    let words = "counter /p/intel-rapl:0/energy_uj stands still at 7 J while the processor works";
    assert!(told[0].contains(words), "{told:?}");
    assert!(rapl.fault(Of::Processor).unwrap().contains(words));
    tree.set("intel-rapl:0", 9_000_000);
    tree.set("intel-rapl:1", 200_000_000);
    assert_eq!(second(&mut rapl, 4), None, "since when is not known");
    tree.set("intel-rapl:0", 29_000_000);
    tree.set("intel-rapl:1", 250_000_000);
    assert_eq!(second(&mut rapl, 5), Some(70.0));
    assert_eq!(rapl.notes().len(), 1);
}

#[test]
fn a_counter_that_moves_now_and_then_is_not_believed_for_ever() {
    let tree = Tree::of(&[("intel-rapl:0", "package-0", 0)]);
    let mut rapl = tree.open();
    for now in 1..=100 {
        tree.set("intel-rapl:0", now / 5 * 30_000_000);
        second(&mut rapl, now);
    }
    assert_eq!(rapl.troubles().len() as u32, STUCK_AT_MOST);
    assert!(!rapl.measures(Of::Processor));
}

#[test]
fn a_counter_may_stand_where_no_processor_works_and_for_a_moment() {
    let tree = Tree::of(&[("intel-rapl:0", "package-0", 5)]);
    let mut rapl = tree.open();
    for now in 1..=20 {
        rapl.sample(at(now), Duration::from_millis(now));
    }
    let joules = rapl.cut(Of::Processor, Duration::ZERO, at(20).elapsed);
    assert_eq!(joules, Some(0.0));
    let mut rapl = tree.open();
    let moment = At {
        elapsed: Duration::from_millis(5),
        awake: Duration::from_millis(5),
    };
    rapl.sample(moment, Duration::from_secs(1));
    assert!(rapl.measures(Of::Processor), "a tick on many processors");
    assert_eq!(rapl.troubles(), [""; 0]);
}

#[test]
fn a_file_without_an_end_or_without_a_writer_is_no_reading() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("long");
    std::fs::write(&long, "1".repeat(10_000)).unwrap();
    assert!(Disk.read(&long).is_err());
    let counter = dir.path().join("counter");
    std::fs::write(&counter, "262143328850\n").unwrap();
    assert_eq!(Disk.read(&counter).unwrap(), "262143328850\n");
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(Disk.read(&fifo).unwrap(), "", "and it does not wait");
}
