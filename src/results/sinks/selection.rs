//! Which rows of an earlier run are sent again by a run that continues it, and the lines of the others.
//!
//! What failed is sent again, unless an answer was paid for: a damaged, a deleted or a rejected answer is
//! sent again only where `retry-on` names it.

use super::{Line, Output, Row, Sink};
use crate::error::Error;
use crate::report::Prospect;
use crate::results::row::{Outcome, Retry};
use crate::results::{Results, advice, unwritable};

/// The name of the file that gets the lines that are kept. It is among the downloads, and removed with them.
pub(crate) const KEPT_JSONL: &str = "kept.jsonl";

/// The selection so far.
pub(super) struct Selection<'a> {
    kept: Box<dyn Output + 'a>,
    results: Results,
}

/// What becomes of a row.
enum Choice {
    /// Its request is sent again.
    Send,
    /// The same, but its answer is kept until there is a better one.
    Replace,
    /// It stays as it is.
    Keep,
}

impl<'a> Selection<'a> {
    /// Writes the lines that are kept to a file that `open` begins.
    pub(super) fn new(open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>) -> Result<Self, Error> {
        Ok(Self { kept: open(KEPT_JSONL)?, results: Results::default() })
    }
}

impl Sink for Selection<'_> {
    fn stray(&mut self, _line: &Line<'_>) -> Result<(), Error> {
        self.results.counts.unexpected += 1;
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if let Outcome::Missing(_) = row.outcome {
            self.results.missing.push(row.index);
            return Ok(());
        }
        let choice = choose(row);
        if !matches!(choice, Choice::Keep) {
            self.results.retryable.push(row.index);
        }
        if !matches!(choice, Choice::Send) {
            row.copy(&mut self.kept)?;
        }
        if matches!(choice, Choice::Keep) {
            match row.outcome {
                Outcome::Succeeded => self.results.counts.succeeded += 1,
                _ => self.results.counts.failed += 1,
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        self.kept.flush().map_err(unwritable)?;
        self.results.warnings.extend(self.kept.publish()?);
        *results = self.results;
        Ok(())
    }
}

fn choose(row: &Row<'_>) -> Choice {
    match &row.outcome {
        Outcome::Succeeded if row.retry == Retry::Worth => Choice::Replace,
        Outcome::Rejected(failed) if failed.retry == Retry::Worth => Choice::Replace,
        Outcome::Failed(failed) if failed.retry == Retry::Worth => Choice::Send,
        Outcome::Failed(failed) if advice::of(failed).0 != Prospect::PaidAgain => Choice::Send,
        _ => Choice::Keep,
    }
}
