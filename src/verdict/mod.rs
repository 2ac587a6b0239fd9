//! The verdict: what all that happened comes to. A pure decision.
//!
//! `completed` is not success: the rows decide, and `max-failed` says how many
//! of them may be bad. The order in which the reasons count is the exit codes'
//! precedence: a signal, our own failure, the requests, a refusal, the
//! deadline, the batch, the answers.

mod allowed;
mod answers;
mod handed_over;
mod next;
mod over_budget;
mod rows;
mod signals;
mod unfetched;

pub(crate) use self::allowed::Allowed;
use self::answers::{ended, fared, send_again};
pub(crate) use self::over_budget::{not_all_sent, over_budget};
pub(crate) use self::rows::Rows;
use self::signals::interrupted;
pub(crate) use self::unfetched::{incomplete, or_uncollected, unseen};
use crate::attachment::Owner;
use crate::dialects::{Batch, Status};
use crate::error::{Error, Exit, Outcome};
use crate::guard::Stop;
use crate::invocation::Invocation;
use crate::report::{Counts, Report, RunEntry};
use crate::requests::Fault;
use crate::shutdown::name_of;
use crate::text::{counted, requests_count};

/// A verdict with its reasons.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
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
    pub(crate) fn record(self, report: &mut Report) {
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
    pub(crate) fn of_error(error: &Error, outcome: Outcome) -> Self {
        let reason = error.sentence();
        let reason = if reason.ends_with(['.', '?', '!']) { reason } else { reason + "." };
        Self { outcome, exit: error.exit, reason, hints: error.hints.clone() }
    }

    /// The verdict on requests that were only checked, and are valid.
    pub(crate) fn valid() -> Self {
        Self::new(Outcome::Succeeded, Exit::Ok, "The requests are valid; nothing was uploaded.")
    }

    /// The verdict where a key is missing and that was to be no failure.
    pub(crate) fn skipped() -> Self {
        Self::new(Outcome::Skipped, Exit::Ok, "There is no `api-key`, so nothing was done, as `skip-without-key` asks.")
            .hint("Jobs for pull requests from forks usually get no secrets; this one runs where it has them.")
    }

    /// The verdict on a run that leaves its batch to `collect`.
    pub(crate) fn submitted(batches: &[&Batch], how: &Invocation) -> Self {
        let states: Vec<String> =
            batches.iter().map(|batch| format!("batch {} is {}", batch.id, batch.status.word())).collect();
        let ids: Vec<&str> = batches.iter().map(|batch| &*batch.id).collect();
        let verdict = Self::new(Outcome::Pending, Exit::Ok, format!("Submitted: {}.", states.join(", ")));
        match how.collect(&ids) {
            Some(collect) => verdict.hint(format!("Collect the answers with `{collect}`, on any machine.")),
            None => verdict,
        }
    }

    /// The verdict on a run of which not all batches are over yet.
    pub(crate) fn pending(batches: &[Batch], exit: Exit, trouble: Option<&str>, how: &Invocation) -> Self {
        let ids: Vec<&str> = batches.iter().map(|batch| &*batch.id).collect();
        let running = batches.iter().filter(|batch| !batch.status.is_terminal());
        let states: Vec<String> =
            running.map(|batch| format!("batch {} is {}", batch.id, batch.status.word())).collect();
        let reason = format!("Not over yet: {}.{}", states.join(", "), handed_over::amid(trouble));
        let verdict = Self::new(Outcome::Pending, exit, reason);
        match how.collect(&ids) {
            Some(collect) => verdict.hint(format!("Collect again later with `{collect}`; nothing was cancelled.")),
            None => verdict.hint("Collect again later; nothing was cancelled."),
        }
    }

    /// The verdict on requests that are not valid; `check` is the command that checks them.
    pub(crate) fn invalid(faults: &[Fault], count: u64, check: Option<&str>) -> Self {
        let are_whole = faults.iter().all(|fault| fault.line.is_none());
        let count = counted(count, "fault", "faults");
        Self::new(Outcome::Invalid, Exit::Invalid, format!("The requests have {count}; nothing was uploaded.")).hint(
            match check {
                _ if are_whole => "Fix the file as described above and try again.".to_owned(),
                Some(check) => format!("Fix the lines named and run again; `{check}` checks without uploading."),
                None => "Fix the lines named and try again.".to_owned(),
            },
        )
    }
}

