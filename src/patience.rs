//! Work that may hang (a disk, a pipe, another program), waited for no longer than a limit.

use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

/// Bytes that are read of what a program prints.
const LARGEST: u64 = 64 << 20;

/// What `work` gives, done in a thread of its own. After `limit` the thread is left behind with it.
///
/// # Errors
/// There is no thread to be had, or the limit has passed ([`io::ErrorKind::TimedOut`]).
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, done) = channel();
    Builder::new().spawn(move || drop(sender.send(work())))?;
    done.recv_timeout(limit).map_err(|_| {
        let why = format!("it was not done within {} s", limit.as_secs_f64());
        io::Error::new(io::ErrorKind::TimedOut, why)
    })
}

/// Waits so long, or until a signal ends this process.
pub fn rest(time: Duration) {
    let (_keep, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}

/// What another program printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed; what is no text in it is replaced.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs a program with `input` as its standard input, and gives what it printed. After `limit` it is
/// killed, and whoever holds its output open is left behind.
///
/// # Errors
/// It cannot be run ([`io::ErrorKind::NotFound`] where it is not there), or does not end in time
/// ([`io::ErrorKind::TimedOut`]).
pub fn output(mut command: Command, input: Vec<u8>, limit: Duration) -> io::Result<Output> {
    command
        .stdin(match input.is_empty() {
            true => Stdio::null(),
            false => Stdio::piped(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let reading = within(limit, move || {
        let feeding =
            stdin.map(|mut stdin| std::thread::spawn(move || drop(stdin.write_all(&input))));
        let complained = std::thread::spawn(move || text(stderr));
        let printed = text(stdout);
        if let Some(feeding) = feeding {
            let _ = feeding.join();
        }
        (printed, complained.join().unwrap_or_default())
    });
    if reading.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let (stdout, stderr) = reading?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

fn text(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let _ = from.take(LARGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_left_behind() {
        let (_keep, never) = channel::<()>();
        let hung = within(Duration::from_millis(1), move || never.recv());
        assert_eq!(hung.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(within(Duration::from_secs(20), || 7).unwrap(), 7);
    }
}
