//! The report as Markdown for a paper's appendix: a paragraph with the facts, tables, data quality,
//! method, and how to verify the record.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value};

use super::html::render;
use super::view::view;
use super::{Summary, harmless};

/// The text for `runs`, with times in `zone` and whole commands where `full_command`.
pub fn document(runs: &[Summary], full_command: bool, now: Timestamp, zone: &TimeZone) -> String {
    let view = Value::from(Serde(view(runs, full_command, now, zone)));
    render(include_str!("appendix.md"), harmless::markdown, view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests as ledgers;

    fn of(ledgers: &[crate::ledger::Ledger]) -> String {
        let runs: Vec<Summary> = ledgers.iter().map(ledgers::summary).collect();
        let zone = TimeZone::posix("CET-1").unwrap();
        document(&runs, false, ledgers::at("2026-11-25T07:00:00Z"), &zone)
    }

    #[test]
    fn the_appendix_of_a_run() {
        insta::assert_snapshot!(of(&[ledgers::example()]));
    }

    #[test]
    fn little_is_not_nothing_and_a_figure_that_was_given_is_no_hardware() {
        let moment = ledgers::with(|what| {
            if let crate::ledger::entry::What::Segment(segment) = what {
                for reading in &mut segment.energy {
                    reading.joules.0 *= 1e-9;
                    reading.kind = crate::ledger::entry::EnergyKind::Assumed;
                }
            }
        });
        let mut run = ledgers::summary(&moment);
        run.meters = vec![crate::ledger::entry::MeterFact {
            component: "all".to_owned(),
            name: "--power 100".to_owned(),
            method: crate::ledger::entry::Method::Given,
            device: None,
            trouble: None,
        }];
        let now = ledgers::at("2026-11-25T07:00:00Z");
        let text = document(&[run.clone(), run], false, now, &TimeZone::UTC);
        assert!(
            text.contains("0.6 µg (between 0.3 µg and 1.2 µg)"),
            "{text}"
        );
        assert!(text.contains("Hardware: not recorded."), "{text}");
        assert!(text.contains("counted: what was given"), "{text}");
        let total = text.lines().find(|line| line.starts_with("| **total**"));
        assert!(total.unwrap().contains("µg"), "{text}");
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        let text = of(&[
            ledgers::example(),
            ledgers::assumed(),
            ledgers::unfinished(),
        ]);
        let mut cells = None;
        let mut tables = 0;
        for line in text.lines() {
            if !line.starts_with('|') {
                cells = None;
                continue;
            }
            let count = line.replace(r"\|", "").matches('|').count();
            tables += usize::from(cells.is_none());
            assert_eq!(*cells.get_or_insert(count), count, "{line}");
        }
        assert!(tables > 6, "{text}");
    }
}
