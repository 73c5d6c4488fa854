//! Training that is paused thirty times at random moments, in each mode: its weights are those of a
//! run that nobody disturbed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;
use catrain::executor::freezer::{self, Freezer};

use super::{AT_ONCE, Scene, Supervised, passed_by};
use crate::support::process::{self, Pid};
use crate::support::supervised::{LONG, outcome, run, script};
use crate::support::{SOON, Sandbox, python, wait_for, wait_until};

const PAUSES: usize = 30;
/// Where `train.py` says how far it is when it starts: a pause waits until it is back.
pub(super) const COMES_BACK: [&str; 4] = [
    "--progress-from",
    "stdout",
    "--progress-pattern",
    "steps (?<done>[0-9]+) to (?<total>[0-9]+)",
];

/// Whether jobs can be frozen here.
pub(super) fn may_freeze() -> bool {
    match freezer::try_out(Path::new("/")) {
        Ok(()) => true,
        Err(why) => {
            passed_by(&why.in_words());
            false
        }
    }
}

/// Everyone who is frozen together with this process, in order of pid; nobody if it is not.
pub(super) fn frozen_with(pid: Pid) -> Vec<Pid> {
    let own = Freezer::find(Path::new("/")).unwrap().own().to_owned();
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let cgroup = text.lines().find_map(|line| line.strip_prefix("0::"));
    let cell = own.join(Path::new(cgroup.unwrap()).file_name().unwrap());
    let events = fs::read_to_string(cell.join("cgroup.events")).unwrap_or_default();
    if !events.lines().any(|line| line == "frozen 1") {
        return Vec::new();
    }
    let members = fs::read_to_string(cell.join("cgroup.procs")).unwrap();
    let mut members: Vec<Pid> = members.lines().map(|pid| pid.parse().unwrap()).collect();
    members.sort_unstable();
    members
}

/// The weights of `train.py` after so many steps that nobody disturbed.
pub(super) fn undisturbed(steps: u32) -> &'static str {
    static KNOWN: Mutex<BTreeMap<u32, &'static str>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    known.entry(steps).or_insert_with(|| {
        let sandbox = Sandbox::new();
        let steps = steps.to_string();
        let ended = outcome(&mut sandbox.script("train.py", ["--pace", "0", "--steps", &steps]));
        Box::leak(hash(&ended.stdout).to_owned().into_boxed_str())
    })
}

/// The hash on the last line.
fn hash(output: &str) -> &str {
    let last = output.lines().last().unwrap_or_default();
    last.strip_prefix("final weights sha256 ")
        .unwrap_or_else(|| panic!("no hash at the end of {output:?}"))
}

/// Random moments, the same each time; a test that fails tells which.
struct Moments {
    seed: u64,
    random: fastrand::Rng,
}

impl Moments {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { seed, random }
    }

    /// Lets a while pass.
    fn pass(&mut self, most: Duration) {
        let until = monotonic() + most.mul_f64(self.random.f64());
        wait_until("a while passes", SOON, || monotonic() >= until);
    }
}

impl Drop for Moments {
    #[expect(
        clippy::print_stderr,
        reason = "a test that fails says at which moments"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the moments were those of seed {}", self.seed);
        }
    }
}

/// A training job that can be paused.
#[derive(Clone)]
struct Training {
    program: Vec<OsString>,
    /// What it says when it can be asked for something.
    begins: &'static str,
    /// Its first line with how far it is: after a restart, that it has restored its state.
    pattern: &'static str,
    /// Where it saves, in the folder that it is given.
    checkpoint: &'static str,
    /// What comes of it when nobody disturbs it.
    hash: String,
}

impl Training {
    /// `train.py` for so many steps.
    fn of(steps: u32) -> Self {
        let count = steps.to_string();
        let words = [
            "--steps",
            &count,
            "--pace",
            "0.04",
            "--workers",
            "2",
            "--sessions",
        ];
        Self {
            program: script(
                "train.py",
                [&words[..], &["--checkpoint-every", "0"]].concat(),
            ),
            begins: "training: steps",
            pattern: COMES_BACK[3],
            checkpoint: "*.json",
            hash: undisturbed(steps).to_owned(),
        }
    }

