//! How a run starts up and shuts down: told to end in the middle of any task, as a service of systemd,
//! and as the first process of a container.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::child::Running;
use crate::support::process;
use crate::support::supervised::{LONG, Supervised, outcome, run, said};
use crate::support::{SOON, Sandbox, fixture, wait_for, wait_until};
use crate::terminal::{CATRAIN, hold_for_hours};

const STILL: [&str; 6] = ["-z", "DE", "--max-delay", "0", "--summary", "none"];

/// What a service manager heard so far.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn listening(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    fn listen(&mut self) {
        let mut text = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut text) {
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }

    #[track_caller]
    fn expect(&mut self, what: &str) -> String {
        wait_for(&format!("`{what}` is told"), SOON, || {
            self.listen();
            self.heard
                .iter()
                .find(|line| line.starts_with(what))
                .cloned()
        })
    }

    fn count(&mut self, what: &str) -> usize {
        self.listen();
        self.heard.iter().filter(|line| *line == what).count()
    }
}

/// > A service is up once it is under control, held or started.
#[test]
fn a_service_manager_is_told_that_a_run_is_up_how_it_stands_and_that_it_ends() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("notify");
    let mut manager = Manager::listening(&path);
    let mut command = run(&sandbox, &STILL, ["sh", "-c", "env; exec sleep 100"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "600000");
    let mut run = Supervised::start(&sandbox, &mut command);
    manager.expect("READY=1");
    manager.expect("STATUS=running, the job is pid ");
    wait_until("signs of life", SOON, || manager.count("WATCHDOG=1") > 1);
    run.pause();
    manager.expect("STATUS=paused by hand");
    assert_eq!(manager.count("READY=1"), 1);
    said(&sandbox, &["reload"]);
    manager.expect("RELOADING=1");
    let since = manager.expect("MONOTONIC_USEC=");
    let since: u64 = since.split_once('=').unwrap().1.parse().unwrap();
    assert!(Duration::from_micros(since) <= catrain::clock::monotonic());
    wait_until("it is up again", SOON, || manager.count("READY=1") == 2);
    run.resume();
    process::send(run.pid(), Signal::SIGTERM);
    let ended = run.running.wait(LONG);
    manager.expect("STOPPING=1");
    for hidden in ["NOTIFY_SOCKET", "WATCHDOG_"] {
        assert!(!ended.stdout.contains(hidden), "{}", ended.stdout);
    }
    assert!(ended.stderr.contains("WatchdogSec"), "{}", ended.stderr);
}

#[test]
fn a_held_run_is_up_and_says_until_when() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("notify");
    let mut manager = Manager::listening(&path);
    let mut command = sandbox.catrain(hold_for_hours());
    command.args(["--", "true"]).env("NOTIFY_SOCKET", &path);
    let mut running = Running::start(&mut command);
    manager.expect("READY=1");
    manager.expect("STATUS=held until 2021-11-17T");
    assert_eq!(manager.count("WATCHDOG=1"), 0);
    process::send(running.pid(), Signal::SIGTERM);
    running.wait(LONG);
}

#[test]
fn a_job_that_cannot_be_started_is_never_up_and_a_manager_that_is_gone_costs_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("notify");
    let mut manager = Manager::listening(&path);
    let script = sandbox.write("home/bad", "#!/nonexistent/interpreter\n");
    let mut permissions = fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&script, permissions).unwrap();
    let mut command = run(&sandbox, &STILL, ["./bad"]);
    let ended = outcome(command.env("NOTIFY_SOCKET", &path));
    assert_eq!(ended.status.code(), Some(127), "{ended:?}");
    assert_eq!(manager.count("READY=1"), 0);
    for nowhere in ["/nonexistent/notify", "vsock:2:7", "@nobody-listens"] {
        let mut command = run(&sandbox, &STILL, ["sh", "-c", "exit 7"]);
        let ended = outcome(command.env("NOTIFY_SOCKET", nowhere));
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        let is_told = ended.stderr.contains("the service manager is not told");
        assert_eq!(is_told, nowhere.starts_with("vsock"), "{}", ended.stderr);
    }
}

#[test]
fn the_job_has_a_directory_of_credentials_only_where_there_are_some_for_it() {
    let sandbox = Sandbox::new();
    let own = sandbox.write("own/catrain-electricity-maps-key", "plant-credential");
    sandbox.write("mixed/watttime", "user:plant-credential");
    let mixed = sandbox.write("mixed/wandb", "the job's own");
    for (file, is_passed_on) in [(own, false), (mixed, true)] {
        let directory = file.parent().unwrap();
        let mut command = run(&sandbox, &STILL, ["env"]);
        let ended = outcome(command.env("CREDENTIALS_DIRECTORY", directory));
        let is_there = ended.stdout.contains("CREDENTIALS_DIRECTORY=");
        assert_eq!(is_there, is_passed_on, "{}", ended.stdout);
    }
}

