//! One request and its answer over the network, within bounds; nothing is decided here.
//!
//! A client is made when it is first needed: reading the certificates takes longer than the rest of
//! a start, and may fail where there are none. Clients differ by where they lead: loopback is never
//! asked through a proxy, and over plain http needs no certificates.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::limits::Bounds;
use crate::clock::{monotonic, utc_now};

/// Most redirects followed, all within one host.
const REDIRECTS: usize = 3;
/// Longest wait for the certificates to be read.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// What comes with a request.
#[derive(Clone, Debug)]
pub(super) enum Carried {
    Nothing,
    Header(&'static str, SecretString),
    Bearer(SecretString),
    Basic(SecretString),
}

/// Shorter secrets keep nobody out, and may be part of any number.
const SHORTEST_SECRET: usize = 6;

impl Carried {
    /// Blots out of a body what was sent to be let in: there are services that say back what they
    /// refuse, and what is said is shown and recorded.
    pub(super) fn blot(&self, body: &mut [u8]) {
        let secret = match self {
            Self::Nothing => return,
            Self::Header(_, secret) | Self::Bearer(secret) => secret.expose_secret(),
            Self::Basic(pair) => {
                let pair = pair.expose_secret();
                pair.split_once(':').map_or(pair, |(_, password)| password)
            }
        };
        let length = secret.len();
        if length < SHORTEST_SECRET {
            return;
        }
        let mut rest = body;
        while let Some(at) = (rest.windows(length)).position(|part| part == secret.as_bytes()) {
            let (blotted, after) = rest.split_at_mut(at + length);
            blotted[at..].fill(b'*');
            rest = after;
        }
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Broken {
    NoClient(String),
    Unreachable(String),
    TooLarge(String),
    Elsewhere(String),
    KeyUnusable,
}

/// The outside as the caller meets it; tests have worlds of their own, with faults and time at will.
pub(super) trait World: fmt::Debug + Send + Sync {
    /// The wall clock.
    fn utc(&self) -> Timestamp;

    /// Time from any fixed start.
    fn monotonic(&self) -> Duration;

    /// Asks once. Whoever calls bounds the time.
    fn get<'a>(&'a self, url: &'a Url, carried: &'a Carried) -> Exchange<'a>;
}

/// An answer to come.
pub(super) type Exchange<'a> = Pin<Box<dyn Future<Output = Result<Arrived, Broken>> + Send + 'a>>;

/// The machine's clocks and the network.
#[derive(Debug)]
pub(super) struct Network {
    clients: Clients,
}

/// Clients, made on first use.
#[derive(Debug)]
pub(super) struct Clients {
    bounds: Bounds,
    follows: bool,
    made: [OnceLock<Client>; 3],
}

impl World for Network {
    fn utc(&self) -> Timestamp {
        utc_now()
    }

    fn monotonic(&self) -> Duration {
        monotonic()
    }

    fn get<'a>(&'a self, url: &'a Url, carried: &'a Carried) -> Exchange<'a> {
        Box::pin(async move {
            let client = self.clients.client(url).await?;
            self.exchange(&client, url.clone(), carried).await
        })
    }
}

/// Where a client leads.
#[derive(Clone, Copy, Debug)]
enum Lead {
    Outside,
    LoopbackSecure,
    LoopbackPlain,
}

impl Clients {
    /// Clients that follow redirects within a host.
    fn that_follow(bounds: Bounds) -> Self {
        Self {
            bounds,
            follows: true,
            made: [const { OnceLock::new() }; 3],
        }
    }

    /// Clients that follow no redirect at all.
    pub(super) fn that_stay(bounds: Bounds) -> Self {
        Self {
            follows: false,
            ..Self::that_follow(bounds)
        }
    }

    /// The client for a URL, made in a thread of its own on first use.
    pub(super) async fn client(&self, url: &Url) -> Result<Client, Broken> {
        let lead = match (is_loopback(url), url.scheme()) {
            (false, _) => Lead::Outside,
            (true, "http") => Lead::LoopbackPlain,
            (true, _) => Lead::LoopbackSecure,
        };
        let cell = &self.made[lead as usize];
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let (bounds, follows) = (self.bounds, self.follows);
        let built = off_thread(CERTIFICATES, move || build(lead, bounds, follows)).await;
        let client = match built {
            Some(Ok(client)) => client,
            Some(Err(error)) => return Err(Broken::NoClient(innermost(&error))),
            None => {
                let why = "the certificates could not be read in time";
                return Err(Broken::NoClient(why.to_owned()));
            }
        };
        Ok(cell.get_or_init(|| client).clone())
    }
}

