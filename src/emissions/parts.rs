//! A quantity by what the time of a run was spent on.

use std::iter::Sum;
use std::ops::{AddAssign, Index, IndexMut};

use crate::ledger::entry::Part;

/// All parts, in the order in which they are shown.
pub const PARTS: [(Part, &str); 7] = [
    (Part::Held, "held"),
    (Part::Running, "running"),
    (Part::Saving, "saving"),
    (Part::Paused, "paused"),
    (Part::Restoring, "restoring"),
    (Part::Suspended, "suspended"),
    (Part::Overhead, "overhead"),
];

/// A quantity for each [`Part`]. There is no stored total that could disagree with them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts<Q>([Q; PARTS.len()]);

impl<Q: Copy + Sum + AddAssign> Parts<Q> {
    /// The sum of all parts.
    pub fn total(&self) -> Q {
        self.0.iter().copied().sum()
    }

    /// Each part through `convert`: into another unit, or rounded for display, so that the total
    /// is the sum of what is displayed.
    pub fn map<R>(self, convert: impl FnMut(Q) -> R) -> Parts<R> {
        Parts(self.0.map(convert))
    }

    /// Part by part.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl<Q> Index<Part> for Parts<Q> {
    type Output = Q;
    fn index(&self, part: Part) -> &Q {
        &self.0[part as usize]
    }
}

impl<Q> IndexMut<Part> for Parts<Q> {
    fn index_mut(&mut self, part: Part) -> &mut Q {
        &mut self.0[part as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_place_of_its_own() {
        for (place, (part, name)) in PARTS.into_iter().enumerate() {
            assert_eq!(part as usize, place, "{name}");
            let written = serde_json::to_value(part).unwrap();
            assert_eq!(written, name);
        }
    }
}
