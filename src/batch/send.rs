//! Sending the requests in the create itself, to a vendor that takes them so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::submit::{Submission, Submitter};
use crate::dialects::{Batch, InCreate, NewBatch};
use crate::marked_id::Mark;
use crate::retry::Failure;

impl Submitter<'_> {
    /// One create that carries the requests of this work, with this mark in their ids.
    pub(super) async fn send_requests(
        &self,
        work: &Submission<'_>,
        new: &NewBatch<'_>,
        body: InCreate,
        mark: &Mark,
    ) -> Result<Batch, Failure> {
        let (source, shard, mark) = (work.source.clone(), work.shard.clone(), mark.clone());
        let measuring = tokio::task::spawn_blocking(move || source.create_body(&shard, body, &mark));
        let requests = match measuring.await {
            Ok(Ok(requests)) => requests,
            Ok(Err(_)) => return Err(Failure::Changed),
            Err(error) => return Err(Failure::Local(error.to_string())),
        };
        let (total, sent) = (requests.length, Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&sent);
        let count = move |bytes: usize| {
            counted.fetch_add(bytes as u64, Ordering::Relaxed);
        };
        tokio::select! {
            created = self.api.create_batch_of(new, requests, count) => created.map(|(batch, _)| batch),
            never = self.show_upload(&sent, total) => match never {},
        }
    }
}
