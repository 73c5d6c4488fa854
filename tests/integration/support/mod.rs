//! What integration tests share: a sandbox to run in, waiting for conditions, and, in the files
//! beside, children whose output is kept, a look at processes through `/proc`, and terminals.
//!
//! Tests never sleep: they wait for a condition with [`wait_until`] or [`wait_for`], which give up
//! after a limit and say what they waited for.

pub(crate) mod child;
pub(crate) mod process;
pub(crate) mod pty;
#[expect(dead_code, reason = "some of it is for the tests of the caller only")]
#[path = "../../../src/caller/tests/server.rs"]
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod supervised;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use catrain::clock::monotonic;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use process::Pid;

/// Long enough for anything that should be quick, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits until `condition` holds; panics naming `what` when `limit` has passed.
#[track_caller]
pub(crate) fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// Waits until `attempt` gives something; panics naming `what` when `limit` has passed.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, attempt: impl FnMut() -> Option<T>) -> T {
    wait_for_now_and_then(what, limit, Duration::from_millis(2), attempt)
}

/// The same for what is not to be asked that often.
#[track_caller]
pub(crate) fn wait_for_now_and_then<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    let give_up = monotonic() + limit;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(monotonic() < give_up, "waited {limit:?} in vain: {what}");
        nap(pause);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one pause between two looks at a condition"
)]
fn nap(pause: Duration) {
    std::thread::sleep(pause);
}

/// A file under `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The Python interpreter itself, not a wrapper script that would be one more process in the tree.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable, end='')"])
            .output()
            .expect("the tests need python3");
        assert!(output.status.success(), "python3 does not run: {output:?}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap())
    })
}

/// A home of its own for one test: four directories for catrain, a home, and an environment in
/// which nothing of the machine steers it. Whatever still runs from it is killed at the end.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// What programs and coverage tools need of the surroundings; the rest is left out.
    const KEPT: [&str; 4] = [
        "PATH",
        "LD_LIBRARY_PATH",
        "LLVM_PROFILE_FILE",
        "RUST_BACKTRACE",
    ];

    /// An empty sandbox.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("catrain-test-")
            .tempdir()
            .unwrap();
        let sandbox = Self { dir };
        fs::create_dir(sandbox.home()).unwrap();
        sandbox
    }

    /// A path in the sandbox; nothing is created.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where programs start, and their `HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// `CATRAIN_CONFIG_DIR`; like the three below it does not exist until somebody makes it.
    pub(crate) fn config_dir(&self) -> PathBuf {
        self.path("config")
    }

    /// `CATRAIN_CACHE_DIR`.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.path("cache")
    }

    /// `CATRAIN_STATE_DIR`.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// `CATRAIN_RUNTIME_DIR`.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.path("runtime")
    }

    /// Writes a file in the sandbox, with the directories above it, and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// What a file in the sandbox says; nothing while it does not exist.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `catrain` with arguments, in this sandbox.
    pub(crate) fn catrain<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_catrain"));
        command.args(arguments);
        command
    }

    /// A script from `tests/fixtures` under Python, in this sandbox.
    pub(crate) fn script<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = self.command(python());
        command.arg(fixture(name)).args(arguments);
        command
    }

    /// Any program, in this sandbox.
    ///
    /// It starts by way of `env`, which becomes it and gives every signal its default meaning:
    /// tests that were started with `&` or `nohup` would pass on ignored ones. A program that is
    /// not there thus ends with 127 instead of failing to start.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(program);
        command.env_clear().current_dir(self.home());
        for name in Self::KEPT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // `python3` in a job's command line means the interpreter itself too.
        let old = std::env::var_os("PATH").unwrap_or_default();
        let first = python().parent().unwrap().to_owned();
        let path = std::env::join_paths(std::iter::once(first).chain(std::env::split_paths(&old)));
        command
            .env("PATH", path.unwrap())
            // Nobody is asked but by tests that have somebody to ask.
            .env("CATRAIN_OFFLINE", "1")
            // The machine's own meters are for those who use it.
            .env("CUDA_VISIBLE_DEVICES", "")
            .env("CATRAIN_NVML", "/nonexistent/libnvidia-ml.so.1")
            .env("CATRAIN_POWERCAP", "/nonexistent/powercap")
            .env("CATRAIN_CONFIG_DIR", self.config_dir())
            .env("CATRAIN_CACHE_DIR", self.cache_dir())
            .env("CATRAIN_STATE_DIR", self.state_dir())
            .env("CATRAIN_RUNTIME_DIR", self.runtime_dir())
            .env("HOME", self.home())
            .env("TMPDIR", self.dir.path())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Every living process that was started in this sandbox, orphans and those that left the
    /// session included: they are known by the `TMPDIR` in their environment.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        process::all()
            .into_iter()
            .filter(|&pid| {
                let environment = process::env_of(pid);
                environment.get("TMPDIR").map(Path::new) == Some(self.dir.path())
                    && process::is_alive(pid)
            })
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Twice, because one may have forked while the first list was read.
        for _ in 0..2 {
            for pid in self.processes() {
                process::kill(pid);
            }
        }
    }
}

#[test]
fn a_sandbox_hides_the_surroundings_and_ends_what_was_started_in_it() {
    let sandbox = Sandbox::new();
    let output = sandbox.command("env").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let own = text
        .lines()
        .filter(|line| line.starts_with("CATRAIN_"))
        .count();
    assert_eq!(own, 7, "{text}");
    assert!(text.contains(&format!("HOME={}\n", sandbox.home().display())));
    assert!(!text.contains("CARGO_"), "{text}");

    let script = "trap '' INT USR1; exec \"$0\" \"$@\"";
    let plain = sandbox.command("cat");
    let mut deaf = Command::new("sh");
    deaf.args(["-c", script]).arg(plain.get_program());
    deaf.args(plain.get_args()).arg("/proc/self/status");
    let output = deaf.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ignored = text.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap(), 16).unwrap();
    assert!(!process::SignalSets::has(ignored, Signal::SIGINT), "{text}");

    sandbox.write("deep/down", "here");
    assert_eq!(sandbox.read("deep/down"), "here");
    assert_eq!(sandbox.read("nowhere"), "");

    let script = "setsid sleep 100 >/dev/null 2>&1 & echo $!";
    let output = sandbox.command("sh").args(["-c", script]).output().unwrap();
    let pid: Pid = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    wait_until("the orphan is known", SOON, || sandbox.processes() == [pid]);
    drop(sandbox);
    wait_until("the orphan is gone", SOON, || !process::is_alive(pid));
}

#[test]
fn catrain_is_run_from_the_build_under_test() {
    let sandbox = Sandbox::new();
    let command = sandbox.catrain(["--version"]);
    let line: Vec<&OsStr> = command.get_args().skip(1).collect();
    assert!(Path::new(line[0]).is_file());
    assert_eq!(line[1..], ["--version"]);
}

#[test]
#[should_panic(expected = "in vain: the moon")]
fn waiting_in_vain_says_for_what() {
    wait_until("the moon", Duration::from_millis(5), || false);
}
