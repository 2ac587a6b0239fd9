//! The table that closes a log: what a person reads first, and often last, so
//! it holds the verdict, the numbers behind it, and what to do. Plain lines,
//! each harmless in a log, each begun by our own words.

use super::{SIMULATED, took};
use crate::report::{BatchFault, BatchReport, FailureGroup, Report, RunEntry, ShardReport};
use crate::requests::Fault;
use crate::text::{flat, requests_count, safe, short_key, size, thousands};
use crate::verdict::Verdict;

/// The longest list; the report has the rest.
const MOST_ROWS: usize = 10;
/// The longest list of what is said nowhere else, or is why there is nothing else to say.
const MOST_ERRORS: usize = 100;
const LONGEST: usize = 200;
const LONGEST_ID: usize = 60;
const LONGEST_SENTENCE: usize = 1_000;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    let mut lines = vec![format!("batchstep: {} (exit code {})", report.outcome.word(), report.exit_code)];
    if report.simulated {
        lines.push(format!("  {SIMULATED}"));
    }
    lines.push(format!("  {}", flat(&report.reason, LONGEST_SENTENCE)));
    lines.extend(report.attached().iter().map(|sentence| format!("  {}", flat(sentence, LONGEST_SENTENCE))));
    lines.extend(rows(report).into_iter().map(|(label, value)| format!("  {label:<12}{value}")));
    // Where no report is written, this is the only place that names them.
    let has_report = report.files.report.is_some();
    let most = if has_report { (MOST_ROWS, ", in the report") } else { (MOST_ERRORS, "") };
    section(&mut lines, "Failures", &report.failures, most, failure);
    faults(&mut lines, report, most);
    section(&mut lines, "Warnings", &report.warnings, most, |warning| flat(warning, LONGEST_SENTENCE));
    section(&mut lines, "What to do next", &report.hints, most, |hint| flat(hint, LONGEST_SENTENCE));
    lines.iter().map(|line| safe(line) + "\n").collect()
}

/// Renders what was collected together.
pub(super) fn render_runs(verdict: &Verdict, runs: &[RunEntry]) -> String {
    let mut lines = vec![format!("batchstep: {} (exit code {})", verdict.outcome.word(), verdict.exit.code())];
    if runs.iter().any(|run| run.simulated) {
        lines.push(format!("  {SIMULATED}"));
    }
    lines.push(format!("  {}", flat(&verdict.reason, LONGEST_SENTENCE)));
    section(&mut lines, "Runs", runs, (usize::MAX, ""), |run| {
        let (key, ids) = (flat(short_key(&run.key), LONGEST_ID), run.batch_ids.join(", "));
        let places: String = run.shown_at.places.iter().map(|place| format!(", {}", flat(place, LONGEST_ID))).collect();
        let reason = flat(&run.reason, LONGEST_SENTENCE);
        format!("{key}: {} ({}{places}): {reason}", run.outcome.word(), flat(&ids, LONGEST))
    });
    lines.iter().map(|line| safe(line) + "\n").collect()
}

fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let origin = report.asked_origin().map(|origin| format!(" at {origin}")).unwrap_or_default();
    let mut rows = vec![("Provider", flat(&format!("{}{origin}", report.provider), LONGEST))];
    if report.requests.total > 0 {
        rows.push(("Requests", asked(report)));
    }
    let counts = report.counts;
    if counts.total > 0 {
        let width = thousands(counts.total).len();
        let number = |number| format!("{:>width$}", thousands(number));
        let allowed = flat(&report.max_failed, LONGEST_ID);
        rows.push(("Succeeded", number(counts.succeeded)));
        rows.push(("Failed", format!("{} (failed and missing allowed: {allowed})", number(counts.failed))));
        rows.push(("Missing", number(counts.missing)));
        if counts.unexpected > 0 {
            rows.push(("Unexpected", number(counts.unexpected)));
        }
        let [input, cached, output, reasoning] =
            [report.tokens.input, report.tokens.cached, report.tokens.output, report.tokens.reasoning].map(thousands);
        rows.push(("Tokens", format!("{input} in ({cached} cached), {output} out ({reasoning} reasoning)")));
    }
    for (number, shard) in report.shards.iter().enumerate().take(MOST_ROWS) {
        rows.push(("Shard", shard_line(number + 1, report.shards.len(), shard)));
    }
    if report.shards.len() > MOST_ROWS {
        rows.push(("", format!("and {} more, all in the report", report.shards.len() - MOST_ROWS)));
    }
    for batch in &report.batches {
        rows.push(("Batch", batch_line(batch)));
        rows.extend(batch.errors.iter().take(MOST_ERRORS).map(|error| ("", batch_fault(error))));
        let more = batch.error_count.saturating_sub(MOST_ERRORS as u64);
        if more > 0 {
            let kept = batch.errors.len() as u64;
            let all = if batch.error_count > kept { format!("{} of all", thousands(kept)) } else { "all".to_owned() };
            rows.push(("", format!("and {} more, {all} in the report", thousands(more))));
        }
    }
    let phases: Vec<String> =
        report.phases.iter().map(|phase| format!("{} {}", phase.name, took(phase.seconds))).collect();
    if !phases.is_empty() {
        rows.push(("Time", flat(&phases.join(", "), LONGEST_SENTENCE)));
    }
    let files = &report.files;
    let files = [
        ("Results", &files.results),
        ("Unexpected", &files.unexpected),
        ("Answers", &files.answers),
        ("CSV", &files.answers_csv),
        ("Report", &files.report),
    ];
    rows.extend(files.into_iter().filter_map(|(label, path)| Some((label, flat(path.as_ref()?, LONGEST)))));
    rows
}

