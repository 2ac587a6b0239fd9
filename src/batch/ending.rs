//! The end of a batch's life with us: at the deadline, after a signal, or when the run failed.
//!
//! At the deadline the batch is cancelled and waited for, since partial results are worth having. After a
//! signal one cancel is promised within the grace, and before it a look for the batch of a create in
//! doubt. A second signal ends the looks and the repetitions, but not the calls in progress.

use std::cell::RefCell;

use tokio::time::Instant;

use super::cancel::{Budget, Cancelled, cancel};
use super::progress::Progress;
use super::{Driver, Ended};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::Stop;
use crate::phases::Phase;
use crate::policy::{CANCELLING, GRACE, HURRIED, HURRIED_PAUSE, LOST_AT_DEADLINE, PROMPT_CANCEL};
use crate::retry::Failure;
use crate::retry_loop::{RetryBudget, kept_failing};
use crate::values::OnExit;

/// Why a batch whose reply was lost is not looked for at the end.
const UNMARKED: &str = "the provider shows whose a batch is only once it has ended";

impl Driver<'_> {
    /// Ends the submission as what broke it off demands.
    pub(super) async fn end(&self, progress: RefCell<Progress>, stop: Option<Stop>) -> Ended {
        let mut stop = stop;
        if let Some(Stop::Deadline(trouble)) = stop {
            stop = Box::pin(self.end_for_time(&progress, trouble)).await;
        }
        match &stop {
            Some(Stop::Signal(signal)) if self.on_abort == OnExit::Detach && progress.borrow().goes_on() => {
                stop = Some(Stop::Detached(*signal));
            }
            Some(Stop::Signal(_)) => Box::pin(self.end_at_once(&progress)).await,
            Some(Stop::Failed(error)) if error.exit == Exit::Internal => Box::pin(self.end_at_once(&progress)).await,
            _ => {}
        }
        Ended { progress: progress.into_inner(), stop }
    }

    /// The deadline passed: cancel, wait for the end, keep what there is. None
    /// where the batch completed anyway, which then takes its own verdict.
    async fn end_for_time(&self, progress: &RefCell<Progress>, mut trouble: Option<String>) -> Option<Stop> {
        if let Err(stop) = self.find_lost(progress, trouble.as_deref()).await {
            return Some(stop);
        }
        if self.on_timeout == OnExit::Detach && progress.borrow().running().is_some() {
            return Some(Stop::HandedOver(trouble));
        }
        let to_end = progress.borrow().to_end().map(|batch| batch.id.clone());
        if let Some(batch_id) = to_end {
            let ended = Box::pin(self.cancel_and_wait(&batch_id, progress)).await;
            match ended {
                // What went wrong before has passed.
                Ok(()) => trouble = None,
                Err(Stop::Deadline(latest)) => trouble = latest.or(trouble),
                Err(stop) => return Some(stop),
            }
        }
        (!progress.borrow().is_completed()).then_some(Stop::Deadline(trouble))
    }

    /// Cancels a batch and waits for its end. A provider that refuses the cancel, or does not
    /// answer it, may still end the batch.
    async fn cancel_and_wait(&self, batch_id: &str, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let limit = Instant::now() + CANCELLING;
        let mut cancelling = std::pin::pin!(self.cancel(batch_id, progress, limit));
        let asked = tokio::time::timeout(PROMPT_CANCEL, &mut cancelling).await;
        let mut is_under_way = asked.is_err();
        self.wait_despite(batch_id, asked.unwrap_or(Ok(())))?;
        let mut waiting = std::pin::pin!(self.wait(progress, RetryBudget::Until(limit), None));
        loop {
            tokio::select! {
                biased;
                ended = &mut waiting => return match ended {
                    // Both had the same time: the cancel knows what kept failing.
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

    async fn cancel(&self, batch_id: &str, progress: &RefCell<Progress>, limit: Instant) -> Result<(), Stop> {
        self.announce_cancel(batch_id, "time is up", progress)?;
        if let Cancelled::Accepted(batch) = cancel(self.api, self.guard, batch_id, Budget::Until(limit)).await? {
            progress.borrow_mut().see(*batch);
        }
        Ok(())
    }

    fn announce_cancel(&self, batch_id: &str, why: &str, progress: &RefCell<Progress>) -> Result<(), Stop> {
        self.phases.begin(Phase::Cancelling);
        self.submitter(progress).announce_cancel(batch_id, why.to_owned())
    }

    /// Warns of a cancel that was refused, which is no reason not to wait for the batch.
    fn wait_despite(&self, batch_id: &str, asked: Result<(), Stop>) -> Result<(), Stop> {
        match asked {
            Err(Stop::Failed(error)) if error.exit != Exit::Internal => {
                let longest = crate::clock::span(CANCELLING);
                let sentence = error.sentence();
                self.guard.events.emit(Event::Warned(format!(
                    "The provider does not cancel batch {batch_id} ({sentence}): the run waits for up to {longest}, \
                     but the batch may run and cost money longer."
                )));
                Ok(())
            }
            // Whoever waits for the batch has no more time either.
            Err(Stop::Deadline(_)) => Ok(()),
            asked => asked,
        }
    }

    /// A signal came, or the run failed: one cancel within the grace, and no more.
    async fn end_at_once(&self, progress: &RefCell<Progress>) {
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
        let progress = progress.borrow();
        let warning = match (progress.to_end(), progress.in_doubt()) {
            (Some(batch), _) => format!("Batch {} could not be cancelled ({failed}); it may still run.", batch.id),
            (None, Some(_)) => {
                let of = progress.file_id().map(|id| format!(" of file {id}")).unwrap_or_default();
                format!("A create was under way and its batch was not found ({failed}); one{of} may be running.")
            }
            (None, None) => return,
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
        if progress.borrow().in_doubt().is_some() {
            let is_ended = self.submitter(progress).are_marked();
            let why = if is_ended { "a second signal ended the search" } else { UNMARKED };
            return Err(why.to_owned());
        }
        let Some(batch_id) = progress.borrow().to_end().map(|batch| batch.id.clone()) else { return Ok(()) };
        // The cancel matters more than a journal that may be what failed.
        drop(self.announce_cancel(&batch_id, "the run is being ended", progress));
        match cancel(self.api, self.guard, &batch_id, Budget::Insist(last)).await {
            Ok(Cancelled::Accepted(batch)) => progress.borrow_mut().see(*batch),
            Ok(Cancelled::Over) => {}
            Err(stop) => return Err(super::cancel::why(&stop)),
        }
        Ok(())
    }

    /// Looks, for as long as it is polled, for the batch of a create in doubt. A
    /// look in progress when a second signal comes is the last.
    async fn look_again(&self, progress: &RefCell<Progress>, last: &RefCell<Option<Failure>>) {
        let submitter = self.submitter(progress);
        // Of batches that look alike none may be cancelled.
        while submitter.are_marked() && progress.borrow().in_doubt().is_some() {
            let looked = match tokio::time::timeout(HURRIED, submitter.find()).await {
                Ok(Ok(found)) => found,
                Ok(Err(failure)) => {
                    *last.borrow_mut() = Some(failure);
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            if let Some(batch) = submitter.keep_oldest(looked).await {
                // What matters now is the cancel; a journal that fails shows at its next record.
                drop(submitter.created(batch, super::create::Reply::Lost));
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
    async fn find_lost(&self, progress: &RefCell<Progress>, trouble: Option<&str>) -> Result<(), Stop> {
        let (last, limit) = (RefCell::default(), Instant::now() + LOST_AT_DEADLINE);
        match self.guard.until(limit, self.look_again(progress, &last)).await {
            Ok(()) if progress.borrow().in_doubt().is_none() => Ok(()),
            Ok(()) | Err(Stop::Deadline(_)) => {
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
