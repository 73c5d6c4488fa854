//! The job in a cluster: several nodes that stop and go on together, and nodes that are given back while it
//! waits.

use std::time::Duration;

use jiff::SignedDuration;

use super::{AFTER_REFUSAL, Effect, Holds, Machine, News, Phase, warn};
use crate::clock::Moment;
use crate::ledger::entry::What;
use crate::plan::{Act, Decision};

/// Longest wait for what the cluster says: whoever asks it gives up before.
const ANSWER: Duration = Duration::from_mins(1);

impl Machine {
    /// The node that leads says whether the job is to run.
    pub(super) fn led(&mut self, now: Moment, held: bool, effects: &mut Vec<Effect>) {
        self.holds.leader = held;
        self.hearing = None;
        self.steer(now, effects);
    }

    /// The nodes do not stand still together any more: this one runs on. On one that follows that is for the
    /// node that leads to say again.
    pub(super) fn apart(&mut self, now: Moment, why: &str, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Ended(_) => {}
            Phase::Paused { .. } | Phase::Pausing { .. } => {
                warn(&format!("{why}; all of the job runs on"), effects);
                self.no_pause_before = now.elapsed + AFTER_REFUSAL;
                self.resume(now, effects);
            }
            _ => warn(why, effects),
        }
    }

    /// A wait that is long enough is spent without nodes. Only the plan's: nobody knows how long others wait.
    pub(super) fn give_back(
        &mut self,
        now: Moment,
        decision: &Decision,
        effects: &mut Vec<Effect>,
    ) {
        let only_plan = Holds {
            carbon: false,
            ..self.holds
        };
        let may = self.settings.pausing.gives_back.is_some()
            && self.holds.carbon
            && only_plan.is_empty()
            && decision.act == Act::Pause
            && self.giving_back.is_none()
            && now.elapsed >= self.no_giving_before;
        let Some(until) = decision.until.filter(|_| may) else {
            return;
        };
        let least = self
            .settings
            .switching
            .min_pause
            .max(Duration::from_secs(1));
        let least = SignedDuration::try_from(least).unwrap_or(SignedDuration::MAX);
        if until.duration_since(now.utc) >= least {
            self.giving_back = Some((until, now.monotonic + ANSWER));
            effects.push(Effect::GiveBack(until));
        }
    }

    /// The cluster has taken the job back: the run goes on when it is started again. Or it has not: then it
    /// waits here, as a job that was only to leave.
    pub(super) fn given_back(
        &mut self,
        now: Moment,
        outcome: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((begin, _)) = self.giving_back.take() else {
            return;
        };
        if let Phase::Ended(_) = self.phase {
            return;
        }
        match outcome {
            Ok(()) => {
                let reason = self.decision().map(|decision| {
                    let utc = jiff::tz::TimeZone::UTC;
                    decision.reason.words(decision.until, now.utc, &utc)
                });
                self.was_given_back = true;
                self.segments.split(now);
                self.give_segments(effects);
                effects.push(Effect::Record(What::Requeued {
                    begin: Some(begin),
                    why: reason.unwrap_or_default(),
                }));
                effects.push(Effect::Tell(News::GivenBack(begin)));
                self.phase = Phase::Ended(None);
                effects.push(Effect::Finish);
            }
            Err(why) => {
                self.no_giving_before = now.elapsed + AFTER_REFUSAL;
                let text = format!("the job keeps its nodes while it waits: {why}");
                warn(&text, effects);
                for event in std::mem::take(&mut self.put_off) {
                    self.answer(now, event, effects);
                }
                self.steer(now, effects);
            }
        }
    }
}
