//! A day of two services, each with faults half of the time: the plan is defined at every moment, the
//! limits hold, words are few, and afterwards all is as before.

use super::*;
use crate::caller::limits::{Pace, Trip};
use crate::caller::tests::world::After;
use crate::plan::{Allowance, Policy, Power, Situation, State, Switching, Work, decide};
use crate::source::energy_charts::EnergyCharts;
use crate::source::telling::{Telling, Word};
use crate::source::watttime::WattTime;
use crate::units::{KilowattHours, Watts};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// One fault or none lasts so long.
const SLOT: Duration = Duration::from_secs(20 * 60);

/// Two asks of four attempts each, and a login before each attempt.
const MOST_IN_FIVE_MINUTES: usize = 16;
/// A round each five minutes of 26 hours, of two asks, and a login each 25 minutes; with all faults
/// there are no more.
const MOST_IN_A_DAY: usize = 2 * 12 * 26 + 63;

const KINDS: [Fault; 18] = [
    Fault::Slow(Duration::from_secs(8)),
    Fault::Never,
    Fault::Reset,
    Fault::NoName,
    Fault::CutOff,
    Fault::Half,
    Fault::Endless,
    Fault::Html,
    Fault::Status(500),
    Fault::Status(503),
    Fault::Throttled(After::Unsaid),
    Fault::Throttled(After::Seconds(0)),
    Fault::Throttled(After::Seconds(20)),
    Fault::Throttled(After::Date(900)),
    Fault::TokenOver,
    Fault::OtherPlace,
    Fault::Skewed(SignedDuration::from_hours(3)),
    Fault::Skewed(SignedDuration::from_hours(-30)),
];

/// Each fault twice in a day and as many slots without one, in any order.
fn slots(rng: &mut fastrand::Rng) -> Vec<Option<Fault>> {
    let mut slots: Vec<_> = KINDS
        .into_iter()
        .flat_map(|fault| [Some(fault), Some(fault), None, None])
        .collect();
    assert_eq!(SLOT * slots.len() as u32, DAY);
    rng.shuffle(&mut slots);
    slots
}

/// What the services answer, by their own clock.
fn body(url: &reqwest::Url, at: Timestamp) -> String {
    let now = at.as_second().div_euclid(900) * 900;
    let level =
        |second: i64| 700.0 + 300.0 * (second as f64 / 86_400.0 * std::f64::consts::TAU).sin();
    let rows = |seconds: std::ops::Range<i64>| -> Vec<_> {
        let row = |second: i64| {
            let time = Timestamp::from_second(second).unwrap().to_string();
            serde_json::json!({"point_time": time, "value": level(second)})
        };
        seconds.step_by(300).map(row).collect()
    };
    let meta = serde_json::json!({
        "region": "DE", "signal_type": "co2_moer", "units": "lbs_co2_per_mwh",
        "data_point_period_seconds": 300, "generated_at": at.to_string(),
    });
    const HOURS: i64 = 3600;
    match url.path() {
        "/login" => serde_json::json!({"token": "token"}),
        "/v3/historical" => serde_json::json!({"data": rows(now - 24 * HOURS..now), "meta": meta}),
        "/v3/forecast" => serde_json::json!({"data": rows(now..now + 72 * HOURS), "meta": meta}),
        _ => {
            let all = || (now - 24 * HOURS..now + 24 * HOURS).step_by(900);
            let side = |is_past: bool| -> Vec<_> {
                all()
                    .map(|second| (is_past == (second < now)).then(|| level(second) / 2.0))
                    .collect()
            };
            serde_json::json!({
                "unix_seconds": all().collect::<Vec<_>>(),
                "co2eq": side(true), "co2eq_forecast": side(false), "deprecated": false,
            })
        }
    }
    .to_string()
}

/// A job that has some hours to go and a day for it.
fn situation(outlook: &Outlook, now: Timestamp) -> Situation<'_> {
    Situation {
        outlook,
        power: Power {
            run: Watts(1000.0),
            idle: Watts(50.0),
            wait: Watts(0.0),
        },
        switching: Switching {
            pause: MINUTE,
            resume: MINUTE,
            pause_energy: KilowattHours(0.0),
            resume_energy: KilowattHours(0.0),
            min_run: 10 * MINUTE,
            min_pause: 10 * MINUTE,
            max_pauses: None,
            release: None,
        },
        state: State::Running(HOUR),
        work: Work::Known {
            remaining: 6 * HOUR,
            margin: Duration::ZERO,
        },
        deadline: Some(Span::new(now, DAY).end),
        allowance: Allowance::Deadline,
        poll: MINUTE,
        asked_for: true,
    }
}

/// What became of a day.
#[derive(Debug, Default)]
struct Lived {
    rounds: usize,
    /// Rounds by the kind of what was known.
    kinds: BTreeMap<Kind, usize>,
    /// When each host was called.
    calls: BTreeMap<String, Vec<Duration>>,
    /// What the caller said of its limits.
    changes: Vec<String>,
    /// What a run would have told.
    words: Vec<Word>,
    /// Rounds in which somebody failed.
    failed: usize,
    /// How long after the last fault the leading service was live again.
    recovered: Option<Duration>,
}

