//! Segments, metered power and the carbon budget.

use super::*;
use crate::plan::Allowance;

#[test]
fn a_paused_segment_is_cut_where_its_holds_change() {
    let mut run = Run::by(
        waits,
        Settings {
            may_hold: false,
            ..plain()
        },
    )
    .begin(dirty_first(24));
    run.pass(2 * MINUTE);
    run.on(Event::Operator(Word::Pause));
    run.pass(2 * MINUTE);
    run.on(ends(0));
    let paused: Vec<Vec<Cause>> = run
        .stretches()
        .into_iter()
        .filter(|stretch| stretch.part == Part::Paused)
        .map(|stretch| stretch.causes)
        .collect();
    let both = vec![Cause::Carbon, Cause::Operator];
    assert_eq!(paused, [vec![Cause::Carbon], both]);
}

#[test]
fn a_sleep_during_a_pause_is_no_pause() {
    let mut run = Run::by(runs, plain()).begin(dirty_first(24));
    run.pass(10 * MINUTE);
    run.on(Event::Operator(Word::Pause));
    run.pass(MINUTE);
    run.clock.suspend(HOUR);
    run.on(Event::Wake);
    run.pass(MINUTE);
    run.on(ends(0));
    let total = |part: Part| -> Duration {
        let stretches = run.stretches().into_iter();
        let of_part = stretches.filter(|stretch| stretch.part == part);
        of_part.map(|s| s.to.elapsed - s.from.elapsed).sum()
    };
    assert_eq!(total(Part::Paused), 2 * MINUTE);
    assert_eq!(total(Part::Suspended), HOUR);
    assert_eq!(total(Part::Running), 10 * MINUTE);
    assert_eq!(run.machine.productive(run.now()), 10 * MINUTE);
}

#[test]
fn time_after_the_end_counts_for_nothing() {
    let mut run = Run::by(runs, plain()).begin(dirty_first(24));
    run.pass(10 * MINUTE);
    run.on(ends(0));
    run.clock.advance(HOUR);
    run.on(Event::Wake);
    assert_eq!(run.machine.productive(run.now()), 10 * MINUTE);
    let end = run.stretches().pop().unwrap();
    assert_eq!(end.to.elapsed, 10 * MINUTE);
}

#[test]
fn delay_is_counted_once_whatever_caused_it() {
    let settings = Settings {
        max_delay: Some(10 * HOUR),
        asked_for: true,
        ..plain()
    };
    let mut run = Run::by(waits, settings).begin(dirty_first(24));
    run.pass(HOUR);
    run.clock.suspend(HOUR);
    run.decide_by(runs);
    run.on(Event::Operator(Word::Resume { time: None }));
    run.pass(30 * MINUTE);
    run.on(Event::Operator(Word::Pause));
    run.pass(HOUR);
    run.machine.overruled_until = None;
    let outlook = run.machine.outlook().unwrap().clone();
    let situation = run.machine.situation(run.now(), &outlook);
    assert_eq!(situation.allowance, Allowance::Given(7 * HOUR));
}

#[test]
fn restoring_is_part_of_the_pause_and_no_progress() {
    let mut settings = due(4 * HOUR, 24.0);
    settings.switching.resume = 4 * MINUTE;
    let mut run = Run::by(runs, settings).begin(dirty_first(24));
    run.pass(HOUR);
    run.on(Event::Operator(Word::Pause));
    run.pass(HOUR);
    run.on(Event::Operator(Word::Resume { time: None }));
    run.pass(2 * MINUTE);
    assert_eq!(run.machine.productive(run.now()), HOUR);
    run.on(Event::Operator(Word::Pause));
    assert!(run.is_running(), "what is being restored is not stopped");
    run.on(Event::Operator(Word::Resume { time: None }));
    run.pass(HOUR - 2 * MINUTE);
    assert_eq!(run.machine.productive(run.now()), 2 * HOUR - 4 * MINUTE);
    run.on(ends(0));
    let restoring: Vec<Stretch> = (run.stretches().into_iter())
        .filter(|stretch| stretch.part == Part::Restoring)
        .collect();
    let length: Duration = (restoring.iter())
        .map(|stretch| stretch.to.elapsed - stretch.from.elapsed)
        .sum();
    assert_eq!(length, 4 * MINUTE);
    assert!(restoring.iter().all(|s| s.causes == [Cause::Operator]));
}

#[test]
fn what_saves_before_it_is_paused_makes_no_progress() {
    let mut settings = due(4 * HOUR, 24.0);
    settings.switching.pause = 3 * MINUTE;
    let mut run = Run::by(runs, settings).begin(dirty_first(24));
    run.pass(HOUR);
    drop(run.machine.on(run.now(), Event::Operator(Word::Pause)));
    run.clock.advance(3 * MINUTE);
    run.on(Event::Wake);
    assert!(
        matches!(run.machine.phase(), Phase::Pausing { .. }),
        "saving takes its time"
    );
    run.on(CONFIRMED);
    let saving = run.stretches().pop().unwrap();
    assert_eq!(
        (saving.part, saving.causes),
        (Part::Saving, vec![Cause::Operator])
    );
    assert_eq!(run.machine.productive(run.now()), HOUR);
}

