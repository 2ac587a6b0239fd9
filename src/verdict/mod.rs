//! The verdict: what all that happened comes to. A pure decision.
//!
//! `completed` is not success: the rows decide, and `max-failed` says how many
//! of them may be bad. The order in which the reasons count is the exit codes'
//! precedence: a signal, our own failure, the requests, a refusal, the
//! deadline, the batch, the answers.

mod handed_over;
mod rows;
mod signals;
mod unfetched;

pub use self::rows::Rows;
use self::signals::interrupted;
pub use self::unfetched::{incomplete, uncollected};
use crate::error::{Error, Exit, Outcome};
use crate::events::requests_count;
use crate::patience::Stop;
use crate::report::{Counts, Report, RunEntry};
use crate::shutdown::name_of;
use crate::values::MaxFailed;
use crate::wire::{Batch, Status};

/// A verdict with its reasons.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// The word.
    pub outcome: Outcome,
    /// The exit code.
    pub exit: Exit,
    /// Why, in a sentence.
    pub reason: String,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Verdict {
    fn new(outcome: Outcome, exit: Exit, reason: impl Into<String>) -> Self {
        Self { outcome, exit, reason: reason.into(), hints: Vec::new() }
    }

    /// Writes the verdict into the report.
    pub fn record(self, report: &mut Report) {
        report.outcome = self.outcome;
        report.exit_code = self.exit.code();
        report.reason = self.reason;
        report.hints = self.hints;
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The verdict on an error.
    pub fn of_error(error: &Error, outcome: Outcome) -> Self {
        let reason = error.sentence();
        let reason = if reason.ends_with(['.', '?', '!']) { reason } else { reason + "." };
        Self { outcome, exit: error.exit, reason, hints: error.hints.clone() }
    }

    /// The verdict on requests that were only checked, and are valid.
    pub fn valid() -> Self {
        Self::new(Outcome::Succeeded, Exit::Ok, "The requests are valid; nothing was uploaded.")
    }

    /// The verdict where a key is missing and that was to be no failure.
    pub fn skipped() -> Self {
        Self::new(Outcome::Skipped, Exit::Ok, "There is no `api-key`, so nothing was done, as `skip-without-key` asks.")
            .hint("Workflows for pull requests from forks get no secrets; this one runs where it has them.")
    }

    /// The verdict on a run that leaves its batch to `collect`.
    pub fn submitted(batches: &[&Batch]) -> Self {
        let states: Vec<String> =
            batches.iter().map(|batch| format!("batch {} is {}", batch.id, batch.status.word())).collect();
        let ids: Vec<String> = batches.iter().map(|batch| shell_word(&batch.id)).collect();
        Self::new(Outcome::Pending, Exit::Ok, format!("Submitted: {}.", states.join(", ")))
            .hint(format!("Collect the answers with `batchstep collect {}`, on any machine.", ids.join(" ")))
    }

    /// The verdict on batches that are not over yet.
    pub fn pending(running: &[&Batch], is_failure: bool) -> Self {
        let exit = if is_failure { Exit::Pending } else { Exit::Ok };
        let states: Vec<String> =
            running.iter().map(|batch| format!("batch {} is {}", batch.id, batch.status.word())).collect();
        let reason = format!("Not over yet: {}.", states.join(", "));
        Self::new(Outcome::Pending, exit, reason).hint("Collect again later; nothing was cancelled.")
    }

    /// The verdict on a requests file that is not valid.
    pub fn invalid(faults: u64) -> Self {
        let faults = if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") };
        Self::new(Outcome::Invalid, Exit::Invalid, format!("The requests have {faults}; nothing was uploaded."))
            .hint("Mend the lines named and run again; `batchstep check` looks without uploading.")
    }
}

/// How one batch of a run ended.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// What broke it off.
    pub stop: Option<&'a Stop>,
    /// The batch, as far as there is one.
    pub batch: Option<&'a Batch>,
    /// Whether the batch is another run's.
    pub is_foreign: bool,
    /// The mark of a create that may have been acted on although no batch is known.
    pub in_doubt: Option<&'a str>,
}

impl<'a> End<'a> {
    /// Of a run that was broken off before there was a batch.
    pub fn of(stop: &'a Stop) -> Self {
        Self { stop: Some(stop), batch: None, is_foreign: false, in_doubt: None }
    }

