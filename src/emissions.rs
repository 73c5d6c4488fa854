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
use crate::ledger::entry::{
    CATRAIN, Cause, EnergyKind, IntensityKind, IntensityPoint, Method, Part, Reading, Segment,
};
use crate::units::{GramsCo2e, GramsPerKwh, Joules, KilowattHours, Pue};

mod baseline;
mod parts;

pub use baseline::{RunNow, is_left_out, run_now};
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

/// What an amount of energy may be wrong by, by how it is known. What nobody measured or modelled on
/// the device itself (a share of a device by its slices, records of format 1) counts by its kind.
pub fn energy_margin(reading: &Reading) -> Margin {
    use Method::{CpuModel, Given, GpuCounter, GpuPower, MemoryModel, Rapl, RaplDram};
    match (reading.kind, reading.method) {
        (EnergyKind::Measured, Some(GpuCounter)) => GPU_COUNTER,
        (EnergyKind::Measured, Some(GpuPower)) => GPU_POWER,
        (EnergyKind::Measured, Some(Rapl)) => RAPL,
        (EnergyKind::Measured, Some(RaplDram)) => RAPL_DRAM,
        (EnergyKind::Measured, None | Some(CpuModel | MemoryModel | Given)) => MEASURED,
        (_, Some(CpuModel)) => CPU_MODEL,
        (_, Some(MemoryModel)) => MEMORY_MODEL,
        (EnergyKind::Estimated, _) => SHARE,
        (EnergyKind::Assumed, _) => GIVEN,
    }
}

/// What an intensity may be wrong by, by its kind, where nothing better is known of it
/// ([`IntensityPoint::low_g_per_kwh`]).
pub fn intensity_margin(kind: IntensityKind) -> Margin {
    match kind {
        IntensityKind::Observed => OBSERVED,
        IntensityKind::Preliminary => PRELIMINARY,
        IntensityKind::Forecast => FORECAST,
        IntensityKind::Profile => PROFILE,
        IntensityKind::Average => AVERAGE,
    }
}

/// The margins, a row each: name, below, above, source. Bounds, not standard deviations.
macro_rules! margins {
    ($($constant:ident $name:literal $below:literal $above:literal $source:literal)*) => {
        $(const $constant: Margin = margin($below, $above, $source);)*
        /// All margins by name, in the order of the table.
        pub const MARGINS: &[(&str, Margin)] = &[$(($name, $constant)),*];
    };
}

margins! {
    GPU_COUNTER "GPU, energy counter" 0.05 0.05
        "NVML manual, nvmlDeviceGetPowerUsage: within 5 % of the draw; the counter sums the same sensor"
    GPU_POWER "GPU, power integrated" 0.10 0.10
        "the sensor's 5 % and as much again for what lies between readings: Yang et al., Part-time Power Measurements (SC 2024), found that sensors sample as little as a quarter of the time"
    RAPL "processor, RAPL" 0.05 0.05
        "Khan et al., RAPL in Action (ACM TOMPECS 2018): within 5 % of external meters from Haswell on"
    RAPL_DRAM "memory, RAPL" 0.20 0.20
        "Desrochers et al., A Validation of DRAM RAPL Power Measurements (MEMSYS 2016): up to 20 %"
    MEASURED "measured, meter not recorded" 0.05 0.05
        "records of format 1: as the GPU's counter"
    CPU_MODEL "processor, by its time" 0.50 1.00
        "our own caution: the power of a busy core of one model varies by a factor of two with load and clock"
    MEMORY_MODEL "memory, by its size" 0.50 1.00
        "our own caution: 0.2 to 0.7 W a gigabyte by generation and load"
    SHARE "a share of a device, by its size" 0.50 1.00
        "our own caution: a slice may be idle or busy"
    GIVEN "a figure that was given" 0.50 1.00
        "our own caution: a factor of two either way"
    OBSERVED "intensity, observed" 0.05 0.05
        "our own caution: sources revise what they measured by a few per cent"
    PRELIMINARY "intensity, preliminary" 0.10 0.10
        "our own caution: twice that of what is final"
    FORECAST "intensity, forecast" 0.20 0.20
        "where no archived error is known: CarbonX (2025), tail error 16.5 % over 13 grids"
    PROFILE "intensity, usual day" 0.40 0.60
        "where no 10th and 90th percentile is known: as a yearly average"
    AVERAGE "intensity, yearly average" 0.40 0.60
        "our own caution: spread of the hours of a year"
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
    /// What it is at least.
    pub low: GramsPerKwh,
    /// What it is at most.
    pub high: GramsPerKwh,
    /// How it is known.
    pub kind: IntensityKind,
}

