//! Two runs at once: both looked, saw nothing, and created a batch each.
//!
//! Each looks again after its own create; the older batch stays (by the second
//! of its creation, then by id, so that both sides decide alike), and whoever
//! made the other cancels it and attaches.

use std::time::Duration;

use tokio::time::Instant;

use super::attach::Verified;
use super::cancel;
use super::search::{self, cannot_list};
use super::submit::{Submission, Submitter};
use crate::attachment::{By, Owner};
use crate::clock::seconds;
use crate::dialects::{Batch, Status};
use crate::events::Event;
use crate::guard::Stop;
use crate::identity::{self, Seen};
use crate::journal::Record;
use crate::policy::{BEFORE_BATCH, DUPLICATE_LOOKS, RACE};
use crate::retry_loop::RetryBudget;

/// When to look for an older batch while ours runs: half a minute and a minute
/// after the create (or at the batch's end, if that is earlier), and once
/// requests are being answered.
pub(super) struct Looks {
    created: Instant,
    late: &'static [Duration],
    at_work: bool,
}

impl Looks {
    /// For a batch just created, or that may have been.
    pub(super) fn after_create() -> Self {
        Self { created: Instant::now(), late: &DUPLICATE_LOOKS, at_work: true }
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self { created: Instant::now(), late: &[], at_work: false }
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
                self.at_work &= !self.is_at_work(batch);
                while self.is_late(batch) {
                    self.late = &self.late[1..];
                }
            }
        }
    }

    /// The longest wait that misses none.
    pub(super) fn pause(&self) -> Duration {
        let left = self.late.first().map(|late| (self.created + *late).saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero()).unwrap_or(Duration::MAX)
    }

    fn is_late(&self, batch: &Batch) -> bool {
        self.late.first().is_some_and(|late| self.created.elapsed() >= *late || batch.status.is_terminal())
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
        let since = ours.created_at.unwrap_or_else(|| self.clock.unix()) - seconds(RACE);
        let looked = search::scan(self.api, since, |batch| self.is_duplicate(batch, &ours, work)).await;
        let found = match looked {
            Ok(found) => found.batches,
            Err(failure) if cannot_list(&failure) => {
                self.progress.borrow_mut().unlisted = true;
                return Ok(Some(false));
            }
            Err(_) => return Ok(None),
        };
        for older in found.iter().filter(|batch| is_older(batch, &ours)) {
            match self.verify(older, work).await {
                Ok(Verified::Yes) => {
                    self.end_orphans(work, &found, &older.id).await?;
                    return self.yield_to(work, older.clone(), &ours).await.map(|()| Some(true));
                }
                Ok(Verified::No(_)) => {}
                // What cannot be known of another batch is no reason to leave ours alone.
                Ok(Verified::Untold) => return Ok(None),
                Err(stop) => return Err(stop),
            }
        }
        Ok(Some(false))
    }

    async fn yield_to(&self, work: &Submission<'_>, older: Batch, ours: &Batch) -> Result<(), Stop> {
        let why = format!("batch {} of the same requests, which another run made meanwhile, is older", older.id);
        // A create of ours that was sent twice made both.
        let create = self.progress.borrow().create.clone().unwrap_or_default().0;
        let is_ours = identity::is_from(&older, &create, ours.input_file_id.as_deref());
        let is_of_run = Seen::of(&older).is_of_run(work.repo.as_deref(), work.run.as_deref());
        let owner = if is_ours || is_of_run { Owner::ThisRun } else { Owner::AnotherRun };
        // Until ours is cancelled it is this run's; a run that is killed meanwhile leaves both to the next.
        self.note_attached(work, &older, owner, Some(&ours.id))?;
        if !ours.status.is_terminal() {
            self.give_up(&ours.id, &why).await?;
        }
        let file_id = ours.input_file_id.clone().unwrap_or_default();
        self.attached(work, older, By::Duplicate, owner, Some((ours.id.clone(), file_id)));
        Ok(())
    }

    /// Cancels what earlier attempts at this very step left running beside the batch that is kept:
    /// the processes that made them are gone, so nobody else will.
    pub(super) async fn end_orphans(&self, work: &Submission<'_>, found: &[Batch], kept: &str) -> Result<(), Stop> {
        let (repo, run) = (work.repo.as_deref(), work.run.as_deref());
        for batch in found.iter().filter(|batch| batch.id != kept && !batch.status.is_terminal()) {
            if Seen::of(batch).is_of_earlier_attempt(repo, run) {
                self.give_up(&batch.id, &format!("batch {kept} of the same requests stands for it")).await?;
            }
        }
        Ok(())
    }

    /// Cancels a batch that another of the same work stands for, for as long as
    /// that may take. That it cannot be is only said.
    pub(super) async fn give_up(&self, batch_id: &str, why: &str) -> Result<(), Stop> {
        self.journal.note(Record::Cancel { batch_id: batch_id.to_owned() })?;
        self.guard.events.emit(Event::Cancelling { batch_id: batch_id.to_owned(), why: why.to_owned() });
        self.progress.borrow_mut().passed_over.push(batch_id.to_owned());
        let doing = format!("cancelling batch {batch_id}");
        let budget = RetryBudget::Until(Instant::now() + BEFORE_BATCH);
        let why = match self.guard.retry(&doing, budget, async || cancel::request(self.api, batch_id).await).await {
            Ok(_) => return Ok(()),
            Err(Stop::Failed(error)) => error.sentence(),
            Err(Stop::Deadline(trouble)) => trouble.unwrap_or_else(|| "no answer in time".to_owned()),
            // Nobody else cancels it: the run's end is about the batch that is kept.
            Err(stop @ Stop::Signal(_)) if !self.is_kept(batch_id) => {
                if let Err(why) = self.cancel_twin(batch_id).await {
                    self.warn_of_duplicate(batch_id, &why);
                }
                return Err(stop);
            }
            Err(stop) => return Err(stop),
        };
        self.warn_of_duplicate(batch_id, &why);
        Ok(())
    }

    fn is_kept(&self, batch_id: &str) -> bool {
        self.progress.borrow().batch.as_ref().is_some_and(|batch| batch.id == batch_id)
    }

    /// Says that a batch, for which another stands, may go on.
    pub(super) fn warn_of_duplicate(&self, batch_id: &str, why: &str) {
        self.warn(format!("Batch {batch_id} is a duplicate and could not be cancelled ({why}); it may still run."));
    }

    /// Whether a batch is of the same work, and has answers or will have some.
    fn is_duplicate(&self, batch: &Batch, ours: &Batch, work: &Submission<'_>) -> bool {
        let seen = Seen::of(batch);
        let is_same = match seen.key {
            Some(key) => key == work.key && seen.repo == work.repo.as_deref(),
            None => batch.metadata.is_empty() && batch.input_file_id.is_some(),
        };
        let is_over = batch.status.is_terminal() && batch.status != Status::Completed;
        // Once ours is paid for, only one that is, too, is worth yielding to: both end with the same results.
        let is_late = ours.status == Status::Completed && batch.status != Status::Completed;
        let is_alive = !is_over && !is_late && batch.status != Status::Cancelling;
        batch.id != ours.id && is_same && is_alive && !self.progress.borrow().passed_over.contains(&batch.id)
    }
}

/// Whether a batch is older than ours. Both sides must decide alike, so a time
/// that not every answer of a server tells does not count.
fn is_older(theirs: &Batch, ours: &Batch) -> bool {
    match (theirs.created_at, ours.created_at) {
        (Some(theirs), Some(ours)) if theirs != ours => theirs < ours,
        _ => theirs.id < ours.id,
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, is_older};

    #[test]
    fn of_two_batches_one_is_older_whoever_asks() {
        let batch = |created_at, id: &str| Batch { created_at, id: id.into(), ..Batch::default() };
        let both = [(Some(7), "b", Some(8), "a"), (Some(7), "a", Some(7), "b"), (None, "a", None, "b")];
        for (at, id, other_at, other_id) in both {
            let (older, newer) = (batch(at, id), batch(other_at, other_id));
            assert!(is_older(&older, &newer) && !is_older(&newer, &older), "{id} {other_id}");
        }
        // Each knows the time of its own batch alone.
        let (a, b) = (batch(Some(9), "a"), batch(Some(7), "b"));
        assert!(is_older(&batch(None, "a"), &b) && !is_older(&batch(None, "b"), &a));
    }
}
