//! The integration tests: real processes, real terminals, real files; see `support` for the means.

mod fixture;
mod planner;
mod support;
