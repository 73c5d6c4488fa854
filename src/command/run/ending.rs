//! The end of a run: the last record, the summary, what is worth remembering, and the exit.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::warn;

use super::Ending;
use super::memory::{self, About, Lesson};
use super::prepare::Prepared;
use super::settings;
use super::tasks::Task;
use crate::cli::{RunArgs, SummaryForm};
use crate::clock::Moment;
use crate::command::report::latest;
use crate::error::Failure;
use crate::ledger::entry::{Exit, Part};
use crate::ledger::{self, Closed, Ledger, Writer};
use crate::patience::within;
use crate::report::{self, Record, Summary};
use crate::supervise::{Outcome, Over};
use crate::talk::Talk;

/// A command that is over sooner is not worth planning.
const WORTH_REMEMBERING: Duration = Duration::from_mins(1);

pub(super) fn finish(
    args: &RunArgs,
    prepared: &Prepared,
    over: Over,
    now: Moment,
    writer: Rc<Writer>,
    trouble: Option<String>,
    talk: &Talk,
) -> Result<Ending, Failure> {
    let Over { outcome, survived } = over;
    let run = writer.id().within(Duration::ZERO);
    let remembered = writer.so_far();
    let trouble = writer.trouble().or(trouble);
    let closed = Task::CloseRecord.run(|| {
        let writer = Rc::into_inner(writer);
        writer.map_or_else(Closed::default, |w| w.finish(Task::CloseRecord.limit()))
    });
    let good = matches!(outcome, Outcome::Job(Exit::Code(0)));
    let has_run = matches!(outcome, Outcome::Job(_) | Outcome::Unknown | Outcome::Left);
    let summary = Task::Summarise.run(|| {
        let summary = summary(prepared, &run, &closed, &remembered, now);
        if let Some(summary) = summary.as_ref().filter(|_| has_run) {
            print_summary(args, summary, talk, now);
        }
        summary
    });
    if let Some(warning) = of_record(&run, &closed, trouble) {
        warn!("{warning}");
        talk.say(&warning);
    }
    if talk.dropped() > 0 {
        talk.say(&format!(
            "{} messages were lost: nobody took them",
            talk.dropped()
        ));
    }
    Task::Remember.run(|| {
        if let Some(state) = &prepared.state
            && let Some(lesson) = lesson(args, prepared, summary.filter(|_| good), survived)
        {
            memory::remember(state.clone(), lesson, Task::Remember.limit());
        }
    });
    Task::CloseSocket.run(|| {
        if let Some(runtime) = crate::dirs::runtime() {
            let socket = crate::control::socket(&runtime, &run);
            let limit = Task::CloseSocket.limit();
            drop(within(limit, move || std::fs::remove_file(socket)));
        }
    });
    match outcome {
        Outcome::Job(Exit::Code(code)) => Ok(Ending::Code(code as u8)),
        Outcome::Job(Exit::Signal(signal)) | Outcome::DiedBy(signal) => Ok(Ending::Signal(signal)),
        Outcome::Unknown => {
            talk.say("the job has ended; the kernel does not tell us how");
            Ok(Ending::Code(0))
        }
        Outcome::Left | Outcome::GivenBack => Ok(Ending::Code(0)),
        Outcome::StoppedBeforeStart => Ok(Ending::Signal(settings::stop_signal(args))),
        Outcome::NotStarted(error) => Err(Failure::new(error.kind, anyhow::Error::msg(error.what))),
    }
}

/// What is wrong with the record, if anything. `told` is the last that was heard of it while the run
/// went on; what was then kept in memory is lost by now.
fn of_record(run: &str, closed: &Closed, told: Option<String>) -> Option<String> {
    let why = closed.trouble.clone();
    if closed.is_complete {
        return Some(format!(
            "warning: the record of {run} is complete, but {}",
            why?
        ));
    }
    let late = || "the disk did not take it in time".to_owned();
    let why = why.or(told).unwrap_or_else(late);
    let how = match closed.is_empty {
        true => "incomplete, nothing of it is written",
        false => "incomplete",
    };
    Some(format!("warning: the record of {run} is {how}: {why}"))
}

