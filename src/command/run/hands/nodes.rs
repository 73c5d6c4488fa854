//! The other nodes of a cluster's job: one leads, the others do as it says, and whoever hears nothing of the
//! others runs on.
//!
//! The node that leads counts as paused when each of the others has said that it stands still. One that follows
//! is held as the one that leads says; what it has to do to its own part of the job is the machine's affair,
//! as everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::slurm::lease::{FIRST, FORMAT, Follower, LOOK, LOST_AFTER, Leader, Order};
use crate::slurm::room::{Desk, Heard, Room, follow, lead};
use crate::supervise::Happening;

/// How long the others may take to stand still. The machine gives a pause up after five seconds.
const ALL_STOP: Duration = Duration::from_secs(4);

/// What this node is to the others.
#[derive(Debug)]
pub(in crate::command::run) enum Nodes {
    /// There are none.
    Alone,
    /// It decides for all.
    Leads(Leads),
    /// It does as it is told.
    Follows(Follows),
}

/// The node that leads.
#[derive(Debug)]
pub(in crate::command::run) struct Leads {
    desk: Desk<Leader>,
    says: Leader,
    /// How many nodes are to follow.
    others: usize,
    /// Those that were seen, and whether they are there.
    seen: BTreeMap<String, (Follower, bool)>,
    heard_at: Instant,
    /// Since when the others are waited for.
    since: Instant,
    /// When the present order was given.
    ordered_at: Instant,
    /// Own part stands still, and the others are waited for until then.
    waits: Option<(Happening, Instant)>,
    /// All were seen to stand still for the present order.
    all_stand_still: bool,
}

/// A node that follows.
#[derive(Debug)]
pub(in crate::command::run) struct Follows {
    desk: Desk<Follower>,
    says: Follower,
    /// The order that was heard last.
    ordered: (Order, u64),
    saves: u64,
    heard_at: Instant,
    is_lost: bool,
    /// Whether it has no job of its own, but looks after all that others have started.
    pub(super) is_keeper: bool,
}

/// What follows from what was heard.
#[derive(Debug)]
pub(super) enum Then {
    /// It happened.
    Happened(Happening),
    /// All nodes of the job did not stop: what stands still is to go on.
    NotAll(String),
    /// The job of this node is to save its state.
    Save,
    /// The job is over, and so is who only looked after it.
    Over,
}

impl Nodes {
    pub(in crate::command::run) fn leads(room: Room, run: &str, node: &str, others: u32) -> Self {
        let desk = lead(room);
        let says = Leader {
            format: FORMAT.to_owned(),
            run: run.to_owned(),
            node: node.to_owned(),
            nth: 1,
            ..Leader::default()
        };
        desk.say(says.clone());
        Self::Leads(Leads {
            desk,
            says,
            others: others as usize,
            seen: BTreeMap::new(),
            heard_at: Instant::now(),
            since: Instant::now(),
            ordered_at: Instant::now(),
            waits: None,
            all_stand_still: false,
        })
    }

    pub(in crate::command::run) fn follows(
        room: Room,
        run: &str,
        node: &str,
        is_keeper: bool,
    ) -> Self {
        let desk = follow(room);
        let says = Follower {
            format: FORMAT.to_owned(),
            run: run.to_owned(),
            node: node.to_owned(),
            ..Follower::default()
        };
        desk.say(says.clone());
        Self::Follows(Follows {
            desk,
            says,
            ordered: (Order::Hold, 0),
            saves: 0,
            heard_at: Instant::now(),
            is_lost: false,
            is_keeper,
        })
    }

    /// Whether the others are there, or had time to come: before that no stop is tried.
    pub(super) fn may_stop(&self) -> bool {
        match self {
            Self::Leads(leads) => {
                self.objection().is_none() || leads.since.elapsed() >= FIRST + LOOK
            }
            Self::Alone | Self::Follows(_) => true,
        }
    }

    /// Why all of the job cannot be stopped now.
    pub(super) fn objection(&self) -> Option<String> {
        let Self::Leads(leads) = self else {
            return None;
        };
        let accounted = leads
            .seen
            .values()
            .filter(|(one, there)| *there || one.is_over);
        let missing = leads.others.saturating_sub(accounted.count());
        (missing > 0).then(|| {
            format!(
                "{missing} of the {} other nodes have no supervisor that answers (--job-dir names a directory \
                 that all nodes share)",
                leads.others
            )
        })
    }

    /// Tells the others what is to be done.
    pub(super) fn order(&mut self, order: Order) {
        if let Self::Leads(leads) = self {
            leads.waits = None;
            leads.all_stand_still = false;
            if leads.says.order != order {
                leads.ordered_at = Instant::now();
                leads.says.order = order;
                leads.says.nth += 1;
                leads.desk.say(leads.says.clone());
            }
        }
    }

