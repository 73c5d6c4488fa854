//! Two ways to pause: which one is chosen, and what each of them needs.

use super::*;
use crate::plan::exact;

/// Another way beside that of [`situation`]: dear to come back from, and free while it lasts.
const LEAVES: Release = Release {
    pause: Duration::from_secs(5 * 60),
    resume: Duration::from_secs(40 * 60),
    pause_energy: KilowattHours(0.0),
    resume_energy: KilowattHours(0.6),
    idle: Watts(0.0),
};

/// A short dirty dip, and a long dirty night.
fn dip_and_night() -> Outlook {
    let dirty = |hour| hour == 2 || (4..10).contains(&hour);
    let values: Vec<f64> = (0..24)
        .map(|hour| if dirty(hour) { 500.0 } else { 100.0 })
        .collect();
    outlook(Kind::Live, &values)
}

/// Six hours of work that runs already; it draws 300 W where its memory is held.
fn either_way(outlook: &Outlook) -> Situation<'_> {
    let mut s = situation(outlook);
    s.power.idle = Watts(300.0);
    s.switching.release = Some(LEAVES);
    s.state = State::Running(HOUR);
    s.work = Work::Known {
        remaining: hours(6.0),
        margin: Duration::ZERO,
    };
    s.allowance = Allowance::Given(hours(8.0));
    s
}

/// What was done and when, by deciding every five minutes until the work is done, and its grams.
fn live(policy: &Policy, outlook: &Outlook) -> (Vec<(f64, Act, Way)>, GramsCo2e) {
    let first = either_way(outlook);
    let (mut state, mut changes) = (first.state, Vec::new());
    let (mut elapsed, mut done, mut grams) = (Duration::ZERO, Duration::ZERO, GramsCo2e(0.0));
    let (all, delay) = (hours(6.0), hours(8.0));
    let spend = |from: Duration, power: Watts, time: Duration| {
        let steps = (time.as_secs() / 60) as u32;
        let at = |step| Span::new(start(), from + MINUTE * step).end;
        let sum: f64 = (0..steps)
            .map(|step| outlook.expected.at(at(step)).unwrap().0)
            .sum();
        GramsCo2e(sum * power.0 / 1e3 / 60.0)
    };
    while done < all {
        let s = Situation {
            state,
            work: Work::Known {
                remaining: all - done,
                margin: Duration::ZERO,
            },
            allowance: Allowance::Given(delay - (elapsed - done)),
            ..first
        };
        let now = Span::new(start(), elapsed).end;
        let decision = decide(now, policy, &s);
        let hour = elapsed.as_secs_f64() / 3600.0;
        let step = 5 * MINUTE;
        let mut take = |power: Watts, time: Duration| {
            grams += spend(elapsed, power, time);
            elapsed += time;
        };
        match (state, decision.act) {
            (State::Fresh, _) => unreachable!("it runs from the start"),
            (State::Running(age), Act::Run) => {
                take(s.power.run, step);
                (state, done) = (State::Running(age + step), done + step);
            }
            (State::Running(_), Act::Pause) => {
                changes.push((hour, Act::Pause, decision.way));
                take(s.power.run, s.switching.pause_by(decision.way));
                state = match decision.way {
                    Way::Hold => State::Paused(Duration::ZERO),
                    Way::Release => State::Released(Duration::ZERO),
                };
            }
            (State::Paused(age), Act::Pause) => {
                assert_eq!(decision.way, Way::Hold);
                take(s.power.idle, step);
                state = State::Paused(age + step);
            }
            (State::Released(age), Act::Pause) => {
                assert_eq!(decision.way, Way::Release);
                take(LEAVES.idle, step);
                state = State::Released(age + step);
            }
            (State::Paused(_) | State::Released(_), Act::Run) => {
                let way = state.way();
                changes.push((hour, Act::Run, way));
                assert_eq!(decision.way, way);
                let restore = s.switching.resume_after(way);
                take(s.power.run, restore);
                state = State::Running(restore);
                if way == Way::Release {
                    grams += LEAVES.resume_energy * outlook.expected.at(now).unwrap();
                }
            }
        }
    }
    (changes, grams)
}

