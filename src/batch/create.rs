//! Creating: one batch, and not two.
//!
//! A create is the one step that must not be repeated blindly, since every
//! success is paid for. When its reply is lost, the batch is looked for by its
//! `create` mark at growing distances before anything is sent again; where the
//! provider cannot list batches, nothing is sent again at all. Right before it is
//! sent, another run's batch of the same work is looked for: an upload may take
//! minutes, and so may the provider until it takes a batch.

use std::time::Duration;

use tokio::time::Instant;

use super::cancel::{self, Budget, cancel};
use super::files::{Unready, Waiting};
use super::room::Pauses;
use super::search::{self, cannot_list};
use super::submit::{Submission, Submitter};
use crate::attachment::{By, Owner};
use crate::dialects::{ApiError, Batch, Complaint, FoundBy, Intake, NewBatch};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::Stop;
use crate::identity::{self, Seen};
use crate::journal::Record;
use crate::life::Creation;
use crate::marked_id::Mark;
use crate::policy::{BEFORE_BATCH, FRESH_LOOK, LAST_WORD, LIST_LAG, LOST_REPLY_LOOKS};
use crate::retry::{Advice, Backoff, Failure};
use crate::retry_loop::{RetryBudget, kept_failing, kind_of, refused};
use crate::values::Reuse;

/// What is being done, for the log.
const DOING: &str = "creating the batch";

/// Whether the reply to a create arrived, or its batch was found without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It arrived.
    Received,
    /// It was lost.
    Lost,
}

/// What the tries at one create have come to.
struct Tries {
    backoff: Backoff,
    give_up: Instant,
    /// How many replies were lost.
    lost: u32,
    /// What the last one failed with.
    trouble: Option<String>,
    file: Waiting,
    pauses: Pauses,
}

impl Tries {
    fn begin() -> Self {
        let give_up = Instant::now() + BEFORE_BATCH;
        Self {
            backoff: Backoff::default(),
            give_up,
            lost: 0,
            trouble: None,
            file: Waiting::default(),
            pauses: Pauses::default(),
        }
    }
}

