//! What `catrain` says to the person: lines and a countdown on standard error.
//!
//! A thread of its own does the writing, behind a bounded queue: a terminal that takes no output
//! (Ctrl-S, a full pipe) loses messages, which are counted, and delays nothing. Never sets
//! `O_NONBLOCK`: the descriptor is the job's as well.

mod countdown;

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::report::text::harmless;
use crate::words::Look;

/// Messages that may wait to be written.
const QUEUE: usize = 256;
/// In fewer columns nothing is gained by breaking lines: the terminal does that by itself.
const NARROW: usize = 40;

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
    Countdown {
        text: String,
        share: f64,
    },
    /// The person ended a line, so the cursor stands below the countdown.
    LineTyped,
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

    /// One line, `catrain: ` in front; more lines are indented by who wrote them. What a terminal
    /// would obey is shown as an escape: lines quote files, names and arguments of others.
    pub fn say(&self, line: &str) {
        let lines: Vec<String> = line.lines().map(harmless).collect();
        self.send(Message::Line(format!("catrain: {}", lines.join("\n"))));
    }

    /// Lines as they are.
    pub fn print(&self, text: &str) {
        self.send(Message::Line(text.trim_end_matches('\n').to_owned()));
    }

    /// Says lines as they are, from another thread; `false` once nobody takes them any more.
    pub fn voice(&self) -> impl Fn(&str) -> bool + Send + 'static {
        let (queue, dropped) = (self.queue.clone(), self.dropped.clone());
        move |text| {
            let line = Message::Line(text.trim_end_matches('\n').to_owned());
            match queue.try_send(line) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        }
    }

    /// Shows or moves the countdown; `share` of it is over (0 to 1).
    pub fn countdown(&self, text: String, share: f64) {
        if self.countdown {
            self.send(Message::Countdown { text, share });
        }
    }

    /// To be called whenever a line was typed that the terminal has shown.
    pub fn on_line_typed(&self) -> impl Fn() + Send + 'static {
        let queue = self.queue.clone();
        move || drop(queue.try_send(Message::LineTyped))
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
    let on_terminal = stderr_is_terminal();
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                let line = look.text(&line);
                let line = if on_terminal {
                    wrapped(&line, look.width)
                } else {
                    line
                };
                match &bar {
                    Some(bar) => bar.suspend(|| write_line(&line)),
                    None => write_line(&line),
                }
            }
            Message::Countdown { .. } if is_in_background() => {
                // Somebody else's prompt is there now: not even to be cleared away.
                if let Some(bar) = bar.take() {
                    bar.set_draw_target(ProgressDrawTarget::hidden());
                }
            }
            Message::Countdown { text, share } => {
                let bar = bar.get_or_insert_with(|| countdown::new(look));
                bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
                bar.set_message(look.text(&text));
                bar.tick();
            }
            Message::LineTyped => {
                if bar.is_some() {
                    // Back up to it, or a copy of it would stay.
                    let _ = stderr().lock().write_all(b"\x1b[1A");
                }
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

/// Whether standard error is the terminal that controls us and somebody else is in the foreground.
fn is_in_background() -> bool {
    nix::unistd::tcgetpgrp(stderr()).is_ok_and(|group| group != nix::unistd::getpgrp())
}

/// Breaks lines that are longer than the terminal is wide: between two statements where that
/// leaves no short stump, else between words. What follows is indented. A scroll of a file is the
/// reader's affair, so this is for terminals only.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    if width < NARROW {
        return text.to_owned();
    }
    let indent = "         ";
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line.to_owned();
        while rest.chars().count() > width {
            let fitting = rest
                .char_indices()
                .nth(width)
                .map_or(rest.len(), |(at, _)| at);
            let least = fitting / 2;
            // Best after `;` or at the gap between two hints, then after a colon or a comma.
            let last = |marks: &[&str]| {
                let found = marks.iter().filter_map(|mark| {
                    let ends = rest
                        .match_indices(mark)
                        .map(|(at, _)| at + mark.trim_end().len());
                    ends.filter(|at| (least..=fitting).contains(at)).last()
                });
                found.max()
            };
            let Some(at) = last(&["; ", "    "])
                .or_else(|| last(&[": ", ", "]))
                .or_else(|| last(&[" "]))
            else {
                break;
            };
            let tail = rest[at..].trim_start().to_owned();
            lines.push(rest[..at].trim_end().to_owned());
            rest = format!("{indent}{tail}");
        }
        lines.push(rest);
    }
    lines.join("\n")
}

fn write_line(line: &str) {
    // Standard error is all there is to complain to; if it is gone, so is the reader.
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_breaks_between_statements_and_else_between_words() {
        let text = "catrain: held until 21:42; done about Thu 05:43; 355 g/kWh instead of 394, \
                    −10 % against starting now";
        assert_eq!(
            wrapped(text, 80),
            "catrain: held until 21:42; done about Thu 05:43;\n         \
             355 g/kWh instead of 394, −10 % against starting now"
        );
        let text = "catrain: start now: Enter, or catrain resume q2d9    never wait: \
                    --max-delay 0    why: catrain status q2d9";
        assert_eq!(
            wrapped(text, 80),
            "catrain: start now: Enter, or catrain resume q2d9    never wait: --max-delay 0\n         \
             why: catrain status q2d9"
        );
        let text = "catrain: the quick brown fox jumps over the lazy dog";
        assert_eq!(
            wrapped(text, 40),
            "catrain: the quick brown fox jumps over\n         the lazy dog"
        );
    }

    #[test]
    fn what_fits_or_cannot_be_broken_stays_as_it_is() {
        assert_eq!(
            wrapped("  energy  1 Wh\n  more", 40),
            "  energy  1 Wh\n  more"
        );
        let path = "x".repeat(100);
        assert_eq!(wrapped(&path, 80), path);
        assert_eq!(wrapped(&path, 0), path);
    }
}
