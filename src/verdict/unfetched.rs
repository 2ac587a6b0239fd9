//! The verdict where answers are at the provider and not here.

use super::{Rows, Verdict, handed_over};
use crate::dialects::Batch;
use crate::error::{Exit, Outcome};
use crate::invocation::Invocation;

/// The verdict unless answers could not be fetched and nothing outranks that.
pub(crate) fn or_uncollected(
    verdict: Verdict,
    doubtful: &[(Batch, String)],
    all: &[&str],
    rows: Option<Rows>,
    how: &Invocation,
) -> Verdict {
    let outranks =
        matches!(verdict.exit, Exit::Signal(_) | Exit::Internal | Exit::Usage | Exit::Invalid | Exit::Refused);
    if doubtful.is_empty() || outranks { verdict } else { uncollected(doubtful, all, rows, how) }
}

/// Answers that were paid for are at the provider, and could not be fetched.
/// They were paid for, so the run fails and stays open. `all` are the run's batches:
/// only together do they have an answer for every request.
fn uncollected(doubtful: &[(Batch, String)], all: &[&str], rows: Option<Rows>, how: &Invocation) -> Verdict {
    let why: Vec<String> = doubtful.iter().map(|(batch, why)| format!("batch {}: {why}", batch.id)).collect();
    let kept = rows.map(|rows| format!(" {}.", super::kept(rows.counts)));
    let reason = format!(
        "Answers that the provider counts could not be fetched ({}).{}",
        why.join("; "),
        kept.unwrap_or_default()
    );
    let verdict = Verdict::new(Outcome::Uncollected, Exit::Refused, reason);
    let Some(collect) = how.collect(&with_doubtful(all, doubtful)) else {
        return verdict.hint("The sandbox ran inside this process and ended with it: its answers are gone.");
    };
    verdict.hint(format!("These answers are paid for. Fetch them later with `{collect}`.")).hint(
        "A run that keeps this `output-dir` fetches them, too. A run without it may pay for them again, and so does \
         `retry-on: missing`.",
    )
}

/// All batches of a run, with those of its retries of which answers are doubtful.
fn with_doubtful<'a>(all: &[&'a str], doubtful: &'a [(Batch, String)]) -> Vec<&'a str> {
    let others = doubtful.iter().map(|(batch, _)| &*batch.id).filter(|id| !all.contains(id));
    all.iter().copied().chain(others).collect()
}

/// The verdict of a collection whose time was up before it had seen all of its batches.
pub(crate) fn unseen(ids: &[String], trouble: Option<&str>, how: &Invocation) -> Verdict {
    let batches = if let [id] = ids { format!("batch {id}") } else { "all batches".to_owned() };
    let amid = handed_over::amid(trouble);
    let reason = format!("Time was up before {batches} could be looked at; nothing was cancelled.{amid}");
    let verdict = Verdict::new(Outcome::TimedOut, Exit::TimedOut, reason);
    match how.collect(&ids.iter().map(String::as_str).collect::<Vec<_>>()) {
        Some(collect) => verdict.hint(format!("Collect again later with `{collect}`.")),
        None => verdict,
    }
}

/// The verdict of a collection that does not wait, on batches that ended a moment ago:
/// their files may still be on their way. `exit` is that of a batch that is still pending.
pub(crate) fn incomplete(doubtful: &[(Batch, String)], all: &[&str], exit: Exit, how: &Invocation) -> Verdict {
    let why: Vec<String> = doubtful.iter().map(|(batch, why)| format!("batch {}: {why}", batch.id)).collect();
    let ended = if all.len() == 1 { "The batch has ended" } else { "The batches have ended" };
    let reason = format!("{ended}, but not all answers are there yet ({}).", why.join("; "));
    let verdict = Verdict::new(Outcome::Pending, exit, reason);
    match how.collect(&with_doubtful(all, doubtful)) {
        Some(collect) => verdict.hint(format!("Collect again in some minutes, with `{collect}`.")),
        None => verdict,
    }
}
