//! The energy of a stretch of a run: measured where there are meters, modelled where there are none,
//! assumed where the user gave figures. Each reading says which.
//!
//! | file | one idea |
//! |---|---|
//! | [`desk`] | the driver's side: asks the threads, waits for nobody for long, answers in order |
//! | [`gpu`] | NVML: which devices, their energy, and whose it is |
//! | [`host`] | processor and memory: RAPL where it can be read, else a model |
//! | [`rapl`] | the counters of powercap, each joule once |
//! | [`processors`] | watts a core by the processor's model |
//! | [`given`] | figures that were given, and the model of a replay |
//! | [`pile`] | energy over time, cut where stretches end |
//!
//! What may hang (a driver, a library that loads) has a thread of its own; the desk never waits for
//! one longer than two seconds, and says so.

pub mod desk;
pub mod given;
pub mod gpu;
pub mod host;
pub mod pile;
pub mod processors;
pub mod rapl;

use std::time::Duration;

use crate::clock::Moment;

pub use desk::Meters;
pub use given::{Figures, Model, WATTS_PER_BUSY_CORE};

/// When something was read, on the clocks of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Since the start of the run, host suspend included: what stretches tile on.
    pub elapsed: Duration,
    /// The same without host suspend: what power is integrated over.
    pub awake: Duration,
}

impl From<Moment> for At {
    fn from(moment: Moment) -> Self {
        Self {
            elapsed: moment.elapsed,
            awake: moment.monotonic,
        }
    }
}