    /// Has the others save their state as well.
    pub(super) fn save(&mut self) {
        if let Self::Leads(leads) = self {
            leads.says.saves += 1;
            leads.desk.say(leads.says.clone());
        }
    }

    /// Own part stands still. Gives it back where that is all.
    pub(super) fn stopped(&mut self, paused: Happening) -> Option<Happening> {
        match self {
            Self::Alone => Some(paused),
            Self::Leads(leads) => {
                leads.waits = Some((paused, Instant::now() + ALL_STOP));
                leads.all_still()
            }
            Self::Follows(follows) => {
                if let Happening::Paused { processes, .. } = &paused {
                    follows.says.stopped = *processes;
                }
                follows.obeyed();
                Some(paused)
            }
        }
    }

    /// Own part could not be stopped.
    pub(super) fn refused(&mut self, why: &str) {
        match self {
            Self::Alone => {}
            Self::Leads(_) => self.order(Order::Run),
            Self::Follows(follows) => {
                follows.says.refused = Some((follows.ordered.1, why.to_owned()));
                follows.desk.say(follows.says.clone());
            }
        }
    }

    /// Own part goes on, or starts.
    pub(super) fn runs(&mut self) {
        self.order(Order::Run);
        if let Self::Follows(follows) = self {
            follows.says.stopped = 0;
            if follows.ordered.0 != Order::Stop {
                follows.obeyed();
            }
        }
    }

    /// The end of own part.
    pub(super) fn over(&mut self) {
        self.order(Order::Over);
        if let Self::Follows(follows) = self {
            follows.says.is_over = true;
            follows.says.stopped = 0;
            follows.desk.say(follows.says.clone());
        }
    }

    /// Waits until the others have heard of the end, but not for long.
    pub(super) fn close(self) {
        match self {
            Self::Alone => {}
            Self::Leads(leads) => leads.desk.close(),
            Self::Follows(follows) => follows.desk.close(),
        }
    }

    /// What is heard next; never, where nothing is.
    pub(super) async fn heard(&mut self) -> Option<Heard> {
        match self {
            Self::Alone => None,
            Self::Leads(leads) => leads.desk.heard.recv().await,
            Self::Follows(follows) => follows.desk.heard.recv().await,
        }
    }

    /// When something is due that nobody tells.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Alone => None,
            Self::Leads(leads) => {
                let silent = leads.all_stand_still.then_some(leads.heard_at + LOST_AFTER);
                let waits = leads.waits.as_ref().map(|(_, until)| *until);
                [silent, waits].into_iter().flatten().min()
            }
            Self::Follows(follows) => {
                (!follows.is_lost).then_some(follows.heard_at + LOST_AFTER + LOST_AFTER)
            }
        }
    }

    /// Does what is due.
    pub(super) fn do_what_is_due(&mut self, now: Instant) -> Vec<Then> {
        match self {
            Self::Alone => Vec::new(),
            Self::Leads(leads) => leads.look(now),
            Self::Follows(follows) => {
                let hangs = now >= follows.heard_at + LOST_AFTER + LOST_AFTER;
                match hangs {
                    true => follows.lost(),
                    false => Vec::new(),
                }
            }
        }
    }

    /// What follows from what was heard.
    pub(super) fn take(&mut self, heard: Heard, has_job: bool) -> Vec<Then> {
        let now = Instant::now();
        match (self, heard) {
            (Self::Leads(leads), heard) => {
                leads.heard_at = now;
                if let Heard::Followers(all) = heard {
                    leads.seen = (all.into_iter())
                        .map(|(one, there)| (one.node.clone(), (one, there)))
                        .collect();
                }
                leads.look(now)
            }
            (Self::Follows(follows), heard) => {
                follows.heard_at = now;
                match heard {
                    Heard::Leader(leader) => follows.hear(&leader, has_job),
                    Heard::Lost => follows.lost(),
                    Heard::Followers(_) | Heard::Nothing => Vec::new(),
                }
            }
            (Self::Alone, _) => Vec::new(),
        }
    }
}

impl Leads {
    /// Own part and the others stand still: all of it together.
    fn all_still(&mut self) -> Option<Happening> {
        let nth = self.says.nth;
        let still: Vec<&Follower> = (self.seen.values())
            .filter(|(one, there)| one.is_over || (*there && one.nth >= nth))
            .map(|(one, _)| one)
            .collect();
        if still.len() < self.others {
            return None;
        }
        let theirs: u32 = still.iter().map(|one| one.stopped).sum();
        let (mut paused, _) = self.waits.take()?;
        if let Happening::Paused {
            processes, took, ..
        } = &mut paused
        {
            *processes += theirs;
            if self.others > 0 {
                *took = self.ordered_at.elapsed();
            }
        }
        self.all_stand_still = true;
        Some(paused)
    }

