//! The exact planner: the plan of least grams for one pausable job, by dynamic programming.
//!
//! Time is cut into ticks and the state is (tick, work done, running or paused). Minimum running
//! and pausing times are jumps over several ticks, so no age is stored; a limit on pauses is one
//! more index. Costs live in ring buffers, and one byte a cell and state remembers the way back.
//!
//! Costs are integers: grams scaled so that the dearest thinkable plan is 2^49 units, with the
//! number of pauses in the low 12 bits. Sums are then exact, equal plans compare equal in whatever
//! order they were added up, and "fewer pauses at equal cost" is part of the same comparison.

/// What the job is doing during a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not started yet.
    Wait,
    /// Making progress.
    Run,
    /// Saving its state before a pause.
    Save,
    /// Paused.
    Paused,
    /// Restoring its state after a pause.
    Restore,
}

/// Where the job stands at tick 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Not started.
    Fresh,
    /// Running, with so many ticks already spent towards `min_run_ticks`.
    Running(u32),
    /// Paused, with so many ticks already spent towards `min_pause_ticks`.
    Paused(u32),
}

/// One planning problem. Tick 0 starts now.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Length of a tick in minutes.
    pub tick_min: f64,
    /// Power while running, saving and restoring, in kW.
    pub run_kw: f64,
    /// Power while paused, in kW.
    pub idle_kw: f64,
    /// Power of reserved hardware before the first start, in kW.
    pub wait_kw: f64,
    /// Ticks lost to save.
    pub pause_ticks: u32,
    /// Ticks lost to restore and warm up.
    pub resume_ticks: u32,
    /// Energy of one pause on top, in kWh, priced at the first tick after the decision.
    pub pause_kwh: f64,
    /// Energy of one resume on top, in kWh, priced at the first tick after the decision.
    pub resume_kwh: f64,
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

    fn kw(&self, phase: Phase) -> f64 {
        match phase {
            Phase::Wait => self.wait_kw,
            Phase::Paused => self.idle_kw,
            Phase::Run | Phase::Save | Phase::Restore => self.run_kw,
        }
    }
}

/// The plan of least grams, or none if no legal plan meets the deadline. At equal cost the plan
/// that ends first, then the one with fewer pauses. Takes under a millisecond for 600 ticks.
pub fn solve(problem: &Problem) -> Option<Solution> {
    if problem.work_ticks == 0 {
        return Some(solution(problem, Vec::new()));
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
    let mut before = match problem.initial {
        Initial::Fresh => Phase::Wait,
        Initial::Running(_) => Phase::Run,
        Initial::Paused(_) => Phase::Paused,
    };
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
        (Phase::Run, Phase::Save | Phase::Paused) => problem.pause_kwh,
        (Phase::Paused, Phase::Restore | Phase::Run) => problem.resume_kwh,
        _ => 0.0,
    }
}

