//! `catrain slurm watch`: plans jobs anew that wait for their begin time, and moves it.
//!
//! One question to Slurm for all jobs and one to the sources for each zone; then one command for each job that
//! is moved. Nothing depends on it: without it jobs begin as they were planned. What cannot be asked changes
//! nothing. One at a time: a lock in the state directory, tried and not waited for.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use tracing::debug;

use super::{Talk, anchored, not_asked, whole};
use crate::cli::{RunArgs, WatchArgs};
use crate::clock::{monotonic, utc_now};
use crate::command::configured::Configured;
use crate::command::run::submitted::{Outset, outset};
use crate::command::{no_state, print};
use crate::dirs;
use crate::error::{Failure, Kind};
use crate::executor::Inherited;
use crate::executor::signals::Signals;
use crate::forecast::{Kind as Of, Outlook};
use crate::patience::{Output, rest};
use crate::plan::Decision;
use crate::slurm::job::Job;
use crate::slurm::pending::{Standing, Why, standing};
use crate::slurm::record::{self, Submitted};
use crate::slurm::timing::{Going, Queued, Timing, going, is_worth_moving, timing, usual_wait};
use crate::slurm::tools::{ToolError, Tools, cluster_name, queue, set_begin};
use crate::supervise::machine::PauseWith;
use crate::words;

/// Shortest time between two looks.
const LEAST_REST: Duration = Duration::from_secs(1);

/// `catrain slurm watch`.
///
/// # Errors
/// There is no state directory, or, with `--once`, something could not be asked or moved.
pub(super) fn watch(
    args: &WatchArgs,
    inherited: &Inherited,
    tools: &dyn Tools,
    talk: Talk,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let state = dirs::state().ok_or_else(no_state)?;
    let own = state.join("slurm");
    let lock = dirs::secure(&own).and_then(|()| dirs::try_lock(&own.join("watch.lock")));
    let lock = lock.map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("cannot lock {}", own.display()));
        Failure::new(Kind::Failed, what).hint("nothing was changed")
    })?;
    // Until the end of this function.
    let Some(_lock) = lock else {
        talk.say("another `catrain slurm watch` of yours is at work; nothing is left to do here");
        return Ok(ExitCode::SUCCESS);
    };
    // Who suspends jobs must not end before these go on; who does not ends at once.
    let suspends = |submitted: &Submitted| submitted.pause_with == PauseWith::Suspend.as_str();
    let signals = match !args.once && record::all(&state).iter().any(suspends) {
        true => Some(Signals::open(inherited).map_err(|error| Failure::new(Kind::Failed, error))?),
        false => None,
    };
    let mut looking = Looking {
        state: &state,
        every: args.every,
        cluster: None,
        inherited,
        tools,
        talk,
        stays: signals.is_some(),
    };
    loop {
        let done = looking.look();
        let mut next = None;
        match done {
            Ok(round) => {
                if args.json {
                    let shown = serde_json::to_string(&round).unwrap_or_default();
                    // What was suspended is resumed first.
                    print(out, &format!("{shown}\n")).inspect_err(|_| looking.end())?;
                }
                next = round.next;
                if args.once && !round.troubles.is_empty() {
                    return Ok(ExitCode::from(Kind::Failed.exit_code()));
                }
            }
            Err(failure) if args.once => return Err(failure),
            Err(failure) => talk.say(&format!("warning: {failure}")),
        }
        if args.once {
            return Ok(ExitCode::SUCCESS);
        }
        let until = next.map(|at| at.duration_since(utc_now()));
        let until = until.map(|left| Duration::try_from(left).unwrap_or_default());
        let wait = until.map_or(args.every, |left| left.clamp(LEAST_REST, args.every));
        match &signals {
            None => rest(wait),
            Some(signals) if ends_within(signals, wait) => {
                looking.end();
                return Ok(ExitCode::SUCCESS);
            }
            Some(_) => {}
        }
    }
}

/// Waits so long; whether somebody wants an end meanwhile.
fn ends_within(signals: &Signals, wait: Duration) -> bool {
    let give_up = monotonic() + wait;
    loop {
        if signals.ask_to_end() {
            return true;
        }
        let left = give_up.saturating_sub(monotonic());
        if left.is_zero() {
            return false;
        }
        let descriptor = PollFd::new(signals.as_fd(), PollFlags::POLLIN);
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // Interrupted or not, the time is looked at again.
        let _ = poll(&mut [descriptor], left);
    }
}

