//! The integration tests: real processes, real terminals, real files; see `support` for the means.

mod fixture;
mod forecast;
mod planner;
mod sources;
mod support;
