//! A supervisor small enough to kill: this test binary, started again, that does with a job what
//! it is told over a socket. Each in a process of its own, because adoption, signals and death are
//! a process's affair.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::executor::freezer::{self, Cell, Freezer};
use catrain::executor::signals::{Sender, Signals, die_of};
use catrain::executor::spawn::{self, Inherited, Terminal};
use catrain::executor::{Exit, Guard, GuardEvent, Job, Lease, PauseStep, To};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SOCKET: &str = "CATRAIN_TEST_SOCKET";
/// Far beyond what anything here needs, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a condition.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        within(PATIENCE, condition),
        "not within {PATIENCE:?}: {what}"
    );
}

/// Whether a condition comes true in time.
pub(crate) fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let until = monotonic() + limit;
    while !condition() {
        if monotonic() > until {
            return false;
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
    true
}

/// The states of a process's threads, dead ones left out; empty when it is gone.
pub(crate) fn states(pid: i32) -> String {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    threads
        .into_iter()
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok())
        .filter_map(|stat| stat.rsplit_once(')')?.1.trim_start().chars().next())
        .filter(|state| !matches!(state, 'Z' | 'X'))
        .collect()
}

pub(crate) fn is_stopped(pid: i32) -> bool {
    let states = states(pid);
    !states.is_empty() && states.chars().all(|state| state == 'T')
}

/// Alive, and no thread of it stopped or about to be.
pub(crate) fn runs(pid: i32) -> bool {
    let states = states(pid);
    !states.is_empty() && !states.contains('T') && !has_pending_stop(pid)
}

pub(crate) fn has_pending_stop(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .filter_map(|line| line.strip_prefix("ShdPnd:"))
        .any(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 18) != 0)
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Takes the rest of the tests along when it fails: nothing of a job is left behind.
pub(crate) struct Supervisor {
    child: Child,
    answers: BufReader<UnixStream>,
    orders: UnixStream,
    folder: tempfile::TempDir,
}

impl Supervisor {
    pub(crate) fn start() -> Self {
        Self::start_through(&[], &[])
    }

    /// Started by another program, and with more variables.
    pub(crate) fn start_through(prefix: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Jobs that change their user write here, too.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let this = std::env::current_exe().unwrap();
        let mut command = match prefix {
            [] => Command::new(this),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(this);
                command
            }
        };
        let child = command
            .env(SOCKET, &socket)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.path().join("output")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut stream = None;
        eventually("the supervisor calls", || {
            stream = listener.accept().ok().map(|(stream, _)| stream);
            stream.is_some()
        });
        let orders = stream.unwrap();
        orders.set_nonblocking(false).unwrap();
        Self {
            child,
            answers: BufReader::new(orders.try_clone().unwrap()),
            orders,
            folder,
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Does as told; `None` if it died.
    pub(crate) fn try_ask(&mut self, order: &str) -> Option<String> {
        writeln!(self.orders, "{order}").ok()?;
        let mut answer = String::new();
        match self.answers.read_line(&mut answer) {
            Ok(1..) => Some(answer.trim_end().to_owned()),
            _ => None,
        }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.try_ask(order)
            .unwrap_or_else(|| panic!("the supervisor died at `{order}`: {:?}", self.child.wait()))
    }

    /// Starts a job of this shape and waits until it stands.
    #[track_caller]
    pub(crate) fn job(&mut self, shape: &str, count: u32) -> Vec<i32> {
        let answer = self.ask(&self.order_for(shape, count));
        assert!(answer.starts_with("started"), "{answer}");
        self.wait_until_ready();
        self.pids()
    }

    /// The order for another job of the same supervisor, in a folder of its own.
    pub(crate) fn next_order_for(&self, shape: &str, count: u32) -> (String, PathBuf) {
        let folder = self.folder().join("next");
        let script = fixture("trees.py");
        let (script, shown) = (script.display(), folder.display());
        (
            format!("spawn python3 {script} {shape} {shown} {count}"),
            folder,
        )
    }

    pub(crate) fn order_for(&self, shape: &str, count: u32) -> String {
        let script = fixture("trees.py");
        let (script, folder) = (script.display(), self.folder().display());
        format!("spawn python3 {script} {shape} {folder} {count}")
    }

    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        eventually("the job is ready", || self.folder().join("ready").exists());
    }

