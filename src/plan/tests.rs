mod ways;

use super::*;
use crate::forecast::{Basis, Kind, Series};
use crate::units::KilowattHours;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn start() -> Timestamp {
    "2026-11-24T18:00:00Z".parse().unwrap()
}

fn hours(n: f64) -> Duration {
    Duration::from_secs_f64(n * 3600.0)
}

fn after(n: f64) -> Timestamp {
    Span::new(start(), hours(n)).end
}

/// One value an hour from `start` on; `NAN` is a hole.
fn outlook(kind: Kind, values: &[f64]) -> Outlook {
    let known: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| !value.is_nan())
        .collect();
    Outlook {
        zone: "DE".to_owned(),
        basis: Basis::AVERAGE_LIFECYCLE,
        source: "test".to_owned(),
        kind,
        confidence: 0.9,
        // A usual day alone was never issued.
        issued_at: (kind < Kind::Profile).then(start),
        expected: Series::regular(
            start(),
            HOUR,
            values
                .iter()
                .map(|&value| (!value.is_nan()).then_some(GramsPerKwh(value))),
            kind,
        ),
        mean: GramsPerKwh(known.iter().sum::<f64>() / known.len() as f64),
    }
}

/// Dirty for six hours, clean for six, and so on.
fn swinging(kind: Kind) -> Outlook {
    let values: Vec<f64> = (0..96)
        .map(|hour| if hour / 6 % 2 == 0 { 450.0 } else { 150.0 })
        .collect();
    outlook(kind, &values)
}

/// 4 h of exactly known work at 1 kW, 24 h of delay, pauses free, decisions each minute.
fn situation(outlook: &Outlook) -> Situation<'_> {
    Situation {
        outlook,
        power: Power {
            run: Watts(1000.0),
            idle: Watts(0.0),
            wait: Watts(0.0),
        },
        switching: Switching {
            pause: Duration::ZERO,
            resume: Duration::ZERO,
            pause_energy: KilowattHours(0.0),
            resume_energy: KilowattHours(0.0),
            min_run: 10 * MINUTE,
            min_pause: 5 * MINUTE,
            max_pauses: None,
            release: None,
        },
        state: State::Fresh,
        work: Work::Known {
            remaining: hours(4.0),
            margin: Duration::ZERO,
        },
        deadline: None,
        allowance: Allowance::Given(hours(24.0)),
        poll: MINUTE,
        asked_for: true,
    }
}

fn plan(s: &Situation<'_>) -> Decision {
    decide(start(), &Policy::Plan, s)
}

#[test]
fn a_dirty_evening_is_waited_out() {
    let outlook = swinging(Kind::Live);
    let decision = plan(&situation(&outlook));
    assert_eq!(
        (decision.act, decision.until),
        (Act::Pause, Some(after(6.0)))
    );
    let outline = decision.plan.unwrap();
    let phases = vec![(Act::Pause, after(6.0)), (Act::Run, after(10.0))];
    assert_eq!((outline.phases, outline.pauses), (phases, 0));
    assert_eq!(
        (outline.grams, outline.run_now_grams),
        (GramsCo2e(600.0), GramsCo2e(1800.0))
    );
    assert_eq!(
        (outline.mean, outline.run_now_mean),
        (GramsPerKwh(150.0), GramsPerKwh(450.0))
    );
    assert_eq!(
        decision.reason,
        Reason::Cheaper {
            meanwhile: GramsPerKwh(450.0),
            then: GramsPerKwh(150.0),
            saves: GramsCo2e(1200.0),
        }
    );
}

#[test]
fn a_running_job_knows_when_its_next_pause_comes() {
    let outlook = outlook(
        Kind::Live,
        &[100.0, 100.0, 400.0, 400.0, 100.0, 100.0, 100.0],
    );
    let s = Situation {
        state: State::Running(HOUR),
        ..situation(&outlook)
    };
    let decision = plan(&s);
    assert_eq!((decision.act, decision.until), (Act::Run, Some(after(2.0))));
    assert_eq!(decision.plan.unwrap().pauses, 1);
}