/// Who looks at all jobs.
struct Looking<'a> {
    state: &'a Path,
    every: Duration,
    cluster: Option<String>,
    inherited: &'a Inherited,
    tools: &'a dyn Tools,
    talk: Talk,
    stays: bool,
}

impl Looking<'_> {
    /// Nothing stays suspended behind this process.
    fn end(&self) {
        let mut round = Round::new(utc_now(), 0);
        let work = Work {
            state: self.state,
            tools: self.tools,
            jobs: &[],
            talk: self.talk,
            clock: &|| whole(utc_now()),
            stays: false,
        };
        for mut submitted in record::all(self.state) {
            let is_here = self.cluster.as_ref() == Some(&submitted.cluster);
            if is_here && submitted.watch.suspended_since.is_some() {
                work.resume(&mut submitted, "`catrain slurm watch` ends", &mut round);
            }
        }
        for trouble in &round.troubles {
            self.talk.say(&format!("warning: {trouble}"));
        }
    }

    /// One look at all jobs.
    fn look(&mut self) -> Result<Round, Failure> {
        let Self {
            state,
            every,
            cluster,
            inherited,
            tools,
            talk,
            stays,
        } = self;
        let (state, talk, stays, every): (&Path, Talk, bool, Duration) =
            (state, *talk, *stays, *every);
        let counted = Counted {
            tools: *tools,
            commands: Cell::new(0),
        };
        let all = record::all(state);
        let mut round = Round::new(utc_now(), all.len());
        if all.is_empty() {
            return Ok(round);
        }
        let nothing = "nothing was changed";
        let cluster = match cluster {
            Some(known) => known,
            None => {
                let name = cluster_name(&counted).map_err(|error| not_asked(error, nothing))?;
                cluster.insert(name)
            }
        };
        let all: Vec<Submitted> = (all.into_iter())
            .filter(|submitted| submitted.cluster == *cluster)
            .collect();
        let jobs = queue(&counted).map_err(|error| not_asked(error, nothing))?;
        let mut planner = Anew {
            inherited,
            outlooks: BTreeMap::new(),
            jobs: &jobs,
            troubles: Vec::new(),
            every,
        };
        let mut work = Work {
            state,
            tools: &counted,
            jobs: &jobs,
            talk,
            clock: &|| whole(utc_now()),
            stays,
        };
        for mut submitted in all {
            if submitted.pause_with == PauseWith::Suspend.as_str() {
                let plan = &mut |one: &Submitted, job: &Job, now| planner.going(one, job, now);
                work.suspend_or_resume(&mut submitted, plan, &mut round);
            }
            let plan = &mut |one: &Submitted, now| planner.plan(one, now);
            work.consider(submitted, plan, &mut round);
        }
        round.troubles.extend(planner.troubles);
        for trouble in &round.troubles {
            talk.say(&format!("warning: {trouble}"));
        }
        round.commands = counted.commands.get();
        debug!(
            commands = round.commands,
            jobs = round.jobs,
            moved = round.moved.len(),
            "looked at submitted jobs"
        );
        Ok(round)
    }
}

/// What came of one look.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    schema: &'static str,
    at: String,
    /// How many are recorded.
    jobs: usize,
    moved: Vec<Moved>,
    left_alone: Vec<LeftAlone>,
    pub(super) suspended: Vec<u64>,
    pub(super) resumed: Vec<u64>,
    forgotten: Vec<u64>,
    pub(super) troubles: Vec<String>,
    /// How many commands of Slurm's were run.
    commands: u32,
    /// When a job is to be looked at again.
    #[serde(skip)]
    next: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Moved {
    job: u64,
    from: String,
    to: String,
    why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct LeftAlone {
    job: u64,
    why: String,
}

impl Round {
    fn new(now: Timestamp, jobs: usize) -> Self {
        Self {
            schema: "catrain.slurm_watch/1",
            at: now.to_string(),
            jobs,
            moved: Vec::new(),
            left_alone: Vec::new(),
            suspended: Vec::new(),
            resumed: Vec::new(),
            forgotten: Vec::new(),
            troubles: Vec::new(),
            commands: 0,
            next: None,
        }
    }

    /// There is something to do then.
    pub(super) fn look_again(&mut self, at: Option<Timestamp>) {
        self.next = [self.next, at].into_iter().flatten().min();
    }
}

/// What jobs are looked at by.
pub(super) struct Work<'a> {
    pub(super) state: &'a Path,
    pub(super) tools: &'a dyn Tools,
    pub(super) jobs: &'a [Job],
    pub(super) talk: Talk,
    pub(super) clock: &'a dyn Fn() -> Timestamp,
    /// Whether somebody stays to resume what is suspended.
    pub(super) stays: bool,
}

