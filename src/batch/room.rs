//! Waiting for room.
//!
//! Providers limit the tokens that may be enqueued, and say so late, by failing
//! the batch: then it is tried again when another is over, or after a while,
//! since batches of other runs may use up the room.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, MutexGuard, Notify};

use super::progress::Progress;
use super::{Driver, Ended};
use crate::dialects::Status;
use crate::events::Event;
use crate::guard::Stop;
use crate::phases::Phase;
use crate::policy::{FIRST_ROOM_WAIT, LONGEST_ROOM_WAIT, MOST_ROOM_WAITS, ROOM_FREED};

/// How long to wait for room.
#[derive(Default)]
pub(super) struct Pauses(u32);

impl Pauses {
    /// Whether it was tried often enough.
    pub(super) fn are_over(&self) -> bool {
        self.0 >= MOST_ROOM_WAITS
    }

    pub(super) fn next(&mut self) -> Duration {
        self.0 += 1;
        LONGEST_ROOM_WAIT.min(FIRST_ROOM_WAIT * 2_u32.saturating_pow(self.0 - 1))
    }
}

/// The room that the batches of a run share at the provider.
#[derive(Default)]
pub(crate) struct Room {
    /// Rings when one is over: there may be room for another.
    over: Notify,
    /// How many are under way.
    under_way: Cell<usize>,
    /// Taken by a create that must be the only one at its time.
    creating: Mutex<()>,
    /// The batches that the run has, by their ids.
    held: RefCell<Vec<String>>,
}

/// A batch under way, until it is dropped.
pub(super) struct Place<'r>(&'r Room);

impl Room {
    /// A batch takes its place.
    pub(super) fn take(&self) -> Place<'_> {
        self.under_way.set(self.under_way.get() + 1);
        Place(self)
    }

    /// Waits until no other create of the run is under way, and keeps it so.
    pub(super) async fn create_alone(&self) -> MutexGuard<'_, ()> {
        self.creating.lock().await
    }

    /// The run has this batch.
    pub(super) fn hold(&self, batch_id: &str) {
        self.held.borrow_mut().push(batch_id.to_owned());
    }

    /// Whether the run has this batch.
    pub(super) fn holds(&self, batch_id: &str) -> bool {
        self.held.borrow().iter().any(|held| held == batch_id)
    }

    /// Whether a batch of this run takes up room.
    pub(super) fn is_taken(&self) -> bool {
        self.under_way.get() > 0
    }

    /// Waits until another batch is over and its room free, but no longer than that.
    pub(super) async fn wait(&self, longest: Duration) {
        let freed = async {
            self.over.notified().await;
            tokio::time::sleep(ROOM_FREED).await;
        };
        tokio::select! {
            () = freed => {}
            () = tokio::time::sleep(longest) => {}
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
        self.0.over.notify_waiters();
    }
}

impl Driver<'_> {
    /// After a signal, what was submitted before it is no better than what it broke off.
    pub(crate) async fn end_submitted(&self, all: Vec<Ended>) -> Vec<Ended> {
        let signal = all.iter().find_map(|ended| match ended.stop {
            Some(Stop::Signal(signal) | Stop::Detached(signal)) => Some(signal),
            _ => None,
        });
        let Some(signal) = signal else { return all };
        let end = async |ended: Ended| match ended {
            Ended { progress, stop: None } => self.end(RefCell::new(progress), Some(Stop::Signal(signal))).await,
            ended => ended,
        };
        join_all(all.into_iter().map(end)).await
    }

    /// Waits until there may be room, and makes ready for another try.
    pub(super) async fn wait_for_room(&self, progress: &RefCell<Progress>, pauses: &mut Pauses) -> Result<(), Stop> {
        let Some(batch_id) = progress.borrow().batch().map(|batch| batch.id.clone()) else { return Ok(()) };
        let again_in = pauses.next();
        self.phases.begin(Phase::WaitingForRoom);
        let why = "too many tokens are enqueued at the provider".to_owned();
        self.guard.events.emit(Event::Crowded { batch_id: Some(batch_id.clone()), why, again_in });
        progress.borrow_mut().pass_over_own(batch_id);
        self.guard.guard(self.room.wait(again_in)).await
    }
}

/// Whether the batch failed because too much is enqueued.
pub(super) fn lacks_room(progress: &Progress) -> bool {
    let Some(batch) = progress.batch() else { return false };
    batch.status == Status::Failed && batch.errors.lack_room
}
