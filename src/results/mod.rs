//! Reconciliation: every request gets its answer, its failure, or a line that
//! says that it has neither.
//!
//! Providers return answers in any order, in two files, sometimes twice and
//! sometimes not at all. Two passes put them in order. The first finds the position
//! of each request's answer. The second yields the rows, one for each request, in the
//! order of the requests, to the [sinks](sinks), which make files and counts of them.
//! Memory is 12 bytes and a bit for each request, and the lines at hand. A line that
//! names its request is its answer, even if part of the line cannot be read. Whether
//! the counts are good enough is for the verdict to say.

use std::io;
use std::path::PathBuf;

mod advice;
pub(crate) mod case;
mod discard;
mod held;
mod judge;
mod last_line;
mod own_ids;
mod positions;
mod pricing;
mod read_back;
mod reconcile;
mod reread;
mod row;
mod secret_watch;
mod similar;
mod spent;
pub(crate) mod sinks;
mod unanswered;
mod usage;
mod violations;
mod without_requests;

pub(crate) use self::case::{Case, Fared, Why};
pub use self::discard::reconcile_and_discard;
#[cfg(test)]
pub(crate) use self::held::FileHeld;
pub(crate) use self::held::Held;
pub(crate) use self::last_line::ends_whole;
pub(crate) use self::own_ids::OwnIds;
pub(crate) use self::pricing::{PriceAnswers, Pricing, cost};
pub(crate) use self::read_back::read_back;
pub(crate) use self::reconcile::reconcile;
pub(crate) use self::secret_watch::Watch;
pub(crate) use self::similar::folded;
pub(crate) use self::spent::{Spent, spent};
pub(crate) use self::unanswered::Absence;
pub(crate) use self::unanswered::Absent;
pub(crate) use self::unanswered::Policy;
pub(crate) use self::without_requests::keep_order;

use crate::dialects::Tokens;
use crate::error::Error;
use crate::judgement::{SchemaReport, SuspectGroup};
use crate::report::{CostReport, Counts, FailureGroup, Files, ModelUsage, Sample, Unpriced};
use crate::requests::ids::Ids;
use crate::requests::source::Source;

/// A downloaded file of answers.
#[derive(Clone, Debug, Default)]
pub struct AnswersFile {
    /// Where it is.
    pub path: PathBuf,
    /// `output` or `error`: which of a batch's two files, for messages. What a
    /// line means is decided by the line alone.
    pub what: &'static str,
    /// Which attempt at the requests it is of, from 1; 0 for what an earlier run left.
    pub attempt: u32,
    /// The index of its batch among those of the run; one that no batch has for what an earlier run left.
    pub batch: usize,
    /// The batch's id.
    pub batch_id: String,
    /// The endpoint its requests went to, where that is known.
    pub endpoint: Option<String>,
    /// The key of the work that it answers, where that is known.
    pub work: Option<String>,
    /// When its batch was created, in Unix seconds.
    pub created_at: Option<i64>,
    /// The model that its requests name, where all name the same.
    pub model: Option<String>,
}

impl AnswersFile {
    /// Whether an earlier run left it, and paid for it.
    pub(crate) fn is_kept(&self) -> bool {
        self.attempt == 0
    }
}

/// The requests to reconcile, as their check found them.
#[derive(Clone, Copy)]
pub(crate) struct Requests<'a> {
    /// Their files, which are read again only to name requests without a line.
    pub source: &'a Source,
    /// Which request an id belongs to.
    pub ids: &'a Ids,
    /// How many they are.
    pub total: u64,
    /// Whether any asks for an answer of a certain form.
    pub is_structured: bool,
}

/// What the sinks found.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// How many requests succeeded, failed and are missing.
    pub(crate) counts: Counts,
    /// What the answers used, by batch and model.
    pub(crate) usage: Vec<ModelUsage>,
    /// Answers of which it is not known what they cost.
    pub(crate) unpriced: Vec<Unpriced>,
    /// What they cost together.
    pub(crate) cost: CostReport,
    /// Failed and missing requests by cause, most frequent first.
    pub(crate) failures: Vec<FailureGroup>,
    /// Answers that are not to be relied on, by the reason, most frequent first.
    pub(crate) suspects: Vec<SuspectGroup>,
    /// How the answers fit their schemas; none where nothing was judged.
    pub(crate) schema: Option<SchemaReport>,
    /// How many answers were rejected by what was judged of them.
    pub(crate) rejected: u64,
    /// How many of them the gate rejected.
    pub(crate) gated: u64,
    /// The requests, by index and in order, whose failure may pass.
    pub(crate) retryable: Vec<u32>,
    /// The requests, by index and in order, without an answer.
    pub(crate) missing: Vec<u32>,
    /// What the files of each batch hold, by the batch's index.
    pub(crate) batches: Vec<Held>,
    /// How many requests never ran: missing, expired or cancelled.
    pub(crate) never_ran: u64,
    /// The rows as test cases, where they are wanted and not too many.
    pub(crate) cases: Option<Vec<Case>>,
    /// The first answers, as many as were asked for.
    pub(crate) samples: Vec<Sample>,
    /// The files that were written, by their names in the output directory.
    pub(crate) files: Files,
    /// What else the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Results {
    /// The requests, by index and in order, for which a retry may bring an answer.
    pub(crate) fn worth_retrying(&self) -> Vec<u32> {
        let mut all = [&self.retryable[..], &self.missing].concat();
        all.sort_unstable();
        all
    }

    /// The tokens of all answers.
    pub(crate) fn tokens(&self) -> Tokens {
        let mut tokens = Tokens::default();
        self.usage.iter().for_each(|usage| tokens.add(usage.tokens));
        tokens
    }
}

/// Whether this is the code of requests that got no answer.
pub(crate) fn is_missing(code: &str) -> bool {
    [unanswered::MISSING, unanswered::NOT_SENT].contains(&code)
}

/// The error of a file of answers that cannot be read.
fn unreadable(answers: &AnswersFile, error: io::Error) -> Error {
    let message = format!("The {} file `{}` cannot be read.", answers.what, answers.path.display());
    Error::internal(message).because(error)
}

/// The error of a file of results that cannot be written.
fn unwritable(error: io::Error) -> Error {
    Error::internal("The results could not be written.").because(error)
}