impl Submitter<'_> {
    /// Creates the batch, and makes sure that there is one and not two. Where another
    /// run has made one meanwhile, it is attached to instead.
    pub(super) async fn create(&self, work: &Submission<'_>) -> Result<(), Stop> {
        if self.looks_again(work).await? {
            return Ok(());
        }
        // Such batches look alike until they end: while one may be on its way, no other is made.
        let _alone = match self.api.vendor().capabilities.found_by {
            FoundBy::AnswerIds => Some(self.guard.guard(self.room.create_alone()).await?),
            FoundBy::Metadata | FoundBy::MetadataIfKept => None,
        };
        let file_id = self.progress.borrow().file_id();
        let create = match self.api.vendor().dialect.intake() {
            Intake::File(_) => identity::new_create(),
            Intake::InCreate(_) => identity::new_short_create(work.repo.as_deref(), work.run.as_deref()),
        };
        self.note_create(&create, file_id.as_deref())?;
        self.guard.events.emit(Event::Creating { create: create.clone(), on_kill: work.on_kill });
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
        let mut new = NewBatch {
            input_file_id: file_id.as_deref(),
            endpoint: &work.shard.endpoint,
            completion_window: &work.window,
            metadata: &metadata,
            output_expires_after: work.output_expires_after,
        };
        let mut tries = Tries::begin();
        let created = self.send(work, &mut new, &create, &mut tries).await;
        created.map_err(|stop| stop.amid(tries.trouble.take()))
    }

    /// Sends the create until there is a batch, or may not be any.
    async fn send(
        &self,
        work: &Submission<'_>,
        new: &mut NewBatch<'_>,
        create: &str,
        tries: &mut Tries,
    ) -> Result<(), Stop> {
        loop {
            let failure = match self.post(work, new, create).await? {
                Ok(batch) if tries.lost == 0 => return self.created(batch, Reply::Received),
                Ok(batch) => return self.created(self.keep_older(batch).await, Reply::Received),
                Err(failure) => failure,
            };
            if !new.metadata.is_empty() && self.refuses_metadata(&failure, &work.metadata) {
                new.metadata = &[];
            } else if let Some(batch) = self.after(&failure, tries).await? {
                return self.found(work, batch);
            } else if tries.lost == 0 && self.looks_again(work).await? {
                return Ok(());
            }
            self.note_create(create, new.input_file_id)?;
        }
    }

    /// Whether the server knows no metadata: then the batch is made without.
    fn refuses_metadata(&self, failure: &Failure, user: &[(String, String)]) -> bool {
        let is_over_it = failure.error().is_some_and(|error| error.is_over_metadata(user));
        let refuses = matches!(failure, Failure::Answered(refusal) if matches!(refusal.status, 400 | 422));
        let is_refused = refuses && is_over_it && self.api.vendor().capabilities.found_by == FoundBy::MetadataIfKept;
        if is_refused {
            self.warn(format!(
                "The provider takes no metadata ({failure}), so the batch is created without: only its file's name and \
                 the journal in `output-dir` show whose it is."
            ));
        }
        is_refused
    }

    /// After a create that failed: finds its batch, or waits until it may be sent again. An
    /// error where it may not.
    async fn after(&self, failure: &Failure, tries: &mut Tries) -> Result<Option<Batch>, Stop> {
        tries.trouble = Some(kept_failing(DOING, failure));
        if failure.is_ambiguous() {
            tries.lost += 1;
            self.guard.events.emit(Event::ReplyLost { trouble: failure.to_string() });
            if let Some(batch) = self.settle(failure, Duration::ZERO).await? {
                return Ok(Some(batch));
            }
        }
        let advice = failure.advice();
        if self.room.is_taken() && !tries.pauses.are_over() && is_crowded(failure) {
            let (why, again_in) = (failure.to_string(), tries.pauses.next());
            self.guard.events.emit(Event::Crowded { batch_id: None, why, again_in });
            self.guard.guard(self.room.wait(again_in)).await?;
            tries.give_up = Instant::now() + BEFORE_BATCH;
            return Ok(None);
        }
        let file_id = self.progress.borrow().file_id().unwrap_or_default();
        let ends = |error: Error, lost: u32| if lost == 0 { Stop::Failed(error) } else { self.unknown(error) };
        let wait = match advice {
            _ if failure.is_ambiguous() => Duration::ZERO,
            Advice::Again(wished) => {
                tries.backoff.next(&mut self.guard.rng.borrow_mut()).max(wished.unwrap_or_default())
            }
            Advice::Lasting | Advice::Stop if self.is_over_file(failure, &file_id) => {
                match tries.file.next(self.api, self.guard, &file_id).await? {
                    Unready::Again(wait) => {
                        tries.give_up = Instant::now() + wait + BEFORE_BATCH;
                        wait
                    }
                    Unready::Late => return Err(ends(refused(DOING, failure), tries.lost)),
                    Unready::Broken(why) => {
                        let error = refused(DOING, failure);
                        let why = self.api.shown(&why);
                        let hint = format!("The provider says that it cannot use the uploaded file {file_id}: {why}.");
                        return Err(ends(error.hint(hint), tries.lost));
                    }
                }
            }
            Advice::Lasting | Advice::Stop => return Err(ends(refused(DOING, failure), tries.lost)),
        };
        if Instant::now() + wait >= tries.give_up {
            return Err(ends(refused(DOING, failure), tries.lost));
        }
        if !wait.is_zero() {
            let (doing, trouble, kind) = (DOING.to_owned(), failure.to_string(), kind_of(failure));
            let (times, again_in, state_unknown) = (1, wait, false);
            self.guard.events.emit(Event::Troubled { doing, trouble, kind, times, again_in, state_unknown });
        }
        self.guard.guard(tokio::time::sleep(wait)).await?;
        Ok(None)
    }

    /// Whether the refusal says that the uploaded file cannot be found or used yet.
    fn is_over_file(&self, failure: &Failure, file_id: &str) -> bool {
        let Intake::File(files) = self.api.vendor().dialect.intake() else { return false };
        let says = |error: &ApiError| {
            let complaint = Complaint { param: error.param.as_deref(), message: error.message.as_deref() };
            files.is_unready(complaint, file_id)
        };
        matches!(failure.status(), Some(400 | 404 | 422)) && failure.error().is_some_and(says)
    }

    /// Looks again for a batch of the same work that another run has made meanwhile, unless the
    /// last look is fresh. Tells whether it was attached to.
    async fn looks_again(&self, work: &Submission<'_>) -> Result<bool, Stop> {
        if self.api.vendor().capabilities.found_by == FoundBy::AnswerIds {
            // What another run has made meanwhile is not over yet, and so not to be known.
            return Ok(false);
        }
        let looked = {
            let progress = self.progress.borrow();
            progress.looked.filter(|_| work.reuse != Reuse::Never && !progress.unlisted)
        };
        let Some((last, first)) = looked else { return Ok(false) };
        if last.elapsed() < FRESH_LOOK {
            return Ok(false);
        }
        self.look_since(work, first).await?;
        Ok(self.progress.borrow().batch().is_some())
    }

    /// Sends one create. When a signal or the deadline comes while it is under
    /// way, its reply is given a last chance, so that the batch can be cancelled.
    async fn post(
        &self,
        work: &Submission<'_>,
        new: &NewBatch<'_>,
        create: &str,
    ) -> Result<Result<Batch, Failure>, Stop> {
        // A create that was not sent yet needs no last chance.
        if let Some(signal) = self.guard.shutdown.ordered() {
            return Err(Stop::Signal(signal));
        }
        // What an earlier try may have made stays in doubt, whatever comes of this one.
        let was_in_doubt = self.progress.borrow().in_doubt().is_some();
        self.progress.borrow_mut().sent();
        let refused = |failure: &Failure| {
            if !was_in_doubt && !failure.is_ambiguous() {
                self.progress.borrow_mut().refused();
            }
        };
        let mut reply = std::pin::pin!(self.create_batch(work, new, create));
        match self.guard.guard(&mut reply).await {
            Ok(Ok(batch)) => Ok(Ok(batch)),
            Ok(Err(failure)) => {
                refused(&failure);
                Ok(Err(failure))
            }
            Err(stop) => {
                match tokio::time::timeout(LAST_WORD, reply).await {
                    Ok(Ok(batch)) => self.created(batch, Reply::Received)?,
                    Ok(Err(failure)) => refused(&failure),
                    Err(_) => {}
                }
                Err(stop)
            }
        }
    }

    async fn create_batch(&self, work: &Submission<'_>, new: &NewBatch<'_>, create: &str) -> Result<Batch, Failure> {
        match self.api.vendor().dialect.intake() {
            Intake::File(_) => self.api.create_batch(new).await.map(|(batch, _)| batch),
            Intake::InCreate(body) => self.send_requests(work, new, body, &Mark::new(&work.key, create)).await,
        }
    }

    /// Looks for the batch of a create whose reply was lost so long `ago`. None: it does not exist.
    pub(super) async fn settle(&self, failure: &Failure, ago: Duration) -> Result<Option<Batch>, Stop> {
        if self.progress.borrow().unlisted {
            return Err(self.unknown(refused(DOING, failure)));
        }
        let now = Instant::now();
        let last = LIST_LAG;
        let mut looked = Err(failure.clone());
        // Of the looks whose time is past only the last is worth making up for.
        for look in LOST_REPLY_LOOKS.into_iter().filter(|look| *look >= ago || *look == last) {
            self.guard.guard(tokio::time::sleep_until(now + look.saturating_sub(ago))).await?;
            looked = self.guard.guard(self.find()).await?;
            match &mut looked {
                // Of batches that look alike, ours may be the one that is not listed yet.
                Ok(_) if look != last && !self.are_marked() => {}
                Ok(found) if !found.is_empty() => return self.only_one(std::mem::take(found)).await,
                Err(failure) if cannot_list(failure) => {
                    let warning =
                        format!("The provider does not list batches ({failure}), so a lost reply cannot be settled.");
                    self.guard.events.emit(Event::Warned(warning));
                    return Err(self.unknown(refused(DOING, failure)));
                }
                _ => {}
            }
        }
        match looked {
            Ok(_) => Ok(None),
            // Without one good look after the last second nothing may be sent again.
            Err(_) => {
                let budget = RetryBudget::Until(self.guard.deadline.min(now + BEFORE_BATCH));
                let found = self.guard.retry("looking for the batch", budget, async || self.find().await).await;
                match found {
                    Ok(found) => self.only_one(found).await,
                    Err(Stop::Deadline(trouble)) if Instant::now() < self.guard.deadline => {
                        let error = refused(DOING, failure);
                        Err(self.unknown(match trouble {
                            Some(trouble) => error.hint(format!("The search for its batch failed: {trouble}.")),
                            None => error,
                        }))
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
            Ok(Ok(found)) if self.are_marked() => return self.keep_oldest(found).await.unwrap_or(batch),
            Ok(Ok(found)) => {
                found.iter().filter(|other| other.id != batch.id).for_each(|other| {
                    self.warn_of_duplicate(&other.id, "nothing at the provider shows that it is this run's");
                });
                return batch;
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the run is being ended".to_owned(),
        };
        self.warn(format!("Whether two batches were created could not be looked up ({why})."));
        batch
    }

    /// Whether the provider shows whose a batch is before it ends.
    pub(super) fn are_marked(&self) -> bool {
        self.api.vendor().capabilities.found_by != FoundBy::AnswerIds
    }

    /// Of several batches of one create one stays. Where none is marked, which one that is cannot be told.
    async fn only_one(&self, found: Vec<Batch>) -> Result<Option<Batch>, Stop> {
        if self.are_marked() || found.len() < 2 {
            return Ok(self.keep_oldest(found).await);
        }
        let ids: Vec<&str> = found.iter().map(|batch| batch.id.as_str()).collect();
        let message = format!("The reply to the create was lost, and any of the batches {} may be it.", ids.join(", "));
        let hint = "They were created at that time and have as many requests. When they have ended, the ids in their \
                    results show whose they are: run again then, or cancel what is yours.";
        Err(Stop::Unknown(Error::new(Exit::Refused, message).hint(hint)))
    }

    /// Of several batches of one create the oldest stays and the others are cancelled.
    pub(super) async fn keep_oldest(&self, found: Vec<Batch>) -> Option<Batch> {
        let mut found = found.into_iter();
        let oldest = found.next()?;
        for newer in found.filter(|newer| !newer.status.is_terminal()) {
            let (is_marked, id) = (newer.metadata.contains_key(identity::CREATE), newer.id);
            if !is_marked && !self.progress.borrow().is_file_proven() {
                self.warn_of_duplicate(&id, "nothing at the provider shows that it is this run's");
                continue;
            }
            // The cancel matters more than a journal, which shows at its next record that it fails.
            drop(self.announce_cancel(&id, format!("batch {} of the same create is older", oldest.id)));
            if let Err(stop) = cancel(self.api, self.guard, &id, Budget::Few).await {
                self.warn_of_duplicate(&id, &cancel::why(&stop));
            }
        }
        Some(oldest)
    }

    /// Every batch that came from the create in doubt, oldest first.
    pub(super) async fn find(&self) -> Result<Vec<Batch>, Failure> {
        let (creation, key, repo) = {
            let progress = self.progress.borrow();
            (progress.state().creation().cloned(), progress.key.clone(), progress.repo.clone())
        };
        let Some(Creation { upload, mark, first, last }) = creation else { return Ok(Vec::new()) };
        if !self.are_marked() {
            return self.find_by_time(&mark, first, last).await;
        }
        let file_id = upload.map(|upload| upload.file_id);
        let mut found = search::find(self.api, &mark, file_id.as_deref(), first).await?;
        // The mark may be from a journal, which need not be right.
        found.retain(|batch| Seen::of(batch).against(Some(&key), repo.as_deref()).is_none());
        Ok(found)
    }

    /// Writes down that the create is about to be sent, each time that it is: its
    /// batch may be invisible for a while from then on.
    fn note_create(&self, create: &str, file_id: Option<&str>) -> Result<(), Stop> {
        let (create, file_id) = (create.to_owned(), file_id.map(str::to_owned));
        let key = self.progress.borrow().key.clone();
        self.note(Record::Create { key, create, file_id })
    }

    /// A batch whose reply was lost. Where it carries no mark, its answers have to show that it is ours.
    fn found(&self, work: &Submission<'_>, batch: Batch) -> Result<(), Stop> {
        if self.are_marked() {
            return self.created(batch, Reply::Lost);
        }
        self.attach_to(work, batch, By::TimeAndTotal, Owner::AnotherRun)
    }

    /// Takes note of the batch and tells the host, before anything else happens.
    pub(super) fn created(&self, batch: Batch, reply: Reply) -> Result<(), Stop> {
        let input_file_id = self.progress.borrow().file_id().unwrap_or_default();
        let create = self.progress.borrow().create().unwrap_or_default().to_owned();
        let (key, batch_id) = (self.progress.borrow().key.clone(), batch.id.clone());
        let record = Record::Created { key, create: create.clone(), batch_id: batch_id.clone() };
        // It has to be cancelled even if the journal fails now.
        let mut progress = self.progress.borrow_mut();
        progress.apply(self.clock.unix(), &record);
        progress.see(batch);
        drop(progress);
        self.room.hold(&batch_id);
        let found = reply == Reply::Lost;
        self.guard.events.emit(Event::Created { create, batch_id, input_file_id, found });
        Ok(self.journal.note(record)?)
    }

    /// The create was sent and nobody can tell what became of it.
    pub(super) fn unknown(&self, error: Error) -> Stop {
        let of = self.progress.borrow().file_id().map(|id| format!(" of file {id}")).unwrap_or_default();
        Stop::Unknown(error.hint(format!("A batch{of} may exist and cost money: look for it at the provider.")))
    }
}

/// Whether the provider takes no more at the moment, which the end of another batch may change.
fn is_crowded(failure: &Failure) -> bool {
    failure.status() == Some(429) && matches!(failure.advice(), Advice::Again(_))
}
