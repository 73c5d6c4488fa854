//! The door for those who are not this user, or not on the file system: HTTP over TCP, to read alone.
//!
//! Whoever comes in may be anybody on this machine, or a browser that was led here. So there is GET
//! and HEAD and nothing else; the `Host` must be a name that is ours; what is more than that the run
//! is well needs the token; and nothing that a peer does reaches the deciding thread.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};

use super::address::is_ours;
use super::board::Board;
use super::http::{answer, attend, no, pass_over};
use super::pages;
use super::token::Token;

/// Connections at a time; more wait in the kernel's queue. Enough that some may hang.
const CONNECTIONS: u32 = 64;

/// What a door needs to know.
#[derive(Debug)]
pub struct Door {
    /// What there is to tell.
    pub board: Arc<Board>,
    /// Who may see all of it; none: nobody.
    pub token: Option<Token>,
    /// A name that is ours beside those of loopback.
    pub name: Option<String>,
}

/// Opens a listener; the port that was chosen is that of its address.
///
/// # Errors
/// The port is taken, or the address is none of this machine.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until it is `over`.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    door: Door,
    over: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let door = Arc::new(door);
    attend(listener, CONNECTIONS, over, move |stream| {
        converse(stream, door.clone())
    })
    .await;
    Ok(())
}

async fn converse(stream: TcpStream, door: Arc<Door>) -> io::Result<()> {
    let reached = stream.local_addr()?.ip();
    let service = service_fn(move |asked: hyper::Request<Incoming>| {
        let door = door.clone();
        async move { Ok::<_, Infallible>(door.answer(asked.map(axum::body::Body::new), reached).await) }
    });
    answer(stream, service).await
}

impl Door {
    async fn answer(&self, asked: Request, reached: IpAddr) -> Response {
        let method = asked.method();
        if method != Method::GET && method != Method::HEAD {
            let why = "here is only to read: GET and HEAD; a run is steered at its control socket";
            let mut refused = no(StatusCode::METHOD_NOT_ALLOWED, why);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(header::ALLOW, allowed);
            return refused;
        }
        if let Err(refused) = self.is_for_us(asked.uri(), asked.headers(), reached) {
            return *refused;
        }
        let trusted = match asked.headers().get(header::AUTHORIZATION) {
            None => false,
            Some(given) if self.is_trusted(given) => true,
            // Who is wrong about it should know.
            Some(_) => return pages::wants_token(),
        };
        let (path, head) = (asked.uri().path().to_owned(), asked.headers().clone());
        match pass_over(asked).await {
            Ok(()) => pages::at(&path, &self.board, &head, trusted).await,
            Err(refused) => *refused,
        }
    }

    fn is_for_us(&self, uri: &Uri, head: &HeaderMap, reached: IpAddr) -> Result<(), Box<Response>> {
        let mut hosts = head.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            let why = "a request has one Host, which says whom it means";
            return Err(Box::new(no(StatusCode::BAD_REQUEST, why)));
        };
        let is_ours = |host: &str| is_ours(host, self.name.as_deref(), reached);
        let is_meant = host.to_str().is_ok_and(is_ours)
            && uri.authority().is_none_or(|told| is_ours(told.as_str()));
        match is_meant {
            true => Ok(()),
            false => {
                let why = "the Host is no name of loopback; set `name` in [serve] to one that is this \
                           machine's";
                Err(Box::new(no(StatusCode::MISDIRECTED_REQUEST, why)))
            }
        }
    }

    fn is_trusted(&self, given: &HeaderValue) -> bool {
        let Some((scheme, token)) = split_at_space(given.as_bytes()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer")
            && self.token.as_ref().is_some_and(|own| own.is(token))
    }
}

