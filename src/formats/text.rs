//! The text that closes a log: what a person reads first, and often last. Its first line is the
//! verdict with the numbers behind it. Below are what failed, what to do, and at the end where
//! everything is. Plain lines, each harmless in a log.

use super::{SIMULATED, took};
use crate::bill;
use crate::error::Outcome;
use crate::headline::{Headline, Sign};
use crate::judgement::ViolationGroup;
use crate::report::{BatchFault, BatchReport, FailureGroup, Report, RunEntry};
use crate::styled::{Line, Tone};
use crate::text::{counted, flat, short_key, thousands};
use crate::values::SchemaMode;
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
    let faults = report.faults.iter().map(|fault| (vec![item(&fault.sentence())], fault.count())).collect();
    lines.extend(listed(faults, report.fault_count, most, report));
    for batch in &report.batches {
        let errors = batch.errors.iter().map(|error| (vec![item(&batch_fault(error))], 1)).collect();
        lines.extend(listed(errors, batch.error_count, MOST_ERRORS, report));
    }
    let failures = failures(&report.failures).into_iter().map(|lines| (lines, 1)).collect();
    lines.extend(listed(failures, report.failures.len() as u64, most, report));
    let doubts = doubts(report).into_iter().map(|line| (vec![line], 1)).collect();
    lines.extend(listed(doubts, (report.suspects.len() + violations(report).len()) as u64, most, report));
    if !report.hints.is_empty() {
        lines.push(Line::default());
        lines.extend(labelled("Next", Tone::Advice, &report.hints));
    }
    lines
}

/// What was collected together, as lines.
pub(super) fn lines_of_runs(verdict: &Verdict, runs: &[RunEntry]) -> Vec<Line> {
    let simulated = runs.iter().any(|run| run.simulated);
    let fared = format!("{} looked at", counted(runs.len() as u64, "run", "runs"));
    let of = Sign::of(verdict.outcome, verdict.exit.code());
    let head = head(of, if simulated { Simulated::Yes } else { Simulated::No }, &fared);
    let mut lines = vec![ended(head, verdict.outcome, verdict.exit.code())];
    lines.push(Line::of(Tone::Plain, format!("  {}", flat(&verdict.reason, LONGEST_SENTENCE))).hanging(2));
    for run in runs {
        let (key, ids) = (flat(short_key(&run.key), LONGEST_ID), flat(&run.batch_ids.join(", "), LONGEST));
        let places: String = run.shown_at.places.iter().map(|place| format!(", {}", flat(place, LONGEST_ID))).collect();
        let reason = flat(&run.reason, LONGEST_SENTENCE);
        let (sign, tone) = sign(Sign::of(run.outcome, run.exit_code));
        let line = Line::of(Tone::Plain, "  ").with(tone, sign).with(Tone::Strong, format!(" {key} "));
        let rest = format!("{} · {ids}{places} · {reason}", run.outcome.word());
        lines.push(line.with(Tone::Plain, rest).hanging(4));
    }
    lines
}

/// The word beside the verdict's sign where no model was asked.
const TAG: &str = "SIMULATED";

/// The sign that begins the first line; the words after it say the same.
fn sign(sign: Sign) -> (&'static str, Tone) {
    match sign {
        Sign::Good => ("✓", Tone::Good),
        Sign::Attention => ("!", Tone::Caution),
        Sign::Bad => ("✗", Tone::Bad),
        Sign::Waiting => ("…", Tone::Caution),
        Sign::Skipped => ("-", Tone::Faint),
    }
}

/// The first line's beginning: sign, tag and what happened.
fn head(of: Sign, is_simulated: Simulated, fared: &str) -> Line {
    let (sign, tone) = sign(of);
    let line = Line::of(tone, format!("{sign} "));
    let line = if is_simulated == Simulated::Yes { line.with(Tone::Caution, format!("{TAG} · ")) } else { line };
    line.with(tone, fared).hanging(2)
}

/// Whether no model was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Simulated {
    Yes,
    No,
}

/// The first line's end: the outcome for whoever searches logs, and the exit code of a failure.
fn ended(line: Line, outcome: Outcome, exit_code: u8) -> Line {
    let line = line.with(Tone::Plain, format!(" · {}", outcome.word()));
    if exit_code == 0 { line } else { line.with(Tone::Plain, format!(", exit code {exit_code}")) }
}

fn headline(report: &Report) -> Line {
    let Headline { sign, fared, model, models, took, cost } = Headline::of(report);
    let simulated = if report.simulated { Simulated::Yes } else { Simulated::No };
    let model = model.map(|model| if models == 1 { flat(&model, LONGEST_ID) } else { format!("{models} models") });
    let facts = model.into_iter().chain(took).chain(cost);
    let line = facts.fold(head(sign, simulated, &fared), |line, fact| line.with(Tone::Plain, format!(" · {fact}")));
    ended(line, report.outcome, report.exit_code)
}

