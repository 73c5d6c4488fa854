//! Numbers as reports show them: whole steps of a unit, so that whatever is added up from what is
//! shown gives the total that is shown.
//!
//! Grams are rounded to a milligram, energy to a milliwatt-hour, time to a millisecond; the words
//! of a table are rounded more coarsely and add up likewise.

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::emissions::{PARTS, Parts};
use crate::units::{GramsCo2e, KilowattHours};
use crate::words;

/// The step of grams and of seconds.
pub(super) const MILLI: f64 = 1e-3;
/// The step of kilowatt-hours.
pub(super) const MICRO: f64 = 1e-6;

/// Parts as they are shown: whole steps, and the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) steps: Parts<i64>,
    pub(super) step: f64,
}

impl Shown {
    pub(super) fn of(parts: Parts<f64>, step: f64) -> Self {
        Self {
            steps: parts.map(|value| steps(value, step)),
            step,
        }
    }

    pub(super) fn none(step: f64) -> Self {
        Self::of(Parts::default(), step)
    }

    pub(super) fn total(&self) -> f64 {
        shown(self.steps.total(), self.step)
    }

    /// Takes away what another holds.
    pub(super) fn less(&mut self, other: &Self) {
        for (part, _) in PARTS {
            self.steps[part] -= other.steps[part];
        }
    }

    /// Keeps no more of any part than another holds.
    pub(super) fn at_most(&mut self, other: &Self) {
        for (part, _) in PARTS {
            self.steps[part] = self.steps[part].min(other.steps[part]);
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + PARTS.len()))?;
        map.serialize_entry("total", &self.total())?;
        for (part, name) in PARTS {
            map.serialize_entry(name, &shown(self.steps[part], self.step))?;
        }
        map.end()
    }
}

/// Most steps that a number may be: beyond, an `f64` does not tell one step from the next, and
/// below, thousands of them can be added without an overflow.
const MOST: f64 = 9e15;

/// How many steps a value is; no more than can be counted, and 0 of what is no number.
pub(super) fn steps(value: f64, step: f64) -> i64 {
    (value / step).round().clamp(-MOST, MOST) as i64
}

/// A number of steps as the decimal number it is, without the noise of a multiplication.
pub(super) fn shown(steps: i64, step: f64) -> f64 {
    steps as f64 / (1.0 / step).round()
}

/// Below so many steps a number is said by what it is rather than by its steps.
const FEW: i64 = 1000;

/// What words tell of a value that is shown in `steps`: those, unless they are so few that little
/// would become nothing.
pub(super) fn told(value: f64, steps: i64, step: f64) -> f64 {
    if steps.abs() < FEW {
        value
    } else {
        shown(steps, step)
    }
}

/// A value as it is shown.
pub(super) fn round(value: f64, step: f64) -> f64 {
    shown(steps(value, step), step)
}

/// Numbers rounded to `steps`, as whole steps, whose sum is `total` steps: what rounding leaves
/// over goes to the largest, where it shows least.
pub(crate) fn apportion(values: &[f64], step: f64, total: i64) -> Vec<i64> {
    with_sum(
        values.iter().map(|v| steps(*v, step)).collect(),
        values,
        total,
    )
}

/// The same for long lists of small numbers: each is rounded with what rounding left of those
/// before it, so that a thousand times less than half a step is not nothing.
pub(super) fn spread(values: &[f64], step: f64, total: i64) -> Vec<i64> {
    let (mut sum, mut given) = (0.0, 0);
    let each = values.iter().map(|value| {
        sum += value;
        let mine = steps(sum, step) - given;
        given += mine;
        mine
    });
    with_sum(each.collect(), values, total)
}

/// `parts` with what is missing from `total` given to the one of the largest value, the first of several.
fn with_sum(mut parts: Vec<i64>, values: &[f64], total: i64) -> Vec<i64> {
    let sum = parts.iter().copied().fold(0, i64::saturating_add);
    let over = total.saturating_sub(sum);
    let larger = |best: usize, at: usize| if values[at] > values[best] { at } else { best };
    if let Some(largest) = (0..values.len()).reduce(larger) {
        parts[largest] = parts[largest].saturating_add(over);
    }
    parts
}

/// How numbers in one column or beside one headline are written: in its unit, with its decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// In the unit of the quantity: kilowatt-hours or grams.
    pub(super) step: f64,
    factor: f64,
    decimals: usize,
    unit: &'static str,
}

impl Scale {
    /// That of a headline such as `2.41 kWh` or `551 g`.
    pub(super) fn of(headline: &str) -> Self {
        let (number, unit) = headline.split_once(' ').unwrap_or((headline, "kWh"));
        let (factor, unit) = match unit {
            "J" => (3.6e6, "J"),
            "Wh" => (1e3, "Wh"),
            "MWh" => (1e-3, "MWh"),
            "ng" => (1e9, "ng"),
            "µg" => (1e6, "µg"),
            "mg" => (1e3, "mg"),
            "g" => (1.0, "g"),
            "kg" => (1e-3, "kg"),
            "t" => (1e-6, "t"),
            _ => (1.0, "kWh"),
        };
        let decimals = number.split_once('.').map_or(0, |(_, digits)| digits.len());
        Self {
            step: 0.1_f64.powi(decimals as i32) / factor,
            factor,
            decimals,
            unit,
        }
    }

    /// That in which `largest` reads well.
    pub(super) fn energy(largest: f64) -> Self {
        Self::of(&words::energy(KilowattHours(largest)))
    }

