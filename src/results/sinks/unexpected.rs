//! `unexpected.jsonl`: the lines of the answers that are nobody's row, as the provider
//! wrote them. There is no such file without such lines.

use super::{Line, Output, Sink};
use crate::error::Error;
use crate::results::{Results, unwritable};

/// Its name in the output directory.
pub(super) const NAME: &str = "unexpected.jsonl";

/// Writes the file.
pub(super) struct Unexpected<'a> {
    file: Box<dyn Output + 'a>,
    lines: u64,
}

impl<'a> Unexpected<'a> {
    /// Begins the file.
    pub(super) fn new(open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>) -> Result<Self, Error> {
        Ok(Self { file: open(NAME)?, lines: 0 })
    }
}

impl Sink for Unexpected<'_> {
    fn stray(&mut self, line: &Line<'_>) -> Result<(), Error> {
        self.lines += 1;
        line.copy(&mut self.file)
    }

    fn finish(mut self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        self.file.flush().map_err(unwritable)?;
        if self.lines > 0 {
            results.warnings.extend(self.file.publish()?);
            results.files.unexpected = Some(NAME.to_owned());
        }
        Ok(())
    }
}
