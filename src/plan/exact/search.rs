//! The search for the best plan.
//!
//! The state is (tick, work done, running or paused in one of the ways). Minimum running and pausing
//! times are jumps over several ticks, so no age is stored; a limit on pauses is one more index.
//! Costs live in ring buffers, and one byte a cell and state remembers the way back.
//!
//! Costs are integers: grams scaled so that the dearest thinkable plan is 2^49 units, with a count
//! that breaks ties in the low bits. Sums are then exact, equal plans compare equal in whatever
//! order they were added up, and "fewer pauses at equal cost" is part of the same comparison.

use super::{Initial, Off, Phase, Problem, Solution};
use crate::plan::Way;

/// Bits of the units of the dearest plan, at most: what a float has to give. With the count a cost
/// stays below [`NEVER`].
const UNIT_BITS: u32 = 49;
/// A state that cannot be reached. Sums onto it stay above every reachable cost and below overflow.
const NEVER: i64 = 1 << 62;

/// How grams become costs. Good for 4,000 ticks.
struct Scale {
    units_per_gram: f64,
    /// Bits at the low end of a cost that count pauses.
    count_bits: u32,
    /// What a pause counts.
    pause: i64,
    /// Above the rounding of a whole plan: costs this near are equal.
    equal: i64,
}

impl Scale {
    fn new(problem: &Problem, ways: &[(Way, Off)]) -> Self {
        let ci = &problem.ci_g_per_kwh[..problem.horizon()];
        let most = |of: fn(&Off) -> f64| ways.iter().map(|(_, off)| of(off)).fold(0.0, f64::max);
        let kw = problem
            .run_kw
            .max(problem.wait_kw)
            .max(most(|off| off.idle_kw));
        let dearest_kwh =
            kw * problem.tick_min / 60.0 + most(|off| off.pause_kwh) + most(|off| off.resume_kwh);
        let dearest: f64 = ci.iter().map(|ci| dearest_kwh * ci.abs()).sum();

        let pauses = (ci.len() / (problem.least_run() + problem.least_pause()) + 1) as i64;
        // One pause more outweighs any number of releases.
        let pause = if ways.len() > 1 { pauses + 1 } else { 1 };
        let count_bits = (pauses * (pause + 1)).ilog2() + 1;
        let units = (1_i64 << UNIT_BITS.min(61 - count_bits)) as f64;
        Self {
            units_per_gram: if dearest > 0.0 { units / dearest } else { 0.0 },
            count_bits,
            pause,
            // Half a unit for each tick and lump of either plan.
            equal: 4 * (ci.len() as i64 + 2),
        }
    }

    fn cost(&self, kwh: f64, ci: f64) -> i64 {
        ((kwh * ci * self.units_per_gram).round() as i64) << self.count_bits
    }

    /// What one pause adds to break ties: itself in the count, and more units than rounding can
    /// make up for.
    fn mark(&self, way: Way) -> i64 {
        let count = match way {
            Way::Release if self.pause > 1 => self.pause + 1,
            Way::Release | Way::Hold => self.pause,
        };
        ((self.equal * count) << self.count_bits) + count
    }

    /// A cost without what [`Scale::mark`] added.
    fn units(&self, cost: i64) -> i64 {
        (cost >> self.count_bits) - self.equal * (cost & ((1 << self.count_bits) - 1))
    }

    /// Prefix sums of what each tick costs at this power, so that any stretch costs one subtraction.
    fn sums(&self, problem: &Problem, kw: f64) -> Sums {
        let ci = &problem.ci_g_per_kwh[..problem.horizon()];
        let mut sum = 0;
        let mut sums = Vec::with_capacity(ci.len() + 1);
        sums.push(0);
        sums.extend(ci.iter().map(|&ci| {
            sum += self.cost(kw * problem.tick_min / 60.0, ci);
            sum
        }));
        Sums(sums)
    }

    fn lumps(&self, problem: &Problem, kwh: f64) -> Vec<i64> {
        let ci = &problem.ci_g_per_kwh[..problem.horizon()];
        ci.iter().map(|&ci| self.cost(kwh, ci)).collect()
    }
}

struct Sums(Vec<i64>);

impl Sums {
    fn between(&self, from: usize, to: usize) -> i64 {
        self.0[to] - self.0[from]
    }
}

