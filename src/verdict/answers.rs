//! The verdict on a run whose batches are over: how the requests fared, and how what failed is sent again.

use super::{Allowed, Rows, Verdict};
use crate::dialects::{Batch, Status};
use crate::error::{Exit, Outcome};
use crate::invocation::Invocation;
use crate::report::Counts;
use crate::text::{requests_count, shorten};

/// The verdict on how a batch ended.
pub(super) fn ended(batch: &Batch, rows: Rows, allowed: Allowed, how: &Invocation) -> Verdict {
    if rows.counts.succeeded == 0 && rows.never_ran >= rows.counts.total {
        return nothing_usable(batch);
    }
    fared(Some(batch), rows, allowed, how)
}

/// The verdict on how the requests fared; without a batch where nothing had to be sent.
pub(super) fn fared(batch: Option<&Batch>, rows: Rows, allowed: Allowed, how: &Invocation) -> Verdict {
    let counts = rows.counts;
    let bad = counts.failed + counts.missing;
    let total = requests_count(counts.total);
    if bad <= allowed.failed.allowed(counts.total)
        && let Some(verdict) = allowed.suspect(counts)
    {
        return verdict;
    }
    if bad == 0 {
        return Verdict::new(
            Outcome::Succeeded,
            Exit::Ok,
            match counts.total {
                1 => "The one request was answered.".to_owned(),
                _ => format!("All {total} were answered."),
            },
        );
    }
    let fared = how_many(counts);
    let ended = batch.map(|batch| &batch.status).filter(|status| **status != Status::Completed);
    let ended = ended.map(|status| format!("The batch ended {}: ", status.word())).unwrap_or_default();
    let allowed = allowed.failed.allowed(counts.total);
    let verdict = if bad <= allowed {
        let reason = format!("{ended}{fared}, within the {allowed} that `max-failed` allows.");
        Verdict::new(Outcome::Partial, Exit::Ok, reason)
    } else {
        let reason = format!("{ended}{fared}, more than the {allowed} that `max-failed` allows.");
        Verdict::new(Outcome::Failed, Exit::AnswersFailed, reason)
    };
    send_again(verdict, rows, how)
}

/// How many requests have no good answer, as the beginning of a sentence.
fn how_many(counts: Counts) -> String {
    let Counts { total, failed, missing, .. } = counts;
    let (of, are) = (requests_count(total), if missing == 1 { "is" } else { "are" });
    match (failed, missing) {
        (failed, 0) => format!("{failed} of {of} failed"),
        (0, missing) => format!("{missing} of {of} {are} missing"),
        (failed, missing) => format!("{failed} of {of} failed and {missing} {are} missing"),
    }
}

/// The verdict with what to do about requests without a good answer.
pub(super) fn send_again(verdict: Verdict, rows: Rows, how: &Invocation) -> Verdict {
    if how.is_open() {
        return verdict.hint(
            "Run again with the same inputs first: that attaches to the batch that is left, and pays for nothing twice.",
        );
    }
    let verdict = verdict.hint(again(rows, how));
    if how.is_in_workflow() {
        verdict
            .hint("In a CI job, bring back this `output-dir` from its artifact first, and set the input `only-failed`.")
    } else {
        verdict
    }
}

fn again(rows: Rows, how: &Invocation) -> String {
    let Rows { counts, paid, fail_again, .. } = rows;
    let bad = counts.failed + counts.missing;
    let (sent, all_paid) = (bad.saturating_sub(paid), "without `--only-failed`, all requests are paid for again");
    let Some(again) = how.only_failed() else {
        return "A run with `only-failed: true` and this `output-dir` sends only the failed requests again and keeps the \
                other answers."
            .to_owned();
    };
    if sent == 0 {
        return format!("These answers were paid for: `{again}` judges them again and sends nothing; {all_paid}.");
    }
    let first =
        if fail_again == bad { "Correct these requests first: sent as they are, they fail again. " } else { "" };
    let which = if sent == bad {
        "only the failed requests".to_owned()
    } else {
        format!("{sent} of the {bad} failed requests")
    };
    let keeps = match (counts.succeeded, sent == bad) {
        (0, true) => "",
        (_, true) => " and keeps the other answers",
        (_, false) => " and keeps the answers that were paid for",
    };
    format!("{first}`{again}` sends {which} again{keeps}; {all_paid}.")
}

fn nothing_usable(batch: &Batch) -> Verdict {
    let verdict = |reason: String| Verdict::new(Outcome::Failed, Exit::BatchFailed, reason);
    let id = &batch.id;
    match &batch.status {
        Status::Expired => verdict(format!("Batch {id} expired without any answer.")),
        Status::Completed => verdict(format!("Batch {id} completed without any answer.")),
        Status::Cancelled => verdict(format!("Batch {id} was cancelled by somebody else without any answer.")),
        _ => {
            let verdict = verdict(format!("The provider refused the batch {id} as a whole: {}.", first_error(batch)));
            if batch.errors.lack_room {
                return verdict.hint(
                    "Other batches hold the enqueued-token quota: run again when they have ended, or split the file.",
                );
            }
            let lists = batch.errors.iter().any(|error| error.line.is_some());
            verdict.hint(if lists {
                "Each fault is listed with its line; the provider's limits may be stricter than those checked here."
            } else {
                "Correct what the provider names, and run again; it may know more limits than those checked here."
            })
        }
    }
}

fn first_error(batch: &Batch) -> String {
    let Some(error) = batch.errors.first() else { return "it gives no reason".to_owned() };
    let text = error.message.as_deref().or(error.code.as_deref()).unwrap_or("it gives no reason").trim_end_matches('.');
    let line = error.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let more = match batch.errors.total {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    format!("{line}{}{more}", shorten(text, 300))
}