/// What the record says. Once it is complete that is read from the file, so that it is what
/// `catrain report` will say; else it is what is remembered.
fn summary(
    prepared: &Prepared,
    run: &str,
    closed: &Closed,
    remembered: &Ledger,
    now: Moment,
) -> Option<Summary> {
    let path = (prepared.state.as_ref()).map(|state| ledger::ledger_path(state, run));
    let read = move |path: PathBuf| {
        within(Task::Summarise.limit(), move || ledger::read(&path))
            .ok()?
            .ok()
    };
    let written = path.filter(|_| closed.is_complete).and_then(read);
    let ledger = written.as_ref().unwrap_or(remembered);
    let mut summary = report::summarise(ledger, latest(ledger, now.utc))?;
    summary.record = written
        .as_ref()
        .map(|ledger| Record::of(ledger, Some(false)));
    summary.is_unrecorded = closed.is_empty;
    Some(summary)
}

/// What is worth remembering, if anything: of a run that ended well how long it took, of one that was
/// paused whether it survived that.
fn lesson(
    args: &RunArgs,
    prepared: &Prepared,
    good: Option<Summary>,
    survived: Option<bool>,
) -> Option<Lesson> {
    if args.replay.is_some() {
        return None;
    }
    let zone = args
        .zone
        .clone()
        .filter(|zone| prepared.last_zone.as_ref() != Some(zone));
    let length = good
        .and_then(|summary| Duration::try_from_secs_f64(summary.duration_s[Part::Running]).ok())
        .filter(|length| *length >= WORTH_REMEMBERING);
    let command = (length.is_some() || survived.is_some()).then(|| About {
        command: prepared.fingerprint.clone(),
        length,
        died_after_resume: survived.map(|survived| !survived),
    });
    (zone.is_some() || command.is_some()).then_some(Lesson { zone, command })
}

fn print_summary(args: &RunArgs, summary: &Summary, talk: &Talk, now: Moment) {
    let form = |form: SummaryForm| match form {
        SummaryForm::Text => {
            report::text::end_of_run(summary, talk.look(), now.utc, &TimeZone::system())
        }
        SummaryForm::Json => {
            report::json::document(std::slice::from_ref(summary), now.utc, now.utc)
        }
        SummaryForm::None => String::new(),
    };
    if args.summary != SummaryForm::None {
        talk.print(&form(args.summary));
    }
    if let Some(path) = &args.summary_file {
        let as_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let wanted = match args.summary {
            SummaryForm::None if as_json => SummaryForm::Json,
            SummaryForm::None => SummaryForm::Text,
            other => other,
        };
        // A pipe that nobody reads or a disk that hangs must not keep the job's exit back.
        let (to, text) = (path.clone(), form(wanted));
        let written = within(Task::Summarise.limit(), move || std::fs::write(to, text));
        if let Err(error) = written.and_then(|written| written) {
            talk.say(&format!(
                "warning: cannot write the summary to {}: {error}",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_report_is_promised_where_nothing_is_recorded() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/ledger_v2.jsonl"
        );
        let ledger = ledger::read(path.as_ref()).unwrap();
        let at = ledger.entries.last().unwrap().at;
        let mut short = ledger.clone();
        short.entries.truncate(1);
        for ledger in [ledger, short] {
            let mut summary = report::summarise(&ledger, at).unwrap();
            let look = crate::words::Look::PLAIN;
            let said =
                |summary: &Summary| report::text::end_of_run(summary, look, at, &TimeZone::UTC);
            assert!(said(&summary).contains("catrain report r7k2"));
            summary.is_unrecorded = true;
            assert!(!said(&summary).contains("catrain report"));
        }
    }

    #[test]
    fn the_last_word_on_a_record_is_what_became_of_it() {
        let why = "cannot write the ledger: No space left on device";
        let told = Some(format!("{why}; kept in memory and tried again"));
        let closed = |is_complete, is_empty, trouble: Option<&str>| Closed {
            is_complete,
            is_empty,
            trouble: trouble.map(str::to_owned),
            head: None,
        };
        let said = |closed: Closed| of_record("r7k2", &closed, told.clone());
        assert_eq!(said(closed(true, false, None)), None);
        let nothing =
            format!("warning: the record of r7k2 is incomplete, nothing of it is written: {why}");
        assert_eq!(said(closed(false, true, Some(why))), Some(nothing));
        let part = format!("warning: the record of r7k2 is incomplete: {why}");
        assert_eq!(said(closed(false, false, Some(why))), Some(part));
        let head = said(closed(true, false, Some("its head is not noted"))).unwrap();
        assert!(head.ends_with("is complete, but its head is not noted"));
        let late = of_record("r7k2", &Closed::default(), None).unwrap();
        assert!(late.ends_with("incomplete: the disk did not take it in time"));
    }
}
