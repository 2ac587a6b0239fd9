//! Reconciliation where nobody knows the requests, only how many they were.

use std::fs::File;
use std::io::Write;

use super::absent::Absence;
use super::{AnswersFile, Policy, Results, answer, place, reconcile, unreadable};
use crate::error::Error;
use crate::report::FailureGroup;
use crate::requests::ids::Ids;
use crate::requests::lines::{LONGEST_ANSWER, Lines};
use crate::requests::source::Source;
use crate::values::RetryOn;

/// As [`reconcile`](super::reconcile), where nobody knows the requests: answers stand in the order
/// in which they came, and of `total` requests the rest is missing, without lines.
///
/// # Errors
/// Ends in exit 1 if a file cannot be read or written.
pub(crate) fn keep_order(
    total: u64,
    answers: &[AnswersFile],
    is_gone: bool,
    results: &mut dyn Write,
    unexpected: &mut dyn Write,
) -> Result<Results, Error> {
    let mut ids = Ids::default();
    for (file, of) in answers.iter().enumerate() {
        let failed = |error| unreadable(of, error);
        let mut lines = Lines::new(File::open(&of.path).map_err(failed)?, LONGEST_ANSWER);
        while let Some(line) = lines.next().map_err(failed)? {
            if let Some(id) = answer(of, &line, place(file, &line))?.custom_id {
                let index =
                    u32::try_from(ids.len()).map_err(|error| Error::internal("Too many answers.").because(error))?;
                // One that stands already is another answer to the same request; which of them counts is decided below.
                ids.insert(&[(id, index)]);
            }
        }
    }
    let answered = ids.len() as u64;
    let policy = Policy { retry_on: &RetryOn::default(), gone: &[] };
    let mut found = reconcile(&Source::default(), &ids, answered, answers, &policy, results, unexpected)?;
    let missing = total.saturating_sub(answered);
    found.counts.total = answered + missing;
    let absence = if is_gone { Absence::Gone } else { Absence::Missing };
    match absence {
        Absence::Gone => found.counts.failed += missing,
        Absence::Missing => {
            found.counts.missing = missing;
            found.never_ran += missing;
        }
    }
    if missing > 0 {
        let (code, message) = (absence.code().to_owned(), absence.message().to_owned());
        found.failures.push(FailureGroup { code, status: None, message, count: missing, custom_ids: Vec::new() });
        found.failures.sort_by_key(|group| std::cmp::Reverse(group.count));
    }
    Ok(found)
}