/// How a running cell was reached.
mod ran {
    pub(super) const ON: u8 = 0;
    /// Out of the first table of paused cells; one more for the second.
    pub(super) const RESUMED: u8 = 1;
    pub(super) const STARTED: u8 = 3;
    pub(super) const ALREADY: u8 = 4;
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
    /// Out of the paused cell (tick, work done) of this table.
    Resumed {
        table: usize,
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

/// The cheaper of two ways into each cell; `back` remembers which (0 or 1).
fn merge(row: &mut [i64], back: &mut [u8], first: (&[i64], i64), second: (&[i64], i64)) {
    let cells = row.iter_mut().zip(back);
    for ((cell, back), (&a, &b)) in cells.zip(first.0.iter().zip(second.0)) {
        let (a, b) = (a + first.1, b + second.1);
        *back = u8::from(b < a);
        *cell = if b < a { b } else { a };
    }
}

/// One more way into each cell, remembered as `mark` where it is cheaper.
fn improve(row: &mut [i64], back: &mut [u8], other: (&[i64], i64), mark: u8) {
    for ((cell, back), &cost) in row.iter_mut().zip(back).zip(other.0) {
        let cost = cost + other.1;
        *back = if cost < *cell { mark } else { *back };
        *cell = if cost < *cell { cost } else { *cell };
    }
}

/// The paused cells of one way.
struct Table {
    way: Way,
    save: usize,
    restore: usize,
    /// From the decision to pause until resuming is allowed.
    to_off: usize,
    /// From the decision to resume until pausing is allowed.
    to_run: usize,
    /// Work done in that time.
    gain: usize,
    /// Whether pauses may begin.
    may_begin: bool,
    /// Where the job is paused already, the tick from which it may resume.
    already: Option<usize>,
    idle: Sums,
    pause: Vec<i64>,
    resume: Vec<i64>,
    mark: i64,
    /// By level.
    costs: Vec<Ring>,
    back: Vec<u8>,
}

impl Table {
    fn new(problem: &Problem, (way, numbers): (Way, Off), scale: &Scale) -> Self {
        let (save, restore) = (numbers.pause_ticks as usize, numbers.resume_ticks as usize);
        let to_run = problem.least_run().max(restore + 1);
        Self {
            way,
            save,
            restore,
            to_off: save + problem.least_pause(),
            to_run,
            gain: to_run - restore,
            may_begin: numbers.may_begin,
            already: match problem.begins_off() {
                Some((begun, age)) if begun == way => {
                    Some(problem.least_pause().saturating_sub(age as usize))
                }
                _ => None,
            },
            idle: scale.sums(problem, numbers.idle_kw),
            pause: scale.lumps(problem, numbers.pause_kwh),
            resume: scale.lumps(problem, numbers.resume_kwh),
            mark: scale.mark(way),
            costs: Vec::new(),
            back: Vec::new(),
        }
    }
}

/// The ways that a plan may use: those that may begin, and the one that has begun.
fn ways(problem: &Problem, most_pauses: Option<usize>) -> Vec<(Way, Off)> {
    let begun = problem.begins_off().map(|(way, _)| way);
    let all = [
        Some((Way::Hold, problem.hold)),
        problem.release.map(|release| (Way::Release, release)),
    ];
    (all.into_iter().flatten())
        .map(|(way, off)| {
            let may_begin = off.may_begin && most_pauses != Some(0);
            (way, Off { may_begin, ..off })
        })
        .filter(|(way, off)| off.may_begin || begun == Some(*way))
        .collect()
}

/// The best plan with so many pauses at most.
pub(super) fn search(problem: &Problem, most_pauses: Option<usize>) -> Option<Solution> {
    let (last, work) = (problem.horizon(), problem.work_ticks as usize);
    if work > last {
        return None;
    }
    let ways = ways(problem, most_pauses);
    let scale = Scale::new(problem, &ways);
    let running = scale.sums(problem, problem.run_kw);
    let waiting = scale.sums(problem, problem.wait_kw);
    let mut tables: Vec<Table> = (ways.into_iter())
        .map(|way| Table::new(problem, way, &scale))
        .collect();
    let least_run = problem.least_run();
    let levels = most_pauses.map_or(1, |most| most.min(last) + 1);
    let latest_start = problem.latest_start_tick.map_or(last, |tick| tick as usize);
    let fresh = problem.initial == Initial::Fresh;
    let already_running = match problem.initial {
        Initial::Running(age) => Some(least_run.saturating_sub(age as usize)),
        _ => None,
    };

    let most = |of: fn(&Table) -> usize| tables.iter().map(of).max().unwrap_or(1);
    let pad = most(|table| table.gain).min(work);
    let width = work + pad;
    let never = vec![NEVER; width];
    let layers = most(|table| table.to_off).min(last) + 1;
    let mut run: Vec<_> = (0..levels).map(|_| Ring::new(layers, width)).collect();
    let cell = |level: usize, tick: usize, done: usize| (level * (last + 1) + tick) * work + done;
    let mut run_back = vec![ran::ON; levels * (last + 1) * work];
    for table in &mut tables {
        let layers = table.to_run.min(last) + 1;
        table.costs = (0..levels).map(|_| Ring::new(layers, width)).collect();
        table.back = vec![off::STAYED; levels * (last + 1) * work];
    }

    let mut ends: Vec<Option<(i64, Finish)>> = vec![None; last + 1];
    let mut finish = |end: usize, cost: i64, how: Finish| {
        if cost < NEVER && end <= last && ends[end].is_none_or(|(best, _)| cost < best) {
            ends[end] = Some((cost, how));
        }
    };
    if already_running.is_some_and(|least| work <= least) {
        finish(work, running.between(0, work), Finish::Straight { from: 0 });
    }

    for tick in 0..=last {
        if fresh && work <= least_run && tick <= latest_start && tick + work <= last {
            let cost = waiting.between(0, tick) + running.between(tick, tick + work);
            finish(tick + work, cost, Finish::Straight { from: tick });
        }
        // Below this band it is too late, above it impossible.
        let (low, high) = (work.saturating_sub(last - tick), (work - 1).min(tick));
        if low > high {
            continue;
        }
        let band = |shift: usize| low + pad - shift..high + pad - shift + 1;
        for level in 0..levels {
            for (index, table) in tables.iter_mut().enumerate() {
                let mut row = table.costs[level].take(tick);
                let back = &mut table.back[cell(level, tick, low)..cell(level, tick, high) + 1];
                let stayed = match tick {
                    0 => (&never[..], 0),
                    _ => {
                        let cost = table.idle.between(tick - 1, tick);
                        (table.costs[level].row(tick - 1), cost)
                    }
                };
                let pausing_from = match most_pauses {
                    _ if !table.may_begin => None,
                    None => Some(level),
                    Some(_) => level.checked_sub(1),
                };
                let paused = match (pausing_from, tick.checked_sub(table.to_off)) {
                    (Some(level), Some(from)) => {
                        let saved = from + table.save;
                        let cost = table.pause[from] + running.between(from, saved);
                        let cost = cost + table.idle.between(saved, tick) + table.mark;
                        (run[level].row(from), cost)
                    }
                    _ => (&never[..], 0),
                };
                merge(
                    &mut row[band(0)],
                    back,
                    (&stayed.0[band(0)], stayed.1),
                    (&paused.0[band(0)], paused.1),
                );
                if level == 0 && table.already == Some(tick) && low == 0 {
                    row[pad] = table.idle.between(0, tick);
                    table.back[cell(0, tick, 0)] = off::ALREADY;
                }
                for done in low.max(work.saturating_sub(table.gain))..=high {
                    let end = tick + table.restore + work - done;
                    if tick < last && end <= last && row[done + pad] < NEVER {
                        let cost = row[done + pad] + table.resume[tick];
                        let how = Finish::Resumed {
                            table: index,
                            tick,
                            done,
                            level,
                        };
                        finish(end, cost + running.between(tick, end), how);
                    }
                }
                table.costs[level].put(tick, row);
            }

            let mut row = run[level].take(tick);
            let back = &mut run_back[cell(level, tick, low)..cell(level, tick, high) + 1];
            let on = match tick {
                0 => (&never[..], 0),
                _ => (run[level].row(tick - 1), running.between(tick - 1, tick)),
            };
            let mut resumed = tables.iter().map(|table| {
                // A gain as large as the work never lands in the band: it ends the job instead.
                let from = tick.checked_sub(table.to_run)?;
                let cost = table.resume[from] + running.between(from, tick);
                (table.gain < work).then(|| (&table.costs[level].row(from)[band(table.gain)], cost))
            });
            let first = resumed.next().flatten();
            merge(
                &mut row[band(0)],
                back,
                (&on.0[band(1)], on.1),
                first.unwrap_or((&never[band(0)], 0)),
            );
            if let Some(second) = resumed.next().flatten() {
                improve(&mut row[band(0)], back, second, ran::RESUMED + 1);
            }
            if level == 0 && fresh && (low..=high).contains(&least_run) {
                let from = tick - least_run;
                if from <= latest_start {
                    row[least_run + pad] = waiting.between(0, from) + running.between(from, tick);
                    run_back[cell(0, tick, least_run)] = ran::STARTED;
                }
            }
            if level == 0 && already_running == Some(tick) && (low..=high).contains(&tick) {
                row[tick + pad] = running.between(0, tick);
                run_back[cell(0, tick, tick)] = ran::ALREADY;
            }
            if high == work - 1 && tick < last {
                let cost = row[work - 1 + pad] + running.between(tick, tick + 1);
                finish(tick + 1, cost, Finish::Ran { level });
            }
            run[level].put(tick, row);
        }
    }

    let cheapest = ends
        .iter()
        .flatten()
        .map(|(cost, _)| scale.units(*cost))
        .min()?;
    let (end, how) = ends.iter().enumerate().find_map(|(end, best)| {
        let (cost, how) = (*best)?;
        (scale.units(cost) <= cheapest + scale.equal).then_some((end, how))
    })?;

    // The way back, last phase first. It is in a table of paused cells, or running.
    let mut phases = Backwards(Vec::new());
    let (mut tick, mut done, mut level, mut paused) = match how {
        Finish::Straight { from } => {
            phases.push(Phase::Run, end - from);
            phases.push(Phase::Wait, from);
            return Some(Solution::new(problem, phases.forwards()));
        }
        Finish::Ran { level } => {
            phases.push(Phase::Run, 1);
            (end - 1, work - 1, level, None)
        }
        Finish::Resumed {
            table,
            tick,
            done,
            level,
        } => {
            phases.push(Phase::Run, work - done);
            phases.push(Phase::Restore(tables[table].way), tables[table].restore);
            (tick, done, level, Some(table))
        }
    };
    loop {
        let here = cell(level, tick, done);
        match paused.map(|table| &tables[table]) {
            None => match run_back[here] {
                ran::ON => {
                    phases.push(Phase::Run, 1);
                    (tick, done) = (tick - 1, done - 1);
                }
                ran::STARTED => {
                    phases.push(Phase::Run, least_run);
                    phases.push(Phase::Wait, tick - least_run);
                    break;
                }
                ran::ALREADY => {
                    phases.push(Phase::Run, tick);
                    break;
                }
                resumed => {
                    let index = usize::from(resumed - ran::RESUMED);
                    let table = &tables[index];
                    phases.push(Phase::Run, table.gain);
                    phases.push(Phase::Restore(table.way), table.restore);
                    (tick, done, paused) = (tick - table.to_run, done - table.gain, Some(index));
                }
            },
            Some(table) => match table.back[here] {
                off::STAYED => {
                    phases.push(Phase::Paused(table.way), 1);
                    tick -= 1;
                }
                off::PAUSED => {
                    phases.push(Phase::Paused(table.way), problem.least_pause());
                    phases.push(Phase::Save(table.way), table.save);
                    (tick, paused) = (tick - table.to_off, None);
                    level -= usize::from(most_pauses.is_some());
                }
                _ => {
                    phases.push(Phase::Paused(table.way), tick);
                    break;
                }
            },
        }
    }
    Some(Solution::new(problem, phases.forwards()))
}

/// Phases collected from the last to the first, equal neighbours joined.
struct Backwards(Vec<(Phase, u32)>);

impl Backwards {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pause_more_outweighs_any_number_of_releases_and_no_count_spills_over() {
        let off = Off {
            pause_ticks: 0,
            resume_ticks: 0,
            pause_kwh: 0.0,
            resume_kwh: 0.0,
            idle_kw: 0.0,
            may_begin: true,
        };
        for ticks in [1, 2, 12, 600, 4000] {
            let problem = Problem {
                tick_min: 5.0,
                run_kw: 1.0,
                wait_kw: 0.0,
                hold: off,
                release: Some(off),
                min_run_ticks: 0,
                min_pause_ticks: 0,
                max_pauses: None,
                latest_start_tick: None,
                initial: Initial::Running(1),
                ci_g_per_kwh: vec![300.0; ticks as usize],
                deadline_ticks: ticks,
                work_ticks: 1,
            };
            let scale = Scale::new(&problem, &ways(&problem, None));
            let (hold, release) = (scale.mark(Way::Hold), scale.mark(Way::Release));
            // Paused every other tick, from the first on.
            let most = i64::from(ticks.div_ceil(2));
            assert!(hold < release);
            assert!(hold * most > release * (most - 1), "{ticks}");
            assert_eq!(scale.units(release * most), 0, "{ticks}");
            let dearest = scale.cost(1.0 / 12.0, 300.0) * i64::from(ticks);
            assert!(dearest + release * most < NEVER, "{ticks}");
        }
    }
}