/// What a job is planned anew by; none: its zone could not be asked, and it is left as it is.
type Plan<'a> = dyn FnMut(&Submitted, Timestamp) -> Result<Option<Timing>, String> + 'a;

impl Work<'_> {
    /// Looks at one job, and moves it where that is worth it.
    fn consider(&mut self, mut submitted: Submitted, plan: &mut Plan<'_>, round: &mut Round) {
        let now = (self.clock)();
        let job = submitted.job;
        match standing(&submitted, self.jobs, now) {
            Standing::Gone { is_old: true } => {
                record::forget(self.state, &submitted);
                round.forgotten.push(job);
            }
            // Of a job that is over there is nothing to tell.
            Standing::Gone { is_old: false } | Standing::Left(Why::Ended) => {}
            Standing::Left(why) => {
                round.left_alone.push(LeftAlone {
                    job,
                    why: why.to_string(),
                });
                if matches!(why, Why::ByHand | Why::Held) {
                    self.leave_alone(&mut submitted, why, now, round);
                }
            }
            Standing::Waits if submitted.replay => {}
            Standing::Waits => {
                let was_left = submitted.watch.left_alone_since.take().is_some();
                match plan(&submitted, now) {
                    Ok(Some(timing)) => self.follow(&mut submitted, &timing, was_left, now, round),
                    Ok(None) => {}
                    Err(why) => round
                        .troubles
                        .push(format!("job {job} stays as it is: {why}")),
                }
            }
        }
    }

    /// Says once that a job is its owner's affair.
    fn leave_alone(&self, submitted: &mut Submitted, why: Why, now: Timestamp, round: &mut Round) {
        if submitted.watch.left_alone_since.is_some() {
            return;
        }
        submitted.watch.left_alone_since = Some(now);
        self.talk
            .say(&format!("job {} is left alone: {why}", submitted.job));
        self.keep(submitted, round);
    }

    /// Moves a job to what the plan says now.
    fn follow(
        &self,
        submitted: &mut Submitted,
        timing: &Timing,
        was_left: bool,
        now: Timestamp,
        round: &mut Round,
    ) {
        let (job, from, to) = (submitted.job, submitted.begin, timing.begin);
        let is_another = submitted.latest != timing.latest;
        if !is_worth_moving(now, from, to) {
            if was_left || is_another {
                submitted.latest = timing.latest;
                self.keep(submitted, round);
            }
            return;
        }
        if let Err(error) = set_begin(self.tools, &job.to_string(), to, (self.clock)()) {
            round
                .troubles
                .push(format!("job {job} stays as it is: {error}"));
            return;
        }
        let zone = TimeZone::system();
        let why = timing
            .decision
            .reason
            .words(timing.decision.until, now, &zone);
        submitted.latest = timing.latest;
        submitted.moved(now, to, &why);
        if let Some(outline) = &timing.decision.plan {
            submitted.planned_g_per_kwh = Some(outline.mean.0);
        }
        let at = |time| words::time(time, now, &zone);
        let when = match to > now {
            true => format!("begins at {} instead of {}", at(to), at(from)),
            false => format!("begins now instead of {}", at(from)),
        };
        self.talk.say(&format!("job {job} {when}: {why}"));
        self.keep(submitted, round);
        round.moved.push(Moved {
            job,
            from: from.to_string(),
            to: to.to_string(),
            why,
        });
    }

    pub(super) fn keep(&self, submitted: &Submitted, round: &mut Round) {
        if let Err(error) = submitted.write(self.state) {
            round.troubles.push(format!(
                "the record of job {} cannot be written: {error}",
                submitted.job
            ));
        }
    }
}

/// Plans jobs anew; whom they ask is asked once.
struct Anew<'a> {
    inherited: &'a Inherited,
    outlooks: BTreeMap<String, Option<Outlook>>,
    jobs: &'a [Job],
    troubles: Vec<String>,
    /// How often jobs are looked at.
    every: Duration,
}

