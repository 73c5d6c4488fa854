//! Metering against a fake NVML library and a fake powercap tree, whose scripts know the truth.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catrain::executor::is_of_job;
use catrain::ledger::entry::{EnergyKind, Entry, MeterFact, Method, Part, Reading, Share, What};
use catrain::ledger::{ledger_path, read};
use catrain::meter::At;
use catrain::meter::desk::{Cut, Worker};
use catrain::meter::gpu::nvml::NvmlOpener;
use catrain::meter::gpu::visible::Choice;
use catrain::meter::gpu::{Gpus, Terms};
use catrain::supervise::Usage;
use libloading::{Library, Symbol};
use tempfile::TempDir;

use super::support::{Sandbox, fixture, wait_for};

/// The job's leader, and two other processes.
const LEADER: u32 = 700_001;
const OTHER: u32 = 700_002;
const UNSEEN: u32 = 700_003;

/// Builds the fake once, and gives its path.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join(format!("libfake-nvml-{}.so", std::process::id()));
        let output = Command::new("rustc")
            .args([
                "--edition",
                "2024",
                "--crate-type",
                "cdylib",
                "-O",
                "-C",
                "strip=symbols",
                "-o",
            ])
            .arg(&library)
            .arg(fixture("nvml/fake.rs"))
            .output()
            .expect("the tests need rustc");
        assert!(output.status.success(), "{output:?}");
        library
    })
}

/// A fake of its own for one test: the library is loaded from a copy, since what is loaded twice
/// from one file is one.
struct Fake {
    library: Library,
    path: PathBuf,
    _dir: TempDir,
}

impl Fake {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libnvidia-ml.so.1");
        fs::copy(built(), &path).unwrap();
        // SAFETY: it is the library that was just built; loading it runs nothing.
        let library = unsafe { Library::new(&path) }.unwrap();
        let fake = Self {
            library,
            path,
            _dir: dir,
        };
        fake.time(0);
        fake.script(script);
        fake
    }

    fn script(&self, script: &str) {
        let text = CString::new(script).unwrap();
        // SAFETY: as in tests/fixtures/nvml/fake.rs; the text lives through the call.
        unsafe {
            let call: Symbol<'_, unsafe extern "C" fn(*const std::ffi::c_char)> =
                self.library.get(b"fake_script").unwrap();
            call(text.as_ptr());
        }
    }

    fn time(&self, milliseconds: u64) {
        // SAFETY: as in tests/fixtures/nvml/fake.rs.
        unsafe {
            let call: Symbol<'_, extern "C" fn(u64)> = self.library.get(b"fake_time").unwrap();
            call(milliseconds);
        }
    }

    fn truth(&self, gpu: u32, milliseconds: u64) -> f64 {
        // SAFETY: as in tests/fixtures/nvml/fake.rs.
        unsafe {
            let call: Symbol<'_, extern "C" fn(u32, u64) -> f64> =
                self.library.get(b"fake_truth").unwrap();
            call(gpu, milliseconds)
        }
    }
}

/// A run of the meters over a script, in the time of the test.
struct Run {
    fake: Fake,
    gpus: Gpus,
    now: u64,
    cut_at: u64,
}

fn at(milliseconds: u64) -> At {
    At {
        elapsed: Duration::from_millis(milliseconds),
        awake: Duration::from_millis(milliseconds),
    }
}

impl Run {
    fn new(script: &str, terms: Terms) -> Self {
        let fake = Fake::new(script);
        Self::of(fake, terms, LEADER)
    }

    fn of(fake: Fake, terms: Terms, leader: u32) -> Self {
        let mut gpus = gpus(&fake, terms);
        gpus.begin(at(0));
        gpus.started(at(0), leader as i32);
        Self {
            fake,
            gpus,
            now: 0,
            cut_at: 0,
        }
    }

    /// Samples each second up to then.
    fn until(&mut self, milliseconds: u64) {
        while self.now + 1000 <= milliseconds {
            self.now += 1000;
            self.fake.time(self.now);
            self.gpus.tick(at(self.now));
        }
    }