#[test]
fn without_slack_it_runs_at_once() {
    let outlook = swinging(Kind::Live);
    for state in [State::Fresh, State::Running(HOUR), State::Paused(HOUR)] {
        let s = Situation {
            state,
            deadline: Some(after(4.0)),
            allowance: Allowance::Deadline,
            ..situation(&outlook)
        };
        let decision = plan(&s);
        assert_eq!(
            (decision.act, decision.until),
            (Act::Run, None),
            "{state:?}"
        );
        assert_eq!(
            decision.deadline,
            Some(Fit::Planned {
                spare: Duration::ZERO
            })
        );
        assert_eq!(decision.plan.unwrap().end, after(4.0));
    }
}

#[test]
fn with_nothing_left_there_is_nothing_to_do() {
    let outlook = swinging(Kind::Live);
    let s = Situation {
        work: Work::Known {
            remaining: Duration::ZERO,
            margin: Duration::ZERO,
        },
        ..situation(&outlook)
    };
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.reason),
        (Act::Run, Reason::NothingLeft)
    );
    assert_eq!(decision.plan, None);
}

#[test]
fn a_job_past_its_duration_is_not_paused_again() {
    let outlook = swinging(Kind::Live);
    for state in [State::Running(HOUR), State::Paused(HOUR)] {
        let s = Situation {
            state,
            deadline: Some(after(40.0)),
            work: Work::Known {
                remaining: Duration::ZERO,
                margin: Duration::ZERO,
            },
            ..situation(&outlook)
        };
        let decision = plan(&s);
        assert_eq!((decision.act, decision.reason), (Act::Run, Reason::Overrun));
    }
}

#[test]
fn a_flat_or_free_forecast_starts_at_once() {
    for level in [0.0, 300.0] {
        let outlook = outlook(Kind::Live, &[level; 48]);
        assert_eq!(plan(&situation(&outlook)).act, Act::Run, "{level} g/kWh");
    }
}

#[test]
fn an_average_never_holds_and_never_pauses() {
    let flat = outlook(Kind::Static, &[300.0; 48]);
    let yearly = swinging(Kind::RegionalAverage);
    for outlook in [&flat, &yearly] {
        for state in [State::Fresh, State::Running(HOUR), State::Paused(HOUR)] {
            let s = Situation {
                state,
                ..situation(outlook)
            };
            for policy in [
                Policy::Plan,
                Policy::Threshold(Limit::Absolute(GramsPerKwh(1.0))),
            ] {
                let decision = decide(start(), &policy, &s);
                assert_eq!(
                    (decision.act, decision.reason),
                    (Act::Run, Reason::FlatForecast)
                );
            }
        }
    }
}

#[test]
fn without_pauses_left_a_running_job_runs_to_the_end() {
    let outlook = swinging(Kind::Live);
    let mut s = situation(&outlook);
    s.state = State::Running(HOUR);
    assert_eq!(plan(&s).act, Act::Pause);
    s.switching.max_pauses = Some(0);
    assert_eq!(plan(&s).act, Act::Run);
}

#[test]
fn the_time_to_restore_counts_before_a_deadline() {
    let outlook = outlook(
        Kind::Live,
        &[400.0, 400.0, 400.0, 100.0, 100.0, 100.0, 100.0, 100.0],
    );
    let mut s = situation(&outlook);
    s.state = State::Paused(HOUR);
    s.allowance = Allowance::Deadline;
    // 15 min beyond the work, less 1.5 min of reserve.
    s.deadline = Some(after(4.25));
    assert_eq!(plan(&s).act, Act::Pause);
    s.switching.resume = 13 * MINUTE;
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.reason),
        (Act::Run, Reason::DeadlineGuard)
    );
}

#[test]
fn a_pause_that_the_guard_would_end_at_once_is_not_begun() {
    let outlook = outlook(
        Kind::Live,
        &[400.0, 400.0, 100.0, 100.0, 100.0, 100.0, 100.0],
    );
    let mut s = situation(&outlook);
    s.switching.min_pause = Duration::ZERO;
    s.state = State::Running(HOUR);
    s.poll = HOUR;
    for (delay, act) in [(1.0, Act::Run), (1.1, Act::Pause)] {
        s.allowance = Allowance::Given(hours(delay));
        assert_eq!(plan(&s).act, act, "{delay} h");
    }
    s.state = State::Paused(Duration::ZERO);
    assert_eq!(plan(&s).act, Act::Pause);
}

