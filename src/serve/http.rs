//! How peers are talked to, whatever the door: one request a connection, within bounds of size, time
//! and number. Slow, silent and talkative peers cost a place for a while, and nothing else.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long a peer may take to send a head, and then a body.
const PATIENCE: Duration = Duration::from_secs(2);
/// A connection is given up after this long, whatever it does.
const LONGEST: Duration = Duration::from_secs(8);
/// Bytes of a head.
const HEAD: usize = 8 << 10;
/// Bytes of a body, which nobody looks at.
const BODY: usize = 4 << 10;
/// At the end those who are being answered have so long.
const GRACE: Duration = Duration::from_millis(100);
/// After an error that may pass: descriptors have run out, say.
const AGAIN: Duration = Duration::from_millis(100);

/// Where peers come in.
pub trait Entrance {
    /// What they are talked to over.
    type Stream: Send + 'static;

    /// The next one. Dropping the future loses none.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Entrance for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

impl Entrance for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

/// Talks to those who come in, so many at a time, until it is `over`; more wait in the kernel's queue.
/// Then nobody else is let in, and those who are being answered have a moment.
pub async fn attend<E, C, F>(entrance: E, at_once: u32, over: impl Future<Output = ()>, converse: C)
where
    E: Entrance,
    C: Fn(E::Stream) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(at_once as usize));
    tokio::pin!(over);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, entrance.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut over => break,
        };
        match (place, accepted) {
            (Ok(place), Ok(stream)) => {
                let conversation = converse(stream);
                tokio::spawn(async move {
                    let _ = timeout(LONGEST, conversation).await;
                    drop(place);
                });
            }
            _ => sleep(AGAIN).await,
        }
    }
    drop(entrance);
    let _ = timeout(GRACE, places.acquire_many(at_once)).await;
}

/// Has one request answered.
///
/// # Errors
/// The connection broke, or what came is no request.
pub async fn answer<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
) -> io::Result<()>
where
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
{
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

/// Passes over the body of a request: it says nothing to us, but must be out of the way before the
/// answer.
///
/// # Errors
/// It is too large or does not come, as the answer that says so.
pub async fn pass_over(asked: Request) -> Result<(), Box<Response>> {
    let body = asked.into_body();
    let refused = match timeout(PATIENCE, axum::body::to_bytes(body, BODY)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(_)) => {
            let why = format!("a body of up to {BODY} bytes is passed over, and no other");
            no(StatusCode::PAYLOAD_TOO_LARGE, &why)
        }
        Err(_) => no(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
    };
    Err(Box::new(refused))
}

/// The answer that says no, and why.
pub fn no(status: StatusCode, why: &str) -> Response {
    json(status, refusal(why))
}

/// The document that says no, and why.
pub fn refusal(why: &str) -> String {
    serde_json::json!({ "ok": false, "error": why }).to_string()
}

/// One JSON document.
pub fn json(status: StatusCode, text: String) -> Response {
    page(status, "application/json", text + "\n")
}

/// An answer of this kind. It is good for once, and for what it says it is.
pub fn page(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, head, body.into()).into_response()
}
