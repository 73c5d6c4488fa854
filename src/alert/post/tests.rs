use std::path::Path;
use std::sync::Mutex;

use jiff::tz::TimeZone;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::*;
use crate::alert::letter::{Letter, Owner, Standing};
use crate::alert::letters::Letters;
use crate::alert::office::Keys;
use crate::alert::quiet::Quiet;
use crate::alert::rule::Rule;
use crate::alert::settings::By;
use crate::caller::limits::{Again, Resilience};
use crate::caller::tests::server::{Reply, Server};
use crate::caller::{Caller, Poster};
use crate::clock::{Clock, ManualClock, utc_now};
use crate::ledger::entry::Exit;
use crate::units::GramsCo2e;

const SECRET: &str = "hush-hush";
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(20);

/// Kinds of channels, outcomes, how many.
type Counted = Vec<(&'static str, &'static str, u64)>;

struct OneKey;

impl Keys for OneKey {
    fn key(&self, _: &Channel) -> Result<Option<SecretString>, String> {
        Ok(Some(SECRET.into()))
    }
}

fn webhook(name: &str, url: &str) -> Channel {
    Channel {
        name: name.to_owned(),
        takes: None,
        recovery: true,
        by: By::Webhook { url: url.into() },
    }
}

/// One webhook at the server; what comes together is not waited for.
fn settings(server: &Server) -> Settings {
    Settings {
        channels: vec![webhook("ops", &format!("{}/hook", server.base_url))],
        gather: Duration::ZERO,
        flush: LONG,
        ..Settings::default()
    }
}

/// Runs of one user, one after the other or at once.
struct User {
    state: tempfile::TempDir,
    told: Arc<Mutex<Vec<Told>>>,
    counted: Arc<Mutex<Counted>>,
    /// The pid of the next run; those below zero are dead to all others.
    pid: i32,
    replay: bool,
}

impl User {
    fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            told: Arc::default(),
            counted: Arc::default(),
            pid: 1,
            replay: false,
        }
    }

    fn run(&self, settings: Settings) -> Post {
        self.run_after(settings, || "r7k2".to_owned())
    }

    /// A run that knows its id only once the function returns.
    fn run_after(&self, settings: Settings, id: impl FnOnce() -> String + Send + 'static) -> Post {
        let (state, told, pid) = (self.state.path().to_owned(), self.told.clone(), self.pid);
        let counted = self.counted.clone();
        let about = About {
            id: String::new(),
            name: "finetune".to_owned(),
            zone: "DE".to_owned(),
            host: "node7".to_owned(),
            replay: self.replay,
        };
        let tell = move |news| {
            told.lock().unwrap().push(news);
            Ok(())
        };
        let post = Post::start(Setup {
            settings,
            about,
            run: Box::new(id),
            office: Box::new(move || office(&state, pid)),
            tell: Box::new(tell),
            count: Box::new(move |channel, outcome, more| {
                counted.lock().unwrap().push((channel, outcome, more));
            }),
        });
        post.unwrap()
    }

    fn letters(&self) -> Vec<Letter> {
        let letters = Letters::below(Some(self.state.path()));
        letters.pile().unwrap().letters
    }

    fn troubles(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let troubles = told.iter().filter_map(|told| match told {
            Told::Trouble(text) => Some(text.clone()),
            Told::Note(_) => None,
        });
        troubles.collect()
    }
}

fn office(state: &Path, pid: i32) -> Office {
    let quick = Resilience {
        retry: Some(Again {
            delay: Duration::from_millis(1),
            ..Again::default()
        }),
        bucket: None,
        cache: None,
        ..Resilience::default()
    };
    let bounds = quick.bounds;
    let owner = Owner {
        host: "node7".to_owned(),
        boot_id: "b".to_owned(),
        pid,
        start_ticks: 1,
    };
    Office::new(
        Caller::new(quick, None, false),
        Poster::new(bounds),
        Box::new(OneKey),
        Letters::below(Some(state)),
        owner,
        Box::new(|owner| owner.pid > 0),
    )
}

fn now() -> Moment {
    ManualClock::at("2026-11-24T18:00:00Z".parse().unwrap()).now()
}

fn ended(code: i32) -> Event {
    Event::Ended {
        exit: Some(Exit::Code(code)),
        why: None,
        was_asked: false,
        has_failed: code != 0,
    }
}

