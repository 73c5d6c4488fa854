//! The job and `catrain` at one terminal: who may write, read, stop and continue, and what a
//! person sees. A real shell does the job control.

use std::path::Path;
use std::time::Duration;

use catrain::clock::monotonic;
use serde_json::Value;

use crate::support::child::Running;
use crate::support::process::{
    self, Pid, arguments_of, children_of, fds_of, is_alive, is_running, is_stopped,
};
use crate::support::pty::{CTRL_C, CTRL_D, CTRL_Z, PROMPT, Pty};
use crate::support::{SOON, Sandbox, fixture, wait_for, wait_until};

/// The program under test.
pub(crate) const CATRAIN: &str = env!("CARGO_BIN_EXE_catrain");

/// `catrain run` at once and with nothing to say at the end.
pub(crate) const NOW: [&str; 7] = ["run", "-z", "DE", "--policy", "now", "--summary", "none"];

/// Seven dirty hours, then clean ones; the day on which a run of eight hours is held.
const DAY: &str = "2021-11-17T12:00";

/// `catrain run` that is held for seven hours.
pub(crate) fn hold_for_hours() -> Vec<String> {
    held(1)
}

/// `catrain run` that is held for seven hours which pass `speed` times faster.
fn held(speed: u32) -> Vec<String> {
    let trace = fixture("DE_2021-11.csv");
    let mut line = vec!["run".to_owned(), "--replay".to_owned()];
    line.push(format!("{}@{DAY}", trace.display()));
    line.push(format!("--speed={speed}"));
    let plan = ["-d", "8h", "--deadline", "+20h", "--power", "300"];
    line.extend(plan.map(str::to_owned));
    line
}

/// What the one live run says of itself.
pub(crate) fn status(sandbox: &Sandbox) -> Option<Value> {
    let output = sandbox.catrain(["status", "--json"]).output().unwrap();
    let mut document: Value = serde_json::from_slice(&output.stdout).ok()?;
    let run = document["runs"].get_mut(0)?.take();
    (run["ok"] == true).then_some(run)
}

/// `held`, `running`, …
pub(crate) fn state(sandbox: &Sandbox) -> Option<String> {
    Some(status(sandbox)?["state"].as_str()?.to_owned())
}

/// Waits until the one live run is in this state.
#[track_caller]
pub(crate) fn wait_for_state(sandbox: &Sandbox, wanted: &str) {
    wait_until(&format!("it is {wanted}"), SOON * 2, || {
        state(sandbox).as_deref() == Some(wanted)
    });
}

fn pid_in(sandbox: &Sandbox, key: &str) -> Pid {
    wait_for(key, SOON, || {
        status(sandbox)?[key].as_i64()?.try_into().ok()
    })
}

/// The job's leader.
pub(crate) fn job(sandbox: &Sandbox) -> Pid {
    pid_in(sandbox, "pid")
}

/// `catrain run` itself.
pub(crate) fn supervisor(sandbox: &Sandbox) -> Pid {
    pid_in(sandbox, "supervisor_pid")
}

/// `catrain pause`, `resume` or `stop` of the one live run.
#[track_caller]
pub(crate) fn order(sandbox: &Sandbox, word: &str) {
    let output = sandbox.catrain([word]).output().unwrap();
    assert!(output.status.success(), "{word}: {output:?}");
}

/// All that stands in the ledgers.
pub(crate) fn ledger(sandbox: &Sandbox) -> String {
    fn files(directory: &Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                files(&entry.path(), text);
            } else {
                text.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default());
            }
        }
    }
    let mut text = String::new();
    files(&sandbox.state_dir(), &mut text);
    text
}

/// A shell that knows `$NOW` and `$HELD`, each a `catrain run …` up to the command, and `$JOB`.
fn shell(sandbox: &Sandbox) -> Pty {
    let mut pty = Pty::shell(sandbox);
    let job = fixture("job.py");
    let held = hold_for_hours().join(" ");
    for line in [
        format!("NOW='{CATRAIN} {}'", NOW.join(" ")),
        format!("HELD='{CATRAIN} {held}'"),
        format!("JOB='python3 {}'", job.display()),
    ] {
        pty.send_line(&line);
        pty.expect(PROMPT, SOON);
    }
    pty
}

