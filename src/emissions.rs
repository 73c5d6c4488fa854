//! What a run emitted, what running at once would have emitted, and how far to trust both.
//!
//! Energy of a [`Segment`] is spread evenly over its time, cut where the intensity changes, and
//! multiplied by the intensity of each piece. Energy at a time with no known intensity is *not*
//! counted as zero grams: it is kept apart as uncovered. The baseline is the same run with the
//! stops that the carbon plan caused taken out, priced the same way.
//!
//! Pure: segments and intensities come from the ledger, the result goes to the report.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::{Basis, Kind, Point, Series, Span};
use crate::ledger::entry::{Cause, EnergyKind, IntensityKind, IntensityPoint, Part, Segment};
use crate::units::{GramsCo2e, GramsPerKwh, Joules, KilowattHours, Pue};

mod baseline;
mod parts;

pub use baseline::{RunNow, run_now};
pub use parts::{PARTS, Parts};

/// How far a kind of number may be off, as fractions below and above it, and why we say so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// The true value may be smaller by this fraction.
    pub below: f64,
    /// The true value may be larger by this fraction.
    pub above: f64,
    /// Where the figure is from.
    pub source: &'static str,
}

const fn margin(below: f64, above: f64, source: &'static str) -> Margin {
    Margin {
        below,
        above,
        source,
    }
}

/// Margins of energy. The counter's is NVIDIA's figure for its power reading
/// (<https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html>, `nvmlDeviceGetPowerUsage`).
pub fn energy_margin(kind: EnergyKind) -> Margin {
    match kind {
        EnergyKind::Measured => margin(0.05, 0.05, "NVML manual: power within 5 % of the draw"),
        EnergyKind::Estimated => margin(0.5, 1.0, "our own caution: a factor of two either way"),
        EnergyKind::Assumed => margin(0.5, 1.0, "our own caution: a factor of two either way"),
    }
}

/// Margins of intensity. That of forecasts is above the tail error of current ones: 9.6 % mean and
/// 16.5 % tail error over 13 grids (CarbonX, 2025, abstract).
pub fn intensity_margin(kind: IntensityKind) -> Margin {
    match kind {
        IntensityKind::Observed => margin(0.05, 0.05, "our own caution"),
        IntensityKind::Preliminary => margin(0.1, 0.1, "our own caution: twice the final figure's"),
        IntensityKind::Forecast => {
            margin(0.2, 0.2, "CarbonX 2025: tail error 16.5 % over 13 grids")
        }
        IntensityKind::Profile => margin(0.2, 0.2, "our own caution: spread of days in a month"),
        IntensityKind::Average => margin(0.4, 0.6, "our own caution: spread of hours in a year"),
    }
}

/// All kinds of intensity, best first.
pub const INTENSITY_KINDS: [IntensityKind; 5] = [
    IntensityKind::Observed,
    IntensityKind::Preliminary,
    IntensityKind::Forecast,
    IntensityKind::Profile,
    IntensityKind::Average,
];

/// Intensities of one basis over time, each instant with the best that is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intensities {
    /// By start; disjoint.
    pieces: BTreeMap<Timestamp, Piece>,
}

/// One interval of constant intensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// When.
    pub span: Span,
    /// How much.
    pub intensity: GramsPerKwh,
    /// How it is known.
    pub kind: IntensityKind,
}

impl Intensities {
    /// From points in the order in which they became known.
    pub fn from_points<'a>(points: impl IntoIterator<Item = &'a IntensityPoint>) -> Self {
        let mut all = Self::default();
        points.into_iter().for_each(|point| all.learn(point));
        all
    }

    /// Takes a point: it overrules what was known of its time, unless that was of a better kind.
    /// Left out: empty intervals, numbers that are none, and intensities rescaled from another
    /// basis, which may steer but never enter a sum of grams.
    pub fn learn(&mut self, point: &IntensityPoint) {
        let rescaled = point.forecast == Some(Kind::Rescaled);
        if point.end <= point.start || !point.g_per_kwh.0.is_finite() || rescaled {
            return;
        }
        let span = Span {
            start: point.start,
            end: point.end,
        };
        let touched: Vec<Piece> = self.within(span).collect();
        let new = |start, end| Piece {
            span: Span { start, end },
            intensity: GramsPerKwh(point.g_per_kwh.0.max(0.0)),
            kind: point.kind,
        };
        let mut from = span.start;
        for old in touched {
            if old.kind < point.kind {
                // The old one is better and stays; the new one fills the room before it.
                if from < old.span.start {
                    self.put(new(from, old.span.start));
                }
                from = old.span.end.min(span.end);
                continue;
            }
            self.pieces.remove(&old.span.start);
            let keep = |start, end| Piece {
                span: Span { start, end },
                ..old
            };
            if old.span.start < span.start {
                self.put(keep(old.span.start, span.start));
            }
            if span.end < old.span.end {
                self.put(keep(span.end, old.span.end));
            }
        }
        if from < span.end {
            self.put(new(from, span.end));
        }
    }

    fn put(&mut self, piece: Piece) {
        self.pieces.insert(piece.span.start, piece);
    }
}

