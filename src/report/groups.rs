//! Runs added up by what they have in common.

/// What runs are added up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Each for itself.
    Run,
    /// By the local day that the time was spent on.
    Day,
    /// By the grid zone.
    Zone,
    /// By the value of this label.
    Label(String),
}
