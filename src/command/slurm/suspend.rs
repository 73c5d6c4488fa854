//! Suspending running jobs by plan, where Slurm lets this user: an operator's part of `watch`.
//!
//! A job is suspended only by a `watch` that goes on, which resumes it when it ends; one that looks once
//! resumes what it finds suspended, since nobody would be there to do it later. What is to be done is written
//! down before it is, so that the next one finds what this one has left. Whoever resumes a job, or suspends it,
//! by hand has the last word.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::watch::{Round, Work};
use crate::plan::{Act, Decision};
use crate::slurm::job::Job;
use crate::slurm::record::Submitted;
use crate::slurm::tools::set_suspended;

/// What a started job is to do; none: nobody could be asked.
pub(super) type PlanGoing<'a> =
    dyn FnMut(&Submitted, &Job, Timestamp) -> Result<Option<Decision>, String> + 'a;

impl Work<'_> {
    /// Suspends or resumes one job that was submitted to be.
    pub(super) fn suspend_or_resume(
        &self,
        submitted: &mut Submitted,
        plan: &mut PlanGoing<'_>,
        round: &mut Round,
    ) {
        let number = submitted.job;
        let job = self
            .jobs
            .iter()
            .find(|job| job.number == number && job.id.task.is_none());
        let now = (self.clock)();
        let is_ours = submitted.watch.suspended_since.is_some();
        match job.map(|job| (job, job.state.as_str())) {
            Some((job, "SUSPENDED")) if is_ours => {
                let why = match self.stays {
                    false => Some("nobody stays to resume it later".to_owned()),
                    true => match plan(submitted, job, now) {
                        Ok(Some(decision)) if decision.act == Act::Pause => {
                            round.look_again(decision.until);
                            None
                        }
                        Ok(Some(decision)) => Some(decision.reason.words(
                            decision.until,
                            now,
                            &TimeZone::system(),
                        )),
                        // The job outranks the planner.
                        Ok(None) => Some("no intensity is known".to_owned()),
                        Err(why) => Some(why),
                    },
                };
                if let Some(why) = why {
                    self.resume(submitted, &why, round);
                }
            }
            Some((_, "RUNNING")) if is_ours => {
                submitted.watch.resumed(now);
                submitted.watch.left_alone_since = Some(now);
                self.talk.say(&format!(
                    "job {number} was resumed by hand, and is left alone"
                ));
                self.keep(submitted, round);
            }
            Some((job, "RUNNING")) => {
                if !self.stays || submitted.watch.left_alone_since.is_some() {
                    return;
                }
                match plan(submitted, job, now) {
                    Ok(Some(decision)) if decision.act == Act::Pause => {
                        self.suspend(submitted, &decision, round);
                    }
                    Ok(Some(decision)) => round.look_again(decision.until),
                    Ok(None) => {}
                    Err(why) => round.troubles.push(format!("job {number} runs on: {why}")),
                }
            }
            _ if is_ours => {
                submitted.watch.resumed(now);
                self.keep(submitted, round);
            }
            _ => {}
        }
    }

    fn suspend(&self, submitted: &mut Submitted, decision: &Decision, round: &mut Round) {
        let (job, now) = (submitted.job, (self.clock)());
        submitted.watch.suspended_since = Some(now);
        // What is not written down nobody would resume.
        if let Err(error) = submitted.write(self.state) {
            round.troubles.push(format!(
                "job {job} runs on: its record cannot be written: {error}"
            ));
            return;
        }
        if let Err(error) = set_suspended(self.tools, job, true) {
            submitted.watch.suspended_since = None;
            self.keep(submitted, round);
            round.troubles.push(format!("job {job} runs on: {error}"));
            return;
        }
        let why = decision
            .reason
            .words(decision.until, now, &TimeZone::system());
        self.talk.say(&format!("job {job} is suspended: {why}"));
        round.suspended.push(job);
        round.look_again(decision.until);
    }

    /// Lets a job go on that was suspended here.
    pub(super) fn resume(&self, submitted: &mut Submitted, why: &str, round: &mut Round) {
        let job = submitted.job;
        if let Err(error) = set_suspended(self.tools, job, false) {
            round
                .troubles
                .push(format!("job {job} stays suspended: {error}"));
            return;
        }
        submitted.watch.resumed((self.clock)());
        self.talk.say(&format!("job {job} is resumed: {why}"));
        round.resumed.push(job);
        self.keep(submitted, round);
    }
}
