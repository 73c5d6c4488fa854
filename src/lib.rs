//! Carbon-aware supervision of training commands.
pub mod cli;
pub mod clock;
pub mod command;
pub mod error;
pub mod forecast;
pub mod ledger;
pub mod parse;
pub mod plan;
pub mod source;
pub mod units;
pub mod words;
