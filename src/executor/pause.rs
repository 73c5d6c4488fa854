//! Pausing: everyone is put on the watchdog's list, stopped, and looked at until all are seen
//! stopped twice in a row.
//!
//! A job that has a cgroup of its own is frozen first, and only who is outside of it is stopped. Where
//! freezing does not work, the cgroup is thawed and everyone is stopped as if there were none.
//!
//! In small steps, each a few milliseconds at most, because the thread that takes them also decides
//! everything else. A process that was stopped before is left alone for as long as it stays so. One
//! that waits in the kernel and cannot be interrupted (a vfork parent, a dead file server) counts
//! once its stop is pending and its processor time stands still. If anybody cannot be stopped,
//! everybody is continued: a job half stopped is worse than one that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use nix::libc;

use super::Job;
use super::freezer::{self, Cell};
use super::process::{ProcId, Process, Sent, Standing};
use super::watchdog::{Guard, Lost};
use crate::clock::monotonic;
use crate::fault::{self, Point};

/// After this the pause has failed.
const GIVE_UP: Duration = Duration::from_secs(2);
/// How long one that waits in the kernel must stand still to be accepted as stopping.
const STANDS_STILL: Duration = Duration::from_millis(200);
/// After this a cgroup that is not frozen yet is thawed again and everyone stopped instead. What waits
/// in the kernel for a dead file server keeps a cgroup from being frozen, and not from being stopped.
const FREEZES_WITHIN: Duration = Duration::from_millis(500);
/// How long one step may take.
const STEP: Duration = Duration::from_millis(3);
/// How long between two looks within a step.
const LOOK: Duration = Duration::from_micros(150);
/// How often one that still runs is sent another stop.
const REMIND: Duration = Duration::from_millis(50);
/// When to take the next step; the event loop's timer is no finer.
const AGAIN: Duration = Duration::from_millis(1);

/// A pause under way. Give it to [`Job::step`] until that says how it ended; if it is not to go on,
/// call [`Job::resume`].
#[derive(Debug)]
#[must_use = "a pause goes on only by steps"]
pub struct Pausing {
    began: Duration,
    stage: Stage,
    /// Seen stopped as a whole: cannot start threads or children.
    seen_stopped: BTreeSet<ProcId>,
    /// Since when, and with how much processor time.
    stopping: BTreeMap<ProcId, (Duration, u64)>,
    quiet_scans: u32,
    /// When those that still ran were last sent another stop.
    reminded: Duration,
    /// Why it is not frozen although it has a cgroup.
    fallback: Option<String>,
}

#[derive(Debug)]
enum Stage {
    /// The list is with the watchdog, or on its way; who is on it.
    Told { list: Vec<ProcId>, question: u64 },
    /// The kernel was asked to freeze the cgroup; those on the list are outside of it and run.
    Freezing { list: Vec<ProcId>, asked: Duration },
    /// The first list was stopped.
    Verifying,
    /// Nothing more will be done.
    Failed(Refusal),
}

/// How a step of a pause ended.
#[derive(Debug)]
pub enum PauseStep {
    /// Not done; call again after this time.
    Again(Duration),
    /// Everybody is stopped.
    Stopped {
        /// How many we stopped or froze, `stopping` included.
        processes: u32,
        /// Those that wait in the kernel and will not run before they are stopped.
        stopping: Vec<Process>,
        /// Since the pause began.
        took: Duration,
        /// Why the job was stopped by signals although it has a cgroup that can be frozen, in words.
        fallback: Option<String>,
    },
    /// It failed and everybody was continued.
    Refused(Refusal),
}

/// Why a job could not be paused. It runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who was in the way.
    pub process: Option<Process>,
    /// The user that it belongs to.
    pub owner_uid: Option<u32>,
    /// Why.
    pub reason: Reason,
}

