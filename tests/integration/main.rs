//! What `catrain` promises, tried from outside.

mod ledger;
mod report;
