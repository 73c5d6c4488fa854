use super::*;
use crate::ledger::Ledger;
use crate::ledger::entry::What;
use crate::report::tests as ledgers;

fn zone() -> TimeZone {
    TimeZone::posix("CET-1").unwrap()
}

fn now() -> Timestamp {
    ledgers::at("2026-11-25T06:30:00Z")
}

fn end(ledger: &Ledger) -> String {
    end_of_run(&ledgers::summary(ledger), Look::PLAIN, now(), &zone())
}

/// The rows named `label`, as one line each.
fn rows(ledger: &Ledger, label: &str) -> String {
    let text = end(ledger);
    let is_start = |line: &&str| line.starts_with(&format!("  {label} "));
    let mut lines = text.lines().skip_while(|line| !is_start(line));
    let first = lines.next().unwrap_or_default().to_owned();
    let more = lines.take_while(|line| line.starts_with("             "));
    let whole = more.fold(first, |whole, line| {
        format!("{whole} {}", line.trim_start())
    });
    whole.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_end_of_a_run_that_waited() {
    insta::assert_snapshot!(end(&ledgers::example()), @"
    catrain: python train.py ended with 0 after 13 h 27 m: held 6 h 40 m,
      ran 6 h 2 m, paused 45 m in 1 pause
      energy     2.41 kWh    GPU 2.10 measured, CPU 0.28 measured,
                             memory 0.03 estimated; 0.06 of it while paused
      emissions  551 g       488 to 621 g; intensity observed 93 %, forecast 7 %;
                             IT equipment only
      run-now    773 g       avoided 222 g (29 %; difference on the average mix,
                             partly by forecast)
      deadline   kept, 1 h 33 m early
      report     catrain report r7k2
    ");
}

#[test]
fn the_whole_report_of_a_run() {
    let summary = ledgers::summary(&ledgers::example());
    insta::assert_snapshot!(full(&summary, false, Look::PLAIN, now(), &zone()));
}

#[test]
fn avoided_emissions_that_are_negative_are_told_with_their_reason() {
    insta::assert_snapshot!(
        rows(&ledgers::wrong_forecast(), "run-now"),
        @"run-now 495 g avoided −195 g (−39 %): the forecast was wrong after 00:40 (said 223, came 290 g/kWh)"
    );
}

#[test]
fn stops_that_cost_more_than_they_saved_are_named_as_the_reason() {
    let flat = ledgers::with(|what| {
        if let What::Intensity { points, .. } = what {
            points
                .iter_mut()
                .for_each(|point| point.g_per_kwh.0 = 300.0);
        }
    });
    insta::assert_snapshot!(rows(&flat, "run-now"), @"run-now 705 g avoided −18 g (−3 %): the stops themselves emitted 18 g");
}

#[test]
fn a_job_that_failed_is_not_compared_and_met_no_deadline() {
    let failed = ledgers::ended(Some(Exit::Code(3)), None);
    assert!(end(&failed).starts_with("catrain: python train.py ended with 3 after"));
    assert_eq!(
        rows(&failed, "run-now"),
        "run-now not compared the job failed"
    );
    assert_eq!(
        rows(&failed, "deadline"),
        "deadline not met the work was not done"
    );
}

#[test]
fn a_job_that_was_killed_is_told_by_its_signal_and_why() {
    let killed = ledgers::ended(Some(Exit::Signal(9)), Some("the budget was used up"));
    let text = end(&killed);
    assert!(
        text.starts_with("catrain: python train.py ended by signal KILL (the budget was used up)"),
        "{text}"
    );
}

#[test]
fn a_run_without_an_end_says_that_its_sums_are_lower_bounds() {
    insta::assert_snapshot!(end(&ledgers::unfinished()), @"
    catrain: python train.py has no recorded end, at least 13 h 27 m: held 6 h 40 m,
      ran 6 h 2 m, paused 45 m in 1 pause
      energy     2.41 kWh    GPU 2.10 measured, CPU 0.28 measured,
                             memory 0.03 estimated; 0.06 of it while paused
      emissions  551 g       488 to 621 g; intensity observed 93 %, forecast 7 %;
                             IT equipment only
      run-now    not compared  the run has no recorded end
      deadline   09:00       still ahead
      note       no end is recorded: the run goes on or was cut short;
                 all sums are lower bounds
      report     catrain report r7k2
    ");
}

#[test]
fn a_replay_says_that_nothing_was_saved() {
    assert_eq!(
        rows(&ledgers::replay(), "replay"),
        "replay of DE_2020.csv at 600 times speed: nothing was really saved"
    );
}

#[test]
fn assumed_energy_is_an_estimate_of_two_digits_and_never_called_measured() {
    let text = end(&ledgers::assumed());
    insta::assert_snapshot!(text, @"
    catrain: python train.py ended with 0 after 13 h 27 m: held 6 h 40 m,
      ran 6 h 2 m, paused 45 m in 1 pause
      energy     estimate: 2.4 kWh  all of it assumed from --power 390 W;
                             0.1 of it while paused
      emissions  estimate: 550 g  258 to 1169 g; intensity observed 93 %,
                             forecast 7 %; IT equipment only
      run-now    estimate: 770 g  avoided 220 g (29 %; difference on the average
                             mix, partly by forecast)
      deadline   kept, 1 h 33 m early
      report     catrain report r7k2
    ");
    assert!(!text.contains("measured"));
}

#[test]
fn a_run_that_never_waited_avoided_nothing() {
    let at_once = ledgers::with(|what| {
        if let What::Segment(segment) = what {
            segment.part = Part::Running;
            segment.causes.clear();
        }
    });
    assert!(rows(&at_once, "run-now").ends_with("the same: it ran at once"));
}

#[test]
fn a_facility_is_named_with_its_overhead() {
    let facility = ledgers::with(|what| {
        if let What::Begin(begin) = what {
            begin.pue = crate::units::Pue::try_from(1.2).ok();
        }
    });
    assert!(rows(&facility, "emissions").ends_with("; with PUE 1.2"));
    assert!(rows(&ledgers::example(), "emissions").ends_with("; IT equipment only"));
}

#[test]
fn emissions_of_unknown_intensity_are_unknown_and_not_zero() {
    let dark = ledgers::with(|what| {
        if let What::Intensity { points, .. } = what {
            points.clear();
        }
    });
    assert_eq!(
        rows(&dark, "emissions"),
        "emissions unknown 2.41 kWh at times of unknown intensity not in it; IT equipment only"
    );
}

#[test]
fn lost_and_torn_records_are_noted() {
    let mut ledger = ledgers::example();
    (ledger.lost, ledger.torn) = (7, Some(31));
    let text = end(&ledger);
    assert!(
        text.contains("7 entries were lost because the disk took none"),
        "{text}"
    );
    assert!(
        text.contains("a last line was cut off and left out (31 bytes)"),
        "{text}"
    );
}

#[test]
fn nothing_that_others_named_reaches_the_terminal_as_a_command() {
    let hostile = ledgers::with(|what| {
        let bad = || "\x1b]0;x\x07\u{202e}".to_owned();
        match what {
            What::Begin(begin) => {
                begin.name = bad();
                begin.command = vec![bad()];
                begin.zone = bad();
                begin.run = bad();
                begin.labels = vec![(bad(), bad())];
                begin.policy = bad();
                begin.replay = Some(crate::ledger::entry::ReplayOf {
                    trace: bad(),
                    speed: 1.0,
                });
            }
            What::Decision { reason, .. } => *reason = bad(),
            What::Warning { text } => *text = bad(),
            What::End { why, .. } => *why = Some(bad()),
            What::Segment(segment) => {
                for reading in &mut segment.energy {
                    (reading.component, reading.source) = (bad(), bad());
                    reading.kind = EnergyKind::Assumed;
                }
            }
            _ => {}
        }
    });
    let summary = ledgers::summary(&hostile);
    for text in [
        end_of_run(&summary, Look::PLAIN, now(), &zone()),
        full(&summary, false, Look::PLAIN, now(), &zone()),
    ] {
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(obeyed), "{text:?}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let look = Look {
        unicode: false,
        ..Look::PLAIN
    };
    for ledger in [
        ledgers::example(),
        ledgers::wrong_forecast(),
        ledgers::assumed(),
    ] {
        let summary = ledgers::summary(&ledger);
        let end = end_of_run(&summary, look, now(), &zone());
        let full = full(&summary, false, look, now(), &zone());
        for line in end.lines().chain(full.lines()) {
            assert!(line.len() <= 80 && line.is_ascii(), "{line}");
        }
    }
}

#[test]
fn a_few_joules_have_two_digits_as_well() {
    let joules = |joules: f64| words::energy(in_two_digits(Joules(joules).into()));
    assert_eq!(trimmed(&joules(2.0246)), "2.0 J");
    assert_eq!(trimmed(&joules(147.3)), "150 J");
    assert_eq!(trimmed(&joules(4000.0)), "1.1 Wh");
}

#[test]
fn two_digits_are_two_digits_in_any_unit() {
    let cases = [
        (512.3, "510 g"),
        (2412.0, "2.4 kg"),
        (24_120.0, "24 kg"),
        (2004.0, "2.0 kg"),
    ];
    for (value, words) in cases {
        assert_eq!(grams(GramsCo2e(value), true), format!("estimate: {words}"));
    }
}

/// The summary of a record that is being written, or was, with that head.
fn recorded(ledger: &Ledger, is_written: bool) -> Summary {
    let mut summary = ledgers::summary(ledger);
    summary.record = Some(crate::report::Record {
        is_chained: Some(true),
        head: Some("12c3".repeat(16)),
        is_written: Some(is_written),
    });
    summary
}

#[test]
fn a_run_that_goes_on_is_running_and_one_that_was_killed_is_not() {
    let tell = |is_written| {
        let run = recorded(&ledgers::unfinished(), is_written);
        full(&run, false, Look::PLAIN, now(), &zone())
    };
    let (running, killed) = (tell(true), tell(false));
    assert!(
        running.contains("python train.py is running, 14 h so far: held 6 h 40 m"),
        "{running}"
    );
    assert!(running.contains(" – now "), "{running}");
    assert!(running.contains("the run goes on: all sums are of what is recorded so far"));
    assert!(
        running.contains("not compared  the run goes on"),
        "{running}"
    );
    assert!(!running.contains("no recorded end") && !running.contains("  head "));
    assert!(
        killed.contains("has no recorded end, at least 13 h 27 m"),
        "{killed}"
    );
    assert!(killed.contains("the run was cut short"), "{killed}");
}

#[test]
fn a_run_that_has_not_started_its_job_waits() {
    let mut entries = ledgers::example().entries;
    entries.truncate(3);
    let run = recorded(&Ledger::from_entries(entries), true);
    let text = full(&run, false, Look::PLAIN, now(), &zone());
    assert!(text.contains("waits to be started, 14 h so far"), "{text}");
}

#[test]
fn the_head_stands_at_the_end_of_a_short_run_too() {
    let short = ledgers::with(|what| {
        if let What::Segment(segment) = what {
            segment.part = Part::Running;
            segment.from_s /= 10_000.0;
            segment.to_s /= 10_000.0;
        }
    });
    let mut entries = short.entries;
    for entry in &mut entries {
        entry.elapsed_s /= 10_000.0;
    }
    let run = recorded(&Ledger::from_entries(entries), false);
    let text = end_of_run(&run, Look::PLAIN, now(), &zone());
    let head = "12c3".repeat(16);
    assert_eq!(
        text,
        format!(
            "catrain: python train.py ended with 0 after 5 s: ran 5 s (catrain report r7k2)\n  head       {head}\n"
        )
    );
}

#[test]
fn little_energy_is_little_in_tables_of_runs_too() {
    let moment = ledgers::with(|what| {
        if let What::Segment(segment) = what {
            for reading in &mut segment.energy {
                reading.joules.0 *= 1e-8;
            }
        }
    });
    let run = ledgers::summary(&moment);
    let mut other = run.clone();
    other.begin.run = "m3q9".to_owned();
    for by in [
        crate::report::groups::Grouping::Run,
        crate::report::groups::Grouping::Day,
    ] {
        let runs = [run.clone(), other.clone()];
        let text = totals(&runs, Some(&by), Look::PLAIN, now(), &zone());
        let total = text.lines().last().unwrap();
        // The sum of what is shown, so that it depends on how it is cut.
        let is_little = total.contains("0.18 J") || total.contains("0.17 J");
        assert!(is_little && total.contains("µg"), "{text}");
        assert!(!text.contains(" 0 Wh") && !text.contains(" 0 g"), "{text}");
    }
}

#[test]
fn energy_begins_with_the_largest_and_leaves_out_what_shows_as_nothing() {
    let mostly_gpu = ledgers::with(|what| {
        if let What::Segment(segment) = what {
            for reading in &mut segment.energy {
                if reading.component != "gpu 0" {
                    reading.joules.0 *= 1e-6;
                }
            }
            segment.energy.reverse();
        }
    });
    let energy = rows(&mostly_gpu, "energy");
    assert!(
        energy.starts_with("energy 2.10 kWh GPU 2.10 measured; "),
        "{energy}"
    );
    let two_figures = ledgers::with(|what| {
        if let What::Segment(segment) = what {
            for reading in &mut segment.energy {
                reading.kind = EnergyKind::Assumed;
                reading.source = match segment.part {
                    Part::Running => "--power 300".to_owned(),
                    _ => "--idle-power 30".to_owned(),
                };
                reading.component = "all".to_owned();
            }
        }
    });
    let energy = rows(&two_figures, "energy");
    assert!(
        energy.contains("kWh 2.3 assumed from --power 300, 0.1 assumed from --idle-power 30"),
        "{energy}"
    );
}

#[test]
fn embodied_emissions_that_were_asked_for_and_are_not_known_say_why() {
    let ask = |unit| crate::report::Ask {
        hardware: Some(crate::report::Hardware::Table),
        units: crate::report::Units { unit, count: None },
        ..now().into()
    };
    let tell = |unit| {
        let run = crate::report::summarise(&ledgers::example(), ask(unit)).unwrap();
        end_of_run(&run, Look::PLAIN, now(), &zone())
    };
    let text = tell(None);
    assert!(
        text.contains("  embodied   not told    no GPU was metered"),
        "{text}"
    );
    // Once, and not of what nobody asked about.
    assert_eq!(tell(Some("run")).matches("no GPU was metered").count(), 1);
    assert!(!end(&ledgers::example()).contains("embodied"));
}

#[test]
fn a_narrow_terminal_gets_short_indents_and_no_empty_colours() {
    let look = Look {
        width: 30,
        colour: true,
        ..Look::PLAIN
    };
    let run = ledgers::summary(&ledgers::example());
    let text = full(&run, false, look, now(), &zone());
    assert!(!text.contains("\x1b[2m\x1b[0m") && !text.contains("\x1b[1m\x1b[0m"));
    let plain = Look {
        colour: false,
        ..look
    };
    let text = end_of_run(&run, plain, now(), &zone());
    for line in text.lines() {
        assert!(line.chars().count() <= 30, "{line:?} of {text}");
        assert!(!line.starts_with(&" ".repeat(14)), "{line:?} of {text}");
    }
}
