//! From flags and surroundings to the machine's settings, contradictions refused.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::prepare::Prepared;
use crate::cli::{self, LeftoverFate, PauseMode, PolicyName, RecipientName, RunArgs, UnprovedThen};
use crate::config::{self, Config};
use crate::error::Failure;
use crate::executor::{Inherited, names_a_launcher};
use crate::meter::Figures;
use crate::plan::{Limit, Policy, Power, Release, Switching};
use crate::presets::Recipient;
use crate::serve;
use crate::supervise::machine::{
    Expected, GIVEN_MARGIN, Leftovers, OnBudget, POLL, PauseWith, Pausing, Retry, Settings,
    Unproved,
};
use crate::surroundings::Limit as TimeLimit;
use crate::units::KilowattHours;
use crate::words;

/// Longest wait for intensities before a start that may be held.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for intensities before a start that need not wait for them.
const START_PATIENCE: Duration = Duration::from_millis(50);
/// Time that is kept between the end of the job and the end of its surroundings, beside the grace.
const BEFORE_LIMIT: Duration = Duration::from_mins(5);
/// Running time that planning takes a resume to cost (caches, clocks, connections), so that a pause
/// is worth more than the disturbance. The rules were tuned with the same figure.
const WARM_UP: Duration = Duration::from_mins(2);
/// What a save is taken to last until one was seen.
const SAVE: Duration = Duration::from_secs(30);
/// What saving and leaving is taken to last until it was seen.
const LEAVE: Duration = Duration::from_mins(1);
/// What starting again and restoring is taken to last until it was seen.
const RESTORE: Duration = Duration::from_mins(2);
/// From asking a job to end to killing it.
const GRACE: Duration = Duration::from_secs(30);
/// A replay decides at most this often (real time).
const REPLAY_POLL: Duration = Duration::from_millis(50);

/// The machine's settings, and what to say about them.
pub(super) struct Planned {
    pub(super) settings: Settings,
    /// Lines that the person should see before anything else.
    pub(super) notices: Vec<String>,
    /// Nothing was given: delay is earned.
    pub(super) earned: bool,
    /// How long the start may wait for intensities.
    pub(super) patience: Duration,
}

/// Refuses flags that contradict each other.
pub(super) fn check(args: &RunArgs) -> Result<(), Failure> {
    let policy = args.policy;
    if policy == Some(PolicyName::Budget) && args.carbon_budget.is_none() {
        return Err(Failure::usage("`--policy budget` needs a budget")
            .hint("add --carbon-budget, such as --carbon-budget 2kg"));
    }
    if args.threshold.is_some() && policy.is_some_and(|policy| policy != PolicyName::Threshold) {
        return Err(
            Failure::usage("`--threshold` is for `--policy threshold` only")
                .hint("leave out one of the two"),
        );
    }
    if args.threshold.is_some() && args.carbon_budget.is_some() && policy.is_none() {
        return Err(Failure::usage(
            "`--threshold` and `--carbon-budget` ask for different policies",
        )
        .hint("say which with --policy"));
    }
    if let (Some(run), Some(idle)) = (args.power, args.idle_power)
        && idle > run
    {
        return Err(Failure::usage(format!(
            "`--idle-power {}` is above `--power {}`",
            idle.0, run.0
        ))
        .hint("idle power is what stays on while the job is paused"));
    }
    check_pausing(args)?;
    check_serving(args)?;
    if args.reserved && args.idle_power.is_none() {
        return Err(
            Failure::usage("`--reserved` counts idle power, and none is known")
                .hint("add --idle-power W"),
        );
    }
    Ok(())
}

/// What is served of the run, and where.
pub(super) fn serving(args: &RunArgs, config: &config::Serve) -> serve::Settings {
    serve::Settings {
        listen: args.listen,
        metrics_file: args.metrics_file.clone(),
        metrics_every: args.metrics_every,
        name: config.name.as_ref().map(|told| told.value.clone()),
        token_file: config.token_file.as_ref().map(|told| told.value.clone()),
    }
}

/// Refuses to be seen from where that was not asked for, and files of no form.
fn check_serving(args: &RunArgs) -> Result<(), Failure> {
    if let Some(address) = args.listen
        && !address.is_loopback()
        && !args.listen_anywhere
    {
        return Err(Failure::usage(format!(
            "`--listen {address}` can be reached from other machines"
        ))
        .hint("add --listen-anywhere if that is meant, or leave out the address: --listen PORT"));
    }
    if let Some(path) = &args.metrics_file {
        serve::file::Form::of(path).map_err(Failure::usage)?;
    }
    Ok(())
}

