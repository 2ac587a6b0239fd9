//! What failed, by kind: how often, why, where, and what to do about it.

use super::page::{Page, table};
use super::quote::{code, link, prose};
use super::{MOST_ROWS, MOST_SAMPLES};
use crate::dialects::Suspicion;
use crate::report::{BatchFault, Example, FailureGroup, Prospect, Report};
use crate::requests::Fault;
use crate::text::{flat, thousands};
use crate::values::SchemaMode;

const FAILURES: [&str; 4] = ["Requests:", "Why", "For example", "What to do"];
const DOUBTS: [&str; 4] = ["Answers:", "Doubt", "For example", "What to do"];
const FAULTS: [&str; 3] = ["Where", "What is wrong", "What to do"];
/// Most ids beside a doubt.
const MOST_IDS: usize = 3;
const REASONS: [&str; 3] = ["Where", "Why", "Batch"];

/// The most frequent kinds, as many as people take in at once.
pub(super) fn in_sight(page: &mut Page, report: &Report, most: usize) {
    let first = |rows: usize| rows.min(most);
    let groups = &report.failures[..first(report.failures.len())];
    page.block(table(FAILURES, groups.iter().map(|group| failure(report, group)).collect(), most));
    page.block(table(DOUBTS, doubts(report).take(most).collect(), most));
    let faults = &report.faults[..first(report.faults.len())];
    page.block(table(FAULTS, faults.iter().map(|it| fault(report, it)).collect(), most));
    page.block(table(REASONS, reasons(report).take(most).collect(), most));
}

/// The others, folded.
pub(super) fn rest(page: &mut Page, report: &Report, after: usize) {
    let mut inside = Page::default();
    let groups = report.failures.iter().skip(after).map(|group| failure(report, group)).collect();
    inside.block(table(FAILURES, groups, MOST_ROWS));
    let doubts: Vec<_> = doubts(report).skip(after).collect();
    let more_doubts = doubts.len() as u64;
    inside.block(table(DOUBTS, doubts, MOST_ROWS));
    let faults = report.faults.iter().skip(after).map(|it| fault(report, it)).collect();
    inside.block(table(FAULTS, faults, MOST_ROWS));
    inside.block(table(REASONS, reasons(report).skip(after).collect(), MOST_ROWS));
    let sum = |sum: u64, more: u64| sum.saturating_add(more);
    let reasons = report.batches.iter().map(|batch| batch.error_count).fold(0, sum);
    let all = [report.failures.len() as u64, report.fault_count, reasons].map(|all| all.saturating_sub(after as u64));
    page.fold(&format!("{} more of these", thousands(all.into_iter().fold(more_doubts, sum))), inside);
}

fn failure(report: &Report, group: &FailureGroup) -> [String; 4] {
    let status = group.shown_status().map(|status| format!(" {status}")).unwrap_or_default();
    let examples: Vec<String> = group.examples.iter().take(MOST_SAMPLES).map(|it| example(report, it)).collect();
    let more = if group.count > examples.len() as u64 && !examples.is_empty() { ", …" } else { "" };
    let sign = match group.prospect {
        Prospect::MayPass => "🔁",
        Prospect::FailsAgain => "✏️",
        Prospect::PaidAgain => "💰",
    };
    let advice = if group.advice.is_empty() { String::new() } else { format!("{sign} {}", prose(&group.advice)) };
    let why = format!("**{}**{status}<br>{}", code(&group.code), prose(&group.message));
    [thousands(group.count), why, examples.join(", ") + more, advice]
}

/// Answers that are good by their status: those that are suspect, and those that do not fit their schema.
fn doubts(report: &Report) -> impl Iterator<Item = [String; 4]> {
    let ids = |ids: &[String], count: u64| {
        let shown: Vec<String> = ids.iter().take(MOST_IDS).map(|id| code(id)).collect();
        let more = if count > shown.len() as u64 && !shown.is_empty() { ", …" } else { "" };
        shown.join(", ") + more
    };
    let suspects = report.suspects.iter().map(move |group| {
        let (what, advice) = suspicion(group.kind);
        let doubt = format!("**{}**<br>{what}", code(group.kind.word()));
        [thousands(group.count), doubt, ids(&group.custom_ids, group.count), format!("🟨 {advice}")]
    });
    // Where they fail the run they are failures above.
    let schema = report.schema.iter().filter(|schema| schema.mode == SchemaMode::Warn);
    let violations = schema.flat_map(|schema| &schema.groups).map(move |group| {
        let path = if group.path.is_empty() { String::new() } else { format!(" at {}", code(&group.path)) };
        let value = group.value.as_deref().map(|value| format!(": {}", code(value))).unwrap_or_default();
        let doubt = format!("**{}**{path}<br>{}{value}", code("schema_violation"), prose(&group.message));
        let advice = "🟨 Correct the schema or the prompt; `schema: check` fails these.".to_owned();
        [thousands(group.count), doubt, ids(&group.custom_ids, group.count), advice]
    });
    suspects.chain(violations)
}

/// What an answer is suspect of, and what to do about it.
fn suspicion(kind: Suspicion) -> (&'static str, &'static str) {
    match kind {
        Suspicion::Refusal => ("The model refused to answer.", "Read one, and correct the prompt."),
        Suspicion::ToolCalls => {
            ("It asks for tools to be called.", "Nobody calls tools in a batch: leave out `tools`.")
        }
        Suspicion::CutOff => ("It was cut off at a limit on its length.", "Raise the limit on tokens in the requests."),
        Suspicion::Filtered => ("A content filter removed something.", "Read one, and change the request."),
        Suspicion::Incomplete => ("The provider calls it incomplete.", "Send these again with `retry-on: suspect`."),
    }
}

fn example(report: &Report, example: &Example) -> String {
    let url = example.file.as_deref().zip(example.line).and_then(|(file, line)| report.line_url(file, line));
    link(&code(&example.custom_id), url.as_deref())
}

/// A place in a requests file, with a link if it can be looked at.
fn place(report: &Report, file: Option<&str>, line: Option<u64>, column: Option<u64>) -> String {
    let Some(file) = file else { return line.map(|line| format!("line {line}")).unwrap_or_default() };
    let numbers = [line, line.and(column)].into_iter().flatten().map(|number| format!(":{number}"));
    let url = line.and_then(|line| report.line_url(file, line));
    link(&code(&(flat(file, 100) + &numbers.collect::<String>())), url.as_deref())
}

fn fault(report: &Report, fault: &Fault) -> [String; 3] {
    let field = fault.field.as_deref().map(|field| format!("{} is ", code(field))).unwrap_or_default();
    let wrong = format!("{field}{}; {}", prose(&fault.found), prose(&fault.expected));
    [place(report, Some(&fault.file), fault.line, fault.column), wrong, prose(&fault.fix)]
}

/// Why the provider failed batches as a whole.
fn reasons(report: &Report) -> impl Iterator<Item = [String; 3]> {
    report.batches.iter().flat_map(move |batch| {
        batch.errors.iter().map(move |error| {
            let BatchFault { code: word, message, param, file, line } = error;
            let word = word.as_deref().map(|word| format!("**{}**", code(word)));
            let param = param.as_deref().map(|param| format!("in {}", code(param)));
            let words = [word, param].into_iter().flatten().collect::<Vec<_>>().join(" ");
            let message = message.as_deref().map(prose).unwrap_or_default();
            let gap = if words.is_empty() || message.is_empty() { "" } else { "<br>" };
            [place(report, file.as_deref(), *line, None), words + gap + &message, code(&batch.id)]
        })
    })
}
