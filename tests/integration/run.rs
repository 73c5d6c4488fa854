//! `catrain run` from the command line to the exit code: what passes through, what is refused, and
//! when a job is held.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use catrain::clock::monotonic;
use catrain::control::Word;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::child::Running;
use crate::support::process;
use crate::support::supervised::{LONG, Supervised, both, outcome, recorded, run, script, trace};
use crate::support::{SOON, Sandbox, fixture, wait_until};

/// At once and never held.
const AT_ONCE: [&str; 4] = ["-z", "DE", "--max-delay", "0"];

/// What the newest run was: the document of `catrain report`.
#[track_caller]
fn report(sandbox: &Sandbox) -> Value {
    let output = sandbox
        .catrain(["report", "latest", "--format", "json"])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", both(&output)));
    document["runs"][0].clone()
}

// The exit -------------------------------------------------------------------------------------
//
// > **The exit is the job's exit.** Same code, or the same signal. Own failures before the start: 125,
// > not executable 126, not found 127, usage or configuration 2.

#[test]
fn the_job_s_code_and_signal_are_passed_on() {
    let sandbox = Sandbox::new();
    let code = outcome(&mut run(&sandbox, &AT_ONCE, script("job.py", ["exit7"])));
    assert_eq!(code.status.code(), Some(7), "{}", code.stderr);
    let signal = outcome(&mut run(&sandbox, &AT_ONCE, script("job.py", ["segv"])));
    assert_eq!(
        signal.status.signal(),
        Some(Signal::SIGSEGV as i32),
        "{}",
        signal.stderr
    );
    assert!(!signal.status.core_dumped());
    assert_eq!(report(&sandbox)["exit"]["signal"], Signal::SIGSEGV as i32);
}

#[test]
fn a_summary_that_nobody_takes_does_not_keep_the_exit_back() {
    let sandbox = Sandbox::new();
    let pipe = tempfile::tempdir().unwrap();
    let path = pipe.path().join("summary");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let options = [&AT_ONCE[..], &["--summary-file", path.to_str().unwrap()]].concat();
    let ended = outcome(&mut run(&sandbox, &options, script("job.py", ["exit7"])));
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("cannot write the summary"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_limit_on_the_size_of_files_ends_the_record_and_not_the_run() {
    let sandbox = Sandbox::new();
    let plain = sandbox.catrain(["run", "-z", "DE", "--", "sh", "-c", "exit 5"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 0; exec \"$@\"", "sh"]);
    limited.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = limited.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", both(&output));
    assert!(both(&output).contains("incomplete"), "{}", both(&output));
}

#[test]
fn status_tells_no_end_of_work_whose_length_nobody_knows() {
    let sandbox = Sandbox::new();
    let mut command = run(&sandbox, &["-z", "DE"], ["sleep", "600"]);
    let mut supervised = Supervised::start(&sandbox, &mut command);
    let status = supervised.wait_for_state("running");
    assert_eq!(status["done_about"], Value::Null, "{status}");
    supervised.word(Word::Stop);
    supervised.end();
}

#[test]
fn status_does_not_guess_how_a_run_without_a_record_ended() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.runtime_dir()).unwrap();
    let socket = sandbox.runtime_dir().join("r7k2.sock");
    drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
    let output = sandbox.catrain(["status"]).output().unwrap();
    assert!(
        both(&output).contains("there is no record of it"),
        "{}",
        both(&output)
    );
}

#[test]
fn a_file_that_is_one_long_line_is_not_quoted_whole() {
    let sandbox = Sandbox::new();
    let long = sandbox.path("long.csv");
    std::fs::write(&long, "x,".repeat(100_000)).unwrap();
    let output = sandbox.catrain(["run", "--replay", long.to_str().unwrap(), "--", "true"]);
    let text = both(&{ output }.output().unwrap());
    assert!(text.contains("line 1: the header is"), "{text}");
    assert!(text.len() < 1000, "{} bytes", text.len());
}

#[test]
fn a_command_that_is_nothing_is_not_found() {
    let sandbox = Sandbox::new();
    let output = sandbox.catrain(["run", "-z", "DE", "--", ""]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(127), "{}", both(&output));
}

