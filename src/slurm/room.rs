//! The directory in which the supervisors of one job's nodes tell each other how they stand.
//!
//! It may be on a network file system and hang: it is read and written by a thread of its own, and who hears
//! nothing from that thread takes the others for lost. Files are written beside and renamed, and read by
//! opening them anew each time, by which a network file system is asked again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::lease::{BEAT, FORMAT, Follower, Judge, LOOK, Leader, Order, Presence};
use super::place::Place;
use super::record::plain;
use crate::clock::monotonic;
use crate::dirs;
use crate::patience::rest;

/// Bytes of a file, at most.
const LARGEST: u64 = 4096;
/// How long the end waits for the others to have heard of it.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Directories of jobs that are so long over are removed.
const OLD: Duration = Duration::from_hours(7 * 24);
/// How often who has nothing new says so: that the directory answers.
const ALIVE: Duration = Duration::from_secs(1);

/// The directory of one start of a job.
#[derive(Clone, Debug)]
pub struct Room {
    path: PathBuf,
}

impl Room {
    /// Below `base`, which all nodes share.
    pub fn of(base: &Path, place: &Place) -> Self {
        let step = match &place.step {
            Some(step) => format!(".{}", step.id),
            None => String::new(),
        };
        let Place {
            cluster,
            number,
            restarts,
            ..
        } = place;
        let name = format!("{}-{number}.{restarts}{step}", plain(cluster));
        Self {
            path: base.join("nodes").join(name),
        }
    }

    /// Whether it can be, as far as this host can tell: nobody waits for what others cannot write to either.
    pub fn can_be(&self) -> bool {
        self.path
            .parent()
            .is_some_and(|parent| dirs::secure(parent).is_ok())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same as the supervisor of the batch script has it, whatever step this is.
    pub fn of_batch(base: &Path, place: &Place) -> Self {
        let step = None;
        Self::of(
            base,
            &Place {
                step,
                ..place.clone()
            },
        )
    }

    /// Makes the directory where it is missing, unless somebody else is to.
    fn write(&self, name: &str, what: &impl Serialize, makes: bool) -> io::Result<()> {
        let bytes = serde_json::to_vec(what).map_err(io::Error::other)?;
        if makes {
            // Of a directory that many share nobody else may own what leads to ours.
            if let Some(parent) = self.path.parent() {
                dirs::secure(parent)?;
            }
            dirs::secure(&self.path)?;
        }
        // Without a sync: what a crash takes of it nobody misses.
        let beside = self.path.join(format!(".{name}"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        {
            use std::io::Write as _;
            use std::os::unix::fs::OpenOptionsExt as _;
            let mut file = dirs::open_own(&beside, options.mode(0o600))?;
            file.write_all(&bytes)?;
        }
        std::fs::rename(&beside, self.path.join(name))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = dirs::read(&self.path.join(name), LARGEST).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What the node that leads says.
    pub fn leader(&self) -> Option<Leader> {
        let leader: Leader = self.read("leader")?;
        (leader.format == FORMAT).then_some(leader)
    }

    /// What the others say.
    fn followers(&self) -> Vec<Follower> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        let names = names.filter(|name| name.starts_with("node-"));
        let all = names.filter_map(|name| self.read::<Follower>(&name));
        all.filter(|one| one.format == FORMAT).collect()
    }

    fn sweep(&self) {
        let Some(base) = self.path.parent() else {
            return;
        };
        for old in std::fs::read_dir(base).into_iter().flatten().flatten() {
            let changed = old.metadata().and_then(|facts| facts.modified());
            let age = changed.ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > OLD) && old.path() != self.path {
                let _ = std::fs::remove_dir_all(old.path());
            }
        }
    }
}

/// What a supervisor hears of the others.
#[derive(Debug)]
pub enum Heard {
    /// Each node that follows, and whether it is there.
    Followers(Vec<(Follower, bool)>),
    /// The node that leads is there, and says this.
    Leader(Leader),
    /// It is not there, or never was.
    Lost,
    /// The directory answers, and there is nothing new.
    Nothing,
}

/// A supervisor's end.
#[derive(Debug)]
pub struct Desk<T> {
    /// What is to be written.
    say: Sender<T>,
    /// What is heard.
    pub heard: mpsc::Receiver<Heard>,
    /// Closed once the thread has ended.
    ended: Receiver<()>,
}

impl<T> Desk<T> {
    /// Has it written at once. Never waits.
    pub fn say(&self, what: T) {
        let _ = self.say.send(what);
    }

    /// Waits until what was said last is written, and who leads has seen that the others heard of it; but not
    /// for long.
    pub fn close(self) {
        let Self { say, ended, heard } = self;
        drop((say, heard));
        let _ = ended.recv_timeout(LAST_WORD + LOOK);
    }
}

fn desk<T: Send + 'static>(
    keep: impl FnOnce(&Receiver<T>, &mpsc::Sender<Heard>) + Send + 'static,
) -> Desk<T> {
    let (say, said) = channel();
    let (tell, heard) = mpsc::channel(64);
    let (lives, ended) = channel::<()>();
    // Without a thread nothing is heard, and the others count as lost.
    drop(Builder::new().name("nodes".to_owned()).spawn(move || {
        keep(&said, &tell);
        drop(lives);
    }));
    Desk { say, heard, ended }
}

/// What is said of oneself, and said again so that others know who is there.
trait Word: Serialize {
    /// The name of its file.
    fn file(&self) -> String;
    /// Says that it is there once more.
    fn beat(&mut self, nth: u64);
}

impl Word for Leader {
    fn file(&self) -> String {
        "leader".to_owned()
    }

