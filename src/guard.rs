//! What ends a wait: the deadline or a signal. Every step of a run is awaited through a [`Guard`].

use std::cell::RefCell;

use tokio::time::Instant;

use crate::emitter::Events;
use crate::error::Error;
use crate::shutdown::Shutdown;

/// Why a stage ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The deadline passed. If something kept failing until then: what, and how.
    Deadline(Option<String>),
    /// A signal came, of this number.
    Signal(u8),
    /// A signal came, and the batch was left running, as `on-abort: detach` asks.
    Detached(u8),
    /// The deadline passed, and the batch was left running, as `on-timeout: detach` asks. If something
    /// kept failing until then: what, and how.
    HandedOver(Option<String>),
    /// It failed for good.
    Failed(Error),
    /// A create was sent, and whether it made a batch could not be found out.
    Unknown(Error),
}

impl Stop {
    /// Adds what kept failing until the deadline. A reason that is there already is closer to the cause and stays.
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

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
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
}
