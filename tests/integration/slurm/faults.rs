//! What befalls a cluster, done to one of the tests' own: each fault is a function of [`Cluster`].

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::cluster::{Account, Cluster, PATIENCE};
use crate::support::process::{self, Pid};
use crate::support::wait_until;

impl Cluster {
    /// `slurmctld` ends, and stays away until it is started again. What runs goes on.
    pub(crate) fn stop_controller(&self) {
        self.stop("slurmctld");
    }

    /// It is there again, and answers.
    #[track_caller]
    pub(crate) fn start_controller(&self) {
        self.start_daemon("slurmctld", &[]);
        wait_until("the controller answers", PATIENCE, || {
            let mut ping = Command::new("scontrol");
            ping.arg("ping").env("SLURM_CONF", self.configuration());
            // Without an answer it ends badly.
            ping.output().unwrap().status.success()
        });
    }

    /// A node's `slurmd` ends and starts again. Jobs have a process of their own there and go on.
    #[track_caller]
    pub(crate) fn restart_node(&self, node: &str) {
        let begun = |text: &str| {
            let words = text.split_whitespace();
            let mut begun = words.filter_map(|word| word.strip_prefix("SlurmdStartTime="));
            begun.next().unwrap_or_default().to_owned()
        };
        let before = self.daemon(&format!("slurmd-{node}"));
        self.stop(&format!("slurmd-{node}"));
        self.start_daemon("slurmd", &["-N", node]);
        wait_until("the node has called in", PATIENCE, || {
            let told = self.as_root("scontrol", &["show", "node", "-o", node]);
            let is_new = self.daemon(&format!("slurmd-{node}")) != before;
            is_new && !begun(&told).is_empty() && !told.contains("NOT_RESPONDING")
        });
    }

    /// An operator stops a job, all of it, without asking anybody in it.
    #[track_caller]
    pub(crate) fn suspend(&self, job: u64) {
        self.as_root("scontrol", &["suspend", &job.to_string()]);
    }

    /// And has it go on.
    #[track_caller]
    pub(crate) fn resume(&self, job: u64) {
        self.as_root("scontrol", &["resume", &job.to_string()]);
    }

    /// The process that has written its id into a file of this name.
    fn daemon(&self, name: &str) -> Option<Pid> {
        let text = std::fs::read_to_string(self.directory().join("pids").join(name)).ok()?;
        text.trim().parse().ok()
    }

    fn stop(&self, name: &str) {
        let pid = self.daemon(name).expect("it runs");
        process::send(pid, Signal::SIGTERM);
        wait_until(&format!("{name} ends"), PATIENCE, || {
            !process::is_alive(pid)
        });
    }

    fn start_daemon(&self, program: &str, arguments: &[&str]) {
        let path = std::env::var("PATH").unwrap_or_default();
        let started = Command::new("env")
            .args(["--default-signal", program, "-f"])
            .arg(self.configuration())
            .args(arguments)
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success(), "{program} does not start again");
    }
}

impl Account<'_> {
    /// Brings the time limit of a job forward, so that it is reached now: as soon as Slurm looks, which it
    /// does each half minute.
    #[track_caller]
    pub(crate) fn reach_time_limit(&self, job: u64) {
        let job = format!("JobId={job}");
        self.said("scontrol", &["update", &job, "EndTime=now"]);
    }
}

/// That the faults are what they are said to be: a job lives through all of them.
#[test]
fn a_job_outlives_its_controller_its_nodes_daemon_and_a_suspension() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    let account = cluster.account();
    let file = account.sandbox.path("home/ticks");
    let job = account.submit(
        &[],
        &format!(
            "exec python3 {} tick {}",
            cluster.fixture("job.py"),
            file.display()
        ),
    );
    account.wait_for_state(job, "RUNNING");
    let ticks = || account.sandbox.read("home/ticks").lines().count();
    let goes_on = |after: &str| {
        let before = ticks();
        wait_until(&format!("the job goes on {after}"), PATIENCE, || {
            ticks() > before
        });
    };
    goes_on("at first");
    cluster.stop_controller();
    goes_on("without a controller");
    cluster.start_controller();
    cluster.restart_node("n1");
    goes_on("after its node's daemon");
    account.wait_for_state(job, "RUNNING");
    cluster.suspend(job);
    account.wait_for_state(job, "SUSPENDED");
    let pids = account.processes(job);
    assert!(!pids.is_empty());
    wait_until("all of it is stopped", PATIENCE, || {
        pids.iter().all(|&pid| process::is_stopped(pid))
    });
    cluster.resume(job);
    account.wait_for_state(job, "RUNNING");
    goes_on("after a suspension");
}
