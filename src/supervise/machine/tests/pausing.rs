//! The ways to pause, and what follows when they do not work.

use super::*;
use crate::plan::Way;
use crate::supervise::progress::Reading;

const SECOND: Duration = Duration::from_secs(1);

fn with(with: PauseWith) -> Settings {
    let mut settings = plain();
    settings.may_hold = false;
    settings.pausing.with = with;
    settings.pausing.has_proof = true;
    settings
}

/// Running by hand, and told to pause by an operator.
fn asked(settings: Settings) -> Run {
    let mut run = Run::by(runs, settings).begin(dirty_first(24));
    run.on(Event::Operator(Word::Pause));
    run
}

fn saved() -> Event {
    Event::Saved("model.pt, 3 MB, new".to_owned())
}

fn lingers(code: i32, left: u32) -> Event {
    let exit = Some(Exit::Code(code));
    Event::ChildEnded { exit, left }
}

impl Run {
    fn phase(&self) -> Phase {
        self.machine.phase()
    }

    fn starts(&self) -> usize {
        self.count(|effect| matches!(effect, Effect::Start { .. }))
    }

    fn did(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.count(wanted) > 0
    }

    fn is_released(&self) -> bool {
        matches!(self.phase(), Phase::Released { .. })
    }

    fn proofs(&self) -> Vec<Option<String>> {
        let records = self.effects.iter().filter_map(|(_, effect)| match effect {
            Effect::Record(What::Saved { proof, .. }) => Some(proof.clone()),
            _ => None,
        });
        records.collect()
    }

    fn end(&self) -> Option<(Option<Exit>, Option<String>)> {
        self.effects.iter().find_map(|(_, effect)| match effect {
            Effect::Record(What::End { exit, why, .. }) => Some((*exit, why.clone())),
            _ => None,
        })
    }
}

#[test]
fn a_job_is_stopped_only_once_it_has_saved() {
    let mut run = asked(with(PauseWith::Checkpoint));
    assert!(run.did(|effect| matches!(effect, Effect::Checkpoint)));
    run.pass(MINUTE);
    assert_eq!(run.pauses(), 0);
    run.on(saved());
    assert!(run.is_paused());
    assert_eq!(run.proofs(), [Some("model.pt, 3 MB, new".to_owned())]);
    let saving = run.stretches().iter().any(|s| s.part == Part::Saving);
    assert!(saving, "the minute is accounted as saving");
}

#[test]
fn without_a_proof_in_time_it_is_stopped_and_recorded_as_unproved() {
    let mut run = asked(with(PauseWith::Restart));
    run.pass(5 * MINUTE + SECOND);
    assert!(run.is_paused());
    assert_eq!(run.machine.way(), Way::Hold);
    assert_eq!(run.proofs(), [None]);
    assert!(run.warnings()[0].contains("only stopped"));
    assert!(run.did(|effect| matches!(effect, Effect::ForgetCheckpoint)));
}

#[test]
fn a_job_that_crashes_while_it_saves_leaves_nothing_that_is_whole() {
    for mode in [PauseWith::Checkpoint, PauseWith::Restart] {
        let mut run = asked(with(mode));
        let exit = Some(Exit::Signal(9));
        run.on(Event::ChildEnded { exit, left: 0 });
        let (ended, why) = run.end().expect("no proof is waited for");
        assert_eq!(ended, exit);
        let why = why.unwrap();
        assert!(why.contains("was ended by KILL while it saved"), "{why}");
    }
}

#[test]
fn a_job_that_would_die_of_being_asked_is_only_stopped() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(Event::NotAsked("process 7 does not handle USR1".into()));
    assert!(run.is_paused());
    assert_eq!(run.proofs(), [None]);
    assert!(run.warnings()[0].contains("does not handle USR1; it is only stopped"));
}

#[test]
fn without_a_proof_in_time_it_runs_on_where_that_is_the_setting() {
    let mut settings = with(PauseWith::Restart);
    settings.pausing.unproved = Unproved::Run;
    let mut run = asked(settings);
    run.pass(5 * MINUTE + SECOND);
    assert!(run.is_running());
    assert_eq!(run.proofs(), [None]);
    run.pass(20 * MINUTE);
    assert_eq!(run.pauses(), 0, "it is not tried again at once");
}