/// One item of a list.
fn item(text: &str) -> Line {
    Line::of(Tone::Plain, format!("  {}", flat(text, LONGEST_SENTENCE))).hanging(4)
}

/// The first items of a list, each in one line or some and with how many it stands for, and how many more there are of all.
fn listed(items: Vec<(Vec<Line>, u64)>, count: u64, most: usize, report: &Report) -> Vec<Line> {
    let standing_for =
        |items: &[(Vec<Line>, u64)]| items.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
    let (kept, shown) = (standing_for(&items), standing_for(&items[..items.len().min(most)]));
    let more = (count > shown).then(|| {
        let place = match &report.files.report {
            None => String::new(),
            Some(_) if count > kept => format!(", {} of all in the report", thousands(kept)),
            Some(_) => ", in the report".to_owned(),
        };
        Line::of(Tone::Faint, format!("  and {} more{place}", thousands(count - shown)))
    });
    items.into_iter().take(most).flat_map(|(lines, _)| lines).chain(more).collect()
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

/// Kinds of failures, and how many requests each stands for.
fn failures(groups: &[FailureGroup]) -> Vec<Vec<Line>> {
    let width = groups.iter().take(MOST_ROWS).map(|group| thousands(group.count).len()).max().unwrap_or_default();
    groups
        .iter()
        .map(|group| [Some(failure(group, width)), advice(group, width)].into_iter().flatten().collect())
        .collect()
}

/// What to do about requests that failed in one way.
fn advice(group: &FailureGroup, width: usize) -> Option<Line> {
    let indent = width + 5;
    let line = || Line::of(Tone::Advice, format!("{:indent$}{}", "", flat(&group.advice, LONGEST))).hanging(indent);
    (!group.advice.is_empty()).then(line)
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

/// Answers that do not fit their schema, where they are not failures anyway.
fn violations(report: &Report) -> &[ViolationGroup] {
    let schema = report.schema.as_ref().filter(|schema| schema.mode == SchemaMode::Warn);
    schema.map_or(&[], |schema| &schema.groups)
}

/// Answers that are good by their status and should be looked at.
fn doubts(report: &Report) -> Vec<Line> {
    let line = |count: u64, what: String, ids: &[String]| {
        let line = Line::of(Tone::Caution, format!("  {} × {what}", thousands(count)));
        let ids: Vec<String> = ids.iter().take(NAMED).map(|id| flat(id, LONGEST_ID)).collect();
        let more = if count > ids.len() as u64 { ", …" } else { "" };
        line.with(Tone::Faint, format!(" ({}{more})", ids.join(", "))).hanging(4)
    };
    let suspects = report.suspects.iter().map(|group| {
        let what = format!("suspect: {}", group.kind.word());
        line(group.count, what, &group.custom_ids)
    });
    let violations = violations(report).iter().map(|group| {
        let what = format!("schema: at `{}`, {}", flat(&group.path, LONGEST_ID), flat(&group.message, LONGEST));
        line(group.count, what, &group.custom_ids)
    });
    suspects.chain(violations).collect()
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
    if report.simulated && report.counts.succeeded > 0 {
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
    rows.extend(report.continued.as_ref().map(|earlier| {
        let kept = counted(earlier.kept, "request", "requests");
        let sent = if earlier.sent == 0 { "nothing".to_owned() } else { thousands(earlier.sent) };
        ("Kept", format!("{kept} from {}; {sent} sent again", flat(&earlier.report, LONGEST_SENTENCE)))
    }));
    rows.extend(tokens(report).map(|tokens| ("Tokens", tokens)));
    rows.extend(costs(report));
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
        ("JUnit", &files.junit),
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

/// What it cost, or what is expected of that, and what the sums rely on.
fn costs(report: &Report) -> Vec<(&'static str, String)> {
    let spent = bill::spent(report);
    let expected = bill::expected(report).filter(|_| spent.is_none());
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.extend(spent.map(|spent| ("Cost", spent)));
    if let Some(expected) = expected {
        rows.push(("Estimate", expected));
        rows.extend(bill::basis(report).into_iter().map(|sentence| ("", sentence)));
    }
    rows.extend(bill::left_out(report).into_iter().map(|sentence| ("", sentence)));
    rows.extend(bill::prices(report).map(|sentence| ("", sentence)));
    if let Some((label @ "", _)) = rows.first_mut() {
        *label = "Cost";
    }
    rows.extend(bill::budget(report).map(|budget| ("Budget", budget)));
    rows.into_iter().map(|(label, text)| (label, flat(&text, LONGEST_SENTENCE))).collect()
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
        for sample in [samples::hostile, samples::everywhere] {
            let lines = render(&sample("x")).lines().count();
            for text in HOSTILE {
                let table = render(&sample(text));
                assert_eq!(table.lines().count(), lines, "{table}");
                for line in table.lines() {
                    assert!(runner::command(line).is_none() && !line.chars().any(deceives), "{line:?}");
                    assert_eq!(safe(line), line);
                }
            }
        }
    }
}
