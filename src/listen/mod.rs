//! What the job says: how far it is, and that it has saved its state.
//!
//! | file | one idea |
//! |---|---|
//! | `tail` | what is added to a file, or arrives in a pipe |
//! | `lines` | cut into lines |
//! | `proof` | a checkpoint that is new and whole |
//!
//! Both are read on threads of their own, one for what the job writes and one for its checkpoints:
//! each may hang on a file server that is gone, and nothing waits for it. Files are looked at now
//! and then, as not every file system tells of changes; while the job is paused, not at all.

mod lines;
mod proof;
mod tail;

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use regex::Regex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::clock::monotonic;
use crate::supervise::progress::{Patterns, Reading};
use proof::Watch;
use tail::Tail;
pub use tail::{Ear, NotAFile, is_regular};

/// How often the job's lines are looked for.
const USUALLY: Duration = Duration::from_secs(2);
/// And while a proof is wanted.
const ATTENTIVE: Duration = Duration::from_millis(250);
/// How long the state before may take to see; then there is none to compare with.
const SNAPSHOT: Duration = Duration::from_secs(2);
/// Readings of one look that are passed on, beyond which bars are drawn faster than anybody learns.
const MOST_READINGS: usize = 16;
/// What we write to the same file ourselves begins so.
const OWN_WORDS: &str = "catrain: ";

/// What to listen to.
#[derive(Debug)]
pub struct Hearing {
    /// Where the job writes.
    pub ear: Option<Ear>,
    /// What progress looks like there.
    pub patterns: Patterns,
    /// Which paths hold its checkpoints; see [`check_glob`].
    pub checkpoint_path: Option<String>,
    /// A line that says it has saved. Of no use without an ear.
    pub checkpoint_line: Option<Regex>,
}

/// Whether this can be looked for as a path with `*`, `?`, `[…]` and `**`.
///
/// # Errors
/// Says where it cannot be read.
pub fn check_glob(pattern: &str) -> Result<(), String> {
    let checked = glob::Pattern::new(pattern);
    checked.map(drop).map_err(|error| error.to_string())
}

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The job says how far it is.
    Progress(Reading),
    /// The state before is known: the job may be asked to save now. Follows each
    /// [`Listener::want_proof`], at most two seconds later; if something cannot be proved then,
    /// [`Heard::Trouble`] comes first.
    SnapshotTaken,
    /// The job has saved its state.
    Proved {
        /// `checkpoint-500.pt, 1.2 GB, new`.
        how: String,
    },
    /// Something cannot be heard, once an episode.
    Trouble(String),
}

/// Hears a job until it is dropped.
#[derive(Debug)]
pub struct Listener {
    tail: Option<Sender<Order>>,
    proof: Option<Sender<Order>>,
    said: mpsc::Receiver<Said>,
    /// What comes late of a proof that is no longer wanted has another number.
    wanted: u64,
    /// Who has to see the state before yet, and until when that is waited for.
    unready: Vec<Who>,
    ready_by: Option<Instant>,
    ready: Vec<Heard>,
}

enum Order {
    Want { number: u64, pids: Vec<i32> },
    Forget,
    Sleep,
    Wake,
    Follow(OwnedFd),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Tail,
    Proof,
}

#[derive(Debug)]
enum Said {
    Progress(Reading),
    Ready(u64, Who),
    Proved(u64, String),
    Trouble(String),
}

/// The other end was dropped.
struct Over;

impl Listener {
    /// Listens from now on: what a file holds already is not this job's. To be called before the job
    /// starts; returns at once.
    ///
    /// # Errors
    /// There are no threads left.
    pub fn start(hearing: Hearing) -> io::Result<Self> {
        let (say, said) = mpsc::channel(32);
        let mut tail = None;
        if let Some(ear) = hearing.ear {
            let (sender, orders) = channel();
            let mouth = Mouth::new(say.clone());
            let (patterns, line) = (hearing.patterns, hearing.checkpoint_line);
            Builder::new().name("listen".to_owned()).spawn(move || {
                let _ = hear_lines(Tail::new(ear), patterns, line.as_ref(), &orders, mouth);
            })?;
            tail = Some(sender);
        }
        let mut proof = None;
        if let Some(pattern) = hearing.checkpoint_path {
            let (sender, orders) = channel();
            let mouth = Mouth::new(say);
            Builder::new().name("proof".to_owned()).spawn(move || {
                let _ = look_for_proof(&pattern, &orders, mouth);
            })?;
            proof = Some(sender);
        }
        Ok(Self {
            tail,
            proof,
            said,
            wanted: 0,
            unready: Vec::new(),
            ready_by: None,
            ready: Vec::new(),
        })
    }