    fn look(&mut self, now: Instant) -> Vec<Then> {
        if let Some(paused) = self.all_still() {
            return vec![Then::Happened(paused)];
        }
        let nth = self.says.nth;
        let refused = self.seen.values().find_map(|(one, _)| {
            let (order, why) = one.refused.as_ref()?;
            (*order == nth).then(|| format!("node {}: {why}", one.node))
        });
        if let Some((_, until)) = &self.waits {
            let late = (now >= *until).then(|| {
                let is_still = |one: &Follower| one.is_over || one.nth >= nth;
                let not = self.seen.values().filter(|(one, _)| !is_still(one));
                let names: Vec<&str> = not.map(|(one, _)| one.node.as_str()).collect();
                format!(
                    "not seen to stand still within {} s: node {}",
                    ALL_STOP.as_secs(),
                    names.join(", ")
                )
            });
            if let Some(why) = refused.or(late) {
                self.waits = None;
                return vec![Then::NotAll(why)];
            }
        } else if self.all_stand_still {
            let lost = self
                .seen
                .values()
                .find(|(one, there)| !there && !one.is_over);
            let why = match (lost, refused) {
                (Some((one, _)), _) => Some(format!(
                    "node {} has not been heard of for {} s, and runs on",
                    one.node,
                    LOST_AFTER.as_secs()
                )),
                (None, Some(why)) => Some(why),
                (None, None) if now >= self.heard_at + LOST_AFTER => Some(format!(
                    "the directory that the nodes share has not answered for {} s",
                    LOST_AFTER.as_secs()
                )),
                (None, None) => None,
            };
            if let Some(why) = why {
                self.all_stand_still = false;
                return vec![Then::Happened(Happening::Apart(why))];
            }
        }
        Vec::new()
    }
}

impl Follows {
    fn obeyed(&mut self) {
        self.says.nth = self.ordered.1;
        self.desk.say(self.says.clone());
    }

    fn hear(&mut self, leader: &Leader, has_job: bool) -> Vec<Then> {
        let mut then = Vec::new();
        if std::mem::take(&mut self.is_lost) {
            let text = format!("node {}, which leads, is there again", leader.node);
            then.push(Then::Happened(Happening::Trouble(text)));
        }
        if leader.saves > self.saves {
            // Of the saves before it was there it was not asked.
            if self.ordered.1 > 0 && has_job {
                then.push(Then::Save);
            }
            self.saves = leader.saves;
        }
        if self.ordered.1 != leader.nth {
            self.ordered = (leader.order, leader.nth);
            let held = matches!(leader.order, Order::Hold | Order::Stop);
            then.push(Then::Happened(Happening::Led { held }));
            if !has_job || !held {
                self.obeyed();
            }
            if leader.order == Order::Over && self.is_keeper {
                then.push(Then::Over);
            }
        }
        then
    }

    fn lost(&mut self) -> Vec<Then> {
        if std::mem::replace(&mut self.is_lost, true) {
            return Vec::new();
        }
        let text = "the node that leads has not been heard of: this node runs on".to_owned();
        let was_ordered = self.ordered.1 > 0;
        // Whatever it says when it is back is news.
        self.ordered = (Order::Run, 0);
        let mut then = vec![
            Then::Happened(Happening::Trouble(text)),
            Then::Happened(Happening::Led { held: false }),
        ];
        // There is nobody any more who would end it; the cluster does.
        if self.is_keeper && was_ordered {
            then.push(Then::Over);
        }
        then
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::place::Place;

    #[test]
    fn a_node_whose_job_is_over_is_not_missed_and_one_that_is_lost_is() {
        let here = tempfile::tempdir().unwrap();
        let place = Place::of(|name| (name == "SLURM_JOB_ID").then(|| "17".to_owned())).unwrap();
        let mut nodes = Nodes::leads(Room::of(here.path(), &place), "r7k2", "n1", 2);
        let follower = |node: &str, is_over| Follower {
            node: node.to_owned(),
            is_over,
            ..Follower::default()
        };
        // Who is over is not renewed, and soon not there any more.
        let all = vec![(follower("n2", true), false), (follower("n3", false), true)];
        nodes.take(Heard::Followers(all), true);
        assert_eq!(nodes.objection(), None);
        let all = vec![
            (follower("n2", false), false),
            (follower("n3", false), true),
        ];
        nodes.take(Heard::Followers(all), true);
        let why = nodes.objection().unwrap();
        assert!(why.starts_with("1 of the 2 other nodes"), "{why}");
    }
}