/// Intensities over time that energy can be priced with.
pub trait Prices {
    /// The pieces that share time with `span`, whole or the part of them inside, in order.
    fn within(&self, span: Span) -> impl Iterator<Item = Piece>;

    /// The piece that `at` lies in.
    fn at(&self, at: Timestamp) -> Option<Piece>;
}

impl Prices for Intensities {
    fn within(&self, span: Span) -> impl Iterator<Item = Piece> {
        let before = self.pieces.range(..span.start).next_back();
        before
            .into_iter()
            .chain(self.pieces.range(span.start..span.end))
            .map(|(_, piece)| *piece)
            .filter(move |piece| piece.span.overlap(span).is_some())
    }

    fn at(&self, at: Timestamp) -> Option<Piece> {
        let (_, piece) = self.pieces.range(..=at).next_back()?;
        piece.span.contains(at).then_some(*piece)
    }
}

/// What was observed prices what was used.
impl Prices for Series {
    fn within(&self, span: Span) -> impl Iterator<Item = Piece> {
        self.within(span).map(observed)
    }

    fn at(&self, at: Timestamp) -> Option<Piece> {
        self.point_at(at).map(observed)
    }
}

fn observed(point: Point) -> Piece {
    Piece {
        span: point.span,
        intensity: point.intensity,
        kind: IntensityKind::Observed,
    }
}

/// Energy times intensity over a list of segments, by intensities of one basis.
///
/// Accounts are never added: nothing that is of another basis can get into a sum by an oversight.
///
/// ```compile_fail,E0369
/// fn both(average: catrain::emissions::Account, marginal: catrain::emissions::Account) {
///     let sum = average + marginal;
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// What the intensities mean.
    pub basis: Basis,
    /// Emissions by what the time was spent on.
    pub g: Parts<GramsCo2e>,
    /// What they are at least, by [`energy_margin`] and [`intensity_margin`].
    pub low: GramsCo2e,
    /// What they are at most.
    pub high: GramsCo2e,
    /// Energy of the facility whose intensity is known, by the kind of that intensity.
    pub covered: [KilowattHours; INTENSITY_KINDS.len()],
    /// Energy of the facility at times with no known intensity: not in any sum of grams.
    pub uncovered: KilowattHours,
}

/// Two amounts of emissions mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("emissions of different bases ({0}; {1}) are neither added nor compared")]
pub struct OtherBasis(pub Basis, pub Basis);

impl Account {
    /// How much less than by `other` was emitted.
    ///
    /// # Errors
    /// The other is of another basis.
    pub fn less_than(&self, other: &Self) -> Result<GramsCo2e, OtherBasis> {
        match self.basis == other.basis {
            true => Ok(other.g.total() - self.g.total()),
            false => Err(OtherBasis(self.basis, other.basis)),
        }
    }

    /// Energy of the facility, covered or not.
    pub fn energy(&self) -> KilowattHours {
        self.covered.iter().copied().sum::<KilowattHours>() + self.uncovered
    }

    /// Mean intensity by energy, where any energy was covered.
    pub fn mean(&self) -> Option<GramsPerKwh> {
        let covered: KilowattHours = self.covered.iter().copied().sum();
        (covered.0 > 0.0).then(|| GramsPerKwh(self.g.total().0 / covered.0))
    }

    /// Which fraction of the energy was priced with intensities of this kind, 0 to 1.
    pub fn share(&self, kind: IntensityKind) -> f64 {
        let all = self.energy();
        if all.0 > 0.0 {
            self.covered[kind as usize] / all
        } else {
            0.0
        }
    }

    /// Whether every bit of energy had an intensity, but for rounding.
    pub fn is_complete(&self) -> bool {
        self.uncovered.0 <= 1e-9 * self.energy().0
    }

    /// The worst kind of intensity that at least one hundredth of the energy was priced with.
    pub fn worst_kind(&self) -> Option<IntensityKind> {
        let seen = |kind: &&IntensityKind| self.share(**kind) >= 0.01;
        INTENSITY_KINDS.iter().rev().find(seen).copied()
    }
}