/// What stood in the way of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The watchdog is gone, does not answer, or has already continued the job.
    NoGuard,
    /// We may not signal this process.
    NotPermitted,
    /// It kept running for two seconds.
    KeepsRunning,
    /// The job has the terminal, and stopping it would stop our own process group.
    HasTerminal,
    /// It was started by somebody else and does not lead a session of its own.
    SharesSession,
    /// It was started by somebody else and is what a terminal's keys go to.
    Foreground,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoGuard => "the watchdog does not answer",
            Self::NotPermitted => "may not be signalled",
            Self::KeepsRunning => "could not be stopped within 2 s",
            Self::HasTerminal => "the job has the terminal",
            Self::SharesSession => {
                "the job shares its session with others, whose shell would take it for stopped by \
                 hand; use `--pause-with freeze` or `--force`, or start it with `setsid`"
            }
            Self::Foreground => {
                "the job is in the foreground of a terminal, which would be left without anybody; \
                 use `--pause-with freeze` or `--force`"
            }
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.reason;
        let Some(process) = &self.process else {
            return write!(f, "{why}");
        };
        write!(f, "process {} `{}`", process.id.pid, process.name)?;
        if let Some(uid) = self.owner_uid {
            write!(f, " of user {uid}")?;
        }
        write!(f, " {why}")
    }
}

impl Refusal {
    fn of(reason: Reason) -> Self {
        Self {
            process: None,
            owner_uid: None,
            reason,
        }
    }

    fn by(process: Process, reason: Reason) -> Self {
        Self {
            owner_uid: process.owner_uid(),
            process: Some(process),
            reason,
        }
    }
}

impl From<Lost> for Refusal {
    fn from(Lost: Lost) -> Self {
        Self::of(Reason::NoGuard)
    }
}

impl Job {
    /// Begins a pause: finds everybody and gives the list to the watchdog. Nobody is stopped yet.
    pub fn begin_pause(&mut self, guard: &mut Guard) -> Pausing {
        fault::at(Point::PauseBegins);
        let began = monotonic();
        let stage = match self.announce(guard) {
            Ok((list, question)) => Stage::Told { list, question },
            Err(refusal) => Stage::Failed(refusal),
        };
        Pausing {
            began,
            stage,
            seen_stopped: BTreeSet::new(),
            stopping: BTreeMap::new(),
            quiet_scans: 0,
            reminded: began,
            fallback: None,
        }
    }

    /// Goes on with a pause for a few milliseconds.
    pub fn step(&mut self, pausing: &mut Pausing, guard: &mut Guard) -> PauseStep {
        let step_began = monotonic();
        loop {
            match self.advance(pausing, guard) {
                Ok(Some(stopping)) => {
                    fault::at(Point::Verified);
                    let stopped = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
                    return PauseStep::Stopped {
                        processes: stopped.saturating_add(self.frozen),
                        stopping,
                        took: monotonic().saturating_sub(pausing.began),
                        fallback: pausing.fallback.take(),
                    };
                }
                Ok(None) => {}
                Err(refusal) => {
                    fault::at(Point::Refusing);
                    self.resume(guard);
                    pausing.stage = Stage::Failed(refusal.clone());
                    return PauseStep::Refused(refusal);
                }
            }
            if monotonic().saturating_sub(step_began) >= STEP {
                return PauseStep::Again(AGAIN);
            }
            guard.wait(LOOK);
        }
    }

    fn announce(&mut self, guard: &mut Guard) -> Result<(Vec<ProcId>, u64), Refusal> {
        if self.cell.is_none() || self.is_given_terminal() {
            self.may_be_stopped()?;
        }
        guard.pump();
        if guard.is_lost() || guard.has_released() {
            return Err(Refusal::of(Reason::NoGuard));
        }
        self.introduce(guard)?;
        let everyone = self.scan();
        let inside = self.inside();
        let alive = everyone.iter().filter(|process| !process.has_ended());
        let (stopped, list): (Vec<_>, Vec<_>) = alive
            .filter(|process| !self.held.contains(&process.id))
            .partition(|process| process.is_stopped());
        self.exempt.extend(stopped.iter().map(|process| process.id));
        let exempt: Vec<ProcId> = self.exempt.iter().copied().collect();
        guard.exempt(&exempt)?;
        // Those of a pause that goes on are told again: the watchdog may be a new one.
        let mut list: Vec<ProcId> = list.iter().map(|process| process.id).collect();
        list.retain(|id| !inside.contains(&id.pid));
        list.splice(0..0, self.held.iter().copied());
        guard.hold(&list)?;
        if self.cell.is_some() {
            guard.freeze()?;
        }
        let question = guard.ask();
        fault::at(Point::ListSent);
        Ok((list, question))
    }

