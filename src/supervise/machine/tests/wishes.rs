//! What people ask for, and what a guard makes necessary.

use super::*;

/// Paused by the plan.
fn paused_by_plan() -> Run {
    let settings = Settings {
        may_hold: false,
        ..plain()
    };
    let run = Run::by(waits, settings).begin(dirty_first(24));
    assert!(run.is_paused());
    run
}

fn running() -> Run {
    Run::by(runs, plain()).begin(dirty_first(24))
}

#[test]
fn an_operators_pause_is_not_lifted_by_the_plan() {
    let mut run = running();
    run.on(Event::Operator(Word::Pause));
    run.pass(30 * HOUR);
    assert!(run.is_paused());
    run.on(Event::Operator(Word::Resume { time: None }));
    assert!(run.is_running());
}

#[test]
fn a_pause_before_the_start_holds_until_resume() {
    let mut run = Run::by(runs, due(HOUR, 24.0));
    run.on(Event::Operator(Word::Pause));
    let mut run = run.begin(dirty_first(24));
    run.pass(30 * HOUR);
    assert_eq!(run.machine.phase(), Phase::Holding);
    let held = run.stretches().pop().unwrap();
    assert_eq!(
        (held.part, held.causes),
        (Part::Held, vec![Cause::Operator])
    );
    run.on(Event::Operator(Word::Resume { time: None }));
    assert!(run.is_running());
}

#[test]
fn an_operators_resume_overrules_the_plan_until_its_planned_end() {
    let mut run = paused_by_plan();
    run.on(Event::Operator(Word::Resume { time: None }));
    assert!(run.is_running());
    run.pass(58 * MINUTE);
    assert!(run.is_running());
    run.pass(10 * MINUTE);
    assert!(run.is_paused());

    let mut held = Run::by(waits, due(HOUR, 24.0)).begin(dirty_first(24));
    held.on(Event::Operator(Word::Resume { time: None }));
    assert!(held.is_running());
    held.pass(58 * MINUTE);
    assert_eq!(held.pauses(), 0);
}

#[test]
fn resume_before_anything_is_known_starts_the_job() {
    let mut run = Run::new(due(HOUR, 24.0));
    run.on(Event::Begin);
    run.on(Event::Operator(Word::Resume { time: None }));
    assert!(run.is_running());
}

#[test]
fn ctrl_z_during_a_carbon_pause_does_not_undo_it() {
    let mut run = paused_by_plan();
    run.on(Event::TerminalStop);
    assert_eq!(run.count(|effect| matches!(effect, Effect::StopSelf)), 1);
    assert!(run.machine.holds().terminal);
    run.clock.advance(10 * MINUTE);
    run.on(Event::TerminalContinue);
    assert!(run.is_paused());
    assert_eq!(
        run.machine.holds(),
        Holds {
            carbon: true,
            ..Holds::default()
        }
    );
}

#[test]
fn ctrl_z_stops_the_job_and_then_the_supervisor() {
    let mut run = running();
    run.on(Event::TerminalStop);
    assert!(run.is_paused());
    let order: Vec<&str> = run
        .effects
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Pause => Some("pause"),
            Effect::StopSelf => Some("stop self"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["pause", "stop self"]);
    run.on(Event::TerminalContinue);
    assert!(run.is_running());
}

#[test]
fn ctrl_z_without_a_guard_waits_for_one_and_pressed_twice_stops_the_supervisor_alone() {
    let stops = |effect: &Effect| matches!(effect, Effect::StopSelf);
    let mut run = running();
    run.on(Event::GuardLost);
    run.on(Event::TerminalStop);
    assert_eq!((run.pauses(), run.count(stops)), (0, 0));
    run.on(Event::TerminalStop);
    assert_eq!((run.pauses(), run.count(stops)), (0, 1));
    assert!(run.machine.holds().is_empty());

    let mut patient = running();
    patient.on(Event::GuardLost);
    patient.on(Event::TerminalStop);
    patient.on(Event::GuardReady);
    assert!(patient.is_paused());
    assert_eq!(patient.count(stops), 1);
}

