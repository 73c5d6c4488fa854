//! Learning how far to trust each part of the blend, from what came after it was made.
//!
//! Every third hour (UTC) of the archive, as things were known then, is an origin: the parts of the
//! blend at each of the 96 hours after it, and what was expected. Once such an hour was observed,
//! what it was off by is put down to the parts: to class, error, level and shape where an issue
//! covered it, and by another regression, over all hours, to anchor, its change and class.
//!
//! ```text
//! y = observed − expected by the fitted weights       f = the parts       ω = hat(lead) · .99^midnights since
//! at each knot   A = Σ ω·f·fᵀ     a = Σ ω·f·y     N = Σ ω / width of the hat
//!                (A + 100/N · diag(A) + 1e-9)·δ = a
//! weight at a lead = fitted weight + δ, linear between the knots 1, 6, 24, 48 and 96 hours
//! ```
//!
//! Past the end of an issue the fitted weights hold; what is learned of anchor, its change and class
//! is used where no issue reaches beyond the newest observation.
//!
//! The ridge is the cold start: N counts origins, and with few of them δ stays next to nothing.
//! On half a year of back-tested forecasts for six zones this added about half a point of what
//! perfect foresight would save.
//!
//! [`Lessons`] keep what they worked out: sums by the day of the outcome for good, and the origins,
//! hours and solutions of late within bounds. All of it is a function of what is known alone, and is
//! summed up in one order, so that neither the order of the calls nor the number of threads changes
//! a digit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Knowledge;
use super::blend::{Blend, Issued, Weights, issued_by, observed, weighted};
use super::hourly::{Hourly, begin, hour_of};

/// Hours between origins.
const EVERY: i64 = 3;
/// Leads in hours at which corrections are learned; between them they are linear.
const KNOTS: [i64; 5] = [1, 6, 24, 48, 96];
/// The sum of a knot's weights over all leads of one origin, half a step at the outer knots.
const WIDTHS: [f64; 5] = [2.5, 11.5, 21.0, 36.0, 24.0];
/// The longest lead that is learned from.
const LEADS: usize = 96;
/// What an outcome counts for, for each midnight (UTC) since.
const FADING: f64 = 0.99;
/// Outcomes of more days ago teach nothing: by then they would count for a sixth.
const MEMORY_DAYS: i64 = 180;
/// So many origins halve the shrinkage of a part that stands alone.
const SHRINKAGE: f64 = 100.0;
/// Keeps a part that is always 0 from making the equations unsolvable.
const RIDGE: f64 = 1e-9;
/// A part whose weight is off by more than this was never seen; the fitted ones are at most 1.
const GREATEST: f64 = 100.0;
/// What is kept at most, beside one sum a day: about 2 MB of origins, 0.2 of hours, 5 of solutions.
const ORIGINS_KEPT: usize = 512;
const HOURS_KEPT: usize = 128;
const SOLUTIONS_KEPT: usize = 16_384;

/// What the archive of a [`Knowledge`] teaches: worked out when it is asked for, or as it was kept.
///
/// What is worked out belongs to the knowledge that it was first asked of: whoever changes
/// observations, issues or the profile afterwards has to begin anew with [`Lessons::since`]. A clone
/// begins anew by itself.
#[derive(Debug)]
pub struct Lessons(Way);

#[derive(Debug)]
enum Way {
    Since {
        since: Timestamp,
        /// No part of equality: it follows from the rest of the knowledge.
        kept: Mutex<Kept>,
    },
    Fixed(Corrections),
}

impl Lessons {
    /// Lessons from the hours that begin at `since` or later.
    ///
    /// The first weeks of an archive teach little, since profile and bias are still cold in them.
    pub fn since(since: Timestamp) -> Self {
        Self(Way::Since {
            since,
            kept: Mutex::default(),
        })
    }

    /// The same corrections at any time.
    pub(super) fn fixed(corrections: Corrections) -> Self {
        Self(Way::Fixed(corrections))
    }

