//! A line of the requests file as the plan needs it, and what can be wrong with it.
//!
//! A dialect reads the line; `requests/` compares lines with one another and puts them into shards. Foreign text is
//! cut short here; it is made safe where it is printed.

use std::borrow::Cow;

use serde_json::error::Category;

use crate::json::lenient::Seen;
use crate::text::{first_chars, shorten};

/// How many characters of foreign text a finding shows.
const SHOWN: usize = 60;

/// A request, as far as the plan needs it.
#[derive(Debug, Default)]
pub(crate) struct RequestLine<'l> {
    /// Its id; none where it has none that answers could be matched by.
    pub custom_id: Option<Cow<'l, str>>,
    /// Where it goes; none where that is unknown, and no batch can be planned for it.
    pub endpoint: Option<Cow<'l, str>>,
    /// Whether the dialect knows that endpoint, and so what the request must hold.
    pub endpoint_is: Familiar,
    /// The model that it names.
    pub model: Option<Cow<'l, str>>,
    /// How many inputs it has that the vendor counts across requests: texts to embed.
    pub inputs: u64,
    /// How many tokens all its answers may have together; none where it sets no limit that the vendor is known to keep.
    pub output_cap: Option<u64>,
    /// Whether it asks for an answer of a certain form.
    pub structured: Structured,
    /// What is wrong with it by itself.
    pub findings: Vec<Finding>,
    /// What is unusual about it, in sentences that many lines may share. It is sent nevertheless.
    pub warnings: Vec<String>,
}

/// Whether a request asks for an answer of a certain form: JSON, or what fits a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Structured {
    /// It does not.
    #[default]
    No,
    /// It does.
    Yes,
}

/// Whether the dialect knows an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Familiar {
    /// It does.
    #[default]
    Known,
    /// It does not; the server may.
    Unknown,
}

/// How much of the requests a finding is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One line.
    #[default]
    Line,
    /// All lines of the file, most likely, if it is the first line's.
    File,
}

/// A table that somebody wants to make requests of: its rows, after one with names, have a text to ask the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// What is between columns.
    pub(crate) delimiter: char,
    /// Which column has the text, from 0.
    pub(crate) column: usize,
}

/// What is wrong, before it is known where.
#[derive(Debug)]
pub(crate) struct Finding {
    /// How much it is about.
    pub(crate) extent: Extent,
    /// The column in bytes, from 1.
    pub(crate) column: Option<u64>,
    /// The field, as `body.model`, where it is about one.
    pub(crate) field: Option<&'static str>,
    /// What was found.
    pub(crate) found: String,
    /// What was expected, as a clause of its own.
    pub(crate) expected: Box<str>,
    /// How to fix it; what there is to say beside the command, if there is one.
    pub(crate) fix: String,
    /// The shell command that fixes the file. It ends where the file's name comes, and prints what is right unless it
    /// is git's, which changes the file.
    pub(crate) command: Option<Box<str>>,
}

impl Finding {
    /// A finding about the line or the file as a whole.
    pub(crate) fn new(found: impl Into<String>, expected: impl Into<String>, fix: impl Into<String>) -> Self {
        let (found, expected, fix) = (found.into(), expected.into().into_boxed_str(), fix.into());
        Self { extent: Extent::Line, column: None, field: None, found, expected, fix, command: None }
    }

    /// The same, about all lines.
    pub(crate) fn of_file(mut self) -> Self {
        self.extent = Extent::File;
        self
    }

    /// The same, with the command that fixes the file.
    pub(crate) fn made_right_by(mut self, command: impl Into<Box<str>>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// The same, about a field.
    pub(crate) fn of(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// The same, at a column from 1.
    pub(crate) fn at(mut self, column: usize) -> Self {
        self.column = Some(column as u64);
        self
    }
}

/// `text` in backticks, cut short.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", shorten(text, SHOWN))
}

/// What was seen, in words that follow "is".
pub(crate) fn described(seen: &Seen<'_>) -> String {
    match seen {
        Seen::Absent => "missing".to_owned(),
        Seen::Null => "null".to_owned(),
        Seen::Bool(value) => value.to_string(),
        Seen::Number(number) => format!("the number {number}"),
        Seen::Text(text) if text.is_empty() => "an empty string".to_owned(),
        Seen::Text(text) => quoted(text),
        Seen::Array { len: 0, .. } => "an empty array".to_owned(),
        Seen::Array { .. } => "an array".to_owned(),
        Seen::Object => "an object".to_owned(),
    }
}

/// A finding, unless it is a text that is not empty.
pub(crate) fn no_text(seen: &Seen<'_>, expected: &str, fix: &str) -> Option<Finding> {
    let fine = seen.text().is_some_and(|text| !text.is_empty());
    let fix = if seen.is_nothing() { fix } else { "write a string that is not empty" };
    (!fine).then(|| Finding::new(described(seen), expected, fix))
}

/// Why a line is not JSON, in words for somebody who wrote it by hand or by script.
pub(crate) fn not_json(error: &serde_json::Error, line: &str) -> Finding {
    let whole = "each line is one whole JSON object";
    if error.classify() == Category::Eof {
        let found = "the JSON ends too early";
        return Finding::new(found, whole, "write the whole request on one line").at(error.column());
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let near = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let shown = first_chars(near, 20);
    let fix = match message {
        "trailing characters" => "write one request per line, with nothing behind it",
        "trailing comma" => "remove the last comma",
        _ if near.starts_with('\'') => "use double quotes",
        _ if near.starts_with('\u{feff}') => "remove the byte order mark",
        _ if ["NaN", "Inf", "-Inf", "None", "True", "False"].iter().any(|word| near.starts_with(word)) => {
            "JSON knows `null`, `true`, `false` and finite numbers"
        }
        _ => "write the file with a JSON library",
    };
    let found = format!("not JSON, {message} at {}", quoted(shown));
    Finding::new(found, whole, fix).at(error.column())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_long_quotation_is_shortened() {
        assert_eq!(quoted(&"x".repeat(61)), format!("`{}…`", "x".repeat(60)));
    }
}