/// Waits until a job of `job.py tick` writes on.
#[track_caller]
fn wait_until_it_ticks(sandbox: &Sandbox) {
    let before = sandbox.read("ticks").len();
    wait_until("it ticks", SOON, || sandbox.read("ticks").len() > before);
}

fn tick(sandbox: &Sandbox) -> String {
    format!("$JOB tick {}", sandbox.path("ticks").display())
}

/// What stands on the screen in the end, without blanks at the ends of lines. Knows what a terminal
/// is sent here: line feeds, returns, backspaces, moving the cursor and erasing.
fn seen(pty: &Pty) -> String {
    let text = pty.screen();
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0_usize, 0_usize);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x08' => column = column.saturating_sub(1),
            '\x1b' if characters.peek() == Some(&'[') => {
                characters.next();
                let mut number = String::new();
                while let Some(digit) = characters.next_if(|c| !c.is_ascii_alphabetic()) {
                    number.push(digit);
                }
                let count = number.parse::<usize>().ok();
                match characters.next() {
                    Some('A') => row = row.saturating_sub(count.unwrap_or(1)),
                    Some('B') => row += count.unwrap_or(1),
                    Some('C') => column += count.unwrap_or(1),
                    Some('D') => column = column.saturating_sub(count.unwrap_or(1)),
                    Some('G') => column = count.unwrap_or(1) - 1,
                    Some('K') if count == Some(2) => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            '\x07' => {}
            other => {
                if column == 80 {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                if lines[row].len() <= column {
                    lines[row].resize(column + 1, ' ');
                }
                lines[row][column] = other;
                column += 1;
            }
        }
        if lines.len() <= row {
            lines.resize(row + 1, Vec::new());
        }
    }
    let lines = lines.iter().map(|line| line.iter().collect::<String>());
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

const ASK: &str = "
import errno, os, sys
print('ou' + 't', flush=True)
print('got', input(), flush=True)
print('size', *os.get_terminal_size(0), flush=True)
try:
    os.open('/dev/tty', os.O_RDWR)
    print('has tty', flush=True)
except OSError as error:
    print('no tty:', errno.errorcode[error.errno], flush=True)
";

#[test]
fn a_job_writes_reads_and_asks_the_size_from_a_session_of_its_own() {
    let sandbox = Sandbox::new();
    let script = sandbox.write("ask.py", ASK);
    let mut pty = shell(&sandbox);
    pty.send_line("stty tostop");
    pty.expect(PROMPT, SOON);
    for (flag, last) in [("", "no tty: ENXIO"), ("--tty ", "has tty")] {
        pty.send_line(&format!("$NOW {flag}-- python3 {}", script.display()));
        pty.expect("out\r\n", SOON);
        pty.send_line("hello");
        pty.expect("got hello", SOON);
        pty.expect("size 80 24", SOON);
        pty.expect(last, SOON);
        pty.expect(PROMPT, SOON);
    }
}

#[test]
fn a_breakpoint_works_at_the_terminal() {
    let sandbox = Sandbox::new();
    let script = sandbox.write("stop.py", "x = 41\nbreakpoint()\nprint('after', x + 1)\n");
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- python3 {}", script.display()));
    pty.expect("(Pdb) ", SOON);
    pty.send_line("p x * 2");
    pty.expect("82", SOON);
    pty.send_line("c");
    pty.expect("after 42", SOON);
    pty.expect(PROMPT, SOON);
}

#[test]
fn what_is_typed_ahead_of_a_job_that_starts_at_once_is_for_the_job() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("$NOW -- sh -c 'read first; read second; echo [$first$second]'");
    pty.send("\rahead\r");
    pty.expect("[ahead]", SOON);
}

