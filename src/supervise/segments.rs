//! The run cut into stretches of one part and cause each, without gap or overlap.
//!
//! Stretches tile on `elapsed`. Two things cut one that no phase knows of: a host that slept (a
//! stretch [`Part::Suspended`] of its own), and a wall clock that was set (a stretch never reaches
//! over the jump, so that its UTC times are as long as it is).

use std::time::Duration;

use jiff::SignedDuration;

use super::event::Stretch;
use crate::clock::Moment;
use crate::ledger::entry::{Cause, Part};

/// A difference between the boot-time and monotonic clocks that counts as host suspend. Less of it
/// comes from reading them one after the other.
const SUSPEND_AT_LEAST: Duration = Duration::from_secs(2);
/// A difference between the wall clock and `elapsed` that counts as a jump. Less of it is a time
/// server at work.
const JUMP_AT_LEAST: SignedDuration = SignedDuration::from_secs(1);

/// The stretch that is open, and what came of those that are closed.
#[derive(Debug)]
pub(super) struct Segments {
    /// Where the open stretch began.
    start: Moment,
    part: Part,
    causes: Vec<Cause>,
    /// The newest moment that is known of.
    last: Moment,
    /// Running time in closed stretches.
    productive: Duration,
    /// Closed ones that nobody took yet.
    closed: Vec<Stretch>,
}

impl Segments {
    /// The first stretch begins at `now`.
    pub(super) fn new(now: Moment, part: Part) -> Self {
        Self {
            start: now,
            part,
            causes: Vec::new(),
            last: now,
            productive: Duration::ZERO,
            closed: Vec::new(),
        }
    }

    /// The first stretch here of a run that has begun elsewhere, and ran for so long there.
    pub(super) fn going_on(self, productive: Duration) -> Self {
        Self { productive, ..self }
    }

    /// What the open stretch is spent on.
    pub(super) fn open(&self) -> (Part, &[Cause]) {
        (self.part, &self.causes)
    }

    /// Real time at which the open stretch began.
    pub(super) fn began(&self) -> Duration {
        self.start.monotonic
    }

    /// Running time so far.
    pub(super) fn productive(&self, now: Moment) -> Duration {
        let open = match self.part {
            Part::Running => now.elapsed.saturating_sub(self.start.elapsed),
            _ => Duration::ZERO,
        };
        self.productive + open
    }

    /// Notices what the clocks did since the last moment. To be called first at every moment.
    pub(super) fn advance(&mut self, now: Moment) {
        let (before, passed) = (self.last, now.elapsed.saturating_sub(self.last.elapsed));
        self.last = now;
        let slept = now.suspended.saturating_sub(before.suspended).min(passed);
        let mut since = before;
        if slept >= SUSPEND_AT_LEAST {
            since = Moment {
                utc: before.utc.saturating_add(slept).unwrap_or(before.utc),
                elapsed: before.elapsed + slept,
                monotonic: before.monotonic,
                suspended: now.suspended,
            };
            self.split(before);
            self.closed.push(Stretch {
                part: Part::Suspended,
                causes: Vec::new(),
                from: before,
                to: since,
            });
            self.start = since;
        }
        let jump = jump(before, now);
        if jump.abs() >= JUMP_AT_LEAST {
            self.split(since);
            self.start.utc = self.start.utc.saturating_add(jump).unwrap_or(now.utc);
        }
    }

    /// From `now` on it is spent on this; cuts where that is a change.
    pub(super) fn turn(&mut self, now: Moment, part: Part, causes: Vec<Cause>) {
        if part != self.part || causes != self.causes {
            self.split(now);
            (self.part, self.causes) = (part, causes);
        }
    }

    /// Cuts here. One without length is none.
    pub(super) fn split(&mut self, now: Moment) {
        let Some(length) = now.elapsed.checked_sub(self.start.elapsed) else {
            return;
        };
        if length.is_zero() {
            return;
        }
        if self.part == Part::Running {
            self.productive += length;
        }
        let from = std::mem::replace(&mut self.start, now);
        self.closed.push(Stretch {
            part: self.part,
            causes: self.causes.clone(),
            from,
            to: now,
        });
    }

    /// The stretches closed since this was last called.
    pub(super) fn take(&mut self) -> Vec<Stretch> {
        std::mem::take(&mut self.closed)
    }
}

/// By how much the wall clock was set between two moments: forward is positive.
pub(super) fn jump(from: Moment, to: Moment) -> SignedDuration {
    let passed = SignedDuration::try_from(to.elapsed.saturating_sub(from.elapsed))
        .unwrap_or(SignedDuration::MAX);
    to.utc.duration_since(from.utc).saturating_sub(passed)
}
