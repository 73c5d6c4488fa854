//! A machine made of files: sound, until a test spoils something.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use super::super::around::{Around, Directories, Trials, configuration, try_watchdog};
use crate::clock::monotonic;
use crate::command::run::memory::fingerprint;
use crate::config::Layer;
use crate::executor::facts::{Hiding, Pidfds, Reach};
use crate::keys::Store;
use crate::ledger::ledger_path;
use crate::meter::gpu::visible::Found;
use crate::meter::gpu::{Fault, Library, Opener, Place, Raw};
use crate::meter::rapl::{Disk, Files};
use crate::patience::Output;
use crate::slurm::tools::{ToolError, Tools};
use crate::units::Watts;

/// When all of it takes place.
pub(super) const NOW: &str = "2026-11-24T18:00:00Z";
/// A record, whose first line is changed as it is needed.
const RECORD: &str = include_str!("../../../../tests/fixtures/ledger_v2.jsonl");

/// The machine.
pub(super) struct Fixture {
    here: TempDir,
    variables: BTreeMap<String, String>,
    pub(super) now: &'static str,
    /// Its IANA name; empty where it is not known.
    pub(super) time_zone: &'static str,
    pub(super) machine: Machine,
}

/// What is tried on it.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) pidfds: Pidfds,
    pub(super) reach: Reach,
    pub(super) adopts: bool,
    /// BOOTTIME and MONOTONIC.
    pub(super) clocks: (Duration, Duration),
    /// What each GPU says of itself.
    pub(super) gpus: Vec<Raw>,
    /// Its Slurm, if it has one.
    pub(super) slurm: Option<Cluster>,
    program: PathBuf,
}

