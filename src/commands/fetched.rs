//! The answers that are on our disk, of each batch whose answers are gathered.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::download::Copy;
use crate::batch::promise::{Account, FileState, Files, Finding};
use crate::dialects::{AnswerPart, AnswerSource, Batch, Counts, Dialect};
use crate::results::{Absent, AnswersFile, Held};

/// A batch that lacks answers, and was not looked at again yet.
pub(super) const UNCONFIRMED: &str = "it lacks answers";

/// The answers that are on our disk, and how long may be spent on those that are not.
pub(super) struct Answers {
    pub(super) all: Vec<Fetched>,
    /// What an earlier run left.
    kept: Option<AnswersFile>,
    /// The requests that the run's limits kept from being sent, in order.
    pub(super) not_sent: Vec<Range<u32>>,
    /// What is left of the time for doubtful files.
    pub(super) allowance: Duration,
}

/// What is here of a batch's answers.
pub(super) struct Fetched {
    /// The batch as last seen: its files may be named late.
    pub(super) batch: Batch,
    pub(super) attempt: u32,
    pub(super) requests: Option<u64>,
    pub(super) rows: Vec<Range<u32>>,
    pub(super) endpoint: Option<String>,
    pub(super) key: Option<String>,
    pub(super) model: Option<String>,
    pub(super) output: Option<Copy>,
    pub(super) error: Option<Copy>,
    pub(super) finding: Finding,
    /// Since when its answers are waited for.
    pub(super) since: Instant,
    /// What the last look at the batch showed.
    pub(super) look: Look,
    /// Whether any line of its files names a request.
    pub(super) names_any: bool,
}

/// What was seen of a batch since it was first seen to be over: a server's first word may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It was not looked at again.
    None,
    /// It is over.
    Over,
    /// It is at work.
    AtWork,
}

impl Answers {
    /// None yet. So long may be spent on files that are late, short or broken.
    pub(super) fn with_allowance(allowance: Duration) -> Self {
        Self { all: Vec::new(), kept: None, not_sent: Vec::new(), allowance }
    }

    /// The same, beside what an earlier run left.
    pub(super) fn beside(self, kept: AnswersFile) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// What is here of a batch's answers.
    pub(super) fn of(&self, batch_id: &str) -> Option<&Fetched> {
        self.all.iter().find(|fetched| fetched.batch.id == batch_id)
    }

    /// Brings batches up to date: some files are named only after the batch is over.
    pub(super) fn update<'b>(&self, batches: impl Iterator<Item = &'b mut Batch>) {
        for batch in batches {
            if let Some(fetched) = self.of(&batch.id) {
                batch.clone_from(&fetched.batch);
            }
        }
    }

    pub(super) fn files(&mut self) -> io::Result<Vec<AnswersFile>> {
        let mut files = Vec::new();
        for (index, fetched) in self.all.iter_mut().enumerate() {
            let (attempt, endpoint, batch_id) = (fetched.attempt, &fetched.endpoint, &fetched.batch.id);
            // The batch's own word for the model may have a date.
            let model = fetched.batch.model.as_ref().or(fetched.model.as_ref());
            let (work, created_at) = (&fetched.key, fetched.batch.created_at);
            for copy in [&mut fetched.output, &mut fetched.error].into_iter().flatten() {
                if let Some(path) = copy.lines()? {
                    let (endpoint, batch_id, work) = (endpoint.clone(), batch_id.clone(), work.clone());
                    let (what, batch, model) = (copy.what, index, model.cloned());
                    files.push(AnswersFile { path, what, attempt, batch, batch_id, endpoint, work, created_at, model });
                }
            }
        }
        let index = self.all.len();
        files.extend(self.kept.iter().map(|kept| AnswersFile { batch: index, ..kept.clone() }));
        Ok(files)
    }

    /// The requests of which it is known why they have no answer.
    pub(super) fn absent(&self) -> Absent {
        Absent { gone: self.gone(), not_sent: self.not_sent.clone() }
    }

    /// The requests whose answers are gone, in order.
    fn gone(&self) -> Vec<Range<u32>> {
        let is_gone = |fetched: &&Fetched| matches!(fetched.finding, Finding::Settled { files: Files::Gone, .. });
        let mut rows: Vec<Range<u32>> =
            self.all.iter().filter(is_gone).flat_map(|fetched| fetched.rows.clone()).collect();
        rows.sort_unstable_by_key(|range| range.start);
        rows
    }

    pub(super) fn doubtful(&self) -> Vec<(Batch, String)> {
        let doubt = |fetched: &Fetched| match &fetched.finding {
            Finding::Doubtful(why) => Some((fetched.batch.clone(), why.clone())),
            Finding::Settled { .. } => None,
        };
        self.all.iter().filter_map(doubt).collect()
    }
}

impl Fetched {
    /// Takes note of the files that the batch names.
    pub(super) fn name_files(&mut self, dialect: &dyn Dialect, number: usize, dir: &Path) {
        for AnswerSource { part, file_id } in dialect.answer_sources(&self.batch) {
            let (what, copy) = match part {
                AnswerPart::Output => ("output", &mut self.output),
                AnswerPart::Error => ("error", &mut self.error),
            };
            if copy.as_ref().is_none_or(|copy| copy.id != file_id) {
                *copy = Some(Copy::in_place_of(copy.take(), what, file_id, number, dir));
            }
        }
    }

    pub(super) fn examine(&self, held: &Held) -> Finding {
        let state = |copy: &Option<Copy>| copy.as_ref().map_or(FileState::Unnamed, Copy::state);
        let (output, error) = (state(&self.output), state(&self.error));
        let (batch, requests, waited) = (&self.batch, self.requests, self.since.elapsed());
        match (Account { batch, requests, held, output, error, waited }.examine(), self.look) {
            (_, Look::AtWork) => Finding::Doubtful("the provider says that it is at work again".to_owned()),
            // Before anything counts as missing, the batch is read again.
            (Finding::Settled { .. }, Look::None) if requests.is_none_or(|requests| held.requests < requests) => {
                Finding::Doubtful(UNCONFIRMED.to_owned())
            }
            (finding, _) => finding,
        }
    }
}

/// A batch as a later look shows it. What was counted or named once stays so: accounts do not shrink.
pub(super) fn later(before: &Batch, now: Batch) -> Batch {
    let (counts, known) = (now.counts, before.counts);
    Batch {
        id: before.id.clone(),
        counts: Counts {
            total: counts.total.max(known.total),
            completed: counts.completed.max(known.completed),
            failed: counts.failed.max(known.failed),
        },
        output_file_id: now.output_file_id.clone().or_else(|| before.output_file_id.clone()),
        error_file_id: now.error_file_id.clone().or_else(|| before.error_file_id.clone()),
        endpoint: before.endpoint.clone().or_else(|| now.endpoint.clone()),
        model: now.model.clone().or_else(|| before.model.clone()),
        usage: now.usage.or(before.usage),
        billed: now.billed.or(before.billed),
        ..now
    }
}
