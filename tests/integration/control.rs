//! Control of live runs, with real ones: HTTP at the socket, `status --watch`, `--detach` and `logs`,
//! `continue`, `reload`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use catrain::control::{self, Word};
use catrain::ledger::entry::{Action, Begin, What};
use catrain::ledger::{self, ledger_path};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::child::Running;
use crate::support::process::{self, Pid};
use crate::support::pty::Pty;
use crate::support::supervised::{
    LONG, Supervised, both, outcome, recorded, run, said, script, trace,
};
use crate::support::{SOON, Sandbox, wait_for, wait_until};

/// The program under test.
const CATRAIN: &str = env!("CARGO_BIN_EXE_catrain");
/// At once and never held.
const AT_ONCE: [&str; 4] = ["-z", "DE", "--max-delay", "0"];

/// Options of a run that is held for hours.
fn held(sandbox: &Sandbox) -> Vec<String> {
    let trace = trace(sandbox, |hour| if hour < 12 { 500.0 } else { 100.0 });
    let day = format!("{}@2021-11-09T00:00", trace.display());
    let options = ["--replay", &day, "-d", "2h", "--deadline", "+20h"];
    options.map(str::to_owned).into()
}

/// `catrain run` with these options, held, killed at once; its id.
fn killed_while_held(sandbox: &Sandbox, more: &[&str], job: &[&str]) -> String {
    let options = held(sandbox);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(more);
    let mut held = Supervised::start(sandbox, &mut run(sandbox, &options, job));
    held.wait_for_state("held");
    let id = held.id();
    wait_until("it is recorded", SOON, || {
        let read = ledger::read(&ledger_path(&sandbox.state_dir(), &id));
        read.is_ok_and(|ledger| ledger.begin().is_some())
    });
    process::kill(held.pid());
    held.end();
    id
}

fn begin_of(sandbox: &Sandbox, run: &str) -> Begin {
    let ledger = ledger::read(&ledger_path(&sandbox.state_dir(), run)).unwrap();
    ledger.begin().unwrap().1.clone()
}

fn socket(sandbox: &Sandbox, run: &str) -> PathBuf {
    control::socket(&sandbox.runtime_dir(), run)
}

#[track_caller]
fn wait_for_state(sandbox: &Sandbox, run: &str, state: &str) -> Value {
    wait_for(&format!("{run} is {state}"), LONG, || {
        let answer = control::ask(&socket(sandbox, run), Word::Status).ok()?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        (answer["state"] == state).then_some(answer)
    })
}

/// Waits until the run has its end in its record.
#[track_caller]
fn wait_for_end(sandbox: &Sandbox, run: &str) {
    let path = ledger_path(&sandbox.state_dir(), run);
    wait_until("it has ended", LONG, || {
        ledger::read(&path).is_ok_and(|ledger| !ledger.unfinished)
    });
}

// HTTP -----------------------------------------------------------------------------------------

/// Of the long help of `catrain status`:
/// > Each run also answers HTTP at a Unix socket of its own in the runtime directory, for this user
/// > alone: GET /status, POST /pause, POST /resume (or /resume?for=2h), POST /stop, POST /reload.
#[test]
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
fn whatever_speaks_http_can_ask_and_stop_a_run() {
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &AT_ONCE, ["sleep", "600"]));
    job.wait_for_state("running");
    let path = socket(&sandbox, &job.id());
    let request = |how: &[&str]| {
        let mut curl = sandbox.command("curl");
        curl.args(["--silent", "--show-error", "--write-out", "%{http_code}"]);
        curl.arg("--unix-socket").arg(&path).args(how);
        let ended = outcome(&mut curl);
        (ended.status.code() != Some(127)).then_some(ended.stdout)
    };
    let Some(status) = request(&["http://catrain/status"]) else {
        eprintln!("passed by: there is no curl");
        return;
    };
    assert!(
        status.ends_with("}\n200") && status.contains("\"state\":\"running\""),
        "{status}"
    );
    let wrong = request(&["http://catrain/stop"]).unwrap();
    assert!(
        wrong.ends_with("405") && wrong.contains("\"ok\":false"),
        "{wrong}"
    );
    let stopped = request(&["-X", "POST", "http://catrain/stop"]).unwrap();
    assert!(stopped.ends_with("200"), "{stopped}");
    assert_eq!(job.end().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
fn another_user_is_turned_away_before_anything_is_read() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("passed by: only root can be another user");
        return;
    }
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &AT_ONCE, ["sleep", "600"]));
    job.wait_for_state("running");
    // As if modes did not hold.
    let path = socket(&sandbox, &job.id());
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for directory in path.ancestors().skip(1).take(2) {
        open(directory, 0o755);
    }
    open(&path, 0o666);
    // Says nothing, and is answered.
    let script = "import os, socket, sys\n\
                  os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(4096).decode())";
    let mut other = sandbox.command("python3");
    other.args(["-c", script]).arg(&path);
    let ended = outcome(&mut other);
    assert!(ended.stdout.starts_with("HTTP/1.1 403"), "{ended:?}");
    job.word(Word::Stop);
    job.end();
}