/// Lives through a day of faults and two hours without, as a run does; the services in order.
async fn live_through(seed: u64, names: [Live; 2]) -> Lived {
    fastrand::seed(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let hosts = ["api.watttime.org", "api.energy-charts.info"];
    let slots = hosts.map(|_| slots(&mut rng));
    let faults = move |request: &Request<'_>| {
        let slot = request.at.as_secs() / SLOT.as_secs();
        let host = hosts
            .iter()
            .position(|host| request.url.host_str() == Some(host))?;
        *slots[host].get(slot as usize)?
    };
    let world = Virtual::from("2026-06-10T00:07:00Z".parse().unwrap(), faults, body);
    let base = tempfile::tempdir().unwrap();
    let service = |provider: Box<dyn Provider>| Service {
        provider,
        base_url: None,
        places: BTreeMap::new(),
    };
    let services = BTreeMap::from([
        (Live::WattTime, service(Box::new(WattTime))),
        (Live::EnergyCharts, service(Box::new(EnergyCharts))),
    ]);
    let ring = Ring(Mutex::new(Held {
        current: "user:password".into(),
        previous: None,
    }));
    let archive = Archive::new(base.path().join("archive"));
    let chain = Chain::new(online(&world), Some(archive), services, Arc::new(ring));
    let leading = names[0].name();
    let names = names.map(Name::Live);

    let mut lived = Lived::default();
    let mut telling = Telling::default();
    while world.elapsed() < DAY + 2 * HOUR {
        let gathered = chain.gather(&names, "DE", world.now()).await.unwrap();
        let now = world.now();
        assert_plan_is_defined(now, &gathered.knowledge);
        lived.rounds += 1;
        lived.failed += usize::from(gathered.trouble.is_some());
        let kind = gathered.knowledge.kind;
        *lived.kinds.entry(kind).or_default() += 1;
        if world.elapsed() >= DAY && gathered.knowledge.source == leading && kind == Kind::Live {
            lived.recovered.get_or_insert(world.elapsed() - DAY);
        }
        let changes = chain.caller().changes();
        lived.changes.extend(changes.clone());
        lived.words.extend(telling.words(&gathered, changes));
        sleep(gathered.next.mul_f64(1.0 + 0.1 * fastrand::f64())).await;
    }
    // Nobody has asked the second one since.
    let second = chain.gather(&names[1..], "DE", world.now()).await;
    assert_eq!(second.unwrap().knowledge.kind, Kind::Live);
    lived.changes.extend(chain.caller().changes());
    for (host, at) in world.calls() {
        lived.calls.entry(host).or_default().push(at);
    }
    lived
}

/// Two days without a hole, and something to do by them.
#[track_caller]
fn assert_plan_is_defined(now: Timestamp, known: &Knowledge) {
    let outlook = ahead(now, known, 48).unwrap();
    let start = outlook.expected.span().unwrap().start;
    assert!(start <= now && now.duration_since(start) < SignedDuration::from_hours(1));
    let whole = outlook.expected.resample(start, HOUR, 48);
    assert!(whole.iter().all(Option::is_some), "{now}: {outlook:?}");
    let decision = decide(now, &Policy::Plan, &situation(&outlook, now));
    assert!(decision.plan.is_some(), "{now}: {decision:?}");
}

/// The most calls within any span.
fn most_within(calls: &[Duration], span: Duration) -> usize {
    let within = |first: &Duration| {
        calls
            .iter()
            .filter(|at| (*first..*first + span).contains(at))
            .count()
    };
    calls.iter().map(within).max().unwrap_or(0)
}

/// Each provider is given up and comes back in turn: a sentence for each, none for a failure.
#[track_caller]
fn assert_in_turn(changes: &[String], provider: &str) -> usize {
    let of: Vec<bool> = (changes.iter())
        .filter(|change| {
            change.contains(&format!("{provider} failed too often"))
                || **change == format!("{provider} answers again")
        })
        .map(|change| change.contains("failed too often"))
        .collect();
    assert!(of.windows(2).all(|pair| pair[0] != pair[1]), "{changes:#?}");
    assert_ne!(of.first(), Some(&false), "{provider} was never given up");
    assert_ne!(of.last(), Some(&true), "{provider} never came back");
    of.len() / 2
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stderr, reason = "the figures of the day")]
async fn a_day_with_faults_half_of_the_time_leaves_the_plan_defined_and_the_limits_kept() {
    let pace = Pace::default();
    for seed in 0..4 {
        let mut names = [Live::WattTime, Live::EnergyCharts];
        names.rotate_left(seed as usize % 2);
        let lived = live_through(seed, names).await;
        let mut told = String::new();
        for (host, calls) in &lived.calls {
            for span in [10, 60, 300] {
                let most = pace.burst + pace.ceiling * span as f64;
                assert!(most_within(calls, Duration::from_secs(span)) as f64 <= most);
            }
            let (most, all) = (most_within(calls, 5 * MINUTE), calls.len());
            told += &format!("; {host}: {all} calls, at most {most} in 5 min");
            assert!(
                most <= MOST_IN_FIVE_MINUTES && all <= MOST_IN_A_DAY,
                "{told}"
            );
        }
        let given_up = names.map(|live| assert_in_turn(&lived.changes, live.name()));
        assert!(given_up[0] > 0);
        let recovered = lived.recovered.expect("it comes back");
        let troubles = lived
            .words
            .iter()
            .filter(|word| matches!(word, Word::Trouble(_)));
        eprintln!(
            "seed {seed}: {} rounds, {} with a failure, {:?}{told}; given up {given_up:?}; {} \
             warnings of {} sentences; back after {} s",
            lived.rounds,
            lived.failed,
            lived.kinds,
            troubles.count(),
            lived.words.len(),
            recovered.as_secs(),
        );
        // The longest that nobody asks, and the longest wait after that.
        assert!(recovered <= Trip::default().cool_down_most + AGAIN.mul_f64(1.1));
    }
}
