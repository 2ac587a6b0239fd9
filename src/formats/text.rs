//! The text that closes a log: what a person reads first, and often last. Its first line is the
//! verdict with the numbers behind it. Below are what failed, what to do, and at the end where
//! everything is. Plain lines, each harmless in a log.

use super::{SIMULATED, took};
use crate::error::Outcome;
use crate::report::{BatchFault, BatchReport, FailureGroup, Report, RunEntry};
use crate::styled::{Line, Tone};
use crate::text::{counted, flat, short_key, thousands};
use crate::verdict::Verdict;

/// The longest list; the report has the rest.
const MOST_ROWS: usize = 10;
/// The longest list of what is said nowhere else, or is why there is nothing else to say.
const MOST_ERRORS: usize = 100;
const LONGEST: usize = 200;
const LONGEST_ID: usize = 60;
const LONGEST_SENTENCE: usize = 1_000;
/// How many requests of a kind of failure are named.
const NAMED: usize = 3;
/// The column of what stands beside a label.
const COLUMN: usize = 12;
/// Phases that took less are left out: they would read as 0.0 s.
const SHORTEST_PHASE: f64 = 0.05;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    lines(report).iter().map(|line| line.safe().text() + "\n").collect()
}

/// The whole report, as lines.
pub(super) fn lines(report: &Report) -> Vec<Line> {
    let mut lines = verdict(report);
    let rows = [warnings(report), rows(report)].concat();
    lines.extend((!rows.is_empty()).then(Line::default));
    lines.extend(rows);
    lines
}

/// The verdict, what failed and what to do.
pub(super) fn verdict(report: &Report) -> Vec<Line> {
    let mut lines = vec![headline(report)];
    if report.outcome != Outcome::Succeeded || report.counts.total == 0 {
        lines.push(Line::of(Tone::Plain, format!("  {}", flat(&report.reason, LONGEST_SENTENCE))).hanging(2));
    }
    // Where no report is written, this is the only place that names them.
    let most = if report.files.report.is_some() { MOST_ROWS } else { MOST_ERRORS };
    let items = |items: Vec<Line>, count: u64| listed(items, count, most, report);
    let faults: Vec<Line> = report.faults.iter().map(|fault| item(&fault.sentence())).collect();
    lines.extend(items(faults, report.fault_count));
    for batch in &report.batches {
        let errors: Vec<Line> = batch.errors.iter().map(|error| item(&batch_fault(error))).collect();
        lines.extend(listed(errors, batch.error_count, MOST_ERRORS, report));
    }
    lines.extend(items(failures(&report.failures), report.failures.len() as u64));
    if !report.hints.is_empty() {
        lines.push(Line::default());
        lines.extend(labelled("Next", Tone::Advice, &report.hints));
    }
    lines
}

/// What was collected together, as lines.
pub(super) fn lines_of_runs(verdict: &Verdict, runs: &[RunEntry]) -> Vec<Line> {
    let simulated = runs.iter().any(|run| run.simulated);
    let head = head(verdict.outcome, verdict.exit.code(), if simulated { &[TAG] } else { &[] });
    let mut lines = vec![ended(
        head.with(Tone::Plain, format!(" · {}", counted(runs.len() as u64, "run", "runs"))),
        verdict.exit.code(),
    )];
    lines.push(Line::of(Tone::Plain, format!("  {}", flat(&verdict.reason, LONGEST_SENTENCE))).hanging(2));
    for run in runs {
        let (key, ids) = (flat(short_key(&run.key), LONGEST_ID), flat(&run.batch_ids.join(", "), LONGEST));
        let places: String = run.shown_at.places.iter().map(|place| format!(", {}", flat(place, LONGEST_ID))).collect();
        let reason = flat(&run.reason, LONGEST_SENTENCE);
        let (sign, tone) = sign(run.outcome, run.exit_code);
        let line = Line::of(Tone::Plain, "  ").with(tone, sign).with(Tone::Strong, format!(" {key} "));
        let rest = format!("{} · {ids}{places} · {reason}", run.outcome.word());
        lines.push(line.with(Tone::Plain, rest).hanging(4));
    }
    lines
}

