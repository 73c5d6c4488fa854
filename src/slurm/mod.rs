//! Slurm as a user sees it: what its commands say, and what may be asked of it by whoever owns a job.
//!
//! | file | one idea |
//! |---|---|
//! | [`job`] | a job in Slurm's words: ids, states, times, and how its commands write them |
//! | [`pending`] | what may be done to a submitted job that waits |
//! | [`place`] | where in a job this process is |
//! | [`lease`] | what the node that leads tells the others, and who is still there |
//! | [`room`] | the directory in which they tell each other, looked at by a thread of its own |
//! | [`record`] | what `catrain slurm submit` has submitted, kept for whoever comes after it |
//! | [`sbatch`] | what was typed for `sbatch`, and what a script asks of it |
//! | [`script`] | a script with a supervisor of its own |
//! | [`settings`] | what `scontrol show` tells, name by name |
//! | [`standing`] | how a job stands, in Slurm's state and ours |
//! | [`timing`] | when a job in the queue is to begin |
//! | [`tools`] | `squeue`, `scontrol`, `sbatch`, `scancel`, each waited for no longer than a limit |
//!
//! Nothing here schedules: a job gets a begin time, signals, or goes back to the queue, all by its owner's
//! rights. `job`, `lease`, `pending`, `place`, `sbatch`, `script`, `settings`, `standing` and `timing` are pure.

pub mod job;
pub mod lease;
pub mod pending;
pub mod place;
pub mod record;
pub mod room;
pub mod sbatch;
pub mod script;
pub mod settings;
pub mod standing;
pub mod timing;
pub mod tools;
