//! The report as one page in one file: no scripts, no fonts, nothing fetched; light and dark, for a
//! phone, a screen and paper.
//!
//! The template's strings go through [`harmless::html`] on their way out, whoever wrote them, so
//! that none can be forgotten; only the charts, which are made here of numbers, pass as they are.
//! A policy in the page's head forbids scripts and connections all the same.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};

use super::view::view;
use super::{Summary, harmless};

mod axis;
mod chart;
mod series;

/// Points of a chart of one run, and of each of many.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=240;

/// The page for `runs`, with times in `zone` and whole commands where `full_command`.
pub fn document(runs: &[Summary], full_command: bool, now: Timestamp, zone: &TimeZone) -> String {
    let columns = (600 / runs.len().max(1)).clamp(*COLUMNS.start(), *COLUMNS.end());
    let charts = runs
        .iter()
        .map(|run| Value::from_safe_string(chart::charts(run, zone, columns)));
    let charts: Vec<Value> = charts.collect();
    let view = Value::from(Serde(view(runs, full_command, now, zone)));
    render(
        include_str!("page.html"),
        harmless::html,
        context! { charts, ..view },
    )
}

/// Fills in a template; strings that are not known to be safe go through `sink`.
pub(super) fn render(template: &str, sink: fn(&str) -> String, context: Value) -> String {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax.expect("the usual delimiters differ from each other"));
    // What macros give is safe then, since what went into it was made so.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(move |out, _, value| {
        match value.as_str() {
            Some(text) if !value.is_safe() => out.write_str(&sink(text))?,
            _ if value.is_undefined() || value.is_none() => {}
            _ => out.write_str(&value.to_string())?,
        }
        Ok(())
    });
    environment
        .render_str(template, context)
        .expect("the templates are part of the program and tested")
}

#[cfg(test)]
mod tests;
