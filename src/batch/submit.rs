//! Submitting: what is submitted, with what, and the upload.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Room;
use super::progress::Progress;
use crate::api::Api;
use crate::budget::Claim;
use crate::dialects::UploadForm;
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::identity::{self, Part};
use crate::journal::{Journal, Record};
use crate::life::State;
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::retry_loop::RetryBudget;
use crate::values::{OnKill, Reuse};

/// What is submitted.
pub(crate) struct Submission<'a> {
    /// The requests.
    pub source: &'a Source,
    /// Those of them that go into this batch.
    pub shard: &'a Shard,
    /// Which batch of the run it is.
    pub part: Part,
    /// The name of the work.
    pub key: String,
    /// The name of the whole run's work.
    pub whole: String,
    /// The fingerprint of the run's requests.
    pub requests: String,
    /// How long the provider may take.
    pub window: String,
    /// The repository, where the host knows one.
    pub repo: Option<String>,
    /// The run's own identity on its host.
    pub run: Option<String>,
    /// The check that shows the run, where the host has one.
    pub check: Option<String>,
    /// The user's own pairs.
    pub metadata: Vec<(String, String)>,
    /// What the upload says beside the file.
    pub form: UploadForm,
    /// How long the output file lives.
    pub output_expires_after: Option<Duration>,
    /// What is to happen to the batch if this process is killed.
    pub on_kill: OnKill,
    /// Which existing batches of the same work to reuse.
    pub reuse: Reuse,
    /// Where earlier runs left the work, as the journal says.
    pub left: State,
    /// The batches that the journal names, of this work and of others.
    pub known: Vec<String>,
    /// What it may take of the run's budget; none where there is no limit.
    pub claim: Option<Claim<'a>>,
}

/// What a submission works with.
pub(crate) struct Submitter<'a> {
    /// The provider.
    pub api: &'a Api,
    /// Deadline, signals and events.
    pub guard: &'a Guard<'a>,
    /// What is written down.
    pub journal: &'a Journal,
    /// The time of day.
    pub clock: crate::clock::Clock,
    /// The room that the batches of the run share.
    pub room: &'a Room,
    /// How far it has come.
    pub progress: &'a RefCell<Progress>,
}

impl Submitter<'_> {
    /// Uploads the file. Whether the provider can use it yet shows at the create.
    pub(crate) async fn upload(&self, work: &Submission<'_>) -> Result<(), Stop> {
        let name = identity::file_name(&work.key);
        self.journal.note(Record::Upload { name: name.clone() })?;
        let started = Instant::now();
        let file = self
            .guard
            .retry("uploading the requests", RetryBudget::BeforeBatch, async || {
                let sent = Arc::new(AtomicU64::new(0));
                let counted = Arc::clone(&sent);
                let outgoing = work.source.stream_shard(work.shard);
                let count = move |bytes: usize| {
                    counted.fetch_add(bytes as u64, Ordering::Relaxed);
                };
                tokio::select! {
                    file = self.api.upload(&name, outgoing, &work.form, count) => file,
                    never = self.show_upload(&sent, work.shard.bytes) => match never {},
                }
            })
            .await?;
        let (file, _) = file;
        self.note(Record::Uploaded { key: work.key.clone(), file_id: file.id.clone() })?;
        let (bytes, took) = (work.shard.bytes, started.elapsed());
        self.progress.borrow_mut().uploaded(file.id.clone());
        self.guard.events.emit(Event::Uploaded { file_id: file.id, bytes, took });
        Ok(())
    }

    pub(super) async fn show_upload(&self, sent: &AtomicU64, total: u64) -> Infallible {
        loop {
            self.guard.events.emit(Event::Uploading { sent: sent.load(Ordering::Relaxed), total });
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Writes a record, and moves the submission on by it.
    pub(super) fn note(&self, record: Record) -> Result<(), Stop> {
        self.journal.note(record.clone())?;
        self.progress.borrow_mut().apply(self.clock.unix(), &record);
        Ok(())
    }

    /// Writes down that a cancel is about to be sent, and says why.
    pub(super) fn announce_cancel(&self, batch_id: &str, why: String) -> Result<(), Stop> {
        self.guard.events.emit(Event::Cancelling { batch_id: batch_id.to_owned(), why });
        self.note(Record::Cancel { batch_id: batch_id.to_owned() })
    }

    pub(super) fn warn(&self, warning: String) {
        self.guard.events.emit(Event::Warned(warning));
    }
}
