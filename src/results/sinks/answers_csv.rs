//! `answers.csv`: `answers.jsonl` as a table (RFC 4180), for spreadsheets.
//!
//! A spreadsheet computes a cell that looks like a formula, and a formula can send the
//! sheet elsewhere. Cells are texts of models and people, so a cell that could be one
//! gets a leading `'`, as OWASP's page "CSV Injection" advises. Control characters,
//! which CSV does not have, become U+FFFD; tabs and line ends stay.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};

use super::summary_line::SummaryLine;
use super::{Output, Row, Sink};
use crate::error::Error;
use crate::results::{Results, unwritable};
use crate::usd::Usd;

/// Its name in the output directory.
pub(crate) const NAME: &str = "answers.csv";

/// The first line.
const COLUMNS: [&str; 13] = [
    "custom_id",
    "outcome",
    "code",
    "answer",
    "reference",
    "finish_reason",
    "model",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "suspect",
    "cost_usd",
];

/// Writes the file.
pub(super) struct AnswersCsv<'a> {
    file: Box<dyn Output + 'a>,
}

impl<'a> AnswersCsv<'a> {
    /// Begins the file.
    pub(super) fn new(open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>) -> Result<Self, Error> {
        let mut table = Self { file: open(NAME)? };
        table.record(&COLUMNS.map(Cow::Borrowed))?;
        Ok(table)
    }

    /// Writes a record with one call: the file is watched by the line.
    fn record(&mut self, cells: &[Cow<'_, str>; 13]) -> Result<(), Error> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(cells.iter().map(|cell| cell.as_bytes())).map_err(|error| unwritable(error.into()))?;
        let record = writer.into_inner().map_err(|error| unwritable(error.into_error()))?;
        self.file.write_all(&record).map_err(unwritable)
    }
}

impl Sink for AnswersCsv<'_> {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let line = SummaryLine::of(row)?;
        let reference = line.reference.map(|at| format!("{}:{}+{}", at.file, at.offset, at.length));
        let count = |count: fn(&crate::dialects::Tokens) -> u64| {
            Cow::Owned(line.tokens.as_ref().map(|tokens| count(tokens).to_string()).unwrap_or_default())
        };
        self.record(&[
            cell(line.custom_id),
            line.outcome.into(),
            cell(line.code.unwrap_or_default()),
            cell(line.answer.unwrap_or_default()),
            reference.unwrap_or_default().into(),
            cell(line.finish_reason.unwrap_or_default()),
            cell(line.model.unwrap_or_default()),
            count(|tokens| tokens.input),
            count(|tokens| tokens.cached),
            count(|tokens| tokens.output),
            count(|tokens| tokens.reasoning),
            line.suspect.unwrap_or_default().into(),
            line.cost_usd.map(Usd::decimal).unwrap_or_default().into(),
        ])
    }

    fn finish(mut self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        self.file.flush().map_err(unwritable)?;
        results.warnings.extend(self.file.publish()?);
        results.files.answers_csv = Some(NAME.to_owned());
        Ok(())
    }
}

/// Text as a cell that is not computed and holds no control characters.
fn cell(text: &str) -> Cow<'_, str> {
    let is_refused = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let text =
        if text.contains(is_refused) { text.replace(is_refused, "\u{fffd}").into() } else { Cow::Borrowed(text) };
    if may_be_formula(&text) { format!("'{text}").into() } else { text }
}

/// Whether a spreadsheet may compute the text: it begins with a character that begins a
/// formula, perhaps after spaces and quotes, which an import may drop.
fn may_be_formula(text: &str) -> bool {
    let is_dropped = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\u{feff}' | '\u{200b}');
    let rest = text.trim_start_matches(is_dropped);
    let dropped = &text[..text.len() - rest.len()];
    // The second half are the full-width forms, which some spreadsheets take for the same.
    rest.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) || dropped.contains(['\t', '\r', '\n'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{cell, may_be_formula};

    #[test]
    fn what_a_spreadsheet_may_compute_is_text() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\rx",
            "\nx",
            " =1",
            "\"=1",
            "'=1",
            " \" '@x",
            "\u{feff}=1",
            "＝1",
            "-",
        ] {
            assert_eq!(cell(formula), format!("'{formula}"), "{formula:?}");
        }
        for text in ["", "1+1", "a=b", "(=1)", "'a'", "\"a\"", "é", "1\t2", "a\n=1"] {
            assert_eq!(cell(text), text);
        }
        assert_eq!(cell("a\0b\u{1b}[2J\u{85}\tc\r\nd"), "a\u{fffd}b\u{fffd}[2J\u{fffd}\tc\r\nd");
    }

    proptest! {
        #[test]
        fn any_text_is_one_cell_that_reads_back(text in "(?s)[=+@\"',\r\n\t\0 a\u{e9}-]{0,12}|.{0,40}") {
            let cell = cell(&text);
            prop_assert!(!may_be_formula(&cell) || cell.starts_with('\''));
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["x", cell.as_ref()]).unwrap();
            let bytes = writer.into_inner().unwrap();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
            let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            prop_assert_eq!(records.len(), 1);
            prop_assert_eq!(&records[0][1], cell.as_ref());
        }
    }
}
