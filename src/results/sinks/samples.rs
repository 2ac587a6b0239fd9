//! The first answers, as people get an impression of them.

use super::{Row, Sink};
use crate::error::Error;
use crate::report::Sample;
use crate::results::Results;
use crate::results::row::Outcome;
use crate::text::shorten;

/// The longest part of an answer that is shown, in characters.
const LONGEST: usize = 1_000;

/// The first answers so far.
pub(super) struct Samples {
    most: usize,
    kept: Vec<Sample>,
}

impl Samples {
    /// Keeps so many answers.
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new() }
    }
}

impl Sink for Samples {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if self.kept.len() < self.most
            && matches!(row.outcome, Outcome::Succeeded)
            && let Some(text) = &row.content().text
        {
            self.kept.push(Sample { custom_id: row.custom_id()?.to_owned(), answer: shorten(text, LONGEST) });
        }
        Ok(())
    }

    fn finish(self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        results.samples = self.kept;
        Ok(())
    }
}
