//! A cluster of the tests' own: started with `tests/fixtures/slurm/cluster.sh`, on ports and in a directory
//! of its own, and gone with whoever holds it, however that ends: the script waits for the end of a pipe.
//!
//! Root starts it; what tests do there they do by an [`Account`], as an ordinary user.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use catrain::slurm::job::{FIELDS, Job, read_queue};
use nix::sys::signal::Signal;

use crate::support::process::{self, Pid};
use crate::support::{Sandbox, fixture, wait_for_now_and_then};

/// `nobody` and `nogroup`.
const USER: u32 = 65_534;
/// Nodes of the cluster that tests share.
const NODES: u16 = 3;
/// Where the ports of the first cluster are looked for: below those that the kernel hands out.
const PORTS: std::ops::Range<u16> = 20_000..31_000;
/// Programs that must be there.
const PROGRAMS: [&str; 8] = [
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "squeue",
    "scontrol",
    "scancel",
];
/// Fixtures that jobs read.
const FIXTURES: [&str; 3] = ["job.py", "train.py", "digits.csv.gz"];
/// How often Slurm is asked for what a test waits for.
const NOW_AND_THEN: Duration = Duration::from_millis(100);
/// Longest wait for a job to change, on a busy machine: what Slurm does, it does within seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster.
pub(crate) struct Cluster {
    directory: PathBuf,
    /// The script. It stops the cluster once its standard input ends.
    warden: Child,
}

/// A user of the cluster, with a home of its own.
pub(crate) struct Account<'a> {
    /// The user's directories.
    pub(crate) sandbox: Sandbox,
    cluster: &'a Cluster,
    submitted: RefCell<Vec<u64>>,
}

#[expect(
    clippy::print_stderr,
    reason = "a test that is skipped says why, to those who ask with --nocapture"
)]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

impl Cluster {
    /// The one that tests share. It ends after the last of them, with this process.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(NODES)).as_ref()
    }

    /// One with so many nodes, `n1` and on; none where Slurm is not installed or may not be started, and
    /// it is said why.
    pub(crate) fn start(nodes: u16) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skipped("only root can start a cluster of Slurm's");
            return None;
        }
        if let Some(missing) = PROGRAMS.iter().find(|program| !is_there(program)) {
            skipped(&format!(
                "there is no {missing} (Debian packages slurm-wlm and munge)"
            ));
            return None;
        }
        let mut said = String::new();
        // Somebody else may have taken a port meanwhile.
        for _ in 0..3 {
            match Self::start_at(free_ports(nodes + 1), nodes) {
                Ok(cluster) => return cluster.prepare().then_some(cluster),
                Err(why) => said = why,
            }
        }
        panic!("no cluster can be started: {said}");
    }

    fn start_at(port: u16, nodes: u16) -> Result<Self, String> {
        let mut warden = Command::new("bash")
            .arg(fixture("slurm/cluster.sh"))
            .args([port.to_string(), nodes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A key that ends the tests is not for it.
            .process_group(0)
            .spawn()
            .expect("there is a bash");
        let mut line = String::new();
        let stdout = warden.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).unwrap();
        match line.trim_end().strip_prefix("ready ") {
            Some(directory) => Ok(Self {
                directory: PathBuf::from(directory),
                warden,
            }),
            None => {
                let mut why = String::new();
                let stderr = warden.stderr.as_mut().expect("it was piped");
                stderr.read_to_string(&mut why).unwrap();
                warden.wait().unwrap();
                Err(why)
            }
        }
    }

    /// Puts the program and the fixtures where everybody can read them; whether the user can run them.
    fn prepare(&self) -> bool {
        for folder in ["bin", "fixtures"] {
            fs::create_dir(self.directory.join(folder)).unwrap();
            self.open(&self.directory.join(folder));
        }
        // Another process writes the program: what this one has open for writing while others fork cannot
        // be started.
        install(
            "755",
            Path::new(env!("CARGO_BIN_EXE_catrain")),
            &self.directory.join("bin"),
        );
        for name in FIXTURES {
            install("644", &fixture(name), &self.directory.join("fixtures"));
        }
        let account = self.account();
        for words in [&["catrain", "--version"][..], &["python3", "--version"]] {
            let output = account
                .command(words[0])
                .args(&words[1..])
                .output()
                .unwrap();
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                skipped(&format!("an ordinary user cannot run {}: {why}", words[0]));
                return false;
            }
        }
        true
    }

    fn open(&self, folder: &Path) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder, mode).unwrap();
    }

    /// A user with an empty home.
    pub(crate) fn account(&self) -> Account<'_> {
        let sandbox = Sandbox::new();
        for folder in [sandbox.path(""), sandbox.home()] {
            chown(folder, Some(USER), Some(USER)).unwrap();
        }
        Account {
            sandbox,
            cluster: self,
            submitted: RefCell::new(Vec::new()),
        }
    }

    /// A program in the cluster's directory, for the words of a job.
    pub(crate) fn fixture(&self, name: &str) -> String {
        self.directory
            .join("fixtures")
            .join(name)
            .display()
            .to_string()
    }

    /// Has Slurm do something as root, who may do all; gives what it says.
    #[track_caller]
    pub(super) fn as_root(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SLURM_CONF", self.configuration());
        said(&mut command)
    }

    /// Where all of it stands.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its `slurm.conf`.
    pub(super) fn configuration(&self) -> PathBuf {
        self.directory.join("slurm.conf")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        let _ended = self.warden.wait();
    }
}