#[test]
fn what_an_error_quotes_is_not_obeyed_by_the_terminal() {
    let sandbox = Sandbox::new();
    let output = sandbox.catrain(["run", "-z", "D\x1b[31mE", "--", "true"]);
    let text = both(&{ output }.output().unwrap());
    assert!(
        text.contains(r"D\u{1b}[31mE") && !text.contains('\x1b'),
        "{text}"
    );
}

#[test]
fn a_job_that_ignores_term_is_killed_after_the_grace_period() {
    for by in ["word", "signal"] {
        let sandbox = Sandbox::new();
        let options = [&AT_ONCE[..], &["--grace", "1s"]].concat();
        let mut command = run(&sandbox, &options, script("job.py", ["ignore-term"]));
        let mut run = Supervised::start(&sandbox, &mut command);
        run.running.expect("ready", LONG);
        let asked = monotonic();
        match by {
            "word" => drop(run.word(Word::Stop)),
            _ => process::send(run.pid(), Signal::SIGTERM),
        }
        assert_eq!(run.end().signal(), Some(Signal::SIGKILL as i32), "{by}");
        assert!(monotonic() - asked >= Duration::from_secs(1), "{by}");
    }
}

#[test]
fn what_leaves_the_job_s_group_outlives_it_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("file");
    let words = ["leave-group", file.to_str().unwrap()];
    let options = [&AT_ONCE[..], &["--leftovers", "leave"]].concat();
    let mut run = Supervised::start(
        &sandbox,
        &mut run(&sandbox, &options, script("job.py", words)),
    );
    assert_eq!(run.end().code(), Some(0));
    wait_until("the child writes", SOON, || file.exists());
}

#[test]
fn a_job_that_closes_its_outputs_ends_with_its_code() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("file");
    let words = ["close-outputs", file.to_str().unwrap()];
    let ended = outcome(&mut run(&sandbox, &AT_ONCE, script("job.py", words)));
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert_eq!(sandbox.read("file"), "done\n");
}

