//! The integration tests: real processes, real terminals, real files; see `support` for the means.

mod attach;
mod audit;
mod calamities;
mod config;
mod control;
mod day;
mod doctor;
mod executor;
#[cfg(feature = "fault-points")]
mod faults;
mod fixture;
mod forecast;
mod freezer;
mod generated;
mod guard;
mod keys;
mod layers;
mod ledger;
mod listen;
mod live;
mod metering;
mod pausing;
mod planner;
mod presets;
mod promises;
mod published;
mod relay;
mod report;
mod reports;
mod run;
mod signals;
mod simulate;
mod sources;
mod supervisor;
mod support;
mod terminal;