#[test]
fn the_guard_beats_the_least_pause() {
    let outlook = outlook(Kind::Live, &[400.0, 400.0, 100.0, 100.0, 100.0, 100.0]);
    let mut s = situation(&outlook);
    s.switching.min_pause = HOUR;
    s.state = State::Paused(MINUTE);
    s.allowance = Allowance::Deadline;
    s.deadline = Some(after(4.01));
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.reason),
        (Act::Run, Reason::DeadlineGuard)
    );
}

#[test]
fn minimum_times_hold_and_are_named() {
    let outlook = outlook(
        Kind::Live,
        &[400.0, 400.0, 100.0, 100.0, 100.0, 100.0, 100.0],
    );
    let mut s = situation(&outlook);
    s.state = State::Running(2 * MINUTE);
    let decision = plan(&s);
    assert_eq!((decision.act, decision.reason), (Act::Run, Reason::MinRun));
    assert_eq!(decision.until, Some(after(10.0 / 60.0)));

    let clean_now = outlook_of(&[100.0, 400.0, 400.0, 400.0, 400.0, 400.0]);
    let mut s = situation(&clean_now);
    s.switching.min_pause = 20 * MINUTE;
    s.state = State::Paused(5 * MINUTE);
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.reason),
        (Act::Pause, Reason::MinPause)
    );
    assert_eq!(decision.until, Some(after(0.25)));
}

fn outlook_of(values: &[f64]) -> Outlook {
    outlook(Kind::Live, values)
}

#[test]
fn any_power_gives_the_same_plan() {
    let outlook = swinging(Kind::Live);
    let mut s = situation(&outlook);
    s.state = State::Running(HOUR);
    s.power.idle = Watts(100.0);
    s.switching.resume_energy = KilowattHours(0.02);
    let known = plan(&s);
    s.power.run = Watts(40.0);
    s.power.idle = Watts(4.0);
    s.switching.resume_energy = KilowattHours(0.0008);
    let guessed = plan(&s);
    assert_eq!((known.act, known.until), (guessed.act, guessed.until));
    assert_eq!(known.plan.unwrap().phases, guessed.plan.unwrap().phases);
}

#[test]
fn holes_and_what_lies_beyond_the_forecast_are_priced_at_the_mean() {
    // The mean is 300. The hole is better than now, worse than the last hour.
    let outlook = outlook(Kind::Live, &[400.0, f64::NAN, 400.0, 400.0, 0.0]);
    let mut s = situation(&outlook);
    s.work = Work::Known {
        remaining: hours(2.0),
        margin: Duration::ZERO,
    };
    s.allowance = Allowance::Given(hours(3.0));
    let outline = plan(&s).plan.unwrap();
    assert_eq!(outline.phases[0], (Act::Pause, after(1.0)));
    assert_eq!(outline.grams, GramsCo2e(300.0));
}

#[test]
fn a_tight_deadline_runs_without_pausing_and_says_so() {
    let outlook = swinging(Kind::Live);
    let mut s = situation(&outlook);
    s.allowance = Allowance::Deadline;
    s.work = Work::Known {
        remaining: hours(4.0),
        margin: hours(1.0),
    };
    s.deadline = Some(after(4.5));
    let decision = plan(&s);
    assert_eq!(decision.deadline, Some(Fit::Tight));
    assert_eq!((decision.act, decision.reason), (Act::Run, Reason::Tight));

    s.deadline = Some(after(3.0));
    let decision = plan(&s);
    assert_eq!(decision.deadline, Some(Fit::CannotBeMet { late: HOUR }));
    assert_eq!(
        (decision.act, decision.reason),
        (Act::Run, Reason::DeadlineMissed)
    );

    s.deadline = Some(after(10.0));
    // 25 % of 4 h, and 15 min of reserve.
    let spare = hours(4.75);
    assert_eq!(plan(&s).deadline, Some(Fit::Planned { spare }));
}

