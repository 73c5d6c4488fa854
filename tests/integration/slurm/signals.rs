//! Every way in which Slurm signals a job, to one that `catrain` supervises and to the same job by itself:
//! both hear the same, as often, and the watchdog, which is no target of its own, survives all but KILL.
//!
//! What Slurm 22.05 does was seen to be this. A signal without `--batch` and `--full` goes to the steps
//! alone, each time to all processes of the step: supervisor, watchdog and job alike. `--batch` and
//! `--full` go to the process group of the batch script, which `srun` is in, and `srun` passes on what it
//! gets. What ends a job goes to all of its processes, CONT and TERM first, and KILL after KillWait. A
//! step that reaches its time limit hears TERM twice within some milliseconds, supervised or not.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::cluster::{Account, Cluster, PATIENCE, watchdog_of};
use crate::support::process::{
    Pid, arguments_of, children_of, is_alive, is_running, is_stopped, send,
};
use crate::support::{wait_for, wait_until};

/// How a job is started, with words of the shell in place of `{}`; and how many of it there are.
const FORMS: [(&str, usize); 4] = [
    ("exec {}", 1),
    // A shell that is not to die of what is sent to it.
    ("trap : USR1 USR2\nsrun {}", 1),
    ("exec srun {}", 1),
    ("#SBATCH -N2\nexec srun --ntasks-per-node=1 {}", 2),
];
/// `catrain` at once, with nothing to say at the end.
const SUPERVISED: &str = "catrain run -z DE --policy now --summary none --";
/// Slurm looks for jobs that are over their limit each half minute.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Signals by name, and how often each was heard.
type Heard = BTreeMap<String, usize>;

/// A job that writes down what it hears.
struct Listener<'a> {
    account: &'a Account<'a>,
    number: u64,
    /// How many processes listen.
    count: usize,
}

impl<'a> Listener<'a> {
    fn start(
        cluster: &Cluster,
        account: &'a Account<'a>,
        form: (&str, usize),
        prefix: &str,
    ) -> Self {
        let (form, count) = form;
        let job = cluster.fixture("job.py");
        // A process of its own for each task, which then becomes what it starts.
        let words = format!(
            "sh -c 'exec {prefix} python3 {job} signals $HOME/heard-$SLURM_JOB_ID-${{SLURM_PROCID:-0}}'"
        );
        let number = account.submit(&["-t", "10"], &form.replace("{}", &words));
        Self {
            account,
            number,
            count,
        }
    }

    fn wait_until_ready(&self) {
        let what = format!(
            "job {} listens: {}",
            self.number,
            self.account.output(self.number)
        );
        wait_until(&what, PATIENCE, || {
            let output = self.account.output(self.number);
            output.lines().filter(|line| *line == "ready").count() == self.count
        });
    }

    /// What each of its processes has heard.
    fn heard(&self) -> Vec<Heard> {
        let heard = |lines: Vec<(String, Pid)>| {
            let mut heard = Heard::new();
            for (signal, _) in lines {
                *heard.entry(signal).or_default() += 1;
            }
            heard
        };
        self.lines().into_iter().map(heard).collect()
    }

    /// Each signal that each of its processes has heard, with who sent it.
    fn lines(&self) -> Vec<Vec<(String, Pid)>> {
        let of = |task: usize| {
            let name = format!("home/heard-{}-{task}", self.number);
            let text = self.account.sandbox.read(&name);
            let lines = text.lines().map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                let from = Pid::try_from(line["from"].as_i64().unwrap()).unwrap();
                (line["signal"].as_str().unwrap().to_owned(), from)
            });
            lines.collect()
        };
        (0..self.count).map(of).collect()
    }

    /// How often the process that heard a signal least often has heard it.
    fn times(&self, signal: Signal) -> usize {
        let times = |heard: &Heard| heard.get(signal.as_str()).copied().unwrap_or(0);
        self.heard().iter().map(times).min().unwrap_or(0)
    }

    fn wait_until_heard(&self, signal: Signal, times: usize) {
        let what = format!("job {} hears {signal} {times} times", self.number);
        wait_until(&what, PATIENCE, || self.times(signal) >= times);
    }

    /// Supervisors with their watchdogs, once they all have one.
    fn supervisors(&self) -> Vec<(Pid, Pid)> {
        wait_for("a watchdog for each supervisor", PATIENCE, || {
            let all = self.account.supervisors(self.number);
            let all: Option<Vec<(Pid, Pid)>> = (all.into_iter())
                .map(|pid| Some((pid, watchdog_of(pid)?)))
                .collect();
            all.filter(|all| all.len() == self.count)
        })
    }
}