/// The time over which a segment's energy is spread. A wall clock that was set back within the
/// segment would leave no room; its measured length then counts from its start.
pub fn priced_span(segment: &Segment) -> Span {
    if segment.start < segment.end {
        return Span {
            start: segment.start,
            end: segment.end,
        };
    }
    Span::new(segment.start, seconds(length(segment)))
}

/// Seconds from the start to the end of a segment, never negative.
pub fn length(segment: &Segment) -> f64 {
    (segment.to_s - segment.from_s).max(0.0)
}

fn seconds(length: f64) -> Duration {
    Duration::try_from_secs_f64(length).unwrap_or(Duration::MAX)
}

/// Prices `segments` with `intensities` of a basis; the facility uses `pue` times their energy.
pub fn account(segments: &[Segment], intensities: &impl Prices, basis: Basis, pue: Pue) -> Account {
    let mut sum = Account {
        basis,
        g: Parts::default(),
        low: GramsCo2e::ZERO,
        high: GramsCo2e::ZERO,
        covered: Default::default(),
        uncovered: KilowattHours::ZERO,
    };
    for segment in segments {
        let energy = Spread::of(segment, pue);
        let span = priced_span(segment);
        let whole = span.length().as_secs_f64();
        if whole == 0.0 {
            match intensities.at(span.start) {
                Some(piece) => sum.add(segment.part, energy, piece),
                None => sum.uncovered += energy.best,
            }
            continue;
        }
        let mut covered_s = 0.0;
        for piece in intensities.within(span) {
            let inside = piece
                .span
                .overlap(span)
                .map_or(Duration::ZERO, Span::length);
            covered_s += inside.as_secs_f64();
            sum.add(
                segment.part,
                energy.fraction(inside.as_secs_f64() / whole),
                piece,
            );
        }
        if covered_s < whole {
            sum.uncovered += energy.best * ((whole - covered_s) / whole);
        }
    }
    sum
}

impl Account {
    fn add(&mut self, part: Part, energy: Spread, piece: Piece) {
        let margin = intensity_margin(piece.kind);
        self.g[part] += energy.best * piece.intensity;
        // Both at their lowest, both at their highest: the widest that the margins allow.
        self.low += energy.low * (piece.intensity * (1.0 - margin.below));
        self.high += energy.high * (piece.intensity * (1.0 + margin.above));
        self.covered[piece.kind as usize] += energy.best;
    }
}

/// Energy of the facility with its margins; readings of one kind are wrong together.
#[derive(Clone, Copy, Debug)]
struct Spread {
    best: KilowattHours,
    low: KilowattHours,
    high: KilowattHours,
}

impl Spread {
    fn of(segment: &Segment, pue: Pue) -> Self {
        let sum = |factor: fn(Margin) -> f64| {
            let readings = segment.energy.iter();
            let joules: Joules = readings
                .map(|reading| counted(reading.joules) * factor(energy_margin(reading.kind)))
                .sum();
            KilowattHours::from(joules * pue.ratio())
        };
        Self {
            best: sum(|_| 1.0),
            low: sum(|margin| 1.0 - margin.below),
            high: sum(|margin| 1.0 + margin.above),
        }
    }

    fn fraction(self, fraction: f64) -> Self {
        Self {
            best: self.best * fraction,
            low: self.low * fraction,
            high: self.high * fraction,
        }
    }
}

/// Energy that can be true: a counter that ran backwards counts as nothing.
pub fn counted(joules: Joules) -> Joules {
    if joules.0.is_finite() && joules.0 > 0.0 {
        joules
    } else {
        Joules::ZERO
    }
}

/// Time between or across segments that do not follow each other: seconds of the run that no
/// segment tells of, and seconds that two tell of. Both are 0 when segments tile.
pub fn untiled(segments: &[Segment]) -> (f64, f64) {
    let (mut missing, mut doubled) = (0.0, 0.0);
    let mut reached = 0.0;
    for segment in segments {
        let step = segment.from_s - reached;
        // Below a millisecond it is the rounding of clocks.
        if step > 1e-3 {
            missing += step;
        } else if step < -1e-3 {
            doubled -= step;
        }
        reached = segment.to_s.max(reached);
    }
    (missing, doubled)
}

fn earlier(at: Timestamp, by: f64) -> Timestamp {
    at.saturating_sub(SignedDuration::try_from(seconds(by)).unwrap_or(SignedDuration::MAX))
        .expect("a signed duration is never an invalid span")
}

fn is_carbon_alone(segment: &Segment) -> bool {
    !segment.causes.is_empty() && segment.causes.iter().all(|cause| *cause == Cause::Carbon)
}

#[cfg(test)]
mod tests;
