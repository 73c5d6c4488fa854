//! Whose energy it is: that of one device between two samples, split between the job and others.
//!
//! Alone on a device the job has all of it. With others, the idle part (the lowest power seen while
//! nobody used it) is split by the time that processes held the device, and the rest by utilisation ×
//! time. What nobody can say is kept apart. Over all jobs on a device the shares never exceed it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::units::Watts;

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The job's.
    Job,
    /// Someone else's.
    Other,
    /// It is not seen from here: that of another container, perhaps.
    Unseen,
}

/// Why the job may have a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It can see it, as others can.
    Visible,
    /// It was given it by name.
    Assigned,
    /// It is kept for the run, or all of the machine is counted: also while the job is held.
    Whole,
}

/// Who is on a device at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Occupancy {
    /// Its processes; none where the driver does not list them.
    pub processes: Option<BTreeMap<u32, Whose>>,
    /// Utilisation by process since the last sample, in percent of the device; none where the driver
    /// does not tell.
    pub busy: Option<BTreeMap<u32, f64>>,
}

/// Joules between two samples by whose they are; together at most those of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Split {
    /// All of the device's, for the job.
    pub whole: f64,
    /// The job's share of what was done.
    pub active: f64,
    /// The job's share of what the device draws in any case.
    pub idle: f64,
    /// Nobody can say whose.
    pub unknown: f64,
}

/// Energy of a device between two samples.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    /// All of it, in joules.
    pub joules: f64,
    /// Over this time.
    pub time: Duration,
    /// Power of the device when nobody uses it, once that was seen.
    pub idle: Option<Watts>,
}

/// Splits what was drawn between `before` and `now`.
pub fn split(
    claim: Claim,
    has_started: bool,
    drawn: Drawn,
    before: &Occupancy,
    now: &Occupancy,
) -> Split {
    let whole = Split {
        whole: drawn.joules,
        ..Split::default()
    };
    if claim == Claim::Whole {
        return whole;
    }
    if !has_started {
        return Split::default();
    }
    // Nobody tells who is there: the job was the one to start.
    let (Some(first), Some(last)) = (&before.processes, &now.processes) else {
        return whole;
    };
    let held = held(first, last, claim);
    let [job, others, unseen] =
        [Whose::Job, Whose::Other, Whose::Unseen].map(|whose| time_of(&held, whose));
    let all = job + others + unseen;
    if all == 0.0 {
        return match claim {
            Claim::Assigned => whole,
            _ => Split::default(),
        };
    }
    if job == all {
        return whole;
    }
    if job + unseen == 0.0 {
        return Split::default();
    }
    let idle = drawn
        .idle
        .map_or(0.0, |idle| idle.0 * drawn.time.as_secs_f64());
    let idle = idle.clamp(0.0, drawn.joules);
    let active = drawn.joules - idle;
    let (done, unclear) = match &now.busy {
        None => (0.0, 1.0),
        Some(busy) => worked(busy, &held).unwrap_or((job / all, unseen / all)),
    };
    Split {
        whole: 0.0,
        active: active * done,
        idle: idle * (job / all),
        unknown: active * unclear + idle * (unseen / all),
    }
}

/// For which part of the interval each process held the device: seen at both ends for all of it, at
/// one for half.
fn held(
    first: &BTreeMap<u32, Whose>,
    last: &BTreeMap<u32, Whose>,
    claim: Claim,
) -> BTreeMap<u32, (Whose, f64)> {
    let mut held: BTreeMap<u32, (Whose, f64)> = BTreeMap::new();
    for (pid, whose) in first.iter().chain(last) {
        // On a device that it was given, what cannot be seen is the job's.
        let whose = match (whose, claim) {
            (Whose::Unseen, Claim::Assigned) => Whose::Job,
            (whose, _) => *whose,
        };
        let entry = held.entry(*pid).or_insert((whose, 0.0));
        entry.0 = whose;
        entry.1 += 0.5;
    }
    held
}

fn time_of(held: &BTreeMap<u32, (Whose, f64)>, of: Whose) -> f64 {
    let times = held.values().filter(|(whose, _)| *whose == of);
    times.map(|(_, time)| time).sum()
}