#[test]
fn a_job_started_in_the_background_takes_no_keystrokes() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("$NOW -- $JOB read-stdin &");
    // Nothing was there to read.
    pty.expect("0 e3b0c44298fc1c14", SOON);
    pty.send_line(&format!("$NOW -- {} &", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let pid = job_that_ticks(&sandbox);
    assert_eq!(fds_of(pid)[&0].to_str(), Some("/dev/null"));
    pty.send_line("echo key-$((6 * 7))");
    pty.expect("key-42", SOON);
}

fn job_that_ticks(sandbox: &Sandbox) -> Pid {
    wait_for("a process ticks", SOON, || {
        let ticks = |pid: &Pid| arguments_of(*pid).iter().any(|argument| argument == "tick");
        sandbox
            .processes()
            .into_iter()
            .find(|pid| ticks(pid) && !arguments_of(*pid)[0].contains("catrain"))
    })
}

#[test]
fn in_the_background_a_held_run_speaks_under_tostop_and_leaves_prompt_and_keys_alone() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("stty tostop");
    pty.expect(PROMPT, SOON);
    pty.send_line("$HELD -- echo never &");
    pty.expect("start now", SOON);
    wait_for_state(&sandbox, "held");
    let own = supervisor(&sandbox);
    for answer in ["key-1", "key-2"] {
        pty.send("\r");
        pty.send_line(&format!("echo key-$(({} + 0))", &answer[4..]));
        pty.expect(answer, SOON);
    }
    assert!(is_running(own));
    assert_eq!(state(&sandbox).as_deref(), Some("held"));
    // No countdown over what the shell has on the line.
    assert!(!pty.screen().contains("left"), "{}", pty.screen());
}

#[test]
fn no_open_file_of_the_terminal_is_made_non_blocking() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    let check = |pids: &[Pid]| {
        for pid in pids {
            for fd in 0..=2 {
                let path = format!("/proc/{pid}/fdinfo/{fd}");
                let text = std::fs::read_to_string(&path).unwrap();
                let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
                let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
                assert_eq!(flags & 0o4000, 0, "{path}: {text}");
            }
        }
    };
    pty.send_line(&format!("$HELD -- {}", tick(&sandbox)));
    wait_for_state(&sandbox, "held");
    check(&[pty.pid(), supervisor(&sandbox)]);
    order(&sandbox, "resume");
    wait_until_it_ticks(&sandbox);
    check(&[pty.pid(), supervisor(&sandbox), job(&sandbox)]);
}

#[test]
fn ctrl_z_stops_job_and_supervisor_and_fg_and_bg_continue_both() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    for word in ["fg", "bg"] {
        pty.send(CTRL_Z);
        pty.expect("Stopped", SOON);
        pty.expect(PROMPT, SOON);
        assert!(is_stopped(own) && is_stopped(pid));
        pty.send_line(word);
        wait_until("both run", SOON, || is_running(own) && is_running(pid));
        wait_until_it_ticks(&sandbox);
    }
    pty.send_line("fg");
    wait_until("it is in the foreground", SOON, || pty.foreground() == own);
    pty.send(CTRL_C);
    wait_until("it is interrupted", SOON, || !is_alive(pid));
}

#[test]
fn fg_does_not_undo_an_operators_pause() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    wait_for_state(&sandbox, "running");
    order(&sandbox, "pause");
    wait_until("it is paused", SOON, || is_stopped(pid));
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    assert!(is_stopped(own));
    pty.send_line("fg");
    wait_for_state(&sandbox, "paused");
    assert!(is_running(own) && is_stopped(pid));
    assert_eq!(
        status(&sandbox).unwrap()["holds"],
        serde_json::json!(["operator"])
    );
    order(&sandbox, "resume");
    wait_until_it_ticks(&sandbox);
}

#[test]
fn fg_does_not_undo_a_carbon_pause() {
    let sandbox = Sandbox::new();
    let mut trace = "issued_at,target_time,forecast,actual\n".to_owned();
    for hour in 0..72 {
        let intensity = if (1..48).contains(&hour) { 400 } else { 100 };
        let (day, hour) = (5 + hour / 24, hour % 24);
        trace += "2026-01-05T00:00:00Z,";
        trace += &format!("2026-01-{day:02}T{hour:02}:00:00Z,{intensity},{intensity}\n");
    }
    let trace = sandbox.write("trace.csv", &trace);
    let mut pty = shell(&sandbox);
    pty.send_line(&format!(
        "{CATRAIN} run -z DE --replay {}@2026-01-05T00:30 --speed 200 --min-run 0s --max-delay 40h \
         --policy threshold --threshold 200 -d 4h --power 300 -- {}",
        trace.display(),
        tick(&sandbox)
    ));
    wait_until_it_ticks(&sandbox);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    wait_until("it is paused", SOON * 2, || is_stopped(pid));
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    assert!(is_stopped(own));
    pty.send_line("fg");
    wait_for_state(&sandbox, "paused");
    assert!(is_running(own) && is_stopped(pid));
    assert_eq!(
        status(&sandbox).unwrap()["holds"],
        serde_json::json!(["carbon"])
    );
}

