//! The one way to a provider.

pub mod limits;
