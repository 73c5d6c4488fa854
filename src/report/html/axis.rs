//! Round numbers and times along the sides of a chart.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::forecast::Span;

/// Times that may stand apart, in seconds; days and more are counted in days.
const STEPS: [i64; 14] = [
    5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
];
const WEEK: i64 = 7 * 86_400;
/// Most labels of an axis of time.
const MOST: i64 = 8;

/// The time that all charts of a run share.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) span: Span,
    seconds: f64,
    zone: TimeZone,
}

/// A label and where it stands, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

impl Axis {
    /// None where there is no time to show.
    pub(super) fn new(span: Span, zone: &TimeZone) -> Option<Self> {
        let seconds = span.length().as_secs_f64();
        (seconds >= 1.0).then(|| Self {
            span,
            seconds,
            zone: zone.clone(),
        })
    }

    /// Where a time stands, 0 to 1; times outside stand at the ends.
    pub(super) fn at(&self, time: Timestamp) -> f64 {
        let since = time.duration_since(self.span.start).as_secs_f64();
        (since / self.seconds).clamp(0.0, 1.0)
    }

    /// The time that stands at a place.
    pub(super) fn time(&self, at: f64) -> Timestamp {
        let since = Duration::from_secs_f64((at * self.seconds).max(0.0));
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO);
        self.span.start.checked_add(since).unwrap_or(self.span.end)
    }

    /// Hours of the whole axis.
    pub(super) fn hours(&self) -> f64 {
        self.seconds / 3600.0
    }

    /// A time in words; with the day where the axis is longer than one.
    pub(super) fn words(&self, time: Timestamp) -> String {
        let format = match self.seconds {
            seconds if seconds > 86_400.0 => "%d %b %H:%M",
            seconds if seconds > 600.0 => "%H:%M",
            _ => "%H:%M:%S",
        };
        time.to_zoned(self.zone.clone())
            .strftime(format)
            .to_string()
    }

    /// Round local times, a handful.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let fits = |step: &i64| self.seconds as i64 / step < MOST;
        let step = STEPS.into_iter().find(fits).unwrap_or_else(|| {
            let weeks = self.seconds as i64 / (WEEK * MOST) + 1;
            weeks * WEEK
        });
        let first = self.span.start.to_zoned(self.zone.clone());
        let Ok(midnight) = first.start_of_day() else {
            return Vec::new();
        };
        let mut ticks = Vec::new();
        // Of a day that steps do not begin on, the count begins at its midnight all the same.
        let into_day = first
            .timestamp()
            .duration_since(midnight.timestamp())
            .as_secs();
        let mut nth = if step < 86_400 { into_day / step } else { 0 };
        loop {
            let place = match step < 86_400 {
                true => midnight.checked_add((nth * step).seconds()),
                false => midnight.checked_add((nth * (step / 86_400)).days()),
            };
            nth += 1;
            let Ok(place) = place else { break };
            if place.timestamp() > self.span.end {
                break;
            }
            if place.timestamp() < self.span.start {
                continue;
            }
            let is_midnight = (place.hour(), place.minute(), place.second()) == (0, 0, 0);
            let format = match step {
                86_400.. => "%d %b",
                _ if is_midnight => "%a %d",
                60.. => "%H:%M",
                _ => "%H:%M:%S",
            };
            ticks.push(Tick {
                at: self.at(place.timestamp()),
                label: place.strftime(format).to_string(),
            });
        }
        ticks
    }
}

/// Round numbers from 0 to at least `largest`: the top, and those below it.
pub(super) fn values(largest: f64) -> (f64, Vec<Tick>) {
    if !(largest > 0.0 && largest.is_finite()) {
        let zero = Tick {
            at: 0.0,
            label: "0".to_owned(),
        };
        return (1.0, vec![zero]);
    }
    let rough = largest / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = factors
        .into_iter()
        .find(|factor| factor * power >= rough * (1.0 - 1e-9));
    let step = fits.unwrap_or(10.0) * power;
    let count = (largest / step * (1.0 - 1e-9)).ceil().max(1.0);
    let top = step * count;
    let decimals =
        (-step.log10().floor()).max(0.0) as usize + usize::from(step / power == 2.5 && step < 10.0);
    let tick = |nth: i32| Tick {
        at: f64::from(nth) / count,
        label: format!("{:.decimals$}", step * f64::from(nth)),
    };
    (top, (0..=count as i32).map(tick).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(start: &str, end: &str) -> Vec<String> {
        let span = Span {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        };
        let zone = TimeZone::posix("CET-1").unwrap();
        let axis = Axis::new(span, &zone).unwrap();
        axis.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn times_are_round_and_local() {
        assert_eq!(
            ticks("2026-11-24T17:00:00Z", "2026-11-25T06:27:00Z"),
            [
                "18:00", "20:00", "22:00", "Wed 25", "02:00", "04:00", "06:00"
            ]
        );
        assert_eq!(
            ticks("2026-11-24T17:00:00Z", "2026-11-24T17:00:20Z"),
            ["18:00:00", "18:00:05", "18:00:10", "18:00:15", "18:00:20"]
        );
        let month = ticks("2026-11-01T17:00:00Z", "2026-12-01T06:27:00Z");
        assert_eq!(month[0], "08 Nov");
        assert!(month.len() >= 3, "{month:?}");
    }

    #[test]
    fn numbers_are_round_and_begin_at_0() {
        let labels = |largest| -> Vec<String> {
            values(largest)
                .1
                .into_iter()
                .map(|tick| tick.label)
                .collect()
        };
        assert_eq!(labels(425.0), ["0", "200", "400", "600"]);
        assert_eq!(labels(0.08), ["0.00", "0.02", "0.04", "0.06", "0.08"]);
        assert_eq!(labels(0.0), ["0"]);
        for largest in [1e-6, 0.3, 1.0, 7.0, 99.0, 1e7] {
            let (top, ticks) = values(largest);
            assert!(top >= largest && top < largest * 2.6, "{largest}: {top}");
            assert!((2..=6).contains(&ticks.len()));
        }
    }
}
