//! What an archive holds: what is new in an answer, what overrules what, and what is worth keeping.
//!
//! Times are whole seconds since 1970. Nothing here looks at a clock: what counts as old is reckoned
//! from the newest that is held, but never from after `now`, so that a clock that is wrong for a
//! while costs nothing.

use std::collections::BTreeMap;
use std::mem::take;
use std::time::Duration;

use jiff::Timestamp;

use crate::forecast::{Issue, Kind, Point, Series, Span};
use crate::units::GramsPerKwh;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// What is older teaches little more.
const KEPT: i64 = 90 * DAY;
/// Issues of the last two days are kept by the hour, older ones by six hours.
const FRESH: i64 = 2 * DAY;
const COARSE: i64 = 6 * HOUR;
/// More than 90 days of minutes; of more the oldest go.
pub(super) const MOST_VALUES: usize = 1 << 17;
/// More than 90 days of issues, thinned.
const MOST_ISSUES: usize = 512;
/// Lengths of an interval that say something about when to run.
const STEPS: std::ops::RangeInclusive<i64> = 60..=DAY;
/// An issue may look as far ahead as this, and a day back; see [`Issue::by_hour`].
const FURTHEST: i64 = 32 * DAY;
/// Some stamp an issue with the beginning of its first interval.
const STAMPED_AHEAD: i64 = HOUR;

/// What was observed from a moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) end: i64,
    pub(super) g_per_kwh: f64,
    pub(super) is_estimated: bool,
}

/// What was issued, by the hour.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// The beginning of the first hour.
    pub(super) from: i64,
    pub(super) values: Vec<Option<f64>>,
}

/// Observations by their beginning, disjoint, and issues by when they were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    values: BTreeMap<i64, Value>,
    issues: BTreeMap<i64, Said>,
}

impl Held {
    pub(super) fn values(&self) -> &BTreeMap<i64, Value> {
        &self.values
    }

    pub(super) fn issues(&self) -> &BTreeMap<i64, Said> {
        &self.issues
    }

    /// Values of observations and issues.
    pub(super) fn len(&self) -> usize {
        let issued: usize = self.issues.values().map(|said| said.values.len()).sum();
        self.values.len() + issued
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.issues.is_empty()
    }

    /// Takes in a value in place of all that was known of its time.
    pub(super) fn observe(&mut self, start: i64, value: Value) {
        let last = self.values.last_key_value();
        // What comes after all that is known overrules nothing.
        if last.is_some_and(|(_, last)| start < last.end) {
            if let Some((_, before)) = self.values.range_mut(..start).next_back() {
                before.end = before.end.min(start);
            }
            while let Some((&known, _)) = self.values.range(start..value.end).next() {
                self.values.remove(&known);
            }
        }
        self.values.insert(start, value);
    }

    /// Takes in an issue in place of another that was made at the same time.
    pub(super) fn issue(&mut self, made: i64, said: Said) {
        self.issues.insert(made, said);
    }

    /// Takes in an answer and says what is new in it: answers repeat a day of observations.
    pub(super) fn hear(
        &mut self,
        observations: &[Point],
        issue: Option<&Issue>,
        now: Timestamp,
    ) -> Self {
        let now = now.as_second();
        let mut news = Self::default();
        for point in Series::new(observations.to_vec()).points() {
            let Some((start, value)) = value_of(point).filter(|(start, _)| *start <= now) else {
                continue;
            };
            if self.values.get(&start) != Some(&value) {
                self.observe(start, value);
                news.observe(start, value);
            }
        }
        let issue = issue.and_then(said_of);
        let issue = issue.filter(|(made, said)| {
            *made <= now + STAMPED_AHEAD && self.issues.get(made) != Some(said)
        });
        if let Some((made, said)) = &issue {
            self.issue(*made, said.clone());
        }
        self.tidy(now);
        // What is too old, or made just before another that is known, is no news.
        news.values = news.values.split_off(&self.oldest_kept(now));
        if let Some((made, said)) = issue.filter(|(made, _)| self.issues.contains_key(made)) {
            news.issue(made, said);
        }
        news
    }