/// Refuses ways to pause that cannot work.
fn check_pausing(args: &RunArgs) -> Result<(), Failure> {
    let with = pause_with(args);
    if args.tty && says_how_to_pause(args) {
        return Err(
            Failure::usage("a job that has the terminal (--tty) is not paused")
                .hint("leave out --tty, or --pause-with and --preset"),
        );
    }
    if with == PauseWith::Checkpoint && !has_proof(args) {
        let why = match args.pause_with {
            Some(_) => "`--pause-with checkpoint` needs a proof that the job has saved".to_owned(),
            None => format!(
                "`--preset {}` pauses by checkpoints, which needs a proof that the job has saved",
                args.preset.map_or("", |preset| preset.name)
            ),
        };
        return Err(Failure::usage(why).hint(
            "add --checkpoint-path 'ckpt/*.pt', or --checkpoint-line 'saved'; or --pause-with stop",
        ));
    }
    let starts_again = matches!(
        with,
        PauseWith::Restart | PauseWith::Requeue | PauseWith::Auto
    ) || args.retries > 0;
    if args.resume_args.is_some() && !starts_again && with != PauseWith::Checkpoint {
        return Err(
            Failure::usage("`--resume-args` is for a job that is started again")
                .hint("add --pause-with restart or auto, or --retries N"),
        );
    }
    if let Some(text) = &args.resume_args
        && shlex::split(text).is_none()
    {
        return Err(
            Failure::usage(format!("`--resume-args {text}` has an open quote"))
                .hint("it is split into words as a shell would"),
        );
    }
    Ok(())
}

/// Whether anything beside the job's end can prove that it has saved.
pub(super) fn has_proof(args: &RunArgs) -> bool {
    args.checkpoint_path.is_some() || args.checkpoint_line.is_some()
}

/// Whether somebody has said how the job is to be paused.
fn says_how_to_pause(args: &RunArgs) -> bool {
    args.pause_with.is_some() || args.preset.is_some()
}

/// How the job is paused: as given, else as its preset has it.
pub(super) fn pause_with(args: &RunArgs) -> PauseWith {
    let given = args.pause_with.map(|mode| match mode {
        PauseMode::Stop => PauseWith::Stop,
        PauseMode::Freeze => PauseWith::Freeze,
        PauseMode::Checkpoint => PauseWith::Checkpoint,
        PauseMode::Restart => PauseWith::Restart,
        PauseMode::Requeue => PauseWith::Requeue,
        PauseMode::Suspend => PauseWith::Suspend,
        PauseMode::Auto => PauseWith::Auto,
    });
    let preset = args.preset.map(|preset| preset.pause_with);
    given.or(preset).unwrap_or_default()
}

/// Who is asked to save.
pub(super) fn recipient(args: &RunArgs) -> Recipient {
    let given = args.checkpoint_to.map(|to| match to {
        RecipientName::Leader => Recipient::Leader,
        RecipientName::Group => Recipient::Group,
        RecipientName::Ranks => Recipient::Ranks,
    });
    let preset = args.preset.map(|preset| preset.recipient);
    given.or(preset).unwrap_or_default()
}

/// By which signal the job is asked to save.
pub(super) fn checkpoint_signal(args: &RunArgs) -> i32 {
    let usual = nix::libc::SIGUSR1;
    let preset = args.preset.map(|preset| preset.checkpoint_signal);
    let given = args.checkpoint_signal.map(|signal| signal as i32);
    given.or(preset).unwrap_or(usual)
}

/// By which signal the job is asked to end.
pub(super) fn stop_signal(args: &RunArgs) -> i32 {
    let usual = nix::libc::SIGTERM;
    let preset = args.preset.map(|preset| preset.stop_signal);
    let given = args.stop_signal.map(|signal| signal as i32);
    given.or(preset).unwrap_or(usual)
}

/// From asking the job to end to killing it.
pub(super) fn grace(args: &RunArgs) -> Duration {
    let preset = args.preset.map(|preset| preset.grace);
    args.grace.or(preset).unwrap_or(GRACE)
}

fn pausing(args: &RunArgs) -> Pausing {
    Pausing {
        with: pause_with(args),
        has_proof: has_proof(args),
        patience: args.checkpoint_timeout,
        unproved: match args.unproved {
            UnprovedThen::Stop => Unproved::Stop,
            UnprovedThen::Run => Unproved::Run,
        },
        max_stop: (args.max_stop).or_else(|| args.preset?.max_stop),
        leaves_with: args.preset.map_or(0, |preset| preset.leaves_with),
        stops_ranks: says_how_to_pause(args),
        gives_back: None,
    }
}