/// The unit of the fixtures, as systemd reads it.
#[test]
#[expect(
    clippy::print_stderr,
    reason = "a test that is skipped says why, to those who ask with --nocapture"
)]
fn the_unit_is_one_that_systemd_takes() {
    let unit = fs::read_to_string(fixture("systemd/catrain@.service")).unwrap();
    for line in ["Type=notify", "NotifyAccess=main", "KillMode=mixed"] {
        assert!(unit.lines().any(|there| there == line), "{line}");
    }
    let has = Command::new("systemd-analyze").arg("--version").output();
    if has.is_err() {
        return eprintln!("skipped: there is no systemd-analyze to verify the unit with");
    }
    let sandbox = Sandbox::new();
    let here = unit.replace("/usr/local/bin/catrain", CATRAIN);
    let path = sandbox.write("catrain@test.service", &here);
    let mut command = sandbox.command("systemd-analyze");
    let output = command.args(["verify", "--man=no"]).arg(path).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // What it says of units of the machine is none of ours.
    assert!(
        output.status.success() && !said.contains("catrain@"),
        "{said}"
    );
}

/// As PID 1 a signal without a handler does nothing: a run that is held has to hear TERM all the same.
#[test]
fn as_the_first_process_a_held_run_ends_by_term() {
    let sandbox = Sandbox::new();
    let flags = ["--pid", "--fork", "--mount-proc"];
    let tried = sandbox.command("unshare").args(flags).arg("true").output();
    if !tried.unwrap().status.success() {
        return; // Not root.
    }
    let mut command = sandbox.command("unshare");
    command.args(flags).arg(CATRAIN).args(hold_for_hours());
    let mut running = Running::start(command.args(["--", "touch", "started"]));
    let own = wait_for("the run is held", SOON, || {
        let mut children = process::children_of(running.pid()).into_iter();
        let own =
            children.find(|&pid| process::stat(pid).is_some_and(|it| it.name == "catrain"))?;
        let sockets = fs::read_dir(sandbox.runtime_dir()).ok()?;
        (sockets.count() > 0).then_some(own)
    });
    process::send(own, Signal::SIGTERM);
    assert_eq!(running.wait(SOON).status.code(), Some(128 + 15));
    assert!(!sandbox.home().join("started").exists());
}

#[cfg(feature = "fault-points")]
mod in_the_middle {
    use std::os::unix::process::ExitStatusExt;

    use catrain::fault::Point;

    use super::*;
    use crate::support::child::Ended;
    use crate::support::supervised::recorded;

    const STARTING: [Point; 5] = [
        Point::Configuring,
        Point::Preparing,
        Point::Recording,
        Point::Gathering,
        Point::Driving,
    ];
    const ENDING: [Point; 7] = [
        Point::AwaitingHooks,
        Point::TellingLauncher,
        Point::ClosingRecord,
        Point::Summarising,
        Point::Remembering,
        Point::ClosingSocket,
        Point::FallingSilent,
    ];

    /// A run that sends itself a signal at this place.
    fn ended(sandbox: &Sandbox, point: Point, how: &str, more: &[&str]) -> Ended {
        let options = [&STILL[..], more].concat();
        let mut command = run(sandbox, &options, ["sh", "-c", "touch started; exit 7"]);
        command
            .env("CATRAIN_FAULT", format!("{}:{how}", point as u16))
            .env("CATRAIN_LOG_FILE", sandbox.path("log"));
        outcome(&mut command)
    }

    #[track_caller]
    fn nothing_is_left(sandbox: &Sandbox, point: Point) {
        wait_until(&format!("nobody is left after {point:?}"), SOON, || {
            sandbox.processes().is_empty()
        });
        let sockets = fs::read_dir(sandbox.runtime_dir()).into_iter().flatten();
        assert_eq!(sockets.count(), 0, "{point:?}: a socket is left");
    }

    #[test]
    fn told_to_end_while_it_starts_up_a_run_ends_by_that_and_starts_nothing() {
        for (how, signal) in [("term", Signal::SIGTERM), ("int", Signal::SIGINT)] {
            for point in STARTING {
                let sandbox = Sandbox::new();
                let ended = ended(&sandbox, point, how, &[]);
                let by = ended.status.signal();
                assert_eq!(by, Some(signal as i32), "{point:?}: {ended:?}");
                assert!(!sandbox.home().join("started").exists(), "{point:?}");
                nothing_is_left(&sandbox, point);
                // Whatever is recorded is recorded to its end.
                for id in recorded(&sandbox) {
                    let verified = said(&sandbox, &["report", &id, "--verify"]);
                    assert!(verified.contains("complete"), "{point:?}: {verified}");
                }
            }
        }
    }

    #[test]
    fn told_to_end_while_it_shuts_down_a_run_ends_as_its_job_did_and_leaves_all_in_order() {
        for how in ["term", "int"] {
            for point in ENDING {
                let sandbox = Sandbox::new();
                let ended = ended(&sandbox, point, how, &[]);
                assert_eq!(ended.status.code(), Some(7), "{point:?}: {ended:?}");
                nothing_is_left(&sandbox, point);
                let id = &recorded(&sandbox)[0];
                let verified = said(&sandbox, &["report", id, "--verify"]);
                assert!(verified.contains("complete"), "{point:?}: {verified}");
                assert!(
                    sandbox.read("log").contains("the job has failed"),
                    "{point:?}"
                );
            }
        }
    }

    #[test]
    fn a_command_of_the_users_is_not_waited_for_by_a_run_that_is_told_to_end() {
        let sandbox = Sandbox::new();
        let hook = "exec sleep 100 >/dev/null 2>&1";
        let ended = ended(&sandbox, Point::AwaitingHooks, "term", &["--on-end", hook]);
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        assert!(
            ended.stderr.contains("is not waited for"),
            "{}",
            ended.stderr
        );
    }
}
