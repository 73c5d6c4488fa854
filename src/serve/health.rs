//! What is well with a run and its surroundings, and what is not. Pure: facts in, a verdict out.
//!
//! A thing that fails harms the run, or soon will; one that is degraded makes its result worse than
//! promised. The whole is as bad as the worst.

use serde_json::{Value, json};

use super::facts::Facts;
use super::host::{Host, Space};
use super::metrics::source_name;
use crate::caller::limits::Gate;

/// The deciding thread is late when it was not seen for so long, in seconds; it is seen about once a
/// second.
const LATE_S: f64 = 5.0;
/// It hangs when it was not seen for so long: half the time after which the guard takes over.
pub const HANGS_S: f64 = 30.0;
/// 99 of 100 wake-ups are to be less late than this, in seconds.
const LATENESS_S: f64 = 1.0;
/// Bytes that a disk is to have free: a record of a long run with room to spare.
const SPACE: u64 = 64 << 20;
/// With less than this nothing can be relied upon to be written.
const NO_SPACE: u64 = 1 << 20;
/// Share of the memory that is to be available.
const MEMORY: f64 = 0.05;
/// With less than this the kernel may soon end somebody.
const NO_MEMORY: f64 = 0.01;
/// Processes that want to run, for each processor.
const LOAD: f64 = 2.0;
/// What a source said is old after so many seconds: sources have something new every hour at least.
const OLD_S: f64 = 3.0 * 3600.0;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As promised.
    Ok,
    /// Worse than promised.
    Degraded,
    /// It harms the run, or soon will.
    Failed,
}

impl Status {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How well it is.
    pub status: Status,
    /// Why it is not better.
    pub reason: Option<String>,
    /// What was seen.
    pub facts: Value,
}

impl Check {
    fn ok(name: &'static str, facts: Value) -> Self {
        Self {
            name,
            status: Status::Ok,
            reason: None,
            facts,
        }
    }

    /// Worse by a reason, if it was not worse already.
    fn but(mut self, is: bool, status: Status, reason: impl Into<String>) -> Self {
        if is && status > self.status {
            self.status = status;
            self.reason = Some(reason.into());
        }
        self
    }
}

/// Everything that is looked at.
pub fn checks(facts: &Facts, host: &Host) -> Vec<Check> {
    let mut all = vec![
        supervisor(facts),
        watchdog(facts),
        ledger(facts),
        sources(facts),
        network(facts),
        meters(facts, "gpu", |component| component.starts_with("gpu")),
        meters(facts, "meters", |component| !component.starts_with("gpu")),
        processor(host),
        memory(host),
    ];
    all.extend(host.disks.iter().map(|(name, space)| disk(name, space)));
    all
}

/// How well the whole is.
pub fn worst(checks: &[Check]) -> Status {
    let all = checks.iter().map(|check| check.status);
    all.max().unwrap_or(Status::Ok)
}

/// `catrain.health/1`.
pub fn document(checks: &[Check]) -> Value {
    let each = checks.iter().map(|check| {
        json!({
            "name": check.name,
            "status": check.status.word(),
            "reason": check.reason,
            "facts": check.facts,
        })
    });
    json!({
        "schema": "catrain.health/1",
        "status": worst(checks).word(),
        "checks": each.collect::<Vec<_>>(),
    })
}

fn supervisor(facts: &Facts) -> Check {
    let ago = facts.seen_ago_s;
    let lateness = facts.snapshot.as_ref().map(|seen| seen.lateness);
    let late = lateness.and_then(|lateness| lateness.percentile(0.99));
    let own = facts.own;
    let seen = json!({
        "seen_ago_s": ago,
        "lateness_p99_s": late,
        "processor_s": own.processor_s,
        "resident_bytes": own.resident,
        "descriptors": own.descriptors,
        "missed_entries": facts.missed,
    });
    let is_beyond = late.is_some_and(|late| late > LATENESS_S);
    let since = |limit: f64| ago.is_some_and(|ago| ago >= limit);
    Check::ok("supervisor", seen)
        .but(since(HANGS_S), Status::Failed, "the deciding thread hangs")
        .but(
            since(LATE_S),
            Status::Degraded,
            "the deciding thread is late",
        )
        .but(
            is_beyond,
            Status::Degraded,
            "the deciding thread wakes up late: the machine is busy",
        )
        .but(
            facts.missed > 0,
            Status::Degraded,
            "sums of the metrics lack entries of the record",
        )
}

