//! Runs added up, in whole steps of what is shown of each: sums of the runs, less what would be
//! counted twice, are the totals to the last digit. Emissions are added within one basis only.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::groups::{self, Grouping};
use super::once::{self, Doubled};
use super::shown::{MICRO, MILLI, Shown, shown, steps, told};
use super::{Emissions, Summary, job, used};
use crate::emissions::{self, Parts};
use crate::forecast::Basis;
use crate::ledger::entry::Segment;
use crate::units::{KilowattHours, Pue};

/// Amounts of one run, of several, or of a share of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Amounts {
    pub(super) runs: usize,
    pub(super) duration: Shown,
    pub(super) energy: Shown,
    /// The same energy in all, not rounded: little is not nothing, and words say so.
    pub(super) exact_kwh: f64,
    pub(super) emissions: Vec<Amount>,
}

/// Emissions by one basis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Amount {
    pub(super) basis: Basis,
    pub(super) runs: usize,
    pub(super) g: Shown,
    /// In steps of [`MILLI`] grams.
    pub(super) low: i64,
    pub(super) high: i64,
    /// In steps of [`MICRO`] kilowatt-hours.
    pub(super) uncovered: i64,
    /// Runs that were compared with run-now.
    pub(super) compared: usize,
    /// From what is shown, so that it is the difference of the two numbers beside it.
    pub(super) avoided: Option<i64>,
    /// Grams in all and avoided grams, not rounded.
    pub(super) exact_g: f64,
    pub(super) exact_avoided_g: f64,
}

/// A sum, and what was left out of it since it was in it twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sum {
    pub(super) net: Amounts,
    pub(super) once: Amounts,
}

/// All that a report adds up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sums {
    pub(super) total: Sum,
    /// By name; none where a run has no such label.
    pub(super) groups: Vec<(Option<String>, Sum)>,
    /// Replays are in no sum: nothing was really emitted or saved in them.
    pub(super) replays_left_out: usize,
}

impl Sums {
    /// Of `runs`; days are those of `zone`.
    pub(super) fn of(runs: &[Summary], by: Option<&Grouping>, zone: &TimeZone) -> Self {
        let real: Vec<&Summary> = runs.iter().filter(|r| r.begin.replay.is_none()).collect();
        let mut total = Sum::none();
        let mut groups = Vec::new();
        // Clusters number their jobs each from one.
        let clusters = real.iter().filter_map(|run| run.begin.slurm.as_ref());
        let clusters: BTreeSet<&str> = clusters.map(|job| job.cluster.as_str()).collect();
        let job = |run: &Summary| {
            let job = run.begin.slurm.as_ref()?;
            Some(match clusters.len() {
                0 | 1 => job::name(job),
                _ => format!("{} ({})", job::name(job), job.cluster),
            })
        };
        for (run, doubled) in real.iter().zip(once::doubled(&real)) {
            let sum = Sum::of_run(run, &doubled);
            total.add(&sum);
            match by {
                None => {}
                Some(Grouping::Run) => into(&mut groups, Some(run.begin.run.clone()), &sum),
                Some(Grouping::Zone) => into(&mut groups, Some(run.begin.zone.clone()), &sum),
                Some(Grouping::Job) => into(&mut groups, job(run), &sum),
                Some(Grouping::Label(key)) => into(&mut groups, label(run, key), &sum),
                Some(Grouping::Day) => {
                    for (day, part) in groups::days(run, &doubled, &sum, zone) {
                        into(&mut groups, Some(day.to_string()), &part);
                    }
                }
            }
        }
        if by != Some(&Grouping::Run) {
            // By name, what has none last.
            groups.sort_by(|(a, _), (b, _)| (a.is_none(), a).cmp(&(b.is_none(), b)));
        }
        Self {
            total,
            groups,
            replays_left_out: runs.len() - real.len(),
        }
    }
}

fn label(run: &Summary, wanted: &str) -> Option<String> {
    let labels = run.begin.labels.iter().rev();
    let mut fitting = labels.filter(|(key, _)| key == wanted);
    fitting.next().map(|(_, value)| value.clone())
}

fn into(groups: &mut Vec<(Option<String>, Sum)>, name: Option<String>, sum: &Sum) {
    match groups.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => known.add(sum),
        None => groups.push((name, sum.clone())),
    }
}

impl Sum {
    pub(super) fn none() -> Self {
        Self {
            net: Amounts::none(),
            once: Amounts::none(),
        }
    }

    pub(super) fn of_run(run: &Summary, doubled: &Doubled) -> Self {
        let mut net = Amounts::of(run);
        let once = Amounts::doubled(run, doubled, &net);
        net.less(&once);
        Self { net, once }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.net.add(&other.net);
        self.once.add(&other.once);
    }
}

impl Amounts {
    fn none() -> Self {
        Self {
            runs: 0,
            duration: Shown::none(MILLI),
            energy: Shown::none(MICRO),
            exact_kwh: 0.0,
            emissions: Vec::new(),
        }
    }

    pub(super) fn of(run: &Summary) -> Self {
        Self {
            runs: 1,
            duration: Shown::of(run.duration_s, MILLI),
            energy: Shown::of(run.energy.map(|energy| energy.0), MICRO),
            exact_kwh: run.energy.total().0,
            emissions: run.emissions.iter().map(Amount::of).collect(),
        }
    }

