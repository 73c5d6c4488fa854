//! The integration tests: real processes, real terminals, real files; see `support` for the means.

mod executor;
mod fixture;
mod forecast;
mod guard;
mod ledger;
mod planner;
mod report;
mod sources;
mod supervisor;
mod support;
