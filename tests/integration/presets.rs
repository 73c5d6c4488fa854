//! Presets against the launchers that they are for. `CATRAIN_TEST_PYTHON` names an interpreter that has
//! the frameworks (else `python3` is asked); a test whose framework it lacks is skipped, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::child::{Ended, Running};
use crate::support::process::is_alive;
use crate::support::supervised::counted;
use crate::support::{SOON, Sandbox, fixture, python, wait_until};
use crate::terminal::{CATRAIN, NOW, job, ledger, order, state, wait_for_state};

/// Frameworks take long to import where others use the machine too.
const LIMIT: Duration = Duration::from_secs(300);
/// Long enough for any of them to save, by whatever proof.
const LENGTH: [&str; 4] = ["--steps", "300", "--pace", "0.05"];

/// A framework, and how a job of it is started and saves.
struct Framework {
    preset: &'static str,
    script: &'static str,
    /// What stands between the interpreter and the script.
    launcher: &'static [&'static str],
    /// What follows the script and its folder.
    more: &'static [&'static str],
    /// What must be there to import.
    needs: &'static [&'static str],
    /// The files that prove a save, in the script's folder.
    proof: &'static str,
}

const TORCHRUN: Framework = Framework {
    preset: "torchrun",
    script: "train_torchrun.py",
    launcher: &[
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
    ],
    more: &[],
    needs: &["torch.distributed.run"],
    proof: "*.pt",
};
const LIGHTNING: Framework = Framework {
    preset: "lightning",
    script: "train_lightning.py",
    launcher: &[],
    more: &[],
    needs: &["lightning.pytorch"],
    proof: "*.ckpt",
};
const LIGHTNING_RANKS: Framework = Framework {
    more: &["--devices", "2"],
    ..LIGHTNING
};
const TRAINER: Framework = Framework {
    preset: "huggingface",
    script: "train_huggingface.py",
    launcher: &[],
    more: &[],
    needs: &["transformers", "accelerate"],
    proof: "checkpoint-*",
};
const ACCELERATE: Framework = Framework {
    launcher: &[
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes=1",
    ],
    ..TRAINER
};

