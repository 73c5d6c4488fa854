//! The cleanest times to run without a pause: for the table of `catrain forecast`.

use std::time::Duration;

use jiff::Timestamp;

use super::{Series, Span};
use crate::units::GramsPerKwh;

/// A time to run in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// When.
    pub span: Span,
    /// Mean intensity in it.
    pub mean: GramsPerKwh,
    /// Saving against starting now, as a fraction of that: 0.34 is 34 % less. `None` where starting
    /// now has no known mean, or none above 0.
    pub saving: Option<f64>,
}

/// Up to `count` windows of `duration` that do not overlap, cleanest first, between `now` and
/// `until`. Empty where none fits or the duration is zero.
///
/// The mean over a sliding window changes its slope only where its start or its end meets a
/// boundary of the series, so only these starts are tried.
pub fn cleanest(
    series: &Series,
    now: Timestamp,
    until: Timestamp,
    duration: Duration,
    count: usize,
) -> Vec<Window> {
    let here = Span::new(now, duration);
    let reference = series.mean(here).filter(|mean| mean.0 > 0.0);
    let last_start = Span {
        start: now,
        end: until,
    };
    if here.end > until || duration.is_zero() {
        return Vec::new();
    }
    let boundaries = (series.points().iter()).flat_map(|point| [point.span.start, point.span.end]);
    let starts = boundaries.flat_map(|at| {
        let before = at.duration_since(here.end);
        [Some(at), now.checked_add(before).ok()]
    });
    let mut windows: Vec<Window> = std::iter::once(now)
        .chain(starts.flatten())
        .filter(|start| last_start.contains(*start))
        .map(|start| Span::new(start, duration))
        .filter(|span| span.end <= until)
        .filter_map(|span| {
            let mean = series.mean(span)?;
            let saving = reference.map(|reference| 1.0 - mean / reference);
            Some(Window { span, mean, saving })
        })
        .collect();
    windows.sort_by(|a, b| {
        (a.mean.0.total_cmp(&b.mean.0)).then_with(|| a.span.start.cmp(&b.span.start))
    });
    let mut chosen: Vec<Window> = Vec::new();
    for window in windows {
        if chosen.len() == count {
            break;
        }
        if chosen
            .iter()
            .all(|other| other.span.overlap(window.span).is_none())
        {
            chosen.push(window);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn day() -> (Timestamp, Series) {
        let start: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let values = [400.0, 400.0, 200.0, 100.0, 100.0, 300.0, 400.0, 150.0];
        let values = values.map(|value| Some(GramsPerKwh(value)));
        (start, Series::regular(start, HOUR, values, Kind::Live))
    }

    #[test]
    fn the_cleanest_windows_come_first_and_do_not_overlap() {
        let (start, series) = day();
        let now = start + jiff::SignedDuration::from_mins(30);
        let end = series.span().unwrap().end;
        let windows = cleanest(&series, now, end, 2 * HOUR, 3);
        let told: Vec<_> = (windows.iter())
            .map(|w| {
                (
                    w.span.start.to_string(),
                    w.mean.0.round(),
                    w.saving.unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "2026-11-24T03:00:00Z".to_owned(),
                    100.0,
                    1.0 - 100.0 / 350.0
                ),
                (
                    "2026-11-24T06:00:00Z".to_owned(),
                    275.0,
                    1.0 - 275.0 / 350.0
                ),
                (
                    "2026-11-24T01:00:00Z".to_owned(),
                    300.0,
                    1.0 - 300.0 / 350.0
                ),
            ]
        );
    }

    #[test]
    fn a_deadline_bounds_the_windows() {
        let (now, series) = day();
        let until = now + jiff::SignedDuration::from_hours(3);
        let windows = cleanest(&series, now, until, 2 * HOUR, 3);
        assert!(windows.iter().all(|window| window.span.end <= until));
        assert_eq!(windows[0].mean, GramsPerKwh(300.0));
        assert_eq!(cleanest(&series, now, until, 4 * HOUR, 3), []);
        assert_eq!(cleanest(&series, now, until, Duration::ZERO, 3), []);
    }

    #[test]
    fn no_shifted_window_is_cleaner_than_the_first() {
        let (now, series) = day();
        let end = series.span().unwrap().end;
        for minutes in [7, 30, 61, 95, 200] {
            let length = Duration::from_secs(minutes * 60);
            let best = cleanest(&series, now, end, length, 1)[0].mean.0;
            let least = (0..480)
                .filter_map(|minute| {
                    let start = now + jiff::SignedDuration::from_mins(minute);
                    series.mean(Span::new(start, length))
                })
                .fold(f64::INFINITY, |least, mean| least.min(mean.0));
            assert!(best <= least + 1e-9, "{minutes} m: {best} > {least}");
        }
    }

    #[test]
    fn with_now_in_a_hole_a_saving_is_unknown_not_zero() {
        let (start, series) = day();
        let now = start - jiff::SignedDuration::from_hours(1);
        let end = series.span().unwrap().end;
        assert_eq!(cleanest(&series, now, end, HOUR, 1)[0].saving, None);
    }
}
