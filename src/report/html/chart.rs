//! The charts of one run: intensity with the run as bands beneath, power, and cumulative emissions
//! against run-now's.
//!
//! Shapes are SVG that stretches with the page, labels are text beside it, so that they stay readable
//! at any width. Bands stand in a lane each with its name, lines differ in their dashes: nothing is
//! told by colour alone. A table behind the charts has the bands for whoever does not see them.

use std::fmt::Write;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::axis::{Axis, Tick, values};
use super::series::{self, Band, Step};
use crate::emissions::{PARTS, priced_span, run_now};
use crate::forecast::Span;
use crate::ledger::entry::Cause;
use crate::report::groups::light;
use crate::report::harmless::html;
use crate::report::{Emissions, Summary};
use crate::units::{GramsCo2e, KilowattHours, Pue};
use crate::words;

/// Width and height of a drawing in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;
/// Most rows of the table behind the charts.
const ROWS: usize = 60;

/// The figures of `run`, with times in `zone`; thinned to so many columns.
pub(super) fn charts(run: &Summary, zone: &TimeZone, columns: usize) -> String {
    let Some(axis) = Axis::new(shown_span(run), zone) else {
        return "<p>The run was too short for charts.</p>\n".to_owned();
    };
    let own = run.emissions.first();
    let pue = run.begin.pue.unwrap_or(Pue::NONE);
    let priced = own.map(|own| (&own.intensities, own.basis));
    let bands = series::bands(&run.segments, priced, pue);
    let mut all = String::new();
    if let Some(own) = own {
        let steps = series::intensity(&own.intensities, &axis, columns);
        let caption = format!(
            "Carbon intensity, g CO2e per kWh ({}), and what the run did",
            own.basis
        );
        all.push_str(&figure(
            "intensity",
            &caption,
            &steps,
            "g/kWh",
            &axis,
            &lanes(&bands, &axis, columns),
        ));
    }
    let steps = series::power(&run.segments, &axis, columns);
    all.push_str(&figure(
        "power",
        "Power of the IT equipment, W",
        &steps,
        "W",
        &axis,
        "",
    ));
    if let Some(own) = own.filter(|own| own.account.mean().is_some()) {
        all.push_str(&cumulative(run, own, pue, &axis, columns));
    }
    all.push_str(&table(&bands, &axis));
    all
}

/// The time of all charts: to the end of the run or of its last segment. A clock that was set back
/// leaves none of that, or too little; the length that was counted then takes the place of the end.
fn shown_span(run: &Summary) -> Span {
    let end = run.ended_at.unwrap_or(run.last_at);
    let last = run.segments.iter().map(|s| priced_span(s).end).max();
    let end = last.map_or(end, |last| last.max(end));
    match run.started_at < end {
        true => Span {
            start: run.started_at,
            end,
        },
        false => {
            let length = Duration::try_from_secs_f64(run.elapsed_s()).unwrap_or_default();
            Span::new(run.started_at, length)
        }
    }
}

/// A stepped line with the room between its smallest and largest values, and what stands beneath.
fn figure(
    class: &str,
    caption: &str,
    steps: &[Step],
    unit: &str,
    axis: &Axis,
    below: &str,
) -> String {
    if steps.is_empty() {
        return format!("<p>{}: nothing is known.</p>\n{below}", html(caption));
    }
    let largest = steps.iter().map(|step| step.high).fold(0.0, f64::max);
    let (top, ticks) = values(largest);
    let y = |value: f64| HEIGHT * (1.0 - value / top);
    let mut shapes = String::new();
    let thinned = steps.iter().any(|step| step.low < step.high);
    if thinned {
        let mut room = String::new();
        for step in steps {
            let (from, to) = (WIDTH * step.from, WIDTH * step.to);
            let _ = write!(
                room,
                "M{from:.1} {:.1}H{to:.1}V{:.1}H{from:.1}z",
                y(step.high),
                y(step.low)
            );
        }
        let _ = write!(shapes, "<path class=\"room\" d=\"{room}\"/>");
    }
    // Firm and soft knowledge in two lines, each in one path.
    for (class, is_firm) in [("line firm", true), ("line soft", false)] {
        let mut path = String::new();
        let mut reached = None;
        for step in steps {
            if is_firm_mark(step.mark) != is_firm {
                reached = None;
                continue;
            }
            let (from, to, at) = (WIDTH * step.from, WIDTH * step.to, y(step.mean));
            let follows = reached.is_some_and(|reached: f64| (reached - from).abs() < 0.01);
            let _ = match follows {
                true => write!(path, "V{at:.1}H{to:.1}"),
                false => write!(path, "M{from:.1} {at:.1}H{to:.1}"),
            };
            reached = Some(to);
        }
        if !path.is_empty() {
            let _ = write!(shapes, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }
    for step in steps {
        let (from, to) = (
            axis.words(axis.time(step.from)),
            axis.words(axis.time(step.to)),
        );
        let mean = number(step.mean);
        let range = match step.low < step.high {
            true => format!(" ({} to {})", number(step.low), number(step.high)),
            false => String::new(),
        };
        let mark = if step.mark.is_empty() {
            String::new()
        } else {
            format!(", {}", step.mark)
        };
        let title = html(&format!("{from} – {to}: {mean}{range} {unit}{mark}"));
        let (x, width) = (WIDTH * step.from, WIDTH * (step.to - step.from));
        let _ = write!(
            shapes,
            "<rect class=\"hit\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\"><title>{title}</title></rect>"
        );
    }
    let has_soft = steps.iter().any(|step| !is_firm_mark(step.mark));
    let key = match has_soft {
        true => {
            "<span class=\"key\"><i class=\"line firm\"></i>observed</span> <span class=\"key\"><i class=\"line soft\"></i>not observed</span>"
        }
        false => "",
    };
    plot(class, caption, key, &ticks, &shapes, axis, below)
}

fn is_firm_mark(mark: &str) -> bool {
    matches!(mark, "" | "observed" | "preliminary")
}

fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    };
    // Nothing has no sign.
    match text.strip_prefix('-') {
        Some(size) if size.trim_matches(['0', '.']).is_empty() => size.to_owned(),
        _ => text,
    }
}

