//! A run inside a Slurm job: what this process is to the job's other processes, and whether the job has been
//! here before.
//!
//! One supervisor a node looks after all of the job, or of its step, on that node. That of the first node
//! leads, the others follow. Where `srun` starts several tasks on a node, the first is its supervisor, and the
//! others become their command as soon as the job may run. A supervisor of the batch script has a
//! keeper started on each other node, since whatever the script starts there is nobody's child here.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::hands::nodes::Nodes;
use super::hidden;
use crate::cli::{RunArgs, SummaryForm};
use crate::clock::{Moment, monotonic, utc_now};
use crate::error::Failure;
use crate::executor::spawn::{as_helper, become_command};
use crate::executor::{Inherited, ProcId, look_beside};
use crate::ledger::entry::{Cause, Part, Segment, SlurmJob, What};
use crate::ledger::{CannotGoOn, Ledger, Options, RunId, Writer, standing};
use crate::patience::{rest, within};
use crate::plan::Policy;
use crate::serve::tally::Tally;
use crate::slurm::place::{Place, SUPERVISES, supervises};
use crate::slurm::record::{self, Submitted};
use crate::slurm::room::{self, Room};
use crate::slurm::settings::Settings;
use crate::slurm::timing;
use crate::slurm::tools::{Installed, queue, said};
use crate::supervise::machine::{Before, PauseWith};
use crate::surroundings::{boot_id, host};
use crate::units::{GramsCo2e, Pue};

use super::settings::Planned;

/// Longest wait for a file that is on a file system of the cluster.
const DISK: Duration = Duration::from_secs(2);
/// Longest wait for Slurm to say whether the job may be requeued.
const ASK: Duration = Duration::from_secs(3);
/// Who follows has its record begin with whose run it is, if that is told in this time.
const LEADER_TELLS: Duration = Duration::from_secs(5);
/// How long keepers have to end once the job is over.
const KEEPERS_END: Duration = Duration::from_secs(3);
/// The run's id is waited for no longer than this, by a thread that does nothing else.
const ID: Duration = Duration::from_secs(10);

/// What this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It decides, for itself and so many other nodes.
    Leads(u32),
    /// It does as the node that leads says.
    Follows,
    /// A task beside the one that supervises this node.
    Beside,
    /// All of the job on this node has a supervisor.
    Supervised,
    /// A keeper, where there is a supervisor of the batch script.
    Idle,
}

/// A run inside a job.
#[derive(Debug)]
pub(super) struct Inside {
    place: Place,
    role: Role,
    /// Where the supervisors of the nodes meet.
    room: Option<Room>,
    is_keeper: bool,
    /// What was submitted as this job.
    submitted: Option<Submitted>,
    /// The run of this job, if it was here before, and when that began, in real time.
    before: Option<(String, Timestamp)>,
    /// It may go back into the queue, where the user's jobs usually wait so long for nodes.
    requeues: Option<Duration>,
    /// Whose run leads.
    follows: Option<String>,
}

/// What becomes of this process.
pub(super) enum Comes {
    /// It supervises, in a job or not.
    Supervises(Option<Box<Inside>>),
    /// There is nothing to do for it.
    Ends,
}

