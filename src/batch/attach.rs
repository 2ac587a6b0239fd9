//! Attaching: the work may be under way already, or done.
//!
//! Before anything is uploaded, the journal and then the provider's list are
//! asked for a batch of the same key. What the journal names is resumed whatever
//! has become of it; what the list shows must be of the same repository, and its
//! file must have our name and size.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::search::{self, Found, cannot_list};
use super::submit::{Submission, Submitter};
use crate::clock;
use crate::events::Event;
use crate::identity::{self, Seen};
use crate::journal::{Intent, Left, Record};
use crate::patience::{Patience, Stop};
use crate::retry::Failure;
use crate::values;
use crate::wire::{Batch, File, Status};

/// How long after its window a batch may still be running.
const AFTER_WINDOW: Duration = Duration::from_secs(2 * 3600);
/// How far back a finished batch is taken up: OpenAI keeps files for thirty days.
const FINISHED: Duration = Duration::from_secs(30 * 86_400);
/// How long a batch that the journal names may be invisible before it counts as gone.
const GONE: Duration = Duration::from_secs(120);
/// Of batches without any metadata so many are known by their file, which takes a call for each.
const MOST_FILES: usize = 50;
/// So many batches of the same work that are passed over are told of.
const MOST_TOLD: usize = 5;

/// Which batches of the same work are taken up, the `reuse` input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Reuse {
    /// Those under way, and what an earlier attempt of this very job completed.
    #[default]
    Active,
    /// Completed ones too.
    Finished,
    /// None.
    Never,
}

/// How a run came by a batch that it did not create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Who knew of it.
    pub by: By,
    /// Whether another run made it; then this one does not cancel it.
    pub is_foreign: bool,
    /// The run that made it, where it is marked with one.
    pub run: Option<String>,
    /// How old it was, in seconds.
    pub age: Option<u64>,
}

impl Attachment {
    /// What to say of it, without a full stop.
    pub fn sentence(&self, batch_id: &str) -> String {
        let created = self.age.map(|age| format!(", created {} ago", clock::span(Duration::from_secs(age))));
        let run = self.run.as_ref().map(|run| format!(" by run {run}"));
        let by = match (&self.by, self.is_foreign) {
            (By::Journal, _) => " (the journal names it)",
            (By::Twin, true) => " (another run made it at the same time, and it is the older)",
            (By::Twin, false) => " (this run made it twice)",
            (By::List, _) => "",
        };
        format!("Attached to batch {batch_id}{}{}{by}", created.unwrap_or_default(), run.unwrap_or_default())
    }
}

/// Who knew of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The journal in `output-dir`.
    Journal,
    /// The provider's list.
    List,
    /// The list, after two runs had each created one: this is the older.
    Twin,
}

/// What a batch of the same work is to a run.
#[derive(Debug, PartialEq)]
enum Fit {
    /// To be waited for.
    Running,
    /// To be collected.
    Finished,
    /// Neither, for this reason.
    No(String),
}

