//! Many independent pieces of work over all cores, with progress on a terminal; Ctrl-C ends it with
//! what is done.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::words::Look;

/// How often Ctrl-C is looked for, and the bar moves at most.
const LOOK: Duration = Duration::from_millis(100);

/// What came of it.
pub(super) struct Done<T> {
    /// By number of the piece; none where it was not done any more.
    pub(super) results: Vec<Option<T>>,
    /// Whether somebody had enough.
    pub(super) is_interrupted: bool,
}

/// Does the pieces `0..count` on `threads` threads.
pub(super) fn spread<T: Send>(
    count: usize,
    threads: usize,
    look: Look,
    piece: impl Fn(usize) -> T + Sync,
) -> Done<T> {
    let interrupts = interrupts();
    let bar = bar(count, look);
    let (next, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1024);
        for _ in 0..threads.min(count) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || enough.load(Ordering::Relaxed) {
                        break;
                    }
                    if sender.send((number, piece(number))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok((number, result)) => {
                    results[number] = Some(result);
                    bar.inc(1);
                }
                Err(RecvTimeoutError::Timeout) => bar.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(Ok(Some(_))) = interrupts.as_ref().map(SignalFd::read_signal) {
                enough.store(true, Ordering::Relaxed);
            }
        }
    });
    bar.finish_and_clear();
    Done {
        results,
        is_interrupted: enough.into_inner(),
    }
}

/// Ctrl-C as something to read.
fn interrupts() -> Option<SignalFd> {
    let watched = SigSet::from(Signal::SIGINT);
    watched.thread_block().ok()?;
    SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok()
}

fn bar(count: usize, look: Look) -> ProgressBar {
    let target = match stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    let (cells, template) = match look.unicode {
        true => ("━╸─", "{bar:24} {pos} of {len} jobs · {eta} left"),
        false => ("=>-", "{bar:24} {pos} of {len} jobs - {eta} left"),
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .progress_chars(cells);
    bar.set_style(style);
    bar
}
