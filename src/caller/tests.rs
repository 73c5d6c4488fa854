//! The whole way, against a provider on loopback. What is decided is tested beside `limits`.

pub(crate) mod server;
mod without;
pub(crate) mod world;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use std::{env, fs, thread};

use jiff::Timestamp;
use secrecy::SecretString;
use tempfile::TempDir;

use self::server::{Reply, Server, gzip};
use self::world::{Fault, Request};
use super::limits::{Again, Bounds, Keep, Patience};
use super::transport::Carried;
use super::*;
use crate::caller::wire::{Credential, Login, Offers, Token};
use crate::clock::monotonic;
use crate::forecast::Basis;

const SECRET: &str = "hush-hush";

#[derive(Debug)]
struct Fake;

impl Provider for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "",
            zones: "",
            basis: Basis::AVERAGE_LIFECYCLE,
            horizon: None,
            step: Duration::from_secs(1800),
            has_observations: true,
            cadence: Duration::from_secs(1800),
            credential: Credential::None,
            attribution: "",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        Some(zone.to_owned())
    }

    fn asks(&self, _: &str, _: Timestamp) -> Vec<Ask> {
        vec![ask(Credential::None)]
    }

    fn read(&self, _: &Ask, _: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        let body = String::from_utf8_lossy(answer.body).into_owned();
        match answer.status {
            200 if body.starts_with("{\"good") => Ok(Said {
                notes: vec![body],
                ..Said::default()
            }),
            200 => Err(Refused::NotAnAnswer("not JSON".to_owned())),
            401 => Err(Refused::TokenOver),
            429 => Err(Refused::Throttled { after: None }),
            500.. => Err(Refused::Faulty("a fault".to_owned())),
            _ => Err(Refused::Ours("no".to_owned())),
        }
    }

    fn login(&self) -> Option<&dyn Login> {
        Some(self)
    }
}

impl Login for Fake {
    fn ask(&self) -> Ask {
        Ask {
            what: "login",
            path: "/login".to_owned(),
            ..ask(Credential::Basic)
        }
    }

    fn token(&self, answer: &Answer<'_>) -> Result<Token, Refused> {
        match answer.status {
            200 => Ok(Token {
                secret: String::from_utf8_lossy(answer.body).into_owned().into(),
                lasts: Duration::from_secs(1500),
            }),
            503 => Err(Refused::Faulty("a fault".to_owned())),
            _ => Err(Refused::KeyWrong("no".to_owned())),
        }
    }
}

fn ask(credential: Credential) -> Ask {
    Ask {
        what: "forecast",
        path: "/v1/forecast".to_owned(),
        query: vec![("zone", "D E&".to_owned())],
        credential,
    }
}

fn to(base_url: &str) -> To<'_> {
    To {
        provider: &Fake,
        base_url,
        place: "DE",
        key: None,
    }
}

/// Everything on but the cache, without long delays.
fn quick() -> Resilience {
    Resilience {
        cache: None,
        retry: Some(Again {
            delay: Duration::from_millis(1),
            ..Again::default()
        }),
        bucket: None,
        ..Resilience::default()
    }
}

fn with_cache() -> (TempDir, Resilience) {
    let resilience = Resilience {
        cache: Some(Keep::default()),
        ..quick()
    };
    (tempfile::tempdir().unwrap(), resilience)
}

fn online(resilience: Resilience) -> Caller {
    Caller::new(resilience, None, false)
}

fn asked(caller: &Caller, server: &Server) -> Result<Heard, CallError> {
    let ask = ask(Credential::None);
    block_on(caller.ask(&to(&server.base_url), &ask)).unwrap()
}

fn counters(caller: &Caller) -> Counters {
    caller.counters()[0].2
}

#[test]
fn a_good_answer_is_read_and_counted() {
    let server = Server::saying(vec![Reply::good()]);
    let caller = online(quick());
    let heard = asked(&caller, &server).unwrap();
    assert_eq!(heard.by, By::Call);
    assert_eq!(heard.said.notes, ["{\"good\":1}"]);
    let head = server.heads().remove(0);
    assert!(
        head.starts_with("GET /v1/forecast?zone=D+E%26 HTTP/1.1"),
        "{head}"
    );
    let agent = concat!("user-agent: catrain/", env!("CARGO_PKG_VERSION"));
    assert!(head.to_lowercase().contains(agent), "{head}");
    let Counters {
        asks,
        calls,
        good,
        bytes,
        ..
    } = counters(&caller);
    assert_eq!((asks, calls, good, bytes), (1, 1, 1, 10));
}

