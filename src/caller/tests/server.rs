//! A provider on loopback that answers as told, in threads.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// No test waits longer for its condition.
const LIMIT: Duration = Duration::from_secs(20);

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, further headers (each with its line end), body.
    Whole(u16, String, Vec<u8>),
    /// A good answer once so many requests are being answered at once.
    Together(usize),
    /// The connection is reset.
    Reset,
    /// Less than was announced.
    Truncated,
    /// A body without an end.
    Endless,
    /// Nothing, until the other side gives up.
    Never,
}

impl Reply {
    pub(crate) fn good() -> Self {
        Self::of(200, "", "{\"good\":1}")
    }

    pub(crate) fn of(status: u16, headers: &str, body: &str) -> Self {
        Self::Whole(status, headers.to_owned(), body.as_bytes().to_vec())
    }
}

/// The connections and the requests so far, and who is being answered.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    heads: Vec<String>,
    bodies: Vec<String>,
    inside: usize,
    most_inside: usize,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) base_url: String,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Server {
    /// Answers the first request with the first reply, and so on; with the last one from then on.
    pub(crate) fn saying(replies: Vec<Reply>) -> Self {
        Self::answering(move |number, _| replies[number.min(replies.len() - 1)].clone())
    }

    /// Answers what the function says of the request's number and head.
    pub(crate) fn answering(answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        let (for_thread, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&for_thread), Arc::clone(&answer));
                seen.0.lock().unwrap().connections += 1;
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { base_url, seen }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().heads.clone()
    }

    /// What came with the requests, in the same order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().bodies.clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.heads().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.0.lock().unwrap().connections
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.0.lock().unwrap().most_inside
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &(Mutex<Seen>, Condvar),
    answer: &(dyn Fn(usize, &str) -> Reply + Send + Sync),
) {
    let (seen, changed) = seen;
    while let Some(head) = read_head(&mut stream) {
        let Some(body) = read_body(&mut stream, &head) else {
            return;
        };
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.heads.push(head.clone());
            seen.bodies.push(body);
            seen.inside += 1;
            seen.most_inside = seen.most_inside.max(seen.inside);
            changed.notify_all();
            seen.heads.len() - 1
        };
        let reply = answer(number, &head);
        if let Reply::Together(count) = reply {
            let waiting = seen.lock().unwrap();
            let few = |seen: &mut Seen| seen.most_inside < count;
            drop(changed.wait_timeout_while(waiting, LIMIT, few).unwrap());
        }
        // Before the answer: whoever has it may ask again at once.
        seen.lock().unwrap().inside -= 1;
        if write(&mut stream, reply).is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
        // TLS, which is not spoken here.
        if !head[0].is_ascii_uppercase() {
            write(stream, Reply::of(400, "", "")).ok()?;
            return None;
        }
    }
    Some(String::from_utf8(head).unwrap())
}

fn read_body(stream: &mut TcpStream, head: &str) -> Option<String> {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

fn write(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let end = || Err(ErrorKind::ConnectionAborted.into());
    match reply {
        Reply::Whole(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
            stream.write_all(&[head.as_bytes(), &body].concat())
        }
        Reply::Together(_) => write(stream, Reply::good()),
        Reply::Reset => {
            let linger = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            nix::sys::socket::setsockopt(&*stream, nix::sys::socket::sockopt::Linger, &linger)?;
            end()
        }
        Reply::Truncated => {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{\"good\"")?;
            end()
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 X\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        Reply::Never => {
            let _ = stream.read(&mut [0]);
            end()
        }
    }
}

/// A gzip file of one stored block (RFC 1952, RFC 1951 3.2.4).
pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(data);
    let crc = data.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    file.extend((!crc).to_le_bytes());
    file.extend(u32::from(length).to_le_bytes());
    file
}
