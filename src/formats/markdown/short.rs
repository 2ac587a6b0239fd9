//! Pages without a report: the one on a command that failed before there was
//! anything to report, the one on runs that were collected together, and single
//! sentences.

use super::quote::{code, prose};
use super::{CUT_NOTE, LONGEST, MOST_SAMPLES, Page, SIMULATED, heading};
use crate::report::RunEntry;
use crate::text::whole_lines;
use crate::verdict::Verdict;

/// A sentence as a paragraph, with the blank line that ends it.
pub(in crate::formats) fn paragraph(sentence: &str) -> String {
    format!("{}\n\n", prose(sentence))
}

/// Renders a failure: its outcome, what happened, and what to do.
pub(in crate::formats) fn failure(outcome: &str, sentence: &str, hints: &[String]) -> String {
    let mut page = Page::default();
    page.block(&heading(false, 1, outcome));
    page.block(&prose(sentence));
    page.list("What to do next", hints);
    whole_lines(page.text, LONGEST, CUT_NOTE)
}

/// Renders what was collected together.
pub(in crate::formats) fn render_runs(verdict: &Verdict, runs: &[RunEntry]) -> String {
    let mut page = Page::default();
    page.block(&heading(runs.iter().any(|run| run.simulated), verdict.exit.code(), verdict.outcome.word()));
    if runs.iter().any(|run| run.simulated) {
        page.block(&format!("**{SIMULATED}**"));
    }
    page.block(&prose(&verdict.reason));
    let rows = runs.iter().map(|run| {
        let pulls: Vec<String> = run.pull_requests.iter().map(|pull| format!("#{pull}")).collect();
        let ids: Vec<String> = run.batch_ids.iter().take(MOST_SAMPLES).map(|id| code(id)).collect();
        let results = run.results_file.as_deref().map(code).unwrap_or_default();
        let key = code(run.key.get(..12).unwrap_or(&run.key));
        [key, run.outcome.word().to_owned(), prose(&run.reason), pulls.join(", "), ids.join(", "), results]
    });
    page.table("Runs", ["Key", "Outcome", "Why", "Pull requests", "Batches", "Results"], rows);
    whole_lines(page.text, LONGEST, CUT_NOTE)
}

#[cfg(test)]
mod tests {
    use super::failure;

    #[test]
    fn what_people_read_of_a_wrong_input() {
        let hints = ["Set it from a secret, or set OPENAI_API_KEY.".to_owned()];
        insta::assert_snapshot!(failure("usage", "`api-key` is missing.", &hints), @r"
        ## ❌ batchstep: usage

        `api-key` is missing.

        ### What to do next

        - Set it from a secret, or set OPENAI&#95;API&#95;KEY.
        ");
    }
}
