//! What the plan makes of a run: with the real planner.

use super::*;

#[test]
fn it_holds_and_starts_at_the_planned_time() {
    let mut run = Run::new(due(4 * HOUR, 24.0))
        .begin(dirty_first(6))
        .working(4 * HOUR);
    assert_eq!(run.machine.phase(), Phase::Holding);
    assert!(run.machine.holds().carbon);
    run.pass(24 * HOUR);
    assert_eq!(run.started(), Some(at(6.0)));
    assert_eq!(run.machine.phase(), Phase::Ended(Some(Exit::Code(0))));
    assert_eq!(run.now().utc, at(10.0));
    assert_eq!(run.pauses(), 0);
}

#[test]
fn it_pauses_and_resumes_by_the_plan() {
    // Clean for two hours, dirty for four, clean again.
    let mut day = [100.0; 24];
    day[2..6].fill(600.0);
    let mut early = Run::new(due(20 * HOUR, 25.0))
        .begin(knowledge(&day))
        .working(20 * HOUR);
    early.pass(25 * HOUR);
    assert_eq!(early.started(), Some(at(0.0)));
    assert_eq!(early.pauses(), 1);
    let paused = early.first(|effect| matches!(effect, Effect::Pause));
    let resumed = early.first(|effect| matches!(effect, Effect::Resume));
    assert_eq!(paused.map(|moment| moment.utc), Some(at(2.0)));
    assert_eq!(resumed.map(|moment| moment.utc), Some(at(6.0)));
    assert!(early.has_ended() && early.now().utc <= at(25.0));
}

#[test]
fn the_deadline_is_met_when_every_hour_is_dirty() {
    for (work, deadline) in [(4, 5.0), (4, 8.0), (10, 10.2), (3, 24.0)] {
        let mut run = Run::new(due(work * HOUR, deadline))
            .begin(dirty_first(24))
            .working(work * HOUR);
        run.pass(48 * HOUR);
        assert!(
            run.now().utc <= at(deadline),
            "{work} h of work by {deadline}: {}",
            run.now().utc
        );
    }
}

#[test]
fn the_deadline_is_met_when_clean_hours_never_come() {
    // Always better later, and never good: the guard must end the wait.
    let falling: Vec<f64> = (0..336).map(|hour| 900.0 - 2.0 * f64::from(hour)).collect();
    let mut run = Run::new(due(6 * HOUR, 20.0))
        .begin(knowledge(&falling))
        .working(6 * HOUR);
    run.pass(48 * HOUR);
    assert!(
        run.has_ended() && run.now().utc <= at(20.0),
        "{:?}",
        run.now().utc
    );
    assert!(run.started() > Some(at(10.0)), "{:?}", run.started());
}

#[test]
fn with_nothing_given_it_starts_at_once_and_earns_its_delay() {
    let mut run = Run::new(plain()).begin(dirty_first(12)).working(20 * HOUR);
    assert_eq!(run.started(), Some(at(0.0)));
    run.pass(80 * HOUR);
    assert!(run.has_ended());
    let first = run
        .first(|effect| matches!(effect, Effect::Pause))
        .expect("dirty hours are paused once delay is earned");
    assert!(first.elapsed >= 30 * MINUTE, "{first:?}");
    assert!(run.now().elapsed <= 30 * HOUR, "half the time run at most");
}

#[test]
fn a_flat_forecast_never_holds_or_pauses() {
    let flat = Arc::new(Knowledge {
        issues: Vec::new(),
        yearly_average: Some(GramsPerKwh(380.0)),
        ..(*knowledge(&[0.0])).clone()
    });
    for settings in [plain(), due(4 * HOUR, 24.0)] {
        let mut run = Run::new(settings).begin(flat.clone()).working(4 * HOUR);
        run.pass(24 * HOUR);
        assert_eq!(run.started(), Some(at(0.0)));
        assert_eq!((run.pauses(), run.now().utc), (0, at(4.0)));
    }
}