    /// What was learned by `now`, when `x` was the newest observed hour.
    pub(super) fn corrections(&self, now: Timestamp, x: i64, known: &Knowledge) -> Corrections {
        let (since, kept) = match &self.0 {
            Way::Since { since, kept } => (since, kept),
            Way::Fixed(corrections) => return *corrections,
        };
        let last = x.min(settled(now, known));
        let today = hour_of(now).div_euclid(24);
        // Whatever a panic may have interrupted: what stands in the caches is whole.
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(solved) = kept.solutions.get(&(last, today)) {
            return *solved;
        }
        let archive = Archive {
            known,
            first: since.as_second().div_euclid(3600)
                + i64::from(since.as_second().rem_euclid(3600) > 0),
        };
        let solved = kept.sums(&archive, last, today).solve();
        keep(&mut kept.solutions, SOLUTIONS_KEPT, (last, today), solved);
        solved
    }
}

impl Clone for Lessons {
    fn clone(&self) -> Self {
        match &self.0 {
            Way::Since { since, .. } => Self::since(*since),
            Way::Fixed(corrections) => Self::fixed(*corrections),
        }
    }
}

impl PartialEq for Lessons {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Way::Since { since: one, .. }, Way::Since { since: other, .. }) => one == other,
            (Way::Fixed(one), Way::Fixed(other)) => one == other,
            _ => false,
        }
    }
}

/// The newest hour of which nothing is still to come at `now`.
fn settled(now: Timestamp, known: &Knowledge) -> i64 {
    let this = hour_of(now);
    let points = known.observations.points();
    let begun = points.partition_point(|point| point.span.start <= now);
    let reached = points[..begun].last().map(|point| point.span.end);
    let is_over = reached
        .zip(begin(this + 1))
        .is_some_and(|(to, end)| to >= end);
    if is_over { this } else { this - 1 }
}

/// What is added to the fitted weights, at each knot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Corrections([Weights; KNOTS.len()]);

impl Corrections {
    /// Whether all of it is within what any archive teaches.
    pub(super) fn is_sensible(&self) -> bool {
        let mut all = (self.0.iter()).flat_map(|at| at.covered.iter().chain(&at.uncovered));
        all.all(|weight| weight.abs() <= GREATEST)
    }

    /// At a lead; outside of the knots the first and the last go on.
    pub(super) fn at(&self, lead: i64) -> Weights {
        let [(a, share), (b, other)] = hats(lead);
        let (a, b) = (&self.0[a], &self.0[b]);
        Weights {
            covered: std::array::from_fn(|part| share * a.covered[part] + other * b.covered[part]),
            uncovered: std::array::from_fn(|part| {
                share * a.uncovered[part] + other * b.uncovered[part]
            }),
        }
    }
}

/// The two knots around a lead and the share of each.
fn hats(lead: i64) -> [(usize, f64); 2] {
    let lead = lead.clamp(KNOTS[0], KNOTS[KNOTS.len() - 1]);
    let next = KNOTS.partition_point(|knot| *knot < lead).max(1);
    let (from, to) = (KNOTS[next - 1], KNOTS[next]);
    let share = (lead - from) as f64 / (to - from) as f64;
    [(next - 1, 1.0 - share), (next, share)]
}

/// What is learned from, and the hour of the first origin.
struct Archive<'a> {
    known: &'a Knowledge,
    first: i64,
}

/// One regression at one knot.
#[derive(Clone, Copy, Debug)]
struct Normal<const N: usize> {
    squares: [[f64; N]; N],
    products: [f64; N],
    weight: f64,
}

impl<const N: usize> Default for Normal<N> {
    fn default() -> Self {
        Self {
            squares: [[0.0; N]; N],
            products: [0.0; N],
            weight: 0.0,
        }
    }
}

impl<const N: usize> Normal<N> {
    fn learn(&mut self, weight: f64, parts: &[f64; N], off: f64) {
        for (i, part) in parts.iter().enumerate() {
            let part = weight * part;
            for (square, other) in self.squares[i].iter_mut().zip(parts) {
                *square += part * other;
            }
            self.products[i] += part * off;
        }
        self.weight += weight;
    }

