//! `results.jsonl`: the line of each request, in the order of the requests, as the
//! provider wrote it.

use super::{Output, Row, Sink};
use crate::error::Error;
use crate::results::{Results, unwritable};

/// Its name in the output directory.
pub(crate) const NAME: &str = "results.jsonl";

/// Writes the file.
pub(super) struct ResultsJsonl<'a> {
    file: Box<dyn Output + 'a>,
}

impl<'a> ResultsJsonl<'a> {
    /// Begins the file.
    pub(super) fn new(open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>) -> Result<Self, Error> {
        Ok(Self { file: open(NAME)? })
    }
}

impl Sink for ResultsJsonl<'_> {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        row.copy(&mut self.file)
    }

    fn finish(mut self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        self.file.flush().map_err(unwritable)?;
        results.warnings.extend(self.file.publish()?);
        results.files.results = Some(NAME.to_owned());
        Ok(())
    }
}