#[test]
fn a_signal_wakes_a_paused_job_and_the_hold_applies_again() {
    let mut by_hand = running();
    by_hand.on(Event::Operator(Word::Pause));
    for mut run in [paused_by_plan(), by_hand] {
        let holds = run.machine.holds();
        run.pass(2 * MINUTE);
        run.on(signal(Meaning::User, 10));
        assert!(run.is_running());
        assert_eq!(run.machine.holds(), holds);
        run.pass(Duration::from_secs(9));
        assert!(run.is_running());
        run.pass(Duration::from_secs(2));
        assert!(run.is_paused(), "{:?}", run.machine.holds());
        assert_eq!(run.machine.holds(), holds);
    }
}

#[test]
fn with_the_real_planner_too_a_pause_goes_on_after_a_signal() {
    let settings = Settings {
        may_hold: false,
        ..due(4 * HOUR, 24.0)
    };
    let mut run = Run::new(settings).begin(dirty_first(6));
    run.pass(HOUR);
    assert!(run.is_paused(), "{:?}", run.machine.decision());
    run.on(interrupt());
    assert!(run.is_running());
    run.pass(11 * Duration::from_secs(1));
    assert!(run.is_paused());
}

#[test]
fn a_resize_wakes_nobody() {
    let mut run = paused_by_plan();
    run.on(signal(Meaning::Resize, 28));
    assert!(run.is_paused());
    assert_eq!(run.count(|effect| matches!(effect, Effect::Relay(_))), 1);
}

#[test]
fn a_signal_sent_to_everyone_is_not_delivered_twice() {
    let mut run = running();
    run.on(Event::Signal(Signal {
        number: 15,
        from_terminal: false,
        to_everyone: true,
        meaning: Meaning::Terminate,
        has_terminal: false,
    }));
    assert_eq!(run.count(|effect| matches!(effect, Effect::Relay(_))), 0);
    assert!(matches!(run.machine.phase(), Phase::Stopping { .. }));
}

#[test]
fn term_wakes_starts_the_grace_period_and_then_kills() {
    let mut run = paused_by_plan();
    run.on(terminate());
    let order: Vec<&str> = run
        .effects
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Relay(_) => Some("relay"),
            Effect::Resume => Some("resume"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["relay", "resume"]);
    run.pass(Duration::from_secs(29));
    let kills = |run: &Run| run.count(|effect| matches!(effect, Effect::Kill));
    assert_eq!(kills(&run), 0);
    // Neither a second request nor a wish to pause changes that.
    run.on(terminate());
    run.on(Event::Operator(Word::Stop));
    run.on(Event::Operator(Word::Pause));
    assert!(run.machine.holds().is_empty());
    run.pass(Duration::from_secs(1));
    assert_eq!(kills(&run), 1);
    run.pass(HOUR);
    assert_eq!(kills(&run), 1);
}

#[test]
fn a_third_interrupt_within_two_seconds_kills() {
    let mut slow = running();
    let mut quick = running();
    for _ in 0..3 {
        slow.on(interrupt());
        slow.pass(Duration::from_millis(1100));
        quick.on(interrupt());
        quick.pass(Duration::from_millis(900));
    }
    assert_eq!(slow.count(|effect| matches!(effect, Effect::Kill)), 0);
    assert!(slow.is_running());
    assert_eq!(quick.count(|effect| matches!(effect, Effect::Kill)), 1);
}

#[test]
fn interrupts_from_a_terminal_start_no_timer_and_without_one_they_do() {
    let mut run = running();
    run.on(interrupt());
    run.pass(HOUR);
    assert!(run.is_running());
    let Event::Signal(alone) = interrupt() else {
        unreachable!("it is a signal")
    };
    run.on(Event::Signal(Signal {
        has_terminal: false,
        ..alone
    }));
    assert!(matches!(run.machine.phase(), Phase::Stopping { .. }));
}

