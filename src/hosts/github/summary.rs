//! The step's summary: Markdown in a file that the runner names.

use std::path::PathBuf;

use crate::effects::Effect;
use crate::env::Env;
use crate::formats::Format;
use crate::report::Report;
use crate::values::SummaryInput;

/// Where the summary goes.
pub(super) enum Summary {
    /// Nowhere: it is not wanted.
    Unwanted,
    /// Nowhere: the runner names no file for it.
    NoFile,
    /// Into this file.
    File(PathBuf),
}

impl Summary {
    /// Reads the runner's variable.
    pub(super) fn new(env: &Env, input: SummaryInput) -> Self {
        match env.get("GITHUB_STEP_SUMMARY") {
            _ if input == SummaryInput::Omit => Self::Unwanted,
            None => Self::NoFile,
            Some(path) => Self::File(path.into()),
        }
    }

    /// Adds the report.
    pub(super) fn of(&self, report: &Report) -> Option<Effect> {
        self.add(&Format::Markdown.render(report))
    }

    /// Adds text. The blank line keeps it apart from what is there: right below a
    /// table it would be a row of it, below HTML it would not be read as Markdown.
    pub(super) fn add(&self, text: &str) -> Option<Effect> {
        let Self::File(path) = self else { return None };
        Some(Effect::Append(path.clone(), format!("\n{text}")))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Summary;
    use crate::effects::Screen;
    use crate::error::Outcome;
    use crate::formats::{markdown_failure, markdown_paragraph, samples};

    #[test]
    fn what_follows_a_table_is_a_block_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary");
        std::fs::write(&path, "| a |\n| - |\n| left by another tool |").unwrap();
        let summary = Summary::File(path.clone());
        let failure = markdown_failure(Outcome::Usage, "`api-key` is missing.", &["Set it.".to_owned()]);
        let note = markdown_paragraph("Batch `b` is cancelled.");
        let effects = [summary.add(&failure), summary.of(&samples::partial()), summary.add(&note)];
        let mut screen = Screen::new(Box::new(io::sink()), Box::new(io::sink()));
        assert!(screen.apply(effects.into_iter().flatten().collect()).is_empty());

        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0].starts_with('|')) {
            assert!(pair[1].is_empty() || pair[1].starts_with('|'), "{pair:?} in\n{text}");
        }
        for block in [
            "## ❌ An input is wrong",
            "## ⚠️ 13 of 1,200 failed or missing, 7 suspect · `gpt-4.1-mini` · 6 min · &#36;0.32",
            "Batch `b` is cancelled.",
        ] {
            let at = lines.iter().position(|line| *line == block).unwrap();
            assert_eq!((lines[at - 1], lines.get(at + 1).copied().unwrap_or_default()), ("", ""), "{block}\n{text}");
        }
    }
}