impl Network {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            clients: Clients::that_follow(bounds),
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        url: Url,
        carried: &Carried,
    ) -> Result<Arrived, Broken> {
        let mut request = client.get(url).header(ACCEPT, "application/json");
        request = match carried {
            Carried::Nothing => request,
            Carried::Header(name, key) => {
                let value = HeaderValue::from_str(key.expose_secret());
                let mut value = value.map_err(|_| Broken::KeyUnusable)?;
                value.set_sensitive(true);
                request.header(HeaderName::from_static(name), value)
            }
            Carried::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Carried::Basic(pair) => {
                let (user, password) =
                    (pair.expose_secret().split_once(':')).ok_or(Broken::KeyUnusable)?;
                request.basic_auth(user, Some(password))
            }
        };
        let bounds = self.clients.bounds;
        let mut response = request.send().await.map_err(broken)?;
        if response.headers().len() > bounds.headers {
            return Err(Broken::TooLarge(format!("{} headers", bounds.headers)));
        }
        let status = response.status();
        if status.is_redirection()
            && let Some(location) = text_of(response.headers(), &LOCATION)
        {
            return Err(elsewhere(response.url(), Some(&location)));
        }
        let content_type = text_of(response.headers(), &CONTENT_TYPE);
        let retry_after = text_of(response.headers(), &RETRY_AFTER);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > bounds.body {
                return Err(Broken::TooLarge(format!("{} bytes", bounds.body)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Arrived {
            status: status.as_u16(),
            content_type,
            retry_after,
            body,
        })
    }
}

/// That a service sends us on to a place that we do not follow it to: told by its host alone.
pub(super) fn elsewhere(from: &Url, location: Option<&str>) -> Broken {
    let target = location.and_then(|location| from.join(location).ok());
    Broken::Elsewhere(target.map_or_else(
        || "somewhere that is no URL".to_owned(),
        |url| format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
    ))
}

/// What a header says, where it says something.
pub(super) fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn build(lead: Lead, bounds: Bounds, follows: bool) -> reqwest::Result<Client> {
    // Without a provider, building panics. Another may have been installed already, as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("catrain/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(bounds.connect)
        .http1_max_headers(bounds.headers)
        .gzip(true)
        .referer(false)
        // Attempts are ours to decide and to count.
        .retry(reqwest::retry::never())
        .redirect(match follows {
            true => Policy::custom(within_the_host),
            false => Policy::none(),
        });
    if !matches!(lead, Lead::Outside) {
        let loopback = [
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
        ];
        // A name server must not say where `localhost` is: keys go there without encryption.
        builder = builder.no_proxy().resolve_to_addrs("localhost", &loopback);
    }
    if matches!(lead, Lead::LoopbackPlain) {
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// A key sent with a request goes along: only to the same host, and never from https to http.
fn within_the_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let follow = attempt.previous().last().is_some_and(|from| {
        let to = attempt.url();
        let same_door = from.scheme() == to.scheme()
            && from.port_or_known_default() == to.port_or_known_default();
        let made_secure = from.scheme() == "http" && to.scheme() == "https";
        from.host_str() == to.host_str() && (same_door || made_secure)
    });
    if follow && attempt.previous().len() <= REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Whether a URL leads to this very machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    is_loopback_host(url.host_str().unwrap_or_default())
}

/// Whether a host is this very machine, by its name or its address.
pub fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn broken(error: reqwest::Error) -> Broken {
    Broken::Unreachable(innermost(&error))
}

/// The innermost cause: the outer ones say that a request failed, and may hold its URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = match error.source() {
        Some(cause) => cause,
        None => return "the request cannot be sent".to_owned(),
    };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// What `work` gives, done in a thread of its own; `None` where it takes longer, and is then left
/// behind, or where there is no thread to be had. The runtime's own threads for such work would be
/// waited for at its end.
pub(super) async fn off_thread<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, done) = oneshot::channel();
    let run = move || drop(sender.send(work()));
    thread::Builder::new().spawn(run).ok()?;
    timeout(limit, done).await.ok()?.ok()
}
