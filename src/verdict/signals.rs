//! The verdict after a signal: what becomes of each batch, and the commands that end or collect them.

use super::{End, Verdict, shell_word};
use crate::error::{Exit, Outcome};
use crate::patience::Stop;
use crate::shutdown::name_of;
use crate::wire::{Batch, Status};

/// A signal ended the run: what becomes of its batches.
pub(super) fn interrupted(number: u8, ends: &[End<'_>]) -> Verdict {
    let is_detached = |end: &End<'_>| matches!(end.stop, Some(Stop::Detached(_)));
    let goes_on = |batch: &Batch| !batch.status.is_terminal() && batch.status != Status::Cancelling;
    let ids = |is_meant: &dyn Fn(&End<'_>, &Batch) -> bool| -> Vec<&str> {
        ends.iter().filter_map(|end| end.batch.filter(|batch| is_meant(end, batch))).map(|batch| &*batch.id).collect()
    };
    let cancelled = ids(&|_, batch| matches!(batch.status, Status::Cancelling | Status::Cancelled));
    let over = ids(&|_, batch| batch.status.is_terminal() && batch.status != Status::Cancelled);
    let left = ids(&|end, batch| goes_on(batch) && is_detached(end) && !end.is_foreign);
    let foreign = ids(&|end, batch| goes_on(batch) && end.is_foreign);
    let running = ids(&|end, batch| goes_on(batch) && !is_detached(end) && !end.is_foreign);
    let doubts: Vec<&str> = ends.iter().filter_map(|end| end.in_doubt).collect();
    let clauses = [
        about(&cancelled, "was cancelled", "were cancelled"),
        about(&over, "was over already", "were over already"),
        about(&running, "was not seen to end", "were not seen to end"),
        about(&foreign, "belongs to another run and was left running", "belong to other runs and were left running"),
        about(&left, "goes on, as `on-abort` asks", "go on, as `on-abort` asks"),
        (!doubts.is_empty()).then(|| "a create was under way, and its batch goes on if it arrived".to_owned()),
    ];
    let said: Vec<String> = clauses.into_iter().flatten().collect();
    let said = if said.is_empty() { "no batch was seen to run".to_owned() } else { said.join("; ") };
    let outcome = if ends.iter().any(is_detached) { Outcome::Detached } else { Outcome::Cancelled };
    let reason = format!("{} ended the run; {said}.", name_of(number));
    let mut verdict = Verdict::new(outcome, Exit::Signal(number), reason);
    verdict.hints = next_steps(&running, &doubts, &left, &foreign, &[cancelled, over].concat());
    verdict
}

/// The commands that end what may still run, and that come back for the rest.
fn next_steps(running: &[&str], doubts: &[&str], left: &[&str], foreign: &[&str], kept: &[&str]) -> Vec<String> {
    let words = |ids: &[&str]| ids.iter().map(|id| format!(" {}", shell_word(id))).collect::<String>();
    let marks: String = doubts.iter().map(|mark| format!(" --create {mark}")).collect();
    let steps = [
        (running, format!("What may still run costs: `batchstep cancel{}` ends it.", words(running))),
        (doubts, format!("`batchstep cancel{marks}` looks for the batch of that create, and ends it.")),
        (
            left,
            format!(
                "Run again with the same requests to attach, collect with `batchstep collect{ids}`, or end what runs \
                 with `batchstep cancel{ids}`.",
                ids = words(left)
            ),
        ),
        (
            foreign,
            format!(
                "Run again with the same requests to attach, or collect with `batchstep collect{}`.",
                words(foreign)
            ),
        ),
        (kept, format!("What was finished is kept at the provider: `batchstep collect{}` fetches it.", words(kept))),
    ];
    steps.into_iter().filter(|(ids, _)| !ids.is_empty()).map(|(_, step)| step).collect()
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
    use super::{Batch, End, Exit, Outcome, Status, Stop};
    use crate::values::MaxFailed;

    fn end<'a>(stop: &'a Stop, batch: &'a Batch) -> End<'a> {
        End { stop: Some(stop), batch: Some(batch), is_foreign: false, in_doubt: None }
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
        let verdict = judge_all(&ends, None, &[], MaxFailed::Count(0));
        assert_eq!((verdict.outcome, verdict.exit), (Outcome::Cancelled, Exit::Signal(15)));
        let reason = "SIGTERM ended the run; batch b3 was cancelled; batch b4 was over already; batches b1, b2 were not \
                      seen to end; a create was under way, and its batch goes on if it arrived.";
        assert!(verdict.reason.ends_with(reason), "{}", verdict.reason);
        for command in ["cancel b1 b2`", "cancel --create mark`", "collect b3 b4`"] {
            assert!(verdict.hints.iter().any(|hint| hint.contains(&format!("`batchstep {command}"))), "{verdict:?}");
        }
        // What had not begun when the signal came is no reason to call the others anything but detached.
        let ends = [end(&detached, &batches[0]), end(&detached, &batches[1]), End::of(&signal)];
        let verdict = judge_all(&ends, None, &[], MaxFailed::Count(0));
        assert_eq!((verdict.outcome, verdict.exit), (Outcome::Detached, Exit::Signal(15)));
        assert!(verdict.reason.contains("batches b1, b2 go on, as `on-abort` asks"), "{}", verdict.reason);
        assert!(verdict.hints[0].contains("`batchstep collect b1 b2`"), "{verdict:?}");
    }
}
