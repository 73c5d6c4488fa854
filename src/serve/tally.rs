//! What the entries of a run add up to while it goes on. Pure.
//!
//! Emissions are priced as each stretch ends, by the intensities as they are known then, and do not
//! change later: a counter never falls. What becomes known afterwards is for `catrain report`. The
//! run that started at once is priced likewise, stretch by stretch: what the plan alone caused is
//! left out, and all else is that much earlier.

use std::collections::BTreeMap;

use crate::emissions::{
    Account, Intensities, Parts, account, counted, earlier, is_left_out, length,
};
use crate::forecast::Basis;
use crate::ledger::entry::{Action, EnergyKind, Exit, IntensityPoint, MeterFact, Segment, What};
use crate::plan::Act;
use crate::units::{GramsCo2e, Joules, KilowattHours, Pue};

/// Components that have a sum of their own; further ones share [`OTHER`].
const COMPONENTS: usize = 80;
/// Of the components that there are too many of.
pub const OTHER: &str = "other";
/// Bases that are accounted by: the plan's, what stands in for it, and a second account.
const BASES: usize = 6;
/// For so many seconds behind the stretch that is priced intensities are kept: a day.
const KEPT_S: f64 = 86_400.0;

/// Sums of a run so far.
#[derive(Clone, Debug)]
pub struct Tally {
    pue: Pue,
    /// Energy by component and by how it is known.
    pub energy: BTreeMap<(String, EnergyKind), Joules>,
    /// Energy of shared devices of which nobody can say whose it was.
    pub unattributed: Joules,
    /// Seconds by what they were spent on.
    pub seconds: Parts<f64>,
    /// Emissions by each basis that was heard of.
    pub emissions: Vec<Emissions>,
    /// The meters, as last told.
    pub meters: Vec<MeterFact>,
    /// Changes of mind to run, and to wait.
    pub decisions: [u64; 2],
    /// Acts that failed and were undone.
    pub refusals: u64,
    /// Saves that were proved, and that were not.
    pub saves: [u64; 2],
    /// Starts of the job that ended in failure.
    pub failures: u64,
    /// Warnings.
    pub warnings: u64,
    /// Seconds that the run which started at once is ahead.
    ahead_s: f64,
}

/// Emissions of one basis so far.
#[derive(Clone, Debug)]
pub struct Emissions {
    /// What the intensities mean.
    pub basis: Basis,
    /// By what the time was spent on.
    pub grams: Parts<GramsCo2e>,
    /// Energy at times of unknown intensity: in no gram.
    pub uncovered: KilowattHours,
    /// All energy, of known and of unknown intensity.
    energy: KilowattHours,
    /// Those of the same work started at once.
    run_now: GramsCo2e,
    run_now_uncovered: KilowattHours,
    intensities: Intensities,
}

impl Emissions {
    fn of(basis: Basis, uncovered: KilowattHours) -> Self {
        Self {
            basis,
            grams: Parts::default(),
            uncovered,
            energy: uncovered,
            run_now: GramsCo2e::ZERO,
            run_now_uncovered: uncovered,
            intensities: Intensities::default(),
        }
    }

    /// What the same work would have emitted so far, started at once and never stopped by the plan;
    /// none while any of it has no known intensity.
    pub fn run_now(&self) -> Option<GramsCo2e> {
        self.is_none(self.run_now_uncovered).then_some(self.run_now)
    }

    /// How much less than that was emitted.
    pub fn avoided(&self) -> Option<GramsCo2e> {
        let run_now = self.run_now().filter(|_| self.is_none(self.uncovered))?;
        Some(run_now - self.grams.total())
    }

    /// Whether so much is nothing but rounding.
    fn is_none(&self, energy: KilowattHours) -> bool {
        energy.0 <= 1e-9 * self.energy.0
    }

    fn price(&self, segment: &Segment, pue: Pue) -> Account {
        account(
            std::slice::from_ref(segment),
            &self.intensities,
            self.basis,
            pue,
        )
    }
}

impl Tally {
    /// Nothing yet, of a facility that uses `pue` times the energy of its equipment.
    pub fn new(pue: Pue) -> Self {
        Self {
            pue,
            energy: BTreeMap::new(),
            unattributed: Joules::ZERO,
            seconds: Parts::default(),
            emissions: Vec::new(),
            meters: Vec::new(),
            decisions: [0; 2],
            refusals: 0,
            saves: [0; 2],
            failures: 0,
            warnings: 0,
            ahead_s: 0.0,
        }
    }

    /// Whether an entry adds anything: the others need not be passed on.
    pub fn counts(what: &What) -> bool {
        matches!(
            what,
            What::Segment(_)
                | What::Intensity { .. }
                | What::Meters { .. }
                | What::Decision { .. }
                | What::Refused { .. }
                | What::Saved { .. }
                | What::Left { .. }
                | What::Warning { .. }
        )
    }

    /// Takes an entry.
    pub fn take(&mut self, what: What) {
        match what {
            What::Segment(segment) => self.segment(&segment),
            What::Intensity { basis, points, .. } => self.learn(basis, &points),
            What::Meters { meters } => self.meters = meters,
            What::Decision { act, .. } => self.decisions[usize::from(act == Act::Pause)] += 1,
            What::Refused { action, .. } => {
                self.refusals += u64::from(action != Action::Start);
            }
            What::Saved { proof, .. } => self.saves[usize::from(proof.is_none())] += 1,
            What::Left { exit, .. } => {
                self.failures += u64::from(exit != Some(Exit::Code(0)));
            }
            What::Warning { .. } => self.warnings += 1,
            _ => {}
        }
    }