    /// The energy of the stretch that ends then; it is asked for a moment later, as from a thread.
    fn cut(&mut self, part: Part, milliseconds: u64) -> (Vec<Reading>, Vec<Reading>) {
        self.until(milliseconds);
        self.fake.time(milliseconds + 3);
        let cut = Cut {
            part,
            from: at(self.cut_at),
            to: at(milliseconds),
            usage: Usage::default(),
        };
        self.cut_at = milliseconds;
        self.gpus.cut(at(milliseconds + 3), &cut)
    }

    fn running(&mut self, milliseconds: u64) -> f64 {
        sum(&self.cut(Part::Running, milliseconds).0)
    }

    fn facts(&self) -> Vec<MeterFact> {
        self.gpus.facts()
    }
}

fn gpus(fake: &Fake, terms: Terms) -> Gpus {
    let opener = NvmlOpener {
        library: Some(fake.path.clone()),
        root: PathBuf::from("/nonexistent"),
    };
    let belongs = |leader: i32, pid: i32| match pid.cast_unsigned() {
        UNSEEN => None,
        _ => Some(leader == pid),
    };
    Gpus::new(Box::new(opener), terms, Arc::new(belongs))
}

fn sum(readings: &[Reading]) -> f64 {
    readings.iter().map(|reading| reading.joules.0).sum()
}

fn components(readings: &[Reading]) -> Vec<&str> {
    let all: BTreeSet<&str> = readings.iter().map(|it| it.component.as_str()).collect();
    all.into_iter().collect()
}

fn assigned(list: &str) -> Terms {
    Terms {
        choice: Choice {
            visible: Some(list.to_owned()),
            ..Choice::default()
        },
        ..Terms::default()
    }
}

#[track_caller]
fn assert_within(joules: f64, truth: f64, fraction: f64) {
    let off = (joules - truth).abs() / truth;
    assert!(
        off <= fraction,
        "{joules} J, in truth {truth} J: {off:.5} off"
    );
}

const H100: &str = "device GPU-0a NVIDIA_H100";
/// Between 100 and 500 W in 40 s: what a training job with evaluations does, and no multiple of a second.
const LOAD: &str = "wave 0 300 200 39.7";

#[test]
fn the_counter_gives_each_stretch_its_energy_to_a_thousandth() {
    let mut run = Run::new(&format!("{H100} tick=50\n{LOAD}"), assigned("0"));
    let mut from = 0;
    let mut all = 0.0;
    for to in [9_400, 17_250, 31_000, 64_777, 118_300] {
        let joules = run.running(to);
        let truth = run.fake.truth(0, to) - run.fake.truth(0, from);
        // A counter that ticks every 50 ms is that much behind at either end.
        assert_within(joules, truth, 0.006);
        all += joules;
        from = to;
    }
    assert_within(all, run.fake.truth(0, from), 0.001);
    assert_eq!(run.facts()[0].method, Method::GpuCounter);
    assert_eq!(run.facts()[0].trouble, None);
}

#[test]
fn without_a_counter_integrated_power_is_right_to_a_thousandth() {
    let mut run = Run::new(&format!("{H100} counter=0\n{LOAD}"), assigned("0"));
    let (readings, _) = run.cut(Part::Running, 95_300);
    assert_within(sum(&readings), run.fake.truth(0, 95_300), 0.001);
    assert_eq!(readings[0].method, Some(Method::GpuPower));
    assert_eq!(readings[0].kind, EnergyKind::Measured);
    assert_eq!(run.facts()[0].method, Method::GpuPower);
}

#[test]
fn what_is_cut_into_stretches_adds_up_to_the_whole() {
    let script = format!("{H100}\n{LOAD}");
    let mut whole = Run::new(&script, assigned("0"));
    let mut parts = Run::new(&script, assigned("0"));
    let cuts = [1, 17, 900, 1_000, 4_321, 20_001, 58_500];
    let sum: f64 = cuts.iter().map(|to| parts.running(*to)).sum();
    let whole = whole.running(60_000);
    // The counter is in whole millijoules, as is each of its readings.
    assert!((sum + parts.running(60_000) - whole).abs() < 0.02);
}

