//! Gathering: what batches that are over have to give, fetched and put in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use crate::api::Api;
use crate::batch::collect::Collector;
use crate::effects::NewFile;
use crate::emitter::Events;
use crate::error::Error;
use crate::events::Event;
use crate::journal::Journal;
use crate::patience::{Guard, Stop};
use crate::report::Report;
use crate::requests::ids::Ids;
use crate::requests::source::Source;
use crate::results::{self, AnswersFile, Results};
use crate::values::RetryOn;
use crate::wire::Batch;

/// The order in which results stand, and what is missing from them.
pub(super) enum Order {
    /// That of the requests.
    Requests {
        /// The requests, read again to name those without an answer.
        source: Source,
        /// Which request an id belongs to.
        ids: Ids,
        /// Requests.
        total: u64,
    },
    /// That of the answers; so many were asked for.
    Answers {
        /// Requests, as the provider counts them.
        total: u64,
    },
}

/// What answers are gathered with.
pub(super) struct Gatherer<'a> {
    pub(super) api: &'a Api,
    pub(super) guard: &'a Guard<'a>,
    pub(super) events: &'a Events<'a>,
    pub(super) journal: &'a Journal,
    pub(super) output_dir: &'a Path,
    /// Which failures are retried beside the default ones.
    pub(super) retry_on: RetryOn,
}

/// The answers that are on our disk.
#[derive(Default)]
pub(super) struct Answers {
    files: Vec<AnswersFile>,
    /// The batches that they are of.
    batches: Vec<String>,
}

impl Gatherer<'_> {
    /// Downloads those answers of these batches that are not here yet, and reconciles
    /// all. Each batch comes with the attempt at its requests that it is.
    pub(super) async fn gather(
        &self,
        batches: &[(&Batch, u32)],
        answers: &mut Answers,
        order: Arc<Order>,
    ) -> Result<Results, Stop> {
        let dir = self.dir();
        let collector = Collector { api: self.api, guard: self.guard, journal: self.journal, dir: &dir };
        for (batch, attempt) in batches {
            if !answers.batches.contains(&batch.id) {
                answers.files.extend(collector.collect(batch, *attempt, answers.batches.len()).await?);
                answers.batches.push(batch.id.clone());
            }
        }
        let mut results = self.reconcile(answers.files.clone(), order).await?;
        // The answers stand as received; what is told of them repeats no secret.
        for group in &mut results.failures {
            (group.code, group.message) = (self.api.shown(&group.code), self.api.shown(&group.message));
            group.custom_ids.iter_mut().for_each(|id| *id = self.api.shown(id));
        }
        Ok(results)
    }

    /// Removes what was downloaded, if there is a result that holds all of it.
    pub(super) fn tidy_up(&self) {
        let (dir, is_whole) = (self.dir(), self.output_dir.join("results.jsonl").exists());
        if dir.exists()
            && is_whole
            && let Err(error) = std::fs::remove_dir_all(&dir)
        {
            self.events.emit(Event::Warned(format!("{} could not be removed: {error}.", dir.display())));
        }
    }

    fn dir(&self) -> PathBuf {
        self.output_dir.join(".download")
    }

    async fn reconcile(&self, answers: Vec<AnswersFile>, order: Arc<Order>) -> Result<Results, Stop> {
        let (output_dir, dir, retry_on) = (self.output_dir.to_owned(), self.dir(), self.retry_on.clone());
        let reconciling = tokio::task::spawn_blocking(move || {
            let mut results = NewFile::create(output_dir.join("results.jsonl"))?;
            let mut unexpected = NewFile::create(output_dir.join("unexpected.jsonl"))?;
            let found = match order.as_ref() {
                Order::Requests { source, ids, total } => {
                    results::reconcile(source, ids, *total, &answers, &retry_on, &mut results, &mut unexpected)?
                }
                Order::Answers { total } => results::keep_order(*total, &answers, &mut results, &mut unexpected)?,
            };
            results.finish()?;
            if found.counts.unexpected > 0 {
                unexpected.finish()?;
            }
            Ok::<_, Error>(found)
        });
        let forever = Instant::now() + std::time::Duration::from_secs(86_400 * 365);
        let reconciled = self.guard.until(forever, reconciling).await?;
        Ok(reconciled
            .map_err(|error| Error::internal("The reconciliation broke down.").because(error))?
            .map_err(|error: Error| error.hint(format!("The answers as they came are in `{}`.", dir.display())))?)
    }
}

/// Puts what was gathered into the report.
pub(super) fn record(
    results: Results,
    batches: &[(&Batch, u32)],
    output_dir: &Path,
    events: &Events<'_>,
    report: &mut Report,
) {
    for warning in &results.warnings {
        events.emit(Event::Warned(warning.clone()));
    }
    let first = batches.iter().filter(|(_, attempt)| *attempt == 1);
    let completed: u64 = first.map(|(batch, _)| batch.counts.completed).sum();
    if completed > results.counts.succeeded {
        events.emit(Event::Warned(format!(
            "The provider counts {completed} requests as completed, but its files hold {} good answers.",
            results.counts.succeeded
        )));
    }
    report.files.results = Some(output_dir.join("results.jsonl").display().to_string());
    if results.counts.unexpected > 0 {
        report.files.unexpected = Some(output_dir.join("unexpected.jsonl").display().to_string());
    }
    (report.counts, report.tokens, report.failures) = (results.counts, results.tokens, results.failures);
}
