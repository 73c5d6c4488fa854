//! What is asked of a provider and what its answer means, without a network: each provider is a
//! file in `source/` that makes [`Ask`]s of a zone and reads [`Answer`]s into [`Said`].
//!
//! The status decides first, the body is read second and trusted never: whatever cannot be
//! understood is [`Refused`], with its class for who decides about trying again, and an intensity that
//! cannot be one is a hole.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::forecast::{Basis, Issue, Point, Span};

/// A provider: how it is asked and how it is read.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name in flags, messages and `CATRAIN_<NAME>_KEY`: `energy-charts`.
    fn name(&self) -> &'static str;

    /// What it can do, for `catrain zones` and messages.
    fn offers(&self) -> Offers;

    /// Its own name for one of our zones; none where it does not serve it.
    fn place(&self, zone: &str) -> Option<String>;

    /// What to ask for what was observed of late and what lies ahead of a place.
    fn asks(&self, place: &str, now: Timestamp) -> Vec<Ask>;

    /// What to ask for what was observed in a span of the past; nothing where it only tells of late.
    fn asks_past(&self, _place: &str, _span: Span) -> Vec<Ask> {
        Vec::new()
    }

    /// What an answer to `ask` says of a place.
    ///
    /// # Errors
    /// Why it says nothing that can be used.
    fn read(&self, ask: &Ask, place: &str, answer: &Answer<'_>) -> Result<Said, Refused>;

    /// How it hands out tokens, where it does.
    fn login(&self) -> Option<&dyn Login> {
        None
    }

    /// What to ask to learn what the key's plan covers, where it tells.
    fn plan(&self) -> Option<Ask> {
        None
    }

    /// What the plan covers, in words for a person, out of an answer to [`Self::plan`]:
    /// `it covers FR only`.
    ///
    /// # Errors
    /// Why it says nothing that can be used.
    fn read_plan(&self, _place: &str, _answer: &Answer<'_>) -> Result<String, Refused> {
        Err(Refused::NotAnAnswer("plans are not told".to_owned()))
    }
}

/// How a provider hands out tokens.
pub trait Login: fmt::Debug + Send + Sync {
    /// The request for one, with [`Credential::Basic`].
    fn ask(&self) -> Ask;

    /// The token in an answer to it.
    ///
    /// # Errors
    /// Why there is none.
    fn token(&self, answer: &Answer<'_>) -> Result<Token, Refused>;
}

/// A token, and how long to use it before a new one is fetched.
#[derive(Clone, Debug)]
pub struct Token {
    /// What is sent.
    pub secret: SecretString,
    /// Shorter than it is valid, so that none is over on its way.
    pub lasts: Duration,
}

/// What a provider can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offers {
    /// Where it is asked unless told otherwise, without a slash at the end.
    pub base_url: &'static str,
    /// Which zones, in words: `Great Britain and its 17 regions`.
    pub zones: &'static str,
    /// What its numbers mean.
    pub basis: Basis,
    /// How far ahead it looks, if at all.
    pub horizon: Option<Duration>,
    /// Length of its intervals.
    pub step: Duration,
    /// Whether it tells what was measured.
    pub has_observations: bool,
    /// How often there is something new.
    pub cadence: Duration,
    /// What it wants to see before it answers.
    pub credential: Credential,
    /// Whom to name where its numbers are shown, with the licence where it states one; empty where
    /// nobody need be named.
    pub attribution: &'static str,
}

/// What has to come with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// The key as it is in a header of this name.
    Header(&'static str),
    /// The token that a login gave, as `Authorization: Bearer`.
    Token,
    /// User and password, as `Authorization: Basic`: a login.
    Basic,
}

/// One GET request, relative to the base URL of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What it is for; one provider gives each of its asks another.
    pub what: &'static str,
    /// Path below the base URL, with the slash, each segment percent-encoded where needed.
    pub path: String,
    /// Query, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// What has to come with it.
    pub credential: Credential,
}

/// An answer that arrived whole, within the bounds of size and time.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// `Content-Type`, as it was sent.
    pub content_type: Option<&'a str>,
    /// `Retry-After`, as it was sent.
    pub retry_after: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// When it arrived.
    pub at: Timestamp,
}

/// What a provider says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// What was measured or estimated of the past and present.
    pub observations: Vec<Point>,
    /// What is expected.
    pub issue: Option<Issue>,
    /// What was repaired, dropped or is worth knowing, a sentence each.
    pub notes: Vec<String>,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// A fault on the other side that may pass: 500, 502, 503, 504.
    #[error("{0}")]
    Faulty(String),
    /// Too many requests; with the time to wait, where the answer or the provider's rules say.
    #[error("too many requests{}", .after.map_or(String::new(), |after| format!(", wait {} s", after.as_secs())))]
    Throttled {
        /// How long.
        after: Option<Duration>,
    },
    /// No answer that can be understood, with success: HTML, cut off, an error in it.
    #[error("{0}")]
    NotAnAnswer(String),
    /// It has no data for that place or time.
    #[error("{0}")]
    NoData(String),
    /// It does not know the place, or answered for another.
    #[error("{0}")]
    OtherPlace(String),
    /// It wants a key and got none.
    #[error("a key is needed")]
    KeyMissing,
    /// It does not take the key.
    #[error("the key is refused: {0}")]
    KeyWrong(String),
    /// The key is good, and its plan does not cover what was asked.
    #[error("the key is good, but its plan does not cover this: {0}")]
    NotCovered(String),
    /// The token is over: log in again, once.
    #[error("the token is over")]
    TokenOver,
    /// It refuses the request as it is made; asking again changes nothing.
    #[error("{0}")]
    Ours(String),
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again after a delay that grows.
    Retry,
    /// Try again once.
    RetryOnce,
    /// Wait as long as told, then try again.
    Wait(Option<Duration>),
    /// Log in again, once, then ask again.
    LogIn,
    /// Never try again.
    Never,
}

impl Refused {
    /// What follows from it.
    pub fn class(&self) -> Class {
        match self {
            Self::Faulty(_) => Class::Retry,
            Self::NotAnAnswer(_) => Class::RetryOnce,
            Self::Throttled { after } => Class::Wait(*after),
            Self::TokenOver => Class::LogIn,
            Self::NoData(_)
            | Self::OtherPlace(_)
            | Self::KeyMissing
            | Self::KeyWrong(_)
            | Self::NotCovered(_)
            | Self::Ours(_) => Class::Never,
        }
    }
}