/// How one batch of a run ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    /// What broke it off.
    pub stop: Option<&'a Stop>,
    /// The batch, as far as there is one.
    pub batch: Option<&'a Batch>,
    /// Whether the batch is another run's.
    pub owner: Owner,
    /// The mark of a create that may have been acted on although no batch is known.
    pub in_doubt: Option<&'a str>,
}

impl<'a> End<'a> {
    /// Of a run that was broken off before there was a batch.
    pub(crate) fn of(stop: &'a Stop) -> Self {
        Self { stop: Some(stop), batch: None, owner: Owner::ThisRun, in_doubt: None }
    }

    /// Of a batch that nobody here made.
    pub(crate) fn of_batch(stop: Option<&'a Stop>, batch: &'a Batch) -> Self {
        Self { stop, batch: Some(batch), owner: Owner::ThisRun, in_doubt: None }
    }

    /// Of batches that nobody here made, each with what broke it off.
    pub(crate) fn all(batches: &'a [Batch], stops: &'a [Option<Stop>]) -> Vec<Self> {
        batches.iter().zip(stops).map(|(batch, stop)| Self::of_batch(stop.as_ref(), batch)).collect()
    }

    /// Whether a signal broke it off.
    pub(crate) fn is_signalled(&self) -> bool {
        matches!(self.stop, Some(Stop::Signal(_) | Stop::Detached(_)))
    }

    /// How much it weighs among others, in the precedence of the exit codes.
    fn rank(&self) -> u8 {
        match self.stop {
            Some(Stop::Signal(_)) => 0,
            Some(Stop::Detached(_)) => 1,
            // A batch that may exist says more than one that was refused, which has the same exit code.
            Some(Stop::Unknown(_)) => 2 * Exit::Refused.code(),
            Some(Stop::Failed(error)) => 1 + 2 * error.exit.code().min(50),
            // A batch that keeps running says more than one that was not created.
            Some(Stop::Deadline(_)) => match self.batch {
                Some(batch) if !batch.status.is_terminal() => 110,
                Some(_) => 111,
                None => 112,
            },
            Some(Stop::HandedOver(_)) => 113,
            None => 114,
        }
    }
}