/// What a pause costs, until that was seen.
fn switching(args: &RunArgs, power: Power) -> Switching {
    let warm_up = KilowattHours::from(power.run * WARM_UP);
    let mut switching = Switching {
        pause: Duration::ZERO,
        resume: Duration::ZERO,
        pause_energy: KilowattHours::ZERO,
        resume_energy: warm_up,
        min_run: args.min_run,
        min_pause: args.min_pause,
        max_pauses: None,
        release: None,
    };
    match pause_with(args) {
        PauseWith::Stop | PauseWith::Freeze | PauseWith::Suspend => {}
        PauseWith::Checkpoint => switching.pause = SAVE,
        PauseWith::Restart | PauseWith::Requeue => {
            switching.pause = LEAVE;
            switching.resume = RESTORE;
            switching.resume_energy = KilowattHours::ZERO;
        }
        PauseWith::Auto => {
            switching.release = Some(Release {
                pause: LEAVE,
                resume: RESTORE,
                pause_energy: KilowattHours::ZERO,
                resume_energy: KilowattHours::ZERO,
                idle: power.wait,
            });
        }
    }
    switching
}

/// Power figures by flags.
pub(super) fn figures(args: &RunArgs, config: &Config) -> Figures {
    let set = config.energy.share.as_ref().map(|set| set.value);
    let share = args.share.or(set).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Figures {
        run: args.power,
        idle: args.idle_power,
        reserved: args.reserved,
        cores,
        share,
    }
}

/// The policy's name as it is typed.
pub(super) fn policy_name(args: &RunArgs) -> &'static str {
    policy(args).word()
}

pub(super) fn policy(args: &RunArgs) -> Policy {
    let limit = args.threshold.unwrap_or(Limit::Percentile(30.0));
    match (args.policy, args.carbon_budget) {
        (Some(PolicyName::Plan), _) => Policy::Plan,
        (Some(PolicyName::Threshold), _) => Policy::Threshold(limit),
        (Some(PolicyName::Window), _) => Policy::Window,
        (Some(PolicyName::Now), _) => Policy::Now,
        (Some(PolicyName::Budget) | None, Some(budget)) => Policy::Budget(budget),
        (None, None) if args.threshold.is_some() => Policy::Threshold(limit),
        (Some(PolicyName::Budget) | None, None) => Policy::Plan,
    }
}

/// Puts it all together.
pub(super) fn plan(
    args: &RunArgs,
    prepared: &Prepared,
    figures: &Figures,
    inherited: &Inherited,
) -> Result<Planned, Failure> {
    let mut notices = Vec::from_iter(prepared.zone_notice.clone());
    let given = given_deadline(args, prepared)?;
    let by_hand = given.is_some() || args.max_delay.is_some();
    let mut may_hold = true;
    let mut may_pause = !args.tty;
    if args.tty && !inherited.has_terminal {
        return Err(
            Failure::usage("`--tty` needs a terminal, and there is none")
                .hint("leave out --tty; nothing was started"),
        );
    }
    let mut deadline = given;
    let around = &prepared.surroundings;
    let name = around.name.as_deref().unwrap_or("the surroundings");
    match &around.limit {
        TimeLimit::None => {}
        TimeLimit::Until(end) => {
            let reserve =
                SignedDuration::try_from(grace(args) + BEFORE_LIMIT).unwrap_or(SignedDuration::MAX);
            let latest = end.saturating_sub(reserve).unwrap_or(*end);
            if deadline.is_none_or(|given| latest < given) {
                deadline = Some(latest);
                let at = words::time(latest, prepared.now, &TimeZone::system());
                notices.push(format!("{name} ends soon after {at}: that is the deadline"));
            }
        }
        TimeLimit::Unreadable { why } => {
            may_hold = false;
            may_pause = false;
            notices.push(format!(
                "neither held nor paused: the time limit of {name} cannot be read ({why})"
            ));
        }
    }
    if around.is_allocation && !by_hand && args.pause_with.is_none() && may_hold {
        may_hold = false;
        may_pause = false;
        notices.push(format!(
            "neither held nor paused: {name} is billed while it waits (--deadline, --max-delay or --pause-with allows it)"
        ));
    }
    if may_pause && !says_how_to_pause(args) && names_a_launcher(&args.command) {
        may_pause = false;
        notices.push(
            "may be held, is not paused: several ranks may not survive a stop (--preset torchrun, or --pause-with, says how they do)"
                .to_owned(),
        );
    }
    let saves_in_place = pause_with(args) == PauseWith::Checkpoint;
    if may_pause && saves_in_place && names_a_launcher(&args.command) && args.retries == 0 {
        notices.push(
            "a pause may outlast the ranks' patience: NCCL gives up after 10 min, Gloo after 30 min (--pause-with restart leaves instead, --retries 1 starts again from what was saved)"
                .to_owned(),
        );
    }
    if may_pause && !says_how_to_pause(args) && prepared.died_after_resume {
        may_pause = false;
        notices.push(
            "may be held, is not paused: this command failed soon after it was last continued (--pause-with stop pauses it all the same)"
                .to_owned(),
        );
    }
    let policy = policy(args);
    let power = figures.power();
    if matches!(policy, Policy::Threshold(_)) && power.idle.0 > 0.0 {
        notices.push(
            "warning: a threshold ignores idle power, which eats its savings; --policy plan does not"
                .to_owned(),
        );
    }
    if let Some(attach) = &args.attach {
        // It runs: there is no start to hold, and none to come again.
        may_hold = false;
        notices.push(format!(
            "attached to process {}: how it ends may not be told; when catrain leaves, it runs on",
            attach.pid
        ));
    }
    let duration = expected(args, prepared, by_hand, &mut notices);
    let earned = !by_hand && args.duration.is_none();
    let replay_poll = REPLAY_POLL.mul_f64(args.speed);
    let settings = Settings {
        policy,
        power,
        switching: switching(args, power),
        pausing: pausing(args),
        deadline,
        duration,
        budget: args.carbon_budget,
        on_budget: match args.on_budget {
            cli::OnBudget::Warn => OnBudget::Warn,
            cli::OnBudget::Pause => OnBudget::Pause,
            cli::OnBudget::Stop => OnBudget::Stop,
        },
        max_delay: args.max_delay,
        asked_for: by_hand,
        may_hold,
        may_pause,
        can_pause: !args.tty,
        stop_signal: stop_signal(args),
        grace: grace(args),
        leftovers: match args.leftovers {
            LeftoverFate::End => Leftovers::End,
            LeftoverFate::Leave => Leftovers::Leave,
        },
        retry: Retry {
            most: args.retries,
            delay: args.retry_delay,
            seed: fastrand::u64(..),
        },
        looks_at_devices: args.replay.is_none() && args.gpus.iter().all(|gpu| gpu != "none"),
        is_attached: args.attach.is_some(),
        follows: false,
        // Outside a replay the speed is 1.
        poll: POLL.max(replay_poll),
        replan: POLL.max(replay_poll),
    };
    let patience = match policy {
        Policy::Now => Duration::ZERO,
        _ if may_hold && !earned => PATIENCE,
        _ => START_PATIENCE,
    };
    Ok(Planned {
        settings,
        notices,
        earned,
        patience,
    })
}