    fn add(&mut self, other: &Self, faded: f64) {
        for i in 0..N {
            for j in 0..N {
                self.squares[i][j] += faded * other.squares[i][j];
            }
            self.products[i] += faded * other.products[i];
        }
        self.weight += faded * other.weight;
    }

    /// The shrunk solution, by Gaussian elimination; without pivots, since the matrix is positive
    /// definite. Nothing where nothing was learned.
    fn solve(&self, width: f64) -> [f64; N] {
        if self.weight <= 0.0 {
            return [0.0; N];
        }
        let (mut a, mut solution) = (self.squares, self.products);
        for (i, row) in a.iter_mut().enumerate() {
            row[i] += SHRINKAGE / (self.weight / width) * row[i] + RIDGE;
        }
        for i in 0..N {
            let (above, value) = (a[i], solution[i]);
            for below in i + 1..N {
                let factor = a[below][i] / above[i];
                for (entry, above) in a[below].iter_mut().zip(&above) {
                    *entry -= factor * above;
                }
                solution[below] -= factor * value;
            }
        }
        for i in (0..N).rev() {
            let later: f64 = (i + 1..N).map(|j| a[i][j] * solution[j]).sum();
            solution[i] = (solution[i] - later) / a[i][i];
        }
        if solution.iter().all(|value| value.is_finite()) {
            solution
        } else {
            [0.0; N]
        }
    }
}

/// The regressions at all knots, over the outcomes of a while.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    covered: [Normal<4>; KNOTS.len()],
    uncovered: [Normal<3>; KNOTS.len()],
}

impl Sums {
    fn add(&mut self, other: &Self, faded: f64) {
        for (sum, other) in self.covered.iter_mut().zip(&other.covered) {
            sum.add(other, faded);
        }
        for (sum, other) in self.uncovered.iter_mut().zip(&other.uncovered) {
            sum.add(other, faded);
        }
    }

    /// Adds what an origin expected of an hour that came.
    fn learn(&mut self, origin: &Origin, lead: i64, came: f64) {
        let Some(lesson) = origin.leads.get(lead as usize - 1) else {
            return;
        };
        let covered = [lesson.class, origin.error, lesson.level, lesson.shape];
        let uncovered = [origin.anchor, origin.anchor_change, lesson.class];
        for (knot, weight) in hats(lead).into_iter().filter(|(_, weight)| *weight > 0.0) {
            if !lesson.covered.is_nan() {
                self.covered[knot].learn(weight, &covered, came - lesson.covered);
            }
            self.uncovered[knot].learn(weight, &uncovered, came - lesson.uncovered);
        }
    }

    fn solve(&self) -> Corrections {
        Corrections(std::array::from_fn(|knot| Weights {
            covered: self.covered[knot].solve(WIDTHS[knot]),
            uncovered: self.uncovered[knot].solve(WIDTHS[knot]),
        }))
    }
}

/// What was expected at an hour, and of which parts.
#[derive(Debug)]
struct Origin {
    error: f64,
    anchor: f64,
    anchor_change: f64,
    /// From lead 1 on.
    leads: Box<[Lead]>,
}

/// The parts that differ by the hour, and the intensities expected by both formulae.
#[derive(Debug)]
struct Lead {
    class: f64,
    level: f64,
    shape: f64,
    /// Not a number where no issue covers the hour.
    covered: f64,
    uncovered: f64,
}

