//! What it costs that jobs planned by one forecast do not all begin in the same minute:
//! `cargo bench --bench herd`.
//!
//! Ten thousand jobs of six hours arrive evenly over a day, each with 24 hours of slack. Each is planned once,
//! by the exact planner and the forecast as it was known at the full hour before it arrived; its starts and
//! resumes are then moved later by draws of their own, evenly from none to the jitter, never past its latest
//! end. Grams are counted by what came, on the days that come with the repository, and there is no limit of
//! nodes, which in earnest spreads starts further. Everything is drawn from one seed: the same
//! figures wherever it is run.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::time::Duration;

use catrain::forecast::ahead::ahead;
use catrain::forecast::{Knowledge, Outlook, Span};
use catrain::plan::exact::{Phase, solve};
use catrain::plan::{Allowance, Power, Situation, State, Switching, Work, problem};
use catrain::source;
use catrain::units::{KilowattHours, Watts};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

const JOBS: usize = 10_000;
const WORK: Duration = Duration::from_hours(6);
const SLACK: Duration = Duration::from_hours(24);
const DAY: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_mins(5);
/// What pauses are planned with.
const IDLE_SHARE: f64 = 0.1;
const RESUME: Duration = Duration::from_mins(5);
/// Upper ends of the draws, in minutes.
const JITTERS: [u64; 5] = [0, 1, 5, 15, 30];
const SEED: u64 = 8;

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    for (zone, file) in [
        ("DE", "DE_2021-11.csv"),
        ("US-CAL-CISO", "US-CAL-CISO_2021-08.csv"),
    ] {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let (known, _) = source::past(&fixtures.join(file), zone).expect("a readable file");
        zone_of(zone, &known);
    }
}

/// When a job is powered: minutes from its arrival, and for how many.
type Stretch = (u64, u64);

/// A day's arrivals: the plan for each tick of the day.
struct Plans {
    day: Timestamp,
    of: Vec<Vec<Stretch>>,
}

fn zone_of(zone: &str, known: &Knowledge) {
    let span = known.observations.span().expect("observations");
    // A day of what came before the first, and all that the last may live through.
    let mut days = Vec::new();
    let mut day = span.start + SignedDuration::from_hours(24);
    while Span::new(day, DAY + WORK + SLACK).end <= span.end {
        days.push(plans(known, day));
        day += SignedDuration::from_hours(24);
    }
    let at_once: f64 = days.iter().map(|day| at_once(known, day)).sum();
    println!(
        "{zone}: {} days, {JOBS} jobs a day of 6 h with 24 h of slack",
        days.len()
    );
    println!("jitter   grams more   saved    starts in one minute     peak power");
    println!("                               worst day    mean        (at once = 1)");
    let mut planned = None;
    for jitter in JITTERS {
        let mut rng = Rng::with_seed(SEED);
        let lived: Vec<Lived> = (days.iter())
            .map(|day| live(known, day, jitter, &mut rng))
            .collect();
        let grams: f64 = lived.iter().map(|day| day.grams).sum();
        let planned = *planned.get_or_insert(grams);
        let worst = lived.iter().map(|day| day.starts).max().unwrap_or(0);
        let count = days.len() as f64;
        let mean = lived.iter().map(|day| day.starts as f64).sum::<f64>() / count;
        let peak = lived.iter().map(|day| day.peak).sum::<f64>() / count;
        println!(
            "{jitter:>3} min   {:>+8.3} %   {:>5.2} %   {worst:>9}   {mean:>6.0}   {peak:>18.2}",
            100.0 * (grams / planned - 1.0),
            100.0 * (1.0 - grams / at_once),
        );
    }
}

/// The plans of all ticks of the day.
fn plans(known: &Knowledge, day: Timestamp) -> Plans {
    let ticks = DAY.as_secs() / TICK.as_secs();
    let mut outlook: Option<Outlook> = None;
    let of = (0..ticks).map(|nth| {
        let arrival = Span::new(day, TICK * nth as u32).end;
        if nth.is_multiple_of(12) {
            outlook = ahead(arrival, known, 60);
        }
        let outlook = outlook.as_ref().expect("a forecast");
        plan(outlook, arrival)
    });
    Plans {
        day,
        of: of.collect(),
    }
}

