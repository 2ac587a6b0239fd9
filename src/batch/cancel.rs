//! Cancelling: the request itself, the end of a run whose time is up, and the
//! command that ends batches which another process left behind.

use std::cell::RefCell;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::submit::Progress;
use super::{Driver, search};
use crate::api::Api;
use crate::clock::Clock;
use crate::dialects::Batch;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::policy::{CANCEL_POLL, CANCELLING, CREATE_LOOK, HURRIED, LIST_LAG, PROMPT_CANCEL, RUNNING_LOOK_BACK};
use crate::retry::{Advice, Backoff, Cadence, Failure};
use crate::retry_loop::{RetryBudget, refused};

/// One try at a cancel, for everything that cancels. None where the server says
/// that the batch is over, which is not an error: the next poll tells how it ended.
pub(super) async fn request(api: &Api, batch_id: &str) -> Result<Option<Batch>, Failure> {
    match api.cancel_batch(batch_id).await {
        Ok((batch, _)) => Ok(Some(Batch { id: batch_id.to_owned(), ..batch })),
        Err(failure) if failure.status() == Some(409) => Ok(None),
        // Not every server says it with a 409.
        Err(failure) if matches!(failure.advice(), Advice::Stop | Advice::Lasting) => {
            match api.get_batch(batch_id).await {
                Ok((batch, _)) if batch.status.is_terminal() => Ok(None),
                _ => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    }
}

/// Cancels a batch where there is little time. The request is sent again while
/// an earlier one has no reply, and none is dropped, since any of them may still
/// be answered. After a second signal nothing is sent again. The caller ends it,
/// and finds in `last` what went wrong last.
pub(super) async fn insist(
    api: &Api,
    guard: &Guard<'_>,
    batch_id: &str,
    last: &RefCell<Option<Failure>>,
) -> Result<Option<Batch>, Failure> {
    let mut on_their_way: FuturesUnordered<_> = std::iter::once(request(api, batch_id)).collect();
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
                    on_their_way.push(request(api, batch_id));
                }
            }
            () = tokio::time::sleep_until(again), if !is_last => {
                on_their_way.push(request(api, batch_id));
                again = Instant::now() + HURRIED;
            }
        }
    }
}

impl Driver<'_> {
    /// Cancels a batch and waits for its end. A provider that refuses the cancel, or does not
    /// answer it, may still end the batch.
    pub(super) async fn cancel_and_wait(&self, batch_id: &str, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let limit = Instant::now() + CANCELLING;
        let mut cancelling = std::pin::pin!(self.cancel(batch_id, "time is up", progress, limit));
        let asked = tokio::time::timeout(PROMPT_CANCEL, &mut cancelling).await;
        let mut is_under_way = asked.is_err();
        self.wait_despite(batch_id, asked.unwrap_or(Ok(())))?;
        let mut waiting = std::pin::pin!(self.wait(progress, RetryBudget::Until(limit), None));
        loop {
            tokio::select! {
                biased;
                ended = &mut waiting => return match ended {
                    // Both had the same time: the cancel says what kept failing.
                    Err(stop @ Stop::Deadline(None)) if is_under_way => {
                        let asked = cancelling.as_mut().await;
                        Err(stop.amid(asked.err().and_then(|stop| stop.trouble().map(str::to_owned))))
                    }
                    ended => ended,
                },
                asked = &mut cancelling, if is_under_way => {
                    is_under_way = false;
                    self.wait_despite(batch_id, asked)?;
                }
            }
        }
    }

    /// Says that a cancel was refused, which is no reason not to wait for the batch.
    fn wait_despite(&self, batch_id: &str, asked: Result<(), Stop>) -> Result<(), Stop> {
        match asked {
            Err(Stop::Failed(error)) if error.exit != Exit::Internal => {
                let longest = crate::clock::span(CANCELLING);
                let sentence = error.sentence();
                self.guard.events.emit(Event::Warned(format!(
                    "The provider does not cancel batch {batch_id} ({sentence}): it is waited for up to {longest}, and \
                     may run and cost beyond that."
                )));
                Ok(())
            }
            // Whoever waits for the batch has no more time either.
            Err(Stop::Deadline(_)) => Ok(()),
            asked => asked,
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

    /// Asks for a batch's cancel. None where it is over already.
    pub(crate) async fn request(&self, batch_id: &str, why: &str) -> Result<Option<Batch>, Stop> {
        let (id, why) = (batch_id.to_owned(), why.to_owned());
        self.guard.events.emit(Event::Cancelling { batch_id: id, why });
        let doing = format!("cancelling batch {batch_id}");
        let attempt = async || request(self.api, batch_id).await;
        match self.guard.retry(&doing, RetryBudget::Until(self.limit()), attempt).await {
            Err(Stop::Deadline(None)) => Err(Stop::Failed(Error::refused(format!("Failed {doing} in time")))),
            Err(Stop::Deadline(Some(trouble))) => {
                Err(Stop::Failed(Error::refused(format!("Failed {doing} in time; {trouble}"))))
            }
            // Whoever wants the command to end wants the batch to end, too.
            Err(Stop::Signal(_)) => self.request_once(batch_id, &doing).await,
            asked => asked,
        }
    }

    /// Asks in the time that a signal leaves.
    async fn request_once(&self, batch_id: &str, doing: &str) -> Result<Option<Batch>, Stop> {
        let last = RefCell::default();
        tokio::select! {
            biased;
            asked = insist(self.api, self.guard, batch_id, &last) => {
                asked.map_err(|failure| Stop::Failed(refused(doing, &failure)))
            }
            () = self.guard.shutdown.grace() => {
                let error = Error::refused(format!("Failed {doing} before the command was ended"));
                Err(Stop::Failed(match last.take() {
                    Some(failure) => error.because(failure),
                    None => error,
                }))
            }
        }
    }

    fn limit(&self) -> Instant {
        self.guard.deadline.min(Instant::now() + CANCELLING)
    }

    /// Waits for the end of a batch whose cancel was asked for, for as long as there is time.
    pub(crate) async fn wait(&self, batch_id: &str, requested: Option<Batch>) -> Result<Batch, Stop> {
        let (limit, mut seen) = (self.limit(), requested);
        // A cancelled batch often ends within seconds, and somebody waits for the job to end.
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