    fn beat(&mut self, nth: u64) {
        self.beat = nth;
    }
}

impl Word for Follower {
    fn file(&self) -> String {
        format!("node-{}", plain(&self.node))
    }

    fn beat(&mut self, nth: u64) {
        self.beat = nth;
    }
}

/// Who has something to say.
struct Voice<T> {
    saying: Option<T>,
    written: Duration,
    beats: u64,
}

impl<T> Default for Voice<T> {
    fn default() -> Self {
        Self {
            saying: None,
            written: Duration::ZERO,
            beats: 0,
        }
    }
}

impl<T: Word> Voice<T> {
    /// Waits a moment for what is new, and writes it, or the same again where that is due; makes the
    /// directory where it is missing and that is asked for. Whether there will be more.
    fn speak(&mut self, said: &Receiver<T>, room: &Room, makes: bool) -> bool {
        let is_new = match said.recv_timeout(LOOK) {
            Ok(new) => {
                // Only the last word counts.
                self.saying = Some(said.try_iter().last().unwrap_or(new));
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        if let Some(saying) = &mut self.saying
            && (is_new || monotonic().saturating_sub(self.written) >= BEAT)
        {
            self.beats += 1;
            saying.beat(self.beats);
            if room.write(&saying.file(), saying, makes).is_ok() {
                self.written = monotonic();
            }
        }
        true
    }
}

/// The end of the node that leads.
pub fn lead(room: Room) -> Desk<Leader> {
    desk(move |said, heard| keep_leading(&room, said, heard))
}

fn keep_leading(room: &Room, said: &Receiver<Leader>, heard: &mpsc::Sender<Heard>) {
    room.sweep();
    let mut voice = Voice::default();
    let mut told = Duration::ZERO;
    let mut judges: BTreeMap<String, Judge<Follower>> = BTreeMap::new();
    let mut last = Vec::new();
    while voice.speak(said, room, true) {
        if voice.saying.is_none() {
            continue;
        }
        let now = monotonic();
        for follower in room.followers() {
            let judge = judges.entry(follower.node.clone());
            let judge = judge.or_insert_with(|| Judge::since(now));
            judge.see(Some(follower), now);
        }
        let all: Vec<(Follower, bool)> = (judges.values())
            .filter_map(|judge| {
                let there = matches!(judge.presence(now), Presence::There(_));
                Some((judge.last()?.clone(), there))
            })
            .collect();
        // A beat alone is nothing new to hear of.
        let quiet = |all: &[(Follower, bool)]| -> Vec<(Follower, bool)> {
            let without = |(one, there): &(Follower, bool)| {
                let mut one = one.clone();
                one.beat = 0;
                (one, *there)
            };
            all.iter().map(without).collect()
        };
        let shown = quiet(&all);
        if shown != last || now.saturating_sub(told) >= ALIVE {
            (last, told) = (shown, now);
            // That nobody listens any more shows in who speaks.
            let _ = heard.try_send(Heard::Followers(all));
        }
    }
    room.clear(voice.saying.as_ref());
}

impl Room {
    /// The job is over: the directory goes once the others have heard of it, or did not in time.
    fn clear(&self, said: Option<&Leader>) {
        let Some(said) = said.filter(|said| said.order == Order::Over) else {
            return;
        };
        let until = monotonic() + LAST_WORD;
        while monotonic() < until {
            let have_heard = |one: &Follower| one.is_over || one.nth >= said.nth;
            if self.followers().iter().all(have_heard) {
                break;
            }
            rest(LOOK);
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The end of a node that follows.
pub fn follow(room: Room) -> Desk<Follower> {
    desk(move |said, heard| keep_following(&room, said, heard))
}

fn keep_following(room: &Room, said: &Receiver<Follower>, heard: &mpsc::Sender<Heard>) {
    let mut voice = Voice::default();
    let mut told = Duration::ZERO;
    let mut judge = Judge::since(monotonic());
    let mut last: Option<Leader> = None;
    let mut was_lost = false;
    // Who leads removes the directory at the end, and it is to stay so.
    while voice.speak(said, room, last.is_none()) {
        let leader = room.leader();
        let now = monotonic();
        judge.see(leader, now);
        let word = match judge.presence(now) {
            Presence::Awaited => None,
            Presence::Lost => (!std::mem::replace(&mut was_lost, true)).then_some(Heard::Lost),
            Presence::There(leader) => {
                let is_news = last.as_ref().is_none_or(|last| {
                    (last.nth, last.saves, &last.run) != (leader.nth, leader.saves, &leader.run)
                });
                let is_back = std::mem::take(&mut was_lost);
                (is_news || is_back).then(|| {
                    last = Some(leader.clone());
                    Heard::Leader(leader.clone())
                })
            }
        };
        let is_due = now.saturating_sub(told) >= ALIVE;
        if let Some(word) = word.or_else(|| is_due.then_some(Heard::Nothing)) {
            told = now;
            let _ = heard.try_send(word);
        }
    }
}

/// Waits until the node that leads has its job run, has stopped, or is not there: whoever is a rank beside
/// the one that is supervised starts then.
pub fn await_start(room: &Room) {
    let mut judge = Judge::since(monotonic());
    loop {
        let (leader, now) = (room.leader(), monotonic());
        judge.see(leader, now);
        match judge.presence(now) {
            Presence::Lost => return,
            Presence::There(leader) if leader.order != Order::Hold => return,
            Presence::There(_) | Presence::Awaited => {}
        }
        rest(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::of(|name| {
            let value = match name {
                "SLURM_JOB_ID" => "17",
                "SLURM_CLUSTER_NAME" => "c/d",
                "SLURMD_NODENAME" => "n1",
                "SLURM_JOB_NUM_NODES" => "2",
                _ => return None,
            };
            Some(value.to_owned())
        })
        .unwrap()
    }

    fn leader(order: Order, nth: u64) -> Leader {
        Leader {
            format: FORMAT.to_owned(),
            run: "r7k2".to_owned(),
            node: "n1".to_owned(),
            order,
            nth,
            ..Leader::default()
        }
    }

    fn hear<T>(desk: &mut Desk<T>, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let until = monotonic() + Duration::from_secs(30);
        loop {
            let heard = desk.heard.blocking_recv().expect("the thread lives");
            if wanted(&heard) {
                return heard;
            }
            assert!(monotonic() < until, "{heard:?}");
        }
    }

    #[test]
    fn an_order_reaches_the_others_and_their_answer_who_gave_it_until_it_is_over() {
        let here = tempfile::tempdir().unwrap();
        let room = Room::of(here.path(), &place());
        assert!(room.path().ends_with("nodes/c_d-17.0"));
        let (mut leads, mut follows) = (lead(room.clone()), follow(room.clone()));
        leads.say(leader(Order::Stop, 3));
        let heard = hear(&mut follows, |heard| matches!(heard, Heard::Leader(_)));
        let Heard::Leader(told) = heard else {
            unreachable!()
        };
        assert_eq!((told.order, told.nth), (Order::Stop, 3));
        follows.say(Follower {
            format: FORMAT.to_owned(),
            node: "n2".to_owned(),
            nth: told.nth,
            stopped: 5,
            ..Follower::default()
        });
        let answered = |heard: &Heard| {
            matches!(heard, Heard::Followers(all)
                if all.iter().any(|(one, there)| *there && one.nth == 3 && one.stopped == 5))
        };
        hear(&mut leads, answered);
        leads.say(leader(Order::Over, 4));
        hear(
            &mut follows,
            |heard| matches!(heard, Heard::Leader(leader) if leader.order == Order::Over),
        );
        follows.say(Follower {
            format: FORMAT.to_owned(),
            node: "n2".to_owned(),
            nth: 4,
            is_over: true,
            ..Follower::default()
        });
        leads.close();
        let until = monotonic() + Duration::from_secs(30);
        while room.path().exists() {
            assert!(monotonic() < until, "the directory is left behind");
            std::thread::yield_now();
        }
    }

    #[test]
    fn whoever_starts_beside_waits_for_the_word_and_not_for_one_who_is_held() {
        let here = tempfile::tempdir().unwrap();
        let room = Room::of(here.path(), &place());
        let leads = lead(room.clone());
        leads.say(leader(Order::Hold, 1));
        let (done, waits) = channel();
        let theirs = room.clone();
        std::thread::spawn(move || {
            await_start(&theirs);
            let _ = done.send(());
        });
        let until = monotonic() + Duration::from_secs(30);
        while room.leader().is_none() {
            assert!(monotonic() < until);
            std::thread::yield_now();
        }
        waits.try_recv().unwrap_err();
        leads.say(leader(Order::Run, 2));
        waits.recv_timeout(Duration::from_secs(30)).unwrap();
    }
}
