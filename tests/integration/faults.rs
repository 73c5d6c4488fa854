//! The supervisor dies, or stops, at every numbered place between two steps.
//!
//! > **A job is never stranded.** catrain killed, at any moment and in any way: within one second no
//! > process of the job is left stopped by us. catrain hung (disk, terminal, stopped itself): within
//! > 70 s.

#![expect(clippy::print_stdout, reason = "tells which places were covered")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;
use catrain::fault::Point;
use catrain::ledger::ledger_path;
use nix::sys::signal::Signal;

use crate::support::process::{self, Pid};
use crate::support::supervised::{
    LONG, Supervised, pids_in, recorded, run, runs, said, script, wait_until_running,
};
use crate::support::{SOON, Sandbox, wait_for, wait_until};

/// What has to be done for the supervisor to come by a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Start a run; its job is not there yet.
    BeforeStart,
    /// Start a run; its job is.
    Start,
    /// Pause it.
    Pause,
    /// Have it save its state.
    Save,
    /// Pause it while it forks all the time.
    PauseOfForker,
    /// Pause it while somebody continues one of its processes all the time.
    PauseInVain,
    /// Pause it and resume it.
    Resume,
    /// Let the job end.
    End,
    /// Of a job with a cgroup of its own: tested with the small supervisor of `freezer`.
    Freezer,
}

/// Every place has a way to it: one that is added is missing here, and this does not compile.
fn way_to(point: Point) -> Way {
    match point {
        Point::BeforeStart
        | Point::Adopting
        | Point::StartDecided
        | Point::Configuring
        | Point::Preparing
        | Point::Recording
        | Point::Gathering
        | Point::Driving => Way::BeforeStart,
        Point::Started
        | Point::StartDone
        | Point::GuardStarted
        | Point::GuardTold
        | Point::LeaseWritten => Way::Start,
        Point::PauseBegins
        | Point::ListSent
        | Point::ListConfirmed
        | Point::FirstStop
        | Point::HalfStopped
        | Point::AllStopped
        | Point::Scanned
        | Point::Verified
        | Point::PauseDecided
        | Point::PauseIntended
        | Point::PauseSeen => Way::Pause,
        Point::CheckpointIntended => Way::Save,
        Point::LateFindTold => Way::PauseOfForker,
        Point::Refusing => Way::PauseInVain,
        Point::ResumeBegins
        | Point::FirstContinued
        | Point::HalfContinued
        | Point::AllContinued
        | Point::ListCleared
        | Point::ResumeDecided
        | Point::ResumeDone => Way::Resume,
        Point::Farewell
        | Point::AwaitingHooks
        | Point::TellingLauncher
        | Point::ClosingRecord
        | Point::Summarising
        | Point::Remembering
        | Point::ClosingSocket
        | Point::FallingSilent => Way::End,
        Point::CellAnnounced
        | Point::CellMade
        | Point::CellEntered
        | Point::FreezeConfirmed
        | Point::FreezeAsked
        | Point::FreezeSeen
        | Point::Thawed => Way::Freezer,
    }
}

struct Scene {
    sandbox: Sandbox,
    folder: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("job");
        fs::create_dir(&folder).unwrap();
        Self { sandbox, folder }
    }

    fn start(&self, way: Way, fault: &str, shape: &str, count: usize) -> Supervised<'_> {
        let folder = self.folder.to_str().unwrap();
        let job = script("trees.py", [shape, folder, &count.to_string()]);
        let options = ["-z", "DE", "--max-delay", "0", "--summary", "none"];
        let mut options = options.to_vec();
        if way == Way::Save {
            // Nobody saves; CONT harms nobody either.
            let save = ["--pause-with", "checkpoint", "--checkpoint-signal", "CONT"];
            options.extend(save.into_iter().chain(["--checkpoint-path", "never.pt"]));
        }
        let mut command = run(&self.sandbox, &options, job);
        command
            .env("CATRAIN_FAULT", fault)
            .env("CATRAIN_TEST_LEASE_MS", LEASE.as_millis().to_string());
        if way == Way::PauseInVain {
            command.env("CATRAIN_TEST_NEVER_STOPS", "1");
        }
        Supervised::start(&self.sandbox, &mut command)
    }

    fn wait_until_ready(&self) -> Vec<Pid> {
        wait_until("the job is ready", LONG, || {
            self.folder.join("ready").exists()
        });
        pids_in(&self.folder)
    }

    /// Everyone of the job that lives: those that told of themselves, and what they forked since.
    fn job(&self, supervisor: Pid) -> Vec<Pid> {
        let mut all = self.sandbox.processes();
        all.retain(|&pid| pid != supervisor);
        all
    }
}

/// Long beside the five seconds after which it is renewed, short beside the real one.
const LEASE: Duration = Duration::from_secs(10);

/// Leads the supervisor to the place; it may die anywhere on the way.
fn lead(scene: &Scene, run: &mut Supervised<'_>, way: Way) {
    if matches!(way, Way::BeforeStart | Way::Start | Way::End) {
        return;
    }
    scene.wait_until_ready();
    run.id();
    // Dead, it answers nothing; a pause that succeeded after all is tried again.
    wait_until("the supervisor stops answering", LONG, || {
        if run.running.has_ended().is_some() || process::is_stopped(run.pid()) {
            return true;
        }
        let Some(answer) = run.try_word(Word::Status) else {
            return false;
        };
        let word = if answer["state"] == "paused" {
            Word::Resume { time: None }
        } else {
            Word::Pause
        };
        run.try_word(word).is_none()
    });
}

