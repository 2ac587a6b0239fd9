//! Retries: repeats an attempt until it succeeds, cannot succeed, or time is up.
//!
//! What a failure means is decided in `retry.rs`; this is the loop around it,
//! and the only place that waits between attempts. Every wait and every attempt
//! ends when the deadline passes or a signal comes.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use crate::emitter::Events;
use crate::error::{Error, Exit, Kind};
use crate::events::Event;
use crate::oversize;
use crate::retry::{Advice, Backoff, Cadence, Failure, is_hopeless};
use crate::shutdown::Shutdown;
use crate::text::counted;

/// How long transient failures are retried before a batch exists.
pub(crate) const BEFORE: Duration = Duration::from_secs(600);
/// How long, and how many times in a row, a 401, 403 or 404 must come before it counts as final.
const LASTING: (Duration, u32) = (Duration::from_secs(120), 3);

/// Why a stage ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The deadline passed. If something kept failing until then: what, and how.
    Deadline(Option<String>),
    /// A signal came, of this number.
    Signal(u8),
    /// A signal came, and what runs was left running, as was asked for.
    Detached(u8),
    /// The deadline passed, and what runs was left running, as was asked for. If something kept failing
    /// until then: what, and how.
    HandedOver(Option<String>),
    /// It failed for good.
    Failed(Error),
    /// A create was sent, and whether it made a batch could not be found out.
    Unknown(Error),
}

impl Stop {
    /// The same amid trouble, which is why no time was left. Trouble that it has already is more to the point.
    #[must_use]
    pub(crate) fn amid(self, trouble: Option<String>) -> Self {
        match self {
            Self::Deadline(None) => Self::Deadline(trouble),
            stop => stop,
        }
    }

    /// What kept failing until the deadline passed, as `polling batch_1 kept failing: HTTP 503`.
    pub(crate) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Deadline(trouble) | Self::HandedOver(trouble) => trouble.as_deref(),
            _ => None,
        }
    }
}

/// What kept failing, and how, as a clause.
pub(crate) fn kept_failing(doing: &str, failure: &Failure) -> String {
    format!("{doing} kept failing: {failure}")
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// How long failures of a call are retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Patience {
    /// No batch exists yet: for ten minutes, and refusals are final.
    Before,
    /// A batch is running: until the deadline, and a refusal may be transient.
    Running,
    /// The batch is over or being ended: until this instant, deadline or not.
    Until(Instant),
}

/// What ends a wait, and where failures are reported.
pub(crate) struct Guard<'a> {
    /// When the run must end.
    pub deadline: Instant,
    /// The order to stop.
    pub shutdown: &'a Shutdown,
    /// Where failures are reported.
    pub events: &'a Events<'a>,
    /// Jitter.
    pub rng: RefCell<fastrand::Rng>,
}

impl Guard<'_> {
    /// Waits for `step` unless the deadline or a signal comes first.
    pub(crate) async fn guard<T>(&self, step: impl Future<Output = T>) -> Result<T, Stop> {
        self.until(self.deadline, step).await
    }

    /// Waits for `step` unless `limit` or a signal comes first.
    pub(crate) async fn until<T>(&self, limit: Instant, step: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            signal = self.shutdown.first() => Err(Stop::Signal(signal)),
            done = step => Ok(done),
            () = tokio::time::sleep_until(limit) => Err(Stop::Deadline(None)),
        }
    }

    /// Waits for work of our own, which no deadline cuts short, unless a signal comes first.
    pub(crate) async fn unless_signalled<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            signal = self.shutdown.first() => Err(Stop::Signal(signal)),
            done = work => Ok(done),
        }
    }

    /// Repeats `attempt` until it works. `doing` names it: `uploading requests.jsonl`.
    pub(crate) async fn bear<T>(
        &self,
        doing: &str,
        patience: Patience,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        let mut backoff = Backoff::default();
        self.bear_at(doing, patience, |rng| backoff.next(rng), attempt, false).await
    }

    /// Repeats `attempt` at a poll's cadence until it works; meanwhile the batch's state is unknown.
    pub(crate) async fn bear_polling<T>(
        &self,
        doing: &str,
        patience: Patience,
        cadence: &mut Cadence,
        attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        self.bear_at(doing, patience, |rng| cadence.next(rng), attempt, true).await
    }

    async fn bear_at<T>(
        &self,
        doing: &str,
        patience: Patience,
        mut pause: impl FnMut(&mut fastrand::Rng) -> Duration,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
        state_unknown: bool,
    ) -> Result<T, Stop> {
        let limit = match patience {
            Patience::Until(limit) => limit,
            Patience::Before | Patience::Running => self.deadline,
        };
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
            streak.count(&failure, patience);
            if streak.is_final(&failure, patience) {
                return Err(Stop::Failed(gave_up(doing, &failure, streak)));
            }
            let wished = match failure.advice() {
                Advice::Again(wished) => wished.unwrap_or_default(),
                Advice::Lasting | Advice::Stop => Duration::ZERO,
            };
            let again_in = pause(&mut self.rng.borrow_mut()).max(wished);
            if streak.is_news(&failure) {
                let (doing, trouble) = (doing.to_owned(), failure.to_string());
                self.events.emit(Event::Troubled { doing, trouble, times: streak.times, again_in, state_unknown });
            }
            trouble = Some(kept_failing(doing, &failure));
            self.until(limit, tokio::time::sleep(again_in)).await.map_err(|stop| stop.amid(trouble.clone()))?;
        }
    }
}

/// Whether a failure is believed only if it lasts. While a batch runs, that holds for every
/// refusal but one over the account: gateways answer a poll with anything for a moment.
fn is_lasting(failure: &Failure, patience: Patience) -> bool {
    match failure.advice() {
        Advice::Lasting => true,
        Advice::Again(_) => false,
        Advice::Stop => {
            patience == Patience::Running && failure.status().is_some() && !failure.code().is_some_and(is_hopeless)
        }
    }
}

/// Failures in a row.
struct Streak {
    since: Instant,
    times: u32,
    refused_since: Option<Instant>,
    refusals: u32,
    told: String,
}

impl Default for Streak {
    fn default() -> Self {
        Self { since: Instant::now(), times: 0, refused_since: None, refusals: 0, told: String::new() }
    }
}

impl Streak {
    fn count(&mut self, failure: &Failure, patience: Patience) {
        self.times += 1;
        if is_lasting(failure, patience) {
            self.refused_since.get_or_insert_with(Instant::now);
            self.refusals += 1;
        } else {
            (self.refused_since, self.refusals) = (None, 0);
        }
    }

    fn is_final(&self, failure: &Failure, patience: Patience) -> bool {
        match failure.advice() {
            Advice::Lasting if patience == Patience::Before => true,
            Advice::Stop if !is_lasting(failure, patience) => true,
            Advice::Stop | Advice::Lasting => {
                let lasted = self.refused_since.is_some_and(|since| since.elapsed() >= LASTING.0);
                lasted && self.refusals >= LASTING.1
            }
            Advice::Again(_) => patience == Patience::Before && self.since.elapsed() >= BEFORE,
        }
    }

    /// Whether this failure says something that the last one did not.
    fn is_news(&mut self, failure: &Failure) -> bool {
        let kind = failure.status().map_or_else(|| failure.to_string(), |status| status.to_string());
        let news = kind != self.told;
        self.told = kind;
        news
    }
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
