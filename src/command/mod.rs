//! One short composition function a subcommand.

pub mod report;