/// The word beside the verdict's sign where no model was asked.
const TAG: &str = "SIMULATED";

/// A sign for the verdict, which its word repeats.
fn sign(outcome: Outcome, exit_code: u8) -> (&'static str, Tone) {
    match outcome {
        _ if exit_code != 0 => ("✗", Tone::Bad),
        Outcome::Succeeded | Outcome::Partial => ("✓", Tone::Good),
        _ => ("•", Tone::Caution),
    }
}

/// The first line's beginning: sign, tags and word.
fn head(outcome: Outcome, exit_code: u8, tags: &[&str]) -> Line {
    let (sign, tone) = sign(outcome, exit_code);
    let line = Line::of(tone, format!("{sign} "));
    let line = tags.iter().fold(line, |line, tag| line.with(Tone::Caution, format!("{tag} ")));
    line.with(tone, outcome.word()).hanging(2)
}

/// The first line's end.
fn ended(line: Line, exit_code: u8) -> Line {
    if exit_code == 0 { line } else { line.with(Tone::Plain, format!(" · exit code {exit_code}")) }
}

fn headline(report: &Report) -> Line {
    let tags: &[&str] = if report.simulated { &[TAG] } else { &[] };
    let line = head(report.outcome, report.exit_code, tags);
    let line = share(report).into_iter().fold(line, |line, share| line.with(Tone::Strong, format!(" · {share}")));
    let seconds: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    let time = (seconds >= SHORTEST_PHASE).then(|| took(seconds));
    let facts = model(report).into_iter().chain(time);
    ended(facts.fold(line, |line, fact| line.with(Tone::Plain, format!(" · {fact}"))), report.exit_code)
}

/// How the requests fared, in a few words.
fn share(report: &Report) -> Option<String> {
    let counts = report.counts;
    let of = |bad: u64, how: &str| format!("{} of {} requests {how}", thousands(bad), thousands(counts.total));
    Some(match (counts.failed, counts.missing) {
        _ if report.fault_count > 0 => counted(report.fault_count, "fault", "faults"),
        _ if counts.total == 0 => return (report.requests.total > 0).then(|| asked(report.requests.total)),
        (0, 0) if counts.total == 1 => "1 request answered".to_owned(),
        (0, 0) => format!("all {} answered", asked(counts.total)),
        (failed, 0) => of(failed, "failed"),
        (0, missing) => of(missing, "missing"),
        (failed, missing) => of(failed.saturating_add(missing), "failed or missing"),
    })
}

fn asked(requests: u64) -> String {
    format!("{} {}", thousands(requests), if requests == 1 { "request" } else { "requests" })
}

/// The model, or how many there are.
fn model(report: &Report) -> Option<String> {
    let asked = report.requests.model.as_deref();
    let mut models: Vec<&str> = report.shards.iter().filter_map(|shard| shard.model.as_deref()).chain(asked).collect();
    models.sort_unstable();
    models.dedup();
    match models[..] {
        [] => None,
        [only] => Some(flat(only, LONGEST_ID)),
        _ => Some(counted(models.len() as u64, "model", "models")),
    }
}

/// One item of a list.
fn item(text: &str) -> Line {
    Line::of(Tone::Plain, format!("  {}", flat(text, LONGEST_SENTENCE))).hanging(4)
}

/// The first items of a list, and how many more there are of all.
fn listed(items: Vec<Line>, count: u64, most: usize, report: &Report) -> Vec<Line> {
    let (kept, shown) = (items.len() as u64, items.len().min(most) as u64);
    let more = (count > shown).then(|| {
        let place = match &report.files.report {
            None => String::new(),
            Some(_) if count > kept => format!(", {} of all in the report", thousands(kept)),
            Some(_) => ", in the report".to_owned(),
        };
        Line::of(Tone::Faint, format!("  and {} more{place}", thousands(count - shown)))
    });
    items.into_iter().take(most).chain(more).collect()
}

