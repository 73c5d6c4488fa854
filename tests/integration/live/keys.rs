//! Keys, end to end: what is told of one that does not serve, and that none is ever shown.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::runs::{UNTIL_GO, go, recorded_of};
use super::{
    BUILT_IN, MAPS_KEY, QUICK, SECRET, WATTTIME_KEY, document, forget_answers, good, notes, page,
    sandbox_with,
};
use crate::keys::{files_with, key};
use crate::support::child::Running;
use crate::support::services::{Reply, Services, body, header, path_of};
use crate::support::supervised::{outcome, run};
use crate::support::{SOON, Sandbox, wait_until};

#[test]
fn a_key_that_is_missing_wrong_or_not_for_the_zone_is_told_apart_each_with_the_next_step() {
    let told = |key: Option<&str>, answer: Option<&'static str>| {
        let (services, sandbox) = (Services::good(), Sandbox::new());
        if let Some(answer) = answer {
            let is_refused = |head: &str| path_of(head).starts_with("/v4/carbon");
            services.say(move |head| is_refused(head).then(|| body(401, answer)));
        }
        let arguments = ["forecast", "-z", "DE", "-s", "electricity-maps"];
        let mut command = services.catrain(&sandbox, &arguments);
        key.map(|key| command.env(MAPS_KEY, key));
        notes(&good(outcome(&mut command)))[0].to_owned()
    };
    let wrong = "electricitymaps/error-401-invalid-token.json";
    let not_covered = "electricitymaps/error-401-not-entitled.json";
    let said = [
        told(None, None),
        told(Some(SECRET), Some(wrong)),
        told(Some(SECRET), Some(not_covered)),
    ];
    assert!(
        said.iter().all(|line| line.ends_with(BUILT_IN)),
        "{said:#?}"
    );
    insta::assert_snapshot!(said.join("\n"), @"
    electricity-maps needs a key (catrain key set electricity-maps); built-in data: usual days of 2020 instead
    electricity-maps answered 401: the key is refused: The provided token is invalid. If this token used to work, please visit https:// (a new key: catrain key set electricity-maps); built-in data: usual days of 2020 instead
    electricity-maps answered 401: the key is good, but its plan does not cover this: history of DE (it covers DK-DK2 only); built-in data: usual days of 2020 instead
    ");
}

const ECHO: &str = r#"{"error": "Invalid auth-token", "message": "hush-hush-hush is no token"}"#;

#[test]
fn a_key_shows_up_nowhere_whatever_is_answered() {
    let answers: [fn(&str) -> Option<Reply>; 3] = [
        |_| None,
        |head| {
            (!head.contains("/login"))
                .then(|| body(401, "electricitymaps/error-401-not-entitled.json"))
        },
        // It says back what it was sent.
        |head| (!head.contains("/login")).then(|| Reply::of(401, "", ECHO)),
    ];
    // What is typed, `user:hush-hush-hush` as a login sends it, and the token that comes back.
    let secrets = [
        SECRET,
        "dXNlcjpodXNoLWh1c2gtaHVzaA==",
        "abcdef0123456789fedcabc",
    ];
    for answer in answers {
        let (services, sandbox) = (Services::good(), sandbox_with(QUICK));
        services.say(answer);
        let options = [
            "-z",
            "DE",
            "-s",
            "electricity-maps",
            "--account-with",
            "watttime",
        ];
        let script = format!("env; tr '\\0' ' ' < /proc/$PPID/cmdline; {UNTIL_GO}");
        let mut command = run(&sandbox, &options, ["sh", "-c", &script]);
        services.serve(&mut command);
        command
            .env(MAPS_KEY, SECRET)
            .env(WATTTIME_KEY, format!("user:{SECRET}"));
        let mut running = Running::start(&mut command);
        wait_until("both were asked with their keys", SOON, || {
            let heads = services.heads();
            let sent = |name, value| heads.iter().any(|head| header(head, name) == Some(value));
            sent("auth-token", SECRET) && sent("authorization", "Bearer abcdef0123456789fedcabc")
        });
        wait_until("what came of it is known", SOON, || {
            let is_known = recorded_of(&sandbox, "electricity-maps") == 1;
            is_known || running.stderr().contains("electricity-maps")
        });
        go(&sandbox);
        let ended = good(running.wait(SOON));
        assert!(ended.stdout.contains("catrain run -z DE"), "{ended:?}");
        let shown = ended.stdout + &ended.stderr;
        for secret in secrets {
            assert!(!shown.contains(secret), "{shown}");
            assert_eq!(files_with(&sandbox.path(""), secret), [""; 0]);
        }
    }
}

#[test]
fn the_key_before_is_tried_once_where_the_new_one_is_refused_and_then_dropped() {
    let (services, sandbox) = (Services::good(), sandbox_with(QUICK));
    good(key(&sandbox, "set electricity-maps", "the-old-one\n"));
    good(key(&sandbox, "rotate electricity-maps", "the-new-one\n"));
    services.say(|head| {
        let is_old = header(head, "auth-token") == Some("the-old-one");
        (!is_old).then(|| body(401, "electricitymaps/error-401-invalid-token.json"))
    });
    let arguments = ["-z", "DE", "-s", "electricity-maps"];
    let old_calls = || {
        let heads = services.heads();
        heads
            .iter()
            .filter(|head| header(head, "auth-token") == Some("the-old-one"))
            .count()
    };
    let first = page(&services, &sandbox, &arguments);
    assert!(
        first.stdout.contains("electricity-maps · live, "),
        "{first:?}"
    );
    assert!(notes(&first)[0].ends_with("the key before it was tried this once and is now dropped; `catrain key set electricity-maps` sets a good one"), "{first:?}");
    assert_eq!(old_calls(), 2);
    forget_answers(&sandbox);
    let then = page(&services, &sandbox, &arguments);
    assert!(
        then.stdout.contains("electricity-maps · cached, "),
        "{then:?}"
    );
    assert!(notes(&then)[0].contains("the key is refused"), "{then:?}");
    assert_eq!(old_calls(), 2);
}

#[test]
fn a_token_that_is_over_is_renewed_once() {
    let (services, sandbox) = (Services::good(), sandbox_with(QUICK));
    let refused = AtomicUsize::new(0);
    services.say(move |head| {
        let is_first =
            path_of(head).starts_with("/v3/") && refused.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| body(401, "watttime/error-401-token-expired.json"))
    });
    let arguments = ["forecast", "--format", "json", "-z", "DE", "-s", "watttime"];
    let known = document(
        services
            .catrain(&sandbox, &arguments)
            .env(WATTTIME_KEY, "user:hush"),
    );
    assert_eq!(known["kind"], "live", "{known:#}");
    assert_eq!(services.calls("/login"), 2);
}
