//! Carbon-aware supervision of training commands.
pub mod clock;
pub mod command;
pub mod emissions;
pub mod error;
pub mod executor;
pub mod fault;
pub mod forecast;
pub mod ledger;
pub mod parse;
pub mod plan;
pub mod report;
pub mod source;
pub mod units;
pub mod words;