/// A field with its axes.
fn plot(
    class: &str,
    caption: &str,
    key: &str,
    ticks: &[Tick],
    shapes: &str,
    axis: &Axis,
    below: &str,
) -> String {
    let caption = html(caption);
    let mut grid = String::new();
    let mut labels = String::new();
    for tick in ticks {
        let at = 100.0 * (1.0 - tick.at);
        let _ = write!(grid, "<path class=\"grid\" d=\"M0 {at:.1}H{WIDTH}\"/>");
        let _ = write!(
            labels,
            "<span style=\"top:{at:.1}%\">{}</span>",
            html(&tick.label)
        );
    }
    let mut times = String::new();
    for (nth, tick) in axis.ticks().iter().enumerate() {
        let at = 100.0 * tick.at;
        let _ = write!(
            grid,
            "<path class=\"grid\" d=\"M{:.1} 0V{HEIGHT}\"/>",
            WIDTH * tick.at
        );
        let side = match tick.at {
            at if at < 0.04 => " first",
            at if at > 0.96 => " last",
            _ => "",
        };
        let odd = if nth % 2 == 1 { " odd" } else { "" };
        let _ = write!(
            times,
            "<span class=\"t{side}{odd}\" style=\"left:{at:.2}%\">{}</span>",
            html(&tick.label)
        );
    }
    format!(
        "<figure class=\"chart {class}\"><figcaption>{caption} {key}</figcaption>\n\
         <div class=\"field\"><div class=\"y\" aria-hidden=\"true\">{labels}</div>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{caption}\">{grid}{shapes}</svg></div>\n\
         {below}<div class=\"times\" aria-hidden=\"true\">{times}</div></figure>\n"
    )
}

/// A lane for each part that there was.
fn lanes(bands: &[Band], axis: &Axis, columns: usize) -> String {
    let mut lanes = String::new();
    for (part, name) in PARTS {
        let own = bands
            .iter()
            .filter(|band| band.part == part && band.seconds > 0.0);
        let places = series::places(own, axis, columns);
        if places.is_empty() {
            continue;
        }
        let mut shapes = String::new();
        for (from, to, of) in places {
            let title = html(&told(&of, axis));
            // What is too short to be seen is drawn as wide as can be seen.
            let (x, width) = (WIDTH * from, (WIDTH * (to - from)).max(1.5));
            let x = x.min(WIDTH - width);
            let _ = write!(
                shapes,
                "<rect x=\"{x:.1}\" width=\"{width:.1}\" height=\"10\"><title>{title}</title></rect>"
            );
        }
        let _ = writeln!(
            lanes,
            "<div class=\"lane {name}\"><span>{name}</span><svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"when it was {name}\">{shapes}</svg></div>"
        );
    }
    lanes
}

fn told(bands: &[&Band], axis: &Axis) -> String {
    let (Some(first), Some(last)) = (bands.first(), bands.last()) else {
        return String::new();
    };
    let seconds: f64 = bands.iter().map(|band| band.seconds).sum();
    let times = if bands.len() > 1 {
        format!(" in {} times", bands.len())
    } else {
        String::new()
    };
    let causes = match causes(first) {
        causes if causes.is_empty() || bands.len() > 1 => String::new(),
        causes => format!(" ({causes})"),
    };
    format!(
        "{}{causes}, {} – {}: {}{times}",
        first.name,
        axis.words(first.start),
        axis.words(last.end),
        crate::report::text::span(seconds)
    )
}

