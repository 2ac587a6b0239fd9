//! The end of a batch's life with us when there is no time: after a signal, or when we failed.
//!
//! One cancel is promised within the grace, and before it a look for the batch
//! of a create in doubt. A second signal ends the looks and the repetitions, but
//! not what is on its way to the provider.

use std::cell::RefCell;

use tokio::time::Instant;

use super::submit::Progress;
use super::{Driver, cancel, ours};
use crate::error::Error;
use crate::events::Event;
use crate::guard::Stop;
use crate::policy::{GRACE, HURRIED, HURRIED_PAUSE};
use crate::retry::Failure;
use crate::retry_loop::kept_failing;

impl Driver<'_> {
    /// A signal came, or we failed: one cancel within the grace, and no more.
    pub(super) async fn end_at_once(&self, progress: &RefCell<Progress>) {
        let last = RefCell::default();
        let ended = tokio::select! {
            biased;
            ended = self.find_and_cancel(progress, &last) => ended,
            () = self.grace() => Err(match last.take() {
                Some(failure) => format!("it failed until there was no time left: {failure}"),
                None => "no answer in time".to_owned(),
            }),
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

    /// `last` is what went wrong last, for whoever has no more time.
    async fn find_and_cancel(
        &self,
        progress: &RefCell<Progress>,
        last: &RefCell<Option<Failure>>,
    ) -> Result<(), String> {
        self.look_again(progress, last).await;
        if progress.borrow().in_doubt {
            return Err("a second signal ended the search".to_owned());
        }
        let Some(batch_id) = ours(progress) else { return Ok(()) };
        // The cancel matters more than a journal that may be what failed.
        drop(self.announce_cancel(&batch_id, "the run is being ended"));
        let cancelled = cancel::insist(self.api, self.guard, &batch_id, last).await;
        if let Some(batch) = cancelled.map_err(|failure| failure.to_string())? {
            progress.borrow_mut().batch = Some(batch);
        }
        Ok(())
    }

    /// Looks, for as long as it is polled, for the batch of a create in doubt. A
    /// look that is on its way when a second signal comes is the last.
    async fn look_again(&self, progress: &RefCell<Progress>, last: &RefCell<Option<Failure>>) {
        while progress.borrow().in_doubt {
            let submitter = self.submitter(progress);
            let looked = tokio::time::timeout(HURRIED, submitter.find()).await;
            let looked = match looked {
                Ok(Ok(found)) => found,
                Ok(Err(failure)) => {
                    *last.borrow_mut() = Some(failure);
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            if let Some(batch) = submitter.keep_oldest(looked).await {
                // What matters now is the cancel; a journal that fails shows at its next record.
                drop(submitter.created(batch, true));
                return;
            }
            tokio::select! {
                biased;
                _ = self.guard.shutdown.second() => return,
                () = tokio::time::sleep(HURRIED_PAUSE) => {}
            }
        }
    }

    /// The deadline passed while a create was in doubt: its batch is looked for.
    pub(super) async fn find_lost(
        &self,
        progress: &RefCell<Progress>,
        limit: Instant,
        trouble: Option<&str>,
    ) -> Result<(), Stop> {
        let last = RefCell::default();
        match self.guard.until(limit, self.look_again(progress, &last)).await {
            Ok(()) => Ok(()),
            Err(Stop::Deadline(_)) => {
                let latest = last.take().map(|failure| kept_failing("looking for it", &failure));
                let trouble = latest.as_deref().or(trouble).map(|trouble| format!("; {trouble}")).unwrap_or_default();
                Err(self.submitter(progress).unknown(Error::refused(format!(
                    "Time was up while a create was under way, and its batch was not found{trouble}."
                ))))
            }
            Err(stop) => Err(stop),
        }
    }
}