    /// One look. `Some`: all are stopped, and these are those that are still stopping.
    fn advance(
        &mut self,
        pausing: &mut Pausing,
        guard: &mut Guard,
    ) -> Result<Option<Vec<Process>>, Refusal> {
        guard.pump();
        if guard.is_lost() || guard.has_released() {
            return Err(Refusal::of(Reason::NoGuard));
        }
        let is_late = monotonic().saturating_sub(pausing.began) > GIVE_UP;
        match &pausing.stage {
            Stage::Failed(refusal) => Err(refusal.clone()),
            Stage::Told { question, .. } if !guard.has_answered(*question) => {
                if is_late {
                    return Err(Refusal::of(Reason::NoGuard));
                }
                Ok(None)
            }
            Stage::Told { list, .. } => {
                fault::at(Point::ListConfirmed);
                let list = list.clone();
                match self.freeze() {
                    None => {
                        pausing.stage = Stage::Verifying;
                        self.stop_list(&list)?;
                    }
                    Some(Ok(())) => {
                        let asked = monotonic();
                        pausing.stage = Stage::Freezing { list, asked };
                    }
                    Some(Err(error)) => {
                        self.fall_back(pausing, format!("`cgroup.freeze`: {error}"))?;
                        self.stop_list(&list)?;
                    }
                }
                Ok(None)
            }
            Stage::Freezing { list, asked } => {
                let list = list.clone();
                if self.is_frozen() {
                    fault::at(Point::FreezeSeen);
                    pausing.stage = Stage::Verifying;
                } else if monotonic().saturating_sub(*asked) > FREEZES_WITHIN {
                    let why = self.why_not_frozen();
                    self.fall_back(pausing, why)?;
                } else {
                    return Ok(None);
                }
                self.stop_list(&list)?;
                Ok(None)
            }
            Stage::Verifying => self.verify(pausing, guard, is_late),
        }
    }

    fn stop_list(&mut self, list: &[ProcId]) -> Result<(), Refusal> {
        for (index, &id) in list.iter().enumerate() {
            self.stop(id)?;
            if index == 0 {
                fault::at(Point::FirstStop);
            }
            if index == list.len() / 2 {
                fault::at(Point::HalfStopped);
            }
        }
        fault::at(Point::AllStopped);
        Ok(())
    }

    /// Asks the kernel to freeze the job's cgroup; `None` if it has none.
    fn freeze(&mut self) -> Option<std::io::Result<()>> {
        let cell = self.cell.as_mut()?;
        fault::at(Point::FreezeConfirmed);
        let asked = cell.freeze();
        fault::at(Point::FreezeAsked);
        Some(asked)
    }

    fn is_frozen(&self) -> bool {
        !fault::nobody_freezes() && self.cell.as_ref().is_some_and(Cell::is_frozen)
    }

    /// Who is in the job's cgroup.
    pub(super) fn inside(&self) -> BTreeSet<i32> {
        (self.cell.as_ref()).map_or_else(BTreeSet::new, |cell| freezer::members(cell.path()))
    }

    /// Who keeps the cgroup from being frozen, as far as that shows: one that waits in the kernel.
    fn why_not_frozen(&self) -> String {
        let inside = self.inside().into_iter().filter_map(Process::read);
        let waits = inside.into_iter().find(|process| process.state == 'D');
        let milliseconds = FREEZES_WITHIN.as_millis();
        match waits {
            Some(process) => format!(
                "process {} `{}` waits in the kernel and was not frozen within {milliseconds} ms",
                process.id.pid,
                process.name.escape_debug()
            ),
            None => format!("the cgroup was not frozen within {milliseconds} ms"),
        }
    }

    /// The freezer does not do: those inside are found running, and stopped as late finds.
    fn fall_back(&mut self, pausing: &mut Pausing, why: String) -> Result<(), Refusal> {
        self.thaw();
        self.may_be_stopped()?;
        pausing.fallback = Some(why);
        pausing.stage = Stage::Verifying;
        pausing.quiet_scans = 0;
        Ok(())
    }

    fn may_be_stopped(&self) -> Result<(), Refusal> {
        self.objection().map_or(Ok(()), |why| Err(Refusal::of(why)))
    }

