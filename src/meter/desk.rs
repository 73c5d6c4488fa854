//! The driver's side of metering: asks the threads that measure, waits for none of them for long, and
//! answers each stretch in its turn.
//!
//! There are two threads, one for GPUs and one for the rest, since a driver may hang. Each takes
//! orders and sends reports. A stretch is answered when both have, but: nobody waits for GPUs
//! that are not open yet, and a thread that does not answer within two seconds is passed by. What it
//! measured meanwhile is counted in the next stretch of the same part, once.
//!
//! The threads start after the job has, or when the driver first listens: the start waits for none,
//! and a job that is over at once never sees the GPUs opened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::At;
use super::given::{Figures, Model};
use crate::ledger::entry::{MeterFact, Method, Part, Reading};
use crate::supervise::event::Stretch;
use crate::supervise::{Meter, Metered, Metering, Usage};
use crate::units::Joules;

/// How long a thread may take to answer before it is passed by.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the thread of the GPUs is put off: opening a driver would take time from a job that starts.
const BEFORE_GPUS: Duration = Duration::from_millis(20);
/// How long opening the GPUs may take before it is told that they are not metered.
const OPENING: Duration = Duration::from_secs(10);
/// A job that was over sooner may have used no GPU that was asked for.
const MOMENT: Duration = Duration::from_millis(100);
/// How often a thread may tell that something is wrong, or better, and all of them how they are doing:
/// a device that comes and goes each second would fill the record of a month.
const MOST_TOLD: usize = 50;

/// Reads the clocks of the run.
pub type ReadClock = Arc<dyn Fn() -> At + Send + Sync>;

/// A stretch that ended, for those who measure.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// What it was spent on.
    pub part: Part,
    /// Its start.
    pub from: At,
    /// Its end.
    pub to: At,
    /// What the job has used so far.
    pub usage: Usage,
}

/// Measures in a thread of its own. Everything here may block.
pub trait Worker {
    /// Opens what there is to open.
    fn begin(&mut self, at: At);
    /// The job was started, with this leader.
    fn started(&mut self, at: At, leader: i32);
    /// Samples.
    fn tick(&mut self, at: At);
    /// How often to sample.
    fn every(&self) -> Duration;
    /// The energy of a stretch, the job's and nobody's; in the order of stretches.
    fn cut(&mut self, at: At, cut: &Cut) -> (Vec<Reading>, Vec<Reading>);
    /// Its meters, as they are now.
    fn facts(&self) -> Vec<MeterFact>;
    /// What went wrong since this was last called.
    fn troubles(&mut self) -> Vec<String>;
    /// What became better since this was last called.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// Whether it has something to measure.
    fn is_open(&self) -> bool;
}

/// Makes a worker, in its thread.
pub type Hire = Box<dyn FnOnce() -> Box<dyn Worker> + Send>;

/// What a thread is told.
enum Order {
    Started(i32),
    Cut(u64, Cut),
}

/// What a thread tells.
enum Report {
    Answer(Answer),
    Facts(Vec<MeterFact>),
    Trouble(String),
    Note(String),
    /// It is through with opening; whether it has something to measure.
    Open(bool),
}

struct Answer {
    id: u64,
    part: Part,
    energy: Vec<Reading>,
    unattributed: Vec<Reading>,
}

/// The two threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Host,
    Gpus,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "processor and memory",
            Self::Gpus => "GPUs",
        }
    }
}

/// A thread, as the desk sees it.
struct Link {
    hire: Option<Hire>,
    orders: Option<Sender<Order>>,
    /// Whether it is through with opening.
    is_through: bool,
    has_meters: bool,
    /// It did not answer in time.
    is_hung: bool,
    /// Stretches that it was asked for and has not answered.
    asked: usize,
    /// What it measured of stretches that were answered without it.
    late: Vec<Answer>,
    facts: Vec<MeterFact>,
    /// How many troubles and notes it has told.
    told: usize,
    /// When its thread was started.
    since: Option<Instant>,
}