#[test]
fn faults_resets_and_cut_answers_pass_by_trying_again() {
    let bad = [Reply::of(503, "", ""), Reply::Reset, Reply::Truncated];
    let server = Server::saying([&bad[..], &[Reply::good()]].concat());
    let caller = online(quick());
    asked(&caller, &server).unwrap();
    let Counters {
        calls,
        retries,
        faulty,
        unreachable,
        ..
    } = counters(&caller);
    assert_eq!((calls, retries, faulty, unreachable), (4, 3, 1, 2));
}

#[test]
fn html_with_success_is_asked_for_once_more_and_never_kept() {
    let html = Reply::of(200, "Content-Type: text/html\r\n", "<html>");
    let server = Server::saying(vec![html]);
    let (base, resilience) = with_cache();
    let caller = Caller::new(resilience, Some(base.path().join("a")), false);
    let error = asked(&caller, &server).unwrap_err();
    assert_eq!(error.to_string(), "fake answered 200 (text/html): not JSON");
    assert_eq!(server.calls(), 2);
    asked(&caller, &server).unwrap_err();
    assert!(server.calls() > 2);
}

#[test]
fn a_refusal_is_not_asked_for_again() {
    let server = Server::saying(vec![Reply::of(404, "", "")]);
    asked(&online(quick()), &server).unwrap_err();
    assert_eq!(server.calls(), 1);
}

#[test]
fn a_short_retry_after_is_waited_for_and_a_long_one_given_up_and_told_to_all() {
    let now = Reply::of(429, "Retry-After: 0\r\n", "");
    let server = Server::saying(vec![now, Reply::good()]);
    asked(&online(quick()), &server).unwrap();

    let hour = Reply::of(429, "Retry-After: 3600\r\n", "");
    let server = Server::saying(vec![hour]);
    let (base, resilience) = with_cache();
    let directory = Some(base.path().join("a"));
    for _ in 0..3 {
        // Another process each time.
        let caller = Caller::new(resilience.clone(), directory.clone(), false);
        let error = asked(&caller, &server).unwrap_err();
        assert!(matches!(error, CallError::Throttled { .. }), "{error}");
    }
    assert_eq!(server.calls(), 1);
}

#[test]
fn without_a_time_too_many_requests_are_given_up_at_once() {
    let server = Server::saying(vec![Reply::of(429, "", "")]);
    let error = asked(&online(quick()), &server).unwrap_err();
    assert!(matches!(error, CallError::Throttled { .. }), "{error}");
    assert_eq!(server.calls(), 1);
}

#[test]
fn a_provider_that_keeps_failing_is_left_alone() {
    let server = Server::saying(vec![Reply::of(500, "", "")]);
    let caller = online(quick());
    for _ in 0..10 {
        asked(&caller, &server).unwrap_err();
    }
    let last = asked(&caller, &server).unwrap_err();
    assert!(matches!(last, CallError::LeftAlone { .. }), "{last}");
    assert_eq!(server.calls(), 5);
}

/// Whatever it is that it says then: refusing is a sign of life.
#[tokio::test(start_paused = true)]
async fn a_provider_is_given_up_and_comes_back_with_one_sentence_each() {
    let down = |request: &Request<'_>| match request.before {
        0..5 | 6..11 => Some(Fault::Status(500)),
        5 => Some(Fault::Status(404)),
        _ => None,
    };
    let caller = without::world(down).caller(without::all());
    let mut changes = Vec::new();
    for _ in 0..12 {
        drop(without::once(&caller).await);
        changes.extend(caller.changes());
        sleep(Duration::from_secs(60)).await;
    }
    let given_up = "fake answered 500 (text/plain): a fault; fake failed too often and is left alone for 30 s or \
                    longer";
    let back = "fake answers again";
    assert_eq!(changes, [given_up, back, given_up, back]);
}