#[test]
fn a_job_that_has_saved_may_leave_by_itself_and_is_started_again() {
    let mut run = asked(with(PauseWith::Restart));
    run.pass(20 * SECOND);
    run.on(saved());
    run.pass(SECOND);
    assert!(!run.did(|effect| matches!(effect, Effect::AskToEnd)));
    run.on(ends(0));
    assert!(run.is_released());
    assert!(!run.did(|effect| matches!(effect, Effect::Finish)));
    run.pass(HOUR);
    run.on(Event::Operator(RESUME));
    assert!(run.is_running());
    assert_eq!(run.machine.attempt(), 2);
    let again = |effect: &Effect| matches!(effect, Effect::Start { attempt: 2 });
    assert!(run.did(again));
}

#[test]
fn restoring_after_a_restart_is_put_down_to_who_paused() {
    let mut settings = with(PauseWith::Restart);
    settings.switching.resume = 2 * MINUTE;
    let mut run = Run::by(waits, settings).begin(dirty_first(24));
    run.on(saved());
    run.on(ends(0));
    run.decide_by(runs);
    run.pass(2 * HOUR);
    let stretches = run.stretches();
    let restoring = stretches
        .iter()
        .find(|s| s.part == Part::Restoring)
        .unwrap();
    assert_eq!(restoring.causes, [Cause::Carbon]);
}

#[test]
fn a_job_that_has_saved_and_stays_is_asked_to_end_and_then_killed() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(saved());
    run.pass(4 * SECOND);
    assert!(run.did(|effect| matches!(effect, Effect::AskToEnd)));
    assert!(!run.did(|effect| matches!(effect, Effect::Kill)));
    run.pass(31 * SECOND);
    assert!(run.did(|effect| matches!(effect, Effect::Kill)));
    run.on(Event::ChildEnded {
        exit: Some(Exit::Signal(9)),
        left: 0,
    });
    assert!(
        run.is_released(),
        "it has saved: being killed is no failure"
    );
}

#[test]
fn workers_that_outlive_a_job_that_left_are_ended_before_it_is_started_again() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(saved());
    run.on(lingers(0, 4));
    run.on(Event::Operator(RESUME));
    assert!(run.did(|effect| matches!(effect, Effect::AskLeftovers)));
    assert_eq!(run.starts(), 1);
    run.on(Event::AllGone);
    assert!(run.is_running());
    assert_eq!(run.starts(), 2);
}

#[test]
fn a_job_that_ends_while_it_saves_has_left_if_the_proof_shows_after_its_end() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(ends(0));
    assert!(matches!(run.phase(), Phase::Proving { .. }));
    run.pass(2 * SECOND);
    run.on(saved());
    assert!(run.is_released());
}

#[test]
fn a_job_that_ends_well_without_a_proof_has_finished() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(ends(0));
    run.pass(11 * SECOND);
    assert_eq!(run.end(), Some((Some(Exit::Code(0)), None)));
}

#[test]
fn a_job_that_dies_while_it_saves_has_failed_with_a_message_of_its_own() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(ends(3));
    run.pass(11 * SECOND);
    let (exit, why) = run.end().unwrap();
    assert_eq!(exit, Some(Exit::Code(3)));
    let why = why.unwrap();
    assert!(why.contains("ended with 3 while it saved"), "{why}");
}

#[test]
fn a_job_that_ends_although_it_was_to_go_on_after_its_save_is_not_started_again() {
    for code in [0, 75] {
        let mut run = asked(with(PauseWith::Checkpoint));
        run.on(ends(code));
        let (exit, why) = run.end().expect("no proof is waited for");
        assert_eq!(exit, Some(Exit::Code(code)));
        assert_eq!(why.is_some(), code != 0, "it has simply finished with 0");
        run.on(saved());
        assert_eq!(run.starts(), 1);
    }
}

