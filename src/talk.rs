//! What `catrain` says to the person: lines and a countdown on standard error.
//!
//! A thread of its own does the writing, behind a bounded queue: a terminal that takes no output
//! (Ctrl-S, a full pipe) loses messages, which are counted, and delays nothing. Never sets
//! `O_NONBLOCK`: the descriptor is the job's as well.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::words::Look;

/// Messages that may wait to be written.
const QUEUE: usize = 256;

/// Says things, never waits.
#[derive(Debug)]
pub struct Talk {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    done: Receiver<()>,
    _thread: Option<JoinHandle<()>>,
    look: Look,
    countdown: bool,
}

#[derive(Debug)]
enum Message {
    Line(String),
    Countdown { text: String, share: f64 },
    Clear(SyncSender<()>),
    Finish,
}

impl Talk {
    /// Starts the writer. With `countdown`, a bar may be drawn.
    pub fn start(look: Look, countdown: bool) -> Self {
        let (queue, messages) = sync_channel(QUEUE);
        let (done_sender, done) = sync_channel(1);
        let thread = Builder::new()
            .name("talk".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || {
                write_all(&messages, look);
                let _ = done_sender.send(());
            })
            .ok();
        Self {
            queue,
            dropped: Arc::default(),
            done,
            _thread: thread,
            look,
            countdown,
        }
    }

    /// What standard error can show.
    pub fn look(&self) -> Look {
        self.look
    }

    /// One line, `catrain: ` in front; more lines are indented by who wrote them.
    pub fn say(&self, line: &str) {
        self.send(Message::Line(format!("catrain: {line}")));
    }

    /// Lines as they are.
    pub fn print(&self, text: &str) {
        self.send(Message::Line(text.trim_end_matches('\n').to_owned()));
    }

    /// Shows or moves the countdown; `share` of it is over (0 to 1).
    pub fn countdown(&self, text: String, share: f64) {
        if self.countdown {
            self.send(Message::Countdown { text, share });
        }
    }

    /// Takes the countdown away, before the job writes; waits a moment for it, not longer.
    pub fn clear(&self) {
        if !self.countdown {
            return;
        }
        let (done, cleared) = sync_channel(1);
        self.send(Message::Clear(done));
        let _ = cleared.recv_timeout(Duration::from_millis(100));
    }

    /// Messages that were lost because nobody took them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is left, for at most `limit`.
    pub fn finish(self, limit: Duration) {
        self.send(Message::Finish);
        let _ = self.done.recv_timeout(limit);
    }

    fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(messages: &Receiver<Message>, look: Look) {
    let mut bar: Option<ProgressBar> = None;
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                let line = look.text(&line);
                match &bar {
                    Some(bar) => bar.suspend(|| write_line(&line)),
                    None => write_line(&line),
                }
            }
            Message::Countdown { text, share } => {
                let bar = bar.get_or_insert_with(|| new_bar(look));
                bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
                bar.set_message(look.text(&text));
                bar.tick();
            }
            Message::Clear(done) => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
                let _ = done.try_send(());
            }
            Message::Finish => break,
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn write_line(line: &str) {
    // Standard error is all there is to complain to; if it is gone, so is the reader.
    let _ = writeln!(stderr().lock(), "{line}");
}

fn new_bar(look: Look) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(2);
    let (characters, mark) = if look.unicode {
        ("━╸─", "⏸")
    } else {
        ("=>-", "||")
    };
    let style = ProgressStyle::with_template(&format!("{mark} {{bar:20}} {{msg}}"))
        .expect("a constant template")
        .progress_chars(characters);
    ProgressBar::with_draw_target(Some(1000), target).with_style(style)
}

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    stderr().is_terminal()
}
