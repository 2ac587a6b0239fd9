//! Which rows are shown one by one, and where.

use std::path::PathBuf;

use crate::error::Error;
use crate::inputs;
use crate::results::sinks::{Shown, TestCases};

/// Which rows are shown one by one, and where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Showing {
    /// Where the requests are written as test cases, as the user named it.
    pub(crate) junit: Option<PathBuf>,
    /// How many answers the report shows.
    pub(crate) samples: usize,
}

impl From<inputs::Showing> for Showing {
    fn from(inputs: inputs::Showing) -> Self {
        Self { junit: inputs.junit, samples: inputs.samples.unwrap_or_default().into() }
    }
}

impl Showing {
    /// What a collection of all that checks wait for shows: one file cannot show several runs.
    ///
    /// # Errors
    /// Ends in exit 2 if a file is named.
    pub(super) fn of_pending(inputs: inputs::Showing) -> Result<Self, Error> {
        match inputs.junit {
            Some(_) => Err(Error::usage("`junit` names one file, and `pending` collects several runs.")
                .hint("Run `batchstep report --format junit --from DIR` on each run's directory afterwards.")),
            None => Ok(inputs.into()),
        }
    }

    /// What is kept of the rows.
    pub(crate) fn shown(&self) -> Shown {
        let cases = if self.junit.is_some() { TestCases::Keep } else { TestCases::Omit };
        Shown { cases, samples: self.samples }
    }
}
