//! Ranks: processes of a job that wait for each other, told by what their launcher put in their
//! environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::process::{ProcId, Process};

/// Programs that start several ranks, as they stand in a command line.
const LAUNCHERS: [&str; 10] = [
    "torchrun",
    "accelerate",
    "deepspeed",
    "mpirun",
    "mpiexec",
    "orterun",
    "horovodrun",
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
];

/// Rank variables: two processes that agree in all of them are the same rank, such as a rank and
/// its data loaders, which inherit them.
const RANKS: [&str; 6] = [
    "RANK",
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "SLURM_PROCID",
    "SUBMITIT_LOCAL_GLOBALID",
];
/// Which of a Slurm job's steps.
const STEP: &str = "SLURM_STEP_ID";
const SIZES: [&[u8]; 2] = [b"WORLD_SIZE", b"OMPI_COMM_WORLD_SIZE"];

/// Rank variables with their values.
pub(super) type Rank = BTreeMap<&'static str, OsString>;

/// Whether a command line names a program that starts several ranks.
pub fn names_a_launcher(argv: &[OsString]) -> bool {
    argv.iter().any(|argument| {
        let name = Path::new(argument).file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| LAUNCHERS.contains(&name))
    })
}

/// The rank variables that we have ourselves, as a task of a cluster: the whole job inherits them, so
/// they tell nothing apart.
pub(super) fn of_ourselves() -> Rank {
    let step = std::env::var_os(STEP);
    let own = |name| value_in(name, &std::env::var_os(name)?, step.as_deref()).map(|it| (name, it));
    RANKS.into_iter().filter_map(own).collect()
}

/// The value that tells ranks apart. Slurm numbers the tasks of each step from 0, and gives the script, which is
/// none, the number 0 as well.
fn value_in(name: &str, value: &OsStr, step: Option<&OsStr>) -> Option<OsString> {
    if name != "SLURM_PROCID" {
        return Some(value.to_owned());
    }
    let mut told = step?.to_owned();
    told.push(".");
    told.push(value);
    Some(told)
}

/// The rank that an environment tells of; variables as in `inherited` say nothing.
pub(super) fn rank_in(environment: &[u8], inherited: &Rank) -> Option<Rank> {
    let mut all = variables(environment);
    let step = all.find(|(name, _)| *name == STEP.as_bytes());
    let step = step.map(|(_, value)| OsStr::from_bytes(value));
    let rank: Rank = variables(environment)
        .filter_map(|(name, value)| {
            let name = RANKS.into_iter().find(|rank| rank.as_bytes() == name)?;
            Some((name, value_in(name, OsStr::from_bytes(value), step)?))
        })
        .filter(|(name, value)| inherited.get(name) != Some(value))
        .collect();
    (!rank.is_empty()).then_some(rank)
}

/// Whether an environment tells of others.
pub(super) fn says_several(environment: &[u8]) -> bool {
    variables(environment)
        .filter(|(name, _)| SIZES.contains(name))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u32>().ok())
        .any(|size| size > 1)
}

/// The environment that a process was started with. Of another user: not ours to read.
pub(super) fn environment_of(process: &Process) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{}/environ", process.id.pid)).ok()
}

/// The main process of each rank: the topmost of those that have its variables. What it has forked
/// inherited them, and what started it, the launcher, has none; but for that of Lightning, which is
/// its own first rank.
pub(super) fn main_ones(tree: &[(&Process, Option<Rank>)]) -> Vec<ProcId> {
    let ranks: BTreeMap<i32, &Option<Rank>> = (tree.iter())
        .map(|(process, rank)| (process.id.pid, rank))
        .collect();
    let of_parent = |process: &Process| ranks.get(&process.parent).and_then(|rank| rank.as_ref());
    let is_main = |process: &Process, rank: &Option<Rank>| {
        rank.is_some() && rank.as_ref() != of_parent(process)
    };
    let first_ranks: BTreeSet<i32> = (tree.iter())
        .filter(|(process, rank)| is_main(process, rank) && rank.as_ref().is_some_and(has_first))
        .map(|(process, _)| process.parent)
        .collect();
    tree.iter()
        .filter(|(process, rank)| {
            is_main(process, rank) || rank.is_none() && first_ranks.contains(&process.id.pid)
        })
        .map(|(process, _)| process.id)
        .collect()
}

/// Whether who started this rank is the first one: Lightning's script starts itself once more for each
/// further rank, with nothing but `LOCAL_RANK`, from 1 on (tried with 2.6). Other launchers set `RANK`.
fn has_first(rank: &Rank) -> bool {
    rank.len() == 1 && rank.get("LOCAL_RANK").is_some_and(|local| local != "0")
}

/// Whether these are several.
pub(super) fn are_several(ranks: impl Iterator<Item = Rank>) -> bool {
    ranks.collect::<BTreeSet<_>>().len() > 1
}

