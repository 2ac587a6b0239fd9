//! Requests without a line in the answers: why, which they are, and the lines that we write for them.

use std::collections::HashMap;
use std::ops::Range;

use super::held::Held;
use super::pricing::PriceAnswers;
use super::row::{Failed, Outcome, Retry};
use crate::dialects::{Failure, Fate, Ran, ReadAnswers, Suspicion};
use crate::error::{Error, Exit};
use crate::gate::Verdicts;
use crate::report::Prospect;
use crate::requests::ids::Ids;
use crate::requests::lines::{LONGEST_REQUEST, Lines};
use crate::requests::source::{Reader, Source};
use crate::schemas::Expected;
use crate::values::RetryOn;

/// The code of a request that got no answer.
pub(super) const MISSING: &str = "batchstep_missing";

/// The code of a request whose answer no longer exists.
pub(super) const GONE: &str = "answers_gone";

/// The code of a request that the run's own limits kept from being sent.
pub(super) const NOT_SENT: &str = "batchstep_not_sent";

/// Requests without a line for a reason that is known, as ranges of indices in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Absent {
    /// Those whose answers no longer exist at the provider.
    pub(crate) gone: Vec<Range<u32>>,
    /// Those that were not sent.
    pub(crate) not_sent: Vec<Range<u32>>,
}

/// None of them.
static NOBODY: Absent = Absent { gone: Vec::new(), not_sent: Vec::new() };

/// How answers are read, and requests without a good one are treated.
#[derive(Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// How the provider writes answers.
    pub reader: &'a dyn ReadAnswers,
    /// Which failures are retried in addition to the default ones.
    pub retry_on: &'a RetryOn,
    /// The requests of which it is known why they have no line.
    pub absent: &'a Absent,
    /// What is expected of the answers' texts.
    pub expected: Option<&'a Expected>,
    /// The answers that the gate fails.
    pub gate: Option<&'a Verdicts>,
    /// What answers cost; none where nobody asks.
    pub prices: Option<&'a dyn PriceAnswers>,
}

impl<'a> Policy<'a> {
    /// The default, with which nothing of the answers is judged or priced.
    pub(crate) fn usual(reader: &'a dyn ReadAnswers, retry_on: &'a RetryOn) -> Self {
        Self { reader, retry_on, absent: &NOBODY, expected: None, gate: None, prices: None }
    }
}

/// Why a request has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The provider gave no answer.
    Missing,
    /// It had one, in a file that no longer exists.
    Gone,
    /// It was not asked: the run's limits did not allow it.
    NotSent,
}

impl Absence {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Missing => MISSING,
            Self::Gone => GONE,
            Self::NotSent => NOT_SENT,
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Missing => "The provider gave no answer to this request.",
            Self::Gone => "The file that held the answer no longer exists at the provider.",
            Self::NotSent => "This request was not sent: the limits of the run did not allow it.",
        }
    }
}

impl Absence {
    /// What to do about the requests without a line.
    pub(super) fn advice(self) -> (Prospect, &'static str) {
        match self {
            Self::Missing => {
                (Prospect::MayPass, "No answer came for these: send them again, unless the batch itself was refused.")
            }
            Self::Gone => {
                (Prospect::PaidAgain, "These answers were paid for and are deleted; new ones are paid for as well.")
            }
            Self::NotSent => (Prospect::MayPass, "The limits of the run kept these back; raise them and send these."),
        }
    }
}

impl Policy<'_> {
    /// Why the request at `index` has no line.
    pub(super) fn absence(&self, index: u32) -> Absence {
        let is_in = |ranges: &[Range<u32>]| {
            let at = ranges.partition_point(|range| range.end <= index);
            ranges.get(at).is_some_and(|range| range.contains(&index))
        };
        match self.absent {
            Absent { gone, .. } if is_in(gone) => Absence::Gone,
            Absent { not_sent, .. } if is_in(not_sent) => Absence::NotSent,
            _ => Absence::Missing,
        }
    }

    /// What became of a request without a line.
    pub(super) fn unanswered(&self, custom_id: String, absence: Absence) -> Outcome {
        let covers_gone = self.retry_on.covers(None, GONE);
        let failed = |ran, retry| {
            let (code, message) = (absence.code().to_owned(), absence.message().to_owned());
            Failed { custom_id, code, status: None, message, like: None, retry, ran }
        };
        match absence {
            Absence::Missing => Outcome::Missing(failed(Ran::Never, Retry::Worth)),
            // The run refuses it again.
            Absence::NotSent => Outcome::Missing(failed(Ran::Never, Retry::Not)),
            // It was paid for: nobody pays again without asking for it.
            Absence::Gone if covers_gone => Outcome::Failed(failed(Ran::Yes, Retry::Worth)),
            Absence::Gone => Outcome::Failed(failed(Ran::Yes, Retry::Not)),
        }
    }

    /// What became of a request with a line that is not an answer. `held` is what its batch's files hold.
    pub(super) fn failed(&self, custom_id: String, failure: Failure, held: Option<&Held>) -> Outcome {
        let Failure { code, status, message, fate, ran } = failure;
        let retry = match fate {
            Fate::Hopeless => Retry::Not,
            _ if self.retry_on.covers(status, &code) => Retry::Worth,
            Fate::Transient => Retry::Worth,
            Fate::Empty if !held.is_some_and(Held::is_misread) => Retry::Worth,
            Fate::Empty | Fate::Permanent => Retry::Not,
        };
        Outcome::Failed(Failed { custom_id, code, status, message, like: None, retry, ran })
    }

    /// Why the gate fails answers, by the indices of their requests.
    pub(super) fn gated(&self, ids: &Ids) -> HashMap<u32, &str> {
        let verdicts = self.gate.into_iter().flatten();
        verdicts.filter_map(|(id, message)| Some((ids.find(id)?, message.as_str()))).collect()
    }

    /// Whether an answer that is suspect for this reason is sent again.
    pub(super) fn retry(&self, suspicion: Option<Suspicion>) -> Retry {
        if suspicion.is_some() && self.retry_on.covers_suspect() { Retry::Worth } else { Retry::Not }
    }
}