#[test]
fn who_is_gone_before_the_save_is_proved_is_not_waited_for_after_it() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(lingers(0, 2));
    run.on(Event::AllGone);
    run.on(saved());
    assert!(run.is_released());
}

#[test]
fn where_nothing_else_can_prove_it_a_good_end_is_the_proof() {
    let mut settings = with(PauseWith::Restart);
    settings.pausing.has_proof = false;
    let mut run = asked(settings.clone());
    run.on(ends(0));
    assert!(run.is_released());
    let mut run = asked(settings);
    run.on(ends(1));
    assert!(run.has_ended());
}

#[test]
fn a_job_may_say_by_its_exit_code_that_it_has_saved_but_only_when_it_was_asked_to() {
    let mut settings = with(PauseWith::Restart);
    settings.pausing.has_proof = false;
    settings.pausing.leaves_with = 144;
    let mut run = asked(settings.clone());
    run.on(ends(144));
    assert!(run.is_released());
    let mut run = Run::by(runs, settings).begin(dirty_first(24));
    run.on(ends(144));
    assert!(run.has_ended());
}

#[test]
fn who_says_go_while_it_saves_lets_the_save_end_and_the_job_run_on() {
    let mut run = asked(with(PauseWith::Restart));
    run.on(Event::Operator(RESUME));
    assert!(matches!(run.phase(), Phase::Checkpointing { .. }));
    run.on(saved());
    assert!(run.is_running());
    assert_eq!((run.pauses(), run.starts()), (0, 1));
}

#[test]
fn a_stop_while_it_saves_ends_it() {
    let mut run = asked(with(PauseWith::Checkpoint));
    run.on(Event::Operator(Word::Stop));
    assert!(run.did(|effect| matches!(effect, Effect::ForgetCheckpoint)));
    run.on(saved());
    assert!(matches!(run.phase(), Phase::Stopping { .. }));
}

#[test]
fn ctrl_z_while_it_saves_stops_it_at_once() {
    let mut run = asked(with(PauseWith::Checkpoint));
    run.on(Event::Operator(RESUME));
    run.on(Event::TerminalStop);
    assert!(run.did(|effect| matches!(effect, Effect::StopSelf)));
    assert!(run.is_paused());
    run.on(Event::TerminalContinue);
    assert!(run.is_running());
}

#[test]
fn a_released_job_that_a_signal_reaches_is_not_started_again() {
    for event in [terminate(), interrupt()] {
        let mut run = asked(with(PauseWith::Restart));
        run.on(saved());
        run.on(ends(0));
        run.on(event);
        assert!(run.did(|effect| matches!(effect, Effect::DieBy(_))));
        assert_eq!(run.starts(), 1);
    }
    let mut run = asked(with(PauseWith::Restart));
    run.on(saved());
    run.on(ends(0));
    run.on(Event::Operator(Word::Stop));
    // Not the 0 with which it left: it is not done.
    assert_eq!(run.end().unwrap().0, None);
}

#[test]
fn the_plan_chooses_the_way_of_its_own_pauses_and_a_person_keeps_the_job() {
    fn releases(now: Timestamp, policy: &Policy, s: &Situation<'_>) -> Decision {
        Decision {
            way: Way::Release,
            ..waits(now, policy, s)
        }
    }
    let mut settings = with(PauseWith::Auto);
    let run = Run::by(releases, settings.clone()).begin(dirty_first(24));
    assert!(run.did(|effect| matches!(effect, Effect::Checkpoint)));
    settings.may_hold = false;
    let run = Run::by(waits, settings.clone()).begin(dirty_first(24));
    assert!(run.is_paused());
    let run = asked(settings);
    assert!(run.is_paused(), "{:?}", run.phase());
}