fn watchdog(facts: &Facts) -> Check {
    let seen = facts.snapshot.as_ref();
    let has_guard = seen.map(|seen| seen.has_guard);
    let is_needed = seen.is_some_and(|seen| !seen.has_no_job && !seen.is_over);
    let lacks = is_needed && has_guard == Some(false);
    Check::ok(
        "watchdog",
        json!({ "answers": has_guard, "is_needed": is_needed }),
    )
    .but(
        lacks,
        Status::Degraded,
        "it does not answer; the job runs and is not paused until one does",
    )
}

fn ledger(facts: &Facts) -> Check {
    let trouble = facts.ledger_trouble.clone();
    let check = Check::ok("ledger", json!({}));
    check.but(
        trouble.is_some(),
        Status::Degraded,
        trouble.unwrap_or_default(),
    )
}

/// Which sources were asked, how each stands, and how old what they said is.
fn sources(facts: &Facts) -> Check {
    let age = |at: jiff::Timestamp| facts.now.duration_since(at).as_secs_f64();
    let each = facts.sources.iter().map(|(name, seen)| {
        json!({
            "source": name,
            "breaker": seen.gate.map(Gate::word),
            "last_good_ago_s": seen.last_good.map(age),
            "calls": seen.counters.calls,
            "good": seen.counters.good,
            "retries": seen.counters.retries,
        })
    });
    let forecast = (facts.snapshot.as_ref()).and_then(|seen| seen.forecast.as_ref());
    let stated = forecast.map(|forecast| {
        json!({
            "source": source_name(&forecast.source),
            "kind": forecast.kind.to_string(),
            "confidence": forecast.confidence,
            "age_s": forecast.age_s,
        })
    });
    let open: Vec<&str> = (facts.sources.iter())
        .filter(|(_, seen)| seen.gate.is_some_and(|gate| gate != Gate::Closed))
        .map(|(name, _)| name.as_str())
        .collect();
    let is_old = forecast.is_some_and(|forecast| forecast.age_s.is_some_and(|age| age > OLD_S));
    let lacks = facts
        .snapshot
        .as_ref()
        .is_some_and(|seen| seen.forecast.is_none());
    let seen = json!({ "forecast": stated, "asked": each.collect::<Vec<_>>() });
    Check::ok("sources", seen)
        .but(
            lacks,
            Status::Degraded,
            "no intensity is known; the job runs unplanned",
        )
        .but(
            !open.is_empty(),
            Status::Degraded,
            format!(
                "{} failed too often and is left alone for a while",
                open.join(", ")
            ),
        )
        .but(
            is_old && !facts.about.is_replay,
            Status::Degraded,
            "what is known of the hours ahead is old",
        )
}

/// What recent calls say of the network: nobody is asked for this.
fn network(facts: &Facts) -> Check {
    let asked = || (facts.sources.values()).filter(|seen| seen.counters.calls > 0);
    let calls: u64 = asked().map(|seen| seen.counters.calls).sum();
    let unanswered: u64 = asked().map(|seen| seen.unanswered).sum();
    let seen = json!({
        "is_offline": facts.is_offline,
        "calls": calls,
        "unanswered_of_late": unanswered,
    });
    let is_lost = calls > 0 && asked().all(|seen| seen.unanswered > 0);
    Check::ok("network", seen).but(is_lost, Status::Failed, "no source has answered of late")
}

fn meters(facts: &Facts, name: &'static str, is_of: fn(&str) -> bool) -> Check {
    let of = || {
        facts
            .tally
            .meters
            .iter()
            .filter(|meter| is_of(&meter.component))
    };
    let each = of().map(|meter| {
        json!({
            "component": meter.component,
            "name": meter.name,
            "method": meter.method,
            "trouble": meter.trouble,
        })
    });
    let trouble: Vec<String> = of()
        .filter_map(|meter| Some(format!("{}: {}", meter.component, meter.trouble.as_ref()?)))
        .collect();
    Check::ok(name, json!({ "meters": each.collect::<Vec<_>>() })).but(
        !trouble.is_empty(),
        Status::Degraded,
        trouble.join("; "),
    )
}

fn processor(host: &Host) -> Check {
    let each = host.load.map(|load| load / host.processors.max(1) as f64);
    let seen = json!({ "load_1m": host.load, "processors": host.processors });
    Check::ok("cpu", seen).but(
        each.is_some_and(|each| each > LOAD),
        Status::Degraded,
        format!("more than {LOAD} processes want to run on each processor"),
    )
}

