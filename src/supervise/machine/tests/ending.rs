//! Failures that are tried again, what outlives the leader, and devices that others use.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn retrying(most: u32) -> Settings {
    Settings {
        retry: Retry {
            most,
            delay: 10 * SECOND,
            seed: 7,
        },
        ..plain()
    }
}

fn running(settings: Settings) -> Run {
    Run::by(runs, settings).begin(dirty_first(24))
}

fn lingers(left: u32) -> Event {
    let exit = Some(Exit::Code(0));
    Event::ChildEnded { exit, left }
}

fn starts(run: &Run) -> usize {
    run.count(|effect| matches!(effect, Effect::Start { .. }))
}

#[test]
fn a_job_that_fails_is_tried_again_so_often_and_no_more() {
    let mut run = running(retrying(2));
    for nth in 1..=2 {
        run.pass(MINUTE);
        run.on(ends(nth));
        assert!(matches!(run.machine.phase(), Phase::Backoff { .. }));
        run.pass(9 * SECOND);
        assert_eq!(starts(&run), nth as usize, "not at once");
        run.pass(MINUTE);
        assert!(run.is_running());
    }
    run.on(ends(3));
    assert_eq!(run.machine.phase(), Phase::Ended(Some(Exit::Code(3))));
    assert_eq!(run.machine.attempt(), 3);
    let left = run.count(|effect| matches!(effect, Effect::Record(What::Left { .. })));
    assert_eq!(left, 2);
    let waits = run.stretches();
    let waits = waits.iter().filter(|s| s.causes == [Cause::Retry]);
    assert_eq!(waits.count(), 2);
}

#[test]
fn a_job_that_ran_for_a_good_while_has_not_failed_in_a_row() {
    let mut run = running(retrying(1));
    for _ in 0..4 {
        run.pass(61 * MINUTE);
        run.on(ends(1));
        run.pass(2 * MINUTE);
        assert!(run.is_running());
    }
}

#[test]
fn what_a_person_ended_is_not_tried_again() {
    for event in [interrupt(), signal(Meaning::Quit, 3), terminate()] {
        let mut run = running(retrying(5));
        run.on(event);
        run.pass(2 * SECOND);
        run.on(ends(1));
        assert!(run.has_ended());
    }
    let mut run = running(retrying(5));
    run.on(Event::Operator(Word::Stop));
    run.on(ends(1));
    assert!(run.has_ended());
    // One that a job has taken and outlived is no reason.
    let mut run = running(retrying(5));
    run.on(interrupt());
    run.pass(HOUR);
    run.on(ends(1));
    assert!(!run.has_ended());
}

#[test]
fn a_job_that_ends_well_is_not_tried_again() {
    let mut run = running(retrying(5));
    run.on(ends(0));
    assert_eq!(run.machine.phase(), Phase::Ended(Some(Exit::Code(0))));
}

#[test]
fn an_operator_holds_or_hurries_what_is_to_be_tried_again() {
    let mut run = running(retrying(5));
    run.on(ends(1));
    run.on(Event::Operator(Word::Pause));
    run.pass(HOUR);
    assert_eq!(starts(&run), 1);
    run.on(Event::Operator(RESUME));
    assert!(run.is_running());
    run.on(ends(1));
    run.on(Event::Operator(RESUME));
    assert_eq!(starts(&run), 3);
    run.on(ends(4));
    run.on(Event::Operator(Word::Stop));
    assert_eq!(run.machine.phase(), Phase::Ended(Some(Exit::Code(4))));
}

#[test]
fn what_outlives_the_leader_has_the_grace_period_then_is_asked_then_killed() {
    let mut run = running(plain());
    run.on(lingers(2));
    run.pass(29 * SECOND);
    let asked = |effect: &Effect| matches!(effect, Effect::AskLeftovers);
    let killed = |effect: &Effect| matches!(effect, Effect::Kill);
    assert_eq!(run.count(asked), 0);
    run.pass(2 * SECOND);
    assert_eq!((run.count(asked), run.count(killed)), (1, 0));
    run.pass(5 * SECOND);
    assert_eq!(run.count(killed), 1);
    run.on(Event::AllGone);
    assert_eq!(run.machine.phase(), Phase::Ended(Some(Exit::Code(0))));
}