#[test]
fn a_held_run_dies_by_its_signal() {
    let mut run = Run::by(waits, due(HOUR, 24.0)).begin(dirty_first(24));
    run.on(terminate());
    let last: Vec<&Effect> = run.effects.iter().rev().take(2).map(|(_, e)| e).collect();
    assert!(matches!(last[0], Effect::Finish));
    assert!(run.count(|effect| matches!(effect, Effect::DieBy(15))) == 1);
    assert!(run.started().is_none());
}

#[test]
fn while_there_is_no_guard_nothing_is_paused() {
    let mut run = paused_by_plan();
    run.on(Event::GuardLost);
    assert!(run.is_running());
    let starts = |run: &Run| run.count(|effect| matches!(effect, Effect::StartGuard));
    assert_eq!(starts(&run), 1);
    run.pass(HOUR);
    assert!(run.is_running());
    assert_eq!(run.pauses(), 1);
    run.on(READY);
    run.pass(6 * MINUTE);
    assert!(run.is_paused());
}

#[test]
fn a_guard_that_keeps_ending_is_not_replaced_all_the_time() {
    let mut run = running();
    let starts = |run: &Run| run.count(|effect| matches!(effect, Effect::StartGuard));
    for _ in 0..100 {
        run.on(READY);
        run.on(Event::GuardLost);
        run.pass(Duration::from_secs(1));
    }
    assert!((3..=5).contains(&starts(&run)), "{}", starts(&run));
}

#[test]
fn an_operators_pause_survives_the_loss_of_a_guard() {
    let mut run = running();
    run.on(Event::Operator(Word::Pause));
    run.on(Event::GuardLost);
    assert!(run.is_running() && run.machine.holds().operator);
    run.on(READY);
    assert!(run.is_paused());
}

#[test]
fn where_nothing_can_be_paused_an_operators_pause_is_refused_at_once() {
    let settings = Settings {
        can_pause: false,
        may_pause: false,
        ..plain()
    };
    let mut run = Run::by(runs, settings).begin(dirty_first(24));
    run.on(Event::Operator(Word::Pause));
    assert!(run.machine.holds().is_empty());
    assert_eq!(
        run.count(|effect| matches!(effect, Effect::Tell(News::Refused(_)))),
        1
    );
}

#[test]
fn a_pause_that_never_confirms_is_given_up_and_the_job_continued() {
    let mut machine = Machine::new(plain(), ManualClock::at(begin()).now());
    machine.planner = Arc::new(runs as Rule);
    let mut clock = ManualClock::at(begin());
    for event in [Event::Begin, STARTED, READY, Event::Operator(Word::Pause)] {
        drop(machine.on(clock.now(), event));
    }
    clock.advance(PAUSE_GIVE_UP);
    let effects = machine.on(clock.now(), Event::Wake);
    assert!(matches!(effects[0], Effect::Resume));
    assert!(matches!(machine.phase(), Phase::Running { since } if since.is_zero()));
    assert!(machine.holds().operator, "the wish is not lost");
}

#[test]
fn a_resume_that_is_not_confirmed_is_asked_for_again() {
    let mut machine = Machine::new(plain(), ManualClock::at(begin()).now());
    machine.planner = Arc::new(runs as Rule);
    let mut clock = ManualClock::at(begin());
    let way = [
        Event::Begin,
        STARTED,
        READY,
        Event::Operator(Word::Pause),
        CONFIRMED,
        Event::Operator(Word::Resume { time: None }),
    ];
    for event in way {
        drop(machine.on(clock.now(), event));
    }
    assert_eq!(machine.next_wakeup().monotonic, Some(RESUME_AGAIN));
    clock.advance(RESUME_AGAIN);
    let effects = machine.on(clock.now(), Event::Wake);
    assert!(matches!(effects[..], [Effect::Resume]));
}
