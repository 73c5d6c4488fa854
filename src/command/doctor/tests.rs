//! Each check fails in some surroundings and passes once its own fix was applied to them.
//!
//! A fix that is a command is run as it stands; one that is for the shell's environment is done there;
//! one in words (start the container anew, say) is done by hand.

mod fixture;

use super::*;
use crate::doctor::Outcome::{self, Broken, CouldBeBetter};
use crate::executor::facts::{Hiding, Pidfds};
use fixture::{Fixture, before, export, run, unset};

/// Surroundings in which a check fails, and what its fix does to them.
struct Pair {
    check: &'static str,
    outcome: Outcome,
    spoil: fn(&mut Fixture),
    fix: fn(&mut Fixture, &str),
}

const fn pair(
    check: &'static str,
    outcome: Outcome,
    spoil: fn(&mut Fixture),
    fix: fn(&mut Fixture, &str),
) -> Pair {
    Pair {
        check,
        outcome,
        spoil,
        fix,
    }
}

const PAIRS: [Pair; 33] = [
    pair(
        "configuration",
        Broken,
        |on| on.write("config/config.toml", "zon = \"DE\"\n"),
        |on, fix| {
            assert!(fix.starts_with("correct it there"));
            on.write("config/config.toml", "zone = \"DE\"\n");
        },
    ),
    pair(
        "configuration",
        CouldBeBetter,
        |on| {
            on.write("project/catrain.toml", "zone = \"FR\"\n");
            on.mode("project/catrain.toml", 0o666);
            on.mode("project", 0o777);
        },
        run,
    ),
    pair(
        "zone",
        Broken,
        |on| on.remove("config/config.toml"),
        |on, fix| export(on, before(fix, ", ")),
    ),
    pair(
        "zone",
        Broken,
        |on| export(on, "export CATRAIN_ZONE=DEE"),
        |on, fix| {
            assert!(fix.starts_with("did you mean `DE`"), "{fix}");
            export(on, "export CATRAIN_ZONE=DE");
        },
    ),
    pair(
        "zone",
        CouldBeBetter,
        |on| {
            on.remove("config/config.toml");
            on.time_zone = "Europe/Berlin";
        },
        |on, fix| {
            let (line, rest) = fix.split_once(" in ").unwrap();
            assert_eq!(
                before(rest, ", "),
                on.path("config/config.toml").to_str().unwrap()
            );
            on.write("config/config.toml", line);
        },
    ),
    pair(
        "directories",
        CouldBeBetter,
        |on| on.mode("state", 0o755),
        run,
    ),
    pair(
        "directories",
        Broken,
        |on| {
            std::os::unix::fs::symlink(on.path("state"), on.path("link")).unwrap();
            export(
                on,
                &format!("export CATRAIN_STATE_DIR={}", on.path("link").display()),
            );
        },
        |on, fix| export(on, before(fix, ", ")),
    ),
    pair(
        "directories",
        Broken,
        |on| on.write("cache", "a file\n"),
        |on, fix| {
            assert!(
                fix.starts_with("move ") && fix.contains("CATRAIN_CACHE_DIR"),
                "{fix}"
            );
            on.remove("cache");
        },
    ),
    pair(
        "directories",
        Broken,
        |on| {
            export(
                on,
                &format!("export CATRAIN_RUNTIME_DIR=/tmp/{}", "long/".repeat(20)),
            )
        },
        |on, fix| {
            let short = before(fix, ", ").replace("$(id -u)", "0");
            export(on, &short);
        },
    ),
    pair(
        "sources",
        Broken,
        |on| {
            let file = on.path("DE.csv");
            on.set_sources(&format!("file:{}", file.display()));
        },
        |on, fix| {
            assert!(!fix.is_empty());
            let text = "datetime,carbon_intensity_gco2_per_kwh\n\
                        2026-11-24T17:00:00Z,300\n2026-11-24T18:00:00Z,200\n";
            on.write("DE.csv", text);
        },
    ),
    pair(
        "keys",
        Broken,
        |on| on.set_sources("watttime"),
        |on, fix| on.keep_key(fix.strip_prefix("catrain key set ").unwrap()),
    ),
    pair(
        "keys",
        CouldBeBetter,
        |on| {
            on.write("key", "a-key\n");
            on.mode("key", 0o644);
            let path = on.path("key").display().to_string();
            export(
                on,
                &format!("export CATRAIN_ELECTRICITY_MAPS_KEY_FILE={path}"),
            );
        },
        run,
    ),
    pair(
        "keys",
        Broken,
        |on| export(on, "export CATRAIN_WATTTIME_KEY=no-colon"),
        |on, fix| {
            assert!(fix.contains("`CATRAIN_WATTTIME_KEY`: the user, a colon, the password"));
            export(on, "export CATRAIN_WATTTIME_KEY=ada:secret");
        },
    ),
    pair(
        "clock",
        CouldBeBetter,
        |on| on.time_zone = "",
        |on, fix| {
            assert!(fix.starts_with("export TZ=Europe/Berlin"), "{fix}");
            on.time_zone = "Europe/Berlin";
        },
    ),
    pair(
        "clock",
        Broken,
        |on| on.machine.clocks = (Duration::from_secs(10), Duration::from_secs(100)),
        |on, fix| {
            assert!(fix.contains("with equal offsets"), "{fix}");
            on.machine.clocks.0 = on.machine.clocks.1;
        },
    ),
    pair(
        "clock",
        Broken,
        |on| on.now = "1970-01-01T00:01:00Z",
        |on, fix| {
            assert!(fix.starts_with("sudo timedatectl set-ntp true"));
            on.now = fixture::NOW;
        },
    ),
    pair(
        "gpu energy",
        Broken,
        |on| on.write("dev/nvidia0", ""),
        |on, fix| {
            on.write("where/it/is", "a library");
            let there = on.path("where/it/is").display().to_string();
            let (_, line) = fix.split_once("or ").unwrap();
            export(on, &line.replace("/where/it/is", &there));
        },
    ),
    pair(
        "cpu energy",
        CouldBeBetter,
        |on| on.mode("sys/class/powercap/intel-rapl:0/energy_uj", 0o600),
        |on, fix| {
            let command = before(fix.split_once("boot: sudo ").unwrap().1, "; ");
            run(on, command);
        },
    ),
    pair(
        "cpu energy",
        CouldBeBetter,
        |on| on.remove("sys/class/powercap/intel-rapl:0"),
        |on, fix| {
            assert_eq!(fix, "sudo modprobe intel_rapl_msr");
            on.add_rapl();
        },
    ),
    pair(
        "freezer",
        CouldBeBetter,
        |on| on.write("proc/self/mounts", "proc /proc proc rw 0 0\n"),
        |on, fix| {
            assert!(
                fix.contains("`mount -t cgroup2 none /sys/fs/cgroup`"),
                "{fix}"
            );
            on.add_cgroup();
        },
    ),
    pair(
        "freezer",
        CouldBeBetter,
        // As root every cgroup may be written: then another reason stands for it.
        |on| match nix::unistd::geteuid().is_root() {
            false => on.mode("sys/fs/cgroup/a", 0o500),
            true => on.write("sys/fs/cgroup/a/cgroup.procs", "1\n"),
        },
        |on, fix| match nix::unistd::geteuid().is_root() {
            false => {
                assert!(fix.contains("Delegate=yes"), "{fix}");
                on.mode("sys/fs/cgroup/a", 0o700);
            }
            true => {
                assert!(fix.contains("--cgroupns=private"), "{fix}");
                on.add_cgroup();
            }
        },
    ),
    pair(
        "freezer",
        Broken,
        |on| on.write("sys/fs/cgroup/a/catrain-999999-0/cgroup.freeze", "1\n"),
        run,
    ),
    pair(
        "pidfds",
        CouldBeBetter,
        |on| {
            on.machine.pidfds = Pidfds::Forbidden {
                call: "pidfd_open",
                cause: "not permitted".to_owned(),
            };
        },
        |on, fix| {
            assert!(fix.contains("seccomp profile"), "{fix}");
            on.machine.pidfds = Pidfds::Work;
        },
    ),
    pair(
        "processes",
        Broken,
        |on| {
            on.machine.reach.state = Err("`/proc` does not show it".to_owned());
            on.machine.reach.hiding = Hiding::Processes;
        },
        |on, fix| {
            assert!(fix.contains("`hidepid=0`"), "{fix}");
            on.machine.reach = fixture::all_within_reach();
        },
    ),
    pair(
        "watchdog",
        Broken,
        |on| on.mode("watchdog", 0o644),
        |on, fix| {
            run(on, before(fix, "; "));
        },
    ),
    pair(
        "orphans",
        CouldBeBetter,
        |on| on.machine.adopts = false,
        |on, fix| {
            assert!(fix.contains("PR_SET_CHILD_SUBREAPER"), "{fix}");
            on.machine.adopts = true;
        },
    ),
    pair(
        "locked memory",
        CouldBeBetter,
        |on| {
            on.write("sys/class/infiniband/mlx5_0/node_type", "1: CA\n");
            on.set_locked("65536");
        },
        |on, fix| {
            assert_eq!(fix, "ulimit -l unlimited");
            on.set_locked("unlimited");
        },
    ),
    pair(
        "container",
        CouldBeBetter,
        |on| on.enter_container("python"),
        |on, fix| {
            assert!(fix.contains("docker run --init"), "{fix}");
            on.enter_container("docker-init");
        },
    ),
    pair(
        "surroundings",
        CouldBeBetter,
        |on| export(on, "export SLURM_JOB_ID=17"),
        |on, fix| {
            assert!(fix.starts_with("export SLURM_JOB_END_TIME=$("), "{fix}");
            export(on, "export SLURM_JOB_END_TIME=1795550000");
        },
    ),
    pair(
        "surroundings",
        CouldBeBetter,
        |on| export(on, "export PBS_JOBID=17"),
        |on, fix| {
            let name = fix
                .strip_prefix("env -u ")
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            unset(on, &format!("unset {name}"));
        },
    ),
    pair(
        "pausing",
        CouldBeBetter,
        |on| on.record("r7k2", &["torchrun", "train.py"], &[]),
        |on, fix| {
            let options: Vec<&str> = before(fix, ", ").split(' ').collect();
            on.record("r7k3", &["torchrun", "train.py"], &options);
        },
    ),
    pair(
        "pausing",
        CouldBeBetter,
        |on| {
            on.record("r7k2", &["python", "train.py"], &[]);
            on.remember_death(&["python", "train.py"], true);
        },
        |on, fix| {
            assert!(fix.ends_with("one pause that it survives, and this is forgotten"));
            on.remember_death(&["python", "train.py"], false);
        },
    ),
    pair("runs", CouldBeBetter, |on| on.leave_socket("r7k2"), run),
];