#[test]
fn a_job_stopped_by_ctrl_z_runs_on_when_its_supervisor_is_killed() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    assert!(is_stopped(pid));
    process::kill(own);
    wait_until("the job runs on", SOON, || is_running(pid));
    wait_until_it_ticks(&sandbox);
}

#[test]
#[ignore = "needs 70 s"]
fn ctrl_z_lasts_longer_than_a_lease() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let pid = job(&sandbox);
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    let until = monotonic() + Duration::from_secs(65);
    wait_until("65 s pass", SOON * 5, || {
        assert!(is_stopped(pid));
        monotonic() > until
    });
    pty.send_line("fg");
    wait_until_it_ticks(&sandbox);
}

#[test]
fn ctrl_z_stops_a_job_that_was_just_woken_for_a_signal() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    let heard = sandbox.path("heard");
    pty.send_line(&format!("$NOW -- $JOB signals {}", heard.display()));
    pty.expect("ready", SOON);
    wait_for_state(&sandbox, "running");
    let pid = job(&sandbox);
    order(&sandbox, "pause");
    wait_until("it is paused", SOON, || is_stopped(pid));
    pty.send(CTRL_C);
    wait_until("it is woken", SOON, || {
        sandbox.read("heard").contains("INT")
    });
    pty.send(CTRL_Z);
    // Well before the ten seconds are over for which it may run.
    pty.expect("Stopped", Duration::from_secs(8));
    assert!(is_stopped(pid));
}

#[test]
fn ctrl_z_stops_several_ranks_though_the_plan_may_not() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("WORLD_SIZE=2 RANK=0 $NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let pid = job(&sandbox);
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    assert!(is_stopped(pid));
    pty.send_line("fg");
    wait_until_it_ticks(&sandbox);
}

const FIRST: &str = "print('star' + 'ted', flush=True)\nprint('first:', repr(input()))\n";

#[test]
fn enter_starts_a_held_job_and_only_what_is_typed_then_is_for_it() {
    let sandbox = Sandbox::new();
    let script = sandbox.write("first.py", FIRST);
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$HELD -- python3 {}", script.display()));
    pty.expect("left", SOON);
    pty.send_line("words are no Enter");
    // Also after it was stopped and continued.
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    pty.send_line("fg");
    pty.expect("left", SOON);
    assert_eq!(state(&sandbox).as_deref(), Some("held"));
    pty.send("\r");
    pty.expect("started", SOON);
    pty.expect("started\r\n", SOON);
    pty.send_line("after");
    pty.expect("first: 'after'", SOON);
}

#[test]
fn a_terminal_that_takes_no_output_delays_nothing() {
    let sandbox = Sandbox::new();
    let done = sandbox.path("done");
    let mut line = vec![CATRAIN.to_owned()];
    line.extend(held(7200));
    line.extend(["--", "touch"].map(str::to_owned));
    line.push(done.display().to_string());
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut pty = Pty::start(&sandbox, &line);
    pty.expect("left", SOON);
    pty.send("\x13"); // Ctrl-S
    wait_until("the job starts and ends", SOON * 2, || done.exists());
    assert_eq!(pty.wait(SOON * 2).code(), Some(0));
}

#[test]
fn the_countdown_is_gone_before_the_job_writes() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("$HELD -- sh -c 'echo from the job; exec sleep 100'");
    pty.expect("left", SOON);
    assert!(seen(&pty).contains("⏸"), "{}", seen(&pty));
    pty.send("\r");
    pty.expect("from the job\r\n", SOON);
    let screen = seen(&pty);
    assert!(screen.contains("\nfrom the job\n"), "{screen}");
    assert!(!screen.contains("⏸"), "{screen}");
    // And likewise in a pause.
    order(&sandbox, "pause");
    pty.expect("by hand", SOON);
    wait_until("a pause is shown", SOON, || seen(&pty).contains("⏸ "));
    order(&sandbox, "resume");
    pty.expect("resumed by hand", SOON);
    wait_until("it is cleared away", SOON, || !seen(&pty).contains("⏸ "));
}