#[test]
fn an_answer_that_never_comes_ends_by_the_time_out_and_one_without_end_by_its_size() {
    let server = Server::saying(vec![Reply::Never]);
    let short = Patience {
        first: Duration::from_millis(50),
        ceiling: Duration::from_millis(50),
        ..Patience::default()
    };
    let caller = online(Resilience {
        timeout: Some(short),
        ..quick()
    });
    let error = asked(&caller, &server).unwrap_err();
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");

    let server = Server::saying(vec![Reply::Endless]);
    let error = asked(&online(quick()), &server).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer of fake has more than 8388608 bytes"
    );
    assert_eq!(server.calls(), 1);
}

#[test]
fn the_bound_of_size_holds_after_decompression_and_gzip_is_read() {
    let packed = |data: &[u8]| {
        let headers = "Content-Encoding: gzip\r\n".to_owned();
        Server::saying(vec![Reply::Whole(200, headers, gzip(data))])
    };
    asked(&online(quick()), &packed(b"{\"good\":2}")).unwrap();
    let bounds = Bounds {
        body: 1000,
        ..Bounds::default()
    };
    let caller = online(Resilience { bounds, ..quick() });
    let error = asked(&caller, &packed(&[b'x'; 1001])).unwrap_err();
    assert!(matches!(error, CallError::TooLarge { .. }), "{error}");
}

#[test]
fn too_many_headers_are_no_answer() {
    let headers: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let server = Server::saying(vec![Reply::of(200, &headers, "{\"good\":1}")]);
    asked(&online(quick()), &server).unwrap_err();
}

#[test]
fn redirects_stay_within_the_host() {
    let server = Server::answering(|_, head| match head.starts_with("GET /there") {
        true => Reply::good(),
        false => Reply::of(302, "Location: /there\r\n", ""),
    });
    asked(&online(quick()), &server).unwrap();

    let other = Server::saying(vec![Reply::good()]);
    let location = format!("Location: {}/\r\n", other.base_url);
    let server = Server::saying(vec![Reply::of(302, &location, "")]);
    let error = asked(&online(quick()), &server).unwrap_err();
    assert!(matches!(error, CallError::Elsewhere { .. }), "{error}");
    assert_eq!(other.calls(), 0);
}

#[test]
fn no_more_are_under_way_at_once_than_may_be_and_the_others_wait() {
    let server = Server::saying(vec![Reply::Together(2)]);
    let caller = online(quick());
    let (to, ask) = (to(&server.base_url), ask(Credential::None));
    let heard = block_on(async {
        let asks = || caller.ask(&to, &ask);
        tokio::try_join!(asks(), asks(), asks(), asks(), asks(), asks())
    });
    heard.unwrap().unwrap();
    assert_eq!(server.most_at_once(), 2);
}

#[test]
fn what_another_start_was_told_is_known() {
    let server = Server::saying(vec![Reply::good()]);
    let (base, resilience) = with_cache();
    let mut by = Vec::new();
    for _ in 0..3 {
        let directory = Some(base.path().join("a"));
        let caller = Caller::new(resilience.clone(), directory, false);
        by.push(asked(&caller, &server).unwrap().by);
    }
    assert_eq!(by, [By::Call, By::Cache, By::Cache]);
}

#[test]
fn ten_that_ask_the_same_at_once_make_one_call() {
    let server = Server::saying(vec![Reply::good()]);
    let (base, resilience) = with_cache();
    let start = Barrier::new(10);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                // A file lock is of the open file, so that callers stand for processes.
                let directory = Some(base.path().join("a"));
                let caller = Caller::new(resilience.clone(), directory, false);
                start.wait();
                asked(&caller, &server).unwrap();
            });
        }
    });
    assert_eq!(server.calls(), 1);
}

#[test]
fn whoever_waits_for_another_waits_for_a_bounded_time() {
    let server = Server::saying(vec![Reply::good()]);
    let (base, resilience) = with_cache();
    let keep = Keep {
        share: Duration::from_millis(50),
        ..Keep::default()
    };
    let cache = Cache::new(base.path().join("a"), keep, 1000);
    let key = Key::new("fake", &server.base_url, "DE", &ask(Credential::None));
    let _hung = cache.turn(&key).unwrap().unwrap();
    let resilience = Resilience {
        cache: Some(keep),
        ..resilience
    };
    let caller = Caller::new(resilience, Some(base.path().join("a")), false);
    assert_eq!(asked(&caller, &server).unwrap().by, By::Call);
}