    /// Drops what is too old, thins the issues out, and keeps within the bounds.
    pub(super) fn tidy(&mut self, now: i64) {
        let newest = self.newest(now);
        let oldest = self.oldest_kept(now);
        self.values = self.values.split_off(&oldest);
        let excess = self.values.len().saturating_sub(MOST_VALUES);
        if let Some((&first, _)) = self.values.iter().nth(excess).filter(|_| excess > 0) {
            self.values = self.values.split_off(&first);
        }
        // Of each slot the newest: it comes last.
        let slot = |made: i64| {
            let is_fresh = newest - made < FRESH;
            let width = if is_fresh { HOUR } else { COARSE };
            made.div_euclid(width) * width
        };
        let issues = self.issues.split_off(&oldest);
        let slots: BTreeMap<i64, (i64, Said)> = (issues.into_iter())
            .map(|(made, said)| (slot(made), (made, said)))
            .collect();
        let excess = slots.len().saturating_sub(MOST_ISSUES);
        self.issues = slots.into_values().skip(excess).collect();
    }

    /// Drops the older half: what is left takes about half the room.
    pub(super) fn halve(&mut self) {
        if let Some((&middle, _)) = self.values.iter().nth(self.values.len().div_ceil(2)) {
            self.values = self.values.split_off(&middle);
        } else {
            self.values.clear();
        }
        let older = self.issues.len().div_ceil(2);
        self.issues = take(&mut self.issues).into_iter().skip(older).collect();
    }

    /// Whether something has been too old for more than a day, so that a file of it is to be written
    /// anew; doing that for each hour that becomes too old would be too often.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        let oldest = [self.values.keys().next(), self.issues.keys().next()];
        let oldest = oldest.into_iter().flatten().min();
        oldest.is_some_and(|oldest| *oldest < self.oldest_kept(now.as_second()) - DAY)
    }

    fn newest(&self, now: i64) -> i64 {
        let value = self.values.keys().next_back();
        value
            .max(self.issues.keys().next_back())
            .map_or(now, |newest| now.min(*newest))
    }

    fn oldest_kept(&self, now: i64) -> i64 {
        self.newest(now) - KEPT
    }

    /// The observations for a forecast.
    pub(super) fn series(&self) -> Series {
        let point = |(start, value): (&i64, &Value)| {
            Some(Point {
                span: Span {
                    start: Timestamp::from_second(*start).ok()?,
                    end: Timestamp::from_second(value.end).ok()?,
                },
                intensity: GramsPerKwh(value.g_per_kwh),
                kind: match value.is_estimated {
                    true => Kind::Estimated,
                    false => Kind::Live,
                },
            })
        };
        Series::new(self.values.iter().filter_map(point).collect())
    }

    /// The issues for a forecast, oldest first.
    pub(super) fn issued(&self) -> Vec<Issue> {
        let hour = Duration::from_secs(HOUR as u64);
        let issue = |(made, said): (&i64, &Said)| {
            let start = Timestamp::from_second(said.from).ok()?;
            let values = said.values.iter().map(|value| value.map(GramsPerKwh));
            Some(Issue {
                issued_at: Timestamp::from_second(*made).ok()?,
                series: Series::regular(start, hour, values, Kind::Live),
            })
        };
        self.issues.iter().filter_map(issue).collect()
    }
}

/// Whether a value can be one, wherever it came from.
pub(super) fn is_usable(start: i64, value: &Value) -> bool {
    is_time(start)
        && is_time(value.end)
        && STEPS.contains(&(value.end - start))
        && is_intensity(value.g_per_kwh)
}

/// Whether an issue can be one, wherever it came from.
pub(super) fn is_sayable(made: i64, said: &Said) -> bool {
    let length = said.values.len() as i64 * HOUR;
    is_time(made)
        && is_time(said.from)
        && is_time(said.from.saturating_add(length))
        && said.from % HOUR == 0
        && said.from >= made - DAY - HOUR
        && said.from + length <= made + FURTHEST
        && said
            .values
            .iter()
            .flatten()
            .all(|value| is_intensity(*value))
}

fn is_time(seconds: i64) -> bool {
    (0..=Timestamp::MAX.as_second()).contains(&seconds)
}

fn is_intensity(value: f64) -> bool {
    (0.0..=Series::GREATEST.0).contains(&value)
}

/// A milligram is below what anybody measures; with no more digits an answer that is repeated is
/// known again, and a mean of many does not fill a file.
fn rounded(intensity: GramsPerKwh) -> f64 {
    (intensity.0 * 1000.0).round() / 1000.0
}

/// A point as it is kept, if a source said it of the past.
fn value_of(point: &Point) -> Option<(i64, Value)> {
    let is_estimated = match point.kind {
        Kind::Live => false,
        Kind::Estimated => true,
        _ => return None,
    };
    let start = point.span.start.as_second();
    let value = Value {
        end: point.span.end.as_second(),
        g_per_kwh: rounded(point.intensity),
        is_estimated,
    };
    is_usable(start, &value).then_some((start, value))
}

