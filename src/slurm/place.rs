//! Where in a Slurm job a process is, by the variables that Slurm gives it. Pure.

use super::job::JobId;

/// Tells those inside that a supervisor of this job looks after all of it on its node: `17.0`, the job's
/// own number and how often it was requeued.
pub const SUPERVISES: &str = "CATRAIN_SUPERVISES";

/// From here on numbers of steps are of special ones (slurm.h, `SLURM_INTERACTIVE_STEP` and on): the shell of an
/// allocation stands where a batch script does.
const FIRST_SPECIAL: u32 = 0xffff_fff0;

/// A place in a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cluster's name.
    pub cluster: String,
    /// The job as people name it.
    pub id: JobId,
    /// Its own number: that which commands are given.
    pub number: u64,
    /// How often it was requeued.
    pub restarts: u32,
    /// The node's name.
    pub node: String,
    /// How many nodes the job has.
    pub nodes: u32,
    /// The step that `srun` has started; none: this is the batch script, or below it.
    pub step: Option<Step>,
    /// Whether a supervisor of the job looks after all of it on this node already.
    pub is_supervised: bool,
}

/// A place in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub id: u32,
    /// How many nodes it has.
    pub nodes: u32,
    /// Which of them this is, from 0.
    pub node: u32,
    /// Which of the step's tasks on this node, from 0.
    pub local: u32,
    /// How many tasks it has in all.
    pub tasks: u32,
}

impl Place {
    /// By the environment; none: in no job.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| variable(name)?.parse::<u32>().ok();
        let own: u64 = variable("SLURM_JOB_ID")?.parse().ok()?;
        let array = variable("SLURM_ARRAY_JOB_ID").and_then(|id| id.parse().ok());
        let id = JobId {
            job: array.unwrap_or(own),
            task: array.and(number("SLURM_ARRAY_TASK_ID")),
        };
        let restarts = number("SLURM_RESTART_COUNT").unwrap_or(0);
        let nodes = number("SLURM_JOB_NUM_NODES").unwrap_or(1);
        let step = number("SLURM_STEP_ID").filter(|&id| id < FIRST_SPECIAL);
        let step = step.map(|id| Step {
            id,
            nodes: number("SLURM_STEP_NUM_NODES").unwrap_or(nodes),
            node: number("SLURM_NODEID").unwrap_or(0),
            local: number("SLURM_LOCALID").unwrap_or(0),
            tasks: number("SLURM_STEP_NUM_TASKS").unwrap_or(1),
        });
        let supervised = variable(SUPERVISES);
        Some(Self {
            cluster: variable("SLURM_CLUSTER_NAME").unwrap_or_default(),
            id,
            number: own,
            restarts,
            node: variable("SLURMD_NODENAME").unwrap_or_default(),
            nodes,
            step,
            is_supervised: supervised.is_some_and(|told| told == supervises(own, restarts)),
        })
    }
}

/// The value of [`SUPERVISES`].
pub fn supervises(number: u64, restarts: u32) -> String {
    format!("{number}.{restarts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Place> {
        Place::of(|name| {
            let mut all = variables.iter();
            all.find(|(given, _)| *given == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_batch_script_and_a_task_of_a_step_know_where_they_are() {
        assert_eq!(of(&[]), None);
        let batch = [
            ("SLURM_JOB_ID", "17"),
            ("SLURM_CLUSTER_NAME", "c"),
            ("SLURMD_NODENAME", "n1"),
            ("SLURM_JOB_NUM_NODES", "3"),
            ("SLURM_RESTART_COUNT", "2"),
        ];
        let place = of(&batch).unwrap();
        assert_eq!((place.id.to_string(), place.restarts), ("17".to_owned(), 2));
        assert_eq!(
            (place.nodes, place.step, place.is_supervised),
            (3, None, false)
        );
        let step = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NUM_NODES", "2"),
            ("SLURM_NODEID", "1"),
            ("SLURM_LOCALID", "3"),
            (SUPERVISES, "17.2"),
        ];
        let place = of(&[&batch[..], &step[..]].concat()).unwrap();
        let step = place.step.unwrap();
        assert_eq!((step.nodes, step.node, step.local), (2, 1, 3));
        assert!(place.is_supervised);
    }

    #[test]
    fn the_shell_of_an_allocation_stands_where_a_batch_script_does() {
        let variables = [("SLURM_JOB_ID", "17"), ("SLURM_STEP_ID", "4294967290")];
        assert_eq!(of(&variables).unwrap().step, None);
    }

    #[test]
    fn a_task_of_an_array_has_two_numbers_and_an_outer_job_is_another() {
        let place = of(&[
            ("SLURM_JOB_ID", "19"),
            ("SLURM_ARRAY_JOB_ID", "18"),
            ("SLURM_ARRAY_TASK_ID", "4"),
            (SUPERVISES, "17.0"),
        ])
        .unwrap();
        assert_eq!(
            (place.id.to_string(), place.number),
            ("18_4".to_owned(), 19)
        );
        assert!(!place.is_supervised, "the job that submitted this one is");
    }
}
