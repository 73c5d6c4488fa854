//! A run as a systemd service of `Type=notify`: up once it is under control, held or started, so that
//! a hold of hours is no start that failed; alive as long as the deciding thread comes by.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock::{self, Moment};
use crate::ledger::entry::What;
use crate::supervise::machine::Phase;
use crate::supervise::{View, Watcher};
use crate::systemd::{Manager, Word};
use crate::talk::Talk;

/// Between two signs of life the end of a run may take so long.
const SHORTEST_WATCHDOG: Duration = Duration::from_mins(1);

/// Tells the service manager.
pub(super) struct Service {
    manager: Manager,
    is_up: bool,
    is_reloading: bool,
    is_ending: bool,
    said: String,
    /// `monotonic` of the last sign of life.
    lived: Option<Duration>,
}

impl Service {
    /// Whoever has started us as a service. That it cannot be told costs nothing but that.
    pub(super) fn of_environment(talk: &Talk) -> Option<Self> {
        let env = |name: &str| std::env::var_os(name);
        let manager = match Manager::of_environment(&env, std::process::id()) {
            Ok(manager) => manager?,
            Err(error) => {
                let text = format!("warning: the service manager is not told: {error}");
                talk.say(&text);
                return None;
            }
        };
        if let Some(limit) = manager
            .watchdog()
            .filter(|limit| *limit < SHORTEST_WATCHDOG)
        {
            talk.say(&format!(
                "warning: a run may take longer to end than its WatchdogSec of {} s; 3min is enough",
                limit.as_secs_f64()
            ));
        }
        Some(Self {
            manager,
            is_up: false,
            is_reloading: false,
            is_ending: false,
            said: String::new(),
            lived: None,
        })
    }

    /// Says how the run stands, once a change.
    fn say(&mut self, now: Moment, run: &View<'_>) {
        let status = status(now, run);
        if status != self.said && self.manager.tell(&[Word::Status(&status)]) {
            self.said = status;
        }
    }

    /// A third: half the time is what sd_watchdog_enabled(3) asks for at least.
    fn live(&mut self, now: Moment) {
        let Some(limit) = self.manager.watchdog() else {
            return;
        };
        let is_due = (self.lived).is_none_or(|at| now.monotonic.saturating_sub(at) >= limit / 3);
        if is_due && self.manager.tell(&[Word::Alive]) {
            self.lived = Some(now.monotonic);
        }
    }
}

impl Watcher for Service {
    fn recorded(&mut self, now: Moment, what: &What, run: &View<'_>) {
        match what {
            What::Operator { word, .. } if word == "reload" => {
                let since = clock::monotonic();
                self.is_reloading = self.manager.tell(&[Word::Reloading(since)]);
            }
            What::End { .. } => {
                self.say(now, run);
                self.is_ending = true;
                self.manager.tell(&[Word::Stopping, Word::Alive]);
            }
            _ => {}
        }
    }

    fn seen(&mut self, now: Moment, run: &View<'_>) {
        // A reload never stops the supervision: it counts as over when the run comes by again.
        if (!self.is_up || self.is_reloading) && self.manager.tell(&[Word::Ready]) {
            self.is_up = true;
            self.is_reloading = false;
        }
        let ends = matches!(
            run.machine.phase(),
            Phase::Stopping { .. } | Phase::Lingering { .. } | Phase::Ended(_)
        );
        if ends && !self.is_ending {
            self.is_ending = self.manager.tell(&[Word::Stopping]);
        }
        self.say(now, run);
        self.live(now);
    }
}

/// Where the run stands, with the reason of a wait.
fn status(now: Moment, run: &View<'_>) -> String {
    let machine = run.machine;
    let decision = machine.decision();
    let waits = |how: &str| match decision {
        _ if machine.holds().operator => format!("{how} by hand"),
        Some(decision) => {
            let until = decision
                .until
                .map_or(String::new(), |at| format!(" until {at:.0}"));
            let reason = decision
                .reason
                .words(decision.until, now.utc, &TimeZone::UTC);
            format!("{how}{until}: {reason}")
        }
        None => how.to_owned(),
    };
    match machine.phase() {
        Phase::Holding => waits("held"),
        Phase::Starting => "starting".to_owned(),
        Phase::Running { .. } | Phase::Pausing { .. } | Phase::Resuming { .. } => match run.pid {
            Some(pid) => format!("running, the job is pid {pid}"),
            None => "running".to_owned(),
        },
        Phase::Checkpointing { .. } | Phase::Proving { .. } | Phase::Leaving { .. } => {
            "saving".to_owned()
        }
        Phase::Paused { .. } => waits("paused"),
        Phase::Released { .. } => waits("released"),
        Phase::Backoff { .. } => "failed, and tried again soon".to_owned(),
        Phase::Stopping { .. } | Phase::Lingering { .. } => "ending".to_owned(),
        Phase::Ended(_) => "over".to_owned(),
    }
}
