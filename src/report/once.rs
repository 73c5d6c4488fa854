//! Energy of a device on which two runs ran at the same time: totals count it once.
//!
//! A reading that says of which device it is the whole belongs to whoever ran on it. Where two runs
//! on one host have such readings of one device at the same time, the one that began first keeps
//! it, and what the later one has of that time is left out of totals. The runs themselves are shown
//! as they were recorded.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Summary;
use crate::emissions::{priced_span, run_now};
use crate::forecast::Span;
use crate::ledger::entry::{Reading, Segment};
use crate::units::Joules;

/// What totals leave out of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Doubled {
    /// Of the run as it was.
    pub(super) run: Vec<Segment>,
    /// Of the same run had all runs started at once, so that a saving is not counted twice either.
    pub(super) run_now: Vec<Segment>,
}

/// What is left out of each of `runs`, in their order.
pub(super) fn doubled(runs: &[&Summary]) -> Vec<Doubled> {
    let mut all = vec![Doubled::default(); runs.len()];
    if runs.len() < 2 {
        return all;
    }
    // Segments with nothing but what can be counted twice: mostly nothing at all.
    let whole: Vec<Vec<Segment>> = runs
        .iter()
        .map(|run| whole_devices(&run.segments))
        .collect();
    if whole.iter().filter(|segments| has_energy(segments)).count() < 2 {
        return all;
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|at| (runs[*at].started_at, runs[*at].begin.run.as_str()));
    let (mut taken, mut taken_now) = (Taken::default(), Taken::default());
    for at in order {
        let host = &runs[at].begin.host;
        all[at] = Doubled {
            run: taken.take(host, &whole[at]),
            run_now: taken_now.take(host, &run_now(&whole[at]).segments),
        };
    }
    all
}

fn whole_devices(segments: &[Segment]) -> Vec<Segment> {
    let only_whole = |segment: &Segment| Segment {
        energy: (segment.energy.iter())
            .filter(|reading| reading.whole.is_some())
            .cloned()
            .collect(),
        causes: segment.causes.clone(),
        unattributed: Vec::new(),
        ..*segment
    };
    segments.iter().map(only_whole).collect()
}

fn has_energy(segments: &[Segment]) -> bool {
    segments.iter().any(|segment| !segment.energy.is_empty())
}

/// When each device of each host was somebody's, disjoint and in order.
#[derive(Debug, Default)]
struct Taken(HashMap<(String, String), Vec<Span>>);

impl Taken {
    /// Takes the devices of a run's segments, and gives the parts of them that were taken before.
    fn take(&mut self, host: &str, segments: &[Segment]) -> Vec<Segment> {
        let mut doubled = Vec::new();
        let mut mine: HashMap<&str, Vec<Span>> = HashMap::new();
        for segment in segments {
            let span = priced_span(segment);
            for reading in &segment.energy {
                let Some(device) = reading.whole.as_deref() else {
                    continue;
                };
                mine.entry(device).or_default().push(span);
                if let Some(taken) = self.0.get(&(host.to_owned(), device.to_owned())) {
                    let shared = overlaps(taken, span);
                    doubled.extend(shared.map(|shared| part(segment, reading, span, shared)));
                }
            }
        }
        for (device, mut spans) in mine {
            let key = (host.to_owned(), device.to_owned());
            let taken = self.0.entry(key).or_default();
            spans.append(taken);
            *taken = merged(spans);
        }
        doubled
    }
}

fn overlaps(taken: &[Span], span: Span) -> impl Iterator<Item = Span> {
    let first = taken.partition_point(|taken| taken.end <= span.start);
    taken[first..]
        .iter()
        .take_while(move |taken| taken.start < span.end)
        .filter_map(move |taken| taken.overlap(span))
}

/// The part of a reading that lies in `shared`, as a segment of its own.
fn part(segment: &Segment, reading: &Reading, span: Span, shared: Span) -> Segment {
    let fraction = shared.length().as_secs_f64() / span.length().as_secs_f64();
    Segment {
        part: segment.part,
        causes: Vec::new(),
        from_s: segment.from_s,
        to_s: segment.from_s + (segment.to_s - segment.from_s) * fraction,
        start: shared.start,
        end: shared.end,
        energy: vec![Reading {
            joules: Joules(reading.joules.0 * fraction),
            ..reading.clone()
        }],
        unattributed: Vec::new(),
    }
}

fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = Timestamp::max(last.end, span.end),
            _ => merged.push(span),
        }
    }
    merged
}
