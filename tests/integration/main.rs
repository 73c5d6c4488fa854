//! Integration tests, in one binary.

mod executor;
mod guard;
mod supervisor;