#[test]
fn a_deadline_long_past_is_no_trouble() {
    let outlook = swinging(Kind::Live);
    let mut s = situation(&outlook);
    s.deadline = Some(Timestamp::MIN);
    assert_eq!(plan(&s).reason, Reason::DeadlineMissed);
    s.deadline = Some(Timestamp::MAX);
    s.work = Work::Known {
        remaining: Duration::MAX,
        margin: Duration::MAX,
    };
    s.allowance = Allowance::Given(Duration::MAX);
    assert_eq!(plan(&s).act, Act::Pause);
}

#[test]
fn of_a_deadline_and_a_largest_delay_the_tighter_counts() {
    let outlook = swinging(Kind::Live);
    let cases = [
        (30.0, 30.0, Act::Pause, 6.0),
        (30.0, 3.0, Act::Run, 0.0),
        (7.0, 30.0, Act::Run, 0.0),
    ];
    for (deadline, delay, act, until) in cases {
        let s = Situation {
            deadline: Some(after(deadline)),
            allowance: Allowance::Given(hours(delay)),
            ..situation(&outlook)
        };
        let decision = plan(&s);
        let outline = decision.plan.unwrap();
        if act == Act::Pause {
            assert_eq!((decision.act, decision.until), (act, Some(after(until))));
        }
        let latest = (4.0 + delay).min(deadline);
        assert!(
            outline.end <= after(latest),
            "{deadline} {delay}: {}",
            outline.end
        );
    }
}

#[test]
fn no_delay_given_means_no_hold_and_no_pause() {
    let outlook = swinging(Kind::Live);
    let none = [
        Allowance::Given(Duration::ZERO),
        Allowance::None,
        Allowance::Deadline,
    ];
    for allowance in none {
        for state in [State::Fresh, State::Running(HOUR), State::Paused(HOUR)] {
            let s = Situation {
                allowance,
                state,
                ..situation(&outlook)
            };
            let decision = plan(&s);
            assert_eq!(
                (decision.act, decision.reason),
                (Act::Run, Reason::NoDelayLeft)
            );
        }
    }
}

#[test]
fn a_deadline_alone_gives_no_right_to_wait() {
    let outlook = swinging(Kind::Live);
    let s = Situation {
        work: Work::Unknown { productive: HOUR },
        deadline: Some(after(90.0)),
        ..situation(&outlook)
    };
    assert_eq!(plan(&s).reason, Reason::UnknownWork);
}

#[test]
fn delay_is_earned_by_running_and_never_before_half_an_hour() {
    let outlook = swinging(Kind::Live);
    let earned = |state, left: Duration, may_pause| {
        let s = Situation {
            state,
            work: Work::Unknown {
                productive: 2 * left,
            },
            allowance: Allowance::Earned { left, may_pause },
            asked_for: false,
            ..situation(&outlook)
        };
        let decision = plan(&s);
        (decision.act, decision.reason)
    };
    let not_yet = (Act::Run, Reason::NotYetEarned);
    assert_eq!(earned(State::Fresh, hours(9.0), true), not_yet);
    assert_eq!(earned(State::Running(HOUR), hours(0.2), false), not_yet);
    assert_eq!(
        earned(State::Running(HOUR), Duration::ZERO, true).1,
        Reason::NoDelayLeft
    );
    assert_eq!(earned(State::Running(HOUR), hours(9.0), true).0, Act::Pause);
}

#[test]
fn earned_delay_is_half_the_running_time_and_twelve_hours_at_most() {
    assert_eq!(delay::earned(hours(3.0), hours(1.0)), hours(0.5));
    assert_eq!(delay::earned(hours(3.0), hours(2.0)), Duration::ZERO);
    assert_eq!(delay::earned(hours(100.0), hours(2.0)), hours(10.0));
}

