//! Cancelling a batch, for everything that cancels one.

use std::cell::RefCell;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::search;
use crate::api::Api;
use crate::clock::Clock;
use crate::dialects::Batch;
use crate::error::Error;
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::policy::{CANCEL_POLL, CANCELLING, CREATE_LOOK, HURRIED, HURRIED_TRIES, LIST_LAG, RUNNING_LOOK_BACK};
use crate::retry::{Advice, Backoff, Cadence, Failure};
use crate::retry_loop::{FewTries, RetryBudget, refused};

/// What became of a cancel that was not refused.
#[derive(Debug)]
pub(crate) enum Cancelled {
    /// The provider accepted it; the batch as it then was.
    Accepted(Box<Batch>),
    /// The batch had ended before, which is not an error: the next poll shows how.
    Over,
}

/// How long and how often a cancel is tried.
#[derive(Clone, Copy)]
pub(crate) enum Budget<'b> {
    /// Until then, or a signal.
    Until(Instant),
    /// A few hurried tries, and only one once a signal came: for a batch that is one too many.
    Few,
    /// Until the caller has no more time, who then finds here what went wrong last. The request is sent
    /// again while an earlier one has no reply, and none is dropped, since any of them may still be
    /// answered. After a second signal nothing is sent again.
    Insist(&'b RefCell<Option<Failure>>),
}

/// Cancels a batch.
pub(crate) async fn cancel(
    api: &Api,
    guard: &Guard<'_>,
    batch_id: &str,
    budget: Budget<'_>,
) -> Result<Cancelled, Stop> {
    let doing = format!("cancelling batch {batch_id}");
    let cancelled = match budget {
        Budget::Until(limit) => {
            return guard.retry(&doing, RetryBudget::Until(limit), async || once(api, batch_id).await).await;
        }
        Budget::Few => {
            let tries = FewTries { count: HURRIED_TRIES, each: HURRIED };
            let is_worth_it = |_: &Failure| guard.shutdown.ordered().is_none();
            guard.try_few(tries, async || once(api, batch_id).await, is_worth_it).await
        }
        Budget::Insist(last) => insist(api, guard, batch_id, last).await,
    };
    cancelled.map_err(|failure| Stop::Failed(refused(&doing, &failure)))
}

/// Why a cancel did not work, as a clause for a warning.
pub(super) fn why(stop: &Stop) -> String {
    match stop {
        Stop::Failed(error) => error.sentence().trim_end_matches('.').to_owned(),
        Stop::Deadline(Some(trouble)) => trouble.clone(),
        _ => "no answer in time".to_owned(),
    }
}

