//! The run's end of the socket.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use hyper_util::service::TowerToHyperService;
use nix::unistd::Uid;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Listener, Request, Word, refusal};
use crate::log::audit::{self, Outcome, Who};
use crate::parse;
use crate::serve::http::{answer, attend, json, no, pass_over};
use crate::serve::{Board, pages};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: u32 = 16;
/// How long the run may take to answer: a reload reads files for up to two seconds.
const ANSWER: Duration = Duration::from_secs(3);

type Requests = mpsc::Sender<Request>;
type Asked = axum::extract::Request;

/// Who asks.
#[derive(Clone)]
struct Peer {
    /// For the record: `pid 17`.
    name: String,
    /// For the audit.
    who: Who,
    /// Resolves when the connection is over; there is one request in each.
    written: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

/// Serves the socket until the receiver of `requests` is dropped, or another socket has taken its
/// place; with a board also the pages that are made of it.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: Listener,
    requests: Requests,
    board: Option<Arc<Board>>,
) -> io::Result<()> {
    let Listener {
        socket,
        in_place,
        _for_good,
    } = listener;
    let socket = UnixListener::from_std(socket)?;
    let router = router(requests.clone(), board);
    let over = async {
        tokio::select! {
            _ = in_place => {}
            () = requests.closed() => {}
        }
    };
    attend(socket, CONNECTIONS, over, |stream| {
        converse(stream, router.clone())
    })
    .await;
    Ok(())
}

fn router(requests: Requests, board: Option<Arc<Board>>) -> Router {
    let pages = board.map_or_else(Router::new, pages::router);
    Router::new()
        .merge(pages)
        .route(
            "/status",
            get(|to, peer, asked| said(Word::Status, to, peer, asked)),
        )
        .route(
            "/config",
            get(|to, peer, asked| said(Word::Config, to, peer, asked)),
        )
        .route(
            "/pause",
            post(|to, peer, asked| said(Word::Pause, to, peer, asked)),
        )
        .route("/resume", post(resume))
        .route(
            "/stop",
            post(|to, peer, asked| said(Word::Stop, to, peer, asked)),
        )
        .route(
            "/reload",
            post(|to, peer, asked| said(Word::Reload, to, peer, asked)),
        )
        .fallback(|| async {
            let there = "there is /status, /config, /pause, /resume, /stop, /reload, /health, \
                         /health/detailed, /ready and /metrics";
            no(StatusCode::NOT_FOUND, there)
        })
        .method_not_allowed_fallback(|| async {
            let how = "POST is for /pause, /resume, /stop and /reload, GET for all others";
            no(StatusCode::METHOD_NOT_ALLOWED, how)
        })
        .with_state(requests)
}

async fn converse(stream: UnixStream, router: Router) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let who = Who::peer(peer.uid(), peer.pid());
    if !may_ask(Uid::from_raw(peer.uid()), Uid::effective()) {
        audit::note("connect", None, &who, Outcome::Refused);
        return turn_away(stream).await;
    }
    let (_dropped_at_the_end, written) = oneshot::channel();
    let peer = Peer {
        who,
        name: peer
            .pid()
            .map_or_else(|| "unknown".to_owned(), |pid| format!("pid {pid}")),
        written: Arc::new(Mutex::new(Some(written))),
    };
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    answer(stream, service).await
}

/// The user of the run, and root.
fn may_ask(peer: Uid, own: Uid) -> bool {
    peer == own || peer.is_root()
}

/// Tells somebody else no; nothing of what they sent is read.
async fn turn_away(mut stream: UnixStream) -> io::Result<()> {
    let body = refusal("this run belongs to another user") + "\n";
    let head = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// `?for=2h`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    #[serde(rename = "for")]
    time: Option<String>,
}

async fn resume(
    to: State<Requests>,
    peer: Extension<Peer>,
    query: Result<Query<Resume>, QueryRejection>,
    asked: Asked,
) -> Response {
    let bad = |why: String| no(StatusCode::BAD_REQUEST, &why);
    let time = match query {
        Ok(Query(Resume { time })) => time,
        Err(error) => return bad(error.body_text()),
    };
    match time.as_deref().map(parse::positive_duration).transpose() {
        Ok(time) => said(Word::Resume { time }, to, peer, asked).await,
        Err(why) => bad(format!("for: {why}")),
    }
}

/// Hands a word to the run and gives its answer.
async fn said(
    word: Word,
    State(requests): State<Requests>,
    Extension(peer): Extension<Peer>,
    asked: Asked,
) -> Response {
    if let Err(refused) = pass_over(asked).await {
        return *refused;
    }
    let (answer, reply) = oneshot::channel();
    let written = (peer.written.lock())
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(written) = written else {
        return no(StatusCode::BAD_REQUEST, "one request a connection");
    };
    let mut act = Act {
        word,
        who: peer.who,
        outcome: Outcome::Unheard,
    };
    let request = Request {
        word,
        from: peer.name,
        answer,
        written,
    };
    let answered = timeout(ANSWER, async {
        requests.send(request).await.ok()?;
        reply.await.ok()
    });
    match answered.await {
        Ok(Some(text)) => {
            let is_done = serde_json::from_str::<serde_json::Value>(&text)
                .is_ok_and(|answer| answer["ok"] == true);
            match is_done {
                true => {
                    act.outcome = Outcome::Done;
                    json(StatusCode::OK, text)
                }
                false => {
                    act.outcome = Outcome::Refused;
                    json(StatusCode::CONFLICT, text)
                }
            }
        }
        Ok(None) => no(StatusCode::SERVICE_UNAVAILABLE, "the run is ending"),
        Err(_) => no(StatusCode::SERVICE_UNAVAILABLE, "the run does not answer"),
    }
}

/// A word that somebody answers for. It is noted when it is over, also where a peer that does not wait
/// for the answer has ended the conversation.
struct Act {
    word: Word,
    who: Who,
    outcome: Outcome,
}

impl Drop for Act {
    fn drop(&mut self) {
        // A look changes nothing.
        if !matches!(self.word, Word::Status | Word::Config) {
            audit::note(self.word.as_str(), None, &self.who, self.outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_answers_its_user_and_root_and_nobody_else() {
        let [root, own, other] = [0, 1000, 1001].map(Uid::from_raw);
        assert!(may_ask(own, own) && may_ask(root, own) && may_ask(root, root));
        assert!(!may_ask(other, own) && !may_ask(other, root));
    }
}
