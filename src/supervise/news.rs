//! The words in which a run tells what it does: few lines, each with its reason. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::View;
use super::machine::{Holds, News, Phase};
use crate::clock::Moment;
use crate::forecast::{Kind, Outlook};
use crate::plan::{Act, Decision, Fit, State};
use crate::words::{self, duration, time};

/// What the words depend on beside the news.
pub struct Setting {
    /// The run's id; asked only where it is said, since it may have to be waited for.
    pub run: Box<dyn Fn() -> String>,
    /// The person's time zone; asked only where a time is said, since finding it takes a while.
    pub zone: fn() -> TimeZone,
    /// Whether the person can press Enter to start a held job.
    pub enter_starts: bool,
    /// Whether the run ends with this terminal.
    pub on_terminal: bool,
    /// Length of the job, as planned with.
    pub duration: Option<Duration>,
    /// The latest end.
    pub deadline: Option<Timestamp>,
    /// Whether delay is earned (nothing was given).
    pub earned: bool,
    /// Whether `--policy now` was asked for: then there is nothing to tell.
    pub now_policy: bool,
}

/// The lines that tell `news`, without `catrain: ` in front.
pub fn lines(news: &News, now: Moment, view: &View<'_>, setting: &Setting) -> Vec<String> {
    let at = |when: Timestamp| time(when, now.utc, &(setting.zone)());
    match news {
        News::Opening(_) if setting.now_policy => Vec::new(),
        News::Opening(decision) => opening(decision, now, view, setting),
        News::NothingKnown if setting.now_policy => Vec::new(),
        News::NothingKnown => {
            vec!["no carbon intensity is known for now; the job runs, and is neither held nor paused".into()]
        }
        News::StartsNow(decision) => {
            vec![format!(
                "{} started: {}",
                at(now.utc),
                reason(decision, now, setting)
            )]
        }
        News::StartsByHand => vec![format!("{} started by hand", at(now.utc))],
        News::Paused {
            decision,
            processes,
            took,
            holds,
        } => {
            let why = why_paused(decision.as_ref(), *holds, now, setting);
            let spare =
                spare(decision.as_ref()).map_or(String::new(), |spare| format!("; {spare}"));
            let processes = match processes {
                1 => "1 process".to_owned(),
                many => format!("{many} processes"),
            };
            let took = took.as_secs_f64() * 1e3;
            vec![format!(
                "{} paused, {processes} stopped in {took:.1} ms: {why}{spare}",
                at(now.utc)
            )]
        }
        News::Resumed {
            decision: Some(decision),
        } => {
            vec![format!(
                "{} resumed: {}",
                at(now.utc),
                reason(decision, now, setting)
            )]
        }
        News::Resumed { decision: None } => vec![format!("{} resumed by hand", at(now.utc))],
        News::Released {
            decision,
            took,
            holds,
        } => {
            let why = why_paused(decision.as_ref(), *holds, now, setting);
            let took = duration(*took);
            vec![format!(
                "{} saved its state and left, within {took}: {why}; it is started again then",
                at(now.utc)
            )]
        }
        News::StartsAgain { decision } => {
            let why = decision.as_ref().map_or(String::new(), |decision| {
                format!(": {}", reason(decision, now, setting))
            });
            vec![format!("{} started again{why}", at(now.utc))]
        }
        News::TriesAgain {
            how,
            after,
            nth,
            of,
        } => vec![format!(
            "{} the job {how}; tried again in {} ({nth} of {of})",
            at(now.utc),
            duration(*after)
        )],
        News::GivenBack(begin) => {
            let at = words::time(*begin, now.utc, &(setting.zone)());
            let run = (setting.run)();
            vec![format!(
                "back in the queue until {at}: the nodes are free meanwhile, and the run goes on as {run}"
            )]
        }
        News::Refused(why) => {
            vec![format!(
                "{} warning: not paused: {why}; the job runs on",
                at(now.utc)
            )]
        }
        News::Warning(text) => vec![format!("warning: {text}")],
        News::Note(text) => vec![text.clone()],
    }
}

fn why_paused(decision: Option<&Decision>, holds: Holds, now: Moment, setting: &Setting) -> String {
    match decision {
        Some(decision) if holds.carbon => reason(decision, now, setting),
        _ if holds.leader => "as the node that leads does".to_owned(),
        _ if holds.operator => format!("by hand, until `catrain resume {}`", (setting.run)()),
        _ => "by Ctrl-Z, until `fg`".to_owned(),
    }
}

/// Whether the news may be written into the middle of the job's own output.
pub fn is_urgent(news: &News) -> bool {
    matches!(
        news,
        News::Refused(_) | News::Warning(_) | News::TriesAgain { .. }
    )
}

