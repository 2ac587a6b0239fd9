//! Recognizing a batch by the ids of its answers, where the vendor shows no other sign of whose it is.
//!
//! Each id has the marks of its batch (`marked_id.rs`), and shows them once the batch has ended. Until then only a
//! journal knows the batch. After a lost reply, a batch that was created at that time with as many requests is taken
//! for ours; it is not cancelled before its answers show that it is.

use tokio::time::Instant;

use super::attach::COMPLETED_BY_ANOTHER;
use super::search;
use super::submit::{Submission, Submitter};
use crate::api::Api;
use crate::attachment::{By, Owner};
use crate::clock::seconds;
use crate::dialects::{Batch, Status};
use crate::guard::{Guard, Stop};
use crate::identity;
use crate::life::State;
use crate::marked_id::Mark;
use crate::policy::{BEFORE_BATCH, CLOCK_SKEW, MOST_FILES, TIME_SLACK};
use crate::retry::{Advice, Backoff, Failure};
use crate::retry_loop::RetryBudget;
use crate::values::Reuse;

/// How much is read of the answers for the first of their ids, in bytes.
const FIRST_ID: usize = 64 * 1024;

impl Submitter<'_> {
    /// Attaches to a completed batch of the same work that was created at `since` (Unix seconds) or later: this
    /// step's, or anybody's where finished batches are reused.
    pub(super) async fn attach_by_answers(&self, work: &Submission<'_>, since: i64) -> Result<(), Stop> {
        let wanted =
            |batch: &Batch| batch.status == Status::Completed && batch.counts.total == Some(work.shard.requests);
        let batches = search::list(self.api, self.guard, since, wanted).await?;
        let is_passed_over = |id: &String| self.progress.borrow().passed_over.contains(id);
        let batches = batches.into_iter().rev().filter(|batch| !is_passed_over(&batch.id)).take(MOST_FILES);
        for batch in batches {
            let Some(mark) = first_answer(self.api, self.guard, &batch).await?.mark() else { continue };
            if !mark.is_of(&work.key) {
                continue;
            }
            let is_of_run = identity::is_create_of_run(&mark.create, work.repo.as_deref(), work.run.as_deref());
            if is_of_run || work.reuse == Reuse::Finished {
                let owner = if is_of_run { Owner::ThisRun } else { Owner::AnotherRun };
                return self.attach_to(work, batch, By::List, owner);
            }
            self.pass_over(&batch.id, COMPLETED_BY_ANOTHER);
        }
        Ok(())
    }

    /// The batches that a create may have made which was first and last sent at these times (Unix seconds): those of
    /// that time with as many requests that nobody knows to be another's. Those that have ended show by the ids of
    /// their answers whether they are from the create that has this mark.
    pub(super) async fn find_by_time(&self, create: &str, first: i64, last: i64) -> Result<Vec<Batch>, Failure> {
        let slack = seconds(TIME_SLACK);
        let wanted = |batch: &Batch| {
            let progress = self.progress.borrow();
            // The server's clock is known from the reply that showed the batch, at the latest.
            let (since, until) = (self.api.server_time(first) - slack, self.api.server_time(last) + slack);
            let is_at_time = batch.created_at.is_none_or(|created| (since..=until).contains(&created));
            let is_known = progress.passed_over.contains(&batch.id) || progress.known.contains(&batch.id);
            is_at_time && !is_known && !self.room.holds(&batch.id) && batch.counts.total == progress.requests
        };
        let found = search::scan(self.api, first - seconds(CLOCK_SKEW), wanted).await?;
        // A batch beyond what was read may be ours: such a look counts for nothing.
        let endless = || Failure::Garbled("the list of batches does not come to an end".to_owned());
        if !found.is_whole {
            return Err(endless());
        }
        let mut candidates = Vec::new();
        for batch in found.batches {
            let is_ended = batch.status.is_terminal();
            match if is_ended { look_at_first(self.api, &batch).await? } else { Whose::Unknown } {
                Whose::Marked(mark) if mark.create == create => return Ok(vec![batch]),
                Whose::Marked(_) | Whose::Unmarked => self.progress.borrow_mut().passed_over.push(batch.id),
                Whose::Unknown => candidates.push(batch),
            }
        }
        Ok(candidates)
    }

    /// Whether the batch that was waited for turns out to be of other work: then there is none, and ours is to be made.
    pub(super) async fn is_anothers(&self, work: &Submission<'_>) -> Result<bool, Stop> {
        let batch = self.progress.borrow().batch().filter(|batch| batch.status.is_terminal()).cloned();
        let is_doubtful = self.progress.borrow().owner() == Owner::AnotherRun;
        let Some(batch) = batch.filter(|_| is_doubtful && !self.are_marked()) else { return Ok(false) };
        let is_anothers = self.awaited_answer(batch.clone()).await?.is_other_than(&work.key);
        if is_anothers {
            self.progress.borrow_mut().adopt(State::New);
            self.pass_over(&batch.id, "its answers are to other requests");
        }
        Ok(is_anothers)
    }

    /// What the first answer of a batch that has ended shows. Answers that come late are waited for, since they may be
    /// another's.
    async fn awaited_answer(&self, mut batch: Batch) -> Result<Whose, Stop> {
        let (give_up, mut backoff) = (Instant::now() + BEFORE_BATCH, Backoff::default());
        loop {
            let whose = first_answer(self.api, self.guard, &batch).await?;
            if whose != Whose::Unknown || batch.counts.completed == Some(0) || Instant::now() >= give_up {
                return Ok(whose);
            }
            let wait = backoff.next(&mut self.guard.rng.borrow_mut());
            self.guard.guard(tokio::time::sleep(wait)).await?;
            if let Ok((seen, _)) = self.guard.guard(self.api.get_batch(&batch.id)).await? {
                batch = Batch { id: batch.id, ..seen };
                self.progress.borrow_mut().see(batch.clone());
            }
        }
    }
}

