//! Annotations: commands on standard output that GitHub shows beside the code and
//! on the run's page.

use std::path::Path;

use crate::effects::Effect;
use crate::report::{BatchFault, Report};
use crate::requests::Fault;
use crate::text::{first_chars, safe};

/// The runner keeps this many annotations of a kind for a step.
pub(super) const MOST_ANNOTATIONS: usize = 10;
/// The runner cuts an annotation's message here; we do it at a border between characters.
const LONGEST_MESSAGE: usize = 4_096;

/// What the report has to say beside the log: its faults, or else its verdict.
pub(super) fn annotations(report: &Report, workspace: Option<&Path>) -> Vec<Effect> {
    if !report.faults.is_empty() {
        return report.faults.iter().take(MOST_ANNOTATIONS).map(|fault| of_fault(fault, workspace)).collect();
    }
    let kind = match (report.exit_code, report.outcome.word()) {
        (0, "partial") => "warning",
        (0, _) => "notice",
        _ => "error",
    };
    let simulated = if report.simulated { " (SIMULATED)" } else { "" };
    let title = format!("batchstep::{}{simulated}", report.outcome.word());
    let sentences: Vec<&str> = std::iter::once(&report.reason).chain(&report.hints).map(String::as_str).collect();
    let verdict = annotation(kind, &[("title", &title)], &sentences.join("\n"));
    let faults = report.batches.iter().flat_map(|batch| &batch.errors).filter_map(|fault| of_batch(fault, workspace));
    std::iter::once(verdict).chain(faults.take(MOST_ANNOTATIONS - 1)).collect()
}

fn of_fault(fault: &Fault, workspace: Option<&Path>) -> Effect {
    // A column counts only within a line.
    let place = (fault.file.as_str(), fault.line, fault.line.and(fault.column));
    on_line(workspace, place, "batchstep: invalid request", &fault.statement())
}

fn of_batch(fault: &BatchFault, workspace: Option<&Path>) -> Option<Effect> {
    let place = (fault.file.as_deref()?, Some(fault.line?), None);
    let words: Vec<&str> = [&fault.code, &fault.message].into_iter().flatten().map(String::as_str).collect();
    Some(on_line(workspace, place, "batchstep: refused by the provider", &words.join(": ")))
}

/// An error on a line of the user's file.
fn on_line(workspace: Option<&Path>, place: (&str, Option<u64>, Option<u64>), title: &str, message: &str) -> Effect {
    let (path, line, column) = place;
    let path = Path::new(path);
    let path = workspace.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
    let path = path.strip_prefix(".").unwrap_or(path).to_string_lossy();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    // Standard input is no file.
    let file = if path == "-" { "" } else { &*path };
    let properties = [("file", file), ("line", &number(line)), ("col", &number(column)), ("title", title)];
    annotation("error", &properties, message)
}

/// A command for an annotation; empty properties are left out.
pub(super) fn annotation(kind: &str, properties: &[(&str, &str)], message: &str) -> Effect {
    let property = |(name, value): &(&str, &str)| {
        (!value.is_empty()).then(|| format!("{name}={}", data(&safe(value)).replace(':', "%3A").replace(',', "%2C")))
    };
    let properties: Vec<String> = properties.iter().filter_map(property).collect();
    let message: String = message.lines().map(safe).collect::<Vec<_>>().join("\n");
    Effect::Command(format!("::{kind} {}::{}", properties.join(","), data(first_chars(&message, LONGEST_MESSAGE))))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
