//! `catrain` on a real cluster of Slurm's, several nodes of which are this machine. All that is asked of
//! Slurm is asked by an ordinary user. Where Slurm is not installed, or may not be started, these tests
//! are skipped and say why.

pub(crate) mod cluster;
mod doctor;
mod faults;
mod jobs;
mod signals;
