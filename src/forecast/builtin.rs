//! Built-in profiles.

/// A zone's usual day by month.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// The zone.
    pub zone: &'static str,
    /// Mean, 10th and 90th percentile in g/kWh by month (0 = January) and hour of day (UTC).
    pub hours: [[[f32; 3]; 24]; 12],
}
