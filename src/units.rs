//! Physical quantities as types, so that only sums that physics allows compile.
//!
//! Each is a newtype over `f64` in the unit of its name. Numbers become quantities once, at the
//! edge (flags, files, sysfs), and become bare numbers again only in a field whose name has the unit.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0.0);
        }
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }
        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }
        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                // That of nothing is 0: the sum of no floats is -0.
                Self(items.map(|item| item.0).fold(0.0, Add::add))
            }
        }
    };
}

quantity!(
    /// Energy in joules.
    Joules
);
quantity!(
    /// Energy in kilowatt-hours.
    KilowattHours
);
quantity!(
    /// Power in watts.
    Watts
);
quantity!(
    /// Emissions in grams of CO2 equivalent.
    GramsCo2e
);
quantity!(
    /// Carbon intensity in grams of CO2 equivalent per kilowatt-hour.
    GramsPerKwh
);

impl From<Joules> for KilowattHours {
    fn from(energy: Joules) -> Self {
        Self(energy.0 / 3.6e6)
    }
}

impl From<KilowattHours> for Joules {
    fn from(energy: KilowattHours) -> Self {
        Self(energy.0 * 3.6e6)
    }
}

impl Mul<Duration> for Watts {
    type Output = Joules;
    fn mul(self, time: Duration) -> Joules {
        Joules(self.0 * time.as_secs_f64())
    }
}

impl Mul<GramsPerKwh> for KilowattHours {
    type Output = GramsCo2e;
    fn mul(self, intensity: GramsPerKwh) -> GramsCo2e {
        GramsCo2e(self.0 * intensity.0)
    }
}

/// Power usage effectiveness: facility energy divided by IT energy, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Pue(f64);

impl Pue {
    /// IT equipment only.
    pub const NONE: Self = Self(1.0);

    /// The ratio, ≥ 1.
    pub fn ratio(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Pue {
    type Error = String;
    fn try_from(ratio: f64) -> Result<Self, String> {
        if ratio.is_finite() && (1.0..=10.0).contains(&ratio) {
            Ok(Self(ratio))
        } else {
            Err(format!("a PUE is between 1 and 10, not {ratio}"))
        }
    }
}

impl From<Pue> for f64 {
    fn from(pue: Pue) -> Self {
        pue.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_at_a_kilowatt_is_a_kilowatt_hour() {
        let energy: KilowattHours = (Watts(1000.0) * Duration::from_secs(3600)).into();
        assert_eq!(energy, KilowattHours(1.0));
        assert_eq!(energy * GramsPerKwh(412.0), GramsCo2e(412.0));
    }

    #[test]
    fn the_sum_of_nothing_has_no_sign() {
        let nothing: Joules = std::iter::empty().sum();
        assert!(nothing.0.is_sign_positive());
    }

    #[test]
    fn a_pue_below_one_is_refused() {
        assert!(Pue::try_from(0.9).is_err());
        assert!(Pue::try_from(f64::NAN).is_err());
        assert_eq!(Pue::try_from(1.2).map(Pue::ratio), Ok(1.2));
    }
}
