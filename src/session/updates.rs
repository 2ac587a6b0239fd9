//! Keeps what is shown of a run up to date while its batches are sent and waited for.

use std::cell::Cell;

use tokio::sync::oneshot;

use crate::emitter::Events;
use crate::hosts::Publisher;
use crate::policy::{CHECK_UPDATES, LAST_CHECK_UPDATE};
use crate::report::Report;
use crate::shutdown::Shutdown;

/// Does the work. Meanwhile the publisher is given the batches as soon as there are any new ones.
///
/// The end of the run is shown next, and what is sent last must also arrive
/// last, so an update that is under way is waited for. After a signal there are
/// no more updates.
pub(super) async fn updating<T>(
    publisher: &dyn Publisher,
    report: &Report,
    events: &Events<'_>,
    shutdown: &Shutdown,
    work: impl Future<Output = T>,
) -> T {
    let (running, over) = oneshot::channel::<()>();
    let work = async {
        let done = work.await;
        drop(running);
        done
    };
    let is_sending = Cell::new(false);
    let updates = async {
        let mut known = Vec::new();
        loop {
            let batches = events.batches_beyond(&known).await;
            is_sending.set(true);
            publisher.update(report, &batches).await;
            is_sending.set(false);
            known = batches;
            tokio::time::sleep(CHECK_UPDATES).await;
        }
    };
    let over = async {
        // An error is the same news: the sender is gone.
        drop(over.await);
        if is_sending.get() {
            tokio::time::sleep(LAST_CHECK_UPDATE).await;
        }
    };
    let following = async {
        tokio::select! {
            _ = shutdown.first() => {}
            never = updates => match never {},
            () = over => {}
        }
    };
    tokio::join!(work, following).0
}
