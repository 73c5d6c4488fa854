//! The integration tests: real processes, real terminals, real files; see `support` for the means.

mod executor;
#[cfg(feature = "fault-points")]
mod faults;
mod fixture;
mod forecast;
mod guard;
mod planner;
mod promises;
mod run;
mod sources;
mod supervisor;
mod support;
