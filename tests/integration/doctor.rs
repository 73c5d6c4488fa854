//! `catrain doctor` as it is started: what it says of runs that were really killed, of services that
//! really hang, and that it changes nothing.
//!
//! That each check fails somewhere and passes after its fix is shown beside the checks themselves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;
use catrain::executor::freezer::{self, Freezer};
use catrain::ledger::entry::What;
use catrain::ledger::{self, ledger_path};
use serde_json::Value;

use crate::support::child::Ended;
use crate::support::process;
use crate::support::pty::Pty;
use crate::support::services::{Reply, Services};
use crate::support::supervised::{LONG, Supervised, outcome, run, trace};
use crate::support::{SOON, Sandbox, wait_until};

/// The program under test.
const CATRAIN: &str = env!("CARGO_BIN_EXE_catrain");
/// The arguments that tests give.
const DOCTOR: [&str; 4] = ["doctor", "--json", "-z", "DE"];

/// What it says of each check that applies.
fn checks(ended: &Ended) -> BTreeMap<String, Vec<Value>> {
    let document: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", ended.stdout, ended.stderr));
    assert_eq!(document["schema"], "catrain.doctor/1");
    let mut checks: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for check in document["checks"].as_array().unwrap() {
        let is_ok = check["outcome"] == "ok";
        assert_eq!(check["fix"].is_null(), is_ok, "{check}");
        let name = check["name"].as_str().unwrap().to_owned();
        checks.entry(name).or_default().push(check.clone());
    }
    checks
}

/// The one thing that it says of a check.
#[track_caller]
fn said_of(ended: &Ended, check: &str) -> [String; 3] {
    let checks = checks(ended);
    let [one] = checks[check].as_slice() else {
        panic!("{:#?}", checks[check]);
    };
    ["outcome", "found", "fix"].map(|name| one[name].as_str().unwrap_or_default().to_owned())
}