/// Judges a run: what weighs most counts, and only then the requests. `doubtful`
/// are the batches of which answers that were paid for could not be fetched.
pub(crate) fn judge_all(
    ends: &[End<'_>],
    rows: Option<Rows>,
    doubtful: &[(Batch, String)],
    allowed: Allowed,
    how: &Invocation,
) -> Verdict {
    or_uncollected(judge_ends(ends, rows, allowed, how), doubtful, &next::all(ends), rows, how)
}

fn judge_ends(ends: &[End<'_>], rows: Option<Rows>, allowed: Allowed, how: &Invocation) -> Verdict {
    let Some(worst) = ends.iter().min_by_key(|end| end.rank()) else {
        return match rows {
            Some(rows) => fared(None, rows, allowed, how),
            None => Verdict::new(Outcome::Failed, Exit::Internal, "The run ended without a batch."),
        };
    };
    if ends.len() == 1 {
        return judge(worst, rows, allowed, how);
    }
    let kept = rows.map(|rows| format!(" {}.", kept(rows.counts)));
    if let Some(mut verdict) = handed_over::in_part(ends, how) {
        verdict.reason += &kept.unwrap_or_default();
        return verdict;
    }
    let is_over = |end: &End<'_>| end.batch.is_some_and(|batch| batch.status.is_terminal());
    let in_time =
        matches!(worst.stop, Some(Stop::Deadline(_))) && ends.iter().all(is_over) && rows.is_some_and(Rows::all_ran);
    if worst.stop.is_some() && !in_time {
        let is_cut_short = |end: &&End<'_>| matches!(end.stop, Some(Stop::Deadline(_))) || !is_over(end);
        let stopped = ends.iter().filter(|end| end.stop.is_some()).filter(is_cut_short).count();
        let mut verdict = judge_among(worst, ends, None, allowed, how);
        if stopped > 0 {
            let of = ends.len();
            verdict.reason = format!("{stopped} of {of} batches did not end. {}", verdict.reason);
        }
        verdict.reason += &kept.unwrap_or_default();
        return verdict;
    }
    // The one that says most is one that did not complete.
    let is_whole = |end: &&End<'_>| end.batch.is_some_and(|batch| batch.status == Status::Completed);
    let telling = ends.iter().find(|end| !is_whole(end)).unwrap_or(worst);
    judge_among(telling, ends, rows, allowed, how)
}

/// Judges a run of one batch: what broke it off, how the batch ended, how the requests fared.
pub(crate) fn judge(end: &End<'_>, rows: Option<Rows>, allowed: Allowed, how: &Invocation) -> Verdict {
    judge_among(end, &[*end], rows, allowed, how)
}

/// Judges by the end that says most; hints are about all batches of the run.
fn judge_among(end: &End<'_>, ends: &[End<'_>], rows: Option<Rows>, allowed: Allowed, how: &Invocation) -> Verdict {
    let verdict = match (end.stop, end.batch, rows) {
        (Some(Stop::Signal(number) | Stop::Detached(number)), ..) => return interrupted(*number, ends, how),
        (Some(Stop::HandedOver(_)), ..) => return handed_over::whole(end, how),
        (Some(Stop::Deadline(_)), Some(batch), _) if end.owner == Owner::AnotherRun && !batch.status.is_terminal() => {
            return left_alone(end, batch, how);
        }
        (Some(Stop::Failed(error)), ..) => Verdict::of_error(error, Outcome::of_error(error.exit)),
        (Some(Stop::Unknown(error)), ..) => {
            let mut verdict = Verdict::of_error(error, Outcome::Unknown);
            verdict.hints.extend(next::unknown(&next::all(ends), how));
            verdict
        }
        (Some(Stop::Deadline(_)), Some(batch), Some(rows)) if batch.status.is_terminal() && rows.all_ran() => {
            ended(batch, rows, allowed, how)
        }
        (Some(stop @ Stop::Deadline(_)), batch, rows) => timed_out(batch, rows, stop.trouble(), how),
        (None, Some(batch), Some(rows)) => ended(batch, rows, allowed, how),
        (None, _, _) => Verdict::new(Outcome::Failed, Exit::Internal, "The run ended without a batch or its answers."),
    };
    next::running(ends, how).into_iter().fold(verdict, Verdict::hint)
}

/// The verdict on what `collect --pending` did; `troubles` are what else went wrong,
/// and `while_pending` is the exit code as long as a batch is pending.
/// How each run fared is for its own check to say.
pub(crate) fn of_runs(runs: &[RunEntry], troubles: &[String], signal: Option<u8>, while_pending: Exit) -> Verdict {
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
        _ => Verdict::new(Outcome::Pending, while_pending, reason),
    }
}

/// Time was up before the batch of another run that was waited for was over.
fn left_alone(end: &End<'_>, batch: &Batch, how: &Invocation) -> Verdict {
    let amid = handed_over::amid(end.stop.and_then(Stop::trouble));
    let reason = format!("Time was up; batch {} belongs to another run and was left running.{amid}", batch.id);
    let hints = next::come_back(&[&batch.id], &[], &[], how);
    Verdict { hints, ..Verdict::new(Outcome::TimedOut, Exit::TimedOut, reason) }
}

fn timed_out(batch: Option<&Batch>, rows: Option<Rows>, trouble: Option<&str>, how: &Invocation) -> Verdict {
    let verdict =
        |reason: String| Verdict::new(Outcome::TimedOut, Exit::TimedOut, reason + &handed_over::amid(trouble));
    let Some(batch) = batch else {
        return verdict("Time was up before a batch existed; nothing was created.".to_owned());
    };
    if !batch.status.is_terminal() {
        return verdict(format!("Time was up; batch {} was not seen to end within eleven minutes.", batch.id));
    }
    let is_kept = match rows {
        Some(rows) => kept(rows.counts),
        None => "its answers were not collected".to_owned(),
    };
    let verdict = verdict(format!("Time was up; batch {} ended {}: {is_kept}.", batch.id, batch.status.word()));
    let raise = "Raise `timeout`, and the job's own limit above it, before you run again";
    match rows.filter(|_| how.only_failed().is_some()) {
        Some(rows) => send_again(verdict.hint(format!("{raise}.")), rows, how),
        None => verdict.hint(format!("{raise}: another run pays for all requests again.")),
    }
}

/// How many answers there are although the run was broken off.
fn kept(counts: Counts) -> String {
    let verbs = if counts.succeeded == 1 { ("was", "is") } else { ("were", "are") };
    let (answered, total) = (counts.succeeded, requests_count(counts.total));
    format!("{answered} of {total} {} answered well and {} kept", verbs.0, verbs.1)
}

