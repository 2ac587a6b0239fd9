//! The tally: how many requests succeeded, failed and are missing, which of them to
//! retry, and what the answers of each batch used and cost, by model.

use super::{Line, Row, Sink, Used};
use crate::dialects::{Kind, Ran, Reading};
use crate::error::Error;
use crate::report::Counts;
use crate::results::row::{Failed, Outcome, Retry};
use crate::results::usage::Usage;
use crate::results::{AnswersFile, Held, Results};
use crate::text::requests_count;

/// The counts so far.
#[derive(Default)]
pub(super) struct Tally {
    counts: Counts,
    usage: Usage,
    retryable: Vec<u32>,
    missing: Vec<u32>,
    never_ran: u64,
    rejected: u64,
}

impl Sink for Tally {
    fn paid(&mut self, file: &AnswersFile, used: &Used<'_>) {
        // What an earlier run left, it paid for.
        if file.is_kept() {
            return;
        }
        let sums = self.usage.of(file, used.model);
        sums.usage.succeeded += u64::from(used.kind == Kind::Success);
        sums.add(used);
    }

    fn stray(&mut self, _line: &Line<'_>) -> Result<(), Error> {
        self.counts.unexpected += 1;
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.counts.total += 1;
        self.counts.unreadable += u64::from(row.reading == Reading::InPart);
        match &row.outcome {
            Outcome::Succeeded => {
                self.counts.succeeded += 1;
                self.retryable.extend((row.retry == Retry::Worth).then_some(row.index));
            }
            Outcome::Rejected(failed) => {
                self.counts.failed += 1;
                self.rejected += 1;
                self.retryable.extend((failed.retry == Retry::Worth).then_some(row.index));
            }
            Outcome::Failed(failed) => {
                self.counts.failed += 1;
                self.failed(row, failed)?;
            }
            Outcome::Missing(failed) => {
                self.counts.missing += 1;
                self.never_ran += 1;
                self.missing.extend((failed.retry == Retry::Worth).then_some(row.index));
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        let warnings = self.warnings(&results.batches);
        results.warnings.extend(warnings);
        let Self { counts, usage, retryable, missing, never_ran, rejected } = *self;
        let schema_violations = results.schema.as_ref().map_or(0, |schema| schema.violations);
        results.counts = Counts { schema_violations, ..counts };
        (results.usage, results.unpriced) = usage.into_parts();
        results.rejected = rejected;
        (results.retryable, results.missing, results.never_ran) = (retryable, missing, never_ran);
        Ok(())
    }
}

impl Tally {
    fn failed(&mut self, row: &Row<'_>, failed: &Failed) -> Result<(), Error> {
        self.never_ran += u64::from(failed.ran == Ran::Never);
        if failed.retry == Retry::Worth {
            self.retryable.push(row.index);
        }
        if let Some(file) = row.file.filter(|file| !file.is_kept()) {
            self.usage.of(file, row.model()?).usage.failed += 1;
        }
        Ok(())
    }

    fn warnings(&self, batches: &[Held]) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.counts.unexpected > 0 {
            let why = "each repeats an answer, names no request of this run, or cannot be read";
            warnings.push(format!("Lines of the answers that were set aside: {}; {why}.", self.counts.unexpected));
        }
        if self.counts.unreadable > 0 {
            warnings.push(format!(
                "Answers of which a part cannot be read: {}. They are in their places as the provider wrote them, and a JSON reader may refuse those lines.",
                self.counts.unreadable
            ));
        }
        for held in batches.iter().filter(|held| held.is_misread()) {
            warnings.push(format!(
                "Of {} that a batch answered, {} {} empty. Perhaps this provider writes answers in a way that batchstep does not know, so they are not retried.",
                requests_count(held.requests),
                held.empty,
                if held.empty == 1 { "looks" } else { "look" }
            ));
        }
        warnings
    }
}
