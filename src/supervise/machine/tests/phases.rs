//! What each event makes of each phase.

use super::*;
use crate::supervise::progress::Reading;

/// Holding, Starting, Running, Checkpointing, proVing, Leaving, pausing, Paused, released (F, for
/// free), Backoff, resuming, Stopping, linGering, Ended.
const ALL: &str = "HSRCVLpPFBrTGE";

fn letter(phase: Phase) -> char {
    match phase {
        Phase::Holding => 'H',
        Phase::Starting => 'S',
        Phase::Running { .. } => 'R',
        Phase::Checkpointing { .. } => 'C',
        Phase::Proving { .. } => 'V',
        Phase::Leaving { .. } => 'L',
        Phase::Pausing { .. } => 'p',
        Phase::Paused { .. } => 'P',
        Phase::Released { .. } => 'F',
        Phase::Backoff { .. } => 'B',
        Phase::Resuming { .. } => 'r',
        Phase::Stopping { .. } => 'T',
        Phase::Lingering { .. } => 'G',
        Phase::Ended(_) => 'E',
    }
}

/// A machine that has come to each phase, at the same moment.
fn come_to(phase: char) -> Machine {
    let now = ManualClock::at(begin()).now();
    let mut settings = plain();
    if matches!(phase, 'C' | 'V' | 'L' | 'F') {
        settings.pausing.with = PauseWith::Restart;
        settings.pausing.has_proof = true;
    }
    if phase == 'B' {
        settings.retry.most = 3;
        settings.retry.delay = MINUTE;
    }
    let mut machine = Machine::new(settings, now);
    machine.planner = Arc::new(if phase == 'H' { waits as Rule } else { runs });
    let pause = Event::Operator(Word::Pause);
    let lingers = Event::ChildEnded {
        exit: Some(Exit::Code(0)),
        left: 2,
    };
    let way: &[Event] = match phase {
        'H' | 'S' => &[],
        'R' => &[STARTED, READY],
        'p' | 'C' => &[STARTED, READY, pause],
        'P' => &[STARTED, READY, pause, CONFIRMED],
        'V' => &[STARTED, READY, pause, ends(0)],
        'L' => &[STARTED, READY, pause, saved()],
        'F' => &[STARTED, READY, pause, saved(), ends(0)],
        'B' => &[STARTED, READY, ends(1)],
        'r' => &[STARTED, READY, pause, CONFIRMED, Event::Operator(RESUME)],
        'T' => &[STARTED, READY, Event::Operator(Word::Stop)],
        'G' => &[STARTED, READY, lingers],
        _ => &[STARTED, ends(0)],
    };
    let beginning = [Event::Forecast(knowledge(&[300.0])), Event::Begin];
    for event in beginning.iter().chain(way) {
        drop(machine.on(now, event.clone()));
    }
    assert_eq!(letter(machine.phase()), phase);
    machine
}

fn saved() -> Event {
    Event::Saved("model.pt, new".to_owned())
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
    let lingers = Event::ChildEnded {
        exit: Some(Exit::Code(0)),
        left: 1,
    };
    let unknown = Event::ChildEnded {
        exit: None,
        left: 0,
    };
    let progress = Event::Progress(Reading {
        done: 1.0,
        total: 9.0,
    });
    let asked = Event::Asked(Box::new(due(6 * HOUR, 30.0)));
    let resume_for = Event::Operator(Word::Resume { time: Some(HOUR) });
    let table = [
        // from                                   HSRCVLpPFBrTGE
        ("begin", Event::Begin, "HSRCVLpPFBrTGE"),
        ("wake", Event::Wake, "HSRCVLpPFBrTGE"),
        (
            "forecast",
            Event::Forecast(dirty_first(3)),
            "HSRCVLpPFBrTGE",
        ),
        ("typical", Event::Typical(HOUR), "HSRCVLpPFBrTGE"),
        ("asked", asked, "HSRCVLpPFBrTGE"),
        ("progress", progress, "HSRCVLpPFBrTGE"),
        ("started", STARTED, "HRRCVLpPFBrTGE"),
        ("start failed", failed, "HERCVLpPFBrTGE"),
        ("pause confirmed", CONFIRMED, "HSRCVLPPFBrTGE"),
        ("pause refused", refused(false), "HSRCVLRPFBrTGE"),
        ("refused for good", refused(true), "HSRCVLRPFBrTGE"),
        ("not asked", Event::NotAsked("no".into()), "HSRpVLpPFBrTGE"),
        ("saved", saved(), "HSRLFLpPFBrTGE"),
        ("resume confirmed", RESUMED, "HSRCVLpPFBRTGE"),
        ("ended well", ends(0), "EEEVVFEEFBEEGE"),
        ("ended badly", ends(1), "EEEVVFEEFBEEGE"),
        ("ended unknown", unknown, "EEEVVFEEFBEEGE"),
        ("ended, others live", lingers, "GGGVVGGGFBGGGE"),
        ("all gone", Event::AllGone, "HSRCVLpPFBrTEE"),
        ("devices free", Event::Devices(None), "HSRCVLpPFBrTGE"),
        (
            "devices taken",
            Event::Devices(Some("x".into())),
            "HSRCVLpPFBrTGE",
        ),
        ("INT", interrupt(), "ESRCELrrEErTGE"),
        ("TERM", terminate(), "ESTTETTTEETTGE"),
        ("HUP", signal(Meaning::HangUp, 1), "ESRCELrrEErTGE"),
        ("QUIT", signal(Meaning::Quit, 3), "ESRCELrrEErTGE"),
        ("USR1", usr1(), "HSRCVLrrFBrTGE"),
        ("WINCH", signal(Meaning::Resize, 28), "HSRCVLpPFBrTGE"),
        ("pause", Event::Operator(Word::Pause), "HSpCVLpPFBrTGE"),
        ("resume", Event::Operator(RESUME), "SSRCVLprSSrTGE"),
        ("resume for 1 h", resume_for, "SSRCVLprSSrTGE"),
        ("stop", Event::Operator(Word::Stop), "ESTTETTTEETTGE"),
        ("Ctrl-Z", Event::TerminalStop, "HSppVLpPFBrTGE"),
        ("fg", Event::TerminalContinue, "HSRCVLpPFBrTGE"),
        ("guard ready", READY, "HSRCVLpPFBrTGE"),
        ("guard lost", Event::GuardLost, "HSRCVLrrFBrTGE"),
        ("guard released", Event::GuardReleased, "HSRCVLrrFBrTGE"),
        ("metered", metered, "HSRCVLpPFBrTGE"),
    ];
    let now = ManualClock::at(begin()).now();
    let mut wrong = Vec::new();
    for (name, event, expected) in table {
        let after: String = ALL
            .chars()
            .map(|phase| {
                let mut machine = come_to(phase);
                drop(machine.on(now, event.clone()));
                letter(machine.phase())
            })
            .collect();
        if after != expected {
            wrong.push(format!("{name}: {ALL} becomes {after}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
        ends(0),
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