    /// Wants to know when the job has saved its state from now on. Ask it to save after
    /// [`Heard::SnapshotTaken`]. What one of these processes still has open for writing is not
    /// finished.
    pub fn want_proof(&mut self, pids: &[i32]) {
        self.wanted += 1;
        self.unready.clear();
        if self.tail.is_some() {
            self.unready.push(Who::Tail);
        }
        if self.proof.is_some() {
            self.unready.push(Who::Proof);
        }
        self.ready_by = Some(Instant::now() + SNAPSHOT);
        let number = self.wanted;
        self.tell(|| Order::Want {
            number,
            pids: pids.to_vec(),
        });
    }

    /// No proof is wanted any more; one that comes late is not heard.
    pub fn forget_proof(&mut self) {
        self.wanted += 1;
        self.unready.clear();
        self.ready_by = None;
        self.tell(|| Order::Forget);
    }

    /// The job is paused: there is nothing to hear until [`Listener::wake`].
    pub fn sleep(&mut self) {
        self.tell(|| Order::Sleep);
    }

    /// The job runs again.
    pub fn wake(&mut self) {
        self.tell(|| Order::Wake);
    }

    /// Goes on with the copy of another relay: the job was started again.
    pub fn follow(&mut self, copy: OwnedFd) {
        if let Some(tail) = &self.tail {
            let _ = tail.send(Order::Follow(copy));
        }
    }

    /// What is heard next; none when nothing ever will be. To be called within a runtime with time.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.ready.pop() {
                return Some(heard);
            }
            if self.unready.is_empty() && self.ready_by.take().is_some() {
                return Some(Heard::SnapshotTaken);
            }
            let late = self.ready_by;
            let said = tokio::select! {
                biased;
                said = self.said.recv() => said,
                () = until(late) => {
                    // What comes of it later has nothing to be compared with.
                    self.ready_by = None;
                    self.ready.push(Heard::SnapshotTaken);
                    let text = match self.unready.contains(&Who::Proof) {
                        true => "the checkpoints cannot be seen (a file system does not answer), so a \
                                 new one will not be noticed",
                        false => "the job's output cannot be read (a file system does not answer)",
                    };
                    self.unready.clear();
                    return Some(Heard::Trouble(text.to_owned()));
                }
            };
            match said? {
                Said::Progress(reading) => return Some(Heard::Progress(reading)),
                Said::Trouble(text) => return Some(Heard::Trouble(text)),
                Said::Ready(number, who) if number == self.wanted => {
                    self.unready.retain(|one| *one != who);
                }
                Said::Proved(number, how) if number == self.wanted => {
                    return Some(Heard::Proved { how });
                }
                Said::Ready(..) | Said::Proved(..) => {}
            }
        }
    }

    fn tell(&self, order: impl Fn() -> Order) {
        for thread in [&self.tail, &self.proof].into_iter().flatten() {
            // A thread that has ended hears nothing, and has said why.
            let _ = thread.send(order());
        }
    }
}