/// Runs a script of one device for a minute, and gives joules, truth and facts.
fn a_minute(fault: &str) -> (f64, f64, Run) {
    let mut run = Run::new(&format!("{H100}\n{LOAD}\n{fault}"), assigned("0"));
    let joules: f64 = (1..=6).map(|nth| run.running(nth * 10_000)).sum();
    let truth = run.fake.truth(0, 60_000);
    (joules, truth, run)
}

#[test]
fn a_counter_that_is_reset_in_mid_run_starts_anew() {
    let (joules, truth, mut run) = a_minute("reset 0 25.5");
    assert_within(joules, truth, 0.001);
    let troubles = run.gpus.troubles().join("; ");
    assert!(troubles.contains("went back"), "{troubles}");
    assert_eq!(run.facts()[0].method, Method::GpuCounter);
}

#[test]
fn a_counter_that_stands_still_is_never_a_reading_of_zero() {
    for fault in [
        "fault 0 20.5 40.5 frozen",
        "fault 0 20.5 100 zero",
        "fault 0 0 100 zero",
    ] {
        let mut run = Run::new(&format!("{H100}\n{LOAD}\n{fault}"), assigned("0"));
        let mut joules = 0.0;
        for to in (5_000..=60_000).step_by(5_000) {
            let stretch = run.running(to);
            let truth = run.fake.truth(0, to) - run.fake.truth(0, to - 5_000);
            assert!(
                stretch > 0.9 * truth,
                "{fault}: {stretch} of {truth} J up to {to}"
            );
            joules += stretch;
        }
        let truth = run.fake.truth(0, 60_000);
        // As it stops and starts between two samples, power stands for up to a second.
        assert_within(joules, truth, 0.002);
        let troubles = run.gpus.troubles().join("; ");
        assert!(troubles.contains("power"), "{fault}: {troubles}");
    }
    let mut run = Run::new(
        &format!("{H100}\n{LOAD}\nfault 0 0 100 zero"),
        assigned("0"),
    );
    run.running(10_000);
    let trouble = run.facts()[0].trouble.clone().unwrap();
    assert!(trouble.contains("stands still at 0 J"), "{trouble}");
}

#[test]
fn a_counter_that_leaps_is_refused() {
    let (joules, truth, mut run) = a_minute("leap 0 30.5 5000000");
    assert_within(joules, truth, 0.001);
    assert!(run.gpus.troubles().join("; ").contains("leapt"));
}

#[test]
fn a_device_that_vanishes_in_mid_run_is_told_and_found_again() {
    let script = format!("{H100}\n{LOAD}\nfault 0 20.5 40.5 gone");
    let mut run = Run::new(&script, assigned("0"));
    run.running(20_000);
    run.running(30_000);
    assert_eq!(run.running(40_000), 0.0);
    let trouble = run.facts()[0].trouble.clone().unwrap();
    assert!(trouble.starts_with("not metered"), "{trouble}");
    assert_eq!(run.gpus.troubles().len(), 1, "said once");
    let late = run.running(50_000);
    let truth = run.fake.truth(0, 50_000) - run.fake.truth(0, 20_000);
    assert_within(late, truth, 0.001);
    assert_eq!(run.facts()[0].trouble, None);
}

#[test]
fn a_driver_that_is_gone_is_opened_again() {
    let script = format!("{H100}\n{LOAD}\nlost 20.5 40.5");
    let mut run = Run::new(&script, assigned("0"));
    let joules: f64 = (1..=12).map(|nth| run.running(nth * 10_000)).sum();
    assert_within(joules, run.fake.truth(0, 120_000), 0.001);
    let troubles = run.gpus.troubles();
    let told = troubles
        .iter()
        .filter(|it| it.contains("opened again"))
        .count();
    assert_eq!(told, 1, "{troubles:?}");
    assert_eq!(run.gpus.notes(), ["GPUs can be read again"]);
}