fn split_at_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b' ')?;
    Some((&text[..at], text[at..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::super::board::Latest;
    use super::super::facts::About;
    use super::super::host::Lookers;
    use super::super::tally::Tally;
    use super::*;
    use crate::clock::monotonic;
    use crate::supervise::snapshot::paused;
    use crate::units::Pue;

    const TOKEN: &str = "0123456789abcdef0123";

    /// A door on a thread of its own, as long as the test.
    struct Served {
        address: SocketAddr,
        _over: oneshot::Sender<()>,
    }

    fn served() -> Served {
        let lookers = Lookers::new(vec![("state", "/".into())]);
        let about = About {
            name: "finetune".to_owned(),
            ..About::default()
        };
        let board = Board::new(about, || "r7k2".to_owned(), Tally::new(Pue::NONE), lookers);
        board.tell(Latest {
            snapshot: paused(),
            status: Some("{\"ok\":true,\"id\":\"r7k2\"}".into()),
            ledger_trouble: None,
            at: monotonic(),
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TOKEN).unwrap();
        let door = Door {
            board: Arc::new(board),
            token: Some(Token::read(file.path()).unwrap()),
            name: None,
        };
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (keep, over) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listener, door, async { drop(over.await) }))
        });
        Served {
            address,
            _over: keep,
        }
    }

    impl Served {
        /// The answer to what is sent, up to its end.
        fn raw(&self, text: &str) -> String {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        }

        fn get(&self, path: &str, more: &str) -> String {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n",
                self.address
            );
            self.raw(&head)
        }

        fn code(&self, text: &str) -> String {
            let answer = self.raw(text);
            answer.split(' ').nth(1).unwrap_or_default().to_owned()
        }
    }

    const BEARER: &str = "Authorization: Bearer 0123456789abcdef0123\r\n";

    #[test]
    fn anybody_may_know_that_a_run_is_well_and_its_figures_without_its_names() {
        let door = served();
        assert!(door.get("/health", "").starts_with("HTTP/1.1 200"));
        assert!(door.get("/ready", "").starts_with("HTTP/1.1 200"));
        let metrics = door.get("/metrics", "");
        assert!(
            metrics.contains("catrain_phase{phase=\"paused\"} 1.0"),
            "{metrics}"
        );
        assert!(!metrics.contains("r7k2"), "{metrics}");
        for path in ["/status", "/health/detailed"] {
            let refused = door.get(path, "");
            assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
            assert!(refused.contains("www-authenticate: Bearer"), "{refused}");
            assert!(!refused.contains("r7k2"), "{refused}");
        }
    }

    #[test]
    fn with_the_token_all_is_told_and_with_another_nothing() {
        let door = served();
        let status = door.get("/status", BEARER);
        assert!(status.contains("\"id\":\"r7k2\""), "{status}");
        assert!(
            door.get("/health/detailed", BEARER)
                .contains("catrain.health/1")
        );
        assert!(door.get("/metrics", BEARER).contains("run=\"r7k2\""));
        for wrong in [
            "Bearer x",
            "Basic 0123456789abcdef0123",
            "0123456789abcdef0123",
            "",
        ] {
            for path in ["/status", "/metrics", "/health"] {
                let refused = door.get(path, &format!("Authorization: {wrong}\r\n"));
                assert!(refused.starts_with("HTTP/1.1 401"), "{wrong}: {refused}");
            }
        }
    }

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let door = served();
        let open = door.get(
            "/metrics",
            "Accept: application/openmetrics-text;version=1.0.0\r\n",
        );
        assert!(
            open.contains("content-type: application/openmetrics-text"),
            "{open}"
        );
        assert!(open.ends_with("# EOF\n"), "{open}");
        let classic = door.get("/metrics", "Accept: text/plain\r\n");
        assert!(classic.contains("content-type: text/plain; version=0.0.4"));
        assert!(!classic.contains("# EOF"));
    }

    #[test]
    fn there_is_nothing_but_to_read() {
        let door = served();
        let host = format!("Host: {}\r\n\r\n", door.address);
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            for path in ["/pause", "/stop", "/metrics"] {
                let answer = door.raw(&format!("{method} {path} HTTP/1.1\r\n{host}"));
                assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
                assert!(answer.contains("allow: GET, HEAD"), "{answer}");
            }
        }
        assert_eq!(door.code(&format!("GET /pause HTTP/1.1\r\n{host}")), "404");
        let head = door.raw(&format!("HEAD /metrics HTTP/1.1\r\n{host}"));
        assert!(
            head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
    }

    #[test]
    fn a_browser_that_was_led_here_by_another_name_is_sent_away() {
        let door = served();
        let code = |host: &str| door.code(&format!("GET /metrics HTTP/1.1\r\n{host}\r\n"));
        assert_eq!(code("Host: localhost:9090\r\n"), "200");
        assert_eq!(code("Host: evil.example\r\n"), "421");
        assert_eq!(code(""), "400");
        assert_eq!(code("Host: localhost\r\nHost: localhost\r\n"), "400");
        let led = "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(door.code(led), "421");
    }

    #[test]
    fn what_is_too_large_or_no_request_is_refused() {
        let door = served();
        let host = "Host: localhost\r\n";
        let long = format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(9000));
        assert_eq!(door.code(&long), "431");
        let heavy = format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(9000));
        assert_eq!(door.code(&heavy), "431");
        let body = format!("GET /health HTTP/1.1\r\n{host}Content-Length: 5000\r\n\r\n");
        assert_eq!(door.code(&format!("{body}{}", "x".repeat(5000))), "413");
        assert_eq!(door.code("\u{0}\u{1}\r\n\r\n"), "400");
    }

    #[test]
    fn silent_peers_leave_room_for_others() {
        let door = served();
        let silent: Vec<TcpStream> = (0..80)
            .map(|_| TcpStream::connect(door.address).unwrap())
            .collect();
        let until = monotonic() + Duration::from_secs(30);
        while !door.get("/health", "").starts_with("HTTP/1.1 200") {
            assert!(monotonic() < until, "no room in half a minute");
        }
        drop(silent);
    }
}
