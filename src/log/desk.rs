//! Where events are taken and where they are written: a bounded queue with a thread behind it.
//!
//! Whoever says something copies it out and goes on; what the queue cannot take is counted. The
//! thread is started by the first event, so that a process with nothing to say has none.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::SigSet;
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};

use super::audit;
use super::levels::Levels;
use super::line::{Event, Form, Redactor, Value};
use super::rotate::{Rotating, Rotation};
use crate::clock::utc_now;
use crate::error::Category;
use crate::keys::known;
use crate::ledger::RunId;
use crate::ledger::redact::REDACTED;

/// Events that may wait to be written.
const QUEUE: usize = 1024;
/// Bytes of one text in an event; a service may answer with a novel.
const LONGEST: usize = 4 << 10;
/// Lines that wait for the job to leave the terminal alone.
const HELD: usize = 1000;
/// How often it is looked whether it does.
const LOOK: Duration = Duration::from_millis(200);
/// How long the first line waits for the id of its run.
const ID_PATIENCE: Duration = Duration::from_secs(1);

/// Says a line to the person; `false` where nobody takes it any more.
pub(super) type Voice = Box<dyn Fn(&str) -> bool + Send>;

/// What the thread is told.
pub(super) enum Message {
    Event(Event),
    /// There will be a run: lines wait a moment for its id.
    ExpectRun,
    Run(RunId),
    Voice(Voice),
    /// There is something to look at.
    Wake,
}

/// Where lines go, and how they look.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) file: Option<PathBuf>,
    pub(super) form: Option<Form>,
    pub(super) rotation: Rotation,
    pub(super) acts: Option<PathBuf>,
    /// The job may be writing to the terminal.
    pub(super) job_writes: Arc<AtomicBool>,
}

/// Takes what is said.
pub(super) struct Desk {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    is_finishing: Arc<AtomicBool>,
    /// Until the thread is started.
    idle: Mutex<Option<Idle>>,
    done: Mutex<Option<Receiver<()>>>,
}

struct Idle {
    inbox: Receiver<Message>,
    writing: Writing,
    levels: Option<Levels>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(writing: Writing) -> Self {
        let (queue, inbox) = sync_channel(QUEUE);
        Self {
            queue,
            dropped: Arc::default(),
            is_finishing: Arc::default(),
            idle: Mutex::new(Some(Idle {
                inbox,
                writing,
                levels: None,
            })),
            done: Mutex::default(),
        }
    }

    /// What hears the events of this process for this desk.
    pub(super) fn collector(self: &Arc<Self>, levels: Option<Levels>, acts: bool) -> Collector {
        if let Some(idle) = &mut *locked(&self.idle) {
            idle.levels = levels.clone();
        }
        Collector {
            desk: self.clone(),
            levels,
            acts,
        }
    }