fn restarted() -> Event {
    Event::Restarted {
        attempt: 1,
        exit: Some(Exit::Code(3)),
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let give_up = monotonic() + LONG;
    while !condition() {
        assert!(monotonic() < give_up, "waited in vain");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The run is over; waits until all is sent or given up.
fn end(post: Post) -> Vec<String> {
    post.close().wait()
}

/// What a server was sent: `state rule` of each alert, message by message.
fn received(server: &Server) -> Vec<Vec<String>> {
    let bodies = server.bodies();
    let messages = bodies.iter().map(|body| {
        let value: Value = serde_json::from_str(body).unwrap();
        assert_eq!(value["schema"], "catrain.alert/1");
        let alerts = value["alerts"].as_array().unwrap().iter();
        let short = |alert: &Value| {
            let text = |name: &str| alert[name].as_str().unwrap().to_owned();
            format!("{} {}", text("state"), text("rule"))
        };
        alerts.map(short).collect()
    });
    messages.collect()
}

#[test]
fn a_message_arrives_signed_and_nothing_is_left() {
    let (user, server) = (User::new(), Server::saying(vec![Reply::of(200, "", "")]));
    let post = user.run(settings(&server));
    post.happened(now(), ended(3));
    assert_eq!(end(post), [""; 0]);
    assert_eq!(received(&server), [["happened job-failed"]]);
    assert!(user.letters().is_empty());

    let (head, body) = (&server.heads()[0], &server.bodies()[0]);
    let header = |name: &str| {
        let line = |line: &str| Some(line.strip_prefix(name)?.trim().to_owned());
        head.lines().find_map(line).unwrap()
    };
    let signature = header("x-catrain-signature: ");
    let (time, hex) = signature.split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    hmac::verify(&key, format!("{time}.{body}").as_bytes(), &tag).unwrap();
    assert!(body.contains(&header("x-catrain-delivery: ")));
    assert!(!format!("{head}{body}").contains(SECRET));
}

#[test]
fn what_a_receiver_did_not_take_arrives_once_it_is_well_in_a_later_run() {
    let user = User::new();
    let ill = Server::saying(vec![Reply::of(503, "", "")]);
    let post = user.run(settings(&ill));
    post.happened(now(), ended(3));
    end(post);
    assert_eq!(ill.calls(), 4, "tried again before it was given up");
    let letters = user.letters();
    assert!(matches!(letters[0].standing, Standing::Dead { .. }));
    assert!(user.troubles()[0].contains("webhook `ops` answered 503"));

    let well = Server::saying(vec![Reply::of(200, "", "")]);
    end(user.run(settings(&well)));
    assert_eq!(received(&well), [["happened job-failed"]]);
    end(user.run(settings(&well)));
    assert_eq!(well.calls(), 1, "delivered once");
    assert!(user.letters().is_empty());
    let counted = user.counted.lock().unwrap().clone();
    let each = [("webhook", "failed", 1), ("webhook", "delivered", 1)];
    assert_eq!(counted, each);
}

#[test]
fn a_channel_that_heals_within_a_run_is_sent_what_waits() {
    let user = User::new();
    let ill = Server::answering(|number, _| match number {
        0 => Reply::of(404, "", ""),
        _ => Reply::of(200, "", ""),
    });
    let post = user.run(settings(&ill));
    post.happened(now(), restarted());
    wait_until(|| !user.troubles().is_empty());
    post.happened(now(), ended(0));
    end(post);
    let mut received = received(&ill);
    let delivered: Vec<String> = received.split_off(1).concat();
    assert_eq!(delivered, ["happened run-ended", "happened job-restarted"]);
    let told = user.told.lock().unwrap().clone();
    let well = Told::Note("webhook `ops` takes alerts again".to_owned());
    assert!(told.contains(&well), "{told:?}");
}

#[test]
fn a_cool_down_and_a_recovery_outlive_the_run_that_began_them() {
    let mut user = User::new();
    let server = Server::saying(vec![Reply::of(200, "", "")]);
    // Killed: it has no end.
    user.pid = -1;
    let post = user.run(settings(&server));
    post.happened(now(), restarted());
    post.happened(now(), Event::Guard(true));
    post.happened(now(), Event::Guard(false));
    end(post);
    user.pid = 2;
    let post = user.run(settings(&server));
    post.happened(now(), restarted());
    post.happened(now(), Event::Guard(false));
    post.happened(now(), Event::Guard(true));
    end(post);
    let received: Vec<String> = received(&server).concat();
    assert_eq!(
        received,
        [
            "happened job-restarted",
            "raised watchdog-lost",
            "recovered watchdog-lost"
        ]
    );
}

#[test]
fn a_replay_keeps_its_cool_downs_to_itself() {
    let mut user = User::new();
    let server = Server::saying(vec![Reply::of(200, "", "")]);
    user.replay = true;
    for _ in 0..2 {
        let post = user.run(settings(&server));
        post.happened(now(), restarted());
        post.happened(now(), restarted());
        end(post);
    }
    assert_eq!(received(&server), [["happened job-restarted"]; 2]);
    assert!(server.bodies()[0].contains("finetune (replay): "));
}

#[test]
fn what_comes_together_is_one_message() {
    let (user, server) = (User::new(), Server::saying(vec![Reply::of(200, "", "")]));
    let gathering = Settings {
        gather: LONG,
        ..settings(&server)
    };
    let post = user.run(gathering);
    post.happened(now(), restarted());
    post.happened(now(), Event::PauseRefused("it is root's".to_owned()));
    post.happened(now(), ended(0));
    end(post);
    assert_eq!(server.calls(), 1);
    assert_eq!(received(&server)[0].len(), 3);
}

#[test]
fn the_end_of_a_run_waits_for_no_receiver_longer_than_it_may() {
    let (user, hung) = (User::new(), Server::saying(vec![Reply::Never]));
    let short = Settings {
        flush: Duration::ZERO,
        ..settings(&hung)
    };
    let post = user.run(short);
    post.happened(now(), ended(3));
    let began = monotonic();
    end(post);
    assert!(monotonic() - began < LONG / 2);
    assert!(user.troubles()[0].contains("not all sent before the run ended"));
    let letters = user.letters();
    assert!(
        matches!(letters[0].standing, Standing::Dead { .. }),
        "{letters:?}"
    );

    let well = Server::saying(vec![Reply::of(200, "", "")]);
    end(user.run(settings(&well)));
    assert_eq!(received(&well), [["happened job-failed"]]);
}

#[test]
fn a_channel_that_hangs_keeps_no_other_waiting() {
    let (user, hung) = (User::new(), Server::saying(vec![Reply::Never]));
    let well = Server::saying(vec![Reply::of(200, "", "")]);
    let mut both = settings(&hung);
    both.channels.push(webhook("other", &well.base_url));
    both.flush = Duration::ZERO;
    let post = user.run(both);
    post.happened(now(), restarted());
    wait_until(|| well.calls() == 1);
    post.happened(now(), Event::PauseRefused("it is root's".to_owned()));
    wait_until(|| well.calls() == 2);
    end(post);
    assert_eq!(hung.calls(), 1);
}

#[test]
fn in_quiet_hours_what_can_wait_waits_and_the_urgent_does_not() {
    let (user, server) = (User::new(), Server::saying(vec![Reply::of(200, "", "")]));
    // Some of the day's hours are quiet, and now is one of them.
    let here = utc_now().to_zoned(TimeZone::UTC);
    let hour = here.hour();
    let text = format!("{hour:02}:00-{:02}:00", (hour + 2) % 24);
    let quiet = Settings {
        quiet: Some(Quiet::parse(&text, TimeZone::UTC).unwrap()),
        ..settings(&server)
    };
    let post = user.run(quiet.clone());
    post.happened(now(), restarted());
    post.happened(now(), ended(3));
    end(post);
    assert_eq!(received(&server), [["happened job-failed"]]);
    let waiting = user.letters();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].standing, Standing::Waiting);
    assert_eq!(waiting[0].not_before, quiet.quiet.unwrap().ends(utc_now()));
}

#[test]
fn of_two_runs_at_once_one_delivers() {
    let user = User::new();
    let ill = Server::saying(vec![Reply::of(404, "", "")]);
    let post = user.run(settings(&ill));
    post.happened(now(), ended(3));
    end(post);

    let well = Server::saying(vec![Reply::of(200, "", "")]);
    let both: Vec<Post> = (0..4).map(|_| user.run(settings(&well))).collect();
    for post in both {
        end(post);
    }
    assert_eq!(received(&well), [["happened job-failed"]]);
}

#[test]
fn a_channel_has_what_it_takes_and_no_more() {
    let (user, server) = (User::new(), Server::saying(vec![Reply::of(200, "", "")]));
    let mut few = settings(&server);
    few.channels[0].takes = Some([Rule::WatchdogLost].into());
    few.channels[0].recovery = false;
    let post = user.run(few);
    post.happened(now(), Event::Guard(false));
    post.happened(now(), Event::Guard(true));
    post.happened(now(), ended(3));
    end(post);
    assert_eq!(received(&server).concat(), ["raised watchdog-lost"]);
}

#[test]
fn what_is_too_much_is_dropped_and_counted_and_nobody_waits() {
    let (user, server) = (User::new(), Server::saying(vec![Reply::of(200, "", "")]));
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let post = user.run_after(settings(&server), move || {
        let _ = wait.recv();
        "r7k2".to_owned()
    });
    for _ in 0..QUEUE + 36 {
        post.happened(now(), restarted());
        post.seen(Facts {
            at: now(),
            deadline: None,
            fit: None,
            intensity: None,
            source: None,
            spent: GramsCo2e::ZERO,
            budget: None,
            ledger_trouble: None,
        });
    }
    drop(go_on);
    end(post);
    let troubles = user.troubles();
    assert!(
        troubles[0].starts_with("36 things that happened"),
        "{troubles:?}"
    );
}

#[test]
fn no_secret_is_in_what_is_told_or_kept() {
    let user = User::new();
    let ill = Server::saying(vec![Reply::of(404, "", SECRET)]);
    let url: SecretString = format!("{}/services/{SECRET}", ill.base_url).into();
    let mut secret = settings(&ill);
    secret.channels = vec![
        webhook("ops", url.expose_secret()),
        Channel {
            name: "chat".to_owned(),
            takes: None,
            recovery: true,
            by: By::Slack { url: Some(url) },
        },
    ];
    assert!(!format!("{secret:?}").contains(SECRET));
    let post = user.run(secret);
    post.happened(now(), ended(3));
    end(post);
    let told = format!("{:?} {:?}", user.troubles(), user.letters());
    assert!(told.contains("404") && !told.contains(SECRET), "{told}");
}
