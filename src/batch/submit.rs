//! Submitting: what is submitted, how far that has come, and the upload.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Room;
use crate::api::Api;
use crate::attachment::{Attachment, Owner};
use crate::dialects::Batch;
use crate::dialects::UploadForm;
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::identity::{self, Part};
use crate::journal::{Journal, Left, Record};
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::retry_loop::RetryBudget;
use crate::values::Reuse;

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
    /// Whether the batch should be cancelled if this process is killed.
    pub armed: bool,
    /// Which batches of the same work are taken up.
    pub reuse: Reuse,
    /// What the journal says is left of the work.
    pub left: Left,
}

/// How far a submission has come; what there is to cancel when it is broken off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The name of the work.
    pub key: String,
    /// The repository, where the host knows one.
    pub repo: Option<String>,
    /// The uploaded file.
    pub file_id: Option<String>,
    /// Whether this process uploaded it, or its name and size show that it is of this work.
    pub is_file_ours: bool,
    /// When the list was last looked through for a batch of the same work, and when first, in Unix seconds.
    pub looked: Option<(Instant, i64)>,
    /// The mark of the create that was sent last, and when the first was, in Unix seconds.
    pub create: Option<(String, i64)>,
    /// Whether that create may have been acted on although no reply is here.
    pub in_doubt: bool,
    /// The batch.
    pub batch: Option<Batch>,
    /// How the run came by it, if it did not create it.
    pub attached: Option<Attachment>,
    /// Batches of the same work that are of no use to this run.
    pub passed_over: Vec<String>,
    /// Whether the provider does not let us list batches.
    pub unlisted: bool,
}

impl Progress {
    /// At the beginning of the work of this name, in this repository.
    pub(crate) fn of(key: &str, repo: Option<&str>) -> Self {
        Self { key: key.to_owned(), repo: repo.map(str::to_owned), ..Self::default() }
    }

    /// The batch is of no use: another is to be made of the same upload.
    pub(super) fn pass_over_own(&mut self, batch_id: String) {
        (self.batch, self.attached) = (None, None);
        self.passed_over.push(batch_id);
    }

    /// Whose the batch is.
    pub(crate) fn owner(&self) -> Owner {
        self.attached.as_ref().map(|attached| attached.owner).unwrap_or_default()
    }
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
        self.journal.note(Record::Uploaded { key: work.key.clone(), file_id: file.id.clone() })?;
        let (bytes, took) = (work.shard.bytes, started.elapsed());
        let mut progress = self.progress.borrow_mut();
        (progress.file_id, progress.is_file_ours) = (Some(file.id.clone()), true);
        drop(progress);
        self.guard.events.emit(Event::Uploaded { file_id: file.id, bytes, took });
        Ok(())
    }

    async fn show_upload(&self, sent: &AtomicU64, total: u64) -> Infallible {
        loop {
            self.guard.events.emit(Event::Uploading { sent: sent.load(Ordering::Relaxed), total });
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Writes down that the create is about to be sent, each time that it is: its
    /// batch may be invisible for a while from then on.
    pub(super) fn note_create(&self) -> Result<(), Stop> {
        let Progress { key, create, file_id, .. } = self.progress.borrow().clone();
        let (create, file_id) = (create.unwrap_or_default().0, file_id.unwrap_or_default());
        Ok(self.journal.note(Record::Create { key, create, file_id })?)
    }

    /// Takes note of the batch and tells the host, before anything else happens.
    pub(crate) fn created(&self, batch: Batch, found: bool) -> Result<(), Stop> {
        let input_file_id = self.progress.borrow().file_id.clone().unwrap_or_default();
        let create = self.progress.borrow().create.clone().unwrap_or_default().0;
        let (key, batch_id) = (self.progress.borrow().key.clone(), batch.id.clone());
        self.progress.borrow_mut().batch = Some(batch);
        self.progress.borrow_mut().in_doubt = false;
        let (create_of, batch_of) = (create.clone(), batch_id.clone());
        self.guard.events.emit(Event::Created { create: create_of, batch_id: batch_of, input_file_id, found });
        self.journal.note(Record::Created { key, create, batch_id })?;
        Ok(())
    }

    pub(super) fn warn(&self, warning: String) {
        self.guard.events.emit(Event::Warned(warning));
    }
}