/// Everything in the sandbox: paths, lengths and times of change.
fn listed(sandbox: &Sandbox) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![sandbox.path("")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let facts = entry.path().symlink_metadata().unwrap();
            all.push(format!(
                "{:?} {:?} {}",
                entry.path(),
                facts.modified(),
                facts.len()
            ));
            if facts.is_dir() {
                open.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

#[test]
fn it_makes_and_changes_nothing_and_shows_no_secret() {
    let sandbox = Sandbox::new();
    sandbox.write("config/config.toml", "[run]\nsource = [\"watttime\"]\n");
    fs::set_permissions(sandbox.config_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    let services = Services::saying(Reply::of(401, "", "{}"));
    let before = listed(&sandbox);
    let mut doctor = services.catrain(&sandbox, &DOCTOR);
    doctor.env("CATRAIN_WATTTIME_KEY", "adalovelace:hunter2");
    let ended = outcome(&mut doctor);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let all = ended.stdout.clone() + &ended.stderr;
    assert!(
        !all.contains("hunter2") && !all.contains("adalovelace"),
        "{all}"
    );
    let keys = &checks(&ended)["keys"];
    let refused = keys.iter().find(|key| key["outcome"] == "broken").unwrap();
    let fix = refused["fix"].as_str().unwrap();
    assert!(fix.contains("catrain key set watttime"), "{refused}");
    assert_eq!(listed(&sandbox), before);
}

/// Of the long help:
/// > the sources of the zone are asked once, unless --offline is given
#[test]
fn sources_are_asked_unless_offline_and_each_is_told_of() {
    let sandbox = Sandbox::new();
    let services = Services::good();
    let ended = outcome(&mut services.catrain(&sandbox, &DOCTOR));
    let [result, found, _] = said_of(&ended, "sources");
    assert_eq!(result, "ok", "{found}");
    assert!(found.starts_with("energy-charts answers in "), "{found}");
    assert!(found.contains(" h ahead"), "{found}");
    assert_eq!(services.calls("/co2eq"), 1);

    let offline: Vec<&str> = DOCTOR.into_iter().chain(["--offline"]).collect();
    let asked = services.connections();
    let ended = outcome(&mut services.catrain(&sandbox, &offline));
    let [result, found, _] = said_of(&ended, "sources");
    assert_eq!((result.as_str(), services.connections()), ("ok", asked));
    assert!(found.contains("not asked"), "{found}");
}

/// Of the long help:
/// > ends within about five seconds whatever hangs
#[test]
fn a_service_that_hangs_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let services = Services::saying(Reply::Never);
    let begun = monotonic();
    let ended = outcome(&mut services.catrain(&sandbox, &DOCTOR));
    let took = monotonic() - begun;
    let [result, found, fix] = said_of(&ended, "sources");
    assert_eq!(result, "could_be_better", "{found}");
    assert!(
        found.contains("in time") || found.contains("did not answer"),
        "{found}"
    );
    assert!(fix.contains("CATRAIN_ENERGY_CHARTS_BASE_URL"), "{fix}");
    // A busy machine takes longer to start and to end a process, not to wait.
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// Waits until a run has written down what it says of itself: its record comes a little later.
#[track_caller]
fn wait_for_entry(sandbox: &Sandbox, run: &str, is_it: impl Fn(&What) -> bool) {
    let path = ledger_path(&sandbox.state_dir(), run);
    wait_until("its record has it", LONG, || {
        ledger::read(&path)
            .is_ok_and(|ledger| ledger.entries.iter().any(|entry| is_it(&entry.what)))
    });
}

/// The words of a fix that is a command of `catrain`.
fn command_of(fix: &str) -> Vec<String> {
    let words = fix
        .strip_prefix("catrain ")
        .unwrap_or_else(|| panic!("{fix}"));
    words.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_run_that_was_killed_while_held_is_told_with_the_command_that_goes_on_with_it() {
    let sandbox = Sandbox::new();
    let trace = trace(&sandbox, |hour| if hour < 12 { 500.0 } else { 100.0 });
    let day = format!("{}@2021-11-09T00:00", trace.display());
    let options = ["--replay", &day, "-d", "2h", "--deadline", "+20h"];
    let mut held = Supervised::start(&sandbox, &mut run(&sandbox, &options, ["true"]));
    held.wait_for_state("held");
    wait_for_entry(&sandbox, &held.id(), |what| matches!(what, What::Begin(_)));
    process::kill(held.pid());
    held.end();
    let ended = outcome(&mut sandbox.catrain(DOCTOR));
    let found = &checks(&ended)["runs"];
    let next = |found: &[Value]| {
        let fixes = found.iter().filter_map(|one| one["fix"].as_str());
        fixes.map(str::to_owned).collect::<Vec<_>>()
    };
    let fixes = next(found);
    let [goes_on, socket] = fixes.as_slice() else {
        panic!("{found:#?}");
    };
    assert!(goes_on.starts_with("catrain continue "), "{goes_on}");
    // The socket first, so that the one of the run that goes on is the only one.
    let removed = Command::new("sh").args(["-c", socket]).status().unwrap();
    assert!(removed.success(), "{socket}");
    let mut goes_on = Supervised::start(&sandbox, &mut sandbox.catrain(command_of(goes_on)));
    goes_on.wait_for_state("held");
    let [result, found, _] = said_of(&outcome(&mut sandbox.catrain(DOCTOR)), "runs");
    assert_eq!(result, "ok", "{found}");
    assert!(found.starts_with("1 is live"), "{found}");
    goes_on.word(Word::Stop);
    goes_on.end();
}

#[test]
fn a_job_that_outlived_its_supervisor_is_told_and_is_well_once_attached() {
    let sandbox = Sandbox::new();
    let at_once = ["-z", "DE", "--max-delay", "0"];
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &at_once, ["sleep", "600"]));
    job.wait_for_state("running");
    let (id, leader) = (job.id(), job.leader());
    wait_for_entry(&sandbox, &id, |what| {
        matches!(what, What::Confirmed { pid: Some(_), .. })
    });
    process::kill(job.pid());
    job.end();
    let ended = outcome(&mut sandbox.catrain(DOCTOR));
    let runs = &checks(&ended)["runs"];
    let fix = format!("catrain attach {id}");
    let told = runs.iter().find(|one| one["fix"] == fix.as_str());
    let told = told.unwrap_or_else(|| panic!("{runs:#?}"));
    assert!(
        told["found"]
            .as_str()
            .unwrap()
            .contains(&format!("pid {leader}"))
    );
    process::kill(leader);
    wait_until("the job is gone", SOON, || !process::is_alive(leader));
    fs::remove_file(sandbox.runtime_dir().join(format!("{id}.sock"))).unwrap();
    let [result, ..] = said_of(&outcome(&mut sandbox.catrain(DOCTOR)), "runs");
    assert_eq!(result, "ok");
}

/// Real delegation, as systemd does it for `Delegate=yes`: the files of a cgroup are given away.
#[test]
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
fn a_cgroup_that_is_not_delegated_is_told_and_works_once_it_is() {
    let usable = freezer::try_out(Path::new("/")).and_then(|()| Freezer::find(Path::new("/")));
    let (Ok(freezer), true) = (usable, nix::unistd::geteuid().is_root()) else {
        eprintln!("passed by: it needs root, and a cgroup that may be divided");
        return;
    };
    let delegated = freezer
        .own()
        .join(format!("test-doctor-{}", std::process::id()));
    fs::create_dir(&delegated).unwrap();
    // Where everybody can start it.
    let sandbox = Sandbox::new();
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let program = sandbox.path("catrain");
    let copied = Command::new("cp").arg(CATRAIN).arg(&program).status();
    assert!(copied.unwrap().success());
    let script = "import os, sys\n\
                  open(sys.argv[1] + '/cgroup.procs', 'w').write('0')\n\
                  os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n\
                  os.execv(sys.argv[2], sys.argv[2:])";
    let look = || {
        let mut other = sandbox.command("python3");
        other.args(["-c", script]).arg(&delegated).arg(&program);
        said_of(&outcome(other.args(DOCTOR)), "freezer")
    };
    let before = look();
    for place in ["", "cgroup.procs"] {
        chown(delegated.join(place), Some(65534), None).unwrap();
    }
    let after = look();
    wait_until("the cgroup is empty", SOON, || {
        fs::remove_dir(&delegated).is_ok()
    });
    assert_eq!(before[0], "could_be_better", "{before:?}");
    assert!(before[2].contains("Delegate=yes"), "{before:?}");
    assert_eq!(after[0], "ok", "{after:?}");
}

#[cfg(feature = "fault-points")]
#[test]
fn a_kernel_without_pidfds_is_told_and_that_something_takes_their_place() {
    let sandbox = Sandbox::new();
    let mut doctor = sandbox.catrain(DOCTOR);
    doctor.env("CATRAIN_NO_PIDFD", "1");
    let [result, found, fix] = said_of(&outcome(&mut doctor), "pidfds");
    assert_eq!(result, "could_be_better");
    assert!(
        found.contains("pid and start time take its place"),
        "{found}"
    );
    assert!(fix.contains("seccomp"), "{fix}");
}

#[test]
fn a_terminal_gets_lines_that_fit_and_a_pipe_one_line_for_each_finding() {
    let sandbox = Sandbox::new();
    for columns in [80, 36] {
        let script = format!("stty cols {columns}; exec {CATRAIN} doctor -z DE --color never");
        let mut terminal = Pty::start(&sandbox, &["sh", "-c", &script]);
        terminal.expect("broken", LONG);
        terminal.wait(SOON);
        let screen = terminal.screen();
        // A path may be longer than any line.
        let long =
            |line: &&str| line.trim_end().chars().count() > columns && line.trim().contains(' ');
        let long: Vec<&str> = screen.lines().filter(long).collect();
        assert_eq!(long, [""; 0], "{columns}");
        assert!(screen.contains("✓ zone"), "{screen}");
    }
    let ended = outcome(&mut sandbox.catrain(["doctor", "-z", "DE"]));
    let marked = |line: &&str| line.starts_with(['✓', '!', '✗']);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(
        lines.iter().filter(|line| marked(line)).count() + 1,
        lines.len()
    );
}
