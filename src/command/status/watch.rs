//! `catrain status --watch`: the same again and again, until Ctrl-C.
//!
//! On a terminal it is drawn in its place, once a second, without a screen of its own: what was last
//! shown stays when it ends. Elsewhere it is printed anew when something has changed, with `--json`
//! as one line.

use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde_json::Value;
use std::os::fd::AsFd;

use crate::cli::StatusArgs;
use crate::error::{Failure, Kind};
use crate::words::Look;

/// Between two looks, in milliseconds.
const EVERY_MS: u16 = 1000;
/// Members of a run that change while nothing happens.
const PASSING: [&str; 6] = [
    "now",
    "elapsed_s",
    "productive_s",
    "state_for_s",
    "spare_s",
    "saves_g",
];

/// The same of its job.
const WAITS: [&str; 3] = ["queued_s", "held_by_plan_s", "paused_s"];

pub(super) fn watch(
    args: &StatusArgs,
    look: Look,
    out: &mut dyn Write,
    now: &dyn Fn() -> Timestamp,
    zone: &TimeZone,
) -> Result<(), Failure> {
    let interrupt = interrupts().map_err(|error| Failure::new(Kind::Failed, error))?;
    let mut place = io::stdout().is_terminal().then(Place::default);
    let mut last: Option<String> = None;
    let mut queue = super::Queue::default();
    loop {
        let seen = super::seen(args, &mut queue, now())?;
        let text = match args.json {
            true => format!("{}\n", seen.document()),
            false => {
                let mut page = super::page(args, &seen, now(), zone);
                if let Some(trouble) = &seen.trouble {
                    page.push_str(&format!("note: {trouble}\n"));
                }
                look.text(&page)
            }
        };
        let written = match &mut place {
            Some(place) if !args.json => place.draw(&text, out),
            _ => {
                let essence = essence(&seen.runs);
                let is_new = last.as_ref() != Some(&essence);
                last = Some(essence);
                match is_new {
                    true => out.write_all(text.as_bytes()),
                    false => Ok(()),
                }
            }
        };
        match written.and_then(|()| out.flush()) {
            // Nobody looks any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => super::super::written(written)?,
        }
        if is_interrupted(&interrupt) {
            return Ok(());
        }
    }
}

/// Ctrl-C from now on, as something to wait for. There is no other thread yet that could get it.
fn interrupts() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.thread_block()?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Waits for the next look; whether Ctrl-C came first.
fn is_interrupted(interrupt: &SignalFd) -> bool {
    let mut waited = [PollFd::new(interrupt.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut waited, PollTimeout::from(EVERY_MS)), Ok(1..))
}

/// What there is to tell beside that time passes.
fn essence(runs: &[Value]) -> String {
    let mut runs = runs.to_vec();
    for run in &mut runs {
        if let Some(run) = run.as_object_mut() {
            for passing in PASSING {
                run.remove(passing);
            }
            if let Some(slurm) = run.get_mut("slurm").and_then(Value::as_object_mut) {
                WAITS
                    .iter()
                    .for_each(|passing| drop(slurm.remove(*passing)));
            }
        }
        if let Some(percent) = run["progress_percent"].as_f64() {
            run["progress_percent"] = percent.floor().into();
        }
    }
    Value::from(runs).to_string()
}

/// The lines on the terminal that are drawn again.
#[derive(Default)]
struct Place {
    lines: usize,
}

impl Place {
    /// Each line of the text takes one of the terminal: else the way back could not be counted.
    fn draw(&mut self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let (width, height) = match size {
            Some(size) if size.ws_col > 0 && size.ws_row > 1 => {
                (usize::from(size.ws_col), usize::from(size.ws_row))
            }
            _ => (80, 24),
        };
        out.write_all(self.drawn(text, width, height).as_bytes())
    }

    fn drawn(&mut self, text: &str, width: usize, height: usize) -> String {
        let all: Vec<&str> = text.lines().collect();
        let room = height.saturating_sub(1).max(1);
        let shown = match all.len() > room {
            true => room - 1,
            false => all.len(),
        };
        // Back to the first line, and clear what is below: ECMA-48, CPL and ED.
        let mut drawn = match self.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}F\x1b[J"),
        };
        for line in &all[..shown] {
            drawn.extend(line.chars().take(width));
            drawn.push('\n');
        }
        self.lines = shown;
        if shown < all.len() {
            let more = format!("and {} more", all.len() - shown);
            drawn.extend(more.chars().take(width));
            drawn.push('\n');
            self.lines += 1;
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_is_drawn_in_the_place_of_the_one_before() {
        let mut place = Place::default();
        assert_eq!(place.drawn("one\ntwo\n", 80, 24), "one\ntwo\n");
        assert_eq!(place.drawn("three\n", 80, 24), "\x1b[2F\x1b[Jthree\n");
        assert_eq!(place.drawn("four\n", 2, 24), "\x1b[1F\x1b[Jfo\n");
    }

    #[test]
    fn what_does_not_fit_the_terminal_is_counted() {
        let mut place = Place::default();
        assert_eq!(place.drawn("1\n2\n3\n4\n", 80, 4), "1\n2\nand 2 more\n");
        assert_eq!(place.drawn("1\n2\n3\n", 80, 4), "\x1b[3F\x1b[J1\n2\n3\n");
    }

    #[test]
    fn that_time_passes_is_no_news() {
        let run = |now: &str, state: &str, percent: f64| {
            let run =
                json!({ "id": "r7k2", "now": now, "state": state, "progress_percent": percent });
            essence(&[run])
        };
        assert_eq!(run("1", "running", 4.1), run("2", "running", 4.2));
        assert_ne!(run("1", "running", 4.1), run("1", "running", 5.0));
        assert_ne!(run("1", "running", 4.1), run("1", "paused", 4.1));
    }
}
