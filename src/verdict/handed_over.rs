//! The verdict where batches were under way at the deadline and go on.

use super::next::{self, come_back, named};
use super::{End, Verdict};
use crate::attachment::Owner;
use crate::error::{Exit, Outcome};
use crate::guard::Stop;
use crate::invocation::Invocation;
use crate::values::Reuse;

/// The deadline passed while batches go on: as `on-timeout` asks, or since `submit` leaves
/// what it could submit. What was not created yet is counted: nobody else would notice.
pub(super) fn in_part(ends: &[End<'_>], how: &Invocation) -> Option<Verdict> {
    let is_late = |end: &End<'_>| matches!(end.stop, None | Some(Stop::Deadline(_) | Stop::HandedOver(_)));
    let goes_on = |end: &End<'_>| matches!(end.stop, None | Some(Stop::HandedOver(_)));
    let running = next::ids(ends, |end, batch| goes_on(end) && !batch.status.is_terminal());
    if running.is_empty() || !ends.iter().all(is_late) {
        return None;
    }
    let uncreated = ends.iter().filter(|end| end.batch.is_none()).count();
    let is_asked = ends.iter().any(|end| matches!(end.stop, Some(Stop::HandedOver(_))));
    let (outcome, exit, asked) = if is_asked {
        (Outcome::Detached, Exit::Ok, ", as `on-timeout` asks")
    } else {
        (Outcome::TimedOut, Exit::TimedOut, "")
    };
    let trouble = ends.iter().find_map(|end| end.stop.and_then(Stop::trouble));
    let (count, of, verb) = (running.len(), ends.len(), if running.len() == 1 { "keeps" } else { "keep" });
    let lacking = match uncreated {
        0 => String::new(),
        1 => format!(" 1 of {of} was not created yet."),
        _ => format!(" {uncreated} of {of} were not created yet."),
    };
    let reason = format!(
        "Time was up; {count} of {of} batches {verb} running{asked}: {}.{lacking}{}",
        running.join(", "),
        amid(trouble)
    );
    Some(Verdict { hints: hints(ends, uncreated, how), ..Verdict::new(outcome, exit, reason) })
}

fn hints(ends: &[End<'_>], uncreated: usize, how: &Invocation) -> Vec<String> {
    let over = next::ids(ends, |_, batch| batch.status.is_terminal());
    let ours = next::ids(ends, |end, batch| !batch.status.is_terminal() && end.owner == Owner::ThisRun);
    let all = next::all(ends);
    let mut hints = come_back(&all, &over, &ours, how);
    // What was not created is collected by nobody.
    if uncreated > 0 && matches!(how.rerun(), Some(Reuse::Active | Reuse::Finished)) {
        let (batches, _) = named(&all, "", "");
        hints.insert(0, format!("Only a run with the same requests creates the others; it attaches to {batches}."));
    }
    hints
}

/// The deadline passed, and the one batch keeps running.
pub(super) fn whole(end: &End<'_>, how: &Invocation) -> Verdict {
    let ends = [*end];
    let ours = next::ids(&ends, |end, _| end.owner == Owner::ThisRun);
    let all = next::all(&ends);
    let reason = format!(
        "Time was up; batch {} keeps running, as `on-timeout` asks.{}",
        all.concat(),
        amid(end.stop.and_then(Stop::trouble))
    );
    Verdict { hints: come_back(&all, &[], &ours, how), ..Verdict::new(Outcome::Detached, Exit::Ok, reason) }
}

/// What kept failing until time was up, as a sentence after others.
pub(super) fn amid(trouble: Option<&str>) -> String {
    let Some(trouble) = trouble else { return String::new() };
    let (first, rest) = trouble.split_at(trouble.chars().next().map_or(0, char::len_utf8));
    format!(" {}{}.", first.to_uppercase(), rest.trim_end_matches('.'))
}
