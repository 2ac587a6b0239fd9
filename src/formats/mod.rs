//! Formats: the report as text, each for its own reader.
//!
//! A format is a function from the report to a string and knows nothing of
//! where that goes. It invents no words on what happened or what to do: those
//! are the report's. Formats do not know each other; [`Format`] alone knows
//! their names. What a report quotes is untrusted, and each format makes it
//! harmless for its reader.

use crate::error::Outcome;
use crate::report::{Report, RunEntry};
use crate::results::Case;
use crate::styled::Line;
use crate::verdict::Verdict;

pub(crate) mod json;
mod junit;
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

/// Reads `report.json`, of this version of its form. All that it holds is untrusted text.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence about the report.
pub(crate) fn read(json: &[u8]) -> Result<Report, String> {
    json::read(json)
}

/// A report as JUnit's XML, with a case for each of these rows.
pub(crate) fn junit(report: &Report, rows: Option<&[Case]>) -> String {
    junit::render(report, rows)
}

/// The Markdown summary in so many bytes; blocks that do not fit are left out.
pub(crate) fn markdown_within(report: &Report, longest: usize) -> String {
    markdown::render_within(report, longest)
}

/// The short form for a pull request, in GitHub's Markdown and so many bytes.
pub(crate) fn markdown_comment(report: &Report, longest: usize) -> String {
    markdown::render_comment(report, longest)
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

/// A summary for readers of Markdown who know no alerts, which are GitHub's: each becomes a quotation with a title.
pub(crate) fn without_alerts(markdown: &str) -> String {
    markdown::without_alerts(markdown)
}

/// A sentence as a paragraph of Markdown, for a summary that has no report.
pub(crate) fn markdown_paragraph(sentence: &str) -> String {
    markdown::paragraph(sentence)
}

/// The note on every report of answers that no model gave.
const SIMULATED: &str = "SIMULATED: the sandbox made these answers up, no model was asked.";

/// The note on a report of the sandbox: whether there are answers that it made up.
fn simulated_note(report: &Report) -> &'static str {
    if report.counts.succeeded > 0 { SIMULATED } else { "SIMULATED: no model was asked, only the sandbox." }
}

/// How long a phase took.
fn took(seconds: f64) -> String {
    crate::clock::span(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::samples::{self, HOSTILE};
    use super::{Format, junit, markdown_comment, markdown_failure, took};
    use crate::error::Outcome;

    /// Leaves what a format made where a check outside of these tests asks for it: `.ci/render`, `.ci/junit`.
    pub(super) fn leave(file: &str, text: &str) {
        #[expect(clippy::disallowed_methods, reason = "no input of the product's")]
        let Ok(dir) = std::env::var("BATCHSTEP_TEST_PAGES") else { return };
        std::fs::write(std::path::Path::new(&dir).join(file), text).unwrap();
    }

    /// Leaves a summary or a comment where `.ci/render` asks for it, which draws it as GitHub does.
    fn draw(name: &str, page: &str) {
        leave(&format!("{name}.md"), page);
    }

    #[test]
    fn hostile_pages_are_drawn_beside_a_tame_one() {
        // A blank text leaves out columns, so its page cannot be compared.
        let shown = HOSTILE.iter().copied().filter(|text| !text.trim().is_empty());
        for (number, text) in ["tame"].into_iter().chain(shown).enumerate() {
            let (report, faults) = (samples::hostile(text), samples::hostile_faults(text));
            draw(&format!("hostile-{number:02}"), &Format::Markdown.render(&report));
            draw(&format!("hostile-faults-{number:02}"), &Format::Markdown.render(&faults));
        }
    }

    /// What people and programs get for each kind of end.
    #[test]
    fn every_kind_of_end_in_every_format() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../tests/reports");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| {
            for (name, report) in samples::states() {
                for (kind, format) in [("md", Format::Markdown), ("txt", Format::Text), ("json", Format::Json)] {
                    insta::assert_snapshot!(format!("{name}.{kind}"), format.render(&report));
                }
                let cases = junit(&report, None);
                leave(&format!("{name}.junit.xml"), &cases);
                insta::assert_snapshot!(format!("{name}.junit.xml"), cases);
                let comment = markdown_comment(&report, 65_000);
                draw(name, &Format::Markdown.render(&report));
                draw(&format!("{name}.comment"), &comment);
                insta::assert_snapshot!(format!("{name}.comment.md"), comment);
            }
            let hints = ["Set it from a secret, or set OPENAI_API_KEY.".to_owned()];
            let usage = markdown_failure(Outcome::Usage, "`api-key` is missing.", &hints);
            draw("usage", &usage);
            insta::assert_snapshot!("usage.md", usage);
        });
    }

    #[test]
    fn times_read_well() {
        assert_eq!([f64::NAN, -1.0, 64.9].map(took), ["0.0s", "0.0s", "1m 4s"]);
    }
}
