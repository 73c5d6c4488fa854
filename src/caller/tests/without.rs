//! What each mechanism is for: the same with all of them and with this one off alone. Where the disk
//! is not what it is about there is no cache, and time is virtual.

use super::world::{After, Fault, Request, Virtual};
use super::*;

const BASE: &str = "https://provider.test";
const SECOND: Duration = Duration::from_secs(1);

/// Everything on with its usual numbers, but for the cache.
pub(super) fn all() -> Resilience {
    Resilience {
        cache: None,
        ..Resilience::default()
    }
}

pub(super) fn world(
    faults: impl Fn(&Request<'_>) -> Option<Fault> + Send + Sync + 'static,
) -> Arc<Virtual> {
    let start = "2026-11-25T00:00:00Z".parse().unwrap();
    Virtual::from(start, faults, |_, _| "{\"good\":1}".to_owned())
}

/// Asks the only provider there is.
pub(super) async fn once(caller: &Caller) -> Result<Heard, CallError> {
    caller.ask(&to(BASE), &ask(Credential::None)).await
}

#[test]
fn without_the_cache_each_start_asks() {
    let calls = |resilience: &Resilience| {
        let server = Server::saying(vec![Reply::good()]);
        let base = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let directory = Some(base.path().join("a"));
            let caller = Caller::new(resilience.clone(), directory, false);
            asked(&caller, &server).unwrap();
        }
        server.calls()
    };
    assert_eq!(calls(&Resilience::default()), 1);
    assert_eq!(calls(&all()), 3);
}

/// One interface refuses good keys when more than two requests come at once.
#[tokio::test(start_paused = true)]
async fn without_the_bulkhead_a_provider_is_asked_more_at_once_than_it_bears() {
    let refused = async |resilience| {
        let crowd = |request: &Request<'_>| (request.at_once > 2).then_some(Fault::Status(503));
        let caller = world(crowd).caller(resilience);
        let once = || once(&caller);
        let _ = tokio::join!(once(), once(), once(), once());
        counters(&caller).faulty
    };
    assert_eq!(refused(all()).await, 0);
    let without = Resilience {
        bulkhead: None,
        ..all()
    };
    assert!(refused(without).await > 0);
}

/// A free interface that bears a request a second.
#[tokio::test(start_paused = true)]
async fn without_the_bucket_a_loop_asks_as_fast_as_it_turns_and_is_turned_away() {
    let refused = async |resilience| {
        let strict = |request: &Request<'_>| {
            let allowed = 5 + request.at.as_secs();
            (request.before as u64 >= allowed).then_some(Fault::Throttled(After::Unsaid))
        };
        let caller = world(strict).caller(resilience);
        for _ in 0..100 {
            drop(once(&caller).await);
        }
        counters(&caller).throttled
    };
    assert_eq!(refused(all()).await, 0);
    let without = Resilience {
        bucket: None,
        ..all()
    };
    assert!(refused(without).await > 50);
}

#[tokio::test(start_paused = true)]
async fn without_the_breaker_a_dead_provider_is_asked_all_day() {
    let calls = async |resilience| {
        let world = world(|_| Some(Fault::Status(500)));
        let caller = world.caller(resilience);
        while world.elapsed() < 86_400 * SECOND {
            once(&caller).await.unwrap_err();
            sleep(300 * SECOND).await;
        }
        world.calls().len()
    };
    let with = calls(all()).await;
    // A probe each quarter of an hour, and a few more at first.
    assert!(with < 5 + 4 * 24 + 10, "{with}");
    let without = Resilience {
        breaker: None,
        ..all()
    };
    assert!(calls(without).await > 1000);
}

#[tokio::test(start_paused = true)]
async fn without_the_adaptive_time_out_a_hung_provider_costs_the_longest_time_at_each_call() {
    let waited = async |resilience| {
        let hung = |request: &Request<'_>| (request.before >= 20).then_some(Fault::Never);
        let world = world(hung);
        let caller = world.caller(resilience);
        for _ in 0..20 {
            once(&caller).await.unwrap();
        }
        let before = world.elapsed();
        once(&caller).await.unwrap_err();
        world.elapsed() - before
    };
    let with = waited(all()).await;
    // 2, 4, 8 and 16 s, and three delays.
    assert!(with <= 37 * SECOND, "{with:?}");
    let without = Resilience {
        timeout: None,
        ..all()
    };
    assert!(waited(without).await >= 120 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn without_retry_a_hiccup_is_a_failure() {
    let answer = async |resilience| {
        let hiccup = |request: &Request<'_>| (request.before == 0).then_some(Fault::Reset);
        once(&world(hiccup).caller(resilience)).await
    };
    assert_eq!(answer(all()).await.unwrap().by, By::Call);
    let without = Resilience {
        retry: None,
        ..all()
    };
    let error = answer(without).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
}