/// Which part of the work was the job's, and which of processes that cannot be seen; none where
/// nobody did any.
fn worked(busy: &BTreeMap<u32, f64>, held: &BTreeMap<u32, (Whose, f64)>) -> Option<(f64, f64)> {
    let (mut job, mut unseen, mut all) = (0.0, 0.0, 0.0);
    for (pid, percent) in busy {
        let Some((whose, time)) = held.get(pid) else {
            continue;
        };
        let work = percent.max(0.0) * time;
        all += work;
        match whose {
            Whose::Job => job += work,
            Whose::Unseen => unseen += work,
            Whose::Other => {}
        }
    }
    (all > 0.0).then(|| (job / all, unseen / all))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn drawn(joules: f64, idle: Option<f64>) -> Drawn {
        Drawn {
            joules,
            time: SECOND,
            idle: idle.map(Watts),
        }
    }

    fn on(processes: &[(u32, Whose)], busy: Option<&[(u32, f64)]>) -> Occupancy {
        Occupancy {
            processes: Some(processes.iter().copied().collect()),
            busy: busy.map(|busy| busy.iter().copied().collect()),
        }
    }

    fn of(claim: Claim, drawn: Drawn, on: &Occupancy) -> Split {
        split(claim, true, drawn, on, on)
    }

    #[test]
    fn alone_the_job_has_all_of_it() {
        let alone = on(&[(7, Whose::Job)], None);
        assert_eq!(of(Claim::Visible, drawn(300.0, None), &alone).whole, 300.0);
    }

    #[test]
    fn an_empty_device_is_the_jobs_only_if_it_was_given_it() {
        let empty = on(&[], None);
        assert_eq!(of(Claim::Assigned, drawn(60.0, None), &empty).whole, 60.0);
        let visible = of(Claim::Visible, drawn(60.0, None), &empty);
        assert_eq!(visible, Split::default());
        let held = split(Claim::Assigned, false, drawn(60.0, None), &empty, &empty);
        assert_eq!(held, Split::default(), "before the start");
        let kept = split(Claim::Whole, false, drawn(60.0, None), &empty, &empty);
        assert_eq!(kept.whole, 60.0, "reserved");
    }

    #[test]
    fn others_alone_are_not_billed_to_the_job() {
        let others = on(&[(8, Whose::Other)], Some(&[(8, 90.0)]));
        let split = of(Claim::Assigned, drawn(300.0, Some(60.0)), &others);
        assert_eq!(split, Split::default());
    }

    #[test]
    fn with_others_idle_goes_by_time_held_and_the_rest_by_utilisation() {
        let both = on(
            &[(7, Whose::Job), (8, Whose::Other)],
            Some(&[(7, 60.0), (8, 20.0)]),
        );
        let split = of(Claim::Visible, drawn(300.0, Some(60.0)), &both);
        assert_eq!((split.idle, split.active), (30.0, 180.0));
        assert_eq!((split.whole, split.unknown), (0.0, 0.0));
    }

    #[test]
    fn who_came_within_the_interval_held_it_for_half() {
        let before = on(&[(8, Whose::Other)], None);
        let now = on(&[(7, Whose::Job), (8, Whose::Other)], Some(&[(8, 50.0)]));
        let split = split(Claim::Visible, true, drawn(90.0, Some(90.0)), &before, &now);
        assert_eq!(split.idle, 30.0, "half a second of one and a half");
    }

    #[test]
    fn without_utilisation_the_active_part_is_nobodys() {
        let both = on(&[(7, Whose::Job), (8, Whose::Other)], None);
        let split = of(Claim::Visible, drawn(300.0, Some(60.0)), &both);
        assert_eq!((split.idle, split.unknown), (30.0, 240.0));
        assert_eq!(split.active, 0.0);
    }

    #[test]
    fn where_nobody_worked_the_rest_goes_by_time_held() {
        let both = on(&[(7, Whose::Job), (8, Whose::Other)], Some(&[]));
        let split = of(Claim::Visible, drawn(100.0, Some(60.0)), &both);
        assert_eq!((split.idle, split.active), (30.0, 20.0));
    }

    #[test]
    fn what_cannot_be_seen_is_the_jobs_on_a_device_that_it_was_given() {
        let unseen = on(&[(9, Whose::Unseen)], None);
        assert_eq!(of(Claim::Assigned, drawn(80.0, None), &unseen).whole, 80.0);
        let visible = of(Claim::Visible, drawn(80.0, Some(20.0)), &unseen);
        assert_eq!((visible.unknown, visible.idle), (80.0, 0.0));
    }

    #[test]
    fn a_driver_that_lists_nobody_leaves_it_to_the_job() {
        let unlisted = Occupancy::default();
        assert_eq!(of(Claim::Visible, drawn(80.0, None), &unlisted).whole, 80.0);
    }

    proptest! {
        /// Several jobs, each of which sees its own processes as its own.
        #[test]
        fn shares_over_jobs_never_exceed_the_device(
            joules in 0.0..1e4,
            idle in prop::option::of(0.0..200.0),
            first in prop::collection::btree_set(0u32..12, 0..8),
            last in prop::collection::btree_set(0u32..12, 0..8),
            busy in prop::option::of(prop::collection::btree_map(0u32..12, 0.0..100.0, 0..8)),
        ) {
            let seen_by = |job: u32, all: &BTreeSet<u32>| {
                let whose = |pid: u32| match pid % 4 {
                    3 => Whose::Unseen,
                    of if of == job => Whose::Job,
                    _ => Whose::Other,
                };
                Some(all.iter().map(|pid| (*pid, whose(*pid))).collect())
            };
            let (mut shares, mut whole, mut unknown) = (0.0, 0.0_f64, 0.0_f64);
            for job in 0..3 {
                let before = Occupancy { processes: seen_by(job, &first), busy: None };
                let now = Occupancy { processes: seen_by(job, &last), busy: busy.clone() };
                let split = split(Claim::Visible, true, drawn(joules, idle), &before, &now);
                prop_assert!(split.whole >= 0.0 && split.active >= 0.0);
                prop_assert!(split.idle >= 0.0 && split.unknown >= 0.0);
                shares += split.whole + split.active + split.idle;
                whole = whole.max(split.whole);
                unknown = unknown.max(split.unknown);
            }
            prop_assert!(shares + unknown <= joules * (1.0 + 1e-9));
            prop_assert!(whole == 0.0 || shares == whole, "whose it is whole, it is alone");
        }
    }
}
