//! Reasons and plans in words: `431 g/kWh until 06:00, then 240; saves about 90 g`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Act, Outline, Reason, State, Way};
use crate::units::{GramsCo2e, GramsPerKwh};
use crate::words;

impl Reason {
    /// The reason as part of a sentence, for a decision that holds until `until`; times in `zone`,
    /// their day named where it is another than that of `now`.
    pub fn words(&self, until: Option<Timestamp>, now: Timestamp, zone: &TimeZone) -> String {
        let until = until.map(|at| words::time(at, now, zone));
        let till = until
            .as_ref()
            .map(|at| format!(" until {at}"))
            .unwrap_or_default();
        match *self {
            Self::Cheaper {
                meanwhile,
                then,
                saves,
            } => {
                let then = number(then);
                let meanwhile = words::intensity(meanwhile);
                let change = match until {
                    Some(at) => format!("{meanwhile} until {at}, then {then}"),
                    None => format!("{meanwhile} now, {then} later"),
                };
                match saves.0 >= 0.05 {
                    true => format!("{change}; saves about {}", words::mass(saves)),
                    false => change,
                }
            }
            Self::Clean { now } => words::intensity(now),
            Self::DeadlineGuard => "waiting longer would endanger the deadline".to_owned(),
            Self::DeadlineMissed => "the deadline cannot be met, so no time is lost".to_owned(),
            Self::Tight => "too little time to spare to pause".to_owned(),
            Self::NoDelayLeft => "no delay is left".to_owned(),
            Self::UnknownWork => {
                "there is a deadline, and how long the work takes is unknown".to_owned()
            }
            Self::NotYetEarned => "a pause is earned by running for 30 m first".to_owned(),
            Self::NotWorthIt { saves } => {
                let saves = GramsCo2e(saves.0.max(0.0));
                format!("waiting would save only {}", words::mass(saves))
            }
            Self::MinRun => format!("runs its least time{till}"),
            Self::MinPause => format!("stays paused for the least time{till}"),
            Self::FlatForecast => "only an average is known, which tells no times apart".to_owned(),
            Self::NothingKnown => "no intensity is known".to_owned(),
            Self::PolicyNow => "the policy is to run now".to_owned(),
            Self::BelowThreshold { now, limit } => {
                format!("{}, not above {}", words::intensity(now), number(limit))
            }
            Self::AboveThreshold { now, limit } => {
                format!("{}{till}, above {}", words::intensity(now), number(limit))
            }
            Self::WithinBudget { grams } => {
                format!("about {} to come, within the budget", words::mass(grams))
            }
            Self::OverBudget { by } => format!(
                "the budget cannot be kept: at least {} over it",
                words::mass(by)
            ),
            Self::Overrun => "it has run longer than was said".to_owned(),
            Self::NothingLeft => "nothing is left to do".to_owned(),
        }
    }

    /// The expected saving that the reason names.
    pub fn saves(&self) -> Option<GramsCo2e> {
        match *self {
            Self::Cheaper { saves, .. } | Self::NotWorthIt { saves } => Some(saves),
            _ => None,
        }
    }
}

fn number(intensity: GramsPerKwh) -> String {
    format!("{:.0}", intensity.0)
}

impl Outline {
    /// Expected emissions against running at once, as a fraction: −0.34 is a third less.
    pub fn change(&self) -> f64 {
        match self.run_now_grams.0 > 0.0 {
            true => (self.grams - self.run_now_grams) / self.run_now_grams,
            false => 0.0,
        }
    }

