//! What happened on the way to a provider, counted: for metrics and for `doctor`.

use std::time::Duration;

/// Of one provider, since the start of the program. Each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Asked for, whatever came of it.
    pub asks: u64,
    /// Answered from the cache.
    pub cache_hits: u64,
    /// Of these, by the call that another process made meanwhile.
    pub shared: u64,
    /// Requests sent.
    pub calls: u64,
    /// Of these, second and further attempts.
    pub retries: u64,
    /// Of these, logins.
    pub logins: u64,
    /// Answers that were understood.
    pub good: u64,
    /// Answers with a fault of the provider's: 500, 502, 503, 504.
    pub faulty: u64,
    /// Answers with success that were none.
    pub not_answers: u64,
    /// "Too many requests".
    pub throttled: u64,
    /// Answers that refuse the request, the place or the key.
    pub refused: u64,
    /// No connection, or one that broke.
    pub unreachable: u64,
    /// No whole answer in time.
    pub timed_out: u64,
    /// Answers beyond the bounds: too large, elsewhere.
    pub out_of_bounds: u64,
    /// Not sent: the breaker was open.
    pub refused_by_breaker: u64,
    /// Not sent: too many at once or over time.
    pub refused_by_limits: u64,
    /// Bytes of bodies, after decompression.
    pub bytes: u64,
    /// Time that the exchanges took, in all.
    pub exchanging: Duration,
}

impl Counters {
    /// Outcomes of requests that were sent, in a word each.
    pub fn outcomes(&self) -> [(&'static str, u64); 8] {
        [
            ("good", self.good),
            ("faulty", self.faulty),
            ("not_an_answer", self.not_answers),
            ("throttled", self.throttled),
            ("refused", self.refused),
            ("unreachable", self.unreachable),
            ("timed_out", self.timed_out),
            ("out_of_bounds", self.out_of_bounds),
        ]
    }

    /// What both counted.
    pub fn and(self, other: Self) -> Self {
        Self {
            asks: self.asks + other.asks,
            cache_hits: self.cache_hits + other.cache_hits,
            shared: self.shared + other.shared,
            calls: self.calls + other.calls,
            retries: self.retries + other.retries,
            logins: self.logins + other.logins,
            good: self.good + other.good,
            faulty: self.faulty + other.faulty,
            not_answers: self.not_answers + other.not_answers,
            throttled: self.throttled + other.throttled,
            refused: self.refused + other.refused,
            unreachable: self.unreachable + other.unreachable,
            timed_out: self.timed_out + other.timed_out,
            out_of_bounds: self.out_of_bounds + other.out_of_bounds,
            refused_by_breaker: self.refused_by_breaker + other.refused_by_breaker,
            refused_by_limits: self.refused_by_limits + other.refused_by_limits,
            bytes: self.bytes + other.bytes,
            exchanging: self.exchanging.saturating_add(other.exchanging),
        }
    }
}
