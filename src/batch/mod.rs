//! A batch's life: submit it, wait for it, and end it in good order.
//!
//! However a run is broken off, this is where it is decided what happens to
//! the batch: at the deadline it is cancelled and waited for, since partial
//! results are worth having; after a signal only the cancel is promised.

pub mod cancel;
pub mod collect;
pub mod phases;
pub mod search;
pub mod submit;

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use self::phases::Phases;
use self::submit::{HURRIED, Progress, Submission, Submitter};
use crate::api::Api;
use crate::clock::Clock;
use crate::error::Exit;
use crate::events::Event;
use crate::journal::{Journal, Record};
use crate::patience::{Guard, Patience, Stop};
use crate::retry::{Advice, Backoff, Cadence};
use crate::wire::Batch;

/// How long a cancelled batch may take to end: OpenAI says up to ten minutes,
/// and the poll that sees it may be a minute late.
pub const CANCELLING: Duration = Duration::from_secs(660);
/// How long a create that was under way at the deadline is looked for.
const LOST_AT_DEADLINE: Duration = Duration::from_secs(60);
/// How long a batch that is over may take to name its files.
const LATE_FILES: Duration = Duration::from_secs(30);

/// What a batch is driven with.
pub struct Driver<'a> {
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
    /// What a signal does to the batch.
    pub on_abort: OnAbort,
}

/// What happens to the batch when the job is cancelled, the `on-abort` input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnAbort {
    /// It is cancelled.
    #[default]
    Cancel,
    /// It goes on without us.
    Detach,
}

/// How a batch's life ended for us.
#[derive(Debug)]
pub struct Ended {
    /// How far the submission came; its batch as last seen.
    pub progress: Progress,
    /// What broke the run off; none where the batch ended by itself.
    pub stop: Option<Stop>,
}