/// One reason why the provider failed a batch: where, what and why.
fn batch_fault(error: &BatchFault) -> String {
    let place = match (&error.file, error.line) {
        (Some(file), Some(line)) => format!("{}:{line}: ", flat(file, LONGEST)),
        (None, Some(line)) => format!("line {line}: "),
        (_, None) => String::new(),
    };
    let words = [error.code.as_deref(), error.message.as_deref()].into_iter().flatten().collect::<Vec<_>>();
    format!("{place}{}", flat(&words.join(": "), LONGEST_SENTENCE))
}

fn asked(report: &Report) -> String {
    let asked = &report.requests;
    let of = [
        asked.endpoint.as_deref().map(|endpoint| format!(" for {endpoint}")),
        asked.model.as_ref().map(|model| format!(", model {model}")),
    ];
    let of: String = of.into_iter().flatten().collect();
    let line = format!("{}{of}, {}, from {}", requests_count(asked.total), size(asked.bytes), asked.files.join(", "));
    flat(&line, LONGEST_SENTENCE)
}

fn batch_line(batch: &BatchReport) -> String {
    let counts = batch.request_counts;
    let done = match (counts.done(), counts.total) {
        (Some(done), Some(total @ 1..)) => format!(", {} of {} done", thousands(done), thousands(total)),
        _ => String::new(),
    };
    let again = if batch.attempt > 1 { format!(", try {}", batch.attempt) } else { String::new() };
    format!("{} {}{done}{again}", flat(&batch.id, LONGEST), flat(batch.status.word(), LONGEST_ID))
}

fn shard_line(number: usize, of: usize, shard: &ShardReport) -> String {
    let model = shard.model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
    let requests = requests_count(shard.requests);
    let line = format!("{number} of {of}: {requests} for {}{model}, {}", shard.endpoint, size(shard.bytes));
    flat(&line, LONGEST_SENTENCE)
}

fn failure(group: &FailureGroup) -> String {
    let ids: Vec<String> = group.custom_ids.iter().take(MOST_ROWS).map(|id| flat(id, LONGEST_ID)).collect();
    let more = if group.count > ids.len() as u64 { ", …" } else { "" };
    let (code, message) = (flat(&group.code, LONGEST_ID), flat(&group.message, LONGEST));
    // Where answers were only counted, nobody knows whose are missing.
    let whose = if ids.is_empty() { String::new() } else { format!(" ({}{more})", ids.join(", ")) };
    let status = group.shown_status().map(|status| format!(" ({status})")).unwrap_or_default();
    format!("{} × {code}{status}: {message}{whose}", thousands(group.count))
}

/// The faults: as many rows as `most` says, of which one may be about many lines.
fn faults(lines: &mut Vec<String>, report: &Report, (most, elsewhere): (usize, &str)) {
    let shown = &report.faults[..most.min(report.faults.len())];
    let title = format!("Faults of the requests file, {} in all", thousands(report.fault_count));
    section(lines, &title, shown, (most, elsewhere), |fault| flat(&fault.sentence(), LONGEST_SENTENCE));
    let more: u64 = report.faults[shown.len()..].iter().map(Fault::count).sum();
    if more > 0 {
        lines.push(format!("  - and {} more{elsewhere}", thousands(more)));
    }
}