/// One try. Not every server says with a 409 that a batch is over, so after any other refusal it is looked at.
async fn once(api: &Api, batch_id: &str) -> Result<Cancelled, Failure> {
    match api.cancel_batch(batch_id).await {
        Ok((batch, _)) => Ok(Cancelled::Accepted(Box::new(Batch { id: batch_id.to_owned(), ..batch }))),
        Err(failure) if failure.status() == Some(409) => Ok(Cancelled::Over),
        Err(failure) if matches!(failure.advice(), Advice::Stop | Advice::Lasting) => {
            match api.get_batch(batch_id).await {
                Ok((batch, _)) if batch.status.is_terminal() => Ok(Cancelled::Over),
                _ => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    }
}

/// Sends a cancel again while an earlier one has no reply, which the retry loop cannot: its attempts follow each
/// other, and here the caller may have no time for the end of one.
async fn insist(
    api: &Api,
    guard: &Guard<'_>,
    batch_id: &str,
    last: &RefCell<Option<Failure>>,
) -> Result<Cancelled, Failure> {
    let mut on_their_way: FuturesUnordered<_> = std::iter::once(once(api, batch_id)).collect();
    let (mut backoff, mut again) = (Backoff::default(), Instant::now() + HURRIED);
    let mut is_last = false;
    loop {
        tokio::select! {
            biased;
            Some(done) = on_their_way.next() => match done {
                Err(failure) if failure.advice() != Advice::Stop => {
                    if is_last && on_their_way.is_empty() {
                        return Err(failure);
                    }
                    *last.borrow_mut() = Some(failure);
                    again = Instant::now() + backoff.next(&mut guard.rng.borrow_mut());
                }
                done => return done,
            },
            _ = guard.shutdown.second(), if !is_last => {
                is_last = true;
                if on_their_way.is_empty() {
                    on_their_way.push(once(api, batch_id));
                }
            }
            () = tokio::time::sleep_until(again), if !is_last => {
                on_their_way.push(once(api, batch_id));
                again = Instant::now() + HURRIED;
            }
        }
    }
}

/// Ends batches from outside of the run that made them.
pub(crate) struct Canceller<'a> {
    /// The provider.
    pub api: &'a Api,
    /// Deadline, signals and events.
    pub guard: &'a Guard<'a>,
    /// The time of day.
    pub clock: Clock,
}

impl Canceller<'_> {
    /// Looks for the batches of a create until there is one, the list cannot
    /// lag any more, or time is up.
    pub(crate) async fn find(&self, create: &str) -> Result<Vec<Batch>, Stop> {
        let limit = self.guard.deadline.min(Instant::now() + LIST_LAG);
        let since = self.clock.ago(RUNNING_LOOK_BACK);
        let doing = "looking for the batch";
        let mut cadence = Cadence::new(CREATE_LOOK);
        loop {
            let look = async || search::find(self.api, create, None, since).await;
            let found = match self.guard.retry(doing, RetryBudget::Until(limit), look).await {
                Err(Stop::Deadline(None)) => return Ok(Vec::new()),
                Err(Stop::Deadline(Some(trouble))) => {
                    let message = format!("Whether a batch came from that create is not known: {trouble}");
                    return Err(Stop::Failed(Error::refused(message)));
                }
                found => found?,
            };
            if !found.is_empty() {
                return Ok(found);
            }
            let pause = cadence.next(&mut self.guard.rng.borrow_mut());
            match self.guard.until(limit, tokio::time::sleep(pause)).await {
                Err(Stop::Deadline(_)) => return Ok(Vec::new()),
                slept => slept?,
            }
        }
    }

    /// Asks for a batch's cancel.
    pub(crate) async fn request(&self, batch_id: &str, why: &str) -> Result<Cancelled, Stop> {
        let (id, why) = (batch_id.to_owned(), why.to_owned());
        self.guard.events.emit(Event::Cancelling { batch_id: id, why });
        let late =
            |trouble: &str| Stop::Failed(Error::refused(format!("Failed cancelling batch {batch_id} {trouble}")));
        match cancel(self.api, self.guard, batch_id, Budget::Until(self.limit())).await {
            Err(Stop::Deadline(None)) => Err(late("in time")),
            Err(Stop::Deadline(Some(trouble))) => Err(late(&format!("in time; {trouble}"))),
            // Whoever wants the command to end wants the batch to end, too.
            Err(Stop::Signal(_)) => {
                let last = RefCell::default();
                tokio::select! {
                    biased;
                    asked = cancel(self.api, self.guard, batch_id, Budget::Insist(&last)) => asked,
                    () = self.guard.shutdown.grace() => {
                        let doing = format!("Failed cancelling batch {batch_id} before the command was ended");
                        let error = Error::refused(doing);
                        Err(Stop::Failed(last.take().into_iter().fold(error, Error::because)))
                    }
                }
            }
            asked => asked,
        }
    }

    fn limit(&self) -> Instant {
        self.guard.deadline.min(Instant::now() + CANCELLING)
    }

    /// Waits for the end of a batch whose cancel was asked for, for as long as there is time.
    pub(crate) async fn wait(&self, batch_id: &str, requested: Cancelled) -> Result<Batch, Stop> {
        let limit = self.limit();
        let mut seen = match requested {
            Cancelled::Accepted(batch) => Some(*batch),
            Cancelled::Over => None,
        };
        let mut cadence = Cadence::new(CANCEL_POLL);
        loop {
            if let Some(batch) = seen.take() {
                if batch.status.is_terminal() {
                    let (batch_id, status, counts) = (batch.id.clone(), batch.status.clone(), batch.counts);
                    self.guard.events.emit(Event::Ended { batch_id, status, counts });
                    return Ok(batch);
                }
                let pause = cadence.next(&mut self.guard.rng.borrow_mut());
                match self.guard.until(limit, tokio::time::sleep(pause)).await {
                    Err(Stop::Deadline(_)) => return Ok(batch),
                    slept => slept?,
                }
            }
            let doing = format!("polling batch {batch_id}");
            let poll = async || self.api.get_batch(batch_id).await;
            seen = match self.guard.retry_polling(&doing, RetryBudget::Until(limit), &mut cadence, poll).await {
                Ok((batch, _)) => Some(Batch { id: batch_id.to_owned(), ..batch }),
                // The cancel was accepted; how it ends is for somebody else to see.
                Err(Stop::Deadline(_)) => return Ok(Batch { id: batch_id.to_owned(), ..Batch::default() }),
                Err(stop) => return Err(stop),
            };
        }
    }
}
