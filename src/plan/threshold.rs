//! `--policy threshold`: run while the intensity is at or below a limit.
//!
//! A fixed, explainable rule. Where paused hardware draws power it saves little: at 10 % idle power
//! next to nothing, at 25 % it emits more than running at once. Where the job may also leave, it does
//! so for pauses that are long enough by the rule of thumb.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::exact::{Initial, Phase, Problem};
use super::{Limit, Way};
use crate::forecast::Outlook;
use crate::units::GramsPerKwh;

impl FromStr for Limit {
    type Err = String;

    /// `250`, or `p30`.
    fn from_str(text: &str) -> Result<Self, String> {
        let hint = || {
            format!("`{text}` is no limit; expected g/kWh such as 250, or a percentile such as p30")
        };
        if let Some(percent) = text.strip_prefix(['p', 'P']) {
            let percent: f64 = percent.parse().map_err(|_| hint())?;
            return match percent {
                0.0..=100.0 => Ok(Self::Percentile(percent)),
                _ => Err("a percentile is between p0 and p100".to_owned()),
            };
        }
        match text.parse::<f64>() {
            Ok(limit) if (0.0..1e5).contains(&limit) => Ok(Self::Absolute(GramsPerKwh(limit))),
            _ => Err(hint()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(limit) => write!(f, "{}", limit.0),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

/// The limit in g/kWh; a percentile is that of the next 24 h, by nearest rank.
pub(super) fn limit(limit: Limit, now: Timestamp, outlook: &Outlook) -> GramsPerKwh {
    let percent = match limit {
        Limit::Absolute(limit) => return limit,
        Limit::Percentile(percent) => percent,
    };
    let quarter = Duration::from_secs(15 * 60);
    let mut ahead: Vec<f64> = outlook
        .expected
        .resample(now, quarter, 96)
        .into_iter()
        .flatten()
        .map(|intensity| intensity.0)
        .collect();
    ahead.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * ahead.len() as f64).ceil() as usize;
    let value = ahead.get(rank.clamp(1, ahead.len().max(1)) - 1);
    value.map_or(outlook.mean, |value| GramsPerKwh(*value))
}

/// The rule lived out on what is expected; it waits only as far as the problem's slack goes. None
/// if the work does not fit.
pub(super) fn plan(problem: &Problem, limit: GramsPerKwh) -> Option<Vec<(Phase, u32)>> {
    let clean = |tick: u32| {
        let ci = problem.ci_g_per_kwh.get(tick as usize);
        ci.is_none_or(|ci| *ci <= limit.0)
    };
    let least_run = problem.min_run_ticks.max(1);
    let least_pause = problem.min_pause_ticks.max(1);
    let mut slack = problem.deadline_ticks.checked_sub(problem.work_ticks)?;
    let mut plan = Plan::default();
    let mut paused = problem.begins_off();
    let mut ran_for = match problem.initial {
        Initial::Running(age) => age,
        Initial::Fresh | Initial::Paused(_) | Initial::Released(_) => 0,
    };
    // Whether a pause goes on that is so old, with this much slack, at this tick.
    let stays = |way, age: u32, slack: u32, tick: u32| {
        age < least_pause || (slack > problem.off(way).resume_ticks && !clean(tick))
    };
    // How a pause is made with this slack, at this tick.
    let way_at = |slack: u32, tick: u32| {
        let fits = |way: &Way| {
            let off = problem.off(*way);
            let needs = [off.pause_ticks, least_pause, off.resume_ticks];
            let needs: u64 = needs.into_iter().map(u64::from).sum();
            off.may_begin && u64::from(slack) >= needs
        };
        let hold = Some(Way::Hold).filter(fits);
        let release = (problem.release.is_some().then_some(Way::Release)).filter(fits);
        let (Some(_), Some(way)) = (hold, release) else {
            return hold.or(release);
        };
        let saved = problem.off(way).pause_ticks;
        let (slack, tick) = (slack - saved, tick + saved);
        let lasts = (0..).find(|age| !stays(way, *age, slack - age, tick + age));
        Some(match problem.release_pays(lasts.unwrap_or(0)) {
            true => Way::Release,
            false => Way::Hold,
        })
    };
    let mut left = problem.work_ticks;
    let mut pauses = 0;
    if problem.initial == Initial::Fresh {
        let most = problem.latest_start_tick.unwrap_or(slack).min(slack);
        while plan.ticks < most && !clean(plan.ticks) {
            plan.add(Phase::Wait, 1);
        }
        slack -= plan.ticks;
    }
    while left > 0 {
        if let Some((way, age)) = paused {
            let restore = problem.off(way).resume_ticks;
            if stays(way, age, slack, plan.ticks) {
                plan.add(Phase::Paused(way), 1);
                slack = slack.checked_sub(1)?;
                paused = Some((way, age + 1));
            } else {
                plan.add(Phase::Restore(way), restore);
                slack = slack.checked_sub(restore)?;
                (paused, ran_for) = (None, restore);
                plan.add(Phase::Run, 1);
                (ran_for, left) = (ran_for + 1, left - 1);
            }
        } else if !clean(plan.ticks)
            && ran_for >= least_run
            && problem.max_pauses.is_none_or(|most| pauses < most)
            && let Some(way) = way_at(slack, plan.ticks)
        {
            let save = problem.off(way).pause_ticks;
            plan.add(Phase::Save(way), save);
            slack -= save;
            (paused, pauses) = (Some((way, 0)), pauses + 1);
        } else {
            plan.add(Phase::Run, 1);
            (ran_for, left) = (ran_for + 1, left - 1);
        }
    }
    Some(plan.phases)
}

#[derive(Default)]
struct Plan {
    phases: Vec<(Phase, u32)>,
    ticks: u32,
}

impl Plan {
    fn add(&mut self, phase: Phase, ticks: u32) {
        self.ticks += ticks;
        match self.phases.last_mut() {
            _ if ticks == 0 => {}
            Some((last, length)) if *last == phase => *length += ticks,
            _ => self.phases.push((phase, ticks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::exact::{Off, check};

    const FREE: Off = Off {
        pause_ticks: 0,
        resume_ticks: 0,
        pause_kwh: 0.0,
        resume_kwh: 0.0,
        idle_kw: 0.0,
        may_begin: true,
    };

    fn problem(ci: &[f64], work_ticks: u32, initial: Initial) -> Problem {
        Problem {
            tick_min: 60.0,
            run_kw: 1.0,
            wait_kw: 0.0,
            hold: FREE,
            release: None,
            min_run_ticks: 0,
            min_pause_ticks: 0,
            max_pauses: None,
            latest_start_tick: None,
            initial,
            ci_g_per_kwh: ci.to_vec(),
            deadline_ticks: ci.len() as u32,
            work_ticks,
        }
    }

    #[test]
    fn it_runs_in_the_clean_ticks_and_waits_in_the_others() {
        use Phase::{Paused, Run, Wait};
        let problem = problem(&[300.0, 200.0, 300.0, 100.0, 300.0], 2, Initial::Fresh);
        let phases = plan(&problem, GramsPerKwh(200.0)).unwrap();
        assert_eq!(
            phases,
            [(Wait, 1), (Run, 1), (Paused(Way::Hold), 1), (Run, 1)]
        );
    }

    #[test]
    fn it_fits_the_deadline_and_keeps_the_rules_however_dirty_it_is() {
        let leaves = Off {
            pause_ticks: 0,
            resume_ticks: 2,
            ..FREE
        };
        let releases = [None, Some(FREE), Some(leaves)];
        let initials = [
            Initial::Fresh,
            Initial::Running(0),
            Initial::Paused(0),
            Initial::Released(0),
        ];
        for (initial, release) in initials.into_iter().flat_map(|a| releases.map(|b| (a, b))) {
            for limit in [0.0, 150.0, 250.0, 999.0] {
                for work_ticks in 1..=7 {
                    let ci = [
                        300.0, 100.0, 300.0, 200.0, 300.0, 100.0, 400.0, 300.0, 100.0, 300.0,
                    ];
                    let problem = Problem {
                        hold: Off {
                            pause_ticks: 1,
                            resume_ticks: 1,
                            ..FREE
                        },
                        release,
                        min_run_ticks: 2,
                        min_pause_ticks: 1,
                        ..problem(&ci, work_ticks, initial)
                    };
                    let phases = plan(&problem, GramsPerKwh(limit)).unwrap();
                    assert_eq!(check(&problem, &phases), Ok(()), "{phases:?} {problem:?}");
                }
            }
        }
        assert_eq!(
            plan(&problem(&[1.0; 3], 4, Initial::Fresh), GramsPerKwh(5.0)),
            None
        );
    }
}