impl Account<'_> {
    /// A program as this user, who finds `catrain` in the path.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.sandbox.command(program);
        let before = command.get_envs().find(|(name, _)| *name == "PATH");
        let before = before
            .and_then(|(_, path)| path)
            .unwrap_or_default()
            .to_owned();
        let own = std::iter::once(self.cluster.directory.join("bin"));
        let path = std::env::join_paths(own.chain(std::env::split_paths(&before))).unwrap();
        command
            .env("PATH", path)
            .env("SLURM_CONF", self.cluster.configuration())
            .uid(USER)
            .gid(USER);
        command
    }

    /// What a program says to this user; it must end well.
    #[track_caller]
    pub(crate) fn said(&self, program: &str, arguments: &[&str]) -> String {
        said(self.command(program).args(arguments))
    }

    /// Submits a batch script of these lines, and gives the job's number.
    #[track_caller]
    pub(crate) fn submit(&self, options: &[&str], lines: &str) -> u64 {
        let count = self.submitted.borrow().len();
        let script = self
            .sandbox
            .write(&format!("job-{count}.sh"), &format!("#!/bin/sh\n{lines}\n"));
        let script = script.display().to_string();
        let arguments = [&["--parsable"], options, &[script.as_str()]].concat();
        let told = self.said("sbatch", &arguments);
        let number = told.trim().split(';').next().unwrap_or_default();
        let number = number
            .parse()
            .unwrap_or_else(|error| panic!("{error}: {told}"));
        self.submitted.borrow_mut().push(number);
        number
    }

    /// A job that was submitted otherwise is to be gone with the rest in the end.
    pub(crate) fn remember(&self, number: u64) {
        self.submitted.borrow_mut().push(number);
    }

    /// A job as Slurm has it; all tasks of an array.
    #[track_caller]
    pub(crate) fn jobs(&self, number: u64) -> Vec<Job> {
        let number = number.to_string();
        let arguments = ["-h", "-t", "all", "--array", "-j", &number, "-O", FIELDS];
        let mut command = self.command("squeue");
        command.args(arguments).env("SLURM_TIME_FORMAT", "%s");
        read_queue(&said(&mut command))
    }

    /// Waits until a job is as it should be.
    #[track_caller]
    pub(crate) fn wait_for_job(
        &self,
        number: u64,
        what: &str,
        is_it: impl Fn(&Job) -> bool,
    ) -> Job {
        let what = format!("job {number}: {what}");
        wait_for_now_and_then(&what, PATIENCE, NOW_AND_THEN, || {
            self.jobs(number).into_iter().find(&is_it)
        })
    }

    /// Waits until a job is in this state, in Slurm's word.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, number: u64, state: &str) -> Job {
        self.wait_for_job(number, state, |job| job.state == state)
    }

    /// What a job's script has written so far, complaints included.
    pub(crate) fn output(&self, number: u64) -> String {
        self.sandbox.read(&format!("home/slurm-{number}.out"))
    }

    /// The processes of a job that are this user's, on all nodes.
    pub(crate) fn processes(&self, number: u64) -> Vec<Pid> {
        let number = number.to_string();
        let mut all = self.sandbox.processes();
        all.retain(|&pid| process::env_of(pid).get("SLURM_JOB_ID") == Some(&number));
        all
    }

    /// The supervisors of a job, one for each `catrain run`.
    pub(crate) fn supervisors(&self, number: u64) -> Vec<Pid> {
        let mut all = self.processes(number);
        all.retain(|&pid| {
            let words = process::arguments_of(pid);
            let first = words.first().map(Path::new).and_then(Path::file_name);
            first.is_some_and(|name| name == "catrain")
                && words.get(1).is_some_and(|it| it == "run")
        });
        all
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let jobs = self.submitted.borrow();
        let numbers: Vec<String> = jobs.iter().map(u64::to_string).collect();
        if numbers.is_empty() {
            return;
        }
        // Nobody waits for those that would like to save: the sandbox ends what is left of them.
        let mut command = Command::new("scancel");
        command.args(&numbers);
        command.env("SLURM_CONF", self.cluster.configuration());
        let _done = command.output();
    }
}

