//! How runs end: one report of each kind, as a run makes it.

use super::{
    AGAIN, costs, failed_validation, failure, invalid, nothing_collected, nothing_spent, partial, phase, schema,
    set_verdict, simulated, succeeded, suspects,
};
use crate::attachment::{Attachment, By, Owner};
use crate::dialects::{Counts as BatchCounts, Status, Suspicion};
use crate::error::{Exit, Outcome};
use crate::report::{BatchReport, Continued, Counts, FailureGroup, FilePage, Prospect, Report, ShardReport};
use crate::usd::Usd;

/// Each kind of end by its name.
pub(crate) fn states() -> Vec<(&'static str, Report)> {
    vec![
        ("all-well", succeeded()),
        ("within-max-failed", partial()),
        ("some-failed", some_failed()),
        ("all-failed", all_failed()),
        ("batch-failed", failed_validation()),
        ("invalid", invalid()),
        ("refused", refused()),
        ("expired", expired()),
        ("timed-out", timed_out()),
        ("cancelled", cancelled()),
        ("detached", detached()),
        ("pending", pending()),
        ("unknown", unknown()),
        ("uncollected", uncollected()),
        ("suspect", suspect()),
        ("several", several()),
        ("attached", attached()),
        ("only-failed", only_failed()),
        ("skipped", skipped()),
        ("simulated", simulated()),
        ("checked", checked()),
        ("budget", budget()),
    ]
}

fn counted(report: &mut Report, succeeded: u64, failed: u64, missing: u64) {
    let total = succeeded + failed + missing;
    report.counts = Counts { total, succeeded, failed, missing, ..Counts::default() };
    report.requests.total = total;
    report.batches[0].request_counts = BatchCounts::of(total, succeeded, failed);
    let usage = &mut report.usage[0];
    (usage.succeeded, usage.failed) = (succeeded, failed);
}

fn hinted(report: &mut Report, outcome: Outcome, exit: Exit, reason: &str, hints: &[&str]) {
    set_verdict(report, outcome, exit, reason);
    report.hints = hints.iter().map(ToString::to_string).collect();
}

fn fails_again(code: &str, status: u16, message: &str, count: u64, ids: &[&str], advice: &str) -> FailureGroup {
    let (prospect, advice) = (Prospect::FailsAgain, advice.to_owned());
    FailureGroup { status: Some(status), prospect, advice, ..failure(code, message, count, ids) }
}

fn some_failed() -> Report {
    let mut report = succeeded();
    counted(&mut report, 222, 17, 1);
    report.ended_at = "2026-01-02T03:17:05Z".to_owned();
    report.batches[0].error_file_id = Some("file-err".to_owned());
    report.requests.pages = vec![FilePage {
        file: "requests.jsonl".to_owned(),
        url: "https://github.com/o/r/blob/abc/requests.jsonl".into(),
    }];
    let mut limited =
        failure("rate_limit_exceeded", "Rate limit reached for gpt-4.1-mini.", 14, &["q-7", "q-19", "q-20"]);
    limited.status = Some(429);
    let long = "This model's maximum context length is 1047576 tokens, however you requested 1100001 tokens.";
    let shorten = "Shorten these requests: they are longer than the model takes.";
    let mut missing = failure("batchstep_missing", "The provider gave no answer to this request.", 1, &["q-110"]);
    missing.advice = "No answer came for these: send them again, unless the batch itself was refused.".to_owned();
    report.failures = vec![
        limited,
        fails_again("context_length_exceeded", 400, long, 3, &["q-31", "q-32", "q-90"], shorten),
        missing,
    ];
    hinted(
        &mut report,
        Outcome::Failed,
        Exit::AnswersFailed,
        "17 of 240 requests failed and 1 is missing, more than the 0 that `max-failed` allows.",
        &[AGAIN],
    );
    report
}

fn all_failed() -> Report {
    let mut report = succeeded();
    counted(&mut report, 0, 240, 0);
    nothing_spent(&mut report);
    let message =
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    let advice = "Remove from these requests what the model does not support.";
    report.failures = vec![fails_again("unsupported_parameter", 400, message, 240, &["q-1", "q-2", "q-3"], advice)];
    hinted(
        &mut report,
        Outcome::Failed,
        Exit::AnswersFailed,
        "240 of 240 requests failed, more than the 0 that `max-failed` allows.",
        &[
            "Correct these requests first: sent as they are, they fail again. `batchstep run requests.jsonl --only-failed` sends only the failed requests again; without `--only-failed`, all requests are paid for again.",
        ],
    );
    report
}

