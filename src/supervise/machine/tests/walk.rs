//! Random sequences of events: what must hold whatever happens.

use proptest::prelude::*;

use super::*;
use crate::plan::Allowance;

/// What happens next, and how much later.
#[derive(Clone, Debug)]
enum Step {
    Event(Event),
    Clock(i64),
    Sleep(u64),
    /// For another end, so many hours after the beginning.
    Asked(u32),
    Nothing,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let event = |event: Event| Just(Step::Event(event));
    let signals = prop_oneof![
        Just(Meaning::Interrupt),
        Just(Meaning::HangUp),
        Just(Meaning::Quit),
    ];
    let what = prop_oneof![
        200 => Just(Step::Nothing),
        40 => event(Event::GuardReady),
        20 => event(Event::GuardLost),
        10 => event(Event::GuardReleased),
        20 => event(signal(Meaning::User, 10)),
        10 => event(signal(Meaning::Resize, 28)),
        30 => event(Event::Operator(Word::Pause)),
        40 => event(Event::Operator(Word::Resume { time: None })),
        10 => event(Event::Led { held: true }),
        20 => event(Event::Led { held: false }),
        5 => event(Event::Apart("a node is gone".into())),
        5 => event(Event::GivenBack(Err("no".into()))),
        30 => event(Event::TerminalStop),
        30 => event(Event::TerminalContinue),
        20 => event(CONFIRMED),
        20 => event(RESUMED),
        10 => event(STARTED),
        20 => event(Event::Saved("it".into())),
        15 => (0..2, 0..3_u32).prop_map(|(code, left)| {
            let exit = Some(Exit::Code(code));
            Step::Event(Event::ChildEnded { exit, left })
        }),
        20 => event(Event::AllGone),
        10 => event(Event::Devices(None)),
        10 => event(Event::Devices(Some("they are taken".into()))),
        10 => event(Event::PauseRefused { why: "no".into(), for_good: false }),
        10 => event(Event::Typical(HOUR)),
        5 => (0..48_u32).prop_map(Step::Asked),
        10 => Just(()).prop_map(|()| Step::Event(Event::Forecast(dirty_first(12)))),
        1 => (signals, any::<bool>()).prop_map(|(meaning, has_terminal)| {
            Step::Event(Event::Signal(Signal {
                number: 1,
                from_terminal: false,
                to_everyone: false,
                meaning,
                has_terminal,
            }))
        }),
        10 => (-7200..7200_i64).prop_map(Step::Clock),
        10 => (0..7200_u64).prop_map(Step::Sleep),
    ];
    let later = prop_oneof![Just(0), 1..2000_u64, 1..1_200_000_u64];
    (later, what)
}

/// The job at this moment, as far as the machine asked for it.
#[derive(Default)]
struct Job {
    exists: bool,
    stopped: bool,
    /// Others outlive the leader.
    left: bool,
}

/// What the job does when asked, and how it is paused.
#[derive(Clone, Debug)]
struct Nature {
    confirms: bool,
    saves: bool,
    obeys: bool,
    settings: Settings,
}

fn nature() -> impl Strategy<Value = Nature> {
    let with = prop_oneof![
        Just(PauseWith::Stop),
        Just(PauseWith::Checkpoint),
        Just(PauseWith::Restart),
        Just(PauseWith::Auto),
    ];
    let often = || proptest::bool::weighted(0.8);
    (with, often(), often(), often(), any::<[bool; 4]>()).prop_map(
        |(with, confirms, saves, obeys, [has_proof, runs_on, looks, limited])| {
            let mut settings = due(HOUR, 96.0);
            settings.pausing.with = with;
            settings.pausing.has_proof = has_proof || with == PauseWith::Checkpoint;
            settings.pausing.max_stop = limited.then_some(8 * MINUTE);
            settings.looks_at_devices = looks;
            settings.retry.most = 1000;
            settings.retry.delay = MINUTE;
            if runs_on {
                settings.pausing.unproved = Unproved::Run;
            }
            Nature {
                confirms,
                saves,
                obeys,
                settings,
            }
        },
    )
}