/// The deadline as a time.
///
/// # Errors
/// It cannot be read, or has passed.
pub(super) fn given_deadline(
    args: &RunArgs,
    prepared: &Prepared,
) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = &args.deadline else {
        return Ok(None);
    };
    let deadline = crate::parse::time(text, prepared.now, &TimeZone::system())
        .map_err(|why| Failure::usage(format!("--deadline {text}: {why}")))?;
    // Of a run that is continued it was to be met then; now the job runs, and that it is late is said.
    if deadline <= prepared.now && args.continues.is_none() {
        let at = words::time(deadline, prepared.now, &TimeZone::system());
        return Err(Failure::usage(format!("the deadline {at} has passed"))
            .hint("a time of today may need its day: --deadline 'tomorrow 09:00'; nothing was started"));
    }
    Ok(Some(deadline))
}

/// The length of the job: given, or learned from its past runs where the user allows to wait.
fn expected(
    args: &RunArgs,
    prepared: &Prepared,
    by_hand: bool,
    notices: &mut Vec<String>,
) -> Option<Expected> {
    if let Some(duration) = args.duration {
        let margin = if args.duration_exact {
            0.0
        } else {
            GIVEN_MARGIN
        };
        return Some(Expected {
            duration: left_of(duration, prepared.ran_before),
            margin,
            given: true,
        });
    }
    let usual = prepared.usual.filter(|_| args.replay.is_none())?;
    if by_hand {
        notices.push(format!(
            "takes {} by its last good runs here (-d to say otherwise)",
            words::duration(usual)
        ));
    }
    Some(Expected {
        duration: left_of(usual, prepared.ran_before),
        margin: 0.5,
        given: false,
    })
}

/// Without what the runs before have run already, of one that is continued.
fn left_of(duration: Duration, ran_before: Duration) -> Duration {
    let left = duration.saturating_sub(ran_before);
    // What took longer than expected is over soon, not at once.
    left.max(Duration::from_secs(1)).min(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_before_is_not_to_be_run_again() {
        let left =
            |hours, ran| left_of(Duration::from_hours(hours), Duration::from_hours(ran)).as_secs();
        assert_eq!(left(6, 0), 6 * 3600);
        assert_eq!(left(6, 4), 2 * 3600);
        // It took longer than expected, and is not over.
        assert_eq!(left(6, 7), 1);
    }
}