    fn verify(
        &mut self,
        pausing: &mut Pausing,
        guard: &mut Guard,
        is_late: bool,
    ) -> Result<Option<Vec<Process>>, Refusal> {
        // What was found last time must be with the watchdog before more is done.
        if !guard.is_told() {
            return if is_late {
                Err(Refusal::of(Reason::NoGuard))
            } else {
                Ok(None)
            };
        }
        if self.is_frozen_by_us() && !self.is_frozen() {
            let why = "somebody else thawed the cgroup, or moved into it".to_owned();
            self.fall_back(pausing, why)?;
        }
        let now = monotonic();
        let mut running = Vec::new();
        let mut stopping = Vec::new();
        let mut all_stand_still = true;
        let everyone = self.scan();
        // Frozen ones read as if they slept. After the scan, so that who was forked by one outside and
        // is outside is not missed.
        let frozen = match self.is_frozen_by_us() {
            true => self.inside(),
            false => BTreeSet::new(),
        };
        self.frozen = 0;
        for process in everyone {
            let id = process.id;
            if process.has_ended() || (self.exempt.contains(&id) && process.is_stopped()) {
                continue;
            }
            if frozen.contains(&id.pid) {
                if !process.is_stopped() {
                    self.frozen += 1;
                } else if !self.held.contains(&id) {
                    // It stopped itself between the list and the freeze.
                    guard.exempt(&[id])?;
                    self.exempt.insert(id);
                }
                continue;
            }
            // Being continued wakes every thread, so the main one answers for a group that was seen
            // stopped as a whole.
            if pausing.seen_stopped.contains(&id) && process.state == 'T' {
                continue;
            }
            pausing.seen_stopped.remove(&id);
            match process.standing() {
                Standing::Gone => {}
                _ if fault::nobody_stops() => running.push(process),
                Standing::Stopped if self.held.contains(&id) => {
                    pausing.seen_stopped.insert(id);
                }
                Standing::Stopping { ticks } if self.held.contains(&id) => {
                    let since = pausing.stopping.entry(id).or_insert((now, ticks));
                    if since.1 != ticks {
                        *since = (now, ticks);
                    }
                    all_stand_still &= now.saturating_sub(since.0) >= STANDS_STILL;
                    stopping.push(process);
                }
                // Somebody stopped it between the list and now; it is like those stopped before.
                Standing::Stopped if process.is_stopped() => {
                    guard.exempt(&[id])?;
                    self.exempt.insert(id);
                }
                _ => running.push(process),
            }
        }
        fault::at(Point::Scanned);
        if running.is_empty() && (all_stand_still || is_late) {
            pausing.quiet_scans += 1;
            if pausing.quiet_scans >= 2 {
                return Ok(Some(stopping));
            }
            return Ok(None);
        }
        pausing.quiet_scans = 0;
        if is_late && let Some(process) = running.first() {
            return Err(Refusal::by(process.clone(), Reason::KeepsRunning));
        }
        self.stop_runners(pausing, guard, &running)?;
        Ok(None)
    }

    /// Late finds go to the watchdog first. Those that were sent a stop have not come to take it yet,
    /// unless somebody has continued them: they are sent another now and then.
    fn stop_runners(
        &mut self,
        pausing: &mut Pausing,
        guard: &mut Guard,
        running: &[Process],
    ) -> Result<(), Refusal> {
        let (sent, late): (Vec<ProcId>, Vec<ProcId>) = running
            .iter()
            .map(|process| process.id)
            .partition(|id| self.held.contains(id));
        if !late.is_empty() {
            guard.hold(&late)?;
            fault::at(Point::LateFindTold);
            for &id in &late {
                self.exempt.remove(&id);
            }
            if guard.is_told() {
                for &id in &late {
                    self.stop(id)?;
                }
            }
        }
        let now = monotonic();
        if now.saturating_sub(pausing.reminded) >= REMIND {
            pausing.reminded = now;
            for id in sent {
                self.stop(id)?;
            }
        }
        Ok(())
    }

    fn stop(&mut self, id: ProcId) -> Result<(), Refusal> {
        // First, so that a panic in between continues it.
        self.held.insert(id);
        match id.signal(libc::SIGSTOP) {
            Sent::Done | Sent::Gone => Ok(()),
            Sent::Denied => {
                self.held.remove(&id);
                let process = Process::read(id.pid).or_else(|| Process::hidden(id.pid));
                Err(
                    process.map_or(Refusal::of(Reason::NotPermitted), |process| {
                        Refusal::by(process, Reason::NotPermitted)
                    }),
                )
            }
        }
    }
}
