//! What is brought to a service, in place of being asked of it: the same limits, breaker, time-outs
//! and retries, whatever it is brought by.

use std::future::Future;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Url};

use super::gate::{Efforts, Gate};
use super::limits::retry_after;
use super::transport::{Broken, Clients, elsewhere, text_of};
use super::url::post_url;
use super::way::error_of;
use super::wire::Refused;
use super::{CallError, Caller};
use crate::clock::utc_now;

/// Most bytes of an answer that are read: a word or two.
const ANSWER: usize = 4096;

/// Why one attempt did not deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct Undelivered {
    /// What went wrong.
    pub error: CallError,
    /// How long the service wants to be left alone, where it says.
    pub told: Option<Duration>,
}

impl From<CallError> for Undelivered {
    fn from(error: CallError) -> Self {
        Self { error, told: None }
    }
}

impl Caller {
    /// Has `attempt` deliver something to the service of this name at this place, again where that
    /// may help. The place is no secret: it tells two services of one name apart.
    ///
    /// # Errors
    /// It is not delivered, as far as anybody can tell.
    pub async fn deliver<F>(
        &self,
        name: &str,
        place: &str,
        attempt: impl Fn() -> F,
    ) -> Result<(), CallError>
    where
        F: Future<Output = Result<(), Undelivered>>,
    {
        if self.is_offline {
            let provider = name.to_owned();
            return Err(CallError::Offline { provider });
        }
        let line = self.line_of(name, place);
        line.count(|counters| counters.asks += 1);
        let gate = Gate {
            caller: self,
            name,
            line: &line,
        };
        let mut efforts = Efforts::new(&self.resilience);
        loop {
            if efforts.so_far() > 0 {
                line.count(|counters| counters.retries += 1);
            }
            let mut told = None;
            let exchange = async {
                attempt().await.map_err(|failed| {
                    told = failed.told;
                    failed.error
                })
            };
            let outcome = gate.pass(&mut efforts.left, exchange).await;
            gate.ended(outcome.as_ref().err(), told);
            let Err(error) = outcome else {
                return Ok(());
            };
            let class = error.class();
            // There is no login to do anew.
            if let Some(error) = efforts.failed(name, class, error, told).await? {
                return Err(error);
            }
        }
    }
}

/// Posts to URLs that are secrets themselves, and follows no redirect with what it carries.
#[derive(Debug)]
pub struct Poster(Clients);

/// One request of a [`Poster`].
#[derive(Debug)]
pub struct Parcel<'a> {
    /// Whom it goes to, as errors name it.
    pub name: &'a str,
    /// Where to. Only its host is ever told.
    pub url: &'a str,
    /// What comes with it, beside `Content-Type: application/json`.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: &'a str,
    /// Whether a word in a refusal says why, as Slack's do.
    pub says_why: bool,
}

impl Poster {
    /// One within these bounds. Nothing is opened before the first post.
    pub fn new(bounds: super::limits::Bounds) -> Self {
        Self(Clients::that_stay(bounds))
    }

    /// Posts once. Whoever calls bounds the time.
    ///
    /// # Errors
    /// It cannot be sent there, or is not taken.
    pub async fn post(&self, parcel: &Parcel<'_>) -> Result<(), Undelivered> {
        let provider = parcel.name.to_owned();
        let url = post_url(parcel.url).map_err(|why| CallError::BaseUrl { provider, why })?;
        let broken = |broken| error_of(broken, parcel.name, &url);
        let client = self.0.client(&url).await.map_err(broken)?;
        let (status, retry, word) = exchange(&client, &url, parcel).await.map_err(broken)?;
        let told = retry
            .as_deref()
            .and_then(|text| retry_after(text, utc_now()));
        let why = match status {
            200..=299 => return Ok(()),
            429 => Refused::Throttled { after: told },
            408 | 425 | 500.. => Refused::Faulty("a fault of its own".to_owned()),
            401 | 403 => Refused::Ours("it does not let us in".to_owned()),
            404 | 410 => Refused::Ours("there is no such address".to_owned()),
            _ => Refused::Ours("it does not take what was sent".to_owned()),
        };
        let why = match (why, word) {
            (Refused::Ours(why), Some(word)) => Refused::Ours(format!("{why} ({word})")),
            (why, _) => why,
        };
        let error = CallError::Refused {
            provider: parcel.name.to_owned(),
            status,
            content_type: None,
            why,
        };
        Err(Undelivered { error, told })
    }
}