fn memory(host: &Host) -> Check {
    let share = host
        .memory
        .map(|memory| memory.free as f64 / memory.total.max(1) as f64);
    let seen = json!({
        "available_bytes": host.memory.map(|memory| memory.free),
        "total_bytes": host.memory.map(|memory| memory.total),
    });
    let less_than = |limit: f64| share.is_some_and(|share| share < limit);
    Check::ok("memory", seen)
        .but(
            less_than(NO_MEMORY),
            Status::Failed,
            "next to no memory is available",
        )
        .but(
            less_than(MEMORY),
            Status::Degraded,
            "less than 5 % of the memory is available",
        )
}

fn disk(name: &'static str, space: &Result<Space, String>) -> Check {
    match space {
        Ok(space) => Check::ok(
            name,
            json!({ "free_bytes": space.free, "total_bytes": space.total }),
        )
        .but(space.free < NO_SPACE, Status::Failed, "the disk is full")
        .but(
            space.free < SPACE,
            Status::Degraded,
            "less than 64 MiB are free",
        ),
        Err(why) => Check::ok(name, json!({})).but(true, Status::Degraded, why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample;
    use super::*;

    fn host() -> Host {
        let space = Space {
            free: 10 << 30,
            total: 100 << 30,
        };
        Host {
            load: Some(0.5),
            processors: 2,
            memory: Some(space),
            disks: vec![("state", Ok(space)), ("cache", Ok(space))],
        }
    }

    /// What is not ok after a change, with the reasons.
    fn wrong(change: impl FnOnce(&mut Facts, &mut Host)) -> Vec<(&'static str, Status)> {
        let (mut facts, mut host) = (sample(), host());
        facts.tally.meters.clear();
        change(&mut facts, &mut host);
        let checks = checks(&facts, &host);
        for check in &checks {
            assert_eq!(
                check.reason.is_some(),
                check.status > Status::Ok,
                "{check:?}"
            );
        }
        let bad = checks.into_iter().filter(|check| check.status > Status::Ok);
        bad.map(|check| (check.name, check.status)).collect()
    }

    #[test]
    fn a_run_with_which_all_is_well_is_ok() {
        assert_eq!(wrong(|_, _| {}), []);
        let mut facts = sample();
        facts.tally.meters.clear();
        let document = document(&checks(&facts, &host()));
        assert_eq!(document["status"], "ok");
        assert_eq!(document["checks"].as_array().unwrap().len(), 11);
    }

    #[test]
    fn each_thing_that_fails_is_told_by_its_name() {
        use Status::{Degraded, Failed};
        let all = [
            wrong(|facts, _| facts.seen_ago_s = Some(31.0)),
            wrong(|facts, _| facts.seen_ago_s = Some(6.0)),
            wrong(|facts, _| facts.snapshot.as_mut().unwrap().has_guard = false),
            wrong(|facts, _| facts.ledger_trouble = Some("no space".to_owned())),
            wrong(|facts, _| facts.snapshot.as_mut().unwrap().forecast = None),
            wrong(|_, host| host.load = Some(4.5)),
            wrong(|_, host| host.memory.as_mut().unwrap().free = 1 << 20),
            wrong(|_, host| host.disks[0].1 = Err("it hangs".to_owned())),
            wrong(|_, host| host.disks[1].1.as_mut().unwrap().free = 0),
        ];
        let expected = [
            ("supervisor", Failed),
            ("supervisor", Degraded),
            ("watchdog", Degraded),
            ("ledger", Degraded),
            ("sources", Degraded),
            ("cpu", Degraded),
            ("memory", Failed),
            ("state", Degraded),
            ("cache", Failed),
        ];
        for (found, expected) in all.iter().zip(expected) {
            assert_eq!(found, &[expected]);
        }
    }

    #[test]
    fn a_breaker_that_is_open_and_a_source_that_is_never_reached_are_told() {
        let open = wrong(|facts, _| {
            facts.sources.get_mut("energy-charts").unwrap().gate = Some(Gate::Open);
        });
        assert_eq!(open, [("sources", Status::Degraded)]);
        let lost = wrong(|facts, _| {
            facts.sources.get_mut("energy-charts").unwrap().unanswered = 2;
        });
        assert_eq!(lost, [("network", Status::Failed)]);
    }

    #[test]
    fn a_meter_in_trouble_says_what_to_do_about_it() {
        let facts = sample();
        let checks = checks(&facts, &host());
        let meters = checks.iter().find(|check| check.name == "meters").unwrap();
        assert_eq!(meters.status, Status::Degraded);
        let reason = meters.reason.as_ref().unwrap();
        assert!(reason.contains("no counter of memory"), "{reason}");
    }
}