// Status ---------------------------------------------------------------------------------------

#[test]
fn a_watch_tells_what_changes_and_ends_well_by_ctrl_c() {
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &AT_ONCE, ["sleep", "600"]));
    job.wait_for_state("running");
    let mut watch = Running::start(&mut sandbox.catrain(["status", "--watch"]));
    watch.expect("running", SOON);
    job.pause();
    watch.expect("paused by hand", SOON);
    process::send(watch.pid(), Signal::SIGINT);
    let ended = watch.wait(SOON);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    // Printed when something changed, not again and again.
    assert!(
        ended.stdout.matches("RUN ").count() <= 4,
        "{}",
        ended.stdout
    );
    job.word(Word::Stop);
    job.end();
}

#[test]
fn on_a_terminal_a_watch_is_drawn_in_its_place() {
    let sandbox = Sandbox::new();
    let mut watch = Pty::start(&sandbox, &[CATRAIN, "status", "--watch"]);
    watch.expect("no run is live", SOON);
    // Up a line, and clear what is below.
    watch.expect("\u{1b}[1F\u{1b}[J", SOON);
    watch.send("\u{3}");
    assert_eq!(watch.wait(SOON).code(), Some(0));
}

#[test]
fn status_of_a_run_that_is_over_tells_how_it_ended() {
    let sandbox = Sandbox::new();
    outcome(&mut run(&sandbox, &AT_ONCE, script("job.py", ["exit7"])));
    let [id] = recorded(&sandbox).try_into().unwrap();
    assert!(said(&sandbox, &["status", &id]).contains("ended with 7"));
    let json: Value = serde_json::from_str(&said(&sandbox, &["status", &id, "--json"])).unwrap();
    assert_eq!(json["runs"][0]["exit"]["code"], 7);
    assert!(said(&sandbox, &["status"]).contains("no run is live"));
}

#[test]
fn a_run_whose_job_outlived_its_supervisor_is_shown_with_the_command_for_it() {
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(&sandbox, &mut run(&sandbox, &AT_ONCE, ["sleep", "600"]));
    job.wait_for_state("running");
    let (id, leader) = (job.id(), job.leader());
    wait_until("its start is recorded", SOON, || {
        let read = ledger::read(&ledger_path(&sandbox.state_dir(), &id));
        let entries = read.map(|ledger| ledger.entries).unwrap_or_default();
        let is_start = |what: &What| {
            let start = Action::Start;
            matches!(what, What::Confirmed { action, .. } if *action == start)
        };
        entries.iter().any(|entry| is_start(&entry.what))
    });
    process::kill(job.pid());
    job.end();
    let text = said(&sandbox, &["status"]);
    assert!(text.contains(&format!("catrain attach {id}")), "{text}");
    let refused = sandbox.catrain(["continue", &id]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        both(&refused).contains(&format!("catrain attach {id}")),
        "{}",
        both(&refused)
    );
    process::kill(leader);
    wait_until("the job is gone", SOON, || !process::is_alive(leader));
    let text = said(&sandbox, &["status"]);
    assert!(text.contains("how the job ended is not known"), "{text}");
    // After a reboot, say, there is no socket.
    fs::remove_dir_all(sandbox.runtime_dir()).unwrap();
    assert!(said(&sandbox, &["status"]).contains(&id));
}

// Detached -------------------------------------------------------------------------------------