/// Looks where this process is. Whoever is looked after by another supervisor becomes its command here, when the
/// job may run.
///
/// # Errors
/// A way to pause that there is in a job of Slurm's alone, or a command that cannot be become.
pub(super) fn look(args: &RunArgs, inherited: &Inherited) -> Result<Comes, Failure> {
    let place = Place::of(|name| std::env::var(name).ok());
    let with = super::settings::pause_with(args);
    let on_node = |place: &Place| args.attach.is_none() && !place.node.is_empty();
    let Some(place) = place.filter(on_node) else {
        if matches!(with, PauseWith::Requeue | PauseWith::Suspend) {
            let why = format!("`--pause-with {}` is for a job of Slurm's", with.as_str());
            return Err(Failure::usage(why).hint(
                "`catrain slurm submit` makes one; elsewhere `--pause-with restart` frees the memory; \
                 nothing was started",
            ));
        }
        return Ok(Comes::Supervises(None));
    };
    let state = crate::dirs::state();
    let own = format!("catrain-{}", nix::unistd::geteuid());
    let base = args
        .job_dir
        .as_ref()
        .map(|shared| shared.join(own))
        .or_else(|| Some(state.clone()?.join("slurm")));
    let role = role(&place, args);
    let room = base
        .filter(|_| meets(&place, role))
        .map(|base| match args.keeper {
            true => Room::of_batch(&base, &place),
            false => Room::of(&base, &place),
        });
    let room = room.filter(|room| {
        let room = room.clone();
        within(DISK, move || room.can_be()).unwrap_or(false)
    });
    match role {
        Role::Idle => return Ok(Comes::Ends),
        Role::Supervised | Role::Beside => {
            if let Some(room) = room.filter(|_| role == Role::Beside) {
                room::await_start(&room);
            }
            let error = become_command(&args.command, &hidden::variables(), inherited);
            return Err(Failure::new(error.kind(), error).hint("nothing was started"));
        }
        Role::Leads(_) | Role::Follows => {}
    }
    look_beside_in(&place, args.keeper);
    let leads = matches!(role, Role::Leads(_));
    let id = place.id;
    let known = state.filter(|_| leads).and_then(|state| {
        let cluster = place.cluster.clone();
        let look = move || {
            let submitted = record::read(&state, &cluster, id);
            (submitted, record::started(&state, &cluster, id))
        };
        within(DISK, look).ok()
    });
    let (submitted, before) = known.unwrap_or_default();
    let asks = leads && matches!(with, PauseWith::Requeue | PauseWith::Auto);
    let follows = match (&room, role) {
        (Some(room), Role::Follows) => await_leader(room),
        _ => None,
    };
    Ok(Comes::Supervises(Some(Box::new(Inside {
        requeues: (asks && may_requeue(&place)).then(|| usual_wait().mul_f64(args.speed)),
        before: before.filter(|_| place.restarts > 0),
        submitted: submitted.filter(|_| args.submitted),
        is_keeper: args.keeper,
        follows,
        place,
        role,
        room,
    }))))
}

/// Why the plan may not pause what is started from a shell that has an allocation and is not in it.
pub(super) fn is_outside(args: &RunArgs) -> Option<String> {
    let place = Place::of(|name| std::env::var(name).ok())?;
    let is_outside = place.node.is_empty() && args.attach.is_none();
    is_outside.then(|| {
        format!(
            "is not paused: this is no node of job {}, and what srun starts there would not be stopped from \
             here (srun catrain run -- … is)",
            place.id
        )
    })
}

fn role(place: &Place, args: &RunArgs) -> Role {
    if args.keeper {
        return match place.step.as_ref().is_some_and(|step| step.node == 0) {
            true => Role::Idle,
            false => Role::Follows,
        };
    }
    if place.is_supervised && !args.submitted {
        return Role::Supervised;
    }
    match &place.step {
        None => Role::Leads(place.nodes.saturating_sub(1)),
        Some(step) if step.local > 0 => Role::Beside,
        Some(step) if step.node > 0 => Role::Follows,
        Some(step) => Role::Leads(step.nodes.saturating_sub(1)),
    }
}

/// Whether there are others to meet.
fn meets(place: &Place, role: Role) -> bool {
    let several_tasks = place.step.as_ref().is_some_and(|step| step.tasks > 1);
    !matches!(role, Role::Supervised | Role::Idle) && (role != Role::Leads(0) || several_tasks)
}

/// By what the rest of the job on this node is told: what `srun` has started of it, or, in a step, its other
/// tasks. What else a script or a shell has started beside us is not ours to stop.
fn look_beside_in(place: &Place, is_keeper: bool) {
    let number = place.number.to_string();
    let mut marks = vec![
        ("SLURM_JOB_ID", number.as_str()),
        ("SLURMD_NODENAME", place.node.as_str()),
    ];
    match place.step.as_ref().filter(|_| !is_keeper) {
        None => look_beside(&marks, Some("SLURM_STEP_ID")),
        Some(step) if step.tasks > 1 => {
            let step = step.id.to_string();
            marks.push(("SLURM_STEP_ID", &step));
            look_beside(&marks, None);
        }
        Some(_) => {}
    }
}

