//! The machine lives out days of November 2021 in Germany, as forecast then, on a clock that only
//! moves when told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catrain::clock::{Clock, ManualClock, Moment};
use catrain::forecast::Knowledge;
use catrain::ledger::entry::{Exit, Part};
use catrain::plan::{Policy, Power, Switching};
use catrain::source;
use catrain::supervise::machine::{
    Effect, Event, Expected, Leftovers, Machine, Pausing, Phase, Retry, Settings, Stretch, Ties,
};
use catrain::units::{KilowattHours, Watts};
use jiff::{SignedDuration, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const RUN: Watts = Watts(300.0);

fn trace(at: &str) -> (Knowledge, Timestamp) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/DE_2021-11.csv");
    let spec = format!("{}@{at}", path.display());
    let day = source::replay(&spec, None, Timestamp::UNIX_EPOCH).unwrap();
    (day.knowledge, day.from)
}

/// `-d 8h --deadline +20h`
fn settings(from: Timestamp) -> Settings {
    Settings {
        policy: Policy::Plan,
        power: Power {
            run: RUN,
            idle: Watts::ZERO,
            wait: Watts::ZERO,
        },
        switching: Switching {
            pause: Duration::ZERO,
            resume: Duration::ZERO,
            pause_energy: KilowattHours::ZERO,
            resume_energy: KilowattHours::from(RUN * (2 * MINUTE)),
            min_run: 10 * MINUTE,
            min_pause: 5 * MINUTE,
            max_pauses: None,
            release: None,
        },
        pausing: Pausing::STOP,
        deadline: Some(from + SignedDuration::from_hours(20)),
        duration: Some(Expected {
            duration: 8 * HOUR,
            margin: 0.25,
            given: true,
        }),
        budget: None,
        on_budget: catrain::supervise::settings::OnBudget::Warn,
        max_delay: None,
        asked_for: true,
        may_hold: true,
        may_pause: true,
        can_pause: true,
        stop_signal: 15,
        grace: 30 * Duration::from_secs(1),
        leftovers: Leftovers::End,
        retry: Retry::default(),
        looks_at_devices: false,
        is_attached: false,
        follows: false,
        poll: 10 * MINUTE,
        replan: 10 * MINUTE,
    }
}

/// How a run went.
struct Lived {
    end: Moment,
    stretches: Vec<Stretch>,
    pauses: u32,
}

fn live(knowledge: &Arc<Knowledge>, from: Timestamp) -> Lived {
    let mut clock = ManualClock::at(from);
    let mut machine = Machine::new(settings(from), clock.now());
    let mut stretches = Vec::new();
    let mut feed = |machine: &mut Machine, now: Moment, event: Event| {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in machine.on(now, event) {
                let took = Duration::from_millis(2);
                match effect {
                    Effect::Start { .. } => events.push_back(Event::Started { pid: 17, took }),
                    Effect::Pause => events.push_back(Event::PauseConfirmed {
                        processes: 1,
                        took,
                        ties: Ties::default(),
                    }),
                    Effect::Resume => {
                        events.push_back(Event::ResumeConfirmed { processes: 1, took });
                    }
                    Effect::Segment(stretch) => stretches.push(stretch),
                    _ => {}
                }
            }
        }
    };
    for event in [
        Event::Forecast(knowledge.clone()),
        Event::Begin,
        Event::GuardReady,
    ] {
        feed(&mut machine, clock.now(), event);
    }
    loop {
        let (now, next) = (clock.now(), machine.next_wakeup());
        let left = |at: Timestamp| at.duration_since(now.utc).max(SignedDuration::ZERO);
        let work = 8 * HOUR - machine.productive(now);
        let delays = [
            next.utc.map(|at| left(at).unsigned_abs()),
            next.elapsed.map(|at| at.saturating_sub(now.elapsed)),
            next.monotonic.map(|at| at.saturating_sub(now.monotonic)),
            matches!(machine.phase(), Phase::Running { .. }).then_some(work),
        ];
        clock.advance(delays.into_iter().flatten().min().unwrap());
        assert!(clock.now().elapsed < 48 * HOUR, "{from}: it never ends");
        if machine.productive(clock.now()) >= 8 * HOUR {
            feed(
                &mut machine,
                clock.now(),
                Event::ChildEnded {
                    exit: Some(Exit::Code(0)),
                    left: 0,
                },
            );
            return Lived {
                end: clock.now(),
                stretches,
                pauses: machine.pauses(),
            };
        }
        feed(&mut machine, clock.now(), Event::Wake);
    }
}

/// Grams of running for a while from a time on, by what came.
fn grams(knowledge: &Knowledge, from: Timestamp, length: Duration) -> f64 {
    let minutes = length.as_secs() / 60;
    (0..minutes)
        .map(|minute| {
            let at = from + SignedDuration::from_mins(minute as i64);
            let intensity = knowledge
                .observations
                .at(at)
                .expect("the trace has this hour");
            (KilowattHours::from(RUN * MINUTE) * intensity).0
        })
        .sum()
}

#[test]
fn eight_hours_of_work_keep_a_deadline_in_twenty_and_save() {
    let starts = [
        "2021-11-10T00:00",
        "2021-11-11T06:00",
        "2021-11-12T17:00",
        "2021-11-14T09:30",
        "2021-11-16T18:00",
        "2021-11-17T12:10",
    ];
    let (mut now_grams, mut run_grams) = (0.0, 0.0);
    let mut told = String::new();
    for start in starts {
        let (knowledge, from) = trace(start);
        let knowledge = Arc::new(knowledge);
        let lived = live(&knowledge, from);
        let deadline = from + SignedDuration::from_hours(20);
        assert!(
            lived.end.utc <= deadline,
            "{start}: ended {}",
            lived.end.utc
        );
        let running = lived.stretches.iter().filter(|s| s.part == Part::Running);
        let mut productive = Duration::ZERO;
        let mut used = 0.0;
        for stretch in running {
            let length = stretch.to.elapsed - stretch.from.elapsed;
            productive += length;
            used += grams(&knowledge, stretch.from.utc, length);
        }
        assert!(productive >= 8 * HOUR, "{start}: ran {productive:?}");
        let at_once = grams(&knowledge, from, 8 * HOUR);
        told += &format!(
            "{start}: {used:.0} g instead of {at_once:.0}, {} pauses\n",
            lived.pauses
        );
        now_grams += at_once;
        run_grams += used;
    }
    let saving = (now_grams - run_grams) / now_grams;
    assert!(saving > 0.03, "saved {:.1} %:\n{told}", saving * 100.0);
}
