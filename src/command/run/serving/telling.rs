//! What the deciding thread sees, told to the board: a copy of plain data, and never a wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::paper::Trouble;
use crate::clock::{Moment, monotonic};
use crate::ledger::entry::What;
use crate::serve::tally::Tally;
use crate::serve::{Board, Latest};
use crate::supervise::snapshot::Snapshot;
use crate::supervise::{Describe, View, Watcher};

/// How often it is told how the run stands; the deciding thread wakes up once a second.
const TELL: Duration = Duration::from_millis(900);

/// What the deciding thread sees, told to the board.
pub(super) struct Telling {
    pub(super) board: Arc<Board>,
    /// Where entries are added up; none: nobody does.
    pub(super) entries: Option<mpsc::Sender<What>>,
    /// Makes the answer to `/status`, where anybody may ask for it there.
    pub(super) describe: Option<Describe>,
    pub(super) trouble: Trouble,
    /// When it was last told, and in which phase the run was.
    pub(super) told: Option<(Duration, &'static str)>,
}

impl Telling {
    fn tell(&mut self, now: Moment, run: &View<'_>) {
        let status = self.describe.as_ref().map(|describe| {
            let mut answer = describe(run, now);
            answer["ok"] = true.into();
            answer.to_string().into()
        });
        let latest = Latest {
            snapshot: Snapshot::of(run.machine, *run.lateness, now),
            status,
            ledger_trouble: self.trouble.borrow().clone(),
            at: monotonic(),
        };
        if self.board.tell(latest) {
            self.told = Some((now.monotonic, run.machine.phase().word()));
        }
    }
}

impl Watcher for Telling {
    fn recorded(&mut self, now: Moment, what: &What, run: &View<'_>) {
        if Tally::counts(what)
            && let Some(entries) = &self.entries
            && entries.try_send(what.clone()).is_err()
        {
            self.board.miss();
        }
        if let What::End { .. } = what {
            self.tell(now, run);
        }
    }

    fn seen(&mut self, now: Moment, run: &View<'_>) {
        let phase = run.machine.phase().word();
        let is_told = self
            .told
            .is_some_and(|(at, told)| told == phase && now.monotonic.saturating_sub(at) < TELL);
        if !is_told {
            self.tell(now, run);
        }
    }
}
