//! Pages without a report: the one on a command that failed before there was
//! anything to report, the one on runs that were collected together, and single
//! sentences.

use super::quote::{code, prose};
use super::{CUT_NOTE, LONGEST, MOST_SAMPLES, Page, heading, simulated_heading};
use crate::error::{Exit, Outcome};
use crate::report::RunEntry;
use crate::text::{short_key, whole_lines};
use crate::verdict::Verdict;

/// A sentence as a paragraph, with the blank line that ends it.
pub(in crate::formats) fn paragraph(sentence: &str) -> String {
    format!("{}\n\n", prose(sentence))
}

/// Renders the failure of a command that has nothing to report: its outcome, what happened, what to do.
pub(in crate::formats) fn failure(outcome: Outcome, sentence: &str, hints: &[String]) -> String {
    let mut page = Page::default();
    page.block(&heading(Exit::Internal.code(), outcome));
    page.block(&prose(sentence));
    page.list("What to do next", hints);
    whole_lines(page.text, LONGEST, CUT_NOTE)
}

/// Renders what was collected together.
pub(in crate::formats) fn render_runs(verdict: &Verdict, runs: &[RunEntry]) -> String {
    let mut page = Page::default();
    page.block(&if runs.iter().any(|run| run.simulated) {
        simulated_heading(verdict.outcome)
    } else {
        heading(verdict.exit.code(), verdict.outcome)
    });
    page.block(&prose(&verdict.reason));
    let rows = runs.iter().map(|run| {
        let ids: Vec<String> = run.batch_ids.iter().take(MOST_SAMPLES).map(|id| code(id)).collect();
        let results = run.results_file.as_deref().map(code).unwrap_or_default();
        let key = code(short_key(&run.key));
        [
            key,
            run.outcome.word().to_owned(),
            prose(&run.reason),
            run.shown_at.places.join(", "),
            ids.join(", "),
            results,
        ]
    });
    page.table("Runs", ["Key", "Outcome", "Why", "Shown on", "Batches", "Results"], rows);
    whole_lines(page.text, LONGEST, CUT_NOTE)
}

#[cfg(test)]
mod tests {
    use super::{Outcome, failure};

    #[test]
    fn what_people_read_of_a_wrong_input() {
        let hints = ["Set it from a secret, or set OPENAI_API_KEY.".to_owned()];
        insta::assert_snapshot!(failure(Outcome::Usage, "`api-key` is missing.", &hints), @r"
        ## ❌ batchstep: usage

        `api-key` is missing.

        ### What to do next

        - Set it from a secret, or set OPENAI&#95;API&#95;KEY.
        ");
    }
}
