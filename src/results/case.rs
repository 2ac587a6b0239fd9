//! A row as a test case: what a test report shows of a request.

use super::row::{Failed, Outcome, Row};
use crate::dialects::Suspicion;
use crate::error::Error;
use crate::text::shorten_bytes;

/// The most rows that are cases of their own. Beyond it a test report shows kinds of failures.
pub(crate) const MOST_CASES: usize = 5_000;
/// The longest part of its line that a case shows, in bytes.
const LONGEST_LINE: usize = 4_096;
/// How much more is kept until secrets are removed: one at the end must be whole to be recognised.
const MARGIN: usize = 1_024;

/// A request as a test case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The request's `custom_id`.
    pub(crate) custom_id: String,
    /// How it fared.
    pub(crate) fared: Fared,
    /// The beginning of its line in `results.jsonl`, and a bit more than is shown.
    line: String,
}

/// How a request fared. What else is found about an answer becomes a variant here, and a kind of case in `junit.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fared {
    /// It has an answer.
    Well,
    /// It has an answer that is not to be relied on.
    Suspect(Suspicion),
    /// It has no answer, or one that is rejected, for this reason.
    Failed(Why),
    /// It has no line.
    Missing(Why),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    /// The provider's code, or one of ours.
    pub(crate) code: String,
    /// The provider's message, or ours.
    pub(crate) message: String,
}

impl Case {
    /// The case of a row.
    ///
    /// # Errors
    /// Ends in exit 1 if its line cannot be read.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, Error> {
        let why = |failed: &Failed| Why { code: failed.code.clone(), message: failed.message.clone() };
        let fared = match &row.outcome {
            Outcome::Succeeded => row.suspicion.map_or(Fared::Well, Fared::Suspect),
            Outcome::Failed(failed) | Outcome::Rejected(failed) => Fared::Failed(why(failed)),
            Outcome::Missing(failed) => Fared::Missing(why(failed)),
        };
        let line = row.beginning(LONGEST_LINE + MARGIN)?;
        Ok(Self { custom_id: row.custom_id()?.to_owned(), fared, line: String::from_utf8_lossy(&line).into_owned() })
    }

    /// Replaces every text of the provider's by what may be shown of it.
    pub(crate) fn conceal(&mut self, shown: impl Fn(&str) -> String) {
        self.custom_id = shown(&self.custom_id);
        self.line = shown(&self.line);
        if let Fared::Failed(why) | Fared::Missing(why) = &mut self.fared {
            (why.code, why.message) = (shown(&why.code), shown(&why.message));
        }
    }

    /// Its line in `results.jsonl`, cut.
    pub(crate) fn line(&self) -> String {
        shorten_bytes(&self.line, LONGEST_LINE)
    }

    /// A case for tests.
    #[cfg(test)]
    pub(crate) fn sample(custom_id: &str, fared: Fared, line: &str) -> Self {
        Self { custom_id: custom_id.to_owned(), fared, line: line.to_owned() }
    }
}
