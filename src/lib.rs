//! Carbon-aware supervision of training commands: the library behind `catrain`.
//!
//! # The way through
//!
//! `main` reads how it was started, `cli` what was typed, and `command/run` composes a run: sources
//! give [`forecast::Knowledge`], [`forecast::ahead`] makes of it the intensity ahead, [`plan::decide`]
//! what to do now, [`supervise::machine`] what follows from that and from all that happens, the driver
//! in [`supervise`] has it done by [`executor`], told by [`talk`], metered by [`meter`], written down by
//! [`ledger`]; and [`report`] accounts for it with [`emissions`], once more when `command/settle` has
//! fetched what became known since. [`serve`] shows how a run stands to whoever asks meanwhile, and
//! [`alert`] tells who does not ask. In a job of a cluster `command/run/cluster` finds out what a run is to the
//! job's other processes and nodes, and [`slurm`] is how they and the queue are spoken to. [`simulate`] lets
//! the same machine live through the past on a virtual clock.
//!
//! # Layers
//!
//! | core: pure | adapters: I/O | shell |
//! |---|---|---|
//! | [`units`] [`words`] [`parse`] [`forecast`] [`emissions`] [`plan`] [`presets`] `supervise::{machine, progress, snapshot}` `ledger::{adding, chain, entry, line, pace, standing}` `serve::{facts, family, health, metrics, tally}` [`caller::limits`] [`caller::wire`] [`report`] [`doctor`] [`simulate`] `alert::{rule, settings, watch, wording, cooling, quiet, letter, message, webhook, slack}` `archive::{form, held}` `log::{levels, line}` `slurm::{job, lease, pending, place, sbatch, script, settings, standing, timing}` `meter::{pile, processors, given}` `meter::gpu::{gauge, share, visible, device}` | [`source`] over [`caller`] and [`archive`], [`alert`] over [`caller`], [`keys`] [`executor`] [`listen`] [`meter`] [`ledger`] [`serve`] [`control`] [`talk`] [`log`] [`systemd`] [`slurm`] [`dirs`] [`patience`] [`surroundings`] | [`supervise`] (the driver) [`command`] [`cli`] |
//!
//! Everything may use what stands to its left. The core names no I/O, no runtime, no clock and no
//! randomness: time is a [`clock::Moment`] and an argument, and only `clock.rs` reads one. The driver
//! sees traits; only [`command`] names what implements them. A test holds all of this.
//!
//! # What always holds
//!
//! - The job outranks the planner: whatever is not known or does not work leads to a running job.
//! - Whoever is stopped by us stands on the guard's list before the first stop; the guard, a process of
//!   its own, continues that list when the supervisor dies or its lease runs out.
//! - One thread decides. What may block (disk, terminal, sources, meters) has a thread of its own and a bounded
//!   queue, and nothing waits for it, but for a pause, half a second, for its record.
//! - Intent is recorded before the act, and the outcome after it.
//! - The job runs when nobody holds it; each hold is lifted only by who set it.
//! - Plans and deadlines are kept on UTC, minima and segments on the boot-time clock, grace periods and
//!   leases on the monotonic one.
//! - No number without a kind and a source; missing is never zero.
//! - A line of a record is never changed, and each follows from the one before.
//!
//! # Left out on purpose
//!
//! No daemon, no shared state between runs but files, no multi-threaded runtime (the job must be
//! started from the main thread), no shell between us and the job, and no option that sets `O_NONBLOCK`
//! on a descriptor that the job has as well.

pub mod alert;
pub mod archive;
pub mod caller;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod dirs;
pub mod doctor;
pub mod emissions;
pub mod error;
pub mod executor;
pub mod fault;
pub mod forecast;
pub mod keys;
pub mod ledger;
pub mod listen;
pub mod log;
pub mod meter;
pub mod parse;
pub mod patience;
pub mod plan;
pub mod presets;
pub mod report;
pub mod serve;
pub mod simulate;
pub mod slurm;
pub mod source;
pub mod supervise;
pub mod surroundings;
pub mod systemd;
pub mod talk;
pub mod units;
pub mod words;
