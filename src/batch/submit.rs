//! Submitting: upload the file, wait until it can be used, create the batch.
//!
//! A create is the one step that must not be repeated blindly, since every
//! success is paid for. When its reply is lost, the batch is looked for by its
//! `create` mark at growing distances before anything is sent again; where the
//! provider cannot list batches, nothing is sent again at all.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::attach::{Attachment, Reuse};
use super::search::{self, cannot_list};
use crate::api::Api;
use crate::error::Error;
use crate::events::Event;
use crate::identity::{self, Part};
use crate::journal::{Journal, Left, Record};
use crate::patience::{BEFORE, Guard, Patience, Stop, refused};
use crate::providers::{NewBatch, UploadForm};
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::retry::{Advice, Backoff, Failure};
use crate::wire::{Batch, File};

/// When to look for a batch whose reply was lost, counted from the loss.
const LOOKS: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// How long a fresh file may be invisible or not processed.
const UNREADY: Duration = Duration::from_secs(60);
/// How long one try at a cancel may take where more than one batch is in play.
pub const HURRIED: Duration = Duration::from_secs(2);
/// How long the reply of a create under way is waited for once a signal came or time is up.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What is submitted.
pub struct Submission<'a> {
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
pub struct Progress {
    /// The name of the work.
    pub key: String,
    /// The uploaded file.
    pub file_id: Option<String>,
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
    /// At the beginning of the work of this name.
    pub fn of(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    /// Whether the batch is another run's.
    pub fn is_foreign(&self) -> bool {
        self.attached.as_ref().is_some_and(|attached| attached.is_foreign)
    }
}

/// What a submission works with.
pub struct Submitter<'a> {
    /// The provider.
    pub api: &'a Api,
    /// Deadline, signals and events.
    pub guard: &'a Guard<'a>,
    /// What is written down.
    pub journal: &'a Journal,
    /// The time of day.
    pub clock: crate::clock::Clock,
    /// How far it has come.
    pub progress: &'a RefCell<Progress>,
}