/// Hazards of several ranks, and runs that wait: their fixes are commands of `catrain` or lines for a
/// shell.
const MORE: [Pair; 3] = [
    pair(
        "pausing",
        CouldBeBetter,
        |on| export(on, "export TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC=60"),
        |on, fix| export(on, before(fix, ", ")),
    ),
    pair(
        "pausing",
        CouldBeBetter,
        |on| export(on, "export TORCH_NCCL_BLOCKING_WAIT=1"),
        |on, fix| unset(on, before(fix, ", ")),
    ),
    pair(
        "runs",
        CouldBeBetter,
        |on| on.leave_waiting("r7k2"),
        |on, fix| on.continued(fix.strip_prefix("catrain continue ").unwrap()),
    ),
];

/// Clusters of Slurm's, and jobs of theirs.
const SLURM: [Pair; 8] = [
    pair(
        "slurm",
        CouldBeBetter,
        |on| {
            let settings = "scontrol show config";
            on.add_slurm()
                .replace(settings, "JobRequeue              = 1", "JobRequeue = 0");
        },
        |on, fix| {
            assert!(fix.starts_with("sbatch --requeue"), "{fix}");
            export(on, "export SLURM_JOB_ID=17");
        },
    ),
    pair(
        "slurm",
        CouldBeBetter,
        |on| {
            on.enter_job(1)
                .replace("scontrol show job -o 17", "Requeue=1", "Requeue=0")
        },
        |on, fix| {
            let set = fix.strip_prefix("scontrol update JobId=17 ").unwrap();
            on.slurm()
                .replace("scontrol show job -o 17", "Requeue=0", set);
        },
    ),
    pair(
        "slurm",
        CouldBeBetter,
        |on| {
            on.enter_job(1)
                .replace("scontrol show job -o 17", "BatchFlag=1", "BatchFlag=0")
        },
        |on, fix| {
            assert!(fix.starts_with("submit it with sbatch"), "{fix}");
            on.enter_job(1);
        },
    ),
    pair(
        "slurm",
        CouldBeBetter,
        |on| {
            on.add_slurm()
                .replace("scontrol show config", "= 30 sec", "= 5 sec")
        },
        |on, fix| {
            let seconds = before(fix, " in slurm.conf")
                .strip_prefix("KillWait=")
                .unwrap();
            on.slurm().replace(
                "scontrol show config",
                "= 5 sec",
                &format!("= {seconds} sec"),
            );
        },
    ),
    pair(
        "slurm",
        CouldBeBetter,
        |on| on.add_slurm().is_silent_to("scontrol show config"),
        |on, fix| {
            assert!(fix.starts_with("scontrol ping"), "{fix}");
            on.add_slurm();
        },
    ),
    pair(
        "slurm",
        CouldBeBetter,
        |on| {
            on.enter_job(1);
            on.machine.slurm = None;
        },
        |on, fix| {
            assert!(fix.starts_with("put Slurm's commands on PATH"), "{fix}");
            on.add_slurm();
        },
    ),
    pair(
        "shared directory",
        CouldBeBetter,
        |on| {
            on.enter_job(2);
        },
        |on, fix| {
            let name = before(fix, " on a file system")
                .strip_prefix("export ")
                .unwrap();
            let shared = on.path("shared/state").display().to_string();
            export(on, &format!("export {name}={shared}"));
        },
    ),
    pair(
        "node clocks",
        CouldBeBetter,
        |on| {
            on.enter_job(2)
                .replace("srun --overlap ", "n2 1795866000", "n2 1795866060")
        },
        |on, fix| {
            assert_eq!(fix, "sudo timedatectl set-ntp true, on n1 and n2");
            on.enter_job(2);
        },
    ),
];