#[track_caller]
fn assert_watched(supervisors: &[(Pid, Pid)], after: &str) {
    for &(supervisor, watchdog) in supervisors {
        assert!(is_running(watchdog), "{after} has killed the watchdog");
        assert_eq!(watchdog_of(supervisor), Some(watchdog), "after {after}");
    }
}

/// A job in each form, supervised and by itself.
fn pairs<'a>(cluster: &Cluster, account: &'a Account<'a>) -> Vec<[Listener<'a>; 2]> {
    let pairs: Vec<[Listener<'a>; 2]> = (FORMS.into_iter())
        .map(|form| [SUPERVISED, ""].map(|prefix| Listener::start(cluster, account, form, prefix)))
        .collect();
    for listener in pairs.iter().flatten() {
        listener.wait_until_ready();
    }
    pairs
}

#[test]
fn a_signal_that_scancel_sends_is_heard_once_as_without_us() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    for (pair, (form, _)) in pairs(cluster, &account).iter().zip(FORMS) {
        let [supervised, alone] = pair;
        let supervisors = supervised.supervisors();
        let mut expected = 0;
        for option in [None, Some("--batch"), Some("--full")] {
            let sent = option.unwrap_or("nothing");
            for listener in pair {
                let number = listener.number.to_string();
                let mut arguments = vec!["--signal=USR1"];
                arguments.extend(option);
                arguments.push(&number);
                account.said("scancel", &arguments);
            }
            // Without steps only those two reach the script; with a shell that does not become `srun`, the
            // first reaches nobody else.
            let is_batch = !form.contains("srun");
            let is_shell = form.contains("trap");
            let reaches = match option {
                None => !is_batch,
                Some("--batch") => !is_shell,
                _ => true,
            };
            expected += usize::from(reaches);
            for listener in pair {
                listener.wait_until_heard(Signal::SIGUSR1, expected);
            }
            // What was on its way when the supervisor gets this has been passed on when the job hears it.
            let before = supervised.times(Signal::SIGUSR2);
            for &(supervisor, _) in &supervisors {
                send(supervisor, Signal::SIGUSR2);
            }
            supervised.wait_until_heard(Signal::SIGUSR2, before + 1);
            let times = pair.each_ref().map(|listener| {
                let heard = listener.heard().into_iter();
                let times = heard.map(|it| it.get("SIGUSR1").copied().unwrap_or(0));
                times.collect::<Vec<usize>>()
            });
            let all = vec![expected; supervised.count];
            assert_eq!(times, [all.clone(), all], "`{form}` with {sent}");
            assert_watched(&supervisors, &format!("`{form}` with {sent}"));
        }
        assert_eq!(account.jobs(alone.number)[0].state, "RUNNING");
    }
}