/// Whether Slurm would put this job back into its queue: it is a batch job, and nobody forbade it.
fn may_requeue(place: &Place) -> bool {
    let tools = Installed { patience: ASK };
    let job = place.number.to_string();
    let told = said(&tools, "scontrol", &["show", "job", &job, "-o"]);
    told.is_ok_and(|text| {
        let told = Settings::of_words(&text);
        told.is("Requeue", "1") && told.is("BatchFlag", "1")
    })
}

/// How long this user's jobs usually wait for nodes.
fn usual_wait() -> Duration {
    let jobs = queue(&Installed { patience: ASK }).unwrap_or_default();
    timing::usual_wait(&jobs).unwrap_or_default()
}

fn await_leader(room: &Room) -> Option<String> {
    let until = monotonic() + LEADER_TELLS;
    let room = room.clone();
    let look = move || loop {
        let run = room.leader().map(|leader| leader.run);
        if let Some(run) = run.filter(|run| !run.is_empty()) {
            return Some(run);
        }
        if monotonic() >= until {
            return None;
        }
        rest(Duration::from_millis(50));
    };
    within(LEADER_TELLS + DISK, look).ok().flatten()
}

impl Inside {
    /// What was typed, as far as it is this node's affair: one that follows decides nothing, and says little.
    pub(super) fn own(&self, args: &RunArgs) -> RunArgs {
        let mut args = args.clone();
        if self.role == Role::Follows {
            let options = &mut args.options;
            options.summary = SummaryForm::None;
            options.summary_file = None;
            options.carbon_budget = None;
            options.deadline = None;
            options.max_delay = None;
            options.policy = Some(crate::cli::PolicyName::Now);
            options.retries = 0;
            options.listen = None;
            options.metrics_file = None;
            (options.on_pause, options.on_resume, options.on_end) = (None, None, None);
        }
        args
    }

    /// Whether it only does as another node says.
    pub(super) fn is_follower(&self) -> bool {
        self.role == Role::Follows
    }

    /// What follows for the plan.
    pub(super) fn put_in(&self, planned: &mut Planned, given: Option<Timestamp>) {
        let settings = &mut planned.settings;
        let with = settings.pausing.with;
        if no_room(self).is_some() {
            (settings.may_hold, settings.may_pause) = (false, false);
        }
        if self.is_follower() {
            // Without a place to hear of it nobody would let it go.
            settings.follows = self.room.is_some();
            settings.policy = Policy::Now;
            settings.may_hold = false;
            settings.may_pause = false;
            settings.deadline = None;
            settings.looks_at_devices = false;
            // The node that leads may have it wait as long as it likes, and asks it to save.
            settings.pausing.with = match with {
                PauseWith::Freeze => PauseWith::Freeze,
                _ => PauseWith::Stop,
            };
            settings.pausing.stops_ranks = true;
            planned.notices.clear();
            planned.patience = Duration::ZERO;
            return;
        }
        settings.pausing.gives_back = self.requeues.filter(|_| settings.may_pause);
        if settings.pausing.gives_back.is_some() {
            // Each start has the whole limit again.
            settings.deadline = given;
            let limit = |notice: &String| notice.ends_with("that is the deadline");
            planned.notices.retain(|notice| !limit(notice));
        } else if self.submitted.is_some() && settings.may_hold {
            settings.may_hold = false;
            planned.notices.push(
                "its wait for a clean hour was its begin time: with its nodes it starts at once"
                    .to_owned(),
            );
        }
        match with {
            PauseWith::Requeue if self.requeues.is_none() => planned.notices.push(
                "warning: Slurm would not requeue this job (sbatch --requeue allows it): its nodes are kept \
                 while it waits"
                    .to_owned(),
            ),
            PauseWith::Suspend => {
                settings.may_pause = false;
                planned.notices.push(
                    "suspended and resumed from outside, by `catrain slurm watch`".to_owned(),
                );
            }
            _ => {}
        }
    }

    /// For the record.
    pub(super) fn slurm(&self) -> SlurmJob {
        SlurmJob {
            cluster: self.place.cluster.clone(),
            id: self.place.id,
            node: self.place.node.clone(),
            nodes: self.place.nodes,
            follows: self.follows.clone(),
        }
    }