impl Link {
    fn new(hire: Hire) -> Self {
        Self {
            hire: Some(hire),
            orders: None,
            is_through: false,
            has_meters: false,
            is_hung: false,
            asked: 0,
            late: Vec::new(),
            facts: Vec::new(),
            told: 0,
            since: None,
        }
    }
}

/// A stretch that is not answered yet.
struct Due {
    id: u64,
    stretch: Stretch,
    usage: Usage,
    energy: Vec<Reading>,
    unattributed: Vec<Reading>,
    waits_for: Vec<Who>,
    until: Instant,
}

/// All meters of a run.
pub struct Meters {
    /// What was given, and all there is in a replay.
    model: Model,
    live: Option<Live>,
    /// What to tell before the next stretch.
    news: VecDeque<Metering>,
    due: VecDeque<Due>,
}

struct Live {
    clock: ReadClock,
    links: [(Who, Link); 2],
    sender: UnboundedSender<(Who, Report)>,
    reports: UnboundedReceiver<(Who, Report)>,
    next: u64,
    /// Facts changed and were not told.
    is_news: bool,
    /// The job's leader, once it was started.
    leader: Option<i32>,
    /// When the thread of the GPUs starts.
    gpus_from: Option<Instant>,
    /// Whether somebody asked for GPUs by name.
    wants_gpus: bool,
    /// How long opening the GPUs may take.
    opening: Duration,
    /// It was told that they do not answer.
    has_told_of_opening: bool,
    told_facts: usize,
    has_told_of_given: bool,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters")
            .field("due", &self.due.len())
            .finish_non_exhaustive()
    }
}

impl Meters {
    /// No hardware is looked at: a replay.
    pub fn modelled(figures: Figures, speed: f64) -> Self {
        Self {
            model: Model::new(figures, speed),
            live: None,
            news: VecDeque::new(),
            due: VecDeque::new(),
        }
    }

    /// Meters with two threads: one for processor and memory, one for GPUs.
    pub fn live(figures: Figures, clock: ReadClock, host: Hire, gpus: Hire) -> Self {
        let (sender, reports) = unbounded_channel();
        Self {
            live: Some(Live {
                clock,
                links: [(Who::Host, Link::new(host)), (Who::Gpus, Link::new(gpus))],
                sender,
                reports,
                next: 0,
                is_news: false,
                leader: None,
                gpus_from: None,
                wants_gpus: false,
                opening: OPENING,
                has_told_of_opening: false,
                told_facts: 0,
                has_told_of_given: false,
            }),
            ..Self::modelled(figures, 1.0)
        }
    }

    /// The same where somebody asked for GPUs by name: at the end it is told if they never answered.
    pub fn wanting_gpus(mut self, wants: bool) -> Self {
        if let Some(live) = &mut self.live {
            live.wants_gpus = wants;
        }
        self
    }

    /// Starts the threads, once: that of the GPUs a little later, since a job that is over by then has
    /// used none.
    fn hire(&mut self) {
        let Some(live) = &mut self.live else { return };
        let now = Instant::now();
        let gpus_from = *live.gpus_from.get_or_insert(now + BEFORE_GPUS);
        for (who, link) in &mut live.links {
            if *who == Who::Gpus && now < gpus_from {
                continue;
            }
            let Some(hire) = link.hire.take() else {
                continue;
            };
            let (orders, received) = channel();
            let (who, clock, sender) = (*who, live.clock.clone(), live.sender.clone());
            let tell = move |report| sender.send((who, report)).is_ok();
            let thread = std::thread::Builder::new().name(format!("meter {}", who.name()));
            match thread.spawn(move || work(hire(), &clock, &received, &tell)) {
                Ok(_) => (link.orders, link.since) = (Some(orders), Some(now)),
                Err(error) => {
                    link.is_through = true;
                    self.news.push_back(Metering::Trouble(format!(
                        "{} are not metered: no thread can be started: {error}",
                        who.name()
                    )));
                }
            }
            if let Some(leader) = live.leader {
                Self::order(&mut self.news, who, link, Order::Started(leader));
            }
        }
    }

