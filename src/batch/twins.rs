//! Two runs at once: both looked, saw nothing, and created a batch each.
//!
//! Each looks again after its own create; the older batch stays (by the second
//! of its creation, then by id, so that both sides decide alike), and whoever
//! made the other cancels it and attaches.

use std::time::Duration;

use tokio::time::Instant;

use super::attach::By;
use super::search;
use super::submit::{Submission, Submitter};
use crate::events::Event;
use crate::identity::{self, Seen};
use crate::patience::Stop;
use crate::wire::{Batch, Status};

/// How long after the create the list is looked through once more, since it may lag.
const LATE: Duration = Duration::from_secs(30);
/// How much older than ours a batch may be that the list did not show when we
/// first looked, in seconds.
const RACE: i64 = 600;

/// When to look for an older batch while ours runs: half a minute after the
/// create (or at the batch's end, if that is earlier), and once requests are
/// being answered.
pub(super) struct Looks {
    created: Instant,
    late: bool,
    at_work: bool,
}

impl Looks {
    /// For a batch just created.
    pub(super) fn after_create() -> Self {
        Self { created: Instant::now(), late: true, at_work: true }
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self { created: Instant::now(), late: false, at_work: false }
    }

    /// Whether it is time for one.
    pub(super) fn is_due(&self, batch: &Batch) -> bool {
        self.is_late(batch) || self.is_at_work(batch)
    }

    /// One was made: it found an older batch, or none, or failed and is made again.
    pub(super) fn done(&mut self, batch: &Batch, yielded: Option<bool>) {
        match yielded {
            Some(true) => *self = Self::none(),
            None if !batch.status.is_terminal() => {}
            _ => {
                let (late, at_work) = (self.is_late(batch), self.is_at_work(batch));
                (self.late, self.at_work) = (self.late && !late, self.at_work && !at_work);
            }
        }
    }

    /// The longest wait that misses none.
    pub(super) fn pause(&self) -> Duration {
        let left = (self.created + LATE).saturating_duration_since(Instant::now());
        if self.late && !left.is_zero() { left } else { Duration::MAX }
    }

    fn is_late(&self, batch: &Batch) -> bool {
        self.late && (self.created.elapsed() >= LATE || batch.status.is_terminal())
    }

    fn is_at_work(&self, batch: &Batch) -> bool {
        self.at_work && batch.status != Status::Validating
    }
}

impl Submitter<'_> {
    /// Yields to an older batch of the same work, if there is one, and tells
    /// whether; none where the list could not be looked through.
    pub(super) async fn yield_to_older(&self, work: &Submission<'_>) -> Result<Option<bool>, Stop> {
        let Some(ours) = self.progress.borrow().batch.clone() else { return Ok(Some(false)) };
        let since = ours.created_at.unwrap_or_else(|| self.clock.unix()) - RACE;
        let looked = search::scan(self.api, since, |batch| self.is_twin(batch, &ours, work)).await;
        let Ok(found) = looked else { return Ok(None) };
        for older in found.batches.into_iter().filter(|batch| age(batch) < age(&ours)) {
            if self.verify(&older, work).await?.is_ok() {
                return self.yield_to(work, older, &ours).await.map(|()| Some(true));
            }
        }
        Ok(Some(false))
    }

    async fn yield_to(&self, work: &Submission<'_>, older: Batch, ours: &Batch) -> Result<(), Stop> {
        let why = format!("batch {} of the same requests, which another run made meanwhile, is older", older.id);
        // A create of ours that was sent twice made both.
        let create = self.progress.borrow().create.clone().unwrap_or_default().0;
        let is_ours = identity::is_from(&older, &create, ours.input_file_id.as_deref());
        let is_foreign = !is_ours && !Seen::of(&older).is_of_run(work.repo.as_deref(), work.run.as_deref());
        // Until ours is cancelled it is this run's; a run that is killed meanwhile leaves both to the next.
        self.note_attached(work, &older, is_foreign, Some(&ours.id))?;
        if !ours.status.is_terminal() {
            self.guard.events.emit(Event::Cancelling { batch_id: ours.id.clone(), why });
            self.cancel_duplicate(&ours.id).await;
        }
        self.progress.borrow_mut().passed_over.push(ours.id.clone());
        let file_id = ours.input_file_id.clone().unwrap_or_default();
        self.attached(work, older, By::Twin, is_foreign, Some((ours.id.clone(), file_id)));
        Ok(())
    }

    /// Cancels a batch that another of the same work stands for. That it cannot be is only said.
    pub(super) async fn cancel_duplicate(&self, batch_id: &str) {
        if let Err(failed) = self.cancel_twin(batch_id).await {
            self.warn(format!(
                "Batch {batch_id} is a duplicate and could not be cancelled ({failed}); it may still run."
            ));
        }
    }

    /// Whether a batch is of the same work, and has answers or will have some.
    fn is_twin(&self, batch: &Batch, ours: &Batch, work: &Submission<'_>) -> bool {
        let seen = Seen::of(batch);
        let is_same = match seen.key {
            Some(key) => key == work.key && seen.repo == work.repo.as_deref(),
            None => batch.metadata.is_empty() && batch.input_file_id.is_some(),
        };
        let is_over = batch.status.is_terminal() && batch.status != Status::Completed;
        let is_alive = !is_over && batch.status != Status::Cancelling;
        batch.id != ours.id && is_same && is_alive && !self.progress.borrow().passed_over.contains(&batch.id)
    }
}

/// The order in which batches are older. Both sides must have the same.
fn age(batch: &Batch) -> (Option<i64>, &str) {
    (batch.created_at, &batch.id)
}
