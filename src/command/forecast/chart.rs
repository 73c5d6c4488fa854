//! A forecast as bars of text, with an axis of local times.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::forecast::{Point, Series, Span};
use crate::words::{Look, Paint};

/// Eighths of a cell.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const HOUR: i64 = 3600;

/// How large a chart is, and what its bars stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    rows: usize,
    columns: usize,
    /// With numbers beside the rows.
    labelled: bool,
}

impl Size {
    /// For one zone.
    pub(super) fn of(look: Look) -> Self {
        Self {
            rows: if look.unicode { 5 } else { 8 },
            columns: look.width.clamp(34, 130) - 6,
            labelled: true,
        }
    }

    /// A single row beside a name.
    pub(super) fn small(look: Look, name: usize) -> Self {
        Self {
            rows: 1,
            columns: look.width.clamp(40, 130).saturating_sub(name + 1).max(20),
            labelled: false,
        }
    }
}

/// The least and the greatest intensity.
pub(super) fn range(points: &[Point]) -> (f64, f64) {
    let values = || points.iter().map(|point| point.intensity.0);
    let low = values().fold(f64::INFINITY, f64::min);
    (
        low.min(values().fold(0.0, f64::max)),
        values().fold(0.0, f64::max),
    )
}

/// The lines of the chart: bars, axis, labels.
pub(super) fn draw(series: &Series, tz: &TimeZone, look: Look, size: Size) -> Vec<String> {
    let Some(whole) = series.span() else {
        return Vec::new();
    };
    let hours = (whole.length().as_secs() / HOUR as u64).max(1) as usize;
    // Whole columns an hour, or whole hours a column: else the steps would look uneven.
    let (wide, per_column) = match size.columns / hours {
        0 => (1, hours.div_ceil(size.columns)),
        wide => (wide.min(4), 1),
    };
    let step = Duration::from_secs((HOUR as usize * per_column) as u64);
    let values: Vec<Option<f64>> = series
        .resample(whole.start, step, hours / per_column)
        .into_iter()
        .map(|value| value.map(|value| value.0))
        .collect();
    let paints = paints(&values, 12 / per_column.min(12));

    let (low, high) = range(series.points());
    let (base, row_height) = scale(low, high, size);
    let mut lines = Vec::new();
    for row in (0..size.rows).rev() {
        let floor = base + row as f64 * row_height;
        let mut line = match size.labelled {
            true => format!("{:>4} ┤", (floor + row_height).round()),
            false => " ".to_owned(),
        };
        let cells: Vec<(char, Option<Paint>)> = (values.iter().zip(&paints))
            .map(
                |(value, paint)| match bar(*value, floor, row_height, row == 0, look) {
                    ' ' => (' ', None),
                    cell => (cell, *paint),
                },
            )
            .collect();
        for run in cells.chunk_by(|a, b| a.1 == b.1) {
            let text: String = (run.iter())
                .flat_map(|(cell, _)| std::iter::repeat_n(*cell, wide))
                .collect();
            line += &match run[0].1 {
                Some(paint) => look.paint(paint, &text),
                None => text,
            };
        }
        lines.push(line);
    }
    let corner = match size.labelled {
        true => format!("{base:>4} └"),
        false => " ".to_owned(),
    };
    lines.extend(axis(whole, tz, wide, per_column, values.len(), &corner));
    lines
}

/// Where the bars stand, and how much a row is. Where all values are high the bars do not stand on
/// zero, or nothing could be seen; the number at the foot says so.
fn scale(low: f64, high: f64, size: Size) -> (f64, f64) {
    let rows = size.rows as f64;
    let is_flat = high - low < 0.02 * high;
    if !size.labelled {
        return match is_flat {
            // Drawn at half height rather than blown up from noise.
            true => (high / 2.0, high.max(1.0)),
            false => (low - (high - low) / 8.0, (high - low) * 9.0 / 8.0),
        };
    }
    if is_flat || low <= high / 2.0 {
        return (0.0, nice(high / rows));
    }
    let mut step = nice((high - low) / rows);
    loop {
        let base = ((low / step - 0.1).floor() * step).max(0.0);
        if base + rows * step >= high {
            return (base, step);
        }
        step = nice(step * 1.01);
    }
}