fn causes(band: &Band) -> String {
    let word = |cause: &Cause| match cause {
        Cause::Carbon => "for carbon",
        Cause::Operator => "by an operator",
        Cause::Terminal => "by the terminal",
        Cause::Devices => "for devices that others use",
        Cause::Retry => "before another try",
        Cause::Queue => "for nodes",
        Cause::Leader => "as the node that leads",
    };
    band.causes.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn cumulative(run: &Summary, own: &Emissions, pue: Pue, axis: &Axis, columns: usize) -> String {
    // Beyond ten thousand grams the axis counts kilograms.
    let is_much = own.account.g.total().0.max(own.run_now.g.total().0) >= 1e4;
    let (unit, factor) = if is_much { ("kg", 1e-3) } else { ("g", 1.0) };
    let of = |segments: &[_]| -> Vec<(f64, f64)> {
        let points = series::cumulative(segments, &own.intensities, pue, axis, columns);
        points
            .into_iter()
            .map(|(at, grams)| (at, grams * factor))
            .collect()
    };
    let actual = of(&run.segments);
    let at_once = own
        .run_now
        .is_complete()
        .then(|| of(&run_now(&light(&run.segments)).segments));
    let most = |points: &[(f64, f64)]| points.last().map_or(0.0, |(_, mass)| *mass);
    let largest = most(&actual).max(at_once.as_deref().map_or(0.0, most));
    let (top, ticks) = values(largest);
    let path = |points: &[(f64, f64)]| {
        let mut path = String::new();
        for (nth, (at, grams)) in points.iter().enumerate() {
            let command = if nth == 0 { 'M' } else { 'L' };
            let _ = write!(
                path,
                "{command}{:.1} {:.1}",
                WIDTH * at,
                HEIGHT * (1.0 - grams / top)
            );
        }
        // To the end of the axis, since it stays.
        let _ = write!(path, "H{WIDTH}");
        path
    };
    let end = |points: &[(f64, f64)]| words::mass(GramsCo2e(most(points) / factor));
    let mut shapes = String::new();
    let mut key = String::new();
    if let Some(points) = &at_once {
        let _ = write!(
            shapes,
            "<path class=\"line now\" d=\"{}\"><title>run-now: {}</title></path>",
            path(points),
            end(points)
        );
        let _ = write!(
            key,
            "<span class=\"key\"><i class=\"line now\"></i>run-now, {}</span> ",
            end(points)
        );
    }
    let _ = write!(
        shapes,
        "<path class=\"line run\" d=\"{}\"><title>this run: {}</title></path>",
        path(&actual),
        end(&actual)
    );
    let _ = write!(
        key,
        "<span class=\"key\"><i class=\"line run\"></i>this run, {}</span>",
        end(&actual)
    );
    plot(
        "grams",
        &format!("Cumulative emissions, {unit} CO2e"),
        &key,
        &ticks,
        &shapes,
        axis,
        "",
    )
}

/// The bands as a table; of many the longest.
fn table(bands: &[Band], axis: &Axis) -> String {
    let mut kept: Vec<usize> = (0..bands.len()).collect();
    kept.sort_by(|a, b| {
        bands[*b]
            .seconds
            .total_cmp(&bands[*a].seconds)
            .then(a.cmp(b))
    });
    kept.truncate(ROWS);
    kept.sort_unstable();
    let mut rows = String::new();
    for at in &kept {
        let band = &bands[*at];
        let grams = band
            .grams
            .map_or("–".to_owned(), |grams| words::mass(GramsCo2e(grams)));
        let mean = band.grams.filter(|_| band.kwh > 0.0);
        let watts = match band.seconds > 0.0 {
            true => format!("{:.0} W", band.kwh * 3.6e6 / band.seconds),
            false => "–".to_owned(),
        };
        let cells = [
            axis.words(band.start),
            axis.words(band.end),
            [band.name, &causes(band)].join(" ").trim_end().to_owned(),
            watts,
            words::energy(KilowattHours(band.kwh)),
            grams,
            mean.map_or("–".to_owned(), |grams| {
                format!("{:.0} g/kWh", grams / band.kwh)
            }),
        ];
        rows.push_str("<tr>");
        for cell in cells {
            let _ = write!(rows, "<td>{}</td>", html(&cell));
        }
        rows.push_str("</tr>\n");
    }
    let hidden = bands.len() - kept.len();
    let left_out = match hidden {
        0 => String::new(),
        hidden => format!(
            "<p>The {hidden} shortest of {} stretches are left out.</p>\n",
            bands.len()
        ),
    };
    format!(
        "<details class=\"behind\"><summary>The charts as a table ({} h)</summary>\n<div class=\"wide\"><table><thead><tr><th>from</th><th>to</th><th>what</th><th>power</th><th>energy</th><th>emissions</th><th>by energy</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n{left_out}</details>\n",
        number(axis.hours())
    )
}
