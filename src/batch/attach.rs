//! Attaching: the work may be under way already, or done.
//!
//! Before anything is uploaded, the journal and then the provider's list are
//! asked for a batch of the same key. What the journal names is resumed whatever
//! has become of it, unless the provider shows that it is another; what the list
//! shows must be of the same repository, and its file must have our name and size.

use tokio::time::Instant;

use super::files::{Look, look_at};
use super::search::{self, Found, cannot_list};
use super::submit::{Submission, Submitter};
use crate::attachment::{Attachment, By, Owner};
use crate::clock::seconds;
use crate::dialects::{AnswerSource, Batch, File, FoundBy, Retention, Status};
use crate::events::Event;
use crate::guard::Stop;
use crate::identity::{self, Seen};
use crate::journal::Record;
use crate::policy::{BEYOND_WINDOW, CLOCK_SKEW, DAY, FINISHED_LOOK_BACK, MOST_FILES, SECOND_LOOK};
use crate::retry_loop::RetryBudget;
use crate::values::{self, OnKill, Reuse};

/// How many of the batches that a run passes over are reported.
const MOST_REPORTED: usize = 5;
/// Why a run that reuses only what is running does not take a batch.
pub(super) const COMPLETED_BY_ANOTHER: &str =
    "it was completed by another run, and this run pays for its own answers; `reuse: finished` takes such batches";

/// Whether a batch's files are what they should be.
pub(super) enum Verified {
    /// They are, as far as they can be seen.
    Yes,
    /// They are not, for this reason.
    No(String),
    /// The provider does not show them, and nothing else does.
    Unknown,
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
    /// Goes on from what is there already of the work: a batch, only the uploaded file, or nothing.
    pub(crate) async fn attach(&self, work: &Submission<'_>) -> Result<(), Stop> {
        // What was passed over is not resumed again.
        let is_first = self.progress.borrow().passed_over.is_empty();
        if is_first {
            self.resume(work).await?;
        }
        if self.progress.borrow().batch().is_none() {
            let now = self.clock.unix();
            let back = match work.reuse {
                // What is no longer kept cannot be reused.
                Reuse::Finished => match self.api.vendor().capabilities.retention {
                    Retention::Days(days) | Retention::DaysFromCreation(days) => DAY * days,
                    Retention::Process | Retention::ServerSays => FINISHED_LOOK_BACK,
                },
                _ => values::window(&work.window) + BEYOND_WINDOW,
            };
            let since = now - seconds(back);
            if self.api.vendor().capabilities.found_by == FoundBy::AnswerIds {
                return self.attach_by_answers(work, since).await;
            }
            let found = self.look_for(work, since, RetryBudget::BeforeBatch).await;
            let found = found.map_err(|stop| match stop {
                Stop::Failed(error) => Stop::Failed(error.hint("With `reuse: never` none is looked for.")),
                stop => stop,
            })?;
            self.progress.borrow_mut().looked.get_or_insert((Instant::now(), now));
            self.choose_of(work, found).await?;
        }
        Ok(())
    }

    /// Looks again, back to the first look, whose time this is. Clocks differ, and a look that
    /// fails is none: the list is looked through after the create, too.
    pub(super) async fn look_since(&self, work: &Submission<'_>, first: i64) -> Result<(), Stop> {
        let budget = RetryBudget::Until(self.guard.deadline.min(Instant::now() + SECOND_LOOK));
        let found = match self.look_for(work, first - seconds(CLOCK_SKEW), budget).await {
            Err(Stop::Failed(_)) => return Ok(()),
            Err(Stop::Deadline(_)) if Instant::now() < self.guard.deadline => return Ok(()),
            found => found?,
        };
        self.choose_of(work, found).await
    }

    /// Looks through the provider's list for batches of the same work. None where it has no list for us.
    async fn look_for(&self, work: &Submission<'_>, since: i64, budget: RetryBudget) -> Result<Option<Found>, Stop> {
        let scan = async || match search::scan(self.api, since, |batch| may_be(batch, work)).await {
            Ok(found) => Ok(Ok(found)),
            Err(failure) if cannot_list(&failure) => Ok(Err(failure)),
            Err(failure) => Err(failure),
        };
        match self.guard.retry("looking for a batch of the same requests", budget, scan).await? {
            Ok(found) => Ok(Some(found)),
            Err(failure) => {
                let is_known = std::mem::replace(&mut self.progress.borrow_mut().unlisted, true);
                if !is_known {
                    self.warn(format!(
                        "The provider does not list batches ({failure}): one that an earlier run left is found only by \
                         the journal in `output-dir`."
                    ));
                }
                Ok(None)
            }
        }
    }

    /// Attaches to the best of what a look found.
    async fn choose_of(&self, work: &Submission<'_>, found: Option<Found>) -> Result<(), Stop> {
        if let Some((at, _)) = &mut self.progress.borrow_mut().looked {
            *at = Instant::now();
        }
        let Some(found) = found else { return Ok(()) };
        self.choose(work, found.warned(self.guard.events)).await
    }

