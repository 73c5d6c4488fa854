use super::*;
use crate::clock::{Clock, ManualClock};

const MINUTE: Duration = Duration::from_mins(1);

struct Run {
    clock: ManualClock,
    watch: Watch,
    facts: Facts,
}

impl Run {
    fn with(rules: Rules) -> Self {
        let clock = ManualClock::at(at("2026-11-24T18:00:00Z"));
        let facts = Facts {
            at: clock.now(),
            deadline: None,
            fit: None,
            intensity: None,
            source: None,
            spent: GramsCo2e::ZERO,
            budget: None,
            ledger_trouble: None,
        };
        Self {
            clock,
            watch: Watch::new(rules, "DE".to_owned()),
            facts,
        }
    }

    fn new() -> Self {
        Self::with(Rules::default())
    }

    /// Time passes, and something is as the function makes it; what is told.
    fn after(&mut self, time: Duration, change: impl FnOnce(&mut Facts)) -> Vec<String> {
        self.clock.advance(time);
        change(&mut self.facts);
        self.facts.at = self.clock.now();
        told(self.watch.seen(self.facts.clone()))
    }

    fn happens(&mut self, event: Event) -> Vec<String> {
        told(self.watch.happened(self.clock.now(), event))
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What is told, in short: `+rule` begins, `-rule` is over, `!rule` happens, `~rule` is moot.
fn told(changes: Vec<Change>) -> Vec<String> {
    let short = |change: Change| {
        let sign = match change.news {
            News::Happens(_) => '!',
            News::Begins(_) => '+',
            News::Over(_) => '-',
            News::Moot => '~',
        };
        let part = change.part.map_or(String::new(), |part| format!(" {part}"));
        format!("{sign}{}{part}", change.rule)
    };
    changes.into_iter().map(short).collect()
}

fn spare(minutes: u64) -> Option<Fit> {
    let spare = MINUTE * u32::try_from(minutes).unwrap();
    Some(Fit::Planned { spare })
}

#[test]
fn a_deadline_is_at_risk_by_the_margin_and_safe_only_well_beyond_it() {
    let mut run = Run::new();
    let due = at("2026-11-25T06:00:00Z");
    let first = run.after(MINUTE, |facts| {
        facts.deadline = Some(due);
        facts.fit = spare(60);
    });
    assert_eq!(first, ["-deadline-at-risk", "-ledger-gap"]);
    assert_eq!(
        run.after(MINUTE, |it| it.fit = spare(9)),
        ["+deadline-at-risk"]
    );
    assert!(run.after(MINUTE, |it| it.fit = spare(12)).is_empty());
    assert!(run.after(MINUTE, |it| it.fit = Some(Fit::Tight)).is_empty());
    assert!(run.after(MINUTE, |it| it.fit = None).is_empty());
    assert_eq!(
        run.after(MINUTE, |it| it.fit = spare(15)),
        ["-deadline-at-risk"]
    );
}

#[test]
fn a_missed_deadline_is_told_once_and_is_no_longer_at_risk() {
    let mut run = Run::new();
    run.after(MINUTE, |facts| {
        facts.deadline = Some(at("2026-11-24T18:30:00Z"));
        facts.fit = Some(Fit::CannotBeMet { late: MINUTE });
    });
    let told = run.after(30 * MINUTE, |_| {});
    assert_eq!(told, ["~deadline-at-risk", "!deadline-missed"]);
    assert!(run.after(MINUTE, |_| {}).is_empty());
}

#[test]
fn a_deadline_that_was_at_risk_and_kept_is_over_at_the_end() {
    let mut run = Run::new();
    run.after(MINUTE, |facts| {
        facts.deadline = Some(at("2026-11-24T18:30:00Z"));
        facts.fit = Some(Fit::Tight);
    });
    let told = run.happens(Event::Ended {
        exit: Some(Exit::Code(0)),
        why: None,
        was_asked: false,
        has_failed: false,
    });
    assert_eq!(told[0], "-deadline-at-risk");
    assert_eq!(told.last().unwrap(), "!run-ended");
    assert!(!told.contains(&"!job-failed".to_owned()));
}

#[test]
fn a_budget_is_told_at_80_and_at_100_percent_once_each() {
    let mut run = Run::new();
    let spent = |grams| {
        move |facts: &mut Facts| {
            facts.budget = Some(GramsCo2e(100.0));
            facts.spent = GramsCo2e(grams);
        }
    };
    assert_eq!(run.after(MINUTE, spent(79.0)), ["-ledger-gap"]);
    assert_eq!(run.after(MINUTE, spent(80.0)), ["!budget 80"]);
    assert!(run.after(MINUTE, spent(99.0)).is_empty());
    assert_eq!(run.after(MINUTE, spent(120.0)), ["!budget 100"]);
    assert!(run.after(MINUTE, spent(150.0)).is_empty());
}

#[test]
fn an_intensity_counts_once_it_has_lasted_and_a_break_begins_anew() {
    let mut run = Run::with(Rules {
        above: Some(GramsPerKwh(400.0)),
        below: Some(GramsPerKwh(100.0)),
        ..Rules::default()
    });
    let is = |value: f64| move |facts: &mut Facts| facts.intensity = Some(GramsPerKwh(value));
    let first = run.after(MINUTE, is(450.0));
    assert_eq!(first, ["-intensity-below", "-ledger-gap"]);
    assert!(run.after(29 * MINUTE, is(450.0)).is_empty());
    assert_eq!(run.after(MINUTE, is(399.0)), ["-intensity-above"]);
    assert!(run.after(MINUTE, is(450.0)).is_empty());
    assert_eq!(run.after(30 * MINUTE, is(450.0)), ["+intensity-above"]);
    // What is not known changes nothing.
    assert!(run.after(MINUTE, |it| it.intensity = None).is_empty());
    assert_eq!(run.after(MINUTE, is(90.0)), ["-intensity-above"]);
    assert_eq!(run.after(30 * MINUTE, is(90.0)), ["+intensity-below"]);
}

#[test]
fn a_source_is_degraded_by_its_kind_and_not_for_a_moment() {
    let mut run = Run::new();
    let kind = |kind| move |facts: &mut Facts| facts.source = Some(("x".to_owned(), kind));
    assert_eq!(run.after(MINUTE, kind(Kind::Profile)), ["-ledger-gap"]);
    assert_eq!(run.after(MINUTE, kind(Kind::Live)), ["-source-degraded"]);
    assert!(run.after(MINUTE, kind(Kind::Cached)).is_empty());
    assert!(run.after(MINUTE, kind(Kind::RegionalAverage)).is_empty());
    let told = run.after(5 * MINUTE, kind(Kind::RegionalAverage));
    assert_eq!(told, ["+source-degraded"]);
    assert!(run.after(MINUTE, kind(Kind::Profile)).is_empty());
    assert_eq!(run.after(MINUTE, kind(Kind::Static)), ["-source-degraded"]);
}

#[test]
fn a_meter_is_lost_only_once_it_has_measured() {
    let meter = |component: &str, method, trouble: Option<&str>| MeterFact {
        component: component.to_owned(),
        name: "H100".to_owned(),
        method,
        device: None,
        trouble: trouble.map(str::to_owned),
    };
    let mut run = Run::new();
    let cpu = meter("cpu", Method::CpuModel, Some("RAPL is for root only"));
    let good = meter("gpu 0", Method::GpuCounter, None);
    let told = run.happens(Event::Meters(vec![good.clone(), cpu.clone()]));
    assert_eq!(told, ["-meter-lost gpu 0"]);
    let lost = meter("gpu 0", Method::GpuCounter, Some("the device is lost"));
    let told = run.happens(Event::Meters(vec![lost, cpu.clone()]));
    assert_eq!(told, ["+meter-lost gpu 0"]);
    assert!(run.happens(Event::Meters(vec![cpu.clone()])).is_empty());
    let told = run.happens(Event::Meters(vec![good, cpu]));
    assert_eq!(told, ["-meter-lost gpu 0"]);
}

#[test]
fn the_record_and_the_guard_are_told_when_they_go_and_when_they_are_back() {
    let mut run = Run::new();
    assert_eq!(run.after(MINUTE, |_| {}), ["-ledger-gap"]);
    let full = |facts: &mut Facts| facts.ledger_trouble = Some("no space".to_owned());
    assert_eq!(run.after(MINUTE, full), ["+ledger-gap"]);
    assert!(run.after(MINUTE, |_| {}).is_empty());
    assert_eq!(
        run.after(MINUTE, |it| it.ledger_trouble = None),
        ["-ledger-gap"]
    );
    assert_eq!(run.happens(Event::Guard(true)), ["-watchdog-lost"]);
    assert_eq!(run.happens(Event::Guard(false)), ["+watchdog-lost"]);
    assert_eq!(run.happens(Event::Guard(true)), ["-watchdog-lost"]);
}

#[test]
fn a_job_fails_by_itself_and_is_stopped_by_a_person() {
    let end = |exit, was_asked| Event::Ended {
        exit: Some(exit),
        why: None,
        was_asked,
        has_failed: !was_asked,
    };
    let failed = Run::new().happens(end(Exit::Code(3), false));
    assert!(failed.contains(&"!job-failed".to_owned()));
    let stopped = Run::new().happens(end(Exit::Signal(15), true));
    assert!(!stopped.contains(&"!job-failed".to_owned()));
    assert!(stopped.contains(&"!run-ended".to_owned()));
    let again = Run::new().happens(Event::Restarted {
        attempt: 1,
        exit: Some(Exit::Code(3)),
    });
    assert_eq!(again, ["!job-restarted"]);
}

#[test]
fn a_pause_without_proof_and_one_that_was_refused_are_told() {
    let mut run = Run::new();
    let unproved = run.happens(Event::Unproved { waited: 5 * MINUTE });
    assert_eq!(unproved, ["!pause-unproved"]);
    let refused = run.happens(Event::PauseRefused("it is root's".to_owned()));
    assert_eq!(refused, ["!pause-unproved"]);
}

#[test]
fn a_rule_that_is_off_tells_nothing() {
    let mut rules = Rules::default();
    rules.on.remove(&Rule::LedgerGap);
    rules.on.remove(&Rule::RunEnded);
    let mut run = Run::with(rules);
    assert!(run.after(MINUTE, |_| {}).is_empty());
    let told = run.happens(Event::Ended {
        exit: Some(Exit::Code(0)),
        why: None,
        was_asked: false,
        has_failed: false,
    });
    assert!(!told.iter().any(|it| it.ends_with("run-ended")));
}