    /// The example with numpy and scikit-learn, where they are.
    fn example() -> Option<Self> {
        let example = "../shared/examples/train_digits.py";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(example);
        if !path.is_file() {
            passed_by(&format!("{example} is not there"));
            return None;
        }
        let chosen = std::env::var_os("CATRAIN_TEST_PYTHON").map(PathBuf::from);
        let python = chosen.unwrap_or_else(|| python().to_owned());
        let imports = Command::new(&python)
            .args(["-c", "import numpy, sklearn.datasets"])
            .output();
        if !imports.is_ok_and(|output| output.status.success()) {
            passed_by(
                "numpy and scikit-learn cannot be imported (CATRAIN_TEST_PYTHON may name a python)",
            );
            return None;
        }
        let words = [
            "--epochs",
            "150",
            "--workers",
            "2",
            "--checkpoint-every",
            "0",
        ];
        let mut program = vec![python.into_os_string(), path.into_os_string()];
        program.extend(words.map(OsString::from));
        static HASH: OnceLock<String> = OnceLock::new();
        let known = HASH.get_or_init(|| {
            let alone = outcome(Sandbox::new().command(&program[0]).args(&program[1..]));
            hash(&alone.stdout).to_owned()
        });
        Some(Self {
            hash: known.clone(),
            program,
            begins: "start pid",
            pattern: r"steps (?<done>[0-9]+)\.\.(?<total>[0-9]+)",
            checkpoint: "*.npz",
        })
    }
}

/// How training is paused.
#[derive(Clone, Copy, Debug)]
struct Way {
    mode: &'static str,
    /// What makes it save.
    signal: &'static str,
}

impl Way {
    /// What a run that is paused says of itself.
    fn paused(self) -> &'static str {
        match self.mode {
            "restart" => "released",
            _ => "paused",
        }
    }

    fn start<'a>(self, scene: &'a Scene, training: &Training) -> Supervised<'a> {
        let path = scene.folder.join(training.checkpoint).display().to_string();
        let ways = [
            "--pause-with",
            self.mode,
            "--checkpoint-signal",
            self.signal,
        ];
        let proof = ["--checkpoint-path", &path];
        let minima = ["--min-run", "0s", "--min-pause", "0s"];
        let says = [
            "--progress-from",
            "stdout",
            "--progress-pattern",
            training.pattern,
        ];
        let options = [&AT_ONCE[..], &ways, &proof, &minima, &says].concat();
        let mut job = training.program.clone();
        job.extend([
            "--checkpoint-dir".into(),
            scene.folder.clone().into_os_string(),
        ]);
        Supervised::start(&scene.sandbox, &mut run(&scene.sandbox, &options, job))
    }

    /// Pauses a run at random moments until it has been so often, or is over; gives how often.
    fn pause(self, scene: &Scene, run: &mut Supervised<'_>, begins: &str, most: usize) -> usize {
        let mut moments = Moments::new(most as u64);
        let (mut pauses, mut starts) = (0, 1);
        while pauses < most {
            // Before it is there it can be asked for nothing.
            let is_over = wait_for("it trains, or is over", LONG, || {
                let trains = run.running.stdout().matches(begins).count() == starts;
                let is_over = run.running.has_ended().is_some();
                (trains || is_over).then_some(is_over)
            });
            moments.pass(Duration::from_millis(150));
            if is_over || !reaches(run, Word::Pause, self.paused()) {
                break;
            }
            pauses += 1;
            let all = scene.job(run.pid());
            match self.mode {
                "freeze" => assert_eq!(frozen_with(run.leader()), all),
                "restart" => assert_eq!(all, [0; 0]),
                _ => assert!(all.iter().all(|&pid| process::is_stopped(pid)), "{self:?}"),
            }
            moments.pass(Duration::from_millis(50));
            if !reaches(run, Word::Resume { time: None }, "running") {
                break;
            }
            starts += usize::from(self.mode == "restart");
        }
        pauses
    }

    /// So many pauses, in one run or, where it is over before, several: each comes to the same
    /// weights as a run without.
    fn pauses(self, training: &Training, count: usize) {
        let mut left = count;
        while left > 0 {
            let scene = Scene::new();
            let mut run = self.start(&scene, training);
            let pauses = self.pause(&scene, &mut run, training.begins, left);
            let ended = run.running.wait(LONG);
            assert!(ended.status.success(), "{self:?}: {ended:?}");
            assert_eq!(hash(&ended.stdout), training.hash, "{self:?}");
            assert!(pauses > 0, "{self:?}: it was over before the first pause");
            left -= pauses;
        }
    }

    /// The same in runs beside each other.
    fn pauses_beside(runs: &[(Self, usize)], training: &Training) {
        assert_eq!(runs.iter().map(|(_, count)| count).sum::<usize>(), PAUSES);
        thread::scope(|scope| {
            for &(way, count) in runs {
                scope.spawn(move || way.pauses(training, count));
            }
        });
    }
}