    /// Passes it on where there is room, and never waits.
    pub(super) fn tell(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hear(&self, event: Event) {
        self.start();
        self.tell(Message::Event(event));
    }

    fn start(&self) {
        // Whoever finds it locked knows that another is starting it.
        let Some(idle) = self.idle.try_lock().ok().and_then(|mut idle| idle.take()) else {
            return;
        };
        let (over, done) = sync_channel::<()>(1);
        let mut writer = Writer::new(idle.writing, idle.levels, self.dropped.clone());
        let is_finishing = self.is_finishing.clone();
        let body = move || {
            // It may be there before the run takes its signals from the main thread: it must not.
            let _ = SigSet::all().thread_block();
            writer.write_all(&idle.inbox, &is_finishing);
            drop(over);
        };
        let thread = std::thread::Builder::new().name("log".to_owned());
        // Without a thread the queue has no other end: all is counted as lost, and nothing waits.
        if thread.stack_size(256 * 1024).spawn(body).is_ok() {
            *locked(&self.done) = Some(done);
        }
    }

    /// Has the thread write what is left and end, but waits no longer than this.
    pub(super) fn finish(&self, limit: Duration) {
        let Some(done) = locked(&self.done).take() else {
            return;
        };
        self.is_finishing.store(true, Ordering::Release);
        // A full queue wakes it as well.
        let _ = self.queue.try_send(Message::Wake);
        let _ = done.recv_timeout(limit);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies events out.
pub(super) struct Collector {
    desk: Arc<Desk>,
    levels: Option<Levels>,
    acts: bool,
}

impl Collector {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let levels = self.levels.as_ref();
        (self.acts && metadata.target() == audit::TARGET)
            || levels.is_some_and(|it| it.take(metadata.target(), metadata.level()))
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let acts = match self.acts {
            true => LevelFilter::INFO,
            false => LevelFilter::OFF,
        };
        let levels = self.levels.as_ref().map_or(LevelFilter::OFF, Levels::most);
        Some(levels.max(acts))
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields {
            message,
            mut fields,
        } = fields;
        let has_category = fields.iter().any(|(name, _)| *name == "category");
        if *metadata.level() == Level::ERROR && !has_category {
            let category = Category::Internal.as_str().to_owned();
            fields.push(("category", Value::Text(category)));
        }
        self.desk.hear(Event {
            at: utc_now(),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message,
            fields,
        });
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if let Some(number) = serde_json::Number::from_f64(value) {
            self.add(field, Value::Number(number));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Number(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Number(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Flag(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(cut(value.to_owned())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(cut(format!("{value:?}"))));
    }
}

/// Not cut within a secret: what looks like a part of one would not be known again.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = text.floor_char_boundary(LONGEST);
        let word = text[..end].rfind(char::is_whitespace).unwrap_or(0);
        text.truncate(word);
        text.push('…');
    }
    text
}

/// A file, and what it could not take.
struct Kept {
    file: Rotating,
    lost: u64,
}

impl Kept {
    /// Writes a line; what is wrong, in words, once an episode. What was lost in one is added to the
    /// other lost lines when it is over.
    fn write(&mut self, now: Timestamp, line: &str, dropped: &AtomicU64) -> Option<String> {
        match self.file.write(now, line) {
            Ok(()) => {
                dropped.fetch_add(std::mem::take(&mut self.lost), Ordering::Relaxed);
                None
            }
            Err(error) => {
                self.lost += 1;
                let path = self.file.path().display();
                (self.lost == 1).then(|| format!("nothing is logged to {path}: {error}"))
            }
        }
    }
}

/// The thread's side.
struct Writer {
    writing: Writing,
    levels: Option<Levels>,
    file: Option<Kept>,
    acts: Option<Kept>,
    on_terminal: bool,
    dropped: Arc<AtomicU64>,
    voice: Option<Voice>,
    run: Option<RunId>,
    id: Option<String>,
    /// How long the next line waits for it.
    id_patience: Duration,
    host: String,
    /// Whether a run is about to be there, and what came before it.
    expects_run: bool,
    early: Vec<Event>,
    held: VecDeque<String>,
}

impl Writer {
    fn new(writing: Writing, levels: Option<Levels>, dropped: Arc<AtomicU64>) -> Self {
        let files = |path: &Option<PathBuf>, rotation| {
            let path = path.clone()?;
            Some(Kept {
                file: Rotating::new(path, rotation),
                lost: 0,
            })
        };
        let host = nix::unistd::gethostname().unwrap_or_default();
        Self {
            file: files(&writing.file, writing.rotation),
            acts: files(&writing.acts, audit::ROTATION),
            on_terminal: writing.file.is_none() && crate::talk::stderr_is_terminal(),
            writing,
            levels,
            dropped,
            voice: None,
            run: None,
            id: None,
            id_patience: ID_PATIENCE,
            host: host.to_string_lossy().into_owned(),
            expects_run: false,
            early: Vec::new(),
            held: VecDeque::new(),
        }
    }

    fn write_all(&mut self, inbox: &Receiver<Message>, is_finishing: &AtomicBool) {
        loop {
            let message = match inbox.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if is_finishing.load(Ordering::Acquire) => break,
                Err(TryRecvError::Empty) if self.held.is_empty() && self.early.is_empty() => {
                    match inbox.recv() {
                        Ok(message) => message,
                        Err(_) => break,
                    }
                }
                Err(TryRecvError::Empty) => match inbox.recv_timeout(LOOK) {
                    Ok(message) => message,
                    Err(RecvTimeoutError::Timeout) => {
                        self.write_early();
                        Message::Wake
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            match message {
                Message::Event(event) if self.expects_run => self.early.push(event),
                Message::Event(event) => self.event(&event),
                Message::ExpectRun => self.expects_run = true,
                Message::Run(run) => {
                    self.run = Some(run);
                    self.write_early();
                }
                Message::Voice(voice) => self.voice = Some(voice),
                Message::Wake => {}
            }
            if !self.writing.job_writes.load(Ordering::Relaxed) {
                self.show_held();
            }
        }
        self.write_early();
        self.show_held();
    }

    /// Nothing waits for a run any more.
    fn write_early(&mut self) {
        self.expects_run = false;
        for event in std::mem::take(&mut self.early) {
            self.event(&event);
        }
    }

    fn event(&mut self, event: &Event) {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.say_lost(lost);
        }
        let run = self.run_id();
        let known = |text: &str| known::blot(text, REDACTED).into_owned();
        let redactor = Redactor { known: &known };
        if event.target == audit::TARGET
            && let Some(acts) = &mut self.acts
        {
            let line = redactor.act(event, run.as_deref(), &self.host);
            let trouble = acts.write(event.at, &line, &self.dropped);
            self.complain(trouble);
        }
        let is_logged = |levels: &Levels| levels.take(&event.target, &event.level);
        if self.levels.as_ref().is_some_and(is_logged) {
            let line = redactor.line(event, run.as_deref(), self.form());
            self.write(event, line);
        }
    }

    fn form(&self) -> Form {
        let usual = match self.on_terminal {
            true => Form::Text,
            false => Form::Json,
        };
        self.writing.form.unwrap_or(usual)
    }

    fn write(&mut self, event: &Event, line: String) {
        if let Some(file) = &mut self.file {
            let trouble = file.write(event.at, &line, &self.dropped);
            return self.complain(trouble);
        }
        // As the voice of the program has it: what is not urgent waits for the job to stop writing.
        let waits = self.on_terminal
            && event.level > Level::WARN
            && self.writing.job_writes.load(Ordering::Relaxed);
        if waits {
            if self.held.len() == HELD {
                self.held.pop_front();
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return self.held.push_back(line);
        }
        self.show(&line);
    }

    fn show_held(&mut self) {
        for line in std::mem::take(&mut self.held) {
            self.show(&line);
        }
    }

    /// Shows a line; on a terminal by the voice, which knows of the countdown.
    fn show(&self, line: &str) {
        let is_said = |voice: &Voice| self.on_terminal && voice(line);
        if !self.voice.as_ref().is_some_and(is_said) {
            // In one write, so that no other line falls between.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    /// What is wrong with a file is said where it can be, once an episode.
    fn complain(&self, trouble: Option<String>) {
        let Some(trouble) = trouble else { return };
        let line = format!("catrain: warning: {trouble}\n");
        if !self.voice.as_ref().is_some_and(|voice| voice(&line)) {
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn say_lost(&mut self, lost: u64) {
        let event = Event {
            at: utc_now(),
            level: Level::WARN,
            target: "catrain::log".to_owned(),
            message: "lines were lost: they could not be written, or came too fast".to_owned(),
            fields: vec![("lost", Value::Number(lost.into()))],
        };
        if self.levels.is_some() {
            self.event(&event);
        }
    }

    /// The run's id, waited for once; it decides nothing, so that a hung disk does not.
    fn run_id(&mut self) -> Option<String> {
        if self.id.is_none()
            && let Some(run) = self.run.take()
        {
            self.id = run.known_within(std::mem::take(&mut self.id_patience));
            if self.id.is_none() {
                self.run = Some(run);
            }
        }
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tracing::{debug, error, info, info_span, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::ledger;

    const LONG: Duration = Duration::from_secs(20);

    fn desk(file: &Path, acts: Option<PathBuf>) -> Arc<Desk> {
        Arc::new(Desk::new(Writing {
            file: Some(file.to_owned()),
            form: None,
            rotation: Rotation::default(),
            acts,
            job_writes: Arc::default(),
        }))
    }

    /// What a process says to this desk, as it stands in the file in the end.
    fn said(
        desk: &Arc<Desk>,
        levels: &str,
        acts: bool,
        file: &Path,
        say: impl FnOnce(),
    ) -> Vec<serde_json::Value> {
        let levels: Levels = levels.parse().unwrap();
        let collector = desk.collector(Some(levels), acts);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(collector), say);
        desk.finish(LONG);
        lines(file)
    }

    fn lines(file: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_has_what_was_said_and_every_error_a_category() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("log");
        let lines = said(&desk(&file, None), "debug", false, &file, || {
            let _span = info_span!("a span is no line").entered();
            debug!(source = "neso", duration_ms = 1.5, ok = true, "asked");
            error!(category = Category::Disk.as_str(), "full");
            error!("a bug");
            tracing::trace!("not wanted");
        });
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["message"], "asked");
        assert_eq!(lines[0]["duration_ms"], 1.5);
        assert_eq!(lines[0]["target"], "catrain::log::desk::tests");
        assert_eq!(lines[1]["category"], "disk");
        assert_eq!(lines[2]["category"], "internal");
    }

    #[test]
    fn lines_that_came_before_the_run_has_an_id_have_it_too() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("log");
        let desk = desk(&file, None);
        let state = base.path().join("state");
        let lines = said(&desk, "info", false, &file, || {
            desk.tell(Message::ExpectRun);
            info!("early");
            let writer = ledger::Writer::begin(state, 7, ledger::Options::default());
            desk.tell(Message::Run(writer.id()));
            info!("late");
        });
        assert_eq!(lines.len(), 2);
        assert!(lines[0]["run"].is_string());
        assert_eq!(lines[0]["run"], lines[1]["run"]);
    }

    #[test]
    fn what_the_queue_cannot_take_is_counted_and_told() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("log");
        let desk = desk(&file, None);
        // Nobody reads yet.
        for _ in 0..QUEUE + 5 {
            desk.tell(Message::Wake);
        }
        let lines = said(&desk, "info", false, &file, || {
            info!("lost");
            // It may be the sixth that is lost, or find room by now.
            while desk.dropped.load(Ordering::Relaxed) > 0 {
                info!("one more");
                std::thread::yield_now();
            }
        });
        let told = lines.iter().filter_map(|line| line["lost"].as_u64());
        assert!(told.sum::<u64>() >= 5, "{lines:?}");
    }

    #[test]
    fn acts_have_a_file_of_their_own_whatever_is_logged() {
        let base = tempfile::tempdir().unwrap();
        let (file, acts) = (base.path().join("log"), base.path().join("audit.jsonl"));
        let desk = desk(&file, Some(acts.clone()));
        let logged = said(&desk, "error", true, &file, || {
            let who = audit::Who {
                uid: 7,
                pid: Some(17),
                program: Some("catrain\n".to_owned()),
                login_uid: None,
            };
            audit::note("pause", None, &who, audit::Outcome::Done);
            warn!("not logged");
        });
        assert!(logged.is_empty(), "{logged:?}");
        let acts = lines(&acts);
        assert_eq!(acts.len(), 1);
        assert_eq!(acts[0]["schema"], "catrain.audit/1");
        assert_eq!(acts[0]["act"], "pause");
        assert_eq!(acts[0]["uid"], 7);
        assert_eq!(acts[0]["program"], "catrain\n");
        assert!(acts[0].get("login_uid").is_none());
    }

    #[test]
    fn a_file_that_cannot_be_written_costs_lines_and_they_are_told_of_later() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("no/log");
        std::fs::write(base.path().join("no"), "a file").unwrap();
        let (sender, complaints) = std::sync::mpsc::channel();
        let desk = desk(&file, None);
        let lines = said(&desk, "info", false, &file, || {
            desk.tell(Message::Voice(Box::new(move |text: &str| {
                sender.send(text.to_owned()).is_ok()
            })));
            info!("one");
            info!("two");
            let complaint = complaints.recv_timeout(LONG).unwrap();
            assert!(complaint.contains("nothing is logged to"), "{complaint}");
            std::fs::remove_file(base.path().join("no")).unwrap();
            info!("three");
            info!("four");
        });
        let lost: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
        let said = lines.iter().filter(|line| line["lost"].is_null()).count() as u64;
        assert_eq!(
            (lost + said, complaints.try_recv().is_err()),
            (4, true),
            "{lines:?}"
        );
        assert!(lost >= 1);
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        let text = format!("{} {}", "a".repeat(LONGEST - 10), "b".repeat(100));
        let cut = cut(text);
        assert!(cut.ends_with("a…") && cut.len() < LONGEST, "{}", cut.len());
        assert_eq!(super::cut("short".to_owned()), "short");
    }
}
