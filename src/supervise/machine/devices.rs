//! Who else uses the devices: before a start that comes late, others are waited for.
//!
//! A job that waited for a clean hour may find that its GPUs were taken meanwhile. It waits for them
//! as long as there is time, then it starts anyway.

use std::time::Duration;

use super::{Effect, Holds, Machine, News, Phase};
use crate::clock::Moment;
use crate::plan::{Decision, Reason};

/// An answer is waited for so long.
const ANSWER: Duration = Duration::from_secs(3);
/// Devices that are taken are looked at again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// Free devices are taken for free for so long.
const FRESH: Duration = Duration::from_secs(30);

/// What is known of the devices. Times are `monotonic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Devices {
    #[default]
    Unknown,
    /// Somebody looks; without an answer by then they count as free.
    Asked { give_up: Duration },
    /// Nobody else used them then.
    Free { at: Duration },
    /// Others use them.
    Taken { again: Duration },
}

impl Devices {
    /// When there is something to do about them.
    pub(super) fn look_at(self) -> Option<Duration> {
        match self {
            Self::Asked { give_up: at } | Self::Taken { again: at } => Some(at),
            Self::Unknown | Self::Free { .. } => None,
        }
    }
}

impl Machine {
    /// Whether the job may be started now: nobody holds it, and, after a wait, nobody else is at its
    /// devices for whom there is time to wait.
    pub(super) fn may_start(
        &mut self,
        now: Moment,
        has_waited: bool,
        decision: &Decision,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let others = Holds {
            devices: false,
            ..self.holds
        };
        if !others.is_empty() {
            self.devices = Devices::Unknown;
            self.holds.devices = false;
            return false;
        }
        let looks = self.settings.looks_at_devices && has_waited;
        let go = !looks || self.is_overruled(now) || must_run(decision) || self.look(now, effects);
        if go {
            self.devices = Devices::Unknown;
        }
        self.holds.devices = !go;
        go
    }

    /// Looks, or waits for who looks; whether the devices are free.
    fn look(&mut self, now: Moment, effects: &mut Vec<Effect>) -> bool {
        match self.devices {
            Devices::Free { at } if now.monotonic <= at + FRESH => true,
            Devices::Asked { give_up } => now.monotonic >= give_up,
            Devices::Taken { again } if now.monotonic < again => false,
            Devices::Free { .. } | Devices::Taken { .. } | Devices::Unknown => {
                self.devices = Devices::Asked {
                    give_up: now.monotonic + ANSWER,
                };
                effects.push(Effect::LookAtDevices);
                false
            }
        }
    }

    /// Somebody has looked.
    pub(super) fn devices_are(
        &mut self,
        now: Moment,
        taken: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let Devices::Asked { .. } = self.devices else {
            return;
        };
        let waits = matches!(self.phase, Phase::Holding | Phase::Released { .. });
        if !waits {
            self.devices = Devices::Unknown;
            return;
        }
        match taken {
            None => {
                self.told_of_devices = false;
                self.devices = Devices::Free { at: now.monotonic };
            }
            Some(who) => {
                self.devices = Devices::Taken {
                    again: now.monotonic + AGAIN,
                };
                if !std::mem::replace(&mut self.told_of_devices, true) {
                    let text =
                        format!("{who}; waits for them while there is time, then starts anyway");
                    effects.push(Effect::Tell(News::Note(text)));
                }
            }
        }
        self.steer(now, effects);
    }
}

/// Whether the job must run whoever else is there.
fn must_run(decision: &Decision) -> bool {
    !matches!(
        decision.reason,
        Reason::Clean { .. }
            | Reason::BelowThreshold { .. }
            | Reason::WithinBudget { .. }
            | Reason::OverBudget { .. }
            | Reason::MinPause
            | Reason::NotWorthIt { .. }
    )
}