#[test]
fn measured_power_replaces_the_figure_and_lumps_scale_with_it() {
    let mut run = Run::by(runs, plain());
    run.watts = 600.0;
    let mut run = run.begin(dirty_first(24));
    let seen = |run: &Run| {
        let outlook = run.machine.outlook().unwrap().clone();
        let situation = run.machine.situation(run.now(), &outlook);
        (situation.power.run, situation.switching.resume_energy)
    };
    assert_eq!(seen(&run), (Watts(300.0), KilowattHours(0.01)));
    run.pass(10 * MINUTE);
    assert_eq!(seen(&run), (Watts(600.0), KilowattHours(0.02)));
}

#[test]
fn power_that_stays_on_in_a_pause_is_planned_with_once_it_is_measured() {
    let mut run = Run::by(runs, plain()).begin(dirty_first(24));
    let idle = |run: &Run| {
        let outlook = run.machine.outlook().unwrap().clone();
        run.machine.situation(run.now(), &outlook).power.idle
    };
    let metered = |part, watts: f64| Event::Metered {
        part,
        length: MINUTE,
        energy: Joules(watts * 60.0),
        grams: GramsCo2e::ZERO,
    };
    assert_eq!(idle(&run), Watts::ZERO);
    run.on(metered(Part::Paused, 60.0));
    assert_eq!(idle(&run), Watts(60.0));
    // Never above that of running.
    run.on(metered(Part::Paused, 6000.0));
    assert_eq!(idle(&run), Watts(300.0));
}

#[test]
fn the_budget_warns_once_at_80_and_once_at_100_percent() {
    // 300 W for an hour at 400 g/kWh is 120 g.
    let settings = Settings {
        budget: Some(GramsCo2e(120.0)),
        ..plain()
    };
    let mut run = Run::by(runs, settings.clone()).begin(dirty_first(24));
    run.pass(46 * MINUTE);
    assert_eq!(run.warnings().len(), 0);
    run.pass(10 * MINUTE);
    assert_eq!(run.warnings().len(), 1, "{:?}", run.warnings());
    run.pass(10 * HOUR);
    assert_eq!(run.warnings().len(), 2, "{:?}", run.warnings());

    let mut jump = Run::by(runs, settings).begin(dirty_first(24));
    jump.on(Event::Metered {
        part: Part::Running,
        length: HOUR,
        energy: Joules(1.0),
        grams: GramsCo2e(500.0),
    });
    assert_eq!(jump.warnings().len(), 1, "both at once are one warning");
}

#[test]
fn a_budget_that_is_used_up_holds_or_ends_the_job_where_that_was_asked_for() {
    let used_up = |on_budget| {
        let settings = Settings {
            budget: Some(GramsCo2e(120.0)),
            on_budget,
            ..plain()
        };
        let mut run = Run::by(runs, settings).begin(dirty_first(24));
        run.pass(2 * HOUR);
        run
    };
    let warned = used_up(OnBudget::Warn);
    assert!(matches!(warned.machine.phase(), Phase::Running { .. }));
    let mut paused = used_up(OnBudget::Pause);
    assert!(paused.machine.holds().operator);
    assert!(matches!(paused.machine.phase(), Phase::Paused { .. }));
    // Whoever lets it go on knows; it is not held again.
    paused.on(Event::Operator(Word::Resume { time: None }));
    paused.pass(2 * HOUR);
    assert!(matches!(paused.machine.phase(), Phase::Running { .. }));
    let stopped = used_up(OnBudget::Stop);
    assert!(
        stopped
            .first(|effect| matches!(effect, Effect::AskToEnd))
            .is_some()
    );
}

#[test]
fn nothing_is_written_down_after_the_end() {
    let mut run = Run::by(
        runs,
        Settings {
            budget: Some(GramsCo2e(1.0)),
            ..plain()
        },
    )
    .begin(dirty_first(24));
    run.clock.advance(HOUR);
    run.on(ends(0));
    let mut records = run.effects.iter().filter_map(|(_, effect)| match effect {
        Effect::Record(what) => Some(what),
        _ => None,
    });
    assert!(matches!(records.next_back(), Some(What::End { .. })));
}

#[test]
fn a_segment_never_reaches_over_a_jump_of_the_wall_clock() {
    for shift in [-1.0, 1.0] {
        let mut run = Run::by(runs, plain()).begin(dirty_first(24));
        run.pass(2 * MINUTE);
        run.clock.set_utc(at(shift));
        run.clock.advance(MINUTE);
        run.on(Event::Wake);
        run.on(ends(0));
        for stretch in run.stretches() {
            let length = stretch.to.elapsed - stretch.from.elapsed;
            let utc = stretch.to.utc.duration_since(stretch.from.utc);
            assert_eq!(utc, SignedDuration::try_from(length).unwrap());
        }
        assert_eq!(run.machine.productive(run.now()), 3 * MINUTE);
    }
}
