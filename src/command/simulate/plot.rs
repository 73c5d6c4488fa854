//! Saved percent against slack, a line a policy, as one SVG file without scripts: light and dark,
//! told apart by colour, by dashes and by labels at the lines' ends.

use std::fmt::Write;

use super::page::Entry;
use crate::simulate::Policy;

const SIZE: (f64, f64) = (820.0, 480.0);
/// Left, top, right and bottom of the field.
const FIELD: (f64, f64, f64, f64) = (64.0, 72.0, 660.0, 416.0);
/// Least distance between the baselines of two labels.
const LABEL: f64 = 17.0;
/// Told apart also by the colour-blind (Okabe and Ito, 2008); the dashes tell them apart in grey.
const COLOURS: [(&str, &str); 7] = [
    ("#0072b2", "none"),
    ("#d55e00", "8 4"),
    ("#009e73", "2 3"),
    ("#cc79a7", "10 3 2 3"),
    ("#e69f00", "5 5"),
    ("#56b4e9", "1 4"),
    ("#999999", "12 4"),
];

/// One line: its name and its points, as slack in hours and saved percent.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The picture. Where several zones or durations have the same slack, their mean is drawn.
pub(super) fn draw(policies: &[Policy], entries: &[Entry]) -> String {
    let lines: Vec<Line> = policies
        .iter()
        .map(|policy| line(*policy, entries))
        .collect();
    let all = || lines.iter().flat_map(|line| &line.points);
    let most_slack = all().map(|point| point.0).fold(1.0, f64::max);
    let high = all().map(|point| point.1).fold(1.0, f64::max);
    let low = all().map(|point| point.1).fold(0.0, f64::min);
    let step = step(high - low);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let (left, top, right, bottom) = FIELD;
    let x = |slack: f64| left + slack / most_slack * (right - left);
    let y = |saved: f64| bottom - (saved - low) / (high - low) * (bottom - top);

    let mut svg = String::new();
    let (width, height) = SIZE;
    svg.push_str(&head(width, height, entries));
    let ticks = ((high - low) / step).round() as i64;
    for tick in 0..=ticks {
        let value = low + tick as f64 * step;
        let at = y(value);
        let class = if value.abs() < step / 10.0 {
            "zero"
        } else {
            "grid"
        };
        let number = format!("{value:.0} %").replace('-', "−");
        put(
            &mut svg,
            &format!(
                r#"<line class="{class}" x1="{left}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{number}</text>"#,
                left - 8.0,
                at + 4.0
            ),
        );
    }
    let mut slacks: Vec<f64> = all().map(|point| point.0).collect();
    slacks.sort_by(f64::total_cmp);
    slacks.dedup();
    let mut free = f64::NEG_INFINITY;
    for slack in slacks {
        let at = x(slack);
        // Numbers that would touch are left out.
        if at - free < 34.0 {
            continue;
        }
        free = at;
        put(
            &mut svg,
            &format!(
                r#"<line class="grid" x1="{at:.1}" y1="{bottom}" x2="{at:.1}" y2="{:.1}"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{slack:.0} h</text>"#,
                bottom + 5.0,
                bottom + 21.0
            ),
        );
    }
    put(
        &mut svg,
        &format!(
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">slack: how much later than necessary a job is due</text>"#,
            f64::midpoint(left, right),
            bottom + 44.0
        ),
    );
    let labels = labels(&lines, y);
    for (index, (line, label)) in lines.iter().zip(labels).enumerate() {
        let (colour, dash) = COLOURS[index % COLOURS.len()];
        let mut path = String::new();
        for (slack, saved) in &line.points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", x(*slack), y(*saved));
        }
        let name = escaped(&line.name);
        put(
            &mut svg,
            &format!(
                r#"<g stroke="{colour}" fill="{colour}"><path class="line" stroke-dasharray="{dash}" d="{path}"/>"#
            ),
        );
        for (slack, saved) in &line.points {
            let saved_words = format!("{saved:.1} %").replace('-', "−");
            put(
                &mut svg,
                &format!(
                    r#"<circle cx="{:.1}" cy="{:.1}" r="3.5"><title>{name}, {slack:.0} h of slack: {saved_words} saved</title></circle>"#,
                    x(*slack),
                    y(*saved)
                ),
            );
        }
        if let (Some((slack, saved)), Some(label)) = (line.points.last(), label) {
            put(
                &mut svg,
                &format!(
                    r#"<path class="lead" d="M{:.1} {:.1}L{:.1} {label:.1}"/></g><text x="{:.1}" y="{:.1}">{name}</text>"#,
                    x(*slack) + 5.0,
                    y(*saved),
                    right + 18.0,
                    right + 22.0,
                    label + 4.0
                ),
            );
        } else {
            put(&mut svg, "</g>");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn put(svg: &mut String, line: &str) {
    svg.push_str(line);
    svg.push('\n');
}

fn head(width: f64, height: f64, entries: &[Entry]) -> String {
    let mut zones: Vec<&str> = entries.iter().map(|entry| entry.zone.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    let shown = match zones.len() {
        0..=6 => zones.join(", "),
        many => format!("{many} zones"),
    };
    let what = escaped(&format!(
        "Emissions saved against running at once, by slack: {shown}"
    ));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{what}">
<style>
svg {{ background: #fff; font: 13px system-ui, sans-serif }}
text {{ fill: #222 }}
.title {{ font-size: 17px; font-weight: 600 }}
.grid {{ stroke: #ddd }}
.zero {{ stroke: #222 }}
.line {{ fill: none; stroke-width: 2.5; stroke-linejoin: round }}
.lead {{ fill: none; stroke-width: 1; opacity: .5 }}
@media (prefers-color-scheme: dark) {{
svg {{ background: #181818 }}
text {{ fill: #e6e6e6 }}
.grid {{ stroke: #3a3a3a }}
.zero {{ stroke: #e6e6e6 }}
}}
</style>
<title>{what}</title>
<text class="title" x="64" y="30">Emissions saved against running at once</text>
<text x="64" y="52">{}</text>
"#,
        escaped(&shown)
    )
}

fn line(policy: Policy, entries: &[Entry]) -> Line {
    let name = policy.to_string();
    let mut points: Vec<(f64, f64, f64)> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.policy == name) {
        let (Some(slack), Some(saved)) = (entry.slack, entry.row.saved_percent) else {
            continue;
        };
        let slack = slack.as_secs_f64() / 3600.0;
        match points.iter_mut().find(|point| point.0 == slack) {
            Some((_, sum, count)) => {
                *sum += saved;
                *count += 1.0;
            }
            None => points.push((slack, saved, 1.0)),
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Line {
        name,
        points: (points.into_iter())
            .map(|(slack, sum, count)| (slack, sum / count))
            .collect(),
    }
}

/// A round step that gives four to eight lines.
fn step(span: f64) -> f64 {
    let rough = span / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let fits = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= rough);
    (fits.unwrap_or(10.0) * power).max(1.0)
}

/// Where the lines' names stand, moved apart where they would touch.
fn labels(lines: &[Line], y: impl Fn(f64) -> f64) -> Vec<Option<f64>> {
    let mut wanted: Vec<(usize, f64)> = (lines.iter().enumerate())
        .filter_map(|(index, line)| Some((index, y(line.points.last()?.1))))
        .collect();
    wanted.sort_by(|a, b| a.1.total_cmp(&b.1));
    for at in 1..wanted.len() {
        wanted[at].1 = wanted[at].1.max(wanted[at - 1].1 + LABEL);
    }
    // What was pushed out below comes back up.
    let mut floor = FIELD.3 + LABEL;
    for (_, at) in wanted.iter_mut().rev() {
        *at = at.min(floor);
        floor = *at - LABEL;
    }
    let mut labels = vec![None; lines.len()];
    for (index, at) in wanted {
        labels[index] = Some(at);
    }
    labels
}

fn escaped(text: &str) -> String {
    (text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;"))
    .replace('"', "&quot;")
}