/// The cell of a bar that reaches `value`, in the row from `floor` up.
fn bar(value: Option<f64>, floor: f64, height: f64, is_bottom: bool, look: Look) -> char {
    let Some(value) = value else { return ' ' };
    let filled = ((value - floor) / height * 8.0).round().clamp(0.0, 8.0) as usize;
    match look.unicode {
        true if is_bottom => BARS[filled.max(1)],
        true => BARS[filled],
        false if filled >= 4 || is_bottom => '#',
        false => ' ',
    }
}

/// Green, yellow, red by the place in the range of the day around each column.
fn paints(values: &[Option<f64>], half_day: usize) -> Vec<Option<Paint>> {
    (0..values.len())
        .map(|index| {
            let value = values[index]?;
            let day =
                &values[index.saturating_sub(half_day)..(index + half_day + 1).min(values.len())];
            let low = day.iter().flatten().copied().fold(value, f64::min);
            let high = day.iter().flatten().copied().fold(value, f64::max);
            if high - low < 0.02 * high {
                return None;
            }
            Some(match (value - low) / (high - low) {
                place if place < 1.0 / 3.0 => Paint::Clean,
                place if place < 2.0 / 3.0 => Paint::Middling,
                _ => Paint::Dirty,
            })
        })
        .collect()
}

/// The smallest step at or above `least` that reads well.
fn nice(least: f64) -> f64 {
    const STEPS: [f64; 11] = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let least = least.max(1.0);
    let power = 10_f64.powf(least.log10().floor());
    (STEPS.iter().map(|step| step * power))
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

/// Ticks at round local hours, the day's name at midnight.
fn axis(
    whole: Span,
    tz: &TimeZone,
    wide: usize,
    per_column: usize,
    columns: usize,
    corner: &str,
) -> [String; 2] {
    let cells = columns * wide;
    let every = [1, 2, 3, 6, 12, 24, 48, 96, 192]
        .into_iter()
        .find(|hours| hours * wide / per_column >= 6)
        .unwrap_or(192);
    let mut ticks = vec!['─'; cells];
    let mut labels = vec![' '; cells + 4];
    let mut free_from = 0;
    for column in 0..columns {
        let seconds = (column * per_column) as i64 * HOUR;
        let Ok(at) = whole.start.checked_add(SignedDuration::from_secs(seconds)) else {
            break;
        };
        // The first whole hour of the column that a label may stand for; zones with half hours too.
        let local = at.to_zoned(tz.clone());
        let hour_in_column = (0..per_column as i8).find_map(|later| {
            let hour = (local.hour() + later) % 24;
            let days = local.date().day() as usize;
            let due = match every {
                24.. => hour == 0 && (every == 24 || days.is_multiple_of(every / 24)),
                every => (hour as usize).is_multiple_of(every),
            };
            due.then_some((hour, later))
        });
        let Some((hour, later)) = hour_in_column else {
            continue;
        };
        let text = match hour {
            0 => {
                let then = local.checked_add(SignedDuration::from_hours(i64::from(later)));
                then.map_or_else(|_| String::new(), |then| then.strftime("%a").to_string())
            }
            hour => format!("{hour:02}"),
        };
        let cell = column * wide;
        if cell < free_from || cell + text.len() > labels.len() {
            continue;
        }
        ticks[cell] = '┬';
        for (offset, letter) in text.chars().enumerate() {
            labels[cell + offset] = letter;
        }
        free_from = cell + text.len() + 1;
    }
    let space = " ".repeat(corner.chars().count());
    [
        format!("{corner}{}", String::from_iter(ticks)),
        format!("{space}{}", String::from_iter(labels))
            .trim_end()
            .to_owned(),
    ]
}