#[cfg(test)]
mod tests {
    use super::{Allowed, Batch, Counts, End, Error, Exit, Outcome, Owner, Rows, Status, Stop, judge, judge_all};
    use crate::values::MaxFailed;

    use crate::invocation::samples::usual;

    fn batch(status: Status) -> Batch {
        Batch { id: "batch_1".into(), status, ..Batch::default() }
    }

    fn end<'a>(stop: Option<&'a Stop>, batch: &'a Batch) -> End<'a> {
        End { stop, batch: Some(batch), owner: Owner::ThisRun, in_doubt: None }
    }

    /// Rows of which those that are missing never ran.
    fn rows(succeeded: u64, failed: u64, missing: u64) -> Rows {
        let counts = Counts { total: succeeded + failed + missing, succeeded, failed, missing, ..Counts::default() };
        Rows { counts, never_ran: missing, paid: 0, fail_again: 0 }
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
            let verdict = judge(&end(None, &batch(status.clone())), Some(rows), MaxFailed::Count(1).into(), &usual());
            assert_eq!((verdict.outcome, verdict.exit.code()), (outcome, code), "{status:?} {rows:?}");
        }
    }

    #[test]
    fn suspect_answers_fail_a_run_only_beyond_their_limit() {
        let done = batch(Status::Completed);
        let judged = |failed: u64, suspect: u64, most: Option<MaxFailed>| {
            let mut rows = rows(100 - failed, failed, 0);
            rows.counts.suspect = suspect;
            let allowed = Allowed { failed: MaxFailed::Count(1), suspect: most };
            let verdict = judge(&end(None, &done), Some(rows), allowed, &usual());
            (verdict.outcome, verdict.exit.code(), verdict.reason)
        };
        let most = Some(MaxFailed::Share(20_000));
        assert_eq!((judged(0, 100, None).0, judged(0, 2, most).0), (Outcome::Succeeded, Outcome::Succeeded));
        let (outcome, code, reason) = judged(1, 3, most);
        assert_eq!((outcome, code), (Outcome::Failed, 7));
        assert_eq!(reason, "3 answers to 100 requests are suspect, more than the 2 that `max-suspect` allows.");
        assert!(judged(2, 3, most).2.contains("`max-failed` allows"));
    }

    #[test]
    fn what_broke_the_run_off_comes_first() {
        let done = batch(Status::Completed);
        let judged = |stop| judge(&end(Some(&stop), &done), Some(expired(8, 1)), MaxFailed::Count(0).into(), &usual());
        assert_eq!(judged(Stop::Signal(15)).exit, Exit::Signal(15));
        assert_eq!(judged(Stop::Failed(Error::internal("x"))).exit, Exit::Internal);
        assert_eq!(judged(Stop::Failed(Error::refused("x"))).outcome, Outcome::Refused);
        assert_eq!(judged(Stop::Unknown(Error::refused("x"))).outcome, Outcome::Unknown);
        assert_eq!(judged(Stop::Deadline(None)).exit, Exit::TimedOut);
    }

    #[test]
    fn a_cancel_that_came_too_late_changes_nothing() {
        let late = |status, rows| {
            judge(&end(Some(&Stop::Deadline(None)), &batch(status)), Some(rows), MaxFailed::Count(0).into(), &usual())
        };
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
        let judged = |stop: Option<&Stop>| {
            judge_all(&[end(stop, &done)], Some(rows(1, 0, 8)), &doubtful, MaxFailed::Count(9).into(), &usual())
        };
        let verdict = judged(None);
        assert_eq!((verdict.outcome, verdict.exit), (Outcome::Uncollected, Exit::Refused));
        assert!(verdict.hints[0].contains("batchstep collect batch_1"), "{verdict:?}");
        assert_eq!(judged(Some(&Stop::Deadline(None))).outcome, Outcome::Uncollected);
        assert_eq!(judged(Some(&Stop::Signal(15))).exit, Exit::Signal(15));
        assert_eq!(judged(Some(&Stop::Failed(Error::internal("x")))).exit, Exit::Internal);
    }

    #[test]
    fn a_batch_that_goes_on_is_named() {
        let running = batch(Status::InProgress);
        let verdict = judge(
            &end(Some(&Stop::Failed(Error::refused("No."))), &running),
            None,
            MaxFailed::Count(0).into(),
            &usual(),
        );
        assert!(verdict.hints[0].contains("batchstep cancel batch_1"), "{verdict:?}");
    }
}