#[test]
fn a_short_dip_is_held_through_and_a_long_night_released() {
    let outlook = dip_and_night();
    let s = either_way(&outlook);
    let first = plan(&s).plan.unwrap();
    assert_eq!(first.ways, [Way::Hold, Way::Release]);
    let (changes, grams) = live(&Policy::Plan, &outlook);
    assert_eq!(
        changes,
        [
            (2.0, Act::Pause, Way::Hold),
            (3.0, Act::Run, Way::Hold),
            // Five minutes before the night, so that it saves while the power is clean.
            (4.0 - 5.0 / 60.0, Act::Pause, Way::Release),
            (10.0, Act::Run, Way::Release),
        ]
    );
    // As promised at the start: six hours of work, saving and restoring, and the dip at 300 W.
    assert!((grams - first.grams).0.abs() < 1e-6, "{grams:?} {first:?}");
    let expected = 100.0 * (6.0 + 45.0 / 60.0 + 0.6) + 500.0 * 0.3;
    assert!((grams.0 - expected).abs() < 1e-6, "{grams:?}");
}

#[test]
fn with_the_choice_of_ways_the_plan_is_as_cheap_as_the_exact_optimum() {
    let outlook = dip_and_night();
    let s = either_way(&outlook);
    let ticks = 14 * 12;
    let ci = (outlook
        .expected
        .resample(start(), 5 * MINUTE, ticks)
        .into_iter())
    .map(|known| known.unwrap().0)
    .collect();
    let optimum = exact::solve(&problem(&s, 5 * MINUTE, ci, ticks as u32, 72)).unwrap();
    let outline = plan(&s).plan.unwrap();
    assert!((outline.grams.0 - optimum.grams).abs() < 1e-6);
    for one in [Way::Hold, Way::Release] {
        let mut only = s;
        only.switching.release = None;
        if one == Way::Release {
            only.power.idle = LEAVES.idle;
            only.switching.pause = LEAVES.pause;
            only.switching.resume = LEAVES.resume;
            only.switching.resume_energy = LEAVES.resume_energy;
        }
        let alone = plan(&only).plan.unwrap();
        assert!(alone.grams.0 > outline.grams.0 + 1.0, "{one:?} {alone:?}");
    }
}

#[test]
fn a_threshold_holds_a_short_pause_and_releases_in_a_long_one() {
    let outlook = dip_and_night();
    let policy = Policy::Threshold(Limit::Absolute(GramsPerKwh(200.0)));
    let (changes, _) = live(&policy, &outlook);
    assert_eq!(
        changes,
        [
            (2.0, Act::Pause, Way::Hold),
            (3.0, Act::Run, Way::Hold),
            (4.0, Act::Pause, Way::Release),
            (10.0, Act::Run, Way::Release),
        ]
    );
}

#[test]
fn a_plan_of_both_ways_says_which_pauses_release() {
    let outlook = dip_and_night();
    let s = either_way(&outlook);
    let words = |now: Timestamp, s: &Situation<'_>| {
        let outline = decide(now, &Policy::Plan, s).plan.unwrap();
        let words = outline.words(s.state, now, &jiff::tz::TimeZone::UTC);
        words.split("; done").next().unwrap().to_owned()
    };
    let both = "runs on, then 2 pauses, 1 of which releases its memory";
    assert_eq!(words(start(), &s), both);
    let held = Situation {
        state: State::Paused(10 * MINUTE),
        ..s
    };
    let held = words(after(2.5), &held);
    assert_eq!(
        held,
        "paused until 21:00, then one pause that releases its memory"
    );
    let night = after(4.0 - 5.0 / 60.0);
    assert_eq!(words(night, &s), "released until Wed 04:00");
    let released = Situation {
        state: State::Released(HOUR),
        ..s
    };
    assert_eq!(words(after(5.0), &released), "released until Wed 04:00");
}

