//! `answers.jsonl`: one object for each request, with the text of its answer.

use super::summary_line::SummaryLine;
use super::{Output, Row, Sink};
use crate::error::Error;
use crate::inert_json::inert;
use crate::results::{Results, unwritable};

/// Its name in the output directory.
pub(super) const NAME: &str = "answers.jsonl";

/// Writes the file.
pub(super) struct AnswersJsonl<'a> {
    file: Box<dyn Output + 'a>,
}

impl<'a> AnswersJsonl<'a> {
    /// Begins the file.
    pub(super) fn new(open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>) -> Result<Self, Error> {
        Ok(Self { file: open(NAME)? })
    }
}

impl Sink for AnswersJsonl<'_> {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let line = serde_json::to_string(&SummaryLine::of(row)?).map_err(|error| unwritable(error.into()))?;
        self.file.write_all((inert(&line) + "\n").as_bytes()).map_err(unwritable)
    }

    fn finish(mut self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        self.file.flush().map_err(unwritable)?;
        results.warnings.extend(self.file.publish()?);
        results.files.answers = Some(NAME.to_owned());
        Ok(())
    }
}
