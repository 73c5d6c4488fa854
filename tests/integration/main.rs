//! The integration tests: one binary, one module a subject.

mod forecast;
mod sources;
