//! The integration tests: real processes, real terminals, real files; see `support` for the means.

mod executor;
mod fixture;
mod forecast;
mod generated;
mod guard;
mod layers;
mod ledger;
mod planner;
mod report;
mod signals;
mod sources;
mod supervisor;
mod support;
mod terminal;
