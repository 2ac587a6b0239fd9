//! Duplicates: two runs at once both looked, saw nothing, and created a batch each.
//!
//! Each looks again after its own create; the older batch stays (by the second
//! of its creation, then by id, so that both sides decide alike), and whoever
//! made the other cancels it and attaches.

use std::time::Duration;

use tokio::time::Instant;

use super::attach::{Verified, may_be};
use super::cancel::{self, Budget, cancel};
use super::search::{self, cannot_list};
use super::submit::{Submission, Submitter};
use crate::attachment::{By, Owner};
use crate::clock::seconds;
use crate::dialects::{Batch, Status};
use crate::guard::Stop;
use crate::identity::{self, Seen};
use crate::policy::{BEFORE_BATCH, DUPLICATE_LOOKS, RACE};

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
    pub(super) fn done(&mut self, batch: &Batch, looked: Looked) {
        match looked {
            Looked::Yielded => *self = Self::none(),
            Looked::Unread if !batch.status.is_terminal() => {}
            Looked::Alone | Looked::Unread => {
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

/// What a look for an older batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// There is an older one, and ours has yielded to it.
    Yielded,
    /// Ours is the oldest, as far as the provider lists batches.
    Alone,
    /// The list could not be read, or what it shows could not be verified.
    Unread,
}

impl Submitter<'_> {
    /// Looks for an older batch of the same work, and yields to it.
    pub(super) async fn yield_to_older(&self, work: &Submission<'_>) -> Result<Looked, Stop> {
        let Some(ours) = self.progress.borrow().batch().cloned() else { return Ok(Looked::Alone) };
        let since = ours.created_at.unwrap_or_else(|| self.clock.unix()) - seconds(RACE);
        let looked = search::scan(self.api, since, |batch| self.is_duplicate(batch, &ours, work)).await;
        let found = match looked {
            Ok(found) => found.batches,
            Err(failure) if cannot_list(&failure) => {
                self.progress.borrow_mut().unlisted = true;
                return Ok(Looked::Alone);
            }
            Err(_) => return Ok(Looked::Unread),
        };
        for older in found.iter().filter(|batch| is_older(batch, &ours)) {
            match self.verify(older, work).await? {
                Verified::Yes => {
                    self.end_orphans(work, &found, &older.id).await?;
                    self.yield_to(work, older.clone(), &ours).await?;
                    return Ok(Looked::Yielded);
                }
                Verified::No(_) => {}
                // What cannot be known of another batch is no reason to leave ours alone.
                Verified::Unknown => return Ok(Looked::Unread),
            }
        }
        Ok(Looked::Alone)
    }

    async fn yield_to(&self, work: &Submission<'_>, older: Batch, ours: &Batch) -> Result<(), Stop> {
        let why = format!("batch {} of the same requests, which another run made meanwhile, is older", older.id);
        // A create of ours that was sent twice made both.
        let create = self.progress.borrow().state().last_create().unwrap_or_default().to_owned();
        let is_ours = identity::is_from(&older, &create, ours.input_file_id.as_deref());
        let is_of_run = Seen::of(&older).is_of_run(work.repo.as_deref(), work.run.as_deref());
        let owner = if is_ours || is_of_run { Owner::ThisRun } else { Owner::AnotherRun };
        // Until ours is cancelled it is this run's to end; a run that is killed meanwhile leaves both to the next.
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
                self.give_up(&batch.id, &format!("batch {kept} of the same requests is used instead")).await?;
            }
        }
        Ok(())
    }

    /// Cancels a batch in favour of another of the same work, for as long as that may take. If it cannot be
    /// cancelled, a warning says so.
    pub(super) async fn give_up(&self, batch_id: &str, why: &str) -> Result<(), Stop> {
        self.announce_cancel(batch_id, why.to_owned())?;
        self.progress.borrow_mut().passed_over.push(batch_id.to_owned());
        let budget = Budget::Until(Instant::now() + BEFORE_BATCH);
        let stop = match cancel(self.api, self.guard, batch_id, budget).await {
            Ok(_) => return Ok(()),
            // Nobody else cancels it: the run's end is about the batch that is kept.
            Err(stop @ Stop::Signal(_)) if !self.is_kept(batch_id) => {
                if let Err(stop) = cancel(self.api, self.guard, batch_id, Budget::Few).await {
                    self.warn_of_duplicate(batch_id, &cancel::why(&stop));
                }
                return Err(stop);
            }
            Err(stop @ (Stop::Failed(_) | Stop::Deadline(_))) => stop,
            Err(stop) => return Err(stop),
        };
        self.warn_of_duplicate(batch_id, &cancel::why(&stop));
        Ok(())
    }

    fn is_kept(&self, batch_id: &str) -> bool {
        self.progress.borrow().batch().is_some_and(|batch| batch.id == batch_id)
    }

    /// Warns that a duplicate may go on running.
    pub(super) fn warn_of_duplicate(&self, batch_id: &str, why: &str) {
        self.warn(format!("Batch {batch_id} is a duplicate and could not be cancelled ({why}); it may still run."));
    }

    /// Whether a batch is of the same work, and has answers or will have some.
    fn is_duplicate(&self, batch: &Batch, ours: &Batch, work: &Submission<'_>) -> bool {
        let is_over = batch.status.is_terminal() && batch.status != Status::Completed;
        // Once ours is paid for, only one that is, too, is worth yielding to: both end with the same results.
        let is_late = ours.status == Status::Completed && batch.status != Status::Completed;
        let is_alive = !is_over && !is_late && batch.status != Status::Cancelling;
        batch.id != ours.id
            && may_be(batch, work)
            && is_alive
            && !self.progress.borrow().passed_over.contains(&batch.id)
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