pub(super) fn all_within_reach() -> Reach {
    Reach {
        signal: Ok(()),
        environment: Ok(()),
        state: Ok(()),
        hiding: Hiding::Nothing,
        ptrace_scope: Some(1),
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        let here = tempfile::tempdir().unwrap();
        let program = here.path().join("watchdog");
        let day = Duration::from_secs(86_400);
        let mut on = Self {
            here,
            variables: BTreeMap::new(),
            now: NOW,
            time_zone: "Etc/UTC",
            machine: Machine {
                pidfds: Pidfds::Work,
                reach: all_within_reach(),
                adopts: true,
                clocks: (day, day),
                gpus: vec![gpu(Some(1), Some(70.0)); 2],
                slurm: None,
                program: program.clone(),
            },
        };
        // It says again whatever it is told: that is a watchdog's answer. Another process writes it:
        // what this one has open for writing while others fork cannot be started.
        let made = Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\nexec cat\\n' > \"$0\" && chmod 755 \"$0\"",
            ])
            .arg(&program)
            .status();
        assert!(made.unwrap().success());
        on.write("config/config.toml", "zone = \"DE\"\n");
        for directory in ["state/runs", "runtime", "project", "dev"] {
            fs::create_dir_all(on.path(directory)).unwrap();
        }
        for directory in ["state", "runtime", "config", "project"] {
            on.mode(directory, 0o700);
        }
        on.write("proc/1/comm", "systemd\n");
        on.write("proc/sys/kernel/osrelease", "6.8.0-45-generic\n");
        on.write("proc/sys/kernel/random/boot_id", "b\n");
        on.write(
            "proc/cpuinfo",
            "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz\nflags\t\t: fpu\n",
        );
        fs::create_dir_all(on.path("proc/self/ns")).unwrap();
        std::os::unix::fs::symlink("pid:[4026531836]", on.path("proc/self/ns/pid")).unwrap();
        on.add_cgroup();
        on.add_rapl();
        on
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    pub(super) fn write(&mut self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn mode(&mut self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn remove(&mut self, name: &str) {
        let path = self.path(name);
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }

    pub(super) fn add_cgroup(&mut self) {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        self.write("proc/self/mounts", mounts);
        self.write("proc/self/cgroup", "0::/a\n");
        let pids = format!("1\n{}\n", std::process::id());
        self.write("sys/fs/cgroup/a/cgroup.procs", &pids);
    }

    pub(super) fn add_rapl(&mut self) {
        for (file, text) in [
            ("name", "package-0\n"),
            ("energy_uj", "5000000\n"),
            ("max_energy_range_uj", "262143328850\n"),
        ] {
            self.write(&format!("sys/class/powercap/intel-rapl:0/{file}"), text);
        }
    }

    pub(super) fn set_sources(&mut self, list: &str) {
        let text = format!("zone = \"DE\"\n[run]\nsource = [\"{list}\"]\n");
        self.write("config/config.toml", &text);
    }

    /// Slurm's commands are there, and answer.
    pub(super) fn add_slurm(&mut self) -> &mut Cluster {
        self.write("etc/slurm/slurm.conf", "");
        self.write(
            "proc/self/mountinfo",
            &format!(
                "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:44 / {} rw - nfs4 server:/shared rw\n",
                self.here.path().canonicalize().unwrap().join("shared").display()
            ),
        );
        self.machine.slurm.insert(Cluster::new())
    }

    /// The same, in a job on so many nodes.
    pub(super) fn enter_job(&mut self, nodes: u32) -> &mut Cluster {
        export(self, "export SLURM_JOB_ID=17");
        export(self, &format!("export SLURM_JOB_NUM_NODES={nodes}"));
        self.add_slurm()
    }

    pub(super) fn slurm(&mut self) -> &mut Cluster {
        self.machine.slurm.as_mut().expect("it was added")
    }

    pub(super) fn keep_key(&mut self, source: &str) {
        let store = Store::at(self.path("state/keys"));
        let key = SecretString::from("ada:secret");
        store.set(source, &key, None, NOW.parse().unwrap()).unwrap();
    }

    pub(super) fn set_locked(&mut self, soft: &str) {
        let line = format!("Max locked memory         {soft}       unlimited       bytes\n");
        self.write("proc/self/limits", &line);
    }

    pub(super) fn enter_container(&mut self, init: &str) {
        self.write("proc/1/comm", &format!("{init}\n"));
        self.remove("proc/self/ns/pid");
        std::os::unix::fs::symlink("pid:[4026532001]", self.path("proc/self/ns/pid")).unwrap();
    }

    /// The first line of a record, changed.
    fn begin(&self, id: &str, command: &[&str], options: &[&str]) -> Value {
        let mut begin: Value = serde_json::from_str(RECORD.lines().next().unwrap()).unwrap();
        begin["run"] = id.into();
        begin["command"] = command.into();
        begin["options"] = options.into();
        begin["host"] = nix::unistd::gethostname().unwrap().to_str().unwrap().into();
        begin
    }

    fn put_record(&mut self, id: &str, lines: &[Value]) {
        let path = ledger_path(&self.path("state"), id);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(path, lines.concat()).unwrap();
    }

    /// A run that is over.
    pub(super) fn record(&mut self, id: &str, command: &[&str], options: &[&str]) {
        let end: Value = serde_json::json!({
            "seq": 1, "at": NOW, "elapsed_s": 1.0, "entry": "end", "exit": { "code": 0 },
        });
        let begin = self.begin(id, command, options);
        self.put_record(id, &[begin, end]);
    }

    /// A run that is over and has saved, with proof.
    pub(super) fn record_save(&mut self, id: &str, took: Duration) {
        let saved: Value = serde_json::json!({
            "seq": 1, "at": NOW, "elapsed_s": 1.0, "entry": "saved", "proof": "ckpt/1.pt",
            "took_us": took.as_micros() as u64,
        });
        let begin = self.begin(id, &["python", "train.py"], &[]);
        self.put_record(id, &[begin, saved]);
    }

    /// A run whose supervisor was killed while it was held.
    pub(super) fn leave_waiting(&mut self, id: &str) {
        let begin = self.begin(id, &["python", "train.py"], &[]);
        self.put_record(id, &[begin]);
    }

    /// That another run has gone on with it.
    pub(super) fn continued(&mut self, id: &str) {
        self.write(&format!("state/runs/{id}/continued"), "m3q9\n");
        self.mode(&format!("state/runs/{id}/continued"), 0o600);
    }

    /// A run whose supervisor is there, with a job of this environment.
    pub(super) fn record_live(&mut self, id: &str, environment: &[u8]) {
        let mut begin = self.begin(id, &["python", "train.py"], &[]);
        begin["boot_id"] = "b".into();
        begin["pid"] = 100.into();
        begin["start_ticks"] = 77.into();
        self.put_record(id, &[begin]);
        for (pid, parent) in [(100, 1), (101, 100), (102, 101)] {
            self.put_process(pid, parent, 'S', 77);
        }
        let environ = self.path("proc/102/environ");
        fs::write(environ, environment).unwrap();
    }

    fn put_process(&mut self, pid: i32, parent: i32, state: char, start_ticks: u64) {
        let fields = "0 ".repeat(17);
        let stat = format!("{pid} (x) {state} {parent} {fields}{start_ticks} 0\n");
        self.write(&format!("proc/{pid}/stat"), &stat);
    }

    /// What is told of a run whose job stands still without a supervisor.
    pub(super) fn stranded_job(&mut self, id: &str) -> crate::doctor::Finding {
        use crate::command::status::dead::Fate;
        self.put_process(200, 1, 'T', 5);
        super::super::runs::tell(&self.around(), id, &Fate::JobRuns(200)).unwrap()
    }

    pub(super) fn remember_death(&mut self, command: &[&str], died: bool) {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        // Where the record has it that it was started.
        let key = fingerprint(Path::new("/home/ada/model"), &command);
        let usual = serde_json::json!({ "used": 1, "died_after_resume": died });
        let memory = serde_json::json!({ "commands": { key: usual } });
        self.write("state/memory.json", &memory.to_string());
    }

    /// A socket that nobody serves.
    pub(super) fn leave_socket(&mut self, id: &str) {
        drop(UnixListener::bind(self.path(&format!("runtime/{id}.sock"))).unwrap());
    }

    pub(super) fn around(&self) -> Around {
        let variables = self.variables.clone();
        let variable = move |name: &str| variables.get(name).map(OsString::from);
        let of = |name: &str, usual: &str| {
            let set = self.variables.get(name).map(PathBuf::from);
            Some(set.unwrap_or_else(|| self.path(usual)))
        };
        let files = vec![
            Layer::User(self.path("config/config.toml")),
            Layer::Project(self.path("project/catrain.toml")),
        ];
        let time_zone = match self.time_zone {
            "" => TimeZone::unknown(),
            name => TimeZone::get(name).expect("tests need the names of time zones (tzdata)"),
        };
        Around {
            root: self.here.path().to_owned(),
            configuration: configuration(&files, None, &variable),
            files,
            zone: self.variables.get("CATRAIN_ZONE").cloned(),
            program: self.machine.program.clone(),
            now: self.now.parse().unwrap(),
            time_zone,
            // Longer than a busy machine may need.
            until: monotonic() + Duration::from_secs(60),
            offline: true,
            directories: Directories {
                state: of("CATRAIN_STATE_DIR", "state"),
                cache: of("CATRAIN_CACHE_DIR", "cache"),
                config: of("CATRAIN_CONFIG_DIR", "config"),
                runtimes: of("CATRAIN_RUNTIME_DIR", "runtime").into_iter().collect(),
            },
            variable: Arc::new(variable),
            trials: Box::new(self.machine.clone()),
        }
    }
}

impl Trials for Machine {
    fn pidfds(&self) -> Pidfds {
        self.pidfds.clone()
    }

    fn reach(&self, _: &Path) -> io::Result<Reach> {
        Ok(self.reach.clone())
    }

    fn watchdog(&self, _: Duration) -> io::Result<Duration> {
        try_watchdog(&self.program, Duration::from_secs(20))
    }

    fn adopts_orphans(&self) -> io::Result<()> {
        match self.adopts {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn clocks(&self) -> (Duration, Duration) {
        self.clocks
    }

    fn gpus(&self, library: Option<PathBuf>, root: &Path) -> Box<dyn Opener> {
        Box::new(Gpus {
            is_there: root.join("dev/nvidia0").exists(),
            library,
            gpus: self.gpus.clone(),
        })
    }

    fn powercap(&self) -> Box<dyn Files> {
        Box::new(ForOthers)
    }

    fn slurm(&self, _: Duration) -> Box<dyn Tools> {
        Box::new(Asked(self.slurm.clone()))
    }
}

/// What a cluster answers, by the beginning of the command.
#[derive(Clone)]
pub(super) struct Cluster(BTreeMap<&'static str, Result<String, ToolError>>);

impl Cluster {
    fn new() -> Self {
        let settings = "AccountingStorageType   = accounting_storage/slurmdbd\n\
            InactiveLimit           = 0 sec\n\
            JobRequeue              = 1\n\
            KillWait                = 30 sec\n\
            ProctrackType           = proctrack/cgroup\n";
        let answers = [
            ("squeue --version", "slurm 23.11.4\n"),
            ("scontrol show config", settings),
            (
                "scontrol show job -o 17",
                "JobId=17 Requeue=1 BatchFlag=1\n",
            ),
            ("sacctmgr -nP show user ", "None\n"),
            ("squeue --me --json", "{}"),
            ("sinfo -h -N -o %N", "n1\nn1\n"),
            ("srun --overlap ", "n1 1795866000.5\nn2 1795866000.75\n"),
        ];
        Self(
            answers
                .map(|(asked, told)| (asked, Ok(told.to_owned())))
                .into(),
        )
    }

    /// A command of its is answered so.
    pub(super) fn answers(&mut self, command: &'static str, text: &str) {
        self.0.insert(command, Ok(text.to_owned()));
    }

    /// Nothing is answered within the limit.
    pub(super) fn is_silent_to(&mut self, command: &'static str) {
        let program = command.split(' ').next().unwrap_or_default().to_owned();
        self.0.insert(command, Err(ToolError::Silent(program, 2)));
    }

    /// In the answer to a command, one text stands for another.
    pub(super) fn replace(&mut self, command: &'static str, from: &str, to: &str) {
        let answer = self.0[command].clone().unwrap();
        assert!(answer.contains(from), "{answer}");
        self.answers(command, &answer.replace(from, to));
    }
}

struct Asked(Option<Cluster>);

impl Tools for Asked {
    fn run(&self, program: &str, arguments: &[&str], _: &[u8]) -> Result<Output, ToolError> {
        let Some(Cluster(answers)) = &self.0 else {
            return Err(ToolError::Missing(program.to_owned()));
        };
        let line = [&[program], arguments].concat().join(" ");
        let mut known = answers.iter();
        let answer = known.find(|(asked, _)| line.starts_with(*asked));
        let (_, answer) = answer.unwrap_or_else(|| panic!("nothing is said to `{line}`"));
        Ok(Output {
            status: ExitStatus::default(),
            stdout: answer.clone()?,
            stderr: String::new(),
        })
    }
}

/// Files as somebody else sees them, whoever runs the test.
struct ForOthers;

impl Files for ForOthers {
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        Disk.list(folder)
    }

    fn read(&self, file: &Path) -> io::Result<String> {
        match fs::metadata(file)?.permissions().mode() & 0o004 {
            0 => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Disk.read(file),
        }
    }
}

/// A GPU with this counter and this power.
pub(super) fn gpu(energy_mj: Option<u64>, watts: Option<f64>) -> Raw {
    Raw {
        energy_mj,
        power: watts.map(Watts),
        ..Raw::default()
    }
}

/// GPUs, where their library is.
struct Gpus {
    is_there: bool,
    library: Option<PathBuf>,
    gpus: Vec<Raw>,
}

impl Opener for Gpus {
    fn open(&mut self) -> Result<Box<dyn Library>, Fault> {
        match self.library.as_ref().is_some_and(|path| path.exists()) {
            true => Ok(Box::new(Shown(self.gpus.clone()))),
            false => Err(Fault::Absent("no such file".to_owned())),
        }
    }

    fn devices_are_there(&self) -> bool {
        self.is_there || self.library.is_some()
    }
}

struct Shown(Vec<Raw>);

impl Library for Shown {
    fn list(&mut self) -> Result<Vec<Found>, Fault> {
        let gpu = |index: usize| Found {
            index: index as u32,
            uuid: format!("GPU-{index}"),
            name: "NVIDIA H100".to_owned(),
            is_allowed: true,
            instances: None,
        };
        Ok((0..self.0.len()).map(gpu).collect())
    }

    fn look(&mut self, place: &Place) -> Result<Raw, Fault> {
        Ok(self.0[place.index as usize].clone())
    }

    fn computing(&mut self, _: &Place) -> Option<Vec<u32>> {
        None
    }

    fn limit(&mut self, _: &Place) -> Option<Watts> {
        None
    }

    fn is_same(&mut self, _: &Place) -> bool {
        true
    }

    fn busy(&mut self, _: &Place, _: u64) -> Option<(BTreeMap<u32, f64>, u64)> {
        None
    }

    fn close(self: Box<Self>) {}
}

/// Runs a fix as it stands.
pub(super) fn run(_: &mut Fixture, fix: &str) {
    let done = Command::new("sh").args(["-c", fix]).status().unwrap();
    assert!(done.success(), "`{fix}`");
}

/// Does `export NAME=VALUE`.
pub(super) fn export(on: &mut Fixture, fix: &str) {
    let set = fix
        .strip_prefix("export ")
        .and_then(|set| set.split_once('='));
    let (name, value) = set.unwrap_or_else(|| panic!("`{fix}` is no export"));
    on.variables.insert(name.to_owned(), value.to_owned());
}

/// Does `unset NAME`.
pub(super) fn unset(on: &mut Fixture, fix: &str) {
    let name = fix.strip_prefix("unset ");
    let name = name.unwrap_or_else(|| panic!("`{fix}` is no unset"));
    assert!(on.variables.remove(name).is_some(), "{name}");
}

/// The beginning of a fix, without what can be done instead.
pub(super) fn before<'a>(fix: &'a str, end: &str) -> &'a str {
    fix.split(end).next().unwrap_or(fix)
}
