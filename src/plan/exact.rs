//! The exact planner: the plan of least grams for one pausable job, by dynamic programming.
//!
//! Here are the problem, its rules, and what a plan costs; the search for the best one is in
//! `search`. Time is cut into ticks. A pause may be made in two ways, each with numbers of its own;
//! the plan says which.

mod search;

use self::search::search;
use super::Way;

/// What the job is doing during a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not started yet.
    Wait,
    /// Making progress.
    Run,
    /// Saving its state before a pause.
    Save(Way),
    /// Paused.
    Paused(Way),
    /// Restoring its state after a pause.
    Restore(Way),
}

/// Where the job stands at tick 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Not started.
    Fresh,
    /// Running, with so many ticks already spent towards `min_run_ticks`.
    Running(u32),
    /// Paused by [`Way::Hold`], with so many ticks already spent towards `min_pause_ticks`.
    Paused(u32),
    /// The same by [`Way::Release`]. Where the problem has no numbers for it, the same as paused.
    Released(u32),
}

/// What a pause costs that is made in one of the ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Off {
    /// Ticks lost to save.
    pub pause_ticks: u32,
    /// Ticks lost to restore and warm up.
    pub resume_ticks: u32,
    /// Energy of one pause on top, in kWh, priced at the first tick after the decision.
    pub pause_kwh: f64,
    /// Energy of one resume on top, in kWh, priced at the first tick after the decision.
    pub resume_kwh: f64,
    /// Power while paused, in kW.
    pub idle_kw: f64,
    /// Whether a pause may begin in this way. One that has begun may always end.
    pub may_begin: bool,
}

/// One planning problem. Tick 0 starts now.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Length of a tick in minutes.
    pub tick_min: f64,
    /// Power while running, saving and restoring, in kW.
    pub run_kw: f64,
    /// Power of reserved hardware before the first start, in kW.
    pub wait_kw: f64,
    /// What a pause costs by [`Way::Hold`]; by the only way, where there is but one.
    pub hold: Off,
    /// What it costs by [`Way::Release`], where there is the choice.
    pub release: Option<Off>,
    /// Least ticks from a start, or from the start of restoring, to the next pause; waived when the
    /// job ends. 0 means 1.
    pub min_run_ticks: u32,
    /// Least ticks paused, saving excluded, before restoring may begin. 0 means 1.
    pub min_pause_ticks: u32,
    /// Pauses still allowed; none: no limit.
    pub max_pauses: Option<u32>,
    /// Latest tick at which a fresh job may start; none: no limit but the deadline.
    pub latest_start_tick: Option<u32>,
    /// Where the job stands.
    pub initial: Initial,
    /// Carbon intensity of each tick in g/kWh. Ticks past its end cannot be planned.
    pub ci_g_per_kwh: Vec<f64>,
    /// The work must end at or before this tick.
    pub deadline_ticks: u32,
    /// Productive ticks still needed.
    pub work_ticks: u32,
}

/// The best plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Its emissions in grams.
    pub grams: f64,
    /// Its phases with their lengths in ticks, ending with the last productive tick.
    pub phases: Vec<(Phase, u32)>,
    /// The tick boundary at which it ends.
    pub end_tick: u32,
    /// How often it pauses.
    pub pauses: u32,
}

impl Solution {
    fn new(problem: &Problem, phases: Vec<(Phase, u32)>) -> Self {
        let begins_running = matches!(problem.initial, Initial::Running(_));
        let starts_off = phases
            .first()
            .is_some_and(|(phase, _)| matches!(phase, Phase::Save(_) | Phase::Paused(_)));
        let later = phases
            .windows(2)
            .filter(|pair| pair[0].0 == Phase::Run && pair[1].0 != Phase::Run)
            .count() as u32;
        Self {
            grams: cost_of(problem, &phases),
            end_tick: phases.iter().map(|(_, ticks)| ticks).sum(),
            pauses: later + u32::from(begins_running && starts_off),
            phases,
        }
    }
}

impl Problem {
    /// Last tick boundary that can be planned to.
    pub fn horizon(&self) -> usize {
        (self.deadline_ticks as usize).min(self.ci_g_per_kwh.len())
    }

