//! The one way to a provider.

mod cache;
pub mod limits;