#[test]
fn a_hundred_megabytes_pass_a_pipe_byte_for_byte() {
    let sandbox = Sandbox::new();
    let inner = run(
        &sandbox,
        &[&AT_ONCE[..], &["--summary", "none"]].concat(),
        script("job.py", ["flood", "100000000"]),
    );
    let mut command = sandbox.command("sh");
    command
        .args(["-c", "\"$@\" | sha256sum", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = outcome(&mut command);
    let (sum, _) = ended.stdout.split_once(' ').unwrap();
    let told = ended.stderr.lines().any(|line| line == sum);
    assert!(told, "{} {}", ended.stdout, ended.stderr);
}

#[test]
fn standard_input_reaches_the_job_byte_for_byte() {
    let input: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let sandbox = Sandbox::new();
    let job = script("job.py", ["read-stdin"]);
    let plain =
        Running::start_with(&mut sandbox.script("job.py", ["read-stdin"]), &input).wait(LONG);
    let under = Running::start_with(&mut run(&sandbox, &AT_ONCE, job), &input).wait(LONG);
    assert!(plain.stdout.starts_with("3000000 "));
    assert_eq!(under.stdout, plain.stdout);
}

#[test]
fn what_cannot_start_says_why_with_its_own_code_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let plain = sandbox.write("home/plain", "no program");
    let cases: [(&[&str], i32, &str); 5] = [
        (&["no-such-program"], 127, "was not found on the PATH"),
        (&["./no-such-program"], 127, "was not found"),
        (&[plain.to_str().unwrap()], 126, "cannot be executed"),
        (&["/"], 126, "cannot be executed"),
        (&["./broken"], 127, "interpreter"),
    ];
    let broken = sandbox.write("home/broken", "#!/no/such/interpreter\n");
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (job, code, words) in cases {
        let ended = outcome(&mut run(&sandbox, &AT_ONCE, job));
        assert_eq!(ended.status.code(), Some(code), "{job:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("catrain: error:"),
            "{job:?}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(words), "{job:?}: {}", ended.stderr);
    }
    wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
}

#[test]
fn its_own_failure_before_the_start_is_125() {
    let sandbox = Sandbox::new();
    let inner = run(&sandbox, &AT_ONCE, ["touch", "touched"]);
    let mut command = sandbox.command("sh");
    // Not enough descriptors for signals and an event loop.
    command
        .args(["-c", "ulimit -n 4; exec \"$@\"", "sh"])
        .args(inner.get_args().skip(1));
    let ended = outcome(&mut command);
    assert_eq!(ended.status.code(), Some(125), "{}", ended.stderr);
    assert!(ended.stderr.contains("catrain: error:"), "{}", ended.stderr);
    assert!(!sandbox.home().join("touched").exists());
}

#[test]
fn wrong_use_is_refused_with_a_hint_and_nothing_starts() {
    let sandbox = Sandbox::new();
    let cases: [(&[&str], &str); 17] = [
        (&["-z", "DEE"], "did you mean `DE`"),
        (&["-z", "DE", "-d", "0s"], "duration"),
        (&["-z", "DE", "-d", "soon"], "soon"),
        (
            &["-z", "DE", "--deadline", "2020-01-01 09:00"],
            "has passed",
        ),
        (&["-z", "DE", "--deadline", "someday"], "someday"),
        (&["-z", "DE", "--policy", "budget"], "needs a budget"),
        (
            &["-z", "DE", "--policy", "plan", "--threshold", "200"],
            "--policy threshold",
        ),
        (
            &["-z", "DE", "--threshold", "200", "--carbon-budget", "2kg"],
            "different policies",
        ),
        (
            &["-z", "DE", "--power", "50", "--idle-power", "60"],
            "--idle-power",
        ),
        (&["-z", "DE", "--carbon-budget", "0g"], "above zero"),
        (&["-z", "DE", "--reserved"], "--idle-power"),
        (&["-z", "DE", "--duration-exact"], "--duration"),
        (&["-z", "DE", "--speed", "60"], "--replay"),
        (
            &["-z", "DE", "--replay", "DE", "-s", "built-in"],
            "cannot be used with",
        ),
        (&["-z", "DE", "--tty"], "needs a terminal"),
        (&["-z", "DE", "--stop-signal", "STOP"], "does not end a job"),
        (&["-z", "DE", "--max-dely", "0"], "--max-delay"),
    ];
    for (options, words) in cases {
        let mut command = Command::new("setsid");
        let inner = run(&sandbox, options, ["touch", "touched"]);
        command
            .arg("-w")
            .arg(inner.get_program())
            .args(inner.get_args());
        command.env_clear().current_dir(sandbox.home());
        for (name, value) in inner.get_envs() {
            command.env(name, value.unwrap());
        }
        let ended = outcome(&mut command);
        assert_eq!(
            ended.status.code(),
            Some(2),
            "{options:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(words),
            "{options:?}: {}",
            ended.stderr
        );
        assert!(!sandbox.home().join("touched").exists(), "{options:?}");
    }
    let nothing = outcome(&mut sandbox.catrain(["run"]));
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(
        recorded(&sandbox),
        [""; 0],
        "a refused command leaves no run"
    );
}

#[test]
fn a_replay_that_cannot_be_used_is_wrong_use() {
    let sandbox = Sandbox::new();
    sandbox.write("home/garbage.csv", "a,b\n1,2\n");
    for (replay, words) in [
        ("nothere.csv", "nothere.csv"),
        ("garbage.csv", "line 1"),
        ("nozone", "neither a file nor a zone"),
        ("DE@someday", "someday"),
    ] {
        let options = ["--replay", replay];
        let ended = outcome(&mut run(&sandbox, &options, ["touch", "touched"]));
        assert_eq!(ended.status.code(), Some(2), "{replay}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{replay}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("nothing was started"),
            "{}",
            ended.stderr
        );
        assert!(!sandbox.home().join("touched").exists(), "{replay}");
    }
}

// When it starts -------------------------------------------------------------------------------

/// A night of dirty hours, then clean ones.
fn dirty_then_clean(sandbox: &Sandbox) -> String {
    let trace = trace(sandbox, |hour| if hour < 10 { 800.0 } else { 50.0 });
    trace.to_str().unwrap().to_owned()
}

fn hours_held(sandbox: &Sandbox) -> f64 {
    report(sandbox)["duration_s"]["held"].as_f64().unwrap() / 3600.0
}

#[test]
fn with_nothing_given_it_starts_at_once_and_says_what_it_may_do() {
    let sandbox = Sandbox::new();
    let ended = outcome(&mut run(
        &sandbox,
        &["-z", "DE"],
        script("job.py", ["exit7"]),
    ));
    assert_eq!(ended.status.code(), Some(7));
    assert!(ended.stderr.contains("started"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("half the time it has run"),
        "{}",
        ended.stderr
    );
    assert!(hours_held(&sandbox) == 0.0);
}

#[test]
fn a_plan_holds_the_start_until_its_time() {
    let sandbox = Sandbox::new();
    let trace = dirty_then_clean(&sandbox);
    let options = [
        "--replay",
        &trace,
        "--speed",
        "10000",
        "-d",
        "2h",
        "--max-delay",
        "20h",
    ];
    let ended = outcome(&mut run(&sandbox, &options, script("job.py", ["exit7"])));
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    assert!(ended.stderr.contains("held until"), "{}", ended.stderr);
    let held = hours_held(&sandbox);
    assert!(
        (9.5..14.0).contains(&held),
        "held {held} h: {}",
        ended.stderr
    );
}

#[test]
fn no_delay_means_no_hold_however_dirty() {
    let sandbox = Sandbox::new();
    let trace = dirty_then_clean(&sandbox);
    let options = [
        "--replay",
        &trace,
        "--speed",
        "10000",
        "-d",
        "2h",
        "--max-delay",
        "0",
    ];
    let ended = outcome(&mut run(&sandbox, &options, script("job.py", ["exit7"])));
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    assert!(hours_held(&sandbox) == 0.0, "{}", ended.stderr);
}

#[test]
fn a_word_starts_a_held_run_and_stop_ends_it_before_its_start() {
    for (word, code, signal) in [
        (Word::Resume { time: None }, Some(7), None),
        (Word::Stop, None, Some(Signal::SIGTERM as i32)),
    ] {
        let sandbox = Sandbox::new();
        let trace = dirty_then_clean(&sandbox);
        let options = ["--replay", &trace, "-d", "2h", "--max-delay", "20h"];
        let mut command = run(&sandbox, &options, script("job.py", ["exit7"]));
        let mut run = Supervised::start(&sandbox, &mut command);
        run.wait_for_state("held");
        let answer = run.try_word(word);
        assert!(answer.is_some(), "{word:?} was done and not answered");
        let status = run.end();
        assert_eq!((status.code(), status.signal()), (code, signal), "{word:?}");
    }
}

#[test]
fn a_flat_zone_never_holds() {
    let sandbox = Sandbox::new();
    let options = ["-z", FLAT, "-d", "2h", "--max-delay", "20h"];
    let ended = outcome(&mut run(&sandbox, &options, script("job.py", ["exit7"])));
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    assert!(hours_held(&sandbox) == 0.0, "{}", ended.stderr);
}

/// A zone of which a yearly average alone is known.
const FLAT: &str = "AE";

// Surroundings ---------------------------------------------------------------------------------

/// Puts a program of this name first on the PATH.
fn fake(sandbox: &Sandbox, command: &mut Command, name: &str, text: &str) {
    let path = sandbox.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let old = command
        .get_envs()
        .find_map(|(name, value)| (name == "PATH").then(|| value.unwrap().to_owned()));
    let mut paths = sandbox.path("bin").into_os_string();
    paths.push(":");
    paths.push(old.unwrap());
    command.env("PATH", paths);
}

#[test]
fn a_batch_allocation_is_a_deadline_and_neither_held_nor_paused_unless_asked() {
    for (by_hand, words) in [
        (&[][..], "billed while it waits"),
        (&["--max-delay", "1h"], "that is the deadline"),
    ] {
        let sandbox = Sandbox::new();
        let options = [&["-z", "DE", "-d", "1h"], by_hand].concat();
        let mut command = run(&sandbox, &options, script("job.py", ["exit7"]));
        let end = catrain::clock::utc_now().as_second() + 3600;
        command.env("SLURM_JOB_ID", "17");
        command.env("SLURM_JOB_END_TIME", end.to_string());
        let ended = outcome(&mut command);
        assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
        assert!(ended.stderr.contains("Slurm job 17"), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn squeue_is_asked_once_for_the_end_and_what_it_does_not_say_forbids_waiting() {
    for (squeue, words) in [
        (
            "echo called >> $HOME/calls; date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%S",
            "that is the deadline",
        ),
        (
            "echo called >> $HOME/calls; exit 1",
            "neither held nor paused",
        ),
        (
            "echo called >> $HOME/calls; echo nonsense",
            "neither held nor paused",
        ),
        (
            "echo called >> $HOME/calls; sleep 100",
            "neither held nor paused",
        ),
    ] {
        let sandbox = Sandbox::new();
        let options = ["-z", "DE", "-d", "1h", "--max-delay", "20h"];
        let mut command = run(&sandbox, &options, script("job.py", ["exit7"]));
        command.env("SLURM_JOB_ID", "17");
        fake(&sandbox, &mut command, "squeue", squeue);
        let began = monotonic();
        let ended = outcome(&mut command);
        assert!(monotonic() - began < Duration::from_secs(20), "{squeue}");
        assert_eq!(ended.status.code(), Some(7), "{squeue}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{squeue}: {}", ended.stderr);
        assert_eq!(sandbox.read("home/calls"), "called\n", "{squeue}");
        let lines = ended.stderr.matches("time limit").count();
        assert!(lines <= 1, "{}", ended.stderr);
    }
}

#[test]
fn several_ranks_may_be_held_and_are_not_paused() {
    let sandbox = Sandbox::new();
    let mut command = run(
        &sandbox,
        &["-z", "DE", "-d", "1h"],
        ["torchrun", "train.py"],
    );
    fake(
        &sandbox,
        &mut command,
        "torchrun",
        "echo ready; exec sleep 100",
    );
    let mut run = Supervised::start(&sandbox, &mut command);
    // It may be held by today's profile.
    run.id();
    run.word(Word::Resume { time: None });
    run.running.expect("ready", LONG);
    wait_until("it says so", SOON, || {
        run.running.stderr().contains("may be held, is not paused")
    });
    let leader = run.leader();
    run.word(Word::Pause);
    wait_until("the refusal", SOON, || {
        run.running
            .stderr()
            .contains("several ranks, which may not survive a stop")
    });
    assert!(process::is_running(leader));
}

// Side by side ---------------------------------------------------------------------------------

#[test]
fn runs_that_begin_at_once_have_ids_of_their_own() {
    let sandbox = Sandbox::new();
    let all: Vec<Running> = (0..6)
        .map(|_| Running::start(&mut run(&sandbox, &AT_ONCE, script("job.py", ["exit7"]))))
        .collect();
    for mut one in all {
        assert_eq!(one.wait(LONG).status.code(), Some(7));
    }
    assert_eq!(recorded(&sandbox).len(), 6);
}

#[test]
fn a_recorded_day_is_lived_out_and_marked_as_a_replay() {
    let sandbox = Sandbox::new();
    let trace = fixture("DE_2021-11.csv");
    let options = [
        "--replay",
        &format!("{}@2021-11-10T16:00", trace.display()),
        "--speed",
        "100000",
        "-d",
        "6h",
    ];
    let ended = outcome(&mut run(&sandbox, &options, script("job.py", ["exit7"])));
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    let report = report(&sandbox);
    assert_eq!(report["zone"], "DE");
    assert_eq!(report["replay"]["speed"], 100_000.0);
}

#[test]
fn a_relative_state_directory_starts_from_where_the_user_is() {
    let sandbox = Sandbox::new();
    let mut command = run(&sandbox, &["-z", "DE"], script("job.py", ["exit7"]));
    command
        .env("CATRAIN_STATE_DIR", "relative")
        .current_dir(sandbox.home());
    assert_eq!(outcome(&mut command).status.code(), Some(7));
    assert!(sandbox.home().join("relative/runs").is_dir());
}
