//! The driver with a job, a disk and a person that are made up, on the runtime's paused clock:
//! time passes only where everybody waits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::*;
use crate::ledger::entry::EnergyKind;
use crate::ledger::{Sink, Sync, Writer};
use machine::{Expected, Settings};

/// Everything that was done, in order, with the time since the start.
type Log = Rc<RefCell<Vec<(Duration, String)>>>;

/// The runtime's clock as a run's.
struct RuntimeClock {
    start: Instant,
    begin: Timestamp,
}

impl RuntimeClock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            begin: "2026-03-02T00:00:00Z".parse().unwrap(),
        }
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Moment {
        let passed = Instant::now() - self.start;
        Moment {
            utc: self.begin + SignedDuration::try_from(passed).unwrap(),
            elapsed: passed,
            monotonic: passed,
            suspended: Duration::ZERO,
        }
    }

    fn speed(&self) -> f64 {
        1.0
    }
}

/// A disk that takes everything, or hangs for ever at the first sync.
struct Disk {
    hangs: bool,
}

impl Sink for Disk {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.hangs {
            loop {
                std::thread::park();
            }
        }
        Ok(())
    }
}

struct Paper {
    writer: Writer,
    log: Log,
}

impl Recorder for Paper {
    fn record(&mut self, now: Moment, what: What) -> Ticket {
        let line = match &what {
            What::Intent { action } => format!("intent {action:?}"),
            What::Confirmed { action, .. } => format!("confirmed {action:?}"),
            What::Refused { action, .. } => format!("refused {action:?}"),
            What::End { .. } => "end".to_owned(),
            What::Segment(segment) => format!("segment of {:?}", segment.part),
            What::Warning { text } => format!("warning: {text}"),
            _ => String::new(),
        };
        if !line.is_empty() {
            self.log.borrow_mut().push((now.elapsed, line));
        }
        self.writer.record(now.utc, now.elapsed, what, Sync::Now)
    }

    fn trouble(&mut self) -> Option<String> {
        self.writer.trouble()
    }

    fn segment_at_most(&self) -> Duration {
        Duration::from_mins(5)
    }
}

fn ended(exit: Exit) -> Happening {
    let exit = Some(exit);
    Happening::Ended { exit, left: 0 }
}

/// A job that ends after so long, and stops when told if it does.
struct Job {
    log: Log,
    start: Instant,
    ends: Option<Instant>,
    confirms: bool,
    happenings: VecDeque<Happening>,
    /// What happens once it runs.
    after_start: VecDeque<Happening>,
    /// How many more times something happens, without a moment in between.
    babbles: u32,
}

impl Job {
    fn did(&self, what: &str) {
        let at = Instant::now() - self.start;
        self.log.borrow_mut().push((at, what.to_owned()));
    }
}

impl Executor for Job {
    fn start(&mut self, _: u32) -> Result<i32, StartError> {
        self.did("start");
        self.happenings.push_back(Happening::GuardReady);
        self.happenings.append(&mut self.after_start);
        Ok(17)
    }
    fn pause(&mut self) {
        self.did("pause");
        if self.confirms {
            self.happenings.push_back(Happening::Paused {
                processes: 1,
                took: Duration::from_millis(1),
                notes: Vec::new(),
            });
        }
    }
    fn resume(&mut self) -> u32 {
        self.did("resume");
        1
    }
    fn relay(&mut self, _: &Signal) {
        self.did("relay");
    }
    fn ask_to_end(&mut self, _: i32) {
        self.did("ask to end");
        self.happenings.push_back(ended(Exit::Signal(15)));
    }
    fn checkpoint(&mut self) {
        self.did("checkpoint");
    }
    fn forget_checkpoint(&mut self) {
        self.did("forget checkpoint");
    }
    fn ask_leftovers(&mut self, _: i32) {
        self.did("ask leftovers");
    }
    fn give_back(&mut self, _: Duration) {}