fn plan(outlook: &Outlook, arrival: Timestamp) -> Vec<Stretch> {
    let run = Watts(1000.0);
    let situation = Situation {
        outlook,
        power: Power {
            run,
            idle: run * IDLE_SHARE,
            wait: Watts::ZERO,
        },
        switching: Switching {
            pause: Duration::ZERO,
            resume: RESUME,
            pause_energy: KilowattHours::ZERO,
            resume_energy: KilowattHours::ZERO,
            min_run: Duration::from_mins(10),
            min_pause: Duration::from_mins(5),
            max_pauses: None,
            release: None,
        },
        state: State::Fresh,
        work: Work::Known {
            remaining: WORK,
            margin: Duration::ZERO,
        },
        deadline: Some(Span::new(arrival, WORK + SLACK).end),
        allowance: Allowance::Deadline,
        poll: Duration::ZERO,
        asked_for: true,
    };
    let ticks = (WORK + SLACK).as_secs() / TICK.as_secs();
    let work = WORK.as_secs() / TICK.as_secs();
    let expected = outlook.expected.resample(arrival, TICK, ticks as usize);
    let expected = expected
        .into_iter()
        .map(|known| known.unwrap_or(outlook.mean).0);
    let problem = problem(
        &situation,
        TICK,
        expected.collect(),
        ticks as u32,
        work as u32,
    );
    let solution = solve(&problem).expect("a job that fits has a plan");
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut at, mut was_on) = (0, false);
    for (phase, ticks) in solution.phases {
        let minutes = u64::from(ticks) * TICK.as_secs() / 60;
        let is_on = matches!(phase, Phase::Run | Phase::Save(_) | Phase::Restore(_));
        match stretches.last_mut() {
            Some((_, length)) if is_on && was_on => *length += minutes,
            _ if is_on => stretches.push((at, minutes)),
            _ => {}
        }
        at += minutes;
        was_on = is_on;
    }
    stretches
}

/// What became of a day's jobs.
struct Lived {
    /// For a kilowatt each.
    grams: f64,
    /// Starts and resumes in the worst minute.
    starts: u32,
    /// Most jobs that are powered at a time, over that of the same jobs started at once.
    peak: f64,
}

fn live(known: &Knowledge, day: &Plans, jitter: u64, rng: &mut Rng) -> Lived {
    let seconds = 60 * minutes(DAY + WORK + SLACK) as usize;
    let mut starts = vec![0_u32; seconds / 60 + 1];
    let mut change = vec![0_i64; seconds / 60 + 1];
    let mut change_at_once = change.clone();
    let mut total = 0.0;
    for (slot, stretches) in arrivals(day) {
        let arrived = slot as u64 * TICK.as_secs();
        let at = (arrived / 60) as usize;
        change_at_once[at] += 1;
        change_at_once[at + minutes(WORK) as usize] -= 1;
        for (from, length) in stretches {
            let latest = (WORK + SLACK).as_secs() - 60 * length;
            let moved = (60 * from + rng.u64(0..=60 * jitter)).min(latest);
            let begin = arrived + moved;
            total += grams(known, day.day, begin, 60 * length);
            let first = (begin / 60) as usize;
            starts[first] += 1;
            change[first] += 1;
            change[first + *length as usize] -= 1;
        }
    }
    Lived {
        grams: total,
        starts: starts.into_iter().max().unwrap_or(0),
        peak: peak(&change) as f64 / peak(&change_at_once) as f64,
    }
}

/// The jobs of a day, evenly over it: the tick in which each arrives, and its plan.
fn arrivals(day: &Plans) -> impl Iterator<Item = (usize, &Vec<Stretch>)> {
    let slots = day.of.len();
    (0..JOBS).map(move |job| {
        let slot = job * slots / JOBS;
        (slot, &day.of[slot])
    })
}

fn at_once(known: &Knowledge, day: &Plans) -> f64 {
    let each = arrivals(day).map(|(slot, _)| slot as u64 * TICK.as_secs());
    each.map(|arrived| grams(known, day.day, arrived, WORK.as_secs()))
        .sum()
}

/// Of a kilowatt, by what came.
fn grams(known: &Knowledge, day: Timestamp, from_s: u64, length_s: u64) -> f64 {
    let begin = Span::new(day, Duration::from_secs(from_s)).end;
    let span = Span::new(begin, Duration::from_secs(length_s));
    let mean = known
        .observations
        .mean(span)
        .expect("no holes in these days");
    mean.0 * length_s as f64 / 3600.0
}

fn peak(change: &[i64]) -> i64 {
    let mut on = 0;
    let levels = change.iter().map(|change| {
        on += change;
        on
    });
    levels.max().unwrap_or(0)
}

fn minutes(time: Duration) -> u64 {
    time.as_secs() / 60
}