fn all_pairs() -> impl Iterator<Item = &'static Pair> {
    PAIRS.iter().chain(&MORE).chain(&SLURM)
}

fn wrong(on: &Fixture, check: &Check) -> Vec<Finding> {
    let mut found = (check.look)(&on.around());
    assert!(found.iter().all(|one| !one.found.is_empty()), "{found:?}");
    found.retain(|one| one.outcome != Outcome::Ok);
    found
}

#[test]
fn each_check_fails_somewhere_and_its_fix_applied_there_makes_it_pass() {
    for pair in all_pairs() {
        let check = (CHECKS.iter()).find(|check| check.name == pair.check);
        let check = check.unwrap_or_else(|| panic!("there is no check `{}`", pair.check));
        let mut on = Fixture::new();
        assert_eq!(wrong(&on, check), [], "a sound machine");
        (pair.spoil)(&mut on);
        let found = wrong(&on, check);
        let [one] = found.as_slice() else {
            panic!("{}: one thing is wrong: {found:#?}", pair.check);
        };
        assert_eq!(
            (one.name, one.outcome),
            (pair.check, pair.outcome),
            "{one:?}"
        );
        let fix = one.fix.clone().expect("what is wrong has a fix");
        assert!(!fix.contains("secret"));
        (pair.fix)(&mut on, &fix);
        assert_eq!(wrong(&on, check), [], "after `{fix}`");
    }
}

