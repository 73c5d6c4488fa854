//! Carbon-aware supervision of training commands.
pub mod clock;
pub mod error;
pub mod executor;
pub mod fault;
pub mod forecast;
pub mod ledger;
pub mod plan;
pub mod units;
pub mod words;