/// The requests, read again if some have no line.
pub(super) struct Asked<'a> {
    source: &'a Source,
    reader: &'a dyn ReadAnswers,
    lines: Option<Lines<Reader>>,
    /// The index of the line that comes next.
    next: u64,
}

impl<'a> Asked<'a> {
    /// The requests of `source`; nothing is read yet.
    pub(super) fn new(source: &'a Source, reader: &'a dyn ReadAnswers) -> Self {
        Self { source, reader, lines: None, next: 0 }
    }

    /// The id of the request at `index`, which must be greater each time.
    pub(super) fn id(&mut self, index: u64, ids: &Ids) -> Result<String, Error> {
        let changed = || {
            let message = format!("`{}` changed since it was checked.", self.source.name());
            Error::new(Exit::Invalid, message)
                .hint("Without the file as it was, the requests without an answer cannot be named.")
        };
        let lines = self.lines.get_or_insert_with(|| Lines::new(self.source.open(), LONGEST_REQUEST));
        while let Some(line) = lines.next().map_err(|error| changed().because(error))? {
            self.next += 1;
            if self.next > index {
                let text = line.bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
                let same = self.reader.request_id(text).filter(|id| ids.find(id).map(u64::from) == Some(index));
                return same.ok_or_else(changed);
            }
        }
        Err(changed())
    }
}

#[cfg(test)]
mod tests {
    use super::{Absence, Failure, Fate, Held, Outcome, Policy, Ran, Retry, RetryOn};
    use crate::dialects::{Name, choose};
    use crate::values::RetryWord;

    fn retry(outcome: &Outcome) -> Retry {
        outcome.failed().unwrap().retry
    }

    #[test]
    fn a_failure_is_retried_if_it_may_pass_or_the_user_says_so() {
        let dialect = choose(Name::Openai).dialect;
        let retry_on = RetryOn(vec![RetryWord::Status(403), RetryWord::Code("Busy".to_owned())]);
        let policy = Policy::usual(dialect.answers(), &retry_on);
        let misread = Held { requests: 3, empty: 2, ..Held::default() };
        for (fate, status, code, held, expected) in [
            (Fate::Transient, None, "x", None, Retry::Worth),
            (Fate::Permanent, None, "x", None, Retry::Not),
            (Fate::Permanent, Some(403), "x", None, Retry::Worth),
            (Fate::Permanent, None, "busy", None, Retry::Worth),
            (Fate::Hopeless, Some(403), "x", None, Retry::Not),
            (Fate::Empty, Some(200), "x", None, Retry::Worth),
            (Fate::Empty, Some(200), "x", Some(&misread), Retry::Not),
        ] {
            let (code, message) = (code.to_owned(), String::new());
            let failure = Failure { code, status, message, fate, ran: Ran::Yes };
            let outcome = policy.failed("a".to_owned(), failure.clone(), held);
            assert_eq!(retry(&outcome), expected, "{failure:?}");
        }
    }

    #[test]
    fn what_was_paid_for_is_asked_again_only_on_demand() {
        let dialect = choose(Name::Openai).dialect;
        let (default, gone) = (RetryOn::default(), RetryOn(vec![RetryWord::Code("answers_gone".to_owned())]));
        for (retry_on, absence, expected) in [
            (&default, Absence::Missing, Retry::Worth),
            (&default, Absence::Gone, Retry::Not),
            (&default, Absence::NotSent, Retry::Not),
            (&gone, Absence::Gone, Retry::Worth),
        ] {
            let policy = Policy::usual(dialect.answers(), retry_on);
            assert_eq!(retry(&policy.unanswered("a".to_owned(), absence)), expected);
        }
    }
}