#[test]
fn waiting_that_saves_little_is_not_begun_where_it_must_be_worth_it() {
    // Half as clean, but 12 g in all; then 1 %.
    let small = outlook(
        Kind::Profile,
        &[300.0, 300.0, 300.0, 300.0, 150.0, 150.0, 150.0, 150.0],
    );
    let flat = outlook(
        Kind::Profile,
        &[300.0, 300.0, 300.0, 300.0, 297.0, 297.0, 297.0, 297.0],
    );
    for (outlook, watts) in [(&small, 20.0), (&flat, 5000.0)] {
        let mut s = situation(outlook);
        s.power.run = Watts(watts);
        for state in [State::Fresh, State::Running(HOUR)] {
            s.state = state;
            let decision = plan(&s);
            assert_eq!(decision.act, Act::Run);
            assert!(
                matches!(decision.reason, Reason::NotWorthIt { .. }),
                "{decision:?}"
            );
        }
        // A pause that has begun is not broken off for that.
        s.state = State::Paused(HOUR);
        assert_eq!(plan(&s).act, Act::Pause);
        let live = Outlook {
            kind: Kind::Live,
            ..outlook.clone()
        };
        s.outlook = &live;
        s.state = State::Fresh;
        assert_eq!(plan(&s).act, Act::Pause);
    }
}

#[test]
fn an_observation_of_the_last_day_is_more_than_a_usual_day() {
    let values: Vec<f64> = (0..48).map(|hour| 900.0 - 20.0 * f64::from(hour)).collect();
    let mut outlook = outlook(Kind::Profile, &values);
    let mut held_until = |observed: i64| {
        outlook.issued_at = Some(start() - jiff::SignedDuration::from_hours(observed));
        let mut s = situation(&outlook);
        s.allowance = Allowance::Given(hours(12.0));
        s.asked_for = false;
        plan(&s).until
    };
    assert_eq!(held_until(23), Some(after(12.0 - 1.0 / 60.0)));
    assert_eq!(held_until(24), Some(after(6.0)));
}

#[test]
fn a_hold_on_the_usual_day_alone_ends_after_six_hours_unless_asked_for() {
    let values: Vec<f64> = (0..48).map(|hour| 900.0 - 20.0 * f64::from(hour)).collect();
    let outlook = outlook(Kind::Profile, &values);
    let mut s = situation(&outlook);
    s.allowance = Allowance::Given(hours(12.0));
    assert_eq!(plan(&s).until, Some(after(12.0 - 1.0 / 60.0)));
    s.asked_for = false;
    assert_eq!(plan(&s).until, Some(after(6.0)));
    s.allowance = Allowance::Given(hours(8.0));
    assert_eq!(plan(&s).until, Some(after(2.0)));
    s.allowance = Allowance::Given(hours(6.0));
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.reason),
        (Act::Run, Reason::NoDelayLeft)
    );
}

#[test]
fn it_is_woken_before_the_guard_would_end_a_wait() {
    let values: Vec<f64> = (0..96).map(|hour| 900.0 - 5.0 * f64::from(hour)).collect();
    let outlook = outlook(Kind::Live, &values);
    for delay in [1.0, 2.5, 5.9, 23.0] {
        let s = Situation {
            allowance: Allowance::Given(hours(delay)),
            ..situation(&outlook)
        };
        let decision = plan(&s);
        assert_eq!(decision.act, Act::Pause);
        assert!(
            decision.until.unwrap() <= after(delay - 1.0 / 60.0),
            "{delay} h"
        );
    }
}

#[test]
fn work_of_weeks_is_planned_in_hours() {
    let outlook = swinging(Kind::Live);
    let s = Situation {
        work: Work::Known {
            remaining: hours(2000.0),
            margin: hours(200.0),
        },
        allowance: Allowance::Given(hours(40.0)),
        ..situation(&outlook)
    };
    let decision = plan(&s);
    assert_eq!(
        (decision.act, decision.until),
        (Act::Pause, Some(after(6.0)))
    );
    let outline = decision.plan.unwrap();
    assert!(outline.end >= after(2000.0) && outline.end <= after(2040.0));
}

#[test]
fn now_is_now() {
    let outlook = swinging(Kind::Live);
    for state in [State::Fresh, State::Running(HOUR), State::Paused(HOUR)] {
        let s = Situation {
            state,
            ..situation(&outlook)
        };
        let decision = decide(start(), &Policy::Now, &s);
        assert_eq!(
            (decision.act, decision.reason),
            (Act::Run, Reason::PolicyNow)
        );
        assert!(decision.plan.is_some());
    }
}