#[test]
fn no_check_is_without_such_surroundings() {
    let has_pair = |check: &&Check| all_pairs().any(|pair| pair.check == check.name);
    let without: Vec<&str> = (CHECKS.iter())
        .filter(|check| !has_pair(check))
        .map(|check| check.name)
        .collect();
    assert_eq!(without, [""; 0]);
}

#[test]
fn a_sound_machine_is_told_in_a_line_or_less_for_each_check() {
    let on = Fixture::new();
    let around = Arc::new(on.around());
    let found = look_at_all(&CHECKS, &around, monotonic() + Duration::from_secs(60));
    assert!(!is_broken(&found), "{found:#?}");
    for check in &CHECKS {
        assert!(found.iter().filter(|one| one.name == check.name).count() <= 1);
        assert!(!check.hung.is_empty());
    }
}

#[test]
fn a_check_that_hangs_is_left_behind_and_the_others_are_told() {
    const ODD: [Check; 3] = [
        Check {
            name: "zone",
            look: settings::zone,
            hung: "",
        },
        Check {
            name: "hangs",
            look: |around| {
                // Until the end of the test.
                let (_keep, never) = channel::<Vec<Finding>>();
                let _ = around;
                never.recv().unwrap_or_default()
            },
            hung: "wait no longer",
        },
        Check {
            name: "clock",
            look: settings::clock,
            hung: "",
        },
    ];
    let on = Fixture::new();
    let around = Arc::new(on.around());
    let begun = monotonic();
    let found = look_at_all(&ODD, &around, begun + Duration::from_millis(500));
    let names: Vec<&str> = found.iter().map(|one| one.name).collect();
    assert_eq!(names, ["zone", "hangs", "clock"]);
    assert_eq!(found[1].outcome, Broken);
    assert_eq!(found[1].fix.as_deref(), Some("wait no longer"));
    assert!(monotonic() - begun >= Duration::from_millis(500));
}