impl Submitter<'_> {
    /// Uploads the file and waits until the provider can use it.
    pub async fn upload(&self, work: &Submission<'_>) -> Result<(), Stop> {
        let name = identity::file_name(&work.key);
        self.journal.note(Record::Upload { name: name.clone() })?;
        let started = Instant::now();
        let file = self
            .guard
            .bear("uploading the requests", Patience::Before, async || {
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
        self.progress.borrow_mut().file_id = Some(file.id.clone());
        self.guard.events.emit(Event::Uploaded { file_id: file.id.clone(), bytes, took });
        self.wait_for_file(file).await
    }

    async fn show_upload(&self, sent: &AtomicU64, total: u64) -> Infallible {
        loop {
            self.guard.events.emit(Event::Uploading { sent: sent.load(Ordering::Relaxed), total });
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// A fresh file can be 404 for a second, or `uploaded` but not yet `processed`.
    async fn wait_for_file(&self, file: File) -> Result<(), Stop> {
        let doing = format!("looking at the uploaded file {}", file.id);
        let patient_until = Instant::now() + UNREADY;
        let mut backoff = Backoff::default();
        loop {
            let is_late = Instant::now() >= patient_until;
            let seen =
                self.guard.bear(&doing, Patience::Before, async || self.look_at(&file.id, is_late).await).await?;
            let status = seen.as_ref().and_then(|seen| seen.status.as_deref());
            match status {
                Some("error") => {
                    let why = seen.and_then(|seen| seen.status_details).unwrap_or_else(|| "no reason given".to_owned());
                    let refusal = format!("The provider cannot use the uploaded file {}: {why}.", file.id);
                    return Err(Error::refused(refusal).into());
                }
                Some("uploaded" | "pending" | "running") if is_late => {
                    self.warn(format!("File {} is still not processed; going on without waiting longer.", file.id));
                    return Ok(());
                }
                Some("uploaded" | "pending" | "running") => {}
                _ if seen.is_some() => return Ok(()),
                _ => {}
            }
            let wait = backoff.next(&mut self.guard.rng.borrow_mut());
            self.guard.guard(tokio::time::sleep(wait)).await?;
        }
    }

    /// One look at a file: none while it is invisible and that may still pass.
    /// A server without this call is taken at its word that the upload worked.
    async fn look_at(&self, id: &str, is_late: bool) -> Result<Option<File>, Failure> {
        match self.api.get_file(id).await {
            Ok((seen, _)) => Ok(Some(seen)),
            Err(failure) => match failure.status() {
                Some(404) if !is_late => Ok(None),
                Some(405 | 501) => Ok(Some(File::default())),
                _ => Err(failure),
            },
        }
    }

    /// Creates the batch, and makes sure that there is one and not two.
    pub async fn create(&self, work: &Submission<'_>) -> Result<(), Stop> {
        let file_id = self.progress.borrow().file_id.clone().unwrap_or_default();
        let create = identity::new_create();
        self.progress.borrow_mut().create = Some((create.clone(), self.clock.unix()));
        self.note_create()?;
        self.guard.events.emit(Event::Creating {
            create: create.clone(),
            input_file_id: file_id.clone(),
            armed: work.armed,
        });
        let marks = identity::Marks {
            key: &work.key,
            create: &create,
            repo: work.repo.as_deref(),
            run: work.run.as_deref(),
            check: work.check.as_deref(),
            part: work.part,
            whole: &work.whole,
            requests: &work.requests,
        };
        let metadata = marks.metadata(&work.metadata);
        let new = NewBatch {
            input_file_id: &file_id,
            endpoint: &work.shard.endpoint,
            completion_window: &work.window,
            metadata: &metadata,
            output_expires_after: work.output_expires_after,
        };
        let (batch, found) = self.create_once(&new).await?;
        self.created(batch, found)
    }

    /// Writes down that the create is about to be sent, each time that it is: its
    /// batch may be invisible for a while from then on.
    fn note_create(&self) -> Result<(), Stop> {
        let Progress { key, create, file_id, .. } = self.progress.borrow().clone();
        let (create, file_id) = (create.unwrap_or_default().0, file_id.unwrap_or_default());
        Ok(self.journal.note(Record::Create { key, create, file_id })?)
    }

    /// Takes note of the batch and tells the host, before anything else happens.
    pub fn created(&self, batch: Batch, found: bool) -> Result<(), Stop> {
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

    /// Sends creates until one batch exists; tells whether it had to be found.
    async fn create_once(&self, new: &NewBatch<'_>) -> Result<(Batch, bool), Stop> {
        let doing = "creating the batch";
        let give_up = Instant::now() + BEFORE;
        let mut backoff = Backoff::default();
        let mut lost = 0;
        loop {
            let failure = match self.post(new).await? {
                Ok(batch) if lost == 0 => return Ok((batch, false)),
                Ok(batch) => return Ok((self.keep_older(batch).await, false)),
                Err(failure) => failure,
            };
            let wait = if failure.is_ambiguous() {
                lost += 1;
                self.guard.events.emit(Event::ReplyLost { trouble: failure.to_string() });
                if let Some(batch) = self.settle(&failure, Duration::ZERO).await? {
                    return Ok((batch, true));
                }
                Duration::ZERO
            } else {
                let Advice::Again(wished) = failure.advice() else {
                    return Err(self.end_of_create(refused(doing, &failure), lost));
                };
                backoff.next(&mut self.guard.rng.borrow_mut()).max(wished.unwrap_or_default())
            };
            if Instant::now() + wait >= give_up {
                return Err(self.end_of_create(refused(doing, &failure), lost));
            }
            if !wait.is_zero() {
                self.trouble(doing, &failure, wait);
            }
            self.guard.guard(tokio::time::sleep(wait)).await?;
            self.note_create()?;
        }
    }

    /// A create that failed for good leaves nothing behind, unless one before it was lost.
    fn end_of_create(&self, error: Error, lost: u32) -> Stop {
        if lost == 0 { Stop::Failed(error) } else { self.unknown(error) }
    }

    fn trouble(&self, doing: &str, failure: &Failure, again_in: Duration) {
        let (doing, trouble) = (doing.to_owned(), failure.to_string());
        self.guard.events.emit(Event::Troubled { doing, trouble, times: 1, again_in, state_unknown: false });
    }

    /// Sends one create. When a signal or the deadline comes while it is under
    /// way, its reply is given a last chance, so that the batch can be cancelled.
    async fn post(&self, new: &NewBatch<'_>) -> Result<Result<Batch, Failure>, Stop> {
        // A create that was not sent yet needs no last chance.
        if let Some(signal) = self.guard.shutdown.ordered() {
            return Err(Stop::Signal(signal));
        }
        let was_in_doubt = std::mem::replace(&mut self.progress.borrow_mut().in_doubt, true);
        let mut reply = std::pin::pin!(self.api.create_batch(new));
        match self.guard.guard(&mut reply).await {
            Ok(Ok((batch, _))) => Ok(Ok(batch)),
            Ok(Err(failure)) => {
                self.progress.borrow_mut().in_doubt = was_in_doubt || failure.is_ambiguous();
                Ok(Err(failure))
            }
            Err(stop) => {
                match tokio::time::timeout(LAST_WORD, reply).await {
                    Ok(Ok((batch, _))) => self.created(batch, false)?,
                    Ok(Err(failure)) if !failure.is_ambiguous() => self.progress.borrow_mut().in_doubt = was_in_doubt,
                    Ok(Err(_)) | Err(_) => {}
                }
                Err(stop)
            }
        }
    }

    /// Looks for the batch of a create whose reply was lost so long `ago`. None: it does not exist.
    pub(super) async fn settle(&self, failure: &Failure, ago: Duration) -> Result<Option<Batch>, Stop> {
        if self.progress.borrow().unlisted {
            return Err(self.unknown(refused("creating the batch", failure)));
        }
        let now = Instant::now();
        let last = LOOKS[LOOKS.len() - 1];
        let mut looked = Err(failure.clone());
        // Of the looks whose time is past only the last is worth making up for.
        for look in LOOKS.into_iter().filter(|look| *look >= ago || *look == last) {
            self.guard.guard(tokio::time::sleep_until(now + look.saturating_sub(ago))).await?;
            looked = self.guard.guard(self.find()).await?;
            match &mut looked {
                Ok(found) if !found.is_empty() => return Ok(self.keep_oldest(std::mem::take(found)).await),
                Err(failure) if cannot_list(failure) => {
                    let warning =
                        format!("The provider does not list batches ({failure}), so a lost reply cannot be settled.");
                    self.guard.events.emit(Event::Warned(warning));
                    return Err(self.unknown(refused("creating the batch", failure)));
                }
                _ => {}
            }
        }
        match looked {
            Ok(_) => Ok(None),
            // Without one good look after the last second nothing may be sent again.
            Err(_) => {
                let patience = Patience::Until(self.guard.deadline.min(now + BEFORE));
                let found = self.guard.bear("looking for the batch", patience, async || self.find().await).await;
                match found {
                    Ok(found) => Ok(self.keep_oldest(found).await),
                    Err(Stop::Deadline) if Instant::now() < self.guard.deadline => {
                        Err(self.unknown(refused("creating the batch", failure)))
                    }
                    Err(Stop::Failed(error)) => Err(self.unknown(error)),
                    Err(stop) => Err(stop),
                }
            }
        }
    }

    /// After a resend: if the first create arrived after all, the older batch stays.
    async fn keep_older(&self, batch: Batch) -> Batch {
        let why = match self.guard.guard(self.find()).await {
            Ok(Ok(found)) => return self.keep_oldest(found).await.unwrap_or(batch),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the run is being ended".to_owned(),
        };
        self.warn(format!("Whether two batches were created could not be looked up ({why})."));
        batch
    }

    /// Of several batches of one create the oldest stays and the others are cancelled.
    pub async fn keep_oldest(&self, found: Vec<Batch>) -> Option<Batch> {
        let mut found = found.into_iter();
        let oldest = found.next()?;
        for Batch { id, .. } in found.filter(|newer| !newer.status.is_terminal()) {
            let why = format!("batch {} of the same create is older", oldest.id);
            self.guard.events.emit(Event::Cancelling { batch_id: id.clone(), why });
            // The cancel matters more than a journal, which shows at its next record that it fails.
            drop(self.journal.note(Record::Cancel { batch_id: id.clone() }));
            if let Err(why) = self.cancel_twin(&id).await {
                self.warn_of_duplicate(&id, &why);
            }
        }
        Some(oldest)
    }

    /// A few tries at a cancel; only one once a signal came.
    pub(super) async fn cancel_twin(&self, batch_id: &str) -> Result<(), String> {
        let mut backoff = Backoff::default();
        for last in [false, false, false, true] {
            let failed = match tokio::time::timeout(HURRIED, self.api.cancel_batch(batch_id)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(failure)) if failure.status() == Some(409) => return Ok(()),
                Ok(Err(failure)) => failure.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            if last || self.guard.shutdown.ordered().is_some() {
                return Err(failed);
            }
            let pause = backoff.next(&mut self.guard.rng.borrow_mut());
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    pub(super) fn warn(&self, warning: String) {
        self.guard.events.emit(Event::Warned(warning));
    }

    /// Every batch that came from this submission's create, oldest first.
    pub async fn find(&self) -> Result<Vec<Batch>, Failure> {
        let Progress { create, file_id, .. } = self.progress.borrow().clone();
        let (create, intended) = create.unwrap_or_default();
        search::find(self.api, &create, file_id.as_deref(), intended).await
    }

    /// The create was sent and nobody can tell what became of it.
    pub fn unknown(&self, error: Error) -> Stop {
        let file_id = self.progress.borrow().file_id.clone().unwrap_or_default();
        Stop::Unknown(error.hint(format!(
            "A batch over file {file_id} may exist: look for it at the provider before you run again, or you may pay twice."
        )))
    }
}