/// What the first of a batch's answers shows of whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// It has these marks.
    Marked(Mark),
    /// It has an id that batchstep did not send.
    Unmarked,
    /// Nothing: the vendor does not mark answers, or this one has no id or cannot be had.
    Unknown,
}

impl Whose {
    /// The marks, where there are any.
    pub(crate) fn mark(self) -> Option<Mark> {
        if let Self::Marked(mark) = self { Some(mark) } else { None }
    }

    /// Whether the batch is of other work than the one that has this key.
    fn is_other_than(&self, key: &str) -> bool {
        match self {
            Self::Marked(mark) => !mark.is_of(key),
            Self::Unmarked => true,
            Self::Unknown => false,
        }
    }
}

/// What the first answer of a batch shows of whose the batch is.
pub(crate) async fn first_answer(api: &Api, guard: &Guard<'_>, batch: &Batch) -> Result<Whose, Stop> {
    if api.marked_answers(batch).is_none() {
        return Ok(Whose::Unknown);
    }
    let doing = format!("reading the first answer of batch {}", batch.id);
    match guard.retry(&doing, RetryBudget::BeforeBatch, async || look_at_first(api, batch).await).await {
        Err(Stop::Failed(_)) => Ok(Whose::Unknown),
        whose => whose,
    }
}

/// The same, by one look. An error is one that may pass.
async fn look_at_first(api: &Api, batch: &Batch) -> Result<Whose, Failure> {
    let Some(place) = api.marked_answers(batch) else { return Ok(Whose::Unknown) };
    let line = match first_line(api, &place).await {
        Ok(line) => line,
        Err(failure) if matches!(failure.advice(), Advice::Again(_)) => return Err(failure),
        Err(_) => return Ok(Whose::Unknown),
    };
    Ok(match api.vendor().dialect.answers().read(&line, None).custom_id {
        Some(id) => Mark::read(&id).map_or(Whose::Unmarked, |(mark, _)| Whose::Marked(mark)),
        None => Whose::Unknown,
    })
}

/// The first line, or as much of it as it takes to see its id.
async fn first_line(api: &Api, place: &str) -> Result<Vec<u8>, Failure> {
    let (mut download, mut line) = (api.content(place, 0).await?, Vec::new());
    while let Some(chunk) = download.chunk().await? {
        line.extend_from_slice(&chunk);
        if let Some(end) = memchr::memchr(b'\n', &line) {
            line.truncate(end);
            break;
        }
        if line.len() >= FIRST_ID {
            break;
        }
    }
    Ok(line)
}
