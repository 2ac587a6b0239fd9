//! A batch's life with us: obtain it, wait for it, and end it in good order.
//!
//! `progress.rs` holds the state of a submission, one of those in `life/`. `attach.rs`,
//! `resume.rs`, `submit.rs` and `create.rs` obtain a batch, `duplicates.rs` settles on one of two,
//! `ending.rs` decides what happens to it however the run is broken off.

pub(crate) mod attach;
pub(crate) mod cancel;
mod create;
pub(crate) mod download;
mod duplicates;
mod ending;
pub(crate) mod evidence;
mod files;
mod inflate;
pub(crate) mod progress;
pub(crate) mod promise;
pub(crate) mod recognize;
mod resume;
mod room;
mod send;
pub(crate) mod search;
pub(crate) mod submit;

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use self::duplicates::{Looked, Looks};
use self::files::Waiting;
pub(crate) use self::progress::Progress;
pub(crate) use self::room::Room;
use self::submit::{Submission, Submitter};
use crate::api::Api;
use crate::attachment::Owner;
use crate::budget::Claim;
use crate::clock::Clock;
use crate::dialects::{Batch, FoundBy, Intake};
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::journal::{Journal, Record};
use crate::life::State;
use crate::phases::{Phase, Phases};
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

/// How a submission ended for us.
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
        let progress = RefCell::new(begin(work));
        let stop = Box::pin(self.live(work, &progress)).await.err();
        self.end(progress, stop).await
    }

    /// Submits and does not wait.
    pub(crate) async fn submit(&self, work: &Submission<'_>) -> Ended {
        let progress = RefCell::new(begin(work));
        let stop = Box::pin(self.obtain(work, &progress)).await.err();
        self.end(progress, stop).await
    }

    /// Waits for a batch that others submitted.
    pub(crate) async fn attend(&self, key: &str, batch: Batch) -> Ended {
        let progress = RefCell::new(Progress::given(key, batch));
        let stop = Box::pin(self.wait(&progress, RetryBudget::Running, None)).await.err();
        self.end(progress, stop).await
    }

    /// Obtains a batch and waits for its end. One that its own run cancels
    /// meanwhile is none: then another is obtained, in the end one of our own.
    async fn live(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let (mut pauses, mut waiting) = (room::Pauses::default(), Waiting::default());
        loop {
            Box::pin(self.obtain(work, progress)).await?;
            let place = self.room.take();
            Box::pin(self.wait(progress, RetryBudget::Running, Some(work))).await?;
            drop(place);
            if room::lacks_room(&progress.borrow()) && !pauses.are_over() {
                self.wait_for_room(progress, &mut pauses).await?;
                continue;
            }
            if self.waits_for_file(progress, &mut waiting).await? {
                continue;
            }
            if self.submitter(progress).is_anothers(work).await? {
                continue;
            }
            let Some(batch_id) = progress.borrow().given_up().map(|batch| batch.id.clone()) else { return Ok(()) };
            progress.borrow_mut().adopt(State::New);
            self.submitter(progress).pass_over(&batch_id, "the run that made it has cancelled it");
        }
    }

    /// Attaches to a batch of the same work, or uploads and creates one.
    async fn obtain(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let submitter = self.submitter(progress);
        if work.reuse != Reuse::Never {
            self.phases.begin(Phase::Attach);
            let _turn = match work.claim {
                Some(claim) => self.guard.guard(claim.budget.look()).await?,
                None => None,
            };
            Box::pin(submitter.attach(work)).await?;
        }
        self.claim(work, progress).await?;
        if progress.borrow().batch().is_none() {
            let takes_files = matches!(self.api.vendor().dialect.intake(), Intake::File(_));
            if takes_files && progress.borrow().file_id().is_none() {
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

    /// Counts the batch that there is, or reserves what one may cost before it is created.
    async fn claim(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> Result<(), Stop> {
        let Some(Claim { budget, needs }) = work.claim else { return Ok(()) };
        if progress.borrow().batch().is_some() {
            budget.count(&work.key, needs);
            return Ok(());
        }
        let waits = || self.guard.events.emit(Event::AwaitingBudget { requests: needs.requests });
        Ok(self.guard.guard(budget.reserve(&work.key, needs, waits)).await??)
    }

    /// Whether another batch may be made at this moment that ours has to yield to. What an
    /// earlier process of this run made may have been in such a race; what it brought to its end was not.
    fn looks_for_duplicates(&self, work: &Submission<'_>, progress: &RefCell<Progress>) -> bool {
        let progress = progress.borrow();
        let is_over = progress.batch().is_some_and(|batch| batch.status.is_terminal());
        let is_collected = progress.attached().is_some() && is_over;
        let shows_marks = self.api.vendor().capabilities.found_by != FoundBy::AnswerIds;
        work.reuse != Reuse::Never
            && shows_marks
            && !progress.unlisted
            && progress.owner() == Owner::ThisRun
            && !is_collected
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
        let Some(mut batch) = progress.borrow().batch().cloned() else { return Ok(()) };
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
                if yielded == Looked::Yielded
                    && let Some(older) = progress.borrow().batch().cloned()
                {
                    (batch, cadence) = (older, Cadence::new(self.poll_interval));
                }
            }
            if batch.status.is_terminal() {
                let (batch_id, status) = (batch.id.clone(), batch.status.clone());
                self.journal.note(Record::Ended { batch_id: batch_id.clone(), status: status.word().to_owned() })?;
                self.guard.events.emit(Event::Ended { batch_id, status, counts: batch.counts });
                return Ok(());
            }
            if work.is_some() && progress.borrow().given_up().is_some() {
                return Ok(());
            }
            self.phases.begin(Phase::of(&batch.status));
            let pause = cadence.next(&mut self.guard.rng.borrow_mut()).min(looks.pause());
            self.guard.until(limit, tokio::time::sleep(pause)).await?;
            batch = self.poll(batch, budget, &mut cadence, begun).await?;
            progress.borrow_mut().see(batch.clone());
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
        let (batch_id, status, counts) = (batch.id.clone(), seen.status.clone(), seen.counts);
        let since = seen.created_at.map(|created| u64::try_from(self.clock.unix() - created).unwrap_or(0));
        let age = since.map_or(begun.elapsed(), Duration::from_secs);
        self.guard.events.emit(Event::Polled { batch_id, status, counts, age });
        // An answer about another batch would be a mix-up at the server; our own id stays.
        Ok(Batch { id: batch.id, ..seen })
    }
}

/// The beginning of this work.
fn begin(work: &Submission<'_>) -> Progress {
    Progress::of(&work.key, work.repo.as_deref()).with(work.shard.requests, work.known.clone())
}