    /// Attaches to the best of these batches: a finished one, the newest, or the oldest that runs.
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
                Verified::Yes => {
                    let owner = self.owner(&batch, work);
                    self.end_orphans(work, &orphans, &batch.id).await?;
                    return self.attach_to(work, batch, By::List, owner);
                }
                Verified::No(why) if Seen::of(&batch).key.is_some() => self.pass_over(&batch.id, &why),
                Verified::No(_) | Verified::Unknown => {}
            }
        }
        Ok(())
    }

    /// Whose a batch is: this run's if it is marked so, or if this process made it by a create whose reply it never saw.
    pub(super) fn owner(&self, batch: &Batch, work: &Submission<'_>) -> Owner {
        let progress = self.progress.borrow();
        let is_from_us = progress.state().last_create().is_some_and(|create| identity::is_from(batch, create, None));
        let is_of_run = Seen::of(batch).is_of_run(work.repo.as_deref(), work.run.as_deref());
        if is_from_us || is_of_run { Owner::ThisRun } else { Owner::AnotherRun }
    }

    /// Whether a batch's files are what they should be.
    pub(super) async fn verify(&self, batch: &Batch, work: &Submission<'_>) -> Result<Verified, Stop> {
        let is_marked = Seen::of(batch).key.is_some();
        let input = match &batch.input_file_id {
            Some(id) => look_at(self.api, self.guard, id).await?,
            None => Look::Gone,
        };
        // A server that does not show the file that the batch was made of may show none.
        let shows_files = matches!(input, Look::Here(_));
        match input {
            Look::Here(file) if !is_ours(&file, work) => {
                return Ok(Verified::No("its file has another name or size".to_owned()));
            }
            Look::Here(file) if !is_marked && (file.filename.is_none() || file.bytes.is_none()) => {
                return Ok(Verified::No("its file is not known".to_owned()));
            }
            // Where there is no mark, nothing but the file itself can tell.
            Look::Gone if !is_marked => return Ok(Verified::No("its file is not known".to_owned())),
            Look::Unknown if !is_marked => return Ok(Verified::Unknown),
            Look::Here(_) | Look::Gone | Look::Unknown => {}
        }
        if batch.status == Status::Completed && shows_files {
            for AnswerSource { file_id: id, .. } in self.api.vendor().dialect.answer_sources(batch) {
                if matches!(look_at(self.api, self.guard, id).await?, Look::Gone) {
                    return Ok(Verified::No(format!("its file {id} no longer exists")));
                }
            }
        }
        Ok(Verified::Yes)
    }

    /// Attaches to a batch: from here on it is this run's to wait for.
    pub(super) fn attach_to(&self, work: &Submission<'_>, batch: Batch, by: By, owner: Owner) -> Result<(), Stop> {
        self.note_attached(work, &batch, owner, None)?;
        let answered = (work.reuse == Reuse::Finished && by == By::List && batch.status == Status::Completed)
            .then(|| Event::Answered { batch_id: batch.id.clone() });
        self.attached(work, batch, by, owner, None);
        answered.into_iter().for_each(|answered| self.guard.events.emit(answered));
        Ok(())
    }

    /// Writes down that a batch is attached to, perhaps in place of one of our own.
    pub(super) fn note_attached(
        &self,
        work: &Submission<'_>,
        batch: &Batch,
        owner: Owner,
        instead_of: Option<&str>,
    ) -> Result<(), Stop> {
        let (key, batch_id, instead_of) = (work.key.clone(), batch.id.clone(), instead_of.map(str::to_owned));
        self.note(Record::Attached { key, batch_id, owner, instead_of })
    }

    /// A batch was attached to.
    pub(super) fn attached(
        &self,
        work: &Submission<'_>,
        batch: Batch,
        by: By,
        owner: Owner,
        instead_of: Option<(String, String)>,
    ) {
        let (batch_id, input_file_id) = (batch.id.clone(), batch.input_file_id.clone());
        let age = batch.created_at.map(|created| u64::try_from(self.clock.unix() - created).unwrap_or(0));
        let run = Seen::of(&batch).run.map(|run| self.api.shown(run));
        let attachment = Attachment { by, owner, run, age };
        self.guard.events.emit(Event::Attached {
            batch_id,
            input_file_id: input_file_id.unwrap_or_default(),
            attachment: attachment.clone(),
            instead_of,
            on_kill: if owner == Owner::ThisRun { work.on_kill } else { OnKill::Leave },
        });
        self.room.hold(&batch.id);
        self.progress.borrow_mut().attached_to(batch, attachment);
    }

    /// A batch of the same work that is of no use to this run.
    pub(super) fn pass_over(&self, batch_id: &str, why: &str) {
        let mut progress = self.progress.borrow_mut();
        progress.passed_over.push(batch_id.to_owned());
        if progress.passed_over.len() <= MOST_REPORTED {
            let (batch_id, why) = (batch_id.to_owned(), why.to_owned());
            self.guard.events.emit(Event::PassedOver { batch_id, why });
        }
    }
}

/// Whether a batch may be of the same work: by its marks, or, where there is no metadata at all, by its file.
pub(super) fn may_be(batch: &Batch, work: &Submission<'_>) -> bool {
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
        Status::Completed => Fit::No(COMPLETED_BY_ANOTHER.to_owned()),
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
