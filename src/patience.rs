//! Work that may hang (a disk, a pipe, another program), waited for no longer than a limit.

use std::io;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

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