    /// What the job sees: that all of it here has a supervisor.
    pub(super) fn shown(&self) -> Vec<(OsString, OsString)> {
        if self.place.step.is_some() {
            return Vec::new();
        }
        let value = supervises(self.place.number, self.place.restarts);
        vec![(SUPERVISES.into(), value.into())]
    }

    /// The number by which the job may be put back into the queue.
    pub(super) fn requeues(&self) -> Option<u64> {
        self.requeues.map(|_| self.place.number)
    }

    /// The other nodes.
    pub(super) fn nodes(&self, run: &RunId) -> Nodes {
        let Some(room) = self.room.clone() else {
            return Nodes::Alone;
        };
        let run = run.within(DISK);
        match self.role {
            Role::Leads(others) => Nodes::leads(room, &run, &self.slurm().node, others),
            Role::Follows => Nodes::follows(room, &run, &self.slurm().node, self.is_keeper),
            _ => Nodes::Alone,
        }
    }

    /// Starts a keeper on each other node of the batch script's job.
    pub(super) fn keepers(
        &self,
        args: &RunArgs,
        name: &str,
        now: Timestamp,
        inherited: &Inherited,
    ) -> Option<Keepers> {
        let Role::Leads(1..) = self.role else {
            return None;
        };
        if self.place.step.is_some() {
            return None;
        }
        let nodes = self.place.nodes.to_string();
        let mut command = Command::new("srun");
        command.args(["--overlap", "--quiet", "--mpi=none", "--input=none"]);
        command.args([
            "--kill-on-bad-exit=0",
            "--ntasks-per-node=1",
            "--cpus-per-task=1",
        ]);
        command.args(["--job-name=catrain", "--nodes", &nodes, "--ntasks", &nodes]);
        command.arg("--").arg(std::env::current_exe().ok()?);
        command.args(["run", "--keeper", "--name", name]);
        let signal =
            nix::sys::signal::Signal::try_from(super::settings::checkpoint_signal(args)).ok()?;
        command.args([
            "--checkpoint-to=ranks",
            "--checkpoint-signal",
            signal.as_str(),
        ]);
        if let Some(zone) = &args.zone {
            command.args(["--zone", zone]);
        }
        if let Some(directory) = &args.job_dir {
            command.arg("--job-dir").arg(directory);
        }
        if !args.source.is_empty() {
            let names: Vec<String> = args.source.iter().map(ToString::to_string).collect();
            command.arg("--source").arg(names.join(","));
        }
        if let Some(replay) = &args.replay {
            // They join in the middle of the day.
            let trace = replay
                .rsplit_once('@')
                .map_or(replay.as_str(), |(trace, _)| trace);
            let (from, speed) = (format!("{trace}@{now}"), args.speed.to_string());
            command.args(["--replay", &from, "--speed", &speed]);
        }
        if args.offline {
            command.arg("--offline");
        }
        command.args(["--", "sleep", "infinity"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // What it is told by Slurm of this step would be taken for what is asked of the new one.
        for name in [
            "SLURM_NTASKS_PER_NODE",
            "SLURM_CPUS_PER_TASK",
            "SLURM_MEM_PER_CPU",
        ] {
            command.env_remove(name);
        }
        as_helper(&mut command, inherited);
        let child = command.spawn();
        Some(Keepers(child.map_err(|error| error.to_string())))
    }

    /// Says which run is this job's, once that has an id.
    pub(super) fn tell_run(&self, state: Option<&Path>, run: RunId, began: Timestamp) {
        let Some(state) = state.map(Path::to_owned).filter(|_| !self.is_follower()) else {
            return;
        };
        let (cluster, id) = (self.place.cluster.clone(), self.place.id);
        // Without it a requeued job is another run that says whom it continues.
        let telling = move || {
            let run = run.within(ID);
            drop(record::write_run(&state, &cluster, id, &run, began));
        };
        drop(std::thread::Builder::new().spawn(telling));
    }

    /// The run that the job was before it was requeued, opened to go on. None: it was not here before, or its
    /// record has an end.
    pub(super) fn go_on(&self, state: Option<&Path>, options: &Options) -> Option<GoesOn> {
        let ((run, began), state) = (self.before.clone()?, state?.to_owned());
        let (theirs, options) = (run.clone(), options.clone());
        let opened = within(DISK, move || Writer::go_on(&state, &theirs, options));
        Some(match opened {
            Ok(Ok((writer, ledger))) => GoesOn::Here {
                record: Box::new((writer, ledger)),
                began,
            },
            Ok(Err(CannotGoOn::Over(_))) => GoesOn::After(run),
            Ok(Err(error)) => GoesOn::Not(format!("{run} does not go on: {error}")),
            Err(error) => GoesOn::Not(format!("{run} does not go on: {error}")),
        })
    }

    /// When the run began: with its submission.
    pub(super) fn submitted_at(&self) -> Option<Timestamp> {
        self.submitted
            .as_ref()
            .map(|submitted| submitted.submitted_at)
    }

    /// The time before the first start here, as the record has it: held by the plan, then waiting for nodes.
    /// By the record, the run began at `began`, and its time passes so many times faster.
    pub(super) fn waited(&self, began: Timestamp, speed: f64, now: Moment) -> Vec<What> {
        let Some(submitted) = &self.submitted else {
            return Vec::new();
        };
        let held = submitted.begin.duration_since(submitted.submitted_at);
        let planned_s = held.as_secs_f64() * speed;
        away(Part::Held, (began, 0.0), Some(planned_s), now)
    }

    /// That this process supervises from here on.
    pub(super) fn taken_up(&self) -> What {
        let own = std::process::id().cast_signed();
        What::TakenUp {
            host: host(),
            boot_id: boot_id(),
            pid: own,
            start_ticks: ProcId::of(own).map_or(0, |id| id.start_ticks),
            node: self.place.node.clone(),
            restarts: self.place.restarts,
        }
    }
}

/// What became of the run that the job was before.
pub(super) enum GoesOn {
    /// It goes on here.
    Here {
        /// What it has recorded.
        record: Box<(Writer, Ledger)>,
        /// When it began, in real time.
        began: Timestamp,
    },
    /// It is over; this one comes after it.
    After(String),
    /// It cannot, in words.
    Not(String),
}

/// What a run has done, by its record.
pub(super) fn before(ledger: &Ledger) -> Before {
    let starts = ledger.entries.iter().filter(|entry| {
        let action = crate::ledger::entry::Action::Start;
        matches!(entry.what, What::Confirmed { action: done, .. } if done == action)
    });
    let pauses = ledger.entries.iter().filter(|entry| {
        matches!(
            entry.what,
            What::Requeued { .. }
                | What::Confirmed {
                    action: crate::ledger::entry::Action::Pause,
                    ..
                }
        )
    });
    // From when it ran last, however often it was put back since.
    let ran = |entry: &&crate::ledger::entry::Entry| matches!(&entry.what, What::Segment(one) if one.part != Part::Paused);
    let left_at = ledger.entries.iter().rev().find(ran);
    let left_at = left_at.map_or(0.0, |entry| entry.elapsed_s);
    let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    Before {
        productive: standing::ran(ledger),
        attempts: count(starts.count()),
        pauses: count(pauses.count()),
        spent: spent(ledger),
        left_at: Duration::try_from_secs_f64(left_at).unwrap_or_default(),
    }
}

/// Emissions by what was known while it ran, without overhead, as the machine keeps to a budget by them.
fn spent(ledger: &Ledger) -> GramsCo2e {
    let mut tally = Tally::new(Pue::NONE);
    for entry in &ledger.entries {
        if Tally::counts(&entry.what) {
            tally.take(entry.what.clone());
        }
    }
    // The plan's account is the first that was heard of.
    let first = tally.emissions.first();
    first.map_or(GramsCo2e::ZERO, |account| account.grams.total())
}

/// The time since the last entry of a run that was away, in its record: until the begin time for the plan, from
/// then on for want of nodes.
pub(super) fn time_away(ledger: &Ledger, began: Timestamp, now: Moment) -> Vec<What> {
    let segments = ledger.entries.iter().filter_map(|entry| entry.segment());
    let last = segments.map(|segment| segment.to_s).fold(0.0, f64::max);
    let requeued = ledger
        .entries
        .iter()
        .rev()
        .find_map(|entry| match entry.what {
            What::Requeued { begin, .. } => Some(begin),
            What::TakenUp { .. } => Some(None),
            _ => None,
        });
    let planned_s = requeued
        .flatten()
        .map(|at| at.duration_since(began).as_secs_f64());
    away(Part::Paused, (began, last), planned_s, now)
}

fn away(
    part: Part,
    (began, from_s): (Timestamp, f64),
    planned_s: Option<f64>,
    now: Moment,
) -> Vec<What> {
    let to_s = now.elapsed.as_secs_f64();
    let planned_s = planned_s.unwrap_or(from_s);
    let planned_s = planned_s.clamp(from_s, to_s.max(from_s));
    let at = |seconds: f64| {
        let span = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
        began.saturating_add(span).unwrap_or(now.utc)
    };
    let spans = [
        (Cause::Carbon, from_s, planned_s),
        (Cause::Queue, planned_s, to_s),
    ];
    let spans = spans.into_iter().filter(|(_, from, to)| to > from);
    spans
        .map(|(cause, from_s, to_s)| {
            What::Segment(Segment {
                part,
                causes: vec![cause],
                from_s,
                to_s,
                start: at(from_s),
                end: at(to_s),
                energy: Vec::new(),
                unattributed: Vec::new(),
            })
        })
        .collect()
}

/// How long ago that was.
pub(super) fn since(began: Timestamp) -> Duration {
    let ago = utc_now().duration_since(began);
    Duration::try_from(ago).unwrap_or_default()
}

/// Keepers on the other nodes, by the `srun` that has started them.
#[derive(Debug)]
pub(super) struct Keepers(Result<Child, String>);

impl Keepers {
    /// Why there are none.
    pub(super) fn trouble(&self) -> Option<String> {
        let why = self.0.as_ref().err()?;
        Some(format!(
            "the other nodes have no supervisor, so the plan will not pause the job: cannot run srun: {why}"
        ))
    }

    /// Waits until they have ended, which they do once they have heard that the job is over.
    pub(super) fn wait(self) {
        let Ok(mut child) = self.0 else { return };
        let pid = child.id();
        let ended = within(KEEPERS_END, move || drop(child.wait()));
        if ended.is_err() {
            let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
            let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGTERM);
        }
    }
}

/// A run without a state directory has no way to tell its other nodes.
pub(super) fn no_room(inside: &Inside) -> Option<String> {
    let needs = meets(&inside.place, inside.role) && inside.room.is_none();
    needs.then(|| {
        "the nodes of this job do not know of each other: nothing can be written to a state directory (--job-dir \
         names another that they share); the plan neither holds nor pauses it"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64) -> Moment {
        Moment {
            utc: "2026-11-28T12:00:00Z".parse().unwrap(),
            elapsed: Duration::from_secs(seconds),
            monotonic: Duration::ZERO,
            suspended: Duration::ZERO,
        }
    }

    fn spans(away: &[What]) -> Vec<(Cause, f64, f64)> {
        let segments = away.iter().map(|what| match what {
            What::Segment(segment) => segment,
            other => panic!("{other:?}"),
        });
        segments
            .map(|one| (one.causes[0], one.from_s, one.to_s))
            .collect()
    }

    #[test]
    fn time_away_is_the_plans_until_the_begin_time_and_the_queues_after_it() {
        let began: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        let at = |seconds: u32| Some(f64::from(seconds));
        let of = |from, begin, now| spans(&away(Part::Held, (began, from), begin, moment(now)));
        let (carbon, queue) = (Cause::Carbon, Cause::Queue);
        assert_eq!(
            of(0.0, at(100), 130),
            [(carbon, 0.0, 100.0), (queue, 100.0, 130.0)]
        );
        assert_eq!(of(0.0, at(500), 130), [(carbon, 0.0, 130.0)]);
        assert_eq!(of(50.0, at(20), 130), [(queue, 50.0, 130.0)]);
        assert_eq!(of(50.0, None, 130), [(queue, 50.0, 130.0)]);
        assert_eq!(of(50.0, None, 50), []);
    }
}