impl Driver<'_> {
    /// Submits and waits; ends in good order whatever happens.
    pub async fn drive(&self, work: &Submission<'_>) -> Ended {
        let progress = RefCell::new(Progress::default());
        let mut stop = self.live(work, &progress).await.err();
        if matches!(stop, Some(Stop::Deadline)) {
            stop = self.end_for_time(&progress).await;
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
        self.on_abort == OnAbort::Detach && (progress.borrow().in_doubt || running(progress).is_some())
    }

    async fn live(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let submitter = self.submitter(progress);
        self.phases.begin("upload");
        submitter.upload(work).await?;
        self.phases.begin("create");
        submitter.create(work).await?;
        self.wait(progress, Patience::Running).await
    }

    fn submitter<'s>(&'s self, progress: &'s RefCell<Progress>) -> Submitter<'s> {
        Submitter { api: self.api, guard: self.guard, journal: self.journal, clock: self.clock, progress }
    }

    /// Polls until the batch is over.
    async fn wait(&self, progress: &RefCell<Progress>, patience: Patience) -> Result<(), Stop> {
        let Some(mut batch) = progress.borrow().batch.clone() else { return Ok(()) };
        let limit = match patience {
            Patience::Until(limit) => limit,
            Patience::Before | Patience::Running => self.guard.deadline,
        };
        let doing = format!("polling batch {}", batch.id);
        let created = Instant::now();
        let mut over: Option<Instant> = None;
        let mut cadence = Cadence::new(self.poll_interval);
        loop {
            // Some servers say that a batch is over a moment before they name its files.
            let is_late = over.is_some_and(|over| over.elapsed() >= LATE_FILES);
            if batch.status.is_terminal() && (is_late || batch.names_its_files()) {
                let (batch_id, status) = (batch.id.clone(), batch.status.clone());
                self.journal.note(Record::Ended { batch_id: batch_id.clone(), status: status.word().to_owned() })?;
                self.guard.events.emit(Event::Ended { batch_id, status, counts: batch.counts });
                return Ok(());
            }
            if batch.status.is_terminal() && over.is_none() {
                (over, cadence) = (Some(Instant::now()), Cadence::new(self.poll_interval));
            }
            self.phases.begin(batch.status.word());
            let pause = cadence.next(&mut self.guard.rng.borrow_mut());
            self.guard.until(limit, tokio::time::sleep(pause)).await?;
            let attempt = async || self.api.get_batch(&batch.id).await;
            let (seen, _) = self.guard.bear_polling(&doing, patience, &mut cadence, attempt).await?;
            // The end has an event of its own.
            let changed = !seen.status.is_terminal() && (&seen.status, seen.counts) != (&batch.status, batch.counts);
            let (batch_id, status, counts) = (batch.id.clone(), seen.status.clone(), seen.counts);
            let age = created.elapsed();
            self.guard.events.emit(Event::Polled { batch_id, status, counts, age, changed });
            // An answer about another batch would be a mix-up at the server; our own id stays.
            batch = Batch { id: batch.id, ..seen };
            progress.borrow_mut().batch = Some(batch.clone());
        }
    }

    /// The deadline passed: cancel, wait for the end, keep what there is. None
    /// where the batch completed all the same, which then takes its own verdict.
    async fn end_for_time(&self, progress: &RefCell<Progress>) -> Option<Stop> {
        if let Err(stop) = self.find_lost(progress, Instant::now() + LOST_AT_DEADLINE).await {
            return Some(stop);
        }
        if let Some(batch_id) = running(progress) {
            let limit = Instant::now() + CANCELLING;
            let ended = match self.cancel(&batch_id, "time is up", progress, limit).await {
                Ok(()) => self.wait(progress, Patience::Until(limit)).await,
                Err(stop) => Err(stop),
            };
            if let Err(stop @ (Stop::Signal(_) | Stop::Failed(_) | Stop::Unknown(_))) = ended {
                return Some(stop);
            }
        }
        (!completed(progress)).then_some(Stop::Deadline)
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
        if let Some(batch) = self.guard.bear(&doing, Patience::Until(limit), attempt).await? {
            progress.borrow_mut().batch = Some(batch);
        }
        Ok(())
    }

    fn announce_cancel(&self, batch_id: &str, why: &str) -> Result<(), Stop> {
        self.phases.begin("cancelling");
        self.guard.events.emit(Event::Cancelling { batch_id: batch_id.to_owned(), why: why.to_owned() });
        Ok(self.journal.note(Record::Cancel { batch_id: batch_id.to_owned() })?)
    }

    /// A signal came, or we failed: one cancel within the grace, and no more.
    async fn end_at_once(&self, progress: &RefCell<Progress>) {
        let limit = self.guard.shutdown.grace_ends().unwrap_or_else(|| Instant::now() + crate::shutdown::GRACE);
        let ended = tokio::time::timeout_at(limit, async {
            self.look_again(progress).await;
            let Some(batch_id) = running(progress) else { return Ok(()) };
            // The cancel matters more than a journal that may be what failed.
            drop(self.announce_cancel(&batch_id, "the run is being ended"));
            let mut backoff = Backoff::default();
            loop {
                match tokio::time::timeout(HURRIED, cancel::request(self.api, &batch_id)).await {
                    Ok(Ok(batch)) => {
                        if let Some(batch) = batch {
                            progress.borrow_mut().batch = Some(batch);
                        }
                        return Ok(());
                    }
                    Ok(Err(failure)) if matches!(failure.advice(), Advice::Stop) => return Err(failure),
                    Ok(Err(_)) | Err(_) => {}
                }
                let pause = backoff.next(&mut self.guard.rng.borrow_mut());
                tokio::time::sleep(pause).await;
            }
        });
        let failed = match ended.await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let warning = match (running(progress), progress.borrow().in_doubt) {
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

    /// Looks, for as long as it is polled, for the batch of a create in doubt.
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
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The deadline passed while a create was in doubt: its batch is looked for.
    async fn find_lost(&self, progress: &RefCell<Progress>, limit: Instant) -> Result<(), Stop> {
        match self.guard.until(limit, self.look_again(progress)).await {
            Ok(()) => Ok(()),
            Err(Stop::Deadline) => Err(self.submitter(progress).unknown(crate::error::Error::refused(
                "Time was up while a create was under way, and its batch was not found.",
            ))),
            Err(stop) => Err(stop),
        }
    }
}

/// The batch that is still running, if there is one.
fn running(progress: &RefCell<Progress>) -> Option<String> {
    let progress = progress.borrow();
    progress.batch.as_ref().filter(|batch| !batch.status.is_terminal()).map(|batch| batch.id.clone())
}

fn completed(progress: &RefCell<Progress>) -> bool {
    progress.borrow().batch.as_ref().is_some_and(|batch| batch.status == crate::wire::Status::Completed)
}
