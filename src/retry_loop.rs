//! The retry loop: repeats an attempt until it succeeds, cannot succeed, or its budget is used up.
//!
//! `retry.rs` decides what a failure means. This is the loop around it, and the only place that waits
//! between the attempts of a call to the provider. Every wait and every attempt ends when the deadline
//! passes or a signal comes.

use std::time::Duration;

use tokio::time::Instant;

use crate::dialects::ApiError;
use crate::error::{Error, Exit, Kind};
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::oversize;
use crate::policy::{BEFORE_BATCH, REFUSAL_LASTS, REFUSAL_TIMES};
use crate::retry::{Advice, Backoff, Cadence, Failure};
use crate::text::counted;

/// How long failures of a call are retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RetryBudget {
    /// No batch exists yet: for ten minutes, and refusals are final.
    BeforeBatch,
    /// A batch is running: until the deadline, and a refusal may be transient.
    Running,
    /// Until this instant, whatever the deadline: the batch is over or being ended.
    Until(Instant),
}

impl RetryBudget {
    /// When it is used up, for a run that has this deadline.
    pub(crate) fn limit(self, deadline: Instant) -> Instant {
        match self {
            Self::Until(limit) => limit,
            Self::BeforeBatch | Self::Running => deadline,
        }
    }
}

/// A few attempts that nobody hears of: for what a run can do without, or has no time for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FewTries {
    /// How many.
    pub count: u32,
    /// How long one may take.
    pub each: Duration,
}

/// What sets the distance of the attempts.
enum Pace<'c> {
    /// Doubling waits.
    Backoff(Backoff),
    /// The polls' own pace. Until one succeeds, the batch's state is unknown.
    Polling(&'c mut Cadence),
}

impl Pace<'_> {
    fn next(&mut self, rng: &mut fastrand::Rng) -> Duration {
        match self {
            Self::Backoff(backoff) => backoff.next(rng),
            Self::Polling(cadence) => cadence.next(rng),
        }
    }
}

impl Guard<'_> {
    /// Repeats `attempt` until it works. `doing` names it: `uploading requests.jsonl`.
    pub(crate) async fn retry<T>(
        &self,
        doing: &str,
        budget: RetryBudget,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        self.retry_at(doing, budget, Pace::Backoff(Backoff::default()), attempt).await
    }

    /// Repeats a poll at its cadence until it works.
    pub(crate) async fn retry_polling<T>(
        &self,
        doing: &str,
        budget: RetryBudget,
        cadence: &mut Cadence,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        self.retry_at(doing, budget, Pace::Polling(cadence), attempt).await
    }

    async fn retry_at<T>(
        &self,
        doing: &str,
        budget: RetryBudget,
        mut pace: Pace<'_>,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        let limit = budget.limit(self.deadline);
        let state_unknown = matches!(pace, Pace::Polling(_));
        let mut streak: Option<Streak> = None;
        let mut trouble = None;
        loop {
            let tried = self.until(limit, attempt()).await.map_err(|stop| stop.amid(trouble.take()));
            let failure = match tried? {
                Ok(done) => {
                    if let Some(streak) = streak {
                        self.events.emit(Event::Recovered { doing: doing.to_owned(), after: streak.since.elapsed() });
                    }
                    return Ok(done);
                }
                Err(failure) => failure,
            };
            let streak = streak.get_or_insert_with(Streak::default);
            streak.count(&failure, budget);
            if streak.is_final(&failure, budget) {
                return Err(Stop::Failed(gave_up(doing, &failure, streak)));
            }
            let wished = match failure.advice() {
                Advice::Again(wished) => wished.unwrap_or_default(),
                Advice::Lasting | Advice::Stop => Duration::ZERO,
            };
            let again_in = pace.next(&mut self.rng.borrow_mut()).max(wished);
            self.events.emit(Event::Troubled {
                doing: doing.to_owned(),
                trouble: failure.to_string(),
                kind: kind_of(&failure),
                times: streak.times,
                again_in,
                state_unknown,
            });
            trouble = Some(kept_failing(doing, &failure));
            self.until(limit, tokio::time::sleep(again_in)).await.map_err(|stop| stop.amid(trouble.clone()))?;
        }
    }

    /// Makes a few attempts, with growing waits, and returns the first success or the last failure.
    /// `is_worth_it` tells whether another try may help after a failure. Neither the deadline nor a
    /// signal ends it: the caller bounds it, if anything does.
    pub(crate) async fn try_few<T>(
        &self,
        tries: FewTries,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
        is_worth_it: impl Fn(&Failure) -> bool,
    ) -> Result<T, Failure> {
        let mut backoff = Backoff::default();
        let mut left = tries.count;
        loop {
            let late = |_| Failure::Interrupted("no answer in time".to_owned());
            let failure = match tokio::time::timeout(tries.each, attempt()).await.map_err(late).flatten() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            left = left.saturating_sub(1);
            if left == 0 || !is_worth_it(&failure) {
                return Err(failure);
            }
            let pause = backoff.next(&mut self.rng.borrow_mut());
            tokio::time::sleep(pause).await;
        }
    }
}

