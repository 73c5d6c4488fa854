//! The limits that every exchange with a service passes, whatever is exchanged:
//! bulkhead → rate → breaker → time-out.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::limits::{Breaker, Next, Resilience, Timeouts, Tries};
use super::way::{Line, Presence};
use super::wire::{Class, Refused};
use super::{CallError, Caller, lock};
use crate::words;

/// The limits of one service at one place.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    pub(super) caller: &'a Caller,
    /// The service, as errors name it.
    pub(super) name: &'a str,
    pub(super) line: &'a Line,
}

/// One thing that is tried until it is done or given up.
pub(super) struct Efforts {
    /// What is left of the time that its waits may take.
    pub(super) left: Duration,
    tries: Tries,
    before: Option<CallError>,
}

impl Efforts {
    pub(super) fn new(resilience: &Resilience) -> Self {
        Self {
            left: resilience.bounds.waits,
            tries: Tries::new(resilience.retry),
            before: None,
        }
    }

    /// Tries that have failed so far.
    pub(super) fn so_far(&self) -> u32 {
        self.tries.so_far()
    }

    /// After a try that has failed with an error of this class: waits for the next one. With the error given
    /// back a new login comes first, where there is one.
    ///
    /// # Errors
    /// It is given up, for this.
    pub(super) async fn failed(
        &mut self,
        name: &str,
        class: Class,
        error: CallError,
        told: Option<Duration>,
    ) -> Result<Option<CallError>, CallError> {
        match self.tries.failed(class, told, self.left, fastrand::f64()) {
            Next::After(wait) => {
                self.before = Some(error);
                self.left = self.left.saturating_sub(wait);
                sleep(wait).await;
                Ok(None)
            }
            Next::LogIn => Ok(Some(error)),
            Next::GiveUp => {
                // That our own limits forbid another try is not why it came to nothing.
                let is_ours = matches!(
                    error,
                    CallError::LeftAlone { .. } | CallError::Crowded { .. }
                );
                Err(self.before.take().filter(|_| is_ours).unwrap_or(error))
            }
            Next::TooLong(wait) if matches!(error.class(), Class::Wait(_)) => {
                let provider = name.to_owned();
                Err(CallError::Throttled { provider, wait })
            }
            Next::TooLong(_) => Err(error),
        }
    }
}

/// A place in the bulkhead.
struct Place<'a> {
    _permit: tokio::sync::SemaphorePermit<'a>,
    _presence: Presence<'a>,
}