/// The host of a URL, for people: the rest may be a secret.
pub fn host_of(text: &str) -> String {
    let url = Url::parse(text).ok();
    let host = url.as_ref().and_then(Url::host_str);
    host.unwrap_or("nowhere").to_owned()
}

/// Status, `Retry-After` and the word of the answer, where one is asked for.
async fn exchange(
    client: &Client,
    url: &Url,
    parcel: &Parcel<'_>,
) -> Result<(u16, Option<String>, Option<String>), Broken> {
    let mut request = client
        .post(url.clone())
        .header("content-type", "application/json")
        .body(parcel.body.to_owned());
    for (name, value) in &parcel.headers {
        let mut value = HeaderValue::from_str(value).map_err(|_| Broken::KeyUnusable)?;
        value.set_sensitive(true);
        request = request.header(HeaderName::from_static(name), value);
    }
    let mut response = request.send().await.map_err(super::transport::broken)?;
    let status = response.status();
    let headers = response.headers();
    if status.is_redirection() {
        let location = text_of(headers, &reqwest::header::LOCATION);
        return Err(elsewhere(url, location.as_deref()));
    }
    let retry = text_of(headers, &reqwest::header::RETRY_AFTER);
    let mut body = Vec::new();
    while parcel.says_why && body.len() < ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            _ => break,
        }
    }
    Ok((status.as_u16(), retry, word_in(&body)))
}

/// One word such as `invalid_blocks`; what is longer, or might be a part of what was sent, is nobody's
/// affair.
fn word_in(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let is_word = (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::limits::{Again, Resilience};
    use super::super::tests::server::{Reply, Server};
    use super::*;

    fn quick() -> Resilience {
        Resilience {
            retry: Some(Again {
                delay: Duration::from_millis(1),
                ..Again::default()
            }),
            cache: None,
            ..Resilience::default()
        }
    }

    fn post(server: &Server, resilience: Resilience, path: &str) -> Result<(), CallError> {
        let bounds = resilience.bounds;
        let caller = Caller::new(resilience, None, false);
        let poster = Poster::new(bounds);
        let url = format!("{}{path}", server.base_url);
        let parcel = Parcel {
            name: "webhook `ops`",
            url: &url,
            headers: vec![("x-catrain-delivery", "7".to_owned())],
            body: "{}",
            says_why: true,
        };
        let delivering = caller.deliver(parcel.name, &server.base_url, || poster.post(&parcel));
        super::super::block_on(delivering).unwrap()
    }

    #[test]
    fn what_fails_for_a_while_is_tried_again_and_a_refusal_is_not() {
        let faulty = Reply::of(503, "", "");
        let server = Server::saying(vec![faulty.clone(), faulty, Reply::of(204, "", "")]);
        post(&server, quick(), "/a").unwrap();
        assert_eq!(server.calls(), 3);
        let heads = server.heads();
        assert!(
            heads
                .iter()
                .all(|head| head.starts_with("POST /a HTTP/1.1"))
        );
        assert!(heads[0].to_lowercase().contains("x-catrain-delivery: 7"));

        let gone = Server::saying(vec![Reply::of(404, "", "no_service")]);
        let error = post(&gone, quick(), "/hush-hush").unwrap_err();
        assert_eq!(
            error.to_string(),
            "webhook `ops` answered 404: there is no such address (no_service)"
        );
        assert_eq!(gone.calls(), 1);
    }

    #[test]
    fn no_redirect_is_followed_and_none_tells_the_url() {
        let away = Reply::of(302, "Location: /other/hush-hush\r\n", "");
        let server = Server::saying(vec![away]);
        let error = post(&server, quick(), "/hush-hush").unwrap_err();
        assert!(matches!(error, CallError::Elsewhere { .. }));
        assert!(!format!("{error} {error:?}").contains("hush"));
        assert_eq!(server.calls(), 1);
    }

    #[test]
    fn only_a_single_word_of_a_refusal_is_told() {
        assert_eq!(
            word_in(b"invalid_blocks\n").as_deref(),
            Some("invalid_blocks")
        );
        for not in [&b""[..], b"two words", b"T0/B0/SECRET", b"\xff"] {
            assert_eq!(word_in(not), None);
        }
    }

    #[test]
    fn offline_nothing_is_delivered() {
        let caller = Caller::new(quick(), None, true);
        let done = super::super::block_on(caller.deliver("x", "y", || async { Ok(()) }));
        assert!(matches!(done.unwrap(), Err(CallError::Offline { .. })));
    }
}