/// An issue as it is kept, if it says anything.
fn said_of(issue: &Issue) -> Option<(i64, Said)> {
    let by_hour = issue.by_hour().series;
    let span = by_hour.span()?;
    let hours = span.length().as_secs() / HOUR as u64;
    let hour = Duration::from_secs(HOUR as u64);
    let means = by_hour.resample(span.start, hour, hours as usize);
    let said = Said {
        from: span.start.as_second(),
        values: means.into_iter().map(|mean| mean.map(rounded)).collect(),
    };
    let made = issue.issued_at.as_second();
    is_sayable(made, &said).then_some((made, said))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_782_691_200;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(START + seconds).unwrap()
    }

    fn point(from: i64, to: i64, value: f64) -> Point {
        Point {
            span: Span {
                start: at(from),
                end: at(to),
            },
            intensity: GramsPerKwh(value),
            kind: Kind::Live,
        }
    }

    fn issue(made: i64, values: &[f64]) -> Issue {
        let values = values.iter().map(|value| Some(GramsPerKwh(*value)));
        let start = at(made.div_euclid(HOUR) * HOUR);
        Issue {
            issued_at: at(made),
            series: Series::regular(start, Duration::from_secs(3600), values, Kind::Live),
        }
    }

    fn made(held: &Held) -> Vec<i64> {
        held.issues.keys().map(|made| made - START).collect()
    }

    #[test]
    fn what_is_repeated_is_no_news_and_a_new_value_is() {
        let mut held = Held::default();
        let said = [point(0, HOUR, 1.0), point(HOUR, 2 * HOUR, 2.0)];
        let first = held.hear(&said, Some(&issue(0, &[5.0])), at(DAY));
        assert_eq!(first, held);
        assert!(
            held.hear(&said, Some(&issue(0, &[5.0])), at(DAY))
                .is_empty()
        );
        let corrected = [said[0], point(HOUR, 2 * HOUR, 3.0)];
        let news = held.hear(&corrected, Some(&issue(0, &[6.0])), at(DAY));
        assert_eq!(news.series().points(), &corrected[1..]);
        assert_eq!(news.issued(), [issue(0, &[6.0])]);
        assert_eq!(held.series().points(), corrected);
    }

    #[test]
    fn a_new_value_overrules_all_that_was_known_of_its_time() {
        let mut held = Held::default();
        let (half, now) = (HOUR / 2, at(DAY));
        held.hear(&[point(0, half, 1.0), point(half, HOUR, 2.0)], None, now);
        held.hear(&[point(0, HOUR, 3.0)], None, now);
        assert_eq!(held.series().points(), [point(0, HOUR, 3.0)]);
        held.hear(&[point(half, HOUR, 4.0)], None, now);
        let both = [point(0, half, 3.0), point(half, HOUR, 4.0)];
        assert_eq!(held.series().points(), both);
    }

    #[test]
    fn estimates_stay_estimates_and_what_no_source_said_is_not_kept() {
        let mut held = Held::default();
        let of_kind = |from: i64, kind| Point {
            kind,
            ..point(from, from + HOUR, 1.0)
        };
        let said = [
            of_kind(0, Kind::Estimated),
            of_kind(HOUR, Kind::Interpolated),
            of_kind(2 * HOUR, Kind::Profile),
        ];
        held.hear(&said, None, at(DAY));
        assert_eq!(held.series().points(), &said[..1]);
    }

    #[test]
    fn what_cannot_be_an_observation_yet_is_not_kept() {
        let mut held = Held::default();
        let said = [
            point(0, 30, 1.0),
            point(HOUR, 3 * DAY, 1.0),
            point(4 * DAY, 4 * DAY + HOUR, 1.0),
        ];
        let late = issue(5 * DAY, &[1.0]);
        assert!(held.hear(&said, Some(&late), at(4 * DAY - 1)).is_empty());
        assert!(held.is_empty());
    }

    #[test]
    fn after_ninety_days_nothing_is_left_of_an_answer() {
        let mut held = Held::default();
        held.hear(&[point(0, HOUR, 1.0)], Some(&issue(0, &[5.0])), at(DAY));
        held.hear(&[point(KEPT, KEPT + HOUR, 1.0)], None, at(KEPT + HOUR));
        assert_eq!((held.values.len(), held.issues.len()), (2, 1));
        let later = KEPT + DAY + HOUR;
        assert!(!held.is_overdue(at(later)));
        let mut untidy = held.clone();
        untidy.observe(START + later, held.values[&START]);
        assert!(untidy.is_overdue(at(later)));
        held.hear(&[point(later, later + HOUR, 1.0)], None, at(later));
        assert_eq!((held.values.len(), held.issues.len()), (2, 0));
        // An answer that old is no news.
        assert!(
            held.hear(&[point(0, HOUR, 1.0)], None, at(later))
                .is_empty()
        );
    }

    #[test]
    fn a_clock_that_is_wrong_for_a_while_costs_nothing() {
        let mut held = Held::default();
        let said = [point(0, HOUR, 1.0), point(HOUR, 2 * HOUR, 2.0)];
        held.hear(&said, Some(&issue(0, &[5.0])), at(DAY));
        let whole = held.clone();
        for wrong in [at(4000 * DAY), at(-4000 * DAY)] {
            held.hear(&said, Some(&issue(0, &[5.0])), wrong);
            assert_eq!(held, whole, "{wrong}");
        }
    }

    #[test]
    fn issues_are_kept_by_the_hour_for_two_days_and_by_six_hours_before() {
        let mut held = Held::default();
        for minutes in (0..4 * 24 * 60).step_by(20) {
            let now = minutes * 60;
            held.hear(&[], Some(&issue(now, &[1.0])), at(now));
        }
        let made = made(&held);
        let last = *made.last().unwrap();
        let (old, fresh): (Vec<i64>, Vec<i64>) =
            made.iter().partition(|made| last - *made >= FRESH);
        assert_eq!(fresh.len(), 48);
        assert!(fresh.iter().all(|made| made % HOUR == 40 * 60), "{fresh:?}");
        assert_eq!(old.len(), 8, "{old:?}");
        // Of an hour the newest counts; what was made before it is no news.
        let before = issue(last - 20 * 60, &[7.0]);
        assert!(held.hear(&[], Some(&before), at(last)).is_empty());
    }

    #[test]
    fn an_issue_is_kept_by_the_hour_no_further_than_anyone_looks() {
        let mut held = Held::default();
        let made = 10 * DAY + 40 * 60;
        let steps = (0..200 * 24 * 2).map(|step| Some(GramsPerKwh(f64::from(step % 2))));
        let half_hours = Issue {
            issued_at: at(made),
            series: Series::regular(at(0), Duration::from_secs(1800), steps, Kind::Live),
        };
        held.hear(&[], Some(&half_hours), at(made));
        let kept = &held.issued()[0].series;
        assert_eq!(kept.span().unwrap().start, at(9 * DAY));
        assert_eq!(
            kept.span().unwrap().length(),
            Duration::from_secs(32 * 86_400)
        );
        assert!(kept.points().iter().all(|point| point.intensity.0 == 0.5));
    }

    #[test]
    fn of_too_much_the_oldest_goes() {
        let mut held = Held::default();
        let value = |start: i64| Value {
            end: start + 60,
            g_per_kwh: 1.0,
            is_estimated: false,
        };
        for minute in 0..MOST_VALUES as i64 + 10 {
            held.observe(START + 60 * minute, value(START + 60 * minute));
        }
        held.tidy(i64::MAX);
        assert_eq!(held.values.len(), (KEPT / 60 + 1) as usize);
        held.halve();
        let left = (KEPT / 60 + 1) / 2;
        assert_eq!(held.values.len() as i64, left);
        let newest = START + 60 * (MOST_VALUES as i64 + 9);
        assert_eq!(held.values.keys().next_back(), Some(&newest));
    }

    proptest! {
        #[test]
        fn spans_are_disjoint_and_the_newest_word_counts(
            said in proptest::collection::vec((0..600i64, 1..120i64), 1..60),
            probe in 0..720i64,
        ) {
            let mut held = Held::default();
            for (index, (from, length)) in said.iter().enumerate() {
                let value = Value {
                    end: 60 * (from + length),
                    g_per_kwh: index as f64,
                    is_estimated: false,
                };
                held.observe(60 * from, value);
            }
            let series = held.series();
            prop_assert_eq!(series.points().len(), held.values.len());
            for pair in series.points().windows(2) {
                prop_assert!(pair[0].span.end <= pair[1].span.start);
            }
            let last = said.iter().rposition(|(from, length)| (*from..from + length).contains(&probe));
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(probe);
            // A hole is allowed where the newest word lost its beginning to a newer one.
            if let Some(found) = series.at(at) {
                prop_assert!(last.is_some_and(|last| last as f64 >= found.0));
            }
        }
    }
}