fn eight(rest: &str) -> String {
    let mut script = String::new();
    for gpu in 0..8 {
        script.push_str(&format!("device GPU-{gpu}abc NVIDIA_H100\n"));
    }
    for gpu in 0..8 {
        script.push_str(&format!("wave {gpu} {} 50 23\n", 100 + 50 * gpu));
    }
    script + rest
}

#[test]
fn of_eight_gpus_only_the_two_that_are_visible_are_metered() {
    let mut run = Run::new(&eight(""), assigned("5,GPU-2a"));
    let (readings, nobody) = run.cut(Part::Running, 30_000);
    assert_eq!(components(&readings), ["gpu 2", "gpu 5"]);
    let truth = run.fake.truth(2, 30_000) + run.fake.truth(5, 30_000);
    assert_within(sum(&readings), truth, 0.001);
    assert_eq!(nobody, []);
    let uuids: Vec<_> = readings.iter().map(|it| it.whole.as_deref()).collect();
    assert_eq!(uuids, [Some("GPU-5abc"), Some("GPU-2abc")]);
    let names: BTreeSet<_> = run.facts().into_iter().map(|fact| fact.name).collect();
    assert_eq!(names, BTreeSet::from(["NVIDIA H100".to_owned()]));
}

#[test]
fn where_all_are_visible_those_that_the_job_is_on_are_billed() {
    let rest = format!("process 3 5 100 {LEADER} 80\nprocess 4 0 100 {OTHER} 90");
    let mut run = Run::new(&eight(&rest), Terms::default());
    let (readings, _) = run.cut(Part::Running, 30_000);
    assert_eq!(components(&readings), ["gpu 3"]);
    let truth = run.fake.truth(3, 30_000) - run.fake.truth(3, 4_500);
    assert_within(sum(&readings), truth, 0.04);
}

#[test]
fn all_of_the_machine_is_every_device_also_while_held() {
    let terms = Terms {
        share: Share::Machine,
        ..assigned("1")
    };
    let mut run = Run::new(&eight(""), terms);
    let (held, _) = run.cut(Part::Held, 10_000);
    assert_eq!(held.len(), 8);
    let truth: f64 = (0..8).map(|gpu| run.fake.truth(gpu, 10_000)).sum();
    assert_within(sum(&held), truth, 0.001);
}

#[test]
fn while_held_a_device_is_billed_only_if_it_is_reserved() {
    let script = format!("{H100}\n{LOAD}");
    let held = |terms| {
        let fake = Fake::new(&script);
        let mut gpus = gpus(&fake, terms);
        gpus.begin(at(0));
        gpus.tick(at(0));
        fake.time(10_000);
        let cut = Cut {
            part: Part::Held,
            from: at(0),
            to: at(10_000),
            usage: Usage::default(),
        };
        (sum(&gpus.cut(at(10_000), &cut).0), fake.truth(0, 10_000))
    };
    assert_eq!(held(assigned("0")).0, 0.0);
    let reserved = Terms {
        reserved: true,
        ..assigned("0")
    };
    let (joules, truth) = held(reserved);
    assert_within(joules, truth, 0.001);
}

#[test]
fn paused_with_memory_held_the_idle_power_is_billed() {
    let script = format!("{H100}\nload 0 0:400 10:400 10:70 60:70\nprocess 0 0 100 {LEADER} 0");
    let mut run = Run::new(&script, Terms::default());
    run.running(10_000);
    let (paused, _) = run.cut(Part::Paused, 40_000);
    assert_within(sum(&paused), 70.0 * 30.0, 0.001);
}