impl Anew<'_> {
    fn plan(&mut self, submitted: &Submitted, now: Timestamp) -> Result<Option<Timing>, String> {
        let Some((plan, outlook)) = self.set_out(submitted, now)? else {
            return Ok(None);
        };
        let mut settings = plan.settings.clone();
        if let Some(with) = PauseWith::of(&submitted.pause_with) {
            settings.pausing.with = with;
        }
        Ok(Some(timing(
            &settings.policy,
            &settings,
            &Queued {
                now,
                submitted: submitted.submitted_at,
                not_before: submitted.watch.not_before,
                latest: submitted.latest,
                usual_wait: usual_wait(self.jobs).unwrap_or_default(),
                outlook: Some(&outlook),
                draw: submitted.watch.draw,
            },
        )))
    }

    /// The run inside a job as it would be now, and the intensity ahead of it.
    fn set_out(
        &mut self,
        submitted: &Submitted,
        now: Timestamp,
    ) -> Result<Option<(Outset, Outlook)>, String> {
        let in_a_line = |failure: Failure| failure.to_string().replace("\n  hint: ", "; ");
        let (run, configured) = again(submitted).map_err(in_a_line)?;
        let directory = submitted.directory.clone();
        let plan = outset(&run, &configured, directory, self.inherited).map_err(in_a_line)?;
        let outlook = self.outlook(&plan, now).map_err(in_a_line)?;
        Ok(outlook.map(|outlook| (plan, outlook)))
    }

    /// What a job is to do that has started.
    fn going(
        &mut self,
        submitted: &Submitted,
        job: &Job,
        now: Timestamp,
    ) -> Result<Option<Decision>, String> {
        let Some((plan, outlook)) = self.set_out(submitted, now)? else {
            return Ok(None);
        };
        let since = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        let started = job.started.map(since).unwrap_or_default();
        let put_off = submitted.watch.not_before;
        Ok(Some(going(
            &plan.settings.policy,
            &plan.settings,
            &Going {
                now,
                submitted: put_off
                    .map_or(submitted.submitted_at, |at| at.max(submitted.submitted_at)),
                productive: started.saturating_sub(submitted.watch.suspended(now)),
                suspended: submitted.watch.suspended_since.map(since),
                outlook: &outlook,
                poll: self.every,
            },
        )))
    }

    /// The intensity ahead; none: nobody could be asked, and what is known besides is no reason to move a job
    /// that was planned by a forecast.
    fn outlook(&mut self, plan: &Outset, now: Timestamp) -> Result<Option<Outlook>, Failure> {
        let key = plan.asks();
        if let Some(known) = self.outlooks.get(&key) {
            return Ok(known.clone());
        }
        let asked = plan.ask(now)?;
        let is_blind = match &asked.outlook {
            None => true,
            Some(outlook) => asked.trouble.is_some() && outlook.kind >= Of::Profile,
        };
        let outlook = asked.outlook.filter(|_| !is_blind);
        if let (Some(why), true) = (&asked.trouble, is_blind) {
            let zone = plan.zone.as_deref().unwrap_or("unknown");
            self.troubles
                .push(format!("jobs in {zone} stay as they are: {why}"));
        }
        self.outlooks.insert(key, outlook.clone());
        Ok(outlook)
    }
}

/// The run inside a job as it was submitted, with what is configured now.
fn again(submitted: &Submitted) -> Result<(RunArgs, Configured), Failure> {
    let mut words: Vec<OsString> = vec!["catrain".into(), "run".into()];
    words.extend(submitted.options.iter().map(OsString::from));
    words.extend(["--".into(), OsString::from(&submitted.script)]);
    words.extend(submitted.watch.arguments.iter().map(OsString::from));
    let profile = submitted.watch.profile.as_deref();
    let configured = Configured::load_in(&submitted.directory, words, profile)?;
    let mut run = configured.run()?;
    anchored(&mut run.options, &submitted.directory);
    Ok((run, configured))
}

/// Counts what is run.
struct Counted<'a> {
    tools: &'a dyn Tools,
    commands: Cell<u32>,
}