    /// When something is due that no thread tells.
    fn due_at(&self) -> Option<Instant> {
        let live = self.live.as_ref();
        let is_out = |live: &&Live| live.links.iter().any(|(_, link)| link.hire.is_some());
        let hire = live.filter(is_out).and_then(|live| live.gpus_from);
        let answer = self.due.front().map(|due| due.until);
        let opening = (live.filter(|live| !live.has_told_of_opening))
            .and_then(|live| Some(live.gpus_opening()? + live.opening));
        [hire, answer, opening].into_iter().flatten().min()
    }

    /// Tells once that GPUs take too long to open: nobody waits for them, so nobody would notice.
    fn mind_opening(&mut self) {
        let Some(live) = &mut self.live else { return };
        let is_late = |since: Instant| Instant::now() >= since + live.opening;
        if !live.has_told_of_opening && live.gpus_opening().is_some_and(is_late) {
            live.has_told_of_opening = true;
            self.news.push_back(Metering::Trouble(format!(
                "GPUs are not metered: NVML has not answered for {} s (they are when it does; \
                 --gpus none leaves them out)",
                live.opening.as_secs()
            )));
        }
    }

    /// Gives an order to a thread; whether there is one to take it.
    fn order(news: &mut VecDeque<Metering>, who: Who, link: &mut Link, order: Order) -> bool {
        let Some(orders) = &link.orders else {
            return false;
        };
        if orders.send(order).is_ok() {
            return true;
        }
        link.orders = None;
        link.facts.clear();
        link.has_meters = false;
        news.push_back(Metering::Trouble(format!(
            "the meter of {} has failed (a bug in catrain); what it would measure is missing from here on",
            who.name()
        )));
        false
    }

    /// Takes what the threads have told so far.
    fn listen(&mut self) {
        while let Some(live) = &mut self.live
            && let Ok((who, report)) = live.reports.try_recv()
        {
            self.take(who, report);
        }
    }

    fn take(&mut self, who: Who, report: Report) {
        let Some(live) = &mut self.live else { return };
        let link = live.link(who);
        match report {
            Report::Open(has_meters) => {
                let was_through = std::mem::replace(&mut link.is_through, true);
                link.has_meters = has_meters;
                if who == Who::Gpus && !was_through && live.has_told_of_opening && has_meters {
                    let text = "NVML answers now; GPUs are metered from here on";
                    self.news.push_back(Metering::Note(text.to_owned()));
                }
            }
            Report::Facts(facts) => {
                link.facts = facts;
                live.is_news = live.told_facts < MOST_TOLD;
            }
            Report::Trouble(text) => self.pass_on(who, Metering::Trouble(text)),
            Report::Note(text) => self.pass_on(who, Metering::Note(text)),
            Report::Answer(answer) => {
                link.asked = link.asked.saturating_sub(1);
                let due = self.due.iter_mut().find(|due| due.id == answer.id);
                match due.filter(|due| due.waits_for.contains(&who)) {
                    Some(due) => {
                        due.waits_for.retain(|other| *other != who);
                        due.energy.extend(answer.energy);
                        due.unattributed.extend(answer.unattributed);
                    }
                    None => link.late.push(answer),
                }
                if link.is_hung && link.asked == 0 {
                    link.is_hung = false;
                    let late = link.late.iter().flat_map(|late| &late.energy);
                    let late: Joules = late.map(|reading| reading.joules).sum();
                    self.news.push_back(Metering::Note(format!(
                        "the meter of {} answers again; the {:.0} J that it measured meanwhile are \
                         counted in the next stretch of their kind",
                        who.name(),
                        late.0
                    )));
                }
            }
        }
    }

    /// Passes on what a thread has to say, so often and no more.
    fn pass_on(&mut self, who: Who, news: Metering) {
        let Some(live) = &mut self.live else { return };
        let link = live.link(who);
        link.told += 1;
        if link.told <= MOST_TOLD {
            self.news.push_back(news);
        }
        if link.told == MOST_TOLD {
            let text = format!("more of this from {} is not told", who.name());
            self.news.push_back(Metering::Trouble(text));
        }
    }

    /// The front one, if all have answered or have had their time.
    fn answered(&mut self) -> Option<Metered> {
        let due = self.due.front()?;
        if !due.waits_for.is_empty() {
            return None;
        }
        let due = self.due.pop_front()?;
        Some(self.finish(due))
    }