fn only_failed() -> Report {
    let mut report = succeeded();
    counted(&mut report, 240, 0, 0);
    report.batches[0].request_counts = BatchCounts::of(18, 18, 0);
    report.usage[0].succeeded = 18;
    let earlier = "batch-results.earlier/2026-01-01T03-04-05Z/report.json".to_owned();
    report.continued =
        Some(Continued { report: earlier, round: 1, key: "k".to_owned(), sent: 18, kept: 222, kept_failed: 0 });
    report
}

fn refused() -> Report {
    let mut report = succeeded();
    nothing_collected(&mut report);
    report.cost = crate::report::CostReport::default();
    report.batches.clear();
    report.input_file_id = None;
    report.phases.truncate(1);
    report.ended_at = "2026-01-02T03:04:09Z".to_owned();
    hinted(
        &mut report,
        Outcome::Refused,
        Exit::Refused,
        "The provider refused the API key: Incorrect API key provided (HTTP 401).",
        &["Check `api-key`: it was read from OPENAI_API_KEY."],
    );
    report
}

fn expired() -> Report {
    let mut report = succeeded();
    counted(&mut report, 0, 0, 1_200);
    nothing_spent(&mut report);
    report.ended_at = "2026-01-03T03:04:41Z".to_owned();
    report.batches[0].status = Status::Expired;
    report.batches[0].ended_at = Some(1_767_409_450);
    report.failures = vec![failure(
        "batchstep_missing",
        "The provider gave no answer to this request.",
        1_200,
        &["q-1", "q-2", "q-3"],
    )];
    hinted(&mut report, Outcome::Failed, Exit::BatchFailed, "Batch batch_1 expired without any answer.", &[]);
    report
}

fn timed_out() -> Report {
    let mut report = succeeded();
    counted(&mut report, 700, 0, 500);
    report.batches[0].status = Status::Cancelled;
    report.ended_at = "2026-01-02T08:34:41Z".to_owned();
    report.failures = vec![failure(
        "batchstep_missing",
        "The provider gave no answer to this request.",
        500,
        &["q-701", "q-702", "q-703"],
    )];
    hinted(
        &mut report,
        Outcome::TimedOut,
        Exit::TimedOut,
        "Time was up; batch batch_1 ended cancelled: 700 of 1200 requests were answered well and are kept.",
        &[
            "Raise `timeout`, and the job's own limit above it, before you run again: another run pays for all requests again.",
        ],
    );
    report
}

fn cancelled() -> Report {
    let mut report = succeeded();
    nothing_collected(&mut report);
    report.batches[0].status = Status::Cancelling;
    report.batches[0].ended_at = None;
    hinted(
        &mut report,
        Outcome::Cancelled,
        Exit::Signal(15),
        "SIGTERM ended the run; batch batch_1 is cancelled.",
        &["Collect what it answered with `batchstep collect batch_1`."],
    );
    report
}

fn detached() -> Report {
    let mut report = cancelled();
    report.batches[0].status = Status::InProgress;
    report.batches[0].request_counts = BatchCounts::of(1200, 300, 0);
    hinted(
        &mut report,
        Outcome::Detached,
        Exit::Ok,
        "Time was up; batch batch_1 was left running, as `on-timeout: detach` asks.",
        &[
            "Run again with the same requests to attach, collect with `batchstep collect batch_1`, or end what runs with \
             `batchstep cancel batch_1`.",
        ],
    );
    report
}

fn pending() -> Report {
    let mut report = detached();
    hinted(
        &mut report,
        Outcome::Pending,
        Exit::Ok,
        "Submitted: batch batch_1 is in_progress.",
        &["Collect the answers with `batchstep collect batch_1`, on any machine."],
    );
    report.cost.estimate = Some(costs::estimate());
    report
}

fn unknown() -> Report {
    let mut report = refused();
    hinted(
        &mut report,
        Outcome::Unknown,
        Exit::Refused,
        "The reply to creating a batch of file file-in was lost, and the list of batches cannot be read.",
        &[
            "If there is one, collect it with `batchstep collect BATCH_ID`: a new run pays for the same requests again.",
            "If there is none, remove batch-results/journal.jsonl and run again.",
        ],
    );
    report
}

fn uncollected() -> Report {
    let mut report = succeeded();
    counted(&mut report, 1_000, 0, 200);
    report.failures =
        vec![failure("batchstep_missing", "The provider gave no answer to this request.", 200, &["q-1001", "q-1002"])];
    hinted(
        &mut report,
        Outcome::Uncollected,
        Exit::Refused,
        "The answers of batch batch_1 are paid for but could not be fetched: its output file breaks off (HTTP 502).",
        &["Fetch them later with `batchstep collect batch_1`: nothing is paid again."],
    );
    report
}

