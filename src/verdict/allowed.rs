//! How much may be wrong with the answers before a run is a failure.

use super::Verdict;
use crate::error::{Exit, Outcome};
use crate::report::Counts;
use crate::text::{counted, requests_count};
use crate::values::MaxFailed;

/// The inputs `max-failed` and `max-suspect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// How many requests may fail or be missing.
    pub failed: MaxFailed,
    /// How many answers may be suspect; none where any number may.
    pub suspect: Option<MaxFailed>,
}

impl Allowed {
    /// The verdict where more answers are suspect than may be.
    pub(super) fn suspect(self, counts: Counts) -> Option<Verdict> {
        let most = self.suspect?.allowed(counts.total);
        if counts.suspect <= most {
            return None;
        }
        let (is, total) = (if counts.suspect == 1 { "is" } else { "are" }, requests_count(counts.total));
        let answers = counted(counts.suspect, "answer", "answers");
        let reason = format!("{answers} to {total} {is} suspect, more than the {most} that `max-suspect` allows.");
        let hint = "Correct the prompts or raise the limit on tokens, as the kinds of suspect answers say. `retry-on: suspect` \
                    sends such requests again, and pays for them again.";
        Some(Verdict::new(Outcome::Failed, Exit::AnswersFailed, reason).hint(hint))
    }
}

impl From<MaxFailed> for Allowed {
    fn from(failed: MaxFailed) -> Self {
        Self { failed, suspect: None }
    }
}