#[test]
fn a_window_is_one_run_without_a_pause() {
    let outlook = outlook_of(&[
        300.0, 100.0, 400.0, 100.0, 100.0, 400.0, 120.0, 120.0, 120.0,
    ]);
    let mut s = situation(&outlook);
    s.work = Work::Known {
        remaining: hours(3.0),
        margin: Duration::ZERO,
    };
    let decision = decide(start(), &Policy::Window, &s);
    assert_eq!(
        (decision.act, decision.until),
        (Act::Pause, Some(after(6.0)))
    );
    assert_eq!(decision.plan.unwrap().pauses, 0);
    s.state = State::Running(HOUR);
    assert_eq!(decide(start(), &Policy::Window, &s).act, Act::Run);
}

#[test]
fn a_threshold_runs_below_and_waits_above() {
    let outlook = outlook_of(&[300.0, 300.0, 100.0, 100.0, 300.0, 300.0, 100.0, 100.0]);
    let policy = Policy::Threshold(Limit::Absolute(GramsPerKwh(200.0)));
    let mut s = situation(&outlook);
    let decision = decide(start(), &policy, &s);
    assert_eq!(
        (decision.act, decision.until),
        (Act::Pause, Some(after(2.0)))
    );
    let (now, limit) = (GramsPerKwh(300.0), GramsPerKwh(200.0));
    assert_eq!(decision.reason, Reason::AboveThreshold { now, limit });
    s.state = State::Running(HOUR);
    let decision = decide(after(2.0), &policy, &s);
    assert_eq!((decision.act, decision.until), (Act::Run, Some(after(4.0))));
    let now = GramsPerKwh(100.0);
    assert_eq!(decision.reason, Reason::BelowThreshold { now, limit });
    // The guard holds here too.
    s.allowance = Allowance::Given(Duration::ZERO);
    assert_eq!(decide(start(), &policy, &s).reason, Reason::NoDelayLeft);
}

#[test]
fn a_percentile_is_that_of_the_next_day() {
    let values: Vec<f64> = (1..=48).map(|hour| f64::from(hour) * 10.0).collect();
    let outlook = outlook_of(&values);
    let limit = |percent| threshold::limit(Limit::Percentile(percent), start(), &outlook);
    assert_eq!(limit(25.0), GramsPerKwh(60.0));
    assert_eq!(limit(50.0), GramsPerKwh(120.0));
    assert_eq!(limit(0.0), GramsPerKwh(10.0));
    assert_eq!(limit(100.0), GramsPerKwh(240.0));
}

#[test]
fn a_budget_ends_as_early_as_it_allows() {
    let outlook = outlook_of(&[400.0, 300.0, 200.0, 100.0, 100.0, 50.0, 50.0, 50.0, 50.0]);
    let mut s = situation(&outlook);
    s.work = Work::Known {
        remaining: hours(2.0),
        margin: Duration::ZERO,
    };
    let budget = |grams| decide(start(), &Policy::Budget(GramsCo2e(grams)), &s);
    let at_once = budget(700.0);
    assert_eq!((at_once.act, at_once.until), (Act::Run, None));
    let grams = GramsCo2e(700.0);
    assert_eq!(at_once.reason, Reason::WithinBudget { grams });
    let later = budget(300.0);
    assert_eq!(later.act, Act::Pause);
    let outline = later.plan.unwrap();
    assert!(
        outline.grams.0 <= 300.0 && outline.end == after(4.0),
        "{outline:?}"
    );
    let Reason::OverBudget { by } = budget(40.0).reason else {
        panic!("two hours at 50 g/kWh exceed 40 g");
    };
    assert!((by.0 - 60.0).abs() < 1e-9);
}

#[test]
fn a_plan_for_the_upper_estimate_is_told_for_the_best_one() {
    let outlook = swinging(Kind::Live);
    let s = Situation {
        work: Work::Known {
            remaining: hours(4.0),
            margin: hours(2.0),
        },
        ..situation(&outlook)
    };
    let outline = plan(&s).plan.unwrap();
    assert_eq!(
        (outline.end, outline.grams),
        (after(10.0), GramsCo2e(600.0))
    );
}