    fn finish(&mut self, due: Due) -> Metered {
        let Due {
            stretch,
            usage,
            mut energy,
            mut unattributed,
            ..
        } = due;
        let given = self.model.read(&stretch, usage.processor);
        let Some(live) = &mut self.live else {
            return Metered {
                stretch,
                energy: given,
                unattributed,
            };
        };
        for (_, link) in &mut live.links {
            let of_this_part = |late: &mut Answer| late.part == stretch.part;
            for late in link.late.extract_if(.., of_this_part) {
                add(&mut energy, late.energy);
                add(&mut unattributed, late.unattributed);
            }
        }
        let is_given = self.model.gives(stretch.part);
        if is_given && !live.is_measured() {
            energy = given;
        } else if is_given && !std::mem::replace(&mut live.has_told_of_given, true) {
            self.news.push_back(Metering::Trouble(format!(
                "--power and --idle-power are not used: {} measured",
                live.measured_in_words()
            )));
        }
        Metered {
            stretch,
            energy,
            unattributed,
        }
    }

    /// Who has not answered the front one has had its time.
    fn pass_by(&mut self) {
        let (Some(live), Some(due)) = (&mut self.live, self.due.front_mut()) else {
            return;
        };
        if Instant::now() < due.until {
            return;
        }
        for who in std::mem::take(&mut due.waits_for) {
            let link = live.link(who);
            if !std::mem::replace(&mut link.is_hung, true) {
                self.news.push_back(Metering::Trouble(format!(
                    "the meter of {} does not answer; what it measures is missing until it does",
                    who.name()
                )));
            }
        }
    }

    /// News that cannot wait, or that belongs before the next stretch.
    fn told(&mut self) -> Option<Metering> {
        if let Some(live) = &mut self.live {
            let all_through = live.links.iter().all(|(_, link)| link.is_through);
            let is_due = self.due.front().is_some_and(|due| due.waits_for.is_empty());
            if live.is_news && (all_through || is_due) {
                live.is_news = false;
                live.told_facts += 1;
                let given = self.model.fact();
                let facts = match given.filter(|_| !live.is_measured()) {
                    Some(given) => vec![given],
                    None => {
                        let links = live.links.iter();
                        links.flat_map(|(_, link)| link.facts.clone()).collect()
                    }
                };
                self.news.push_back(Metering::Meters(facts));
            }
        }
        self.news.pop_front()
    }
}

impl Live {
    /// Since when the GPUs have been opening; none where they are through, or not begun.
    fn gpus_opening(&self) -> Option<Instant> {
        let (_, link) = &self.links[Who::Gpus as usize];
        link.since.filter(|_| !link.is_through)
    }

    fn link(&mut self, who: Who) -> &mut Link {
        let (_, link) = &mut self.links[who as usize];
        link
    }

    /// What a meter measures, as opposed to a model.
    fn measured(&self) -> impl Iterator<Item = &MeterFact> {
        let facts = self.links.iter().flat_map(|(_, link)| &link.facts);
        facts.filter(|fact| {
            use Method as M;
            matches!(
                fact.method,
                M::GpuCounter | M::GpuPower | M::Rapl | M::RaplDram
            )
        })
    }

    fn is_measured(&self) -> bool {
        self.measured().next().is_some()
    }

    fn measured_in_words(&self) -> String {
        let names: Vec<&str> = self
            .measured()
            .map(|fact| fact.component.as_str())
            .collect();
        match names.as_slice() {
            [one] => format!("{one} is"),
            names => format!("{} are", names.join(", ")),
        }
    }
}

/// Adds readings to those of the same meter.
fn add(to: &mut Vec<Reading>, late: Vec<Reading>) {
    for reading in late {
        let same = |other: &&mut Reading| {
            let key = |it: &Reading| (it.kind, it.method, it.whole.clone(), it.source.clone());
            other.component == reading.component && key(other) == key(&reading)
        };
        match to.iter_mut().find(same) {
            Some(other) => other.joules += reading.joules,
            None => to.push(reading),
        }
    }
}