#[test]
fn a_key_that_ends_a_pause_leaves_no_countdown_behind() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    wait_for_state(&sandbox, "running");
    order(&sandbox, "pause");
    wait_until("a pause is shown", SOON, || {
        seen(&pty).contains("⏸") && seen(&pty).contains("by hand until")
    });
    pty.send(CTRL_C);
    pty.expect(PROMPT, SOON);
    assert!(!seen(&pty).contains("⏸"), "{}", seen(&pty));
}

#[test]
fn an_operator_who_starts_a_held_run_is_named_as_the_reason() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("$HELD -- echo done");
    pty.expect("left", SOON);
    order(&sandbox, "resume");
    pty.expect("started by hand", SOON);
    pty.expect("done", SOON);
}

#[test]
fn a_warning_is_told_while_the_job_runs() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let own = supervisor(&sandbox);
    let guard = wait_for("the guard runs", SOON, || {
        let is_guard = |pid: &Pid| {
            let arguments = arguments_of(*pid);
            arguments.first().is_some_and(|name| name == "carbon-guard")
        };
        children_of(own).into_iter().find(is_guard)
    });
    process::kill(guard);
    pty.expect("warning: the guard ended", SOON);
    wait_until_it_ticks(&sandbox);
}

#[test]
fn progress_never_draws_no_countdown() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("$HELD --progress never -- true");
    pty.expect("why: catrain status", SOON);
    wait_for_state(&sandbox, "held");
    wait_until("some seconds pass", SOON, || {
        status(&sandbox).unwrap()["elapsed_s"].as_f64().unwrap() > 3.0
    });
    assert!(!pty.screen().contains("left"), "{}", pty.screen());
    assert!(!pty.screen().contains('\x1b'), "{}", pty.screen());
}

#[test]
fn in_an_ascii_locale_every_byte_is_ascii() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("export LC_ALL=C");
    pty.expect(PROMPT, SOON);
    pty.send_line("$HELD -- true");
    pty.expect("left", SOON);
    pty.send("\r");
    // The account at the end is a part of it.
    pty.expect("ended with 0", SOON);
    pty.expect(PROMPT, SOON);
    pty.send_line(&format!(
        "{CATRAIN} status; {CATRAIN} run -z DEE -- true; {CATRAIN} --help"
    ));
    pty.expect("unknown zone", SOON);
    pty.expect("Exit codes", SOON);
    pty.expect(PROMPT, SOON);
    let screen = pty.screen();
    let strange: Vec<&str> = screen.lines().filter(|line| !line.is_ascii()).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn lines_are_broken_to_the_width_of_the_terminal() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("clear; $HELD -- true");
    pty.expect("left", SOON);
    pty.send("\r");
    pty.expect("ended with 0", SOON);
    pty.expect(PROMPT, SOON);
    let screen = seen(&pty);
    let own = screen.split_once("catrain: ").unwrap().1;
    let long: Vec<&str> = own
        .lines()
        .filter(|line| line.chars().count() > 80)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn a_job_with_the_terminal_asks_for_a_password_and_hears_a_key_once() {
    let sandbox = Sandbox::new();
    let script = sandbox.write(
        "pw.py",
        "import getpass\nprint('len', len(getpass.getpass('pass' + 'word: ')))\n",
    );
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW --tty -- python3 {}", script.display()));
    pty.expect("password: ", SOON);
    pty.send_line("secret");
    pty.expect("len 6", SOON);
    pty.expect(PROMPT, SOON);
    assert!(!pty.screen().contains("secret"));

    let heard = sandbox.path("heard");
    pty.send_line(&format!(
        "$NOW --tty -- $JOB signals {} USR2",
        heard.display()
    ));
    pty.expect("ready", SOON);
    wait_for_state(&sandbox, "running");
    pty.send(CTRL_C);
    let count = || sandbox.read("heard").matches("SIGINT").count();
    wait_until("it is heard", SOON, || count() > 0);
    process::send(supervisor(&sandbox), nix::sys::signal::Signal::SIGUSR2);
    pty.expect(PROMPT, SOON);
    assert_eq!(count(), 1);
}

