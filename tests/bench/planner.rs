//! How long the exact planner takes: 600 ticks must stay under a millisecond.

use catrain::plan::exact::{Initial, Off, Problem, solve};

fn main() {
    divan::main();
}

/// A day that swings twice with some noise, half of the time work: the widest band of states.
fn problem(ticks: u32) -> Problem {
    let mut noise = 1_u32;
    let ci = (0..ticks).map(|tick| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let day = f64::from(tick) * 5.0 / 1440.0 * std::f64::consts::TAU;
        300.0 + 80.0 * day.sin() + 40.0 * (2.0 * day).cos() + f64::from(noise >> 27)
    });
    Problem {
        tick_min: 5.0,
        run_kw: 0.7,
        wait_kw: 0.0,
        hold: Off {
            pause_ticks: 0,
            resume_ticks: 1,
            pause_kwh: 0.01,
            resume_kwh: 0.02,
            idle_kw: 0.07,
            may_begin: true,
        },
        release: None,
        min_run_ticks: 2,
        min_pause_ticks: 1,
        max_pauses: None,
        latest_start_tick: None,
        initial: Initial::Fresh,
        deadline_ticks: ticks,
        work_ticks: ticks / 2,
        ci_g_per_kwh: ci.collect(),
    }
}

#[divan::bench(args = [144, 288, 576, 600])]
fn exact(bencher: divan::Bencher<'_, '_>, ticks: u32) {
    let problem = problem(ticks);
    bencher.bench_local(|| solve(divan::black_box(&problem)));
}

/// The same with a second way to pause.
#[divan::bench(args = [144, 288, 576, 600])]
fn exact_with_two_ways(bencher: divan::Bencher<'_, '_>, ticks: u32) {
    let problem = Problem {
        release: Some(Off {
            pause_ticks: 2,
            resume_ticks: 4,
            pause_kwh: 0.01,
            resume_kwh: 0.02,
            idle_kw: 0.0,
            may_begin: true,
        }),
        ..problem(ticks)
    };
    bencher.bench_local(|| solve(divan::black_box(&problem)));
}

#[divan::bench(args = [0, 1, 3])]
fn exact_600_with_a_limit_on_pauses(bencher: divan::Bencher<'_, '_>, most: u32) {
    let problem = Problem {
        max_pauses: Some(most),
        // Pausing costs nothing, so that the limit binds.
        hold: Off {
            pause_ticks: 0,
            resume_ticks: 0,
            pause_kwh: 0.0,
            resume_kwh: 0.0,
            idle_kw: 0.0,
            may_begin: true,
        },
        ..problem(600)
    };
    bencher.bench_local(|| solve(divan::black_box(&problem)));
}