#[test]
fn a_refused_pause_is_not_tried_again_for_thirty_minutes() {
    let mut run = Run::by(
        waits,
        Settings {
            may_hold: false,
            ..plain()
        },
    );
    run.stops = false;
    let mut run = run.begin(dirty_first(24));
    assert_eq!(run.pauses(), 1);
    run.pass(29 * MINUTE);
    assert_eq!(run.pauses(), 1);
    assert!(run.is_running() && run.machine.holds().is_empty());
    run.stops = true;
    run.pass(7 * MINUTE);
    assert_eq!(run.pauses(), 2);
    assert!(run.is_paused());
}

#[test]
fn a_pause_that_is_refused_for_good_is_never_planned_again() {
    let mut run = Run::by(
        waits,
        Settings {
            may_hold: false,
            ..plain()
        },
    );
    run.stops = false;
    let mut run = run.begin(dirty_first(24));
    run.machine.phase = Phase::Pausing {
        since: Duration::ZERO,
        give_up: MINUTE,
    };
    run.on(Event::PauseRefused {
        why: "several ranks".into(),
        for_good: true,
    });
    run.pass(10 * HOUR);
    assert_eq!(run.pauses(), 1);
}

#[test]
fn what_a_run_is_asked_for_anew_counts_and_what_was_learned_stays() {
    let mut run = Run::new(due(4 * HOUR, 24.0)).begin(dirty_first(12));
    assert_eq!(run.machine.phase(), Phase::Holding);
    let now = Settings {
        policy: Policy::Now,
        ..due(4 * HOUR, 24.0)
    };
    run.on(Event::Asked(Box::new(now)));
    assert!(run.started().is_some(), "it is no longer held");

    let mut run = Run::new(due(4 * HOUR, 24.0)).begin(dirty_first(12));
    run.machine.is_never_paused = true;
    let learned = Expected {
        duration: 7 * HOUR,
        margin: 0.5,
        given: false,
    };
    run.machine.settings.duration = Some(learned);
    run.on(Event::Asked(Box::new(plain())));
    assert!(!run.machine.settings().may_pause);
    assert_eq!(run.machine.settings().duration, Some(learned));
    run.on(Event::Asked(Box::new(due(4 * HOUR, 24.0))));
    assert_eq!(
        run.machine.settings().duration.map(|it| it.given),
        Some(true)
    );
}

#[test]
fn without_knowledge_the_start_waits_five_seconds_at_most() {
    let mut run = Run::new(due(4 * HOUR, 24.0));
    run.on(Event::Begin);
    run.on(Event::Typical(HOUR));
    run.on(READY);
    run.on(Event::Wake);
    assert_eq!(run.machine.phase(), Phase::Holding);
    run.pass(10 * MINUTE);
    let started = run.first(|effect| matches!(effect, Effect::Start { .. }));
    assert_eq!(
        started.map(|moment| moment.monotonic),
        Some(KNOWLEDGE_GIVE_UP)
    );
}

#[test]
fn what_need_not_wait_for_knowledge_starts_without() {
    let now = Settings {
        policy: Policy::Now,
        ..due(4 * HOUR, 24.0)
    };
    let unheld = Settings {
        may_hold: false,
        ..due(4 * HOUR, 24.0)
    };
    for settings in [plain(), now, unheld] {
        let mut run = Run::new(settings);
        run.on(Event::Begin);
        assert_eq!(run.started(), Some(at(0.0)));
    }
}

#[test]
fn knowledge_that_comes_late_is_used() {
    let mut run = Run::new(due(4 * HOUR, 24.0)).working(4 * HOUR);
    run.on(Event::Begin);
    run.pass(HOUR);
    run.on(READY);
    run.on(Event::Forecast(dirty_first(6)));
    assert!(run.is_paused(), "{:?}", run.machine.decision());
}

/// What was said too low shows only at the end: until then all of the margin has to be kept.
#[test]
fn a_job_that_takes_a_quarter_longer_than_said_still_keeps_its_deadline() {
    for (said, more) in [(4, 1.0), (4, 1.25), (10, 1.2), (20, 1.25)] {
        let said = said * HOUR;
        let mut settings = due(said, 48.0);
        settings.duration = settings.duration.map(|known| Expected {
            margin: 0.25,
            ..known
        });
        let work = said.mul_f64(more);
        let mut run = Run::new(settings).working(work).begin(dirty_first(18));
        run.pass(72 * HOUR);
        assert!(run.has_ended());
        assert!(
            run.now().utc <= at(48.0),
            "{said:?} × {more}: {}",
            run.now().utc
        );
    }
}