    /// Whether a signal broke it off.
    pub fn is_signalled(&self) -> bool {
        matches!(self.stop, Some(Stop::Signal(_) | Stop::Detached(_)))
    }

    /// How much it weighs among others, in the precedence of the exit codes.
    fn rank(&self) -> u8 {
        match self.stop {
            Some(Stop::Signal(_)) => 0,
            Some(Stop::Detached(_)) => 1,
            Some(Stop::Failed(error)) => 1 + error.exit.code().min(100),
            Some(Stop::Unknown(_)) => 1 + Exit::Refused.code(),
            Some(Stop::Deadline) => 110,
            Some(Stop::HandedOver) => 111,
            None => 112,
        }
    }
}

/// Judges a run: what weighs most counts, and only then the requests. `doubtful`
/// are the batches of which answers that were paid for could not be fetched.
pub fn judge_all(ends: &[End<'_>], rows: Option<Rows>, doubtful: &[(Batch, String)], max_failed: MaxFailed) -> Verdict {
    let verdict = judge_ends(ends, rows, max_failed);
    let outranks =
        matches!(verdict.exit, Exit::Signal(_) | Exit::Internal | Exit::Usage | Exit::Invalid | Exit::Refused);
    if doubtful.is_empty() || outranks { verdict } else { uncollected(doubtful, rows) }
}

fn judge_ends(ends: &[End<'_>], rows: Option<Rows>, max_failed: MaxFailed) -> Verdict {
    let Some(worst) = ends.iter().min_by_key(|end| end.rank()) else {
        return Verdict::new(Outcome::Failed, Exit::Internal, "The run ended without a batch.");
    };
    if ends.len() == 1 {
        return judge(worst, rows, max_failed);
    }
    let counts = rows.map(|rows| rows.counts);
    let kept = counts.map(|counts| {
        format!(" {} of {} were answered well and are kept.", counts.succeeded, requests_count(counts.total))
    });
    if let Some(mut verdict) = handed_over::in_part(ends) {
        verdict.reason += &kept.unwrap_or_default();
        return verdict;
    }
    let is_over = |end: &End<'_>| end.batch.is_some_and(|batch| batch.status.is_terminal());
    let in_time =
        matches!(worst.stop, Some(Stop::Deadline)) && ends.iter().all(is_over) && rows.is_some_and(Rows::all_ran);
    if worst.stop.is_some() && !in_time {
        let stopped = ends.iter().filter(|end| end.stop.is_some()).count();
        let mut verdict = match worst.stop {
            Some(Stop::Signal(number) | Stop::Detached(number)) => interrupted(*number, ends),
            _ => judge(worst, None, max_failed),
        };
        let reason = format!("{stopped} of {} batches did not come to their end. {}", ends.len(), verdict.reason);
        verdict.reason = reason + &kept.unwrap_or_default();
        return verdict;
    }
    // The one that says most is one that did not complete.
    let is_whole = |end: &&End<'_>| end.batch.is_some_and(|batch| batch.status == Status::Completed);
    let telling = ends.iter().find(|end| !is_whole(end)).unwrap_or(worst);
    judge(telling, rows, max_failed)
}

/// Judges a run of one batch: what broke it off, how the batch ended, how the requests fared.
pub fn judge(end: &End<'_>, rows: Option<Rows>, max_failed: MaxFailed) -> Verdict {
    let End { stop, batch, is_foreign, .. } = *end;
    if let Some(batch) = batch.filter(|batch| is_foreign && !batch.status.is_terminal())
        && matches!(stop, Some(Stop::Deadline))
    {
        return left_alone(batch);
    }
    match (stop, batch, rows) {
        (Some(Stop::Signal(number) | Stop::Detached(number)), ..) => interrupted(*number, &[*end]),
        (Some(Stop::HandedOver), batch, _) => handed_over(batch),
        (Some(Stop::Failed(error)), batch, _) => {
            with_running(Verdict::of_error(error, Outcome::of_error(error.exit)), batch)
        }
        (Some(Stop::Unknown(error)), _, _) => Verdict::of_error(error, Outcome::Unknown),
        (Some(Stop::Deadline), Some(batch), Some(rows)) if batch.status.is_terminal() && rows.all_ran() => {
            ended(batch, rows, max_failed)
        }
        (Some(Stop::Deadline), batch, rows) => timed_out(batch, rows.map(|rows| rows.counts)),
        (None, Some(batch), Some(rows)) => ended(batch, rows, max_failed),
        (None, _, _) => Verdict::new(Outcome::Failed, Exit::Internal, "The run ended without a batch or its answers."),
    }
}

/// The verdict on what `collect --pending` did; `troubles` are what else went wrong.
/// How each run fared is for its own check to say.
pub fn of_runs(runs: &[RunEntry], troubles: &[String], signal: Option<u8>, fail_if_pending: bool) -> Verdict {
    let pending = runs.iter().filter(|run| run.outcome == Outcome::Pending).count();
    let uncollected =
        |run: &&RunEntry| [Exit::Internal, Exit::Usage, Exit::Refused].iter().any(|exit| exit.code() == run.exit_code);
    let stuck: Vec<&RunEntry> = runs.iter().filter(uncollected).collect();
    let collected = runs.len() - pending - stuck.len();
    let reason = format!("Collected: {collected}. Not over yet: {pending}.");
    if let Some(number) = signal {
        let reason = format!("{} ended it. {reason}", name_of(number));
        return Verdict::new(Outcome::Cancelled, Exit::Signal(number), reason);
    }
    if let Some(run) = stuck.first() {
        let reason = format!("{reason} Could not be collected: {}. {}", stuck.len(), run.reason);
        return Verdict::new(Outcome::Refused, Exit::Refused, reason).hint("The next collection tries again.");
    }
    if let Some(trouble) = troubles.first() {
        return Verdict::new(Outcome::Refused, Exit::Refused, format!("{reason} {trouble}"))
            .hint("The next collection tries again.");
    }
    match pending {
        0 => Verdict::new(Outcome::Succeeded, Exit::Ok, reason),
        _ if fail_if_pending => Verdict::new(Outcome::Pending, Exit::Pending, reason),
        _ => Verdict::new(Outcome::Pending, Exit::Ok, reason),
    }
}

/// Names the batch that goes on without us.
fn with_running(verdict: Verdict, batch: Option<&Batch>) -> Verdict {
    match batch {
        Some(batch) if !batch.status.is_terminal() => verdict.hint(format!(
            "Batch {} may still run and cost: look with `batchstep batch get {id}`, end it with `batchstep batch cancel {id}`.",
            batch.id,
            id = shell_word(&batch.id)
        )),
        _ => verdict,
    }
}

/// The deadline passed, and the batch goes on.
fn handed_over(batch: Option<&Batch>) -> Verdict {
    let id = batch.map(|batch| batch.id.as_str()).unwrap_or_default();
    Verdict::new(Outcome::Detached, Exit::Ok, format!("Time was up; batch {id} goes on, as `on-timeout` asks.")).hint(
        format!(
            "Run again with the same requests to attach to it, or collect it with `batchstep collect {}`.",
            shell_word(id)
        ),
    )
}

/// Time was up before the batch of another run that was waited for was over.
fn left_alone(batch: &Batch) -> Verdict {
    let reason = format!("Time was up; batch {} belongs to another run and was left running.", batch.id);
    Verdict::new(Outcome::TimedOut, Exit::TimedOut, reason)
        .hint("Run again with the same requests to attach to it once more.")
}

fn timed_out(batch: Option<&Batch>, counts: Option<Counts>) -> Verdict {
    let Some(batch) = batch else {
        return Verdict::new(
            Outcome::TimedOut,
            Exit::TimedOut,
            "Time was up before a batch existed; nothing was created.",
        );
    };
    if !batch.status.is_terminal() {
        let reason = format!("Time was up; batch {} was not seen to end within eleven minutes.", batch.id);
        return with_running(Verdict::new(Outcome::TimedOut, Exit::TimedOut, reason), Some(batch));
    }
    let kept = match counts {
        Some(counts) => {
            format!("{} of {} were answered well and are kept", counts.succeeded, requests_count(counts.total))
        }
        None => "its answers were not collected".to_owned(),
    };
    let reason = format!("Time was up; batch {} ended {}: {kept}.", batch.id, batch.status.word());
    Verdict::new(Outcome::TimedOut, Exit::TimedOut, reason).hint("Raise `timeout`, and the job's own limit above it.")
}

fn ended(batch: &Batch, rows: Rows, max_failed: MaxFailed) -> Verdict {
    let Rows { counts, never_ran } = rows;
    let bad = counts.failed + counts.missing;
    let total = requests_count(counts.total);
    if counts.succeeded == 0 && never_ran >= counts.total {
        return nothing_usable(batch);
    }
    if bad == 0 {
        return Verdict::new(Outcome::Succeeded, Exit::Ok, format!("All {total} were answered."));
    }
    let fared = format!("{} failed and {} missing of {total}", counts.failed, counts.missing);
    let how = if batch.status == Status::Completed {
        String::new()
    } else {
        format!("The batch ended {}: ", batch.status.word())
    };
    let allowed = max_failed.allowed(counts.total);
    if bad <= allowed {
        let reason = format!("{how}{fared}, within the {allowed} that `max-failed` allows.");
        return Verdict::new(Outcome::Partial, Exit::Ok, reason);
    }
    let reason = format!("{how}{fared}, more than the {allowed} that `max-failed` allows.");
    Verdict::new(Outcome::Failed, Exit::AnswersFailed, reason)
        .hint("The failures are grouped by code in the report; `results.jsonl` has each in its place.")
}

fn nothing_usable(batch: &Batch) -> Verdict {
    let verdict = |reason: String| Verdict::new(Outcome::Failed, Exit::BatchFailed, reason);
    let id = &batch.id;
    match &batch.status {
        Status::Expired => verdict(format!("Batch {id} expired with nothing answered.")),
        Status::Completed => verdict(format!("Batch {id} completed with nothing answered.")),
        Status::Cancelled => verdict(format!("Batch {id} was cancelled by somebody else with nothing answered.")),
        _ => {
            let codes: Vec<&str> = batch.errors.iter().filter_map(|error| error.code.as_deref()).collect();
            let verdict = verdict(format!("The provider refused the batch {id} as a whole: {}.", first_error(batch)));
            if codes.contains(&"token_limit_exceeded") {
                return verdict.hint(
                    "Other batches hold the enqueued-token quota: run again when they have ended, or split the file.",
                );
            }
            verdict.hint(
                "Each fault is listed with its line; the provider's limits may be stricter than `batchstep check`.",
            )
        }
    }
}

/// An id as a word that can be pasted into a shell: ids are the provider's text.
pub(crate) fn shell_word(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+@".contains(c);
    if !id.is_empty() && id.chars().all(plain) { id.to_owned() } else { format!("'{}'", id.replace('\'', r"'\''")) }
}

fn first_error(batch: &Batch) -> String {
    let Some(error) = batch.errors.first() else { return "it gives no reason".to_owned() };
    let text = error.message.as_deref().or(error.code.as_deref()).unwrap_or("it gives no reason").trim_end_matches('.');
    let line = error.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let more = match batch.errors.total {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    format!("{line}{}{more}", crate::retry::shorten(text, 300))
}

#[cfg(test)]
mod tests {
    use super::{
        Batch, Counts, End, Error, Exit, MaxFailed, Outcome, Rows, Status, Stop, judge, judge_all, shell_word,
    };

    fn batch(status: Status) -> Batch {
        Batch { id: "batch_1".into(), status, ..Batch::default() }
    }

    fn end<'a>(stop: Option<&'a Stop>, batch: &'a Batch) -> End<'a> {
        End { stop, batch: Some(batch), is_foreign: false, in_doubt: None }
    }

    /// Rows of which those that are missing never ran.
    fn rows(succeeded: u64, failed: u64, missing: u64) -> Rows {
        let counts = Counts { total: succeeded + failed + missing, succeeded, failed, missing, ..Counts::default() };
        Rows { counts, never_ran: missing }
    }

    fn expired(succeeded: u64, expired: u64) -> Rows {
        Rows { never_ran: expired, ..rows(succeeded, expired, 0) }
    }

    #[test]
    fn the_rows_decide_and_the_status_only_without_them() {
        use Status::{Cancelled, Completed, Expired, Failed};
        let table = [
            (Completed, rows(9, 0, 0), Outcome::Succeeded, 0),
            (Completed, rows(8, 1, 0), Outcome::Partial, 0),
            (Completed, rows(7, 1, 1), Outcome::Failed, 7),
            (Completed, rows(0, 9, 0), Outcome::Failed, 7),
            (Completed, rows(0, 0, 9), Outcome::Failed, 5),
            (Expired, expired(0, 9), Outcome::Failed, 5),
            (Expired, rows(0, 9, 0), Outcome::Failed, 7),
            (Expired, expired(8, 1), Outcome::Partial, 0),
            (Expired, expired(5, 4), Outcome::Failed, 7),
            (Cancelled, rows(0, 0, 9), Outcome::Failed, 5),
            (Cancelled, rows(0, 1, 8), Outcome::Failed, 7),
            (Cancelled, expired(1, 8), Outcome::Failed, 7),
            (Failed, rows(0, 0, 9), Outcome::Failed, 5),
        ];
        for (status, rows, outcome, code) in table {
            let verdict = judge(&end(None, &batch(status.clone())), Some(rows), MaxFailed::Count(1));
            assert_eq!((verdict.outcome, verdict.exit.code()), (outcome, code), "{status:?} {rows:?}");
        }
    }

    #[test]
    fn what_broke_the_run_off_comes_first() {
        let done = batch(Status::Completed);
        let judged = |stop| judge(&end(Some(&stop), &done), Some(expired(8, 1)), MaxFailed::Count(0));
        assert_eq!(judged(Stop::Signal(15)).exit, Exit::Signal(15));
        assert_eq!(judged(Stop::Failed(Error::internal("x"))).exit, Exit::Internal);
        assert_eq!(judged(Stop::Failed(Error::refused("x"))).outcome, Outcome::Refused);
        assert_eq!(judged(Stop::Unknown(Error::refused("x"))).outcome, Outcome::Unknown);
        assert_eq!(judged(Stop::Deadline).exit, Exit::TimedOut);
    }

    #[test]
    fn a_cancel_that_came_too_late_changes_nothing() {
        let late = |status, rows| judge(&end(Some(&Stop::Deadline), &batch(status)), Some(rows), MaxFailed::Count(0));
        assert_eq!(late(Status::Cancelled, rows(9, 0, 0)).outcome, Outcome::Succeeded);
        assert_eq!(late(Status::Cancelled, rows(7, 2, 0)).exit, Exit::AnswersFailed);
        assert_eq!(late(Status::Cancelled, rows(7, 0, 2)).exit, Exit::TimedOut);
        assert_eq!(late(Status::Completed, expired(7, 2)).exit, Exit::TimedOut);
        assert_eq!(late(Status::InProgress, rows(9, 0, 0)).exit, Exit::TimedOut);
    }

    #[test]
    fn answers_that_could_not_be_fetched_outrank_their_number() {
        let done = batch(Status::Completed);
        let doubtful = [(done.clone(), "its output file is not there".to_owned())];
        let judged =
            |stop: Option<&Stop>| judge_all(&[end(stop, &done)], Some(rows(1, 0, 8)), &doubtful, MaxFailed::Count(9));
        let verdict = judged(None);
        assert_eq!((verdict.outcome, verdict.exit), (Outcome::Uncollected, Exit::Refused));
        assert!(verdict.hints[0].contains("batchstep collect batch_1"), "{verdict:?}");
        assert_eq!(judged(Some(&Stop::Deadline)).outcome, Outcome::Uncollected);
        assert_eq!(judged(Some(&Stop::Signal(15))).exit, Exit::Signal(15));
        assert_eq!(judged(Some(&Stop::Failed(Error::internal("x")))).exit, Exit::Internal);
    }

    #[test]
    fn an_id_cannot_reach_a_shell() {
        assert_eq!(shell_word("batch_6-x/y.z"), "batch_6-x/y.z");
        assert_eq!(shell_word("x; rm '~'"), r"'x; rm '\''~'\'''");
    }

    #[test]
    fn a_batch_that_goes_on_is_named() {
        let running = batch(Status::InProgress);
        let verdict = judge(&end(Some(&Stop::Failed(Error::refused("No."))), &running), None, MaxFailed::Count(0));
        assert!(verdict.hints[0].contains("batchstep batch cancel batch_1"), "{verdict:?}");
    }
}
