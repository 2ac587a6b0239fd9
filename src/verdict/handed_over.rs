//! The verdict where several batches were under way at the deadline and go on.

use super::{End, Verdict, shell_word};
use crate::error::{Exit, Outcome};
use crate::patience::Stop;

/// The deadline passed while batches go on: as `on-timeout` asks, or since `submit` leaves
/// what it could submit. What was not created yet is counted: nobody else would notice.
pub(super) fn in_part(ends: &[End<'_>]) -> Option<Verdict> {
    let is_late = |end: &End<'_>| matches!(end.stop, None | Some(Stop::Deadline | Stop::HandedOver));
    let goes_on = |end: &&End<'_>| matches!(end.stop, None | Some(Stop::HandedOver));
    let running = ends.iter().filter(goes_on).filter_map(|end| end.batch).filter(|batch| !batch.status.is_terminal());
    let (names, words): (Vec<&str>, Vec<String>) =
        running.map(|batch| (batch.id.as_str(), shell_word(&batch.id))).unzip();
    if names.is_empty() || !ends.iter().all(is_late) {
        return None;
    }
    let uncreated = ends.iter().filter(|end| end.batch.is_none()).count();
    let is_asked = ends.iter().any(|end| matches!(end.stop, Some(Stop::HandedOver)));
    let (outcome, exit, asked) = match is_asked {
        true => (Outcome::Detached, Exit::Ok, ", as `on-timeout` asks"),
        false => (Outcome::TimedOut, Exit::TimedOut, ""),
    };
    let (count, of, names) = (names.len(), ends.len(), names.join(", "));
    let lacking = if uncreated == 0 { String::new() } else { format!(" {uncreated} of {of} were not created yet.") };
    let reason = format!("Time was up; {count} of {of} batches go on{asked}: {names}.{lacking}");
    let hint = match uncreated {
        0 => {
            let words = words.join(" ");
            format!(
                "Run again with the same requests to attach to them, or collect them with `batchstep collect {words}`."
            )
        }
        _ => "Run again with the same requests: that attaches to the batches that go on and creates the others."
            .to_owned(),
    };
    Some(Verdict::new(outcome, exit, reason).hint(hint))
}