impl Piece {
    /// With the bounds of its kind.
    fn of_kind(span: Span, intensity: GramsPerKwh, kind: IntensityKind) -> Self {
        let margin = intensity_margin(kind);
        Self {
            span,
            intensity,
            low: intensity * (1.0 - margin.below),
            high: intensity * (1.0 + margin.above),
            kind,
        }
    }
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
        let intensity = GramsPerKwh(point.g_per_kwh.0.max(0.0));
        let usual = Piece::of_kind(span, intensity, point.kind);
        let bound = |told: Option<GramsPerKwh>| told.filter(|told| told.0.is_finite());
        let low = bound(point.low_g_per_kwh).map(|low| GramsPerKwh(low.0.clamp(0.0, intensity.0)));
        let high = bound(point.high_g_per_kwh).map(|high| GramsPerKwh(high.0.max(intensity.0)));
        let new = |start, end| Piece {
            span: Span { start, end },
            low: low.unwrap_or(usual.low),
            high: high.unwrap_or(usual.high),
            ..usual
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

    /// Lets go of what ended before a time, of a long run that is priced as it goes.
    pub fn forget_before(&mut self, at: Timestamp) {
        self.pieces.retain(|_, piece| piece.span.end > at);
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
        // A span that ends before its start, by a clock that was set back, holds nothing.
        let inside = (span.start < span.end).then(|| self.pieces.range(span.start..span.end));
        before
            .into_iter()
            .chain(inside.into_iter().flatten())
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
    Piece::of_kind(point.span, point.intensity, IntensityKind::Observed)
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
        let by_part = spreads(segment, pue);
        let all: KilowattHours = by_part.iter().map(|(_, energy)| energy.best).sum();
        let span = priced_span(segment);
        let whole = span.length().as_secs_f64();
        if whole == 0.0 {
            match intensities.at(span.start) {
                Some(piece) => sum.add(&by_part, 1.0, piece),
                None => sum.uncovered += all,
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
            sum.add(&by_part, inside.as_secs_f64() / whole, piece);
        }
        if covered_s < whole {
            sum.uncovered += all * ((whole - covered_s) / whole);
        }
    }
    sum
}

/// What the energy of a reading in a segment was spent on: `catrain` itself is overhead whatever the
/// run does.
pub fn part_of(segment: &Segment, reading: &Reading) -> Part {
    match reading.component == CATRAIN {
        true => Part::Overhead,
        false => segment.part,
    }
}

fn spreads(segment: &Segment, pue: Pue) -> [(Part, Spread); 2] {
    let is_overhead = |reading: &&Reading| part_of(segment, reading) == Part::Overhead;
    let (overhead, rest): (Vec<&Reading>, Vec<&Reading>) =
        segment.energy.iter().partition(is_overhead);
    [
        (segment.part, Spread::of(&rest, pue)),
        (Part::Overhead, Spread::of(&overhead, pue)),
    ]
}

impl Account {
    /// Takes that fraction of energies at the intensity of a piece.
    fn add(&mut self, by_part: &[(Part, Spread)], fraction: f64, piece: Piece) {
        for (part, energy) in by_part {
            let Spread { best, low, high } = energy.fraction(fraction);
            self.g[*part] += best * piece.intensity;
            // Both at their lowest, both at their highest: the widest that the margins allow.
            self.low += low * piece.low;
            self.high += high * piece.high;
            self.covered[piece.kind as usize] += best;
        }
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
    fn of(readings: &[&Reading], pue: Pue) -> Self {
        let sum = |factor: fn(Margin) -> f64| {
            let readings = readings.iter();
            let joules: Joules = readings
                .map(|reading| counted(reading.joules) * factor(energy_margin(reading)))
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

/// So many seconds before.
pub fn earlier(at: Timestamp, by: f64) -> Timestamp {
    at.saturating_sub(SignedDuration::try_from(seconds(by)).unwrap_or(SignedDuration::MAX))
        .expect("a signed duration is never an invalid span")
}

/// Whether nobody but the carbon plan caused a stretch.
pub fn is_carbon_alone(segment: &Segment) -> bool {
    !segment.causes.is_empty() && segment.causes.iter().all(|cause| *cause == Cause::Carbon)
}

#[cfg(test)]
mod tests;
