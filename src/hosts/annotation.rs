//! Annotations: errors on lines of the user's files, which every host shows in its own way.

use super::in_workspace;
use crate::report::{BatchFault, Report};
use crate::requests::Fault;
use crate::requests::source::STANDARD_INPUT;

/// What is wrong with a line of the user's file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    /// Our own check found a fault in it.
    Invalid,
    /// The provider failed the batch over it.
    Refused,
}

/// An error on a line of a file.
#[derive(Debug)]
pub(super) struct Annotation {
    /// The file within the workspace; none for standard input.
    pub(super) path: Option<String>,
    /// From 1; none where the fault is the whole file's.
    pub(super) line: Option<u64>,
    /// The last line; the same where it is one.
    pub(super) last_line: Option<u64>,
    /// From 1, within the line.
    pub(super) column: Option<u64>,
    pub(super) subject: Subject,
    /// As it came: each printer makes it safe for its reader.
    pub(super) message: String,
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
}

impl Subject {
    /// A title, as the beginning of a sentence.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid request",
            Self::Refused => "Refused by the provider",
        }
    }
}

/// All errors on lines: the faults of the requests file, then the provider's reasons for failing a batch.
pub(super) fn annotations(report: &Report, workspace: Option<&str>) -> Vec<Annotation> {
    Annotation::of_faults(report, workspace).chain(Annotation::of_batches(report, workspace)).collect()
}

fn shown_path(path: &str, workspace: Option<&str>) -> Option<String> {
    Some(in_workspace(path, workspace)).filter(|path| *path != STANDARD_INPUT).map(str::to_owned)
}