/// A title and its items, unless there are none: as many as `most` says, and where the others are.
fn section<T>(
    lines: &mut Vec<String>,
    title: &str,
    items: &[T],
    (most, elsewhere): (usize, &str),
    line: impl Fn(&T) -> String,
) {
    if items.is_empty() {
        return;
    }
    lines.push(title.to_owned());
    lines.extend(items.iter().take(most).map(|item| format!("  - {}", line(item))));
    if items.len() > most {
        lines.push(format!("  - and {} more{elsewhere}", thousands((items.len() - most) as u64)));
    }
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;

    use super::render;
    use crate::formats::samples::{self, HOSTILE};
    use crate::text::{deceives, safe};

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!(render(&samples::succeeded()), @r###"
        batchstep: succeeded (exit code 0)
          All 1200 requests succeeded.
          Provider    openai at https://api.openai.com
          Requests    1200 requests for /v1/chat/completions, model gpt-4.1-mini, 345.7 kB, from requests.jsonl
          Succeeded   1,200
          Failed          0 (failed and missing allowed: 0)
          Missing         0
          Tokens      1,234,567 in (1,024 cached), 89,012 out (640 reasoning)
          Batch       batch_1 completed, 1,200 of 1,200 done
          Time        check 0.2s, upload 1.2s, in_progress 5m 50s, collect 2.0s
          Results     batch-results/results.jsonl
          Report      batch-results/report.json
        "###);
        insta::assert_snapshot!(render(&samples::partial()), @r###"
        batchstep: partial (exit code 0)
          13 of 1200 requests failed or are missing; 2% may.
          Provider    openai at https://api.openai.com
          Requests    1200 requests for /v1/chat/completions, model gpt-4.1-mini, 345.7 kB, from requests.jsonl
          Succeeded   1,187
          Failed         12 (failed and missing allowed: 2%)
          Missing         1
          Unexpected      1
          Tokens      1,234,567 in (1,024 cached), 89,012 out (640 reasoning)
          Batch       batch_1 completed, 1,199 of 1,200 done
          Time        check 0.2s, upload 1.2s, in_progress 5m 50s, collect 2.0s
          Results     batch-results/results.jsonl
          Unexpected  batch-results/unexpected.jsonl
          Report      batch-results/report.json
        Failures
          - 12 × rate_limit_exceeded: Too many requests. (q-7, q-19, q-20, …)
          - 1 × batchstep_missing: The provider gave no answer. (q-1100)
        Warnings
          - The list of batches was not readable; `reuse` relied on the journal.
        What to do next
          - Run again with `retries: 2` to send the failed requests again.
        "###);
        insta::assert_snapshot!(render(&samples::failed_validation()), @r###"
        batchstep: failed (exit code 5)
          The provider refused the input of `batch_1`.
          Provider    openai at https://api.openai.com
          Requests    1200 requests for /v1/chat/completions, model gpt-4.1-mini, 345.7 kB, from requests.jsonl
          Batch       batch_1 failed
                      requests.jsonl:7: model_not_found: The model `gpt-9` does not exist.
          Time        check 0.2s, upload 1.2s
          Report      batch-results/report.json
        What to do next
          - Correct the lines above and run again.
        "###);
        insta::assert_snapshot!(render(&samples::invalid()), @r###"
        batchstep: invalid (exit code 3)
          `requests.jsonl` has 2 faults; nothing was uploaded.
          Provider    openai at https://api.openai.com
          Time        check 0.2s
          Report      batch-results/report.json
        Faults of the requests file, 2 in all
          - ./requests.jsonl:3:14: `body.model` is the number 4; each request names its model: write a string
          - requests.jsonl: 50,001 requests; a batch takes at most 50,000: split the file
        "###);
        insta::assert_snapshot!(render(&samples::simulated()), @r###"
        batchstep: succeeded (exit code 0)
          SIMULATED: the sandbox made these answers up, no model was asked.
          All 1200 requests succeeded.
          Provider    sandbox at http://127.0.0.1:4010
          Requests    1200 requests for /v1/chat/completions, model gpt-4.1-mini, 345.7 kB, from requests.jsonl
          Succeeded   1,200
          Failed          0 (failed and missing allowed: 0)
          Missing         0
          Tokens      1,234,567 in (1,024 cached), 89,012 out (640 reasoning)
          Batch       batch_1 completed, 1,200 of 1,200 done
          Time        check 0.2s, upload 1.2s, in_progress 5m 50s, collect 2.0s
          Results     batch-results/results.jsonl
          Report      batch-results/report.json
        "###);
    }

    #[test]
    fn a_log_stays_short_and_says_where_the_rest_is() {
        let mut report = samples::invalid();
        report.faults = vec![report.faults[0].clone(); 1_000];
        let table = render(&report);
        assert!(table.lines().count() < 30 && table.ends_with("  - and 990 more, in the report\n"), "{table}");
        report.files.report = None;
        let table = render(&report);
        assert!(table.lines().count() < 120 && table.ends_with("  - and 900 more\n"), "{table}");
    }

    #[test]
    fn hostile_text_makes_no_line_of_its_own() {
        let lines = render(&samples::hostile("x")).lines().count();
        for text in HOSTILE {
            let table = render(&samples::hostile(text));
            assert_eq!(table.lines().count(), lines, "{table}");
            for line in table.lines() {
                assert!(runner::command(line).is_none() && !line.chars().any(deceives), "{line:?}");
                assert_eq!(safe(line), line);
            }
        }
    }
}