/// Kills the supervisor at the place; gives how long after its death the job ran.
fn killed_at(point: Point, count: usize) -> Duration {
    let scene = Scene::new();
    let way = way_to(point);
    let shape = match way {
        Way::PauseOfForker => "forker",
        Way::End => "report",
        _ => "workers",
    };
    let mut run = scene.start(way, &(point as u16).to_string(), shape, count);
    let supervisor = run.pid();
    lead(&scene, &mut run, way);
    let status = wait_for(&format!("death at {point:?}"), LONG, || {
        run.running.has_ended()
    });
    let died = monotonic();
    assert_eq!(
        status.signal(),
        Some(Signal::SIGKILL as i32),
        "{point:?} with {count} was never reached: {status:?} {}",
        run.running.stderr()
    );
    match way {
        Way::BeforeStart => {
            assert_eq!(scene.job(supervisor), [0; 0], "{point:?}: something runs");
            assert!(!scene.folder.join("pids").exists(), "{point:?}: it started");
            // The start waits for no disk: there may be no record yet.
            let state = scene.sandbox.state_dir();
            let has_ledger = |id: &String| ledger_path(&state, id).exists();
            for id in recorded(&scene.sandbox).into_iter().filter(has_ledger) {
                let text = said(&scene.sandbox, &["status", &id]);
                // It may have been killed before the first line of it.
                let is_told = ["ended before its start", "its record is empty"]
                    .iter()
                    .any(|told| text.contains(told));
                assert!(is_told, "{point:?}: {text}");
            }
            Duration::ZERO
        }
        Way::Start => {
            let pids = scene.wait_until_ready();
            assert_eq!(pids.len(), count);
            wait_until_running(&pids);
            Duration::ZERO
        }
        Way::End => {
            // The guard may still be on its way out.
            wait_until(&format!("nobody is left after {point:?}"), SOON, || {
                scene.job(supervisor).is_empty()
            });
            Duration::ZERO
        }
        Way::Freezer => unreachable!("the driver does not come by"),
        Way::Pause | Way::Save | Way::PauseOfForker | Way::PauseInVain | Way::Resume => {
            let told = pids_in(&scene.folder);
            wait_until(&format!("all run after {point:?}"), SOON, || {
                told.iter().all(|&pid| runs(pid))
            });
            let took = monotonic() - died;
            // A late find may not have told of itself.
            wait_until(&format!("nobody is stopped after {point:?}"), SOON, || {
                let job = scene.job(supervisor);
                job.iter().all(|&pid| !process::is_stopped(pid))
            });
            took
        }
    }
}

fn killed_everywhere_with(count: usize) {
    let mut slowest = Duration::ZERO;
    let mut covered = Vec::new();
    let all: Vec<Point> = (Point::ALL.iter().copied())
        .filter(|&point| way_to(point) != Way::Freezer)
        .collect();
    for &point in &all {
        let took = killed_at(point, count);
        // The machine may be busy with other tests: one more try before it counts as broken.
        let took = if took > Duration::from_secs(1) {
            took.min(killed_at(point, count))
        } else {
            took
        };
        assert!(took <= Duration::from_secs(1), "{took:?} after {point:?}");
        slowest = slowest.max(took);
        covered.push(point as u16);
    }
    println!("killed at {covered:?} with {count} processes; slowest {slowest:?}");
    assert_eq!(covered.len(), all.len());
}

#[test]
fn killed_at_every_point_the_job_of_one_process_runs_on_within_a_second() {
    killed_everywhere_with(1);
}

#[test]
fn killed_at_every_point_the_job_of_64_processes_runs_on_within_a_second() {
    killed_everywhere_with(64);
}

/// Stops the supervisor at the place, as a disk that hangs would, and continues it in the end.
fn stopped_at(point: Point) {
    let scene = Scene::new();
    let mut run = scene.start(
        way_to(point),
        &format!("{}:stop", point as u16),
        "workers",
        8,
    );
    let supervisor = run.pid();
    lead(&scene, &mut run, way_to(point));
    wait_until(&format!("a stop at {point:?}"), LONG, || {
        process::is_stopped(supervisor)
    });
    let stopped = monotonic();
    let pids = pids_in(&scene.folder);
    wait_until(&format!("all run after a stop at {point:?}"), LONG, || {
        pids.iter().all(|&pid| runs(pid))
    });
    // From the last renewal, and some for a busy machine.
    let took = monotonic() - stopped;
    assert!(took < 2 * LEASE, "{took:?} after a stop at {point:?}");
    assert!(
        process::is_stopped(supervisor),
        "it was to be hung all the time"
    );

    // Alive again, it sets things right: by now it is held by hand or was resumed, and goes on.
    process::send(supervisor, Signal::SIGCONT);
    run.resume();
    wait_until_running(&pids);
    run.pause();
    assert!(
        pids.iter().all(|&pid| process::is_stopped(pid)),
        "{point:?}"
    );
    run.resume();
    wait_until_running(&pids);
    run.word(Word::Stop);
    assert_eq!(run.end().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn stopped_inside_a_pause_the_lease_frees_the_job() {
    let places = [
        Point::FirstStop,
        Point::HalfStopped,
        Point::Verified,
        Point::PauseSeen,
        Point::ResumeBegins,
        Point::HalfContinued,
    ];
    thread::scope(|scope| {
        for point in places {
            scope.spawn(move || stopped_at(point));
        }
    });
}
