//! Health and metrics of a live run: over its control socket, over TCP where that is asked for, and
//! in a file.
//!
//! The deciding thread puts what it knows on the [`board`] once a second and waits for nobody; all that
//! peers do happens on a thread of its own with bounds of size, time and number ([`http`], [`tcp`]).
//! What is told is made of plain data by pure files: [`tally`] adds up what is recorded, [`metrics`]
//! makes families of it, [`family`] puts them into words, [`health`] judges.

pub mod address;
pub mod board;
pub mod facts;
pub mod family;
pub mod file;
pub mod health;
pub mod host;
pub mod http;
pub mod metrics;
pub mod pages;
pub mod tally;
pub mod tcp;
pub mod token;

pub use address::{Address, Settings};
pub use board::{Board, Latest};
