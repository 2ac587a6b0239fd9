//! A page under construction: blocks, tables, folds and an alert.
//!
//! Blocks are whole: a page that is too long loses its last blocks, never a part of one, since a table
//! or a fold that is not closed would swallow what another tool writes below.

use super::quote::prose;
use crate::text::thousands;

/// What a page says at its end if it was too long.
const CUT_NOTE: &str = "\nThe rest of this summary was cut: it was too long. The report has it all.\n";

/// The text so far.
#[derive(Default)]
pub(super) struct Page {
    blocks: Vec<String>,
}

/// The boxes that GitHub draws, by what a reader has to feel.
#[derive(Clone, Copy)]
pub(super) enum Alert {
    /// Red.
    Caution,
    /// Yellow.
    Warning,
    /// Blue.
    Note,
}

impl Alert {
    /// GitHub's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Caution => "CAUTION",
            Self::Warning => "WARNING",
            Self::Note => "NOTE",
        }
    }
}

/// A page with quotations in place of alerts: their titles in bold.
pub(super) fn without_alerts(page: &str) -> String {
    let title = |(alert, title): (Alert, &str)| (format!("> [!{}]", alert.word()), format!("> **{title}**\n>"));
    let titles = [(Alert::Caution, "Caution"), (Alert::Warning, "Warning"), (Alert::Note, "Note")].map(title);
    let quoted = |line| titles.iter().find(|(alert, _)| alert == line).map_or(line, |(_, title)| title.as_str());
    page.lines().map(quoted).fold(String::with_capacity(page.len()), |page, line| page + line + "\n")
}

impl Page {
    /// A block of its own.
    pub(super) fn block(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.blocks.push(text);
        }
    }

    /// A box of paragraphs, unless there are none.
    pub(super) fn alert(&mut self, alert: Alert, paragraphs: &[String]) {
        let word = alert.word();
        if !paragraphs.is_empty() {
            self.block(format!("> [!{word}]\n> {}", paragraphs.join("\n>\n> ")));
        }
    }

    /// What is shown only to those who unfold it, unless there is nothing. The title is ours.
    pub(super) fn fold(&mut self, title: &str, inside: Self) {
        if !inside.blocks.is_empty() {
            let inside = inside.blocks.join("\n\n");
            self.block(format!("<details><summary>{title}</summary>\n\n{inside}\n\n</details>"));
        }
    }

    /// The page in so many bytes.
    pub(super) fn text(self, longest: usize) -> String {
        let whole = self.blocks.iter().map(|block| block.len() + 2).sum::<usize>() <= longest;
        let room = if whole { longest } else { longest.saturating_sub(CUT_NOTE.len()) };
        let mut text = String::new();
        for block in &self.blocks {
            if text.len() + block.len() + 2 > room {
                break;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text += block;
            text.push('\n');
        }
        if whole { text } else { text + CUT_NOTE }
    }
}

/// A table of at most `most` rows, or nothing if there are no rows. `columns` are names, with `:` after
/// those of numbers. Columns without a text in any row are left out.
pub(super) fn table<const N: usize>(columns: [&str; N], rows: Vec<[String; N]>, most: usize) -> String {
    let all = rows.len();
    let rows = &rows[..all.min(most)];
    if rows.is_empty() {
        return String::new();
    }
    let is_used = |at: &usize| rows.iter().any(|row| !row[*at].is_empty());
    let used: Vec<usize> = (0..N).filter(is_used).collect();
    let line = |cells: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = used.iter().map(|at| cells(*at)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut lines = vec![line(&|at| columns[at].trim_end_matches(':').to_owned())];
    lines.push(line(&|at| if columns[at].ends_with(':') { "---:" } else { "---" }.to_owned()));
    lines.extend(rows.iter().map(|row| line(&|at| row[at].clone())));
    let more = if all > most { more(all - most) } else { String::new() };
    lines.join("\n") + &more
}

/// A list of sentences, or nothing if there are none.
pub(super) fn list(sentences: &[String], most: usize) -> String {
    let shown: Vec<String> = sentences.iter().take(most).map(|sentence| format!("- {}", prose(sentence))).collect();
    let more = if sentences.len() > most { more(sentences.len() - most) } else { String::new() };
    shown.join("\n") + &more
}

fn more(left_out: usize) -> String {
    format!("\n\nAnd {} more, in the report.", thousands(left_out as u64))
}

#[cfg(test)]
mod tests {
    use super::{CUT_NOTE, Page, table};

    #[test]
    fn a_page_that_is_too_long_loses_whole_blocks() {
        let page = |longest| {
            let mut page = Page::default();
            page.block("## Head");
            let mut inside = Page::default();
            inside.block("x".repeat(200));
            page.fold("More", inside);
            page.text(longest)
        };
        assert!(page(1_000).ends_with("\n\n</details>\n"));
        assert_eq!(page(200), format!("## Head\n{CUT_NOTE}"));
    }

    #[test]
    fn a_column_without_a_text_is_left_out() {
        let rows =
            vec![["1".to_owned(), String::new(), "a".to_owned()], ["2".to_owned(), String::new(), String::new()]];
        assert_eq!(table(["N:", "None", "Text"], rows.clone(), 9), "| N | Text |\n| ---: | --- |\n| 1 | a |\n| 2 |  |");
        assert!(table(["N:", "None", "Text"], rows, 1).ends_with("| 1 | a |\n\nAnd 1 more, in the report."));
        assert_eq!(table(["A"], Vec::new(), 9), "");
    }
}
