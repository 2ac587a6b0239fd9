//! A batch's life: submit it, wait for it, and end it in good order.
//!
//! However a run is broken off, this is where it is decided what happens to
//! the batch: at the deadline it is cancelled and waited for, since partial
//! results are worth having; after a signal only the cancel is promised.

pub(crate) mod attach;
pub(crate) mod cancel;
mod create;
pub(crate) mod download;
mod ending;
pub(crate) mod evidence;
mod files;
mod inflate;
pub(crate) mod promise;
mod resume;
pub(crate) mod search;
pub(crate) mod submit;
mod twins;
mod waves;

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use self::files::Waiting;
use self::submit::{Progress, Submission, Submitter};
use self::twins::Looks;
pub(crate) use self::waves::Room;
use crate::api::Api;
use crate::attachment::Owner;
use crate::clock::Clock;
use crate::dialects::{Batch, Status};
use crate::error::Exit;
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::journal::{Journal, Record};
use crate::phases::{Phase, Phases};
use crate::policy::LOST_AT_DEADLINE;
use crate::retry::Cadence;
use crate::retry_loop::RetryBudget;
use crate::values::{OnExit, Reuse};

/// What a batch is driven with.
pub(crate) struct Driver<'a> {
    /// The provider.
    pub api: &'a Api,
    /// Deadline, signals and events.
    pub guard: &'a Guard<'a>,
    /// What is written down.
    pub journal: &'a Journal,
    /// The time of day.
    pub clock: Clock,
    /// How long each phase took.
    pub phases: &'a Phases,
    /// The longest wait between polls.
    pub poll_interval: Duration,
    /// The room that the batches of this run share at the provider.
    pub room: Room,
    /// What the deadline does to the batch.
    pub on_timeout: OnExit,
    /// What a signal does to the batch.
    pub on_abort: OnExit,
}

/// How a batch's life ended for us.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How far the submission came; its batch as last seen.
    pub progress: Progress,
    /// What broke the run off; none where the batch ended by itself.
    pub stop: Option<Stop>,
}

