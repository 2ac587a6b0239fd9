//! The verdict where answers are at the provider and not here.

use super::{Rows, Verdict, shell_word};
use crate::error::{Exit, Outcome};
use crate::events::requests_count;
use crate::wire::Batch;

/// Answers that were paid for are at the provider, and could not be fetched.
/// They were paid for, so the run fails and stays open.
pub fn uncollected(doubtful: &[(Batch, String)], rows: Option<Rows>) -> Verdict {
    let why: Vec<String> = doubtful.iter().map(|(batch, why)| format!("batch {}: {why}", batch.id)).collect();
    let kept = rows.map(|Rows { counts, .. }| {
        format!(" {} of {} were answered well and are kept.", counts.succeeded, requests_count(counts.total))
    });
    let reason = format!(
        "Answers that the provider counts could not be fetched ({}).{}",
        why.join("; "),
        kept.unwrap_or_default()
    );
    let ids: Vec<String> = doubtful.iter().map(|(batch, _)| shell_word(&batch.id)).collect();
    Verdict::new(Outcome::Uncollected, Exit::Refused, reason)
        .hint(format!("These answers are paid for. Fetch them later with `batchstep collect {}`.", ids.join(" ")))
        .hint(
            "A run that keeps this `output-dir` fetches them, too. A run without it may pay for them again, and so does \
             `retry-on: missing`.",
        )
}

/// The verdict of a collection that does not wait, on batches that ended a moment ago:
/// their files may still be on their way. `exit` is that of a batch that is still pending.
pub fn incomplete(doubtful: &[(Batch, String)], exit: Exit) -> Verdict {
    let why: Vec<String> = doubtful.iter().map(|(batch, why)| format!("batch {}: {why}", batch.id)).collect();
    let reason = format!("The batch has ended, but not all answers are there yet ({}).", why.join("; "));
    Verdict::new(Outcome::Pending, exit, reason).hint("Collect again in some minutes.")
}
