//! The asking end of the socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use nix::unistd::Uid;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::Word;

/// How long a run may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where it first reads files.
const RELOAD_PATIENCE: Duration = Duration::from_secs(4);
/// Between two tries where the kernel's queue of a run is full.
const AGAIN: Duration = Duration::from_millis(10);
/// Runs that are asked at a time: each takes a descriptor.
const AT_ONCE: usize = 128;
/// Bytes of an answer.
const LARGEST: usize = 1 << 20;

/// Sends a word to a run and gives the answer, one JSON document.
///
/// # Errors
/// Nobody listens (the run is over, or was killed), the socket belongs to someone else, or no
/// answer came in two seconds, four for a reload.
pub fn ask(path: &Path, word: Word) -> io::Result<String> {
    block_on(said(path, word))?
}

/// Asks many runs at the same time; the answers are in the order of the paths.
///
/// # Errors
/// Nothing can be asked; of each as [`ask`].
pub fn ask_all(paths: &[PathBuf], word: Word) -> io::Result<Vec<io::Result<String>>> {
    let asked = stream::iter(paths.iter().map(|path| said(path, word)));
    block_on(asked.buffered(AT_ONCE).collect())
}

fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(work))
}

async fn said(path: &Path, word: Word) -> io::Result<String> {
    let patience = match word {
        Word::Reload | Word::Config => RELOAD_PATIENCE,
        _ => PATIENCE,
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the run gave no answer in time");
    timeout(patience, exchange(path, word))
        .await
        .map_err(late)?
}

async fn exchange(path: &Path, word: Word) -> io::Result<String> {
    let stream = connect(path).await?;
    let peer = Uid::from_raw(stream.peer_cred()?.uid());
    let own = Uid::effective();
    if peer != own && !own.is_root() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is served by uid {peer}, not by you", path.display()),
        ));
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let (method, target) = word.request();
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, "catrain")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let body = Limited::new(answer.into_body(), LARGEST);
        body.collect().await.map_err(io::Error::other)
    };
    let (answer, _) = tokio::join!(answering, connection);
    let text = String::from_utf8(answer?.to_bytes().into());
    text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A full queue of the kernel is an error of a socket that does not block, and passes.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(AGAIN).await,
            connected => return connected,
        }
    }
}

fn broken(error: hyper::Error) -> io::Error {
    let what = format!("the run gave no answer: {error}");
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}
