//! The end of a batch's life with us when there is no time: after a signal, or when we failed.
//!
//! One cancel is promised within the grace, and before it a look for the batch
//! of a create in doubt. A second signal ends the looks and the repetitions, but
//! not what is on its way to the provider.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use super::submit::{HURRIED, Progress};
use super::{Driver, cancel, ours};
use crate::error::Error;
use crate::events::Event;
use crate::patience::Stop;
use crate::shutdown::GRACE;

/// How long after a look in vain the next one is made.
const PAUSE: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// A signal came, or we failed: one cancel within the grace, and no more.
    pub(super) async fn end_at_once(&self, progress: &RefCell<Progress>) {
        let ended = tokio::select! {
            biased;
            ended = self.find_and_cancel(progress) => ended,
            () = self.grace() => Err("no answer in time".to_owned()),
        };
        let Err(failed) = ended else { return };
        let warning = match (ours(progress), progress.borrow().in_doubt) {
            (Some(batch_id), _) => format!("Batch {batch_id} could not be cancelled ({failed}); it may still run."),
            (None, true) => {
                let file_id = progress.borrow().file_id.clone().unwrap_or_default();
                format!(
                    "A create was under way and its batch was not found ({failed}); one of file {file_id} may be running."
                )
            }
            (None, false) => return,
        };
        self.guard.events.emit(Event::Warned(warning));
    }

    /// Waits until the time for a good end is over; where no signal came, it begins now.
    async fn grace(&self) {
        let alone = Instant::now() + GRACE;
        tokio::select! {
            () = self.guard.shutdown.grace() => {}
            () = tokio::time::sleep_until(alone), if self.guard.shutdown.ordered().is_none() => {}
        }
    }

    async fn find_and_cancel(&self, progress: &RefCell<Progress>) -> Result<(), String> {
        self.look_again(progress).await;
        if progress.borrow().in_doubt {
            return Err("a second signal ended the search".to_owned());
        }
        let Some(batch_id) = ours(progress) else { return Ok(()) };
        // The cancel matters more than a journal that may be what failed.
        drop(self.announce_cancel(&batch_id, "the run is being ended"));
        let cancelled = cancel::insist(self.api, self.guard, &batch_id).await;
        if let Some(batch) = cancelled.map_err(|failure| failure.to_string())? {
            progress.borrow_mut().batch = Some(batch);
        }
        Ok(())
    }

    /// Looks, for as long as it is polled, for the batch of a create in doubt. A
    /// look that is on its way when a second signal comes is the last.
    async fn look_again(&self, progress: &RefCell<Progress>) {
        while progress.borrow().in_doubt {
            let submitter = self.submitter(progress);
            let looked = tokio::time::timeout(HURRIED, submitter.find()).await;
            if let Ok(Ok(found)) = looked
                && let Some(batch) = submitter.keep_oldest(found).await
            {
                // What matters now is the cancel; a journal that fails shows at its next record.
                drop(submitter.created(batch, true));
                return;
            }
            tokio::select! {
                biased;
                _ = self.guard.shutdown.second() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// The deadline passed while a create was in doubt: its batch is looked for.
    pub(super) async fn find_lost(&self, progress: &RefCell<Progress>, limit: Instant) -> Result<(), Stop> {
        match self.guard.until(limit, self.look_again(progress)).await {
            Ok(()) => Ok(()),
            Err(Stop::Deadline) => Err(self
                .submitter(progress)
                .unknown(Error::refused("Time was up while a create was under way, and its batch was not found."))),
            Err(stop) => Err(stop),
        }
    }
}
