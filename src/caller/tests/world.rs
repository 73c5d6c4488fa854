//! A world whose time is tokio's, to be run while that is paused, and behind it a provider that fails
//! as it is told. There is no thread and no socket in it: a day takes a moment, and goes the same way
//! each time.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};

use super::super::limits::Resilience;
use super::super::transport::{Arrived, Broken, Carried, Exchange, World};
use super::super::way::Presence;
use super::super::{Caller, lock};

/// How long an answer takes where nothing is wrong.
const LATENCY: Duration = Duration::from_millis(200);

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The answer is good and takes so long.
    Slow(Duration),
    /// Nothing comes.
    Never,
    /// The connection is reset.
    Reset,
    /// The name is not found.
    NoName,
    /// Less comes than was announced.
    CutOff,
    /// Less comes, and nothing tells that it is not all.
    Half,
    /// More comes than is read.
    Endless,
    /// A page comes instead, with success.
    Html,
    /// The provider answers with this status and nothing of use.
    Status(u16),
    /// Too many requests, and how long to wait.
    Throttled(After),
    /// Every token is over; a login still gives a new one.
    TokenOver,
    /// The answer is for `FR`.
    OtherPlace,
    /// The provider's clock is ahead by so much, or behind.
    Skewed(SignedDuration),
}

/// How a wait is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum After {
    /// Not at all.
    Unsaid,
    /// In seconds.
    Seconds(u32),
    /// As the date in so many seconds.
    Date(u32),
}

/// One call, as the provider sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) url: &'a Url,
    /// The key or token that came with it.
    pub(crate) key: Option<&'a str>,
    /// Since the start of the world.
    pub(crate) at: Duration,
    /// How many came before.
    pub(crate) before: usize,
    /// How many are being answered, this one included.
    pub(crate) at_once: usize,
}

type Faults = dyn Fn(&Request<'_>) -> Option<Fault> + Send + Sync;
type Body = dyn Fn(&Url, Timestamp) -> String + Send + Sync;

pub(crate) struct Virtual {
    began: Instant,
    start: Timestamp,
    faults: Box<Faults>,
    body: Box<Body>,
    inside: AtomicUsize,
    calls: Mutex<Vec<(String, Duration)>>,
}

impl fmt::Debug for Virtual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Virtual").finish_non_exhaustive()
    }
}

impl Virtual {
    /// A world that begins at `start`: what is wrong with each call, and what an answer says at a
    /// time by the provider's clock.
    pub(crate) fn from(
        start: Timestamp,
        faults: impl Fn(&Request<'_>) -> Option<Fault> + Send + Sync + 'static,
        body: impl Fn(&Url, Timestamp) -> String + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            start,
            faults: Box::new(faults),
            body: Box::new(body),
            inside: AtomicUsize::new(0),
            calls: Mutex::default(),
        })
    }

    /// A caller in this world. It has no cache: threads read the disk, and paused time does not wait
    /// for them.
    pub(crate) fn caller(self: &Arc<Self>, resilience: Resilience) -> Caller {
        Caller::within(Arc::<Self>::clone(self), resilience, None)
    }

    /// How long the world has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start + SignedDuration::try_from(self.elapsed()).unwrap()
    }

    /// When each host was called.
    pub(crate) fn calls(&self) -> Vec<(String, Duration)> {
        lock(&self.calls).clone()
    }

    fn answer(&self, url: &Url, fault: Option<Fault>) -> Result<Arrived, Broken> {
        let now = self.now();
        let good = |at| (self.body)(url, at);
        let (status, content_type, body) = match fault {
            Some(Fault::Reset) => return unreachable("connection reset by peer"),
            Some(Fault::NoName) => return unreachable("failed to lookup address information"),
            Some(Fault::CutOff) => return unreachable("end of file before message length reached"),
            Some(Fault::Endless) => return Err(Broken::TooLarge("8388608 bytes".to_owned())),
            Some(Fault::Html) => (200, "text/html", "<html>Back soon.</html>".to_owned()),
            Some(Fault::Status(status)) => (status, "text/plain", "out of order".to_owned()),
            Some(Fault::Throttled(_)) => (429, "text/plain", "slow down".to_owned()),
            Some(Fault::TokenOver) if url.path() != "/login" => (401, "text/plain", String::new()),
            Some(Fault::Half) => {
                let whole = good(now);
                (200, JSON, whole[..whole.len() / 2].to_owned())
            }
            Some(Fault::OtherPlace) => (200, JSON, good(now).replace("\"DE\"", "\"FR\"")),
            Some(Fault::Skewed(by)) => (200, JSON, good(now + by)),
            Some(Fault::Slow(_) | Fault::Never | Fault::TokenOver) | None => (200, JSON, good(now)),
        };
        let retry_after = match fault {
            Some(Fault::Throttled(After::Seconds(seconds))) => Some(seconds.to_string()),
            Some(Fault::Throttled(After::Date(seconds))) => {
                let date = now + SignedDuration::from_secs(seconds.into());
                Some(date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
            }
            _ => None,
        };
        Ok(Arrived {
            status,
            content_type: Some(content_type.to_owned()),
            retry_after,
            body: body.into_bytes(),
        })
    }
}

const JSON: &str = "application/json";

fn unreachable(why: &str) -> Result<Arrived, Broken> {
    Err(Broken::Unreachable(why.to_owned()))
}

impl World for Virtual {
    fn utc(&self) -> Timestamp {
        self.now()
    }

    fn monotonic(&self) -> Duration {
        self.elapsed()
    }

    fn get<'a>(&'a self, url: &'a Url, carried: &'a Carried) -> Exchange<'a> {
        Box::pin(async move {
            let at_once = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
            let _inside = Presence(&self.inside);
            let at = self.elapsed();
            let before = {
                let mut calls = lock(&self.calls);
                calls.push((url.host_str().unwrap_or_default().to_owned(), at));
                calls.len() - 1
            };
            let fault = (self.faults)(&Request {
                url,
                key: match carried {
                    Carried::Nothing => None,
                    Carried::Header(_, key) | Carried::Bearer(key) | Carried::Basic(key) => {
                        Some(key.expose_secret())
                    }
                },
                at,
                before,
                at_once,
            });
            match fault {
                Some(Fault::Never) => std::future::pending().await,
                Some(Fault::Slow(latency)) => sleep(latency).await,
                _ => sleep(LATENCY).await,
            }
            self.answer(url, fault)
        })
    }
}
