//! The rows as test cases, if they are not too many.

use super::{Row, Sink};
use crate::error::Error;
use crate::results::Results;
use crate::results::case::{Case, MOST_CASES};

/// The cases so far; none once they are too many.
#[derive(Default)]
pub(super) struct Cases {
    kept: Vec<Case>,
    rows: usize,
}

impl Sink for Cases {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.rows += 1;
        if self.rows <= MOST_CASES {
            self.kept.push(Case::of(row)?);
        } else {
            self.kept = Vec::new();
        }
        Ok(())
    }

    fn finish(self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        results.cases = (self.rows <= MOST_CASES).then_some(self.kept);
        Ok(())
    }
}