impl Submitter<'_> {
    /// Takes up what is there already of the work. Where that is a batch, the
    /// progress has it; it may also be only the uploaded file, or nothing.
    pub async fn attach(&self, work: &Submission<'_>) -> Result<(), Stop> {
        if !self.progress.borrow().passed_over.is_empty() || !self.resume(work).await? {
            self.look_for(work).await?;
        }
        Ok(())
    }

    /// Takes up what the journal names. Tells whether that is a batch.
    async fn resume(&self, work: &Submission<'_>) -> Result<bool, Stop> {
        let Left { file_id, create, batch, duplicate } = &work.left;
        if let Some(duplicate) = duplicate {
            self.give_up(duplicate, "an older batch of the same requests stands for it").await?;
        }
        if let Some((batch_id, is_foreign)) = batch {
            if let Some(batch) = self.revisit(batch_id).await? {
                self.take_up(work, batch, By::Journal, *is_foreign)?;
                return Ok(true);
            }
            self.pass_over(batch_id, "the journal names it, but the provider no longer has it");
            return Ok(false);
        }
        let Some(file_id) = file_id else { return Ok(false) };
        self.progress.borrow_mut().file_id = Some(file_id.clone());
        if let Some(intent) = create
            && let Some(batch) = self.settle_earlier(intent).await?
        {
            self.take_up(work, batch, By::Journal, false)?;
            return Ok(true);
        }
        let is_there = self.file(file_id).await?.is_some_and(|file| is_ours(&file, work));
        if !is_there {
            self.progress.borrow_mut().file_id = None;
        }
        Ok(false)
    }

    /// A batch that the journal names; none if the provider does not know it any more.
    async fn revisit(&self, batch_id: &str) -> Result<Option<Batch>, Stop> {
        let mut gone: Option<Instant> = None;
        let doing = format!("looking at batch {batch_id}");
        self.guard
            .bear(&doing, Patience::Running, async || match self.api.get_batch(batch_id).await {
                Ok((batch, _)) => Ok(Some(Batch { id: batch_id.to_owned(), ..batch })),
                Err(failure) if failure.status() == Some(404) => {
                    let since = *gone.get_or_insert_with(Instant::now);
                    if since.elapsed() >= GONE { Ok(None) } else { Err(failure) }
                }
                Err(failure) => Err(failure),
            })
            .await
    }

    /// Looks for the batch of a create that an earlier process was about to send.
    async fn settle_earlier(&self, intent: &Intent) -> Result<Option<Batch>, Stop> {
        {
            let mut progress = self.progress.borrow_mut();
            (progress.create, progress.in_doubt) = (Some((intent.mark.clone(), intent.first)), true);
        }
        self.guard.events.emit(Event::ReplyLost { trouble: "the run that sent it is gone".to_owned() });
        // Both times are without their fractions: a second that may not have passed is not counted.
        let ago = u64::try_from(self.clock.unix() - intent.last - 1).unwrap_or(0);
        let lost = Failure::Interrupted("the run that sent the create is gone".to_owned());
        let found = self.settle(&lost, Duration::from_secs(ago)).await.map_err(|stop| match stop {
            Stop::Unknown(error) => Stop::Unknown(error.hint(
                "If there is one, collect it with `batchstep collect BATCH_ID`. Once that is done, or if there is none, \
                 remove `journal.jsonl` to run anew.",
            )),
            stop => stop,
        })?;
        self.progress.borrow_mut().in_doubt = false;
        Ok(found)
    }

    /// Takes up what the provider's list shows.
    async fn look_for(&self, work: &Submission<'_>) -> Result<(), Stop> {
        let now = self.clock.unix();
        let back = match work.reuse {
            Reuse::Finished => FINISHED,
            _ => values::window(&work.window) + AFTER_WINDOW,
        };
        let since = now - i64::try_from(back.as_secs()).unwrap_or(i64::MAX);
        let scan = async || match search::scan(self.api, since, |batch| may_be(batch, work)).await {
            Ok(found) => Ok(Ok(found)),
            Err(failure) if cannot_list(&failure) => Ok(Err(failure)),
            Err(failure) => Err(failure),
        };
        let doing = "looking for a batch of the same requests";
        let found = self.guard.bear(doing, Patience::Before, scan).await.map_err(|stop| match stop {
            Stop::Failed(error) => Stop::Failed(error.hint("With `reuse: never` none is looked for.")),
            stop => stop,
        })?;
        let Found { batches, is_whole } = match found {
            Ok(found) => found,
            Err(failure) => {
                self.progress.borrow_mut().unlisted = true;
                let why = format!("The provider does not list batches ({failure})");
                self.warn(format!("{why}: one that an earlier run left is found only by the journal in `output-dir`."));
                return Ok(());
            }
        };
        if !is_whole {
            self.warn(
                "The list of batches is too long to be searched to its end; an old one may be missed.".to_owned(),
            );
        }
        self.choose(work, batches).await
    }

    /// Takes up the best of these batches: a finished one, the newest, or the oldest that runs.
    async fn choose(&self, work: &Submission<'_>, batches: Vec<Batch>) -> Result<(), Stop> {
        let (mut running, mut finished, mut unmarked) = (Vec::new(), Vec::new(), Vec::new());
        for batch in batches {
            match fit(&batch, work) {
                _ if self.progress.borrow().passed_over.contains(&batch.id) => {}
                Fit::Running => running.push(batch),
                Fit::Finished => finished.push(batch),
                Fit::No(why) if Seen::of(&batch).key.is_some() => self.pass_over(&batch.id, &why),
                // It may be of other work, so nothing is said; but it is none that somebody makes at this moment.
                Fit::No(_) => unmarked.push(batch.id),
            }
        }
        self.progress.borrow_mut().passed_over.extend(unmarked);
        let orphans = running.clone();
        for batch in finished.into_iter().rev().chain(running).take(MOST_FILES) {
            match self.verify(&batch, work).await? {
                Ok(()) => {
                    let is_foreign = !Seen::of(&batch).is_of_run(work.repo.as_deref(), work.run.as_deref());
                    self.end_orphans(work, &orphans, &batch.id).await?;
                    return self.take_up(work, batch, By::List, is_foreign);
                }
                Err(why) if Seen::of(&batch).key.is_some() => self.pass_over(&batch.id, &why),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a batch's files are what they should be. The inner error says why not.
    pub(super) async fn verify(&self, batch: &Batch, work: &Submission<'_>) -> Result<Result<(), String>, Stop> {
        let is_marked = Seen::of(batch).key.is_some();
        let input = match &batch.input_file_id {
            Some(id) => self.file(id).await?,
            None => None,
        };
        match input {
            Some(file) if !is_ours(&file, work) => {
                return Ok(Err("its file has another name or size".to_owned()));
            }
            // Where there is no mark, nothing but the file itself can tell.
            Some(file) if !is_marked && (file.filename.is_none() || file.bytes.is_none()) => {
                return Ok(Err("its file is not known".to_owned()));
            }
            None if !is_marked => return Ok(Err("its file is not known".to_owned())),
            _ => {}
        }
        if batch.status == Status::Completed {
            for id in [&batch.output_file_id, &batch.error_file_id].into_iter().flatten() {
                if self.file(id).await?.is_none() {
                    return Ok(Err(format!("its file {id} no longer exists")));
                }
            }
        }
        Ok(Ok(()))
    }

    /// A file's object; none where it does not exist. A server without this call
    /// is taken at its word that there is one.
    async fn file(&self, id: &str) -> Result<Option<File>, Stop> {
        let doing = format!("looking at file {id}");
        let look = async || match self.api.get_file(id).await {
            Ok((file, _)) => Ok(Some(file)),
            Err(failure) => match failure.status() {
                Some(404) => Ok(None),
                Some(405 | 501) => Ok(Some(File::default())),
                _ => Err(failure),
            },
        };
        self.guard.bear(&doing, Patience::Before, look).await
    }

    /// Takes a batch up: from here on it is this run's to wait for.
    fn take_up(&self, work: &Submission<'_>, batch: Batch, by: By, is_foreign: bool) -> Result<(), Stop> {
        self.note_attached(work, &batch, is_foreign, None)?;
        let answered = (work.reuse == Reuse::Finished && by == By::List && batch.status == Status::Completed)
            .then(|| Event::Answered { batch_id: batch.id.clone() });
        self.attached(work, batch, by, is_foreign, None);
        answered.into_iter().for_each(|answered| self.guard.events.emit(answered));
        Ok(())
    }

    /// Writes down that a batch is taken up, perhaps in place of one of our own.
    pub(super) fn note_attached(
        &self,
        work: &Submission<'_>,
        batch: &Batch,
        foreign: bool,
        instead_of: Option<&str>,
    ) -> Result<(), Stop> {
        let (key, batch_id, instead_of) = (work.key.clone(), batch.id.clone(), instead_of.map(str::to_owned));
        Ok(self.journal.note(Record::Attached { key, batch_id, foreign, instead_of })?)
    }

    /// A batch was taken up.
    pub(super) fn attached(
        &self,
        work: &Submission<'_>,
        batch: Batch,
        by: By,
        is_foreign: bool,
        instead_of: Option<(String, String)>,
    ) {
        let (batch_id, input_file_id) = (batch.id.clone(), batch.input_file_id.clone());
        let age = batch.created_at.map(|created| u64::try_from(self.clock.unix() - created).unwrap_or(0));
        let run = Seen::of(&batch).run.map(|run| self.api.shown(run));
        let attachment = Attachment { by, is_foreign, run, age };
        self.guard.events.emit(Event::Attached {
            batch_id,
            input_file_id: input_file_id.clone().unwrap_or_default(),
            attachment: attachment.clone(),
            instead_of,
            armed: work.armed && !is_foreign,
        });
        let mut progress = self.progress.borrow_mut();
        progress.file_id = input_file_id;
        (progress.batch, progress.attached, progress.in_doubt) = (Some(batch), Some(attachment), false);
    }

    /// A batch of the same work that is of no use to this run.
    pub(super) fn pass_over(&self, batch_id: &str, why: &str) {
        let mut progress = self.progress.borrow_mut();
        progress.passed_over.push(batch_id.to_owned());
        if progress.passed_over.len() <= MOST_TOLD {
            let (batch_id, why) = (batch_id.to_owned(), why.to_owned());
            self.guard.events.emit(Event::PassedOver { batch_id, why });
        }
    }
}

/// Whether a batch may be of the same work: by its marks, or, where there is no metadata at all, by its file.
fn may_be(batch: &Batch, work: &Submission<'_>) -> bool {
    let seen = Seen::of(batch);
    match seen.key {
        Some(key) => key == work.key && seen.repo == work.repo.as_deref(),
        None => batch.metadata.is_empty() && batch.input_file_id.is_some(),
    }
}

fn fit(batch: &Batch, work: &Submission<'_>) -> Fit {
    let is_earlier = Seen::of(batch).is_of_earlier_attempt(work.repo.as_deref(), work.run.as_deref());
    match &batch.status {
        Status::Completed if is_earlier || work.reuse == Reuse::Finished => Fit::Finished,
        Status::Completed => {
            Fit::No("it was completed by another run; `reuse: finished` takes such batches".to_owned())
        }
        Status::Failed | Status::Expired | Status::Cancelling | Status::Cancelled => {
            Fit::No(format!("it is {}", batch.status.word()))
        }
        Status::Validating | Status::InProgress | Status::Finalizing | Status::Other(_) => Fit::Running,
    }
}

/// Whether a file is the one that this work is uploaded as. What a server does not tell cannot differ.
fn is_ours(file: &File, work: &Submission<'_>) -> bool {
    let name = identity::file_name(&work.key);
    let is_named = file.filename.as_ref().is_none_or(|theirs| *theirs == name);
    is_named && file.bytes.is_none_or(|bytes| bytes == work.shard.bytes)
}