/// The line of a countdown and the share of the wait that is over.
pub fn countdown(
    now: Moment,
    view: &View<'_>,
    setting: &Setting,
    waiting_since: Duration,
) -> Option<(String, f64)> {
    let word = match view.machine.phase() {
        Phase::Holding => "held",
        Phase::Paused { .. } => "paused",
        Phase::Released { .. } => "released",
        _ => return None,
    };
    let intensity = view
        .machine
        .outlook()
        .and_then(|outlook| outlook.expected.at(now.utc));
    let intensity = intensity.map_or(String::new(), |value| {
        format!(" · {}", words::intensity(value))
    });
    let Holds {
        operator, devices, ..
    } = view.machine.holds();
    if devices {
        let text = format!("{word}, since others use its devices{intensity}");
        return Some((text, 0.0));
    }
    if operator {
        let run = (setting.run)();
        return Some((
            format!("{word} by hand until catrain resume {run}{intensity}"),
            0.0,
        ));
    }
    let until = view.machine.decision().and_then(|decision| decision.until);
    let Some(until) = until else {
        return Some((format!("{word}{intensity}"), 0.0));
    };
    let left = until.duration_since(now.utc).unsigned_abs();
    let gone = now.elapsed.saturating_sub(waiting_since).as_secs_f64();
    let share = gone / (gone + left.as_secs_f64()).max(1e-9);
    let at = time(until, now.utc, &(setting.zone)());
    Some((
        format!("{word} until {at} · {} left{intensity}", duration(left)),
        share,
    ))
}

fn reason(decision: &Decision, now: Moment, setting: &Setting) -> String {
    decision
        .reason
        .words(decision.until, now.utc, &(setting.zone)())
}

fn spare(decision: Option<&Decision>) -> Option<String> {
    match decision?.deadline? {
        Fit::Planned { spare } => Some(format!("{} to spare", duration(spare))),
        _ => None,
    }
}

fn opening(decision: &Decision, now: Moment, view: &View<'_>, setting: &Setting) -> Vec<String> {
    let Some(outlook) = view.machine.outlook() else {
        return Vec::new();
    };
    let mut lines = vec![intensity_line(outlook, now)];
    if let Some(line) = work_line(decision, now, setting) {
        lines.push(line);
    }
    let end = decision.plan.as_ref().map(|plan| plan.end);
    match decision.act {
        Act::Pause => {
            lines.push(held_line(decision, now, setting));
            let enter = if setting.enter_starts {
                "Enter, or "
            } else {
                ""
            };
            let run = (setting.run)();
            lines.push(format!(
                "start now: {enter}catrain resume {run}    never wait: --max-delay 0    why: catrain status {run}"
            ));
        }
        Act::Run => lines.push(started_line(decision, now, setting)),
    }
    let waits =
        decision.act == Act::Pause || decision.plan.as_ref().is_some_and(|plan| plan.pauses > 0);
    if let (true, true, Some(end)) = (setting.on_terminal, waits, end) {
        let end = time(end, now.utc, &(setting.zone)());
        lines.push(format!("keep this terminal open until {end}"));
    }
    lines
}

fn intensity_line(outlook: &Outlook, now: Moment) -> String {
    let value = outlook
        .expected
        .at(now.utc)
        .map_or("unknown now".to_owned(), |value| {
            format!("{} now", words::intensity(value))
        });
    let age = outlook.issued_at.map_or(String::new(), |issued| {
        format!(
            ", {} old",
            duration(now.utc.duration_since(issued).unsigned_abs())
        )
    });
    let confidence = match outlook.kind {
        Kind::Live => String::new(),
        _ => format!(", confidence {:.2}", outlook.confidence),
    };
    let (zone, source, kind, basis) = (&outlook.zone, &outlook.source, outlook.kind, outlook.basis);
    format!("{zone}, {value} ({source}, {kind}{age}{confidence}; {basis})")
}

fn work_line(decision: &Decision, now: Moment, setting: &Setting) -> Option<String> {
    let deadline = setting
        .deadline
        .map(|at| time(at, now.utc, &(setting.zone)()));
    let (Some(work), Some(due)) = (setting.duration, deadline.as_ref()) else {
        return match (setting.duration, deadline) {
            (None, Some(due)) => Some(format!(
                "due {due}; without a duration (-d) it runs at once, since only a known speed gives a right to wait"
            )),
            _ => None,
        };
    };
    let work = duration(work);
    Some(match decision.deadline {
        Some(Fit::Planned { spare }) => {
            format!("{work} of work, due {due}, {} to spare", duration(spare))
        }
        Some(Fit::Tight) => format!(
            "{work} of work, due {due}: tight, so it runs without pausing (--duration-exact if the figure is sure)"
        ),
        Some(Fit::CannotBeMet { late }) => format!(
            "{work} of work, due {due}: cannot be met, ends about {} late; it runs without pausing",
            duration(late)
        ),
        None => format!("{work} of work, due {due}"),
    })
}

fn held_line(decision: &Decision, now: Moment, setting: &Setting) -> String {
    let zone = (setting.zone)();
    match (&decision.plan, decision.until) {
        (Some(plan), _) => plan.words(State::Fresh, now.utc, &zone),
        (None, Some(until)) => {
            let until = time(until, now.utc, &zone);
            format!("held until {until}: {}", reason(decision, now, setting))
        }
        (None, None) => format!("held: {}", reason(decision, now, setting)),
    }
}

fn started_line(decision: &Decision, now: Moment, setting: &Setting) -> String {
    match &decision.plan {
        Some(plan) if plan.pauses > 0 => plan.words(State::Fresh, now.utc, &(setting.zone)()),
        _ if setting.earned => {
            "started; how long it takes is unknown, so it may be paused for at most half \
             the time it has run, 12 h in all (-d 6h lets it plan)"
                .to_owned()
        }
        _ => format!("started: {}", reason(decision, now, setting)),
    }
}