#[test]
fn a_shell_with_the_terminal_has_its_own_job_control() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line("PS1='outer> '");
    pty.send_line("$NOW --tty -- env PS1='inner> ' bash --norc --noprofile --noediting -i");
    pty.expect("inner> ", SOON);
    pty.send_line("sleep 100");
    wait_until("it sleeps", SOON, || {
        arguments_of(pty.foreground())
            .first()
            .is_some_and(|name| name == "sleep")
    });
    pty.send(CTRL_Z);
    pty.expect("Stopped", SOON);
    pty.expect("inner> ", SOON);
    pty.send_line("fg");
    pty.expect("sleep 100", SOON);
    wait_until("it sleeps in front", SOON, || {
        arguments_of(pty.foreground())
            .first()
            .is_some_and(|name| name == "sleep")
    });
    pty.send(CTRL_C);
    pty.expect("inner> ", SOON);
    // A shell that suspends itself gives the outer one its turn.
    pty.send_line("suspend");
    pty.expect("Stopped", SOON);
    pty.expect("outer> ", SOON);
    pty.send_line("fg");
    pty.expect("inner> ", SOON);
    pty.send(CTRL_D);
    pty.expect("outer> ", SOON);
}

#[test]
fn ctrl_z_and_fg_work_for_a_job_with_the_terminal() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW --tty -- {}", tick(&sandbox)));
    wait_until_it_ticks(&sandbox);
    let (own, pid) = (supervisor(&sandbox), job(&sandbox));
    for _ in 0..2 {
        pty.send(CTRL_Z);
        pty.expect("Stopped", SOON);
        pty.expect(PROMPT, SOON);
        assert!(is_stopped(own) && is_stopped(pid));
        pty.send_line("fg");
        wait_until_it_ticks(&sandbox);
        wait_until("both run", SOON, || is_running(own) && is_running(pid));
    }
}

#[test]
fn a_job_that_wants_the_terminal_waits_in_the_background_for_fg() {
    let sandbox = Sandbox::new();
    let script = sandbox.write(
        "pw.py",
        "import getpass\nprint('len', len(getpass.getpass('pass' + 'word: ')))\n",
    );
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$NOW --tty -- python3 {} &", script.display()));
    pty.expect(PROMPT, SOON);
    wait_until("it stops to ask", SOON, || {
        let own = children_of(pty.pid());
        own.len() == 1 && is_stopped(own[0])
    });
    pty.send_line("fg");
    pty.expect("password: ", SOON);
    pty.send_line("secret");
    pty.expect("len 6", SOON);
}

#[test]
fn a_job_with_the_terminal_may_be_held_before_its_start_and_is_not_paused() {
    let sandbox = Sandbox::new();
    let mut pty = shell(&sandbox);
    pty.send_line(&format!("$HELD --tty -- {}", tick(&sandbox)));
    pty.expect("left", SOON);
    pty.send("\r");
    wait_until_it_ticks(&sandbox);
    wait_for_state(&sandbox, "running");
    let output = sandbox.catrain(["pause"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("--tty") && text.contains("cannot be paused"),
        "{text}"
    );
    wait_until_it_ticks(&sandbox);
    assert_eq!(status(&sandbox).unwrap()["holds"], serde_json::json!([]));
}

#[test]
fn without_a_terminal_there_is_none_to_give() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("setsid");
    command.args(["--wait", CATRAIN]).args(NOW);
    let ended = Running::start(command.args(["--tty", "--", "true"])).wait(SOON);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.stderr.contains("needs a terminal"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
}

#[test]
fn without_a_terminal_nothing_is_drawn_or_coloured() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(CATRAIN);
    command.args(held(7200)).args(["--", "true"]);
    let ended = Running::start(command.env_remove("NO_COLOR")).wait(SOON * 2);
    assert_eq!(ended.status.code(), Some(0));
    assert!(!ended.stderr.contains(['\x1b', '\r']), "{}", ended.stderr);
    assert!(ended.stderr.contains("held until"), "{}", ended.stderr);
}
