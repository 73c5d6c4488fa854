//! Emissions of making the hardware, as far as a run used it.

use crate::units::GramsCo2e;

/// Whose embodied emissions are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hardware {
    /// Those of the GPUs that the table knows.
    Table,
    /// As given.
    Given {
        /// Of making and disposing of all of it.
        total: GramsCo2e,
        /// Over which they are spread.
        years: f64,
    },
}