    /// The plan in a line, for a job in `state`: `held until 00:40, then one pause; done about
    /// 07:25; 212 g/kWh instead of 322, −34 % against starting now`.
    pub fn words(&self, state: State, now: Timestamp, zone: &TimeZone) -> String {
        let time = |at: Timestamp| words::time(at, now, zone);
        let waits = match self.phases.first() {
            Some(&(Act::Pause, until)) => Some(until),
            _ => None,
        };
        let first = match (state, waits) {
            (State::Fresh, Some(until)) => format!("held until {}", time(until)),
            (State::Running(_), Some(until)) if self.ways.first() == Some(&Way::Release) => {
                format!("released until {}", time(until))
            }
            (State::Released(_), Some(until)) => format!("released until {}", time(until)),
            (State::Running(_) | State::Paused(_), Some(until)) => {
                format!("paused until {}", time(until))
            }
            (State::Fresh, None) => "starts now".to_owned(),
            (State::Running(_), None) => "runs on".to_owned(),
            (State::Paused(_) | State::Released(_), None) => "resumes now".to_owned(),
        };
        // The pause that is about to begin is the one already named.
        let named = waits.is_some() && matches!(state, State::Running(_));
        let later = self.ways.get(usize::from(named)..).unwrap_or_default();
        let releases = later.iter().filter(|way| **way == Way::Release).count();
        let then = match (later.len(), releases) {
            (0, _) => String::new(),
            (1, 0) => ", then one pause".to_owned(),
            (1, _) => ", then one pause that releases its memory".to_owned(),
            (all, 0) => format!(", then {all} pauses"),
            (all, some) if all == some => format!(", then {all} pauses that release its memory"),
            (all, 1) => format!(", then {all} pauses, 1 of which releases its memory"),
            (all, some) => format!(", then {all} pauses, {some} of which release its memory"),
        };
        let done = format!("done about {}", time(self.end));
        let mean = words::intensity(self.mean);
        if waits.is_none() && self.pauses == 0 {
            return format!("{first}; {done}; {mean}");
        }
        let against = match state {
            State::Fresh => "starting now",
            State::Running(_) => "running on",
            State::Paused(_) | State::Released(_) => "resuming now",
        };
        format!(
            "{first}{then}; {done}; {mean} instead of {}, {} against {against}",
            number(self.run_now_mean),
            words::change(self.change()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_pause_says_what_changes_when_and_what_it_saves() {
        let reason = Reason::Cheaper {
            meanwhile: GramsPerKwh(431.2),
            then: GramsPerKwh(239.8),
            saves: GramsCo2e(90.4),
        };
        let now = at("2026-11-25T05:15:00Z");
        assert_eq!(
            reason.words(Some(at("2026-11-25T06:00:00Z")), now, &TimeZone::UTC),
            "431 g/kWh until 06:00, then 240; saves about 90 g"
        );
        assert_eq!(
            reason.words(None, now, &TimeZone::UTC),
            "431 g/kWh now, 240 later; saves about 90 g"
        );
    }

    #[test]
    fn a_plan_reads_as_one_line() {
        let now = at("2026-11-24T18:00:00Z");
        let outline = Outline {
            phases: vec![
                (Act::Pause, at("2026-11-25T00:40:00Z")),
                (Act::Run, at("2026-11-25T05:15:00Z")),
                (Act::Pause, at("2026-11-25T06:00:00Z")),
                (Act::Run, at("2026-11-25T07:25:00Z")),
            ],
            pauses: 1,
            ways: vec![Way::Hold],
            end: at("2026-11-25T07:25:00Z"),
            grams: GramsCo2e(512.0),
            run_now_grams: GramsCo2e(776.0),
            mean: GramsPerKwh(212.0),
            run_now_mean: GramsPerKwh(322.0),
        };
        assert_eq!(
            outline.words(State::Fresh, now, &TimeZone::UTC),
            "held until Wed 00:40, then one pause; done about Wed 07:25; \
             212 g/kWh instead of 322, −34 % against starting now"
        );
        let runs = Outline {
            phases: vec![(Act::Run, at("2026-11-24T20:00:00Z"))],
            pauses: 0,
            ways: Vec::new(),
            end: at("2026-11-24T20:00:00Z"),
            ..outline
        };
        assert_eq!(
            runs.words(State::Fresh, now, &TimeZone::UTC),
            "starts now; done about 20:00; 212 g/kWh"
        );
    }

    #[test]
    fn what_would_not_save_is_not_told_as_a_loss() {
        let reason = Reason::NotWorthIt {
            saves: GramsCo2e(-3.0),
        };
        let words = reason.words(None, at("2026-11-24T18:00:00Z"), &TimeZone::UTC);
        assert_eq!(words, "waiting would save only 0 g");
    }
}