#[test]
fn a_directory_that_cannot_be_used_is_told_once_and_costs_nothing_else() {
    let server = Server::saying(vec![Reply::good()]);
    let (base, resilience) = with_cache();
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let caller = Caller::new(resilience, Some(file.join("a")), false);
    let first = asked(&caller, &server).unwrap();
    assert_eq!(first.said.notes.len(), 2, "{:?}", first.said.notes);
    assert!(first.said.notes[1].starts_with("answers cannot be kept in"));
    assert_eq!(asked(&caller, &server).unwrap().said.notes.len(), 1);
}

#[test]
fn offline_knows_what_is_kept_and_asks_nobody() {
    let server = Server::saying(vec![Reply::good()]);
    let (base, resilience) = with_cache();
    let directory = Some(base.path().join("a"));
    let offline = Caller::new(resilience.clone(), directory.clone(), true);
    let error = asked(&offline, &server).unwrap_err();
    assert!(matches!(error, CallError::Offline { .. }), "{error}");
    assert_eq!(server.connections(), 0);
    asked(&Caller::new(resilience, directory, false), &server).unwrap();
    assert_eq!(asked(&offline, &server).unwrap().by, By::Cache);
    assert_eq!(server.calls(), 1);
}

#[test]
fn a_key_goes_to_loopback_or_over_https_and_is_shown_nowhere() {
    let server = Server::saying(vec![Reply::of(404, "", "")]);
    let key = SecretString::from(SECRET);
    let caller = online(quick());
    let with_key = |base_url| To {
        key: Some(&key),
        ..to(base_url)
    };
    let header = ask(Credential::Header("auth-token"));
    let refused = block_on(caller.ask(&with_key(&server.base_url), &header)).unwrap();
    assert!(server.heads()[0].contains("auth-token: hush-hush"));
    let plain = block_on(caller.ask(&with_key("http://192.0.2.1"), &header)).unwrap();
    assert!(
        matches!(plain, Err(CallError::PlainHttp { .. })),
        "{plain:?}"
    );
    let shown = format!("{caller:?}{refused:?}{plain:?}{:?}", with_key(""));
    assert!(!shown.contains(SECRET), "{shown}");

    let broken = SecretString::from("hush\nhush");
    let to = To {
        key: Some(&broken),
        ..to(&server.base_url)
    };
    let error = block_on(caller.ask(&to, &header)).unwrap().unwrap_err();
    assert!(matches!(error, CallError::KeyUnusable { .. }), "{error}");
}

#[test]
fn a_secret_that_a_service_says_back_is_blotted_out_of_what_it_said() {
    let blotted = |carried: Carried, said: &str| {
        let mut body = said.as_bytes().to_vec();
        carried.blot(&mut body);
        String::from_utf8(body).unwrap()
    };
    let header = || Carried::Header("auth-token", SecretString::from(SECRET));
    assert_eq!(
        blotted(header(), "hush-hush? no hush-hush!"),
        "*********? no *********!"
    );
    assert_eq!(
        blotted(
            Carried::Basic(SecretString::from("user:hush-hush")),
            "hush-hush"
        ),
        "*********"
    );
    assert_eq!(
        blotted(Carried::Bearer(SecretString::from("t-1234")), "t-1234"),
        "******"
    );
    assert_eq!(blotted(header(), "{\"value\": 1}"), "{\"value\": 1}");
    let short = Carried::Bearer(SecretString::from("1"));
    assert_eq!(blotted(short, "{\"value\": 1}"), "{\"value\": 1}");
    // What is all stars already ends as well.
    let stars = Carried::Bearer(SecretString::from("*******"));
    assert_eq!(blotted(stars, "********"), "********");
}

#[test]
fn a_base_url_with_a_user_or_of_another_scheme_is_refused_unseen() {
    for bad in [
        "https://u:hush-hush@h",
        "ftp://h",
        "h",
        "https://h?x",
        "file:///etc",
    ] {
        let asked = block_on(online(quick()).ask(&to(bad), &ask(Credential::None)));
        let error = asked.unwrap().unwrap_err();
        assert!(matches!(error, CallError::BaseUrl { .. }), "{bad}: {error}");
        assert!(!error.to_string().contains(SECRET));
    }
}

