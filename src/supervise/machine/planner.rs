//! What decides: the intensity ahead, by what is known of it, and what to do by that.

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;

use crate::forecast::ahead::ahead;
use crate::forecast::{Knowledge, Outlook};
use crate::plan::{Decision, Policy, Situation, decide};

/// How far the outlook looks, in hours: the horizon of the planning rules.
pub const HORIZON_HOURS: usize = 168;

/// What decides. Simulation and tests put another in place of one half or the other.
pub trait Planner: Debug + Send + Sync {
    /// The intensity ahead at `now`, by what was known then. None where nothing was.
    fn outlook(&self, now: Timestamp, known: &Knowledge) -> Option<Arc<Outlook>> {
        ahead(now, known, HORIZON_HOURS).map(Arc::new)
    }

    /// What to do at `now`.
    fn decide(&self, now: Timestamp, policy: &Policy, situation: &Situation<'_>) -> Decision {
        decide(now, policy, situation)
    }
}

/// What decides in a run: [`ahead`] and [`decide`].
#[derive(Clone, Copy, Debug)]
pub struct AsShipped;

impl Planner for AsShipped {}
