//! Runs added up by what they have in common. Most groups hold whole runs; a day holds the share of
//! each run that lies in it, cut at midnight.
//!
//! A run's avoided emissions are cut likewise: run-now's of the day less the run's of the day. A hold
//! over midnight so saves on its first day and costs on its second; the days' sum is the run's.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::once::Doubled;
use super::shown::{MICRO, MILLI, Shown, spread};
use super::totals::{Amount, Amounts, Sum};
use super::{Summary, used};
use crate::emissions::{self, PARTS, Parts, counted, length, priced_span, run_now};
use crate::forecast::Span;
use crate::ledger::entry::{EnergyKind, Part, Reading, Segment};
use crate::units::{GramsCo2e, Joules, KilowattHours, Pue};

/// What runs are added up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Each for itself.
    Run,
    /// By the local day that the time was spent on.
    Day,
    /// By the grid zone.
    Zone,
    /// By the job of a cluster: an array is one, with its tasks and all their nodes.
    Job,
    /// By the value of this label.
    Label(String),
}

/// What of a run lies in one day, unrounded.
#[derive(Clone, Debug, Default)]
struct Day {
    duration: Parts<f64>,
    energy: Parts<KilowattHours>,
    bases: Vec<Priced>,
}

/// By one basis.
#[derive(Clone, Copy, Debug, Default)]
struct Priced {
    g: Parts<GramsCo2e>,
    low: GramsCo2e,
    high: GramsCo2e,
    uncovered: KilowattHours,
    run_now: GramsCo2e,
}

/// The days of a run and what of `sum`, its own sum, falls to each.
pub(super) fn days(
    run: &Summary,
    doubled: &Doubled,
    sum: &Sum,
    zone: &TimeZone,
) -> Vec<(Date, Sum)> {
    let mut net = Days::new(run, zone);
    net.spend(&run.segments);
    net.spend_now(&run_now(&light(&run.segments)).segments);
    let mut once = Days::new(run, zone);
    once.spend(&doubled.run);
    once.spend_now(&doubled.run_now);
    for (date, day) in &mut once.days {
        // Time is never counted twice.
        day.duration = Parts::default();
        net.days.entry(*date).or_default().less(day);
    }
    if net.days.is_empty() {
        net.on(run.started_at.to_zoned(zone.clone()).date());
    }
    let dates: Vec<Date> = net.days.keys().copied().collect();
    for date in &dates {
        once.on(*date);
    }
    let sums = net.share(&sum.net).into_iter().zip(once.share(&sum.once));
    let sums = sums.map(|(net, once)| Sum { net, once });
    dates.iter().copied().zip(sums).collect()
}

/// Days that have something of a run.
#[derive(Debug)]
struct Days<'a> {
    run: &'a Summary,
    zone: &'a TimeZone,
    pue: Pue,
    days: BTreeMap<Date, Day>,
}

impl<'a> Days<'a> {
    fn new(run: &'a Summary, zone: &'a TimeZone) -> Self {
        Self {
            run,
            zone,
            pue: run.begin.pue.unwrap_or(Pue::NONE),
            days: BTreeMap::new(),
        }
    }

    fn on(&mut self, date: Date) -> &mut Day {
        let bases = self.run.emissions.len();
        let day = self.days.entry(date).or_default();
        day.bases.resize(bases, Priced::default());
        day
    }

    /// Adds what was done.
    fn spend(&mut self, segments: &[Segment]) {
        let (run, pue) = (self.run, self.pue);
        self.each(segments, |day, segment| {
            day.duration[segment.part] += length(segment);
            day.energy.add(&used(segment));
            for (mine, theirs) in day.bases.iter_mut().zip(&run.emissions) {
                let segment = std::slice::from_ref(segment);
                let account = emissions::account(segment, &theirs.intensities, theirs.basis, pue);
                mine.g.add(&account.g);
                mine.low += account.low;
                mine.high += account.high;
                mine.uncovered += account.uncovered;
            }
        });
    }

    /// Adds what would have been done at once.
    fn spend_now(&mut self, segments: &[Segment]) {
        let (run, pue) = (self.run, self.pue);
        self.each(segments, |day, segment| {
            for (mine, theirs) in day.bases.iter_mut().zip(&run.emissions) {
                let segment = std::slice::from_ref(segment);
                let account = emissions::account(segment, &theirs.intensities, theirs.basis, pue);
                mine.run_now += account.g.total();
            }
        });
    }

    /// Does `what` with each day's part of each segment; within a segment all is even.
    fn each(&mut self, segments: &[Segment], mut what: impl FnMut(&mut Day, &Segment)) {
        for segment in segments {
            let span = priced_span(segment);
            let mut from = span.start.to_zoned(self.zone.clone());
            loop {
                let date = from.date();
                let midnight = date
                    .tomorrow()
                    .ok()
                    .and_then(|d| d.to_zoned(self.zone.clone()).ok());
                let end = midnight.filter(|midnight| midnight.timestamp() < span.end);
                let part = Span {
                    start: from.timestamp(),
                    end: end.as_ref().map_or(span.end, |end| end.timestamp()),
                };
                match part == span {
                    true => what(self.on(date), segment),
                    false => what(self.on(date), &cut(segment, span, part)),
                }
                match end {
                    Some(end) => from = end,
                    None => break,
                }
            }
        }
    }

