use jiff::SignedDuration;

use super::*;
use crate::ledger::Ledger;
use crate::ledger::entry::{Cause, Entry, Part, What};
use crate::report::tests as ledgers;

fn page(ledger: &Ledger) -> String {
    let zone = TimeZone::posix("CET-1").unwrap();
    let now = ledgers::at("2026-11-25T07:00:00Z");
    document(&[ledgers::summary(ledger)], false, now, &zone)
}

/// The example's segments cut into many short ones, with pauses all over.
fn long(count: usize) -> Ledger {
    let mut entries = ledgers::example().entries;
    let end = entries.pop().unwrap();
    let pattern = entries
        .iter()
        .rev()
        .find(|entry| entry.segment().is_some())
        .cloned()
        .unwrap();
    let mut from = 48_420.0;
    let start = ledgers::at("2026-11-25T06:27:00Z");
    let step = 30.0 * 86_400.0 / count as f64;
    for nth in 0..count {
        let time = |seconds: f64| {
            start
                .checked_add(SignedDuration::from_millis(
                    ((seconds - 48_420.0) * 1e3) as i64,
                ))
                .unwrap()
        };
        let mut segment = pattern.segment().cloned().unwrap();
        (segment.from_s, segment.to_s) = (from, from + step);
        (segment.start, segment.end) = (time(from), time(from + step));
        if nth % 5 == 0 {
            segment.part = Part::Paused;
            segment.causes = vec![Cause::Carbon];
        }
        segment.energy[0].joules.0 = 20_000.0 + (nth % 97) as f64;
        from += step;
        entries.push(Entry {
            at: segment.end,
            elapsed_s: from,
            what: What::Segment(segment),
            ..pattern.clone()
        });
    }
    entries.push(Entry {
        at: entries.last().unwrap().at,
        elapsed_s: from,
        ..end
    });
    Ledger::from_entries(entries)
}

#[test]
fn a_month_of_segments_is_thinned_to_a_page_that_opens_at_once() {
    let summary =
        crate::report::summarise(&long(40_000), ledgers::at("2027-01-25T07:00:00Z")).unwrap();
    let page = document(
        &[summary],
        false,
        ledgers::at("2027-01-25T07:00:00Z"),
        &TimeZone::UTC,
    );
    assert!(page.len() < 300_000, "{} bytes", page.len());
    assert!(
        page.contains("shortest of 1"),
        "a table of all would have 16 000 rows"
    );
}

#[test]
fn the_bands_show_when_it_was_held_running_and_paused() {
    let page = page(&ledgers::example());
    for lane in ["lane held", "lane running", "lane paused"] {
        assert!(page.contains(lane), "{lane}");
    }
    assert!(!page.contains("lane saving"));
    assert!(
        page.contains("<title>held (for carbon), 18:00 – 00:40: 6 h 40 m</title>"),
        "{page}"
    );
    assert!(
        page.contains("<title>18:00 – 19:00: 412 g/kWh, observed</title>"),
        "{page}"
    );
}

#[test]
fn the_verdict_says_what_waiting_changed_or_why_that_is_not_said() {
    let verdict = |ledger: &Ledger| {
        let page = page(ledger);
        let (_, rest) = page.split_once("<p class=\"verdict\">").unwrap();
        rest.split_once("</p>").unwrap().0.to_owned()
    };
    insta::assert_snapshot!(verdict(&ledgers::example()), @"Emitted 551 g of CO2e, 222 g (29 %) less than the same work started at once would have (a difference on the average mix, not a claim of what the grid did otherwise).");
    insta::assert_snapshot!(verdict(&ledgers::wrong_forecast()), @"Waiting did not help. Emitted 689 g of CO2e, 195 g (39 %) more than the same work started at once would have; the forecast was wrong after 00:40 (said 223, came 290 g/kWh).");
    insta::assert_snapshot!(verdict(&ledgers::assumed()), @"Emitted about 550 g of CO2e, about 220 g (29 %) less than the same work started at once would have (a difference on the average mix, not a claim of what the grid did otherwise).");
    insta::assert_snapshot!(verdict(&ledgers::unfinished()), @"Emitted 551 g of CO2e; not compared with starting at once, because the run has no recorded end. The record is not whole: all sums are lower bounds.");
    insta::assert_snapshot!(verdict(&ledgers::replay()), @"A replay of DE_2020.csv at 600 times speed, so that nothing was really saved. In earnest it would have emitted 551 g of CO2e, 222 g (29 %) less than the same work started at once would have (a difference on the average mix, not a claim of what the grid did otherwise).");
}

#[test]
fn many_runs_are_folded_below_a_table_and_few_are_open() {
    let zone = TimeZone::UTC;
    let now = ledgers::at("2026-11-25T07:00:00Z");
    let of = |count: usize| {
        let runs = vec![ledgers::summary(&ledgers::example()); count];
        document(&runs, false, now, &zone)
    };
    assert_eq!(of(1).matches("<details class=\"run\"").count(), 0);
    assert!(!of(1).contains("class=\"overview\""));
    assert_eq!(of(5).matches("<details class=\"run\"").count(), 0);
    assert!(of(5).contains("class=\"overview\""));
    assert_eq!(of(6).matches("<details class=\"run\"").count(), 6);
}

#[test]
fn a_run_without_time_segments_or_intensities_has_a_page_all_the_same() {
    let none = ledgers::with(|what| {
        if let What::Intensity { points, .. } = what {
            points.clear();
        }
    });
    assert!(page(&none).contains("Its emissions are unknown"));
    let mut entries = ledgers::example().entries;
    entries.truncate(1);
    let begun = page(&Ledger::from_entries(entries));
    assert!(begun.contains("too short for charts"), "{begun}");
}

#[test]
fn a_clock_that_was_set_back_leaves_a_page_with_charts_and_is_told() {
    let mut entries = ledgers::example().entries;
    // From the pause on it is a day and a half earlier, so that the run ends before its start.
    let back = SignedDuration::from_hours(36);
    for entry in &mut entries {
        if entry.elapsed_s < 40_000.0 {
            continue;
        }
        entry.at -= back;
        if let What::Segment(segment) = &mut entry.what {
            segment.start -= back;
            segment.end -= back;
        }
    }
    let ledger = Ledger::from_entries(entries.clone());
    let text = page(&ledger);
    assert!(text.contains("figure class=\"chart power\""), "{text}");
    assert!(
        text.contains("the wall clock was set back by 36 h while it ran"),
        "{text}"
    );
    // And where nothing but the beginning and an earlier end is recorded.
    entries.retain(|entry| !matches!(entry.what, What::Segment(_)));
    page(&Ledger::from_entries(entries));
    assert!(!page(&ledgers::example()).contains("set back"));
}

#[test]
fn energy_of_a_moment_has_shares_of_what_there_is() {
    let moment = ledgers::with(|what| {
        if let What::Segment(segment) = what {
            for reading in &mut segment.energy {
                reading.joules.0 *= 1e-9;
            }
        }
    });
    let text = page(&moment);
    assert!(text.contains("<td class=\"number\">87 %</td>"), "{text}");
}

#[test]
fn power_that_is_none_has_no_sign() {
    let none = ledgers::with(|what| {
        if let What::Segment(segment) = what
            && segment.part == Part::Held
        {
            segment.energy.clear();
        }
    });
    let text = page(&none);
    assert!(text.contains("00:40: 0.00 W"), "{text}");
    assert!(!text.contains("-0.00") && !text.contains("-0 W"), "{text}");
}
