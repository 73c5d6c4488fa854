//! What is done once a run exists, that is held or started: whoever launched it is told its id, and
//! the run that it continues which one that is.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use super::detach::Launched;
use crate::command::resume_run::Claim;
use crate::ledger::RunId;

/// Longest wait for the run's id.
const ID_PATIENCE: Duration = Duration::from_secs(10);

/// Tells them, once.
#[derive(Clone)]
pub(super) struct Existence(Rc<RefCell<Existing>>);

enum Existing {
    Not(Waiting),
    Told(Receiver<()>),
}

/// Who waits for it.
pub(super) struct Waiting {
    pub(super) launched: Option<Launched>,
    pub(super) claim: Option<Claim>,
    pub(super) state: Option<PathBuf>,
    pub(super) run: RunId,
}

impl Existence {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self(Rc::new(RefCell::new(Existing::Not(waiting))))
    }

    /// The run exists. Never waits: the id may, for the disk.
    pub(super) fn begins(&self) {
        if let Existing::Told(_) = &*self.0.borrow() {
            return;
        }
        let (done, told) = sync_channel(1);
        let Existing::Not(waiting) = self.0.replace(Existing::Told(told)) else {
            return;
        };
        if waiting.launched.is_none() && waiting.claim.is_none() {
            return;
        }
        let telling = move || {
            let run = waiting.run.within(ID_PATIENCE);
            if let Some(claim) = waiting.claim {
                claim.settle(&run);
            }
            if let Some(launched) = waiting.launched {
                launched.tell(waiting.state.as_deref(), &run);
            }
            drop(done);
        };
        // Without a thread nobody is told, and whoever waits sees that this process has ended.
        drop(
            std::thread::Builder::new()
                .name("existence".to_owned())
                .spawn(telling),
        );
    }

    /// Waits until they know, but not for long.
    pub(super) fn settle(&self, limit: Duration) {
        if let Existing::Told(told) = &*self.0.borrow() {
            let _ = told.recv_timeout(limit);
        }
    }
}