    /// That in which `largest` reads well.
    pub(super) fn mass(largest: f64) -> Self {
        Self::of(&words::mass(GramsCo2e(largest)))
    }

    /// Without its unit.
    pub(super) fn number(&self, steps: i64) -> String {
        let value = steps as f64 * self.step * self.factor;
        let text = format!("{value:.*}", self.decimals);
        match text.strip_prefix('-') {
            Some(size) => format!("−{size}"),
            None => text,
        }
    }

    /// With its unit.
    pub(super) fn words(&self, steps: i64) -> String {
        format!("{} {}", self.number(steps), self.unit)
    }

    /// A value by itself: with decimals only where its first digits leave room for them.
    fn alone(&self, value: f64) -> String {
        let of_unit = value * self.factor;
        match of_unit.abs() < 99.95 {
            true => self.words(steps(value, self.step)),
            false => format!("{of_unit:.0} {}", self.unit).replace('-', "−"),
        }
    }

    /// `values`, each as it would be shown alone, and the sum of what is shown.
    pub(super) fn sum(&self, values: &[f64]) -> (Vec<String>, String) {
        let each: Vec<i64> = values
            .iter()
            .map(|value| steps(*value, self.step))
            .collect();
        let total = self.words(each.iter().sum());
        (
            each.into_iter().map(|steps| self.words(steps)).collect(),
            total,
        )
    }

    /// Parts of a `total` that is shown elsewhere as well, such that the words add up to it.
    pub(super) fn column(&self, values: &[f64], total: f64) -> (Vec<String>, String) {
        let total = steps(total, self.step);
        let each = apportion(values, self.step, total);
        let each = each.into_iter().map(|steps| self.words(steps)).collect();
        (each, self.words(total))
    }
}

/// Two bounds of grams in the unit of the lower one, unless the upper is far beyond it.
pub(super) fn between(low: f64, high: f64) -> [String; 2] {
    let scale = Scale::mass(if low == 0.0 { high } else { low });
    let upper = match (high * scale.factor).abs() < 9999.5 {
        true => scale.alone(high),
        false => words::mass(GramsCo2e(high)),
    };
    [scale.alone(low), upper]
}

/// Times in hours and minutes, or minutes and seconds where all are short, such that they add up.
pub(super) fn times(seconds: &[f64], total: f64) -> (Vec<String>, String) {
    let (step, large, small) = match total < 3600.0 {
        true => (1.0, "m", "s"),
        false => (60.0, "h", "m"),
    };
    let words = |steps: i64| match (steps / 60, steps % 60) {
        (0, small_ones) => format!("{small_ones} {small}"),
        (large_ones, small_ones) => format!("{large_ones} {large} {small_ones:02} {small}"),
    };
    let total = steps(total, step);
    let each = apportion(seconds, step, total).into_iter().map(words);
    (each.collect(), words(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_to_what_adds_up() {
        assert_eq!(apportion(&[33.4, 33.3, 33.3], 1.0, 100), [34, 33, 33]);
        assert_eq!(apportion(&[], 1.0, 0), Vec::<i64>::new());
    }

    #[test]
    fn numbers_that_cannot_be_counted_are_shown_without_a_panic() {
        for huge in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e308] {
            let each = apportion(&[huge, huge, 1.0], MICRO, 100);
            assert_eq!(each.iter().sum::<i64>(), 100, "{huge}");
            assert_eq!(spread(&[huge; 3], MICRO, 7).iter().sum::<i64>(), 7);
            let many = Shown::of(Parts::default().map(|_: f64| huge), MICRO);
            assert!(many.total().is_finite());
        }
    }

    #[test]
    fn many_small_numbers_are_spread_and_not_heaped_on_one() {
        let spread = spread(&[0.4; 1000], 1.0, 400);
        assert_eq!(spread.iter().sum::<i64>(), 400);
        assert!(spread.iter().all(|steps| (0..=1).contains(steps)));
    }

    #[test]
    fn bounds_have_one_unit_and_no_digits_that_nobody_knows() {
        let words = |low, high| between(low, high).join(" to ");
        assert_eq!(words(3.7201e-5, 4e-4), "37.2 µg to 400 µg");
        assert_eq!(words(258.4, 1170.2), "258 g to 1170 g");
        assert_eq!(words(0.0, 0.0), "0 g to 0 g");
        assert_eq!(words(3.4e-8, 6.1e-8), "34 ng to 61 ng");
        assert_eq!(words(2412.0, 5020.0), "2.41 kg to 5.02 kg");
        assert_eq!(words(0.001, 5000.0), "1.0 mg to 5.00 kg");
    }

    #[test]
    fn little_is_told_as_what_it_is_and_much_as_its_steps() {
        assert_eq!(told(4e-8, 0, MILLI), 4e-8);
        assert_eq!(told(12.345_678, 12_346, MILLI), 12.346);
    }

    #[test]
    fn the_words_of_a_column_add_up_in_one_unit() {
        let (each, total) = Scale::energy(2.414).column(&[2.35, 0.06, 0.0], 2.414);
        assert_eq!(
            (each.join(" + "), total.as_str()),
            ("2.35 kWh + 0.06 kWh + 0.00 kWh".to_owned(), "2.41 kWh")
        );
        assert_eq!(Scale::mass(-1234.0).words(-12), "−0.12 kg");
        let (each, total) = times(&[24_000.0, 21_720.0, 2_700.0], 48_420.0);
        assert_eq!(each, ["6 h 40 m", "6 h 02 m", "45 m"]);
        assert_eq!(total, "13 h 27 m");
    }
}
