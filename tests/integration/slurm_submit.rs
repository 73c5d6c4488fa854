//! `catrain slurm submit` and `watch`, whole, against commands that answer as Slurm's do and write down what
//! they were asked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use catrain::clock::utc_now;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::Sandbox;

/// All of Slurm's commands.
const SLURM: &str = r#"#!/bin/sh
name=${0##*/}
dir=${0%/*}
[ "$name" = sbatch ] || [ "$SLURM_TIME_FORMAT" = %s ] || exit 9
printf '%s' "$name" >>"$dir/log"
for word; do printf ' %s' "$word" >>"$dir/log"; done
echo >>"$dir/log"
[ -e "$dir/down" ] && { echo "$name: error: Unable to contact slurm controller" >&2; exit 1; }
case "$name $1 $2" in
    'scontrol show config')
        printf 'Configuration data\nClusterName             = test\nSlurmUser = slurm(64030)\n' ;;
    'scontrol show partition')
        echo 'PartitionName=main Default=YES DefaultTime=NONE MaxTime=3-00:00:00 State=UP'
        echo 'PartitionName=short Default=NO DefaultTime=00:30:00 MaxTime=01:00:00 State=UP' ;;
    squeue*) cat "$dir/queue" 2>/dev/null ;;
    sbatch*)
        cat >"$dir/script"
        [ -n "${SLURM_TIME_FORMAT-}" ] && exit 9
        [ -e "$dir/refused" ] && { echo 'sbatch: error: Batch job submission failed: no' >&2; exit 1; }
        echo 17
        exit "$(cat "$dir/code" 2>/dev/null || echo 0)" ;;
esac
exit 0
"#;

struct Cluster {
    sandbox: Sandbox,
}

impl Cluster {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for name in ["sbatch", "squeue", "scontrol"] {
            let path = sandbox.write(&format!("bin/{name}"), SLURM);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let cluster = Self { sandbox };
        cluster.script("#!/bin/sh\n#SBATCH --time=6:00:00\necho \"$1\"\n");
        cluster.clean_in(3);
        cluster
    }

    fn script(&self, text: &str) {
        self.sandbox.write("home/train.sh", text);
    }

    /// A forecast: clean for four hours, so many hours from now.
    fn clean_in(&self, hours: i64) {
        let now = utc_now().as_second() / 3600 * 3600;
        let hour = |hours: i64| Timestamp::from_second(now + hours * 3600).unwrap();
        let mut text = "issued_at,target_time,forecast,actual\n".to_owned();
        for ahead in -1..72 {
            let value = if (hours..hours + 4).contains(&ahead) {
                100
            } else {
                500
            };
            text.push_str(&format!("{},{},{value},\n", hour(-1), hour(ahead)));
        }
        self.sandbox.write("home/DE_ahead.csv", &text);
    }

    /// The job as it waits in the queue until then.
    fn waits(&self, numbers: impl Iterator<Item = u64>, begin: Timestamp, reason: &str) {
        let (now, begin) = (utc_now().as_second(), begin.as_second());
        let line = |number: u64| {
            format!(
                "{number};{number};N/A;PENDING;{reason};{now};{begin};{begin};NONE;6:00:00;0;1;;main;\n"
            )
        };
        let lines: String = numbers.map(line).collect();
        self.sandbox.write("bin/queue", &lines);
    }

    fn catrain(&self, words: &str) -> Command {
        let mut command = self.sandbox.catrain(shlex::split(words).unwrap());
        let path = std::env::var("PATH").unwrap();
        command.env(
            "PATH",
            format!("{}:{path}", self.sandbox.path("bin").display()),
        );
        command
    }

    fn submit(&self, words: &str) -> Output {
        let line = format!("slurm submit -z DE -s file:DE_ahead.csv {words}");
        self.catrain(&line).output().unwrap()
    }

    fn watch(&self) -> (Value, Output) {
        let output = self.catrain("slurm watch --once --json").output().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (value, output)
    }

    /// What was asked of Slurm by this command since the beginning.
    fn asked(&self, program: &str) -> Vec<String> {
        let log = self.sandbox.read("bin/log");
        let lines = log.lines().filter(|line| line.starts_with(program));
        lines.map(str::to_owned).collect()
    }

    fn record(&self) -> Value {
        let text = self.sandbox.read("state/slurm/test-17.json");
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn begin(&self) -> Timestamp {
        self.record()["begin"].as_str().unwrap().parse().unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Seconds from now to the beginning of the clean hours.
fn until_clean(hours: i64) -> i64 {
    let now = utc_now().as_second();
    now / 3600 * 3600 + hours * 3600 - now
}

/// Of the manual:
/// > The job is planned as `catrain run` plans a start, and given to sbatch with that begin time, so that
/// > nothing of catrain has to live while it waits.
#[test]
fn a_job_begins_in_the_clean_hours_under_a_supervisor_of_its_own() {
    let cluster = Cluster::new();
    let output =
        cluster.submit("-d 2h --deadline +30h --label a=b -- -N2 --parsable train.sh 'a b'");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "17\n",
        "{}",
        told(&output)
    );
    let asked = cluster.asked("sbatch");
    let [line] = asked.as_slice() else {
        panic!("it is submitted once: {asked:?}");
    };
    let (before, rest) = line.split_once("--begin=now+").unwrap();
    assert_eq!(before, "sbatch -N2 --parsable ");
    let (seconds, rest) = rest.split_once(' ').unwrap();
    assert_eq!(rest, "--job-name=train.sh /dev/stdin a b");
    // Plans count in minutes, and begin times spread over five.
    let late = seconds.parse::<i64>().unwrap() - until_clean(3);
    assert!(
        (-90..=420).contains(&late),
        "{late} s after the clean hours began"
    );

    let script = cluster.sandbox.read("bin/script");
    assert!(
        script.starts_with("#!/bin/sh\n#SBATCH --time=6:00:00\n# catrain"),
        "{script}"
    );
    for part in [
        " run --submitted -z DE",
        "-d 2h --deadline 20",
        "--label 'a=b'",
        "'--name=train.sh'",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
    assert!(script.ends_with("fi\necho \"$1\"\n"));
    let record = cluster.record();
    assert_eq!(record["job"], 17);
    assert_eq!(record["limit"]["of"]["secs"], 6 * 3600);
    assert!(record["planned_g_per_kwh"].as_f64() < record["now_g_per_kwh"].as_f64());
    let talk = told(&output);
    for part in [
        "job 17 begins at",
        "against starting now",
        "scancel 17",
        "slurm watch",
    ] {
        assert!(talk.contains(part), "{part}: {talk}");
    }
}

#[test]
fn with_nothing_given_it_starts_at_once() {
    let cluster = Cluster::new();
    let output = cluster.submit("--json -- train.sh");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "catrain.slurm_submit/1");
    assert_eq!(
        (&document["job"], &document["duration_s"]),
        (&17.into(), &Value::Null)
    );
    assert_eq!(document["begin_at"], document["submitted_at"]);
    assert!(cluster.asked("sbatch")[0].contains(" --begin=now "));
}

#[test]
fn a_begin_time_of_ones_own_is_kept() {
    let cluster = Cluster::new();
    cluster.submit("-d 2h --max-delay 20h -- --begin=now+18000 train.sh");
    let line = &cluster.asked("sbatch")[0];
    // The last one counts.
    let seconds = line.rsplit_once("--begin=now+").unwrap().1;
    let seconds: i64 = seconds.split(' ').next().unwrap().parse().unwrap();
    assert!((17_990..18_400).contains(&seconds), "{line}");
}

#[test]
fn a_dry_run_shows_what_would_be_done_and_does_nothing() {
    let cluster = Cluster::new();
    let output = cluster.submit("-d 2h --max-delay 9h --pause-with requeue --dry-run -- train.sh");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.starts_with("sbatch --parsable '--begin=now+"),
        "{shown}"
    );
    assert!(shown.contains(" --requeue "), "{shown}");
    assert!(shown.contains("#SBATCH --time=6:00:00"), "{shown}");
    assert_eq!(cluster.asked("sbatch"), [""; 0]);
    assert!(!cluster.sandbox.path("state/slurm").exists());
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_submitted() {
    let cluster = Cluster::new();
    cluster
        .sandbox
        .write("home/dos.sh", "#!/bin/sh\r\necho\r\n");
    cluster.sandbox.write("home/none.sh", "echo\n");
    for (words, part) in [
        ("--tty -- train.sh", "no terminal"),
        ("-D -- train.sh", "detached by itself"),
        ("-d 9h -- train.sh", "its time limit is 6 h"),
        ("-d 2h -- -t 60 train.sh", "its time limit is 1 h"),
        (
            "-d 2h -- --partition=short -t 0:0:0 -t 1:00:00 train.sh",
            "its time limit is 1 h",
        ),
        ("--pause-with requeue -- --no-requeue train.sh", "forbids"),
        ("--power 5 --idle-power 9 -- train.sh", "--idle-power"),
        ("--deadline '2020-01-01 09:00' -- train.sh", "has passed"),
        ("-- -M other train.sh", "--clusters"),
        ("-- --test-only train.sh", "--test-only"),
        ("-- --begin=soonish train.sh", "--begin=soonish"),
        ("-- --frob x train.sh", "--frob=VALUE"),
        ("-- nowhere.sh", "nowhere.sh"),
        ("-- dos.sh", "carriage returns"),
        ("-- none.sh", "no interpreter"),
        ("-- --wrap true train.sh", "--wrap"),
    ] {
        let output = cluster.submit(words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}", told(&output));
        assert!(told(&output).contains(part), "{words}: {}", told(&output));
    }
    assert_eq!(cluster.asked("sbatch"), [""; 0]);
}

#[test]
fn a_limit_of_the_partition_counts_and_a_requeue_has_one_each_time() {
    let cluster = Cluster::new();
    cluster.script("#!/bin/sh\n#SBATCH -p short\n");
    let output = cluster.submit("-d 2h -- train.sh");
    assert!(
        told(&output).contains("its time limit is 30 m"),
        "{}",
        told(&output)
    );
    let output = cluster.submit("-d 2h --pause-with requeue -- train.sh");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(
        told(&output).contains("a limit of its own"),
        "{}",
        told(&output)
    );
}

#[test]
fn what_sbatch_refuses_is_told_in_its_words_and_leaves_nothing() {
    let cluster = Cluster::new();
    cluster.sandbox.write("bin/refused", "");
    let output = cluster.submit("-- train.sh");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("submission failed: no"),
        "{}",
        told(&output)
    );
    assert_eq!(cluster.record(), Value::Null);
    cluster.sandbox.write("bin/down", "");
    let output = cluster.submit("-- train.sh");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("Unable to contact"),
        "{}",
        told(&output)
    );
}

/// A job is never lost by a disk of ours.
#[test]
fn a_job_that_cannot_be_written_down_is_submitted_all_the_same() {
    let cluster = Cluster::new();
    cluster.sandbox.write("state", "no directory");
    let output = cluster.submit("-- train.sh");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "17\n");
    assert!(
        told(&output).contains("warning: job 17 is submitted"),
        "{}",
        told(&output)
    );
}

#[test]
fn waiting_for_the_job_ends_with_the_code_that_sbatch_ends_with() {
    let cluster = Cluster::new();
    cluster.sandbox.write("bin/code", "5");
    let output = cluster.submit("-- -W --wrap 'exit 5'");
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "17\n");
    assert_eq!(cluster.record()["script"], "--wrap exit 5");
    assert!(cluster.asked("sbatch")[0].contains(" -W "));
}

#[test]
fn a_begin_time_moves_with_the_forecast_and_only_then() {
    let cluster = Cluster::new();
    cluster.submit("-d 2h --deadline +30h -- train.sh");
    cluster.waits([17].into_iter(), cluster.begin(), "BeginTime");
    let (round, output) = cluster.watch();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(
        (&round["moved"], &round["commands"]),
        (&Value::Array(vec![]), &2.into())
    );

    cluster.clean_in(9);
    let before = cluster.begin();
    let (round, output) = cluster.watch();
    assert_eq!(round["moved"][0]["job"], 17, "{round} {}", told(&output));
    assert_eq!(round["commands"], 3);
    let moved = cluster.begin().duration_since(before);
    let off = (moved - SignedDuration::from_hours(6)).abs();
    assert!(off < SignedDuration::from_mins(8), "{moved:?}");
    let asked = cluster.asked("scontrol update");
    assert!(
        asked[0].starts_with("scontrol update JobId=17 StartTime=now+"),
        "{asked:?}"
    );
    assert_eq!(cluster.record()["moves"][0]["from"], before.to_string());

    // Its begin time is in the queue as it was set.
    cluster.waits([17].into_iter(), cluster.begin(), "BeginTime");
    let (round, _) = cluster.watch();
    assert_eq!(round["moved"], Value::Array(vec![]));
    assert_eq!(cluster.asked("scontrol update").len(), 1);
}

#[test]
fn nothing_is_changed_of_what_its_owner_has_changed_or_nobody_can_ask_about() {
    let cluster = Cluster::new();
    cluster.submit("-d 2h --deadline +30h -- train.sh");
    cluster.clean_in(9);
    let by_hand = cluster.begin() + SignedDuration::from_mins(30);
    cluster.waits([17].into_iter(), by_hand, "BeginTime");
    let (_, first) = cluster.watch();
    assert!(told(&first).contains("set by hand"), "{}", told(&first));
    let (round, second) = cluster.watch();
    assert_eq!(told(&second), "", "it is said once");
    assert_eq!(round["left_alone"][0]["job"], 17);
    cluster.waits([17].into_iter(), cluster.begin(), "JobHeldUser");
    assert_eq!(cluster.watch().0["left_alone"][0]["job"], 17);

    let before = cluster.record();
    fs::remove_file(cluster.sandbox.path("home/DE_ahead.csv")).unwrap();
    cluster.waits([17].into_iter(), cluster.begin(), "BeginTime");
    let (_, output) = cluster.watch();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("stays as it is"),
        "{}",
        told(&output)
    );
    cluster.sandbox.write("bin/down", "");
    let (_, output) = cluster.watch();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("nothing was changed"),
        "{}",
        told(&output)
    );
    assert_eq!(cluster.record()["begin"], before["begin"]);
    assert_eq!(cluster.asked("scontrol update"), [""; 0]);
}

#[test]
fn two_hundred_jobs_cost_two_questions_and_a_command_for_each_that_is_moved() {
    let cluster = Cluster::new();
    cluster.submit("-d 2h --deadline +30h -- train.sh");
    let record = cluster.record();
    let numbers = || 17..217_u64;
    for number in numbers() {
        let mut other = record.clone();
        other["job"] = number.into();
        let name = format!("state/slurm/test-{number}.json");
        let path = cluster.sandbox.write(&name, &other.to_string());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    cluster.waits(numbers(), cluster.begin(), "BeginTime");
    let (round, _) = cluster.watch();
    assert_eq!(
        (&round["jobs"], &round["commands"]),
        (&200.into(), &2.into())
    );
    cluster.clean_in(9);
    let (round, _) = cluster.watch();
    assert_eq!(round["moved"].as_array().unwrap().len(), 200);
    assert_eq!(round["commands"], 202);
}

#[test]
fn a_second_watch_leaves_the_work_to_the_first() {
    let cluster = Cluster::new();
    cluster.submit("-d 2h --deadline +30h -- train.sh");
    let lock = fs::File::create(cluster.sandbox.path("state/slurm/watch.lock")).unwrap();
    lock.lock().unwrap();
    let (_, output) = cluster.watch();
    assert_eq!(output.status.code(), Some(0));
    assert!(told(&output).contains("another"), "{}", told(&output));
    assert_eq!(cluster.asked("squeue").len(), 1, "that of the submission");
}
