//! What a provider shows of a file, and a file that it cannot use yet.
//!
//! Not every server shows files, and no run needs that it does: a look that
//! fails says nothing. A file that was uploaded seconds ago may be unknown to the
//! call that makes a batch of it, or be processed for minutes. Nobody asks
//! beforehand, since many a server never says that it is ready; only where it is
//! refused, or a batch fails over it before any request was answered, the create
//! is sent again.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use super::progress::Progress;
use crate::api::Api;
use crate::dialects::{Batch, BatchError, Complaint, File, Files, Intake, Status};
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::phases::Phase;
use crate::policy::{BEFORE_BATCH, FILE_LOOK, FILE_LOOKS};
use crate::retry::{Advice, Backoff, Failure};
use crate::retry_loop::FewTries;

/// What reading a file's object showed.
#[derive(Debug)]
pub(super) enum Look {
    /// It is there.
    Here(File),
    /// The provider says that it does not exist.
    Gone,
    /// Nothing: the provider does not show it.
    Unknown,
}

/// Looks at a file's object, a few times where that may help.
pub(super) async fn look_at(api: &Api, guard: &Guard<'_>, id: &str) -> Result<Look, Stop> {
    let tries = FewTries { count: FILE_LOOKS, each: FILE_LOOK };
    let may_help = |failure: &Failure| matches!(failure.advice(), Advice::Again(_));
    let look = guard.try_few(tries, async || api.get_file(id).await, may_help);
    Ok(match guard.guard(look).await? {
        Ok((file, _)) => Look::Here(file),
        Err(failure) if matches!(failure.status(), Some(404 | 410)) => Look::Gone,
        Err(_) => Look::Unknown,
    })
}

/// What to do about a file that the provider cannot use.
#[derive(Debug, PartialEq)]
pub(super) enum Unready {
    /// Try again after this pause.
    Again(Duration),
    /// It took too long.
    Late,
    /// The provider says that the file is in error, and why.
    Broken(String),
}

/// How long a file has been unusable. The retry loop cannot wait for it: what is repeated is the create, which
/// is never sent blindly, and what failed may be a whole batch.
#[derive(Default)]
pub(super) struct Waiting {
    since: Option<Instant>,
    backoff: Backoff,
}

impl Waiting {
    /// Whether it is worth waiting for the file: for ten minutes, and until the
    /// deadline while the provider says that it is being processed.
    pub(super) async fn next(&mut self, api: &Api, guard: &Guard<'_>, file_id: &str) -> Result<Unready, Stop> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let file = match guard.guard(tokio::time::timeout(FILE_LOOK, api.get_file(file_id))).await? {
            Ok(Ok((file, _))) => file,
            Ok(Err(_)) | Err(_) => File::default(),
        };
        let status = file.status.unwrap_or_default().to_ascii_lowercase();
        if matches!(status.as_str(), "error" | "failed") {
            return Ok(Unready::Broken(file.status_details.unwrap_or_else(|| "no reason given".to_owned())));
        }
        if since.elapsed() >= BEFORE_BATCH && !is_pending(&status) {
            return Ok(Unready::Late);
        }
        Ok(Unready::Again(self.backoff.next(&mut guard.rng.borrow_mut())))
    }
}

/// Whether a file's status says that it is not ready: OpenAI's and Azure's words, and those like them.
fn is_pending(status: &str) -> bool {
    let words = [
        "uploaded",
        "uploading",
        "pending",
        "running",
        "notrunning",
        "queued",
        "processing",
        "in_progress",
        "validating",
    ];
    words.contains(&status)
}

impl Driver<'_> {
    /// Where the batch failed over its file, waits until that may have changed, and
    /// makes ready for another create of the same upload. Tells whether it did.
    pub(super) async fn waits_for_file(
        &self,
        progress: &RefCell<Progress>,
        waiting: &mut Waiting,
    ) -> Result<bool, Stop> {
        let Intake::File(files) = self.api.vendor().dialect.intake() else { return Ok(false) };
        let failed = progress.borrow().batch().filter(|batch| lacks_file(batch, files)).cloned();
        let Some((batch, file_id)) = failed.zip(progress.borrow().file_id()) else { return Ok(false) };
        let again_in = match waiting.next(self.api, self.guard, &file_id).await? {
            Unready::Again(pause) => pause,
            Unready::Late | Unready::Broken(_) => return Ok(false),
        };
        self.phases.begin(Phase::WaitingForFile);
        self.guard.events.emit(Event::FileUnready { batch_id: batch.id.clone(), file_id, again_in });
        progress.borrow_mut().pass_over_own(batch.id);
        self.guard.guard(tokio::time::sleep(again_in)).await?;
        Ok(true)
    }
}

/// Whether a batch failed, before any request was answered, since its file could not be found or used yet.
fn lacks_file(batch: &Batch, files: &dyn Files) -> bool {
    let is_untouched = batch.counts.done().unwrap_or(0) == 0 && batch.output_file_id.is_none();
    let file_id = batch.input_file_id.as_deref().unwrap_or_default();
    let is_over = |error: &BatchError| {
        let complaint = Complaint { param: error.param.as_deref(), message: error.message.as_deref() };
        error.line.is_none() && files.is_unready(complaint, file_id)
    };
    batch.status == Status::Failed && is_untouched && batch.errors.iter().any(is_over)
}

#[cfg(test)]
mod tests {
    use super::{Intake, is_pending, lacks_file};
    use crate::dialects::{Name, choose, testing};

    #[test]
    fn only_a_batch_that_could_not_find_its_file_is_created_again() {
        let Intake::File(files) = choose(Name::Openai).dialect.intake() else { panic!("it takes files") };
        let lacks = |json: &str| lacks_file(&testing::batch(json), files);
        let failed = |rest: &str| format!(r#"{{"id":"b","status":"failed","input_file_id":"file-1",{rest}}}"#);
        let error =
            r#""errors":{"data":[{"code":"invalid_request","message":"Cannot find file file-1.","param":"file_id"}]}"#;
        assert!(lacks(&failed(error)));
        assert!(lacks(&failed(r#""errors":"file-1 does not exist""#)));
        assert!(!lacks(&failed(&format!(r#"{error},"request_counts":{{"total":9,"completed":1}}"#))));
        assert!(!lacks(&failed(error).replace("failed", "expired")));
        for other in [
            r#""errors":[{"message":"Cannot find file file-1.","line":3}]"#,
            r#""errors":[{"message":"File file-1 could not be processed.","param":"file_id"}]"#,
            r#""errors":[{"code":"token_limit_exceeded","message":"Enqueued token limit reached."}]"#,
            r#""errors":null"#,
        ] {
            assert!(!lacks(&failed(other)), "{other}");
        }
    }

    #[test]
    fn a_file_that_is_ready_or_broken_is_not_pending() {
        assert!(is_pending("uploaded") && is_pending("pending"));
        assert!(!is_pending("processed") && !is_pending("error") && !is_pending(""));
    }
}