#[test]
fn a_way_that_does_not_fit_in_the_room_is_not_chosen() {
    let outlook = swinging(Kind::Live);
    let mut chosen = [0, 0];
    // Overheads below half a tick are none in ticks, and still take their time.
    for (hold, release) in [(1, 2), (2, 1), (1, 20), (20, 1), (20, 45), (45, 20)] {
        for minutes in 0..120 {
            let mut s = either_way(&outlook);
            s.power.idle = Watts(1.0);
            s.switching.pause = hold * MINUTE;
            s.switching.resume = hold * MINUTE;
            s.switching.release = Some(Release {
                pause: release * MINUTE,
                resume: release * MINUTE,
                resume_energy: KilowattHours(0.0),
                ..LEAVES
            });
            s.allowance = Allowance::Given(minutes * MINUTE);
            let room = |overhead: u32| minutes > 2 * overhead + 5 + 1;
            let decision = plan(&s);
            match decision.act {
                Act::Pause => {
                    let taken = [hold, release][decision.way as usize];
                    assert!(room(taken), "{hold} {release} {minutes}: {decision:?}");
                    chosen[decision.way as usize] += 1;
                }
                Act::Run if !room(hold.min(release)) => {
                    assert_eq!(decision.reason, Reason::NoDelayLeft);
                }
                Act::Run => {}
            }
        }
    }
    assert!(chosen[0] > 20 && chosen[1] > 20, "{chosen:?}");
}

#[test]
fn the_time_to_restore_is_that_of_the_way_in_which_it_is_paused() {
    let outlook = outlook_of(&[400.0, 400.0, 400.0, 100.0, 100.0, 100.0, 100.0, 100.0]);
    let mut s = either_way(&outlook);
    s.work = Work::Known {
        remaining: hours(4.0),
        margin: Duration::ZERO,
    };
    s.allowance = Allowance::Deadline;
    // 15 min beyond the work, less 1.5 min of reserve.
    s.deadline = Some(after(4.25));
    s.switching.release = Some(Release {
        resume: 13 * MINUTE,
        ..LEAVES
    });
    s.state = State::Paused(HOUR);
    assert_eq!(plan(&s).act, Act::Pause);
    s.state = State::Released(HOUR);
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.way, decision.reason),
        (Act::Run, Way::Release, Reason::DeadlineGuard)
    );
    // To run at once is to restore first.
    let outline = decision.plan.unwrap();
    let (restoring, dirty, clean) = ((0.25 + 0.6) * 400.0, 2.75 * 400.0, 1.25 * 100.0);
    let expected = restoring + dirty + clean;
    assert_eq!(outline.end, after(4.25));
    assert!((outline.run_now_grams.0 - expected).abs() < 1e-6);
}

#[test]
fn a_run_with_one_way_is_planned_alike_whichever_it_is() {
    let outlook = swinging(Kind::Live);
    for minutes in [0, 3, 20, 90] {
        for delay in [0.0, 0.4, 2.0, 20.0] {
            let mut s = situation(&outlook);
            s.switching.resume = 12 * MINUTE;
            s.switching.min_pause = 30 * MINUTE;
            s.allowance = Allowance::Given(hours(delay));
            s.state = State::Paused(minutes * MINUTE);
            let paused = plan(&s);
            s.state = State::Released(minutes * MINUTE);
            let released = plan(&s);
            assert_eq!((paused.way, released.way), (Way::Hold, Way::Release));
            let way = Way::Hold;
            assert_eq!(paused, Decision { way, ..released });
        }
    }
}

#[test]
fn the_least_pause_holds_for_both_ways() {
    let clean_now = outlook_of(&[100.0, 400.0, 400.0, 400.0, 400.0, 400.0, 400.0, 400.0]);
    let mut s = either_way(&clean_now);
    s.switching.min_pause = 20 * MINUTE;
    for (state, way) in [
        (State::Paused(5 * MINUTE), Way::Hold),
        (State::Released(5 * MINUTE), Way::Release),
    ] {
        s.state = state;
        let decision = plan(&s);
        assert_eq!(
            (decision.act, decision.way, decision.reason),
            (Act::Pause, way, Reason::MinPause)
        );
        assert_eq!(decision.until, Some(after(0.25)));
    }
}
