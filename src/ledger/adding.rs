//! Segments added up to fewer and longer ones where they cannot be written, or need not be kept, one
//! by one. Pure. No energy and no time is lost by it; only when within a segment it was used.

use std::time::Duration;

use super::entry::{Entry, Reading, Segment, What};

/// Seconds by which two segments that adjoin may differ, from writing times as fractions.
const ADJOINS: f64 = 1e-3;
/// Seconds by which the wall clock may differ where they do: more is a clock that was set.
const CLOCK: f64 = 1.0;

/// Adds `next` to `first` where it goes on where that ended, in the same part for the same causes.
/// Says whether it did; else neither is changed.
pub(super) fn join(first: &mut Segment, next: &Segment) -> bool {
    let clock = next.start.duration_since(first.end).as_secs_f64();
    let goes_on = first.part == next.part
        && first.causes == next.causes
        && (next.from_s - first.to_s).abs() <= ADJOINS
        && clock.abs() <= CLOCK;
    if !goes_on {
        return false;
    }
    first.to_s = next.to_s;
    first.end = next.end;
    add(&mut first.energy, &next.energy);
    add(&mut first.unattributed, &next.unattributed);
    true
}

/// Readings that are known alike are added up, others stand beside each other.
fn add(sums: &mut Vec<Reading>, readings: &[Reading]) {
    for reading in readings {
        let is_alike = |sum: &&mut Reading| {
            sum.component == reading.component
                && sum.kind == reading.kind
                && sum.method == reading.method
                && sum.source == reading.source
                && sum.whole == reading.whole
        };
        match sums.iter_mut().find(is_alike) {
            Some(sum) => sum.joules += reading.joules,
            None => sums.push(reading.clone()),
        }
    }
}

/// Adds up neighbours among the segments of `items` as long as what comes of them is no longer than
/// `at_most`. What is no segment stays where it is; a sum stands where its last segment stood, with
/// that one's time of writing. Says how many segments went into others.
pub(super) fn squeeze<T>(
    items: &mut Vec<T>,
    at_most: Duration,
    entry: impl Fn(&mut T) -> &mut Entry,
) -> u64 {
    let mut joined = 0;
    // The segment that the next one may be added to, as a place in `kept`.
    let mut open: Option<usize> = None;
    let mut kept: Vec<Option<T>> = Vec::with_capacity(items.len());
    for mut item in items.drain(..) {
        if let What::Segment(next) = &mut entry(&mut item).what {
            let before = open.and_then(|at| kept[at].as_mut());
            if let Some(What::Segment(first)) = before.map(|item| &mut entry(item).what)
                && next.to_s - first.from_s <= at_most.as_secs_f64() + ADJOINS
                && join(first, next)
            {
                std::mem::swap(first, next);
                let at = open.take().expect("it was looked at above");
                kept[at] = None;
                joined += 1;
            }
            open = Some(kept.len());
        }
        kept.push(Some(item));
    }
    items.extend(kept.into_iter().flatten());
    joined
}

/// Entries among which segments are kept few.
#[derive(Debug)]
pub(super) struct Few {
    many: usize,
    /// At so many segments they are added up.
    limit: usize,
    /// To sums so long.
    span: Duration,
}

/// Sums are this long at first.
const SHORTEST: Duration = Duration::from_mins(5);
/// And at most so long, since intensities change by the hour. It is the first one doubled four times,
/// so that sums of each length go into the next without a rest.
const LONGEST: Duration = Duration::from_mins(80);

impl Few {
    /// Few are fewer than `many`, as long as no more than half of that differ in part or cause or
    /// are as long as sums get.
    pub(super) fn than(many: usize) -> Self {
        Self {
            many,
            limit: many,
            span: SHORTEST,
        }
    }