impl Origin {
    /// As things were known when `hour` began, and was observed. `None` where it was not, or where
    /// too little was known for a blend.
    fn new(archive: &Archive<'_>, hour: i64) -> Option<Self> {
        let known = archive.known;
        let observed = observed(known, hour, hour + 1);
        observed.at(hour)?;
        let past = issued_by(known, begin(hour)?);
        let issued = Issued::newest(past, hour);
        Blend::begins(&observed, issued.as_ref(), known)?;
        let blend = Blend::new(hour, observed, past, issued, known);
        let lead = |lead: i64| {
            let at = hour + lead;
            let weights = Weights::fitted(lead);
            let uncovered = blend.uncovered(at);
            let [_, _, class] = uncovered;
            let covered = blend.covered(at);
            let [_, _, level, shape] = covered.unwrap_or_default();
            Lead {
                class,
                level,
                shape,
                covered: covered.map_or(f64::NAN, |parts| {
                    blend.usual(at) + weighted(&parts, &weights.covered)
                }),
                uncovered: blend.usual(at) + weighted(&uncovered, &weights.uncovered),
            }
        };
        Some(Self {
            error: blend.error,
            anchor: blend.anchor,
            anchor_change: blend.anchor_change,
            leads: (1..=LEADS as i64).map(lead).collect(),
        })
    }
}

/// What was worked out, each a function of what is known alone.
#[derive(Debug, Default)]
struct Kept {
    /// By hour; `None` where an hour is no origin.
    origins: BTreeMap<i64, Option<Origin>>,
    /// Over the outcomes from midnight to an hour.
    hours: BTreeMap<i64, Sums>,
    /// Over the outcomes of whole days: about 0.5 MB a year.
    days: BTreeMap<i64, Sums>,
    /// By the newest hour learned from and the day of asking.
    solutions: BTreeMap<(i64, i64), Corrections>,
}

impl Kept {
    /// Over all outcomes up to the hour `last`, as they count on the day `today`.
    fn sums(&mut self, archive: &Archive<'_>, last: i64, today: i64) -> Sums {
        let begun = last.div_euclid(24);
        let oldest = (today - MEMORY_DAYS).max(archive.first.div_euclid(24));
        let mut sums = Sums::default();
        for day in oldest..=begun {
            let faded = FADING.powi((today - day) as i32);
            let end = day * 24 + 23;
            if end > last {
                sums.add(&self.until(archive, last), faded);
            } else if let Some(of_day) = self.days.get(&day) {
                sums.add(of_day, faded);
            } else {
                let of_day = self.until(archive, end);
                self.days.insert(day, of_day);
                sums.add(&of_day, faded);
            }
        }
        sums
    }

    /// Over the outcomes of a day up to and with an hour.
    fn until(&mut self, archive: &Archive<'_>, hour: i64) -> Sums {
        if let Some(kept) = self.hours.get(&hour) {
            return *kept;
        }
        let midnight = hour.div_euclid(24) * 24;
        let before = (self.hours.range(midnight..hour).next_back()).map(|(at, sums)| (*at, *sums));
        let (from, mut sums) =
            before.map_or((midnight, Sums::default()), |(at, sums)| (at + 1, sums));
        let came = Hourly::of(&archive.known.observations, from, hour + 1);
        for (at, came) in came.known() {
            self.learn(archive, at, came, &mut sums);
        }
        keep(&mut self.hours, HOURS_KEPT, hour, sums);
        sums
    }

    /// Adds what each origin expected of an hour that came.
    fn learn(&mut self, archive: &Archive<'_>, hour: i64, came: f64, sums: &mut Sums) {
        let first = (hour - LEADS as i64).max(archive.first);
        let first = first + (-first).rem_euclid(EVERY);
        for at in (first..hour).step_by(EVERY as usize) {
            if !self.origins.contains_key(&at) {
                keep(
                    &mut self.origins,
                    ORIGINS_KEPT,
                    at,
                    Origin::new(archive, at),
                );
            }
            if let Some(Some(origin)) = self.origins.get(&at) {
                sums.learn(origin, hour - at, came);
            }
        }
    }
}

/// Keeps a value, and forgets the others where they have become too many.
fn keep<K: Ord, V>(kept: &mut BTreeMap<K, V>, most: usize, key: K, value: V) {
    if kept.len() >= most {
        kept.clear();
    }
    kept.insert(key, value);
}

#[cfg(test)]
mod tests;