    fn least_run(&self) -> usize {
        self.min_run_ticks.max(1) as usize
    }

    fn least_pause(&self) -> usize {
        self.min_pause_ticks.max(1) as usize
    }

    /// What a pause costs that is made in this way.
    pub fn off(&self, way: Way) -> &Off {
        match (way, &self.release) {
            (Way::Release, Some(release)) => release,
            (Way::Release | Way::Hold, _) => &self.hold,
        }
    }

    /// The rule of thumb: whether a pause of so many ticks takes less energy by [`Way::Release`]. It
    /// does when the pause is longer than the energy to save and restore, divided by the power while
    /// paused; each beyond what it is by [`Way::Hold`].
    pub fn release_pays(&self, paused_ticks: u32) -> bool {
        let kwh = |off: &Off| {
            let switching = f64::from(off.pause_ticks) + f64::from(off.resume_ticks);
            let kwh = self.run_kw * switching + off.idle_kw * f64::from(paused_ticks);
            kwh * self.tick_min / 60.0 + off.pause_kwh + off.resume_kwh
        };
        (self.release.as_ref()).is_some_and(|release| kwh(release) < kwh(&self.hold))
    }

    /// The way in which the job is paused at tick 0, and for how many ticks it has been.
    pub(super) fn begins_off(&self) -> Option<(Way, u32)> {
        match self.initial {
            Initial::Fresh | Initial::Running(_) => None,
            Initial::Released(age) if self.release.is_some() => Some((Way::Release, age)),
            Initial::Paused(age) | Initial::Released(age) => Some((Way::Hold, age)),
        }
    }

    /// The phase that came before tick 0.
    pub(super) fn phase_before(&self) -> Phase {
        match (self.initial, self.begins_off()) {
            (_, Some((way, _))) => Phase::Paused(way),
            (Initial::Fresh, None) => Phase::Wait,
            (_, None) => Phase::Run,
        }
    }

    /// Power in a phase, in kW.
    pub(super) fn kw(&self, phase: Phase) -> f64 {
        match phase {
            Phase::Wait => self.wait_kw,
            Phase::Paused(way) => self.off(way).idle_kw,
            Phase::Run | Phase::Save(_) | Phase::Restore(_) => self.run_kw,
        }
    }
}

/// The plan of least grams, or none if no legal plan meets the deadline. At equal cost the plan
/// that ends first, then the one with fewer pauses, then the one that releases less often. Takes
/// under a millisecond for 600 ticks.
pub fn solve(problem: &Problem) -> Option<Solution> {
    if problem.work_ticks == 0 {
        return Some(Solution::new(problem, Vec::new()));
    }
    if problem.max_pauses == Some(0) {
        return search(problem, Some(0));
    }
    let free = search(problem, None)?;
    // A limit that the free optimum keeps changes nothing, and costs an index when searched.
    match problem.max_pauses {
        Some(most) if free.pauses > most => search(problem, Some(most as usize)),
        _ => Some(free),
    }
}

/// Emissions of `phases` in grams, whether they are legal or not. Ticks past the end of the
/// intensities cost nothing.
pub fn cost_of(problem: &Problem, phases: &[(Phase, u32)]) -> f64 {
    let ci = |tick: usize| problem.ci_g_per_kwh.get(tick).copied().unwrap_or(0.0);
    let mut before = problem.phase_before();
    let (mut grams, mut tick) = (0.0, 0);
    for &(phase, ticks) in phases.iter().filter(|(_, ticks)| *ticks > 0) {
        grams += lump_kwh(problem, before, phase) * ci(tick);
        for _ in 0..ticks {
            grams += problem.kw(phase) * ci(tick) * problem.tick_min / 60.0;
            tick += 1;
        }
        before = phase;
    }
    grams
}

/// The energy lump of going from one phase to the next, in kWh.
pub(super) fn lump_kwh(problem: &Problem, before: Phase, after: Phase) -> f64 {
    match (before, after) {
        (Phase::Run, Phase::Save(way) | Phase::Paused(way)) => problem.off(way).pause_kwh,
        (Phase::Paused(way), Phase::Restore(_) | Phase::Run) => problem.off(way).resume_kwh,
        _ => 0.0,
    }
}

