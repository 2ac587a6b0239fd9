//! The verdict where limits of the run kept requests from being sent.

use super::Verdict;
use crate::budget::NotSent;
use crate::error::{Exit, Outcome};
use crate::invocation::Invocation;
use crate::text::{counted, requests_count};

/// The verdict unless something outranks that requests were not sent; then it says so beside.
pub(crate) fn over_budget(verdict: Verdict, not_sent: &NotSent, how: &Invocation) -> Verdict {
    let outranks =
        matches!(verdict.exit, Exit::Signal(_) | Exit::Internal | Exit::Usage | Exit::Invalid | Exit::Refused);
    if outranks {
        let reason = format!("{} {}", verdict.reason, sentence(not_sent));
        return Verdict { reason, ..verdict };
    }
    let still_running = verdict.hints.into_iter().filter(|_| verdict.outcome == Outcome::Pending);
    let refused = Verdict::new(Outcome::Refused, Exit::Refused, sentence(not_sent));
    let refused = still_running.fold(refused, Verdict::hint);
    refused.hint(rest(verdict.outcome, not_sent, how))
}

/// The verdict on what a journal names, where the run was to send more than that.
pub(crate) fn not_all_sent(verdict: Verdict) -> Verdict {
    let reason = format!("{} Other requests of this run were never sent.", verdict.reason);
    let (outcome, exit) = match verdict.exit {
        Exit::Ok => (Outcome::Refused, Exit::Refused),
        exit => (verdict.outcome, exit),
    };
    Verdict { outcome, exit, reason, ..verdict }.hint(
        "A run of the same requests with `reuse: finished`, and with a higher limit if one stopped this run, sends them, \
         takes these answers too, and buys nothing twice.",
    )
}

fn sentence(not_sent: &NotSent) -> String {
    let NotSent { batches, of, needs, .. } = not_sent;
    let requests = requests_count(needs.requests);
    let were = |count: u64| if count == 1 { "was" } else { "were" };
    let they = |count: u64| if count == 1 { "it" } else { "they" };
    let which = match (batches, of) {
        (_, 1) => format!("{requests} {} not sent: {}", were(needs.requests), they(needs.requests)),
        (batches, of) => {
            let of = counted(*of as u64, "batch", "batches");
            format!("{batches} of {of} {} not sent, with {requests}: {}", were(*batches as u64), they(*batches as u64))
        }
    };
    let spent = not_sent.spent().map(|spent| format!(" beside {spent} for the others")).unwrap_or_default();
    format!("{which} may need up to {}{spent}, and {}.", not_sent.needs(), not_sent.limit())
}

/// How to send the rest.
fn rest(outcome: Outcome, not_sent: &NotSent, how: &Invocation) -> String {
    if outcome == Outcome::Pending {
        let all = not_sent.flag_of_all();
        return format!("Submit the same requests with `{}` to send the rest; that attaches to what runs.", all.trim());
    }
    let needs = not_sent.rest();
    match how.only_failed_within(&not_sent.flag()) {
        Some(again) => {
            format!("The rest may need up to {needs}: `{again}` sends it, keeps the answers, and buys nothing twice.")
        }
        None => format!(
            "The rest may need up to {needs}: a run with `only-failed: true`, this `output-dir` and a larger limit sends it, \
             keeps the answers, and buys nothing twice."
        ),
    }
}
