//! The pages that both doors have, made of the board.
//!
//! | page | tells | without the token over TCP |
//! |---|---|---|
//! | `/health` | 200: the deciding thread is alive; else 503 | the same |
//! | `/ready` | 200: the job is under control, and there is a plan; else 503 | the same |
//! | `/metrics` | OpenMetrics where `Accept` asks for it, else the classic text | no `catrain_run_info` |
//! | `/health/detailed` | each thing that was looked at; 503 where one has failed | 401 |
//! | `/status` | how the run stands, as of a second ago | 401 |

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::board::{Board, Form};
use super::health::{self, Status};
use super::http::{json, no, page};

/// What OpenMetrics is served as, and asked for by.
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The older text format.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

type Told = State<Arc<Board>>;

/// Those of the control socket, whose peers may see everything; `/status` is answered by the run itself.
pub fn router<S: Clone + Send + Sync + 'static>(board: Arc<Board>) -> Router<S> {
    Router::new()
        .route(
            "/health",
            get(|State(board): Told| async move { alive(&board) }),
        )
        .route(
            "/ready",
            get(|State(board): Told| async move { ready(&board) }),
        )
        .route(
            "/health/detailed",
            get(|State(board): Told| async move { detailed(&board).await }),
        )
        .route(
            "/metrics",
            get(|State(board): Told, head: HeaderMap| async move { metrics(&board, &head, true) }),
        )
        .with_state(board)
}

/// The page at a path, for a peer that is `trusted` or not.
pub(super) async fn at(path: &str, board: &Board, head: &HeaderMap, trusted: bool) -> Response {
    match (path, trusted) {
        ("/health", _) => alive(board),
        ("/ready", _) => ready(board),
        ("/metrics", _) => metrics(board, head, trusted),
        ("/health/detailed" | "/status", false) => wants_token(),
        ("/health/detailed", true) => detailed(board).await,
        ("/status", true) => status(board),
        _ => no(
            StatusCode::NOT_FOUND,
            "there is /health, /ready, /metrics, /health/detailed and /status",
        ),
    }
}

/// The answer to who lacks the token, or has another.
pub(super) fn wants_token() -> Response {
    let why = "this needs the run's token: Authorization: Bearer TOKEN; it lies beside the control \
               socket of the run, as RUN.token";
    let mut answer = no(StatusCode::UNAUTHORIZED, why);
    let how = header::HeaderValue::from_static("Bearer realm=\"catrain\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, how);
    answer
}

fn verdict(trouble: Option<String>) -> Response {
    match trouble {
        None => json(StatusCode::OK, json!({ "ok": true }).to_string()),
        Some(why) => no(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn alive(board: &Board) -> Response {
    verdict(board.not_alive())
}

fn ready(board: &Board) -> Response {
    verdict(board.not_alive().or_else(|| board.not_ready()))
}

fn status(board: &Board) -> Response {
    match board.status() {
        Some(text) => json(StatusCode::OK, text.to_string()),
        None => no(StatusCode::SERVICE_UNAVAILABLE, "the run has not begun yet"),
    }
}

async fn detailed(board: &Board) -> Response {
    let checks = board.health().await;
    let code = match health::worst(&checks) {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(code, health::document(&checks).to_string())
}

fn metrics(board: &Board, head: &HeaderMap, trusted: bool) -> Response {
    let accept = head.get_all(header::ACCEPT).iter();
    let mut accept = accept.filter_map(|value| value.to_str().ok());
    let (form, kind) = match accept.any(|value| value.contains("application/openmetrics-text")) {
        true => (Form::Open, OPEN),
        false => (Form::Classic, CLASSIC),
    };
    page(StatusCode::OK, kind, board.page(form, trusted))
}
