//! Four words to a live run, over a Unix socket of its own: `status`, `pause`, `resume`, `stop`.
//!
//! A request is one word and a line break, the answer one line of JSON. The socket lies in the
//! runtime directory, 0600, and the peer's uid is checked on both sides. A connection has two
//! seconds and 64 bytes; neither slow nor silent peers can delay the run.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A connection is given up after this long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// How does it stand?
    Status,
    /// Hold until `resume`.
    Pause,
    /// Lift the operator's hold, overrule the plan's.
    Resume,
    /// End the job.
    Stop,
}

impl FromStr for Word {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "status" => Ok(Self::Status),
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "stop" => Ok(Self::Stop),
            _ => Err(format!("unknown word `{}`", word.escape_debug())),
        }
    }
}

impl Word {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
        }
    }
}

/// A word that came in, with where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// The word.
    pub word: Word,
    /// The peer, for the record: `pid 17`.
    pub from: String,
    /// One line of JSON.
    pub answer: oneshot::Sender<String>,
    /// Resolves, with an error, once the answer was written or the peer is gone: a run that ends by
    /// this word waits a moment for it.
    pub written: oneshot::Receiver<()>,
}

/// The path of a run's socket.
pub fn socket(runtime: &Path, run: &str) -> PathBuf {
    runtime.join(format!("{run}.sock"))
}

/// Opens a run's socket; a stale one is replaced. May block on the file system.
///
/// # Errors
/// The directory cannot be made or is not ours, or the path is too long for a socket.
pub fn listen(runtime: &Path, run: &str) -> io::Result<StdListener> {
    crate::dirs::secure(runtime)?;
    let path = socket(runtime, run);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves the socket until the receiver of `requests` is dropped.
pub async fn serve(listener: StdListener, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return Ok(());
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, say: wait for one to come free rather than spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if requests.is_closed() {
            return Ok(());
        }
        let requests = requests.clone();
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, converse(stream, requests)).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != Uid::effective().as_raw() && peer.uid() != 0 {
        return stream
            .write_all(refusal("this run belongs to another user").as_bytes())
            .await;
    }
    let mut line = Vec::new();
    let mut byte = [0_u8; 1];
    while line.len() < 64 && stream.read(&mut byte).await? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let word = match String::from_utf8_lossy(&line).trim().parse::<Word>() {
        Ok(word) => word,
        Err(why) => return stream.write_all(refusal(&why).as_bytes()).await,
    };
    let (answer, reply) = oneshot::channel();
    let (_dropped_at_the_end, written) = oneshot::channel();
    let from = peer
        .pid()
        .map_or_else(|| "unknown".to_owned(), |pid| format!("pid {pid}"));
    let request = Request {
        word,
        from,
        answer,
        written,
    };
    if requests.send(request).await.is_err() {
        return stream
            .write_all(refusal("the run is ending").as_bytes())
            .await;
    }
    let mut text = reply.await.unwrap_or_else(|_| refusal("the run is ending"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    stream.write_all(text.as_bytes()).await
}

fn refusal(why: &str) -> String {
    let mut text = serde_json::json!({ "ok": false, "error": why }).to_string();
    text.push('\n');
    text
}

/// Sends a word to a run and gives the answer, one line of JSON.
///
/// # Errors
/// Nobody listens (the run is over, or was killed), the socket belongs to someone else, or no
/// answer came in two seconds.
pub fn ask(path: &Path, word: Word) -> io::Result<String> {
    let mut stream = StdStream::connect(path)?;
    let peer = getsockopt(&stream, PeerCredentials)?;
    if peer.uid() != Uid::effective().as_raw() && !Uid::effective().is_root() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} is served by uid {}, not by you",
                path.display(),
                peer.uid()
            ),
        ));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", word.as_str()).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(1 << 20)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the run gave no answer",
        ));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_answered_and_nonsense_refused() {
        let runtime = tempfile::tempdir().unwrap();
        let path = socket(runtime.path(), "r7k2");
        let listener = listen(runtime.path(), "r7k2").unwrap();
        let asker = std::thread::spawn(move || {
            let answer = ask(&path, Word::Pause).unwrap();
            let mut raw = StdStream::connect(&path).unwrap();
            raw.write_all(b"destroy\n").unwrap();
            let mut refused = String::new();
            raw.read_to_string(&mut refused).unwrap();
            (answer, refused)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (sender, mut requests) = mpsc::channel(4);
            tokio::spawn(serve(listener, sender));
            let request = requests.recv().await.unwrap();
            assert_eq!(request.word, Word::Pause);
            request.answer.send("{\"ok\":true}".to_owned()).unwrap();
            while !asker.is_finished() {
                tokio::task::yield_now().await;
            }
        });
        let (answer, refused) = asker.join().unwrap();
        assert_eq!(answer, "{\"ok\":true}\n");
        assert!(refused.contains("unknown word"), "{refused}");
    }
}