fn variables(environment: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    environment.split(|&byte| byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|&byte| byte == b'=')?;
        Some((&entry[..equals], &entry[equals + 1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &str) -> Vec<OsString> {
        words.split(' ').map(OsString::from).collect()
    }

    fn rank(environment: &[u8]) -> Option<Rank> {
        rank_in(environment, &Rank::new())
    }

    #[test]
    fn launchers_are_known_by_name_and_path_and_module() {
        for several in [
            "torchrun --nproc-per-node 4 train.py",
            "/opt/venv/bin/accelerate launch train.py",
            "nice -n 5 mpirun -n 4 ./train",
            "python -m torch.distributed.run train.py",
        ] {
            assert!(names_a_launcher(&argv(several)), "{several}");
        }
        for one in ["python train.py", "python train.py --deepspeed ds.json"] {
            assert!(!names_a_launcher(&argv(one)), "{one}");
        }
    }

    #[test]
    fn data_loaders_of_one_rank_are_not_several_ranks() {
        let loader = b"HOME=/\0RANK=0\0LOCAL_RANK=0\0WORLD_SIZE=1\0";
        let main = b"LOCAL_RANK=0\0RANK=0\0WORLD_SIZE=1\0";
        assert_eq!(rank(loader), rank(main));
        assert!(!says_several(main));
        assert_ne!(rank(main), rank(b"RANK=1\0LOCAL_RANK=1\0"));
        assert!(says_several(b"RANK=0\0WORLD_SIZE=8\0"));
        assert_eq!(rank(b"HOME=/\0"), None);
    }

    #[test]
    fn what_the_whole_job_inherited_is_no_rank_of_its_own() {
        let inherited = Rank::from([("SLURM_PROCID", "0.3".into())]);
        let rank = |text: &[u8]| rank_in(text, &inherited);
        assert_eq!(rank(b"SLURM_PROCID=3\0SLURM_STEP_ID=0\0"), None);
        assert!(rank(b"SLURM_PROCID=4\0SLURM_STEP_ID=0\0").is_some());
        // Each step counts from 0, and the script has the number 0 without being a rank.
        assert!(rank(b"SLURM_PROCID=3\0SLURM_STEP_ID=1\0").is_some());
        assert_eq!(rank(b"SLURM_PROCID=0\0"), None);
        let own = rank(b"SLURM_PROCID=3\0SLURM_STEP_ID=0\0RANK=0\0");
        assert_eq!(own, Some(Rank::from([("RANK", "0".into())])));
    }

    #[test]
    fn the_script_that_starts_its_own_further_ranks_is_the_first_of_them() {
        // 10 is a Lightning script, 11 and 12 are its further ranks, 13 a loader of its own and 14 one
        // of rank 1.
        let all: Vec<Process> = [(10, 1), (11, 10), (12, 10), (13, 10), (14, 11)]
            .map(|(pid, parent)| process(pid, parent))
            .into();
        let rank = |pid| match pid {
            11 | 14 => Some(Rank::from([("LOCAL_RANK", "1".into())])),
            12 => Some(Rank::from([("LOCAL_RANK", "2".into())])),
            _ => None,
        };
        let tree: Vec<_> = all.iter().map(|one| (one, rank(one.id.pid))).collect();
        let found: Vec<i32> = main_ones(&tree).iter().map(|id| id.pid).collect();
        assert_eq!(found, [10, 11, 12]);
    }

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            id: ProcId {
                pid,
                start_ticks: 1,
            },
            parent,
            session: 10,
            name: "python".to_owned(),
            state: 'S',
            threads: 1,
            own_ticks: 0,
            waited_ticks: 0,
        }
    }

    #[test]
    fn the_topmost_process_of_each_rank_is_meant_and_never_the_launcher() {
        // 10 is the launcher; 11 and 12 are ranks, 13 and 14 a loader of 11 and its child, 15 a helper
        // of the launcher; 16 is a rank that was started through a shell.
        let processes = [
            (10, 1),
            (11, 10),
            (12, 10),
            (13, 11),
            (14, 13),
            (15, 10),
            (16, 15),
        ];
        let all: Vec<Process> = processes.map(|(pid, parent)| process(pid, parent)).into();
        let rank = |pid| match pid {
            11 | 13 | 14 => Some(Rank::from([("RANK", "0".into())])),
            12 => Some(Rank::from([("RANK", "1".into())])),
            16 => Some(Rank::from([("RANK", "2".into())])),
            _ => None,
        };
        let tree: Vec<_> = all.iter().map(|one| (one, rank(one.id.pid))).collect();
        let found: Vec<i32> = main_ones(&tree).iter().map(|id| id.pid).collect();
        assert_eq!(found, [11, 12, 16]);
    }
}