    /// What is in `whole` twice; never more than it holds.
    fn doubled(run: &Summary, doubled: &Doubled, whole: &Self) -> Self {
        if doubled.run.is_empty() && doubled.run_now.is_empty() {
            return Self::none();
        }
        let mut energy: Parts<KilowattHours> = Parts::default();
        doubled
            .run
            .iter()
            .for_each(|segment| energy.add(&used(segment)));
        let exact_kwh = energy.total().0.min(whole.exact_kwh);
        let mut energy = Shown::of(energy.map(|energy| energy.0), MICRO);
        energy.at_most(&whole.energy);
        let pue = run.begin.pue.unwrap_or(Pue::NONE);
        let mut emissions = Vec::new();
        for (of_run, whole) in run.emissions.iter().zip(&whole.emissions) {
            let price = |segments: &[Segment]| {
                emissions::account(segments, &of_run.intensities, of_run.basis, pue)
            };
            let (account, now) = (price(&doubled.run), price(&doubled.run_now));
            let mut g = Shown::of(account.g.map(|grams| grams.0), MILLI);
            g.at_most(&whole.g);
            let exact_g = account.g.total().0.min(whole.exact_g);
            let exact_avoided_g = now.g.total().0 - exact_g;
            let now = steps(now.g.total().0, MILLI);
            emissions.push(Amount {
                basis: of_run.basis,
                runs: 1,
                g,
                low: steps(account.low.0, MILLI).min(whole.low),
                high: steps(account.high.0, MILLI).min(whole.high),
                uncovered: steps(account.uncovered.0, MICRO).min(whole.uncovered),
                compared: whole.compared,
                avoided: whole.avoided.map(|_| now - g.steps.total()),
                exact_g,
                exact_avoided_g,
            });
        }
        Self {
            runs: 1,
            duration: Shown::none(MILLI),
            energy,
            exact_kwh,
            emissions,
        }
    }

    /// Kilowatt-hours for words.
    pub(super) fn kwh(&self) -> f64 {
        told(self.exact_kwh, self.energy.steps.total(), MICRO)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.duration.steps.add(&other.duration.steps);
        self.energy.steps.add(&other.energy.steps);
        self.exact_kwh += other.exact_kwh;
        for amount in &other.emissions {
            // A sum takes what is of its own basis alone.
            match self
                .emissions
                .iter_mut()
                .find(|mine| mine.basis == amount.basis)
            {
                Some(mine) => mine.add(amount),
                None => self.emissions.push(*amount),
            }
        }
    }

    fn less(&mut self, once: &Self) {
        self.energy.less(&once.energy);
        self.exact_kwh -= once.exact_kwh;
        for (mine, once) in self.emissions.iter_mut().zip(&once.emissions) {
            mine.g.less(&once.g);
            mine.exact_g -= once.exact_g;
            mine.exact_avoided_g -= once.exact_avoided_g;
            mine.low -= once.low;
            mine.high -= once.high;
            mine.uncovered -= once.uncovered;
            if let (Some(mine), Some(once)) = (&mut mine.avoided, once.avoided) {
                *mine -= once;
            }
        }
    }
}

impl Amount {
    pub(super) fn of(emissions: &Emissions) -> Self {
        let account = &emissions.account;
        let g = Shown::of(account.g.map(|grams| grams.0), MILLI);
        let base = steps(emissions.run_now.g.total().0, MILLI);
        let avoided = emissions.avoided.ok().map(|_| base - g.steps.total());
        Self {
            basis: emissions.basis,
            runs: 1,
            g,
            low: steps(account.low.0, MILLI),
            high: steps(account.high.0, MILLI),
            uncovered: steps(account.uncovered.0, MICRO),
            compared: usize::from(avoided.is_some()),
            avoided,
            exact_g: account.g.total().0,
            exact_avoided_g: emissions.avoided.map_or(0.0, |avoided| avoided.0),
        }
    }

    /// Grams, unless no intensity is known: that is not nothing.
    pub(super) fn known(&self) -> Option<f64> {
        let is_known = self.uncovered == 0 || self.g.steps.total() > 0;
        is_known.then(|| self.g.total())
    }

    /// The same for words.
    pub(super) fn known_words(&self) -> Option<f64> {
        let steps = self.g.steps.total();
        self.known().map(|_| told(self.exact_g, steps, MILLI))
    }

    /// Avoided emissions in grams.
    pub(super) fn avoided_g(&self) -> Option<f64> {
        self.avoided.map(|steps| shown(steps, MILLI))
    }

    /// The same for words.
    pub(super) fn avoided_words(&self) -> Option<f64> {
        (self.avoided).map(|steps| told(self.exact_avoided_g, steps, MILLI))
    }

    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.g.steps.add(&other.g.steps);
        self.exact_g += other.exact_g;
        self.exact_avoided_g += other.exact_avoided_g;
        self.low += other.low;
        self.high += other.high;
        self.uncovered += other.uncovered;
        self.compared += other.compared;
        if let Some(avoided) = other.avoided {
            self.avoided = Some(self.avoided.unwrap_or(0) + avoided);
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields {
            basis: Basis,
            runs: usize,
            g: Shown,
            low_g: f64,
            high_g: f64,
            uncovered_kwh: f64,
            runs_compared: usize,
            avoided_g: Option<f64>,
        }
        let fields = Fields {
            basis: self.basis,
            runs: self.runs,
            g: self.g,
            low_g: shown(self.low, MILLI),
            high_g: shown(self.high, MILLI),
            uncovered_kwh: shown(self.uncovered, MICRO),
            runs_compared: self.compared,
            avoided_g: self.avoided_g(),
        };
        fields.serialize(serializer)
    }
}