#[test]
fn a_planner_that_panics_leads_to_a_running_job() {
    fn panics(_: Timestamp, _: &Policy, _: &Situation<'_>) -> Decision {
        panic!("a bug in planning, on purpose")
    }
    let mut run = Run::by(panics, due(4 * HOUR, 24.0)).begin(dirty_first(6));
    assert_eq!(run.started(), Some(at(0.0)));
    run.pass(HOUR);
    assert_eq!(run.warnings().len(), 1, "{:?}", run.warnings());

    let mut run = Run::by(
        waits,
        Settings {
            may_hold: false,
            ..plain()
        },
    )
    .begin(dirty_first(6));
    assert!(run.is_paused());
    run.decide_by(panics);
    run.pass(6 * MINUTE);
    assert!(run.is_running(), "a pause does not outlive the planner");
}

#[test]
fn a_wall_clock_that_is_set_plans_again_and_kills_nothing() {
    for shift in [-1, 1] {
        let mut run = Run::new(due(4 * HOUR, 24.0))
            .begin(dirty_first(6))
            .working(4 * HOUR);
        run.pass(2 * HOUR);
        run.clock.set_utc(at(2.0 + f64::from(shift)));
        run.on(Event::Wake);
        assert_eq!(run.machine.phase(), Phase::Holding);
        let (_, decided) = run.machine.decision.as_ref().unwrap();
        assert_eq!(decided.utc, at(2.0 + f64::from(shift)));
        run.pass(48 * HOUR);
        assert_eq!(run.started(), Some(at(6.0)));
        assert_eq!(run.machine.phase(), Phase::Ended(Some(Exit::Code(0))));
        assert_eq!(run.count(|effect| matches!(effect, Effect::Kill)), 0);
    }
}

#[test]
fn a_clock_that_jumps_past_the_deadline_starts_the_job() {
    let mut run = Run::new(due(4 * HOUR, 24.0)).begin(dirty_first(6));
    run.clock.set_utc(at(100.0));
    run.on(Event::Wake);
    assert!(run.is_running());
}

#[test]
fn a_host_that_slept_plans_again() {
    let mut run = Run::new(due(4 * HOUR, 24.0)).begin(dirty_first(6));
    run.pass(HOUR);
    run.clock.suspend(6 * HOUR);
    run.on(Event::Wake);
    assert!(run.is_running());
    let slept = run
        .stretches()
        .into_iter()
        .find(|s| s.part == Part::Suspended);
    assert_eq!(slept.map(|s| s.to.elapsed - s.from.elapsed), Some(6 * HOUR));
}

#[test]
fn a_duration_that_is_passed_pauses_no_more_before_a_deadline() {
    let mut run = Run::new(due(2 * HOUR, 24.0)).begin(knowledge(&[100.0, 100.0, 100.0, 600.0]));
    run.pass(2 * HOUR + MINUTE);
    let so_far = run.pauses();
    run.pass(30 * HOUR);
    assert_eq!(run.pauses(), so_far);
    assert!(run.is_running());
}

#[test]
fn a_deadline_without_a_length_runs_at_once_and_a_late_length_allows_to_wait() {
    let mut run = Run::new(Settings {
        duration: None,
        ..due(HOUR, 24.0)
    })
    .begin(dirty_first(6));
    assert_eq!(run.started(), Some(at(0.0)));
    run.pass(HOUR);
    assert_eq!(run.pauses(), 0);
    run.on(Event::Typical(4 * HOUR));
    assert!(run.is_paused(), "{:?}", run.machine.decision());
}

#[test]
fn what_may_not_pause_is_not_kept_paused_by_the_plan_either() {
    let settings = Settings {
        may_pause: false,
        may_hold: false,
        ..due(4 * HOUR, 24.0)
    };
    let mut run = Run::new(settings).begin(dirty_first(6));
    run.on(Event::Operator(Word::Pause));
    assert!(run.is_paused() && !run.machine.holds().carbon);
    run.on(Event::Operator(Word::Resume { time: None }));
    assert!(run.is_running());
    run.pass(2 * HOUR);
    assert!(run.is_running());
}