impl Meter for Meters {
    fn started(&mut self, leader: i32) {
        if let Some(live) = &mut self.live {
            // Who is there already is told now, who comes later then.
            for (who, link) in &mut live.links {
                Self::order(&mut self.news, *who, link, Order::Started(leader));
            }
            live.leader = Some(leader);
        }
        self.hire();
    }

    fn cut(&mut self, stretch: Stretch, usage: Usage) {
        self.hire();
        self.listen();
        let mut due = Due {
            id: 0,
            stretch,
            usage,
            energy: Vec::new(),
            unattributed: Vec::new(),
            waits_for: Vec::new(),
            until: Instant::now() + PATIENCE,
        };
        if let Some(live) = &mut self.live {
            live.next += 1;
            due.id = live.next;
            let cut = Cut {
                part: due.stretch.part,
                from: due.stretch.from.into(),
                to: due.stretch.to.into(),
                usage,
            };
            for (who, link) in &mut live.links {
                // Nobody waits for GPUs that are not open: opening may take seconds.
                let is_of_use = *who == Who::Host || link.has_meters;
                let order = Order::Cut(due.id, cut);
                if is_of_use && Self::order(&mut self.news, *who, link, order) {
                    link.asked += 1;
                    if !link.is_hung {
                        due.waits_for.push(*who);
                    }
                }
            }
        }
        self.due.push_back(due);
    }

    async fn next(&mut self) -> Metering {
        loop {
            self.hire();
            self.listen();
            self.mind_opening();
            if let Some(news) = self.told() {
                return news;
            }
            if let Some(metered) = self.answered() {
                return Metering::Stretch(metered);
            }
            let due_at = self.due_at();
            let report = async {
                match &mut self.live {
                    Some(live) => live.reports.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                Some((who, report)) = report => self.take(who, report),
                () = sleep_until(due_at.unwrap_or_else(Instant::now)), if due_at.is_some() => self.pass_by(),
                else => std::future::pending().await,
            }
        }
    }

    fn give_up(&mut self) -> Vec<Metered> {
        self.listen();
        let due = std::mem::take(&mut self.due);
        due.into_iter().map(|due| self.finish(due)).collect()
    }

    fn missing(&mut self) -> Option<String> {
        self.listen();
        let live = self.live.as_ref().filter(|live| live.wants_gpus)?;
        let since = live.gpus_opening().filter(|_| live.leader.is_some())?;
        (since.elapsed() >= MOMENT).then(|| {
            "the GPUs of --gpus were not metered: NVML had not answered when the job ended"
                .to_owned()
        })
    }
}

/// What a thread does until nobody listens any more.
fn work(
    mut worker: Box<dyn Worker>,
    clock: &ReadClock,
    orders: &Receiver<Order>,
    tell: &dyn Fn(Report) -> bool,
) {
    let mut known = None;
    let mut is_open = None;
    let mut report = |worker: &mut dyn Worker| {
        let facts = worker.facts();
        if known.as_ref() != Some(&facts) {
            known = Some(facts.clone());
            tell(Report::Facts(facts));
        }
        let open = Some(worker.is_open());
        if open != is_open {
            is_open = open;
            tell(Report::Open(worker.is_open()));
        }
        let troubles = worker.troubles().into_iter().map(Report::Trouble);
        let notes = worker.notes().into_iter().map(Report::Note);
        troubles.chain(notes).all(&tell)
    };
    worker.begin(clock());
    worker.tick(clock());
    let mut sampled = clock().awake;
    while report(worker.as_mut()) {
        let next = sampled + worker.every();
        match orders.recv_timeout(next.saturating_sub(clock().awake)) {
            Ok(Order::Started(leader)) => worker.started(clock(), leader),
            Ok(Order::Cut(id, cut)) => {
                let (energy, unattributed) = worker.cut(clock(), &cut);
                // What changed comes before the answer that shows it.
                report(worker.as_mut());
                let answer = Answer {
                    id,
                    part: cut.part,
                    energy,
                    unattributed,
                };
                if !tell(Report::Answer(answer)) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                sampled = clock().awake;
                worker.tick(clock());
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests;