fn suspect() -> Report {
    let mut report = succeeded();
    report.counts.suspect = 9;
    report.counts.schema_violations = 3;
    report.suspects = vec![
        suspects(Suspicion::CutOff, 7, &["q-3", "q-9", "q-12"]),
        suspects(Suspicion::Refusal, 2, &["q-40", "q-77"]),
    ];
    let mut checked = schema("items[].price", "\"12 EUR\" is not of type \"number\"", "q-5");
    checked.groups[0].value = Some("\"12 EUR\"".to_owned());
    checked.unusable.clear();
    checked.unchecked = 0;
    report.schema = Some(checked);
    report.max_suspect = Some("0.5%".to_owned());
    hinted(
        &mut report,
        Outcome::Failed,
        Exit::AnswersFailed,
        "9 answers to 1200 requests are suspect, more than the 6 that `max-suspect` allows.",
        &[
            "Correct the prompts or raise the limit on tokens, as the kinds of suspect answers say. `retry-on: suspect` sends such requests again, and pays for them again.",
        ],
    );
    report
}

fn several() -> Report {
    let mut report = some_failed();
    report.requests.model = None;
    let shard = |number: u64, model: &str| ShardReport {
        endpoint: "/v1/chat/completions".to_owned(),
        model: Some(model.to_owned()),
        requests: 80,
        bytes: 9_000 + number,
        key: None,
        batch_id: (number < 3).then(|| format!("batch_{number}")),
    };
    report.shards = vec![shard(1, "gpt-4.1-mini"), shard(2, "gpt-4.1"), shard(3, "gpt-4.1-nano")];
    let batch = |id: &str, attempt| BatchReport {
        id: id.to_owned(),
        url: Some(format!("https://platform.openai.com/batches/{id}")),
        attempt,
        request_counts: BatchCounts::of(80, 74, 6),
        ..report.batches[0].clone()
    };
    report.batches = vec![batch("batch_1", 1), batch("batch_2", 1), batch("batch_4", 2)];
    report.phases = [
        ("check", 0.01),
        ("upload", 1.25),
        ("in_progress", 350.0),
        ("collect", 2.0),
        ("in_progress", 400.0),
        ("collect", 1.0),
    ]
    .map(phase)
    .to_vec();
    let second = crate::report::ModelUsage {
        model: Some("gpt-4.1".to_owned()),
        batch_id: "batch_2".to_owned(),
        usd: Usd::dollars(1.59),
        standard_usd: Usd::dollars(3.18),
        ..report.usage[0].clone()
    };
    report.usage.push(second);
    for (batch, dollars) in report.batches.iter_mut().zip([0.302, 1.59, 0.016]) {
        batch.usd = Usd::dollars(dollars);
    }
    report.cost = costs::with_all(costs::of(1.908, 3.816));
    report.warnings = vec![
        "The retry did not end well: time was up.".to_owned(),
        "The list of batches was not readable; `reuse` relied on the journal.".to_owned(),
    ];
    report.hints.push("See the provider's limits: batches of this account run one after another.".to_owned());
    report
}

fn attached() -> Report {
    let mut report = succeeded();
    let batch = &mut report.batches[0];
    batch.attached = Some(Attachment {
        by: By::List,
        owner: Owner::AnotherRun,
        run: Some("github/123/1/build/batch".to_owned()),
        age: None,
    });
    batch.run_url = Some("https://github.com/o/r/actions/runs/123/attempts/1".to_owned());
    report
}

fn skipped() -> Report {
    let mut report = refused();
    report.origin.clear();
    report.requests = crate::report::Asked::default();
    hinted(
        &mut report,
        Outcome::Skipped,
        Exit::Ok,
        "There is no `api-key`, so nothing was done, as `skip-without-key` asks.",
        &["Jobs for pull requests from forks usually get no secrets; this one runs where it has them."],
    );
    report
}

/// What `check` says.
fn checked() -> Report {
    let mut report = refused();
    report.origin.clear();
    hinted(&mut report, Outcome::Succeeded, Exit::Ok, "1200 requests are valid.", &[]);
    report.cost = costs::of(0.0, 0.0);
    (report.cost.usd, report.cost.standard_usd) = (None, None);
    report.cost.estimate = Some(costs::without_ceiling());
    report
}

/// A run that a budget stopped.
fn budget() -> Report {
    let mut report = several();
    report.warnings.clear();
    report.batches.truncate(2);
    report.cost = costs::of(1.908, 3.816);
    report.cost.estimate = Some(costs::estimate());
    report.cost.budget = Some(costs::budget());
    hinted(
        &mut report,
        Outcome::Refused,
        Exit::Refused,
        "80 requests were not sent: they could exceed the $2.00 that `max-cost` allows.",
        &["`batchstep run requests.jsonl --only-failed --max-cost 1.50` sends the rest, which would cost $1.10."],
    );
    report
}
