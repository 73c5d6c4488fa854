//! What a run is asked for. Pure data, and what follows from it alone.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;

use crate::plan::{Policy, Power, Switching};
use crate::units::GramsCo2e;

/// Longest wait before a failed job is tried again.
const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// The longest stop of several ranks that have not saved. PyTorch's monitor ends a rank whose NCCL
/// watchdog stood still from one look to the next, 480 s apart by default
/// (`TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC`); a stop must leave time to move in between.
pub const RANKS_STOP: Duration = Duration::from_mins(7);

/// What a run is asked for. What is learned on the way about the same things is put in here: how
/// long the command takes, and that the job cannot be paused.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to choose.
    pub policy: Policy,
    /// Power figures to plan with until measured.
    pub power: Power,
    /// What a pause costs; its minima.
    pub switching: Switching,
    /// How a pause is made.
    pub pausing: Pausing,
    /// The latest end.
    pub deadline: Option<Timestamp>,
    /// Running time of the whole job, and the margin on it.
    pub duration: Option<Expected>,
    /// `--carbon-budget`, to warn by.
    pub budget: Option<GramsCo2e>,
    /// `--on-budget`.
    pub on_budget: OnBudget,
    /// `--max-delay`.
    pub max_delay: Option<Duration>,
    /// Whether a wait was asked for by hand.
    pub asked_for: bool,
    /// Whether the start may be held.
    pub may_hold: bool,
    /// Whether the plan may pause.
    pub may_pause: bool,
    /// Whether anyone may pause (not with `--tty`).
    pub can_pause: bool,
    /// How the job is asked to end by `stop`.
    pub stop_signal: i32,
    /// From asking to killing.
    pub grace: Duration,
    /// What becomes of processes that outlive the leader.
    pub leftovers: Leftovers,
    /// What follows when the job fails.
    pub retry: Retry,
    /// Whether a start after a wait first looks who else uses the devices.
    pub looks_at_devices: bool,
    /// Whether the job ran before the run did, and runs on after it.
    pub is_attached: bool,
    /// Whether another node of the job decides, and this one does as that does.
    pub follows: bool,
    /// How late the deadline guard may be looked at: what it keeps in reserve.
    pub poll: Duration,
    /// Longest time between two decisions. A decision to wait never reaches past the guard, so this
    /// may be longer than `poll`.
    pub replan: Duration,
}

#[cfg(test)]
impl Settings {
    /// Those of a test that asks for nothing.
    pub(crate) fn plain() -> Self {
        use crate::units::{KilowattHours, Watts};
        let minutes = Duration::from_mins;
        Self {
            policy: Policy::Plan,
            power: Power {
                run: Watts(300.0),
                idle: Watts::ZERO,
                wait: Watts::ZERO,
            },
            switching: Switching {
                pause: Duration::ZERO,
                resume: Duration::ZERO,
                pause_energy: KilowattHours::ZERO,
                resume_energy: KilowattHours::ZERO,
                min_run: minutes(10),
                min_pause: minutes(5),
                max_pauses: None,
                release: None,
            },
            pausing: Pausing::STOP,
            deadline: None,
            duration: None,
            budget: None,
            on_budget: OnBudget::Warn,
            max_delay: None,
            asked_for: false,
            may_hold: true,
            may_pause: true,
            can_pause: true,
            stop_signal: 15,
            grace: Duration::from_secs(30),
            leftovers: Leftovers::End,
            retry: Retry::default(),
            looks_at_devices: false,
            is_attached: false,
            follows: false,
            poll: minutes(5),
            replan: minutes(5),
        }
    }
}

/// How long the job is expected to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Productive time of the whole job.
    pub duration: Duration,
    /// By which part of it the job may take longer: 0 exact, 0.25 given, 0.5 learned.
    pub margin: f64,
    /// Whether it was given by hand; a learned one gives no right to hold by itself.
    pub given: bool,
}