impl Tools for Counted<'_> {
    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<Output, ToolError> {
        self.commands.set(self.commands.get() + 1);
        self.tools.run(program, arguments, input)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use jiff::SignedDuration;

    use super::*;
    use crate::plan::{Act, Decision, Reason, Way};
    use crate::slurm::job::{JobId, TimeLimit};
    use crate::slurm::record::tests::submitted;
    use crate::words::Look;

    /// Writes down what is run, and refuses where it is told to.
    #[derive(Default)]
    struct Fake {
        ran: RefCell<Vec<String>>,
        refuses: bool,
    }

    impl Tools for Fake {
        fn run(&self, program: &str, arguments: &[&str], _: &[u8]) -> Result<Output, ToolError> {
            let line = format!("{program} {}", arguments.join(" "));
            self.ran.borrow_mut().push(line);
            Ok(Output {
                status: ExitStatus::from_raw(i32::from(self.refuses) << 8),
                stdout: String::new(),
                stderr: "scontrol: error: not now".to_owned(),
            })
        }
    }

    fn at(minutes: i64) -> Timestamp {
        submitted(1).submitted_at + SignedDuration::from_mins(minutes)
    }

    fn pending(number: u64, eligible: i64, reason: &str) -> Job {
        Job {
            id: JobId {
                job: number,
                task: None,
            },
            number,
            state: "PENDING".to_owned(),
            reason: Some(reason.to_owned()),
            submitted: Some(at(0)),
            eligible: Some(at(eligible)),
            started: None,
            ends: None,
            limit: TimeLimit::Unlimited,
            restarts: 0,
            node_count: 1,
            nodes: String::new(),
            partition: "main".to_owned(),
        }
    }

    fn planned_at(begin: i64) -> Timing {
        Timing {
            begin: at(begin),
            start: at(begin),
            latest: Some(at(600)),
            decision: Decision {
                act: Act::Pause,
                way: Way::Hold,
                until: Some(at(begin)),
                reason: Reason::NothingKnown,
                plan: None,
                deadline: None,
            },
        }
    }

    /// One look at a job that was planned in 90 minutes, and is now planned at `plan`.
    fn looked(
        state: &Path,
        tools: &Fake,
        job: &Job,
        plan: Result<Option<Timing>, String>,
    ) -> (Round, Option<Submitted>) {
        let id = job.id;
        let submitted = record::read(state, "c", id).unwrap_or_else(|| {
            let mut new = submitted(17);
            new.cluster = "c".to_owned();
            new.begin = at(90);
            new
        });
        let mut round = Round::new(at(1), 1);
        let mut work = Work {
            state,
            tools,
            jobs: std::slice::from_ref(job),
            talk: Talk { look: Look::PLAIN },
            clock: &|| at(1),
            stays: false,
        };
        work.consider(submitted, &mut |_, _| plan.clone(), &mut round);
        (round, record::read(state, "c", id))
    }

    #[test]
    fn a_job_is_moved_where_the_plan_has_changed_by_much_and_the_record_says_why() {
        let state = tempfile::tempdir().unwrap();
        let tools = Fake::default();
        let job = pending(17, 90, "BeginTime");
        let (round, _) = looked(state.path(), &tools, &job, Ok(Some(planned_at(93))));
        assert_eq!((round.moved, tools.ran.borrow().len()), (vec![], 0));
        let (round, kept) = looked(state.path(), &tools, &job, Ok(Some(planned_at(150))));
        assert_eq!(
            *tools.ran.borrow(),
            ["scontrol update JobId=17 StartTime=now+8940"]
        );
        assert_eq!(round.moved.len(), 1);
        let kept = kept.unwrap();
        assert_eq!((kept.begin, kept.latest), (at(150), Some(at(600))));
        assert_eq!((kept.moves[0].from, kept.moves[0].to), (at(90), at(150)));
        assert!(!kept.moves[0].why.is_empty());
    }

    #[test]
    fn what_slurm_refuses_or_nobody_could_plan_changes_nothing() {
        let state = tempfile::tempdir().unwrap();
        let job = pending(17, 90, "BeginTime");
        let tools = Fake {
            refuses: true,
            ..Fake::default()
        };
        let (round, kept) = looked(state.path(), &tools, &job, Ok(Some(planned_at(150))));
        assert!(round.troubles[0].contains("not now"), "{round:?}");
        assert!(round.moved.is_empty() && kept.is_none());
        let tools = Fake::default();
        let (round, kept) = looked(state.path(), &tools, &job, Err("no such file".to_owned()));
        assert!(round.troubles[0].contains("no such file") && kept.is_none());
        let (round, kept) = looked(state.path(), &tools, &job, Ok(None));
        assert!(round.troubles.is_empty() && kept.is_none());
        assert!(tools.ran.borrow().is_empty());
    }

    #[test]
    fn what_its_owner_has_changed_is_left_alone_until_it_is_as_planned_again() {
        let state = tempfile::tempdir().unwrap();
        let tools = Fake::default();
        for job in [pending(17, 95, "BeginTime"), pending(17, 90, "JobHeldUser")] {
            let (round, kept) = looked(state.path(), &tools, &job, Ok(Some(planned_at(150))));
            assert_eq!(round.left_alone.len(), 1);
            let since = kept.unwrap().watch.left_alone_since;
            assert_eq!(since, Some(at(1)), "it is said once");
        }
        assert!(tools.ran.borrow().is_empty());
        let job = pending(17, 90, "BeginTime");
        let (_, kept) = looked(state.path(), &tools, &job, Ok(Some(planned_at(90))));
        assert_eq!(kept.unwrap().watch.left_alone_since, None);
    }

    fn decided(act: Act) -> Decision {
        Decision {
            act,
            until: Some(at(30)),
            ..planned_at(0).decision
        }
    }

    /// One look at a job that is to be suspended by plan.
    fn suspended_or_not(
        submitted: &mut Submitted,
        state: (&Path, &str),
        tools: &Fake,
        stays: bool,
        plan: Result<Option<Decision>, String>,
    ) -> Round {
        let mut job = pending(17, 0, "None");
        state.1.clone_into(&mut job.state);
        let mut round = Round::new(at(1), 1);
        let work = Work {
            state: state.0,
            tools,
            jobs: std::slice::from_ref(&job),
            talk: Talk { look: Look::PLAIN },
            clock: &|| at(1),
            stays,
        };
        work.suspend_or_resume(submitted, &mut |_, _, _| plan.clone(), &mut round);
        round
    }

    #[test]
    fn a_job_is_suspended_only_by_who_stays_and_never_stays_so_without() {
        let state = tempfile::tempdir().unwrap();
        let (running, stopped) = ((state.path(), "RUNNING"), (state.path(), "SUSPENDED"));
        let pause = || Ok(Some(decided(Act::Pause)));
        let mut job = submitted(17);
        let tools = Fake::default();
        suspended_or_not(&mut job, running, &tools, false, pause());
        assert!(tools.ran.borrow().is_empty(), "nobody would resume it");
        let round = suspended_or_not(&mut job, running, &tools, true, pause());
        assert_eq!((round.suspended, round.next), (vec![17], Some(at(30))));
        assert_eq!(job.watch.suspended_since, Some(at(1)));
        let round = suspended_or_not(&mut job, stopped, &tools, true, pause());
        assert!(round.resumed.is_empty());
        for (stays, plan) in [
            (false, pause()),
            (true, Ok(Some(decided(Act::Run)))),
            (true, Ok(None)),
            (true, Err("no such file".to_owned())),
        ] {
            let (mut job, tools) = (job.clone(), Fake::default());
            let round = suspended_or_not(&mut job, stopped, &tools, stays, plan);
            assert_eq!((round.resumed, job.watch.suspended_since), (vec![17], None));
            assert_eq!(*tools.ran.borrow(), ["scontrol resume 17"]);
        }
    }

    #[test]
    fn who_suspends_or_resumes_a_job_by_hand_has_the_last_word() {
        let state = tempfile::tempdir().unwrap();
        let pause = || Ok(Some(decided(Act::Pause)));
        let tools = Fake::default();
        let mut job = submitted(17);
        suspended_or_not(&mut job, (state.path(), "SUSPENDED"), &tools, true, pause());
        job.watch.suspended_since = Some(at(0));
        for _ in 0..2 {
            suspended_or_not(&mut job, (state.path(), "RUNNING"), &tools, true, pause());
        }
        assert!(tools.ran.borrow().is_empty());
        assert_eq!(
            (job.watch.suspended_since, job.watch.suspended_s),
            (None, 60.0)
        );
        let refusing = Fake {
            refuses: true,
            ..Fake::default()
        };
        let mut job = submitted(17);
        let round = suspended_or_not(
            &mut job,
            (state.path(), "RUNNING"),
            &refusing,
            true,
            pause(),
        );
        assert!(round.troubles[0].contains("runs on"), "{round:?}");
        assert_eq!(job.watch.suspended_since, None);
    }
}