/// Two jobs share a device with each other, and a third process.
#[test]
fn shares_over_jobs_add_up_to_the_device_and_never_exceed_it() {
    let second = LEADER + 10;
    let script = format!(
        "{H100} utilisation=1\nload 0 0:80 10:80 10:400 200:400\n\
         process 0 10 200 {LEADER} 50\nprocess 0 10 200 {second} 30\nprocess 0 30 200 {OTHER} 20"
    );
    let seen = |leader| {
        let fake = Fake::new(&script);
        let mut run = Run::of(fake, Terms::default(), leader);
        let (readings, nobody) = run.cut(Part::Running, 100_000);
        assert_eq!(nobody, []);
        (readings, run.fake.truth(0, 100_000))
    };
    let (one, truth) = seen(LEADER);
    let (two, _) = seen(second);
    let (three, _) = seen(OTHER);
    let all = sum(&one) + sum(&two) + sum(&three);
    assert!(all <= truth, "{all} of {truth}");
    // The first ten seconds are nobody's.
    assert_within(all, truth - 800.0, 0.01);
    assert_eq!(components(&one), ["gpu 0", "gpu 0 idle"]);
    let active = |readings: &[Reading]| {
        let active = readings.iter().filter(|it| it.component == "gpu 0");
        active.map(|it| it.joules.0).sum::<f64>()
    };
    assert_within(active(&one) / active(&two), 5.0 / 3.0, 0.001);
    assert!(one.iter().all(|reading| reading.whole.is_none()), "{one:?}");
}

#[test]
fn where_the_driver_tells_no_utilisation_what_is_shared_is_nobodys_and_that_is_said() {
    let script = format!(
        "{H100} utilisation=0\nload 0 0:80 10:80 10:400 200:400\n\
         process 0 10 200 {LEADER} 50\nprocess 0 10 200 {OTHER} 30"
    );
    let mut run = Run::new(&script, Terms::default());
    let (job, nobody) = run.cut(Part::Running, 60_000);
    assert_eq!(components(&job), ["gpu 0 idle"]);
    assert_within(sum(&job), 40.0 * 50.0, 0.02);
    assert_within(sum(&nobody), 320.0 * 50.0, 0.02);
    let source = &nobody[0].source;
    assert!(source.contains("no utilisation"), "{source}");
}

#[test]
fn a_driver_that_lists_no_processes_leaves_the_device_to_the_job_and_says_so() {
    let mut run = Run::new(&format!("{H100} lists=0\n{LOAD}"), Terms::default());
    let (job, _) = run.cut(Part::Running, 30_000);
    assert_within(sum(&job), run.fake.truth(0, 30_000), 0.001);
    let source = &job[0].source;
    assert!(source.contains("lists no processes"), "{source}");
}

#[test]
fn processes_of_other_containers_are_the_jobs_only_on_a_device_that_it_was_given() {
    let script = format!("{H100}\n{LOAD}\nprocess 0 0 100 {UNSEEN} 50");
    let mut given = Run::new(&script, assigned("0"));
    let (job, _) = given.cut(Part::Running, 30_000);
    assert_within(sum(&job), given.fake.truth(0, 30_000), 0.001);
    assert!(job[0].source.contains("not visible"), "{}", job[0].source);
    let mut seen = Run::new(&script, Terms::default());
    let (job, nobody) = seen.cut(Part::Running, 30_000);
    assert_eq!(job, []);
    assert_within(sum(&nobody), seen.fake.truth(0, 30_000), 0.001);
}

#[test]
fn an_instance_has_its_slices_of_the_gpu_as_a_labelled_share() {
    let script = format!("{H100}\n{LOAD}\nmig 0 MIG-aa 3\nmig 0 MIG-bb 2");
    let mut run = Run::new(&script, assigned("MIG-bb"));
    let (readings, _) = run.cut(Part::Running, 30_000);
    assert_eq!(components(&readings), ["gpu 0 mig 1"]);
    assert_within(sum(&readings), run.fake.truth(0, 30_000) * 2.0 / 7.0, 0.001);
    assert_eq!(readings[0].kind, EnergyKind::Estimated);
    let source = &readings[0].source;
    assert!(source.contains("2 of 7 slices"), "{source}");
    assert_eq!(run.facts()[0].device.as_deref(), Some("MIG-bb"));
}