    fn learn(&mut self, basis: Basis, points: &[IntensityPoint]) {
        let known = self.emissions.iter().position(|it| it.basis == basis);
        let place = match known {
            Some(place) => place,
            None if self.emissions.len() >= BASES => return,
            None => {
                let so_far: Joules = self.energy.values().copied().sum();
                let so_far = KilowattHours::from(so_far * self.pue.ratio());
                self.emissions.push(Emissions::of(basis, so_far));
                self.emissions.len() - 1
            }
        };
        for point in points {
            self.emissions[place].intensities.learn(point);
        }
    }

    fn segment(&mut self, segment: &Segment) {
        let is_full = self.energy.len() >= COMPONENTS;
        for reading in &segment.energy {
            let mut key = (reading.component.clone(), reading.kind);
            if is_full && !self.energy.contains_key(&key) {
                key.0 = OTHER.to_owned();
            }
            *self.energy.entry(key).or_default() += counted(reading.joules);
        }
        for reading in &segment.unattributed {
            self.unattributed += counted(reading.joules);
        }
        self.seconds[segment.part] += length(segment);
        // With what it was ahead before this stretch.
        let at_once = (!is_left_out(segment)).then(|| moved(segment, self.ahead_s));
        if at_once.is_none() {
            self.ahead_s += length(segment);
        }
        let oldest = earlier(segment.start, self.ahead_s + KEPT_S);
        for emissions in &mut self.emissions {
            let sum = emissions.price(segment, self.pue);
            emissions.grams.add(&sum.g);
            emissions.uncovered += sum.uncovered;
            emissions.energy += sum.energy();
            if let Some(at_once) = &at_once {
                let sum = emissions.price(at_once, self.pue);
                emissions.run_now += sum.g.total();
                emissions.run_now_uncovered += sum.uncovered;
            }
            emissions.intensities.forget_before(oldest);
        }
    }
}

fn moved(segment: &Segment, by: f64) -> Segment {
    Segment {
        start: earlier(segment.start, by),
        end: earlier(segment.end, by),
        ..segment.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emissions::{account, run_now};
    use crate::ledger;

    /// A run as it was recorded, given entry by entry, as if all intensities had been known before.
    fn tallied() -> (Tally, ledger::Ledger) {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/ledger_v2.jsonl"
        );
        let ledger = ledger::read(path.as_ref()).unwrap();
        let pue = ledger.begin().unwrap().1.pue.unwrap_or(Pue::NONE);
        let mut tally = Tally::new(pue);
        let is_intensity = |what: &&What| matches!(what, What::Intensity { .. });
        let what = || ledger.entries.iter().map(|entry| &entry.what);
        let known = what().filter(is_intensity);
        for what in known.chain(what().filter(|what| !is_intensity(what))) {
            tally.take(what.clone());
        }
        (tally, ledger)
    }

    #[test]
    fn sums_are_those_of_the_record() {
        let (tally, ledger) = tallied();
        let segments: Vec<Segment> = (ledger.entries.iter())
            .filter_map(|entry| entry.segment().cloned())
            .collect();
        let readings = segments.iter().flat_map(|segment| &segment.energy);
        let joules: Joules = readings.map(|reading| reading.joules).sum();
        let tallied: Joules = tally.energy.values().copied().sum();
        assert!((joules - tallied).0.abs() < 1e-6, "{joules:?} {tallied:?}");
        let seconds: f64 = segments.iter().map(length).sum();
        assert!((tally.seconds.total() - seconds).abs() < 1e-6);
    }

    #[test]
    fn of_a_run_whose_intensities_were_known_in_time_the_grams_are_those_of_the_report() {
        let (tally, ledger) = tallied();
        let what = ledger.entries.iter().map(|entry| &entry.what);
        let points = what.filter_map(|what| match what {
            What::Intensity { points, .. } => Some(points),
            _ => None,
        });
        let intensities = Intensities::from_points(points.flatten());
        let segments: Vec<Segment> = (ledger.entries.iter())
            .filter_map(|entry| entry.segment().cloned())
            .collect();
        let [emissions] = tally.emissions.as_slice() else {
            panic!("{:?}", tally.emissions);
        };
        let whole = account(&segments, &intensities, emissions.basis, tally.pue);
        let at_once = run_now(&segments).segments;
        let at_once = account(&at_once, &intensities, emissions.basis, tally.pue);
        let close = |a: GramsCo2e, b: GramsCo2e| assert!((a - b).0.abs() < 0.05, "{a:?} {b:?}");
        close(emissions.grams.total(), whole.g.total());
        close(emissions.run_now().unwrap(), at_once.g.total());
        close(
            emissions.avoided().unwrap(),
            at_once.g.total() - whole.g.total(),
        );
    }

    #[test]
    fn too_many_components_share_a_sum() {
        let (_, ledger) = tallied();
        let segment = ledger.entries.iter().find_map(|entry| entry.segment());
        let mut segment = segment.unwrap().clone();
        let reading = crate::ledger::entry::Reading {
            component: String::new(),
            joules: Joules(1.0),
            kind: EnergyKind::Assumed,
            method: None,
            source: String::new(),
            whole: None,
        };
        let numbered = |number: usize| crate::ledger::entry::Reading {
            component: format!("gpu {number}"),
            ..reading.clone()
        };
        let mut tally = Tally::new(Pue::NONE);
        for number in 0..300 {
            segment.energy = vec![numbered(number)];
            tally.take(What::Segment(segment.clone()));
        }
        assert_eq!(tally.energy.len(), COMPONENTS + 1);
        let sum: Joules = tally.energy.values().copied().sum();
        assert_eq!(sum, Joules(300.0), "nothing of it is lost");
    }
}
