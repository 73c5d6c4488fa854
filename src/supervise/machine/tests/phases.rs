//! What each event makes of each phase.

use super::*;

fn letter(phase: Phase) -> char {
    match phase {
        Phase::Holding => 'H',
        Phase::Starting => 'S',
        Phase::Running { .. } => 'R',
        Phase::Pausing { .. } => 'p',
        Phase::Paused { .. } => 'P',
        Phase::Resuming { .. } => 'r',
        Phase::Stopping { .. } => 'T',
        Phase::Ended(_) => 'E',
    }
}

/// A machine that has come to each phase, at the same moment.
fn come_to(phase: char) -> Machine {
    let now = ManualClock::at(begin()).now();
    let mut machine = Machine::new(plain(), now);
    machine.planner = Arc::new(if phase == 'H' { waits as Rule } else { runs });
    let way: &[Event] = match phase {
        'H' | 'S' => &[],
        'R' => &[STARTED, READY],
        'p' => &[STARTED, READY, Event::Operator(Word::Pause)],
        'P' => &[STARTED, READY, Event::Operator(Word::Pause), CONFIRMED],
        'r' => &[
            STARTED,
            READY,
            Event::Operator(Word::Pause),
            CONFIRMED,
            Event::Operator(Word::Resume),
        ],
        'T' => &[STARTED, READY, Event::Operator(Word::Stop)],
        _ => &[STARTED, Event::ChildEnded(Exit::Code(0))],
    };
    let beginning = [Event::Forecast(knowledge(&[300.0])), Event::Begin];
    for event in beginning.iter().chain(way) {
        drop(machine.on(now, event.clone()));
    }
    assert_eq!(letter(machine.phase()), phase);
    machine
}

#[test]
fn every_phase_answers_every_event() {
    let refused = |for_good| Event::PauseRefused {
        why: "no".into(),
        for_good,
    };
    let metered = Event::Metered {
        part: Part::Running,
        length: MINUTE,
        energy: Joules(1.0),
        grams: GramsCo2e(1.0),
    };
    let failed = Event::StartFailed { why: "no".into() };
    let usr1 = || signal(Meaning::User, 10);
    let table = [
        // from                            HSRpPrTE
        ("begin", Event::Begin, "HSRpPrTE"),
        ("wake", Event::Wake, "HSRpPrTE"),
        ("forecast", Event::Forecast(dirty_first(3)), "HSRpPrTE"),
        ("typical", Event::Typical(HOUR), "HSRpPrTE"),
        ("started", STARTED, "HRRpPrTE"),
        ("start failed", failed, "HERpPrTE"),
        ("pause confirmed", CONFIRMED, "HSRPPrTE"),
        ("pause refused", refused(false), "HSRRPrTE"),
        ("refused for good", refused(true), "HSRRPrTE"),
        ("resume confirmed", RESUMED, "HSRpPRTE"),
        ("ended", Event::ChildEnded(Exit::Code(1)), "EEEEEEEE"),
        ("INT", interrupt(), "ESRrrrTE"),
        ("TERM", terminate(), "ESTTTTTE"),
        ("HUP", signal(Meaning::HangUp, 1), "ESRrrrTE"),
        ("QUIT", signal(Meaning::Quit, 3), "ESRrrrTE"),
        ("USR1", usr1(), "HSRrrrTE"),
        ("WINCH", signal(Meaning::Resize, 28), "HSRpPrTE"),
        ("pause", Event::Operator(Word::Pause), "HSppPrTE"),
        ("resume", Event::Operator(Word::Resume), "SSRprrTE"),
        ("stop", Event::Operator(Word::Stop), "ESTTTTTE"),
        ("Ctrl-Z", Event::TerminalStop, "HSppPrTE"),
        ("fg", Event::TerminalContinue, "HSRpPrTE"),
        ("guard ready", READY, "HSRpPrTE"),
        ("guard lost", Event::GuardLost, "HSRrrrTE"),
        ("guard released", Event::GuardReleased, "HSRrrrTE"),
        ("metered", metered, "HSRpPrTE"),
    ];
    let now = ManualClock::at(begin()).now();
    for (name, event, expected) in table {
        let after: String = "HSRpPrTE"
            .chars()
            .map(|phase| {
                let mut machine = come_to(phase);
                drop(machine.on(now, event.clone()));
                letter(machine.phase())
            })
            .collect();
        assert_eq!(after, expected, "{name}");
    }
}

#[test]
fn what_comes_during_the_start_reaches_the_job() {
    let now = ManualClock::at(begin()).now();
    let mut machine = come_to('S');
    assert!(machine.on(now, terminate()).is_empty());
    let effects = machine.on(now, STARTED);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Relay(signal) if signal.number == 15))
    );
    assert_eq!(letter(machine.phase()), 'T');
}

#[test]
fn a_late_confirmation_of_a_pause_changes_nothing() {
    let now = ManualClock::at(begin()).now();
    for phase in ['r', 'T', 'R'] {
        let mut machine = come_to(phase);
        assert!(machine.on(now, CONFIRMED).is_empty(), "{phase}");
    }
}

#[test]
fn a_stopped_job_is_continued_on_each_way_out() {
    let now = ManualClock::at(begin()).now();
    let ways = [
        terminate(),
        interrupt(),
        Event::Operator(Word::Stop),
        Event::ChildEnded(Exit::Code(0)),
        Event::GuardLost,
        Event::GuardReleased,
    ];
    for phase in ['p', 'P'] {
        for way in &ways {
            let effects = come_to(phase).on(now, way.clone());
            assert!(
                effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Resume)),
                "{phase} {way:?}"
            );
        }
    }
}