/// A detached run: its id, as it was printed.
#[track_caller]
fn detached(sandbox: &Sandbox, options: &[&str], job: &[&str]) -> String {
    let options = [options, &["--detach"]].concat();
    let ended = outcome(&mut run(sandbox, &options, job));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let id = ended
        .stdout
        .strip_suffix('\n')
        .unwrap_or_default()
        .to_owned();
    assert!(
        id.chars().all(|c| c.is_ascii_alphanumeric()) && id.len() >= 4,
        "{id:?}"
    );
    id
}

#[test]
fn a_detached_run_prints_its_id_and_its_output_goes_to_a_file_of_its_own() {
    let sandbox = Sandbox::new();
    let go = sandbox.path("go");
    let script = "echo to stdout; echo to stderr >&2; read line; echo stdin ended; \
                  while ! test -e \"$1\"; do sleep 0.01; done; echo last words; exit 3";
    let go_path = go.to_str().unwrap();
    let id = detached(&sandbox, &AT_ONCE, &["sh", "-c", script, "sh", go_path]);
    let log = sandbox
        .state_dir()
        .join("runs")
        .join(&id)
        .join("output.log");
    assert_eq!(
        fs::metadata(&log).unwrap().permissions().mode() & 0o777,
        0o600
    );
    wait_for_state(&sandbox, &id, "running");
    let mut follow = Running::start(&mut sandbox.catrain(["logs", "-f"]));
    follow.expect("stdin ended", SOON);
    fs::write(go, "").unwrap();
    let ended = follow.wait(SOON);
    for text in ["to stdout\n", "to stderr\n", "last words\n", "ended with 3"] {
        assert!(ended.stdout.contains(text), "{text}: {}", ended.stdout);
    }
    assert_eq!(said(&sandbox, &["logs", &id]), ended.stdout);
    assert!(said(&sandbox, &["status", &id]).contains("ended with 3"));
    let beside: Vec<_> = fs::read_dir(sandbox.state_dir())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with(".output"))
        .collect();
    assert_eq!(beside, [""; 0]);
}

#[test]
fn a_detached_run_that_is_held_is_there_as_soon_as_it_is_held() {
    let sandbox = Sandbox::new();
    let options = held(&sandbox);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let id = detached(&sandbox, &options, &["true"]);
    wait_for_state(&sandbox, &id, "held");
    said(&sandbox, &["stop", &id]);
    wait_for_end(&sandbox, &id);
    assert!(said(&sandbox, &["logs"]).contains("held until"));
}

#[test]
fn a_failure_before_the_start_is_that_of_the_command_that_was_typed() {
    let sandbox = Sandbox::new();
    let code = |options: &[&str], job: &[&str], text: &str| {
        let ended = outcome(&mut run(&sandbox, &[&["-D"], options].concat(), job));
        assert!(ended.stderr.contains(text), "{ended:?}");
        assert_eq!(ended.stdout, "");
        ended.status.code()
    };
    assert_eq!(
        code(&AT_ONCE, &["/nonexistent/x"], "was not found"),
        Some(127)
    );
    assert_eq!(
        code(&AT_ONCE, &["/etc/passwd"], "cannot be executed"),
        Some(126)
    );
    assert_eq!(code(&["-z", "nowhere"], &["true"], "unknown zone"), Some(2));
    let bad = sandbox.write("bad.sh", "#!/nonexistent/interpreter\n");
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o755)).unwrap();
    let bad = bad.to_str().unwrap();
    assert_eq!(code(&AT_ONCE, &[bad], "interpreter"), Some(127));
    let left = fs::read_dir(sandbox.state_dir()).unwrap();
    let left = left.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(left.filter(|name| name.starts_with(".output")).count(), 0);
}

#[test]
fn a_detached_run_outlives_the_terminal_it_was_started_at() {
    let sandbox = Sandbox::new();
    let line = [
        CATRAIN,
        "run",
        "-z",
        "DE",
        "--max-delay",
        "0",
        "-D",
        "--",
        "sleep",
        "600",
    ];
    let mut terminal = Pty::start(&sandbox, &line);
    assert_eq!(terminal.wait(SOON).code(), Some(0), "{}", terminal.screen());
    let [id] = recorded(&sandbox).try_into().unwrap();
    let status = wait_for_state(&sandbox, &id, "running");
    let supervisor: Pid = status["supervisor_pid"]
        .as_i64()
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(process::stat(supervisor).unwrap().session, supervisor);
    terminal.hang_up();
    drop(terminal);
    let answer = control::ask(&socket(&sandbox, &id), Word::Pause).unwrap();
    assert!(answer.contains("\"ok\":true"), "{answer}");
    wait_for_state(&sandbox, &id, "paused");
    said(&sandbox, &["stop", &id]);
    wait_for_end(&sandbox, &id);
}

