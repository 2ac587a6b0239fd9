//! Reconciliation where the requests are not at hand, only their number: answers keep the
//! order in which they came.

use std::fs::File;

use super::reconcile::{answer, place, reconcile};
use super::sinks::Sink;
use super::unanswered::Absence;
use super::{AnswersFile, Policy, Requests, Results, unreadable};
use crate::error::Error;
use crate::report::FailureGroup;
use crate::requests::ids::Ids;
use crate::requests::lines::{LONGEST_ANSWER, Lines};
use crate::requests::source::Source;

/// As [`reconcile`], without the requests. Those of `total` without an
/// answer have no row, and are counted as `absence` says.
///
/// # Errors
/// Ends in exit 1 if a file cannot be read or written.
pub(crate) fn keep_order(
    total: u64,
    answers: &[AnswersFile],
    policy: &Policy<'_>,
    absence: Absence,
    sinks: Vec<Box<dyn Sink + '_>>,
) -> Result<Results, Error> {
    let mut ids = Ids::default();
    for (file, of) in answers.iter().enumerate() {
        let failed = |error| unreadable(of, error);
        let mut lines = Lines::new(File::open(&of.path).map_err(failed)?, LONGEST_ANSWER);
        while let Some(line) = lines.next().map_err(failed)? {
            if let Some(id) = answer(of, &line, place(file, &line), policy.reader)?.custom_id {
                let index =
                    u32::try_from(ids.len()).map_err(|error| Error::internal("Too many answers.").because(error))?;
                // A known id is another answer to the same request; reconciling decides which of them counts.
                ids.insert(&[(id, index)]);
            }
        }
    }
    let answered = ids.len() as u64;
    let requests = Requests { source: &Source::default(), ids: &ids, total: answered, is_structured: false };
    let mut found = reconcile(requests, answers, policy, sinks)?;
    let missing = total.saturating_sub(answered);
    found.counts.total = answered + missing;
    match absence {
        Absence::Gone => found.counts.failed += missing,
        Absence::Missing | Absence::NotSent => {
            found.counts.missing = missing;
            found.never_ran += missing;
        }
    }
    if missing > 0 {
        let (code, message) = (absence.code().to_owned(), absence.message().to_owned());
        let (prospect, advice) = absence.advice();
        let (custom_ids, examples) = (Vec::new(), Vec::new());
        let advice = advice.to_owned();
        let group =
            FailureGroup { code, status: None, message, count: missing, custom_ids, prospect, advice, examples };
        found.failures.push(group);
        found.failures.sort_by_key(|group| std::cmp::Reverse(group.count));
    }
    Ok(found)
}