/// Waits while there is time by the deadline, which is three days on.
fn waits_by_the_guard(now: Timestamp, _: &Policy, s: &Situation<'_>) -> Decision {
    let guard = at(72.0);
    let allowed = s.allowance != Allowance::None && now < guard;
    // Changes its mind every other hour.
    let wants = now.as_second() / 3600 % 2 == 0;
    let next = Timestamp::from_second((now.as_second() / 3600 + 1) * 3600).unwrap();
    Decision {
        act: if allowed && wants {
            Act::Pause
        } else {
            Act::Run
        },
        way: Way::Hold,
        until: allowed.then(|| next.min(guard)),
        reason: Reason::NoDelayLeft,
        plan: None,
        deadline: None,
    }
}

fn walk(steps: Vec<(u64, Step)>, nature: Nature) -> Result<(), TestCaseError> {
    let mut clock = ManualClock::at(begin());
    let mut machine = Machine::new(nature.settings, clock.now());
    machine.planner = Arc::new(waits_by_the_guard as Rule);
    let mut job = Job::default();
    let mut stretches: Vec<Stretch> = Vec::new();
    let ended = std::cell::Cell::new(None);
    let mut feed = |machine: &mut Machine, job: &mut Job, now: Moment, event: Event| {
        let mut events = std::collections::VecDeque::from([event]);
        let mut many = 0;
        while let Some(event) = events.pop_front() {
            // What the world cannot do, it does not do.
            let possible = match event {
                Event::PauseConfirmed { .. } => job.exists,
                Event::ResumeConfirmed { .. } => job.exists && !job.stopped,
                Event::Started { .. } => machine.phase() == Phase::Starting,
                Event::ChildEnded { .. } => job.exists,
                Event::AllGone => job.left,
                _ => true,
            };
            if !possible {
                continue;
            }
            if let Event::ChildEnded { left, .. } = event {
                // Who ends is continued by the executor, and so are those it leaves.
                *job = Job {
                    left: left > 0,
                    ..Job::default()
                };
            }
            job.left &= !matches!(event, Event::AllGone);
            if let (Event::PauseConfirmed { .. }, Phase::Pausing { .. }) = (&event, machine.phase())
            {
                job.stopped = true;
            }
            if let Event::PauseRefused { .. } = event {
                job.stopped = false;
            }
            for effect in machine.on(now, event) {
                many += 1;
                prop_assert!(many < 200, "effects without end at {now:?}");
                match effect {
                    Effect::Start { .. } => {
                        prop_assert!(!job.exists, "started twice");
                        prop_assert!(!job.left, "started beside its former self");
                        job.exists = true;
                        events.push_back(STARTED);
                    }
                    Effect::Checkpoint => {
                        prop_assert!(!job.stopped, "who is stopped cannot save");
                        if nature.saves {
                            events.push_back(Event::Saved("it".into()));
                        }
                    }
                    Effect::AskToEnd if nature.obeys => events.push_back(ends(0)),
                    Effect::AskLeftovers if nature.obeys => events.push_back(Event::AllGone),
                    Effect::Kill if job.exists => events.push_back(ends(1)),
                    Effect::Kill if job.left => events.push_back(Event::AllGone),
                    Effect::LookAtDevices => events.push_back(Event::Devices(None)),
                    Effect::Pause => {
                        prop_assert!(!machine.holds().is_empty());
                        if nature.confirms {
                            events.push_back(CONFIRMED);
                        }
                    }
                    Effect::Resume => {
                        job.stopped = false;
                        events.push_back(RESUMED);
                    }
                    Effect::StopSelf => events.push_back(Event::TerminalContinue),
                    Effect::Segment(stretch) => stretches.push(stretch),
                    Effect::Finish => ended.set(Some(now)),
                    _ => {}
                }
            }
        }
        if job.stopped {
            let is_paused = matches!(machine.phase(), Phase::Paused { .. });
            prop_assert!(is_paused, "stopped and {:?}", machine.phase());
            prop_assert!(!machine.holds().is_empty(), "stopped for nobody");
        }
        Ok(())
    };
    feed(&mut machine, &mut job, clock.now(), Event::Begin)?;
    for (later, step) in steps {
        if let Phase::Ended(_) = machine.phase() {
            break;
        }
        // As the driver does: no wake-up is missed on the way.
        let end = clock.now().elapsed + Duration::from_millis(later);
        let mut wakes = 0;
        loop {
            let (now, next) = (clock.now(), machine.next_wakeup());
            let mut wait = end - now.elapsed;
            let left = |at: Timestamp| at.duration_since(now.utc).max(SignedDuration::ZERO);
            let delays = [
                next.utc.map(|at| left(at).unsigned_abs()),
                next.elapsed.map(|at| at.saturating_sub(now.elapsed)),
                next.monotonic.map(|at| at.saturating_sub(now.monotonic)),
            ];
            for delay in delays.into_iter().flatten() {
                wait = wait.min(delay);
            }
            clock.advance(wait);
            if clock.now().elapsed >= end && !wait.is_zero() || later == 0 {
                break;
            }
            feed(&mut machine, &mut job, clock.now(), Event::Wake)?;
            // The same again: nothing more to do.
            let again = machine.on(clock.now(), Event::Wake);
            prop_assert!(again.is_empty(), "{again:?}");
            wakes += 1;
            prop_assert!(wakes < 2000, "time does not move on: {:?}", machine.phase());
            if clock.now().elapsed >= end {
                break;
            }
        }
        match step {
            Step::Event(event) => feed(&mut machine, &mut job, clock.now(), event)?,
            Step::Clock(seconds) => {
                clock.set_utc(clock.now().utc + SignedDuration::from_secs(seconds));
            }
            Step::Asked(hours) => {
                let settings = Settings {
                    deadline: Some(at(f64::from(hours))),
                    ..machine.settings().clone()
                };
                let asked = Event::Asked(Box::new(settings));
                feed(&mut machine, &mut job, clock.now(), asked)?;
            }
            Step::Sleep(seconds) => clock.suspend(Duration::from_secs(seconds)),
            Step::Nothing => {}
        }
        // A second later, as the driver is at the latest, the guard has spoken.
        clock.advance(Duration::from_secs(1));
        feed(&mut machine, &mut job, clock.now(), Event::Wake)?;
        if clock.now().utc >= at(72.0) {
            let waits = matches!(
                machine.phase(),
                Phase::Holding | Phase::Paused { .. } | Phase::Released { .. }
            );
            let by_plan = machine.holds().carbon && waits;
            prop_assert!(!by_plan, "the deadline guard was skipped");
        }
    }
    let end = ended.get().unwrap_or(clock.now());
    for last in [Event::Operator(Word::Stop), ends(0), Event::AllGone] {
        feed(&mut machine, &mut job, clock.now(), last)?;
    }
    let is_over = matches!(machine.phase(), Phase::Ended(_));
    prop_assert!(is_over, "{:?} after the end", machine.phase());
    prop_assert!(!job.stopped, "left stopped at the end");
    let mut reached = Duration::ZERO;
    for stretch in &stretches {
        prop_assert_eq!(stretch.from.elapsed, reached);
        prop_assert!(stretch.to.elapsed > stretch.from.elapsed);
        let has_cause = !stretch.causes.is_empty();
        match stretch.part {
            Part::Held | Part::Paused => prop_assert!(has_cause, "{:?}", stretch),
            Part::Running | Part::Overhead | Part::Suspended => {
                prop_assert!(!has_cause, "{:?}", stretch);
            }
            Part::Saving | Part::Restoring => {}
        }
        reached = stretch.to.elapsed;
    }
    prop_assert_eq!(reached, end.elapsed);
    let running = stretches.iter().filter(|s| s.part == Part::Running);
    let productive: Duration = running.map(|s| s.to.elapsed - s.from.elapsed).sum();
    prop_assert_eq!(productive, machine.productive(clock.now()));
    Ok(())
}

proptest! {
    // 400 walks of 250 steps: 100 000, not counting answers and wake-ups.
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_job_is_left_stopped_and_segments_tile_the_run(
        steps in proptest::collection::vec(step(), 250), nature in nature(),
    ) {
        walk(steps, nature)?;
    }
}