#[test]
fn what_restarts_cost_is_learned_from_those_of_this_run() {
    let mut run = Run::by(runs, with(PauseWith::Restart)).begin(dirty_first(24));
    let reading = |done| Reading { done, total: 100.0 };
    run.on(Event::Progress(reading(1.0)));
    run.pass(MINUTE);
    run.on(Event::Progress(reading(2.0)));
    run.on(Event::Operator(Word::Pause));
    run.pass(40 * SECOND);
    run.on(saved());
    run.pass(2 * SECOND);
    run.on(ends(0));
    run.pass(HOUR);
    run.on(Event::Operator(RESUME));
    run.pass(50 * SECOND);
    run.on(Event::Progress(reading(2.0)));
    run.pass(20 * SECOND);
    run.on(Event::Progress(reading(3.0)));
    let switching = run.machine.switching();
    assert_eq!(switching.pause, 42 * SECOND);
    // Said again where it was is no progress.
    assert_eq!(switching.resume.as_secs(), 70);
}

#[test]
fn several_ranks_are_stopped_for_seven_minutes_at_most() {
    let mut settings = with(PauseWith::Stop);
    settings.switching.min_run = 10 * MINUTE;
    let mut run = Run::by(waits, settings);
    run.ties.ranks = true;
    let mut run = run.begin(dirty_first(24));
    assert!(run.is_paused());
    run.pass(7 * MINUTE + SECOND);
    assert!(run.is_running());
    run.pass(9 * MINUTE);
    assert!(run.is_running());
    run.pass(2 * MINUTE);
    assert!(run.is_paused(), "then the plan may stop them again");
}

#[test]
fn ranks_that_have_saved_may_be_stopped_for_longer() {
    let mut run = Run::by(waits, with(PauseWith::Checkpoint));
    run.ties.ranks = true;
    let mut run = run.begin(dirty_first(24));
    run.on(saved());
    run.pass(50 * MINUTE);
    assert!(run.is_paused());
}

#[test]
fn a_job_with_connections_to_other_hosts_is_first_stopped_for_two_minutes() {
    let mut run = Run::by(waits, with(PauseWith::Stop));
    run.ties.hosts = true;
    let mut run = run.begin(dirty_first(24));
    assert!(run.is_paused());
    run.pass(2 * MINUTE + SECOND);
    assert!(run.is_running());
    run.pass(11 * MINUTE);
    assert!(run.is_paused());
    run.pass(30 * MINUTE);
    assert!(run.is_paused(), "it has survived the first");
}

#[test]
fn an_operators_hold_outlasts_what_a_stop_may_last_and_is_warned_of() {
    let mut settings = with(PauseWith::Stop);
    settings.pausing.max_stop = Some(8 * MINUTE);
    let mut run = asked(settings);
    run.pass(HOUR);
    assert!(run.is_paused());
    assert!(run.warnings()[0].contains("give each other up"));
}

#[test]
fn resume_for_a_time_puts_the_operators_hold_back_after_it() {
    let mut run = asked(with(PauseWith::Stop));
    run.on(Event::Operator(Word::Resume {
        time: Some(2 * HOUR),
    }));
    run.pass(119 * MINUTE);
    assert!(run.is_running());
    run.pass(2 * MINUTE);
    assert!(run.is_paused());
    assert!(run.machine.holds().operator);
}

#[test]
fn resume_for_a_time_keeps_the_plan_from_pausing_so_long() {
    let mut run = Run::by(waits, with(PauseWith::Stop)).begin(dirty_first(24));
    assert!(run.is_paused());
    let time = Some(3 * HOUR);
    run.on(Event::Operator(Word::Resume { time }));
    run.pass(179 * MINUTE);
    assert!(run.is_running());
    run.pass(2 * MINUTE);
    assert!(run.is_paused());
}

#[test]
fn a_failure_soon_after_a_resume_is_told_and_known_afterwards() {
    let mut run = asked(with(PauseWith::Stop));
    run.on(Event::Operator(RESUME));
    run.pass(4 * MINUTE);
    run.on(ends(1));
    assert!(run.machine.died_after_resume());
    assert!(run.warnings()[0].contains("after it was continued"));
    let mut run = asked(with(PauseWith::Stop));
    run.on(Event::Operator(RESUME));
    run.pass(6 * MINUTE);
    run.on(ends(1));
    assert!(!run.machine.died_after_resume());
}
