//! Formats: the report as text, each for its own reader.
//!
//! A format is a function from the report to a string and knows nothing of
//! where that goes. It invents no words on what happened or what to do: those
//! are the report's. Formats do not know each other; [`Format`] alone knows
//! their names. What a report quotes is untrusted, and each format makes it
//! harmless for its reader.

use crate::error::Outcome;
use crate::report::{Report, RunEntry};
use crate::styled::Line;
use crate::verdict::Verdict;

pub(crate) mod json;
mod markdown;
#[cfg(test)]
pub(crate) mod samples;
mod text;

/// What a report can be rendered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A summary in GitHub's Markdown.
    Markdown,
    /// The text that closes a log.
    Text,
    /// `report.json`.
    Json,
}

impl Format {
    /// Renders a report; the text ends with a line break.
    pub(crate) fn render(self, report: &Report) -> String {
        match self {
            Self::Markdown => markdown::render(report),
            Self::Text => text::render(report),
            Self::Json => json::render(report),
        }
    }
}

/// The Markdown summary, cut to so many bytes after a whole line.
pub(crate) fn markdown_within(report: &Report, longest: usize) -> String {
    markdown::render_within(report, longest)
}

/// What was collected together, as a summary in GitHub's Markdown.
pub(crate) fn runs_markdown(verdict: &Verdict, runs: &[RunEntry]) -> String {
    markdown::render_runs(verdict, runs)
}

/// The lines that close a log, with their tones.
pub(crate) fn closing(report: &Report) -> Vec<Line> {
    text::lines(report)
}

/// The first of them: the verdict, what failed and what to do.
pub(crate) fn closing_verdict(report: &Report) -> Vec<Line> {
    text::verdict(report)
}

/// The lines that close a collection, with their tones.
pub(crate) fn closing_runs(verdict: &Verdict, runs: &[RunEntry]) -> Vec<Line> {
    text::lines_of_runs(verdict, runs)
}

/// What was collected together, as JSON.
pub(crate) fn runs_json(verdict: &Verdict, runs: &[RunEntry]) -> String {
    json::render_runs(verdict, runs)
}

/// A command's failure as a summary in GitHub's Markdown, where there is nothing else to report.
pub(crate) fn markdown_failure(outcome: Outcome, sentence: &str, hints: &[String]) -> String {
    markdown::failure(outcome, sentence, hints)
}

/// A sentence as a paragraph of Markdown, for a summary that has no report.
pub(crate) fn markdown_paragraph(sentence: &str) -> String {
    markdown::paragraph(sentence)
}

/// The note on every report of answers that no model gave.
const SIMULATED: &str = "SIMULATED: the sandbox made these answers up, no model was asked.";

/// How long a phase took.
fn took(seconds: f64) -> String {
    crate::clock::span(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::took;

    #[test]
    fn times_read_well() {
        assert_eq!([f64::NAN, -1.0, 64.9].map(took), ["0.0s", "0.0s", "1m 4s"]);
    }
}