#[test]
fn a_library_that_is_not_there_is_told_where_gpus_were_asked_for() {
    let missing = || NvmlOpener {
        library: Some(PathBuf::from("/nonexistent/libnvidia-ml.so.1")),
        root: PathBuf::from("/nonexistent"),
    };
    let belongs = Arc::new(|_, _| None);
    let troubles = |named: &[&str]| {
        let mut terms = Terms::default();
        terms.choice.named = named.iter().map(|name| (*name).to_owned()).collect();
        let mut gpus = Gpus::new(Box::new(missing()), terms, belongs.clone());
        gpus.begin(at(0));
        assert!(!gpus.is_open());
        gpus.troubles()
    };
    assert_eq!(troubles(&["none"]), [""; 0]);
    // Who sets where the library is asks for GPUs as well.
    for asked in [&["0"][..], &[]] {
        let troubles = troubles(asked);
        assert!(troubles[0].contains("GPUs are not metered"), "{troubles:?}");
    }
}

#[test]
fn a_device_file_that_may_not_be_opened_makes_its_gpu_invisible() {
    // Root may open everything, whatever the mode says: a device cgroup cannot be made here.
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dev")).unwrap();
    for (minor, mode) in [(0, 0o600), (1, 0o000)] {
        use std::os::unix::fs::PermissionsExt;
        let file = root.path().join(format!("dev/nvidia{minor}"));
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let fake = Fake::new(&eight(""));
    let opener = NvmlOpener {
        library: Some(fake.path.clone()),
        root: root.path().to_owned(),
    };
    let mut gpus = Gpus::new(Box::new(opener), Terms::default(), Arc::new(|_, _| None));
    gpus.begin(at(0));
    let components: Vec<_> = gpus.facts().into_iter().map(|it| it.component).collect();
    assert_eq!(components.len(), 7);
    assert!(!components.contains(&"gpu 1".to_owned()));
}

#[test]
fn a_hole_while_the_library_was_opened_is_stated() {
    let fake = Fake::new(&format!("{H100}\n{LOAD}"));
    let mut gpus = gpus(&fake, assigned("0"));
    gpus.begin(at(0));
    gpus.tick(at(7_500));
    let trouble = gpus.facts()[0].trouble.clone();
    let stated = "not metered in the first 7 s, in which NVML was opened";
    assert_eq!(trouble.as_deref(), Some(stated));
}

#[test]
fn a_process_is_the_jobs_by_its_ancestors() {
    let mut child = Command::new("sh")
        .args(["-c", "sleep 100 & wait"])
        .spawn()
        .unwrap();
    let leader = child.id().cast_signed();
    let children = format!("/proc/{leader}/task/{leader}/children");
    let worker = wait_for("the worker starts", Duration::from_secs(20), || {
        let text = fs::read_to_string(&children).ok()?;
        text.split_ascii_whitespace().next()?.parse::<i32>().ok()
    });
    assert_eq!(is_of_job(leader, leader), Some(true));
    assert_eq!(is_of_job(leader, worker), Some(true));
    assert_eq!(is_of_job(worker, leader), Some(false));
    assert_eq!(is_of_job(leader, 1), Some(false));
    assert_eq!(
        is_of_job(leader, std::process::id().cast_signed()),
        Some(false)
    );
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(worker),
        nix::sys::signal::SIGKILL,
    )
    .unwrap();
    child.wait().unwrap();
    assert_eq!(is_of_job(leader, worker), None, "it is gone");
}

fn entries(sandbox: &Sandbox) -> Vec<Entry> {
    let runs = fs::read_dir(sandbox.state_dir().join("runs")).unwrap();
    let ids: Vec<_> = runs.map(|run| run.unwrap().file_name()).collect();
    let [id] = ids.as_slice() else {
        panic!("one run, not {ids:?}")
    };
    let path = ledger_path(&sandbox.state_dir(), id.to_str().unwrap());
    read(&path).unwrap().entries
}

