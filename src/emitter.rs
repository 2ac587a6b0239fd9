//! Hands events to whoever listens, and breaks long silences.
//!
//! Some CI hosts kill a job that prints nothing for five or ten minutes, so
//! after four a line says what is going on.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::events::Event;
use crate::policy::SILENCE;

/// Whether a listener showed an event to whoever looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It did.
    Said,
    /// It kept it to itself.
    Unsaid,
}

/// Where events go.
pub(crate) struct Events<'a> {
    listener: Box<dyn Fn(&Event) -> Shown + 'a>,
    started: Instant,
    spoke: Cell<Instant>,
    doing: RefCell<String>,
    warnings: RefCell<Vec<String>>,
    batches: watch::Sender<Vec<String>>,
}

impl<'a> Events<'a> {
    /// Hands every event to `listener`.
    pub(crate) fn new(listener: impl Fn(&Event) -> Shown + 'a) -> Self {
        let now = Instant::now();
        Self {
            listener: Box::new(listener),
            started: now,
            spoke: Cell::new(now),
            doing: RefCell::default(),
            warnings: RefCell::default(),
            batches: watch::Sender::default(),
        }
    }

    /// Tells of an event.
    pub(crate) fn emit(&self, event: Event) {
        if let Some(doing) = event.doing() {
            self.doing.replace(doing);
        }
        if let Event::Warned(warning) = &event {
            self.warnings.borrow_mut().push(warning.clone());
        }
        match &event {
            Event::Created { batch_id, .. } => self.batches.send_modify(|batches| batches.push(batch_id.clone())),
            Event::Attached { batch_id, instead_of, .. } => self.batches.send_modify(|batches| {
                batches.retain(|known| instead_of.as_ref().is_none_or(|(given_up, _)| known != given_up));
                batches.push(batch_id.clone());
            }),
            _ => {}
        }
        if (self.listener)(&event) == Shown::Said {
            self.spoke.set(Instant::now());
        }
    }

    /// All warnings so far, for the report.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// Waits until the run has other batches than these, and tells their ids.
    pub(crate) async fn batches_beyond(&self, known: &[String]) -> Vec<String> {
        let mut batches = self.batches.subscribe();
        match batches.wait_for(|batches| batches != known).await.as_deref() {
            Ok(batches) => batches.clone(),
            // The sender lives as long as we do.
            Err(_) => std::future::pending().await,
        }
    }

    /// Breaks silences for as long as it is polled; never ends.
    pub(crate) async fn keep_alive(&self) -> Infallible {
        loop {
            tokio::time::sleep_until(self.spoke.get() + SILENCE).await;
            if self.spoke.get().elapsed() >= SILENCE {
                let doing = self.doing.borrow().clone();
                self.emit(Event::Alive { doing, elapsed: self.started.elapsed() });
                // Whoever shows nothing of it is not asked again at once.
                self.spoke.set(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Event, Events, RefCell, Shown};

    #[tokio::test(start_paused = true)]
    async fn no_silence_lasts_longer_than_four_minutes() {
        let lines = RefCell::new(Vec::new());
        let events = Events::new(|event| {
            let line = event.line();
            let shown = if line.is_some() { Shown::Said } else { Shown::Unsaid };
            lines.borrow_mut().extend(line);
            shown
        });
        let work = async {
            events.emit(Event::Uploading { sent: 1_000_000, total: 2_000_000 });
            tokio::time::sleep(Duration::from_secs(100)).await;
            events.emit(Event::Warned("something".to_owned()));
            tokio::time::sleep(Duration::from_secs(500)).await;
            let again_in = Duration::from_secs(60);
            events.emit(Event::Crowded { batch_id: Some("b".to_owned()), why: "it is full".to_owned(), again_in });
            tokio::time::sleep(Duration::from_secs(250)).await;
        };
        tokio::select! { () = work => (), never = events.keep_alive() => match never {} }
        let expected = [
            "Warning: something",
            "Still uploading, 1.0 MB of 2.0 MB, 5m 40s into the run",
            "Still uploading, 1.0 MB of 2.0 MB, 9m 40s into the run",
            "Batch b has to wait: it is full; it will be created again in 1m at the latest",
            "Still waiting for room at the provider, 14m into the run",
        ];
        assert_eq!(*lines.borrow(), expected);
    }
}