#[test]
fn what_not_even_a_kill_ends_is_left_and_told_about() {
    let mut run = running(plain());
    run.on(lingers(1));
    run.pass(MINUTE);
    assert!(run.has_ended());
    assert!(run.warnings()[0].contains("not even by KILL"));
}

#[test]
fn what_outlives_the_leader_is_left_alone_where_that_is_the_setting() {
    let mut settings = plain();
    settings.leftovers = Leftovers::Leave;
    let mut run = running(settings);
    run.on(lingers(2));
    assert!(run.has_ended());
    assert_eq!(
        run.count(|effect| matches!(effect, Effect::AskLeftovers)),
        0
    );
}

#[test]
fn who_wants_to_end_does_not_wait_for_what_outlives_the_leader() {
    for event in [terminate(), interrupt(), Event::Operator(Word::Stop)] {
        let mut run = running(plain());
        run.on(lingers(2));
        run.on(event);
        assert_eq!(
            run.count(|effect| matches!(effect, Effect::AskLeftovers)),
            1
        );
    }
}

#[test]
fn nothing_is_started_beside_its_former_self() {
    let mut run = running(retrying(5));
    let exit = Some(Exit::Code(1));
    run.on(Event::ChildEnded { exit, left: 3 });
    run.on(Event::Operator(RESUME));
    assert_eq!(starts(&run), 1);
    run.on(Event::AllGone);
    run.pass(MINUTE);
    assert_eq!(starts(&run), 2);
}

fn held_for_devices() -> Run {
    let mut settings = due(HOUR, 24.0);
    settings.looks_at_devices = true;
    fn dirty_hour(now: Timestamp, policy: &Policy, s: &Situation<'_>) -> Decision {
        if now < at(1.0) {
            return waits(now, policy, s);
        }
        Decision {
            reason: match now < at(20.0) {
                true => Reason::Clean {
                    now: GramsPerKwh(100.0),
                },
                false => Reason::DeadlineGuard,
            },
            ..runs(now, policy, s)
        }
    }
    let mut run = Run::by(dirty_hour, settings).begin(dirty_first(1));
    run.pass(HOUR + SECOND);
    run
}

#[test]
fn a_start_after_a_wait_waits_for_devices_that_others_use() {
    let mut run = held_for_devices();
    let looks = |effect: &Effect| matches!(effect, Effect::LookAtDevices);
    assert_eq!((run.count(looks), starts(&run)), (1, 0));
    run.taken = true;
    run.on(Event::Devices(Some("GPU 0 is used by pid 7".into())));
    run.pass(2 * HOUR);
    assert_eq!(starts(&run), 0);
    assert!(run.count(looks) > 50, "it looks again every half minute");
    let told = run.count(|effect| matches!(effect, Effect::Tell(News::Note(_))));
    assert_eq!(told, 1);
    let held = run.stretches().pop().unwrap();
    assert_eq!(held.causes, [Cause::Devices]);
    run.taken = false;
    run.pass(31 * SECOND);
    run.on(Event::Devices(None));
    assert!(run.is_running());
}

#[test]
fn devices_are_waited_for_while_the_deadline_allows_and_no_longer() {
    let mut run = held_for_devices();
    run.taken = true;
    run.on(Event::Devices(Some("GPU 0 is used by pid 7".into())));
    run.pass(18 * HOUR);
    assert_eq!(starts(&run), 0);
    run.pass(HOUR);
    assert_eq!(starts(&run), 1);
}

#[test]
fn who_does_not_answer_about_devices_holds_nothing_up() {
    let mut run = held_for_devices();
    run.pass(4 * SECOND);
    assert!(run.is_running());
    let mut run = held_for_devices();
    run.on(Event::Operator(RESUME));
    assert!(run.is_running());
}

#[test]
fn what_is_attached_runs_on_when_we_leave() {
    let mut settings = plain();
    settings.is_attached = true;
    settings.may_hold = false;
    let mut run = running(settings.clone());
    run.on(Event::Operator(Word::Pause));
    assert!(run.is_paused());
    run.on(terminate());
    assert!(run.has_ended() && run.machine.was_left());
    assert_eq!(run.count(|effect| matches!(effect, Effect::Resume)), 1);
    assert_eq!(run.count(|effect| matches!(effect, Effect::Relay(_))), 0);
    let mut run = running(settings);
    run.on(Event::ChildEnded {
        exit: None,
        left: 2,
    });
    assert!(run.has_ended() && !run.machine.was_left());
}