#[test]
fn logs_of_a_run_that_was_not_detached_say_where_they_went() {
    let sandbox = Sandbox::new();
    outcome(&mut run(&sandbox, &AT_ONCE, ["true"]));
    let [id] = recorded(&sandbox).try_into().unwrap();
    let output = sandbox.catrain(["logs", &id]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(both(&output).contains("its output went where it was started"));
}

// Continued ------------------------------------------------------------------------------------

#[test]
fn a_run_that_was_killed_while_held_is_continued_with_what_was_recorded() {
    let sandbox = Sandbox::new();
    let told = sandbox.path("told");
    let script = "pwd > \"$0\"; echo \"$HELLO\" >> \"$0\"";
    let job = ["sh", "-c", script, told.to_str().unwrap()];
    let first = killed_while_held(&sandbox, &["--name", "it"], &job);
    let text = said(&sandbox, &["status"]);
    assert!(
        text.contains(&format!("catrain continue {first}")),
        "{text}"
    );

    // From elsewhere, with an environment of its own.
    let mut again = sandbox.catrain(["continue", &first]);
    again.current_dir("/").env("HELLO", "hello");
    let mut held = Supervised::start(&sandbox, &mut again);
    let second = wait_for("the second run", LONG, || {
        let live = recorded(&sandbox).into_iter().find(|id| *id != first)?;
        control::ask(&socket(&sandbox, &live), Word::Status).ok()?;
        Some(live)
    });
    wait_for_state(&sandbox, &second, "held");
    let begin = begin_of(&sandbox, &second);
    assert_eq!(begin.continues.as_ref(), Some(&first));
    assert_eq!(begin.name, "it");
    assert_eq!(begin.deadline, begin_of(&sandbox, &first).deadline);
    let deadline = begin.deadline.unwrap().to_string();
    assert!(begin.options.unwrap().contains(&deadline));

    // Only one: this one is live, and that one has become it.
    wait_until("the old one tells", SOON, || {
        said(&sandbox, &["status", &first]).contains(&format!("continued as {second}"))
    });
    let refused = sandbox.catrain(["continue", &first]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", both(&refused));
    let report = said(&sandbox, &["report", &first]);
    assert!(
        report.contains(&format!("continued as {second}")),
        "{report}"
    );
    let all = said(&sandbox, &["status"]);
    assert!(all.contains(&second) && !all.contains(&first), "{all}");

    said(&sandbox, &["resume", &second]);
    assert_eq!(held.end().code(), Some(0), "{}", held.running.stderr());
    let home = sandbox.home().canonicalize().unwrap();
    assert_eq!(sandbox.read("told"), format!("{}\nhello\n", home.display()));
    let over = sandbox.catrain(["continue", &second]).output().unwrap();
    assert!(both(&over).contains("is over"), "{}", both(&over));
}

#[test]
fn what_was_detached_is_detached_again_when_it_is_continued() {
    let sandbox = Sandbox::new();
    let options = held(&sandbox);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let first = detached(&sandbox, &options, &["echo", "at last"]);
    let status = wait_for_state(&sandbox, &first, "held");
    let supervisor: Pid = status["supervisor_pid"]
        .as_i64()
        .unwrap()
        .try_into()
        .unwrap();
    process::kill(supervisor);
    wait_until("it is dead", SOON, || !process::is_alive(supervisor));
    let second = said(&sandbox, &["continue", &first]).trim().to_owned();
    wait_for_state(&sandbox, &second, "held");
    assert_eq!(begin_of(&sandbox, &second).continues, Some(first.clone()));
    said(&sandbox, &["resume", &second]);
    wait_for_end(&sandbox, &second);
    assert!(said(&sandbox, &["logs", &second]).contains("at last\n"));
    assert!(!said(&sandbox, &["logs", &first]).contains("at last\n"));
}

#[test]
fn of_two_that_continue_a_run_at_once_one_wins() {
    let sandbox = Sandbox::new();
    let first = killed_while_held(&sandbox, &[], &["sleep", "600"]);
    let mut both: Vec<Running> = (0..2)
        .map(|_| Running::start(&mut sandbox.catrain(["continue", &first])))
        .collect();
    let lost = wait_for("one of them has lost", LONG, || {
        both.iter_mut().position(|one| one.has_ended().is_some())
    });
    let lost = both.remove(lost).wait(SOON);
    assert_eq!(lost.status.code(), Some(2), "{lost:?}");
    assert!(lost.stderr.contains("continued"), "{lost:?}");
    assert!(both[0].has_ended().is_none());
    let second = wait_for("the other one is there", SOON, || {
        recorded(&sandbox).into_iter().find(|id| *id != first)
    });
    wait_for_state(&sandbox, &second, "held");
}

/// Of the promises:
/// > The job's own arguments are stored redacted.
#[test]
fn a_command_with_a_secret_is_asked_for_when_it_is_continued() {
    let sandbox = Sandbox::new();
    let job = ["echo", "--api-key", "Sup3rS3cretK3y"];
    let first = killed_while_held(&sandbox, &[], &job);
    assert!(begin_of(&sandbox, &first).is_redacted);
    let asked = sandbox.catrain(["continue", &first]).output().unwrap();
    assert_eq!(asked.status.code(), Some(2));
    assert!(
        both(&asked).contains("has to be given again"),
        "{}",
        both(&asked)
    );
    let wrong = ["continue", &first, "--", "echo", "--api-key", "another"];
    let wrong = sandbox.catrain(wrong).output().unwrap();
    assert!(
        both(&wrong).contains("this is not the command"),
        "{}",
        both(&wrong)
    );
    let mut right = sandbox.catrain(["continue", &first, "--"]);
    let mut right = Running::start(right.args(job));
    let second = wait_for("it is continued", LONG, || {
        assert!(right.has_ended().is_none(), "{}", right.stderr());
        recorded(&sandbox).into_iter().find(|id| *id != first)
    });
    wait_for_state(&sandbox, &second, "held");
}

// Reload ---------------------------------------------------------------------------------------

#[test]
fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one_whole() {
    let sandbox = Sandbox::new();
    let mut job = Supervised::start(
        &sandbox,
        &mut run(&sandbox, &["-z", "DE"], ["sleep", "600"]),
    );
    job.wait_for_state("running");
    let id = job.id();
    let same = said(&sandbox, &["reload"]);
    assert!(same.contains("nothing is different"), "{same}");
    let good = "[ledger]\nsample = \"30s\"\n[resilience]\nattempts = 7\n";
    sandbox.write("config/config.toml", good);
    // It may have taken the file by itself by then; what it keeps is said each time.
    let taken = said(&sandbox, &["reload", &id]);
    let kept = "keeps its ledger.sample: new runs have the new ones";
    assert!(taken.contains(kept), "{taken}");
    let in_force = said(&sandbox, &["config", "show", "--run", &id, "--origin"]);
    assert!(in_force.contains("resilience.attempts = 7"), "{in_force}");
    assert!(in_force.contains("config.toml:4:12"), "{in_force}");
    assert!(!in_force.contains("ledger.sample"), "{in_force}");

    sandbox.write(
        "config/config.toml",
        "[ledger]\nsampel = 3\n[resilience]\nattempts = \"x\"\n",
    );
    let refused = sandbox.catrain(["reload"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = both(&refused);
    for problem in ["sampel", "resilience.attempts", "was not changed"] {
        assert!(text.contains(problem), "{problem}: {text}");
    }
    // The one in force is the one before.
    sandbox.write("config/config.toml", good);
    let again = said(&sandbox, &["reload"]);
    assert!(
        again.contains(kept) && !again.contains("at once"),
        "{again}"
    );
    job.word(Word::Stop);
    job.end();
    let ledger = fs::read_to_string(ledger_path(&sandbox.state_dir(), &id)).unwrap();
    assert_eq!(ledger.matches("\"word\":\"reload\"").count(), 4);
}
