//! The countdown: one line at the bottom of the terminal, redrawn in place.

use std::io;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::words::Look;

/// A countdown on standard error; where that is no terminal, none is drawn.
pub(super) fn new(look: Look) -> ProgressBar {
    let stderr = Term::buffered_stderr();
    let target = match stderr.is_term() {
        true => ProgressDrawTarget::term_like_with_hz(Box::new(HomeAfterEach(stderr)), 2),
        false => ProgressDrawTarget::hidden(),
    };
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

/// A terminal on which the cursor goes back to the start of the line with each drawing, in the
/// same write. The line is filled to its end: the `^C` that a key leaves there would go to the next
/// one, and the countdown could not be cleared any more.
#[derive(Debug)]
struct HomeAfterEach(Term);

impl TermLike for HomeAfterEach {
    fn width(&self) -> u16 {
        self.0.width()
    }

    fn height(&self) -> u16 {
        self.0.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.0.write_line(s)
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.0.write_str(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
    }
}