impl Driver<'_> {
    /// Submits and waits; ends in good order whatever happens.
    pub(crate) async fn drive(&self, work: &Submission<'_>) -> Ended {
        let progress = RefCell::new(Progress::of(&work.key, work.repo.as_deref()));
        let stop = Box::pin(self.live(work, &progress)).await.err();
        self.end(progress, stop).await
    }

    /// Submits and does not wait.
    pub(crate) async fn submit(&self, work: &Submission<'_>) -> Ended {
        let progress = RefCell::new(Progress::of(&work.key, work.repo.as_deref()));
        let stop = Box::pin(self.obtain(work, &progress)).await.err();
        self.end(progress, stop).await
    }

    /// Waits for a batch that others submitted.
    pub(crate) async fn attend(&self, key: &str, batch: Batch) -> Ended {
        let file_id = batch.input_file_id.clone();
        let progress = RefCell::new(Progress { batch: Some(batch), file_id, ..Progress::of(key, None) });
        let stop = Box::pin(self.wait(&progress, RetryBudget::Running, None)).await.err();
        self.end(progress, stop).await
    }

    async fn end(&self, progress: RefCell<Progress>, stop: Option<Stop>) -> Ended {
        let mut stop = stop;
        if let Some(Stop::Deadline(trouble)) = stop {
            stop = self.end_for_time(&progress, trouble).await;
        }
        match &stop {
            Some(Stop::Signal(signal)) if self.detaches(&progress) => stop = Some(Stop::Detached(*signal)),
            Some(Stop::Signal(_)) => self.end_at_once(&progress).await,
            Some(Stop::Failed(error)) if error.exit == Exit::Internal => self.end_at_once(&progress).await,
            _ => {}
        }
        Ended { progress: progress.into_inner(), stop }
    }

    /// Whether a signal leaves something running, because that is what was asked for.
    fn detaches(&self, progress: &RefCell<Progress>) -> bool {
        let goes_on = running(progress).is_some() && !is_being_cancelled(progress);
        self.on_abort == OnExit::Detach && (progress.borrow().in_doubt || goes_on)
    }

    /// Obtains a batch and waits for its end. One that its own run cancels
    /// meanwhile is none: then another is obtained, in the end one of our own.
    async fn live(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let (mut pauses, mut waiting) = (waves::Pauses::default(), Waiting::default());
        loop {
            Box::pin(self.obtain(work, progress)).await?;
            let place = self.room.take();
            Box::pin(self.wait(progress, RetryBudget::Running, Some(work))).await?;
            drop(place);
            if waves::lacks_room(progress) && !pauses.are_over() {
                self.wait_for_room(progress, &mut pauses).await?;
                continue;
            }
            if self.waits_for_file(progress, &mut waiting).await? {
                continue;
            }
            if !is_given_up(progress) {
                return Ok(());
            }
            let submitter = self.submitter(progress);
            let given_up = progress.borrow_mut().batch.take();
            if let Some(batch) = given_up {
                let mut progress = progress.borrow_mut();
                (progress.attached, progress.file_id) = (None, None);
                drop(progress);
                submitter.pass_over(&batch.id, "the run that made it has cancelled it");
            }
        }
    }

    /// Attaches to a batch of the same work, or uploads and creates one.
    async fn obtain(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let submitter = self.submitter(progress);
        if work.reuse != Reuse::Never {
            self.phases.begin(Phase::Attach);
            Box::pin(submitter.attach(work)).await?;
        }
        if progress.borrow().batch.is_none() {
            if progress.borrow().file_id.is_none() {
                self.phases.begin(Phase::Upload);
                submitter.upload(work).await?;
            }
            self.phases.begin(Phase::Create);
            submitter.create(work).await?;
        }
        if self.looks_for_duplicates(work, progress) {
            Box::pin(self.guard.guard(submitter.yield_to_older(work))).await??;
        }
        Ok(())
    }

    /// Whether another batch may be made at this moment that ours has to yield to. What an
    /// earlier process of this run made may have been in such a race; what it brought to its end was not.
    fn looks_for_duplicates(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> bool {
        let progress = progress.borrow();
        let is_over = progress.batch.as_ref().is_some_and(|batch| batch.status.is_terminal());
        let is_collected = progress.attached.is_some() && is_over;
        work.reuse != Reuse::Never && !progress.unlisted && progress.owner() == Owner::ThisRun && !is_collected
    }

    fn submitter<'s>(&'s self, progress: &'s RefCell<Progress>) -> Submitter<'s> {
        let Self { api, guard, journal, clock, room, .. } = self;
        Submitter { api, guard, journal, clock: *clock, room, progress }
    }

    /// Polls until the batch is over. For a batch of our own, `work` is what is
    /// looked for meanwhile: another run may have made an older one.
    async fn wait(
        &self,
        progress: &RefCell<Progress>,
        budget: RetryBudget,
        work: Option<&Submission<'_>>,
    ) -> Result<(), Stop> {
        let Some(mut batch) = progress.borrow().batch.clone() else { return Ok(()) };
        let limit = budget.limit(self.guard.deadline);
        let begun = Instant::now();
        let mut looks = match work {
            Some(work) if self.looks_for_duplicates(work, progress) => Looks::after_create(),
            _ => Looks::none(),
        };
        let mut cadence = Cadence::new(self.poll_interval);
        loop {
            if let Some(work) = work
                && looks.is_due(&batch)
            {
                let submitter = self.submitter(progress);
                let yielded = Box::pin(self.guard.until(limit, submitter.yield_to_older(work))).await??;
                looks.done(&batch, yielded);
                if let Some(older) = progress.borrow().batch.clone().filter(|_| yielded == Some(true)) {
                    (batch, cadence) = (older, Cadence::new(self.poll_interval));
                }
            }
            if batch.status.is_terminal() {
                let (batch_id, status) = (batch.id.clone(), batch.status.clone());
                self.journal.note(Record::Ended { batch_id: batch_id.clone(), status: status.word().to_owned() })?;
                self.guard.events.emit(Event::Ended { batch_id, status, counts: batch.counts });
                return Ok(());
            }
            if work.is_some() && is_given_up(progress) {
                return Ok(());
            }
            self.phases.begin(Phase::of(&batch.status));
            let pause = cadence.next(&mut self.guard.rng.borrow_mut()).min(looks.pause());
            self.guard.until(limit, tokio::time::sleep(pause)).await?;
            batch = self.poll(batch, budget, &mut cadence, begun).await?;
            progress.borrow_mut().batch = Some(batch.clone());
        }
    }

    /// Reads the batch, however long that takes.
    async fn poll(
        &self,
        batch: Batch,
        budget: RetryBudget,
        cadence: &mut Cadence,
        begun: Instant,
    ) -> Result<Batch, Stop> {
        let doing = format!("polling batch {}", batch.id);
        let attempt = async || self.api.get_batch(&batch.id).await;
        let (seen, _) = self.guard.retry_polling(&doing, budget, cadence, attempt).await?;
        // The end has an event of its own.
        let changed = !seen.status.is_terminal() && (&seen.status, seen.counts) != (&batch.status, batch.counts);
        let (batch_id, status, counts) = (batch.id.clone(), seen.status.clone(), seen.counts);
        let since = seen.created_at.map(|created| u64::try_from(self.clock.unix() - created).unwrap_or(0));
        let age = since.map_or(begun.elapsed(), Duration::from_secs);
        self.guard.events.emit(Event::Polled { batch_id, status, counts, age, changed });
        // An answer about another batch would be a mix-up at the server; our own id stays.
        Ok(Batch { id: batch.id, ..seen })
    }

    /// The deadline passed: cancel, wait for the end, keep what there is. None
    /// where the batch completed all the same, which then takes its own verdict.
    async fn end_for_time(&self, progress: &RefCell<Progress>, mut trouble: Option<String>) -> Option<Stop> {
        if let Err(stop) = self.find_lost(progress, Instant::now() + LOST_AT_DEADLINE, trouble.as_deref()).await {
            return Some(stop);
        }
        if self.on_timeout == OnExit::Detach && running(progress).is_some() {
            return Some(Stop::HandedOver(trouble));
        }
        if let Some(batch_id) = ours(progress) {
            let ended = Box::pin(self.cancel_and_wait(&batch_id, progress)).await;
            match ended {
                // What went wrong before has passed.
                Ok(()) => trouble = None,
                Err(Stop::Deadline(latest)) => trouble = latest.or(trouble),
                Err(stop) => return Some(stop),
            }
        }
        (!completed(progress)).then_some(Stop::Deadline(trouble))
    }

    async fn cancel(
        &self,
        batch_id: &str,
        why: &str,
        progress: &RefCell<Progress>,
        limit: Instant,
    ) -> Result<(), Stop> {
        self.announce_cancel(batch_id, why)?;
        let doing = format!("cancelling batch {batch_id}");
        let attempt = async || cancel::request(self.api, batch_id).await;
        if let Some(batch) = self.guard.retry(&doing, RetryBudget::Until(limit), attempt).await? {
            progress.borrow_mut().batch = Some(batch);
        }
        Ok(())
    }

    fn announce_cancel(&self, batch_id: &str, why: &str) -> Result<(), Stop> {
        self.phases.begin(Phase::Cancelling);
        self.guard.events.emit(Event::Cancelling { batch_id: batch_id.to_owned(), why: why.to_owned() });
        Ok(self.journal.note(Record::Cancel { batch_id: batch_id.to_owned() })?)
    }
}