/// What kept failing, and how, as a clause.
pub(crate) fn kept_failing(doing: &str, failure: &Failure) -> String {
    format!("{doing} kept failing: {failure}")
}

/// Whether a failure is believed only if it lasts. While a batch runs, that holds for every
/// refusal but one over the account: gateways answer a poll with anything for a moment.
fn is_lasting(failure: &Failure, budget: RetryBudget) -> bool {
    match failure.advice() {
        Advice::Lasting => true,
        Advice::Again(_) => false,
        Advice::Stop => {
            budget == RetryBudget::Running
                && failure.status().is_some()
                && !failure.error().is_some_and(ApiError::is_hopeless)
        }
    }
}

/// Failures in a row.
struct Streak {
    since: Instant,
    times: u32,
    refused_since: Option<Instant>,
    refusals: u32,
}

impl Default for Streak {
    fn default() -> Self {
        Self { since: Instant::now(), times: 0, refused_since: None, refusals: 0 }
    }
}

impl Streak {
    fn count(&mut self, failure: &Failure, budget: RetryBudget) {
        self.times += 1;
        if is_lasting(failure, budget) {
            self.refused_since.get_or_insert_with(Instant::now);
            self.refusals += 1;
        } else {
            (self.refused_since, self.refusals) = (None, 0);
        }
    }

    fn is_final(&self, failure: &Failure, budget: RetryBudget) -> bool {
        match failure.advice() {
            Advice::Lasting if budget == RetryBudget::BeforeBatch => true,
            Advice::Stop if !is_lasting(failure, budget) => true,
            Advice::Stop | Advice::Lasting => {
                let lasted = self.refused_since.is_some_and(|since| since.elapsed() >= REFUSAL_LASTS);
                lasted && self.refusals >= REFUSAL_TIMES
            }
            Advice::Again(_) => budget == RetryBudget::BeforeBatch && self.since.elapsed() >= BEFORE_BATCH,
        }
    }
}

/// What tells a failure from others, for a log that does not repeat itself.
pub(crate) fn kind_of(failure: &Failure) -> String {
    failure.status().map_or_else(|| failure.to_string(), |status| status.to_string())
}

/// The error that ends the run when `doing` failed for good.
pub(crate) fn refused(doing: &str, failure: &Failure) -> Error {
    final_error(&format!("{} failed", capitalized(doing)), failure)
}

fn gave_up(doing: &str, failure: &Failure, streak: &Streak) -> Error {
    match failure.advice() {
        Advice::Again(_) => {
            let lasted = crate::clock::span(streak.since.elapsed());
            let times = counted(streak.times.into(), "time", "times");
            final_error(&format!("{} failed for {lasted} ({times})", capitalized(doing)), failure)
        }
        Advice::Lasting | Advice::Stop => refused(doing, failure),
    }
}

fn final_error(sentence: &str, failure: &Failure) -> Error {
    let error = match failure {
        Failure::Changed => Error::new(Exit::Invalid, sentence),
        Failure::Local(_) => Error::internal(sentence),
        _ => Error::refused(sentence),
    };
    let kind = if oversize::is_refusal(failure) { Kind::TooLarge } else { Kind::Usual };
    failure.hints().into_iter().fold(error.of(kind).because(failure.clone()), Error::hint)
}

/// `uploading the requests` as the beginning of a sentence.
fn capitalized(doing: &str) -> String {
    let mut rest = doing.chars();
    rest.next().map(|first| first.to_uppercase().collect::<String>() + rest.as_str()).unwrap_or_default()
}