impl Gate<'_> {
    /// One exchange through all limits. What it waits for is taken from `left`.
    pub(super) async fn pass<T>(
        &self,
        left: &mut Duration,
        exchange: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let world = &self.caller.world;
        let began = world.monotonic();
        let _place = self.place(*left).await?;
        *left = left.saturating_sub(world.monotonic() - began);
        self.token_of_the_bucket(left).await?;
        let limit = {
            let mut state = self.line.state();
            if let Some(breaker) = &mut state.breaker
                && let Err(wait) = breaker.admit(world.monotonic())
            {
                state.counters.refused_by_breaker += 1;
                let provider = self.name.to_owned();
                return Err(CallError::LeftAlone { provider, wait });
            }
            state.counters.calls += 1;
            let whole = self.caller.resilience.bounds.exchange;
            let learned = state.timeouts.as_ref().map(Timeouts::limit);
            learned.map_or(whole, |learned| learned.min(whole))
        };
        let began = world.monotonic();
        let exchanged = timeout(limit, exchange).await;
        let took = world.monotonic() - began;
        let mut state = self.line.state();
        state.counters.exchanging += took;
        match exchanged {
            Ok(outcome) => {
                if let (Ok(_), Some(timeouts)) = (&outcome, &mut state.timeouts) {
                    timeouts.answered(took);
                }
                outcome
            }
            Err(_) => {
                if let Some(timeouts) = &mut state.timeouts {
                    timeouts.timed_out();
                }
                Err(CallError::TimedOut {
                    provider: self.name.to_owned(),
                    after: limit,
                })
            }
        }
    }

    /// Tells the limits what came of an exchange; with an error may come what `Retry-After` `told`.
    pub(super) fn ended(&self, error: Option<&CallError>, told: Option<Duration>) {
        let now = self.caller.world.monotonic();
        let mut state = self.line.state();
        let counter = match error {
            None => &mut state.counters.good,
            Some(CallError::Refused { why, .. }) => match why {
                Refused::Faulty(_) => &mut state.counters.faulty,
                Refused::NotAnAnswer(_) => &mut state.counters.not_answers,
                Refused::Throttled { .. } => &mut state.counters.throttled,
                _ => &mut state.counters.refused,
            },
            Some(CallError::Unreachable { .. }) => &mut state.counters.unreachable,
            Some(CallError::TimedOut { .. }) => &mut state.counters.timed_out,
            Some(CallError::TooLarge { .. } | CallError::Elsewhere { .. }) => {
                &mut state.counters.out_of_bounds
            }
            // Never sent, and counted as that.
            Some(_) => return,
        };
        *counter += 1;
        if error.is_none() {
            state.last_good = Some(self.caller.world.utc());
        }
        let is_lost = matches!(
            error,
            Some(CallError::Unreachable { .. } | CallError::TimedOut { .. })
        );
        state.unanswered = if is_lost { state.unanswered + 1 } else { 0 };
        if let Some(breaker) = &mut state.breaker {
            let was_open = breaker.is_open();
            breaker.ended(now, error.is_some_and(CallError::is_illness));
            self.tell_of(was_open, breaker, now, error);
        }
        if let Some(Class::Wait(own)) = error.map(CallError::class)
            && let Some(bucket) = &mut state.bucket
        {
            bucket.throttled(now, told.or(own));
        }
    }

    /// One sentence when a service is given up, and one when it is back.
    fn tell_of(&self, was_open: bool, breaker: &Breaker, now: Duration, error: Option<&CallError>) {
        let name = self.name;
        let change = match (was_open, breaker.is_open(), error) {
            (false, true, Some(error)) => {
                let wait = words::duration(breaker.refuses(now).unwrap_or_default());
                let category = error.category().as_str();
                warn!(source = name, category, why = %error, "left alone");
                format!("{error}; {name} failed too often and is left alone for {wait} or longer")
            }
            // Even with a refusal.
            (true, false, _) => {
                info!(source = name, "answers again");
                format!("{name} answers again")
            }
            _ => return,
        };
        lock(&self.caller.changes).push(change);
    }

    /// A place among those who ask at once, for as long as it is held.
    async fn place(&self, left: Duration) -> Result<Option<Place<'_>>, CallError> {
        let (Some(at_once), Some(bulkhead)) = (&self.line.at_once, self.caller.resilience.bulkhead)
        else {
            return Ok(None);
        };
        let present: &AtomicUsize = &self.line.present;
        let before = present.fetch_add(1, Ordering::Relaxed);
        let presence = Presence(present);
        if before < bulkhead.present
            && let Ok(Ok(permit)) = timeout(left, at_once.acquire()).await
        {
            return Ok(Some(Place {
                _permit: permit,
                _presence: presence,
            }));
        }
        self.line.count(|counters| counters.refused_by_limits += 1);
        let provider = self.name.to_owned();
        Err(CallError::Crowded { provider })
    }

    async fn token_of_the_bucket(&self, left: &mut Duration) -> Result<(), CallError> {
        loop {
            let wait = {
                let mut state = self.line.state();
                let now = self.caller.world.monotonic();
                // Whoever would be refused afterwards need not wait for a token.
                if let Some(wait) = state.breaker.as_ref().and_then(|it| it.refuses(now)) {
                    state.counters.refused_by_breaker += 1;
                    let provider = self.name.to_owned();
                    return Err(CallError::LeftAlone { provider, wait });
                }
                match state.bucket.as_mut().map_or(Ok(()), |it| it.take(now)) {
                    Ok(()) => return Ok(()),
                    Err(wait) if wait > *left => {
                        state.counters.refused_by_limits += 1;
                        let provider = self.name.to_owned();
                        return Err(CallError::Crowded { provider });
                    }
                    Err(wait) => wait,
                }
            };
            *left = left.saturating_sub(wait);
            sleep(wait).await;
        }
    }
}