    /// `total` shared out to the days in proportion, such that they add up to it.
    fn share(&self, total: &Amounts) -> Vec<Amounts> {
        let days: Vec<&Day> = self.days.values().collect();
        let parts = |of: &dyn Fn(&Day, Part) -> f64, total: &Shown| {
            let mut shared = vec![Shown::none(total.step); days.len()];
            for (part, _) in PARTS {
                let values: Vec<f64> = days.iter().map(|day| of(day, part)).collect();
                let steps = spread(&values, total.step, total.steps[part]);
                for (shared, steps) in shared.iter_mut().zip(steps) {
                    shared.steps[part] = steps;
                }
            }
            shared
        };
        let duration = parts(&|day, part| day.duration[part], &total.duration);
        let energy = parts(&|day, part| day.energy[part].0, &total.energy);
        let mut shared: Vec<Amounts> = duration
            .into_iter()
            .zip(energy)
            .zip(&days)
            .map(|((duration, energy), day)| Amounts {
                runs: total.runs,
                duration,
                energy,
                exact_kwh: day.energy.total().0,
                emissions: Vec::new(),
            })
            .collect();
        for (nth, amount) in total.emissions.iter().enumerate() {
            let g = parts(&|day, part| day.bases[nth].g[part].0, &amount.g);
            let each = |of: fn(&Priced) -> f64, step: f64, total: i64| {
                let values: Vec<f64> = days.iter().map(|day| of(&day.bases[nth])).collect();
                spread(&values, step, total)
            };
            let low = each(|priced| priced.low.0, MILLI, amount.low);
            let high = each(|priced| priced.high.0, MILLI, amount.high);
            let uncovered = each(|priced| priced.uncovered.0, MICRO, amount.uncovered);
            let base = amount
                .avoided
                .map(|avoided| avoided + amount.g.steps.total());
            let base = base.map(|base| each(|priced| priced.run_now.0, MILLI, base));
            for (at, shared) in shared.iter_mut().enumerate() {
                shared.emissions.push(Amount {
                    g: g[at],
                    low: low[at],
                    high: high[at],
                    uncovered: uncovered[at],
                    avoided: base.as_ref().map(|base| base[at] - g[at].steps.total()),
                    exact_g: days[at].bases[nth].g.total().0,
                    exact_avoided_g: {
                        let priced = &days[at].bases[nth];
                        priced.run_now.0 - priced.g.total().0
                    },
                    ..*amount
                });
            }
        }
        shared
    }
}

impl Day {
    /// Takes away what another holds, but for its time.
    fn less(&mut self, other: &Self) {
        self.energy.add(&other.energy.map(|energy| -energy));
        for (mine, theirs) in self.bases.iter_mut().zip(&other.bases) {
            mine.g.add(&theirs.g.map(|grams| -grams));
            mine.low -= theirs.low;
            mine.high -= theirs.high;
            mine.uncovered -= theirs.uncovered;
            mine.run_now -= theirs.run_now;
        }
    }
}

/// The part of a segment, which takes `whole`, that lies in `part`.
fn cut(segment: &Segment, whole: Span, part: Span) -> Segment {
    let seconds = whole.length().as_secs_f64();
    let fraction = |length: std::time::Duration| length.as_secs_f64() / seconds;
    let before = fraction(
        Span {
            start: whole.start,
            end: part.start,
        }
        .length(),
    );
    let inside = fraction(part.length());
    let from_s = segment.from_s + length(segment) * before;
    let share = |reading: &Reading| Reading {
        joules: Joules(reading.joules.0 * inside),
        ..reading.clone()
    };
    Segment {
        from_s,
        to_s: from_s + length(segment) * inside,
        start: part.start,
        end: part.end,
        energy: segment.energy.iter().map(share).collect(),
        causes: segment.causes.clone(),
        unattributed: Vec::new(),
        ..*segment
    }
}

/// Segments with the sum of their energy alone, for where nobody asks how it is known: a month of
/// segments with all their readings takes much room to copy.
pub(super) fn light(segments: &[Segment]) -> Vec<Segment> {
    let light = |segment: &Segment| Segment {
        energy: vec![Reading {
            component: String::new(),
            joules: segment.energy.iter().map(|r| counted(r.joules)).sum(),
            kind: EnergyKind::Assumed,
            method: None,
            source: String::new(),
            whole: None,
        }],
        causes: segment.causes.clone(),
        unattributed: Vec::new(),
        ..*segment
    };
    segments.iter().map(light).collect()
}
