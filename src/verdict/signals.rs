//! The verdict after a signal: what becomes of each batch, and the commands that end or collect them.

use super::next::{self, come_back};
use super::{End, Verdict};
use crate::attachment::Owner;
use crate::dialects::{Batch, Status};
use crate::error::{Exit, Outcome};
use crate::guard::Stop;
use crate::invocation::Invocation;
use crate::shutdown::name_of;

/// A signal ended the run: what becomes of its batches.
pub(super) fn interrupted(number: u8, ends: &[End<'_>], how: &Invocation) -> Verdict {
    let is_detached = |end: &End<'_>| matches!(end.stop, Some(Stop::Detached(_)));
    let goes_on = |batch: &Batch| !batch.status.is_terminal() && batch.status != Status::Cancelling;
    let cancelling = next::ids(ends, |_, batch| batch.status == Status::Cancelling);
    let cancelled = next::ids(ends, |_, batch| batch.status == Status::Cancelled);
    let over = next::ids(ends, |_, batch| batch.status.is_terminal() && batch.status != Status::Cancelled);
    let left = next::ids(ends, |end, batch| goes_on(batch) && is_detached(end) && end.owner == Owner::ThisRun);
    let of_others = next::ids(ends, |end, batch| goes_on(batch) && end.owner == Owner::AnotherRun);
    let running = next::ids(ends, |end, batch| goes_on(batch) && !is_detached(end) && end.owner == Owner::ThisRun);
    let doubts: Vec<&str> = ends.iter().filter_map(|end| end.in_doubt).collect();
    let clauses = [
        about(&cancelling, "is being cancelled", "are being cancelled"),
        about(&cancelled, "was cancelled", "were cancelled"),
        about(&over, "had already ended", "had already ended"),
        about(&running, "was not seen to end", "were not seen to end"),
        about(&of_others, "belongs to another run and was left running", "belong to other runs and were left running"),
        about(&left, "keeps running, as `on-abort` asks", "keep running, as `on-abort` asks"),
        (!doubts.is_empty()).then(|| "a create was under way, and its batch keeps running if it arrived".to_owned()),
    ];
    let said: Vec<String> = clauses.into_iter().flatten().collect();
    let said = if said.is_empty() { "no batch was seen to run".to_owned() } else { said.join("; ") };
    let outcome = if ends.iter().any(is_detached) { Outcome::Detached } else { Outcome::Cancelled };
    let reason = format!("{} ended the run; {said}.", name_of(number));
    let mut hints = endings(&running, &doubts, how);
    if !left.is_empty() || !of_others.is_empty() {
        let finished = next::ids(ends, |_, batch| batch.status.is_terminal());
        hints.extend(come_back(&next::all(ends), &finished, &left, how));
    } else if let kept @ [_, ..] = &*next::ids(ends, |_, batch| !goes_on(batch))
        && let Some(collect) = how.collect(kept)
    {
        hints.push(format!("What was finished is kept at the provider: `{collect}` fetches it."));
    }
    Verdict { hints, ..Verdict::new(outcome, Exit::Signal(number), reason) }
}

/// The commands that end what may still run.
fn endings(running: &[&str], doubts: &[&str], how: &Invocation) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(cancel) = how.cancel(running).filter(|_| !running.is_empty()) {
        hints.push(format!("What may still run costs: `{cancel}` ends it."));
    }
    if let Some(cancel) = how.cancel_with(&[], doubts).filter(|_| !doubts.is_empty()) {
        let them = if doubts.len() == 1 {
            "batch of that create, and ends it"
        } else {
            "batches of those creates, and ends them"
        };
        hints.push(format!("`{cancel}` looks for the {them}."));
    }
    hints
}

/// What is said of some batches, if there are any.
fn about(ids: &[&str], of_one: &str, of_several: &str) -> Option<String> {
    match ids {
        [] => None,
        [id] => Some(format!("batch {id} {of_one}")),
        ids => Some(format!("batches {} {of_several}", ids.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge_all;
    use super::{Batch, End, Exit, Outcome, Owner, Status, Stop};
    use crate::invocation::samples::usual;
    use crate::values::MaxFailed;

    fn end<'a>(stop: &'a Stop, batch: &'a Batch) -> End<'a> {
        End { stop: Some(stop), batch: Some(batch), owner: Owner::ThisRun, in_doubt: None }
    }

    #[test]
    fn a_signal_tells_of_every_batch_what_becomes_of_it() {
        let (signal, detached) = (Stop::Signal(15), Stop::Detached(15));
        let named = |id: &str, status| Batch { id: id.into(), status, ..Batch::default() };
        let batches = [
            named("b1", Status::InProgress),
            named("b2", Status::InProgress),
            named("b3", Status::Cancelling),
            named("b4", Status::Completed),
        ];
        let lost = End { in_doubt: Some("mark"), ..End::of(&signal) };
        let ends: Vec<End<'_>> = batches.iter().map(|batch| end(&signal, batch)).chain([lost]).collect();
        let verdict = judge_all(&ends, None, &[], MaxFailed::Count(0).into(), &usual());
        assert_eq!((verdict.outcome, verdict.exit), (Outcome::Cancelled, Exit::Signal(15)));
        let reason = "SIGTERM ended the run; batch b3 is being cancelled; batch b4 had already ended; batches b1, b2 \
                      were not seen to end; a create was under way, and its batch keeps running if it arrived.";
        assert!(verdict.reason.ends_with(reason), "{}", verdict.reason);
        for command in ["cancel b1 b2`", "cancel --create mark`", "collect b3 b4`"] {
            assert!(verdict.hints.iter().any(|hint| hint.contains(&format!("`batchstep {command}"))), "{verdict:?}");
        }
        // What had not begun when the signal came is no reason to call the others anything but detached.
        let ends = [end(&detached, &batches[0]), end(&detached, &batches[1]), End::of(&signal)];
        let verdict = judge_all(&ends, None, &[], MaxFailed::Count(0).into(), &usual());
        assert_eq!((verdict.outcome, verdict.exit), (Outcome::Detached, Exit::Signal(15)));
        assert!(verdict.reason.contains("batches b1, b2 keep running, as `on-abort` asks"), "{}", verdict.reason);
        assert!(verdict.hints[0].contains("`batchstep collect b1 b2`"), "{verdict:?}");
    }
}