/// The watchdog of a supervisor, if it has one that has settled.
pub(crate) fn watchdog_of(supervisor: Pid) -> Option<Pid> {
    let mut children = process::children_of(supervisor).into_iter();
    children.find(|&pid| {
        let words = process::arguments_of(pid);
        let is_named = words.first().is_some_and(|it| it == "carbon-guard");
        // It is no target once it has blocked what can be blocked.
        let blocks =
            |sets: process::SignalSets| process::SignalSets::has(sets.blocked, Signal::SIGTERM);
        is_named && process::signals_of(pid).is_some_and(blocks)
    })
}

/// What a command says; it must end well.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output: Output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn install(mode: &str, file: &Path, folder: &Path) {
    let mut command = Command::new("install");
    command.args(["-m", mode, "-t"]).arg(folder).arg(file);
    said(&mut command);
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(more);
    folders.any(|folder| folder.join(program).is_file())
}

/// The first of so many ports in a row that nobody listens on.
fn free_ports(count: u16) -> u16 {
    // Another process of tests begins elsewhere, and the next cluster of this one goes on from there.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let room = PORTS.end - PORTS.start - count;
    let begin = std::process::id() % 97 * 97;
    for _ in 0..1000 {
        let offset = u32::from(NEXT.fetch_add(count, Ordering::Relaxed)) + begin;
        let first = PORTS.start + u16::try_from(offset % u32::from(room)).unwrap();
        let is_free = |port| TcpListener::bind(("0.0.0.0", port)).is_ok();
        if (first..first + count).all(is_free) {
            return first;
        }
    }
    panic!("there are no {count} free ports in a row");
}

/// A cluster starts, runs a job as somebody who is not root on each of its nodes, and is gone with its
/// holder, with all that it wrote.
#[test]
fn a_cluster_runs_jobs_of_an_ordinary_user_and_leaves_nothing() {
    let Some(cluster) = Cluster::start(2) else {
        return;
    };
    let directory = cluster.directory.clone();
    let daemons = pids_in(&directory);
    assert_eq!(daemons.len(), 4, "{daemons:?}");
    let account = cluster.account();
    let job = account.submit(
        &["-N2"],
        "srun sh -c 'echo $(id -u) $SLURMD_NODENAME $SLURM_CLUSTER_NAME $HOME'",
    );
    let ended = account.wait_for_state(job, "COMPLETED");
    assert_eq!((ended.node_count, ended.restarts), (2, 0));
    let home = account.sandbox.home();
    let expected =
        ["n1", "n2"].map(|node| format!("{USER} {node} catrain-tests {}", home.display()));
    let output = account.output(job);
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
    let asleep = account.submit(&[], "exec sleep 1000");
    account.wait_for_state(asleep, "RUNNING");
    drop(account);
    drop(cluster);
    assert!(!directory.exists());
    for pid in daemons {
        assert!(!process::is_alive(pid), "{pid}");
    }
}

/// The processes of a cluster, by the files in which they say which they are.
fn pids_in(directory: &Path) -> Vec<Pid> {
    let files = fs::read_dir(directory.join("pids")).into_iter().flatten();
    let texts = files.flatten().map(|file| fs::read_to_string(file.path()));
    texts
        .flatten()
        .filter_map(|text| text.trim().parse().ok())
        .collect()
}
