//! What is recorded of a run, told to the log: each decision and each act once, at its level.
//!
//! Runs on the deciding thread and does no more than to copy; see [`crate::log`].

use jiff::Timestamp;
use tracing::{debug, error, info, trace, warn};

use crate::clock::Moment;
use crate::error::Category;
use crate::ledger::entry::{Exit, What};
use crate::log::Log;
use crate::log::audit::{self, Outcome, Who};
use crate::supervise::machine::Phase;
use crate::supervise::{View, Watcher};
use crate::words;

/// Tells the log.
pub(super) struct Journal {
    log: Log,
    /// Somebody has asked the job to end: that it does is no failure.
    is_to_end: bool,
}

impl Journal {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            is_to_end: false,
        }
    }

    /// Whether the terminal is the job's now.
    fn give_way(&self, phase: Phase) {
        let is_still = matches!(phase, Phase::Paused { .. } | Phase::Ended(_));
        self.log.job_writes(!phase.has_no_job() && !is_still);
    }

    fn ended(&self, exit: Option<Exit>, why: Option<&str>) {
        let (code, signal) = match exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(words::signal(signal))),
            None => (None, None),
        };
        let is_failure = match exit {
            Some(Exit::Code(0)) => false,
            Some(_) => !self.is_to_end,
            // It never started: because somebody said so, or because it could not.
            None => !self.is_to_end && why.is_some(),
        };
        match is_failure {
            true => {
                let category = Category::Job.as_str();
                error!(category, code, signal, why, "the job has failed");
            }
            false => info!(code, signal, why, "the run is over"),
        }
    }
}

impl Watcher for Journal {
    fn recorded(&mut self, _: Moment, what: &What, run: &View<'_>) {
        self.is_to_end |= what.asks_to_end();
        match what {
            What::Decision {
                act,
                until,
                reason,
                intensity_g_per_kwh,
                saves_g,
            } => info!(
                act = word(act),
                until = until.as_ref().map(Timestamp::to_string),
                reason,
                g_per_kwh = intensity_g_per_kwh.map(|it| it.0),
                saves_g = saves_g.map(|it| it.0),
                "decided"
            ),
            What::Intent { action } => {
                debug!(action = word(action), "about to act");
            }
            What::Confirmed {
                action,
                processes,
                took_us,
                pid,
            } => info!(action = word(action), processes, took_us, pid, "acted"),
            What::Refused { action, why } => warn!(action = word(action), why, "not acted"),
            What::Saved {
                proof: Some(proof),
                took_us,
            } => info!(proof, took_us, "the job has saved its state"),
            What::Saved {
                proof: None,
                took_us,
            } => warn!(took_us, "nothing proves that the job has saved its state"),
            What::Left { attempt, exit, why } => {
                warn!(attempt, exit = ?exit, why, "the job has left")
            }
            What::Signal {
                name,
                from,
                relayed,
            } => {
                info!(name, from, relayed, "a signal came");
            }
            What::Operator { word, from } => {
                info!(word, from, "an operator has spoken");
                // Whoever comes by the socket is noted there, with what came of it.
                if from == "terminal" {
                    audit::note(word, None, &Who::starter(), Outcome::Done);
                }
            }
            What::Configuration {
                digest,
                changed,
                new_runs,
            } => {
                let (changed, new_runs) = (changed.join(","), new_runs.join(","));
                info!(
                    digest,
                    changed, new_runs, "another configuration is in force"
                );
                let (of, owner) = (digest.as_deref(), Who::owner());
                audit::note("configuration", of, &owner, Outcome::Done);
            }
            What::Requeued { begin, why } => info!(
                begin = begin.as_ref().map(Timestamp::to_string),
                why, "the job was put back into the queue"
            ),
            What::Warning { text } => warn!("{text}"),
            What::Gap { lost, summed } => {
                let category = Category::Disk.as_str();
                error!(
                    category,
                    lost, summed, "the disk took no record for a while"
                );
            }
            What::End { exit, why, .. } => self.ended(*exit, why.as_deref()),
            What::Segment(segment) => debug!(
                part = word(&segment.part),
                from_s = segment.from_s,
                to_s = segment.to_s,
                joules = segment.energy.iter().map(|it| it.joules.0).sum::<f64>(),
                "metered"
            ),
            What::Meters { meters } => {
                for meter in meters {
                    let (component, name) = (&meter.component, &meter.name);
                    let method = word(&meter.method);
                    debug!(
                        component,
                        name,
                        method,
                        trouble = meter.trouble,
                        "there is a meter"
                    );
                }
            }
            What::Intensity { source, points, .. } => {
                trace!(source, points = points.len(), "intensities noted");
            }
            // Written by others than the driver, or by others than us.
            What::Begin(_) | What::TakenUp { .. } | What::Settlement { .. } | What::Unknown => {}
        }
        self.give_way(run.machine.phase());
    }

    fn seen(&mut self, _: Moment, run: &View<'_>) {
        self.give_way(run.machine.phase());
    }
}

/// As it stands in the record.
fn word(of: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(of).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
