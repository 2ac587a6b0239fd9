//! Short pages: a pull request's comment, a command's failure, what was collected together, a sentence.

use super::page::{Alert, Page, table};
use super::quote::{code, prose};
use super::{IN_SIGHT, LONGEST, MOST_ROWS, MOST_SAMPLES, asked, costs, emoji, failures, head};
use crate::error::{Exit, Outcome};
use crate::formats::SIMULATED;
use crate::headline::{self, Sign};
use crate::report::{Report, RunEntry};
use crate::text::{counted, short_key};
use crate::verdict::Verdict;

/// Most kinds of failures in a comment.
const MOST_KINDS: usize = 3;

/// A sentence as a paragraph, with the blank line that ends it.
pub(in crate::formats) fn paragraph(sentence: &str) -> String {
    format!("{}\n\n", prose(sentence))
}

/// Renders the short form for a pull request, in so many bytes: what happened, what to do, what failed most.
pub(in crate::formats) fn render_comment(report: &Report, longest: usize) -> String {
    let mut page = Page::default();
    head(&mut page, report);
    failures::in_sight(&mut page, report, MOST_KINDS);
    page.block(asked(report));
    page.block(costs(report));
    page.text(longest)
}

/// Renders the failure of a command that has nothing to report: its outcome, what happened, what to do.
pub(in crate::formats) fn failure(outcome: Outcome, sentence: &str, hints: &[String]) -> String {
    let mut page = Page::default();
    let sign = Sign::of(outcome, Exit::Internal.code());
    page.block(format!("## {} {}", emoji(sign), headline::without_a_report(outcome)));
    let next = hints.iter().take(IN_SIGHT).map(|hint| format!("**Next:** {}", prose(hint)));
    page.alert(Alert::Caution, &std::iter::once(prose(sentence)).chain(next).collect::<Vec<_>>());
    page.text(LONGEST)
}

/// Renders what was collected together.
pub(in crate::formats) fn render_runs(verdict: &Verdict, runs: &[RunEntry]) -> String {
    let mut page = Page::default();
    let sign = Sign::of(verdict.outcome, verdict.exit.code());
    let is_simulated = runs.iter().any(|run| run.simulated);
    let simulated = if is_simulated { "🧪 SIMULATED · " } else { "" };
    let runs_count = counted(runs.len() as u64, "run", "runs");
    page.block(format!("## {} {simulated}{runs_count} looked at", emoji(sign)));
    if is_simulated {
        page.block(format!("🧪 {SIMULATED}"));
    }
    let next = verdict.hints.first().map(|hint| format!("**Next:** {}", prose(hint)));
    let said: Vec<String> = std::iter::once(prose(&verdict.reason)).chain(next).collect();
    match sign {
        Sign::Good => page.block(said.join("\n\n")),
        Sign::Bad => page.alert(Alert::Caution, &said),
        Sign::Attention | Sign::Waiting | Sign::Skipped => page.alert(Alert::Note, &said),
    }
    let row = |run: &RunEntry| {
        let ids: Vec<String> = run.batch_ids.iter().take(MOST_SAMPLES).map(|id| code(id)).collect();
        let sign = emoji(Sign::of(run.outcome, run.exit_code));
        let outcome = format!("{sign} {}", run.outcome.word());
        let results = run.results_file.as_deref().map(code).unwrap_or_default();
        let places = run.shown_at.places.join(", ");
        [code(short_key(&run.key)), outcome, prose(&run.reason), places, ids.join(", "), results]
    };
    let columns = ["Key", "Outcome", "Why", "Shown on", "Batches", "Results"];
    page.block(table(columns, runs.iter().map(row).collect(), MOST_ROWS));
    page.text(LONGEST)
}
