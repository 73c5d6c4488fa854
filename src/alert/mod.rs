//! Alerts: what somebody wants to hear of a run while it goes on, by webhook, Slack or email.
//!
//! | file | one idea |
//! |---|---|
//! | [`settings`] | what is configured; without a channel nothing happens |
//! | [`rule`] | what there is to hear of, by name |
//! | [`watch`] | facts of a run in, what begins, ends or happens out |
//! | [`wording`] | the sentences for that |
//! | [`cooling`] | what is told, and what was told too lately; kept across runs |
//! | [`quiet`] | hours in which what can wait does |
//! | [`letter`] | one alert for one channel, and when it is tried |
//! | [`message`] | what goes out together, as text; [`webhook`] and [`slack`] make JSON of it, [`email`] a mail |
//! | [`letters`] | the file of what is not delivered yet, and of cool-downs, shared by all runs |
//! | `desk` | makes letters of what is seen |
//! | [`office`] | delivers what is due |
//! | [`post`] | the thread that all of it happens in |
//!
//! The deciding thread gives facts away and waits for nothing: the latest stand in one place, what
//! happens goes into a bounded queue, and is dropped and counted where that is full. All else is done
//! in one thread of its own. A letter is written down before it is sent and taken out once it is
//! delivered. Whoever sends it claims it first, so that of two runs one does; one that was being sent
//! when its run was killed may have arrived, and is not sent again.

pub mod cooling;
mod desk;
pub mod email;
pub mod letter;
pub mod letters;
pub mod message;
pub mod office;
pub mod post;
pub mod quiet;
pub mod rule;
pub mod settings;
pub mod slack;
pub mod watch;
pub mod webhook;
pub mod wording;

/// An id that no other alert has.
pub fn new_id() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}