/// Ends a job in each form, supervised and by itself, in a way that gives it this state.
fn end_by(way: &str, state: &str, limit: Duration, end: impl Fn(&Account<'_>, u64)) {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    let pairs = pairs(cluster, &account);
    let supervisors: Vec<Vec<(Pid, Pid)>> = pairs
        .iter()
        .map(|[supervised, _]| supervised.supervisors())
        .collect();
    for listener in pairs.iter().flatten() {
        end(&account, listener.number);
    }
    for ([supervised, _], supervisors) in pairs.iter().zip(&supervisors) {
        let what = format!("job {} hears TERM", supervised.number);
        wait_until(&what, limit, || supervised.times(Signal::SIGTERM) >= 1);
        // KILL, which nobody survives, comes KillWait later.
        assert_watched(supervisors, way);
    }
    for (pair, (form, _)) in pairs.iter().zip(FORMS) {
        for listener in pair {
            account.wait_for_state(listener.number, state);
            let what = format!("nothing is left of job {}", listener.number);
            wait_until(&what, PATIENCE, || {
                account.processes(listener.number).is_empty()
            });
        }
        let by_us = |line: &(String, Pid)| (supervisors.iter().flatten()).any(|it| it.0 == line.1);
        assert!(
            !pair[0].lines().iter().flatten().any(by_us),
            "`{form}`: what ends a job reaches all of it, so nothing is to be passed on"
        );
        let [supervised, alone] = pair.each_ref().map(Listener::heard);
        if state == "TIMEOUT" && form.contains("srun") {
            // Two that come so close together may be heard as one.
            for heard in supervised.iter().chain(&alone) {
                assert!(
                    matches!(heard.get("SIGTERM"), Some(1 | 2)),
                    "`{form}`: {heard:?}"
                );
            }
        } else {
            assert_eq!(supervised, alone, "`{form}`: supervised, and by itself");
            for heard in &supervised {
                assert_eq!(heard.get("SIGTERM"), Some(&1), "`{form}`: {heard:?}");
            }
        }
    }
    for &(_, watchdog) in supervisors.iter().flatten() {
        wait_until("no watchdog is left", PATIENCE, || !is_alive(watchdog));
    }
}

#[test]
fn scancel_is_heard_once_as_without_us() {
    end_by("scancel", "CANCELLED", PATIENCE, |account, job| {
        account.said("scancel", &[&job.to_string()]);
    });
}

#[test]
fn a_requeue_is_heard_once_as_without_us() {
    end_by("a requeue", "PENDING", PATIENCE, |account, job| {
        account.said("scontrol", &["requeue", &job.to_string()]);
    });
}

#[test]
fn the_time_limit_is_heard_as_without_us() {
    end_by("the time limit", "TIMEOUT", TIME_LIMIT, |account, job| {
        account.reach_time_limit(job);
    });
}

/// Whoever stands still because of us hears what Slurm sends, and is woken for what is to end it.
#[test]
fn a_paused_job_hears_signals_once_and_is_woken_to_end() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    for form in [FORMS[0], FORMS[2]] {
        let account = cluster.account();
        let listener = Listener::start(cluster, &account, form, SUPERVISED);
        listener.wait_until_ready();
        let supervisors = listener.supervisors();
        let number = listener.number.to_string();
        let job: Vec<Pid> = (account.processes(listener.number).into_iter())
            .filter(|&pid| arguments_of(pid).iter().any(|word| word == "signals"))
            .filter(|&pid| children_of(supervisors[0].0).contains(&pid))
            .collect();
        assert_eq!(job.len(), 1, "{job:?}");
        account.said("catrain", &["pause"]);
        wait_until("it stands still", PATIENCE, || is_stopped(job[0]));
        account.said("scancel", &["--signal=USR1", "--full", &number]);
        account.said("catrain", &["resume"]);
        listener.wait_until_heard(Signal::SIGUSR1, 1);
        account.said("catrain", &["pause"]);
        wait_until("it stands still again", PATIENCE, || is_stopped(job[0]));
        account.said("scancel", &[&number]);
        listener.wait_until_heard(Signal::SIGTERM, 1);
        assert_watched(&supervisors, "scancel of a paused job");
        account.wait_for_state(listener.number, "CANCELLED");
        let heard = listener.heard().remove(0);
        let times = ["SIGUSR1", "SIGTERM"].map(|name| heard.get(name).copied());
        assert_eq!(times, [Some(1), Some(1)], "`{}`: {heard:?}", form.0);
    }
}

/// Prints how many clock ticks after itself the watchdog was started.
const HOW_MUCH_LATER: &str = r#"
import os

def ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[19])

supervisor = os.getppid()
found = None
while found is None:
    with open(f"/proc/{supervisor}/task/{supervisor}/children") as children:
        for child in children.read().split():
            with open(f"/proc/{child}/comm") as name:
                if name.read() == "carbon-guard\n":
                    found = child
print(ticks(found) - ticks("self"))
"#;

/// A signal to all of a step that came before the watchdog would be passed on to a job that has it already.
#[test]
fn in_a_job_the_watchdog_starts_with_the_job() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let account = cluster.account();
    account.sandbox.write("home/later.py", HOW_MUCH_LATER);
    let line = format!("{SUPERVISED} python3 later.py 2>/dev/null");
    let lines = format!("for time in 1 2 3 4 5 6 7 8 9 10; do {line}; done");
    let job = account.submit(&[], &lines);
    account.wait_for_state(job, "COMPLETED");
    let output = account.output(job);
    let ticks: Vec<i64> = output.lines().map(|line| line.parse().unwrap()).collect();
    // A busy machine may come between, though not each time; where it waits, it is two ticks at least.
    assert!(
        ticks.len() == 10 && ticks.iter().any(|&it| it <= 1),
        "{output}"
    );
}