/// Sentences beside a label.
fn labelled(label: &str, tone: Tone, sentences: &[String]) -> Vec<Line> {
    let line = |(number, sentence): (usize, &String)| {
        let label = if number == 0 { label } else { "" };
        row(label, tone, &flat(sentence, LONGEST_SENTENCE))
    };
    sentences.iter().take(MOST_ROWS).enumerate().map(line).collect()
}

fn row(label: &str, tone: Tone, text: &str) -> Line {
    let label = format!("  {label:<width$}", width = COLUMN - 2);
    Line::of(tone, label).with(Tone::Plain, text).hanging(COLUMN)
}

fn failures(groups: &[FailureGroup]) -> Vec<Line> {
    let width = groups.iter().take(MOST_ROWS).map(|group| thousands(group.count).len()).max().unwrap_or_default();
    groups.iter().map(|group| failure(group, width)).collect()
}

fn failure(group: &FailureGroup, width: usize) -> Line {
    let ids: Vec<String> = group.custom_ids.iter().take(NAMED).map(|id| flat(id, LONGEST_ID)).collect();
    let more = if group.count > ids.len() as u64 { ", …" } else { "" };
    let (code, message) = (flat(&group.code, LONGEST_ID), flat(&group.message, LONGEST));
    // Where answers were only counted, nobody knows whose are missing.
    let whose = if ids.is_empty() { String::new() } else { format!(" ({}{more})", ids.join(", ")) };
    let status = group.shown_status().map(|status| format!(" ({status})")).unwrap_or_default();
    let line = Line::of(Tone::Bad, format!("  {:>width$} × {code}{status}:", thousands(group.count)));
    line.with(Tone::Plain, format!(" {message}")).with(Tone::Faint, whose).hanging(width + 5)
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

fn warnings(report: &Report) -> Vec<Line> {
    let mut lines = labelled("Warning", Tone::Caution, &report.warnings);
    if report.warnings.len() > MOST_ROWS {
        let place = if report.files.report.is_some() { ", in the report" } else { "" };
        lines.push(row("", Tone::Plain, &format!("and {} more{place}", report.warnings.len() - MOST_ROWS)));
    }
    lines
}

/// Where everything is, and what it took.
fn rows(report: &Report) -> Vec<Line> {
    let mut rows: Vec<(&str, String)> = Vec::new();
    if report.simulated && report.counts.total > 0 {
        rows.push(("Note", SIMULATED.to_owned()));
    }
    rows.extend(report.attached().iter().map(|sentence| ("Reused", flat(sentence, LONGEST_SENTENCE))));
    for (index, batch) in report.batches.iter().enumerate().take(MOST_ROWS) {
        let label = match report.batches.len() {
            1 => "Batch",
            _ if index == 0 => "Batches",
            _ => "",
        };
        rows.push((label, batch_line(batch)));
    }
    if report.batches.len() > MOST_ROWS {
        rows.push(("", format!("and {} more, in the report", report.batches.len() - MOST_ROWS)));
    }
    rows.extend(tokens(report).map(|tokens| ("Tokens", tokens)));
    let phases = report.phases.iter().filter(|phase| phase.seconds >= SHORTEST_PHASE);
    let phases: Vec<String> =
        phases.map(|phase| format!("{} {}", phase.name.replace('_', " "), took(phase.seconds))).collect();
    if !phases.is_empty() {
        rows.push(("Time", flat(&phases.join(", "), LONGEST_SENTENCE)));
    }
    let files = &report.files;
    let files = [
        ("Results", &files.results),
        ("Set aside", &files.unexpected),
        ("Answers", &files.answers),
        ("CSV", &files.answers_csv),
        ("Report", &files.report),
    ];
    rows.extend(files.into_iter().filter_map(|(label, path)| Some((label, flat(path.as_ref()?, LONGEST)))));
    rows.into_iter().map(|(label, text)| row(label, Tone::Faint, &text)).collect()
}

/// The tokens, without what is zero.
fn tokens(report: &Report) -> Option<String> {
    let tokens = &report.tokens;
    let among = |number: u64, what: &str| match number {
        0 => String::new(),
        number => format!(" ({} {what})", thousands(number)),
    };
    let (input, output) = (thousands(tokens.input), thousands(tokens.output));
    let (cached, reasoning) = (among(tokens.cached, "cached"), among(tokens.reasoning, "reasoning"));
    (tokens.input > 0 || tokens.output > 0).then(|| format!("{input} in{cached}, {output} out{reasoning}"))
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

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;

    use super::render;
    use crate::formats::samples::{self, HOSTILE};
    use crate::text::{deceives, safe};

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!(render(&samples::succeeded()), @r"
        ✓ succeeded · all 1,200 requests answered · gpt-4.1-mini · 5m 53s

          Batch     batch_1 completed, 1,200 of 1,200 done
          Tokens    1,234,567 in (1,024 cached), 89,012 out (640 reasoning)
          Time      check 0.2s, upload 1.2s, in progress 5m 50s, collect 2.0s
          Results   batch-results/results.jsonl
          Report    batch-results/report.json
        ");
        insta::assert_snapshot!(render(&samples::partial()), @r"
        ✓ partial · 13 of 1,200 requests failed or missing · gpt-4.1-mini · 5m 53s
          13 of 1200 requests failed or are missing; 2% may.
          12 × rate_limit_exceeded: Too many requests. (q-7, q-19, q-20, …)
           1 × batchstep_missing: The provider gave no answer. (q-1100)

          Next      Run again with `retries: 2` to send the failed requests again.

          Warning   The list of batches was not readable; `reuse` relied on the journal.
          Batch     batch_1 completed, 1,199 of 1,200 done
          Tokens    1,234,567 in (1,024 cached), 89,012 out (640 reasoning)
          Time      check 0.2s, upload 1.2s, in progress 5m 50s, collect 2.0s
          Results   batch-results/results.jsonl
          Set aside batch-results/unexpected.jsonl
          Report    batch-results/report.json
        ");
        insta::assert_snapshot!(render(&samples::failed_validation()), @r"
        ✗ failed · 1,200 requests · gpt-4.1-mini · 1.4s · exit code 5
          The provider refused the input of `batch_1`.
          requests.jsonl:7: model_not_found: The model `gpt-9` does not exist.

          Next      Correct the lines above and run again.

          Batch     batch_1 failed
          Time      check 0.2s, upload 1.2s
          Report    batch-results/report.json
        ");
        insta::assert_snapshot!(render(&samples::invalid()), @r"
        ✗ invalid · 2 faults · 0.2s · exit code 3
          `requests.jsonl` has 2 faults; nothing was uploaded.
          ./requests.jsonl:3:14: `body.model` is the number 4; each request names its model: write a string
          requests.jsonl: 50,001 requests; a batch takes at most 50,000: split the file

          Time      check 0.2s
          Report    batch-results/report.json
        ");
        insta::assert_snapshot!(render(&samples::simulated()), @r"
        ✓ SIMULATED succeeded · all 1,200 requests answered · gpt-4.1-mini · 5m 53s

          Note      SIMULATED: the sandbox made these answers up, no model was asked.
          Batch     batch_1 completed, 1,200 of 1,200 done
          Tokens    1,234,567 in (1,024 cached), 89,012 out (640 reasoning)
          Time      check 0.2s, upload 1.2s, in progress 5m 50s, collect 2.0s
          Results   batch-results/results.jsonl
          Report    batch-results/report.json
        ");
    }

    #[test]
    fn honest_text_keeps_its_tones() {
        for report in [samples::succeeded(), samples::partial(), samples::failed_validation(), samples::simulated()] {
            super::lines(&report).iter().for_each(|line| assert_eq!(&line.safe(), line));
        }
    }

    #[test]
    fn a_log_stays_short_and_says_where_the_rest_is() {
        let mut report = samples::invalid();
        report.faults = vec![report.faults[0].clone(); 1_000];
        report.fault_count = 1_000;
        let table = render(&report);
        assert!(table.lines().count() < 30 && table.contains("\n  and 990 more, in the report\n"), "{table}");
        report.files.report = None;
        let table = render(&report);
        assert!(table.lines().count() < 120 && table.contains("\n  and 900 more\n"), "{table}");
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