/// The whole program: a job on a GPU that draws 600 J, on a machine whose package takes 50 J and whose
/// memory takes 8 J meanwhile.
#[test]
fn a_run_of_the_program_reports_the_joules_of_the_script() {
    let sandbox = Sandbox::new();
    let log = sandbox.path("log");
    let script = format!(
        "{H100}\nload 0 0:0 1.5:0 2:400 3:400 3.5:0\nlog {}\n",
        log.display()
    );
    let script = sandbox.write("script", &script);
    let domain = |id: &str, name: &str, uj: u64| {
        sandbox.write(&format!("powercap/intel-rapl:{id}/name"), name);
        sandbox.write(
            &format!("powercap/intel-rapl:{id}/max_energy_range_uj"),
            "262143328850",
        );
        sandbox.write(
            &format!("powercap/intel-rapl:{id}/energy_uj"),
            &uj.to_string(),
        );
    };
    domain("0", "package-0", 262_143_000_000);
    domain("0:0", "core", 77);
    domain("0:1", "dram", 1_000_000);
    // The job lasts until the load is over, and then lets the package and the memory have used
    // what they used; the package's counter wraps.
    let job = "until awk '$2 > 3600 { found = 1 } END { exit !found }' log; do sleep 0.05; done
        echo 49671150 > powercap/intel-rapl:0/energy_uj; echo 9000000 > powercap/intel-rapl:0:1/energy_uj";
    fs::write(&log, "").unwrap();
    let arguments = [
        "run", "--policy", "now", "--gpus", "0", "--share", "machine",
    ];
    let mut command = sandbox.catrain(arguments);
    command
        .args(["--zone", "DE", "--", "sh", "-c", job])
        .env("CATRAIN_NVML", built())
        .env("CATRAIN_FAKE_NVML", &script)
        .env("CATRAIN_POWERCAP", sandbox.path("powercap"))
        .current_dir(sandbox.path(""));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let entries = entries(&sandbox);
    let readings = entries.iter().filter_map(|entry| entry.segment());
    let readings: Vec<Reading> = readings.flat_map(|it| it.energy.clone()).collect();
    let of = |names: &[&str]| -> f64 {
        let readings = readings
            .iter()
            .filter(|it| names.contains(&it.component.as_str()));
        readings.map(|it| it.joules.0).sum()
    };
    assert_within(of(&["gpu 0"]), 600.0, 0.001);
    assert_within(of(&["cpu", "catrain"]), 50.0, 0.001);
    assert_within(of(&["memory"]), 8.0, 0.001);
    assert_within(sum(&readings), 658.0, 0.001);
    let facts = entries.iter().rev().find_map(|entry| match &entry.what {
        What::Meters { meters } => Some(meters.clone()),
        _ => None,
    });
    let facts: Vec<_> = facts
        .unwrap()
        .into_iter()
        .map(|it| (it.component, it.method))
        .collect();
    let expected = [
        ("cpu".to_owned(), Method::Rapl),
        ("memory".to_owned(), Method::RaplDram),
        ("gpu 0".to_owned(), Method::GpuCounter),
    ];
    assert_eq!(facts, expected);
}

/// A GPU that answers nothing more: the job and its end do not wait for it.
#[test]
fn a_device_that_hangs_delays_neither_the_job_nor_its_end() {
    let sandbox = Sandbox::new();
    let script = format!("{H100}\n{LOAD}\nfault 0 0.5 1000000 hang\n");
    let script = sandbox.write("script", &script);
    let mut command = sandbox.catrain(["run", "--policy", "now", "--gpus", "0", "--zone", "DE"]);
    command
        .args(["--summary", "none", "--", "sleep", "1.2"])
        .env("CATRAIN_NVML", built())
        .env("CATRAIN_FAKE_NVML", &script);
    let mut child = command.spawn().unwrap();
    let status = wait_for("the run ends", Duration::from_secs(20), || {
        child.try_wait().unwrap()
    });
    assert!(status.success());
    let last = entries(&sandbox).pop().unwrap();
    assert!(matches!(last.what, What::End { .. }), "{last:?}");
}