    /// Adds up segments among `items`, of which `segments` are some, once these are too many; gives
    /// how many went into others.
    pub(super) fn keep<T>(
        &mut self,
        items: &mut Vec<T>,
        segments: usize,
        entry: impl Fn(&mut T) -> &mut Entry,
    ) -> u64 {
        if segments < self.limit {
            return 0;
        }
        let mut joined = 0;
        loop {
            joined += squeeze(items, self.span, &entry);
            let left = segments - joined as usize;
            if left <= self.many / 2 || self.span >= LONGEST {
                // Where they cannot get fewer, the next try waits until there are twice as many.
                self.limit = self.many.max(2 * left);
                return joined;
            }
            self.span = (self.span * 2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::{Cause, EnergyKind, Part};
    use crate::units::Joules;

    fn segment(from: f64, to: f64, part: Part, joules: f64) -> Entry {
        let start: jiff::Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
        let at = |seconds: f64| start + jiff::SignedDuration::from_secs_f64(seconds);
        Entry {
            seq: 0,
            at: at(to),
            elapsed_s: to,
            what: What::Segment(Segment {
                part,
                causes: Vec::new(),
                from_s: from,
                to_s: to,
                start: at(from),
                end: at(to),
                energy: vec![Reading {
                    component: "all".to_owned(),
                    joules: Joules(joules),
                    kind: EnergyKind::Assumed,
                    method: None,
                    source: "--power 300 W".to_owned(),
                    whole: None,
                }],
                unattributed: Vec::new(),
            }),
        }
    }

    fn note(at: f64) -> Entry {
        Entry {
            what: What::Warning {
                text: "x".to_owned(),
            },
            ..segment(0.0, at, Part::Running, 0.0)
        }
    }

    fn spans(entries: &[Entry]) -> Vec<(f64, f64, f64)> {
        let segments = entries.iter().filter_map(Entry::segment);
        segments
            .map(|s| {
                let joules = s.energy.iter().map(|r| r.joules.0).sum();
                (s.from_s, s.to_s, joules)
            })
            .collect()
    }

    #[test]
    fn neighbours_in_one_part_are_added_up_to_the_length_that_is_asked_for() {
        let mut entries: Vec<Entry> = (0..7)
            .map(|nth| {
                let from = f64::from(nth) * 10.0;
                segment(from, from + 10.0, Part::Running, 1.0)
            })
            .collect();
        let joined = squeeze(&mut entries, Duration::from_secs(30), |entry| entry);
        assert_eq!(joined, 4);
        assert_eq!(
            spans(&entries),
            [(0.0, 30.0, 3.0), (30.0, 60.0, 3.0), (60.0, 70.0, 1.0)]
        );
    }

    #[test]
    fn another_part_another_cause_a_gap_or_a_clock_that_was_set_keeps_them_apart() {
        let first = segment(0.0, 10.0, Part::Paused, 1.0);
        let other = |change: &dyn Fn(&mut Segment)| {
            let mut next = segment(10.0, 20.0, Part::Paused, 1.0);
            let What::Segment(segment) = &mut next.what else {
                unreachable!("it was made as one");
            };
            change(segment);
            vec![first.clone(), next]
        };
        let day = Duration::from_hours(24);
        let mut same = other(&|_| {});
        assert_eq!(squeeze(&mut same, day, |entry| entry), 1);
        for mut two in [
            other(&|s| s.part = Part::Running),
            other(&|s| s.causes = vec![Cause::Operator]),
            other(&|s| s.from_s = 11.0),
            other(&|s| s.start += jiff::SignedDuration::from_secs(5)),
        ] {
            assert_eq!(squeeze(&mut two, day, |entry| entry), 0);
            assert_eq!(two.len(), 2);
        }
    }

    #[test]
    fn readings_that_are_known_otherwise_stand_beside_each_other() {
        let mut first = segment(0.0, 10.0, Part::Running, 1.0);
        let mut next = segment(10.0, 20.0, Part::Running, 2.0);
        for (entry, kind) in [
            (&mut first, EnergyKind::Measured),
            (&mut next, EnergyKind::Estimated),
        ] {
            let What::Segment(segment) = &mut entry.what else {
                unreachable!("it was made as one");
            };
            segment.energy.push(Reading {
                kind,
                joules: Joules(10.0),
                ..segment.energy[0].clone()
            });
        }
        let mut both = vec![first, next];
        squeeze(&mut both, Duration::from_secs(20), |entry| entry);
        let readings: Vec<f64> = both[0]
            .segment()
            .unwrap()
            .energy
            .iter()
            .map(|r| r.joules.0)
            .collect();
        assert_eq!(readings, [3.0, 10.0, 10.0]);
    }

    #[test]
    fn what_is_no_segment_stays_and_a_sum_stands_where_its_last_part_stood() {
        let mut entries = vec![
            segment(0.0, 10.0, Part::Running, 1.0),
            note(12.0),
            segment(10.0, 20.0, Part::Running, 1.0),
            note(21.0),
        ];
        squeeze(&mut entries, Duration::from_mins(5), |entry| entry);
        let at: Vec<f64> = entries.iter().map(|entry| entry.elapsed_s).collect();
        assert_eq!(at, [12.0, 20.0, 21.0]);
        assert_eq!(spans(&entries), [(0.0, 20.0, 2.0)]);
    }

    #[test]
    fn a_month_of_samples_is_kept_as_some_hundred_segments_with_all_of_its_energy() {
        let (mut entries, mut few, mut segments) = (Vec::new(), Few::than(1000), 0);
        let month = 30 * 24 * 360;
        for nth in 0..month {
            let from = f64::from(nth) * 10.0;
            entries.push(segment(from, from + 10.0, Part::Running, 1.0));
            segments += 1;
            segments -= few.keep(&mut entries, segments, |entry| entry) as usize;
            assert!(segments <= 1100 && segments == entries.len());
        }
        let joules: f64 = spans(&entries).iter().map(|(.., joules)| joules).sum();
        assert_eq!(joules, f64::from(month));
        assert!(spans(&entries).windows(2).all(|two| two[0].1 == two[1].0));
        assert!(
            spans(&entries)
                .iter()
                .all(|(from, to, _)| to - from <= 4800.0)
        );
    }

    #[test]
    fn segments_that_cannot_be_added_up_are_not_looked_at_again_each_time() {
        let mut entries = Vec::new();
        let mut few = Few::than(100);
        for nth in 0..1000 {
            let part = [Part::Running, Part::Paused][nth % 2];
            let from = nth as f64 * 10.0;
            entries.push(segment(from, from + 10.0, part, 1.0));
            assert_eq!(few.keep(&mut entries, nth + 1, |entry| entry), 0);
        }
        assert_eq!(few.limit, 1600);
    }
}