    /// What job and supervisor wrote to stdout.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.folder().join("output")).unwrap()
    }

    /// The processes that the job told of.
    pub(crate) fn pids(&self) -> Vec<i32> {
        pids_in(self.folder())
    }

    /// A job of this shape, watched and paused.
    #[track_caller]
    pub(crate) fn paused_job(&mut self, shape: &str, count: u32) -> Vec<i32> {
        let pids = self.job(shape, count);
        self.ask("guard");
        // On a busy machine a guard may not have had its turn within the two seconds that it has.
        for _ in 0..5 {
            let answer = self.ask("pause");
            if answer.starts_with("stopped") {
                return pids;
            }
            assert!(answer.contains("does not answer"), "{answer}");
        }
        panic!("the guard never answers");
    }

    /// The one that watches already.
    pub(crate) fn guard_pid_in_use(&mut self) -> i32 {
        self.ask("which-guard").parse().unwrap()
    }

    /// A new one.
    #[track_caller]
    pub(crate) fn guard_pid(&mut self) -> i32 {
        self.ask("guard")
            .strip_prefix("guard ")
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// There are no more orders: it ends by itself.
    pub(crate) fn hang_up(&mut self) {
        self.orders.shutdown(std::net::Shutdown::Both).unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn exit(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self
            .pids()
            .into_iter()
            .chain(pids_in(&self.folder().join("next")))
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The processes that a job told of in its folder.
pub(crate) fn pids_in(folder: &Path) -> Vec<i32> {
    let pids = std::fs::read_dir(folder.join("pids"));
    let pids = pids.into_iter().flatten();
    pids.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// Turns this process into a supervisor if a test started it as one. Before `main`, because the
/// test harness would run it on a second thread, and signals and parent-death signals are to reach
/// the first.
#[used]
// SAFETY: the section holds functions that the C runtime calls before `main`; this one does not
// unwind and uses nothing that Rust's `main` would have to set up.
#[unsafe(link_section = ".init_array")]
static BECOME_SUPERVISOR: extern "C" fn() = {
    #[expect(clippy::exit, reason = "there is no main to return to")]
    extern "C" fn become_supervisor() {
        if let Some(socket) = std::env::var_os(SOCKET) {
            let done = std::panic::catch_unwind(|| obey_its_test(Path::new(&socket)));
            std::process::exit(if done.is_ok() { 0 } else { 101 });
        }
    }
    become_supervisor
};

fn obey_its_test(socket: &Path) {
    let inherited = Inherited::capture();
    let mut play = Play {
        job: None,
        guard: None,
        fallback: None,
        helper: None,
        signals: Signals::open(&inherited).unwrap(),
        inherited,
    };
    let stream = UnixStream::connect(socket).unwrap();
    let mut answers = stream.try_clone().unwrap();
    for order in BufReader::new(stream).lines() {
        let answer = play.obey(&order.unwrap());
        writeln!(answers, "{answer}").unwrap();
    }
    // The end of the orders is the end of the run, whatever is still paused.
}

/// Fields are dropped in this order: the job is to be continued by its own destructor, too.
struct Play {
    job: Option<Job>,
    guard: Option<Guard>,
    /// Of the last pause.
    fallback: Option<String>,
    signals: Signals,
    inherited: Inherited,
    helper: Option<Child>,
}

impl Play {
    fn obey(&mut self, order: &str) -> String {
        let words: Vec<&str> = order.split(' ').collect();
        match words.as_slice() {
            ["spawn", argv @ ..] => self.spawn(argv, Terminal::Lent),
            ["spawn-tty", argv @ ..] => self.spawn(argv, Terminal::Given),
            ["spawn-in-cell", argv @ ..] => self.spawn_in_cell(argv),
            ["spawn-in-lost-cell", argv @ ..] => {
                let freezer = Freezer::find(Path::new("/")).unwrap();
                let cell = Cell::make(&freezer, self.guard.as_mut()).unwrap();
                std::fs::remove_dir(cell.path()).unwrap();
                self.spawn_where(argv, Terminal::Lent, Some(cell))
            }
            ["freezer"] => match freezer::try_out(Path::new("/")) {
                Ok(()) => "works".to_owned(),
                Err(why) => why.in_words(),
            },
            ["outside"] => {
                let job = self.job.as_ref().unwrap();
                job.outside().map_or_else(String::new, |why| why.in_words())
            }
            ["fallback"] => format!("{:?}", self.fallback),
            ["guard"] => {
                let program = Path::new(env!("CARGO_BIN_EXE_catrain"));
                let mut guard = Guard::start_with(program).unwrap();
                eventually("the watchdog answers", || guard.is_ready());
                let pid = guard.pid();
                self.guard = Some(guard);
                format!("guard {pid}")
            }
            ["which-guard"] => self.both().1.pid().to_string(),
            ["pause"] => self.pause(),
            ["resume"] => {
                let (job, guard) = self.both();
                job.resume(guard).to_string()
            }
            ["lease", "death"] => {
                self.both().1.lease(Lease::UntilDeath).unwrap();
                "leased".to_owned()
            }
            ["lease", milliseconds] => {
                let time = Duration::from_millis(milliseconds.parse().unwrap());
                self.both().1.lease(Lease::For(time)).unwrap();
                "leased".to_owned()
            }
            ["news"] => self.news(),
            ["wait"] => {
                let job = self.job.as_mut().unwrap();
                let mut exit = None;
                eventually("the job ends", || {
                    exit = job.try_wait();
                    exit.is_some()
                });
                match exit.unwrap() {
                    Exit::Code(code) => format!("code {code}"),
                    Exit::Signal(signal) => format!("signal {signal}"),
                }
            }
            ["relay", number, to] => {
                let to = match *to {
                    "leader" => To::Leader,
                    "group" => To::Group,
                    "ranks" => To::Ranks,
                    _ => To::Everyone,
                };
                let job = self.job.as_mut().unwrap();
                job.relay(number.parse().unwrap(), to).to_string()
            }
            ["attach", pid, force @ ..] => {
                match Job::attach(pid.parse().unwrap(), !force.is_empty()) {
                    Ok(job) => {
                        self.job = Some(job);
                        "attached".to_owned()
                    }
                    Err(error) => format!("{error:?} {error}"),
                }
            }
            ["enclose"] => {
                let freezer = Freezer::find(Path::new("/")).unwrap();
                let (job, guard) = self.both();
                job.enclose(&freezer, guard).unwrap().to_string()
            }
            ["ended"] => {
                let job = self.job.as_mut().unwrap();
                let mut ended = None;
                eventually("the job ends", || {
                    ended = job.try_end();
                    ended.is_some()
                });
                format!("{:?}", ended.unwrap())
            }
            ["leftovers"] => {
                let all = self.job.as_mut().unwrap().leftovers();
                let pids: Vec<_> = all.iter().map(|one| one.id.pid.to_string()).collect();
                pids.join(" ")
            }
            ["end-leftovers", number] => {
                let job = self.job.as_mut().unwrap();
                job.end_leftovers(number.parse().unwrap()).to_string()
            }
            ["connections"] => {
                let job = self.job.as_mut().unwrap();
                job.remote_connections().to_string()
            }
            ["wake-with", number] => {
                let (job, guard) = self.both();
                job.relay(number.parse().unwrap(), To::Leader);
                job.resume(guard);
                "sent".to_owned()
            }
            ["kill"] => {
                self.job.as_mut().unwrap().kill();
                "killed".to_owned()
            }
            ["cpu"] => self
                .job
                .as_mut()
                .unwrap()
                .cpu_time()
                .as_millis()
                .to_string(),
            ["ranks"] => self.job.as_mut().unwrap().ranks().to_string(),
            ["reap"] => {
                self.job.as_mut().unwrap().reap_adopted();
                "reaped".to_owned()
            }
            ["processes"] => {
                let all = self.job.as_mut().unwrap().processes();
                let pids: Vec<_> = all.iter().map(|one| one.id.pid.to_string()).collect();
                pids.join(" ")
            }
            ["helper"] => {
                self.helper = Command::new("sleep").arg("300").spawn().ok();
                self.helper.as_ref().unwrap().id().to_string()
            }
            ["end-helper"] => {
                let mut helper = self.helper.take().unwrap();
                helper.kill().unwrap();
                eventually("it is dead", || {
                    states(helper.id().cast_signed()).is_empty()
                });
                if let Some(job) = &mut self.job {
                    job.reap_adopted();
                }
                // What belongs to the helper's starter must not have been taken away.
                format!("{:?}", helper.wait().unwrap().code())
            }
            ["become", uid] => {
                let uid = nix::unistd::Uid::from_raw(uid.parse().unwrap());
                nix::unistd::setresuid(uid, uid, uid).unwrap();
                "done".to_owned()
            }
            ["farewell"] => {
                self.guard.take().unwrap().farewell();
                "done".to_owned()
            }
            ["forget-guard"] => {
                self.guard = None;
                "done".to_owned()
            }
            ["panic"] => panic!("as the test wants it"),
            ["caught"] => self.caught(),
            ["die", number] => die_of(number.parse().unwrap()),
            unknown => panic!("unknown order {unknown:?}"),
        }
    }

    fn both(&mut self) -> (&mut Job, &mut Guard) {
        (self.job.as_mut().unwrap(), self.guard.as_mut().unwrap())
    }

    fn spawn_in_cell(&mut self, argv: &[&str]) -> String {
        let freezer = Freezer::find(Path::new("/")).unwrap();
        let cell = Cell::make(&freezer, self.guard.as_mut()).unwrap();
        self.spawn_where(argv, Terminal::Lent, Some(cell))
    }

    fn spawn(&mut self, argv: &[&str], terminal: Terminal) -> String {
        self.spawn_where(argv, terminal, None)
    }

    fn spawn_where(&mut self, argv: &[&str], terminal: Terminal, cell: Option<Cell>) -> String {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        let command = spawn::Command {
            argv: &argv,
            terminal,
            env_remove: &[SOCKET.into()],
            env: &[("CATRAIN_RUN".into(), "r7k2".into())],
            stdout: None,
            stderr: None,
        };
        let started = match cell {
            Some(cell) => spawn::spawn_in(cell, &command, &self.inherited),
            None => spawn::spawn(&command, &self.inherited),
        };
        match started {
            Ok(job) => {
                let pid = job.leader().pid;
                self.job = Some(job);
                format!("started {pid}")
            }
            Err(error) => format!("{} {error}", error.kind().exit_code()),
        }
    }

    fn pause(&mut self) -> String {
        let (job, guard) = self.both();
        let mut pausing = job.begin_pause(guard);
        loop {
            match job.step(&mut pausing, guard) {
                PauseStep::Again(after) => std::thread::park_timeout(after),
                PauseStep::Stopped {
                    processes,
                    stopping,
                    took,
                    fallback,
                } => {
                    self.fallback = fallback;
                    let (stopping, took) = (stopping.len(), took.as_micros());
                    return format!("stopped {processes} {stopping} {took}");
                }
                PauseStep::Refused(refusal) => {
                    return format!("refused {:?} {refusal}", refusal.reason);
                }
            }
        }
    }

    /// The next thing that the watchdog tells, answers left out.
    fn news(&mut self) -> String {
        let guard = self.guard.as_mut().unwrap();
        let mut news = String::new();
        eventually("the watchdog tells something", || {
            match guard.read() {
                Err(lost) => news = lost.to_string(),
                Ok(events) => {
                    for event in events {
                        match event {
                            GuardEvent::Answered => {}
                            GuardEvent::Released => news.push_str("released "),
                            GuardEvent::SawSignal(number) => {
                                news.push_str(&format!("signal {number} "));
                            }
                        }
                    }
                }
            }
            !news.is_empty()
        });
        news.trim_end().to_owned()
    }

    fn caught(&self) -> String {
        let mut caught = Vec::new();
        eventually("a signal arrives", || {
            caught = self.signals.read();
            !caught.is_empty()
        });
        let words = caught.iter().map(|one| match one.sender {
            Sender::Kernel => format!("{} kernel", one.signal),
            Sender::Process { pid, .. } => format!("{} {pid}", one.signal),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