#[test]
fn gpus_are_told_with_how_they_are_metered_and_who_may_see_them() {
    let told = |gpus: &[(Option<u64>, Option<f64>)], visible: Option<&str>| {
        let mut on = Fixture::new();
        on.write("library", "");
        let there = on.path("library").display().to_string();
        export(&mut on, &format!("export CATRAIN_NVML={there}"));
        if let Some(visible) = visible {
            export(&mut on, &format!("export CUDA_VISIBLE_DEVICES={visible}"));
        }
        on.machine.gpus = (gpus.iter())
            .map(|(energy, power)| fixture::gpu(*energy, *power))
            .collect();
        let found = energy::gpu(&on.around());
        assert_eq!(found.len(), 1, "{found:#?}");
        (found[0].outcome, found[0].found.clone())
    };
    let (counter, power) = ((Some(1), Some(70.0)), (None, Some(70.0)));
    let words = "2 × NVIDIA H100, by counter; 1 visible to jobs of this shell".to_owned();
    assert_eq!(told(&[counter; 2], Some("1")), (Outcome::Ok, words));
    let (_, hidden) = told(&[counter], Some(""));
    assert!(hidden.ends_with("CUDA_VISIBLE_DEVICES hides all from jobs of this shell"));
    let (outcome, found) = told(&[counter, power], None);
    assert_eq!(outcome, Outcome::Ok);
    assert!(found.contains("by power, sampled each second"), "{found}");
    let (outcome, found) = told(&[counter, (None, None)], None);
    assert_eq!(outcome, CouldBeBetter, "{found}");
}