/// Says a word until the run is in this state; gives whether it was, before it was over.
fn reaches(run: &mut Supervised<'_>, word: Word, state: &str) -> bool {
    let mut next = word;
    wait_for(&format!("`{state}`, or the end"), LONG, || {
        if run.running.has_ended().is_some() {
            return Some(false);
        }
        let status = run.try_word(next)?;
        next = Word::Status;
        (status["state"] == state).then_some(true)
    })
}

const STOP: Way = Way {
    mode: "stop",
    signal: "USR1",
};
const FREEZE: Way = Way {
    mode: "freeze",
    signal: "USR1",
};
const CHECKPOINT: Way = Way {
    mode: "checkpoint",
    signal: "USR1",
};
/// By hand, what chooses its way by itself keeps the memory: nobody knows how long it will be.
const AUTO: Way = Way {
    mode: "auto",
    signal: "TERM",
};
/// It saves and leaves …
const RESTART: Way = Way {
    mode: "restart",
    signal: "TERM",
};
/// … or saves, goes on, and has to be asked to end.
const RESTART_ASKED: Way = Way {
    mode: "restart",
    signal: "USR1",
};

#[test]
fn thirty_stops_change_no_weight() {
    STOP.pauses(&Training::of(400), PAUSES);
}

#[test]
fn thirty_freezes_change_no_weight() {
    if may_freeze() {
        FREEZE.pauses(&Training::of(400), PAUSES);
    }
}

#[test]
fn thirty_checkpoints_change_no_weight() {
    CHECKPOINT.pauses(&Training::of(800), PAUSES);
}

#[test]
fn thirty_pauses_by_hand_in_auto_change_no_weight() {
    AUTO.pauses(&Training::of(400), PAUSES);
}

#[test]
fn thirty_restarts_change_no_weight() {
    let runs = [(RESTART, 12), (RESTART, 12), (RESTART_ASKED, 6)];
    Way::pauses_beside(&runs, &Training::of(400));
}

// The same with numpy, where it is: its workers are spawned, not forked.

#[test]
fn thirty_stops_change_no_weight_of_the_example_with_numpy() {
    if let Some(example) = Training::example() {
        STOP.pauses(&example, PAUSES);
    }
}

#[test]
fn thirty_freezes_change_no_weight_of_the_example_with_numpy() {
    if let Some(example) = Training::example().filter(|_| may_freeze()) {
        FREEZE.pauses(&example, PAUSES);
    }
}

#[test]
fn thirty_checkpoints_change_no_weight_of_the_example_with_numpy() {
    if let Some(example) = Training::example() {
        CHECKPOINT.pauses(&example, PAUSES);
    }
}

#[test]
fn thirty_pauses_by_hand_in_auto_change_no_weight_of_the_example_with_numpy() {
    if let Some(example) = Training::example() {
        AUTO.pauses(&example, PAUSES);
    }
}

#[test]
fn thirty_restarts_change_no_weight_of_the_example_with_numpy() {
    if let Some(example) = Training::example() {
        Way::pauses_beside(&[(RESTART, 15), (RESTART, 15)], &example);
    }
}
