//! What GitHub shows beside the code and on the run's page: an annotation, printed
//! as a workflow command or as a part of a check.

use serde_json::{Value, json};

use crate::effects::Effect;
use crate::error::{Exit, Outcome};
use crate::hosts::{Annotation, Subject};
use crate::report::Report;
use crate::text::{first_bytes, first_chars, safe};

/// The runner keeps this many annotations of a kind for a step.
pub(super) const MOST_ANNOTATIONS: usize = 10;
/// The runner cuts an annotation's message here, and a check's may be 64 KB; we cut both, between characters.
const LONGEST_MESSAGE: usize = 4_096;

/// How much an annotation matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Notice,
    Warning,
    Error,
}

impl Level {
    /// The name of its workflow command.
    fn command(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// An error on a line as a workflow command.
fn on_line(annotation: &Annotation) -> Effect {
    let title = match annotation.subject {
        Subject::Invalid => "batchstep: invalid request",
        Subject::Refused => "batchstep: refused by the provider",
    };
    let Annotation { path, line, last_line, column, message, .. } = annotation;
    let number = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let (file, first, column) = (path.as_deref().unwrap_or_default(), number(line), number(column));
    let last = number(&last_line.filter(|last| Some(*last) != *line));
    let properties = [("file", file), ("line", &first), ("endLine", &last), ("col", &column), ("title", title)];
    workflow_command(Level::Error, &properties, message)
}

/// An error on a line as a check shows it. A check annotates lines of files only.
pub(super) fn in_check(annotation: &Annotation) -> Option<Value> {
    let title = annotation.subject.title();
    let mut message = safe(&annotation.message);
    message.truncate(first_bytes(&message, LONGEST_MESSAGE).len());
    if message.is_empty() {
        message = title.to_owned();
    }
    let line = annotation.line.unwrap_or(1);
    Some(json!({
        "path": annotation.path.as_ref()?, "start_line": line, "end_line": annotation.last_line.unwrap_or(line),
        "annotation_level": "failure", "title": title, "message": message,
    }))
}

/// What the report has to say beside the log: its faults, or else its verdict.
pub(super) fn commands(report: &Report, workspace: Option<&str>) -> Vec<Effect> {
    if !report.faults.is_empty() {
        let faults = Annotation::of_faults(report, workspace).take(MOST_ANNOTATIONS);
        return faults.map(|fault| on_line(&fault)).collect();
    }
    let reasons = Annotation::of_batches(report, workspace).take(MOST_ANNOTATIONS - 1);
    std::iter::once(verdict(report)).chain(reasons.map(|reason| on_line(&reason))).collect()
}

fn verdict(report: &Report) -> Effect {
    let level = match report.outcome {
        _ if report.exit_code != Exit::Ok.code() => Level::Error,
        Outcome::Partial => Level::Warning,
        _ => Level::Notice,
    };
    let simulated = if report.simulated { " (SIMULATED)" } else { "" };
    let title = format!("batchstep::{}{simulated}", report.outcome.word());
    let sentences: Vec<&str> = std::iter::once(&report.reason).chain(&report.hints).map(String::as_str).collect();
    command(level, &title, &sentences.join("\n"))
}

/// The workflow command for an annotation that is not on a line.
pub(super) fn command(level: Level, title: &str, message: &str) -> Effect {
    workflow_command(level, &[("title", title)], message)
}

/// Empty properties are left out.
fn workflow_command(level: Level, properties: &[(&str, &str)], message: &str) -> Effect {
    let property = |(name, value): &(&str, &str)| {
        (!value.is_empty()).then(|| format!("{name}={}", data(&safe(value)).replace(':', "%3A").replace(',', "%2C")))
    };
    let properties: Vec<String> = properties.iter().filter_map(property).collect();
    let message: String = message.lines().map(safe).collect::<Vec<_>>().join("\n");
    let message = data(first_chars(&message, LONGEST_MESSAGE));
    Effect::Command(format!("::{} {}::{message}", level.command(), properties.join(",")))
}

/// Escapes text for a workflow command, as the runner reads it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