#[test]
fn live_jobs_are_looked_into_for_variables_and_nothing_else_of_them_is_told() {
    let mut on = Fixture::new();
    on.record_live("r7k2", b"HF_TOKEN=hidden\0TORCH_NCCL_BLOCKING_WAIT=1\0");
    let found = pausing::pausing(&on.around());
    let [one] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert!(
        one.found.contains("TORCH_NCCL_BLOCKING_WAIT is set"),
        "{one:?}"
    );
    assert!(one.found.ends_with("(in r7k2)"), "{one:?}");
    assert!(!format!("{one:?}").contains("hidden"));
}

#[test]
fn a_job_that_stands_still_without_a_supervisor_is_broken() {
    let mut on = Fixture::new();
    let told = on.stranded_job("r7k2");
    assert_eq!(told.outcome, Broken);
    let fix = told.fix.unwrap();
    assert!(
        fix.starts_with("kill -CONT -- -") && fix.ends_with("catrain attach r7k2"),
        "{fix}"
    );
}

#[test]
fn where_there_is_no_slurm_or_only_its_commands_nothing_is_told_of_it() {
    let told = |on: &Fixture| {
        let around = on.around();
        [slurm::slurm, slurm::shared, slurm::clocks].map(|look| look(&around).len())
    };
    let mut on = Fixture::new();
    assert_eq!(told(&on), [0, 0, 0]);
    // The commands alone, without a cluster that they would ask.
    on.add_slurm();
    on.remove("etc/slurm/slurm.conf");
    assert_eq!(told(&on), [0, 0, 0]);
    on.add_slurm();
    assert_eq!(told(&on), [1, 0, 0], "one node");
    on.slurm().answers("sinfo -h -N -o %N", "n1\nn2\n");
    assert_eq!(
        told(&on),
        [1, 1, 0],
        "outside a job nobody's clock is asked for"
    );
    on.enter_job(2);
    assert_eq!(told(&on), [1, 1, 1]);
}

#[test]
fn commands_built_elsewhere_are_found_by_where_they_are() {
    let mut on = Fixture::new();
    on.add_slurm();
    on.remove("etc/slurm/slurm.conf");
    export(&mut on, "export PATH=/bin:/opt/slurm/bin");
    on.write("opt/slurm/bin/squeue", "");
    assert_eq!(slurm::slurm(&on.around()), []);
    on.write("opt/slurm/etc/slurm.conf", "");
    assert_eq!(slurm::slurm(&on.around()).len(), 1);
}

#[test]
fn a_save_on_record_that_took_longer_than_killwait_is_told() {
    let mut on = Fixture::new();
    on.add_slurm();
    assert_eq!(slurm::slurm(&on.around())[0].outcome, Outcome::Ok);
    on.record_save("r7k2", Duration::from_secs(45));
    let found = slurm::slurm(&on.around()).remove(0);
    assert_eq!(found.outcome, CouldBeBetter);
    assert!(found.found.contains("saving has taken 45 s"), "{found:?}");
}

#[test]
fn clocks_and_rights_that_cannot_be_told_are_no_fault() {
    let mut on = Fixture::new();
    on.enter_job(2).is_silent_to("srun --overlap ");
    export(&mut on, "export USER=ada");
    on.slurm().is_silent_to("sacctmgr -nP show user ");
    for look in [slurm::slurm, slurm::clocks] {
        let found = look(&on.around()).remove(0);
        assert_eq!(found.outcome, Outcome::Ok);
        assert!(
            found.found.contains("gave no answer within 2 s"),
            "{found:?}"
        );
    }
}

#[test]
fn the_directory_that_is_configured_for_jobs_is_the_one_that_is_looked_at() {
    let mut on = Fixture::new();
    on.enter_job(2);
    assert_eq!(slurm::shared(&on.around())[0].outcome, CouldBeBetter);
    let shared = on.path("shared/jobs").display().to_string();
    let text = format!("zone = \"DE\"\n[run]\njob-dir = \"{shared}\"\n");
    on.write("config/config.toml", &text);
    let found = slurm::shared(&on.around()).remove(0);
    assert_eq!(found.outcome, Outcome::Ok, "{found:?}");
    assert!(found.found.starts_with(&shared), "{found:?}");
}