/// The batch that is still running, if there is one.
fn running(progress: &RefCell<Progress>) -> Option<String> {
    let progress = progress.borrow();
    progress.batch.as_ref().filter(|batch| !batch.status.is_terminal()).map(|batch| batch.id.clone())
}

/// The batch that is still running and this run's to end, if there is one: not where its cancel was accepted.
fn ours(progress: &RefCell<Progress>) -> Option<String> {
    running(progress).filter(|_| progress.borrow().owner() == Owner::ThisRun && !is_being_cancelled(progress))
}

/// Whether the provider has accepted the batch's cancel.
fn is_being_cancelled(progress: &RefCell<Progress>) -> bool {
    progress.borrow().batch.as_ref().is_some_and(|batch| batch.status == Status::Cancelling)
}

/// Whether another run, whose batch this one was waiting for, has cancelled it.
fn is_given_up(progress: &RefCell<Progress>) -> bool {
    let progress = progress.borrow();
    let is_cancelled = |batch: &Batch| matches!(batch.status, Status::Cancelling | Status::Cancelled);
    progress.owner() == Owner::AnotherRun && progress.batch.as_ref().is_some_and(is_cancelled)
}

fn completed(progress: &RefCell<Progress>) -> bool {
    progress.borrow().batch.as_ref().is_some_and(|batch| batch.status == Status::Completed)
}
