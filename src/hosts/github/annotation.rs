//! Annotations: what GitHub shows beside the code and on the run's page. One
//! value, printed as a workflow command or as a part of a check.

use serde_json::{Value, json};

use super::workspace::in_workspace;
use crate::effects::Effect;
use crate::error::{Exit, Outcome};
use crate::report::{BatchFault, Report};
use crate::requests::Fault;
use crate::requests::source::STANDARD_INPUT;
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

/// What is wrong with a line of the user's file.
#[derive(Clone, Copy, Debug)]
enum Subject {
    /// Our own check found a fault in it.
    Invalid,
    /// The provider failed the batch over it.
    Refused,
}

/// An error on a line of a file.
#[derive(Debug)]
pub(super) struct Annotation {
    /// The file within the workspace; none for standard input.
    path: Option<String>,
    /// From 1; none where the fault is the whole file's.
    line: Option<u64>,
    /// The last line; the same where it is one.
    last_line: Option<u64>,
    /// From 1, within the line.
    column: Option<u64>,
    subject: Subject,
    /// As it came: each printer makes it safe for its reader.
    message: String,
}

impl Annotation {
    /// The faults of the requests file.
    pub(super) fn of_faults(report: &Report, workspace: Option<&str>) -> impl Iterator<Item = Self> {
        report.faults.iter().map(move |fault| Self::of_fault(fault, workspace))
    }

    /// The provider's reasons for failing a batch, as far as they are about a line.
    pub(super) fn of_batches(report: &Report, workspace: Option<&str>) -> impl Iterator<Item = Self> {
        let reasons = report.batches.iter().flat_map(|batch| &batch.errors);
        reasons.filter_map(move |reason| Self::of_reason(reason, workspace))
    }

    fn of_fault(fault: &Fault, workspace: Option<&str>) -> Self {
        Self {
            path: shown_path(&fault.file, workspace),
            line: fault.line,
            last_line: fault.line.and(fault.last_line),
            // A column counts only within a line.
            column: fault.line.and(fault.column),
            subject: Subject::Invalid,
            message: fault.statement(),
        }
    }

    fn of_reason(reason: &BatchFault, workspace: Option<&str>) -> Option<Self> {
        let words: Vec<&str> = [&reason.code, &reason.message].into_iter().flatten().map(String::as_str).collect();
        Some(Self {
            path: shown_path(reason.file.as_deref()?, workspace),
            line: Some(reason.line?),
            last_line: reason.line,
            column: None,
            subject: Subject::Refused,
            message: words.join(": "),
        })
    }

    /// As a workflow command.
    pub(super) fn command(&self) -> Effect {
        let title = match self.subject {
            Subject::Invalid => "batchstep: invalid request",
            Subject::Refused => "batchstep: refused by the provider",
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (file, line, column) = (self.path.as_deref().unwrap_or_default(), number(self.line), number(self.column));
        let last = number(self.last_line.filter(|last| Some(*last) != self.line));
        let properties = [("file", file), ("line", &line), ("endLine", &last), ("col", &column), ("title", title)];
        workflow_command(Level::Error, &properties, &self.message)
    }

    /// As a check shows it. A check annotates lines of files only.
    pub(super) fn in_check(&self) -> Option<Value> {
        let title = match self.subject {
            Subject::Invalid => "Invalid request",
            Subject::Refused => "Refused by the provider",
        };
        let mut message = safe(&self.message);
        message.truncate(first_bytes(&message, LONGEST_MESSAGE).len());
        if message.is_empty() {
            message = title.to_owned();
        }
        let line = self.line.unwrap_or(1);
        Some(json!({
            "path": self.path.as_ref()?, "start_line": line, "end_line": self.last_line.unwrap_or(line),
            "annotation_level": "failure", "title": title, "message": message,
        }))
    }
}

fn shown_path(path: &str, workspace: Option<&str>) -> Option<String> {
    Some(in_workspace(path, workspace)).filter(|path| *path != STANDARD_INPUT).map(str::to_owned)
}

/// What the report has to say beside the log: its faults, or else its verdict.
pub(super) fn commands(report: &Report, workspace: Option<&str>) -> Vec<Effect> {
    if !report.faults.is_empty() {
        let faults = Annotation::of_faults(report, workspace).take(MOST_ANNOTATIONS);
        return faults.map(|fault| fault.command()).collect();
    }
    let reasons = Annotation::of_batches(report, workspace).take(MOST_ANNOTATIONS - 1);
    std::iter::once(verdict(report)).chain(reasons.map(|reason| reason.command())).collect()
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
