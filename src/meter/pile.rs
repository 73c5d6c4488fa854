//! Energy over time, in several heaps, cut where stretches end.
//!
//! A meter adds what it found between two samples; a cut takes all up to its time, of the interval
//! that it falls into the part by time. What is taken is gone and what is left stays, so nothing is
//! counted twice and nothing is lost, however late a sample or a cut comes.

use std::collections::VecDeque;
use std::time::Duration;

/// Joules between two samples, by heap.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece<const N: usize> {
    from: Duration,
    to: Duration,
    joules: [f64; N],
}

/// Joules that no stretch has taken yet, in `N` heaps.
#[derive(Clone, Debug)]
pub struct Pile<const N: usize> {
    pieces: VecDeque<Piece<N>>,
}

impl<const N: usize> Default for Pile<N> {
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
        }
    }
}

impl<const N: usize> Pile<N> {
    /// Adds what was found between two times; in the order of time.
    pub fn add(&mut self, from: Duration, to: Duration, joules: [f64; N]) {
        if joules.iter().any(|heap| *heap > 0.0) {
            self.pieces.push_back(Piece { from, to, joules });
        }
    }

    /// Takes all that is from before `to`.
    pub fn cut(&mut self, to: Duration) -> [f64; N] {
        let mut taken = [0.0; N];
        while let Some(piece) = self.pieces.front_mut() {
            if piece.from >= to && piece.to > to {
                break;
            }
            let length = piece.to.saturating_sub(piece.from).as_secs_f64();
            let before = to.saturating_sub(piece.from).as_secs_f64();
            let share = if piece.to <= to { 1.0 } else { before / length };
            for (taken, heap) in taken.iter_mut().zip(&mut piece.joules) {
                let part = *heap * share;
                *taken += part;
                *heap -= part;
            }
            if piece.to > to {
                piece.from = to;
                break;
            }
            self.pieces.pop_front();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_cut_within_an_interval_takes_its_part_by_time() {
        let mut pile = Pile::default();
        pile.add(ms(0), ms(1000), [100.0, 0.0]);
        pile.add(ms(1000), ms(2000), [200.0, 8.0]);
        assert_eq!(pile.cut(ms(1250)), [150.0, 2.0]);
        assert_eq!(pile.cut(ms(2000)), [150.0, 6.0]);
        assert_eq!(pile.cut(ms(3000)), [0.0, 0.0]);
    }

    #[test]
    fn what_came_late_goes_to_the_next_stretch() {
        let mut pile = Pile::default();
        assert_eq!(pile.cut(ms(1000)), [0.0]);
        pile.add(ms(0), ms(1500), [30.0]);
        assert_eq!(pile.cut(ms(2000)), [30.0]);
    }

    proptest! {
        #[test]
        fn cuts_take_everything_and_nothing_twice(
            lengths in prop::collection::vec((1u64..2000, 0.0..1e4), 1..40),
            cuts in prop::collection::vec(0u64..60_000, 0..40),
        ) {
            let mut pile = Pile::default();
            let (mut at, mut all) = (0, 0.0);
            for (length, joules) in lengths {
                pile.add(ms(at), ms(at + length), [joules]);
                at += length;
                all += joules;
            }
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut taken: f64 = cuts.iter().map(|cut| pile.cut(ms(*cut))[0]).sum();
            taken += pile.cut(ms(at))[0];
            prop_assert!((taken - all).abs() <= 1e-9 * all.max(1.0));
        }
    }
}