/// Gives `t1`, `t2`, … and takes only the newest, if any.
fn token_server(takes: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
    let given = AtomicUsize::new(0);
    Server::answering(move |_, head| {
        if head.starts_with("GET /login") {
            // `user:hush`, RFC 4648.
            assert!(head.contains("Basic dXNlcjpodXNo"), "{head}");
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::of(200, "", &format!("t{number}"));
        }
        let newest = given.load(Ordering::SeqCst);
        match head.contains(&format!("Bearer t{newest}\r\n")) && takes(newest) {
            true => Reply::good(),
            false => Reply::of(401, "", ""),
        }
    })
}

#[test]
fn a_token_is_fetched_used_again_and_renewed_once_when_it_is_over() {
    let ask = ask(Credential::Token);
    let key = SecretString::from("user:hush");
    let go = |caller: &Caller, server: &Server| {
        let to = To {
            key: Some(&key),
            ..to(&server.base_url)
        };
        block_on(caller.ask(&to, &ask)).unwrap()
    };
    let caller = online(quick());
    let good = token_server(|_| true);
    go(&caller, &good).unwrap();
    go(&caller, &good).unwrap();
    assert_eq!((good.calls(), counters(&caller).logins), (3, 1));

    let over = token_server(|newest| newest == 2);
    go(&online(quick()), &over).unwrap();
    assert_eq!(over.calls(), 4);

    let never = token_server(|_| false);
    let error = go(&online(quick()), &never).unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Refused {
                why: Refused::TokenOver,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(never.calls(), 4);
}

/// Runs a test of this file again in a process of its own with other surroundings.
fn again_with(name: &str, surroundings: &[(&str, &str)]) {
    let test = format!("caller::tests::{name}");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &test])
        .env("CATRAIN_TEST_AGAIN", "1")
        .envs(surroundings.iter().copied())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

#[test]
fn without_certificates_the_error_says_what_to_install() {
    if env::var_os("CATRAIN_TEST_AGAIN").is_none() {
        let nowhere = [
            ("SSL_CERT_FILE", "/dev/null"),
            ("SSL_CERT_DIR", "/dev/null"),
        ];
        return again_with(
            "without_certificates_the_error_says_what_to_install",
            &nowhere,
        );
    }
    let caller = online(quick());
    let asked = block_on(caller.ask(&to("https://192.0.2.1"), &ask(Credential::None)));
    let error = asked.unwrap().unwrap_err();
    assert!(matches!(error, CallError::NoClient { .. }), "{error}");
    assert_eq!(
        error.hint().as_deref(),
        Some("install ca-certificates or set SSL_CERT_FILE")
    );
    // Loopback needs none.
    self::asked(&caller, &Server::saying(vec![Reply::good()])).unwrap();
}

#[test]
fn loopback_is_never_asked_through_a_proxy() {
    if env::var_os("CATRAIN_TEST_AGAIN").is_none() {
        let proxy = "http://127.0.0.1:1";
        let proxies = ["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, proxy));
        return again_with("loopback_is_never_asked_through_a_proxy", &proxies);
    }
    asked(&online(quick()), &Server::saying(vec![Reply::good()])).unwrap();
}

/// Not a test of speed: what a call and a hit cost is printed with `--nocapture`.
#[test]
#[ignore = "needs a machine that is otherwise idle"]
#[expect(clippy::print_stderr, reason = "what it is for")]
fn what_a_call_and_a_hit_cost() {
    let server = Server::saying(vec![Reply::good()]);
    let (base, mut resilience) = with_cache();
    let ask = |number: usize| Ask {
        path: format!("/{number}"),
        ..ask(Credential::None)
    };
    let to = to(&server.base_url);
    let measure = |what: &str, resilience: &Resilience, offset: usize| {
        let caller = Caller::new(resilience.clone(), Some(base.path().join("a")), false);
        let mut took = block_on(async {
            let mut took = Vec::new();
            for number in 0..200 {
                let began = monotonic();
                caller.ask(&to, &ask(offset + number)).await.unwrap();
                took.push(monotonic() - began);
            }
            took
        })
        .unwrap();
        let (first, inside) = (took[0], counters(&caller).exchanging / 200);
        took.sort_unstable();
        eprintln!(
            "{what}: first {first:?}, median {:?}, p95 {:?}, of it exchange {inside:?}",
            took[100], took[190]
        );
    };
    measure("call, kept", &resilience, 0);
    measure("hit", &resilience, 0);
    resilience.cache = None;
    measure("call, not kept", &resilience, 1000);
}