    fn look_at_devices(&mut self) {
        self.did("look at devices");
    }
    fn kill(&mut self) {
        self.did("kill");
        self.happenings.push_back(ended(Exit::Signal(9)));
    }
    fn start_guard(&mut self) {}
    fn renew_lease(&mut self) {}
    fn stop_self(&mut self) {
        self.did("stop self");
    }
    fn has_several_ranks(&mut self) -> bool {
        false
    }
    fn has_connections(&mut self) -> bool {
        false
    }
    fn usage(&mut self) -> Usage {
        Usage::default()
    }
    async fn next(&mut self) -> Happening {
        if let Some(happening) = self.happenings.pop_front() {
            return happening;
        }
        if self.babbles > 0 {
            self.babbles -= 1;
            tokio::time::advance(Duration::from_micros(300)).await;
            return Happening::GuardReady;
        }
        match self.ends {
            Some(at) => {
                sleep_until(at).await;
                ended(Exit::Code(0))
            }
            None => std::future::pending().await,
        }
    }
}

struct Nobody;

impl Teller for Nobody {
    fn tell(&mut self, _: Moment, _: &News, _: &View<'_>) {}
    fn countdown(&mut self, _: Moment, _: &View<'_>) {}
    fn lend_input(&mut self) {}
    fn make_way(&mut self) {}
}

/// Finds a joule a stretch, and says so after a while, or only when it has to.
#[derive(Clone, Default)]
struct Joule {
    late: Option<Duration>,
    due: VecDeque<Stretch>,
    missing: Option<String>,
}

impl Joule {
    fn metered(stretch: Stretch) -> Metered {
        Metered {
            stretch,
            energy: vec![Reading {
                component: "cpu".to_owned(),
                joules: Joules(1.0),
                kind: EnergyKind::Measured,
                method: None,
                source: "test".to_owned(),
                whole: None,
            }],
            unattributed: Vec::new(),
        }
    }
}

impl Meter for Joule {
    fn started(&mut self, _: i32) {}
    fn cut(&mut self, stretch: Stretch, _: Usage) {
        self.due.push_back(stretch);
    }
    async fn next(&mut self) -> Metering {
        if self.due.is_empty() {
            return std::future::pending().await;
        }
        tokio::time::sleep(self.late.unwrap_or_default()).await;
        let stretch = self.due.pop_front().expect("it was looked at above");
        Metering::Stretch(Self::metered(stretch))
    }
    fn give_up(&mut self) -> Vec<Metered> {
        self.due.drain(..).map(Self::metered).collect()
    }
    fn missing(&mut self) -> Option<String> {
        self.missing.take()
    }
}

/// A stage: the driver in the making, and the hands of the test.
struct Stage {
    clock: RuntimeClock,
    log: Log,
    job: Job,
    hangs: bool,
    settings: Settings,
    meter: Joule,
    arrivals: Option<mpsc::Receiver<Arrival>>,
    send: mpsc::Sender<Arrival>,
}

impl Stage {
    fn new() -> Self {
        let clock = RuntimeClock::new();
        let log = Log::default();
        let job = Job {
            log: log.clone(),
            start: clock.start,
            ends: None,
            confirms: true,
            happenings: VecDeque::new(),
            after_start: VecDeque::new(),
            babbles: 0,
        };
        let (send, arrivals) = mpsc::channel(16);
        let settings = Settings {
            poll: Duration::from_mins(1),
            replan: Duration::from_mins(1),
            ..Settings::plain()
        };
        Self {
            clock,
            log,
            job,
            hangs: false,
            settings,
            meter: Joule::default(),
            arrivals: Some(arrivals),
            send,
        }
    }

    /// Runs to the end; the future is to be driven beside the test's script.
    async fn run(&mut self, patience: Duration) -> Outcome {
        let machine = Machine::new(self.settings.clone(), self.clock.now());
        let hangs = self.hangs;
        let writer = Writer::to(move || Ok(Box::new(Disk { hangs })));
        let job = Job {
            log: self.log.clone(),
            happenings: std::mem::take(&mut self.job.happenings),
            after_start: std::mem::take(&mut self.job.after_start),
            ..self.job
        };
        let mut driver = Driver {
            clock: &self.clock,
            executor: job,
            recorder: Paper {
                writer,
                log: self.log.clone(),
            },
            teller: Nobody,
            meter: self.meter.clone(),
            watchers: Vec::new(),
            arrivals: self.arrivals.take().unwrap(),
            describe: Box::new(
                |view, _| serde_json::json!({ "paused": matches!(view.machine.phase(), Phase::Paused { .. }) }),
            ),
            serve: Box::new(|listener, requests| {
                tokio::spawn(control::serve(listener, requests, None));
            }),
            hook: Box::new(|_, _, _| {}),
            reload: Box::new(drop),
            noted_until: self.clock.now().utc,
            patience,
        };
        driver.run(machine).await.outcome
    }
}

fn time_of(log: &Log, what: &str) -> Duration {
    let log = log.borrow();
    let found = log.iter().find(|(_, did)| did == what);
    found.unwrap_or_else(|| panic!("no `{what}` in {log:?}")).0
}

fn place_of(log: &Log, what: &str) -> usize {
    let log = log.borrow();
    let found = log.iter().position(|(_, did)| did == what);
    found.unwrap_or_else(|| panic!("no `{what}` in {log:?}"))
}

/// A socket of the run, and how to ask there.
fn socket(folder: &tempfile::TempDir) -> (control::Listener, std::path::PathBuf) {
    let listener = control::listen(folder.path(), "r7k2").unwrap();
    (listener, control::socket(folder.path(), "r7k2"))
}

async fn ask(path: &std::path::Path, word: control::Word) -> serde_json::Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
    let method = match word {
        control::Word::Status => "GET",
        _ => "POST",
    };
    let request = format!("{method} /{} HTTP/1.1\r\nhost: x\r\n\r\n", word.as_str());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// Pauses by hand after a second, asks how it stands, resumes, and stops a minute later.
async fn pause_and_resume(
    send: mpsc::Sender<Arrival>,
    folder: &tempfile::TempDir,
) -> serde_json::Value {
    let (listener, path) = socket(folder);
    send.send(Arrival::Ready).await.unwrap();
    send.send(Arrival::Socket(listener)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    ask(&path, control::Word::Pause).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let answer = ask(&path, control::Word::Status).await;
    ask(&path, control::Word::Resume { time: None }).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    ask(&path, control::Word::Stop).await;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_written_down_before_it_is_done_and_a_status_is_answered_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let send = stage.send.clone();
    let log = stage.log.clone();
    let (outcome, answer) = tokio::join!(
        stage.run(Duration::from_secs(5)),
        pause_and_resume(send, &folder)
    );
    assert!(matches!(outcome, Outcome::Job(Exit::Signal(15))));
    assert_eq!(answer["paused"], true);
    assert_eq!(answer["ok"], true);
    let order = [
        "intent Start",
        "start",
        "confirmed Start",
        "intent Pause",
        "pause",
        "confirmed Pause",
        "intent Resume",
        "resume",
        "confirmed Resume",
        "intent Stop",
        "ask to end",
        "end",
    ];
    let places: Vec<usize> = order.iter().map(|what| place_of(&log, what)).collect();
    assert!(places.is_sorted(), "{:?}", log.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_disk_delays_a_pause_by_half_a_second_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    stage.hangs = true;
    let send = stage.send.clone();
    let log = stage.log.clone();
    tokio::join!(
        stage.run(Duration::from_secs(5)),
        pause_and_resume(send, &folder)
    );
    let waited = |act: &str, intent: &str| time_of(&log, act) - time_of(&log, intent);
    let pause = waited("pause", "intent Pause");
    assert!(pause >= RECORD_BEFORE_PAUSE, "{pause:?}");
    assert!(pause < 2 * RECORD_BEFORE_PAUSE, "{pause:?}");
    assert_eq!(waited("start", "intent Start"), Duration::ZERO);
    assert_eq!(waited("resume", "intent Resume"), Duration::ZERO);
    assert_eq!(waited("ask to end", "intent Stop"), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_never_confirms_is_given_up_and_the_job_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    stage.job.confirms = false;
    let send = stage.send.clone();
    let log = stage.log.clone();
    let (_, answer) = tokio::join!(
        stage.run(Duration::from_secs(5)),
        pause_and_resume(send, &folder)
    );
    assert_eq!(answer["paused"], false);
    let given_up = time_of(&log, "resume") - time_of(&log, "intent Pause");
    assert!(given_up <= Duration::from_secs(6), "{given_up:?}");
    assert!(place_of(&log, "refused Pause") > place_of(&log, "pause"));
}

#[tokio::test(start_paused = true)]
async fn sources_that_never_answer_hold_the_start_for_five_seconds() {
    let mut stage = Stage::new();
    stage.settings.duration = Some(Expected {
        duration: Duration::from_hours(4),
        margin: 0.25,
        given: true,
    });
    stage.settings.asked_for = true;
    stage.settings.max_delay = Some(Duration::from_hours(4));
    stage.job.ends = Some(Instant::now() + Duration::from_mins(1));
    let (log, _keeps_open) = (stage.log.clone(), stage.send.clone());
    let outcome = stage.run(Duration::from_secs(5)).await;
    assert!(matches!(outcome, Outcome::Job(Exit::Code(0))));
    let started = time_of(&log, "start");
    assert!(started >= Duration::from_millis(4900), "{started:?}");
    assert!(started <= Duration::from_millis(6100), "{started:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_given_sources_hold_nothing_up() {
    let mut stage = Stage::new();
    stage.job.ends = Some(Instant::now() + Duration::from_mins(1));
    let (log, _keeps_open) = (stage.log.clone(), stage.send.clone());
    stage.run(Duration::from_millis(50)).await;
    assert!(time_of(&log, "start") <= Duration::from_millis(51));
}

fn terminate() -> Happening {
    Happening::Signal {
        signal: Signal {
            number: 15,
            from_terminal: false,
            to_everyone: false,
            meaning: event::Meaning::Terminate,
            has_terminal: false,
        },
        name: "TERM".to_owned(),
        from: "pid 1".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_before_the_start_starts_nothing() {
    let mut stage = Stage::new();
    stage.settings.asked_for = true;
    stage.job.happenings.push_back(terminate());
    let (log, _keeps_open) = (stage.log.clone(), stage.send.clone());
    let outcome = stage.run(Duration::from_secs(5)).await;
    assert!(matches!(outcome, Outcome::DiedBy(15)));
    assert!(log.borrow().iter().all(|(_, did)| did != "start"));
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_ends_in_time_while_others_talk_without_a_moment_between() {
    let mut stage = Stage::new();
    // Fifteen seconds of it.
    stage.job.babbles = 50_000;
    stage.job.after_start.push_back(terminate());
    stage.settings.grace = Duration::from_secs(3);
    let log = stage.log.clone();
    let outcome = stage.run(Duration::ZERO).await;
    assert!(matches!(outcome, Outcome::Job(Exit::Signal(9))));
    let took = time_of(&log, "kill") - time_of(&log, "relay");
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// How long the run took beyond its job, and what was written down.
async fn with_meter(late: Option<Duration>) -> (Duration, Vec<String>) {
    let mut stage = Stage::new();
    stage.meter.late = late;
    stage.job.ends = Some(stage.clock.start + Duration::from_secs(60));
    let outcome = stage.run(Duration::ZERO).await;
    assert!(
        matches!(outcome, Outcome::Job(Exit::Code(0))),
        "{outcome:?}"
    );
    let over = time_of(&stage.log, "end") - Duration::from_secs(60);
    let log = stage.log.borrow();
    (over, log.iter().map(|(_, did)| did.clone()).collect())
}

#[tokio::test(start_paused = true)]
async fn the_end_is_written_after_the_last_reading() {
    let (over, log) = with_meter(Some(Duration::from_millis(50))).await;
    assert!(over < Duration::from_millis(200), "{over:?}");
    let end = log.iter().position(|did| did == "end").unwrap();
    let last = log
        .iter()
        .rposition(|did| did.starts_with("segment"))
        .unwrap();
    assert_eq!(log[last], "segment of Running");
    assert!(last < end, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_hangs_delays_neither_the_start_nor_the_end_and_loses_no_stretch() {
    let (over, log) = with_meter(Some(Duration::from_secs(100_000))).await;
    assert!(over <= LAST_READING, "{over:?}");
    let end = log.iter().position(|did| did == "end").unwrap();
    let running = log
        .iter()
        .position(|did| did == "segment of Running")
        .unwrap();
    assert!(running < end, "{log:?}");
    assert_eq!(log.iter().filter(|did| *did == "end").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_meters_never_brought_is_written_down_before_the_end() {
    let mut stage = Stage::new();
    stage.meter.missing = Some("no GPU answered".to_owned());
    stage.job.ends = Some(stage.clock.start + Duration::from_secs(60));
    stage.run(Duration::ZERO).await;
    let told = place_of(&stage.log, "warning: no GPU answered");
    assert!(told < place_of(&stage.log, "end"));
}
