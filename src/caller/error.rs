//! Why there is no answer.

use std::time::Duration;

use crate::caller::wire::{Class, Refused};
use crate::error::Category;
use crate::words;

/// Why there is no answer. None of them holds a key, a token or a query.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// Nothing is asked of anybody.
    #[error("{provider}: not asked: offline")]
    Offline {
        /// The provider.
        provider: String,
    },
    /// It answered, and not with what was asked for.
    #[error("{provider} answered {status}{}: {why}", .content_type.as_deref().map_or(String::new(), |kind| format!(" ({kind})")))]
    Refused {
        /// The provider.
        provider: String,
        /// The status.
        status: u16,
        /// `Content-Type`, as sent.
        content_type: Option<String>,
        /// What it means.
        why: Refused,
    },
    /// It wants to be left alone for longer than we wait.
    #[error("{provider} wants no request for {}", words::duration(*.wait))]
    Throttled {
        /// The provider.
        provider: String,
        /// How long.
        wait: Duration,
    },
    /// It failed so often of late that it is left alone.
    #[error("{provider} failed too often and is left alone for {}", words::duration(*.wait))]
    LeftAlone {
        /// The provider.
        provider: String,
        /// How long.
        wait: Duration,
    },
    /// Too many requests of ours are under way or due.
    #[error("{provider}: too many requests of our own at once")]
    Crowded {
        /// The provider.
        provider: String,
    },
    /// There is no connection, or it broke.
    #[error("cannot reach {provider} at {host}: {why}")]
    Unreachable {
        /// The provider.
        provider: String,
        /// Where it was looked for.
        host: String,
        /// The innermost cause.
        why: String,
    },
    /// The answer was not there in time.
    #[error("{provider} did not answer within {} s", .after.as_secs_f64())]
    TimedOut {
        /// The provider.
        provider: String,
        /// The time it had.
        after: Duration,
    },
    /// The answer is beyond all bounds.
    #[error("the answer of {provider} has more than {limit}")]
    TooLarge {
        /// The provider.
        provider: String,
        /// The bound, in words.
        limit: String,
    },
    /// It points to another host, which is not followed.
    #[error("{provider} redirects to {target}, which is not followed")]
    Elsewhere {
        /// The provider.
        provider: String,
        /// Scheme and host.
        target: String,
    },
    /// It cannot be asked there.
    #[error("the base URL of {provider} {why}")]
    BaseUrl {
        /// The provider.
        provider: String,
        /// Why not.
        why: &'static str,
    },
    /// A key would be readable on the way.
    #[error("the key of {provider} is not sent to {host} over plain http")]
    PlainHttp {
        /// The provider.
        provider: String,
        /// Where to.
        host: String,
    },
    /// A key is needed and there is none.
    #[error("{provider} needs a key")]
    KeyMissing {
        /// The provider.
        provider: String,
    },
    /// The key has what no header can hold.
    #[error("the key of {provider} has a line break or another character that cannot be sent")]
    KeyUnusable {
        /// The provider.
        provider: String,
    },
    /// There is nothing to ask it.
    #[error("{provider} has nothing to ask for")]
    Nothing {
        /// The provider.
        provider: String,
    },
    /// No connection can be made secure here.
    #[error("{provider}: no secure connection can be made: {why}")]
    NoClient {
        /// The provider.
        provider: String,
        /// The innermost cause.
        why: String,
    },
}

impl CallError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Offline { .. } => "leave out --offline, or name a file: --source file:PATH",
            Self::NoClient { .. } => "install ca-certificates or set SSL_CERT_FILE",
            Self::PlainHttp { .. } => "use https, or a loopback address",
            Self::BaseUrl { .. } => {
                "expected `https://HOST[/PATH]`, without user, query or fragment"
            }
            Self::KeyMissing { provider } => return Some(format!("catrain key set {provider}")),
            Self::KeyUnusable { .. } => "look for a line break at the end of the key",
            Self::Elsewhere { .. } => "set base_url to where it points, if you trust that",
            Self::Refused { provider, why, .. } => match why {
                Refused::KeyMissing => return Some(format!("catrain key set {provider}")),
                Refused::KeyWrong(_) => {
                    return Some(format!("a new key: catrain key set {provider}"));
                }
                Refused::NotCovered(_) => "change the plan's zone, or leave this source out",
                Refused::OtherPlace(_) => {
                    return Some(format!("its name of the zone: [sources.{provider}.places]"));
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// What its answer means, where there was one.
    pub fn refusal(&self) -> Option<&Refused> {
        match self {
            Self::Refused { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Whether it does not take the key.
    pub fn is_refused_key(&self) -> bool {
        matches!(self.refusal(), Some(Refused::KeyWrong(_)))
    }

    /// What came of the call, in one word or two, for the log.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Offline { .. } => "offline",
            Self::Refused { why, .. } => match why {
                Refused::Faulty(_) => "faulty",
                Refused::Throttled { .. } => "throttled",
                Refused::NotAnAnswer(_) => "not an answer",
                Refused::KeyMissing | Refused::KeyWrong(_) | Refused::TokenOver => "key refused",
                _ => "refused",
            },
            Self::Throttled { .. } => "throttled",
            Self::LeftAlone { .. } => "left alone",
            Self::Crowded { .. } => "crowded",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed out",
            Self::TooLarge { .. } => "too large",
            Self::Elsewhere { .. } => "redirected",
            Self::BaseUrl { .. } | Self::PlainHttp { .. } => "not asked",
            Self::KeyMissing { .. } | Self::KeyUnusable { .. } => "no key",
            Self::Nothing { .. } => "nothing to ask",
            Self::NoClient { .. } => "no client",
        }
    }

    /// What is at fault.
    pub fn category(&self) -> Category {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => Category::Network,
            Self::BaseUrl { .. }
            | Self::PlainHttp { .. }
            | Self::KeyMissing { .. }
            | Self::KeyUnusable { .. } => Category::Configuration,
            Self::NoClient { .. } => Category::System,
            _ => Category::Source,
        }
    }

    /// What follows for another attempt.
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Refused { why, .. } => why.class(),
            Self::Unreachable { .. } | Self::TimedOut { .. } => Class::Retry,
            _ => Class::Never,
        }
    }

    /// Whether it tells that the provider is ill, for the breaker. One that refuses is well.
    pub(super) fn is_illness(&self) -> bool {
        match self {
            Self::Refused { why, .. } => {
                matches!(why, Refused::Faulty(_) | Refused::NotAnAnswer(_))
            }
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Elsewhere { .. } => true,
            _ => false,
        }
    }
}