/// Emissions in grams of running as soon as the minimum pause allows, without any further pause;
/// none if that misses the deadline.
pub fn run_now_grams(problem: &Problem) -> Option<f64> {
    let mut phases = Vec::new();
    if let Some((way, age)) = problem.begins_off()
        && problem.work_ticks > 0
    {
        let left = problem.min_pause_ticks.max(1).saturating_sub(age);
        phases.push((Phase::Paused(way), left));
        phases.push((Phase::Restore(way), problem.off(way).resume_ticks));
    }
    phases.push((Phase::Run, problem.work_ticks));
    let end: usize = phases.iter().map(|(_, ticks)| *ticks as usize).sum();
    (end <= problem.horizon()).then(|| cost_of(problem, &phases))
}

/// Whether `phases` is a plan that the rules allow, with the first rule it breaks.
///
/// # Errors
///
/// A sentence that names the rule.
pub fn check(problem: &Problem, phases: &[(Phase, u32)]) -> Result<(), &'static str> {
    if problem.work_ticks == 0 {
        return match phases.is_empty() {
            true => Ok(()),
            false => Err("nothing is left to do"),
        };
    }
    let ticks = || {
        phases
            .iter()
            .flat_map(|&(phase, ticks)| std::iter::repeat_n(phase, ticks as usize))
    };
    if ticks().count() > problem.horizon() {
        return Err("ends after the deadline");
    }
    if ticks().filter(|phase| *phase == Phase::Run).count() != problem.work_ticks as usize {
        return Err("does another amount of work");
    }
    if ticks().last() != Some(Phase::Run) {
        return Err("goes on after the work is done");
    }
    let mut before = problem.phase_before();
    let (mut age, mut since_start) = match problem.initial {
        Initial::Fresh => (0, 0),
        Initial::Running(age) => (age, age),
        Initial::Paused(age) | Initial::Released(age) => (age, 0),
    };
    let (mut pauses, mut waited) = (0, 0);
    for phase in ticks() {
        let save = |way| problem.off(way).pause_ticks;
        let restore = |way| problem.off(way).resume_ticks;
        let allowed = match (before, phase) {
            (Phase::Wait, Phase::Wait | Phase::Run) | (Phase::Run, Phase::Run) => true,
            (Phase::Run, Phase::Save(way)) => save(way) > 0,
            (Phase::Run, Phase::Paused(way)) => save(way) == 0,
            (Phase::Save(way), Phase::Save(on)) => way == on && age < save(way),
            (Phase::Save(way), Phase::Paused(on)) => way == on && age == save(way),
            (Phase::Paused(way), Phase::Paused(on)) => way == on,
            (Phase::Paused(way), Phase::Restore(on)) => way == on && restore(way) > 0,
            (Phase::Paused(way), Phase::Run) => restore(way) == 0,
            (Phase::Restore(way), Phase::Restore(on)) => way == on && age < restore(way),
            (Phase::Restore(way), Phase::Run) => age == restore(way),
            _ => false,
        };
        if !allowed {
            return Err("phases do not follow each other so");
        }
        if before == Phase::Run
            && let Phase::Save(way) | Phase::Paused(way) = phase
        {
            let is_known = way == Way::Hold || problem.release.is_some();
            if !is_known || !problem.off(way).may_begin {
                return Err("pauses in a way that is not allowed");
            }
        }
        if before == Phase::Run && phase != Phase::Run {
            pauses += 1;
            if since_start < problem.min_run_ticks.max(1) {
                return Err("pauses before the least running time");
            }
        }
        let resumes = matches!(before, Phase::Paused(_)) && before != phase;
        if resumes && age < problem.min_pause_ticks.max(1) {
            return Err("resumes before the least pause");
        }
        waited += u32::from(phase == Phase::Wait);
        age = if phase == before { age + 1 } else { 1 };
        since_start = match (before, phase) {
            (Phase::Wait | Phase::Paused(_), Phase::Run)
            | (Phase::Paused(_), Phase::Restore(_)) => 1,
            _ => since_start + 1,
        };
        before = phase;
    }
    if problem.max_pauses.is_some_and(|most| pauses > most) {
        return Err("pauses too often");
    }
    if problem.latest_start_tick.is_some_and(|last| waited > last) {
        return Err("starts too late");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