/// Emissions in grams of running as soon as the minimum pause allows, without any further pause;
/// none if that misses the deadline.
pub fn run_now_grams(problem: &Problem) -> Option<f64> {
    let mut phases = Vec::new();
    if let Initial::Paused(age) = problem.initial
        && problem.work_ticks > 0
    {
        phases.push((
            Phase::Paused,
            problem.min_pause_ticks.max(1).saturating_sub(age),
        ));
        phases.push((Phase::Restore, problem.resume_ticks));
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
    let (mut before, mut age, mut since_start) = match problem.initial {
        Initial::Fresh => (Phase::Wait, 0, 0),
        Initial::Running(age) => (Phase::Run, age, age),
        Initial::Paused(age) => (Phase::Paused, age, 0),
    };
    let (mut pauses, mut waited) = (0, 0);
    for phase in ticks() {
        let allowed = match (before, phase) {
            (Phase::Wait, Phase::Wait | Phase::Run) | (Phase::Run, Phase::Run) => true,
            (Phase::Run, Phase::Save) => problem.pause_ticks > 0,
            (Phase::Run, Phase::Paused) => problem.pause_ticks == 0,
            (Phase::Save, Phase::Save) => age < problem.pause_ticks,
            (Phase::Save, Phase::Paused) => age == problem.pause_ticks,
            (Phase::Paused, Phase::Paused) => true,
            (Phase::Paused, Phase::Restore) => problem.resume_ticks > 0,
            (Phase::Paused, Phase::Run) => problem.resume_ticks == 0,
            (Phase::Restore, Phase::Restore) => age < problem.resume_ticks,
            (Phase::Restore, Phase::Run) => age == problem.resume_ticks,
            _ => false,
        };
        if !allowed {
            return Err("phases do not follow each other so");
        }
        if before == Phase::Run && phase != Phase::Run {
            pauses += 1;
            if since_start < problem.min_run_ticks.max(1) {
                return Err("pauses before the least running time");
            }
        }
        if before == Phase::Paused && phase != Phase::Paused && age < problem.min_pause_ticks.max(1)
        {
            return Err("resumes before the least pause");
        }
        waited += u32::from(phase == Phase::Wait);
        age = if phase == before { age + 1 } else { 1 };
        since_start = match (before, phase) {
            (Phase::Wait | Phase::Paused, Phase::Run) | (Phase::Paused, Phase::Restore) => 1,
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

/// Bits at the low end of a cost that count pauses: 4095 of them, more than ticks allow.
const COUNT_BITS: u32 = 12;
/// Units of the dearest plan. With the count it stays below [`NEVER`].
const UNITS: f64 = (1_u64 << 49) as f64;
/// A state that cannot be reached. Sums onto it stay above every reachable cost and below overflow.
const NEVER: i64 = 1 << 62;

/// Prices in units, as prefix sums, so that any stretch costs one subtraction.
struct Prices {
    run: Vec<i64>,
    idle: Vec<i64>,
    wait: Vec<i64>,
    pause: Vec<i64>,
    resume: Vec<i64>,
    /// Above the rounding of a whole plan: costs this near are equal.
    equal: i64,
}

impl Prices {
    fn new(problem: &Problem) -> Self {
        let ci = &problem.ci_g_per_kwh[..problem.horizon()];
        let hours = problem.tick_min / 60.0;
        let dearest_kwh = problem.run_kw.max(problem.idle_kw).max(problem.wait_kw) * hours
            + problem.pause_kwh
            + problem.resume_kwh;
        let dearest: f64 = ci.iter().map(|ci| dearest_kwh * ci.abs()).sum();
        let scale = if dearest > 0.0 { UNITS / dearest } else { 0.0 };
        let units = |kwh: f64, ci: f64| ((kwh * ci * scale).round() as i64) << COUNT_BITS;
        let sums = |kw: f64| {
            let mut sum = 0;
            let mut sums = Vec::with_capacity(ci.len() + 1);
            sums.push(0);
            sums.extend(ci.iter().map(|&ci| {
                sum += units(kw * hours, ci);
                sum
            }));
            sums
        };
        let lumps = |kwh: f64| ci.iter().map(|&ci| units(kwh, ci)).collect();
        Self {
            run: sums(problem.run_kw),
            idle: sums(problem.idle_kw),
            wait: sums(problem.wait_kw),
            pause: lumps(problem.pause_kwh),
            resume: lumps(problem.resume_kwh),
            // Half a unit for each tick and lump of either plan.
            equal: 4 * (ci.len() as i64 + 2),
        }
    }

    fn run(&self, from: usize, to: usize) -> i64 {
        self.run[to] - self.run[from]
    }

    fn idle(&self, from: usize, to: usize) -> i64 {
        self.idle[to] - self.idle[from]
    }

    /// What one pause adds to break ties: itself in the count, and more units than rounding can
    /// make up for.
    fn mark(&self) -> i64 {
        (self.equal << COUNT_BITS) + 1
    }

    /// A cost without what [`Prices::mark`] added.
    fn units(&self, cost: i64) -> i64 {
        (cost >> COUNT_BITS) - self.equal * (cost & ((1 << COUNT_BITS) - 1))
    }
}

/// How a running cell was reached.
mod ran {
    pub(super) const ON: u8 = 0;
    pub(super) const RESUMED: u8 = 1;
    pub(super) const STARTED: u8 = 2;
    pub(super) const ALREADY: u8 = 3;
}

/// How a paused cell was reached.
mod off {
    pub(super) const STAYED: u8 = 0;
    pub(super) const PAUSED: u8 = 1;
    pub(super) const ALREADY: u8 = 2;
}

/// How a plan that ends at some tick gets there.
#[derive(Clone, Copy)]
enum Finish {
    /// All at once, started (or already running) at this tick.
    Straight { from: usize },
    /// Out of the running cell (end − 1, W − 1).
    Ran { level: usize },
    /// Out of the paused cell (tick, work done).
    Resumed {
        tick: usize,
        done: usize,
        level: usize,
    },
}

/// The last layers of one state's costs: a ring of rows, each indexed by work done plus `pad`.
struct Ring {
    rows: Vec<Vec<i64>>,
}

impl Ring {
    fn new(layers: usize, width: usize) -> Self {
        Self {
            rows: vec![vec![NEVER; width]; layers],
        }
    }

    fn row(&self, tick: usize) -> &[i64] {
        &self.rows[tick % self.rows.len()]
    }

    fn take(&mut self, tick: usize) -> Vec<i64> {
        let layers = self.rows.len();
        std::mem::take(&mut self.rows[tick % layers])
    }

    fn put(&mut self, tick: usize, row: Vec<i64>) {
        let layers = self.rows.len();
        self.rows[tick % layers] = row;
    }
}

/// The cheaper of two ways into each cell; `way` remembers which (0 or 1).
fn merge(row: &mut [i64], way: &mut [u8], first: (&[i64], i64), second: (&[i64], i64)) {
    let ways = row.iter_mut().zip(way);
    for ((cell, way), (&a, &b)) in ways.zip(first.0.iter().zip(second.0)) {
        let (a, b) = (a + first.1, b + second.1);
        *way = u8::from(b < a);
        *cell = if b < a { b } else { a };
    }
}

fn search(problem: &Problem, most_pauses: Option<usize>) -> Option<Solution> {
    let (last, work) = (problem.horizon(), problem.work_ticks as usize);
    if work > last {
        return None;
    }
    let prices = Prices::new(problem);
    let (save, restore) = (problem.pause_ticks as usize, problem.resume_ticks as usize);
    let (least_run, least_pause) = (problem.least_run(), problem.least_pause());
    // From the decision to pause until resuming is allowed, and the other way round.
    let to_off = save + least_pause;
    let to_run = least_run.max(restore + 1);
    let gain = to_run - restore;
    let levels = most_pauses.map_or(1, |most| most.min(last) + 1);
    let latest_start = problem.latest_start_tick.map_or(last, |tick| tick as usize);
    let fresh = problem.initial == Initial::Fresh;
    let already_running = match problem.initial {
        Initial::Running(age) => Some(least_run.saturating_sub(age as usize)),
        _ => None,
    };
    let already_off = match problem.initial {
        Initial::Paused(age) => Some(least_pause.saturating_sub(age as usize)),
        _ => None,
    };

    let pad = gain.min(work);
    let width = work + pad;
    let never = vec![NEVER; width];
    let mut run: Vec<_> = (0..levels)
        .map(|_| Ring::new(to_off.min(last) + 1, width))
        .collect();
    let mut idle: Vec<_> = (0..levels)
        .map(|_| Ring::new(to_run.min(last) + 1, width))
        .collect();
    let cell = |level: usize, tick: usize, done: usize| (level * (last + 1) + tick) * work + done;
    let mut run_way = vec![ran::ON; levels * (last + 1) * work];
    let mut off_way = vec![off::STAYED; levels * (last + 1) * work];

    let mut ends: Vec<Option<(i64, Finish)>> = vec![None; last + 1];
    let mut finish = |end: usize, cost: i64, how: Finish| {
        if cost < NEVER && end <= last && ends[end].is_none_or(|(best, _)| cost < best) {
            ends[end] = Some((cost, how));
        }
    };
    if already_running.is_some_and(|least| work <= least) {
        finish(work, prices.run(0, work), Finish::Straight { from: 0 });
    }

    for tick in 0..=last {
        if fresh && work <= least_run && tick <= latest_start && tick + work <= last {
            let cost = prices.wait[tick] + prices.run(tick, tick + work);
            finish(tick + work, cost, Finish::Straight { from: tick });
        }
        // Below this band it is too late, above it impossible.
        let (low, high) = (work.saturating_sub(last - tick), (work - 1).min(tick));
        if low > high {
            continue;
        }
        let band = |shift: usize| low + pad - shift..high + pad - shift + 1;
        for level in 0..levels {
            let mut row = idle[level].take(tick);
            let way = &mut off_way[cell(level, tick, low)..cell(level, tick, high) + 1];
            let stayed = match tick {
                0 => (&never[..], 0),
                _ => (idle[level].row(tick - 1), prices.idle(tick - 1, tick)),
            };
            let pausing_from = match most_pauses {
                None => Some(level),
                Some(_) => level.checked_sub(1),
            };
            let paused = match (pausing_from, tick.checked_sub(to_off)) {
                (Some(level), Some(from)) => {
                    let saved = from + save;
                    let cost = prices.pause[from] + prices.run(from, saved);
                    let cost = cost + prices.idle(saved, tick) + prices.mark();
                    (run[level].row(from), cost)
                }
                _ => (&never[..], 0),
            };
            merge(
                &mut row[band(0)],
                way,
                (&stayed.0[band(0)], stayed.1),
                (&paused.0[band(0)], paused.1),
            );
            if level == 0 && already_off == Some(tick) && low == 0 {
                row[pad] = prices.idle(0, tick);
                off_way[cell(0, tick, 0)] = off::ALREADY;
            }
            for done in low.max(work.saturating_sub(gain))..=high {
                let end = tick + restore + work - done;
                if tick < last && end <= last && row[done + pad] < NEVER {
                    let cost = row[done + pad] + prices.resume[tick] + prices.run(tick, end);
                    finish(end, cost, Finish::Resumed { tick, done, level });
                }
            }
            idle[level].put(tick, row);

            let mut row = run[level].take(tick);
            let way = &mut run_way[cell(level, tick, low)..cell(level, tick, high) + 1];
            let on = match tick {
                0 => (&never[..], 0),
                _ => (run[level].row(tick - 1), prices.run(tick - 1, tick)),
            };
            // A gain as large as the work never lands in the band: it ends the job instead.
            let resumed = match tick.checked_sub(to_run) {
                Some(from) if gain < work => (
                    idle[level].row(from),
                    prices.resume[from] + prices.run(from, tick),
                ),
                _ => (&never[..], 0),
            };
            merge(
                &mut row[band(0)],
                way,
                (&on.0[band(1)], on.1),
                (&resumed.0[band(pad)], resumed.1),
            );
            if level == 0 && fresh && (low..=high).contains(&least_run) {
                let from = tick - least_run;
                if from <= latest_start {
                    row[least_run + pad] = prices.wait[from] + prices.run(from, tick);
                    run_way[cell(0, tick, least_run)] = ran::STARTED;
                }
            }
            if level == 0 && already_running == Some(tick) && (low..=high).contains(&tick) {
                row[tick + pad] = prices.run(0, tick);
                run_way[cell(0, tick, tick)] = ran::ALREADY;
            }
            if high == work - 1 && tick < last {
                let cost = row[work - 1 + pad] + prices.run(tick, tick + 1);
                finish(tick + 1, cost, Finish::Ran { level });
            }
            run[level].put(tick, row);
        }
    }

    let cheapest = ends
        .iter()
        .flatten()
        .map(|(cost, _)| prices.units(*cost))
        .min()?;
    let (end, how) = ends.iter().enumerate().find_map(|(end, best)| {
        let (cost, how) = (*best)?;
        (prices.units(cost) <= cheapest + prices.equal).then_some((end, how))
    })?;

    // The way back, last phase first.
    let mut back = Back(Vec::new());
    let (mut tick, mut done, mut level, mut running) = match how {
        Finish::Straight { from } => {
            back.push(Phase::Run, end - from);
            back.push(Phase::Wait, from);
            return Some(solution(problem, back.forwards()));
        }
        Finish::Ran { level } => {
            back.push(Phase::Run, 1);
            (end - 1, work - 1, level, true)
        }
        Finish::Resumed { tick, done, level } => {
            back.push(Phase::Run, work - done);
            back.push(Phase::Restore, restore);
            (tick, done, level, false)
        }
    };
    loop {
        if running {
            match run_way[cell(level, tick, done)] {
                ran::ON => {
                    back.push(Phase::Run, 1);
                    (tick, done) = (tick - 1, done - 1);
                }
                ran::RESUMED => {
                    back.push(Phase::Run, gain);
                    back.push(Phase::Restore, restore);
                    (tick, done, running) = (tick - to_run, done - gain, false);
                }
                ran::STARTED => {
                    back.push(Phase::Run, least_run);
                    back.push(Phase::Wait, tick - least_run);
                    break;
                }
                _ => {
                    back.push(Phase::Run, tick);
                    break;
                }
            }
        } else {
            match off_way[cell(level, tick, done)] {
                off::STAYED => {
                    back.push(Phase::Paused, 1);
                    tick -= 1;
                }
                off::PAUSED => {
                    back.push(Phase::Paused, least_pause);
                    back.push(Phase::Save, save);
                    (tick, running) = (tick - to_off, true);
                    level -= usize::from(most_pauses.is_some());
                }
                _ => {
                    back.push(Phase::Paused, tick);
                    break;
                }
            }
        }
    }
    Some(solution(problem, back.forwards()))
}

/// Phases collected from the last to the first, equal neighbours joined.
struct Back(Vec<(Phase, u32)>);

impl Back {
    fn push(&mut self, phase: Phase, ticks: usize) {
        let ticks = ticks as u32;
        match self.0.last_mut() {
            _ if ticks == 0 => {}
            Some((last, length)) if *last == phase => *length += ticks,
            _ => self.0.push((phase, ticks)),
        }
    }

    fn forwards(mut self) -> Vec<(Phase, u32)> {
        self.0.reverse();
        self.0
    }
}

fn solution(problem: &Problem, phases: Vec<(Phase, u32)>) -> Solution {
    let begins_running = matches!(problem.initial, Initial::Running(_));
    let starts_off = phases
        .first()
        .is_some_and(|(phase, _)| matches!(phase, Phase::Save | Phase::Paused));
    let later = phases
        .windows(2)
        .filter(|pair| pair[0].0 == Phase::Run && pair[1].0 != Phase::Run)
        .count() as u32;
    Solution {
        grams: cost_of(problem, &phases),
        end_tick: phases.iter().map(|(_, ticks)| ticks).sum(),
        pauses: later + u32::from(begins_running && starts_off),
        phases,
    }
}

#[cfg(test)]
mod tests;