/// How a pause is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pausing {
    /// By which means.
    pub with: PauseWith,
    /// Whether a file or a line can prove that the job has saved; if not, only its end does.
    pub has_proof: bool,
    /// How long a save may take.
    pub patience: Duration,
    /// What follows when nothing proves it in that time.
    pub unproved: Unproved,
    /// Longest stop of a job that has not saved; none: [`RANKS_STOP`] for several ranks, else as long as it
    /// takes.
    pub max_stop: Option<Duration>,
    /// The exit code of a job that leaves because it has saved, beside 0.
    pub leaves_with: i32,
    /// Whether several ranks are paused: nobody knows whether they survive it but who says so.
    pub stops_ranks: bool,
    /// A job that has left goes back into the cluster's queue until it is started again, and then usually waits
    /// so long for nodes; none: it does not.
    pub gives_back: Option<Duration>,
}

impl Pausing {
    /// By stopping alone, for as long as it takes.
    pub const STOP: Self = Self {
        with: PauseWith::Stop,
        has_proof: false,
        patience: Duration::from_mins(5),
        unproved: Unproved::Stop,
        max_stop: None,
        leaves_with: 0,
        stops_ranks: false,
        gives_back: None,
    };
}

/// By which means a pause is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PauseWith {
    /// Every process is stopped by signals.
    #[default]
    Stop,
    /// The job's control group is frozen.
    Freeze,
    /// The job saves its state, then is stopped.
    Checkpoint,
    /// The job saves its state and leaves; it is started again later.
    Restart,
    /// The job saves its state and leaves, and its nodes go back to the cluster until it is started again.
    Requeue,
    /// The cluster suspends the job, by the word of somebody outside.
    Suspend,
    /// The plan chooses for each pause: stop, or leave.
    Auto,
}

impl PauseWith {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Freeze => "freeze",
            Self::Checkpoint => "checkpoint",
            Self::Restart => "restart",
            Self::Requeue => "requeue",
            Self::Suspend => "suspend",
            Self::Auto => "auto",
        }
    }

    /// The one that is typed so.
    pub fn of(word: &str) -> Option<Self> {
        let all = [
            Self::Stop,
            Self::Freeze,
            Self::Checkpoint,
            Self::Restart,
            Self::Requeue,
            Self::Suspend,
            Self::Auto,
        ];
        all.into_iter().find(|with| with.as_str() == word)
    }
}

/// What follows when nothing proves in time that the job has saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unproved {
    /// It is stopped all the same, and keeps its memory.
    #[default]
    Stop,
    /// It runs on.
    Run,
}

/// What follows when the carbon budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBudget {
    /// That is said.
    #[default]
    Warn,
    /// The job is held as an operator holds it.
    Pause,
    /// It is ended as an operator ends it.
    Stop,
}

/// What becomes of processes that outlive the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// They have the grace period to end by themselves, then are asked to, then killed.
    #[default]
    End,
    /// They are left alone.
    Leave,
}

/// What follows when the job fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// How often in a row it is tried again.
    pub most: u32,
    /// The first delay; each further one is twice as long.
    pub delay: Duration,
    /// Draws the jitter.
    pub seed: u64,
}

impl Retry {
    /// How long to wait after so many failures in a row (at least one): exponential, up to as long
    /// again at random, an hour at most.
    pub fn wait(&self, failures: u32) -> Duration {
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.delay)
            .with_max_delay(LONGEST_DELAY)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(self.seed)
            .build();
        let nth = usize::try_from(failures.saturating_sub(1)).unwrap_or(0);
        delays
            .take(nth + 1)
            .last()
            .unwrap_or(LONGEST_DELAY)
            .min(LONGEST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_fails_again_waits_longer_each_time_up_to_an_hour() {
        let retry = |seed| Retry {
            most: 9,
            delay: Duration::from_secs(10),
            seed,
        };
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..20 {
            for failures in 1..30 {
                let shortest = Duration::from_secs(10).saturating_mul(1 << (failures - 1).min(20));
                let shortest = shortest.min(LONGEST_DELAY);
                let wait = retry(seed).wait(failures);
                assert!(wait >= shortest, "{failures}: {wait:?}");
                assert!(
                    wait <= (2 * shortest).min(LONGEST_DELAY),
                    "{failures}: {wait:?}"
                );
                assert_eq!(wait, retry(seed).wait(failures));
            }
            seen.insert(retry(seed).wait(1));
        }
        assert!(seen.len() > 10, "whoever fails together comes back apart");
        assert_eq!(Retry::default().wait(3), Duration::ZERO);
    }
}