async fn until(late: Option<Instant>) {
    match late {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Where a thread speaks.
struct Mouth {
    say: mpsc::Sender<Said>,
    /// The trouble that was told of last, until it is over.
    trouble: Option<String>,
}

impl Mouth {
    fn new(say: mpsc::Sender<Said>) -> Self {
        Self { say, trouble: None }
    }

    fn say(&self, said: Said) -> Result<(), Over> {
        self.say.blocking_send(said).map_err(|_| Over)
    }

    fn trouble(&mut self, trouble: Option<String>) -> Result<(), Over> {
        if trouble != self.trouble {
            self.trouble.clone_from(&trouble);
            if let Some(text) = trouble {
                self.say(Said::Trouble(text))?;
            }
        }
        Ok(())
    }
}

/// The next order, waited for no longer than `time`; for ever where it is none.
fn order(orders: &Receiver<Order>, time: Option<Duration>) -> Result<Option<Order>, Over> {
    match time {
        None => orders.recv().map(Some).map_err(|_| Over),
        Some(time) => match orders.recv_timeout(time) {
            Ok(order) => Ok(Some(order)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Over),
        },
    }
}

fn hear_lines(
    mut tail: Tail,
    mut patterns: Patterns,
    line: Option<&Regex>,
    orders: &Receiver<Order>,
    mut mouth: Mouth,
) -> Result<(), Over> {
    let mut wanted = None;
    let mut is_asleep = false;
    // A bar that stands still says the same at each look.
    let mut told = None;
    // At once: what is there now was there before the job.
    let mut next = Duration::ZERO;
    loop {
        let usually = match wanted.is_some() {
            true => ATTENTIVE,
            false => USUALLY,
        };
        let time = (!is_asleep).then(|| next.min(usually));
        let order = order(orders, time)?;
        next = usually;
        let mut asked = None;
        match order {
            Some(Order::Sleep) => is_asleep = true,
            Some(Order::Wake) => is_asleep = false,
            Some(Order::Forget) => wanted = None,
            Some(Order::Follow(copy)) => tail = Tail::new(Ear::Copy(copy)),
            Some(Order::Want { number, .. }) => (asked, is_asleep) = (Some(number), false),
            None => {}
        }
        if is_asleep {
            continue;
        }
        let mut readings = Readings::default();
        let mut proof = None;
        let looked = tail.look(&mut |text| {
            if text.starts_with(OWN_WORDS) {
                return;
            }
            if let Some(reading) = patterns.read(text) {
                readings.take(reading);
            }
            if wanted.is_some() && proof.is_none() && line.is_some_and(|line| line.is_match(text)) {
                proof = Some(text.chars().take(100).collect::<String>());
            }
        });
        for reading in readings.0 {
            if told.replace(reading) != Some(reading) {
                mouth.say(Said::Progress(reading))?;
            }
        }
        if let (Some(number), Some(text)) = (wanted, proof) {
            wanted = None;
            mouth.say(Said::Proved(
                number,
                format!("the line `{}`", text.escape_debug()),
            ))?;
        }
        let trouble = looked.err();
        mouth.trouble(trouble.map(|why| format!("the job's progress cannot be read: {why}")))?;
        // After the look: what the job said before it was asked is no proof.
        if let Some(number) = asked {
            wanted = line.map(|_| number);
            mouth.say(Said::Ready(number, Who::Tail))?;
        }
    }
}

/// Of a bar that only grows, the last word is enough.
#[derive(Default)]
struct Readings(Vec<Reading>);

impl Readings {
    fn take(&mut self, reading: Reading) {
        #[expect(clippy::float_cmp, reason = "the same total is printed the same")]
        if let [.., before, last] = self.0.as_mut_slice()
            && before.total == reading.total
            && last.total == reading.total
            && before.done <= last.done
            && last.done <= reading.done
        {
            *last = reading;
            return;
        }
        if self.0.len() == MOST_READINGS {
            self.0.remove(0);
        }
        self.0.push(reading);
    }
}

fn look_for_proof(pattern: &str, orders: &Receiver<Order>, mut mouth: Mouth) -> Result<(), Over> {
    let mut watch: Option<(u64, Watch, Vec<i32>)> = None;
    let mut is_asleep = false;
    let mut pause = ATTENTIVE;
    loop {
        let waits = watch.is_none() || is_asleep;
        let mut order = order(orders, (!waits).then_some(pause))?;
        // After a hang only the last word counts.
        while let Ok(later) = orders.try_recv() {
            match order.replace(later) {
                Some(Order::Sleep) => is_asleep = true,
                Some(Order::Wake) => is_asleep = false,
                _ => watch = None,
            }
        }
        match order {
            Some(Order::Sleep) => is_asleep = true,
            Some(Order::Wake) => is_asleep = false,
            Some(Order::Forget) => watch = None,
            Some(Order::Want { number, pids }) => match proof::look(pattern) {
                Ok(seen) => {
                    is_asleep = false;
                    mouth.trouble(None)?;
                    watch = Some((number, Watch::since(seen), pids));
                    mouth.say(Said::Ready(number, Who::Proof))?;
                    continue;
                }
                Err(why) => {
                    watch = None;
                    let text = format!("a new checkpoint will not be noticed: {why}");
                    mouth.trouble(Some(text))?;
                    mouth.say(Said::Ready(number, Who::Proof))?;
                }
            },
            Some(Order::Follow(_)) | None => {}
        }
        let Some((number, watching, pids)) = watch.as_mut().filter(|_| !is_asleep) else {
            continue;
        };
        let begun = monotonic();
        match proof::look(pattern) {
            Ok(seen) => {
                let settled = watching.settled(begun, seen);
                let whole = (settled.iter())
                    .find(|(path, look, _)| !proof::is_being_written(path, look, pids));
                if let Some((path, look, manner)) = whole {
                    let how = proof::in_words(path, look, *manner);
                    mouth.say(Said::Proved(*number, how))?;
                    watch = None;
                }
            }
            Err(why) => mouth.trouble(Some(format!("a new checkpoint cannot be seen: {why}")))?,
        }
        // A pattern over a large tree is not to cost more than a fifth of a processor.
        pause = ATTENTIVE.max((monotonic() - begun) * 4);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn reading(done: f64, total: f64) -> Reading {
        Reading::new(done, total).unwrap()
    }

    #[test]
    fn of_a_bar_that_grows_only_the_ends_are_passed_on() {
        let mut readings = Readings::default();
        for done in [1.0, 2.0, 3.0, 9.0, 10.0, 0.0, 1.0, 2.0] {
            readings.take(reading(done, 10.0));
        }
        readings.take(reading(1.0, 3.0));
        let left = [
            (1.0, 10.0),
            (10.0, 10.0),
            (0.0, 10.0),
            (2.0, 10.0),
            (1.0, 3.0),
        ];
        assert_eq!(readings.0, left.map(|(done, total)| reading(done, total)));
        for done in 0..100 {
            readings.take(reading(f64::from(done % 2), 10.0));
        }
        assert_eq!(readings.0.len(), MOST_READINGS);
    }

    /// A thread that hears lines of this file; the first orders are there before it is.
    fn hears(path: &Path, first: Option<Order>) -> (Sender<Order>, mpsc::Receiver<Said>) {
        let (sender, orders) = channel();
        if let Some(order) = first {
            sender.send(order).ok().unwrap();
        }
        let (say, said) = mpsc::channel(32);
        let tail = Tail::new(Ear::File(path.to_owned()));
        std::thread::spawn(move || {
            let _ = hear_lines(tail, Patterns::built_in(), None, &orders, Mouth::new(say));
        });
        (sender, said)
    }

    async fn soon(said: &mut mpsc::Receiver<Said>) -> Said {
        let limit = Duration::from_secs(20);
        let said = tokio::time::timeout(limit, said.recv()).await;
        said.expect("it is said soon").unwrap()
    }

    #[tokio::test]
    async fn nothing_is_looked_at_while_the_job_is_paused() {
        let folder = tempfile::tempdir().unwrap();
        let [path, clock] = ["log", "clock"].map(|name| folder.path().join(name));
        // Whoever looks at this complains.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (orders, mut said) = hears(&path, Some(Order::Sleep));
        let (awake, mut other) = hears(&clock, None);
        // Until another has had its turns.
        let (number, pids) = (0, Vec::new());
        awake.send(Order::Want { number, pids }).ok().unwrap();
        soon(&mut other).await;
        for step in 1..=3 {
            std::fs::write(&clock, format!("step {step}/9\n").repeat(step)).unwrap();
            soon(&mut other).await;
        }
        std::fs::remove_file(&path).unwrap();
        let (number, pids) = (1, Vec::new());
        orders.send(Order::Want { number, pids }).ok().unwrap();
        let first = soon(&mut said).await;
        assert!(matches!(first, Said::Ready(1, Who::Tail)), "{first:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_counts_as_none_after_two_seconds_and_says_so() {
        let (say, said) = mpsc::channel(32);
        // Nobody answers, as on a file server that is gone.
        let (proof, _orders) = channel();
        let mut listener = Listener {
            tail: None,
            proof: Some(proof),
            said,
            wanted: 0,
            unready: Vec::new(),
            ready_by: None,
            ready: Vec::new(),
        };
        let begun = Instant::now();
        listener.want_proof(&[]);
        let heard = [listener.next().await, listener.next().await];
        assert_eq!(begun.elapsed().as_secs(), 2);
        assert!(
            matches!(&heard[0], Some(Heard::Trouble(text)) if text.contains("does not answer")),
            "{heard:?}"
        );
        assert_eq!(heard[1], Some(Heard::SnapshotTaken));
        // What comes late of it, or of a proof that is not wanted, is not heard.
        say.send(Said::Ready(1, Who::Proof)).await.ok().unwrap();
        listener.forget_proof();
        let late = Said::Proved(1, "late".to_owned());
        say.send(late).await.ok().unwrap();
        let last = Said::Trouble("last".to_owned());
        say.send(last).await.ok().unwrap();
        assert_eq!(
            listener.next().await,
            Some(Heard::Trouble("last".to_owned()))
        );
    }
}
