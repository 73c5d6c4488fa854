//! Nodes that follow, and nodes that are given back.

use super::*;

const HELD: Event = Event::Led { held: true };
const FREE: Event = Event::Led { held: false };

fn follower() -> Run {
    let settings = Settings {
        policy: Policy::Now,
        may_hold: false,
        may_pause: false,
        follows: true,
        ..plain()
    };
    Run::new(settings).begin(dirty_first(24))
}

/// Leaves for as long as the rule has it wait, an hour at a time, and is given back.
fn requeued(wait: Duration) -> Settings {
    let mut settings = due(HOUR, 48.0);
    settings.pausing.with = PauseWith::Requeue;
    settings.pausing.has_proof = true;
    settings.pausing.gives_back = Some(wait);
    settings
}

fn gives_back(run: &Run) -> usize {
    run.count(|effect| matches!(effect, Effect::GiveBack(_)))
}

/// Running, then saved and gone, and asked to be given back.
fn given() -> Run {
    let mut run = Run::by(runs, requeued(Duration::ZERO)).begin(dirty_first(24));
    run.pass(HOUR / 2);
    run.decide_by(waits);
    run.pass(6 * MINUTE);
    run.on(Event::Saved("model.pt, new".to_owned()));
    run.on(ends(0));
    assert!(matches!(run.machine.phase(), Phase::Released { .. }));
    assert_eq!(gives_back(&run), 1);
    run
}

#[test]
fn a_node_that_follows_starts_stops_and_goes_on_by_the_word_of_the_one_that_leads() {
    let mut run = follower();
    assert_eq!(run.started(), None, "not before it is told");
    run.pass(10 * MINUTE);
    run.on(FREE);
    assert!(run.is_running());
    run.on(HELD);
    assert!(run.is_paused());
    run.pass(3 * HOUR);
    assert!(run.is_paused(), "however long that is");
    run.on(FREE);
    assert!(run.is_running());
    let paused: Duration = (run.stretches().iter())
        .filter(|one| one.part == Part::Paused)
        .map(|one| {
            assert_eq!(one.causes, [Cause::Leader]);
            one.to.elapsed - one.from.elapsed
        })
        .sum();
    assert_eq!(paused, 3 * HOUR);
}

#[test]
fn a_pause_that_not_all_nodes_keep_is_ended_and_not_tried_again_for_a_while() {
    let mut run = Run::by(waits, due(HOUR, 48.0)).begin(dirty_first(24));
    run.on(Event::Operator(RESUME));
    run.pass(11 * MINUTE);
    run.decide_by(waits);
    run.pass(HOUR);
    assert!(run.is_paused());
    let before = run.pauses();
    run.on(Event::Apart("node n2 is gone".to_owned()));
    assert!(run.is_running());
    assert!(run.warnings().iter().any(|text| text.contains("n2")));
    run.pass(20 * MINUTE);
    assert_eq!(run.pauses(), before);
    run.pass(HOUR);
    assert!(run.pauses() > before);
}

#[test]
fn a_job_that_was_taken_back_ends_here_without_an_end() {
    let mut run = given();
    // The cluster ends all of it meanwhile.
    run.on(terminate());
    assert!(!run.has_ended(), "its word may still come");
    run.on(Event::GivenBack(Ok(())));
    assert!(run.has_ended() && run.machine.was_given_back());
    let is_end = |effect: &Effect| matches!(effect, Effect::Record(What::End { .. }));
    assert_eq!(run.count(is_end), 0);
    assert_eq!(run.count(|effect| matches!(effect, Effect::DieBy(_))), 0);
    let requeued = |effect: &Effect| matches!(effect, Effect::Record(What::Requeued { .. }));
    assert_eq!(run.count(requeued), 1);
}

#[test]
fn a_job_that_was_not_taken_back_waits_here_and_is_started_again() {
    for is_silent in [false, true] {
        let mut run = given();
        match is_silent {
            true => run.pass(2 * MINUTE),
            false => run.on(Event::GivenBack(Err("access denied".to_owned()))),
        }
        assert!(
            run.warnings()
                .iter()
                .any(|text| text.contains("keeps its nodes"))
        );
        assert!(matches!(run.machine.phase(), Phase::Released { .. }));
        run.decide_by(runs);
        run.pass(HOUR);
        assert!(run.is_running());
        assert_eq!(run.machine.attempt(), 2);
        assert_eq!(gives_back(&run), 1, "not at once again");
    }
    // A signal that came meanwhile is not forgotten.
    let mut run = given();
    run.on(terminate());
    run.on(Event::GivenBack(Err("access denied".to_owned())));
    assert!(run.has_ended());
    assert_eq!(run.count(|effect| matches!(effect, Effect::DieBy(15))), 1);
}

#[test]
fn what_others_hold_is_not_given_back_since_nobody_knows_for_how_long() {
    let mut run = Run::by(runs, requeued(Duration::ZERO)).begin(dirty_first(24));
    run.pass(HOUR / 2);
    run.on(Event::Operator(Word::Pause));
    run.on(Event::Saved("model.pt, new".to_owned()));
    run.on(ends(0));
    run.decide_by(waits);
    run.pass(HOUR);
    assert!(matches!(run.machine.phase(), Phase::Released { .. }));
    assert_eq!(gives_back(&run), 0);
}

#[test]
fn a_run_goes_on_where_it_was_elsewhere() {
    let mut clock = ManualClock::at(begin());
    // Its own clock begins here, that of the run elsewhere.
    clock.suspend(10 * HOUR);
    let before = Before {
        productive: 2 * HOUR,
        attempts: 3,
        pauses: 4,
        spent: GramsCo2e(70.0),
        left_at: 9 * HOUR,
    };
    let settings = requeued(Duration::ZERO);
    let mut run = Run::new(settings.clone());
    run.machine = Machine::going_on(settings, clock.now(), &before);
    run.clock = clock;
    run.decide_by(runs);
    run.on(Event::Begin);
    assert!(!run.is_running(), "what is known comes first");
    run.on(Event::Forecast(dirty_first(24)));
    assert!(run.is_running());
    assert_eq!(run.machine.attempt(), 4);
    assert_eq!(run.machine.pauses(), 4);
    assert_eq!(run.machine.spent(), GramsCo2e(70.0));
    assert_eq!(run.machine.productive(run.now()), 2 * HOUR);
    assert_eq!(run.machine.since(run.now()), Duration::ZERO);
}

#[test]
fn who_gives_nodes_back_counts_the_usual_wait_for_others() {
    let resume = |wait, with| {
        let mut settings = requeued(wait);
        settings.pausing.with = with;
        if with == PauseWith::Auto {
            settings.switching.release = Some(crate::plan::Release {
                pause: MINUTE,
                resume: MINUTE,
                pause_energy: KilowattHours::ZERO,
                resume_energy: KilowattHours::ZERO,
                idle: Watts::ZERO,
            });
        }
        Run::new(settings)
            .machine
            .switching()
            .resume_after(Way::Release)
    };
    for with in [PauseWith::Requeue, PauseWith::Auto] {
        assert_eq!(
            resume(HOUR, with),
            resume(Duration::ZERO, with) + HOUR,
            "{with:?}"
        );
    }
}