/// The interpreter, if it has these modules.
#[expect(
    clippy::print_stderr,
    reason = "a test that is skipped says why, to those who ask with --nocapture"
)]
pub(crate) fn python_with(modules: &[&str]) -> Option<PathBuf> {
    let named = std::env::var_os("CATRAIN_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| python().to_owned());
    let import = format!("import {}", modules.join(", "));
    let output = Command::new(&python).args(["-c", &import]).output();
    let why = match output {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let why = why.trim_end().lines().last().unwrap_or_default();
    eprintln!("skipped: {} cannot {import}: {why}", python.display());
    None
}

impl Framework {
    /// The job's command line.
    fn line(&self, python: &Path, folder: &Path) -> Vec<String> {
        let script = fixture("frameworks").join(self.script);
        let mut line = vec![python.display().to_string()];
        line.extend(self.launcher.iter().map(|&word| word.to_owned()));
        line.extend([script, folder.to_owned()].map(|path| path.display().to_string()));
        line.extend(LENGTH.iter().chain(self.more).map(|&word| word.to_owned()));
        line
    }

    /// `catrain run` of it with its preset, once it trains.
    fn started(&self, sandbox: &Sandbox, python: &Path, flags: &[&str]) -> Running {
        let kept = sandbox.path("kept");
        let mut command = quiet(sandbox, CATRAIN);
        command.args(NOW).args(["--preset", self.preset]);
        command.arg("--checkpoint-path").arg(kept.join(self.proof));
        command.args(flags).arg("--").args(self.line(python, &kept));
        let mut running = Running::start(&mut command);
        running.expect("step 5/", LIMIT);
        running
    }
}

/// A command that takes no more of the machine than it must.
fn quiet(sandbox: &Sandbox, program: &str) -> Command {
    let mut command = sandbox.command(program);
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// What an undisturbed run learns.
fn undisturbed(python: &Path, framework: &Framework) -> String {
    let sandbox = Sandbox::new();
    let line = framework.line(python, &sandbox.path("kept"));
    let ended = Running::start(quiet(&sandbox, &line[0]).args(&line[1..])).wait(LIMIT);
    weights(&ended)
}

/// What a run has learned.
#[track_caller]
fn weights(ended: &Ended) -> String {
    assert!(ended.status.success(), "{ended:?}");
    let mut lines = ended.stdout.lines();
    let line = lines.find(|line| line.starts_with("weights "));
    line.unwrap_or_else(|| panic!("{ended:?}")).to_owned()
}

#[track_caller]
fn assert_saved(sandbox: &Sandbox) {
    let ledger = ledger(sandbox);
    assert!(ledger.contains(r#""entry":"saved","proof":""#), "{ledger}");
}

/// Saves where it is, is stopped and goes on; and saves, leaves and is started again. Either way it
/// learns what it learns undisturbed.
#[track_caller]
fn survives_both_pauses(framework: &Framework) {
    let Some(python) = python_with(framework.needs) else {
        return;
    };
    let expected = undisturbed(&python, framework);

    let sandbox = Sandbox::new();
    let mut running = framework.started(&sandbox, &python, &[]);
    let leader = job(&sandbox);
    order(&sandbox, "pause");
    wait_for_state(&sandbox, "paused");
    assert_saved(&sandbox);
    // A launcher that was sent the signal would be gone.
    assert!(is_alive(leader));
    order(&sandbox, "resume");
    assert_eq!(weights(&running.wait(LIMIT)), expected, "stopped");

    let sandbox = Sandbox::new();
    let mut running = framework.started(&sandbox, &python, &["--pause-with", "restart"]);
    let leader = job(&sandbox);
    order(&sandbox, "pause");
    wait_for_state(&sandbox, "released");
    assert_saved(&sandbox);
    assert!(!is_alive(leader));
    order(&sandbox, "resume");
    assert_eq!(weights(&running.wait(LIMIT)), expected, "started again");
}

#[test]
fn a_launcher_that_numbers_no_ranks_is_spared_the_signal_as_well() {
    let sandbox = Sandbox::new();
    // As `accelerate launch` does it with one process.
    let rank = "trap 'echo > \"$1\"' USR1; echo ready; while sleep 0.05; do :; done";
    sandbox.write("rank", rank);
    let launcher = sandbox.write("accelerate", "sh \"${0%/*}/rank\" \"$1\"; exit");
    let proof = sandbox.path("proof");
    let mut command = sandbox.command(CATRAIN);
    command.args(NOW).args(["--preset", "huggingface"]);
    command.arg("--checkpoint-path").arg(&proof);
    command.args(["--", "sh"]).arg(launcher).arg(&proof);
    let mut running = Running::start(&mut command);
    running.expect("ready", SOON);
    let leader = job(&sandbox);
    order(&sandbox, "pause");
    wait_for_state(&sandbox, "paused");
    assert_saved(&sandbox);
    assert!(is_alive(leader));
}

#[test]
fn a_script_that_is_its_own_first_rank_hears_the_signal_with_those_it_started() {
    let sandbox = Sandbox::new();
    let (first, second) = (sandbox.path("first"), sandbox.path("second"));
    // As Lightning does it.
    let script = "LOCAL_RANK=1 \"$0\" \"$1\" signals \"$2\" & exec \"$0\" \"$1\" signals \"$3\"";
    let mut command = sandbox.command(CATRAIN);
    command.args(NOW).args(["--preset", "lightning"]);
    command.arg("--checkpoint-path").arg(sandbox.path("proof"));
    command.args(["--", "sh", "-c", script]);
    command.arg(python()).arg(fixture("job.py"));
    let running = Running::start(command.args([&second, &first]));
    wait_until("both listen", SOON, || {
        running.stdout().matches("ready").count() == 2
    });
    order(&sandbox, "pause");
    for file in ["first", "second"] {
        wait_until("both are asked", SOON, || {
            counted(&sandbox.read(file)).get("SIGUSR1") == Some(&1)
        });
    }
}

#[test]
fn torchrun_saves_in_its_ranks_and_learns_the_same_after_either_pause() {
    survives_both_pauses(&TORCHRUN);
}

#[test]
fn lightning_saves_by_a_callback_and_learns_the_same_after_either_pause() {
    survives_both_pauses(&LIGHTNING);
}

#[test]
fn ranks_that_lightning_starts_itself_learn_the_same_after_either_pause() {
    survives_both_pauses(&LIGHTNING_RANKS);
}

#[test]
fn the_trainer_saves_by_a_callback_and_learns_the_same_after_either_pause() {
    survives_both_pauses(&TRAINER);
}

#[test]
fn accelerate_is_spared_the_signal_on_which_its_trainer_saves() {
    survives_both_pauses(&ACCELERATE);
}

#[test]
fn each_ends_by_its_stop_signal_before_it_must_be_killed() {
    for framework in [&TORCHRUN, &LIGHTNING_RANKS, &TRAINER, &ACCELERATE] {
        let Some(python) = python_with(framework.needs) else {
            continue;
        };
        let sandbox = Sandbox::new();
        let mut running = framework.started(&sandbox, &python, &[]);
        order(&sandbox, "stop");
        running.wait(LIMIT);
        let ledger = ledger(&sandbox);
        assert!(!ledger.contains(r#""action":"kill""#), "{ledger}");
    }
}

/// A script that submits with `catrain` around its task, once that trains.
fn submitted(sandbox: &Sandbox, python: &Path, around: &str) -> Running {
    let mut command = quiet(sandbox, &python.display().to_string());
    let script = fixture("frameworks").join("train_submitit.py");
    command.arg(script).arg(sandbox.path("kept")).args(LENGTH);
    command.args(["--python", &format!("{around}{}", python.display())]);
    let running = Running::start(&mut command);
    wait_until("the task trains", LIMIT, || {
        output_of_tasks(sandbox).contains("step 5/")
    });
    running
}

fn output_of_tasks(sandbox: &Sandbox) -> String {
    let entries = fs::read_dir(sandbox.path("kept")).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let logs = paths.filter(|path| path.to_string_lossy().ends_with("_log.out"));
    logs.filter_map(|path| fs::read_to_string(path).ok())
        .collect()
}

#[test]
fn a_submitit_task_leaves_by_itself_and_goes_on_from_what_submitit_saved() {
    let Some(python) = python_with(&["submitit"]) else {
        return;
    };
    let expected = {
        let sandbox = Sandbox::new();
        weights(&submitted(&sandbox, &python, "").wait(LIMIT))
    };
    let around = format!("{CATRAIN} {} --preset submitit -- ", NOW.join(" "));
    let sandbox = Sandbox::new();
    let mut running = submitted(&sandbox, &python, &around);
    let leader = job(&sandbox);
    order(&sandbox, "pause");
    wait_for_state(&sandbox, "released");
    assert!(!is_alive(leader));
    order(&sandbox, "resume");
    assert_eq!(weights(&running.wait(LIMIT)), expected);
    let starts = output_of_tasks(&sandbox)
        .matches("begins after step")
        .count();
    assert_eq!(starts, 2, "{}", output_of_tasks(&sandbox));

    let sandbox = Sandbox::new();
    let mut running = submitted(&sandbox, &python, &around);
    order(&sandbox, "stop");
    running.wait(LIMIT);
    wait_until("the run is over", LIMIT, || state(&sandbox).is_none());
    let ledger = ledger(&sandbox);
    assert!(!ledger.contains(r#""action":"kill""#), "{ledger}");
}

#[test]
fn a_script_that_submits_is_spared_the_signal_on_which_its_tasks_save() {
    let Some(python) = python_with(&["submitit"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    let (kept, script) = (sandbox.path("kept"), fixture("frameworks"));
    let mut command = quiet(&sandbox, CATRAIN);
    command.args(NOW).args(["--preset", "submitit"]);
    command.args(["--pause-with", "checkpoint", "--checkpoint-path"]);
    command.arg(kept.join("*_submitted.pkl")).arg("--");
    command.arg(&python).arg(script.join("train_submitit.py"));
    command.arg(&kept).args(LENGTH);
    let mut running = Running::start(&mut command);
    wait_until("the task trains", LIMIT, || {
        output_of_tasks(&sandbox).contains("step 5/")
    });
    let leader = job(&sandbox);
    order(&sandbox, "pause");
    wait_for_state(&sandbox, "paused");
    assert_saved(&sandbox);
    assert!(is_alive(leader));
    order(&sandbox, "resume");
    weights(&running.wait(LIMIT));
}
