//! Cancelling: the request itself, and the command that ends batches which
//! another process left behind.

use std::time::Duration;

use tokio::time::Instant;

use super::{CANCELLING, search};
use crate::api::Api;
use crate::clock::Clock;
use crate::error::Error;
use crate::events::Event;
use crate::patience::{Guard, Patience, Stop};
use crate::retry::{Advice, Cadence, Failure};
use crate::wire::Batch;

/// How long the list may lag behind a create whose reply nobody saw.
const LAG: Duration = Duration::from_secs(60);
/// How far back a create may lie: a completion window and two hours.
const WINDOW: i64 = 26 * 3600;

/// One try at a cancel. None where the server says that the batch is over,
/// which is not an error: the next poll tells how it ended.
pub(super) async fn request(api: &Api, batch_id: &str) -> Result<Option<Batch>, Failure> {
    match api.cancel_batch(batch_id).await {
        Ok((batch, _)) => Ok(Some(Batch { id: batch_id.to_owned(), ..batch })),
        Err(failure) if failure.status() == Some(409) => Ok(None),
        // Not every server says it with a 409.
        Err(failure) if failure.advice() == Advice::Stop => match api.get_batch(batch_id).await {
            Ok((batch, _)) if batch.status.is_terminal() => Ok(None),
            _ => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// Ends batches from outside of the run that made them.
pub struct Canceller<'a> {
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
    pub async fn find(&self, create: &str) -> Result<Vec<Batch>, Stop> {
        let limit = self.guard.deadline.min(Instant::now() + LAG);
        let since = self.clock.unix() - WINDOW;
        let doing = "looking for the batch";
        let mut cadence = Cadence::new(Duration::from_secs(15));
        loop {
            let look = async || search::find(self.api, create, None, since).await;
            let found = match self.guard.bear(doing, Patience::Until(limit), look).await {
                Err(Stop::Deadline) => return Ok(Vec::new()),
                found => found?,
            };
            if !found.is_empty() {
                return Ok(found);
            }
            let pause = cadence.next(&mut self.guard.rng.borrow_mut());
            match self.guard.until(limit, tokio::time::sleep(pause)).await {
                Err(Stop::Deadline) => return Ok(Vec::new()),
                slept => slept?,
            }
        }
    }

    /// Asks for a batch's cancel. None where it is over already.
    pub async fn request(&self, batch_id: &str, why: &str) -> Result<Option<Batch>, Stop> {
        let (id, why) = (batch_id.to_owned(), why.to_owned());
        self.guard.events.emit(Event::Cancelling { batch_id: id, why });
        let doing = format!("cancelling batch {batch_id}");
        let attempt = async || request(self.api, batch_id).await;
        self.guard.bear(&doing, Patience::Until(self.limit()), attempt).await.map_err(|stop| match stop {
            Stop::Deadline => Stop::Failed(Error::refused(format!("Failed {doing} in time"))),
            stop => stop,
        })
    }

    fn limit(&self) -> Instant {
        self.guard.deadline.min(Instant::now() + CANCELLING)
    }

    /// Waits for the end of a batch whose cancel was asked for, for as long as there is time.
    pub async fn wait(&self, batch_id: &str, requested: Option<Batch>) -> Result<Batch, Stop> {
        let (limit, mut seen) = (self.limit(), requested);
        // A cancelled batch often ends within seconds, and somebody waits for the job to end.
        let mut cadence = Cadence::new(Duration::from_secs(2));
        loop {
            if let Some(batch) = seen.take() {
                if batch.status.is_terminal() {
                    let (batch_id, status, counts) = (batch.id.clone(), batch.status.clone(), batch.counts);
                    self.guard.events.emit(Event::Ended { batch_id, status, counts });
                    return Ok(batch);
                }
                let pause = cadence.next(&mut self.guard.rng.borrow_mut());
                match self.guard.until(limit, tokio::time::sleep(pause)).await {
                    Err(Stop::Deadline) => return Ok(batch),
                    slept => slept?,
                }
            }
            let doing = format!("polling batch {batch_id}");
            let poll = async || self.api.get_batch(batch_id).await;
            seen = match self.guard.bear_polling(&doing, Patience::Until(limit), &mut cadence, poll).await {
                Ok((batch, _)) => Some(Batch { id: batch_id.to_owned(), ..batch }),
                // The cancel was accepted; how it ends is for somebody else to see.
                Err(Stop::Deadline) => return Ok(Batch { id: batch_id.to_owned(), ..Batch::default() }),
                Err(stop) => return Err(stop),
            };
        }
    }
}
